/* control/identity.c - an identity as a value; its texts are made once, for they are asked for often. */
#include "control/identity.h"
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/ref.h"

struct identity {
	struct ref ref;
	enum identity_kind kind;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	struct san_set sans;
	char *authority;
	int64_t not_after_ms;
	char *key, *text, *who;
};

struct identity *identity_new_unix(uid_t uid, gid_t gid, pid_t pid)
{
	struct identity *i = mem_new(struct identity);
	ref_init(&i->ref);
	i->kind = IDENTITY_UNIX;
	i->uid = uid;
	i->gid = gid;
	i->pid = pid;
	i->not_after_ms = INT64_MAX;
	i->key = mem_printf("unix %ju %ju", (uintmax_t)uid, (uintmax_t)gid);
	i->text = mem_printf("uid %ju", (uintmax_t)uid);
	i->who = mem_printf("{uid: %ju}", (uintmax_t)uid);
	return i;
}

/* Each part with its length before it: no two sets have the same bytes. */
static char *tls_key(const struct san_set *sans, const char *authority)
{
	struct buf b = BUF_INIT;
	buf_printf(&b, "tls %zu:%s", strlen(authority), authority);
	for (size_t k = 0; k < sans->count; k++)
		buf_printf(
			&b, " %d:%zu:%s", (int)sans->items[k].type, strlen(sans->items[k].value), sans->items[k].value);
	return buf_take_text(&b);
}

static const char *first_san(const struct san_set *sans, enum san_type type)
{
	for (size_t k = 0; k < sans->count; k++)
		if (sans->items[k].type == type)
			return sans->items[k].value;
	return NULL;
}

static char *tls_text(const struct san_set *sans, const char *authority)
{
	static const enum san_type order[] = {SAN_URI, SAN_DNS, SAN_EMAIL, SAN_IP};
	const char *san = NULL;
	for (size_t k = 0; k < ARRAY_LEN(order) && !san; k++)
		san = first_san(sans, order[k]);
	return mem_printf("%s (%s)", san ? san : "no SAN", authority);
}

/* A double-quoted YAML scalar. */
static void add_quoted(struct buf *b, const char *text)
{
	buf_add_text(b, "\"");
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_add_text(b, "\\");
		buf_add(b, c, 1);
	}
	buf_add_text(b, "\"");
}

/* The rule names the first SAN that a pattern can name. One with a star in it would, pasted into the config, match more
 * than its holder: it is left out, and where nothing else is there the rule matches nobody. */
static char *tls_who(const struct san_set *sans, const char *authority)
{
	static const enum san_type order[] = {SAN_URI, SAN_DNS};
	static const char *const keys[] = {"uri", "dns"};
	for (size_t t = 0; t < ARRAY_LEN(order); t++) {
		for (size_t k = 0; k < sans->count; k++) {
			const struct san *s = &sans->items[k];
			if (s->type != order[t] || strchr(s->value, '*'))
				continue;
			struct buf b = BUF_INIT;
			buf_printf(&b, "{%s: ", keys[t]);
			add_quoted(&b, s->value);
			buf_add_text(&b, ", ca: ");
			if (authority[strspn(authority, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")] == 0)
				buf_add_text(&b, authority);
			else
				add_quoted(&b, authority);
			buf_add_text(&b, "}");
			return buf_take_text(&b);
		}
	}
	return mem_strdup("{}");
}

struct identity *identity_new_tls(const struct san_set *sans, const char *authority, int64_t not_after_ms)
{
	struct identity *i = mem_new(struct identity);
	ref_init(&i->ref);
	i->kind = IDENTITY_TLS;
	i->uid = (uid_t)-1;
	i->gid = (gid_t)-1;
	san_set_copy(sans, &i->sans);
	i->authority = mem_strdup(authority);
	i->not_after_ms = not_after_ms;
	i->key = tls_key(sans, authority);
	i->text = tls_text(sans, authority);
	i->who = tls_who(sans, authority);
	return i;
}

struct identity *identity_ref(struct identity *i)
{
	ref_up(&i->ref);
	return i;
}

void identity_unref(struct identity *i)
{
	if (!i || !ref_down(&i->ref))
		return;
	san_set_free(&i->sans);
	free(i->authority);
	free(i->key);
	free(i->text);
	free(i->who);
	free(i);
}

void identity_unrefp(struct identity **i)
{
	identity_unref(*i);
	*i = NULL;
}

enum identity_kind identity_kind(const struct identity *i)
{
	return i->kind;
}

uid_t identity_uid(const struct identity *i)
{
	return i->uid;
}

gid_t identity_gid(const struct identity *i)
{
	return i->gid;
}

pid_t identity_pid(const struct identity *i)
{
	return i->pid;
}

const struct san_set *identity_sans(const struct identity *i)
{
	return &i->sans;
}

const char *identity_authority(const struct identity *i)
{
	return i->authority;
}

int64_t identity_not_after_ms(const struct identity *i)
{
	return i->not_after_ms;
}

const char *identity_key(const struct identity *i)
{
	return i->key;
}

const char *identity_text(const struct identity *i)
{
	return i->text;
}

const char *identity_who(const struct identity *i)
{
	return i->who;
}
