#include "connectors/postgres/pg_message.h"
#include "base/bytes.h"
#include "base/json.h"
#include <string.h>

/* ---- the table ---- */

typedef struct names {
    fr_column *items;
    size_t count;
} names;

static void add(names *n, fr_str name)
{
    for (size_t i = 0; i < n->count; i++)
        if (fr_str_eq(n->items[i].name, name))
            return;
    n->items[n->count++] =
        (fr_column){.name = name, .kind = FR_TEXT, .nullable = true, .native_type = FR_STR("text")};
}

static void add_text(names *n, const char *name)
{
    if (name != NULL)
        add(n, fr_cstr(name));
}

const fr_table *fr_pg_message_table(const fr_table_settings *t, fr_str prefix)
{
    fr_arena *a = fr_arena_new(0);
    const fr_outbox_settings *o = &t->outbox;
    fr_str *route;
    size_t count;
    fr_outbox_route_columns(a, o->route, &route, &count);
    names n = {.items = fr_arena_alloc(a, (count + o->headers.count + 4) * sizeof(*n.items))};
    add_text(&n, o->id);
    add_text(&n, o->key);
    add_text(&n, o->type);
    add_text(&n, o->payload);
    for (size_t i = 0; i < count; i++)
        add(&n, route[i]);
    for (size_t i = 0; i < o->headers.count; i++)
        add_text(&n, o->headers.items[i]);
    const fr_table *table = fr_table_new(&(fr_table){.space = FR_STR(FR_MESSAGES_SPACE),
                                                     .name = prefix,
                                                     .version = 1,
                                                     .column_count = n.count,
                                                     .columns = n.items});
    fr_arena_free(a);
    return table;
}

/* ---- a row ---- */

/* Of JSON that was found to be good: behind a text, whose first quote is at `at`. */
static size_t past_text(fr_str in, size_t at)
{
    for (at++; at < in.len && in.ptr[at] != '"'; at++)
        if (in.ptr[at] == '\\')
            at++;
    return at + 1;
}

static size_t past_blank(fr_str in, size_t at)
{
    while (at < in.len && strchr(" \t\r\n", in.ptr[at]) != NULL && in.ptr[at] != '\0')
        at++;
    return at;
}

/* Behind a value. */
static size_t past_value(fr_str in, size_t at)
{
    size_t depth = 0;
    while (at < in.len) {
        char c = in.ptr[at];
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '"') {
            at = past_text(in, at);
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        at++;
    }
    return at > in.len ? in.len : at;
}

/* The next member's value as it was written. *at: behind the brace or the member before. */
static fr_str next_raw(fr_str in, size_t *at)
{
    size_t from = past_blank(in, *at);
    if (from < in.len && in.ptr[from] == ',')
        from = past_blank(in, from + 1);
    from = past_blank(in, past_text(in, from)); /* its name */
    from = past_blank(in, from + 1);            /* the colon */
    size_t to = past_value(in, from);
    *at = to;
    while (to > from && strchr(" \t\r\n", in.ptr[to - 1]) != NULL)
        to--;
    return from < to ? (fr_str){in.ptr + from, to - from} : FR_STR("");
}

static fr_value value_of(fr_batch *b, const json_t *j, fr_str raw)
{
    fr_value v = {.kind = FR_TEXT, .bytes = raw};
    if (json_is_null(j))
        v.kind = FR_NULL;
    if (json_is_string(j))
        v.bytes = fr_arena_str(b->arena, (fr_str){json_string_value(j), json_string_length(j)});
    return v;
}

/* jansson keeps members in the order of the text, and was told to refuse doubles: so they can be
 * walked side by side with the text. */
static void set_values(fr_batch *b, fr_value *values, const fr_table *table, json_t *object,
                       fr_str body)
{
    const char *name;
    json_t *j;
    size_t at = past_blank(body, 0) + 1;
    json_object_foreach(object, name, j)
    {
        fr_str raw = next_raw(body, &at);
        int column = fr_table_find(table, fr_cstr(name));
        if (column >= 0)
            values[column] = value_of(b, j, raw);
    }
}

static json_t *parse(fr_str body)
{
    json_error_t ignored;
    /* Whole numbers of any length: what is published is their text. */
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL;
    json_t *j = body.len == 0 ? NULL : json_loadb(body.ptr, body.len, flags, &ignored);
    if (json_is_object(j))
        return j;
    json_decref(j);
    return NULL;
}

void fr_pg_message_row(fr_batch *b, fr_event *e, const fr_table *table)
{
    fr_str body = e->body;
    json_t *object = parse(body);
    fr_value *values = fr_batch_row(b, table, &e->after);
    fr_batch_of_table(b, e, table);
    for (size_t i = 0; i < table->column_count; i++)
        values[i].kind = FR_NULL; /* of a bad one too: it has no key, and is set aside alone */
    if (e->bad.len == 0 && e->txn == NULL)
        e->bad = fr_arena_printf(
            b->arena,
            "message with prefix %.*s: it was emitted outside of the transaction, and "
            "stays when that is rolled back: pg_logical_emit_message(true, ...)",
            FR_ARG(table->name));
    if (e->bad.len == 0 && object == NULL)
        e->bad = fr_arena_printf(
            b->arena, "message with prefix %.*s: its body is no JSON object with each name once",
            FR_ARG(table->name));
    if (object != NULL)
        set_values(b, values, table, object, body);
    json_decref(object);
    e->op = FR_OP_INSERT;
    e->name = e->body = (fr_str){NULL, 0};
}
