/* cache/body.h - a version's content as Envoy reads it: the bytes of Secret's oneof field
 * (envoy.extensions.transport_sockets. tls.v3), tag and length included, so that a response is a small head before a
 * shared body. Pure. */
#ifndef CACHE_BODY_H
#define CACHE_BODY_H
#include <stddef.h>
#include "base/attr.h"
struct fault;
struct secret;

/** A PEM's place in a body. */
struct body_part {
	size_t at, len;
};
/** tls_certificate (2) { certificate_chain (1) { inline_bytes (2) }, private_key (2) { inline_bytes (2) } }. The caller
 * owns *ret. */
MUST_USE struct fault *body_encode_certificate(const void *chain, size_t chain_len, const struct secret *key,
	struct body_part *ret_chain, struct body_part *ret_key, struct secret **ret);
/** validation_context (4) { trusted_ca (1) { inline_bytes (2) } }. The caller owns *ret. */
MUST_USE struct fault *body_encode_bundle(
	const void *pem, size_t pem_len, struct body_part *ret_pem, struct secret **ret);
#endif
