/* base/io/rpc_log.h - what gRPC core logs, as lines of our own: its errors are warnings here (they are about peers most
 * often), each place in its source at most once per interval, because peers can cause them. */
#ifndef BASE_IO_RPC_LOG_H
#define BASE_IO_RPC_LOG_H
/** Before grpc_init(). */
void rpc_log_capture(void);
#endif
