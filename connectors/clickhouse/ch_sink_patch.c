/* Rows whose message lacks values (an unchanged TOAST value, a minimal row image), and which
 * ClickHouse replaces as a whole: before a block is inserted, they are filled up from the row's
 * last version, in the block or else in the target, which has all that came before it. A block that
 * is replayed may be filled up with its own values: then the server has its token, and takes
 * nothing. */
#include "clickhouse/ch_sink.h"
#include "clickhouse/ch_value.h"

enum { KEYS_AT_ONCE = 1000, ONE_ROW = 1 << 30 };

typedef struct version { /* of a row: in the arena, or in the block that is being made */
    const uint8_t *row;  /* NULL: from begin to end in the block; or there is none */
    size_t len, begin, end;
    bool there;
} version;

typedef struct filling {
    fr_ch_sink *s;
    const fr_ch_lane *l;
    const fr_ch_sink_table *t;
    fr_map *versions; /* by key */
    fr_str *keys;     /* of the next question */
    size_t key_count, key_bytes;
    fr_buf *out;
} filling;

static fr_str key_of(const fr_ch_sink_table *t, fr_str row)
{
    fr_in in = fr_in_of(row);
    for (size_t i = 0; i < t->key_count; i++)
        (void)fr_ch_take_value(&in, &t->fields[i].type);
    return (fr_str){row.ptr, row.len - fr_in_left(&in)};
}

/* ---- what the target has ---- */

static fr_str question(const filling *f)
{
    fr_arena *a = f->s->arena;
    fr_buf sql = {.arena = a}, types = {.arena = a};
    fr_buf_text(&sql, "SELECT ");
    for (size_t i = 0; i < f->t->field_count; i++)
        fr_buf_printf(&sql, "%s%.*s", i > 0 ? ", " : "", FR_ARG(f->t->fields[i].ident));
    fr_buf_printf(&sql, " FROM %.*s FINAL WHERE (", FR_ARG(f->t->qualified));
    for (size_t i = 0; i < f->t->key_count; i++) {
        const fr_ch_field *k = &f->t->fields[i];
        fr_buf_printf(&sql, "%s%.*s", i > 0 ? ", " : "", FR_ARG(k->ident));
        fr_buf_printf(&types, "%sk%zu %.*s", i > 0 ? ", " : "", i, FR_ARG(k->type_text));
    }
    fr_buf_printf(&sql,
                  ") IN (SELECT * FROM format(RowBinary, %.*s, " FR_CH_BYTES ")) FORMAT "
                  "RowBinary SETTINGS select_sequential_consistency = 1",
                  FR_ARG(fr_ch_literal(a, fr_buf_view(&types))));
    return fr_buf_view(&sql);
}

static fr_rc take_rows(filling *f, fr_str reply, fr_err *err)
{
    fr_in in = fr_in_of(reply);
    while (fr_in_left(&in) > 0) {
        const uint8_t *begin = in.at;
        for (size_t i = 0; i < f->t->field_count; i++)
            (void)fr_ch_take_value(&in, &f->t->fields[i].type);
        if (in.bad)
            return fr_fail(err, FR_ERR_CONNECT, "read rows: the reply is not what was asked for");
        fr_str row = {(const char *)begin, (size_t)(in.at - begin)};
        version *v = fr_map_get(f->versions, key_of(f->t, row));
        if (v != NULL)
            *v = (version){.row = begin, .len = row.len, .there = true};
    }
    return FR_OK;
}

/* Rows that together are too many bytes for one reply are asked for by halves. */
static fr_rc ask(filling *f, const fr_str *keys, size_t count, fr_err *err)
{
    fr_buf hex = {0}, reply = {.arena = f->s->arena};
    fr_ch_call call = {.doing = "read rows", .sql = question(f), .most = count == 1 ? ONE_ROW : 0};
    for (size_t i = 0; i < count; i++)
        fr_buf_hex(&hex, keys[i]);
    fr_ch_set_bytes(&call, fr_buf_view(&hex));
    fr_rc rc = fr_ch_ask(f->s->ch, &call, &reply, err);
    fr_buf_free(&hex);
    if (rc == FR_OK)
        return take_rows(f, fr_buf_view(&reply), err);
    if (!fr_ch_too_large(f->s->ch) || count == 1)
        return FR_FAIL;
    FR_TRY(ask(f, keys, count / 2, err));
    return ask(f, keys + count / 2, count - count / 2, err);
}

static fr_rc ask_gathered(filling *f, fr_err *err)
{
    size_t count = f->key_count;
    f->key_count = f->key_bytes = 0;
    return count > 0 ? ask(f, f->keys, count, err) : FR_OK;
}

