/* Upserts per second into MySQL or MariaDB: our sink beside each way to write them by hand,
 * on the same server in one run, in turns. Half of the rows are updates and half inserts,
 * one transaction per batch, primary key only, 200,000 rows there before.
 *
 *   my_sink_methods HOST PORT DATABASE [SECONDS [ROUNDS [SERVER_PID]]]   as root without a password
 *
 * SECONDS a turn (0.5), ROUNDS (5). With SERVER_PID the processor time of both sides is told
 * too: on a busy machine it is what can be compared. The methods by hand update a row of
 * offsets in each transaction, as our sink always does. */
#include "base/bytes.h"
#include "base/clock.h"
#include "mysql/my_sink.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PRELOADED = 200000, METHODS = 7, BY_HAND = 5, SIZES = 4, MOST = 10000, MAX_ROUNDS = 15 };
static const int sizes[SIZES] = {100, 1000, 4096, 10000};
static const char *const names[METHODS] = {"values",   "replace", "load data",      "array",
                                           "prepared", "freshet", "freshet guarded"};
static const char *const tables[METHODS] = {"bench_values", "bench_replace", "bench_load",
                                            "bench_array",  "bench_rows",    "bench_freshet",
                                            "bench_guarded"};
enum { GROUP = 512 }; /* rows of a text by hand */

typedef struct row {
    int64_t id, at;
    char name[24], amount[16], time[32];
} row;

typedef struct bench {
    MYSQL *m;
    MYSQL_STMT *array, *group, *one;
    long server;
    fr_buf text;
    size_t sent; /* of text, by LOAD DATA */
    row *rows;
    int64_t next_id, step;
    fr_sink *sink;
    const fr_table *table;
    fr_batch *batch;
    int64_t offset;
} bench;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "my_sink_methods: %s: %s\n", what, why);
    exit(1);
}

static void run_text(bench *b, const char *sql, size_t len)
{
    if (mysql_real_query(b->m, sql, len) != 0)
        die("query", mysql_error(b->m));
    MYSQL_RES *r = mysql_store_result(b->m);
    mysql_free_result(r);
}

static void run(bench *b, const char *sql)
{
    run_text(b, sql, strlen(sql));
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
        int64_t s = (r->at / 1000000) % 86400;
        snprintf(r->time, sizeof(r->time), "2023-11-14 %02d:%02d:%02d.%06d", (int)(s / 3600),
                 (int)(s / 60 % 60), (int)(s % 60), (int)(r->at % 1000000));
    }
}

static const char tail[] = " ON DUPLICATE KEY UPDATE name = VALUES(name), amount = VALUES(amount), "
                           "at = VALUES(at)";

static void end(bench *b)
{
    run(b, "UPDATE bench_offsets SET n = n + 1 WHERE k = 1");
    run(b, "COMMIT");
}

/* ---- the methods by hand ---- */

static void by_text(bench *b, int n, const char *head, const char *foot)
{
    for (int at = 0; at < n; at += 1000) {
        b->text.len = 0;
        fr_buf_text(&b->text, head);
        for (int i = at; i < n && i < at + 1000; i++)
            fr_buf_printf(&b->text, "%s(%" PRId64 ",'%s',%s,'%s')", i > at ? "," : "",
                          b->rows[i].id, b->rows[i].name, b->rows[i].amount, b->rows[i].time);
        fr_buf_text(&b->text, foot);
        run_text(b, (char *)b->text.ptr, b->text.len);
    }
    end(b);
}

static int load_init(void **ptr, const char *name, void *context)
{
    (void)name;
    *ptr = context;
    ((bench *)context)->sent = 0;
    return 0;
}

static int load_read(void *ptr, char *buf, unsigned len)
{
    bench *b = ptr;
    size_t left = b->text.len - b->sent, n = left < len ? left : len;
    memcpy(buf, b->text.ptr + b->sent, n);
    b->sent += n;
    return (int)n;
}

static void load_end(void *ptr)
{
    (void)ptr;
}

static int load_error(void *ptr, char *text, unsigned size)
{
    (void)ptr;
    snprintf(text, size, "load");
    return 1;
}

static void by_load(bench *b, int n)
{
    b->text.len = 0;
    for (int i = 0; i < n; i++)
        fr_buf_printf(&b->text, "%" PRId64 "\t%s\t%s\t%s\n", b->rows[i].id, b->rows[i].name,
                      b->rows[i].amount, b->rows[i].time);
    run(b, "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE bench_load");
    end(b);
}

