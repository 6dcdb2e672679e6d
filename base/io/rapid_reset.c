#include "base/io/rapid_reset.h"
#include <stdint.h>

/* RFC 9113, sections 4.1, 6.2 and 6.4 */
enum { HEAD = 9, HEADERS = 1, RST_STREAM = 3, RST_STREAM_LEN = 4 };

static const unsigned char *first_reset(const unsigned char *at, const unsigned char *end)
{
	for (; end - at >= HEAD; at++)
		if (at[3] == RST_STREAM && !at[0] && !at[1] && at[2] == RST_STREAM_LEN && !at[4])
			return at;
	return end;
}

static uint32_t stream_of(const unsigned char *head)
{
	return (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
}

size_t rapid_resets(const unsigned char *bytes, size_t len)
{
	const unsigned char *end = bytes + len, *at = first_reset(bytes, end);
	uint32_t first = 0; /* opened here; ids only grow */
	size_t count = 0;
	while (end - at >= HEAD) {
		size_t payload = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
		uint32_t stream = stream_of(at);
		if (at[3] == HEADERS && !first)
			first = stream;
		else if (at[3] == RST_STREAM && first && stream >= first)
			count++;
		if ((size_t)(end - at) - HEAD < payload)
			break;
		at += HEAD + payload;
	}
	return count;
}
