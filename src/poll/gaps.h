/* Numbers below the highest one seen whose rows were not there: handed out to transactions that
 * had not committed, or have rolled back. Recorded, not skipped, until the row comes or none of the
 * transactions can commit it any more. Pure; one thread at a time. */
#ifndef FR_POLL_GAPS_H
#define FR_POLL_GAPS_H

#include "connect/sql.h"

typedef struct fr_gap {
    int64_t from, to; /* both missing */
    int64_t seen_us;  /* server's clock at or after it was seen; 0: not asked yet */
    bool ripe;        /* at the last look nobody was left who could fill it */
} fr_gap;

typedef struct fr_gaps { /* ascending, apart from each other; zero is empty */
    fr_gap *items;
    size_t count, cap;
} fr_gaps;

/* Beyond so many the reader waits for some to close, so that the record stays small. */
enum { FR_GAPS_MAX = 1000 };
/* A number is handed out, and a time taken, up to so long before the server lists the transaction.
 */
enum { FR_GAPS_GRACE_US = 5000000 };

void fr_gaps_free(fr_gaps *g);
/* Behind all others. */
void fr_gaps_add(fr_gaps *g, int64_t from, int64_t to, int64_t seen_us);
/* Its row is there: no longer missing. False: it was not in a gap. */
bool fr_gaps_take(fr_gaps *g, int64_t number);
/* Those that were not dated yet. */
void fr_gaps_date(fr_gaps *g, int64_t now_us);
bool fr_gaps_undated(const fr_gaps *g);
/* since_us: nobody who can still commit began before that. True: everybody who was there at
 * seen_us has ended. */
bool fr_gap_ripe(int64_t since_us, int64_t seen_us);
void fr_gaps_ripen(fr_gaps *g, int64_t since_us);
/* The ripe ones were looked for once more, in a view newer than that: they stay empty. */
void fr_gaps_close(fr_gaps *g);
/* How many are missing between two rows, at most INT64_MAX. */
uint64_t fr_gaps_numbers(const fr_gaps *g);

#endif
