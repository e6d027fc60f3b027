/* Checkpoint records, and the texts of polled tables in them: first byte how long the key is, then
 * key and value; several in a row, each length-prefixed, so that records meet what earlier ones
 * left. */
#include "base/bytes.h"
#include "poll/load.h"
#include "poll/lookback.h"
#include "poll/pending.h"
#include "poll/record.h"
#include "progress/checkpoint.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a poller and a drain make of it. What is read can be written, and says the same again. */
static void polled(fr_arena *a, fr_str text)
{
    static const fr_str order[] = {{"at", 2}, {"id", 2}};
    fr_err err;
    fr_poll_record r = {0};
    fr_pending p = {0}, again = {0};
    fr_rc rc = fr_poll_record_parse(a, text, order, 2, &r, &err);
    fr_gaps_free(&r.gaps);
    fr_lookback l = {0};
    if (rc == FR_OK && fr_lookback_parse(r.seen, &l) && fr_lookback_text(a, &l).len != r.seen.len)
        abort();
    fr_lookback_free(&l);
    if (rc == FR_FAIL && err.kind != FR_ERR_POSITION)
        abort();
    rc = fr_pending_parse(text, &p, &err);
    if (rc == FR_FAIL && err.kind != FR_ERR_POSITION)
        abort();
    if (rc == FR_OK &&
        (fr_pending_parse(fr_pending_record(a, &p, FR_STR("")), &again, &err) == FR_FAIL ||
         again.count != p.count || again.page != p.page))
        abort();
    fr_load load = {0};
    if (rc == FR_OK && p.load.len > 0 && fr_load_read(p.load, &load, &err) == FR_FAIL &&
        err.kind != FR_ERR_POSITION)
        abort();
    fr_load_free(&load);
    fr_pending_free(&again);
    fr_pending_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_checkpoint *c = fr_checkpoint_new();
    fr_arena *a = fr_arena_new(0);
    fr_in in = fr_in_of((fr_str){(const char *)data, size});
    while (fr_in_left(&in) > 3) {
        fr_err err;
        size_t key_len = fr_in_u8(&in), value_len = fr_in_u16le(&in);
        bool tombstone = value_len == 0xffff;
        key_len = key_len > fr_in_left(&in) ? fr_in_left(&in) : key_len;
        fr_str key = fr_in_take(&in, key_len);
        value_len = value_len > fr_in_left(&in) ? fr_in_left(&in) : value_len;
        fr_str value = tombstone ? (fr_str){NULL, 0} : fr_in_take(&in, value_len);
        if (fr_checkpoint_fold(c, key, value, &err) == FR_FAIL && err.kind != FR_ERR_POSITION) {
            abort();
        }
        if (!tombstone)
            polled(a, value);
    }
    /* What was taken in can be written, and says the same when it is read again. */
    fr_str whole = fr_checkpoint_json(a, c);
    if (c->has_stream && c->resume.len > 0) {
        fr_err err;
        fr_checkpoint *again = fr_checkpoint_new();
        fr_record r =
            fr_checkpoint_stream(a, c->creating, c->resume, &c->split, NULL, 0, c->written_us);
        if (fr_checkpoint_fold(again, r.key, r.value, &err) == FR_FAIL ||
            again->split.crc != c->split.crc || again->written_us != c->written_us) {
            abort();
        }
        fr_checkpoint_free(again);
    }
    if (whole.len == 0) {
        abort();
    }
    size_t i = 0;
    void *value;
    while (fr_map_next(c->generations, &i, NULL, &value)) {
        const fr_generation_fact *g = value, *same = NULL;
        fr_err err;
        fr_checkpoint *again = fr_checkpoint_new();
        fr_record r = fr_checkpoint_generation(a, g);
        if (fr_checkpoint_fold(again, r.key, r.value, &err) == FR_OK)
            same = fr_map_get(again->generations, g->topic);
        if (same == NULL || same->generation != g->generation || same->seen != g->seen ||
            !fr_str_eq(same->name, g->name) || !fr_str_eq(same->txn, g->txn))
            abort();
        fr_checkpoint_free(again);
    }
    fr_arena_free(a);
    fr_checkpoint_free(c);
    return 0;
}
