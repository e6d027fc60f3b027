/* The body of a logical message. */
#include "connectors/postgres/pg_message.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *headers[] = {"b", ""};
    static const fr_table_settings settings = {
        .pattern = FR_MESSAGES_SPACE ".x",
        .outbox = {.id = "id", .payload = "p", .route = "${a}", .headers = {headers, 2}}};
    static const fr_txn txn = {.id = {"1", 1}};
    fr_batch *b = fr_batch_new(4, 1 << 20);
    const fr_table *t = fr_pg_message_table(&settings, FR_STR("x"));
    fr_event *e = fr_batch_add(b, FR_OP_MESSAGE, NULL);
    char *copy = malloc(size + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    e->name = FR_STR("x");
    e->body = (fr_str){copy, size};
    e->txn = &txn;
    fr_pg_message_row(b, e, t);
    /* Every value lies in the body or is a copy: read all of it. */
    volatile size_t sum = 0;
    for (size_t i = 0; i < e->after.count; i++) {
        const fr_value *v = &e->after.values[i];
        if (v->kind != FR_NULL && v->kind != FR_TEXT && (v->kind != FR_ABSENT || e->bad.len == 0))
            abort();
        for (size_t k = 0; v->kind == FR_TEXT && k < v->bytes.len; k++)
            sum = sum + (unsigned char)v->bytes.ptr[k];
    }
    fr_batch_free(b);
    fr_table_unref(t);
    free(copy);
    return 0;
}