/* Room for MOST rows of each column. */
typedef struct columns {
    long long ids[MOST];
    char *texts[3][MOST];
    unsigned long lengths[3][MOST];
} columns;

static void fill_columns(const bench *b, int n, columns *c)
{
    for (int i = 0; i < n; i++) {
        row *r = &b->rows[i];
        c->ids[i] = r->id;
        c->texts[0][i] = r->name;
        c->texts[1][i] = r->amount;
        c->texts[2][i] = r->time;
        for (int t = 0; t < 3; t++)
            c->lengths[t][i] = strlen(c->texts[t][i]);
    }
}

static void execute(MYSQL_STMT *stmt, MYSQL_BIND *binds)
{
    if (mysql_stmt_bind_param(stmt, binds) != 0 || mysql_stmt_execute(stmt) != 0)
        die("execute", mysql_stmt_error(stmt));
}

static void by_array(bench *b, int n)
{
    static columns c;
    MYSQL_BIND binds[4];
    unsigned rows = (unsigned)n;
    memset(binds, 0, sizeof(binds));
    fill_columns(b, n, &c);
    binds[0].buffer_type = MYSQL_TYPE_LONGLONG;
    binds[0].buffer = c.ids;
    for (int t = 0; t < 3; t++) {
        binds[1 + t].buffer_type = MYSQL_TYPE_STRING;
        binds[1 + t].buffer = (void *)c.texts[t];
        binds[1 + t].length = c.lengths[t];
    }
    mysql_stmt_attr_set(b->array, STMT_ATTR_ARRAY_SIZE, &rows);
    execute(b->array, binds);
    end(b);
}

