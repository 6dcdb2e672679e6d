/* daemon/config_authority_exec.c - the keys of an authority of type `exec`. */
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "control/definitions.h"
#include "daemon/config_authority.h"

struct texts {
	char **list;
	size_t count, max;
	const char *takes;
};

static bool is_variable(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!(*c == '_' || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
			    (c > text && *c >= '0' && *c <= '9')))
			return false;
	return *text != 0;
}

static void read_text(struct config_reader *r, yaml_node_t *item, size_t index, void *arg)
{
	struct texts *t = arg;
	(void)index;
	if (item->type != YAML_SCALAR_NODE || t->count == t->max) {
		config_refuse(r, item, t->takes);
		return;
	}
	t->list = mem_realloc(t->list, (t->count + 1) * sizeof *t->list);
	t->list[t->count++] = mem_strdup(config_yaml_text(item));
}

static const char command_takes[] = "a list of 1 to 64 texts, the first one an absolute path";
static const char environment_takes[] = "a list of at most 32 names of variables";

static void read_command(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct authority_def *a = target;
	struct texts t = {NULL, 0, EXEC_ARGUMENTS_MAX, f->takes};
	bool is_list = config_each_item(r, n, f->takes, read_text, &t);
	a->exec.command = t.list;
	a->exec.command_count = t.count;
	if (is_list && (t.count == 0 || *t.list[0] != '/'))
		config_yaml_error(
			&r->yaml, n, "%s does not begin with an absolute path; it takes %s", config_path(r), f->takes);
}

static void read_environment(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct authority_def *a = target;
	struct texts t = {NULL, 0, EXEC_ENVIRONMENT_MAX, f->takes};
	bool valid = config_each_item(r, n, f->takes, read_text, &t);
	a->exec.environment = t.list;
	a->exec.environment_count = t.count;
	for (size_t i = 0; i < t.count; i++)
		valid = valid && is_variable(t.list[i]);
	if (!valid && t.count)
		config_yaml_error(&r->yaml, n,
			"%s has something that is no name of a variable; values stand in leafcast's own environment",
			config_path(r));
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
		.takes = command_takes,
		.required = true,
		.help = "the program and its arguments; JSON comes on its stdin, its answer is JSON on stdout"},
	{.key = "environment",
		.type = FIELD_OTHER,
		.read = read_environment,
		.takes = environment_takes,
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
