#include "poll/record.h"
#include "base/json.h"
#include <inttypes.h>
#include <string.h>

void fr_poll_put_texts(fr_buf *b, const char *name, const fr_str *texts, size_t count)
{
    fr_buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(b, i > 0 ? "," : "");
        fr_buf_json(b, texts[i]);
    }
    fr_buf_u8(b, ']');
}

static void put_gaps(fr_buf *b, const fr_gaps *g)
{
    fr_buf_text(b, ",\"gaps\":[");
    for (size_t i = 0; i < g->count; i++)
        fr_buf_printf(b, "%s[%" PRId64 ",%" PRId64 ",%" PRId64 "]", i > 0 ? "," : "",
                      g->items[i].from, g->items[i].to, g->items[i].seen_us);
    fr_buf_u8(b, ']');
}

fr_str fr_poll_record_text(fr_arena *a, const fr_poll_record *r, const fr_str *order,
                           size_t order_count)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "{\"v\":1,\"page\":%" PRIu64 ",\"rows\":%" PRIu64, r->page, r->rows);
    fr_poll_put_texts(&b, "order", order, order_count);
    fr_poll_put_texts(&b, "at", r->at, r->at_count);
    fr_buf_printf(&b,
                  ",\"cursor\":%" PRId64 ",\"bound\":%" PRId64 ",\"server\":%" PRId64
                  ",\"wall\":%" PRId64,
                  r->cursor, r->bound_us, r->server_us, r->wall_us);
    if (r->skew_known)
        fr_buf_printf(&b, ",\"skew\":%" PRId64, r->skew_us);
    if (r->settled_known)
        fr_buf_printf(&b, ",\"settled\":%" PRId64, r->settled);
    if (r->candidate_known)
        fr_buf_printf(&b, ",\"candidate\":[%" PRId64 ",%" PRId64 "]", r->candidate,
                      r->candidate_us);
    if (r->gaps.count > 0)
        put_gaps(&b, &r->gaps);
    if (r->seen.len > 0)
        fr_buf_printf(&b, ",\"seen\":\"%.*s\"", FR_ARG(r->seen));
    if (r->compared_us != 0)
        fr_buf_printf(&b, ",\"compared\":%" PRId64, r->compared_us);
    fr_buf_u8(&b, '}');
    return fr_buf_view(&b);
}

static void put_names(fr_buf *b, const fr_str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(names[i]));
}

fr_rc fr_poll_same_order(const fr_str *was, size_t was_count, const fr_str *now, size_t now_count,
                         fr_err *err)
{
    bool same = was_count == now_count;
    for (size_t i = 0; same && i < now_count; i++)
        same = fr_str_eq(was[i], now[i]);
    if (same)
        return FR_OK;
    fr_buf before = {0}, after = {0};
    put_names(&before, was, was_count);
    put_names(&after, now, now_count);
    fr_fail(err, FR_ERR_POSITION,
            "it was read in the order of (%.*s) so far, and now (%.*s) is set",
            FR_ARG(fr_buf_view(&before)), FR_ARG(fr_buf_view(&after)));
    fr_buf_free(&before);
    fr_buf_free(&after);
    fr_fail_code(err, "poll.order");
    return fr_fail_hint(err, "set poll.column, poll.tiebreak and key as they were, or read the "
                             "source anew: freshet position reset SOURCE (stopped)");
}

static fr_rc check_order(fr_arena *a, const json_t *recorded, const fr_str *order, size_t count,
                         fr_err *err)
{
    size_t i, was_count = json_array_size(recorded);
    const json_t *j;
    fr_str *was = fr_arena_alloc(a, (was_count + 1) * sizeof(*was));
    json_array_foreach(recorded, i, j)
    {
        was[i] =
            json_is_string(j) ? (fr_str){json_string_value(j), json_string_length(j)} : FR_STR("?");
    }
    return fr_poll_same_order(was, was_count, order, count, err);
}

