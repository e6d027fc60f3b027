/* Binlog files through the decoder, as JSON lines: what binlog_events and the unit tests share. */
#ifndef FR_TESTS_TOOLS_BINLOG_FILE_H
#define FR_TESTS_TOOLS_BINLOG_FILE_H

#include "connectors/mysql/binlog_decode.h"
#include "tools/my_schema_file.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool binlog_quiet, binlog_statements;
static FILE *binlog_out;

static const char *const binlog_ops[] = {
    [FR_OP_READ] = "read",           [FR_OP_INSERT] = "insert",     [FR_OP_UPDATE] = "update",
    [FR_OP_DELETE] = "delete",       [FR_OP_TRUNCATE] = "truncate", [FR_OP_TABLE] = "table",
    [FR_OP_BEGIN] = "begin",         [FR_OP_COMMIT] = "commit",     [FR_OP_MESSAGE] = "message",
    [FR_OP_HEARTBEAT] = "heartbeat",
};

static inline void binlog_put_row(fr_buf *b, const char *name, const fr_table *t, const fr_row *row)
{
    if (row->count == 0)
        return;
    fr_buf_printf(b, ",\"%s\":{", name);
    for (size_t i = 0, n = 0; i < row->count; i++) {
        if (row->values[i].kind == FR_ABSENT)
            continue;
        fr_buf_text(b, n++ > 0 ? "," : "");
        fr_buf_json(b, t->columns[i].name);
        fr_buf_u8(b, ':');
        fr_value_json(b, &t->columns[i], &row->values[i]);
    }
    fr_buf_u8(b, '}');
}

static inline void binlog_put_table(fr_buf *b, const fr_table *t)
{
    fr_buf_printf(b, ",\"version\":%u,\"columns\":[", t->version);
    for (size_t i = 0; i < t->column_count; i++) {
        const fr_column *c = &t->columns[i];
        fr_buf_text(b, i > 0 ? ",[" : "[");
        fr_buf_json(b, c->name);
        fr_buf_printf(b, ",\"%s\",", fr_kind_name(c->kind));
        fr_buf_json(b, c->native_type);
        fr_buf_printf(b, ",%s,%u,%d,%d]", c->nullable ? "true" : "false", c->key_ordinal,
                      c->precision, c->scale);
    }
    fr_buf_u8(b, ']');
}

static inline void binlog_print_event(const fr_event *e)
{
    fr_buf b = {.arena = NULL};
    fr_buf_printf(&b, "{\"op\":\"%s\",\"lsn\":%" PRIu64 ",\"ordinal\":%u", binlog_ops[e->op],
                  e->position.lsn, e->position.ordinal);
    if (e->op == FR_OP_BEGIN) {
        fr_buf_printf(&b, ",\"commit_us\":%" PRId64 ",\"txn\":", e->txn->commit_us);
        fr_buf_json(&b, e->txn->id);
    }
    if (e->table != NULL) {
        fr_buf_text(&b, ",\"table\":");
        fr_buf_json(&b, e->table->name);
        if (e->op == FR_OP_TABLE)
            binlog_put_table(&b, e->table);
        binlog_put_row(&b, "before", e->table, &e->before);
        binlog_put_row(&b, "after", e->table, &e->after);
    }
    if (e->bad.len > 0) {
        fr_buf_text(&b, ",\"bad\":");
        fr_buf_json(&b, e->bad);
    }
    if (e->zero.len > 0) {
        fr_buf_text(&b, ",\"zero\":");
        fr_buf_json(&b, e->zero);
    }
    fr_buf_u8(&b, '}');
    fprintf(binlog_out, "%.*s\n", (int)b.len, (const char *)b.ptr);
    fr_buf_free(&b);
}

static inline void binlog_flush(fr_batch *b)
{
    for (size_t i = 0; !binlog_quiet && i < b->count; i++)
        binlog_print_event(&b->events[i]);
    fr_batch_reset(b);
}

/* context: the schema file's path. */
static inline fr_rc binlog_describe(void *context, fr_my_relation *r, fr_arena *a, fr_err *err)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    fr_rc rc = FR_OK;
    FILE *f = context == NULL ? NULL : fopen(context, "r");
    while (f != NULL && rc == FR_OK && (n = getline(&line, &cap, f)) > 0) {
        json_t *j;
        fr_my_relation known = {.space = r->space, .name = r->name};
        rc = fr_json_parse((fr_str){line, (size_t)n}, &j, err);
        if (rc == FR_OK && fr_str_is(r->name, fr_json_str(j, "table", ""))) {
            rc = my_schema_read(j, a, &known, err);
            if (rc == FR_OK)
                rc = fr_my_relation_fill(r, &known, a, err);
        }
        if (rc == FR_OK)
            json_decref(j);
    }
    if (f != NULL)
        fclose(f);
    free(line);
    r->captured = r->columns != NULL && r->named;
    return rc;
}

static inline fr_rc binlog_xa(void *context, fr_binlog_xa what, fr_str xid, uint32_t rows,
                              fr_err *err)
{
    static const char *const names[] = {"prepare", "commit", "rollback"};
    (void)context;
    (void)err;
    fprintf(binlog_out, "{\"op\":\"xa_%s\",\"id\":%zu,\"rows\":%u}\n", names[what], xid.len, rows);
    return FR_OK;
}

static inline fr_rc binlog_statement(void *context, const fr_binlog_statement *s, fr_err *err)
{
    fr_buf b = {.arena = NULL};
    (void)context;
    (void)err;
    if (!binlog_statements)
        return FR_OK;
    fr_buf_printf(&b, "{\"op\":\"%s\",\"text\":", s->kind == FR_BINLOG_DDL ? "ddl" : "dml");
    fr_buf_json(&b, s->text);
    fprintf(binlog_out, "%.*s}\n", (int)b.len, (const char *)b.ptr);
    fr_buf_free(&b);
    return FR_OK;
}

static inline char *binlog_read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    *size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*size + 1);
    if (bytes == NULL || fread(bytes, 1, *size, f) != *size) {
        perror(path);
        exit(1);
    }
    fclose(f);
    return bytes;
}

/* A server says the file's name by a ROTATE of its own. */
static inline fr_rc binlog_name_file(fr_binlog *d, fr_batch *b, const char *path, fr_err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    fr_buf e = {.arena = NULL};
    uint32_t size = (uint32_t)(19 + 8 + strlen(name));
    uint8_t head[27] = {0, 0, 0, 0, 4};
    for (unsigned i = 0; i < 4; i++)
        head[9 + i] = (uint8_t)(size >> (8 * i));
    head[17] = 0x20; /* artificial */
    head[19] = 4;
    fr_buf_put(&e, head, sizeof(head));
    fr_buf_text(&e, name);
    fr_rc rc = fr_binlog_event(d, b, fr_buf_view(&e), err);
    fr_buf_free(&e);
    return rc;
}

static inline fr_rc binlog_run_file(fr_binlog *d, fr_batch *b, const char *path, fr_err *err)
{
    size_t size, at = 4;
    char *bytes = binlog_read_file(path, &size);
    fr_rc rc = binlog_name_file(d, b, path, err);
    while (rc != FR_FAIL && at + 19 <= size) {
        fr_in in = fr_in_of((fr_str){bytes + at + 9, 4});
        uint32_t n = fr_in_u32le(&in);
        if (n < 19 || n > size - at)
            break; /* the server is still writing it */
        rc = fr_binlog_event(d, b, (fr_str){bytes + at, n}, err);
        if (rc == FR_IDLE)
            binlog_flush(b);
        else
            at += n;
    }
    free(bytes);
    return rc;
}

#endif
