/* daemon/config_authority.h - the kinds of authority in the config: a table of keys for each, in a file of its own.
 * Thread: one at a time. */
#ifndef DAEMON_CONFIG_AUTHORITY_H
#define DAEMON_CONFIG_AUTHORITY_H
#include "control/definitions.h"
#include "daemon/config_fields.h"

struct config_authority_kind {
	const char *name;		/* "builtin" */
	enum authority_type type;	/* says which options of an authority_def the fields fill */
	const struct field_set *fields; /* of a struct authority_def */
	/** What the fields mean together; each error is added at its node. */
	void (*check)(struct config_reader *r, yaml_node_t *n, const struct authority_def *a);
};
extern const struct field_set CONFIG_BUILTIN_FIELDS;
void config_check_builtin(struct config_reader *r, yaml_node_t *n, const struct authority_def *a);
extern const struct field_set CONFIG_STEP_FIELDS;
void config_check_step(struct config_reader *r, yaml_node_t *n, const struct authority_def *a);
extern const struct field_set CONFIG_VAULT_FIELDS;
void config_check_vault(struct config_reader *r, yaml_node_t *n, const struct authority_def *a);
extern const struct field_set CONFIG_EXEC_FIELDS;
void config_check_exec(struct config_reader *r, yaml_node_t *n, const struct authority_def *a);

/** What every kind has: for the end of its table of keys. */
#define CONFIG_AUTHORITY_COMMON                                                                                        \
	{.key = "max_in_flight",                                                                                       \
		.type = FIELD_NUMBER,                                                                                  \
		FIELD_AT(struct authority_def, max_in_flight),                                                         \
		.min = 1,                                                                                              \
		.max = 1000,                                                                                           \
		.initial = "16",                                                                                       \
		.help = "requests at once; the rest waits, the most urgent first"},                                    \
	{                                                                                                              \
		.key = "rate", .type = FIELD_NUMBER, FIELD_AT(struct authority_def, rate), .max = 10000,               \
		.initial = "0", .help = "requests a second at the most; 0 is no limit"                                 \
	}

/** The key `type` of every kind: it was read before the rest and says which keys there are. */
field_read config_read_authority_type;
#endif
