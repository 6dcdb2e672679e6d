/* daemon/cli/client.c - HTTP over the admin socket, by libcurl. The socket is connected here, so that the peer whose
 * uid was checked is the one who gets the request. */
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/io/json_memory.h"
#include "base/io/paths.h"
#include "base/mem.h"
#include "daemon/cli/internal.h"

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
enum { TIMEOUT_S = 120, DOWNLOAD_TIMEOUT_S = 3600 };

static struct fault *find_socket(const struct cli_input *in, char **ret)
{
	const char *given = in->admin ? in->admin : getenv("LEAFCAST_ADMIN");
	if (!given || !*given)
		return paths_runtime_file("admin.sock", ret);
	*ret = mem_strdup(given);
	return NULL;
}

/* One call: whom it may talk to, and what was found. */
struct call {
	const char *path;
	bool secrets;
	int fd; /* curl's socket, to be looked at once it is connected */
	struct fault *refused;
	struct buf answer;
	int into; /* a download's file; -1: none */
	CURL *curl;
	uint64_t written;
};

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct call *c = arg;
	(void)purpose;
	c->fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	return c->fd;
}

/* Connected, nothing sent yet: secrets go to a server of root or of our own uid, to nobody else. */
static int check_peer(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct call *c = arg;
	struct ucred peer;
	socklen_t len = sizeof peer;
	(void)to;
	(void)from;
	(void)to_port;
	(void)from_port;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		c->refused = fault_errno(errno, "cannot tell who serves %s", c->path);
	else if (c->secrets && peer.uid != 0 && peer.uid != geteuid())
		c->refused =
			fault_new(FAULT_DENIED, "%s is served by uid %u, neither root nor you: no secret goes there",
				c->path, (unsigned)peer.uid);
	return c->refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* All of it, or 0. */
static size_t write_down(struct call *c, const char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(c->into, data + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			c->refused = fault_errno(n < 0 ? errno : EIO, "cannot write what the server sends");
			return 0;
		}
		done += (size_t)n;
	}
	c->written += len;
	return len;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct call *c = arg;
	struct buf *b = &c->answer;
	long status = 0;
	if (c->into >= 0 && curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200)
		return write_down(c, data, size * count);
	if (b->len + size * count > ANSWER_MAX)
		return 0;
	buf_add(b, data, size * count);
	return size * count;
}

static struct fault *describe(const struct call *c, CURLcode rc)
{
	if (rc == CURLE_COULDNT_CONNECT)
		return fault_new(FAULT_UNAVAILABLE,
			"no leafcast answers at %s (is it running, and may you use it? another place: --admin PATH)",
			c->path);
	return fault_new(rc == CURLE_OPERATION_TIMEDOUT ? FAULT_TIMEOUT : FAULT_UNAVAILABLE,
		"the server did not answer: %s", curl_easy_strerror(rc));
}

static struct fault *perform(CURL *curl, struct call *c, const char *path, const char *body, long *ret_status)
{
	AUTO(mem_freep) char *url = mem_printf("http://localhost%s", path);
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->path);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)(c->into >= 0 ? DOWNLOAD_TIMEOUT_S : TIMEOUT_S));
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	(void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, check_peer);
	(void)curl_easy_setopt(curl, CURLOPT_PREREQDATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
	if (body) {
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	}
	CURLcode rc = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	if (c->refused)
		return TAKE(c->refused);
	if (rc != CURLE_OK)
		return describe(c, rc);
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
	TRY(find_socket(in, &socket_path));
	struct call c = {.path = socket_path, .secrets = secrets, .fd = -1, .answer = BUF_SECRET_INIT, .into = -1};
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	long status = 0;
	CURL *curl = curl_easy_init();
	struct fault *f =
		curl ? perform(curl, &c, path, text, &status) : fault_new(FAULT_INTERNAL, "libcurl cannot start");
	curl_easy_cleanup(curl);
	json_memory_free_text(text);
	if (!f)
		f = read_answer(&c.answer, status, ret);
	buf_free(&c.answer);
	return f;
}

struct fault *client_download(
	const struct cli_input *in, const char *path, const json_t *body, int fd, uint64_t *ret_bytes)
{
	AUTO(mem_freep) char *socket_path = NULL;
	json_t *o = NULL;
	long status = 0;
	TRY(find_socket(in, &socket_path));
	CURL *curl = curl_easy_init();
	if (!curl)
		return fault_new(FAULT_INTERNAL, "libcurl cannot start");
	struct call c = {.path = socket_path, .fd = -1, .answer = BUF_SECRET_INIT, .into = fd, .curl = curl};
	char *text = json_dumps(body, JSON_COMPACT);
	struct fault *f = perform(curl, &c, path, text, &status);
	curl_easy_cleanup(curl);
	json_memory_free_text(text);
	if (!f && status != 200) {
		f = read_answer(&c.answer, status, &o);
		json_decref(o);
	}
	buf_free(&c.answer);
	if (!f)
		*ret_bytes = c.written;
	return f;
}

void client_say_unstored(const json_t *answer)
{
	long long n = (long long)json_integer_value(json_object_get(answer, "memory_only"));
	if (n)
		(void)printf("WARNING: the state cannot be written: %lld versions, this one perhaps among them, are "
			     "served from "
			     "memory and lost if leafcast ends now; they are stored as soon as it can be (leafcast "
			     "status)\n",
			n);
}
