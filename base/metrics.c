#include "base/metrics.h"
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/metrics_family.h"
#include "base/text.h"

/* Values stand alone: no reader draws a conclusion from one about another, so relaxed order is enough. */
struct counter {
	atomic_uint_fast64_t value;
};

struct gauge {
	_Atomic double value;
};

struct histogram {
	const double *bounds;
	size_t bounds_count;
	_Atomic double sum;
	atomic_uint_fast64_t counts[]; /* bounds_count + 1 */
};

static void double_add(_Atomic double *at, double delta)
{
	double old = atomic_load_explicit(at, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(
		at, &old, old + delta, memory_order_relaxed, memory_order_relaxed))
		continue;
}

void counter_add(struct counter *c, uint64_t n)
{
	(void)atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

void counter_inc(struct counter *c)
{
	counter_add(c, 1);
}

uint64_t counter_value(const struct counter *c)
{
	return atomic_load_explicit(&c->value, memory_order_relaxed);
}

void gauge_set(struct gauge *g, double value)
{
	atomic_store_explicit(&g->value, value, memory_order_relaxed);
}

void gauge_add(struct gauge *g, double delta)
{
	double_add(&g->value, delta);
}

double gauge_value(const struct gauge *g)
{
	return atomic_load_explicit(&g->value, memory_order_relaxed);
}

void histogram_observe(struct histogram *h, double value)
{
	if (isnan(value))
		return;
	size_t i = 0;
	while (i < h->bounds_count && value > h->bounds[i])
		i++;
	(void)atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
	double_add(&h->sum, value);
}

void histogram_read(const struct histogram *h, uint64_t *ret_counts, double *ret_sum)
{
	for (size_t i = 0; i <= h->bounds_count; i++)
		ret_counts[i] = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
	*ret_sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
}

static void *value_new(const struct metrics_family *f)
{
	if (f->kind == METRICS_COUNTER)
		return mem_new(struct counter);
	if (f->kind == METRICS_GAUGE)
		return mem_new(struct gauge);
	size_t count = f->def.bounds_count + 1;
	struct histogram *h = mem_calloc(1, sizeof(*h) + count * sizeof(h->counts[0]));
	h->bounds = f->def.bounds;
	h->bounds_count = f->def.bounds_count;
	return h;
}

/* Takes the key's memory over. */
static struct metrics_child *child_new(const struct metrics_family *f, struct buf *key)
{
	struct metrics_child *c = mem_new(struct metrics_child);
	c->key_len = key->len;
	c->key = buf_take_text(key);
	c->value.any = value_new(f);
	return c;
}

static void child_free(struct metrics_child *c)
{
	if (!c)
		return;
	free(c->value.any);
	free(c->key);
	free(c);
}

static struct metrics_child *child_find(const struct metrics_family *f, const struct buf *key)
{
	struct metrics_child *found = NULL;
	HASH_FIND(hh, f->children, buf_text(key), key->len, found);
	return found;
}

static void child_link(struct metrics_family *f, struct metrics_child *c)
{
	HASH_ADD_KEYPTR(hh, f->children, c->key, c->key_len, c);
}

/* One value as it is rendered: a scrape with bytes that are not UTF-8 would be refused as a whole. */
static void add_value(const char *value, struct buf *ret)
{
	size_t start = ret->len;
	size_t len = strlen(value);
	if (text_is_utf8(value, len))
		buf_add(ret, value, len);
	else
		text_add_escaped(ret, value, len);
	if (ret->len - start > METRICS_VALUE_MAX) {
		size_t cut = start + METRICS_VALUE_MAX;
		while (cut > start && (ret->data[cut] & 0xC0) == 0x80)
			cut--;
		buf_truncate(ret, cut);
	}
	buf_add(ret, "", 1);
}

void metrics_add_key(const struct metrics_family *f, const char *const *values, struct buf *ret)
{
	for (size_t i = 0; i < f->label_count; i++)
		add_value(values[i], ret);
}

static struct metrics_child *overflow_of(struct metrics_family *f)
{
	counter_inc(f->metrics->dropped);
	if (!f->overflow) {
		static const char *const other[METRICS_LABELS_MAX] = {"_other", "_other", "_other", "_other"};
		struct buf key = BUF_INIT;
		metrics_add_key(f, other, &key);
		f->overflow = child_new(f, &key);
	}
	return f->overflow;
}

static struct metrics_child *child_of(struct metrics_family *f, enum metrics_kind kind, const char *const *values)
{
	invariant(f->kind == kind && !f->collect);
	struct buf key = BUF_INIT;
	metrics_add_key(f, values, &key);
	struct metrics_child *c = child_find(f, &key);
	if (!c && HASH_COUNT(f->children) >= f->def.max_children) {
		c = overflow_of(f);
	} else if (!c) {
		c = child_new(f, &key);
		child_link(f, c);
	}
	buf_free(&key);
	return c;
}

struct counter *metrics_counter_of(struct metrics_family *f, const char *const *values)
{
	return child_of(f, METRICS_COUNTER, values)->value.counter;
}

struct gauge *metrics_gauge_of(struct metrics_family *f, const char *const *values)
{
	return child_of(f, METRICS_GAUGE, values)->value.gauge;
}

struct histogram *metrics_histogram_of(struct metrics_family *f, const char *const *values)
{
	return child_of(f, METRICS_HISTOGRAM, values)->value.histogram;
}

void metrics_remove(struct metrics_family *f, const char *const *values)
{
	struct buf key = BUF_INIT;
	metrics_add_key(f, values, &key);
	struct metrics_child *c = child_find(f, &key);
	if (c) {
		HASH_DELETE(hh, f->children, c);
		child_free(c);
	}
	buf_free(&key);
}

static bool is_identifier(const char *s)
{
	if (!((*s >= 'a' && *s <= 'z') || *s == '_'))
		return false;
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s);
	size_t end_len = strlen(end);
	return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

static void check_definition(const struct metrics *m, enum metrics_kind kind, const struct metrics_def *def)
{
	invariant(is_identifier(def->name) && !ends_with(def->name, "_total") && *def->help);
	for (const struct metrics_family *f = m->families; f; f = f->next)
		invariant(strcmp(f->def.name, def->name) != 0);
	for (size_t i = 0; i < METRICS_LABELS_MAX && def->labels[i]; i++)
		invariant(is_identifier(def->labels[i]) && strcmp(def->labels[i], "le") != 0);
	invariant(!def->labels[0] || def->max_children > 0);
	invariant((kind == METRICS_HISTOGRAM) == (def->bounds_count > 0));
	for (size_t i = 1; i < def->bounds_count; i++)
		invariant(def->bounds[i - 1] < def->bounds[i]);
}

struct metrics_family *metrics_add_family(struct metrics *m, enum metrics_kind kind, const struct metrics_def *def)
{
	check_definition(m, kind, def);
	struct metrics_family *f = mem_new(struct metrics_family);
	f->metrics = m;
	f->def = *def;
	f->kind = kind;
	while (f->label_count < METRICS_LABELS_MAX && def->labels[f->label_count])
		f->label_count++;
	if (!f->label_count)
		f->def.max_children = 1;
	struct metrics_family **end = &m->families;
	while (*end)
		end = &(*end)->next;
	*end = f;
	return f;
}

struct counter *metrics_add_counter(struct metrics *m, const char *name, const char *help)
{
	const struct metrics_def def = {.name = name, .help = help};
	return metrics_counter_of(metrics_add_family(m, METRICS_COUNTER, &def), NULL);
}

struct gauge *metrics_add_gauge(struct metrics *m, const char *name, const char *help)
{
	const struct metrics_def def = {.name = name, .help = help};
	return metrics_gauge_of(metrics_add_family(m, METRICS_GAUGE, &def), NULL);
}

struct histogram *metrics_add_histogram(
	struct metrics *m, const char *name, const char *help, const double *bounds, size_t bounds_count)
{
	const struct metrics_def def = {.name = name, .help = help, .bounds = bounds, .bounds_count = bounds_count};
	return metrics_histogram_of(metrics_add_family(m, METRICS_HISTOGRAM, &def), NULL);
}

void metrics_add_collected(
	struct metrics *m, enum metrics_kind kind, const struct metrics_def *def, metrics_collect_fn fn, void *arg)
{
	invariant(kind != METRICS_HISTOGRAM && fn);
	struct metrics_family *f = metrics_add_family(m, kind, def);
	f->collect = fn;
	f->collect_arg = arg;
}

void metrics_stop_collecting(struct metrics *m, const void *arg)
{
	for (struct metrics_family *f = m->families; f; f = f->next) {
		if (f->collect && f->collect_arg == arg)
			f->collect = NULL;
	}
}

struct metrics *metrics_new(void)
{
	struct metrics *m = mem_new(struct metrics);
	m->dropped = metrics_add_counter(
		m, "leafcast_metrics_dropped", "Label sets and samples beyond a family's bound, not shown by name.");
	return m;
}

static void family_free(struct metrics_family *f)
{
	struct metrics_child *c;
	struct metrics_child *next;
	HASH_ITER (hh, f->children, c, next) {
		HASH_DELETE(hh, f->children, c);
		child_free(c);
	}
	child_free(f->overflow);
	free(f);
}

void metrics_free(struct metrics *m)
{
	while (m && m->families) {
		struct metrics_family *f = m->families;
		m->families = f->next;
		family_free(f);
	}
	free(m);
}

void metrics_freep(struct metrics **m)
{
	metrics_free(*m);
	*m = NULL;
}
