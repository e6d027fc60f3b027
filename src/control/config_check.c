/* What needs more than one key, or knowledge beyond a table's columns. */
#include "base/host.h"
#include "base/map.h"
#include "connect/sql.h"
#include "control/config_load.h"
#include "poll/poll.h"
#include "transform/mask.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const fr_scope *scope_at(const fr_loader *l, const char *path)
{
    for (size_t i = 0; i < l->tree->count; i++)
        if (strcmp(l->tree->scopes[i]->path, path) == 0)
            return l->tree->scopes[i];
    return l->tree->scopes[0];
}

__attribute__((format(printf, 6, 7))) static fr_problem *report(fr_loader *l, bool warning,
                                                                const char *code, const char *scope,
                                                                const char *key, const char *fmt,
                                                                ...)
{
    va_list ap;
    va_start(ap, fmt);
    fr_str text = fr_arena_vprintf(l->a, fmt, ap);
    va_end(ap);
    fr_str dotted = *scope == 0 ? fr_cstr(key) : fr_arena_printf(l->a, "%s.%s", scope, key);
    return fr_problem_add(l, warning, code, fr_scope_place(scope_at(l, scope), key),
                          fr_arena_cstr(l->a, dotted), "%.*s", FR_ARG(text));
}

/* validate on another machine: what a reference holds is not known here. */
static bool unresolved(const char *text)
{
    return strstr(text, "${env:") != NULL || strstr(text, "${file:") != NULL ||
           strstr(text, "${cred:") != NULL || strstr(text, "${exec:") != NULL;
}

static const char *property(const fr_kafka_settings *k, const char *name)
{
    for (size_t i = 0; i < k->properties.count; i++)
        if (strcmp(k->properties.items[i].name, name) == 0)
            return k->properties.items[i].value;
    return NULL;
}

static void check_properties(fr_loader *l, const fr_kafka_settings *k)
{
    static const fr_pair owned[] = {
        {"acks", "it is always all"},
        {"request.required.acks", "it is always all"},
        {"enable.idempotence", "it is always on"},
        {"transactional.id", "it is freshet.<name>.<source>"},
        {"isolation.level", "it is always read_committed"},
        {"partitioner", "use kafka.partitioner"},
        {"bootstrap.servers", "use kafka.brokers"},
        {"metadata.broker.list", "use kafka.brokers"},
        {"group.id", "it is freshet.<name>.<sink>"},
        {"enable.auto.commit", "offsets live in the target"},
        {"enable.auto.offset.store", "offsets live in the target"},
        {"auto.offset.reset", "use sinks.<k>.start"},
    };
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
        if (property(k, owned[i].name) == NULL)
            continue;
        fr_problem *p = report(l, false, "config.owned_property", "kafka", "properties",
                               "`%s` is freshet's to decide", owned[i].name);
        fr_problem_hint(l, p, "leave it out: %s", owned[i].value);
    }
}

static void check_kafka(fr_loader *l, const fr_kafka_settings *k)
{
    check_properties(l, k);
    for (size_t i = 0; i < k->accept_risk.count; i++) {
        const char *risk = k->accept_risk.items[i];
        if (strcmp(risk, "min-insync-replicas") == 0 ||
            strcmp(risk, "unclean-leader-election") == 0)
            continue;
        fr_problem *p = report(l, false, "config.bad_value", "kafka", "accept_risk",
                               "there is no risk `%s`", risk);
        fr_problem_hint(l, p, "choices: min-insync-replicas, unclean-leader-election");
    }
    const char *timeout = property(k, "transaction.timeout.ms");
    long long timeout_us = (timeout == NULL ? 60000 : atoll(timeout)) * 1000;
    if (k->exactly_once && timeout_us > 0 && k->max_time_us > timeout_us / 4) {
        fr_problem *p =
            report(l, false, "config.max_time", "kafka", "transaction.max_time",
                   "more than a quarter of transaction.timeout.ms (%lld ms)", timeout_us / 1000);
        fr_problem_hint(l, p,
                        "at most %lldms, or raise transaction.timeout.ms in "
                        "kafka.properties",
                        timeout_us / 4000);
    }
    const char *protocol = property(k, "security.protocol");
    bool plain = protocol == NULL || strcasecmp(protocol, "plaintext") == 0 ||
                 strcasecmp(protocol, "sasl_plaintext") == 0;
    for (size_t i = 0; plain && !k->insecure && i < k->brokers.count; i++) {
        if (unresolved(k->brokers.items[i]) || fr_is_loopback(fr_host_of(k->brokers.items[i])))
            continue;
        fr_problem *p = report(l, false, "config.insecure", "kafka", "brokers",
                               "plaintext to %s, which is not this machine", k->brokers.items[i]);
        fr_problem_hint(l, p,
                        "properties: {security.protocol: SASL_SSL, ...}, or accept it with "
                        "insecure: true");
        return;
    }
}

