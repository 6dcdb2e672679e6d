/* ca-client/vault_role.c - the role that signs, read where the policy allows it: what of it will refuse or change
 * leafcast's requests is said before the first refusal, once per change. */
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"

#define LOOK_TIMEOUT_MS (15 * MS_PER_S)

static void say(struct vault *v, const char *traps, int64_t max_ttl_s)
{
	struct vault_role *r = &v->role;
	AUTO(mem_freep) char *text = mem_printf("%lld %s", (long long)max_ttl_s, traps);
	if (text_same(text, r->told))
		return;
	log_event(LOG_INFO, "authority.role", LS("authority", v->ca.env.authority), LS("role", v->o.role),
		LI("max_ttl_s", max_ttl_s));
	if (*traps)
		log_event(LOG_WARN, "authority.role_traps", LS("authority", v->ca.env.authority), LS("role", v->o.role),
			LS("traps", traps));
	free(r->told);
	r->told = TAKE(text);
}

static void on_role(void *arg, struct fault *f, int status, const json_t *root)
{
	struct vault *v = arg;
	struct buf traps = BUF_INIT;
	v->role.call = NULL;
	if (status == 403)
		v->role.hidden = true; /* it is fine not to show it, and asking on would fill the server's audit log */
	if (!f)
		f = vault_answer_traps(root, &traps);
	if (f && !text_same(v->role.failed, fault_text(f)))
		log_event(status == 403 ? LOG_DEBUG : LOG_INFO, "authority.role_not_read",
			LS("authority", v->ca.env.authority), LF(f));
	free(v->role.failed);
	v->role.failed = f ? mem_strdup(fault_text(f)) : NULL;
	if (!f)
		say(v, buf_text(&traps), json_integer_value(json_object_get(json_object_get(root, "data"), "max_ttl")));
	fault_free(f);
	buf_free(&traps);
}

void vault_role_look(struct vault *v)
{
	const struct secret *token = vault_login_token(v);
	if (v->role.hidden || v->role.call || !token)
		return;
	AUTO(mem_freep) char *path = mem_printf("%s/roles/%s", v->o.mount, v->o.role);
	const struct vault_request r = {.method = "GET",
		.path = path,
		.token = token,
		.client = v->login.used->client,
		.timeout_ms = LOOK_TIMEOUT_MS};
	v->role.call = vault_call_start(v, &r, on_role, v);
}

void vault_role_stop(struct vault *v)
{
	if (v->role.call)
		vault_call_cancel(TAKE(v->role.call));
}

void vault_role_done(struct vault *v)
{
	free(v->role.told);
	free(v->role.failed);
}
