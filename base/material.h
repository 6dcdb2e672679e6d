/* base/material.h - what an operator brings, in any of the usual wrappings: PEM (keys also encrypted), DER, PKCS#12,
 * told apart by content. Everything is bounded and checked here; the result is normalised (credential.h, anchors.h).
 * Blocking CPU work (PKCS#12, PBKDF2): in a job. */
#ifndef BASE_MATERIAL_H
#define BASE_MATERIAL_H
#include <stddef.h>
#include "base/attr.h"
struct anchors;
struct credential;
struct fault;

/** Largest input, in bytes. */
#define MATERIAL_MAX ((size_t)1024 * 1024)

struct material_part {
	const void *bytes; /* borrowed; NULL when not given */
	size_t len;
	const char *label; /* for messages, such as the file's name */
};

/** cert holds the chain (or a PKCS#12 with everything, then key is empty); password: NULL or the text that opens key or
 *  PKCS#12. Faults are INVALID and say which part was wrong, and what would be right. */
MUST_USE struct fault *material_read_credential(const struct material_part *cert, const struct material_part *key,
	const char *password, struct credential **ret);
MUST_USE struct fault *material_read_anchors(const struct material_part *bundle, struct anchors **ret);
#endif
