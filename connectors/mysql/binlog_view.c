/* A view of all tables as of one place of the log, on several connections.
 *
 * MariaDB: START TRANSACTION WITH CONSISTENT SNAPSHOT is atomic with the log and says its place
 * (Binlog_snapshot_file, _position), so connections that say the same place see the same rows:
 * nothing is locked. On a busy server they are tried again, and at last one has to do. At the
 * beginning of a file the place is not to be believed at once: see settled().
 *
 * MySQL knows no such thing: commits are in the log before they are visible. So commits have to
 * stand still while the transactions begin: FLUSH TABLES WITH READ LOCK, or for those without
 * RELOAD, LOCK TABLES .. READ of the captured tables. Both wait for statements that run and hold
 * up writers meanwhile, so they wait LOCK_SECONDS at most, and are then tried again later. */
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "connectors/mysql/binlog_source.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ALIGN_TRIES = 30, LOCK_SECONDS = 2, LOCK_TRIES = 10, LOCK_PAUSE_US = 500000 };
enum { SETTLE_US = 3000000, SETTLE_MAX_US = 20000000, SETTLE_PAUSE_US = 50000 };

/* A reader of the view may keep a table's metadata lock (see begin_view), and whoever wants to
 * alter that table waits for it, and keeps the view's other readers waiting behind him: we have to
 * be the ones to give up, soon, or nobody goes on. */
static const char patience[] = "SET SESSION lock_wait_timeout=3";
static const char isolation[] = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
static const char begin[] = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

static fr_rc begin_view(fr_my *my, fr_err *err)
{
    /* With a log for this session MariaDB keeps a table's metadata lock past the savepoint. We
     * write nothing; where we may not say so, ALTER TABLE waits for the view's end. */
    fr_err ignored;
    if (my->mariadb) {
        FR_TRY(fr_my_exec(my, "begin the view", FR_STR("ROLLBACK"), err));
        (void)fr_my_exec(my, "begin the view", FR_STR("SET SESSION sql_log_bin=0"), &ignored);
    }
    FR_TRY(fr_my_exec(my, "begin the view", fr_cstr(patience), err));
    FR_TRY(fr_my_exec(my, "begin the view", fr_cstr(isolation), err));
    FR_TRY(fr_my_exec(my, "begin the view", fr_cstr(begin), err));
    return fr_my_exec(my, "begin the view", FR_STR("SAVEPOINT freshet"), err);
}

fr_rc fr_binlog_view_let_go(fr_my *my, fr_err *err)
{
    return fr_my_exec(my, "let go of a table", FR_STR("ROLLBACK TO SAVEPOINT freshet"), err);
}

static fr_rc connect_all(fr_binlog_source *s, size_t readers, fr_binlog_view *v, fr_err *err)
{
    while (v->slot_count < readers) {
        FR_TRY(fr_binlog_connect(s, &v->slots[v->slot_count].my, err));
        v->slot_count++;
    }
    return FR_OK;
}

/* ---- MariaDB ---- */

static fr_rc snapshot_place(fr_my *my, fr_arena *a, fr_binlog_here *out, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_my_query(my, a, "read the view's place", "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'",
                       &rows, err));
    fr_binlog_here here = {.pos = 0};
    for (size_t i = 0; i < rows.count; i++) {
        if (fr_str_is(fr_my_text(&rows, i, 0), "Binlog_snapshot_file"))
            snprintf(here.file, sizeof(here.file), "%.*s", FR_ARG(fr_my_text(&rows, i, 1)));
        else if (fr_str_is(fr_my_text(&rows, i, 0), "Binlog_snapshot_position"))
            here.pos = fr_my_uint(&rows, i, 1, 0);
    }
    if (here.file[0] == '\0' || here.pos == 0)
        return fr_fail(err, FR_ERR_CONFIG, "the server does not say the place of its snapshot");
    *out = here;
    return FR_OK;
}

/* How many of the connections, from the first on, see what the first one sees. */
static fr_rc align(fr_binlog_view *v, fr_arena *a, size_t *same, fr_binlog_here *at, fr_err *err)
{
    *same = 0;
    for (size_t i = 0; i < v->slot_count; i++)
        FR_TRY(begin_view(v->slots[i].my, err));
    for (size_t i = 0; i < v->slot_count; i++) {
        fr_binlog_here here;
        FR_TRY(snapshot_place(v->slots[i].my, a, &here, err));
        if (i == 0)
            *at = here;
        else if (here.pos != at->pos || strcmp(here.file, at->file) != 0)
            return FR_OK;
        *same = i + 1;
    }
    return FR_OK;
}

