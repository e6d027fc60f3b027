#include "poll/compare.h"
#include "poll/order.h"
#include <string.h>

/* ---- walking ---- */

/* The next published key that is not gone. */
static fr_rc next_published(fr_matcher *m, fr_err *err)
{
    fr_rc rc = FR_OK;
    do {
        rc = fr_sorter_next(m->published, &m->key, &m->value, err);
    } while (rc == FR_OK && (m->value.len == 0 || m->value.ptr[0] != FR_PUBLISHED_THERE));
    m->published_ended = rc == FR_END;
    m->advance = false;
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc next_row(fr_matcher *m, fr_err *err)
{
    fr_rc rc = fr_sorter_next(m->rows, &m->row_key, &m->row_value, err);
    m->rows_ended = rc == FR_END;
    m->advance_row = false;
    return rc == FR_FAIL ? rc : FR_OK;
}

fr_rc fr_matcher_begin(fr_matcher *m, fr_sorter *published, fr_sorter *rows, fr_err *err)
{
    *m = (fr_matcher){.published = published, .rows = rows, .advance = true, .advance_row = true};
    FR_TRY(fr_sorter_rewind(published, err));
    return fr_sorter_rewind(rows, err);
}

void fr_matcher_end(fr_matcher *m)
{
    fr_buf_free(&m->last);
}

/* The published key stays where it is as long as rows of the same key come. */
fr_rc fr_matcher_next(fr_matcher *m, fr_match *out, fr_err *err)
{
    if (m->advance_row)
        FR_TRY(next_row(m, err));
    bool again = m->begun && !m->rows_ended && fr_str_eq(fr_buf_view(&m->last), m->row_key);
    if (m->advance && !again)
        FR_TRY(next_published(m, err));
    if (m->published_ended && m->rows_ended)
        return FR_END;
    int order = m->published_ended ? 1 : m->rows_ended ? -1 : fr_sorter_order(m->key, m->row_key);
    *out = (fr_match){.again = again};
    if (order < 0 && !again) {
        out->kind = FR_MATCH_MISSING;
        out->key = m->key;
        out->published = m->value;
        m->advance = true;
        return FR_OK;
    }
    out->kind = order == 0 ? FR_MATCH_BOTH : FR_MATCH_UNSEEN;
    out->key = m->row_key;
    out->row = m->row_value;
    if (order == 0)
        out->published = m->value;
    m->advance = m->advance || order == 0;
    m->advance_row = m->begun = true;
    m->last.len = 0;
    fr_buf_str(&m->last, m->row_key);
    return FR_OK;
}

/* ---- rows as bytes ---- */

static bool has_bytes(fr_kind kind)
{
    return kind == FR_DECIMAL || kind == FR_TEXT || kind == FR_BYTES || kind == FR_JSON ||
           kind == FR_UUID;
}

static void put_text(fr_buf *b, fr_str text)
{
    fr_buf_u32be(b, (uint32_t)text.len);
    fr_buf_str(b, text);
}

void fr_row_pack(fr_buf *b, const fr_event *e)
{
    fr_buf_u64be(b, (uint64_t)e->time_us);
    put_text(b, e->zero);
    for (size_t i = 0; i < e->after.count; i++) {
        const fr_value *v = &e->after.values[i];
        uint64_t raw = v->kind == FR_BOOL && v->boolean;
        fr_buf_u8(b, (uint8_t)v->kind);
        if (v->kind <= FR_NULL)
            continue;
        if (has_bytes(v->kind)) {
            put_text(b, v->bytes);
            continue;
        }
        if (v->kind != FR_BOOL)
            memcpy(&raw, &v->integer, sizeof(raw)); /* or the real number's bits */
        fr_buf_u64be(b, raw);
    }
}

static fr_str take_text(fr_in *in)
{
    return fr_in_take(in, fr_in_u32be(in));
}

static void take_value(fr_in *in, fr_value *v)
{
    uint64_t raw;
    v->kind = (fr_kind)fr_in_u8(in);
    if (v->kind <= FR_NULL)
        return;
    if (has_bytes(v->kind)) {
        v->bytes = take_text(in);
        return;
    }
    raw = fr_in_u64be(in);
    if (v->kind == FR_BOOL)
        v->boolean = raw != 0;
    else
        memcpy(&v->integer, &raw, sizeof(raw));
}

bool fr_row_unpack(fr_str bytes, const fr_table *t, fr_batch *b, fr_event *e)
{
    fr_in in = fr_in_of(bytes);
    e->time_us = (int64_t)fr_in_u64be(&in);
    e->zero = take_text(&in);
    fr_value *values = fr_batch_row(b, t, &e->after);
    for (size_t i = 0; i < t->column_count && !in.bad; i++) {
        take_value(&in, &values[i]);
        in.bad = in.bad || (unsigned)values[i].kind >= FR_KIND_COUNT;
    }
    return !in.bad && fr_in_left(&in) == 0;
}

/* ---- SQL ---- */

fr_str fr_compare_all_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *r,
                          const fr_table_settings *t, const bool *wanted)
{
    fr_buf b = {.arena = a};
    fr_poll_put_select(&b, ops, r, wanted);
    fr_poll_put_where(&b, t);
    fr_buf_text(&b, "1 = 1");
    return fr_buf_view(&b);
}

bool fr_compare_rows_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *r,
                         const fr_table_settings *t, const uint16_t *key, size_t key_count,
                         const fr_row *rows, size_t count, fr_str *out)
{
    fr_buf b = {.arena = a};
    bool good = true;
    fr_poll_put_select(&b, ops, r, NULL);
    fr_poll_put_where(&b, t);
    fr_buf_u8(&b, '(');
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(&b, i > 0 ? " OR (" : "(");
        for (size_t k = 0; k < key_count; k++) {
            const fr_value *v = &rows[i].values[key[k]];
            fr_buf_text(&b, k > 0 ? " AND " : "");
            fr_poll_put_name(&b, ops, r, r->table->columns[key[k]].name);
            fr_buf_text(&b, " = ");
            good = ops->put_value(&b, r, key[k], ops->text(a, r, key[k], v)) && good;
        }
        fr_buf_u8(&b, ')');
    }
    fr_buf_u8(&b, ')');
    *out = fr_buf_view(&b);
    return good;
}
