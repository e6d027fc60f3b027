/* The table of verbs and flags: parsing, help, completions, man pages and docs/cli.md read
 * it. */
#include "cli/cli.h"
#include <string.h>

static const char *const color_choices[] = {"auto", "always", "never", NULL};
const fr_flag fr_global_flags[] = {
    {"config", 'c', "FILE", NULL, "configuration file"},
    {"url", 0, "URL", NULL, "the running daemon: http://host:port or unix:/path"},
    {"json", 0, NULL, NULL, "one JSON document instead of text"},
    {"quiet", 'q', NULL, NULL, "no text but errors"},
    {"verbose", 'v', NULL, NULL, "more of it: also what is fine"},
    {"color", 0, "WHEN", color_choices, "auto, always, never"},
    {"no-input", 0, NULL, NULL, "never ask"},
    {"yes", 'y', NULL, NULL, "answer yes"},
    {"strict", 0, NULL, NULL, "warnings of the configuration are errors"},
    {"help", 'h', NULL, NULL, "help for the verb"},
    {"version", 0, NULL, NULL, "version"},
    {.name = NULL},
};

#define END {.name = NULL}
static const fr_flag run_flags[] = {
    {"allow-exec", 0, NULL, NULL, "let ${exec:command} in the configuration run commands"}, END};
static const fr_flag plan_flags[] = {
    {"out", 0, "FILE", NULL, "write the plan to a file, for apply"},
    {"sql", 0, "FILE", NULL, "write the SQL that a DBA would run"},
    {"allow-exec", 0, NULL, NULL, "let ${exec:command} in the configuration run commands"},
    END,
};
static const fr_flag apply_flags[] = {
    {"plan-hash", 0, "HASH", NULL, "refuse unless the plan is still this one"},
    {"source-objects", 0, NULL, NULL, "also create the publication on the source"},
    {"dry-run", 0, NULL, NULL, "show what would be done"},
    {"allow-exec", 0, NULL, NULL, "let ${exec:command} in the configuration run commands"},
    END,
};
static const char *const from_choices[] = {"beginning", "end", NULL};
static const fr_flag tap_flags[] = {
    {"limit", 0, "N", NULL, "stop after N events"},
    {"from", 0, "WHERE", from_choices, "beginning or end (the default)"},
    {"where", 0, "EXPR", NULL, "not in this version"},
    {"at", 0, "PLACE", NULL, "not in this version: events are shown as they are on Kafka"},
    END,
};
static const fr_flag position_flags[] = {
    {"from-slot", 0, NULL, NULL, "set: adopt the position that the slot has"},
    {"to", 0, "WHERE", NULL,
     "set, of a sink: beginning, end, here, or a time in UTC (2026-01-31T23:59:00Z)"},
    {"dry-run", 0, NULL, NULL, "show what would be done"},
    {"source", 0, NULL, NULL, "the word is a source's, where a sink goes by it too"},
    {"sink", 0, NULL, NULL, "the word is a sink's, where a source goes by it too"},
    END,
};
static const fr_flag snapshot_flags[] = {
    {"where", 0, "SQL", NULL, "start: only rows for which this condition of the database holds"},
    {"dry-run", 0, NULL, NULL, "show what would be done"},
    END,
};
static const fr_flag dlq_flags[] = {
    {"source", 0, "NAME", NULL, "letters of this source"},
    {"sink", 0, "NAME", NULL, "letters of this sink"},
    {"table", 0, "TABLE", NULL, "of source/space.table, or of this topic"},
    {"all", 0, NULL, NULL, "retry, drop: all that wait"},
    {"limit", 0, "N", NULL, "list: so many lines; 100"},
    {"settled", 0, NULL, NULL, "list: also those that are done or dropped"},
    {"dry-run", 0, NULL, NULL, "show what would be done"},
    END,
};
#define WILL_FLAGS                                                                                 \
    {"why", 0, "TEXT", NULL, "for those who find it so: status shows it"},                         \
        {"source", 0, NULL, NULL, "TARGET is a source's, where a sink goes by its name"},          \
        {"sink", 0, NULL, NULL, "TARGET is a sink's, where a source goes by its name"},            \
        {"dry-run", 0, NULL, NULL, "show what would be done"}
static const fr_flag will_flags[] = {WILL_FLAGS, END};
#define WILL_WAITS                                                                                 \
    "A running daemon has 30 s to do it; exit code 4: it is asked for, and not done yet."
