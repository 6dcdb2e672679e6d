#include "daemon/init.h"
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/cert_info.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/json_memory.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/definitions.h"
#include "daemon/config.h"
#include "daemon/config_errors.h"
#include "daemon/init_try.h"

#define TRY_MS (INT64_C(20) * MS_PER_S)
enum { ENVOY_UID = 101 }; /* in its own images */

static const char help[] = "usage: leafcast init builtin|vault|step|exec FILE [options]\n"
			   "       leafcast init --check FILE\n\n"
			   "Writes a commented config to start from (mode 0600; a file that exists is left alone), and "
			   "tries the authority:\n"
			   "is it reached, does it let us in, which anchors does it show? --check tries those of a "
			   "config that you edited.\n\n"
			   "options:\n"
			   "  --address URL        vault, step: the server; without it nothing is tried\n"
			   "  --ca-file FILE       vault: the roots of its own certificate (default: the system's)\n"
			   "  --root-sha256 HEX    step: the fingerprint of its root\n"
			   "  --provisioner NAME   step: a JWK provisioner (default: mesh)\n"
			   "  --key-file FILE      step: the provisioner's private key\n"
			   "  --role NAME          vault: the role that signs (default: mesh)\n"
			   "  --token-file FILE    vault: log in by a token in a file (default: AppRole)\n"
			   "  --command PATH       exec: the program; without it nothing is tried\n"
			   "  --check              try the authorities of FILE, write nothing\n"
			   "  --help               this text\n";

enum { ADDRESS, CA_FILE, ROLE, TOKEN_FILE, ROOT_SHA256, PROVISIONER, KEY_FILE, COMMAND, CHECK, HELP, OPTIONS };
struct given {
	const char *values[OPTIONS];
};

/* A YAML text in double quotes. */
static void add_quoted(struct buf *b, const char *text)
{
	buf_add_text(b, "\"");
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_add_text(b, "\\");
		buf_add(b, c, 1);
	}
	buf_add_text(b, "\"");
}

static void add_key(struct buf *b, const char *indent, const char *key, const char *value, const char *comment)
{
	buf_printf(b, "%s%s: ", indent, key);
	add_quoted(b, value);
	buf_printf(b, "%s%s\n", *comment ? "   # " : "", comment);
}

static void add_builtin(struct buf *b, const struct given *g)
{
	(void)g;
	buf_add_text(b, "  mesh:\n"
			"    type: builtin                # a root for 10 years and an issuing CA for one, made at "
			"first start\n"
			"    # certificate_file: /etc/leafcast/ca.pem   # or a CA of your own, with its chain;\n"
			"    # key_file: /etc/leafcast/ca.key           # both or none\n");
}

static const char *or_else(const char *value, const char *otherwise)
{
	return value ? value : otherwise;
}

static void add_vault(struct buf *b, const struct given *g)
{
	buf_add_text(b, "  mesh:\n    type: vault                  # HashiCorp Vault or OpenBao\n");
	add_key(b, "    ", "address", or_else(g->values[ADDRESS], "https://vault.example:8200"), "");
	if (g->values[CA_FILE])
		add_key(b, "    ", "ca_file", g->values[CA_FILE], "the roots of the server's own certificate");
	else
		buf_add_text(b, "    # ca_file: /etc/leafcast/vault-ca.pem   # else the system's roots\n");
	buf_add_text(b, "    mount: pki\n");
	add_key(b, "    ", "role", or_else(g->values[ROLE], "mesh"),
		"with require_cn=false, key_type=any and allowed_uri_sans of what the profile asks for");
	buf_add_text(b, "    auth:                        # one of token, approle, certificate, jwt\n");
	if (g->values[TOKEN_FILE]) {
		buf_add_text(b, "      token:\n");
		add_key(b, "        ", "file", g->values[TOKEN_FILE], "0600");
	} else {
		buf_add_text(b, "      approle:                   # files 0600, or names of systemd credentials\n"
				"        role_id_file: /etc/leafcast/role_id\n"
				"        secret_id_file: /etc/leafcast/secret_id\n");
	}
}