static void check_registry(fr_loader *l, const fr_registry_settings *r)
{
    bool has_file = false;
    for (size_t i = 0; i < r->url.count; i++) {
        const char *url = r->url.items[i];
        bool file = strncmp(url, "file:", 5) == 0;
        bool http = strncmp(url, "http://", 7) == 0, https = strncmp(url, "https://", 8) == 0;
        has_file = has_file || file;
        if (unresolved(url))
            continue;
        if (!file && !http && !https) {
            fr_problem *p = report(l, false, "config.bad_value", "registry", "url",
                                   "`%s` is no URL of a registry", url);
            fr_problem_hint(l, p, "write https://host:8081, or file:DIR");
        }
        const char *at = strchr(url, '@');
        if ((http || https) && at != NULL && at < url + 8 + strcspn(url + 8, "/")) {
            fr_problem *p = report(l, false, "config.dsn_password", "registry", "url",
                                   "a user or password stands in the URL");
            p->excerpt = NULL;
            fr_problem_hint(l, p, "use registry.username and registry.password");
        }
        if (http && !r->insecure && !fr_is_loopback(fr_host_of(url + 7))) {
            fr_problem *p = report(l, false, "config.insecure", "registry", "url",
                                   "http:// to %s, which is not this machine", url + 7);
            fr_problem_hint(l, p, "use https://, or accept it with insecure: true");
        }
    }
    if (has_file && r->url.count > 1) {
        fr_problem *p = report(l, false, "config.registry_file", "registry", "url",
                               "file: cannot stand beside other URLs");
        fr_problem_hint(l, p, "ids of two registries differ: use one of them");
    }
    if (r->token != NULL && r->password != NULL) {
        fr_problem *p = report(l, false, "config.conflict", "registry", "token",
                               "both a token and a password are given");
        fr_problem_hint(l, p, "leave one of them out");
    }
}

static void check_daemon(fr_loader *l, const fr_daemon_settings *d)
{
    if (d->mask_key == NULL || unresolved(d->mask_key) || strlen(d->mask_key) >= FR_MASK_KEY_LEAST)
        return;
    fr_problem *p = report(l, false, "config.mask_key", "daemon", "mask_key",
                           "a key of fewer than 16 bytes: hashes could be undone by trying");
    p->excerpt = NULL;
    fr_problem_hint(l, p, "make one: openssl rand -hex 32");
}

static void check_http(fr_loader *l, const fr_http_settings *h)
{
    if ((h->tls_cert == NULL) != (h->tls_key == NULL)) {
        fr_problem *p = report(l, false, "config.missing_key", "http",
                               h->tls_cert == NULL ? "tls.key" : "tls.cert",
                               "tls.cert and tls.key belong together");
        fr_problem_hint(l, p, "set both or none");
    }
    if (strcmp(h->listen, "none") == 0 || unresolved(h->listen))
        return;
    const char *colon = strrchr(h->listen, ':');
    long port = colon == NULL ? -1 : strtol(colon + 1, NULL, 10);
    if (colon == NULL || !isdigit((unsigned char)colon[1]) || port > 65535) {
        fr_problem *p = report(l, false, "config.bad_value", "http", "listen",
                               "`%s` is not address:port", h->listen);
        fr_problem_hint(l, p, "write 127.0.0.1:8083, or none");
        return;
    }
    if (fr_is_loopback(fr_host_of(h->listen)) ||
        (h->tls_cert != NULL && h->tls_key != NULL && h->token != NULL))
        return;
    fr_problem *p = report(l, false, "config.http_open", "http", "listen",
                           "%s can be reached from other machines", h->listen);
    fr_problem_hint(l, p,
                    "listen on 127.0.0.1, or set http.tls.cert, http.tls.key and "
                    "http.token");
}

/* ---- sources ---------------------------------------------------------------------------- */

static const char *option_text(const fr_option *options, const void *target, const char *name)
{
    const fr_option *o = fr_option_find(options, fr_cstr(name));
    if (o == NULL || o->type != FR_OPT_TEXT || (o->flags & FR_REFUSED) != 0)
        return NULL;
    return *(const char *const *)(const void *)((const char *)target + o->offset);
}

