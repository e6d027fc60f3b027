/* What the configuration says, as plain data that every layer may read. Filled in and owned
 * by control/config; borrowed by all others for as long as the pipeline runs. Keys and
 * defaults are those of docs/options.md. Times are microseconds, sizes bytes. */
#ifndef FR_MODEL_SETTINGS_H
#define FR_MODEL_SETTINGS_H

#include "model/table.h"

typedef struct fr_pair { /* one entry of a map */
    const char *name, *value;
} fr_pair;
typedef struct fr_pairs {
    fr_pair *items;
    size_t count;
} fr_pairs;
typedef struct fr_texts { /* a list */
    const char **items;
    size_t count;
} fr_texts;
int fr_texts_find(const fr_texts *list, fr_str text); /* its index, or -1 */
bool fr_texts_have(const fr_texts *list, fr_str text);
const char *fr_pairs_get(const fr_pairs *pairs, fr_str name); /* its value, or NULL */

typedef enum {
    FR_METHOD_LOG,
    FR_METHOD_QUERY,
    FR_METHOD_OUTBOX,
    FR_METHOD_TRIGGER,
    FR_METHOD_SNAPSHOT,
    FR_METHOD_SKIP
} fr_method;
typedef enum {
    FR_ENVELOPE_STANDARD,
    FR_ENVELOPE_DEBEZIUM,
    FR_ENVELOPE_STATE,
    FR_ENVELOPE_RAW
} fr_envelope;
/* truncate of a table (publish) and of a sink (apply) share one order. */
typedef enum { FR_TRUNCATE_BLOCK, FR_TRUNCATE_PUBLISH, FR_TRUNCATE_IGNORE } fr_truncate;
typedef enum { FR_WRITE_UPSERT, FR_WRITE_APPEND, FR_WRITE_HISTORY } fr_write_mode;
typedef enum { FR_DELETES_HARD, FR_DELETES_SOFT, FR_DELETES_IGNORE } fr_deletes;
typedef enum { FR_ERRORS_BLOCK, FR_ERRORS_STOP, FR_ERRORS_DLQ } fr_errors_mode;
typedef enum {
    FR_COMPAT_BACKWARD,
    FR_COMPAT_BACKWARD_TRANSITIVE,
    FR_COMPAT_FORWARD,
    FR_COMPAT_FORWARD_TRANSITIVE,
    FR_COMPAT_FULL,
    FR_COMPAT_FULL_TRANSITIVE,
    FR_COMPAT_NONE
} fr_compat;
typedef enum {
    FR_CHANGE_EVOLVE,
    FR_CHANGE_BLOCK,
    FR_CHANGE_STOP,
    FR_CHANGE_IGNORE,
    FR_CHANGE_NEW_TOPIC,
    FR_CHANGE_BOTH
} fr_change;
typedef enum { FR_GONE_BLOCK, FR_GONE_STOP, FR_GONE_IGNORE } fr_gone;
typedef enum { FR_WHEN_APPLY, FR_WHEN_RUN, FR_WHEN_NEVER } fr_when;
/* registry.subject: BOTH is topic-record. */
typedef enum { FR_SUBJECT_BY_TOPIC, FR_SUBJECT_BY_RECORD, FR_SUBJECT_BY_BOTH } fr_subject_by;

/* A table whose rows are events that an application wrote: T.outbox. NULL: no such column. */
typedef struct fr_outbox_settings {
    bool on;             /* this table is one */
    const char *id;      /* column: the event's id, and the order of polling */
    const char *payload; /* column: the message's value */
    const char *key, *type;
    const char *route; /* template of the topic, with the row's columns; NULL: the table's topic */
    fr_texts headers;  /* columns that become headers */
    bool clean_up;     /* polled: delete rows once they are confirmed */
} fr_outbox_settings;

