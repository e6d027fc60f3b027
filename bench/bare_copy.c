/* The least a client can do to read a table: COPY in binary, and throw it away.
 *
 *   bare_copy DSN TABLE */
#include "bench/bare.h"

int main(int argc, char **argv)
{
    if (argc != 3)
        bare_die("usage", "bare_copy DSN TABLE");
    PGconn *c = PQconnectdb(argv[1]);
    if (PQstatus(c) != CONNECTION_OK)
        bare_die("connect", PQerrorMessage(c));
    char sql[256];
    snprintf(sql, sizeof(sql), "COPY %s TO STDOUT (FORMAT binary)", argv[2]);
    int64_t began = fr_now_us();
    double cpu = bare_cpu_seconds();
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COPY_OUT)
        bare_die("copy", PQerrorMessage(c));
    PQclear(r);
    uint64_t rows = 0, bytes = 0;
    char *m;
    int len;
    while ((len = PQgetCopyData(c, &m, 0)) > 0) {
        rows++;
        bytes += (uint64_t)len;
        PQfreemem(m);
    }
    if (len != -1)
        bare_die("read", PQerrorMessage(c));
    bare_report(rows - 1, bytes, began, cpu); /* the last one is the trailer alone */
    PQfinish(c);
    return 0;
}
