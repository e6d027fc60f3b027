#include "connectors/postgres/wal_source.h"
#include "base/clock.h"
#include "base/log.h"
#include "connectors/postgres/pg_message.h"
#include "connectors/postgres/pg_query.h"
#include "connectors/postgres/pg_verify.h"
#include "connectors/postgres/wal_slot.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECENT_US = 5000000 };
#define SOURCE(base) ((fr_wal_source *)(base))

const fr_option fr_wal_options[] = {
    {.name = "dsn",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_wal_config, dsn),
     .help = "Where the database is: postgresql://user@host:5432/database, without a password.",
     .flags = FR_REQUIRED,
     .reads = fr_pg_dsn_reads},
    {.name = "password",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_wal_config, password),
     .help = "The password of the user in dsn; without it, what ~/.pgpass says.",
     .flags = FR_SECRET},
    {.name = "insecure",
     .type = FR_OPT_BOOL,
     .offset = offsetof(fr_wal_config, insecure),
     .fallback = "false",
     .help = "Connect to another machine without TLS or without checking its certificate."},
    {.name = "log.slot",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_wal_config, slot),
     .help = "The replication slot; default freshet_ and the source's name."},
    {.name = "log.publication",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_wal_config, publication),
     .help = "The publication; default freshet_ and the source's name."},
    {.name = "log.retained_limit",
     .type = FR_OPT_BYTES,
     .offset = offsetof(fr_wal_config, retained_limit),
     .help = "For status, alerts and forecast where max_slot_wal_keep_size is -1; nothing is "
             "dropped by it.",
     .min = 0,
     .max = INT64_MAX},
    {.name = NULL},
};

/* ---- names ---- */

static fr_rc name_of(const char *configured, const char *source, char *out, fr_err *err)
{
    int n = configured != NULL && configured[0] != '\0'
                ? snprintf(out, FR_WAL_NAME_MAX, "%s", configured)
                : snprintf(out, FR_WAL_NAME_MAX, "freshet_%s", source);
    if (configured == NULL || configured[0] == '\0')
        for (char *at = out; *at != '\0'; at++)
            if (*at == '-')
                *at = '_';
    if (n >= FR_WAL_NAME_MAX)
        return fr_fail(err, FR_ERR_CONFIG, "name %s is longer than 63 bytes", out);
    return FR_OK;
}

