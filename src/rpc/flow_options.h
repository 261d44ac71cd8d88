/* The options on streams and slow peers, which clients and servers have in common. */

#ifndef HAWSER_RPC_FLOW_OPTIONS_H
#define HAWSER_RPC_FLOW_OPTIONS_H

#include <hawser/common.h>
#include <hawser/status.h>

/** Those of a client or a server; the pointers are filled in with the defaults. */
struct hawser__flow_options {
	size_t *stream_window_bytes, *max_stream_window_bytes, *max_unread_bytes;
	enum hawser_slow_peer slow_peer;
	unsigned slow_peer_timeout_ms;
	size_t slow_peer_bytes;
};

/** `whose` is "client" or "server". 0, or -EINVAL and the error. */
int hawser__flow_options_check(const char *whose, const struct hawser__flow_options *options,
			       struct hawser_error *error);

#endif /* HAWSER_RPC_FLOW_OPTIONS_H */
