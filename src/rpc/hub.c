/* Who is connected: names, order, limits, and who is told.
 *
 * One lock guards what all loops share: the list of members in the order in which they joined,
 * and the maps behind names and identities. What a user is told runs without it, on the peer's
 * loop, from there: so a callback may do whatever it likes, and what happened twice meanwhile is
 * told as it is now. */

#include "rpc/hub.h"

#include "net/socket.h"
#include "rpc/client.h"
#include "util/alloc.h"
#include "util/error.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PEERS = 65536, NOT_TOLD = -1 };

struct hawser__hub_member {
	struct hawser_hub *hub;
	struct hawser_peer *peer;         /* a reference */
	struct hawser__list link;         /* the hub's, in order; alone: it has left */
	struct hawser__hub_member *older; /* another with a name of the same hash */
	uint64_t name_hash, identity;
	/* The loop's thread alone. */
	struct hawser__deferred tell;
	int told; /* the state that was told last, or NOT_TOLD */
	bool is_changed;
};

struct hawser_hub {
	struct hawser_server *server;
	struct hawser_hub_options options;
	char *service;
	pthread_mutex_t lock;
	struct hawser__list members;
	size_t n_members;
	uint64_t last_number;
	struct hawser__map names;      /* by the name's hash: who joined last */
	struct hawser__map identities; /* how many, as a pointer */
};

struct hawser_server *hawser__hub_server(const struct hawser_hub *hub)
{
	return hub->server;
}

static struct hawser_hub *hub_of(struct hawser__connection *connection)
{
	struct hawser__worker *worker = connection->owner;

	return worker->server->hub;
}

/* FNV-1a, 64 bits (RFC 9923). Names that share a hash are told apart. */
static uint64_t hash_name(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	return hash;
}

/* ---- names and identities; with the lock ---- */

/* Of those who are called so, the one that joined last. A name does not change. */
static struct hawser__hub_member *find(const struct hawser_hub *hub, const char *name)
{
	struct hawser__hub_member *member = hawser__map_find(&hub->names, hash_name(name));

	while (member && strcmp(member->peer->name, name) != 0)
		member = member->older;
	return member;
}

static size_t count_of(const struct hawser_hub *hub, uint64_t identity)
{
	return (size_t)(uintptr_t)hawser__map_find(&hub->identities, identity);
}

static int set_count(struct hawser_hub *hub, uint64_t identity, size_t count)
{
	hawser__map_remove(&hub->identities, identity);
	return count ? hawser__map_insert(&hub->identities, identity, (void *)(uintptr_t)count) : 0;
}

static int enter(struct hawser_hub *hub, struct hawser__hub_member *member)
{
	size_t count = count_of(hub, member->identity);

	member->older = hawser__map_remove(&hub->names, member->name_hash);
	if (set_count(hub, member->identity, count + 1) < 0)
		goto no_memory;
	if (hawser__map_insert(&hub->names, member->name_hash, member) < 0) {
		set_count(hub, member->identity, count);
		goto no_memory;
	}
	member->peer->hub_number = ++hub->last_number;
	member->peer->hub_link = &member->link;
	hawser__list_append(&hub->members, &member->link);
	hub->n_members++;
	return 0;
no_memory:
	/* What was just taken out finds its place again. */
	if (member->older)
		hawser__map_insert(&hub->names, member->name_hash, member->older);
	return -ENOMEM;
}

/* It cannot be found any more. */
static void leave(struct hawser_hub *hub, struct hawser__hub_member *member)
{
	struct hawser__hub_member *first;

	if (hawser__list_empty(&member->link))
		return;
	hawser__list_unlink(&member->link);
	member->peer->hub_link = NULL;
	hub->n_members--;
	set_count(hub, member->identity, count_of(hub, member->identity) - 1);
	first = hawser__map_remove(&hub->names, member->name_hash);
	if (first == member) {
		first = member->older;
	} else {
		struct hawser__hub_member *at = first;

		while (at->older != member)
			at = at->older;
		at->older = member->older;
	}
	/* There was room for the one that has gone. */
	if (first)
		hawser__map_insert(&hub->names, member->name_hash, first);
}

/* ---- closing ---- */

struct closing {
	struct hawser__post post;
	struct hawser_peer *peer; /* a reference */
	char text[128];
};

static void run_closing(struct hawser__loop *loop, struct hawser__post *post)
{
	struct closing *closing = hawser__container_of(post, struct closing, post);
	struct hawser__connection *connection = closing->peer->connection;

	(void)loop;
	if (connection)
		hawser__connection_close(connection, HAWSER__REASON__REASON_REPLACED, "%s",
					 closing->text);
	hawser_peer_unref(closing->peer);
	free(closing);
}

