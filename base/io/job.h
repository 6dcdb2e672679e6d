/* base/io/job.h - CPU work and file reads off the control loop (libuv's thread pool).
 * A job owns its input and output until done runs on the loop. Slow jobs (RSA, HSM) run at most JOB_SLOW_MAX at a time
 * and wait in order. A job is not cancelled: whoever lost interest says so in its own state, and done frees. */
#ifndef BASE_IO_JOB_H
#define BASE_IO_JOB_H
#include <stdbool.h>
struct loop;
struct jobs;
enum { JOB_SLOW_MAX = 2 };

typedef void job_work_fn(void *arg); /* on a pool thread: touches arg alone */
typedef void job_done_fn(void *arg); /* on the loop, exactly once, never from within jobs_run() */

struct jobs *jobs_new(struct loop *l);
void jobs_run(struct jobs *j, bool slow, job_work_fn *work, job_done_fn *done, void *arg);
/** How many have not had their done yet. */
unsigned jobs_pending(const struct jobs *j);
/** Only when jobs_pending() is 0. NULL is fine. */
void jobs_free(struct jobs *j);
#endif
