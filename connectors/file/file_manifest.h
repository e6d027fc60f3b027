/* The manifest of a folder of files: what readers read, and what a writer goes on from. It is a row
 * of numbered commits, each a small file `<number>.commit.json` that is made once and never
 * changed, and now and then a `<number>.fold.json`, which says in one what all commits up to its
 * number say. One JSON object a file, on one line, the last member the CRC-32C of all bytes before
 * it (docs/sinks/file.md has the format). Bytes of others: everything is checked, nothing is
 * believed. Pure: nothing here opens a file. One thread at a time. */
#ifndef FR_FILE_FILE_MANIFEST_H
#define FR_FILE_FILE_MANIFEST_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/map.h"

enum { FR_FILE_FORMAT = 1 }; /* of the manifest: "v" */

typedef enum fr_file_kind {
    FR_FILE_CLAIM,   /* an instance owns the folder from here on */
    FR_FILE_COMMIT,  /* rows and the offsets behind them */
    FR_FILE_COMPACT, /* the same rows in fewer files */
    FR_FILE_FOLD     /* all there is */
} fr_file_kind;

typedef struct fr_file_range { /* offsets whose rows are in a file: all between first and last that
                                  this table has */
    fr_str topic;
    int32_t partition;
    int64_t first, last;
} fr_file_range;

typedef struct fr_file_entry {
    fr_str path; /* FOLDER/DAY/NAME below the folder: only what fr_file_path_valid takes */
    fr_str space, name, day;
    int64_t shape; /* the version of the table's columns */
    int64_t rows, bytes;
    fr_file_range *ranges;
    size_t range_count;
} fr_file_entry;

typedef struct fr_file_column {
    fr_str name, type; /* DuckDB's words for types: "DECIMAL(10,2)" */
    int64_t key;       /* 1, 2, ... within the key; 0 */
} fr_file_column;

typedef struct fr_file_shape { /* columns of a table's files, without freshet's own */
    fr_str space, name;
    int64_t number; /* 1, 2, ... within the table */
    fr_file_column *columns;
    size_t column_count;
} fr_file_shape;

typedef struct fr_file_next { /* where a partition goes on */
    fr_str topic;
    int32_t partition;
    int64_t next;    /* -1: claimed, and nothing is there yet */
    fr_str topic_id; /* of which topic of that name; empty: not known */
} fr_file_next;

typedef struct fr_file_gone { /* a file that readers of an older manifest may still read */
    fr_str path;
    int64_t at_ms;
} fr_file_gone;

typedef struct fr_file_key { /* a key that is parked (R36), or parked no longer */
    fr_str topic, key;
    bool parked;
} fr_file_key;

#define FR_FILE_LIST(type, name)                                                                   \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count, cap;                                                                         \
    } name
typedef struct fr_file_record {
    fr_file_kind kind;
    int64_t seq, epoch, at_ms;
    fr_str writer; /* the instance: 16 hexadecimal digits */
    fr_str owner;  /* pipeline/sink: a folder is of one */
    FR_FILE_LIST(fr_file_entry, add);
    FR_FILE_LIST(fr_str, remove);
    FR_FILE_LIST(fr_file_shape, shapes);
    FR_FILE_LIST(fr_file_next, offsets);
    FR_FILE_LIST(fr_file_gone, gone);
    FR_FILE_LIST(fr_file_key, keys);
} fr_file_record;
/* Appends a zeroed item, in the arena; returns it. */
#define FR_FILE_ADD(a, list)                                                                       \
    (((list)->count == (list)->cap                                                                 \
          ? (void)((list)->items = fr_file_grow((a), (list)->items, (list)->count,                 \
                                                sizeof(*(list)->items), &(list)->cap))             \
          : (void)0),                                                                              \
     &(list)->items[(list)->count++])
void *fr_file_grow(fr_arena *a, const void *items, size_t count, size_t size, size_t *cap);

/* Relative, without "." and "..", of characters that no file system or shell minds. */
bool fr_file_path_valid(fr_str path);
/* The number in front of a file's name, by which attempts to write it are ordered; -1: not one of
 * ours. name: without folders. */
int64_t fr_file_name_seq(fr_str name);

void fr_file_record_write(fr_buf *out, const fr_file_record *r);
/* Everything in out is in the arena. CONFIG (sink.corrupt; sink.manifest where it is of a newer
 * freshet), with the remedy. */
fr_rc fr_file_record_read(fr_arena *a, fr_str text, fr_file_record *out, fr_err *err);

/* ---- what all commits together say ---- */

typedef struct fr_file_table { /* of the state */
    fr_str space, name;
    FR_FILE_LIST(fr_file_shape, shapes); /* in the order of their numbers; the last is in use */
} fr_file_table;
typedef struct fr_file_group { /* files of one table, day, shape and format, in the order of names
                                */
    fr_file_entry **items;     /* free() */
    size_t count, cap;
} fr_file_group;

typedef struct fr_file_state {
    fr_arena *arena; /* owns all below; what was removed stays in it until the next fold */
    int64_t seq, epoch;
    fr_str writer, owner;
    fr_map *files;   /* path: fr_file_entry */
    fr_map *groups;  /* fr_file_group_key: fr_file_group */
    fr_map *tables;  /* fr_file_table_key: fr_file_table */
    fr_map *offsets; /* fr_file_offset_key: fr_file_next */
    fr_map *gone;    /* path: fr_file_gone */
    fr_map *keys;    /* topic NUL key: fr_file_key */
} fr_file_state;

fr_file_state *fr_file_state_new(void);
void fr_file_state_free(fr_file_state *s); /* NULL is fine */
/* The next record, or a fold. CONFIG (sink.corrupt) where it cannot follow on what is there: then
 * the state is of no more use. */
fr_rc fr_file_state_apply(fr_file_state *s, const fr_file_record *r, fr_err *err);
/* All there is as one record, borrowed from the state; its lists are in the arena. */
void fr_file_state_fold(const fr_file_state *s, fr_arena *a, fr_file_record *out);

fr_str fr_file_table_key(fr_arena *a, fr_str space, fr_str name);
fr_str fr_file_group_key(fr_arena *a, const fr_file_entry *e);
fr_str fr_file_offset_key(fr_arena *a, fr_str topic, int32_t partition);

#endif
