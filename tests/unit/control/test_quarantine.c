/* The quarantine on control's side, each of its traps: what is kept from whom, for how long, over restarts, and what
 * there is to see of it. What a stream gets meanwhile: tests/unit/sds/test_quarantine.c. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include "control/rig.h"
#include "base/anchors.h"

#define HEAD "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"
static const char yaml[] = HEAD
	"profiles: {workload: {authority: lab, lifetime: 1h, renew: {from: 60%, to: 61%}, uri: [\"spiffe://td/x\"]}}\n"
	"secrets: {web: {profile: workload}, api: {profile: workload}, roots: {bundle: [lab]}}\n"
	"policy: [{who: {uid: 7}, may: [\"**\"]}, {who: {uid: 8}, may: [\"**\"]}]\n";

static char v1[33], v2[33];
static int log_fd;

static void stay_quiet(void)
{
	log_fd = memfd_create("log", 0);
	log_set_fd(log_fd);
	log_set_format(LOG_FORMAT_JSON);
	log_set_level(LOG_WARN);
}

static int start(void **state)
{
	struct rig *r = rig_new(yaml);
	*state = r;
	rig_until(r, r->ready);
	stay_quiet();
	(void)snprintf(v1, sizeof v1, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	log_set_fd(2);
	log_set_format(LOG_FORMAT_AUTO);
	(void)close(log_fd);
	return 0;
}

static void restart(struct rig *r)
{
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	log_set_level(LOG_WARN);
}

/* What was logged with these words; the last line of them, or NULL. */
static char *logged(const char *words)
{
	static char text[1 << 20];
	ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
	assert_true(n >= 0 && (size_t)n < sizeof text - 1);
	text[n] = 0;
	char *found = NULL;
	for (char *line = text, *next; *line; line = next) {
		size_t len = strcspn(line, "\n");
		next = line + len + (line[len] != 0);
		line[len] = 0;
		if (strstr(line, words))
			found = line;
	}
	return found;
}

