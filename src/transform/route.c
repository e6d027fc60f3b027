#include "transform/route.h"
#include "base/bytes.h"
#include "base/map.h"
#include "codec/contract.h"
#include "transform/derive.h"
#include "transform/outbox.h"
#include "transform/rules.h"

#include <stdlib.h>
#include <string.h>

struct fr_router {
    const fr_source_settings *settings;
    fr_arena *arena;
    fr_map *routes; /* by the table's serial */
    fr_map *topics; /* topic -> claim */
    fr_map *names;  /* full name of a record -> claim */
    fr_map *judged; /* routes with rules or a contract, by the table's serial */
    fr_map *moved;  /* topic -> generation */
    fr_map *former; /* routes of generations before, by a number */
    fr_derive_tools derive;
};

typedef struct claim { /* which table a topic or a record's name belongs to */
    fr_str space, name;
} claim;

fr_router *fr_router_new(const fr_source_settings *settings)
{
    fr_router *r = fr_malloc(sizeof *r);
    r->settings = settings;
    r->arena = fr_arena_new(0);
    r->routes = fr_map_new();
    r->topics = fr_map_new();
    r->names = fr_map_new();
    r->judged = fr_map_new();
    r->moved = fr_map_new();
    r->former = fr_map_new();
    r->derive.mask_key = settings->mask_key;
    return r;
}

static void route_release(void *value)
{
    const fr_route *route = value;
    if (route->table != route->source)
        fr_table_unref(route->table);
    fr_table_unref(route->source);
}

void fr_router_free(fr_router *r)
{
    if (r == NULL)
        return;
    fr_map_free(r->routes, route_release);
    fr_map_free(r->topics, NULL);
    fr_map_free(r->names, NULL);
    fr_map_free(r->judged, NULL);
    fr_map_free(r->moved, NULL);
    fr_map_free(r->former, route_release);
    fr_derive_tools_close(&r->derive);
    fr_arena_free(r->arena);
    free(r);
}

static const char *place_of(const fr_table_settings *s)
{
    return s->place != NULL ? s->place : "configuration";
}

static fr_rc unknown_column(const fr_table *t, const fr_table_settings *s, const char *key,
                            const char *column, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: %s names column %s, which it does not have",
            place_of(s), FR_ARG(t->space), FR_ARG(t->name), key, column);
    fr_fail_code(err, "config.unknown_column");
    if (fr_pairs_get(&s->column_derive, fr_cstr(column)) != NULL)
        return fr_fail_hint(err, "a field of columns.derive is published as it is, and is neither "
                                 "left out nor part of a key");
    const fr_column *near = fr_table_nearest(t, fr_cstr(column));
    if (near != NULL)
        return fr_fail_hint(err, "did you mean %.*s?", FR_ARG(near->name));
    return fr_fail_hint(err, "correct %s, or remove the column from it", key);
}

static fr_rc check_list(const fr_table *t, const fr_table_settings *s, const char *key,
                        const fr_texts *list, fr_err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (fr_table_find(t, fr_cstr(list->items[i])) < 0)
            return unknown_column(t, s, key, list->items[i], err);
    }
    return FR_OK;
}

static fr_rc check_pairs(const fr_table *t, const fr_table_settings *s, const char *key,
                         const fr_pairs *pairs, fr_err *err)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (fr_table_find(t, fr_cstr(pairs->items[i].name)) < 0)
            return unknown_column(t, s, key, pairs->items[i].name, err);
    }
    return FR_OK;
}

/* What may also be said of a field of columns.derive. */
static fr_rc check_typed(const fr_table *t, const fr_table_settings *s, const char *key,
                         const fr_pairs *pairs, fr_err *err)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *name = pairs->items[i].name;
        if (fr_pairs_get(&s->column_derive, fr_cstr(name)) == NULL &&
            fr_table_find(t, fr_cstr(name)) < 0)
            return unknown_column(t, s, key, name, err);
    }
    return FR_OK;
}

