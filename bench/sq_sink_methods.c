/* Upserts per second into an SQLite file: our sink beside ways to write them by hand, each side in
 * a file of its own in the same folder, in one run, in turns. Half of the rows are updates and half
 * inserts, one transaction per batch, primary key only, 200,000 rows there before.
 *
 *   sq_sink_methods FOLDER [SECONDS [ROUNDS]]
 *
 * SECONDS a turn (0.5), ROUNDS (5). All have the same types, journal and synchronous; the methods
 * by hand update a row of offsets in each transaction, as our sink always does. */
#include "bench/sink_methods.h"
#include "sqlite/sq_sink.h"

enum { METHODS = 5, SIZES = 4, GROUP = 64 };
static const int sizes[SIZES] = {100, 1000, 4096, 10000};
static const char *const names[METHODS] = {"upsert", "replace", "64 a text", "freshet",
                                           "freshet guarded"};
static const char *const tables[METHODS] = {"bench_upsert", "bench_replace", "bench_group",
                                            "bench_freshet", "bench_guarded"};

struct bench {
    sqlite3 *db, *ours;
    sqlite3_stmt *one[2], *group, *rest;
};

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        bare_die(sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(bench *b, const char *head, int rows, const char *tail)
{
    sqlite3_stmt *stmt;
    fr_buf sql = {0};
    fr_buf_text(&sql, head);
    for (int i = 0; i < rows; i++)
        fr_buf_text(&sql, i > 0 ? ",(?,?,?,?)" : " VALUES (?,?,?,?)");
    fr_buf_text(&sql, tail);
    if (sqlite3_prepare_v3(b->db, (char *)sql.ptr, (int)sql.len, SQLITE_PREPARE_PERSISTENT, &stmt,
                           NULL) != SQLITE_OK)
        bare_die("prepare", sqlite3_errmsg(b->db));
    fr_buf_free(&sql);
    return stmt;
}

static void bind(sqlite3_stmt *stmt, int at, const row *r)
{
    sqlite3_bind_int64(stmt, at + 1, r->id);
    sqlite3_bind_text(stmt, at + 2, r->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, at + 3, r->amount, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, at + 4, r->time, -1, SQLITE_STATIC);
}

static void step(bench *b, sqlite3_stmt *stmt)
{
    if (sqlite3_step(stmt) != SQLITE_DONE)
        bare_die("step", sqlite3_errmsg(b->db));
    sqlite3_reset(stmt);
}

static void by_hand(bench *b, int method, const row *rows, int n)
{
    run(b->db, "BEGIN IMMEDIATE");
    for (int at = 0, count = 0; at < n; at += count) {
        count = method == 2 && n - at >= GROUP ? GROUP : 1;
        sqlite3_stmt *stmt = method < 2 ? b->one[method] : count == GROUP ? b->group : b->rest;
        for (int i = 0; i < count; i++)
            bind(stmt, 4 * i, &rows[at + i]);
        step(b, stmt);
    }
    run(b->db, "UPDATE bench_offsets SET n = n + 1 WHERE k = 1");
    run(b->db, "COMMIT");
}

/* ---- setting up ---- */

static sqlite3 *open_file(const char *folder, const char *name)
{
    sqlite3 *db;
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    unlink(path);
    if (sqlite3_open(path, &db) != SQLITE_OK)
        bare_die(path, sqlite3_errmsg(db));
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000; "
            "PRAGMA wal_autocheckpoint = 4000");
    return db;
}

static void make_table(sqlite3 *db, int method)
{
    char sql[600];
    snprintf(sql, sizeof(sql),
             "CREATE TABLE %s (id INTEGER PRIMARY KEY, name TEXT, amount TEXT, at TEXT%s) STRICT; "
             "INSERT INTO %s (id, name, amount, at) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL "
             "SELECT i + 1 FROM n WHERE i < %d) SELECT i, 'customer', '1.00', "
             "'2023-11-14 00:00:00' FROM n",
             tables[method], method == METHODS - 1 ? ", " FR_TARGET_POSITION " BLOB" : "",
             tables[method], PRELOADED - 1);
    run(db, sql);
    if (method == METHODS - 1) /* as rows are that came through the sink */
        run(db, "UPDATE bench_guarded SET " FR_TARGET_POSITION " = zeroblob(16); VACUUM");
}

static void make_tables(bench *b)
{
    static const char upsert[] = " ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount = "
                                 "excluded.amount, at = excluded.at";
    run(b->db, "CREATE TABLE bench_offsets (k INTEGER PRIMARY KEY, n INTEGER); INSERT INTO "
               "bench_offsets VALUES (1, 0)");
    for (int m = 0; m < METHODS; m++)
        make_table(m < METHODS - 2 ? b->db : b->ours, m);
    b->one[0] = prepare(b, "INSERT INTO bench_upsert (id, name, amount, at)", 1, upsert);
    b->one[1] = prepare(b, "REPLACE INTO bench_replace (id, name, amount, at)", 1, "");
    b->group = prepare(b, "INSERT INTO bench_group (id, name, amount, at)", GROUP, upsert);
    b->rest = prepare(b, "INSERT INTO bench_group (id, name, amount, at)", 1, upsert);
}

static void close_bench(bench *b)
{
    sqlite3_finalize(b->one[0]);
    sqlite3_finalize(b->one[1]);
    sqlite3_finalize(b->group);
    sqlite3_finalize(b->rest);
    sqlite3_close(b->db);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        bare_die("usage", "sq_sink_methods FOLDER [SECONDS [ROUNDS]]");
    double seconds = argc > 2 ? atof(argv[2]) : 0.5;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    bench b = {.db = open_file(argv[1], "hand.db"), .ours = open_file(argv[1], "ours.db")};
    static const methods m = {
        .count = METHODS, .names = names, .tables = tables, .by_hand = by_hand};
    ours o = {.m = &m, .bench = &b, .time = FR_DATETIME};
    char path[4096];
    snprintf(path, sizeof(path), "%s/ours.db", argv[1]);
    make_tables(&b);
    sqlite3_close(b.ours);
    fr_sq_sink_config config = {.path = path};
    ours_open(&o, &fr_sqlite_sink, &config);
    compare(&o, sizes, SIZES, rounds, seconds);
    ours_close(&o);
    close_bench(&b);
    return 0;
}
