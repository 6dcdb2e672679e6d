/* daemon/init_try.h - an authority of a config, started once without a server around it: does it let us in, and what
 * does it show? Nothing is stored, no leaf is asked for. Thread: one that has no loop. */
#ifndef DAEMON_INIT_TRY_H
#define DAEMON_INIT_TRY_H
#include <stdint.h>
#include "base/attr.h"
struct anchors;
struct authority_def;
struct fault;

/** Its anchors; the caller owns a reference. The driver's own fault, or TIMEOUT after timeout_ms. What a driver logs
 * (a role that would refuse us) goes to stderr. json_memory_wipe() was called. */
MUST_USE struct fault *init_try(const struct authority_def *def, int64_t timeout_ms, struct anchors **ret);
#endif
