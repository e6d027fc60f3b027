/* Asking a table again and again what is new in it, so that no row that was ever committed is
 * missed (docs/sources/query.md): the exact bound below which no open transaction can commit any
 * more, keyset pages, gaps of numbers, and what must be remembered of it. Over connect/sql.h, so
 * for every database; the driver (capture/poll.c) knows when to ask and where the events go. */
#ifndef FR_POLL_POLL_H
#define FR_POLL_POLL_H

#include "connect/finding.h"
#include "connect/sql.h"

/* Who is open, as the tables of a source share it: asks over c, or answers what was asked a moment
 * ago (*asked_us_out, monotonic: when), and who in the arena. */
typedef fr_rc fr_poll_look(void *context, fr_sql *c, fr_arena *a, fr_sql_state *out,
                           int64_t *asked_us_out, fr_err *err);

/* ---- a table ---- */

typedef struct fr_poller fr_poller;

/* progress: the text of its newest committed record; empty: it was never read. epoch: of its
 * events' positions. Borrows both settings. Nothing is asked yet; never fails. */
fr_poller *fr_poller_new(const fr_source_settings *source, const fr_table_settings *settings,
                         fr_str space, fr_str name, fr_str progress, uint32_t epoch,
                         fr_poll_look *look, void *context);
void fr_poller_free(fr_poller *p); /* NULL is fine */

/* Reads on, over c. One thread at a time; any connection to the same database.
 *   FR_OK   rows, or only b->progress, were put into the batch: call again
 *   FR_END  nothing more for now: ask again after poll.every. The batch may hold nothing
 *   FR_IDLE deadline_us (monotonic) has passed in the middle; nothing was put into it
 *   FR_FAIL the poller is only ever freed
 * With FR_OK b->polled and b->progress say what must be recorded with the batch's events. */
fr_rc fr_poller_fill(fr_poller *p, fr_sql *c, fr_batch *b, int64_t deadline_us, fr_err *err);
/* In the middle of a page: the connection is in use. */
bool fr_poller_reading(const fr_poller *p);
/* Ends a page that is being read; its rest is read again. Before the connection is closed. */
void fr_poller_leave(fr_poller *p);

typedef struct fr_poller_status {
    uint64_t page, rows; /* read in all; page is the position of the events */
    int64_t behind_us;   /* the bound is so far behind the server's clock; -1 unknown */
    int64_t whole_us;    /* our wall clock: what was stamped (by number: committed) before that is
                            read once the round is over; 0: rows wait, and it is not known */
    uint64_t gaps;       /* numbers that may still come */
    int64_t nulls;       /* rows without a cursor, which are not published; -1 not counted */
    bool held;           /* it waits for gaps to close: ask again soon */
    const char *waits;   /* for whom, while the bound stands still; NULL: nobody. Valid until the
                            next fill */
    int64_t waits_us;    /* so long he was there at the last look */
} fr_poller_status;
void fr_poller_status_of(const fr_poller *p, fr_poller_status *out);

/* ---- a table that is compared with what was published of it (poll/compare.h); between two rounds
 * of fill, or instead of them (method snapshot), and never in the middle of a page ---- */

/* The relation as it is now; anew: it was said to have changed. Lives until the next call of this
 * or of fill. */
fr_rc fr_poller_relation(fr_poller *p, fr_sql *c, bool anew, fr_sql_relation **out, fr_err *err);
/* Wall clock: the last comparison, or the end of the first load; 0: neither was. Known once there
 * was a relation. */
int64_t fr_poller_compared_us(const fr_poller *p);
uint64_t fr_poller_rows(const fr_poller *p);             /* published so far */
bool fr_poller_wants(const fr_poller *p, size_t column); /* fr_poller_passed looks at it */
/* No poll will find this row any more, as it is. */
bool fr_poller_passed(const fr_poller *p, const fr_row *row);
/* The events that follow are of a new page; their positions, and how far the table was read with
 * this batch. done: the comparison is through with it. */
void fr_poller_begin_page(fr_poller *p);
void fr_poller_place(fr_poller *p, fr_event *e);
void fr_poller_compared(fr_poller *p, fr_batch *b, bool done);

/* ---- a source ---- */

typedef struct fr_polled {
    fr_sql_name name;
    const fr_table_settings *settings; /* borrowed from the source's */
} fr_polled;

/* Which tables are polled: by the names in the configuration, and what the server has for its
 * patterns. Names in the arena, or borrowed from the settings. CONFIG: no name of a table. */
fr_rc fr_poll_find(const fr_sql_ops *ops, fr_sql *c, const fr_source_settings *source, fr_arena *a,
                   fr_polled **out, size_t *count_out, fr_err *err);
/* For plan: the polled tables as they are now; each with one reference for the caller. A table that
 * is named and missing is a CONFIG error. */
fr_rc fr_poll_tables(const fr_sql_ops *ops, fr_sql *c, const fr_source_settings *source,
                     fr_arena *a, const fr_table ***out, size_t *count_out, fr_err *err);
/* For plan: rights, cursor columns, indexes, keys, clocks. Changes nothing. */
void fr_poll_check(const fr_sql_ops *ops, const fr_source_settings *source, fr_findings *out);
/* Is the server the one that the record is of? POSITION: no. */
fr_rc fr_poll_same_server(fr_str recorded, fr_str now, fr_err *err);
/* poll.query: one SELECT, without ORDER BY or LIMIT at its end. CONFIG. Pure. */
fr_rc fr_poll_statement_check(const char *sql, fr_err *err);

#endif
