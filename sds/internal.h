/* sds/internal.h - a worker and what lives on it: connections, calls, streams, the index. Shared by the files of this
 * folder alone. Everything here is touched by the worker's own thread, unless said. */
#ifndef SDS_INTERNAL_H
#define SDS_INTERNAL_H
#include <pthread.h>
#include "base/bucket.h"
#include "base/fault.h"
#include "base/io/mailbox.h"
#include "base/io/pulse.h"
#include "base/io/rpc.h"
#include "base/quiet.h"
#include "base/table.h"
#include "base/timers.h"
#include "cache/entry.h"
#include "cache/version.h"
#include "control/inbox.h"
#include "control/node.h"
#include "control/outlet.h"
#include "control/policy.h"
#include "sds/engine.h"
#include "sds/frame.h"
#include "sds/request.h"
#include "sds/server.h"

struct acceptor;
struct evidence;
struct port;
struct reflection;
struct call;
struct sds_meters;
struct stream;
struct tls_listener;
struct worker;

/* --- methods.c: what can be called --- */
enum method_kind {
	METHOD_STREAM,
	METHOD_FETCH,
	METHOD_HEALTH_CHECK,
	METHOD_HEALTH_WATCH,
	METHOD_HEALTH_LIST,
	METHOD_REFLECTION
};
struct method {
	const char *path;
	enum method_kind kind;
	enum engine_mode mode; /* METHOD_STREAM */
	bool ads;
	bool v1alpha;	   /* METHOD_REFLECTION */
	const char *label; /* in metrics */
};
const struct method *method_find(const char *path, size_t len); /* NULL: unimplemented */
size_t method_number(const struct method *m);
const struct method *method_by_number(size_t n);
enum { METHOD_COUNT = 10 };

/* --- conn.c: one connection's calls share an identity and a node --- */
struct conn {
	UT_hash_handle hh; /* worker.conns, by peer text */
	char *peer;	   /* "fd:1234" or "ipv4:..." */
	int fd;		   /* of a unix connection; -1 */
	uint64_t serial;   /* likewise */
	struct identity *identity;
	struct node *node; /* the last one, shared by streams that say the same */
	uint64_t judged;   /* worker.judgement when its certificate was looked at last */
	bool fell;	   /* and was not trusted any more */
	struct tls_proof { /* what its identity was taken from */
		unsigned char hash[32];
		uint64_t judgement;
		int64_t at_ms;
	} proof;
	size_t calls;	     /* all that have not been freed */
	size_t streams;	     /* those that were let in and are not over */
	struct owner *owner; /* of this identity; shared by its connections on this worker */
	int over;	     /* enum limit: this connection is one too many; LIMIT_COUNT: it is not */
	struct worker *worker;
	struct bucket names;		  /* owner.c */
	struct bucket openings, requests; /* pace.c */
	struct call *new_calls,
		*reads; /* DL by wait_prev, wait_next: may not be read yet, for the first time or again */
	struct timers_entry pace_timer, age_timer;
	bool is_old;	    /* age.c: its calls are being ended */
	bool is_hung_up_on; /* it reset too many calls */
	int64_t age_ends_ms;
};
/** Who calls. UNAUTHENTICATED-worthy faults are DENIED. A reference that conn_leave() gives back. */
MUST_USE struct fault *conn_enter(struct worker *w, grpc_call *call, struct conn **ret);
void conn_leave(struct worker *w, struct conn *c);
/** Clients are trusted less than before: ends the calls of TLS connections that would not be let in now. */
void conns_judge_again(struct worker *w);
/** The shared node equal to n; takes n and returns a reference. */
struct node *conn_intern_node(struct conn *c, struct node *n);

