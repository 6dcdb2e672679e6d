#include "cache/reaper.h"
#include "base/io/loop.h"
#include "base/io/mailbox.h"
#include "base/io/wakeup.h"
#include "base/mem.h"
#include "cache/version.h"

struct reaper {
	struct loop *loop;
	struct wakeup *wakeup;
	struct mailbox *mailbox;
};

static void wipe_all(void *arg)
{
	struct reaper *r = arg;
	struct mail *m = mailbox_drain(r->mailbox, 0);
	while (m) {
		struct mail *next = m->next;
		m->free(m);
		m = next;
	}
}

static void take(void *arg, struct version *v)
{
	struct reaper *r = arg;
	invariant(mailbox_post(r->mailbox, version_mail(v)));
}

struct reaper *reaper_new(struct loop *l)
{
	loop_assert(l);
	struct reaper *r = mem_new(struct reaper);
	r->loop = l;
	r->wakeup = wakeup_new(l, wipe_all, r);
	r->mailbox = mailbox_new(wakeup_ring, r->wakeup);
	version_set_reaper(take, r);
	return r;
}

void reaper_free(struct reaper *r)
{
	if (!r)
		return;
	loop_assert(r->loop);
	version_set_reaper(NULL, NULL);
	mailbox_free(r->mailbox);
	wakeup_free(r->wakeup);
	free(r);
}
