/* daemon/serve.c - the life of the server: built from the config in one order, taken down in the other.
 * Up: loop, store, control, workers, admin, listeners, start. Down (SIGTERM): drain the workers, close control (which
 * answers every order under way), then admin, store, workers, loop. Thread: control. */
#include "daemon/serve.h"
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "base/buf.h"
#include "base/build_date.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/http.h"
#include "base/io/json_memory.h"
#include "base/io/loop.h"
#include "base/io/rpc.h"
#include "base/io/systemd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "cache/reaper.h"
#include "cache/store.h"
#include "control/control.h"
#include "daemon/admin/admin.h"
#include "daemon/config.h"
#include "daemon/listeners.h"
#include "daemon/process.h"

#include "sds/server.h"

/* Keys in work (not the cache) live in OpenSSL's secure heap. */
#define SECURE_HEAP_BYTES ((size_t)1024 * 1024)

enum { SIGNALS = 3 };

struct serve {
	const char *config_path; /* NULL: no file */
	struct config *config;
	struct loop *loop;
	struct jobs *jobs;
	struct http *http;
	struct metrics *metrics;
	struct store *store;
	struct reaper *reaper;
	struct control *control;
	struct sds_server *server;
	struct admin *admin;
	struct listeners *listeners;
	uv_signal_t signals[SIGNALS];
	bool stopping;
	bool control_ready, ready_told;
	int exit_code;
};

static struct fault *read_config(const char *path, struct config **ret)
{
	struct config_errors *errors = NULL;
	if (!path)
		return config_default(ret);
	struct fault *f = config_load_file(path, ret, &errors);
	config_errors_print(errors, stderr);
	config_errors_free(errors);
	return f;
}

static void stop(struct serve *s, const char *why);

/* Ready is who has something to serve and is reached: what is in the store may be there before the listeners are. */
static void tell_ready(struct serve *s)
{
	if (!s->control_ready || s->ready_told || s->stopping || !s->listeners || !listeners_serve(s->listeners))
		return;
	s->ready_told = true;
	log_event(LOG_INFO, "leafcast.ready", LS("version", LEAFCAST_VERSION), LI("pid", getpid()));
	systemd_notify("READY=1");
}

/* A listener may begin late, when its certificate has come: a port that cannot be had ends the process all the same. */
static void refresh_listeners(struct serve *s)
{
	listeners_refresh_trust(s->listeners);
	tell_ready(s);
	if (s->listeners && listeners_failed(s->listeners) && !s->stopping) {
		s->exit_code = 1;
		stop(s, "a listener could not be opened");
	}
}

/* Every error of the file in one text: an operator mends them all before the next try. */
static struct fault *with_errors(struct fault *f, const struct config_errors *errors)
{
	struct buf text = BUF_INIT;
	config_errors_text(errors, &text);
	if (!text.len)
		return f;
	buf_truncate(&text, text.len - 1); /* the last line end */
	struct fault *all = fault_new(fault_code(f), "%s", buf_text(&text));
	buf_free(&text);
	fault_free(f);
	return all;
}

static struct fault *read_next(struct serve *s, struct config **ret)
{
	struct config_errors *errors = NULL;
	struct config *next = NULL;
	struct fault *f = config_load_file(s->config_path, &next, &errors);
	if (!f)
		f = config_check_reload(s->config, next, &errors);
	if (f) {
		f = with_errors(f, errors);
		config_free(next);
	} else {
		*ret = next;
	}
	config_errors_free(errors);
	return f;
}

static struct fault *reload(void *arg)
{
	struct serve *s = arg;
	struct config *next = NULL;
	if (!s->config_path)
		return fault_new(FAULT_INVALID, "leafcast runs without a config file: there is nothing to read again");
	if (s->stopping)
		return fault_new(FAULT_UNAVAILABLE, "leafcast is stopping");
	TRY(read_next(s, &next));
	struct fault *f = control_reload(s->control, config_take_definitions(next));
	if (f) {
		config_free(next);
		return f;
	}
	log_set_level(next->log_level);
	log_set_format(next->log_format);
	config_free(s->config);
	s->config = next;
	refresh_listeners(s);
	return NULL;
}

