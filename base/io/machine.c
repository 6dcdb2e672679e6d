#include "base/io/machine.h"
#include <stdlib.h>
#include <uv.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/file.h"

enum { LINE_MAX_BYTES = 64 };

/* "max" or a number; 0: no limit, or none that can be read. */
static uint64_t cgroup_v2_limit(void)
{
	struct buf line = BUF_INIT;
	struct fault *f = file_read("/sys/fs/cgroup/memory.max", LINE_MAX_BYTES, &line);
	fault_ignore(f, "without this file there is no such limit");
	uint64_t limit = strtoull(buf_text(&line), NULL, 10);
	buf_free(&line);
	return limit;
}

static uint64_t least(uint64_t a, uint64_t limit)
{
	return limit && limit < a ? limit : a;
}

uint64_t machine_memory_bytes(void)
{
	/* libuv reads cgroup v1 alone here. */
	return least(least(uv_get_total_memory(), uv_get_constrained_memory()), cgroup_v2_limit());
}
