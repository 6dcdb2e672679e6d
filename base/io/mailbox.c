#include "base/io/mailbox.h"
#include <pthread.h>
#include "base/mem.h"

struct mailbox {
	pthread_mutex_t lock;
	struct mail *list;   /* utlist DL */
	struct mail *by_key; /* uthash */
	size_t length;
	bool pending; /* woken, not drained yet */
	bool closed;
	void (*wake)(void *arg);
	void *arg;
};

struct mailbox *mailbox_new(void (*wake)(void *arg), void *arg)
{
	struct mailbox *b = mem_new(struct mailbox);
	invariant(pthread_mutex_init(&b->lock, NULL) == 0);
	b->wake = wake;
	b->arg = arg;
	return b;
}

static void unlink_mail(struct mailbox *b, struct mail *m)
{
	DL_DELETE(b->list, m);
	if (m->key)
		HASH_DELETE(hh, b->by_key, m);
	b->length--;
}

static void ring(struct mailbox *b)
{
	if (!b->pending) {
		b->pending = true;
		b->wake(b->arg);
	}
}

bool mailbox_post(struct mailbox *b, struct mail *m)
{
	struct mail *old = NULL;
	pthread_mutex_lock(&b->lock);
	bool open = !b->closed;
	if (open) {
		if (m->key) {
			HASH_FIND(hh, b->by_key, m->key, m->key_len, old);
			if (old)
				unlink_mail(b, old);
			HASH_ADD_KEYPTR(hh, b->by_key, m->key, m->key_len, m);
		}
		DL_APPEND(b->list, m);
		b->length++;
		ring(b);
	} else {
		old = m;
	}
	pthread_mutex_unlock(&b->lock);
	if (old)
		old->free(old);
	return open;
}

struct mail *mailbox_drain(struct mailbox *b, size_t max)
{
	struct mail *first = NULL, **tail = &first;
	pthread_mutex_lock(&b->lock);
	b->pending = false;
	for (size_t n = 0; b->list && (max == 0 || n < max); n++) {
		struct mail *m = b->list;
		unlink_mail(b, m);
		m->next = NULL;
		*tail = m;
		tail = &m->next;
	}
	if (b->list && !b->closed)
		ring(b);
	pthread_mutex_unlock(&b->lock);
	return first;
}

static void free_list(struct mail *m)
{
	while (m) {
		struct mail *next = m->next;
		m->free(m);
		m = next;
	}
}

void mailbox_close(struct mailbox *b)
{
	pthread_mutex_lock(&b->lock);
	b->closed = true;
	pthread_mutex_unlock(&b->lock);
	free_list(mailbox_drain(b, 0));
}

size_t mailbox_length(struct mailbox *b)
{
	pthread_mutex_lock(&b->lock);
	size_t n = b->length;
	pthread_mutex_unlock(&b->lock);
	return n;
}

void mailbox_free(struct mailbox *b)
{
	if (!b)
		return;
	mailbox_close(b);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
