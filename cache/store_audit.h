/* cache/store_audit.h - inside of cache/store: the audit trail in the database. Its head (base/audit_chain.h) is a
 * sealed blob that is written with the records, in the same transaction. Thread: store, and start. */
#ifndef CACHE_STORE_AUDIT_H
#define CACHE_STORE_AUDIT_H
#include "base/attr.h"
#include "base/audit_chain.h"
struct fault;
struct store_audit_page;
struct store_db;

/** Read the head. Where the trail does not end with it, that is logged, kept in the head, and a new chain begins. */
MUST_USE struct fault *store_audit_open(struct store_db *db);
/** Append a record; the oldest leaves when there are too many. db->audit moves on: whoever takes the transaction back
 * puts it back. */
MUST_USE struct fault *store_audit_add(struct store_db *db, int64_t at_ms, const char *event, const char *detail);
/** Write the head, after the records of a transaction. */
MUST_USE struct fault *store_audit_save(struct store_db *db);
/** Records after this one, at most limit, oldest first. The caller frees what *ret holds: store_audit_page_done(). */
MUST_USE struct fault *store_audit_page(struct store_db *db, int64_t after, size_t limit, struct store_audit_page *ret);
void store_audit_page_done(struct store_audit_page *p);
#endif
