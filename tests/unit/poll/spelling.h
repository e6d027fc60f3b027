/* How the simulated servers of the tests of src/poll write SQL: numbers and quoted names. */
#ifndef FR_TEST_POLL_SPELLING_H
#define FR_TEST_POLL_SPELLING_H

#include "connect/sql.h"
#include <inttypes.h>
#include <stdlib.h>

static void w_put_ident(fr_buf *b, fr_str name)
{
    fr_buf_printf(b, "\"%.*s\"", FR_ARG(name));
}

static void w_put_column(fr_buf *b, const fr_sql_relation *r, size_t column)
{
    w_put_ident(b, r->table->columns[column].name);
}

static void w_put_from(fr_buf *b, const fr_sql_relation *r)
{
    (void)r;
    fr_buf_text(b, "t");
}

static bool w_put_value(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text)
{
    (void)r, (void)column;
    fr_buf_str(b, text);
    return true;
}

static fr_str w_text(fr_arena *a, const fr_sql_relation *r, size_t column, const fr_value *v)
{
    (void)r, (void)column;
    return fr_arena_printf(a, "%" PRId64, v->integer);
}

static void w_put_time(fr_buf *b, const fr_sql_relation *r, size_t column, int64_t us)
{
    (void)r, (void)column;
    fr_buf_printf(b, "%" PRId64, us);
}

/* Readers of theirs end when they are read, and own nothing. */
static void r_interrupt(fr_reader *base)
{
    (void)base;
}

static void r_close(fr_reader *base)
{
    free(base);
}

#define W_SPELLING                                                                                 \
    .put_ident = w_put_ident, .put_column = w_put_column, .put_from = w_put_from,                  \
    .put_value = w_put_value, .text = w_text, .put_time = w_put_time

#endif
