/* tests/bench/load.c - a crowd of subscribers: N connections of M streams, each of which asks for one secret.
 *
 * bench_load [-d] [-n NODE_BYTES] [-t SECONDS] SOCKET NAME...     -d: DeltaSecrets, else StreamSecrets
 * The j-th stream of a connection asks for the j-th name, from the first again beyond the last. Commands, one a line on
 * stdin; each is answered by one line of JSON on stdout when it is done, or after SECONDS (60) with what is missing:
 *   open N M   until there are N connections of M streams and each stream has its first answer
 *   arm NAME   "armed" at once; from then on one answer more is awaited on each stream of that name, then "pushed"
 *   delays     "delays": those of the last push, in ms
 *   close      cancel all streams, close all connections
 * Thread: one. It also looks at the queue every 20 ms while nothing happens: keepalive pings want answers. */
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "tests/bench/message.h"
#include "tests/bench/subscriber.h"

enum { OPENING_MAX = 64, NAMES_MAX = 16, STREAMS_MAX = 16, CONNECTIONS_MAX = 20000 };

struct connection {
	grpc_channel *channel;
	struct subscriber *streams[STREAMS_MAX]; /* NULL: not opened, or ended */
	size_t opened;
};

enum phase { PHASE_IDLE, PHASE_OPENING, PHASE_PUSHING, PHASE_CLOSING };

struct load {
	struct crowd crowd;
	const char *path;
	const char *names[NAMES_MAX];
	size_t name_count;
	struct connection connections[CONNECTIONS_MAX];
	size_t wanted_connections;
	size_t wanted_streams;
	size_t cursor; /* connections before it have all their streams */
	enum phase phase;
	int64_t patience_ns;
	struct buf input;
};

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "bench_load: %s\n", what);
	exit(1);
}

static grpc_channel *connect_to(const char *path)
{
	/* A connection of its own each, as if each were a process; no probes and no retries, like Envoy. */
	grpc_arg list[] = {{.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, .value.integer = 1},
		{.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_HTTP2_BDP_PROBE, .value.integer = 0},
		{.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_ENABLE_RETRIES, .value.integer = 0},
		{.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, .value.integer = 1}};
	grpc_channel_args args = {ARRAY_LEN(list), list};
	char *target = mem_printf("unix:%s", path);
	grpc_channel_credentials *plain = grpc_insecure_credentials_create();
	grpc_channel *channel = grpc_channel_create(target, plain, &args);
	grpc_channel_credentials_release(plain);
	free(target);
	return channel;
}

