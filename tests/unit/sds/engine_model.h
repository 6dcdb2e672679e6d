/* A naive model of what an engine must do, run beside it: arrays instead of lines and tables, every rule spelled out
 * once more. Whatever is asked, by a correct client or not, the engine's events and offers are compared with it after
 * each step:
 *   - nothing is sent that was not asked for, and no name that has something to be sent is left out;
 *   - at most one unanswered offer per name and ENGINE_WINDOW per stream, under nonces never used before;
 *   - the latest state is what is sent, the same state not again unless asked for, a NACKed one never, unless it was
 *     forgiven; what the quarantine keeps from a client that holds something else is not sent, that is once more.
 * A failed check aborts, so that a fuzzer sees it, too. */
#ifndef TESTS_UNIT_SDS_ENGINE_MODEL_H
#define TESTS_UNIT_SDS_ENGINE_MODEL_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/mem.h"
#include "sds/engine.h"
#include "sds/request.h"

#define MODEL_CHECK(cond)                                                                                              \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                               \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* -- choices: from a seed, or from a fuzzer's bytes -- */

struct dice {
	const uint8_t *at; /* NULL: from the seed */
	size_t left;	   /* bytes, or rolls */
	uint64_t seed;
};

static unsigned roll(struct dice *d, unsigned sides)
{
	if (!d->left)
		return 0;
	d->left--;
	if (d->at)
		return *d->at++ % sides;
	d->seed ^= d->seed << 13;
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	return (unsigned)((d->seed >> 33) % sides);
}

/* -- */

/* The last two are names that no secret can have. */
enum { MODEL_NAMES = 40, MODEL_EMPTY = 38, MODEL_STAR = 39, ABSENT = 0, MAKING = -1, REMOVED = -2 };

struct model_sub {
	bool subscribed, asked, owed, gone;
	int sent, acked; /* versions; 0 none */
	int nacked[ENGINE_NACKED_MAX];
	unsigned nacks;
	uint64_t offer; /* its number while unanswered */
	int offered;	/* the version; REMOVED */
	int64_t offered_at_ms;
};

struct model_request {
	uint64_t names, unsubscribe, claimed; /* by bits */
	uint64_t nonce;			      /* a number; 0 no nonce, UINT64_MAX rubbish */
	bool error;
};

struct model_response {
	unsigned name;
	int version; /* or REMOVED */
	uint64_t nonce;
};

struct model_heard { /* events */
	uint64_t subscribed, unsubscribed;
	int acked[MODEL_NAMES], nacked[MODEL_NAMES];
};

struct model {
	enum engine_mode mode;
	struct engine *engine;
	struct engine_limits limits;
	struct engine_events events;
	struct model_sub subs[MODEL_NAMES];
	int world[MODEL_NAMES];
	bool spared[MODEL_NAMES]; /* by the quarantine: while the client holds another version, that one is offered */
	struct model_heard heard;
	bool begun, half_closed, repeat_due;
	uint64_t offers, answered;
	int64_t now_ms, repeat_free_at_ms;
	/** Where responses go. */
	void (*respond)(void *arg, struct model_response r);
	void *arg;
};

static const char *model_name(unsigned i, char *ret)
{
	(void)snprintf(ret, 8, "n%u", i);
	return i == MODEL_EMPTY ? "" : i == MODEL_STAR ? "*" : ret;
}

static unsigned model_index(const struct engine_sub *s)
{
	size_t len;
	const char *name = engine_sub_name(s, &len);
	MODEL_CHECK(strlen(name) == len);
	return !len ? MODEL_EMPTY : *name == '*' ? MODEL_STAR : (unsigned)strtoul(name + 1, NULL, 10);
}

static uint64_t bit(unsigned i)
{
	return UINT64_C(1) << i;
}

static int model_version(const char *text)
{
	return *text ? atoi(text + 1) : 0;
}

static void heard_subscribed(void *arg, struct engine_sub *s)
{
	struct model *m = arg;
	MODEL_CHECK(!(m->heard.subscribed & bit(model_index(s))));
	m->heard.subscribed |= bit(model_index(s));
	engine_sub_set_user(s, m);
}

