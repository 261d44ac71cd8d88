/* What a server does with a call: take its messages, execute it, at once or when nobody is there to
 * see it, and answer when there is room. */

#ifndef HAWSER_TESTS_SIM_JOBS_H
#define HAWSER_TESTS_SIM_JOBS_H

#include "wire/frame.h"

struct host;
struct sender;

/** A frame about a call has come. */
void jobs_frame(struct host *host, const struct hawser__frame *frame, size_t too_long);
/** There may be room again for answers. */
void jobs_go_on(struct host *host);
/** Who sends the messages of this call; NULL: nobody. */
struct sender *jobs_sender(struct host *host, uint64_t id);
/** The host is gone: what has not been executed will not be. */
void jobs_drop(struct host *host);

#endif /* HAWSER_TESTS_SIM_JOBS_H */
