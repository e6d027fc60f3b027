#include "cli/ask.h"
#include "base/clock.h"
#include "kafka/control.h"
#include "model/name.h"
#include "poll/poll.h"
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_US = 500000 };

typedef struct question {
    bool post;
    const char *path, *token;
} question;

/* A refusal says itself what is wrong. */
static fr_rc explain(const char *where, const question *q, int status, fr_str body, fr_err *err)
{
    json_t *j = NULL;
    fr_err unreadable;
    bool login = status == 401 || status == 403;
    fr_err_kind kind = login                           ? FR_ERR_AUTH
                       : status >= 400 && status < 500 ? FR_ERR_CONFIG
                       : status == 503                 ? FR_ERR_BUSY
                                                       : FR_ERR_CONNECT;
    if (fr_json_parse(body, &j, &unreadable) == FR_FAIL)
        j = NULL;
    const json_t *e = json_object_get(j, "error");
    if (e == NULL) {
        fr_fail(err, login ? kind : FR_ERR_CONNECT, "%s%s answered %d", where, q->path, status);
        fr_fail_code(err, "http.answer");
    } else {
        fr_fail(err, kind, "%s", fr_json_str(e, "text", ""));
        fr_fail_code(err, fr_json_str(e, "code", "http.answer"));
        if (fr_json_str(e, "hint", "")[0] != 0)
            fr_fail_hint(err, "%s", fr_json_str(e, "hint", ""));
    }
    json_decref(j);
    return FR_FAIL;
}

static fr_rc put(fr_cli *cli, const char *where, const question *q, json_t **out, fr_err *err)
{
    int status = 0;
    fr_str body;
    FR_TRY(fr_http_ask(where, q->post, q->path, q->token, cli->arena, &status, &body, err));
    if (status == 200 || status == 202)
        return fr_json_parse(body, out, err);
    return explain(where, q, status, body, err);
}

bool fr_ask_nobody(const fr_err *err)
{
    return strcmp(err->code, FR_HTTP_NOBODY) == 0;
}

static fr_rc ask(fr_cli *cli, const fr_config *config, bool post, const char *path, json_t **out,
                 fr_err *err)
{
    question q = {post, path, config == NULL ? NULL : config->http.token};
    if (cli->url != NULL)
        return put(cli, cli->url, &q, out, err);
    if (config == NULL)
        return fr_fail(err, FR_ERR_BUG, "neither --url nor a configuration says where to ask");
    const char *socket = config->http.socket, *listen = config->http.listen;
    fr_rc rc = FR_FAIL;
    fr_fail(err, FR_ERR_CONNECT, "the configuration has neither http.socket nor http.listen");
    fr_fail_code(err, FR_HTTP_NOBODY);
    if (socket != NULL && *socket != 0)
        rc = put(cli, fr_arena_cstr(cli->arena, fr_arena_printf(cli->arena, "unix:%s", socket)), &q,
                 out, err);
    if (rc == FR_OK || !fr_ask_nobody(err) || strcmp(listen, "none") == 0)
        return rc;
    fr_str url = fr_arena_printf(cli->arena, "%s://%s",
                                 config->http.tls_cert == NULL ? "http" : "https", listen);
    return put(cli, fr_arena_cstr(cli->arena, url), &q, out, err);
}

fr_rc fr_ask_daemon(fr_cli *cli, const fr_config *config, const char *path, json_t **out,
                    fr_err *err)
{
    return ask(cli, config, false, path, out, err);
}

fr_rc fr_tell_daemon(fr_cli *cli, const fr_config *config, const char *path, json_t **out,
                     fr_err *err)
{
    return ask(cli, config, true, path, out, err);
}

/* The daemon has ended it, because somebody said `freshet stop`: then nobody loses it. */
static bool is_stopped(const json_t *document, const char *source)
{
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(document, "parts"), i, part)
    {
        if (strcmp(fr_json_str(part, "kind", ""), "source") == 0 &&
            strcmp(fr_json_str(part, "name", ""), source) == 0)
            return strcmp(fr_json_str(part, "state", ""), "stopped") == 0;
    }
    return false;
}

fr_rc fr_ask_stopped(fr_cli *cli, const fr_config *config, const char *source, const char *code,
                     fr_err *err)
{
    json_t *document = NULL;
    fr_err down;
    fr_rc rc = fr_ask_daemon(cli, config, "/v1/status", &document, &down);
    if (rc == FR_FAIL && fr_ask_nobody(&down))
        return FR_OK;
    bool stopped = rc == FR_OK && is_stopped(document, source);
    json_decref(document);
    if (stopped)
        return FR_OK;
    if (rc == FR_FAIL) {
        *err = down;
        return fr_fail_in(err, "whether freshet runs here cannot be told");
    }
    fr_fail(err, FR_ERR_CONFIG, "freshet is running: it would lose the source");
    fr_fail_code(err, code);
    return fr_fail_hint(err,
                        "stop it first: freshet stop %s, or systemctl stop freshet, on every "
                        "machine",
                        source);
}

