/* Addresses: what is one, what the errors say, what they resolve to and look like. */

#include "net/address.h"
#include "sockets.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const char *repeat(char *buffer, const char *before, char c, size_t count, const char *after)
{
	size_t length = strlen(before);

	memcpy(buffer, before, length);
	memset(buffer + length, c, count);
	strcpy(buffer + length + count, after);
	return buffer;
}

/* ---- parsing ---- */

START_TEST(tcp_addresses_are_taken_apart)
{
	static const struct {
		const char *text, *host, *port;
	} cases[] = {
		{"tcp:127.0.0.1:7070", "127.0.0.1", "7070"},
		{"tcp:localhost:0", "localhost", "0"},
		{"tcp:server.example.org:65535", "server.example.org", "65535"},
		{"tcp:[::1]:7070", "::1", "7070"},
		{"tcp:[fe80::1%eth0]:80", "fe80::1%eth0", "80"},
		{"tcp:[127.0.0.1]:80", "127.0.0.1", "80"},
		{"tcp:*:7070", "", "7070"},
		{"tcp:h:007", "h", "007"},
		{"tcp:ünïcode.example:1", "ünïcode.example", "1"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct hawser__address address = parse(cases[i].text);

		ck_assert_int_eq(address.kind, HAWSER__ADDRESS_TCP);
		ck_assert_str_eq(address.text, cases[i].text);
		ck_assert_str_eq(address.host, cases[i].host);
		ck_assert_str_eq(address.port, cases[i].port);
	}
}
END_TEST

START_TEST(unix_addresses_are_paths)
{
	static const char *const paths[] = {"/run/x.sock", "relative", "./a b", "/with:colons:1"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		char text[64];
		struct hawser__address address;

		snprintf(text, sizeof text, "unix:%s", paths[i]);
		address = parse(text);
		ck_assert_int_eq(address.kind, HAWSER__ADDRESS_UNIX);
		ck_assert_str_eq(address.text, text);
		ck_assert_str_eq(address.path, paths[i]);
	}
}
END_TEST

START_TEST(what_is_no_address_gets_a_text_that_shows_the_form)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "it names no transport"},
		{"localhost:7070", "it names no transport"},
		{"TCP:localhost:7070", "it names no transport"},
		{" tcp:localhost:7070", "it names no transport"},
		{"tcp", "it names no transport"},
		{"http://localhost", "it names no transport"},
		{"tcp:", "the port is missing"},
		{"tcp:localhost", "the port is missing"},
		{"tcp:localhost:", "the port is not a number from 0 to 65535"},
		{"tcp:localhost:65536", "the port is not a number from 0 to 65535"},
		{"tcp:localhost:99999999999999999999", "the port is not a number from 0 to 65535"},
		{"tcp:localhost:http", "the port is not a number"},
		{"tcp:localhost:-1", "the port is not a number"},
		{"tcp:localhost:+1", "the port is not a number"},
		{"tcp:localhost: 1", "the port is not a number"},
		{"tcp:localhost:80/", "the port is not a number"},
		{"tcp::80", "the host is missing"},
		{"tcp:[]:80", "the host is missing"},
		{"tcp:::1:80", "an IPv6 address needs [brackets]"},
		{"tcp:fe80::1:80", "an IPv6 address needs [brackets]"},
		{"tcp:[::1]", "an IPv6 address needs [brackets] and a port"},
		{"tcp:[::1]80", "an IPv6 address needs [brackets] and a port"},
		{"tcp:[::1:80", "an IPv6 address needs [brackets] and a port"},
		{"tcp:[", "an IPv6 address needs [brackets] and a port"},
		{"unix:", "the path is missing"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct hawser__address address, before;
		struct hawser_error error;
		char expected[HAWSER_ERROR_MESSAGE_SIZE];

		memset(&address, 0x5a, sizeof address);
		before = address;
		ck_assert_msg(hawser__address_parse(&address, cases[i].text, &error) == -EINVAL,
			      "\"%s\" is taken for an address", cases[i].text);
		snprintf(expected, sizeof expected,
			 "address \"%s\": %s (write tcp:HOST:PORT or unix:PATH)", cases[i].text,
			 cases[i].why);
		ck_assert_str_eq(error.message, expected);
		ck_assert_int_eq(error.code, -EINVAL);
		ck_assert_int_eq(error.status, HAWSER_INVALID_ARGUMENT);
		/* Outputs stay as they are on failure. */
		ck_assert_mem_eq(&address, &before, sizeof address);
		ck_assert_int_eq(hawser__address_parse(&address, cases[i].text, NULL), -EINVAL);
	}
}
END_TEST

