/* Whole conversations through the state machine, however the network cuts them.
 *
 * What a session makes of a recording is written down as text, once for the
 * recording in one piece; every other way to cut it must give the same text. */

#include "frames.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "wire/session.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- an end that receives ---- */

struct end {
	struct hawser__pool pool;
	struct hawser__session session;
	struct bytes pending; /* not yet taken */
	size_t skip;          /* of a frame that is too long */
	bool broken;
	char seen[8192];
	size_t seen_length;
};

static void end_init(struct end *end, bool is_server, size_t max_payload)
{
	memset(end, 0, sizeof *end);
	hawser__session_init(&end->session, is_server, max_payload, &end->pool);
}

static void end_deinit(struct end *end)
{
	bytes_free(&end->pending);
	hawser__session_deinit(&end->session);
	hawser__pool_deinit(&end->pool);
}

__attribute__((format(printf, 2, 3))) static void note(struct end *end, const char *format, ...)
{
	size_t left = sizeof end->seen - end->seen_length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(end->seen + end->seen_length, left, format, arguments);
	va_end(arguments);
	quick_assert(length >= 0 && (size_t)length < left);
	end->seen_length += (size_t)length;
}

/* FNV-1a: enough to see that bytes are the same. */
static unsigned hash(const uint8_t *data, size_t length)
{
	uint32_t sum = 2166136261;

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ data[i]) * 16777619;
	return sum;
}

static void note_frame(struct end *end, const struct hawser__frame *frame)
{
	note(end,
	     "%s %llu method %08x timeout %llu status %u outcome %u window %llu ack %llu%s%s "
	     "body %zu:%08x",
	     hawser__frame_kind_name(frame->kind), (unsigned long long)frame->id, frame->method,
	     (unsigned long long)frame->timeout_ms, frame->status, frame->outcome,
	     (unsigned long long)frame->window, (unsigned long long)frame->ack,
	     frame->last ? " last" : "", frame->more ? " more" : "", frame->body_length,
	     hash(frame->body, frame->body_length));
}

/* Takes the first `length` bytes from what is pending. */
static void take(struct end *end, size_t length)
{
	struct bytes rest = bytes_copy(end->pending.data + length, end->pending.length - length);

	bytes_free(&end->pending);
	end->pending = rest;
}

/* One step; false when more bytes are needed. The session sees an exact copy. */
static bool end_step(struct end *end)
{
	struct hawser__problem problem = {0};
	struct hawser__frame frame;
	size_t need = 1234;
	ptrdiff_t taken;

	if (end->skip && end->pending.length) {
		size_t part = end->skip < end->pending.length ? end->skip : end->pending.length;

		end->skip -= part;
		take(end, part);
		return true;
	}
	if (!end->pending.length || end->broken)
		return false;
	taken = hawser__session_next(&end->session, end->pending.data, end->pending.length, &frame,
				     &need, &problem);
	if (taken > 0) {
		quick_assert((size_t)taken <= end->pending.length);
		check_within(&frame, end->pending.data, end->pending.length);
		note_frame(end, &frame);
		note(end, " payload %zu:%08x\n", frame.payload_length,
		     hash(frame.payload, frame.payload_length));
		/* The server likes everybody, and keeps nothing. */
		if (frame.kind == HAWSER__FRAME_OPEN)
			hawser__session_begin(&end->session, false);
		take(end, (size_t)taken);
	} else if (taken == -EMSGSIZE) {
		note_frame(end, &frame);
		note(end, " too long: %zu of %zu\n", frame.payload_length, need);
		end->skip = need;
	} else if (taken < 0) {
		quick_assert(taken == -EBADMSG);
		note(end, "broken: %s: %s\n", hawser__reason_name(problem.reason), problem.text);
		end->broken = true;
	} else {
		uint32_t length = end->pending.length < HAWSER__FRAME_PREFIX
					  ? 0
					  : hawser__frame_length(end->pending.data);

		/* The whole length, or as much as it takes to refuse it, once it can be known. */
		if (end->pending.length < HAWSER__FRAME_PREFIX)
			quick_assert(need == 0);
		else if (length > end->session.max_frame)
			quick_assert(need == HAWSER__FRAME_PREFIX + HAWSER__FRAME_HEAD);
		else
			quick_assert(need == HAWSER__FRAME_PREFIX + (size_t)length);
		quick_assert(need == 0 || need > end->pending.length);
		return false;
	}
	return true;
}

