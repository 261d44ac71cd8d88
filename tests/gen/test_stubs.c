/* Generated code does what its header says: each stub asks the runtime for the
 * right thing, each thunk calls the right handler, each table says what stands in
 * the .proto. */

#include "comments.hawser.h"
#include "greeter.hawser.h"
#include "names.hawser.h"
#include "options.hawser.h"
#include "runtime.h"

#include <check.h>
#include <stdlib.h>

static char call_object, client_object, server_object, data_object;

#define CALL ((struct hawser_call *)&call_object)
#define CLIENT ((struct hawser_client *)&client_object)
#define SERVER ((struct hawser_server *)&server_object)

/* What a handler or a callback was called with. */
static struct {
	const char *handler;
	const void *message;
	void *data;
} got;

static void hello(struct hawser_call *call, const Demo__HelloRequest *request, void *data)
{
	ck_assert_ptr_eq(call, CALL);
	got.handler = "hello";
	got.message = request;
	got.data = data;
}

static void chat(struct hawser_call *call, const Demo__ChatMessage *request_or_null, void *data)
{
	ck_assert_ptr_eq(call, CALL);
	got.handler = "chat";
	got.message = request_or_null;
	got.data = data;
}

static void hello_done(struct hawser_call *call, const Demo__HelloReply *reply_or_null, void *data)
{
	ck_assert_ptr_eq(call, CALL);
	got.handler = "hello_done";
	got.message = reply_or_null;
	got.data = data;
}

static void count_came(struct hawser_call *call, const Demo__CountReply *reply_or_null, void *data)
{
	(void)call;
	(void)reply_or_null;
	(void)data;
}

static void upload_done(struct hawser_call *call, const Demo__Summary *reply_or_null, void *data)
{
	(void)call;
	(void)reply_or_null;
	(void)data;
}

static const struct demo_greeter_service greeter = {.hello = hello, .chat = chat};

static const struct hawser_method *method(size_t i)
{
	return &demo_greeter_descriptor.methods[i];
}

/* FNV-1a as RFC 9923 has it, apart from the generator's own. */
static uint32_t fnv1a(const char *text)
{
	uint32_t hash = 0x811c9dc5;

	while (*text) {
		hash ^= (unsigned char)*text++;
		hash *= 0x01000193;
	}
	return hash;
}

START_TEST(tables_say_what_the_proto_says)
{
	static const struct {
		const char *name;
		enum hawser_method_kind kind;
		const ProtobufCMessageDescriptor *request, *reply;
	} expected[] = {
		{"demo.Greeter/Hello", HAWSER_UNARY, &demo__hello_request__descriptor,
		 &demo__hello_reply__descriptor},
		{"demo.Greeter/Count", HAWSER_SERVER_STREAM, &demo__count_request__descriptor,
		 &demo__count_reply__descriptor},
		{"demo.Greeter/Upload", HAWSER_CLIENT_STREAM, &demo__chunk__descriptor,
		 &demo__summary__descriptor},
		{"demo.Greeter/Chat", HAWSER_BIDI, &demo__chat_message__descriptor,
		 &demo__chat_message__descriptor},
	};

	ck_assert_str_eq(demo_greeter_descriptor.name, "demo.Greeter");
	ck_assert_uint_eq(demo_greeter_descriptor.n_methods, 4);
	ck_assert_uint_eq(demo_greeter_descriptor.n_secrets, 0);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_str_eq(method(i)->name, expected[i].name);
		ck_assert_uint_eq(method(i)->id, fnv1a(expected[i].name));
		ck_assert_int_eq(method(i)->kind, expected[i].kind);
		ck_assert_ptr_eq(method(i)->request, expected[i].request);
		ck_assert_ptr_eq(method(i)->reply, expected[i].reply);
		ck_assert_uint_eq(method(i)->flags, 0);
		ck_assert_uint_eq(method(i)->timeout_ms, 0);
	}
}
END_TEST

