/* What the actions of `freshet schema` share: a table's stream, and its schemas wherever they
 * stand. One thread; results live in cli->arena. */
#ifndef FR_CLI_SCHEMA_H
#define FR_CLI_SCHEMA_H

#include "cli/ask.h"
#include "codec/compat.h"
#include "codec/fingerprint.h"
#include "codec/registry.h"

typedef enum fr_at { FR_AT_SOURCE, FR_AT_CONTRACT, FR_AT_REGISTRY } fr_at;

typedef struct fr_stream { /* of one table */
    const char *word;      /* "erp/public.orders" */
    fr_config_place place;
    fr_str topic;
    const fr_contract *contract; /* NULL: it has none */
    const char *key_subject, *value_subject;
    int level; /* fr_compat: schema.compatibility, else registry.compatibility */
} fr_stream;

typedef struct fr_side { /* of a stream: its key, or its value */
    fr_str text;         /* empty: there is none */
    int version;         /* in the registry; 0: not there, or not known */
    int32_t id;
} fr_side;

typedef struct fr_sides {
    fr_side key, value;
    bool rows; /* value is that of a row: a contract */
} fr_sides;

typedef struct fr_schema_verb {
    fr_cli *cli;
    fr_config *config;     /* NULL: none was needed */
    fr_registry *registry; /* opened when it is asked first */
} fr_schema_verb;

/* --at, or what else is asked. */
fr_at fr_schema_at(fr_schema_verb *v, fr_at usual);
const char *fr_schema_at_name(fr_at at);
/* The registry of the configuration. */
fr_rc fr_schema_registry(fr_schema_verb *v, fr_err *err);
/* --level or --compatibility as fr_compat. CONFIG with the words there are. */
fr_rc fr_schema_level(const char *word, int *out, fr_err *err);
/* CONFIG (cli.no_table, cli.no_schema) for what is no table, or has no schema: outboxes. */
fr_rc fr_schema_stream(fr_schema_verb *v, const char *word, fr_stream *out, fr_err *err);
/* Its subjects; record: the full name of a row's. */
void fr_schema_subjects(fr_schema_verb *v, fr_stream *s, fr_str topic, fr_str record);
/* The stream's schemas as they stand there. CONFIG or SCHEMA where there are none. */
fr_rc fr_schema_read(fr_schema_verb *v, fr_stream *s, fr_at at, fr_sides *out, fr_err *err);
/* As the source's table is now (schema_source.c): subjects are set by it, too. */
fr_rc fr_schema_source(fr_schema_verb *v, fr_stream *s, fr_sides *out, fr_err *err);
/* FR_END: the subject is unknown. */
fr_rc fr_schema_newest(fr_schema_verb *v, const char *subject, fr_side *out, fr_err *err);
/* The level that the registry enforces; the table's own where the registry's is NONE, or not known:
 * Apicurio says NONE of a subject that has none of its own. */
fr_rc fr_schema_enforced(fr_schema_verb *v, const fr_stream *s, const char *subject, int *out,
                         fr_err *err);
/* What the registry has of a text: version and id stay 0 where it has not. */
fr_rc fr_schema_find(fr_schema_verb *v, const char *subject, fr_side *side, fr_err *err);
/* The record of a row: of an envelope's schema, or the schema itself. */
fr_rc fr_schema_row(fr_schema_verb *v, fr_str value, fr_str *out, fr_err *err);
/* fr_cli_fail, but 2 for what is no schema, whoever says so. */
int fr_schema_failed(fr_schema_verb *v, const fr_err *err);
/* The text of a file of at most 1 MiB. CONFIG. */
fr_rc fr_schema_file(fr_schema_verb *v, const char *name, fr_str *out, fr_err *err);

/* ---- on paper (schema_text.c) ---- */

/* As `--json` has it: {"version","id","crc64","sha256","schema"}. */
fr_rc fr_schema_side_json(fr_schema_verb *v, const fr_side *side, json_t **out, fr_err *err);
/* "version 3, id 217"; or "not registered". */
void fr_schema_put_place(fr_buf *b, const fr_side *side);
/* The difference with its texts as a terminal may have them: names and types are somebody else's.
 */
fr_difference fr_schema_shown(fr_arena *a, const fr_difference *x);
void fr_schema_put_differences(fr_cli *cli, const fr_differences *d, const char *indent);
json_t *fr_schema_differences_json(const fr_differences *d);
size_t fr_schema_refused(const fr_differences *d, fr_diff_verdict verdict);
/* Out of memory aborts; the text is in the arena. */
fr_str fr_schema_pretty(fr_arena *a, const json_t *j);

/* ---- actions; each returns the exit code ---- */

int fr_schema_show(fr_schema_verb *v);
int fr_schema_diff(fr_schema_verb *v);
int fr_schema_check(fr_schema_verb *v);
int fr_schema_register(fr_schema_verb *v);
int fr_schema_history(fr_schema_verb *v);
int fr_schema_export(fr_schema_verb *v);
int fr_schema_sample(fr_schema_verb *v);

#endif