/* Keep a few streams on their way, no more: a crowd that all dials at once measures the backlog. */
static void open_more(struct load *l)
{
	while (l->cursor < l->wanted_connections && l->crowd.waiting < OPENING_MAX) {
		struct connection *c = &l->connections[l->cursor];
		if (c->opened >= l->wanted_streams) {
			l->cursor++;
			continue;
		}
		if (!c->channel)
			c->channel = connect_to(l->path);
		const char *name = l->names[c->opened % l->name_count];
		subscriber_open(&l->crowd, c->channel, l->cursor, name, &c->streams[c->opened]);
		c->opened++;
	}
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static double quantile_ms(const struct crowd *c, size_t percent)
{
	return c->delay_count ? (double)c->delays[(c->delay_count - 1) * percent / 100] / 1e6 : 0;
}

static void report(const struct crowd *c, const char *event)
{
	(void)printf(
		"{\"event\": \"%s\", \"live\": %zu, \"missing\": %zu, \"failed\": %zu, \"extra\": %zu, "
		"\"answer_bytes\": %zu, \"wall_ms\": %.3f, \"received\": %zu, \"first_ms\": %.3f, \"p50_ms\": %.3f, "
		"\"p99_ms\": %.3f, \"last_ms\": %.3f}\n",
		event, c->live, c->waiting, c->failed, c->extra, c->answer_bytes,
		(double)(subscriber_now() - c->measured_from) / 1e6, c->delay_count, quantile_ms(c, 0),
		quantile_ms(c, 50), quantile_ms(c, 99), quantile_ms(c, 100));
	check(fflush(stdout) == 0, "stdout");
}

static void report_delays(const struct crowd *c)
{
	(void)printf("{\"event\": \"delays\", \"missing\": %zu, \"failed\": %zu, \"ms\": [", c->waiting, c->failed);
	for (size_t i = 0; i < c->delay_count; i++)
		(void)printf("%s%.3f", i ? ", " : "", (double)c->delays[i] / 1e6);
	(void)printf("]}\n");
	check(fflush(stdout) == 0, "stdout");
}

static void begin(struct load *l, enum phase phase)
{
	l->phase = phase;
	l->crowd.closing = phase == PHASE_CLOSING;
	l->crowd.measured_from = subscriber_now();
	l->crowd.extra = 0;
	l->crowd.delay_count = 0;
	free(l->crowd.delays);
	l->crowd.delays = phase == PHASE_PUSHING ? mem_array(int64_t, l->crowd.live) : NULL;
}

static void begin_open(struct load *l, size_t connections, size_t streams)
{
	check(connections >= l->wanted_connections && connections <= CONNECTIONS_MAX,
		"open: wrong number of connections");
	check(streams > 0 && streams <= STREAMS_MAX, "open: wrong number of streams");
	begin(l, PHASE_OPENING);
	l->wanted_connections = connections;
	l->wanted_streams = streams;
	l->cursor = 0;
}

/* name NULL: cancel them all. */
static void await_or_cancel(struct load *l, const char *name)
{
	for (size_t i = 0; i < l->wanted_connections; i++) {
		for (size_t j = 0; j < l->connections[i].opened; j++) {
			struct subscriber *s = l->connections[i].streams[j];
			if (s && name)
				subscriber_await(s, name);
			else if (s)
				subscriber_cancel(s);
		}
	}
}

static void hang_up(struct load *l)
{
	for (size_t i = 0; i < l->wanted_connections; i++) {
		grpc_channel_destroy(l->connections[i].channel);
		l->connections[i] = (struct connection){.channel = NULL};
	}
	l->wanted_connections = 0;
}

static void advance(struct load *l)
{
	static const char *const events[] = {"idle", "opened", "pushed", "closed"};
	const struct crowd *c = &l->crowd;
	if (l->phase == PHASE_IDLE)
		return;
	if (l->phase == PHASE_OPENING)
		open_more(l);
	bool done = l->phase == PHASE_CLOSING ? !c->live : !c->waiting && !c->sending;
	if (!done && subscriber_now() - c->measured_from < l->patience_ns)
		return;
	if (c->delay_count)
		qsort(c->delays, c->delay_count, sizeof(c->delays[0]), by_size);
	if (l->phase == PHASE_CLOSING && done)
		hang_up(l);
	report(c, events[l->phase]);
	l->phase = PHASE_IDLE;
}

static void on_command(struct load *l, const char *line)
{
	size_t connections;
	size_t streams;
	if (sscanf(line, "open %zu %zu", &connections, &streams) == 2) {
		begin_open(l, connections, streams);
	} else if (strncmp(line, "arm ", 4) == 0) {
		begin(l, PHASE_PUSHING);
		await_or_cancel(l, line + 4);
		report(&l->crowd, "armed");
	} else if (strcmp(line, "delays") == 0) {
		report_delays(&l->crowd);
	} else if (strcmp(line, "close") == 0) {
		begin(l, PHASE_CLOSING);
		await_or_cancel(l, NULL);
	} else {
		check(false, "commands: open N M, arm NAME, delays, close");
	}
}

/* Commands follow one another: the runner sends the next one after the answer. */
static void look_at_input(struct load *l)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	if (l->phase != PHASE_IDLE || poll(&p, 1, 0) <= 0)
		return;
	char bytes[256];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
	if (n <= 0)
		_exit(0); /* the runner is gone: so are we, without a word to the server */
	buf_add(&l->input, bytes, (size_t)n);
	char *end = strchr((char *)l->input.data, '\n');
	if (!end)
		return;
	*end = 0;
	on_command(l, buf_text(&l->input));
	buf_truncate(&l->input, 0);
}

static void run(struct load *l) __attribute__((noreturn));
static void run(struct load *l)
{
	for (unsigned turn = 0;; turn++) {
		gpr_timespec wait = gpr_time_from_millis(20, GPR_TIMESPAN);
		grpc_event e = grpc_completion_queue_next(
			l->crowd.queue, gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), wait), NULL);
		if (e.type == GRPC_OP_COMPLETE)
			subscriber_on_tag(e.tag);
		advance(l);
		if (e.type != GRPC_OP_COMPLETE || turn % 64 == 0)
			look_at_input(l);
	}
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: bench_load [-d] [-n NODE_BYTES] [-t SECONDS] SOCKET NAME...";
	static struct load l;
	size_t node_bytes = 30000;
	int c;
	unsigned long seconds = 60;
	while ((c = getopt(argc, argv, "dn:t:")) != -1) {
		check(c == 'd' || c == 'n' || c == 't', usage);
		if (c == 'd')
			l.crowd.delta = true;
		else if (c == 'n')
			node_bytes = strtoul(optarg, NULL, 10);
		else
			seconds = strtoul(optarg, NULL, 10);
	}
	check(argc - optind >= 2 && argc - optind - 1 <= NAMES_MAX && node_bytes <= (size_t)4 << 20 && seconds <= 3600,
		usage);
	l.patience_ns = (int64_t)seconds * 1000000000;
	l.path = argv[optind];
	for (int i = optind + 1; i < argc; i++)
		l.names[l.name_count++] = argv[i];
	struct rlimit files;
	check(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
	files.rlim_cur = files.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
	message_add_node(node_bytes, &l.crowd.node);
	grpc_init();
	l.crowd.queue = grpc_completion_queue_create_for_next(NULL);
	run(&l);
}