static void on_closed(uv_handle_t *h)
{
	(void)h;
}

static void on_store_closed(void *arg)
{
	struct serve *s = arg;
	for (size_t i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&s->signals[i], on_closed);
	sds_server_free(s->server);
	listeners_free(s->listeners);
	http_free(s->http);
	jobs_free(s->jobs);
	reaper_free(s->reaper);
}

static void on_control_closed(void *arg)
{
	struct serve *s = arg;
	s->control = NULL;
	admin_free(s->admin);
	store_close(s->store, on_store_closed, s);
}

static void on_drained(void *arg)
{
	struct serve *s = arg;
	control_close(s->control, on_control_closed, s);
}

static void stop(struct serve *s, const char *why)
{
	if (s->stopping) {
		log_event(LOG_WARN, "leafcast.stopped_at_once", LS("why", why));
		_exit(1);
	}
	s->stopping = true;
	log_event(LOG_INFO, "leafcast.stopping", LS("why", why), LI("grace_ms", s->config->drain_grace_ms));
	systemd_notify("STOPPING=1");
	admin_quiesce(s->admin);
	listeners_close(s->listeners);
	sds_server_drain(s->server, s->config->drain_grace_ms, on_drained, s);
}

static void on_reload_recorded(void *arg, struct fault *f)
{
	struct serve *s = arg;
	if (!f)
		f = reload(s);
	if (f)
		log_event(LOG_ERROR, "config.refused", LS("effect", "the old config stays in force"), LF(f));
	fault_free(f);
	if (!s->stopping && s->ready_told)
		systemd_notify("READY=1");
}

static void on_signal(uv_signal_t *h, int number)
{
	struct serve *s = h->data;
	if (number != SIGHUP) {
		stop(s, number == SIGTERM ? "SIGTERM" : "SIGINT");
		return;
	}
	if (s->stopping)
		return;
	systemd_notify_reloading();
	control_audit(s->control, "config.reload_ordered", NULL, NULL, "SIGHUP", NULL, on_reload_recorded, s);
}

static void on_ready(void *arg, struct fault *f)
{
	struct serve *s = arg;
	invariant(!f);
	s->control_ready = true;
	tell_ready(s);
}

static void on_internal(void *arg, const char *name)
{
	struct serve *s = arg;
	(void)name;
	refresh_listeners(s);
}

static void on_trust(void *arg)
{
	refresh_listeners(arg);
}

static struct fault *open_state(struct serve *s, bool *ret_first_start)
{
	const struct store_options o = {.folder = s->config->state_path, .seal_file = s->config->seal_file};
	return store_open(&o, s->loop, clock_system(), ret_first_start, &s->store);
}

static struct fault *make_control(struct serve *s)
{
	bool first_start = false;
	TRY(open_state(s, &first_start));
	const struct control_options o = {.loop = s->loop,
		.jobs = s->jobs,
		.http = s->http,
		.clock = clock_system(),
		.past_versions = s->config->past_versions,
		.past_expired_ms = s->config->past_expired_ms,
		.store = s->store,
		.metrics = s->metrics,
		.first_start = first_start,
		.built_ms = build_date_ms(),
		.waking_ms = MS_PER_MIN,
		.moving_ms = 5 * MS_PER_MIN,
		.on_internal = on_internal,
		.on_trust = on_trust,
		.arg = s};
	return control_new(&o, config_take_definitions(s->config), &s->control);
}