static void add_step(struct buf *b, const struct given *g)
{
	static const char no_root[] = "0000000000000000000000000000000000000000000000000000000000000000";
	buf_add_text(b, "  mesh:\n    type: step                   # smallstep's step-ca\n");
	add_key(b, "    ", "address", or_else(g->values[ADDRESS], "https://ca.example:9000"), "");
	add_key(b, "    ", "root_sha256", or_else(g->values[ROOT_SHA256], no_root),
		"step certificate fingerprint root_ca.crt; or root_file");
	add_key(b, "    ", "provisioner", or_else(g->values[PROVISIONER], "mesh"), "a JWK provisioner");
	add_key(b, "    ", "key_file", or_else(g->values[KEY_FILE], "/etc/leafcast/provisioner.jwk"),
		"0600; a plain JWK (step crypto jwe decrypt), or PEM");
	buf_add_text(b, "    # certificate_file: /etc/leafcast/machine.pem   # instead: an X5C provisioner, key_file "
			"is its key\n");
}

static void add_exec(struct buf *b, const struct given *g)
{
	buf_add_text(b, "  mesh:\n    type: exec                   # any CA, by a command: JSON in, JSON out\n"
			"    command:                     # no shell; an argument a line\n      - ");
	add_quoted(b, or_else(g->values[COMMAND], "/usr/local/lib/leafcast/corp-ca"));
	buf_add_text(b, "\n    timeout: 20s\n"
			"    trust_interval: 5m           # how often it is asked for the anchors\n"
			"    # root_file: /etc/leafcast/corp-root.pem   # else operation `trust` tells them\n"
			"    # environment: [CORP_TOKEN]  # beside PATH, from leafcast's own\n"
			"    # revoke: true               # it knows operation `revoke`\n");
}

static const struct kind {
	const char *name;
	void (*add)(struct buf *b, const struct given *g);
	int needs; /* the option without which there is nothing to try; OPTIONS: it is in our own hands */
} kinds[] = {{"builtin", add_builtin, OPTIONS}, {"vault", add_vault, ADDRESS}, {"step", add_step, ADDRESS},
	{"exec", add_exec, COMMAND}};

static void add_config(struct buf *b, const struct kind *k, const struct given *g)
{
	uid_t uid = geteuid() ? geteuid() : ENVOY_UID;
	buf_add_text(b, "# leafcast: what each key means is told by `leafcast check --reference`.\n"
			"listen:\n"
			"  - unix: {path: /run/leafcast/sds.sock, mode: \"0660\"}   # group: the one that Envoy is in\n"
			"  # - telemetry: {address: \"127.0.0.1:9902\"}               # /metrics /healthz /readyz\n"
			"state: {path: /var/lib/leafcast}\n"
			"authorities:\n");
	k->add(b, g);
	buf_printf(b,
		"profiles:\n"
		"  workload:\n"
		"    authority: mesh\n"
		"    lifetime: 1h\n"
		"    renew: {from: 50%%, to: 70%%}  # of the life that was really given\n"
		"    uri: [\"spiffe://example.org/uid/{uid}\"]\n"
		"secrets:\n"
		"  default: {profile: workload}   # a leaf for each caller\n"
		"  mesh-roots: {bundle: [mesh]}   # what verifies them\n"
		"policy:                          # default deny\n"
		"  - {who: {uid: %lu}, may: [default, mesh-roots]}   # the uid that Envoy runs as\n"
		"# hooks:                        # commands that are run when something happened\n"
		"#   page: {command: [/usr/local/lib/leafcast/page], events: [failed, expiring]}\n",
		(unsigned long)uid);
}

/* --- trying --- */

