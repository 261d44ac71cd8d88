/* Counting forks: every child knows that it is one, and how far down. */

#include "net/fork.h"
#include "net/loop.h"
#include "support/suite.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* What `question` says in a child process; it must fit an exit status. */
static int ask_a_child(int (*question)(unsigned before, void *data), unsigned before, void *data)
{
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(question(before, data));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int distance(unsigned before, void *data)
{
	(void)data;
	return (int)(hawser__fork_generation() - before);
}

static int distance_of_a_grandchild(unsigned before, void *data)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(distance(before, data));
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status)
		       ? WEXITSTATUS(status)
		       : 99;
}

START_TEST(generation_stays_without_a_fork)
{
	unsigned before = hawser__fork_generation();

	ck_assert_uint_eq(hawser__fork_generation(), before);
}
END_TEST

START_TEST(each_fork_adds_one_in_the_child_only)
{
	unsigned before = hawser__fork_generation();

	ck_assert_int_eq(ask_a_child(distance, before, NULL), 1);
	ck_assert_int_eq(ask_a_child(distance, before, NULL), 1);
	ck_assert_int_eq(ask_a_child(distance_of_a_grandchild, before, NULL), 2);
	ck_assert_uint_eq(hawser__fork_generation(), before);
}
END_TEST

static void *ask(void *data)
{
	*(unsigned *)data = hawser__fork_generation();
	return NULL;
}

/* However many ask at once, and first: a fork is counted once. */
START_TEST(threads_agree_on_the_generation)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	unsigned answers[THREADS], before;

	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, &answers[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	before = hawser__fork_generation();
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_uint_eq(answers[i], before);
	ck_assert_int_eq(ask_a_child(distance, before, NULL), 1);
}
END_TEST

static struct event_base *base;

static int shares_the_loop(unsigned before, void *data)
{
	struct hawser__loop *loop;

	(void)before;
	if (event_reinit(base) < 0)
		return 2;
	loop = hawser__loop_share(base);
	return loop ? loop == data : 3;
}

START_TEST(child_gets_a_loop_of_its_own)
{
	struct hawser__loop *loop;

	base = event_base_new();
	loop = hawser__loop_share(base);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(ask_a_child(shares_the_loop, 0, loop), 0);
	hawser__loop_unshare(loop);
	event_base_free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-fork");
	TCase *counting = suite_case(suite, "counting");

	/* First, so that without CK_FORK its threads are the first to ask. */
	tcase_add_test(counting, threads_agree_on_the_generation);
	tcase_add_test(counting, generation_stays_without_a_fork);
	tcase_add_test(counting, each_fork_adds_one_in_the_child_only);
	tcase_add_test(counting, child_gets_a_loop_of_its_own);
	return suite_run(suite);
}
