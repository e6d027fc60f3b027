#include "connectors/postgres/wal_source.h"
#include "connectors/postgres/wal_split.h"
#include <inttypes.h>
#include <math.h>

#define SOURCE(base) ((fr_wal_source *)(base))

/* ---- a row's key as text ---- */

static fr_str date_text(fr_arena *a, int64_t days)
{
    int64_t year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    return fr_arena_printf(a, "%04" PRId64 "-%02u-%02u%s", year > 0 ? year : 1 - year, month, day,
                           year > 0 ? "" : " BC");
}

static fr_str moment_text(fr_arena *a, int64_t us, const char *zone)
{
    int64_t days = us / 86400000000, rest = us % 86400000000;
    if (rest < 0) {
        rest += 86400000000;
        days--;
    }
    int64_t year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    fr_str clock = fr_time_of_day_text(a, rest);
    return fr_arena_printf(a, "%04" PRId64 "-%02u-%02u %.*s%s%s", year > 0 ? year : 1 - year, month,
                           day, FR_ARG(clock), zone, year > 0 ? "" : " BC");
}

static fr_str real_text(fr_arena *a, double v, int digits)
{
    if (isnan(v))
        return FR_STR("NaN");
    if (isinf(v))
        return v < 0 ? FR_STR("-Infinity") : FR_STR("Infinity");
    return fr_arena_printf(a, "%.*g", digits, v);
}

static fr_str hex_text(fr_arena *a, fr_str bytes)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "\\x");
    fr_buf_hex(&b, bytes);
    return fr_buf_view(&b);
}

static bool is_infinite(const fr_value *v)
{
    bool point = v->kind == FR_DATE || v->kind == FR_DATETIME || v->kind == FR_TIMESTAMP;
    return point && (v->integer == INT64_MAX || v->integer == INT64_MIN);
}

fr_str fr_wal_value_text(fr_arena *a, const fr_column *c, const fr_value *v)
{
    if (is_infinite(v))
        return v->integer > 0 ? FR_STR("infinity") : FR_STR("-infinity");
    switch (v->kind) {
    case FR_BOOL:
        return v->boolean ? FR_STR("t") : FR_STR("f");
    case FR_INT32:
    case FR_INT64:
        return fr_arena_printf(a, "%" PRId64, v->integer);
    case FR_FLOAT32:
        return real_text(a, v->real, 9);
    case FR_FLOAT64:
        return real_text(a, v->real, 17);
    case FR_DECIMAL:
        return fr_decimal_to_text(a, v->bytes, c->scale);
    case FR_BYTES:
        return hex_text(a, v->bytes);
    case FR_DATE:
        return date_text(a, v->integer);
    case FR_TIME:
        return fr_time_of_day_text(a, v->integer);
    case FR_DATETIME:
        return moment_text(a, v->integer, "");
    case FR_TIMESTAMP:
        return moment_text(a, v->integer, "+00");
    default:
        return v->bytes;
    }
}

fr_rc fr_wal_row_key(fr_source *base, fr_batch *b, const fr_event *e, fr_str *out, fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    pthread_mutex_lock(&s->lock);
    const fr_wal_view *v = s->views;
    pthread_mutex_unlock(&s->lock);
    size_t i = v != NULL ? fr_wal_view_table(v, e->table->space, e->table->name) : 0;
    if (v == NULL || i == v->catalog.count)
        return fr_fail(err, FR_ERR_BUG, "key of a row: its table is in no view");
    const fr_wal_table *t = &v->catalog.tables[i];
    fr_buf text = {.arena = b->arena};
    for (size_t k = 0; k < t->key_count; k++) {
        size_t at = t->columns[t->key[k]].sent_index;
        if (at >= e->after.count || e->after.values[at].kind <= FR_NULL)
            return fr_fail(err, FR_ERR_DATA, "%.*s.%.*s: a row's key cannot be read",
                           FR_ARG(t->relation.space), FR_ARG(t->relation.name));
        fr_buf_text(&text, k > 0 ? "," : "[");
        fr_buf_json(&text,
                    fr_wal_value_text(b->arena, &e->table->columns[at], &e->after.values[at]));
    }
    fr_buf_text(&text, "]");
    *out = fr_buf_view(&text);
    return FR_OK;
}

void fr_wal_too_big(const fr_source_settings *settings, fr_batch *b, size_t from, size_t bytes)
{
    if (settings->max_row_bytes <= 0 || bytes <= (size_t)settings->max_row_bytes)
        return;
    for (size_t i = from; i < b->count; i++) {
        fr_event *e = &b->events[i];
        if (e->bad.len == 0 && (e->after.count > 0 || e->before.count > 0))
            e->bad = fr_arena_printf(b->arena,
                                     "%.*s.%.*s: a row of %zu bytes is above "
                                     "daemon.max_row_bytes (%" PRId64 ")",
                                     FR_ARG(e->table->space), FR_ARG(e->table->name), bytes,
                                     settings->max_row_bytes);
    }
}
