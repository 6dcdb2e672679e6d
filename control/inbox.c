#include "control/inbox.h"
#include "base/attr.h"
#include "base/mem.h"
#include "cache/entry.h"
#include "control/identity.h"
#include "control/node.h"

static void free_mail(struct mail *m)
{
	report_batch_free(container_of(m, struct report_batch, mail));
}

struct report_batch *report_batch_new(unsigned worker, size_t count)
{
	struct report_batch *b = mem_calloc(1, sizeof *b + count * sizeof b->reports[0]);
	b->mail.free = free_mail;
	b->worker = worker;
	b->count = count;
	return b;
}

void report_batch_free(struct report_batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->count; i++) {
		struct report *r = &b->reports[i];
		free(r->name);
		free(r->nack_text);
		entry_key_unref(r->entry);
		identity_unref(r->identity);
		node_unref(r->node);
	}
	free(b);
}