static void heard_unsubscribed(void *arg, struct engine_sub *s)
{
	struct model *m = arg;
	MODEL_CHECK(engine_sub_user(s) == m && !(m->heard.unsubscribed & bit(model_index(s))));
	m->heard.unsubscribed |= bit(model_index(s));
}

static void heard_acked(void *arg, struct engine_sub *s, const char *version, int64_t push_to_ack_ms)
{
	struct model *m = arg;
	MODEL_CHECK(!m->heard.acked[model_index(s)]);
	MODEL_CHECK(push_to_ack_ms == m->now_ms - m->subs[model_index(s)].offered_at_ms);
	m->heard.acked[model_index(s)] = model_version(version);
}

static void heard_nacked(
	void *arg, struct engine_sub *s, const char *version, int code, const char *text, size_t text_len)
{
	struct model *m = arg;
	MODEL_CHECK(!m->heard.nacked[model_index(s)] && code == 13 && text_len == 3 && !strcmp(text, "bad"));
	m->heard.nacked[model_index(s)] = model_version(version);
}

static void model_open(struct model *m)
{
	memset(m->subs, 0, sizeof m->subs);
	memset(&m->heard, 0, sizeof m->heard);
	m->begun = m->half_closed = m->repeat_due = false;
	m->offers = m->answered = 0;
	m->repeat_free_at_ms = INT64_MIN;
	m->events = (struct engine_events){m, heard_subscribed, heard_unsubscribed, heard_acked, heard_nacked};
	m->limits = (struct engine_limits){.names = MODEL_NAMES, .resend_on_repeat_ms = 1000};
	m->engine = engine_new(m->mode, &m->limits, &m->events, "m");
}

static void model_close(struct model *m)
{
	uint64_t left = 0;
	for (unsigned i = 0; i < MODEL_NAMES; i++)
		left |= m->subs[i].subscribed ? bit(i) : 0;
	memset(&m->heard, 0, sizeof m->heard);
	engine_free(m->engine);
	MODEL_CHECK(m->heard.unsubscribed == left);
}

/* -- what must follow from a request -- */

static bool has_nacked(const struct model_sub *s, int version)
{
	for (unsigned i = 0; i < ENGINE_NACKED_MAX; i++)
		if (version && s->nacked[i] == version)
			return true;
	return false;
}

static void expect_answer(struct model_sub *s, bool nack, int *ret_acked, int *ret_nacked)
{
	s->offer = 0;
	if (s->offered == REMOVED)
		return;
	if (!nack) {
		s->acked = *ret_acked = s->offered;
	} else {
		*ret_nacked = s->offered;
		s->nacked[s->nacks++ % ENGINE_NACKED_MAX] = s->offered;
	}
}

static void expect_subscribe(struct model_sub *s)
{
	if (!s->subscribed)
		*s = (struct model_sub){.subscribed = true};
	s->asked = s->owed = true;
}

static void expect_resend(struct model *m)
{
	m->repeat_due = false;
	m->repeat_free_at_ms = m->now_ms + m->limits.resend_on_repeat_ms;
	for (unsigned i = 0; i < MODEL_NAMES; i++)
		if (m->subs[i].subscribed && !m->subs[i].offer)
			m->subs[i].asked = m->subs[i].owed = true;
}

static void expect_sotw(struct model *m, const struct model_request *q, struct model_heard *h)
{
	uint64_t number = q->nonce == UINT64_MAX ? 0 : q->nonce;
	bool repeats = m->begun && !q->error && (!q->nonce || (number && number == m->answered));
	bool answers = number > m->answered && number <= m->offers;
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		struct model_sub *s = &m->subs[i];
		if (!answers || !s->offer || s->offer > number)
			continue;
		if (q->error && s->offer != number)
			s->offer = 0;
		else
			expect_answer(s, q->error, &h->acked[i], &h->nacked[i]);
	}
	if (answers)
		m->answered = number;
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		bool named = q->names & bit(i);
		if (named == m->subs[i].subscribed)
			continue;
		repeats = false;
		*(named ? &h->subscribed : &h->unsubscribed) |= bit(i);
		if (named)
			expect_subscribe(&m->subs[i]);
		else
			m->subs[i] = (struct model_sub){0};
	}
	if (repeats && m->now_ms < m->repeat_free_at_ms)
		m->repeat_due = true;
	else if (repeats)
		expect_resend(m);
}

