/* From COMMIT in MySQL or MariaDB to a consumer: writes rows one by one at a steady pace, each a
 * transaction, and notes when each COMMIT returned. See latency.h.
 *
 *   my_latency HOST:PORT DATABASE.TABLE BROKERS TOPIC PER_SECOND SECONDS [FIRST_ID]
 *
 * As root without a password. */
#include "bench/latency.h"
#include <mysql.h>

static MYSQL *connect_to(const run *r)
{
    char host[64];
    unsigned port = 0;
    MYSQL *m = mysql_init(NULL);
    if (sscanf(r->server, "%63[^:]:%u", host, &port) != 2)
        bare_die("my_latency", "HOST:PORT");
    if (mysql_real_connect(m, host, "root", NULL, NULL, port, NULL, 0) == NULL)
        bare_die("connect", mysql_error(m));
    return m;
}

static void *writer(void *context)
{
    run *r = context;
    MYSQL *m = connect_to(r);
    char sql[256];
    snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES (?, 'a note of some length')", r->table);
    MYSQL_STMT *stmt = mysql_stmt_init(m);
    long long id = 0;
    MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &id};
    if (mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0 || mysql_stmt_bind_param(stmt, &bind) != 0)
        bare_die("prepare", mysql_stmt_error(stmt));
    pthread_barrier_wait(&r->ready);
    int64_t began = fr_now_us();
    for (int64_t i = 0; i < r->count; i++) {
        wait_turn(r, began, i);
        id = r->first + i;
        if (mysql_stmt_execute(stmt) != 0)
            bare_die("insert", mysql_stmt_error(stmt));
        note_commit(r, i);
    }
    mysql_stmt_close(stmt);
    mysql_close(m);
    return NULL;
}

int main(int argc, char **argv)
{
    return latency_main(argc, argv, writer);
}
