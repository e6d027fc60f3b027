#include "codec/avro_type.h"
#include "codec/contract.h"
#include "codec/registry.h"
#include "model/name.h"

#include <string.h>

/* A contract and the columns of one table version: which field is of which column. */

typedef struct binding {
    fr_arena *a;
    fr_route *route;
    fr_pin *pin;
    const fr_contract_record *record;
    fr_str *names; /* Avro's, of each published column; empty: it is not published */
    fr_err *err;
} binding;

/* FR_FAIL. */
static fr_rc refuse(const binding *b, const char *code, const fr_contract_field *f, fr_str what,
                    const char *hint)
{
    const fr_table *t = b->route->table;
    if (b->pin->kept != NULL) {
        fr_fail(b->err, FR_ERR_SCHEMA,
                "table %.*s.%.*s: schema.on_change says ignore, but its former shape cannot be "
                "kept: field %.*s: %.*s",
                FR_ARG(t->space), FR_ARG(t->name), f != NULL ? (int)f->name.len : 0,
                f != NULL ? f->name.ptr : "", FR_ARG(what));
        fr_fail_code(b->err, "schema.blocked");
        return fr_fail_hint(b->err, "tell the consumers, then set schema.on_change of this kind of "
                                    "change to evolve, and start freshet again; or change the "
                                    "table back");
    }
    fr_fail(b->err, FR_ERR_SCHEMA, "table %.*s.%.*s: contract %s%s%.*s: %.*s", FR_ARG(t->space),
            FR_ARG(t->name), b->pin->contract->path, f != NULL ? ", field " : "",
            f != NULL ? (int)f->name.len : 0, f != NULL ? f->name.ptr : "", FR_ARG(what));
    fr_fail_code(b->err, code);
    return fr_fail_hint(b->err, "%s", hint);
}

static const fr_column *column_at(const binding *b, int column)
{
    return &b->route->table->columns[column];
}

/* The published column of this name, or -1. */
static int column_of(const binding *b, fr_str name)
{
    for (size_t i = 0; i < b->pin->all_count; i++) {
        uint16_t column = b->pin->all_fields[i];
        if (fr_str_eq(b->names[column], name) || fr_str_eq(column_at(b, column)->name, name))
            return column;
    }
    return -1;
}

/* The column that a field is by its name; of a shape that is kept it may have another one now. */
static fr_str name_of(const binding *b, fr_str field)
{
    const fr_kept *kept = b->pin->kept;
    for (size_t i = 0; kept != NULL && i < kept->count; i++)
        if (fr_str_eq(kept->renamed[i].field, field))
            return kept->renamed[i].column;
    return field;
}

static void bind_names(binding *b)
{
    const fr_contract_record *r = b->record;
    for (size_t i = 0; i < r->field_count; i++) {
        int column = column_of(b, name_of(b, r->fields[i].name));
        b->pin->by_field[i] = column;
        if (column >= 0)
            b->pin->columns[column].field = &r->fields[i];
    }
}

/* A column that has a field by its name is no other field's. */
static fr_rc bind_alias(binding *b, size_t i)
{
    const fr_contract_field *f = &b->record->fields[i];
    for (size_t k = 0; k < f->alias_count; k++) {
        int column = column_of(b, f->aliases[k]), before = b->pin->by_field[i];
        if (column < 0 || column == before || b->pin->columns[column].field != NULL)
            continue;
        if (before >= 0)
            return refuse(b, "contract.alias", f,
                          fr_arena_printf(b->a,
                                          "columns %.*s and %.*s are both meant by its "
                                          "aliases",
                                          FR_ARG(column_at(b, before)->name),
                                          FR_ARG(column_at(b, column)->name)),
                          "remove one of the aliases, or give one of the columns another name "
                          "(columns.rename)");
        b->pin->by_field[i] = column;
    }
    if (b->pin->by_field[i] >= 0)
        b->pin->columns[b->pin->by_field[i]].field = f;
    return FR_OK;
}

