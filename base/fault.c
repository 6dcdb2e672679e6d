#include "base/fault.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"

struct fault {
	enum fault_code code;
	bool retryable;
	int64_t retry_after_ms;
	char *text;  /* own message, then ": " and the cause's text */
	char *where; /* of the innermost fault */
};

static struct fault *make(const char *file, int line, enum fault_code code, char *text)
{
	struct fault *f = mem_new(struct fault);
	text_mend_utf8(text); /* it goes into JSON */
	f->code = code;
	f->retry_after_ms = -1;
	f->text = text;
	f->where = mem_printf("%s:%d", file, line);
	return f;
}

struct fault *fault_new_at(const char *file, int line, enum fault_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *text = mem_vprintf(fmt, ap);
	va_end(ap);
	return make(file, line, code, text);
}

struct fault *fault_wrap_at(const char *file, int line, struct fault *cause, const char *fmt, ...)
{
	va_list ap;
	(void)file;
	(void)line;
	va_start(ap, fmt);
	char *context = mem_vprintf(fmt, ap);
	va_end(ap);
	char *text = mem_printf("%s: %s", context, cause->text);
	free(context);
	free(cause->text);
	text_mend_utf8(text);
	cause->text = text;
	return cause;
}

static enum fault_code code_of_errno(int err)
{
	switch (err) {
	case ENOENT:
		return FAULT_NOT_FOUND;
	case EACCES:
	case EPERM:
		return FAULT_DENIED;
	case EEXIST:
	case EADDRINUSE:
		return FAULT_CONFLICT;
	case EMFILE:
	case ENFILE:
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
		return FAULT_EXHAUSTED;
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EIO:
		return FAULT_UNAVAILABLE;
	case ETIMEDOUT:
		return FAULT_TIMEOUT;
	case EINVAL:
	case ENOTDIR:
	case EISDIR:
	case ENAMETOOLONG:
		return FAULT_INVALID;
	default:
		return FAULT_INTERNAL;
	}
}

struct fault *fault_errno_at(const char *file, int line, int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *context = mem_vprintf(fmt, ap);
	va_end(ap);
	char reason[128];
	char *text = mem_printf("%s: %s", context, strerror_r(err, reason, sizeof reason));
	free(context);
	return make(file, line, code_of_errno(err), text);
}

struct fault *fault_openssl_at(const char *file, int line, enum fault_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *context = mem_vprintf(fmt, ap);
	va_end(ap);
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	char *text = reason ? mem_printf("%s: %s", context, reason) : mem_strdup(context);
	free(context);
	ERR_clear_error();
	return make(file, line, code, text);
}

struct fault *fault_set_retryable(struct fault *f, int64_t after_ms)
{
	f->retryable = true;
	f->retry_after_ms = after_ms;
	return f;
}

enum fault_code fault_code(const struct fault *f)
{
	return f->code;
}

const char *fault_code_name(enum fault_code code)
{
	static const char *const names[] = {[FAULT_INVALID] = "INVALID",
		[FAULT_DENIED] = "DENIED",
		[FAULT_NOT_FOUND] = "NOT_FOUND",
		[FAULT_CONFLICT] = "CONFLICT",
		[FAULT_EXHAUSTED] = "EXHAUSTED",
		[FAULT_UNAVAILABLE] = "UNAVAILABLE",
		[FAULT_TIMEOUT] = "TIMEOUT",
		[FAULT_CORRUPT] = "CORRUPT",
		[FAULT_INTERNAL] = "INTERNAL"};
	return (size_t)code < ARRAY_LEN(names) && names[code] ? names[code] : "UNKNOWN";
}

bool fault_is_retryable(const struct fault *f)
{
	return f->retryable;
}

int64_t fault_retry_after_ms(const struct fault *f)
{
	return f->retry_after_ms;
}

const char *fault_text(const struct fault *f)
{
	return f->text;
}

const char *fault_where(const struct fault *f)
{
	return f->where;
}

void fault_free(struct fault *f)
{
	if (!f)
		return;
	free(f->text);
	free(f->where);
	free(f);
}

void fault_freep(struct fault **f)
{
	fault_free(*f);
	*f = NULL;
}

void fault_ignore(struct fault *f, const char *why)
{
	(void)why;
	fault_free(f);
}
