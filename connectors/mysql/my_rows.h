/* Rows of the text protocol, of SELECT with the expressions of fr_my_select, as READ events. */
#ifndef FR_MYSQL_MY_ROWS_H
#define FR_MYSQL_MY_ROWS_H

#include "connectors/mysql/my_conn.h"
#include "connectors/mysql/my_layout.h"

typedef struct fr_my_row_reader {
    const fr_my_layout *layout; /* a layout's conversions are one thread's */
    int64_t max_row_bytes;      /* 0: any */
    uint64_t lsn;               /* position of the events */
    uint32_t epoch;
    const char *place; /* for messages: "the snapshot" */
    bool announced;    /* the TABLE event is out */
} fr_my_row_reader;

/* FR_IDLE: the batch is full, give the same row again with the next one. A value that cannot be
 * decoded, or a row above max_row_bytes, sets event->bad. */
fr_rc fr_my_row(fr_my_row_reader *r, fr_batch *b, MYSQL_ROW row, const unsigned long *lengths);

#endif
