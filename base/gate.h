/* base/gate.h - would Envoy take this, and take it safely? The rows of Envoy's own rules that lead to a NACK, to a
 * broken handshake or to an open door, as seen with Envoy 1.36 to 1.40. Pure; every version passes it before it is
 * stored or sent. Expired, not yet valid, client-only: Envoy serves them, so they pass (the caller warns). Thread: any.
 */
#ifndef BASE_GATE_H
#define BASE_GATE_H
#include <stdint.h>
#include "base/attr.h"
struct anchors;
struct cert_info;
struct credential;
struct fault;

/** INVALID with the rule that failed: leaf without common name and SAN; RSA below 2048 bits; RSA-PSS keys; a curve
 * other than P-256/384/521, or one written out instead of named; Ed25519 (no Envoy accepts it of a peer); a keyUsage
 * without digitalSignature on an EC leaf; an extendedKeyUsage without serverAuth and clientAuth; extensions that cannot
 * be read; must-staple without a staple; a CA certificate, unless it is a self-signed one without keyCertSign (what
 * "openssl req -x509" writes). */
MUST_USE struct fault *gate_check_credential(const struct credential *c);
/** INVALID where this client, by its own word (node.user_agent_name and user_agent_build_version), is an Envoy too old
 * for a leaf that passed: curves other than P-256, which Envoy has had since 1.33. 0.0: it does not say, and is offered
 * everything. Pure and cheap: it is asked at each offer. */
MUST_USE struct fault *gate_check_for(
	const struct cert_info *leaf, const char *user_agent, uint32_t major, uint32_t minor);
/** INVALID: a bundle of nothing, which Envoy would apply as "verify nobody"; see anchors.h for the rest. */
MUST_USE struct fault *gate_check_anchors(const struct anchors *a);
#endif
