/* base/san.h - a set of subject alternative names: typed, validated, sorted, without duplicates. Values, no I/O. */
#ifndef BASE_SAN_H
#define BASE_SAN_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
struct buf;
struct fault;

enum san_type { SAN_DNS, SAN_URI, SAN_IP, SAN_EMAIL };
struct san {
	enum san_type type;
	char *value; /* DNS and the host of an e-mail in lower case; IP as inet_ntop prints it */
};
struct san_set {
	struct san *items; /* sorted by type, then bytes */
	size_t count;
};
/** Most names in one set. */
#define SAN_MAX 100

/** Check and add one; a duplicate is no fault. INVALID says what a valid value looks like (DNS: labels, the last one
 * not all digits, one leading "*." allowed, 253 bytes; URI: scheme and no spaces, 2,048 bytes; IP: v4 or v6 literal;
 *  e-mail: local@domain); EXHAUSTED past SAN_MAX. */
MUST_USE struct fault *san_set_add(struct san_set *s, enum san_type type, const char *value);
bool san_set_equal(const struct san_set *a, const struct san_set *b);
bool san_set_contains(const struct san_set *s, enum san_type type, const char *value);
/** Every SAN of the certificate (none: an empty set). INVALID: a type that we do not know (otherName, ...), a value
 * that san_set_add() refuses, an extension that cannot be read or stands there twice. */
MUST_USE struct fault *san_set_from_cert(X509 *cert, struct san_set *ret);
/** What of it we could ask for ourselves; the rest is left out. For display. */
void san_set_from_cert_known(X509 *cert, struct san_set *ret);
/** As an extension for a request or certificate; critical when the subject is empty (RFC 5280 4.2.1.6). The caller owns
 *  *ret. INVALID: an empty set. */
MUST_USE struct fault *san_set_to_extension(const struct san_set *s, bool critical, X509_EXTENSION **ret);
/** "DNS:a, URI:b" appended, escaped for printing. */
void san_set_print(const struct san_set *s, struct buf *ret);
void san_set_copy(const struct san_set *from, struct san_set *ret);
void san_set_free(struct san_set *s);	       /* releases the items, leaves it empty */
const char *san_type_name(enum san_type type); /* "DNS", "URI", "IP", "email" */
#endif