START_TEST(options_reach_the_table)
{
	const struct hawser_method *m = vault_store_descriptor.methods;

	ck_assert_uint_eq(vault_store_descriptor.n_methods, 4);
	ck_assert_uint_eq(m[0].flags, HAWSER_METHOD_IDEMPOTENT);
	ck_assert_uint_eq(m[0].timeout_ms, 500);
	ck_assert_uint_eq(m[0].max_reply_bytes, 65536);
	ck_assert_uint_eq(m[0].max_request_bytes, 0);
	ck_assert_uint_eq(m[1].flags, HAWSER_METHOD_IDEMPOTENT | HAWSER_METHOD_BLOCKING);
	ck_assert_uint_eq(m[1].max_request_bytes, 1048576);
	ck_assert_uint_eq(m[2].id, 0x1234abcd);
	ck_assert_uint_eq(m[2].flags, HAWSER_METHOD_EXCLUSIVE);
	ck_assert_uint_eq(m[3].flags, 0);
	m = vault_door_descriptor.methods;
	ck_assert_uint_eq(m[0].flags, HAWSER_METHOD_EXCLUSIVE | HAWSER_METHOD_SERVICE_LEASE);
	ck_assert_uint_eq(m[1].flags, HAWSER_METHOD_EXCLUSIVE);
	ck_assert_uint_eq(m[2].flags, 0);
}
END_TEST

START_TEST(secrets_are_those_within_reach)
{
	const struct hawser_secret *s = vault_store_descriptor.secrets;

	ck_assert_uint_eq(vault_store_descriptor.n_secrets, 3);
	ck_assert_ptr_eq(s[0].message, &vault__key__descriptor);
	ck_assert_uint_eq(s[0].field, 2);
	ck_assert_ptr_eq(s[1].message, &vault__value__descriptor);
	ck_assert_uint_eq(s[1].field, 2);
	ck_assert_ptr_eq(s[2].message, &vault__nested__descriptor);
	ck_assert_uint_eq(s[2].field, 2);
	ck_assert_uint_eq(vault_door_descriptor.n_secrets, 0);
}
END_TEST

START_TEST(register_hands_over_service_and_handlers)
{
	struct hawser_error error;

	answer_number = -17;
	ck_assert_int_eq(demo_greeter_register(SERVER, &greeter, &data_object, &error), -17);
	ck_assert_str_eq(asked.function, "hawser_server_add");
	ck_assert_ptr_eq(asked.object, SERVER);
	ck_assert_ptr_eq(asked.service, &demo_greeter_descriptor);
	ck_assert_ptr_eq(asked.handlers, &greeter);
	ck_assert_ptr_eq(asked.data, &data_object);
	ck_assert_ptr_eq(asked.context, &error);
}
END_TEST

START_TEST(thunks_call_the_handler)
{
	Demo__HelloRequest request = DEMO__HELLO_REQUEST__INIT;

	method(0)->serve(&greeter, CALL, (const ProtobufCMessage *)&request, &data_object);
	ck_assert_str_eq(got.handler, "hello");
	ck_assert_ptr_eq(got.message, &request);
	ck_assert_ptr_eq(got.data, &data_object);

	method(3)->serve(&greeter, CALL, NULL, NULL);
	ck_assert_str_eq(got.handler, "chat");
	ck_assert_ptr_null(got.message);
}
END_TEST

START_TEST(missing_handlers_answer_by_themselves)
{
	for (size_t i = 1; i < 3; i++) {
		asked = (struct asked){0};
		method(i)->serve(&greeter, CALL, NULL, NULL);
		ck_assert_str_eq(asked.function, "hawser_call_no_handler");
		ck_assert_ptr_eq(asked.object, CALL);
	}
}
END_TEST

START_TEST(replies_name_their_method)
{
	Demo__HelloReply hello_reply = DEMO__HELLO_REPLY__INIT;
	Demo__Summary summary = DEMO__SUMMARY__INIT;

	answer_number = -32;
	ck_assert_int_eq(demo_greeter_hello_reply(CALL, &hello_reply), -32);
	ck_assert_str_eq(asked.function, "hawser_call_send");
	ck_assert_ptr_eq(asked.object, CALL);
	ck_assert_ptr_eq(asked.method, method(0));
	ck_assert_ptr_eq(asked.message, &hello_reply);

	demo_greeter_upload_reply(CALL, &summary);
	ck_assert_ptr_eq(asked.method, method(2));

	/* The runtime answers -EINVAL to NULL, so it must get to see it. */
	demo_greeter_hello_reply(CALL, NULL);
	ck_assert_ptr_null(asked.message);
}
END_TEST