/* Another version of a leaf, at once. */
static void rotate(struct rig *r, const char *name, char *ret)
{
	r->done = false;
	control_rotate(r->control, name, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	r->done = false;
	(void)snprintf(ret, 33, "%s", rig_last(r, TOLD_PUBLISH, name)->version);
}

/* A stream of this node that says something of a version. */
static void say(struct rig *r, uint64_t stream, unsigned uid, const char *node, const char *name, unsigned what,
	const char *version)
{
	r->stream = stream;
	r->node = node;
	rig_report(r, REPORT_WANTED | what, uid, name, version);
	r->node = NULL;
}

/* --- what there is to see --- */

struct seen {
	size_t count;
	struct control_quarantined last;
	char node[64], held[33], identity[64], version[33], message[64];
	const char *of;
};

static void see(void *arg, const struct control_quarantined *q)
{
	struct seen *s = arg;
	if (s->of && strcmp(q->entry, s->of) != 0)
		return;
	s->count++;
	s->last = *q;
	(void)snprintf(s->node, sizeof s->node, "%s", q->node);
	(void)snprintf(s->held, sizeof s->held, "%s", q->held);
	(void)snprintf(s->identity, sizeof s->identity, "%s", q->identity);
	(void)snprintf(s->version, sizeof s->version, "%s", q->version);
	(void)snprintf(s->message, sizeof s->message, "%s", q->message);
}

static struct seen look(struct rig *r, const char *entry)
{
	struct seen s = {.of = entry};
	control_each_quarantined(r->control, see, &s);
	return s;
}

struct seen_secret {
	const char *entry;
	struct control_secret s;
};

static void see_secret(void *arg, const struct control_secret *s)
{
	struct seen_secret *seen = arg;
	if (strcmp(s->entry, seen->entry) == 0)
		seen->s = *s;
}

static struct control_secret secret(struct rig *r, const char *entry)
{
	struct seen_secret seen = {.entry = entry};
	control_each_secret(r->control, see_secret, &seen);
	return seen.s;
}

/* --- */

static void told_counted_shown_logged(void **state)
{
	struct rig *r = *state;
	rotate(r, "web", v2);
	r->held = v1;
	r->nack_text = "it says: \"no\"";
	say(r, 1, 7, "n", "web", REPORT_NACKED, v2);
	const struct told *t = rig_last(r, TOLD_QUARANTINE, "web");
	assert_true(t->on);
	assert_string_equal(t->version, v2);
	assert_string_equal(t->node, "n");
	assert_int_equal(t->older_count, 1);
	assert_string_equal(t->older, v1);
	assert_string_equal(t->fallback, v1);
	struct seen s = look(r, NULL);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.node, "n");
	assert_string_equal(s.identity, "uid 7");
	assert_string_equal(s.version, v2);
	assert_string_equal(s.held, v1);
	assert_string_equal(s.message, r->nack_text);
	assert_int_equal(s.last.code, 13);
	assert_int_equal(s.last.verdict, VERDICT_UNDECIDED);
	assert_int_equal(secret(r, "web").held_back, 1);
	assert_true(rig_metric(r, "leafcast_quarantined{verdict=\"undecided\"} ") == 1);
	assert_true(rig_metric(r, "leafcast_quarantine_events_total{event=\"held_back\"} ") == 1);
	/* One line with node, name, version, code and Envoy's message. */
	const char *line = logged("secret.nacked");
	assert_non_null(line);
	assert_non_null(strstr(line, "\"secret\":\"web\""));
	assert_non_null(strstr(line, "\"node\":\"n\""));
	assert_non_null(strstr(line, v2));
	assert_non_null(strstr(line, "\"code\":13"));
	assert_non_null(strstr(line, "it says: \\\"no\\\""));

	assert_non_null(strstr(rig_audited(r, "secret.nacked"), "it says: "));

	/* The same again, and of what was offered in its place: no news for the workers. */
	size_t times = rig_times(r, TOLD_QUARANTINE, "web");
	say(r, 1, 7, "n", "web", REPORT_NACKED, v2);
	say(r, 1, 7, "n", "web", REPORT_NACKED, v1);
	assert_int_equal(rig_times(r, TOLD_QUARANTINE, "web"), times);
	s = look(r, NULL);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.last.times, 2);

	/* A newer version ends it. */
	char v3[33];
	rotate(r, "web", v3);
	assert_false(rig_last(r, TOLD_QUARANTINE, "web")->on);
	assert_false(rig_last(r, TOLD_QUARANTINE, "web")->forgive);
	assert_int_equal(look(r, NULL).count, 0);
	assert_true(rig_metric(r, "leafcast_quarantined{verdict=\"undecided\"} ") == 0);
}

static void kept_over_restarts(void **state)
{
	struct rig *r = *state;
	rotate(r, "web", v2);
	r->held = v1;
	say(r, 1, 7, "n", "web", REPORT_NACKED, v2);
	for (int i = 0; i < 2; i++) {
		restart(r);
		/* Before the version itself, so that no worker offers it first. */
		const struct told *t = rig_last(r, TOLD_QUARANTINE, "web");
		assert_non_null(t);
		assert_true(t->on && t->seq < rig_last(r, TOLD_PUBLISH, "web")->seq);
		assert_string_equal(t->version, v2);
		assert_string_equal(t->older, v1);
		assert_string_equal(t->fallback, v1); /* what heals is at hand, too */
		assert_string_equal(t->identity, "unix 7 7");
		struct seen s = look(r, NULL);
		assert_int_equal(s.count, 1);
		assert_string_equal(s.held, v1);
		assert_string_equal(s.identity, "uid 7");
	}
	char v3[33];
	rotate(r, "web", v3);
	restart(r);
	assert_null(rig_last(r, TOLD_QUARANTINE, "web"));
}

/* While the disk is full the quarantine holds all the same, and it is written when there is room: what was begun and
 * what was ended. */
