/* control/template_check.c - places and values. A value that stands alone is a SAN of its own, and is checked as one
 * when the certificate's names are put together (base/san.c). */
#include "control/template_check.h"
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"

enum { UID, GID, URI, DNS, TRUST_DOMAIN, PATH };
static const struct template_variable variables[VARIABLE_COUNT] = {
	[UID] = {"uid", true, false},
	[GID] = {"gid", true, false},
	[URI] = {"uri", false, true},
	[DNS] = {"dns", false, false},
	[TRUST_DOMAIN] = {"spiffe.trust_domain", false, false},
	[PATH] = {"spiffe.path", false, false},
};

const struct template_variable *template_variable_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (strlen(variables[i].name) == len && strncmp(variables[i].name, name, len) == 0)
			return &variables[i];
	return NULL;
}

void template_variable_list(struct buf *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		buf_printf(ret, "%s{%s}", i ? ", " : "", variables[i].name);
}

const char *template_variable_example(const struct template_variable *v, enum san_type type)
{
	if (v == &variables[URI])
		return "spiffe://td.example/x";
	if (v == &variables[TRUST_DOMAIN] || (v == &variables[DNS] && type != SAN_DNS))
		return "td.example";
	return v->numeric ? "1000" : "x";
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A segment of a SPIFFE ID's path (SPIFFE-ID 2.2), and a few more characters that RFC 3986 lets a segment have and that
 * separate nothing. "%" is not among them: an escaped slash would be one to whoever decodes it. */
static bool is_segment(const char *s, size_t len)
{
	if (len == 0 || len > 255 || (len <= 2 && strspn(s, ".") >= len))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(s[i]) && !memchr("-._~@+=:", s[i], 8))
			return false;
	return true;
}

static bool is_path(const char *s)
{
	for (;;) {
		size_t len = strcspn(s, "/");
		if (!is_segment(s, len))
			return false;
		if (!s[len])
			return true;
		s += len + 1;
	}
}

/* RFC 1034 3.5, with digits first as RFC 1123 2.1 has it. In lower case: a certificate's DNS names know no other, so
 * "/Web" and "/web", two callers to SPIFFE, would get one name. */
static bool is_label(const char *s, size_t len)
{
	if (len == 0 || len > 63 || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((!is_alnum(s[i]) && s[i] != '-') || (s[i] >= 'A' && s[i] <= 'Z'))
			return false;
	return true;
}

static bool are_labels(const char *s)
{
	for (;;) {
		size_t len = strcspn(s, ".");
		if (!is_label(s, len))
			return false;
		if (!s[len])
			return true;
		s += len + 1;
	}
}

bool template_value_fits(const struct template_variable *v, const char *value, enum san_type type, bool alone)
{
	if (v->numeric)
		return value[0] && strspn(value, "0123456789") == strlen(value);
	if (v == &variables[URI])
		return alone;
	if (type == SAN_DNS) {
		/* A trust domain is the authority's word, not the caller's: all of its labels may stand. */
		if (v == &variables[TRUST_DOMAIN] || (v == &variables[DNS] && alone))
			return are_labels(value);
		return is_label(value, strlen(value));
	}
	if (type == SAN_URI && v == &variables[PATH])
		return is_path(value);
	return is_segment(value, strlen(value)) && (type != SAN_EMAIL || !strchr(value, '@'));
}

const char *template_place_text(const struct template_variable *v, enum san_type type)
{
	if (type == SAN_DNS)
		return v == &variables[TRUST_DOMAIN] ? "labels of a DNS name (in lower case)"
						     : "one label of a DNS name (in lower case)";
	if (type == SAN_URI && v == &variables[PATH])
		return "segments of a path";
	return type == SAN_EMAIL ? "part of an e-mail address" : "one segment of a path";
}

/* May these two follow each other with this text between them? They may where the text holds what no value holds, or
 * where both are numbers and there is any text at all. */
static bool are_apart(
	const struct template_part *a, const struct template_part *b, const char *text, enum san_type type)
{
	if (!text)
		return false;
	return (a->variable->numeric && b->variable->numeric && strspn(text, "0123456789") != strlen(text)) ||
	       strchr(text, type == SAN_DNS ? '.' : '/');
}

static struct fault *check_neighbours(const struct template_part *parts, size_t count, enum san_type type)
{
	for (size_t i = 0; i + 1 < count; i++) {
		const struct template_part *text = &parts[i + 1], *next = text->variable ? text : &parts[i + 2];
		if (!parts[i].variable || (!text->variable && i + 2 == count))
			continue;
		if (!are_apart(&parts[i], next, text->text, type))
			return fault_new(FAULT_INVALID,
				"{%s} and {%s} could run into each other; put \"%s\" between them",
				parts[i].variable->name, next->variable->name, type == SAN_DNS ? "." : "/");
	}
	return NULL;
}

/* In a URI, variables belong in the path; the authority ("//td.example") may be the caller's own trust domain alone. */
static struct fault *check_uri(const struct template_part *parts, size_t count)
{
	static const char advice[] = "a variable belongs behind the host, as in \"spiffe://td.example/uid/{uid}\"";
	const char *first = parts[0].variable ? "" : parts[0].text;
	const char *authority = strstr(first, "://");
	if (parts[0].variable || (!authority && !strchr(first, ':')))
		return fault_new(FAULT_INVALID, "column 1: {%s} cannot be a URI's scheme; %s",
			parts[0].variable ? parts[0].variable->name : parts[1].variable->name, advice);
	if (!authority || strchr(authority + 3, '/'))
		return NULL;
	bool whole = authority[3] == 0 && parts[1].variable == &variables[TRUST_DOMAIN] &&
		     (count == 2 || (!parts[2].variable && parts[2].text[0] == '/'));
	return whole ? NULL
		     : fault_new(FAULT_INVALID, "{%s} stands in the URI's host; %s", parts[1].variable->name, advice);
}

static struct fault *check_email(const struct template_part *parts, size_t count)
{
	bool at = false;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].variable && at)
			return fault_new(FAULT_INVALID, "{%s} stands behind the \"@\"; a variable belongs before it",
				parts[i].variable->name);
		at = at || (!parts[i].variable && strchr(parts[i].text, '@'));
	}
	return NULL;
}

static struct fault *check_alone(const struct template_variable *v, enum san_type type)
{
	if (v == &variables[URI] && type != SAN_URI)
		return fault_new(FAULT_INVALID, "{uri} is a URI, and stands alone in one");
	if (type == SAN_URI && v != &variables[URI])
		return fault_new(FAULT_INVALID,
			"{%s} is no URI; write one with it, as in \"spiffe://td.example/x/{%s}\"", v->name, v->name);
	return NULL;
}

struct fault *template_check_places(const struct template_part *parts, size_t count, enum san_type type)
{
	bool any = false;
	for (size_t i = 0; i < count; i++) {
		const struct template_variable *v = parts[i].variable;
		any = any || v;
		if (v && type == SAN_IP)
			return fault_new(FAULT_INVALID, "an IP address has no variables; write the address");
		if (v && v->stands_alone && count > 1)
			return fault_new(FAULT_INVALID, "{%s} is a whole URI: it stands alone, as in uri: [\"{%s}\"]",
				v->name, v->name);
	}
	if (!any)
		return NULL;
	if (count == 1)
		return check_alone(parts[0].variable, type);
	if (type == SAN_URI)
		TRY(check_uri(parts, count));
	if (type == SAN_EMAIL)
		TRY(check_email(parts, count));
	return check_neighbours(parts, count, type);
}