static const fr_flag resume_flags[] = {
    {"anew", 0, NULL, NULL, "a table: by a new snapshot, and not by what has piled up"},
    WILL_FLAGS,
    END,
};
static const fr_flag ddl_flags[] = {
    {"table", 0, "TABLE", NULL, "which: source/space.table"},
    {"contract", 0, "FILE", NULL,
     "outbox: the database refuses payloads (JSON) that do not fit this "
     "Avro schema"},
    {"drop", 0, NULL, NULL, "the SQL that takes it all away again"},
    END,
};
static const char *const at_choices[] = {"source", "contract", "registry", NULL};
static const fr_flag schema_flags[] = {
    {"at", 0, "WHERE", at_choices,
     "show, export, sample: source (show's usual), contract, registry (the others')"},
    {"offline", 0, NULL, NULL, "diff: the contract instead of the source"},
    {"against", 0, "WHAT", NULL,
     "check: DIR with the older files, git:REF (git:HEAD if not given), or registry"},
    {"level", 0, "LEVEL", NULL, "diff, check: this compatibility instead of the table's"},
    {"compatibility", 0, "LEVEL", NULL,
     "register: under this level, which is put back afterwards; asks twice"},
    {"dry-run", 0, NULL, NULL, "register, sample: show what would be done"},
    {"as", 0, "FORM", NULL,
     "export: avro, contract, jsonschema, odcs, sql:postgres, sql:mysql, sql:mariadb, sql:sqlite, "
     "sql:clickhouse, sql:duckdb"},
    {"output", 'o', "FILE", NULL, "export: into a file"},
    {"count", 'n', "N", NULL, "sample: so many events; 10"},
    {"seed", 0, "S", NULL, "sample: another seed makes other events; 1"},
    {"to", 0, "TOPIC", NULL, "sample: onto a topic that no source of the configuration writes"},
    {"edge", 0, NULL, NULL, "sample: smallest, largest, empty and odd values"},
    {"allow-exec", 0, NULL, NULL, "let ${exec:command} in the configuration run commands"},
    END,
};
static const fr_flag doctor_flags[] = {
    {"check", 0, "NAME", NULL, "only checks whose code begins with NAME"}, END};
static const fr_flag docs_flags[] = {
    {"man", 0, "VERB", NULL, "the man page of a verb, or of freshet"}, END};

static const fr_flag lineage_flags[] = {
    {"dot", 0, NULL, NULL, "a graph for Graphviz"},
    {"mermaid", 0, NULL, NULL, "a graph for Mermaid"},
    {"openlineage", 0, NULL, NULL, "OpenLineage events, one a line"},
    {"dbt-sources", 0, NULL, NULL, "sources.yml of dbt: the sinks' tables"},
    {"offline", 0, NULL, NULL, "ask no source: what the configuration alone says"},
    END,
};
static const fr_flag verify_flags[] = {
    {"sink", 0, "SINK", NULL, "which, where several take the table"},
    {"fast", 0, NULL, NULL, "counts and sums of chunks alone; no rows are read"},
    {"full", 0, NULL, NULL, "every row is read, and compared here"},
    {"settle", 0, "TIME", NULL, "how long rows that differ are waited for at most; 60s"},
    {"load", 0, "PERCENT", NULL, "of the time may a connection of the source be busy with it; 20"},
    {"timeout", 0, "TIME", NULL, "of one statement; 10m"},
    {"chunk", 0, "ROWS", NULL, "at once, where keys are numbers; 20000"},
    {"fix-sql", 0, "FILE", NULL, "write the SQL that makes the sink's table equal"},
    {"metrics", 0, "FILE", NULL, "write the result for node_exporter's textfile collector"},
    END,
};
static const fr_flag test_flags[] = {{"junit", 0, "FILE", NULL, "write the results as JUnit XML"},
                                     END};
static const fr_flag demo_flags[] = {
    {"seconds", 0, "N", NULL, "how long it lasts; 12"},
    {"keep", 0, NULL, NULL, "leave its folder, with the configuration and the log"},
    END,
};

static const char *const ddl_actions[] = {"outbox", "triggers", "grants", "signal", NULL};
static const char *const schema_actions[] = {"show",    "diff",   "check",  "register",
                                             "history", "export", "sample", NULL};
