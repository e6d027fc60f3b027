/* Upserts per second into PostgreSQL: our sink beside each way to write them by hand, on
 * the same server in one run, in turns. Half of the rows are updates and half inserts, one
 * transaction per batch, primary key only, 200,000 rows there before.
 *
 *   sink_methods DSN [SECONDS [ROUNDS [OFFSETS]]]    SECONDS a turn (0.5), ROUNDS (5)
 *
 * OFFSETS 1: the methods by hand update a row of offsets too, as our sink always does (it
 * costs one round trip less when it is sent with COMMIT; they do that). */
#include "base/bytes.h"
#include "base/clock.h"
#include "postgres/pg_sink.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRELOADED = 200000, METHODS = 6, SIZES = 5, MOST = 10000, MAX_ROUNDS = 15 };
static const int sizes[SIZES] = {1, 100, 1000, 4096, 10000};

typedef struct row {
    int64_t id, at;
    char name[24], amount[16];
} row;

typedef struct bench {
    PGconn *conn;
    bool offsets;
    fr_buf text; /* statements, COPY data */
    fr_buf cols[4];
    row *rows;
    int64_t next_id, step;
    fr_sink *sink;
    const fr_table *table;
    fr_batch *batch;
    int64_t offset;
} bench;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "sink_methods: %s: %s\n", what, why);
    exit(1);
}

