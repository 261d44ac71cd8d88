/* A server with a hub, and remotes: clients that serve it, on one base and one thread with the
 * test. The server is on that base, too, or runs loops of its own on other threads.
 *
 * What the hub tells and what a broadcast brings is counted; the remotes answer at once, or hold
 * their calls until the test says so. */

#ifndef HAWSER_TESTS_RPC_FLEET_H
#define HAWSER_TESTS_RPC_FLEET_H

#include "caller.h"
#include "relay.h"

enum { REMOTES_MOST = 128 };

struct remote {
	struct fleet *fleet;
	struct hawser_client *client;
	struct hawser_call *held; /* the last one */
	unsigned n_served, n_running, n_given_up;
	uint64_t id;   /* of the last request */
	size_t length; /* of its data */
};

struct fleet {
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_hub *hub;
	char directory[128];
	char address[ADDRESS_SIZE]; /* where remotes go */
	pthread_t thread;
	bool has_thread, has_relay;
	struct relay relay;
	bool holds; /* remotes hold what they are asked */
	/** Answers instead of them; may be NULL. */
	void (*serves)(struct remote *remote, struct hawser_call *call);
	unsigned n_running, n_running_most;
	struct remote remotes[REMOTES_MOST];
	unsigned n_remotes;

	/* What the hub told, on any loop. */
	atomic_uint n_joined, n_away, n_back, n_changed, n_gone;
	pthread_mutex_t lock;
	char last[HAWSER_PEER_NAME_SIZE]; /* of whom it told last */
	char told[4096];                  /* all of it: "joined remote-1;"; cut */
	/** Runs in each of the hub's callbacks; may be NULL. */
	void (*on_told)(struct fleet *fleet, const char *what, struct hawser_peer *peer);

	/* What broadcasts brought, on any loop. */
	atomic_uint n_ends, n_done;
	size_t n_replies, n_failed; /* the last one's */
	int64_t sum;
	enum hawser_status status; /* of the last failure */
	enum hawser_outcome outcome;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	/** Runs at the end of each call, and with NULL at that of all; may be NULL. */
	void (*on_end)(struct fleet *fleet, struct hawser_peer *peer_or_null);
	void *data; /* the test's */
};

struct fleet_setup {
	struct hawser_server_options server; /* its base and loops are set here */
	struct hawser_hub_options hub;
	unsigned loops; /* on threads of their own; 0: on the test's base */
	bool has_relay; /* between the remotes and the server */
};

/** The defaults, but for signals, which are left alone. */
struct fleet_setup fleet_setup(void);

/** `setup` may be NULL. */
void fleet_start(struct fleet *fleet, int stamp, const struct fleet_setup *setup);
/** Frees all; whoever has joined must be gone then. */
void fleet_stop(struct fleet *fleet);
/** Frees the server, and with it the hub. */
void fleet_end_server(struct fleet *fleet);

/** Runs the base until a counter has reached a value. */
void fleet_run_until(struct fleet *fleet, const atomic_uint *counter, unsigned value);
/** Runs it once, or for a moment if the server has threads. */
void fleet_turn(struct fleet *fleet);
/** Runs it until something is so. */
#define fleet_until(fleet, condition)      \
	do {                               \
		while (!(condition))       \
			fleet_turn(fleet); \
	} while (0)
/** Everything that is under way has arrived, and has been told of. */
void fleet_settle(struct fleet *fleet);

/** Options of a remote: comes back without long pauses. */
struct hawser_client_options remote_options(const char *name);
/** One that begins to connect. `site` is a label's value; NULL: no label. */
struct remote *remote_add(struct fleet *fleet, const char *name, const char *site);
/** One with options of its own; its base is set here. */
struct remote *remote_add_with(struct fleet *fleet, struct hawser_client_options options);
/** So many, "remote-0" and so on, of "west" and "east" in turn; waits until they have joined. */
void remotes_add(struct fleet *fleet, unsigned count);
/** Frees its client. */
void remote_end(struct remote *remote);
/** Answers the call that it holds. */
void remote_answer(struct remote *remote);
bool remote_is_connected(const struct remote *remote);

/** The member of that name, which there must be: a reference. */
struct hawser_peer *member_of(struct fleet *fleet, const char *name);
struct hawser_peer_info info_of(struct hawser_peer *peer);

/** Calls Echo of all with this request (NULL: an empty one), and counts; as
 * hawser_hub_broadcast(). */
int broadcast(struct fleet *fleet, const struct hawser_hub_filter *filter,
	      const Rpctest__Payload *request, const struct hawser_broadcast_options *options);
/** Waits for the end of so many broadcasts. */
void broadcast_wait(struct fleet *fleet, unsigned count);

#endif /* HAWSER_TESTS_RPC_FLEET_H */
