/* base/io/http_url.c - which URLs of authorities are acceptable. Pure. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>
#include "base/fault.h"
#include "base/io/http.h"
#include "base/mem.h"
#include "base/text.h"

static char *part(CURLU *u, CURLUPart which)
{
	char *text = NULL;
	return curl_url_get(u, which, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool has(CURLU *u, CURLUPart which)
{
	char *text = part(u, which);
	curl_free(text);
	return text != NULL;
}

/* The name is looked up later; that it leads to loopback is checked then, at each connection. */
static bool may_be_loopback(const char *host)
{
	unsigned char address[4];
	if (inet_pton(AF_INET, host, address) == 1)
		return address[0] == 127;
	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

static struct fault *check_parts(CURLU *u, const char *shown, const char *unix_socket)
{
	if (has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD))
		return fault_new(FAULT_INVALID, "the URL holds a user; credentials are read from files");
	if (has(u, CURLUPART_QUERY) || has(u, CURLUPART_FRAGMENT))
		return fault_new(FAULT_INVALID, "%s has a query or fragment; give https://HOST[:PORT][/PATH]", shown);
	char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
	struct fault *f = NULL;
	if (!scheme || !host || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		f = fault_new(FAULT_INVALID, "%s is no https:// URL with a host", shown);
	else if (strcmp(scheme, "http") == 0 && !unix_socket && !may_be_loopback(host))
		f = fault_new(FAULT_INVALID,
			"%s is plain http to another machine, where anybody on the way could answer; use https, or an "
			"agent's loopback address or unix socket",
			shown);
	curl_free(scheme);
	curl_free(host);
	return f;
}

struct fault *http_check_url(const char *url, const char *unix_socket)
{
	AUTO(mem_freep) char *shown = text_escaped(url);
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return fault_new(FAULT_INVALID, "%s has a space or control character", shown);
	CURLU *u = curl_url();
	invariant(u);
	CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, 0);
	struct fault *f = rc == CURLUE_OK ? check_parts(u, shown, unix_socket)
					  : fault_new(FAULT_INVALID, "%s is no URL: %s", shown, curl_url_strerror(rc));
	curl_url_cleanup(u);
	return f;
}
