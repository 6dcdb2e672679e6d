/* control/internal.h - the state of the control loop, shared by the files of this folder alone. Thread: control. */
#ifndef CONTROL_INTERNAL_H
#define CONTROL_INTERNAL_H
#include "base/backoff.h"
#include "base/fault.h"
#include "base/quiet.h"
#include "base/table.h"
#include "cache/entry.h"
#include "cache/store.h"
#include "cache/version.h"
#include "control/authorities.h"
#include "control/authority_kept.h"
#include "control/clock_guard.h"
#include "control/control.h"
#include "control/definitions.h"
#include "control/inbox.h"
#include "control/issuance.h"
#include "control/node.h"
#include "control/outlet.h"
#include "control/policy.h"
#include "control/shares.h"
#include "control/trust_bans.h"
#include "control/trust_hold.h"
#include "control/trust_record.h"

struct timer;

/* What happened to a quarantine; the names are quarantine_event_names[] in meters.c. */
enum quarantine_event {
	QUARANTINE_HELD,
	QUARANTINE_NEWER,
	QUARANTINE_EXPIRED,
	QUARANTINE_RETRIED,
	QUARANTINE_CHANCE,
	QUARANTINE_HEALED,
	QUARANTINE_EVICTED,
	QUARANTINE_EVENTS
};

/* Earlier contents of an entry that the store still holds, for a rollback; the oldest goes when there are more. */
enum { ENTRY_PAST_MAX = CONTROL_PAST_MAX, VERSION_ID_SIZE = 33 };
struct past_version {
	char id[VERSION_ID_SIZE];
	int64_t not_after_ms;
};

/* One stream's interest in one name, as a worker reported it. */
struct subscriber {
	UT_hash_handle hh; /* control.subscribers, by id */
	struct subscriber_id {
		uint64_t worker, subscription;
	} id;
	bool unproven;			/* acked: by a node that NACKed it before, which Envoy does without taking it */
	struct subscriber *prev, *next; /* entry.subscribers */
	struct entry *entry;
	struct identity *identity;
	struct node *node;
	bool delta;
	bool granted; /* that it may have this name is recorded */
	int64_t since_ms, acked_at_ms, nacked_at_ms;
	char acked[VERSION_ID_SIZE], nacked[VERSION_ID_SIZE];
	char *nack_text;
	struct version *held; /* of a bundle: the latest version that it ACKed; NULL: none that we know of */
};

/* A node that subscribed to a bundle and is not connected now. */
struct absent {
	UT_hash_handle hh; /* control.absent, by key */
	char *key;	   /* identity, node, bundle */
	char *identity, *node;
	struct entry_key *bundle;
	struct version *held; /* or NULL */
	int64_t left_ms;      /* wall */
	struct share_link share;
};

/* How much of a certificate's life is left: outage.c. */
enum life_level { LIFE_OK, LIFE_LOW, LIFE_CRITICAL, LIFE_EXPIRED, LIFE_LEVELS };

/* Somebody who waits for an entry's next version (rotate). */
struct waiter {
	struct waiter *next;
	control_done_fn *done;
	void *arg;
};

/* An answer that our checks refused. */
struct rejected {
	char *authority, *text; /* NULL: none */
	int64_t at_ms;
	uint64_t count; /* in a row */
};

