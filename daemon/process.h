/* daemon/process.h - what a process with keys does to itself before anything else. */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H
#include "base/attr.h"
struct fault;
/** Clears variables by which somebody could make libraries talk or trust (gRPC traces, SSLKEYLOGFILE, proxies,
 * OpenSSL), forbids core dumps and ptrace, raises RLIMIT_NOFILE to its hard value, ignores SIGPIPE, opens 0, 1, 2 if
 * they are closed. */
void process_harden(void);
/** Send the log lines of gRPC and absl through ours. Before grpc_init(). */
void process_capture_grpc_log(void);
#endif
