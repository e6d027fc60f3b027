/* How the two drivers tell the world what they are doing, without knowing who listens:
 * control/status implements it, tests may. Every member may be NULL. From any thread. */
#ifndef FR_CONNECT_OBSERVER_H
#define FR_CONNECT_OBSERVER_H

#include "base/error.h"
#include "connect/status.h"
#include "model/event.h"

typedef struct fr_observer {
    void *part;
    void (*state)(void *part, fr_state s, const char *reason);
    void (*error)(void *part, fr_state s, const fr_err *err, int64_t next_try_wall_us);
    /* by_op: c u d r t; counted once acknowledged (sources) or committed (sinks). */
    void (*count)(void *part, fr_str space, fr_str table, const uint64_t by_op[5], uint64_t bytes,
                  int64_t commit_us);
    void (*table)(void *part, fr_str space, fr_str table, fr_state s);
    void (*snapshot)(void *part, fr_str space, fr_str table, uint32_t chunks_done, uint32_t chunks,
                     uint64_t rows, uint64_t rows_expected);
    void (*connector)(void *part, const fr_status *s);
    void (*position)(void *part, fr_str resume);
    void (*progress)(void *part); /* a commit, or proof that nothing waits */
    void (*dead_letters)(void *part, uint64_t n);
    void (*filtered)(void *part, uint64_t n); /* so many more events were left out by filters */
    /* So many more rows were not published, because they broke this rule ("contract": they did not
     * fit the table's contract). */
    void (*broken)(void *part, fr_str space, fr_str table, fr_str rule, uint64_t n);
    void (*stage)(void *part, int which, double seconds); /* 0 read, 1 encode, 2 ack, 3 sink */
    void (*kafka)(void *part, uint64_t inflight, uint64_t transactions);
    void (*polled)(void *part, fr_str space, fr_str table, const fr_polled_status *s);
    void (*poll)(void *part, double seconds); /* one is over */
    /* It waits, or goes on (h NULL). Of a sink: space is empty, table is the topic. */
    void (*held)(void *part, fr_str space, fr_str table, const fr_held_status *h);
    /* It is published in a shape that it had before; said empty: in its own, again. */
    void (*kept)(void *part, fr_str space, fr_str table, fr_str said);
    /* It goes on in another topic (schema.on_change: new_topic), of which it is this generation. */
    void (*moved)(void *part, fr_str space, fr_str table, fr_str topic, fr_str former,
                  uint32_t generation);
} fr_observer;

#define FR_TELL(observer, member, ...)                                                             \
    do {                                                                                           \
        if ((observer)->member != NULL)                                                            \
            (observer)->member((observer)->part, ##__VA_ARGS__);                                   \
    } while (0)

#endif