/* A place at the beginning of a file, and since when nothing else was said. */
typedef struct unsettled {
    int64_t began_us; /* the first look; 0: none yet */
    int64_t since_us;
    fr_binlog_here at;
} unsettled;

static bool same_place(const fr_binlog_here *a, const fr_binlog_here *b)
{
    return a->pos == b->pos && strcmp(a->file, b->file) == 0;
}

/* No group of the file is before it. */
static fr_rc at_beginning(fr_my *my, fr_arena *a, const fr_binlog_here *at, bool *yes, fr_err *err)
{
    fr_str here, first;
    FR_TRY(fr_binlog_gtid_at(my, a, at->file, at->pos, &here, err));
    FR_TRY(fr_binlog_gtid_at(my, a, at->file, FR_BINLOG_FILE_BEGINS, &first, err));
    *yes = fr_str_eq(here, first);
    return FR_OK;
}

/* Whether somebody is seen between the log and the engine. Without the right PROCESS only those are
 * seen that wait for a replica. */
static fr_rc commits_under_way(fr_my *my, fr_arena *a, bool *yes, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_my_query(my, a, "look for commits",
                       "SHOW GLOBAL STATUS LIKE 'Rpl\\_semi\\_sync\\_master\\_wait\\_sessions'",
                       &rows, err));
    *yes = rows.count > 0 && fr_my_uint(&rows, 0, 1, 0) > 0;
    FR_TRY(fr_my_query(my, a, "look for commits",
                       "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> "
                       "CONNECTION_ID() AND state LIKE '%commit%'",
                       &rows, err));
    *yes = *yes || fr_my_uint(&rows, 0, 0, 0) > 0;
    return FR_OK;
}

static fr_rc never_settles(const fr_binlog_here *at, fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY,
            "the log is at the beginning of %s (%" PRIu64 "), and what ended the file before is "
            "still being committed: rows could be missing from a view that begins now",
            at->file, at->pos);
    fr_fail_code(err, "my.snapshot_unsettled");
    return fr_fail_hint(err,
                        "it is tried again by itself; a semi-synchronous replica that does not "
                        "answer is the usual reason (rpl_semi_sync_master_timeout)");
}

/* From the moment a file is begun MariaDB says its beginning as the place of new views. The group
 * that made the log rotate gets into the engine only after that, once a semi-synchronous replica
 * has answered: a view that begins in between lacks rows that its place is behind. The next commit
 * moves the place on, under the lock of the engine's commits, so any other place is right. FR_IDLE:
 * begin another view; on a server where nothing is committed, until it has stood there for a while
 * with nobody seen on his way. */
static fr_rc settled(fr_binlog_source *s, fr_my *my, fr_arena *a, const fr_binlog_here *at,
                     int64_t view_us, unsettled *u, fr_err *err)
{
    bool beginning, busy;
    FR_TRY(at_beginning(my, a, at, &beginning, err));
    if (!beginning || same_place(&s->settled, at))
        return FR_OK;
    if (u->began_us == 0)
        u->began_us = view_us;
    FR_TRY(commits_under_way(my, a, &busy, err));
    if (busy || !same_place(&u->at, at)) {
        u->at = *at;
        u->since_us = fr_now_us();
    }
    if (view_us - u->since_us >= SETTLE_US) {
        s->settled = *at;
        return FR_OK;
    }
    if (view_us - u->began_us >= SETTLE_MAX_US)
        return never_settles(at, err);
    fr_sleep_us(SETTLE_PAUSE_US);
    FR_TRY(fr_cancel_check(err));
    return FR_IDLE;
}

static fr_rc open_without_lock(fr_binlog_source *s, fr_binlog_view *v, fr_binlog_here *at,
                               fr_err *err)
{
    size_t same = 0;
    unsettled u = {.began_us = 0};
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = FR_OK;
    for (int i = 0; rc == FR_IDLE || (rc == FR_OK && i < ALIGN_TRIES && same < v->slot_count);) {
        int64_t view_us = fr_now_us();
        fr_arena_reset(a);
        rc = align(v, a, &same, at, err);
        if (rc == FR_OK)
            rc = settled(s, v->slots[0].my, a, at, view_us, &u, err);
        i += rc == FR_OK;
    }
    fr_arena_free(a);
    if (rc == FR_FAIL)
        return FR_FAIL;
    while (v->slot_count > same)
        fr_my_close(v->slots[--v->slot_count].my);
    return fr_binlog_gtid_at(v->slots[0].my, v->arena, at->file, at->pos, &at->gtid, err);
}

