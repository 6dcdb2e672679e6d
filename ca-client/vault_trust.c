/* ca-client/vault_trust.c - the anchors: roots above the mount's issuers, read from the mount again and again, so that
 * a new issuer is known before it signs; roots that came with an answer and that the list did not show yet; and roots
 * that the operator gives because the mount does not hold them. */
#include <string.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"

#define LOOK_TIMEOUT_MS (15 * MS_PER_S)
#define RETRY_MS (10 * MS_PER_S)

static void look(struct vault *v);

/* --- in force --- */

/* NULL: none of them is there. */
static struct fault *put_together(struct vault *v, struct anchors **ret)
{
	struct vault_trust *t = &v->trust;
	struct anchors *sets[3];
	size_t count = 0;
	if (t->mount)
		sets[count++] = t->mount;
	if (t->learned)
		sets[count++] = t->learned;
	if (t->given)
		sets[count++] = t->given;
	if (!count)
		return fault_new(FAULT_INVALID,
			"the mount %s holds no root: the CA above its issuers was never imported; give it by root_file",
			v->o.mount);
	return anchors_union(sets, count, ret);
}

static struct fault *put_in_force(struct vault *v)
{
	struct vault_trust *t = &v->trust;
	struct anchors *next = NULL;
	TRY(put_together(v, &next));
	bool first = !t->anchors;
	if (!first && anchors_equal(t->anchors, next)) {
		anchors_unref(next);
		return NULL;
	}
	anchors_unref(t->anchors);
	t->anchors = next;
	log_event(LOG_INFO, first ? "authority.anchors" : "authority.anchors_changed",
		LS("authority", v->ca.env.authority), LI("anchors", anchors_count(next)),
		LS("first_sha256", anchors_info(next, 0)->sha256));
	if (v->started)
		v->ca.env.on_trust(v->ca.env.arg);
	return NULL;
}

static void put_in_force_or_say(struct vault *v)
{
	struct fault *f = put_in_force(v);
	if (f)
		log_event(LOG_ERROR, "authority.anchors_refused", LS("authority", v->ca.env.authority), LF(f));
	fault_free(f);
}

/* NULL for an empty one. */
static struct fault *set_of(STACK_OF(X509) * certs, struct anchors **ret)
{
	*ret = NULL;
	return sk_X509_num(certs) > 0 ? anchors_new(certs, ret) : NULL;
}

static struct fault *add_learned(struct vault *v, X509 *root)
{
	struct vault_trust *t = &v->trust;
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct anchors *one = NULL, *both = NULL;
	invariant(certs && sk_X509_push(certs, root));
	struct fault *f = anchors_new(certs, &one);
	sk_X509_free(certs);
	if (!f && t->learned)
		f = anchors_union((struct anchors *const[]){t->learned, one}, 2, &both);
	else if (!f)
		both = anchors_ref(one);
	anchors_unref(one);
	if (f)
		return f;
	anchors_unref(t->learned);
	t->learned = both;
	return put_in_force(v);
}

void vault_trust_learn(struct vault *v, X509 *root)
{
	if (v->trust.anchors && anchors_contain(v->trust.anchors, root))
		return;
	struct fault *f = add_learned(v, root);
	if (f)
		log_event(LOG_ERROR, "authority.anchors_refused", LS("authority", v->ca.env.authority), LF(f));
	fault_free(f);
	v->trust.forced = true;
	timer_start(v->trust.poll, 0); /* what else is new? */
}

void vault_trust_give(struct vault *v, struct anchors *given)
{
	struct vault_trust *t = &v->trust;
	if (!given || (t->given && anchors_equal(t->given, given)))
		return;
	anchors_unref(t->given);
	t->given = anchors_ref(given);
	if (t->anchors)
		put_in_force_or_say(v);
}

/* What the mount shows now is learned no more. */
static struct fault *forget_learned(struct vault_trust *t)
{
	STACK_OF(X509) *left = sk_X509_new_null();
	struct anchors *kept = NULL;
	invariant(left);
	for (size_t i = 0; t->learned && i < anchors_count(t->learned); i++)
		if (!t->mount || !anchors_contain(t->mount, anchors_cert(t->learned, i)))
			invariant(sk_X509_push(left, anchors_cert(t->learned, i)));
	struct fault *f = set_of(left, &kept);
	sk_X509_free(left);
	if (f)
		return f;
	anchors_unref(t->learned);
	t->learned = kept;
	return NULL;
}

static struct fault *take_seen(struct vault *v)
{
	struct vault_trust *t = &v->trust;
	STACK_OF(X509) *roots = sk_X509_new_null();
	struct anchors *mount = NULL;
	invariant(roots);
	for (int i = 0; i < sk_X509_num(t->seen); i++)
		if (vault_is_self_signed(sk_X509_value(t->seen, i)))
			invariant(sk_X509_push(roots, sk_X509_value(t->seen, i)));
	struct fault *f = set_of(roots, &mount);
	sk_X509_free(roots);
	if (f)
		return f;
	anchors_unref(t->mount);
	t->mount = mount;
	TRY(forget_learned(t));
	return put_in_force(v);
}

/* --- a look at the mount --- */

static void drop_look(struct vault_trust *t)
{
	sk_X509_pop_free(TAKE(t->seen), X509_free);
	vault_texts_free(TAKE(t->listed), t->listed_count);
	t->listed_count = t->at = 0;
}

