/* daemon/admin/route_state.c - the state as a whole: a new seal, a copy. Answered when it is done. */
#include "base/buf.h"
#include "base/secret.h"
#include "cache/seal_key.h"
#include "cache/store.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

static void on_rotated(void *arg, struct fault *f, const struct store_rotation *r)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:I, s:I, s:b}", "records", (json_int_t)r->records, "damaged",
					    (json_int_t)r->damaged, "waits", r->waits));
}

/* *ret stays NULL where none was given. */
static struct fault *read_key(const json_t *o, struct secret **ret)
{
	const json_t *key = json_object_get(o, "key");
	if (!key)
		return NULL;
	const char *text;
	TRY(admin_text(o, "key", &text));
	return seal_key_parse("the given key", text, json_string_length(key), ret);
}

void route_seal_rotate(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *o = NULL;
	AUTO(secret_freep) struct secret *given = NULL;
	struct fault *f = admin_body(x, "key", &o);
	if (!f)
		f = read_key(o, &given);
	json_decref(o);
	if (f)
		http_reply_fault(x, f);
	else
		control_rotate_seal(a->o.control, given, http_peer(x), on_rotated, x);
}

static void on_copied(void *arg, struct fault *f, int fd, int64_t bytes)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		http_reply_file(x, "application/vnd.sqlite3", fd, (uint64_t)bytes);
}

void route_backup(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *o = NULL;
	struct fault *f = admin_body(x, "", &o);
	json_decref(o);
	if (f)
		http_reply_fault(x, f);
	else
		control_backup(a->o.control, http_peer(x), on_copied, x);
}
