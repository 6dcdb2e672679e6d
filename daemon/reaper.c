#include "daemon/reaper.h"
#include "base/attr.h"
#include "base/io/mailbox.h"
#include "base/io/wakeup.h"
#include "base/mem.h"
#include "cache/version.h"

struct reaper {
	struct mailbox *mailbox;
	struct wakeup *wakeup;
};

struct remains {
	struct mail mail;
	struct version *version;
};

static void wipe(struct mail *m)
{
	struct remains *r = container_of(m, struct remains, mail);
	version_wipe(r->version);
	free(r);
}

static void on_dead(void *arg, struct version *v)
{
	struct reaper *r = arg;
	struct remains *m = mem_new(struct remains);
	m->mail.free = wipe;
	m->version = v;
	(void)mailbox_post(r->mailbox, &m->mail); /* a closed mailbox wipes it here and now */
}

static void on_wakeup(void *arg)
{
	struct reaper *r = arg;
	struct mail *m = mailbox_drain(r->mailbox, 0), *next;
	for (; m; m = next) {
		next = m->next;
		wipe(m);
	}
}

struct reaper *reaper_new(struct loop *l)
{
	struct reaper *r = mem_new(struct reaper);
	r->wakeup = wakeup_new(l, on_wakeup, r);
	r->mailbox = mailbox_new(wakeup_ring, r->wakeup);
	version_set_reaper(on_dead, r);
	return r;
}

void reaper_free(struct reaper *r)
{
	if (!r)
		return;
	version_set_reaper(NULL, NULL);
	mailbox_free(r->mailbox);
	wakeup_free(r->wakeup);
	free(r);
}
