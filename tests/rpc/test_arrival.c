/* Messages that arrive in pieces, whatever the pieces, against protobuf-c, which has them whole. */

#include "rpc/arrival.h"

#include "arrival.pb-c.h"
#include "arrival_old.pb-c.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "util/arena.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

/* ---- messages as they are on the wire ---- */

static struct {
	uint8_t data[1 << 20];
	size_t length;
} wire;

/* A message may also say a number in more bytes than it needs. */
static void put_varint(uint64_t value, unsigned padding)
{
	while (value >= 0x80 || padding) {
		if (value < 0x80)
			padding--;
		wire.data[wire.length++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	wire.data[wire.length++] = (uint8_t)value;
}

static unsigned varint_bytes(uint64_t value)
{
	unsigned n = 1;

	while (value >>= 7)
		n++;
	return n;
}

/* Tags and lengths take five bytes at most, as protobuf-c sees it. */
static void put_number(uint64_t value)
{
	unsigned room = 5 - varint_bytes(value);

	put_varint(value, room && random_one_in(4) ? 1 + (unsigned)random_below(room) : 0);
}

static void put_tag(unsigned field, unsigned type)
{
	put_number((uint64_t)field << 3 | type);
}

static void put_bytes(unsigned field, size_t length)
{
	put_tag(field, BYTES);
	put_number(length);
	random_fill(wire.data + wire.length, length < 64 ? length : 64);
	/* Enough to tell one place from another. */
	for (size_t i = 64; i < length; i++)
		wire.data[wire.length + i] = (uint8_t)(i * 31 + i / 251 + wire.length);
	wire.length += length;
}

static size_t some_length(void)
{
	static const size_t edges[] = {0, 1, 127, 128, 16383, 32767, 32768, 32769, 65472};

	switch (random_below(6)) {
	case 0:
		return edges[random_below(sizeof edges / sizeof *edges)];
	case 1:
	case 2:
		return 32768 + (size_t)random_below(60000);
	default:
		return (size_t)random_below(300);
	}
}

/* One of a message's own, with a number and some bytes. */
static void put_inner(unsigned field)
{
	put_tag(field, BYTES);
	put_number(2 + 2 + 100);
	wire.data[wire.length++] = 1 << 3 | VARINT;
	wire.data[wire.length++] = (uint8_t)random_below(128);
	wire.data[wire.length++] = 2 << 3 | BYTES;
	wire.data[wire.length++] = 100;
	random_fill(wire.data + wire.length, 100);
	wire.length += 100;
}

static void put_field(const ProtobufCMessageDescriptor *type)
{
	static const unsigned bodies[] = {3, 4, 6, 9, 70000};
	unsigned which = (unsigned)random_below(16);

	if (type == &arrivaltest__old__descriptor) {
		if (which < 12)
			put_bytes(1 + which % 3, some_length());
		else if (which < 14)
			put_bytes(4, (size_t)random_below(20));
		else
			put_tag(5, FIXED32), wire.length += 4;
		return;
	}
	switch (which) {
	case 0:
		put_bytes(1, (size_t)random_below(30));
		break;
	case 1:
		put_tag(2, VARINT);
		put_varint(random_next() >> random_below(64), 0);
		break;
	case 2:
		put_inner(random_one_in(2) ? 5 : 8);
		break;
	case 3:
		put_bytes(7, some_length());
		break;
	case 4:
		put_tag(10, VARINT);
		put_varint(random_below(1000), 0);
		break;
	case 5:
		put_tag(12, FIXED64);
		wire.length += 8;
		break;
	case 6:
		put_tag(13, FIXED32);
		wire.length += 4;
		break;
	case 7:
		/* Fields that nobody knows. */
		put_bytes(100 + (unsigned)random_below(1000), some_length());
		break;
	case 8:
		put_tag(11, BYTES);
		put_number(3);
		memcpy(wire.data + wire.length, "\1\2\3", 3);
		wire.length += 3;
		break;
	default:
		put_bytes(bodies[random_below(sizeof bodies / sizeof *bodies)], some_length());
		break;
	}
}

static void put_message(const ProtobufCMessageDescriptor *type)
{
	unsigned fields = (unsigned)random_below(6);

	wire.length = 0;
	while (fields--)
		put_field(type);
	if (type == &arrivaltest__old__descriptor && random_one_in(2))
		put_bytes(1, some_length());
}

static void damage(void)
{
	if (!wire.length)
		return;
	for (unsigned n = 1 + (unsigned)random_below(3); n--;)
		wire.data[random_below(random_one_in(2) && wire.length > 60 ? 60 : wire.length)] ^=
			(uint8_t)(1 << random_below(8));
	if (random_one_in(3))
		wire.length -= (size_t)random_below(wire.length);
}

/* ---- arriving ---- */

static size_t some_part(size_t left)
{
	size_t most = random_one_in(2) ? left : random_one_in(2) ? 70000 : 30;
	size_t part = 1 + (size_t)random_below(most);

	return part < left ? part : left;
}

/* An exact copy of a part, so that the sanitizers see reads beyond. Sets `r` to what adding said.
 */
static void add_part(struct hawser__arrival *arrival, size_t at, size_t part)
{
	uint8_t *copy = malloc(part), *place;

	quick_assert(copy);
	memcpy(copy, wire.data + at, part);
	place = hawser__arrival_place(arrival, part);
	/* Before anything is known of it there is no place. */
	quick_assert(at || !place);
	if (place && random_one_in(2)) {
		memcpy(place, copy, part);
		hawser__arrival_placed(arrival, part);
	} else {
		quick_assert(hawser__arrival_add(arrival, copy, part) == 0);
	}
	free(copy);
}

static struct hawser__arrival *arrive(const ProtobufCMessageDescriptor *type)
{
	struct hawser__arrival *arrival = hawser__arrival_new(NULL, type, wire.length);

	quick_assert(arrival);
	for (size_t at = 0, part; at < wire.length; at += part) {
		quick_assert(!hawser__arrival_is_whole(arrival));
		quick_assert(arrival->received == at);
		part = some_part(wire.length - at);
		add_part(arrival, at, part);
	}
	quick_assert(hawser__arrival_is_whole(arrival));
	return arrival;
}

/* ---- comparing ---- */

static void check_equal(const ProtobufCMessage *message, const ProtobufCMessage *expected)
{
	size_t length = protobuf_c_message_get_packed_size(expected);
	uint8_t *a, *b;

	quick_assert(protobuf_c_message_get_packed_size(message) == length);
	quick_assert(message->n_unknown_fields == expected->n_unknown_fields);
	a = malloc(length + 1);
	b = malloc(length + 1);
	quick_assert(a && b);
	protobuf_c_message_pack(message, a);
	protobuf_c_message_pack(expected, b);
	quick_assert(!memcmp(a, b, length));
	free(a);
	free(b);
}

/* How often a body was received by itself. */
static unsigned n_bodies;

static void check_arrival(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *expected = protobuf_c_message_unpack(type, NULL, wire.length, wire.data);
	struct hawser__arrival *arrival = arrive(type);
	ProtobufCMessage *message;
	struct hawser__arena arena;

	n_bodies += arrival->field != NULL;
	/* On its own … */
	if (random_one_in(2)) {
		message = hawser__arrival_unpack(arrival, NULL);
		hawser__arrival_free(arrival);
		quick_assert(!message == !expected);
		if (message)
			check_equal(message, expected);
		protobuf_c_message_free_unpacked(message, NULL);
	} else {
		/* … or with what it borrows. */
		hawser__arena_init(&arena, SIZE_MAX);
		message = hawser__arrival_unpack(arrival, &arena);
		quick_assert(!message == !expected);
		if (message)
			check_equal(message, expected);
		hawser__arena_deinit(&arena);
		hawser__arrival_free(arrival);
	}
	protobuf_c_message_free_unpacked(expected, NULL);
}

static const ProtobufCMessageDescriptor *type_of(int i)
{
	return i ? &arrivaltest__old__descriptor : &arrivaltest__file__descriptor;
}

START_TEST(any_pieces_give_the_message_that_the_whole_gives)
{
	for (unsigned long n = suite_rounds(4000); n--;) {
		put_message(type_of(_i));
		check_arrival(type_of(_i));
	}
	ck_assert_uint_gt(n_bodies, suite_rounds(4000) / 10);
}
END_TEST

START_TEST(pieces_of_a_damaged_message_give_what_the_whole_gives)
{
	for (unsigned long n = suite_rounds(8000); n--;) {
		put_message(type_of(_i));
		damage();
		check_arrival(type_of(_i));
	}
}
END_TEST

START_TEST(length_that_protobuf_c_finds_too_long_is_refused_in_pieces_too)
{
	for (unsigned padding = 0; padding <= 9; padding++) {
		wire.length = 0;
		put_varint(3 << 3 | BYTES, 0);
		put_varint(50000, padding);
		memset(wire.data + wire.length, 'x', 50000);
		wire.length += 50000;
		check_arrival(&arrivaltest__file__descriptor);
	}
}
END_TEST

/* ---- one thing at a time ---- */

static void put_file(const char *name, size_t length)
{
	wire.length = 0;
	wire.data[wire.length++] = 1 << 3 | BYTES;
	put_varint(strlen(name), 0);
	memcpy(wire.data + wire.length, name, strlen(name));
	wire.length += strlen(name);
	put_varint(3 << 3 | BYTES, 0);
	put_varint(length, 0);
	memset(wire.data + wire.length, 'x', length);
	wire.length += length;
}

static struct hawser__arrival *arrive_at_once(const ProtobufCMessageDescriptor *type)
{
	struct hawser__arrival *arrival = hawser__arrival_new(NULL, type, wire.length);

	ck_assert_ptr_nonnull(arrival);
	ck_assert_int_eq(hawser__arrival_add(arrival, wire.data, wire.length), 0);
	return arrival;
}

START_TEST(large_field_is_received_where_the_message_has_it)
{
	struct hawser__arrival *arrival;
	struct hawser__arena arena;
	Arrivaltest__File *file;
	const uint8_t *body;

	put_file("name", 100000);
	arrival = hawser__arrival_new(NULL, &arrivaltest__file__descriptor, wire.length);
	ck_assert_ptr_nonnull(arrival);
	ck_assert_int_eq(hawser__arrival_add(arrival, wire.data, 1000), 0);
	/* The rest has its place: in the field. */
	body = arrival->body;
	ck_assert_ptr_nonnull(body);
	ck_assert_ptr_eq(hawser__arrival_place(arrival, wire.length - 1000),
			 body + 100000 - (wire.length - 1000));
	ck_assert_ptr_null(hawser__arrival_place(arrival, wire.length - 1000 + 1));
	ck_assert_int_eq(hawser__arrival_add(arrival, wire.data + 1000, wire.length - 1000), 0);

	hawser__arena_init(&arena, SIZE_MAX);
	file = (Arrivaltest__File *)(void *)hawser__arrival_unpack(arrival, &arena);
	ck_assert_ptr_nonnull(file);
	ck_assert_str_eq(file->name, "name");
	ck_assert_ptr_eq(file->data.data, body);
	ck_assert_uint_eq(file->data.len, 100000);
	/* Of the field the arena has nothing. */
	ck_assert_uint_lt(arena.used, 2000);
	ck_assert_ptr_eq(arrival->body, body);
	hawser__arena_deinit(&arena);
	hawser__arrival_free(arrival);
}
END_TEST

START_TEST(message_that_is_on_its_own_owns_its_field)
{
	struct hawser__arrival *arrival;
	Arrivaltest__File *file;
	const uint8_t *body;

	put_file("name", 100000);
	arrival = arrive_at_once(&arrivaltest__file__descriptor);
	body = arrival->body;
	file = (Arrivaltest__File *)(void *)hawser__arrival_unpack(arrival, NULL);
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_null(arrival->body);
	hawser__arrival_free(arrival);
	ck_assert_ptr_eq(file->data.data, body);
	ck_assert(file->data.data[0] == 'x' && file->data.data[99999] == 'x');
	arrivaltest__file__free_unpacked(file, NULL);
}
END_TEST

START_TEST(small_fields_and_repeated_ones_are_copied)
{
	struct hawser__arrival *arrival;

	put_file("name", 1000);
	arrival = arrive_at_once(&arrivaltest__file__descriptor);
	ck_assert_ptr_null(arrival->field);
	hawser__arrival_free(arrival);

	wire.length = 0;
	put_bytes(4, 100000);
	arrival = arrive_at_once(&arrivaltest__file__descriptor);
	ck_assert_ptr_null(arrival->field);
	hawser__arrival_free(arrival);
}
END_TEST

START_TEST(message_without_a_type_stays_as_it_came)
{
	struct hawser__arrival *arrival;

	put_file("name", 100000);
	arrival = arrive(NULL);
	ck_assert_ptr_null(arrival->field);
	ck_assert_uint_eq(arrival->length, wire.length);
	ck_assert_mem_eq(arrival->packed, wire.data, wire.length);
	hawser__arrival_free(arrival);
}
END_TEST

START_TEST(message_of_no_bytes_is_whole_at_once)
{
	struct hawser__arrival *arrival =
		hawser__arrival_new(NULL, &arrivaltest__file__descriptor, 0);
	ProtobufCMessage *message;

	ck_assert_ptr_nonnull(arrival);
	ck_assert(hawser__arrival_is_whole(arrival));
	message = hawser__arrival_unpack(arrival, NULL);
	ck_assert_ptr_nonnull(message);
	protobuf_c_message_free_unpacked(message, NULL);
	hawser__arrival_free(arrival);
	hawser__arrival_free(NULL);
}
END_TEST

START_TEST(length_beyond_the_message_is_no_field)
{
	struct hawser__arrival *arrival;

	/* It says one byte more than there is. */
	wire.length = 0;
	put_varint(3 << 3 | BYTES, 0);
	put_varint(50001, 0);
	memset(wire.data + wire.length, 'x', 50000);
	wire.length += 50000;
	arrival = arrive_at_once(&arrivaltest__file__descriptor);
	ck_assert_ptr_null(arrival->field);
	ck_assert_ptr_null(hawser__arrival_unpack(arrival, NULL));
	hawser__arrival_free(arrival);
}
END_TEST

/* ---- views ---- */

START_TEST(view_borrows_until_it_is_kept)
{
	struct hawser__arrival view, *kept;
	Arrivaltest__File *file;

	for (size_t length = 0; length <= 50000; length += 50000) {
		put_file("name", length);
		hawser__arrival_view(&view, &arrivaltest__file__descriptor, wire.data, wire.length);
		ck_assert(hawser__arrival_is_whole(&view));
		ck_assert_ptr_eq(view.packed, wire.data);
		view.cost = 77;
		kept = hawser__arrival_keep(&view);
		ck_assert_ptr_nonnull(kept);
		ck_assert(kept != &view && kept->cost == 77);
		ck_assert_ptr_eq(hawser__arrival_keep(kept), kept);
		hawser__arrival_free(&view);
		memset(wire.data, 0xff, wire.length);
		file = (Arrivaltest__File *)(void *)hawser__arrival_unpack(kept, NULL);
		hawser__arrival_free(kept);
		ck_assert_ptr_nonnull(file);
		ck_assert_str_eq(file->name, "name");
		ck_assert_uint_eq(file->data.len, length);
		arrivaltest__file__free_unpacked(file, NULL);
	}
}
END_TEST

/* ---- without memory ---- */

static bool arrive_somehow(void *data)
{
	bool in_arena = *(const bool *)data, success = false;
	struct hawser__arrival *arrival =
		hawser__arrival_new(NULL, &arrivaltest__file__descriptor, wire.length);
	struct hawser__arena arena;
	ProtobufCMessage *message = NULL;

	if (!arrival)
		return false;
	hawser__arena_init(&arena, SIZE_MAX);
	if (hawser__arrival_add(arrival, wire.data, 60) == 0) {
		ck_assert_int_eq(hawser__arrival_add(arrival, wire.data + 60, wire.length - 60), 0);
		message = hawser__arrival_unpack(arrival, in_arena ? &arena : NULL);
		success = message;
	}
	if (!in_arena)
		protobuf_c_message_free_unpacked(message, NULL);
	hawser__arena_deinit(&arena);
	hawser__arrival_free(arrival);
	return success;
}

START_TEST(arrival_survives_every_allocation_failing)
{
	bool in_arena = _i;

	put_file("a name that takes some room in the arena", 50000);
	/* The arrival, its field, and the rest. */
	ck_assert_uint_ge(failing_alloc_each(arrive_somehow, &in_arena), 3 + in_arena);
	put_file("name", 200);
	ck_assert_uint_ge(failing_alloc_each(arrive_somehow, &in_arena), 2 + in_arena);
}
END_TEST

static bool keep_somehow(void *data)
{
	struct hawser__arrival view, *kept;

	hawser__arrival_view(&view, NULL, wire.data, wire.length);
	kept = hawser__arrival_keep(&view);
	hawser__arrival_free(kept);
	return kept;
}

START_TEST(view_survives_that_it_cannot_be_kept)
{
	put_file("name", 200);
	ck_assert_uint_eq(failing_alloc_each(keep_somehow, NULL), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc-arrival");
	TCase *random = suite_case(suite, "random"), *fields = suite_case(suite, "fields");
	TCase *views = suite_case(suite, "views"), *memory = suite_case(suite, "memory");

	tcase_add_loop_test(random, any_pieces_give_the_message_that_the_whole_gives, 0, 2);
	tcase_add_loop_test(random, pieces_of_a_damaged_message_give_what_the_whole_gives, 0, 2);
	tcase_add_test(random, length_that_protobuf_c_finds_too_long_is_refused_in_pieces_too);

	tcase_add_test(fields, large_field_is_received_where_the_message_has_it);
	tcase_add_test(fields, message_that_is_on_its_own_owns_its_field);
	tcase_add_test(fields, small_fields_and_repeated_ones_are_copied);
	tcase_add_test(fields, message_without_a_type_stays_as_it_came);
	tcase_add_test(fields, message_of_no_bytes_is_whole_at_once);
	tcase_add_test(fields, length_beyond_the_message_is_no_field);

	tcase_add_test(views, view_borrows_until_it_is_kept);

	tcase_add_loop_test(memory, arrival_survives_every_allocation_failing, 0, 2);
	tcase_add_test(memory, view_survives_that_it_cannot_be_kept);
	return suite_run(suite);
}
