/* What a target lacks of what a message's table needs (S04), as far as sinks into SQL databases say
 * the same of it: names, a table or a column that is not there, columns that the messages lost.
 * Texts of findings are in their arena. Nothing here talks to a server. One thread at a time. */
#ifndef FR_SQL_EVOLVE_H
#define FR_SQL_EVOLVE_H

#include "sql/target.h"

/* What names are to a server. */
typedef struct fr_target_dialect {
    const char *server; /* for a person: "MySQL" */
    bool folds;         /* names that differ by case only are one */
    fr_target_ident ident;
    /* A name as the server takes it, or CONFIG (sink.name). NULL: as it is, see
     * fr_target_check_name. */
    fr_rc (*name)(fr_arena *a, fr_str name, fr_str *out, fr_err *err);
} fr_target_dialect;

/* A message's table beside its target; borrowed. */
typedef struct fr_target_comparison {
    const fr_target_dialect *dialect;
    const fr_sink_settings *settings;
    const fr_table *table;
    fr_str qualified; /* the target, quoted */
    bool create;      /* as in fr_sink_ops.prepare */
    fr_findings *out;
    fr_arena *a; /* of out */
} fr_target_comparison;

/* ---- findings: sql is the caller's to set where it is not a parameter ---- */

/* "<target>: <text>". */
fr_finding *fr_target_blocker(const fr_target_comparison *k, const char *code, fr_str text,
                              fr_str hint);
/* The table is to be made, or its absence is in the way; undone by DROP TABLE. */
fr_finding *fr_target_missing_table(const fr_target_comparison *k, fr_str sql);
/* Whether a column that is not there is added, by on_change.add_column; keys never are. */
bool fr_target_adds(const fr_target_comparison *k, const fr_column *c);
/* The column is to be added, or its absence is in the way; NULL: it is left out. */
fr_finding *fr_target_missing_column(const fr_target_comparison *k, const fr_column *c,
                                     fr_str type);
/* Blockers (sink.drop_column) for the columns that a version before (NULL: none) had and the
 * messages have not, unless on_change.drop_column lets them go. */
void fr_target_lost_columns(const fr_target_comparison *k, const fr_table *before);

/* A warning where a truncate empties a table whose rows do not say which of them are newer. */
void fr_target_truncates(const fr_target_comparison *k, bool positioned);

/* Our own tables are not there: that they will be made (create), or that this is in the way. sql:
 * of both, copied. also: what is made with them, "the file, with ", or "". */
void fr_target_plan_own_tables(fr_findings *out, bool create, const char *also, fr_str sql);
/* The same where they are needed now, and nobody is to make them: CONFIG (sink.table). Returns
 * FR_FAIL. */
fr_rc fr_target_no_own_tables(fr_err *err, fr_str sql);

/* ---- columns and keys ---- */

/* Whether rows are found by this column. */
bool fr_target_is_key(const fr_target_comparison *k, const fr_column *c);
/* Whether rows are found by a key at all; a blocker where they should be, and there is none. */
bool fr_target_has_key(const fr_target_comparison *k);
/* The target works this column out itself, which is a blocker where rows are found by it. ident:
 * the target's, quoted. */
void fr_target_generated_column(const fr_target_comparison *k, const fr_column *c, fr_str ident);
/* *name_out: as the server takes it. A blocker where it does not, where it is one of freshet's own
 * or, where names fold, another column's. */
bool fr_target_good_column(const fr_target_comparison *k, const fr_column *c, fr_str *name_out);
/* Whether rows that we write have a column of this name, of the messages or freshet's own. */
bool fr_target_is_sent(const fr_target_comparison *k, fr_str name);

#endif
