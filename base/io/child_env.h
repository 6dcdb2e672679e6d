/* base/io/child_env.h - the environment of another program: PATH, what it may have of our own environment by name, and
 * what it is told. Values may be secrets: every copy is wiped. Thread: one at a time. */
#ifndef BASE_IO_CHILD_ENV_H
#define BASE_IO_CHILD_ENV_H
#include <stddef.h>

struct child_env {
	char **list; /* "NAME=value"; ends with NULL once something was added */
	size_t count;
};
#define CHILD_ENV_INIT                                                                                                 \
	{                                                                                                              \
		NULL, 0                                                                                                \
	}

/** PATH (ours, or the usual one), and of these names those that we have. */
void child_env_inherit(struct child_env *e, const char *const *names, size_t count);
/** value NULL: left out. A name is added once, by whoever adds it. */
void child_env_add(struct child_env *e, const char *name, const char *value);
/** For child_request.env; borrowed until the next change. */
const char *const *child_env_list(const struct child_env *e);
void child_env_done(struct child_env *e); /* wipes; leaves it empty */
#endif
