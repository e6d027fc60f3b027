/* What the two comparisons of sinks share: rows, our sink, turns, and the report. Each program
 * brings a connection, its tables and the methods by hand. */
#ifndef FR_BENCH_SINK_METHODS_H
#define FR_BENCH_SINK_METHODS_H

#include "base/bytes.h"
#include "base/clock.h"
#include "bench/bare.h"
#include "connect/sink.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { PRELOADED = 200000, MOST = 10000, MAX_ROUNDS = 15, MAX_METHODS = 7 };

typedef struct row {
    int64_t id, at;
    char name[24], amount[16], time[32];
} row;

typedef struct bench bench; /* the program's own */

/* The program's side. The last two methods are our sink: into a plain table, and into one with
 * the column of positions that guards against old rows. */
typedef struct methods {
    int count;
    const char *const *names;
    const char *const *tables;
    void (*by_hand)(bench *b, int method, const row *rows, int n); /* one transaction */
    bool (*can)(const bench *b, int method);                       /* NULL: all */
} methods;

typedef struct ours {
    const methods *m;
    bench *bench;
    fr_sink *sink;
    const fr_table *tables[2], *table;
    fr_batch *batch;
    fr_kind time; /* what the fourth column is */
    int64_t offset, next_id, step;
    row *rows;
    long server; /* its process id; 0: its CPU time is not told */
} ours;

/* ---- rows ---- */

/* Distinct ids: every other row one of those that were there. */
static void next_rows(ours *o, int n)
{
    for (int i = 0; i < n; i++) {
        row *r = &o->rows[i];
        o->step = (o->step + 7919) % PRELOADED;
        r->id = i % 2 == 0 ? o->step : o->next_id++;
        r->at = INT64_C(1700000000000000) + r->id;
        snprintf(r->name, sizeof(r->name), "customer %" PRId64, r->id % 100000);
        snprintf(r->amount, sizeof(r->amount), "%" PRId64 ".%02d", r->id % 10000, i % 100);
        int64_t s = (r->at / 1000000) % 86400;
        snprintf(r->time, sizeof(r->time), "2023-11-14 %02d:%02d:%02d.%06d", (int)(s / 3600),
                 (int)(s / 60 % 60), (int)(s % 60), (int)(r->at % 1000000));
    }
}

/* ---- our sink ---- */

static void fill_batch(ours *o, int n)
{
    fr_err err;
    fr_batch_reset(o->batch);
    for (int i = 0; i < n; i++) {
        const row *w = &o->rows[i];
        fr_event *e = fr_batch_add(o->batch, FR_OP_UPDATE, o->table);
        fr_value *v = fr_batch_row(o->batch, o->table, &e->after);
        v[0] = (fr_value){.kind = FR_INT64, .integer = w->id};
        v[1] = (fr_value){.kind = FR_TEXT, .bytes = fr_cstr(w->name)};
        v[2].kind = FR_DECIMAL;
        if (fr_decimal_from_text(o->batch->arena, fr_cstr(w->amount), 12, 2, &v[2].bytes, &err) ==
            FR_FAIL)
            bare_die("decimal", err.text);
        v[3] = (fr_value){.kind = o->time, .integer = w->at};
        e->topic = FR_STR("bench");
        e->partition = 0;
        e->offset = o->offset++;
        e->position = (fr_position){.epoch = 1, .lsn = (uint64_t)o->offset};
    }
}

static void by_sink(ours *o)
{
    fr_err err;
    size_t applied;
    fr_offset end = {FR_STR("bench"), 0, o->offset, ""};
    if (o->sink->ops->apply(o->sink, o->batch, 0, o->batch->count, &applied, &err) == FR_FAIL ||
        o->sink->ops->commit(o->sink, &(fr_offsets){&end, 1}, &err) == FR_FAIL)
        bare_die("sink", err.text);
}

static const fr_table *table_named(const ours *o, const char *name)
{
    const fr_column columns[] = {
        {.name = {"id", 2}, .kind = FR_INT64, .key_ordinal = 1},
        {.name = {"name", 4}, .kind = FR_TEXT},
        {.name = {"amount", 6}, .kind = FR_DECIMAL, .precision = 12, .scale = 2},
        {.name = {"at", 2}, .kind = o->time}};
    return fr_table_new(&(fr_table){.name = fr_cstr(name), .column_count = 4, .columns = columns});
}

