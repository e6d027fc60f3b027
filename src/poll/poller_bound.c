/* What the server said of its clock and of who is open, and what is final by it. */
#include "base/clock.h"
#include "base/log.h"
#include "poll/poller_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SECOND_US = 1000000, MILLISECOND_US = 1000 };

bool fr_poller_looks_back(const fr_poller *p)
{
    return p->ops != NULL && p->ops->clock_only && p->order.count > 0 && !p->order.number;
}

void fr_poller_set_at(fr_poller *p, size_t i, fr_str text)
{
    p->at[i].len = 0;
    fr_buf_str(&p->at[i], text);
    p->r.at[i] = fr_buf_view(&p->at[i]);
}

/* ---- by time ---- */

/* How long ago the server's clock was read last: a server that is slow to answer is not one whose
 * clock went back. Across a start only the wall's clock knows, which may itself have gone back. */
static int64_t passed_since(const fr_poller *p, int64_t asked_us)
{
    int64_t passed = p->looked_us != 0   ? asked_us - p->looked_us
                     : p->r.wall_us != 0 ? fr_wall_us() - p->r.wall_us
                                         : 0;
    return passed < 0 ? 0 : passed;
}

static void say_set_back(const fr_poller *p, int64_t back)
{
    fr_log(FR_LOG_WARN, p->who,
           "the server's clock went back by %" PRId64 " s: rows of that time are read again",
           back / SECOND_US);
}

static fr_str cursor_text(const fr_poller *p, fr_arena *a, int64_t us)
{
    size_t column = p->order.columns[0];
    fr_value v = {.kind = p->relation->table->columns[column].kind, .integer = us};
    return p->ops->text(a, p->relation, column, &v);
}

static void set_place_back(fr_poller *p, int64_t by_us)
{
    fr_arena *a = fr_arena_new(256);
    p->r.cursor -= by_us;
    p->r.bound_us -= by_us;
    fr_poller_set_at(p, 0, cursor_text(p, a, p->r.cursor));
    p->r.at_count = 1;
    p->bound_count = 0;
    fr_arena_free(a);
}

/* The server's clock went back (its own, or that of another server after a failover): what is
 * stamped from now on may lie below the cursor. So the cursor goes back as far, and what was read
 * since then is read again: a repeat is harmless, a row that is missed is not. */
static void follow_clock(fr_poller *p, const fr_sql_state *s, int64_t asked_us)
{
    int64_t back = p->r.server_us == 0 ? 0 : p->r.server_us + passed_since(p, asked_us) - s->now_us;
    if (back <= SECOND_US || p->r.at_count == 0)
        return;
    say_set_back(p, back);
    set_place_back(p, back + SECOND_US);
}

/* With a larger poll.max_skew rows may lie below the cursor that were not waited for: as far as it
 * reaches further than the one that was read with, all is read again. */
static void follow_skew(fr_poller *p)
{
    int64_t more = p->settings->poll_max_skew_us - p->r.skew_us;
    if (p->r.skew_known && more > 0 && p->r.at_count > 0) {
        fr_log(FR_LOG_WARN, p->who,
               "poll.max_skew was raised: rows of %" PRId64 " ms are read again",
               more / MILLISECOND_US);
        set_place_back(p, more + SECOND_US);
    }
    p->r.skew_known = true;
    p->r.skew_us = p->settings->poll_max_skew_us;
}

/* All up to here is read, and final. */
static void keep_time(fr_poller *p, int64_t us)
{
    fr_arena *a = fr_arena_new(256);
    fr_lookback_keep_time(&p->back, cursor_text(p, a, us), us);
    fr_arena_free(a);
}

/* Half a step up or down is what rounding may do. */
static int64_t one_step_below(const fr_poller *p, int64_t us)
{
    int64_t unit = p->relation->unit_us[p->order.columns[0]];
    return unit > 1 ? us / unit * unit - unit : us;
}

/* With a larger poll.lookback or poll.max_skew what was final before the start is not any more. */
static void reach_back(fr_poller *p)
{
    int64_t more = p->back.cursor - p->back.final_us;
    if (p->back.at_count == 0 || more <= 0)
        return;
    fr_log(FR_LOG_WARN, p->who,
           "poll.lookback or poll.max_skew was raised: rows of %" PRId64 " ms are read again",
           more / MILLISECOND_US);
    keep_time(p, p->back.final_us);
}

/* All that is there is read, but only what is older than poll.lookback is final. */
static void look_back(fr_poller *p, const fr_sql_state *s, int64_t asked_us)
{
    int64_t low_us, late_us = p->settings->poll_lookback_us + p->settings->poll_max_skew_us;
    if (fr_lookback_set_back(&p->back, p->r.server_us, passed_since(p, asked_us), s->now_us,
                             &low_us)) {
        say_set_back(p, p->r.server_us - s->now_us);
        keep_time(p, low_us);
    }
    bool full = p->back.full;
    if (full && !p->said_full)
        fr_log(FR_LOG_WARN, p->who,
               "more than %d rows within poll.lookback: the rest comes once they are final",
               FR_LOOKBACK_MAX);
    p->said_full = full;
    fr_lookback_begin(&p->back, one_step_below(p, s->now_us - late_us - SECOND_US));
    if (p->looked_us == 0)
        reach_back(p);
    fr_poll_record place = p->r;
    fr_lookback_place(&p->back, &place);
    for (size_t i = 0; i < place.at_count; i++)
        fr_poller_set_at(p, i, place.at[i]);
    p->r.at_count = place.at_count;
    p->r.cursor = place.cursor;
    p->r.bound_us = s->now_us;
    p->waits_us = full ? late_us : 0;
    snprintf(p->waits, sizeof(p->waits), "%s",
             full ? "poll.lookback: more rows than are remembered" : "");
}

