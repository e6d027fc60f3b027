/* The least a client of a logical replication slot can do: receive each message and throw it
 * away. Confirms nothing, so that the slot stays where it is.
 *
 *   bare_receiver DSN SLOT PUBLICATION ROWS      ends after ROWS rows, at their Commit */
#include "bench/bare.h"
#include <string.h>
#include <unistd.h>

static PGconn *start(const char *dsn, const char *slot, const char *publication)
{
    const char *words[] = {"dbname", "replication", NULL}, *values[] = {dsn, "database", NULL};
    PGconn *c = PQconnectdbParams(words, values, 1);
    if (PQstatus(c) != CONNECTION_OK)
        bare_die("connect", PQerrorMessage(c));
    char sql[512];
    snprintf(sql, sizeof(sql),
             "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 (proto_version '1', "
             "publication_names '\"%s\"', binary 'true', messages 'true')",
             slot, publication);
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COPY_BOTH)
        bare_die("start", PQerrorMessage(c));
    PQclear(r);
    return c;
}

/* A status update that confirms nothing: the server ends a silent connection. */
static void stay_alive(PGconn *c)
{
    char message[34] = {'r'};
    if (PQputCopyData(c, message, sizeof(message)) <= 0 || PQflush(c) < 0)
        bare_die("stay alive", PQerrorMessage(c));
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bare_die("usage", "bare_receiver DSN SLOT PUBLICATION ROWS");
    uint64_t want = strtoull(argv[4], NULL, 10), rows = 0, bytes = 0;
    PGconn *c = start(argv[1], argv[2], argv[3]);
    int64_t began = fr_now_us(), alive = began;
    double cpu = bare_cpu_seconds();
    for (bool ended = false; !ended;) {
        char *m = NULL;
        int len = PQgetCopyData(c, &m, 0);
        if (len <= 0)
            bare_die("read", PQerrorMessage(c));
        bytes += (uint64_t)len;
        char tag = 0;
        if (m[0] == 'w' && len > 25)
            tag = m[25];
        rows += tag == 'I' || tag == 'U' || tag == 'D';
        ended = tag == 'C' && rows >= want;
        PQfreemem(m);
        if (tag == 'C' && fr_now_us() - alive > 2000000) {
            stay_alive(c);
            alive = fr_now_us();
        }
    }
    bare_report(rows, bytes, began, cpu);
    fflush(stdout);
    PQfinish(c);
    return 0;
}
