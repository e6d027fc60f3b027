/* A declared type -> what its columns are: sq_types.c says it without a file, too. */
#include "connectors/sqlite/sq_query.h"
#include "connectors/sqlite/sq_types.h"

fr_rc fr_sq_declared_column(fr_arena *a, const char *type, const char *asked, fr_column *out,
                            fr_err *err)
{
    fr_sq_column c = {.name = out->name, .declared = fr_cstr(type)};
    FR_TRY(fr_sq_type_of(&c, asked, err));
    out->kind = c.kind;
    out->precision = c.precision;
    out->scale = c.scale;
    out->native_type = fr_arena_str(a, c.declared);
    return FR_OK;
}
