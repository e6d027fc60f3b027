/* What stands in a topic of dead letters: messages with headers, folded, and the rows of sources'
 * letters. A byte how many headers, and for each one which of ours it is; all texts
 * length-prefixed. */
#include "base/bytes.h"
#include "progress/letters.h"
#include <stdlib.h>

/* The program's own files are no library. */
#include "cli/dlq_row.c"
#include "cli/trial_value.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"freshet.sink",
                                    "freshet.source",
                                    "freshet.reason",
                                    "freshet.topic",
                                    "freshet.partition",
                                    "freshet.offset",
                                    "freshet.parked",
                                    "freshet.position",
                                    "freshet.v",
                                    "freshet.key_before",
                                    "freshet.cut",
                                    "freshet.mark",
                                    "id"};
enum { NAMES = sizeof(names) / sizeof(names[0]), MOST = 16 };

static bool all_of_them(void *context, const fr_letter *l)
{
    (void)context, (void)l;
    return true;
}

static fr_str text(fr_in *in)
{
    size_t n = fr_in_left(in) < 2 ? 0 : fr_in_u16le(in);
    return fr_in_take(in, n > fr_in_left(in) ? fr_in_left(in) : n);
}

static const fr_table *table(void)
{
    static const fr_table *t;
    fr_column columns[FR_KIND_COUNT] = {{0}};
    size_t n = 0;
    static char letters[FR_KIND_COUNT][1];
    for (int k = FR_NULL + 1; k < FR_KIND_COUNT; k++, n++) {
        letters[n][0] = (char)('a' + n);
        columns[n] = (fr_column){.name = {letters[n], 1},
                                 .kind = (fr_kind)k,
                                 .nullable = true,
                                 .precision = 10,
                                 .scale = 2,
                                 .native_type = FR_STR("x"),
                                 .doc = FR_STR(""),
                                 .fallback = FR_STR("")};
    }
    const fr_table like = {.space = FR_STR("s"),
                           .name = FR_STR("t"),
                           .doc = FR_STR(""),
                           .column_count = n,
                           .columns = columns};
    if (t == NULL)
        t = fr_table_new(&like);
    return t;
}

static void row(const fr_letter *l)
{
    fr_batch *b = fr_batch_new(4, 1 << 20);
    fr_err err;
    if (fr_dlq_row(b, table(), l, &err) == FR_FAIL && (err.kind != FR_ERR_DATA || err.hint[0] == 0))
        abort();
    fr_batch_free(b);
}

static void one(fr_letters *l, fr_in *in, int64_t offset)
{
    fr_header headers[MOST];
    size_t n = fr_in_u8(in) % (MOST + 1);
    for (size_t i = 0; i < n; i++) {
        headers[i].name = fr_in_left(in) == 0 ? "x" : names[fr_in_u8(in) % NAMES];
        headers[i].value = text(in);
    }
    fr_message m = {.topic = FR_STR("dlq"), .offset = offset, .headers = headers};
    m.header_count = n;
    m.key = text(in);
    m.payload = text(in);
    fr_letters_fold(l, &m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_in in = fr_in_of((fr_str){(const char *)data, size});
    fr_letters *l = fr_letters_new(all_of_them, NULL);
    fr_arena *a = fr_arena_new(0);
    size_t count;
    for (int64_t i = 0; fr_in_left(&in) > 0; i++)
        one(l, &in, i);
    fr_letter **all = fr_letters_settle(l, &count);
    for (size_t i = 0; i < count; i++) {
        if (fr_letter_group(a, all[i]).len == 0)
            abort();
        row(all[i]);
    }
    if (count > 0 && fr_letters_mark(a, all, count, FR_STR("\xff"), 0).len == 0)
        abort();
    fr_arena_free(a);
    fr_letters_free(l);
    return 0;
}
