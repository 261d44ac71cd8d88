/* Large messages of every shape: whatever protobuf-c makes of the whole is what the handler gets,
 * wherever it was cut into pieces. */

#include "raw.h"
#include "relayed.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	KIBIBYTE = 1024,
	MEBIBYTE = 1 << 20,
	PIECE = 64 * KIBIBYTE,
	SHAPES = 14,
	PARTS = 300,
	ITEMS = 20000,
};

static uint8_t pool[MEBIBYTE + KIBIBYTE];
static char text[200 * KIBIBYTE];

/* What the fields of a shape point to. */
struct shape {
	Rpctest__Large message;
	ProtobufCBinaryData parts[PARTS];
	Rpctest__Item items[ITEMS], *to_items[ITEMS];
	unsigned n_made;
};

static struct shape shape;

/* Different ones for each field, and the same whenever the shape is made. */
static ProtobufCBinaryData bytes_of(size_t length)
{
	shape.n_made++;
	return (ProtobufCBinaryData){length, pool + shape.n_made * 101 % KIBIBYTE};
}

static void set_parts(size_t n, size_t length)
{
	for (size_t i = 0; i < n; i++)
		shape.parts[i] = bytes_of(length);
	shape.message.parts = shape.parts;
	shape.message.n_parts = n;
}

static void set_items(size_t n, size_t length)
{
	for (size_t i = 0; i < n; i++) {
		rpctest__item__init(&shape.items[i]);
		shape.items[i].id = i * i;
		shape.items[i].name = text + sizeof text - 1 - i % 20;
		shape.items[i].data = bytes_of(length);
		shape.to_items[i] = &shape.items[i];
	}
	shape.message.items = shape.to_items;
	shape.message.n_items = n;
}

static void set_choice(size_t length)
{
	shape.message.choice_case = RPCTEST__LARGE__CHOICE_CHOSEN;
	shape.message.chosen = bytes_of(length);
}

/* `scale` 1: large; more: as many times smaller. */
static const Rpctest__Large *make_shape(unsigned number, size_t scale)
{
	Rpctest__Large *message = &shape.message;
	char *long_text = text + sizeof text - 1 - 190 * KIBIBYTE / scale;

	shape.n_made = number;
	rpctest__large__init(message);
	switch (number) {
	case 0:
		message->first = bytes_of(300 * KIBIBYTE / scale);
		break;
	case 1:
		message->first = bytes_of(300 * KIBIBYTE / scale);
		message->second = bytes_of(MEBIBYTE / scale);
		break;
	case 2:
		message->name = text + sizeof text - 10;
		message->first = bytes_of(10);
		message->middle = UINT64_MAX;
		message->second = bytes_of(400 * KIBIBYTE / scale);
		message->last = text + sizeof text - 20;
		break;
	case 3:
		set_parts(5, 40 * KIBIBYTE / scale);
		break;
	case 4:
		set_parts(PARTS / (scale > 1 ? 100 : 1), 3 * KIBIBYTE / scale);
		break;
	case 5:
		set_parts(3, 200 * KIBIBYTE / scale);
		set_choice(0);
		break;
	case 6:
		set_choice(100 * KIBIBYTE / scale);
		break;
	case 7:
		set_choice(0);
		message->first = bytes_of(100 * KIBIBYTE / scale);
		break;
	case 8:
		set_items(ITEMS / (scale > 1 ? 1000 : 1), 0);
		break;
	case 9:
		set_items(6, 100 * KIBIBYTE / scale);
		break;
	case 10:
		message->name = long_text;
		break;
	case 11:
		message->name = long_text;
		message->last = long_text;
		break;
	case 12:
		message->name = long_text;
		message->first = bytes_of(150 * KIBIBYTE / scale);
		message->middle = 7;
		message->second = bytes_of(PIECE / scale);
		set_parts(4, 70 * KIBIBYTE / scale);
		set_choice(90 * KIBIBYTE / scale);
		set_items(5, 66 * KIBIBYTE / scale);
		message->last = long_text;
		break;
	default:
		break; /* nothing at all */
	}
	return message;
}

struct packed {
	uint8_t *bytes;
	size_t length;
};

static struct packed pack(const ProtobufCMessage *message)
{
	struct packed packed = {NULL, protobuf_c_message_get_packed_size(message)};

	packed.bytes = malloc(packed.length + 1);
	ck_assert_ptr_nonnull(packed.bytes);
	protobuf_c_message_pack(message, packed.bytes);
	return packed;
}