static void expect_delta(struct model *m, const struct model_request *q, struct model_heard *h)
{
	uint64_t names = q->names;
	if (!m->begun && !names)
		names = bit(MODEL_STAR);
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		struct model_sub *s = &m->subs[i];
		if (s->subscribed && s->offer && s->offer == q->nonce)
			expect_answer(s, q->error, &h->acked[i], &h->nacked[i]);
		if (s->subscribed && (q->unsubscribe & bit(i))) {
			h->unsubscribed |= bit(i);
			*s = (struct model_sub){0};
		}
		if (!(names & bit(i)))
			continue;
		if (!s->subscribed)
			h->subscribed |= bit(i);
		expect_subscribe(s);
	}
}

/* -- what must be sent -- */

static size_t unanswered(const struct model *m)
{
	size_t n = 0;
	for (unsigned i = 0; i < MODEL_NAMES; i++)
		n += m->subs[i].subscribed && m->subs[i].offer;
	return n;
}

static int current(const struct model *m, unsigned i)
{
	return i == MODEL_EMPTY || i == MODEL_STAR ? ABSENT : m->world[i];
}

static bool is_spared(const struct model *m, unsigned i)
{
	return m->spared[i] && m->subs[i].acked && m->subs[i].acked != current(m, i);
}

/* The version to be sent now, REMOVED, or 0 for nothing. */
static int to_send(const struct model *m, unsigned i)
{
	const struct model_sub *s = &m->subs[i];
	int w = current(m, i);
	if (!s->subscribed || s->offer || (m->half_closed && !s->owed) || w == MAKING)
		return 0;
	if (w == ABSENT)
		return m->mode == ENGINE_DELTA && (!s->gone || s->asked) ? REMOVED : 0;
	if (has_nacked(s, w) || is_spared(m, i))
		w = s->acked; /* what was good heals it */
	return w && !has_nacked(s, w) && (s->asked || s->sent != w) ? w : 0;
}

static void sent(struct model *m, unsigned i, int version, const char *nonce)
{
	struct model_sub *s = &m->subs[i];
	char expected[ENGINE_NONCE_MAX];
	MODEL_CHECK(version == REMOVED || !has_nacked(s, version));
	MODEL_CHECK(s->subscribed && !s->offer);
	(void)snprintf(expected, sizeof expected, "m-%llu", (unsigned long long)++m->offers);
	MODEL_CHECK(!strcmp(nonce, expected));
	MODEL_CHECK(m->half_closed || unanswered(m) < ENGINE_WINDOW);
	s->asked = s->owed = false;
	s->gone = version == REMOVED;
	s->sent = version == REMOVED ? 0 : version;
	if (s->gone)
		s->acked = 0;
	s->offered = version;
	s->offered_at_ms = m->now_ms;
	s->offer = m->half_closed || (s->gone && i == MODEL_STAR) ? 0 : m->offers;
	m->respond(m->arg, (struct model_response){i, version, m->offers});
}

