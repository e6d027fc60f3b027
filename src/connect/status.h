/* What only the connector can know; counters and rates are the runtime's. */
#ifndef FR_CONNECT_STATUS_H
#define FR_CONNECT_STATUS_H

#include <stdbool.h>
#include <stdint.h>

/* What a source, sink or table is doing. THROTTLED, PAUSED, BLOCKED, RETRYING and FAILED are
 * stated reasons for standing still. */
typedef enum fr_state {
    FR_STATE_PENDING,
    FR_STATE_SNAPSHOTTING,
    FR_STATE_CATCHING_UP,
    FR_STATE_STREAMING,
    FR_STATE_THROTTLED,
    FR_STATE_PAUSED,
    FR_STATE_BLOCKED,
    FR_STATE_RETRYING,
    FR_STATE_FAILED,
    FR_STATE_STOPPED
} fr_state;
const char *fr_state_name(fr_state s); /* "catching-up" */

/* Seconds for which somebody holds up a poll: told then; and a warning. */
enum { FR_WAITS_LONG_S = 5, FR_WAITS_TOO_LONG_S = 60 };

typedef struct fr_status {
    bool connected;
    int64_t lag_us;         /* age of the last event read or applied; -1 unknown */
    int64_t lag_bytes;      /* log written but not read; -1 unknown */
    int64_t retained_bytes; /* log the server keeps because of us; -1 unknown */
    int64_t retained_limit; /* bytes after which it stops keeping; -1 none or unknown */
    uint64_t server_lsn, read_lsn, confirmed_lsn; /* 0 unknown */
    int64_t last_byte_us; /* monotonic time of the last byte received; 0 never */
    uint64_t changes;     /* statements in the log, so far, by which tables may have come or gone */
} fr_status;

/* A table that is asked (method query): what its polls have found. Texts are borrowed. */
typedef struct fr_polled_status {
    uint64_t pages, rows;     /* read so far, over restarts too */
    uint64_t last_rows;       /* that the last poll has found */
    int64_t last_us, took_us; /* when it ended (wall; 0: none did yet), and how long it took */
    int64_t next_us;          /* wall: when the next one is due; 0: it is under way */
    int64_t behind_us;        /* the bound is so far behind the server's clock; -1 unknown */
    uint64_t gaps;            /* numbers that may still come */
    int64_t nulls;            /* rows that are never read (1000: or more); -1 not counted yet */
    const char *waits;        /* for whom the bound stands still; NULL: nobody */
    int64_t waits_since_us;   /* wall */
    int64_t whole_us;         /* wall: what was stamped before is in Kafka; 0 unknown */
} fr_polled_status;

#define FR_HELD_OPERATOR "operator"      /* fr_held_status.code: somebody asked for it */
#define FR_HELD_GONE "schema.table_gone" /* there is no such table any more */

/* A table of a source, or a topic of a sink, that waits while the others go on. Texts are borrowed.
 */
typedef struct fr_held_status {
    const char *code; /* of the error, "schema.blocked"; or FR_HELD_OPERATOR */
    const char *why;  /* what it waits for, and what to do: one line */
    const char *from; /* the position from which it is caught up */
    int64_t since_us; /* wall */
    uint64_t waiting; /* events that were passed over since this process began to count */
    bool catching_up; /* it was released, and what was passed over is published now */
} fr_held_status;

#endif
