/* control/outage.c - what is said and done while renewals fail, louder as life runs out: log, metric, readiness; and at
 * the end what the secret's policy says. A certificate that is renewed as planned never comes here: the latest renewal
 * begins with a fifth of its life left. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

enum { LOW_PERCENT = 15, CRITICAL_PERCENT = 5 };

enum life_level outage_level(int64_t not_after_ms, int64_t life_ms, int64_t now_ms)
{
	int64_t left = not_after_ms - now_ms;
	if (left <= 0)
		return LIFE_EXPIRED;
	if (left < life_ms / 100 * CRITICAL_PERCENT)
		return LIFE_CRITICAL;
	return left < life_ms / 100 * LOW_PERCENT ? LIFE_LOW : LIFE_OK;
}

const char *life_level_name(enum life_level level)
{
	static const char *const names[] = {"ok", "low", "critical", "expired"};
	return names[level];
}

/* A bundle has no life of its own: its anchors end one by one, and the authorities show others. */
enum life_level entry_life_level(const struct entry *e, int64_t now_ms)
{
	const struct version *v = e->current;
	if (!v || e->kind != SECRET_TLS_CERTIFICATE)
		return LIFE_OK;
	return outage_level(version_not_after_ms(v), version_life_ms(v), now_ms);
}

bool entry_is_withheld(const struct entry *e)
{
	return e->def && e->def->on_expiry == EXPIRY_WITHDRAW &&
	       entry_life_level(e, control_now_ms(e->control)) == LIFE_EXPIRED;
}

static void tell(const struct entry *e, enum life_level level, int64_t now_ms)
{
	static const char *const effects[] = {[LIFE_LOW] = "it is served, and its renewal is tried again",
		[LIFE_CRITICAL] = "it is served, and its renewal is tried again; without it connections fail soon"};
	const struct version *v = e->current;
	const char *why = e->last_error ? e->last_error : e->def ? "" : "it was put: put a new one";
	if (level == LIFE_EXPIRED)
		log_event(LOG_ERROR, "secret.expired", LS("secret", entry_key_text(e->key)),
			LS("version", version_id(v)), LT("not_after", version_not_after_ms(v)),
			LI("subscribers", e->subscriber_count),
			LS("effect", entry_is_withheld(e)
					     ? "new streams wait for its renewal; running proxies keep what they hold"
					     : "it is still served; peers will refuse it"),
			LS("why", why));
	else
		log_event(level == LIFE_LOW ? LOG_WARN : LOG_ERROR, "secret.expires_soon",
			LS("secret", entry_key_text(e->key)), LS("version", version_id(v)),
			LS("level", life_level_name(level)), LI("life_left_ms", version_not_after_ms(v) - now_ms),
			LI("subscribers", e->subscriber_count), LS("effect", effects[level]), LS("why", why));
}

void outage_watch(struct entry *e, int64_t now_ms)
{
	enum life_level level = entry_life_level(e, now_ms);
	if (level > e->told_level) /* each once per version; a clock that goes back takes nothing back */
		tell(e, level, now_ms);
	if (level == LIFE_EXPIRED && e->told_level != LIFE_EXPIRED && entry_is_withheld(e))
		publish_absent(e, OUTLET_ALL_WORKERS, ABSENT_PENDING);
	e->told_level = level;
}

const struct entry *outage_expired(const struct control *c)
{
	int64_t now = control_now_ms(c);
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		if (e->def && entry_life_level(e, now) == LIFE_EXPIRED &&
			(e->subscribers || entry_key_attribute_count(e->key) == 0))
			return e;
	return NULL;
}
