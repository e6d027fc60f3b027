/* Rows of ClickHouse's format TabSeparated
 * (https://clickhouse.com/docs/interfaces/formats/TabSeparated), read in pieces as they come: a
 * line a row, cells between tabs, \N for NULL, all else escaped by backslashes. Pure. */
#ifndef FR_CLICKHOUSE_CH_TAB_H
#define FR_CLICKHOUSE_CH_TAB_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct fr_ch_tab {
    size_t columns; /* of each row, as of the first; 0: none came yet */
    /* Is given each row; cells (ptr NULL: NULL) are valid during the call. */
    fr_rc (*each)(void *context, const fr_str *cells, size_t count, fr_err *err);
    void *context;
    fr_buf rest;   /* of a row that has not come whole; on the heap */
    fr_str *cells; /* of the last row; on the heap */
} fr_ch_tab;

/* CONNECT (ch.reply) where a row has not as many cells as the first, or is longer than a row can
 * be; each's error. Then nothing more is to be fed. */
fr_rc fr_ch_tab_feed(fr_ch_tab *t, fr_str bytes, fr_err *err);
/* The answer is whole: CONNECT (ch.reply) where it ends within a row. */
fr_rc fr_ch_tab_end(const fr_ch_tab *t, fr_err *err);
void fr_ch_tab_free(fr_ch_tab *t);

#endif
