/* The parser of options.h. */

#include "options.h"
#include "suggest.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((__format__(__printf__, 2, 3))) static enum options_result wrong(
	struct options_error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof error->text, format, arguments);
	va_end(arguments);
	return OPTIONS_WRONG;
}

/* "1048576" as "1M": how a person would give it. */
static const char *amount_text(enum option_kind kind, uint64_t amount, char *buffer, size_t size)
{
	if (kind == OPTION_BYTES && amount && amount % (1 << 20) == 0)
		snprintf(buffer, size, "%" PRIu64 "M", amount >> 20);
	else
		snprintf(buffer, size, "%" PRIu64, amount);
	return buffer;
}

bool options_parse_whole(enum option_kind kind, const char *text, uint64_t *value)
{
	unsigned shift = 0;
	uintmax_t number;
	char *end;

	if (!isdigit((unsigned char)*text)) /* strtoumax() takes signs and spaces */
		return false;
	errno = 0;
	number = strtoumax(text, &end, 10);
	if (errno)
		return false;
	if (kind == OPTION_BYTES && *end) {
		if (toupper((unsigned char)*end) == 'K')
			shift = 10;
		else if (toupper((unsigned char)*end) == 'M')
			shift = 20;
		else
			return false;
		end++;
	}
	if (*end || number > UINT64_MAX >> shift)
		return false;
	*value = (uint64_t)number << shift;
	return true;
}

static enum options_result set_whole(const struct option *option, const char *text,
				     uint64_t *target, struct options_error *error)
{
	char min[24], max[24];
	uint64_t value;

	if (options_parse_whole(option->kind, text, &value) && value >= option->min &&
	    value <= option->max) {
		*target = value;
		return OPTIONS_OK;
	}
	return wrong(error, "--%s \"%s\": must be a %s from %s to %s", option->name, text,
		     option->kind == OPTION_BYTES ? "number of bytes (64, 4K, 16M)"
						  : "whole number",
		     amount_text(option->kind, option->min, min, sizeof min),
		     amount_text(option->kind, option->max, max, sizeof max));
}

static enum options_result set_decimal(const struct option *option, const char *text,
				       double *target, struct options_error *error)
{
	double value = 0;
	char *end = NULL;

	if (isdigit((unsigned char)*text) || *text == '.')
		value = strtod(text, &end);
	if (end && end != text && !*end && isfinite(value) && value > 0 &&
	    value >= (double)option->min && value <= (double)option->max) {
		*target = value;
		return OPTIONS_OK;
	}
	return wrong(error, "--%s \"%s\": must be a number above %" PRIu64 " and up to %" PRIu64,
		     option->name, text, option->min, option->max);
}

static enum options_result set(const struct option *option, void *settings, const char *text,
			       struct options_error *error)
{
	void *target = (char *)settings + option->offset;

	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)target = true;
		return OPTIONS_OK;
	case OPTION_TEXT:
		*(const char **)target = text;
		return OPTIONS_OK;
	case OPTION_COUNT:
	case OPTION_BYTES:
		return set_whole(option, text, target, error);
	case OPTION_DECIMAL:
		return set_decimal(option, text, target, error);
	}
	return OPTIONS_OK;
}

static enum options_result unknown(const struct option *options, const char *typed, size_t length,
				   struct options_error *error)
{
	struct suggestion suggestion = SUGGESTION_INIT;
	const char *name = typed;
	char word[64];

	while (*name == '-' && name < typed + length)
		name++;
	snprintf(word, sizeof word, "%.*s", (int)(typed + length - name), name);
	for (const struct option *o = options; o->name; o++)
		suggestion_consider(&suggestion, word, o->name);
	suggestion_consider(&suggestion, word, "help");
	if (suggestion.name)
		return wrong(error, "unknown option %.*s; did you mean --%s?",
			     length > 100 ? 100 : (int)length, typed, suggestion.name);
	return wrong(error, "unknown option %.*s", length > 100 ? 100 : (int)length, typed);
}

static const struct option *find(const struct option *options, const char *name, size_t length)
{
	for (const struct option *o = options; o->name; o++)
		if (strlen(o->name) == length && !strncmp(o->name, name, length))
			return o;
	return NULL;
}

enum options_result options_parse(const struct option *options, void *settings, int argc,
				  char **argv, size_t *n_arguments, struct options_error *error)
{
	size_t n = 0;
	int i;

	for (i = 0; i < argc; i++) {
		const char *word = argv[i], *value;
		const struct option *option;
		enum options_result result;
		size_t length;

		if (!strcmp(word, "--")) {
			i++;
			break;
		}
		if (word[0] != '-' || !word[1]) {
			argv[n++] = argv[i];
			continue;
		}
		if (!strcmp(word, "--help") || !strcmp(word, "-h"))
			return OPTIONS_HELP;
		length = strcspn(word, "=");
		option = !strncmp(word, "--", 2) ? find(options, word + 2, length - 2) : NULL;
		if (!option)
			return unknown(options, word, length, error);
		value = word[length] ? word + length + 1 : NULL;
		if (option->kind == OPTION_FLAG) {
			if (value)
				return wrong(error, "--%s takes no value", option->name);
		} else if (!value) {
			if (i + 1 >= argc)
				return wrong(error, "--%s needs a value: --%s %s", option->name,
					     option->name, option->value);
			value = argv[++i];
		}
		result = set(option, settings, value, error);
		if (result != OPTIONS_OK)
			return result;
	}
	while (i < argc)
		argv[n++] = argv[i++];
	*n_arguments = n;
	return OPTIONS_OK;
}

static int width(const struct option *option)
{
	return (int)(strlen(option->name) + (option->value ? 1 + strlen(option->value) : 0));
}

void options_print(const struct option *options)
{
	int widest = (int)strlen("help");

	for (const struct option *o = options; o->name; o++)
		if (width(o) > widest)
			widest = width(o);
	for (const struct option *o = options; o->name; o++)
		printf("  --%s%s%s%*s  %s\n", o->name, o->value ? " " : "",
		       o->value ? o->value : "", widest - width(o), "", o->help);
	printf("  --help%*s  print this and exit\n", widest - (int)strlen("help"), "");
}