static struct fault *make_server(struct serve *s)
{
	char host[65] = "leafcast";
	(void)gethostname(host, sizeof host - 1);
	AUTO(mem_freep) char *instance = mem_printf("leafcast/%s", host);
	const struct sds_options o = {.workers = s->config->workers,
		.limits = s->config->limits,
		.repush_ms = s->config->repush_ms,
		.instance = instance,
		.loop = s->loop,
		.clock = clock_system(),
		.metrics = s->metrics,
		.inbox = control_inbox(s->control),
		.policy = control_policy(s->control)};
	return sds_server_new(&o, &s->server);
}

static struct fault *build(struct serve *s)
{
	TRY(loop_new(clock_system(), &s->loop));
	s->jobs = jobs_new(s->loop);
	s->http = http_new(s->loop);
	s->metrics = metrics_new();
	s->reaper = reaper_new(s->loop);
	TRY(make_control(s));
	TRY(make_server(s));
	const struct admin_options o = {.loop = s->loop,
		.jobs = s->jobs,
		.clock = clock_system(),
		.control = s->control,
		.server = s->server,
		.metrics = s->metrics,
		.version = LEAFCAST_VERSION,
		.reload = reload,
		.arg = s};
	s->admin = admin_new(&o);
	return listeners_open(s->config, s->control, s->server, s->admin, &s->listeners);
}

static void watch_signals(struct serve *s)
{
	static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
	for (size_t i = 0; i < SIGNALS; i++) {
		invariant(uv_signal_init(loop_uv(s->loop), &s->signals[i]) == 0);
		s->signals[i].data = s;
		invariant(uv_signal_start(&s->signals[i], on_signal, numbers[i]) == 0);
	}
}

static const char help[] =
	"usage: leafcast serve [-c FILE]\n\n"
	"Runs the server in the foreground. Without a config file it starts on an embedded CA and an embedded store, "
	"and serves\n"
	"`default` (a certificate spiffe://leafcast.local/uid/<uid>) and `ROOTCA` (its trust bundle) to its own "
	"uid.\n\n"
	"options:\n"
	"  -c, --config FILE    the config (leafcast check FILE reads it without starting)\n"
	"  --help               this text\n\n"
	"signals: SIGTERM drains and ends, a second one ends now; SIGHUP reads the config again, whole or not at all\n";

static bool parse(int argc, char **argv, struct serve *s, int *ret_exit)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "c:h", longs, NULL)) != -1;) {
		if (o == 'c') {
			s->config_path = optarg;
			continue;
		}
		(void)fputs(help, o == 'h' ? stdout : stderr);
		*ret_exit = o == 'h' ? 0 : 2;
		return false;
	}
	if (optind == argc)
		return true;
	(void)fprintf(stderr, "leafcast serve: unexpected \"%s\"; a config is given by -c FILE\n", argv[optind]);
	*ret_exit = 2;
	return false;
}

int serve_main(int argc, char **argv)
{
	struct serve s;
	int code = 0;
	memset(&s, 0, sizeof s);
	if (!parse(argc, argv, &s, &code))
		return code;
	if (CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, 64) != 1)
		log_event0(LOG_WARN, "leafcast.no_secure_heap");
	json_memory_wipe();
	rpc_set_environment();
	process_capture_grpc_log();
	struct fault *f = read_config(s.config_path, &s.config);
	if (!f) {
		log_set_level(s.config->log_level);
		log_set_format(s.config->log_format);
		f = build(&s);
	}
	if (f) { /* the process ends here: the system takes back what was built, nothing was served */
		log_event(LOG_ERROR, "leafcast.cannot_start", LF(f));
		fault_free(f);
		return 1;
	}
	watch_signals(&s);
	control_start(s.control, sds_server_outlet(s.server), on_ready, &s);
	listeners_start(s.listeners);
	refresh_listeners(&s);
	loop_run(s.loop);
	loop_free(s.loop);
	uv_library_shutdown(); /* joins the threads of the pool: what libraries keep per thread goes with them */
	metrics_free(s.metrics);
	config_free(s.config);
	log_event0(LOG_INFO, "leafcast.stopped");
	return s.exit_code;
}
