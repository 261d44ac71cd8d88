/* What every public header needs: visibility and compiler hints. */

#ifndef HAWSER_COMMON_H
#define HAWSER_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HAWSER_EXPORT __attribute__((visibility("default")))
#define HAWSER_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))
#define HAWSER_DEPRECATED __attribute__((deprecated))
#else
#define HAWSER_EXPORT
#define HAWSER_PRINTF(at, first)
#define HAWSER_DEPRECATED
#endif

/** Something that a program says of itself to its peers: "site" = "lab-2". */
struct hawser_label {
	const char *key;
	const char *value;
};

/** What to do about a peer that takes too little of what is sent to it. */
enum hawser_slow_peer {
	/** Wait for it, as long as the deadlines of its calls allow. */
	HAWSER_SLOW_PEER_WAIT = 0,
	/** End the call RESOURCE_EXHAUSTED; the peer is told why. */
	HAWSER_SLOW_PEER_FAIL_CALL = 1,
	/** Close the connection, and its session with it; the peer is told why. */
	HAWSER_SLOW_PEER_CLOSE = 2,
};

#endif /* HAWSER_COMMON_H */
