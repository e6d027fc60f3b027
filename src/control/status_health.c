#include "control/status_internal.h"

#include <inttypes.h>
#include <string.h>

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

/* A row may be there that was stamped so long ago, and is not in Kafka: the poll is that old, or
 * its bound was held back. */
static double whole_lag(const fr_part *p, const fr_board_table *t)
{
    int64_t lag = p->board->wall_us() - t->poll.whole_us;
    return t->poll.whole_us == 0 ? -1 : lag < 0 ? 0 : seconds(lag);
}

/* Of the table that is furthest behind. */
static double polled_lag(const fr_part *p)
{
    double most = -1;
    size_t i = 0;
    void *table;
    while (fr_map_next(p->tables, &i, NULL, &table)) {
        const fr_board_table *t = table;
        double lag = t->polled && !t->is_held ? whole_lag(p, t) : -1;
        most = lag > most ? lag : most;
    }
    return most;
}

/* An event that comes now is as old as the newest that went through, unless it was shown since
 * that nothing waits. */
double fr_part_lag(const fr_part *p)
{
    if (p->polled)
        return polled_lag(p);
    int64_t now = p->board->wall_us();
    int64_t newest = p->commit_us > p->caught_up_us ? p->commit_us : p->caught_up_us;
    const fr_status *s = &p->connector;
    if (p->has_connector && s->server_lsn != 0 && s->confirmed_lsn >= s->server_lsn)
        return 0;
    if (newest != 0) {
        /* Heartbeats come every few seconds: between two of them nothing is late. */
        int64_t lag = now - newest;
        bool idle = p->caught_up_us >= p->commit_us && lag < FR_STALL_BYTES_US;
        return idle || lag < 0 ? 0 : seconds(lag);
    }
    return p->has_connector && s->lag_us >= 0 ? seconds(s->lag_us) : -1;
}

fr_state fr_table_state(const fr_part *p, const fr_board_table *t)
{
    /* What holds the part holds its tables, unless theirs is worse. */
    bool part_stands = p->state >= FR_STATE_THROTTLED || p->state == FR_STATE_PENDING;
    if (t->is_held && !(part_stands && t->held.catching_up))
        return fr_held_state(t);
    if (!t->state_set || (part_stands && t->state < FR_STATE_THROTTLED))
        return p->state;
    return t->state;
}

/* The log is read in order, so a table that goes along is as fresh as its source; one that is
 * held is as old as its own last event. */
double fr_table_lag(const fr_part *p, const fr_board_table *t)
{
    fr_state s = fr_table_state(p, t);
    if (t->polled)
        return whole_lag(p, t);
    if (s == FR_STATE_PENDING || s == FR_STATE_SNAPSHOTTING)
        return -1;
    bool held = t->is_held || (t->state_set && t->state >= FR_STATE_THROTTLED);
    if (!held)
        return fr_part_lag(p);
    int64_t last = t->commit_us != 0 ? t->commit_us : t->is_held ? t->held.since_us : 0;
    return last == 0 ? -1 : seconds(p->board->wall_us() - last);
}

double fr_rate_now(const fr_rate *r, int64_t now_us)
{
    int64_t slot = now_us / FR_RATE_SLOT_US, begun = now_us % FR_RATE_SLOT_US;
    uint64_t n = 0;
    if (r->first == 0)
        return 0;
    for (int64_t i = slot - FR_RATE_SLOTS + 1; i <= slot; i++)
        if (i <= r->slot && i >= r->first)
            n += r->slots[i % FR_RATE_SLOTS];
    int64_t oldest = slot - FR_RATE_SLOTS + 1 > r->first ? slot - FR_RATE_SLOTS + 1 : r->first;
    double time = seconds((slot - oldest) * FR_RATE_SLOT_US + begun);
    return (double)n / (time < 1 ? 1 : time);
}

double fr_growth_rate(const fr_growth *g)
{
    if (g->count < 2)
        return 0;
    size_t newest = (g->next + FR_GROWTH_SAMPLES - 1) % FR_GROWTH_SAMPLES;
    size_t oldest = g->count < FR_GROWTH_SAMPLES ? 0 : g->next;
    return (double)(g->bytes[newest] - g->bytes[oldest]) /
           seconds(g->at_us[newest] - g->at_us[oldest]);
}