/* The password within a URL or a list of settings, or nothing. */
static fr_str dsn_password(const char *dsn)
{
    static const char *const names[] = {"password=", "passwd=", "pwd="};
    const char *scheme = strstr(dsn, "://");
    if (scheme != NULL) {
        const char *host = scheme + 3 + strcspn(scheme + 3, "/?");
        const char *at = memrchr(scheme + 3, '@', (size_t)(host - scheme - 3));
        const char *colon = at == NULL ? NULL : memchr(scheme + 3, ':', (size_t)(at - scheme - 3));
        if (colon != NULL)
            return (fr_str){colon + 1, (size_t)(at - colon - 1)};
    }
    for (size_t i = 0; i < 3; i++) {
        const char *at = strcasestr(dsn, names[i]);
        bool starts = at == dsn || (at != NULL && strchr("?&; \t", at[-1]) != NULL);
        if (at != NULL && starts) {
            at += strlen(names[i]);
            return (fr_str){at, strcspn(at, "&; \t")};
        }
    }
    return (fr_str){NULL, 0};
}

/* What only the connector knows how to read. */
static void check_reads(fr_loader *l, const char *path, const fr_option *o, const char *text)
{
    fr_err err;
    if (o->reads == NULL || unresolved(text) || o->reads(text, &err) != FR_FAIL)
        return;
    const char *code = fr_arena_cstr(l->problems_arena, fr_cstr(err.code));
    fr_problem *p = report(l, false, code, path, o->name, "%s", err.text);
    fr_problem_hint(l, p, "%s", err.hint);
}

static void check_dsn(fr_loader *l, const char *path, const fr_option *options, const void *target)
{
    const char *dsn = option_text(options, target, "dsn");
    if (dsn == NULL)
        return;
    fr_str password = dsn_password(dsn);
    if (password.ptr == NULL) {
        check_reads(l, path, fr_option_find(options, FR_STR("dsn")), dsn);
        return;
    }
    if (password.len > 0)
        fr_log_secret(fr_arena_cstr(l->a, password));
    fr_problem *p =
        report(l, false, "config.dsn_password", path, "dsn", "a password stands in the dsn");
    p->excerpt = NULL;
    fr_problem_hint(l, p, "take it out, and write password: ${cred:NAME}");
}

static bool kafka_name(const char *name)
{
    bool good = *name != 0 && strlen(name) <= 200;
    for (; *name != 0; name++)
        good = good && (isalnum((unsigned char)*name) || strchr("._-", *name) != NULL);
    return good;
}

static const char *source_path(fr_loader *l, const fr_source_settings *s)
{
    return fr_path_join(l->a, "sources", fr_cstr(s->name));
}

/* "20:00-06:00" */
static bool good_window(const char *w)
{
    if (strlen(w) != 11 || w[5] != '-')
        return false;
    for (int half = 0; half < 2; half++) {
        const char *t = w + (ptrdiff_t)half * 6;
        bool digits = isdigit((unsigned char)t[0]) && isdigit((unsigned char)t[1]) && t[2] == ':' &&
                      isdigit((unsigned char)t[3]) && isdigit((unsigned char)t[4]);
        if (!digits || (t[0] - '0') * 10 + t[1] - '0' > 24 || t[3] > '5')
            return false;
    }
    return true;
}

static void check_throttle(fr_loader *l, const char *path, const fr_source_settings *s,
                           const fr_source_ops *ops)
{
    fr_str name;
    int64_t most;
    const char *load = s->throttle_max_load;
    if (load != NULL && !unresolved(load) && !fr_load_parse(load, &name, &most)) {
        fr_problem *p = report(l, false, "config.bad_value", path, "throttle.max_load",
                               "`%s` is no measure and its limit", load);
        fr_problem_hint(
            l, p,
            "write active=25 (PostgreSQL) or Threads_running=25 (MySQL, MariaDB): more than 25 "
            "running statements throttle");
    }
    const char *key = s->throttle_max_lag_us > 0  ? "throttle.max_lag"
                      : load != NULL              ? "throttle.max_load"
                      : s->throttle_query != NULL ? "throttle.query"
                                                  : NULL;
    bool asked = ops != NULL && (fr_source_polled(s) ? ops->sql != NULL && ops->sql->busy != NULL
                                                     : ops->busy != NULL);
    if (key != NULL && ops != NULL && !asked) {
        fr_problem *p = report(l, false, "config.not_built", path, key,
                               "`%s` cannot be asked of a source of type %s", key, s->type);
        fr_problem_hint(l, p, "throttle.window and throttle.rows_per_second hold for every source");
    }
}

