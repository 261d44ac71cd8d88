/* Who is let in to go on with a session, and which one goes first when there are too many. */

#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "wire/store.h"
#include <errno.h>
#include <string.h>

enum { SESSIONS = 200 };

static struct hawser__pool pool;
static struct hawser__store store;

/* A session and its entry, as an owner has them. */
struct owner {
	struct hawser__session session;
	struct hawser__kept kept;
	bool is_entered;
	uint64_t left; /* when it went away; 0: it did not */
};

static struct owner owners[SESSIONS];

static void start(void)
{
	memset(&pool, 0, sizeof pool);
	memset(owners, 0, sizeof owners);
	hawser__store_init(&store);
	for (size_t i = 0; i < SESSIONS; i++) {
		struct owner *owner = &owners[i];

		hawser__session_init(&owner->session, true, 1000, &pool);
		owner->kept.session = &owner->session;
		owner->kept.owner = owner;
		owner->kept.identity = i % 3;
	}
}

static void stop(void)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		hawser__store_remove(&store, &owners[i].kept);
		hawser__session_deinit(&owners[i].session);
	}
	ck_assert_uint_eq(hawser__store_count(&store), 0);
	ck_assert_uint_eq(store.n_away, 0);
	ck_assert_uint_eq(store.away_bytes, 0);
	ck_assert_ptr_null(hawser__store_oldest(&store));
	hawser__store_deinit(&store);
	hawser__pool_deinit(&pool);
}

static int enter(struct owner *owner)
{
	uint8_t random[HAWSER__STORE_RANDOM_BYTES];
	int r;

	random_fill(random, sizeof random);
	r = hawser__store_enter(&store, &owner->kept, random);
	owner->is_entered = r == 0;
	return r;
}

/* As a client asks that has what it was given. */
static Hawser__Session asked_by(struct owner *owner)
{
	Hawser__Session asked = HAWSER__SESSION__INIT;

	asked.id = owner->session.id;
	asked.token = (ProtobufCBinaryData){HAWSER__TOKEN_BYTES, owner->session.token};
	return asked;
}

static struct hawser__kept *find(const Hawser__Session *asked, uint64_t identity)
{
	return hawser__store_find(&store, asked, identity);
}

/* ---- who is let in ---- */

START_TEST(entered_session_has_an_id_and_a_token_of_its_own)
{
	start();
	for (size_t i = 0; i < SESSIONS; i++)
		ck_assert_int_eq(enter(&owners[i]), 0);
	ck_assert_uint_eq(hawser__store_count(&store), SESSIONS);
	for (size_t i = 0; i < SESSIONS; i++) {
		Hawser__Session asked = asked_by(&owners[i]);

		ck_assert_uint_ne(asked.id, 0);
		ck_assert_ptr_eq(find(&asked, i % 3), &owners[i].kept);
		for (size_t k = 0; k < i; k++)
			quick_assert(memcmp(owners[k].session.token, owners[i].session.token,
					    HAWSER__TOKEN_BYTES) != 0);
	}
	stop();
}
END_TEST

START_TEST(id_zero_and_one_that_is_taken_are_refused)
{
	uint8_t random[HAWSER__STORE_RANDOM_BYTES] = {0};

	start();
	random[8] = 1;
	ck_assert_int_eq(hawser__store_enter(&store, &owners[0].kept, random), -EEXIST);
	ck_assert_uint_eq(owners[0].session.id, 0);
	random[0] = 1;
	ck_assert_int_eq(hawser__store_enter(&store, &owners[0].kept, random), 0);
	random[8] = 2;
	ck_assert_int_eq(hawser__store_enter(&store, &owners[1].kept, random), -EEXIST);
	ck_assert_uint_eq(owners[1].session.id, 0);
	/* What is not in the store is removed without harm. */
	hawser__store_remove(&store, &owners[1].kept);
	ck_assert_uint_eq(hawser__store_count(&store), 1);
	ck_assert_uint_eq(owners[0].session.token[0], 1);
	stop();
}
END_TEST

