/* Upserts per second into a DuckDB file: our sink beside ways to write them by hand, each side in a
 * file of its own in the same folder, in one run, in turns. Half of the rows are updates and half
 * inserts, one transaction per batch, 200,000 rows there before.
 *
 *   duck_sink_methods LIBRARY FOLDER [SECONDS [ROUNDS]]
 *
 * SECONDS a turn (0.5), ROUNDS (5). All have one thread and 128 MiB. By hand rows are appended to a
 * temporary table, value by value; the methods differ in how they get from there into the target,
 * and "loader" appends right into it: the bare loader, which upserts nothing. */
#include "bench/sink_methods.h"
#include "duckdb/duck_sink.h"
#include <dlfcn.h>

enum { METHODS = 5, SIZES = 4 };
static const int sizes[SIZES] = {100, 1000, 4096, 10000};
static const char *const names[METHODS] = {"loader", "on conflict", "merge", "freshet",
                                           "freshet guarded"};
static const char *const tables[METHODS] = {"bench_loader", "bench_conflict", "bench_merge",
                                            "bench_freshet", "bench_guarded"};
static const char *const moves[] = {
    NULL,
    "INSERT INTO bench_conflict SELECT * FROM temp.stage ON CONFLICT (id) DO UPDATE SET name = "
    "excluded.name, amount = excluded.amount, \"at\" = excluded.\"at\"",
    "MERGE INTO bench_merge AS t USING temp.stage AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET "
    "name = s.name, amount = s.amount, \"at\" = s.\"at\" WHEN NOT MATCHED THEN INSERT VALUES "
    "(s.id, "
    "s.name, "
    "s.amount, s.\"at\")"};

struct bench {
    const fr_duck_api *d;
    duckdb_database db, ours;
    duckdb_connection con, our_con;
    duckdb_state (*append_int64)(duckdb_appender, int64_t);
    duckdb_state (*append_varchar)(duckdb_appender, const char *);
    duckdb_state (*end_row)(duckdb_appender);
};

static void run(bench *b, duckdb_connection con, const char *sql)
{
    duckdb_result r;
    if (b->d->query(con, sql, &r) != 0)
        bare_die(sql, b->d->result_error(&r));
    b->d->destroy_result(&r);
}

static void append(bench *b, const char *catalog, const char *table, const row *rows, int n)
{
    duckdb_appender a;
    if (b->d->appender_create_ext(b->con, catalog, "main", table, &a) != 0)
        bare_die("append", table);
    for (int i = 0; i < n; i++) {
        b->append_int64(a, rows[i].id);
        b->append_varchar(a, rows[i].name);
        b->append_varchar(a, rows[i].amount);
        b->append_varchar(a, rows[i].time);
        if (b->end_row(a) != 0)
            bare_die("append", table);
    }
    if (b->d->appender_close(a) != 0)
        bare_die("append", table);
    b->d->appender_destroy(&a);
}

static void by_hand(bench *b, int method, const row *rows, int n)
{
    run(b, b->con, "BEGIN");
    if (moves[method] != NULL) {
        run(b, b->con,
            "CREATE OR REPLACE TEMP TABLE stage (id BIGINT, name VARCHAR, amount VARCHAR, \"at\" "
            "TIMESTAMP)");
        append(b, "temp", "stage", rows, n);
        run(b, b->con, moves[method]);
    } else {
        append(b, NULL, tables[method], rows, n);
    }
    run(b, b->con, "UPDATE bench_offsets SET n = n + 1 WHERE k = 1");
    run(b, b->con, "COMMIT");
}

/* ---- setting up ---- */

static void open_file(bench *b, const char *path, duckdb_database *db, duckdb_connection *con)
{
    char *text = NULL, wal[4200];
    duckdb_config config;
    snprintf(wal, sizeof(wal), "%s.wal", path);
    unlink(path);
    unlink(wal);
    b->d->create_config(&config);
    b->d->set_config(config, "threads", "1");
    b->d->set_config(config, "memory_limit", "128MiB");
    if (b->d->open_ext(path, db, config, &text) != 0 || b->d->connect(*db, con) != 0)
        bare_die(path, text);
    b->d->destroy_config(&config);
}

static void make_table(bench *b, duckdb_connection con, int method)
{
    char sql[600];
    bool guarded = method == METHODS - 1;
    snprintf(
        sql, sizeof(sql),
        "CREATE TABLE %s (id BIGINT %s, name VARCHAR, amount VARCHAR, \"at\" TIMESTAMP%s); INSERT "
        "INTO %s SELECT i, 'customer', '1.00', TIMESTAMP '2023-11-14'%s FROM range(%d) r(i)",
        tables[method],
        method == 1             ? "PRIMARY KEY"
        : method >= METHODS - 2 ? "NOT NULL UNIQUE"
                                : "NOT NULL",
        guarded ? ", " FR_TARGET_POSITION " BLOB" : "", tables[method],
        guarded ? ", '\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
                  "\\x00\\x00'::BLOB"
                : "",
        PRELOADED);
    if (guarded) { /* as tables are that the sink makes */
        char *unique = strstr(sql, " UNIQUE");
        memset(unique, ' ', strlen(" UNIQUE"));
    }
    run(b, con, sql);
    run(b, con, "CHECKPOINT");
}

static void *call(void *handle, const char *name)
{
    void *at = dlsym(handle, name);
    if (at == NULL)
        bare_die(name, dlerror());
    return at;
}

static void load(bench *b, const char *library)
{
    fr_err err;
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), *at;
    if (handle == NULL || fr_duck_load(library, &b->d, &err) == FR_FAIL)
        bare_die("load", library);
    at = call(handle, "duckdb_append_int64");
    memcpy(&b->append_int64, &at, sizeof(at));
    at = call(handle, "duckdb_append_varchar");
    memcpy(&b->append_varchar, &at, sizeof(at));
    at = call(handle, "duckdb_appender_end_row");
    memcpy(&b->end_row, &at, sizeof(at));
}

int main(int argc, char **argv)
{
    if (argc < 3)
        bare_die("usage", "duck_sink_methods LIBRARY FOLDER [SECONDS [ROUNDS]]");
    double seconds = argc > 3 ? atof(argv[3]) : 0.5;
    int rounds = argc > 4 ? atoi(argv[4]) : 5;
    char hand[4096], path[4096];
    bench b = {.d = NULL};
    snprintf(hand, sizeof(hand), "%s/hand.db", argv[2]);
    snprintf(path, sizeof(path), "%s/ours.db", argv[2]);
    load(&b, argv[1]);
    open_file(&b, hand, &b.db, &b.con);
    open_file(&b, path, &b.ours, &b.our_con);
    run(&b, b.con,
        "CREATE TABLE bench_offsets (k INTEGER, n INTEGER); INSERT INTO bench_offsets "
        "VALUES (1, 0)");
    for (int m = 0; m < METHODS; m++)
        make_table(&b, m < METHODS - 2 ? b.con : b.our_con, m);
    b.d->disconnect(&b.our_con);
    b.d->close(&b.ours);
    static const methods m = {
        .count = METHODS, .names = names, .tables = tables, .by_hand = by_hand};
    ours o = {.m = &m, .bench = &b, .time = FR_DATETIME};
    fr_duck_sink_config config = {
        .path = path, .library = argv[1], .memory = 128 << 20, .threads = 1};
    ours_open(&o, &fr_duckdb_sink, &config);
    compare(&o, sizes, SIZES, rounds, seconds);
    ours_close(&o);
    b.d->disconnect(&b.con);
    b.d->close(&b.db);
    return 0;
}
