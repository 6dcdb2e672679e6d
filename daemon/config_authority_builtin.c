/* daemon/config_authority_builtin.c - the keys of an authority of type `builtin`. */
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config_authority.h"

static const struct field builtin[] = {
	{.key = "type",
		.type = FIELD_OTHER,
		.read = config_read_authority_type,
		.takes = "`builtin`",
		.required = true,
		.help = "the kind of authority"},
	{.key = "key",
		.type = FIELD_KEY_TYPE,
		FIELD_AT(struct authority_def, builtin.ca_key),
		.initial = "ecdsa-p256",
		.help = "the type of the keys of root and issuing CA, where leafcast makes them"},
	{.key = "common_name",
		.type = FIELD_TEXT,
		FIELD_AT(struct authority_def, builtin.common_name),
		.max = 64,
		.otherwise = "leafcast NAME",
		.help = "the common name of the root that leafcast makes"},
	{.key = "certificate_file",
		.type = FIELD_PATH,
		FIELD_AT(struct authority_def, builtin.certificate_file),
		.max = 4095,
		.help = "your own CA certificate (PEM, with its chain) instead of one that leafcast makes; with "
			"key_file"},
	{.key = "key_file",
		.type = FIELD_PATH,
		FIELD_AT(struct authority_def, builtin.key_file),
		.max = 4095,
		.help = "the private key of certificate_file (PEM, may be encrypted)"},
	{.key = "key_password_file",
		.type = FIELD_PATH,
		FIELD_AT(struct authority_def, builtin.key_password_file),
		.max = 4095,
		.help = "a file with the password of key_file"},
	CONFIG_AUTHORITY_COMMON,
};
const struct field_set CONFIG_BUILTIN_FIELDS = {"authorities.NAME", builtin, ARRAY_LEN(builtin)};

void config_check_builtin(struct config_reader *r, yaml_node_t *n, const struct authority_def *a)
{
	const struct builtin_options *o = &a->builtin;
	yaml_node_t *key = n;
	if (!o->certificate_file != !o->key_file)
		config_yaml_error(&r->yaml, n, "%s has %s without %s; give both, or none for a CA that leafcast makes",
			config_path(r), o->key_file ? "key_file" : "certificate_file",
			o->key_file ? "certificate_file" : "key_file");
	if (o->key_password_file && !o->key_file) {
		(void)config_yaml_get(&r->yaml, n, "key_password_file", &key);
		config_yaml_error(&r->yaml, key,
			"%s has a key_password_file without a key_file; give the key_file that it opens",
			config_path(r));
	}
	if (o->certificate_file && config_yaml_get(&r->yaml, n, "common_name", &key))
		config_yaml_error(&r->yaml, key,
			"%s has a common_name and a certificate_file, which has its own; remove one", config_path(r));
}
