#include "daemon/listeners.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/systemd.h"
#include "base/io/unix_socket.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control.h"
#include "control/identity.h"
#include "daemon/admin/admin.h"
#include "daemon/config.h"
#include "sds/server.h"

enum { SOCKETS_MAX = 32, TCP_MAX = 16, CLIENT_CA_MAX = 64 };

/* A TCP listener of the config: its own copies, since a reload frees the config. */
struct tcp {
	char *address, *certificate;
	char **client_ca;
	size_t client_ca_count;
	bool ready; /* certificate and trust are set */
	int port;
};

struct listeners {
	struct control *control;
	struct sds_server *server;
	struct admin *admin;
	struct unix_socket *sockets[SOCKETS_MAX];
	size_t socket_count;
	char *paths[SOCKETS_MAX]; /* of SDS sockets, for the log */
	size_t path_count;
	struct tcp tcp[TCP_MAX];
	size_t tcp_count;
	int telemetry_port;
	bool failed;	      /* a TCP port could not be had */
	bool wanted, started; /* wanted: start as soon as every TCP listener is ready */
	struct systemd_socket given[SYSTEMD_SOCKETS_MAX];
	size_t given_count;
};

/* Folders of sockets are made 0755, so that proxies of other users can get through; the socket's own mode guards it. */
static struct fault *make_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	if (!slash || slash == path)
		return NULL;
	AUTO(mem_freep) char *folder = mem_strndup(path, (size_t)(slash - path));
	if (stat(folder, &st) == 0)
		return NULL;
	TRY(file_make_folder(folder));
	return chmod(folder, 0755) < 0 ? fault_errno(errno, "cannot set the mode of folder %s", folder) : NULL;
}

static int take_given(struct listeners *l, const char *path, const char *name)
{
	for (size_t i = 0; i < l->given_count; i++) {
		struct systemd_socket *g = &l->given[i];
		bool same_path = path && g->path && strcmp(g->path, path) == 0;
		bool same_name = name && strcmp(g->name, name) == 0;
		if (g->fd >= 0 && (same_path || same_name)) {
			int fd = g->fd;
			g->fd = -1;
			return fd;
		}
	}
	return -1;
}

static struct fault *open_unix(
	struct listeners *l, const char *path, mode_t mode, uid_t owner, gid_t group, const char *name, int *ret_fd)
{
	const struct unix_socket_options o = {.path = path, .mode = mode, .owner = owner, .group = group};
	*ret_fd = take_given(l, path, name);
	if (*ret_fd >= 0)
		return NULL;
	if (l->socket_count == SOCKETS_MAX)
		return fault_new(FAULT_EXHAUSTED, "more than %d unix sockets", SOCKETS_MAX);
	TRY(make_folder(path));
	TRY(unix_socket_open(&o, &l->sockets[l->socket_count]));
	*ret_fd = unix_socket_take_fd(l->sockets[l->socket_count++]);
	return NULL;
}

/* Takes fd. */
static struct fault *serve_unix(struct listeners *l, int fd, const char *path)
{
	TRY(sds_server_listen_unix(l->server, fd));
	admin_note_sds(l->admin, path);
	if (l->path_count < SOCKETS_MAX)
		l->paths[l->path_count++] = mem_strdup(path);
	return NULL;
}

static struct fault *open_sds(struct listeners *l, const struct listen_config *c)
{
	int fd;
	TRY(open_unix(l, c->path, c->mode, c->owner, c->group, NULL, &fd));
	return serve_unix(l, fd, c->path);
}

static struct fault *note_tcp(struct listeners *l, const struct listen_config *c)
{
	if (l->tcp_count == TCP_MAX)
		return fault_new(FAULT_EXHAUSTED, "more than %d TCP listeners", TCP_MAX);
	struct tcp *t = &l->tcp[l->tcp_count++];
	t->address = mem_strdup(c->address);
	t->certificate = mem_strdup(c->certificate);
	t->client_ca = mem_array(char *, c->client_ca_count);
	for (size_t i = 0; i < c->client_ca_count && i < CLIENT_CA_MAX; i++)
		t->client_ca[t->client_ca_count++] = mem_strdup(c->client_ca[i]);
	return NULL;
}

