/* The table of types behind my_types.c, my_schema.c, my_layout.c and docs/types.md. */
#ifndef FR_MYSQL_MY_TYPES_TABLE_H
#define FR_MYSQL_MY_TYPES_TABLE_H

#include "connectors/mysql/my_types.h"

/* What follows the name in a declaration. */
typedef enum fr_my_param {
    FR_MY_PLAIN,    /* int, text: nothing (a display width is dropped) */
    FR_MY_LENGTH,   /* char(n) */
    FR_MY_DECIMALS, /* decimal(p,s) */
    FR_MY_DIGITS,   /* datetime(n); datetime is 0 */
    FR_MY_LABELS,   /* enum('a','b') */
} fr_my_param;

typedef struct fr_my_type_row {
    const char *name; /* DATA_TYPE */
    fr_kind kind;     /* DECIMAL and BIT depend on the column, integers on UNSIGNED */
    fr_my_param param;
    bool number;         /* may be UNSIGNED */
    bool text;           /* has a character set */
    uint8_t pack;        /* of text and blobs: bytes of the length, as TABLE_MAP's metadata */
    int16_t wire[4];     /* which TABLE_MAP types it may come as; ends with -1 or is full */
    const char *servers; /* for the docs; NULL: both */
} fr_my_type_row;

/* Indexed by fr_my_type; UNKNOWN has no name. */
extern const fr_my_type_row fr_my_type_rows[FR_MY_TYPE_COUNT];

static inline bool fr_my_is_spatial(fr_my_type t)
{
    return t >= FR_MY_GEOMETRY && t <= FR_MY_GEOMETRYCOLLECTION;
}
static inline bool fr_my_is_date(fr_my_type t) /* may be a zero date */
{
    return t == FR_MY_DATE || t == FR_MY_DATETIME || t == FR_MY_TIMESTAMP;
}

#endif
