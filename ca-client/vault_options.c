#include <string.h>
#include "base/fault.h"
#include "base/io/http.h"
#include "base/mem.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"

const char *vault_auth_name(enum vault_auth auth)
{
	static const char *const names[] = {[VAULT_AUTH_TOKEN] = "token",
		[VAULT_AUTH_APPROLE] = "approle",
		[VAULT_AUTH_CERTIFICATE] = "certificate",
		[VAULT_AUTH_JWT] = "jwt"};
	return names[auth];
}

static bool login_equal(const struct vault_login_options *a, const struct vault_login_options *b)
{
	return a->type == b->type && text_same(a->mount, b->mount) && text_same(a->role, b->role) &&
	       text_same(a->token_file, b->token_file) && text_same(a->role_id_file, b->role_id_file) &&
	       text_same(a->secret_id_file, b->secret_id_file) &&
	       text_same(a->wrapping_token_file, b->wrapping_token_file) &&
	       text_same(a->certificate_file, b->certificate_file) && text_same(a->key_file, b->key_file);
}

bool vault_options_equal(const struct vault_options *a, const struct vault_options *b)
{
	return text_same(a->address, b->address) && text_same(a->unix_socket, b->unix_socket) &&
	       text_same(a->namespace, b->namespace) && text_same(a->mount, b->mount) && text_same(a->role, b->role) &&
	       text_same(a->ca_file, b->ca_file) && text_same(a->root_file, b->root_file) && a->poll_ms == b->poll_ms &&
	       login_equal(&a->login, &b->login);
}

void vault_login_options_done(struct vault_login_options *o)
{
	free(o->mount);
	free(o->role);
	free(o->token_file);
	free(o->role_id_file);
	free(o->secret_id_file);
	free(o->wrapping_token_file);
	free(o->certificate_file);
	free(o->key_file);
	*o = (struct vault_login_options){.type = o->type};
}

void vault_options_done(struct vault_options *o)
{
	free(o->address);
	free(o->unix_socket);
	free(o->namespace);
	free(o->mount);
	free(o->role);
	free(o->ca_file);
	free(o->root_file);
	vault_login_options_done(&o->login);
}

void vault_options_copy(const struct vault_options *from, struct vault_options *ret)
{
	const struct vault_login_options *l = &from->login;
	*ret = (struct vault_options){.address = mem_strdup(from->address),
		.unix_socket = mem_strdup(from->unix_socket),
		.namespace = mem_strdup(from->namespace),
		.mount = mem_strdup(from->mount),
		.role = mem_strdup(from->role),
		.ca_file = mem_strdup(from->ca_file),
		.root_file = mem_strdup(from->root_file),
		.poll_ms = from->poll_ms,
		.login = {.type = l->type,
			.mount = mem_strdup(l->mount),
			.role = mem_strdup(l->role),
			.token_file = mem_strdup(l->token_file),
			.role_id_file = mem_strdup(l->role_id_file),
			.secret_id_file = mem_strdup(l->secret_id_file),
			.wrapping_token_file = mem_strdup(l->wrapping_token_file),
			.certificate_file = mem_strdup(l->certificate_file),
			.key_file = mem_strdup(l->key_file)}};
}

bool vault_is_path(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	for (const char *at = text;; at++) {
		size_t len = strspn(at, allowed);
		if (len == 0 || (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += len;
		if (!*at)
			return true;
		if (*at != '/')
			return false;
	}
}

static struct fault *check_path(const char *what, const char *text)
{
	if (!text || vault_is_path(text))
		return NULL;
	AUTO(mem_freep) char *shown = text_escaped(text);
	return fault_new(
		FAULT_INVALID, "the %s \"%s\" is no path of letters, digits, _ - . between slashes", what, shown);
}

static bool login_is_whole(const struct vault_login_options *l)
{
	switch (l->type) {
	case VAULT_AUTH_TOKEN:
		return l->token_file;
	case VAULT_AUTH_APPROLE:
		return l->role_id_file && !l->secret_id_file != !l->wrapping_token_file && l->mount;
	case VAULT_AUTH_CERTIFICATE:
		return l->certificate_file && l->key_file && l->mount;
	case VAULT_AUTH_JWT:
		return l->token_file && l->mount;
	}
	return false;
}

struct fault *vault_options_check(const struct vault_options *o)
{
	if (!o->address || !o->mount || !o->role)
		return fault_new(FAULT_INVALID, "address, mount and role are needed");
	TRY(http_check_url(o->address, o->unix_socket));
	TRY(check_path("mount", o->mount));
	TRY(check_path("role", o->role));
	if (strchr(o->role, '/'))
		return fault_new(
			FAULT_INVALID, "the role \"%s\" has a slash; the path of the engine is its mount", o->role);
	TRY(check_path("namespace", o->namespace));
	TRY(check_path("auth mount", o->login.mount));
	TRY(check_path("auth role", o->login.type == VAULT_AUTH_CERTIFICATE ? o->login.role : NULL));
	if (o->poll_ms < VAULT_POLL_MIN_MS || o->poll_ms > VAULT_POLL_MAX_MS)
		return fault_new(FAULT_INVALID, "poll is from 1 s to 1 d");
	if (!login_is_whole(&o->login))
		return fault_new(FAULT_INVALID, "auth lacks a file or mount");
	if (o->login.type == VAULT_AUTH_CERTIFICATE && strncmp(o->address, "https:", 6) != 0)
		return fault_new(
			FAULT_INVALID, "a certificate login needs an https address: it is shown in the handshake");
	return NULL;
}
