/* control/definitions.c - look-ups in the definitions, and their release. Pure. */
#include "control/definitions.h"
#include <stdlib.h>
#include <string.h>
#include "control/template.h"

const struct authority_def *definitions_authority(const struct definitions *d, const char *name)
{
	for (size_t i = 0; i < d->authority_count; i++)
		if (strcmp(d->authorities[i].name, name) == 0)
			return &d->authorities[i];
	return NULL;
}

const struct profile_def *definitions_profile(const struct definitions *d, const char *name)
{
	for (size_t i = 0; i < d->profile_count; i++)
		if (strcmp(d->profiles[i].name, name) == 0)
			return &d->profiles[i];
	return NULL;
}

const struct secret_def *definitions_secret(const struct definitions *d, const char *name)
{
	for (size_t i = 0; i < d->secret_count; i++)
		if (strcmp(d->secrets[i].name, name) == 0)
			return &d->secrets[i];
	return NULL;
}

const struct template_list *definitions_sans(
	const struct definitions *d, const struct secret_def *s, enum san_type type)
{
	static const struct template_list none = {NULL, 0};
	if (s->replaces[type])
		return &s->sans[type];
	const struct profile_def *p = s->profile ? definitions_profile(d, s->profile) : NULL;
	return p ? &p->sans[type] : &none;
}

static bool list_has(char *const *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

bool profile_uses(const struct profile_def *p, const char *authority)
{
	return list_has(p->authorities, p->authority_count, authority);
}

bool definitions_bundle_names(const struct secret_def *bundle, const char *authority)
{
	return list_has(bundle->authorities, bundle->authority_count, authority);
}

bool definitions_bundle_has(const struct definitions *d, const struct secret_def *bundle, const char *authority)
{
	if (definitions_bundle_names(bundle, authority))
		return true;
	for (size_t i = 0; i < d->profile_count; i++) {
		const struct profile_def *p = &d->profiles[i];
		if (!profile_uses(p, authority))
			continue;
		for (size_t k = 0; k < p->authority_count; k++)
			if (definitions_bundle_names(bundle, p->authorities[k]))
				return true;
	}
	return false;
}

bool definitions_only_stands_in(const struct definitions *d, const char *authority)
{
	bool stands_in = false;
	for (size_t i = 0; i < d->profile_count; i++) {
		if (strcmp(d->profiles[i].authorities[0], authority) == 0)
			return false;
		stands_in = stands_in || profile_uses(&d->profiles[i], authority);
	}
	for (size_t i = 0; i < d->secret_count; i++)
		if (d->secrets[i].kind == SECRET_VALIDATION_CONTEXT &&
			definitions_bundle_names(&d->secrets[i], authority))
			return false;
	return stands_in;
}

/* Insert in order, each once. */
static size_t add_variable(const char **list, size_t count, const char *name)
{
	size_t at = 0;
	while (at < count && strcmp(list[at], name) < 0)
		at++;
	if (count == DEFINITION_VARIABLES_MAX || (at < count && strcmp(list[at], name) == 0))
		return count;
	memmove(&list[at + 1], &list[at], (count - at) * sizeof(*list));
	list[at] = name;
	return count + 1;
}

size_t definitions_variables(
	const struct definitions *d, const struct secret_def *s, const char *ret[DEFINITION_VARIABLES_MAX])
{
	size_t count = 0;
	for (int type = SAN_DNS; s->kind == SECRET_TLS_CERTIFICATE && type <= SAN_EMAIL; type++) {
		const struct template_list *list = definitions_sans(d, s, (enum san_type)type);
		for (size_t i = 0; i < list->count; i++)
			for (size_t k = 0; k < template_variable_count(list->items[i]); k++)
				count = add_variable(ret, count, template_variable(list->items[i], k));
	}
	return count;
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

void template_list_free(struct template_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		template_free(l->items[i]);
	free(l->items);
	l->items = NULL;
	l->count = 0;
}

void authority_def_done(struct authority_def *a)
{
	free(a->name);
	switch (a->type) {
	case AUTHORITY_BUILTIN:
		builtin_options_done(&a->builtin);
		break;
	case AUTHORITY_STEP:
		step_options_done(&a->step);
		break;
	case AUTHORITY_VAULT:
		vault_options_done(&a->vault);
		break;
	case AUTHORITY_EXEC:
		exec_options_done(&a->exec);
		break;
	}
}

void profile_def_done(struct profile_def *p)
{
	free(p->name);
	free_texts(p->authorities, p->authority_count);
	for (int type = SAN_DNS; type <= SAN_EMAIL; type++)
		template_list_free(&p->sans[type]);
}

void secret_def_done(struct secret_def *s)
{
	free(s->name);
	free(s->profile);
	for (int type = SAN_DNS; type <= SAN_EMAIL; type++)
		template_list_free(&s->sans[type]);
	free_texts(s->authorities, s->authority_count);
}

void rule_def_done(struct rule_def *r)
{
	free(r->uri);
	free(r->dns);
	free(r->ca);
	free_texts(r->may, r->may_count);
	free_texts(r->deny, r->deny_count);
}

void hook_def_done(struct hook_def *h)
{
	free(h->name);
	free_texts(h->command, h->command_count);
	free_texts(h->environment, h->environment_count);
	free_texts(h->secrets, h->secret_count);
}

void definitions_free(struct definitions *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->authority_count; i++)
		authority_def_done(&d->authorities[i]);
	for (size_t i = 0; i < d->profile_count; i++)
		profile_def_done(&d->profiles[i]);
	for (size_t i = 0; i < d->secret_count; i++)
		secret_def_done(&d->secrets[i]);
	for (size_t i = 0; i < d->rule_count; i++)
		rule_def_done(&d->rules[i]);
	for (size_t i = 0; i < d->hook_count; i++)
		hook_def_done(&d->hooks[i]);
	free(d->hooks);
	free(d->audit_file);
	free(d->authorities);
	free(d->profiles);
	free(d->secrets);
	free(d->rules);
	free(d);
}

void definitions_freep(struct definitions **d)
{
	definitions_free(*d);
	*d = NULL;
}
