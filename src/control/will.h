/* What the operator wants: the records of the control topic (decision 25), folded and written. One
 * key a target: source/<s>, sink/<k>, table/<s>/<space.table>, topic/<k>/<topic>; JSON, "v": 1
 * (schemas/control.schema.json). The newest record of a key counts, and no other. Pure: no Kafka
 * here. Owner's thread only. */
#ifndef FR_CONTROL_WILL_H
#define FR_CONTROL_WILL_H

#include "base/arena.h"
#include "base/error.h"
#include <stdint.h>

typedef enum { FR_WILL_SOURCE, FR_WILL_SINK, FR_WILL_TABLE, FR_WILL_TOPIC } fr_will_kind;
typedef enum { FR_WILL_RUNNING, FR_WILL_PAUSED, FR_WILL_STOPPED } fr_will_state;

typedef struct fr_will_target { /* texts are borrowed */
    fr_will_kind kind;
    fr_str part; /* the source's name or the sink's */
    fr_str name; /* "space.table" or the topic; empty: the part itself */
} fr_will_target;

typedef struct fr_will {
    fr_will_target target;
    fr_will_state state;
    bool anew;    /* running: by a new snapshot, and not by what was passed over */
    bool restart; /* running: end it first; of a moment, it means nothing to a later start */
    fr_str by, why;
    int64_t at_us;   /* wall clock of who asked */
    int64_t offset;  /* of the record */
    bool understood; /* else only offset and problem hold */
    fr_err problem;
} fr_will;

enum { FR_WILL_BY_MAX = 200, FR_WILL_WHY_MAX = 500 }; /* bytes of UTF-8 */

typedef struct fr_wills fr_wills;
fr_wills *fr_wills_new(void);
void fr_wills_free(fr_wills *w); /* NULL is fine */
/* Takes one record in; value.ptr NULL is a tombstone: nobody wants anything. A record that cannot
 * be understood takes the place of its key's all the same. Returns what the key says now, borrowed
 * until its next record. */
const fr_will *fr_wills_fold(fr_wills *w, fr_str key, fr_str value, int64_t offset);
/* CONFIG (control.record) where a key's newest record cannot be understood: which, why, and how to
 * mend it. */
fr_rc fr_wills_check(const fr_wills *w, const char *topic, fr_err *err);
/* size_t i = 0; while (fr_wills_next(w, &i, &will)) ... in the order of their first records. */
bool fr_wills_next(const fr_wills *w, size_t *i, const fr_will **out);

/* "table/erp/public.orders", and back; false: it is no such key. */
fr_str fr_will_key(fr_arena *a, const fr_will_target *t);
bool fr_will_key_read(fr_str key, fr_will_target *out);
/* The record's value. */
fr_str fr_will_value(fr_arena *a, const fr_will *w);
const char *fr_will_state_name(fr_will_state s); /* "paused" */
/* May it be written? CONFIG: control.why, by or why is too long or no text; control.verb, there is
 * no such state of such a target. */
fr_rc fr_will_sound(const fr_will *w, fr_err *err);

#endif
