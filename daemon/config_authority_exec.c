/* daemon/config_authority_exec.c - the keys of an authority of type `exec`. */
#include "control/definitions.h"
#include "daemon/config_authority.h"
#include "daemon/config_parts.h"

static void read_command(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct authority_def *a = target;
	config_read_command(r, f, n, &a->exec.command, &a->exec.command_count);
}

static void read_environment(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct authority_def *a = target;
	config_read_environment(r, f, n, &a->exec.environment, &a->exec.environment_count);
}

static const struct field_choice revokes[] = {
	{"false", EXEC_REVOKE_NO},
	{"true", EXEC_REVOKE_YES},
	{NULL, 0},
};

static const struct field exec[] = {
	{.key = "type",
		.type = FIELD_OTHER,
		.read = config_read_authority_type,
		.takes = "`exec`",
		.required = true,
		.help = "the kind of authority"},
	{.key = "command",
		.type = FIELD_OTHER,
		.read = read_command,
		.takes = CONFIG_COMMAND_TAKES,
		.required = true,
		.help = "the program and its arguments; JSON comes on its stdin, its answer is JSON on stdout"},
	{.key = "environment",
		.type = FIELD_OTHER,
		.read = read_environment,
		.takes = CONFIG_ENVIRONMENT_TAKES,
		.otherwise = "none",
		.help = "variables of leafcast's own environment that it gets too, beside PATH"},
	{.key = "timeout",
		.type = FIELD_DURATION,
		FIELD_AT(struct authority_def, exec.timeout_ms),
		.min = EXEC_TIMEOUT_MIN_MS,
		.max = EXEC_TIMEOUT_MAX_MS,
		.initial = "20s",
		.help = "how long one run may take; then its process group is ended"},
	{.key = "root_file",
		.type = FIELD_PATH,
		FIELD_AT(struct authority_def, exec.root_file),
		.max = 4095,
		.otherwise = "the command is asked (operation `trust`)",
		.help = "the anchors (PEM), read again at every trust_interval"},
	{.key = "trust_interval",
		.type = FIELD_DURATION,
		FIELD_AT(struct authority_def, exec.trust_interval_ms),
		.min = EXEC_TRUST_MIN_MS,
		.max = EXEC_TRUST_MAX_MS,
		.initial = "5m",
		.help = "how often the anchors are asked for"},
	{.key = "revoke",
		.type = FIELD_CHOICE,
		FIELD_AT(struct authority_def, exec.revoke),
		.choices = revokes,
		.initial = "false",
		.help = "the command knows operation `revoke`"},
	CONFIG_AUTHORITY_COMMON,
};
const struct field_set CONFIG_EXEC_FIELDS = {"authorities.NAME", exec, ARRAY_LEN(exec)};

void config_check_exec(struct config_reader *r, yaml_node_t *n, const struct authority_def *a)
{
	(void)r;
	(void)n;
	(void)a; /* each key was checked where it was read, and none depends on another */
}