fr_rc fr_wal_names(const fr_source_settings *settings, char *slot, char *publication, fr_err *err)
{
    const fr_wal_config *config = settings->connector;
    if (name_of(config->publication, settings->name, publication, err) == FR_FAIL)
        return fr_fail_in(err, "log.publication");
    if (name_of(config->slot, settings->name, slot, err) == FR_FAIL)
        return fr_fail_in(err, "log.slot");
    if (slot[strspn(slot, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        return fr_fail(err, FR_ERR_CONFIG,
                       "log.slot: %s: a slot's name has lower-case letters, digits and _ only",
                       slot);
    return FR_OK;
}

/* ---- connections ---- */

static fr_pg_target target_of(const fr_wal_source *s, bool replication, bool own_monetary)
{
    return (fr_pg_target){.own_monetary = own_monetary,
                          .dsn = s->config->dsn,
                          .password = s->config->password,
                          .insecure = s->config->insecure,
                          .application_name = s->application,
                          .settings = s->session,
                          .replication = replication};
}

/* The server's idle limits are for forgotten clients; ours may rest for a long time. */
static fr_rc connect_as(fr_wal_source *s, bool replication, bool own_monetary, PGconn **out,
                        fr_err *err)
{
    fr_pg_target target = target_of(s, replication, own_monetary);
    PGconn *conn = NULL;
    FR_TRY(fr_pg_connect(&target, &conn, err));
    if (PQserverVersion(conn) >= 140000 &&
        fr_pg_exec(conn, "prepare the session", "SET idle_session_timeout = 0", err) == FR_FAIL) {
        fr_pg_close(conn);
        return FR_FAIL;
    }
    *out = conn;
    return FR_OK;
}

fr_rc fr_wal_take_first(fr_wal_source *s, PGconn **out, fr_err *err)
{
    PGconn *conn = NULL;
    FR_TRY(connect_as(s, false, true, &conn, err));
    if (fr_pg_money_digits(conn, &s->money_digits, err) == FR_FAIL ||
        fr_pg_exec(conn, "prepare the session", "SET lc_monetary = 'C'", err) == FR_FAIL) {
        fr_pg_close(conn);
        return FR_FAIL;
    }
    *out = conn;
    return FR_OK;
}

static bool usable(PGconn *conn)
{
    return PQconsumeInput(conn) == 1 && PQstatus(conn) == CONNECTION_OK &&
           PQtransactionStatus(conn) == PQTRANS_IDLE;
}

fr_rc fr_wal_take(fr_wal_source *s, PGconn **out, fr_err *err)
{
    for (;;) {
        pthread_mutex_lock(&s->lock);
        PGconn *conn = s->idle_count > 0 ? s->idle[--s->idle_count] : NULL;
        pthread_mutex_unlock(&s->lock);
        if (conn == NULL)
            return connect_as(s, false, false, out, err);
        if (usable(conn)) {
            *out = conn;
            return FR_OK;
        }
        fr_pg_close(conn);
    }
}

void fr_wal_give(fr_wal_source *s, PGconn *conn)
{
    if (conn == NULL)
        return;
    if (PQstatus(conn) == CONNECTION_OK && PQtransactionStatus(conn) == PQTRANS_IDLE) {
        pthread_mutex_lock(&s->lock);
        if (s->idle_count < FR_WAL_IDLE_MAX) {
            s->idle[s->idle_count++] = conn;
            conn = NULL;
        }
        pthread_mutex_unlock(&s->lock);
    }
    fr_pg_close(conn);
}

fr_rc fr_wal_replication(fr_wal_source *s, PGconn **out, fr_err *err)
{
    if (connect_as(s, true, false, out, err) == FR_OK)
        return FR_OK;
    if (strcmp(err->sqlstate, "53300") == 0 && strstr(err->text, "max_wal_senders") != NULL) {
        fr_fail_code(err, "pg.senders");
        fr_fail_hint(err, "raise max_wal_senders (needs a restart), or end one that nobody needs: "
                          "SELECT * FROM pg_stat_replication;");
    }
    if (strcmp(err->sqlstate, "28000") == 0 && strstr(err->text, "pg_hba") != NULL)
        fr_fail_hint(err,
                     "pg_hba.conf needs a line for the database itself (not the word "
                     "replication): host %s USER ADDRESS scram-sha-256",
                     s->db[0] != '\0' ? s->db : "DATABASE");
    else if (strcmp(err->sqlstate, "42501") == 0 || strcmp(err->sqlstate, "28000") == 0)
        fr_fail_hint(err, "ALTER ROLE ... WITH LOGIN REPLICATION");
    return fr_fail_in(err, "replication connection");
}

/* ---- publication ---- */

static void add_tables(fr_buf *b, const fr_wal_catalog *c, bool only_missing)
{
    const char *comma = "";
    for (size_t i = 0; i < c->count; i++) {
        if (only_missing && c->tables[i].published)
            continue;
        fr_buf_printf(b, "%s%s%.*s", comma, c->tables[i].kind == 'r' ? "ONLY " : "",
                      FR_ARG(c->tables[i].qualified));
        comma = ", ";
    }
}

fr_str fr_wal_publication_sql(fr_arena *a, int version, const char *publication,
                              const fr_wal_catalog *c)
{
    size_t missing = 0;
    for (size_t i = 0; i < c->count; i++)
        missing += !c->tables[i].published;
    fr_buf b = {.arena = a};
    fr_str name = fr_pg_ident(a, fr_cstr(publication), NULL);
    if ((c->count == 0 && !c->messages) || (c->publication.exists && missing == 0))
        return (fr_str){"", 0};
    if (c->count == 0) /* logical messages are sent whatever it publishes */
        return fr_arena_printf(a, "CREATE PUBLICATION %.*s;", FR_ARG(name));
    fr_buf_printf(&b,
                  c->publication.exists ? "ALTER PUBLICATION %.*s ADD TABLE "
                                        : "CREATE PUBLICATION %.*s FOR TABLE ",
                  FR_ARG(name));
    add_tables(&b, c, c->publication.exists);
    if (!c->publication.exists && version >= 130000)
        fr_buf_text(&b, " WITH (publish_via_partition_root = true)");
    fr_buf_text(&b, ";");
    return fr_buf_view(&b);
}

fr_str fr_wal_publication_undo(fr_arena *a, const char *publication, const fr_wal_catalog *c)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "ALTER PUBLICATION %.*s DROP TABLE ",
                  FR_ARG(fr_pg_ident(a, fr_cstr(publication), NULL)));
    add_tables(&b, c, true);
    fr_buf_text(&b, ";");
    return fr_buf_view(&b);
}

fr_rc fr_wal_publication_lacks(const fr_wal_source *s, const fr_wal_catalog *c, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str sql = fr_wal_publication_sql(a, s->version, s->publication, c);
    if (sql.len > 0) {
        size_t first = 0;
        while (first + 1 < c->count && c->tables[first].published)
            first++;
        if (!c->publication.exists)
            fr_fail(err, FR_ERR_CONFIG, "publication %s does not exist", s->publication);
        else
            fr_fail(err, FR_ERR_CONFIG, "publication %s does not publish %.*s.%.*s", s->publication,
                    FR_ARG(c->tables[first].relation.space),
                    FR_ARG(c->tables[first].relation.name));
        fr_fail_code(err, "pg.publication");
        fr_fail_hint(err, "freshet apply --source-objects, or: %.*s", FR_ARG(sql));
    }
    fr_rc rc = sql.len > 0 ? FR_FAIL : FR_OK;
    fr_arena_free(a);
    return rc;
}

static fr_rc publication_withholds(const fr_wal_source *s, const fr_wal_publication *p, fr_err *err)
{
    const char *what = !p->insert ? "insert" : !p->update ? "update" : !p->delete ? "delete" : NULL;
    if (what == NULL && !p->truncate && s->version >= 110000)
        what = "truncate";
    if (what == NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "publication %s does not publish operation %s", s->publication,
            what);
    fr_fail_code(err, "pg.publication");
    return fr_fail_hint(err, "ALTER PUBLICATION %s SET (publish = 'insert, update, delete%s');",
                        s->publication, s->version >= 110000 ? ", truncate" : "");
}

static fr_rc refused_by_name(const fr_wal_catalog *c, fr_err *err)
{
    for (size_t i = 0; i < c->refused_count; i++) {
        const fr_wal_table *t = &c->refused[i];
        if (t->settings->regex != NULL)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s %s", FR_ARG(t->relation.space),
                FR_ARG(t->relation.name), fr_wal_refusal(t, &c->publication));
        fr_fail_code(err, "pg.unlogged");
        return fr_fail_hint(err, "take it out of tables, or set method: skip (%s)",
                            t->settings->place != NULL ? t->settings->place : "configuration");
    }
    return FR_OK;
}

