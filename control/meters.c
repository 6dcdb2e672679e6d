#include "control/meters.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "base/text.h"
#include "control/internal.h"

enum { SECRETS_MAX = 20000, AUTHORITIES_MAX = 256 };

struct control_meters {
	struct metrics *registry;
	struct metrics_family *issued, *failed, *rejected;
	struct metrics_family *hook_runs, *hook_missed;
	struct counter *denials, *discarded, *unproven, *passed_over, *quarantine[QUARANTINE_EVENTS];
};

static const char *const quarantine_event_names[QUARANTINE_EVENTS] = {
	"held_back", "newer_version", "expired", "retried", "tried_again", "healed", "evicted"};

typedef double secret_value_fn(const struct entry *e);

static void emit_secrets(struct control *c, struct metrics_sink *sink, secret_value_fn *value)
{
	for (const struct entry *e = c->entries; e; e = e->hh.next) {
		if (!e->current && !e->def)
			continue; /* names that are only asked for are a peer's choice: no series for them */
		AUTO(mem_freep) char *safe = text_escaped(entry_key_text(e->key));
		const char *const labels[] = {safe};
		double v = value(e);
		if (v >= 0)
			metrics_emit(sink, labels, v);
	}
}

static double not_after_of(const struct entry *e)
{
	return e->current ? (double)version_not_after_ms(e->current) / 1000 : -1;
}

static double renew_at_of(const struct entry *e)
{
	int64_t at = rotation_renew_at_ms(e);
	return at ? (double)at / 1000 : -1;
}

static double subscribers_of(const struct entry *e)
{
	return (double)e->subscriber_count;
}

static void collect_not_after(void *arg, struct metrics_sink *sink)
{
	emit_secrets(arg, sink, not_after_of);
}

static void collect_renew_at(void *arg, struct metrics_sink *sink)
{
	emit_secrets(arg, sink, renew_at_of);
}

static void collect_subscribers(void *arg, struct metrics_sink *sink)
{
	emit_secrets(arg, sink, subscribers_of);
}

static void collect_authorities(void *arg, struct metrics_sink *sink)
{
	struct control *c = arg;
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		const char *const labels[] = {authority_name(a)};
		metrics_emit(sink, labels, authority_is_ready(a));
	}
}

static void collect_breakers(void *arg, struct metrics_sink *sink)
{
	struct control *c = arg;
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		const char *const labels[] = {authority_name(a)};
		metrics_emit(sink, labels, authority_breaker(a) != BREAKER_CLOSED);
	}
}

static void collect_waiting(void *arg, struct metrics_sink *sink)
{
	struct control *c = arg;
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		const char *const labels[] = {authority_name(a)};
		metrics_emit(sink, labels, (double)authority_waiting(a));
	}
}

static void collect_audit_late(void *arg, struct metrics_sink *sink)
{
	metrics_emit(sink, NULL, (double)audit_late_count(arg));
}

static void collect_memory_only(void *arg, struct metrics_sink *sink)
{
	const struct control *c = arg;
	metrics_emit(sink, NULL, (double)c->memory_only);
}

static void collect_clock(void *arg, struct metrics_sink *sink)
{
	const struct control *c = arg;
	metrics_emit(sink, NULL, c->clock_said_ms ? 1 : 0);
}

static void collect_held(void *arg, struct metrics_sink *sink)
{
	const struct control *c = arg;
	size_t n = 0;
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		n += e->held != NULL;
	metrics_emit(sink, NULL, (double)n);
}

static void collect_life(void *arg, struct metrics_sink *sink)
{
	struct control *c = arg;
	size_t counts[LIFE_LEVELS] = {0};
	int64_t now = control_now_ms(c);
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		if (e->current && e->kind == SECRET_TLS_CERTIFICATE)
			counts[entry_life_level(e, now)]++;
	for (size_t i = 0; i < LIFE_LEVELS; i++) {
		const char *const labels[] = {life_level_name((enum life_level)i)};
		metrics_emit(sink, labels, (double)counts[i]);
	}
}

static void collect_wanted_unknown(void *arg, struct metrics_sink *sink)
{
	const struct control *c = arg;
	size_t n = 0;
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		n += !e->current && !e->def && e->subscribers;
	metrics_emit(sink, NULL, (double)n);
}

