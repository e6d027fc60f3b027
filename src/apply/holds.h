/* The topics of a sink that wait while the others go on: why, since when, and when each is tried
 * again. Tells the log and the observer of every change, the log of each cause once. From any
 * thread; the observer is told under a lock and must not call back. Internal to src/apply. */
#ifndef FR_APPLY_HOLDS_H
#define FR_APPLY_HOLDS_H

#include "connect/observer.h"
#include "connect/sink.h"

typedef struct fr_holds fr_holds;

typedef struct fr_cause { /* texts are borrowed */
    const char *code;     /* of the error; FR_HELD_OPERATOR */
    const char *why;      /* what it waits for, and what to do: one line */
    int32_t partition;    /* of the message at fault; -1: there is none */
    int64_t offset;
    bool operators; /* somebody asked for it: never tried by itself */
    bool stays;     /* nothing at the target mends it: as if it were an operator's */
    bool costly;    /* a try costs the other topics time: seldom */
} fr_cause;

/* who and observer are borrowed. */
fr_holds *fr_holds_new(const char *who, const fr_observer *observer);
/* None of them waits any more, as far as the observer knows. NULL is fine. */
void fr_holds_free(fr_holds *h);

/* This topic waits from now on. Of one that waits already only the word changes; of one that was
 * let go and met its cause again, `since` stays and the next try is later. An operator's hold is
 * not changed by an error. */
void fr_holds_put(fr_holds *h, fr_str topic, const fr_cause *cause);
/* Let it go, whatever held it, as soon as the consumer comes to it. */
void fr_holds_ask(fr_holds *h, fr_str topic);
bool fr_holds_has(fr_holds *h, fr_str topic); /* it waits now */
bool fr_holds_any(fr_holds *h);               /* quickly: there is one, waiting or being tried */
/* The topics that wait now, in the arena. */
size_t fr_holds_list(fr_holds *h, fr_arena *a, fr_str **out);
/* A topic whose next try is due; its next one is put off. The text is in the arena. */
bool fr_holds_due(fr_holds *h, int64_t now_us, fr_arena *a, fr_str *topic_out);
/* Its partitions are where the target has them, and nothing of it is under way: events are taken
 * again. false: it was held anew since it was due, and goes on waiting. known: the partition at
 * fault is still ours; where it is not, this is over. */
bool fr_holds_let_go(fr_holds *h, fr_str topic,
                     bool (*known)(void *context, fr_str topic, int32_t partition), void *context);
/* What was let go and has come past its cause is over. NULL: all of it has. */
void fr_holds_passed(fr_holds *h, const fr_offsets *committed);
/* These partitions are another worker's now: with them goes what was their fault. */
void fr_holds_left(fr_holds *h, const fr_offsets *revoked);
/* So many more messages of it were passed over; and so many wait in Kafka (-1: as before). */
void fr_holds_count(fr_holds *h, fr_str topic, uint64_t passed_over, int64_t behind);
/* What was passed over of these topics waits in Kafka again, and is counted there; NULL: of all. */
void fr_holds_uncount(fr_holds *h, const fr_offsets *claimed);

#endif
