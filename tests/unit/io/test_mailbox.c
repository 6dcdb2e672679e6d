#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/io/loop.h"
#include "base/io/mailbox.h"
#include "base/io/wakeup.h"
#include "base/mem.h"
#include "certs.h"

enum { POSTERS = 4, EACH = 20000, KEYS = 16 };

struct letter {
	struct mail mail; /* first */
	unsigned poster, number, key;
	unsigned *freed;
};

static void free_letter(struct mail *m)
{
	struct letter *l = container_of(m, struct letter, mail);
	if (l->freed)
		++*l->freed;
	free(l);
}

static struct mail *letter(unsigned number, unsigned key, unsigned *freed)
{
	struct letter *l = mem_new(struct letter);
	l->number = number;
	l->key = key;
	l->freed = freed;
	l->mail.free = free_letter;
	if (key) {
		l->mail.key = &l->key;
		l->mail.key_len = sizeof l->key;
	}
	return &l->mail;
}

static unsigned number_of(const struct mail *m)
{
	return container_of(m, struct letter, mail)->number;
}

static void count_wakes(void *arg)
{
	++*(unsigned *)arg;
}

/* Takes and frees at most max; the numbers of what came must be these, ended by 0. */
static void expect_mail(struct mailbox *b, size_t max, const unsigned *numbers)
{
	struct mail *m = mailbox_drain(b, max);
	for (; *numbers; numbers++) {
		assert_non_null(m);
		assert_int_equal(number_of(m), *numbers);
		struct mail *next = m->next;
		m->free(m);
		m = next;
	}
	assert_null(m);
}

static void keeps_the_order_and_wakes_once(void **state)
{
	(void)state;
	unsigned wakes = 0, freed = 0;
	struct mailbox *b = mailbox_new(count_wakes, &wakes);
	for (unsigned i = 1; i <= 4; i++)
		assert_true(mailbox_post(b, letter(i, 0, &freed)));
	assert_int_equal(wakes, 1);
	assert_int_equal(mailbox_length(b), 4);
	expect_mail(b, 3, (const unsigned[]){1, 2, 3, 0});
	assert_int_equal(wakes, 2); /* something is left */
	expect_mail(b, 3, (const unsigned[]){4, 0});
	assert_int_equal(wakes, 2);
	expect_mail(b, 0, (const unsigned[]){0});
	assert_true(mailbox_post(b, letter(5, 0, &freed)));
	assert_int_equal(wakes, 3);
	expect_mail(b, 0, (const unsigned[]){5, 0});
	assert_int_equal(freed, 5);
	mailbox_free(b);
}

static void the_latest_of_a_key_replaces(void **state)
{
	(void)state;
	unsigned wakes = 0, freed = 0;
	struct mailbox *b = mailbox_new(count_wakes, &wakes);
	assert_true(mailbox_post(b, letter(1, 7, &freed)));
	assert_true(mailbox_post(b, letter(2, 8, &freed)));
	assert_true(mailbox_post(b, letter(3, 0, &freed)));
	assert_true(mailbox_post(b, letter(4, 7, &freed))); /* goes to the end */
	assert_true(mailbox_post(b, letter(5, 0, &freed))); /* no key: never coalesces */
	assert_int_equal(freed, 1);
	assert_int_equal(mailbox_length(b), 4);
	assert_int_equal(wakes, 1);
	expect_mail(b, 0, (const unsigned[]){2, 3, 4, 5, 0});
	assert_true(mailbox_post(b, letter(6, 7, &freed))); /* what was read is no longer replaced */
	expect_mail(b, 0, (const unsigned[]){6, 0});
	assert_int_equal(freed, 6);
	mailbox_free(b);
}

static void a_closed_one_refuses_and_is_silent(void **state)
{
	(void)state;
	unsigned wakes = 0, freed = 0;
	struct mailbox *b = mailbox_new(count_wakes, &wakes);
	assert_true(mailbox_post(b, letter(1, 1, &freed)));
	assert_true(mailbox_post(b, letter(2, 0, &freed)));
	mailbox_close(b);
	assert_int_equal(freed, 2);
	assert_false(mailbox_post(b, letter(3, 1, &freed)));
	assert_int_equal(freed, 3);
	assert_int_equal(wakes, 1);
	assert_null(mailbox_drain(b, 0));
	assert_int_equal(mailbox_length(b), 0);
	mailbox_free(b);
	mailbox_free(NULL);
}