/* Columns that have no field yet, to guess what was meant. */
static fr_str like(const binding *b, fr_str name)
{
    fr_column *columns = fr_arena_alloc(b->a, (b->pin->all_count + 1) * sizeof *columns);
    fr_table free_ones = {.columns = columns};
    for (size_t i = 0; i < b->pin->all_count; i++) {
        uint16_t column = b->pin->all_fields[i];
        if (b->pin->columns[column].field == NULL)
            columns[free_ones.column_count++].name = b->names[column];
    }
    const fr_column *near = fr_table_nearest(&free_ones, name);
    return near == NULL ? FR_STR("") : near->name;
}

static fr_rc bind_field(binding *b, size_t i)
{
    const fr_contract_field *f = &b->record->fields[i];
    if (b->pin->by_field[i] < 0)
        FR_TRY(bind_alias(b, i));
    if (b->pin->by_field[i] >= 0 || f->fallback.ptr != NULL)
        return FR_OK;
    if (b->pin->kept != NULL)
        return refuse(b, "", f,
                      FR_STR("its column is gone, and it is neither nullable nor has it "
                             "a default"),
                      "");
    fr_str near = like(b, f->name);
    refuse(b, "contract.column", f,
           FR_STR("no published column has its name or alias, and it has no default"),
           "publish the column (columns.include, .exclude, .rename, .derive), or make the field "
           "nullable or give it a default");
    if (near.len == 0)
        return FR_FAIL;
    return fr_fail_hint(b->err,
                        "did you mean column %.*s? Give the field \"aliases\": [\"%.*s\"], or "
                        "name the column so in columns.rename; else make the field nullable or "
                        "give it a default",
                        FR_ARG(near), FR_ARG(near));
}

static fr_str type_text(const binding *b, const fr_contract_field *f)
{
    const fr_avro_node *n = f->node;
    if (n->logical.len == 0)
        return fr_cstr(fr_avro_word(n->tag));
    if (fr_str_is(n->logical, "decimal"))
        return fr_arena_printf(b->a, "decimal(%d,%d)", f->precision, f->scale);
    return n->logical;
}

static fr_rc bind_type(const binding *b, int column)
{
    fr_pin_column *c = &b->pin->columns[column];
    fr_avro_type t;
    FR_TRY(fr_avro_type_base(b->route, (uint16_t)column, &t, b->err));
    c->from = *column_at(b, column);
    c->from.kind = t.kind;
    c->from.precision = t.precision;
    c->from.scale = t.scale;
    c->from.span = t.span;
    if (c->field == NULL || fr_pin_fit(&c->from, c->field, &c->convert) != FR_END)
        return FR_OK;
    fr_str type = type_text(b, c->field);
    return refuse(b, "contract.type", c->field,
                  fr_arena_printf(b->a, "column %.*s (%.*s, %s) cannot be written as %.*s",
                                  FR_ARG(c->from.name), FR_ARG(c->from.native_type),
                                  fr_kind_name(c->from.kind), FR_ARG(type)),
                  "docs/contracts.md says which columns go into which types: change the field, or "
                  "the column's type in columns.types");
}

/* What after may lack has to be sayable. What only an old row lacks need not be: it is left out. */
static fr_rc check_absent(const binding *b, int column)
{
    const fr_contract_field *f = b->pin->columns[column].field;
    if (f == NULL || f->nullable || !fr_avro_may_be_absent(b->route, column_at(b, column)))
        return FR_OK;
    const fr_table *t = b->route->table;
    refuse(b, "contract.absent", f,
           FR_STR("the source leaves large values out that did not change, and the field is not "
                  "nullable"),
           "");
    return fr_fail_hint(b->err,
                        "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL, or make the field nullable",
                        FR_ARG(t->space), FR_ARG(t->name));
}

static fr_rc check_key(const binding *b)
{
    for (size_t i = 0; i < b->route->key_count; i++) {
        int column = b->route->key[i];
        const fr_contract_field *f = b->pin->columns[column].field;
        fr_buf ignored = {.arena = b->a};
        if (f == NULL)
            return refuse(b, "contract.key", NULL,
                          fr_arena_printf(b->a, "key column %.*s has no field",
                                          FR_ARG(column_at(b, column)->name)),
                          "add the field: each field of the key is one of the row, too");
        if (f->nullable)
            return refuse(b, "contract.key", f,
                          FR_STR("it is part of the key, and nullable: a key is never null"),
                          "take null out of its type");
        if (!fr_pin_key_type(&ignored, f))
            return refuse(b, "contract.key", f,
                          FR_STR("an enum or fixed cannot be part of a key, which never changes"),
                          "make it a string or bytes");
    }
    return FR_OK;
}

