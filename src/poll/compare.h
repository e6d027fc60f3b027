/* What a table holds against what was published of it: two sorted lists of keys, walked beside each
 * other, and the SQL that reads the table for it. The keys are bytes that whoever publishes makes
 * of a row; the order is the sorter's. Pure; one thread. */
#ifndef FR_POLL_COMPARE_H
#define FR_POLL_COMPARE_H

#include "connect/sql.h"
#include "poll/sorter.h"

/* The first byte of what is known of a published key; the rest is a print of its row's content. */
enum { FR_PUBLISHED_GONE = 0, FR_PUBLISHED_THERE = 1 };

typedef enum fr_match_kind {
    FR_MATCH_MISSING, /* published, and not in the table */
    FR_MATCH_UNSEEN,  /* in the table, and not published; or published as deleted */
    FR_MATCH_BOTH,
} fr_match_kind;

typedef struct fr_match {
    fr_match_kind kind;
    fr_str key, published, row; /* the sorters' values */
    bool again;                 /* the table has another row of this key */
} fr_match;

typedef struct fr_matcher {
    fr_sorter *published; /* of the newest state */
    fr_sorter *rows;      /* of all */
    fr_str key, value;    /* the published one at hand */
    fr_str row_key, row_value;
    bool begun, advance, advance_row, published_ended, rows_ended;
    fr_buf last; /* key of the row before */
} fr_matcher;

/* Both at their first record. */
fr_rc fr_matcher_begin(fr_matcher *m, fr_sorter *published, fr_sorter *rows, fr_err *err);
void fr_matcher_end(fr_matcher *m);
/* FR_OK, FR_END. Texts are valid until the next call. */
fr_rc fr_matcher_next(fr_matcher *m, fr_match *out, fr_err *err);

/* ---- a row as bytes, for the time between reading and publishing it ---- */

void fr_row_pack(fr_buf *b, const fr_event *e);
/* False: not what fr_row_pack has written for this table. Texts point into `bytes`. */
bool fr_row_unpack(fr_str bytes, const fr_table *t, fr_batch *b, fr_event *e);

/* ---- SQL ---- */

/* All rows that snapshot.where takes; of columns that are not wanted NULL (wanted NULL: all). */
fr_str fr_compare_all_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *r,
                          const fr_table_settings *t, const bool *wanted);
/* The rows of these keys: for each, one value per column of the table, of which those of
 * key[0..key_count) are looked at. False: a value cannot be written. */
bool fr_compare_rows_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *r,
                         const fr_table_settings *t, const uint16_t *key, size_t key_count,
                         const fr_row *rows, size_t count, fr_str *out);

#endif
