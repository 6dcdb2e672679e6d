#include "base/build_date.h"

int64_t build_date_ms(void)
{
	return INT64_C(1000) * LEAFCAST_BUILD_S; /* this file alone is compiled with it */
}
