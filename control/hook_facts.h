/* control/hook_facts.h - what a hook's command is told of one event: values of its own, and the two ways in which they
 * are said. Never key material: there is none in here. Pure. Thread: any. */
#ifndef CONTROL_HOOK_FACTS_H
#define CONTROL_HOOK_FACTS_H
#include <stdint.h>
#include "control/definitions.h"
struct buf;
struct child_env;
struct version;

/** Longest error that is told, in bytes; the rest is cut. */
enum { HOOK_ERROR_MAX = 1024 };

struct hook_facts {
	enum hook_event event;
	char *secret, *entry;	    /* "default", "default{uid=1000}" */
	char *kind;		    /* "tls_certificate", "validation_context" */
	char *version;		    /* what is served; NULL: nothing yet, and so the next ones */
	char *serial, *fingerprint; /* of the leaf; NULL: a bundle */
	char *authority, *profile;  /* NULL: it was put */
	char *error;		    /* HOOK_FAILED, and the last one where there is one; else NULL */
	int64_t not_after_ms;	    /* wall; 0: not known */
	int64_t at_ms;		    /* wall: the latest of the events */
	uint64_t events;	    /* of this kind, that one run stands for */
};

/** Texts are copied; v may be NULL. The caller owns it. */
struct hook_facts *hook_facts_new(enum hook_event event, const char *secret, const char *entry, enum secret_kind kind,
	const struct version *v, const char *error, int64_t at_ms);
void hook_facts_free(struct hook_facts *f);	/* NULL is fine */
const char *hook_event_name(enum hook_event e); /* "rotated", "failed", "expiring" */

/** missed: events that were dropped since the last run of this hook, because too many waited. */
/** One JSON object and a newline; appended. */
void hook_facts_add_json(const struct hook_facts *f, const char *hook, uint64_t missed, struct buf *ret);
/** LEAFCAST_EVENT and so on: the same keys in capitals; escaped. What is not known is left out. */
void hook_facts_add_env(const struct hook_facts *f, const char *hook, uint64_t missed, struct child_env *ret);
#endif
