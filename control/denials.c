/* control/denials.c - who was denied what, once per identity and name. Bounded, and shared fairly by the identities:
 * who is denied more names than there is room for pushes out his own oldest ones, and no peer can make us write without
 * end. Envoy itself shows an operator nothing but silence, so each first denial is a log line with the rule that would
 * allow it. */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/canonical.h"
#include "control/identity.h"
#include "control/internal.h"

enum { DENIALS_MAX = 1024 };

/* As it stands in YAML, or quoted where it must be. */
static char *yaml_name(const char *name)
{
	size_t plain = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./");
	if (!name[plain] && name[0] != '-' && name[0] != '.')
		return mem_strdup(name);
	AUTO(mem_freep) char *safe = text_escaped(name);
	struct buf b = BUF_INIT;
	buf_add_text(&b, "\"");
	for (const char *c = safe; *c; c++)
		buf_printf(&b, *c == '"' ? "\\%c" : "%c", *c); /* a name must not end its own quotes */
	buf_add_text(&b, "\"");
	return buf_take_text(&b);
}

static char *hint_for(const struct identity *i, const char *name, const char *why)
{
	if (why)
		return mem_strdup(why);
	if (strchr(name, '*')) /* in a rule a star is a pattern: whoever asks must not dictate one */
		return mem_strdup("the name holds a star, which no rule can mean by itself: ask by another name");
	AUTO(mem_freep) char *text = yaml_name(name);
	return mem_printf("add {who: %s, may: [%s]}", identity_who(i), text);
}

static struct buf key_of(const struct identity *i, const char *name)
{
	struct buf key = BUF_INIT;
	canonical_add_text(&key, identity_key(i));
	canonical_add_text(&key, name);
	return key;
}

static void denial_end(struct control *c, struct denial *d)
{
	HASH_DELETE(hh, c->denials, d);
	shares_remove(&c->denial_shares, &d->share);
	free(d->key);
	free(d->identity);
	free(d->name);
	free(d->node);
	free(d->hint);
	free(d);
}

static void again(struct denial *d, int64_t now_ms)
{
	d->count++;
	d->last_at_ms = now_ms;
	shares_touch(&d->share);
}

static void tell(struct control *c, const struct denial *d)
{
	uint64_t unsaid;
	if (!share_may_speak(&d->share, control_mono_ms(c), &unsaid))
		return;
	log_event(LOG_WARN, "policy.denied", LS("identity", d->identity), LS("secret", d->name), LS("node", d->node),
		LS("hint", d->hint), LI("unsaid", unsaid));
	audit_record(c, NULL, "policy.denied", d->name, NULL, d->identity, d->hint);
}

void denial_note(struct control *c, const struct identity *i, const char *name, const struct node *n, const char *why)
{
	AUTO(buf_free) struct buf key = key_of(i, name);
	struct denial *d = NULL;
	int64_t now = control_now_ms(c);
	meters_denied(c);
	HASH_FIND(hh, c->denials, key.data, key.len, d);
	if (d) {
		again(d, now);
		return;
	}
	if (HASH_COUNT(c->denials) >= DENIALS_MAX)
		denial_end(c, container_of(shares_victim(&c->denial_shares), struct denial, share));
	d = mem_new(struct denial);
	d->key = mem_dup(key.data, key.len);
	d->identity = mem_strdup(identity_text(i));
	d->name = mem_strdup(name);
	d->node = mem_strdup(n ? n->id : "");
	d->hint = hint_for(i, name, why);
	d->first_at_ms = d->last_at_ms = now;
	d->count = 1;
	HASH_ADD_KEYPTR(hh, c->denials, d->key, key.len, d);
	shares_add(&c->denial_shares, identity_key(i), &d->share);
	tell(c, d);
}

void denials_free(struct control *c)
{
	struct denial *d, *next;
	HASH_ITER (hh, c->denials, d, next)
		denial_end(c, d);
}
