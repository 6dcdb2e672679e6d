/* What an operator brings: a bundle (first byte 0), a certificate with its key in one part (1), the same with the
 * password "opensesame" (2), certificate and key in two parts, the certificate's length in two bytes before them (3).
 * What is taken is normalised: written as PEM and read again it is the same, and it is what Envoy takes. */
#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/material.h"
#include "base/mem.h"
#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(struct fault *f)
{
	invariant(!f);
}

static void read_bundle(const uint8_t *data, size_t len)
{
	AUTO(anchors_unrefp) struct anchors *a = NULL, *again = NULL;
	struct buf pem = BUF_INIT;
	struct fault *f = material_read_anchors(&(struct material_part){data, len, "bundle"}, &a);
	if (f) {
		invariant(!a && fault_code(f) == FAULT_INVALID);
		fault_free(f);
		return;
	}
	must(gate_check_anchors(a));
	anchors_pem(a, &pem);
	must(anchors_from_pem(pem.data, pem.len, &again));
	invariant(anchors_equal(a, again));
	buf_free(&pem);
}

static void read_credential(struct material_part cert, struct material_part key, const char *password)
{
	AUTO(credential_unrefp) struct credential *c = NULL, *again = NULL;
	AUTO(secret_freep) struct secret *key_pem = NULL;
	struct buf chain = BUF_INIT;
	struct fault *f = material_read_credential(&cert, &key, password, &c);
	if (f) {
		invariant(!c && fault_code(f) == FAULT_INVALID);
		fault_free(f);
		return;
	}
	must(gate_check_credential(c));
	credential_chain_pem(c, &chain);
	must(credential_key_pem(c, &key_pem));
	must(credential_from_pem(chain.data, chain.len, key_pem, &again));
	invariant(strcmp(credential_info(c)->sha256, credential_info(again)->sha256) == 0);
	invariant(sk_X509_num(credential_chain(c)) == sk_X509_num(credential_chain(again)));
	buf_free(&chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct material_part none = {NULL, 0, "key"};
	if (len < 1)
		return 0;
	int mode = data[0] & 3;
	data++;
	len--;
	if (mode == 0)
		read_bundle(data, len);
	else if (mode < 3)
		read_credential((struct material_part){data, len, "cert"}, none, mode == 2 ? "opensesame" : NULL);
	else if (len >= 2) {
		size_t cert = (size_t)data[0] << 8 | data[1];
		cert = cert < len - 2 ? cert : len - 2;
		read_credential((struct material_part){data + 2, cert, "cert"},
			(struct material_part){data + 2 + cert, len - 2 - cert, "key"}, "opensesame");
	}
	return 0;
}
