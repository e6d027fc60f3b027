/* file-sink: a folder of Parquet or Avro files by table and day, and a manifest beside them that
 * says which of them count. Every event becomes a row (write.mode append). The parts of one sink
 * share this header; everything outside uses fr_file_sink_ops (connect/sink.h).
 *
 *   file_manifest.c  the manifest's records, as bytes
 *   file_state.c     what all records together say
 *   file_folder.c    the folder: lock, records, files that come and go
 *   file_sink.c      options, open, check, claim, commit, park, close
 *   file_table.c     a message's table laid onto the files of before: names, types, on_change
 *   file_apply.c     events in order, into the stage
 *   file_parquet.c   rows into an in-memory DuckDB, and from there into files
 *   file_avro.c      rows as Avro, and avro-c's container files
 *   file_compact.c   small files of a day into one
 *
 * Rows wait for the commit: in DuckDB's memory, a table for each version of a message's table, or
 * as Avro's bytes. It writes a file for each of them and day, makes all of them durable, and then
 * adds one record to the manifest, with the files and the offsets: that is the commit
 * (docs/adr/0050-file-sink.md). */
#ifndef FR_FILE_FILE_SINK_H
#define FR_FILE_FILE_SINK_H

#include "connect/sink.h"
#include "duckdb/duck_sink_value.h"
#include "file/file_folder.h"
#include "sql/target.h"
#include <pthread.h>
#include <stdatomic.h>

enum { FR_FILE_PARQUET, FR_FILE_AVRO };
typedef struct fr_file_sink_config {
    const char *path, *library;
    int format; /* FR_FILE_... */
    int64_t memory, compact_files, compact_size, keep_us;
} fr_file_sink_config;

/* Days since 1970 of rows that say no time. */
#define FR_FILE_UNDATED INT32_MIN

typedef struct fr_file_day { /* what is staged of one day */
    int32_t day;
    int64_t rows;
    FR_FILE_LIST(fr_file_range, ranges); /* in the version's range_arena */
    fr_buf bytes;                        /* of Avro: rows, each behind its length */
    size_t longest;
} fr_file_day;

typedef struct fr_file_version { /* one version of a message's table, and where its rows go */
    const fr_table *table;       /* holds a reference */
    fr_arena *arena;             /* owns the texts below */
    fr_str space, name;          /* the target's */
    fr_str folder;               /* below the sink's */
    fr_str shown;                /* for people */
    fr_file_shape shape;         /* of its files */
    uint16_t *columns;           /* as many as shape.column_count: of the message's table */
    fr_column *staged;           /* as they are staged */
    size_t first, last;          /* of one apply: places of its events; 0: none */
    /* Waiting for the commit: */
    bool made; /* the stage has its table */
    duckdb_data_chunk chunk;
    duckdb_appender appender;
    size_t chunk_rows;
    int64_t stage_rows, since_cut; /* rows in the stage, and bytes of them since the last cut */
    int64_t *cuts;                 /* free(): rows of the stage before which a part begins */
    size_t cut_count, cut_cap;
    fr_str schema;     /* of Avro: JSON */
    fr_file_day *days; /* free() */
    size_t day_count, day_cap;
    fr_arena *range_arena;
} fr_file_version;

typedef struct fr_file_format fr_file_format;
typedef struct fr_file_sink {
    fr_sink base;
    const fr_sink_settings *settings;
    const fr_file_sink_config *config;
    const fr_file_format *format;
    const fr_duck_api *api; /* of Parquet, as db and con */
    duckdb_database db;
    duckdb_connection con;
    fr_file_folder folder;
    fr_arena *home;       /* of the sink's whole life */
    fr_arena *arena;      /* of one call */
    fr_arena *open;       /* of what waits for the commit */
    fr_map *tables;       /* by fr_table.serial: fr_file_version */
    fr_map *versions;     /* by fr_table.serial: fr_table, that were laid onto files */
    fr_map *folded;       /* names in lower case, to the name that was there first */
    fr_map *claims;       /* by topic and partition: epochs */
    fr_map *left;         /* fr_file_group_key of what could not be joined since the claim */
    bool untidy;          /* it was told since the claim that the manifest could not be folded */
    fr_file_record next;  /* shapes and keys that wait for the commit; in open */
    unsigned files;       /* names given in this commit */
    int64_t commit_us;    /* of the newest row applied */
    pthread_mutex_t lock; /* of con, against interrupt */
    atomic_bool connected;
    atomic_int_fast64_t lag_us;
} fr_file_sink;

