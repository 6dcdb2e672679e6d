/* A client that keeps the rules, as Envoy does, behind two queues that hold what is under way; and one that keeps none.
 * Where the engine's world comes to rest, the correct client must hold the latest of all that it wants: no name lost,
 * last state wins. */
#ifndef TESTS_UNIT_SDS_ENGINE_CLIENT_H
#define TESTS_UNIT_SDS_ENGINE_CLIENT_H
#include "tests/unit/sds/engine_model.h"

enum { QUEUE_MAX = 1024 };

struct client {
	struct model model;
	struct dice *dice;
	struct model_request requests[QUEUE_MAX];
	size_t requests_count;
	struct model_response responses[QUEUE_MAX];
	size_t responses_count;
	uint64_t want, again, doubtful; /* by bits; again: asked, and not answered yet */
	int held[MODEL_NAMES];
	uint64_t nonce;
	int version; /* of the newest, 1 and up */
	/* While Envoy applies clusters it keeps requests back (SotW) and sends one in their place. */
	bool paused, pending, pending_error;
	unsigned merged;
	uint64_t merged_names, dropped;
};

static void client_respond(void *arg, struct model_response r)
{
	struct client *c = arg;
	MODEL_CHECK(c->responses_count < QUEUE_MAX);
	c->responses[c->responses_count++] = r;
}

/* Every fourth version is one that it cannot load. */
static bool client_rejects(int version)
{
	return version % 4 == 3;
}

static void client_send(struct client *c, struct model_request q)
{
	MODEL_CHECK(c->requests_count < QUEUE_MAX);
	c->requests[c->requests_count++] = q;
}

static void client_send_sotw(struct client *c, bool error)
{
	c->pending_error |= error;
	c->pending = c->paused;
	if (c->paused)
		return;
	client_send(c, (struct model_request){.names = c->want, .nonce = c->nonce, .error = c->pending_error});
	/* Which of several was bad, the server cannot know: what it thinks of them may be wrong. */
	if (c->pending_error && c->merged > 1)
		c->doubtful |= c->merged_names;
	c->pending_error = false;
	c->merged = 0;
	c->merged_names = 0;
}

static void client_read(struct client *c)
{
	if (!c->responses_count)
		return;
	struct model_response r = c->responses[0];
	memmove(c->responses, c->responses + 1, --c->responses_count * sizeof *c->responses);
	bool bad = r.version > 0 && client_rejects(r.version);
	c->nonce = r.nonce;
	c->again &= ~bit(r.name);
	if (!bad && (c->want & bit(r.name)))
		c->held[r.name] = r.version;
	if (c->model.mode == ENGINE_DELTA) {
		client_send(c, (struct model_request){.nonce = r.nonce, .error = bad});
		return;
	}
	c->merged++;
	c->merged_names |= bit(r.name);
	client_send_sotw(c, bad);
}

static void client_want(struct client *c, uint64_t add, uint64_t drop)
{
	uint64_t was = c->want;
	/* Dropped and wanted again within one pause: the server is never told, and cannot know (as with #47309). */
	add &= ~c->dropped;
	c->want = (c->want | add) & ~(drop & ~add);
	uint64_t added = c->want & ~was, dropped = was & ~c->want;
	for (unsigned i = 0; i < MODEL_NAMES; i++)
		if (dropped & bit(i))
			c->held[i] = 0;
	c->dropped |= c->paused ? dropped : 0;
	c->again = (c->again | added) & c->want;
	c->doubtful &= c->want;
	if (c->model.mode == ENGINE_SOTW)
		client_send_sotw(c, false);
	else if (added | dropped)
		client_send(c, (struct model_request){.names = added, .unsubscribe = dropped});
}

/* A second user of known names appears: SotW repeats the last request, delta asks again. */
static void client_ask_again(struct client *c, uint64_t names)
{
	if (c->model.mode == ENGINE_DELTA) {
		names &= c->want;
		c->again |= names;
		if (names)
			client_send(c, (struct model_request){.names = names});
	} else if (!c->paused && c->want) {
		c->again |= c->want;
		client_send_sotw(c, false);
	}
}

static void client_resume(struct client *c)
{
	c->paused = false;
	c->dropped = 0;
	if (c->pending)
		client_send_sotw(c, false);
	c->pending = false;
}

static void client_serve(struct client *c)
{
	if (!c->requests_count)
		return;
	struct model_request q = c->requests[0];
	memmove(c->requests, c->requests + 1, --c->requests_count * sizeof *c->requests);
	model_take(&c->model, &q);
}

static void client_reconnect(struct client *c)
{
	model_close(&c->model);
	model_open(&c->model);
	c->requests_count = c->responses_count = 0;
	c->paused = c->pending = c->pending_error = false;
	c->merged = 0;
	c->merged_names = c->doubtful = c->dropped = 0;
	c->nonce = 0;
	c->again = c->want;
	client_send(c,
		(struct model_request){.names = c->want, .claimed = c->model.mode == ENGINE_DELTA ? c->want | 5 : 0});
}

static void client_settle(struct client *c)
{
	while (c->requests_count || c->responses_count) {
		client_serve(c);
		client_read(c);
	}
}

