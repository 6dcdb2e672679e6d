/* cache/reaper.h - wipes versions on the loop, wherever their last reference fell: gRPC drops its slices on any thread,
 * and freeing keys there would make a worker wait. */
#ifndef CACHE_REAPER_H
#define CACHE_REAPER_H
struct loop;
struct reaper;

/** From now on versions come here (version_set_reaper()). Made before the threads start. The caller owns the result. */
struct reaper *reaper_new(struct loop *l);
/** After the threads have ended: wipes what waits; from then on versions are wiped on the spot. NULL is fine. */
void reaper_free(struct reaper *r);
#endif