fr_rc fr_ask_checkpoint(const fr_config *config, size_t source, fr_checkpoint **out, fr_err *err)
{
    fr_admin *admin;
    FR_TRY(fr_admin_open(&config->kafka, &admin, err));
    fr_rc rc = fr_admin_checkpoint(admin, config->sources[source].name, out, err);
    fr_admin_close(admin);
    return rc;
}

void fr_ask_generations(const fr_config *config, const fr_checkpoint *k, fr_router *r)
{
    size_t i = 0;
    void *value;
    while (k != NULL && fr_map_next(k->generations, &i, NULL, &value)) {
        const fr_generation_fact *g = value;
        fr_router_move(r, g->topic, g->generation,
                       config->registry.subject == FR_SUBJECT_BY_RECORD);
    }
}

fr_rc fr_ask_moved(const fr_config *config, size_t source, fr_router *r, fr_err *err)
{
    fr_checkpoint *k = NULL;
    if (fr_source_polled(&config->sources[source]))
        return FR_OK;
    FR_TRY(fr_ask_checkpoint(config, source, &k, err));
    fr_ask_generations(config, k, r);
    fr_checkpoint_free(k);
    return FR_OK;
}

static fr_rc fold_all(fr_control *c, fr_wills *wills, fr_err *err)
{
    while (!fr_control_at_end(c)) {
        const fr_batch *b;
        FR_TRY(fr_control_read(c, fr_now_us() + READ_US, &b, err));
        for (size_t i = 0; i < b->message_count; i++) {
            const fr_message *m = &b->messages[i];
            fr_wills_fold(wills, m->key, m->payload, m->offset);
        }
    }
    return FR_OK;
}

/* Opening it would make the topic. */
static fr_rc has_control(const fr_config *config, fr_err *err)
{
    char topic[300];
    int32_t partitions;
    fr_admin *admin;
    fr_control_topic(&config->kafka, topic, sizeof(topic));
    FR_TRY(fr_admin_open(&config->kafka, &admin, err));
    fr_rc rc = fr_admin_partitions(admin, topic, &partitions, err);
    fr_admin_close(admin);
    return rc;
}

fr_rc fr_ask_wills(const fr_config *config, fr_wills **out, fr_err *err)
{
    fr_control *c;
    *out = NULL;
    fr_rc rc = has_control(config, err);
    if (rc != FR_OK)
        return rc == FR_END ? FR_OK : rc;
    FR_TRY(fr_control_open(&config->kafka, &c, err));
    fr_wills *wills = fr_wills_new();
    rc = fold_all(c, wills, err);
    fr_control_close(c);
    if (rc == FR_FAIL)
        fr_wills_free(wills);
    else
        *out = wills;
    return rc;
}

fr_rc fr_ask_write(fr_cli *cli, const fr_config *config, size_t source, const char *what,
                   fr_rc (*write)(fr_cli *cli, fr_publisher *p, const fr_checkpoint *old,
                                  void *context, fr_err *err),
                   void *context, fr_err *err)
{
    fr_publisher *p = NULL;
    fr_checkpoint *old = NULL;
    const fr_end *ends;
    size_t end_count;
    fr_str instance =
        fr_arena_printf(cli->arena, "%s-%d-%" PRId64, what, (int)getpid(), fr_wall_us());
    FR_TRY(fr_publisher_open(&config->kafka, config->sources[source].name,
                             fr_arena_cstr(cli->arena, instance), NULL, &p, &old, err));
    fr_rc rc = fr_publisher_begin(p, err);
    rc = rc == FR_FAIL ? rc : write(cli, p, old, context, err);
    rc = rc == FR_FAIL ? rc : fr_publisher_commit(p, &ends, &end_count, err);
    fr_publisher_close(p);
    fr_checkpoint_free(old);
    return rc == FR_FAIL ? rc : FR_OK;
}

fr_rc fr_ask_table_topic(const fr_config *config, fr_arena *a, const fr_config_place *p,
                         fr_str *out, fr_err *err)
{
    const fr_source_settings *s = &config->sources[p->source];
    const fr_pair vars[] = {{"source", s->name},
                            {"prefix", s->prefix},
                            {"space", fr_arena_cstr(a, p->space)},
                            {"table", fr_arena_cstr(a, p->name)}};
    fr_str topic;
    fr_rc rc = fr_route_topic(a, s, p->table, p->space, p->name, &topic, err);
    if (rc == FR_OK && p->table->outbox.on && p->table->outbox.route != NULL &&
        fr_template_expand(a, p->table->outbox.route, vars, 4, &topic, err) == FR_FAIL) {
        fr_fail(err, FR_ERR_CONFIG, "rows of outbox `%s/%.*s.%.*s` name their topics: %s", s->name,
                FR_ARG(p->space), FR_ARG(p->name), p->table->outbox.route);
        fr_fail_code(err, "cli.no_table");
        return fr_fail_hint(err, "give the name of one of the topics");
    }
    FR_TRY(rc);
    *out = fr_topic_legal(a, topic);
    return FR_OK;
}

