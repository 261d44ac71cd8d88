/* A client that serves: what it offers, and how its server learns of it.
 *
 * Handlers get their calls from the same connection code as a server's. What is different is only
 * who keeps the connection: a client that serves opens it again however it ended. */

#include "net/fork.h"
#include "rpc/client.h"
#include "rpc/client_wait.h"
#include "rpc/hello.h"
#include "rpc/peer.h"
#include "util/error.h"
#include <errno.h>

enum { MAX_CALLS = 1024 };

/* ---- hello ---- */

static bool make_hello(const struct hawser_client *client, Hawser__Hello *hello)
{
	return hawser__hello_make(hello, &client->registry, client->options.labels,
				  client->options.n_labels, client->options.listens);
}

void hawser__client_add_hello(struct hawser_client *client, Hawser__Open *open,
			      Hawser__Hello *hello)
{
	static Hawser__Hello empty = HAWSER__HELLO__INIT;

	client->has_said_hello = true;
	client->is_introduced = false;
	/* One that offers nothing any more says so, too: its session may know better. */
	if (!make_hello(client, hello) && !hawser__client_serves(client))
		return;
	client->is_introduced = true;
	open->hello = hello;
	if (protobuf_c_message_get_packed_size(&open->base) + HAWSER__FRAME_PREFIX <=
	    HAWSER__FRAME_OPEN_LIMIT)
		return;
	/* What it offers goes by itself, as soon as that is possible; who it is, goes now. */
	open->hello = &empty;
	client->has_said_hello = false;
}

void hawser__client_say_hello(struct hawser_client *client)
{
	Hawser__Hello hello;

	/* One that offers nothing any more says so, too. */
	make_hello(client, &hello);
	if (!client->is_introduced)
		hello.name = client->name;
	/* Without memory the server believes what it was told last. */
	if (hawser__connection_put(client->connection, HAWSER__FRAME_HELLO, &hello.base) == 0)
		client->has_said_hello = client->is_introduced = true;
	hawser__hello_unmake(&hello);
	hawser__connection_flush_soon(client->connection);
}

void hawser__client_hello(struct hawser__connection *connection, const Hawser__Hello *hello)
{
	/* Without memory what it said before stands. */
	hawser__peer_hello(connection, NULL, hello, NULL, connection->owner);
}

/* ---- services ---- */

static int check(struct hawser_client *client, const char *what, struct hawser_error *error)
{
	int r = hawser__client_check(client, error);

	if (r == 0 && client->peer)
		r = hawser__error_set(error, -EPERM,
				      "%s: a peer's client offers nothing; the server does, see "
				      "hawser_server_add()",
				      what);
	return r;
}

/* ---- its handlers ---- */

/* Something was posted, or an alarm is due before the others. */
static void stir(void *data)
{
	struct hawser_client *client = data;

	if (!hawser__loop_is_here(client->loop)) {
		/* Whoever has the lock runs what was posted, on the way out. */
		hawser__client_lock(client);
		hawser__client_unlock(client);
		return;
	}
	pthread_cond_signal(&client->keeper_wake);
	if (client->reader == HAWSER__READER_KEEPER && client->is_receiving)
		hawser__loop_wake(client->loop);
}

/* Threads for handlers that may block. Without a base all run there: who receives has the client's
 * lock, and must not wait. */
static int begin_pool(struct hawser_client *client)
{
	const struct hawser_client_options *options = &client->options;
	struct hawser__worker_pool_setup setup = hawser__default_pool;
	int r = options->base ? 0 : hawser__loop_watch_bare(client->loop, stir, client);

	if (options->worker_threads)
		setup.max_threads = options->worker_threads;
	if (options->worker_queue)
		setup.max_queued = options->worker_queue;
	return r < 0 ? r : hawser__dispatch_init(&client->dispatch, &setup);
}

static void set_pooled(struct hawser__entry *entry, void *data)
{
	(void)data;
	entry->stages |= 1u << HAWSER__STAGE_POOL;
}

static int begin(struct hawser_client *client)
{
	struct hawser__serving *serving = &client->serving;
	int r;

	if (!serving->loop) {
		r = begin_pool(client);
		if (r < 0)
			return r;
		hawser__serving_init(serving, client->loop, &client->registry, &client->dispatch);
		serving->max_request_bytes = client->options.max_reply_bytes;
		serving->max_reply_bytes = client->options.max_request_bytes;
		serving->max_calls =
			client->options.max_calls ? client->options.max_calls : MAX_CALLS;
	}
	if (client->connection)
		client->connection->serving = serving;
	return 0;
}

static void changed(struct hawser_client *client)
{
	if (client->connection && hawser__connection_is_open(client->connection))
		hawser__client_say_hello(client);
	else
		/* An open that is under way tells what was so before. */
		client->has_said_hello = false;
}

static int add(struct hawser_client *client, const struct hawser_service *service,
	       const void *handlers, void *data, struct hawser_error *error)
{
	int r = begin(client);

	if (r < 0)
		return hawser__error_set(error, r, "register: out of memory");
	r = hawser__registry_add(&client->registry, service, handlers, data, error);
	if (r < 0)
		return r;
	if (!client->options.base)
		hawser__registry_each(&client->registry, service->name, set_pooled, NULL);
	changed(client);
	return 0;
}

int hawser_client_add(struct hawser_client *client, const struct hawser_service *service,
		      const void *handlers, void *data, struct hawser_error *error)
{
	int r = check(client, "register", error);

	if (r < 0)
		return r;
	hawser__client_lock(client);
	r = add(client, service, handlers, data, error);
	hawser__client_unlock(client);
	return r;
}

int hawser_client_remove(struct hawser_client *client, const struct hawser_service *service,
			 struct hawser_error *error)
{
	int r = check(client, "withdraw", error);

	if (r < 0)
		return r;
	if (!service)
		return hawser__error_set(error, -EINVAL, "withdraw: the service is NULL");
	hawser__client_lock(client);
	r = hawser__registry_remove(&client->registry, service);
	if (r == 0)
		changed(client);
	hawser__client_unlock(client);
	return r < 0 ? hawser__error_set(error, r, "withdraw %s: the client does not offer it",
					 service->name)
		     : 0;
}

void hawser__client_end_serving(struct hawser_client *client)
{
	if (client->serving.loop) {
		/* Their calls are cancelled by now. What they say at the end is posted. */
		hawser__dispatch_stop(&client->dispatch);
		hawser__client_lock(client);
		hawser__loop_run_posts(client->loop);
		hawser__client_unlock(client);
		hawser__dispatch_deinit(&client->dispatch);
		hawser__serving_deinit(&client->serving);
	}
	hawser__registry_deinit(&client->registry);
}

struct hawser_peer *hawser_client_peer(struct hawser_client *client)
{
	struct hawser_peer *peer = NULL;

	if (hawser__client_check(client, NULL) < 0)
		return NULL;
	if (client->peer)
		return hawser_peer_ref(client->peer);
	hawser__client_lock(client);
	if (client->connection)
		peer = hawser_peer_ref(client->connection->peer);
	hawser__client_unlock(client);
	return peer;
}