/* Only these have such dates: elsewhere the key would promise what nothing does. */
static void check_zero_dates(fr_loader *l, const char *path, const fr_source_settings *s)
{
    if (s->type == NULL || strcmp(s->type, "mysql") == 0 || strcmp(s->type, "mariadb") == 0)
        return;
    for (size_t i = 0; i < s->table_count; i++) {
        const fr_table_settings *t = &s->tables[i];
        if (t->zero_dates == 0)
            continue;
        const char *table =
            fr_path_join(l->a, fr_path_join(l->a, path, FR_STR("tables")), fr_cstr(t->pattern));
        fr_problem *p = report(l, false, "config.not_built", table, "columns.zero_dates",
                               "a source of type %s has no zero dates", s->type);
        fr_problem_hint(l, p, "remove the key; it is for MySQL and MariaDB");
    }
}

static void check_debezium(fr_loader *l, const char *path, const fr_source_settings *s)
{
    const fr_table_settings *t = fr_debezium_table(s);
    if (t == NULL || s->type == NULL || strcmp(s->type, "postgres") == 0)
        return;
    const char *table =
        fr_path_join(l->a, fr_path_join(l->a, path, FR_STR("tables")), fr_cstr(t->pattern));
    fr_problem *p = report(l, false, "config.not_built", table, "envelope",
                           "envelope debezium is for sources of type postgres, not %s", s->type);
    fr_problem_hint(l, p, "use standard or state");
}

/* What a poll does not do is not to be believed done. */
static void check_polled_keys(fr_loader *l, const char *path, const fr_source_settings *s,
                              const fr_source_ops *ops)
{
    static const char *const log_keys[] = {"log.slot", "log.publication"};
    for (size_t i = 0; ops != NULL && i < sizeof(log_keys) / sizeof(log_keys[0]); i++) {
        if (option_text(ops->options, s->connector, log_keys[i]) == NULL)
            continue;
        fr_problem *p = report(l, false, "config.conflict", path, log_keys[i],
                               "a source that is polled reads no log");
        fr_problem_hint(l, p, "remove it");
    }
}

static void check_poll_deletes(fr_loader *l, const char *table, const fr_table_settings *t)
{
    if (t->poll_deletes == 1 && t->poll_delete_column == NULL) {
        fr_problem *p = report(l, false, "config.missing", table, "poll.deletes",
                               "soft-column needs poll.delete_column");
        fr_problem_hint(l, p, "name the column that says that a row is deleted");
    } else if (t->poll_deletes != 1 && t->poll_delete_column != NULL) {
        fr_problem *p = report(l, false, "config.conflict", table, "poll.delete_column",
                               "nothing looks at it unless poll.deletes is soft-column");
        fr_problem_hint(l, p, "set poll.deletes: soft-column");
    }
}

static void check_poll_statement(fr_loader *l, const char *table, const fr_table_settings *t)
{
    fr_err err;
    if (t->poll_query != NULL && t->regex != NULL) {
        fr_problem *p = report(l, false, "config.conflict", table, "poll.query",
                               "a pattern cannot have a statement");
        fr_problem_hint(l, p, "give the table its own entry");
    } else if (t->poll_query != NULL && fr_poll_statement_check(t->poll_query, &err) == FR_FAIL) {
        fr_problem *p = report(l, false, "config.bad_value", table, "poll.query", "%s", err.text);
        fr_problem_hint(l, p, "%s", fr_err_hint(&err));
    }
}

static void check_cursor(fr_loader *l, const char *table, const fr_table_settings *t)
{
    if (t->poll_column == NULL && t->method == FR_METHOD_QUERY) {
        fr_problem *p = report(l, false, "config.missing", table, "poll.column",
                               "method query needs poll.column");
        fr_problem_hint(l, p, "name the column that grows with each change");
    }
    if (t->poll_timezone != NULL && !unresolved(t->poll_timezone) &&
        strcmp(t->poll_timezone, "UTC") != 0) {
        fr_problem *p =
            report(l, false, "config.bad_value", table, "poll.timezone",
                   "`%s` is not taken: an hour of it comes twice a year", t->poll_timezone);
        fr_problem_hint(l, p, "UTC, if that is what the column holds; else poll a number");
    }
    check_poll_deletes(l, table, t);
}

