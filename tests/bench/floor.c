/* tests/bench/floor.c - the least that a C core server can weigh: the floor that leafcast is compared with.
 *
 * bench_floor [-s BODY_BYTES] [-a CHANNEL_ARG=INT]... SOCKET
 * Serves StreamSecrets and DeltaSecrets with a fixed secret to whoever asks for whatever, and looks at nothing of what
 * it reads but one byte: the last one of a stream's first message, which is the digit in "secret-0" to "secret-9".
 * SIGUSR1: the next version of the secrets, by turns, to their streams. SIGUSR2: malloc_trim. SIGTERM: exit.
 * Every stream gets a reference to the same bytes, nonce included, which no real server could do.
 * Threads: main waits for signals; one worker owns the queue and all streams. */
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "tests/bench/frame.h"

enum { ARMED = 64, ARGS_MAX = 32, SECRETS = 10 };
enum tag_kind { TAG_CALL, TAG_RECEIVED, TAG_SENT, TAG_CLOSED, TAG_BELL };

/* A tag is the address of one of these. */
struct op {
	enum tag_kind kind;
	void *owner;
};

struct stream {
	grpc_call *call;
	grpc_byte_buffer *received;
	struct op receive;
	struct op send;
	struct op close;
	int cancelled;
	unsigned pending; /* ops not completed: the stream is freed when it is closed and this is 0 */
	unsigned secret;
	bool delta;
	bool asked;
	bool started;
	bool sending;
	bool dirty;
	bool closed;
	struct stream *prev;
	struct stream *next;
};

struct armed {
	struct op op;
	grpc_call *call;
	grpc_call_details details;
	grpc_metadata_array metadata;
};

struct floor {
	grpc_server *server;
	grpc_completion_queue *queue;
	grpc_call *bell;
	struct op ring;
	struct armed armed[ARMED];
	struct stream *streams;
	size_t body_bytes;
	unsigned asked; /* secrets that somebody asked for: 0 to asked - 1 */
	unsigned pushes;
	unsigned version;
	grpc_slice answers[SECRETS][2]; /* by stream.secret, stream.delta */
};

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "bench_floor: %s\n", what);
	exit(1);
}

/* Secret{name, tls_certificate{certificate_chain, private_key}}, each half filler. */
static void encode_secret(const char *name, size_t body_bytes, struct buf *ret)
{
	char *filler = mem_calloc(1, body_bytes / 2 + 1);
	memset(filler, 'x', body_bytes / 2);
	struct buf source = BUF_INIT;
	frame_add_text(&source, 2, filler); /* DataSource.inline_bytes */
	struct buf certificate = BUF_INIT;
	frame_add(&certificate, 1, source.data, source.len);
	frame_add(&certificate, 2, source.data, source.len);
	frame_add_text(ret, 1, name);
	frame_add(ret, 2, certificate.data, certificate.len);
	buf_free(&certificate);
	buf_free(&source);
	free(filler);
}

static void encode_answers(struct floor *f, unsigned number)
{
	struct buf secret = BUF_INIT;
	struct buf any = BUF_INIT;
	struct buf resource = BUF_INIT;
	char name[32];
	char version[16];
	(void)snprintf(name, sizeof(name), "secret-%u", number);
	(void)snprintf(version, sizeof(version), "%u", ++f->version);
	encode_secret(name, f->body_bytes, &secret);
	frame_add_text(&any, 1, FRAME_SECRET_TYPE);
	frame_add(&any, 2, secret.data, secret.len);
	frame_add_text(&resource, 3, name);
	frame_add_text(&resource, 1, version);
	frame_add(&resource, 2, any.data, any.len);
	for (int delta = 0; delta < 2; delta++) {
		struct buf out = BUF_INIT;
		const struct buf *body = delta ? &resource : &any;
		frame_add_text(&out, 1, version);
		frame_add_text(&out, 4, FRAME_SECRET_TYPE);
		frame_add_text(&out, 5, version); /* the nonce */
		frame_add(&out, 2, body->data, body->len);
		grpc_slice_unref(f->answers[number][delta]);
		f->answers[number][delta] = grpc_slice_from_copied_buffer((const char *)out.data, out.len);
		buf_free(&out);
	}
	buf_free(&secret);
	buf_free(&any);
	buf_free(&resource);
}

