/* Polling where the server does not say who is open (ODBC): how late a commit may come is told
 * instead (poll.lookback). By number, gaps stay open that long. By time, the last stretch is read
 * again at each round, and rows of it that were published as they are now are left out: they are
 * known by a print of all they say. Pure; one thread at a time. */
#ifndef FR_POLL_LOOKBACK_H
#define FR_POLL_LOOKBACK_H

#include "model/event.h"
#include "poll/record.h"

/* MAX: rows that are remembered, so that the record stays well below what a message of Kafka may
 * be; more of them in one lookback wait until older ones are final. */
enum { FR_LOOKBACK_MAX = 10000, FR_LOOKBACK_PRINT = 12 };

typedef struct fr_print {
    uint8_t bytes[FR_LOOKBACK_PRINT];
} fr_print;

typedef struct fr_lookback { /* zero: nothing was read yet */
    /* Where a round begins: each row at or before it is final, and was read. */
    fr_buf at[FR_POLL_ORDER_MAX];
    size_t at_count;
    int64_t cursor;
    int64_t final_us; /* of this round: what is stamped at or before it is final */
    fr_print *known;  /* ascending: published, and there at the last round */
    uint8_t *state;   /* of each known one: met in this round? */
    fr_print *fresh;  /* published in this round */
    size_t known_count, known_cap, fresh_count, fresh_cap;
    size_t unmet, met; /* of the known ones: not met yet; met, and not final */
    bool full;         /* rows were left for another round */
} fr_lookback;

typedef enum { FR_LOOKBACK_NEW, FR_LOOKBACK_REPEAT, FR_LOOKBACK_LEFT } fr_lookback_row;

void fr_lookback_free(fr_lookback *l);
/* The server said its clock alone: as if somebody were open who began so long ago. */
void fr_lookback_state(fr_sql_state *s, int64_t lookback_us);
/* The place that r stands at; or all rows up to a time, which `text` spells. */
void fr_lookback_keep(fr_lookback *l, const fr_poll_record *r);
void fr_lookback_keep_time(fr_lookback *l, fr_str text, int64_t us);
/* Puts r there. Its texts live until the place is another one. */
void fr_lookback_place(const fr_lookback *l, fr_poll_record *r);
/* A clock that showed server_us, passed_us ago, shows now_us: true if rows may be stamped before
 * the place since it was set back. *low_us is below all of them. */
bool fr_lookback_set_back(const fr_lookback *l, int64_t server_us, int64_t passed_us,
                          int64_t now_us, int64_t *low_us);

/* A round; one that was left in the middle is begun again. */
void fr_lookback_begin(fr_lookback *l, int64_t final_us);
/* A row of it: to be published, published already, or left for another round. */
fr_lookback_row fr_lookback_take(fr_lookback *l, int64_t at_us, const fr_print *print);
/* All its rows were read: what was not among them is forgotten. */
void fr_lookback_end(fr_lookback *l);
/* Deletes were published that no poll has found: rows of these keys may come back as they were. */
void fr_lookback_forget(fr_lookback *l);
/* Of all that a row says, before it is given a place. */
void fr_lookback_print(const fr_event *e, fr_print *out);

/* What is known, for the record. */
fr_str fr_lookback_text(fr_arena *a, const fr_lookback *l);
bool fr_lookback_parse(fr_str text, fr_lookback *l);

#endif
