/* control/definitions.h - everything that the config defines about authorities, profiles, secrets and policy, as plain
 * values: daemon/config fills it and checks that every reference holds; control takes it whole. */
#ifndef CONTROL_DEFINITIONS_H
#define CONTROL_DEFINITIONS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/credential.h"
#include "ca-client/builtin.h"
#include "ca-client/exec.h"
#include "ca-client/step.h"
#include "ca-client/vault.h"
#include "cache/version.h"
struct template;

enum authority_type { AUTHORITY_BUILTIN = 1, AUTHORITY_VAULT, AUTHORITY_EXEC, AUTHORITY_STEP };

struct authority_def {
	char *name;
	enum authority_type type;
	unsigned max_in_flight; /* requests at once */
	unsigned rate;		/* requests a second; 0: no limit */
	union {
		struct builtin_options builtin; /* AUTHORITY_BUILTIN */
		struct vault_options vault;	/* AUTHORITY_VAULT */
		struct exec_options exec;	/* AUTHORITY_EXEC */
		struct step_options step;	/* AUTHORITY_STEP */
	};
};

struct template_list {
	struct template **items;
	size_t count;
};

enum { PROFILE_AUTHORITIES_MAX = 64 };
struct profile_def {
	char *name;
	char **authorities; /* in order of preference; at most PROFILE_AUTHORITIES_MAX */
	size_t authority_count;
	enum key_type key;
	int64_t lifetime_ms;
	int renew_from_percent;			  /* of the life: 10..80 */
	int renew_to_percent;			  /* > from, <= 80 */
	int64_t renew_before_from_ms;		  /* before the end; 0: the window is in percent */
	int64_t renew_before_to_ms;		  /* < from */
	struct template_list sans[SAN_EMAIL + 1]; /* by san_type; a secret may replace each */
};

/** What new streams get when a certificate has ended and no renewal came. */
enum on_expiry { EXPIRY_SERVE, EXPIRY_WITHDRAW };

struct secret_def {
	char *name;
	enum secret_kind kind;
	/* SECRET_TLS_CERTIFICATE */
	char *profile;
	bool replaces[SAN_EMAIL + 1]; /* this secret's own list stands instead of the profile's */
	struct template_list sans[SAN_EMAIL + 1];
	enum on_expiry on_expiry;
	/* SECRET_VALIDATION_CONTEXT */
	char **authorities;
	size_t authority_count;
	/** Not in the config: a certificate of our own (a listener's); served to nobody. */
	bool internal;
};

enum who_key { WHO_UID = 1 << 0, WHO_GID = 1 << 1, WHO_URI = 1 << 2, WHO_DNS = 1 << 3, WHO_CA = 1 << 4 };
struct rule_def {
	unsigned who; /* which keys are given; they are AND; 0 matches nobody */
	uid_t uid;
	gid_t gid;
	char *uri, *dns, *ca; /* uri and dns are patterns: "*" does not cross "/" (uri) or "." (dns), "**" does */
	char **may, **deny;   /* patterns over names */
	size_t may_count, deny_count;
	int line; /* in the config file; 0: built in */
};

/** What a command is run for. */
enum hook_event {
	HOOK_ROTATED = 1 << 0,	/* a new version is served */
	HOOK_FAILED = 1 << 1,	/* an issuance failed */
	HOOK_EXPIRING = 1 << 2, /* little is left of the life of what is served */
};
enum { HOOKS_MAX = 16, HOOK_ARGUMENTS_MAX = 64, HOOK_ENVIRONMENT_MAX = 32, HOOK_PATTERNS_MAX = 64 };
#define HOOK_TIMEOUT_MIN_MS INT64_C(100)
#define HOOK_TIMEOUT_MAX_MS (INT64_C(10) * 60 * 1000)
struct hook_def {
	char *name;
	char **command; /* the first one an absolute path */
	size_t command_count;
	char **environment; /* names of ours that it gets too, where they are set; PATH it always has */
	size_t environment_count;
	unsigned events; /* enum hook_event */
	char **secrets;	 /* patterns over names; none: all */
	size_t secret_count;
	int64_t timeout_ms; /* of one run */
	int below_percent;  /* HOOK_EXPIRING: of the life; 0: below_ms */
	int64_t below_ms;
};

struct definitions {
	struct authority_def *authorities;
	size_t authority_count;
	struct profile_def *profiles;
	size_t profile_count;
	struct secret_def *secrets;
	size_t secret_count;
	struct rule_def *rules;
	size_t rule_count;
	struct hook_def *hooks; /* at most HOOKS_MAX */
	size_t hook_count;
	char *audit_file;      /* a copy of the audit trail; or NULL */
	int64_t trust_soak_ms; /* how long absent verifiers are waited for; 0: one leaf life */
};

const struct authority_def *definitions_authority(const struct definitions *d, const char *name); /* NULL: none */
const struct profile_def *definitions_profile(const struct definitions *d, const char *name);
const struct secret_def *definitions_secret(const struct definitions *d, const char *name);
/** The SAN templates that hold for a secret: its own list where it replaces, else its profile's. */
const struct template_list *definitions_sans(
	const struct definitions *d, const struct secret_def *s, enum san_type type);
bool profile_uses(const struct profile_def *p, const char *authority);
/** Is it written in the bundle itself? */
bool definitions_bundle_names(const struct secret_def *bundle, const char *authority);
/** Does this bundle hold the authority's anchors? It does when it names it, or another one of a profile that uses it:
 * verifiers hold the anchors of all before a leaf from the next one comes. */
bool definitions_bundle_has(const struct definitions *d, const struct secret_def *bundle, const char *authority);
/** Is it there for when another one fails, and for nothing else? */
bool definitions_only_stands_in(const struct definitions *d, const char *authority);
enum { DEFINITION_VARIABLES_MAX = 16 };
/** The variables that a secret's templates use, sorted, each once: the attributes of its entries, in this order. 0: it
 * is the same for all. Names are borrowed. */
size_t definitions_variables(
	const struct definitions *d, const struct secret_def *s, const char *ret[DEFINITION_VARIABLES_MAX]);
void definitions_free(struct definitions *d); /* with everything in it; NULL is fine */
void definitions_freep(struct definitions **d);

/** What one definition holds, its own struct left alone: for whoever builds them. */
void authority_def_done(struct authority_def *a);
void profile_def_done(struct profile_def *p);
void secret_def_done(struct secret_def *s);
void rule_def_done(struct rule_def *r);
void hook_def_done(struct hook_def *h);
void template_list_free(struct template_list *l); /* leaves it empty */
#endif
