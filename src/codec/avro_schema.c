#include "codec/avro_schema.h"
#include "codec/avro_type.h"
#include "codec/contract.h"
#include "codec/debezium.h"

#include <string.h>

/* Every schema here is its own canonical text (registry.h): members in canonical.c's order,
 * names with their namespace where they are defined and in full where they are used. */

static void put_name(fr_buf *b, fr_str full)
{
    size_t dot = full.len;
    while (dot > 0 && full.ptr[dot - 1] != '.')
        dot--;
    fr_buf_text(b, "{\"type\":\"record\",\"name\":");
    fr_buf_json(b, (fr_str){full.ptr + dot, full.len - dot});
    if (dot == 0)
        return;
    fr_buf_text(b, ",\"namespace\":");
    fr_buf_json(b, (fr_str){full.ptr, dot - 1});
}

static void put_doc(fr_buf *b, fr_str doc)
{
    if (doc.len == 0)
        return;
    fr_buf_text(b, ",\"doc\":");
    fr_buf_json(b, doc);
}

static void put_type(fr_buf *b, const fr_avro_type *t)
{
    if (t->nullable)
        fr_buf_text(b, "[\"null\",");
    fr_avro_type_write(b, t);
    if (t->nullable)
        fr_buf_text(b, "]");
}

/* How, and not how much of the value is left. */
static void put_mask(fr_buf *b, const char *mask)
{
    if (mask == NULL)
        return;
    fr_buf_text(b, ",\"freshet.mask\":");
    fr_buf_json(b, (fr_str){mask, strcspn(mask, ":")});
}

static fr_rc put_field(fr_buf *b, fr_arena *a, const fr_route *route, uint16_t column, fr_err *err)
{
    const fr_column *c = &route->table->columns[column];
    fr_avro_type t;
    FR_TRY(fr_avro_type_of(route, column, &t, err));
    fr_buf_text(b, "{\"name\":");
    fr_buf_json(b, fr_avro_name(a, c->name));
    fr_buf_text(b, ",\"type\":");
    put_type(b, &t);
    FR_TRY(fr_avro_default_write(b, a, route, column, &t, err));
    put_doc(b, c->doc);
    put_mask(b, fr_pairs_get(&route->settings->column_mask, fr_route_name(route, column)));
    if (fr_texts_have(&route->settings->pii, fr_route_name(route, column)))
        fr_buf_text(b, ",\"freshet.pii\":true");
    fr_buf_text(b, "}");
    return FR_OK;
}

static void put_properties(fr_buf *b, const fr_table_settings *s)
{
    if (s->deprecated != NULL) {
        fr_buf_text(b, ",\"freshet.deprecated\":");
        fr_buf_json(b, fr_cstr(s->deprecated));
    }
    if (s->owner != NULL) {
        fr_buf_text(b, ",\"freshet.owner\":");
        fr_buf_json(b, fr_cstr(s->owner));
    }
    if (s->tags.count == 0)
        return;
    fr_buf_text(b, ",\"freshet.tags\":[");
    for (size_t i = 0; i < s->tags.count; i++) {
        if (i > 0)
            fr_buf_text(b, ",");
        fr_buf_json(b, fr_cstr(s->tags.items[i]));
    }
    fr_buf_text(b, "]");
}

static fr_rc put_row(fr_buf *b, fr_arena *a, const fr_route *route, fr_err *err)
{
    const fr_table_settings *s = route->settings;
    if (route->pin != NULL) { /* to the letter */
        fr_buf_str(b, route->pin->record->text);
        return FR_OK;
    }
    put_name(b, route->schema_name);
    put_doc(b, s->schema_doc != NULL ? fr_cstr(s->schema_doc) : route->table->doc);
    fr_buf_text(b, ",\"fields\":[");
    for (size_t i = 0; i < route->field_count; i++) {
        if (i > 0)
            fr_buf_text(b, ",");
        FR_TRY(put_field(b, a, route, route->fields[i], err));
    }
    fr_buf_text(b, "]");
    put_properties(b, s);
    fr_buf_text(b, "}");
    return FR_OK;
}

