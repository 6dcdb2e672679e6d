/* ca-client/step.c - the driver and its life: files first, then the root by its fingerprint where no file gives it,
 * then the roots that it shows, over a verified channel; then it is ready. All of that again at each poll. The roots
 * are kept (sealed), so that a server whose first root has gone is verified after a restart too. */
#include "ca-client/step.h"
#include <string.h>
#include "base/anchors.h"
#include "base/fault.h"
#include "base/io/http.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "ca-client/step_internal.h"

enum { LOOK_TIMEOUT_MS = 20000 };

bool step_options_equal(const struct step_options *a, const struct step_options *b)
{
	return text_same(a->address, b->address) && text_same(a->root_file, b->root_file) &&
	       text_same(a->root_sha256, b->root_sha256) && text_same(a->provisioner, b->provisioner) &&
	       text_same(a->key_file, b->key_file) && text_same(a->key_password_file, b->key_password_file) &&
	       text_same(a->key_id, b->key_id) && text_same(a->certificate_file, b->certificate_file) &&
	       a->poll_ms == b->poll_ms;
}

void step_options_done(struct step_options *o)
{
	free(o->address);
	free(o->root_file);
	free(o->root_sha256);
	free(o->provisioner);
	free(o->key_file);
	free(o->key_password_file);
	free(o->key_id);
	free(o->certificate_file);
}

static void copy_options(const struct step_options *from, struct step_options *ret)
{
	*ret = (struct step_options){.address = mem_strdup(from->address),
		.root_file = mem_strdup(from->root_file),
		.root_sha256 = mem_strdup(from->root_sha256),
		.provisioner = mem_strdup(from->provisioner),
		.key_file = mem_strdup(from->key_file),
		.key_password_file = mem_strdup(from->key_password_file),
		.key_id = mem_strdup(from->key_id),
		.certificate_file = mem_strdup(from->certificate_file),
		.poll_ms = from->poll_ms};
	size_t len = strlen(ret->address);
	while (len && ret->address[len - 1] == '/')
		ret->address[--len] = 0;
}

void step_finish_close(struct step *s)
{
	if (!s->closing || !s->turned || s->pending || s->ops.list)
		return;
	void (*closed)(void *arg) = s->closed;
	void *arg = s->closed_arg;
	step_signer_free(s->signer);
	OPENSSL_cleanse(s->digest, sizeof s->digest);
	anchors_unref(s->given);
	anchors_unref(s->roots);
	anchors_unref(s->anchors);
	timer_free(s->poll);
	timer_free(s->turn);
	step_options_done(&s->o);
	free(s->told);
	free(s);
	closed(arg);
}

/* --- anchors --- */

static void on_kept(void *arg, struct fault *f)
{
	struct step *s = arg;
	if (f)
		log_event(LOG_WARN, "authority.roots_not_kept", LS("authority", s->ca.env.authority), LF(f));
	fault_free(f);
	s->pending--;
	step_finish_close(s);
}

/* Another fingerprint in the config means another trust: what was kept under the one before does not count. */
static char *roots_key(const struct step *s)
{
	return mem_printf("roots/%s", s->o.root_sha256 ? s->o.root_sha256 : "");
}

static void keep_roots(struct step *s)
{
	AUTO(mem_freep) char *key = roots_key(s);
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct buf pem = BUF_INIT;
	anchors_pem(s->roots, &pem);
	struct fault *f = secret_new(pem.data, pem.len, &bytes);
	buf_free(&pem);
	s->pending++;
	if (f)
		on_kept(s, f);
	else
		s->ca.env.save(s->ca.env.arg, key, bytes, on_kept, s);
}

static void load_kept(struct step *s)
{
	const struct secret *bytes = NULL;
	size_t len;
	AUTO(mem_freep) char *key = roots_key(s);
	struct fault *f = s->ca.env.load(s->ca.env.arg, key, &bytes);
	if (!f && bytes) {
		const unsigned char *p = secret_bytes(bytes, &len);
		f = anchors_from_pem(p, len, &s->roots);
	}
	if (f)
		log_event(LOG_WARN, "authority.kept_roots_damaged", LS("authority", s->ca.env.authority), LF(f));
	fault_ignore(f, "root_file or root_sha256 leads to them again");
}

/* True: what is in force changed. */
static bool unite(struct step *s)
{
	struct anchors *parts[2] = {s->given, s->roots}, *all = NULL;
	if (!s->given && !s->roots)
		return false;
	struct fault *f = s->given && s->roots ? anchors_union(parts, 2, &all) : NULL;
	if (f) {
		log_event(LOG_ERROR, "authority.roots_refused", LS("authority", s->ca.env.authority), LF(f));
		fault_free(f);
		return false;
	}
	if (!all)
		all = anchors_ref(s->given ? s->given : s->roots);
	bool changed = !s->anchors || !anchors_equal(all, s->anchors);
	anchors_unref(s->anchors);
	s->anchors = all;
	return changed;
}

/* --- one look: files, perhaps the first root, then the roots --- */

static void finish_look(struct step *s, struct fault *f)
{
	void (*ready)(void *arg, struct fault *f2) = s->ready;
	if (s->closing) {
		fault_ignore(f, "closing");
		return;
	}
	if (!s->started && !f)
		s->started = true;
	if (s->started)
		timer_start(s->poll, s->o.poll_ms);
	if (ready) {
		s->ready = NULL;
		ready(s->ready_arg, f);
		return;
	}
	const char *text = f ? fault_text(f) : NULL;
	if (f && !text_same(text, s->told))
		log_event(LOG_WARN, "authority.roots_not_read", LS("authority", s->ca.env.authority), LF(f));
	free(s->told);
	s->told = mem_strdup(text);
	fault_free(f);
}

