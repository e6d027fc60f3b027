/* One version of one table's columns. Immutable once built; reference-counted, and the
 * only thing that is. From any thread. */
#ifndef FR_MODEL_TABLE_H
#define FR_MODEL_TABLE_H

#include "model/value.h"

typedef struct fr_column {
    fr_str name;
    fr_kind kind; /* never ABSENT or NULL */
    bool nullable;
    bool may_be_absent;       /* an unchanged TOAST value may be missing in after */
    bool span;                /* TIME: a length of time, below 0 or beyond a day as well */
    bool required_change;     /* reserved for contracts; false */
    uint16_t key_ordinal;     /* 1, 2, ... within the key; 0: not part of it */
    int16_t precision, scale; /* DECIMAL only */
    fr_str native_type;       /* as the source spells it: "numeric(10,2)", "mood" */
    fr_str doc;               /* the column's comment; empty: none */
    fr_str fallback;          /* literal default as JSON for Avro ("0", "\"x\""); empty: none */
    /* Only where the source is asked for Debezium's envelope; empty: none, or not known. */
    fr_str base_type; /* what a domain is made of, spelled as native_type */
    fr_str labels;    /* of an enum, or of an array's: "a,b" */
    fr_str generator; /* the default, where it is no literal: "nextval('s'::regclass)" */
} fr_column;

typedef struct fr_table {
    fr_str space, name; /* database or namespace, then table */
    uint64_t serial;    /* unique among all tables of this process */
    uint32_t version;   /* counts up with every change of columns; the source's choice */
    uint32_t source_id; /* the source's own number: PostgreSQL oid; 0: none */
    bool full_before;   /* before holds every column (REPLICA IDENTITY FULL, row image FULL) */
    bool partial;       /* as triggers knew it: the configuration may name columns that are newer */
    bool foreign;       /* sinks: its messages say no position of ours, and have offsets instead */
    fr_str doc;         /* the table's comment */
    size_t column_count;
    const fr_column *columns;
} fr_table;

/* Copies all it is given; serial is set. The caller holds the first reference. */
const fr_table *fr_table_new(const fr_table *like);
const fr_table *fr_table_ref(const fr_table *t);
const fr_table *fr_table_unref(const fr_table *t); /* NULL is fine; returns NULL */
/* Index of the column, or -1. */
int fr_table_find(const fr_table *t, fr_str column);
size_t fr_table_key_count(const fr_table *t);
/* The column whose name is most like this one, for did-you-mean; NULL: none is. */
const fr_column *fr_table_nearest(const fr_table *t, fr_str name);
/* Same columns, kinds, keys, scales, nullability and names; not serial, version, doc. */
bool fr_table_same(const fr_table *a, const fr_table *b);

#endif
