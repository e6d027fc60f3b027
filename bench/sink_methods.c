/* Upserts per second into PostgreSQL: our sink beside each way to write them by hand, on
 * the same server in one run, in turns. Half of the rows are updates and half inserts, one
 * transaction per batch, primary key only, 200,000 rows there before.
 *
 *   sink_methods DSN [SECONDS [ROUNDS [OFFSETS]]]    SECONDS a turn (0.5), ROUNDS (5)
 *
 * OFFSETS 1: the methods by hand update a row of offsets too, as our sink always does (it
 * costs one round trip less when it is sent with COMMIT; they do that). */
#include "bench/sink_methods.h"
#include "postgres/pg_sink.h"

enum { METHODS = 6, SIZES = 5 };
static const int sizes[SIZES] = {1, 100, 1000, 4096, 10000};
static const char *const names[METHODS] = {"values",   "unnest",  "copy+merge",
                                           "pipeline", "freshet", "freshet guarded"};
static const char *const tables[METHODS] = {"bench_values",   "bench_unnest",  "bench_copy",
                                            "bench_pipeline", "bench_freshet", "bench_guarded"};

struct bench {
    PGconn *conn;
    bool offsets;
    fr_buf text; /* statements, COPY data */
    fr_buf cols[4];
};

static void run(bench *b, const char *sql)
{
    PGresult *r = PQexec(b->conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        bare_die(sql, PQerrorMessage(b->conn));
    PQclear(r);
}

static const char tail[] = " ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
                           "amount = excluded.amount, at = excluded.at";
static const char offset_sql[] = "UPDATE bench_offsets SET n = n + 1 WHERE k = 1";

static void end(bench *b)
{
    char sql[160];
    snprintf(sql, sizeof(sql), "%s%sCOMMIT", b->offsets ? offset_sql : "", b->offsets ? "; " : "");
    run(b, sql);
}

/* ---- the methods by hand ---- */

static void by_values(bench *b, const row *rows, int n)
{
    run(b, "BEGIN");
    for (int at = 0; at < n; at += 1000) {
        b->text.len = 0;
        fr_buf_text(&b->text, "INSERT INTO bench_values (id, name, amount, at) VALUES ");
        for (int i = at; i < n && i < at + 1000; i++)
            fr_buf_printf(&b->text,
                          "%s(%" PRId64 ",'%s',%s,timestamptz 'epoch' + %" PRId64
                          " * interval '1 us')",
                          i > at ? "," : "", rows[i].id, rows[i].name, rows[i].amount, rows[i].at);
        fr_buf_text(&b->text, tail);
        fr_buf_u8(&b->text, 0);
        run(b, (char *)b->text.ptr);
    }
    end(b);
}

static void put(fr_buf *c, const char *text)
{
    fr_buf_u32be(c, (uint32_t)strlen(text));
    fr_buf_text(c, text);
}

static void put_row(fr_buf *c, const row *r)
{
    fr_buf_u32be(&c[0], 8);
    fr_buf_u64be(&c[0], (uint64_t)r->id);
    put(&c[1], r->name);
    put(&c[2], r->amount);
    fr_buf_u32be(&c[3], 8);
    fr_buf_u64be(&c[3], (uint64_t)(r->at - INT64_C(946684800000000)));
}

static void by_unnest(bench *b, const row *rows, int n)
{
    static const uint32_t oids[] = {20, 25, 25, 1184};
    const char *values[4];
    int lengths[4], formats[4] = {1, 1, 1, 1};
    for (int c = 0; c < 4; c++)
        fr_pg_array_begin(&b->cols[c], oids[c]);
    for (int i = 0; i < n; i++)
        put_row(b->cols, &rows[i]);
    for (int c = 0; c < 4; c++) {
        fr_pg_array_end(&b->cols[c], (size_t)n);
        values[c] = (char *)b->cols[c].ptr;
        lengths[c] = (int)b->cols[c].len;
    }
    run(b, "BEGIN");
    PGresult *r = PQexecPrepared(b->conn, "unnest", 4, values, lengths, formats, 0);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        bare_die("unnest", PQerrorMessage(b->conn));
    PQclear(r);
    end(b);
}

static void by_copy(bench *b, const row *rows, int n)
{
    run(b, "BEGIN");
    PGresult *r = PQexec(b->conn, "COPY bench_stage FROM STDIN (FORMAT binary)");
    if (PQresultStatus(r) != PGRES_COPY_IN)
        bare_die("copy", PQerrorMessage(b->conn));
    PQclear(r);
    b->text.len = 0;
    fr_buf_put(&b->text, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    for (int i = 0; i < n; i++) {
        const row *w = &rows[i];
        fr_buf_u16be(&b->text, 4);
        fr_buf_u32be(&b->text, 8);
        fr_buf_u64be(&b->text, (uint64_t)w->id);
        put(&b->text, w->name);
        put(&b->text, w->amount);
        fr_buf_u32be(&b->text, 8);
        fr_buf_u64be(&b->text, (uint64_t)(w->at - INT64_C(946684800000000)));
    }
    fr_buf_u16be(&b->text, 0xffff);
    if (PQputCopyData(b->conn, (char *)b->text.ptr, (int)b->text.len) != 1 ||
        PQputCopyEnd(b->conn, NULL) != 1)
        bare_die("copy", PQerrorMessage(b->conn));
    while ((r = PQgetResult(b->conn)) != NULL) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            bare_die("copy", PQerrorMessage(b->conn));
        PQclear(r);
    }
    b->text.len = 0;
    fr_buf_printf(&b->text,
                  "INSERT INTO bench_copy SELECT id, name, amount::numeric, at "
                  "FROM bench_stage%s; TRUNCATE bench_stage",
                  tail);
    fr_buf_u8(&b->text, 0);
    run(b, (char *)b->text.ptr);
    end(b);
}

/* All of a batch with BEGIN and COMMIT in as few round trips as the server's answers allow. */
static void by_pipeline(bench *b, const row *rows, int n)
{
    PQenterPipelineMode(b->conn);
    PQsendQueryParams(b->conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 0);
    for (int i = 0; i < n; i++) {
        const char *values[4];
        int lengths[4], formats[4] = {1, 1, 1, 1};
        for (int c = 0; c < 4; c++)
            b->cols[c].len = 0;
        put_row(b->cols, &rows[i]);
        for (int c = 0; c < 4; c++) {
            values[c] = (char *)b->cols[c].ptr + 4;
            lengths[c] = (int)b->cols[c].len - 4;
        }
        PQsendQueryPrepared(b->conn, "one", 4, values, lengths, formats, 0);
    }
    if (b->offsets)
        PQsendQueryParams(b->conn, offset_sql, 0, NULL, NULL, NULL, NULL, 0);
    PQsendQueryParams(b->conn, "COMMIT", 0, NULL, NULL, NULL, NULL, 0);
    PQpipelineSync(b->conn);
    for (bool more = true; more;) {
        PGresult *r = PQgetResult(b->conn);
        ExecStatusType s = r != NULL ? PQresultStatus(r) : PGRES_COMMAND_OK;
        more = s != PGRES_PIPELINE_SYNC;
        if (s != PGRES_COMMAND_OK && more)
            bare_die("pipeline", PQerrorMessage(b->conn));
        PQclear(r);
    }
    PQexitPipelineMode(b->conn);
}

/* ---- setting up ---- */

static void make_tables(bench *b)
{
    char sql[400];
    run(b, "DROP TABLE IF EXISTS bench_offsets; CREATE TABLE bench_offsets (k int primary key, n "
           "bigint); INSERT INTO bench_offsets VALUES (1, 0)");
    for (int m = 0; m < METHODS; m++) {
        snprintf(sql, sizeof(sql),
                 "DROP TABLE IF EXISTS %s; CREATE TABLE %s (id bigint PRIMARY KEY, name text, "
                 "amount numeric(12,2), at timestamptz%s)",
                 tables[m], tables[m], m == 5 ? ", " FR_TARGET_POSITION " bytea" : "");
        run(b, sql);
        snprintf(sql, sizeof(sql),
                 "INSERT INTO %s SELECT i, 'customer', 1, now() FROM generate_series(0, %d) i; "
                 "VACUUM ANALYZE %s",
                 tables[m], PRELOADED - 1, tables[m]);
        char *vacuum = strstr(sql, "; VACUUM");
        *vacuum = '\0';
        run(b, sql);
        run(b, vacuum + 2);
    }
    run(b, "CREATE TEMP TABLE bench_stage (id bigint, name text, amount text, at timestamptz)");
    snprintf(sql, sizeof(sql),
             "PREPARE unnest (bigint[], text[], text[], timestamptz[]) AS INSERT INTO bench_unnest "
             "SELECT i, n, a::numeric, t FROM unnest($1, $2, $3, $4) u(i, n, a, t)%s",
             tail);
    run(b, sql);
    snprintf(sql, sizeof(sql),
             "PREPARE one (bigint, text, text, timestamptz) AS INSERT INTO bench_pipeline VALUES "
             "($1, $2, $3::numeric, $4)%s",
             tail);
    run(b, sql);
}

static void by_hand(bench *b, int method, const row *rows, int n)
{
    static void (*const all[])(bench *, const row *, int) = {by_values, by_unnest, by_copy,
                                                             by_pipeline};
    all[method](b, rows, n);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        bare_die("usage", "sink_methods DSN [SECONDS [ROUNDS [OFFSETS]]]");
    double seconds = argc > 2 ? atof(argv[2]) : 0.5;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    static bench b;
    static const methods m = {
        .count = METHODS, .names = names, .tables = tables, .by_hand = by_hand};
    ours o = {.m = &m, .bench = &b, .time = FR_TIMESTAMP};
    b.offsets = argc > 4 && atoi(argv[4]) != 0;
    b.conn = PQconnectdb(argv[1]);
    if (PQstatus(b.conn) != CONNECTION_OK)
        bare_die("connect", PQerrorMessage(b.conn));
    make_tables(&b);
    fr_pg_sink_config config = {.dsn = argv[1]};
    ours_open(&o, &fr_postgres_sink, &config);
    compare(&o, sizes, SIZES, rounds, seconds);
    ours_close(&o);
    for (int t = 0; t < METHODS; t++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "DROP TABLE %s", tables[t]);
        run(&b, sql);
    }
    PQfinish(b.conn);
    return 0;
}