struct entry {
	UT_hash_handle hh; /* control.entries, by the key's bytes */
	struct control *control;
	struct entry_key *key;
	const struct secret_def *def; /* NULL: brought, or asked for and not known */
	uint64_t generation;	      /* of its definition: what was begun under another one is not published */
	enum secret_kind kind;	      /* 0: not known */
	struct version *current;      /* what workers serve */
	int64_t received_mono_ms;     /* and when it was received, by the clock that nobody sets */
	bool memory_only;	      /* current is not in the store */
	bool committing;	      /* a version is on its way to the store */
	bool withdrawn;		      /* a reload took its definition: current goes, whatever the store says */
	unsigned awaited;	      /* publications that workers have not taken in */
	struct issuance *issuance;
	struct authority *via; /* whom the issuance asks */
	uint64_t tried;	       /* authorities of the profile that failed in this round, as bits */
	bool starved;	       /* the last try failed because no authority was usable, or answered */
	struct version *held;  /* issued, but verifiers do not hold its anchor yet: it is served when they do */
	int64_t held_since_ms;
	struct timer *timer;
	struct backoff backoff;
	int64_t retry_at_ms; /* wall; 0 none */
	int64_t wanted_at_ms;
	bool ordered;
	enum life_level told_level;
	unsigned hooks_told; /* of current: hooks that were told how little is left, by their slot */
	bool pinned;	     /* current is not renewed before its last fifth of life */
	bool pin_next;	     /* and what is on its way to the store will not be */
	int64_t moved_ms; /* wall: since then its profile has another authority, and current was not issued by it; 0: no
			   */
	bool outdated;	  /* current is not what the config asks for any more */
	/* When its authority would like current to be renewed, and what is on its way to the store. */
	struct ca_hint hint;
	struct hint_next {
		char version[VERSION_ID_SIZE]; /* "": none */
		struct ca_hint hint;
	} hint_next;
	struct waiter *waiters;
	struct rejected rejected;
	char *last_error;
	int64_t last_error_at_ms, last_ack_at_ms, last_nack_at_ms;
	char *last_nack;
	struct subscriber *subscribers;
	size_t subscriber_count;
	struct past_version past[ENTRY_PAST_MAX]; /* oldest first; the last may be current, while the next is stored */
	size_t past_count;
	struct version *previous;	 /* the one before current, for whoever holds it still; or NULL */
	struct quarantined *quarantined; /* of current, by entry_prev, entry_next */
	enum control_verdict verdict;	 /* as it was told last */
	struct verdict {
		enum control_verdict what;
		size_t refused; /* nodes that NACKed current */
		size_t taken;	/* streams of other nodes that ACKed it */
	} judged;
	int64_t judged_at_ms; /* 0: not since something began or ended */
	int64_t hasten_at_ms; /* wall: renew then, for a node that refused current; 0: none */
	/* For what held version which version's renewal was brought forward: once for each. */
	struct hastened {
		char held[VERSION_ID_SIZE], version[VERSION_ID_SIZE];
	} hastened[ENTRY_PAST_MAX];
	size_t hastened_count;
};

/* Somebody who waits until every worker has taken in a sequence number. */
struct barrier {
	struct barrier *next;
	uint64_t seq;
	control_done_fn *done;
	void *arg;
};

struct denial {
	UT_hash_handle hh; /* control.denials, by key: identity and name */
	unsigned char *key;
	struct share_link share; /* by identity */
	char *identity, *name, *node, *hint;
	int64_t first_at_ms, last_at_ms;
	uint64_t count;
};

/* What a node NACKed: (identity, node id, entry, version). */
struct quarantined {
	UT_hash_handle hh; /* control.quarantine, by key */
	unsigned char *key;
	size_t key_len;
	struct share_link share;		     /* by identity */
	struct quarantined *entry_prev, *entry_next; /* entry.quarantined */
	struct quarantined *save_prev, *save_next;   /* control.unsaved, control.unmade */
	struct entry *entry;
	struct entry_key *entry_key;
	char *identity, *who, *node, *message;
	char version[VERSION_ID_SIZE];
	char held[VERSION_ID_SIZE]; /* what the node holds instead, "" nothing that is valid */
	int64_t held_until_ms, since_ms;
	uint64_t times;
	int code;
	enum store_hastens hastens;
	enum store_chance chance;
	struct entry_key *neighbour; /* what the same node was refusing when it refused this, or NULL */
	bool is_stored, is_unsaved;
};

/* What is known of an authority's anchors: in its struct authority. */
struct trust {
	struct trust_record *record;
	struct trust_bans *bans;
	bool bans_unreadable; /* they are none then */
	bool banning;	      /* a change of them is on its way to the store */
	int64_t saved_at_ms;
	uint64_t writes; /* of the record, handed to the store */
};

