/* How a call ends: a status, an outcome, and a sentence.
 *
 * The statuses are gRPC's seventeen, same numbers and names (grpc/grpc,
 * doc/statuscodes.md), so that they need no translation at a gateway and no
 * explanation to people. The outcome answers the question that a status leaves
 * open: after a failure, did the method run? */

#ifndef HAWSER_STATUS_H
#define HAWSER_STATUS_H

#include <hawser/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Every status: number, name, what it means. One list gives enum, names and texts. */
#define HAWSER_STATUS_MAP(X)                                                       \
	X(0, OK, "success")                                                        \
	X(1, CANCELLED, "the call was cancelled")                                  \
	X(2, UNKNOWN, "an error of unknown kind")                                  \
	X(3, INVALID_ARGUMENT, "the request is invalid")                           \
	X(4, DEADLINE_EXCEEDED, "the deadline passed before the call ended")       \
	X(5, NOT_FOUND, "what was asked for does not exist")                       \
	X(6, ALREADY_EXISTS, "what was to be created exists already")              \
	X(7, PERMISSION_DENIED, "the caller may not do this")                      \
	X(8, RESOURCE_EXHAUSTED, "a limit was reached")                            \
	X(9, FAILED_PRECONDITION, "the system is not in a state that allows this") \
	X(10, ABORTED, "the operation was aborted by a conflict")                  \
	X(11, OUT_OF_RANGE, "a value lies outside the valid range")                \
	X(12, UNIMPLEMENTED, "the method is not implemented")                      \
	X(13, INTERNAL, "an internal error")                                       \
	X(14, UNAVAILABLE, "the peer cannot be reached at the moment")             \
	X(15, DATA_LOSS, "data was lost or corrupted")                             \
	X(16, UNAUTHENTICATED, "the caller is not authenticated")

enum hawser_status {
#define HAWSER__STATUS_ENUM(number, name, text) HAWSER_##name = number,
	HAWSER_STATUS_MAP(HAWSER__STATUS_ENUM)
#undef HAWSER__STATUS_ENUM
};

/** Whether a failed call ran: number, name, what it means. */
#define HAWSER_OUTCOME_MAP(X)                                                              \
	X(0, OUTCOME_UNKNOWN, "sent, and nothing is known of its execution")               \
	X(1, OUTCOME_NOT_SENT, "never left this process")                                  \
	X(2, OUTCOME_NOT_EXECUTED, "reached the peer or not, but its handler did not run") \
	X(3, OUTCOME_EXECUTED, "the peer's handler ran")

enum hawser_outcome {
#define HAWSER__OUTCOME_ENUM(number, name, text) HAWSER_##name = number,
	HAWSER_OUTCOME_MAP(HAWSER__OUTCOME_ENUM)
#undef HAWSER__OUTCOME_ENUM
};

/** Room for the sentence in a hawser_error, its zero byte included. */
#define HAWSER_ERROR_MESSAGE_SIZE 256

/**
 * An error that a person can act on. Functions that take one fill it when they
 * fail and leave it alone when they succeed; NULL is accepted everywhere.
 */
struct hawser_error {
	/** The status; never HAWSER_OK in a filled error. */
	enum hawser_status status;
	/** For calls: whether the method ran. */
	enum hawser_outcome outcome;
	/** For set-up functions: the negative errno that they returned; else 0. */
	int code;
	/** For calls that were refused for want of room, and did not run: how long the peer would
	 * like to be left alone; 0: it did not say. */
	unsigned retry_after_ms;
	/** The sentence: "listen tcp:127.0.0.1:7070: address already in use". */
	char message[HAWSER_ERROR_MESSAGE_SIZE];
};

/** The name of a status, "NOT_FOUND"; "UNKNOWN" for a number that is none. Static; any thread. */
HAWSER_EXPORT const char *hawser_status_name(enum hawser_status status);

/** What a status means, half a sentence for people. Static; any thread. */
HAWSER_EXPORT const char *hawser_status_text(enum hawser_status status);

/** The name of an outcome in words, "not executed". Static; any thread. */
HAWSER_EXPORT const char *hawser_outcome_name(enum hawser_outcome outcome);

#ifdef __cplusplus
}
#endif

#endif /* HAWSER_STATUS_H */
