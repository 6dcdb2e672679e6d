/* ca-client/vault_internal.h - what the parts of the vault driver share: files (vault_files.c), requests
 * (vault_call.c), the login (vault_login.c), anchors (vault_trust.c), the role's traps (vault_role.c), leaves and
 * revocations under way (vault_issue.c). Thread: control. */
#ifndef CA_CLIENT_VAULT_INTERNAL_H
#define CA_CLIENT_VAULT_INTERNAL_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/backoff.h"
#include "base/buf.h"
#include "ca-client/vault.h"
struct anchors;
struct credential;
struct fault;
struct secret;
struct timer;
struct vault;
struct vault_call;

void vault_options_copy(const struct vault_options *from, struct vault_options *ret);
MUST_USE struct fault *vault_options_check(const struct vault_options *o);

/* --- files: vault_files.c --- */

/* What the files say now. */
struct vault_files {
	struct anchors *server_roots, *given_roots; /* NULL: no such file in the options */
	struct fault *roots_fault;		    /* why one of those cannot be had */
	struct secret *token, *role_id, *secret_id; /* by the kind of login; a JWT is a token */
	struct secret *wrapping;		    /* the token that opens the secret id */
	struct credential *client;
	struct fault *login_fault; /* why one of those cannot be had */
};
typedef void vault_files_fn(struct vault *v, struct vault_files *f);
/** Read them in a job; done gets them and owns them, unless the authority is closing by then. */
void vault_files_read(struct vault *v, vault_files_fn *done);
/** The same credentials of the login? Either may be NULL. */
bool vault_files_same_login(const struct vault_files *a, const struct vault_files *b);
void vault_files_free(struct vault_files *f); /* NULL is fine */

/* --- requests: vault_call.c --- */

enum { VAULT_HIDDEN_MAX = 2 };
struct vault_request {
	const char *method;	    /* "POST"; static */
	const char *path;	    /* below /v1/ */
	json_t *body;		    /* or NULL; the caller's */
	const struct secret *token; /* or NULL */
	struct credential *client;  /* or NULL */
	int64_t timeout_ms;
	/* What no message may repeat, beside the token. Borrowed until done or the cancelling. */
	const struct secret *hide[VAULT_HIDDEN_MAX];
};
/** f: owned; NULL for 200 and 204. status: 0 when no answer came. root: the JSON of the answer, borrowed; NULL: none.
 */
typedef void vault_call_fn(void *arg, struct fault *f, int status, const json_t *root);
/** done comes once, on a later turn, unless the call is cancelled first. */
struct vault_call *vault_call_start(struct vault *v, const struct vault_request *r, vault_call_fn *done, void *arg);
void vault_call_cancel(struct vault_call *c);
/** A new object or array for a body; ownership of the values is taken. Never NULL. */
json_t *vault_json_text(const char *text);

/* --- whoever waits for the login or the anchors --- */

struct vault_waiter {
	struct vault_waiter *prev, *next;
	struct vault_waiter **list;		  /* where it waits; NULL: it does not */
	void (*done)(void *arg, struct fault *f); /* f is owned; NULL: it is there */
	void *arg;
};
void vault_wait(struct vault_waiter **list, struct vault_waiter *w);
void vault_forget(struct vault_waiter *w); /* one that does not wait is fine */
/** Each gets its completion with a copy of f, which stays the caller's. */
void vault_serve(struct vault_waiter **list, const struct fault *f);
struct fault *vault_fault_copy(const struct fault *f);

/* --- the login: vault_login.c --- */

enum { VAULT_WRAPPED_LEN = 64 };
/* vault_unwrap.c */
struct vault_unwrapped {
	char of[VAULT_WRAPPED_LEN + 1]; /* SHA-256 of the wrapping token, in hex */
	struct secret *secret_id;	/* NULL: none yet */
	void (*done)(struct vault *v);	/* while it is being kept */
};
/** What this token opened, now or before a restart; NULL: nothing yet. Borrowed until another one is opened. */
const struct secret *vault_unwrapped(struct vault *v, const struct secret *token);
/** secret_id is taken over. */
void vault_unwrap_take(struct vault *v, const struct secret *token, struct secret *secret_id);
/** Make what was taken durable, then done; unless it is closing by then. */
void vault_unwrap_keep(struct vault *v, void (*done)(struct vault *v));

