/* A poller against a server of world.h, until nothing comes any more, and what came of what was
 * committed. Included by tests of src/poll. */
#ifndef FR_TEST_POLL_RUN_H
#define FR_TEST_POLL_RUN_H

#include "tests/unit/poll/world.h"

static void end_all(world *w)
{
    while (w->count < w->target)
        step(w);
    for (size_t i = 0; i < w->count; i++)
        if (w->txs[i].state <= PREPARED)
            w->txs[i].state = roll(w, 10) < 3 ? ROLLED_BACK : COMMITTED;
}

typedef struct run {
    const char *column;
    bool kills; /* now and then the poller begins again from its last record */
    int64_t batch;
    int64_t lookback_us; /* where it is not said who is open */
    bool forgets;        /* the record does not say what was published of it */
} run;

typedef struct tally {
    unsigned seen[MOST + 1];
    size_t committed, missed, twice, unknown;
    uint64_t gaps;
} tally;

static void take_events(const fr_batch *b, tally *t, uint64_t *page, int64_t *ordinal)
{
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        int64_t id = e->after.values[TABLE_ID].integer;
        assert_in_range(id, 1, MOST);
        t->seen[id]++;
        if (e->position.lsn == *page)
            assert_true((int64_t)e->position.ordinal > *ordinal);
        else
            assert_true(e->position.lsn > *page);
        *page = e->position.lsn;
        *ordinal = e->position.ordinal;
    }
}

static fr_str without_seen(fr_arena *a, fr_str record)
{
    const char *text = fr_arena_cstr(a, record), *seen = strstr(text, ",\"seen\":\"");
    if (seen == NULL)
        return record;
    return fr_arena_printf(a, "%.*s%s", (int)(seen - text), text, strchr(seen + 9, '"') + 1);
}

/* Polls until nobody is open any more and nothing comes, and counts. */
static void poll_all(world *w, const run *how, tally *out)
{
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t",
                                  .poll_column = how->column,
                                  .poll_batch = how->batch,
                                  .poll_lookback_us = how->lookback_us};
    fr_arena *kept = fr_arena_new(0);
    fr_str record = {"", 0};
    fr_batch *b = fr_batch_new(16, 1 << 20);
    fr_err err;
    uint64_t page = 0;
    int64_t ordinal = -1;
    memset(out, 0, sizeof(*out));
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), record, 0, look, w);
    for (int64_t quiet = 0; quiet < 12 + how->lookback_us / SECOND;) {
        fr_batch_reset(b);
        fr_rc rc = fr_poller_fill(p, &w->base, b, fr_now_us() + SECOND, &err);
        if (rc == FR_FAIL)
            fail_msg("%s", err.text);
        if (rc == FR_OK && how->kills && roll(w, 9) == 0) { /* before it was committed */
            fr_poller_free(p);
            p = fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), record, 0, look,
                              w);
            continue;
        }
        if (rc == FR_OK) {
            take_events(b, out, &page, &ordinal);
            assert_true(b->progress.len > 0);
            record = fr_arena_str(kept, b->progress);
            if (how->forgets)
                record = without_seen(kept, record);
        }
        steps(w, 6);
        if (rc == FR_END && w->count == w->target) {
            end_all(w);
            w->now_us += SECOND;
            quiet++;
        }
    }
    fr_poller_status s;
    fr_poller_status_of(p, &s);
    out->gaps = s.gaps;
    fr_poller_free(p);
    fr_batch_free(b);
    fr_arena_free(kept);
    for (size_t i = 0; i < w->count; i++) {
        unsigned n = out->seen[w->txs[i].id];
        bool committed = w->txs[i].state == COMMITTED;
        out->committed += committed;
        out->missed += committed && n == 0;
        out->twice += n > 1;
        out->unknown += !committed && n > 0;
    }
}

#endif