/* A pattern covers many tables, and a column that it excludes, types or gives a default need
 * not be in each of them; what it includes, keys by or partitions by must be. */
static fr_rc check_names(const fr_table *t, const fr_table_settings *s, fr_err *err)
{
    FR_TRY(check_list(t, s, "key", &s->key, err));
    FR_TRY(check_list(t, s, "partition_by", &s->partition_by, err));
    if (t->partial)
        return FR_OK;
    FR_TRY(check_list(t, s, "columns.include", &s->columns_include, err));
    if (s->regex != NULL)
        return FR_OK;
    FR_TRY(check_list(t, s, "columns.exclude", &s->columns_exclude, err));
    FR_TRY(check_pairs(t, s, "columns.rename", &s->column_rename, err));
    FR_TRY(check_pairs(t, s, "columns.mask", &s->column_mask, err));
    FR_TRY(check_typed(t, s, "columns.types", &s->column_types, err));
    return check_typed(t, s, "columns.defaults", &s->column_defaults, err);
}

static fr_rc set_fields(fr_router *r, fr_route *route, fr_err *err)
{
    const fr_table *t = route->table;
    const fr_table_settings *s = route->settings;
    route->fields = fr_arena_alloc(r->arena, (t->column_count + 1) * sizeof *route->fields);
    for (size_t i = 0; i < t->column_count; i++) {
        fr_str name = fr_route_name(route, i);
        if (fr_route_derived(route, i)) {
            route->fields[route->field_count++] = (uint16_t)i;
            continue;
        }
        if (s->columns_include.count > 0 && !fr_texts_have(&s->columns_include, name))
            continue;
        if (!fr_texts_have(&s->columns_exclude, name))
            route->fields[route->field_count++] = (uint16_t)i;
    }
    if (route->field_count > 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: no column is left to publish", place_of(s),
            FR_ARG(t->space), FR_ARG(t->name));
    return fr_fail_hint(err, "correct columns.include and columns.exclude, or set method: skip");
}

/* Two columns, or a column and a field, under one name. */
static fr_rc check_fields(const fr_route *route, fr_err *err)
{
    const fr_table *t = route->table;
    fr_map *names = route->derive != NULL ? fr_map_new() : NULL;
    fr_rc rc = FR_OK;
    for (size_t i = 0; names != NULL && rc == FR_OK && i < route->field_count; i++) {
        fr_str name = t->columns[route->fields[i]].name;
        if (fr_map_set(names, name, names) == NULL)
            continue;
        rc = fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: two fields would be called %.*s",
                     place_of(route->settings), FR_ARG(t->space), FR_ARG(t->name), FR_ARG(name));
        fr_fail_code(err, "config.field");
        fr_fail_hint(err, "correct columns.rename, or leave one of them out: columns.exclude");
    }
    fr_map_free(names, NULL);
    return rc;
}

static bool published(const fr_route *route, uint16_t column)
{
    for (size_t i = 0; i < route->field_count; i++) {
        if (route->fields[i] == column)
            return true;
    }
    return false;
}

static void key_from_settings(fr_route *route)
{
    for (size_t i = 0; i < route->settings->key.count; i++) {
        int column = fr_table_find(route->source, fr_cstr(route->settings->key.items[i]));
        route->key[route->key_count++] = (uint16_t)column;
    }
}

static void key_from_table(fr_route *route)
{
    size_t count = fr_table_key_count(route->table);
    for (size_t ordinal = 1; ordinal <= count; ordinal++) {
        for (size_t i = 0; i < route->table->column_count; i++) {
            if (route->table->columns[i].key_ordinal == ordinal)
                route->key[route->key_count++] = (uint16_t)i;
        }
    }
}

static fr_rc fail_key(const fr_route *route, const fr_column *c, const char *why, const char *hint,
                      fr_err *err)
{
    const fr_table *t = route->table;
    fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: column %.*s %s", place_of(route->settings),
            FR_ARG(t->space), FR_ARG(t->name), FR_ARG(c->name), why);
    fr_fail_code(err, "config.key");
    return fr_fail_hint(err, hint, FR_ARG(t->space), FR_ARG(t->name));
}

