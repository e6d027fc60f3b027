/* What a source has published since its last commit, table by table; and how long a broker is left
 * alone after one. */
#include "capture/internal.h"
#include <stdlib.h>
#include <string.h>

typedef struct tally {
    const fr_table *table;
    uint64_t by_op[5], bytes;
    int64_t commit_us;
} tally;

struct tallies {
    fr_map *by_serial; /* of a table's version -> tally */
    tally *newest;     /* the last one looked up */
};

tallies *tallies_new(void)
{
    tallies *all = fr_malloc(sizeof(*all));
    all->by_serial = fr_map_new();
    return all;
}

static void tally_free(void *p)
{
    tally *t = p;
    fr_table_unref(t->table);
    free(t);
}

void tallies_free(tallies *all)
{
    fr_map_free(all->by_serial, tally_free);
    free(all);
}

bool tallies_add(tallies *all, const fr_event *e, uint64_t bytes)
{
    /* by_op is c u d r t */
    static const int index[] = {[FR_OP_READ] = 3,
                                [FR_OP_INSERT] = 0,
                                [FR_OP_UPDATE] = 1,
                                [FR_OP_DELETE] = 2,
                                [FR_OP_TRUNCATE] = 4};
    tally *t = all->newest;
    bool first = false;
    if (t == NULL || t->table->serial != e->table->serial) {
        t = fr_map_get_u64(all->by_serial, e->table->serial);
        first = t == NULL;
    }
    if (first) {
        t = fr_malloc(sizeof(*t));
        t->table = fr_table_ref(e->table);
        fr_map_set_u64(all->by_serial, e->table->serial, t);
    }
    all->newest = t;
    t->by_op[index[e->op]]++;
    t->bytes += bytes;
    if (e->txn != NULL)
        t->commit_us = e->txn->commit_us;
    return first;
}

void tallies_tell(tallies *all, const fr_observer *ob)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(all->by_serial, &i, NULL, &value)) {
        tally *t = value;
        if (t->bytes == 0)
            continue;
        FR_TELL(ob, count, t->table->space, t->table->name, t->by_op, t->bytes, t->commit_us);
        memset(t->by_op, 0, sizeof(t->by_op));
        t->bytes = 0;
    }
}

/* A stall costs 20 ms, so a part of that is well spent; and as it must be rare for the 99th
 * percentile's sake, patience is lost much more slowly than it is learned. */
enum { STALL_US = 20000, MOST_SETTLE_US = 6000, SOON_US = 30000, FORGET = 128 };

/* A broker answers a commit before it has written the markers, and refuses a new transaction
 * until then; librdkafka asks again 20 ms later. A little patience is cheaper; how much it
 * takes depends on the cluster, so it is learned. While catching up it does not matter. */
void settling_wait(settling *p, int64_t closed_us, bool young)
{
    int64_t since = fr_now_us() - closed_us;
    if (since < p->settle_us && young)
        fr_sleep_us(p->settle_us - since);
    p->after_another = since < SOON_US;
}

void settling_learn(settling *p, int64_t took, bool young)
{
    if (p->quickest_us == 0 || took < p->quickest_us)
        p->quickest_us = took;
    else
        p->quickest_us += p->quickest_us / 256;
    if (!p->after_another || !young)
        return;
    if (took >= p->quickest_us + STALL_US - 2000)
        p->settle_us += p->settle_us / 2 + 250;
    else
        p->settle_us -= p->settle_us / FORGET;
    if (p->settle_us > MOST_SETTLE_US)
        p->settle_us = MOST_SETTLE_US;
}