struct vault_login {
	struct secret *token;	 /* NULL: none */
	int64_t ends_at_mono_ms; /* INT64_MAX: it does not */
	int64_t ends_at_wall_ms; /* 0: it does not */
	int64_t first_lease_ms;	 /* what the login gave; 0: without end */
	bool renewable;
	uint64_t generation;	   /* counts the tokens */
	struct vault_files *used;  /* the files behind the token */
	struct vault_files *tried; /* those of the login under way or refused last */
	struct vault_unwrapped unwrapped;
	struct fault *refused; /* why it was refused; NULL: it was not */
	int64_t pause_until_mono_ms;
	struct backoff backoff;
	uint64_t denied_generation; /* a login of this number was fresh, and something was denied to it all the same */
	int64_t denied_at_mono_ms;
	bool busy;		 /* one is under way */
	bool anew;		 /* it is to bring another token, also where the old one counts */
	bool checking;		 /* files are being compared */
	struct vault_call *call; /* of the login */
	struct vault_call *renewal;
	struct vault_waiter *waiters;
	struct timer *plan; /* renewal, or the next login */
	struct timer *check;
};
void vault_login_init(struct vault *v);
/** The token, or NULL when there is none that counts. Borrowed for this turn. */
const struct secret *vault_login_token(struct vault *v);
/** Log in if nobody does already; w is told. */
void vault_login_wait(struct vault *v, struct vault_waiter *w);
/** Something was denied to the login of this generation. True: it was dropped or is outlived, log in again and try once
 * more. False: a fresh login was refused the same way. */
bool vault_login_denied(struct vault *v, uint64_t generation);
/** The denial stood against a fresh login too. */
void vault_login_denial_stands(struct vault *v, uint64_t generation);
int64_t vault_login_ends_at_ms(struct ca *ca);
/** Compare the files again and again from now on. */
void vault_login_watch(struct vault *v);
void vault_login_stop(struct vault *v);
void vault_login_done(struct vault *v);

/* --- anchors: vault_trust.c --- */

struct vault_trust {
	struct anchors *anchors; /* in force: of the mount, learned, given. NULL before the first */
	struct anchors *mount;	 /* NULL: it has no root */
	struct anchors *learned; /* from answers, not seen among the issuers yet; or NULL */
	struct anchors *given;	 /* root_file; or NULL */
	char **issuers;		 /* ids, as listed last */
	size_t issuer_count;
	char **listed; /* the same, of the look under way */
	size_t listed_count, at;
	STACK_OF(X509) * seen; /* of the look under way; NULL: none is */
	bool forced;	       /* each issuer is read though the list is the same */
	struct vault_call *call;
	struct vault_waiter *waiters, *waiting_again;
	struct timer *poll;
	char *told; /* what was logged last about a failed look; NULL: nothing */
};
void vault_trust_init(struct vault *v);
/** Look at the mount's issuers; w is told once anchors are known by a look that began after this call. */
void vault_trust_wait(struct vault *v, struct vault_waiter *w);
/** A root that came with an answer. */
void vault_trust_learn(struct vault *v, X509 *root);
/** What root_file says now. */
void vault_trust_give(struct vault *v, struct anchors *given);
/** Look again and again from now on. */
void vault_trust_poll(struct vault *v);
void vault_trust_stop(struct vault *v);
void vault_trust_done(struct vault *v);

/* --- the role: vault_role.c --- */

