/* Peers and what they say of themselves; peer.h gives the idea. */

#include "rpc/peer.h"

#include "rpc/client.h"
#include "rpc/hub.h"
#include "rpc/incoming.h"
#include "util/alloc.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The numbers of pings that measure a round trip: this bit, and when they were sent. */
#define PROBE_BIT (UINT64_C(1) << 61)

/* Of all lists of peers; held for a moment only. */
static pthread_mutex_t lists_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- references ---- */

struct hawser_peer *hawser_peer_ref(struct hawser_peer *peer)
{
	if (peer)
		atomic_fetch_add_explicit(&peer->references, 1, memory_order_relaxed);
	return peer;
}

void hawser_peer_unref(struct hawser_peer *peer)
{
	if (!peer || atomic_fetch_sub_explicit(&peer->references, 1, memory_order_acq_rel) > 1)
		return;
	pthread_mutex_lock(&lists_lock);
	hawser__list_unlink(&peer->link);
	pthread_mutex_unlock(&lists_lock);
	if (peer->hello)
		hawser__hello__free_unpacked(peer->hello, NULL);
	if (peer->owns_client)
		hawser__client_of_peer_free(peer->client);
	pthread_mutex_destroy(&peer->lock);
	free(peer);
}

/* One that is on its way out is not to be had any more. With the lists' lock. */
static bool ref_living(struct hawser_peer *peer)
{
	unsigned count = atomic_load_explicit(&peer->references, memory_order_relaxed);

	while (count)
		if (atomic_compare_exchange_weak_explicit(&peer->references, &count, count + 1,
							  memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	return false;
}

static struct hawser_peer *peer_new(struct hawser__connection *connection,
				    struct hawser__peers *peers, struct hawser_client *client)
{
	struct hawser_peer *peer = hawser__calloc(1, sizeof *peer);

	if (!peer)
		return NULL;
	peer->client = client;
	if (!client) {
		peer->client = hawser__client_of_peer_new(peer, connection, &peers->limits);
		peer->owns_client = true;
	}
	if (!peer->client) {
		free(peer);
		return NULL;
	}
	atomic_init(&peer->references, 1);
	atomic_init(&peer->state, HAWSER_PEER_HERE);
	atomic_init(&peer->heard_ms, connection->loop->now_ms);
	atomic_init(&peer->rtt_us, 0);
	peer->begun_ms = connection->loop->now_ms;
	pthread_mutex_init(&peer->lock, NULL);
	peer->loop = connection->loop;
	peer->connection = connection;
	hawser__list_init(&peer->link);
	if (peers) {
		pthread_mutex_lock(&lists_lock);
		hawser__list_append(&peers->list, &peer->link);
		pthread_mutex_unlock(&lists_lock);
	}
	connection->peer = peer;
	return peer;
}

/* ---- hello ---- */

/* A copy on its own. *copy is NULL without memory, and when it says too much. 0 or -ENOMEM. */
static int copy_hello(const Hawser__Hello *hello, const char *name, Hawser__Hello **copy)
{
	size_t length = protobuf_c_message_get_packed_size(&hello->base);
	uint8_t *packed;

	*copy = NULL;
	if (length > HAWSER__HELLO_BYTES) {
		hawser__log(HAWSER_LOG_WARNING,
			    "\"%.128s\" says hello in %zu bytes, and up to %d are kept: what it "
			    "offers is not known; give it fewer or shorter labels",
			    name, length, HAWSER__HELLO_BYTES);
		return 0;
	}
	packed = hawser__malloc(length + !length);
	if (!packed)
		return -ENOMEM;
	protobuf_c_message_pack(&hello->base, packed);
	*copy = hawser__hello__unpack(NULL, length, packed);
	free(packed);
	return *copy ? 0 : -ENOMEM;
}

static bool says_the_same(const Hawser__Hello *hello, const Hawser__Hello *other)
{
	if (hello->n_services != other->n_services || hello->n_labels != other->n_labels ||
	    strcmp(hello->address, other->address) != 0)
		return false;
	for (size_t i = 0; i < hello->n_services; i++)
		if (strcmp(hello->services[i], other->services[i]) != 0)
			return false;
	for (size_t i = 0; i < hello->n_labels; i++)
		if (strcmp(hello->labels[i]->key, other->labels[i]->key) != 0 ||
		    strcmp(hello->labels[i]->value, other->labels[i]->value) != 0)
			return false;
	return true;
}

int hawser__peer_hello(struct hawser__connection *connection, const char *name,
		       const Hawser__Hello *hello, struct hawser__peers *peers,
		       struct hawser_client *client)
{
	struct hawser_peer *peer = connection->peer;
	Hawser__Hello *copy, *old;
	bool is_changed;
	int r = copy_hello(hello, name ? name : peer ? peer->name : "", &copy);

	if (r == 0 && !peer) {
		peer = peer_new(connection, peers, client);
		r = peer ? 0 : -ENOMEM;
	}
	if (r < 0) {
		if (copy)
			hawser__hello__free_unpacked(copy, NULL);
		return r;
	}
	pthread_mutex_lock(&peer->lock);
	old = peer->hello;
	peer->hello = copy;
	/* The hub finds it by the name that it came with. */
	if (name && !peer->member)
		snprintf(peer->name, sizeof peer->name, "%s", name);
	hawser__connection_peer(connection, peer->address, sizeof peer->address);
	pthread_mutex_unlock(&peer->lock);
	/* Whoever comes back says again what it said before. */
	is_changed = old && copy ? !says_the_same(old, copy) : old != copy;
	if (old)
		hawser__hello__free_unpacked(old, NULL);
	/* The next call of each method looks again. */
	connection->last_method = NULL;
	hawser__hub_note(peer, is_changed);
	return 0;
}

static bool offers(const struct hawser_peer *peer, const char *service, size_t length)
{
	const Hawser__Hello *hello = peer->hello;

	for (size_t i = 0; hello && i < hello->n_services; i++)
		if (strncmp(hello->services[i], service, length) == 0 &&
		    !hello->services[i][length])
			return true;
	return false;
}

static const char *list_services(const struct hawser_peer *peer, char *buffer, size_t size)
{
	const Hawser__Hello *hello = peer->hello;
	size_t length = 0;

	buffer[0] = 0;
	for (size_t i = 0; hello && i < hello->n_services && length < size; i++)
		length += (size_t)snprintf(buffer + length, size - length, "%s%s", i ? ", " : "",
					   hello->services[i]);
	return buffer;
}

bool hawser__peer_lacks(struct hawser_peer *peer, const struct hawser_method *method, char *text,
			size_t size)
{
	/* The service is what stands before the slash. */
	size_t length = strcspn(method->name, "/");
	char services[160];
	bool lacks;

	/* Written on this thread alone: to read it needs no lock. */
	lacks = peer->hello && !offers(peer, method->name, length);
	if (lacks && peer->hello->n_services)
		snprintf(text, size, "%s: the peer \"%.64s\" does not offer %.*s; it offers %s",
			 method->name, peer->name, (int)length, method->name,
			 list_services(peer, services, sizeof services));
	else if (lacks)
		snprintf(text, size, "%s: the peer \"%.64s\" offers no services", method->name,
			 peer->name);
	return lacks;
}

/* ---- here, away, gone ---- */

void hawser__peer_set_state(struct hawser__connection *connection, enum hawser_peer_state state)
{
	struct hawser_peer *peer = connection->peer;

	if (!peer)
		return;
	atomic_store_explicit(&peer->state, state, memory_order_relaxed);
	hawser__hub_note(peer, false);
	if (state != HAWSER_PEER_HERE)
		return;
	atomic_store_explicit(&peer->heard_ms, connection->loop->now_ms, memory_order_relaxed);
	pthread_mutex_lock(&peer->lock);
	hawser__connection_peer(connection, peer->address, sizeof peer->address);
	pthread_mutex_unlock(&peer->lock);
}

void hawser__peer_gone(struct hawser__connection *connection)
{
	struct hawser_peer *peer = connection->peer;

	if (!peer)
		return;
	atomic_store_explicit(&peer->state, HAWSER_PEER_GONE, memory_order_relaxed);
	hawser__hub_note(peer, false);
	peer->connection = NULL;
	connection->peer = NULL;
	if (peer->owns_client)
		peer->client->connection = NULL;
	else
		/* A client's own peer has no loop to be called on but the client's. */
		peer->loop = NULL;
	hawser_peer_unref(peer);
}

static struct hawser_peer *next_living(struct hawser__peers *peers)
{
	struct hawser_peer *found = NULL;
	struct hawser__list *link;

	pthread_mutex_lock(&lists_lock);
	list_for_each (link, &peers->list) {
		struct hawser_peer *peer = hawser__container_of(link, struct hawser_peer, link);

		if (ref_living(peer)) {
			found = peer;
			break;
		}
	}
	if (found)
		hawser__list_unlink(&found->link);
	pthread_mutex_unlock(&lists_lock);
	return found;
}

void hawser__peers_end(struct hawser__peers *peers)
{
	struct hawser_peer *peer;

	while ((peer = next_living(peers))) {
		hawser__client_of_peer_end(peer->client);
		hawser__hub_settle(peer);
		pthread_mutex_lock(&peer->lock);
		peer->loop = NULL;
		pthread_mutex_unlock(&peer->lock);
		hawser_peer_unref(peer);
	}
	/* Those that are on their way out find themselves in no list. */
	pthread_mutex_lock(&lists_lock);
	while (!hawser__list_empty(&peers->list))
		hawser__list_unlink(peers->list.next);
	pthread_mutex_unlock(&lists_lock);
}

int hawser__peer_post(struct hawser_peer *peer, struct hawser__post *post)
{
	int r = -EPIPE;

	pthread_mutex_lock(&peer->lock);
	if (peer->loop)
		r = hawser__loop_post(peer->loop, post);
	pthread_mutex_unlock(&peer->lock);
	return r;
}

/* ---- the round trip ---- */

void hawser__peer_probe(struct hawser__connection *connection)
{
	/* Without memory it is measured the next time. */
	if (connection->peer)
		hawser__connection_put_number(connection, HAWSER__FRAME_PING,
					      PROBE_BIT | hawser__now_us());
}

bool hawser__peer_ponged(struct hawser__connection *connection, uint64_t number)
{
	uint64_t now_us = hawser__now_us(), sent_us = number & ~PROBE_BIT;

	if (!(number & PROBE_BIT) || !connection->peer || sent_us > now_us)
		return false;
	atomic_store_explicit(&connection->peer->rtt_us, now_us - sent_us ? now_us - sent_us : 1,
			      memory_order_relaxed);
	return true;
}

/* ---- what users ask ---- */

struct hawser_peer *hawser_call_from(const struct hawser_call *call)
{
	const struct hawser__incoming *incoming = hawser__incoming_of(call);

	if (!incoming)
		return NULL;
	if (incoming->peer)
		return hawser_peer_ref(incoming->peer);
	return hawser_peer_ref(hawser__loop_is_here(incoming->serving->loop) && incoming->connection
				       ? incoming->connection->peer
				       : NULL);
}

struct hawser_client *hawser_peer_client(struct hawser_peer *peer)
{
	return peer ? peer->client : NULL;
}

void hawser_peer_get_info(struct hawser_peer *peer, struct hawser_peer_info *info)
{
	struct hawser_peer_info now = {.size = sizeof now};
	uint64_t now_ms = hawser__now_ms(), heard_ms;

	if (!peer || !info || info->size < sizeof info->size)
		return;
	heard_ms = atomic_load_explicit(&peer->heard_ms, memory_order_relaxed);
	now.state =
		(enum hawser_peer_state)atomic_load_explicit(&peer->state, memory_order_relaxed);
	now.age_ms = now_ms > peer->begun_ms ? now_ms - peer->begun_ms : 0;
	now.quiet_ms = now_ms > heard_ms ? now_ms - heard_ms : 0;
	now.rtt_us = atomic_load_explicit(&peer->rtt_us, memory_order_relaxed);
	pthread_mutex_lock(&peer->lock);
	snprintf(now.name, sizeof now.name, "%s", peer->name);
	snprintf(now.address, sizeof now.address, "%s", peer->address);
	if (peer->hello)
		snprintf(now.listens, sizeof now.listens, "%s", peer->hello->address);
	pthread_mutex_unlock(&peer->lock);
	now.size = info->size < sizeof now ? info->size : sizeof now;
	memcpy(info, &now, now.size);
}

bool hawser_peer_offers(struct hawser_peer *peer, const char *service)
{
	bool does;

	if (!peer || !service)
		return false;
	pthread_mutex_lock(&peer->lock);
	does = offers(peer, service, strlen(service));
	pthread_mutex_unlock(&peer->lock);
	return does;
}

const char *hawser_peer_label(struct hawser_peer *peer, const char *key, char *buffer, size_t size)
{
	const char *found = NULL;

	if (!peer || !key || !buffer || !size)
		return NULL;
	pthread_mutex_lock(&peer->lock);
	for (size_t i = 0; peer->hello && i < peer->hello->n_labels && !found; i++)
		if (strcmp(peer->hello->labels[i]->key, key) == 0)
			found = peer->hello->labels[i]->value;
	if (found)
		snprintf(buffer, size, "%s", found);
	pthread_mutex_unlock(&peer->lock);
	return found ? buffer : NULL;
}

const char *hawser_peer_labels(struct hawser_peer *peer, char *buffer, size_t size)
{
	const Hawser__Hello *hello;
	size_t length = 0;

	if (!buffer || !size)
		return "";
	buffer[0] = 0;
	if (!peer)
		return buffer;
	pthread_mutex_lock(&peer->lock);
	hello = peer->hello;
	for (size_t i = 0; hello && i < hello->n_labels && length < size; i++)
		length += (size_t)snprintf(buffer + length, size - length, "%s%s=%s", i ? ", " : "",
					   hello->labels[i]->key, hello->labels[i]->value);
	pthread_mutex_unlock(&peer->lock);
	return buffer;
}

const char *hawser_peer_services(struct hawser_peer *peer, char *buffer, size_t size)
{
	if (!buffer || !size)
		return "";
	buffer[0] = 0;
	if (!peer)
		return buffer;
	pthread_mutex_lock(&peer->lock);
	list_services(peer, buffer, size);
	pthread_mutex_unlock(&peer->lock);
	return buffer;
}
