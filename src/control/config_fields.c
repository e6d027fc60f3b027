#include "control/config_fields.h"
#include <string.h>

#define AT(type, member) offsetof(type, member)
#define CHOICES(...)                                                                               \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define TEXT(n, at, def, text)                                                                     \
    {.name = n, .type = FR_OPT_TEXT, .offset = at, .fallback = def, .help = text}
#define PATH(n, at, def, text)                                                                     \
    {.name = n, .type = FR_OPT_TEXT, .offset = at, .fallback = def, .help = text, .flags = FR_PATH}
#define SECRET(n, at, text)                                                                        \
    {.name = n, .type = FR_OPT_TEXT, .offset = at, .help = text, .flags = FR_SECRET}
#define INT(n, at, def, lo, hi, text)                                                              \
    {.name = n,                                                                                    \
     .type = FR_OPT_INT,                                                                           \
     .offset = at,                                                                                 \
     .fallback = def,                                                                              \
     .help = text,                                                                                 \
     .min = lo,                                                                                    \
     .max = hi}
#define BOOL(n, at, def, text)                                                                     \
    {.name = n, .type = FR_OPT_BOOL, .offset = at, .fallback = def, .help = text}
#define BYTES(n, at, def, lo, hi, text)                                                            \
    {.name = n,                                                                                    \
     .type = FR_OPT_BYTES,                                                                         \
     .offset = at,                                                                                 \
     .fallback = def,                                                                              \
     .help = text,                                                                                 \
     .min = lo,                                                                                    \
     .max = hi}
#define TIME(n, at, def, lo, hi, text)                                                             \
    {.name = n,                                                                                    \
     .type = FR_OPT_TIME,                                                                          \
     .offset = at,                                                                                 \
     .fallback = def,                                                                              \
     .help = text,                                                                                 \
     .min = lo,                                                                                    \
     .max = hi}
#define CHOICE(n, at, def, list, text)                                                             \
    {.name = n, .type = FR_OPT_CHOICE, .offset = at, .fallback = def, .help = text, .choices = list}
#define LIST(n, at, def, text)                                                                     \
    {.name = n, .type = FR_OPT_LIST, .offset = at, .fallback = def, .help = text}
#define MAP(n, at, text) {.name = n, .type = FR_OPT_MAP, .offset = at, .help = text}
/* In the vocabulary, but nothing obeys it yet; the default says what is done instead. */
#define LATER(n, t, def, text)                                                                     \
    {.name = n, .type = t, .fallback = def, .help = text, .flags = FR_REFUSED}
#define LATER_CHOICE(n, def, list, text)                                                           \
    {.name = n,                                                                                    \
     .type = FR_OPT_CHOICE,                                                                        \
     .fallback = def,                                                                              \
     .help = text,                                                                                 \
     .choices = list,                                                                              \
     .flags = FR_REFUSED}
#define END {.name = NULL}

#define MS 1000LL
#define SECOND 1000000LL
#define HOUR 3600000000LL
#define KIB 1024LL
#define MIB (1024LL * 1024)
#define GIB (1024LL * 1024 * 1024)
#define MOST 1000000000000LL /* where the only reason for a maximum is a slip of the hand */

#define COMPATIBILITIES                                                                            \
    "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", \
        "NONE"
static const char *const compat_choices[] = {COMPATIBILITIES, NULL};
static const char *const table_compat_choices[] = {"registry", COMPATIBILITIES, NULL};
static const char *const when_choices[] = {"apply", "run", "never", NULL};
static const char *const change_choices[] = {"evolve",    "block", "stop", "ignore",
                                             "new_topic", "both",  NULL};
static const char *const errors_choices[] = {"block", "stop", "dlq", NULL};

const char *const fr_source_types[] = {"postgres", "mysql", "mariadb", "sqlite", "odbc", NULL};
const char *const fr_sink_types[] = {"postgres", "mysql", "mariadb", "sqlite", "clickhouse",
                                     "duckdb",   "odbc",  "file",    NULL};

static const fr_option top_options[] = {
    {.name = "version",
     .type = FR_OPT_INT,
     .offset = AT(fr_top_fields, version),
     .min = 1,
     .max = 1,
     .help = "Format of this file: 1.",
     .flags = FR_REQUIRED},
    {.name = "name",
     .type = FR_OPT_TEXT,
     .offset = AT(fr_top_fields, name),
     .help = "The pipeline's name, [a-z0-9-]{1,40}: in every topic, group, id and label of ours; a "
             "new name starts from nothing.",
     .flags = FR_REQUIRED},
    LIST("include", AT(fr_top_fields, include), NULL,
         "Globs of files with sources and sinks, relative to this file."),
    END,
};

