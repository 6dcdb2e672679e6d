/* base/crash_point.h - named moments at which a test lets the process die, as a power cut would: between two effects
 * that belong together. In a build with tests $LEAFCAST_CRASH_AT=NAME or NAME:3 (the third time) says where; in one
 * without them (preset release) nothing is there (crash_point_off.c). Thread: each name has one. */
#ifndef BASE_CRASH_POINT_H
#define BASE_CRASH_POINT_H

void crash_point(const char *name);
#endif