static void start(struct stream *s, const grpc_op *ops, size_t count, struct op *tag)
{
	check(grpc_call_start_batch(s->call, ops, count, tag, NULL) == GRPC_CALL_OK, "batch refused");
	s->pending++;
}

static void receive(struct stream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->received};
	start(s, &op, 1, &s->receive);
}

static void offer(const struct floor *f, struct stream *s)
{
	if (s->closed)
		return;
	if (s->sending) {
		s->dirty = true;
		return;
	}
	grpc_slice answer = f->answers[s->secret][s->delta];
	grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&answer, 1);
	grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
		{.op = GRPC_OP_SEND_INITIAL_METADATA}};
	s->sending = true;
	start(s, ops, s->started ? 1 : 2, &s->send);
	s->started = true;
	grpc_byte_buffer_destroy(message);
}

static void arm(struct floor *f, struct armed *a)
{
	grpc_call_details_init(&a->details);
	grpc_metadata_array_init(&a->metadata);
	check(grpc_server_request_call(f->server, &a->call, &a->details, &a->metadata, f->queue, f->queue, &a->op) ==
			GRPC_CALL_OK,
		"request refused");
}

static void on_call(struct floor *f, struct armed *a)
{
	static const char delta[] = "DeltaSecrets";
	struct stream *s = mem_new(struct stream);
	s->call = a->call;
	s->receive = (struct op){TAG_RECEIVED, s};
	s->send = (struct op){TAG_SENT, s};
	s->close = (struct op){TAG_CLOSED, s};
	size_t len = GRPC_SLICE_LENGTH(a->details.method);
	const uint8_t *method = GRPC_SLICE_START_PTR(a->details.method);
	s->delta = len > sizeof(delta) && memcmp(method + len - (sizeof(delta) - 1), delta, sizeof(delta) - 1) == 0;
	grpc_call_details_destroy(&a->details);
	grpc_metadata_array_destroy(&a->metadata);
	arm(f, a);
	DL_APPEND(f->streams, s);
	grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &s->cancelled};
	start(s, &op, 1, &s->close);
	receive(s);
}

static void read_name(struct floor *f, struct stream *s)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	uint8_t last = 0;
	check(grpc_byte_buffer_reader_init(&reader, s->received) != 0, "unreadable message");
	while (grpc_byte_buffer_reader_next(&reader, &slice)) {
		if (GRPC_SLICE_LENGTH(slice))
			last = *(GRPC_SLICE_END_PTR(slice) - 1);
		grpc_slice_unref(slice);
	}
	grpc_byte_buffer_reader_destroy(&reader);
	check(last >= '0' && last < '0' + SECRETS, "a first message must end with the name of its secret");
	s->secret = (unsigned)(last - '0');
	if (s->secret >= f->asked)
		f->asked = s->secret + 1;
}

static void on_received(struct floor *f, struct stream *s)
{
	if (!s->received)
		return; /* half-closed or cancelled: wait for the close */
	if (!s->asked) {
		read_name(f, s);
		offer(f, s);
	}
	s->asked = true;
	grpc_byte_buffer_destroy(s->received);
	s->received = NULL;
	receive(s);
}

static void on_sent(const struct floor *f, struct stream *s)
{
	s->sending = false;
	bool dirty = s->dirty;
	s->dirty = false;
	if (dirty)
		offer(f, s);
}

static void on_push(struct floor *f)
{
	unsigned secret = f->asked ? f->pushes++ % f->asked : 0;
	encode_answers(f, secret);
	struct stream *s;
	DL_FOREACH (f->streams, s) {
		if (s->asked && s->secret == secret)
			offer(f, s);
	}
}

