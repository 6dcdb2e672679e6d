/* tests/bench/abuser.c - all assaults on one SDS server at once, held to a share of one CPU.
 *
 * bench_abuser SOCKET NAME SECONDS CPU_PERCENT [WHICH]     NAME: a secret that everybody may have; WHICH: the
 * assaults whose names contain this text, or after a ! those that contain none of the texts, with commas between them
 * When the time is over it hangs up and says on stdout, one line of JSON, what each assault did: connections that it
 * made, how many of them the server ended, bytes moved, and CPU seconds of all.
 * Thread: one, which never blocks: assaults take turns of TURN_US of CPU, and all rest when the share is used up. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <signal.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/mem.h"
#include "tests/bench/assault.h"

enum { TURN_US = 200, CREDIT_MAX_US = 10000, SECONDS_MAX = 3600, ASSAULTS_MAX = 64 };

struct tally {
	bool wanted;
	struct peer *peers;
	size_t next; /* the peer whose turn it is */
	size_t connections, refused, ended;
	int64_t bytes;
};

static bool is_wanted(const char *name, const char *which)
{
	if (!which || *which != '!')
		return !which || strstr(name, which);
	AUTO(mem_freep)
	char *texts = mem_strdup(which + 1);
	char *rest = NULL;
	for (char *t = strtok_r(texts, ",", &rest); t; t = strtok_r(NULL, ",", &rest))
		if (strstr(name, t))
			return false;
	return true;
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "bench_abuser: %s\n", what);
	exit(1);
}

static int64_t clock_us(clockid_t clock)
{
	struct timespec t;
	check(clock_gettime(clock, &t) == 0, "clock_gettime");
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* One peer's turn. False: it could do nothing. */
static bool step(const struct assault *a, struct tally *t, struct peer *p, const char *path, int64_t now_ms)
{
	if (p->fd < 0) {
		if (!peer_connect(p, path, now_ms)) {
			t->refused++;
			return false;
		}
		t->connections++;
		a->begin(p);
	} else if (a->life_ms && now_ms - p->since_ms >= a->life_ms) {
		peer_hang_up(p);
		return true;
	}
	if (a->more && peer_is_idle(p))
		a->more(p);
	if (p->fd < 0)
		return true;
	int64_t moved = peer_move(p);
	if (moved < 0) {
		t->ended++;
		peer_hang_up(p);
		return true;
	}
	t->bytes += moved;
	return moved > 0;
}

/* Each peer once, or as many as go into a turn. False: none could do anything. */
static bool take_turn(const struct assault *a, struct tally *t, const char *path)
{
	int64_t end = clock_us(CLOCK_PROCESS_CPUTIME_ID) + TURN_US;
	int64_t now_ms = clock_us(CLOCK_MONOTONIC) / 1000;
	bool moved = false;
	for (size_t i = 0; i < a->peers && clock_us(CLOCK_PROCESS_CPUTIME_ID) < end; i++) {
		moved |= step(a, t, &t->peers[t->next], path, now_ms);
		t->next = (t->next + 1) % a->peers;
	}
	return moved;
}

/* Until there is credit again; the runner that is gone ends it all. */
static void rest(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	check(poll(&p, 1, 1) == 0, "the runner is gone");
}

static void run(struct tally *tallies, const char *path, int64_t seconds, int64_t percent)
{
	int64_t end = clock_us(CLOCK_MONOTONIC) + seconds * 1000000;
	int64_t credit = 0, wall = clock_us(CLOCK_MONOTONIC), cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
	while (wall < end) {
		bool moved = false;
		for (size_t i = 0; i < assault_count && credit > 0; i++) {
			if (!tallies[i].wanted)
				continue;
			moved |= take_turn(&assaults[i], &tallies[i], path);
			int64_t now = clock_us(CLOCK_PROCESS_CPUTIME_ID);
			credit -= now - cpu;
			cpu = now;
		}
		if (!moved)
			rest();
		int64_t now = clock_us(CLOCK_MONOTONIC);
		credit += (now - wall) * percent / 100;
		credit = credit < CREDIT_MAX_US ? credit : CREDIT_MAX_US;
		wall = now;
	}
}

static void report(const struct tally *tallies, int64_t cpu_us)
{
	(void)printf("{\"cpu_s\": %.3f, \"assaults\": [", (double)cpu_us / 1e6);
	const char *between = "";
	for (size_t i = 0; i < assault_count; i++) {
		const struct tally *t = &tallies[i];
		if (!t->wanted)
			continue;
		(void)printf(
			"%s{\"name\": \"%s\", \"connections\": %zu, \"refused\": %zu, \"ended\": %zu, \"bytes\": %lld}",
			between, assaults[i].name, t->connections, t->refused, t->ended, (long long)t->bytes);
		between = ", ";
	}
	(void)printf("]}\n");
	check(fflush(stdout) == 0, "stdout");
}

int main(int argc, char **argv)
{
	static struct tally tallies[ASSAULTS_MAX];
	check(argc == 5 || argc == 6, "usage: bench_abuser SOCKET NAME SECONDS CPU_PERCENT [WHICH]");
	long seconds = strtol(argv[3], NULL, 10);
	long percent = strtol(argv[4], NULL, 10);
	check(seconds > 0 && seconds <= SECONDS_MAX && percent > 0 && percent <= 100, "SECONDS or CPU_PERCENT");
	check(assault_count <= ASSAULTS_MAX && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl");
	struct rlimit files;
	check(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
	files.rlim_cur = files.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
	assaults_init(argv[2]);
	for (size_t i = 0; i < assault_count; i++) {
		tallies[i].wanted = is_wanted(assaults[i].name, argv[5]);
		tallies[i].peers = mem_array(struct peer, assaults[i].peers);
		for (size_t j = 0; j < assaults[i].peers; j++)
			tallies[i].peers[j] = (struct peer){.fd = -1, .number = j};
	}
	int64_t before = clock_us(CLOCK_PROCESS_CPUTIME_ID);
	run(tallies, argv[1], seconds, percent);
	report(tallies, clock_us(CLOCK_PROCESS_CPUTIME_ID) - before);
	for (size_t i = 0; i < assault_count; i++) {
		for (size_t j = 0; j < assaults[i].peers; j++)
			peer_done(&tallies[i].peers[j]);
		free(tallies[i].peers);
	}
	assaults_done();
	return 0;
}
