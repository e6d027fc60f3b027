/* The file: opened, made, gone, replaced; and what SQLite's results are to us. */
#include "base/cancel.h"
#include "base/clock.h"
#include "sql/file.h"
#include "sqlite/sq_sink.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long another writer may hold the file's lock before the batch is given up and tried again;
 * and how often is looked: often, or one that takes it again and again would never let us in. */
enum { BUSY_US = 30000000, LOOK_US = 1000, CACHE_KIB = 16000 };

/* ---- errors ---- */

static const struct {
    int result; /* extended, or primary */
    fr_err_kind kind;
    const char *code, *hint;
} meanings[] = {
    {SQLITE_CONSTRAINT_FOREIGNKEY, FR_ERR_DATA, "sink.foreign_key",
     "a row that it refers to is not there (yet), or others refer to it: declare the foreign key "
     "DEFERRABLE INITIALLY DEFERRED, or drop it at the target"},
    {SQLITE_CONSTRAINT_NOTNULL, FR_ERR_DATA, "sink.not_null",
     "let the target's column be NULL (SQLite needs the table made again for it)"},
    {SQLITE_CONSTRAINT_CHECK, FR_ERR_DATA, "sink.check",
     "drop the CHECK constraint at the target, or correct the row"},
    {SQLITE_CONSTRAINT_UNIQUE, FR_ERR_DATA, "sink.unique",
     "another row of the target has this value: where rows of one table are spread over several "
     "partitions, it may pass by itself; else drop the unique index at the target"},
    {SQLITE_CONSTRAINT_PRIMARYKEY, FR_ERR_DATA, "sink.unique",
     "another row of the target has this key: write.mode upsert, or a table whose key is another"},
    {SQLITE_CONSTRAINT_ROWID, FR_ERR_DATA, "sink.unique",
     "another row of the target has this key: write.mode upsert, or a table whose key is another"},
    {SQLITE_CONSTRAINT_TRIGGER, FR_ERR_DATA, "sink.trigger",
     "a trigger of the target refuses the row: correct it, or drop the trigger"},
    {SQLITE_CONSTRAINT, FR_ERR_DATA, "sink.value",
     "the target's column is of another type, or its table refuses the row"},
    {SQLITE_MISMATCH, FR_ERR_DATA, "sink.value", "give the target's column another type"},
    {SQLITE_TOOBIG, FR_ERR_DATA, "sink.value", "SQLite takes 1,000,000,000 bytes of a row"},
    {SQLITE_BUSY, FR_ERR_BUSY, "sink.busy",
     "another process writes to the file; it passes by itself once that commits"},
    {SQLITE_LOCKED, FR_ERR_BUSY, "sink.busy", "it passes by itself"},
    {SQLITE_PROTOCOL, FR_ERR_BUSY, "sink.busy", "it passes by itself"},
    {SQLITE_SCHEMA, FR_ERR_BUSY, "sink.busy", "it passes by itself"},
    {SQLITE_INTERRUPT, FR_ERR_CANCELLED, "", ""},
    {SQLITE_FULL, FR_ERR_BUSY, "sink.full",
     "make room on the file system (df); it goes on by itself then, and nothing is lost"},
    {SQLITE_READONLY_DBMOVED, FR_ERR_CONNECT, "sink.file", "the file is opened anew"},
    {SQLITE_READONLY, FR_ERR_AUTH, "sink.readonly",
     "let the user that freshet runs as write the file and its folder, or take it off a read-only "
     "file system"},
    {SQLITE_PERM, FR_ERR_AUTH, "sink.readonly",
     "let the user that freshet runs as read and write it"},
    {SQLITE_AUTH, FR_ERR_AUTH, "sink.readonly",
     "let the user that freshet runs as read and write it"},
    {SQLITE_CORRUPT, FR_ERR_CONFIG, "sink.corrupt",
     "restore the file from a backup, or move it away and take a new snapshot: PRAGMA "
     "integrity_check tells how bad it is"},
    {SQLITE_NOTADB, FR_ERR_CONFIG, "sink.corrupt",
     "give the path of an SQLite file, or of one that is not there yet"},
    {SQLITE_CANTOPEN, FR_ERR_CONNECT, "sink.file",
     "is the folder there, and may the user that freshet runs as write in it?"},
    {SQLITE_IOERR, FR_ERR_CONNECT, "sink.file", "see the system's log: is the disk or mount well?"},
    {SQLITE_ERROR, FR_ERR_CONFIG, "sink.table",
     "the target was changed: freshet plan says what it lacks"},
};

static void say(sqlite3 *db, int rc, const char *doing, fr_err_kind kind, fr_err *err)
{
    int os = db != NULL ? sqlite3_system_errno(db) : 0, primary = rc & 0xff;
    bool system = os != 0 &&
                  (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || primary == SQLITE_FULL);
    bool mine = db != NULL && sqlite3_extended_errcode(db) == rc;
    fr_fail(err, kind, "%s: %s%s%s%s", doing, mine ? sqlite3_errmsg(db) : sqlite3_errstr(rc),
            system ? " (" : "", system ? strerror(os) : "", system ? ")" : "");
    err->native = rc;
}

fr_rc fr_sq_sink_error(sqlite3 *db, int rc, const char *doing, fr_err *err)
{
    if ((rc & 0xff) == SQLITE_NOMEM)
        abort();
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (meanings[i].result != rc && meanings[i].result != (rc & 0xff))
            continue;
        say(db, rc, doing, meanings[i].kind, err);
        fr_fail_code(err, meanings[i].code);
        return fr_fail_hint(err, "%s", meanings[i].hint);
    }
    say(db, rc, doing, FR_ERR_BUG, err);
    return FR_FAIL;
}

