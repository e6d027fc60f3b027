#include "codec/decode_plan.h"
#include "model/name.h"

#include <string.h>

/* The one branch of [null, T] or [T, null]; the type itself where it is no such union. */
static const fr_avro_node *some_branch(const fr_avro_node *n)
{
    if (n->tag != FR_AVRO_UNION || n->count != 2)
        return n;
    if (n->members[0]->tag == FR_AVRO_NULL)
        return n->members[1];
    return n->members[1]->tag == FR_AVRO_NULL ? n->members[0] : n;
}

static const fr_avro_node *field_type(const fr_avro_node *record, const char *name)
{
    int i = fr_avro_find(record, name);
    return i < 0 ? NULL : some_branch(record->fields[i].type);
}

static bool is_record(const fr_avro_node *n)
{
    return n != NULL && n->tag == FR_AVRO_RECORD;
}

static const struct {
    const char *name;
    fr_role role;
} value_roles[] = {{"before", FR_ROLE_BEFORE},           {"after", FR_ROLE_AFTER},
                   {"source", FR_ROLE_SOURCE},           {"op", FR_ROLE_OP},
                   {"unavailable", FR_ROLE_UNAVAILABLE}, {"message", FR_ROLE_MESSAGE}},
  source_roles[] = {{"epoch", FR_ROLE_EPOCH}, {"ordinal", FR_ROLE_ORDINAL},
                    {"lsn", FR_ROLE_LSN},     {"sequence", FR_ROLE_SEQUENCE},
                    {"txId", FR_ROLE_TXID},   {"ts_us", FR_ROLE_TS_US}};

static fr_role role_of(const fr_avro_field *f, bool in_source)
{
    size_t count = in_source ? sizeof source_roles / sizeof *source_roles
                             : sizeof value_roles / sizeof *value_roles;
    for (size_t i = 0; i < count; i++) {
        if (fr_str_is(f->name, in_source ? source_roles[i].name : value_roles[i].name))
            return in_source ? source_roles[i].role : value_roles[i].role;
    }
    return FR_ROLE_NONE;
}

/* A field that has a role's name but not its type has no role. */
static bool fits(fr_role role, const fr_avro_node *type)
{
    const fr_avro_node *some = some_branch(type);
    switch (role) {
    case FR_ROLE_BEFORE:
    case FR_ROLE_AFTER:
    case FR_ROLE_SOURCE:
    case FR_ROLE_MESSAGE:
        return some->tag == FR_AVRO_RECORD;
    case FR_ROLE_OP:
    case FR_ROLE_SEQUENCE:
        return some->tag == FR_AVRO_STRING;
    case FR_ROLE_UNAVAILABLE:
        return type->tag == FR_AVRO_ARRAY && type->members[0]->tag == FR_AVRO_STRING;
    default:
        return some->tag == FR_AVRO_INT || some->tag == FR_AVRO_LONG;
    }
}

static const uint8_t *roles_of(fr_reading *g, const fr_avro_node *record, bool in_source)
{
    uint8_t *roles = fr_arena_alloc(g->arena, record->count + 1);
    for (size_t i = 0; i < record->count; i++) {
        fr_role role = role_of(&record->fields[i], in_source);
        if (role != FR_ROLE_NONE && fits(role, record->fields[i].type))
            roles[i] = (uint8_t)role;
    }
    return roles;
}

static void find_shape(fr_reading *g)
{
    const fr_avro_node *v = g->value;
    const fr_avro_node *source = field_type(v, "source"), *op = field_type(v, "op");
    const fr_avro_node *after = field_type(v, "after"), *before = field_type(v, "before");
    const fr_avro_node *message = field_type(v, "message");
    g->shape = FR_SHAPE_ROW;
    g->row = v;
    if (!is_record(source) || op == NULL || op->tag != FR_AVRO_STRING)
        return;
    g->source = source;
    g->roles = roles_of(g, v, false);
    g->source_roles = roles_of(g, source, true);
    g->ours = fr_avro_find(source, "epoch") >= 0 && fr_avro_find(source, "ordinal") >= 0;
    if (is_record(after) && before == after) {
        g->shape = FR_SHAPE_ENVELOPE;
        g->row = after;
        g->key_before = g->ours && v->key_before;
    } else if (is_record(message) && fr_avro_find(message, "prefix") >= 0 &&
               fr_avro_find(message, "content") >= 0) {
        g->shape = FR_SHAPE_MESSAGE;
        g->row = message;
    }
}

static bool has_null(const fr_avro_node *n)
{
    if (n->tag == FR_AVRO_NULL)
        return true;
    for (size_t i = 0; n->tag == FR_AVRO_UNION && i < n->count; i++) {
        if (n->members[i]->tag == FR_AVRO_NULL)
            return true;
    }
    return false;
}

