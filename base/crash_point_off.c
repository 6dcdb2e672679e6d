#include "base/crash_point.h"

void crash_point(const char *name)
{
	(void)name;
}
