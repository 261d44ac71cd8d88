/* Knowing that the process has forked, without a system call per question. */

#ifndef HAWSER_NET_FORK_H
#define HAWSER_NET_FORK_H

/** How often this process descends by fork() from the one that asked first. Any thread. */
unsigned hawser__fork_generation(void);

#endif /* HAWSER_NET_FORK_H */