/* The columns that have a field, in table order. */
static fr_rc set_fields(binding *b)
{
    fr_route *route = b->route;
    fr_str extra = FR_STR("");
    size_t count = 0;
    uint16_t *fields = fr_arena_alloc(b->a, (b->pin->all_count + 1) * sizeof *fields);
    for (size_t i = 0; i < b->pin->all_count; i++) {
        uint16_t column = b->pin->all_fields[i];
        if (b->pin->columns[column].field != NULL)
            fields[count++] = column;
        else
            extra = fr_arena_printf(b->a, "%.*s%s%.*s", FR_ARG(extra), extra.len > 0 ? ", " : "",
                                    FR_ARG(column_at(b, column)->name));
    }
    route->fields = fields;
    route->field_count = count;
    if (extra.len == 0 || route->settings->schema_extra == 0 || b->pin->kept != NULL)
        return FR_OK;
    return refuse(b, "contract.extra", NULL,
                  fr_arena_printf(b->a, "it has no field for %.*s, and schema.extra says refuse",
                                  FR_ARG(extra)),
                  "add the fields, leave the columns out (columns.exclude), or set schema.extra: "
                  "leave_out");
}

static fr_rc bind(binding *b)
{
    const fr_contract_record *r = b->record;
    size_t count = b->route->table->column_count;
    b->pin->columns = fr_arena_alloc(b->a, (count + 1) * sizeof *b->pin->columns);
    b->pin->by_field = fr_arena_alloc(b->a, (r->field_count + 1) * sizeof *b->pin->by_field);
    b->names = fr_arena_alloc(b->a, (count + 1) * sizeof *b->names);
    for (size_t i = 0; i < b->pin->all_count; i++) {
        uint16_t column = b->pin->all_fields[i];
        b->names[column] = fr_avro_name(b->a, column_at(b, column)->name);
    }
    bind_names(b);
    for (size_t i = 0; i < r->field_count; i++)
        FR_TRY(bind_field(b, i));
    for (size_t i = 0; i < b->pin->all_count; i++) {
        FR_TRY(bind_type(b, b->pin->all_fields[i]));
        FR_TRY(check_absent(b, b->pin->all_fields[i]));
    }
    FR_TRY(check_key(b));
    return set_fields(b);
}

static fr_rc bind_route(fr_arena *a, fr_route *route, const fr_contract *c, const fr_kept *kept,
                        fr_err *err)
{
    fr_pin *pin = fr_arena_alloc(a, sizeof *pin);
    binding b = {.a = a, .route = route, .pin = pin, .err = err};
    const fr_pin *old = route->pin;
    pin->contract = c;
    pin->kept = kept;
    pin->all_fields = old != NULL ? old->all_fields : route->fields;
    pin->all_count = old != NULL ? old->all_count : route->field_count;
    pin->broken = fr_arena_alloc(a, sizeof *pin->broken);
    FR_TRY(fr_contract_parse(a, c, &b.record, err));
    pin->record = b.record;
    route->pin = NULL; /* types are those of the columns meanwhile */
    FR_TRY(bind(&b));
    route->pin = pin;
    route->schema_name = b.record->name;
    return FR_OK;
}

fr_rc fr_contract_bind(fr_arena *a, fr_route *route, const fr_contract *c, fr_err *err)
{
    return bind_route(a, route, c, NULL, err);
}

fr_rc fr_contract_keep(fr_arena *a, const fr_route *route, fr_kept *kept, const fr_route **out,
                       fr_err *err)
{
    fr_route *copy = fr_arena_raw(a, sizeof *copy);
    *copy = *route;
    kept->contract.path = "(as published last)";
    FR_TRY(bind_route(a, copy, &kept->contract, kept, err));
    *out = copy;
    return FR_OK;
}

fr_rc fr_contract_pin(fr_arena *a, const fr_route *route, const fr_contract *c,
                      const fr_route **out, fr_err *err)
{
    fr_route *copy = fr_arena_raw(a, sizeof *copy);
    *copy = *route;
    FR_TRY(fr_contract_bind(a, copy, c, err));
    *out = copy;
    return FR_OK;
}
