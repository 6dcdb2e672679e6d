/* control/grants.c - the first time that an identity was granted a name is a record of the trail, once: whom a key was
 * given to must be found in it. Which were recorded is a fact of the store each, written with the record, so a restart
 * of a fleet records nothing again. Bounded, and shared fairly by the identities: an identity beyond its share pushes
 * out its own oldest ones, which are recorded again when they are granted again. Names that nobody defined are no
 * grant: peers choose them. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/canonical.h"
#include "control/identity.h"
#include "control/internal.h"

#define FACT "granted/"
enum { GRANTS_MAX = 65536, ID_BYTES = 16, ID_SIZE = 2 * ID_BYTES + 1 };

struct grant {
	UT_hash_handle hh;	 /* control.grants, by id */
	char id[ID_SIZE];	 /* of identity and name: their hash */
	struct share_link share; /* by identity; those of before the start share one */
};

static void id_of(const struct identity *i, const char *name, char ret[ID_SIZE])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	struct buf key = BUF_INIT;
	canonical_add_text(&key, identity_key(i));
	canonical_add_text(&key, name);
	invariant(EVP_Digest(key.data, key.len, hash, NULL, EVP_sha256(), NULL) == 1);
	text_hex(hash, ID_BYTES, ret);
	buf_free(&key);
}

static struct grant *find(const struct control *c, const char *id)
{
	struct grant *g = NULL;
	HASH_FIND_STR(c->grants, id, g);
	return g;
}

static void grant_end(struct control *c, struct grant *g)
{
	HASH_DEL(c->grants, g);
	shares_remove(&c->grant_shares, &g->share);
	free(g);
}

static struct grant *add(struct control *c, const char *id, const char *owner)
{
	struct grant *g = mem_new(struct grant);
	(void)snprintf(g->id, sizeof g->id, "%s", id);
	HASH_ADD_STR(c->grants, id, g);
	shares_add(&c->grant_shares, owner, &g->share);
	return g;
}

/* As a fact of the store. The caller owns it. */
static char *fact_of(const char *id)
{
	return mem_printf(FACT "%s", id);
}

/* The newest is not its own victim: the oldest of whoever has the most goes. */
static void make_room(struct control *c, struct store_tx *tx)
{
	while (HASH_COUNT(c->grants) > (c->grants_max ? c->grants_max : GRANTS_MAX)) {
		struct grant *oldest = container_of(shares_victim(&c->grant_shares), struct grant, share);
		AUTO(mem_freep) char *fact = fact_of(oldest->id);
		store_tx_drop_fact(tx, fact);
		grant_end(c, oldest);
	}
}

struct recording {
	struct control *control;
	char id[ID_SIZE];
};

/* What could not be written is a first time still. */
static void on_recorded(void *arg, struct fault *f)
{
	struct recording *r = arg;
	struct grant *g = f ? find(r->control, r->id) : NULL;
	if (f)
		log_event(LOG_ERROR, "audit.unwritable", LF(f));
	if (g)
		grant_end(r->control, g);
	fault_free(f);
	free(r);
}

static char *reason(const struct decision *d, uint64_t unsaid)
{
	AUTO(mem_freep)
	char *rule = d->line ? mem_printf("the rule in line %d", d->line) : mem_strdup("the built-in rule");
	if (!unsaid)
		return TAKE(rule);
	return mem_printf("%s; %llu others of this identity wait to be recorded", rule, (unsigned long long)unsaid);
}

static void record(
	struct control *c, const struct grant *g, const struct identity *i, const struct entry *e, uint64_t unsaid)
{
	const struct decision d = policy_decide(c->policy, i, entry_key_name(e->key));
	struct store_tx *tx = store_tx_new();
	struct recording *r = mem_new(struct recording);
	AUTO(mem_freep) char *fact = fact_of(g->id);
	AUTO(mem_freep) char *detail = reason(&d, unsaid);
	r->control = c;
	memcpy(r->id, g->id, sizeof r->id);
	make_room(c, tx);
	store_tx_put_fact(tx, fact, control_now_ms(c));
	audit_record(c, tx, "policy.granted", entry_key_text(e->key), NULL, identity_text(i), detail);
	store_commit(c->o.store, tx, on_recorded, r);
}

bool grant_note(struct control *c, const struct identity *i, const struct entry *e)
{
	char id[ID_SIZE];
	uint64_t unsaid;
	if (!e->def && !e->current)
		return false;
	id_of(i, entry_key_name(e->key), id);
	struct grant *g = find(c, id);
	if (g) {
		shares_touch(&g->share);
		return true;
	}
	g = add(c, id, identity_key(i));
	if (!share_may_speak(&g->share, control_mono_ms(c), &unsaid)) {
		grant_end(c, g);
		return false;
	}
	record(c, g, i, e, unsaid);
	return true;
}

void grant_load(struct control *c, const char *fact, struct store_tx *drop)
{
	if (strncmp(fact, FACT, strlen(FACT)) != 0)
		return;
	const char *id = fact + strlen(FACT);
	if (strlen(id) != ID_SIZE - 1 || HASH_COUNT(c->grants) >= GRANTS_MAX)
		store_tx_drop_fact(drop, fact);
	else if (!find(c, id))
		(void)add(c, id, "");
}

void grants_free(struct control *c)
{
	struct grant *g, *next;
	HASH_ITER (hh, c->grants, g, next)
		grant_end(c, g);
}
