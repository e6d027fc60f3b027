/* Times as texts of SQLite: what is taken is written again as it was, and two texts of one form
 * sort as their times do. Two texts, with a zero byte between. */
#include "connectors/sqlite/sq_time.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_rc moment(fr_str s, int64_t *us, fr_sq_clock *form)
{
    fr_err err = {.text = ""};
    fr_rc rc = fr_sq_moment(s, us, form, &err);
    if (rc == FR_FAIL && err.text[0] == '\0')
        abort();
    return rc;
}

static int sign(int64_t v)
{
    return (v > 0) - (v < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    if (zero == NULL)
        return 0;
    fr_str texts[2] = {{(const char *)data, (size_t)(zero - data)},
                       {(const char *)zero + 1, size - (size_t)(zero - data) - 1}};
    int64_t us[2], other;
    fr_sq_clock form[2];
    fr_err ignored;
    (void)fr_sq_date(texts[0], &other, &ignored);
    (void)fr_sq_time_of_day(texts[0], &other, &ignored);
    for (int i = 0; i < 2; i++)
        if (moment(texts[i], &us[i], &form[i]) == FR_FAIL)
            return 0;
    fr_sq_clock clock = {.separator = 0};
    if (!fr_sq_clock_take(&clock, &form[0]) || !fr_sq_clock_take(&clock, &form[1]))
        return 0;
    fr_arena *a = fr_arena_new(0);
    for (int i = 0; i < 2; i++)
        if (!fr_str_eq(fr_sq_clock_text(a, &clock, us[i]), texts[i]))
            abort();
    if (sign(us[0] - us[1]) != sign(fr_str_cmp(texts[0], texts[1])))
        abort();
    fr_arena_free(a);
    return 0;
}
