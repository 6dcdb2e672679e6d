/* base/io/rpc.h - a thin face on gRPC C core: a completion queue with a bell, batches whose tag is an op embedded in
 * its call, and the channel arguments that are always set. ThreadSanitizer is told of the order that a queue makes.
 * Thread: the queue's owner, except rpc_queue_ring(). */
#ifndef BASE_IO_RPC_H
#define BASE_IO_RPC_H
#include <grpc/grpc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A tag. done runs on the queue's owner when the batch has completed; ok: gRPC's success flag. */
struct rpc_op {
	void (*done)(struct rpc_op *op, bool ok);
};

struct rpc_queue;
enum rpc_event { RPC_EVENT_OP, RPC_EVENT_BELL, RPC_EVENT_TIMEOUT, RPC_EVENT_SHUTDOWN };

/** Settings of gRPC core that it takes from the environment alone. Thread: main, before any other and before
 * grpc_init(). */
void rpc_set_environment(void);

struct rpc_queue *rpc_queue_new(void);
grpc_completion_queue *rpc_queue_raw(struct rpc_queue *q);
/** Sleep until an op completes, the bell rings, or wait_ms have passed (negative: for ever). */
enum rpc_event rpc_queue_next(struct rpc_queue *q, int64_t wait_ms, struct rpc_op **ret_op, bool *ret_ok);
/** Wake the owner. Thread: any, but never after rpc_queue_shutdown(): that would abort the process. */
void rpc_queue_ring(void *queue);
void rpc_queue_shutdown(struct rpc_queue *q);
/** After rpc_queue_next() said RPC_EVENT_SHUTDOWN. */
void rpc_queue_free(struct rpc_queue *q);

/** Start a batch; op->done runs later. Aborts on misuse (a bug of ours). Thread: the call's queue's owner. */
void rpc_start(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_op *op);
/** Ask for the next unregistered call. */
void rpc_request_call(grpc_server *s, struct rpc_queue *q, grpc_call **call, grpc_call_details *details,
	grpc_metadata_array *metadata, struct rpc_op *op);

/** A bound on what servers hold for their peers together. At the bound gRPC closes idle connections, then resets
 * streams, whoever's they are: a backstop against floods, not a fair share. The caller owns it:
 * grpc_resource_quota_unref(). */
grpc_resource_quota *rpc_memory_new(size_t bytes);

struct rpc_server_options {
	int streams_per_connection;
	int message_bytes;
	grpc_resource_quota *memory; /* a reference is taken */
	int64_t age_ms, cut_off_ms;  /* GOAWAY at this age of a connection, give or take a tenth; the end so much later;
					0: never */
	int64_t idle_ms;	     /* GOAWAY to a connection that had no call for so long; 0: never */
};
/** A server bound to the queue, with keepalive, limits and ping tolerance set, not started. The caller owns it. */
grpc_server *rpc_server_new(const struct rpc_server_options *o, struct rpc_queue *q);
/** No new calls and connections, GOAWAY to all; op->done runs when no connection is left. */
void rpc_server_shutdown(grpc_server *s, struct rpc_queue *q, struct rpc_op *op);
#endif
