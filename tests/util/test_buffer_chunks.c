/* Chunks that are filled apart and linked into a buffer, and chunks whose bytes are lent. */

#include "support/failing_alloc.h"
#include "support/suite.h"
#include "util/buffer.h"
#include <string.h>

static struct hawser__pool pool;
static struct hawser__buffer buffer;

static void start(void)
{
	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&buffer, &pool);
}

static void append(const void *bytes, size_t size)
{
	uint8_t *room = hawser__buffer_reserve(&buffer, size);

	ck_assert_ptr_nonnull(room);
	memcpy(room, bytes, size);
	hawser__buffer_commit(&buffer, size);
}

static unsigned chunks_owned(void)
{
	unsigned n = 0;

	for (struct hawser__chunk *chunk = buffer.first; chunk; chunk = chunk->next)
		n++;
	return n;
}

/* ---- chunks that are filled apart ---- */

static struct hawser__chunk *new_chunk(size_t capacity, const char *text)
{
	struct hawser__chunk *chunk = hawser__chunk_new(&pool, capacity);

	ck_assert_ptr_nonnull(chunk);
	ck_assert_ptr_null(chunk->next);
	ck_assert_uint_eq(chunk->mark, 0);
	ck_assert_ptr_null(chunk->loan);
	ck_assert_uint_ge(chunk->capacity, capacity);
	/* In the middle, as a piece whose head comes later. */
	chunk->start = 10;
	chunk->end = chunk->start + strlen(text);
	memcpy(chunk->data + chunk->start, text, strlen(text));
	return chunk;
}

START_TEST(chunk_that_is_linked_is_queued_where_it_lies)
{
	struct hawser__chunk *chunk;
	struct iovec iov[4];

	start();
	chunk = new_chunk(HAWSER__PIECE_CHUNK_BYTES, "piece");
	hawser__buffer_link(&buffer, chunk);
	ck_assert_uint_eq(buffer.length, 5);
	append("behind", 6);
	/* The rest of its room is not wasted. */
	ck_assert_uint_eq(chunks_owned(), 1);
	ck_assert_int_eq(hawser__buffer_peek(&buffer, iov, 4), 1);
	ck_assert_ptr_eq(iov[0].iov_base, chunk->data + 10);
	ck_assert_mem_eq(iov[0].iov_base, "piecebehind", 11);
	hawser__buffer_consume(&buffer, 11);
	ck_assert_ptr_null(buffer.first);
	ck_assert_uint_eq(pool.pieces.count, 1);
	hawser__pool_deinit(&pool);
	ck_assert_ptr_null(pool.pieces.free);
}
END_TEST

