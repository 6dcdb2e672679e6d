#include "base/san.h"
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"

#define DNS_MAX ((size_t)253)
#define LABEL_MAX ((size_t)63)
#define URI_MAX ((size_t)2048)
#define EMAIL_MAX ((size_t)254)

const char *san_type_name(enum san_type type)
{
	static const char *const names[] = {"DNS", "URI", "IP", "email"};
	return names[type];
}

/* Not <ctype.h>: names do not depend on a locale. */
static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_label(const char *at, size_t len)
{
	if (len == 0 || len > LABEL_MAX || at[0] == '-' || at[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alpha(at[i]) && !is_digit(at[i]) && at[i] != '-' && at[i] != '_')
			return false;
	return true;
}

/* Labels with dots between them. The last one is never all digits (RFC 3696 2): that is an IP address in the wrong
 * place, which no verifier would match. */
static bool is_host(const char *value)
{
	if (strlen(value) > DNS_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(value, ".");
		if (!is_label(value, len))
			return false;
		if (!value[len])
			return strspn(value, "0123456789") < len;
		value += len + 1;
	}
}

static bool is_dns(const char *value)
{
	return strlen(value) <= DNS_MAX && is_host(strncmp(value, "*.", 2) == 0 ? value + 2 : value);
}

/* RFC 3986: a scheme, ":", then something; no blanks, controls or bytes beyond ASCII. */
static bool is_uri(const char *value)
{
	size_t scheme = 0;
	if (strlen(value) > URI_MAX || !is_alpha(value[0]))
		return false;
	while (is_alpha(value[scheme]) || is_digit(value[scheme]) || (value[scheme] && strchr("+-.", value[scheme])))
		scheme++;
	if (value[scheme] != ':' || !value[scheme + 1])
		return false;
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("<>\"\\^`{|}", *p))
			return false;
	return true;
}

static bool is_email(const char *value)
{
	const char *at = strrchr(value, '@');
	if (!at || at == value || strlen(value) > EMAIL_MAX || !is_host(at + 1))
		return false;
	for (const char *p = value; p < at; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("()<>[],;:\\\"@", *p))
			return false;
	return true;
}

static char *canonical_ip(const char *value)
{
	unsigned char address[16];
	char text[INET6_ADDRSTRLEN];
	for (int family = AF_INET;; family = AF_INET6) {
		if (inet_pton(family, value, address) == 1)
			return mem_strdup(inet_ntop(family, address, text, sizeof text));
		if (family == AF_INET6)
			return NULL;
	}
}

/* A copy with the host part, from start on, in lower case. */
static char *lower_from(const char *value, size_t start)
{
	char *copy = mem_strdup(value);
	for (char *p = copy + start; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return copy;
}

static struct fault *canonical(enum san_type type, const char *value, char **ret)
{
	static const char *const examples[] = {
		"web.example or *.example", "spiffe://example.org/web", "192.0.2.1 or 2001:db8::1", "ops@example.org"};
	char *found = NULL;
	switch (type) {
	case SAN_DNS:
		found = is_dns(value) ? lower_from(value, 0) : NULL;
		break;
	case SAN_URI:
		found = is_uri(value) ? mem_strdup(value) : NULL;
		break;
	case SAN_IP:
		found = canonical_ip(value);
		break;
	case SAN_EMAIL:
		/* RFC 5280 7.5: the local part keeps its case. */
		found = is_email(value) ? lower_from(value, (size_t)(strrchr(value, '@') - value)) : NULL;
		break;
	}
	if (!found) {
		AUTO(mem_freep) char *safe = text_escaped(value);
		return fault_new(FAULT_INVALID, "\"%.200s\" is no %s name; an example: %s", safe, san_type_name(type),
			examples[type]);
	}
	*ret = found;
	return NULL;
}

static int compare(const struct san *a, enum san_type type, const char *value)
{
	return a->type != type ? (int)a->type - (int)type : strcmp(a->value, value);
}

struct fault *san_set_add(struct san_set *s, enum san_type type, const char *value)
{
	AUTO(mem_freep) char *canon = NULL;
	size_t place = 0;
	TRY(canonical(type, value, &canon));
	while (place < s->count && compare(&s->items[place], type, canon) < 0)
		place++;
	if (place < s->count && compare(&s->items[place], type, canon) == 0)
		return NULL;
	if (s->count == SAN_MAX)
		return fault_new(FAULT_EXHAUSTED, "more than %d names in one certificate", SAN_MAX);
	s->items = mem_realloc(s->items, (s->count + 1) * sizeof *s->items);
	memmove(&s->items[place + 1], &s->items[place], (s->count - place) * sizeof *s->items);
	s->items[place] = (struct san){type, TAKE(canon)};
	s->count++;
	return NULL;
}

bool san_set_equal(const struct san_set *a, const struct san_set *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (compare(&a->items[i], b->items[i].type, b->items[i].value) != 0)
			return false;
	return true;
}

bool san_set_contains(const struct san_set *s, enum san_type type, const char *value)
{
	for (size_t i = 0; i < s->count; i++)
		if (compare(&s->items[i], type, value) == 0)
			return true;
	return false;
}

static struct fault *add_text(struct san_set *s, enum san_type type, const ASN1_IA5STRING *text)
{
	int len = ASN1_STRING_length(text);
	const char *bytes = (const char *)ASN1_STRING_get0_data(text);
	if (len < 0 || memchr(bytes, 0, (size_t)len))
		return fault_new(FAULT_INVALID, "a %s name with a NUL byte", san_type_name(type));
	AUTO(mem_freep) char *value = mem_strndup(bytes, (size_t)len);
	return san_set_add(s, type, value);
}

static struct fault *add_ip(struct san_set *s, const ASN1_OCTET_STRING *ip)
{
	char text[INET6_ADDRSTRLEN];
	int len = ASN1_STRING_length(ip);
	if (len != 4 && len != 16)
		return fault_new(FAULT_INVALID, "an IP name of %d bytes", len);
	if (!inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof text))
		return fault_new(FAULT_INTERNAL, "inet_ntop");
	return san_set_add(s, SAN_IP, text);
}

