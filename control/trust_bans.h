/* control/trust_bans.h - the anchors of one authority that an operator has removed for good: not trusted even while the
 * authority still shows them, until the ban is lifted. Kept in the store apart from the anchors (trust_record.h), so
 * that damage to those unbans nothing. Pure: not its duty to store it, nor to give orders (trust_banning.c).
 * Thread: control. All times are wall times in ms. */
#ifndef CONTROL_TRUST_BANS_H
#define CONTROL_TRUST_BANS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
struct anchors;
struct fault;
struct secret;
struct trust_bans;

/** Bans of one authority. */
enum { TRUST_BANS_MAX = 64 };
/** Hex digits of an anchor's SHA-256, and the fewest that name it. */
enum { TRUST_SHA256_HEX = 64, TRUST_SHA256_LEAST = 16 };

struct trust_ban {
	char *sha256; /* of the anchor's DER: lower-case hex; owned by the set, like the other texts */
	char *subject;
	char *by;
	int64_t at_ms;
};

struct trust_bans *trust_bans_new(void); /* of nothing */
void trust_bans_free(struct trust_bans *b);
/** What trust_bans_encode() wrote. CORRUPT: then nothing is known of what was banned. The caller owns *ret. */
MUST_USE struct fault *trust_bans_decode(const struct secret *bytes, struct trust_bans **ret);
MUST_USE struct fault *trust_bans_encode(const struct trust_bans *b, struct secret **ret);

/** INVALID: sha256 is no fingerprint; CONFLICT: it is banned already; EXHAUSTED: TRUST_BANS_MAX are. */
MUST_USE struct fault *trust_bans_add(
	struct trust_bans *b, const char *sha256, const char *subject, const char *by, int64_t at_ms);
/** False: it is not banned. */
bool trust_bans_lift(struct trust_bans *b, const char *sha256);
/** Borrowed until the next change, or NULL. */
const struct trust_ban *trust_bans_find(const struct trust_bans *b, const char *sha256);
size_t trust_bans_count(const struct trust_bans *b);
const struct trust_ban *trust_bans_at(const struct trust_bans *b, size_t i);
/** Of these those that are not banned, as a reference of the caller's; *ret NULL: none. */
MUST_USE struct fault *trust_bans_filter(const struct trust_bans *b, struct anchors *shown, struct anchors **ret);
#endif
