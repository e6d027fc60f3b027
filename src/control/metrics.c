/* Prometheus text format 0.0.4, prometheus.io/docs/instrumenting/exposition_formats. Names and
 * labels are listed in docs/metrics.md. All samples of one metric stand together, so every
 * metric is one walk over the parts. */
#include "control/status_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One table's numbers, or the sum of those that are folded into "_other". */
typedef struct row {
    const char *part, *table;
    bool sink, folded;
    bool states[FR_STATES];
    uint64_t by_op[FR_OPS], bytes, rows, rows_expected;
    uint32_t chunks_done, chunks;
    bool snapshot;
    double lag; /* negative: unknown */
    bool polled;
    uint64_t poll_rows, gaps;
    double age, behind; /* negative: unknown */
    int64_t nulls;
    double waits; /* seconds; 0: for nobody */
    char waits_for[128];
    bool held, by_schema;
    char held_code[48];
    double held_seconds;
    uint64_t held_events;
    uint32_t generation; /* 0: of none it is known that it is another than the first */
    char topic[256], former[256];
} row;

typedef struct metrics {
    fr_board *board;
    fr_buf *out;
    row *rows; /* taken at once, so that one scrape agrees with itself */
    size_t count, cap;
    size_t tables, max_tables;
} metrics;

void fr_metrics_label(fr_buf *b, const char *name, const char *value)
{
    fr_buf_printf(b, "%s=\"", name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\n')
            fr_buf_text(b, "\\n");
        else if (*p == '\\' || *p == '"')
            fr_buf_printf(b, "\\%c", *p);
        else
            fr_buf_u8(b, (uint8_t)*p);
    }
    fr_buf_text(b, "\"");
}

static void put_head(const metrics *m, const char *name, const char *type, const char *help)
{
    fr_buf_printf(m->out, "# HELP freshet_%s %s\n# TYPE freshet_%s %s\n", name, help, name, type);
}

/* name{pipeline="",source="" -- still open */
static void begin_sample(const metrics *m, const char *name, bool sink, const char *part)
{
    fr_buf_printf(m->out, "freshet_%s{", name);
    fr_metrics_label(m->out, "pipeline", m->board->pipeline);
    if (part == NULL)
        return;
    fr_buf_text(m->out, ",");
    fr_metrics_label(m->out, sink ? "sink" : "source", part);
}

static void begin_row(const metrics *m, const char *name, const row *r)
{
    begin_sample(m, name, r->sink, r->part);
    fr_buf_text(m->out, ",");
    fr_metrics_label(m->out, "table", r->table);
}

static void more_label(const metrics *m, const char *name, const char *value)
{
    fr_buf_text(m->out, ",");
    fr_metrics_label(m->out, name, value);
}

static void end_count(const metrics *m, uint64_t value)
{
    fr_buf_printf(m->out, "} %" PRIu64 "\n", value);
}

static void end_number(const metrics *m, double value)
{
    fr_buf_printf(m->out, "} %.6g\n", value);
}

/* --- taking ----------------------------------------------------------------------------- */

static row *new_row(metrics *m)
{
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 64 : 2 * m->cap;
        m->rows = fr_realloc(m->rows, m->cap * sizeof(*m->rows));
    }
    memset(&m->rows[m->count], 0, sizeof(row));
    m->rows[m->count].lag = m->rows[m->count].age = m->rows[m->count].behind = -1;
    m->rows[m->count].nulls = -1;
    return &m->rows[m->count++];
}

/* The row of this table; past the limit, the part's common one. */
static row *row_for(metrics *m, const fr_part *p, const fr_board_table *t)
{
    row *last = m->count > 0 ? &m->rows[m->count - 1] : NULL;
    bool fold = m->tables >= m->max_tables;
    if (fold && last != NULL && last->folded && last->part == p->name && last->sink == p->sink)
        return last;
    row *r = new_row(m);
    r->part = p->name;
    r->sink = p->sink;
    r->folded = fold;
    /* Names never change or end while the board lives. */
    r->table = fold ? "_other" : t->name;
    m->tables += !fold;
    return r;
}

/* Whoever is there for a moment only is not told: each is a series of its own. */
static void take_poll(row *r, const fr_part *p, const fr_polled_status *s)
{
    int64_t now = p->board->wall_us();
    double age = s->last_us == 0 ? -1 : (double)(now - s->last_us) / 1e6;
    double behind = s->behind_us < 0 ? -1 : (double)s->behind_us / 1e6;
    double waits = s->waits == NULL ? 0 : (double)(now - s->waits_since_us) / 1e6;
    r->polled = true;
    r->poll_rows += s->last_rows;
    r->gaps += s->gaps;
    r->nulls = s->nulls < 0 ? r->nulls : (r->nulls < 0 ? 0 : r->nulls) + s->nulls;
    r->age = age > r->age ? age : r->age;
    r->behind = behind > r->behind ? behind : r->behind;
    if (waits < (double)FR_WAITS_LONG_S || waits <= r->waits)
        return;
    r->waits = waits;
    snprintf(r->waits_for, sizeof(r->waits_for), "%s", s->waits);
}

