/* base/io/machine.c - the memory of the machine and of the cgroups that this process is in. */
#include "base/io/machine.h"
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"

enum { SELF_MAX_BYTES = 64 * 1024, LIMIT_MAX_BYTES = 64 };

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* memory.max holds "max" or a number. */
static uint64_t limit_of(const char *mount, const char *group)
{
	AUTO(mem_freep) char *path = mem_printf("%s%s/memory.max", mount, group);
	AUTO(buf_free) struct buf line = BUF_INIT;
	struct fault *f = file_read(path, LIMIT_MAX_BYTES, &line);
	fault_ignore(f, "a group without this file has no such limit");
	uint64_t limit = strtoull(buf_text(&line), NULL, 10);
	return limit ? limit : UINT64_MAX;
}

/* cgroups(7): the line of the unified hierarchy is "0::" and the group's path. */
static char *group_of(const char *self)
{
	AUTO(buf_free) struct buf lines = BUF_INIT;
	struct fault *f = file_read(self, SELF_MAX_BYTES, &lines);
	fault_ignore(f, "a system without cgroups has no limits of theirs");
	const char *at = buf_text(&lines);
	while (at && strncmp(at, "0::/", 4) != 0)
		at = (at = strchr(at, '\n')) ? at + 1 : NULL;
	return at ? mem_strndup(at + 3, strcspn(at + 3, "\n")) : mem_strdup("");
}

uint64_t machine_cgroup_bytes(const char *self, const char *mount)
{
	AUTO(mem_freep) char *group = group_of(self);
	uint64_t limit = UINT64_MAX;
	for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
		*end = 0;
		limit = least(limit, limit_of(mount, group));
	}
	return limit;
}

uint64_t machine_memory_bytes(void)
{
	/* libuv reads cgroup v1 alone here. */
	uint64_t v1 = uv_get_constrained_memory();
	uint64_t v2 = machine_cgroup_bytes("/proc/self/cgroup", "/sys/fs/cgroup");
	return least(uv_get_total_memory(), least(v1 ? v1 : UINT64_MAX, v2));
}
