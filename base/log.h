/* base/log.h - one line per event on stderr: JSON, or text on a terminal.
 * log_event(LOG_INFO, "rotation.published", LS("secret", name), LI("version_count", 3)): a stable event name
 * ("module.what_happened"), then typed fields. Never secret bytes: a secret is named and given its certificate's
 * SHA-256. Strings are escaped and bounded. Thread: any (one lock around the write). */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock;
struct fault;

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_AUTO = 0, LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

enum log_kind { LOG_FIELD_STRING, LOG_FIELD_INT, LOG_FIELD_BOOL, LOG_FIELD_TIME, LOG_FIELD_FAULT };
struct log_field {
	const char *key;
	enum log_kind kind;
	const char *s;
	int64_t i;
	const struct fault *f;
};
#define LS(k, v) ((struct log_field){(k), LOG_FIELD_STRING, (v), 0, NULL})
#define LI(k, v) ((struct log_field){(k), LOG_FIELD_INT, NULL, (int64_t)(v), NULL})
#define LB(k, v) ((struct log_field){(k), LOG_FIELD_BOOL, NULL, (v) ? 1 : 0, NULL})
/** A wall time in ms, printed as a date. */
#define LT(k, v) ((struct log_field){(k), LOG_FIELD_TIME, NULL, (v), NULL})
/** The fault's code, text and place as "error", "error_code", "error_at". */
#define LF(v) ((struct log_field){"error", LOG_FIELD_FAULT, NULL, 0, (v)})

#define log_event(level, event, ...)                                                                                   \
	log_event_fields((level), (event), (const struct log_field[]){__VA_ARGS__},                                    \
		sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_event_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count);
/** Without fields. */
void log_event0(enum log_level level, const char *event);

/** Default: INFO, AUTO (text on a terminal, else JSON), file descriptor 2. At any time, from any thread. */
void log_set_level(enum log_level level);
enum log_level log_level(void);
void log_set_format(enum log_format format);
/** "error" | "warn" | "info" | "debug"; false when it is none of them. */
bool log_level_parse(const char *text, enum log_level *ret);
const char *log_level_name(enum log_level level);
/** How many lines were written of a level since start. */
uint64_t log_lines(enum log_level level);
/** Tests: write to this descriptor instead of 2. */
void log_set_fd(int fd);
#endif