static const fr_option daemon_options[] = {
    PATH("cache_dir", AT(fr_daemon_settings, cache_dir), "/var/cache/freshet",
         "What comparisons sort (poll.deletes: full-compare, method snapshot), while they run: "
         "nothing in it outlives the process."),
    BYTES("memory", AT(fr_daemon_settings, memory), "64MiB", 16 * MIB, 1024 * GIB,
          "All batches and Kafka queues together; when it is full nothing is read."),
    BYTES("max_row_bytes", AT(fr_daemon_settings, max_row_bytes), "16MiB", KIB, GIB,
          "A larger row is a DATA error."),
    TIME("drain", AT(fr_daemon_settings, drain_us), "10s", 0, HOUR,
         "From SIGTERM to exit; a second signal ends at once."),
    LATER("tasks", FR_OPT_INT, NULL,
          "Partitions of the tasks topic, to spread sources over workers."),
    SECRET("mask_key", AT(fr_daemon_settings, mask_key),
           "HMAC-SHA256 key of columns.mask: hash, of 16 bytes or more; required where that is "
           "used. Another key makes other hashes."),
    CHOICE("log.level", AT(fr_daemon_settings, log_level), "info",
           CHOICES("error", "warn", "info", "debug", "trace"), "How much is logged."),
    CHOICE("log.format", AT(fr_daemon_settings, log_format), "auto",
           CHOICES("auto", "human", "logfmt", "json"), "auto: human on a terminal, else logfmt."),
    END,
};

static const fr_option kafka_options[] = {
    {.name = "brokers",
     .type = FR_OPT_LIST,
     .offset = AT(fr_kafka_fields, s.brokers),
     .help = "Bootstrap servers, host:port.",
     .flags = FR_REQUIRED},
    CHOICE("delivery", AT(fr_kafka_fields, delivery), "exactly-once",
           CHOICES("exactly-once", "at-least-once"),
           "exactly-once uses one Kafka transaction for events and checkpoint; never downgraded "
           "silently."),
    INT("transaction.max_events", AT(fr_kafka_fields, s.max_events), "20000", 1, 10000000,
        "Commit after so many events; at the first of the three, or when the reader is idle."),
    BYTES("transaction.max_bytes", AT(fr_kafka_fields, s.max_bytes), "16MiB", KIB, GIB,
          "Commit after so much payload."),
    TIME("transaction.max_time", AT(fr_kafka_fields, s.max_time_us), "500ms", MS, HOUR,
         "Commit after this time; at most a quarter of transaction.timeout.ms."),
    TIME("transaction.min_interval", AT(fr_kafka_fields, s.min_interval_us), "0s", 0, 60 * SECOND,
         "Commits of an idle reader are at least so far apart."),
    CHOICE("partitioner", AT(fr_kafka_fields, s.partitioner), "payload",
           CHOICES("payload", "murmur2"),
           "payload: murmur2 over the key without its 5-byte header; murmur2: over all of it, as "
           "Java's default."),
    CHOICE("topics.create", AT(fr_kafka_fields, s.topics_create), "apply", when_choices,
           "Who creates data topics: apply (only freshet apply), run (also while running), never. "
           "Ours are made by whichever comes first, unless never."),
    INT("topics.partitions", AT(fr_kafka_fields, s.topic_partitions), NULL, 1, 10000,
        "Partitions of new data topics; never changed later; the broker's default if not set."),
    INT("topics.replication", AT(fr_kafka_fields, s.topic_replication), NULL, 1, 100,
        "Replicas of new topics, ours too; the broker's default if not set."),
    MAP("topics.config", AT(fr_kafka_fields, s.topic_config),
        "Topic configuration of new data topics."),
    LIST("accept_risk", AT(fr_kafka_fields, s.accept_risk), NULL,
         "min-insync-replicas, unclean-leader-election: run although data could be lost."),
    BOOL("insecure", AT(fr_kafka_fields, s.insecure), "false",
         "Allow plaintext to brokers off loopback."),
    MAP("properties", AT(fr_kafka_fields, s.properties),
        "For librdkafka as they are; those that freshet owns (acks, enable.idempotence, "
        "transactional.id, isolation.level, partitioner) are refused."),
    END,
};

