#include "codec/encode_plan.h"

#include <stdio.h>
#include <string.h>

fr_rc fr_event_fail(const fr_plan *p, const fr_event *event, const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "table %.*s.%.*s: %s (at %X/%X #%u)", FR_ARG(p->table->space),
            FR_ARG(p->table->name), what, (unsigned)(event->position.lsn >> 32),
            (unsigned)event->position.lsn, event->position.ordinal);
    return fr_fail_code(err, "row.refused");
}

fr_rc fr_row_fail(const fr_plan *p, const fr_event *event, uint16_t column, const char *what,
                  fr_err *err)
{
    const fr_column *c = &p->table->columns[column];
    fr_fail(err, FR_ERR_DATA, "table %.*s.%.*s: column %.*s (%.*s): %s (at %X/%X #%u)",
            FR_ARG(p->table->space), FR_ARG(p->table->name), FR_ARG(c->name),
            FR_ARG(c->native_type), what, (unsigned)(event->position.lsn >> 32),
            (unsigned)event->position.lsn, event->position.ordinal);
    return fr_fail_code(err, "row.value");
}

/* A value that cannot be written as its step says, named. */
static fr_rc fail_value(const fr_plan *p, const fr_event *event, const fr_step *step,
                        const fr_value *v, fr_err *err)
{
    char what[96];
    if (v->kind == FR_NULL)
        return fr_row_fail(p, event, step->column, "NULL in a NOT NULL column", err);
    if (v->kind == FR_ABSENT) {
        fr_row_fail(p, event, step->column, "the source did not log its value", err);
        return fr_fail_hint(err, "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL",
                            FR_ARG(p->table->space), FR_ARG(p->table->name));
    }
    snprintf(what, sizeof what, "a value of kind %s where %s is written", fr_kind_name(v->kind),
             fr_kind_name((fr_kind)step->kind));
    return fr_row_fail(p, event, step->column, what, err);
}

/* NULL: the value fits its kind. */
static const char *misfit(const fr_step *step, const fr_value *v)
{
    switch (step->kind) {
    case FR_INT32:
    case FR_DATE:
        return v->integer >= INT32_MIN && v->integer <= INT32_MAX
                   ? NULL
                   : "a number that 32 bits do not hold";
    case FR_DECIMAL:
        if (v->bytes.len == 0)
            return "a decimal without digits";
        return v->bytes.len <= step->most ? NULL : "a decimal with more digits than its precision";
    case FR_UUID:
        return v->bytes.len == 36 ? NULL : "a UUID that has not 36 characters";
    default:
        return NULL;
    }
}

static bool has_bytes(uint8_t kind)
{
    return kind == FR_DECIMAL || kind == FR_TEXT || kind == FR_BYTES || kind == FR_JSON ||
           kind == FR_UUID;
}

fr_rc fr_row_bound(const fr_plan *p, const fr_steps *steps, const fr_value *values,
                   const fr_event *event, size_t *bound, fr_err *err)
{
    size_t sum = steps->count * 11; /* a branch and the longest integer, each */
    for (size_t i = 0; i < steps->count; i++) {
        const fr_step *step = &steps->items[i];
        const fr_value *v = &values[step->column];
        if (v->kind != (fr_kind)step->kind) {
            if (!step->nullable || v->kind > FR_NULL)
                return fail_value(p, event, step, v, err);
            continue;
        }
        const char *what = misfit(step, v);
        if (what != NULL)
            return fr_row_fail(p, event, step->column, what, err);
        if (has_bytes(step->kind))
            sum += v->bytes.len;
    }
    *bound = sum;
    return FR_OK;
}

static uint8_t *put_value(uint8_t *at, uint8_t kind, const fr_value *v)
{
    switch (kind) {
    case FR_BOOL:
        *at++ = v->boolean ? 1 : 0;
        return at;
    case FR_FLOAT32: {
        float f = (float)v->real;
        memcpy(at, &f, sizeof f);
        return at + sizeof f;
    }
    case FR_FLOAT64:
        memcpy(at, &v->real, sizeof v->real);
        return at + sizeof v->real;
    case FR_DECIMAL:
    case FR_TEXT:
    case FR_BYTES:
    case FR_JSON:
    case FR_UUID:
        return fr_put_bytes(at, v->bytes);
    default:
        return fr_put_long(at, v->integer);
    }
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Avro's float and double are little-endian: put_value needs a swap here"
#endif

uint8_t *fr_row_write(uint8_t *at, const fr_steps *steps, const fr_value *values)
{
    for (size_t i = 0; i < steps->count; i++) {
        const fr_step *step = &steps->items[i];
        const fr_value *v = &values[step->column];
        bool there = v->kind > FR_NULL;
        if (step->nullable)
            at = fr_put_branch(at, there);
        if (there)
            at = put_value(at, step->kind, v);
    }
    return at;
}

static fr_rc cast_value(const fr_plan *p, fr_arena *a, const fr_event *event, uint16_t column,
                        fr_value *v, fr_err *err)
{
    const fr_avro_type *t = &p->casts[column];
    const fr_column *c = &p->table->columns[column];
    if (!t->cast || v->kind <= FR_NULL)
        return FR_OK;
    if (v->kind != c->kind)
        return fr_row_fail(p, event, column, "a value of another kind than its column's", err);
    if (t->kind == FR_TEXT || t->kind == FR_DECIMAL)
        v->bytes = fr_value_text(a, c, v);
    v->kind = t->kind;
    if (t->kind != FR_DECIMAL)
        return FR_OK;
    fr_err why;
    if (fr_decimal_from_text(a, v->bytes, t->precision, t->scale, &v->bytes, &why) == FR_OK)
        return FR_OK;
    fr_row_fail(p, event, column, "a value that its decimal of columns.types does not hold", err);
    return fr_fail_hint(err, "make the decimal in columns.types wider, or use string");
}

static bool any_absent(const fr_plan *p, const fr_row *row)
{
    for (size_t i = 0; i < p->table->column_count; i++) {
        if (row->values[i].kind == FR_ABSENT)
            return true;
    }
    return false;
}

/* An old row under identity DEFAULT says nothing of columns outside the key. */
static bool known_before(const fr_plan *p, size_t column)
{
    return p->table->full_before || p->table->columns[column].key_ordinal > 0;
}

fr_rc fr_row_prepare(const fr_plan *p, fr_arena *a, const fr_event *event, bool old,
                     const fr_value **out, fr_err *err)
{
    const fr_row *row = old ? &event->before : &event->after;
    size_t count = p->table->column_count;
    if (row->count != count || (event->before.count > 0 && event->before.count != count)) {
        fr_event_fail(p, event, "a row that has not one value for each column", err);
        err->kind = FR_ERR_BUG;
        return FR_FAIL;
    }
    bool fill = !old && event->before.count > 0 && any_absent(p, row);
    *out = row->values;
    if (!fill && p->casts == NULL)
        return FR_OK;
    fr_value *copy = fr_arena_raw(a, count * sizeof *copy);
    memcpy(copy, row->values, count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        if (fill && copy[i].kind == FR_ABSENT && known_before(p, i))
            copy[i] = event->before.values[i];
        if (p->casts != NULL)
            FR_TRY(cast_value(p, a, event, (uint16_t)i, &copy[i], err));
    }
    *out = copy;
    return FR_OK;
}
