/* my_text_rows: results of a query in text form through the decoder, for the tests of R27. Standard
 * input: a line of columns (my_schema_file.h), then a line per row: ["hex" or null, ...]. Prints
 * the columns, and then the rows, as binlog_events does. */
#include "connectors/mysql/my_value.h"
#include "my_schema_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_columns(const fr_table *t)
{
    fr_buf b = {.arena = NULL};
    for (size_t i = 0; i < t->column_count; i++) {
        const fr_column *c = &t->columns[i];
        fr_buf_text(&b, i > 0 ? ",[" : "[[");
        fr_buf_json(&b, c->name);
        fr_buf_printf(&b, ",\"%s\",", fr_kind_name(c->kind));
        fr_buf_json(&b, c->native_type);
        fr_buf_printf(&b, ",%s,%u,%d,%d]", c->nullable ? "true" : "false", c->key_ordinal,
                      c->precision, c->scale);
    }
    printf("%.*s]\n", (int)b.len, (const char *)b.ptr);
    fr_buf_free(&b);
}

static fr_str unhex(fr_arena *a, const json_t *j)
{
    size_t n = json_string_length(j) / 2;
    const char *hex = json_string_value(j);
    char *to = fr_arena_raw(a, n + 1);
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        to[i] = (char)strtoul(pair, NULL, 16);
    }
    return (fr_str){to, n};
}

static void print_row(const fr_my_layout *l, const json_t *row)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf b = {.arena = a};
    fr_str zero = {NULL, 0};
    fr_err err;
    fr_buf_u8(&b, '{');
    for (size_t i = 0; i < l->table->column_count; i++) {
        const json_t *cell = json_array_get(row, i);
        fr_value v = {.kind = FR_NULL};
        fr_rc rc = FR_OK;
        if (json_is_string(cell))
            rc = fr_my_decode_text(&l->codecs[i], a, unhex(a, cell), &v, &err);
        if (rc == FR_IDLE)
            fr_my_layout_zero(l, i, a, &zero);
        fr_buf_text(&b, i > 0 ? "," : "");
        fr_buf_json(&b, l->table->columns[i].name);
        fr_buf_u8(&b, ':');
        if (rc == FR_FAIL)
            fr_buf_json(&b, fr_cstr(err.text));
        else
            fr_value_json(&b, &l->table->columns[i], &v);
    }
    printf("%.*s}%s%.*s\n", (int)b.len, (const char *)b.ptr, zero.len > 0 ? " zero " : "",
           FR_ARG(zero));
    fr_arena_free(a);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    fr_arena *a = fr_arena_new(0);
    fr_my_relation r = {.space = FR_STR("t"), .name = FR_STR("t")};
    fr_my_layout *l = NULL;
    fr_err err;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_t *j;
        if (fr_json_parse((fr_str){line, (size_t)n}, &j, &err) == FR_FAIL)
            break;
        if (l != NULL) {
            print_row(l, j);
        } else if (my_schema_read(j, a, &r, &err) == FR_FAIL ||
                   fr_my_layout_new(&r, 1, &l, &err) == FR_FAIL) {
            break;
        } else {
            print_columns(l->table);
        }
        json_decref(j);
    }
    if (n > 0)
        fprintf(stderr, "%s [%s]\n", err.text, err.code);
    fr_my_layout_free(l);
    fr_arena_free(a);
    free(line);
    return n > 0;
}
