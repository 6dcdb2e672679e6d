/* base/io/machine.h - what this process may use of the machine. Thread: any. */
#ifndef BASE_IO_MACHINE_H
#define BASE_IO_MACHINE_H
#include <stdint.h>

/** Memory in bytes: the machine's, or the least that a cgroup (v1, v2) of this process grants: a container's, or a
 *  service's (MemoryMax=). Reads files. */
uint64_t machine_memory_bytes(void);
/** The least memory.max of the cgroup (v2) that the file self names, and of those above it; mount: where they are. The
 *  part of the above that has no fixed paths. UINT64_MAX: no limit. */
uint64_t machine_cgroup_bytes(const char *self, const char *mount);
#endif