static const fr_option registry_options[] = {
    {.name = "url",
     .type = FR_OPT_LIST,
     .offset = AT(fr_registry_settings, url),
     .help = "One or more URLs, tried in order; file:DIR keeps schemas in a directory.",
     .flags = FR_REQUIRED},
    TEXT("username", AT(fr_registry_settings, username), NULL, "For basic authentication."),
    SECRET("password", AT(fr_registry_settings, password), "For basic authentication."),
    SECRET("token", AT(fr_registry_settings, token), "For bearer authentication."),
    PATH("ca", AT(fr_registry_settings, ca), NULL, "CA certificates, PEM."),
    PATH("cert", AT(fr_registry_settings, cert), NULL,
         "Certificate chain of ours, PEM, where the registry asks for one."),
    PATH("key", AT(fr_registry_settings, key), NULL, "Its private key, PEM."),
    BOOL("insecure", AT(fr_registry_settings, insecure), "false",
         "Allow http:// to a registry off loopback."),
    CHOICE("compatibility", AT(fr_registry_settings, compatibility), "BACKWARD", compat_choices,
           "Level of new subjects."),
    CHOICE("subject", AT(fr_registry_settings, subject), "topic",
           CHOICES("topic", "record", "topic-record"), "The naming strategy of subjects."),
    CHOICE("register", AT(fr_registry_settings, register_when), "apply", when_choices,
           "Who registers a subject's first schema; later versions follow schema.on_change."),
    END,
};

static const fr_option http_options[] = {
    TEXT("listen", AT(fr_http_settings, listen), "127.0.0.1:8083",
         "Address and port, or none; off loopback only with TLS and token."),
    PATH("socket", AT(fr_http_settings, socket), "/run/freshet/freshet.sock",
         "Unix socket, mode 0660; empty for none."),
    PATH("tls.cert", AT(fr_http_settings, tls_cert), NULL, "Certificate chain, PEM."),
    PATH("tls.key", AT(fr_http_settings, tls_key), NULL, "Its private key, PEM."),
    SECRET("token", AT(fr_http_settings, token), "Bearer token."),
    BOOL("metrics", AT(fr_http_settings, metrics), "true", "Serve /metrics."),
    INT("metrics_max_tables", AT(fr_http_settings, metrics_max_tables), "500", 1, 1000000,
        "More tables are counted together as table=\"_other\"."),
    LATER("ui", FR_OPT_BOOL, "false", "Serve the web page."),
    LATER_CHOICE("connect_api", "none", CHOICES("none", "read", "operate"),
                 "Kafka Connect's REST API as a second dialect."),
    LATER("tap_raw", FR_OPT_BOOL, "false", "Allow tap --at source: rows before masking."),
    END,
};

static const fr_option notify_options[] = {
    LATER("webhook", FR_OPT_TEXT, NULL, "POST of one JSON document a notice."),
    LATER("exec", FR_OPT_LIST, NULL, "Program and arguments; the document on stdin."),
    LATER("when", FR_OPT_LIST, NULL,
          "Which notices: failed, blocked, throttled, retained_limit, freshness, dlq, recovered."),
    END,
};

static const fr_option telemetry_options[] = {
    LATER("openlineage.url", FR_OPT_TEXT, NULL, "Where run events go."),
    LATER("openlineage.namespace", FR_OPT_TEXT, NULL, "Job namespace."),
    LATER("otlp.endpoint", FR_OPT_TEXT, NULL, "OTLP/HTTP with JSON."),
    LATER("otlp.metrics", FR_OPT_BOOL, "false", "Send metrics."),
    LATER("otlp.traces", FR_OPT_BOOL, "false", "Send traces."),
    END,
};

static const fr_option source_options[] = {
    {.name = "type",
     .type = FR_OPT_TEXT,
     .offset = AT(fr_source_settings, type),
     .help = "postgres, mysql, mariadb, sqlite, odbc; freshet version says which are compiled in.",
     .flags = FR_REQUIRED},
    TEXT("prefix", AT(fr_source_settings, prefix), NULL,
         "First part of default topics; the source's name if not set."),
    BOOL("transaction_metadata", AT(fr_source_settings, transaction_metadata), "false",
         "Fill in transaction; BEGIN and END messages on <prefix>.transaction."),
    TIME("log.heartbeat", AT(fr_source_settings, heartbeat_us), "10s", 100 * MS, HOUR,
         "A checkpoint at least so often while the log moves."),
    TIME("log.confirm_reserve", AT(fr_source_settings, confirm_reserve_us), "0s", 0, 720 * HOUR,
         "Confirm to the source that far behind what is durable."),
    INT("throttle.max_connections", AT(fr_source_settings, throttle_connections), "4", 2, 1000,
        "Connections to this source, snapshots included; tables that are polled at once."),
    INT("throttle.rows_per_second", AT(fr_source_settings, throttle_rows_per_second), NULL, 1, MOST,
        "Rate of snapshots and polls; without it as fast as it goes."),
    TEXT("throttle.window", AT(fr_source_settings, throttle_window), NULL,
         "Local time, 20:00-06:00: snapshots and polls run only then; a chunk or page that was "
         "begun is finished."),
    TIME("throttle.max_lag", AT(fr_source_settings, throttle_max_lag_us), NULL, 1 * SECOND,
         24 * HOUR,
         "Snapshots and polls wait while a replica of the source lags more. MySQL, MariaDB: while "
         "the source, which is a replica, lags more."),
    TEXT("throttle.max_load", AT(fr_source_settings, throttle_max_load), NULL,
         "Snapshots and polls wait above it. PostgreSQL: active=25 running statements; MySQL, "
         "MariaDB: "
         "Threads_running=25, or another number of SHOW GLOBAL STATUS."),
    TEXT("throttle.query", AT(fr_source_settings, throttle_query), NULL,
         "SQL that answers with a number, asked once a second: snapshots and polls wait while it "
         "is above 0. Names with their schema."),
    LATER("task", FR_OPT_INT, NULL, "Partition of the tasks topic, to pin a source to a place."),
    LATER("signal_table", FR_OPT_TEXT, NULL, "Table whose rows ask for snapshots."),
    END,
};

