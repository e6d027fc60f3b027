/* The table of a test: its columns are those that given.types, columns.types and the table's
 * contract tell the types of. */
#include "cli/trial.h"
#include "codec/contract.h"
#include "model/name.h"
#include <string.h>
#include <strings.h>

typedef struct maker {
    const fr_config *config;
    const fr_config_place *place;
    const fr_test *test;
    fr_arena *a;
    fr_column *columns;
    size_t count;
    uint16_t keys;                      /* of `primary key` */
    const fr_contract_record *contract; /* NULL: none */
    fr_err *err;
} maker;

/* Avro's words, for a source whose database cannot be asked what its own mean. */
static bool kind_of_word(const char *word, fr_column *c)
{
    static const struct {
        const char *word;
        fr_kind kind;
    } words[] = {{"boolean", FR_BOOL},       {"int", FR_INT32},      {"long", FR_INT64},
                 {"float", FR_FLOAT32},      {"double", FR_FLOAT64}, {"string", FR_TEXT},
                 {"bytes", FR_BYTES},        {"json", FR_JSON},      {"uuid", FR_UUID},
                 {"date", FR_DATE},          {"time", FR_TIME},      {"datetime", FR_DATETIME},
                 {"timestamp", FR_TIMESTAMP}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].word, word) == 0) {
            c->kind = words[i].kind;
            return true;
        }
    c->kind = FR_DECIMAL;
    return fr_decimal_type(word, &c->precision, &c->scale);
}

/* Takes "not null" or "primary key" off the end of a type. */
static bool ends_with(char *type, const char *words)
{
    size_t len = strlen(type), tail = strlen(words);
    if (len <= tail + 1 || strcasecmp(type + len - tail, words) != 0 || type[len - tail - 1] != ' ')
        return false;
    len -= tail;
    while (len > 0 && type[len - 1] == ' ')
        len--;
    type[len] = '\0';
    return true;
}

static void take_constraints(maker *m, char *type, fr_column *c)
{
    c->nullable = true;
    for (bool more = true; more;) {
        bool not_null = ends_with(type, "not null"), key = ends_with(type, "primary key");
        if (key)
            c->key_ordinal = ++m->keys;
        c->nullable = c->nullable && !not_null && !key;
        more = not_null || key;
    }
}

static fr_rc set_type(maker *m, const char *type, const char *asked, fr_column *c)
{
    const fr_source_ops *ops = m->config->source_ops[m->place->source];
    if (type != NULL && ops->declared != NULL)
        return ops->declared(m->a, type, asked, c, m->err);
    const char *word = type != NULL ? type : asked;
    c->native_type = fr_cstr(word);
    if (kind_of_word(word, c))
        return FR_OK;
    fr_fail(m->err, FR_ERR_CONFIG, "`%s` is no type here", word);
    fr_fail_code(m->err, "test.type");
    return fr_fail_hint(m->err, "write boolean, int, long, float, double, decimal(p,s), string, "
                                "bytes, json, uuid, date, time, datetime or timestamp");
}

/* type NULL: columns.types alone says it. */
static fr_rc add_column(maker *m, const char *name, const char *type)
{
    const char *asked = fr_pairs_get(&m->place->table->column_types, fr_cstr(name));
    fr_column *c = &m->columns[m->count];
    *c = (fr_column){.name = fr_cstr(name)};
    char *copy = type == NULL ? NULL : fr_arena_cstr(m->a, fr_cstr(type));
    c->nullable = true;
    if (copy != NULL)
        take_constraints(m, copy, c);
    if (set_type(m, copy, asked, c) == FR_FAIL)
        return fr_fail_in(m->err, "%s: %s.given.types.%s", m->test->place, m->test->path, name);
    if (fr_texts_have(&m->place->table->key, c->name))
        c->nullable = false;
    m->count++;
    return FR_OK;
}

/* What a column is whose values are all written as they are. */
static const fr_kind pinned[FR_PIN_TYPES] = {
    [FR_PIN_BOOLEAN] = FR_BOOL,
    [FR_PIN_INT] = FR_INT32,
    [FR_PIN_LONG] = FR_INT64,
    [FR_PIN_FLOAT] = FR_FLOAT32,
    [FR_PIN_DOUBLE] = FR_FLOAT64,
    [FR_PIN_BYTES] = FR_BYTES,
    [FR_PIN_STRING] = FR_TEXT,
    [FR_PIN_JSON] = FR_JSON,
    [FR_PIN_UUID] = FR_UUID,
    [FR_PIN_ENUM] = FR_TEXT,
    [FR_PIN_FIXED] = FR_BYTES,
    [FR_PIN_DECIMAL] = FR_DECIMAL,
    [FR_PIN_FIXED_DECIMAL] = FR_DECIMAL,
    [FR_PIN_DATE] = FR_DATE,
    [FR_PIN_TIME_MILLIS] = FR_TIME,
    [FR_PIN_TIME] = FR_TIME,
    [FR_PIN_TIMESTAMP_MILLIS] = FR_TIMESTAMP,
    [FR_PIN_TIMESTAMP] = FR_TIMESTAMP,
    [FR_PIN_DATETIME_MILLIS] = FR_DATETIME,
    [FR_PIN_DATETIME] = FR_DATETIME,
};