/* Every row's key, and for those that need it what the target has of it. */
static fr_rc look_up(filling *f, const fr_ch_block *b, fr_err *err)
{
    f->keys = fr_arena_alloc(f->s->arena, KEYS_AT_ONCE * sizeof(*f->keys));
    for (size_t i = b->from; i < b->to; i++) {
        fr_str key = key_of(f->t, fr_ch_lane_row(f->l, i));
        if (fr_map_get(f->versions, key) != NULL)
            continue;
        fr_map_set(f->versions, key, fr_arena_alloc(f->s->arena, sizeof(version)));
        if (f->l->rows[i].kind != FR_CH_PATCH)
            continue;
        if (f->key_count == KEYS_AT_ONCE || 2 * (f->key_bytes + key.len) > FR_CH_HEX_MOST)
            FR_TRY(ask_gathered(f, err));
        f->keys[f->key_count++] = key;
        f->key_bytes += key.len;
    }
    return ask_gathered(f, err);
}

/* ---- filling up ---- */

static fr_rc no_row(const fr_ch_sink_table *t, const fr_ch_field *field, fr_err *err)
{
    fr_fail(
        err, FR_ERR_CONFIG,
        "%.*s: a row is not there, its message does not have the value of %.*s, and that takes no "
        "NULL",
        FR_ARG(t->qualified), FR_ARG(field->ident));
    fr_fail_code(err, "sink.not_null");
    return fr_fail_hint(err, "let the column be Nullable, or let the source log whole rows "
                             "(PostgreSQL: REPLICA IDENTITY FULL; MySQL: binlog_row_image=FULL)");
}

/* key, a byte for each other field (1: its value is there), those values, position and mark. */
static fr_rc put_filled(filling *f, fr_str row, fr_str key, const version *before, fr_err *err)
{
    const fr_ch_sink_table *t = f->t;
    fr_in in = fr_in_of(row), base = {NULL, NULL, false};
    fr_str old = {(const char *)(before->row != NULL ? before->row : f->out->ptr + before->begin),
                  before->row != NULL ? before->len : before->end - before->begin};
    fr_str copy = before->there ? fr_arena_str(f->s->arena, old) : FR_STR("");
    base = fr_in_of(copy);
    (void)fr_in_take(&in, key.len);
    (void)fr_in_take(&base, before->there ? key.len : 0);
    fr_str mask = fr_in_take(&in, t->field_count - t->key_count);
    fr_buf_str(f->out, key);
    for (size_t i = t->key_count; i < t->field_count; i++) {
        const fr_ch_field *field = &t->fields[i];
        fr_str ours = mask.ptr[i - t->key_count] ? fr_ch_take_value(&in, &field->type) : FR_STR("");
        fr_str theirs = before->there ? fr_ch_take_value(&base, &field->type) : FR_STR("");
        if (mask.ptr[i - t->key_count])
            fr_buf_str(f->out, ours);
        else if (before->there)
            fr_buf_str(f->out, theirs);
        else if (field->type.nullable)
            fr_ch_put_nothing(f->out, &field->type);
        else
            return no_row(t, field, err);
    }
    fr_buf_put(f->out, in.at, fr_in_left(&in));
    return in.bad || base.bad ? fr_fail(err, FR_ERR_BUG, "a row is not what it was") : FR_OK;
}

/* Hard deletes leave a row that is marked, and no row. */
static bool is_there(const filling *f)
{
    return !f->t->marked || f->s->settings->deletes != FR_DELETES_HARD ||
           f->out->ptr[f->out->len - 1] == 0;
}

static fr_rc put_all(filling *f, const fr_ch_block *b, fr_err *err)
{
    for (size_t i = b->from; i < b->to; i++) {
        fr_str row = fr_ch_lane_row(f->l, i), key = key_of(f->t, row);
        version *v = fr_map_get(f->versions, key);
        size_t begin = f->out->len;
        if (f->l->rows[i].kind == FR_CH_PATCH)
            FR_TRY(put_filled(f, row, key, v, err));
        else
            fr_buf_str(f->out, row);
        *v = (version){.begin = begin, .end = f->out->len, .there = is_there(f)};
    }
    return FR_OK;
}

fr_rc fr_ch_fill(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, fr_buf *out, fr_err *err)
{
    filling f = {.s = s, .l = l, .t = l->rows[b->from].table, .versions = fr_map_new(), .out = out};
    fr_rc rc = look_up(&f, b, err);
    if (rc == FR_OK)
        rc = put_all(&f, b, err);
    fr_map_free(f.versions, NULL);
    return rc;
}
