/* What the decoder works out once per pair of schemas (key's, value's) of a topic. Internal to
 * codec/decode*.c; owner's thread only. */
#ifndef FR_CODEC_DECODE_PLAN_H
#define FR_CODEC_DECODE_PLAN_H

#include "base/map.h"
#include "codec/avro_read.h"
#include "codec/debezium_read.h"
#include "codec/decode.h"

#define FR_NO_KEY (-1)

typedef enum fr_shape {
    FR_SHAPE_ROW,      /* state records, and anybody's plain ones */
    FR_SHAPE_ENVELOPE, /* before, after, source, op: ours and Debezium's */
    FR_SHAPE_MESSAGE,  /* our pg_logical_emit_message */
} fr_shape;

typedef enum fr_role { /* of a field of the envelope, or of source */
                       FR_ROLE_NONE,
                       FR_ROLE_BEFORE,
                       FR_ROLE_AFTER,
                       FR_ROLE_SOURCE,
                       FR_ROLE_OP,
                       FR_ROLE_UNAVAILABLE,
                       FR_ROLE_MESSAGE,
                       FR_ROLE_EPOCH,
                       FR_ROLE_ORDINAL,
                       FR_ROLE_LSN,
                       FR_ROLE_SEQUENCE,
                       FR_ROLE_TXID,
                       FR_ROLE_TS_US,
} fr_role;

typedef struct fr_input {     /* one column, as its writer wrote it */
    const fr_avro_node *node; /* the field's type */
    const fr_avro_node *some; /* its one branch that is not null; else the type itself */
    fr_avro_scalar scalar;    /* kind FR_ABSENT: it becomes JSON text */
    fr_dbz_reading how;       /* PLAIN: by scalar */
    fr_str field;             /* its Avro name */
    bool key;                 /* part of the key */
} fr_input;

typedef struct fr_reading {
    fr_arena *arena;          /* its own, with all below */
    int32_t key_id, value_id; /* FR_NO_KEY, and for a value that was never seen 0 */
    fr_shape shape;
    bool ours;                             /* written by freshet: source has epoch */
    bool key_before;                       /* before tells of the key only */
    bool announced;                        /* its TABLE event was made */
    const fr_avro_node *value, *key, *row; /* key NULL: none, or no record */
    const fr_avro_node *source;
    const uint8_t *roles, *source_roles; /* fr_role of each field of value, of source */
    const fr_table *table;
    fr_input *inputs; /* one per column: row's fields, then the key's that it lacks */
    size_t row_count; /* of them from the row */
    int *key_columns; /* for each field of key, its column */
} fr_reading;

/* value: NULL when only the key is known. Text of schemas is copied as needed. */
fr_rc fr_reading_new(fr_str space, fr_str name, int32_t key_id, fr_str key, int32_t value_id,
                     fr_str value, fr_reading **out, fr_err *err);
void fr_reading_free(void *reading);

#endif
