/* Rows of an outbox that were published and are not known to be deleted: by their id, with a sum
 * over what was published, so that an id that is used again is not taken for the old row; and the
 * record table/<space.table> of the checkpoint topic that says so (docs/checkpoints.md). Pure; one
 * thread at a time. */
#ifndef FR_POLL_PENDING_H
#define FR_POLL_PENDING_H

#include "base/error.h"
#include "model/table.h"

typedef struct fr_pending_row {
    fr_str id; /* in the server's spelling */
    uint32_t sum;
} fr_pending_row;

typedef struct fr_pending { /* zero is empty */
    fr_arena *arena;
    fr_pending_row *rows;
    size_t count, cap, bytes; /* bytes: of them in the record, about */
    uint64_t page, read;      /* pages and rows read so far */
    fr_str id;                /* the column's name */
    fr_str *columns;          /* those that the sums are of */
    size_t column_count;
    fr_str load; /* what a record says of a first load (poll/load.h); empty: nothing */
} fr_pending;

/* The record stays well below what a message of Kafka may be. */
enum { FR_PENDING_BYTES_MAX = 400000, FR_PENDING_ID_MAX = 255 };

void fr_pending_free(fr_pending *p);
/* No rows; page, read and columns stay. */
void fr_pending_clear(fr_pending *p);
/* Only while there are no rows. Names are copied. */
void fr_pending_columns(fr_pending *p, fr_str id, const fr_str *columns, size_t count);
void fr_pending_add(fr_pending *p, fr_str id, uint32_t sum);
/* Over these values of a row; at: their places in it. Integers of either width, floats of either
 * width, and JSON and text, are not told apart, so that a column may be widened meanwhile. */
uint32_t fr_pending_sum(const fr_row *row, const size_t *at, size_t count);
/* Is the sum of these values? Also one of an older version, which told them apart. */
bool fr_pending_same(const fr_row *row, const size_t *at, size_t count, uint32_t sum);

/* more: members of the record beside these, as JSON, each behind a comma. */
fr_str fr_pending_record(fr_arena *a, const fr_pending *p, fr_str more);
/* POSITION where it cannot be read, or is not of an outbox that is emptied. */
fr_rc fr_pending_parse(fr_str text, fr_pending *out, fr_err *err);

#endif
