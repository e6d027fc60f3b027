/* Where a table's events go and in which shape: the settings of one table version, worked
 * out once (transform/route). Immutable; lives until the process ends its pipeline. */
#ifndef FR_MODEL_ROUTE_H
#define FR_MODEL_ROUTE_H

#include "model/settings.h"

typedef struct fr_route {
    const fr_table *table; /* holds a reference */
    const fr_table_settings *settings;
    fr_str topic;       /* legal for Kafka; also NUL-terminated */
    fr_str schema_name; /* full name of the row record: "erp.public.orders" */
    fr_envelope envelope;
    uint16_t *fields; /* the columns that are published, as indexes, in table order */
    size_t field_count;
    uint16_t *key; /* key columns as indexes, in key order; 0 of them: append_only */
    size_t key_count;
    uint16_t *partition_by; /* 0 of them: by the key */
    size_t partition_count;
} fr_route;

#endif
