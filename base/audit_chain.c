#include "base/audit_chain.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"

struct audit_hash audit_chain_next(const struct audit_hash *before, const struct audit_record *r)
{
	struct audit_hash hash;
	struct buf text = BUF_INIT;
	char hex[AUDIT_HASH_HEX];
	audit_hash_hex(before, hex);
	buf_printf(&text, "%s\n%" PRId64 "\n%" PRId64 "\n%s\n%s", hex, r->seq, r->at_ms, r->event,
		r->detail ? r->detail : "");
	invariant(EVP_Digest(text.data, text.len, hash.bytes, NULL, EVP_sha256(), NULL) == 1);
	buf_free(&text);
	return hash;
}

bool audit_hash_equal(const struct audit_hash *a, const struct audit_hash *b)
{
	return CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void audit_hash_hex(const struct audit_hash *h, char ret[AUDIT_HASH_HEX])
{
	text_hex(h->bytes, sizeof h->bytes, ret);
}

bool audit_hash_parse(const char *hex, struct audit_hash *ret)
{
	size_t len;
	if (strlen(hex) != AUDIT_HASH_HEX - 1)
		return false;
	if (strspn(hex, "0123456789abcdef") != AUDIT_HASH_HEX - 1)
		return false;
	return OPENSSL_hexstr2buf_ex(ret->bytes, sizeof ret->bytes, &len, hex, '\0') == 1;
}

void audit_check_begin(struct audit_check *c, const struct audit_head *head)
{
	*c = (struct audit_check){*head, head->base_seq, head->base_hash};
}

struct fault *audit_check_record(struct audit_check *c, const struct audit_record *r)
{
	if (r->seq <= c->head.base_seq)
		return NULL;
	if (r->seq != c->seq + 1)
		return fault_new(FAULT_CORRUPT,
			"record %" PRId64 " follows record %" PRId64 ": records are missing or moved", r->seq, c->seq);
	struct audit_hash expected = audit_chain_next(&c->hash, r);
	if (!audit_hash_equal(&expected, &r->hash))
		return fault_new(FAULT_CORRUPT, "record %" PRId64 " was changed, or the one before it was", r->seq);
	c->seq = r->seq;
	c->hash = r->hash;
	return NULL;
}

struct fault *audit_check_end(const struct audit_check *c)
{
	if (c->seq < c->head.seq)
		return fault_new(FAULT_CORRUPT,
			"the trail ends with record %" PRId64 ", and %" PRId64 " was written: %" PRIu64
			" are missing at the end",
			c->seq, c->head.seq, (uint64_t)c->head.seq - (uint64_t)c->seq);
	if (c->seq > c->head.seq || !audit_hash_equal(&c->hash, &c->head.hash))
		return fault_new(FAULT_CORRUPT, "record %" PRId64 " is not the one that was written last (%" PRId64 ")",
			c->seq, c->head.seq);
	if (c->head.broken_at)
		return fault_new(FAULT_CORRUPT,
			"it holds since record %" PRId64 "; a start found that record %" PRId64
			" was not followed as it was written",
			c->head.base_seq, c->head.broken_at);
	return NULL;
}
