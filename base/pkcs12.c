#include "base/pkcs12.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/pkcs8.h"

/* One file being read. */
struct reading {
	const char *password; /* NULL: the file was sealed without one, which is not the same as with "" */
	long rounds_left;
	int certs_left;
	STACK_OF(X509) * certs;
	EVP_PKEY *key;
};

static int password_len(const char *password)
{
	return password ? (int)strlen(password) : 0;
}

/* A file's MAC says whether the password is right before anything is opened with it. */
static struct fault *check_mac(PKCS12 *p12, struct reading *r)
{
	const ASN1_INTEGER *iterations = NULL;
	int64_t rounds = 1;
	bool asked_for = r->password != NULL;
	if (!PKCS12_mac_present(p12))
		return NULL;
	PKCS12_get0_mac(NULL, NULL, NULL, &iterations, p12);
	if (iterations && (ASN1_INTEGER_get_int64(&rounds, iterations) != 1 || rounds < 1))
		return fault_openssl(FAULT_INVALID, "the PKCS#12 file's iterations make no sense");
	if (rounds > r->rounds_left / 2)
		return fault_new(
			FAULT_INVALID, "the PKCS#12 file asks for too much work (%lld rounds)", (long long)rounds);
	r->rounds_left -= 2 * (long)rounds; /* it may be tried twice */
	if (PKCS12_verify_mac(p12, r->password, password_len(r->password)) == 1)
		return NULL;
	if (!asked_for) {
		r->password = "";
		if (PKCS12_verify_mac(p12, r->password, 0) == 1)
			return NULL;
	}
	ERR_clear_error();
	return fault_new(FAULT_INVALID, asked_for ? "the password does not open the PKCS#12 file"
						  : "the PKCS#12 file is encrypted, and no password was given");
}

static struct fault *take_key(struct reading *r, EVP_PKEY *key)
{
	if (r->key) {
		EVP_PKEY_free(key);
		return fault_new(FAULT_INVALID, "the PKCS#12 file holds more than one private key");
	}
	r->key = key;
	return NULL;
}

static struct fault *take_plain_key(struct reading *r, const PKCS8_PRIV_KEY_INFO *info)
{
	EVP_PKEY *key = EVP_PKCS82PKEY(info);
	return key ? take_key(r, key)
		   : fault_openssl(FAULT_INVALID, "the PKCS#12 file's private key is of a kind that is not supported");
}

static struct fault *take_sealed_key(struct reading *r, const X509_SIG *sealed)
{
	EVP_PKEY *key = NULL;
	TRY(pkcs8_open(sealed, r->password ? r->password : "", &r->rounds_left, &key));
	return take_key(r, key);
}

static struct fault *take_cert(struct reading *r, const PKCS12_SAFEBAG *bag)
{
	if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
		return NULL;
	if (r->certs_left-- == 0)
		return fault_new(FAULT_INVALID, "too many certificates in the PKCS#12 file");
	X509 *cert = PKCS12_SAFEBAG_get1_cert(bag);
	if (!cert)
		return fault_openssl(FAULT_INVALID, "a certificate of the PKCS#12 file cannot be read");
	invariant(sk_X509_push(r->certs, cert) > 0);
	return NULL;
}

static struct fault *take_bag(struct reading *r, const PKCS12_SAFEBAG *bag)
{
	switch (PKCS12_SAFEBAG_get_nid(bag)) {
	case NID_keyBag:
		return take_plain_key(r, PKCS12_SAFEBAG_get0_p8inf(bag));
	case NID_pkcs8ShroudedKeyBag:
		return take_sealed_key(r, PKCS12_SAFEBAG_get0_pkcs8(bag));
	case NID_certBag:
		return take_cert(r, bag);
	case NID_safeContentsBag:
		return fault_new(FAULT_INVALID, "a PKCS#12 file with nested contents"); /* no recursion over input */
	default:									/* CRLs, secrets: not ours */
		return NULL;
	}
}

static struct fault *open_sealed_bags(struct reading *r, const PKCS7 *part, STACK_OF(PKCS12_SAFEBAG) * *ret)
{
	if (!part->d.encrypted || !part->d.encrypted->enc_data || !part->d.encrypted->enc_data->algorithm)
		return fault_new(FAULT_INVALID, "the PKCS#12 file cannot be read");
	TRY(pkcs8_spend(part->d.encrypted->enc_data->algorithm, &r->rounds_left));
	ERR_clear_error();
	*ret = PKCS12_unpack_p7encdata((PKCS7 *)(uintptr_t)part, r->password, password_len(r->password));
	if (*ret)
		return NULL;
	bool too_old = false;
	for (unsigned long e; (e = ERR_get_error());)
		too_old = too_old || ERR_GET_REASON(e) == ERR_R_UNSUPPORTED;
	return too_old ? fault_new(FAULT_INVALID, "the PKCS#12 file's encryption (RC2 or DES) is too old; export it "
						  "again, or convert it with \"openssl pkcs12 -legacy\"")
		       : fault_new(FAULT_INVALID, "the password does not open the PKCS#12 file");
}

static struct fault *take_part(struct reading *r, const PKCS7 *part)
{
	STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	struct fault *f = NULL;
	switch (OBJ_obj2nid(part->type)) {
	case NID_pkcs7_data:
		bags = PKCS12_unpack_p7data((PKCS7 *)(uintptr_t)part);
		if (!bags)
			f = fault_openssl(FAULT_INVALID, "the PKCS#12 file cannot be read");
		break;
	case NID_pkcs7_encrypted:
		f = open_sealed_bags(r, part, &bags);
		break;
	default:
		f = fault_new(FAULT_INVALID, "a part of the PKCS#12 file is sealed in a way that is not supported");
	}
	for (int i = 0; !f && i < sk_PKCS12_SAFEBAG_num(bags); i++)
		f = take_bag(r, sk_PKCS12_SAFEBAG_value(bags, i));
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	return f;
}

static struct fault *take_parts(struct reading *r, const PKCS12 *p12)
{
	STACK_OF(PKCS7) *parts = PKCS12_unpack_authsafes(p12);
	struct fault *f = parts ? NULL : fault_openssl(FAULT_INVALID, "the PKCS#12 file cannot be read");
	for (int i = 0; !f && i < sk_PKCS7_num(parts); i++)
		f = take_part(r, sk_PKCS7_value(parts, i));
	sk_PKCS7_pop_free(parts, PKCS7_free);
	if (!f && !r->key)
		f = fault_new(FAULT_INVALID, "the PKCS#12 file holds no private key");
	return f;
}

PKCS12 *pkcs12_decode(const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	PKCS12 *p12 = len <= INT_MAX ? d2i_PKCS12(NULL, &at, (long)len) : NULL;
	ERR_clear_error();
	return p12;
}

struct fault *pkcs12_open(
	const PKCS12 *p12, const char *password, int max, STACK_OF(X509) * ret_certs, EVP_PKEY **ret_key)
{
	struct reading r = {
		.password = password, .rounds_left = PKCS8_ROUNDS_MAX, .certs_left = max, .certs = ret_certs};
	TRY(check_mac((PKCS12 *)(uintptr_t)p12, &r));
	struct fault *f = take_parts(&r, p12);
	ERR_clear_error();
	if (f) {
		EVP_PKEY_free(r.key);
		return f;
	}
	*ret_key = r.key;
	return NULL;
}
