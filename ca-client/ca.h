/* ca-client/ca.h - an upstream certificate authority, whatever its kind, behind one asynchronous interface.
 * The core owns keys, schedule, retries, limits, persistence and checks; a driver turns one request into one answer.
 * Rules of a driver: nothing blocks; no callback runs before the call that caused it has returned; every issue has
 * exactly one completion, also when cancelled (FAULT_UNAVAILABLE "cancelled") or when its deadline passed
 * (FAULT_TIMEOUT). Error classes are fault codes plus the retry hint: UNAVAILABLE/TIMEOUT retryable = back off;
 * EXHAUSTED retryable = throttled, wait retry_after_ms; DENIED = credentials or policy, slow retry; INVALID = our
 * request or config, no retry until either changes; CORRUPT = an answer that makes no sense. Thread: control. */
#ifndef CA_CLIENT_CA_H
#define CA_CLIENT_CA_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/credential.h"
#include "base/san.h"
struct anchors;
struct clock;
struct fault;
struct http;
struct jobs;
struct loop;
struct secret;

/** What an authority can do; the core plans by it. */
enum ca_capability {
	CA_LIFETIME_EXACT = 1 << 0, /* the lifetime asked for is the one given */
	CA_TRUST_CHANGES = 1 << 1,  /* its anchors may change while it runs: on_trust */
	CA_REVOKE = 1 << 2,	    /* revoke may be called */
	CA_NEW_ROOT = 1 << 3,	    /* new_root may be called */
	CA_OUR_CLOCK = 1 << 4,	    /* its leaves are dated by our clock, not by one of its own */
};

struct ca_request {
	X509_REQ *csr;		    /* signed by the new key; borrowed until the completion */
	const struct san_set *sans; /* exactly these; borrowed likewise */
	/* The leaf that this one takes over from, or NULL: an authority may renew under it. Borrowed likewise. */
	struct credential *current;
	enum key_type key_type;
	int64_t lifetime_ms;
	int64_t deadline_ms; /* monotonic */
};

/** When an authority would like a leaf to be renewed (wall; ACME calls it suggestedWindow, RFC 9773); both 0: it does
 * not say. The core draws within what this leaves of its own window. */
struct ca_hint {
	int64_t from_ms, to_ms;
};

struct ca_answer {
	STACK_OF(X509) * chain;	 /* leaf and issuers */
	struct anchors *anchors; /* the trust that came with it, or NULL: see ca_anchors() */
	char *request_id;	 /* the authority's own, or NULL */
	struct ca_hint renew;
};
void ca_answer_free(struct ca_answer *a); /* NULL is fine */

/** Exactly one of f and a is set, both owned by the callee. */
typedef void ca_issued_fn(void *arg, struct fault *f, struct ca_answer *a);

/** Why a certificate is revoked: RFC 5280, 5.3.1, the reasons that an operator may give. */
enum ca_reason {
	CA_REASON_UNSPECIFIED = 0,
	CA_REASON_KEY_COMPROMISE = 1,
	CA_REASON_AFFILIATION_CHANGED = 3,
	CA_REASON_SUPERSEDED = 4,
	CA_REASON_CESSATION_OF_OPERATION = 5,
};
struct ca_revocation {
	struct credential *leaf; /* with its key: some authorities take it as proof. Borrowed until the completion */
	enum ca_reason reason;
	int64_t deadline_ms; /* monotonic */
};
/** f NULL: the authority holds it for revoked. */
typedef void ca_revoked_fn(void *arg, struct fault *f);

/** Handed to each driver; everything borrowed for the driver's life. */
struct ca_env {
	struct loop *loop;
	struct jobs *jobs;
	struct http *http;
	const struct clock *clock;
	const char *authority; /* its name in the config */
	void *arg;
	/** What the driver saved under this key before; *ret is NULL when it never did. Borrowed until the next save of
	 * the key. A fault when there is something that cannot be read: then nothing may take its place. */
	struct fault *(*load)(void *arg, const char *key, const struct secret **ret);
	/** Keep bytes (sealed) under a key; done(done_arg, fault or NULL) once it is durable, never from within the
	 * call. bytes are copied. */
	void (*save)(void *arg, const char *key, const struct secret *bytes,
		void (*done)(void *done_arg, struct fault *f), void *done_arg);
	/** The anchors changed: the core reads ca_anchors() again. */
	void (*on_trust)(void *arg);
};

struct ca;
struct ca_op; /* an issue or a revocation under way; valid until its completion */

/** A driver: one static table per kind. */
struct ca_driver {
	const char *type; /* "builtin" */
	unsigned capabilities;
	/** Begin; ready(arg, fault or NULL) once anchors are known and issue may be called. After a fault it may be
	 * called again. ready does not come any more once close was called. */
	void (*start)(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg);
	struct ca_op *(*issue)(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg);
	/** With CA_REVOKE only, else NULL. */
	struct ca_op *(*revoke)(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg);
	/** With CA_NEW_ROOT only, else NULL: a new root, durable before it signs; on_trust, then done(arg, fault or
	 * NULL) on a later turn; not any more once close was called. One at a time. After a fault it may be called
	 * again. */
	void (*new_root)(struct ca *ca, void (*done)(void *arg, struct fault *f), void *arg);
	/** Its completion comes soon, on a later turn; cancelling twice is fine. */
	void (*cancel)(struct ca_op *op);
	struct anchors *(*anchors)(struct ca *ca); /* borrowed; NULL before it is ready */
	/** When our login there ends (wall ms), 0: it has none or does not end. NULL: the kind knows no login. */
	int64_t (*login_ends_at_ms)(struct ca *ca);
	/** Ends what is under way (each with its completion), then closed(arg). */
	void (*close)(struct ca *ca, void (*closed)(void *arg), void *arg);
};

/** First member of every driver's own struct. */
struct ca {
	const struct ca_driver *driver;
	struct ca_env env;
};

void ca_start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg);
struct ca_op *ca_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg);
/** Only where ca_capabilities() has CA_REVOKE. */
struct ca_op *ca_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg);
/** Only where ca_capabilities() has CA_NEW_ROOT. */
void ca_new_root(struct ca *ca, void (*done)(void *arg, struct fault *f), void *arg);
void ca_cancel(struct ca_op *op, struct ca *ca);
int64_t ca_login_ends_at_ms(struct ca *ca);
struct anchors *ca_anchors(struct ca *ca);
unsigned ca_capabilities(const struct ca *ca);
void ca_close(struct ca *ca, void (*closed)(void *arg), void *arg);
#endif
