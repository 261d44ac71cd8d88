/* Posts, deferred work and alarms around an event_base; loop.h says what for. */

#include "net/loop.h"

#include "net/block.h"
#include "net/fork.h"
#include "util/alloc.h"
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

uint64_t hawser__now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t hawser__now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t hawser__loop_update_now(struct hawser__loop *loop)
{
	return loop->now_ms = hawser__now_ms();
}

/* ---- posts: work from other threads ---- */

static void run_posts(struct hawser__loop *loop)
{
	struct hawser__post *post;

	pthread_mutex_lock(&loop->post_lock);
	post = loop->posts;
	loop->posts = NULL;
	loop->posts_end = &loop->posts;
	pthread_mutex_unlock(&loop->post_lock);

	while (post) {
		struct hawser__post *next = post->next;

		post->run(loop, post);
		post = next;
	}
}

void hawser__loop_run_posts(struct hawser__loop *loop)
{
	uint64_t count;

	/* Reset before looking: what is posted from now on wakes the loop again. */
	if (read(loop->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
		return;
	hawser__loop_update_now(loop);
	run_posts(loop);
}

static void on_wake(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	hawser__loop_adopt(data);
	hawser__loop_run_posts(data);
}

void hawser__loop_wake(struct hawser__loop *loop)
{
	static const uint64_t one = 1;

	/* It fails only when the counter is full, and then the loop is awake. */
	if (write(loop->wake_fd, &one, sizeof one) < 0)
		return;
}

int hawser__loop_post(struct hawser__loop *loop, struct hawser__post *post)
{
	void (*stir)(void *data) = NULL;
	int r = 0;

	post->next = NULL;
	pthread_mutex_lock(&loop->post_lock);
	if (loop->closed) {
		r = -EPIPE;
	} else {
		bool was_empty = !loop->posts;

		*loop->posts_end = post;
		loop->posts_end = &post->next;
		stir = loop->stir;
		/* Under the lock, so that the descriptor cannot be closed meanwhile. */
		if (was_empty && !stir)
			hawser__loop_wake(loop);
	}
	pthread_mutex_unlock(&loop->post_lock);
	/* Who has entered runs it on the way out. */
	if (stir && !hawser__loop_is_here(loop))
		stir(loop->stir_data);
	return r;
}

/* ---- deferred work: one write per wake-up ---- */

static void on_deferred(evutil_socket_t fd, short what, void *data)
{
	static const struct timeval at_once = {0, 0};
	struct hawser__loop *loop = data;
	struct hawser__list now;

	(void)fd;
	(void)what;
	hawser__list_init(&now);
	while (!hawser__list_empty(&loop->deferred))
		hawser__list_move(&now, loop->deferred.next);
	/* What is put off meanwhile waits for the next turn, or a callback that tries
	 * again and again would keep the loop from its sockets and timers. */
	while (!hawser__list_empty(&now)) {
		struct hawser__deferred *deferred =
			hawser__container_of(now.next, struct hawser__deferred, link);

		hawser__list_unlink(&deferred->link);
		deferred->run(deferred);
	}
	loop->deferred_active = !hawser__list_empty(&loop->deferred);
	if (loop->deferred_active)
		event_add(&loop->deferred_event, &at_once);
}

static bool has_posts(struct hawser__loop *loop)
{
	bool has;

	pthread_mutex_lock(&loop->post_lock);
	has = loop->posts != NULL;
	pthread_mutex_unlock(&loop->post_lock);
	return has;
}

void hawser__loop_run_deferred(struct hawser__loop *loop)
{
	for (;;) {
		while (!hawser__list_empty(&loop->deferred)) {
			struct hawser__deferred *deferred = hawser__container_of(
				loop->deferred.next, struct hawser__deferred, link);

			hawser__list_unlink(&deferred->link);
			deferred->run(deferred);
		}
		if (!loop->stir || !has_posts(loop))
			return;
		hawser__loop_update_now(loop);
		run_posts(loop);
	}
}

void hawser__loop_defer(struct hawser__loop *loop, struct hawser__deferred *deferred)
{
	if (!hawser__list_empty(&deferred->link))
		return;
	hawser__list_append(&loop->deferred, &deferred->link);
	if (!loop->deferred_active && loop->base) {
		loop->deferred_active = true;
		event_active(&loop->deferred_event, EV_TIMEOUT, 1);
	}
}

/* ---- alarms: one timer for all deadlines ---- */

static void arm(struct hawser__loop *loop, uint64_t due_ms)
{
	uint64_t wait_ms = due_ms > loop->now_ms ? due_ms - loop->now_ms : 0;
	struct timeval wait = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};

	loop->armed_ms = due_ms;
	event_add(&loop->alarm_event, &wait);
}

uint64_t hawser__loop_run_alarms(struct hawser__loop *loop)
{
	uint64_t now_ms = hawser__loop_update_now(loop);
	struct hawser__timer *timer;

	if (!loop->wheel)
		return UINT64_MAX;
	loop->armed_ms = 0; /* alarms set meanwhile need not arm: that is done below */
	while ((timer = hawser__wheel_due(loop->wheel, now_ms))) {
		struct hawser__alarm *alarm =
			hawser__container_of(timer, struct hawser__alarm, timer);

		alarm->run(alarm);
	}
	loop->armed_ms = hawser__wheel_next_ms(loop->wheel);
	return loop->armed_ms;
}

static void on_alarm(evutil_socket_t fd, short what, void *data)
{
	struct hawser__loop *loop = data;
	uint64_t next_ms = hawser__loop_run_alarms(loop);

	(void)fd;
	(void)what;
	if (next_ms != UINT64_MAX)
		arm(loop, next_ms);
}

void hawser__loop_set_alarm(struct hawser__loop *loop, struct hawser__alarm *alarm, uint64_t due_ms)
{
	if (!loop->wheel)
		return;
	hawser__wheel_set(loop->wheel, &alarm->timer, due_ms);
	if (due_ms >= loop->armed_ms)
		return;
	if (loop->base) {
		arm(loop, due_ms);
	} else {
		loop->armed_ms = due_ms;
		loop->stir(loop->stir_data);
	}
}

void hawser__loop_clear_alarm(struct hawser__loop *loop, struct hawser__alarm *alarm)
{
	/* The timer stays armed: to fire once for nothing is cheaper than to move
	 * it with every call. */
	if (loop->wheel)
		hawser__wheel_clear(loop->wheel, &alarm->timer);
}

/* ---- the loop ---- */

/* Its address tells threads apart. */
static _Thread_local char this_thread;

bool hawser__loop_is_here(const struct hawser__loop *loop)
{
	if (loop->base)
		return pthread_equal(__atomic_load_n(&loop->thread, __ATOMIC_RELAXED),
				     pthread_self());
	/* Nobody but this thread can have put its own name there. */
	return atomic_load_explicit(&loop->entered, memory_order_relaxed) == &this_thread;
}

void hawser__loop_enter(struct hawser__loop *loop)
{
	atomic_store_explicit(&loop->entered, &this_thread, memory_order_relaxed);
}

void hawser__loop_leave(struct hawser__loop *loop)
{
	atomic_store_explicit(&loop->entered, NULL, memory_order_relaxed);
}

void hawser__loop_adopt(struct hawser__loop *loop)
{
	/* Other threads may ask meanwhile. */
	if (!hawser__loop_is_here(loop))
		__atomic_store_n(&loop->thread, pthread_self(), __ATOMIC_RELAXED);
}

int hawser__loop_init_bare(struct hawser__loop *loop)
{
	memset(loop, 0, sizeof *loop);
	hawser__list_init(&loop->deferred);
	loop->posts_end = &loop->posts;
	loop->wake_fd = -1;
	loop->thread = pthread_self();
	loop->scratch = hawser__malloc(HAWSER__READ_BYTES);
	if (!loop->scratch)
		return -ENOMEM;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		int r = -errno;

		free(loop->scratch);
		loop->scratch = NULL;
		return r;
	}
	pthread_mutex_init(&loop->post_lock, NULL);
	hawser__loop_update_now(loop);
	return 0;
}