static void collect_quarantined(void *arg, struct metrics_sink *sink)
{
	struct control *c = arg;
	size_t counts[VERDICT_VERSION + 1] = {0};
	for (struct entry *e = c->quarantine ? c->entries : NULL; e; e = e->hh.next) {
		const struct verdict v = quarantine_verdict(e);
		counts[v.what] += v.refused;
	}
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		const char *const labels[] = {control_verdict_name((enum control_verdict)i)};
		metrics_emit(sink, labels, (double)counts[i]);
	}
}

static void collect_audit_file(void *arg, struct metrics_sink *sink)
{
	int64_t behind = audit_file_behind(arg);
	if (behind >= 0)
		metrics_emit(sink, NULL, (double)behind);
}

static void emit_waiting(void *arg, const char *hook, size_t waiting)
{
	const char *const labels[] = {hook};
	metrics_emit(arg, labels, (double)waiting);
}

static void collect_hooks(void *arg, struct metrics_sink *sink)
{
	hooks_each_waiting(arg, emit_waiting, sink);
}

static void collect_secret_memory(void *arg, struct metrics_sink *sink)
{
	(void)arg;
	static const char *const locked[] = {"locked"}, *const unlocked[] = {"unlocked"}, *const used[] = {"used"};
	struct secret_usage u = secret_usage();
	metrics_emit(sink, locked, (double)u.locked_bytes);
	metrics_emit(sink, unlocked, (double)u.unlocked_bytes);
	metrics_emit(sink, used, (double)u.used_bytes);
}

struct control_meters *control_meters_new(struct control *c, struct metrics *m)
{
	if (!m)
		return NULL;
	struct control_meters *k = mem_new(struct control_meters);
	k->registry = m;
	k->issued = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_issuances",
			.help = "Leaves received from an authority and accepted.",
			.labels = {"authority"},
			.max_children = AUTHORITIES_MAX});
	k->failed = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_issuance_failures",
			.help = "Issuances that failed or whose answer was rejected, by fault code.",
			.labels = {"authority", "code"},
			.max_children = AUTHORITIES_MAX});
	k->rejected = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_answers_rejected",
			.help = "Answers of an authority that our checks refused.",
			.labels = {"authority"},
			.max_children = AUTHORITIES_MAX});
	k->denials = metrics_add_counter(m, "leafcast_denials", "Names asked for that policy does not grant.");
	k->discarded = metrics_add_counter(
		m, "leafcast_versions_discarded", "Leaves wiped because their definition changed meanwhile.");
	k->passed_over = metrics_add_counter(m, "leafcast_trust_passed_over",
		"Nodes that did not hold a new anchor when a leaf under it could wait no longer.");
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_leaves_held",
			.help = "New leaves that wait until verifiers hold their anchor."},
		collect_held, c);
	k->unproven = metrics_add_counter(m, "leafcast_acks_unproven",
		"ACKs of a version by a node that had NACKed it before: Envoy sends those without taking it.");
	struct metrics_family *events = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_quarantine_events",
			.help = "Versions held back from a node that NACKed them, and why that ended.",
			.labels = {"event"},
			.max_children = QUARANTINE_EVENTS});
	for (size_t i = 0; i < QUARANTINE_EVENTS; i++)
		k->quarantine[i] = metrics_counter_of(events, &quarantine_event_names[i]);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_quarantined",
			.help = "Versions held back from a node that NACKed them, by who seems to be at fault.",
			.labels = {"verdict"},
			.max_children = 3},
		collect_quarantined, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_certificates",
			.help = "Certificates served, by how much of their life is left: low from 15 %, critical from "
				"5 %.",
			.labels = {"life"},
			.max_children = LIFE_LEVELS},
		collect_life, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_secret_not_after_timestamp_seconds",
			.help = "When the version served now ends.",
			.labels = {"secret"},
			.max_children = SECRETS_MAX},
		collect_not_after, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_secret_renew_at_timestamp_seconds",
			.help = "When the next renewal is planned.",
			.labels = {"secret"},
			.max_children = SECRETS_MAX},
		collect_renew_at, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_secret_subscribers",
			.help = "Streams that subscribe to the secret.",
			.labels = {"secret"},
			.max_children = SECRETS_MAX},
		collect_subscribers, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_authority_ready",
			.help = "1 while the authority can issue.",
			.labels = {"authority"},
			.max_children = AUTHORITIES_MAX},
		collect_authorities, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_authority_breaker_open",
			.help = "1 while the authority is left alone because it does not answer.",
			.labels = {"authority"},
			.max_children = AUTHORITIES_MAX},
		collect_breakers, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_authority_waiting",
			.help = "Requests that wait for their turn at the authority.",
			.labels = {"authority"},
			.max_children = AUTHORITIES_MAX},
		collect_waiting, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_versions_memory_only",
			.help = "Versions served that the store could not take."},
		collect_memory_only, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_audit_records_waiting",
			.help = "Audit records that the store could not take yet."},
		collect_audit_late, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_clock_doubted",
			.help = "1 while nothing is issued because the clock contradicts what is known."},
		collect_clock, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_names_wanted_unknown",
			.help = "Names that are subscribed to and that nobody defined."},
		collect_wanted_unknown, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_audit_file_behind",
			.help = "Records of the audit trail that its copy (audit.file) lacks."},
		collect_audit_file, c);
	k->hook_runs = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_hook_runs",
			.help = "Commands of hooks that have ended: ok, failed, timeout.",
			.labels = {"hook", "outcome"},
			.max_children = 3 * HOOKS_MAX});
	k->hook_missed = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_hook_events_missed",
			.help = "Events of which a hook was not told because too many waited.",
			.labels = {"hook"},
			.max_children = HOOKS_MAX});
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_hook_waiting",
			.help = "Events that wait for a run of the hook's command.",
			.labels = {"hook"},
			.max_children = HOOKS_MAX},
		collect_hooks, c);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_secret_memory_bytes",
			.help = "Memory for secrets: pages that are locked and that are not, and what is used of them.",
			.labels = {"state"},
			.max_children = 3},
		collect_secret_memory, c);
	return k;
}

