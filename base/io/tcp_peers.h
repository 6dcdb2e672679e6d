/* base/io/tcp_peers.h - the TCP connections that this process has accepted, whoever owns them: gRPC core shows none and
 * gives no way to end one. Found by looking at each descriptor of the process. Thread: any. */
#ifndef BASE_IO_TCP_PEERS_H
#define BASE_IO_TCP_PEERS_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union tcp_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};
/* Zeroed where nothing was set: addresses may be compared as bytes. */
struct tcp_peer {
	int fd; /* somebody else's, who may close it any time */
	union tcp_address local, remote;
	int64_t read; /* bytes that it sent and somebody has read; 0 where the kernel does not count */
};

/** Every connection of the process. fn may reset what it is shown; true: no more. */
void tcp_peers_each(bool (*fn)(void *arg, const struct tcp_peer *p), void *arg);
int tcp_peer_local_port(const struct tcp_peer *p);
/** As grpc_call_get_peer() writes it: "ipv4:127.0.0.1:40000", "ipv6:%5B::1%5D:40000". The caller owns it. */
char *tcp_peer_text(const struct tcp_peer *p);
/** What it sent and nobody read is dropped, and whoever reads or writes there has an error. False: it has gone. */
bool tcp_peer_reset(const struct tcp_peer *p);
#endif
