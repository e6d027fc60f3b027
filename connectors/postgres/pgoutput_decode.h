/* pgoutput, protocol version 1: messages in, events out. Pure: no sockets, no clock.
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 * One thread at a time. */
#ifndef FR_POSTGRES_PGOUTPUT_DECODE_H
#define FR_POSTGRES_PGOUTPUT_DECODE_H

#include "connectors/postgres/pg_layout.h"

typedef struct fr_pgoutput_calls {
    void *context;
    /* A Relation message arrived (the server sends one before a relation's first row, and again
     * after anything about it may have changed, ANALYZE included): say whether it is captured, and
     * fill in what only the catalog knows (fr_pg_attr, second half). Match columns by
     * name: the catalog may be newer than the log; leave what it does not have as preset.
     * Texts may be put into a, which lives as long as the call. */
    fr_rc (*describe)(void *context, fr_pg_relation *r, fr_arena *a, fr_err *err);
    /* A type is unknown: look it up (fr_pg_types_sql) and add it to the catalog. Not
     * adding it is no failure here; the decoder then fails with "pg.type_unknown". */
    fr_rc (*lookup)(void *context, uint32_t oid, fr_pg_catalog *catalog, fr_err *err);
} fr_pgoutput_calls;

/* Where the decoder is. Read only. */
typedef struct fr_pgoutput_place {
    bool in_txn;         /* between Begin and Commit */
    uint32_t xid;        /* of the transaction, the last one after its Commit */
    uint64_t commit_lsn; /* known from Begin on */
    uint64_t end_lsn;    /* after a Commit: where reading may start again */
    int64_t commit_us;   /* since 1970 */
    uint32_t ordinal;    /* of the next row or message in this transaction */
    size_t relations;    /* announced so far */
} fr_pgoutput_place;

typedef struct fr_pgoutput fr_pgoutput;

/* calls is copied, catalog is borrowed. epoch goes into every position. */
fr_pgoutput *fr_pgoutput_new(const fr_pgoutput_calls *calls, fr_pg_catalog *catalog,
                             uint32_t epoch);
void fr_pgoutput_free(fr_pgoutput *p); /* NULL is fine */
const fr_pgoutput_place *fr_pgoutput_where(const fr_pgoutput *p);
/* One message: the payload of XLogData ('w' without its 25-byte head); wal_start is the
 * head's dataStart. Values point into it, so it must live as long as the batch:
 *   FR_OK    done. If batch->count grew, let batch->arena adopt the message now; else (Origin,
 *            Type, Relation, rows of tables that are not captured) nothing points into it.
 *            Adopt after the call and not before: a row larger than max_bytes would fill
 *            every batch before its event is in
 *   FR_IDLE  the batch is full before the message was done: give the same message again with
 *            the next batch. What was appended stays, and does not point into the message
 *   FR_FAIL  BUG: unknown or malformed message (unknown is fatal, R42); or what describe,
 *            lookup or fr_pg_layout_new said
 *
 * Events: BEGIN, COMMIT (position.resume is empty: the caller fills it in from
 * fr_pgoutput_where()->end_lsn; row_lsn is the end LSN too), TABLE before the first row of
 * each version of a relation, INSERT, UPDATE, DELETE, TRUNCATE (one per relation, in the
 * message's order), MESSAGE. Values:
 *   - old key tuple: before has the identity's columns, the others are ABSENT;
 *   - unchanged TOAST: ABSENT in after; under FULL it is taken from the old row (C18);
 *   - a value that cannot be decoded: event->bad says why (table, column, type, LSN), the
 *     value is ABSENT, the others are there; the stream goes on.
 * Ordinals count every row, truncated relation and message of the transaction, captured
 * or not, so a changed choice of tables does not move positions. A message outside a
 * transaction has its own LSN and ordinal 0. */
fr_rc fr_pgoutput_message(fr_pgoutput *p, fr_batch *batch, fr_str message, uint64_t wal_start,
                          fr_err *err);

#endif
