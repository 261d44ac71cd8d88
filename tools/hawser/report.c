/* The two forms of report.h. */

#include "report.h"
#include "text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *label, *key;
	double percent;
} percentiles[] = {
	{"p50", "p50", 50}, {"p90", "p90", 90}, {"p99", "p99", 99}, {"p99.9", "p99.9", 99.9}};

enum { N_PERCENTILES = sizeof percentiles / sizeof percentiles[0] };

const char *report_count(char *buffer, size_t size, double count)
{
	char digits[32];
	size_t length, out = 0;

	length = (size_t)snprintf(digits, sizeof digits, "%.0f", count);
	for (size_t i = 0; i < length && out + 2 < size; i++) {
		if (i && (length - i) % 3 == 0)
			buffer[out++] = ',';
		buffer[out++] = digits[i];
	}
	buffer[out] = '\0';
	return buffer;
}

const char *report_duration(char *buffer, size_t size, double ns)
{
	if (ns < 999950)
		snprintf(buffer, size, "%.1f us", ns / 1e3);
	else if (ns < 999.995e6)
		snprintf(buffer, size, "%.2f ms", ns / 1e6);
	else
		snprintf(buffer, size, "%.2f s", ns / 1e9);
	return buffer;
}

static double per_second(const struct load_result *result)
{
	return result->elapsed_s > 0 ? (double)result->calls_in_time / result->elapsed_s : 0;
}

static double mib_per_second(const struct load_options *options, const struct load_result *result)
{
	return per_second(result) * (double)options->size_bytes / (1 << 20);
}

static void row(const char *label, const char *value, const char *note)
{
	printf("  %-10s %15s%s%s\n", label, value, note ? "  " : "", note ? note : "");
}

static void print_heading(const struct load_options *options, const struct load_result *result)
{
	char count[32], size[32], rate[32], server[sizeof result->server];

	printf("%s (%s)\n", options->address, text_clean(server, sizeof server, result->server));
	printf("%s connection%s, %s%u call%s in flight each, %s byte%s, ",
	       report_count(count, sizeof count, options->connections),
	       options->connections == 1 ? "" : "s", options->rate > 0 ? "up to " : "",
	       options->depth, options->depth == 1 ? "" : "s",
	       report_count(size, sizeof size, (double)options->size_bytes),
	       options->size_bytes == 1 ? "" : "s");
	if (options->rate > 0)
		printf("%s calls/s wanted, ", report_count(rate, sizeof rate, options->rate));
	printf("%.1f s%s\n\n", result->elapsed_s, result->interrupted ? " (interrupted)" : "");
}

void report_table(const struct load_options *options, const struct load_result *result)
{
	const struct histogram *latency = &result->latency_ns;
	char text[64], first[HAWSER_ERROR_MESSAGE_SIZE];

	print_heading(options, result);
	row("calls", report_count(text, sizeof text, (double)result->calls), NULL);
	row("calls/s", report_count(text, sizeof text, per_second(result)), NULL);
	snprintf(text, sizeof text, "%.1f", mib_per_second(options, result));
	row("MiB/s", text, "of payload, each way");
	for (size_t i = 0; result->calls && i < N_PERCENTILES; i++) {
		report_duration(text, sizeof text,
				(double)histogram_percentile(latency, percentiles[i].percent));
		row(percentiles[i].label, text,
		    i > 0               ? NULL
		    : options->rate > 0 ? "from when the call was due"
					: "from when the call was sent");
	}
	if (result->calls)
		row("max", report_duration(text, sizeof text, (double)latency->max), NULL);
	if (result->unsent)
		row("not sent", report_count(text, sizeof text, (double)result->unsent),
		    "were due: the server is slower than --rate");
	row("failures", report_count(text, sizeof text, (double)result->failed), NULL);
	for (unsigned status = 0; status < LOAD_STATUSES; status++) {
		const struct load_failures *failures = &result->failures[status];

		if (failures->calls)
			printf("    %s %s, first: %s\n", hawser_status_name(status),
			       report_count(text, sizeof text, (double)failures->calls),
			       text_clean(first, sizeof first, failures->first));
	}
}

static void print_json_latency(const struct histogram *latency)
{
	if (!latency->count) {
		printf("null");
		return;
	}
	printf("{\"min\":%.3f,\"mean\":%.3f", (double)latency->min / 1e3,
	       histogram_mean(latency) / 1e3);
	for (size_t i = 0; i < N_PERCENTILES; i++)
		printf(",\"%s\":%.3f", percentiles[i].key,
		       (double)histogram_percentile(latency, percentiles[i].percent) / 1e3);
	printf(",\"max\":%.3f}", (double)latency->max / 1e3);
}

void report_json(const struct load_options *options, const struct load_result *result)
{
	const char *separator = "";

	printf("{\"address\":");
	text_print_json(options->address);
	printf(",\"server\":");
	text_print_json(result->server);
	printf(",\"connections\":%u,\"depth\":%u,\"size_bytes\":%zu", options->connections,
	       options->depth, options->size_bytes);
	if (options->rate > 0)
		printf(",\"rate\":%.3f", options->rate);
	else
		printf(",\"rate\":null");
	printf(",\"elapsed_s\":%.3f,\"interrupted\":%s", result->elapsed_s,
	       result->interrupted ? "true" : "false");
	printf(",\"calls\":%" PRIu64 ",\"calls_per_s\":%.1f,\"mib_per_s\":%.3f,\"latency_us\":",
	       result->calls, per_second(result), mib_per_second(options, result));
	print_json_latency(&result->latency_ns);
	printf(",\"unsent\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"failures\":{", result->unsent,
	       result->failed);
	for (unsigned status = 0; status < LOAD_STATUSES; status++) {
		const struct load_failures *failures = &result->failures[status];

		if (!failures->calls)
			continue;
		printf("%s\"%s\":{\"calls\":%" PRIu64 ",\"first\":", separator,
		       hawser_status_name(status), failures->calls);
		text_print_json(failures->first);
		printf("}");
		separator = ",";
	}
	printf("}}\n");
}
