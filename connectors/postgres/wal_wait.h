/* Waiting on a connection's socket, so that another thread can end the wait. */
#ifndef FR_POSTGRES_WAL_WAIT_H
#define FR_POSTGRES_WAL_WAIT_H

#include "base/error.h"
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct fr_wal_wake {
    int fd; /* eventfd */
    atomic_bool asked;
} fr_wal_wake;

fr_rc fr_wal_wake_open(fr_wal_wake *w, fr_err *err);
void fr_wal_wake_close(fr_wal_wake *w);
/* From any thread: the wait that runs, or the next one, ends at once. */
void fr_wal_wake_up(fr_wal_wake *w);
/* True once after each fr_wal_wake_up (several count as one). */
bool fr_wal_wake_seen(fr_wal_wake *w);
/* Until conn has bytes to read (FR_OK), or until_us (monotonic) or a wake-up (FR_IDLE).
 * What we have to send goes out meanwhile. */
fr_rc fr_wal_wait(PGconn *conn, fr_wal_wake *w, int64_t until_us, fr_err *err);

#endif
