/* control/rehearsal.c - a dry issuance: everything as it would be for a secret of a profile, each step timed, and
 * nothing of it stored or served. The key is wiped; the certificate exists at the authority, as any that it signs. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/entry.h"
#include "control/internal.h"
#include "control/template.h"

#define REHEARSAL_TIMEOUT_MS (INT64_C(30) * MS_PER_S)

struct rehearsal {
	struct control *control;
	struct timer *timer; /* for a refusal: it goes round the loop */
	struct fault *refusal;
	char *authority, *profile, *entry;
	int64_t lifetime_ms;
	struct issuance_times times;
	control_rehearsed_fn *done;
	void *arg;
};

static void rehearsal_free(struct rehearsal *r)
{
	timer_free(r->timer);
	free(r->authority);
	free(r->profile);
	free(r->entry);
	free(r);
}

/* --- for whom --- */

/* What an identity might say, so that a template can be seen at work before anybody asks. */
static struct entry_key *sample_key(const struct definitions *d, const struct secret_def *def)
{
	static const struct {
		const char *variable, *attribute;
	} samples[] = {{"uid", "uid=1000"}, {"gid", "gid=1000"}, {"uri", "uri=spiffe://sample.example/sample"},
		{"dns", "dns=sample.example"}, {"spiffe.trust_domain", "spiffe.trust_domain=sample.example"},
		{"spiffe.path", "spiffe.path=sample"}};
	const char *variables[DEFINITION_VARIABLES_MAX], *attributes[DEFINITION_VARIABLES_MAX];
	size_t count = definitions_variables(d, def, variables), n = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < ARRAY_LEN(samples); k++)
			if (strcmp(variables[i], samples[k].variable) == 0)
				attributes[n++] = samples[k].attribute;
	return entry_key_new(def->name, attributes, n);
}

static const struct secret_def *find_secret(const struct definitions *d, const char *authority, const char *name)
{
	for (size_t i = 0; i < d->secret_count; i++) {
		const struct secret_def *s = &d->secrets[i];
		const struct profile_def *p = s->profile ? definitions_profile(d, s->profile) : NULL;
		if (p && profile_uses(p, authority) && (!name || strcmp(name, s->name) == 0))
			return s;
	}
	return NULL;
}

/* --- the run --- */

static void tell(struct rehearsal *r, struct fault *f, struct credential *c)
{
	const struct issuance_times *t = &r->times;
	int64_t end = control_mono_ms(r->control);
	const struct control_rehearsal view = {.authority = r->authority,
		.profile = r->profile,
		.entry = r->entry,
		.lifetime_ms = r->lifetime_ms,
		.failure = f,
		.credential = c,
		.wait_ms = (t->placed_ms ? t->placed_ms : end) - t->began_ms,
		.key_ms = t->placed_ms ? (t->asked_ms ? t->asked_ms : end) - t->placed_ms : -1,
		.answer_ms = t->asked_ms ? (t->answered_ms ? t->answered_ms : end) - t->asked_ms : -1,
		.check_ms = t->answered_ms ? end - t->answered_ms : -1};
	r->done(r->arg, NULL, &view);
}

static void on_leaf(void *arg, struct fault *f, struct credential *c, const struct ca_hint *hint)
{
	(void)hint;
	struct rehearsal *r = arg;
	log_event(LOG_INFO, "authority.tested", LS("authority", r->authority), LS("as", r->entry), LB("passed", !f),
		LS("failure", f ? fault_text(f) : NULL));
	tell(r, f, c);
	fault_free(f);
	credential_unref(c);
	rehearsal_free(r);
}

static void on_refusal(void *arg)
{
	struct rehearsal *r = arg;
	r->done(r->arg, r->refusal, NULL);
	rehearsal_free(r);
}

static struct fault *begin(struct rehearsal *r, const char *secret, const char *by)
{
	struct control *c = r->control;
	struct authority *a = authority_find(c, r->authority);
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", r->authority);
	const struct secret_def *def = find_secret(c->definitions, r->authority, secret);
	if (!def)
		return fault_new(FAULT_NOT_FOUND,
			"%s: no certificate of the config comes from authority %s: there is nothing to ask it for",
			secret ? secret : "secrets", r->authority);
	const struct profile_def *p = definitions_profile(c->definitions, def->profile);
	AUTO(entry_key_unrefp) struct entry_key *key = sample_key(c->definitions, def);
	struct san_set sans = {NULL, 0};
	struct fault *f = rotation_sans_of(c->definitions, def, key, &sans);
	authority_hasten(a);
	if (!f && !authority_is_usable(a)) {
		AUTO(mem_freep) char *why = authority_why_unusable(a);
		f = fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "authority %s", why), -1);
	}
	if (!f) {
		r->profile = mem_strdup(p->name);
		r->entry = mem_strdup(entry_key_text(key));
		r->lifetime_ms = p->lifetime_ms;
		const struct issuance_spec spec = {.key_type = p->key,
			.sans = &sans,
			.lifetime_ms = p->lifetime_ms,
			.timeout_ms = REHEARSAL_TIMEOUT_MS,
			.times = &r->times};
		audit_note(c, NULL, "authority.test_ordered", r->authority, NULL, by, r->entry);
		(void)issuance_start(c, a, &spec, on_leaf, r);
	}
	san_set_free(&sans);
	return f;
}

void control_rehearse(struct control *c, const char *authority, const char *secret, const char *by,
	control_rehearsed_fn *done, void *arg)
{
	struct rehearsal *r = mem_new(struct rehearsal);
	r->control = c;
	r->authority = mem_strdup(authority);
	r->done = done;
	r->arg = arg;
	r->timer = timer_new(c->o.loop, on_refusal, r);
	r->refusal = c->closing ? fault_new(FAULT_UNAVAILABLE, "leafcast is stopping") : begin(r, secret, by);
	if (r->refusal)
		timer_start(r->timer, 0);
}
