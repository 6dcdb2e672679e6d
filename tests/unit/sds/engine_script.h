/* Engines as tables of (event -> effects) on a fake clock. A little world answers for the worker: it knows for each
 * name a version, or that there is none, or that one is being made. After each event it pulls the engine dry, and what
 * happened is compared with the table.
 *
 * Events                                   what they do
 *   names=a,b nonce=#2 version=v1          a request; #2 is the nonce of this stream's second offer; error=TEXT a NACK;
 *                                          names= is an empty list
 *   sub=a,b unsub=c initial=a:v1,b:v2      the same for delta
 *   set a v2 | set a - | set a ?           the world: a version, nothing, being made
 *   hold a | free a                        the world holds its version back (quarantine)
 *   at 1500                                the clock, in ms; engine_wake() is called
 *   half                                   the client will send no more
 *   reoffer 900                            the watchdog
 * Effects, in their order
 *   +a -a    subscribed, unsubscribed      a=v1#1   offered under nonce 1       a!#2   removed
 *   ack(a v1 20)  after 20 ms              nack(a v2 13 TEXT)                   close(8)   done   wake(1000) */
#ifndef TESTS_UNIT_SDS_ENGINE_SCRIPT_H
#define TESTS_UNIT_SDS_ENGINE_SCRIPT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "sds/engine.h"
#include "sds/request.h"

#define SCRIPT_NAMES_MAX 64
#define SCRIPT_PREFIX "p7"

struct step {
	const char *event, *effects;
};

struct script_secret {
	char name[32];
	char version[ENGINE_VERSION_LEN + 1]; /* "-" nothing, "?" being made */
	bool held;
};

struct script {
	struct engine *engine;
	struct engine_limits limits;
	struct engine_events events;
	struct script_secret world[SCRIPT_NAMES_MAX];
	size_t world_count;
	struct buf effects;
	int64_t now_ms;
	bool closed;
};

