/* clickhouse-sink: rows into ClickHouse, which has no transactions, each exactly once (R35). The
 * parts of one sink share this header; everything outside uses fr_clickhouse_sink.
 *
 *   ch_sink.c          options, open, check, status, interrupt, close
 *   ch_sink_lane.c     rows of a partition that wait for the commit
 *   ch_sink_flush.c    the commit: ranges written ahead, rows inserted, offsets
 *   ch_sink_patch.c    rows whose message lacks values
 *   ch_sink_proof.c    are the rows of a block there?
 *   ch_sink_offsets.c  claim, states, park: the two tables of our own (R30, R36)
 *   ch_sink_relation.c the target as the server has it
 *   ch_sink_table.c    a message's table laid onto it
 *   ch_sink_evolve.c   create, compare, alter
 *   ch_sink_apply.c    events to rows
 *   ch_type.c ch_value.c  types, values; ch_http.c ch_dsn.c  the server
 *
 * Rows wait in memory, encoded, by partition of Kafka (a lane). commit
 *   1. writes the range of offsets of each lane, and where it is cut into blocks, into
 *      _freshet_offsets, and then looks whether the partitions are still ours;
 *   2. inserts each block under a token made of that record;
 *   3. writes the offsets, and that nothing is under way any more.
 * Whoever claims the partitions writes its claim first and reads the ranges then: either it sees
 * the range, and inserts the same blocks under the same tokens, which the server takes once; or the
 * other one sees the claim, and inserts nothing. docs/adr/0044-clickhouse.md. */
#ifndef FR_CLICKHOUSE_CH_SINK_H
#define FR_CLICKHOUSE_CH_SINK_H

#include "base/map.h"
#include "clickhouse/ch_http.h"
#include "clickhouse/ch_type.h"
#include "connect/sink.h"
#include "sql/target.h"
#include <stdatomic.h>

/* A server remembers the tokens of so many blocks of a table that we make, and at least so many of
 * one that is there. */
enum { FR_CH_WINDOW = 10000, FR_CH_LEAST_WINDOW = 1000 };
#define FR_CH_VIEW_END "_current"

typedef struct fr_ch_sink_config {
    const char *dsn, *password;
    bool insecure;
} fr_ch_sink_config;

/* ---- one version of one table, and where its rows go ---- */

typedef struct fr_ch_field { /* a column that we write; those of the key come first, in its order */
    uint16_t column;         /* index in the message's table */
    fr_ch_type type;
    fr_str ident;     /* quoted */
    fr_str type_text; /* as the server has it */
} fr_ch_field;

typedef struct fr_ch_sink_table {
    const fr_table *table; /* holds a reference; first: see fr_target_version_before */
    fr_arena *arena;       /* owns the texts below */
    fr_str qualified;      /* quoted */
    fr_str insert;         /* INSERT INTO ... FORMAT RowBinaryWithNamesAndTypes */
    fr_str header;         /* those names and types, in front of the rows */
    fr_ch_field *fields;
    size_t field_count, key_count;
    bool append, positioned, marked; /* the last two: has _freshet_position, _freshet_deleted */
} fr_ch_sink_table;

/* ---- rows that wait ---- */

typedef enum fr_ch_row_kind {
    FR_CH_ROW,
    FR_CH_PATCH,   /* values are absent: see ch_sink_patch.c */
    FR_CH_TRUNCATE /* its bytes are no row, but a truncate's position in hex (none: empty all) */
} fr_ch_row_kind;
typedef struct fr_ch_row {
    int64_t offset; /* of its message */
    size_t end;     /* in the lane's bytes */
    const fr_ch_sink_table *table;
    fr_ch_row_kind kind;
} fr_ch_row;

/* What _freshet_offsets has of a partition. */
typedef struct fr_ch_state {
    uint64_t epoch, seq; /* of the record */
    int64_t next;        /* -1: none */
    int64_t *bounds;     /* last offsets of the blocks that are under way */
    size_t bound_count;
} fr_ch_state;