static int close_peer(struct hawser_peer *peer, const char *text)
{
	struct closing *closing = hawser__malloc(sizeof *closing);

	if (!closing)
		return -ENOMEM;
	closing->post.run = run_closing;
	closing->peer = hawser_peer_ref(peer);
	snprintf(closing->text, sizeof closing->text, "%s", text);
	/* From its own thread as well: it may be in the middle of something. */
	if (hawser__peer_post(peer, &closing->post) == 0)
		return 0;
	hawser_peer_unref(peer);
	free(closing);
	return -EPIPE;
}

int hawser_hub_close(struct hawser_hub *hub, struct hawser_peer *peer, const char *text)
{
	/* A client's own peer is its server. */
	if (!hub || !peer || !peer->owns_client)
		return -EINVAL;
	if (atomic_load_explicit(&peer->state, memory_order_relaxed) == HAWSER_PEER_GONE)
		return -EPIPE;
	return close_peer(peer, text ? text : "closed by the server");
}

/* ---- joining ---- */

static bool is_away(const struct hawser_peer *peer)
{
	return atomic_load_explicit(&peer->state, memory_order_relaxed) != HAWSER_PEER_HERE;
}

static bool offers(const Hawser__Hello *hello, const char *service)
{
	for (size_t i = 0; i < hello->n_services; i++)
		if (strcmp(hello->services[i], service) == 0)
			return true;
	return false;
}

/* Whose place one of that name takes; NULL: nobody's, or that is not for it to take. With the lock.
 */
static struct hawser__hub_member *displaced(const struct hawser_hub *hub, const char *name)
{
	struct hawser__hub_member *other = NULL;

	if (hub->options.duplicates != HAWSER_DUPLICATE_ALLOW)
		other = find(hub, name);
	if (other && hub->options.duplicates == HAWSER_DUPLICATE_REFUSE && !is_away(other->peer))
		return NULL;
	return other;
}

/* What keeps it out; NULL: nothing. With the lock. */
static const char *obstacle(const struct hawser_hub *hub, const char *name, uint64_t identity,
			    char *text, size_t size)
{
	const struct hawser__hub_member *other = displaced(hub, name);
	size_t n = hub->n_members, n_alike = count_of(hub, identity);

	if (other) {
		n--;
		n_alike -= other->identity == identity;
	}
	if (!other && hub->options.duplicates == HAWSER_DUPLICATE_REFUSE && find(hub, name))
		snprintf(
			text, size,
			"a peer of the name \"%.64s\" is connected already; give each its own name",
			name);
	else if (n >= hub->options.max_peers)
		snprintf(text, size, "%zu peers are connected, the limit is %u", n,
			 hub->options.max_peers);
	else if (n_alike >= hub->options.max_peers_per_identity)
		snprintf(text, size,
			 "%zu peers of this user or address are connected, the limit is %u",
			 n_alike, hub->options.max_peers_per_identity);
	else
		return NULL;
	return text;
}

bool hawser__hub_admits(struct hawser__connection *connection, const Hawser__Open *open, char *text,
			size_t size)
{
	struct hawser_hub *hub = hub_of(connection);
	const char *why;

	if (!hub || !open->hello || (hub->service && !offers(open->hello, hub->service)))
		return true;
	pthread_mutex_lock(&hub->lock);
	why = obstacle(hub, open->name, hawser__socket_origin(connection->fd), text, size);
	pthread_mutex_unlock(&hub->lock);
	return !why;
}

static void on_tell(struct hawser__deferred *deferred)
{
	struct hawser__hub_member *member =
		hawser__container_of(deferred, struct hawser__hub_member, tell);

	hawser__hub_settle(member->peer);
}

/* Takes a member in, and out the one whose place it takes: a reference to that, or NULL. 0 or
 * -ENOMEM: nothing has changed. With the lock. */
static int take_place(struct hawser_hub *hub, struct hawser__hub_member *member,
		      struct hawser_peer **former)
{
	struct hawser__hub_member *other = displaced(hub, member->peer->name);
	int r = enter(hub, member);

	if (r == 0 && other) {
		leave(hub, other);
		*former = hawser_peer_ref(other->peer);
	}
	return r;
}

