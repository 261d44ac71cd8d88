/* What a line of standard input or of the control socket may say: a table. */

#include "clock.h"
#include "options.h"
#include "proxy_control.h"
#include "proxy_relay.h"
#include "suggest.h"
#include "text.h"
#include <stdarg.h>
#include <string.h>

enum {
	MAX_WORDS = 4,
	DAY_MS = 86400000,
};

/* A line, in words, and where its answer goes. */
struct order {
	struct proxy *proxy;
	size_t n;
	char *words[MAX_WORDS]; /* without the command */
	FILE *out;
};

struct verb {
	const char *name, *form, *help;
	size_t min, max; /* words */
	/* Returns whether it was done; if not, it has said why. */
	bool (*run)(struct order *order);
};

HAWSER_PRINTF(2, 3) static bool wrong(const struct order *order, const char *format, ...)
{
	va_list arguments;

	fprintf(order->out, "error: ");
	va_start(arguments, format);
	vfprintf(order->out, format, arguments);
	va_end(arguments);
	fputc('\n', order->out);
	return false;
}

/* ---- words ---- */

static bool number(const struct order *order, size_t at, const char *what, enum option_kind kind,
		   uint64_t min, uint64_t max, uint64_t *value)
{
	char typed[64];
	uint64_t read;

	if (at >= order->n)
		return wrong(order, "the %s is missing", what);
	if (!options_parse_whole(kind, order->words[at], &read) || read < min || read > max)
		return wrong(order, "%s \"%s\": must be a whole number from %llu to %llu", what,
			     text_clean(typed, sizeof typed, order->words[at]),
			     (unsigned long long)min, (unsigned long long)max);
	*value = read;
	return true;
}

/* Takes a direction off the front, if there is one; else it is both. */
static unsigned take_directions(struct order *order)
{
	unsigned directions = 1u << UP | 1u << DOWN;

	if (order->n && directions_parse(order->words[0], &directions)) {
		order->n--;
		memmove(order->words, order->words + 1, order->n * sizeof order->words[0]);
	}
	return directions;
}

static bool on_or_off(const struct order *order, bool *on)
{
	const char *word = order->words[0];
	char typed[64];

	if (strcmp(word, "on") && strcmp(word, "off"))
		return wrong(order, "\"%s\": must be on or off",
			     text_clean(typed, sizeof typed, word));
	*on = !strcmp(word, "on");
	return true;
}

/* What is left when the words that mean something are used up. */
static bool no_more(const struct order *order, size_t n)
{
	char typed[64];

	return order->n <= n || wrong(order, "unexpected word \"%s\"",
				      text_clean(typed, sizeof typed, order->words[n]));
}

/* ---- commands ---- */

static bool cut(struct order *order)
{
	bool inside = false, named = false;
	enum cut how = CUT_FIN;
	char typed[64];

	for (size_t i = 0; i < order->n; i++) {
		if (!strcmp(order->words[i], "mid"))
			inside = true;
		else if (!named && cut_parse(order->words[i], &how))
			named = true;
		else
			return wrong(order, "cut \"%s\": must be fin, rst, silent, random or mid",
				     text_clean(typed, sizeof typed, order->words[i]));
	}
	if (!order->n)
		inside = order->proxy->faults.cut_mid_frame;
	relays_cut(order->proxy, named ? &how : NULL, inside);
	return true;
}

static bool stall(struct order *order)
{
	unsigned directions = take_directions(order);
	uint64_t ms = 0;

	if ((order->n && !number(order, 0, "time in ms", OPTION_COUNT, 1, DAY_MS, &ms)) ||
	    !no_more(order, 1))
		return false;
	relays_stall(order->proxy, directions, ms ? clock_now_ns() + ms * 1000000u : FAULTS_NEVER);
	return true;
}

static bool go(struct order *order)
{
	relays_go(order->proxy);
	return true;
}

static bool delay(struct order *order)
{
	unsigned directions = take_directions(order);
	struct shape *shapes = order->proxy->faults.shapes;
	uint64_t delay_ms = 0, jitter_ms = 0;

	if (!number(order, 0, "delay in ms", OPTION_COUNT, 0, DAY_MS, &delay_ms) ||
	    (order->n > 1 &&
	     !number(order, 1, "jitter in ms", OPTION_COUNT, 0, DAY_MS, &jitter_ms)) ||
	    !no_more(order, 2))
		return false;
	for (unsigned i = 0; i < DIRECTIONS; i++) {
		if (directions & 1u << i) {
			shapes[i].delay_ms = delay_ms;
			shapes[i].jitter_ms = jitter_ms;
		}
	}
	relays_reshape(order->proxy);
	return true;
}

/* "[DIR] N" for the one member of a shape that is there. */
static bool set_shape(struct order *order, size_t offset, const char *what, enum option_kind kind,
		      uint64_t max)
{
	unsigned directions = take_directions(order);
	struct shape *shapes = order->proxy->faults.shapes;
	uint64_t value = 0;

	if (!number(order, 0, what, kind, 0, max, &value) || !no_more(order, 1))
		return false;
	for (unsigned i = 0; i < DIRECTIONS; i++)
		if (directions & 1u << i)
			*(uint64_t *)(void *)((char *)&shapes[i] + offset) = value;
	relays_reshape(order->proxy);
	return true;
}

