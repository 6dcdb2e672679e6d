#include "base/io/wakeup.h"
#include <uv.h>
#include "base/io/loop.h"
#include "base/mem.h"

struct wakeup {
	uv_async_t uv;
	void (*fn)(void *arg);
	void *arg;
};

static void on_wake(uv_async_t *uv)
{
	struct wakeup *w = uv->data;
	w->fn(w->arg);
}

struct wakeup *wakeup_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct wakeup *w = mem_new(struct wakeup);
	w->fn = fn;
	w->arg = arg;
	invariant(uv_async_init(loop_uv(l), &w->uv, on_wake) == 0);
	w->uv.data = w;
	return w;
}

void wakeup_ring(void *wakeup)
{
	struct wakeup *w = wakeup;
	invariant(uv_async_send(&w->uv) == 0);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void wakeup_free(struct wakeup *w)
{
	if (w)
		uv_close((uv_handle_t *)&w->uv, on_closed);
}
