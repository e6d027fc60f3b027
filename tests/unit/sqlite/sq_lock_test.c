/* Who writes to a file, seen without a lock; and what is final by it. Writers are connections of
 * this process, which POSIX locks alone would not show. */
#include "base/clock.h"
#include "connectors/sqlite/sq_lock.h"
#include "tests/unit/test.h"
#include <stdlib.h>
#include <unistd.h>

static fr_err err;

typedef struct fixture {
    char dir[64], path[96];
    sqlite3 *writer;
    fr_sq *reader;
    fr_sq_watch watch;
    fr_arena *a;
} fixture;

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
}

static fixture *make(const char *mode)
{
    char sql[64];
    fixture *f = fr_malloc(sizeof(*f));
    f->a = fr_arena_new(0);
    snprintf(f->dir, sizeof(f->dir), "/tmp/freshet-unit-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/app.db", f->dir);
    assert_int_equal(sqlite3_open(f->path, &f->writer), SQLITE_OK);
    snprintf(sql, sizeof(sql), "PRAGMA journal_mode = %s", mode);
    run(f->writer, sql);
    run(f->writer, "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)");
    assert_ok(fr_sq_open(f->path, false, &f->reader, &err));
    fr_sq_watch_begin(&f->watch, f->reader);
    return f;
}

static void end(fixture *f)
{
    fr_sq_watch_end(&f->watch);
    fr_sq_close(f->reader);
    sqlite3_close(f->writer);
    for (size_t i = 0; i < 4; i++) {
        static const char *const more[] = {"", "-wal", "-shm", "-journal"};
        char path[128];
        snprintf(path, sizeof(path), "%s%s", f->path, more[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    fr_arena_free(f->a);
    free(f);
}

static fr_sq_look look(fixture *f)
{
    fr_sq_look l;
    fr_sleep_us(2000); /* so that two looks are at two times */
    assert_ok(fr_sq_watch_look(&f->watch, f->reader, f->a, &l, &err));
    return l;
}

static void held_and_free(const char *mode)
{
    fixture *f = make(mode);
    fr_sq_look before = look(f);
    assert_false(before.held);
    assert_int_equal(before.final_us, before.now_us);
    run(f->writer, "BEGIN IMMEDIATE; INSERT INTO t (v) VALUES ('a')");
    fr_sq_look held = look(f);
    assert_true(held.held);
    assert_int_equal(held.final_us, before.now_us);
    assert_str(held.who, "this process itself");
    run(f->writer, "COMMIT; BEGIN IMMEDIATE");
    fr_sq_look other = look(f); /* another transaction: who wrote at the last look has ended */
    assert_true(other.held);
    assert_int_equal(other.final_us, held.now_us);
    fr_sq_look still = look(f);
    assert_int_equal(still.final_us, held.now_us);
    run(f->writer, "ROLLBACK; BEGIN IMMEDIATE");
    fr_sq_look after = look(f); /* a rollback cannot be seen: that is later, but never wrong */
    assert_int_equal(after.final_us, held.now_us);
    run(f->writer, "COMMIT");
    fr_sq_look free_again = look(f);
    assert_false(free_again.held);
    assert_int_equal(free_again.final_us, free_again.now_us);
    end(f);
}

static void wal(void **state)
{
    (void)state;
    held_and_free("wal");
}

static void rollback_journal(void **state)
{
    (void)state;
    held_and_free("delete");
}

static void never_seen_free(void **state)
{
    (void)state;
    fixture *f = make("wal");
    run(f->writer, "BEGIN IMMEDIATE");
    fr_sq_look l = look(f); /* not before this machine was started */
    assert_true(l.held && l.final_us < l.now_us);
    end(f);
}

/* A writer whose changes do not fit into its memory begins the log anew while it is still open: the
 * index changes, and nothing was committed. */
static void log_begun_anew(void **state)
{
    (void)state;
    fixture *f = make("wal");
    fr_arena *a = f->a;
    fr_str version[2];
    run(f->writer,
        "INSERT INTO t (v) VALUES ('a'); PRAGMA wal_checkpoint(FULL); PRAGMA cache_size = 2");
    fr_sq_look before = look(f);
    assert_false(before.held);
    run(f->writer, "BEGIN IMMEDIATE");
    fr_sq_look begun = look(f);
    assert_ok(fr_sq_scalar(f->reader, "ask", FR_STR("PRAGMA data_version"), a, &version[0], &err));
    run(f->writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                   " INSERT INTO t (v) SELECT randomblob(1000) FROM n");
    fr_sq_look open = look(f);
    assert_true(open.held);
    assert_int_equal(open.final_us, begun.final_us);
    /* The control: what SQLite itself calls a change has changed, so that it would not have done.
     */
    assert_ok(fr_sq_scalar(f->reader, "ask", FR_STR("PRAGMA data_version"), a, &version[1], &err));
    assert_false(fr_str_eq(version[0], version[1]));
    run(f->writer, "COMMIT");
    end(f);
}

/* What one connection has seen holds for the others of the process; closing one takes no lock away.
 */
static void shared(void **state)
{
    (void)state;
    fixture *f = make("wal");
    fr_sq *second = NULL;
    fr_sq_watch watch;
    fr_sq_look first = look(f), l;
    run(f->writer, "BEGIN IMMEDIATE");
    assert_ok(fr_sq_open(f->path, false, &second, &err));
    fr_sq_watch_begin(&watch, second);
    assert_ok(fr_sq_watch_look(&watch, second, f->a, &l, &err));
    assert_true(l.held);
    assert_int_equal(l.final_us, first.now_us);
    fr_sq_watch_end(&watch);
    fr_sq_close(second);
    assert_true(look(f).held);
    end(f);
}

static void replaced(void **state)
{
    (void)state;
    fixture *f = make("wal");
    fr_sq_look l;
    char moved[128];
    snprintf(moved, sizeof(moved), "%s.old", f->path);
    assert_int_equal(rename(f->path, moved), 0);
    assert_fails(fr_sq_watch_look(&f->watch, f->reader, f->a, &l, &err), FR_ERR_CONNECT);
    assert_string_equal(err.code, "sqlite.replaced");
    assert_int_equal(rename(moved, f->path), 0);
    end(f);
}

static void not_made(void **state)
{
    (void)state;
    fr_sq *c = NULL;
    assert_fails(fr_sq_open("/tmp/freshet-no-such-file.db", false, &c, &err), FR_ERR_CONNECT);
    assert_string_equal(err.code, "sqlite.missing");
    assert_int_equal(access("/tmp/freshet-no-such-file.db", F_OK), -1);
    assert_fails(fr_sq_open("/tmp", false, &c, &err), FR_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(wal),
                                       cmocka_unit_test(rollback_journal),
                                       cmocka_unit_test(never_seen_free),
                                       cmocka_unit_test(log_begun_anew),
                                       cmocka_unit_test(shared),
                                       cmocka_unit_test(replaced),
                                       cmocka_unit_test(not_made)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
