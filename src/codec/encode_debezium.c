/* Rows as messages of Debezium's envelope: one step a field, as in every plan, and values that
 * were converted to what is written before (debezium_value.c). */
#include "base/clock.h"
#include "codec/avro_parse.h"
#include "codec/encode_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- the plan ---- */

static uint8_t nullable_as(const fr_column *c, bool has_default)
{
    return (uint8_t)(!c->nullable ? 0 : has_default ? 2 : 1);
}

static void set_step(fr_step *s, const fr_plan *p, uint16_t column, bool key)
{
    const fr_column *c = &p->table->columns[column];
    const fr_dbz_type *t = p->debezium->types[column];
    fr_value ignored;
    int precision = t->precision > 0 ? t->precision : c->precision;
    s->column = column;
    s->kind = (uint8_t)t->kind;
    s->nullable = key ? 0 : nullable_as(c, fr_dbz_default(p->arena, c, t, &ignored));
    s->most = t->kind == FR_DECIMAL ? (uint32_t)fr_avro_decimal_bytes(precision) : 0;
    if (t->kind == FR_UUID && !key)
        s->most = 1; /* as it stands in old rows for what was not logged */
}

static void add_steps(fr_plan *p, const uint16_t *columns, size_t count, bool key, fr_steps *out)
{
    fr_step *steps = fr_arena_alloc(p->arena, (count + 1) * sizeof *steps);
    for (size_t i = 0; i < count; i++)
        set_step(&steps[i], p, columns[i], key);
    out->items = steps;
    out->count = count;
}

/* Debezium's converters give the default, or something that is as good as nothing, where a column
 * is not to be null. */
static fr_value unlogged(fr_plan *p, uint16_t column)
{
    const fr_column *c = &p->table->columns[column];
    const fr_dbz_type *t = p->debezium->types[column];
    fr_value v = {.kind = FR_NULL};
    if (!fr_dbz_default(p->arena, c, t, &v) && !c->nullable)
        fr_dbz_zero(p->arena, t, &v);
    return v;
}

static fr_rc check_key(const fr_plan *p, const fr_dbz_plan *d, fr_err *err)
{
    for (size_t i = 0; i < p->route->key_count; i++) {
        uint16_t column = p->route->key[i];
        const fr_dbz_type *t = d->types[column];
        if (t->form != FR_DBZ_ARRAY && t->form != FR_DBZ_POINT)
            continue;
        fr_fail(err, FR_ERR_CONFIG,
                "table %.*s.%.*s: column %.*s (%.*s) cannot be part of the key in envelope "
                "debezium",
                FR_ARG(p->table->space), FR_ARG(p->table->name),
                FR_ARG(p->table->columns[column].name),
                FR_ARG(p->table->columns[column].native_type));
        fr_fail_code(err, "config.debezium_type");
        return fr_fail_hint(err, "choose other key columns, or use envelope: standard");
    }
    return FR_OK;
}

static fr_rc fill_columns(fr_plan *p, fr_dbz_plan *d, fr_str *names, uint16_t *converted,
                          fr_err *err)
{
    const fr_route *route = p->route;
    for (size_t i = 0; i < route->field_count; i++) {
        uint16_t column = route->fields[i];
        FR_TRY(fr_dbz_type_of(p->arena, route, column, &d->types[column], err));
        names[column] = fr_debezium_name(p->arena, p->table->columns[column].name, false);
        if (d->types[column]->form != FR_DBZ_AS_IT_IS)
            converted[p->converted_count++] = column;
    }
    for (size_t i = 0; i < route->partition_count; i++) { /* which may be left out */
        uint16_t column = route->partition_by[i];
        if (d->types[column] != NULL)
            continue;
        FR_TRY(fr_dbz_type_of(p->arena, route, column, &d->types[column], err));
        if (d->types[column]->form != FR_DBZ_AS_IT_IS)
            converted[p->converted_count++] = column;
    }
    return check_key(p, d, err);
}