/* The worker's part: look the state up, tell the engine; its decisions are compared. */
static void model_answer(struct model *m, struct engine_sub *sub)
{
	unsigned i = model_index(sub);
	struct model_sub *s = &m->subs[i];
	char nonce[ENGINE_NONCE_MAX], version[16];
	int w = current(m, i), expected = to_send(m, i);
	MODEL_CHECK(s->subscribed && !s->offer);
	MODEL_CHECK(engine_sub_is_possible(sub) == (i != MODEL_EMPTY && i != MODEL_STAR));
	if (w == MAKING) {
		engine_pending(m->engine, sub);
	} else if (w == ABSENT) {
		bool tell = engine_absent(m->engine, sub, m->now_ms, nonce);
		MODEL_CHECK(tell == (expected == REMOVED));
		s->sent = 0;
		s->asked = s->owed = false;
		if (tell)
			sent(m, i, REMOVED, nonce);
	} else {
		(void)snprintf(version, sizeof version, "v%d", is_spared(m, i) ? s->acked : w);
		bool wants = engine_wants(m->engine, sub, version);
		MODEL_CHECK(wants == (expected == model_version(version)));
		if (!wants && engine_sub_has_nacked(sub, version) && *engine_sub_acked(sub)) {
			(void)snprintf(version, sizeof version, "%s", engine_sub_acked(sub));
			wants = engine_wants(m->engine, sub, version);
		}
		MODEL_CHECK(wants == (expected != 0) && (!wants || model_version(version) == expected));
		s->owed = false;
		if (wants) {
			engine_offered(m->engine, sub, version, m->now_ms, nonce);
			sent(m, i, expected, nonce);
		}
	}
}

static void count_one(void *arg, struct engine_sub *s)
{
	(void)s;
	++*(size_t *)arg;
}

static void model_pull(struct model *m)
{
	size_t subscribed = 0, counted = 0, owed = 0;
	int64_t oldest = INT64_MAX;
	for (struct engine_sub *s; (s = engine_next(m->engine));)
		model_answer(m, s);
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		const struct model_sub *s = &m->subs[i];
		char text[8];
		const char *name = model_name(i, text);
		const struct engine_sub *found = engine_find(m->engine, name, strlen(name));
		MODEL_CHECK((found != NULL) == s->subscribed);
		if (!found)
			continue;
		MODEL_CHECK(!to_send(m, i) || unanswered(m) == ENGINE_WINDOW);
		MODEL_CHECK(model_version(engine_sub_acked(found)) == s->acked);
		subscribed++;
		owed += s->owed;
		if (s->offer && s->offered_at_ms < oldest)
			oldest = s->offered_at_ms;
	}
	engine_each(m->engine, count_one, &counted);
	MODEL_CHECK(engine_count(m->engine) == subscribed && counted == subscribed);
	MODEL_CHECK(engine_oldest_offer_ms(m->engine) == oldest);
	MODEL_CHECK(engine_is_done(m->engine) == (m->half_closed && !owed));
	MODEL_CHECK(engine_wake_at_ms(m->engine) == (m->repeat_due ? m->repeat_free_at_ms : INT64_MAX));
}

/* -- what can happen -- */

static size_t views_of(uint64_t bits, char (*texts)[8], struct view *ret)
{
	size_t n = 0;
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		if (!(bits & bit(i)))
			continue;
		const char *name = model_name(i, texts[i]);
		ret[n++] = (struct view){name, strlen(name)};
	}
	return n;
}

static void model_take(struct model *m, const struct model_request *q)
{
	static char texts[MODEL_NAMES][8];
	struct view names[MODEL_NAMES], unsubscribe[MODEL_NAMES], claims[MODEL_NAMES];
	struct request_version initial[MODEL_NAMES];
	char nonce[ENGINE_NONCE_MAX] = "";
	struct model_heard expected = {0};
	struct request r = {.delta = m->mode == ENGINE_DELTA,
		.has_error = q->error,
		.error_code = 13,
		.error_text = {"bad", 3},
		.version_info = {"v1", 2},
		.names = names,
		.unsubscribe = unsubscribe,
		.initial = initial};
	r.names_count = views_of(q->names, texts, names);
	r.unsubscribe_count = views_of(q->unsubscribe, texts, unsubscribe);
	r.initial_count = views_of(q->claimed, texts, claims);
	for (size_t i = 0; i < r.initial_count; i++)
		initial[i] = (struct request_version){claims[i], {"v2", 2}};
	if (q->nonce == UINT64_MAX)
		(void)snprintf(nonce, sizeof nonce, "rubbish");
	else if (q->nonce)
		(void)snprintf(nonce, sizeof nonce, "m-%llu", (unsigned long long)q->nonce);
	r.nonce = (struct view){nonce, strlen(nonce)};

	memset(&m->heard, 0, sizeof m->heard);
	struct engine_close close = engine_request(m->engine, &r, m->now_ms);
	MODEL_CHECK(!close.grpc_status);
	if (m->mode == ENGINE_SOTW)
		expect_sotw(m, q, &expected);
	else
		expect_delta(m, q, &expected);
	m->begun = true;
	MODEL_CHECK(m->heard.subscribed == expected.subscribed && m->heard.unsubscribed == expected.unsubscribed);
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		MODEL_CHECK(m->heard.acked[i] == expected.acked[i]);
		MODEL_CHECK(m->heard.nacked[i] == expected.nacked[i]);
	}
	model_pull(m);
}

