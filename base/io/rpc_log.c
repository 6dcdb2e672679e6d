#include "base/io/rpc_log.h"
#include <grpc/support/log.h>
#include <pthread.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/quiet.h"

/* Places that log errors; what finds no room shares the last one. */
enum { PLACES = 64 };

static struct {
	pthread_mutex_t lock;
	struct place {
		const char *file; /* a literal of core's */
		int line;
		struct quiet quiet;
	} places[PLACES];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct place *place_of(const char *file, int line)
{
	for (size_t i = 0; i < PLACES - 1; i++) {
		struct place *p = &state.places[i];
		if (p->file && (p->line != line || strcmp(p->file, file) != 0))
			continue;
		p->file = file;
		p->line = line;
		return p;
	}
	return &state.places[PLACES - 1];
}

static void on_log(gpr_log_func_args *a)
{
	uint64_t held_back = 0;
	pthread_mutex_lock(&state.lock);
	bool pass = quiet_passes(&place_of(a->file, a->line)->quiet, clock_mono_ms(clock_system()), &held_back);
	pthread_mutex_unlock(&state.lock);
	if (pass)
		log_event(a->severity == GPR_LOG_SEVERITY_ERROR ? LOG_WARN : LOG_DEBUG, "grpc",
			LS("message", a->message), LS("file", a->file), LI("line", a->line),
			LI("held_back", held_back));
}

void rpc_log_capture(void)
{
	gpr_set_log_function(on_log);
	gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
}