static void take_held(row *r, const fr_part *p, const fr_board_table *t)
{
    double age = (double)(p->board->wall_us() - t->held.since_us) / 1e6;
    r->held = true;
    r->by_schema = r->by_schema || fr_held_by_schema(t);
    r->held_seconds = age > r->held_seconds ? age : r->held_seconds;
    r->held_events += t->held.waiting;
    snprintf(r->held_code, sizeof(r->held_code), "%s", t->held.code);
}

static void take_table(metrics *m, const fr_part *p, const fr_board_table *t)
{
    row *r = row_for(m, p, t);
    double lag = fr_table_lag(p, t);
    r->states[fr_table_state(p, t)] = true;
    for (int i = 0; i < FR_OPS; i++)
        r->by_op[i] += t->by_op[i];
    r->bytes += t->bytes;
    r->lag = lag > r->lag ? lag : r->lag;
    r->snapshot = r->snapshot || t->snapshot_began_us != 0;
    r->rows += t->rows;
    r->rows_expected += t->rows_expected;
    r->chunks_done += t->chunks_done;
    r->chunks += t->chunks;
    if (t->generation > r->generation && !r->folded) {
        r->generation = t->generation;
        snprintf(r->topic, sizeof(r->topic), "%s", t->topic);
        snprintf(r->former, sizeof(r->former), "%s", t->former);
    }
    if (t->polled)
        take_poll(r, p, &t->poll);
    if (t->is_held)
        take_held(r, p, t);
}

static void take(metrics *m)
{
    for (fr_part *p = fr_board_first(m->board); p != NULL; p = fr_board_next(p)) {
        size_t i = 0;
        fr_str key;
        void *table;
        pthread_mutex_lock(&p->lock);
        while (fr_map_next(p->tables, &i, &key, &table))
            take_table(m, p, table);
        pthread_mutex_unlock(&p->lock);
    }
}

/* --- tables ----------------------------------------------------------------------------- */

static void put_states(const metrics *m)
{
    put_head(m, "table_state", "gauge", "1 for the state that a table is in, 0 for the others.");
    for (size_t i = 0; i < m->count; i++)
        for (int s = 0; s < FR_STATES; s++) {
            begin_row(m, "table_state", &m->rows[i]);
            more_label(m, "state", fr_state_name((fr_state)s));
            end_count(m, m->rows[i].states[s]);
        }
}

/* A table that is not held has a sample as well, so that an alert ends. */
static void put_held(const metrics *m)
{
    put_head(m, "table_held", "gauge", "1 while a table waits (code: why), and the others go on.");
    for (size_t i = 0; i < m->count; i++) {
        begin_row(m, "table_held", &m->rows[i]);
        more_label(m, "code", m->rows[i].held_code);
        end_count(m, m->rows[i].held);
    }
    put_head(m, "table_schema_blocked", "gauge",
             "1 while a table is held because of its schema (a code that begins with schema.).");
    for (size_t i = 0; i < m->count; i++) {
        begin_row(m, "table_schema_blocked", &m->rows[i]);
        end_count(m, m->rows[i].by_schema);
    }
    put_head(m, "table_held_seconds", "gauge", "Since a table is held; absent while it is not.");
    for (size_t i = 0; i < m->count; i++)
        if (m->rows[i].held) {
            begin_row(m, "table_held_seconds", &m->rows[i]);
            end_number(m, m->rows[i].held_seconds);
        }
    put_head(m, "table_held_events", "gauge",
             "Events that a held table has waiting, as far as this process has counted.");
    for (size_t i = 0; i < m->count; i++)
        if (m->rows[i].held) {
            begin_row(m, "table_held_events", &m->rows[i]);
            end_count(m, m->rows[i].held_events);
        }
}

static void put_generations(const metrics *m)
{
    put_head(m, "table_generation", "gauge",
             "Of a table that goes on in another topic: how many it has had (topic; former: the "
             "closed one).");
    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].generation == 0)
            continue;
        begin_row(m, "table_generation", &m->rows[i]);
        more_label(m, "topic", m->rows[i].topic);
        more_label(m, "former", m->rows[i].former);
        end_count(m, m->rows[i].generation);
    }
}