struct control {
	struct control_options o;
	struct definitions *definitions;
	struct policy *policy;
	uint64_t generation; /* of definitions and policy */
	const struct outlet *outlet;
	uint64_t seq;	   /* last one used */
	uint64_t *applied; /* per worker */
	struct barrier *barriers;
	struct inbox inbox;
	struct wakeup *wakeup; /* rings the loop when a batch is posted */
	struct entry *entries;
	struct subscriber *subscribers;
	struct denial *denials;
	struct shares denial_shares;
	struct grant *grants;
	struct shares grant_shares;
	size_t grants_max; /* for tests; 0: GRANTS_MAX */
	struct quarantined *quarantine;
	struct shares quarantine_shares;
	size_t neighbours;	      /* of them, with one */
	struct quarantined *unsaved;  /* to be put into the store */
	struct quarantined *unmade;   /* to be dropped from it; not in the table any more */
	struct quarantined *unmaking; /* that, under way */
	size_t unmade_count;	      /* of both */
	bool saving_quarantine;
	struct quiet stray_nacks, unsaved_quiet, unknown_names, absent_full;
	struct authority *authorities; /* LL */
	size_t memory_only;
	bool started, closing, ready_told;
	bool resealing, copying; /* an order over the state as a whole is under way */
	bool completing;	 /* the first start is being marked complete */
	void (*ready)(void *arg, struct fault *f);
	void *ready_arg;
	struct trust_order *trust_orders; /* new roots, under way */
	struct trust_pause *trust_pauses;
	struct campaign *campaigns;	/* rotations of many, under way */
	unsigned campaigns_ordered;	/* on their way to the store */
	struct revocation *revocations; /* under way */
	struct timer *audit_head;	/* hourly */
	struct timer *watch;		/* clock jumps, ends of quarantines */
	struct clock_guard clock_guard;
	int64_t newest_ms;     /* wall: when the newest of the certificates served was received */
	int64_t asleep_ms;     /* wall: when the machine fell asleep last, or its clock was set ahead; 0: it did not */
	int64_t woke_ms;       /* and when it woke up */
	int64_t clock_said_ms; /* monotonic: when it was said that the clock is doubted; 0: it is not */
	size_t clock_held;     /* who waits for the clock, since the last look */
	struct absent *absent;
	struct shares absent_shares; /* by identity */
	int64_t trust_used_ms;	     /* wall: when it was last looked which anchors are in use */
	int64_t trust_settled_ms;    /* wall: proxies have come back after our start */
	struct audit_file *audit_file;
	struct audit_late *audit_late;
	struct hook *hooks; /* LL */
	unsigned hooks_running;
	struct timer *hook_turn;
	char *unready;
	void (*closed)(void *arg);
	void *closed_arg;
	struct control_meters *meters;
};

int64_t control_now_ms(const struct control *c); /* wall */
int64_t control_mono_ms(const struct control *c);
uint64_t control_next_seq(struct control *c);

/* entries.c: the table */
struct entry *entry_find(struct control *c, const struct entry_key *key);
struct entry *entry_find_text(struct control *c, const char *text);
struct entry *entry_make(struct control *c, struct entry_key *key); /* finds or adds */
void entry_drop_if_idle(struct entry *e);			    /* frees one that means nothing to anybody */
void entry_free(struct entry *e);
void entry_drop_oldest(struct entry *e, struct store_tx *tx); /* of its past versions */
/** Out of the list alone: it is current again, or is gone. */
void entry_forget_past(struct entry *e, const char *id);
struct entry_key *entry_key_internal(const char *name); /* of a certificate of our own */

/* outage.c */
enum life_level outage_level(int64_t not_after_ms, int64_t life_ms, int64_t now_ms); /* pure */
const char *life_level_name(enum life_level level);
enum life_level entry_life_level(const struct entry *e, int64_t now_ms);
/** Its version has ended, and its policy gives an ended one to nobody who does not hold it already. */
bool entry_is_withheld(const struct entry *e);
void outage_watch(struct entry *e, int64_t now_ms);
/** One that has ended, is wanted and should have been renewed; or NULL. */
const struct entry *outage_expired(const struct control *c);
/** What is made per caller goes when nobody holds it, nobody has wanted it for two lives and its leaf has ended:
 * callers come and go, and what one of them makes us keep must have an end. At most ENTRIES_SWEPT a turn. */
void entries_sweep(struct control *c, int64_t now_ms);
void entry_set_error(struct entry *e, const struct fault *f);

/** reload.c: what the config makes of this entry, or NULL. */
const struct secret_def *entry_definition(const struct definitions *d, const struct entry_key *key);

/* publish.c: from a new version to every worker. Commit comes before publish (design: invariant 5). */
/** Takes v; event is what the audit says ("rotation.issued", ...). done runs once workers have it, or with the fault.
 */
void publish_version(
	struct entry *e, struct version *v, const char *event, const char *by, control_done_fn *done, void *arg);
