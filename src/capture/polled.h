/* A table that is asked, seen from outside: when it is due, and what is told of it. Pure; the
 * caller locks. Monotonic times but where wall is said, all in microseconds. */
#ifndef FR_CAPTURE_POLLED_H
#define FR_CAPTURE_POLLED_H

#include "connect/status.h"
#include "poll/poll.h"

/* What a round has made whole (wall), and when it was over. */
typedef struct polled_round {
    int64_t ended_us, whole_us;
} polled_round;

typedef struct polled_view {
    fr_polled_status s; /* but for waits and next_us */
    char waits[256];
    int64_t began_us;             /* of the round that is under way; 0: none is */
    uint64_t rows;                /* that it has found */
    polled_round pending, latest; /* whose rows may not be in Kafka yet; ended_us 0: none */
} polled_view;

/* After a page of so many rows. */
void polled_page(polled_view *v, const fr_poller_status *p, uint64_t rows, int64_t wall_us);
/* The round is over. */
void polled_over(polled_view *v, const fr_poller_status *p, int64_t now_us, int64_t wall_us);
/* All that was read before committed_us is in Kafka. */
void polled_committed(polled_view *v, int64_t committed_us);

/* Tables do not all ask at the same moment: each has a place of its own in poll.every, the same
 * over restarts. index: of count tables of the source. */
int64_t polled_place(fr_str source, size_t index, size_t count, int64_t every_us);
/* When a table is due that was asked at began_us: at its place, between half and one and a half
 * poll.every later. */
int64_t polled_due(int64_t began_us, int64_t every_us, int64_t place_us);

#endif
