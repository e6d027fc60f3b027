/* Opening a SQLite file safely, and asking it; for source and sink. Nothing here makes a database,
 * loads an extension or trusts what a schema says. One thread at a time. */
#ifndef FR_SQLITE_SQ_CONN_H
#define FR_SQLITE_SQ_CONN_H

#include "base/arena.h"
#include "base/error.h"
#include <sqlite3.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct fr_sq {
    sqlite3 *db;
    char *path; /* absolute, without symbolic links */
    dev_t dev;
    ino_t ino;
    int64_t waited_from_us; /* monotonic: since when somebody's lock is waited for */
} fr_sq;

/* The file must be there. write: may change it; else it is opened read-only. Looks at the schema,
 * so that what is no database, or cannot be read, is said here: CONFIG, AUTH, CONNECT, BUSY. A lock
 * of somebody else is waited for up to five seconds, here and later. */
fr_rc fr_sq_open(const char *path, bool write, fr_sq **out, fr_err *err);
void fr_sq_close(fr_sq *c); /* NULL is fine; statements must be finalized */
/* What SQLite said last, as our error: kind, native code, remedy. */
fr_rc fr_sq_fail(const fr_sq *c, const char *doing, fr_err *err);
/* CONNECT: another file has taken its place, or none. */
fr_rc fr_sq_same_file(const fr_sq *c, fr_err *err);
/* One or more statements without parameters, whose rows are not looked at. */
fr_rc fr_sq_exec(const fr_sq *c, const char *doing, const char *sql, fr_err *err);
fr_rc fr_sq_prepare(const fr_sq *c, const char *doing, fr_str sql, sqlite3_stmt **out, fr_err *err);
/* The next row of s: FR_OK, FR_END. */
fr_rc fr_sq_step(const fr_sq *c, const char *doing, sqlite3_stmt *s, fr_err *err);
/* The first cell of the first row of sql, as text in the arena; ptr NULL: SQL NULL, or no row. */
fr_rc fr_sq_scalar(const fr_sq *c, const char *doing, fr_str sql, fr_arena *a, fr_str *out,
                   fr_err *err);
/* All rows of sql, as texts in the arena; SQL NULL has ptr NULL. */
typedef struct fr_sq_rows {
    fr_str *cells;
    size_t count, columns;
} fr_sq_rows;
fr_rc fr_sq_query(const fr_sq *c, const char *doing, fr_str sql, fr_arena *a, fr_sq_rows *out,
                  fr_err *err);
static inline fr_str fr_sq_cell_at(const fr_sq_rows *r, size_t row, size_t column)
{
    return r->cells[row * r->columns + column];
}
/* Bytes of a TEXT or BLOB of a row; valid until the next step. */
fr_str fr_sq_bytes(sqlite3_stmt *s, int column);
/* "name", whatever is in it. */
fr_str fr_sq_ident(fr_arena *a, fr_str name);
fr_str fr_sq_qualified(fr_arena *a, fr_str space, fr_str name);
/* Text as a literal. One with a NUL in it is written in hexadecimal. */
fr_str fr_sq_literal(fr_arena *a, fr_str text);
fr_str fr_sq_hex(fr_arena *a, fr_str bytes); /* x'00ff' */

#endif