static void end_receive(struct end *end, const uint8_t *data, size_t length)
{
	bytes_append(&end->pending, data, length);
	while (end_step(end))
		;
}

/* ---- recordings ---- */

struct recording {
	bool to_server;
	size_t max_payload;
	struct bytes bytes;
};

static void add_frame(struct recording *recording, Hawser__Frame *frame,
		      enum hawser__frame_kind kind, void *body, size_t payload_length)
{
	static uint8_t payload[70000];
	struct bytes packed;

	memset(payload, (int)recording->bytes.length, payload_length);
	frame->kind_case = (Hawser__Frame__KindCase)kind;
	frame->open = body; /* the oneof's members share their place */
	frame->payload = (ProtobufCBinaryData){payload_length, payload};
	packed = frame_pack_prefixed(frame);
	bytes_append(&recording->bytes, packed.data, packed.length);
	bytes_free(&packed);
}

static void add(struct recording *recording, enum hawser__frame_kind kind, void *body,
		size_t payload_length)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;

	add_frame(recording, &frame, kind, body, payload_length);
}

static void add_call(struct recording *recording, uint64_t id, size_t payload_length)
{
	Hawser__Call call = HAWSER__CALL__INIT;

	call.id = id;
	call.method = 0x1000 + (uint32_t)id;
	call.timeout_ms = id * 100;
	add(recording, HAWSER__FRAME_CALL, &call, payload_length);
}

static void add_rare_call(struct recording *recording, uint64_t id)
{
	Hawser__Call call = HAWSER__CALL__INIT;
	Hawser__Method method = HAWSER__METHOD__INIT;
	Hawser__Metadata item = HAWSER__METADATA__INIT, *items = &item;

	method.id = 7;
	method.name = "demo.Greeter/Hello";
	item.key = "trace-id";
	item.value = (ProtobufCBinaryData){4, (uint8_t *)"\0\1\2\3"};
	call.id = id;
	call.announce = &method;
	call.metadata = &items;
	call.n_metadata = 1;
	add(recording, HAWSER__FRAME_CALL, &call, 300);
}

static void fill_hello(Hawser__Hello *hello)
{
	static char *services[] = {(char *)"demo.Greeter", (char *)"demo.Files"};
	static Hawser__Label label, *labels[] = {&label};

	hawser__label__init(&label);
	label.key = (char *)"site";
	label.value = (char *)"lab-2";
	hello->services = services;
	hello->n_services = 2;
	hello->labels = labels;
	hello->n_labels = 1;
	hello->address = (char *)"tcp:10.0.0.7:7000";
}

static void add_opening(struct recording *recording)
{
	Hawser__Open open = HAWSER__OPEN__INIT;
	Hawser__Opened opened = HAWSER__OPENED__INIT;
	Hawser__Hello hello = HAWSER__HELLO__INIT;

	fill_hello(&hello);
	open.hello = opened.hello = &hello;
	open.version = opened.version = HAWSER__PROTOCOL_VERSION;
	open.name = opened.name = "recorded";
	if (recording->to_server)
		add(recording, HAWSER__FRAME_OPEN, &open, 0);
	else
		add(recording, HAWSER__FRAME_OPENED, &opened, 0);
}

static void add_closing(struct recording *recording)
{
	Hawser__Close close = HAWSER__CLOSE__INIT;

	close.reason = HAWSER__REASON__REASON_DONE;
	close.text = "that was all";
	close.last_call = 5;
	add(recording, HAWSER__FRAME_CLOSE, &close, 0);
}

