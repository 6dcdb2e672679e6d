/* tests/unit/sds/test_index.c - what a worker knows of entries: order, absences per caller, and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"
#include "sds_rig.h"

/* A worker without a thread, and one call that waits for one name. */
struct fixture {
	struct worker w;
	struct call call;
	struct interest waiting;
	struct entry_key *entry;
	struct identity *alice, *bob;
};

static int set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);
	f->entry = entry_key_new("name", NULL, 0);
	f->alice = identity_new_unix(1, 1, 1);
	f->bob = identity_new_unix(2, 2, 2);
	f->call.worker = &f->w;
	f->waiting.call = &f->call;
	f->waiting.identity = f->alice;
	f->waiting.name = mem_strdup("name");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	slot_leave(&f->w, &f->waiting);
	slots_free(&f->w);
	assert_null(f->w.idle);
	assert_int_equal(f->w.idle_count, 0);
	entry_key_unref(f->entry);
	identity_unref(f->alice);
	identity_unref(f->bob);
	free(f->waiting.name);
	free(f);
	return 0;
}

static struct slot *slot_of(struct fixture *f)
{
	return slot_for_entry(&f->w, f->entry);
}

static bool take_mark(struct fixture *f)
{
	bool marked = f->call.marked;
	f->call.marked = false;
	f->w.marked = NULL;
	return marked;
}

/* design: invariant 1. */
static void test_older_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct version *first = rig_make_version(f->entry, 1), *second = rig_make_version(f->entry, 1);
	slot_join(slot_of(f), &f->waiting);
	slot_publish(&f->w, slot_of(f), version_ref(second), 7);
	assert_true(take_mark(f));
	slot_publish(&f->w, slot_of(f), version_ref(first), 6);
	assert_ptr_equal(slot_of(f)->version, second);
	slot_empty(&f->w, slot_of(f), 6);
	assert_ptr_equal(slot_of(f)->version, second);
	assert_false(take_mark(f));
	slot_publish(&f->w, slot_of(f), version_ref(first), 8);
	assert_ptr_equal(slot_of(f)->version, first);
	assert_ptr_equal(slot_of(f)->previous, second);
	slot_empty(&f->w, slot_of(f), 9);
	assert_null(slot_of(f)->version);
	slot_publish(&f->w, slot_of(f), version_ref(second), 8);
	assert_null(slot_of(f)->version);
	version_unref(first);
	version_unref(second);
}

/* Its successor comes first; where a still newer one has taken that one's place in the mailbox, it comes after. */
static void test_revoked(void **state)
{
	struct fixture *f = *state;
	struct version *first = rig_make_version(f->entry, 1), *second = rig_make_version(f->entry, 1);
	for (int late = 0; late < 2; late++) {
		slot_join(slot_of(f), &f->waiting);
		slot_publish(&f->w, slot_of(f), version_ref(first), 1);
		f->waiting.held = version_ref(first);
		f->waiting.offered = version_ref(first);
		if (late)
			slot_revoke(slot_of(f), version_id(first));
		slot_publish(&f->w, slot_of(f), version_ref(second), 2);
		if (!late) {
			assert_ptr_equal(slot_of(f)->previous, first);
			slot_revoke(slot_of(f), version_id(first));
		}
		assert_ptr_equal(slot_of(f)->version, second);
		assert_null(slot_of(f)->previous);
		assert_null(f->waiting.held);
		assert_null(f->waiting.offered);
		slot_publish(&f->w, slot_of(f), version_ref(first), 3); /* that is over: what comes now is kept */
		assert_ptr_equal(slot_of(f)->previous, second);
		slot_forget(&f->w, slot_of(f), 4);
		slot_leave(&f->w, &f->waiting);
	}
	version_unref(first);
	version_unref(second);
}

/* Control answers each want by publishing to all: what is known already wakes nobody. */
static void test_the_same_again_wakes_nobody(void **state)
{
	struct fixture *f = *state;
	struct version *v = rig_make_version(f->entry, 1);
	slot_join(slot_of(f), &f->waiting);
	slot_publish(&f->w, slot_of(f), version_ref(v), 1);
	assert_true(take_mark(f));
	slot_publish(&f->w, slot_of(f), version_ref(v), 2);
	assert_false(take_mark(f));
	assert_int_equal(slot_of(f)->seq, 2);
	version_unref(v);
}

