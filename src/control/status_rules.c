/* Rows that rules and contracts kept back: counted for each table and rule. */
#include "control/status_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Keys are "space.table/rule": a rule's name holds no slash. */

void fr_part_broken(fr_part *p, fr_str space, fr_str table, fr_str rule, uint64_t n)
{
    fr_buf key = {0};
    fr_buf_printf(&key, "%.*s.%.*s/%.*s", FR_ARG(space), FR_ARG(table), FR_ARG(rule));
    pthread_mutex_lock(&p->lock);
    if (p->broken == NULL)
        p->broken = fr_map_new();
    uint64_t *count = fr_map_get(p->broken, fr_buf_view(&key));
    if (count == NULL) {
        count = fr_malloc(sizeof(*count));
        fr_map_set(p->broken, fr_buf_view(&key), count);
    }
    *count += n;
    pthread_mutex_unlock(&p->lock);
    fr_buf_free(&key);
}

bool fr_part_broken_next(const fr_part *p, size_t *i, fr_str *table, fr_str *rule, uint64_t *count)
{
    fr_str key;
    void *value;
    if (p->broken == NULL || !fr_map_next(p->broken, i, &key, &value))
        return false;
    const char *slash = memrchr(key.ptr, '/', key.len);
    *table = (fr_str){key.ptr, (size_t)(slash - key.ptr)};
    *rule = (fr_str){slash + 1, key.len - table->len - 1};
    *count = *(const uint64_t *)value;
    return true;
}

void fr_part_broken_json(fr_buf *b, const fr_part *p)
{
    fr_str table, rule;
    uint64_t count;
    size_t i = 0, n = 0;
    fr_buf_text(b, ",\"violations\":[");
    while (fr_part_broken_next(p, &i, &table, &rule, &count)) {
        fr_buf_text(b, n++ > 0 ? ",{\"table\":" : "{\"table\":");
        fr_buf_json(b, table);
        fr_buf_text(b, ",\"rule\":");
        fr_buf_json(b, rule);
        fr_buf_printf(b, ",\"count\":%" PRIu64 "}", count);
    }
    fr_buf_text(b, "]");
}