/* Tables must be there. config: the connector's own. */
static void ours_open(ours *o, const fr_sink_ops *ops, const void *config)
{
    static fr_sink_settings settings = {
        .pipeline = "bench", .name = "bench", .create = FR_WHEN_RUN};
    fr_err err;
    fr_offset end = {FR_STR("bench"), 0, -1, ""};
    settings.connector = config;
    if (ops->open(&settings, &o->sink, &err) == FR_FAIL ||
        o->sink->ops->claim(o->sink, &(fr_offsets){&end, 1}, &err) == FR_FAIL)
        bare_die("open", err.text);
    o->rows = fr_malloc(MOST * sizeof(row));
    o->next_id = PRELOADED;
    o->batch = fr_batch_new(MOST, (size_t)1 << 30);
    for (int i = 0; i < 2; i++)
        o->tables[i] = table_named(o, o->m->tables[o->m->count - 2 + i]);
}

static void ours_close(ours *o)
{
    fr_batch_free(o->batch);
    o->sink->ops->close(o->sink);
    fr_table_unref(o->tables[0]);
    fr_table_unref(o->tables[1]);
    free(o->rows);
}

/* ---- turns ---- */

static double server_seconds(long pid)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *f = pid > 0 ? fopen(path, "r") : NULL;
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

typedef struct measured {
    double rate, cpu; /* rows a second; microseconds of both sides for a row */
} measured;

static measured turn(ours *o, int method, int n, double seconds)
{
    int64_t spent = 0, rows = 0;
    double own = 0, server = server_seconds(o->server);
    bool sink = method >= o->m->count - 2;
    o->table = o->tables[method == o->m->count - 1];
    while (spent < (int64_t)(seconds * 1e6)) {
        next_rows(o, n);
        if (sink)
            fill_batch(o, n);
        double before = bare_cpu_seconds();
        int64_t began = fr_now_us();
        if (sink)
            by_sink(o);
        else
            o->m->by_hand(o->bench, method, o->rows, n);
        spent += fr_now_us() - began;
        own += bare_cpu_seconds() - before;
        rows += n;
    }
    server = server_seconds(o->server) - server;
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
    double rate[MAX_METHODS][MAX_ROUNDS], cpu[MAX_METHODS][MAX_ROUNDS];
} results;

static bool can(const ours *o, int method)
{
    return o->m->can == NULL || o->m->can(o->bench, method);
}

static int best_of(const ours *o, double all[MAX_METHODS][MAX_ROUNDS], int rounds, bool most)
{
    int best = -1;
    for (int m = 0; m < o->m->count - 2; m++)
        if (can(o, m) && (best < 0 || (median(all[m], rounds) > median(all[best], rounds)) == most))
            best = m;
    return best;
}

/* Ours over the best of the others, round by round, so that what slows a round slows both. */
static void report(const ours *o, int n, results *r, int rounds)
{
    double rate[MAX_ROUNDS], cpu[MAX_ROUNDS];
    int plain = o->m->count - 2;
    int fast = best_of(o, r->rate, rounds, true), cheap = best_of(o, r->cpu, rounds, false);
    printf("%6d", n);
    for (int m = 0; m < o->m->count; m++) {
        double shown = can(o, m) ? median(r->rate[m], rounds) : 0;
        if (o->server > 0)
            printf(" %9.0f/%5.2f", shown, can(o, m) ? median(r->cpu[m], rounds) : 0);
        else
            printf(" %15.0f", shown);
    }
    for (int i = 0; i < rounds; i++) {
        rate[i] = r->rate[plain][i] / r->rate[fast][i];
        cpu[i] = r->cpu[plain][i] > 0 ? r->cpu[cheap][i] / r->cpu[plain][i] : 0;
    }
    qsort(rate, (size_t)rounds, sizeof(double), by_value);
    printf("   %.2f [%.2f-%.2f] of %s", rate[rounds / 2], rate[0], rate[rounds - 1],
           o->m->names[fast]);
    if (o->server > 0)
        printf(", cpu %.2f of %s", median(cpu, rounds), o->m->names[cheap]);
    printf("\n");
    fflush(stdout);
}

static void head(const ours *o, int rounds, double seconds)
{
    printf("rows/s%s, median of %d turns of %.1f s\n%6s",
           o->server > 0 ? " and us of processor a row" : "", rounds, seconds, "batch");
    for (int m = 0; m < o->m->count; m++)
        printf(" %15s", o->m->names[m]);
    printf("   freshet / best by hand\n");
}

/* All methods in turns, and a line for each size. The round before the first warms up. */
static void compare(ours *o, const int *sizes, int size_count, int rounds, double seconds)
{
    static results r;
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    head(o, rounds, seconds);
    for (int s = 0; s < size_count; s++) {
        for (int at = 0; at < (rounds + 1) * o->m->count; at++) {
            int i = at / o->m->count - 1, m = at % o->m->count;
            if (!can(o, m))
                continue;
            measured got = turn(o, m, sizes[s], i < 0 ? seconds / 5 : seconds);
            if (i >= 0) {
                r.rate[m][i] = got.rate;
                r.cpu[m][i] = got.cpu;
            }
        }
        report(o, sizes[s], &r, rounds);
    }
}

#endif
