#include "codec/encode_plan.h"
#include "codec/avro_parse.h"
#include "codec/change.h"
#include "codec/contract.h"

#include <string.h>

static fr_rc set_step(fr_step *s, const fr_route *route, uint16_t column, bool may_be_null,
                      fr_err *err)
{
    fr_avro_type t;
    FR_TRY(fr_avro_type_of(route, column, &t, err));
    s->column = column;
    s->kind = (uint8_t)t.kind;
    s->nullable = may_be_null && t.nullable;
    if (s->nullable != 0 && t.field != NULL && t.field->null_last)
        s->nullable = 2;
    s->most = t.kind == FR_DECIMAL ? (uint32_t)fr_avro_decimal_bytes(t.precision) : 0;
    return FR_OK;
}

static fr_rc add_steps(fr_arena *a, const fr_route *route, const uint16_t *columns, size_t count,
                       bool may_be_null, fr_steps *out, fr_err *err)
{
    fr_step *steps = fr_arena_alloc(a, (count + 1) * sizeof *steps);
    for (size_t i = 0; i < count; i++)
        FR_TRY(set_step(&steps[i], route, columns[i], may_be_null, err));
    out->items = steps;
    out->count = count;
    return FR_OK;
}

/* The defaults of fields in [from, to), which no column has. */
static fr_str defaults_of(fr_arena *a, const fr_contract_record *r, size_t from, size_t to)
{
    fr_buf b = {.arena = a};
    for (size_t i = from; i < to; i++)
        fr_buf_str(&b, r->fields[i].fallback);
    return fr_buf_view(&b);
}

static void end_constant(fr_plan *p, fr_constant *list, size_t *count, size_t from, size_t to)
{
    if (from == to)
        return;
    fr_str bytes = defaults_of(p->arena, p->route->pin->record, from, to);
    list[(*count)++] = (fr_constant){p->row.count, bytes};
    p->row.always += bytes.len;
    p->row.constants = list;
}

/* In the contract's order; what no column has is the same in every row. */
static fr_rc add_pinned(fr_plan *p, fr_err *err)
{
    const fr_pin *pin = p->route->pin;
    size_t fields = pin->record->field_count, constants = 0, from = 0;
    fr_step *steps = fr_arena_alloc(p->arena, (fields + 1) * sizeof *steps);
    fr_constant *list = fr_arena_alloc(p->arena, (fields + 2) * sizeof *list);
    p->row.items = steps;
    for (size_t i = 0; i < fields; i++) {
        int column = pin->by_field[i];
        if (column < 0)
            continue;
        end_constant(p, list, &constants, from, i);
        from = i + 1;
        FR_TRY(set_step(&steps[p->row.count++], p->route, (uint16_t)column, true, err));
        if (pin->columns[column].convert != NULL)
            p->pin = pin;
    }
    end_constant(p, list, &constants, from, fields);
    list[constants].at = SIZE_MAX;
    return FR_OK;
}

static fr_rc add_row(fr_plan *p, fr_err *err)
{
    const fr_route *route = p->route;
    if (route->pin != NULL)
        return add_pinned(p, err);
    return add_steps(p->arena, route, route->fields, route->field_count, true, &p->row, err);
}

static fr_rc add_columns(fr_plan *p, fr_err *err)
{
    const fr_table *t = p->table;
    const fr_pin *pin = p->route->pin;
    fr_avro_type *types = fr_arena_alloc(p->arena, (t->column_count + 1) * sizeof *types);
    fr_str *names = fr_arena_alloc(p->arena, (t->column_count + 1) * sizeof *names);
    bool casts = false;
    for (size_t i = 0; i < p->route->field_count; i++) {
        uint16_t column = p->route->fields[i];
        FR_TRY(fr_avro_type_base(p->route, column, &types[column], err));
        casts = casts || types[column].cast;
        names[column] = pin != NULL ? pin->columns[column].field->name
                                    : fr_avro_name(p->arena, t->columns[column].name);
    }
    p->casts = casts ? types : NULL;
    p->names = names;
    return FR_OK;
}

/* Which values of a row are not written as they come. */
static void add_conversions(fr_plan *p)
{
    size_t count = p->table->column_count;
    uint16_t *columns = fr_arena_alloc(p->arena, (count + 1) * sizeof *columns);
    for (size_t i = 0; i < p->route->field_count; i++) {
        uint16_t column = p->route->fields[i];
        if ((p->casts != NULL && p->casts[column].cast) ||
            (p->pin != NULL && p->pin->columns[column].convert != NULL))
            columns[p->converted_count++] = column;
    }
    p->converted = columns;
    for (size_t i = 0; i < 2 && p->converted_count > 0; i++)
        p->rows[i] = fr_arena_alloc(p->arena, (count + 1) * sizeof *p->rows[i]);
}

