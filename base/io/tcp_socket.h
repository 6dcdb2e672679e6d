/* base/io/tcp_socket.h - a listening TCP socket of our own (telemetry). */
#ifndef BASE_IO_TCP_SOCKET_H
#define BASE_IO_TCP_SOCKET_H
#include "base/attr.h"
struct fault;
/** "127.0.0.1:9902", "[::1]:9902", port 0 picks one (*ret_port, which may be NULL). Non-blocking, close-on-exec; the
 * caller owns *ret_fd. INVALID: not host:port with a literal address; CONFLICT: the port is taken. */
MUST_USE struct fault *tcp_socket_listen(const char *address, int *ret_fd, int *ret_port);
#endif
