/* base/metrics_family.h - inside of base/metrics: what its registry (metrics.c) and its renderer (metrics_render.c)
 * share. Nobody else includes it. Thread: control. */
#ifndef BASE_METRICS_FAMILY_H
#define BASE_METRICS_FAMILY_H
#include <uthash.h>
#include "base/metrics.h"

/** One set of label values and what it counts. */
struct metrics_child {
	UT_hash_handle hh; /* key: the values, each with its NUL */
	char *key;
	size_t key_len;
	union {
		struct counter *counter;
		struct gauge *gauge;
		struct histogram *histogram;
		void *any;
	} value;
};

struct metrics_family {
	struct metrics *metrics;
	struct metrics_def def;
	enum metrics_kind kind;
	size_t label_count;
	struct metrics_child *children; /* uthash: iterates in the order of their making */
	struct metrics_child *overflow; /* shared by all beyond the bound; NULL until then */
	metrics_collect_fn collect;	/* NULL: the children are the samples */
	void *collect_arg;
	struct metrics_family *next;
};

struct metrics {
	struct metrics_family *families;
	struct counter *dropped;
};

struct metrics_sink {
	const struct metrics_family *family;
	enum metrics_format format;
	struct buf *out;
	size_t count;
};

/** Append the label values as one key: each normalised (valid UTF-8, METRICS_VALUE_MAX) and ended by a NUL. */
void metrics_add_key(const struct metrics_family *f, const char *const *values, struct buf *ret);
/** Read a histogram: bounds_count + 1 counts, not cumulative, into ret_counts; their sum of values into ret_sum. */
void histogram_read(const struct histogram *h, uint64_t *ret_counts, double *ret_sum);
#endif
