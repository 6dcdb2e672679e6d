/* tests/unit/fake_ca.h - an authority that does what a test says: answer late or never, fail, answer under another
 * root, backdate, cap the lifetime, lie. For the errors that no real server gives on demand. Thread: the loop's. */
#ifndef TESTS_UNIT_FAKE_CA_H
#define TESTS_UNIT_FAKE_CA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/fault.h"
#include "ca-client/ca.h"
#include "pki.h"

enum { FAKE_NEVER = -1 };
enum fake_lie { FAKE_TRUE, FAKE_OTHER_KEY, FAKE_OTHER_NAME, FAKE_IS_CA };

/* What happens to a request. */
struct fake_script {
	int64_t delay_ms;      /* FAKE_NEVER: until it is cancelled or its deadline has passed */
	enum fault_code fault; /* 0: an answer */
	bool retryable;
	int64_t retry_after_ms;	   /* with retryable; 0: not said */
	const struct pki_ca *root; /* who signs; NULL: its first one */
	int64_t backdate_ms;	   /* notBefore lies so far in the past, and notAfter moves with it */
	int64_t lifetime_most_ms;  /* 0: what was asked for */
	enum fake_lie lie;
	struct ca_hint renew; /* what it suggests, relative to its own now; to_ms 0: nothing */
};

struct fake_ca {
	struct ca ca; /* first: what ca.h calls a driver's own struct */
	struct pki_ca root;
	struct anchors *anchors; /* what it shows */
	struct fake_script script, next;
	bool has_next;		     /* next holds for one request */
	enum fault_code start_fault; /* 0: it becomes ready */
	bool start_hangs;
	/* seen */
	size_t revocations;    /* answered without a fault */
	enum ca_reason reason; /* of the last one */
	char revoked[64];      /* its serial */
	size_t starts, requests, answered, cancelled, running, running_most;
	int64_t lifetime_ms, time_left_ms; /* of the last request */
	/* inner */
	struct fake_op *ops;
	struct timer *turn;
	void (*ready)(void *arg, struct fault *f);
	void *ready_arg;
	void (*closed)(void *arg);
	void *closed_arg;
};

/** root NULL: one of its own is made. Freed when it has closed. */
struct fake_ca *fake_ca_new(const struct ca_env *env, const struct pki_ca *root);
/** It shows these roots from now on, and says so. */
void fake_ca_show(struct fake_ca *f, const struct pki_ca *roots, size_t count);
/** The next request alone. */
void fake_ca_next(struct fake_ca *f, struct fake_script s);
struct fake_ca *fake_ca_of(struct ca *ca);
#endif
