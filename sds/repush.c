/* sds/repush.c - what a delta ADS stream holds is sent anew from time to time, where the config asks for it.
 * Envoy #47309: over ADS a second user of a known name (another listener, or the same one with another time-out) waits
 * for an answer to a request that Envoy never sends; a SotW client at least repeats its last one. Equal content costs
 * Envoy nothing: it compares by hash. One name at a time and at random, so that neither a stream with many names nor
 * many streams answer in one burst. */
#include "sds/internal.h"

/* Between two names of one stream there is at least this. */
#define GAP_MIN_MS INT64_C(100)

/* From half to one and a half times the mean. */
static int64_t jittered(const struct call *c, uint64_t count, int64_t mean_ms)
{
	const uint64_t unique[3] = {c->worker->number, c->id, count};
	return mean_ms / 2 + (int64_t)(table_hash(unique, sizeof unique) % (uint64_t)(mean_ms + 1));
}

static void plan(struct repush *r, const struct call *c, const struct engine *e)
{
	size_t names = engine_count(e);
	int64_t gap = c->worker->server->o.repush_ms / (int64_t)(names ? names : 1);
	r->at_ms = c->worker->now_ms + jittered(c, r->count++, gap > GAP_MIN_MS ? gap : GAP_MIN_MS);
}

void repush_begin(struct repush *r, const struct call *c, const struct engine *e)
{
	r->at_ms = INT64_MAX;
	r->count = 0;
	if (c->method->ads && engine_mode(e) == ENGINE_DELTA && c->worker->server->o.repush_ms > 0)
		plan(r, c, e);
}

void repush_run(struct repush *r, const struct call *c, struct engine *e)
{
	if (c->worker->now_ms < r->at_ms)
		return;
	(void)engine_refresh(e);
	plan(r, c, e);
}
