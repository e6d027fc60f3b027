/* THE list: one line per source and sink. */
#include "connectors/list.h"
#include <string.h>

#ifdef FR_WITH_POSTGRES
extern const fr_source_ops fr_postgres_wal_source;
extern const fr_sink_ops fr_postgres_sink;
#endif
#ifdef FR_WITH_MYSQL
extern const fr_source_ops fr_mysql_binlog_source, fr_mariadb_binlog_source;
extern const fr_sink_ops fr_mysql_sink, fr_mariadb_sink;
#endif
#ifdef FR_WITH_SQLITE
extern const fr_sink_ops fr_sqlite_sink;
#endif
#ifdef FR_WITH_CLICKHOUSE
extern const fr_sink_ops fr_clickhouse_sink;
#endif
#ifdef FR_WITH_DUCKDB
extern const fr_sink_ops fr_duckdb_sink;
extern const fr_sink_ops fr_file_sink_ops;
#endif
#ifdef FR_WITH_ODBC
extern const fr_source_ops fr_odbc_source;
#endif

#ifdef FR_WITH_SQLITE
extern const fr_source_ops fr_sqlite_source;
#endif

static const fr_source_ops *const sources[] = {
#ifdef FR_WITH_POSTGRES
    &fr_postgres_wal_source,
#endif
#ifdef FR_WITH_MYSQL
    &fr_mysql_binlog_source,
    &fr_mariadb_binlog_source,
#endif
#ifdef FR_WITH_SQLITE
    &fr_sqlite_source,
#endif
#ifdef FR_WITH_ODBC
    &fr_odbc_source,
#endif
    NULL,
};

static const fr_sink_ops *const sinks[] = {
#ifdef FR_WITH_POSTGRES
    &fr_postgres_sink,
#endif
#ifdef FR_WITH_MYSQL
    &fr_mysql_sink,
    &fr_mariadb_sink,
#endif
#ifdef FR_WITH_SQLITE
    &fr_sqlite_sink,
#endif
#ifdef FR_WITH_CLICKHOUSE
    &fr_clickhouse_sink,
#endif
#ifdef FR_WITH_DUCKDB
    &fr_duckdb_sink,
    &fr_file_sink_ops,
#endif
    NULL,
};

const fr_source_ops *fr_source_at(size_t index)
{
    return index < sizeof(sources) / sizeof(sources[0]) ? sources[index] : NULL;
}

const fr_sink_ops *fr_sink_at(size_t index)
{
    return index < sizeof(sinks) / sizeof(sinks[0]) ? sinks[index] : NULL;
}

const fr_source_ops *fr_source_of(const char *type)
{
    for (size_t i = 0; sources[i] != NULL; i++)
        if (strcmp(sources[i]->type, type) == 0)
            return sources[i];
    return NULL;
}

const fr_sink_ops *fr_sink_of(const char *type)
{
    for (size_t i = 0; sinks[i] != NULL; i++)
        if (strcmp(sinks[i]->type, type) == 0)
            return sinks[i];
    return NULL;
}
