/* The loop: posts from other threads, work put off, and its beginning and end. */

#include "net/loop.h"
#include "sockets.h"
#include "support/failing_alloc.h"
#include "support/suite.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct hawser__loop loop;

static void start(void)
{
	ck_assert_int_eq(hawser__loop_init(&loop, NULL), 0);
}

static void stop(void)
{
	hawser__loop_deinit(&loop);
}

/* Runs the loop until someone ends it. */
static void run(void)
{
	hawser__loop_adopt(&loop);
	ck_assert_int_ge(event_base_loop(loop.base, EVLOOP_NO_EXIT_ON_EMPTY), 0);
}

static void end_run(void)
{
	event_base_loopbreak(loop.base);
}

/* ---- posts ---- */

enum { POSTERS = 8, POSTS_EACH = 2000 };

struct numbered_post {
	struct hawser__post post;
	unsigned poster, number;
};

static struct {
	unsigned each; /* posts of a thread */
	unsigned next[POSTERS], arrived;
	pthread_t thread;
} posting;

static void on_numbered(struct hawser__loop *where, struct hawser__post *post)
{
	struct numbered_post *numbered = (struct numbered_post *)post;

	quick_assert(where == &loop);
	quick_assert(hawser__loop_is_here(&loop));
	quick_assert(pthread_equal(posting.thread, pthread_self()));
	quick_assert(posting.next[numbered->poster]++ == numbered->number);
	free(numbered);
	if (++posting.arrived == POSTERS * posting.each)
		end_run();
}

static void *post_many(void *data)
{
	for (unsigned i = 0; i < posting.each; i++) {
		struct numbered_post *numbered = calloc(1, sizeof *numbered);

		quick_assert(numbered);
		quick_assert(!hawser__loop_is_here(&loop));
		numbered->post.run = on_numbered;
		numbered->poster = (unsigned)(uintptr_t)data;
		numbered->number = i;
		quick_assert(hawser__loop_post(&loop, &numbered->post) == 0);
	}
	return NULL;
}

START_TEST(posts_of_many_threads_all_run_on_the_loop_each_threads_in_order)
{
	pthread_t threads[POSTERS];

	memset(&posting, 0, sizeof posting);
	posting.each = (unsigned)suite_rounds(POSTS_EACH);
	posting.thread = pthread_self();
	hawser__loop_adopt(&loop);
	for (uintptr_t i = 0; i < POSTERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, (void *)i), 0);
	run();
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(posting.arrived, POSTERS * posting.each);
}
END_TEST

static void on_last(struct hawser__loop *where, struct hawser__post *post)
{
	(void)where;
	(void)post;
	end_run();
}

static struct hawser__post last_post = {.run = on_last};
static int asleep[2]; /* a pipe: the loop is about to sleep */

static void *post_to_a_sleeper(void *data)
{
	char byte;

	(void)data;
	quick_assert(read(asleep[0], &byte, 1) == 1);
	quick_assert(hawser__loop_post(&loop, &last_post) == 0);
	return NULL;
}

static void on_before_sleep(struct hawser__deferred *deferred)
{
	(void)deferred;
	quick_assert(write(asleep[1], "s", 1) == 1);
}

START_TEST(post_wakes_a_loop_that_has_nothing_to_do)
{
	struct hawser__deferred deferred = {.run = on_before_sleep};
	pthread_t thread;

	ck_assert_int_eq(pipe(asleep), 0);
	hawser__list_init(&deferred.link);
	ck_assert_int_eq(pthread_create(&thread, NULL, post_to_a_sleeper, NULL), 0);
	hawser__loop_defer(&loop, &deferred);
	run();
	pthread_join(thread, NULL);
	close(asleep[0]);
	close(asleep[1]);
}
END_TEST

static unsigned times_posted;

static void on_again(struct hawser__loop *where, struct hawser__post *post)
{
	if (++times_posted == 5)
		end_run();
	else
		ck_assert_int_eq(hawser__loop_post(where, post), 0);
}

START_TEST(post_may_be_posted_again_while_it_runs)
{
	struct hawser__post post = {.run = on_again};

	times_posted = 0;
	ck_assert_int_eq(hawser__loop_post(&loop, &post), 0);
	run();
	ck_assert_uint_eq(times_posted, 5);
}
END_TEST

START_TEST(posts_read_the_clock_of_the_wake_up)
{
	ck_assert_int_eq(hawser__loop_post(&loop, &last_post), 0);
	loop.now_ms = 0;
	run();
	ck_assert_uint_ne(loop.now_ms, 0);
	ck_assert_uint_le(loop.now_ms, hawser__now_ms());
}
END_TEST

