#include "control/shares.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/table.h"

struct share {
	UT_hash_handle hh; /* shares.owners */
	char *owner;
	size_t count;
	struct share_link *links;
	int64_t lines_free_at_ms; /* the bucket of lines is full again by then */
	uint64_t unsaid;
};

static struct share *find(const struct shares *s, const char *owner)
{
	struct share *h = NULL;
	HASH_FIND_STR(s->owners, owner, h);
	return h;
}

void shares_add(struct shares *s, const char *owner, struct share_link *l)
{
	struct share *h = find(s, owner);
	if (!h) {
		h = mem_new(struct share);
		h->owner = mem_strdup(owner);
		HASH_ADD_KEYPTR(hh, s->owners, h->owner, strlen(h->owner), h);
	}
	l->share = h;
	DL_APPEND(h->links, l);
	h->count++;
	s->count++;
}

void shares_remove(struct shares *s, struct share_link *l)
{
	struct share *h = l->share;
	DL_DELETE(h->links, l);
	l->share = NULL;
	s->count--;
	if (--h->count)
		return;
	HASH_DEL(s->owners, h);
	free(h->owner);
	free(h);
}

void shares_touch(struct share_link *l)
{
	DL_DELETE(l->share->links, l);
	DL_APPEND(l->share->links, l);
}

struct share_link *shares_victim(const struct shares *s)
{
	const struct share *most = NULL;
	for (const struct share *h = s->owners; h; h = h->hh.next)
		if (!most || h->count > most->count)
			most = h;
	return most ? most->links : NULL;
}

struct share_link *shares_of(const struct shares *s, const char *owner)
{
	const struct share *h = find(s, owner);
	return h ? h->links : NULL;
}

/* A bucket as one number: each line moves the time at which it is full again. */
bool share_may_speak(const struct share_link *l, int64_t now_ms, uint64_t *ret_unsaid)
{
	struct share *h = l->share;
	if (h->lines_free_at_ms < now_ms)
		h->lines_free_at_ms = now_ms;
	if (h->lines_free_at_ms - now_ms >= SHARE_LINES * SHARE_LINE_MS) {
		h->unsaid++;
		return false;
	}
	h->lines_free_at_ms += SHARE_LINE_MS;
	*ret_unsaid = h->unsaid;
	h->unsaid = 0;
	return true;
}
