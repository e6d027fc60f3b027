/* The text of a contract: parsing, then pinning it to a table that has a column for each field, of
 * kinds that the fields' names choose, with its rules. Schemas of what is pinned must be schemas,
 * and what is converted be of the kind that is written. */
#include "codec/avro_schema.h"
#include "codec/contract.h"
#include "transform/rules.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_FIELDS = 200 };

static fr_value value_of(const fr_column *c, uint64_t n)
{
    static const char bytes[] = "\x04\xd2"
                                "7f3e0c52-9a1b-4c6d-8e2f-001122334455";
    fr_value v = {.kind = c->kind};
    switch (c->kind) {
    case FR_BOOL:
        v.boolean = n % 2 == 0;
        break;
    case FR_FLOAT32:
    case FR_FLOAT64:
        v.real = (double)(int64_t)n / 3;
        break;
    case FR_DECIMAL:
        v.bytes = (fr_str){bytes, 1 + n % 2};
        break;
    case FR_UUID:
        v.bytes = (fr_str){bytes + 2, 36};
        break;
    case FR_TEXT:
    case FR_JSON:
    case FR_BYTES:
        v.bytes = (fr_str){bytes + 2, n % 37};
        break;
    default:
        v.integer = n % 3 == 0 ? (int64_t)n : (int64_t)(n % 100000) * 1000;
    }
    return v;
}

static void convert(fr_arena *a, const fr_pin *pin, const fr_table *t, size_t i)
{
    const fr_pin_column *c = &pin->columns[i];
    for (uint64_t k = 0; c->field != NULL && c->convert != NULL && k < 4; k++) {
        fr_value v = value_of(&t->columns[i], k * 0x9E3779B97F4A7C15u);
        if (c->convert(a, c, &v) == NULL && v.kind != fr_pin_kind(c->field->type))
            abort();
    }
}

static void schemas_of(fr_arena *a, const fr_route *route)
{
    const fr_origin origin = {.version = FR_STR("0"),
                              .type = FR_STR("postgres"),
                              .connector = FR_STR("postgresql"),
                              .prefix = FR_STR("p"),
                              .db = FR_STR("d")};
    const fr_avro_node *n;
    fr_err err;
    fr_str text, row;
    if (fr_schema_key(a, route, &text, &err) == FR_OK && fr_avro_parse(a, text, &n, &err) != FR_OK)
        abort();
    if (fr_schema_value(a, route, &origin, &text, &err) == FR_OK &&
        (fr_contract_row(a, text, &row, &err) != FR_OK ||
         !fr_str_eq(row, route->pin->record->text)))
        abort();
}

static void pin_to(fr_arena *a, const fr_contract *c, const fr_contract_record *r)
{
    static const fr_table_settings settings = {.place = "fuzz", .schema_compat = -1};
    fr_column columns[MOST_FIELDS];
    uint16_t fields[MOST_FIELDS], key[1] = {0};
    for (size_t i = 0; i < r->field_count; i++) {
        uint64_t hash = fr_hash64(r->fields[i].name.ptr, r->fields[i].name.len);
        fr_kind own = fr_pin_kind(r->fields[i].type);
        bool usual = hash % 4 != 0 && own < FR_KIND_COUNT && own > FR_NULL;
        columns[i] = (fr_column){.name = r->fields[i].name,
                                 .kind = usual ? own : (fr_kind)(FR_BOOL + hash / 4 % 14),
                                 .precision = 10,
                                 .scale = 2,
                                 .native_type = FR_STR("native"),
                                 .doc = FR_STR(""),
                                 .fallback = FR_STR("")};
        fields[i] = (uint16_t)i;
    }
    const fr_table like = {.space = FR_STR("s"),
                           .name = FR_STR("t"),
                           .full_before = true,
                           .column_count = r->field_count,
                           .columns = columns};
    const fr_table *t = fr_table_new(&like);
    fr_route route = {.table = t,
                      .source = t,
                      .settings = &settings,
                      .topic = FR_STR("t"),
                      .fields = fields,
                      .field_count = r->field_count,
                      .key = key,
                      .key_count = 1};
    fr_derive_tools tools = {0};
    fr_err err;
    if (fr_contract_bind(a, &route, c, &err) == FR_OK) {
        for (size_t i = 0; i < r->field_count; i++)
            convert(a, route.pin, t, i);
        schemas_of(a, &route);
        fr_rules_compile(a, &tools, &route, &err);
    }
    fr_derive_tools_close(&tools);
    fr_table_unref(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_arena *a = fr_arena_new(0);
    const fr_contract c = {.path = "fuzz.avsc", .text = {(const char *)data, size}};
    const fr_contract_record *r;
    fr_str row;
    fr_err err;
    if (size > 20000) {
        fr_arena_free(a);
        return 0;
    }
    if (fr_contract_parse(a, &c, &r, &err) == FR_OK && r->field_count <= MOST_FIELDS)
        pin_to(a, &c, r);
    fr_contract_row(a, c.text, &row, &err);
    fr_arena_free(a);
    return 0;
}
