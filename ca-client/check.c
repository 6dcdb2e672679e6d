#include "ca-client/check.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/mem.h"
#include "base/text.h"

/* An authority may cut what was asked for to whole minutes, or count from a backdated notBefore: at most this, and at
 * most a tenth of the lifetime. */
#define LIFETIME_SLACK_MAX_MS (INT64_C(2) * MS_PER_MIN)

/* --- key --- */

static void describe_key(EVP_PKEY *key, char ret[2 * EVP_MAX_MD_SIZE + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	unsigned digest_len = 0;
	int len = key ? i2d_PUBKEY(key, &der) : -1;
	ret[0] = 0;
	if (len > 0 && EVP_Digest(der, (size_t)len, digest, &digest_len, EVP_sha256(), NULL) == 1)
		text_hex(digest, digest_len, ret);
	OPENSSL_free(der);
}

static struct fault *check_key(STACK_OF(X509) * chain, EVP_PKEY *ours)
{
	char want[2 * EVP_MAX_MD_SIZE + 1], got[2 * EVP_MAX_MD_SIZE + 1];
	for (int i = 0; i < sk_X509_num(chain); i++) {
		EVP_PKEY *theirs = X509_get0_pubkey(sk_X509_value(chain, i));
		if (theirs && EVP_PKEY_eq(theirs, ours) == 1)
			return NULL;
	}
	describe_key(ours, want);
	describe_key(X509_get0_pubkey(sk_X509_value(chain, 0)), got);
	ERR_clear_error();
	return fault_new(FAULT_CORRUPT,
		"it is for another public key: we sent the one with sha256 %s, the certificate has %s", want,
		*got ? got : "one that cannot be read");
}

/* --- names --- */

/* Those of a that b lacks. */
static struct san_set names_without(const struct san_set *a, const struct san_set *b)
{
	struct san_set left = {NULL, 0};
	for (size_t i = 0; i < a->count; i++)
		if (!san_set_contains(b, a->items[i].type, a->items[i].value))
			fault_ignore(san_set_add(&left, a->items[i].type, a->items[i].value), "it is a valid name");
	return left;
}

static struct fault *refuse_names(const struct san_set *expected, const struct san_set *found)
{
	struct san_set missing = names_without(expected, found), extra = names_without(found, expected);
	struct buf missing_text = BUF_INIT, extra_text = BUF_INIT;
	san_set_print(&missing, &missing_text);
	san_set_print(&extra, &extra_text);
	struct fault *f = fault_new(FAULT_CORRUPT,
		"its names are not those that were asked for: missing: %.600s; not asked for: %.600s",
		buf_text(&missing_text), buf_text(&extra_text));
	buf_free(&missing_text);
	buf_free(&extra_text);
	san_set_free(&missing);
	san_set_free(&extra);
	return f;
}

static struct fault *check_names(X509 *leaf, const struct san_set *expected)
{
	struct san_set found = {NULL, 0};
	TRY(san_set_from_cert(leaf, &found));
	struct fault *f = san_set_equal(&found, expected) ? NULL : refuse_names(expected, &found);
	san_set_free(&found);
	return f;
}

/* --- usages --- */

static void print_usage(uint32_t usage, struct buf *ret)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = {{KU_DIGITAL_SIGNATURE, "digitalSignature"}, {KU_NON_REPUDIATION, "nonRepudiation"},
		{KU_KEY_ENCIPHERMENT, "keyEncipherment"}, {KU_DATA_ENCIPHERMENT, "dataEncipherment"},
		{KU_KEY_AGREEMENT, "keyAgreement"}, {KU_KEY_CERT_SIGN, "keyCertSign"}, {KU_CRL_SIGN, "cRLSign"}};
	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (usage & bits[i].bit)
			buf_printf(ret, "%s%s", ret->len ? ", " : "", bits[i].name);
	if (!ret->len)
		buf_add_text(ret, "nothing");
}

static void print_extended(X509 *leaf, struct buf *ret)
{
	EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
	for (int i = 0; i < sk_ASN1_OBJECT_num(list) && i < 10; i++) {
		const ASN1_OBJECT *object = sk_ASN1_OBJECT_value(list, i);
		int nid = OBJ_obj2nid(object);
		char number[80] = "";
		if (nid == NID_undef)
			(void)OBJ_obj2txt(number, sizeof number, object, 1);
		buf_printf(ret, "%s%s", i ? ", " : "", nid == NID_undef ? number : OBJ_nid2sn(nid));
	}
	if (!ret->len)
		buf_add_text(ret, "nothing");
	EXTENDED_KEY_USAGE_free(list);
}

static struct fault *refuse_usage(const char *extension, const char *needed, struct buf *found)
{
	struct fault *f =
		fault_new(FAULT_CORRUPT, "its %s lacks %s: it allows %.300s", extension, needed, buf_text(found));
	buf_free(found);
	return f;
}