static void on_op(struct floor *f, struct op *op)
{
	if (op->kind == TAG_CALL) {
		on_call(f, op->owner);
		return;
	}
	if (op->kind == TAG_BELL) {
		on_push(f);
		return;
	}
	struct stream *s = op->owner;
	s->pending--;
	if (op->kind == TAG_RECEIVED)
		on_received(f, s);
	else if (op->kind == TAG_SENT)
		on_sent(f, s);
	else
		s->closed = true;
	if (s->closed && !s->pending) {
		DL_DELETE(f->streams, s);
		grpc_call_unref(s->call);
		free(s);
	}
}

static void *work(void *arg)
{
	struct floor *f = arg;
	for (int i = 0; i < ARMED; i++) {
		f->armed[i].op = (struct op){TAG_CALL, &f->armed[i]};
		arm(f, &f->armed[i]);
	}
	for (;;) {
		grpc_event e = grpc_completion_queue_next(f->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (e.type != GRPC_OP_COMPLETE)
			return NULL;
		on_op(f, e.tag);
	}
}

/* An empty batch completes at once, on any call of the queue: that is how main wakes the worker. */
static grpc_call *make_bell(grpc_completion_queue *queue)
{
	grpc_channel *lame = grpc_lame_client_channel_create("bell", GRPC_STATUS_UNAVAILABLE, "bell");
	return grpc_channel_create_call(lame, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
		grpc_slice_from_static_string("/bell"), NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

static void listen_at(struct floor *f, const char *path, const grpc_channel_args *args)
{
	f->queue = grpc_completion_queue_create_for_next(NULL);
	f->server = grpc_server_create(args, NULL);
	grpc_server_register_completion_queue(f->server, f->queue, NULL);
	char *address = mem_printf("unix:%s", path);
	grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
	check(grpc_server_add_http2_port(f->server, address, plain) != 0, "cannot listen");
	grpc_server_credentials_release(plain);
	free(address);
	grpc_server_start(f->server);
	f->bell = make_bell(f->queue);
	f->ring = (struct op){TAG_BELL, f};
}

static void parse(int argc, char **argv, struct floor *f, grpc_channel_args *args)
{
	static const char usage[] = "usage: bench_floor [-s BODY_BYTES] [-a ARG=INT]... SOCKET";
	int c;
	while ((c = getopt(argc, argv, "s:a:")) != -1) {
		char *equals = c == 'a' ? strchr(optarg, '=') : NULL;
		if (c == 's') {
			f->body_bytes = strtoul(optarg, NULL, 10);
		} else if (equals && args->num_args < ARGS_MAX) {
			*equals = 0;
			args->args[args->num_args++] =
				(grpc_arg){.type = GRPC_ARG_INTEGER, .key = optarg, .value.integer = atoi(equals + 1)};
		} else {
			check(false, usage);
		}
	}
	check(optind == argc - 1, usage);
	check(f->body_bytes <= (size_t)1 << 20, usage);
}

int main(int argc, char **argv)
{
	static struct floor f;
	grpc_arg list[ARGS_MAX];
	grpc_channel_args args = {0, list};
	f.body_bytes = 2000;
	parse(argc, argv, &f, &args);
	struct rlimit files;
	check(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
	files.rlim_cur = files.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGUSR1);
	(void)sigaddset(&signals, SIGUSR2);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	check(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0, "sigmask");
	grpc_init();
	for (unsigned i = 0; i < SECRETS; i++)
		encode_answers(&f, i);
	listen_at(&f, argv[optind], &args);
	pthread_t worker;
	check(pthread_create(&worker, NULL, work, &f) == 0, "thread");
	check(puts("ready") >= 0 && fflush(stdout) == 0, "stdout");
	int signal = 0;
	while (sigwait(&signals, &signal) == 0 && (signal == SIGUSR1 || signal == SIGUSR2)) {
		if (signal == SIGUSR2)
			(void)malloc_trim(0);
		else
			check(grpc_call_start_batch(f.bell, NULL, 0, &f.ring, NULL) == GRPC_CALL_OK, "bell");
	}
	_exit(0); /* nothing to save: how the floor ends is not measured */
}