fr_rc fr_dbz_plan_fill(fr_plan *p, fr_err *err)
{
    const fr_route *route = p->route;
    size_t room = p->table->column_count + 1;
    fr_dbz_plan *d = fr_arena_alloc(p->arena, sizeof *d);
    fr_str *names = fr_arena_alloc(p->arena, room * sizeof *names);
    uint16_t *converted = fr_arena_alloc(p->arena, room * sizeof *converted);
    d->types = fr_arena_alloc(p->arena, room * sizeof(const fr_dbz_type *));
    d->unlogged = fr_arena_alloc(p->arena, room * sizeof *d->unlogged);
    d->unavailable = fr_arena_alloc(p->arena, room * sizeof *d->unavailable);
    p->debezium = d;
    p->names = names;
    p->converted = converted;
    FR_TRY(fill_columns(p, d, names, converted, err));
    for (size_t i = 0; i < route->field_count; i++) {
        uint16_t column = route->fields[i];
        d->unlogged[column] = unlogged(p, column);
        fr_dbz_unavailable(p->arena, d->types[column], &d->unavailable[column]);
    }
    for (size_t i = 0; i < 2; i++) {
        p->rows[i] = fr_arena_alloc(p->arena, room * sizeof *p->rows[i]);
        d->rows[i] = fr_arena_alloc(p->arena, room * sizeof *d->rows[i]);
    }
    add_steps(p, route->fields, route->field_count, false, &p->row);
    add_steps(p, route->key, route->key_count, true, &p->key);
    add_steps(p, route->partition_by, route->partition_count, false, &p->partition);
    return FR_OK;
}

/* ---- the envelope ---- */

/* A row with something for what is not there. */
static fr_rc whole(const fr_plan *p, const fr_event *event, const fr_value *values, bool old,
                   const fr_value **out, fr_err *err)
{
    const fr_dbz_plan *d = p->debezium;
    fr_value *copy = NULL;
    *out = values;
    for (size_t i = 0; i < p->row.count; i++) {
        uint16_t column = p->row.items[i].column;
        if (values[column].kind != FR_ABSENT)
            continue;
        if (copy == NULL) {
            copy = d->rows[old];
            memcpy(copy, values, p->table->column_count * sizeof *copy);
            *out = copy;
        }
        copy[column] = old ? d->unlogged[column] : d->unavailable[column];
        if (copy[column].kind == FR_ABSENT && event->gone)
            copy[column] = d->unlogged[column]; /* its delete comes after */
        if (copy[column].kind != FR_ABSENT)
            continue;
        fr_row_fail(p, event, column,
                    "the source did not log a large value that did not change, and envelope "
                    "debezium has no way to say so of this type",
                    err);
        return fr_fail_hint(err, "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL",
                            FR_ARG(p->table->space), FR_ARG(p->table->name));
    }
    return FR_OK;
}

static uint8_t *put_side(uint8_t *at, const fr_plan *p, const fr_value *values)
{
    at = fr_put_branch(at, values != NULL);
    return values != NULL ? fr_row_write(at, &p->row, values) : at;
}

/* What a snapshot reads has no commit before it. */
static uint8_t *put_read_sequence(uint8_t *at, uint64_t lsn)
{
    char text[48];
    int len = snprintf(text, sizeof text, "[null,\"%llu\"]", (unsigned long long)lsn);
    return fr_put_bytes(at, (fr_str){text, (size_t)len});
}