static bool take_gaps(const json_t *list, fr_gaps *out)
{
    size_t i;
    const json_t *g;
    int64_t last = INT64_MIN;
    json_array_foreach(list, i, g)
    {
        const json_t *from = json_array_get(g, 0), *to = json_array_get(g, 1),
                     *seen = json_array_get(g, 2);
        if (!json_is_integer(from) || !json_is_integer(to) || !json_is_integer(seen))
            return false;
        int64_t low = json_integer_value(from), high = json_integer_value(to);
        if (low > high || (i > 0 && low <= last) || json_integer_value(seen) < 0)
            return false;
        fr_gaps_add(out, low, high, json_integer_value(seen));
        last = high;
    }
    return true;
}

static bool take_at(fr_arena *a, const json_t *list, size_t order_count, fr_poll_record *r)
{
    size_t i;
    const json_t *text;
    if (!json_is_array(list) || json_array_size(list) > order_count)
        return false;
    json_array_foreach(list, i, text)
    {
        if (!json_is_string(text))
            return false;
        r->at[r->at_count++] = fr_arena_copy(a, json_string_value(text), json_string_length(text));
    }
    return true;
}

static bool take_record(fr_arena *a, const json_t *j, size_t order_count, fr_poll_record *r)
{
    const json_t *settled = json_object_get(j, "settled");
    const json_t *candidate = json_object_get(j, "candidate");
    const json_t *page = json_object_get(j, "page"), *seen = json_object_get(j, "seen");
    if (!json_is_integer(page) || json_integer_value(page) < 0)
        return false;
    r->page = (uint64_t)json_integer_value(page);
    r->rows = (uint64_t)fr_json_int(j, "rows", 0);
    r->cursor = fr_json_int(j, "cursor", 0);
    r->bound_us = fr_json_int(j, "bound", 0);
    r->server_us = fr_json_int(j, "server", 0);
    r->wall_us = fr_json_int(j, "wall", 0);
    r->compared_us = fr_json_int(j, "compared", 0);
    if (seen != NULL && !json_is_string(seen))
        return false;
    if (seen != NULL)
        r->seen = fr_arena_copy(a, json_string_value(seen), json_string_length(seen));
    r->skew_known = json_is_integer(json_object_get(j, "skew"));
    r->skew_us = fr_json_int(j, "skew", 0);
    r->settled_known = json_is_integer(settled);
    r->settled = json_integer_value(settled);
    r->candidate_known = json_array_size(candidate) == 2;
    r->candidate = json_integer_value(json_array_get(candidate, 0));
    r->candidate_us = json_integer_value(json_array_get(candidate, 1));
    return take_at(a, json_object_get(j, "at"), order_count, r) &&
           take_gaps(json_object_get(j, "gaps"), &r->gaps);
}

static fr_rc was_emptied(fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "its rows were deleted when they were published so far (method outbox), and are to be "
            "read by a cursor now: where to begin is not on record");
    fr_fail_code(err, "poll.other_method");
    return fr_fail_hint(err, "set method and outbox.delete as they were; or, to read all rows that "
                             "are there: freshet position reset SOURCE (stopped)");
}

fr_rc fr_poll_unreadable(fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION, "the record of how far it was read cannot be read");
    return fr_fail_code(err, "checkpoint.record");
}

fr_rc fr_poll_record_parse(fr_arena *a, fr_str text, const fr_str *order, size_t order_count,
                           fr_poll_record *out, fr_err *err)
{
    json_t *j = NULL;
    fr_poll_record r = {0};
    if (fr_json_parse(text, &j, err) == FR_FAIL)
        return fr_poll_unreadable(err);
    fr_rc rc = json_object_get(j, "pending") != NULL
                   ? was_emptied(err)
                   : check_order(a, json_object_get(j, "order"), order, order_count, err);
    if (rc == FR_OK && !take_record(a, j, order_count, &r)) {
        fr_gaps_free(&r.gaps);
        rc = fr_poll_unreadable(err);
    }
    json_decref(j);
    if (rc == FR_OK)
        *out = r;
    return rc;
}