/* --- owner.c: what one identity has on this worker --- */
struct owner {
	UT_hash_handle hh;	   /* worker.owners, by key */
	struct owner *prev, *next; /* worker.idle_owners, oldest first */
	struct owner *changed_prev, *changed_next;
	char *key;
	size_t connections, streams;
	size_t elsewhere; /* connections on other workers, as control said last */
	bool dealt;	  /* it has said so since the first came */
	bool changed;	  /* in worker.changed_owners: control does not know its connections */
	bool is_idle;	  /* has none */
	struct bucket names, resets;
	struct bucket openings, requests; /* pace.c */
};
/** The connection counts from now on; c->over says whether it should be. */
void owner_enter(struct worker *w, struct conn *c);
void owner_leave(struct worker *w, struct conn *c);
/** One more stream for this connection? */
bool owner_allows_stream(const struct conn *c);
/** Of what this identity may have in all (max), as much as this worker may give it; at least 1. */
size_t owner_part(const struct worker *w, const struct owner *o, size_t max);
/** Names that nobody here has asked for: bounded by connection and identity, more come back with time. */
bool owner_has_new_names(const struct conn *c);
bool owner_takes_new_name(struct call *c); /* false: none is left, which was counted and said */
/** This call's client has let it go before anything was sent on it, at once: too often, and it is kept out. */
void owner_takes_reset(struct call *c);
void owners_tell(struct worker *w); /* control, of what changed in this turn */
void owner_dealt(struct worker *w, const char *key, size_t elsewhere);
void owners_free(struct worker *w);

/* --- deal.c: the same for all workers, on control's thread --- */
enum notice_type { NOTICE_STOPPED, NOTICE_CONNECTIONS };
struct notice { /* from a worker to control's thread */
	struct mail mail;
	char *line; /* coalesces by it */
	unsigned worker;
	char *owner;
	size_t connections;
};
struct notice *notice_new(enum notice_type type);
void deal_tell(struct worker *w, const char *owner, size_t connections); /* the worker's thread */
void deal_take(struct sds_server *s, const struct notice *n);
void deals_free(struct sds_server *s);

/* --- pace.c: how fast a connection is read --- */
void pace_init(struct conn *o);
/** May the next request of this call be read now? Otherwise call_read() follows, unless the call leaves before. */
bool pace_allows(struct call *c);
void pace_leave(struct call *c); /* fine when it does not wait */
/** What was read is worth so many requests more. */
void pace_charge(struct call *c, size_t requests);

/* --- age.c: connections that are old enough go --- */
void age_begin(struct conn *o);
void age_end(struct call *c); /* the turn of this call has come */
int64_t age_cut_off_ms(const struct sds_limits *l);

/* --- call.c: an RPC's life: reads, one send at a time, its end --- */
struct call_ops {
	void (*message)(struct call *c, const void *bytes, size_t len);
	void (*half_close)(struct call *c);
	void (*pump)(struct call *c);		/* something may be sent now: after a send, and after call_mark() */
	void (*timeout)(struct call *c);	/* its timer */
	void (*closed)(struct call *c);		/* it has ended: release what user points to; nothing follows */
	bool (*owes)(struct call *c);		/* NULL: never. Is an answer on its way that a drain should wait for? */
	void (*policy_changed)(struct call *c); /* NULL: no matter */
	bool one_at_a_time;			/* the next message is read after the answer to this one was sent */
};
struct call {
	struct call *prev, *next; /* worker.calls */
	struct worker *worker;
	const struct method *method;
	const struct call_ops *ops;
	void *user;
	struct conn *conn;
	uint64_t id;
	grpc_call *grpc;
	struct rpc_op on_recv, on_send, on_close, on_status;
	unsigned outstanding; /* ops under way; the memory goes when it is 0 and the call is closed */
	grpc_byte_buffer *incoming;
	int cancelled;
	bool initial_sent, sending, closed, ending, half_closed, reading, close_watched;
	bool finished; /* its method has had the last word */
	bool marked;   /* in worker.marked */
	bool was_read; /* once, at least */
	bool was_sent; /* something, at least */
	int64_t since_ms;
	bool waits; /* in one of its connection's lines */
	struct call *mark_prev, *mark_next, *wait_prev, *wait_next;
	int status;
	char *status_text;
	struct timers_entry timer; /* the method's: first request, fetch wait, end of identity, drain */
};
void call_arm(struct worker *w, size_t count); /* ask gRPC for calls */
void call_read(struct call *c);		       /* its turn has come: pace.c */
/** Send one message: slices are taken (unreferenced). Only when !call->sending && !call->ending. */
void call_send(struct call *c, grpc_slice *slices, size_t count);
/** End with this status once what is being sent is out; a client that does not read is cut off a while later.
 * ops->closed() runs before this returns. The text is copied. Harmless when it is ending already. */
