/* What a table's event does to its target, by write.mode, write.deletes and write.truncate. Nothing
 * here talks to a server. Threads: any. */
#ifndef FR_SQL_STEPS_H
#define FR_SQL_STEPS_H

#include "sql/target.h"

typedef struct fr_target_step {
    enum { FR_TARGET_PUT, FR_TARGET_GONE, FR_TARGET_EMPTY } kind;
    const fr_row *row; /* of the event: what is there, or what is gone; EMPTY: NULL */
} fr_target_step;

typedef struct fr_target_steps {
    fr_target_step items[2];
    size_t count;
} fr_target_steps;

/* In order: nothing, one thing, or two (an update that changes the key: sources split it before it
 * is published; this is for those that do not). Rows are borrowed from e. qualified: the target,
 * quoted. CONFIG (sink.delete) where a row is gone and the table keeps every row, DATA
 * (sink.truncate) where write.truncate is block. */
fr_rc fr_target_steps_of(const fr_sink_settings *set, fr_str qualified, const fr_event *e,
                         fr_target_steps *out, fr_err *err);

#endif