START_TEST(null_is_no_address)
{
	struct hawser__address address;
	struct hawser_error error;

	ck_assert_int_eq(hawser__address_parse(&address, NULL, &error), -EINVAL);
	ck_assert_str_eq(error.message, "address: it is NULL (write tcp:HOST:PORT or unix:PATH)");
}
END_TEST

START_TEST(lengths_are_limited_to_the_byte)
{
	struct hawser__address address;
	struct hawser_error error;
	char text[1000];

	address = parse(repeat(text, "tcp:", 'h', HAWSER__HOST_MAX - 1, ":65535"));
	ck_assert_uint_eq(strlen(address.host), HAWSER__HOST_MAX - 1);
	repeat(text, "tcp:", 'h', HAWSER__HOST_MAX, ":65535");
	ck_assert_int_eq(hawser__address_parse(&address, text, &error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error.message, "the host is too long"));

	address = parse(repeat(text, "unix:", 'p', 107, ""));
	ck_assert_uint_eq(strlen(address.path), 107);
	repeat(text, "unix:", 'p', 108, "");
	ck_assert_int_eq(hawser__address_parse(&address, text, &error), -EINVAL);
	ck_assert_ptr_nonnull(
		strstr(error.message, "the path is longer than the system's 107 bytes"));

	repeat(text, "unix:", 'p', 900, "");
	ck_assert_int_eq(hawser__address_parse(&address, text, &error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error.message, "it is too long"));
	/* The text that is wrong may be cut, the way to put it right is not. */
	ck_assert_ptr_nonnull(strstr(error.message, "(write tcp:HOST:PORT or unix:PATH)"));
}
END_TEST

START_TEST(any_text_is_parsed_or_refused)
{
	static const char characters[] = "tcpunix:[]0123456789.*%-\x80 ";

	for (unsigned long n = suite_rounds(100000); n--;) {
		char text[24];
		size_t length = (size_t)random_below(sizeof text - 5), at = 0;
		struct hawser__address address;
		struct hawser_error error = {.status = HAWSER_OK};
		int r;

		if (random_one_in(2))
			at = (size_t)sprintf(text, random_one_in(2) ? "tcp:" : "unix:");
		for (; at < length; at++)
			text[at] = characters[random_below(sizeof characters - 1)];
		text[at] = '\0';
		r = hawser__address_parse(&address, text, &error);
		quick_assert(r == 0 || r == -EINVAL);
		quick_assert((r == 0) == (error.status == HAWSER_OK));
		quick_assert(r < 0 || !strcmp(address.text, text));
	}
}
END_TEST

/* ---- resolving ---- */

START_TEST(numbers_resolve_without_a_look_up)
{
	static const char *const texts[] = {"tcp:127.0.0.1:7070", "tcp:[::1]:7070"};
	char buffer[HAWSER__ADDRESS_MAX];

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct hawser__address address = parse(texts[i]);
		struct addrinfo *list;

		ck_assert_int_eq(hawser__address_resolve(&address, false, true, &list, NULL), 0);
		ck_assert_str_eq(hawser__address_format(list->ai_addr, list->ai_addrlen, buffer,
							sizeof buffer),
				 texts[i]);
		ck_assert_int_eq(list->ai_socktype, SOCK_STREAM);
		ck_assert_ptr_null(list->ai_next);
		hawser__address_free(list);
	}
}
END_TEST