void call_end(struct call *c, int grpc_status, const char *text);
/** End it for a drain, or put that off while it owes an answer and there is time. */
void call_drain(struct call *c);
/** The gRPC status for a fault's code. */
int call_status_of(enum fault_code code);

/** Pump it at the end of the turn, or of a later one. */
void call_mark(struct call *c);
/** Pump what is marked, in the order of the marks, a bounded number. True: there is more. */
bool calls_pump(struct worker *w);
/** Arm the call's timer, after_ms from now; negative: never. */
void call_set_timer(struct call *c, int64_t after_ms);
/** When its identity ends, in ms from now; negative: never. */
int64_t call_identity_left_ms(const struct call *c);

/* --- limit.c: what a peer ran into --- */
enum limit {
	LIMIT_STREAMS_PER_CONNECTION,
	LIMIT_CONNECTIONS,
	LIMIT_CONNECTIONS_PER_IDENTITY,
	LIMIT_NAMES_PER_STREAM,
	LIMIT_NAMES_PER_REQUEST,
	LIMIT_MESSAGE_BYTES,
	LIMIT_STREAMS_PER_SECOND,
	LIMIT_REQUESTS_PER_SECOND,
	LIMIT_STREAMS_PER_SECOND_PER_IDENTITY,
	LIMIT_REQUESTS_PER_SECOND_PER_IDENTITY,
	LIMIT_STREAMS_PER_IDENTITY,
	LIMIT_NEW_NAMES_PER_CONNECTION,
	LIMIT_NEW_NAMES_PER_IDENTITY,
	LIMIT_UNANSWERED_REOFFER,
	LIMIT_UNANSWERED_CLOSE,
	LIMIT_CONNECTION_AGE,
	LIMIT_NODE_BYTES,
	LIMIT_CONNECTIONS_PER_SECOND,
	LIMIT_RESETS_PER_SECOND,
	LIMIT_FLOOD, /* no key: a worker was kept from everybody else, or who did so comes again */
	LIMIT_COUNT
};
const char *limit_name(enum limit l); /* the key of the config */
/** Count it, and say it unless it was said a moment ago. */
void limit_hit(struct call *c, enum limit l);
/** The same, and the call ends with RESOURCE_EXHAUSTED, this text and the key. */
void limit_end(struct call *c, enum limit l, const char *text);

/* --- stream.c: an xDS stream; fetch.c: FetchSecrets --- */
struct interest;
void stream_open(struct call *c);
void stream_interest_changed(struct interest *i); /* marks its engine's subscription */
void fetch_open(struct call *c);

/* --- repush.c --- */
struct repush {
	int64_t at_ms; /* monotonic; INT64_MAX: never */
	uint64_t count;
};
void repush_begin(struct repush *r, const struct call *c, const struct engine *e);
void repush_run(struct repush *r, const struct call *c, struct engine *e); /* when it is due */

/* --- index.c: what this worker serves by entry, who waits for it, what is known to be absent --- */
enum { IDLE_ABSENCES_MAX = 4096 };
/* Two kinds. Of an entry: its version, and those who may have it. Of an identity and a name: control said that there is
 * nothing, unknown or denied alike; those who wait there are the denied. */
