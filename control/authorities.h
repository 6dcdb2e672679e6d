/* control/authorities.h - the running authorities by name: their drivers, what they keep in the store, how many
 * issuances each may have under way. Not its duty: when something is issued (rotation.c) or what an answer is worth
 * (issuance.c). */
#ifndef CONTROL_AUTHORITIES_H
#define CONTROL_AUTHORITIES_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
#include "ca-client/ca.h"
#include "control/admission.h"
#include "control/breaker.h"
struct authority;
struct authority_def;
struct control;
struct fault;
struct trust;

/** Make the driver and begin to start it; ready is logged and told to control. The control owns it: authority_close().
 */
MUST_USE struct fault *authority_new(struct control *c, const struct authority_def *def, struct authority **ret);
struct authority *authority_find(struct control *c, const char *name); /* NULL: none */
struct authority *authority_next(struct authority *a);		       /* of the same control */
const char *authority_name(const struct authority *a);
const char *authority_type(const struct authority *a);
bool authority_is_ready(const struct authority *a);
/** Why it is not ready, or NULL. Borrowed. */
const char *authority_error(const struct authority *a);
/** What it shows, and what it showed until a leaf life ago; from the store until it answers. Borrowed; NULL: never
 * heard.
 */
struct anchors *authority_anchors(struct authority *a);
struct trust *authority_trust(struct authority *a);
struct control *authority_control(const struct authority *a);
struct ca *authority_ca(struct authority *a);
size_t authority_running(const struct authority *a); /* requests under way */
size_t authority_waiting(const struct authority *a); /* for a place */
bool authority_is_ending(const struct authority *a); /* it may not be asked any more */
enum breaker_state authority_breaker(const struct authority *a);
/** Of the last request, when that failed; else NULL. Borrowed. */
const char *authority_last_failure(const struct authority *a, int64_t *ret_at_ms);
/** Is it worth asking? Ready with a breaker that lets one through, or still within the time that a start may take. */
bool authority_is_usable(const struct authority *a);
/** An operator orders: one request may be tried now, whatever the breaker says. */
void authority_hasten(struct authority *a);
/** For messages; the caller owns it. */
char *authority_why_unusable(const struct authority *a);

/** Wait for one's turn: t->go() runs on the loop, now or later; without a fault it must end with authority_release().
 */
void authority_wait(struct authority *a, struct ticket *t);
void authority_leave(struct authority *a, struct ticket *t);
/** probe: the ticket's. asked: the authority was asked, and this came of it (f NULL: an answer that passed). Not asked:
 * it was cancelled. */
void authority_release(struct authority *a, uint64_t probe, bool asked, const struct fault *f);
/** Every driver has said once that it is ready or why not: what it keeps is in the store by then. */
bool authorities_have_answered(const struct control *c);
/** Start every driver that has not been started. */
void authorities_start(struct control *c);
/** End the driver; closed(arg) once nothing of it is left. */
void authority_close(struct authority *a, void (*closed)(void *arg), void *arg);
#endif