void publish_current(struct entry *e); /* again, to all: an idempotent answer to `wanted` */
void publish_absent(struct entry *e, int worker, enum absent_reason reason);
void publish_delete(struct entry *e, const char *by, control_done_fn *done, void *arg);
void publish_withdraw(struct entry *e); /* a reload took its definition; now, or when the commit under way has ended */
void publish_forget(struct entry *e);	/* nobody holds it, and its leaf has ended: out of the store and the workers */
void publish_rewrite(struct entry *e);	/* a memory-only version is offered to the store again */
/** done once every worker has taken in seq. */
void barrier_wait(struct control *c, uint64_t seq, control_done_fn *done, void *arg);
void barrier_applied(struct control *c, unsigned worker, uint64_t seq);
void barriers_end(struct control *c); /* each with a fault: we are closing */

/* clock_hold.c: what the clock is believed for */
void clock_begin(struct control *c);
void clock_watch(struct control *c); /* every second: plans anew what sleep or a set clock changed */
void clock_received(struct control *c, const struct version *v);
/** When it was received, as the monotonic clock would have said; taken when its entry gets it. */
int64_t clock_received_mono_ms(const struct control *c, const struct version *v);
/** True: the clock is doubted, nothing is to be issued to this entry; it is planned anew when that ends. */
bool clock_holds(struct entry *e, const struct authority *a, int64_t lifetime_ms);
/** Why no authority is to begin its life now, in words that the caller owns; NULL: it may. */
char *clock_holds_start(struct control *c);

/* rotation.c: the executor for issued entries */
void rotation_replan(struct entry *e);
void rotation_replan_all(struct control *c);
void rotation_stop(struct entry *e);
void rotation_close(struct entry *e);	   /* for good: waiters hear so */
void rotation_end_orders(struct entry *e); /* the config names it no more: waiters hear so */
void rotation_order(struct entry *e, control_done_fn *done, void *arg);
/** The authority answers again: who failed for want of one tries now. */
void rotation_wake(struct control *c, const struct authority *a);
int64_t rotation_renew_at_ms(const struct entry *e); /* 0: not planned */
/** Exact, subscribed to, or wanted within the last two lives. */
bool rotation_is_kept_fresh(const struct entry *e, int64_t now_ms);
/** What the config asks of this entry's leaf. */
MUST_USE struct fault *rotation_sans(const struct entry *e, struct san_set *ret);
MUST_USE struct fault *rotation_sans_of(
	const struct definitions *d, const struct secret_def *def, const struct entry_key *key, struct san_set *ret);
/** Is what it serves still what the config asks for? Sets outdated and moved_ms. */
void rotation_compare(struct entry *e);

/* versions.c */
/** What publishing v changes for earlier versions and pins, into its transaction; and once it is what e serves. */
void versions_before_publish(struct entry *e, const struct version *v, struct store_tx *tx);
void versions_served(struct entry *e, const struct version *v); /* before it becomes e->current */
/** The entry leaves the store, with its pin; and once it has: nothing of it is served. */
void versions_before_drop(const struct entry *e, struct store_tx *tx);
void versions_dropped(struct entry *e);
/** A version that is in memory alone is written again: its pin as well. */
void versions_before_rewrite(const struct entry *e, struct store_tx *tx);
/** A fact of the store: where it is a pin, it holds again, or goes. */
void versions_load_pin(struct control *c, const char *fact, struct store_tx *drop);

/* hint.c: what an authority suggests for the renewal of a version, kept as facts of the store, as long as it is current
 */
void hint_note(struct entry *e, const struct version *v, const struct ca_hint *hint); /* v is what comes next */
void hint_before_publish(const struct entry *e, const struct version *v, struct store_tx *tx);
void hint_before_drop(const struct entry *e, struct store_tx *tx);
void hint_before_rewrite(const struct entry *e, struct store_tx *tx);
void hint_served(struct entry *e, const struct version *v);
void hint_dropped(struct entry *e);
void hint_load(struct control *c, const char *fact, int64_t value, struct store_tx *drop);

/* revoke.c */
bool version_is_revoked(const struct entry *e, const char *id); /* or will be */
bool entry_is_revoked(const struct entry *e);			/* what it serves is to be replaced at once */
void revocations_watch(struct control *c);
/** A fact of the store: where it is a revocation, it goes on. */
void revocation_load(struct control *c, const char *fact, int64_t value, struct store_tx *drop);
void revocations_close(struct control *c); /* who waits hears so */
void revocations_free(struct control *c);

