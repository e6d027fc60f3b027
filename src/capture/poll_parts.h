/* A source whose tables are asked, as poll.c (who asks which table when) and poll_publish.c (the
 * way of the answers into Kafka) see it. */
#ifndef FR_CAPTURE_POLL_PARTS_H
#define FR_CAPTURE_POLL_PARTS_H

#include "capture/internal.h"
#include "capture/polled.h"
#include "poll/drain.h"
#include "poll/poll.h"

#define BUSY INT64_MAX

typedef struct polled {
    fr_poller *poller; /* one of both */
    fr_drain *drain;
    fr_str space, name;
    int64_t every_us, place_us;
    int64_t *due_us; /* its entry of polls.due_us */
    bool once;       /* it was read to its end once */
    int64_t said_us; /* when it was said last for whom its rows wait */
    polled_view view;
    /* Batches; under the lock. A drain must not go on before what it gave is committed: until then
     * it waits, and its entry of polls.due_us is BUSY. */
    uint64_t given, produced, committed;
    bool waits;
    bool held;   /* the source goes on without it; its entry is BUSY, too */
    bool failed; /* it could not be read: why says so, and the publisher is to hold it */
    fr_err why;
    const fr_table_settings *settings;
    bool whole;            /* method snapshot: it is compared, and not polled */
    int64_t whole_us;      /* wall clock: what was committed before that was compared; 0: never */
    int64_t retry_us;      /* monotonic: no comparison before that; 0: none has failed */
    uint64_t not_compared; /* of what was said of a comparison that failed, and when (monotonic) */
    int64_t not_compared_us;
    int64_t compared_us; /* wall clock; 0: never */
    int64_t compares_us; /* time between comparisons; 0: it is not compared */
} polled;

struct polls {
    fr_capture *c;
    fr_arena *arena;
    polled *tables;
    int64_t *due_us; /* monotonic, one per table; BUSY: somebody asks it now, or it waits */
    size_t count;
    fr_map *by_name; /* "space.table" -> polled */
    uint32_t epoch;

    /* Who is open: asked by one for all. Under its own lock, which is held while it is asked. */
    pthread_mutex_t look_lock;
    fr_sql_state state;
    fr_buf oldest_who;
    int64_t asked_us; /* 0: not yet */

    /* Shared with the readers, under c->lock. */
    size_t running, asking; /* readers; those of them that ask */
    bool comparing; /* one at a time, for the memory it takes; it does not count as asking */
    atomic_int_fast64_t alive_us; /* monotonic: when that one was last heard of */
    atomic_bool stop;             /* also read without it */
    pthread_cond_t wake;
    bool failed;
    fr_err err;

    /* The publisher's. */
    uint64_t seen_version;          /* of c->safe: what was committed up to it is known here */
    int64_t taken_us, committed_us; /* what was read before that is taken in, is in Kafka */
    int64_t next_tell_us;
    bool streaming;
    fr_state told;
    char why[200];
};

/* On the publisher's thread, until the readers have ended. */
fr_rc polls_publish(polls *p, outlet *o, fr_err *err);

#endif