static int late_result;
static unsigned late_runs;

static void on_late(struct hawser__loop *where, struct hawser__post *post)
{
	(void)post;
	late_runs++;
	late_result = hawser__loop_post(where, &last_post);
}

START_TEST(posts_that_are_left_run_at_the_end_and_new_ones_are_refused)
{
	struct hawser__post posts[3];

	late_runs = 0;
	start();
	for (unsigned i = 0; i < 3; i++) {
		posts[i].run = on_late;
		ck_assert_int_eq(hawser__loop_post(&loop, &posts[i]), 0);
	}
	hawser__loop_deinit(&loop);
	ck_assert_uint_eq(late_runs, 3);
	ck_assert_int_eq(late_result, -EPIPE);
	/* Once more does no harm. */
	hawser__loop_deinit(&loop);
}
END_TEST

/* ---- what is put off ---- */

static char story[64];

static void tell(const char *event)
{
	strcat(story, event);
}

struct named_deferred {
	struct hawser__deferred deferred;
	const char *name;
	struct hawser__deferred *then;
};

static void on_deferred(struct hawser__deferred *deferred)
{
	struct named_deferred *named = (struct named_deferred *)deferred;

	tell(named->name);
	if (named->then)
		hawser__loop_defer(&loop, named->then);
}

static void named_init(struct named_deferred *named, const char *name)
{
	hawser__list_init(&named->deferred.link);
	named->deferred.run = on_deferred;
	named->name = name;
	named->then = NULL;
}

static struct named_deferred first_deferred, second_deferred, third_deferred;

static void on_deferring(struct hawser__loop *where, struct hawser__post *post)
{
	(void)post;
	tell("post ");
	hawser__loop_defer(where, &first_deferred.deferred);
	hawser__loop_defer(where, &second_deferred.deferred);
	hawser__loop_defer(where, &first_deferred.deferred);
}

START_TEST(deferred_work_runs_once_after_all_that_woke_the_loop)
{
	struct hawser__post posts[2] = {{.run = on_deferring}, {.run = on_deferring}};

	*story = '\0';
	named_init(&first_deferred, "first ");
	named_init(&second_deferred, "second ");
	ck_assert_int_eq(hawser__loop_post(&loop, &posts[0]), 0);
	ck_assert_int_eq(hawser__loop_post(&loop, &posts[1]), 0);
	event_base_loop(loop.base, EVLOOP_ONCE);
	ck_assert_str_eq(story, "post post first second ");
	/* And again, the next time. */
	ck_assert_int_eq(hawser__loop_post(&loop, &posts[0]), 0);
	event_base_loop(loop.base, EVLOOP_ONCE);
	ck_assert_str_eq(story, "post post first second post first second ");
}
END_TEST

START_TEST(deferred_work_may_be_taken_back)
{
	*story = '\0';
	named_init(&first_deferred, "first ");
	named_init(&second_deferred, "second ");
	hawser__loop_defer(&loop, &first_deferred.deferred);
	hawser__loop_defer(&loop, &second_deferred.deferred);
	hawser__list_unlink(&second_deferred.deferred.link);
	event_base_loop(loop.base, EVLOOP_ONCE);
	ck_assert_str_eq(story, "first ");
}
END_TEST

START_TEST(work_deferred_by_deferred_work_runs_a_turn_later)
{
	*story = '\0';
	named_init(&first_deferred, "first ");
	named_init(&second_deferred, "second ");
	named_init(&third_deferred, "third ");
	first_deferred.then = &third_deferred.deferred;
	hawser__loop_defer(&loop, &first_deferred.deferred);
	hawser__loop_defer(&loop, &second_deferred.deferred);
	event_base_loop(loop.base, EVLOOP_ONCE);
	ck_assert_str_eq(story, "first second ");
	event_base_loop(loop.base, EVLOOP_ONCE);
	ck_assert_str_eq(story, "first second third ");
}
END_TEST

/* ---- beginning and end ---- */

START_TEST(loop_belongs_to_the_thread_that_runs_it)
{
	ck_assert(hawser__loop_is_here(&loop));
}
END_TEST

START_TEST(loop_on_a_borrowed_base_leaves_it_usable)
{
	struct event_base *base = event_base_new();
	unsigned runs = 2;

	ck_assert_ptr_nonnull(base);
	/* The base outlives one loop and takes the next. */
	while (runs--) {
		ck_assert_int_eq(hawser__loop_init(&loop, base), 0);
		ck_assert_ptr_eq(loop.base, base);
		ck_assert_int_eq(hawser__loop_post(&loop, &last_post), 0);
		run();
		hawser__loop_deinit(&loop);
	}
	event_base_free(base);
}
END_TEST