static void by_prepared(bench *b, int n)
{
    static columns c;
    static MYSQL_BIND binds[4 * GROUP];
    fill_columns(b, n, &c);
    for (int at = 0; at < n;) {
        int rows = n - at >= GROUP ? GROUP : 1;
        memset(binds, 0, sizeof(binds));
        for (int i = 0; i < rows; i++) {
            MYSQL_BIND *w = &binds[4 * i];
            w[0].buffer_type = MYSQL_TYPE_LONGLONG;
            w[0].buffer = &c.ids[at + i];
            for (int t = 0; t < 3; t++) {
                w[1 + t].buffer_type = MYSQL_TYPE_STRING;
                w[1 + t].buffer = c.texts[t][at + i];
                w[1 + t].buffer_length = c.lengths[t][at + i];
                w[1 + t].length = &c.lengths[t][at + i];
            }
        }
        execute(rows == GROUP ? b->group : b->one, binds);
        at += rows;
    }
    end(b);
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
        v[3] = (fr_value){.kind = FR_DATETIME, .integer = w->at};
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

static MYSQL_STMT *prepare(bench *b, const char *table, int rows)
{
    b->text.len = 0;
    fr_buf_printf(&b->text, "INSERT INTO %s (id, name, amount, at) VALUES ", table);
    for (int i = 0; i < rows; i++)
        fr_buf_text(&b->text, i > 0 ? ",(?,?,?,?)" : "(?,?,?,?)");
    fr_buf_text(&b->text, tail);
    MYSQL_STMT *stmt = mysql_stmt_init(b->m);
    if (mysql_stmt_prepare(stmt, (char *)b->text.ptr, b->text.len) != 0)
        die("prepare", mysql_stmt_error(stmt));
    return stmt;
}

static void make_tables(bench *b)
{
    char sql[400];
    run(b, "DROP TABLE IF EXISTS bench_offsets");
    run(b, "CREATE TABLE bench_offsets (k int primary key, n bigint) ENGINE=InnoDB");
    run(b, "INSERT INTO bench_offsets VALUES (1, 0)");
    for (int m = 0; m < METHODS; m++) {
        snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS %s", tables[m]);
        run(b, sql);
        snprintf(sql, sizeof(sql),
                 "CREATE TABLE %s (id bigint PRIMARY KEY, name varchar(200), amount decimal(12,2), "
                 "at datetime(6)%s) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
                 tables[m], m == METHODS - 1 ? ", " FR_MY_POSITION " varbinary(16)" : "");
        run(b, sql);
        snprintf(sql, sizeof(sql),
                 "INSERT INTO %s (id, name, amount, at) SELECT a.n + 1000 * b.n, 'customer', 1, "
                 "NOW(6) FROM bench_numbers a JOIN bench_numbers b ON b.n < %d",
                 tables[m], PRELOADED / 1000);
        run(b, sql);
        run(b, "COMMIT");
    }
    b->array = prepare(b, tables[3], 1);
    b->group = prepare(b, tables[4], GROUP);
    b->one = prepare(b, tables[4], 1);
}

static void make_numbers(bench *b)
{
    run(b, "DROP TABLE IF EXISTS bench_numbers");
    run(b, "CREATE TABLE bench_numbers (n int primary key) ENGINE=InnoDB");
    b->text.len = 0;
    fr_buf_text(&b->text, "INSERT INTO bench_numbers VALUES (0)");
    for (int i = 1; i < 1000; i++)
        fr_buf_printf(&b->text, ",(%d)", i);
    run_text(b, (char *)b->text.ptr, b->text.len);
}

static const fr_table *make_table(const char *name)
{
    static const fr_column parts[] = {
        {.name = {"id", 2}, .kind = FR_INT64, .key_ordinal = 1},
        {.name = {"name", 4}, .kind = FR_TEXT},
        {.name = {"amount", 6}, .kind = FR_DECIMAL, .precision = 12, .scale = 2},
        {.name = {"at", 2}, .kind = FR_DATETIME}};
    return fr_table_new(&(fr_table){.name = fr_cstr(name), .column_count = 4, .columns = parts});
}

/* ---- turns ---- */

static double server_seconds(long pid)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fgets(line, sizeof(line), f) == NULL)
        line[0] = '\0';
    fclose(f);
    const char *at = strrchr(line, ')');
    if (at == NULL ||
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double own_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void batch_of(bench *b, int method, int n)
{
    if (method == 0)
        by_text(b, n, "INSERT INTO bench_values (id, name, amount, at) VALUES ", tail);
    else if (method == 1)
        by_text(b, n, "REPLACE INTO bench_replace (id, name, amount, at) VALUES ", "");
    else if (method == 2)
        by_load(b, n);
    else if (method == 3)
        by_array(b, n);
    else if (method == 4)
        by_prepared(b, n);
    else
        by_sink(b);
}

/* What can this server not do? */
static bool can(const bench *b, int method)
{
    return method != 3 || mariadb_connection(b->m);
}

typedef struct measured {
    double rate, cpu; /* rows a second; microseconds of both sides for a row */
} measured;

static measured turn(bench *b, int method, int n, double seconds)
{
    int64_t spent = 0, rows = 0;
    double own = 0, server = server_seconds(b->server);
    while (spent < (int64_t)(seconds * 1e6)) {
        next_rows(b, n);
        if (method >= BY_HAND)
            fill_batch(b, n);
        double before = own_seconds();
        int64_t began = fr_now_us();
        batch_of(b, method, n);
        spent += fr_now_us() - began;
        own += own_seconds() - before;
        rows += n;
    }
    server = server_seconds(b->server) - server;
    return (measured){(double)rows * 1e6 / (double)spent, (own + server) * 1e6 / (double)rows};
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

typedef struct results {
    double rate[METHODS][MAX_ROUNDS], cpu[METHODS][MAX_ROUNDS];
} results;

static int best_of(const bench *b, double all[METHODS][MAX_ROUNDS], int rounds, bool most)
{
    int best = 0;
    for (int m = 1; m < BY_HAND; m++) {
        bool better = (median(all[m], rounds) > median(all[best], rounds)) == most;
        if (can(b, m) && better)
            best = m;
    }
    return best;
}

/* Ours over the best of the others, round by round, so that what slows a round slows both. */
static void report(const bench *b, int n, results *r, int rounds)
{
    double rate[MAX_ROUNDS], cpu[MAX_ROUNDS];
    int fast = best_of(b, r->rate, rounds, true), cheap = best_of(b, r->cpu, rounds, false);
    printf("%6d", n);
    for (int m = 0; m < METHODS; m++)
        printf(" %9.0f/%5.2f", can(b, m) ? median(r->rate[m], rounds) : 0.0,
               can(b, m) ? median(r->cpu[m], rounds) : 0.0);
    for (int i = 0; i < rounds; i++) {
        rate[i] = r->rate[BY_HAND][i] / r->rate[fast][i];
        cpu[i] = r->cpu[BY_HAND][i] > 0 ? r->cpu[cheap][i] / r->cpu[BY_HAND][i] : 0;
    }
    qsort(rate, (size_t)rounds, sizeof(double), by_value);
    printf("   %.2f [%.2f-%.2f] of %s, cpu %.2f of %s\n", rate[rounds / 2], rate[0],
           rate[rounds - 1], names[fast], median(cpu, rounds), names[cheap]);
    fflush(stdout);
}

static void connect_bench(bench *b, char **argv)
{
    unsigned on = 1;
    b->m = mysql_init(NULL);
    mysql_options(b->m, MYSQL_OPT_LOCAL_INFILE, &on);
    mysql_set_local_infile_handler(b->m, load_init, load_read, load_end, load_error, b);
    if (mysql_real_connect(b->m, argv[1], "root", NULL, argv[3], (unsigned)atoi(argv[2]), NULL,
                           0) == NULL)
        die("connect", mysql_error(b->m));
    run(b, "SET time_zone = '+00:00', autocommit = 0, sql_mode = 'STRICT_ALL_TABLES'");
    run(b, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    run(b, "SET GLOBAL local_infile = 1");
    /* Servers of tests are small: what is measured must not be how they read their own pages. */
    static const char *const roomy[] = {"SET GLOBAL innodb_buffer_pool_size = 1073741824",
                                        "SET GLOBAL innodb_log_file_size = 536870912",
                                        "SET GLOBAL innodb_redo_log_capacity = 536870912"};
    for (size_t i = 0; i < sizeof(roomy) / sizeof(roomy[0]); i++)
        if (mysql_query(b->m, roomy[i]) != 0 && mysql_errno(b->m) != 1193 &&
            mysql_errno(b->m) != 1238)
            die(roomy[i], mysql_error(b->m));
}

static void open_sink(bench *b, char **argv)
{
    static char dsn[300];
    static fr_my_sink_config config = {.dsn = dsn};
    static fr_sink_settings settings = {
        .pipeline = "bench", .name = "bench", .create = FR_WHEN_RUN, .connector = &config};
    fr_err err;
    fr_offset o = {FR_STR("bench"), 0, -1};
    snprintf(dsn, sizeof(dsn), "mysql://root@%s:%s/%s", argv[1], argv[2], argv[3]);
    if (fr_mysql_sink.open(&settings, &b->sink, &err) == FR_FAIL ||
        b->sink->ops->claim(b->sink, &(fr_offsets){&o, 1}, &err) == FR_FAIL)
        die("open", err.text);
}

static void close_bench(bench *b)
{
    char sql[64];
    fr_batch_free(b->batch);
    b->sink->ops->close(b->sink);
    mysql_stmt_close(b->array);
    mysql_stmt_close(b->group);
    mysql_stmt_close(b->one);
    for (int m = 0; m < METHODS; m++) {
        snprintf(sql, sizeof(sql), "DROP TABLE %s", tables[m]);
        run(b, sql);
    }
    mysql_close(b->m);
    fr_buf_free(&b->text);
    free(b->rows);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        die("usage", "my_sink_methods HOST PORT DATABASE [SECONDS [ROUNDS [SERVER_PID]]]");
    double seconds = argc > 4 ? atof(argv[4]) : 0.5;
    int rounds = argc > 5 ? atoi(argv[5]) : 5;
    rounds = rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    static bench b;
    static results r;
    b.server = argc > 6 ? atol(argv[6]) : 0;
    connect_bench(&b, argv);
    b.rows = fr_malloc(MOST * sizeof(row));
    b.next_id = PRELOADED;
    b.batch = fr_batch_new(MOST, (size_t)1 << 30);
    make_numbers(&b);
    make_tables(&b);
    open_sink(&b, argv);
    const fr_table *ours[2] = {make_table(tables[BY_HAND]), make_table(tables[BY_HAND + 1])};
    printf("rows/s and us of processor a row, median of %d turns of %.1f s\n%6s", rounds, seconds,
           "batch");
    for (int m = 0; m < METHODS; m++)
        printf(" %15s", names[m]);
    printf("   freshet / best by hand\n");
    for (int s = 0; s < SIZES; s++) {
        for (int i = -1; i < rounds; i++)
            for (int m = 0; m < METHODS; m++) {
                b.table = ours[m > BY_HAND];
                if (!can(&b, m))
                    continue;
                measured got = turn(&b, m, sizes[s], i < 0 ? seconds / 5 : seconds);
                if (i >= 0) {
                    r.rate[m][i] = got.rate;
                    r.cpu[m][i] = got.cpu;
                }
            }
        report(&b, sizes[s], &r, rounds);
    }
    close_bench(&b);
    fr_table_unref(ours[0]);
    fr_table_unref(ours[1]);
    return 0;
}
