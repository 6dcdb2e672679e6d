/* cache/description.h - what the certificates of a version say, as values: read from them once, stored beside them, so
 * that a restart parses no certificate. Pure. */
#ifndef CACHE_DESCRIPTION_H
#define CACHE_DESCRIPTION_H
#include <stddef.h>
#include "base/cert_info.h"
struct anchors;
struct buf;
struct credential;

/** Values only; description_free() releases. */
struct description {
	struct cert_info *certs; /* the chain, leaf first; or every anchor */
	size_t count;
};

/** INVALID: an issuer whose validity cannot be read. *ret is to be released all the same. */
MUST_USE struct fault *description_of_credential(const struct credential *c, struct description *ret);
void description_of_anchors(const struct anchors *a, struct description *ret);
void description_copy(const struct description *from, struct description *ret);
/** Are these its certificates, each by its SHA-256, in the same order? */
bool description_is_of(const struct description *d, const struct anchors *a);
/** The latest notBefore and the earliest notAfter of all. Wall, ms. */
int64_t description_not_before_ms(const struct description *d);
int64_t description_not_after_ms(const struct description *d);
/** Canonical bytes, appended. */
void description_write(const struct description *d, struct buf *ret);
/** From such bytes. CORRUPT: they are none. */
MUST_USE struct fault *description_read(const void *bytes, size_t len, struct description *ret);
void description_free(struct description *d);
#endif
