/* base/gate.h - would Envoy take this, and take it safely? The rows of Envoy's own rules that lead to a NACK, to a
 * broken handshake or to an open door. Pure; every version passes it before it is stored or sent. Expired, not yet
 * valid, client-only: Envoy serves them, so they pass (the caller warns). */
#ifndef BASE_GATE_H
#define BASE_GATE_H
#include "base/attr.h"
struct anchors;
struct credential;
struct fault;

/** INVALID with the rule that failed: leaf without CN and SAN, RSA below 2048 bits, a curve other than P-256/384/521,
 *  Ed25519 clients refused by listeners, EC leaf whose keyUsage lacks digitalSignature, must-staple without a staple,
 * ... */
MUST_USE struct fault *gate_check_credential(const struct credential *c);
MUST_USE struct fault *gate_check_anchors(const struct anchors *a);
#endif
