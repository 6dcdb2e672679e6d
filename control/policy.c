/* control/policy.c - rules and templated names, made ready once per reload and then only read. */
#include "control/policy.h"
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/table.h"
#include "cache/entry.h"
#include "control/definitions.h"
#include "control/identity.h"
#include "control/pattern.h"

struct rule {
	unsigned who;
	uid_t uid;
	gid_t gid;
	struct pattern uri, dns;
	char *ca;
	struct pattern *may, *deny;
	size_t may_count, deny_count;
	int line;
};

/* A name whose meaning depends on who asks. */
struct templated {
	UT_hash_handle hh;
	char *name;
	char *variables[DEFINITION_VARIABLES_MAX];
	size_t count;
};

struct policy {
	struct ref ref;
	uint64_t generation;
	struct rule *rules;
	size_t rule_count;
	struct templated *templated; /* by name */
};

static struct pattern *patterns_new(char *const *texts, size_t count)
{
	struct pattern *p = count ? mem_array(struct pattern, count) : NULL;
	for (size_t i = 0; i < count; i++)
		pattern_init(&p[i], texts[i], '/');
	return p;
}

static void patterns_free(struct pattern *p, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pattern_done(&p[i]);
	free(p);
}

/* SANs of type DNS are kept in lower case (base/san.h), and names there do not tell cases apart (RFC 4343). */
static void dns_pattern_init(struct pattern *p, const char *text)
{
	pattern_init(p, text, '.');
	for (char *c = p->text; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
}

static void rule_init(struct rule *r, const struct rule_def *d)
{
	r->who = d->who;
	r->uid = d->uid;
	r->gid = d->gid;
	if (d->who & WHO_URI)
		pattern_init(&r->uri, d->uri, '/');
	if (d->who & WHO_DNS)
		dns_pattern_init(&r->dns, d->dns);
	r->ca = d->who & WHO_CA ? mem_strdup(d->ca) : NULL;
	r->may = patterns_new(d->may, d->may_count);
	r->may_count = d->may_count;
	r->deny = patterns_new(d->deny, d->deny_count);
	r->deny_count = d->deny_count;
	r->line = d->line;
}

static void rule_done(struct rule *r)
{
	pattern_done(&r->uri);
	pattern_done(&r->dns);
	free(r->ca);
	patterns_free(r->may, r->may_count);
	patterns_free(r->deny, r->deny_count);
}

static void add_templated(struct policy *p, const struct definitions *d, const struct secret_def *s)
{
	const char *variables[DEFINITION_VARIABLES_MAX];
	size_t count = s->internal ? 0 : definitions_variables(d, s, variables);
	if (count == 0)
		return;
	struct templated *t = mem_new(struct templated);
	t->name = mem_strdup(s->name);
	t->count = count;
	for (size_t i = 0; i < count; i++)
		t->variables[i] = mem_strdup(variables[i]);
	HASH_ADD_KEYPTR(hh, p->templated, t->name, strlen(t->name), t);
}

struct policy *policy_new(const struct definitions *d, uint64_t generation)
{
	struct policy *p = mem_new(struct policy);
	ref_init(&p->ref);
	p->generation = generation;
	p->rule_count = d->rule_count;
	p->rules = d->rule_count ? mem_array(struct rule, d->rule_count) : NULL;
	for (size_t i = 0; i < d->rule_count; i++)
		rule_init(&p->rules[i], &d->rules[i]);
	for (size_t i = 0; i < d->secret_count; i++)
		add_templated(p, d, &d->secrets[i]);
	return p;
}

struct policy *policy_ref(struct policy *p)
{
	ref_up(&p->ref);
	return p;
}

void policy_unref(struct policy *p)
{
	if (!p || !ref_down(&p->ref))
		return;
	struct templated *t, *next;
	HASH_ITER (hh, p->templated, t, next) {
		HASH_DEL(p->templated, t);
		for (size_t i = 0; i < t->count; i++)
			free(t->variables[i]);
		free(t->name);
		free(t);
	}
	for (size_t i = 0; i < p->rule_count; i++)
		rule_done(&p->rules[i]);
	free(p->rules);
	free(p);
}

void policy_unrefp(struct policy **p)
{
	policy_unref(*p);
	*p = NULL;
}

uint64_t policy_generation(const struct policy *p)
{
	return p->generation;
}

static bool any_pattern(const struct pattern *patterns, size_t count, const char *text, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (pattern_matches(&patterns[i], text, len))
			return true;
	return false;
}

static bool any_san(const struct pattern *p, const struct san_set *sans, enum san_type type)
{
	for (size_t i = 0; i < sans->count; i++)
		if (sans->items[i].type == type &&
			pattern_matches(p, sans->items[i].value, strlen(sans->items[i].value)))
			return true;
	return false;
}

/* Every key that is given must hold; none given matches nobody. */
static bool is_about(const struct rule *r, const struct identity *i)
{
	bool is_unix = identity_kind(i) == IDENTITY_UNIX;
	const char *authority = identity_authority(i);
	if (r->who == 0)
		return false;
	if (r->who & WHO_UID && !(is_unix && identity_uid(i) == r->uid))
		return false;
	if (r->who & WHO_GID && !(is_unix && identity_gid(i) == r->gid))
		return false;
	if (r->who & WHO_CA && !(authority && strcmp(authority, r->ca) == 0))
		return false;
	if (r->who & WHO_URI && !any_san(&r->uri, identity_sans(i), SAN_URI))
		return false;
	return !(r->who & WHO_DNS) || any_san(&r->dns, identity_sans(i), SAN_DNS);
}

struct decision policy_decide(const struct policy *p, const struct identity *i, const char *name)
{
	struct decision d = {false, false, -1, 0};
	size_t len = strlen(name);
	for (size_t k = 0; k < p->rule_count; k++) {
		const struct rule *r = &p->rules[k];
		if (!is_about(r, i))
			continue;
		if (any_pattern(r->deny, r->deny_count, name, len))
			return (struct decision){false, true, (int)k, r->line};
		if (!d.allowed && any_pattern(r->may, r->may_count, name, len))
			d = (struct decision){true, false, (int)k, r->line};
	}
	return d;
}

static struct fault *add_attribute(const struct identity *i, const char *name, const char *variable, struct buf *text)
{
	buf_printf(text, "%s=", variable);
	if (identity_attribute(i, variable, text))
		return NULL;
	return fault_new(FAULT_NOT_FOUND, "\"%s\" is made from the caller's %s, and %s has none", name, variable,
		identity_text(i));
}

struct fault *policy_entry(const struct policy *p, const struct identity *i, const char *name, struct entry_key **ret)
{
	const struct templated *t = NULL;
	HASH_FIND(hh, p->templated, name, strlen(name), t);
	struct buf texts[DEFINITION_VARIABLES_MAX] = {BUF_INIT};
	const char *attributes[DEFINITION_VARIABLES_MAX];
	struct fault *f = NULL;
	size_t count = t ? t->count : 0;
	for (size_t k = 0; k < count && !f; k++) {
		f = add_attribute(i, name, t->variables[k], &texts[k]);
		attributes[k] = buf_text(&texts[k]);
	}
	if (!f)
		*ret = entry_key_new(name, attributes, count);
	for (size_t k = 0; k < count; k++)
		buf_free(&texts[k]);
	return f;
}
