/* Registering: several services, wrong ones, the same twice, and very many methods. */

#include "caller.h"
#include "support/suite.h"
#include "variant_client.hawser.h"
#include "variant_server.hawser.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 16000, NAME_SIZE = 40 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static void second_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	Rpctest__Payload reply = *request;

	reply.number += *(int *)data;
	rpctest_second_echo_reply(call, &reply);
}

static const struct rpctest_second_service second = {.echo = second_echo};

/* Serves any of the many: says which one it is. */
static void serve_many(const void *handlers, struct hawser_call *call,
		       const ProtobufCMessage *message, void *data)
{
	const struct hawser_method *method = hawser_call_method(call);
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	(void)handlers;
	(void)message;
	(void)data;
	reply.text = (char *)(uintptr_t)method->name;
	hawser_call_send(call, method, &reply.base);
}

START_TEST(services_stand_side_by_side)
{
	Rpctest__Payload *reply;
	struct tester tester;
	struct caller caller;
	int more = 1000;

	tester_init(&tester, transport_of(_i), NULL);
	ck_assert_int_eq(rpctest_second_register(tester.server, &second, &more, NULL), 0);
	tester_run(&tester);
	caller_init(&caller, tester.address, false, NULL);
	for (int i = 0; i < 3; i++) {
		caller_echo(&caller);
		ck_assert_int_eq(rpctest_second_echo(caller.client, &empty, &reply, NULL),
				 HAWSER_OK);
		ck_assert_int_eq(reply->number, 1000);
		rpctest__payload__free_unpacked(reply, NULL);
	}
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

START_TEST(same_service_twice_is_refused)
{
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;
	int more = 1;

	ck_assert_int_eq(rpctest_second_register(server, &second, &more, &error), 0);
	ck_assert_int_eq(rpctest_second_register(server, &second, &more, &error), -EEXIST);
	ck_assert_int_eq(error.code, -EEXIST);
	ck_assert_msg(strstr(error.message, "rpctest.Second/Echo"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "already"), "%s", error.message);
	hawser_server_free(server);
}
END_TEST

START_TEST(same_id_twice_is_refused)
{
	static const struct rpctest_new_ledger_service ledger;
	static const struct rpctest_old_journal_service journal;
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;

	ck_assert_int_eq(rpctest_new_ledger_register(server, &ledger, NULL, &error), 0);
	ck_assert_int_eq(rpctest_old_journal_register(server, &journal, NULL, &error), -EEXIST);
	ck_assert_msg(strstr(error.message, "rpctest.old.Journal/Write"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "rpctest.new.Ledger/Post"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "0x11223344"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "hawser.method_id"), "%s", error.message);
	hawser_server_free(server);
}
END_TEST

/* All of a service or nothing: what came before the method that is taken is free again. */
START_TEST(refused_service_leaves_nothing_behind)
{
	struct hawser_method methods[2] = {rpctest_second_descriptor.methods[0],
					   rpctest_second_descriptor.methods[0]};
	struct hawser_service twin = {.name = "rpctest.Second", .methods = methods, .n_methods = 2};
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;
	int more = 1;

	ck_assert_int_eq(hawser_server_add(server, &twin, &second, &more, &error), -EEXIST);
	ck_assert_int_eq(rpctest_second_register(server, &second, &more, &error), 0);
	hawser_server_free(server);
}
END_TEST

START_TEST(wrong_services_are_refused)
{
	struct hawser_method method = rpctest_second_descriptor.methods[0];
	struct hawser_service service = {.methods = &method, .n_methods = 1};
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;

	ck_assert_int_eq(hawser_server_add(NULL, &service, &second, NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_server_add(server, NULL, &second, NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_server_add(server, &service, &second, NULL, &error), -EINVAL);
	service.name = "rpctest.Third";
	ck_assert_int_eq(hawser_server_add(server, &service, &second, NULL, &error), -EINVAL);
	ck_assert_msg(strstr(error.message, "rpctest.Third"), "%s", error.message);
	service.name = "rpctest.Second";
	ck_assert_int_eq(hawser_server_add(server, &service, NULL, NULL, &error), -EINVAL);
	method.id = 0;
	ck_assert_int_eq(hawser_server_add(server, &service, &second, NULL, &error), -EINVAL);
	ck_assert_msg(strstr(error.message, "rpctest.Second/Echo"), "%s", error.message);
	method.id = 1;
	method.request = NULL;
	ck_assert_int_eq(hawser_server_add(server, &service, &second, NULL, &error), -EINVAL);
	method.request = &rpctest__payload__descriptor;
	method.serve = NULL;
	ck_assert_int_eq(hawser_server_add(server, &service, &second, NULL, NULL), -EINVAL);
	service.n_methods = 0;
	ck_assert_int_eq(hawser_server_add(server, &service, &second, NULL, NULL), 0);
	hawser_server_free(server);
}
END_TEST

START_TEST(nothing_is_registered_while_it_runs)
{
	struct hawser_error error;
	struct pair pair;
	int more = 1;

	pair_start(&pair, 0, NULL, NULL);
	caller_echo(&pair.caller);
	ck_assert_int_eq(rpctest_second_register(pair.tester.server, &second, &more, &error),
			 -EBUSY);
	ck_assert_msg(strstr(error.message, "rpctest.Second"), "%s", error.message);
	ck_assert_int_eq(hawser_server_listen(pair.tester.server, "tcp:127.0.0.1:0", &error),
			 -EBUSY);
	ck_assert_int_eq(hawser_server_run(pair.tester.server, &error), -EBUSY);
	pair_stop(&pair);
}
END_TEST

START_TEST(sixteen_thousand_methods_are_served)
{
	struct hawser_method *methods = calloc(MANY, sizeof *methods), unknown;
	char(*names)[NAME_SIZE] = calloc(MANY, sizeof *names);
	struct hawser_service service = {
		.name = "rpctest.Big", .methods = methods, .n_methods = MANY};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	ProtobufCMessage *none = NULL;
	struct tester tester;
	struct caller caller;

	tester_init(&tester, transport_of(_i), NULL);
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], NAME_SIZE, "rpctest.Big/Method%05d", i);
		methods[i] = rpctest_second_descriptor.methods[0];
		methods[i].name = names[i];
		methods[i].serve = serve_many;
		/* Hashes of so many names may collide; these do not. */
		methods[i].id = 0x10000 + (uint32_t)i;
	}
	ck_assert_int_eq(hawser_server_add(tester.server, &service, &second, NULL, &tester.error),
			 0);
	tester_run(&tester);
	caller_init(&caller, tester.address, false, NULL);
	for (int i = 0; i < MANY; i += 777) {
		ProtobufCMessage *reply = NULL;

		ck_assert_int_eq(hawser_client_call(caller.client, &methods[i], &empty.base, &reply,
						    &context),
				 HAWSER_OK);
		ck_assert_str_eq(((Rpctest__Payload *)reply)->text, names[i]);
		protobuf_c_message_free_unpacked(reply, NULL);
	}
	caller_echo(&caller);
	unknown = methods[0];
	unknown.name = "rpctest.Big/Nothing";
	unknown.id = 5;
	ck_assert_int_eq(hawser_client_call(caller.client, &unknown, &empty.base, &none, &context),
			 HAWSER_UNIMPLEMENTED);
	ck_assert_msg(strstr(context.error.message, "rpctest.Big/Nothing: no such method"), "%s",
		      context.error.message);
	ck_assert_msg(strstr(context.error.message, "…"), "%s", context.error.message);
	hawser_context_clear(&context);
	caller_deinit(&caller);
	tester_stop(&tester);
	free(methods);
	free(names);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/services");
	TCase *tcase = suite_case(suite, "services");

	tcase_add_loop_test(tcase, services_stand_side_by_side, 0, TRANSPORTS);
	tcase_add_test(tcase, same_service_twice_is_refused);
	tcase_add_test(tcase, same_id_twice_is_refused);
	tcase_add_test(tcase, refused_service_leaves_nothing_behind);
	tcase_add_test(tcase, wrong_services_are_refused);
	tcase_add_test(tcase, nothing_is_registered_while_it_runs);
	tcase_add_loop_test(tcase, sixteen_thousand_methods_are_served, 0, TRANSPORTS);
	return suite_run(suite);
}
