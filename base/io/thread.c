#include "base/io/thread.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include "base/fault.h"
#include "base/io/mailbox.h"
#include "base/mem.h"

struct thread {
	pthread_t id;
	sem_t bell; /* posted at most once per drain, so it cannot overflow */
	struct mailbox *mailbox;
	size_t batch_max;
	thread_batch_fn *on_batch;
	void *arg;
	char name[16];
};

static void ring(void *arg)
{
	struct thread *t = arg;
	invariant(sem_post(&t->bell) == 0);
}

static void *run(void *arg)
{
	struct thread *t = arg;
	bool more = true;
	(void)pthread_setname_np(pthread_self(), t->name);
	while (more) {
		if (sem_wait(&t->bell) < 0)
			continue; /* EINTR: a debugger's */
		struct mail *batch = mailbox_drain(t->mailbox, t->batch_max);
		if (batch)
			more = t->on_batch(t->arg, batch);
	}
	mailbox_close(t->mailbox);
	return NULL;
}

static void free_thread(struct thread *t)
{
	mailbox_free(t->mailbox);
	(void)sem_destroy(&t->bell);
	free(t);
}

struct fault *thread_start(
	const char *name, size_t batch_max, thread_batch_fn *on_batch, void *arg, struct thread **ret)
{
	struct thread *t = mem_new(struct thread);
	invariant(sem_init(&t->bell, 0, 0) == 0);
	t->mailbox = mailbox_new(ring, t);
	t->batch_max = batch_max;
	t->on_batch = on_batch;
	t->arg = arg;
	invariant(strlen(name) < sizeof t->name);
	memcpy(t->name, name, strlen(name) + 1);
	sigset_t all, before;
	(void)sigfillset(&all);
	invariant(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	int rc = pthread_create(&t->id, NULL, run, t);
	invariant(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (rc) {
		free_thread(t);
		return fault_errno(rc, "cannot start thread %s", name);
	}
	*ret = t;
	return NULL;
}

bool thread_post(struct thread *t, struct mail *m)
{
	return mailbox_post(t->mailbox, m);
}

size_t thread_backlog(struct thread *t)
{
	return mailbox_length(t->mailbox);
}

void thread_join(struct thread *t)
{
	if (!t)
		return;
	invariant(pthread_join(t->id, NULL) == 0);
	free_thread(t);
}