static void script_effect(struct script *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void script_effect(struct script *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char text[1024];
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_printf(&t->effects, "%s%s", t->effects.len ? " " : "", text);
}

static void script_subscribed(void *arg, struct engine_sub *s)
{
	engine_sub_set_user(s, arg);
	const char *claimed = engine_sub_claimed(s);
	script_effect(arg, "+%s%s%s", engine_sub_name(s, NULL), *claimed ? "~" : "", claimed);
}

static void script_unsubscribed(void *arg, struct engine_sub *s)
{
	assert_ptr_equal(engine_sub_user(s), arg);
	script_effect(arg, "-%s", engine_sub_name(s, NULL));
}

static void script_acked(void *arg, struct engine_sub *s, const char *version, int64_t push_to_ack_ms)
{
	assert_string_equal(engine_sub_acked(s), version);
	script_effect(arg, "ack(%s %s %lld)", engine_sub_name(s, NULL), version, (long long)push_to_ack_ms);
}

static void script_nacked(
	void *arg, struct engine_sub *s, const char *version, int code, const char *text, size_t text_len)
{
	assert_true(engine_sub_has_nacked(s, version));
	script_effect(arg, "nack(%s %s %d %.*s)", engine_sub_name(s, NULL), version, code, (int)text_len, text);
}

static struct script_secret *script_find(struct script *t, const char *name)
{
	for (size_t i = 0; i < t->world_count; i++)
		if (!strcmp(t->world[i].name, name))
			return &t->world[i];
	return NULL;
}

static void script_nonce(struct script *t, const char *nonce)
{
	size_t prefix = strlen(SCRIPT_PREFIX "-");
	assert_memory_equal(nonce, SCRIPT_PREFIX "-", prefix);
	buf_printf(&t->effects, "#%s", nonce + prefix);
}

static void script_answer(struct script *t, struct engine_sub *s)
{
	char nonce[ENGINE_NONCE_MAX];
	const char *name = engine_sub_name(s, NULL);
	struct script_secret *w = engine_sub_is_possible(s) ? script_find(t, name) : NULL;
	assert_ptr_equal(engine_sub_engine(s), t->engine);
	if (!w || !strcmp(w->version, "-")) {
		if (engine_absent(t->engine, s, t->now_ms, nonce)) {
			script_effect(t, "%s!", name);
			script_nonce(t, nonce);
		}
	} else if (!strcmp(w->version, "?")) {
		engine_pending(t->engine, s);
	} else if (w->held) {
		engine_held(t->engine, s);
	} else {
		const char *version = w->version;
		bool wants = engine_wants(t->engine, s, version);
		/* As a worker does: where the current version was NACKed, what was good before heals the client. */
		if (!wants && engine_sub_has_nacked(s, version) && *engine_sub_acked(s)) {
			version = engine_sub_acked(s);
			wants = engine_wants(t->engine, s, version);
		}
		if (wants) {
			char copy[ENGINE_VERSION_LEN + 1];
			(void)snprintf(copy, sizeof copy, "%s", version);
			engine_offered(t->engine, s, copy, t->now_ms, nonce);
			script_effect(t, "%s=%s", name, copy);
			script_nonce(t, nonce);
		}
	}
}

static void script_mark(void *arg, struct engine_sub *s)
{
	engine_mark(arg, s);
}

static void script_set(struct script *t, const char *name, const char *version)
{
	struct script_secret *w = script_find(t, name);
	if (!w) {
		assert_true(t->world_count < SCRIPT_NAMES_MAX);
		w = &t->world[t->world_count++];
		(void)snprintf(w->name, sizeof w->name, "%s", name);
	}
	(void)snprintf(w->version, sizeof w->version, "%s", version);
	struct engine_sub *s = engine_find(t->engine, name, strlen(name));
	if (s)
		engine_mark(t->engine, s);
}

/* "a,b" as views into list; "" is no name, "," two empty ones. */
static size_t script_list(char *list, struct view *ret)
{
	size_t n = 0;
	if (!*list)
		return 0;
	for (char *at = list;; at++) {
		char *end = strchr(at, ',');
		ret[n++] = (struct view){at, end ? (size_t)(end - at) : strlen(at)};
		if (!end)
			return n;
		at = end;
	}
}

static size_t script_initial(char *list, struct request_version *ret)
{
	struct view views[SCRIPT_NAMES_MAX];
	size_t n = script_list(list, views);
	for (size_t i = 0; i < n; i++) {
		const char *colon = memchr(views[i].at, ':', views[i].len);
		assert_non_null(colon);
		size_t len = (size_t)(colon - views[i].at);
		ret[i].name = (struct view){views[i].at, len};
		ret[i].version = (struct view){colon + 1, views[i].len - len - 1};
	}
	return n;
}

static void script_request(struct script *t, char *words)
{
	struct view names[SCRIPT_NAMES_MAX], unsubscribe[SCRIPT_NAMES_MAX];
	struct request_version initial[SCRIPT_NAMES_MAX];
	char nonce[64];
	struct request r = {.delta = engine_mode(t->engine) == ENGINE_DELTA,
		.names = names,
		.unsubscribe = unsubscribe,
		.initial = initial};
	for (char *save = NULL, *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		assert_non_null(value);
		*value++ = 0;
		if (!strcmp(word, "names") || !strcmp(word, "sub")) {
			r.names_count = script_list(value, names);
		} else if (!strcmp(word, "unsub")) {
			r.unsubscribe_count = script_list(value, unsubscribe);
		} else if (!strcmp(word, "initial")) {
			r.initial_count = script_initial(value, initial);
		} else if (!strcmp(word, "nonce")) {
			(void)snprintf(nonce, sizeof nonce, "%s%s", *value == '#' ? SCRIPT_PREFIX "-" : "",
				*value == '#' ? value + 1 : value);
			r.nonce = (struct view){nonce, strlen(nonce)};
		} else if (!strcmp(word, "version")) {
			r.version_info = (struct view){value, strlen(value)};
		} else if (!strcmp(word, "error")) {
			r.has_error = true;
			r.error_code = 13;
			r.error_text = (struct view){value, strlen(value)};
		} else {
			fail_msg("%s?", word);
		}
	}
	struct engine_close close = engine_request(t->engine, &r, t->now_ms);
	if (close.grpc_status) {
		assert_non_null(close.text);
		script_effect(t, "close(%d)", close.grpc_status);
		t->closed = true;
	}
}

static void script_event(struct script *t, const char *event)
{
	char words[4096], name[32], version[33];
	long long ms;
	(void)snprintf(words, sizeof words, "%s", event);
	if (sscanf(event, "set %31s %32s", name, version) == 2) {
		script_set(t, name, version);
	} else if (sscanf(event, "hold %31s", name) == 1 || sscanf(event, "free %31s", name) == 1) {
		script_find(t, name)->held = event[0] == 'h';
		engine_each(t->engine, script_mark, t->engine);
	} else if (sscanf(event, "at %lld", &ms) == 1) {
		t->now_ms = ms;
		engine_wake(t->engine, ms);
	} else if (sscanf(event, "reoffer %lld", &ms) == 1) {
		script_effect(t, "%zu", engine_reoffer(t->engine, ms));
	} else if (!strcmp(event, "half")) {
		engine_half_close(t->engine);
	} else {
		script_request(t, words);
	}
}

static void script_run(
	enum engine_mode mode, const struct engine_limits *limits, const struct step *steps, size_t count)
{
	struct script t = {.limits = *limits};
	t.events = (struct engine_events){&t, script_subscribed, script_unsubscribed, script_acked, script_nacked};
	t.engine = engine_new(mode, &t.limits, &t.events, SCRIPT_PREFIX);
	for (size_t i = 0; i < count; i++) {
		buf_truncate(&t.effects, 0);
		script_event(&t, steps[i].event);
		for (struct engine_sub *s; !t.closed && (s = engine_next(t.engine));)
			script_answer(&t, s);
		if (engine_is_done(t.engine))
			script_effect(&t, "done");
		if (engine_wake_at_ms(t.engine) != INT64_MAX)
			script_effect(&t, "wake(%lld)", (long long)engine_wake_at_ms(t.engine));
		if (strcmp(buf_text(&t.effects), steps[i].effects) != 0)
			fail_msg("step %zu, %s:\n  got      %s\n  expected %s", i + 1, steps[i].event,
				buf_text(&t.effects), steps[i].effects);
	}
	engine_free(t.engine);
	buf_free(&t.effects);
}

#define SCRIPT_RUN(mode, limits, ...)                                                                                  \
	do {                                                                                                           \
		static const struct step steps_[] = {__VA_ARGS__};                                                     \
		script_run((mode), (limits), steps_, ARRAY_LEN(steps_));                                               \
	} while (0)
#endif
