/* The rows that bench/codec_bench.c and contract_cost.c encode: 12 columns, 4,096 rows a batch, as
 * the reader fills them. */
#ifndef FR_BENCH_CODEC_ROWS_H
#define FR_BENCH_CODEC_ROWS_H

#include "base/clock.h"
#include "codec/encode.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 4096, COLUMNS = 12 };

static const fr_table *table;

static inline void make_table(void)
{
    static const fr_kind kinds[COLUMNS] = {FR_INT64,   FR_TEXT, FR_TEXT,      FR_DECIMAL,
                                           FR_INT32,   FR_BOOL, FR_TIMESTAMP, FR_DATE,
                                           FR_FLOAT64, FR_TEXT, FR_UUID,      FR_INT32};
    static const char *const names[COLUMNS] = {"id",     "customer", "note",   "amount",
                                               "lines",  "paid",     "placed", "due",
                                               "weight", "country",  "token",  "version"};
    fr_column c[COLUMNS] = {{.key_ordinal = 1}};
    for (size_t i = 0; i < COLUMNS; i++) {
        c[i].name = fr_cstr(names[i]);
        c[i].kind = kinds[i];
        c[i].nullable = i > 0;
        c[i].precision = 12;
        c[i].scale = 2;
    }
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("orders"),
                     .full_before = true,
                     .column_count = COLUMNS,
                     .columns = c};
    table = fr_table_new(&like);
}

static inline void fill(fr_batch *b, const fr_txn *txn)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        fr_event *event = fr_batch_add(b, FR_OP_INSERT, table);
        fr_value *v = fr_batch_row(b, table, &event->after);
        v[0] = (fr_value){.kind = FR_INT64, .integer = 1000000 + i};
        v[1] = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("Ada Lovelace & Co")};
        v[2] = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("deliver to the back door, please")};
        v[3] = (fr_value){.kind = FR_DECIMAL, .bytes = {"\x01\xe2\x40", 3}};
        v[4] = (fr_value){.kind = FR_INT32, .integer = i % 50};
        v[5] = (fr_value){.kind = FR_BOOL, .boolean = i % 2 == 0};
        v[6] = (fr_value){.kind = FR_TIMESTAMP, .integer = 1785578400123456 + i};
        v[7] = (fr_value){.kind = FR_DATE, .integer = 20666};
        v[8] = (fr_value){.kind = FR_FLOAT64, .real = 12.5 * i};
        v[9] = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("DE")};
        v[10] =
            (fr_value){.kind = FR_UUID, .bytes = FR_STR("00112233-4455-6677-8899-aabbccddeeff")};
        v[11] = (fr_value){.kind = FR_NULL};
        event->txn = txn;
        event->position.lsn = UINT64_C(0x2F8A10B7C8);
        event->position.row_lsn = UINT64_C(0x2F8A10B000) + i;
        event->position.ordinal = i;
    }
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void check(fr_rc rc, const fr_err *err)
{
    if (rc == FR_OK)
        return;
    fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

static inline int64_t run_encode(fr_encoder *e, fr_batch *b, const fr_txn *txn)
{
    fr_err err;
    size_t done;
    fr_batch_reset(b);
    fill(b, txn);
    int64_t began = fr_now_us();
    check(fr_encode(e, b, 0, b->count, &done, &err), &err);
    return fr_now_us() - began;
}

/* A registry in a directory of its own. */
typedef struct scratch {
    char dir[32], url[64];
    const char *urls[1];
    fr_registry_settings settings;
    fr_registry *registry;
} scratch;

static inline void open_scratch(scratch *s)
{
    fr_err err;
    strcpy(s->dir, "/tmp/fr_bench_XXXXXX");
    if (mkdtemp(s->dir) == NULL)
        exit(1);
    snprintf(s->url, sizeof s->url, "file:%s/registry", s->dir);
    s->urls[0] = s->url;
    s->settings = (fr_registry_settings){.url = {s->urls, 1}, .register_when = FR_WHEN_RUN};
    check(fr_registry_open(&s->settings, &s->registry, &err), &err);
}

static inline void close_scratch(scratch *s)
{
    fr_registry_close(s->registry);
    nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const fr_origin bench_origin = {.version = {"0.1.0", 5},
                                       .type = {"postgres", 8},
                                       .connector = {"postgresql", 10},
                                       .prefix = {"erp", 3},
                                       .db = {"shop", 4}};

#endif
