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

/* The weight of a new sample in the smoothed round trip is an eighth (as in TCP, RFC 6298). */
static void smooth(struct hawser__line *line, uint64_t rtt_us)
{
	line->rtt_us = line->rtt_us ? (7 * line->rtt_us + rtt_us) / 8 : rtt_us;
	if (!line->rtt_us)
		line->rtt_us = 1;
}

void hawser__line_answered(struct hawser__line *line, uint64_t now_us)
{
	uint64_t rate, bytes = line->bytes, wanted;
	bool is_faster;

	if (!line->sent_us)
		return;
	smooth(line, now_us > line->sent_us ? now_us - line->sent_us : 1);
	line->sent_us = 0;
	line->bytes = 0;
	rate = bytes * 1000000 / line->rtt_us;
	/* A tenth more is more; less than that is chance. */
	is_faster = rate > line->rate_most + line->rate_most / 10;
	if (rate > line->rate_most)
		line->rate_most = rate;
	/* Full, and faster than with a smaller one: it was the window that held the sender. */
	if (is_faster && bytes >= line->size / 3 * 2) {
		wanted = 2 * bytes;
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
	line->rate_most = line->rtt_us = 0;
	line->pause_us = PAUSE_LEAST_US;
}