static void check_lookback(fr_loader *l, const char *table, const fr_table_settings *t,
                           const fr_sql_ops *ops)
{
    bool cursor = fr_table_cursor(t) != NULL && t->method != FR_METHOD_SNAPSHOT;
    if (ops != NULL && ops->clock_only && cursor && t->poll_lookback_us == 0) {
        fr_problem *p = report(l, false, "config.missing", table, "poll.lookback",
                               "this database does not say which transactions are open");
        fr_problem_hint(l, p,
                        "say how late a commit may come after the time or number that its "
                        "rows have; later ones are missed. poll.lookback: 2m");
    } else if (t->poll_lookback_us > 0 && (!cursor || (ops != NULL && !ops->clock_only))) {
        fr_problem *p = report(l, false, "config.conflict", table, "poll.lookback",
                               cursor ? "this database says which transactions are open"
                                      : "this table has no poll.column");
        fr_problem_hint(l, p,
                        cursor ? "leave it out: it is for databases that do not (ODBC); with "
                                 "this one nothing has to be guessed"
                               : "leave it out");
    }
}

/* Changes come from a change table in the order in which they were made: there is no cursor. */
static void check_triggered(fr_loader *l, const char *table, const char *type,
                            const fr_table_settings *t)
{
    const struct {
        const char *key;
        bool set;
    } keys[] = {
        {"poll.column", t->poll_column != NULL},
        {"poll.tiebreak", t->poll_tiebreak != NULL},
        {"poll.query", t->poll_query != NULL},
        {"poll.deletes", t->poll_deletes != 0},
        {"poll.max_skew", t->poll_max_skew_us > 0},
        {"poll.timezone", t->poll_timezone != NULL},
        {"poll.delete_column", t->poll_delete_column != NULL},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (!keys[i].set)
            continue;
        fr_problem *p = report(l, false, "config.conflict", table, keys[i].key,
                               "triggers write the table's changes down, in their order");
        fr_problem_hint(l, p, "remove it, or set method: query");
    }
    if (t->truncate == 0 || type == NULL || strcmp(type, "postgres") == 0)
        return;
    fr_problem *p = report(l, false, "config.conflict", table, "truncate",
                           "a source of type %s has no triggers for TRUNCATE", type);
    fr_problem_hint(l, p, "remove it; take the right to TRUNCATE away, or read the log");
}

/* What a poll reads has no place in a log, at which the table could go on elsewhere. */
static void check_polled_changes(fr_loader *l, const char *table, const fr_table_settings *t)
{
    const struct {
        const char *key;
        int policy;
    } all[] = {{"schema.on_change.add_column", t->add_column},
               {"schema.on_change.drop_column", t->drop_column},
               {"schema.on_change.rename_column", t->rename_column},
               {"schema.on_change.change_type", t->change_type}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].policy == FR_CHANGE_NEW_TOPIC)
            fr_problem_hint(l,
                            report(l, false, "config.not_built", table, all[i].key,
                                   "new_topic is for tables that are read from a log"),
                            "use block, and once it is held another topic and evolve");
}

static void check_polled_table(fr_loader *l, const char *table, const char *type,
                               const fr_table_settings *t)
{
    check_polled_changes(l, table, t);
    if (t->drop_table != FR_GONE_BLOCK) {
        fr_problem *p = report(l, false, "config.conflict", table, "schema.on_change.drop_table",
                               "a table that is polled and gone is held: nobody says whether it is "
                               "gone for good");
        fr_problem_hint(l, p, "remove it; take the table out of tables once it is");
    }
    if (t->method == FR_METHOD_TRIGGER) {
        check_triggered(l, table, type, t);
        return;
    }
    if (t->method != FR_METHOD_SNAPSHOT)
        check_cursor(l, table, t);
    if (t->snapshot_mode != 0) {
        fr_problem *p = report(l, false, "config.not_built", table, "snapshot.mode",
                               "the first poll reads all rows, whatever snapshot.mode says");
        fr_problem_hint(l, p, "remove it; snapshot.where leaves rows out of each poll");
    }
    if (t->truncate != 0) {
        fr_problem *p = report(l, false, "config.conflict", table, "truncate",
                               "a poll does not see a TRUNCATE");
        fr_problem_hint(l, p, "remove it");
    }
    check_poll_statement(l, table, t);
}

