/* base/secret.c - the arenas behind struct secret.
 * An arena is one mmap of ARENA_BYTES. Chunks of it are cut into blocks of one power of two (64 bytes to 64 KiB) as
 * they are needed; a larger secret has a mapping of its own. Free blocks of a size are chained through their first
 * bytes. */
#include "base/secret.h"
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include "base/fault.h"
#include "base/mem.h"

enum { MIN_SHIFT = 6, MAX_SHIFT = 16, CLASSES = MAX_SHIFT - MIN_SHIFT + 1 };
#define ARENA_BYTES ((size_t)1024 * 1024)
/* Sizes share an arena, or each would take a mebibyte of a limit that is 8 MiB as a rule. */
#define CHUNK_BYTES ((size_t)16 * 1024)

struct secret {
	size_t len;
	size_t block_bytes; /* of the whole block, this header included */
	bool locked;	    /* of a mapping of its own: which count it is in */
	unsigned char bytes[];
};

struct free_block {
	struct free_block *next;
};

/* The process's secret memory: like the heap itself it has no owner but the process. */
static struct {
	atomic_flag busy;
	struct free_block *free[CLASSES];
	unsigned char *rest; /* of the newest arena: not cut yet */
	size_t rest_bytes;
	atomic_size_t locked_bytes, unlocked_bytes, used_bytes;
} arena = {.busy = ATOMIC_FLAG_INIT};

static void arena_lock(void)
{
	while (atomic_flag_test_and_set_explicit(&arena.busy, memory_order_acquire))
		;
}

static void arena_unlock(void)
{
	atomic_flag_clear_explicit(&arena.busy, memory_order_release);
}

/* Fresh pages that are not dumped and, as far as RLIMIT_MEMLOCK allows, not swapped from their first use on; NULL when
 * memory is out. */
static void *map_pages(size_t bytes, bool *ret_locked)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_DONTDUMP);
	*ret_locked = mlock2(p, bytes, MLOCK_ONFAULT) == 0;
	atomic_fetch_add(*ret_locked ? &arena.locked_bytes : &arena.unlocked_bytes, bytes);
	return p;
}

static void unmap_pages(void *p, size_t bytes, bool locked)
{
	atomic_fetch_sub(locked ? &arena.locked_bytes : &arena.unlocked_bytes, bytes);
	(void)munmap(p, bytes);
}

static unsigned class_of(size_t bytes)
{
	unsigned c = 0;
	while (((size_t)1 << (c + MIN_SHIFT)) < bytes)
		c++;
	return c;
}

static size_t block_size(unsigned c)
{
	return (size_t)1 << (c + MIN_SHIFT);
}

static size_t chunk_size(unsigned c)
{
	return block_size(c) > CHUNK_BYTES ? block_size(c) : CHUNK_BYTES;
}

/* Called with the lock. */
static void put_block(unsigned c, void *block)
{
	struct free_block *b = block;
	b->next = arena.free[c];
	arena.free[c] = b;
}

static void give_block(unsigned c, void *block)
{
	arena_lock();
	put_block(c, block);
	arena_unlock();
}

/* More blocks from the newest arena. Called with the lock; none come when it is used up. */
static void cut_chunk(unsigned c)
{
	if (arena.rest_bytes < chunk_size(c))
		return;
	for (size_t at = 0; at < chunk_size(c); at += block_size(c))
		put_block(c, arena.rest + at);
	arena.rest += chunk_size(c);
	arena.rest_bytes -= chunk_size(c);
}

/* NULL: another arena is needed. */
static void *take_block(unsigned c)
{
	arena_lock();
	if (!arena.free[c])
		cut_chunk(c);
	struct free_block *b = arena.free[c];
	if (b)
		arena.free[c] = b->next;
	arena_unlock();
	return b;
}

/* False: memory is out. What is left of the former arena is less than a chunk, and stays unused. */
static bool add_arena(unsigned c)
{
	bool locked = false;
	unsigned char *pages = map_pages(ARENA_BYTES, &locked);
	if (!pages)
		return false;
	arena_lock();
	bool needed = arena.rest_bytes < chunk_size(c); /* no other thread was quicker */
	if (needed) {
		arena.rest = pages;
		arena.rest_bytes = ARENA_BYTES;
	}
	arena_unlock();
	if (!needed)
		unmap_pages(pages, ARENA_BYTES, locked);
	return true;
}

static void *new_block(unsigned c)
{
	void *block = take_block(c);
	while (!block && add_arena(c))
		block = take_block(c);
	return block;
}

static size_t whole_pages(size_t bytes)
{
	return (bytes + 4095) & ~(size_t)4095;
}

static struct fault *new_empty(size_t len, struct secret **ret)
{
	if (len == 0 || len > SECRET_MAX_LEN)
		return fault_new(FAULT_INVALID, "a secret of %zu bytes; 1 to %zu are accepted", len, SECRET_MAX_LEN);
	size_t need = sizeof(struct secret) + len + 1;
	bool small = need <= (size_t)1 << MAX_SHIFT;
	unsigned c = small ? class_of(need) : 0;
	size_t block_bytes = small ? (size_t)1 << (c + MIN_SHIFT) : whole_pages(need);
	bool locked = false;
	struct secret *s = small ? new_block(c) : map_pages(block_bytes, &locked);
	if (!s)
		return fault_set_retryable(fault_new(FAULT_EXHAUSTED, "no memory for a secret of %zu bytes", len), -1);
	s->len = len;
	s->block_bytes = block_bytes;
	s->locked = locked;
	s->bytes[len] = 0;
	atomic_fetch_add(&arena.used_bytes, block_bytes);
	*ret = s;
	return NULL;
}

struct fault *secret_new(const void *bytes, size_t len, struct secret **ret)
{
	struct secret *s;
	TRY(new_empty(len, &s));
	memcpy(s->bytes, bytes, len);
	*ret = s;
	return NULL;
}

struct fault *secret_new_filled(size_t len, secret_fill_fn *fill, void *arg, struct secret **ret)
{
	AUTO(secret_freep) struct secret *s = NULL;
	TRY(new_empty(len, &s));
	TRY(fill(arg, s->bytes, len));
	*ret = TAKE(s);
	return NULL;
}

const unsigned char *secret_bytes(const struct secret *s, size_t *ret_len)
{
	if (ret_len)
		*ret_len = s->len;
	return s->bytes;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return a->len == b->len && CRYPTO_memcmp(a->bytes, b->bytes, a->len) == 0;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	size_t block_bytes = s->block_bytes;
	bool locked = s->locked;
	atomic_fetch_sub(&arena.used_bytes, block_bytes);
	OPENSSL_cleanse(s, block_bytes);
	if (block_bytes <= (size_t)1 << MAX_SHIFT) {
		give_block(class_of(block_bytes), s);
		return;
	}
	unmap_pages(s, block_bytes, locked);
}

void secret_freep(struct secret **s)
{
	secret_free(*s);
	*s = NULL;
}

struct secret_usage secret_usage(void)
{
	return (struct secret_usage){
		atomic_load(&arena.locked_bytes), atomic_load(&arena.unlocked_bytes), atomic_load(&arena.used_bytes)};
}
