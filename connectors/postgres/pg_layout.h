/* A PostgreSQL relation, and the table version made of it. Used by the stream (Relation
 * messages) and by snapshots, so that both give a table the same shape. */
#ifndef FR_POSTGRES_PG_LAYOUT_H
#define FR_POSTGRES_PG_LAYOUT_H

#include "connectors/postgres/pg_types.h"
#include "model/batch.h"

typedef struct fr_pg_attr {
    /* In the Relation message; for a snapshot from pg_attribute. */
    fr_str name;
    uint32_t type;  /* atttypid */
    int32_t typmod; /* atttypmod */
    bool identity;  /* part of the replica identity (FULL: every column) */
    /* Only in the catalog. Preset to what is right when nothing is known. */
    bool nullable;    /* true; false: attnotnull */
    bool plain;       /* false; true: attstorage is 'p' or attlen is not -1: never absent */
    uint16_t primary; /* 0; 1, 2, ...: place in the primary key */
    bool as_text;     /* false; true: columns.types says string */
    bool debezium;    /* false; true: its table is published in Debezium's envelope */
    fr_str doc;       /* col_description */
    fr_str fallback;  /* pg_get_expr of the default; empty: none, or an identity column */
} fr_pg_attr;

typedef struct fr_pg_relation {
    uint32_t oid;
    fr_str space, name;
    char identity; /* relreplident: d default, n nothing, f full, i index */
    size_t column_count;
    fr_pg_attr *columns;
    /* Only in the catalog and the configuration. */
    bool captured; /* true */
    fr_str doc;    /* obj_description */
} fr_pg_relation;

typedef struct fr_pg_layout {
    const fr_table *table; /* a reference */
    fr_pg_codec *codecs;   /* one per column of the table */
    bool *identity;        /* one per column: in the key tuple */
    bool binary_safe;      /* of all columns */
} fr_pg_layout;

/* Build the table: kinds, native types, fallbacks and
 *   key: the primary key if the log always has it in the old row (identity d, f, or n, or
 *     its columns are all in the identity index); else the identity index's columns; none
 *     under f and n without a primary key;
 *   may_be_absent: toastable and not FULL;
 *   full_before: FULL.
 * Errors are fr_pg_resolve's, with table and column in front. */
fr_rc fr_pg_layout_new(const fr_pg_catalog *c, const fr_pg_relation *r, uint32_t version,
                       fr_pg_layout **out, fr_err *err);
/* The same layout, as version + 1, with a column made nullable (or, absent true: one that
 * may be absent): the log has a NULL where the catalog, which is newer or older than the
 * log, says NOT NULL. */
fr_pg_layout *fr_pg_layout_relax(const fr_pg_layout *l, size_t column, bool absent);
/* True when nothing that a consumer can see differs: names, types, keys, comments, ... */
bool fr_pg_layout_same(const fr_pg_layout *a, const fr_pg_layout *b);
void fr_pg_layout_free(fr_pg_layout *l); /* NULL is fine */

/* A value of a row could not be decoded: *bad says why, unless it says something already:
 * table, column, type, reason, remedy and lsn; never the value. In a. */
void fr_pg_layout_bad(const fr_pg_layout *l, size_t column, fr_arena *a, uint64_t lsn,
                      const fr_err *err, fr_str *bad);

#endif
