/* cache/store_tx.h - inside of cache/store: what a transaction holds on its way from the control loop (store_tx.c)
 * through the store's thread (store_apply.c) and back. Nobody else includes it. */
#ifndef CACHE_STORE_TX_H
#define CACHE_STORE_TX_H
#include <stdbool.h>
#include <stdint.h>
#include "base/io/mailbox.h"
#include "cache/store.h"
struct entry_key;
struct fault;
struct secret;
struct version;

enum store_op_type {
	STORE_PUT_VERSION,
	STORE_DROP_VERSION,
	STORE_DROP_ENTRY,
	STORE_PUT_BLOB,
	STORE_PUT_FACT,
	STORE_DROP_FACT,
	STORE_AUDIT,
	STORE_COMPLETE_FIRST_START,
	STORE_PUT_QUARANTINE,
	STORE_DROP_QUARANTINE,
};

/** Which members count depends on the type. All are owned. */
struct store_op {
	enum store_op_type type;
	struct version *version;
	struct entry_key *entry;
	struct secret *bytes;
	char *text;			     /* version id, blob name, fact key, event */
	char *detail;			     /* of an audit record; may be NULL */
	int64_t number;			     /* the fact's value, or the event's time */
	struct store_quarantine *quarantine; /* its texts and keys are owned, too */
};

enum store_mail { STORE_MAIL_TX, STORE_MAIL_READ, STORE_MAIL_TASK, STORE_MAIL_TICK, STORE_MAIL_STOP, STORE_MAIL_CLOSE };
struct store_tx {
	struct mail mail; /* first: the transaction is its own message, both ways; type: enum store_mail */
	struct store_op *ops;
	size_t count, capacity;
	int64_t put_at_ms;	  /* wall, when it was handed over */
	struct fault *fault;	  /* why it was not committed; owned */
	struct store_usage usage; /* after its batch */
	void (*done)(void *arg, struct fault *f);
	void *arg;
};
#endif