/* Let all come to rest, then compare what the client has with what there is. */
static void client_check(struct client *c)
{
	client_resume(c);
	client_settle(c);
	for (int i = 0; i < 2; i++) {
		model_wait(&c->model, 2000);
		client_settle(c);
	}
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		if (!(c->want & bit(i)) || (c->doubtful & bit(i)))
			continue;
		int w = current(&c->model, i);
		if (is_spared(&c->model, i))
			continue; /* it holds what it held: an older version that is still valid */
		bool told = w > 0 ? !client_rejects(w) : w == ABSENT && c->model.mode == ENGINE_DELTA;
		if (!told)
			continue;
		MODEL_CHECK(c->held[i] == (w > 0 ? w : REMOVED));
		MODEL_CHECK(!(c->again & bit(i)));
	}
}

static uint64_t roll_names(struct dice *d)
{
	uint64_t names = 0;
	for (unsigned n = roll(d, 8) == 0 ? 36 : roll(d, 4); n; n--)
		names |= bit(roll(d, MODEL_NAMES));
	return names;
}

static void client_change_world(struct client *c)
{
	unsigned i = roll(c->dice, MODEL_NAMES), what = roll(c->dice, 12);
	int w = current(&c->model, i);
	if (what == 8)
		model_spare(&c->model, i, true);
	else if (what == 9)
		model_spare(&c->model, i, false);
	else if (what == 10 && w > 0)
		model_forgive(&c->model, i, w);
	else if (what == 0)
		model_set(&c->model, i, ABSENT);
	else if (what == 1)
		model_set(&c->model, i, MAKING);
	else if (what == 2) /* an old one is put back */
		model_set(&c->model, i, 1 + (int)roll(c->dice, 4));
	else
		model_set(&c->model, i, ++c->version);
}

static void client_step(struct client *c)
{
	switch (roll(c->dice, 16)) {
	case 0:
	case 1:
		client_want(c, roll_names(c->dice), roll_names(c->dice));
		break;
	case 2:
		client_ask_again(c, roll_names(c->dice));
		break;
	case 3:
		if (c->model.mode == ENGINE_SOTW && !c->paused)
			c->paused = true;
		else
			client_resume(c);
		break;
	case 4:
		model_wait(&c->model, roll(c->dice, 200) * 10);
		break;
	case 5:
		if (roll(c->dice, 8) == 0)
			client_reconnect(c);
		else if (c->model.mode == ENGINE_DELTA && roll(c->dice, 8) == 0)
			model_refresh(&c->model);
		else if (roll(c->dice, 4) == 0)
			model_reoffer(&c->model, c->model.now_ms - (int64_t)roll(c->dice, 100) * 10);
		break;
	case 6:
		client_check(c);
		break;
	case 7:
	case 8:
	case 9:
		client_change_world(c);
		break;
	case 10:
	case 11:
	case 12:
		client_read(c);
		break;
	default:
		client_serve(c);
	}
}

/* Nonces and lists at will. */
static void hostile_step(struct client *c)
{
	struct model_request q = {0};
	unsigned what = roll(c->dice, 16);
	c->responses_count = 0;
	if (what == 0 && c->model.mode == ENGINE_DELTA && roll(c->dice, 4) == 0) {
		model_refresh(&c->model);
	} else if (what == 0) {
		model_wait(&c->model, roll(c->dice, 200) * 10);
	} else if (what == 1) {
		model_reoffer(&c->model, c->model.now_ms - (int64_t)roll(c->dice, 100) * 10);
	} else if (what < 6) {
		client_change_world(c);
	} else if (what == 6 && roll(c->dice, 16) == 0) {
		model_half_close(&c->model);
	} else if (!c->model.half_closed) {
		unsigned nonce = roll(c->dice, 40);
		q.names = what < 10 ? c->want : roll_names(c->dice);
		q.unsubscribe = c->model.mode == ENGINE_DELTA && what > 12 ? roll_names(c->dice) : 0;
		q.claimed = q.names & 0x55;
		q.error = roll(c->dice, 4) == 0;
		q.nonce = nonce == 0		    ? 0
			  : nonce == 1		    ? UINT64_MAX
			  : nonce == 2		    ? c->model.offers + roll(c->dice, 3)
			  : c->model.offers > nonce ? c->model.offers - nonce + 3
						    : nonce;
		c->want = q.names;
		model_take(&c->model, &q);
	}
}

static void client_run(struct dice *d)
{
	struct client *c = mem_new(struct client);
	unsigned kind = roll(d, 4);
	c->dice = d;
	c->model.mode = kind & 1 ? ENGINE_DELTA : ENGINE_SOTW;
	c->model.respond = client_respond;
	c->model.arg = c;
	c->version = 8;
	model_open(&c->model);
	if (kind & 2) {
		while (d->left)
			hostile_step(c);
	} else {
		client_send(c, (struct model_request){.names = c->want = roll_names(d)});
		c->again = c->want;
		while (d->left && c->requests_count < QUEUE_MAX / 2 && c->responses_count < QUEUE_MAX / 2)
			client_step(c);
		client_check(c);
	}
	model_close(&c->model);
	free(c);
}
#endif
