/* daemon/admin/route_metrics.c - /metrics, and the process's own numbers. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/admin/internal.h"

void route_metrics(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	struct buf b = BUF_INIT;
	enum metrics_format format = metrics_format_for(http_header(x, "Accept"));
	metrics_render(a->o.metrics, format, &b);
	http_reply(x, 200, metrics_content_type(format), &b);
}

static void collect_build(void *arg, struct metrics_sink *sink)
{
	const struct admin *a = arg;
	const char *const labels[] = {a->o.version};
	metrics_emit(sink, labels, 1);
}

static void collect_start(void *arg, struct metrics_sink *sink)
{
	const struct admin *a = arg;
	metrics_emit(sink, NULL, (double)a->started_at_ms / 1000);
}

static void collect_cpu(void *arg, struct metrics_sink *sink)
{
	struct rusage u;
	(void)arg;
	if (getrusage(RUSAGE_SELF, &u) == 0)
		metrics_emit(sink, NULL,
			(double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
				(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static void collect_memory(void *arg, struct metrics_sink *sink)
{
	long pages = 0, resident = 0;
	(void)arg;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return;
	if (fscanf(f, "%ld %ld", &pages, &resident) == 2)
		metrics_emit(sink, NULL, (double)resident * (double)sysconf(_SC_PAGESIZE));
	(void)fclose(f);
}

static void collect_fds(void *arg, struct metrics_sink *sink)
{
	int n = 0;
	(void)arg;
	DIR *d = opendir("/proc/self/fd");
	if (!d)
		return;
	while (readdir(d))
		n++;
	(void)closedir(d);
	metrics_emit(sink, NULL, n - 3); /* ".", ".." and the folder itself */
}

static void collect_log_lines(void *arg, struct metrics_sink *sink)
{
	(void)arg;
	for (enum log_level l = LOG_ERROR; l <= LOG_DEBUG; l++) {
		const char *const labels[] = {log_level_name(l)};
		metrics_emit(sink, labels, (double)log_lines(l));
	}
}

void process_metrics_add(struct admin *a)
{
	struct metrics *m = a->o.metrics;
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "leafcast_build_info",
			.help = "1, with the version.",
			.labels = {"version"},
			.max_children = 1},
		collect_build, a);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){
			.name = "process_start_time_seconds", .help = "Start of the process since the epoch."},
		collect_start, a);
	metrics_add_collected(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "process_cpu_seconds", .help = "User and system CPU time."}, collect_cpu,
		a);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "process_resident_memory_bytes", .help = "Resident memory."},
		collect_memory, a);
	metrics_add_collected(m, METRICS_GAUGE,
		&(struct metrics_def){.name = "process_open_fds", .help = "Open file descriptors."}, collect_fds, a);
	metrics_add_collected(m, METRICS_COUNTER,
		&(struct metrics_def){.name = "leafcast_log_lines",
			.help = "Log lines written.",
			.labels = {"level"},
			.max_children = 4},
		collect_log_lines, a);
}
