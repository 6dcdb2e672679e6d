/* daemon/listeners.h - the sockets of the config, and those that the service manager hands down: opened, fed to the
 * serving side and the admin API, closed. TCP listeners wait for their own certificate. Thread: control. */
#ifndef DAEMON_LISTENERS_H
#define DAEMON_LISTENERS_H
#include <stdbool.h>
#include "base/attr.h"
struct admin;
struct config;
struct control;
struct fault;
struct listeners;
struct sds_server;

/** Opens unix, admin and telemetry sockets. config is borrowed for the call. The caller owns *ret. */
MUST_USE struct fault *listeners_open(const struct config *config, struct control *control, struct sds_server *server,
	struct admin *admin, struct listeners **ret);
/** Begin to serve: at once, or, with TCP listeners, as soon as each has a certificate and client trust. */
void listeners_start(struct listeners *l);
/** Every socket of the config is open and served. */
bool listeners_serve(const struct listeners *l);
/** A port of the config could not be had: leafcast does not run by halves. */
bool listeners_failed(const struct listeners *l);
/** Certificates or anchors changed: new handshakes use them. */
void listeners_refresh_trust(struct listeners *l);
/** What is served where, for the log. */
void listeners_log(const struct listeners *l);
/** No new connections: unix sockets leave the file system. */
void listeners_close(struct listeners *l);
void listeners_free(struct listeners *l); /* NULL is fine */
#endif