fr_rc fr_schema_key(fr_arena *a, const fr_route *route, fr_str *out, fr_err *err)
{
    if (route->key_count == 0)
        return FR_END;
    if (route->envelope == FR_ENVELOPE_DEBEZIUM)
        return fr_dbz_schema_key(a, route, out, err);
    fr_buf b = {.arena = a};
    put_name(&b, fr_arena_printf(a, "%.*sKey", FR_ARG(route->schema_name)));
    fr_buf_text(&b, ",\"fields\":[");
    for (size_t i = 0; i < route->key_count; i++) {
        fr_avro_type t;
        FR_TRY(fr_avro_type_of(route, route->key[i], &t, err));
        fr_buf_text(&b, i > 0 ? ",{\"name\":" : "{\"name\":");
        fr_buf_json(&b, t.field != NULL
                            ? t.field->name
                            : fr_avro_name(a, route->table->columns[route->key[i]].name));
        fr_buf_text(&b, ",\"type\":");
        fr_avro_type_write(&b, &t);
        fr_buf_text(&b, "}");
    }
    fr_buf_text(&b, "]}");
    *out = fr_buf_view(&b);
    return FR_OK;
}

#define OPTIONAL(name, type)                                                                       \
    ",{\"name\":\"" name "\",\"type\":[\"null\"," type "],\"default\":null}"
#define REQUIRED(name, type) ",{\"name\":\"" name "\",\"type\":" type "}"

bool fr_origin_has_binlog(const fr_origin *o)
{
    return fr_str_is(o->type, "mysql") || fr_str_is(o->type, "mariadb");
}

/* debezium-format of `source`, then our place within it. */
static void put_source(fr_buf *b, fr_str full, const fr_origin *origin)
{
    put_name(b, full);
    fr_buf_text(b, ",\"fields\":[{\"name\":\"version\",\"type\":\"string\"}" REQUIRED("connector",
                                                                                      "\"string\"")
                       REQUIRED("name", "\"string\"") REQUIRED("ts_ms", "\"long\""));
    fr_buf_text(b, ",{\"name\":\"snapshot\",\"type\":\"string\",\"default\":\"false\"}");
    fr_buf_text(b, REQUIRED("db", "\"string\"") OPTIONAL("sequence", "\"string\"")
                       OPTIONAL("ts_us", "\"long\"") OPTIONAL("ts_ns", "\"long\""));
    fr_buf_text(b, REQUIRED("schema", "\"string\"") REQUIRED("table", "\"string\"")
                       OPTIONAL("txId", "\"long\"") OPTIONAL("lsn", "\"long\"")
                           OPTIONAL("xmin", "\"long\"") OPTIONAL("origin", "\"string\"")
                               OPTIONAL("origin_lsn", "\"long\""));
    fr_buf_text(b, REQUIRED("epoch", "\"int\"") REQUIRED("ordinal", "\"long\""));
    /* Behind what was there first: a topic's older events have none of it. */
    if (fr_origin_has_binlog(origin))
        fr_buf_text(b, OPTIONAL("server_id", "\"long\"") OPTIONAL("gtid", "\"string\"")
                           OPTIONAL("file", "\"string\"") OPTIONAL("pos", "\"long\"")
                               OPTIONAL("row", "\"int\"") OPTIONAL("thread", "\"long\""));
    fr_buf_text(b, "]}");
}

#define BLOCK                                                                                      \
    "{\"type\":\"record\",\"name\":\"block\",\"namespace\":\"event\",\"fields\":["                 \
    "{\"name\":\"id\",\"type\":\"string\"}" REQUIRED("total_order", "\"long\"")                    \
        REQUIRED("data_collection_order", "\"long\"") "]}"

