#include "connectors/mysql/binlog_source.h"
#include "base/clock.h"
#include "connectors/mysql/binlog_dump.h"
#include "connectors/mysql/my_busy.h"
#include "connectors/mysql/my_dsn.h"
#include "connectors/mysql/my_query.h"
#include "connectors/mysql/my_verify.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE(base) ((fr_binlog_source *)(base))

static const char *const xa_choices[] = {"refuse", "hold", NULL};

const fr_option fr_binlog_options_table[] = {
    {.name = "dsn",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_binlog_config, dsn),
     .help = "Where the server is: mysql://user@host:3306/database, without a password; after it "
             "?tls=off|require|verify&ca=FILE&cert=FILE&key=FILE&socket=PATH&compress=true.",
     .flags = FR_REQUIRED,
     .reads = fr_my_dsn_reads},
    {.name = "password",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_binlog_config, password),
     .help = "The password of the user in dsn.",
     .flags = FR_SECRET},
    {.name = "insecure",
     .type = FR_OPT_BOOL,
     .offset = offsetof(fr_binlog_config, insecure),
     .fallback = "false",
     .help = "Connect to another machine without TLS or without checking its certificate."},
    {.name = "log.server_id",
     .type = FR_OPT_INT,
     .offset = offsetof(fr_binlog_config, server_id),
     .help = "Our number among the server's replicas; default one derived from pipeline, source "
             "and host.",
     .min = 0,
     .max = UINT32_MAX},
    {.name = "log.gtid",
     .type = FR_OPT_BOOL,
     .offset = offsetof(fr_binlog_config, gtid),
     .fallback = "true",
     .help = "Go on by GTID where the server has them, so that another server with the same log "
             "will do; false: by file and position."},
    {.name = "log.xa",
     .type = FR_OPT_CHOICE,
     .offset = offsetof(fr_binlog_config, xa),
     .fallback = "refuse",
     .help = "XA transactions with rows of captured tables: refuse stops the source, hold keeps "
             "their rows until the outcome is known.",
     .choices = xa_choices},
    {.name = "log.xa_limit",
     .type = FR_OPT_BYTES,
     .offset = offsetof(fr_binlog_config, xa_limit),
     .fallback = "64MiB",
     .help = "Memory for the rows that log.xa: hold keeps; above it the source stops.",
     .min = 1,
     .max = INT64_MAX / 2},
    {.name = NULL},
};

/* ---- connections ---- */

/* D28, for what we ask beside the log: a ping and what status shows take milliseconds; a large
 * catalog, or a lock that a view waits for, may take minutes. */
enum { ANSWER_SECONDS = 10, QUERY_SECONDS = 600 };

fr_rc fr_binlog_connect(fr_binlog_source *s, fr_my **out, fr_err *err)
{
    fr_my_target target = {.dsn = s->config->dsn,
                           .password = s->config->password,
                           .insecure = s->config->insecure,
                           /* A table that somebody alters or locks: we give up before them, and
                            * whoever waits for what we hold goes on. */
                           .settings = "net_write_timeout=3600, wait_timeout=28800, "
                                       "lock_wait_timeout=10"};
    fr_my *my = NULL;
    FR_TRY(fr_my_connect(&target, &my, err));
    fr_my_patience(my, ANSWER_SECONDS);
    for (const char *const *sql = fr_my_session_settings; *sql != NULL; sql++) {
        if (fr_my_exec(my, "prepare the session", fr_cstr(*sql), err) == FR_FAIL) {
            fr_my_close(my);
            return FR_FAIL;
        }
    }
    fr_my_patience(my, 0);
    *out = my;
    return FR_OK;
}

/* An idle connection may be gone, which is found out at once; or the server hangs. */
static fr_rc is_alive(fr_my *my, bool *alive, fr_err *err)
{
    int64_t began = fr_now_us();
    fr_my_patience(my, ANSWER_SECONDS);
    *alive = mysql_ping(my->mysql) == 0;
    if (!*alive && fr_now_us() - began >= INT64_C(1000000) * ANSWER_SECONDS)
        return fr_my_fail(my, "ask whether the server is there", err);
    return FR_OK;
}

fr_rc fr_binlog_take(fr_binlog_source *s, fr_my **out, fr_err *err)
{
    for (;;) {
        pthread_mutex_lock(&s->lock);
        fr_my *my = s->idle_count > 0 ? s->idle[--s->idle_count] : NULL;
        pthread_mutex_unlock(&s->lock);
        bool alive = true;
        fr_rc rc = my != NULL ? is_alive(my, &alive, err) : fr_binlog_connect(s, &my, err);
        if (rc == FR_OK && alive) {
            fr_my_patience(my, QUERY_SECONDS);
            *out = my;
            return FR_OK;
        }
        fr_my_close(my);
        FR_TRY(rc);
    }
}