static void run(bench *b, const char *sql)
{
    PGresult *r = PQexec(b->conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        die(sql, PQerrorMessage(b->conn));
    PQclear(r);
}

/* Distinct ids: every other row one of those that were there. */
static void next_rows(bench *b, int n)
{
    for (int i = 0; i < n; i++) {
        row *r = &b->rows[i];
        b->step = (b->step + 7919) % PRELOADED;
        r->id = i % 2 == 0 ? b->step : b->next_id++;
        r->at = INT64_C(1700000000000000) + r->id;
        snprintf(r->name, sizeof(r->name), "customer %" PRId64, r->id % 100000);
        snprintf(r->amount, sizeof(r->amount), "%" PRId64 ".%02d", r->id % 10000, i % 100);
    }
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

static void by_values(bench *b, int n)
{
    run(b, "BEGIN");
    for (int at = 0; at < n; at += 1000) {
        b->text.len = 0;
        fr_buf_text(&b->text, "INSERT INTO bench_values (id, name, amount, at) VALUES ");
        for (int i = at; i < n && i < at + 1000; i++)
            fr_buf_printf(&b->text,
                          "%s(%" PRId64 ",'%s',%s,timestamptz 'epoch' + %" PRId64
                          " * interval '1 us')",
                          i > at ? "," : "", b->rows[i].id, b->rows[i].name, b->rows[i].amount,
                          b->rows[i].at);
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

static void by_unnest(bench *b, int n)
{
    static const uint32_t oids[] = {20, 25, 25, 1184};
    const char *values[4];
    int lengths[4], formats[4] = {1, 1, 1, 1};
    for (int c = 0; c < 4; c++)
        fr_pg_array_begin(&b->cols[c], oids[c]);
    for (int i = 0; i < n; i++)
        put_row(b->cols, &b->rows[i]);
    for (int c = 0; c < 4; c++) {
        fr_pg_array_end(&b->cols[c], (size_t)n);
        values[c] = (char *)b->cols[c].ptr;
        lengths[c] = (int)b->cols[c].len;
    }
    run(b, "BEGIN");
    PGresult *r = PQexecPrepared(b->conn, "unnest", 4, values, lengths, formats, 0);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        die("unnest", PQerrorMessage(b->conn));
    PQclear(r);
    end(b);
}

static void by_copy(bench *b, int n)
{
    run(b, "BEGIN");
    PGresult *r = PQexec(b->conn, "COPY bench_stage FROM STDIN (FORMAT binary)");
    if (PQresultStatus(r) != PGRES_COPY_IN)
        die("copy", PQerrorMessage(b->conn));
    PQclear(r);
    b->text.len = 0;
    fr_buf_put(&b->text, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    for (int i = 0; i < n; i++) {
        const row *w = &b->rows[i];
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
        die("copy", PQerrorMessage(b->conn));
    while ((r = PQgetResult(b->conn)) != NULL) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            die("copy", PQerrorMessage(b->conn));
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
static void by_pipeline(bench *b, int n)
{
    PQenterPipelineMode(b->conn);
    PQsendQueryParams(b->conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 0);
    for (int i = 0; i < n; i++) {
        const char *values[4];
        int lengths[4], formats[4] = {1, 1, 1, 1};
        for (int c = 0; c < 4; c++)
            b->cols[c].len = 0;
        put_row(b->cols, &b->rows[i]);
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
            die("pipeline", PQerrorMessage(b->conn));
        PQclear(r);
    }
    PQexitPipelineMode(b->conn);
}

/* ---- ours ---- */

static void fill_batch(bench *b, int n)
{
    fr_err err;
    fr_batch_reset(b->batch);
    for (int i = 0; i < n; i++) {
        const row *w = &b->rows[i];
        fr_event *e = fr_batch_add(b->batch, FR_OP_UPDATE, b->table);
        fr_value *v = fr_batch_row(b->batch, b->table, &e->after);
        v[0] = (fr_value){.kind = FR_INT64, .integer = w->id};
        v[1] = (fr_value){.kind = FR_TEXT, .bytes = fr_cstr(w->name)};
        v[2].kind = FR_DECIMAL;
        if (fr_decimal_from_text(b->batch->arena, fr_cstr(w->amount), 12, 2, &v[2].bytes, &err) ==
            FR_FAIL)
            die("decimal", err.text);
        v[3] = (fr_value){.kind = FR_TIMESTAMP, .integer = w->at};
        e->topic = FR_STR("bench");
        e->partition = 0;
        e->offset = b->offset++;
        e->position = (fr_position){.epoch = 1, .lsn = (uint64_t)b->offset};
    }
}

static void by_sink(bench *b)
{
    fr_err err;
    size_t applied;
    fr_offset o = {FR_STR("bench"), 0, b->offset};
    if (b->sink->ops->apply(b->sink, b->batch, 0, b->batch->count, &applied, &err) == FR_FAIL ||
        b->sink->ops->commit(b->sink, &(fr_offsets){&o, 1}, &err) == FR_FAIL)
        die("sink", err.text);
}

/* ---- setting up ---- */

static const char *const names[METHODS] = {"values",   "unnest",  "copy+merge",
                                           "pipeline", "freshet", "freshet guarded"};
static const char *const tables[METHODS] = {"bench_values",   "bench_unnest",  "bench_copy",
                                            "bench_pipeline", "bench_freshet", "bench_guarded"};

static void make_tables(bench *b)
{
    char sql[400];
    run(b, "DROP TABLE IF EXISTS bench_offsets; CREATE TABLE bench_offsets (k int primary key, n "
           "bigint); INSERT INTO bench_offsets VALUES (1, 0)");
    for (int m = 0; m < METHODS; m++) {
        snprintf(sql, sizeof(sql),
                 "DROP TABLE IF EXISTS %s; CREATE TABLE %s (id bigint PRIMARY KEY, name text, "
                 "amount numeric(12,2), at timestamptz%s)",
                 tables[m], tables[m], m == 5 ? ", " FR_PG_POSITION " bytea" : "");
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

static const fr_table *make_table(const char *name)
{
    static const fr_column columns[] = {
        {.name = {"id", 2}, .kind = FR_INT64, .key_ordinal = 1},
        {.name = {"name", 4}, .kind = FR_TEXT},
        {.name = {"amount", 6}, .kind = FR_DECIMAL, .precision = 12, .scale = 2},
        {.name = {"at", 2}, .kind = FR_TIMESTAMP}};
    return fr_table_new(&(fr_table){.name = fr_cstr(name), .column_count = 4, .columns = columns});
}

static double turn(bench *b, int method, int n, double seconds)
{
    int64_t spent = 0, rows = 0;
    while (spent < (int64_t)(seconds * 1e6)) {
        next_rows(b, n);
        if (method >= 4)
            fill_batch(b, n);
        int64_t began = fr_now_us();
        if (method == 0)
            by_values(b, n);
        else if (method == 1)
            by_unnest(b, n);
        else if (method == 2)
            by_copy(b, n);
        else if (method == 3)
            by_pipeline(b, n);
        else
            by_sink(b);
        spent += fr_now_us() - began;
        rows += n;
    }
    return (double)rows * 1e6 / (double)spent;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *all, int n)
{
    double copy[MAX_ROUNDS];
    memcpy(copy, all, (size_t)n * sizeof(double));
    qsort(copy, (size_t)n, sizeof(double), by_value);
    return copy[n / 2];
}

/* Ours over the best of the others, round by round, so that what slows a round slows both. */
static void report(int n, double rates[METHODS][MAX_ROUNDS], int rounds)
{
    double ratio[MAX_ROUNDS];
    printf("%6d", n);
    for (int m = 0; m < METHODS; m++)
        printf(" %15.0f", median(rates[m], rounds));
    int best = 0;
    for (int m = 1; m < 4; m++)
        if (median(rates[m], rounds) > median(rates[best], rounds))
            best = m;
    for (int i = 0; i < rounds; i++)
        ratio[i] = rates[4][i] / rates[best][i];
    qsort(ratio, (size_t)rounds, sizeof(double), by_value);
    printf("   %.2f [%.2f-%.2f] of %s\n", ratio[rounds / 2], ratio[0], ratio[rounds - 1],
           names[best]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage", "sink_methods DSN [SECONDS [ROUNDS [OFFSETS]]]");
    double seconds = argc > 2 ? atof(argv[2]) : 0.5;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    rounds = rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    static bench b;
    fr_err err;
    b.offsets = argc > 4 && atoi(argv[4]) != 0;
    b.conn = PQconnectdb(argv[1]);
    if (PQstatus(b.conn) != CONNECTION_OK)
        die("connect", PQerrorMessage(b.conn));
    b.rows = fr_malloc(MOST * sizeof(row));
    b.next_id = PRELOADED;
    b.batch = fr_batch_new(MOST, (size_t)1 << 30);
    make_tables(&b);
    fr_pg_sink_config config = {.dsn = argv[1]};
    fr_sink_settings settings = {
        .pipeline = "bench", .name = "bench", .create = FR_WHEN_RUN, .connector = &config};
    fr_offset o = {FR_STR("bench"), 0, -1};
    if (fr_postgres_sink.open(&settings, &b.sink, &err) == FR_FAIL ||
        b.sink->ops->claim(b.sink, &(fr_offsets){&o, 1}, &err) == FR_FAIL)
        die("open", err.text);
    const fr_table *ours[2] = {make_table(tables[4]), make_table(tables[5])};
    printf("rows/s, median of %d turns of %.1f s\n%6s", rounds, seconds, "batch");
    for (int m = 0; m < METHODS; m++)
        printf(" %15s", names[m]);
    printf("   freshet / best by hand\n");
    for (int s = 0; s < SIZES; s++) {
        static double rates[METHODS][MAX_ROUNDS];
        for (int i = -1; i < rounds; i++)
            for (int m = 0; m < METHODS; m++) {
                b.table = ours[m == 5];
                double rate = turn(&b, m, sizes[s], i < 0 ? seconds / 5 : seconds);
                if (i >= 0)
                    rates[m][i] = rate;
            }
        report(sizes[s], rates, rounds);
    }
    fr_batch_free(b.batch);
    fr_table_unref(ours[0]);
    fr_table_unref(ours[1]);
    b.sink->ops->close(b.sink);
    for (int m = 0; m < METHODS; m++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "DROP TABLE %s", tables[m]);
        run(&b, sql);
    }
    PQfinish(b.conn);
    return 0;
}
