/* The document. Its members are described in docs/http.md. It holds no clock that runs by
 * itself, so that an idle pipeline's document keeps its ETag. */
#include "control/status_internal.h"

#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Names come from databases, messages from libraries: not always UTF-8. */
static void put_text(fr_buf *b, const char *s)
{
    fr_str text = fr_cstr(s);
    if (fr_utf8_valid(text)) {
        fr_buf_json(b, text);
        return;
    }
    fr_buf clean = {0};
    for (size_t i = 0; i < text.len; i++)
        fr_buf_u8(&clean, (unsigned char)text.ptr[i] < 0x80 ? (uint8_t)text.ptr[i] : '?');
    fr_buf_json(b, fr_buf_view(&clean));
    fr_buf_free(&clean);
}

static void put_member(fr_buf *b, const char *name, const char *text)
{
    fr_buf_printf(b, ",\"%s\":", name);
    if (text == NULL)
        fr_buf_text(b, "null");
    else
        put_text(b, text);
}

/* 0: null. */
static void put_time(fr_buf *b, const char *name, int64_t wall_us)
{
    char text[40];
    if (wall_us == 0) {
        fr_buf_printf(b, ",\"%s\":null", name);
        return;
    }
    fr_time_text(text, wall_us);
    fr_buf_printf(b, ",\"%s\":\"%s\"", name, text);
}

/* Negative: null. */
static void put_number(fr_buf *b, const char *name, double value)
{
    if (value < 0 || !isfinite(value))
        fr_buf_printf(b, ",\"%s\":null", name);
    else
        fr_buf_printf(b, ",\"%s\":%.1f", name, value);
}

static void put_count(fr_buf *b, const char *name, int64_t value)
{
    if (value < 0)
        fr_buf_printf(b, ",\"%s\":null", name);
    else
        fr_buf_printf(b, ",\"%s\":%" PRId64, name, value);
}

