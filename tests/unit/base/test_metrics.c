/* The registry's text in both formats, its bounds, and updates from several threads at once. */
#include "base/metrics.h"
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/mem.h"

static char *render(struct metrics *m, enum metrics_format format)
{
	struct buf out = BUF_INIT;
	metrics_render(m, format, &out);
	return buf_take_text(&out);
}

/* The lines about one family. */
static void assert_family(struct metrics *m, enum metrics_format format, const char *name, const char *expected)
{
	AUTO(mem_freep) char *text = render(m, format);
	AUTO(mem_freep) char *head = mem_printf("# HELP %s", name);
	const char *at = strstr(text, head);
	assert_non_null(at);
	const char *end = strstr(at + 1, "\n# HELP ");
	if (!end)
		end = strstr(at + 1, "\n# EOF");
	AUTO(mem_freep) char *found = end ? mem_strndup(at, (size_t)(end + 1 - at)) : mem_strdup(at);
	assert_string_equal(found, expected);
}

static void test_counter(void **state)
{
	(void)state;
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	struct counter *c = metrics_add_counter(m, "leafcast_pushes", "Secrets sent.");
	counter_inc(c);
	counter_add(c, UINT64_C(9007199254740993)); /* one more than a double can tell */
	assert_int_equal(counter_value(c), UINT64_C(9007199254740994));
	assert_family(m, METRICS_TEXT, "leafcast_pushes",
		"# HELP leafcast_pushes_total Secrets sent.\n"
		"# TYPE leafcast_pushes_total counter\n"
		"leafcast_pushes_total 9007199254740994\n");
	assert_family(m, METRICS_OPENMETRICS, "leafcast_pushes",
		"# HELP leafcast_pushes Secrets sent.\n"
		"# TYPE leafcast_pushes counter\n"
		"leafcast_pushes_total 9007199254740994\n");
}

static void test_gauge(void **state)
{
	(void)state;
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0, "0"}, {-3, "-3"}, {0.1, "0.1"}, {1764000000.123, "1764000000.123"},
		{1.0 / 3, "0.3333333333333333"}, {1e300, "1e+300"}, {(double)INFINITY, "+Inf"},
		{(double)-INFINITY, "-Inf"}, {(double)NAN, "NaN"}};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	struct gauge *g = metrics_add_gauge(m, "leafcast_streams", "Open streams.");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		gauge_set(g, cases[i].value);
		AUTO(mem_freep)
		char *expected = mem_printf("# HELP leafcast_streams Open streams.\n# TYPE leafcast_streams gauge\n"
					    "leafcast_streams %s\n",
			cases[i].text);
		assert_family(m, METRICS_TEXT, "leafcast_streams", expected);
	}
	gauge_set(g, 5);
	gauge_add(g, -2.5);
	assert_true(gauge_value(g) == 2.5);
}

static void test_histogram(void **state)
{
	(void)state;
	static const double bounds[] = {0.005, 1, 10};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	struct histogram *h =
		metrics_add_histogram(m, "leafcast_push_to_ack_seconds", "Delay.", bounds, ARRAY_LEN(bounds));
	histogram_observe(h, 0.005); /* le: a bound belongs to its bucket */
	histogram_observe(h, 0.25);
	histogram_observe(h, 1.5);
	histogram_observe(h, 100);
	histogram_observe(h, (double)NAN);
	assert_family(m, METRICS_TEXT, "leafcast_push_to_ack_seconds",
		"# HELP leafcast_push_to_ack_seconds Delay.\n"
		"# TYPE leafcast_push_to_ack_seconds histogram\n"
		"leafcast_push_to_ack_seconds_bucket{le=\"0.005\"} 1\n"
		"leafcast_push_to_ack_seconds_bucket{le=\"1\"} 2\n"
		"leafcast_push_to_ack_seconds_bucket{le=\"10\"} 3\n"
		"leafcast_push_to_ack_seconds_bucket{le=\"+Inf\"} 4\n"
		"leafcast_push_to_ack_seconds_sum 101.755\n"
		"leafcast_push_to_ack_seconds_count 4\n");
	AUTO(mem_freep) char *text = render(m, METRICS_OPENMETRICS);
	assert_non_null(strstr(text, "_bucket{le=\"0.005\"} 1\n"));
	assert_non_null(strstr(text, "_bucket{le=\"1.0\"} 2\n"));
	assert_non_null(strstr(text, "_bucket{le=\"10.0\"} 3\n"));
	assert_non_null(strstr(text, "_bucket{le=\"+Inf\"} 4\n"));
}