struct vault_role {
	struct vault_call *call;
	bool hidden;  /* the policy does not show it */
	char *told;   /* traps as they were logged last; or NULL */
	char *failed; /* why it could not be read, as logged last; or NULL */
};
/** Read the role where the policy allows it, and log what will go wrong with it; at most one at a time. */
void vault_role_look(struct vault *v);
void vault_role_stop(struct vault *v);
void vault_role_done(struct vault *v);

/* --- what answers say: vault_answer.c. Pure --- */

/** Why a status other than 200 and 204 came: in words, by class. hide: as above. */
struct fault *vault_answer_fault(
	int status, const json_t *root, int64_t retry_after_ms, const struct secret *const *hide, size_t hide_count);
/** The leaf and its issuers in order, up to a root where that is told. The caller owns *ret. CORRUPT. */
MUST_USE struct fault *vault_answer_chain(const json_t *root, STACK_OF(X509) * *ret);
/** What a login or renewal gave. lease 0: without end. The caller owns *ret_token; NULL ret_token: not of interest. */
struct vault_lease {
	int64_t lease_ms;
	bool renewable;
};
MUST_USE struct fault *vault_answer_login(const json_t *root, struct secret **ret_token, struct vault_lease *ret);
/** The secret id that was wrapped. The caller owns *ret. */
MUST_USE struct fault *vault_answer_unwrapped(const json_t *root, struct secret **ret);
/** The same of a token that was looked up. */
MUST_USE struct fault *vault_answer_lookup(const json_t *root, struct vault_lease *ret);
/** Ids of issuers; the caller owns *ret. CORRUPT: none, too many, odd ones. */
MUST_USE struct fault *vault_answer_issuers(const json_t *root, char ***ret, size_t *ret_count);
/** The certificates of one issuer and those above it, appended. CORRUPT. */
MUST_USE struct fault *vault_answer_issuer(const json_t *root, STACK_OF(X509) * ret);
/** "warnings", bounded, for a log that escapes; "" without. */
void vault_answer_warnings(const json_t *root, const struct secret *hide, struct buf *ret);
/** What of the role will refuse or change what leafcast asks for, one sentence each; "" without. CORRUPT. */
MUST_USE struct fault *vault_answer_traps(const json_t *root, struct buf *ret);
bool vault_is_self_signed(X509 *cert);
void vault_texts_free(char **texts, size_t count);

/* --- the whole --- */

enum { VAULT_CAPS_MAX = 8 };
/* A lifetime that was asked for and cut short. */
struct vault_cap {
	int64_t asked_s, got_s;
};

/* Freed when it is closing, its turn has come, and no call, job or op is left: vault_finish_close(). */
struct vault {
	struct ca ca; /* first: drivers are handed around as struct ca */
	struct vault_options o;
	struct anchors *server_roots; /* NULL: the system's */
	struct vault_login login;
	struct vault_trust trust;
	struct vault_role role;
	struct vault_cap caps[VAULT_CAPS_MAX]; /* ring */
	size_t cap_next;
	char *warned;	  /* the warnings that were logged last; or NULL */
	char *roots_told; /* why the files of roots could not be read, as logged last; or NULL */
	struct ca_op *ops;
	struct timer *turn; /* the next turn of the loop: no callback runs before its call has returned */
	struct vault_waiter starting;
	void (*ready)(void *arg, struct fault *f); /* NULL: nobody waits */
	void *ready_arg;
	void (*closed)(void *arg);
	void *closed_arg;
	unsigned pending; /* calls and jobs that have not come back */
	bool started, closing, turned;
};
static inline struct vault *vault_of(struct ca *ca)
{
	return container_of(ca, struct vault, ca);
}
/** Frees v once it may be; v must not be used behind it. */
void vault_finish_close(struct vault *v);
/** 64 random bits. */
uint64_t vault_draw(void);

/* vault_issue.c */
struct ca_op *vault_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg);
struct ca_op *vault_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg);
void vault_cancel(struct ca_op *op);
/** Every op under way gets its completion, on a later turn. */
void vault_end_ops(struct vault *v);
#endif
