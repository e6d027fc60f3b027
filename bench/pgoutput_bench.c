/* pgoutput_bench [ROWS]: nanoseconds of CPU to decode a 12-column row into events, from
 * memory. */
#include "connectors/postgres/pgoutput_decode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct column {
    const char *name;
    uint32_t type;
    int32_t typmod;
    const char *text;
    const char *binary;
    size_t binary_len;
} column;

#define B(bytes) bytes, sizeof(bytes) - 1
static const column columns[] = {
    {"id", 20, -1, "1234567890", B("\0\0\0\0\x49\x96\x02\xd2")},
    {"customer", 23, -1, "42042", B("\0\0\xa4\x3a")},
    {"status", 25, -1, "shipped", B("shipped")},
    {"total", 1700, ((12 << 16) | 2) + 4, "1234.56", B("\0\3\0\0\0\0\0\2\4\xd2\x15\xe0\0\0")},
    {"vat", 1700, ((12 << 16) | 2) + 4, "19.00", B("\0\1\0\0\0\0\0\2\0\x13")},
    {"created", 1184, -1, "2024-02-29 12:34:56.789012+00", B("\0\2\xb5\x2d\x8e\x2f\x11\x14")},
    {"changed", 1114, -1, "2024-02-29 12:34:56.789012", B("\0\2\xb5\x2d\x8e\x2f\x11\x14")},
    {"day", 1082, -1, "2024-02-29", B("\0\0\x22\x7c")},
    {"paid", 16, -1, "t", B("\1")},
    {"weight", 701, -1, "12.375", B("\x40\x28\xc0\0\0\0\0\0")},
    {"note", 25, -1, "please leave it at the door of the neighbour",
     B("please leave it at the door of the neighbour")},
    {"code", 2950, -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
     B("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11")},
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static fr_str relation_message(fr_buf *m)
{
    m->len = 0;
    fr_buf_u8(m, 'R');
    fr_buf_u32be(m, 1);
    fr_buf_put(m, "shop\0orders", 12);
    fr_buf_u8(m, 'd');
    fr_buf_u16be(m, COLUMNS);
    for (size_t i = 0; i < COLUMNS; i++) {
        fr_buf_u8(m, i == 0);
        fr_buf_put(m, columns[i].name, strlen(columns[i].name) + 1);
        fr_buf_u32be(m, columns[i].type);
        fr_buf_u32be(m, (uint32_t)columns[i].typmod);
    }
    return fr_buf_view(m);
}

static fr_str insert_message(fr_buf *m, bool binary)
{
    m->len = 0;
    fr_buf_u8(m, 'I');
    fr_buf_u32be(m, 1);
    fr_buf_u8(m, 'N');
    fr_buf_u16be(m, COLUMNS);
    for (size_t i = 0; i < COLUMNS; i++) {
        const column *c = &columns[i];
        size_t len = binary ? c->binary_len : strlen(c->text);
        fr_buf_u8(m, binary ? 'b' : 't');
        fr_buf_u32be(m, (uint32_t)len);
        fr_buf_put(m, binary ? c->binary : c->text, len);
    }
    return fr_buf_view(m);
}

static fr_str begin_message(fr_buf *m)
{
    m->len = 0;
    fr_buf_u8(m, 'B');
    fr_buf_u64be(m, 1);
    fr_buf_u64be(m, 1);
    fr_buf_u32be(m, 1);
    return fr_buf_view(m);
}

static bool must(fr_rc rc, const fr_err *err)
{
    if (rc == FR_FAIL) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
    return rc == FR_OK;
}

static void measure(bool binary, size_t rows)
{
    fr_pgoutput_calls calls = {0};
    fr_pg_catalog *catalog = fr_pg_catalog_new();
    fr_pgoutput *p = fr_pgoutput_new(&calls, catalog, 1);
    fr_batch *b = fr_batch_new(4096, 1 << 20);
    fr_buf m = {0};
    fr_err err;
    size_t bad = 0;
    must(fr_pgoutput_message(p, b, relation_message(&m), 1, &err), &err);
    must(fr_pgoutput_message(p, b, begin_message(&m), 1, &err), &err);
    fr_str row = insert_message(&m, binary);
    clock_t start = clock();
    for (size_t i = 0; i < rows; i++) {
        if (must(fr_pgoutput_message(p, b, row, 1, &err), &err))
            continue;
        bad += b->events[b->count - 1].bad.len > 0;
        fr_batch_reset(b);
        i--;
    }
    double ns = (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / (double)rows;
    printf("pgoutput_%s %.0f ns/row %zu columns %zu rows\n", binary ? "binary" : "text", ns,
           (size_t)COLUMNS, rows);
    if (bad > 0)
        fprintf(stderr, "rows were bad\n");
    fr_buf_free(&m);
    fr_batch_free(b);
    fr_pgoutput_free(p);
    fr_pg_catalog_free(catalog);
}

int main(int argc, char **argv)
{
    size_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    measure(true, rows);
    measure(false, rows);
    return 0;
}