static void test_labels(void **state)
{
	(void)state;
	static const double bounds[] = {1};
	static const struct metrics_def def = {.name = "leafcast_nacks",
		.help = "Rejected\nby \\ \"Envoy\".",
		.labels = {"name", "why"},
		.max_children = 10};
	static const struct metrics_def timed = {.name = "leafcast_issue_seconds",
		.help = "Delay.",
		.labels = {"authority"},
		.max_children = 10,
		.bounds = bounds,
		.bounds_count = 1};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	struct metrics_family *f = metrics_add_family(m, METRICS_COUNTER, &def);
	const char *const odd[] = {"a\\b\"c\nd", "x"};
	const char *const plain[] = {"web", "x"};
	const char *const other_split[] = {"we", "bx"}; /* no way to read it as the one before */
	struct counter *c = metrics_counter_of(f, odd);
	counter_inc(c);
	counter_add(metrics_counter_of(f, plain), 2);
	counter_add(metrics_counter_of(f, other_split), 3);
	assert_ptr_equal(metrics_counter_of(f, odd), c);
	static const char samples[] = "leafcast_nacks_total{name=\"a\\\\b\\\"c\\nd\",why=\"x\"} 1\n"
				      "leafcast_nacks_total{name=\"web\",why=\"x\"} 2\n"
				      "leafcast_nacks_total{name=\"we\",why=\"bx\"} 3\n";
	AUTO(mem_freep)
	char *text = mem_printf("# HELP leafcast_nacks_total Rejected\\nby \\\\ \"Envoy\".\n"
				"# TYPE leafcast_nacks_total counter\n%s",
		samples);
	assert_family(m, METRICS_TEXT, "leafcast_nacks", text);
	AUTO(mem_freep)
	char *open = mem_printf("# HELP leafcast_nacks Rejected\\nby \\\\ \\\"Envoy\\\".\n"
				"# TYPE leafcast_nacks counter\n%s",
		samples);
	assert_family(m, METRICS_OPENMETRICS, "leafcast_nacks", open);

	const char *const lab[] = {"lab"};
	struct metrics_family *t = metrics_add_family(m, METRICS_HISTOGRAM, &timed);
	histogram_observe(metrics_histogram_of(t, lab), 2);
	assert_family(m, METRICS_TEXT, "leafcast_issue_seconds",
		"# HELP leafcast_issue_seconds Delay.\n"
		"# TYPE leafcast_issue_seconds histogram\n"
		"leafcast_issue_seconds_bucket{authority=\"lab\",le=\"1\"} 0\n"
		"leafcast_issue_seconds_bucket{authority=\"lab\",le=\"+Inf\"} 1\n"
		"leafcast_issue_seconds_sum{authority=\"lab\"} 2\n"
		"leafcast_issue_seconds_count{authority=\"lab\"} 1\n");
}

static void test_values_are_utf8_and_bounded(void **state)
{
	(void)state;
	static const struct metrics_def def = {.name = "leafcast_x", .help = "X.", .labels = {"v"}, .max_children = 10};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	struct metrics_family *f = metrics_add_family(m, METRICS_GAUGE, &def);
	const char *const bad[] = {"a\xff"};
	(void)metrics_gauge_of(f, bad);
	char big[METRICS_VALUE_MAX + 2];
	memset(big, 'x', sizeof(big));
	big[METRICS_VALUE_MAX - 1] = '\xc3'; /* a two-byte character across the bound */
	big[METRICS_VALUE_MAX] = '\xa9';
	big[METRICS_VALUE_MAX + 1] = 0;
	const char *const cut[] = {big};
	(void)metrics_gauge_of(f, cut);
	AUTO(mem_freep) char *text = render(m, METRICS_TEXT);
	assert_non_null(strstr(text, "leafcast_x{v=\"a\\\\xff\"} 0\n"));
	big[METRICS_VALUE_MAX - 1] = 0;
	AUTO(mem_freep) char *expected = mem_printf("leafcast_x{v=\"%s\"} 0\n", big);
	assert_non_null(strstr(text, expected));
}

