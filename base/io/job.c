#include "base/io/job.h"
#include <uv.h>
#include "base/io/loop.h"
#include "base/table.h"
#include "base/mem.h"

struct job {
	uv_work_t uv;
	struct jobs *owner;
	bool slow;
	job_work_fn *work;
	job_done_fn *done;
	void *arg;
	struct job *next;
};

struct jobs {
	struct loop *loop;
	unsigned pending;
	unsigned slow_running;
	struct job *slow_waiting; /* utlist LL, in order */
};

struct jobs *jobs_new(struct loop *l)
{
	struct jobs *j = mem_new(struct jobs);
	j->loop = l;
	return j;
}

static void on_work(uv_work_t *uv)
{
	struct job *job = uv->data;
	job->work(job->arg);
}

static void queue(struct job *job);

static void on_done(uv_work_t *uv, int status)
{
	struct job *job = uv->data;
	struct jobs *j = job->owner;
	(void)status; /* never cancelled */
	if (job->slow) {
		j->slow_running--;
		struct job *next = j->slow_waiting;
		if (next) {
			LL_DELETE(j->slow_waiting, next);
			queue(next);
		}
	}
	job_done_fn *done = job->done;
	void *arg = job->arg;
	free(job);
	j->pending--; /* before: the last one's done may free the jobs */
	done(arg);
}

static void queue(struct job *job)
{
	if (job->slow)
		job->owner->slow_running++;
	invariant(uv_queue_work(loop_uv(job->owner->loop), &job->uv, on_work, on_done) == 0);
}

void jobs_run(struct jobs *j, bool slow, job_work_fn *work, job_done_fn *done, void *arg)
{
	loop_assert(j->loop);
	struct job *job = mem_new(struct job);
	job->uv.data = job;
	job->owner = j;
	job->slow = slow;
	job->work = work;
	job->done = done;
	job->arg = arg;
	j->pending++;
	if (slow && j->slow_running >= JOB_SLOW_MAX)
		LL_APPEND(j->slow_waiting, job);
	else
		queue(job);
}

unsigned jobs_pending(const struct jobs *j)
{
	return j->pending;
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	invariant(j->pending == 0);
	free(j);
}