/* A queue has no cursor, and nothing of it changes or is deleted but by us. */
static void check_polled_outbox(fr_loader *l, const char *table, const fr_table_settings *t,
                                const fr_sql_ops *ops)
{
    if (ops != NULL && ops->take == NULL) {
        fr_problem *p = report(l, false, "config.not_built", table, "method",
                               "rows of this database cannot be taken as an outbox");
        fr_problem_hint(l, p, "use method: query, with poll.column: the outbox's id");
    }
    const struct {
        const char *key;
        bool set;
    } keys[] = {
        {"poll.query", t->poll_query != NULL},
        {"poll.tiebreak", t->poll_tiebreak != NULL},
        {"poll.deletes", t->poll_deletes != 0},
        {"poll.max_skew", t->poll_max_skew_us > 0 && fr_table_emptied(t)},
        {"poll.timezone", t->poll_timezone != NULL && fr_table_emptied(t)},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (!keys[i].set)
            continue;
        fr_problem *p = report(l, false, "config.conflict", table, keys[i].key,
                               "this table is an outbox, and read in the order of %s",
                               t->poll_column != NULL ? "poll.column" : "outbox.id");
        fr_problem_hint(l, p, "remove it");
    }
}

static size_t skipped(const fr_source_settings *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        n += s->tables[i].method == FR_METHOD_SKIP;
    return n;
}

/* method query is of a whole source for now; what it needs, and what it does not have. */
static void check_polled(fr_loader *l, const char *path, const fr_source_settings *s,
                         const fr_source_ops *ops)
{
    bool polled = fr_source_polled(s);
    bool triggers = ops == NULL || ops->sql == NULL || ops->sql->put_triggers != NULL;
    bool log = ops == NULL || ops->sql == NULL || ops->open != NULL;
    if (polled && ops != NULL && ops->sql == NULL) {
        fr_problem *p = report(l, false, "config.not_built", path, "type",
                               "a source of type %s cannot be polled", s->type);
        fr_problem_hint(l, p, "use method: log");
    }
    for (size_t i = 0; i < s->table_count; i++) {
        const fr_table_settings *t = &s->tables[i];
        const char *table =
            fr_path_join(l->a, fr_path_join(l->a, path, FR_STR("tables")), fr_cstr(t->pattern));
        if (t->method == FR_METHOD_TRIGGER && !triggers) {
            fr_problem *p = report(l, false, "config.not_built", table, "method",
                                   "a source of type %s is not captured by triggers", s->type);
            fr_problem_hint(l, p, "use another method");
        }
        if (t->method == FR_METHOD_LOG && !log) {
            fr_problem *p = report(l, false, "config.not_built", table, "method",
                                   "a source of type %s has no log that can be read", s->type);
            fr_problem_hint(l, p,
                            ops->sql->put_outbox != NULL ? "set method: query, snapshot or outbox"
                                                         : "set method: query or snapshot");
        } else if (fr_table_polled(t)) {
            check_polled_table(l, table, s->type, t);
            check_lookback(l, table, t, ops == NULL ? NULL : ops->sql);
            if (t->method == FR_METHOD_OUTBOX)
                check_polled_outbox(l, table, t, ops == NULL ? NULL : ops->sql);
        } else if (t->poll_lookback_us > 0) {
            fr_problem *p = report(l, false, "config.conflict", table, "poll.lookback",
                                   "this table is not polled");
            fr_problem_hint(l, p, "leave it out");
        } else if (t->method == FR_METHOD_LOG && polled) {
            fr_problem *p = report(l, false, "config.not_built", table, "method",
                                   "a source is either polled or read from its log");
            fr_problem_hint(l, p, "declare a second source on the same database for these tables");
        } else if (t->method == FR_METHOD_LOG && t->poll_column != NULL) {
            fr_problem *p = report(l, false, "config.conflict", table, "poll.column",
                                   "this table is not polled, but read from the log");
            fr_problem_hint(l, p, "set method: query");
        }
    }
    if (polled)
        check_polled_keys(l, path, s, ops);
    else if (!log && s->table_count == skipped(s)) {
        fr_problem *p =
            report(l, false, "config.missing", path, "tables",
                   "a source of type %s has no log: it needs tables that are asked", s->type);
        fr_problem_hint(l, p, "name some, with method: query or snapshot");
    }
}

/* A message is what its writer made of it: without the outbox's columns it would be none. */
static void check_messages(fr_loader *l, const char *path, const fr_source_settings *s)
{
    for (size_t i = 0; i < s->table_count; i++) {
        const fr_table_settings *t = &s->tables[i];
        fr_str prefix;
        if (t->method == FR_METHOD_SKIP || !fr_table_messages(t, &prefix))
            continue;
        const char *table =
            fr_path_join(l->a, fr_path_join(l->a, path, FR_STR("tables")), fr_cstr(t->pattern));
        if (s->type != NULL && strcmp(s->type, "postgres") != 0) {
            fr_problem *p = report(l, false, "config.conflict", table, "outbox",
                                   "a source of type %s has no logical messages", s->type);
            fr_problem_hint(l, p, "only PostgreSQL has pg_logical_emit_message");
        } else if (!t->outbox.on || t->method != FR_METHOD_LOG) {
            fr_problem *p = report(l, false, "config.conflict", table, "outbox",
                                   "logical messages are an outbox that is read from the log");
            fr_problem_hint(l, p,
                            "set method: log and outbox: {...}; without either, messages go "
                            "to <prefix>.message");
        }
    }
}