/* Every kind that may come after the opening. */
static struct recording record_everything(bool to_server)
{
	struct recording recording = {.to_server = to_server, .max_payload = 4096};
	uint64_t parity = to_server ? 1 : 2;
	Hawser__Frame unknown = HAWSER__FRAME__INIT;
	Hawser__Ping ping = HAWSER__PING__INIT;
	Hawser__Pong pong = HAWSER__PONG__INIT;
	Hawser__Message message = HAWSER__MESSAGE__INIT;
	Hawser__End end = HAWSER__END__INIT;
	Hawser__Cancel cancel = HAWSER__CANCEL__INIT;
	Hawser__Window window = HAWSER__WINDOW__INIT;
	Hawser__Shutdown shutdown = HAWSER__SHUTDOWN__INIT;
	Hawser__Frame changed = HAWSER__FRAME__INIT;
	Hawser__Hello hello = HAWSER__HELLO__INIT;

	recording.bytes = bytes_copy("", 0);
	add_opening(&recording);
	ping.number = 77;
	add(&recording, HAWSER__FRAME_PING, &ping, 0);
	pong.number = UINT64_MAX;
	add(&recording, HAWSER__FRAME_PONG, &pong, 0);
	add_call(&recording, parity, 40);
	add_rare_call(&recording, parity + 2);
	cancel.id = parity;
	add(&recording, HAWSER__FRAME_CANCEL, &cancel, 0);
	message.id = parity + 2;
	message.last = true;
	add(&recording, HAWSER__FRAME_MESSAGE, &message, 90);
	window.id = parity + 2;
	window.bytes = 65536;
	add(&recording, HAWSER__FRAME_WINDOW, &window, 0);
	unknown.ignorable = true;
	unknown.ack = 300;
	add_frame(&recording, &unknown, HAWSER__FRAME_IGNORED, NULL, 20);
	end.id = 3 - parity;
	add(&recording, HAWSER__FRAME_END, &end, 130);
	end.id = 5 - parity;
	end.status = 5;
	end.outcome = HAWSER__OUTCOME__OUTCOME_EXECUTED;
	end.text = "no such ship";
	add(&recording, HAWSER__FRAME_END, &end, 0);
	shutdown.text = "enough for today";
	add(&recording, HAWSER__FRAME_SHUTDOWN, &shutdown, 0);
	fill_hello(&hello);
	changed.ignorable = true;
	add_frame(&recording, &changed, HAWSER__FRAME_HELLO, &hello, 0);
	add_call(&recording, parity + 1000, 0);
	add_closing(&recording);
	return recording;
}

static struct recording record_everything_to_a_server(void)
{
	return record_everything(true);
}

static struct recording record_everything_to_a_client(void)
{
	return record_everything(false);
}

static struct recording record_a_rejection(void)
{
	struct recording recording = {.max_payload = 4096, .bytes = bytes_copy("", 0)};
	Hawser__Rejected rejected = HAWSER__REJECTED__INIT;

	rejected.reason = HAWSER__REASON__REASON_TOO_MANY_CONNECTIONS;
	rejected.text = "try again later";
	add(&recording, HAWSER__FRAME_REJECTED, &rejected, 0);
	return recording;
}

/* It breaks the protocol in the middle; what follows is not looked at. */
static struct recording record_a_broken_one(void)
{
	struct recording recording = {.to_server = true, .max_payload = 4096};

	recording.bytes = bytes_copy("", 0);
	add_opening(&recording);
	add_call(&recording, 5, 10);
	add_call(&recording, 3, 10);
	add_call(&recording, 7, 10);
	return recording;
}

static struct recording record_noise(void)
{
	struct recording recording = {.to_server = true, .max_payload = 4096};

	recording.bytes = bytes_copy("", 0);
	add_opening(&recording);
	add_call(&recording, 5, 10);
	bytes_append(&recording.bytes, "\0\0\0\5noise", 9);
	return recording;
}

static struct recording record_an_oversized_one(void)
{
	struct recording recording = {.to_server = true, .max_payload = 100};

	recording.bytes = bytes_copy("", 0);
	add_opening(&recording);
	add_call(&recording, 1, 100);
	add_call(&recording, 3, 66000);
	add_call(&recording, 5, 100);
	add_closing(&recording);
	return recording;
}

typedef struct recording record_fn(void);

static record_fn *const all_recordings[] = {
	record_everything_to_a_server,
	record_everything_to_a_client,
	record_a_rejection,
	record_a_broken_one,
	record_noise,
	record_an_oversized_one,
};

