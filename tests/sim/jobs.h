/* What a server does with a call: execute it, at once or when nobody is there to see it, and
 * answer when there is room. */

#ifndef HAWSER_TESTS_SIM_JOBS_H
#define HAWSER_TESTS_SIM_JOBS_H

#include "wire/frame.h"

struct host;

/** A frame about a call has come. */
void jobs_frame(struct host *host, const struct hawser__frame *frame, size_t too_long);
/** There may be room again for answers. */
void jobs_go_on(struct host *host);
/** The host is gone: what has not been executed will not be. */
void jobs_drop(struct host *host);

#endif /* HAWSER_TESTS_SIM_JOBS_H */