/* An old row that holds only the table's own key cannot tell us any other key. */
static bool known_in_before(const fr_route *route, const fr_column *c)
{
    return route->settings->append_only || route->table->full_before || c->key_ordinal > 0;
}

static fr_rc check_key_column(const fr_route *route, size_t i, fr_err *err)
{
    const fr_column *c = &route->table->columns[route->key[i]];
    for (size_t j = 0; j < i; j++) {
        if (route->key[j] == route->key[i])
            return fail_key(route, c, "is named twice in key", "name each column of %.*s.%.*s once",
                            err);
    }
    const fr_mask *mask = fr_derive_mask_of(route, route->key[i]);
    if (mask != NULL && mask->kind != FR_MASK_HASH)
        return fail_key(route, c, "is part of the key, and its mask makes keys equal that are not",
                        "in columns.mask of %.*s.%.*s use hash for key columns", err);
    if (!published(route, route->key[i]))
        return fail_key(route, c, "is part of the key but not published",
                        "publish the key columns of %.*s.%.*s, or set another key", err);
    if (c->nullable && c->key_ordinal == 0)
        return fail_key(route, c, "may be NULL and cannot be part of the key",
                        "make it NOT NULL in %.*s.%.*s, or choose other key columns", err);
    if (!known_in_before(route, c))
        return fail_key(route, c, "is in key, but the source does not log it with deletes",
                        "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL (or USING INDEX over the key)",
                        err);
    return FR_OK;
}

static fr_rc set_key(fr_router *r, fr_route *route, fr_err *err)
{
    const fr_table *t = route->table;
    size_t room = t->column_count + route->settings->key.count + 1;
    route->key = fr_arena_alloc(r->arena, room * sizeof *route->key);
    if (route->settings->key.count > 0)
        key_from_settings(route);
    else
        key_from_table(route);
    for (size_t i = 0; i < route->key_count; i++)
        FR_TRY(check_key_column(route, i, err));
    if (route->key_count > 0 || route->settings->append_only ||
        route->envelope == FR_ENVELOPE_DEBEZIUM) /* which has messages without a key */
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s has no key", place_of(route->settings),
            FR_ARG(t->space), FR_ARG(t->name));
    fr_fail_code(err, "config.no_key");
    return fr_fail_hint(err, "give it a primary key, name unique columns in key, or set "
                             "append_only: true if its rows are never changed");
}

static fr_rc set_partition(fr_router *r, fr_route *route, fr_err *err)
{
    const fr_texts *names = &route->settings->partition_by;
    route->partition_by = fr_arena_alloc(r->arena, (names->count + 1) * sizeof(uint16_t));
    for (size_t i = 0; i < names->count; i++) {
        int column = fr_table_find(route->source, fr_cstr(names->items[i]));
        const fr_column *c = &route->table->columns[column];
        if (!known_in_before(route, c))
            return fail_key(route, c,
                            "is in partition_by, but the source does not log it with deletes",
                            "use key columns, or ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL", err);
        route->partition_by[route->partition_count++] = (uint16_t)column;
    }
    return FR_OK;
}

fr_rc fr_route_topic(fr_arena *a, const fr_source_settings *s, const fr_table_settings *ts,
                     fr_str space, fr_str table, fr_str *out, fr_err *err)
{
    const fr_pair vars[] = {{"source", s->name},
                            {"prefix", s->prefix},
                            {"space", fr_arena_cstr(a, space)},
                            {"table", fr_arena_cstr(a, table)}};
    const char *template = ts->topic != NULL ? ts->topic : "${prefix}.${space}.${table}";
    fr_str raw;
    if (fr_template_expand(a, template, vars, sizeof vars / sizeof *vars, &raw, err) == FR_FAIL)
        return fr_fail_in(err, "%s: topic", place_of(ts));
    if (raw.len == 0)
        return fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: topic is empty", place_of(ts),
                       FR_ARG(space), FR_ARG(table));
    *out = fr_topic_legal(a, raw);
    return FR_OK;
}