struct slot {
	UT_hash_handle hh;	  /* worker.slots, by key */
	struct slot *prev, *next; /* worker.idle: absences that nobody waits for, oldest first */
	unsigned char *key;	  /* 'e' and entry bytes, or 'a', identity key, 0x1f, name */
	size_t key_len;
	struct version *version;  /* entry: current, or NULL */
	struct version *previous; /* entry: the one before; what a NACK falls back to */
	bool absent;		  /* the other kind: known */
	bool is_idle;
	bool current_is_revoked; /* entry: its successor is on the way */
	uint64_t seq;
	struct interest *interests; /* utlist DL by slot_prev, slot_next */
};
struct slot *slot_for_entry(struct worker *w, const struct entry_key *e); /* found or made */
struct slot *slot_find_entry(struct worker *w, const struct entry_key *e);
struct slot *slot_for_absence(struct worker *w, const struct identity *i, const char *name); /* found or made */
bool absence_is_known(struct worker *w, const struct identity *i, const char *name);
void slot_join(struct slot *s, struct interest *i);
void slot_leave(struct worker *w, struct interest *i);
/** What follows ignores what is older than what the slot has (design: invariant 1). Takes v's reference in any case. */
void slot_publish(struct worker *w, struct slot *s, struct version *v, uint64_t seq);
/** This version is offered to nobody any more. */
void slot_revoke(struct slot *s, const char *id);
/** The entry has nothing to serve; everybody who asked knows it from now on. */
void slot_empty(struct worker *w, struct slot *s, uint64_t seq);
/** Its versions are forgotten; who asks waits for the next one. */
void slot_forget(struct worker *w, struct slot *s, uint64_t seq);
void absence_set(struct worker *w, struct slot *s, uint64_t seq);
void absences_forget(struct worker *w);
/** Everybody interested may have another answer now. */
void slot_mark(struct slot *s);
void slots_free(struct worker *w);

/* --- one subscription of one stream, as the worker and control know it --- */
struct interest {
	struct interest *slot_prev, *slot_next; /* slot.interests */
	struct interest *out_prev, *out_next;	/* worker.outbox */
	struct call *call;			/* NULL: gone, waiting to be reported */
	struct engine_sub *sub;			/* NULL likewise */
	struct slot *slot;
	struct entry_key *entry;       /* NULL: the identity lacks an attribute */
	uint64_t policy_generation;    /* of the snapshot under which slot and entry were found */
	bool absent;		       /* control said that there is nothing */
	bool allowed, in_outbox, told; /* told: control knows it */
	unsigned report;	       /* enum report_what, not reported yet */
	int64_t push_to_ack_ms;
	struct version *offered; /* unanswered, or NULL */
	struct version *held;	 /* what it ACKed last, or NULL */
	int64_t spared_until_ms; /* wall: something is kept from it until then; 0: nothing is */
	/* kept beyond the stream's end, for the report */
	uint64_t number, stream;
	char *name;
	struct identity *identity;
	struct node *node;
	bool delta;
	char acked[ENGINE_VERSION_LEN + 1];
	struct nack {
		struct nack *next;
		int code;
		char *text;
		char version[ENGINE_VERSION_LEN + 1];
	} * nacks; /* not told yet, oldest first, one a version, at most ENGINE_NACKED_MAX */
};

/* --- interest.c --- */
enum answer { ANSWER_VERSION, ANSWER_ABSENT, ANSWER_PENDING };
/** Would it be a name that nobody on this worker has asked for and that nothing is known of? */
bool interest_would_be_new(const struct call *c, const char *name);
/** name is checked (text_is_name()). sub may be NULL (FetchSecrets). Told to control by the next batch. */
struct interest *interest_new(struct call *c, struct node *n, struct engine_sub *sub, const char *name, bool delta);
/** What this subscription may have at this moment, under the policy now; *ret is borrowed from the index. */
enum answer interest_answer(struct interest *i, struct version **ret);
/** Would this client, by the version that it tells, load it? If not, that is logged. */
bool interest_node_takes(const struct interest *i, const struct version *v);
/** Nobody waits for it any more. */
void interest_leave(struct interest *i);