void hawser__hub_join(struct hawser__connection *connection)
{
	struct hawser_hub *hub = hub_of(connection);
	struct hawser_peer *peer = connection->peer, *former = NULL;
	struct hawser__hub_member *member;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	const char *why = NULL;

	if (!hub || !peer || peer->member || !peer->hello ||
	    (hub->service && !offers(peer->hello, hub->service)))
		return;
	member = hawser__calloc(1, sizeof *member);
	if (!member) {
		why = "out of memory";
		goto refused;
	}
	member->hub = hub;
	member->told = NOT_TOLD;
	member->name_hash = hash_name(peer->name);
	member->identity = hawser__socket_origin(connection->fd);
	member->tell.run = on_tell;
	hawser__list_init(&member->link);
	hawser__list_init(&member->tell.link);
	member->peer = peer;
	pthread_mutex_lock(&hub->lock);
	/* Others may have come in since it was admitted. */
	why = obstacle(hub, peer->name, member->identity, text, sizeof text);
	if (!why && take_place(hub, member, &former) < 0)
		why = "out of memory";
	pthread_mutex_unlock(&hub->lock);
	if (former) {
		close_peer(former, "another peer of the same name has taken its place");
		hawser_peer_unref(former);
	}
	if (why) {
		free(member);
		goto refused;
	}
	hawser_peer_ref(peer);
	peer->member = member;
	hawser__hub_note(peer, false);
	return;
refused:
	hawser__connection_close(connection, HAWSER__REASON__REASON_REFUSED, "%s", why);
}

/* ---- telling ---- */

void hawser__hub_note(struct hawser_peer *peer, bool is_changed)
{
	struct hawser__hub_member *member = peer->member;

	if (!member)
		return;
	member->is_changed |= is_changed;
	hawser__loop_defer(peer->client->loop, &member->tell);
}

static void tell(struct hawser_hub *hub, hawser_hub_fn *callback, struct hawser_peer *peer)
{
	if (callback)
		callback(peer, hub->options.data);
}

static void member_free(struct hawser__hub_member *member)
{
	struct hawser_peer *peer = member->peer;

	hawser__list_unlink(&member->tell.link);
	pthread_mutex_lock(&member->hub->lock);
	leave(member->hub, member);
	pthread_mutex_unlock(&member->hub->lock);
	peer->member = NULL;
	free(member);
	hawser_peer_unref(peer);
}

void hawser__hub_settle(struct hawser_peer *peer)
{
	struct hawser__hub_member *member = peer->member;
	const struct hawser_hub_options *options;
	struct hawser_hub *hub;
	int state;

	if (!member)
		return;
	hub = member->hub;
	options = &hub->options;
	hawser__list_unlink(&member->tell.link);
	state = atomic_load_explicit(&peer->state, memory_order_relaxed);
	if (state == HAWSER_PEER_GONE) {
		bool was_told = member->told != NOT_TOLD;

		hawser_peer_ref(peer);
		member_free(member);
		if (was_told)
			tell(hub, options->on_gone, peer);
		hawser_peer_unref(peer);
		return;
	}
	hawser_peer_ref(peer);
	if (member->told == NOT_TOLD) {
		member->told = HAWSER_PEER_HERE;
		member->is_changed = false;
		tell(hub, options->on_joined, peer);
	} else if (member->told != state) {
		member->told = state;
		tell(hub, state == HAWSER_PEER_AWAY ? options->on_away : options->on_back, peer);
	} else if (member->is_changed) {
		member->is_changed = false;
		tell(hub, options->on_changed, peer);
	}
	/* One thing at a time; what is left, or has come meanwhile, is next. */
	member = peer->member;
	if (member && (member->is_changed ||
		       member->told != atomic_load_explicit(&peer->state, memory_order_relaxed)))
		hawser__loop_defer(peer->client->loop, &member->tell);
	hawser_peer_unref(peer);
}

/* ---- finding ---- */

static bool has_label(const struct hawser_peer *peer, const char *key, const char *value)
{
	const Hawser__Hello *hello = peer->hello;

	for (size_t i = 0; hello && i < hello->n_labels; i++)
		if (strcmp(hello->labels[i]->key, key) == 0)
			return !value || strcmp(hello->labels[i]->value, value) == 0;
	return false;
}

bool hawser__hub_matches(const struct hawser_hub_filter *filter, struct hawser_peer *peer)
{
	int state = atomic_load_explicit(&peer->state, memory_order_relaxed);
	bool matches;

	if (state == HAWSER_PEER_GONE ||
	    (state == HAWSER_PEER_AWAY && !(filter && filter->includes_away)))
		return false;
	if (!filter || (!filter->name && !filter->service && !filter->label))
		return true;
	pthread_mutex_lock(&peer->lock);
	matches = (!filter->name || strcmp(peer->name, filter->name) == 0) &&
		  (!filter->service || (peer->hello && offers(peer->hello, filter->service))) &&
		  (!filter->label || has_label(peer, filter->label, filter->value));
	pthread_mutex_unlock(&peer->lock);
	return matches;
}

