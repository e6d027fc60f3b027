/* Rows of COPY (SELECT columns ...) TO STDOUT, in text or binary format, as READ events.
 * The columns must be those of the layout, in its order. */
#ifndef FR_POSTGRES_PG_COPY_H
#define FR_POSTGRES_PG_COPY_H

#include "connectors/postgres/pg_layout.h"

typedef struct fr_pg_copy {
    const fr_pg_layout *layout;
    bool binary;
    uint64_t view_lsn; /* position of the events */
    uint32_t epoch;
    bool header_seen; /* binary: start with false */
    bool announced;   /* the TABLE event is out; set true to suppress it */
    /* Ours: */
    fr_pg_layout *relaxed; /* the layout after a NULL in a NOT NULL column */
    void *cells;
    fr_err scratch;
} fr_pg_copy;

/* One CopyData message (what PQgetCopyData returned). Values point into it:
 *   FR_OK    a READ event was appended (before the first one, TABLE): let batch->arena adopt
 *            data now (not before, see pgoutput_decode.h). Nothing was, if data is the head of
 *            a binary copy alone
 *   FR_IDLE  the batch is full: give the same message again with the next batch
 *   FR_END   it was the end mark (binary), nothing appended
 *   FR_FAIL  BUG: it is not what COPY sends
 * A value that cannot be decoded sets event->bad. */
fr_rc fr_pg_copy_row(fr_pg_copy *c, fr_batch *batch, fr_str data, fr_err *err);
void fr_pg_copy_end(fr_pg_copy *c); /* frees what is ours in *c; not the layout */

#endif
