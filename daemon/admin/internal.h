/* daemon/admin/internal.h - shared by the routes of this folder alone: one file per route. */
#ifndef DAEMON_ADMIN_INTERNAL_H
#define DAEMON_ADMIN_INTERNAL_H
#include <jansson.h>
#include "base/fault.h"
#include "base/io/json_memory.h"
#include "daemon/admin/admin.h"
#include "daemon/admin/http.h"

enum { ADMIN_LISTENERS_MAX = 16 };
struct admin {
	struct admin_options o;
	struct http_site *listeners[ADMIN_LISTENERS_MAX];
	unsigned listener_count;
	char *sds_socket; /* NULL: TCP alone */
	bool quiesced;
	int64_t started_at_ms; /* wall */
};

void route_status(void *admin, struct http_exchange *x);      /* GET /v1/status */
void route_subscribers(void *admin, struct http_exchange *x); /* POST /v1/subscribers {entry} */
void route_put(void *admin, struct http_exchange *x);	      /* POST /v1/put */
void route_delete(void *admin, struct http_exchange *x);      /* POST /v1/delete {name} */
void route_rotate(void *admin, struct http_exchange *x);      /* POST /v1/rotate {name} */
void route_retry(void *admin, struct http_exchange *x);	      /* POST /v1/retry {name, node} */
void route_rotate_all(void *admin, struct http_exchange *x);  /* POST /v1/rotate-all {authority?, over_s} */
/** Rotations of many that are under way, for the status. */
json_t *admin_campaigns(struct admin *a);
void route_get(void *admin, struct http_exchange *x);		 /* POST /v1/get {name} */
void route_versions(void *admin, struct http_exchange *x);	 /* POST /v1/versions {name} */
void route_rollback(void *admin, struct http_exchange *x);	 /* POST /v1/rollback {name, version?} */
void route_revoke(void *admin, struct http_exchange *x);	 /* POST /v1/revoke {name, reason?} */
void route_pin(void *admin, struct http_exchange *x);		 /* POST /v1/pin {name} */
void route_unpin(void *admin, struct http_exchange *x);		 /* POST /v1/unpin {name} */
void route_log_level(void *admin, struct http_exchange *x);	 /* POST /v1/log-level {level} */
void route_reload(void *admin, struct http_exchange *x);	 /* POST /v1/reload */
void route_trust(void *admin, struct http_exchange *x);		 /* GET /v1/trust */
void route_trust_rotate(void *admin, struct http_exchange *x);	 /* POST {authority, over_s, compromised?} */
void route_trust_proceed(void *admin, struct http_exchange *x);	 /* POST {authority, node?, all?} */
void route_trust_pause(void *admin, struct http_exchange *x);	 /* POST {authority} */
void route_trust_resume(void *admin, struct http_exchange *x);	 /* POST {authority} */
void route_trust_remove(void *admin, struct http_exchange *x);	 /* POST {authority, sha256?, force?} */
void route_trust_restore(void *admin, struct http_exchange *x);	 /* POST {authority, sha256 | force} */
void route_audit(void *admin, struct http_exchange *x);		 /* POST /v1/audit {after, limit} */
void route_inventory(void *admin, struct http_exchange *x);	 /* GET /v1/inventory */
void route_seal_rotate(void *admin, struct http_exchange *x);	 /* POST /v1/seal/rotate {key} */
void route_backup(void *admin, struct http_exchange *x);	 /* POST /v1/backup */
void route_authorities(void *admin, struct http_exchange *x);	 /* GET /v1/authorities */
void route_authority_test(void *admin, struct http_exchange *x); /* POST /v1/authorities/test {name, secret?} */
void route_metrics(void *admin, struct http_exchange *x);
void route_healthz(void *admin, struct http_exchange *x);
void route_readyz(void *admin, struct http_exchange *x);
void process_metrics_add(struct admin *a);

/** The body as an object. INVALID: not JSON, not an object, or a key that is not in keys ("name,cert"). The caller owns
 * *ret. */
MUST_USE struct fault *admin_body(const struct http_exchange *x, const char *keys, json_t **ret);
MUST_USE struct fault *admin_object(const struct buf *body, const char *keys, json_t **ret);
/** A text of the object, or INVALID that names the key. Borrowed from the object. */
MUST_USE struct fault *admin_text(const json_t *o, const char *key, const char **ret);
/** The same, of one that may be the name of something, or of an authority. */
MUST_USE struct fault *admin_name(const json_t *o, const char *key, const char **ret);
/** A node.id of the object, or NULL where there is none. INVALID: it is none. */
MUST_USE struct fault *admin_node(const json_t *o, const char **ret);
/** true or false of the object; false where the key is missing. INVALID: it is anything else, which must not pass for
 * false. */
MUST_USE struct fault *admin_flag(const json_t *o, const char *key, bool *ret);
/** "over_s" of the object, in ms: 0 to 30 days. INVALID. */
MUST_USE struct fault *admin_over(const json_t *o, int64_t *ret_ms);
/** ISO 8601 in UTC, with ms; null for 0. */
json_t *admin_time(int64_t wall_ms);
/** Takes o. */
void admin_reply_json(struct http_exchange *x, json_t *o);
#endif