/* ---- opening ---- */

static int on_busy(void *context, int times)
{
    fr_sq_sink *s = context;
    if (atomic_load(&s->interrupted) || fr_cancelled() || (int64_t)times * LOOK_US >= BUSY_US)
        return 0;
    fr_sleep_us(LOOK_US);
    return 1;
}

static void use(fr_sq_sink *s, sqlite3 *db)
{
    pthread_mutex_lock(&s->lock);
    s->db = db;
    pthread_mutex_unlock(&s->lock);
    s->schema_version = -1;
}

void fr_sq_sink_shut(fr_sq_sink *s)
{
    sqlite3 *db = s->db;
    fr_sq_sink_forget(s);
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->version);
    s->put = s->version = NULL;
    use(s, NULL);
    sqlite3_close(db);
}

/* What a schema says is not trusted, and a damaged page or a file that is cut off must not end the
 * process. Names in double quotes that are none stay texts: triggers of others may rest on that. */
static bool harden(sqlite3 *db)
{
    static const struct {
        int what, value;
    } wanted[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                  {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                  {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0}};
    sqlite3_extended_result_codes(db, 1);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (sqlite3_db_config(db, wanted[i].what, wanted[i].value, NULL) != SQLITE_OK)
            return false;
    return sqlite3_exec(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0", NULL, NULL,
                        NULL) == SQLITE_OK;
}

static fr_rc open_at(fr_sq_sink *s, const char *path, int flags, fr_err *err)
{
    sqlite3 *db = NULL;
    int rc =
        sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc == SQLITE_OK && harden(db)) {
        sqlite3_busy_handler(db, on_busy, s);
        use(s, db);
        return FR_OK;
    }
    if (db != NULL)
        rc = sqlite3_extended_errcode(db);
    fr_sq_sink_error(db, rc, "open the file", err);
    sqlite3_close(db);
    return FR_FAIL;
}

/* A file of ours is in WAL mode: readers do not wait for us, nor we for them. One that has tables
 * belongs to somebody, who chose its mode. */
static fr_rc set_up(fr_sq_sink *s, fr_err *err)
{
    int64_t pages;
    char pragmas[160];
    FR_TRY(fr_sq_sink_number(s, "read the file", "PRAGMA page_count", &pages, err));
    FR_TRY(fr_sq_sink_number(s, "read the file", "SELECT count(*) FROM sqlite_schema",
                             &(int64_t){0}, err));
    if (sqlite3_db_readonly(s->db, "main") == 1) {
        char full[PATH_MAX];
        fr_sq_sink_error(NULL, SQLITE_READONLY, "open the file", err);
        return fr_fail_in(err, "%s", fr_target_full_path(s->path, full));
    }
    if (pages == 0)
        FR_TRY(fr_sq_sink_exec(s, "set up the file", "PRAGMA journal_mode = WAL", err));
    snprintf(pragmas, sizeof(pragmas),
             "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -%d; PRAGMA "
             "wal_autocheckpoint = 4000",
             CACHE_KIB);
    return fr_sq_sink_exec(s, "set up the session", pragmas, err);
}

static fr_rc open_file(fr_sq_sink *s, bool create, fr_err *err)
{
    char full[PATH_MAX];
    if (open_at(s, s->path, SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0), err) ==
        FR_FAIL)
        return fr_fail_in(err, "%s", fr_target_full_path(s->path, full));
    s->stand_in = false;
    if (set_up(s, err) == FR_OK)
        return FR_OK;
    if (strncmp(err->text, fr_target_full_path(s->path, full),
                strlen(fr_target_full_path(s->path, full))) != 0)
        fr_fail_in(err, "%s", fr_target_full_path(s->path, full));
    fr_sq_sink_shut(s);
    return FR_FAIL;
}

fr_rc fr_sq_sink_open(fr_sq_sink *s, fr_err *err)
{
    bool there;
    FR_TRY(fr_target_check_path(s->path, &there, err));
    if (there)
        return open_file(s, false, err);
    s->stand_in = true;
    return open_at(s, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
}

/* Somebody may have made it meanwhile. */
static fr_rc look_again(fr_sq_sink *s, fr_err *err)
{
    bool there = false;
    if (s->db == NULL)
        return fr_sq_sink_open(s, err);
    if (s->stand_in)
        FR_TRY(fr_target_check_path(s->path, &there, err));
    if (!there)
        return FR_OK;
    fr_sq_sink_shut(s);
    return open_file(s, false, err);
}

fr_rc fr_sq_sink_need_file(fr_sq_sink *s, bool create, fr_err *err)
{
    FR_TRY(look_again(s, err));
    if (!s->stand_in)
        return FR_OK;
    if (!create) {
        fr_target_no_file(err, FR_ERR_CONFIG, s->path, "is not there");
        return fr_fail_hint(err,
                            "correct the path, or set create to apply or run: it is made then");
    }
    fr_sq_sink_shut(s);
    return open_file(s, true, err);
}

fr_rc fr_sq_sink_same_file(fr_sq_sink *s, fr_err *err)
{
    int moved = 0;
    FR_TRY(look_again(s, err));
    if (s->stand_in ||
        sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved)
        return FR_OK;
    atomic_store(&s->connected, false);
    if (access(s->path, F_OK) == 0) {
        fr_target_no_file(err, FR_ERR_CONNECT, s->path,
                          "was replaced by another while it was open");
        return fr_fail_hint(err, "it is opened anew, and goes on where its own offsets say");
    }
    fr_target_no_file(err, FR_ERR_CONFIG, s->path, "was there and is gone");
    return fr_fail_hint(err, "put it back, or take a new snapshot into a new one");
}
