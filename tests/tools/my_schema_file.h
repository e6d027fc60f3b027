/* Columns as the tests hand them over: {"mariadb": bool, "columns": [[COLUMN_NAME, COLUMN_TYPE,
 * IS_NULLABLE, COLUMN_DEFAULT, CHARACTER_SET_NAME, EXTRA, COLUMN_COMMENT, SRS_ID,
 * GENERATION_EXPRESSION, primary], ...]}. */
#ifndef FR_TESTS_TOOLS_MY_SCHEMA_FILE_H
#define FR_TESTS_TOOLS_MY_SCHEMA_FILE_H

#include "base/json.h"
#include "connectors/mysql/my_layout.h"

static inline fr_str my_schema_text(const json_t *j)
{
    return json_is_string(j) ? (fr_str){json_string_value(j), json_string_length(j)}
                             : (fr_str){NULL, 0};
}

static inline fr_rc my_schema_read(const json_t *j, fr_arena *a, fr_my_relation *r, fr_err *err)
{
    const json_t *list = json_object_get(j, "columns");
    bool mariadb = json_is_true(json_object_get(j, "mariadb"));
    r->column_count = json_array_size(list);
    r->columns = fr_arena_alloc(a, (r->column_count + 1) * sizeof(*r->columns));
    for (size_t i = 0; i < r->column_count; i++) {
        const json_t *c = json_array_get(list, i);
        fr_str t[9];
        for (size_t k = 0; k < 9; k++)
            t[k] = my_schema_text(json_array_get(c, k));
        fr_my_schema_row row = {t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8]};
        FR_TRY(fr_my_column_from_schema(&row, mariadb, a, &r->columns[i], err));
        r->columns[i].primary = (uint16_t)json_integer_value(json_array_get(c, 9));
    }
    r->named = r->keyed = r->captured = r->full_image = true;
    return FR_OK;
}

#endif