/* A file with a contract: an Avro record that rows are published as. */
typedef struct fr_contract {
    const char *path;  /* as errors name it */
    const char *topic; /* of a file schemas/<topic>.avsc; NULL: a table names the file */
    fr_str text;       /* as it is; nothing is checked yet */
} fr_contract;

typedef struct fr_table_settings {
    const char *pattern; /* "public.orders" or "/regex/" */
    void *regex;         /* compiled; NULL: exact */
    const char *place;   /* file:line */
    int method;          /* fr_method */
    fr_texts key;
    bool append_only;
    fr_texts columns_include, columns_exclude;
    const char *topic; /* template: ${source} ${prefix} ${space} ${table} */
    fr_texts partition_by;
    int envelope; /* fr_envelope */
    bool tombstones;
    int truncate;      /* fr_truncate */
    int snapshot_mode; /* 0 initial, 1 never */
    const char *snapshot_where;
    int64_t snapshot_chunk, snapshot_parallel;
    int errors_mode; /* fr_errors_mode */
    const char *errors_topic;
    const char *owner;
    fr_texts tags, pii;
    const char *deprecated; /* NULL: it is not; else what to use instead */
    const char *schema_name, *schema_doc;
    int schema_compat;                                       /* fr_compat, or -1: the registry's */
    int add_column, drop_column, rename_column, change_type; /* fr_change */
    int drop_table;                                          /* fr_gone */
    /* What rows are published as (codec/contract.h), and what else holds for their values. */
    const char *schema_contract; /* path of the contract; NULL: not named; "": there is none */
    const fr_contract *contract; /* what is in that file; NULL: not named, or not readable */
    int schema_extra;            /* columns that the contract lacks: 0 left out, 1 refused */
    fr_texts schema_rules;       /* JSON objects (transform/rules.h) */
    fr_pairs column_types, column_defaults;
    /* Derived events (transform/derive.h); an expression is SQL over a row. */
    const char *filter;     /* NULL: all rows */
    fr_pairs column_rename; /* column: field */
    fr_pairs column_derive; /* field: expression */
    fr_pairs column_mask;   /* column: "hash", "redact", "null", "keep_last: 4" */
    int zero_dates;         /* of MySQL and MariaDB: 0 null, 1 error */
    int64_t poll_every_us, poll_batch, poll_max_skew_us;
    int64_t poll_lookback_us; /* 0: not set */
    const char *poll_column, *poll_tiebreak, *poll_query;
    const char *poll_timezone; /* NULL, or "UTC" */
    int poll_deletes;          /* 0 none, 1 soft-column, 2 full-compare */
    const char *poll_delete_column;
    const char *poll_delete_when; /* expression; NULL: none */
    int64_t poll_compare_every_us;
    fr_outbox_settings outbox;
} fr_table_settings;

typedef struct fr_source_settings {
    const char *pipeline; /* name of the pipeline */
    const char *name;     /* <s> */
    const char *type;     /* "postgres" */
    const char *prefix;
    bool transaction_metadata;
    int64_t heartbeat_us;       /* log.heartbeat */
    int64_t confirm_reserve_us; /* log.confirm_reserve */
    int64_t throttle_connections;
    int64_t throttle_rows_per_second; /* 0: none */
    const char *throttle_window;      /* NULL: always; "20:00-06:00" local time */
    int64_t throttle_max_lag_us;      /* 0: none */
    const char *throttle_max_load;    /* NULL: none; "active=25" (fr_load_parse) */
    const char *throttle_query;       /* NULL: none */
    int64_t max_row_bytes;            /* daemon.max_row_bytes */
    const char *mask_key;             /* daemon.mask_key; NULL: none */
    const fr_contract *contracts;     /* schemas/<topic>.avsc beside the configuration */
    size_t contract_count;
    fr_table_settings *tables;
    size_t table_count;
    const void *connector; /* the connector's own struct, filled from its option table */
    const char *place;
} fr_source_settings;

