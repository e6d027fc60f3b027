/* pg_copy_rows CAPTURE.hex TABLE text|binary < COPY.hex: rows of COPY, a message a line in
 * hex, decoded as a snapshot does, one JSON line each. The table's shape is that of its
 * first Relation message in the capture of the stream. */
#include "connectors/postgres/pg_copy.h"
#include "tools/pgoutput_file.h"

typedef struct wanted {
    const char *table;
    fr_pg_catalog *catalog;
    fr_pg_layout *layout;
} wanted;

static fr_rc describe(void *context, fr_pg_relation *r, fr_arena *a, fr_err *err)
{
    wanted *w = context;
    (void)a;
    if (w->layout == NULL && fr_str_is(r->name, w->table))
        return fr_pg_layout_new(w->catalog, r, 1, &w->layout, err);
    return FR_OK;
}

static fr_rc find_layout(fr_capture *c, wanted *w, fr_err *err)
{
    fr_pgoutput_calls calls = {w, describe, NULL};
    fr_pgoutput *p = fr_pgoutput_new(&calls, c->catalog, 1);
    fr_batch *b = fr_batch_new(1000000, 1 << 30);
    fr_rc rc = FR_OK;
    w->catalog = c->catalog;
    for (size_t i = 0; i < c->count && rc == FR_OK; i++)
        rc = fr_pgoutput_message(p, b, c->messages[i].bytes, c->messages[i].lsn, err);
    fr_batch_free(b);
    fr_pgoutput_free(p);
    return rc;
}

static fr_rc print_rows(const fr_pg_layout *l, bool binary, fr_err *err)
{
    fr_pg_copy copy = {.layout = l, .binary = binary, .announced = true};
    fr_batch *b = fr_batch_new(10, 1 << 20);
    char *line = NULL;
    size_t cap = 0;
    fr_rc rc = FR_OK;
    while (rc == FR_OK && getline(&line, &cap, stdin) > 0) {
        fr_buf out = {0};
        fr_str bytes = fr_capture_unhex(line);
        rc = fr_pg_copy_row(&copy, b, bytes, err);
        for (size_t i = 0; i < b->count; i++) {
            fr_events_row(&out, "after", b->events[i].table, &b->events[i].after);
            printf("{%.*s}\n", (int)out.len - 1, (char *)out.ptr + 1);
        }
        fr_batch_reset(b);
        free((void *)(uintptr_t)bytes.ptr);
        fr_buf_free(&out);
    }
    free(line);
    fr_pg_copy_end(&copy);
    fr_batch_free(b);
    return rc;
}

int main(int argc, char **argv)
{
    fr_capture c;
    fr_err err = {0};
    if (argc != 4 || !fr_capture_read(&c, argv[1])) {
        fprintf(stderr, "usage: pg_copy_rows CAPTURE.hex TABLE text|binary < COPY.hex\n");
        return 2;
    }
    wanted w = {.table = argv[2]};
    fr_rc rc = find_layout(&c, &w, &err);
    if (rc == FR_OK && w.layout != NULL)
        rc = print_rows(w.layout, strcmp(argv[3], "binary") == 0, &err);
    if (rc == FR_FAIL || w.layout == NULL)
        fprintf(stderr, "%s\n", rc == FR_FAIL ? err.text : "no such table");
    fr_pg_layout_free(w.layout);
    fr_capture_free(&c);
    return rc == FR_FAIL || w.layout == NULL ? 1 : 0;
}