bool fr_wal_is_missing(const fr_wal_catalog *c, const fr_table_settings *t)
{
    fr_str prefix;
    bool found = t->regex != NULL || t->method == FR_METHOD_SKIP || fr_table_messages(t, &prefix);
    for (size_t k = 0; k < c->count && !found; k++)
        found = c->tables[k].settings == t;
    for (size_t k = 0; k < c->refused_count && !found; k++)
        found = c->refused[k].settings == t;
    return !found;
}

static fr_rc named_but_missing(const fr_wal_source *s, const fr_wal_catalog *c, fr_err *err)
{
    for (size_t i = 0; i < s->settings->table_count; i++) {
        const fr_table_settings *t = &s->settings->tables[i];
        if (!fr_wal_is_missing(c, t) || t->drop_table == FR_GONE_IGNORE)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "there is no table %s in database %s", t->pattern, s->db);
        fr_fail_code(err, "pg.table");
        return fr_fail_hint(err, "correct its name in tables (%s)",
                            t->place != NULL ? t->place : "configuration");
    }
    return FR_OK;
}

static fr_rc without_messages(const fr_wal_source *s, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "PostgreSQL %d sends no logical messages, which are captured here",
            s->version / 10000);
    fr_fail_code(err, "pg.messages");
    return fr_fail_hint(err, "PostgreSQL 14 and later do; before, use a table: freshet ddl outbox");
}