static void check_source(fr_loader *l, const fr_source_settings *s, const fr_source_ops *ops)
{
    const char *path = source_path(l, s);
    check_messages(l, path, s);
    if (ops != NULL)
        check_dsn(l, path, ops->options, s->connector);
    if (s->prefix != NULL && !unresolved(s->prefix) && !kafka_name(s->prefix)) {
        fr_problem *p = report(l, false, "config.bad_name", path, "prefix",
                               "`%s` cannot begin the name of a topic", s->prefix);
        fr_problem_hint(l, p, "A-Z, a-z, 0-9, dot, _ and - only");
    }
    if (s->prefix != NULL && strncmp(s->prefix, "freshet.", 8) == 0) {
        fr_problem *p = report(l, false, "config.bad_name", path, "prefix",
                               "names that begin with freshet. are its own");
        fr_problem_hint(l, p, "choose another prefix");
    }
    if (s->throttle_window != NULL && !unresolved(s->throttle_window) &&
        !good_window(s->throttle_window)) {
        fr_problem *p = report(l, false, "config.bad_value", path, "throttle.window",
                               "`%s` is no window", s->throttle_window);
        fr_problem_hint(l, p, "write 20:00-06:00 in quotes (local time)");
    }
    check_throttle(l, path, s, ops);
    check_zero_dates(l, path, s);
    check_debezium(l, path, s);
    check_polled(l, path, s, ops);
}

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* One slot has one reader: two sources on it would take it from each other for ever. */
static void check_slots(fr_loader *l)
{
    fr_config *c = l->config;
    for (size_t i = 0; i < c->source_count; i++) {
        for (size_t k = 0; k < i; k++) {
            const fr_source_ops *ops = c->source_ops[i];
            if (ops == NULL || ops != c->source_ops[k])
                continue;
            const void *mine = c->sources[i].connector, *other = c->sources[k].connector;
            if (!same_text(option_text(ops->options, mine, "dsn"),
                           option_text(ops->options, other, "dsn")) ||
                !same_text(option_text(ops->options, mine, "log.slot"),
                           option_text(ops->options, other, "log.slot")))
                continue;
            fr_problem *p = report(l, false, "config.conflict", source_path(l, &c->sources[i]),
                                   "log.slot", "source %s reads the same slot", c->sources[k].name);
            fr_problem_hint(l, p, "give each source a slot of its own");
        }
    }
}

typedef struct known_topic {
    const char *topic;
    const char *who, *place; /* the table, and where it stands */
} known_topic;

/* The topic of an exact table, where the file alone decides it. */
static const char *topic_of(fr_loader *l, const fr_source_settings *s, const fr_table_settings *t)
{
    const char *dot = strchr(t->pattern, '.');
    const char *template = t->outbox.on && t->outbox.route != NULL ? t->outbox.route : t->topic;
    if (t->regex != NULL || t->pattern[0] == '/' || dot == NULL || template == NULL ||
        t->method == FR_METHOD_SKIP || unresolved(template))
        return NULL;
    const fr_pair vars[] = {
        {"source", s->name},
        {"prefix", s->prefix},
        {"space", fr_arena_cstr(l->a, (fr_str){t->pattern, (size_t)(dot - t->pattern)})},
        {"table", dot + 1},
    };
    fr_str topic;
    fr_err err;
    if (fr_template_expand(l->a, template, vars, 4, &topic, &err) == FR_FAIL)
        return NULL; /* reported where it was read, or each row names its own */
    char *legal = fr_arena_cstr(l->a, topic);
    for (char *c = legal; *c != 0; c++)
        if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL)
            *c = '_';
    return legal;
}

static const char *table_path(fr_loader *l, const fr_source_settings *s, const fr_table_settings *t)
{
    return fr_path_join(l->a, fr_path_join(l->a, source_path(l, s), FR_STR("tables")),
                        fr_cstr(t->pattern));
}

