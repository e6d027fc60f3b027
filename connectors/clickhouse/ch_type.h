/* ClickHouse's types: read from the text that system.columns has (`Nullable(Decimal(10, 2))`), and
 * how well a message's values go into one. Pure. */
#ifndef FR_CLICKHOUSE_CH_TYPE_H
#define FR_CLICKHOUSE_CH_TYPE_H

#include "base/bytes.h"
#include "model/table.h"

typedef enum fr_ch_base {
    FR_CH_OTHER, /* nothing that we write into */
    FR_CH_BOOL,
    FR_CH_INT,  /* Int8 .. Int256 */
    FR_CH_UINT, /* UInt8 .. UInt256 */
    FR_CH_FLOAT32,
    FR_CH_FLOAT64,
    FR_CH_DECIMAL,
    FR_CH_STRING,
    FR_CH_FIXED, /* FixedString(size) */
    FR_CH_UUID,
    FR_CH_DATE,
    FR_CH_DATE32,
    FR_CH_DATETIME,
    FR_CH_DATETIME64
} fr_ch_base;

enum { FR_CH_WORDS = 8 }; /* of the largest numbers, 256 bits */
typedef struct fr_ch_type {
    fr_ch_base base;
    bool nullable, low_cardinality;
    bool may_be_null;            /* Nullable(T) exists */
    int size;                    /* bytes of a value in RowBinary; FIXED: its length; STRING: 0 */
    int precision, scale;        /* DECIMAL; DATETIME64: scale */
    uint32_t bound[FR_CH_WORDS]; /* DECIMAL: 10^precision, the lowest word first */
    fr_str inner;                /* without Nullable and LowCardinality; borrowed from the text */
} fr_ch_type;

/* Never fails: what is not known is FR_CH_OTHER. */
fr_ch_type fr_ch_type_of(fr_str text);

/* LOSSY: values that do not fit are errors of their rows, and nothing else is changed. */
typedef enum fr_ch_fit { FR_CH_FIT_FINE, FR_CH_FIT_LOSSY, FR_CH_FIT_NEVER } fr_ch_fit;
/* *why (a literal, for a person) unless FINE. NULL is not looked at. */
fr_ch_fit fr_ch_fit_of(const fr_column *c, const fr_ch_type *to, const char **why);
/* The type of a column that we create: "Decimal(10, 2)", in Nullable(..) where nullable. */
fr_str fr_ch_made_type(fr_arena *a, const fr_column *c, bool nullable);
/* Every value of `from` is one of `to`, and ClickHouse's MODIFY COLUMN keeps it as it is. */
bool fr_ch_widens(const fr_ch_type *from, const fr_ch_type *to);
/* docs/types.md's part on this sink. */
void fr_ch_sink_types_docs(fr_buf *b);

#endif
