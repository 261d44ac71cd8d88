/* One thread per look-up that needs one; resolver.h says why. */

#include "net/resolver.h"

#include "util/alloc.h"
#include <errno.h>
#include <signal.h>

/* Shared by the loop's thread and the look-up's own: freed by the one that lets go last. */
struct hawser__resolve {
	struct hawser__post post;
	pthread_mutex_t lock;
	struct hawser__loop *loop; /* NULL: cancelled */
	hawser__resolve_fn *callback;
	void *data;
	struct hawser__address address;
	struct addrinfo *list;
	struct hawser_error error;
};

static void resolve_free(struct hawser__resolve *resolve)
{
	hawser__address_free(resolve->list);
	pthread_mutex_destroy(&resolve->lock);
	free(resolve);
}

static void deliver(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__resolve *resolve = hawser__container_of(post, struct hawser__resolve, post);
	struct addrinfo *list = resolve->list;

	(void)loop;
	/* The other thread posts under the lock: wait until it has let go. */
	pthread_mutex_lock(&resolve->lock);
	pthread_mutex_unlock(&resolve->lock);
	if (resolve->loop) {
		resolve->list = NULL;
		resolve->callback(resolve->data, list, &resolve->error);
	}
	resolve_free(resolve);
}

static void *look_up(void *data)
{
	struct hawser__resolve *resolve = data;
	bool cancelled;

	if (hawser__address_resolve(&resolve->address, false, false, &resolve->list,
				    &resolve->error) < 0)
		resolve->list = NULL;

	pthread_mutex_lock(&resolve->lock);
	cancelled = !resolve->loop || hawser__loop_post(resolve->loop, &resolve->post) < 0;
	pthread_mutex_unlock(&resolve->lock);
	if (cancelled)
		resolve_free(resolve);
	return NULL;
}

int hawser__resolve_start(struct hawser__loop *loop, const struct hawser__address *address,
			  hawser__resolve_fn *callback, void *data,
			  struct hawser__resolve **resolve)
{
	struct hawser_error error = {.status = HAWSER_OK};
	struct addrinfo *list = NULL;
	struct hawser__resolve *started;
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;
	int r = hawser__address_resolve(address, false, true, &list, &error);

	*resolve = NULL;
	if (r != -EAGAIN) {
		callback(data, r < 0 ? NULL : list, &error);
		return 0;
	}
	started = hawser__calloc(1, sizeof *started);
	if (!started)
		return -ENOMEM;
	started->post.run = deliver;
	started->loop = loop;
	started->callback = callback;
	started->data = data;
	started->address = *address;
	pthread_mutex_init(&started->lock, NULL);

	/* The program's signals are for the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attributes, look_up, started);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		resolve_free(started);
		return -r;
	}
	*resolve = started;
	return 0;
}

void hawser__resolve_cancel(struct hawser__resolve *resolve)
{
	if (!resolve)
		return;
	/* Whoever comes next, the thread or the post, sees it and frees. */
	pthread_mutex_lock(&resolve->lock);
	resolve->loop = NULL;
	pthread_mutex_unlock(&resolve->lock);
}