static void on_roots(void *arg, struct fault *f, int status, const json_t *root)
{
	struct step *s = arg;
	struct anchors *shown = NULL;
	(void)status;
	s->call = NULL;
	if (!f)
		f = step_answer_roots(root, &shown);
	if (!f && !s->closing) {
		bool differ = !s->roots || !anchors_equal(shown, s->roots);
		anchors_unref(s->roots);
		s->roots = anchors_ref(shown);
		if (differ)
			keep_roots(s);
		if (unite(s) && s->started)
			s->ca.env.on_trust(s->ca.env.arg);
	}
	anchors_unref(shown);
	finish_look(s, f);
}

static void ask_roots(struct step *s)
{
	const struct step_request r = {.method = "GET", .path = "/roots", .timeout_ms = LOOK_TIMEOUT_MS};
	s->call = step_call(s, &r, on_roots, s);
}

static void on_first_root(void *arg, struct fault *f, int status, const json_t *root)
{
	struct step *s = arg;
	(void)status;
	s->call = NULL;
	if (!f)
		f = step_answer_root(root, s->o.root_sha256, &s->roots);
	if (f || s->closing) {
		finish_look(s, f);
		return;
	}
	(void)unite(s);
	ask_roots(s);
}

/* Nothing is believed of this answer but what has the fingerprint. */
static void ask_first_root(struct step *s)
{
	AUTO(mem_freep) char *path = mem_printf("/root/%s", s->o.root_sha256);
	const struct step_request r = {
		.method = "GET", .path = path, .any_server = true, .timeout_ms = LOOK_TIMEOUT_MS};
	s->call = step_call(s, &r, on_first_root, s);
}

/* --- the files --- */

static void take_files(struct step *s, struct step_files *r)
{
	if (r->fault) {
		finish_look(s, TAKE(r->fault));
		return;
	}
	if (r->signer) {
		step_signer_free(s->signer);
		s->signer = TAKE(r->signer);
		memcpy(s->digest, r->digest, sizeof s->digest);
	}
	anchors_unref(s->given);
	s->given = TAKE(r->given);
	if (unite(s) && s->started)
		s->ca.env.on_trust(s->ca.env.arg);
	if (s->anchors)
		ask_roots(s);
	else
		ask_first_root(s);
}

static void on_read(void *arg)
{
	struct step_files *r = arg;
	struct step *s = r->owner;
	s->reading = false;
	if (!s->closing)
		take_files(s, r);
	step_files_free(r);
	s->pending--;
	step_finish_close(s);
}

void step_look(struct step *s)
{
	if (s->reading || s->call || s->closing)
		return; /* one is under way */
	struct step_files *r = mem_new(struct step_files);
	r->owner = s;
	r->o = &s->o;
	r->have_signer = s->signer != NULL;
	memcpy(r->digest, s->digest, sizeof r->digest);
	s->reading = true;
	s->pending++;
	jobs_run(s->ca.env.jobs, false, step_files_read, on_read, r);
}

static void on_poll(void *arg)
{
	step_look(arg);
}

/* --- the driver --- */

static void start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg)
{
	struct step *s = step_of(ca);
	invariant(!s->ready && !s->closing && !s->started);
	s->ready = ready;
	s->ready_arg = arg;
	if (!s->roots)
		load_kept(s);
	(void)unite(s);
	step_look(s);
}

static struct anchors *get_anchors(struct ca *ca)
{
	struct step *s = step_of(ca);
	return s->started ? s->anchors : NULL;
}

static void on_turn(void *arg)
{
	struct step *s = arg;
	s->turned = true;
	step_finish_close(s);
}

static void on_emptied(void *arg)
{
	step_finish_close(arg);
}

static void close_step(struct ca *ca, void (*closed)(void *arg), void *arg)
{
	struct step *s = step_of(ca);
	s->closing = true;
	s->closed = closed;
	s->closed_arg = arg;
	s->ready = NULL;
	timer_stop(s->poll);
	if (s->call)
		http_cancel(s->call);
	ops_close(&s->ops);
	timer_start(s->turn, 0);
}

static int64_t login_ends_at_ms(struct ca *ca)
{
	const struct step *s = step_of(ca);
	int64_t end = s->signer ? step_signer_ends_ms(s->signer) : INT64_MAX;
	return end == INT64_MAX ? 0 : end;
}

static const struct ca_driver driver = {.type = "step",
	.capabilities = CA_TRUST_CHANGES | CA_REVOKE,
	.start = start,
	.issue = step_issue,
	.revoke = step_revoke,
	.cancel = op_cancel,
	.anchors = get_anchors,
	.login_ends_at_ms = login_ends_at_ms,
	.close = close_step};

static bool is_fingerprint(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

struct fault *step_new(const struct step_options *o, const struct ca_env *env, struct ca **ret)
{
	TRY(http_check_url(o->address, NULL));
	if (strncasecmp(o->address, "https:", 6) != 0)
		return fault_new(FAULT_INVALID, "step-ca speaks https alone");
	if (!o->root_file && (!o->root_sha256 || !is_fingerprint(o->root_sha256)))
		return fault_new(FAULT_INVALID, "root_file, or root_sha256 of 64 lower-case hex digits, is needed");
	if (!o->key_file || !o->provisioner)
		return fault_new(FAULT_INVALID, "provisioner and key_file are needed");
	struct step *s = mem_new(struct step);
	s->ca.driver = &driver;
	s->ca.env = *env;
	copy_options(o, &s->o);
	s->ops = (struct ops){.loop = env->loop, .clock = env->clock, .emptied = on_emptied, .arg = s};
	s->poll = timer_new(env->loop, on_poll, s);
	s->turn = timer_new(env->loop, on_turn, s);
	*ret = &s->ca;
	return NULL;
}
