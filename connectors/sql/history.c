#include "sql/history.h"
#include <stdlib.h>

/* There is no soft and no hard end of a state: what was, was. */
fr_rc fr_history_settings(const fr_sink_settings *set, const fr_history_lack *lack, fr_err *err)
{
    if (set->write_mode != FR_WRITE_HISTORY)
        return FR_OK;
    if (lack != NULL)
        return fr_target_refuse(err, lack->why, lack->remedy);
    if (set->deletes == FR_DELETES_SOFT)
        return fr_target_refuse(err,
                                "write.deletes: no row of a history goes, and " FR_TARGET_TO
                                " says since when a key is gone: soft has nothing to mark",
                                "leave write.deletes out (a delete ends the current row), or set "
                                "it to ignore");
    return FR_OK;
}

fr_rc fr_history_time(fr_str qualified, const fr_event *e, int64_t *us_out, fr_err *err)
{
    int64_t us = e->txn != NULL && e->txn->commit_us != 0 ? e->txn->commit_us : e->time_us;
    if (us == 0) {
        fr_fail(err, FR_ERR_DATA, "%.*s: the message does not say when its row changed",
                FR_ARG(qualified));
        fr_fail_code(err, "sink.time");
        return fr_fail_hint(err, "publish it with envelope standard, or set write.mode: append");
    }
    *us_out = us;
    return FR_OK;
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
