/* Numbers that are handed out again: after TRUNCATE, or because a row was given an old one by hand.
 * Their rows lie below the cursor, and no poll reads them. That is seen while they are the highest
 * ones: where the highest number has grown, is not above the cursor, and was in no gap. Nothing is
 * proved by one that has only become lower, for rows are deleted. */
#include "base/clock.h"
#include "poll/poller_parts.h"
#include <inttypes.h>

enum { EVERY_US = 60000000 };

/* Rows of a view, or those that snapshot.where takes, may come and go without being inserted; and a
 * comparison publishes what no poll reads. */
static bool watches(const fr_poller *p)
{
    const char *where = p->settings->snapshot_where;
    return p->order.number && p->relation->plain_table && p->r.at_count > 0 &&
           (where == NULL || where[0] == '\0') && p->settings->poll_deletes != 2;
}

static bool may_come(const fr_poller *p, int64_t number)
{
    if (number > p->r.cursor)
        return true;
    for (size_t i = 0; i < p->r.gaps.count; i++)
        if (number >= p->r.gaps.items[i].from && number <= p->r.gaps.items[i].to)
            return true;
    return false;
}

static fr_rc come_again(const fr_poller *p, int64_t number, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "there is a new row whose %.*s is %" PRId64 ", and all up to %" PRId64 " was read: "
            "numbers are handed out again (TRUNCATE, or one that was inserted by hand)%s, and such "
            "rows were missed",
            FR_ARG(p->order.names[0]), number, p->r.cursor,
            p->ops->clock_only ? ", or it was committed later than poll.lookback" : "");
    fr_fail_code(err, "poll.reused");
    return fr_fail_hint(err, "read the source anew: freshet position reset SOURCE (stopped); and "
                             "empty the table with DELETE, or poll a time");
}

fr_rc fr_poller_see_again(fr_poller *p, fr_sql *c, fr_err *err)
{
    int64_t now = INT64_MIN;
    if (!watches(p) || fr_now_us() < p->highest_due_us)
        return FR_OK;
    fr_arena *a = fr_arena_new(512);
    fr_rc rc = fr_poll_highest(c, p->relation, &p->order, a, &now, err);
    fr_arena_free(a);
    FR_TRY(rc);
    bool grown = p->highest_known && now > p->highest;
    p->highest_known = true;
    p->highest = now;
    p->highest_due_us = fr_now_us() + EVERY_US;
    return grown && !may_come(p, now) ? come_again(p, now, err) : FR_OK;
}

void fr_poller_saw_number(fr_poller *p, int64_t number)
{
    if (p->order.number && number > p->highest)
        p->highest = number;
}