/* --- several posters, one owner that is woken through its loop --- */

struct owner {
	struct loop *loop;
	struct mailbox *box;
	unsigned last[POSTERS][KEYS + 1]; /* number of the latest, by poster and key; 0: those without a key */
	size_t turns, most, ended;
};

struct poster {
	pthread_t thread;
	struct mailbox *box;
	unsigned id;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;
	for (unsigned i = 1; i <= EACH; i++) {
		unsigned key = i == EACH ? 0 : i % (KEYS + 1);
		struct mail *m = letter(i, key ? p->id * (KEYS + 1) + key : 0, NULL);
		container_of(m, struct letter, mail)->poster = p->id;
		assert_true(mailbox_post(p->box, m));
	}
	return NULL;
}

static void on_mail(void *arg)
{
	struct owner *o = arg;
	size_t n = 0;
	o->turns++;
	for (struct mail *m = mailbox_drain(o->box, 100), *next; m; m = next, n++) {
		struct letter *l = container_of(m, struct letter, mail);
		unsigned *last = &o->last[l->poster][l->key ? l->key % (KEYS + 1) : 0];
		next = m->next;
		assert_true(l->number > *last);
		*last = l->number;
		o->ended += l->number == EACH;
		m->free(m);
	}
	o->most = n > o->most ? n : o->most;
	if (o->ended == POSTERS)
		loop_stop(o->loop);
}

static void many_post_to_one(void **state)
{
	(void)state;
	struct owner o = {.ended = 0};
	struct poster posters[POSTERS];
	expect_ok(loop_new(clock_system(), &o.loop));
	struct wakeup *w = wakeup_new(o.loop, on_mail, &o);
	o.box = mailbox_new(wakeup_ring, w);
	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){.box = o.box, .id = i};
		assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
	}
	loop_run(o.loop);
	for (unsigned i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
	for (unsigned i = 0; i < POSTERS; i++) {
		assert_int_equal(o.last[i][0], EACH);
		for (unsigned k = 1; k <= KEYS; k++) /* the latest of each key was not lost */
			assert_int_equal(o.last[i][k], (EACH - 1 - k) / (KEYS + 1) * (KEYS + 1) + k);
	}
	assert_in_range(o.most, 1, 100);
	assert_int_equal(mailbox_length(o.box), 0);
	mailbox_free(o.box);
	wakeup_free(w);
	loop_free(o.loop);
}

static void *post_until_closed(void *arg)
{
	struct poster *p = arg;
	while (mailbox_post(p->box, letter(1, p->id + 1, NULL)))
		;
	return NULL;
}

/* Nobody wakes an owner that has closed its mailbox: the wakeup is gone right after. */
static void closes_while_others_post(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct loop *loop = NULL;
		struct poster posters[POSTERS];
		unsigned wakes = 0;
		expect_ok(loop_new(clock_system(), &loop));
		struct wakeup *w = wakeup_new(loop, count_wakes, &wakes);
		struct mailbox *b = mailbox_new(wakeup_ring, w);
		for (unsigned i = 0; i < POSTERS; i++) {
			posters[i] = (struct poster){.box = b, .id = i};
			assert_int_equal(pthread_create(&posters[i].thread, NULL, post_until_closed, &posters[i]), 0);
		}
		while (!wakes)
			loop_turn(loop, true);
		mailbox_close(b);
		wakeup_free(w);
		loop_turn(loop, false);
		for (unsigned i = 0; i < POSTERS; i++)
			assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
		assert_int_equal(mailbox_length(b), 0);
		mailbox_free(b);
		loop_free(loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_order_and_wakes_once),
		cmocka_unit_test(the_latest_of_a_key_replaces),
		cmocka_unit_test(a_closed_one_refuses_and_is_silent),
		cmocka_unit_test(many_post_to_one),
		cmocka_unit_test(closes_while_others_post),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
