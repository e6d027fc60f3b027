/* Where the partitions of held topics go on: the first message of each that was left out. Pure;
 * one thread at a time. Internal to src/apply. */
#ifndef FR_APPLY_CUTS_H
#define FR_APPLY_CUTS_H

#include "connect/sink.h"

typedef struct fr_cut {
    fr_str topic; /* in the arena of the cuts */
    int32_t partition;
    int64_t offset;
    bool stored; /* the target knows */
} fr_cut;

typedef struct fr_cuts { /* zero but for arena */
    fr_arena *arena;     /* borrowed */
    fr_cut *items;
    size_t count, cap;
} fr_cuts;

void fr_cuts_free(fr_cuts *c);
/* Take a topic's messages out of the batch, with their events, from this message on; of messages
 * that made no event (the tombstone of a delete) only those behind one that was taken out. The
 * order of what stays is kept; events that go become heartbeats without a topic. How many. */
size_t fr_cuts_leave_out(fr_cuts *c, fr_batch *b, fr_str topic, size_t from_message);
bool fr_cuts_is_of(const fr_event *e, const fr_message *m); /* it was made of this message */
/* The offsets that the target does not know yet: o, which has room for all, says the same or
 * less of them. */
void fr_cuts_add_to(const fr_cuts *c, fr_offsets *o);
bool fr_cuts_has(const fr_cuts *c, fr_str topic, int32_t partition);
void fr_cuts_stored(fr_cuts *c); /* they were committed */
/* These partitions are read again from where the target has them. */
void fr_cuts_forget(fr_cuts *c, const fr_offsets *claimed);

#endif
