#include "apply/cuts.h"
#include <stdlib.h>

void fr_cuts_free(fr_cuts *c)
{
    free(c->items);
    c->items = NULL;
    c->count = c->cap = 0;
}

static fr_cut *find(const fr_cuts *c, fr_str topic, int32_t partition)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->items[i].partition == partition && fr_str_eq(c->items[i].topic, topic))
            return &c->items[i];
    return NULL;
}

static void note(fr_cuts *c, const fr_message *m)
{
    fr_cut *cut = find(c, m->topic, m->partition);
    if (cut != NULL && cut->offset <= m->offset)
        return;
    if (cut == NULL) {
        if (c->count == c->cap) {
            c->cap = c->cap == 0 ? 8 : 2 * c->cap;
            c->items = fr_realloc(c->items, c->cap * sizeof(*c->items));
        }
        cut = &c->items[c->count++];
        *cut = (fr_cut){.topic = fr_arena_str(c->arena, m->topic), .partition = m->partition};
    }
    cut->offset = m->offset;
    cut->stored = false;
}

bool fr_cuts_is_of(const fr_event *e, const fr_message *m)
{
    return e->offset == m->offset && e->partition == m->partition && fr_str_eq(e->topic, m->topic);
}

static void clear(fr_event *events, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        events[i].op = FR_OP_HEARTBEAT;
        events[i].topic = events[i].bad = FR_STR("");
    }
}

size_t fr_cuts_leave_out(fr_cuts *c, fr_batch *b, fr_str topic, size_t from_message)
{
    size_t kept = 0, at = 0;
    for (size_t m = 0; m < b->message_count; m++) {
        const fr_message *msg = &b->messages[m];
        size_t first = at;
        bool made = false;
        /* Events are in the order of their messages; those without a topic have left. */
        for (; at < b->count; at++) {
            if (b->events[at].topic.len > 0 && !fr_cuts_is_of(&b->events[at], msg))
                break;
            made = made || b->events[at].topic.len > 0;
        }
        bool goes = m >= from_message && fr_str_eq(msg->topic, topic) &&
                    (made || find(c, topic, msg->partition) != NULL);
        if (goes) {
            note(c, msg);
            clear(b->events, first, at);
        } else {
            b->messages[kept++] = *msg;
        }
    }
    size_t left = b->message_count - kept;
    b->message_count = kept;
    return left;
}

void fr_cuts_add_to(const fr_cuts *c, fr_offsets *o)
{
    size_t known = o->count;
    for (size_t i = 0; i < c->count; i++) {
        const fr_cut *cut = &c->items[i];
        bool there = cut->stored;
        for (size_t k = 0; k < known && !there; k++) {
            fr_offset *x = &o->items[k];
            there = x->partition == cut->partition && fr_str_eq(x->topic, cut->topic);
            if (there)
                x->next = cut->offset; /* between the two there was nothing */
        }
        if (!there)
            o->items[o->count++] = (fr_offset){cut->topic, cut->partition, cut->offset, ""};
    }
}

bool fr_cuts_has(const fr_cuts *c, fr_str topic, int32_t partition)
{
    return find(c, topic, partition) != NULL;
}

void fr_cuts_stored(fr_cuts *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->items[i].stored = true;
}

void fr_cuts_forget(fr_cuts *c, const fr_offsets *claimed)
{
    for (size_t i = 0; i < claimed->count; i++) {
        fr_cut *cut = find(c, claimed->items[i].topic, claimed->items[i].partition);
        if (cut != NULL)
            *cut = c->items[--c->count];
    }
}
