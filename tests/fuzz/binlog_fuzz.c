/* A binlog as a server sends it: events without checksums, one after the other (fuzz targets 2 to 5
 * and 8 of the failure catalogue). The first byte: how many events a batch holds. */
#include "connectors/mysql/binlog_decode.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_rc describe(void *context, fr_my_relation *r, fr_arena *a, fr_err *err)
{
    (void)context;
    (void)a;
    (void)err;
    r->captured = r->columns != NULL && r->named && r->name.ptr[0] != 'n';
    return FR_OK;
}

static fr_rc xa(void *context, fr_binlog_xa what, fr_str xid, uint32_t rows, fr_err *err)
{
    (void)context;
    (void)what;
    (void)xid;
    (void)rows;
    (void)err;
    return FR_OK;
}

/* Every byte that an event points to is there. */
static size_t touch(const fr_batch *b)
{
    size_t sum = 0;
    for (size_t i = 0; i < b->count; i++) {
        const fr_row *sides[] = {&b->events[i].before, &b->events[i].after};
        for (size_t s = 0; s < 2; s++) {
            for (size_t k = 0; k < sides[s]->count; k++) {
                const fr_value *v = &sides[s]->values[k];
                fr_kind kind = v->kind;
                if (kind <= FR_NULL)
                    continue;
                if (kind != b->events[i].table->columns[k].kind)
                    abort();
                bool text = kind == FR_TEXT || kind == FR_JSON || kind == FR_UUID;
                if (text && !fr_utf8_valid(v->bytes))
                    abort();
                if (text || kind == FR_BYTES || kind == FR_DECIMAL)
                    sum += fr_crc32c(0, v->bytes.ptr, v->bytes.len);
            }
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    fr_binlog_calls calls = {.describe = describe, .xa = data[0] % 2 == 0 ? xa : NULL};
    fr_binlog_options options = {.family = FR_GTID_MYSQL, .max_event = 1 << 20, .statements = true};
    options.xa_hold = data[0] % 4 == 1;
    options.xa_limit = 1 << 16;
    fr_binlog *d = fr_binlog_new(&calls, &options, NULL);
    fr_batch *b = fr_batch_new(1 + data[0], 1 << 16);
    fr_err err;
    fr_rc rc = FR_OK;
    size_t at = 1, idle = 0;
    while (rc != FR_FAIL && at + 19 <= size) {
        fr_in in = fr_in_of((fr_str){(const char *)data + at + 9, 4});
        size_t n = fr_in_u32le(&in);
        if (n < 19 || n > size - at)
            n = size - at;
        size_t had = b->count;
        rc = fr_binlog_event(d, b, (fr_str){(const char *)data + at, n}, &err);
        if (rc == FR_FAIL && err.text[0] == '\0')
            abort();
        if (rc != FR_IDLE) {
            at += n;
            idle = 0;
            continue;
        }
        if (had == 0 && b->count == 0 && ++idle > 2) /* no headway with an empty batch */
            abort();
        touch(b);
        fr_batch_reset(b);
    }
    touch(b);
    fr_batch_free(b);
    fr_binlog_free(d);
    return 0;
}
