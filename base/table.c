/* base/table.c - SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012). OpenSSL's EVP_MAC has
 * SipHash too, but takes microseconds and an allocation per call. */
#include "base/table.h"
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include "base/mem.h"

static struct {
	pthread_once_t once;
	uint64_t k0, k1;
} hash_key = {.once = PTHREAD_ONCE_INIT};

static void draw_key(void)
{
	invariant(RAND_bytes((unsigned char *)&hash_key.k0, sizeof hash_key.k0) == 1);
	invariant(RAND_bytes((unsigned char *)&hash_key.k1, sizeof hash_key.k1) == 1);
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t table_hash(const void *bytes, size_t len)
{
	(void)pthread_once(&hash_key.once, draw_key);
	const unsigned char *p = bytes;
	uint64_t v[4] = {hash_key.k0 ^ 0x736f6d6570736575ULL, hash_key.k1 ^ 0x646f72616e646f6dULL,
		hash_key.k0 ^ 0x6c7967656e657261ULL, hash_key.k1 ^ 0x7465646279746573ULL};
	size_t left = len;
	for (; left >= 8; p += 8, left -= 8) {
		uint64_t m;
		memcpy(&m, p, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	uint64_t last = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