static void test_children_are_bounded(void **state)
{
	(void)state;
	static const struct metrics_def counters = {
		.name = "leafcast_a", .help = "A.", .labels = {"name"}, .max_children = 2};
	static const struct metrics_def gauges = {
		.name = "leafcast_b", .help = "B.", .labels = {"name"}, .max_children = 1};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	struct metrics_family *a = metrics_add_family(m, METRICS_COUNTER, &counters);
	struct metrics_family *b = metrics_add_family(m, METRICS_GAUGE, &gauges);
	static const char *const names[] = {"one", "two", "three", "four"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		counter_inc(metrics_counter_of(a, &names[i]));
		gauge_set(metrics_gauge_of(b, &names[i]), 7);
	}
	assert_family(m, METRICS_TEXT, "leafcast_a",
		"# HELP leafcast_a_total A.\n"
		"# TYPE leafcast_a_total counter\n"
		"leafcast_a_total{name=\"one\"} 1\n"
		"leafcast_a_total{name=\"two\"} 1\n"
		"leafcast_a_total{name=\"_other\"} 2\n");
	assert_family(m, METRICS_TEXT, "leafcast_b",
		"# HELP leafcast_b B.\n"
		"# TYPE leafcast_b gauge\n"
		"leafcast_b{name=\"one\"} 7\n");
	AUTO(mem_freep) char *text = render(m, METRICS_TEXT);
	assert_non_null(strstr(text, "leafcast_metrics_dropped_total 5\n"));
	/* A removed child makes room, and comes back at 0. */
	metrics_remove(a, &names[0]);
	metrics_remove(a, &names[3]);
	assert_int_equal(counter_value(metrics_counter_of(a, &names[2])), 0);
}

static void collect_secrets(void *arg, struct metrics_sink *sink)
{
	static const char *const names[] = {"default", "ROOTCA", "third"};
	const int *count = arg;
	for (int i = 0; i < *count; i++)
		metrics_emit(sink, &names[i], 1.5 + i);
}

static void collect_one(void *arg, struct metrics_sink *sink)
{
	metrics_emit(sink, NULL, *(const int *)arg);
}

static void test_collected(void **state)
{
	(void)state;
	static const struct metrics_def def = {
		.name = "leafcast_secret_not_after_seconds", .help = "T.", .labels = {"name"}, .max_children = 2};
	static const struct metrics_def one = {.name = "leafcast_io", .help = "I."};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	int count = 1;
	int io = 42;
	metrics_add_collected(m, METRICS_GAUGE, &def, collect_secrets, &count);
	metrics_add_collected(m, METRICS_COUNTER, &one, collect_one, &io);
	assert_family(m, METRICS_TEXT, "leafcast_secret_not_after_seconds",
		"# HELP leafcast_secret_not_after_seconds T.\n"
		"# TYPE leafcast_secret_not_after_seconds gauge\n"
		"leafcast_secret_not_after_seconds{name=\"default\"} 1.5\n");
	assert_family(m, METRICS_OPENMETRICS, "leafcast_io",
		"# HELP leafcast_io I.\n# TYPE leafcast_io counter\nleafcast_io_total 42\n");
	count = 3;
	AUTO(mem_freep) char *text = render(m, METRICS_TEXT);
	assert_non_null(strstr(text, "{name=\"ROOTCA\"} 2.5\n"));
	assert_null(strstr(text, "third"));
	metrics_stop_collecting(m, &count);
	AUTO(mem_freep) char *after = render(m, METRICS_TEXT);
	assert_null(strstr(after, "default"));
	assert_non_null(strstr(after, "leafcast_metrics_dropped_total 1\n"));
	assert_non_null(strstr(after, "leafcast_io_total 42\n"));
}

static void test_openmetrics_ends(void **state)
{
	(void)state;
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	AUTO(mem_freep) char *open = render(m, METRICS_OPENMETRICS);
	AUTO(mem_freep) char *text = render(m, METRICS_TEXT);
	assert_string_equal(open + strlen(open) - 7, "\n# EOF\n");
	assert_null(strstr(text, "EOF"));
	assert_string_equal(metrics_content_type(METRICS_TEXT), "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(metrics_content_type(METRICS_OPENMETRICS),
		"application/openmetrics-text; version=1.0.0; charset=utf-8");
}

