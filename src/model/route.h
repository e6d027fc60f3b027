/* Where a table's events go and in which shape: the settings of one table version, worked
 * out once (transform/route). Immutable; lives until the process ends its pipeline. */
#ifndef FR_MODEL_ROUTE_H
#define FR_MODEL_ROUTE_H

#include "model/event.h"
#include "model/settings.h"

/* A piece of outbox.route. */
typedef struct fr_route_part {
    fr_str text; /* as it is; or */
    int column;  /* the text of this column; -1: none */
} fr_route_part;

/* What a row of an outbox becomes. Columns are indexes; -1: there is no such column. */
typedef struct fr_outbox_route {
    uint16_t id, payload;
    int key, type;
    uint16_t *headers; /* columns that become headers of their names */
    const char **header_names;
    size_t header_count;
    fr_route_part *parts; /* 0 of them: the topic is the route's */
    size_t part_count;
} fr_outbox_route;

/* What makes the published rows of the source's (transform/derive.h). */
struct fr_derive;
/* The event as it is published: *out, with its rows in the arena. FR_END: the filter leaves it
 * out. DATA: an expression has no value for it. in may be of any kind. */
typedef fr_rc fr_derive_apply(struct fr_derive *d, fr_arena *a, const fr_event *in, fr_event *out,
                              fr_err *err);

/* What rows are published as, where a contract says it (codec/contract.h). */
struct fr_pin;
/* Conditions on values (transform/rules.h). */
struct fr_rules;
/* What the rules say of the new row of an event; values: one per column of the published table, in
 * its own kinds. DATA (rule.broken): it breaks one. */
typedef fr_rc fr_rules_judge(struct fr_rules *r, fr_arena *a, const fr_event *event,
                             const fr_value *values, fr_err *err);

typedef struct fr_route {
    const fr_table *table;  /* what is published; holds a reference. The source's, where nothing is
                               renamed, masked or derived: columns of the same index are the same */
    const fr_table *source; /* the source's own; NULL: as table. Settings name its columns */
    struct fr_derive *derive; /* NULL: rows are published as they come */
    fr_derive_apply *apply;
    const fr_table_settings *settings;
    const fr_sink_settings *sink; /* whose rules for a topic they are; NULL: a source's table */
    fr_str topic;                 /* legal for Kafka; also NUL-terminated */
    fr_str first;                 /* the same of the table's first generation; empty: as topic */
    uint32_t generation;          /* 0 or 1: its first; else what changed began it (decision 38) */
    fr_str schema_name;           /* full name of the row record: "erp.public.orders" */
    fr_envelope envelope;
    uint16_t *fields; /* the columns that are published, as indexes, in table order */
    size_t field_count;
    uint16_t *key; /* key columns as indexes, in key order; 0 of them: append_only */
    size_t key_count;
    uint16_t *partition_by; /* 0 of them: by the key */
    size_t partition_count;
    const fr_outbox_route *outbox; /* NULL: it is none. Else key holds what orders its rows */
    const struct fr_pin *pin;      /* NULL: rows are published as their columns are */
    struct fr_rules *rules;        /* NULL: there are none */
    fr_rules_judge *judge;
} fr_route;

/* What the configuration calls a column: the source's name, or that of a derived field. */
static inline fr_str fr_route_name(const fr_route *r, size_t column)
{
    bool own = r->source != NULL && column < r->source->column_count;
    return own ? r->source->columns[column].name : r->table->columns[column].name;
}

/* True for a field of columns.derive. */
static inline bool fr_route_derived(const fr_route *r, size_t column)
{
    return r->source != NULL && column >= r->source->column_count;
}

#endif