static fr_str source_name(fr_arena *a, const fr_origin *origin)
{
    return fr_arena_printf(a, "freshet.%.*s.Source", FR_ARG(fr_avro_name(a, origin->type)));
}

static fr_rc put_envelope(fr_buf *b, fr_arena *a, const fr_route *route, const fr_origin *origin,
                          fr_err *err)
{
    fr_str source = source_name(a, origin);
    if (fr_str_eq(route->schema_name, source) || fr_str_is(route->schema_name, "event.block")) {
        fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s: record name %.*s is one of freshet's own",
                FR_ARG(route->table->space), FR_ARG(route->table->name),
                FR_ARG(route->schema_name));
        return fr_fail_hint(err, "set schema.name for this table");
    }
    put_name(b, fr_arena_printf(a, "%.*sEnvelope", FR_ARG(route->schema_name)));
    fr_buf_text(b, ",\"fields\":[{\"name\":\"before\",\"type\":[\"null\",");
    FR_TRY(put_row(b, a, route, err));
    fr_buf_text(b, "],\"default\":null},{\"name\":\"after\",\"type\":[\"null\",");
    fr_buf_json(b, route->schema_name);
    fr_buf_text(b, "],\"default\":null},{\"name\":\"source\",\"type\":");
    put_source(b, source, origin);
    fr_buf_text(b, "}" OPTIONAL("transaction", BLOCK) REQUIRED("op", "\"string\"")
                       OPTIONAL("ts_ms", "\"long\"") OPTIONAL("ts_us", "\"long\"")
                           OPTIONAL("ts_ns", "\"long\""));
    fr_buf_text(b, ",{\"name\":\"unavailable\",\"type\":{\"type\":\"array\",\"items\":\"string\"},"
                   "\"default\":[]}]");
    /* Says to sinks that a null outside the key is not known to have been NULL. */
    if (!route->table->full_before)
        fr_buf_text(b, ",\"freshet.before\":\"key\"");
    fr_buf_text(b, "}");
    return FR_OK;
}

static fr_rc fail_state(const fr_route *route, const char *what, const char *hint, fr_err *err)
{
    const fr_table *t = route->table;
    fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s: envelope state %s", FR_ARG(t->space),
            FR_ARG(t->name), what);
    fr_fail_code(err, "config.envelope");
    return fr_fail_hint(err, hint, FR_ARG(t->space), FR_ARG(t->name));
}

/* A state message is a whole row: what cannot always be one is refused. */
static fr_rc check_state(const fr_route *route, fr_err *err)
{
    for (size_t i = 0; i < route->field_count; i++) {
        const fr_column *c = &route->table->columns[route->fields[i]];
        if (fr_avro_may_be_absent(route, c))
            return fail_state(route,
                              "needs whole rows, but the source leaves out large values that did "
                              "not change",
                              "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL; or use envelope: "
                              "standard",
                              err);
    }
    if (route->settings->truncate == FR_TRUNCATE_PUBLISH)
        return fail_state(route, "cannot say truncate",
                          "set truncate of %.*s.%.*s to block or ignore, or use envelope: standard",
                          err);
    if (!route->settings->tombstones && !route->settings->append_only)
        return fail_state(route, "says deletes by tombstones alone, and tombstones is false",
                          "set tombstones of %.*s.%.*s to true, or use envelope: standard", err);
    return FR_OK;
}

/* Types that a contract defines stand beside those of the envelope. */
static fr_rc check_pinned(fr_arena *a, const fr_route *route, fr_str text, fr_err *err)
{
    const fr_avro_node *n;
    if (route->pin == NULL || fr_avro_parse(a, text, &n, err) == FR_OK)
        return FR_OK;
    err->kind = FR_ERR_CONFIG;
    fr_fail_in(err, "contract %s within the envelope", route->pin->contract->path);
    fr_fail_code(err, "contract.name");
    return fr_fail_hint(err, "give its enums and fixed types other names: those that end in "
                             "Envelope, event.block and freshet.*.Source are taken");
}