static void put_events(fr_buf *b, const uint64_t by_op[FR_OPS], uint64_t bytes)
{
    fr_buf_text(b, ",\"events\":{");
    for (int i = 0; i < FR_OPS; i++)
        fr_buf_printf(b, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", fr_op_letters[i], by_op[i]);
    fr_buf_printf(b, "},\"bytes\":%" PRIu64, bytes);
}

static void put_snapshot(fr_buf *b, const fr_part *p, const fr_board_table *t)
{
    if (t->snapshot_began_us == 0) {
        fr_buf_text(b, ",\"snapshot\":null");
        return;
    }
    fr_buf_printf(b,
                  ",\"snapshot\":{\"chunks_done\":%" PRIu32 ",\"chunks\":%" PRIu32
                  ",\"rows\":%" PRIu64 ",\"rows_expected\":%" PRIu64,
                  t->chunks_done, t->chunks, t->rows, t->rows_expected);
    put_number(b, "percent", fr_table_percent(t));
    put_number(b, "eta_seconds", fr_table_eta(p, t));
    fr_buf_text(b, "}");
}

/* What holds polls back is one for all tables of a source. */
static const char *paused_by(const fr_part *p)
{
    static const char prefix[] = "throttle.";
    const char *why = p->reason;
    return why != NULL && strncmp(why, prefix, sizeof(prefix) - 1) == 0 ? why : NULL;
}

static void put_poll(fr_buf *b, const fr_part *p, const fr_board_table *t)
{
    const fr_polled_status *s = &t->poll;
    if (!t->polled) {
        fr_buf_text(b, ",\"poll\":null");
        return;
    }
    fr_buf_printf(b, ",\"poll\":{\"pages\":%" PRIu64 ",\"rows\":%" PRIu64, s->pages, s->rows);
    put_time(b, "last", s->last_us);
    fr_buf_printf(b, ",\"last_rows\":%" PRIu64, s->last_rows);
    put_number(b, "took_seconds", s->last_us == 0 ? -1 : (double)s->took_us / 1e6);
    put_time(b, "next", s->next_us);
    put_member(b, "paused", paused_by(p));
    put_number(b, "behind_seconds", s->behind_us < 0 ? -1 : (double)s->behind_us / 1e6);
    put_member(b, "waits_for", s->waits);
    put_time(b, "waits_since", s->waits_since_us);
    fr_buf_printf(b, ",\"gaps\":%" PRIu64, s->gaps);
    put_count(b, "nulls", s->nulls);
    fr_buf_text(b, "}");
}

/* The connector's own JSON, where it is that. */
static void put_position(fr_buf *b, const char *name, const char *position)
{
    fr_err ignored;
    json_t *j;
    if (position == NULL || position[0] == '\0' ||
        fr_json_parse(fr_cstr(position), &j, &ignored) == FR_FAIL) {
        put_member(b, name, position);
        return;
    }
    fr_arena *a = fr_arena_new(0);
    fr_buf_printf(b, ",\"%s\":", name);
    fr_buf_str(b, fr_json_text(a, j));
    fr_arena_free(a);
    json_decref(j);
}

/* What to type: of a schema's change there is something to look at first. */
static void put_next(fr_buf *b, const fr_part *p, const fr_board_table *t)
{
    fr_buf next = {0};
    if (fr_held_by_schema(t) && !p->sink)
        fr_buf_printf(&next, "freshet schema diff %s/%s; then ", p->name, t->name);
    fr_buf_printf(&next, "freshet resume %s/%s", p->name, t->name);
    fr_buf_u8(&next, 0);
    put_member(b, "next", t->held.catching_up ? NULL : (char *)next.ptr);
    fr_buf_free(&next);
}

static void put_held(fr_buf *b, const fr_part *p, const fr_board_table *t)
{
    if (!t->is_held) {
        fr_buf_text(b, ",\"held\":null");
        return;
    }
    fr_buf_text(b, ",\"held\":{\"code\":");
    put_text(b, t->held.code);
    put_member(b, "why", t->held.why);
    put_position(b, "from", t->held.from);
    put_time(b, "since", t->held.since_us);
    fr_buf_printf(b, ",\"waiting\":%" PRIu64 ",\"catching_up\":%s", t->held.waiting,
                  t->held.catching_up ? "true" : "false");
    put_next(b, p, t);
    fr_buf_text(b, "}");
}

static void put_will(fr_buf *b, const fr_board_will *w)
{
    if (!w->said) {
        fr_buf_text(b, ",\"will\":null");
        return;
    }
    fr_buf_printf(b, ",\"will\":{\"state\":\"%s\"", fr_will_state_name(w->state));
    put_member(b, "by", w->by);
    put_time(b, "at", w->at_us);
    fr_buf_printf(b, ",\"at_us\":%" PRId64, w->at_us);
    put_member(b, "why", w->why);
    fr_buf_text(b, w->restarting ? ",\"restarting\":true}" : "}");
}

static void put_table(fr_buf *b, const fr_part *p, const fr_board_table *t)
{
    fr_buf_text(b, "{\"name\":");
    put_text(b, t->name);
    put_member(b, "state", fr_state_name(fr_table_state(p, t)));
    put_number(b, "lag_seconds", fr_table_lag(p, t));
    put_events(b, t->by_op, t->bytes);
    put_number(b, "rate", fr_rate_now(&t->rate, p->board->now_us()));
    put_time(b, "last_event", t->last_wall_us);
    put_snapshot(b, p, t);
    put_poll(b, p, t);
    put_held(b, p, t);
    put_member(b, "kept", t->kept);
    put_member(b, "topic", t->topic);
    put_member(b, "former_topic", t->former);
    if (t->generation > 0)
        fr_buf_printf(b, ",\"generation\":%" PRIu32, t->generation);
    else
        fr_buf_text(b, ",\"generation\":null");
    put_will(b, &t->will);
    fr_buf_text(b, "}");
}

/* NULL: null. */
static void put_error(fr_buf *b, const char *name, const fr_err *err)
{
    fr_buf_printf(b, ",\"%s\":", name);
    if (err == NULL) {
        fr_buf_text(b, "null");
        return;
    }
    fr_buf_text(b, "{\"kind\":");
    put_text(b, fr_err_kind_name(err->kind));
    put_member(b, "code", err->code);
    put_member(b, "text", err->text);
    put_member(b, "hint", fr_err_hint(err));
    fr_buf_text(b, "}");
}

static void put_connector(fr_buf *b, const fr_part *p)
{
    const fr_status *s = &p->connector;
    if (!p->has_connector) {
        fr_buf_text(b, ",\"connector\":null");
        return;
    }
    fr_buf_printf(b, ",\"connector\":{\"connected\":%s", s->connected ? "true" : "false");
    put_number(b, "lag_seconds", s->lag_us < 0 ? -1 : (double)s->lag_us / 1e6);
    put_count(b, "lag_bytes", s->lag_bytes);
    put_count(b, "retained_bytes", s->retained_bytes);
    put_count(b, "retained_limit", s->retained_limit);
    fr_buf_printf(b, ",\"retained_growth\":%.0f", fr_growth_rate(&p->growth));
    put_number(b, "limit_in_seconds", fr_part_limit_in(p));
    fr_buf_text(b, "}");
}

static void put_part(fr_buf *b, const fr_part *p)
{
    fr_buf_printf(b, "{\"kind\":\"%s\"", p->sink ? "sink" : "source");
    put_member(b, "name", p->name);
    put_member(b, "type", p->type);
    put_member(b, "state", fr_state_name(p->state));
    put_time(b, "since", p->since_wall_us);
    put_member(b, "reason", p->reason);
    put_error(b, "error", p->has_error ? &p->error : NULL);
    put_time(b, "next_try", p->next_try_wall_us);
    put_member(b, "stalled", fr_part_stall(p));
    put_will(b, &p->will);
    put_position(b, "position", p->position);
    put_number(b, "lag_seconds", fr_part_lag(p));
    put_events(b, p->by_op, p->bytes);
    put_number(b, "rate", fr_rate_now(&p->rate, p->board->now_us()));
    fr_buf_printf(b, ",\"dead_letters\":%" PRIu64, p->dead_letters);
    fr_part_broken_json(b, p);
    put_connector(b, p);
    fr_buf_printf(b, ",\"kafka\":{\"inflight\":%" PRIu64 ",\"transactions\":%" PRIu64 "}",
                  p->inflight, p->transactions);
    fr_buf_text(b, ",\"tables\":[");
    size_t i = 0, n = 0;
    fr_str key;
    void *table;
    while (fr_map_next(p->tables, &i, &key, &table)) {
        fr_buf_text(b, n++ > 0 ? "," : "");
        put_table(b, p, table);
    }
    fr_buf_text(b, "]}");
}

static void count_states(fr_board *b, uint64_t counts[FR_STATES])
{
    memset(counts, 0, FR_STATES * sizeof(*counts));
    for (fr_part *p = fr_board_first(b); p != NULL; p = fr_board_next(p)) {
        size_t i = 0;
        fr_str key;
        void *table;
        pthread_mutex_lock(&p->lock);
        while (fr_map_next(p->tables, &i, &key, &table))
            counts[fr_table_state(p, table)]++;
        if (fr_map_count(p->tables) == 0)
            counts[p->state]++;
        pthread_mutex_unlock(&p->lock);
    }
}

void fr_board_json(fr_board *b, fr_buf *out)
{
    uint64_t counts[FR_STATES];
    count_states(b, counts);
    fr_buf_text(out, "{\"pipeline\":");
    put_text(out, b->pipeline);
    put_member(out, "worker", b->worker);
    put_member(out, "version", FR_VERSION);
    put_time(out, "up_since", b->up_since_wall_us);
    fr_buf_printf(out, ",\"ready\":%s,\"stalled\":%s,\"states\":{",
                  fr_board_ready(b) ? "true" : "false",
                  fr_board_stalled(b, NULL) ? "true" : "false");
    bool first = true;
    for (int s = 0; s < FR_STATES; s++)
        if (counts[s] > 0) {
            fr_buf_printf(out, "%s\"%s\":%" PRIu64, first ? "" : ",", fr_state_name((fr_state)s),
                          counts[s]);
            first = false;
        }
    fr_buf_text(out, "}");
    pthread_mutex_lock(&b->lock);
    put_error(out, "control_error", b->has_control_error ? &b->control_error : NULL);
    pthread_mutex_unlock(&b->lock);
    fr_buf_text(out, ",\"parts\":[");
    for (fr_part *p = fr_board_first(b); p != NULL; p = fr_board_next(p)) {
        fr_buf_text(out, p == b->first ? "" : ",");
        pthread_mutex_lock(&p->lock);
        put_part(out, p);
        pthread_mutex_unlock(&p->lock);
    }
    fr_buf_text(out, "]}");
}

/* --- one line --------------------------------------------------------------------------- */

typedef struct summary {
    uint64_t tables, counts[FR_STATES], rows, rows_expected;
    double lag, limit_in;
    int64_t retained, limit;
} summary;

static void sum_part(summary *m, const fr_part *p)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(p->tables, &i, &key, &value)) {
        const fr_board_table *t = value;
        m->tables++;
        if (fr_table_state(p, t) == FR_STATE_SNAPSHOTTING) {
            m->rows += t->rows;
            m->rows_expected += t->rows_expected;
        }
    }
    double lag = fr_part_lag(p), limit_in = fr_part_limit_in(p);
    m->lag = lag > m->lag ? lag : m->lag;
    if (p->has_connector && p->connector.retained_bytes > m->retained) {
        m->retained = p->connector.retained_bytes;
        m->limit = p->connector.retained_limit;
    }
    if (limit_in >= 0 && (m->limit_in < 0 || limit_in < m->limit_in))
        m->limit_in = limit_in;
}

