/* Whether somebody writes to a SQLite file now, seen without taking a lock: what polling needs to
 * know what is final (docs/adr/0036-sqlite.md). */
#ifndef FR_SQLITE_SQ_LOCK_H
#define FR_SQLITE_SQ_LOCK_H

#include "connectors/sqlite/sq_conn.h"

/* What one connection has seen so far. */
typedef struct fr_sq_watch {
    int64_t seen_us;         /* when the last look was, and */
    uint64_t version;        /* what the file was then; 0: there was none */
    struct fr_sq_file *file; /* shared by all connections of this process */
} fr_sq_watch;

typedef struct fr_sq_look {
    int64_t now_us;   /* wall clock, before the look */
    int64_t final_us; /* all that was stamped before that is committed, or never will be */
    bool held;        /* somebody can still commit what was stamped later */
    fr_str who;       /* in the arena: "pid 4711 (python3)"; empty: nobody */
} fr_sq_look;

void fr_sq_watch_begin(fr_sq_watch *w, const fr_sq *c);
void fr_sq_watch_end(fr_sq_watch *w); /* zeroed is fine */
/* Looks, in no transaction of c's. A view taken after it holds what was said to be final. */
fr_rc fr_sq_watch_look(fr_sq_watch *w, const fr_sq *c, fr_arena *a, fr_sq_look *out, fr_err *err);

#endif
