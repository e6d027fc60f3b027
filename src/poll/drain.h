/* An outbox as a queue: what can be seen of it has not been published, but for the rows that are
 * pending: published, and perhaps not deleted yet. Those are in the checkpoint, in the Kafka
 * transaction that published them, so that a crash at any point neither loses a row nor repeats
 * it (docs/sources/outbox.md). There is no cursor: a row that is committed late is simply seen
 * later, and nothing is ever deleted but the very rows that were published.
 *
 * The same of a change table that triggers fill (method trigger): its rows are published as the
 * changes of their table that they are, and that table is loaded first (docs/sources/trigger.md).
 */
#ifndef FR_POLL_DRAIN_H
#define FR_POLL_DRAIN_H

#include "poll/poll.h"

typedef struct fr_drain fr_drain;

/* As fr_poller_new. */
fr_drain *fr_drain_new(const fr_source_settings *source, const fr_table_settings *settings,
                       fr_str space, fr_str name, fr_str progress, uint32_t epoch);
void fr_drain_free(fr_drain *d); /* NULL is fine */

/* Deletes what is pending, then reads on; as fr_poller_fill. Once fr_drain_waits, only when all
 * that it gave is committed, with its progress. */
fr_rc fr_drain_fill(fr_drain *d, fr_sql *c, fr_batch *b, int64_t deadline_us, fr_err *err);
/* It has given what it may: fill again when that is committed, whatever fill has answered. */
bool fr_drain_waits(const fr_drain *d);
bool fr_drain_reading(const fr_drain *d); /* as fr_poller_reading */
/* Ends a page that is being read; what it gave of it counts. Before the connection is closed. */
void fr_drain_leave(fr_drain *d);

/* As fr_poller_status_of; there is no bound to be behind, and nobody to wait for. */
void fr_drain_status_of(const fr_drain *d, fr_poller_status *out);

/* ---- which columns; pure ---- */

typedef struct fr_drain_order {
    size_t id;                /* outbox.id: what tells the rows apart */
    size_t columns[2], count; /* ordered by: poll.column, if there is one, and the id */
    const char *doubt;        /* why the order may not be that of the transactions, and */
    const char *remedy;       /* what helps; NULL: no doubt */
    fr_str doubt_of;          /* of which column or sequence; lives with the relation */
} fr_drain_order;

/* CONFIG: not there, may be NULL, no order, not unique; no table; no right to delete. */
fr_rc fr_drain_order_of(const fr_sql_relation *r, const fr_table_settings *t, fr_drain_order *out,
                        fr_err *err);

#endif
