#include "apply/limit.h"
#include "base/map.h"
#include <stdlib.h>

typedef struct counted { /* of one topic */
    uint64_t messages;
    uint64_t *errors; /* a ring: how many messages there were at the last errors */
    uint64_t error_count;
} counted;

struct fr_limit {
    int64_t errors, messages; /* 0: no limit */
    fr_map *topics;
};

fr_limit *fr_limit_new(const char *text)
{
    fr_limit *l = fr_malloc(sizeof(*l));
    if (text == NULL || !fr_limit_parse(text, &l->errors, &l->messages))
        l->errors = l->messages = 0;
    l->topics = fr_map_new();
    return l;
}

static void counted_free(void *value)
{
    counted *c = value;
    free(c->errors);
    free(c);
}

void fr_limit_free(fr_limit *l)
{
    if (l == NULL)
        return;
    fr_map_free(l->topics, counted_free);
    free(l);
}

static counted *counted_of(fr_limit *l, fr_str topic)
{
    counted *c = fr_map_get(l->topics, topic);
    if (c == NULL) {
        c = fr_malloc(sizeof(*c));
        c->errors = fr_malloc((size_t)l->errors * sizeof(*c->errors));
        fr_map_set(l->topics, topic, c);
    }
    return c;
}

void fr_limit_count(fr_limit *l, const fr_batch *b)
{
    counted *c = NULL;
    for (size_t i = 0; l->errors > 0 && i < b->message_count; i++) {
        if (i == 0 || !fr_str_eq(b->messages[i].topic, b->messages[i - 1].topic))
            c = counted_of(l, b->messages[i].topic);
        c->messages++;
    }
}

bool fr_limit_exceeded(fr_limit *l, fr_str topic)
{
    if (l->errors == 0)
        return false;
    counted *c = counted_of(l, topic);
    uint64_t *at = &c->errors[c->error_count % (uint64_t)l->errors];
    /* This one and the `errors` before it. */
    bool above = c->error_count >= (uint64_t)l->errors && c->messages - *at < (uint64_t)l->messages;
    if (above)
        return true;
    *at = c->messages;
    c->error_count++;
    return false;
}

void fr_limit_forget(fr_limit *l, const fr_offsets *claimed)
{
    for (size_t i = 0; i < claimed->count; i++) {
        counted *c = fr_map_remove(l->topics, claimed->items[i].topic);
        if (c != NULL)
            counted_free(c);
    }
}
