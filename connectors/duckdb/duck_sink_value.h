/* Values on their way into a DuckDB file: the type in which a column of a message is staged,
 * whether a column of the target holds it, and the vector that carries it. What would come out
 * changed is not sent. Nothing of a value is ever part of a statement's text (S01). */
#ifndef FR_DUCKDB_DUCK_SINK_VALUE_H
#define FR_DUCKDB_DUCK_SINK_VALUE_H

#include "base/bytes.h"
#include "duckdb/duck_api.h"
#include "model/table.h"
#include <stddef.h>

typedef enum fr_duck_send {
    FR_DUCK_SEND_BOOL,
    FR_DUCK_SEND_INT,
    FR_DUCK_SEND_BIGINT,
    FR_DUCK_SEND_FLOAT,
    FR_DUCK_SEND_DOUBLE,
    FR_DUCK_SEND_DECIMAL, /* of the column's own precision and scale */
    FR_DUCK_SEND_TEXT,    /* the value's text */
    FR_DUCK_SEND_BLOB,
    FR_DUCK_SEND_UUID,
    FR_DUCK_SEND_DATE,
    FR_DUCK_SEND_TIME,
    FR_DUCK_SEND_INTERVAL,
    FR_DUCK_SEND_TIMESTAMP,
    FR_DUCK_SEND_TIMESTAMPTZ
} fr_duck_send;

/* A column of the target. Texts are the arena's that read it. */
typedef struct fr_duck_target_column {
    fr_str name;
    fr_str type; /* as DuckDB spells it: "DECIMAL(18,4)" */
    bool not_null, has_default, generated;
} fr_duck_target_column;

/* How well values of a message's column go into a target's column. PART: some are refused, each an
 * error of its row. NARROW: they would not fit, and the column can be widened. NEVER: they would be
 * other values, or mean something else. */
typedef enum fr_duck_fit {
    FR_DUCK_FIT_FINE,
    FR_DUCK_FIT_PART,
    FR_DUCK_FIT_NARROW,
    FR_DUCK_FIT_NEVER
} fr_duck_fit;
fr_duck_fit fr_duck_sink_fit(const fr_column *c, const fr_duck_target_column *to);
/* Of a column that is NARROW, a number: the type that holds what is in held_type and what comes, in
 * the arena. Empty: none does. */
fr_str fr_duck_sink_wider(fr_arena *a, const fr_column *c, fr_str held_type);
/* How a column is staged; its type, as SQL has it, in the arena. */
fr_duck_send fr_duck_sink_send(const fr_column *c);
fr_str fr_duck_sink_staged(fr_arena *a, const fr_column *c);
/* The type of a column that we create. */
fr_str fr_duck_sink_type(fr_arena *a, const fr_column *c);
/* docs/types.md's part on this sink. */
void fr_duck_sink_types_docs(fr_buf *b);

/* A text or blob in a vector, whose memory it is. */
static inline fr_str fr_duck_text(const duckdb_string_t *text)
{
    const char *inside = (const char *)text + offsetof(duckdb_string_t, start);
    return (fr_str){text->length <= FR_DUCK_IN_PLACE ? inside : text->ptr, text->length};
}

/* The staged type; destroyed by the caller. */
duckdb_logical_type fr_duck_sink_logical(const fr_duck_api *d, const fr_column *c);
/* Puts a value that is neither NULL nor ABSENT into a row of a vector of that type. DATA
 * (sink.value) naming the column where DuckDB has no such value. */
fr_rc fr_duck_sink_put(const fr_duck_api *d, duckdb_vector vector, idx_t at, const fr_column *c,
                       const fr_value *v, fr_err *err);

#endif