static void put_lags(const metrics *m)
{
    put_head(m, "table_lag_seconds", "gauge",
             "Age of the newest acknowledged event; 0 while nothing waits.");
    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].lag < 0)
            continue;
        begin_row(m, "table_lag_seconds", &m->rows[i]);
        end_number(m, m->rows[i].lag);
    }
}

static void put_events(const metrics *m)
{
    put_head(m, "events_total", "counter",
             "Events acknowledged by Kafka or committed by a sink, by op (c u d r t).");
    for (size_t i = 0; i < m->count; i++)
        for (int op = 0; op < FR_OPS; op++) {
            begin_row(m, "events_total", &m->rows[i]);
            more_label(m, "op", fr_op_letters[op]);
            end_count(m, m->rows[i].by_op[op]);
        }
    put_head(m, "event_bytes_total", "counter", "Bytes of these events.");
    for (size_t i = 0; i < m->count; i++) {
        begin_row(m, "event_bytes_total", &m->rows[i]);
        end_count(m, m->rows[i].bytes);
    }
    put_head(m, "sink_rows_total", "counter", "Rows that a sink committed.");
    for (size_t i = 0; i < m->count; i++) {
        uint64_t n = 0;
        for (int op = 0; op < FR_OPS; op++)
            n += m->rows[i].by_op[op];
        if (!m->rows[i].sink)
            continue;
        begin_row(m, "sink_rows_total", &m->rows[i]);
        end_count(m, n);
    }
}

static void put_snapshots(const metrics *m)
{
    put_head(m, "snapshot_rows_total", "counter", "Rows published by the newest snapshot.");
    for (size_t i = 0; i < m->count; i++)
        if (m->rows[i].snapshot) {
            begin_row(m, "snapshot_rows_total", &m->rows[i]);
            end_count(m, m->rows[i].rows);
        }
    put_head(m, "snapshot_rows_expected", "gauge", "Estimate of the rows of that snapshot.");
    for (size_t i = 0; i < m->count; i++)
        if (m->rows[i].snapshot && m->rows[i].rows_expected > 0) {
            begin_row(m, "snapshot_rows_expected", &m->rows[i]);
            end_count(m, m->rows[i].rows_expected);
        }
    put_head(m, "snapshot_chunks", "gauge", "Chunks of that snapshot, done and waiting.");
    for (size_t i = 0; i < m->count; i++) {
        const row *r = &m->rows[i];
        if (!r->snapshot)
            continue;
        begin_row(m, "snapshot_chunks", r);
        more_label(m, "state", "done");
        end_count(m, r->chunks_done);
        begin_row(m, "snapshot_chunks", r);
        more_label(m, "state", "waiting");
        end_count(m, r->chunks > r->chunks_done ? r->chunks - r->chunks_done : 0);
    }
}

static void put_row_numbers(const metrics *m, const char *name, const char *help,
                            double (*value)(const row *r))
{
    put_head(m, name, "gauge", help);
    for (size_t i = 0; i < m->count; i++) {
        double v = m->rows[i].polled ? value(&m->rows[i]) : -1;
        if (v < 0)
            continue;
        begin_row(m, name, &m->rows[i]);
        end_number(m, v);
    }
}

static double poll_rows(const row *r)
{
    return (double)r->poll_rows;
}

static double poll_age(const row *r)
{
    return r->age;
}

static double poll_behind(const row *r)
{
    return r->behind;
}

static double poll_gaps(const row *r)
{
    return (double)r->gaps;
}

static double poll_nulls(const row *r)
{
    return (double)r->nulls;
}

static void put_polls(const metrics *m)
{
    put_row_numbers(m, "poll_rows", "Rows that the last poll of a table found.", poll_rows);
    put_row_numbers(m, "poll_age_seconds", "Since the last poll of a table was over.", poll_age);
    put_row_numbers(
        m, "poll_behind_seconds",
        "How far its bound is behind the server's clock; by number: age of the oldest gap.",
        poll_behind);
    put_row_numbers(m, "poll_gaps", "Numbers that may still come.", poll_gaps);
    put_row_numbers(m, "poll_null_rows", "Rows that are never read: their poll.column is NULL.",
                    poll_nulls);
    put_head(m, "poll_waits_seconds", "gauge", "So long somebody holds the bound of a table.");
    for (size_t i = 0; i < m->count; i++) {
        const row *r = &m->rows[i];
        if (r->waits <= 0)
            continue;
        begin_row(m, "poll_waits_seconds", r);
        more_label(m, "for", r->waits_for);
        end_number(m, r->waits);
    }
}