static fr_rc set_topic(fr_router *r, fr_route *route, fr_err *err)
{
    const fr_table *t = route->table;
    return fr_route_topic(r->arena, r->settings, route->settings, t->space, t->name, &route->topic,
                          err);
}

typedef struct generation { /* of a table */
    uint32_t number;
    bool named;
} generation;

static const generation *generation_of(const fr_router *r, const fr_route *route)
{
    static const generation first = {1, false};
    const generation *g = fr_map_get(r->moved, route->first);
    return g == NULL ? &first : g;
}

static bool topic_is(fr_str topic, const char *first, const char *second)
{
    size_t len = strlen(first);
    return topic.len == len + strlen(second) && memcmp(topic.ptr, first, len) == 0 &&
           memcmp(topic.ptr + len, second, topic.len - len) == 0;
}

/* Topics that carry something else of ours. */
static bool is_reserved(fr_router *r, fr_str topic)
{
    const fr_source_settings *s = r->settings;
    const char *prefix = s->prefix != NULL ? s->prefix : "";
    const char *pipeline = s->pipeline != NULL ? s->pipeline : "";
    fr_str ours = fr_arena_printf(r->arena, "freshet.%s.", pipeline);
    return topic_is(topic, prefix, ".message") ||
           (s->transaction_metadata && topic_is(topic, prefix, ".transaction")) ||
           (*pipeline != '\0' && topic.len >= ours.len &&
            memcmp(topic.ptr, ours.ptr, ours.len) == 0);
}

static fr_rc check_reserved(fr_router *r, const fr_route *route, fr_err *err)
{
    if (!is_reserved(r, route->topic))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: topic %.*s is one of freshet's own",
            place_of(route->settings), FR_ARG(route->table->space), FR_ARG(route->table->name),
            FR_ARG(route->topic));
    return fr_fail_hint(err, "set another topic for this table");
}

/* The claim on key in m, made for t where there is none. */
static const claim *claim_of(fr_router *r, fr_map *m, fr_str key, const fr_table *t)
{
    claim *c = fr_map_get(m, key);
    if (c != NULL)
        return c;
    c = fr_arena_alloc(r->arena, sizeof *c);
    c->space = fr_arena_str(r->arena, t->space);
    c->name = fr_arena_str(r->arena, t->name);
    fr_map_set(m, key, c);
    return c;
}

static bool holds(const claim *c, const fr_table *t)
{
    return fr_str_eq(c->space, t->space) && fr_str_eq(c->name, t->name);
}

static fr_rc claim_one(fr_router *r, const fr_route *route, fr_str topic, fr_err *err)
{
    const fr_table *t = route->table;
    const claim *c = claim_of(r, r->topics, topic, t);
    if (holds(c, t))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: tables %.*s.%.*s and %.*s.%.*s would share topic %.*s",
            place_of(route->settings), FR_ARG(c->space), FR_ARG(c->name), FR_ARG(t->space),
            FR_ARG(t->name), FR_ARG(topic));
    fr_fail_code(err, "config.topic_shared");
    return fr_fail_hint(err, "set topic for one of them");
}

/* Topics that the table has left are its own, too. */
static fr_rc claim_topic(fr_router *r, fr_route *route, fr_err *err)
{
    FR_TRY(claim_one(r, route, route->topic, err));
    route->first = route->topic;
    route->generation = generation_of(r, route)->number;
    for (uint32_t i = 2; i <= route->generation; i++) {
        route->topic = fr_topic_generation(r->arena, route->first, i);
        FR_TRY(claim_one(r, route, route->topic, err));
    }
    return FR_OK;
}

static bool begins(fr_str topic, const char *with)
{
    return topic.len >= strlen(with) && memcmp(topic.ptr, with, strlen(with)) == 0;
}

static bool takes_dead_letters(const fr_router *r, fr_str topic)
{
    for (size_t i = 0; i < r->settings->table_count; i++) {
        const char *dead = r->settings->tables[i].errors_topic;
        if (dead != NULL && fr_str_is(topic, dead))
            return true;
    }
    return false;
}