static void set_column(fr_reading *g, fr_input *in, fr_column *c, const fr_avro_field *f)
{
    in->node = f->type;
    in->some = some_branch(f->type);
    in->scalar = fr_avro_scalar_of(in->some);
    fr_kind kind;
    in->how = fr_dbz_reading_of(in->some, &kind);
    if (in->how != FR_DBZ_READ_PLAIN)
        in->scalar = (fr_avro_scalar){.kind = kind, .factor = 1};
    in->field = f->name;
    c->name = fr_avro_name_back(g->arena, f->name);
    c->kind = in->scalar.kind != FR_ABSENT ? in->scalar.kind : FR_JSON;
    c->precision = in->scalar.precision;
    c->scale = in->scalar.scale;
    c->nullable = has_null(f->type);
    c->span = c->kind == FR_TIME && fr_str_is(in->some->marker, "span");
    c->native_type = fr_cstr(fr_avro_word(in->some->tag));
    c->doc = c->fallback = FR_STR("");
}

static int find_input(const fr_reading *g, size_t count, fr_str field)
{
    for (size_t i = 0; i < count; i++) {
        if (fr_str_eq(g->inputs[i].field, field))
            return (int)i;
    }
    return -1;
}

/* Key fields that the row has, and behind the row's those that it has not. */
static size_t add_key(fr_reading *g, fr_column *columns, size_t count)
{
    g->key_columns = fr_arena_alloc(g->arena, (g->key->count + 1) * sizeof *g->key_columns);
    for (size_t i = 0; i < g->key->count; i++) {
        int at = find_input(g, count, g->key->fields[i].name);
        if (at < 0) {
            at = (int)count++;
            set_column(g, &g->inputs[at], &columns[at], &g->key->fields[i]);
        }
        g->key_columns[i] = at;
        g->inputs[at].key = true;
        columns[at].key_ordinal = (uint16_t)(i + 1);
    }
    return count;
}

static fr_rc build_table(fr_reading *g, fr_str space, fr_str name, fr_err *err)
{
    size_t row = g->value != NULL ? g->row->count : 0;
    size_t room = row + (g->key != NULL ? g->key->count : 0) + 1;
    if (room > UINT16_MAX)
        return fr_fail(err, FR_ERR_DATA, "its schema has more than 65,534 fields");
    fr_column *columns = fr_arena_alloc(g->arena, room * sizeof *columns);
    g->inputs = fr_arena_alloc(g->arena, room * sizeof *g->inputs);
    for (size_t i = 0; i < row; i++)
        set_column(g, &g->inputs[i], &columns[i], &g->row->fields[i]);
    g->row_count = row;
    size_t count = g->key != NULL ? add_key(g, columns, row) : row;
    bool lists = g->value != NULL && fr_avro_find(g->value, "unavailable") >= 0;
    for (size_t i = 0; i < count; i++)
        columns[i].may_be_absent = lists && columns[i].nullable && !g->inputs[i].key;
    fr_table t = {.space = space,
                  .name = name,
                  .version = (uint32_t)g->value_id,
                  .full_before = g->ours && !g->key_before,
                  .foreign = !g->ours,
                  .doc = FR_STR(""),
                  .column_count = count,
                  .columns = columns};
    g->table = fr_table_new(&t);
    return FR_OK;
}

static fr_rc fill(fr_reading *g, fr_str space, fr_str name, fr_str key, fr_str value, fr_err *err)
{
    if (g->key_id != FR_NO_KEY) {
        if (fr_avro_parse(g->arena, key, &g->key, err) == FR_FAIL)
            return fr_fail_in(err, "schema id %d of the key", (int)g->key_id);
        if (!is_record(g->key))
            g->key = NULL;
    }
    if (value.ptr != NULL) {
        if (fr_avro_parse(g->arena, value, &g->value, err) == FR_FAIL)
            return fr_fail_in(err, "schema id %d", (int)g->value_id);
        if (!is_record(g->value))
            return fr_fail(err, FR_ERR_DATA, "schema id %d is not of a record but of type %s",
                           (int)g->value_id, fr_avro_word(g->value->tag));
        find_shape(g);
    }
    return g->shape == FR_SHAPE_MESSAGE ? FR_OK : build_table(g, space, name, err);
}

fr_rc fr_reading_new(fr_str space, fr_str name, int32_t key_id, fr_str key, int32_t value_id,
                     fr_str value, fr_reading **out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_reading *g = fr_arena_alloc(a, sizeof *g);
    g->arena = a;
    g->key_id = key_id;
    g->value_id = value_id;
    if (fill(g, space, name, key, value, err) == FR_FAIL) {
        fr_arena_free(a);
        return FR_FAIL;
    }
    *out = g;
    return FR_OK;
}

void fr_reading_free(void *reading)
{
    fr_reading *g = reading;
    fr_table_unref(g->table);
    fr_arena_free(g->arena);
}

fr_rc fr_decoder_table(fr_str space, fr_str name, fr_str key, fr_str value, const fr_table **out,
                       fr_err *err)
{
    fr_reading *g;
    FR_TRY(fr_reading_new(space, name, key.len == 0 ? FR_NO_KEY : 1, key, 2, value, &g, err));
    fr_rc rc = g->table == NULL ? FR_END : FR_OK;
    if (rc == FR_OK)
        *out = fr_table_ref(g->table);
    fr_reading_free(g);
    return rc;
}