static const char *const dlq_actions[] = {"list", "show", "retry", "drop", NULL};
static const char *const snapshot_actions[] = {"start", "cancel", "status", NULL};
static const char *const position_actions[] = {"show", "set", "reset", NULL};
static const char *const config_actions[] = {"show", "schema", "explain", NULL};
static const char *const connectors_actions[] = {"list", NULL};
static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static const char *const docs_actions[] = {"options", "cli", "man", "yaml", "verbs", NULL};

const fr_verb fr_verbs[] = {
    {.name = "run",
     .args = "",
     .help = "the daemon, in the foreground",
     .flags = run_flags,
     .more = "Reads every source into Kafka and applies topics to every sink of the\n"
             "configuration. TERM and INT drain and exit 0, a second one leaves at once; USR1\n"
             "writes the status to the log. HUP reads the file again, all or nothing: it takes\n"
             "daemon.log.level and daemon.log.format; any other change, a secret too, is\n"
             "refused by name and needs a restart.",
     .run = fr_cmd_run},
    {.name = "validate",
     .args = "[FILE...]",
     .max_args = FR_MOST_ARGS,
     .help = "check the configuration offline: syntax, keys, types, conflicts",
     .more = "Every problem is shown with its place and what to do. References that cannot be\n"
             "resolved on this machine are checked for form only.",
     .run = fr_cmd_validate},
    {.name = "plan",
     .args = "",
     .flags = plan_flags,
     .help = "check sources, Kafka, registry and sinks online, and show what apply would do",
     .more = "Changes nothing. Exit 4: something blocks; exit 3: a server is unreachable.",
     .run = fr_cmd_plan},
    {.name = "apply",
     .args = "[PLAN]",
     .max_args = 1,
     .flags = apply_flags,
     .help = "create topics, register schemas, create target tables",
     .more = "Does exactly what plan shows, after one question. A plan (a file of plan --out,\n"
             "or --plan-hash) that is no longer true is refused. A source database is touched\n"
             "only with --source-objects.",
     .run = fr_cmd_apply},
    {.name = "status",
     .args = "[TABLE]",
     .max_args = 1,
     .help = "health first, then one line per table",
     .more = "Asks the running daemon; when it is down, reads the checkpoints in Kafka.",
     .run = fr_cmd_status},
    {.name = "tap",
     .args = "TABLE|TOPIC",
     .min_args = 1,
     .max_args = 1,
     .flags = tap_flags,
     .help = "decoded events as they pass",
     .more = "Reads the topic without a consumer group: nobody's offsets move. With --from\n"
             "beginning it shows what is there and ends; else it follows until interrupted.",
     .run = fr_cmd_tap},
    {.name = "position",
     .args = "show|set|reset SOURCE|SINK",
     .min_args = 2,
     .max_args = 2,
     .actions = position_actions,
     .flags = position_flags,
     .help = "the checkpoint of a source in human units; adopt the position of a slot; start over; "
             "where a sink goes on",
     .more =
         "Of a source: show; while it is stopped, set --from-slot and reset.\n"
         "Of a sink, or of one topic of it (SINK/TOPIC), also while it runs: set --to moves its\n"
         "places, which its target keeps, and reset to where the topics begin. --to here leaves\n"
         "the offsets, and takes the topics as they are now for those it has read: after they\n"
         "were moved to another cluster, or restored, with their offsets.",
     .run = fr_cmd_position},
    {.name = "dlq",
     .args = "list|show|retry|drop [ID]",
     .min_args = 1,
     .max_args = 2,
     .actions = dlq_actions,
     .flags = dlq_flags,
     .help = "dead letters: rows and messages that were set aside, with what waits behind them",
     .more =
         "ID is PARTITION@OFFSET in the topic of dead letters, as list shows it; with TOPIC/ in\n"
         "front where there are several such topics.\n"
         "list: one line for each, with how many later ones of its key are parked behind it.\n"
         "show ID: all that is known of one, decoded.\n"
         "retry: all letters of the key go again, in order, or none; the key is released with\n"
         "them. Of a sink: into its target, also while it runs. Of a source: encoded again and\n"
         "published; it is to be stopped meanwhile (freshet stop SOURCE).\n"
         "drop: they are given up, and the key is released.\n"
         "retry and drop say first what they do, and ask once. A letter stays in its topic; what\n"
         "became of it is a message there, too. Exit 7: a key could not go, and waits as before.",
     .run = fr_cmd_dlq},
    {.name = "snapshot",
     .args = "start|cancel|status [TABLE]",
     .min_args = 1,
     .max_args = 2,
     .actions = snapshot_actions,
     .flags = snapshot_flags,
     .help = "read a table again while its changes are streamed; how far snapshots are",
     .more =
         "TABLE is source/space.table. start publishes every row again (op r), in order with\n"
         "the changes that come meanwhile; without a running daemon the next run does it.\n"
         "With --where only rows for which the condition holds: SQL as it stands after WHERE,\n"
         "tried on the database before anything is promised.\n"
         "cancel drops what is left of the table's snapshot, its first one too: those rows are\n"
         "not published, but for those that change; a restart does not go on with it.\n"
         "status reads the checkpoint in Kafka: the snapshots under way, or that of TABLE.",
     .run = fr_cmd_snapshot},
    {.name = "pause",
     .args = "TARGET...",
     .min_args = 1,
     .max_args = FR_MOST_ARGS,
     .flags = will_flags,
     .help = "let a table, a source or a sink wait, until it is resumed",
     .more =
         "TARGET is source/space.table (globs in quotes: 'erp/public.*'), a source, a sink, or\n"
         "sink/topic. Says first what will pile up, and for how long that is safe. What is paused\n"
         "stays so over restarts. A paused table waits while the others of its source go on. A\n"
         "paused source reads nothing; what its server keeps for it is still watched.\n"
         "Without a running daemon it is written down in Kafka, and the next run "
         "obeys.\n" WILL_WAITS,
     .run = fr_cmd_will},
    {.name = "resume",
     .args = "TARGET...",
     .min_args = 1,
     .max_args = FR_MOST_ARGS,
     .flags = resume_flags,
     .help = "let it go on: what was paused, stopped, or held by an error or a schema",
     .more =
         "A table is caught up beside the others, from where it was held; nothing is missed\n"
         "and nothing comes twice. With --anew a new snapshot of it is taken instead. Where the\n"
         "cause of an error is still there, the table is held again.\n" WILL_WAITS,
     .run = fr_cmd_will},
    {.name = "stop",
     .args = "TARGET...",
     .min_args = 1,
     .max_args = FR_MOST_ARGS,
     .flags = will_flags,
     .help = "end a source or a sink, until it is resumed; no connection of it is left",
     .more = "As pause, but the server is left alone: for its own restart, or position set and\n"
             "reset. What it keeps for us is not watched meanwhile.\n" WILL_WAITS,
     .run = fr_cmd_will},
    {.name = "restart",
     .args = "TARGET...",
     .min_args = 1,
     .max_args = FR_MOST_ARGS,
     .flags = will_flags,
     .help = "end a source or a sink, also one that failed, and start it again; try a held table",
     .more = "It goes on from its checkpoint. The others do not notice.\n" WILL_WAITS,
     .run = fr_cmd_will},
    {.name = "ddl",
     .args = "outbox|triggers|grants|signal",
     .min_args = 1,
     .max_args = 1,
     .actions = ddl_actions,
     .flags = ddl_flags,
     .help = "the SQL that makes an outbox, or triggers that capture a table, and that removes "
             "them; runs nothing",
     .more =
         "outbox: table, rights and place in the publication of a table that has an outbox:\n"
         "block in the configuration, whose columns it gets. No server is asked. It is SQL for\n"
         "psql or the mysql client as it is, and fails where the table is there already.\n"
         "With --contract payloads are JSON, and triggers refuse those that do not fit it; say it\n"
         "again with --drop, to remove what checks them.\n"
         "triggers: change table, triggers and rights of a table whose method is trigger. The\n"
         "server is asked for the table's columns, and nothing is changed there. Once more, when\n"
         "the table has been altered: what the change table holds stays.\n"
         "grants, signal: not in this version.",
     .run = fr_cmd_ddl},
    {.name = "lineage",
     .args = "[TABLE]",
     .max_args = 1,
     .flags = lineage_flags,
     .help = "which column becomes which field, where it is masked, who owns it",
     .more =
         "TABLE is source/space.table or a topic, also as a glob. A source that answers is asked\n"
         "what its tables are; of others, and with --offline, it shows what the configuration\n"
         "names: keys, renamed, masked and derived fields, filters. It says which it was.",
     .run = fr_cmd_lineage},
    {.name = "verify",
     .args = "TABLE",
     .min_args = 1,
     .max_args = 1,
     .flags = verify_flags,
     .help = "compare a table of a source with a sink's, while both run",
     .more =
         "TABLE is source/space.table. Sums of chunks are made on both sides; of those that\n"
         "differ the rows are read, and read again until the sink has all that the source had.\n"
         "Exit 4: rows differ, or changed all the time.",
     .run = fr_cmd_verify},
    {.name = "test",
     .args = "[FILE...]",
     .max_args = FR_MOST_ARGS,
     .flags = test_flags,
     .help = "run the tests: of the configuration: given a row, expect these events",
     .more = "No server is asked. Rows go through the real filters, expressions, masks, contracts\n"
             "and encoder, and come back through the decoder that sinks have. Exit 4: a test\n"
             "failed; exit 2: a test, or the configuration, is wrong.",
     .run = fr_cmd_test},
    {.name = "schema",
     .args = "show|diff|check|register|history|export|sample [TABLE...]",
     .min_args = 1,
     .max_args = FR_MOST_ARGS,
     .actions = schema_actions,
     .flags = schema_flags,
     .help = "the Avro schemas of a table's stream: now, against the registry, over time, in other "
             "words",
     .more =
         "TABLE is source/space.table.\n"
         "show: key and value schema with fingerprints, id and version.\n"
         "diff TABLE: the registry's newest against the source now (or the contract, offline), or\n"
         "of two files: diff OLD.avsc NEW.avsc. Exit 4: consumers would break.\n"
         "check [TABLE...]: all contracts against their older versions, for a user's own CI, with "
         "no\n"
         "server. Exit 4: consumers would break; exit 2: one is no schema.\n"
         "register TABLE: the next version now; asks once, or twice under another level.\n"
         "history TABLE: every version, and what changed.\n"
         "export TABLE --as FORM: Avro, the row alone as a contract, JSON Schema, a data contract\n"
         "(ODCS), or the table as a sink of that type makes it.\n"
         "sample TABLE|FILE: random events that fit the schema, the same for the same seed, as "
         "JSON\n"
         "lines or onto a topic.",
     .run = fr_cmd_schema},
    {.name = "demo",
     .args = "",
     .flags = demo_flags,
     .help = "a pipeline with nothing installed: changes of a SQLite file become events here",
     .more =
         "Makes a small database in a temporary folder, changes rows of it, and shows the events\n"
         "as tap does. The pipeline is a real one, as run runs it; the broker is librdkafka's\n"
         "mock within the program, which has no real transactions: this demo is at-least-once.\n"
         "Ends by itself, or with Ctrl-C.",
     .run = fr_cmd_demo},
    {.name = "config",
     .args = "show|schema|explain [KEY]",
     .min_args = 1,
     .max_args = 2,
     .actions = config_actions,
     .help = "the merged configuration, its JSON Schema, the meaning of a key",
     .more = "show prints each value with its file:line, secrets as ***.",
     .run = fr_cmd_config},
    {.name = "doctor",
     .args = "",
     .flags = doctor_flags,
     .help = "would run work here: files, cache, ports, libraries, connectors, clock, limits",
     .run = fr_cmd_doctor},
    {.name = "connectors",
     .args = "list",
     .min_args = 1,
     .max_args = 1,
     .actions = connectors_actions,
     .help = "the connectors compiled in, and their keys",
     .run = fr_cmd_connectors},
    {.name = "version",
     .args = "",
     .help = "version, connectors and libraries",
     .run = fr_cmd_version},
    {.name = "completion",
     .args = "bash|zsh|fish",
     .min_args = 1,
     .max_args = 1,
     .actions = shells,
     .help = "completions for a shell",
     .run = fr_cmd_completion},
    {.name = "help",
     .args = "[VERB]",
     .max_args = 1,
     .help = "help for a verb",
     .run = fr_cmd_help},
    {.name = "docs",
     .args = "options|cli|man|yaml|verbs",
     .min_args = 1,
     .max_args = 1,
     .actions = docs_actions,
     .flags = docs_flags,
     .hidden = true,
     .help = "the reference, as scripts/docs.sh writes it",
     .run = fr_cmd_docs},
    END,
};

const fr_verb *fr_verb_find(const char *name)
{
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}
