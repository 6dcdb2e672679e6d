/* ca-client/builtin_internal.h - shared by the embedded authority's two halves: its CA (builtin.c) and the leaves under
 * way (builtin_issue.c). Thread: control. */
#ifndef CA_CLIENT_BUILTIN_INTERNAL_H
#define CA_CLIENT_BUILTIN_INTERNAL_H
#include <stdbool.h>
#include <stddef.h>
#include "ca-client/builtin.h"
#include "ca-client/builtin_hierarchy.h"
struct secret;
struct timer;

/* What is being made the CA: saved, then in force. */
struct builtin_coming {
	struct hierarchy *hierarchy; /* NULL: nothing is coming */
	struct secret *bytes;
	bool renewed; /* under the root that there was; otherwise all of it is new */
};

/* Freed when it is closing, its turn has come, and no job, save or issue is left: builtin_finish_close(). */
struct builtin {
	struct ca ca; /* first: drivers are handed around as struct ca */
	enum key_type ca_key;
	char *name;		     /* of the root */
	struct hierarchy *hierarchy; /* in force; NULL before that */
	struct builtin_coming coming;
	struct timer *renew;
	struct timer *turn; /* the next turn of the loop: no callback runs before its call has returned */
	struct ca_op *ops;  /* DL: every issue that has not had its completion */
	void (*ready)(void *arg, struct fault *f); /* NULL: nobody waits */
	void *ready_arg;
	struct fault *ready_fault;		       /* for the turn */
	void (*root_done)(void *arg, struct fault *f); /* NULL: no new root is being made */
	void *root_arg;
	struct fault *root_fault; /* for the turn */
	void (*closed)(void *arg);
	void *closed_arg;
	unsigned jobs;
	bool saving, closing, turned;
};

static inline struct builtin *builtin_of(struct ca *ca)
{
	return container_of(ca, struct builtin, ca);
}

/** Frees b once it may be; b must not be used behind it. */
void builtin_finish_close(struct builtin *b);

/* builtin_issue.c */
struct ca_op *builtin_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg);
void builtin_cancel(struct ca_op *op);
/** Every issue under way gets its completion, on a later turn. */
void builtin_end_issues(struct builtin *b);
#endif
