/* sds/message.c - what control tells a worker, taken in on the worker's thread in the order in which it was posted. */
#include <grpc/grpc_posix.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

enum { MAILS_PER_TURN = 512 };

static void free_message(struct mail *mail)
{
	struct message *m = container_of(mail, struct message, mail);
	free(m->key);
	entry_key_unref(m->entry);
	version_unref(m->version);
	identity_unref(m->identity);
	policy_unref(m->policy);
	held_back_free(m->held_back);
	free(m->name);
	if (m->fd >= 0)
		(void)close(m->fd);
	free(m);
}

struct message *message_new(enum worker_mail type, uint64_t seq)
{
	struct message *m = mem_new(struct message);
	m->mail.type = (int)type;
	m->mail.free = free_message;
	m->seq = seq;
	m->fd = -1;
	return m;
}

void message_set_key(struct message *m, const void *bytes, size_t len)
{
	m->key = mem_dup(bytes, len);
	m->mail.key = m->key;
	m->mail.key_len = len;
}

static void take_absent(struct worker *w, const struct message *m)
{
	switch (m->reason) {
	case ABSENT_DENIED:
		absence_set(w, slot_for_absence(w, m->identity, m->name), m->seq);
		break;
	case ABSENT_UNKNOWN:
	case ABSENT_DELETED:
		slot_empty(w, slot_for_entry(w, m->entry), m->seq);
		break;
	case ABSENT_PENDING:
		if (slot_find_entry(w, m->entry))
			slot_forget(w, slot_find_entry(w, m->entry), m->seq);
		break;
	}
}

/* Everybody is asked anew; what is offered meanwhile is judged by this snapshot already (design: invariant 3). */
static void take_policy(struct worker *w, struct message *m)
{
	policy_unref(w->policy);
	w->policy = TAKE(m->policy);
	absences_forget(w);
	struct call *c;
	DL_FOREACH (w->calls, c)
		if (!c->finished && c->ops && c->ops->policy_changed)
			c->ops->policy_changed(c);
}

static void take_revoked(struct worker *w, const struct message *m)
{
	struct slot *s = slot_find_entry(w, m->entry);
	if (s)
		slot_revoke(s, m->name);
	quarantine_forget_content(w, m->entry, m->name);
}

/* Core reads from it at once and as long as there is something: on this thread, never on the acceptor's, which must
 * stay free to hang up on whoever floods. */
static void take_connection(struct worker *w, struct message *m)
{
	if (w->state != WORKER_SERVING)
		return;
	grpc_server_add_channel_from_fd(w->grpc, m->fd, w->server->plain);
	m->fd = -1;
}

static void take(struct worker *w, struct message *m)
{
	switch ((enum worker_mail)m->mail.type) {
	case MAIL_PUBLISH:
		slot_publish(w, slot_for_entry(w, m->entry), TAKE(m->version), m->seq);
		break;
	case MAIL_ABSENT:
		take_absent(w, m);
		break;
	case MAIL_POLICY:
		take_policy(w, m);
		break;
	case MAIL_QUARANTINE:
		quarantine_take(w, TAKE(m->held_back));
		break;
	case MAIL_REVOKED:
		take_revoked(w, m);
		break;
	case MAIL_TAKEN:
		w->batch_under_way = false;
		break;
	case MAIL_TRUST:
		conns_judge_again(w);
		break;
	case MAIL_HEALTH:
		w->serving = m->on && w->state == WORKER_SERVING;
		health_changed(w);
		break;
	case MAIL_SHARE:
		owner_dealt(w, m->name, m->count);
		break;
	case MAIL_CONNECTION:
		take_connection(w, m);
		break;
	case MAIL_DRAIN:
		drain_begin(w, m->grace_ms);
		break;
	}
	if (m->seq > w->applied_seq)
		w->applied_seq = m->seq;
}

void messages_read(struct worker *w)
{
	struct mail *list = mailbox_drain(w->mailbox, MAILS_PER_TURN), *next;
	for (; list; list = next) {
		next = list->next;
		take(w, container_of(list, struct message, mail));
		list->free(list);
	}
}
