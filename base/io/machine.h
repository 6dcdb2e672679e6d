/* base/io/machine.h - what this process may use of the machine. Thread: any. */
#ifndef BASE_IO_MACHINE_H
#define BASE_IO_MACHINE_H
#include <stdint.h>
/** Memory in bytes: the machine's, or the least that a container's cgroup (v1, v2) grants. */
uint64_t machine_memory_bytes(void);
#endif