fr_rc fr_router_claim(fr_router *r, const fr_route *route, fr_str topic, fr_err *err)
{
    if (is_reserved(r, topic) || begins(topic, "freshet.") || begins(topic, "__") ||
        takes_dead_letters(r, topic)) {
        fr_fail(err, FR_ERR_DATA, "its topic is one that freshet or Kafka keeps for itself");
    } else {
        const claim *c = claim_of(r, r->topics, topic, route->table);
        if (holds(c, route->table))
            return FR_OK;
        fr_fail(err, FR_ERR_DATA, "its topic is that of table %.*s.%.*s", FR_ARG(c->space),
                FR_ARG(c->name));
    }
    fr_fail_code(err, "outbox.topic");
    return fr_fail_hint(err, "begin outbox.route with something that only events of this outbox "
                             "have: outbox.event.${aggregatetype}");
}

static fr_rc claim_name(fr_router *r, const fr_route *route, const char *suffix, fr_err *err)
{
    const fr_table *t = route->table;
    fr_str name = fr_arena_printf(r->arena, "%.*s%s", FR_ARG(route->schema_name), suffix);
    const claim *c = claim_of(r, r->names, name, t);
    if (holds(c, t))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: tables %.*s.%.*s and %.*s.%.*s would share record name %.*s",
            place_of(route->settings), FR_ARG(c->space), FR_ARG(c->name), FR_ARG(t->space),
            FR_ARG(t->name), FR_ARG(name));
    fr_fail_code(err, "config.schema_name_shared");
    return fr_fail_hint(err, "set schema.name for one of them");
}

/* Each part between dots by itself. */
static char *legal_parts(fr_arena *a, fr_str text)
{
    fr_buf b = {.arena = a};
    size_t begin = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.ptr[i] != '.')
            continue;
        if (begin > 0)
            fr_buf_u8(&b, '.');
        fr_buf_str(&b, fr_avro_name(a, (fr_str){text.ptr + begin, i - begin}));
        begin = i + 1;
    }
    return fr_arena_cstr(a, fr_buf_view(&b));
}

#define USUAL_NAME "${prefix}.${space}.${table}"

/* A contract names its record, and schema.name may only say the same. */
static fr_rc check_pinned_name(const fr_route *route, const char *template, fr_str name,
                               fr_err *err)
{
    const fr_table *t = route->table;
    if (strcmp(template, USUAL_NAME) == 0 || fr_str_eq(route->schema_name, name))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "%s: table %.*s.%.*s: schema.name is %.*s, and contract %s has "
            "record %.*s",
            place_of(route->settings), FR_ARG(t->space), FR_ARG(t->name), FR_ARG(name),
            route->pin->contract->path, FR_ARG(route->schema_name));
    fr_fail_code(err, "contract.name");
    return fr_fail_hint(err, "leave schema.name out: a contract names its record itself");
}

fr_rc fr_route_record(fr_arena *a, const fr_source_settings *s, const fr_table_settings *ts,
                      fr_str space, fr_str table, fr_str *out, fr_err *err)
{
    const fr_pair vars[] = {{"source", legal_parts(a, fr_cstr(s->name))},
                            {"prefix", legal_parts(a, fr_cstr(s->prefix))},
                            {"space", fr_arena_cstr(a, fr_avro_name(a, space))},
                            {"table", fr_arena_cstr(a, fr_avro_name(a, table))}};
    const char *template = ts->schema_name == NULL ? USUAL_NAME : ts->schema_name;
    if (fr_template_expand(a, template, vars, sizeof vars / sizeof *vars, out, err) == FR_FAIL)
        return fr_fail_in(err, "%s: schema.name", place_of(ts));
    return FR_OK;
}

