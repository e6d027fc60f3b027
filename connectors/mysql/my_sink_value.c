#include "mysql/my_sink_value.h"
#include "mysql/my_value.h"
#include "sql/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum enum_field_types fr_my_send_type(fr_my_send send)
{
    static const enum enum_field_types types[FR_MY_SEND_COUNT] = {
        [FR_MY_SEND_INT] = MYSQL_TYPE_LONGLONG, [FR_MY_SEND_YEAR] = MYSQL_TYPE_LONGLONG,
        [FR_MY_SEND_FLOAT] = MYSQL_TYPE_FLOAT,  [FR_MY_SEND_DOUBLE] = MYSQL_TYPE_DOUBLE,
        [FR_MY_SEND_BLOB] = MYSQL_TYPE_BLOB,    [FR_MY_SEND_GEOMETRY] = MYSQL_TYPE_BLOB,
        [FR_MY_SEND_TEXT] = MYSQL_TYPE_STRING,  [FR_MY_SEND_LABEL] = MYSQL_TYPE_STRING,
    };
    return types[send];
}

/* ---- cells ---- */

static size_t width_of(fr_my_send send)
{
    return send == FR_MY_SEND_FLOAT ? sizeof(float) : send <= FR_MY_SEND_DOUBLE ? 8 : 0;
}

void fr_my_cells_free(fr_my_cells *c)
{
    fr_buf_free(&c->data);
    free(c->starts);
    free(c->lengths);
    free(c->nulls);
    free(c->pointers);
    *c = (fr_my_cells){.cap = 0};
}

void fr_my_cells_begin(fr_my_cells *c, fr_my_send send)
{
    c->send = send;
    c->count = 0;
    c->data.len = 0;
}

static size_t next(fr_my_cells *c, bool null)
{
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 16 : 2 * c->cap;
        c->starts = fr_realloc(c->starts, c->cap * sizeof(*c->starts));
        c->lengths = fr_realloc(c->lengths, c->cap * sizeof(*c->lengths));
        c->nulls = fr_realloc(c->nulls, c->cap);
        c->pointers = fr_realloc(c->pointers, c->cap * sizeof(*c->pointers));
    }
    c->starts[c->count] = c->data.len;
    c->lengths[c->count] = 0;
    c->nulls[c->count] = null ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
    return c->count++;
}

void fr_my_cells_bytes(fr_my_cells *c, const void *ptr, size_t len)
{
    size_t at = next(c, false);
    fr_buf_put(&c->data, ptr, len);
    c->lengths[at] = len;
}

static void put_number(fr_my_cells *c, const void *ptr)
{
    next(c, false);
    fr_buf_put(&c->data, ptr, width_of(c->send));
}

void fr_my_cells_int(fr_my_cells *c, int64_t v)
{
    put_number(c, &v);
}

void fr_my_cells_null(fr_my_cells *c)
{
    static const uint8_t nothing[8];
    next(c, true);
    fr_buf_put(&c->data, nothing, width_of(c->send));
}

static void bind_common(fr_my_cells *c, MYSQL_BIND *out)
{
    memset(out, 0, sizeof(*out));
    out->buffer_type = fr_my_send_type(c->send);
    fr_buf_room(&c->data, 1); /* the library wants an address even where there are no bytes */
}

void fr_my_cells_bind_array(fr_my_cells *c, MYSQL_BIND *out)
{
    bind_common(c, out);
    out->u.indicator = c->nulls;
    if (width_of(c->send) > 0) {
        out->buffer = c->data.ptr;
        return;
    }
    for (size_t i = 0; i < c->count; i++)
        c->pointers[i] = (char *)c->data.ptr + c->starts[i];
    out->buffer = (void *)c->pointers;
    out->length = c->lengths;
}

void fr_my_cells_bind_row(fr_my_cells *c, size_t row, MYSQL_BIND *out)
{
    bind_common(c, out);
    out->is_null = (my_bool *)&c->nulls[row];
    out->buffer = c->data.ptr + c->starts[row];
    out->length = &c->lengths[row];
    out->buffer_length = c->lengths[row];
}

size_t fr_my_cells_size(const fr_my_cells *c)
{
    return c->data.len + 4 * c->count;
}

/* ---- what the server would refuse, or change without a word ---- */

static fr_rc no_such_value(fr_err *err, const fr_column *c, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "column %.*s: %s", FR_ARG(c->name), why);
    return fr_fail_code(err, "sink.value");
}

static fr_rc put_null(fr_my_cells *out, const fr_column *c, const fr_my_target_column *to,
                      fr_err *err)
{
    /* The server itself makes the current time of it (TIMESTAMP) or a new number
     * (AUTO_INCREMENT), or a zero. */
    if (to != NULL && to->not_null) {
        fr_fail(err, FR_ERR_DATA, "column %.*s: NULL, and the target's column is NOT NULL",
                FR_ARG(c->name));
        return fr_fail_code(err, "sink.not_null");
    }
    fr_my_cells_null(out);
    return FR_OK;
}

static size_t characters(const uint8_t *at, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += (at[i] & 0xc0) != 0x80;
    return n;
}

static bool all_digits(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return len > 0;
}

/* Whether 'digits' is among the labels of enum('a','1'). */
static bool has_label(fr_str shown, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i + len + 2 <= shown.len; i++)
        if (shown.ptr[i] == '\'' && memcmp(shown.ptr + i + 1, at, len) == 0 &&
            shown.ptr[i + 1 + len] == '\'')
            return true;
    return false;
}

