/* One test of `tests:`: a row goes through the source's router, filters, expressions, masks and the
 * encoder, and what comes out through the decoder that sinks have. No server; the registry is a
 * temporary directory. One thread. */
#ifndef FR_CLI_TRIAL_H
#define FR_CLI_TRIAL_H

#include "control/config.h"

typedef enum {
    FR_TRIAL_PASSED,
    FR_TRIAL_FAILED,
    FR_TRIAL_BAD /* the test itself, or the configuration, is wrong */
} fr_verdict;

typedef struct fr_trial_cell { /* a value that came out */
    fr_str name, text;
    bool null;
    const fr_column *column; /* NULL: only its text is known */
} fr_trial_cell;
typedef struct fr_trial_cells {
    fr_trial_cell *items;
    size_t count;
} fr_trial_cells;

typedef struct fr_trial_event {
    const char *op; /* "insert", "update", "delete", "read" */
    fr_str topic;
    fr_trial_cells key, before, after;
} fr_trial_event;

typedef struct fr_trial_difference {
    const char *what; /* "after.email" */
    fr_str expected, got;
} fr_trial_difference;

typedef struct fr_trial {
    const fr_test *test;
    fr_arena *arena; /* the caller's: owns all of it */
    fr_verdict verdict;
    fr_trial_event *events; /* that came out */
    size_t event_count;
    bool failed; /* no event came, but an error: err. Also why the test is BAD */
    fr_err err;
    fr_trial_difference *differences;
    size_t difference_count, difference_cap;
    int64_t took_us;
    const fr_table **tables; /* that columns are of; fr_trial_close lets them go */
    size_t table_count;
} fr_trial;

/* Never fails: what goes wrong is the verdict. fr_trial_close afterwards. */
void fr_trial_run(const fr_config *config, const fr_test *test, fr_arena *a, fr_trial *out);
void fr_trial_close(fr_trial *t);

/* The test's parts (trial_table.c, trial_value.c, trial_match.c). */

/* A table with the columns that the test's rows have; the caller's reference. contract: the
 * table's, or NULL. CONFIG. */
fr_rc fr_trial_table(const fr_config *config, const fr_config_place *place, const fr_test *test,
                     const fr_contract *contract, fr_arena *a, const fr_table **out, fr_err *err);
/* A value as it is written in a test, of a column's kind. CONFIG: it is none. */
fr_rc fr_trial_value(fr_arena *a, const fr_column *c, fr_str text, fr_value *out, fr_err *err);
/* As it would be written; bytes as hex. */
fr_str fr_trial_text(fr_arena *a, const fr_column *c, const fr_value *v);
/* Compares what came with what is expected: the verdict, and the differences. */
void fr_trial_judge(fr_trial *t);

#endif
