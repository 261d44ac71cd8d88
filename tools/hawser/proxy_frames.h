/* Where in a stream the frames begin and end, if each has its length before it in
 * four bytes, big-endian, as Hawser's do. Only counts; looks into none. */

#ifndef HAWSER_TOOL_PROXY_FRAMES_H
#define HAWSER_TOOL_PROXY_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_HEAD = 4,
	/* No frame is as long (protocol.md, "Limits"). */
	FRAME_TOO_LONG = 0x16000000,
};

struct frames {
	uint8_t head[FRAME_HEAD];
	unsigned have; /* bytes of the head */
	uint64_t left; /* bytes that follow it */
};

static inline uint32_t frame_length(const uint8_t *head)
{
	return (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
}

/** Whether a frame has begun and not ended. */
static inline bool frames_are_inside(const struct frames *frames)
{
	return frames->have > 0;
}

/** These bytes went by. */
static inline void frames_pass(struct frames *frames, const uint8_t *bytes, size_t size)
{
	while (size) {
		size_t n = 1;

		if (frames->have < FRAME_HEAD) {
			frames->head[frames->have++] = *bytes;
			if (frames->have == FRAME_HEAD)
				frames->left = frame_length(frames->head);
		} else {
			n = frames->left < size ? (size_t)frames->left : size;
			frames->left -= n;
		}
		if (frames->have == FRAME_HEAD && !frames->left)
			frames->have = 0;
		bytes += n;
		size -= n;
	}
}

#endif /* HAWSER_TOOL_PROXY_FRAMES_H */
