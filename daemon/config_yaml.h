/* daemon/config_yaml.h - one YAML document as a tree whose nodes know their place: bounded, without anything that makes
 * YAML surprising (aliases, tags, merge keys, duplicate keys, a second document).
 * Not its duty: what the keys mean. Thread: one at a time. */
#ifndef DAEMON_CONFIG_YAML_H
#define DAEMON_CONFIG_YAML_H
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>
#include "base/attr.h"
struct config_errors;

/** Deepest nesting. */
enum { CONFIG_DEPTH_MAX = 32 };

struct config_yaml {
	yaml_document_t document;
	bool loaded;
	struct config_errors *errors; /* borrowed */
};

/** Read text; errors are added to errors (borrowed while y lives). False: there is no tree. A tree with errors is read
 * on, so that all of them are found at once. Call config_yaml_done() in either case. */
MUST_USE bool config_yaml_load(struct config_yaml *y, const void *text, size_t len, struct config_errors *errors);
void config_yaml_done(struct config_yaml *y);

yaml_node_t *config_yaml_root(struct config_yaml *y);
yaml_node_t *config_yaml_node(struct config_yaml *y, int index);
/** The value of a key of a mapping, or NULL. ret_key may be NULL. */
yaml_node_t *config_yaml_get(struct config_yaml *y, const yaml_node_t *map, const char *key, yaml_node_t **ret_key);
/** A scalar's text ("" for anything else); it holds no NUL. Borrowed while y lives. */
const char *config_yaml_text(const yaml_node_t *n);
/** An empty plain scalar, "~" or "null": nothing was given. */
bool config_yaml_is_nothing(const yaml_node_t *n);
/** "a list", "a mapping", "the text \"x\"", "nothing": what stands there, for messages. ret at least 100 bytes. */
const char *config_yaml_describe(const yaml_node_t *n, char *ret, size_t size);
/** An error at a node. */
void config_yaml_error(struct config_yaml *y, const yaml_node_t *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
#endif
