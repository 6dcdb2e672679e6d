/* daemon/reaper.h - where versions go whose last reference fell, on whatever thread: wiped on the control loop.
 * One per process: it is cache/version.h's reaper. Thread: control. */
#ifndef DAEMON_REAPER_H
#define DAEMON_REAPER_H
struct loop;
struct reaper;
struct reaper *reaper_new(struct loop *l);
/** After every other thread has ended. NULL is fine. */
void reaper_free(struct reaper *r);
#endif