struct hawser_peer *hawser_hub_find(struct hawser_hub *hub, const char *name)
{
	struct hawser__hub_member *member;
	struct hawser_peer *peer = NULL;

	if (!hub || !name)
		return NULL;
	pthread_mutex_lock(&hub->lock);
	member = find(hub, name);
	if (member)
		peer = hawser_peer_ref(member->peer);
	pthread_mutex_unlock(&hub->lock);
	return peer;
}

/* Where to go on behind a peer that may have left. With the lock. */
static struct hawser__list *behind(struct hawser_hub *hub, uint64_t number,
				   struct hawser__list *hint)
{
	struct hawser__list *link = hint;

	if (link)
		return link->next;
	for (link = hub->members.next; link != &hub->members; link = link->next)
		if (hawser__container_of(link, struct hawser__hub_member, link)->peer->hub_number >
		    number)
			break;
	return link;
}

struct hawser_peer *hawser_hub_next(struct hawser_hub *hub, const struct hawser_hub_filter *filter,
				    struct hawser_peer *previous)
{
	struct hawser_peer *found = NULL;
	struct hawser__list *link, *hint = NULL;
	uint64_t number = 0;

	if (!hub) {
		hawser_peer_unref(previous);
		return NULL;
	}
	pthread_mutex_lock(&hub->lock);
	if (previous) {
		number = previous->hub_number;
		hint = previous->hub_link;
	}
	for (link = behind(hub, number, hint); link != &hub->members && !found; link = link->next) {
		struct hawser__hub_member *member =
			hawser__container_of(link, struct hawser__hub_member, link);

		if (hawser__hub_matches(filter, member->peer))
			found = hawser_peer_ref(member->peer);
	}
	pthread_mutex_unlock(&hub->lock);
	hawser_peer_unref(previous);
	return found;
}

size_t hawser_hub_count(struct hawser_hub *hub, const struct hawser_hub_filter *filter)
{
	struct hawser__list *link;
	size_t count = 0;

	if (!hub)
		return 0;
	pthread_mutex_lock(&hub->lock);
	list_for_each (link, &hub->members)
		count += hawser__hub_matches(
			filter, hawser__container_of(link, struct hawser__hub_member, link)->peer);
	pthread_mutex_unlock(&hub->lock);
	return count;
}

/* ---- life ---- */

struct hawser_hub *hawser_hub_new(struct hawser_server *server,
				  const struct hawser_hub_options *options,
				  struct hawser_error *error)
{
	struct hawser_hub_options checked = HAWSER_HUB_OPTIONS_INIT;
	struct hawser_hub *hub;
	int r = 0;

	if (!server)
		r = hawser__error_set(error, -EINVAL, "hub: the server is NULL");
	else if (options && (options->size < sizeof options->size || options->size > 4096))
		r = hawser__error_set(error, -EINVAL,
				      "hub options: size is %zu; start from "
				      "HAWSER_HUB_OPTIONS_INIT",
				      options->size);
	else if (server->phase != HAWSER__SERVER_NEW)
		r = hawser__error_set(error, -EBUSY, "hub: the server runs; make it before that");
	else if (server->hub)
		r = hawser__error_set(error, -EEXIST, "hub: the server has one already");
	if (r == 0 && options)
		memcpy(&checked, options,
		       options->size < sizeof checked ? options->size : sizeof checked);
	if (r == 0 && (unsigned)checked.duplicates > HAWSER_DUPLICATE_ALLOW)
		r = hawser__error_set(error, -EINVAL,
				      "hub options: duplicates %d is none of "
				      "HAWSER_DUPLICATE_REFUSE, _REPLACE and _ALLOW",
				      (int)checked.duplicates);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	hub = hawser__calloc(1, sizeof *hub);
	if (hub && checked.service)
		hub->service = hawser__strdup(checked.service);
	if (!hub || (checked.service && !hub->service)) {
		free(hub);
		hawser__error_set(error, -ENOMEM, "hub: out of memory");
		errno = ENOMEM;
		return NULL;
	}
	hub->server = server;
	hub->options = checked;
	hub->options.service = hub->service;
	if (!hub->options.max_peers)
		hub->options.max_peers = MAX_PEERS;
	if (!hub->options.max_peers_per_identity)
		hub->options.max_peers_per_identity = hub->options.max_peers;
	pthread_mutex_init(&hub->lock, NULL);
	hawser__list_init(&hub->members);
	server->hub = hub;
	return hub;
}

void hawser__hub_free(struct hawser_hub *hub)
{
	if (!hub)
		return;
	hawser__map_deinit(&hub->names);
	hawser__map_deinit(&hub->identities);
	pthread_mutex_destroy(&hub->lock);
	free(hub->service);
	free(hub);
}
