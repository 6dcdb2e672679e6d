/* ca-client/exec_internal.h - shared by the exec driver's two halves: its anchors and life (exec.c) and its runs
 * (exec_run.c). Thread: control. */
#ifndef CA_CLIENT_EXEC_INTERNAL_H
#define CA_CLIENT_EXEC_INTERNAL_H
#include "ca-client/exec.h"
#include "ca-client/op.h"
struct child;
struct child_result;
struct timer;

enum exec_operation { EXEC_ISSUE, EXEC_TRUST, EXEC_REVOKE };

/* One run of the command. */
struct exec_run {
	struct exec_run *prev, *next; /* exec.runs */
	struct exec *owner;
	enum exec_operation operation;
	struct ca_op *op; /* of an issue or a revocation; NULL: nobody waits any more */
	struct child *child;
};

/* Freed when it is closing, its turn has come, and no op, run or job is left: exec_finish_close(). */
struct exec {
	struct ca ca; /* first */
	struct exec_options o;
	struct ops ops;
	struct exec_run *runs; /* DL */
	struct anchors *anchors;
	char *told;	    /* why they could not be read, as logged last; or NULL */
	struct timer *poll; /* of the anchors */
	struct timer *turn;
	bool asking; /* for the anchors */
	unsigned jobs;
	void (*ready)(void *arg, struct fault *f); /* NULL: nobody waits */
	void *ready_arg;
	void (*closed)(void *arg);
	void *closed_arg;
	bool closing, turned;
};

static inline struct exec *exec_of(struct ca *ca)
{
	return container_of(ca, struct exec, ca);
}

void exec_finish_close(struct exec *e); /* e must not be used behind it */
/** What the anchors are from now on, or why they are not known (owned by the callee, as is f); one of the two. */
void exec_take_anchors(struct exec *e, struct fault *f, struct anchors *anchors);
/** The same from an issue: told to the core where they are new. The reference stays the caller's. */
void exec_learn_anchors(struct exec *e, struct anchors *anchors);
/** Ask for them again soon: a leaf came under an issuer that they do not know. */
void exec_doubt_anchors(struct exec *e);

/* exec_run.c */
void exec_run_trust(struct exec *e);
struct ca_op *exec_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg);
struct ca_op *exec_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg);
void exec_end_runs(struct exec *e);
#endif
