/* What the stream's decoder asks about tables, answered from information_schema.
 *
 * Where the log names its columns (binlog_row_metadata=FULL) only keys, comments and the like
 * are looked up, table by table, again after every DDL.
 *
 * Where it does not, the answer must be as of the event's place, and information_schema knows
 * only now. So the tables are read as a whole, with the place of the log where that was, and
 * their fingerprint is part of every resume text: when we start, they must be what they were at
 * the position; when a DDL comes, they are read again; when a second one comes that lies before
 * the place of that reading, what was between the two cannot be known, and we stop. */
#ifndef FR_MYSQL_BINLOG_SHAPES_H
#define FR_MYSQL_BINLOG_SHAPES_H

#include "base/map.h"
#include "connectors/mysql/binlog_source.h"

typedef struct fr_binlog_shapes {
    fr_binlog_source *s;
    const fr_binlog_server *server; /* the reader's */
    fr_map *tables;  /* "space\0name" -> entry; what was looked up since the last DDL */
    fr_arena *arena; /* the catalog's; NULL: not read */
    fr_binlog_catalog catalog;
    char print[20];   /* its fingerprint; empty: names come with the log */
    uint64_t read_at; /* where the log ended when it was read */
    bool changed;     /* that reading differed from the one before */
} fr_binlog_shapes;

/* stored: the position's fingerprint. POSITION my.shape_unknown when tables changed since. */
fr_rc fr_binlog_shapes_open(fr_binlog_shapes *h, fr_binlog_source *s,
                            const fr_binlog_server *server, const char *stored, fr_err *err);
void fr_binlog_shapes_close(fr_binlog_shapes *h);
/* fr_binlog_calls.describe */
fr_rc fr_binlog_shapes_describe(fr_binlog_shapes *h, fr_my_relation *r, fr_arena *a, fr_err *err);
/* A DDL statement at this place of the log. */
fr_rc fr_binlog_shapes_ddl(fr_binlog_shapes *h, uint64_t lsn, fr_err *err);

#endif
