/* What the schema of a SQLite file says of a table, a view or a statement. All texts are in the
 * shape's arena. */
#ifndef FR_SQLITE_SQ_SHAPE_H
#define FR_SQLITE_SQ_SHAPE_H

#include "connectors/sqlite/sq_conn.h"
#include "connectors/sqlite/sq_types.h"
#include "model/settings.h"

typedef struct fr_sq_shape {
    fr_arena *arena;          /* the caller's */
    fr_str space, name, from; /* from: as it stands behind FROM */
    bool statement, view, without_rowid, strict;
    fr_sq_column *columns;
    size_t count;
    int rowid;     /* the column that is the rowid by another name; -1: none */
    fr_str text;   /* what is another after ALTER TABLE */
    fr_str cookie; /* PRAGMA schema_version, when it was read */
    /* One per column, as in connect/sql.h. */
    bool *indexed, *unique, *stamped, *reused;
} fr_sq_shape;

/* Columns, types and indexes of space.name, or of t->poll_query. CONFIG: there is none, it is
 * virtual, or a column's type is not known. */
fr_rc fr_sq_shape_read(const fr_sq *c, const fr_table_settings *t, fr_str space, fr_str name,
                       fr_sq_shape *s, fr_err *err);
/* The columns are those that were read. Within a transaction: of its view. */
fr_rc fr_sq_shape_same(const fr_sq *c, fr_sq_shape *s, bool *same, fr_err *err);
/* The relation's index of the column, or -1. */
int fr_sq_shape_find(const fr_sq_shape *s, fr_str column);

#endif
