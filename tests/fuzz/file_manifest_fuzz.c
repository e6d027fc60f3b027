/* A file of a folder's manifest. Without its last member, the sum, which is put behind what the
 * fuzzer makes: else it would never come further. What is taken is written as it was read, and what
 * follows on nothing is a fold, too. */
#include "file/file_manifest.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_str written(fr_arena *a, const fr_file_record *r)
{
    fr_buf b = {.arena = a};
    fr_file_record_write(&b, r);
    return fr_buf_view(&b);
}

static void one(fr_arena *a, fr_str text)
{
    fr_file_record r, again, fold;
    fr_err err;
    if (fr_file_record_read(a, text, &r, &err) == FR_FAIL) {
        if (err.kind != FR_ERR_CONFIG || err.code[0] == '\0' || err.hint[0] == '\0')
            abort();
        return;
    }
    fr_str first = written(a, &r);
    if (fr_file_record_read(a, first, &again, &err) == FR_FAIL ||
        !fr_str_eq(written(a, &again), first))
        abort();
    for (size_t i = 0; i < r.add.count; i++)
        if (!fr_file_path_valid(r.add.items[i].path) ||
            r.add.items[i].path.len < r.add.items[i].day.len + 4) /* F/DAY/N */
            abort();
    fr_file_state *s = fr_file_state_new();
    if (r.kind != FR_FILE_FOLD)
        s->seq = r.seq - 1;
    if (fr_file_state_apply(s, &r, &err) == FR_OK) {
        fr_file_state *t = fr_file_state_new();
        fr_file_state_fold(s, a, &fold);
        if (fr_file_state_apply(t, &fold, &err) == FR_FAIL)
            abort();
        fr_file_state_free(t);
    }
    fr_file_state_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf b = {.arena = a};
    fr_str raw = {(const char *)data, size};
    one(a, raw);
    fr_buf_str(&b, raw);
    fr_buf_printf(&b, ",\"crc\":\"%08x\"}\n", fr_crc32c(0, raw.ptr, raw.len));
    one(a, fr_buf_view(&b));
    fr_arena_free(a);
    return 0;
}
