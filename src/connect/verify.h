/* What a connector gives so that `freshet verify` can compare its tables with another database's:
 * how a column becomes a text that is the same in every database, how texts become a number, and a
 * way to ask. What is asked, where and in which order is the verb's (src/cli/verify.h). Nothing
 * here changes a database. One thread at a time.
 *
 * The canonical text of a value, by kind of the published column (docs/verify.md):
 *   BOOL 0 or 1; INT32, INT64, DECIMAL digits without zeros that mean nothing ("-12.3", "0");
 *   FLOAT32, FLOAT64 the 16 hexadecimal digits of the double, -0 as 0, one NaN (7ff8000000000000);
 *   TEXT itself; BYTES hexadecimal, lower case; UUID lower case; DATE days, TIME, DATETIME and
 *   TIMESTAMP microseconds since midnight or 1970, in digits. JSON has none in a database. */
#ifndef FR_CONNECT_VERIFY_H
#define FR_CONNECT_VERIFY_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/settings.h"
#include "model/value.h"

typedef struct fr_verify fr_verify; /* a connection */

typedef struct fr_verify_column { /* as the database has it; texts in the arena of describe */
    fr_str name, type;            /* type: as it is declared, for a person */
    bool nullable;
    uint32_t number;  /* the connector's own: which type, */
    int32_t modifier; /* and its length or digits */
} fr_verify_column;

typedef struct fr_verify_table {
    fr_str from; /* what follows FROM: only rows that are there (no marked ones) */
    fr_str name; /* quoted, for statements that change it */
    fr_verify_column *columns;
    size_t column_count;
    const fr_verify_column *mark; /* by which rows are marked as gone; NULL: they go */
} fr_verify_table;

typedef enum fr_verify_form {
    FR_VERIFY_NEVER,    /* such a column cannot be compared as this kind */
    FR_VERIFY_RAW,      /* the text has to be read and made canonical by fr_verify_canonical */
    FR_VERIFY_CANONICAL /* the text is canonical in the database already */
} fr_verify_form;

/* What a repair does to a row: it is put where it is not, some of its columns are set, or it goes.
 */
typedef enum fr_verify_act { FR_VERIFY_PUT, FR_VERIFY_SET, FR_VERIFY_DROP } fr_verify_act;
typedef struct fr_verify_cell {
    const fr_verify_column *column;
    fr_kind kind;
    fr_str text; /* canonical (JSON: as it was read), as the source has it; ptr NULL: NULL */
    bool key;
    bool set; /* to be written */
} fr_verify_cell;

/* One row of an answer; cells NULL where ptr is, valid during the call. FR_FAIL ends the query. */
typedef fr_rc fr_verify_row(void *context, const fr_str *cells, size_t count, fr_err *err);

typedef struct fr_verify_ops {
    /* timeout_us: of one statement; 0: none. The other side than the connector's: NULL. */
    fr_rc (*open_source)(const fr_source_settings *settings, int64_t timeout_us, fr_verify **out,
                         fr_err *err);
    fr_rc (*open_sink)(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                       fr_err *err);
    void (*close)(fr_verify *v); /* NULL is fine */
    /* A table as it is there; space empty: the connection's default. FR_END: there is none.
     * CONFIG: it is nothing whose rows can be compared. */
    fr_rc (*describe)(fr_verify *v, fr_arena *a, fr_str space, fr_str name, fr_verify_table *out,
                      fr_err *err);
    /* The SQL of a column's text where it holds values of this kind. */
    fr_verify_form (*text)(fr_verify *v, fr_arena *a, const fr_verify_column *c, fr_kind kind,
                           fr_str *out);
    /* A value as a literal that can be compared with the column, or put into it. text: canonical
     * (JSON: as it was read); ptr NULL: NULL. */
    void (*put_literal)(fr_verify *v, fr_buf *b, const fr_verify_column *c, fr_kind kind,
                        fr_str text);
    /* Whether put_literal has a literal of it; if not it puts NULL. NULL: of every text that
     * fr_verify_fits. */
    bool (*fits)(const fr_verify_column *c, fr_kind kind, fr_str text);
    /* Whether `column = literal` finds every row whose text is the literal's. False: the column may
     * have one value in several spellings. */
    bool (*finds)(fr_verify *v, const fr_verify_column *c, fr_kind kind);
    /* Where rows are not written by INSERT, UPDATE and DELETE: appends the statement, in one line,
     * that does that to the row with this key. DATA: a value is none of the column's. NULL: those
     * are it. */
    fr_rc (*put_fix)(fr_verify *v, fr_buf *b, const fr_verify_table *t, fr_verify_act act,
                     const fr_verify_cell *cells, size_t count, fr_err *err);
    /* What a file of statements begins with, so that literals mean the same in every session; NULL:
     * nothing. */
    const char *script;
    fr_str (*ident)(fr_arena *a, fr_str name); /* a column, quoted */
    fr_rc (*query)(fr_verify *v, fr_str sql, fr_verify_row *each, void *context, fr_err *err);
    /* Sources with a log: where it ends now, in the space of resume; all that was seen before the
     * call is before it. NULL: there is no log. */
    fr_rc (*now)(fr_verify *v, uint64_t *out, fr_err *err);
    uint64_t (*resume)(fr_str resume); /* everything below is before this resume; 0: it is none */

    /* ---- the dialect; texts are joined by open, between, close ---- */
    const char *join_open, *join_between, *join_close;
    const char *length_open, *length_close; /* of a text, in characters, as a text */
    /* What stands around a text so that it is the first 60 bits of its MD5 (UTF-8), a number.
     * NULL: rows are hashed by the verb. */
    const char *hash_open, *hash_close;
} fr_verify_ops;

struct fr_verify {            /* first member of the connector's own */
    const fr_verify_ops *ops; /* of this server: what it cannot do is NULL */
    /* How long a connector may wait for a file that others hold; set by the verb once it is
     * open. */
    int64_t patience_us;
};

/* ---- values; pure (connect/verify.c) ---- */

/* The canonical text of what a database printed; as it is where it is no value of the kind. */
fr_str fr_verify_canonical(fr_arena *a, fr_kind kind, fr_str raw);
/* Back to what databases read: of times ISO, with a blank; of floats as few digits as are exact. */
fr_str fr_verify_readable(fr_arena *a, fr_kind kind, fr_str canonical);
/* Nothing but what numbers are written with: as a literal it needs no quotes. */
bool fr_verify_bare(fr_str text);
/* Nothing but hexadecimal digits, two for a byte; there may be none. */
bool fr_verify_hex(fr_str text);
/* Whether it is a canonical text of the kind, as far as a wrong one would be another value without
 * an error: of BYTES and floats. */
bool fr_verify_fits(fr_kind kind, fr_str text);
/* SQL: before, x, after. */
fr_str fr_verify_around(fr_arena *a, const char *before, fr_str x, const char *after);

#endif
