/* How names of a .proto become names of C. The rules for messages are those of
 * protobuf-c's generator, quirks included: an underscore goes before a capital
 * that does not follow a capital, an underscore of the .proto stays, so that
 * "Foo_Bar" gets two. Only ASCII: the locale must not change the output. */

#include "names.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char to_upper(char c)
{
	return is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

static char to_lower(char c)
{
	return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* Takes the text's bytes into the arena. */
static char *finish(struct arena *arena, struct text *text)
{
	char *string = arena_strndup(arena, text->bytes ? text->bytes : "", text->length);

	text_deinit(text);
	return string;
}

static void add_split(struct text *out, const char *name, size_t length, char (*letter)(char))
{
	bool was_upper = true;

	for (size_t i = 0; i < length; i++) {
		if (is_upper(name[i]) && !was_upper)
			text_add_char(out, '_');
		text_add_char(out, letter(name[i]));
		was_upper = is_upper(name[i]);
	}
}

static void add_camel(struct text *out, const char *name, size_t length, char (*letter)(char))
{
	bool start = true;

	for (size_t i = 0; i < length; i++) {
		if (name[i] == '_') {
			start = true;
			continue;
		}
		text_add_char(out, start ? letter(name[i]) : name[i]);
		start = false;
	}
}

char *name_lower(struct arena *arena, const char *name)
{
	struct text out = {0};

	add_split(&out, name, strlen(name), to_lower);
	return finish(arena, &out);
}

char *name_capitals(struct arena *arena, const char *name)
{
	char *out = arena_strndup(arena, name, strlen(name));

	for (char *c = out; *c; c++)
		*c = to_upper(*c);
	return out;
}

char *name_small(struct arena *arena, const char *name)
{
	char *out = arena_strndup(arena, name, strlen(name));

	for (char *c = out; *c; c++)
		*c = to_lower(*c);
	return out;
}

/* Converts each piece between dots and joins them. Empty pieces vanish, which a
 * c_package of "" relies on. */
static char *convert(struct arena *arena, const char *full_name, const char *separator,
		     void (*add)(struct text *, const char *, size_t, char (*)(char)),
		     char (*letter)(char))
{
	struct text out = {0};

	while (*full_name) {
		size_t length = strcspn(full_name, ".");

		if (length > 0 && out.length > 0)
			text_add_string(&out, separator);
		add(&out, full_name, length, letter);
		full_name += length;
		full_name += *full_name == '.';
	}
	return finish(arena, &out);
}

char *name_type(struct arena *arena, const char *full_name)
{
	return convert(arena, full_name, "__", add_camel, to_upper);
}

char *name_functions(struct arena *arena, const char *full_name)
{
	return convert(arena, full_name, "__", add_split, to_lower);
}

char *name_service(struct arena *arena, const char *full_name)
{
	return convert(arena, full_name, "_", add_split, to_lower);
}

const char *name_override(struct arena *arena, const char *full_name, const char *package,
			  const char *c_package)
{
	if (!c_package)
		return full_name;
	return arena_printf(arena, "%s%s%s", c_package, package[0] ? "" : ".",
			    full_name + strlen(package));
}

/* Sorted. Keywords of C up to C23 and of C++ up to C++23, then what the headers
 * behind <hawser/hawser.h>, or gcc in its GNU modes, define as macros. */
/* clang-format off */
static const char *const reserved[] = {
	"alignas", "alignof", "and", "and_eq", "asm", "assert", "atomic_cancel", "atomic_commit",
	"atomic_noexcept", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char",
	"char16_t", "char32_t", "char8_t", "class", "co_await", "co_return", "co_yield", "compl",
	"complex", "concept", "const", "const_cast", "consteval", "constexpr", "constinit",
	"continue", "decltype", "default", "delete", "do", "double", "dynamic_cast", "else",
	"enum", "errno", "explicit", "export", "extern", "false", "float", "for", "friend",
	"goto", "i386", "if", "imaginary", "inline", "int", "linux", "long", "major", "makedev",
	"minor", "mutable", "namespace", "new", "noexcept", "noreturn", "not", "not_eq",
	"nullptr", "offsetof", "operator", "or", "or_eq", "private", "protected", "public",
	"reflexpr", "register", "reinterpret_cast", "requires", "restrict", "return", "setjmp",
	"short", "signed", "sizeof", "static", "static_assert", "static_cast", "stderr", "stdin",
	"stdout", "struct", "switch", "synchronized", "template", "this", "thread_local",
	"throw", "true", "try", "typedef", "typeid", "typename", "typeof", "typeof_unqual",
	"union", "unix", "unreachable", "unsigned", "using", "va_arg", "va_copy", "va_end",
	"va_start", "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq",
};
/* clang-format on */

static int compare(const void *key, const void *entry)
{
	return strcmp(key, *(const char *const *)entry);
}

bool name_is_reserved(const char *name)
{
	return bsearch(name, reserved, sizeof reserved / sizeof reserved[0], sizeof reserved[0],
		       compare) != NULL;
}

bool name_is_valid(const char *name, bool dots)
{
	bool start = true;

	if (!name)
		return false;
	for (; *name; name++) {
		if (*name == '.' && dots && !start)
			start = true;
		else if (is_upper(*name) || is_lower(*name) || *name == '_' ||
			 (is_digit(*name) && !start))
			start = false;
		else
			return false;
	}
	return !start;
}

static bool ends_with(const char *string, size_t length, const char *end)
{
	size_t n = strlen(end);

	return length >= n && memcmp(string + length - n, end, n) == 0;
}

char *name_stem(struct arena *arena, const char *file)
{
	size_t length = strlen(file);

	if (ends_with(file, length, ".protodevel"))
		length -= strlen(".protodevel");
	else if (ends_with(file, length, ".proto"))
		length -= strlen(".proto");
	return arena_strndup(arena, file, length);
}

/* Reads well for the usual names, and no two files share one: a slash becomes two
 * underscores, and what could be mistaken for that, or is no letter of a macro,
 * is spelt in hexadecimal. */
char *name_guard(struct arena *arena, const char *stem)
{
	struct text out = {0};

	if (is_digit(stem[0]))
		text_add_char(&out, 'x');
	for (const char *c = stem; *c; c++) {
		char before = c > stem ? c[-1] : '\0';
		bool alone = before != '/' && before != '_' && c[1] != '/' && c[1] != '_';

		if (is_lower(*c) || is_digit(*c))
			text_add_char(&out, to_upper(*c));
		else if (*c == '/')
			text_add_string(&out, "__");
		else if (*c == '_' && alone)
			text_add_char(&out, '_');
		else
			text_printf(&out, "x%02x", (unsigned char)*c);
	}
	text_add_string(&out, "_HAWSER_H");
	return finish(arena, &out);
}

uint32_t name_hash(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}
