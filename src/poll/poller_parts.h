/* A table's poller, and what its parts need of each other: poller.c asks and takes, poller_bound.c
 * says what is final, poller_again.c finds numbers that come again. */
#ifndef FR_POLL_POLLER_PARTS_H
#define FR_POLL_POLLER_PARTS_H

#include "poll/lookback.h"
#include "poll/order.h"
#include "poll/poll.h"

enum { FR_POLLER_BOUNDS = 64 };

/* What is asked next. */
typedef enum { STEP_LOOK, STEP_GAPS, STEP_PAGE } poll_step;

struct fr_poller {
    const fr_source_settings *source;
    const fr_table_settings *settings;
    fr_arena *arena; /* as long as the poller */
    fr_str space, name, recorded;
    char who[200];
    bool started; /* recorded was taken in */
    uint32_t version, epoch;

    fr_poll_look *look_at;
    void *context;
    const fr_sql_ops *ops;
    fr_sql_relation *relation;
    fr_arena *names; /* of the order's columns, as long as the relation */
    fr_poll_order order;
    fr_poll_record r;
    fr_buf at[FR_POLL_ORDER_MAX]; /* what r.at points to */
    bool dirty;                   /* r is newer than what a batch has said */
    bool said_full;
    fr_lookback back; /* by time, where the server does not say who is open: what is read again; r
                         is where the round stands, and its place where the next one begins */

    /* Where the bound was, when. */
    struct {
        int64_t now_us, bound_us;
    } bounds[FR_POLLER_BOUNDS];
    size_t bound_count;
    int64_t latest_us;     /* by number: the latest that the server's clock has shown */
    int64_t looked_us;     /* monotonic: at or after the server's clock was read */
    int64_t asked_wall_us; /* wall: when who is open was asked */
    int64_t read_us;       /* monotonic: when the last page was through */
    bool proposes;         /* `proposed` becomes the candidate at the next look */
    int64_t proposed;
    int64_t nulls, nulls_due_us;
    bool highest_known; /* by number: the highest one that was there at the last look for numbers
                           that come again, or was read since; INT64_MIN: no row */
    int64_t highest, highest_due_us;
    char waits[256];
    int64_t waits_us;

    /* The page that is being read. */
    poll_step step;
    fr_reader *reader;
    size_t rows;             /* that have a position in it */
    size_t page_rows, limit; /* that came; limit: one more is asked for, to see what follows */
    bool full, held;
    bool waiting;     /* the last round was held */
    bool anew;        /* it was described again, and nothing was selected since */
    int64_t asked_to; /* gaps up to it were asked for in this round */
    bool gaps_left;
    bool over; /* the round was over with the last batch */
};

/* The last stretch of time is read again and again. */
bool fr_poller_looks_back(const fr_poller *p);
void fr_poller_set_at(fr_poller *p, size_t i, fr_str text);
/* What the server said, before anything is selected: what is final once the round is over. */
void fr_poller_take_state(fr_poller *p, fr_sql_state *s, int64_t asked_us);
/* Looking back: behind a row of the page, and once there is none behind it. */
void fr_poller_note_final(fr_poller *p);
void fr_poller_end_round(fr_poller *p);
/* poller_again.c: by number, once a minute. POSITION "poll.reused": a number that was not there
 * lies below what was read, and in no gap. */
fr_rc fr_poller_see_again(fr_poller *p, fr_sql *c, fr_err *err);
void fr_poller_saw_number(fr_poller *p, int64_t number); /* its row was read */

#endif
