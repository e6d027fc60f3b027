/* The least a client of MySQL or MariaDB can do to read a table: a prepared SELECT, whose rows
 * come in binary, and throw it away.
 *
 *   my_bare_select HOST PORT DATABASE TABLE      as root without a password */
#include "bench/bare.h"
#include <mysql.h>
#include <string.h>

enum { MOST_COLUMNS = 64, MOST_BYTES = 1024 };

/* As the server sends it: nothing is converted. */
static void bind_columns(MYSQL_STMT *stmt)
{
    static char values[MOST_COLUMNS][MOST_BYTES];
    static unsigned long lengths[MOST_COLUMNS];
    static my_bool nulls[MOST_COLUMNS];
    static MYSQL_BIND binds[MOST_COLUMNS];
    MYSQL_RES *columns = mysql_stmt_result_metadata(stmt);
    unsigned count = columns != NULL ? mysql_num_fields(columns) : 0;
    if (count == 0 || count > MOST_COLUMNS)
        bare_die("columns", "none, or too many");
    for (unsigned i = 0; i < count; i++)
        binds[i] = (MYSQL_BIND){.buffer_type = mysql_fetch_field_direct(columns, i)->type,
                                .buffer = values[i],
                                .buffer_length = MOST_BYTES,
                                .length = &lengths[i],
                                .is_null = &nulls[i]};
    mysql_free_result(columns);
    if (mysql_stmt_bind_result(stmt, binds) != 0)
        bare_die("bind", mysql_stmt_error(stmt));
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bare_die("usage", "my_bare_select HOST PORT DATABASE TABLE");
    MYSQL *m = mysql_init(NULL);
    if (mysql_real_connect(m, argv[1], "root", NULL, argv[3], (unsigned)atoi(argv[2]), NULL, 0) ==
        NULL)
        bare_die("connect", mysql_error(m));
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT * FROM %s", argv[4]);
    MYSQL_STMT *stmt = mysql_stmt_init(m);
    if (mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0)
        bare_die("prepare", mysql_stmt_error(stmt));
    bind_columns(stmt);
    int64_t began = fr_now_us();
    double cpu = bare_cpu_seconds();
    if (mysql_stmt_execute(stmt) != 0)
        bare_die("execute", mysql_stmt_error(stmt));
    uint64_t rows = 0;
    int rc;
    while ((rc = mysql_stmt_fetch(stmt)) == 0)
        rows++;
    if (rc != MYSQL_NO_DATA)
        bare_die("fetch",
                 rc == MYSQL_DATA_TRUNCATED ? "a value is too long" : mysql_stmt_error(stmt));
    bare_report(rows, 0, began, cpu);
    mysql_stmt_close(stmt);
    mysql_close(m);
    return 0;
}
