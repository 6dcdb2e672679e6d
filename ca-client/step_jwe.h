/* ca-client/step_jwe.h - keys that `step` wrote under a password: JWE (RFC 7516) with PBES2-HS256+A128KW (RFC 7518,
 * 4.8) and AES-GCM, compact or as flattened JSON. Not its duty: what is inside. Pure CPU work, of up to about a second:
 * in a job. Thread: any. */
#ifndef CA_CLIENT_STEP_JWE_H
#define CA_CLIENT_STEP_JWE_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
struct buf;
struct fault;

/** Most rounds that a file may ask for: each costs us work before we know whether the password is right. */
#define STEP_JWE_ROUNDS_MAX 2000000

/** Does it look like one? Says nothing about whether it can be opened. */
bool step_jwe_is(const char *text, size_t len);
/** What it holds, appended to ret, which is a wiping buffer. password: NULL: there is none. INVALID says what is wrong:
 * no JWE, an algorithm that is not known, too many rounds, another password, changed bytes. */
MUST_USE struct fault *step_jwe_open(const char *text, size_t len, const char *password, struct buf *ret);
#endif
