/* What information_schema says about the tables a source captures. */
#ifndef FR_MYSQL_BINLOG_CATALOG_H
#define FR_MYSQL_BINLOG_CATALOG_H

#include "connectors/mysql/my_conn.h"
#include "connectors/mysql/my_layout.h"
#include "model/settings.h"

typedef struct fr_binlog_table {
    fr_my_relation relation; /* as fr_my_relation_fill wants it; captured, named and keyed */
    const fr_table_settings *settings;
    fr_str engine;      /* "InnoDB" */
    bool transactional; /* a consistent view covers it */
    bool has_primary;   /* else the key is another unique index, or there is none */
    uint64_t rows;      /* an estimate */
    size_t key_count;   /* columns with primary set */
    /* Of a system-versioned table: which column says when a version ended; else empty. Hidden: it
     * was not declared. */
    fr_str period_end;
    bool period_hidden;
} fr_binlog_table;

typedef struct fr_binlog_catalog {
    fr_binlog_table *tables; /* captured ones, by space and name */
    size_t count;
    fr_arena *arena; /* the caller's: owns all of it */
} fr_binlog_catalog;

/* Reads everything on my (any transaction state). full_image as the server logs now. CONFIG error
 * my.history_key where a key: would mix up the versions of rows of a system-versioned table. */
fr_rc fr_binlog_catalog_read(fr_my *my, const fr_source_settings *settings, bool full_image,
                             fr_arena *a, fr_binlog_catalog *out, fr_err *err);
/* One table; *out NULL where it does not exist (any more), or cannot be seen. */
fr_rc fr_binlog_catalog_table(fr_my *my, const fr_source_settings *settings, bool full_image,
                              fr_str space, fr_str name, fr_arena *a, fr_binlog_table **out,
                              fr_err *err);
/* The same for a table or a view, which is to be polled. */
fr_rc fr_binlog_catalog_any(fr_my *my, const fr_table_settings *t, fr_str space, fr_str name,
                            fr_arena *a, fr_binlog_table **out, fr_err *err);
/* What the table's settings say of a column: columns.types, columns.zero_dates. */
void fr_binlog_catalog_configure(const fr_table_settings *t, fr_my_column *c);
/* All tables and views that we may see: space, name, ... */
fr_rc fr_binlog_catalog_names(fr_my *my, fr_arena *a, fr_my_rows *out, fr_err *err);
/* CONFIG error my.table when an exactly named table is not there. For a first start: later that is
 * for fr_binlog_absent to say. */
fr_rc fr_binlog_catalog_verify(const fr_source_settings *settings, const fr_binlog_catalog *c,
                               fr_err *err);
/* A fingerprint of names, types and keys of all tables, as text of 16 bytes and a NUL. */
void fr_binlog_catalog_shapes(const fr_binlog_catalog *c, char out[20]);

#endif
