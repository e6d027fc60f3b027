/* What the stream's decoder asks the catalog, and what it was told: the shape of each
 * relation that the log announced. One thread: the reader's. */
#ifndef FR_POSTGRES_WAL_SHAPES_H
#define FR_POSTGRES_WAL_SHAPES_H

#include "base/map.h"
#include "connectors/postgres/pgoutput_decode.h"
#include "connectors/postgres/wal_source.h"

typedef struct fr_wal_shape { /* a captured relation as the log describes it now */
    fr_arena *arena;
    fr_pg_relation relation;
} fr_wal_shape;

typedef struct fr_wal_shapes {
    fr_wal_source *s;
    fr_pg_catalog *types;
    fr_map *by_oid; /* of fr_wal_shape */
    bool binary;    /* the stream's values are binary where they can be */
} fr_wal_shapes;

void fr_wal_shapes_open(fr_wal_shapes *h, fr_wal_source *s);
void fr_wal_shapes_close(fr_wal_shapes *h);
/* The decoder's callbacks; h is their context. */
fr_pgoutput_calls fr_wal_shapes_calls(fr_wal_shapes *h);
/* NULL: not announced yet, or not captured. */
const fr_wal_shape *fr_wal_shapes_find(const fr_wal_shapes *h, uint32_t oid);
/* True when values of all these tables may come in binary (R27). */
bool fr_wal_shapes_binary_safe(fr_wal_shapes *h, const fr_wal_catalog *c);

/* wal_reread.c. Decision 47: an update that changed the key beside an unchanged TOASTed
 * value: the value is in no log. Reads it from the table by the new key, and puts the names
 * of these columns, with commas, into e->name (header freshet.reread). Where the row is gone by
 * now they stay absent and e->gone is set; where it cannot be read the event is bad. BUSY when the
 * transaction is not visible yet (synchronous replication), or what became of it is not flushed:
 * read again from the last position. */
fr_rc fr_wal_reread(fr_wal_shapes *h, fr_batch *b, fr_event *e, uint32_t xid, fr_err *err);
/* Cheap test whether fr_wal_reread has anything to do. */
bool fr_wal_needs_reread(const fr_event *e);

#endif