static void a_full_disk_is_caught_up_with(void **state)
{
	struct rig *r = *state;
	(void)signal(SIGXFSZ, SIG_IGN);
	say(r, 1, 7, "old", "web", REPORT_NACKED, v1);
	rig_until(r, !store_pending(r->store));
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* the log is a file, too */
	rig_let_files_grow(false);
	say(r, 2, 7, "new", "web", REPORT_NACKED, v1);
	assert_true(rig_last(r, TOLD_QUARANTINE, "web")->on);
	size_t count = 0;
	control_retry(r->control, "web", "old", "uid 0", &count, rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	rig_until(r, !store_pending(r->store));
	rig_let_files_grow(true);
	log_set_fd(log_fd);
	rig_until(r, store_pending(r->store)); /* the watch tries again */
	rig_until(r, !store_pending(r->store));
	restart(r);
	struct seen s = look(r, NULL);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.node, "new");
}

/* The same content put again is no newer version. */
static void same_content_ends_nothing(void **state)
{
	struct rig *r = *state;
	struct anchors *a = control_anchors(r->control, "lab");
	for (int i = 0; i < 2; i++) {
		r->done = false;
		control_put_bundle(r->control, "mine", a, "uid 0", rig_on_done, r);
		rig_until(r, r->done);
		assert_null(r->fault);
		if (i == 0)
			say(r, 1, 7, "n", "mine", REPORT_NACKED, rig_last(r, TOLD_PUBLISH, "mine")->version);
		assert_int_equal(look(r, "mine").count, 1);
	}
	/* A secret that is deleted takes it along. */
	size_t subscribers;
	r->done = false;
	control_delete(r->control, "mine", "uid 0", &subscribers, rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	assert_int_equal(look(r, NULL).count, 0);
	assert_false(rig_last(r, TOLD_QUARANTINE, "mine")->on);
}

/* Trap: Envoy is restarted after a NACK, or sends the same bad version's ACK from its poisoned state: an ACK of a node
 * that NACKed it proves nothing. One of another node does, and tells the node from the version. */
static void an_ack_after_a_nack_proves_nothing(void **state)
{
	struct rig *r = *state;
	say(r, 1, 7, "n", "web", REPORT_NACKED, v1);
	say(r, 2, 7, "n", "web", REPORT_ACKED, v1);
	assert_int_equal(secret(r, "web").acked, 0);
	assert_true(rig_metric(r, "leafcast_acks_unproven_total ") == 1);
	assert_int_equal(look(r, NULL).count, 1);
	assert_int_equal(look(r, NULL).last.verdict, VERDICT_UNDECIDED);
	say(r, 3, 7, "other", "web", REPORT_ACKED, v1);
	assert_int_equal(secret(r, "web").acked, 1);
	struct seen s = look(r, NULL);
	assert_int_equal(s.last.verdict, VERDICT_NODE);
	assert_int_equal(s.last.taken, 1);
	assert_true(rig_metric(r, "leafcast_quarantined{verdict=\"node\"} ") == 1);
	rig_until(r, logged("quarantine.verdict"));
	assert_non_null(strstr(logged("quarantine.verdict"), "\"verdict\":\"node\""));
}

static void what_all_refuse_is_a_bad_version(void **state)
{
	struct rig *r = *state;
	say(r, 1, 7, "a", "web", REPORT_NACKED, v1);
	say(r, 2, 7, "b", "web", REPORT_NACKED, v1);
	struct seen s = look(r, NULL);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.last.verdict, VERDICT_VERSION);
	assert_int_equal(s.last.refused, 2);
	assert_non_null(strstr(logged("secret.nacked"), "\"verdict\":\"version\""));
	rig_until(r, logged("quarantine.verdict"));
	assert_non_null(strstr(logged("quarantine.verdict"), "\"refused_by_nodes\":2"));
}