enum { RECORDINGS = sizeof all_recordings / sizeof *all_recordings };

/* ---- cutting ---- */

static char *play_whole(const struct recording *recording)
{
	struct end end;
	char *seen;

	end_init(&end, recording->to_server, recording->max_payload);
	end_receive(&end, recording->bytes.data, recording->bytes.length);
	ck_assert(end.broken || !end.pending.length);
	seen = strdup(end.seen);
	ck_assert_ptr_nonnull(seen);
	end_deinit(&end);
	return seen;
}

/* Cut at the given places, the last of which is the end. */
static void check_cut(const struct recording *recording, const char *expected, const size_t *cuts,
		      size_t n_cuts)
{
	struct end end;
	size_t at = 0;

	end_init(&end, recording->to_server, recording->max_payload);
	for (size_t i = 0; i < n_cuts; i++) {
		end_receive(&end, recording->bytes.data + at, cuts[i] - at);
		at = cuts[i];
	}
	if (strcmp(end.seen, expected) != 0)
		ck_abort_msg("cut after %zu, … saw\n%sinstead of\n%s", cuts[0], end.seen, expected);
	end_deinit(&end);
}

START_TEST(conversation_with_everything_is_understood)
{
	static const char *const kinds[] = {"ping",     "pong",   "call",    "cancel",
					    "message",  "window", "ignored", "end",
					    "shutdown", "hello",  "close"};

	for (int to_server = 0; to_server < 2; to_server++) {
		struct recording recording = record_everything(to_server);
		char *seen = play_whole(&recording);

		ck_assert(!strncmp(seen, to_server ? "open " : "opened ", to_server ? 5 : 7));
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
			char line[16];

			snprintf(line, sizeof line, "\n%s ", kinds[i]);
			ck_assert_msg(strstr(seen, line), "no %s in\n%s", kinds[i], seen);
		}
		ck_assert_ptr_null(strstr(seen, "broken"));
		free(seen);
		bytes_free(&recording.bytes);
	}
}
END_TEST

START_TEST(conversation_survives_any_split)
{
	struct recording recording = all_recordings[_i]();
	char *expected = play_whole(&recording);
	size_t length = recording.bytes.length, step;

	for (size_t cut = 0; cut <= length; cut += step) {
		size_t cuts[] = {cut, length};

		check_cut(&recording, expected, cuts, 2);
		/* In the middle of a payload of tens of kilobytes one place is like another. */
		step = cut > 1000 && cut + 1000 < length ? 997 : 1;
		/* Slow as a run may be, it comes by every byte of some frames. */
		step *= suite_rounds(16) < 16 ? 7 : 1;
	}
	free(expected);
	bytes_free(&recording.bytes);
}
END_TEST

START_TEST(conversation_survives_single_bytes)
{
	struct recording recording = all_recordings[_i]();
	char *expected = play_whole(&recording);
	struct end end;

	end_init(&end, recording.to_server, recording.max_payload);
	for (size_t at = 0; at < recording.bytes.length; at++)
		end_receive(&end, recording.bytes.data + at, 1);
	ck_assert_str_eq(end.seen, expected);
	end_deinit(&end);
	free(expected);
	bytes_free(&recording.bytes);
}
END_TEST

START_TEST(conversation_survives_random_splits)
{
	struct recording recording = all_recordings[_i]();
	char *expected = play_whole(&recording);
	size_t length = recording.bytes.length;

	for (unsigned long n = suite_rounds(400); n--;) {
		size_t cuts[200], n_cuts = 0, at = 0;
		size_t longest = 1 + (size_t)random_below(random_one_in(2) ? 20 : length);

		while (at < length && n_cuts < 199) {
			at += 1 + (size_t)random_below(longest);
			cuts[n_cuts++] = at < length ? at : length;
		}
		cuts[n_cuts++] = length;
		check_cut(&recording, expected, cuts, n_cuts);
	}
	free(expected);
	bytes_free(&recording.bytes);
}
END_TEST

