/* daemon/config_guard.h - the pass over a YAML text before a tree is made of it: libyaml's loader takes quadratic time
 * for deep nesting, and this pass, over events alone, does not. Thread: any. */
#ifndef DAEMON_CONFIG_GUARD_H
#define DAEMON_CONFIG_GUARD_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
struct config_errors;

/** True: UTF-8 without NUL, syntactically YAML, one document, nested at most CONFIG_DEPTH_MAX deep, without aliases,
 *  anchors, tags and NUL in scalars. Else errors are added. */
MUST_USE bool config_guard(const void *text, size_t len, struct config_errors *errors);
#endif