static fr_rc add_all(fr_plan *p, fr_err *err)
{
    const fr_route *route = p->route;
    FR_TRY(add_columns(p, err));
    FR_TRY(add_row(p, err));
    add_conversions(p);
    FR_TRY(add_steps(p->arena, route, route->key, route->key_count, false, &p->key, err));
    return add_steps(p->arena, route, route->partition_by, route->partition_count, true,
                     &p->partition, err);
}

static fr_str avro_text(fr_arena *a, fr_str first, fr_str second)
{
    uint8_t *at = fr_arena_raw(a, first.len + second.len + 20);
    uint8_t *end = fr_put_bytes(fr_put_bytes(at, first), second);
    return (fr_str){(const char *)at, (size_t)(end - at)};
}

static const char *subject_of(const fr_encoder *e, fr_arena *a, const fr_route *r,
                              fr_subject_side side)
{
    return fr_subject(e->settings.registry_settings, a, r->topic, r->schema_name, r->envelope,
                      side);
}

static fr_rc register_schema(fr_encoder *e, const char *subject, fr_str schema, int compat,
                             int32_t *id, fr_err *err)
{
    const fr_registry_settings *s = e->settings.registry_settings;
    int level = compat >= 0 ? compat : s->compatibility;
    return fr_registry_register(e->registry, subject, schema, level,
                                s->register_when == FR_WHEN_RUN, id, err);
}

/* The first schema of a table's later generation is a change that schema.on_change allows. */
static fr_rc register_route(fr_encoder *e, const fr_route *route, const char *subject,
                            fr_str schema, int32_t *id, fr_err *err)
{
    const fr_registry_settings *s = e->settings.registry_settings;
    int compat = route->settings->schema_compat;
    if (route->generation < 2)
        return register_schema(e, subject, schema, compat, id, err);
    return fr_registry_register(e->registry, subject, schema,
                                compat >= 0 ? compat : s->compatibility,
                                s->register_when != FR_WHEN_NEVER, id, err);
}

fr_rc fr_encoder_marker(fr_encoder *e, fr_arena *a, fr_str topic, fr_str *out, fr_err *err)
{
    static const fr_str text = {FR_HEADER_CLOSED, sizeof(FR_HEADER_CLOSED) - 1};
    const fr_registry_settings *s = e->settings.registry_settings;
    const char *subject = fr_arena_cstr(a, fr_arena_printf(a, "%.*s-closed", FR_ARG(topic)));
    int32_t id;
    FR_TRY(fr_registry_register(e->registry, subject, FR_STR("\"string\""), s->compatibility,
                                s->register_when != FR_WHEN_NEVER, &id, err));
    uint8_t *at = fr_arena_raw(a, text.len + 20);
    uint8_t *end = fr_put_bytes(fr_put_header(at, id), text);
    *out = (fr_str){(const char *)at, (size_t)(end - at)};
    return FR_OK;
}

/* A key never changes under a topic: another key would be in another partition, and
 * compaction would keep both. */
static fr_rc register_key(fr_encoder *e, fr_arena *a, const fr_route *route, const char *subject,
                          fr_str schema, int32_t *id, fr_err *err)
{
    int version;
    int32_t other;
    fr_str text;
    fr_rc rc = fr_registry_lookup(e->registry, subject, schema, id, err);
    if (rc != FR_END)
        return rc;
    rc = fr_registry_latest(e->registry, a, subject, &version, &other, &text, err);
    if (rc == FR_END)
        return route == NULL ? register_schema(e, subject, schema, -1, id, err)
                             : register_route(e, route, subject, schema, id, err);
    FR_TRY(rc);
    if (route != NULL && route->envelope == FR_ENVELOPE_DEBEZIUM &&
        fr_dbz_same_key(a, schema, text)) {
        *id = other;
        return FR_OK;
    }
    fr_fail(err, FR_ERR_SCHEMA, "subject %s: the key is another one than version %d (id %d): %.*s",
            subject, version, (int)other, FR_ARG(schema));
    fr_fail_code(err, "schema.key_changed");
    return fr_fail_hint(err, "a key never changes under a topic: set another topic for the table");
}

/* What the registry holds already may be what the table was long ago: a column that came and
 * went again is a column that went. So the topic's last schema is what a new one is judged by.
 * Where it is not known, that is the subject's newest, for a schema that is new there. */