static bool is_same(const ProtobufCMessage *message, const struct packed *expected)
{
	struct packed packed = pack(message);
	bool is = packed.length == expected->length &&
		  memcmp(packed.bytes, expected->bytes, packed.length) == 0;

	free(packed.bytes);
	return is;
}

static void setup_pool(void)
{
	random_fill(pool, sizeof pool);
	memset(text, 'x', sizeof text - 1);
}

/* ---- both ways ---- */

struct mirrored {
	const struct packed *expected; /* of a stream: the first of several */
	unsigned n, n_wrong, n_ends;
};

static void on_mirror(struct hawser_call *call, const Rpctest__Large *reply, void *data)
{
	struct mirrored *mirrored = data;

	if (!reply || !is_same(&reply->base, mirrored->expected))
		mirrored->n_wrong++;
	mirrored->n_ends++;
	hawser_call_free(call);
}

static void mirror(struct caller *caller, const Rpctest__Large *request)
{
	struct packed packed = pack(&request->base);
	struct mirrored mirrored = {&packed, 0, 0, 0};
	Rpctest__Large *reply = NULL;

	if (caller->base) {
		ck_assert_ptr_nonnull(rpctest_tester_mirror_async(caller->client, request,
								  on_mirror, &mirrored, NULL));
		base_run_until(caller->base, &mirrored.n_ends, 1);
		ck_assert_uint_eq(mirrored.n_wrong, 0);
	} else {
		struct hawser_context context = HAWSER_CONTEXT_INIT;

		rpctest_tester_mirror(caller->client, request, &reply, &context);
		ck_assert_msg(reply, "%s", context.error.message);
		ck_assert(is_same(&reply->base, &packed));
		rpctest__large__free_unpacked(reply, NULL);
		hawser_context_clear(&context);
	}
	free(packed.bytes);
}

START_TEST(every_shape_goes_both_ways)
{
	struct pair pair;

	setup_pool();
	pair_start(&pair, _i, NULL, NULL);
	for (unsigned i = 0; i < SHAPES; i++)
		mirror(&pair.caller, make_shape(i, 1));
	pair_stop(&pair);
}
END_TEST

static void check_mirrored(struct mirrored *mirrored, const Rpctest__Large *reply)
{
	if (mirrored->n >= SHAPES || !is_same(&reply->base, &mirrored->expected[mirrored->n]))
		mirrored->n_wrong++;
	mirrored->n++;
}

static void on_mirrors(struct hawser_call *call, const Rpctest__Large *reply, void *data)
{
	struct mirrored *mirrored = data;

	if (reply) {
		check_mirrored(mirrored, reply);
		return;
	}
	mirrored->n_ends++;
	mirrored->n_wrong += hawser_call_error(call)->status != HAWSER_OK;
}

static void on_writable(struct hawser_call *call, void *data)
{
	(void)call;
	++*(unsigned *)data;
}

static void *send_shapes(void *data)
{
	struct hawser_call *call = data;
	int r = 0;

	for (unsigned i = 0; i < SHAPES && r == 0; i++)
		r = rpctest_tester_mirrors_send(call, make_shape(i, 1));
	hawser_call_end(call);
	return NULL;
}

static void send_shapes_on_base(struct hawser_call *call, struct event_base *base)
{
	for (unsigned i = 0; i < SHAPES;) {
		int r = rpctest_tester_mirrors_send(call, make_shape(i, 1));
		unsigned n_runs = 0;

		if (r == 0) {
			i++;
			continue;
		}
		ck_assert_int_eq(r, -EAGAIN);
		ck_assert_int_eq(hawser_call_on_writable(call, on_writable, &n_runs), 0);
		base_run_until(base, &n_runs, 1);
	}
	ck_assert_int_eq(hawser_call_end(call), 0);
}