static struct fault *check_usages(X509 *leaf)
{
	uint32_t flags = X509_get_extension_flags(leaf), usage = X509_get_key_usage(leaf);
	uint32_t extended = X509_get_extended_key_usage(leaf); /* both: all bits where there is no extension */
	struct buf found = BUF_INIT;
	/* Whatever keyUsage says: other verifiers look at basicConstraints alone. */
	if (flags & EXFLAG_CA)
		return fault_new(FAULT_CORRUPT, "a leaf was asked for; this is a CA certificate (CA:TRUE)");
	if (!(usage & KU_DIGITAL_SIGNATURE)) {
		print_usage(usage, &found);
		return refuse_usage("keyUsage", "digitalSignature", &found);
	}
	if ((extended & XKU_ANYEKU) || ((extended & XKU_SSL_SERVER) && (extended & XKU_SSL_CLIENT)))
		return NULL;
	print_extended(leaf, &found);
	return refuse_usage("extendedKeyUsage", (extended & XKU_SSL_SERVER) ? "clientAuth" : "serverAuth", &found);
}

/* --- time --- */

static struct fault *check_served(const struct cert_info *i, const struct check_expectation *e)
{
	char end[32], served[32];
	int64_t slack = e->lifetime_ms / 10 < LIFETIME_SLACK_MAX_MS ? e->lifetime_ms / 10 : LIFETIME_SLACK_MAX_MS;
	int64_t asked = e->lifetime_ms ? e->now_ms + e->lifetime_ms - slack : INT64_MAX;
	if (!e->served_not_after_ms || i->not_after_ms >= e->served_not_after_ms || i->not_after_ms >= asked)
		return NULL;
	clock_format(i->not_after_ms, end, sizeof end);
	clock_format(e->served_not_after_ms, served, sizeof served);
	return fault_new(FAULT_CORRUPT,
		"it ends at %s: sooner than what is served now (%s), and sooner than was asked for", end, served);
}

static struct fault *check_validity(const struct cert_info *i, const struct check_expectation *e)
{
	char from[32], to[32], now[32];
	clock_format(i->not_before_ms, from, sizeof from);
	clock_format(i->not_after_ms, to, sizeof to);
	clock_format(e->now_ms, now, sizeof now);
	if (i->not_after_ms <= i->not_before_ms)
		return fault_new(FAULT_CORRUPT, "it ends at %s, before it begins (%s)", to, from);
	if (i->not_before_ms - e->clock_skew_ms > e->now_ms)
		return fault_new(FAULT_CORRUPT,
			"it begins at %s, and it is %s here: the authority's clock or ours is wrong", from, now);
	if (i->not_after_ms <= e->now_ms)
		return fault_new(FAULT_CORRUPT,
			"it ended at %s, and it is %s here: the authority's clock or ours is wrong", to, now);
	return check_served(i, e);
}

/* --- chain --- */

static struct fault *check_chain(const struct credential *c, const struct anchors *anchors, int64_t now_ms)
{
	static const int purposes[] = {X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT};
	const struct cert_info *leaf = credential_info(c);
	if (!anchors)
		return fault_new(FAULT_CORRUPT, "no anchor of this authority is known");
	/* A leaf from a clock slightly ahead is verified at its own beginning: skew was judged before. */
	int64_t at = leaf->not_before_ms > now_ms ? leaf->not_before_ms : now_ms;
	for (size_t i = 0; i < ARRAY_LEN(purposes); i++) {
		AUTO(fault_freep) struct fault *f = anchors_verify(anchors, credential_chain(c), purposes[i], at);
		if (f)
			return fault_new(FAULT_CORRUPT,
				"it does not lead to one of the %zu anchors of this authority (\"%.200s\"%s): %s",
				anchors_count(anchors), anchors_info(anchors, 0)->subject,
				anchors_count(anchors) > 1 ? ", ..." : "", fault_text(f));
	}
	return NULL;
}

/* --- the whole --- */

static struct fault *check(const struct ca_answer *a, const struct check_expectation *e, struct credential **ret)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	if (!a->chain || sk_X509_num(a->chain) == 0)
		return fault_new(FAULT_CORRUPT, "there is no certificate in it");
	TRY(check_key(a->chain, e->key));
	TRY(credential_new(a->chain, e->key, &c));
	TRY(check_names(credential_leaf(c), e->sans));
	TRY(check_usages(credential_leaf(c)));
	TRY(check_validity(credential_info(c), e));
	TRY(check_chain(c, e->anchors ? e->anchors : a->anchors, e->now_ms));
	TRY(gate_check_credential(c));
	*ret = TAKE(c);
	return NULL;
}

/* The fingerprint finds the certificate in the authority's own records. */
static struct fault *reject(const struct ca_answer *a, const char *reason)
{
	struct cert_info i;
	X509 *first = a->chain ? sk_X509_value(a->chain, 0) : NULL;
	struct fault *f = first ? cert_info_read(first, &i) : NULL;
	if (!first || f) {
		fault_ignore(f, "it has no fingerprint then");
		return fault_new(FAULT_CORRUPT, "rejected answer: %s", reason);
	}
	f = fault_new(
		FAULT_CORRUPT, "rejected answer (certificate sha256 %s, serial %.64s): %s", i.sha256, i.serial, reason);
	cert_info_free(&i);
	return f;
}

struct fault *check_answer(const struct ca_answer *a, const struct check_expectation *e, struct credential **ret)
{
	AUTO(fault_freep) struct fault *f = check(a, e, ret);
	if (!f)
		return NULL;
	return fault_code(f) == FAULT_EXHAUSTED ? TAKE(f) : reject(a, fault_text(f));
}