typedef struct fr_ch_lane {
    fr_str topic; /* in the sink's home */
    int32_t partition;
    uint64_t epoch, seq; /* ours; of our last record */
    fr_ch_state state;   /* bounds are the lane's own */
    char topic_id[FR_TOPIC_ID_SIZE];
    int64_t want; /* the offset that is committed; -1: not in this commit */
    fr_buf bytes;
    fr_ch_row *rows;
    size_t count, cap;
    size_t kept, kept_bytes; /* of a range that is not whole yet: they outlive a rollback */
    size_t done;             /* rows that fr_ch_flush_early inserted */
} fr_ch_lane;

typedef struct fr_ch_sink {
    fr_sink base;
    const fr_sink_settings *settings;
    fr_ch *ch;
    fr_arena *home;         /* of the sink's whole life */
    fr_arena *arena;        /* of one apply or commit */
    fr_map *tables;         /* by fr_table.serial: fr_ch_sink_table */
    fr_ch_sink_table **old; /* that rows may still wait for */
    size_t old_count;
    fr_map *known;  /* targets that were there */
    fr_map *by_key; /* topic, partition: fr_ch_lane */
    fr_ch_lane **lanes;
    size_t lane_count;
    fr_ch_lane *last_lane; /* of the last event: a batch has runs of one */
    fr_buf parked;         /* rows for _freshet_parked */
    fr_str version;
    int64_t window; /* the server's own, for tables that say nothing */
    bool has_own_tables;
    bool lost;         /* a commit failed: what is true is in the target, and has to be claimed */
    int64_t commit_us; /* of the newest row applied */
    atomic_bool connected;
    atomic_int_fast64_t lag_us;
} fr_ch_sink;

/* ---- ch_sink.c ---- */

/* Rows of a SELECT, all as text, in the arena; cells row by row. */
typedef struct fr_ch_cells {
    size_t count, columns;
    const fr_str *cells;
} fr_ch_cells;
/* call->sql without FORMAT. */
fr_rc fr_ch_select(fr_ch *ch, fr_arena *a, fr_ch_call call, fr_ch_cells *out, fr_err *err);
static inline fr_str fr_ch_cell(const fr_ch_cells *c, size_t row, size_t column)
{
    return row < c->count && column < c->columns ? c->cells[row * c->columns + column]
                                                 : (fr_str){"", 0};
}
int64_t fr_ch_number(fr_str text);
fr_rc fr_ch_exec(fr_ch *ch, const char *doing, fr_str sql, fr_err *err);
/* The connection's state is noted. Returns FR_FAIL. */
fr_rc fr_ch_sink_failed(fr_ch_sink *s, fr_err *err);

/* ---- ch_sink_lane.c ---- */

fr_ch_lane *fr_ch_lane_find(const fr_ch_sink *s, fr_str topic, int32_t partition);
/* Made where it is not there; without rows. */
fr_ch_lane *fr_ch_lane_claimed(fr_ch_sink *s, fr_str topic, int32_t partition);
void fr_ch_lane_free(fr_ch_lane *l);
/* The bytes appended to l->bytes since the last row are one. */
void fr_ch_lane_add(fr_ch_lane *l, int64_t offset, const fr_ch_sink_table *t, fr_ch_row_kind kind);
void fr_ch_lane_undo(fr_ch_lane *l);       /* bytes that are no row after all */
void fr_ch_lanes_roll_back(fr_ch_sink *s); /* what was not kept is gone */
void fr_ch_lane_drop(fr_ch_lane *l);       /* all rows are stored */
fr_str fr_ch_lane_row(const fr_ch_lane *l, size_t row);

/* A run of a lane's rows that goes in one statement. */
typedef struct fr_ch_block {
    size_t from, to;     /* rows */
    int64_t first, last; /* offsets that it stands for */
} fr_ch_block;
/* Cuts rows [from, l->count) where the table changes, around truncates, and where too many rows
 * would have to be filled up at once; bounds are those of last (at least the last row's offset). In
 * the arena. */
size_t fr_ch_lane_cut(fr_arena *a, const fr_ch_lane *l, size_t from, int64_t first, int64_t last,
                      fr_ch_block **out);
/* The blocks of the range that the lane's state has under way; *rows: how many rows they have. */
size_t fr_ch_lane_pending(fr_arena *a, const fr_ch_lane *l, fr_ch_block **out, size_t *rows);

/* ---- ch_sink_patch.c, ch_sink_flush.c ---- */

