/* sds/meters.c - what the serving side counts. Children are made at start, so that workers only touch atomics. */
#include "base/io/accept.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "sds/internal.h"

enum { STATUSES = 17 };

struct sds_meters {
	struct metrics *registry;
	struct gauge *streams[METHOD_COUNT];
	struct counter *calls[METHOD_COUNT], *ends[STATUSES], *pushes, *acks, *nacks, *impossible;
	struct counter *limits[LIMIT_COUNT];
	struct gauge *subscriptions;
	struct histogram *push_to_ack;
};

static const char *const status_names[STATUSES] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED"};
static const double push_bounds[] = {0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

static void collect_connections(void *arg, struct metrics_sink *sink)
{
	const struct sds_server *s = arg;
	metrics_emit(sink, NULL, s->acceptor ? (double)accept_count(s->acceptor) : 0);
}

static void add_limits(struct sds_meters *k, struct metrics *m)
{
	struct metrics_family *limits = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_limit_reached",
			.help = "How often clients ran into a limit of the config, by its key.",
			.labels = {"limit"},
			.max_children = LIMIT_COUNT});
	for (int i = 0; i < LIMIT_COUNT; i++) {
		const char *const labels[] = {limit_name((enum limit)i)};
		k->limits[i] = metrics_counter_of(limits, labels);
	}
}

struct sds_meters *sds_meters_new(struct sds_server *s, struct metrics *m)
{
	if (!m)
		return NULL;
	struct sds_meters *k = mem_new(struct sds_meters);
	k->registry = m;
	struct metrics_family *streams = metrics_add_family(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_streams",
			.help = "Open calls, by method.",
			.labels = {"method"},
			.max_children = METHOD_COUNT});
	struct metrics_family *calls = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_calls",
			.help = "Calls begun, by method.",
			.labels = {"method"},
			.max_children = METHOD_COUNT});
	struct metrics_family *ends = metrics_add_family(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_call_ends",
			.help = "Calls that we ended, by gRPC status.",
			.labels = {"status"},
			.max_children = STATUSES});
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const char *const labels[] = {method_by_number(i)->label};
		k->streams[i] = metrics_gauge_of(streams, labels);
		k->calls[i] = metrics_counter_of(calls, labels);
	}
	for (size_t i = 0; i < STATUSES; i++)
		k->ends[i] = metrics_counter_of(ends, &status_names[i]);
	add_limits(k, m);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_connections", .help = "Open connections on unix sockets."},
		collect_connections, s);
	gauge_set(metrics_add_gauge(m, "leafcast_grpc_memory_limit_bytes",
			  "What gRPC may hold for all clients together before it closes idle connections and resets "
			  "streams."),
		(double)s->memory_bytes);
	k->subscriptions = metrics_add_gauge(
		m, "leafcast_subscriptions", "Names that open streams want, each counted per stream.");
	k->pushes = metrics_add_counter(m, "leafcast_pushes", "Secrets sent on streams.");
	k->acks = metrics_add_counter(m, "leafcast_acks", "Secrets that a client ACKed.");
	k->nacks = metrics_add_counter(m, "leafcast_nacks", "Secrets that a client NACKed.");
	k->impossible = metrics_add_counter(m, "leafcast_names_impossible",
		"Names asked for that no secret can have: empty, too long, with a NUL, or \"*\".");
	k->push_to_ack = metrics_add_histogram(
		m, "leafcast_push_to_ack_seconds", "From a push to its ACK.", push_bounds, ARRAY_LEN(push_bounds));
	return k;
}

void sds_meters_free(struct sds_server *s)
{
	struct sds_meters *k = s->meters;
	if (k)
		metrics_stop_collecting(k->registry, s);
	free(k);
}

void meters_call(struct sds_server *s, const struct method *m, int delta)
{
	if (!s->meters)
		return;
	gauge_add(s->meters->streams[method_number(m)], delta);
	if (delta > 0)
		counter_inc(s->meters->calls[method_number(m)]);
}

void meters_end(struct sds_server *s, int grpc_status)
{
	if (s->meters && grpc_status >= 0 && grpc_status < STATUSES)
		counter_inc(s->meters->ends[grpc_status]);
}

void meters_limit(struct sds_server *s, enum limit l)
{
	if (s->meters)
		counter_inc(s->meters->limits[l]);
}

void meters_subscription(struct sds_server *s, int delta)
{
	if (s->meters)
		gauge_add(s->meters->subscriptions, delta);
}

double meters_subscriptions(const struct sds_server *s)
{
	return s->meters ? gauge_value(s->meters->subscriptions) : 0;
}

void meters_push(struct sds_server *s)
{
	if (s->meters)
		counter_inc(s->meters->pushes);
}

void meters_ack(struct sds_server *s, int64_t push_to_ack_ms)
{
	if (!s->meters)
		return;
	counter_inc(s->meters->acks);
	if (push_to_ack_ms >= 0)
		histogram_observe(s->meters->push_to_ack, (double)push_to_ack_ms / 1000);
}

void meters_nack(struct sds_server *s)
{
	if (s->meters)
		counter_inc(s->meters->nacks);
}

void meters_impossible(struct sds_server *s)
{
	if (s->meters)
		counter_inc(s->meters->impossible);
}

double meters_open_calls(const struct sds_server *s)
{
	double n = 0;
	for (size_t i = 0; s->meters && i < METHOD_COUNT; i++)
		n += gauge_value(s->meters->streams[i]);
	return n;
}