/* How many topics a table has had; topic: its first. */
static fr_rc topics_had(const fr_config *config, size_t source, fr_str topic, uint32_t *out,
                        fr_err *err)
{
    fr_checkpoint *k = NULL;
    *out = 1;
    if (fr_source_polled(&config->sources[source]))
        return FR_OK;
    FR_TRY(fr_ask_checkpoint(config, source, &k, err));
    const fr_generation_fact *g = k == NULL ? NULL : fr_map_get(k->generations, topic);
    *out = g == NULL ? 1 : g->generation;
    fr_checkpoint_free(k);
    return FR_OK;
}

fr_rc fr_ask_topics(const fr_config *config, fr_arena *a, const char *word, const char ***out,
                    size_t *count, fr_err *err)
{
    fr_config_place p;
    fr_str first = fr_cstr(word);
    uint32_t generations = 1;
    bool table = strchr(word, '/') != NULL;
    if (table) {
        FR_TRY(fr_config_table(config, word, &p, err));
        FR_TRY(fr_ask_table_topic(config, a, &p, &first, err));
        FR_TRY(topics_had(config, p.source, first, &generations, err));
    }
    *out = fr_arena_alloc(a, generations * sizeof(**out));
    *count = generations;
    (*out)[0] = table ? fr_arena_cstr(a, first) : word;
    for (uint32_t i = 2; i <= generations; i++)
        (*out)[i - 1] = fr_arena_cstr(a, fr_topic_generation(a, first, i));
    return FR_OK;
}

fr_rc fr_ask_topic(const fr_config *config, fr_arena *a, const char *word, const char **out,
                   fr_err *err)
{
    const char **topics;
    size_t count;
    FR_TRY(fr_ask_topics(config, a, word, &topics, &count, err));
    *out = topics[count - 1];
    return FR_OK;
}

static bool table_of_first(const fr_config *config, fr_arena *a, fr_str topic, fr_config_place *out)
{
    for (size_t i = 0; i < config->source_count; i++) {
        const fr_source_settings *s = &config->sources[i];
        size_t prefix = strlen(s->prefix);
        if (topic.len < prefix + 4 || memcmp(topic.ptr, s->prefix, prefix) != 0 ||
            topic.ptr[prefix] != '.')
            continue;
        fr_str rest = {topic.ptr + prefix + 1, topic.len - prefix - 1}, usual;
        const char *dot = memchr(rest.ptr, '.', rest.len);
        fr_err ignored;
        if (dot == NULL)
            continue;
        fr_config_place p = {.source = i,
                             .space = {rest.ptr, (size_t)(dot - rest.ptr)},
                             .name = {dot + 1, (size_t)(rest.ptr + rest.len - dot) - 1}};
        p.table = fr_source_match(s, p.space, p.name);
        if (p.table == NULL || fr_ask_table_topic(config, a, &p, &usual, &ignored) == FR_FAIL ||
            !fr_str_eq(usual, topic))
            continue;
        *out = p;
        return true;
    }
    return false;
}

bool fr_ask_topic_table(const fr_config *config, fr_arena *a, fr_str topic, fr_config_place *out)
{
    uint32_t generation;
    fr_str first = fr_topic_first(topic, &generation);
    return table_of_first(config, a, topic, out) ||
           (generation > 1 && table_of_first(config, a, first, out));
}

fr_rc fr_ask_tables(const fr_config *config, size_t source, fr_arena *a, const fr_table ***tables,
                    size_t *count, fr_err *err)
{
    const fr_source_settings *s = &config->sources[source];
    const fr_source_ops *ops = config->source_ops[source];
    fr_source *open = NULL;
    fr_sql *sql = NULL;
    fr_rc rc;
    if (fr_source_polled(s)) {
        rc = ops->sql->open(s, &sql, err);
        if (rc == FR_OK)
            rc = fr_poll_tables(ops->sql, sql, s, a, tables, count, err);
        ops->sql->close(sql);
    } else {
        rc = ops->open(s, &open, err);
        if (rc == FR_OK)
            rc = ops->list_tables(open, a, tables, count, err);
        ops->close(open);
    }
    return rc;
}

size_t fr_ask_snapshots_left(const fr_checkpoint *c)
{
    size_t i = 0, left = 0;
    fr_str key;
    void *value;
    while (fr_map_next(c->snapshots, &i, &key, &value))
        left += ((const fr_snapshot_progress *)value)->left_count > 0 ? 1 : 0;
    return left;
}

fr_str fr_ask_who(fr_arena *a)
{
    char host[64] = "localhost";
    const char *user = getenv("SUDO_USER");
    const struct passwd *p = getpwuid(getuid());
    gethostname(host, sizeof(host) - 1);
    user = user != NULL && user[0] != '\0' ? user : p != NULL ? p->pw_name : "somebody";
    return fr_arena_printf(a, "%.100s@%s", user, host);
}
