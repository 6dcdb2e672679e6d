#include "base/io/child_env.h"
#include <string.h>
#include "base/mem.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void child_env_add(struct child_env *e, const char *name, const char *value)
{
	if (!value)
		return;
	e->list = mem_realloc(e->list, (e->count + 2) * sizeof *e->list);
	e->list[e->count++] = mem_printf("%s=%s", name, value);
	e->list[e->count] = NULL;
}

void child_env_inherit(struct child_env *e, const char *const *names, size_t count)
{
	const char *path = getenv("PATH");
	child_env_add(e, "PATH", path ? path : DEFAULT_PATH);
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], "PATH") != 0)
			child_env_add(e, names[i], getenv(names[i]));
}

const char *const *child_env_list(const struct child_env *e)
{
	static const char *const none[] = {NULL};
	return e->count ? (const char *const *)e->list : none;
}

void child_env_done(struct child_env *e)
{
	for (size_t i = 0; i < e->count; i++) {
		explicit_bzero(e->list[i], strlen(e->list[i]));
		free(e->list[i]);
	}
	free(e->list);
	*e = (struct child_env)CHILD_ENV_INIT;
}