START_TEST(every_bit_of_the_token_counts)
{
	Hawser__Session asked;
	uint8_t token[HAWSER__TOKEN_BYTES + 1] = {0};

	start();
	ck_assert_int_eq(enter(&owners[0]), 0);
	memcpy(token, owners[0].session.token, HAWSER__TOKEN_BYTES);
	asked = asked_by(&owners[0]);
	asked.token.data = token;
	for (size_t bit = 0; bit < (size_t)8 * HAWSER__TOKEN_BYTES; bit++) {
		token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_ptr_null(find(&asked, 0));
		token[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_ptr_eq(find(&asked, 0), &owners[0].kept);
	/* And its length. */
	for (asked.token.len = 0; asked.token.len <= sizeof token; asked.token.len++)
		ck_assert((find(&asked, 0) != NULL) == (asked.token.len == HAWSER__TOKEN_BYTES));
	asked.token = (ProtobufCBinaryData){0, NULL};
	ck_assert_ptr_null(find(&asked, 0));
	stop();
}
END_TEST

START_TEST(session_is_for_whoever_opened_it)
{
	Hawser__Session asked;

	start();
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(enter(&owners[i]), 0);
		asked = asked_by(&owners[i]);
		for (uint64_t identity = 0; identity < 4; identity++)
			ck_assert((find(&asked, identity) != NULL) == (identity == i));
	}
	/* Another's id with one's own token is nobody's. */
	asked.id = owners[0].session.id;
	ck_assert_ptr_null(find(&asked, 0));
	ck_assert_ptr_null(find(&asked, 2));
	asked.id = 0;
	ck_assert_ptr_null(find(&asked, 2));
	stop();
}
END_TEST

START_TEST(session_that_has_ended_is_not_found)
{
	Hawser__Session asked;
	uint8_t token[HAWSER__TOKEN_BYTES];

	start();
	ck_assert_int_eq(enter(&owners[0]), 0);
	asked = asked_by(&owners[0]);
	memcpy(token, owners[0].session.token, sizeof token);
	asked.token.data = token;
	hawser__store_leave(&store, &owners[0].kept);
	ck_assert_ptr_eq(find(&asked, 0), &owners[0].kept);
	hawser__store_remove(&store, &owners[0].kept);
	ck_assert_ptr_null(find(&asked, 0));
	ck_assert_uint_eq(store.n_away, 0);
	ck_assert_uint_eq(owners[0].session.id, 0);
	/* Twice is as good as once. */
	hawser__store_remove(&store, &owners[0].kept);
	ck_assert_uint_eq(hawser__store_count(&store), 0);
	stop();
}
END_TEST

START_TEST(late_attempt_is_known_by_its_number)
{
	static const struct {
		uint32_t attempt;
		bool is_stale;
	} attempts[] = {{1, false}, {1, true},  {2, false},          {5, false}, {3, true},
			{5, true},  {6, false}, {UINT32_MAX, false}, {7, true}};

	start();
	ck_assert_int_eq(enter(&owners[0]), 0);
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		Hawser__Session asked = asked_by(&owners[0]);

		asked.attempt = attempts[i].attempt;
		ck_assert(hawser__store_is_stale(&owners[0].kept, &asked) == attempts[i].is_stale);
		/* A client that does not count is never late. */
		asked.attempt = 0;
		ck_assert(!hawser__store_is_stale(&owners[0].kept, &asked));
	}
	stop();
}
END_TEST

/* ---- who goes first ---- */

/* Its log holds about so much. */
static void fill(struct owner *owner, size_t length)
{
	uint8_t *room = hawser__session_put_message(&owner->session, 1, false, length, NULL);

	quick_assert(room);
	memset(room, 'f', length);
}

static void check_away(void)
{
	const struct hawser__kept *oldest = hawser__store_oldest(&store);
	size_t n_entered = 0, n_away = 0, bytes = 0;
	struct owner *first = NULL;

	for (size_t i = 0; i < SESSIONS; i++) {
		n_entered += owners[i].is_entered;
		if (!owners[i].left)
			continue;
		n_away++;
		bytes += owners[i].kept.log_bytes;
		if (!first || owners[i].left < first->left)
			first = &owners[i];
	}
	quick_assert(hawser__store_count(&store) == n_entered);
	quick_assert(store.n_away == n_away);
	quick_assert(store.away_bytes == bytes);
	quick_assert(oldest == (first ? &first->kept : NULL));
}

START_TEST(longest_away_goes_first_whatever_happens)
{
	uint64_t now = 0;

	start();
	for (unsigned long n = suite_rounds(20000); n--;) {
		struct owner *owner = &owners[random_below(SESSIONS)];

		switch (random_below(7)) {
		case 0:
		case 1:
			if (!owner->is_entered)
				ck_assert_int_eq(enter(owner), 0);
			break;
		case 2:
			hawser__store_remove(&store, &owner->kept);
			owner->is_entered = false;
			owner->left = 0;
			break;
		case 3:
			if (owner->is_entered && owner->session.log.frames.length < 5000) {
				fill(owner, (size_t)random_below(1000));
				hawser__store_resize(&store, &owner->kept);
			}
			break;
		case 4:
			if (!owner->is_entered)
				break;
			hawser__store_return(&store, &owner->kept);
			owner->left = 0;
			break;
		default:
			if (!owner->is_entered)
				break;
			hawser__store_leave(&store, &owner->kept);
			/* Who is away cannot go. */
			if (!owner->left)
				owner->left = ++now;
			break;
		}
		if (owner->left)
			quick_assert(owner->kept.log_bytes == owner->session.log.frames.length);
		check_away();
	}
	stop();
}
END_TEST

/* ---- without memory ---- */

static bool enter_some(void *data)
{
	unsigned entered = 0;

	(void)data;
	start();
	for (size_t i = 0; i < 20; i++) {
		int r = enter(&owners[i]);

		ck_assert(r == 0 || r == -ENOMEM);
		ck_assert((owners[i].session.id != 0) == (r == 0));
		entered += r == 0;
		ck_assert_uint_eq(hawser__store_count(&store), entered);
	}
	stop();
	return entered == 20;
}

START_TEST(store_without_memory_says_so)
{
	ck_assert_uint_gt(failing_alloc_each(enter_some, NULL), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-store");
	TCase *entry = suite_case(suite, "entry"), *away = suite_case(suite, "away");
	TCase *memory = suite_case(suite, "memory");

	tcase_add_test(entry, entered_session_has_an_id_and_a_token_of_its_own);
	tcase_add_test(entry, id_zero_and_one_that_is_taken_are_refused);
	tcase_add_test(entry, every_bit_of_the_token_counts);
	tcase_add_test(entry, session_is_for_whoever_opened_it);
	tcase_add_test(entry, session_that_has_ended_is_not_found);
	tcase_add_test(entry, late_attempt_is_known_by_its_number);
	tcase_add_test(away, longest_away_goes_first_whatever_happens);
	tcase_add_test(memory, store_without_memory_says_so);
	return suite_run(suite);
}
