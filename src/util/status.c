/* Names and texts of statuses and outcomes, from the lists in hawser/status.h. */

#include <hawser/status.h>

const char *hawser_status_name(enum hawser_status status)
{
	switch (status) {
#define NAME(number, name, text) \
	case HAWSER_##name:      \
		return #name;
		HAWSER_STATUS_MAP(NAME)
#undef NAME
	}
	return "UNKNOWN";
}

const char *hawser_status_text(enum hawser_status status)
{
	switch (status) {
#define TEXT(number, name, text) \
	case HAWSER_##name:      \
		return text;
		HAWSER_STATUS_MAP(TEXT)
#undef TEXT
	}
	return hawser_status_text(HAWSER_UNKNOWN);
}

const char *hawser_outcome_name(enum hawser_outcome outcome)
{
	switch (outcome) {
	case HAWSER_OUTCOME_NOT_SENT:
		return "not sent";
	case HAWSER_OUTCOME_NOT_EXECUTED:
		return "not executed";
	case HAWSER_OUTCOME_EXECUTED:
		return "executed";
	case HAWSER_OUTCOME_UNKNOWN:
		break;
	}
	return "unknown";
}