fr_rc fr_wal_catalog_verify(const fr_wal_source *s, const fr_wal_catalog *c, bool first,
                            fr_err *err)
{
    if (c->messages && s->version < 140000)
        return without_messages(s, err);
    FR_TRY(refused_by_name(c, err));
    if (first)
        FR_TRY(named_but_missing(s, c, err));
    if (first || !c->publication.exists)
        FR_TRY(fr_wal_publication_lacks(s, c, err));
    if (!c->publication.exists) { /* and no table to publish either */
        fr_fail(err, FR_ERR_CONFIG, "publication %s does not exist, and no table matches",
                s->publication);
        return fr_fail_code(err, "pg.publication");
    }
    return publication_withholds(s, &c->publication, err);
}

/* ---- open ---- */

static fr_rc read_server(fr_wal_source *s, PGconn *conn, fr_err *err)
{
    s->version = PQserverVersion(conn);
    if (s->version < 100000) {
        fr_fail(err, FR_ERR_CONFIG, "the server is PostgreSQL %d.%d; pgoutput came with 10",
                s->version / 10000, s->version / 100 % 100);
        return fr_fail_code(err, "pg.version");
    }
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the server's settings",
                       "SELECT current_setting('wal_level'), current_database(),"
                       " pg_catalog.pg_is_in_recovery(), current_setting('server_encoding'),"
                       " (SELECT setting FROM pg_catalog.pg_settings"
                       "  WHERE name = 'wal_sender_timeout')",
                       NULL, 0, &res, err));
    fr_str level = fr_pg_text(res, 0, 0);
    snprintf(s->db, sizeof(s->db), "%s", PQgetvalue(res, 0, 1));
    s->in_recovery = fr_pg_bool(res, 0, 2);
    int64_t timeout_us = fr_pg_int(res, 0, 4, 60000) * 1000;
    s->keep_alive_us = timeout_us == 0 || timeout_us > 30000000 ? 10000000 : timeout_us / 3;
    fr_rc rc = FR_OK;
    if (!fr_str_is(level, "logical")) {
        rc = fr_fail(err, FR_ERR_CONFIG, "wal_level is %.*s, must be logical", FR_ARG(level));
        fr_fail_code(err, "pg.wal_level");
        fr_fail_hint(err, "ALTER SYSTEM SET wal_level = 'logical'; and restart the server");
    } else if (s->in_recovery && s->version < 160000) {
        rc = fr_fail(err, FR_ERR_CONFIG,
                     "the server is a standby; logical decoding there needs PostgreSQL 16");
        fr_fail_code(err, "pg.recovery");
        fr_fail_hint(err, "give the primary's address in dsn");
    }
    PQclear(res);
    return rc;
}

static fr_rc identify(fr_wal_source *s, fr_err *err)
{
    PGconn *repl = NULL;
    PGresult *res = NULL;
    FR_TRY(fr_wal_replication(s, &repl, err));
    fr_rc rc = fr_pg_query(repl, "identify the system", "IDENTIFY_SYSTEM", NULL, 0, &res, err);
    if (rc != FR_FAIL) {
        snprintf(s->system_identifier, sizeof(s->system_identifier), "%s", PQgetvalue(res, 0, 0));
        s->timeline = (uint32_t)fr_pg_int(res, 0, 1, 0);
        PQclear(res);
    }
    fr_pg_close(repl);
    return rc;
}

/* row_security=off: rows that a policy would hide are an error, never silently missing.
 * lock_timeout: a table under ALTER TABLE must not hold up the stream's reader for long. */
static char *session_settings(void)
{
    fr_buf b = {.arena = NULL};
    for (const fr_pg_setting *set = fr_pg_session_settings; set->name != NULL; set++)
        if (strcmp(set->name, "lc_monetary") != 0) /* FR_PG_MONETARY, but at first */
            fr_buf_printf(&b, "-c %s=%s ", set->name, set->value);
    fr_buf_text(&b, "-c row_security=off -c lock_timeout=20s -c client_min_messages=warning");
    fr_buf_u8(&b, '\0');
    return (char *)b.ptr;
}

static void forget_oids(fr_wal_source *s)
{
    fr_arena_free(s->oids_arena);
    s->oids_arena = NULL;
    s->oids = NULL;
    s->oid_count = 0;
}

static void forget_listed(fr_wal_source *s)
{
    fr_arena_free(s->listed_arena);
    s->listed_arena = NULL;
}