void fr_binlog_give(fr_binlog_source *s, fr_my *my)
{
    if (my == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->idle_count < FR_BINLOG_IDLE_MAX) {
        s->idle[s->idle_count++] = my;
        my = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    fr_my_close(my);
}

/* ---- open ---- */

static void binlog_close(fr_source *base)
{
    fr_binlog_source *s = SOURCE(base);
    if (s == NULL)
        return;
    fr_binlog_end_view(base);
    for (size_t i = 0; i < s->idle_count; i++)
        fr_my_close(s->idle[i]);
    fr_binlog_views_free(s);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

fr_binlog_source *fr_binlog_source_new(const fr_source_settings *settings, const fr_source_ops *ops)
{
    fr_binlog_source *s = fr_malloc(sizeof(*s));
    s->base.ops = ops;
    s->settings = settings;
    s->config = settings->connector;
    s->type = ops->type;
    s->server_id = fr_binlog_server_id(settings, s->config);
    pthread_mutex_init(&s->lock, NULL);
    atomic_store(&s->seen.lag_us, -1);
    atomic_store(&s->seen.lag_bytes, -1);
    atomic_store(&s->retained_bytes, -1);
    return s;
}

static fr_rc open_as(const fr_source_settings *settings, const fr_source_ops *ops, fr_source **out,
                     fr_err *err)
{
    fr_binlog_source *s = fr_binlog_source_new(settings, ops);
    fr_my *my = NULL;
    fr_rc rc = fr_binlog_take(s, &my, err);
    if (rc == FR_OK)
        rc = fr_binlog_server_read(my, &s->server, err);
    if (rc == FR_OK)
        rc = fr_binlog_server_verify(&s->server, err);
    if (rc == FR_FAIL) {
        fr_my_close(my);
        binlog_close(&s->base);
        return FR_FAIL;
    }
    fr_binlog_give(s, my);
    *out = &s->base;
    return FR_OK;
}

static fr_rc mysql_open(const fr_source_settings *settings, fr_source **out, fr_err *err)
{
    return open_as(settings, &fr_mysql_binlog_source, out, err);
}

static fr_rc mariadb_open(const fr_source_settings *settings, fr_source **out, fr_err *err)
{
    return open_as(settings, &fr_mariadb_binlog_source, out, err);
}

/* ---- tables ---- */

static fr_rc tables_of(const fr_binlog_catalog *c, const fr_table **out, fr_err *err)
{
    for (size_t made = 0; made < c->count; made++) {
        fr_my_layout *layout = NULL;
        if (fr_my_layout_new(&c->tables[made].relation, 1, &layout, err) == FR_FAIL) {
            while (made > 0)
                fr_table_unref(out[--made]);
            return FR_FAIL;
        }
        out[made] = fr_table_ref(layout->table);
        fr_my_layout_free(layout);
    }
    return FR_OK;
}

static fr_rc binlog_list_tables(fr_source *base, fr_arena *arena, const fr_table ***out,
                                size_t *count_out, fr_err *err)
{
    fr_binlog_source *s = SOURCE(base);
    fr_my *my = NULL;
    fr_arena *a = fr_arena_new(0);
    fr_binlog_catalog c = {.count = 0};
    fr_rc rc = fr_binlog_take(s, &my, err);
    if (rc == FR_OK)
        rc = fr_binlog_catalog_read(my, s->settings, s->server.full_image, a, &c, err);
    const fr_table **tables = fr_arena_alloc(arena, (c.count + 1) * sizeof(*tables));
    if (rc == FR_FAIL) {
        fr_my_close(my);
    } else {
        fr_binlog_give(s, my);
        rc = tables_of(&c, tables, err);
    }
    fr_arena_free(a);
    FR_TRY(rc);
    *out = tables;
    *count_out = c.count;
    return FR_OK;
}

/* ---- positions ---- */

static uint64_t place_of(fr_str resume, uint32_t *epoch)
{
    fr_err ignored;
    fr_binlog_position p;
    fr_arena *a = fr_arena_new(0);
    uint64_t lsn = 0;
    *epoch = 0;
    if (fr_binlog_position_parse(a, resume, &p, &ignored) == FR_OK) {
        lsn = fr_binlog_lsn(p.file, p.pos);
        *epoch = p.epoch;
    }
    fr_arena_free(a);
    return lsn;
}

static int binlog_compare(fr_source *base, fr_str a, fr_str b)
{
    (void)base;
    uint32_t epoch_a, epoch_b;
    uint64_t lsn_a = place_of(a, &epoch_a), lsn_b = place_of(b, &epoch_b);
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    return lsn_a < lsn_b ? -1 : lsn_a > lsn_b;
}

static uint64_t binlog_resume_lsn(fr_source *base, fr_str resume)
{
    (void)base;
    uint32_t epoch;
    return place_of(resume, &epoch);
}

/* ---- status ---- */

static void binlog_status(fr_source *base, fr_status *out)
{
    fr_binlog_source *s = SOURCE(base);
    *out = (fr_status){.connected = atomic_load(&s->seen.connected),
                       .lag_us = atomic_load(&s->seen.lag_us),
                       .lag_bytes = atomic_load(&s->seen.lag_bytes),
                       .retained_bytes = atomic_load(&s->retained_bytes),
                       .retained_limit = -1,
                       .server_lsn = atomic_load(&s->seen.server_lsn),
                       .read_lsn = atomic_load(&s->seen.read_lsn),
                       .last_byte_us = atomic_load(&s->seen.last_byte_us),
                       .changes = atomic_load(&s->changes)};
}

/* Bytes of the files from ours on, less what of ours is read. */
static int64_t bytes_behind(const fr_my_rows *files, uint64_t read)
{
    int64_t total = 0;
    for (size_t i = 0; i < files->count; i++) {
        char name[FR_BINLOG_FILE_MAX];
        snprintf(name, sizeof(name), "%.*s", FR_ARG(fr_my_text(files, i, 0)));
        uint64_t number = fr_binlog_number_of_file(name);
        int64_t size = (int64_t)fr_my_uint(files, i, 1, 0);
        if (number == read >> 40)
            size -= (int64_t)(read & ((UINT64_C(1) << 40) - 1));
        if (number >= read >> 40 && size > 0)
            total += size;
    }
    return total;
}

static fr_rc ask_status(fr_binlog_source *s, fr_my *my, fr_arena *a, fr_err *err)
{
    fr_binlog_here here;
    fr_my_rows files;
    fr_binlog_server plain = fr_binlog_server_of(s);
    plain.gtids = false;
    FR_TRY(fr_binlog_here_read(my, &plain, a, &here, err));
    atomic_store(&s->seen.server_lsn, fr_binlog_lsn(here.file, here.pos));
    uint64_t read = atomic_load(&s->seen.read_lsn);
    if (read == 0)
        return FR_OK;
    if (fr_my_query(my, a, "list the binary logs", "SHOW BINARY LOGS", &files, err) == FR_OK)
        atomic_store(&s->seen.lag_bytes, bytes_behind(&files, read));
    else if (err->kind != FR_ERR_AUTH)
        return FR_FAIL;
    return FR_OK;
}

static fr_rc binlog_refresh(fr_source *base, fr_err *err)
{
    fr_binlog_source *s = SOURCE(base);
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(s, &my, err));
    fr_my_patience(my, ANSWER_SECONDS);
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = ask_status(s, my, a, err);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        fr_my_close(my);
    else
        fr_binlog_give(s, my);
    return rc;
}

static fr_rc binlog_busy(fr_source *base, fr_arena *a, fr_str *why_out, fr_err *err)
{
    fr_binlog_source *s = (fr_binlog_source *)base;
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(s, &my, err));
    fr_rc rc = fr_my_busy(my, s->settings, a, why_out, err);
    if (rc == FR_FAIL)
        fr_my_close(my); /* it may have a transaction open */
    else
        fr_binlog_give(s, my);
    return rc;
}

