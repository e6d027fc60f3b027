/* freshet verify: a table at its source and at a sink, compared while both change (docs/verify.md,
 * docs/adr/0048-verify.md). Rows are summed on both sides in chunks, by ranges or hashes of their
 * keys; of chunks that differ the rows are read; rows that differ are read again, until the sink
 * has what the source had. One thread. */
#ifndef FR_CLI_VERIFY_H
#define FR_CLI_VERIFY_H

#include "cli/ask.h"
#include "connect/verify.h"
#include "transform/route.h"

enum { FR_SOURCE_SIDE, FR_SINK_SIDE, FR_SIDES };

typedef struct fr_verify_field { /* of what is published, or a column that is nowhere else */
    fr_str name, from;           /* at the sink, at the source; empty: not there */
    fr_kind kind;
    bool key;
    fr_str why;  /* it is not compared; empty: it is */
    fr_str rule; /* what equal means, where that is not plain */
    const fr_verify_column *columns[FR_SIDES];
    fr_str texts[FR_SIDES]; /* SQL */
    bool canonical[FR_SIDES];
} fr_verify_field;

typedef struct fr_verify_side {
    const char *name;
    const fr_verify_ops *ops;
    fr_verify *conn;
    fr_verify_table table;
    bool inside;     /* sums are made in the database */
    fr_str key, row; /* then: SQL of the numbers of key and row */
    int64_t load;    /* percent of the time that it is asked for something; 100: no rests */
    int64_t rest_until_us;
} fr_verify_side;

typedef enum { FR_VERIFY_FAST, FR_VERIFY_USUAL, FR_VERIFY_FULL } fr_verify_mode;
typedef enum { FR_MISSING, FR_EXTRA, FR_CHANGED, FR_DOUBLED, FR_DIFFERENCES } fr_difference;

typedef struct fr_verify_rows { /* of one key on one side */
    size_t count;
    fr_str print;        /* all that they hold, canonical */
    const fr_str *cells; /* of the first: canonical, JSON as it was read; NULL: there is none */
} fr_verify_rows;

/* So often in a row must a row be shown to differ: it might have gone to another value and back
 * between two looks. They are a third of a second apart; where one takes more than a fifteenth of
 * that, five times as long as it took, so that they are a sixth of the source's work. */
enum { FR_VERIFY_PROOFS = 2 };

typedef struct fr_verify_key {
    fr_str text;
    const fr_str *cells; /* of a row with this key, for its columns */
    fr_verify_rows sides[FR_SIDES];
    fr_str before;   /* the source's rows when the round began */
    bool stood;      /* they were that whenever they were looked at */
    unsigned proofs; /* how often in a row it was shown to differ */
    bool equal;      /* by now */
} fr_verify_key;

typedef struct fr_verify_run {
    fr_cli *cli;
    const fr_config *config;
    fr_config_place place;
    const fr_sink_settings *sink;
    fr_str topic;
    fr_verify_mode mode;
    int64_t settle_us, timeout_us, chunk;
    const char *fix_file, *metrics_file; /* NULL: not asked for */
    fr_verify_side sides[FR_SIDES];
    fr_verify_field *fields; /* those that are compared first */
    size_t field_count, compared;
    uint16_t keys[FR_MOST_FLAGS]; /* indexes of fields, in key order */
    size_t key_count;
    const char *by; /* "id" by ranges of it; NULL: by hashes of the key */
    void *md5;
    /* ---- what was found ---- */
    uint64_t rows[FR_SIDES], chunks_equal, chunks_differ, chunks_moving;
    fr_verify_key *found;
    size_t found_count, found_cap;
    bool too_many;
    uint64_t counts[FR_DIFFERENCES], moving;
    uint64_t position; /* of the source, that the sink has passed; 0: not known */
    int64_t waited_us;
    int64_t look_us; /* the source's rows are not looked at before this while we wait */
    char why[200];   /* why the sink did not pass it in time; "": it did, or nothing differed */
} fr_verify_run;

/* verify_map.c: the fields, from the table as the source has it, and the tables on both sides.
 * CONFIG where they cannot be compared. */
fr_rc fr_verify_map(fr_verify_run *v, fr_err *err);
/* verify_find.c: sums, and the keys whose rows differed when they were read. */
fr_rc fr_verify_find(fr_verify_run *v, fr_err *err);
/* verify_settle.c: which of them stay so. */
fr_rc fr_verify_settle(fr_verify_run *v, fr_err *err);
/* Until the sink has all that the source had at this moment, or deadline_us: then not *passed, and
 * v->why says why. */
fr_rc fr_verify_pass(fr_verify_run *v, int64_t deadline_us, bool *passed, fr_err *err);
/* verify_show.c */
void fr_verify_show(fr_verify_run *v);
fr_rc fr_verify_fix(fr_verify_run *v, fr_err *err);
fr_rc fr_verify_metrics(fr_verify_run *v, fr_err *err);
fr_difference fr_verify_what(const fr_verify_key *k);
/* Rows that differ; --fast: chunks. */
uint64_t fr_verify_differences(const fr_verify_run *v);

#endif
