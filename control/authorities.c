#include "control/authorities.h"
#include "base/anchors.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/internal.h"

/* What a driver saved, by key: env.load() lends it. */
struct kept {
	struct kept *next;
	char *key;
	struct secret *bytes;
};

struct waiting {
	struct waiting *next;
	void (*go)(void *arg);
	void *arg;
};

struct authority {
	struct authority *next; /* control.authorities */
	struct control *control;
	char *name;
	struct ca *ca;
	bool started, answered, ready;
	char *error;
	struct trust trust;
	struct kept *kept;
	size_t running;
	struct waiting *waiting;
	struct timer *retry;
	struct backoff backoff;
	void (*closed)(void *arg);
	void *closed_arg;
};

static char *blob_name(const struct authority *a, const char *key)
{
	return mem_printf("authority/%s/%s", a->name, key);
}

static struct kept *kept_find(struct authority *a, const char *key)
{
	struct kept *k;
	LL_FOREACH (a->kept, k)
		if (strcmp(k->key, key) == 0)
			return k;
	k = mem_new(struct kept);
	k->key = mem_strdup(key);
	LL_PREPEND(a->kept, k);
	return k;
}

static struct fault *env_load(void *arg, const char *key, const struct secret **ret)
{
	struct authority *a = arg;
	struct kept *k = kept_find(a, key);
	if (!k->bytes) {
		AUTO(mem_freep) char *name = blob_name(a, key);
		TRY(store_load_blob(a->control->o.store, name, &k->bytes));
	}
	*ret = k->bytes;
	return NULL;
}

static void env_save(void *arg, const char *key, const struct secret *bytes,
	void (*done)(void *done_arg, struct fault *f), void *done_arg)
{
	struct authority *a = arg;
	struct kept *k = kept_find(a, key);
	size_t len;
	const unsigned char *p = secret_bytes(bytes, &len);
	struct secret *copy = NULL;
	struct fault *f = secret_new(p, len, &copy);
	if (!f) {
		secret_free(k->bytes);
		k->bytes = copy;
	}
	fault_ignore(f, "the store has it all the same; load() reads it from there");
	AUTO(mem_freep) char *name = blob_name(a, key);
	struct store_tx *tx = store_tx_new();
	store_tx_put_blob(tx, name, bytes);
	store_commit(a->control->o.store, tx, done, done_arg);
}

static void env_on_trust(void *arg)
{
	trust_shown(arg);
}

static struct fault *make_driver(struct authority *a, const struct authority_def *def)
{
	struct control *c = a->control;
	struct ca_env env = {.loop = c->o.loop,
		.jobs = c->o.jobs,
		.http = c->o.http,
		.clock = c->o.clock,
		.authority = a->name,
		.arg = a,
		.load = env_load,
		.save = env_save,
		.on_trust = env_on_trust};
	if (c->o.make_ca)
		return c->o.make_ca(c->o.arg, def, &env, &a->ca);
	switch (def->type) {
	case AUTHORITY_BUILTIN:
		return builtin_new(&def->builtin, &env, &a->ca);
	case AUTHORITY_VAULT:
		return vault_new(&def->vault, &env, &a->ca);
	}
	return fault_new(FAULT_INVALID, "authority %s: unknown type", a->name);
}

static void authority_release_memory(struct authority *a)
{
	struct kept *k, *next;
	LL_FOREACH_SAFE (a->kept, k, next) {
		secret_free(k->bytes);
		free(k->key);
		free(k);
	}
	timer_free(a->retry);
	trust_done(&a->trust);
	free(a->name);
	free(a->error);
	free(a);
}

static void start_driver(void *arg);

struct fault *authority_new(struct control *c, const struct authority_def *def, struct authority **ret)
{
	struct authority *a = mem_new(struct authority);
	a->control = c;
	a->name = mem_strdup(def->name);
	a->backoff = (struct backoff){.base_ms = 1000, .cap_ms = 60000};
	struct fault *f = make_driver(a, def);
	if (f) {
		authority_release_memory(a);
		return fault_wrap(f, "authority %s", def->name);
	}
	a->retry = timer_new(c->o.loop, start_driver, a);
	trust_load(a);
	LL_APPEND(c->authorities, a);
	*ret = a;
	return NULL;
}