static const fr_option table_options[] = {
    CHOICE(
        "method", AT(fr_table_fields, s.method), "log",
        CHOICES("log", "query", "outbox", "trigger", "snapshot", "skip"),
        "How changes are seen: from the log, by asking for what is new (query), by reading all "
        "of the table again (snapshot), or by asking and deleting what is published: of an outbox, "
        "or of what triggers write down (trigger); skip leaves the table out."),
    LIST("key", AT(fr_table_fields, s.key), NULL,
         "Key columns; else the primary key, the replica identity's index, or the first unique NOT "
         "NULL one."),
    BOOL("append_only", AT(fr_table_fields, s.append_only), "false",
         "No key is needed; an update or delete is an error."),
    LIST("columns.include", AT(fr_table_fields, s.columns_include), NULL,
         "Columns that are published; all if not set. The order is the table's."),
    LIST("columns.exclude", AT(fr_table_fields, s.columns_exclude), NULL,
         "Columns that are left out."),
    MAP("columns.types", AT(fr_table_fields, s.column_types),
        "Column to Avro type, for example decimal(18,2)."),
    MAP("columns.defaults", AT(fr_table_fields, s.column_defaults),
        "Column to Avro default, for NOT NULL columns."),
    TEXT("topic", AT(fr_table_fields, s.topic), "${prefix}.${space}.${table}",
         "Topic; row variables ${source}, ${prefix}, ${space}, ${table}."),
    LIST("partition_by", AT(fr_table_fields, s.partition_by), NULL,
         "Columns whose murmur2 chooses the partition; the key if not set."),
    CHOICE(
        "envelope", AT(fr_table_fields, s.envelope), "standard",
        CHOICES("standard", "debezium", "state", "raw"),
        "Shape of events: standard (before, after, source, op), debezium (as Debezium writes it: "
        "docs/debezium.md), state (the row itself), raw (the payload as it is: of an outbox, and "
        "its default)."),
    BOOL("tombstones", AT(fr_table_fields, s.tombstones), "true", "A tombstone after a delete."),
    CHOICE("truncate", AT(fr_table_fields, s.truncate), "block",
           CHOICES("block", "publish", "ignore"),
           "TRUNCATE: block (an error, errors.mode decides), publish (op t to every partition), "
           "ignore."),
    CHOICE("snapshot.mode", AT(fr_table_fields, s.snapshot_mode), "initial",
           CHOICES("initial", "never"), "Whether the rows that are there at first are read."),
    TEXT("snapshot.where", AT(fr_table_fields, s.snapshot_where), NULL,
         "Condition in the source's SQL: which rows the snapshot reads."),
    INT("snapshot.chunk", AT(fr_table_fields, s.snapshot_chunk), "20000", 1, 10000000,
        "Rows of one chunk."),
    INT("snapshot.parallel", AT(fr_table_fields, s.snapshot_parallel), "2", 1, 100,
        "Readers at once."),
    CHOICE("errors.mode", AT(fr_table_fields, s.errors_mode), "block", errors_choices,
           "A row that cannot be handled: block holds its table there, the others go on; stop ends "
           "the "
           "source; dlq sets the row and later ones of its key aside."),
    TEXT("errors.topic", AT(fr_table_fields, s.errors_topic), NULL,
         "Topic of dead letters; freshet.<name>.dlq if not set."),
    TEXT("owner", AT(fr_table_fields, s.owner), NULL,
         "Who answers for the data; travels with the schema."),
    LIST("tags", AT(fr_table_fields, s.tags), NULL, "Labels; travel with the schema."),
    LIST("pii", AT(fr_table_fields, s.pii), NULL,
         "Columns that hold personal data; travel with the schema."),
    TEXT("deprecated", AT(fr_table_fields, s.deprecated), NULL,
         "What to use instead of this stream; travels with the schema. plan and status warn of "
         "sinks that read it."),
    TEXT("schema.name", AT(fr_table_fields, s.schema_name), "${prefix}.${space}.${table}",
         "Full name of the row record; envelope and key add Envelope and Key."),
    TEXT("schema.doc", AT(fr_table_fields, s.schema_doc), NULL,
         "Documentation of the record; the table's comment if not set."),
    CHOICE("schema.compatibility", AT(fr_table_fields, compat), "registry", table_compat_choices,
           "Level of this table's subjects; registry: as registry.compatibility."),
    CHOICE("schema.on_change.add_column", AT(fr_table_fields, s.add_column), "evolve",
           change_choices,
           "A column was added: evolve registers a new version, block holds the table before its "
           "first row of that shape, stop ends the source, ignore goes on with the former shape, "
           "new_topic goes on in <topic>.v2, filled by a new snapshot (docs/schema-changes.md)."),
    CHOICE("schema.on_change.drop_column", AT(fr_table_fields, s.drop_column), "block",
           change_choices, "A column was dropped: as add_column."),
    CHOICE("schema.on_change.change_type", AT(fr_table_fields, s.change_type), "block",
           change_choices, "A column's type or nullability changed: as add_column."),
    CHOICE("schema.on_change.rename_column", AT(fr_table_fields, s.rename_column), "block",
           change_choices,
           "A column was renamed (another name at its place, of the same type): as add_column."),
    CHOICE(
        "schema.on_change.drop_table", AT(fr_table_fields, s.drop_table), "block",
        CHOICES("block", "stop", "ignore"),
        "A table of the log that is named was dropped or renamed: block holds it and the others go "
        "on, stop ends the source, ignore says it once."),
    MAP("columns.rename", AT(fr_table_fields, s.column_rename), "Column to field name."),
    MAP("columns.derive", AT(fr_table_fields, s.column_derive),
        "Field to SQL expression over the row (docs/expressions.md); its type in columns.types "
        "where it cannot be told."),
    MAP("columns.mask", AT(fr_table_fields, s.column_mask),
        "Column to hash (HMAC-SHA256 with daemon.mask_key), redact, null or {keep_last: n}; of key "
        "columns only hash."),
    CHOICE("columns.zero_dates", AT(fr_table_fields, s.zero_dates), "null",
           CHOICES("null", "error"),
           "MySQL, MariaDB: 0000-00-00 and partial dates become NULL, and the header freshet.zero "
           "names the columns; or the row is bad."),
    TEXT("filter", AT(fr_table_fields, s.filter), NULL,
         "SQL expression over the row (docs/expressions.md): rows for which it is not false are "
         "published; one that leaves is a delete, one that enters a create."),
    LATER("errors.limit", FR_OPT_TEXT, NULL,
          "Errors per events, 10/1000: above it the table is held."),
    LATER("freshness.warn", FR_OPT_TIME, NULL, "Lag at which status warns."),
    LATER("freshness.error", FR_OPT_TIME, NULL, "Lag at which status says error."),
    PATH(
        "schema.contract", AT(fr_table_fields, s.schema_contract), NULL,
        "File with the Avro record that rows are published as (docs/contracts.md), relative to the "
        "file that names it; schemas/<topic>.avsc beside the configuration if not set and there; "
        "empty: none."),
    CHOICE("schema.extra", AT(fr_table_fields, s.schema_extra), "leave_out",
           CHOICES("leave_out", "refuse"), "Columns that the contract has no field for."),
    LIST("schema.rules", AT(fr_table_fields, s.schema_rules), NULL,
         "Conditions on values, {field: total, range: [0, 1000]} and others (docs/contracts.md): a "
         "row that breaks one is not published; errors.mode decides."),
    LATER("schema.both_until", FR_OPT_TEXT, NULL,
          "With on_change both: when the old topic is closed."),
    TIME("poll.every", AT(fr_table_fields, s.poll_every_us), "30s", 10 * MS, 720 * HOUR,
         "Time between two reads; of methods outbox and trigger 1s if not set, of method snapshot "
         "required."),
    TEXT("poll.column", AT(fr_table_fields, s.poll_column), NULL,
         "Of method query: a time that each change sets, or a number that only grows. Of method "
         "outbox: what orders the rows, if not outbox.id."),
    TEXT("poll.tiebreak", AT(fr_table_fields, s.poll_tiebreak), NULL,
         "Column that orders rows of the same time, before the key."),
    TEXT("poll.query", AT(fr_table_fields, s.poll_query), NULL,
         "Own SELECT instead of the table, without ORDER BY and LIMIT; key is needed."),
    INT("poll.batch", AT(fr_table_fields, s.poll_batch), "5000", 1, 1000000,
        "Rows of one page, thus of one question."),
    TIME("poll.lookback", AT(fr_table_fields, s.poll_lookback_us), NULL, SECOND, 24 * HOUR,
         "How late a commit may come, where open transactions are not listed: required for odbc, "
         "refused elsewhere."),
    TIME("poll.max_skew", AT(fr_table_fields, s.poll_max_skew_us), "0s", 0, 720 * HOUR,
         "Where applications set poll.column: the worst error of their clocks."),
    TEXT("poll.timezone", AT(fr_table_fields, s.poll_timezone), NULL,
         "UTC: that is what a poll.column without a zone holds; else it is refused."),
    LATER("poll.allow_replica", FR_OPT_BOOL, "false", "Poll a replica: nothing can be promised."),
    CHOICE("poll.deletes", AT(fr_table_fields, s.poll_deletes), "none",
           CHOICES("none", "soft-column", "full-compare"),
           "How deletes are seen: not at all, by poll.delete_column, or by comparing the table's "
           "keys with the published ones."),
    TEXT("poll.delete_column", AT(fr_table_fields, s.poll_delete_column), NULL,
         "Of soft-column: a row in which it is neither NULL, false nor 0 is deleted."),
    TEXT("poll.delete_when", AT(fr_table_fields, s.poll_delete_when), NULL,
         "Of method query, with poll.deletes: none: SQL expression over the row; where it is true "
         "the row is deleted."),
    TIME("poll.compare_every", AT(fr_table_fields, s.poll_compare_every_us), "24h", SECOND,
         8760 * HOUR, "Of full-compare: time between two comparisons."),
    TEXT("outbox.id", AT(fr_table_fields, s.outbox.id), NULL,
         "Of an outbox, required with any other: column of the event's id; becomes header id."),
    TEXT("outbox.payload", AT(fr_table_fields, s.outbox.payload), NULL,
         "Required with any other: column whose bytes are the message; NULL: a tombstone."),
    TEXT("outbox.key", AT(fr_table_fields, s.outbox.key), NULL,
         "Column whose text is the message's key; no key if not set."),
    TEXT("outbox.type", AT(fr_table_fields, s.outbox.type), NULL,
         "Column that becomes header type."),
    TEXT("outbox.route", AT(fr_table_fields, s.outbox.route), NULL,
         "Topic of a row: columns as ${column}, and ${source}, ${prefix}, ${space}, ${table}, "
         "${topic}; topic if not set."),
    LIST("outbox.headers", AT(fr_table_fields, s.outbox.headers), NULL,
         "Columns that become headers of their name."),
    LATER("outbox.tx", FR_OPT_TEXT, NULL, "Of method outbox: xid8 column, another order."),
    BOOL("outbox.delete", AT(fr_table_fields, s.outbox.clean_up), NULL,
         "Of method outbox, true if not set: delete rows once they are confirmed."),
    END,
};

