/* Errors that a person can act on; error.h says how they are filled. */

#include "util/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum hawser_status status_of_code(int code)
{
	switch (code < 0 ? -code : code) {
	case EINVAL:
	case ENAMETOOLONG:
	case EAFNOSUPPORT:
	case EDOM:
		return HAWSER_INVALID_ARGUMENT;
	case ENOMEM:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
	case EDQUOT:
	case EMSGSIZE:
		return HAWSER_RESOURCE_EXHAUSTED;
	case EPERM:
	case EACCES:
	case EROFS:
		return HAWSER_PERMISSION_DENIED;
	case EEXIST:
	case EADDRINUSE:
		return HAWSER_ALREADY_EXISTS;
	case ESRCH:
		return HAWSER_NOT_FOUND;
	case EBUSY:
	case EALREADY:
	case EISCONN:
	case EADDRNOTAVAIL:
	case ENOTDIR:
		return HAWSER_FAILED_PRECONDITION;
	case ENOSYS:
	case EOPNOTSUPP:
	case EPROTONOSUPPORT:
		return HAWSER_UNIMPLEMENTED;
	case ETIMEDOUT:
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ENETDOWN:
	case ENETUNREACH:
	case ENETRESET:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOTCONN:
	case ESHUTDOWN:
	case EPIPE:
	case EAGAIN:
	/* No such socket file: nobody listens there (yet). */
	case ENOENT:
		return HAWSER_UNAVAILABLE;
	case ECANCELED:
		return HAWSER_CANCELLED;
	case EPROTO:
	case EBADMSG:
		return HAWSER_INTERNAL;
	default:
		return HAWSER_UNKNOWN;
	}
}

/* Through a buffer of its own, because the arguments may point into the error:
 * that is how a caller puts a few words in front of what it was told. */
static void fill_message(struct hawser_error *error, const char *format, va_list arguments)
{
	static const char ellipsis[] = "…";
	char text[sizeof error->message];
	int length = vsnprintf(text, sizeof text, format, arguments);

	if (length < 0)
		text[0] = '\0';
	if (length >= (int)sizeof text) {
		size_t end = sizeof text - sizeof ellipsis;

		while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
			end--;
		memcpy(text + end, ellipsis, sizeof ellipsis);
	}
	memcpy(error->message, text, sizeof text);
}

int hawser__error_set(struct hawser_error *error, int code, const char *format, ...)
{
	if (error) {
		va_list arguments;

		va_start(arguments, format);
		fill_message(error, format, arguments);
		va_end(arguments);
		error->status = status_of_code(code);
		error->outcome = HAWSER_OUTCOME_NOT_SENT;
		error->code = code;
		error->retry_after_ms = 0;
	}
	errno = code < 0 ? -code : code;
	return code;
}

void hawser__error_call(struct hawser_error *error, enum hawser_status status,
			enum hawser_outcome outcome, const char *format, ...)
{
	va_list arguments;

	if (!error)
		return;
	va_start(arguments, format);
	fill_message(error, format, arguments);
	va_end(arguments);
	error->status = status;
	error->outcome = outcome;
	error->code = 0;
	error->retry_after_ms = 0;
}

static const char *description(int code)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
	return strerrordesc_np(code);
#else
	return strerror(code); /* other C libraries return constant strings */
#endif
}

const char *hawser__errno_text(int code, char *buffer, size_t size)
{
	const char *text;

	if (!size)
		return buffer;
	if (code < 0)
		code = -code;
	text = description(code);
	if (!text) {
		snprintf(buffer, size, "error %d", code);
		return buffer;
	}
	snprintf(buffer, size, "%s", text);
	/* "Address already" → "address already", but "RPC struct" stays. */
	if (buffer[0] >= 'A' && buffer[0] <= 'Z' && !(buffer[1] >= 'A' && buffer[1] <= 'Z'))
		buffer[0] = (char)(buffer[0] + 'a' - 'A');
	return buffer;
}
