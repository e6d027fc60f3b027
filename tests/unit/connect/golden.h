/* Generated SQL, word for word but for the version in its first line. Golden files are in
 * tests/golden/ddl; FRESHET_REGEN_GOLDEN=1 writes them. */
#ifndef FR_TEST_GOLDEN_H
#define FR_TEST_GOLDEN_H

#include "tests/unit/test.h"
#include <stdlib.h>

static void sql_is_golden(const char *name, const fr_buf *got)
{
    char path[400], want[32768];
    fr_str text = fr_buf_view(got);
    const char *line = memchr(text.ptr, '\n', text.len);
    assert_non_null(line);
    text = (fr_str){line + 1, text.len - (size_t)(line + 1 - text.ptr)};
    snprintf(path, sizeof(path), "%s/tests/golden/ddl/%s.sql", FR_SOURCE_DIR, name);
    if (getenv("FRESHET_REGEN_GOLDEN") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fwrite(text.ptr, 1, text.len, file);
        fclose(file);
    }
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(want, 1, sizeof(want) - 1, file);
    fclose(file);
    want[len] = '\0';
    assert_str(text, want);
}

#endif
