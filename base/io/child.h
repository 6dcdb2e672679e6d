/* base/io/child.h - another program, run once: bytes into its stdin, its stdout taken, the end of its stderr kept; on
 * the control loop. No shell. It leads a process group of its own, and whatever is left of that when it ends, or when
 * its time is up, is ended too. All of its descriptors but 0, 1 and 2 are closed. Not its duty: what the bytes mean. A
 * process that leaves the group on purpose gets away: it then holds our pipes at most CHILD_DRAIN_MS longer. Thread:
 * control. */
#ifndef BASE_IO_CHILD_H
#define BASE_IO_CHILD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
struct child;
struct fault;
struct loop;

enum {
	CHILD_OUTPUT_MAX = 4 * 1024 * 1024,
	CHILD_ERRORS_MAX = 4096, /* of stderr: its last bytes */
	CHILD_GRACE_MS = 2000,	 /* from SIGTERM to SIGKILL */
	CHILD_DRAIN_MS = 500,	 /* from its end to that of its pipes, where others hold them open */
};

/** Everything is copied by child_start(). */
struct child_request {
	const char *const *argv; /* argv[0]: absolute path; ends with NULL */
	const char *const *env;	 /* "NAME=value", the whole environment; ends with NULL */
	const void *input;
	size_t input_len;
	size_t output_max; /* at most CHILD_OUTPUT_MAX; 0: that much */
	bool only_talk; /* its stdout is no answer: it is taken as stderr is, without a bound on how much it writes */
	int64_t timeout_ms; /* from start; then SIGTERM, then SIGKILL */
};

struct child_result {
	struct buf output; /* wiped afterwards */
	struct buf errors; /* wiped afterwards; may begin in the middle of a line */
	int exit_code;	   /* 0 where signal is set */
	int signal;
};
/** f: it could not be run (UNAVAILABLE, retryable), did not end in time (TIMEOUT, retryable), wrote too much (CORRUPT)
 * or was ended (UNAVAILABLE "cancelled"); owned by the callee. r is borrowed for the call, and there with f too. */
typedef void child_done_fn(void *arg, struct fault *f, const struct child_result *r);

/** done comes exactly once, never from within the call, when the program has ended. */
struct child *child_start(struct loop *loop, const struct child_request *r, child_done_fn *done, void *arg);
/** End it: SIGTERM now, SIGKILL after CHILD_GRACE_MS; done comes when it is over. Twice is fine; not after done. */
void child_end(struct child *c);
#endif
