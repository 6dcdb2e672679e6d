#include "base/io/child.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/text.h"

enum { STDIN, STDOUT, STDERR, PIPES };
enum { READ_SIZE = 16 * 1024 };

/* Every handle of libuv is part of it: it is freed in the last close callback. */
struct child {
	struct loop *loop;
	child_done_fn *done;
	void *arg;
	struct child_result result;
	struct fault *fault; /* the first reason stands */
	struct timer *timer; /* for the limit; then the grace; then the drain; the next turn where nothing was begun */
	char *program;
	size_t output_max;
	bool only_talk;
	int64_t timeout_ms;
	uv_process_t process;
	uv_pipe_t pipes[PIPES];
	uv_write_t write;
	struct buf input;
	bool running; /* not reaped */
	bool terminated;
	unsigned reading; /* of stdout and stderr: how many have not ended */
	unsigned handles; /* that have not been closed */
	char read_into[READ_SIZE];
};

static void on_closed(uv_handle_t *h)
{
	struct child *c = h->data;
	if (--c->handles)
		return;
	child_done_fn *done = c->done;
	struct fault *f = TAKE(c->fault);
	timer_free(c->timer);
	done(c->arg, f, &c->result);
	buf_free(&c->result.output);
	buf_free(&c->result.errors);
	buf_free(&c->input);
	free(c->program);
	free(c);
}

static void close_handle(uv_handle_t *h)
{
	if (!uv_is_closing(h))
		uv_close(h, on_closed);
}

static void close_all(struct child *c)
{
	timer_stop(c->timer);
	for (int i = 0; i < PIPES; i++)
		close_handle((uv_handle_t *)&c->pipes[i]);
	if (c->process.data)
		close_handle((uv_handle_t *)&c->process);
}

/* --- its end --- */

static void signal_group(const struct child *c, int number)
{
	if (c->process.pid > 0)
		(void)kill(-(pid_t)c->process.pid, number);
}

static void end_because(struct child *c, struct fault *why)
{
	if (c->fault)
		fault_ignore(why, "the first reason stands");
	else
		c->fault = why;
	if (!c->running || c->terminated)
		return;
	c->terminated = true;
	signal_group(c, SIGTERM);
	timer_start(c->timer, CHILD_GRACE_MS);
}

static void on_timer(void *arg)
{
	struct child *c = arg;
	if (!c->running) /* never begun, or it has ended and others hold its pipes */
		close_all(c);
	else if (c->terminated)
		signal_group(c, SIGKILL);
	else
		end_because(c, fault_set_retryable(fault_new(FAULT_TIMEOUT, "%s did not end within %lld ms", c->program,
							   (long long)c->timeout_ms),
				       -1));
}

/* Its number is free from now on: what is left of its group is killed here and never again. */
static void on_exit_of_child(uv_process_t *p, int64_t status, int number)
{
	struct child *c = p->data;
	c->running = false;
	c->result.exit_code = number ? 0 : (int)status;
	c->result.signal = number;
	signal_group(c, SIGKILL);
	if (c->reading)
		timer_start(c->timer, CHILD_DRAIN_MS);
	else
		close_all(c);
}

/* --- its pipes --- */

static void give_room(uv_handle_t *h, size_t wanted, uv_buf_t *ret)
{
	struct child *c = h->data;
	(void)wanted;
	*ret = uv_buf_init(c->read_into, sizeof c->read_into);
}

static void take_output(struct child *c, size_t len)
{
	if (c->fault)
		return;
	if (len > c->output_max - c->result.output.len)
		end_because(c, fault_new(FAULT_CORRUPT, "%s wrote more than %zu bytes", c->program, c->output_max));
	else
		buf_add(&c->result.output, c->read_into, len);
}

static void take_errors(struct child *c, size_t len)
{
	struct buf *b = &c->result.errors, kept = BUF_SECRET_INIT;
	buf_add(b, c->read_into, len);
	if (b->len <= CHILD_ERRORS_MAX)
		return;
	buf_add(&kept, b->data + b->len - CHILD_ERRORS_MAX, CHILD_ERRORS_MAX);
	buf_free(b);
	*b = kept;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *into)
{
	struct child *c = s->data;
	(void)into;
	if (n > 0) {
		if (s == (uv_stream_t *)&c->pipes[STDOUT] && !c->only_talk)
			take_output(c, (size_t)n);
		else
			take_errors(c, (size_t)n);
		explicit_bzero(c->read_into, (size_t)n);
	} else if (n < 0) {
		(void)uv_read_stop(s);
		if (--c->reading == 0 && !c->running)
			close_all(c);
	}
}

