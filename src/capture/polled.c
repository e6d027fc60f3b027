#include "capture/polled.h"
#include <stdio.h>

void polled_page(polled_view *v, const fr_poller_status *p, uint64_t rows, int64_t wall_us)
{
    v->rows += rows;
    v->s.pages = p->page;
    v->s.rows = p->rows;
    v->s.behind_us = p->behind_us;
    v->s.gaps = p->gaps;
    v->s.nulls = p->nulls;
    snprintf(v->waits, sizeof(v->waits), "%s", p->waits != NULL ? p->waits : "");
    v->s.waits_since_us = p->waits != NULL ? wall_us - p->waits_us : 0;
}

void polled_over(polled_view *v, const fr_poller_status *p, int64_t now_us, int64_t wall_us)
{
    polled_page(v, p, 0, wall_us);
    v->s.last_us = wall_us;
    v->s.took_us = now_us - v->began_us;
    v->s.last_rows = v->rows;
    v->began_us = 0;
    v->rows = 0;
    if (p->whole_us == 0)
        return;
    v->latest = (polled_round){now_us, p->whole_us};
    if (v->pending.ended_us == 0)
        v->pending = v->latest;
}

/* Rounds may come faster than commits: the one that is waited for is not replaced by newer ones. */
void polled_committed(polled_view *v, int64_t committed_us)
{
    if (v->latest.ended_us != 0 && v->latest.ended_us <= committed_us)
        v->pending = v->latest;
    if (v->pending.ended_us == 0 || v->pending.ended_us > committed_us)
        return;
    v->s.whole_us = v->pending.whole_us;
    v->pending = v->latest;
}

int64_t polled_place(fr_str source, size_t index, size_t count, int64_t every_us)
{
    double at = (double)(fr_hash64(source.ptr, source.len) >> 11) / (double)(1LL << 53);
    at += (double)index / (double)(count > 0 ? count : 1);
    at -= at >= 1 ? 1 : 0;
    return (int64_t)(at * (double)every_us);
}

int64_t polled_due(int64_t began_us, int64_t every_us, int64_t place_us)
{
    int64_t since = (began_us - place_us) % every_us;
    int64_t due = began_us + every_us - (since < 0 ? since + every_us : since);
    return due - began_us < every_us / 2 ? due + every_us : due;
}
