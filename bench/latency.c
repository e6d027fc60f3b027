/* From COMMIT in PostgreSQL to a consumer: writes rows one by one at a steady pace and notes
 * when each COMMIT returned. See latency.h.
 *
 *   latency DSN TABLE BROKERS TOPIC PER_SECOND SECONDS [FIRST_ID] */
#include "bench/latency.h"

static void *writer(void *context)
{
    run *r = context;
    PGconn *c = PQconnectdb(r->server);
    if (PQstatus(c) != CONNECTION_OK)
        bare_die("connect", PQerrorMessage(c));
    char sql[256], id[24];
    snprintf(sql, sizeof(sql), "insert into %s values ($1, 'a note of some length')", r->table);
    PGresult *p = PQprepare(c, "one", sql, 1, NULL);
    if (PQresultStatus(p) != PGRES_COMMAND_OK)
        bare_die("prepare", PQerrorMessage(c));
    PQclear(p);
    pthread_barrier_wait(&r->ready);
    int64_t began = fr_now_us();
    for (int64_t i = 0; i < r->count; i++) {
        wait_turn(r, began, i);
        snprintf(id, sizeof(id), "%lld", (long long)(r->first + i));
        const char *values[] = {id};
        PGresult *res = PQexecPrepared(c, "one", 1, values, NULL, NULL, 0);
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            bare_die("insert", PQerrorMessage(c));
        note_commit(r, i);
        PQclear(res);
    }
    PQfinish(c);
    return NULL;
}

int main(int argc, char **argv)
{
    return latency_main(argc, argv, writer);
}