double fr_part_limit_in(const fr_part *p)
{
    double rate = fr_growth_rate(&p->growth);
    const fr_status *s = &p->connector;
    if (!p->has_connector || s->retained_limit < 0 || s->retained_bytes < 0)
        return -1;
    if (s->retained_bytes >= s->retained_limit)
        return 0;
    return rate > 0 ? (double)(s->retained_limit - s->retained_bytes) / rate : -1;
}

double fr_table_percent(const fr_board_table *t)
{
    double percent = -1;
    if (t->chunks > 0 && t->chunks_done >= t->chunks)
        return 100;
    if (t->rows_expected > 0)
        percent = 100.0 * (double)t->rows / (double)t->rows_expected;
    else if (t->chunks > 0)
        percent = 100.0 * t->chunks_done / t->chunks;
    return percent > 99.9 ? 99.9 : percent; /* an estimate never says that it is done */
}

/* No time left is told before 1 % is done: it would be a guess. */
double fr_table_eta(const fr_part *p, const fr_board_table *t)
{
    double percent = fr_table_percent(t);
    if (t->snapshot_began_us == 0 || percent < 1 || percent >= 100)
        return -1;
    double took = seconds(p->board->now_us() - t->snapshot_began_us);
    return took * (100 - percent) / percent;
}

/* --- verdicts --------------------------------------------------------------------------- */

/* A table that is held keeps the source from being confirmed, and has nothing to commit: then it
 * is read on that counts. */
static bool source_stands(const fr_part *p, int64_t now)
{
    const fr_status *s = &p->connector;
    bool commits = now - p->progress_us <= FR_STALL_PROGRESS_US;
    if (p->held_count == 0)
        return s->server_lsn > s->confirmed_lsn && !commits;
    bool reads = now - p->read_us <= FR_STALL_PROGRESS_US;
    return s->server_lsn > s->read_lsn && s->read_lsn != 0 && !commits && !reads;
}

const char *fr_part_stall(const fr_part *p)
{
    const fr_status *s = &p->connector;
    int64_t now = p->board->now_us();
    bool reads = p->state == FR_STATE_CATCHING_UP || p->state == FR_STATE_STREAMING;
    /* A sink has no log to compare with: it reports progress whenever nothing waits but what is
     * held. */
    if (p->sink && reads && now - p->progress_us > FR_STALL_PROGRESS_US)
        return "messages wait and nothing was committed for more than 60 s";
    if ((!reads && p->state != FR_STATE_SNAPSHOTTING) || !p->has_connector)
        return NULL;
    if (!p->sink && source_stands(p, now))
        return "the server is ahead and nothing was committed for more than 60 s";
    int64_t heard = s->last_byte_us > p->moving_us ? s->last_byte_us : p->moving_us;
    if (reads && !p->sink && now - heard > FR_STALL_BYTES_US)
        return "no byte came from the server for more than 25 s";
    return NULL;
}

bool fr_board_stalled(fr_board *b, fr_buf *names)
{
    bool stalled = false;
    for (fr_part *p = fr_board_first(b); p != NULL; p = fr_board_next(p)) {
        pthread_mutex_lock(&p->lock);
        const char *why = fr_part_stall(p);
        pthread_mutex_unlock(&p->lock);
        if (why == NULL)
            continue;
        if (names != NULL)
            fr_buf_printf(names, "%s%s %s: %s", stalled ? "; " : "", p->sink ? "sink" : "source",
                          p->name, why);
        stalled = true;
    }
    return stalled;
}

bool fr_board_ready(fr_board *b)
{
    fr_part *p = fr_board_first(b);
    bool ready = p != NULL;
    for (; p != NULL; p = fr_board_next(p)) {
        pthread_mutex_lock(&p->lock);
        ready = ready && p->state != FR_STATE_PENDING;
        pthread_mutex_unlock(&p->lock);
    }
    return ready;
}

int fr_board_worst(fr_board *b)
{
    int worst = 0;
    for (fr_part *p = fr_board_first(b); p != NULL; p = fr_board_next(p)) {
        pthread_mutex_lock(&p->lock);
        bool failed = p->state == FR_STATE_FAILED && p->has_error;
        int code = failed ? fr_err_exit(p->error.kind) : 0;
        pthread_mutex_unlock(&p->lock);
        worst = code > worst ? code : worst;
    }
    return worst;
}