static const fr_option sink_options[] = {
    {.name = "type",
     .type = FR_OPT_TEXT,
     .offset = AT(fr_sink_settings, type),
     .help =
         "postgres, mysql, mariadb, sqlite, clickhouse, duckdb, file; freshet version says which "
         "are compiled in.",
     .flags = FR_REQUIRED},
    {.name = "from",
     .type = FR_OPT_LIST,
     .offset = AT(fr_sink_settings, from),
     .help = "Topics, exact or /regex/ (POSIX extended). A pattern takes none of freshet's own "
             "(checkpoints, dead "
             "letters).",
     .flags = FR_REQUIRED},
    TEXT("into", AT(fr_sink_settings, into), "${table}",
         "Target table; row variables ${source}, ${prefix}, ${space}, ${table}, ${topic}."),
    CHOICE("create", AT(fr_sink_settings, create), "apply", when_choices,
           "Who creates missing target tables."),
    CHOICE("start", AT(fr_sink_settings, start), "earliest", CHOICES("earliest", "latest"),
           "Where to begin in partitions whose offset the target does not hold yet."),
    TEXT("start_at", AT(fr_sink_settings, start_at), NULL,
         "A time, 2026-11-26T08:00:00Z, instead of start: begin with the first message that Kafka "
         "has of then or later."),
    CHOICE("write.mode", AT(fr_sink_settings, write_mode), "upsert",
           CHOICES("upsert", "append", "history"),
           "upsert keeps one row a key; append adds every event; history keeps each state of a key "
           "as a row, with from when until when."),
    CHOICE("write.deletes", AT(fr_sink_settings, deletes), "hard",
           CHOICES("hard", "soft", "ignore"), "What a delete does to the row."),
    CHOICE(
        "write.truncate", AT(fr_sink_settings, truncate), "block",
        CHOICES("block", "apply", "ignore"),
        "What op t does: block (an error, errors.mode decides), apply (empty the target), ignore."),
    INT("write.batch", AT(fr_sink_settings, batch_rows), "1000", 1, 10000000,
        "Rows of one target transaction; clickhouse: 50000 if not set."),
    TIME("write.every", AT(fr_sink_settings, every_us), "1s", MS, HOUR, "Or earlier."),
    INT("write.parallel", AT(fr_sink_settings, parallel), "1", 1, 100,
        "Connections. No sink of this version has more than 1, and more is refused; several "
        "workers share the partitions."),
    CHOICE("on_change.add_column", AT(fr_sink_settings, add_column), "block", change_choices,
           "The events have a new column: evolve adds it to the target table, block holds the "
           "topic until it is there, ignore leaves it out."),
    CHOICE("on_change.drop_column", AT(fr_sink_settings, drop_column), "block", change_choices,
           "The events have lost a column."),
    CHOICE("on_change.change_type", AT(fr_sink_settings, change_type), "block", change_choices,
           "A column's type does not fit the target's: evolve widens that."),
    CHOICE("errors.mode", AT(fr_sink_settings, errors_mode), "block", errors_choices,
           "A message that cannot be applied: block holds its topic and tries again, the others go "
           "on; "
           "stop ends the sink; dlq sets the key's messages aside."),
    TEXT("errors.topic", AT(fr_sink_settings, errors_topic), NULL,
         "Topic of dead letters; freshet.<name>.dlq if not set."),
    TEXT("errors.limit", AT(fr_sink_settings, errors_limit), NULL,
         "Errors per messages of a topic, 10/1000: above it dlq holds the topic. Not set: no "
         "limit."),
    LATER_CHOICE("on_change.rename_column", NULL, change_choices, "A column was renamed."),
    LATER_CHOICE("on_change.drop_table", NULL, change_choices, "The table was dropped."),
    END,
};

