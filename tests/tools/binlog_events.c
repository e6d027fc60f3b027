/* binlog_events [-q] [-b EVENTS] [-s] [-x] [-c SCHEMA] FILE...: binlog files through the decoder,
 * one JSON line an event; for the differential tests and the bench. -q: only the counts and the
 * time a row took; -b: events a batch holds; -s: statements too; -x: XA transactions as well;
 * -c: what information_schema says, a line per table (my_schema_file.h, and its "table"): needed
 * for names where binlog_row_metadata is not FULL, and for the types that no log has. */
#include "binlog_file.h"
#include <time.h>

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int main(int argc, char **argv)
{
    fr_binlog_calls calls = {.describe = binlog_describe, .statement = binlog_statement};
    fr_binlog_options options = {.family = FR_GTID_NONE};
    size_t events = 4096;
    int i = 1;
    binlog_out = stdout;
    for (; i < argc && argv[i][0] == '-'; i++) {
        binlog_quiet = binlog_quiet || strcmp(argv[i], "-q") == 0;
        binlog_statements = binlog_statements || strcmp(argv[i], "-s") == 0;
        if (strcmp(argv[i], "-x") == 0)
            calls.xa = binlog_xa;
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            calls.context = argv[++i];
        else if (strcmp(argv[i], "-b") == 0 && i + 1 < argc)
            events = (size_t)atoi(argv[++i]);
    }
    fr_binlog *d = fr_binlog_new(&calls, &options, NULL);
    fr_batch *b = fr_batch_new(events, 1 << 20);
    fr_err err;
    fr_rc rc = FR_OK;
    int64_t start = cpu_ns();
    for (; i < argc && rc != FR_FAIL; i++)
        rc = binlog_run_file(d, b, argv[i], &err);
    binlog_flush(b);
    const fr_binlog_place *p = fr_binlog_where(d);
    if (rc == FR_FAIL)
        fprintf(stderr, "%s [%s]\n", err.text, err.code);
    double ns = (double)(cpu_ns() - start);
    if (binlog_quiet)
        printf("%" PRIu64 " groups, %" PRIu64 " rows, %.0f ns of CPU a row\n", p->groups, p->rows,
               p->rows == 0 ? 0.0 : ns / (double)p->rows);
    fr_batch_free(b);
    fr_binlog_free(d);
    return rc == FR_FAIL;
}
