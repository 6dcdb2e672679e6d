/* cache/store_tx.c - filling a transaction. Thread: control. */
#include "cache/store_tx.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/entry.h"

static void free_mail(struct mail *m)
{
	store_tx_free(container_of(m, struct store_tx, mail));
}

struct store_tx *store_tx_new(void)
{
	struct store_tx *tx = mem_new(struct store_tx);
	tx->mail.free = free_mail;
	tx->mail.type = STORE_MAIL_TX;
	return tx;
}

static struct store_op *add(struct store_tx *tx, enum store_op_type type)
{
	if (tx->count == tx->capacity) {
		tx->capacity = tx->capacity ? 2 * tx->capacity : 4;
		tx->ops = mem_realloc(tx->ops, tx->capacity * sizeof(*tx->ops));
	}
	struct store_op *op = &tx->ops[tx->count++];
	*op = (struct store_op){.type = type};
	return op;
}

void store_tx_put_version(struct store_tx *tx, struct version *v)
{
	add(tx, STORE_PUT_VERSION)->version = version_ref(v);
}

void store_tx_drop_version(struct store_tx *tx, struct entry_key *entry, const char *version_id)
{
	struct store_op *op = add(tx, STORE_DROP_VERSION);
	op->entry = entry_key_ref(entry);
	op->text = mem_strdup(version_id);
}

void store_tx_drop_entry(struct store_tx *tx, struct entry_key *entry)
{
	add(tx, STORE_DROP_ENTRY)->entry = entry_key_ref(entry);
}

void store_tx_put_blob(struct store_tx *tx, const char *name, const struct secret *bytes)
{
	size_t len;
	const unsigned char *p = secret_bytes(bytes, &len);
	struct store_op *op = add(tx, STORE_PUT_BLOB);
	op->text = mem_strdup(name);
	struct fault *f = secret_new(p, len, &op->bytes);
	if (!f)
		return;
	/* The whole transaction fails when it is committed: half of one is never written. */
	if (tx->fault)
		fault_ignore(f, "the first one is told");
	else
		tx->fault = f;
}

void store_tx_put_fact(struct store_tx *tx, const char *key, int64_t value)
{
	struct store_op *op = add(tx, STORE_PUT_FACT);
	op->text = mem_strdup(key);
	op->number = value;
}

void store_tx_drop_fact(struct store_tx *tx, const char *key)
{
	add(tx, STORE_DROP_FACT)->text = mem_strdup(key);
}

void store_tx_audit(struct store_tx *tx, int64_t at_ms, const char *event, const char *detail)
{
	struct store_op *op = add(tx, STORE_AUDIT);
	op->text = mem_strdup(event);
	op->detail = mem_strdup(detail);
	op->number = at_ms;
}

void store_tx_complete_first_start(struct store_tx *tx)
{
	add(tx, STORE_COMPLETE_FIRST_START);
}

bool store_tx_is_empty(const struct store_tx *tx)
{
	return tx->count == 0;
}

/* Of the key alone, where the rest is of no use. */
static struct store_quarantine *copy_quarantine(const struct store_quarantine *from, bool whole)
{
	struct store_quarantine *q = mem_new(struct store_quarantine);
	if (whole)
		*q = *from;
	q->identity = mem_strdup(from->identity);
	q->node = mem_strdup(from->node);
	q->entry = entry_key_ref(from->entry);
	q->version = mem_strdup(from->version);
	if (!whole)
		return q;
	q->who = mem_strdup(from->who);
	q->held = mem_strdup(from->held);
	q->message = mem_strdup(from->message);
	q->neighbour = from->neighbour ? entry_key_ref(from->neighbour) : NULL;
	return q;
}

static void free_text(const char *text)
{
	free((void *)(uintptr_t)text);
}

static void free_quarantine(struct store_quarantine *q)
{
	if (!q)
		return;
	free_text(q->identity);
	free_text(q->node);
	free_text(q->version);
	free_text(q->who);
	free_text(q->held);
	free_text(q->message);
	entry_key_unref(q->entry);
	entry_key_unref(q->neighbour);
	free(q);
}

void store_tx_put_quarantine(struct store_tx *tx, const struct store_quarantine *q)
{
	add(tx, STORE_PUT_QUARANTINE)->quarantine = copy_quarantine(q, true);
}

void store_tx_drop_quarantine(struct store_tx *tx, const struct store_quarantine *q)
{
	add(tx, STORE_DROP_QUARANTINE)->quarantine = copy_quarantine(q, false);
}

void store_tx_free(struct store_tx *tx)
{
	if (!tx)
		return;
	for (size_t i = 0; i < tx->count; i++) {
		struct store_op *op = &tx->ops[i];
		version_unref(op->version);
		entry_key_unref(op->entry);
		secret_free(op->bytes);
		free_quarantine(op->quarantine);
		free(op->text);
		free(op->detail);
	}
	free(tx->ops);
	fault_free(tx->fault);
	free(tx);
}
