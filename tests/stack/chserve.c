/* chserve OPTIONS...: ClickHouse as a process of its own, made of libchdb.so, whose command line is
 * that of `clickhouse local`: its statement SYSTEM START LISTEN opens the listeners of a server. */
#include <stdio.h>

typedef struct chdb_result {
    void *internal;
} chdb_result;
chdb_result *chdb_query_cmdline(int argc, char **argv);
const char *chdb_result_error(chdb_result *result);

int main(int argc, char **argv)
{
    chdb_result *r = chdb_query_cmdline(argc, argv);
    const char *error = r != NULL ? chdb_result_error(r) : "no result";
    if (error == NULL)
        return 0;
    fprintf(stderr, "chserve: %s\n", error);
    return 1;
}