static void check_topic(fr_loader *l, const fr_source_settings *s, const fr_table_settings *t,
                        const char *topic, fr_map *topics)
{
    const char *path = table_path(l, s, t);
    const known_topic *first = fr_map_get(topics, fr_cstr(topic));
    if (first != NULL) {
        fr_problem *p = report(l, false, "config.topic_conflict", path, "topic",
                               "topic %s is also that of %s (%s)", topic, first->who, first->place);
        fr_problem_hint(l, p, "give one of them a topic of its own");
        return;
    }
    known_topic *known = fr_arena_alloc(l->a, sizeof(*known));
    fr_str who = fr_arena_printf(l->a, "%s/%s", s->name, t->pattern);
    *known = (known_topic){topic, fr_arena_cstr(l->a, who), t->place};
    fr_map_set(topics, fr_cstr(topic), known);
    if (strncmp(topic, "freshet.", 8) == 0) {
        fr_problem *p = report(l, false, "config.bad_name", path, "topic",
                               "topics that begin with freshet. are its own");
        fr_problem_hint(l, p, "choose another name");
    }
}

/* Returns true when every topic is known from the file alone. */
static bool check_topics(fr_loader *l, fr_map *topics)
{
    bool complete = true;
    for (size_t i = 0; i < l->config->source_count; i++) {
        const fr_source_settings *s = &l->config->sources[i];
        for (size_t k = 0; k < s->table_count; k++) {
            const fr_table_settings *t = &s->tables[k];
            const char *topic = topic_of(l, s, t);
            fr_contract_check(l, scope_at(l, table_path(l, s, t)), s, t, topic);
            if (topic != NULL)
                check_topic(l, s, t, topic, topics);
            else if (t->method != FR_METHOD_SKIP)
                complete = false;
        }
    }
    return complete;
}

static void check_sink_settings(fr_loader *l, const char *path, const fr_sink_settings *s,
                                const fr_sink_ops *ops)
{
    fr_err err;
    if (ops == NULL || ops->settings == NULL || ops->settings(s, &err) == FR_OK)
        return;
    const char *colon = strstr(err.text, ": "); /* behind the key that it is about */
    fr_str key = colon == NULL ? FR_STR("type") : (fr_str){err.text, (size_t)(colon - err.text)};
    fr_problem *p = report(l, false, fr_arena_cstr(l->problems_arena, fr_cstr(err.code)), path,
                           fr_arena_cstr(l->a, key), "%s", colon == NULL ? err.text : colon + 2);
    fr_problem_hint(l, p, "%s", fr_err_hint(&err));
}

static void check_sink(fr_loader *l, const fr_sink_settings *s, const fr_sink_ops *ops,
                       const fr_map *topics, bool complete)
{
    const char *path = fr_path_join(l->a, "sinks", fr_cstr(s->name));
    if (ops != NULL)
        check_dsn(l, path, ops->options, s->connector);
    check_sink_settings(l, path, s, ops);
    if (ops != NULL && s->errors_mode == FR_ERRORS_DLQ && ops->park == NULL) {
        fr_problem *p = report(l, false, "config.not_built", path, "errors.mode",
                               "a %s sink cannot set keys aside", s->type);
        fr_problem_hint(l, p, "use block or stop");
    }
    int64_t errors, events;
    if (s->errors_limit != NULL && !unresolved(s->errors_limit) &&
        !fr_limit_parse(s->errors_limit, &errors, &events)) {
        fr_problem *p = report(l, false, "config.bad_value", path, "errors.limit",
                               "`%s` is no number of errors per messages", s->errors_limit);
        fr_problem_hint(l, p, "write 10/1000: more than 10 errors in 1,000 messages of a topic");
    }
    for (size_t i = 0; complete && l->config->source_count > 0 && i < s->from.count; i++) {
        if (s->from_regex == NULL || unresolved(s->from.items[i]) ||
            fr_sink_takes(l->a, s, i, topics))
            continue;
        fr_problem *p = report(l, true, "config.sink_unknown_topic", path, "from",
                               "no source of this file writes `%s`", s->from.items[i]);
        fr_problem_hint(l, p, "fine if another pipeline does; else correct the name");
    }
}

void fr_config_check(fr_loader *l)
{
    fr_config *c = l->config;
    check_daemon(l, &c->daemon);
    check_kafka(l, &c->kafka);
    check_registry(l, &c->registry);
    check_http(l, &c->http);
    for (size_t i = 0; i < c->source_count; i++)
        check_source(l, &c->sources[i], c->source_ops[i]);
    check_slots(l);
    fr_map *topics = fr_map_new();
    bool complete = check_topics(l, topics);
    if (complete)
        fr_contracts_unused(l, topics);
    for (size_t i = 0; i < c->sink_count; i++)
        check_sink(l, &c->sinks[i], c->sink_ops[i], topics, complete);
    fr_map_free(topics, NULL);
}
