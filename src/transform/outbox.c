#include "transform/outbox.h"
#include "base/bytes.h"
#include "model/name.h"

#include <string.h>

static fr_rc fail(const fr_route *route, const char *key, const char *column, const char *why,
                  fr_err *err)
{
    const fr_table *t = route->table;
    const char *place = route->settings->place;
    fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: %s names column %s, %s",
            place != NULL ? place : "configuration", FR_ARG(t->space), FR_ARG(t->name), key, column,
            why);
    return fr_fail_code(err, "config.outbox");
}

static fr_rc no_column(fr_arena *a, const fr_route *route, const char *key, const char *column,
                       fr_err *err)
{
    const fr_table *t = route->table;
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < t->column_count; i++)
        fr_buf_printf(&b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(t->columns[i].name));
    fail(route, key, column, "which it does not have", err);
    fr_fail_code(err, "config.unknown_column");
    return fr_fail_hint(err,
                        "its columns are %.*s: name those of id, payload, key, type and route "
                        "under outbox",
                        FR_ARG(fr_buf_view(&b)));
}

/* column NULL: *out is -1. */
static fr_rc find(fr_arena *a, const fr_route *route, const char *key, const char *column, int *out,
                  fr_err *err)
{
    *out = column == NULL ? -1 : fr_table_find(route->table, fr_cstr(column));
    return column == NULL || *out >= 0 ? FR_OK : no_column(a, route, key, column, err);
}

static fr_rc find_payload(fr_arena *a, const fr_route *route, uint16_t *out, fr_err *err)
{
    const char *name = route->settings->outbox.payload;
    int column;
    FR_TRY(find(a, route, "outbox.payload", name, &column, err));
    const fr_column *c = &route->table->columns[column];
    *out = (uint16_t)column;
    if (c->kind == FR_TEXT || c->kind == FR_JSON || c->kind == FR_BYTES)
        return FR_OK;
    fail(route, "outbox.payload", name, "which is neither text, JSON nor bytes", err);
    return fr_fail_hint(err,
                        "it is %.*s: the bytes of a message come from a column that holds them",
                        FR_ARG(c->native_type));
}

static fr_rc find_headers(fr_arena *a, const fr_route *route, fr_outbox_route *o, fr_err *err)
{
    const fr_texts *names = &route->settings->outbox.headers;
    o->headers = fr_arena_alloc(a, (names->count + 1) * sizeof *o->headers);
    o->header_names = fr_arena_alloc(a, (names->count + 1) * sizeof *o->header_names);
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->items[i];
        int column;
        FR_TRY(find(a, route, "outbox.headers", name, &column, err));
        bool taken = strcmp(name, "id") == 0 || (o->type >= 0 && strcmp(name, "type") == 0);
        for (size_t k = 0; k < o->header_count; k++)
            taken = taken || o->headers[k] == (uint16_t)column;
        if (taken) {
            fail(route, "outbox.headers", name, "and there is a header of that name already", err);
            return fr_fail_hint(err, "remove it from outbox.headers; id and type are made of "
                                     "outbox.id and outbox.type");
        }
        o->headers[o->header_count] = (uint16_t)column;
        o->header_names[o->header_count++] = name;
    }
    return FR_OK;
}

static const char *value_of(const fr_pair *vars, size_t count, fr_str name)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_is(name, vars[i].name))
            return vars[i].value;
    return NULL;
}

/* Other characters become _, as in any topic that the configuration names. */
static fr_str legal_text(fr_arena *a, fr_str text)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < text.len; i++) {
        fr_str one = {text.ptr + i, 1};
        bool good = one.ptr[0] == '.' || fr_topic_refused(one) == NULL;
        fr_buf_u8(&b, good ? (uint8_t)one.ptr[0] : '_');
    }
    return fr_buf_view(&b);
}

static fr_rc take_apart(fr_arena *a, const fr_route *route, fr_outbox_route *o, const fr_pair *vars,
                        size_t count, bool *of_row, fr_err *err)
{
    const char *at = route->settings->outbox.route;
    o->parts = fr_arena_alloc(a, (strlen(at) + 1) * sizeof *o->parts);
    while (*at != '\0') {
        bool variable;
        fr_str piece = fr_template_piece(at, &variable);
        at += piece.len + (variable ? 3 : 0);
        fr_route_part *part = &o->parts[o->part_count++];
        const char *value = variable ? value_of(vars, count, piece) : NULL;
        part->column = -1;
        if (variable && value == NULL) {
            FR_TRY(find(a, route, "outbox.route", fr_arena_cstr(a, piece), &part->column, err));
            *of_row = true;
        } else {
            part->text = legal_text(a, variable ? fr_cstr(value) : piece);
        }
    }
    return FR_OK;
}

static fr_rc set_route(fr_arena *a, fr_route *route, fr_outbox_route *o, const fr_pair *vars,
                       size_t count, fr_err *err)
{
    bool of_row = false;
    fr_buf b = {.arena = a};
    if (route->settings->outbox.route == NULL)
        return FR_OK;
    FR_TRY(take_apart(a, route, o, vars, count, &of_row, err));
    if (of_row)
        return FR_OK;
    for (size_t i = 0; i < o->part_count; i++)
        fr_buf_str(&b, o->parts[i].text);
    o->part_count = 0;
    route->topic = fr_topic_legal(a, fr_buf_view(&b));
    if (route->topic.len > 0)
        return FR_OK;
    return fr_fail(err, FR_ERR_CONFIG, "%s: outbox.route is empty", route->settings->place);
}

fr_rc fr_outbox_compile(fr_arena *a, fr_route *route, const fr_pair *vars, size_t count,
                        fr_err *err)
{
    const fr_outbox_settings *s = &route->settings->outbox;
    fr_outbox_route *o = fr_arena_alloc(a, sizeof *o);
    int id;
    FR_TRY(find(a, route, "outbox.id", s->id, &id, err));
    o->id = (uint16_t)id;
    FR_TRY(find_payload(a, route, &o->payload, err));
    FR_TRY(find(a, route, "outbox.key", s->key, &o->key, err));
    FR_TRY(find(a, route, "outbox.type", s->type, &o->type, err));
    FR_TRY(find_headers(a, route, o, err));
    FR_TRY(set_route(a, route, o, vars, count, err));
    route->key = fr_arena_alloc(a, sizeof *route->key);
    route->key[0] = o->key >= 0 ? (uint16_t)o->key : o->id;
    route->key_count = 1;
    route->outbox = o;
    return FR_OK;
}
