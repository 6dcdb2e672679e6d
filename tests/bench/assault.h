/* tests/bench/assault.h - what hostile and broken clients do to an SDS server: a table, one row a kind.
 * Thread: the abuser's only one. */
#ifndef TESTS_BENCH_ASSAULT_H
#define TESTS_BENCH_ASSAULT_H
#include <stddef.h>
#include <stdint.h>
#include "tests/bench/peer.h"

struct assault {
	const char *name;
	size_t peers;		       /* connections at a time */
	int64_t life_ms;	       /* then it hangs up and comes again; 0: when the server ends it */
	void (*begin)(struct peer *p); /* connected */
	void (*more)(struct peer *p);  /* all was said. NULL: that was it */
};

extern const struct assault assaults[];
extern const size_t assault_count;

/** Make the long messages that the assaults send. name: a secret that everybody may have. Once, before any. */
void assaults_init(const char *name);
void assaults_done(void);
#endif
