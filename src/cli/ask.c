#include "cli/ask.h"
#include "model/name.h"
#include <string.h>

static fr_rc get(fr_cli *cli, const char *where, const char *path, const char *token, json_t **out,
                 fr_err *err)
{
    int status = 0;
    fr_str body;
    FR_TRY(fr_http_get(where, path, token, cli->arena, &status, &body, err));
    if (status == 200)
        return fr_json_parse(body, out, err);
    bool login = status == 401 || status == 403;
    fr_fail(err, login ? FR_ERR_AUTH : FR_ERR_CONNECT, "%s%s answered %d", where, path, status);
    return fr_fail_code(err, "http.answer");
}

fr_rc fr_ask_daemon(fr_cli *cli, const fr_config *config, const char *path, json_t **out,
                    fr_err *err)
{
    if (cli->url != NULL)
        return get(cli, cli->url, path, config == NULL ? NULL : config->http.token, out, err);
    if (config == NULL)
        return fr_fail(err, FR_ERR_BUG, "neither --url nor a configuration says where to ask");
    const char *token = config->http.token;
    const char *socket = config->http.socket, *listen = config->http.listen;
    fr_rc rc = FR_FAIL;
    fr_fail(err, FR_ERR_CONNECT, "the configuration has neither http.socket nor http.listen");
    fr_fail_code(err, "http.no_daemon");
    if (socket != NULL && *socket != 0)
        rc = get(cli, fr_arena_cstr(cli->arena, fr_arena_printf(cli->arena, "unix:%s", socket)),
                 path, token, out, err);
    if (rc == FR_OK || strcmp(listen, "none") == 0)
        return rc;
    fr_str url = fr_arena_printf(cli->arena, "%s://%s",
                                 config->http.tls_cert == NULL ? "http" : "https", listen);
    return get(cli, fr_arena_cstr(cli->arena, url), path, token, out, err);
}

fr_rc fr_ask_source(const fr_config *config, fr_str name, size_t *out, fr_err *err)
{
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < config->source_count; i++) {
        if (fr_str_is(name, config->sources[i].name)) {
            *out = i;
            return FR_OK;
        }
        if (n < 256)
            names[n++] = config->sources[i].name;
    }
    const char *near = fr_nearest(name, names, n);
    fr_fail(err, FR_ERR_CONFIG, "there is no source `%.*s`", FR_ARG(name));
    fr_fail_code(err, "cli.no_source");
    return near != NULL ? fr_fail_hint(err, "did you mean `%s`?", near)
                        : fr_fail_hint(err, "freshet config show lists them under sources:");
}

static fr_rc no_table(const fr_source_settings *s, fr_str table, fr_err *err)
{
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < s->table_count && n < 256; i++)
        if (s->tables[i].regex == NULL)
            names[n++] = s->tables[i].pattern;
    const char *near = fr_nearest(table, names, n);
    fr_fail(err, FR_ERR_CONFIG, "source %s does not capture `%.*s`", s->name, FR_ARG(table));
    fr_fail_code(err, "cli.no_table");
    return near != NULL ? fr_fail_hint(err, "did you mean `%s/%s`?", s->name, near)
                        : fr_fail_hint(err, "write source/space.table, or the name of a topic");
}

fr_rc fr_ask_topic(const fr_config *config, fr_arena *a, const char *word, const char **out,
                   fr_err *err)
{
    const char *slash = strchr(word, '/'), *dot = slash == NULL ? NULL : strchr(slash, '.');
    if (slash == NULL) {
        *out = word;
        return FR_OK;
    }
    size_t i;
    FR_TRY(fr_ask_source(config, (fr_str){word, (size_t)(slash - word)}, &i, err));
    const fr_source_settings *s = &config->sources[i];
    if (dot == NULL)
        return no_table(s, fr_cstr(slash + 1), err);
    fr_str space = {slash + 1, (size_t)(dot - slash - 1)}, name = fr_cstr(dot + 1);
    const fr_table_settings *t = fr_source_match(s, space, name);
    if (t == NULL)
        return no_table(s, fr_cstr(slash + 1), err);
    const fr_pair vars[] = {{"source", s->name},
                            {"prefix", s->prefix},
                            {"space", fr_arena_cstr(a, space)},
                            {"table", fr_arena_cstr(a, name)}};
    fr_str topic;
    FR_TRY(fr_template_expand(a, t->topic, vars, 4, &topic, err));
    *out = fr_arena_cstr(a, fr_topic_legal(a, topic));
    return FR_OK;
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