struct authority *authority_find(struct control *c, const char *name)
{
	struct authority *a;
	LL_FOREACH (c->authorities, a)
		if (strcmp(a->name, name) == 0)
			return a;
	return NULL;
}

static void admit(struct authority *a)
{
	while (a->ready && a->waiting && a->running < AUTHORITY_CONCURRENCY) {
		struct waiting *w = a->waiting;
		LL_DELETE(a->waiting, w);
		a->running++;
		void (*go)(void *arg) = w->go;
		void *arg = w->arg;
		free(w);
		go(arg);
	}
}

static void on_ready(void *arg, struct fault *f)
{
	struct authority *a = arg;
	a->answered = true;
	free(a->error);
	a->error = f ? mem_strdup(fault_text(f)) : NULL;
	if (f) {
		int64_t wait =
			backoff_next_ms(&a->backoff, fault_retry_after_ms(f), table_hash(a->name, strlen(a->name)));
		log_event(LOG_ERROR, "authority.not_ready", LS("authority", a->name), LI("retry_in_ms", wait), LF(f));
		fault_free(f);
		if (!a->control->closing)
			timer_start(a->retry, wait);
	} else {
		a->ready = true;
		backoff_reset(&a->backoff);
		trust_shown(a);
		admit(a);
	}
	start_check_ready(a->control);
}

static void start_driver(void *arg)
{
	struct authority *a = arg;
	a->started = true;
	ca_start(a->ca, on_ready, a);
}

void authorities_start(struct control *c)
{
	struct authority *a;
	LL_FOREACH (c->authorities, a)
		if (!a->started)
			start_driver(a);
}

struct authority *authority_next(struct authority *a)
{
	return a->next;
}

const char *authority_name(const struct authority *a)
{
	return a->name;
}

const char *authority_type(const struct authority *a)
{
	return a->ca->driver->type;
}

bool authority_is_ready(const struct authority *a)
{
	return a->ready;
}

bool authorities_have_answered(const struct control *c)
{
	for (const struct authority *a = c->authorities; a; a = a->next)
		if (!a->answered)
			return false;
	return true;
}

const char *authority_error(const struct authority *a)
{
	return a->error;
}

struct anchors *authority_anchors(struct authority *a)
{
	return trust_record_anchors(a->trust.record);
}

struct trust *authority_trust(struct authority *a)
{
	return &a->trust;
}

struct control *authority_control(const struct authority *a)
{
	return a->control;
}

struct ca *authority_ca(struct authority *a)
{
	return a->ca;
}

size_t authority_running(const struct authority *a)
{
	return a->running;
}

void authority_acquire(struct authority *a, void (*go)(void *arg), void *arg)
{
	struct waiting *w = mem_new(struct waiting);
	w->go = go;
	w->arg = arg;
	LL_APPEND(a->waiting, w);
	admit(a);
}

bool authority_forget(struct authority *a, void *arg)
{
	struct waiting *w, *next;
	LL_FOREACH_SAFE (a->waiting, w, next)
		if (w->arg == arg) {
			LL_DELETE(a->waiting, w);
			free(w);
			return true;
		}
	return false;
}

void authority_release(struct authority *a)
{
	invariant(a->running > 0);
	a->running--;
	admit(a);
}

static void on_closed(void *arg)
{
	struct authority *a = arg;
	void (*closed)(void *arg2) = a->closed;
	void *closed_arg = a->closed_arg;
	invariant(!a->waiting);
	authority_release_memory(a);
	closed(closed_arg);
}

void authority_close(struct authority *a, void (*closed)(void *arg), void *arg)
{
	LL_DELETE(a->control->authorities, a);
	a->closed = closed;
	a->closed_arg = arg;
	a->ready = false;
	timer_stop(a->retry);
	ca_close(a->ca, on_closed, a);
}
