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

typedef struct fr_status {
    bool connected;
    int64_t lag_us;         /* age of the last event read or applied; -1 unknown */
    int64_t lag_bytes;      /* log written but not read; -1 unknown */
    int64_t retained_bytes; /* log the server keeps because of us; -1 unknown */
    int64_t retained_limit; /* bytes after which it stops keeping; -1 none or unknown */
    uint64_t server_lsn, read_lsn, confirmed_lsn; /* 0 unknown */
    int64_t last_byte_us; /* monotonic time of the last byte received; 0 never */
} fr_status;

#endif
