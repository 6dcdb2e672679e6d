/* base/io/thread.h - a thread that sleeps until its mailbox rings and is handed what waits, in batches.
 * For work that blocks and must stay in order, such as the store's transactions. All signals are blocked in it: they
 * are the loop's. */
#ifndef BASE_IO_THREAD_H
#define BASE_IO_THREAD_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
struct fault;
struct mail;
struct thread;

/** On the thread; batch: messages linked by next, oldest first, never NULL; they belong to the callee. False: the
 * thread ends, and what is posted from then on is freed. */
typedef bool thread_batch_fn(void *arg, struct mail *batch);
/** name: at most 15 bytes, as ps shows it. batch_max: most messages per call. EXHAUSTED: no more threads. The caller
 * owns *ret: thread_join(). */
MUST_USE struct fault *thread_start(
	const char *name, size_t batch_max, thread_batch_fn *on_batch, void *arg, struct thread **ret);
/** Takes m; false (and m is freed) once the thread has ended. Thread: any, until thread_join(). */
bool thread_post(struct thread *t, struct mail *m);
/** Messages that wait, without the batch in work. Thread: any. */
size_t thread_backlog(struct thread *t);
/** Waits until on_batch has returned false, then frees. NULL is fine. */
void thread_join(struct thread *t);
#endif
