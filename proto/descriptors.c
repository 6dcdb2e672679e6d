#include "proto/descriptors.h"

extern const unsigned char descriptors_data[]; /* made at build time by embed.cmake */
extern const size_t descriptors_data_len;

const unsigned char *descriptors_set(size_t *ret_len)
{
	*ret_len = descriptors_data_len;
	return descriptors_data;
}
