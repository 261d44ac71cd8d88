/* The trace: every frame as a line that a person can read. */

#ifndef HAWSER_RPC_TRACE_H
#define HAWSER_RPC_TRACE_H

#include <hawser/service.h>
#include <stdbool.h>

struct hawser__connection;
struct hawser__frame;

/** One line for one frame. `method` tells what its payload is; NULL: unknown. */
void hawser__trace_frame(struct hawser__connection *connection, bool is_sent,
			 const struct hawser__frame *frame, const struct hawser_method *method);

/** The same for one that carries a piece of a message. */
void hawser__trace_piece(struct hawser__connection *connection, bool is_sent,
			 const struct hawser__frame *frame, const struct hawser_method *method);

/** The same for a frame that waited and goes now, by its head. */
struct hawser__session;
void hawser__trace_moved(struct hawser__session *session, const uint8_t *head, size_t length);

/** The same for a frame that was just written: its bytes, prefix included. */
void hawser__trace_sent(struct hawser__connection *connection, const uint8_t *bytes,
			const struct hawser_method *method);

#endif /* HAWSER_RPC_TRACE_H */