static void test_accept(void **state)
{
	(void)state;
	static const struct {
		const char *accept;
		enum metrics_format format;
	} cases[] = {{NULL, METRICS_TEXT}, {"", METRICS_TEXT}, {"*/*", METRICS_TEXT}, {",, ,", METRICS_TEXT},
		{"text/plain;version=0.0.4", METRICS_TEXT}, {"application/openmetrics-text", METRICS_OPENMETRICS},
		{"application/openmetrics-textual", METRICS_TEXT}, {"x/y;a=application/openmetrics-text", METRICS_TEXT},
		{"text/plain, Application/OpenMetrics-Text;q=0.5", METRICS_OPENMETRICS},
		{"application/openmetrics-text; q=0, text/plain", METRICS_TEXT},
		{"application/openmetrics-text;version=1.0.0; Q=0.0, text/plain;q=1", METRICS_TEXT},
		{"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
		 "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			METRICS_OPENMETRICS}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(metrics_format_for(cases[i].accept), cases[i].format);
}

enum { THREADS = 4, ROUNDS = 20000 };

struct shared {
	struct counter *counter;
	struct gauge *gauge;
	struct histogram *histogram;
};

static void *update(void *arg)
{
	struct shared *s = arg;
	for (int i = 0; i < ROUNDS; i++) {
		counter_inc(s->counter);
		gauge_add(s->gauge, 0.5);
		histogram_observe(s->histogram, i % 2);
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	static const double bounds[] = {0.5};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	struct shared s = {metrics_add_counter(m, "leafcast_c", "C."), metrics_add_gauge(m, "leafcast_g", "G."),
		metrics_add_histogram(m, "leafcast_h", "H.", bounds, 1)};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, update, &s), 0);
	AUTO(mem_freep) char *during = render(m, METRICS_TEXT);
	assert_non_null(during);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counter_value(s.counter), THREADS * ROUNDS);
	assert_true(gauge_value(s.gauge) == THREADS * ROUNDS / 2.0);
	AUTO(mem_freep) char *text = render(m, METRICS_TEXT);
	assert_non_null(strstr(text, "leafcast_h_bucket{le=\"0.5\"} 40000\n"));
	assert_non_null(strstr(text, "leafcast_h_sum 40000\n"));
	assert_non_null(strstr(text, "leafcast_h_count 80000\n"));
}

/* promtool is the judge of the text format, where it is installed. */
static void test_promtool(void **state)
{
	(void)state;
	static const double bounds[] = {0.1, 1};
	static const struct metrics_def def = {
		.name = "leafcast_nacks", .help = "N \\ \n.", .labels = {"name"}, .max_children = 10};
	static const struct metrics_def empty = {
		.name = "leafcast_denials", .help = "D.", .labels = {"name"}, .max_children = 10};
	AUTO(metrics_freep) struct metrics *m = metrics_new();
	counter_inc(metrics_add_counter(m, "leafcast_pushes", "Secrets sent."));
	gauge_set(metrics_add_gauge(m, "leafcast_streams", "Open streams."), (double)NAN);
	histogram_observe(metrics_add_histogram(m, "leafcast_push_to_ack_seconds", "Delay.", bounds, 2), 0.5);
	const char *const odd[] = {"a\\b\"c\nd \xff é"};
	counter_inc(metrics_counter_of(metrics_add_family(m, METRICS_COUNTER, &def), odd));
	(void)metrics_add_family(m, METRICS_COUNTER, &empty);
	AUTO(mem_freep) char *text = render(m, METRICS_TEXT);
	FILE *judge = popen(
		"command -v promtool >/dev/null || { cat >/dev/null; exit 77; }; exec promtool check metrics", "w");
	assert_non_null(judge);
	assert_true(fputs(text, judge) >= 0);
	int status = pclose(judge);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		if (getenv("CI"))
			fail_msg("promtool is missing, and CI demands it");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_counter), cmocka_unit_test(test_gauge),
		cmocka_unit_test(test_histogram), cmocka_unit_test(test_labels),
		cmocka_unit_test(test_values_are_utf8_and_bounded), cmocka_unit_test(test_children_are_bounded),
		cmocka_unit_test(test_collected), cmocka_unit_test(test_openmetrics_ends),
		cmocka_unit_test(test_accept), cmocka_unit_test(test_threads), cmocka_unit_test(test_promtool)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
