/* base/io/wakeup.h - wakes the control loop from any thread; wakes coalesce, so drain everything each time. */
#ifndef BASE_IO_WAKEUP_H
#define BASE_IO_WAKEUP_H
struct loop;
struct wakeup;
struct wakeup *wakeup_new(struct loop *l, void (*fn)(void *arg), void *arg);
/** Thread: any, until wakeup_free() was called. Takes the struct itself as argument for mailbox_new(). */
void wakeup_ring(void *wakeup);
void wakeup_free(struct wakeup *w); /* closes the handle; NULL is fine */
#endif