START_TEST(fail_names_its_method)
{
	answer_number = -11;
	ck_assert_int_eq(demo_greeter_count_fail(CALL, HAWSER_NOT_FOUND, "no %s, %d", "such", 7),
			 -11);
	ck_assert_str_eq(asked.function, "hawser_call_fail_method");
	ck_assert_ptr_eq(asked.method, method(1));
	ck_assert_int_eq(asked.status, HAWSER_NOT_FOUND);
	ck_assert_str_eq(asked.text, "no such, 7");
	demo_greeter_chat_fail(CALL, HAWSER_ABORTED, "plain");
	ck_assert_ptr_eq(asked.method, method(3));
}
END_TEST

START_TEST(a_blocking_call_returns_status_and_reply)
{
	Demo__HelloRequest request = DEMO__HELLO_REQUEST__INIT;
	Demo__HelloReply answer = DEMO__HELLO_REPLY__INIT;
	Demo__HelloReply *reply = NULL;
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	answer_status = HAWSER_OK;
	answer_message = &answer.base;
	ck_assert_int_eq(demo_greeter_hello(CLIENT, &request, &reply, &context), HAWSER_OK);
	ck_assert_ptr_eq(reply, &answer);
	ck_assert_str_eq(asked.function, "hawser_client_call");
	ck_assert_ptr_eq(asked.object, CLIENT);
	ck_assert_ptr_eq(asked.method, method(0));
	ck_assert_ptr_eq(asked.message, &request);
	ck_assert_ptr_eq(asked.context, &context);

	reply = NULL;
	answer_status = HAWSER_UNAVAILABLE;
	ck_assert_int_eq(demo_greeter_hello(CLIENT, &request, &reply, NULL), HAWSER_UNAVAILABLE);
	ck_assert_ptr_null(reply);
}
END_TEST

START_TEST(an_asynchronous_call_delivers_to_its_callback)
{
	Demo__HelloRequest request = DEMO__HELLO_REQUEST__INIT;
	Demo__HelloReply reply = DEMO__HELLO_REPLY__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	ck_assert_ptr_nonnull(
		demo_greeter_hello_async(CLIENT, &request, hello_done, &data_object, &context));
	ck_assert_str_eq(asked.function, "hawser_client_open");
	ck_assert_ptr_eq(asked.method, method(0));
	ck_assert_ptr_eq(asked.message, &request);
	ck_assert_ptr_eq(asked.data, &data_object);
	ck_assert_ptr_eq(asked.context, &context);

	asked.method->deliver(asked.callback, CALL, &reply.base, asked.data);
	ck_assert_str_eq(got.handler, "hello_done");
	ck_assert_ptr_eq(got.message, &reply);
	ck_assert_ptr_eq(got.data, &data_object);
	asked.method->deliver(asked.callback, CALL, NULL, NULL);
	ck_assert_ptr_null(got.message);
}
END_TEST

START_TEST(streams_open_with_what_they_need)
{
	Demo__CountRequest request = DEMO__COUNT_REQUEST__INIT;

	demo_greeter_count(CLIENT, &request, NULL);
	ck_assert_str_eq(asked.function, "hawser_client_open");
	ck_assert_ptr_eq(asked.method, method(1));
	ck_assert_ptr_eq(asked.message, &request);
	ck_assert(!asked.callback);
	demo_greeter_count_async(CLIENT, &request, count_came, &data_object, NULL);
	ck_assert_ptr_eq(asked.message, &request);
	ck_assert(asked.callback == (hawser_any_fn *)count_came);
	ck_assert_ptr_eq(asked.data, &data_object);

	demo_greeter_upload(CLIENT, NULL);
	ck_assert_ptr_eq(asked.method, method(2));
	ck_assert_ptr_null(asked.message);
	ck_assert(!asked.callback);
	demo_greeter_upload_async(CLIENT, upload_done, NULL, NULL);
	ck_assert(asked.callback == (hawser_any_fn *)upload_done);

	demo_greeter_chat(CLIENT, NULL);
	ck_assert_ptr_eq(asked.method, method(3));
	ck_assert_ptr_null(asked.message);
}
END_TEST

