/* tests/unit/cache/state.h - a state folder of its own for a test, and a store in it whose commits are waited for. */
#ifndef TESTS_UNIT_CACHE_STATE_H
#define TESTS_UNIT_CACHE_STATE_H
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/entry.h"
#include "cache/store.h"
#include "cache/version.h"
#include "pki.h"

struct state {
	char folder[64]; /* a store's folder inside of a temporary one */
	char parent[48];
	struct loop *loop;
	struct store *store;
	bool first_start;
	struct pki_ca ca;
};

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void state_init(struct state *s)
{
	/* In memory where that can be: the tests sync thousands of times. */
	const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	*s = (struct state){.first_start = false};
	(void)snprintf(s->parent, sizeof s->parent, "%s/leafcast-test-XXXXXX", root);
	assert_non_null(mkdtemp(s->parent));
	(void)snprintf(s->folder, sizeof s->folder, "%s/state", s->parent);
	struct fault *f = loop_new(clock_system(), &s->loop);
	assert_null(f);
	s->ca = pki_ca_new("root");
}

static inline struct fault *state_open_with(struct state *s, const char *seal_file)
{
	const struct store_options o = {.folder = s->folder, .seal_file = seal_file};
	return store_open(&o, s->loop, clock_system(), &s->first_start, &s->store);
}

static inline void state_open(struct state *s)
{
	struct fault *f = state_open_with(s, NULL);
	if (f)
		fail_msg("%s", fault_text(f));
}

/* It must be refused with this code, and the text must hold these words. */
static inline void state_refused(struct state *s, const char *seal_file, enum fault_code code, const char *words)
{
	struct fault *f = state_open_with(s, seal_file);
	assert_non_null(f);
	if (fault_code(f) != code || !strstr(fault_text(f), words))
		fail_msg("refused otherwise: %s %s", fault_code_name(fault_code(f)), fault_text(f));
	fault_free(f);
}

static inline void set_true(void *arg)
{
	*(bool *)arg = true;
}

static inline void state_close(struct state *s)
{
	bool closed = false;
	store_close(s->store, set_true, &closed);
	while (!closed)
		(void)loop_turn(s->loop, true);
	s->store = NULL;
}

struct state_answer {
	bool told;
	struct fault *fault;
};

static inline void take_answer(void *arg, struct fault *f)
{
	struct state_answer *a = arg;
	assert_false(a->told);
	a->told = true;
	a->fault = f;
}

/* Hand over and wait; the caller owns the fault. */
static inline struct fault *state_try(struct state *s, struct store_tx *tx)
{
	struct state_answer a = {false, NULL};
	store_commit(s->store, tx, take_answer, &a);
	while (!a.told)
		(void)loop_turn(s->loop, true);
	return a.fault;
}

static inline void state_commit(struct state *s, struct store_tx *tx)
{
	struct fault *f = state_try(s, tx);
	if (f)
		fail_msg("%s", fault_text(f));
}

static inline void state_complete(struct state *s)
{
	struct store_tx *tx = store_tx_new();
	store_tx_complete_first_start(tx);
	state_commit(s, tx);
}

static inline char *state_path(const struct state *s, const char *name)
{
	return mem_printf("%s/%s", s->folder, name);
}

static inline void state_done(struct state *s)
{
	if (s->store)
		state_close(s);
	loop_free(s->loop);
	pki_ca_free(&s->ca);
	(void)nftw(s->parent, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A version of this entry; number distinguishes contents. The caller owns it. */
static inline struct version *state_leaf(struct state *s, struct entry_key *entry)
{
	int64_t now = clock_wall_ms(clock_system());
	const struct version_origin o = {"builtin", "workload", now};
	AUTO(credential_unrefp) struct credential *c = pki_leaf(&s->ca, "spiffe://t/x", now, now + MS_PER_HOUR);
	struct version *v = NULL;
	struct fault *f = version_new_certificate(entry, c, &o, &v);
	if (f)
		fail_msg("%s", fault_text(f));
	return v;
}

static inline struct version *state_bundle(struct state *s, struct entry_key *entry)
{
	const struct version_origin o = {"builtin", NULL, clock_wall_ms(clock_system())};
	AUTO(anchors_unrefp) struct anchors *a = pki_anchors(&s->ca, 1);
	struct version *v = NULL;
	struct fault *f = version_new_bundle(entry, a, &o, &v);
	if (f)
		fail_msg("%s", fault_text(f));
	return v;
}

/* What a load saw. */
struct state_seen {
	size_t versions, current, damaged, facts;
	struct version *version[16]; /* of current ones alone */
	char id[16][33];
	bool is_current[16];
	char *fault[16];
	int64_t fact;
};

static inline void see_one(struct state_seen *seen, const char *id, struct version *current)
{
	if (seen->versions < ARRAY_LEN(seen->version)) {
		(void)snprintf(seen->id[seen->versions], sizeof seen->id[0], "%s", id);
		seen->version[seen->versions] = current ? version_ref(current) : NULL;
		seen->is_current[seen->versions] = current != NULL;
	}
	seen->versions++;
	seen->current += current != NULL;
}

static inline void see_version(void *arg, struct version *v)
{
	see_one(arg, version_id(v), v);
}

static inline void see_past(void *arg, const struct store_past *p)
{
	assert_true(p->entry && p->kind && p->not_after_ms > 0);
	see_one(arg, p->id, NULL);
}

static inline void see_damaged(void *arg, struct fault *f)
{
	struct state_seen *seen = arg;
	if (seen->damaged < ARRAY_LEN(seen->fault))
		seen->fault[seen->damaged] = mem_strdup(fault_text(f));
	seen->damaged++;
	fault_free(f);
}

static inline void see_fact(void *arg, const char *key, int64_t value)
{
	struct state_seen *seen = arg;
	assert_string_equal(key, "fact");
	seen->facts++;
	seen->fact = value;
}

static inline void state_load(struct state *s, struct state_seen *seen)
{
	*seen = (struct state_seen){0};
	const struct store_visitor v = {seen, see_version, see_past, see_damaged, see_fact, NULL};
	struct fault *f = store_load(s->store, &v);
	if (f)
		fail_msg("%s", fault_text(f));
}

static inline void seen_free(struct state_seen *seen)
{
	for (size_t i = 0; i < ARRAY_LEN(seen->version); i++) {
		version_unref(seen->version[i]);
		free(seen->fault[i]);
	}
}
#endif