/* Forgotten is not absent: who asks waits for the next version, and is told nothing meanwhile. */
static void test_forgotten(void **state)
{
	struct fixture *f = *state;
	struct version *v = rig_make_version(f->entry, 1);
	slot_join(slot_of(f), &f->waiting);
	slot_publish(&f->w, slot_of(f), version_ref(v), 5);
	assert_true(take_mark(f));
	slot_forget(&f->w, slot_of(f), 4);
	assert_ptr_equal(slot_of(f)->version, v);
	slot_forget(&f->w, slot_of(f), 6);
	assert_null(slot_of(f)->version);
	assert_true(take_mark(f));
	assert_false(f->waiting.absent);
	assert_false(absence_is_known(&f->w, f->alice, "name"));
	slot_publish(&f->w, slot_of(f), version_ref(v), 7);
	assert_ptr_equal(slot_of(f)->version, v);
	slot_leave(&f->w, &f->waiting);
	slot_forget(&f->w, slot_of(f), 8); /* nobody waits: the slot goes, too */
	assert_null(f->w.slots);
	version_unref(v);
}

/* design: invariant 2: that one caller was told makes no answer to another one quicker. */
static void test_absence_belongs_to_a_caller(void **state)
{
	struct fixture *f = *state;
	slot_join(slot_of(f), &f->waiting);
	slot_empty(&f->w, slot_of(f), 1);
	assert_true(take_mark(f));
	assert_true(f->waiting.absent);
	assert_true(absence_is_known(&f->w, f->alice, "name"));
	assert_false(absence_is_known(&f->w, f->bob, "name"));
	assert_false(absence_is_known(&f->w, f->alice, "other"));
	absence_set(&f->w, slot_for_absence(&f->w, f->bob, "name"), 2);
	assert_true(absence_is_known(&f->w, f->bob, "name"));
	absences_forget(&f->w);
	assert_false(absence_is_known(&f->w, f->alice, "name"));
	assert_false(absence_is_known(&f->w, f->bob, "name"));
}

static void test_denied_wait_at_their_absence(void **state)
{
	struct fixture *f = *state;
	slot_join(slot_for_absence(&f->w, f->alice, "name"), &f->waiting);
	absence_set(&f->w, slot_for_absence(&f->w, f->bob, "name"), 1);
	assert_false(f->waiting.absent);
	absence_set(&f->w, slot_for_absence(&f->w, f->alice, "name"), 2);
	assert_true(f->waiting.absent && take_mark(f));
	/* Somebody waits: it is not among those that may be forgotten. */
	assert_int_equal(f->w.idle_count, 1);
}

static void test_absences_are_bounded(void **state)
{
	struct fixture *f = *state;
	char name[32];
	for (int i = 0; i < IDLE_ABSENCES_MAX + 10; i++) {
		(void)snprintf(name, sizeof name, "name-%d", i);
		absence_set(&f->w, slot_for_absence(&f->w, f->alice, name), 1);
	}
	assert_int_equal(f->w.idle_count, IDLE_ABSENCES_MAX);
	assert_int_equal(HASH_COUNT(f->w.slots), IDLE_ABSENCES_MAX);
	assert_false(absence_is_known(&f->w, f->alice, "name-9"));
	assert_true(absence_is_known(&f->w, f->alice, "name-10"));
}

/* A flood of absences must not free one that somebody came back to wait at. */
static void test_an_absence_that_is_waited_for_again_stays(void **state)
{
	struct fixture *f = *state;
	char name[32];
	struct slot *s = slot_for_absence(&f->w, f->alice, "name");
	absence_set(&f->w, s, 1);
	assert_int_equal(f->w.idle_count, 1);
	slot_join(s, &f->waiting);
	assert_int_equal(f->w.idle_count, 0);
	for (int i = 0; i < IDLE_ABSENCES_MAX + 10; i++) {
		(void)snprintf(name, sizeof name, "name-%d", i);
		absence_set(&f->w, slot_for_absence(&f->w, f->alice, name), 1);
	}
	assert_true(absence_is_known(&f->w, f->alice, "name"));
	slot_leave(&f->w, &f->waiting);
	assert_int_equal(f->w.idle_count, IDLE_ABSENCES_MAX);
}

static void test_an_entry_without_anything_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	slot_empty(&f->w, slot_of(f), 1);
	assert_null(f->w.slots);
	slot_join(slot_of(f), &f->waiting);
	slot_leave(&f->w, &f->waiting);
	assert_null(f->w.slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_older_is_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_same_again_wakes_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_revoked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_absence_belongs_to_a_caller, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_denied_wait_at_their_absence, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_absences_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_absence_that_is_waited_for_again_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_entry_without_anything_leaves_nothing, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
