/* daemon/config_authority_step.c - the keys of an authority of type `step` (smallstep's step-ca). */
#include <string.h>
#include <strings.h>
#include "base/fault.h"
#include "base/io/http.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config_authority.h"

enum { FILE_MAX = 4095 };

static const struct field step[] = {
	{.key = "type",
		.type = FIELD_OTHER,
		.read = config_read_authority_type,
		.takes = "`step`",
		.required = true,
		.help = "smallstep's step-ca: tokens of a provisioner, renewals by rekey"},
	{.key = "address",
		.type = FIELD_TEXT,
		FIELD_AT(struct authority_def, step.address),
		.max = 1024,
		.required = true,
		.help = "the server, such as \"https://ca.example:9000\"; the host is one of its dnsNames"},
	{.key = "root_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct authority_def, step.root_file),
		.max = FILE_MAX,
		.help = "its roots (PEM), or root_sha256"},
	{.key = "root_sha256",
		.type = FIELD_TEXT,
		FIELD_AT(struct authority_def, step.root_sha256),
		.max = 64,
		.help = "the fingerprint of one of its roots, as `step certificate fingerprint` prints it"},
	{.key = "provisioner",
		.type = FIELD_TEXT,
		FIELD_AT(struct authority_def, step.provisioner),
		.max = 256,
		.required = true,
		.help = "the name of a JWK provisioner; with certificate_file, of an X5C provisioner"},
	{.key = "key_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct authority_def, step.key_file),
		.max = FILE_MAX,
		.required = true,
		.help = "the private key that signs tokens: the provisioner's (a JWK or PEM), or that of "
			"certificate_file (PEM)"},
	{.key = "key_password_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct authority_def, step.key_password_file),
		.max = FILE_MAX,
		.help = "a file with the password of an encrypted key_file (JWK or PEM)"},
	{.key = "key_id",
		.type = FIELD_TEXT,
		FIELD_AT(struct authority_def, step.key_id),
		.max = 256,
		.otherwise = "the JWK's kid, else the key's thumbprint",
		.help = "the kid of the JWK provisioner's key"},
	{.key = "certificate_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct authority_def, step.certificate_file),
		.max = FILE_MAX,
		.help = "X5C: the certificate (PEM, with its chain) that the provisioner's roots accept"},
	{.key = "poll",
		.type = FIELD_DURATION,
		FIELD_AT(struct authority_def, step.poll_ms),
		.min = STEP_POLL_MIN_MS,
		.max = STEP_POLL_MAX_MS,
		.initial = "5m",
		.help = "how often its roots, and these files, are looked at"},
	CONFIG_AUTHORITY_COMMON,
};
const struct field_set CONFIG_STEP_FIELDS = {"authorities.NAME", step, ARRAY_LEN(step)};

static void refuse(struct config_reader *r, yaml_node_t *n, const char *key, const char *why)
{
	yaml_node_t *value = config_yaml_get(&r->yaml, n, key, NULL);
	config_yaml_error(&r->yaml, value ? value : n, "%s.%s: %s", config_path(r), key, why);
}

void config_check_step(struct config_reader *r, yaml_node_t *n, const struct authority_def *a)
{
	const struct step_options *o = &a->step;
	AUTO(fault_freep) struct fault *f = o->address ? http_check_url(o->address, NULL) : NULL;
	if (f)
		refuse(r, n, "address", fault_text(f));
	else if (o->address && strncasecmp(o->address, "https:", 6) != 0)
		refuse(r, n, "address", "step-ca speaks https alone");
	if (o->root_sha256 && (strlen(o->root_sha256) != 64 || strspn(o->root_sha256, "0123456789abcdef") != 64))
		refuse(r, n, "root_sha256", "a fingerprint is 64 lower-case hex digits");
	if (!o->root_file && !o->root_sha256)
		config_yaml_error(&r->yaml, n,
			"%s has neither root_file nor root_sha256; one of them tells the right server from another",
			config_path(r));
	if (o->key_id && o->certificate_file)
		refuse(r, n, "key_id", "an X5C provisioner has none; remove it, or certificate_file");
}
