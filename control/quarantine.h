/* control/quarantine.h - inside of the quarantine: shared by the files quarantine*.c alone. Thread: control. */
#ifndef CONTROL_QUARANTINE_H
#define CONTROL_QUARANTINE_H
#include "control/internal.h"

enum { QUARANTINE_MAX = 4096 };

void quarantined_free(struct quarantined *q);
/** When its wish for an earlier renewal is due: halfway between the NACK and the end of what the node holds, which
 * leaves as much for tries that fail. 0: no wish. */
int64_t quarantined_hasten_at_ms(const struct quarantined *q);

/* quarantine_save.c */
/** It changed: into the store, soon. */
void quarantine_save(struct quarantined *q);
/** Out of the table: out of the store, too. Takes q. */
void quarantine_unsave(struct control *c, struct quarantined *q);
/** What the store did not take is tried again. */
void quarantine_save_again(struct control *c);
void quarantine_save_free(struct control *c);

/** A line when the verdict on an entry's version has changed. */
void quarantine_tell_verdict(struct entry *e);
/** Ends those of a name or entry text, and of this node where one is named; how many. */
size_t quarantine_retry(struct control *c, const char *name, const char *node);
#endif