fr_rc fr_schema_value(fr_arena *a, const fr_route *route, const fr_origin *origin, fr_str *out,
                      fr_err *err)
{
    fr_buf b = {.arena = a};
    if (route->envelope == FR_ENVELOPE_DEBEZIUM)
        return fr_dbz_schema_value(a, route, out, err);
    if (route->envelope == FR_ENVELOPE_STANDARD) {
        FR_TRY(put_envelope(&b, a, route, origin, err));
    } else if (route->envelope == FR_ENVELOPE_STATE) {
        FR_TRY(check_state(route, err));
        FR_TRY(put_row(&b, a, route, err));
    } else {
        fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s: envelope raw has no schema",
                FR_ARG(route->table->space), FR_ARG(route->table->name));
        fr_fail_code(err, "config.envelope");
        return fr_fail_hint(err, "use envelope: standard or envelope: state");
    }
    *out = fr_buf_view(&b);
    return check_pinned(a, route, *out, err);
}

fr_rc fr_schema_message(fr_arena *a, const fr_origin *origin, fr_str *key_out, fr_str *value_out,
                        fr_err *err)
{
    (void)err;
    fr_str type = fr_avro_name(a, origin->type);
    fr_buf key = {.arena = a}, value = {.arena = a};
    put_name(&key, fr_arena_printf(a, "freshet.%.*s.MessageKey", FR_ARG(type)));
    fr_buf_text(&key, ",\"fields\":[{\"name\":\"prefix\",\"type\":\"string\"}]}");
    put_name(&value, fr_arena_printf(a, "freshet.%.*s.MessageValue", FR_ARG(type)));
    fr_buf_text(&value, ",\"fields\":[{\"name\":\"op\",\"type\":\"string\"}");
    fr_buf_text(&value, OPTIONAL("ts_ms", "\"long\"") ",{\"name\":\"source\",\"type\":");
    put_source(&value, source_name(a, origin), origin);
    fr_buf_text(&value, "}" OPTIONAL("transaction", BLOCK) ",{\"name\":\"message\",\"type\":");
    put_name(&value, fr_arena_printf(a, "freshet.%.*s.Message", FR_ARG(type)));
    fr_buf_text(&value, ",\"fields\":[{\"name\":\"prefix\",\"type\":\"string\"}" REQUIRED(
                            "content", "\"bytes\"") "]}}]}");
    *key_out = fr_buf_view(&key);
    *value_out = fr_buf_view(&value);
    return FR_OK;
}

fr_rc fr_schema_transaction(fr_arena *a, const fr_origin *origin, fr_str *key_out,
                            fr_str *value_out, fr_err *err)
{
    if (origin->debezium)
        return fr_dbz_schema_transaction(a, key_out, value_out, err);
    fr_buf key = {.arena = a}, value = {.arena = a};
    put_name(&key, FR_STR("freshet.TransactionMetadataKey"));
    fr_buf_text(&key, ",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}");
    put_name(&value, FR_STR("freshet.TransactionMetadataValue"));
    fr_buf_text(&value, ",\"fields\":[{\"name\":\"status\",\"type\":\"string\"}" REQUIRED(
                            "id", "\"string\"") OPTIONAL("event_count", "\"long\""));
    fr_buf_text(&value, OPTIONAL("data_collections",
                                 "{\"type\":\"array\",\"items\":{\"type\":\"record\","
                                 "\"name\":\"collection\",\"namespace\":\"event\",\"fields\":["
                                 "{\"name\":\"data_collection\",\"type\":\"string\"}" REQUIRED(
                                     "event_count", "\"long\"") "]}}"));
    fr_buf_text(&value, REQUIRED("ts_ms", "\"long\"") "]}");
    *key_out = fr_buf_view(&key);
    *value_out = fr_buf_view(&value);
    return FR_OK;
}