/* Behind a row of the page: a round that begins anew need not come back to what is final. */
void fr_poller_note_final(fr_poller *p)
{
    if (p->r.cursor <= p->back.final_us)
        fr_lookback_keep(&p->back, &p->r);
    else if (p->back.at_count == 0 || p->back.cursor < p->back.final_us)
        keep_time(p, p->back.final_us);
}

void fr_poller_end_round(fr_poller *p)
{
    fr_lookback_end(&p->back);
    if (p->back.at_count > 0 && p->back.cursor < p->back.final_us)
        keep_time(p, p->back.final_us);
}

/* While a transaction is prepared nobody says when it began: at the last look before that it was
 * open, and is covered by what that look said of open ones, or it had not begun. */
static int64_t bound_before(const fr_poller *p, int64_t prepared_us)
{
    for (size_t i = p->bound_count; i-- > 0;)
        if (p->bounds[i].now_us < prepared_us)
            return p->bounds[i].bound_us;
    /* Not since the start. set_bound takes both off again, so that the bound stays where it is. By
     * number there is none on record, and nothing is final. */
    int64_t unit = p->relation->unit_us[p->order.columns[0]];
    return p->r.bound_us + p->settings->poll_max_skew_us + (unit > 1 ? unit : 0);
}

static void remember_bound(fr_poller *p, int64_t now_us, int64_t bound_us)
{
    if (p->bound_count == FR_POLLER_BOUNDS) {
        memmove(p->bounds, p->bounds + 1, (FR_POLLER_BOUNDS - 1) * sizeof(p->bounds[0]));
        p->bound_count--;
    }
    p->bounds[p->bound_count].now_us = now_us;
    p->bounds[p->bound_count++].bound_us = bound_us;
}

/* Nobody who can still commit began before that. */
static int64_t nobody_before(fr_poller *p, const fr_sql_state *s, int64_t margin_us)
{
    int64_t bound = s->listed_us - margin_us;
    if (s->oldest_us < bound)
        bound = s->oldest_us;
    remember_bound(p, s->now_us, bound);
    if (s->prepared_us == INT64_MAX)
        return bound;
    int64_t before = bound_before(p, s->prepared_us);
    return before < bound ? before : bound;
}

/* R19: no row below the bound can be committed any more. */
static void set_bound(fr_poller *p, const fr_sql_state *s)
{
    p->r.bound_us =
        one_step_below(p, nobody_before(p, s, SECOND_US) - p->settings->poll_max_skew_us);
}

static void say_who(fr_poller *p, const fr_sql_state *s, bool waits)
{
    bool prepared = s->prepared_us != INT64_MAX;
    fr_str who = prepared ? FR_STR("a prepared transaction") : s->oldest_who;
    p->waits[0] = '\0';
    p->waits_us = !waits ? 0 : s->now_us - (prepared ? s->prepared_us : s->oldest_us);
    if (waits)
        snprintf(p->waits, sizeof(p->waits), "%.*s", FR_ARG(who));
}

static bool anybody(const fr_sql_state *s)
{
    return s->prepared_us != INT64_MAX || s->oldest_us < s->now_us - 2 * (int64_t)SECOND_US;
}

/* ---- by number ---- */

/* Of all times that the server has said: where its clock went back, those who are open still began
 * by what it showed before. */
static void note_latest(fr_poller *p, const fr_sql_state *s)
{
    if (p->latest_us < p->r.server_us)
        p->latest_us = p->r.server_us;
    if (p->latest_us < s->now_us)
        p->latest_us = s->now_us;
}

/* What the last round has found is dated by a clock that was read after it, so that nobody who was
 * there then can have begun later. */
static void date(fr_poller *p, const fr_sql_state *s, int64_t asked_us)
{
    int64_t now_us = p->ops->clock_only ? s->now_us : p->latest_us;
    if (p->read_us == 0 || asked_us < p->read_us)
        return;
    p->dirty = p->dirty || p->proposes || fr_gaps_undated(&p->r.gaps);
    fr_gaps_date(&p->r.gaps, now_us);
    if (!p->proposes)
        return;
    p->r.candidate_known = true;
    p->r.candidate = p->proposed;
    p->r.candidate_us = now_us;
    p->proposes = false;
}

static void take_numbers(fr_poller *p, const fr_sql_state *s, int64_t asked_us)
{
    int64_t since_us = nobody_before(p, s, 0);
    note_latest(p, s);
    date(p, s, asked_us);
    if (p->r.candidate_known && fr_gap_ripe(since_us, p->r.candidate_us)) {
        p->r.settled_known = true;
        p->r.settled = p->r.candidate;
        p->r.candidate_known = false;
    }
    fr_gaps_ripen(&p->r.gaps, since_us);
    say_who(p, s, p->r.gaps.count > 0 && anybody(s) && !p->ops->clock_only);
}

void fr_poller_take_state(fr_poller *p, fr_sql_state *s, int64_t asked_us)
{
    if (p->ops->clock_only)
        fr_lookback_state(s, p->settings->poll_lookback_us);
    if (p->order.number) {
        take_numbers(p, s, asked_us);
    } else if (fr_poller_looks_back(p)) {
        look_back(p, s, asked_us);
    } else {
        follow_clock(p, s, asked_us);
        follow_skew(p);
        set_bound(p, s);
        say_who(p, s, anybody(s));
    }
}
