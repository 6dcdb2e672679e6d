#include "base/gate.h"
#include <openssl/x509v3.h>
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"

/* Envoy common/tls/context_impl.cc: RSA from 2048 bits, EC on P-256, P-384 and P-521 (the latter two since 1.33).
 * Ed25519 is taken too, but no Envoy listener accepts it of a client and no Envoy client with default parameters
 * reaches it. */
static struct fault *check_key(const struct cert_info *i, EVP_PKEY *key)
{
	int type = EVP_PKEY_get_base_id(key);
	if (type == EVP_PKEY_RSA) {
		if (EVP_PKEY_get_bits(key) < 2048)
			return fault_new(FAULT_INVALID, "an RSA key of %d bits; Envoy takes 2048 and more",
				EVP_PKEY_get_bits(key));
		return NULL;
	}
	if (strcmp(i->key, "ecdsa-p256") == 0 || strcmp(i->key, "ecdsa-p384") == 0 || strcmp(i->key, "ecdsa-p521") == 0)
		return NULL;
	return fault_new(
		FAULT_INVALID, "a %s key; Envoy takes ECDSA on P-256, P-384 or P-521, and RSA from 2048 bits", i->key);
}

static bool has_common_name(X509 *leaf)
{
	return X509_NAME_get_index_by_NID(X509_get_subject_name(leaf), NID_commonName, -1) >= 0;
}

/* RFC 7633: a leaf that demands a stapled OCSP response; Envoy refuses it without one. */
static bool is_must_staple(X509 *leaf)
{
	return X509_get_ext_by_NID(leaf, NID_tlsfeature, -1) >= 0;
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
	return NULL;
}

struct fault *gate_check_credential(const struct credential *c)
{
	X509 *leaf = credential_leaf(c);
	const struct cert_info *i = credential_info(c);
	if (X509_check_ca(leaf) == 1 && X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1 &&
		X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1)
		return fault_new(FAULT_INVALID, "the leaf is a CA certificate that no TLS peer accepts");
	TRY(check_key(i, credential_key(c)));
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	bool named = has_common_name(leaf) || (names && sk_GENERAL_NAME_num(names) > 0);
	GENERAL_NAMES_free(names);
	if (!named)
		return fault_new(FAULT_INVALID,
			"the leaf has neither a common name nor a subject alternative name: Envoy refuses it");
	TRY(check_usage(leaf, credential_key(c)));
	if (is_must_staple(leaf))
		return fault_new(FAULT_INVALID,
			"the leaf demands an OCSP staple (must-staple), and there is none: Envoy refuses it");
	return NULL;
}

struct fault *gate_check_anchors(const struct anchors *a)
{
	/* anchors_new() refuses what is empty, no CA, or too large to be sent. */
	return anchors_count(a) ? NULL : fault_new(FAULT_INVALID, "an empty bundle would make Envoy verify nobody");
}
