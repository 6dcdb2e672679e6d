/* base/build_date.h - when this program was made: no clock that is right says less. Thread: any. */
#ifndef BASE_BUILD_DATE_H
#define BASE_BUILD_DATE_H
#include <stdint.h>

/** Wall time in ms; of $SOURCE_DATE_EPOCH where the build was given one. */
int64_t build_date_ms(void);
#endif
