/* sds/deal.c - who has how many connections on which worker, told by workers and added up on control's thread, which
 * tells each of them what the others have: it is by their numbers that what an identity may have is divided. What a
 * worker knows is older than what is by one round trip. With one worker there is nothing to tell. */
#include <string.h>
#include "base/io/mailbox.h"
#include "base/mem.h"
#include "sds/internal.h"

struct deal {
	UT_hash_handle hh;    /* sds_server.deals */
	char *key;	      /* of an owner */
	size_t connections[]; /* by worker */
};

static void free_notice(struct mail *m)
{
	struct notice *n = container_of(m, struct notice, mail);
	free(n->line);
	free(n->owner);
	free(n);
}

struct notice *notice_new(enum notice_type type)
{
	struct notice *n = mem_new(struct notice);
	n->mail.type = (int)type;
	n->mail.free = free_notice;
	return n;
}

void deal_tell(struct worker *w, const char *owner, size_t connections)
{
	struct notice *n = notice_new(NOTICE_CONNECTIONS);
	n->owner = mem_strdup(owner);
	n->worker = w->number;
	n->connections = connections;
	n->line = mem_printf("%u %s", w->number, owner);
	n->mail.key = n->line;
	n->mail.key_len = strlen(n->line);
	(void)mailbox_post(w->server->notices, &n->mail);
}

static struct deal *find_or_add(struct sds_server *s, const char *key)
{
	struct deal *d = NULL;
	HASH_FIND_STR(s->deals, key, d);
	if (d)
		return d;
	d = mem_calloc(1, sizeof *d + s->o.workers * sizeof d->connections[0]);
	d->key = mem_strdup(key);
	HASH_ADD_KEYPTR(hh, s->deals, d->key, strlen(d->key), d);
	return d;
}

static void drop(struct sds_server *s, struct deal *d)
{
	HASH_DEL(s->deals, d);
	free(d->key);
	free(d);
}

static void tell(struct sds_server *s, const struct deal *d, unsigned worker, size_t elsewhere)
{
	struct message *m = message_new(MAIL_SHARE, 0);
	AUTO(mem_freep) char *line = mem_printf("o%s", d->key);
	message_set_key(m, line, strlen(line));
	m->name = mem_strdup(d->key);
	m->count = elsewhere;
	(void)mailbox_post(s->workers[worker].mailbox, &m->mail);
}

void deal_take(struct sds_server *s, const struct notice *n)
{
	struct deal *d = find_or_add(s, n->owner);
	size_t total = 0;
	d->connections[n->worker] = n->connections;
	for (unsigned w = 0; w < s->o.workers; w++)
		total += d->connections[w];
	for (unsigned w = 0; w < s->o.workers; w++)
		if (d->connections[w])
			tell(s, d, w, total - d->connections[w]);
	if (total == 0)
		drop(s, d);
}

void deals_free(struct sds_server *s)
{
	while (s->deals)
		drop(s, s->deals);
}
