/* How far a polled table was read: the record table/<space.table> of the checkpoint topic, as
 * JSON text (docs/checkpoints.md). Pure. */
#ifndef FR_POLL_RECORD_H
#define FR_POLL_RECORD_H

#include "poll/gaps.h"

enum { FR_POLL_ORDER_MAX = 33 }; /* the cursor, and columns that order its equals */

typedef struct fr_poll_record {
    uint64_t page, rows;          /* read so far */
    fr_str at[FR_POLL_ORDER_MAX]; /* the last row's cursor and those that order its equals, in
                                     the server's spelling; fewer after the clock went back */
    size_t at_count;              /* 0: no row yet */
    int64_t cursor;               /* at[0] as number, or as time in microseconds */
    /* Times. */
    int64_t bound_us;           /* the last page's; 0: none yet */
    int64_t server_us, wall_us; /* the server's clock (by number the latest it has shown), and
                                   ours at the same moment */
    bool skew_known;            /* false: a version wrote it that did not say */
    int64_t skew_us;            /* poll.max_skew */
    /* Numbers. */
    bool settled_known, candidate_known;
    int64_t settled;                 /* every number up to it is final */
    int64_t candidate, candidate_us; /* will be, once all who were there at that time have ended */
    fr_gaps gaps;
    fr_str seen;         /* of poll.lookback: what was published and is read again (lookback.h) */
    int64_t compared_us; /* wall clock of the last comparison, or of the end of the first load; 0:
                            neither */
} fr_poll_record;

/* order: the columns' names, first the cursor's. */
fr_str fr_poll_record_text(fr_arena *a, const fr_poll_record *r, const fr_str *order,
                           size_t order_count);
/* ,"name":["text",...] */
void fr_poll_put_texts(fr_buf *b, const char *name, const fr_str *texts, size_t count);
/* Texts in the arena; gaps are the caller's to free. POSITION where the record is of other columns,
 * which names both, or cannot be read. */
fr_rc fr_poll_record_parse(fr_arena *a, fr_str text, const fr_str *order, size_t order_count,
                           fr_poll_record *out, fr_err *err);
fr_rc fr_poll_unreadable(fr_err *err); /* POSITION: so it says */
/* What was read so far is said in the columns that ordered it. POSITION: they are others now. */
fr_rc fr_poll_same_order(const fr_str *was, size_t was_count, const fr_str *now, size_t now_count,
                         fr_err *err);

#endif