static void put_retained(fr_buf *b, const summary *m)
{
    if (m->retained <= 0)
        return;
    fr_buf_printf(b, "; log kept %.1f", (double)m->retained / 1e9);
    if (m->limit > 0)
        fr_buf_printf(b, "/%.0f", (double)m->limit / 1e9);
    fr_buf_text(b, " GB");
    if (m->limit_in >= 0)
        fr_buf_printf(b, ", limit in %.0f %s", m->limit_in / (m->limit_in < 7200 ? 60 : 3600),
                      m->limit_in < 7200 ? "min" : "h");
}

void fr_board_line(fr_board *b, fr_buf *out)
{
    summary m = {.lag = -1, .limit_in = -1, .limit = -1};
    count_states(b, m.counts);
    for (fr_part *p = fr_board_first(b); p != NULL; p = fr_board_next(p)) {
        pthread_mutex_lock(&p->lock);
        sum_part(&m, p);
        pthread_mutex_unlock(&p->lock);
    }
    fr_buf_printf(out, "%" PRIu64 " tables:", m.tables);
    bool first = true;
    for (int s = 0; s < FR_STATES; s++) {
        if (m.counts[s] == 0)
            continue;
        fr_buf_printf(out, "%s %" PRIu64 " %s", first ? "" : ",", m.counts[s],
                      fr_state_name((fr_state)s));
        if (s == FR_STATE_SNAPSHOTTING && m.rows_expected > 0)
            fr_buf_printf(out, " (%.0f%%)",
                          fmin(99.9, 100.0 * (double)m.rows / (double)m.rows_expected));
        first = false;
    }
    if (m.lag >= 0)
        fr_buf_printf(out, "; max lag %.1f s", m.lag);
    put_retained(out, &m);
}