static void model_set(struct model *m, unsigned i, int version)
{
	char text[8];
	const char *name = model_name(i, text);
	struct engine_sub *s = engine_find(m->engine, name, strlen(name));
	m->world[i] = version;
	if (s)
		engine_mark(m->engine, s);
	model_pull(m);
}

/* The quarantine begins or ends; or it ends and the client's own NACK of this version is forgiven. */
static void model_spare(struct model *m, unsigned i, bool on)
{
	char text[8];
	const char *name = model_name(i, text);
	struct engine_sub *s = engine_find(m->engine, name, strlen(name));
	m->spared[i] = on;
	if (s && !on)
		engine_mark(m->engine, s);
	model_pull(m);
}

static void model_forgive(struct model *m, unsigned i, int version)
{
	char text[8], id[16];
	const char *name = model_name(i, text);
	struct engine_sub *found = engine_find(m->engine, name, strlen(name));
	struct model_sub *s = &m->subs[i];
	(void)snprintf(id, sizeof id, "v%d", version);
	m->spared[i] = false;
	if (found) {
		if (has_nacked(s, version) && !s->offer && s->sent == version)
			s->sent = 0;
		for (unsigned n = 0; n < ENGINE_NACKED_MAX; n++)
			if (s->nacked[n] == version)
				s->nacked[n] = 0;
		engine_forgive(m->engine, found, id);
		engine_mark(m->engine, found);
		MODEL_CHECK(!engine_sub_has_nacked(found, id));
	}
	model_pull(m);
}

/* As if the client had asked for one name anew; every name in its turn. */
static void model_refresh(struct model *m)
{
	uint64_t seen = 0, left = 0;
	for (unsigned i = 0; i < MODEL_NAMES; i++)
		left |= m->subs[i].subscribed ? bit(i) : 0;
	for (size_t n = engine_count(m->engine); n && !m->half_closed; n--) {
		struct engine_sub *found = engine_refresh(m->engine);
		MODEL_CHECK(found);
		struct model_sub *s = &m->subs[model_index(found)];
		seen |= bit(model_index(found));
		if (!s->offer)
			s->asked = s->owed = true;
		model_pull(m);
	}
	MODEL_CHECK(m->half_closed ? !engine_refresh(m->engine) : seen == left);
}

static void model_wait(struct model *m, int64_t ms)
{
	m->now_ms += ms;
	engine_wake(m->engine, m->now_ms);
	if (m->repeat_due && m->now_ms >= m->repeat_free_at_ms)
		expect_resend(m);
	model_pull(m);
}

static void model_reoffer(struct model *m, int64_t made_before_ms)
{
	size_t expected = 0;
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		struct model_sub *s = &m->subs[i];
		if (!s->subscribed || !s->offer || s->offered_at_ms >= made_before_ms)
			continue;
		s->offer = 0;
		s->asked = true;
		expected++;
	}
	MODEL_CHECK(engine_reoffer(m->engine, made_before_ms) == expected);
	model_pull(m);
}

static void model_half_close(struct model *m)
{
	m->half_closed = true;
	for (unsigned i = 0; i < MODEL_NAMES; i++)
		m->subs[i].offer = 0;
	engine_half_close(m->engine);
	model_pull(m);
}
#endif
