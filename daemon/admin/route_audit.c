/* daemon/admin/route_audit.c - a page of the audit trail. Whoever reads it checks it (leafcast audit verify). */
#include "base/audit_chain.h"
#include "base/mem.h"
#include "cache/store.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

static json_t *hash_of(const struct audit_hash *h)
{
	char hex[AUDIT_HASH_HEX];
	audit_hash_hex(h, hex);
	return json_string(hex);
}

static json_t *record_of(const struct audit_record *r)
{
	json_t *detail = r->detail ? json_loads(r->detail, 0, NULL) : NULL;
	return json_pack("{s:I, s:I, s:s, s:o, s:o}", "seq", (json_int_t)r->seq, "at_ms", (json_int_t)r->at_ms, "event",
		r->event, "detail", detail ? detail : json_null(), "hash", hash_of(&r->hash));
}

static void on_page(void *arg, struct fault *f, const struct store_audit_page *p)
{
	struct http_exchange *x = arg;
	if (f) {
		http_reply_fault(x, f);
		return;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < p->count; i++)
		(void)json_array_append_new(list, record_of(&p->records[i]));
	const struct audit_head *h = &p->head;
	admin_reply_json(x, json_pack("{s:{s:I, s:o, s:I, s:o, s:I}, s:o}", "head", "base_seq", (json_int_t)h->base_seq,
				    "base_hash", hash_of(&h->base_hash), "seq", (json_int_t)h->seq, "hash",
				    hash_of(&h->hash), "broken_at", (json_int_t)h->broken_at, "records", list));
}

void route_audit(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	struct fault *f = admin_body(x, "after,limit", &body);
	const json_t *after = json_object_get(body, "after"), *limit = json_object_get(body, "limit");
	if (!f && (!json_is_integer(after) || !json_is_integer(limit) || json_integer_value(after) < 0 ||
			  json_integer_value(limit) < 0 || json_integer_value(limit) > STORE_AUDIT_PAGE_MAX))
		f = fault_new(FAULT_INVALID, "\"after\" is a record's number (0: from the first), \"limit\" 0 to %d",
			STORE_AUDIT_PAGE_MAX);
	if (f)
		http_reply_fault(x, f);
	else
		control_audit_read(
			a->o.control, json_integer_value(after), (size_t)json_integer_value(limit), on_page, x);
	json_decref(body);
}
