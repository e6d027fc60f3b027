/* The insides of held tables, for capture/held*.c alone: held.c (the list, its records),
 * held_second.c (the second reader), held_ask.c (what is asked for, and when). The publisher's
 * thread. */
#ifndef FR_CAPTURE_HELD_H
#define FR_CAPTURE_HELD_H

#include "capture/internal.h"

enum { FIRST_RETRY_US = 5000000 };

typedef enum { STAYS, WAITS, CATCHES_UP, JOINED, GONE } held_state;

typedef struct held_table {
    fr_str space, name; /* in the list's arena */
    held_state state;   /* WAITS: released, and its turn comes */
    fr_buf from, txn, code, why;
    uint64_t seen, now_seen; /* now: in the transaction at hand */
    bool asked, unread, dirty;
    int64_t since_us;
} held_table;

typedef struct second { /* the second reader */
    held *h;
    fr_reader *reader;
    pthread_t thread;
    bool started, failed;
    atomic_bool stop, over;
    atomic_size_t ahead; /* batches that are filled and not through */
    fr_str *keys;        /* "space", "name" of those that it reads for, in pairs */
    size_t key_count;
    fr_err err;
} second;

struct held {
    fr_capture *c;
    fr_arena *arena;
    held_table **tables;
    size_t count, cap;
    fr_encoder *encoder; /* the second reader's; NULL: there is none */
    second second;
    fr_buf began;       /* where the stream began in this run */
    fr_buf resume;      /* the second reader's newest whole transaction that is taken in */
    fr_buf txn_id;      /* that it is in; empty: none */
    fr_batch **waiting; /* its batches, in order */
    size_t *taken;      /* of each: so many events are produced */
    size_t waiting_count, waiting_cap;
    int64_t next_tell_us, next_try_us, retry_us;
    bool alone; /* there is no stream meanwhile: the server cannot be read twice */
};

/* Of a log, and there is nothing to be caught up: the table is gone, or the log lacks it
 * (absent.c).
 */
bool held_is_absent(const held *h, const held_table *t);
/* It is; ignored: which is said, and nothing else. */
void held_absent(held *h, fr_str space, fr_str name, const fr_err *why, bool ignored);
/* It is there again: all of it is read, which begins with the next run. */
fr_rc held_back(held *h, outlet *o, held_table *t, fr_err *err);
held_table *held_find(const held *h, fr_str space, fr_str name);
bool held_any_is(const held *h, held_state state);
/* Orders two places of the source's log. */
int held_compare(const held *h, fr_str a, fr_str b);
void held_set(fr_buf *b, fr_str text);
void held_set_text(fr_buf *b, fr_str text); /* of an error: what is no text is not kept */
void held_set_why(held_table *t, const fr_err *why);
/* Its snapshot is not through, or was asked for. */
bool held_has_unread(const fr_capture *c, fr_str space, fr_str name);
void held_tell(const held *h, const held_table *t);
void held_tell_all(held *h); /* now and then */
void held_log(const held *h, const held_table *t, const fr_err *why);
void held_released(const held *h, const held_table *t, const char *how);

/* It was released, and is caught up in later runs, too; or no longer. */
void held_mark_released(held *h, const held_table *t, bool released);
/* Begins the second reader for all tables that wait, where there is none. */
void held_second_begin(held *h);
void held_second_stop(held *h); /* asks it to end */
void held_second_end(held *h);  /* once it has; what it failed with is seen to */
/* Those that the stream may publish again, as things stand. */
void held_join(held *h);
void held_end_encoder(held *h);
/* Where a source cannot be read twice the run begins anew, and its tables are caught up before the
 * stream begins. */
void held_go_alone(held *h);
/* Its first batch, as far as the stream has come. */
fr_rc held_advance(held *h, outlet *o, bool *moved, fr_err *err);

#endif
