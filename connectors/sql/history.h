/* write.mode history (docs/history.md): each state that a row had is a row of the target, with from
 * when until when. What sinks into SQL databases have in common of it: which settings make sense,
 * when a state began, and which changes one statement may write. Nothing here talks to a server.
 * One thread at a time. */
#ifndef FR_SQL_HISTORY_H
#define FR_SQL_HISTORY_H

#include "sql/collapse.h"
#include "sql/evolve.h"

/* As fr_sink_ops.settings has it: of a sink that keeps histories, and of one that cannot. why
 * begins with "write.mode: "; it and the remedy are literals. */
fr_rc fr_history_kept(const fr_sink_settings *set, fr_err *err);
fr_rc fr_history_none(const fr_sink_settings *set, const char *why, const char *remedy,
                      fr_err *err);

/* When the change took effect: its transaction's commit, else what the message says, in
 * microseconds since 1970. DATA (sink.time) where nothing says it. qualified: the target, quoted.
 */
fr_rc fr_history_time(fr_str qualified, const fr_event *e, int64_t *us_out, fr_err *err);

/* What a sink knows of a target that is there. */
typedef struct fr_history_shape {
    const void *target;
    /* It has this column, of this type (one of `types`), and writes it. */
    bool (*has)(const void *target, const char *name, const char *type);
    const char *types[4]; /* of FR_TARGET_FROM, _TO, _CURRENT, _POSITION, in its words */
    const char *lacks;    /* of the key what it lacks; NULL: nothing */
} fr_history_shape;
#define FR_HISTORY_NO_INDEX "a unique index on exactly the key and, behind it, " FR_TARGET_FROM
/* A blocker (sink.table) where the target keeps no histories. create: the statement that makes
 * such a table. Tables without a key are not looked at: they are refused as such. */
void fr_history_compare(const fr_target_comparison *k, const fr_history_shape *shape,
                        fr_str create);

/* How bad a key column is that takes different keys for one: a key that changes to one that is the
 * same there would end its state and begin none. */
fr_severity fr_history_collation(const fr_target_comparison *k);
/* A blocker where write.mode is another, and the target keeps histories: it has FR_TARGET_FROM. */
void fr_history_other_mode(const fr_target_comparison *k, bool has_from);

/* The time as the text "2026-11-27 06:50:10.123456", UTC: texts sort as their times do. */
fr_str fr_history_text(fr_arena *a, int64_t us);
/* False: it is none of these. */
bool fr_history_read(fr_str text, int64_t *us_out);

/* ---- for sinks that look at the last row of a key before they write ---- */

/* It, by its beginning. */
typedef struct fr_history_last {
    bool there, now;           /* whether there is one, and whether it is the current one */
    bool same;                 /* all that the change says is so in it */
    int64_t from_us, until_us; /* until_us: 0 where there is none */
    fr_str position;           /* FR_TARGET_POSITION_SIZE bytes, or empty */
} fr_history_last;

/* A mask (fr_target_mask) of nothing: a delete compares no values. */
fr_str fr_history_keys(fr_arena *a, size_t columns);

/* What a change does. */
typedef struct fr_history_turn {
    bool ends, begins; /* the current row ends; a new one begins */
    bool moves;        /* the row that ends gets the change's position */
    int64_t at_us;     /* then */
} fr_history_turn;

/* c: its position, time_us, read, unplaced, and deleted: whether its row is gone. Older ones do
 * nothing (guarded: positions are compared); of an equal position only a change after the row that
 * a snapshot read does something. No row begins before the one that it follows, nor when that one
 * did. */
fr_history_turn fr_history_next(const fr_history_last *last, const fr_target_change *c,
                                bool guarded);

/* ---- for those that write many at once ---- */

/* Sorts so that the first changes of all keys come before their second ones, and so on: the order
 * of each key stays, and equal forms are side by side. None is left out. */
void fr_history_sort(fr_target_changes *changes);

#endif