static struct fault *open_all(struct listeners *l, const struct config *config)
{
	int fd;
	TRY(systemd_sockets(l->given, &l->given_count));
	TRY(open_unix(l, config->admin_path, 0600, (uid_t)-1, (gid_t)-1, "admin", &fd));
	TRY(admin_listen_unix(l->admin, fd));
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct listen_config *c = &config->listen[i];
		switch (c->type) {
		case LISTEN_UNIX:
			TRY(open_sds(l, c));
			break;
		case LISTEN_TCP:
			TRY(note_tcp(l, c));
			break;
		case LISTEN_TELEMETRY:
			TRY(admin_listen_tcp(l->admin, c->address, &l->telemetry_port));
			break;
		}
	}
	/* Unix sockets that the service manager made and no listener of the config names serve SDS all the same. */
	for (size_t i = 0; i < l->given_count; i++) {
		struct systemd_socket *g = &l->given[i];
		if (g->fd < 0 || !g->path)
			continue;
		fd = g->fd;
		g->fd = -1;
		TRY(serve_unix(l, fd, g->path));
	}
	for (size_t i = 0; i < l->given_count; i++)
		if (l->given[i].fd >= 0)
			return fault_new(FAULT_INVALID,
				"socket %s from the service manager is no unix socket; TCP listeners come from the "
				"config",
				l->given[i].name);
	return NULL;
}

struct fault *listeners_open(const struct config *config, struct control *control, struct sds_server *server,
	struct admin *admin, struct listeners **ret)
{
	struct listeners *l = mem_new(struct listeners);
	l->control = control;
	l->server = server;
	l->admin = admin;
	struct fault *f = open_all(l, config);
	if (f) {
		listeners_close(l);
		listeners_free(l);
	} else {
		*ret = l;
	}
	return f;
}

static bool set_tls(struct listeners *l, size_t number)
{
	struct tcp *t = &l->tcp[number];
	struct client_trust trust[CLIENT_CA_MAX];
	AUTO(credential_unrefp) struct credential *c = NULL;
	for (size_t i = 0; i < t->client_ca_count; i++) {
		trust[i] = (struct client_trust){t->client_ca[i], control_anchors(l->control, t->client_ca[i])};
		if (!trust[i].anchors)
			return false;
	}
	struct fault *f = control_internal_credential(l->control, t->certificate, &c);
	if (f && fault_code(f) == FAULT_NOT_FOUND) {
		fault_free(f);
		return false;
	}
	if (!f)
		f = sds_server_set_tls(l->server, number, c, trust, t->client_ca_count);
	if (f)
		log_event(LOG_ERROR, "listener.tls_refused", LS("address", t->address), LF(f));
	bool set = !f;
	fault_free(f);
	return set;
}

static void start_when_ready(struct listeners *l)
{
	if (!l->wanted || l->started)
		return;
	for (size_t i = 0; i < l->tcp_count; i++)
		if (!l->tcp[i].ready)
			return;
	l->started = true;
	for (size_t i = 0; i < l->tcp_count; i++) {
		struct fault *f = sds_server_listen_tcp(l->server, l->tcp[i].address, i, &l->tcp[i].port);
		if (f)
			log_event(LOG_ERROR, "listener.not_open", LS("address", l->tcp[i].address), LF(f));
		l->failed = l->failed || f;
		fault_free(f);
	}
	sds_server_start(l->server);
	listeners_log(l);
}

void listeners_refresh_trust(struct listeners *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->tcp_count; i++)
		if (set_tls(l, i))
			l->tcp[i].ready = true;
	start_when_ready(l);
}

void listeners_start(struct listeners *l)
{
	l->wanted = true;
	listeners_refresh_trust(l);
}

bool listeners_serve(const struct listeners *l)
{
	return l->started && !l->failed;
}

bool listeners_failed(const struct listeners *l)
{
	return l->failed;
}

void listeners_log(const struct listeners *l)
{
	for (size_t i = 0; i < l->path_count; i++)
		log_event(LOG_INFO, "listener.open", LS("unix", l->paths[i]));
	for (size_t i = 0; i < l->tcp_count; i++)
		log_event(LOG_INFO, "listener.open", LS("tcp", l->tcp[i].address), LI("port", l->tcp[i].port));
	if (l->telemetry_port)
		log_event(LOG_INFO, "listener.open", LS("telemetry", "http"), LI("port", l->telemetry_port));
}

void listeners_close(struct listeners *l)
{
	for (size_t i = 0; i < l->socket_count; i++)
		unix_socket_close(l->sockets[i]);
	l->socket_count = 0;
}

void listeners_free(struct listeners *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->path_count; i++)
		free(l->paths[i]);
	for (size_t i = 0; i < l->tcp_count; i++) {
		struct tcp *t = &l->tcp[i];
		for (size_t k = 0; k < t->client_ca_count; k++)
			free(t->client_ca[k]);
		free(t->client_ca);
		free(t->address);
		free(t->certificate);
	}
	for (size_t i = 0; i < l->given_count; i++) {
		free(l->given[i].name);
		free(l->given[i].path);
	}
	free(l);
}