/* Records are called after the topic. */
static fr_rc set_debezium_name(fr_router *r, fr_route *route, fr_err *err)
{
    const fr_table *t = route->table;
    route->schema_name = fr_debezium_name(r->arena, route->topic, true);
    if (fr_avro_fullname_legal(route->schema_name))
        return claim_name(r, route, ".Envelope", err);
    fr_fail(err, FR_ERR_CONFIG,
            "%s: table %.*s.%.*s: topic %.*s gives no Avro name in envelope "
            "debezium: a part of it begins with a digit",
            place_of(route->settings), FR_ARG(t->space), FR_ARG(t->name), FR_ARG(route->topic));
    fr_fail_code(err, "config.debezium_name");
    return fr_fail_hint(err, "set another topic, or use envelope: standard");
}

static fr_rc set_schema_name(fr_router *r, fr_route *route, fr_err *err)
{
    const fr_table *t = route->table;
    const fr_table_settings *ts = route->settings;
    const char *template = ts->schema_name == NULL ? USUAL_NAME : ts->schema_name;
    fr_str name;
    if (route->envelope == FR_ENVELOPE_DEBEZIUM)
        return set_debezium_name(r, route, err);
    FR_TRY(fr_route_record(r->arena, r->settings, ts, t->space, t->name, &name, err));
    if (route->pin != NULL)
        FR_TRY(check_pinned_name(route, template, name, err));
    else
        route->schema_name = name;
    if (route->generation > 1 && generation_of(r, route)->named && route->pin == NULL)
        route->schema_name =
            fr_arena_printf(r->arena, "%.*s.V%u", FR_ARG(name), (unsigned)route->generation);
    if (!fr_avro_fullname_legal(route->schema_name)) {
        fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: schema.name %.*s is no Avro name",
                place_of(ts), FR_ARG(t->space), FR_ARG(t->name), FR_ARG(route->schema_name));
        return fr_fail_hint(err, "letters, digits and _, parts joined by dots: com.acme.erp.Order");
    }
    FR_TRY(claim_name(r, route, "", err));
    FR_TRY(claim_name(r, route, "Envelope", err));
    return claim_name(r, route, "Key", err);
}

/* No schema is made of an outbox: what is left is where its rows go, and what orders them. */
static fr_rc fill_outbox(fr_router *r, fr_route *route, const fr_pair *vars, size_t count,
                         fr_err *err)
{
    fr_pair *more = fr_arena_alloc(r->arena, (count + 1) * sizeof *more);
    memcpy(more, vars, count * sizeof *more);
    more[count] = (fr_pair){"topic", fr_arena_cstr(r->arena, route->topic)};
    FR_TRY(fr_outbox_compile(r->arena, route, more, count + 1, err));
    FR_TRY(check_reserved(r, route, err));
    return claim_topic(r, route, err);
}

static fr_rc route_fill(fr_router *r, fr_route *route, fr_err *err)
{
    const fr_table *t = route->table;
    const fr_pair vars[] = {{"source", r->settings->name},
                            {"prefix", r->settings->prefix},
                            {"space", fr_arena_cstr(r->arena, t->space)},
                            {"table", fr_arena_cstr(r->arena, t->name)}};
    const size_t count = sizeof vars / sizeof *vars;
    route->envelope = (fr_envelope)route->settings->envelope;
    if (route->settings->outbox.on) {
        FR_TRY(set_fields(r, route, err));
        FR_TRY(set_topic(r, route, err));
        return fill_outbox(r, route, vars, count, err);
    }
    FR_TRY(check_names(route->table, route->settings, err));
    if (fr_derive_wanted(route->settings))
        FR_TRY(fr_derive_compile(r->arena, &r->derive, route, err));
    FR_TRY(set_fields(r, route, err));
    FR_TRY(check_fields(route, err));
    FR_TRY(set_key(r, route, err));
    FR_TRY(set_partition(r, route, err));
    FR_TRY(set_topic(r, route, err));
    FR_TRY(check_reserved(r, route, err));
    FR_TRY(claim_topic(r, route, err));
    const fr_contract *c = fr_contract_file(r->settings, route->settings, route->topic);
    if (c != NULL && route->envelope == FR_ENVELOPE_DEBEZIUM) {
        fr_fail(err, FR_ERR_CONFIG,
                "%s: table %.*s.%.*s: contract %s, but its envelope is debezium",
                place_of(route->settings), FR_ARG(t->space), FR_ARG(t->name), c->path);
        fr_fail_code(err, "config.debezium_contract");
        return fr_fail_hint(err, "remove the contract, or use envelope: standard or state");
    }
    if (c != NULL)
        FR_TRY(fr_contract_bind(r->arena, route, c, err));
    FR_TRY(set_schema_name(r, route, err));
    return fr_rules_compile(r->arena, &r->derive, route, err);
}