static fr_rc register_value(fr_encoder *e, fr_arena *a, const fr_plan *p, const char *subject,
                            fr_str schema, int32_t *id, fr_err *err)
{
    const fr_route *route = p->route;
    fr_rc known = fr_registry_lookup(e->registry, subject, schema, id, err);
    FR_TRY(known);
    if (known == FR_OK && (*p->newest == 0 || *p->newest == *id))
        return FR_OK;
    /* schema.on_change is of the source's changes, and a contract's are ours; and of a shape that
     * is kept it was asked. */
    if (route->pin == NULL) {
        fr_str old;
        fr_rc rc = fr_change_before(e->registry, a, *p->newest, subject, schema, known == FR_OK,
                                    &old, err);
        if (rc == FR_OK)
            rc = fr_change_allowed(a, route, old, schema, err);
        FR_TRY(rc);
    }
    if (known == FR_OK)
        return FR_OK;
    return register_route(e, route, subject, schema, id, err);
}

static fr_rc register_both(fr_encoder *e, fr_arena *a, fr_plan *p, fr_err *err)
{
    const fr_route *route = p->route;
    fr_str key, value;
    fr_rc rc = fr_schema_key(a, route, &key, err);
    FR_TRY(rc);
    /* The value's schema is made first, so that what is refused leaves nothing behind. */
    FR_TRY(fr_schema_value(a, route, &e->settings.origin, &value, err));
    if (rc == FR_OK)
        FR_TRY(register_key(e, a, route, subject_of(e, a, route, FR_SUBJECT_KEY), key, &p->key_id,
                            err));
    else if (route->envelope == FR_ENVELOPE_DEBEZIUM)
        FR_TRY(fr_dbz_check_keyless(e->registry, a, subject_of(e, a, route, FR_SUBJECT_KEY), err));
    return register_value(e, a, p, subject_of(e, a, route, FR_SUBJECT_VALUE), value, &p->value_id,
                          err);
}

static int32_t *newest_of(fr_encoder *e, fr_str topic)
{
    int32_t *newest = fr_map_get(e->newest, topic);
    if (newest != NULL)
        return newest;
    newest = fr_arena_alloc(e->arena, sizeof *newest);
    if (e->settings.published != NULL)
        *newest = e->settings.published(e->settings.context, topic);
    fr_map_set(e->newest, topic, newest);
    return newest;
}

int32_t fr_encoder_newest(fr_encoder *e, fr_str topic)
{
    return *newest_of(e, topic);
}

void fr_encoder_publishes(fr_encoder *e, fr_str topic, int32_t schema)
{
    *newest_of(e, topic) = schema;
}

/* schema.on_change: ignore. The plan gets the route of the shape that was published last, where
 * the table has another one now. */
static fr_rc keep_shape(fr_encoder *e, fr_plan *p, fr_err *err)
{
    fr_str value, old, said = FR_STR("");
    int32_t id;
    const char *subject = subject_of(e, p->arena, p->route, FR_SUBJECT_VALUE);
    FR_TRY(fr_schema_value(p->arena, p->route, &e->settings.origin, &value, err));
    fr_rc known = fr_registry_lookup(e->registry, subject, value, &id, err);
    FR_TRY(known);
    fr_rc rc = fr_change_before(e->registry, p->arena, *p->newest, subject, value, known == FR_OK,
                                &old, err);
    if (rc == FR_OK)
        rc = fr_change_keep(p->arena, p->route, old, value, &p->route, &said, err);
    FR_TRY(rc);
    if (e->settings.kept != NULL)
        e->settings.kept(e->settings.context, p->source, said);
    return FR_OK;
}