/* --- parts ------------------------------------------------------------------------------ */

/* A number of a part: false: it has none. Called with its lock held. */
typedef bool (*part_value)(const fr_part *p, double *out);

static bool retained(const fr_part *p, double *out)
{
    *out = (double)p->connector.retained_bytes;
    return !p->sink && p->has_connector && p->connector.retained_bytes >= 0;
}

static bool retained_limit(const fr_part *p, double *out)
{
    *out = (double)p->connector.retained_limit;
    return !p->sink && p->has_connector && p->connector.retained_limit >= 0;
}

static bool source_connected(const fr_part *p, double *out)
{
    *out = p->connector.connected;
    return !p->sink && p->has_connector;
}

static bool source_lag(const fr_part *p, double *out)
{
    *out = fr_part_lag(p);
    return !p->sink && *out >= 0;
}

static bool sink_lag(const fr_part *p, double *out)
{
    *out = fr_part_lag(p);
    return p->sink && *out >= 0;
}

static bool sink_connected(const fr_part *p, double *out)
{
    *out = p->connector.connected;
    return p->sink && p->has_connector;
}

static bool stalled(const fr_part *p, double *out)
{
    *out = fr_part_stall(p) != NULL;
    return true;
}

static bool dead_letters(const fr_part *p, double *out)
{
    *out = (double)p->dead_letters;
    return true;
}

static bool filtered(const fr_part *p, double *out)
{
    *out = (double)p->filtered;
    return !p->sink;
}

static bool inflight(const fr_part *p, double *out)
{
    *out = (double)p->inflight;
    return !p->sink;
}

static bool transactions(const fr_part *p, double *out)
{
    *out = (double)p->transactions;
    return !p->sink;
}

static const struct {
    const char *name, *type, *help;
    part_value value;
} part_metrics[] = {
    {"source_connected", "gauge", "1 while the source is connected.", source_connected},
    {"source_lag_seconds", "gauge", "Lag of the source as a whole.", source_lag},
    {"source_log_retained_bytes", "gauge", "Log that the server keeps because of us.", retained},
    {"source_log_retained_limit_bytes", "gauge",
     "Bytes after which the server stops keeping it; absent: no limit.", retained_limit},
    {"sink_connected", "gauge", "1 while the sink is connected.", sink_connected},
    {"sink_lag_seconds", "gauge", "Lag of the sink.", sink_lag},
    {"stalled", "gauge", "1 while it should move and does not (as /healthz).", stalled},
    {"dlq_events_total", "counter", "Events that went to the dead-letter topic.", dead_letters},
    {"events_filtered_total", "counter", "Events that filters left out.", filtered},
    {"kafka_inflight", "gauge", "Messages produced and not yet acknowledged.", inflight},
    {"kafka_transactions_total", "counter", "Kafka transactions committed.", transactions},
};

static void put_part_metrics(const metrics *m)
{
    for (size_t i = 0; i < sizeof(part_metrics) / sizeof(part_metrics[0]); i++) {
        put_head(m, part_metrics[i].name, part_metrics[i].type, part_metrics[i].help);
        for (fr_part *p = fr_board_first(m->board); p != NULL; p = fr_board_next(p)) {
            double value;
            pthread_mutex_lock(&p->lock);
            bool has = part_metrics[i].value(p, &value);
            pthread_mutex_unlock(&p->lock);
            if (!has)
                continue;
            begin_sample(m, part_metrics[i].name, p->sink, p->name);
            fr_buf_printf(m->out, "} %.17g\n", value);
        }
    }
}

/* "throttle.max_lag: ..." -> max_lag: is that what holds the part back? */
static bool held_back_by(const fr_part *p, const char *key)
{
    static const char prefix[] = "throttle.";
    size_t skip = sizeof(prefix) - 1, len = strlen(key);
    const char *why = p->reason;
    return why != NULL && strncmp(why, prefix, skip) == 0 && strncmp(why + skip, key, len) == 0 &&
           why[skip + len] == ':';
}

static void put_throttled(const metrics *m)
{
    static const char *const keys[] = {"max_lag", "max_load", "query", "rows_per_second", "window"};
    put_head(m, "source_throttled", "gauge",
             "1 while a snapshot, or polls, are held back for this reason.");
    for (fr_part *p = fr_board_first(m->board); p != NULL; p = fr_board_next(p))
        for (size_t i = 0; !p->sink && i < sizeof(keys) / sizeof(keys[0]); i++) {
            pthread_mutex_lock(&p->lock);
            bool held = held_back_by(p, keys[i]);
            pthread_mutex_unlock(&p->lock);
            begin_sample(m, "source_throttled", false, p->name);
            more_label(m, "reason", keys[i]);
            end_count(m, held);
        }
}