/* A column that the contract alone speaks of: values are written as its field has them. */
static void add_pinned(maker *m, const char *name, const fr_contract_field *field)
{
    fr_column *c = &m->columns[m->count++];
    *c = (fr_column){.name = fr_cstr(name),
                     .kind = pinned[field->type],
                     .nullable = !fr_texts_have(&m->place->table->key, fr_cstr(name)),
                     .native_type = FR_STR("contract")};
    if (c->kind != FR_DECIMAL)
        return;
    c->precision = field->precision;
    c->scale = field->scale;
}

/* The field that a column is published as. */
static const fr_contract_field *field_of(const maker *m, const char *name)
{
    const char *renamed = fr_pairs_get(&m->place->table->column_rename, fr_cstr(name));
    fr_str field = fr_avro_name(m->a, fr_cstr(renamed != NULL ? renamed : name));
    return m->contract == NULL ? NULL : fr_contract_find(m->contract, field);
}

static bool known(const maker *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (fr_str_is(m->columns[i].name, name))
            return true;
    return false;
}

static fr_rc no_type(maker *m, const char *row, const char *name)
{
    fr_fail(m->err, FR_ERR_CONFIG, "%s: %s.given.%s.%s: nobody says what type it has",
            m->test->place, m->test->path, row, name);
    fr_fail_code(m->err, "test.type");
    return fr_fail_hint(
        m->err, "write it as CREATE TABLE has it: given: {types: {%s: numeric(10,2)}}", name);
}

static fr_rc check_row(maker *m, const char *row, const fr_cells *cells)
{
    for (size_t i = 0; i < cells->count; i++) {
        const char *name = cells->items[i].name;
        if (known(m, name))
            continue;
        const fr_contract_field *field = field_of(m, name);
        if (field != NULL && fr_pairs_get(&m->place->table->column_types, fr_cstr(name)) == NULL) {
            add_pinned(m, name, field);
            continue;
        }
        if (fr_pairs_get(&m->place->table->column_types, fr_cstr(name)) == NULL ||
            fr_pairs_get(&m->place->table->column_derive, fr_cstr(name)) != NULL)
            return no_type(m, row, name);
        FR_TRY(add_column(m, name, NULL));
    }
    return FR_OK;
}

/* Fields of the contract that no row of the test has, and that have no default: as columns of their
 * names. */
static void add_rest(maker *m)
{
    const fr_table_settings *s = m->place->table;
    for (size_t i = 0; m->contract != NULL && i < m->contract->field_count; i++) {
        const fr_contract_field *f = &m->contract->fields[i];
        fr_str name = fr_avro_name_back(m->a, f->name);
        bool met =
            f->nullable || f->fallback.ptr != NULL || fr_pairs_get(&s->column_derive, name) != NULL;
        for (size_t k = 0; k < m->count && !met; k++)
            met = field_of(m, fr_arena_cstr(m->a, m->columns[k].name)) == f;
        if (met)
            continue;
        for (size_t k = 0; k < s->column_rename.count; k++)
            if (fr_str_is(name, s->column_rename.items[k].value))
                name = fr_cstr(s->column_rename.items[k].name);
        add_pinned(m, fr_arena_cstr(m->a, name), f);
    }
}

static fr_rc check_key(maker *m)
{
    const fr_table_settings *s = m->place->table;
    if (s->append_only || s->outbox.on || s->key.count > 0 || m->keys > 0)
        return FR_OK;
    fr_fail(m->err, FR_ERR_CONFIG, "%s: %s.given.types: nobody says what the key is",
            m->test->place, m->test->path);
    fr_fail_code(m->err, "test.key");
    return fr_fail_hint(m->err, "given: {types: {id: bigint primary key}}");
}

static bool is_key(const maker *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (fr_str_is(m->columns[i].name, name) && m->columns[i].key_ordinal > 0)
            return true;
    return fr_texts_have(&m->place->table->key, fr_cstr(name));
}

/* A row before that has nothing but its key is what a source logs that keeps no more. */
static bool full_before(const maker *m)
{
    const fr_cells *before = &m->test->before;
    for (size_t i = 0; i < before->count; i++)
        if (!is_key(m, before->items[i].name))
            return true;
    return before->count == 0;
}

fr_rc fr_trial_table(const fr_config *config, const fr_config_place *place, const fr_test *test,
                     const fr_contract *contract, fr_arena *a, const fr_table **out, fr_err *err)
{
    size_t most = test->types.count + test->before.count + test->after.count;
    maker m = {.config = config, .place = place, .test = test, .a = a, .err = err};
    if (contract != NULL)
        FR_TRY(fr_contract_parse(a, contract, &m.contract, err));
    most += m.contract != NULL ? m.contract->field_count : 0;
    m.columns = fr_arena_alloc(a, (most + 1) * sizeof(*m.columns));
    for (size_t i = 0; i < test->types.count; i++)
        FR_TRY(add_column(&m, test->types.items[i].name, test->types.items[i].value));
    FR_TRY(check_row(&m, "before", &test->before));
    FR_TRY(check_row(&m, "after", &test->after));
    add_rest(&m);
    FR_TRY(check_key(&m));
    fr_table like = {.space = place->space,
                     .name = place->name,
                     .full_before = full_before(&m),
                     .partial = true,
                     .column_count = m.count,
                     .columns = m.columns};
    *out = fr_table_new(&like);
    return FR_OK;
}
