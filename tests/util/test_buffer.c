/* The queue of chunks against one flat string of bytes, and who owns chunks when;
 * test_buffer_chunks.c has those that are filled apart. */

#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "util/alloc.h"
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

START_TEST(buffer_starts_empty_and_owns_nothing)
{
	struct iovec iov;

	start();
	ck_assert_int_eq(hawser__buffer_peek(&buffer, &iov, 1), 0);
	hawser__buffer_consume(&buffer, 100);
	ck_assert_ptr_null(buffer.first);
	ck_assert_uint_eq(pool.small.count, 0);
	ck_assert_uint_eq(pool.large.count, 0);
	hawser__buffer_deinit(&buffer);
}
END_TEST

START_TEST(buffer_packs_small_frames_into_one_chunk)
{
	struct iovec iov[2];

	start();
	append("abc", 3);
	append("", 0);
	append("def", 3);
	ck_assert_uint_eq(buffer.length, 6);
	ck_assert_int_eq(hawser__buffer_peek(&buffer, iov, 2), 1);
	ck_assert_uint_eq(iov[0].iov_len, 6);
	ck_assert_mem_eq(iov[0].iov_base, "abcdef", 6);
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(buffer_gives_its_chunks_back_when_empty)
{
	static const uint8_t block[10000];

	start();
	for (int i = 0; i < 5; i++)
		append(block, sizeof block);
	ck_assert_uint_eq(chunks_owned(), 5);
	hawser__buffer_consume(&buffer, 25000);
	ck_assert_uint_eq(chunks_owned(), 3);
	ck_assert_uint_eq(pool.large.count, 2);
	hawser__buffer_consume(&buffer, 25000);
	ck_assert_ptr_null(buffer.first);
	ck_assert_ptr_null(buffer.last);
	ck_assert_uint_eq(pool.large.count, 5);
	ck_assert_uint_eq(pool.small.count, 0);
	hawser__pool_deinit(&pool);
	ck_assert_ptr_null(pool.large.free);
}
END_TEST

START_TEST(buffer_begins_with_a_small_chunk_and_goes_on_with_large_ones)
{
	static const uint8_t frame[100];

	/* What a session holds on to while little is said. */
	ck_assert_uint_le(sizeof(struct hawser__chunk) + HAWSER__SMALL_CHUNK_BYTES, 1024);
	start();
	for (size_t i = 0; i < 9; i++)
		append(frame, sizeof frame);
	ck_assert_uint_eq(chunks_owned(), 1);
	ck_assert_uint_eq(buffer.first->capacity, HAWSER__SMALL_CHUNK_BYTES);
	append(frame, sizeof frame);
	ck_assert_uint_eq(chunks_owned(), 2);
	ck_assert_uint_eq(buffer.last->capacity, HAWSER__CHUNK_BYTES);
	hawser__buffer_consume(&buffer, 9 * sizeof frame);
	ck_assert_uint_eq(pool.small.count, 1);
	hawser__buffer_consume(&buffer, sizeof frame);
	ck_assert_uint_eq(pool.large.count, 1);
	/* Empty again, it begins again, with what the pool has. */
	failing_alloc_after(0);
	append(frame, sizeof frame);
	ck_assert(!failing_alloc_stop());
	ck_assert_uint_eq(buffer.first->capacity, HAWSER__SMALL_CHUNK_BYTES);
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
	ck_assert_ptr_null(pool.small.free);
}
END_TEST

START_TEST(buffer_can_be_peeked_at_from_anywhere)
{
	uint8_t bytes[3000];
	struct iovec iov[3];
	size_t place = 0;

	start();
	random_fill(bytes, sizeof bytes);
	for (size_t at = 0; at < sizeof bytes; at += 100)
		append(bytes + at, 100);
	hawser__buffer_consume(&buffer, 50);
	ck_assert_uint_eq(chunks_owned(), 2);
	for (struct hawser__chunk *chunk = buffer.first; chunk; chunk = chunk->next) {
		for (size_t at = chunk->start; at <= chunk->end; at++) {
			size_t begin = 50 + place + at - chunk->start, length = 0;
			int n = hawser__buffer_peek_from(chunk, at, iov, 3);

			for (int i = 0; i < n; i++) {
				ck_assert_uint_gt(iov[i].iov_len, 0);
				ck_assert_mem_eq(iov[i].iov_base, bytes + begin + length,
						 iov[i].iov_len);
				length += iov[i].iov_len;
			}
			ck_assert_uint_eq(begin + length, sizeof bytes);
		}
		place += chunk->end - chunk->start;
	}
	ck_assert_int_eq(hawser__buffer_peek_from(NULL, 0, iov, 3), 0);
	ck_assert_int_eq(hawser__buffer_peek_from(buffer.first, 60, iov, 0), 0);
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(buffer_takes_chunks_from_the_pool_first)
{
	static const uint8_t block[10000];

	start();
	append(block, sizeof block);
	hawser__buffer_consume(&buffer, sizeof block);
	failing_alloc_after(0);
	append(block, sizeof block);
	ck_assert(!failing_alloc_stop());
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(buffer_frees_the_chunk_of_a_large_frame)
{
	static const uint8_t large[1 << 20];

	start();
	append("a", 1);
	append(large, sizeof large);
	append("b", 1);
	ck_assert_uint_eq(chunks_owned(), 3);
	hawser__buffer_consume(&buffer, 1 + sizeof large);
	ck_assert_uint_eq(chunks_owned(), 1);
	ck_assert_uint_eq(pool.small.count, 1);
	ck_assert_uint_eq(pool.large.count, 0);
	hawser__buffer_consume(&buffer, 1);
	ck_assert_uint_eq(pool.large.count, 1);
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(pool_keeps_at_most_its_bound)
{
	static const uint8_t block[HAWSER__CHUNK_BYTES];

	start();
	for (int i = 0; i < HAWSER__POOL_CHUNKS + 10; i++)
		append(block, sizeof block);
	hawser__buffer_deinit(&buffer);
	ck_assert_uint_eq(pool.large.count, HAWSER__POOL_CHUNKS);
	hawser__pool_deinit(&pool);
	ck_assert_uint_eq(pool.large.count, 0);
}
END_TEST

START_TEST(pool_keeps_as_many_small_chunks)
{
	static struct hawser__buffer buffers[HAWSER__POOL_CHUNKS + 10];

	memset(&pool, 0, sizeof pool);
	for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
		hawser__buffer_init(&buffers[i], &pool);
		ck_assert_ptr_nonnull(hawser__buffer_reserve(&buffers[i], 10));
	}
	for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
		hawser__buffer_deinit(&buffers[i]);
	ck_assert_uint_eq(pool.small.count, HAWSER__POOL_CHUNKS);
	hawser__pool_deinit(&pool);
	ck_assert_uint_eq(pool.small.count, 0);
}
END_TEST

START_TEST(buffer_forgets_room_that_was_not_committed)
{
	struct iovec iov[4];

	start();
	ck_assert_ptr_nonnull(hawser__buffer_reserve(&buffer, 10));
	ck_assert_int_eq(hawser__buffer_peek(&buffer, iov, 4), 0);
	ck_assert_ptr_nonnull(hawser__buffer_reserve(&buffer, 100000));
	ck_assert_uint_eq(chunks_owned(), 1);
	append("abc", 3);
	ck_assert_ptr_nonnull(hawser__buffer_reserve(&buffer, 200000));
	append("def", 3);
	ck_assert_uint_eq(buffer.length, 6);
	ck_assert_int_eq(hawser__buffer_peek(&buffer, iov, 4), 2);
	ck_assert_mem_eq(iov[0].iov_base, "abc", 3);
	ck_assert_mem_eq(iov[1].iov_base, "def", 3);
	hawser__buffer_consume(&buffer, 6);
	ck_assert_ptr_null(buffer.first);
	hawser__pool_deinit(&pool);
}
END_TEST

enum { MODEL_BYTES = 1 << 20, PIECES = 7 };

static uint8_t model[MODEL_BYTES];
static size_t model_length;

static void check_front(void)
{
	struct iovec iov[PIECES];
	int n = hawser__buffer_peek(&buffer, iov, PIECES);
	size_t at = 0;

	quick_assert(buffer.length == model_length);
	for (int i = 0; i < n; i++) {
		quick_assert(iov[i].iov_len > 0);
		quick_assert(at + iov[i].iov_len <= model_length);
		quick_assert(!memcmp(iov[i].iov_base, model + at, iov[i].iov_len));
		at += iov[i].iov_len;
	}
	/* All of it, unless there were more pieces than asked for. */
	if (n < PIECES)
		quick_assert(at == model_length);
}

/* Some bytes of the model, filled apart: in a chunk of their own, or lent. */
static void link_random(size_t size)
{
	static uint8_t lent[100000];
	struct hawser__loan *loan = NULL;
	struct hawser__chunk *chunk;

	if (!*lent)
		memset(lent, 'l', sizeof lent);
	if (random_one_in(2)) {
		loan = hawser__loan_new(NULL, NULL);
		quick_assert(loan);
		chunk = hawser__chunk_borrow(loan, lent, size);
		quick_assert(chunk);
		hawser__loan_unref(loan);
	} else {
		size_t head = (size_t)random_below(100);

		chunk = hawser__chunk_new(&pool, size + head);
		quick_assert(chunk);
		chunk->start = head;
		chunk->end = head + size;
		memset(chunk->data + head, (int)random_next(), size);
	}
	memcpy(model + model_length, chunk->data + chunk->start, size);
	hawser__buffer_link(&buffer, chunk);
	model_length += size;
}

static size_t random_size(void)
{
	switch (random_below(10)) {
	case 0:
		return random_below(100000);
	case 1:
		return HAWSER__CHUNK_BYTES - 2 + random_below(5);
	case 2:
		return random_below(20000);
	default:
		return random_below(200);
	}
}

START_TEST(buffer_agrees_with_a_flat_string)
{
	unsigned long rounds = suite_rounds(60000);

	start();
	model_length = 0;
	for (unsigned long round = 0; round < rounds; round++) {
		size_t size = random_size();

		if (random_one_in(10) && size && size <= MODEL_BYTES - model_length) {
			link_random(size);
		} else if (random_one_in(2) && size <= MODEL_BYTES - model_length) {
			/* Reserved too much is committed in part. */
			uint8_t *room = hawser__buffer_reserve(&buffer, size + random_below(50));

			quick_assert(room);
			memset(room, (int)random_next(), size);
			if (size)
				room[random_below(size)] = (uint8_t)random_next();
			memcpy(model + model_length, room, size);
			hawser__buffer_commit(&buffer, size);
			model_length += size;
		} else {
			if (random_one_in(50))
				size = MODEL_BYTES;
			hawser__buffer_consume(&buffer, size);
			if (size > model_length)
				size = model_length;
			model_length -= size;
			memmove(model, model + size, model_length);
			if (!model_length)
				quick_assert(!buffer.first);
		}
		if (random_one_in(4))
			check_front();
	}
	check_front();
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
}
END_TEST

static bool queue_frames(void *data)
{
	static const size_t sizes[] = {100, 16000, 1000, 70000, 5};
	size_t queued = 0;
	bool success = true;

	start();
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint8_t *room = hawser__buffer_reserve(&buffer, sizes[i]);

		if (!room) {
			success = false;
			continue;
		}
		memset(room, 'x', sizes[i]);
		hawser__buffer_commit(&buffer, sizes[i]);
		queued += sizes[i];
	}
	ck_assert_uint_eq(buffer.length, queued);
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
	return success;
}

START_TEST(buffer_survives_every_allocation_failing)
{
	ck_assert_uint_eq(failing_alloc_each(queue_frames, NULL), 5);
}
END_TEST

START_TEST(buffer_refuses_sizes_that_overflow)
{
	start();
	ck_assert_ptr_null(hawser__buffer_reserve(&buffer, SIZE_MAX));
	ck_assert_ptr_null(
		hawser__buffer_reserve(&buffer, SIZE_MAX - sizeof(struct hawser__chunk)));
	ck_assert_ptr_null(buffer.first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/buffer");
	TCase *tcase = suite_case(suite, "buffer");

	tcase_add_test(tcase, buffer_starts_empty_and_owns_nothing);
	tcase_add_test(tcase, buffer_packs_small_frames_into_one_chunk);
	tcase_add_test(tcase, buffer_gives_its_chunks_back_when_empty);
	tcase_add_test(tcase, buffer_begins_with_a_small_chunk_and_goes_on_with_large_ones);
	tcase_add_test(tcase, buffer_can_be_peeked_at_from_anywhere);
	tcase_add_test(tcase, buffer_takes_chunks_from_the_pool_first);
	tcase_add_test(tcase, buffer_frees_the_chunk_of_a_large_frame);
	tcase_add_test(tcase, pool_keeps_at_most_its_bound);
	tcase_add_test(tcase, pool_keeps_as_many_small_chunks);
	tcase_add_test(tcase, buffer_forgets_room_that_was_not_committed);
	tcase_add_test(tcase, buffer_agrees_with_a_flat_string);
	tcase_add_test(tcase, buffer_survives_every_allocation_failing);
	tcase_add_test(tcase, buffer_refuses_sizes_that_overflow);
	return suite_run(suite);
}