START_TEST(every_shape_streams_both_ways)
{
	struct packed expected[SHAPES];
	struct mirrored mirrored = {expected, 0, 0, 0};
	Rpctest__Large *reply = NULL;
	struct hawser_call *call;
	struct pair pair;
	pthread_t sender;

	setup_pool();
	for (unsigned i = 0; i < SHAPES; i++)
		expected[i] = pack(&make_shape(i, 1)->base);
	pair_start(&pair, _i, NULL, NULL);
	if (pair.caller.base) {
		call = rpctest_tester_mirrors_async(pair.caller.client, on_mirrors, &mirrored,
						    NULL);
		ck_assert_ptr_nonnull(call);
		send_shapes_on_base(call, pair.caller.base);
		base_run_until(pair.caller.base, &mirrored.n_ends, 1);
	} else {
		call = rpctest_tester_mirrors(pair.caller.client, NULL);
		ck_assert_ptr_nonnull(call);
		ck_assert_int_eq(pthread_create(&sender, NULL, send_shapes, call), 0);
		while (rpctest_tester_mirrors_recv(call, &reply) > 0) {
			check_mirrored(&mirrored, reply);
			rpctest__large__free_unpacked(reply, NULL);
		}
		pthread_join(sender, NULL);
		ck_assert_int_eq(hawser_call_error(call)->status, HAWSER_OK);
	}
	ck_assert_uint_eq(mirrored.n, SHAPES);
	ck_assert_uint_eq(mirrored.n_wrong, 0);
	hawser_call_free(call);
	for (unsigned i = 0; i < SHAPES; i++)
		free(expected[i].bytes);
	pair_stop(&pair);
}
END_TEST

/* ---- in pieces by hand ---- */

struct pieces {
	struct tester tester;
	int fd;
	uint64_t id;
};

static void pieces_start(struct pieces *pieces, int stamp)
{
	struct hawser_server_options options = tester_options();

	/* So that we need not wait for windows. */
	options.stream_window_bytes = options.max_stream_window_bytes = 64 * MEBIBYTE;
	setup_pool();
	tester_start(&pieces->tester, transport_of(stamp), &options);
	pieces->fd = raw_connect(pieces->tester.address);
	raw_open_with_window(pieces->fd, 64 * MEBIBYTE);
	pieces->id = 1;
}

static void pieces_stop(struct pieces *pieces)
{
	close(pieces->fd);
	tester_stop(&pieces->tester);
}

/* Pieces of up to `most` bytes; `most` 0: of any. */
static void send_in_pieces(struct pieces *pieces, const struct packed *packed, size_t most)
{
	size_t at = 0;

	ck_assert(raw_call_stream(pieces->fd, pieces->id, MIRROR, packed->length));
	while (at < packed->length) {
		size_t length = most ? most : 1 + (size_t)random_below(PIECE);

		if (length > packed->length - at)
			length = packed->length - at;
		ck_assert(
			raw_message(pieces->fd, pieces->id, 0, false, packed->bytes + at, length));
		at += length;
	}
}

/* What protobuf-c makes of it is what comes back. */
static void expect_mirrored(struct pieces *pieces, const struct packed *packed)
{
	Rpctest__Large *message = rpctest__large__unpack(NULL, packed->length, packed->bytes);
	struct packed expected, reply;

	if (!message) {
		raw_expect_end(pieces->fd, pieces->id, HAWSER_INVALID_ARGUMENT,
			       HAWSER_OUTCOME_NOT_EXECUTED);
	} else {
		expected = pack(&message->base);
		reply.bytes = raw_expect_reply(pieces->fd, pieces->id, &reply.length);
		ck_assert_uint_eq(reply.length, expected.length);
		ck_assert_int_eq(memcmp(reply.bytes, expected.bytes, reply.length), 0);
		free(expected.bytes);
		free(reply.bytes);
		rpctest__large__free_unpacked(message, NULL);
	}
	pieces->id += 2;
}

START_TEST(every_shape_may_come_in_any_pieces)
{
	static const size_t sizes[] = {PIECE, PIECE - 1, 10000, 0, 0, 0};
	struct pieces pieces;

	pieces_start(&pieces, _i);
	for (unsigned i = 0; i < SHAPES - 1; i++)
		for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
			struct packed packed = pack(&make_shape(i, 1)->base);

			send_in_pieces(&pieces, &packed, sizes[j]);
			expect_mirrored(&pieces, &packed);
			free(packed.bytes);
		}
	pieces_stop(&pieces);
}
END_TEST

/* Down to single bytes. */
START_TEST(every_small_shape_may_come_in_pieces_of_every_size)
{
	struct pieces pieces;

	pieces_start(&pieces, _i);
	for (unsigned i = 0; i < SHAPES - 1; i++) {
		struct packed packed = pack(&make_shape(i, 2 * KIBIBYTE)->base);
		size_t most = packed.length > 100 ? 100 : packed.length;

		for (size_t length = 1; length <= most; length += 100 / suite_rounds(100)) {
			send_in_pieces(&pieces, &packed, length);
			expect_mirrored(&pieces, &packed);
		}
		free(packed.bytes);
	}
	pieces_stop(&pieces);
}
END_TEST