/* That it does not read its input is its own affair. */
static void on_written(uv_write_t *w, int status)
{
	struct child *c = w->data;
	(void)status;
	close_handle((uv_handle_t *)&c->pipes[STDIN]);
}

/* --- its beginning --- */

/* Real pipes, not the socket pairs that libuv would make: a script may open /dev/stdin, and a socket cannot be opened.
 */
static int make_pipes(struct child *c, int theirs[PIPES])
{
	for (int i = 0; i < PIPES; i++) {
		int ends[2], mine = i == STDIN ? 1 : 0;
		int rc = uv_pipe(ends, mine == 0 ? UV_NONBLOCK_PIPE : 0, mine == 1 ? UV_NONBLOCK_PIPE : 0);
		if (rc)
			return rc;
		theirs[i] = ends[1 - mine];
		rc = uv_pipe_open(&c->pipes[i], ends[mine]);
		if (rc) {
			(void)close(ends[mine]);
			return rc;
		}
	}
	return 0;
}

static int spawn(struct child *c, const struct child_request *r, const int theirs[PIPES])
{
	uv_stdio_container_t stdio[PIPES];
	for (int i = 0; i < PIPES; i++) {
		stdio[i].flags = UV_INHERIT_FD;
		stdio[i].data.fd = theirs[i];
	}
	union {
		const char *const *in;
		char **out;
	} argv = {r->argv}, env = {r->env}; /* libuv only reads them */
	const uv_process_options_t options = {.exit_cb = on_exit_of_child,
		.file = r->argv[0],
		.args = argv.out,
		.env = env.out,
		.cwd = "/",
		.flags = UV_PROCESS_DETACHED,
		.stdio_count = PIPES,
		.stdio = stdio};
	c->process.data = c; /* also where it fails, libuv has made it a handle */
	c->handles++;
	/* Whatever library opened a descriptor without asking for it. An old kernel does not know the call: then only
	 * what was opened with O_CLOEXEC, which is all of ours, stays at home. */
	(void)close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	return uv_spawn(loop_uv(c->loop), &c->process, &options);
}

static void begin_io(struct child *c)
{
	c->reading = 2;
	for (int i = STDOUT; i <= STDERR; i++)
		invariant(uv_read_start((uv_stream_t *)&c->pipes[i], give_room, on_read) == 0);
	uv_buf_t bytes = uv_buf_init((char *)c->input.data, (unsigned)c->input.len);
	c->write.data = c;
	if (c->input.len == 0 || uv_write(&c->write, (uv_stream_t *)&c->pipes[STDIN], &bytes, 1, on_written) != 0)
		close_handle((uv_handle_t *)&c->pipes[STDIN]);
}

static struct fault *begin(struct child *c, const struct child_request *r)
{
	int theirs[PIPES] = {-1, -1, -1};
	int rc = make_pipes(c, theirs);
	if (rc == 0)
		rc = spawn(c, r, theirs);
	for (int i = 0; i < PIPES; i++)
		if (theirs[i] >= 0)
			(void)close(theirs[i]);
	if (rc == 0)
		return NULL;
	c->process.pid = 0;
	return fault_set_retryable(
		fault_new(FAULT_UNAVAILABLE, "%s cannot be run: %s", c->program, uv_strerror(rc)), -1);
}

static void init_pipes(struct child *c)
{
	for (int i = 0; i < PIPES; i++) {
		invariant(uv_pipe_init(loop_uv(c->loop), &c->pipes[i], 0) == 0);
		c->pipes[i].data = c;
	}
	c->handles = PIPES;
}

struct child *child_start(struct loop *loop, const struct child_request *r, child_done_fn *done, void *arg)
{
	loop_assert(loop);
	invariant(r->argv[0] && *r->argv[0] == '/' && r->input_len <= CHILD_OUTPUT_MAX);
	struct child *c = mem_new(struct child);
	c->loop = loop;
	c->done = done;
	c->arg = arg;
	c->program = text_escaped(r->argv[0]);
	c->output_max = r->output_max && r->output_max < CHILD_OUTPUT_MAX ? r->output_max : CHILD_OUTPUT_MAX;
	c->only_talk = r->only_talk;
	c->timeout_ms = r->timeout_ms;
	c->result.output.wipe = c->result.errors.wipe = c->input.wipe = true;
	buf_add(&c->input, r->input, r->input_len);
	c->timer = timer_new(loop, on_timer, c);
	init_pipes(c);
	c->fault = begin(c, r);
	c->running = !c->fault;
	timer_start(c->timer, c->running ? r->timeout_ms : 0);
	if (c->running)
		begin_io(c);
	return c;
}

void child_end(struct child *c)
{
	loop_assert(c->loop);
	end_because(c, fault_new(FAULT_UNAVAILABLE, "cancelled"));
}
