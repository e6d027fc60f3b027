#include "connectors/sqlite/sq_conn.h"
#include "base/bytes.h"
#include "base/cancel.h"
#include "base/clock.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WAIT_US = 5000000, TICK_US = 10000, OPERATIONS_BETWEEN_LOOKS = 20000 };

/* ---- errors ---- */

typedef struct known {
    int code; /* SQLite's primary one */
    fr_err_kind kind;
    const char *name, *hint;
} known;

static const known errors[] = {
    {SQLITE_BUSY, FR_ERR_BUSY, "sqlite.locked", "another process holds the file for itself"},
    {SQLITE_LOCKED, FR_ERR_BUSY, "sqlite.locked", "passes by itself"},
    {SQLITE_PROTOCOL, FR_ERR_BUSY, "sqlite.locked", "passes by itself"},
    {SQLITE_SCHEMA, FR_ERR_BUSY, "sql.changed", "passes by itself"},
    {SQLITE_NOMEM, FR_ERR_BUSY, "sqlite.memory", "give this process more memory"},
    {SQLITE_IOERR, FR_ERR_CONNECT, "sqlite.io", "look at the disk and its file system"},
    {SQLITE_FULL, FR_ERR_BUSY, "sqlite.full", "the disk is full: make room"},
    {SQLITE_CANTOPEN, FR_ERR_AUTH, "sqlite.open",
     "this user must be able to read the file and its folder"},
    {SQLITE_READONLY, FR_ERR_AUTH, "sqlite.readonly",
     "this user must be able to write the file and its folder"},
    {SQLITE_PERM, FR_ERR_AUTH, "sqlite.open", "look at the rights of the file"},
    {SQLITE_NOTADB, FR_ERR_CONFIG, "sqlite.not_a_database",
     "correct path; an encrypted database cannot be read"},
    {SQLITE_CORRUPT, FR_ERR_CONFIG, "sqlite.corrupt",
     "run PRAGMA integrity_check in it, and restore it from a backup"},
    {SQLITE_TOOBIG, FR_ERR_DATA, "sqlite.too_big", "a value is longer than SQLite can hold"},
    {SQLITE_CONSTRAINT, FR_ERR_DATA, "sqlite.constraint", "see what the constraint says"},
};

static const known *known_of(int code)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].code == (code & 0xff))
            return &errors[i];
    return NULL;
}

/* A database in WAL mode needs its index, which every reader writes to. */
static fr_rc wal_index(const fr_sq *c, const char *doing, fr_err *err)
{
    fr_fail(err, FR_ERR_AUTH,
            "%s %s: it is in WAL mode, and its index %s-shm can neither be used nor made", doing,
            c->path, c->path);
    err->native = sqlite3_extended_errcode(c->db);
    fr_fail_code(err, "sqlite.wal");
    return fr_fail_hint(err,
                        "give this user the right to write the folder, and %s-shm and %s-wal where "
                        "they are there",
                        c->path, c->path);
}

fr_rc fr_sq_fail(const fr_sq *c, const char *doing, fr_err *err)
{
    int code = sqlite3_extended_errcode(c->db);
    const known *k = known_of(code);
    if ((code & 0xff) == SQLITE_INTERRUPT && fr_cancelled())
        return fr_cancel_check(err);
    if ((code & 0xff) == SQLITE_CANTOPEN || code == SQLITE_READONLY_CANTINIT ||
        code == SQLITE_READONLY_RECOVERY || code == SQLITE_READONLY_DIRECTORY)
        return wal_index(c, doing, err);
    fr_fail(err, k != NULL ? k->kind : FR_ERR_CONFIG, "%s %s: %s", doing, c->path,
            sqlite3_errmsg(c->db));
    err->native = code;
    fr_fail_code(err, k != NULL ? k->name : "sqlite.error");
    if (k != NULL)
        fr_fail_hint(err, "%s", k->hint);
    return FR_FAIL;
}

/* ---- waiting ---- */

/* Locks of others, which last as long as their transactions. */
static int wait_for_lock(void *context, int tries)
{
    fr_sq *c = context;
    if (tries == 0)
        c->waited_from_us = fr_now_us();
    if (fr_cancelled() || fr_now_us() - c->waited_from_us > WAIT_US)
        return 0;
    fr_sleep_us(TICK_US);
    return 1;
}

static int look_whether_cancelled(void *context)
{
    (void)context;
    return fr_cancelled();
}

/* ---- opening ---- */

