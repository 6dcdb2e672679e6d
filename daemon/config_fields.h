/* daemon/config_fields.h - the config as tables: every key with its type, range, default and meaning, read by one
 * strict reader and printed as the reference. Not its duty: what the values mean together (config_definitions.c and
 * others). Thread: one at a time. */
#ifndef DAEMON_CONFIG_FIELDS_H
#define DAEMON_CONFIG_FIELDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/buf.h"
#include "daemon/config_yaml.h"
struct config;
struct config_reader;
struct field;
struct field_set;

enum field_type {
	FIELD_NUMBER,	  /* unsigned integer types of 4 or 8 bytes: min..max */
	FIELD_DURATION,	  /* int64_t ms: min..max */
	FIELD_PERCENT,	  /* int: min..max */
	FIELD_TEXT,	  /* char *: 1..max bytes */
	FIELD_PATH,	  /* char *: absolute, at most max bytes */
	FIELD_CREDENTIAL, /* char *: the same, or the name of a credential: paths_credential() */
	FIELD_MODE,	  /* mode_t */
	FIELD_CHOICE,	  /* an enum */
	FIELD_KEY_TYPE,	  /* enum key_type */
	FIELD_GROUP,	  /* a mapping of further fields in the same struct */
	FIELD_OTHER,	  /* read() reads it; takes says what it takes */
};

struct field_choice {
	const char *text;
	int value;
};

typedef void field_read(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target);

struct field {
	const char *key; /* NULL: for the reference alone, a group of it */
	enum field_type type;
	size_t offset, size; /* of the value in the target: FIELD_AT() */
	int64_t min, max;
	const struct field_choice *choices;	/* ends with a NULL text */
	const struct field_set *group;		/* FIELD_GROUP; FIELD_OTHER: of what it holds, for the reference */
	const struct field_set *(*items)(void); /* the same, where another file has them: field_group() */
	field_read *read;
	const char *takes;
	int tag; /* for read() */
	bool required;
	bool restart;	       /* a change needs a restart */
	const char *initial;   /* the default, as it would be written; it is read as if it were */
	const char *otherwise; /* for the reference: a default that is found out */
	const char *help;
};
#define FIELD_AT(T, member) .offset = offsetof(T, member), .size = sizeof(((T *)0)->member)

struct field_set {
	const char *path; /* for the reference: "profiles.NAME" */
	const struct field *fields;
	size_t count;
};

/** The fields of a FIELD_GROUP, or of one of what a FIELD_OTHER holds; NULL: none. */
static inline const struct field_set *field_group(const struct field *f)
{
	return f->items ? f->items() : f->group;
}

struct config_reader {
	struct config_yaml yaml;
	struct config *config;
	struct buf path; /* of the node that is being read: "profiles.web.key" */
};

/** Read a mapping into target: each key of the set, its default where it is missing; unknown and missing keys and wrong
 *  values are errors. False: n is no mapping (an error too). */
bool fields_read(struct config_reader *r, const struct field_set *set, yaml_node_t *n, void *target);
/** Set every default of the set. */
void fields_init(const struct field_set *set, void *target);
/** "a whole number from 1 to 64" appended. */
void field_takes(const struct field *f, struct buf *ret);

/** Go down the path for messages; gives what config_leave() needs to come back. */
size_t config_enter(struct config_reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void config_leave(struct config_reader *r, size_t mark);
const char *config_path(const struct config_reader *r);
/** "PATH is X; it takes TAKES." */
void config_refuse(struct config_reader *r, const yaml_node_t *n, const char *takes);

/** Call fn for each item of a list; anything else is an error. False: it was no list. */
bool config_each_item(struct config_reader *r, yaml_node_t *n, const char *takes,
	void (*fn)(struct config_reader *r, yaml_node_t *item, size_t index, void *arg), void *arg);
/** Call fn for each key that is a name (text_is_name()), with its value. */
void config_each_name(struct config_reader *r, yaml_node_t *n, const char *takes,
	void (*fn)(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *value, void *arg),
	void *arg);

/** Names that may be referred to. */
struct config_names {
	const char *what; /* "authority" */
	const char **list;
	size_t count;
};
/** The names of definitions that lie `stride` bytes apart and begin with their name. */
struct config_names config_names_new(const char *what, const void *first, size_t count, size_t stride);
void config_names_done(struct config_names *n);
/** The text of a scalar that is one of the names, as a copy of the caller's; NULL: an error was added. */
char *config_reference_to(struct config_reader *r, yaml_node_t *n, const struct config_names *names);
/** "; did you mean "x"?" and what there is; appended. */
void config_suggest(const char *word, const char *const *valid, size_t count, struct buf *ret);
#endif
