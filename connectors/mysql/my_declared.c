/* A type as CREATE TABLE spells it -> what its columns are, without a server: as a row of
 * information_schema.COLUMNS would have it. */
#include "connectors/mysql/my_layout.h"
#include "connectors/mysql/my_query.h"
#include "connectors/mysql/my_value.h"
#include <string.h>
#include <strings.h>

/* Spellings that information_schema never has. */
static const char *as_shown(const char *type)
{
    static const char *const pairs[][2] = {
        {"bool", "tinyint(1)"},       {"boolean", "tinyint(1)"}, {"decimal", "decimal(10,0)"},
        {"numeric", "decimal(10,0)"}, {"dec", "decimal(10,0)"},  {"double precision", "double"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (strcasecmp(type, pairs[i][0]) == 0)
            return pairs[i][1];
    return type;
}

fr_rc fr_my_declared(fr_arena *a, const char *type, const char *asked, fr_column *out, fr_err *err)
{
    fr_my_column c;
    fr_my_schema_row row = {.name = FR_STR("column"),
                            .column_type = fr_cstr(as_shown(type)),
                            .is_nullable = FR_STR("YES"),
                            .charset = FR_STR("utf8mb4")};
    if (fr_my_column_from_schema(&row, true, a, &c, err) == FR_FAIL) {
        fr_fail(err, FR_ERR_CONFIG, "`%s` is no type of MySQL or MariaDB", type);
        fr_fail_code(err, "my.type_unknown");
        return fr_fail_hint(err, "write it as SHOW CREATE TABLE has it: int unsigned, "
                                 "decimal(10,2), datetime(6), varchar(20), enum('a','b')");
    }
    c.as_text = asked != NULL && strcmp(asked, "string") == 0;
    out->kind = fr_my_kind(&c, &out->precision, &out->scale);
    out->span = out->kind == FR_TIME;
    out->native_type = fr_my_native_type(&c, a);
    return FR_OK;
}
