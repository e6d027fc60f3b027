#include "poll/load.h"
#include "base/json.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void fr_load_free(fr_load *l)
{
    fr_arena_free(l->arena);
    *l = (fr_load){0};
}

/* Texts that last until the next call. */
static void keep(fr_load *l, const fr_str *names, size_t name_count, const fr_str *at,
                 size_t at_count)
{
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < name_count; i++)
        l->order.names[i] = fr_arena_str(a, names[i]);
    for (size_t i = 0; i < at_count; i++)
        l->at.at[i] = fr_arena_str(a, at[i]);
    l->order.count = name_count;
    l->at.at_count = at_count;
    fr_arena_free(l->arena);
    l->arena = a;
}

/* A key whose values cannot be written, or whose order is not that of what is written (ENUM,
 * floating point), is known by its spelling alone. 00 is a number, a text, and bytes. */
static bool has_pages(const fr_changes *ch, const fr_poll_order *o)
{
    bool good = true;
    for (size_t i = 0; i < o->count; i++) {
        fr_buf b = {0};
        good = ch->ops->put_value(&b, ch->table, o->columns[i], FR_STR("00")) && good;
        fr_buf_free(&b);
    }
    return good;
}

static bool same_key(const fr_load *l, const fr_changes *ch, const size_t *columns, size_t count)
{
    bool same = l->order.count == count;
    for (size_t i = 0; same && i < count; i++)
        same = fr_str_eq(l->order.names[i], ch->table->table->columns[columns[i]].name);
    return same;
}

fr_rc fr_load_begin(fr_load *l, const fr_changes *ch, const fr_table_settings *t, bool *anew,
                    fr_err *err)
{
    bool was = l->known;
    fr_str names[FR_POLL_ORDER_MAX] = {{NULL, 0}};
    size_t columns[FR_POLL_ORDER_MAX], count = 0;
    *anew = was && l->shape != ch->shape;
    l->known = true;
    l->done = (l->done && l->shape == ch->shape) || t->snapshot_mode == 1;
    l->shape = ch->shape;
    if (l->done)
        return FR_OK;
    FR_TRY(fr_changes_key(ch, t, columns, FR_POLL_ORDER_MAX, &count, err));
    *anew = *anew || (was && l->at.at_count > 0 && !same_key(l, ch, columns, count));
    for (size_t i = 0; i < count; i++) {
        names[i] = ch->table->table->columns[columns[i]].name;
        l->order.columns[i] = columns[i];
    }
    keep(l, names, count, l->at.at, *anew ? 0 : l->at.at_count);
    l->order.number = true; /* no bound: the view is one */
    l->order.deleted = -1;
    l->pages = has_pages(ch, &l->order);
    return FR_OK;
}

fr_rc fr_load_sql(fr_load *l, fr_arena *a, const fr_changes *ch, const fr_table_settings *t,
                  fr_str *out, fr_err *err)
{
    l->rows = 0;
    if (l->pages)
        return fr_poll_page_sql(a, ch->ops, ch->table, t, &l->order, &l->at, (size_t)t->poll_batch,
                                out, err);
    fr_buf b = {.arena = a};
    fr_poll_put_select(&b, ch->ops, ch->table, NULL);
    fr_poll_put_where(&b, t);
    fr_buf_text(&b, "1 = 1");
    *out = fr_buf_view(&b);
    return FR_OK;
}

void fr_load_row(fr_load *l, const fr_changes *ch, const fr_event *e)
{
    fr_str at[FR_POLL_ORDER_MAX] = {{NULL, 0}}, names[FR_POLL_ORDER_MAX] = {{NULL, 0}};
    if (!l->pages)
        return;
    fr_arena *a = fr_arena_new(512);
    for (size_t i = 0; i < l->order.count; i++) {
        size_t column = l->order.columns[i];
        names[i] = l->order.names[i];
        at[i] = ch->ops->text(a, ch->table, column, &e->after.values[column]);
    }
    keep(l, names, l->order.count, at, l->order.count);
    fr_arena_free(a);
}

void fr_load_page_over(fr_load *l, const fr_table_settings *t)
{
    l->done = !l->pages || l->rows < (size_t)t->poll_batch;
}

/* ---- the record ---- */

void fr_load_put(fr_buf *b, const fr_load *l)
{
    if (!l->known)
        return;
    fr_buf_printf(b, ",\"load\":{\"shape\":%" PRId64 ",\"done\":%s", l->shape,
                  l->done ? "true" : "false");
    if (!l->done && l->at.at_count > 0) {
        fr_poll_put_texts(b, "order", l->order.names, l->order.count);
        fr_poll_put_texts(b, "at", l->at.at, l->at.at_count);
    }
    fr_buf_u8(b, '}');
}

static bool take_texts(const json_t *list, fr_str *out, size_t *count)
{
    size_t i;
    const json_t *text;
    if (json_array_size(list) > FR_POLL_ORDER_MAX)
        return false;
    json_array_foreach(list, i, text)
    {
        if (!json_is_string(text))
            return false;
        out[i] = (fr_str){json_string_value(text), json_string_length(text)};
    }
    *count = json_array_size(list);
    return true;
}

fr_rc fr_load_read(fr_str text, fr_load *out, fr_err *err)
{
    json_t *j = NULL;
    fr_str names[FR_POLL_ORDER_MAX] = {{NULL, 0}}, at[FR_POLL_ORDER_MAX] = {{NULL, 0}};
    size_t name_count = 0, at_count = 0;
    FR_TRY(fr_json_parse(text, &j, err));
    fr_load l = {.known = true,
                 .shape = fr_json_int(j, "shape", 0),
                 .done = json_is_true(json_object_get(j, "done"))};
    bool good = l.shape > 0 && take_texts(json_object_get(j, "order"), names, &name_count) &&
                take_texts(json_object_get(j, "at"), at, &at_count) && name_count == at_count;
    if (good)
        keep(&l, names, name_count, at, at_count);
    json_decref(j);
    if (!good) {
        fr_fail(err, FR_ERR_POSITION, "the record of how far it was loaded cannot be read");
        return fr_fail_code(err, "checkpoint.record");
    }
    *out = l;
    return FR_OK;
}