/* The block's rows as they are inserted, appended to out: what is absent is filled up. */
fr_rc fr_ch_fill(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, fr_buf *out,
                 fr_err *err);

/* Whether the rows of a block are in their table of all states. POSITION (sink.unproved) where some
 * are. */
fr_rc fr_ch_rows_there(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, bool *there_out,
                       fr_err *err);
/* The types of a table are going to change, and rows that wait have the old ones: they are written
 * ahead and inserted now. Their offsets are not stored: until the commit they are under way. */
fr_rc fr_ch_flush_early(fr_ch_sink *s, fr_err *err);
fr_rc fr_ch_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err);

/* ---- ch_sink_offsets.c ---- */

fr_rc fr_ch_sink_own_tables(fr_ch_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err);
fr_rc fr_ch_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err);
/* A record for _freshet_offsets: of the next seq of the lane. */
void fr_ch_put_state(fr_buf *out, const fr_ch_sink *s, fr_ch_lane *l, int64_t next,
                     const fr_ch_block *blocks, size_t count);
fr_rc fr_ch_write_states(fr_ch_sink *s, const fr_buf *records, fr_err *err);
/* FENCED where somebody else claimed a lane that takes part in this commit. */
fr_rc fr_ch_still_ours(fr_ch_sink *s, fr_err *err);
fr_rc fr_ch_write_parked(fr_ch_sink *s, fr_err *err);
fr_rc fr_ch_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_ch_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err);

/* ---- ch_sink_relation.c: a target as the server has it; arena-owned ---- */

typedef struct fr_ch_target_column {
    fr_str name, type_text;
    fr_ch_type type;
    bool has_default, computed; /* DEFAULT; MATERIALIZED or ALIAS, which cannot be written */
    bool hidden;                /* not in SELECT *: those, and EPHEMERAL */
} fr_ch_target_column;
typedef struct fr_ch_target {
    bool there, database_there;
    fr_str database, name, qualified;
    fr_str engine;           /* without Replicated and Shared: "ReplacingMergeTree" */
    bool replicated;         /* those two: they remember tokens by themselves */
    fr_str version, deleted; /* columns that the engine's arguments name; empty: none */
    fr_str *sorting;         /* elements of the sorting key, names unquoted */
    size_t sorting_count;
    fr_str partition_key;
    int64_t window;
    fr_ch_target_column *columns;
    size_t column_count;
    bool view_there, view_ours; /* <name>_current; made by us */
    fr_str view_qualified;
    fr_str *view_columns;
    size_t view_column_count;
} fr_ch_target;
fr_rc fr_ch_target_read(fr_ch_sink *s, fr_arena *a, const fr_table *t, fr_ch_target *out,
                        fr_err *err);
/* Names only, of a target that is not there. CONFIG (sink.name). */
fr_rc fr_ch_target_name(fr_arena *a, const char *database, const fr_table *t, fr_ch_target *out,
                        fr_err *err);
const fr_ch_target_column *fr_ch_target_find(const fr_ch_target *r, fr_str name);
/* "a, `b\`c`, f(x, 'y')", or all of that in parentheses, at its outermost commas; names in ``
 * unquoted. Pure. */
size_t fr_ch_split(fr_arena *a, fr_str text, fr_str **out);
/* Engine, arguments and window, out of system.tables' engine and engine_full. Pure. */
void fr_ch_target_engine(fr_arena *a, fr_str engine, fr_str full, int64_t fallback_window,
                         fr_ch_target *out);

/* ---- ch_sink_evolve.c ---- */

/* What has to change before t can be written (FR_CHANGE with sql), and what is in the way. */
void fr_ch_sink_compare(const fr_sink_settings *settings, const fr_ch_target *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out);

/* ---- ch_sink_table.c, ch_sink_apply.c ---- */

void fr_ch_sink_table_free(void *value);
/* *out lives as long as the sink. */
fr_rc fr_ch_sink_table_of(fr_ch_sink *s, const fr_table *t, fr_ch_sink_table **out, fr_err *err);
fr_rc fr_ch_sink_prepare(fr_sink *base, const fr_table *table, bool create, bool plan_only,
                         fr_findings *out, fr_err *err);
fr_rc fr_ch_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                       fr_err *err);
fr_rc fr_ch_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err);

extern const fr_sink_ops fr_clickhouse_sink;

#endif