/* trust_orders.c */
void trust_order_load(struct control *c, const char *fact, int64_t value);
void trust_orders_watch(struct control *c);
/** Its trust is paused, and an order for it is under way: the certificates of that are not issued anew. */
bool trust_order_holds_campaign(const struct control *c, const char *authority);
void trust_order_paused(struct control *c, const char *authority);	       /* who waits hears so */
const char *trust_order_state(const struct control *c, const char *authority); /* as struct control_anchor has it */
void trust_orders_close(struct control *c);
void trust_orders_free(struct control *c);

/* trust_anchors.c */
int64_t trust_mark(const struct trust_anchor *t);			     /* for a fact; never 0 */
const struct trust_anchor *trust_root_of(struct authority *a, int64_t mark); /* NULL: it is gone */
const struct trust_anchor *trust_shown_root(struct authority *a);	     /* that it shows now; NULL: none */
/** Certificates that are served, under anchors that the authority shows no more. */
size_t trust_old_leaves(struct authority *a, const struct entry **ret_one);
/** The same under this one. */
size_t trust_leaves_under(const struct authority *a, const struct trust_anchor *t, const struct entry **ret_one);
/** The same under those that were made before it. */
size_t trust_leaves_older(struct authority *a, const struct trust_anchor *than);
/** The anchor that was made last, if the authority shows it; NULL: it does not, or two were made at once. */
const struct trust_anchor *trust_newest(struct authority *a);
/** CONFLICT: there is none that can take the place of others; says what to do. */
MUST_USE struct fault *trust_check_newest(struct authority *a);
/** trust_ban() of those that were made before this one. */
struct trust_banning;
MUST_USE struct fault *trust_ban_older(struct authority *a, const struct trust_anchor *than, const char *by,
	struct store_tx *tx, struct trust_banning **ret);

/* trust_pause.c */
bool trust_is_paused(const struct control *c, const char *authority, int64_t *ret_since_ms, const char **ret_by);
MUST_USE struct fault *trust_check_not_paused(const struct control *c, const char *authority);
void trust_pause_load(struct control *c, const char *fact, int64_t value, struct store_tx *drop);
void trust_pauses_free(struct control *c);

/* trust_change.c */
struct trust_change;
/** What the authority shows no more leaves its bundles: written into tx with its audit record. Once that is durable:
 * trust_change_apply(), which takes it; else trust_change_free(). */
MUST_USE struct fault *trust_removal(
	struct authority *a, const char *by, struct store_tx *tx, struct trust_change **ret);
/** The same of these, which it may still show; the audit record is the caller's. */
MUST_USE struct fault *trust_removal_of(struct authority *a, const struct trust_anchor *const *anchors, size_t count,
	const char *by, struct store_tx *tx, struct trust_change **ret);
void trust_change_apply(struct control *c, struct trust_change *k);
void trust_change_free(struct trust_change *k);
size_t trust_change_count(const struct trust_change *k); /* anchors */

/* trust_banned.c */
void trust_bans_load(struct authority *a);	  /* from the store, before the driver starts */
char *trust_bans_blob(const struct authority *a); /* its name there; the caller's */
/** They cannot be read, and what to do. */
struct fault *trust_bans_fault(const char *authority, enum fault_code code);
/** What may be taken of the anchors that it shows, as a reference of the caller's; *ret NULL: nothing. CORRUPT: nobody
 * knows. */
MUST_USE struct fault *trust_bans_apply_to(struct authority *a, struct anchors *shown, struct anchors **ret);
/** CORRUPT: this chain (leaf first) leads to anchors alone that were removed by order. Without bans it is not looked
 * at.
 */
MUST_USE struct fault *trust_check_banned(struct authority *a, STACK_OF(X509) * chain);
/** A leaf of this authority led to an anchor that is banned now, and to no other. */
bool trust_is_banned(const struct entry *e, const struct version *v);
/* trust_banning.c */
/** These anchors leave the bundles and are not taken again: written into tx with audit records. Once that is durable:
 * trust_banning_apply(), which takes it; else trust_banning_free(). CONFLICT: other bans are being changed, or cannot
 * be read. */
MUST_USE struct fault *trust_ban(struct authority *a, const struct trust_anchor *const *anchors, size_t count,
	const char *by, struct store_tx *tx, struct trust_banning **ret);
void trust_banning_apply(struct control *c, struct trust_banning *b);
void trust_banning_free(struct control *c, struct trust_banning *b); /* NULL is fine */

