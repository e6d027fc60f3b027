/* Captured pgoutput messages (tests/wire/pgoutput/NAME.hex) and the events made of them, one
 * JSON line each. Used by the unit test and by the tool that writes NAME.events. */
#ifndef FR_TESTS_PGOUTPUT_FILE_H
#define FR_TESTS_PGOUTPUT_FILE_H

#include "connectors/postgres/pgoutput_decode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fr_captured { /* one message */
    uint64_t lsn;
    fr_str bytes; /* malloc'ed each, of exactly its length, so that ASan sees overruns */
} fr_captured;

typedef struct fr_capture {
    fr_pg_catalog *catalog;
    fr_captured *messages;
    size_t count;
} fr_capture;

static inline fr_str fr_capture_unhex(const char *hex)
{
    size_t n = strcspn(hex, "\r\n") / 2;
    char *bytes = malloc(n > 0 ? n : 1);
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        bytes[i] = (char)byte;
    }
    return (fr_str){bytes, n};
}

static inline void fr_capture_type(fr_capture *c, char *line)
{
    const char *fields[FR_PG_TYPES_COLUMNS];
    fr_err err;
    line[strcspn(line, "\n")] = '\0';
    for (size_t i = 0; i < FR_PG_TYPES_COLUMNS; i++) {
        line = strchr(line, '\t');
        if (line == NULL) {
            fprintf(stderr, "a type with too few fields\n");
            abort();
        }
        *line++ = '\0';
        fields[i] = line;
    }
    for (size_t i = 0; i + 1 < FR_PG_TYPES_COLUMNS; i++)
        ((char *)(uintptr_t)fields[i])[strcspn(fields[i], "\t")] = '\0';
    if (fr_pg_catalog_add_row(c->catalog, fields, &err) != FR_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

/* Lines: "# comment", "type<TAB>a row of fr_pg_types_sql", "HIGH/LOW HEX". */
static inline bool fr_capture_read(fr_capture *c, const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    if (file == NULL)
        return false;
    memset(c, 0, sizeof(*c));
    c->catalog = fr_pg_catalog_new();
    while (getline(&line, &cap, file) > 0) {
        unsigned high, low;
        int used = 0;
        if (strncmp(line, "type\t", 5) == 0)
            fr_capture_type(c, line);
        if (line[0] == '#' || sscanf(line, "%X/%X %n", &high, &low, &used) != 2 || used == 0)
            continue;
        c->messages = realloc(c->messages, (c->count + 1) * sizeof(fr_captured));
        c->messages[c->count++] =
            (fr_captured){(uint64_t)high << 32 | low, fr_capture_unhex(line + used)};
    }
    free(line);
    fclose(file);
    return true;
}

static inline void fr_capture_free(fr_capture *c)
{
    for (size_t i = 0; i < c->count; i++)
        free((void *)(uintptr_t)c->messages[i].bytes.ptr);
    free(c->messages);
    fr_pg_catalog_free(c->catalog);
}

static inline void fr_events_row(fr_buf *out, const char *name, const fr_table *t,
                                 const fr_row *row)
{
    if (row->count == 0)
        return;
    fr_buf_printf(out, ",\"%s\":{", name);
    bool first = true;
    for (size_t i = 0; i < row->count; i++) {
        if (row->values[i].kind == FR_ABSENT)
            continue;
        fr_buf_text(out, first ? "" : ",");
        first = false;
        fr_buf_json(out, t->columns[i].name);
        fr_buf_u8(out, ':');
        fr_value_json(out, &t->columns[i], &row->values[i]);
    }
    fr_buf_u8(out, '}');
}

static inline void fr_events_table(fr_buf *out, const fr_table *t)
{
    fr_buf_printf(out, ",\"version\":%u,\"full_before\":%s,\"columns\":[", t->version,
                  t->full_before ? "true" : "false");
    for (size_t i = 0; i < t->column_count; i++) {
        const fr_column *c = &t->columns[i];
        fr_buf_text(out, i == 0 ? "{\"name\":" : ",{\"name\":");
        fr_buf_json(out, c->name);
        fr_buf_printf(out, ",\"kind\":\"%s\",\"type\":", fr_kind_name(c->kind));
        fr_buf_json(out, c->native_type);
        if (c->key_ordinal != 0)
            fr_buf_printf(out, ",\"key\":%u", c->key_ordinal);
        if (!c->nullable)
            fr_buf_text(out, ",\"nullable\":false");
        if (c->may_be_absent)
            fr_buf_text(out, ",\"may_be_absent\":true");
        if (c->kind == FR_DECIMAL)
            fr_buf_printf(out, ",\"precision\":%d,\"scale\":%d", c->precision, c->scale);
        fr_buf_u8(out, '}');
    }
    fr_buf_u8(out, ']');
}

static inline void fr_events_print(fr_buf *out, const fr_event *e)
{
    static const char *const ops[] = {"read",  "insert", "update", "delete", "truncate",
                                      "table", "begin",  "commit", "message"};
    const fr_position *p = &e->position;
    fr_buf_printf(out, "{\"op\":\"%s\",\"at\":\"%X/%X\",\"row\":\"%X/%X\",\"ordinal\":%u",
                  ops[e->op], (unsigned)(p->lsn >> 32), (unsigned)p->lsn,
                  (unsigned)(p->row_lsn >> 32), (unsigned)p->row_lsn, p->ordinal);
    if (e->txn != NULL) {
        fr_buf_text(out, ",\"txn\":");
        fr_buf_json(out, e->txn->id);
    }
    if (e->table != NULL)
        fr_buf_printf(out, ",\"table\":\"%.*s.%.*s\"", FR_ARG(e->table->space),
                      FR_ARG(e->table->name));
    if (e->op == FR_OP_TABLE)
        fr_events_table(out, e->table);
    if (e->op == FR_OP_MESSAGE) {
        fr_buf_text(out, ",\"name\":");
        fr_buf_json(out, e->name);
        fr_buf_text(out, ",\"body\":");
        fr_buf_json(out, e->body);
    }
    fr_events_row(out, "before", e->table, &e->before);
    fr_events_row(out, "after", e->table, &e->after);
    if (e->bad.len > 0) {
        fr_buf_text(out, ",\"bad\":");
        fr_buf_json(out, e->bad);
    }
    fr_buf_text(out, "}\n");
}

/* All events of a capture as text, through batches of batch_events events. Tables have no
 * catalog behind them: what only describe knows is as preset. */
static inline fr_rc fr_capture_events(const fr_capture *c, size_t batch_events, fr_buf *out,
                                      fr_err *err)
{
    fr_pgoutput_calls calls = {0};
    fr_pgoutput *p = fr_pgoutput_new(&calls, c->catalog, 7);
    fr_batch *b = fr_batch_new(batch_events, 1 << 20);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < c->count && rc != FR_FAIL; i++) {
        rc = fr_pgoutput_message(p, b, c->messages[i].bytes, c->messages[i].lsn, err);
        for (size_t k = 0; k < b->count && (rc == FR_IDLE || i + 1 == c->count); k++)
            fr_events_print(out, &b->events[k]);
        if (rc == FR_IDLE) {
            fr_batch_reset(b);
            i--;
        }
    }
    fr_batch_free(b);
    fr_pgoutput_free(p);
    return rc;
}

#endif
