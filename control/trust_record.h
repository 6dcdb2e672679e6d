/* control/trust_record.h - the anchors of one authority with their history: those that it shows now, and earlier ones
 * that verifiers must go on holding for a while. Kept in the store, so that trust is known while the authority is down.
 * Pure: not its duty to store it, nor to decide who holds what. Thread: control. All times are wall times in ms. */
#ifndef CONTROL_TRUST_RECORD_H
#define CONTROL_TRUST_RECORD_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
struct anchors;
struct cert_info;
struct description;
struct fault;
struct secret;
struct trust_record;

/** Earlier anchors that are kept; beyond that the one that went first is dropped. */
enum { TRUST_EARLIER_MAX = 32 };
/** Nodes that may be passed over by name, of one anchor. */
enum { TRUST_PASSED_MAX = 256 };

/* A node that an operator waits for no longer: it need not hold the anchor. */
struct trust_passed {
	char *node, *identity; /* as struct trust_verifier has them, escaped */
	char *by;
	int64_t at_ms;
};

struct trust_anchor {
	X509 *cert;		      /* owned by the record */
	const struct cert_info *info; /* likewise */
	const char *sha256;	      /* likewise */
	const char *subject;	      /* likewise */
	int64_t since_ms;	      /* first shown by the authority */
	int64_t ready_ms;	      /* since when every verifier holds it (trust_hold.h); 0: not known to */
	int64_t gone_ms;	      /* the authority shows it no more; 0: it does */
	int64_t used_ms;	      /* when a leaf under it was last seen being served; 0: never */
	int64_t life_ms;	      /* the longest life of a leaf under it */
	struct trust_passed *passed;  /* owned by the record */
	size_t passed_count;
};

struct trust_record *trust_record_new(void); /* without an anchor */
void trust_record_free(struct trust_record *r);
/** What trust_record_encode() wrote. CORRUPT. The caller owns *ret. */
MUST_USE struct fault *trust_record_decode(const struct secret *bytes, struct trust_record **ret);
MUST_USE struct fault *trust_record_encode(const struct trust_record *r, struct secret **ret);

/** The authority shows these now (NULL: none that may be taken): new ones are added, missing ones are gone from now on.
 * *ret_changed: something is different. INVALID: the whole, earlier ones included, passes a limit of base/anchors.h;
 * then nothing changed. */
MUST_USE struct fault *trust_record_show(
	struct trust_record *r, const struct anchors *shown, int64_t now_ms, bool *ret_changed);
/** Drop what is gone and was neither shown nor used for as long as the longest life of a leaf (leaf_life_ms at the
 * least). True: something was. */
bool trust_record_sweep(struct trust_record *r, int64_t leaf_life_ms, int64_t now_ms);

/** Drop this one, used or not, where it is gone (shown_too: or not). False: it is not there, or is shown. */
bool trust_record_drop(struct trust_record *r, const char *sha256, bool shown_too);
/** Wait no longer for this node. False: TRUST_PASSED_MAX are passed over already. */
bool trust_anchor_pass(struct trust_anchor *a, const char *node, const char *identity, const char *by, int64_t now_ms);
/** Who passed it over and when, or NULL. Borrowed. */
const struct trust_passed *trust_anchor_passed(const struct trust_anchor *a, const char *node, const char *identity);
/** All of them; borrowed until the next change; NULL: none. */
struct anchors *trust_record_anchors(const struct trust_record *r);
/** Those that every verifier is known to hold, as a reference of the caller's; NULL: none. */
struct anchors *trust_record_ready_anchors(const struct trust_record *r);
size_t trust_record_count(const struct trust_record *r);
/** Valid until the next change; its times may be set. */
struct trust_anchor *trust_record_at(struct trust_record *r, size_t i);
/** Is this chain one that ends in the anchor, by key identifiers, or names where one has none? Signatures were verified
 * when the chain was received. */
bool trust_leads_to(const struct description *chain, const struct trust_anchor *anchor);
#endif
