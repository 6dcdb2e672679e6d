/* control/denials.c - who was denied what, once per identity and name, bounded: no peer can make us remember or write
 * without end. Envoy itself shows an operator nothing but silence, so each first denial is a log line with the rule
 * that would allow it. */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
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

void denial_note(struct control *c, const struct identity *i, const char *name, const struct node *n, const char *why)
{
	AUTO(mem_freep) char *key = mem_printf("%s\x1f%s", identity_key(i), name);
	struct denial *d = NULL;
	int64_t now = control_now_ms(c);
	meters_denied(c);
	HASH_FIND_STR(c->denials, key, d);
	if (d) {
		d->count++;
		d->last_at_ms = now;
		return;
	}
	if (HASH_COUNT(c->denials) >= DENIALS_MAX) {
		if (c->denials_beyond++ == 0)
			log_event(LOG_WARN, "policy.denials_full", LI("remembered", DENIALS_MAX),
				LS("identity", identity_text(i)), LS("note", "further denials are only counted"));
		return;
	}
	d = mem_new(struct denial);
	d->key = TAKE(key);
	d->identity = mem_strdup(identity_text(i));
	d->name = mem_strdup(name);
	d->node = mem_strdup(n ? n->id : "");
	d->hint = hint_for(i, name, why);
	d->first_at_ms = d->last_at_ms = now;
	d->count = 1;
	HASH_ADD_KEYPTR(hh, c->denials, d->key, strlen(d->key), d);
	log_event(LOG_WARN, "policy.denied", LS("identity", d->identity), LS("secret", name), LS("node", d->node),
		LS("hint", d->hint));
	audit_record(c, NULL, "policy.denied", name, NULL, d->identity, d->hint);
}

static void denial_free(struct denial *d)
{
	free(d->key);
	free(d->identity);
	free(d->name);
	free(d->node);
	free(d->hint);
	free(d);
}

void denials_free(struct control *c)
{
	struct denial *d, *next;
	HASH_ITER (hh, c->denials, d, next) {
		HASH_DELETE(hh, c->denials, d);
		denial_free(d);
	}
}