static void wal_close(fr_source *base)
{
    fr_wal_source *s = SOURCE(base);
    if (s == NULL)
        return;
    fr_wal_end_view(base);
    for (size_t i = 0; i < s->idle_count; i++)
        fr_pg_close(s->idle[i]);
    fr_wal_views_free(s);
    forget_listed(s);
    forget_oids(s);
    pthread_mutex_destroy(&s->lock);
    free(s->session);
    free(s);
}

fr_wal_source *fr_wal_source_new(const fr_source_settings *settings)
{
    fr_wal_source *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_postgres_wal_source;
    s->settings = settings;
    s->config = settings->connector;
    snprintf(s->application, sizeof(s->application), "freshet %s", settings->name);
    s->session = session_settings();
    pthread_mutex_init(&s->lock, NULL);
    atomic_store(&s->seen.lag_us, -1);
    atomic_store(&s->seen.lag_bytes, -1);
    atomic_store(&s->retained_bytes, -1);
    atomic_store(&s->retained_limit,
                 s->config->retained_limit > 0 ? s->config->retained_limit : -1);
    return s;
}

static fr_rc wal_open(const fr_source_settings *settings, fr_source **out, fr_err *err)
{
    fr_wal_source *s = fr_wal_source_new(settings);
    PGconn *conn = NULL;
    fr_rc rc = fr_wal_names(settings, s->slot, s->publication, err);
    if (rc != FR_FAIL)
        rc = fr_wal_take_first(s, &conn, err);
    if (rc != FR_FAIL)
        rc = read_server(s, conn, err);
    fr_wal_give(s, conn);
    if (rc != FR_FAIL)
        rc = identify(s, err);
    if (rc == FR_FAIL) {
        wal_close(&s->base);
        return FR_FAIL;
    }
    *out = &s->base;
    return FR_OK;
}

/* ---- tables ---- */

fr_pg_catalog *fr_wal_types_new(const fr_wal_source *s)
{
    fr_pg_catalog *types = fr_pg_catalog_new();
    fr_pg_catalog_money_digits(types, s->money_digits);
    return types;
}

size_t fr_wal_message_tables(const fr_wal_source *s, const fr_table **out)
{
    size_t n = 0;
    for (size_t i = 0; i < s->settings->table_count; i++) {
        const fr_table_settings *t = &s->settings->tables[i];
        fr_str prefix;
        if (t->method != FR_METHOD_SKIP && fr_table_messages(t, &prefix))
            out[n++] = fr_pg_message_table(t, prefix);
    }
    return n;
}

static fr_rc tables_of(const fr_wal_source *s, PGconn *conn, const fr_wal_catalog *c,
                       const fr_table **out, fr_err *err)
{
    fr_pg_catalog *types = fr_wal_types_new(s);
    fr_rc rc = fr_wal_types_of(conn, c->tables, c->count, types, err);
    size_t made = 0;
    for (; rc != FR_FAIL && made < c->count; made++) {
        fr_pg_layout *layout = NULL;
        rc = fr_pg_layout_new(types, &c->tables[made].relation, 1, &layout, err);
        if (rc == FR_FAIL)
            break;
        out[made] = fr_table_ref(layout->table);
        fr_pg_layout_free(layout);
    }
    if (rc == FR_FAIL)
        while (made > 0)
            fr_table_unref(out[--made]);
    fr_pg_catalog_free(types);
    return rc;
}

fr_rc fr_wal_catalog_recent(fr_wal_source *s, PGconn *sql, fr_arena **arena_out,
                            fr_wal_catalog *out, fr_err *err)
{
    if (s->listed_arena != NULL && fr_now_us() - s->listed_us < RECENT_US) {
        *arena_out = s->listed_arena;
        *out = s->listed;
        s->listed_arena = NULL;
        return FR_OK;
    }
    forget_listed(s);
    *arena_out = fr_arena_new(0);
    if (fr_wal_catalog_read(sql, s->version, s->settings, s->publication, *arena_out, out, err) !=
        FR_FAIL)
        return FR_OK;
    fr_arena_free(*arena_out);
    *arena_out = NULL;
    return FR_FAIL;
}

