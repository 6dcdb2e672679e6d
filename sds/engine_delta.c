/* sds/engine_delta.c - reading DeltaDiscoveryRequests (incremental): each says what to add and what to drop.
 * Answers and lists in one request are independent of each other, and lists count whatever the nonce is. */
#include "sds/engine_internal.h"

static const struct view wildcard = {"*", 1};

static struct engine_sub *find_offer(struct engine *e, uint64_t number)
{
	struct engine_sub *s;
	DL_FOREACH2(e->unanswered, s, line_next)
	{
		if (s->offer == number)
			return s;
	}
	return NULL;
}

static void take_answer(struct engine *e, const struct request *r, int64_t now_ms)
{
	uint64_t number = engine_nonce_number(e, r->nonce);
	struct engine_sub *s = number ? find_offer(e, number) : NULL;
	if (s && r->has_error)
		engine_take_nack(e, s, r);
	else if (s)
		engine_take_ack(e, s, now_ms);
}

static bool subscribe(struct engine *e, struct view name)
{
	struct engine_sub *s = engine_find(e, name.at, name.len);
	if (!s)
		return engine_add(e, name);
	/* The client asks for what it has subscribed to already: it wants to hear it again. */
	engine_ask(e, s);
	return true;
}

/* A name in both lists is dropped and subscribed to afresh: losing it would be worse than sending it once more. */
static bool take_names(struct engine *e, const struct request *r)
{
	for (size_t i = 0; i < r->unsubscribe_count; i++) {
		struct engine_sub *s = engine_find(e, r->unsubscribe[i].at, r->unsubscribe[i].len);
		if (s)
			engine_remove(e, s);
	}
	for (size_t i = 0; i < r->names_count; i++)
		if (!subscribe(e, r->names[i]))
			return false;
	/* An empty first request is the protocol's wildcard, which secrets do not have. Envoy opens like that for an
	 * on-demand handshake with the server name "*", and waits: removed_resources ["*"] ends it. */
	return e->begun || r->names_count || subscribe(e, wildcard);
}

struct engine_close engine_delta_request(struct engine *e, const struct request *r, int64_t now_ms)
{
	take_answer(e, r, now_ms);
	if (!take_names(e, r))
		return engine_refuse(e);
	/* Later ones are to be ignored (discovery.proto, initial_resource_versions), and so are names not asked for. */
	for (size_t i = 0; !e->begun && i < r->initial_count; i++) {
		struct engine_sub *s = engine_find(e, r->initial[i].name.at, r->initial[i].name.len);
		if (s)
			engine_claim(s, r->initial[i].version);
	}
	engine_announce(e);
	return (struct engine_close){0, NULL};
}