static fr_rc fill_plan(fr_encoder *e, fr_plan *p, fr_err *err)
{
    const fr_route *route = p->route;
    const fr_table *t = p->table;
    p->collection = fr_arena_printf(p->arena, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    if (route->outbox != NULL) { /* no schema is made of it */
        p->newest = fr_arena_alloc(p->arena, sizeof *p->newest);
        p->topics = fr_map_new();
        return FR_OK;
    }
    p->newest = newest_of(e, route->topic);
    if (route->pin == NULL && fr_change_ignores(route->settings)) {
        FR_TRY(keep_shape(e, p, err));
        route = p->route;
    }
    FR_TRY(route->envelope == FR_ENVELOPE_DEBEZIUM ? fr_dbz_plan_fill(p, err) : add_all(p, err));
    p->source_place = avro_text(p->arena, t->space, t->name);
    fr_arena *scratch = fr_arena_new(0);
    fr_rc rc = register_both(e, scratch, p, err);
    fr_arena_free(scratch);
    return rc;
}

static fr_rc new_plan(fr_encoder *e, const fr_table *t, fr_plan **out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_plan *p = fr_arena_alloc(a, sizeof *p);
    p->arena = a;
    p->source = p->table = t;
    fr_rc rc = e->settings.route(e->settings.context, t, &p->route, err);
    if (rc == FR_END)
        p->route = NULL;
    if (rc == FR_OK) {
        p->table = p->route->table;
        rc = fill_plan(e, p, err);
    }
    if (rc == FR_FAIL) {
        fr_arena_free(a);
        return FR_FAIL;
    }
    fr_table_ref(t);
    *out = p;
    return FR_OK;
}

void fr_plan_free(void *plan)
{
    fr_plan *p = plan;
    fr_table_unref(p->source);
    fr_map_free(p->topics, NULL);
    fr_arena_free(p->arena);
}

void fr_encoder_moved(fr_encoder *e, fr_str first)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(e->plans, &i, NULL, &value)) {
        fr_plan *p = value;
        p->moved = p->moved || (p->route != NULL && fr_str_eq(p->route->first, first));
    }
}

/* What was kept depends on what was published before: once that is another, it is asked anew. */
static bool is_stale(const fr_plan *p)
{
    if (p->moved)
        return true;
    return p->route != NULL && p->route->outbox == NULL && *p->newest != p->value_id &&
           (p->route->pin == NULL || p->route->pin->kept != NULL) &&
           fr_change_ignores(p->route->settings);
}

/* To a version of the table that this encoder has met before. */
static fr_rc change_back(fr_encoder *e, const fr_plan *p, fr_err *err)
{
    fr_str schema;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = fr_registry_schema(e->registry, p->value_id, &schema, err);
    if (rc == FR_OK)
        rc = fr_change_since(e->registry, a, p->route, *p->newest, schema, err);
    fr_arena_free(a);
    return rc == FR_FAIL ? rc : FR_OK;
}

fr_rc fr_plan_get(fr_encoder *e, const fr_table *t, fr_plan **out, fr_err *err)
{
    fr_plan *p = e->last;
    if (p == NULL || p->source != t)
        p = fr_map_get_u64(e->plans, t->serial);
    if (p == NULL || is_stale(p)) {
        fr_plan *stale = p;
        FR_TRY(new_plan(e, t, &p, err));
        fr_map_set_u64(e->plans, t->serial, p);
        if (stale != NULL)
            fr_arena_adopt(e->arena, stale, 0, fr_plan_free); /* counts name its collection */
    } else if (p->route != NULL && p->route->pin == NULL && *p->newest != p->value_id) {
        FR_TRY(change_back(e, p, err));
    }
    if (p->route != NULL) {
        if (*p->newest != 0 && *p->newest != p->value_id && p->value_id != 0 &&
            e->settings.notices.len > 0)
            p->noted = *p->newest;
        *p->newest = p->value_id;
    }
    e->last = p;
    *out = p;
    return FR_OK;
}

fr_rc fr_plan_side(fr_encoder *e, fr_side_plan *side, const char *suffix,
                   fr_rc (*make)(fr_arena *a, const fr_origin *origin, fr_str *key_out,
                                 fr_str *value_out, fr_err *err),
                   fr_err *err)
{
    if (side->ready)
        return FR_OK;
    fr_str key, value;
    fr_arena *a = fr_arena_new(0);
    fr_str name = fr_arena_printf(a, "%.*s.%s", FR_ARG(e->settings.origin.prefix), suffix);
    fr_str topic = fr_topic_legal(a, name);
    fr_rc rc = make(a, &e->settings.origin, &key, &value, err);
    /* The record strategies would need names that differ between sources: topic for both. */
    if (rc == FR_OK)
        rc = register_key(e, a, NULL,
                          fr_arena_cstr(a, fr_arena_printf(a, "%.*s-key", FR_ARG(topic))), key,
                          &side->key_id, err);
    if (rc == FR_OK)
        rc = register_schema(e, fr_arena_cstr(a, fr_arena_printf(a, "%.*s-value", FR_ARG(topic))),
                             value, -1, &side->value_id, err);
    if (rc == FR_OK)
        side->topic = fr_topic_legal(e->arena, topic);
    side->ready = rc == FR_OK;
    fr_arena_free(a);
    return rc;
}
