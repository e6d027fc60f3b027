/* gen_types > docs/types.md */
#include "connectors/postgres/pg_types.h"
#ifdef FR_WITH_MYSQL
#include "connectors/mysql/my_types.h"
#endif
#ifdef FR_WITH_SQLITE
#include "connectors/sqlite/sq_sink_value.h"
#include "connectors/sqlite/sq_types.h"
#endif
#ifdef FR_WITH_CLICKHOUSE
#include "connectors/clickhouse/ch_type.h"
#endif
#ifdef FR_WITH_DUCKDB
#include "connectors/duckdb/duck_sink_value.h"
#endif
#ifdef FR_WITH_ODBC
#include "connectors/odbc/odbc_types.h"
#endif
#include <stdio.h>

int main(void)
{
    fr_buf out = {0};
    fr_pg_types_docs(&out);
#ifdef FR_WITH_MYSQL
    fr_my_types_docs(&out);
#endif
#ifdef FR_WITH_SQLITE
    fr_sq_types_docs(&out);
    fr_sq_sink_types_docs(&out);
#endif
#ifdef FR_WITH_CLICKHOUSE
    fr_ch_sink_types_docs(&out);
#endif
#ifdef FR_WITH_DUCKDB
    fr_duck_sink_types_docs(&out);
#endif
#ifdef FR_WITH_ODBC
    fr_odbc_types_docs(&out);
#endif
    fwrite(out.ptr, 1, out.len, stdout);
    fr_buf_free(&out);
    return 0;
}