static fr_rc check_text(const fr_my_cells *out, const fr_column *c, const fr_my_target_column *to,
                        const uint8_t *at, size_t len, fr_err *err)
{
    if (to == NULL)
        return FR_OK;
    if (out->send == FR_MY_SEND_LABEL && all_digits(at, len) && !has_label(to->shown, at, len))
        return no_such_value(err, c, "no such label");
    if (to->length == 0 || len <= to->length || to->charset.len == 0)
        return FR_OK;
    /* The server cuts spaces at the end without a word, and anything else with one. */
    if (characters(at, len) <= to->length)
        return FR_OK;
    no_such_value(err, c, "longer than the target's column");
    if (c->key_ordinal > 0)
        return fr_fail_hint(err,
                            "the column is part of a key, and an index takes %s bytes at most: "
                            "give the target a longer column, or a key without this one",
                            to->length <= 255 ? "767 (3072 on newer servers)" : "3072");
    return FR_FAIL;
}

static fr_rc put_any_text(fr_my_cells *out, const fr_column *c, const fr_my_target_column *to,
                          const fr_value *v, fr_err *err)
{
    size_t start = out->data.len;
    if (v->kind == FR_TEXT || v->kind == FR_JSON || v->kind == FR_UUID) {
        FR_TRY(check_text(out, c, to, (const uint8_t *)v->bytes.ptr, v->bytes.len, err));
        fr_my_cells_bytes(out, v->bytes.ptr, v->bytes.len);
        return FR_OK;
    }
    size_t at = next(out, false);
    fr_sql_put_value(&out->data, c, v);
    out->lengths[at] = out->data.len - start;
    if (check_text(out, c, to, out->data.ptr + start, out->lengths[at], err) == FR_FAIL) {
        out->data.len = start;
        out->count--;
        return FR_FAIL;
    }
    return FR_OK;
}

static fr_rc put_blob(fr_my_cells *out, const fr_column *c, const fr_my_target_column *to,
                      fr_str bytes, fr_err *err)
{
    if (to != NULL && to->length > 0 && bytes.len > to->length)
        return no_such_value(err, c, "longer than the target's column");
    if (to != NULL && fr_str_is(to->type, "binary") && bytes.len < to->length)
        return no_such_value(err, c, "shorter than the target's BINARY, which would fill it up");
    fr_my_cells_bytes(out, bytes.ptr, bytes.len);
    return FR_OK;
}

static fr_rc put_geometry(fr_my_cells *out, const fr_column *c, fr_str wkb, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str native;
    fr_rc rc = fr_my_geometry_from_wkb(a, wkb, 0, &native, err);
    if (rc == FR_OK)
        fr_my_cells_bytes(out, native.ptr, native.len);
    else
        fr_fail_in(err, "column %.*s", FR_ARG(c->name));
    fr_arena_free(a);
    return rc;
}

static fr_rc put_real(fr_my_cells *out, const fr_column *c, double v, fr_err *err)
{
    if (isnan(v) || isinf(v))
        return no_such_value(err, c, "NaN and infinity are no values of MySQL");
    float single = (float)v;
    put_number(out, out->send == FR_MY_SEND_FLOAT ? (const void *)&single : (const void *)&v);
    return FR_OK;
}

static fr_rc put_year(fr_my_cells *out, const fr_column *c, int64_t year, fr_err *err)
{
    if (year != 0 && (year < 1901 || year > 2155))
        return no_such_value(err, c, "a YEAR is 0 or 1901 to 2155");
    fr_my_cells_int(out, year);
    return FR_OK;
}

static fr_rc check_date(const fr_column *c, const fr_value *v, fr_err *err)
{
    const int64_t day = INT64_C(86400000000), first = fr_days_from_civil(1, 1, 1),
                  last = fr_days_from_civil(9999, 12, 31);
    int64_t days = v->integer;
    if (v->kind == FR_DATETIME || v->kind == FR_TIMESTAMP)
        days = v->integer / day - (v->integer % day < 0);
    if (days < first || days > last)
        return no_such_value(err, c, "MySQL has no such date");
    return FR_OK;
}

fr_rc fr_my_sink_put(fr_my_cells *out, const fr_column *c, const fr_my_target_column *to,
                     const fr_value *v, fr_err *err)
{
    if (v->kind == FR_NULL || v->kind == FR_ABSENT)
        return put_null(out, c, to, err);
    if (v->kind != c->kind)
        return fr_fail(err, FR_ERR_BUG, "column %.*s is %s but holds %s", FR_ARG(c->name),
                       fr_kind_name(c->kind), fr_kind_name(v->kind));
    if (v->kind == FR_DATE || v->kind == FR_DATETIME || v->kind == FR_TIMESTAMP)
        FR_TRY(check_date(c, v, err));
    switch (out->send) {
    case FR_MY_SEND_INT:
        fr_my_cells_int(out, v->kind == FR_BOOL ? v->boolean : v->integer);
        return FR_OK;
    case FR_MY_SEND_YEAR:
        return put_year(out, c, v->integer, err);
    case FR_MY_SEND_FLOAT:
    case FR_MY_SEND_DOUBLE:
        return put_real(out, c, v->real, err);
    case FR_MY_SEND_BLOB:
        return put_blob(out, c, to, v->bytes, err);
    case FR_MY_SEND_GEOMETRY:
        return put_geometry(out, c, v->bytes, err);
    default:
        if ((v->kind == FR_FLOAT32 || v->kind == FR_FLOAT64) && !isfinite(v->real))
            return no_such_value(err, c, "NaN and infinity are no values of MySQL");
        return put_any_text(out, c, to, v, err);
    }
}
