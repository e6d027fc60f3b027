/* Upserts per second into MySQL or MariaDB: our sink beside each way to write them by hand,
 * on the same server in one run, in turns. Half of the rows are updates and half inserts,
 * one transaction per batch, primary key only, 200,000 rows there before.
 *
 *   my_sink_methods HOST PORT DATABASE [SECONDS [ROUNDS [SERVER_PID]]]   as root without a password
 *
 * SECONDS a turn (0.5), ROUNDS (5). With SERVER_PID the processor time of both sides is told
 * too: on a busy machine it is what can be compared. The methods by hand update a row of
 * offsets in each transaction, as our sink always does. */
#include "bench/sink_methods.h"
#include "mysql/my_sink.h"

enum { METHODS = 7, SIZES = 4 };
static const int sizes[SIZES] = {100, 1000, 4096, 10000};
static const char *const names[METHODS] = {"values",   "replace", "load data",      "array",
                                           "prepared", "freshet", "freshet guarded"};
static const char *const tables[METHODS] = {"bench_values", "bench_replace", "bench_load",
                                            "bench_array",  "bench_rows",    "bench_freshet",
                                            "bench_guarded"};
enum { GROUP = 512 }; /* rows of a text by hand */

struct bench {
    MYSQL *m;
    MYSQL_STMT *array, *group, *one;
    fr_buf text;
    size_t sent; /* of text, by LOAD DATA */
};

static void run_text(bench *b, const char *sql, size_t len)
{
    if (mysql_real_query(b->m, sql, len) != 0)
        bare_die("query", mysql_error(b->m));
    MYSQL_RES *r = mysql_store_result(b->m);
    mysql_free_result(r);
}

static void run(bench *b, const char *sql)
{
    run_text(b, sql, strlen(sql));
}

static const char tail[] = " ON DUPLICATE KEY UPDATE name = VALUES(name), amount = VALUES(amount), "
                           "at = VALUES(at)";

static void end(bench *b)
{
    run(b, "UPDATE bench_offsets SET n = n + 1 WHERE k = 1");
    run(b, "COMMIT");
}

/* ---- the methods by hand ---- */

