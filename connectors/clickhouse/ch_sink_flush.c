/* The commit: ranges written ahead, rows inserted under tokens, offsets (R35). */
#include "base/clock.h"
#include "base/failpoint.h"
#include "clickhouse/ch_sink.h"
#include <stdio.h>
#include <string.h>

/* ---- one block ---- */

/* Of the record that was written ahead: who replays it makes the same, and nobody else does, not
 * even for the same offsets of a topic that was made anew. */
static fr_str token_of(fr_arena *a, const fr_ch_lane *l, const fr_ch_block *b)
{
    if (FR_FAILPOINT("ch_no_token"))
        return fr_arena_printf(a, "%lld", (long long)fr_now_us());
    return fr_arena_printf(a, "%.*s-%d-%lld-%lld-%llx-%llx", FR_ARG(l->topic), l->partition,
                           (long long)b->first, (long long)b->last,
                           (unsigned long long)l->state.epoch, (unsigned long long)l->state.seq);
}

static bool has_patches(const fr_ch_lane *l, const fr_ch_block *b)
{
    for (size_t i = b->from; i < b->to; i++)
        if (l->rows[i].kind == FR_CH_PATCH)
            return true;
    return false;
}

static fr_rc insert(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, fr_str body,
                    const char *again, fr_err *err)
{
    const fr_ch_sink_table *t = l->rows[b->from].table;
    fr_str token = fr_arena_printf(s->arena, "%.*s%s", FR_ARG(token_of(s->arena, l, b)), again);
    const fr_ch_call call = {.doing = "write rows", .sql = t->insert, .body = body, .token = token};
    if (FR_FAILPOINT("ch_before_rows"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint ch_before_rows");
    if (fr_ch_ask(s->ch, &call, NULL, err) == FR_FAIL)
        return fr_fail_in(err, "%.*s", FR_ARG(t->qualified));
    if (FR_FAILPOINT("ch_after_rows"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint ch_after_rows");
    return FR_OK;
}

/* A server that is killed may know a token whose rows it lost: it writes the token first
 * (measured). So where a token may have been used before, success proves nothing. Current rows are
 * inserted once more, under a token of their own: their versions make them one. Of a table of all
 * states is asked. */
static fr_rc prove(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, fr_str body,
                   fr_err *err)
{
    char again[32];
    bool there = false;
    if (!l->rows[b->from].table->append) {
        snprintf(again, sizeof(again), "-%llx", (unsigned long long)fr_wall_us());
        return insert(s, l, b, body, again, err);
    }
    FR_TRY(fr_ch_rows_there(s, l, b, &there, err));
    if (there)
        return FR_OK;
    FR_TRY(insert(s, l, b, body, "-again", err));
    FR_TRY(fr_ch_rows_there(s, l, b, &there, err));
    if (there)
        return FR_OK;
    fr_fail(
        err, FR_ERR_POSITION,
        "%.*s: the server takes the rows of %.*s[%d], offsets %lld to %lld, for inserted, and has "
        "them not",
        FR_ARG(l->rows[b->from].table->qualified), FR_ARG(l->topic), l->partition,
        (long long)b->first, (long long)b->last);
    fr_fail_code(err, "sink.unproved");
    return fr_fail_hint(err, "insert them by hand, or load the table anew");
}

static fr_rc insert_rows(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, bool replayed,
                         fr_err *err)
{
    size_t begin = b->from == 0 ? 0 : l->rows[b->from - 1].end;
    size_t len = l->rows[b->to - 1].end - begin;
    fr_buf body = {0};
    fr_rc rc = FR_OK;
    (void)fr_buf_room(&body, len + 4096);
    fr_buf_str(&body, l->rows[b->from].table->header);
    if (has_patches(l, b))
        rc = fr_ch_fill(s, l, b, &body, err);
    else
        fr_buf_put(&body, l->bytes.ptr + begin, len);
    if (rc == FR_OK)
        rc = insert(s, l, b, fr_buf_view(&body), "", err);
    if (rc == FR_OK && (replayed || fr_ch_resent(s->ch)) && !FR_FAILPOINT("ch_no_proof"))
        rc = prove(s, l, b, fr_buf_view(&body), err);
    fr_buf_free(&body);
    return rc;
}

/* Rows that are newer stay: the truncate comes by each partition, and theirs may be ahead. */
static fr_rc empty_table(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, fr_err *err)
{
    const fr_ch_sink_table *t = l->rows[b->from].table;
    fr_str position = fr_ch_lane_row(l, b->from);
    fr_str sql = fr_arena_printf(s->arena, "TRUNCATE TABLE %.*s", FR_ARG(t->qualified));
    if (position.len > 0 && t->positioned)
        sql = fr_arena_printf(s->arena,
                              "ALTER TABLE %.*s DELETE WHERE " FR_TARGET_POSITION
                              " <= reinterpretAsUInt128(unhex('%.*s')) SETTINGS mutations_sync = 2",
                              FR_ARG(t->qualified), FR_ARG(position));
    return fr_ch_exec(s->ch, "empty the table", sql, err);
}

static fr_rc write_block(fr_ch_sink *s, const fr_ch_lane *l, const fr_ch_block *b, bool replayed,
                         fr_err *err)
{
    if (b->from == b->to)
        return FR_OK;
    return l->rows[b->from].kind == FR_CH_TRUNCATE ? empty_table(s, l, b, err)
                                                   : insert_rows(s, l, b, replayed, err);
}

/* The table was laid anew between two pieces of the range (its types were altered for the rows of
 * another partition): all of it is read again, and then laid alike. */
static fr_rc laid_anew(const fr_ch_lane *l, size_t at, fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "%.*s: it was altered while rows waited for the rest of their range",
            FR_ARG(l->rows[at].table->qualified));
    return fr_fail_code(err, "sink.altered");
}

/* A range that a predecessor wrote ahead may hold other rows than those it was cut for: a row that
 * has meanwhile become a dead letter. Still no block has two tables. */
static fr_rc write_pending_block(fr_ch_sink *s, const fr_ch_lane *l, fr_ch_block b, fr_err *err)
{
    for (size_t at = b.from; at < b.to; at++) {
        bool cut = at > b.from &&
                   (l->rows[at].table != l->rows[b.from].table ||
                    l->rows[at].kind == FR_CH_TRUNCATE || l->rows[at - 1].kind == FR_CH_TRUNCATE);
        if (!cut)
            continue;
        if (l->rows[at].table != l->rows[at - 1].table &&
            l->rows[at].table->table->serial == l->rows[at - 1].table->table->serial)
            return laid_anew(l, at, err);
        fr_fail(err, FR_ERR_BUG, "%.*s[%d]: the offsets %lld to %lld were one block, and are not",
                FR_ARG(l->topic), l->partition, (long long)b.first, (long long)b.last);
        return FR_FAIL;
    }
    return write_block(s, l, &b, true, err);
}

/* ---- a lane ---- */

typedef struct lane_plan {
    fr_ch_lane *lane;
    fr_ch_block *blocks; /* new ones */
    size_t count;
    size_t old_rows; /* of the range that was under way */
    int64_t first;   /* offset that the new ones begin with */
} lane_plan;

/* What is under way must be whole before any of it is written, or its blocks would be others. */
static bool is_whole(const fr_ch_lane *l)
{
    const fr_ch_state *st = &l->state;
    return st->bound_count == 0 || l->want > st->bounds[st->bound_count - 1];
}

static fr_rc finish_pending(fr_ch_sink *s, lane_plan *p, fr_err *err)
{
    fr_ch_lane *l = p->lane;
    fr_ch_block *blocks;
    size_t count = fr_ch_lane_pending(s->arena, l, &blocks, &p->old_rows);
    for (size_t i = 0; i < count; i++)
        if (blocks[i].to > l->done)
            FR_TRY(write_pending_block(s, l, blocks[i], err));
    p->first = count > 0 ? blocks[count - 1].last + 1 : l->state.next;
    return FR_OK;
}

static void cut_new(fr_ch_sink *s, lane_plan *p)
{
    fr_ch_lane *l = p->lane;
    if (p->first < 0 && p->old_rows < l->count)
        p->first = l->rows[p->old_rows].offset;
    p->count = fr_ch_lane_cut(s->arena, l, p->old_rows, p->first, l->want - 1, &p->blocks);
}

/* ---- the steps ---- */

static size_t plan_all(fr_ch_sink *s, const fr_offsets *offsets, lane_plan **out, fr_err *err)
{
    lane_plan *plans = fr_arena_alloc(s->arena, (offsets->count + 1) * sizeof(*plans));
    size_t count = 0;
    for (size_t i = 0; i < s->lane_count; i++)
        s->lanes[i]->want = -1;
    for (size_t i = 0; i < offsets->count; i++) {
        const fr_offset *o = &offsets->items[i];
        fr_ch_lane *l = fr_ch_lane_find(s, o->topic, o->partition);
        if (l == NULL) {
            fr_fail(err, FR_ERR_BUG, "commit of %.*s[%d], which was not claimed", FR_ARG(o->topic),
                    o->partition);
            return SIZE_MAX;
        }
        l->want = o->next;
        if (o->topic_id[0] != '\0')
            memcpy(l->topic_id, o->topic_id, sizeof(l->topic_id));
        if (is_whole(l))
            plans[count++] = (lane_plan){.lane = l, .first = l->state.next};
        else
            l->want = -1;
    }
    *out = plans;
    return count;
}

/* What waits for the rest of its range outlives a rollback from now on. */
static void keep_the_rest(fr_ch_sink *s)
{
    for (size_t i = 0; i < s->lane_count; i++) {
        s->lanes[i]->kept = s->lanes[i]->count;
        s->lanes[i]->kept_bytes = s->lanes[i]->bytes.len;
    }
}

static fr_rc write_ahead(fr_ch_sink *s, lane_plan *plans, size_t count, fr_err *err)
{
    fr_buf records = {.arena = s->arena};
    for (size_t i = 0; i < count; i++) {
        lane_plan *p = &plans[i];
        cut_new(s, p);
        if (p->count > 0)
            fr_ch_put_state(&records, s, p->lane, p->first, p->blocks, p->count);
    }
    if (records.len == 0)
        return FR_OK;
    FR_TRY(fr_ch_write_states(s, &records, err));
    return fr_ch_still_ours(s, err);
}

static fr_rc write_rows(fr_ch_sink *s, lane_plan *plans, size_t count, fr_err *err)
{
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < plans[i].count; b++)
            FR_TRY(write_block(s, plans[i].lane, &plans[i].blocks[b], false, err));
    return FR_OK;
}

static fr_rc write_offsets(fr_ch_sink *s, lane_plan *plans, size_t count, fr_err *err)
{
    fr_buf records = {.arena = s->arena};
    for (size_t i = 0; i < count; i++)
        fr_ch_put_state(&records, s, plans[i].lane, plans[i].lane->want, NULL, 0);
    return records.len == 0 ? FR_OK : fr_ch_write_states(s, &records, err);
}

static fr_rc commit_all(fr_ch_sink *s, lane_plan *plans, size_t count, fr_err *err)
{
    bool rows = false;
    for (size_t i = 0; i < count; i++)
        rows = rows || plans[i].lane->count > 0;
    FR_TRY(fr_ch_still_ours(s, err));
    for (size_t i = 0; i < count; i++)
        FR_TRY(finish_pending(s, &plans[i], err));
    FR_TRY(write_ahead(s, plans, count, err));
    if (FR_FAILPOINT("ch_after_ahead"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint ch_after_ahead");
    FR_TRY(write_rows(s, plans, count, err));
    FR_TRY(fr_ch_write_parked(s, err));
    if (FR_FAILPOINT("sink_before_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_commit");
    FR_TRY(write_offsets(s, plans, count, err));
    if (!rows)
        FR_TRY(fr_ch_still_ours(s, err));
    for (size_t i = 0; i < count; i++)
        fr_ch_lane_drop(plans[i].lane);
    keep_the_rest(s);
    return FR_OK;
}

/* All rows of the range that is under way are there. */
static bool has_all(const fr_ch_lane *l)
{
    const fr_ch_state *st = &l->state;
    return st->bound_count > 0 && l->rows[l->count - 1].offset >= st->bounds[st->bound_count - 1];
}

/* A lane has one range under way and no second: rows behind it wait. Then the server finds out that
 * their types are others (sink.altered), and they are read again. */
static size_t plan_early(fr_ch_sink *s, lane_plan *plans)
{
    size_t count = 0;
    for (size_t i = 0; i < s->lane_count; i++) {
        fr_ch_lane *l = s->lanes[i];
        bool now = l->count > 0 && (l->state.bound_count == 0 || has_all(l));
        l->want = now ? l->rows[l->count - 1].offset + 1 : -1;
        if (now)
            plans[count++] = (lane_plan){.lane = l, .first = l->state.next};
    }
    return count;
}

static fr_rc finish_early(fr_ch_sink *s, lane_plan *plans, size_t *count, fr_err *err)
{
    size_t fresh = 0;
    for (size_t i = 0; i < *count; i++) {
        lane_plan *p = &plans[i];
        if (p->lane->state.bound_count == 0) {
            plans[fresh++] = *p;
            continue;
        }
        FR_TRY(finish_pending(s, p, err));
        p->lane->done = p->old_rows;
    }
    *count = fresh;
    return FR_OK;
}

static fr_rc flush_early(fr_ch_sink *s, fr_err *err)
{
    lane_plan *plans = fr_arena_alloc(s->arena, (s->lane_count + 1) * sizeof(*plans));
    size_t count = plan_early(s, plans);
    if (count == 0)
        return FR_OK;
    FR_TRY(fr_ch_still_ours(s, err));
    FR_TRY(finish_early(s, plans, &count, err));
    FR_TRY(write_ahead(s, plans, count, err));
    FR_TRY(write_rows(s, plans, count, err));
    for (size_t i = 0; i < count; i++)
        plans[i].lane->done = plans[i].lane->count;
    return FR_OK;
}

fr_rc fr_ch_flush_early(fr_ch_sink *s, fr_err *err)
{
    fr_rc rc = flush_early(s, err);
    fr_arena_reset(s->arena);
    s->lost = s->lost || rc == FR_FAIL;
    return rc;
}

fr_rc fr_ch_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    lane_plan *plans = NULL;
    if (offsets->count == 0)
        return FR_OK;
    size_t count = plan_all(s, offsets, &plans, err);
    fr_rc rc = count == SIZE_MAX ? FR_FAIL : commit_all(s, plans, count, err);
    fr_arena_reset(s->arena);
    if (rc == FR_FAIL) {
        s->lost = true;
        fr_ch_lanes_roll_back(s);
        fr_ch_sink_failed(s, err);
        return fr_fail_in(err, "commit");
    }
    atomic_store(&s->connected, true);
    if (s->commit_us != 0)
        atomic_store(&s->lag_us, fr_wall_us() - s->commit_us);
    if (FR_FAILPOINT("sink_after_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_commit");
    return FR_OK;
}
