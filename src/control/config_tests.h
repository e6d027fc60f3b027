/* `tests:` of the configuration: what `freshet test` runs (docs/testing.md). Plain data that the
 * configuration owns. */
#ifndef FR_CONTROL_CONFIG_TESTS_H
#define FR_CONTROL_CONFIG_TESTS_H

#include "model/event.h"
#include "model/settings.h"

typedef struct fr_cell {     /* a value of a row, as it is written */
    const char *name, *text; /* text NULL: null */
} fr_cell;
typedef struct fr_cells {
    const fr_cell *items;
    size_t count;
    bool said; /* the key is there */
} fr_cells;

typedef struct fr_test {
    const char *name, *table; /* table: "source/space.table" */
    const char *place, *path; /* "shop.yaml:12", "tests[0]" */
    fr_op op;
    fr_pairs types; /* column: type, as the source's database spells it */
    fr_cells before, after;
    int64_t events;      /* that must come out; -1: not said */
    const char *want_op; /* "insert", ...; NULL: any */
    const char *topic;   /* NULL: any; as those below, "~regex" is a pattern */
    const char *error;   /* NULL: none may come */
    fr_cells want_key, want_before, want_after;
    fr_texts absent; /* fields that no event may have */
} fr_test;

#endif
