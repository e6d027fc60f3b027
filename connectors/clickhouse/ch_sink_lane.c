/* Rows of a partition of Kafka that wait for the commit, encoded, in the order of their events. */
#include "clickhouse/ch_sink.h"
#include <stdlib.h>
#include <string.h>

static fr_str lane_key(fr_arena *a, fr_str topic, int32_t partition)
{
    return fr_arena_printf(a, "%d:%.*s", partition, FR_ARG(topic));
}

fr_ch_lane *fr_ch_lane_find(const fr_ch_sink *s, fr_str topic, int32_t partition)
{
    fr_arena *a = fr_arena_new(256);
    fr_ch_lane *l = fr_map_get(s->by_key, lane_key(a, topic, partition));
    fr_arena_free(a);
    return l;
}

static fr_ch_lane *lane_new(fr_ch_sink *s, fr_str topic, int32_t partition)
{
    fr_ch_lane *l = fr_malloc(sizeof(*l));
    l->topic = fr_arena_str(s->home, topic);
    l->partition = partition;
    l->want = -1;
    fr_map_set(s->by_key, lane_key(s->home, topic, partition), l);
    s->lanes = (fr_ch_lane **)fr_realloc((void *)s->lanes, (s->lane_count + 1) * sizeof(*s->lanes));
    s->lanes[s->lane_count++] = l;
    return l;
}

fr_ch_lane *fr_ch_lane_claimed(fr_ch_sink *s, fr_str topic, int32_t partition)
{
    fr_ch_lane *l = fr_ch_lane_find(s, topic, partition);
    if (l == NULL)
        l = lane_new(s, topic, partition);
    l->count = l->kept = l->kept_bytes = l->done = l->bytes.len = 0;
    return l;
}

void fr_ch_lane_free(fr_ch_lane *l)
{
    free(l->rows);
    free(l->state.bounds);
    fr_buf_free(&l->bytes);
    free(l);
}

void fr_ch_lane_add(fr_ch_lane *l, int64_t offset, const fr_ch_sink_table *t, fr_ch_row_kind kind)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 64 : 2 * l->cap;
        l->rows = fr_realloc(l->rows, l->cap * sizeof(*l->rows));
    }
    l->rows[l->count++] = (fr_ch_row){offset, l->bytes.len, t, kind};
}

static size_t begin_of(const fr_ch_lane *l, size_t row)
{
    return row == 0 ? 0 : l->rows[row - 1].end;
}

void fr_ch_lane_undo(fr_ch_lane *l)
{
    l->bytes.len = begin_of(l, l->count);
}

void fr_ch_lanes_roll_back(fr_ch_sink *s)
{
    for (size_t i = 0; i < s->lane_count; i++) {
        fr_ch_lane *l = s->lanes[i];
        l->count = l->kept;
        l->bytes.len = l->kept_bytes;
        l->done = l->done < l->count ? l->done : l->count;
    }
    s->parked.len = 0;
}

fr_str fr_ch_lane_row(const fr_ch_lane *l, size_t row)
{
    size_t begin = begin_of(l, row);
    return (fr_str){(const char *)l->bytes.ptr + begin, l->rows[row].end - begin};
}

/* Memory of a large commit is given back. */
void fr_ch_lane_drop(fr_ch_lane *l)
{
    enum { KEPT = 1 << 20 };
    l->count = l->kept = l->kept_bytes = l->done = l->bytes.len = 0;
    if (l->bytes.cap > KEPT)
        fr_buf_free(&l->bytes);
    if (l->cap * sizeof(*l->rows) > KEPT) {
        free(l->rows);
        l->rows = NULL;
        l->cap = 0;
    }
}

/* ---- blocks ---- */

/* What is filled up in one block may be much larger than what waits. */
enum { PATCHES = 500 };

/* The row after the last one of the block that begins with row `from`. */
static size_t run_end(const fr_ch_lane *l, size_t from)
{
    size_t to = from + 1, patches = l->rows[from].kind == FR_CH_PATCH;
    while (to < l->count && l->rows[from].kind != FR_CH_TRUNCATE) {
        const fr_ch_row *r = &l->rows[to];
        patches += r->kind == FR_CH_PATCH;
        if (r->kind == FR_CH_TRUNCATE || r->table != l->rows[from].table ||
            (patches > PATCHES && r->offset != r[-1].offset))
            break;
        to++;
    }
    return to;
}

size_t fr_ch_lane_cut(fr_arena *a, const fr_ch_lane *l, size_t from, int64_t first, int64_t last,
                      fr_ch_block **out)
{
    size_t count = 0;
    for (size_t at = from; at < l->count; at = run_end(l, at))
        count++;
    fr_ch_block *blocks = fr_arena_alloc(a, (count + 1) * sizeof(*blocks));
    size_t at = from;
    for (size_t i = 0; i < count; i++) {
        size_t to = run_end(l, at);
        int64_t end = l->rows[to - 1].offset;
        if (to == l->count && last > end)
            end = last;
        blocks[i] = (fr_ch_block){at, to, first, end};
        first = end + 1;
        at = to;
    }
    *out = blocks;
    return count;
}

size_t fr_ch_lane_pending(fr_arena *a, const fr_ch_lane *l, fr_ch_block **out, size_t *rows)
{
    const fr_ch_state *st = &l->state;
    fr_ch_block *blocks = fr_arena_alloc(a, (st->bound_count + 1) * sizeof(*blocks));
    size_t at = 0;
    int64_t first = st->next;
    for (size_t i = 0; i < st->bound_count; i++) {
        size_t from = at;
        while (at < l->count && l->rows[at].offset <= st->bounds[i])
            at++;
        blocks[i] = (fr_ch_block){from, at, first, st->bounds[i]};
        first = st->bounds[i] + 1;
    }
    *out = blocks;
    *rows = at;
    return st->bound_count;
}