/* campaign.c */
/** The order that asks most of this entry: 0 where there is none. */
void campaign_facts(const struct entry *e, int64_t *ret_ordered_ms, int64_t *ret_over_ms);
void campaign_load(struct control *c, const char *fact, int64_t value);
/** Begin one for this authority, its facts into tx. */
void campaign_begin(struct control *c, const char *authority, int64_t over_ms, struct store_tx *tx);
/** What is left of this authority's is due at once; into tx, too. Nothing where there is none. */
void campaign_hurry(struct control *c, const char *authority, struct store_tx *tx);
bool campaign_is_under_way(struct control *c, const char *authority);
void campaigns_watch(struct control *c);
void campaigns_free(struct control *c);

/* brought.c */
/** The one entry with a version that has this name or text. NOT_FOUND; CONFLICT: there are several. */
MUST_USE struct fault *entry_find_only(struct control *c, const char *name, struct entry **ret);
/** done(arg, f) on a later turn: an order's completion must not run before its call has returned. Takes f. */
void order_refuse(struct control *c, struct fault *f, control_done_fn *done, void *arg);

/* bundles.c */
void bundles_refresh(struct control *c); /* every bundle whose anchors changed is published */
void bundles_retry(struct control *c);	 /* the same, when one of them failed */

/* trust.c */
void trust_load(struct authority *a); /* from the store, before the driver starts */
void trust_done(struct trust *t);
void trust_save(struct authority *a);
/** A record of its own or one as it will be, as part of a transaction of the caller's. */
MUST_USE struct fault *trust_write(struct authority *a, const struct trust_record *r, struct store_tx *tx);
void trust_changed(struct authority *a); /* its anchors are others: bundles follow, and who else uses them */
void trust_shown(struct authority *a);	 /* the driver's anchors are there, or are others */
void trust_watch(struct control *c, int64_t now_ms);
/* trust_switch.c */
void trust_start(struct control *c);
void trust_review(struct authority *a, int64_t now_ms); /* what has become ready is noted, and what waited goes on */
/** May verifiers of e's leaf in use lack the anchor of v, a leaf of the same entry? */
bool trust_must_wait(const struct entry *e, const struct version *v);
int64_t trust_leaf_life_ms(const struct control *c, const char *authority); /* longest of its profiles; 0: none */
/** Who does not hold the anchor of v (NULL: one that is not ready), of those with this node.id (NULL: all); for
 * messages. The caller owns it. */
char *trust_waited_for(struct authority *a, const struct version *v, const char *node, size_t *ret_count);
void trust_each_verifier(struct authority *a, const struct trust_anchor *t,
	void (*fn)(void *arg, const struct trust_verifier *v, enum trust_wait wait), void *arg);
void trust_replan_held(struct control *c); /* what waits for an anchor may go on */
void trust_note_held(struct entry *e);
void trust_note_passed_over(struct entry *e);
/* trust_verifiers.c */
void verifier_joined(struct control *c, const struct subscriber *s);
void verifier_acked(struct subscriber *s);
void verifier_left(struct control *c, struct subscriber *s, bool stream_ended);
/** Who should hold this anchor of the authority. Texts are borrowed until the next turn; the list is the caller's. */
size_t verifiers_of(struct control *c, const char *authority, const char *sha256, struct trust_verifier **ret);
void verifiers_sweep(struct control *c, int64_t keep_ms, int64_t now_ms);
void verifiers_free(struct control *c);

/* hooks.c */
/** What the config says now; the hooks borrow d until the next call, or hooks_free(). */
void hooks_define(struct control *c, const struct definitions *d);
void hooks_note(const struct entry *e, enum hook_event event);
void hooks_watch(struct entry *e, int64_t now_ms); /* is little left of its life? */
void hooks_close(struct control *c); /* commands are ended: control.hooks_running says how many are left */
void hooks_free(struct control *c);
void hooks_each_waiting(const struct control *c, void (*fn)(void *arg, const char *hook, size_t waiting), void *arg);

/* rejected.c */
void rejected_note(struct entry *e, const char *authority, const struct fault *f);
void rejected_forget(struct entry *e, const char *authority); /* it has answered well */
void rejected_done(struct rejected *r);

/* reports.c */
void reports_read(struct control *c);
/* subscribers.c */
struct subscriber *subscriber_note(struct control *c, unsigned worker, const struct report *r, struct entry *e);
struct subscriber *subscriber_find(struct control *c, unsigned worker, const struct report *r);
void subscriber_gone(struct control *c, struct subscriber *s);

