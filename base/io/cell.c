#include "base/io/cell.h"
#include <pthread.h>
#include "base/mem.h"

struct cell {
	pthread_mutex_t lock;
	void *(*ref)(void *value);
	void (*unref)(void *value);
	void *value;
	uint64_t generation; /* 0: empty */
};

struct cell *cell_new(void *(*ref)(void *value), void (*unref)(void *value))
{
	struct cell *c = mem_new(struct cell);
	invariant(pthread_mutex_init(&c->lock, NULL) == 0);
	c->ref = ref;
	c->unref = unref;
	return c;
}

void cell_set(struct cell *c, void *value)
{
	pthread_mutex_lock(&c->lock);
	void *old = c->value;
	c->value = value;
	c->generation++;
	pthread_mutex_unlock(&c->lock);
	if (old)
		c->unref(old);
}

void *cell_get(struct cell *c)
{
	uint64_t never = 0;
	return cell_get_newer(c, &never);
}

void *cell_get_newer(struct cell *c, uint64_t *seen)
{
	void *value = NULL;
	pthread_mutex_lock(&c->lock);
	if (c->value && *seen != c->generation) {
		value = c->ref(c->value);
		*seen = c->generation;
	}
	pthread_mutex_unlock(&c->lock);
	return value;
}

void cell_free(struct cell *c)
{
	if (!c)
		return;
	if (c->value)
		c->unref(c->value);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
