/* What a PostgreSQL server's catalog says about the tables a source captures. */
#ifndef FR_POSTGRES_WAL_CATALOG_H
#define FR_POSTGRES_WAL_CATALOG_H

#include "connectors/postgres/pg_conn.h"
#include "connectors/postgres/pg_layout.h"
#include "model/settings.h"

enum { FR_WAL_KEY_MAX = 32 }; /* INDEX_MAX_KEYS */

typedef struct fr_wal_column {
    int16_t attnum;
    fr_str type; /* format_type: for casts */
    bool not_null;
    bool generated; /* GENERATED ALWAYS AS (...) STORED */
    bool sent;      /* pgoutput sends it: then it is relation.columns[sent_index] too */
    size_t sent_index;
    fr_str name;
} fr_wal_column;

typedef struct fr_wal_table {
    fr_pg_relation relation; /* as the stream would announce it, catalog's half included */
    const fr_table_settings *settings;
    char kind;         /* relkind: r, p (partitioned), f, v, m */
    char persistence;  /* p, u (unlogged), t (temporary) */
    bool partition;    /* of another table */
    bool row_security; /* policies apply to us */
    bool may_select;
    bool published;
    fr_str row_filter; /* the publication's WHERE, empty: none */
    int64_t rows;      /* an estimate */
    int64_t pages;
    fr_str qualified; /* "space"."name" */
    fr_wal_column *columns;
    size_t column_count;
    size_t toasted; /* sent columns whose unchanged values the log may leave out */
    /* The index that orders chunks: columns as indexes into columns; none: 0. */
    size_t key[FR_WAL_KEY_MAX];
    size_t key_count;
    bool has_primary, has_identity_index;
} fr_wal_table;

typedef struct fr_wal_publication {
    bool exists, all_tables, via_root;
    bool insert, update, delete, truncate;
} fr_wal_publication;

typedef struct fr_wal_catalog {
    fr_wal_publication publication;
    fr_wal_table *tables; /* captured ones that pgoutput names, by space and name */
    size_t count;
    fr_wal_table *refused; /* matched by name or pattern, but cannot be captured */
    size_t refused_count;
    bool messages;   /* logical messages are captured as well */
    fr_arena *arena; /* the caller's: owns all of it */
} fr_wal_catalog;

/* Reads everything in a few statements on conn (any transaction state). version:
 * server_version_num. A missing publication is not an error here. */
fr_rc fr_wal_catalog_read(PGconn *conn, int version, const fr_source_settings *settings,
                          const char *publication, fr_arena *a, fr_wal_catalog *out, fr_err *err);
/* The same without columns and keys: which tables there are, and whether they are published. */
fr_rc fr_wal_catalog_names(PGconn *conn, int version, const fr_source_settings *settings,
                           const char *publication, fr_arena *a, fr_wal_catalog *out, fr_err *err);
/* The catalog's half of one relation for the stream: fills in r (captured too). */
fr_rc fr_wal_catalog_describe(PGconn *conn, int version, const fr_source_settings *settings,
                              const char *publication, fr_pg_relation *r, fr_arena *a, fr_err *err);
/* Adds the types of these oids, and what they refer to, to the catalog of types. */
fr_rc fr_wal_types_lookup(PGconn *conn, const uint32_t *oids, size_t count, fr_pg_catalog *types,
                          fr_err *err);
/* All types that the tables use and types does not know yet, in one question. */
fr_rc fr_wal_types_of(PGconn *conn, const fr_wal_table *tables, size_t count, fr_pg_catalog *types,
                      fr_err *err);
/* columns.types of this column asks for its text. */
bool fr_wal_column_as_text(const fr_table_settings *t, fr_str column);
/* Is the table published in Debezium's envelope? t may be NULL. */
bool fr_wal_debezium(const fr_table_settings *t);
/* Why a table cannot be captured, in words; for refused ones. */
const char *fr_wal_refusal(const fr_wal_table *t, const fr_wal_publication *p);

#endif
