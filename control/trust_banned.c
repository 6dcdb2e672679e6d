/* control/trust_banned.c - what follows from bans (trust_bans.h): anchors that are not taken though an authority shows
 * them, and leaves that are refused. Where the stored bans cannot be read no anchor is taken at all: one of them may be
 * banned. Not its duty: to give and lift bans (trust_banning.c). */
#include <string.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/internal.h"

char *trust_bans_blob(const struct authority *a)
{
	return mem_printf("trust-bans/%s", authority_name(a));
}

struct fault *trust_bans_fault(const char *authority, enum fault_code code)
{
	return fault_new(code,
		"the record of the anchors of %s that were removed by order cannot be read, so its anchors are not "
		"taken: "
		"leafcast trust restore %s --force forgets which they were",
		authority, authority);
}

void trust_bans_load(struct authority *a)
{
	struct trust *t = authority_trust(a);
	AUTO(mem_freep) char *name = trust_bans_blob(a);
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct fault *f = store_load_blob(authority_control(a)->o.store, name, &bytes);
	if (!f && bytes)
		f = trust_bans_decode(bytes, &t->bans);
	t->bans_unreadable = f != NULL;
	if (f)
		log_event(LOG_ERROR, "authority.bans_damaged", LS("authority", authority_name(a)), LF(f),
			LS("effect", "no new anchor of it is taken: leafcast trust restore --force ends that"));
	fault_free(f);
	if (!t->bans)
		t->bans = trust_bans_new();
}

struct fault *trust_bans_apply_to(struct authority *a, struct anchors *shown, struct anchors **ret)
{
	struct trust *t = authority_trust(a);
	if (t->bans_unreadable)
		return trust_bans_fault(authority_name(a), FAULT_CORRUPT);
	TRY(trust_bans_filter(t->bans, shown, ret));
	if (*ret != shown)
		log_event(LOG_WARN, "authority.shows_banned", LS("authority", authority_name(a)),
			LI("left", *ret ? anchors_count(*ret) : 0),
			LS("effect", "anchors that were removed by order are not taken"));
	return NULL;
}

static bool is_shown(struct authority *a, const char *sha256, struct anchors **ret_alone)
{
	struct anchors *shown = ca_anchors(authority_ca(a));
	for (size_t i = 0; shown && i < anchors_count(shown); i++) {
		if (strcmp(anchors_info(shown, i)->sha256, sha256) != 0)
			continue;
		STACK_OF(X509) *one = ret_alone ? sk_X509_new_null() : NULL;
		if (ret_alone) {
			invariant(one && sk_X509_push(one, anchors_cert(shown, i)) == 1);
			fault_ignore(anchors_new(one, ret_alone), "it was in a set already");
		}
		sk_X509_free(one);
		return true;
	}
	return false;
}

/* --- leaves --- */

static bool leads(const struct anchors *anchors, STACK_OF(X509) * chain, int64_t now)
{
	struct fault *f = anchors_verify(anchors, chain, 0, now);
	bool does = !f;
	fault_ignore(f, "it does not");
	return does;
}

static struct fault *refuse_banned(const struct authority *a, const struct trust_ban *ban)
{
	char at[32];
	clock_format(ban->at_ms, at, sizeof at);
	return fault_new(FAULT_CORRUPT,
		"rejected answer: it leads to anchor %s (%.200s) alone, which was removed by order on %s (%s): rotate "
		"the "
		"root of authority %s, or lift the ban with leafcast trust restore %s %s",
		ban->sha256, ban->subject, at, ban->by, authority_name(a), authority_name(a), ban->sha256);
}

struct fault *trust_check_banned(struct authority *a, STACK_OF(X509) * chain)
{
	const struct trust *t = authority_trust(a);
	const struct anchors *trusted = authority_anchors(a);
	int64_t now = control_now_ms(authority_control(a));
	if ((!trust_bans_count(t->bans) && !t->bans_unreadable) || !chain || !sk_X509_num(chain))
		return NULL;
	if (trusted && leads(trusted, chain, now))
		return NULL;
	for (size_t i = 0; i < trust_bans_count(t->bans); i++) {
		AUTO(anchors_unrefp) struct anchors *alone = NULL;
		const struct trust_ban *ban = trust_bans_at(t->bans, i);
		if (is_shown(a, ban->sha256, &alone) && alone && leads(alone, chain, now))
			return refuse_banned(a, ban);
	}
	if (t->bans_unreadable)
		return fault_wrap(trust_bans_fault(authority_name(a), FAULT_CORRUPT), "rejected answer");
	return trusted ? NULL
		       : fault_new(FAULT_CORRUPT,
				 "rejected answer: no anchor of authority %s is left, %zu were removed by order: "
				 "rotate "
				 "its root, or lift a ban with leafcast trust restore",
				 authority_name(a), trust_bans_count(t->bans));
}

bool trust_is_banned(const struct entry *e, const struct version *v)
{
	struct authority *a = authority_find(e->control, version_authority(v));
	AUTO(credential_unrefp) struct credential *c = NULL;
	if (!a || !trust_bans_count(authority_trust(a)->bans) || !authority_anchors(a))
		return false;
	struct fault *f = version_read_credential(v, &c);
	bool banned = !f && !leads(authority_anchors(a), credential_chain(c), control_now_ms(e->control));
	fault_ignore(f, "then its fate is decided where it is read");
	return banned;
}

/* --- seen --- */

void control_each_ban(struct control *c, void (*fn)(void *arg, const struct control_ban *b), void *arg)
{
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		const struct trust_bans *bans = authority_trust(a)->bans;
		for (size_t i = 0; i < trust_bans_count(bans); i++) {
			const struct trust_ban *ban = trust_bans_at(bans, i);
			fn(arg, &(struct control_ban){.authority = authority_name(a),
					.sha256 = ban->sha256,
					.subject = ban->subject,
					.by = ban->by,
					.at_ms = ban->at_ms,
					.shown = is_shown(a, ban->sha256, NULL)});
		}
	}
}
