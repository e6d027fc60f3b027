/* Whether the rows of a block are there, asked of the table itself, row by row and whole: a
 * position alone may be another partition's, too, where messages have none of ours. */
#include "clickhouse/ch_sink.h"

static void put_structure(const fr_ch_sink_table *t, fr_buf *names, fr_buf *types)
{
    for (size_t i = 0; i < t->field_count; i++) {
        const fr_ch_field *f = &t->fields[i];
        fr_buf_printf(names, "%s%.*s", i > 0 ? ", " : "", FR_ARG(f->ident));
        fr_buf_printf(types, "%.*s %.*s, ", FR_ARG(f->ident), FR_ARG(f->type_text));
    }
    if (t->marked)
        fr_buf_text(names, ", `" FR_TARGET_DELETED "`");
    fr_buf_text(types, "`" FR_TARGET_POSITION "` UInt128");
    if (t->marked)
        fr_buf_text(types, ", `" FR_TARGET_DELETED "` UInt8");
}

static fr_rc ask(fr_ch_sink *s, const fr_ch_sink_table *t, fr_str hex, int64_t *count, fr_err *err)
{
    fr_ch_cells c;
    fr_arena *a = s->arena;
    fr_buf names = {.arena = a}, types = {.arena = a};
    put_structure(t, &names, &types);
    fr_str from = fr_arena_printf(a, "format(RowBinary, %.*s, " FR_CH_BYTES ")",
                                  FR_ARG(fr_ch_literal(a, fr_buf_view(&types))));
    fr_str row = fr_arena_printf(a, "toString(tuple(%.*s))", FR_ARG(fr_buf_view(&names)));
    fr_ch_call call = {.doing = "look for rows",
                       .sql = fr_arena_printf(a,
                                              "SELECT count() FROM %.*s WHERE `" FR_TARGET_POSITION
                                              "` IN (SELECT `" FR_TARGET_POSITION
                                              "` FROM %.*s) AND %.*s IN "
                                              "(SELECT %.*s FROM %.*s)",
                                              FR_ARG(t->qualified), FR_ARG(from), FR_ARG(row),
                                              FR_ARG(row), FR_ARG(from))};
    fr_ch_set_bytes(&call, hex);
    FR_TRY(fr_ch_select(s->ch, a, call, &c, err));
    *count = fr_ch_number(fr_ch_cell(&c, 0, 0));
    return FR_OK;
}

/* A row that is too large for a question is asked for by its position alone. */
static fr_rc ask_position(fr_ch_sink *s, const fr_ch_sink_table *t, fr_str row, int64_t *count,
                          fr_err *err)
{
    fr_ch_cells c;
    fr_buf hex = {.arena = s->arena};
    size_t end = row.len - t->marked;
    fr_buf_hex(&hex, (fr_str){row.ptr + end - FR_TARGET_POSITION_SIZE, FR_TARGET_POSITION_SIZE});
    const fr_ch_call call = {
        .doing = "look for rows",
        .sql = fr_arena_printf(s->arena,
                               "SELECT count() > 0 FROM %.*s WHERE `" FR_TARGET_POSITION
                               "` = reinterpretAsUInt128(unhex({d:String}))",
                               FR_ARG(t->qualified)),
        .params = {{"d", fr_buf_view(&hex)}}};
    FR_TRY(fr_ch_select(s->ch, s->arena, call, &c, err));
    *count = fr_ch_number(fr_ch_cell(&c, 0, 0));
    return FR_OK;
}

static fr_rc partly(const fr_ch_lane *l, const fr_ch_block *b, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "%.*s: of the rows of %.*s[%d], offsets %lld to %lld, only some are there",
            FR_ARG(l->rows[b->from].table->qualified), FR_ARG(l->topic), l->partition,
            (long long)b->first, (long long)b->last);
    fr_fail_code(err, "sink.unproved");
    return fr_fail_hint(err, "delete those that are there, or insert those that are not, by hand");
}

static fr_rc ask_gathered(fr_ch_sink *s, const fr_ch_sink_table *t, fr_buf *hex, int64_t *found,
                          fr_err *err)
{
    int64_t count;
    if (hex->len == 0)
        return FR_OK;
    FR_TRY(ask(s, t, fr_buf_view(hex), &count, err));
    *found += count;
    hex->len = 0;
    return FR_OK;
}

static fr_rc count_rows(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, fr_buf *hex,
                        int64_t *found, fr_err *err)
{
    const fr_ch_sink_table *t = l->rows[b->from].table;
    for (size_t i = b->from; i < b->to; i++) {
        int64_t count;
        fr_str row = fr_ch_lane_row(l, i);
        if (hex->len + 2 * row.len > FR_CH_HEX_MOST)
            FR_TRY(ask_gathered(s, t, hex, found, err));
        if (2 * row.len <= FR_CH_HEX_MOST) {
            fr_buf_hex(hex, row);
            continue;
        }
        FR_TRY(ask_position(s, t, row, &count, err));
        *found += count;
    }
    return ask_gathered(s, t, hex, found, err);
}

fr_rc fr_ch_rows_there(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, bool *there_out,
                       fr_err *err)
{
    fr_buf hex = {0};
    int64_t found = 0, wanted = (int64_t)(b->to - b->from);
    fr_rc rc = count_rows(s, l, b, &hex, &found, err);
    fr_buf_free(&hex);
    if (rc == FR_OK && found > 0 && found < wanted)
        return partly(l, b, err);
    *there_out = found >= wanted;
    return rc;
}
