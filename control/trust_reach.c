/* control/trust_reach.c - how much a change of an authority's trust touches: certificates, nodes, its pace. For plans.
 */
#include "base/mem.h"
#include "control/identity.h"
#include "control/internal.h"

struct reached {
	UT_hash_handle hh; /* by key */
	char *key;	   /* identity, node */
};

static void note_nodes(struct reached **set, const struct entry *e)
{
	for (const struct subscriber *s = e->subscribers; s; s = s->next) {
		struct reached *found = NULL;
		AUTO(mem_freep)
		char *key = mem_printf("%s\x1f%s", identity_key(s->identity), s->node ? s->node->id : "");
		HASH_FIND_STR(*set, key, found);
		if (found)
			continue;
		found = mem_new(struct reached);
		found->key = TAKE(key);
		HASH_ADD_KEYPTR(hh, *set, found->key, strlen(found->key), found);
	}
}

static void set_free(struct reached **set)
{
	struct reached *r, *next;
	HASH_ITER (hh, *set, r, next) {
		HASH_DELETE(hh, *set, r);
		free(r->key);
		free(r);
	}
}

bool control_trust_reach(struct control *c, const char *authority, struct control_reach *ret)
{
	const struct authority_def *def = definitions_authority(c->definitions, authority);
	struct reached *set = NULL;
	*ret = (struct control_reach){0};
	if (!def)
		return false;
	ret->rate = def->rate;
	struct authority *a = authority_find(c, authority);
	ret->makes_roots = a && (ca_capabilities(authority_ca(a)) & CA_NEW_ROOT);
	ret->bans_unreadable = a && authority_trust(a)->bans_unreadable;
	for (const struct entry *e = c->entries; e; e = e->hh.next) {
		bool is_bundle = e->def && e->def->kind == SECRET_VALIDATION_CONTEXT &&
				 definitions_bundle_has(c->definitions, e->def, authority);
		bool is_leaf = e->current && version_leaf(e->current) && version_authority(e->current) &&
			       strcmp(version_authority(e->current), authority) == 0;
		ret->certificates += is_leaf;
		ret->bundles += is_bundle;
		if (is_bundle || is_leaf)
			note_nodes(&set, e);
	}
	ret->nodes = HASH_COUNT(set);
	set_free(&set);
	return true;
}
