/* base/metrics_render.c - the registry as text. Both formats have families, samples and escapes in common; they differ
 * in the name of a counter's family, in the escapes of help, in how a bucket's bound is written, and in the end mark.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/metrics_family.h"

enum { NUMBER_SIZE = 40 };

/* The shortest text that reads back as the same double. */
static void format_double(double value, char ret[NUMBER_SIZE])
{
	if (isnan(value) || isinf(value)) {
		(void)snprintf(ret, NUMBER_SIZE, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(ret, NUMBER_SIZE, "%.*g", digits, value);
		if (strtod(ret, NULL) == value)
			return;
	}
}

static void add_escaped(struct buf *out, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n')
			buf_add_text(out, "\\n");
		else if (*text == '\\' || (quotes && *text == '"'))
			buf_printf(out, "\\%c", *text);
		else
			buf_add(out, text, 1);
	}
}

static void add_header(const struct metrics_sink *s)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};
	const struct metrics_family *f = s->family;
	const char *end = f->kind == METRICS_COUNTER && s->format == METRICS_TEXT ? "_total" : "";
	buf_printf(s->out, "# HELP %s%s ", f->def.name, end);
	add_escaped(s->out, f->def.help, s->format == METRICS_OPENMETRICS);
	buf_printf(s->out, "\n# TYPE %s%s %s\n", f->def.name, end, kinds[f->kind]);
}

/* name + end, {labels, and le where it is given}, a space. */
static void add_series(const struct metrics_sink *s, const char *end, const char *key, const char *le)
{
	const struct metrics_family *f = s->family;
	buf_printf(s->out, "%s%s", f->def.name, end);
	char before = '{';
	for (size_t i = 0; i < f->label_count; i++) {
		buf_printf(s->out, "%c%s=\"", before, f->def.labels[i]);
		add_escaped(s->out, key, true);
		buf_add_text(s->out, "\"");
		key += strlen(key) + 1;
		before = ',';
	}
	if (le)
		buf_printf(s->out, "%cle=\"%s\"", before, le);
	buf_add_text(s->out, f->label_count || le ? "} " : " ");
}

static void add_double(const struct metrics_sink *s, const char *key, double value)
{
	char number[NUMBER_SIZE];
	format_double(value, number);
	add_series(s, s->family->kind == METRICS_COUNTER ? "_total" : "", key, NULL);
	buf_printf(s->out, "%s\n", number);
}

static void add_histogram(const struct metrics_sink *s, const struct metrics_child *c)
{
	const struct metrics_def *def = &s->family->def;
	uint64_t *counts = mem_array(uint64_t, def->bounds_count + 1);
	double sum;
	histogram_read(c->value.histogram, counts, &sum);
	uint64_t total = 0;
	for (size_t i = 0; i <= def->bounds_count; i++) {
		char le[NUMBER_SIZE];
		format_double(i < def->bounds_count ? def->bounds[i] : (double)INFINITY, le);
		total += counts[i];
		/* OpenMetrics 1.0, "Considerations: Canonical Numbers": 1.0, not 1. */
		bool whole = s->format == METRICS_OPENMETRICS && !le[strspn(le, "-0123456789")];
		if (whole)
			(void)snprintf(le + strlen(le), sizeof(le) - strlen(le), ".0");
		add_series(s, "_bucket", c->key, le);
		buf_printf(s->out, "%" PRIu64 "\n", total);
	}
	free(counts);
	char number[NUMBER_SIZE];
	format_double(sum, number);
	add_series(s, "_sum", c->key, NULL);
	buf_printf(s->out, "%s\n", number);
	add_series(s, "_count", c->key, NULL);
	buf_printf(s->out, "%" PRIu64 "\n", total);
}

static void add_child(const struct metrics_sink *s, const struct metrics_child *c)
{
	if (s->family->kind == METRICS_HISTOGRAM) {
		add_histogram(s, c);
	} else if (s->family->kind == METRICS_GAUGE) {
		add_double(s, c->key, gauge_value(c->value.gauge));
	} else {
		add_series(s, "_total", c->key, NULL);
		buf_printf(s->out, "%" PRIu64 "\n", counter_value(c->value.counter));
	}
}

void metrics_emit(struct metrics_sink *sink, const char *const *values, double value)
{
	if (sink->count >= sink->family->def.max_children) {
		counter_inc(sink->family->metrics->dropped);
		return;
	}
	sink->count++;
	struct buf key = BUF_INIT;
	metrics_add_key(sink->family, values, &key);
	add_double(sink, buf_text(&key), value);
	buf_free(&key);
}

void metrics_render(struct metrics *m, enum metrics_format format, struct buf *out)
{
	for (const struct metrics_family *f = m->families; f; f = f->next) {
		struct metrics_sink s = {.family = f, .format = format, .out = out};
		add_header(&s);
		const struct metrics_child *c;
		for (c = f->children; c; c = c->hh.next)
			add_child(&s, c);
		/* The sum of many gauges says nothing: theirs is not shown. */
		if (f->overflow && f->kind != METRICS_GAUGE)
			add_child(&s, f->overflow);
		if (f->collect)
			f->collect(f->collect_arg, &s);
	}
	if (format == METRICS_OPENMETRICS)
		buf_add_text(out, "# EOF\n");
}

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
					     : "text/plain; version=0.0.4; charset=utf-8";
}

/* Whether one element of an Accept header, up to end, carries q=0 (RFC 9110 12.4.2): "not this one". */
static bool is_refused(const char *at, const char *end)
{
	for (; at < end; at++) {
		if (*at != ';')
			continue;
		const char *p = at + 1 + strspn(at + 1, " \t");
		if ((*p == 'q' || *p == 'Q') && p[1] == '=')
			return strtod(p + 2, NULL) <= 0;
	}
	return false;
}

enum metrics_format metrics_format_for(const char *accept)
{
	static const char wanted[] = "application/openmetrics-text";
	while (accept && *accept) {
		accept += strspn(accept, " \t,");
		const char *end = accept + strcspn(accept, ",");
		size_t len = strcspn(accept, " \t,;");
		if (len == sizeof(wanted) - 1 && strncasecmp(accept, wanted, len) == 0 && !is_refused(accept, end))
			return METRICS_OPENMETRICS;
		accept = end;
	}
	return METRICS_TEXT;
}
