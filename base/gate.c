#include "base/gate.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"

static struct fault *check_rsa(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	return bits >= 2048 ? NULL : fault_new(FAULT_INVALID, "an RSA key of %d bits; Envoy takes 2048 and more", bits);
}

static struct fault *check_ec(const struct cert_info *i, EVP_PKEY *key)
{
	static const char *const curves[] = {"ecdsa-p256", "ecdsa-p384", "ecdsa-p521"};
	int written_out = 0;
	bool known = false;
	for (size_t k = 0; k < ARRAY_LEN(curves); k++)
		known = known || strcmp(i->key, curves[k]) == 0;
	if (!known)
		return fault_new(FAULT_INVALID, "an %s key; Envoy takes the curves P-256, P-384 and P-521", i->key);
	if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &written_out) == 1 &&
		written_out)
		return fault_new(
			FAULT_INVALID, "the key's curve is written out as parameters; Envoy takes named curves");
	return NULL;
}

/* Envoy common/tls/context_impl.cc: RSA from 2048 bits, EC on P-256, P-384 and P-521 (the latter two since 1.33). It
 * loads Ed25519, but no Envoy listener accepts it of a client and no Envoy client reaches a server that has it. */
static struct fault *check_key(const struct cert_info *i, EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return check_rsa(key);
	case EVP_PKEY_EC:
		return check_ec(i, key);
	default:
		return fault_new(FAULT_INVALID,
			"an %s key; Envoy takes ECDSA on P-256, P-384 or P-521, and plain RSA from 2048 bits", i->key);
	}
}

static bool has_names(X509 *leaf)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(leaf);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	bool yes = sk_GENERAL_NAME_num(names) > 0 ||
		   (at >= 0 && ASN1_STRING_length(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) > 0);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return yes;
}

/* BoringSSL refuses the leaf while loading it, or the peer while verifying it. */
static struct fault *check_extensions(X509 *cert)
{
	if (X509_get_extension_flags(cert) & EXFLAG_INVALID)
		return fault_new(FAULT_INVALID, "a certificate with an extension that cannot be read");
	return NULL;
}

static struct fault *check_usage(X509 *leaf, EVP_PKEY *key)
{
	uint32_t usage = X509_get_key_usage(leaf); /* all bits set when there is no extension */
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && !(usage & KU_DIGITAL_SIGNATURE))
		return fault_new(FAULT_INVALID,
			"the leaf's keyUsage lacks digitalSignature: Envoy refuses EC certificates without it");
	if (!(usage & (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT)))
		return fault_new(FAULT_INVALID, "the leaf's keyUsage allows neither digitalSignature nor "
						"keyEncipherment: no handshake can use it");
	if (!(X509_get_extended_key_usage(leaf) & (XKU_SSL_SERVER | XKU_SSL_CLIENT | XKU_ANYEKU)))
		return fault_new(FAULT_INVALID,
			"the leaf's extendedKeyUsage allows neither serverAuth nor clientAuth: no TLS peer accepts it");
	return NULL;
}

/* Envoy would serve a CA as a leaf; but whoever holds its key, such as each proxy that gets it, can sign for any name.
 */
static struct fault *check_not_ca(X509 *leaf)
{
	uint32_t flags = X509_get_extension_flags(leaf);
	bool may_sign = (flags & EXFLAG_KUSAGE) && (X509_get_key_usage(leaf) & KU_KEY_CERT_SIGN);
	if (!(flags & EXFLAG_CA) || (!may_sign && X509_self_signed(leaf, 0) == 1))
		return NULL;
	return fault_new(FAULT_INVALID, "the leaf is a CA certificate (CA:TRUE): its private key could sign for any "
					"name, so it is not given to a proxy");
}

struct fault *gate_check_credential(const struct credential *c)
{
	X509 *leaf = credential_leaf(c);
	EVP_PKEY *key = credential_public_key(c);
	STACK_OF(X509) *chain = credential_chain(c);
	TRY(check_key(credential_info(c), key));
	if (!has_names(leaf))
		return fault_new(FAULT_INVALID,
			"the leaf has neither a common name nor a subject alternative name: Envoy refuses it");
	for (int i = 0; i < sk_X509_num(chain); i++)
		TRY(check_extensions(sk_X509_value(chain, i)));
	TRY(check_usage(leaf, key));
	TRY(check_not_ca(leaf));
	/* RFC 7633: the leaf demands a stapled OCSP response. */
	if (X509_get_ext_by_NID(leaf, NID_tlsfeature, -1) >= 0)
		return fault_new(FAULT_INVALID,
			"the leaf demands an OCSP staple (must-staple), and there is none: Envoy refuses it");
	return NULL;
}

struct fault *gate_check_for(const struct cert_info *leaf, const char *user_agent, uint32_t major, uint32_t minor)
{
	static const uint32_t curves_since_minor = 33;
	const char *key = leaf->key;
	bool old = strcmp(user_agent, "envoy") == 0 && major == 1 && minor < curves_since_minor;
	if (!old || strncmp(key, "ecdsa-", 6) != 0 || strcmp(key, "ecdsa-p256") == 0)
		return NULL;
	return fault_new(FAULT_INVALID, "an %s key; Envoy 1.%u takes no curve but P-256", key, (unsigned)minor);
}

struct fault *gate_check_anchors(const struct anchors *a)
{
	/* anchors_new() refuses what is no anchor, and what is too large to be sent in a handshake. */
	return anchors_count(a) ? NULL : fault_new(FAULT_INVALID, "an empty bundle would make Envoy verify nobody");
}