/* denials.c */
void denial_note(struct control *c, const struct identity *i, const char *name, const struct node *n, const char *why);
void denials_free(struct control *c);
/* grants.c */
/** i may have e's name: recorded, if it is the first time. False: not yet (nobody defined it; too many at once). */
bool grant_note(struct control *c, const struct identity *i, const struct entry *e);
void grant_load(struct control *c, const char *fact, struct store_tx *drop); /* a fact of the store: where it is one */
void grants_free(struct control *c);
/* quarantine.c */
/** A NACK. True: the version is kept from that node from now on. */
bool quarantine_note(struct control *c, const struct report *r, struct entry *e);
/** Something that a node claims to hold while a version is kept from it. */
void quarantine_note_held(struct control *c, const struct report *r, struct entry *e);
/** An ACK. False: it proves nothing, for the node NACKed that version before. */
bool quarantine_judge_ack(struct control *c, const struct report *r, struct entry *e);
void quarantine_sweep(struct control *c, int64_t now_ms);
/** A newer version than what is held back is served (kept: its id), or none (NULL). */
void quarantine_end_entry(struct control *c, struct entry *e, const char *kept);
void quarantine_load(struct control *c, const struct store_quarantine *q, struct store_tx *drop);
void quarantine_publish(struct entry *e); /* tell the workers all of this entry's */
void quarantine_free(struct control *c);
/** May a line be written about this NACK? *ret_unsaid: how many were not. */
bool quarantine_may_speak(struct control *c, const struct report *r, const struct entry *e, uint64_t *ret_unsaid);
/** quarantine_verdict.c: is it the node or the version? Of an entry with many streams as of a second ago at most. */
struct verdict quarantine_verdict(struct entry *e);
struct quarantined *quarantine_find(
	const struct control *c, const char *identity, const char *node, const struct entry *e, const char *version);

/* audit.c: one line in the log and one record, before the effect */
void audit_record(struct control *c, struct store_tx *tx, const char *event, const char *entry, const char *version,
	const char *by, const char *detail); /* without the line in the log */
void audit_note(struct control *c, struct store_tx *tx, const char *event, const char *entry, const char *version,
	const char *by, const char *detail);
/** What happened although its record could not be written: it is, when the store can be. */
void audit_missed(struct control *c, const char *event, const char *entry, const char *version, const char *by,
	const char *detail);

/* audit_late.c: records that the store did not take, until it does */
void audit_late_new(struct control *c);
void audit_late_add(struct control *c, int64_t at_ms, const char *event, const char *text); /* copied */
/** Try to write what waits: each second, and at our end. */
void audit_late_write(struct control *c);
size_t audit_late_count(const struct control *c);
void audit_late_free(struct control *c);

/* Log the head of the trail now, and each hour, so that one that was cut off since shows. */
void audit_start(struct control *c);

/* audit_file.c: a copy of the trail as lines of JSON */
void audit_file_new(struct control *c);
void audit_file_load(struct control *c, const char *fact, int64_t value); /* a fact of the store: where it is ours */
void audit_file_define(struct control *c, const char *path);		  /* what the config says now; NULL: no copy */
void audit_file_due(struct control *c);					  /* something was recorded */
bool audit_file_finish(struct control *c); /* we are closing: true while there is something to wait for */
void audit_file_free(struct control *c);
int64_t audit_file_behind(const struct control *c); /* records that it lacks; -1: there is no copy */

/* control.c */
void start_check_ready(struct control *c);
void control_make_exact_entries(struct control *c);

/* load.c */
/** What the store holds, into entries and orders; its upkeep begins. */
MUST_USE struct fault *control_load(struct control *c);

/* meters.c */
void meters_issued(struct control *c, const char *authority, const struct fault *f); /* f NULL: accepted */
void meters_denied(struct control *c);
void meters_discarded(struct control *c);
void meters_rejected(struct control *c, const char *authority);
void meters_passed_over(struct control *c, size_t nodes);
void meters_quarantine(struct control *c, enum quarantine_event what);
void meters_unproven(struct control *c);
void meters_hook_ran(struct control *c, const char *hook, const char *outcome);
void meters_hook_missed(struct control *c, const char *hook);
void meters_hook_removed(struct control *c, const char *hook);
#endif
