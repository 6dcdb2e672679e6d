/* base/metrics.h - the registry of everything that leafcast counts, rendered for Prometheus (text 0.0.4 and
 * OpenMetrics).
 *
 * Families (name, kind, help, label names) are fixed at start. A family's children, one per set of label values, may
 * come later and are bounded. Values are atomics: they are updated without a lock. Not its duty: HTTP (daemon/admin),
 * and what is worth counting (each module registers its own).
 *
 * Thread: counter_*, gauge_*, histogram_* any; all else (registering, finding children, rendering) control alone.
 * Owner: daemon makes one registry before all else and frees it after every other thread has ended. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H
#include <stddef.h>
#include <stdint.h>

struct buf;
struct counter;
struct gauge;
struct histogram;
struct metrics;
struct metrics_family;
struct metrics_sink;

#define METRICS_LABELS_MAX 4
/** Longer label values are cut, on a character's border, in bytes. */
#define METRICS_VALUE_MAX ((size_t)1024)

enum metrics_kind {
	METRICS_COUNTER,
	METRICS_GAUGE,
	METRICS_HISTOGRAM,
};

enum metrics_format {
	METRICS_TEXT,
	METRICS_OPENMETRICS,
};

/** What a family is. Strings and bounds are borrowed for the registry's life: static ones. A wrong definition (a name
 *  that is taken or not [a-z_][a-z0-9_]*, a counter's name that ends in _total, bounds out of order) is a bug and
 *  aborts. */
struct metrics_def {
	const char *name; /* "leafcast_pushes"; base units at the end (_seconds, _bytes); a counter's _total is added */
	const char *help;
	const char *labels[METRICS_LABELS_MAX]; /* names, in the order of the values; the first NULL ends them */
	size_t max_children;			/* with labels: at least 1; without: left out */
	const double *bounds;			/* histograms: upper bounds, ascending, without +Inf */
	size_t bounds_count;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* and all its children: nobody updates them any more; NULL is fine */
void metrics_freep(struct metrics **m);

/** A family without labels: its only child, valid as long as the registry. */
struct counter *metrics_add_counter(struct metrics *m, const char *name, const char *help);
struct gauge *metrics_add_gauge(struct metrics *m, const char *name, const char *help);
struct histogram *metrics_add_histogram(
	struct metrics *m, const char *name, const char *help, const double *bounds, size_t bounds_count);

/** A family with labels; valid as long as the registry. */
struct metrics_family *metrics_add_family(struct metrics *m, enum metrics_kind kind, const struct metrics_def *def);
/** The child with these label values (one string per label name), made at 0 when it is new. Valid until
 *  metrics_remove or the registry's end, so that a worker may keep the pointer. Beyond max_children, counters and
 *  histograms share one child whose values are all "_other", a gauge gets one that is not rendered; each time counts
 *  in leafcast_metrics_dropped_total. */
struct counter *metrics_counter_of(struct metrics_family *f, const char *const *values);
struct gauge *metrics_gauge_of(struct metrics_family *f, const char *const *values);
struct histogram *metrics_histogram_of(struct metrics_family *f, const char *const *values);
/** Forget a child, such as that of a deleted secret; unknown values are fine. Only for children that no other thread
 *  can still hold. */
void metrics_remove(struct metrics_family *f, const char *const *values);

/** Called at each rendering, on control: gives the family's samples by metrics_emit. */
typedef void (*metrics_collect_fn)(void *arg, struct metrics_sink *sink);
/** A family (counter or gauge, with or without labels) whose samples are asked for when rendered; max_children bounds
 *  them. fn and arg stay valid as long as the registry, or until metrics_stop_collecting. */
void metrics_add_collected(
	struct metrics *m, enum metrics_kind kind, const struct metrics_def *def, metrics_collect_fn fn, void *arg);
/** Never call the collectors that were given this arg again: before arg is freed. Their families render empty. */
void metrics_stop_collecting(struct metrics *m, const void *arg);
/** One sample; values as above (NULL without labels), each set of them once per rendering. Samples beyond
 *  max_children are dropped and count in leafcast_metrics_dropped_total. */
void metrics_emit(struct metrics_sink *sink, const char *const *values, double value);

void counter_add(struct counter *c, uint64_t n);
void counter_inc(struct counter *c);
uint64_t counter_value(const struct counter *c);
void gauge_set(struct gauge *g, double value);
void gauge_add(struct gauge *g, double delta); /* negative to subtract */
double gauge_value(const struct gauge *g);
/** value in the family's unit; NaN is ignored. */
void histogram_observe(struct histogram *h, double value);

/** Append all families, in the order of registration. */
void metrics_render(struct metrics *m, enum metrics_format format, struct buf *out);
/** The value for Content-Type; static. */
const char *metrics_content_type(enum metrics_format format);
/** What a client wants that sent this Accept header (NULL: none): OpenMetrics where it is named and not at q=0. */
enum metrics_format metrics_format_for(const char *accept);
#endif