/* --- outbox.c: reports to control, coalesced --- */
void outbox_note(struct worker *w, struct interest *i, enum report_what what);
/** Post a batch when none is under way and there is something to say: at once where control's answer is waited for or a
 * sequence number is, within 20 ms otherwise. */
void outbox_flush(struct worker *w);
int64_t outbox_due_ms(
	const struct worker *w);   /* when to call outbox_flush() though nothing happens; INT64_MAX: never */
void outbox_end(struct worker *w); /* frees what was not reported, posts the last batch */
void interest_free(struct interest *i);

/* --- quarantine.c --- */
/* An order of control's, and what came of it. */
struct held_back {
	UT_hash_handle hh; /* worker.held_back, by key */
	unsigned char *key;
	size_t key_len;
	char *identity, *node;
	struct entry_key *entry;
	char version[ENGINE_VERSION_LEN + 1];
	bool on, forgive;
	struct outlet_older older[OUTLET_OLDER_MAX];
	size_t older_count;
	struct version *fallback;
};
struct held_back *held_back_new(const struct outlet_quarantine *q); /* any thread */
void held_back_free(struct held_back *h);			    /* NULL is fine */
/** Takes h. */
void quarantine_take(struct worker *w, struct held_back *h);
/** Neither the content nor the time of this version keeps anything back any more. */
void quarantine_forget_content(struct worker *w, const struct entry_key *entry, const char *version);
/** Is v kept from this stream, because its node NACKed it and it holds an older one that is still valid? */
struct sparing {
	int64_t until_ms;	 /* wall: when what it holds ends; 0: it is not kept from it */
	struct version *instead; /* what it holds, where we have it: heals what Envoy keeps of the bad one. Borrowed */
};
struct sparing quarantine_judge(struct worker *w, const struct interest *i, const struct version *v);
void quarantines_free(struct worker *w);

/* --- health.c, reflect_rpc.c --- */
extern const char *const health_services[]; /* every service that is served; "" first: all of them */
enum { HEALTH_SERVICE_COUNT = 6 };
void health_open(struct call *c);
void health_changed(struct worker *w); /* tell every Watch */
void reflect_open(struct call *c);

/* --- worker.c --- */
/* SHUT_DOWN: gRPC has no connection left; STOPPED: the queue takes nothing more. */
enum worker_state { WORKER_SERVING, WORKER_DRAINING, WORKER_SHUT_DOWN, WORKER_STOPPED };
struct worker {
	struct sds_server *server;
	unsigned number;
	pthread_t thread;
	bool thread_started;
	struct pulse *pulse; /* the server's: turns of the loop */
	grpc_server *grpc;
	struct rpc_queue *queue;
	struct mailbox *mailbox;
	enum worker_state state;
	bool serving; /* as health shows it */
	struct policy *policy;
	struct timers timers;
	int64_t now_ms; /* monotonic, read once per event */
	struct call *calls;
	uint64_t last_call_id, last_interest;
	struct conn *conns;
	struct owner *owners, *idle_owners, *changed_owners;
	size_t idle_owner_count;
	uint64_t judgement; /* counts how often trust shrank */
	struct slot *slots;
	struct slot *idle; /* absences nobody is interested in, oldest first */
	size_t idle_count;
	struct interest *outbox;
	bool batch_under_way, outbox_urgent;
	int64_t outbox_since_ms;
	uint64_t applied_seq, reported_seq;
	struct held_back *held_back;
	struct call *marked; /* calls to pump, DL by mark_prev, mark_next */
	struct rpc_op on_shutdown;
	struct timers_entry drain_timer;
	int64_t drain_end_ms;
	struct timers_entry give_back_timer;
	size_t departed; /* streams that ended since memory was last given back */
	size_t armed;
	struct quiet unauthenticated, limits[LIMIT_COUNT];
};
/** Messages to a worker; see outlet.h. */
enum worker_mail {
	MAIL_TRUST,
	MAIL_PUBLISH,
	MAIL_ABSENT,
	MAIL_POLICY,
	MAIL_QUARANTINE,
	MAIL_REVOKED,
	MAIL_TAKEN,
	MAIL_HEALTH,
	MAIL_SHARE,
	MAIL_CONNECTION,
	MAIL_DRAIN
};
struct message {
	struct mail mail;
	uint64_t seq;
	unsigned char *key;
	struct entry_key *entry;
	struct version *version;
	struct identity *identity;
	char *name;
	enum absent_reason reason;
	struct policy *policy;
	struct held_back *held_back;
	bool on;
	int64_t grace_ms;
	size_t count;
	int fd; /* -1: none */
};
struct message *message_new(enum worker_mail type, uint64_t seq);
void message_set_key(struct message *m, const void *bytes, size_t len); /* coalesce by it */
/* message.c */
void messages_read(struct worker *w);
/* drain.c */
void drain_init(struct worker *w);
void drain_begin(struct worker *w, int64_t grace_ms);
void drain_finish(struct worker *w); /* stops the worker when it is drained */
/* give_back.c */
void give_back_init(struct worker *w);
void give_back_note(struct worker *w); /* a stream has ended */