static void by_text(bench *b, const row *rows, int n, const char *head, const char *foot)
{
    for (int at = 0; at < n; at += 1000) {
        b->text.len = 0;
        fr_buf_text(&b->text, head);
        for (int i = at; i < n && i < at + 1000; i++)
            fr_buf_printf(&b->text, "%s(%" PRId64 ",'%s',%s,'%s')", i > at ? "," : "", rows[i].id,
                          rows[i].name, rows[i].amount, rows[i].time);
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

static void by_load(bench *b, const row *rows, int n)
{
    b->text.len = 0;
    for (int i = 0; i < n; i++)
        fr_buf_printf(&b->text, "%" PRId64 "\t%s\t%s\t%s\n", rows[i].id, rows[i].name,
                      rows[i].amount, rows[i].time);
    run(b, "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE bench_load");
    end(b);
}

/* Room for MOST rows of each column. */
typedef struct columns {
    long long ids[MOST];
    char *texts[3][MOST];
    unsigned long lengths[3][MOST];
} columns;

static void fill_columns(const row *rows, int n, columns *c)
{
    for (int i = 0; i < n; i++) {
        const row *r = &rows[i];
        c->ids[i] = r->id;
        c->texts[0][i] = (char *)r->name;
        c->texts[1][i] = (char *)r->amount;
        c->texts[2][i] = (char *)r->time;
        for (int t = 0; t < 3; t++)
            c->lengths[t][i] = strlen(c->texts[t][i]);
    }
}

static void execute(MYSQL_STMT *stmt, MYSQL_BIND *binds)
{
    if (mysql_stmt_bind_param(stmt, binds) != 0 || mysql_stmt_execute(stmt) != 0)
        bare_die("execute", mysql_stmt_error(stmt));
}

static void by_array(bench *b, const row *rows, int n)
{
    static columns c;
    MYSQL_BIND binds[4];
    unsigned count = (unsigned)n;
    memset(binds, 0, sizeof(binds));
    fill_columns(rows, n, &c);
    binds[0].buffer_type = MYSQL_TYPE_LONGLONG;
    binds[0].buffer = c.ids;
    for (int t = 0; t < 3; t++) {
        binds[1 + t].buffer_type = MYSQL_TYPE_STRING;
        binds[1 + t].buffer = (void *)c.texts[t];
        binds[1 + t].length = c.lengths[t];
    }
    mysql_stmt_attr_set(b->array, STMT_ATTR_ARRAY_SIZE, &count);
    execute(b->array, binds);
    end(b);
}

static void by_prepared(bench *b, const row *rows, int n)
{
    static columns c;
    static MYSQL_BIND binds[4 * GROUP];
    fill_columns(rows, n, &c);
    for (int at = 0; at < n;) {
        int group = n - at >= GROUP ? GROUP : 1;
        memset(binds, 0, sizeof(binds));
        for (int i = 0; i < group; i++) {
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
        execute(group == GROUP ? b->group : b->one, binds);
        at += group;
    }
    end(b);
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
        bare_die("prepare", mysql_stmt_error(stmt));
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
                 tables[m], m == METHODS - 1 ? ", " FR_TARGET_POSITION " varbinary(16)" : "");
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

/* ---- turns ---- */

static void by_hand(bench *b, int method, const row *rows, int n)
{
    if (method == 0)
        by_text(b, rows, n, "INSERT INTO bench_values (id, name, amount, at) VALUES ", tail);
    else if (method == 1)
        by_text(b, rows, n, "REPLACE INTO bench_replace (id, name, amount, at) VALUES ", "");
    else if (method == 2)
        by_load(b, rows, n);
    else if (method == 3)
        by_array(b, rows, n);
    else
        by_prepared(b, rows, n);
}

/* What can this server not do? */
static bool can_do(const bench *b, int method)
{
    return method != 3 || mariadb_connection(b->m);
}

static void connect_bench(bench *b, char **argv)
{
    unsigned on = 1;
    b->m = mysql_init(NULL);
    mysql_options(b->m, MYSQL_OPT_LOCAL_INFILE, &on);
    mysql_set_local_infile_handler(b->m, load_init, load_read, load_end, load_error, b);
    if (mysql_real_connect(b->m, argv[1], "root", NULL, argv[3], (unsigned)atoi(argv[2]), NULL,
                           0) == NULL)
        bare_die("connect", mysql_error(b->m));
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
            bare_die(roomy[i], mysql_error(b->m));
}

static void close_bench(bench *b)
{
    char sql[64];
    mysql_stmt_close(b->array);
    mysql_stmt_close(b->group);
    mysql_stmt_close(b->one);
    for (int m = 0; m < METHODS; m++) {
        snprintf(sql, sizeof(sql), "DROP TABLE %s", tables[m]);
        run(b, sql);
    }
    mysql_close(b->m);
    fr_buf_free(&b->text);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        bare_die("usage", "my_sink_methods HOST PORT DATABASE [SECONDS [ROUNDS [SERVER_PID]]]");
    double seconds = argc > 4 ? atof(argv[4]) : 0.5;
    int rounds = argc > 5 ? atoi(argv[5]) : 5;
    static bench b;
    static const methods m = {
        .count = METHODS, .names = names, .tables = tables, .by_hand = by_hand, .can = can_do};
    ours o = {.m = &m, .bench = &b, .time = FR_DATETIME, .server = argc > 6 ? atol(argv[6]) : 0};
    char dsn[300];
    snprintf(dsn, sizeof(dsn), "mysql://root@%s:%s/%s", argv[1], argv[2], argv[3]);
    connect_bench(&b, argv);
    make_numbers(&b);
    make_tables(&b);
    fr_my_sink_config config = {.dsn = dsn};
    ours_open(&o, &fr_mysql_sink, &config);
    compare(&o, sizes, SIZES, rounds, seconds);
    ours_close(&o);
    close_bench(&b);
    return 0;
}