/* Said once per change: it comes again at each poll. */
static void say(struct vault *v, const struct fault *f)
{
	struct vault_trust *t = &v->trust;
	const char *text = f ? fault_text(f) : NULL;
	if (text_same(text, t->told))
		return;
	if (f)
		log_event(LOG_WARN, "authority.anchors_not_read", LS("authority", v->ca.env.authority), LF(f));
	else
		log_event(LOG_INFO, "authority.anchors_read_again", LS("authority", v->ca.env.authority));
	free(t->told);
	t->told = mem_strdup(text);
}

/* f is owned. */
static void end_look(struct vault *v, struct fault *f)
{
	struct vault_trust *t = &v->trust;
	drop_look(t);
	say(v, f);
	if (v->started) {
		int64_t wait = f && v->o.poll_ms > RETRY_MS ? RETRY_MS : v->o.poll_ms;
		timer_start(t->poll, wait - (int64_t)(vault_draw() % (uint64_t)(wait / 10)));
	}
	struct vault_waiter *now = TAKE(t->waiters), *w;
	t->waiters = TAKE(t->waiting_again); /* for the next look; each can leave at any time */
	DL_FOREACH (t->waiters, w)
		w->list = &t->waiters;
	vault_serve(&now, f);
	fault_free(f);
	if (t->waiters && !t->seen && !v->closing)
		look(v);
}

static bool is_same_list(const struct vault_trust *t)
{
	if (t->issuer_count != t->listed_count)
		return false;
	for (size_t i = 0; i < t->listed_count; i++)
		if (strcmp(t->issuers[i], t->listed[i]) != 0)
			return false;
	return true;
}

static void ask_next(struct vault *v);

static void on_issuer(void *arg, struct fault *f, int status, const json_t *root)
{
	struct vault *v = arg;
	v->trust.call = NULL;
	(void)status;
	if (!f)
		f = vault_answer_issuer(root, v->trust.seen);
	if (f) {
		end_look(v, f);
		return;
	}
	v->trust.at++;
	ask_next(v);
}

static void ask_next(struct vault *v)
{
	struct vault_trust *t = &v->trust;
	if (t->at == t->listed_count) {
		struct fault *f = take_seen(v);
		if (!f) {
			vault_texts_free(t->issuers, t->issuer_count);
			t->issuers = TAKE(t->listed);
			t->issuer_count = t->listed_count;
			t->forced = false;
		}
		end_look(v, f);
		return;
	}
	AUTO(mem_freep) char *path = mem_printf("%s/issuer/%s/json", v->o.mount, t->listed[t->at]);
	const struct vault_request r = {.method = "GET", .path = path, .timeout_ms = LOOK_TIMEOUT_MS};
	t->call = vault_call_start(v, &r, on_issuer, v);
}

static void on_list(void *arg, struct fault *f, int status, const json_t *root)
{
	struct vault *v = arg;
	struct vault_trust *t = &v->trust;
	t->call = NULL;
	if (f && status == 404 && json_array_size(json_object_get(root, "errors")) == 0) {
		fault_free(f);
		f = fault_new(FAULT_INVALID, "the mount %s has no issuing CA yet: generate or import one", v->o.mount);
	}
	if (f && status == 403) { /* where an engine is, its list is open to all */
		fault_free(f);
		f = fault_new(
			FAULT_INVALID, "no PKI engine is mounted at %s: see the keys mount and namespace", v->o.mount);
	}
	if (!f)
		f = vault_answer_issuers(root, &t->listed, &t->listed_count);
	if (f || (!t->forced && is_same_list(t)))
		end_look(v, f);
	else
		ask_next(v);
}

/* Without a token: what everybody may read need not be asked with our login. */
static void look(struct vault *v)
{
	struct vault_trust *t = &v->trust;
	AUTO(mem_freep) char *path = mem_printf("%s/issuers", v->o.mount);
	t->seen = sk_X509_new_null();
	invariant(t->seen);
	const struct vault_request r = {.method = "LIST", .path = path, .timeout_ms = LOOK_TIMEOUT_MS};
	t->call = vault_call_start(v, &r, on_list, v);
}

void vault_trust_wait(struct vault *v, struct vault_waiter *w)
{
	struct vault_trust *t = &v->trust;
	vault_wait(t->seen ? &t->waiting_again : &t->waiters, w);
	if (!t->seen)
		look(v);
}

static void on_poll(void *arg)
{
	struct vault *v = arg;
	if (!v->trust.seen)
		look(v);
	vault_role_look(v);
}

void vault_trust_poll(struct vault *v)
{
	timer_start(v->trust.poll, v->o.poll_ms);
}

void vault_trust_init(struct vault *v)
{
	v->trust.poll = timer_new(v->ca.env.loop, on_poll, v);
}

void vault_trust_stop(struct vault *v)
{
	timer_stop(v->trust.poll);
	if (v->trust.call)
		vault_call_cancel(TAKE(v->trust.call));
}

void vault_trust_done(struct vault *v)
{
	struct vault_trust *t = &v->trust;
	invariant(!t->waiters && !t->waiting_again);
	drop_look(t);
	vault_texts_free(t->issuers, t->issuer_count);
	anchors_unref(t->anchors);
	anchors_unref(t->mount);
	anchors_unref(t->learned);
	anchors_unref(t->given);
	timer_free(t->poll);
	free(t->told);
}
