/* Times as texts, as SQLite's own functions and its users write them: 2026-11-27 06:50:10,
 * 2026-11-27T06:50:10.123Z. They are compared as texts, so that a column which orders a poll must
 * have them all in one form (fr_sq_clock). Pure. */
#ifndef FR_SQLITE_SQ_TIME_H
#define FR_SQLITE_SQ_TIME_H

#include "base/arena.h"
#include "base/error.h"
#include <stdint.h>

enum { FR_SQ_ZONE_MAX = 8 };

typedef enum fr_sq_whole {
    FR_SQ_WHOLE_UNSEEN,
    FR_SQ_WHOLE_WRITTEN, /* 06:50:10.000 */
    FR_SQ_WHOLE_LEFT_OUT /* 06:50:10, beside 06:50:10.123: what Python does */
} fr_sq_whole;

/* The one form of a column's times. */
typedef struct fr_sq_clock {
    char separator; /* ' ' or 'T'; 0: no time was seen yet */
    bool seconds;   /* else 06:50 */
    uint8_t digits; /* of the fraction, up to 9 */
    uint8_t whole;  /* fr_sq_whole: how a fraction of zero is written; of digits > 0 only */
    char zone[FR_SQ_ZONE_MAX]; /* "", "Z", "+02:00" */
    int32_t zone_s;            /* seconds east of Greenwich */
} fr_sq_clock;

/* us: microseconds since 1970, in UTC where there is a zone, else as it stands there. form is of
 * this one text. DATA: no such time, or finer than a microsecond. */
fr_rc fr_sq_moment(fr_str text, int64_t *us, fr_sq_clock *form, fr_err *err);
fr_rc fr_sq_date(fr_str text, int64_t *days, fr_err *err);
fr_rc fr_sq_time_of_day(fr_str text, int64_t *us, fr_err *err);

/* Takes one more text's form in: false where texts of both do not sort as their times do. clock
 * changes where it shows more of the form. */
bool fr_sq_clock_take(fr_sq_clock *clock, const fr_sq_clock *form);
bool fr_sq_clock_same(const fr_sq_clock *a, const fr_sq_clock *b);
/* As all times of the column are written; what the form cannot hold is cut off. */
fr_str fr_sq_clock_text(fr_arena *a, const fr_sq_clock *clock, int64_t us);
/* The step between two of its times, in microseconds. */
int64_t fr_sq_clock_unit(const fr_sq_clock *clock);

#endif
