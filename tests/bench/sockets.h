/* Plain sockets at the address of a benchmark's command line. */

#ifndef HAWSER_BENCH_SOCKETS_H
#define HAWSER_BENCH_SOCKETS_H

#include "measure.h"

/** A listener, with its port in *port (0: a Unix socket). Ends the program if there is none. */
int bench_listen(const struct bench *bench, int *port);

/** A connection, blocking and without Nagle's delay. Ends the program if there is none. */
int bench_connect(const struct bench *bench);

/** What is accepted is to be sent at once. */
void bench_no_delay(const struct bench *bench, int fd);

#endif /* HAWSER_BENCH_SOCKETS_H */
