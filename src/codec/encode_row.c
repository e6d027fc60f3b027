#include "codec/contract.h"
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

static const fr_contract_field *field_of(const fr_plan *p, uint16_t column)
{
    return p->route->pin == NULL ? NULL : p->route->pin->columns[column].field;
}

/* A value that its contract has no room for; without one, as fr_row_fail. */
static fr_rc fail_fit(const fr_plan *p, const fr_event *event, uint16_t column, const char *what,
                      fr_err *err)
{
    const fr_contract_field *f = field_of(p, column);
    if (f == NULL)
        return fr_row_fail(p, event, column, what, err);
    if (p->route->pin->kept != NULL) {
        fr_row_fail(p, event, column, what, err);
        fr_fail_in(err, "schema.on_change says ignore, but a value does not fit the former type");
        fr_fail_code(err, "schema.not_kept");
        return fr_fail_hint(err, "tell the consumers, then set schema.on_change.change_type: "
                                 "evolve, and start freshet again; errors.mode: dlq sets such rows "
                                 "aside");
    }
    char text[600];
    snprintf(text, sizeof text, "contract %s, field %.*s: %s", p->route->pin->contract->path,
             FR_ARG(f->name), what);
    ++*p->route->pin->broken;
    fr_row_fail(p, event, column, text, err);
    fr_fail_code(err, "contract.value");
    return fr_fail_hint(err, "correct the row, or the contract; errors.mode: dlq sets such rows "
                             "aside");
}

/* A value that cannot be written as its step says, named. */
static fr_rc fail_value(const fr_plan *p, const fr_event *event, const fr_step *step,
                        const fr_value *v, fr_err *err)
{
    char what[96];
    if (v->kind == FR_NULL)
        return fail_fit(p, event, step->column,
                        field_of(p, step->column) != NULL ? "NULL, and it is not nullable"
                                                          : "NULL in a NOT NULL column",
                        err);
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
        return v->bytes.len == 36 || (v->bytes.len == 0 && step->most == 1)
                   ? NULL
                   : "a UUID that has not 36 characters";
    default:
        return NULL;
    }
}

static bool has_bytes(uint8_t kind)
{
    return kind == FR_DECIMAL || kind == FR_TEXT || kind == FR_BYTES || kind == FR_JSON ||
           kind == FR_UUID || kind == FR_KIND_COUNT;
}

fr_rc fr_row_bound(const fr_plan *p, const fr_steps *steps, const fr_value *values,
                   const fr_event *event, size_t *bound, fr_err *err)
{
    size_t sum = steps->count * 11 + steps->always; /* a branch and the longest integer, each */
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
            return fail_fit(p, event, step->column, what, err);
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
    case FR_KIND_COUNT:
        return fr_put_raw(at, v->bytes);
    default:
        return fr_put_long(at, v->integer);
    }
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Avro's float and double are little-endian: put_value needs a swap here"
#endif

uint8_t *fr_row_write(uint8_t *at, const fr_steps *steps, const fr_value *values)
{
    const fr_constant *constant = steps->constants;
    size_t next = constant == NULL ? SIZE_MAX : constant->at;
    for (size_t i = 0; i < steps->count; i++) {
        const fr_step *step = &steps->items[i];
        const fr_value *v = &values[step->column];
        bool there = v->kind > FR_NULL;
        if (i == next) {
            at = fr_put_raw(at, constant->bytes);
            next = (++constant)->at;
        }
        if (step->nullable != 0)
            at = fr_put_branch(at, there == (step->nullable == 1));
        if (there)
            at = put_value(at, step->kind, v);
    }
    return next == steps->count ? fr_put_raw(at, constant->bytes) : at;
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

static bool is_key(const fr_plan *p, size_t column)
{
    for (size_t i = 0; i < p->key.count; i++)
        if (p->key.items[i].column == column)
            return true;
    return false;
}

/* The value as its contract has it. */
static fr_rc pin_value(const fr_plan *p, fr_arena *a, const fr_event *event, bool old,
                       size_t column, fr_value *v, fr_err *err)
{
    const fr_pin_column *c = &p->pin->columns[column];
    if (c->convert == NULL || v->kind <= FR_NULL)
        return FR_OK;
    if (v->kind != c->from.kind)
        return fr_row_fail(p, event, (uint16_t)column, "a value of another kind than its column's",
                           err);
    const char *what = c->convert(a, c, v);
    if (what == NULL)
        return FR_OK;
    if (!old || is_key(p, column))
        return fail_fit(p, event, (uint16_t)column, what, err);
    v->kind = FR_ABSENT;
    return FR_OK;
}

static fr_rc debezium_value(const fr_plan *p, fr_arena *a, const fr_event *event, uint16_t column,
                            fr_value *v, fr_err *err)
{
    if (v->kind <= FR_NULL)
        return FR_OK;
    const char *what = fr_dbz_value(a, p->debezium->types[column], v);
    return what == NULL ? FR_OK : fr_row_fail(p, event, column, what, err);
}

/* after, with what it lacks from before. */
static const fr_value *filled(const fr_plan *p, fr_arena *a, const fr_event *event)
{
    size_t count = p->table->column_count;
    fr_value *copy = fr_arena_raw(a, count * sizeof *copy);
    memcpy(copy, event->after.values, count * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        if (copy[i].kind == FR_ABSENT && known_before(p, i))
            copy[i] = event->before.values[i];
    return copy;
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
    *out = row->values;
    if (!old && event->before.count > 0 && any_absent(p, row))
        *out = filled(p, a, event);
    if (!old && p->route->judge != NULL)
        FR_TRY(p->route->judge(p->route->rules, a, event, *out, err));
    if (p->converted_count == 0)
        return FR_OK;
    fr_value *copy = p->rows[old];
    memcpy(copy, *out, count * sizeof *copy);
    for (size_t i = 0; i < p->converted_count; i++) {
        uint16_t column = p->converted[i];
        if (p->debezium != NULL)
            FR_TRY(debezium_value(p, a, event, column, &copy[column], err));
        if (p->casts != NULL)
            FR_TRY(cast_value(p, a, event, column, &copy[column], err));
        if (p->pin != NULL)
            FR_TRY(pin_value(p, a, event, old, column, &copy[column], err));
    }
    *out = copy;
    return FR_OK;
}

const fr_value *fr_row_old(const fr_plan *p, const fr_value *values)
{
    for (size_t i = 0; p->route->pin != NULL && i < p->row.count; i++) {
        const fr_step *step = &p->row.items[i];
        fr_kind kind = values[step->column].kind;
        if ((kind <= FR_NULL && !step->nullable) || (kind == FR_ABSENT && p->table->full_before))
            return NULL;
    }
    return values;
}