/* plan says the same of the tables there are; this one may have come since. */
static fr_rc check_patterns(const fr_router *r, const fr_table *t, fr_err *err)
{
    const fr_table_settings *one, *other;
    if (!fr_source_ambiguous(r->settings, t->space, t->name, &one, &other))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%.*s.%.*s: two patterns take it: %s (%s), %s (%s)",
            FR_ARG(t->space), FR_ARG(t->name), one->pattern, place_of(one), other->pattern,
            place_of(other));
    fr_fail_code(err, "config.two_patterns");
    return fr_fail_hint(err, "make the patterns exclude each other, or name the table");
}

fr_rc fr_router_route(fr_router *r, const fr_table *table, const fr_route **out, fr_err *err)
{
    fr_route *route = fr_map_get_u64(r->routes, table->serial);
    if (route == NULL) {
        const fr_table_settings *s = fr_source_match(r->settings, table->space, table->name);
        if (s == NULL)
            return FR_END;
        FR_TRY(check_patterns(r, table, err));
        route = fr_arena_alloc(r->arena, sizeof *route);
        route->table = route->source = table;
        route->settings = s;
        if (route_fill(r, route, err) == FR_FAIL) {
            if (route->table != table)
                fr_table_unref(route->table);
            return FR_FAIL;
        }
        fr_table_ref(table);
        fr_map_set_u64(r->routes, table->serial, route);
        if (route->pin != NULL || route->rules != NULL)
            fr_map_set_u64(r->judged, table->serial, route);
    }
    *out = route;
    return FR_OK;
}

/* Those of the table's versions are made anew when they are asked for. */
void fr_router_move(fr_router *r, fr_str topic, uint32_t number, bool named)
{
    generation *g = fr_arena_alloc(r->arena, sizeof *g);
    *g = (generation){number, named};
    fr_map_set(r->moved, topic, g);
    uint64_t *serials = fr_malloc((fr_map_count(r->routes) + 1) * sizeof *serials);
    size_t at = 0, count = 0;
    void *value;
    while (fr_map_next(r->routes, &at, NULL, &value)) {
        const fr_route *route = value;
        if (fr_str_eq(route->first, topic))
            serials[count++] = route->source->serial;
    }
    for (size_t i = 0; i < count; i++)
        fr_map_set_u64(r->former, fr_map_count(r->former),
                       fr_map_remove_u64(r->routes, serials[i]));
    free(serials);
}

void fr_router_broken(fr_router *r,
                      void (*tell)(void *part, fr_str space, fr_str table, fr_str rule, uint64_t n),
                      void *part)
{
    size_t at = 0;
    void *value;
    while (fr_map_next(r->judged, &at, NULL, &value)) {
        const fr_route *route = value;
        const fr_table *t = route->source;
        fr_str rule;
        uint64_t n;
        if (route->pin != NULL && *route->pin->broken > 0) {
            if (tell != NULL)
                tell(part, t->space, t->name, FR_STR("contract"), *route->pin->broken);
            *route->pin->broken = 0;
        }
        for (size_t i = 0; fr_rules_broken(route->rules, i, &rule, &n); i++)
            if (n > 0 && tell != NULL)
                tell(part, t->space, t->name, rule, n);
    }
}

uint64_t fr_router_filtered(const fr_router *r)
{
    return r->derive.filtered;
}
