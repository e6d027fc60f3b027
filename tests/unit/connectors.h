/* Connectors that do nothing, for tests of what reads their option tables. */
#ifndef FR_TEST_CONNECTORS_H
#define FR_TEST_CONNECTORS_H

#include "connect/sql.h"
#include "control/config.h"
#include <string.h>

struct scripted_config {
    const char *dsn, *password, *slot, *publication;
    bool insecure;
    int64_t retained_limit;
};

static inline fr_rc scripted_reads(const char *text, fr_err *err)
{
    if (strncmp(text, "nonsense", 8) != 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "dsn is no address");
    fr_fail_code(err, "scripted.dsn");
    return fr_fail_hint(err, "write one");
}

static const fr_option scripted_source_options[] = {
    {.name = "dsn",
     .type = FR_OPT_TEXT,
     .offset = offsetof(struct scripted_config, dsn),
     .help = "URL without a password.",
     .flags = FR_REQUIRED,
     .reads = scripted_reads},
    {.name = "password",
     .type = FR_OPT_TEXT,
     .offset = offsetof(struct scripted_config, password),
     .help = "Password.",
     .flags = FR_SECRET},
    {.name = "insecure",
     .type = FR_OPT_BOOL,
     .offset = offsetof(struct scripted_config, insecure),
     .fallback = "false",
     .help = "Allow plaintext."},
    {.name = "log.slot",
     .type = FR_OPT_TEXT,
     .offset = offsetof(struct scripted_config, slot),
     .help = "Slot."},
    {.name = "log.publication",
     .type = FR_OPT_TEXT,
     .offset = offsetof(struct scripted_config, publication),
     .help = "Publication."},
    {.name = "log.retained_limit",
     .type = FR_OPT_BYTES,
     .offset = offsetof(struct scripted_config, retained_limit),
     .help = "Limit."},
    {.name = NULL},
};

static const fr_source_ops scripted_source = {
    .name = "scripted-wal",
    .type = "postgres",
    .summary = "Nothing.",
    .options = scripted_source_options,
    .config_size = sizeof(struct scripted_config),
};
/* One that says who is open, and one that does not. */
static const fr_sql_ops scripted_sql = {.name = "scripted"};
static const fr_sql_ops scripted_clock = {.name = "scripted", .clock_only = true};
static const fr_source_ops scripted_listing = {
    .name = "scripted-query",
    .type = "mysql",
    .summary = "Nothing.",
    .options = scripted_source_options,
    .config_size = sizeof(struct scripted_config),
    .sql = &scripted_sql,
};
static const fr_source_ops scripted_blind = {
    .name = "scripted-odbc",
    .type = "odbc",
    .summary = "Nothing.",
    .options = scripted_source_options,
    .config_size = sizeof(struct scripted_config),
    .sql = &scripted_clock,
};
static const fr_sink_ops scripted_sink = {
    .name = "scripted-sink",
    .type = "postgres",
    .summary = "Nothing.",
    .options = scripted_source_options,
    .config_size = sizeof(struct scripted_config),
};

static const fr_source_ops *scripted_source_of(const char *type)
{
    return strcmp(type, "postgres") == 0 ? &scripted_source
           : strcmp(type, "mysql") == 0  ? &scripted_listing
           : strcmp(type, "odbc") == 0   ? &scripted_blind
                                         : NULL;
}
static const fr_sink_ops *scripted_sink_of(const char *type)
{
    return strcmp(type, "postgres") == 0 ? &scripted_sink : NULL;
}
static const fr_source_ops *scripted_source_at(size_t index)
{
    return index == 0 ? &scripted_source : NULL;
}
static const fr_sink_ops *scripted_sink_at(size_t index)
{
    return index == 0 ? &scripted_sink : NULL;
}

static const fr_connectors scripted_connectors = {scripted_source_of, scripted_sink_of,
                                                  scripted_source_at, scripted_sink_at};

#endif