/* A binlog needs no objects: nothing to make. */
static fr_rc binlog_apply_objects(fr_source *base, fr_findings *done, fr_err *err)
{
    (void)base;
    (void)done;
    (void)err;
    return FR_OK;
}

fr_rc fr_binlog_verify_open(const fr_source_settings *settings, int64_t timeout_us, fr_verify **out,
                            fr_err *err)
{
    const fr_binlog_config *c = settings->connector;
    fr_my_target target = {.dsn = c->dsn, .password = c->password, .insecure = c->insecure};
    return fr_my_verify_open(&target, timeout_us, NULL, out, err);
}

#define BINLOG_OPERATIONS                                                                          \
    .options = fr_binlog_options_table, .config_size = sizeof(fr_binlog_config),                   \
    .check = fr_binlog_check, .list_tables = binlog_list_tables, .plan = fr_binlog_plan,           \
    .end_view = fr_binlog_end_view, .read_chunk = fr_binlog_read_chunk,                            \
    .row_key = fr_binlog_row_key, .read_stream = fr_binlog_read_stream,                            \
    .absent = fr_binlog_absent, .read_beside = fr_binlog_read_beside, .compare = binlog_compare,   \
    .resume_lsn = binlog_resume_lsn, .status = binlog_status, .refresh = binlog_refresh,           \
    .busy = binlog_busy, .check_where = fr_binlog_check_where,                                     \
    .apply_objects = binlog_apply_objects, .close = binlog_close, .rows = &fr_my_verify

const fr_source_ops fr_mysql_binlog_source = {
    .name = "mysql-binlog",
    .type = "mysql",
    .summary = "MySQL 5.5 and later, by its binary log, as a replica reads it.",
    .open = mysql_open,
    .sql = &fr_mysql_sql,
    .declared = fr_my_declared,
    BINLOG_OPERATIONS,
};
const fr_source_ops fr_mariadb_binlog_source = {
    .name = "mariadb-binlog",
    .type = "mariadb",
    .summary = "MariaDB 5.5 and later, by its binary log, as a replica reads it.",
    .open = mariadb_open,
    .sql = &fr_mariadb_sql,
    .declared = fr_my_declared,
    BINLOG_OPERATIONS,
};
