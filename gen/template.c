/* Templates are filled in a line at a time, and a line that gets too long is
 * broken as clang-format would: between the arguments of the last call or
 * parameter list in it, aligned behind the parenthesis. */

#include "template.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 100
#define COMMENT_COLUMNS 80
#define TAB 8

static size_t columns(const char *text, size_t length)
{
	size_t column = 0;

	for (size_t i = 0; i < length; i++)
		column = text[i] == '\t' ? (column / TAB + 1) * TAB : column + 1;
	return column;
}

/* The place behind the parenthesis that opens the last group of the outermost
 * level, 0 without one. */
static size_t find_arguments(const char *line, size_t length)
{
	size_t depth = 0, at = 0;

	for (size_t i = 0; i < length; i++) {
		if (line[i] == '(' && depth++ == 0)
			at = i + 1;
		else if (line[i] == ')' && depth > 0)
			depth--;
	}
	return at;
}

/* The length of the argument at `text`, with its comma, or to the line's end. */
static size_t argument_length(const char *text, size_t length)
{
	size_t depth = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '(')
			depth++;
		else if (text[i] == ')' && depth > 0)
			depth--;
		else if (text[i] == ',' && depth == 0)
			return i + 1;
	}
	return length;
}

static void add_column(struct text *out, size_t column)
{
	for (; column >= TAB; column -= TAB)
		text_add_char(out, '\t');
	for (; column > 0; column--)
		text_add_char(out, ' ');
}

static void add_broken(struct text *out, const char *line, size_t length, size_t at, bool in_macro)
{
	const char *line_end = in_macro ? " \\\n" : "\n";
	size_t align = columns(line, at);
	size_t column = align;
	size_t indent = strspn(line, "\t");

	/* If an argument does not fit behind the parenthesis, all go below it. */
	for (size_t i = at, n; i < length; i += n) {
		while (line[i] == ' ')
			i++;
		n = argument_length(line + i, length - i);
		if (column > (indent + 1) * TAB && align + n > MAX_COLUMNS)
			column = (indent + 1) * TAB;
	}
	text_add(out, line, at);
	if (column != align) {
		text_add_string(out, line_end);
		add_column(out, column);
		align = column;
	}
	for (size_t i = at, n; i < length; i += n) {
		while (line[i] == ' ')
			i++;
		n = argument_length(line + i, length - i);
		if (i > at && column + 1 + n > MAX_COLUMNS) {
			text_add_string(out, line_end);
			add_column(out, align);
			column = align;
		} else if (i > at) {
			text_add_char(out, ' ');
			column++;
		}
		text_add(out, line + i, n);
		column += n;
	}
	text_add_char(out, '\n');
}

static void add_line(struct text *out, const char *line, size_t length)
{
	bool in_macro = out->length > 1 && out->bytes[out->length - 2] == '\\';
	size_t start = strspn(line, "\t ");
	size_t at = find_arguments(line, length);

	if (at > 0 && columns(line, length) > MAX_COLUMNS && line[start] != '*' &&
	    line[start] != '/' && line[start] != '#') {
		add_broken(out, line, length, at, in_macro);
		return;
	}
	text_add(out, line, length);
	text_add_char(out, '\n');
}

static const char *find_value(const struct variable *variables, const char *name, size_t length)
{
	for (; variables->name; variables++)
		if (strlen(variables->name) == length && memcmp(variables->name, name, length) == 0)
			return variables->value;
	fprintf(stderr, "protoc-gen-hawser: template variable %.*s is missing\n", (int)length,
		name);
	abort();
}

void emit(struct text *out, const char *template, const struct variable *variables)
{
	struct text filled = {0};

	while (*template) {
		size_t length = strcspn(template, "$");

		text_add(&filled, template, length);
		template += length;
		if (*template == '$') {
			length = strcspn(template + 1, "$");
			text_add_string(&filled, find_value(variables, template + 1, length));
			template += length + 2;
		}
	}
	for (const char *line = filled.bytes; line && *line;) {
		size_t length = strcspn(line, "\n");

		add_line(out, line, length);
		line += length;
		line += *line == '\n';
	}
	text_deinit(&filled);
}

void template_fill(struct text *out, const char *margin, const char *words)
{
	size_t left = columns(margin, strlen(margin));
	size_t column = 0;

	while (*words) {
		size_t length = strcspn(words, " ");

		if (column > 0 && column + 1 + length > COMMENT_COLUMNS) {
			text_add_char(out, '\n');
			column = 0;
		}
		if (column == 0) {
			text_add_string(out, margin);
			column = left;
		}
		text_printf(out, " %.*s", (int)length, words);
		column += 1 + length;
		words += length;
		words += *words == ' ';
	}
	text_add_char(out, '\n');
}

char *template_doc(struct arena *arena, const char *indent, const char *comment, const char *own)
{
	char *margin = arena_printf(arena, "%s *", indent);
	size_t left = columns(margin, strlen(margin)) + 2;
	bool is_sentence = comment && !strchr(comment, '\n') && comment[0] &&
			   strchr(".!?", comment[strlen(comment) - 1]);
	struct text out = {0};
	char *doc;

	if (is_sentence && own[0]) {
		own = arena_printf(arena, "%s %s", comment, own);
		comment = NULL;
	} else if (comment && !own[0] && !strchr(comment, '\n')) {
		own = comment;
		comment = NULL;
	}
	if (!comment && left + strlen(own) + 3 <= MAX_COLUMNS) {
		text_printf(&out, "%s/** %s */\n", indent, own);
	} else {
		text_printf(&out, "%s/**\n", indent);
		for (const char *line = comment; line && *line;) {
			int length = (int)strcspn(line, "\n");

			text_printf(&out, "%s%s%.*s\n", margin, length ? " " : "", length, line);
			line += length;
			line += *line == '\n';
		}
		if (comment && own[0])
			text_printf(&out, "%s\n", margin);
		if (own[0])
			template_fill(&out, margin, own);
		text_printf(&out, "%s */\n", indent);
	}
	doc = arena_strndup(arena, out.bytes, out.length);
	text_deinit(&out);
	return doc;
}