/* Trap: somebody NACKs under a stranger's node.id. It is his own quarantine: the stranger's ACKs stay proven. */
static void a_strangers_node_id(void **state)
{
	struct rig *r = *state;
	say(r, 1, 7, "n", "web", REPORT_ACKED, v1);
	say(r, 2, 8, "n", "web", REPORT_NACKED, v1);
	const struct told *t = rig_last(r, TOLD_QUARANTINE, "web");
	assert_string_equal(t->identity, "unix 8 8"); /* workers compare the proven one */
	say(r, 3, 7, "n", "web", REPORT_ACKED, v1);
	assert_int_equal(secret(r, "web").acked, 2);
	assert_int_equal(look(r, NULL).last.verdict, VERDICT_NODE);
	/* Nor does a node.id that holds our separators reach another entry of the table. */
	size_t times = rig_times(r, TOLD_QUARANTINE, "web");
	say(r, 4, 8, "n\x1fweb", "web", REPORT_NACKED, v1);
	assert_int_equal(rig_times(r, TOLD_QUARANTINE, "web"), times + 1);
	assert_int_equal(look(r, NULL).count, 2);
}

/* Trap: one node.id for a whole fleet. One NACK does not unsay what the others ACKed before it; what they ACK later is
 * not proven, for they cannot be told apart; and another node decides. */
static void one_node_id_for_a_fleet(void **state)
{
	struct rig *r = *state;
	for (uint64_t s = 1; s <= 9; s++)
		say(r, s, 7, "fleet", "web", REPORT_ACKED, v1);
	say(r, 10, 7, "fleet", "web", REPORT_NACKED, v1);
	assert_int_equal(secret(r, "web").subscribers, 10);
	assert_int_equal(secret(r, "web").acked, 9);
	assert_int_equal(look(r, NULL).count, 1);
	assert_int_equal(look(r, NULL).last.verdict, VERDICT_UNDECIDED);
	say(r, 11, 7, "fleet", "web", REPORT_ACKED, v1);
	assert_int_equal(secret(r, "web").acked, 9);
	say(r, 12, 8, "fleet", "web", REPORT_ACKED, v1);
	assert_int_equal(look(r, NULL).last.verdict, VERDICT_NODE);
}

/* Trap: a good bundle is NACKed because of a bad certificate beside it in the same Envoy. When the node takes the
 * certificate, the bundle is offered once more; not a second time. */
static void a_poisoned_neighbour(void **state)
{
	struct rig *r = *state;
	char roots[33];
	(void)snprintf(roots, sizeof roots, "%s", rig_last(r, TOLD_PUBLISH, "roots")->version);
	rotate(r, "web", v2);
	say(r, 1, 7, "n", "web", REPORT_NACKED, v2);
	say(r, 2, 7, "n", "roots", REPORT_NACKED, roots);
	say(r, 3, 7, "m", "roots", REPORT_NACKED, roots); /* another node has no part in it */
	assert_true(rig_last(r, TOLD_QUARANTINE, "roots")->on);
	size_t times = rig_times(r, TOLD_QUARANTINE, "roots");
	say(r, 4, 7, "n", "api", REPORT_ACKED, rig_last(r, TOLD_PUBLISH, "api")->version); /* not what it refused */
	assert_int_equal(rig_times(r, TOLD_QUARANTINE, "roots"), times);
	say(r, 1, 7, "n", "web", REPORT_ACKED, v1); /* the content before heals it */
	const struct told *t = rig_last(r, TOLD_QUARANTINE, "roots");
	assert_int_equal(rig_times(r, TOLD_QUARANTINE, "roots"), times + 1);
	assert_true(!t->on && t->forgive);
	assert_string_equal(t->node, "n");
	assert_int_equal(look(r, "web").count, 1); /* the bad one stays where it is */

	restart(r); /* and a restart does not forget that it has been tried */
	assert_string_equal(rig_last(r, TOLD_QUARANTINE, "roots")->node, "m");
	say(r, 2, 7, "n", "roots", REPORT_NACKED, roots);
	assert_string_equal(rig_last(r, TOLD_QUARANTINE, "roots")->node, "n");
	assert_true(rig_last(r, TOLD_QUARANTINE, "roots")->on);
	times = rig_times(r, TOLD_QUARANTINE, "roots");
	say(r, 1, 7, "n", "web", REPORT_ACKED, v1);
	assert_int_equal(rig_times(r, TOLD_QUARANTINE, "roots"), times);
	assert_int_equal(look(r, "roots").count, 2);
}

