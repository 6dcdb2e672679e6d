#include "base/log.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"

#define FIELD_MAX ((size_t)4096) /* longest string printed of one field */

static struct {
	pthread_mutex_t write;
	atomic_int level, format, fd;
	atomic_ullong lines[LOG_DEBUG + 1];
} state = {.write = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO, .format = LOG_FORMAT_AUTO, .fd = 2};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* The escaped text once more escaped, for the quotes around it: marked says before which characters a backslash goes.
 */
static void add_quoted(struct buf *b, const char *text, const char *marked)
{
	struct buf safe = BUF_INIT;
	text_add_escaped(&safe, text, strnlen(text, FIELD_MAX));
	buf_add_text(b, "\"");
	for (size_t i = 0; i < safe.len; i++) {
		char c = (char)safe.data[i];
		if (strchr(marked, c))
			buf_add_text(b, "\\");
		buf_add(b, &c, 1);
	}
	buf_add_text(b, "\"");
	buf_free(&safe);
}

static void add_json_string(struct buf *b, const char *text)
{
	add_quoted(b, text, "\"\\");
}

static void add_json(struct buf *b, const struct log_field *f)
{
	char date[32];
	if (f->kind == LOG_FIELD_FAULT) {
		if (!f->f)
			return;
		buf_add_text(b, ",\"error\":");
		add_json_string(b, fault_text(f->f));
		buf_printf(b, ",\"error_code\":\"%s\",\"error_at\":\"%s\"", fault_code_name(fault_code(f->f)),
			fault_where(f->f));
		return;
	}
	buf_printf(b, ",\"%s\":", f->key);
	switch (f->kind) {
	case LOG_FIELD_STRING:
		if (f->s)
			add_json_string(b, f->s);
		else
			buf_add_text(b, "null");
		break;
	case LOG_FIELD_INT:
		buf_printf(b, "%lld", (long long)f->i);
		break;
	case LOG_FIELD_BOOL:
		buf_add_text(b, f->i ? "true" : "false");
		break;
	case LOG_FIELD_TIME:
		clock_format(f->i, date, sizeof date);
		buf_printf(b, "\"%s\"", date);
		break;
	case LOG_FIELD_FAULT:
		break;
	}
}

static void add_text(struct buf *b, const struct log_field *f)
{
	char date[32];
	switch (f->kind) {
	case LOG_FIELD_STRING: {
		const char *s = f->s ? f->s : "-";
		buf_printf(b, " %s=", f->key);
		if (!*s || strpbrk(s, " \"="))
			add_quoted(b, s, "\"");
		else
			text_add_escaped(b, s, strnlen(s, FIELD_MAX));
		break;
	}
	case LOG_FIELD_INT:
		buf_printf(b, " %s=%lld", f->key, (long long)f->i);
		break;
	case LOG_FIELD_BOOL:
		buf_printf(b, " %s=%s", f->key, f->i ? "yes" : "no");
		break;
	case LOG_FIELD_TIME:
		clock_format(f->i, date, sizeof date);
		buf_printf(b, " %s=%s", f->key, date);
		break;
	case LOG_FIELD_FAULT:
		if (!f->f)
			break;
		buf_add_text(b, ": ");
		text_add_escaped(b, fault_text(f->f), strnlen(fault_text(f->f), FIELD_MAX));
		buf_printf(b, " [%s %s]", fault_code_name(fault_code(f->f)), fault_where(f->f));
		break;
	}
}

static void write_line(const struct buf *b)
{
	const unsigned char *p = b->data;
	size_t left = b->len;
	pthread_mutex_lock(&state.write);
	while (left) {
		ssize_t n = write(atomic_load(&state.fd), p, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nobody left to tell */
		p += n;
		left -= (size_t)n;
	}
	pthread_mutex_unlock(&state.write);
}

void log_event_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	if ((int)level > atomic_load_explicit(&state.level, memory_order_relaxed))
		return;
	atomic_fetch_add_explicit(&state.lines[level], 1, memory_order_relaxed);
	int format = atomic_load(&state.format);
	bool text = format == LOG_FORMAT_TEXT || (format == LOG_FORMAT_AUTO && isatty(atomic_load(&state.fd)));
	char date[32];
	clock_format(clock_wall_ms(clock_system()), date, sizeof date);
	struct buf b = BUF_INIT;
	if (text)
		buf_printf(&b, "%s %-5s %s", date, level_names[level], event);
	else
		buf_printf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", date, level_names[level], event);
	for (size_t i = 0; i < count; i++)
		(text ? add_text : add_json)(&b, &fields[i]);
	buf_add_text(&b, text ? "\n" : "}\n");
	write_line(&b);
	buf_free(&b);
}

void log_event0(enum log_level level, const char *event)
{
	log_event_fields(level, event, NULL, 0);
}

void log_set_level(enum log_level level)
{
	atomic_store(&state.level, (int)level);
}

enum log_level log_level(void)
{
	return (enum log_level)atomic_load(&state.level);
}

void log_set_format(enum log_format format)
{
	atomic_store(&state.format, (int)format);
}

bool log_level_parse(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (strcmp(text, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

uint64_t log_lines(enum log_level level)
{
	return atomic_load_explicit(&state.lines[level], memory_order_relaxed);
}

void log_set_fd(int fd)
{
	atomic_store(&state.fd, fd);
}
