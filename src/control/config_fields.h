/* The tables of every key that is not a connector's own. */
#ifndef FR_CONTROL_CONFIG_FIELDS_H
#define FR_CONTROL_CONFIG_FIELDS_H

#include "connect/option.h"
#include "control/config.h"

typedef struct fr_top_fields {
    int64_t version;
    const char *name;
    fr_texts include;
} fr_top_fields;
typedef struct fr_kafka_fields { /* what a file says otherwise than the settings do */
    fr_kafka_settings s;
    int delivery;
} fr_kafka_fields;
typedef struct fr_table_fields {
    fr_table_settings s;
    int compat; /* 0: the registry's */
} fr_table_fields;

typedef struct fr_test_fields {
    const char *name, *table;
    int op;
    fr_pairs types, before, after;
    int64_t events;
    int want_op;
    const char *topic, *error;
    fr_pairs want_key, want_before, want_after;
    fr_texts absent;
} fr_test_fields;

typedef struct fr_section {
    const char *kind;   /* "kafka" */
    const char *prefix; /* "kafka", "sources.<s>.tables.<t>"; "" at the top */
    const char *title;  /* for the reference */
    const fr_option *options;
    size_t size; /* of the struct that they describe */
} fr_section;
/* Ends with an entry whose kind is NULL. */
extern const fr_section fr_sections[];
const fr_section *fr_section_find(const char *kind);

/* Choices of the vocabulary that this version does not do. */
typedef struct fr_unbuilt {
    const char *kind, *option, *choice;
    const char *instead; /* what to write */
} fr_unbuilt;
/* What to do instead of an option that nothing obeys, where that is not just to leave it out; or
 * NULL. */
const char *fr_refused_hint(const char *option);
const fr_unbuilt *fr_unbuilt_find(const char *kind, const char *option, const char *choice);

/* Names of connectors in the vocabulary; end with NULL. */
extern const char *const fr_source_types[];
extern const char *const fr_sink_types[];
/* Row variables that an option may hold ("source", "prefix", ...), or NULL: none. */
const char *const *fr_row_variables(const char *option);
/* True for an option that may hold the row's columns as well. */
bool fr_row_columns(const char *option);

#endif
