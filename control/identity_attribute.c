/* control/identity_attribute.c - what templates may ask of an identity. An attribute that could mean two things (two
 * URIs in one certificate) does not exist. */
#include <stdint.h>
#include <string.h>
#include "base/attr.h"
#include "base/buf.h"
#include "control/identity.h"

static const char spiffe_scheme[] = "spiffe://";

static bool is_spiffe(const char *uri)
{
	return strncmp(uri, spiffe_scheme, sizeof spiffe_scheme - 1) == 0;
}

/* The only SAN of a type, or the only SPIFFE one among the URIs. */
static const char *only_san(const struct identity *i, enum san_type type, bool spiffe_only)
{
	const struct san_set *sans = identity_sans(i);
	const char *found = NULL;
	for (size_t k = 0; k < sans->count; k++) {
		const struct san *s = &sans->items[k];
		if (s->type != type || (spiffe_only && !is_spiffe(s->value)))
			continue;
		if (found)
			return NULL;
		found = s->value;
	}
	return found;
}

static bool add_number(const struct identity *i, uintmax_t value, struct buf *ret)
{
	if (identity_kind(i) != IDENTITY_UNIX)
		return false;
	buf_printf(ret, "%ju", value);
	return true;
}

static bool add_text(const char *text, size_t len, struct buf *ret)
{
	if (!text || len == 0)
		return false;
	buf_add(ret, text, len);
	return true;
}

static bool add_san(const struct identity *i, enum san_type type, struct buf *ret)
{
	const char *san = only_san(i, type, false);
	return add_text(san, san ? strlen(san) : 0, ret);
}

/* spiffe://trust-domain/path (SPIFFE-ID 2): the path is given without its first slash. */
static bool add_spiffe(const struct identity *i, bool path, struct buf *ret)
{
	const char *uri = only_san(i, SAN_URI, true);
	if (!uri)
		return false;
	const char *domain = uri + sizeof spiffe_scheme - 1;
	size_t len = strcspn(domain, "/");
	if (!path)
		return add_text(domain, len, ret);
	return domain[len] == '/' && add_text(domain + len + 1, strlen(domain + len + 1), ret);
}

bool identity_attribute(const struct identity *i, const char *name, struct buf *ret)
{
	if (strcmp(name, "uid") == 0)
		return add_number(i, identity_uid(i), ret);
	if (strcmp(name, "gid") == 0)
		return add_number(i, identity_gid(i), ret);
	if (strcmp(name, "uri") == 0)
		return add_san(i, SAN_URI, ret);
	if (strcmp(name, "dns") == 0)
		return add_san(i, SAN_DNS, ret);
	if (strcmp(name, "spiffe.trust_domain") == 0)
		return add_spiffe(i, false, ret);
	return strcmp(name, "spiffe.path") == 0 && add_spiffe(i, true, ret);
}
