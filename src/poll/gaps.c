#include "poll/gaps.h"
#include <stdlib.h>
#include <string.h>

void fr_gaps_free(fr_gaps *g)
{
    free(g->items);
    *g = (fr_gaps){0};
}

static void insert(fr_gaps *g, size_t at, fr_gap gap)
{
    if (g->count == g->cap) {
        g->cap = g->cap == 0 ? 16 : 2 * g->cap;
        g->items = fr_realloc(g->items, g->cap * sizeof(*g->items));
    }
    memmove(&g->items[at + 1], &g->items[at], (g->count - at) * sizeof(*g->items));
    g->items[at] = gap;
    g->count++;
}

void fr_gaps_add(fr_gaps *g, int64_t from, int64_t to, int64_t seen_us)
{
    insert(g, g->count, (fr_gap){from, to, seen_us, false});
}

/* The first gap that ends at or above the number. */
static size_t find(const fr_gaps *g, int64_t number)
{
    size_t low = 0, high = g->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->items[middle].to < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool fr_gaps_take(fr_gaps *g, int64_t number)
{
    size_t at = find(g, number);
    if (at == g->count || g->items[at].from > number)
        return false;
    fr_gap *gap = &g->items[at];
    fr_gap above = *gap;
    above.from = number + 1; /* not beyond: number <= to */
    if (gap->from == number && gap->to == number) {
        memmove(gap, gap + 1, (g->count - at - 1) * sizeof(*gap));
        g->count--;
    } else if (gap->to == number) {
        gap->to = number - 1;
    } else if (gap->from == number) {
        gap->from = number + 1;
    } else {
        gap->to = number - 1;
        insert(g, at + 1, above);
    }
    return true;
}

void fr_gaps_date(fr_gaps *g, int64_t now_us)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->items[i].seen_us == 0)
            g->items[i].seen_us = now_us;
}

bool fr_gaps_undated(const fr_gaps *g)
{
    for (size_t i = g->count; i-- > 0;)
        if (g->items[i].seen_us == 0)
            return true;
    return false;
}

bool fr_gap_ripe(int64_t since_us, int64_t seen_us)
{
    return seen_us != 0 && since_us - FR_GAPS_GRACE_US > seen_us;
}

void fr_gaps_ripen(fr_gaps *g, int64_t since_us)
{
    for (size_t i = 0; i < g->count; i++)
        g->items[i].ripe = fr_gap_ripe(since_us, g->items[i].seen_us);
}

void fr_gaps_close(fr_gaps *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++)
        if (!g->items[i].ripe)
            g->items[kept++] = g->items[i];
    g->count = kept;
}

uint64_t fr_gaps_numbers(const fr_gaps *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < g->count && sum < INT64_MAX; i++)
        if (g->items[i].from != INT64_MIN) /* below the first row there is no end */
            sum += (uint64_t)g->items[i].to - (uint64_t)g->items[i].from + 1;
    return sum < INT64_MAX ? sum : INT64_MAX;
}
