/* What the two fuzz targets of value decoding share: every type in turn, and one COPY row. */
#ifndef FR_TESTS_PG_VALUE_FUZZ_H
#define FR_TESTS_PG_VALUE_FUZZ_H

#include "connectors/postgres/pg_builtin.h"
#include "connectors/postgres/pg_copy.h"
#include "connectors/postgres/pg_value.h"
#include <stdlib.h>
#include <string.h>

static inline void fr_fuzz_require(bool holds)
{
    if (!holds)
        abort();
}

static inline bool fr_fuzz_text_kind(fr_kind kind)
{
    return kind == FR_TEXT || kind == FR_JSON || kind == FR_UUID;
}

static inline bool fr_fuzz_same(const fr_value *a, const fr_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == FR_BOOL)
        return a->boolean == b->boolean;
    if (a->kind == FR_FLOAT32 || a->kind == FR_FLOAT64)
        return memcmp(&a->real, &b->real, sizeof(a->real)) == 0;
    if (fr_fuzz_text_kind(a->kind) || a->kind == FR_DECIMAL || a->kind == FR_BYTES)
        return fr_str_eq(a->bytes, b->bytes);
    return a->integer == b->integer;
}

/* The codec that the first two bytes choose; false: they choose a COPY row. */
static inline bool fr_fuzz_codec(const fr_pg_catalog *c, fr_arena *a, const uint8_t *data,
                                 fr_pg_codec *out)
{
    static const int32_t typmods[] = {-1, ((10 << 16) | 2) + 4, ((38 << 16) | 10) + 4, 4 + 5};
    size_t count = 0;
    fr_err err;
    while (fr_pg_builtin_at(count) != NULL)
        count++;
    if (data[0] == 255) { /* PostGIS, of no fixed oid */
        bool as_text = (data[1] & 4) != 0;
        *out = (fr_pg_codec){.oid = 70000,
                             .wire = FR_PG_WIRE_EWKB,
                             .kind = as_text ? FR_TEXT : FR_BYTES,
                             .as_text = as_text};
        return true;
    }
    if (data[0] >= count)
        return false;
    uint32_t oid = fr_pg_builtin_at(data[0])->type.oid;
    int32_t typmod = oid == 1700 ? typmods[data[1] & 3] : -1;
    fr_fuzz_require(fr_pg_resolve(c, oid, typmod, (data[1] & 4) != 0, a, out, NULL, &err) == FR_OK);
    return true;
}

static inline void fr_fuzz_copy(const fr_pg_catalog *c, fr_arena *a, fr_str data, bool binary)
{
    static const uint32_t types[] = {23, 25, 1700, 1184, 1009, 17};
    enum { COUNT = sizeof(types) / sizeof(types[0]) };
    fr_pg_attr columns[COUNT] = {0};
    fr_err err;
    for (size_t i = 0; i < COUNT; i++)
        columns[i] = (fr_pg_attr){.name = fr_arena_printf(a, "c%zu", i),
                                  .type = types[i],
                                  .typmod = -1,
                                  .nullable = i % 2 == 0};
    fr_pg_relation r = {.oid = 1,
                        .space = FR_STR("s"),
                        .name = FR_STR("t"),
                        .identity = 'd',
                        .column_count = COUNT,
                        .columns = columns};
    fr_pg_layout *l = NULL;
    fr_fuzz_require(fr_pg_layout_new(c, &r, 1, &l, &err) == FR_OK);
    fr_batch *b = fr_batch_new(10, 1 << 20);
    fr_pg_copy copy = {.layout = l, .binary = binary, .header_seen = data.len % 2 == 0};
    fr_pg_copy_row(&copy, b, data, &err);
    fr_pg_copy_end(&copy);
    fr_batch_free(b);
    fr_pg_layout_free(l);
}

#endif
