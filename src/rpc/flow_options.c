/* Checks and defaults; flow_options.h says of what. */

#include "rpc/flow_options.h"

#include "util/error.h"
#include <errno.h>

enum {
	WINDOW_BYTES = 256 << 10,
	MAX_WINDOW_BYTES = 4 << 20,
	WINDOW_MOST = 1 << 30,
	UNREAD_BYTES = 64 << 20,
};

int hawser__flow_options_check(const char *whose, const struct hawser__flow_options *options,
			       struct hawser_error *error)
{
	size_t *window = options->stream_window_bytes, *most = options->max_stream_window_bytes;

	if (*window > WINDOW_MOST || *most > WINDOW_MOST)
		return hawser__error_set(error, -EINVAL,
					 "%s options: stream_window_bytes and "
					 "max_stream_window_bytes can be at most %d",
					 whose, WINDOW_MOST);
	if (*window && *most && *most < *window)
		return hawser__error_set(error, -EINVAL,
					 "%s options: max_stream_window_bytes %zu is less than "
					 "stream_window_bytes %zu, with which a stream begins",
					 whose, *most, *window);
	if ((unsigned)options->slow_peer > HAWSER_SLOW_PEER_CLOSE)
		return hawser__error_set(
			error, -EINVAL,
			"%s options: slow_peer %d is none of HAWSER_SLOW_PEER_WAIT, "
			"_FAIL_CALL and _CLOSE",
			whose, (int)options->slow_peer);
	if (options->slow_peer != HAWSER_SLOW_PEER_WAIT && !options->slow_peer_timeout_ms &&
	    !options->slow_peer_bytes)
		return hawser__error_set(
			error, -EINVAL,
			"%s options: slow_peer is set, but neither "
			"slow_peer_timeout_ms nor slow_peer_bytes says what slow is",
			whose);
	if (!*window)
		*window = *most && *most < WINDOW_BYTES ? *most : WINDOW_BYTES;
	if (!*most)
		*most = *window > MAX_WINDOW_BYTES ? *window : MAX_WINDOW_BYTES;
	if (!*options->max_unread_bytes)
		*options->max_unread_bytes = UNREAD_BYTES;
	return 0;
}