START_TEST(names_need_a_look_up)
{
	struct hawser__address address = parse("tcp:localhost:7070");
	struct addrinfo *list = (void *)1;
	struct hawser_error error = {.code = 77};

	ck_assert_int_eq(hawser__address_resolve(&address, false, true, &list, &error), -EAGAIN);
	ck_assert_int_eq(error.code, 77);
}
END_TEST

START_TEST(localhost_is_a_loopback_address)
{
	char buffer[HAWSER__ADDRESS_MAX];
	struct addrinfo *list = resolve("tcp:localhost:7070", false);

	for (struct addrinfo *at = list; at; at = at->ai_next) {
		hawser__address_format(at->ai_addr, at->ai_addrlen, buffer, sizeof buffer);
		ck_assert_msg(!strncmp(buffer, "tcp:127.", 8) || !strcmp(buffer, "tcp:[::1]:7070"),
			      "localhost is %s", buffer);
	}
	hawser__address_free(list);
}
END_TEST

START_TEST(star_is_every_address_for_a_listener_and_loopback_for_a_caller)
{
	char buffer[HAWSER__ADDRESS_MAX];
	struct addrinfo *list = resolve("tcp:*:7070", true);

	for (struct addrinfo *at = list; at; at = at->ai_next) {
		hawser__address_format(at->ai_addr, at->ai_addrlen, buffer, sizeof buffer);
		ck_assert_msg(!strcmp(buffer, "tcp:0.0.0.0:7070") ||
				      !strcmp(buffer, "tcp:[::]:7070"),
			      "* listens on %s", buffer);
	}
	hawser__address_free(list);
	list = resolve("tcp:*:7070", false);
	for (struct addrinfo *at = list; at; at = at->ai_next) {
		hawser__address_format(at->ai_addr, at->ai_addrlen, buffer, sizeof buffer);
		ck_assert_msg(!strcmp(buffer, "tcp:127.0.0.1:7070") ||
				      !strcmp(buffer, "tcp:[::1]:7070"),
			      "* connects to %s", buffer);
	}
	hawser__address_free(list);
}
END_TEST

/* A label of more than 63 bytes: no resolver needs to ask anybody about it. */
START_TEST(name_that_cannot_exist_says_so_with_the_address)
{
	struct hawser__address address;
	struct addrinfo *list = (void *)1;
	struct hawser_error error;
	char text[HAWSER__ADDRESS_MAX], expected[HAWSER__ADDRESS_MAX + 16];
	int r;

	address = parse(repeat(text, "tcp:", 'n', 70, ".invalid:1"));
	r = hawser__address_resolve(&address, false, false, &list, &error);
	ck_assert_int_lt(r, 0);
	ck_assert_int_eq(error.code, r);
	ck_assert_int_ne(error.status, HAWSER_OK);
	snprintf(expected, sizeof expected, "resolve %s: ", text);
	ck_assert_msg(!strncmp(error.message, expected, strlen(expected)) &&
			      strlen(error.message) > strlen(expected),
		      "%s", error.message);
}
END_TEST

START_TEST(unix_address_resolves_to_its_path)
{
	struct hawser__address address = parse("unix:/run/hawser.sock");
	char buffer[HAWSER__ADDRESS_MAX];

	for (int numeric_only = 0; numeric_only < 2; numeric_only++) {
		struct addrinfo *list;

		ck_assert_int_eq(hawser__address_resolve(&address, true, numeric_only, &list, NULL),
				 0);
		ck_assert_int_eq(list->ai_family, AF_UNIX);
		ck_assert_ptr_null(list->ai_next);
		ck_assert_str_eq(hawser__address_format(list->ai_addr, list->ai_addrlen, buffer,
							sizeof buffer),
				 "unix:/run/hawser.sock");
		hawser__address_free(list);
	}
	hawser__address_free(NULL);
}
END_TEST

START_TEST(unix_address_without_memory_says_so)
{
	struct hawser__address address = parse("unix:/run/hawser.sock");
	struct addrinfo *list;
	struct hawser_error error;

	failing_alloc_after(0);
	ck_assert_int_eq(hawser__address_resolve(&address, true, false, &list, &error), -ENOMEM);
	ck_assert(failing_alloc_stop());
	ck_assert_str_eq(error.message, "unix:/run/hawser.sock: out of memory");
}
END_TEST

