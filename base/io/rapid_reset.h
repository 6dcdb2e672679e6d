/* base/io/rapid_reset.h - the mark of CVE-2023-44487 in what an HTTP/2 client has sent: streams that it opened and
 * reset in one breath. Looks at a piece from the middle of a connection, keeps nothing. Pure; any thread. */
#ifndef BASE_IO_RAPID_RESET_H
#define BASE_IO_RAPID_RESET_H
#include <stddef.h>

/** How many of the streams that these bytes open do they also reset? Frames are counted from the first RST_STREAM on,
 * for a piece may begin in the middle of a frame. A client that closes streams which it opened before makes none. */
size_t rapid_resets(const unsigned char *bytes, size_t len);
#endif
