/* Windows and the line; window.h says how they hang together. */

#include "wire/window.h"

enum {
	PAUSE_LEAST_US = 50 * 1000,
	PAUSE_MOST_US = 10 * 1000 * 1000,
	/* A window is given back by a quarter, but not in less than this, unless that is half of
	 * it: on a short line each part wakes the sender. */
	PART_LEAST = 256 * 1024,
	/* So much must come before a probe is worth its frames. */
	PROBE_BYTES = 64 * 1024,
	/* Probes before a size is judged; the first ones may meet a sender that has just begun. */
	SAMPLES = 4,
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

/* So much must have been taken before the peer is told. */
static size_t part_of(size_t size)
{
	if (size / 4 >= PART_LEAST)
		return size / 4;
	return size / 2 < PART_LEAST ? size / 2 : PART_LEAST;
}

size_t hawser__window_take(struct hawser__window *window, size_t bytes, size_t size)
{
	window->taken += bytes;
	if (size > window->size) {
		window->taken += size - window->size;
		window->size = size;
	} else if (size < window->size) {
		size_t less = window->size - size;

		if (less > window->taken)
			less = window->taken;
		window->taken -= less;
		window->size -= less;
	}
	return window->taken >= part_of(window->size) ? window->taken : 0;
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
	return !line->sent_us && (line->size < line->most || line->size_before) &&
	       line->bytes >= PROBE_BYTES;
}

bool hawser__line_probe(struct hawser__line *line, uint64_t now_us)
{
	if (now_us < line->next_us)
		return false;
	line->sent_us = now_us;
	line->bytes = 0;
	return true;
}

/* Enough is known of this size. */
static void judge(struct hawser__line *line, uint64_t now_us)
{
	/* A quarter more is more; less than that is chance, or costs others more than it gives. */
	bool was_in_vain =
		line->size_before && line->rate < line->rate_before + line->rate_before / 4;

	if (was_in_vain || line->size >= line->most) {
		if (was_in_vain)
			line->size = line->size_before;
		line->size_before = 0;
		line->next_us = now_us + line->pause_us;
		if (line->pause_us < PAUSE_MOST_US)
			line->pause_us *= 2;
	} else {
		line->size_before = line->size;
		line->rate_before = line->rate;
		line->size = line->size > line->most / 2 ? line->most : 2 * line->size;
		line->next_us = now_us;
	}
	line->n_samples = 0;
	line->rate = 0;
}

void hawser__line_answered(struct hawser__line *line, uint64_t now_us)
{
	uint64_t rate, bytes = line->bytes, rtt_us;

	if (!line->sent_us)
		return;
	rtt_us = now_us > line->sent_us ? now_us - line->sent_us : 1;
	line->sent_us = 0;
	line->bytes = 0;
	/* It was not the window that held the sender. */
	if (bytes < line->size / 2) {
		line->next_us = now_us + PAUSE_LEAST_US;
		return;
	}
	rate = bytes * 1000000 / rtt_us;
	if (rate > line->rate)
		line->rate = rate;
	line->next_us = now_us;
	if (++line->n_samples == SAMPLES)
		judge(line, now_us);
}

void hawser__line_lost(struct hawser__line *line)
{
	line->sent_us = 0;
	line->bytes = 0;
	/* The next one may be another line. */
	line->n_samples = 0;
	line->rate = 0;
	line->size_before = 0;
	line->pause_us = PAUSE_LEAST_US;
}