static void a_healed_bundle_is_taken(void **state)
{
	struct rig *r = *state;
	char roots[33];
	(void)snprintf(roots, sizeof roots, "%s", rig_last(r, TOLD_PUBLISH, "roots")->version);
	rotate(r, "web", v2);
	say(r, 1, 7, "n", "web", REPORT_NACKED, v2);
	say(r, 2, 7, "n", "roots", REPORT_NACKED, roots);
	char v3[33];
	rotate(r, "web", v3); /* ends the certificate's, but what was NACKed beside it is remembered */
	say(r, 1, 7, "n", "web", REPORT_ACKED, v3);
	assert_true(look(r, "roots").last.trying);
	say(r, 2, 7, "n", "roots", REPORT_ACKED, roots);
	assert_int_equal(look(r, NULL).count, 0);
	assert_int_equal(secret(r, "roots").acked, 1);
	assert_true(rig_metric(r, "leafcast_quarantine_events_total{event=\"healed\"} ") == 1);
}

/* Trap: what the node holds would end before the next renewal. That renewal is brought forward, halfway to that end;
 * once for each version that it may be stuck with, also over a restart. */
static void a_renewal_is_brought_forward_once(void **state)
{
	struct rig *r = *state;
	const int64_t begin = rig_wall(r), life = 60 * INT64_C(60000), slack = 30000;
	say(r, 1, 7, "n", "web", REPORT_ACKED, v1);
	rotate(r, "web", v2); /* both live for an hour: what is held ends before... */
	r->shift_ms = 30 * INT64_C(60000);
	rotate(r, "web", v2); /* ...the renewal of this one, in another 36 minutes */
	assert_in_range(secret(r, "web").renew_at_ms, begin + 65 * INT64_C(60000), begin + 68 * INT64_C(60000));
	r->held = v1;
	say(r, 1, 7, "n", "web", REPORT_NACKED, v2);
	assert_true(look(r, NULL).last.hastens);
	int64_t forward = secret(r, "web").renew_at_ms;
	assert_in_range(forward, begin + life * 3 / 4 - slack, begin + life * 3 / 4 + slack);
	restart(r);
	assert_true(look(r, NULL).last.hastens);
	assert_int_equal(secret(r, "web").renew_at_ms, forward);

	size_t times = rig_times(r, TOLD_PUBLISH, "web");
	r->shift_ms = 46 * INT64_C(60000);
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") > times);
	char v3[33];
	(void)snprintf(v3, sizeof v3, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	assert_string_not_equal(v3, v2);
	int64_t planned = secret(r, "web").renew_at_ms;
	assert_true(planned > begin + 80 * INT64_C(60000));
	say(r, 1, 7, "n", "web", REPORT_NACKED, v3); /* it refuses that, too: not again */
	assert_false(look(r, NULL).last.hastens);
	assert_int_equal(secret(r, "web").renew_at_ms, planned);
	restart(r);
	assert_int_equal(secret(r, "web").renew_at_ms, planned);
}

/* A stream that claims an older version than the one that NACKed counts as well. */
static void claims_bring_it_forward(void **state)
{
	struct rig *r = *state;
	r->shift_ms = 30 * INT64_C(60000);
	rotate(r, "web", v2);
	say(r, 1, 7, "n", "web", REPORT_NACKED, v2); /* a new process: holds nothing */
	assert_false(look(r, NULL).last.hastens);
	r->held = v1;
	say(r, 2, 7, "n", "web", 0, NULL);
	assert_true(look(r, NULL).last.hastens);
	assert_string_equal(look(r, NULL).held, v1);
	r->held = "00000000000000000000000000000000"; /* nobody knows that */
	say(r, 3, 7, "n", "web", 0, NULL);
	assert_string_equal(look(r, NULL).held, v1);
}

static void retry(struct rig *r, const char *name, const char *node, size_t expected)
{
	size_t count = 99;
	r->done = false;
	r->fault = NULL;
	control_retry(r->control, name, node, "uid 0", &count, rig_on_done, r);
	rig_until(r, r->done);
	assert_int_equal(count, expected);
	if (expected) {
		assert_null(r->fault);
		return;
	}
	assert_non_null(r->fault);
	assert_int_equal(fault_code(r->fault), FAULT_NOT_FOUND);
	fault_free(r->fault);
}

static void an_operator_retries(void **state)
{
	struct rig *r = *state;
	retry(r, "web", NULL, 0);
	say(r, 1, 7, "a", "web", REPORT_NACKED, v1);
	say(r, 2, 7, "b", "web", REPORT_NACKED, v1);
	say(r, 3, 8, "b", "web", REPORT_NACKED, v1);
	say(r, 4, 7, "a", "roots", REPORT_NACKED, rig_last(r, TOLD_PUBLISH, "roots")->version);
	retry(r, "web", "nobody", 0);
	retry(r, "web", "b", 2); /* under each identity */
	assert_true(!rig_last(r, TOLD_QUARANTINE, "web")->on && rig_last(r, TOLD_QUARANTINE, "web")->forgive);
	assert_int_equal(look(r, "web").count, 1);
	retry(r, "web", NULL, 1);
	retry(r, "web", NULL, 0);
	assert_int_equal(look(r, NULL).count, 1);
	restart(r);
	assert_int_equal(look(r, NULL).count, 1);
	retry(r, "roots", "a", 1);
	/* What is refused again is held back again. */
	say(r, 1, 7, "a", "web", REPORT_NACKED, v1);
	assert_true(rig_last(r, TOLD_QUARANTINE, "web")->on);
}

/* The version itself ends: so does the quarantine (the next one is due long before, where an authority answers). */
static void an_expired_version(void **state)
{
	struct rig *r = *state;
	r->done = false;
	control_put_bundle(r->control, "mine", control_anchors(r->control, "lab"), "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	say(r, 1, 7, "n", "mine", REPORT_NACKED, rig_last(r, TOLD_PUBLISH, "mine")->version);
	log_set_level(LOG_ERROR);
	r->shift_ms = 20 * 366 * INT64_C(86400000);
	rig_until(r, !rig_last(r, TOLD_QUARANTINE, "mine")->on);
	assert_false(rig_last(r, TOLD_QUARANTINE, "mine")->forgive);
	assert_int_equal(look(r, "mine").count, 0);
}

/* One identity that makes up node ids pushes out its own, and stops being logged. */
static void the_table_is_bounded_fairly(void **state)
{
	struct rig *r = *state;
	enum { TABLE = 4096 };
	r->forget_told = true;
	say(r, 1, 7, "modest", "web", REPORT_NACKED, v1);
	for (int i = 0; i < TABLE + 100; i++) {
		char node[32];
		(void)snprintf(node, sizeof node, "made-up-%d", i);
		say(r, 2, 8, node, "web", REPORT_NACKED, v1);
	}
	assert_int_equal(look(r, NULL).count, TABLE);
	assert_true(rig_metric(r, "leafcast_quarantine_events_total{event=\"evicted\"} ") == 101);
	assert_null(logged("made-up-4195"));
	assert_non_null(logged("made-up-100"));
	retry(r, "web", "modest", 1);
	/* What was evicted is gone from the store, too. */
	retry(r, "web", NULL, TABLE - 1);
	r->forget_told = false;
	restart(r);
	assert_int_equal(look(r, NULL).count, 0);
}

#define with_rig(t) cmocka_unit_test_setup_teardown(t, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(told_counted_shown_logged),
		with_rig(kept_over_restarts),
		with_rig(a_full_disk_is_caught_up_with),
		with_rig(same_content_ends_nothing),
		with_rig(an_ack_after_a_nack_proves_nothing),
		with_rig(what_all_refuse_is_a_bad_version),
		with_rig(a_strangers_node_id),
		with_rig(one_node_id_for_a_fleet),
		with_rig(a_poisoned_neighbour),
		with_rig(a_healed_bundle_is_taken),
		with_rig(a_renewal_is_brought_forward_once),
		with_rig(claims_bring_it_forward),
		with_rig(an_operator_retries),
		with_rig(an_expired_version),
		with_rig(the_table_is_bounded_fairly),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
