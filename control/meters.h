/* control/meters.h - what the control loop tells a monitoring system: issuances, failures, NACKs, denials, and the end
 * and next renewal of each secret. Thread: control. */
#ifndef CONTROL_METERS_H
#define CONTROL_METERS_H
struct control;
struct control_meters;
struct metrics;
/** metrics may be NULL (tests): nothing is measured. The control owns the result. */
struct control_meters *control_meters_new(struct control *c, struct metrics *m);
void control_meters_free(struct control_meters *m);
#endif