START_TEST(oversized_frame_is_told_once_and_skipped_to_its_end)
{
	struct recording recording = record_an_oversized_one();
	char *seen = play_whole(&recording), *line;

	line = strstr(seen, "\ncall 3 ");
	ck_assert_msg(line, "call 3 is missing in\n%s", seen);
	ck_assert_ptr_nonnull(strstr(line, "too long: 66000 of 66"));
	ck_assert_ptr_null(strstr(line + 1, "\ncall 3 "));
	ck_assert_ptr_nonnull(strstr(line, "\ncall 5 "));
	ck_assert_ptr_nonnull(strstr(line, "\nclose "));
	free(seen);
	bytes_free(&recording.bytes);
}
END_TEST

/* ---- without memory ---- */

/* A client and a server greet each other, call, and part, each step checked. */
static bool converse(void *data)
{
	struct end client, server;
	struct hawser__problem problem = {.reason = HAWSER__REASON__REASON_DONE};
	Hawser__Open open = HAWSER__OPEN__INIT;
	char credentials[20000];
	unsigned sent = 0, whole = 0;
	struct bytes bytes;

	(void)data;
	end_init(&client, false, 4096);
	end_init(&server, true, 4096);
	memset(credentials, 'c', sizeof credentials);

	/* Small, and larger than what fits on the stack and in a chunk. */
	sent += hawser__session_put(&client.session, HAWSER__FRAME_OPEN, &open.base) != NULL;
	open.credentials = (ProtobufCBinaryData){sizeof credentials, (uint8_t *)credentials};
	sent += hawser__session_put(&client.session, HAWSER__FRAME_OPEN, &open.base) != NULL;
	sent += hawser__session_put_close(&client.session, &problem) != NULL;
	ck_assert_int_eq(client.session.state, HAWSER__SESSION_OVER);

	/* What failed has left no half of a frame. */
	bytes = bytes_take(&client.session.control);
	for (size_t at = 0; at < bytes.length; whole++)
		at += HAWSER__FRAME_PREFIX + hawser__frame_length(bytes.data + at);
	ck_assert_uint_eq(whole, sent);
	bytes_free(&bytes);

	sent += hawser__session_put_close(&server.session, &problem) != NULL;
	ck_assert_int_eq(server.session.state, HAWSER__SESSION_OVER);
	end_deinit(&client);
	end_deinit(&server);
	return sent == 4;
}

START_TEST(sessions_without_memory_say_so_and_send_only_whole_frames)
{
	/* Two chunks of the usual size, one large, and room to pack the large message. */
	ck_assert_uint_eq(failing_alloc_each(converse, NULL), 5);
}
END_TEST

/* Receiving allocates nothing: there is nothing that could fail. */
START_TEST(receiving_needs_no_memory)
{
	struct recording recording = record_everything(true);
	struct end end;
	struct hawser__problem problem;
	struct hawser__frame frame;
	size_t at = 0, need;

	end_init(&end, true, 4096);
	failing_alloc_after(0);
	while (at < recording.bytes.length) {
		ptrdiff_t taken =
			hawser__session_next(&end.session, recording.bytes.data + at,
					     recording.bytes.length - at, &frame, &need, &problem);

		ck_assert_int_gt(taken, 0);
		end.session.state = HAWSER__SESSION_OPEN;
		at += (size_t)taken;
	}
	ck_assert(!failing_alloc_stop());
	end_deinit(&end);
	bytes_free(&recording.bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-session");
	TCase *splits = suite_case(suite, "splits"), *memory = suite_case(suite, "memory");

	tcase_add_test(splits, conversation_with_everything_is_understood);
	tcase_add_test(splits, oversized_frame_is_told_once_and_skipped_to_its_end);
	tcase_add_loop_test(splits, conversation_survives_any_split, 0, RECORDINGS);
	tcase_add_loop_test(splits, conversation_survives_single_bytes, 0, RECORDINGS);
	tcase_add_loop_test(splits, conversation_survives_random_splits, 0, RECORDINGS);
	tcase_add_test(memory, sessions_without_memory_say_so_and_send_only_whole_frames);
	tcase_add_test(memory, receiving_needs_no_memory);
	return suite_run(suite);
}