/* What a sink makes of a topic's rows: sinks.<k>.topics. */
typedef struct fr_topic_settings {
    fr_table_settings shape; /* pattern (of the topic), regex, place, key (of the target), filter,
                                columns_include, _exclude, _rename, _derive, _types, _mask; nothing
                                else of it */
    const char *into;        /* NULL: the sink's */
    fr_pairs message;        /* column: what is said of its message (transform/shape.h) */
} fr_topic_settings;

typedef struct fr_sink_settings {
    const char *pipeline, *name, *type;
    fr_texts from;        /* topics, exact or /regex/ */
    void **from_regex;    /* one per from; NULL: exact */
    const char *into;     /* template */
    int create;           /* fr_when */
    int start;            /* 0 earliest, 1 latest */
    const char *start_at; /* NULL: by start; else a time, and the same in ms since 1970 */
    int64_t start_ms;
    int write_mode; /* fr_write_mode */
    int deletes;    /* fr_deletes */
    int truncate;   /* fr_truncate: block, apply, ignore */
    int64_t batch_rows, every_us, parallel;
    int add_column, drop_column, change_type; /* fr_change */
    int errors_mode;
    const char *errors_topic;
    const char *errors_limit; /* NULL: none; "10/1000" (fr_limit_parse) */
    int64_t max_row_bytes;
    const char *mask_key; /* daemon.mask_key; NULL: none */
    fr_topic_settings *topics;
    size_t topic_count;
    const void *connector;
    const char *place;
} fr_sink_settings;

typedef struct fr_kafka_settings {
    const char *pipeline;
    fr_texts brokers;
    bool exactly_once;
    int64_t max_events, max_bytes, max_time_us, min_interval_us;
    int partitioner;                             /* 0 payload, 1 murmur2 (over all of the key) */
    int topics_create;                           /* fr_when */
    int64_t topic_partitions, topic_replication; /* 0: the broker's */
    fr_pairs topic_config;
    fr_texts accept_risk;
    bool insecure;
    fr_pairs properties;
    int64_t memory;        /* bytes of daemon.memory for librdkafka's queues */
    int64_t max_row_bytes; /* also bounds message.max.bytes */
    bool mock; /* no key of the configuration: the broker is that of kafka/mock.h (the demo) */
} fr_kafka_settings;

typedef struct fr_registry_settings {
    fr_texts url; /* http(s)://... or file:DIR */
    const char *username, *password, *token, *ca;
    const char *cert, *key; /* ours, where the registry asks for one */
    bool insecure;
    int compatibility; /* fr_compat */
    int subject;       /* fr_subject_by */
    int register_when; /* fr_when: who registers a subject's first schema */
} fr_registry_settings;

/* The settings of a table: an exact pattern wins; two regexes that match are an error that
 * the configuration reports. NULL: not captured (method skip counts as not captured). */
const fr_table_settings *fr_source_match(const fr_source_settings *s, fr_str space, fr_str name);
/* True when no exact pattern but two regexes take this table: *one and *other are they. A
 * table that is known only at the server can be asked about only there. */
bool fr_source_ambiguous(const fr_source_settings *s, fr_str space, fr_str name,
                         const fr_table_settings **one, const fr_table_settings **other);
/* The contract of a table whose events go to this topic: of the file that it names, else of
 * schemas/<topic>.avsc beside the configuration. NULL: it has none. No I/O: files were read with
 * the configuration. */
const fr_contract *fr_contract_file(const fr_source_settings *s, const fr_table_settings *t,
                                    fr_str topic);
/* True when the table is asked (method query, snapshot, outbox, trigger) instead of read from the
 * log. */
bool fr_table_polled(const fr_table_settings *t);
/* Its rows, or those of its change table, are deleted once they are published: a queue. Polled, but
 * not by a cursor. */
bool fr_table_emptied(const fr_table_settings *t);
/* poll.column; of an outbox whose rows stay: its id, if none is set. NULL: none. */
const char *fr_table_cursor(const fr_table_settings *t);
/* True when the table is compared with what was published of it: method snapshot, or
 * poll.deletes full-compare. */
