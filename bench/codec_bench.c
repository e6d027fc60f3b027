/* Time of encoding and of decoding one row: 12 columns, envelope standard, one core.
 *     codec_bench [ROUNDS]
 * Prints nanoseconds and bytes a row. The batch is 4,096 rows, as the reader fills them. */
#include "bench/codec_rows.h"
#include "codec/decode.h"

static fr_table_settings table_settings = {.tombstones = true, .schema_compat = -1};

static fr_rc route(void *context, const fr_table *t, const fr_route **out, fr_err *err)
{
    static uint16_t fields[COLUMNS], key[1];
    static fr_route r;
    (void)context, (void)err;
    for (uint16_t i = 0; i < COLUMNS; i++)
        fields[i] = i;
    r = (fr_route){.table = t,
                   .settings = &table_settings,
                   .topic = FR_STR("erp.public.orders"),
                   .schema_name = FR_STR("erp.public.orders"),
                   .fields = fields,
                   .field_count = COLUMNS,
                   .key = key,
                   .key_count = 1};
    *out = &r;
    return FR_OK;
}

static fr_rc name_of(void *context, fr_arena *a, fr_str topic, fr_str *space, fr_str *name,
                     fr_err *err)
{
    (void)context, (void)a, (void)topic, (void)err;
    *space = FR_STR("");
    *name = FR_STR("orders");
    return FR_OK;
}

static int64_t run_decode(fr_decoder *d, const fr_batch *from, fr_batch *to)
{
    fr_err err;
    fr_batch_reset(to);
    for (size_t i = 0; i < from->message_count; i++) {
        fr_message *m = fr_batch_message(to);
        *m = from->messages[i];
        m->partition = 0;
        m->offset = (int64_t)i;
    }
    int64_t began = fr_now_us();
    for (size_t i = 0; i < to->message_count; i++)
        check(fr_decode(d, to, i, &err), &err);
    return fr_now_us() - began;
}

int main(int argc, char **argv)
{
    static fr_source_settings source = {.prefix = "erp", .max_row_bytes = 16 << 20};
    static fr_kafka_settings kafka;
    scratch place;
    fr_txn txn = {.id = FR_STR("99182"), .commit_us = 1785578400123456};
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
    if (rounds < 1)
        return 1;
    open_scratch(&place);
    fr_encoder_settings s = {.source = &source,
                             .registry_settings = &place.settings,
                             .kafka = &kafka,
                             .route = route,
                             .origin = bench_origin};
    make_table();
    fr_encoder *e = fr_encoder_new(&s, place.registry);
    fr_decoder *d = fr_decoder_new(place.registry, 16 << 20, name_of, NULL);
    fr_batch *b = fr_batch_new(ROWS, SIZE_MAX), *back = fr_batch_new(ROWS + 1, SIZE_MAX);
    int64_t encode = INT64_MAX, decode = INT64_MAX;
    for (long i = 0; i < rounds; i++) {
        int64_t us = run_encode(e, b, &txn);
        encode = us < encode ? us : encode;
        us = run_decode(d, b, back);
        decode = us < decode ? us : decode;
    }
    size_t bytes = b->messages[0].payload.len + b->messages[0].key.len;
    printf("encode %.0f ns/row, decode %.0f ns/row, %zu bytes/row (best of %ld rounds of %d)\n",
           (double)encode * 1000 / (int)ROWS, (double)decode * 1000 / (int)ROWS, bytes, rounds,
           ROWS);
    fr_encoder_free(e);
    fr_decoder_free(d);
    fr_batch_free(b);
    fr_batch_free(back);
    fr_table_unref(table);
    close_scratch(&place);
    return 0;
}
