/* cache/store_task.h - inside of the embedded store: work on the whole of it (backup, re-sealing, inventory) that goes
 * in steps on the store's thread, between the commits, so that none waits for more than a step. */
#ifndef CACHE_STORE_TASK_H
#define CACHE_STORE_TASK_H
#include <stdbool.h>
#include "base/io/mailbox.h"
struct fault;
struct store;
struct store_db;

/** Embedded as the first member of a task. */
struct store_task {
	struct mail mail;
	struct store_task *next; /* the thread's */
	/** Thread: store. One step; true: that was the last, whatever came of it (fault). stopping: leave nothing
	 * behind and end now. */
	bool (*step)(struct store_task *t, struct store_db *db, bool stopping);
	/** On the loop, once it has ended: tells whoever waits, and frees t. */
	void (*ended)(struct store_task *t);
	struct fault *fault; /* owned; for ended to take */
};
/** Takes t. Thread: control. */
void store_run(struct store *s, struct store_task *t);
struct fault *store_task_stopped(void); /* why one that was stopped has failed */
#endif