static uint8_t *put_source(fr_encoder *e, uint8_t *at, const fr_plan *p, const fr_event *event)
{
    const fr_position *pos = &event->position;
    uint64_t row_lsn = pos->row_lsn != 0 ? pos->row_lsn : pos->lsn;
    bool read = event->op == FR_OP_READ;
    fr_source_times(e, event);
    at = fr_put_raw(at, e->dbz_head);
    at = fr_put_raw(at, (fr_str){(const char *)e->commit.ms, e->commit.ms_len});
    *at++ = 0; /* snapshot's union has null behind */
    at = fr_put_bytes(at, read ? FR_STR("true") : FR_STR("false"));
    at = fr_put_raw(at, e->source_db);
    at = fr_put_branch(at, pos->lsn != 0);
    if (pos->lsn != 0)
        at = read ? put_read_sequence(at, row_lsn) : fr_source_sequence(e, at, pos->lsn, row_lsn);
    at = fr_put_raw(at, (fr_str){(const char *)e->commit.rest, e->commit.rest_len});
    at = fr_put_raw(at, p->source_place);
    at = fr_source_xid(at, event->txn);
    at = fr_put_branch(at, row_lsn != 0);
    if (row_lsn != 0)
        at = fr_put_long(at, (int64_t)row_lsn);
    at = fr_put_branch(at, false);                         /* xmin */
    return fr_put_branch(fr_put_branch(at, false), false); /* origin, origin_lsn */
}

fr_str fr_dbz_txn_id(fr_arena *a, const fr_event *event)
{
    const fr_position *pos = &event->position;
    return fr_arena_printf(a, "%.*s:%llu", FR_ARG(event->txn->id),
                           (unsigned long long)(pos->row_lsn != 0 ? pos->row_lsn : pos->lsn));
}

static uint8_t *put_block(fr_encoder *e, fr_plan *p, fr_str id, uint8_t *at, const fr_event *event)
{
    int64_t total, order;
    bool there = fr_plan_counted(e, p, event, &total, &order);
    at = fr_put_branch(at, there);
    if (!there)
        return at;
    at = fr_put_bytes(at, id);
    return fr_put_long(fr_put_long(at, total), order);
}

fr_rc fr_dbz_payload(fr_encoder *e, fr_plan *p, fr_arena *a, const fr_dbz_change *c, fr_str *out,
                     fr_err *err)
{
    enum { REST = 512 }; /* numbers, the transaction's id, the shortest of texts */
    const fr_value *before = NULL, *after = NULL;
    size_t old_bound = 0, new_bound = 0;
    if (c->before != NULL) {
        FR_TRY(whole(p, c->event, c->before, true, &before, err));
        FR_TRY(fr_row_bound(p, &p->row, before, c->event, &old_bound, err));
    }
    if (c->after != NULL) {
        FR_TRY(whole(p, c->event, c->after, false, &after, err));
        FR_TRY(fr_row_bound(p, &p->row, after, c->event, &new_bound, err));
    }
    bool names = e->settings.source->transaction_metadata && c->event->txn != NULL;
    fr_str id = names ? fr_dbz_txn_id(a, c->event) : FR_STR("");
    size_t bound = old_bound + new_bound + e->dbz_head.len + e->source_db.len +
                   p->source_place.len + id.len + REST;
    uint8_t *start = fr_arena_raw(a, bound);
    uint8_t *at = put_side(fr_put_header(start, p->value_id), p, before);
    at = put_source(e, put_side(at, p, after), p, c->event);
    at = put_block(e, p, id, at, c->event);
    *at++ = 2; /* op: one character */
    *at++ = (uint8_t)c->op;
    at = fr_put_raw(at, (fr_str){(const char *)e->now, e->now_len});
    *out = (fr_str){(const char *)start, (size_t)(at - start)};
    fr_arena_shrink(a, start, bound, out->len);
    return FR_OK;
}

/* ---- headers ---- */

/* Like Java's Double.toString, where that is plain. */
static void put_real(fr_buf *b, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    fr_buf_text(b, text);
    if (strpbrk(text, ".enN") == NULL)
        fr_buf_text(b, ".0");
}

/* Connect escapes these two only. */
static void put_quoted(fr_buf *b, fr_str s)
{
    fr_buf_u8(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\\')
            fr_buf_u8(b, '\\');
        fr_buf_u8(b, (uint8_t)s.ptr[i]);
    }
    fr_buf_u8(b, '"');
}

static void put_base64(fr_buf *b, fr_str s)
{
    fr_buf_u8(b, '"');
    fr_buf_base64(b, s);
    fr_buf_u8(b, '"');
}