static fr_rc wal_list_tables(fr_source *base, fr_arena *arena, const fr_table ***out,
                             size_t *count_out, fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    PGconn *conn = NULL;
    fr_arena *a = fr_arena_new(0);
    fr_wal_catalog c = {.count = 0};
    const fr_table **tables = NULL;
    fr_rc rc = fr_wal_take(s, &conn, err);
    if (rc != FR_FAIL)
        rc = fr_wal_catalog_read(conn, s->version, s->settings, s->publication, a, &c, err);
    if (rc != FR_FAIL) {
        tables = fr_arena_alloc(arena, (c.count + s->settings->table_count + 1) * sizeof(*tables));
        rc = tables_of(s, conn, &c, tables, err);
    }
    fr_wal_give(s, conn);
    if (rc == FR_FAIL) {
        fr_arena_free(a);
        return FR_FAIL;
    }
    *out = tables;
    *count_out = c.count + fr_wal_message_tables(s, tables + c.count);
    forget_listed(s);
    s->listed_arena = a;
    s->listed = c;
    s->listed_us = fr_now_us();
    return FR_OK;
}

/* ---- positions ---- */

static int wal_compare(fr_source *base, fr_str a, fr_str b)
{
    (void)base;
    uint32_t epoch_a = 0, epoch_b = 0;
    uint64_t lsn_a = fr_wal_position_lsn(a, &epoch_a), lsn_b = fr_wal_position_lsn(b, &epoch_b);
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    return lsn_a < lsn_b ? -1 : lsn_a > lsn_b;
}

static uint64_t wal_resume_lsn(fr_source *base, fr_str resume)
{
    (void)base;
    return fr_wal_position_lsn(resume, NULL);
}

static fr_rc wal_position_now(fr_source *base, fr_arena *a, fr_str *resume_out, fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    PGconn *conn = NULL;
    fr_wal_position p;
    FR_TRY(fr_wal_take(s, &conn, err));
    fr_rc rc = fr_wal_slot_position(s, conn, &p, err);
    fr_wal_give(s, conn);
    if (rc != FR_FAIL)
        *resume_out = fr_wal_position_text(a, &p);
    return rc;
}

static fr_rc wal_verify(fr_source *base, fr_str resume, fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    PGconn *sql = NULL, *repl = NULL;
    fr_wal_position p;
    uint64_t confirmed;
    FR_TRY(fr_wal_position_parse(resume, &p, err));
    FR_TRY(fr_wal_take(s, &sql, err));
    fr_rc rc = fr_wal_replication(s, &repl, err);
    if (rc != FR_FAIL)
        rc = fr_wal_slot_verify(s, repl, sql, &p, &confirmed, err);
    if (rc == FR_FAIL && strcmp(err->code, "pg.slot_active") == 0)
        rc = FR_OK;
    fr_pg_close(repl);
    fr_wal_give(s, sql);
    return rc;
}

/* ---- status ---- */

static void wal_status(fr_source *base, fr_status *out)
{
    fr_wal_source *s = SOURCE(base);
    *out = (fr_status){.connected = atomic_load(&s->seen.connected),
                       .lag_us = atomic_load(&s->seen.lag_us),
                       .lag_bytes = atomic_load(&s->seen.lag_bytes),
                       .retained_bytes = atomic_load(&s->retained_bytes),
                       .retained_limit = atomic_load(&s->retained_limit),
                       .server_lsn = atomic_load(&s->seen.server_lsn),
                       .read_lsn = atomic_load(&s->seen.read_lsn),
                       .confirmed_lsn = atomic_load(&s->seen.confirmed_lsn),
                       .last_byte_us = atomic_load(&s->seen.last_byte_us)};
}

