#include "connect/ddl.h"
#include <string.h>
#include <strings.h>

/* ---- which columns ---- */

static fr_ddl_column *find(fr_ddl_column *columns, size_t count, fr_str name)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_eq(columns[i].name, name))
            return &columns[i];
    return NULL;
}

typedef struct list {
    fr_ddl_column *items;
    size_t count;
} list;

static void add(list *l, fr_ddl_role role, fr_str name, const char *use, const char *example)
{
    if (name.ptr != NULL && find(l->items, l->count, name) == NULL)
        l->items[l->count++] = (fr_ddl_column){name, role, use, example};
}

static void add_text(list *l, fr_ddl_role role, const char *name, const char *use,
                     const char *example)
{
    if (name != NULL)
        add(l, role, fr_cstr(name), use, example);
}

/* Ours to name: not where a column of the configuration is called so (some servers take case for
 * no difference). */
static void add_created(list *l)
{
    static const char name[] = "created";
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].name.len == sizeof(name) - 1 &&
            strncasecmp(l->items[i].name.ptr, name, sizeof(name) - 1) == 0)
            return;
    add(l, FR_DDL_CREATED, FR_STR(name), "when, for people", NULL);
}

/* Bytes are neither a number nor a name. */
static fr_rc check_payload(const fr_ddl_outbox *o, const list *l, fr_err *err)
{
    const fr_table_settings *t = o->settings;
    const char *column = t->outbox.payload;
    if (find(l->items, l->count, fr_cstr(column))->role == FR_DDL_PAYLOAD)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "%s: table %.*s.%.*s: outbox.payload names column %s, which is something else",
            t->place != NULL ? t->place : "configuration", FR_ARG(o->space), FR_ARG(o->name),
            column);
    fr_fail_code(err, "config.outbox");
    return fr_fail_hint(err, "name a column of its own");
}

fr_rc fr_ddl_outbox_columns(fr_arena *a, fr_ddl_outbox *o, const fr_str *route, size_t route_count,
                            fr_err *err)
{
    const fr_outbox_settings *s = &o->settings->outbox;
    const char *number = o->settings->method == FR_METHOD_OUTBOX && o->settings->poll_column != NULL
                             ? o->settings->poll_column
                             : s->id;
    size_t most = route_count + s->headers.count + 7;
    list l = {.items = fr_arena_alloc(a, most * sizeof(*l.items))};
    bool own = strcmp(number, s->id) != 0;
    add_text(&l, FR_DDL_NUMBER, number,
             own ? "the order (poll.column)" : "header id, and the order", NULL);
    add_text(&l, FR_DDL_ID, s->id, "header id", "7b0c5a1e-2f7d-4c55-9d3e-0a9f5d6c1b22");
    add_text(&l, FR_DDL_TEXT, s->key, "the message's key", "42");
    add_text(&l, FR_DDL_TEXT, s->type, "header type", "created");
    for (size_t i = 0; i < route_count; i++)
        add(&l, FR_DDL_TEXT, route[i], "part of the topic's name (outbox.route)", "order");
    add_text(&l, FR_DDL_PAYLOAD, s->payload, "the message's value; NULL: a tombstone", NULL);
    for (size_t i = 0; i < s->headers.count; i++)
        add_text(&l, FR_DDL_HEADER, s->headers.items[i], "a header", NULL);
    add_created(&l);
    FR_TRY(check_payload(o, &l, err));
    o->columns = l.items;
    o->count = l.count;
    return FR_OK;
}

bool fr_ddl_outbox_emptied(const fr_ddl_outbox *o)
{
    return o->settings->method == FR_METHOD_OUTBOX && o->settings->outbox.clean_up;
}

/* ---- text ---- */

void fr_ddl_comment(fr_buf *b, fr_str text)
{
    bool begins = true;
    for (size_t i = 0; i < text.len; i++) {
        if (begins)
            fr_buf_text(b, "-- ");
        fr_buf_u8(b, (uint8_t)text.ptr[i]);
        begins = text.ptr[i] == '\n' || text.ptr[i] == '\r';
    }
    if (!begins)
        fr_buf_u8(b, '\n');
}

void fr_ddl_outbox_head(fr_buf *b, const fr_ddl_outbox *o)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf t = {.arena = a};
    fr_buf_printf(&t, "%s outbox %.*s.%.*s of source %s, by freshet %s. Nothing here was run.\n",
                  o->remove ? "Removes" : "Makes", FR_ARG(o->space), FR_ARG(o->name),
                  o->source->name, FR_VERSION);
    fr_buf_text(&t, o->settings->method == FR_METHOD_LOG ? "Read from the log; the application "
                                                           "deletes its rows.\n"
                    : fr_ddl_outbox_emptied(o) ? "Polled; freshet deletes what it has published.\n"
                                               : "Polled; rows stay (outbox.delete: false).\n");
    fr_buf_text(&t, o->remove
                        ? "Rows that are not published yet are lost with it: end the writers, and "
                          "stop freshet when it has\npublished all. Then take the table out of the "
                          "configuration.\n"
                        : "Where such a table is there already this fails, and changes nothing: "
                          "look whether it is the one.\n");
    fr_ddl_comment(b, fr_buf_view(&t));
    fr_arena_free(a);
}

void fr_ddl_outbox_name(fr_buf *b, const fr_ddl_dialect *d, const fr_ddl_outbox *o)
{
    d->put_ident(b, o->space);
    fr_buf_u8(b, '.');
    d->put_ident(b, o->name);
}

void fr_ddl_outbox_create(fr_buf *b, const fr_ddl_dialect *d, const fr_ddl_outbox *o)
{
    fr_buf_text(b, "CREATE TABLE ");
    fr_ddl_outbox_name(b, d, o);
    fr_buf_text(b, " (\n");
    for (size_t i = 0; i < o->count; i++) {
        const fr_ddl_column *c = &o->columns[i];
        bool primary = c->role == FR_DDL_ID ||
                       (c->role == FR_DDL_NUMBER && fr_str_is(c->name, o->settings->outbox.id));
        fr_buf_text(b, "    ");
        d->put_ident(b, c->name);
        fr_buf_printf(b, " %s%s%s -- %s\n", d->types[c->role],
                      primary                    ? " PRIMARY KEY"
                      : c->role == FR_DDL_NUMBER ? " UNIQUE"
                                                 : "",
                      i + 1 < o->count ? "," : "", c->use);
    }
    fr_buf_text(b, ")");
}

static bool given(const fr_ddl_column *c)
{
    return c->role == FR_DDL_ID || c->role == FR_DDL_TEXT || c->role == FR_DDL_PAYLOAD;
}

void fr_ddl_outbox_insert(fr_buf *b, const fr_ddl_dialect *d, const fr_ddl_outbox *o)
{
    const char *between = " (";
    fr_buf_text(b, "INSERT INTO ");
    fr_ddl_outbox_name(b, d, o);
    for (size_t i = 0; i < o->count; i++) {
        if (!given(&o->columns[i]))
            continue;
        fr_buf_text(b, between);
        d->put_ident(b, o->columns[i].name);
        between = ", ";
    }
    fr_buf_text(b, ")\nVALUES");
    between = " (";
    for (size_t i = 0; i < o->count; i++) {
        if (!given(&o->columns[i]))
            continue;
        const fr_ddl_column *c = &o->columns[i];
        if (c->role == FR_DDL_PAYLOAD)
            fr_buf_printf(b, "%s%s", between, d->payload);
        else
            fr_buf_printf(b, "%s'%s'", between, c->example);
        between = ", ";
    }
    fr_buf_u8(b, ')');
}
