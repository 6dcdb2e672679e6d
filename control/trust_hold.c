#include "control/trust_hold.h"

const char *trust_wait_name(enum trust_wait w)
{
	static const char *const names[] = {"", "silent", "refused", "away"};
	return names[w];
}

enum trust_wait trust_wait_of(const struct trust_hold_facts *f, const struct trust_verifier *v, int64_t now_ms)
{
	if (v->holds || v->passed)
		return TRUST_WAIT_NONE;
	if (v->connected)
		return v->refused ? TRUST_WAIT_REFUSED : TRUST_WAIT_SILENT;
	bool seen_lately = now_ms - v->since_ms < f->leaf_life_ms;
	bool soaking = now_ms - f->shown_ms < f->soak_ms;
	return seen_lately && soaking ? TRUST_WAIT_AWAY : TRUST_WAIT_NONE;
}

struct trust_hold trust_hold(const struct trust_hold_facts *f, int64_t now_ms)
{
	struct trust_hold h = {false, 0};
	for (size_t i = 0; i < f->count; i++)
		h.waited_for += trust_wait_of(f, &f->verifiers[i], now_ms) != TRUST_WAIT_NONE;
	h.ready = h.waited_for == 0 && now_ms >= f->settled_ms;
	return h;
}

int64_t trust_patience_ends_ms(int64_t not_after_ms, int64_t life_ms)
{
	return not_after_ms - life_ms / 5;
}