static const fr_option topic_options[] = {
    TEXT("into", AT(fr_topic_settings, into), NULL,
         "Target table of these topics, as the sink's into; that one if not set."),
    LIST("key", AT(fr_topic_settings, shape.key), NULL,
         "Columns of the target that rows are found by: the messages' key, and those of "
         "columns.message that say topic. Needed where several topics go into one table; the key "
         "alone says that no two of them share one."),
    TEXT("filter", AT(fr_topic_settings, shape.filter), NULL,
         "SQL expression over the row (docs/expressions.md): rows for which it is not false are "
         "written; one that it does not take, or takes no more, is deleted."),
    LIST("columns.include", AT(fr_topic_settings, shape.columns_include), NULL,
         "Columns that are written; all if not set."),
    LIST("columns.exclude", AT(fr_topic_settings, shape.columns_exclude), NULL,
         "Columns that are left out."),
    MAP("columns.rename", AT(fr_topic_settings, shape.column_rename),
        "Column of the messages to column of the target."),
    MAP("columns.derive", AT(fr_topic_settings, shape.column_derive),
        "Column to SQL expression over the row; its type in columns.types where it cannot be "
        "told."),
    MAP("columns.types", AT(fr_topic_settings, shape.column_types),
        "Column of columns.derive to its type: boolean, int, long, double, string, bytes or "
        "decimal(p,s)."),
    MAP("columns.mask", AT(fr_topic_settings, shape.column_mask),
        "Column to hash (HMAC-SHA256 with daemon.mask_key), redact, null or {keep_last: n}; of key "
        "columns only hash."),
    MAP("columns.message", AT(fr_topic_settings, message),
        "Column to what is said of the row's message: topic, partition, offset, timestamp "
        "(Kafka's), committed (at the source), op (c, u, d, r), or header:NAME."),
    END,
};