static fr_rc wal_refresh(fr_source *base, fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    PGconn *conn = NULL;
    PGresult *res = NULL;
    FR_TRY(fr_wal_take(s, &conn, err));
    /* safe_wal_size is what may still be written before the slot is lost. */
    char sql[700];
    snprintf(sql, sizeof(sql),
             "WITH here AS (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
             " THEN pg_catalog.pg_last_wal_replay_lsn()"
             " ELSE pg_catalog.pg_current_wal_lsn() END AS lsn)"
             " SELECT lsn, (lsn - restart_lsn)::bigint, confirmed_flush_lsn, %s"
             " FROM here LEFT JOIN pg_catalog.pg_replication_slots ON slot_name = $1",
             s->version >= 130000 ? "(lsn - restart_lsn)::bigint + safe_wal_size" : "NULL");
    const char *slot = s->slot;
    fr_rc rc = fr_pg_query(conn, "read the slot's state", sql, &slot, 1, &res, err);
    fr_wal_give(s, conn);
    FR_TRY(rc);
    uint64_t lsn = 0, confirmed = 0, read = atomic_load(&s->seen.read_lsn);
    if (fr_pg_lsn_parse(fr_pg_text(res, 0, 0), &lsn)) {
        atomic_store(&s->seen.server_lsn, lsn);
        if (read != 0)
            atomic_store(&s->seen.lag_bytes, lsn > read ? (long long)(lsn - read) : 0);
    }
    atomic_store(&s->retained_bytes, fr_pg_int(res, 0, 1, -1));
    if (fr_pg_lsn_parse(fr_pg_text(res, 0, 2), &confirmed))
        atomic_store(&s->seen.confirmed_lsn, confirmed);
    int64_t limit = fr_pg_int(res, 0, 3, -1);
    if (limit < 0 && s->config->retained_limit > 0)
        limit = s->config->retained_limit;
    atomic_store(&s->retained_limit, limit);
    PQclear(res);
    return FR_OK;
}

/* ---- objects on the source ---- */

static fr_rc make_publication(fr_wal_source *s, PGconn *conn, fr_findings *done, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_wal_catalog c;
    fr_rc rc = fr_wal_catalog_read(conn, s->version, s->settings, s->publication, a, &c, err);
    fr_str sql = {"", 0};
    if (rc != FR_FAIL)
        rc = refused_by_name(&c, err);
    if (rc != FR_FAIL)
        rc = named_but_missing(s, &c, err);
    if (rc != FR_FAIL)
        sql = fr_wal_publication_sql(a, s->version, s->publication, &c);
    if (rc != FR_FAIL && sql.len > 0) {
        rc = fr_pg_exec(conn, "make the publication", fr_arena_cstr(a, sql), err);
        if (rc != FR_FAIL && done != NULL) {
            fr_finding *f = fr_findings_add(done, FR_CHANGE, "pg.publication", "publication %s %s",
                                            s->publication,
                                            c.publication.exists ? "has more tables now" : "made");
            f->sql = fr_arena_str(done->arena, sql);
        }
    }
    fr_arena_free(a);
    return rc;
}

static fr_rc wal_apply_objects(fr_source *base, fr_findings *done, fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(s, &conn, err));
    fr_rc rc = make_publication(s, conn, done, err);
    fr_wal_give(s, conn);
    return rc;
}

fr_rc fr_wal_verify_open(const fr_source_settings *settings, int64_t timeout_us, fr_verify **out,
                         fr_err *err)
{
    const fr_wal_config *c = settings->connector;
    fr_pg_target target = {.dsn = c->dsn, .password = c->password, .insecure = c->insecure};
    return fr_pg_verify_open(&target, timeout_us, false, out, err);
}

const fr_source_ops fr_postgres_wal_source = {
    .name = "postgres-wal",
    .type = "postgres",
    .summary = "PostgreSQL 10 and later, by logical decoding (pgoutput) of its write-ahead log.",
    .options = fr_wal_options,
    .config_size = sizeof(fr_wal_config),
    .open = wal_open,
    .check = fr_wal_check,
    .list_tables = wal_list_tables,
    .plan = fr_wal_plan,
    .end_view = fr_wal_end_view,
    .read_chunk = fr_wal_read_chunk,
    .row_key = fr_wal_row_key,
    .read_stream = fr_wal_read_stream,
    .absent = fr_wal_absent,
    .read_beside = fr_wal_read_beside,
    .compare = wal_compare,
    .resume_lsn = wal_resume_lsn,
    .position_now = wal_position_now,
    .status = wal_status,
    .refresh = wal_refresh,
    .verify = wal_verify,
    .busy = fr_wal_busy,
    .check_where = fr_wal_check_where,
    .apply_objects = wal_apply_objects,
    .close = wal_close,
    .sql = &fr_postgres_sql,
    .declared = fr_pg_declared,
    .rows = &fr_postgres_verify,
};
