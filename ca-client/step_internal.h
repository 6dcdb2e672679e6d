/* ca-client/step_internal.h - what the parts of the step driver share: its life and roots (step.c), files
 * (step_files.c), requests and what their answers say (step_call.c), leaves and revocations under way (step_issue.c).
 * Thread: control. */
#ifndef CA_CLIENT_STEP_INTERNAL_H
#define CA_CLIENT_STEP_INTERNAL_H
#include <jansson.h>
#include <stdbool.h>
#include "base/backoff.h"
#include "ca-client/op.h"
#include "ca-client/step.h"
#include "ca-client/step_token.h"
struct anchors;
struct credential;
struct fault;
struct http_call;
struct timer;

enum { STEP_DIGEST_LEN = 32 };

/* Freed when it is closing, its turn has come, and no request, job or op is left: step_finish_close(). */
struct step {
	struct ca ca; /* first: drivers are handed around as struct ca */
	struct step_options o;
	struct step_signer *signer;	       /* as the files said last; NULL: never */
	unsigned char digest[STEP_DIGEST_LEN]; /* of the files that it is made of */
	struct anchors *given;		       /* root_file; or NULL */
	struct anchors *roots;		       /* what it showed last, or was kept; or NULL */
	struct anchors *anchors;	       /* in force, and for its TLS: the two together; NULL: none yet */
	struct http_call *call;		       /* for its roots */
	bool reading;			       /* the files */
	struct timer *poll, *turn;
	struct ops ops;
	char *told;				   /* what was logged last about a failed look; or NULL */
	void (*ready)(void *arg, struct fault *f); /* NULL: nobody waits */
	void *ready_arg;
	void (*closed)(void *arg);
	void *closed_arg;
	unsigned pending; /* requests, jobs and saves that have not come back */
	bool started, closing, turned;
};
static inline struct step *step_of(struct ca *ca)
{
	return container_of(ca, struct step, ca);
}
/** Frees s once it may be; s must not be used behind it. */
void step_finish_close(struct step *s);
/** Read the files and the roots again now. */
void step_look(struct step *s);

/* step_files.c: one reading. */
struct step_files {
	struct step *owner;
	const struct step_options *o; /* of the owner, immutable */
	bool have_signer;	      /* made of files with this digest: it stays where they are the same */
	unsigned char digest[STEP_DIGEST_LEN];
	/* what came of it */
	struct step_signer *signer; /* NULL: failed, or the one that there is holds */
	struct anchors *given;
	struct fault *fault;
};
void step_files_read(void *arg); /* struct step_files; a job */
void step_files_free(struct step_files *r);

/* step_issue.c */
struct ca_op *step_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg);
struct ca_op *step_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg);

/* step_call.c */
struct step_request {
	const char *method, *path;
	json_t *body;		   /* or NULL; the caller's */
	struct credential *client; /* or NULL */
	bool any_server;	   /* http.h */
	int64_t timeout_ms;
};
/** f: owned; NULL for 200 and 201. status: 0 when no answer came. root: borrowed. */
typedef void step_call_fn(void *arg, struct fault *f, int status, const json_t *root);
/** done comes once, on a later turn, also after http_cancel(). */
struct http_call *step_call(struct step *s, const struct step_request *r, step_call_fn *done, void *arg);
/** Pure: the leaf and its issuers; the roots of /roots; one root. The caller owns *ret. CORRUPT. */
MUST_USE struct fault *step_answer_chain(const json_t *root, STACK_OF(X509) * *ret);
MUST_USE struct fault *step_answer_roots(const json_t *root, struct anchors **ret);
MUST_USE struct fault *step_answer_root(const json_t *root, const char *sha256, struct anchors **ret);
/** Pure: why a status other than 200 and 201 came, in words, by class. */
struct fault *step_answer_fault(int status, const json_t *root, int64_t retry_after_ms);
#endif
