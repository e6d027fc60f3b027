#include "sql/history.h"
#include <stdlib.h>
#include <string.h>

static const int64_t DAY_US = INT64_C(86400000000);
static const int64_t TOO_LATE = INT64_C(253370764800000000); /* the year 9999 */

/* There is no soft and no hard end of a state: what was, was. */
fr_rc fr_history_kept(const fr_sink_settings *set, fr_err *err)
{
    if (set->write_mode != FR_WRITE_HISTORY || set->deletes != FR_DELETES_SOFT)
        return FR_OK;
    return fr_target_refuse(err,
                            "write.deletes: no row of a history goes, and " FR_TARGET_TO
                            " says since when a key is gone: soft has nothing to mark",
                            "leave write.deletes out (a delete ends the current row), or set it to "
                            "ignore");
}

fr_rc fr_history_none(const fr_sink_settings *set, const char *why, const char *remedy, fr_err *err)
{
    return set->write_mode == FR_WRITE_HISTORY ? fr_target_refuse(err, why, remedy) : FR_OK;
}

fr_rc fr_history_time(fr_str qualified, const fr_event *e, int64_t *us_out, fr_err *err)
{
    int64_t us = e->txn != NULL && e->txn->commit_us != 0 ? e->txn->commit_us : e->time_us;
    if (us <= 0 || us >= TOO_LATE) {
        fr_fail(err, FR_ERR_DATA, "%.*s: the message does not say when its row changed",
                FR_ARG(qualified));
        fr_fail_code(err, "sink.time");
        return fr_fail_hint(err, "publish it with envelope standard, or set write.mode: append");
    }
    *us_out = us;
    return FR_OK;
}

static void no_table(const fr_target_comparison *k, fr_str lack, fr_str create)
{
    fr_finding *f = fr_target_blocker(
        k, "sink.table",
        fr_arena_printf(k->a, "no table of histories: it has not %.*s", FR_ARG(lack)),
        FR_STR("rename it, or give another by into; then this makes one"));
    f->sql = create;
}

void fr_history_compare(const fr_target_comparison *k, const fr_history_shape *shape, fr_str create)
{
    static const char *const names[] = {FR_TARGET_FROM, FR_TARGET_TO, FR_TARGET_CURRENT,
                                        FR_TARGET_POSITION};
    if (fr_table_key_count(k->table) == 0)
        return;
    for (size_t i = 0; i < 4; i++)
        if (!shape->has(shape->target, names[i], shape->types[i])) {
            no_table(k, fr_arena_printf(k->a, "the column %s %s", names[i], shape->types[i]),
                     create);
            return;
        }
    if (shape->lacks != NULL)
        no_table(k, fr_cstr(shape->lacks), create);
}

fr_severity fr_history_collation(const fr_target_comparison *k)
{
    return k->settings->write_mode == FR_WRITE_HISTORY ? FR_BLOCKER : FR_WARNING;
}

void fr_history_other_mode(const fr_target_comparison *k, bool has_from)
{
    if (has_from && k->settings->write_mode != FR_WRITE_HISTORY)
        fr_target_blocker(k, "sink.table",
                          FR_STR("it keeps histories, since it has the column " FR_TARGET_FROM),
                          FR_STR("set write.mode: history, or give another table by into"));
}

fr_str fr_history_keys(fr_arena *a, size_t columns)
{
    char *mask = fr_arena_alloc(a, columns + 1);
    return (fr_str){mask, columns};
}

/* ---- texts ---- */

fr_str fr_history_text(fr_arena *a, int64_t us)
{
    int64_t year, days = us / DAY_US, rest = us % DAY_US;
    unsigned month, day;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    fr_civil_from_days(days, &year, &month, &day);
    int seconds = (int)(rest / 1000000);
    return fr_arena_printf(a, "%04d-%02u-%02u %02d:%02d:%02d.%06d", (int)year, month, day,
                           seconds / 3600, seconds / 60 % 60, seconds % 60, (int)(rest % 1000000));
}

bool fr_history_read(fr_str text, int64_t *us_out)
{
    static const char form[] = "0000-00-00 00:00:00.000000";
    static const unsigned char widths[] = {4, 2, 2, 2, 2, 2, 6};
    int64_t n[7] = {0};
    size_t at = 0;
    if (text.len != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (form[i] == '0' ? text.ptr[i] < '0' || text.ptr[i] > '9' : text.ptr[i] != form[i])
            return false;
    for (size_t i = 0; i < 7; i++, at++)
        for (size_t k = 0; k < widths[i]; k++)
            n[i] = n[i] * 10 + (text.ptr[at++] - '0');
    int64_t days = fr_days_from_civil(n[0], (unsigned)n[1], (unsigned)n[2]);
    *us_out = days * DAY_US + ((n[3] * 60 + n[4]) * 60 + n[5]) * 1000000 + n[6];
    return true;
}

/* ---- one change ---- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Above 0: newer than what is known. */
static int order_of(const fr_history_last *last, const fr_target_change *c, bool guarded)
{
    if (!guarded || last->position.len != FR_TARGET_POSITION_SIZE)
        return 1;
    return memcmp(fr_target_compared(c), last->position.ptr, FR_TARGET_POSITION_SIZE);
}

fr_history_turn fr_history_next(const fr_history_last *last, const fr_target_change *c,
                                bool guarded)
{
    const fr_history_turn nothing = {.ends = false};
    int order = order_of(last, c, guarded);
    if (!last->there)
        return (fr_history_turn){.begins = !c->deleted, .at_us = c->time_us};
    fr_history_turn turn = {.ends = last->now,
                            .begins = !c->deleted,
                            .moves = c->deleted && !c->unplaced,
                            .at_us = later(later(c->time_us, last->from_us + 1), last->until_us)};
    if (order < 0 || (c->deleted && !last->now))
        return nothing;
    if (c->deleted)
        return turn;
    if ((order == 0 && (c->read || !last->now)) || (last->now && last->same))
        return nothing;
    return turn;
}

/* ---- order ---- */

typedef struct place {
    fr_target_change change;
    size_t turn; /* how many changes of its key are before it */
} place;

static int by_key(const void *left, const void *right)
{
    const fr_target_change *a = &((const place *)left)->change;
    const fr_target_change *b = &((const place *)right)->change;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int order = fr_str_cmp(a->key, b->key);
    if (order != 0)
        return order;
    return a->event < b->event ? -1 : a->event > b->event;
}

/* Keys in order within a turn (R33). */
static int by_turn(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->turn != b->turn)
        return a->turn < b->turn ? -1 : 1;
    if (a->change.form != b->change.form)
        return a->change.form < b->change.form ? -1 : 1;
    return by_key(left, right);
}

void fr_history_sort(fr_target_changes *changes)
{
    size_t n = changes->count;
    if (n < 2)
        return;
    place *places = fr_malloc(n * sizeof(*places));
    for (size_t i = 0; i < n; i++)
        places[i] = (place){.change = changes->items[i]};
    qsort(places, n, sizeof(*places), by_key);
    for (size_t i = 1; i < n; i++)
        if (fr_target_same_key(&places[i - 1].change, &places[i].change))
            places[i].turn = places[i - 1].turn + 1;
    qsort(places, n, sizeof(*places), by_turn);
    for (size_t i = 0; i < n; i++)
        changes->items[i] = places[i].change;
    free(places);
}
