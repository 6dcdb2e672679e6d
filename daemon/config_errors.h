/* daemon/config_errors.h - the errors of one config, gathered while it is read: for the files that read it. Thread: one
 * at a time. */
#ifndef DAEMON_CONFIG_ERRORS_H
#define DAEMON_CONFIG_ERRORS_H
#include <stddef.h>
#include "base/attr.h"
struct config_errors;
struct fault;

/** Most errors kept; one line says that there are more. */
#define CONFIG_ERRORS_MAX ((size_t)100)

/** path is copied. The caller owns the result: config_errors_free(). */
struct config_errors *config_errors_new(const char *path);
/** line and column count from 1; 0: none. The text is escaped. */
void config_errors_add(struct config_errors *e, size_t line, size_t column, const char *fmt, ...) PRINTF_LIKE(4, 5);
/** NULL without errors; else INVALID, with the first of them and how many there are. */
MUST_USE struct fault *config_errors_fault(const struct config_errors *e);
#endif