static fr_rc find_file(const char *path, char **absolute_out, struct stat *st, fr_err *err)
{
    char *absolute = realpath(path, NULL);
    if (absolute != NULL && stat(absolute, st) == 0) {
        *absolute_out = absolute;
        return FR_OK;
    }
    int why = errno;
    free(absolute);
    fr_fail(err, why == EACCES ? FR_ERR_AUTH : FR_ERR_CONNECT, "path: %s: %s", path, strerror(why));
    err->native = why;
    fr_fail_code(err, why == ENOENT ? "sqlite.missing" : "sqlite.open");
    return fr_fail_hint(err, why == ENOENT ? "correct path; a database is never made here"
                                           : "look at the rights of the file and its folders");
}

static fr_rc check_file(const char *path, const struct stat *st, fr_err *err)
{
    if (S_ISREG(st->st_mode))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "path: %s is no file", path);
    fr_fail_code(err, "sqlite.open");
    return fr_fail_hint(err, "name the file of the database");
}

/* A name that is no column must not become a text, a schema's functions must not do harm, and
 * a file that is cut off must not end the process (mmap). */
static const char session[] = "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                              "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;";

static bool configure(fr_sq *c)
{
    static const struct {
        int what, value;
    } wanted[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                  {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                  {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                  {SQLITE_DBCONFIG_DQS_DML, 0}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (sqlite3_db_config(c->db, wanted[i].what, wanted[i].value, NULL) != SQLITE_OK)
            return false;
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_handler(c->db, wait_for_lock, c);
    sqlite3_progress_handler(c->db, OPERATIONS_BETWEEN_LOOKS, look_whether_cancelled, NULL);
    return true;
}

static fr_rc check_encoding(const fr_sq *c, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_str encoding;
    fr_rc rc = fr_sq_scalar(c, "look into", FR_STR("PRAGMA encoding"), a, &encoding, err);
    if (rc == FR_OK && !fr_str_is(encoding, "UTF-8")) {
        rc = fr_fail(err, FR_ERR_CONFIG, "path: %s: its texts are in %.*s: only UTF-8 is built",
                     c->path, FR_ARG(encoding));
        fr_fail_code(err, "sqlite.encoding");
        fr_fail_hint(err, "copy it by .dump into a new database, which is in UTF-8");
    }
    fr_arena_free(a);
    return rc;
}

static fr_rc open_file(fr_sq *c, bool write, fr_err *err)
{
    int flags = (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(c->path, &c->db, flags, NULL) != SQLITE_OK) {
        if (c->db == NULL)
            return fr_fail(err, FR_ERR_BUSY, "open %s: out of memory", c->path);
        int why = sqlite3_system_errno(c->db);
        fr_fail(err, FR_ERR_AUTH, "open %s: %s", c->path,
                why != 0 ? strerror(why) : sqlite3_errmsg(c->db));
        fr_fail_code(err, "sqlite.open");
        return fr_fail_hint(err, "this user must be able to read%s the file",
                            write ? " and write" : "");
    }
    if (!configure(c))
        return fr_fail(err, FR_ERR_BUG, "open %s: this SQLite cannot be configured", c->path);
    FR_TRY(fr_sq_exec(c, "open", session, err));
    if (!write)
        FR_TRY(fr_sq_exec(c, "open", "PRAGMA query_only = ON", err));
    FR_TRY(fr_sq_exec(c, "look into", "SELECT count(*) FROM sqlite_schema", err));
    return check_encoding(c, err);
}

fr_rc fr_sq_open(const char *path, bool write, fr_sq **out, fr_err *err)
{
    struct stat st;
    char *absolute = NULL;
    FR_TRY(find_file(path, &absolute, &st, err));
    fr_sq *c = fr_malloc(sizeof(*c));
    *c = (fr_sq){.path = absolute, .dev = st.st_dev, .ino = st.st_ino};
    fr_rc rc = check_file(absolute, &st, err);
    if (rc == FR_OK)
        rc = open_file(c, write, err);
    if (rc == FR_OK)
        rc = fr_sq_same_file(c, err);
    if (rc == FR_FAIL) {
        fr_sq_close(c);
        return FR_FAIL;
    }
    *out = c;
    return FR_OK;
}

void fr_sq_close(fr_sq *c)
{
    if (c == NULL)
        return;
    sqlite3_close_v2(c->db);
    free(c->path);
    free(c);
}

fr_rc fr_sq_same_file(const fr_sq *c, fr_err *err)
{
    struct stat st;
    int moved = 0;
    sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    bool there = stat(c->path, &st) == 0;
    if (!moved && there && st.st_dev == c->dev && st.st_ino == c->ino)
        return FR_OK;
    fr_fail(err, FR_ERR_CONNECT, "%s: %s", c->path,
            there ? "another file has taken its place" : "the file was removed or renamed");
    fr_fail_code(err, "sqlite.replaced");
    return fr_fail_hint(err, "see what has replaced it: it is opened anew");
}

/* ---- asking ---- */

fr_rc fr_sq_exec(const fr_sq *c, const char *doing, const char *sql, fr_err *err)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK ? FR_OK
                                                                   : fr_sq_fail(c, doing, err);
}

fr_rc fr_sq_prepare(const fr_sq *c, const char *doing, fr_str sql, sqlite3_stmt **out, fr_err *err)
{
    if (sql.len > INT_MAX)
        return fr_fail(err, FR_ERR_BUG, "%s: a statement of %zu bytes", doing, sql.len);
    if (sqlite3_prepare_v2(c->db, sql.ptr, (int)sql.len, out, NULL) != SQLITE_OK)
        return fr_sq_fail(c, doing, err);
    return FR_OK;
}

fr_rc fr_sq_step(const fr_sq *c, const char *doing, sqlite3_stmt *s, fr_err *err)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return FR_OK;
    return rc == SQLITE_DONE ? FR_END : fr_sq_fail(c, doing, err);
}

fr_str fr_sq_bytes(sqlite3_stmt *s, int column)
{
    const void *bytes = sqlite3_column_type(s, column) == SQLITE_BLOB
                            ? sqlite3_column_blob(s, column)
                            : sqlite3_column_text(s, column);
    size_t n = (size_t)sqlite3_column_bytes(s, column);
    return bytes == NULL ? (fr_str){"", 0} : (fr_str){bytes, n};
}

static fr_str copy_cell(sqlite3_stmt *s, int column, fr_arena *a)
{
    if (sqlite3_column_type(s, column) == SQLITE_NULL)
        return (fr_str){NULL, 0};
    return fr_arena_str(a, fr_sq_bytes(s, column));
}

fr_rc fr_sq_query(const fr_sq *c, const char *doing, fr_str sql, fr_arena *a, fr_sq_rows *out,
                  fr_err *err)
{
    sqlite3_stmt *s = NULL;
    fr_buf cells = {.arena = a};
    *out = (fr_sq_rows){0};
    FR_TRY(fr_sq_prepare(c, doing, sql, &s, err));
    fr_rc rc = fr_sq_step(c, doing, s, err);
    for (; rc == FR_OK; rc = fr_sq_step(c, doing, s, err)) {
        out->columns = (size_t)sqlite3_column_count(s);
        for (size_t i = 0; i < out->columns; i++) {
            fr_str cell = copy_cell(s, (int)i, a);
            fr_buf_put(&cells, &cell, sizeof(cell));
        }
        out->count++;
    }
    out->cells = (fr_str *)(void *)cells.ptr;
    sqlite3_finalize(s);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

fr_rc fr_sq_scalar(const fr_sq *c, const char *doing, fr_str sql, fr_arena *a, fr_str *out,
                   fr_err *err)
{
    fr_sq_rows rows;
    FR_TRY(fr_sq_query(c, doing, sql, a, &rows, err));
    *out = rows.cells == NULL ? (fr_str){NULL, 0} : rows.cells[0];
    return FR_OK;
}

/* ---- spelling ---- */

static void put_quoted(fr_buf *b, char quote, fr_str text)
{
    fr_buf_u8(b, (uint8_t)quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == quote)
            fr_buf_u8(b, (uint8_t)quote);
        fr_buf_u8(b, (uint8_t)text.ptr[i]);
    }
    fr_buf_u8(b, (uint8_t)quote);
}

fr_str fr_sq_ident(fr_arena *a, fr_str name)
{
    fr_buf b = {.arena = a};
    put_quoted(&b, '"', name);
    return fr_buf_view(&b);
}

fr_str fr_sq_qualified(fr_arena *a, fr_str space, fr_str name)
{
    fr_buf b = {.arena = a};
    put_quoted(&b, '"', space);
    fr_buf_u8(&b, '.');
    put_quoted(&b, '"', name);
    return fr_buf_view(&b);
}

fr_str fr_sq_hex(fr_arena *a, fr_str bytes)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "x'");
    fr_buf_hex(&b, bytes);
    fr_buf_u8(&b, '\'');
    return fr_buf_view(&b);
}

fr_str fr_sq_literal(fr_arena *a, fr_str text)
{
    fr_buf b = {.arena = a};
    if (memchr(text.ptr, 0, text.len) != NULL)
        return fr_arena_printf(a, "CAST(%.*s AS TEXT)", FR_ARG(fr_sq_hex(a, text)));
    put_quoted(&b, '\'', text);
    return fr_buf_view(&b);
}