static void put_broken(const metrics *m)
{
    put_head(m, "rule_violations_total", "counter",
             "Rows that were not published, because they broke a rule or their contract.");
    for (fr_part *p = fr_board_first(m->board); p != NULL; p = fr_board_next(p)) {
        fr_str table, rule;
        uint64_t count;
        size_t i = 0;
        pthread_mutex_lock(&p->lock);
        while (fr_part_broken_next(p, &i, &table, &rule, &count)) {
            fr_arena *a = fr_arena_new(256);
            begin_sample(m, "rule_violations_total", p->sink, p->name);
            more_label(m, "table", fr_arena_cstr(a, table));
            more_label(m, "rule", fr_arena_cstr(a, rule));
            end_count(m, count);
            fr_arena_free(a);
        }
        pthread_mutex_unlock(&p->lock);
    }
}

static void put_tasks(const metrics *m)
{
    uint64_t counts[FR_STATES] = {0};
    for (fr_part *p = fr_board_first(m->board); p != NULL; p = fr_board_next(p)) {
        pthread_mutex_lock(&p->lock);
        counts[p->state] += !p->sink;
        pthread_mutex_unlock(&p->lock);
    }
    put_head(m, "tasks", "gauge", "Sources by state.");
    for (int s = 0; s < FR_STATES; s++) {
        begin_sample(m, "tasks", false, NULL);
        more_label(m, "state", fr_state_name((fr_state)s));
        end_count(m, counts[s]);
    }
}

/* A sample of "<name>_<end>"; stage NULL: it has no such label. */
static void begin_histogram(const metrics *m, const fr_part *p, const char *name, const char *end,
                            const char *stage)
{
    char full[64];
    snprintf(full, sizeof(full), "%s_%s", name, end);
    begin_sample(m, full, p->sink, p->name);
    if (stage != NULL)
        more_label(m, "stage", stage);
}

static void put_histogram(const metrics *m, fr_part *p, const char *name, int stage)
{
    const char *label = stage < FR_STAGES ? fr_stage_names[stage] : NULL;
    pthread_mutex_lock(&p->lock);
    fr_histogram h = p->stages[stage];
    pthread_mutex_unlock(&p->lock);
    if (h.count == 0)
        return;
    for (int i = 0; i <= FR_BUCKETS; i++) {
        char bound[32] = "+Inf";
        if (i < FR_BUCKETS)
            snprintf(bound, sizeof(bound), "%g", fr_stage_buckets[i]);
        begin_histogram(m, p, name, "bucket", label);
        more_label(m, "le", bound);
        end_count(m, i < FR_BUCKETS ? h.buckets[i] : h.count);
    }
    begin_histogram(m, p, name, "sum", label);
    end_number(m, h.sum);
    begin_histogram(m, p, name, "count", label);
    end_count(m, h.count);
}

static void put_stages(const metrics *m)
{
    put_head(m, "stage_seconds", "histogram", "Time that a batch took in a stage.");
    for (fr_part *p = fr_board_first(m->board); p != NULL; p = fr_board_next(p))
        for (int stage = 0; stage < FR_STAGES; stage++)
            put_histogram(m, p, "stage_seconds", stage);
    put_head(m, "poll_seconds", "histogram", "Time that a poll of a table took, with its waits.");
    for (fr_part *p = fr_board_first(m->board); p != NULL; p = fr_board_next(p))
        put_histogram(m, p, "poll_seconds", FR_STAGE_POLL);
}

void fr_board_metrics(fr_board *b, size_t max_tables, fr_buf *out)
{
    metrics m = {.board = b, .out = out, .max_tables = max_tables};
    take(&m);
    put_head(&m, "build_info", "gauge", "Always 1; the version is a label.");
    begin_sample(&m, "build_info", false, NULL);
    more_label(&m, "version", FR_VERSION);
    end_count(&m, 1);
    put_head(&m, "up_since_seconds", "gauge", "When this process started, in seconds since 1970.");
    begin_sample(&m, "up_since_seconds", false, NULL);
    fr_buf_printf(out, "} %.3f\n", (double)b->up_since_wall_us / 1e6);
    put_tasks(&m);
    put_part_metrics(&m);
    put_throttled(&m);
    put_broken(&m);
    put_states(&m);
    put_held(&m);
    put_generations(&m);
    put_lags(&m);
    put_events(&m);
    put_snapshots(&m);
    put_polls(&m);
    put_stages(&m);
    free(m.rows);
}
