/* write.mode history (docs/history.md): each state that a row had is a row of the target, with from
 * when until when. What sinks into SQL databases have in common of it: which settings make sense,
 * when a state began, and which changes one statement may write. Nothing here talks to a server.
 * One thread at a time. */
#ifndef FR_SQL_HISTORY_H
#define FR_SQL_HISTORY_H

#include "sql/collapse.h"

/* Why a sink cannot keep a history, and what to do instead. Both are literals. */
typedef struct fr_history_lack {
    const char *why, *remedy; /* why: begins with "write.mode: " */
} fr_history_lack;
/* As fr_sink_ops.settings has it. lack NULL: the sink keeps histories. */
fr_rc fr_history_settings(const fr_sink_settings *set, const fr_history_lack *lack, fr_err *err);

/* When the change took effect: its transaction's commit, else what the message says, in
 * microseconds since 1970. DATA (sink.time) where nothing says it. qualified: the target, quoted.
 */
fr_rc fr_history_time(fr_str qualified, const fr_event *e, int64_t *us_out, fr_err *err);

/* Sorts so that the first changes of all keys come before their second ones, and so on: the order
 * of each key stays, and equal forms are side by side. None is left out. */
void fr_history_sort(fr_target_changes *changes);

#endif