START_TEST(clients_of_a_base_share_one_loop)
{
	struct event_base *bases[2] = {event_base_new(), event_base_new()};
	struct hawser__loop *first, *second, *other;

	first = hawser__loop_share(bases[0]);
	second = hawser__loop_share(bases[0]);
	other = hawser__loop_share(bases[1]);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_eq(first, second);
	ck_assert_ptr_nonnull(other);
	ck_assert_ptr_ne(first, other);
	hawser__loop_unshare(first);
	ck_assert_ptr_eq(hawser__loop_share(bases[0]), second);
	hawser__loop_unshare(second);
	hawser__loop_unshare(second);
	hawser__loop_unshare(other);
	event_base_free(bases[0]);
	event_base_free(bases[1]);
}
END_TEST

static void on_bare(struct hawser__loop *where, struct hawser__post *post)
{
	(void)where;
	(void)post;
	tell("post ");
}

START_TEST(bare_loop_is_woken_by_posts_and_runs_them_when_asked)
{
	struct hawser__post post = {.run = on_bare};

	*story = '\0';
	ck_assert_int_eq(hawser__loop_init_bare(&loop), 0);
	ck_assert_ptr_null(loop.base);
	ck_assert_int_eq(hawser__loop_post(&loop, &post), 0);
	wait_for(loop.wake_fd, POLLIN);
	ck_assert_str_eq(story, "");
	hawser__loop_run_posts(&loop);
	ck_assert_str_eq(story, "post ");
	/* Once, and the wake-up is used up. */
	hawser__loop_run_posts(&loop);
	ck_assert_str_eq(story, "post ");
	hawser__loop_wake(&loop);
	wait_for(loop.wake_fd, POLLIN);
	hawser__loop_deinit(&loop);
}
END_TEST

static bool make_loops(void *data)
{
	struct event_base *base = data;
	struct hawser__loop *shared;
	int r;

	r = hawser__loop_init(&loop, NULL);
	ck_assert(r == 0 || r == -ENOMEM);
	if (r == 0)
		hawser__loop_deinit(&loop);
	shared = hawser__loop_share(base);
	if (!shared)
		ck_assert_int_eq(errno, ENOMEM);
	else
		hawser__loop_unshare(shared);
	return r == 0 && shared;
}

START_TEST(loops_without_memory_say_so)
{
	struct event_base *base = event_base_new();

	ck_assert_uint_ge(failing_alloc_each(make_loops, base), 5);
	event_base_free(base);
}
END_TEST

START_TEST(loops_without_descriptors_say_so)
{
	struct event_base *base = event_base_new();
	struct hawser__loop *shared;
	int r[2], code;

	use_up_descriptors(true);
	r[0] = hawser__loop_init_bare(&loop);
	r[1] = hawser__loop_init(&loop, NULL);
	errno = 0;
	shared = hawser__loop_share(base);
	code = errno;
	use_up_descriptors(false);
	ck_assert_int_eq(r[0], -EMFILE);
	ck_assert_int_eq(r[1], -EMFILE);
	ck_assert_ptr_null(shared);
	ck_assert_int_eq(code, EMFILE);
	event_base_free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-loop");
	TCase *posts = suite_case(suite, "posts"), *deferred = suite_case(suite, "deferred");
	TCase *life = suite_case(suite, "life");

	tcase_add_checked_fixture(posts, start, stop);
	tcase_add_test(posts, posts_of_many_threads_all_run_on_the_loop_each_threads_in_order);
	tcase_add_test(posts, post_wakes_a_loop_that_has_nothing_to_do);
	tcase_add_test(posts, post_may_be_posted_again_while_it_runs);
	tcase_add_test(posts, posts_read_the_clock_of_the_wake_up);
	tcase_add_test(posts, loop_belongs_to_the_thread_that_runs_it);

	tcase_add_checked_fixture(deferred, start, stop);
	tcase_add_test(deferred, deferred_work_runs_once_after_all_that_woke_the_loop);
	tcase_add_test(deferred, deferred_work_may_be_taken_back);
	tcase_add_test(deferred, work_deferred_by_deferred_work_runs_a_turn_later);

	tcase_add_test(life, posts_that_are_left_run_at_the_end_and_new_ones_are_refused);
	tcase_add_test(life, loop_on_a_borrowed_base_leaves_it_usable);
	tcase_add_test(life, clients_of_a_base_share_one_loop);
	tcase_add_test(life, bare_loop_is_woken_by_posts_and_runs_them_when_asked);
	tcase_add_test(life, loops_without_memory_say_so);
	tcase_add_test(life, loops_without_descriptors_say_so);
	return suite_run(suite);
}
