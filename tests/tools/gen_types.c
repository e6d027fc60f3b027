/* gen_types > docs/types.md */
#include "connectors/postgres/pg_types.h"
#include <stdio.h>

int main(void)
{
    fr_buf out = {0};
    fr_pg_types_docs(&out);
    fwrite(out.ptr, 1, out.len, stdout);
    fr_buf_free(&out);
    return 0;
}
