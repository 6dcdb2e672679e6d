/* daemon/config_parts.h - the parts of the config, each read by a file of its own: for daemon/config.c and the
 * reference. Thread: one at a time. */
#ifndef DAEMON_CONFIG_PARTS_H
#define DAEMON_CONFIG_PARTS_H
#include "daemon/config_fields.h"
struct secret_def;
struct config_errors;

/* Each reads one top-level key into r->config; where one names what another defines, the other is read first. */
field_read config_read_authorities, config_read_profiles, config_read_secrets, config_read_policy, config_read_listen,
	config_read_hooks;
/** Without the key `authorities` there is one, `builtin`. */
void config_add_default_authority(struct config_reader *r);

/** A list of SAN templates; f->tag is the type, f->offset of a struct template_list. */
field_read config_read_sans;
/** The name of a profile into a char *. */
field_read config_read_profile_name;
/** The templates of a secret's own lists replace its profile's; marks which. Then its names are counted: an error at n
 * when there are none, or too many. */
void config_finish_sans(struct config_reader *r, yaml_node_t *n, struct secret_def *s);
/** A list of one or more authorities, each once. */
void config_read_authority_list(struct config_reader *r, yaml_node_t *n, char ***ret, size_t *ret_count);
/** The name of one authority, or NULL. The caller owns it. */
char *config_read_authority(struct config_reader *r, yaml_node_t *n);

/** A list of names or patterns of secrets, not empty. The caller owns the texts, here and below. */
void config_read_patterns(
	struct config_reader *r, const struct field *f, yaml_node_t *n, char ***ret, size_t *ret_count);
/** A program and its arguments; names of variables. */
#define CONFIG_COMMAND_TAKES "a list of 1 to 64 texts, the first one an absolute path"
#define CONFIG_ENVIRONMENT_TAKES "a list of at most 32 names of variables"
void config_read_command(
	struct config_reader *r, const struct field *f, yaml_node_t *n, char ***ret, size_t *ret_count);
void config_read_environment(
	struct config_reader *r, const struct field *f, yaml_node_t *n, char ***ret, size_t *ret_count);

/** The top-level keys, with what holds for their sections. */
const struct field_set *config_root_fields(void);
const struct field_set *config_limit_fields(void);
/** The keys of one of each, for the reference. */
const struct field_set *config_listener_fields(void);
const struct field_set *config_authority_fields(void);
const struct field_set *config_profile_fields(void);
const struct field_set *config_secret_fields(void);
const struct field_set *config_rule_fields(void);
const struct field_set *config_hook_fields(void);
#endif
