/* control/state.c - orders of an operator over the state as a whole: a new seal, a copy. One of each at a time. */
#include "base/fault.h"
#include "base/mem.h"
#include "control/internal.h"

struct rotation {
	struct control *control;
	control_rotated_fn *done;
	void *arg;
};

static void on_rotated(void *arg, struct fault *f, const struct store_rotation *result)
{
	struct rotation *r = arg;
	r->control->resealing = false;
	r->done(r->arg, f, result);
	free(r);
}

static struct fault *check(const struct control *c, bool is_under_way, const char *what)
{
	if (c->closing)
		return fault_new(FAULT_UNAVAILABLE, "leafcast is stopping");
	return is_under_way ? fault_new(FAULT_CONFLICT, "%s is under way already", what) : NULL;
}

void control_rotate_seal(
	struct control *c, const struct secret *given, const char *by, control_rotated_fn *done, void *arg)
{
	static const struct store_rotation none = {0, 0, false};
	struct fault *f = check(c, c->resealing, "a rotation of the seal");
	if (f) {
		done(arg, f, &none);
		return;
	}
	audit_note(c, NULL, "seal.rotate_ordered", NULL, NULL, by, given ? "with a given key" : NULL);
	struct rotation *r = mem_new(struct rotation);
	*r = (struct rotation){c, done, arg};
	c->resealing = true;
	store_rotate_seal(c->o.store, given, on_rotated, r);
}

struct copying {
	struct control *control;
	control_copied_fn *done;
	void *arg;
};

static void on_copied(void *arg, struct fault *f, int fd, int64_t bytes)
{
	struct copying *k = arg;
	k->control->copying = false;
	k->done(k->arg, f, fd, bytes);
	free(k);
}

void control_backup(struct control *c, const char *by, control_copied_fn *done, void *arg)
{
	struct fault *f = check(c, c->copying, "a backup");
	if (f) {
		done(arg, f, -1, 0);
		return;
	}
	audit_note(c, NULL, "state.backup_ordered", NULL, NULL, by, NULL);
	struct copying *k = mem_new(struct copying);
	*k = (struct copying){c, done, arg};
	c->copying = true;
	store_backup(c->o.store, on_copied, k);
}