bool fr_table_compared(const fr_table_settings *t);
/* True when deletes of the table know nothing but its key, and their events have room for more. */
bool fr_table_key_before(const fr_table_settings *t);
/* True when the source's tables are polled. */
bool fr_source_polled(const fr_source_settings *s);
/* throttle.max_lag, max_load or query: the server is asked whether it is busy. */
bool fr_source_asks_busy(const fr_source_settings *s);
/* Are all tables that have schemas published in Debezium's envelope? */
bool fr_source_debezium(const fr_source_settings *s);
/* Some have a cursor, so that the server must tell which transactions are open. */
bool fr_source_bounded(const fr_source_settings *s);
/* Index of the from pattern that takes this topic, or -1. */
int fr_sink_match(const fr_sink_settings *s, fr_str topic);
/* The rules for a topic, or NULL: an exact name wins over a regex, also that of the topic from
 * which a table went on in this one (erp.public.orders of erp.public.orders.v2). CONFIG
 * (config.two_patterns) where two regexes take it. */
fr_rc fr_sink_topic(const fr_sink_settings *s, fr_str topic, const fr_topic_settings **out,
                    fr_err *err);
/* The target table of a topic: `into`, the topic's own or the sink's, with the topic's own parts as
 * variables (source and prefix: up to the first dot; space: up to the second, where there are two;
 * table: the rest; of "erp.public.orders.v2", in which a table has gone on: orders_v2). space
 * empty: the connection's default. */
fr_rc fr_sink_target(const fr_sink_settings *s, fr_arena *a, fr_str topic, fr_str *space_out,
                     fr_str *name_out, fr_err *err);
/* "2026-11-26T08:00:00Z", in ms since 1970. False: not that. */
bool fr_instant_parse(const char *text, int64_t *ms_out);
/* "active=25": a measure of the server's load and the most that is fine. False: not that. name_out
 * is borrowed from text. */
bool fr_load_parse(const char *text, fr_str *name_out, int64_t *most_out);
/* "10/1000": errors (1 to 10,000) per events (up to 10,000,000). False: it is something else. */
bool fr_limit_parse(const char *text, int64_t *errors_out, int64_t *events_out);
/* Compile "/.../" into *out (PCRE2, anchored nowhere); a plain name leaves *out NULL. */
fr_rc fr_pattern_compile(const char *pattern, void **out, fr_err *err);
/* Topic patterns are matched by librdkafka, which has the C library's POSIX extended syntax: CONFIG
 * where the pattern, which fr_pattern_compile took, would there mean something else or nothing. */
fr_rc fr_pattern_for_topics(const char *pattern, fr_err *err);
void fr_pattern_free(void *regex);
bool fr_pattern_match(void *regex, fr_str subject);
/* Expand ${name} from pairs; an unknown variable is a CONFIG error. */
fr_rc fr_template_expand(fr_arena *a, const char *template, const fr_pair *vars, size_t count,
                         fr_str *out, fr_err *err);
/* The next piece of a template: what stands in "${name}", or the text before one. */
fr_str fr_template_piece(const char *at, bool *variable);
/* The columns that outbox.route names, in the arena, in its order, also repeated. route NULL: none.
 */
void fr_outbox_route_columns(fr_arena *a, const char *route, fr_str **out, size_t *count_out);
/* outbox of a table that is none: logical messages of PostgreSQL with this prefix, whose members
 * are the columns. False: it is a table, or a pattern. */
#define FR_MESSAGES_SPACE "pg_logical_emit_message"
bool fr_table_messages(const fr_table_settings *t, fr_str *prefix_out);
/* The server did not take a statement of ours about this table (CONFIG): only snapshot.where was
 * not written by us, and the hint says so. FR_IDLE: it is another error, or there is no condition;
 * the error stays as it is. Else FR_FAIL. */
fr_rc fr_table_blame_where(const fr_table_settings *t, fr_err *err);

#endif
