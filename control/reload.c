/* control/reload.c - new definitions, whole or not at all: everything that can be refused is checked first, then they
 * take hold. The policy reaches the workers before any publish that depends on it (design: invariant 3). */
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/io/loop.h"
#include "control/internal.h"
#include "control/template.h"

static bool same_authority(const struct authority_def *a, const struct authority_def *b)
{
	if (a->type != b->type || a->max_in_flight != b->max_in_flight || a->rate != b->rate)
		return false;
	switch (a->type) {
	case AUTHORITY_BUILTIN:
		return builtin_options_equal(&a->builtin, &b->builtin);
	case AUTHORITY_STEP:
		return step_options_equal(&a->step, &b->step);
	case AUTHORITY_VAULT:
		return vault_options_equal(&a->vault, &b->vault);
	case AUTHORITY_EXEC:
		return exec_options_equal(&a->exec, &b->exec);
	}
	return false;
}

static struct fault *check(struct control *c, const struct definitions *d)
{
	for (size_t i = 0; i < d->authority_count; i++) {
		const struct authority_def *was = definitions_authority(c->definitions, d->authorities[i].name);
		if (was && !same_authority(was, &d->authorities[i]))
			return fault_new(FAULT_CONFLICT,
				"authorities.%s cannot change while leafcast runs; restart it, or add another "
				"authority",
				was->name);
	}
	for (size_t i = 0; i < d->secret_count; i++) {
		const struct secret_def *def = &d->secrets[i];
		for (const struct entry *e = c->entries; e; e = e->hh.next) {
			if (strcmp(entry_key_name(e->key), def->name) != 0 || !e->kind ||
				(!e->current && !e->subscribers))
				continue;
			if (!e->def && e->current && e->committing)
				return fault_set_retryable(
					fault_new(FAULT_CONFLICT,
						"secrets.%s: this name is being changed; reload again", def->name),
					-1);
			if (!e->def && e->current)
				return fault_new(FAULT_CONFLICT,
					"secrets.%s: this name was put; `leafcast delete %s` first", def->name,
					def->name);
			if (e->kind != def->kind)
				return fault_new(FAULT_CONFLICT,
					"secrets.%s is of kind %s; its kind cannot change to %s", def->name,
					secret_kind_name(e->kind), secret_kind_name(def->kind));
		}
	}
	return NULL;
}

struct closing_authority {
	char *name;
};

static void on_authority_closed(void *arg)
{
	struct closing_authority *a = arg;
	log_event(LOG_INFO, "authority.removed", LS("authority", a->name));
	free(a->name);
	free(a);
}

static void close_authority(struct authority *a)
{
	struct closing_authority *closing = mem_new(struct closing_authority);
	closing->name = mem_strdup(authority_name(a));
	authority_close(a, on_authority_closed, closing);
}

/* New authorities are made before anything changes; on a fault those that were made go again. */
static struct fault *add_authorities(struct control *c, const struct definitions *d)
{
	for (size_t i = 0; i < d->authority_count; i++) {
		struct authority *made;
		if (authority_find(c, d->authorities[i].name))
			continue;
		struct fault *f = authority_new(c, &d->authorities[i], &made);
		if (!f)
			continue;
		for (struct authority *a = c->authorities, *next; a; a = next) {
			next = authority_next(a);
			if (!definitions_authority(c->definitions, authority_name(a)))
				close_authority(a);
		}
		return f;
	}
	return NULL;
}

/* Are this entry's attributes ("uid=1000") exactly the variables of the definition? */
static bool fits(const struct entry_key *key, const struct definitions *d, const struct secret_def *def)
{
	const char *variables[DEFINITION_VARIABLES_MAX];
	size_t count = definitions_variables(d, def, variables);
	if (count != entry_key_attribute_count(key))
		return false;
	for (size_t i = 0; i < count; i++) {
		const char *attribute = entry_key_attribute(key, i);
		size_t len = strcspn(attribute, "=");
		bool found = false;
		for (size_t k = 0; k < count; k++)
			found = found || (strlen(variables[k]) == len && strncmp(variables[k], attribute, len) == 0);
		if (!found)
			return false;
	}
	return true;
}

/* The internal mark is an attribute like any other: it keeps our own apart. */
const struct secret_def *entry_definition(const struct definitions *d, const struct entry_key *key)
{
	const struct secret_def *def = definitions_secret(d, entry_key_name(key));
	bool internal = entry_key_attribute_count(key) == 1 && strcmp(entry_key_attribute(key, 0), "internal=1") == 0;
	if (!def || def->internal != internal)
		return NULL;
	/* If its template's variables changed, this entry is nobody's any more. */
	return internal || fits(key, d, def) ? def : NULL;
}

/* What an entry is under the new definitions. */
static void redefine(struct entry *e, const struct definitions *d)
{
	const struct secret_def *def = entry_definition(d, e->key);
	bool was_defined = e->def != NULL;
	e->def = def;
	if (was_defined || def) /* a put that is being stored is nothing of the config's */
		e->generation++;
	rotation_stop(e);
	e->withdrawn = false;
	if (!def)
		rotation_end_orders(e);
	if (was_defined && !def && e->current)
		publish_withdraw(e);
}

struct fault *control_reload(struct control *c, struct definitions *d)
{
	struct fault *f = check(c, d);
	if (!f)
		f = add_authorities(c, d);
	if (f) {
		definitions_free(d);
		return f;
	}
	struct definitions *old = c->definitions;
	policy_unref(c->policy);
	c->policy = policy_new(d, ++c->generation);
	c->outlet->policy(c->outlet->arg, c->policy, control_next_seq(c));
	c->definitions = d;
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		redefine(e, d);
	}
	denials_free(c); /* what was denied may be allowed now, and is told again when it is not */
	control_make_exact_entries(c);
	for (struct authority *a = c->authorities, *next; a; a = next) {
		next = authority_next(a);
		if (!definitions_authority(d, authority_name(a)))
			close_authority(a);
	}
	hooks_define(c, d);
	audit_file_define(c, d->audit_file);
	definitions_free(old);
	authorities_start(c);
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		rotation_compare(e);
		rotation_replan(e);
	}
	bundles_refresh(c);
	log_event(LOG_INFO, "config.reloaded", LI("generation", c->generation), LI("secrets", d->secret_count),
		LI("rules", d->rule_count));
	return NULL;
}
