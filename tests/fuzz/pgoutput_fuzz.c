/* A stream of pgoutput messages: each has two bytes of length (big-endian) in front. The
 * first byte of all says how large batches are and what the catalog adds. */
#include "connectors/postgres/pgoutput_decode.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_rc describe(void *context, fr_pg_relation *r, fr_arena *a, fr_err *err)
{
    uint8_t flags = *(const uint8_t *)context;
    (void)a;
    (void)err;
    r->captured = (flags & 0x10) == 0 || r->oid % 2 == 0;
    for (size_t i = 0; i < r->column_count; i++) {
        r->columns[i].nullable = (flags & 0x20) == 0;
        r->columns[i].plain = (flags & 0x40) != 0;
        r->columns[i].as_text = (flags & 0x80) != 0;
        r->columns[i].primary = (flags & 0x20) != 0 && i == 0;
    }
    return FR_OK;
}

static fr_rc lookup(void *context, uint32_t oid, fr_pg_catalog *catalog, fr_err *err)
{
    (void)context;
    (void)err;
    fr_pg_type t = {.oid = oid,
                    .space = FR_STR("s"),
                    .name = FR_STR("t"),
                    .typtype = oid % 3 == 0 ? 'e' : 'd',
                    .category = 'U',
                    .delimiter = ',',
                    .length = -1,
                    .base = oid % 3 == 1 ? oid / 2 : 25,
                    .base_typmod = -1,
                    .storage = 'x'};
    if (oid % 5 != 0)
        fr_pg_catalog_add(catalog, &t);
    return FR_OK;
}

static void check(const fr_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        const fr_row *rows[2] = {&e->before, &e->after};
        for (int k = 0; k < 2; k++)
            for (size_t c = 0; c < rows[k]->count; c++) {
                fr_kind kind = rows[k]->values[c].kind;
                if (kind != FR_ABSENT && kind != FR_NULL && kind != e->table->columns[c].kind)
                    abort();
            }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t flags = data[0];
    fr_pgoutput_calls calls = {&flags, describe, lookup};
    fr_pg_catalog *catalog = fr_pg_catalog_new();
    fr_pgoutput *p = fr_pgoutput_new(&calls, catalog, 1);
    fr_batch *b = fr_batch_new((flags & 0x0f) + 1u, 1 << 16);
    fr_in in = fr_in_of((fr_str){(const char *)data + 1, size - 1});
    fr_err err;
    fr_rc rc = FR_OK;
    while (rc != FR_FAIL && fr_in_left(&in) > 0) {
        fr_str message = fr_in_take(&in, fr_in_u16be(&in));
        if (in.bad)
            break;
        do {
            if (rc == FR_IDLE)
                fr_batch_reset(b);
            rc = fr_pgoutput_message(p, b, message, 100, &err);
        } while (rc == FR_IDLE);
        check(b);
    }
    if (rc == FR_FAIL && err.code[0] == '\0')
        abort();
    fr_batch_free(b);
    fr_pgoutput_free(p);
    fr_pg_catalog_free(catalog);
    return 0;
}
