/* Which column of which table becomes which field of which stream and which column of which sink's
 * table (docs/lineage.md): worked out from the configuration and, where a source answers, its
 * catalog. Changes nothing. One thread. */
#ifndef FR_CLI_LINEAGE_H
#define FR_CLI_LINEAGE_H

#include "cli/cli.h"
#include "transform/expr.h"

enum { FR_LINEAGE_FOREIGN = -1 }; /* source of a topic that no source of this file writes */

typedef struct fr_lineage_field {
    fr_str name;  /* as it is published; in each sink's table the same */
    fr_str *from; /* columns of the table that it is made of */
    size_t from_count;
    const char *expression; /* columns.derive; NULL: the column itself */
    const char *mask;       /* "hash", "redact", "null", "keep_last: 4"; NULL: none */
    const char *message;    /* what the message says, of a sink's columns.message; NULL: no such */
    fr_str type, doc;       /* type: as the source spells it; empty: not known */
    bool pii;               /* it, or a column that it is made of */
    bool key;
} fr_lineage_field;

typedef struct fr_lineage_target {
    size_t sink;         /* index into the configuration's */
    fr_str space, table; /* space empty: the connection's own */
    fr_str former;       /* the closed topic that it is filled from; empty: from the stream's */
    const fr_topic_settings *rules; /* the sink's for the topic; NULL: its columns are the fields */
    fr_lineage_field *fields;       /* with rules: its columns; `from` are fields */
    size_t field_count;
    fr_str *filter; /* fields that the rules' filter reads */
    size_t filter_count;
} fr_lineage_target;

typedef struct fr_lineage_stream {
    int source;         /* index into the configuration's, or FOREIGN */
    fr_str space, name; /* the table; a pattern where only the server knows which tables it takes */
    bool pattern;
    const fr_table_settings *settings; /* NULL: FOREIGN */
    fr_str topic;                      /* empty: of a pattern, or each row names it (outbox) */
    fr_str first;        /* topic of its first generation, where it has left that; empty: none */
    uint32_t generation; /* which one it goes to; below 2: the first */
    fr_str doc;
    const char *deprecated; /* NULL: it is not */
    bool catalog;           /* the table was looked up; else the configuration alone speaks */
    bool whole;             /* all fields are here; else those that are named */
    fr_lineage_field *fields;
    size_t field_count;
    fr_str *filter; /* columns that the filter reads */
    size_t filter_count;
    fr_lineage_target *targets;
    size_t target_count;
} fr_lineage_stream;

typedef struct fr_lineage {
    fr_arena *arena;
    const fr_config *config;
    const char **why;   /* one per source: why it was not asked, or did not answer; NULL: it did */
    const char **moved; /* why it is not known which topics its tables have left; NULL: it is, or
                           nobody asked */
    fr_lineage_stream *streams;
    size_t count, cap;
} fr_lineage;

/* All in the arena. ask: the sources are asked what their tables are; one that does not answer is
 * no error (why). CONFIG: a table cannot be published as the configuration says. */
fr_rc fr_lineage_make(const fr_config *config, fr_arena *a, bool ask, fr_lineage *out, fr_err *err);
/* What the sink's rules make of the stream's fields: in t. NULL rules: nothing. sandbox: made where
 * it is needed. */
fr_rc fr_lineage_rules(fr_lineage *l, fr_sandbox **sandbox, const fr_lineage_stream *s,
                       fr_lineage_target *t, fr_err *err);
/* The names of columns that the expression reads, in the arena; table NULL: any name may be one. */
fr_rc fr_lineage_reads(fr_arena *a, fr_sandbox **sandbox, const fr_table *table, const char *text,
                       fr_str **out, size_t *count, fr_err *err);
/* Keeps what the glob "source/space.table" names. CONFIG: nothing. */
fr_rc fr_lineage_keep(fr_lineage *l, const char *glob, fr_err *err);

/* The i-th topic that the table has left, from 0; empty: there are no more. */
fr_str fr_lineage_former(const fr_lineage *l, const fr_lineage_stream *s, size_t i);
/* "erp/public.orders"; of FOREIGN: the topic. */
fr_str fr_lineage_table(const fr_lineage *l, const fr_lineage_stream *s);
/* "hash", not how much of the value is left; empty: none. */
fr_str fr_lineage_mask(const fr_lineage_field *f);
/* "raw.orders" */
fr_str fr_lineage_target_name(const fr_lineage *l, const fr_lineage_target *t);
/* Where a source's or sink's database is, as OpenLineage names it ("postgres://db:5432"), and the
 * database that names of tables begin with; empty: none. */
fr_str fr_lineage_server(fr_arena *a, const char *type, const char *name, const fr_option *options,
                         const void *settings, fr_str *database);

/* How it is shown. */
void fr_lineage_text(fr_cli *cli, const fr_lineage *l);
json_t *fr_lineage_json(const fr_lineage *l);
void fr_lineage_dot(fr_buf *b, const fr_lineage *l);
void fr_lineage_mermaid(fr_buf *b, const fr_lineage *l);
/* One event a line. */
void fr_lineage_openlineage(fr_buf *b, const fr_lineage *l, int64_t now_us);
void fr_lineage_dbt(fr_buf *b, const fr_lineage *l);

#endif
