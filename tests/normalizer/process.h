/* The example programs as child processes: started, read, ended. */

#ifndef TESTS_NORMALIZER_PROCESS_H
#define TESTS_NORMALIZER_PROCESS_H

#include <stdio.h>
#include <sys/types.h>

#define MAX_ADDRESSES 4

/** A server that tells on stdout where it listens. */
struct server_process {
	pid_t pid;
	FILE *output;
	unsigned n_addresses;
	char addresses[MAX_ADDRESSES][256];
};

/**
 * Starts argv (NULL-terminated, argv[0] is the program) and waits until it has printed
 * `listeners` lines "listening on ADDRESS". Aborts the test if it does not.
 */
void server_start(struct server_process *server, unsigned listeners, const char *const *argv);

/** Sends SIGTERM and does the same as server_wait(). */
int server_stop(struct server_process *server, char *rest, size_t size);

/** Waits for the server's end; what it printed goes to `rest`. Returns its exit status. */
int server_wait(struct server_process *server, char *rest, size_t size);

/**
 * Runs a program to its end; stdout and stderr go to `output`, in the order of
 * writing. Returns its exit status; -1 after a signal.
 */
int run_program(const char *const *argv, char *output, size_t size);

/** The program that the environment names, such as NORMALIZER; meson sets it. Aborts without. */
const char *program(const char *variable);

#endif /* TESTS_NORMALIZER_PROCESS_H */