/* ---- file_sink.c ---- */

/* What waits is given up. Never fails. */
void fr_file_sink_abandon(fr_file_sink *s);
/* Below the sink's folder: a name for the next file of this table and day, which is unique. */
fr_str fr_file_sink_name(fr_file_sink *s, fr_arena *a, fr_str folder, fr_str day);

/* ---- file_table.c ---- */

/* *out lives until what waits is given up or committed, and until it is forgotten. CONFIG where
 * on_change or a name is in the way. */
fr_rc fr_file_version_of(fr_file_sink *s, const fr_table *t, fr_file_version **out, fr_err *err);
void fr_file_version_drop(fr_file_sink *s, fr_file_version *v); /* what waits of it */
void fr_file_versions_forget(fr_file_sink *s);
fr_rc fr_file_sink_prepare(fr_sink *base, const fr_table *table, bool create, bool plan_only,
                           fr_findings *out, fr_err *err);

/* ---- file_apply.c ---- */

fr_rc fr_file_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                         size_t *applied, fr_err *err);

/* ---- file_parquet.c, file_avro.c: what waits, and how it becomes a file ---- */

/* All after `open` are called with a connection, or whatever open made, in place. */
struct fr_file_format {
    const char *end; /* ".parquet" */
    fr_rc (*open)(fr_file_sink *s, fr_err *err);
    void (*close)(fr_file_sink *s); /* what was not opened, too */
    /* The columns of new files are known (shape, staged): what the format has to say to them. */
    fr_rc (*lay)(fr_file_sink *s, fr_file_version *v, fr_err *err);
    /* One row, of this day. DATA names the column that does not take its value. */
    fr_rc (*row)(fr_file_sink *s, fr_file_version *v, fr_file_day *day, const fr_event *e,
                 const fr_row *row, char op, fr_err *err);
    fr_rc (*flush)(fr_file_sink *s, fr_file_version *v, fr_err *err); /* after some rows */
    void (*drop)(fr_file_sink *s, fr_file_version *v);                /* what waits of it */
    /* What waits of one day, into the file DIR/<below>.tmp. */
    fr_rc (*write)(fr_file_sink *s, const fr_file_version *v, const fr_file_day *day, fr_str below,
                   fr_err *err);
    /* Rows of these files, in their order, into DIR/<below>.tmp. */
    fr_rc (*join)(fr_file_sink *s, fr_file_entry *const *files, size_t count, fr_str below,
                  int64_t *rows_out, fr_err *err);
    /* The type of a message's column in new files, as the manifest has it. */
    fr_str (*type)(fr_arena *a, const fr_column *c);
    /* The type of new files where the newest ones have another one, held, than type, the
     * message's: all values of both go into it as they are, and readers of old and new files take
     * it for both. Empty: there is none. */
    fr_str (*both)(fr_arena *a, const fr_column *staged, fr_str type, fr_str held);
};
extern const fr_file_format fr_file_parquet;
#ifdef FR_WITH_AVRO
extern const fr_file_format fr_file_avro;
#endif

/* The column as it is staged: a length of time is a number, JSON a text. */
fr_column fr_file_staged(const fr_column *c);
/* DATA (sink.value), naming the column, of what readers of files would take for another value:
 * 24:00:00 comes out as 00:00:00, or not at all. */
fr_rc fr_file_check(const fr_column *c, const fr_value *v, fr_err *err);
/* Of an event: microseconds since 1970; 0: not known. */
int64_t fr_file_time(const fr_event *e);
/* ["a","b"]: columns whose values the source did not log, in s->arena. Empty: it logged all. */
fr_str fr_file_absent(fr_file_sink *s, const fr_file_version *v, const fr_row *row);

/* ---- file_compact.c ---- */

/* Joins small files, where there are many, of the groups that these files are in. What cannot be
 * joined is logged and left until the next claim: only where the manifest fails, or it is
 * interrupted, is that an error. */
fr_rc fr_file_sink_compact(fr_file_sink *s, const fr_file_record *done, fr_err *err);

extern const fr_sink_ops fr_file_sink_ops;

#endif