void worker_init(struct worker *w, struct sds_server *s, unsigned number);
MUST_USE struct fault *worker_start(struct worker *w);
void worker_done(struct worker *w); /* joined; frees what is left */

/* --- meters.c --- */
struct sds_meters *sds_meters_new(struct sds_server *s, struct metrics *m); /* m NULL: nothing is measured */
void sds_meters_free(struct sds_server *s);
void meters_call(struct sds_server *s, const struct method *m, int delta);
void meters_end(struct sds_server *s, int grpc_status);
void meters_push(struct sds_server *s);
void meters_subscription(struct sds_server *s, int delta);
void meters_ack(struct sds_server *s, int64_t push_to_ack_ms);
void meters_nack(struct sds_server *s);
void meters_impossible(struct sds_server *s);
double meters_open_calls(const struct sds_server *s);  /* 0 without a registry */
void meters_limit(struct sds_server *s, enum limit l); /* any thread */
double meters_subscriptions(const struct sds_server *s);

/* --- server.c --- */
struct sds_server {
	struct sds_options o;
	char *instance;
	struct worker *workers;
	struct pulse *pulses; /* one a worker: the acceptor watches them */
	size_t memory_bytes;
	grpc_resource_quota *memory; /* so many bytes */
	struct outlet outlet;
	struct acceptor *acceptor;
	struct tls_listener *tls; /* LL */
	struct sds_meters *meters;
	bool started;
	void (*drained)(void *arg);
	void *drained_arg;
	grpc_server_credentials *plain; /* unix connections */
	struct reflection *reflection;
	struct port *ports;	 /* LL: what each worker's TCP ports have seen */
	struct mailbox *notices; /* struct notice, from workers */
	struct deal *deals;
	struct wakeup *wakeup;
	unsigned stopped;
	int pending_fds[16]; /* unix listeners given before the start */
	size_t pending_count;
};
void server_worker_stopped(struct sds_server *s); /* any worker's thread */

/* --- tls.c --- */
/** Credentials for one worker's port of a listener: each handshake reads the newest certificate and trust. The caller
 * owns them; what they read is added to ports and must outlive them. */
grpc_server_credentials *tls_credentials(struct tls_listener *l, struct port **ports);
void tls_ports_free(struct port *list);
struct tls_listener *tls_listener_new(void);
struct tls_listener *tls_listener_next(struct tls_listener *l);
void tls_listener_append(struct tls_listener **list, struct tls_listener *l);
void tls_listener_free(struct tls_listener *l);
MUST_USE struct fault *tls_listener_set(struct tls_listener *l, struct credential *c, const struct client_trust *trust,
	size_t trust_count, bool *ret_shrunk);
/** Judge a verified client: evidence against the trust of every listener. */
MUST_USE struct fault *tls_identity(struct sds_server *s, const struct evidence *e, struct identity **ret);
#endif