/* ---- showing ---- */

START_TEST(socket_addresses_look_like_what_people_write)
{
	char buffer[HAWSER__ADDRESS_MAX];
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(65535)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
	struct sockaddr other = {.sa_family = AF_NETLINK};

	inet_pton(AF_INET, "192.0.2.255", &in.sin_addr);
	ck_assert_str_eq(hawser__address_format((void *)&in, sizeof in, buffer, sizeof buffer),
			 "tcp:192.0.2.255:65535");
	inet_pton(AF_INET6, "2001:db8::ff", &in6.sin6_addr);
	ck_assert_str_eq(hawser__address_format((void *)&in6, sizeof in6, buffer, sizeof buffer),
			 "tcp:[2001:db8::ff]:1");
	ck_assert_str_eq(hawser__address_format(&other, sizeof other, buffer, sizeof buffer),
			 "unknown:");
}
END_TEST

START_TEST(unix_path_may_fill_its_field_without_a_zero_byte)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char buffer[HAWSER__ADDRESS_MAX], expected[HAWSER__ADDRESS_MAX];

	memset(un.sun_path, 'p', sizeof un.sun_path);
	repeat(expected, "unix:", 'p', sizeof un.sun_path, "");
	ck_assert_str_eq(hawser__address_format((void *)&un, sizeof un, buffer, sizeof buffer),
			 expected);
	/* As accept(2) says it of a client that is not bound. */
	ck_assert_str_eq(
		hawser__address_format((void *)&un, sizeof un.sun_family, buffer, sizeof buffer),
		"unix:");
	ck_assert_str_eq(hawser__address_format((void *)&un, sizeof un, buffer, 8), "unix:pp");
}
END_TEST

START_TEST(what_is_shown_can_be_parsed_again)
{
	char buffer[HAWSER__ADDRESS_MAX], again[HAWSER__ADDRESS_MAX];

	for (unsigned long n = suite_rounds(1000); n--;) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
		struct addrinfo *list;

		random_fill(&in6.sin6_addr, sizeof in6.sin6_addr);
		if (random_one_in(2))
			memset(&in6.sin6_addr, 0, (size_t)random_below(17));
		in6.sin6_port = (in_port_t)random_next();
		hawser__address_format((void *)&in6, sizeof in6, buffer, sizeof buffer);
		list = resolve(buffer, false);
		hawser__address_format(list->ai_addr, list->ai_addrlen, again, sizeof again);
		quick_assert(!strcmp(buffer, again));
		hawser__address_free(list);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-address");
	TCase *parsing = suite_case(suite, "parsing"), *resolving = suite_case(suite, "resolving");
	TCase *showing = suite_case(suite, "showing");

	tcase_add_test(parsing, tcp_addresses_are_taken_apart);
	tcase_add_test(parsing, unix_addresses_are_paths);
	tcase_add_test(parsing, what_is_no_address_gets_a_text_that_shows_the_form);
	tcase_add_test(parsing, null_is_no_address);
	tcase_add_test(parsing, lengths_are_limited_to_the_byte);
	tcase_add_test(parsing, any_text_is_parsed_or_refused);

	tcase_add_test(resolving, numbers_resolve_without_a_look_up);
	tcase_add_test(resolving, names_need_a_look_up);
	tcase_add_test(resolving, localhost_is_a_loopback_address);
	tcase_add_test(resolving, star_is_every_address_for_a_listener_and_loopback_for_a_caller);
	tcase_add_test(resolving, name_that_cannot_exist_says_so_with_the_address);
	tcase_add_test(resolving, unix_address_resolves_to_its_path);
	tcase_add_test(resolving, unix_address_without_memory_says_so);

	tcase_add_test(showing, socket_addresses_look_like_what_people_write);
	tcase_add_test(showing, unix_path_may_fill_its_field_without_a_zero_byte);
	tcase_add_test(showing, what_is_shown_can_be_parsed_again);
	return suite_run(suite);
}
