#include "daemon/process.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/io/rpc.h"
#include "base/io/rpc_log.h"
#include "base/log.h"
#include "base/mem.h"

/* Names, and beginnings of names (with "*"). Proxies in both cases, as curl and gRPC read them. */
static const char *const forbidden[] = {"GRPC_*", "SSLKEYLOGFILE", "OPENSSL_*", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"CURL_*", "http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
	"ALL_PROXY", "NO_PROXY", "MALLOC_*"};

static int is_forbidden(const char *variable)
{
	size_t len = strcspn(variable, "=");
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		size_t n = strlen(forbidden[i]);
		int prefix = forbidden[i][n - 1] == '*';
		if (prefix ? strncmp(variable, forbidden[i], n - 1) == 0
			   : n == len && strncmp(variable, forbidden[i], n) == 0)
			return 1;
	}
	return 0;
}

static void scrub_environment(void)
{
	for (size_t i = 0; environ && environ[i];) {
		if (!is_forbidden(environ[i])) {
			i++;
			continue;
		}
		AUTO(mem_freep) char *name = mem_strndup(environ[i], strcspn(environ[i], "="));
		(void)unsetenv(name); /* the rest moves up: look at this place again */
	}
}

void process_harden(void)
{
	scrub_environment();
	rpc_set_environment();
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", O_RDWR);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	struct rlimit core = {0, 0}, files;
	(void)setrlimit(RLIMIT_CORE, &core);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

void process_capture_grpc_log(void)
{
	rpc_log_capture();
}
