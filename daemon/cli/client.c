/* daemon/cli/client.c - HTTP over the admin socket, by libcurl. The socket is connected here, so that the peer whose
 * uid was checked is the one who gets the request. */
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/io/json_memory.h"
#include "base/io/paths.h"
#include "base/mem.h"
#include "daemon/cli/internal.h"

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
enum { TIMEOUT_S = 120 };

static struct fault *find_socket(const struct cli_input *in, char **ret)
{
	const char *given = in->admin ? in->admin : getenv("LEAFCAST_ADMIN");
	if (!given || !*given)
		return paths_runtime_file("admin.sock", ret);
	*ret = mem_strdup(given);
	return NULL;
}

static struct fault *connect_to(const char *path, bool secrets, int *ret_fd)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof a.sun_path)
		return fault_new(FAULT_INVALID, "%s is too long for a socket's path (%zu bytes at most)", path,
			sizeof a.sun_path - 1);
	memcpy(a.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_errno(errno, "socket");
	struct ucred peer;
	socklen_t len = sizeof peer;
	struct fault *f = NULL;
	if (connect(fd, (const struct sockaddr *)&a, sizeof a) < 0)
		f = fault_errno(errno, "no leafcast answers at %s (is it running? another place: --admin PATH)", path);
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		f = fault_errno(errno, "cannot tell who serves %s", path);
	else if (secrets && peer.uid != 0 && peer.uid != geteuid())
		f = fault_new(FAULT_DENIED, "%s is served by uid %u, neither root nor you: no secret goes there", path,
			(unsigned)peer.uid);
	if (f)
		(void)close(fd);
	else
		*ret_fd = fd;
	return f;
}

static curl_socket_t give_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	int *fd = arg;
	curl_socket_t given = *fd;
	(void)purpose;
	(void)address;
	*fd = -1; /* curl closes it */
	return given >= 0 ? given : CURL_SOCKET_BAD;
}

static int is_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	(void)arg;
	(void)fd;
	(void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct buf *b = arg;
	if (b->len + size * count > ANSWER_MAX)
		return 0;
	buf_add(b, data, size * count);
	return size * count;
}

static struct fault *perform(
	CURL *curl, int *fd, const char *path, const char *body, struct buf *answer, long *ret_status)
{
	AUTO(mem_freep) char *url = mem_printf("http://127.0.0.1%s", path); /* no look-up: the socket is connected */
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, give_socket);
	(void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, fd);
	(void)curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, is_connected);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (body) {
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	}
	CURLcode rc = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	if (rc != CURLE_OK)
		return fault_new(rc == CURLE_OPERATION_TIMEDOUT ? FAULT_TIMEOUT : FAULT_UNAVAILABLE,
			"the server did not answer: %s", curl_easy_strerror(rc));
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	return NULL;
}

static enum fault_code code_named(const char *name)
{
	for (enum fault_code c = FAULT_INVALID; c <= FAULT_INTERNAL; c++)
		if (strcmp(fault_code_name(c), name) == 0)
			return c;
	return FAULT_INTERNAL;
}

static struct fault *read_answer(const struct buf *answer, long status, json_t **ret)
{
	json_t *o = json_loadb(buf_text(answer), answer->len, 0, NULL);
	const json_t *error = json_object_get(o, "error");
	struct fault *f = NULL;
	if (!json_is_object(o))
		f = fault_new(FAULT_CORRUPT, "the server's answer is no JSON object (HTTP status %ld)", status);
	else if (error || status / 100 != 2)
		f = fault_new(code_named(text_or_dash(error, "code")), "%s", text_or_dash(error, "message"));
	if (f)
		json_decref(o);
	else
		*ret = o;
	return f;
}

struct fault *client_call(const struct cli_input *in, const char *path, const json_t *body, bool secrets, json_t **ret)
{
	AUTO(mem_freep) char *socket_path = NULL;
	int fd = -1;
	TRY(find_socket(in, &socket_path));
	TRY(connect_to(socket_path, secrets, &fd));
	struct buf answer = BUF_SECRET_INIT;
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	long status = 0;
	CURL *curl = curl_easy_init();
	struct fault *f = curl ? perform(curl, &fd, path, text, &answer, &status)
			       : fault_new(FAULT_INTERNAL, "libcurl cannot start");
	curl_easy_cleanup(curl);
	json_memory_free_text(text);
	if (fd >= 0)
		(void)close(fd);
	if (!f)
		f = read_answer(&answer, status, ret);
	buf_free(&answer);
	return f;
}