static void put_variable(fr_buf *b, fr_str bytes)
{
    fr_in in = fr_in_of(bytes);
    long long scale = (long long)fr_in_zigzag(&in);
    fr_str value = fr_in_take(&in, (size_t)fr_in_zigzag(&in));
    fr_buf_printf(b, "{\"scale\":%lld,\"value\":", scale);
    put_base64(b, value);
    fr_buf_u8(b, '}');
}

static void put_key_value(fr_buf *b, fr_arena *a, const fr_dbz_type *t, const fr_value *v)
{
    switch (t->kind) {
    case FR_BOOL:
        fr_buf_text(b, v->boolean ? "true" : "false");
        return;
    case FR_FLOAT32:
    case FR_FLOAT64:
        put_real(b, v->real);
        return;
    case FR_DECIMAL:
        fr_buf_str(b, fr_decimal_to_text(a, v->bytes, t->scale));
        return;
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        put_quoted(b, v->bytes);
        return;
    case FR_BYTES:
        put_base64(b, v->bytes);
        return;
    case FR_KIND_COUNT:
        put_variable(b, v->bytes);
        return;
    default:
        fr_buf_printf(b, "%lld", (long long)v->integer);
    }
}

/* A key as Connect's SimpleHeaderConverter writes it. */
static fr_str key_text(const fr_plan *p, fr_arena *a, const fr_value *values)
{
    fr_buf b = {.arena = a};
    fr_buf_u8(&b, '{');
    for (size_t i = 0; i < p->key.count; i++) {
        uint16_t column = p->key.items[i].column;
        if (i > 0)
            fr_buf_u8(&b, ',');
        put_quoted(&b, p->names[column]);
        fr_buf_u8(&b, ':');
        put_key_value(&b, a, p->debezium->types[column], &values[column]);
    }
    fr_buf_u8(&b, '}');
    return fr_buf_view(&b);
}

enum { CONTEXT = 4 };

void fr_dbz_headers(const fr_encoder *e, const fr_plan *p, fr_arena *a, fr_message *m,
                    const char *name, const fr_value *key)
{
    fr_header *h = fr_arena_alloc(a, (CONTEXT + 1) * sizeof *h);
    m->headers = h;
    if (key != NULL)
        h[m->header_count++] = (fr_header){name, key_text(p, a, key)};
    memcpy(h + m->header_count, e->dbz_context, sizeof e->dbz_context);
    m->header_count += CONTEXT;
}

/* A UUID that begins with the time, as Debezium names a run. */
static fr_str run_id(fr_arena *a)
{
    uint8_t r[10] = {0};
    uint64_t ms = (uint64_t)fr_wall_us() / 1000;
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
        memcpy(r, &ms, sizeof ms);
    return fr_arena_printf(a, "%08x-%04x-7%03x-%04x-%02x%02x%02x%02x%02x%02x", (unsigned)(ms >> 16),
                           (unsigned)(ms & 0xffff), (unsigned)(r[0] << 8 | r[1]) & 0xfffu,
                           ((unsigned)(r[2] << 8 | r[3]) & 0x3fffu) | 0x8000u, r[4], r[5], r[6],
                           r[7], r[8], r[9]);
}

void fr_dbz_begin(fr_encoder *e)
{
    const fr_origin *o = &e->settings.origin;
    fr_str version = FR_STR(FR_DBZ_VERSION);
    uint8_t *head = fr_arena_raw(e->arena, version.len + o->connector.len + o->prefix.len + 30);
    uint8_t *end = fr_put_bytes(fr_put_bytes(fr_put_bytes(head, version), o->connector), o->prefix);
    e->dbz_head = (fr_str){(const char *)head, (size_t)(end - head)};
    e->dbz_context[0] = (fr_header){"__debezium.context.connectorLogicalName", o->prefix};
    e->dbz_context[1] = (fr_header){"__debezium.context.taskId", FR_STR("0")};
    e->dbz_context[2] = (fr_header){"__debezium.context.connectorName", o->connector};
    e->dbz_context[3] = (fr_header){"__debezium.context.runId", run_id(e->arena)};
}
