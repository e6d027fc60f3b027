/* What a pre-flight check found; plan and doctor print them. */
#ifndef FR_CONNECT_FINDING_H
#define FR_CONNECT_FINDING_H

#include "base/arena.h"
#include <stdbool.h>

typedef enum {
    FR_FINE,
    FR_WARNING,
    FR_BLOCKER,
    FR_CHANGE /* apply would do this: "+" */
} fr_severity;
/* The order in which a DBA wants to read them. */
typedef enum { FR_SQL_HARMLESS, FR_SQL_LOCK, FR_SQL_RESTART } fr_sql_cost;

typedef struct fr_finding {
    fr_severity severity;
    const char *code;       /* "pg.wal_level": stable, part of the API */
    fr_str text;            /* what is so, in one line */
    fr_str hint;            /* what to do; may be empty */
    fr_str sql;             /* what the DBA may run; empty: nothing */
    fr_str why, cost, undo; /* of that SQL, one line each */
    fr_sql_cost class;
} fr_finding;

typedef struct fr_findings {
    fr_finding *items;
    size_t count, cap;
    fr_arena *arena; /* the caller's: owns all texts and items */
} fr_findings;

/* Appends one, text by printf; returns it so that sql and the rest can be set. */
fr_finding *fr_findings_add(fr_findings *f, fr_severity severity, const char *code, const char *fmt,
                            ...) __attribute__((format(printf, 4, 5)));

/* What was said of findings, for those that say them again and again (each time a part opens
 * its servers anew). One thread at a time. */
typedef struct fr_said fr_said;
fr_said *fr_said_new(void);
void fr_said_free(fr_said *s); /* NULL is fine */
/* news[i], one per finding: it was not among those of the last call for `about`, code and text.
 * What is not among them now is forgotten, so that it is news when it comes back. s NULL: all
 * are news. */
void fr_said_news(fr_said *s, fr_str about, const fr_findings *f, bool *news);

#endif
