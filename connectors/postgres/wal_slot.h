/* The replication slot: making it, copying it, and whether reading may go on at a position (R6). */
#ifndef FR_POSTGRES_WAL_SLOT_H
#define FR_POSTGRES_WAL_SLOT_H

#include "connectors/postgres/wal_source.h"

typedef struct fr_wal_slot_made {
    uint64_t lsn;       /* consistent point */
    char snapshot[128]; /* exported; lives as long as the connection does nothing else */
} fr_wal_slot_made;
/* Make the source's slot (permanent) or a temporary one on repl. sql: to see who is in the
 * way, and to cancel. BUSY (pg.slot_wait) when transactions that are open do not end. */
fr_rc fr_wal_slot_create(fr_wal_source *s, PGconn *repl, PGconn *sql, bool temporary,
                         fr_wal_slot_made *out, fr_err *err);
/* There must be none of our name: drops it where replace says that it is ours. */
fr_rc fr_wal_slot_clear(fr_wal_source *s, PGconn *sql, bool replace, fr_err *err);
/* R6: may we go on at *p? Brings p's timeline and epoch up to date. *confirmed_out: the
 * slot's confirmed_flush. repl: idle walsender. */
fr_rc fr_wal_slot_verify(fr_wal_source *s, PGconn *repl, PGconn *sql, fr_wal_position *p,
                         uint64_t *confirmed_out, fr_err *err);
/* A temporary copy of the slot on repl, from which a second reader may go on at *p: R6, and that
 * the server would not skip anything, is proved of the copy itself. It ends with the connection.
 * BUSY (pg.slots) without a free one; CONFIG (source.beside) before PostgreSQL 12. */
fr_rc fr_wal_slot_copy(fr_wal_source *s, PGconn *repl, PGconn *sql, fr_wal_position *p,
                       char name_out[FR_WAL_NAME_MAX], fr_err *err);
/* The slot's own position, for position_now. */
fr_rc fr_wal_slot_position(fr_wal_source *s, PGconn *sql, fr_wal_position *out, fr_err *err);

#endif
