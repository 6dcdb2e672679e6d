/* daemon/config_command.c - the keys of whatever runs a program: its arguments, and what it gets of our environment. */
#include <string.h>
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config_parts.h"

enum { ARGUMENTS_MAX = EXEC_ARGUMENTS_MAX, VARIABLES_MAX = EXEC_ENVIRONMENT_MAX };
_Static_assert((int)ARGUMENTS_MAX == (int)HOOK_ARGUMENTS_MAX && (int)VARIABLES_MAX == (int)HOOK_ENVIRONMENT_MAX,
	"one reader for both");

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

void config_read_command(struct config_reader *r, const struct field *f, yaml_node_t *n, char ***ret, size_t *ret_count)
{
	struct texts t = {NULL, 0, ARGUMENTS_MAX, f->takes};
	bool is_list = config_each_item(r, n, f->takes, read_text, &t);
	*ret = t.list;
	*ret_count = t.count;
	if (is_list && (t.count == 0 || *t.list[0] != '/'))
		config_yaml_error(
			&r->yaml, n, "%s does not begin with an absolute path; it takes %s", config_path(r), f->takes);
}

void config_read_environment(
	struct config_reader *r, const struct field *f, yaml_node_t *n, char ***ret, size_t *ret_count)
{
	struct texts t = {NULL, 0, VARIABLES_MAX, f->takes};
	bool valid = config_each_item(r, n, f->takes, read_text, &t);
	*ret = t.list;
	*ret_count = t.count;
	for (size_t i = 0; i < t.count; i++)
		valid = valid && is_variable(t.list[i]);
	if (!valid && t.count)
		config_yaml_error(&r->yaml, n,
			"%s has something that is no name of a variable; values stand in leafcast's own environment",
			config_path(r));
}