int hawser__loop_watch_bare(struct hawser__loop *loop, void (*stir)(void *data), void *data)
{
	if (!loop->wheel) {
		loop->wheel = hawser__malloc(sizeof *loop->wheel);
		if (!loop->wheel)
			return -ENOMEM;
		hawser__wheel_init(loop->wheel, loop->now_ms);
		loop->armed_ms = UINT64_MAX;
	}
	pthread_mutex_lock(&loop->post_lock);
	loop->stir_data = data;
	loop->stir = stir;
	pthread_mutex_unlock(&loop->post_lock);
	return 0;
}

int hawser__loop_init(struct hawser__loop *loop, struct event_base *base)
{
	int r = hawser__loop_init_bare(loop);

	if (r < 0)
		return r;
	loop->wheel = hawser__malloc(sizeof *loop->wheel);
	if (!loop->wheel) {
		r = -ENOMEM;
		goto fail;
	}
	hawser__wheel_init(loop->wheel, loop->now_ms);
	loop->armed_ms = UINT64_MAX;
	if (!base) {
		struct event_config *config = event_config_new();

		/* One thread runs it, so it needs no lock. */
		if (config)
			event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		base = config ? event_base_new_with_config(config) : NULL;
		if (config)
			event_config_free(config);
		loop->owns_base = true;
	}
	if (!base) {
		r = -ENOMEM;
		goto fail;
	}
	loop->base = base;
	event_assign(&loop->wake_event, base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	event_assign(&loop->alarm_event, base, -1, 0, on_alarm, loop);
	event_assign(&loop->deferred_event, base, -1, 0, on_deferred, loop);
	if (event_add(&loop->wake_event, NULL) < 0) {
		r = -ENOMEM;
		goto fail;
	}
	return 0;
fail:
	hawser__loop_deinit(loop);
	return r;
}

void hawser__loop_deinit(struct hawser__loop *loop)
{
	if (!loop->scratch)
		return;
	pthread_mutex_lock(&loop->post_lock);
	loop->closed = true;
	pthread_mutex_unlock(&loop->post_lock);
	run_posts(loop);
	if (loop->base) {
		event_del(&loop->wake_event);
		event_del(&loop->alarm_event);
		event_del(&loop->deferred_event);
		if (loop->owns_base)
			event_base_free(loop->base);
	}
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->post_lock);
	hawser__pool_deinit(&loop->pool);
	hawser__blocks_end(loop);
	free(loop->wheel);
	free(loop->scratch);
	memset(loop, 0, sizeof *loop);
}

