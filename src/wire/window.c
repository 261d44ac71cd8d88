/* Windows and the line; window.h says how they hang together. */

#include "wire/window.h"

enum {
	PAUSE_LEAST_US = 10 * 1000,
	PAUSE_MOST_US = 1000 * 1000,
	/* So much must come before a probe is worth its frames. */
	PROBE_BYTES = 64 * 1024,
};

void hawser__window_init(struct hawser__window *window, size_t size)
{
	*window = (struct hawser__window){.left = (long long)size, .size = size};
}

bool hawser__window_use(struct hawser__window *window, size_t bytes)
{
	if (window->left <= 0)
		return false;
	window->left -= (long long)bytes;
	return true;
}

size_t hawser__window_take(struct hawser__window *window, size_t bytes, size_t size)
{
	window->taken += bytes;
	if (size > window->size) {
		window->taken += size - window->size;
		window->size = size;
	}
	return window->taken >= window->size / 2 ? window->taken : 0;
}

void hawser__window_told(struct hawser__window *window, size_t bytes)
{
	window->left += (long long)bytes;
	window->taken -= bytes;
}

/* ---- the line ---- */

void hawser__line_init(struct hawser__line *line, size_t least, size_t most)
{
	*line = (struct hawser__line){.size = least, .most = most, .pause_us = PAUSE_LEAST_US};
}

bool hawser__line_came(struct hawser__line *line, size_t bytes)
{
	line->bytes += bytes;
	return !line->sent_us && line->size < line->most && line->bytes >= PROBE_BYTES;
}

bool hawser__line_probe(struct hawser__line *line, uint64_t now_us)
{
	if (now_us < line->next_us)
		return false;
	line->sent_us = now_us;
	line->bytes = 0;
	return true;
}

void hawser__line_answered(struct hawser__line *line, uint64_t now_us)
{
	uint64_t rtt_us, rate, wanted;

	if (!line->sent_us)
		return;
	rtt_us = now_us > line->sent_us ? now_us - line->sent_us : 1;
	rate = line->bytes * 1000000 / rtt_us;
	line->sent_us = 0;
	line->bytes = 0;
	if (!line->rtt_least_us || rtt_us < line->rtt_least_us)
		line->rtt_least_us = rtt_us;
	if (rate > line->rate_most)
		line->rate_most = rate;
	wanted = 2 * line->rate_most * line->rtt_least_us / 1000000;
	if (wanted > line->size) {
		line->size = wanted < line->most ? (size_t)wanted : line->most;
		line->pause_us = PAUSE_LEAST_US;
		line->next_us = now_us;
		return;
	}
	line->next_us = now_us + line->pause_us;
	if (line->pause_us < PAUSE_MOST_US)
		line->pause_us *= 2;
}

void hawser__line_lost(struct hawser__line *line)
{
	line->sent_us = 0;
	line->bytes = 0;
	/* The next one may be another line. */
	line->rate_most = line->rtt_least_us = 0;
	line->pause_us = PAUSE_LEAST_US;
}
