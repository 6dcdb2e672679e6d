/* ca-client/exec.h - any other authority, by a command of the operator's: JSON into its stdin, JSON out of its stdout,
 * one run for each request. The words are in examples/exec/README.md. No shell; a clean environment; a time limit.
 * Not its duty: when to issue, what the core checks. */
#ifndef CA_CLIENT_EXEC_H
#define CA_CLIENT_EXEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
#include "ca-client/ca.h"

#define EXEC_TIMEOUT_MIN_MS INT64_C(1000)
#define EXEC_TIMEOUT_MAX_MS (INT64_C(5) * 60 * 1000)
#define EXEC_TRUST_MIN_MS INT64_C(1000)
#define EXEC_TRUST_MAX_MS (INT64_C(24) * 3600 * 1000)
enum { EXEC_ARGUMENTS_MAX = 64, EXEC_ENVIRONMENT_MAX = 32 };

enum exec_revoke { EXEC_REVOKE_NO = 0, EXEC_REVOKE_YES };

struct exec_options {
	char **command; /* the first one an absolute path */
	size_t command_count;
	char **environment; /* names of ours that it gets too, where they are set; PATH it always has */
	size_t environment_count;
	int64_t timeout_ms;	   /* of one run */
	char *root_file;	   /* PEM: the anchors; NULL: operation `trust` tells them */
	int64_t trust_interval_ms; /* how often the anchors are asked for, or the file is read again */
	enum exec_revoke revoke;   /* it knows operation `revoke` */
};
bool exec_options_equal(const struct exec_options *a, const struct exec_options *b);
void exec_options_done(struct exec_options *o); /* what it holds, not the struct itself */

/** INVALID: no command, a relative path. Nothing is run or read yet. The caller owns *ret: ca_close(). */
MUST_USE struct fault *exec_new(const struct exec_options *o, const struct ca_env *env, struct ca **ret);
#endif