static struct packed join(struct packed a, struct packed b)
{
	a.bytes = realloc(a.bytes, a.length + b.length + 1);
	ck_assert_ptr_nonnull(a.bytes);
	memcpy(a.bytes + a.length, b.bytes, b.length);
	a.length += b.length;
	free(b.bytes);
	return a;
}

/* Two messages one behind the other are one message, where the second's fields win or are added. */
START_TEST(field_may_come_twice)
{
	unsigned step = is_slow_build() ? 4 : 1;
	struct pieces pieces;

	pieces_start(&pieces, _i);
	for (unsigned i = 0; i < SHAPES - 1; i++)
		for (unsigned j = i % step; j < SHAPES - 1; j += step) {
			struct packed packed = pack(&make_shape(i, 1)->base);

			packed = join(packed, pack(&make_shape(j, 1)->base));
			send_in_pieces(&pieces, &packed, 0);
			expect_mirrored(&pieces, &packed);
			free(packed.bytes);
			packed = join(pack(&make_shape(i, KIBIBYTE)->base),
				      pack(&make_shape(j, KIBIBYTE)->base));
			send_in_pieces(&pieces, &packed, 50);
			expect_mirrored(&pieces, &packed);
			free(packed.bytes);
		}
	pieces_stop(&pieces);
}
END_TEST

/* A field of 256 KiB by hand. */
static struct packed large_field(const uint8_t *tag, size_t length)
{
	struct packed field = {malloc(length + 3 + 256 * KIBIBYTE), length + 3 + 256 * KIBIBYTE};

	ck_assert_ptr_nonnull(field.bytes);
	memcpy(field.bytes, tag, length);
	memcpy(field.bytes + length, "\x80\x80\x10", 3);
	memcpy(field.bytes + length + 3, pool, 256 * KIBIBYTE);
	return field;
}

/* One that is optional, which versions of protobuf-c name differently in C; and one that nobody
 * knows: it comes back as well. */
START_TEST(optional_or_unknown_field_may_be_large)
{
	static const uint8_t maybe[] = {0x32}, unknown[] = {0xa2, 0x06}; /* 6, 100 */
	struct pieces pieces;

	pieces_start(&pieces, _i);
	for (unsigned i = 0; i < 2 * SHAPES; i++) {
		struct packed field = i < SHAPES ? large_field(maybe, 1) : large_field(unknown, 2);

		field = join(field, pack(&make_shape(i % SHAPES, i % 2 ? 1 : KIBIBYTE)->base));
		send_in_pieces(&pieces, &field, 0);
		expect_mirrored(&pieces, &field);
		free(field.bytes);
	}
	pieces_stop(&pieces);
}
END_TEST

/* Damage anywhere: it is found out as protobuf-c finds it out, or changes what comes back. */
START_TEST(damaged_message_is_refused_or_is_another)
{
	unsigned long rounds = suite_rounds(is_slow_build() ? 300 : 2000);
	struct pieces pieces;

	pieces_start(&pieces, _i);
	for (unsigned long round = 0; round < rounds; round++) {
		size_t scale = random_one_in(4) ? 1 : 4 * KIBIBYTE;
		struct packed packed =
			pack(&make_shape((unsigned)random_below(SHAPES - 1), scale)->base);
		size_t near = random_one_in(2) ? packed.length : packed.length / 100 + 1;

		if (random_one_in(4) && packed.length > 1)
			packed.length -= 1 + (size_t)random_below(packed.length - 1);
		else
			packed.bytes[random_below(near)] ^= (uint8_t)(1u << random_below(8));
		send_in_pieces(&pieces, &packed, scale == 1 ? 0 : 1 + (size_t)random_below(30));
		expect_mirrored(&pieces, &packed);
		free(packed.bytes);
	}
	pieces_stop(&pieces);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/large/shapes");
	TCase *tcase = suite_case(suite, "shapes");

	tcase_add_loop_test(tcase, every_shape_goes_both_ways, 0, STAMPS);
	tcase_add_loop_test(tcase, every_shape_streams_both_ways, 0, STAMPS);

	tcase = suite_case(suite, "pieces");
	tcase_add_loop_test(tcase, every_shape_may_come_in_any_pieces, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, every_small_shape_may_come_in_pieces_of_every_size, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, field_may_come_twice, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, optional_or_unknown_field_may_be_large, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, damaged_message_is_refused_or_is_another, 0, TRANSPORTS);
	return suite_run(suite);
}