static struct fault *add_general_name(struct san_set *s, const GENERAL_NAME *n)
{
	switch (n->type) {
	case GEN_DNS:
		return add_text(s, SAN_DNS, n->d.dNSName);
	case GEN_URI:
		return add_text(s, SAN_URI, n->d.uniformResourceIdentifier);
	case GEN_EMAIL:
		return add_text(s, SAN_EMAIL, n->d.rfc822Name);
	case GEN_IPADD:
		return add_ip(s, n->d.iPAddress);
	default:
		return fault_new(
			FAULT_INVALID, "a subject alternative name of a type that is not supported (%d)", n->type);
	}
}

/* *ret is NULL when there is no such extension. */
static struct fault *read_general_names(X509 *cert, GENERAL_NAMES **ret)
{
	int critical;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
	if (!names && critical != -1)
		return fault_openssl(FAULT_INVALID, critical == -2 ? "a certificate with two subjectAltName extensions"
								   : "subject alternative names that cannot be read");
	*ret = names;
	return NULL;
}

struct fault *san_set_from_cert(X509 *cert, struct san_set *ret)
{
	struct san_set s = {NULL, 0};
	GENERAL_NAMES *names;
	struct fault *f = NULL;
	TRY(read_general_names(cert, &names));
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !f; i++)
		f = add_general_name(&s, sk_GENERAL_NAME_value(names, i));
	GENERAL_NAMES_free(names);
	if (f)
		san_set_free(&s);
	else
		*ret = s;
	return f;
}

void san_set_from_cert_known(X509 *cert, struct san_set *ret)
{
	struct san_set s = {NULL, 0};
	GENERAL_NAMES *names = NULL;
	fault_ignore(read_general_names(cert, &names), "shown without names");
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && s.count < SAN_MAX; i++)
		fault_ignore(add_general_name(&s, sk_GENERAL_NAME_value(names, i)), "shown without this one");
	GENERAL_NAMES_free(names);
	*ret = s;
}

static ASN1_OCTET_STRING *ip_bytes(const char *value)
{
	unsigned char address[16];
	bool v4 = inet_pton(AF_INET, value, address) == 1;
	ASN1_OCTET_STRING *ip = ASN1_OCTET_STRING_new();
	invariant(v4 || inet_pton(AF_INET6, value, address) == 1);
	invariant(ip && ASN1_OCTET_STRING_set(ip, address, v4 ? 4 : 16) == 1);
	return ip;
}

static GENERAL_NAME *general_name(const struct san *s)
{
	GENERAL_NAME *n = GENERAL_NAME_new();
	invariant(n);
	if (s->type == SAN_IP) {
		GENERAL_NAME_set0_value(n, GEN_IPADD, ip_bytes(s->value));
		return n;
	}
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	invariant(text && ASN1_STRING_set(text, s->value, (int)strlen(s->value)) == 1);
	GENERAL_NAME_set0_value(n, s->type == SAN_DNS ? GEN_DNS : s->type == SAN_URI ? GEN_URI : GEN_EMAIL, text);
	return n;
}

struct fault *san_set_to_extension(const struct san_set *s, bool critical, X509_EXTENSION **ret)
{
	if (!s->count)
		return fault_new(FAULT_INVALID, "a certificate without names"); /* RFC 5280 4.2.1.6: at least one */
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	invariant(names);
	for (size_t i = 0; i < s->count; i++)
		invariant(sk_GENERAL_NAME_push(names, general_name(&s->items[i])) > 0);
	X509_EXTENSION *e = X509V3_EXT_i2d(NID_subject_alt_name, critical, names);
	GENERAL_NAMES_free(names);
	if (!e)
		return fault_openssl(FAULT_INTERNAL, "subject alternative names");
	*ret = e;
	return NULL;
}

void san_set_print(const struct san_set *s, struct buf *ret)
{
	for (size_t i = 0; i < s->count; i++) {
		buf_printf(ret, "%s%s:", i ? ", " : "", san_type_name(s->items[i].type));
		text_add_escaped(ret, s->items[i].value, strlen(s->items[i].value));
	}
	if (!s->count)
		buf_add_text(ret, "none");
}

void san_set_copy(const struct san_set *from, struct san_set *ret)
{
	ret->count = from->count;
	ret->items = mem_array(struct san, from->count);
	for (size_t i = 0; i < from->count; i++)
		ret->items[i] = (struct san){from->items[i].type, mem_strdup(from->items[i].value)};
}

void san_set_free(struct san_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].value);
	free(s->items);
	s->items = NULL;
	s->count = 0;
}