START_TEST(chunks_are_linked_in_order_behind_what_is_queued)
{
	struct iovec iov[4];

	start();
	append("a", 1);
	hawser__buffer_link(&buffer, new_chunk(HAWSER__PIECE_CHUNK_BYTES, "bc"));
	hawser__buffer_link(&buffer, new_chunk(HAWSER__SMALL_CHUNK_BYTES, "def"));
	append("g", 1);
	ck_assert_uint_eq(buffer.length, 7);
	ck_assert_int_eq(hawser__buffer_peek(&buffer, iov, 4), 3);
	ck_assert_mem_eq(iov[0].iov_base, "a", 1);
	ck_assert_mem_eq(iov[1].iov_base, "bc", 2);
	ck_assert_mem_eq(iov[2].iov_base, "defg", 4);
	hawser__buffer_consume(&buffer, 2);
	ck_assert_int_eq(hawser__buffer_peek(&buffer, iov, 4), 2);
	ck_assert_mem_eq(iov[0].iov_base, "c", 1);
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(chunk_is_linked_in_place_of_room_that_was_not_committed)
{
	start();
	ck_assert_ptr_nonnull(hawser__buffer_reserve(&buffer, 10));
	hawser__buffer_link(&buffer, new_chunk(HAWSER__PIECE_CHUNK_BYTES, "piece"));
	ck_assert_uint_eq(chunks_owned(), 1);
	ck_assert_uint_eq(buffer.length, 5);
	ck_assert_uint_eq(pool.small.count, 1);
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(chunk_from_the_pool_is_as_good_as_new)
{
	static const size_t capacities[] = {HAWSER__SMALL_CHUNK_BYTES, HAWSER__CHUNK_BYTES,
					    HAWSER__PIECE_CHUNK_BYTES};

	start();
	for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
		struct hawser__chunk *chunk = new_chunk(capacities[i], "used"), *again;

		chunk->mark = 77;
		chunk->next = chunk;
		hawser__chunk_free(&pool, chunk);
		failing_alloc_after(0);
		again = new_chunk(capacities[i], "again");
		ck_assert(!failing_alloc_stop());
		ck_assert_ptr_eq(again, chunk);
		hawser__chunk_free(&pool, again);
	}
	/* One of any other size is not kept. */
	hawser__chunk_free(&pool, new_chunk(HAWSER__CHUNK_BYTES + 1, "odd"));
	ck_assert_uint_eq(pool.small.count + pool.large.count + pool.pieces.count, 3);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(pool_keeps_pieces_up_to_its_bytes)
{
	struct hawser__chunk *first = NULL;

	start();
	for (int i = 0; i < HAWSER__POOL_CHUNKS; i++) {
		struct hawser__chunk *chunk = new_chunk(HAWSER__PIECE_CHUNK_BYTES, "");

		chunk->next = first;
		first = chunk;
	}
	while (first) {
		struct hawser__chunk *chunk = first;

		first = chunk->next;
		hawser__chunk_free(&pool, chunk);
	}
	ck_assert_uint_ge(pool.pieces.count * HAWSER__PIECE_CHUNK_BYTES, HAWSER__POOL_BYTES);
	ck_assert_uint_lt((pool.pieces.count - 1) * HAWSER__PIECE_CHUNK_BYTES, HAWSER__POOL_BYTES);
	hawser__pool_deinit(&pool);
}
END_TEST

/* ---- loans ---- */

static void count_release(void *data)
{
	++*(unsigned *)data;
}

START_TEST(loan_is_given_back_with_its_last_reference_and_only_then)
{
	unsigned released = 0;
	struct hawser__loan *loan = hawser__loan_new(count_release, &released);
	struct hawser__chunk *first, *second;

	start();
	ck_assert_ptr_nonnull(loan);
	first = hawser__chunk_borrow(loan, (const uint8_t *)"abc", 3);
	second = hawser__chunk_borrow(loan, (const uint8_t *)"def", 3);
	ck_assert(first && second);
	hawser__loan_unref(loan);
	hawser__chunk_free(&pool, first);
	ck_assert_uint_eq(released, 0);
	hawser__buffer_link(&buffer, second);
	hawser__buffer_consume(&buffer, 2);
	ck_assert_uint_eq(released, 0);
	hawser__buffer_consume(&buffer, 1);
	ck_assert_uint_eq(released, 1);
	hawser__loan_unref(NULL);
	/* Who lent it may not want to know. */
	hawser__loan_unref(hawser__loan_new(NULL, &released));
	ck_assert_uint_eq(released, 1);
}
END_TEST

START_TEST(borrowed_bytes_are_queued_where_they_lie_and_nothing_is_written_behind_them)
{
	static const uint8_t lent[] = "lent, and more";
	struct hawser__loan *loan = hawser__loan_new(NULL, NULL);
	struct iovec iov[4];

	start();
	ck_assert_ptr_nonnull(loan);
	append("a", 1);
	hawser__buffer_link(&buffer, hawser__chunk_borrow(loan, lent, 4));
	hawser__loan_unref(loan);
	append("b", 1);
	ck_assert_int_eq(hawser__buffer_peek(&buffer, iov, 4), 3);
	ck_assert_ptr_eq(iov[1].iov_base, lent);
	ck_assert_uint_eq(iov[1].iov_len, 4);
	ck_assert_mem_eq(iov[2].iov_base, "b", 1);
	ck_assert_mem_eq(lent, "lent, and more", sizeof lent);
	hawser__buffer_deinit(&buffer);
	/* Those chunks are not of a usual size, whatever they lend. */
	ck_assert_uint_eq(pool.small.count + pool.large.count + pool.pieces.count, 2);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(borrowed_chunk_of_a_usual_size_is_not_kept)
{
	static const uint8_t lent[HAWSER__CHUNK_BYTES];
	unsigned released = 0;
	struct hawser__loan *loan = hawser__loan_new(count_release, &released);

	start();
	ck_assert_ptr_nonnull(loan);
	hawser__buffer_link(&buffer, hawser__chunk_borrow(loan, lent, sizeof lent));
	hawser__loan_unref(loan);
	hawser__buffer_deinit(&buffer);
	ck_assert_uint_eq(released, 1);
	ck_assert_uint_eq(pool.large.count, 0);
}
END_TEST

/* A loan that is cut into chunks, as far as memory goes. */
static bool queue_lent(void *data)
{
	struct hawser__loan *loan;
	unsigned *released = data, before = *released;
	bool success = true;

	start();
	loan = hawser__loan_new(count_release, released);
	if (!loan)
		return false;
	for (int i = 0; i < 3; i++) {
		struct hawser__chunk *chunk =
			hawser__chunk_borrow(loan, (const uint8_t *)"lent", 4);

		if (chunk)
			hawser__buffer_link(&buffer, chunk);
		else
			success = false;
	}
	hawser__loan_unref(loan);
	hawser__buffer_deinit(&buffer);
	ck_assert_uint_eq(*released, before + 1);
	return success;
}

START_TEST(loan_survives_every_allocation_failing)
{
	unsigned released = 0;

	ck_assert_uint_eq(failing_alloc_each(queue_lent, &released), 4);
	ck_assert_uint_eq(released, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/buffer-chunks");
	TCase *chunks = suite_case(suite, "chunks"), *loans = suite_case(suite, "loans");

	tcase_add_test(chunks, chunk_that_is_linked_is_queued_where_it_lies);
	tcase_add_test(chunks, chunks_are_linked_in_order_behind_what_is_queued);
	tcase_add_test(chunks, chunk_is_linked_in_place_of_room_that_was_not_committed);
	tcase_add_test(chunks, chunk_from_the_pool_is_as_good_as_new);
	tcase_add_test(chunks, pool_keeps_pieces_up_to_its_bytes);
	tcase_add_test(loans, loan_is_given_back_with_its_last_reference_and_only_then);
	tcase_add_test(loans,
		       borrowed_bytes_are_queued_where_they_lie_and_nothing_is_written_behind_them);
	tcase_add_test(loans, borrowed_chunk_of_a_usual_size_is_not_kept);
	tcase_add_test(loans, loan_survives_every_allocation_failing);
	return suite_run(suite);
}