static bool try_one(const struct authority_def *a)
{
	struct anchors *shown = NULL;
	AUTO(mem_freep) char *name = text_escaped(a->name);
	AUTO(fault_freep) struct fault *f = init_try(a, TRY_MS, &shown);
	if (f) {
		AUTO(mem_freep) char *why = text_escaped(fault_text(f));
		(void)printf("authority %s: not usable yet: %s\n", name, why);
		return false;
	}
	(void)printf("authority %s: works; its anchors:\n", name);
	for (size_t i = 0; i < anchors_count(shown); i++)
		(void)printf("  %s  sha256 %s\n", anchors_info(shown, i)->subject, anchors_info(shown, i)->sha256);
	anchors_unref(shown);
	return true;
}

static struct fault *load(const char *path, struct config **ret)
{
	struct config_errors *errors = NULL;
	struct fault *f = config_load_file(path, ret, &errors);
	config_errors_print(errors, stderr);
	config_errors_free(errors);
	return f;
}

/* builtin needs nobody, and would only show a CA that nobody keeps. */
static struct fault *try_all(const char *path, bool *ret_all)
{
	struct config *c = NULL;
	TRY(load(path, &c));
	*ret_all = true;
	json_memory_wipe();
	log_set_level(LOG_WARN);
	for (size_t i = 0; i < c->definitions->authority_count; i++)
		if (c->definitions->authorities[i].type != AUTHORITY_BUILTIN)
			*ret_all = try_one(&c->definitions->authorities[i]) && *ret_all;
	config_free(c);
	return NULL;
}

/* --- the command --- */

static int refuse(struct fault *f)
{
	AUTO(mem_freep) char *why = text_escaped(fault_text(f));
	(void)fprintf(stderr, "leafcast init: %s\n", why);
	fault_free(f);
	return 1;
}

static int check(const char *path)
{
	bool all = false;
	struct fault *f = try_all(path, &all);
	return f ? refuse(f) : all ? 0 : 1;
}

static struct fault *write_config(const struct kind *k, const char *path, const struct given *g)
{
	struct buf b = BUF_INIT;
	struct config *c = NULL;
	struct config_errors *errors = NULL;
	add_config(&b, k, g);
	struct fault *f = config_load_text(path, b.data, b.len, &c, &errors); /* what the options said may be wrong */
	config_errors_free(errors);
	config_free(c);
	if (!f)
		f = file_create(path, 0600, b.data, b.len);
	buf_free(&b);
	return f;
}

static int init(const struct kind *k, const char *path, const struct given *g)
{
	bool all = false, tried = k->needs < OPTIONS && g->values[k->needs];
	struct fault *f = write_config(k, path, g);
	if (f)
		return refuse(f);
	(void)printf("%s written; start with: leafcast serve -c %s\n", path, path);
	if (tried)
		f = try_all(path, &all);
	if (f)
		return refuse(f);
	if (k->needs < OPTIONS && !all)
		(void)printf("edit it, then try it: leafcast init --check %s\n", path);
	return 0;
}

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

int init_main(int argc, char **argv)
{
	static const struct option longs[] = {{"address", required_argument, NULL, ADDRESS},
		{"ca-file", required_argument, NULL, CA_FILE}, {"role", required_argument, NULL, ROLE},
		{"token-file", required_argument, NULL, TOKEN_FILE},
		{"root-sha256", required_argument, NULL, ROOT_SHA256},
		{"provisioner", required_argument, NULL, PROVISIONER}, {"key-file", required_argument, NULL, KEY_FILE},
		{"command", required_argument, NULL, COMMAND}, {"check", no_argument, NULL, CHECK},
		{"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}};
	struct given g = {{NULL}};
	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
		if (o == 'h' || o == HELP || o == '?') {
			(void)fputs(help, o == '?' ? stderr : stdout);
			return o == '?' ? 2 : 0;
		}
		g.values[o] = optarg ? optarg : "";
	}
	if (g.values[CHECK] && argc - optind == 1)
		return check(argv[optind]);
	const struct kind *k = !g.values[CHECK] && argc - optind == 2 ? find_kind(argv[optind]) : NULL;
	if (k)
		return init(k, argv[optind + 1], &g);
	(void)fputs(help, stderr);
	return 2;
}