static const fr_option test_options[] = {
    {.name = "name",
     .type = FR_OPT_TEXT,
     .offset = AT(fr_test_fields, name),
     .help = "What must be so, in a few words.",
     .flags = FR_REQUIRED},
    {.name = "table",
     .type = FR_OPT_TEXT,
     .offset = AT(fr_test_fields, table),
     .help = "Which table: source/space.table.",
     .flags = FR_REQUIRED},
    CHOICE("given.op", AT(fr_test_fields, op), "insert",
           CHOICES("insert", "update", "delete", "read"),
           "What happens to the row; read: a snapshot or a poll meets it."),
    MAP("given.types", AT(fr_test_fields, types),
        "Column to type, as a CREATE TABLE of the source's database has it: numeric(10,2), "
        "bigint primary key, text not null."),
    MAP("given.before", AT(fr_test_fields, before),
        "Column to value; null is NULL. Only key columns: the source logs no more of old rows."),
    MAP("given.after", AT(fr_test_fields, after),
        "Column to value; null is NULL, as is a column that is not named."),
    INT("expect.events", AT(fr_test_fields, events), NULL, 0, 1000,
        "How many events come out; without it one, unless error is expected."),
    CHOICE("expect.op", AT(fr_test_fields, want_op), "any",
           CHOICES("any", "insert", "update", "delete", "read"), "Op of an event."),
    TEXT("expect.topic", AT(fr_test_fields, topic), NULL, "Its topic, or ~regex."),
    MAP("expect.key", AT(fr_test_fields, want_key), "Field to value, or ~regex, of its key."),
    MAP("expect.before", AT(fr_test_fields, want_before),
        "Field to value, or ~regex, of the row before; other fields are not looked at."),
    MAP("expect.after", AT(fr_test_fields, want_after),
        "Field to value, or ~regex, of the row after; other fields are not looked at."),
    LIST("expect.absent", AT(fr_test_fields, absent), NULL, "Fields that no event may have."),
    TEXT("expect.error", AT(fr_test_fields, error), NULL,
         "The error's code, or ~regex of its text: nothing is published."),
    END,
};

