/* The first load of a table that triggers capture: how far it came, and what is read next. Each
 * page is read in one view with all changes that are visible in it, and these are published first:
 * so no row is older than a change that was published before it, and none is missed
 * (docs/adr/0034-triggers.md). Pure; one thread at a time. */
#ifndef FR_POLL_LOAD_H
#define FR_POLL_LOAD_H

#include "poll/changes.h"
#include "poll/order.h"

typedef struct fr_load { /* zero: nothing is known */
    bool known, done;
    int64_t shape; /* of the triggers that it is of: others begin it anew */
    bool pages;    /* else all of the table at once: its key has no order that can be written */
    fr_poll_order order; /* names and at in the arena */
    fr_poll_record at;   /* the last row's key; at_count 0: none yet */
    fr_arena *arena;
    size_t rows; /* of the page that is read */
} fr_load;

void fr_load_free(fr_load *l);
/* What the record said, and the tables as they are: what is left to do. *anew: it begins again. */
fr_rc fr_load_begin(fr_load *l, const fr_changes *ch, const fr_table_settings *t, bool *anew,
                    fr_err *err);
fr_rc fr_load_sql(fr_load *l, fr_arena *a, const fr_changes *ch, const fr_table_settings *t,
                  fr_str *out, fr_err *err);
/* This row was given; all rows of the page were. */
void fr_load_row(fr_load *l, const fr_changes *ch, const fr_event *e);
void fr_load_page_over(fr_load *l, const fr_table_settings *t);

/* ,"load":{...}; nothing while it is not known. */
void fr_load_put(fr_buf *b, const fr_load *l);
/* Such an object. POSITION: it is none. */
fr_rc fr_load_read(fr_str text, fr_load *out, fr_err *err);

#endif
