/* The configuration file: YAML -> settings of every section, by option tables. All errors
 * of a file at once, each with file:line:col, key path, message and remedy. */
#ifndef FR_CONTROL_CONFIG_H
#define FR_CONTROL_CONFIG_H

#include "base/bytes.h"
#include "base/log.h"
#include "connect/sink.h"
#include "connect/source.h"
#include "control/config_tests.h"

typedef struct fr_problem { /* one thing wrong in a file */
    bool warning;
    const char *code; /* "config.unknown_key" */
    const char *file;
    int line, column; /* from 1; 0: the file as a whole */
    const char *path; /* "sources.erp.tables.\"public.orders\".metod" */
    const char *text, *hint;
    const char *excerpt; /* the line itself; NULL: none, or it may hold a secret */
} fr_problem;

typedef struct fr_daemon_settings {
    const char *cache_dir;
    int64_t memory, max_row_bytes, drain_us;
    const char *mask_key; /* NULL: none */
    int log_level;        /* fr_log_level */
    int log_format;       /* fr_log_format */
} fr_daemon_settings;

typedef struct fr_http_settings {
    const char *listen; /* "none": off */
    const char *socket; /* unix socket; empty: none */
    const char *tls_cert, *tls_key, *token;
    bool metrics;
    int64_t metrics_max_tables;
} fr_http_settings;

typedef struct fr_config {
    const char *name;
    const char *file;
    fr_daemon_settings daemon;
    fr_kafka_settings kafka;
    fr_registry_settings registry;
    fr_http_settings http;
    fr_source_settings *sources;
    const fr_source_ops **source_ops; /* one per source */
    size_t source_count;
    fr_sink_settings *sinks;
    const fr_sink_ops **sink_ops;
    size_t sink_count;
    const fr_test *tests;
    size_t test_count;
    fr_arena *arena; /* owns it all, regexes too */
    void *tree;      /* the merged nodes with their places, for config show and explain */
} fr_config;

/* Which connectors exist: control may not include connectors/list.h, so the program says. */
typedef struct fr_connectors {
    const fr_source_ops *(*source)(const char *type);
    const fr_sink_ops *(*sink)(const char *type);
    const fr_source_ops *(*source_at)(size_t index);
    const fr_sink_ops *(*sink_at)(size_t index);
} fr_connectors;

typedef struct fr_config_flags {
    bool strict;     /* warnings are errors */
    bool allow_exec; /* ${exec:...} */
    bool offline;    /* validate: ${...} are checked for form, missing values are no error */
} fr_config_flags;

/* FR_OK with *out (possibly warnings), or CONFIG with every problem in the list; problems
 * live in the arena given. The caller frees *out. */
fr_rc fr_config_load(const char *file, const fr_connectors *connectors,
                     const fr_config_flags *flags, fr_arena *problems_arena,
                     fr_problem **problems_out, size_t *problem_count, fr_config **out,
                     fr_err *err);
void fr_config_free(fr_config *c);
/* --config, $FRESHET_CONFIG, ./freshet.yaml, $XDG_CONFIG_HOME/freshet/freshet.yaml,
 * /etc/freshet/freshet.yaml. CONFIG error that lists where it looked. */
fr_rc fr_config_find(const char *flag, fr_arena *a, const char **out, fr_err *err);
/* Index of the source of this name; CONFIG with a did-you-mean. */
fr_rc fr_config_source(const fr_config *c, fr_str name, size_t *out, fr_err *err);
/* The table that "source/space.table" names. Texts are borrowed from word. CONFIG with a
 * did-you-mean where there is no such source, or it does not capture the table. */
typedef struct fr_config_place {
    size_t source;
    fr_str space, name;
    const fr_table_settings *table;
} fr_config_place;
fr_rc fr_config_table(const fr_config *c, const char *word, fr_config_place *out, fr_err *err);
/* The same, and CONFIG where its snapshot.mode is never, it is an outbox, or the source is polled.
 */
fr_rc fr_config_snapshot_table(const fr_config *c, const char *word, fr_config_place *out,
                               fr_err *err);
/* Problems as a person reads them. */
void fr_problem_text(fr_buf *b, const fr_problem *p);
/* Merged configuration with file:line of each value; secrets as ***. */
void fr_config_show(fr_buf *b, const fr_config *c, bool json);
/* What a running process would have to be started again for: the key of the first value that is
 * another one, secrets too, or that only one of the two has. What a reload takes (daemon.log.level,
 * daemon.log.format) and where a value stands in the file are no difference. The path is the
 * arena's; no value is ever in it. */
bool fr_config_differs(const fr_config *before, const fr_config *after, fr_arena *a, fr_str *path);
/* JSON Schema (draft-07) of the whole file. */
void fr_config_schema(fr_buf *b, const fr_connectors *connectors);
/* Documentation of one key ("kafka.delivery", "sources.<s>.log.slot"). CONFIG with a
 * did-you-mean when there is none. */
fr_rc fr_config_explain(fr_buf *b, const fr_connectors *connectors, const char *key, fr_err *err);
/* docs/options.md. */
void fr_config_docs(fr_buf *b, const fr_connectors *connectors);
/* freshet.yaml(5), for scdoc. */
void fr_config_man(fr_buf *b, const fr_connectors *connectors);

#endif