const fr_section fr_sections[] = {
    {"", "", "The file", top_options, sizeof(fr_top_fields)},
    {"daemon", "daemon", "The process", daemon_options, sizeof(fr_daemon_settings)},
    {"kafka", "kafka", "Kafka", kafka_options, sizeof(fr_kafka_fields)},
    {"registry", "registry", "Schema registry", registry_options, sizeof(fr_registry_settings)},
    {"http", "http", "HTTP", http_options, sizeof(fr_http_settings)},
    {"notify", "notify", "Alerts", notify_options, 1},
    {"telemetry", "telemetry", "Telemetry", telemetry_options, 1},
    {"source", "sources.<s>", "Sources", source_options, sizeof(fr_source_settings)},
    {"table", "sources.<s>.tables.<t>", "Tables, and defaults", table_options,
     sizeof(fr_table_fields)},
    {"sink", "sinks.<k>", "Sinks", sink_options, sizeof(fr_sink_settings)},
    {"topic", "sinks.<k>.topics.<t>", "Topics of a sink", topic_options, sizeof(fr_topic_settings)},
    {"test", "tests[]", "Tests", test_options, sizeof(fr_test_fields)},
    {.kind = NULL},
};

const fr_section *fr_section_find(const char *kind)
{
    const fr_section *s = fr_sections;
    while (s->kind != NULL && strcmp(s->kind, kind) != 0)
        s++;
    return s->kind == NULL ? NULL : s;
}

#define CHANGES "use evolve, block, ignore, stop or new_topic"
#define SINK_CHANGES "use evolve, block, ignore or stop"
static const fr_unbuilt unbuilt[] = {
    {"table", "schema.on_change", "both", CHANGES},
    {"sink", "on_change.change_type", "ignore", "use evolve, block or stop"},
    {"sink", "on_change", "new_topic", SINK_CHANGES},
    {"sink", "on_change", "both", SINK_CHANGES},
};

const fr_unbuilt *fr_unbuilt_find(const char *kind, const char *option, const char *choice)
{
    for (size_t i = 0; i < sizeof(unbuilt) / sizeof(unbuilt[0]); i++) {
        const fr_unbuilt *u = &unbuilt[i];
        size_t len = strlen(u->option);
        bool named =
            strncmp(u->option, option, len) == 0 && (option[len] == 0 || option[len] == '.');
        if (named && strcmp(u->kind, kind) == 0 && strcmp(u->choice, choice) == 0)
            return u;
    }
    return NULL;
}

const char *fr_refused_hint(const char *option)
{
    if (strcmp(option, "poll.allow_replica") == 0)
        return "leave it out, and give the primary's address in dsn: a replica does not say when "
               "transactions began that are open on the primary, so their rows would be missed";
    return NULL;
}

const char *const *fr_row_variables(const char *option)
{
    static const char *const of_table[] = {"source", "prefix", "space", "table", NULL};
    static const char *const of_topic[] = {"source", "prefix", "space", "table", "topic", NULL};
    if (strcmp(option, "topic") == 0 || strcmp(option, "schema.name") == 0)
        return of_table;
    return strcmp(option, "into") == 0 || fr_row_columns(option) ? of_topic : NULL;
}

bool fr_row_columns(const char *option)
{
    return strcmp(option, "outbox.route") == 0;
}
