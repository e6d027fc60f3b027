/* The statements of freshet verify, and what comes back. */
#ifndef FR_CLI_VERIFY_ROWS_H
#define FR_CLI_VERIFY_ROWS_H

#include "cli/verify.h"

/* Of the first key column: (from, to], canonical; NULL ends are open. In the order of the database
 * that is asked: both have the same only where v->by says so. */
typedef struct fr_verify_range {
    const char *from, *to;
} fr_verify_range;

typedef struct fr_verify_sum {
    uint64_t count, sum; /* sum: of the rows' numbers, modulo 2^64 */
} fr_verify_sum;

typedef struct fr_verify_row_list {
    fr_arena *arena;
    struct fr_verify_one {
        fr_str key, print;
        const fr_str *cells;
    } *items;
    size_t count, cap;
} fr_verify_row_list;

/* What both sides call a row: also makes its SQL, where a side can. */
void fr_verify_prepare(fr_verify_run *v, int side);
/* Of each of so many buckets (by the number of the key; 1: all is one), in the caller's array. */
fr_rc fr_verify_sums(fr_verify_run *v, int side, const fr_verify_range *r, size_t buckets,
                     fr_verify_sum *out, fr_err *err);
/* The rows of some of the buckets, or (wanted NULL) all. */
fr_rc fr_verify_read(fr_verify_run *v, int side, const fr_verify_range *r, size_t buckets,
                     const bool *wanted, fr_verify_row_list *out, fr_err *err);
/* Those with these keys. */
fr_rc fr_verify_read_keys(fr_verify_run *v, int side, const fr_verify_key *const *keys,
                          size_t count, fr_verify_row_list *out, fr_err *err);
/* The only cell of the first row, NUL-terminated, in the arena; NULL: NULL, or no row. */
fr_rc fr_verify_scalar(fr_verify_run *v, int side, fr_arena *a, fr_str sql, char **out,
                       fr_err *err);
/* A question to a side, with the rests that its load asks for. */
fr_rc fr_verify_ask(fr_verify_run *v, int side, fr_str sql, fr_verify_row *each, void *context,
                    fr_err *err);
void fr_verify_list_free(fr_verify_row_list *l);

#endif