/* ---- sharing ---- */

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hawser__list shared = {&shared, &shared};

struct hawser__loop *hawser__loop_share(struct event_base *base)
{
	unsigned generation = hawser__fork_generation();
	struct hawser__loop *loop = NULL;
	struct hawser__list *link;
	int r;

	pthread_mutex_lock(&shared_lock);
	list_for_each (link, &shared) {
		struct hawser__loop *other = hawser__container_of(link, struct hawser__loop, link);

		/* A forked child's copies of its parent's loops are of no use. */
		if (other->base == base && other->fork_generation == generation)
			loop = other;
	}
	if (!loop) {
		loop = hawser__malloc(sizeof *loop);
		r = loop ? hawser__loop_init(loop, base) : -ENOMEM;
		if (r < 0) {
			free(loop);
			loop = NULL;
			errno = -r;
		} else {
			loop->fork_generation = generation;
			hawser__list_append(&shared, &loop->link);
		}
	}
	if (loop)
		loop->shares++;
	pthread_mutex_unlock(&shared_lock);
	return loop;
}

void hawser__loop_unshare(struct hawser__loop *loop)
{
	bool is_last;

	pthread_mutex_lock(&shared_lock);
	is_last = --loop->shares == 0;
	if (is_last)
		hawser__list_unlink(&loop->link);
	pthread_mutex_unlock(&shared_lock);
	if (is_last) {
		hawser__loop_deinit(loop);
		free(loop);
	}
}
