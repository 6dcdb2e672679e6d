/* daemon/config_secrets.c - `secrets`: each is a certificate of a profile, or a bundle of authorities' anchors. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config.h"
#include "daemon/config_parts.h"

static field_read read_bundle;

static const struct field_choice expiry_choices[] = {{"serve", EXPIRY_SERVE}, {"withdraw", EXPIRY_WITHDRAW}, {NULL, 0}};

static const struct field secret[] = {
	{.key = "profile",
		.type = FIELD_OTHER,
		.read = config_read_profile_name,
		FIELD_AT(struct secret_def, profile),
		.takes = "the name of a profile",
		.help = "a TLS certificate, made by this profile"},
	{.key = "dns",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_DNS]),
		.tag = SAN_DNS,
		.takes = "a list of DNS names",
		.otherwise = "the profile's",
		.help = "its DNS names; instead of the profile's, [] for none"},
	{.key = "uri",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_URI]),
		.tag = SAN_URI,
		.takes = "a list of URIs",
		.otherwise = "the profile's",
		.help = "its URIs, likewise"},
	{.key = "ip",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_IP]),
		.tag = SAN_IP,
		.takes = "a list of IP addresses",
		.otherwise = "the profile's",
		.help = "its IP addresses, likewise"},
	{.key = "email",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_EMAIL]),
		.tag = SAN_EMAIL,
		.takes = "a list of e-mail addresses",
		.otherwise = "the profile's",
		.help = "its e-mail addresses, likewise"},
	{.key = "on_expiry",
		.type = FIELD_CHOICE,
		FIELD_AT(struct secret_def, on_expiry),
		.choices = expiry_choices,
		.initial = "serve",
		.help = "when it has ended because no renewal came: `serve` it all the same, or `withdraw` it: new "
			"streams "
			"wait for the renewal, running proxies keep what they hold"},
	{.key = "bundle",
		.type = FIELD_OTHER,
		.read = read_bundle,
		.takes = "a list of authorities",
		.help = "instead of a certificate: a validation context, the anchors of these authorities"},
};
static const struct field_set secret_fields = {"secrets.NAME", secret, ARRAY_LEN(secret)};

const struct field_set *config_secret_fields(void)
{
	return &secret_fields;
}

void config_read_profile_name(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	const struct definitions *d = r->config->definitions;
	struct config_names names = config_names_new("profile", d->profiles, d->profile_count, sizeof(*d->profiles));
	char *name = config_reference_to(r, n, &names);
	config_names_done(&names);
	memcpy((unsigned char *)target + f->offset, &name, sizeof name);
}

static void read_bundle(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct secret_def *s = target;
	(void)f;
	config_read_authority_list(r, n, &s->authorities, &s->authority_count);
}

static const char *const san_keys[] = {[SAN_DNS] = "dns", [SAN_URI] = "uri", [SAN_IP] = "ip", [SAN_EMAIL] = "email"};

void config_finish_sans(struct config_reader *r, yaml_node_t *n, struct secret_def *s)
{
	size_t count = 0;
	for (int type = SAN_DNS; type <= SAN_EMAIL; type++) {
		s->replaces[type] = config_yaml_get(&r->yaml, n, san_keys[type], NULL) != NULL;
		count += definitions_sans(r->config->definitions, s, (enum san_type)type)->count;
	}
	if (!s->profile)
		return; /* the count means nothing without it, and its absence was said */
	if (count == 0)
		config_yaml_error(&r->yaml, n,
			"%s has no name for its certificate, nor has profile \"%s\"; give it dns, uri, ip "
			"or email",
			config_path(r), s->profile);
	else if (count > SAN_MAX)
		config_yaml_error(&r->yaml, n, "%s has %zu names for its certificate; at most %d are possible",
			config_path(r), count, SAN_MAX);
}

/* A bundle has no key of a certificate. */
static void check_bundle(struct config_reader *r, yaml_node_t *n)
{
	static const char *const keys[] = {"dns", "uri", "ip", "email", "on_expiry"};
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		yaml_node_t *key = NULL;
		if (config_yaml_get(&r->yaml, n, keys[i], &key))
			config_yaml_error(
				&r->yaml, key, "%s is a bundle, which has no %s; remove it", config_path(r), keys[i]);
	}
}

static void read_secret(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *n, void *arg)
{
	struct definitions *d = r->config->definitions;
	(void)key;
	(void)arg;
	d->secrets = mem_realloc(d->secrets, (d->secret_count + 1) * sizeof(*d->secrets));
	struct secret_def *s = &d->secrets[d->secret_count++];
	memset(s, 0, sizeof *s);
	s->name = mem_strdup(name);
	if (!fields_read(r, &secret_fields, n, s))
		return;
	bool has_profile = config_yaml_get(&r->yaml, n, "profile", NULL) != NULL;
	bool has_bundle = config_yaml_get(&r->yaml, n, "bundle", NULL) != NULL;
	s->kind = has_bundle ? SECRET_VALIDATION_CONTEXT : SECRET_TLS_CERTIFICATE;
	if (has_profile == has_bundle)
		config_yaml_error(&r->yaml, n, "%s has %s; a certificate has a profile, a trust bundle has a bundle",
			config_path(r), has_profile ? "both profile and bundle" : "neither profile nor bundle");
	else if (has_bundle)
		check_bundle(r, n);
	else
		config_finish_sans(r, n, s);
}

void config_read_secrets(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	(void)target;
	config_each_name(r, n, f->takes, read_secret, NULL);
}
