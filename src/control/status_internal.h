/* The board's insides, for the files that write and read it: status.c (updates), status_health.c
 * (verdicts), status_json.c (the document), metrics.c. */
#ifndef FR_CONTROL_STATUS_INTERNAL_H
#define FR_CONTROL_STATUS_INTERNAL_H

#include "base/map.h"
#include "control/status.h"

#include <pthread.h>

enum { FR_OPS = 5, FR_STAGES = 4, FR_BUCKETS = 14, FR_STATES = FR_STATE_STOPPED + 1 };
enum { FR_RATE_SLOTS = 7, FR_RATE_SLOT_US = 10000000 };                 /* six whole ones */
enum { FR_GROWTH_SAMPLES = 60, FR_GROWTH_EVERY_US = 60000000 };         /* an hour */
enum { FR_STALL_PROGRESS_US = 60000000, FR_STALL_BYTES_US = 25000000 }; /* R41 */

extern const char *const fr_op_letters[FR_OPS];     /* "c" "u" "d" "r" "t" */
extern const char *const fr_stage_names[FR_STAGES]; /* "read" ... */
extern const double fr_stage_buckets[FR_BUCKETS];   /* upper bounds in seconds */

typedef struct fr_rate { /* events of the last minute, in slots of ten seconds */
    uint64_t slots[FR_RATE_SLOTS];
    int64_t slot;  /* number of the newest */
    int64_t first; /* number of the first ever; 0: none yet */
} fr_rate;

typedef struct fr_board_will { /* what the operator wants */
    bool said;
    fr_will_state state;
    bool restarting; /* of a part: it has not begun again yet */
    char *by, *why;  /* NULL: not said */
    int64_t at_us;
} fr_board_will;

typedef struct fr_board_table {
    char *name; /* "public.orders" */
    fr_state state;
    bool state_set; /* else it follows its part */
    uint64_t by_op[FR_OPS], bytes;
    int64_t commit_us; /* the newest event's, by the source's clock; 0: none yet */
    int64_t last_wall_us;
    fr_rate rate;
    uint32_t chunks_done, chunks;
    uint64_t rows, rows_expected;
    int64_t snapshot_began_us; /* monotonic; 0: no snapshot */
    bool polled;               /* it is asked: poll holds */
    fr_polled_status poll;     /* waits: our copy */
    bool is_held;              /* held holds */
    fr_held_status held;       /* its texts: our copies, or NULL */
    char *kept;                /* how its former shape is published; NULL: it has its own */
    char *topic, *former;      /* what it goes on in, and what it has left; NULL: its first */
    uint32_t generation;       /* 0: its first */
    fr_board_will will;
} fr_board_table;

typedef struct fr_histogram {
    uint64_t buckets[FR_BUCKETS], count;
    double sum;
} fr_histogram;

typedef struct fr_growth { /* of the log that is kept because of us */
    int64_t at_us[FR_GROWTH_SAMPLES], bytes[FR_GROWTH_SAMPLES];
    size_t count, next;
} fr_growth;

struct fr_part {
    fr_board *board;
    pthread_mutex_t lock; /* all below */
    bool sink;
    char *name, *type;
    fr_state state;
    int64_t since_wall_us;
    char *reason; /* NULL: none */
    bool has_error;
    fr_err error;
    int64_t next_try_wall_us; /* 0: none */
    char *position;           /* NULL: none yet */
    bool has_connector;
    fr_status connector;
    fr_growth growth;
    uint64_t inflight, transactions, dead_letters, filtered;
    fr_histogram stages[FR_STAGES + 1]; /* the last: FR_STAGE_POLL */
    bool polled;                        /* its tables are asked */
    fr_map *tables;                     /* name -> fr_board_table */
    fr_map *broken; /* "table/rule" -> uint64_t *: status_rules.c; NULL: no row broke any */
    uint64_t by_op[FR_OPS], bytes;
    fr_rate rate;
    int64_t commit_us;    /* newest of all tables */
    int64_t caught_up_us; /* wall: at this time nothing waited */
    size_t held_count;    /* tables that are held */
    int64_t read_us;      /* monotonic: when read_lsn last rose */
    fr_board_will will;
    bool counted;        /* since the last progress */
    int64_t moving_us;   /* monotonic: when it began to move */
    int64_t progress_us; /* monotonic, of the last progress, or as above */
    fr_part *next;
};

struct fr_board {
    pthread_mutex_t lock; /* the list of parts, which only grows */
    char *pipeline, *worker;
    int64_t up_since_wall_us;
    bool has_control_error; /* under the lock, as the next */
    fr_err control_error;
    fr_part *first, *last;
    int64_t (*now_us)(void), (*wall_us)(void); /* tests set these */
};

fr_part *fr_board_first(fr_board *b);
fr_part *fr_board_next(fr_part *p); /* NULL: that was the last */

/* The table's entry, made when it is new; the part's lock is held. */
fr_board_table *fr_board_table_of(fr_part *p, fr_str space, fr_str table);
/* What a held table says, and what an operator wants, given back. */
void fr_board_forget_held(fr_board_table *t);
void fr_board_forget_will(fr_board_will *w);
/* Of a table that is held: PAUSED, BLOCKED, or CATCHING_UP. */
fr_state fr_held_state(const fr_board_table *t);
bool fr_held_by_schema(const fr_board_table *t);

/* All of these: the part's lock is held. Seconds; negative: unknown. */
double fr_part_lag(const fr_part *p);
double fr_table_lag(const fr_part *p, const fr_board_table *t);
fr_state fr_table_state(const fr_part *p, const fr_board_table *t);
double fr_rate_now(const fr_rate *r, int64_t now_us); /* events a second */
double fr_growth_rate(const fr_growth *g);            /* bytes a second; 0: not known yet */
double fr_part_limit_in(const fr_part *p);            /* until retained_limit is reached */
double fr_table_eta(const fr_part *p, const fr_board_table *t);
double fr_table_percent(const fr_board_table *t);
/* NULL: it moves, or says why not. */
const char *fr_part_stall(const fr_part *p);
/* Rows that broke rules: begin with *i = 0; false: those were all. */
bool fr_part_broken_next(const fr_part *p, size_t *i, fr_str *table, fr_str *rule, uint64_t *count);
void fr_part_broken_json(fr_buf *b, const fr_part *p); /* ,"violations":[...] */

#endif