START_TEST(streams_send_and_receive)
{
	Demo__Chunk chunk = DEMO__CHUNK__INIT;
	Demo__CountReply answer = DEMO__COUNT_REPLY__INIT;
	Demo__CountReply *reply = NULL;

	answer_number = -11;
	ck_assert_int_eq(demo_greeter_upload_send(CALL, &chunk), -11);
	ck_assert_str_eq(asked.function, "hawser_call_send");
	ck_assert_ptr_eq(asked.method, method(2));
	ck_assert_ptr_eq(asked.message, &chunk);

	answer_message = &answer.base;
	answer_number = 1;
	ck_assert_int_eq(demo_greeter_count_recv(CALL, &reply), 1);
	ck_assert_str_eq(asked.function, "hawser_call_recv");
	ck_assert_ptr_eq(asked.method, method(1));
	ck_assert_ptr_eq(reply, &answer);

	for (answer_number = -1; answer_number <= 0; answer_number++) {
		reply = NULL;
		ck_assert_int_eq(demo_greeter_count_recv(CALL, &reply), answer_number);
		ck_assert_ptr_null(reply);
	}
}
END_TEST

START_TEST(bent_names_lead_to_their_methods)
{
	const struct hawser_method *m = deep_in_ner__pkg_httpapi_descriptor.methods;

	deep_in_ner__pkg_httpapi_get_url_reply(CALL, NULL);
	ck_assert_str_eq(asked.method->name, "deep.inNer_Pkg.HTTPApi/GetURL");
	deep_in_ner__pkg_httpapi_get__url_reply(CALL, NULL);
	ck_assert_str_eq(asked.method->name, "deep.inNer_Pkg.HTTPApi/Get_Url");
	deep_in_ner__pkg_httpapi_get_url__reply(CALL, NULL);
	ck_assert_str_eq(asked.method->name, "deep.inNer_Pkg.HTTPApi/getUrl");
	deep_in_ner__pkg_httpapi_register__reply(CALL, NULL);
	ck_assert_str_eq(asked.method->name, "deep.inNer_Pkg.HTTPApi/Register");
	deep_in_ner__pkg_httpapi_foo_async__reply(CALL, NULL);
	ck_assert_str_eq(asked.method->name, "deep.inNer_Pkg.HTTPApi/FooAsync");
	ck_assert_str_eq(m[6].name, "deep.inNer_Pkg.HTTPApi/Foo");
	ck_assert_ptr_eq(m[2].request, &c_side__thing__descriptor);
	ck_assert_ptr_eq(m[2].reply, &c_side__thing__part__descriptor);
}
END_TEST

START_TEST(a_service_without_methods_has_an_empty_table)
{
	ck_assert_str_eq(idle_descriptor.name, "Idle");
	ck_assert_uint_eq(idle_descriptor.n_methods, 0);
	ck_assert_str_eq(notes_descriptor.methods[0].name, "Notes/Add");
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("stubs");
	Suite *suite = suite_create("gen/stubs");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, tables_say_what_the_proto_says);
	tcase_add_test(tcase, options_reach_the_table);
	tcase_add_test(tcase, secrets_are_those_within_reach);
	tcase_add_test(tcase, register_hands_over_service_and_handlers);
	tcase_add_test(tcase, thunks_call_the_handler);
	tcase_add_test(tcase, missing_handlers_answer_by_themselves);
	tcase_add_test(tcase, replies_name_their_method);
	tcase_add_test(tcase, fail_names_its_method);
	tcase_add_test(tcase, a_blocking_call_returns_status_and_reply);
	tcase_add_test(tcase, an_asynchronous_call_delivers_to_its_callback);
	tcase_add_test(tcase, streams_open_with_what_they_need);
	tcase_add_test(tcase, streams_send_and_receive);
	tcase_add_test(tcase, bent_names_lead_to_their_methods);
	tcase_add_test(tcase, a_service_without_methods_has_an_empty_table);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