/* ---- MySQL ---- */

static fr_str lock_tables_sql(fr_arena *a, const fr_binlog_catalog *c)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < c->count; i++) {
        fr_str name = fr_my_qualified(a, c->tables[i].relation.space, c->tables[i].relation.name);
        fr_buf_printf(&b, "%s%.*s READ", i == 0 ? "LOCK TABLES " : ", ", FR_ARG(name));
    }
    return fr_buf_view(&b);
}

static fr_rc no_lock_right(fr_err *err)
{
    if (err->kind != FR_ERR_AUTH)
        return FR_FAIL;
    fr_fail(err, FR_ERR_AUTH,
            "MySQL can begin a snapshot at a known place of its log only while no commit happens, "
            "and this user may neither do FLUSH TABLES WITH READ LOCK nor LOCK TABLES");
    fr_fail_code(err, "my.snapshot_lock");
    return fr_fail_hint(err, "GRANT RELOAD ON *.* TO ...; or, where that cannot be had: GRANT LOCK "
                             "TABLES ON *.* TO ...; (writers wait for some milliseconds)");
}

/* Takes whichever lock this user may. */
static fr_rc lock(fr_my *my, fr_arena *a, const fr_binlog_catalog *c, fr_err *err)
{
    char wait[64];
    snprintf(wait, sizeof(wait), "SET SESSION lock_wait_timeout=%d", LOCK_SECONDS);
    FR_TRY(fr_my_exec(my, "prepare the lock", fr_cstr(wait), err));
    if (fr_my_exec(my, "hold up commits", FR_STR("FLUSH TABLES WITH READ LOCK"), err) == FR_OK)
        return FR_OK;
    if (err->kind != FR_ERR_AUTH || c->count == 0)
        return FR_FAIL;
    if (fr_my_exec(my, "hold up commits", lock_tables_sql(a, c), err) == FR_OK)
        return FR_OK;
    return no_lock_right(err);
}

static fr_rc begin_locked(fr_binlog_source *s, fr_my *holder, fr_binlog_view *v, fr_binlog_here *at,
                          fr_err *err)
{
    for (size_t i = 0; i < v->slot_count; i++)
        FR_TRY(begin_view(v->slots[i].my, err));
    return fr_binlog_here_read(holder, &s->server, v->arena, at, err);
}

static fr_rc with_lock(fr_binlog_source *s, fr_my *holder, const fr_binlog_catalog *c,
                       fr_binlog_view *v, fr_binlog_here *at, fr_err *err)
{
    fr_rc rc = FR_FAIL;
    for (int i = 0; rc == FR_FAIL && i < LOCK_TRIES; i++) {
        if (i > 0)
            fr_sleep_us(LOCK_PAUSE_US);
        rc = lock(holder, v->arena, c, err);
        if (rc == FR_FAIL && err->kind != FR_ERR_BUSY)
            return FR_FAIL;
    }
    FR_TRY(rc);
    int64_t began = fr_now_us();
    rc = begin_locked(s, holder, v, at, err);
    fr_err second;
    if (fr_my_exec(holder, "let commits go on", FR_STR("UNLOCK TABLES"),
                   rc == FR_OK ? err : &second) == FR_FAIL)
        return FR_FAIL;
    fr_log(FR_LOG_INFO, s->settings->name, "commits stood still for %.1f ms while the view began",
           (double)(fr_now_us() - began) / 1000);
    return rc;
}

fr_rc fr_binlog_view_open(fr_binlog_source *s, const fr_binlog_catalog *c, size_t readers,
                          fr_binlog_view *v, fr_binlog_here *at, fr_err *err)
{
    FR_TRY(connect_all(s, readers, v, err));
    if (s->server.mariadb)
        return open_without_lock(s, v, at, err);
    fr_my *holder = NULL;
    FR_TRY(fr_binlog_connect(s, &holder, err));
    fr_rc rc = with_lock(s, holder, c, v, at, err);
    fr_my_close(holder); /* which would let go of a lock in any case */
    return rc;
}