static bool rate(struct order *order)
{
	return set_shape(order, offsetof(struct shape, rate_bytes_per_s), "bytes per second",
			 OPTION_BYTES, UINT64_C(1) << 40);
}

static bool segment(struct order *order)
{
	return set_shape(order, offsetof(struct shape, segment_bytes), "bytes", OPTION_BYTES,
			 1u << 30);
}

static bool corrupt(struct order *order)
{
	return set_shape(order, offsetof(struct shape, corrupt_ppm), "bytes in a million",
			 OPTION_COUNT, 1000000);
}

static bool black_hole(struct order *order)
{
	return on_or_off(order, &order->proxy->black_hole);
}

static bool refuse(struct order *order)
{
	struct hawser_error error;
	bool on = false;

	if (!on_or_off(order, &on))
		return false;
	return proxy_refuse(order->proxy, on, &error) == 0 || wrong(order, "%s", error.message);
}

static bool cut_every(struct order *order)
{
	struct faults *faults = &order->proxy->faults;

	if (!number(order, 0, "time in ms", OPTION_COUNT, 0, DAY_MS, &faults->cut_every_ms))
		return false;
	relays_replan_cuts(order->proxy);
	return true;
}

static bool stall_every(struct order *order)
{
	struct faults *faults = &order->proxy->faults;
	uint64_t every_ms = 0, for_ms = faults->stall_for_ms;

	if (!number(order, 0, "time in ms", OPTION_COUNT, 0, DAY_MS, &every_ms) ||
	    (order->n > 1 && !number(order, 1, "duration in ms", OPTION_COUNT, 1, DAY_MS, &for_ms)))
		return false;
	faults->stall_every_ms = every_ms;
	faults->stall_for_ms = for_ms;
	relays_replan_stalls(order->proxy);
	return true;
}

static bool stats(struct order *order)
{
	proxy_print_statistics(order->proxy, order->out);
	return true;
}

static bool quit(struct order *order)
{
	event_base_loopbreak(order->proxy->base);
	return true;
}

static bool help(struct order *order);

static const struct verb verbs[] = {
	{"cut", "[fin|rst|silent|random] [mid]", "cut all connections", 0, 2, cut},
	{"stall", "[DIR] [MS]", "forward nothing, for so long or until \"go\"", 0, 2, stall},
	{"go", "", "end every stall", 0, 0, go},
	{"delay", "[DIR] MS [JITTER]", "hold bytes back; 0: no more", 1, 3, delay},
	{"rate", "[DIR] BYTES/S", "let no more through; 0: no limit", 1, 2, rate},
	{"segment", "[DIR] BYTES", "send in such pieces; 0: as they come", 1, 2, segment},
	{"corrupt", "[DIR] PPM", "change so many bytes in a million", 1, 2, corrupt},
	{"blackhole", "on|off", "take new connections and say nothing", 1, 1, black_hole},
	{"refuse", "on|off", "refuse new connections", 1, 1, refuse},
	{"cut-every", "MS", "cut each connection after about so long; 0: no more", 1, 1, cut_every},
	{"stall-every", "MS [FOR]", "stall each about so often; 0: no more", 1, 2, stall_every},
	{"stats", "", "print the figures", 0, 0, stats},
	{"help", "", "print this; DIR is up, down or both", 0, 0, help},
	{"quit", "", "end the proxy", 0, 0, quit},
};

enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

static bool help(struct order *order)
{
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(order->out, "%s%s%-*s %s\n", verbs[i].name, *verbs[i].form ? " " : "",
			40 - (int)strlen(verbs[i].name) - (*verbs[i].form ? 1 : 0), verbs[i].form,
			verbs[i].help);
	return true;
}

/* ---- a line ---- */

static const struct verb *find(const struct order *order, const char *name)
{
	struct suggestion suggestion = SUGGESTION_INIT;
	char typed[64];

	for (size_t i = 0; i < N_VERBS; i++) {
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
		suggestion_consider(&suggestion, name, verbs[i].name);
	}
	text_clean(typed, sizeof typed, name);
	if (suggestion.name)
		wrong(order, "there is no command \"%s\"; did you mean \"%s\"?", typed,
		      suggestion.name);
	else
		wrong(order, "there is no command \"%s\"; \"help\" lists them", typed);
	return NULL;
}

void control_run(struct proxy *proxy, char *line, FILE *out)
{
	struct order order = {.proxy = proxy, .out = out};
	char *rest, *name = strtok_r(line, " \t", &rest), *word = NULL;
	const struct verb *verb = NULL;
	bool is_done = !name; /* an empty line asks for nothing, and that is done */

	if (name)
		verb = find(&order, name);
	if (verb) {
		while (order.n < MAX_WORDS && (word = strtok_r(NULL, " \t", &rest)))
			order.words[order.n++] = word;
		if (order.n < verb->min || order.n > verb->max)
			wrong(&order, "%s: write %s%s%s",
			      order.n < verb->min ? "a word is missing" : "too many words",
			      verb->name, *verb->form ? " " : "", verb->form);
		else
			is_done = verb->run(&order);
	}
	if (is_done)
		fprintf(out, "ok\n");
}
