/* base/audit_chain.h - the arithmetic of the audit trail: each record's hash covers the record before, so that a record
 * that was changed, removed, moved or added shows. Pure. Not its duty: where records are kept, what is recorded.
 * Thread: any.
 * A record's hash is the SHA-256 of this text, without a newline at the end:
 *   hash of the record before (64 hex digits; zeros before the first) \n seq \n time (ms since 1970) \n event \n detail
 */
#ifndef BASE_AUDIT_CHAIN_H
#define BASE_AUDIT_CHAIN_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
struct fault;

enum { AUDIT_HASH_LEN = 32, AUDIT_HASH_HEX = 65 };
struct audit_hash {
	unsigned char bytes[AUDIT_HASH_LEN];
};

struct audit_record {
	int64_t seq; /* from 1, without gaps */
	int64_t at_ms;
	const char *event;  /* a stable name */
	const char *detail; /* compact JSON with sorted keys; NULL: none */
	struct audit_hash hash;
};

/** Both ends of what is kept. It is sealed where it is stored: whoever can change the records cannot change it. */
struct audit_head {
	int64_t base_seq; /* the last one that has left; 0: none has */
	struct audit_hash base_hash;
	int64_t seq; /* the newest; base_seq: there is none */
	struct audit_hash hash;
	int64_t broken_at; /* a start found another end than this head's, and began a new chain after it; 0: never */
};

/** The hash of r, whose own is not read, after a record with this one. */
struct audit_hash audit_chain_next(const struct audit_hash *before, const struct audit_record *r);
bool audit_hash_equal(const struct audit_hash *a, const struct audit_hash *b);
void audit_hash_hex(const struct audit_hash *h, char ret[AUDIT_HASH_HEX]);
/** False: these are not 64 hex digits. */
bool audit_hash_parse(const char *hex, struct audit_hash *ret);

/** Going through a trail, oldest first. */
struct audit_check {
	struct audit_head head;
	int64_t seq; /* of the last one that held */
	struct audit_hash hash;
};
void audit_check_begin(struct audit_check *c, const struct audit_head *head);
/** CORRUPT names the first record that does not fit. Records from before the base are passed over. */
MUST_USE struct fault *audit_check_record(struct audit_check *c, const struct audit_record *r);
/** After the last one. CORRUPT: records are missing at the end, or a start once found the chain broken. */
MUST_USE struct fault *audit_check_end(const struct audit_check *c);
#endif
