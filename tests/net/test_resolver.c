/* Look-ups off the loop: when the callback runs, and when it must not.
 *
 * The linker sends the library's getaddrinfo() and pthread_create() here, so that
 * a look-up takes exactly as long as the test wants, and no network is asked. */

#include "net/resolver.h"
#include "sockets.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- a getaddrinfo with a gate ---- */

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **list);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **list);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*run)(void *data), void *data);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*run)(void *data), void *data);

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_open;
	unsigned inside; /* look-ups at the gate */
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, true, 0};

static bool signals_blocked;
static bool no_threads;

static void gate_set(bool is_open)
{
	pthread_mutex_lock(&gate.lock);
	gate.is_open = is_open;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static void gate_wait_for(unsigned inside)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.inside < inside)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void gate_pass(void)
{
	sigset_t blocked;

	pthread_mutex_lock(&gate.lock);
	gate.inside++;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.is_open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.inside--;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	signals_blocked = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGINT) == 1;
	pthread_mutex_unlock(&gate.lock);
}

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **list)
{
	if (hints->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(host, port, hints, list);
	gate_pass();
	if (!strcmp(host, "known.test"))
		return __real_getaddrinfo("127.0.0.1", port, hints, list);
	if (!strcmp(host, "broken.test")) {
		errno = EMFILE;
		return EAI_SYSTEM;
	}
	return EAI_NONAME;
}

/* ---- threads that are counted ---- */

struct work {
	void *(*run)(void *data);
	void *data;
};

static int running; /* under the gate's lock */

static void count_thread(int change)
{
	pthread_mutex_lock(&gate.lock);
	running += change;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static void *run_counted(void *data)
{
	struct work work = *(struct work *)data;

	free(data);
	work.run(work.data);
	count_thread(-1);
	return NULL;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*run)(void *data), void *data)
{
	struct work *work = malloc(sizeof *work);

	ck_assert_ptr_nonnull(work);
	*work = (struct work){run, data};
	count_thread(1);
	if (no_threads || __real_pthread_create(thread, attributes, run_counted, work) != 0) {
		count_thread(-1);
		free(work);
		return EAGAIN;
	}
	return 0;
}

/* The look-ups' threads are detached; after this they touch nothing any more. */
static void wait_for_threads(void)
{
	pthread_mutex_lock(&gate.lock);
	while (running)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

/* ---- a loop and what arrived on it ---- */

static struct hawser__loop loop;

static struct {
	unsigned calls;
	bool has_list;
	char first[HAWSER__ADDRESS_MAX];
	struct hawser_error error;
	unsigned expected; /* ends the run */
} answer;

static void on_answer(void *data, struct addrinfo *list, const struct hawser_error *error)
{
	ck_assert_ptr_eq(data, &answer);
	ck_assert(hawser__loop_is_here(&loop));
	ck_assert_ptr_nonnull(error);
	answer.calls++;
	answer.has_list = list != NULL;
	answer.error = *error;
	if (list)
		hawser__address_format(list->ai_addr, list->ai_addrlen, answer.first,
				       sizeof answer.first);
	hawser__address_free(list);
	if (answer.calls == answer.expected)
		event_base_loopbreak(loop.base);
}

static struct hawser__resolve *begin(const char *text)
{
	struct hawser__address address = parse(text);
	struct hawser__resolve *pending = NULL;

	ck_assert_int_eq(hawser__resolve_start(&loop, &address, on_answer, &answer, &pending), 0);
	return pending;
}

static void run(void)
{
	ck_assert_int_ge(event_base_loop(loop.base, EVLOOP_NO_EXIT_ON_EMPTY), 0);
}

/* Whatever is due now, without waiting. */
static void run_what_is_there(void)
{
	ck_assert_int_ge(event_base_loop(loop.base, EVLOOP_NONBLOCK), 0);
}

static void start(void)
{
	memset(&answer, 0, sizeof answer);
	answer.expected = 1;
	no_threads = false;
	gate_set(true);
	ck_assert_int_eq(hawser__loop_init(&loop, NULL), 0);
}

static void stop(void)
{
	gate_set(true);
	hawser__loop_deinit(&loop);
	wait_for_threads();
}

/* ---- tests ---- */

START_TEST(numbers_and_paths_are_answered_on_the_spot)
{
	static const char *const texts[] = {"tcp:127.0.0.1:70", "tcp:[::1]:70", "unix:/run/x"};

	gate_set(false);
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		ck_assert_ptr_null(begin(texts[i]));
		ck_assert_uint_eq(answer.calls, i + 1);
		ck_assert_str_eq(answer.first, texts[i]);
	}
}
END_TEST

START_TEST(name_is_answered_on_the_loop)
{
	ck_assert_ptr_nonnull(begin("tcp:known.test:7070"));
	ck_assert_uint_eq(answer.calls, 0);
	run();
	ck_assert_uint_eq(answer.calls, 1);
	ck_assert(answer.has_list);
	ck_assert_str_eq(answer.first, "tcp:127.0.0.1:7070");
}
END_TEST

static void on_meanwhile(struct hawser__loop *where, struct hawser__post *post)
{
	(void)post;
	event_base_loopbreak(where->base);
}

START_TEST(loop_goes_on_while_a_look_up_hangs)
{
	struct hawser__post meanwhile = {.run = on_meanwhile};

	gate_set(false);
	ck_assert_ptr_nonnull(begin("tcp:known.test:7070"));
	gate_wait_for(1);
	ck_assert_int_eq(hawser__loop_post(&loop, &meanwhile), 0);
	run();
	ck_assert_uint_eq(answer.calls, 0);
	gate_set(true);
	run();
	ck_assert_uint_eq(answer.calls, 1);
}
END_TEST

START_TEST(name_that_does_not_exist_is_told_with_its_address)
{
	ck_assert_ptr_nonnull(begin("tcp:gone.test:7070"));
	run();
	ck_assert(!answer.has_list);
	ck_assert_str_eq(answer.error.message,
			 "resolve tcp:gone.test:7070: Name or service not known");
	ck_assert_int_eq(answer.error.code, -EHOSTUNREACH);
	ck_assert_int_eq(answer.error.status, HAWSER_UNAVAILABLE);
}
END_TEST

/* "System error" alone helps nobody. */
START_TEST(failure_of_the_system_is_told_by_its_own_text)
{
	ck_assert_ptr_nonnull(begin("tcp:broken.test:7070"));
	run();
	ck_assert(!answer.has_list);
	ck_assert_int_eq(answer.error.code, -EMFILE);
	ck_assert_str_eq(answer.error.message, "resolve tcp:broken.test:7070: too many open files");
}
END_TEST

START_TEST(look_up_takes_no_signals_of_the_program)
{
	sigset_t before, after;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	ck_assert_ptr_nonnull(begin("tcp:known.test:7070"));
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	ck_assert_int_eq(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	run();
	ck_assert(signals_blocked);
}
END_TEST

START_TEST(cancelled_before_the_answer_is_never_called)
{
	struct hawser__resolve *pending;

	gate_set(false);
	pending = begin("tcp:known.test:7070");
	gate_wait_for(1);
	hawser__resolve_cancel(pending);
	gate_set(true);
	wait_for_threads();
	run_what_is_there();
	ck_assert_uint_eq(answer.calls, 0);
}
END_TEST

START_TEST(cancelled_between_the_answer_and_the_loop_is_never_called)
{
	struct hawser__resolve *pending = begin("tcp:known.test:7070");

	/* Its thread is gone, so the answer waits on the loop. */
	wait_for_threads();
	hawser__resolve_cancel(pending);
	run_what_is_there();
	ck_assert_uint_eq(answer.calls, 0);
}
END_TEST

START_TEST(nothing_can_be_cancelled)
{
	hawser__resolve_cancel(NULL);
	ck_assert_uint_eq(answer.calls, 0);
}
END_TEST

START_TEST(loop_may_go_while_a_cancelled_look_up_runs)
{
	struct hawser__resolve *pending;

	gate_set(false);
	pending = begin("tcp:known.test:7070");
	gate_wait_for(1);
	hawser__resolve_cancel(pending);
	hawser__loop_deinit(&loop);
	gate_set(true);
	wait_for_threads();
	ck_assert_uint_eq(answer.calls, 0);
}
END_TEST

START_TEST(answer_that_waits_on_a_loop_is_given_when_it_ends)
{
	ck_assert_ptr_nonnull(begin("tcp:known.test:7070"));
	wait_for_threads();
	ck_assert_uint_eq(answer.calls, 0);
	/* on_answer stops no loop that does not run. */
	answer.expected = 0;
	hawser__loop_deinit(&loop);
	ck_assert_uint_eq(answer.calls, 1);
	ck_assert(answer.has_list);
}
END_TEST

START_TEST(answer_that_waits_cancelled_on_a_loop_goes_with_it)
{
	struct hawser__resolve *pending = begin("tcp:known.test:7070");

	wait_for_threads();
	hawser__resolve_cancel(pending);
	hawser__loop_deinit(&loop);
	ck_assert_uint_eq(answer.calls, 0);
}
END_TEST

/* Cancelling races with the answer of each: one of the two must win, with nothing left. */
START_TEST(cancel_may_come_at_any_moment)
{
	for (unsigned long n = suite_rounds(100); n--;) {
		enum { AT_ONCE = 8 };
		struct hawser__resolve *resolves[AT_ONCE];
		unsigned cancelled = 0;

		answer.calls = 0;
		answer.expected = AT_ONCE;
		gate_set(false);
		for (unsigned i = 0; i < AT_ONCE; i++)
			resolves[i] = begin("tcp:known.test:7070");
		gate_wait_for(AT_ONCE);
		gate_set(true);
		for (unsigned i = 0; i < AT_ONCE; i++) {
			if (!random_one_in(2))
				continue;
			hawser__resolve_cancel(resolves[i]);
			cancelled++;
		}
		answer.expected = AT_ONCE - cancelled;
		if (answer.expected)
			run();
		wait_for_threads();
		run_what_is_there();
		ck_assert_uint_eq(answer.calls, AT_ONCE - cancelled);
	}
}
END_TEST

START_TEST(without_memory_no_look_up_starts)
{
	struct hawser__address address = parse("tcp:known.test:7070");
	struct hawser__resolve *pending;

	failing_alloc_after(0);
	ck_assert_int_eq(hawser__resolve_start(&loop, &address, on_answer, &answer, &pending),
			 -ENOMEM);
	ck_assert(failing_alloc_stop());
	run_what_is_there();
	ck_assert_uint_eq(answer.calls, 0);
}
END_TEST

START_TEST(without_threads_no_look_up_starts)
{
	struct hawser__address address = parse("tcp:known.test:7070");
	struct hawser__resolve *pending;

	no_threads = true;
	ck_assert_int_eq(hawser__resolve_start(&loop, &address, on_answer, &answer, &pending),
			 -EAGAIN);
	no_threads = false;
	run_what_is_there();
	ck_assert_uint_eq(answer.calls, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-resolver");
	TCase *answers = suite_case(suite, "answers"), *ends = suite_case(suite, "ends");
	TCase *failures = suite_case(suite, "failures"), *all[] = {answers, ends, failures};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		tcase_add_checked_fixture(all[i], start, stop);
	tcase_add_test(answers, numbers_and_paths_are_answered_on_the_spot);
	tcase_add_test(answers, name_is_answered_on_the_loop);
	tcase_add_test(answers, loop_goes_on_while_a_look_up_hangs);
	tcase_add_test(answers, name_that_does_not_exist_is_told_with_its_address);
	tcase_add_test(answers, failure_of_the_system_is_told_by_its_own_text);
	tcase_add_test(answers, look_up_takes_no_signals_of_the_program);

	tcase_add_test(ends, cancelled_before_the_answer_is_never_called);
	tcase_add_test(ends, cancelled_between_the_answer_and_the_loop_is_never_called);
	tcase_add_test(ends, nothing_can_be_cancelled);
	tcase_add_test(ends, loop_may_go_while_a_cancelled_look_up_runs);
	tcase_add_test(ends, answer_that_waits_on_a_loop_is_given_when_it_ends);
	tcase_add_test(ends, answer_that_waits_cancelled_on_a_loop_goes_with_it);
	tcase_add_test(ends, cancel_may_come_at_any_moment);

	tcase_add_test(failures, without_memory_no_look_up_starts);
	tcase_add_test(failures, without_threads_no_look_up_starts);
	return suite_run(suite);
}