void control_meters_free(struct control_meters *k)
{
	free(k);
}

void meters_issued(struct control *c, const char *authority, const struct fault *f)
{
	if (!c->meters)
		return;
	const char *const labels[] = {authority, f ? fault_code_name(fault_code(f)) : NULL};
	counter_inc(metrics_counter_of(f ? c->meters->failed : c->meters->issued, labels));
}

void meters_denied(struct control *c)
{
	if (c->meters)
		counter_inc(c->meters->denials);
}

void meters_discarded(struct control *c)
{
	if (c->meters)
		counter_inc(c->meters->discarded);
}

void meters_passed_over(struct control *c, size_t nodes)
{
	if (c->meters)
		counter_add(c->meters->passed_over, nodes);
}

void meters_quarantine(struct control *c, enum quarantine_event what)
{
	if (c->meters)
		counter_inc(c->meters->quarantine[what]);
}

void meters_unproven(struct control *c)
{
	if (c->meters)
		counter_inc(c->meters->unproven);
}

void meters_rejected(struct control *c, const char *authority)
{
	if (!c->meters)
		return;
	const char *const labels[] = {authority};
	counter_inc(metrics_counter_of(c->meters->rejected, labels));
}

void meters_hook_ran(struct control *c, const char *hook, const char *outcome)
{
	if (!c->meters)
		return;
	const char *const labels[] = {hook, outcome};
	counter_inc(metrics_counter_of(c->meters->hook_runs, labels));
}

void meters_hook_missed(struct control *c, const char *hook)
{
	if (!c->meters)
		return;
	const char *const labels[] = {hook};
	counter_inc(metrics_counter_of(c->meters->hook_missed, labels));
}

void meters_hook_removed(struct control *c, const char *hook)
{
	static const char *const outcomes[] = {"ok", "failed", "timeout"};
	if (!c->meters)
		return;
	const char *const missed[] = {hook};
	metrics_remove(c->meters->hook_missed, missed);
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		const char *const labels[] = {hook, outcomes[i]};
		metrics_remove(c->meters->hook_runs, labels);
	}
}
