/* R32: where nothing but the key can tell the order of rows, only the last state of each key is
 * written. Changes of one version of one table, on their way from events to statements. Nothing
 * here talks to a server. One thread at a time. */
#ifndef FR_SQL_COLLAPSE_H
#define FR_SQL_COLLAPSE_H

#include "base/bytes.h"
#include "sql/target.h"

typedef enum fr_target_form {
    FR_TARGET_ROW,    /* insert or overwrite what is there of it (append: insert) */
    FR_TARGET_PATCH,  /* values are absent that a ROW must have: update what is there */
    FR_TARGET_DELETE, /* or, soft: mark */
    FR_TARGET_FORM_COUNT
} fr_target_form;

/* A row to be written. */
typedef struct fr_target_change {
    const fr_value *values; /* of the message's table */
    size_t event;           /* index in the batch */
    fr_target_form form;
    bool partial;    /* values are absent */
    bool deleted;    /* soft: what the mark says */
    bool unplaced;   /* a DELETE that is newer whatever there is; see fr_event */
    uint64_t prefix; /* first bytes of key, for comparisons */
    fr_str key;
    uint8_t position[FR_TARGET_POSITION_SIZE];
    int64_t time_us; /* history: when it took effect */
    bool read;       /* history: a snapshot's row, which repeats what is known */
} fr_target_change;

typedef struct fr_target_changes {
    fr_target_change *items; /* free() */
    size_t count, cap;
} fr_target_changes;

/* What of a table matters here. */
typedef struct fr_target_shape {
    const fr_table *table;   /* the message's */
    const uint16_t *columns; /* of the message's table: those that are written */
    const bool *patched;     /* of each of these: a row without its value is a PATCH, and no ROW */
    size_t count;
    bool guarded; /* rows have their position, and an older one changes nothing */
    bool marked;  /* deletes are marks */
} fr_target_shape;

void fr_target_changes_add(fr_target_changes *list, const fr_target_change *change);
/* Appends one value of a key: equal bytes where the values are equal, and no other. Neither NULL
 * nor ABSENT; 0 and -0 are one. */
void fr_target_put_key(fr_buf *out, const fr_column *c, const fr_value *v);
/* Sets c->key (copied to the arena) and c->prefix: its bytes from `skip` on. */
void fr_target_set_key(fr_arena *a, fr_target_change *c, const fr_buf *key, size_t skip);
static inline bool fr_target_same_key(const fr_target_change *a, const fr_target_change *b)
{
    return a->prefix == b->prefix && fr_str_eq(a->key, b->key);
}
/* The position that what is there is compared with; in a mark also what it sets, unless it is
 * fr_target_latest: then the row keeps its own. */
static inline const uint8_t *fr_target_compared(const fr_target_change *c)
{
    return c->unplaced ? fr_target_latest : c->position;
}
/* ROW or PATCH, and whether partial: by what is absent in values. */
void fr_target_set_form(const fr_target_shape *shape, fr_target_change *c);
/* The last state of each key, in key order (R33); in place. */
void fr_target_collapse(const fr_target_shape *shape, fr_arena *a, fr_target_changes *changes);
/* A byte for each written column, 1: its value is there; empty: all are (and in a DELETE). */
fr_str fr_target_mask(fr_arena *a, const fr_target_shape *shape, const fr_target_change *c);
bool fr_target_has_mask(const fr_target_shape *shape, const fr_target_change *c, fr_str mask);
static inline bool fr_target_in_mask(fr_str mask, size_t column)
{
    return mask.len == 0 || mask.ptr[column] != 0;
}

#endif
