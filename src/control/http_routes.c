#include "control/http_internal.h"

#include "base/json.h"
#include "progress/checkpoint.h"

#include <inttypes.h>
#include <string.h>

void fr_http_error(fr_answer *out, int status, const char *code, const char *text, const char *hint)
{
    out->status = status;
    out->type = "application/json";
    out->tagged = false;
    out->body.len = 0;
    fr_buf_printf(&out->body, "{\"error\":{\"code\":\"%s\",\"text\":", code);
    fr_buf_json(&out->body, fr_cstr(text));
    fr_buf_text(&out->body, ",\"hint\":");
    fr_buf_json(&out->body, fr_cstr(hint));
    fr_buf_text(&out->body, "}}\n");
}

bool fr_http_is_probe(const char *path)
{
    return strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0 ||
           strcmp(path, "/version") == 0;
}

/* --- probes ----------------------------------------------------------------------------- */

static void healthz(fr_board *board, fr_answer *out)
{
    fr_buf names = {0};
    bool stalled = fr_board_stalled(board, &names);
    out->status = stalled ? 503 : 200;
    fr_buf_printf(&out->body, "{\"healthy\":%s", stalled ? "false" : "true");
    if (stalled) {
        fr_buf_text(&out->body, ",\"stalled\":");
        fr_buf_json(&out->body, fr_buf_view(&names));
    }
    fr_buf_text(&out->body, "}\n");
    fr_buf_free(&names);
}

static void readyz(fr_board *board, fr_answer *out)
{
    fr_buf line = {0};
    bool ready = fr_board_ready(board);
    fr_board_line(board, &line);
    out->status = ready ? 200 : 503;
    fr_buf_printf(&out->body, "{\"ready\":%s,\"summary\":", ready ? "true" : "false");
    fr_buf_json(&out->body, fr_buf_view(&line));
    fr_buf_text(&out->body, "}\n");
    fr_buf_free(&line);
}

/* --- parts of the document -------------------------------------------------------------- */

static json_t *document_of(fr_board *board)
{
    fr_buf text = {0};
    fr_err err;
    json_t *doc = NULL;
    fr_board_json(board, &text);
    if (fr_json_parse(fr_buf_view(&text), &doc, &err) == FR_FAIL)
        doc = json_object(); /* cannot be: we wrote it */
    fr_buf_free(&text);
    return doc;
}

static void put_json(fr_answer *out, const json_t *j)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf_str(&out->body, fr_json_text(a, j));
    fr_buf_text(&out->body, "\n");
    fr_arena_free(a);
    out->tagged = true;
}

/* {"sources":[...]}: the parts of this kind, whole. */
static void parts(fr_board *board, const char *kind, const char *name, fr_answer *out)
{
    size_t i;
    json_t *part, *doc = document_of(board), *list = json_array();
    json_array_foreach(json_object_get(doc, "parts"), i, part)
    {
        if (strcmp(fr_json_str(part, "kind", ""), kind) == 0)
            json_array_append(list, part);
    }
    json_t *result = json_pack("{s:o}", name, list);
    put_json(out, result);
    json_decref(result);
    json_decref(doc);
}

/* "erp/public.orders" and, where only one source has it, "public.orders". */
static bool is_named(const json_t *part, const json_t *table, const char *wanted)
{
    const char *part_name = fr_json_str(part, "name", "");
    const char *name = fr_json_str(table, "name", "");
    size_t len = strlen(part_name);
    if (strncmp(wanted, part_name, len) == 0 && wanted[len] == '/')
        return strcmp(wanted + len + 1, name) == 0;
    return strcmp(wanted, name) == 0;
}

/* The tables of one part, or that of this name; each says whose it is. */
static void add_tables(json_t *list, const json_t *part, const char *wanted)
{
    size_t i;
    json_t *table;
    json_array_foreach(json_object_get(part, "tables"), i, table)
    {
        if (wanted != NULL && !is_named(part, table, wanted))
            continue;
        json_object_set(table, "kind", json_object_get(part, "kind"));
        json_object_set(table, "part", json_object_get(part, "name"));
        json_array_append(list, table);
    }
}

static json_t *tables_of(const json_t *doc, const char *wanted)
{
    size_t i;
    json_t *part, *list = json_array();
    json_array_foreach(json_object_get(doc, "parts"), i, part)
    {
        add_tables(list, part, wanted);
    }
    return list;
}

static void tables(fr_board *board, const char *wanted, fr_answer *out)
{
    json_t *doc = document_of(board), *list = tables_of(doc, wanted);
    if (wanted != NULL && json_array_size(list) == 0) {
        fr_http_error(out, 404, "http.no_such_table", "there is no such table",
                      "GET /v1/tables lists them; the name is source/schema.table");
    } else {
        json_t *result = json_pack("{s:O}", "tables", list);
        put_json(out, result);
        json_decref(result);
    }
    json_decref(list);
    json_decref(doc);
}

/* --- routes ----------------------------------------------------------------------------- */

static void metrics(const fr_http_settings *settings, fr_board *board, fr_answer *out)
{
    if (!settings->metrics) {
        fr_http_error(out, 404, "http.metrics_off", "metrics are off", "set http.metrics: true");
        return;
    }
    out->type = "text/plain; version=0.0.4; charset=utf-8";
    fr_board_metrics(board, (size_t)settings->metrics_max_tables, &out->body);
}

static void status(fr_board *board, fr_answer *out)
{
    fr_board_json(board, &out->body);
    fr_buf_text(&out->body, "\n");
    out->tagged = true;
}

/* --- what changes something ------------------------------------------------------------- */

const char fr_http_snapshots[] = "/v1/snapshots";
const char fr_http_snapshots_cancel[] = "/v1/snapshots:cancel";

/* Longer than any source, space and table together; short enough to be whole in an error. */
enum { TABLE_MAX = 800 };

static void put_request(fr_buf *b, const char *table, const char *state, const fr_err *why)
{
    fr_buf_text(b, "{\"table\":");
    fr_buf_json(b, fr_cstr(table));
    fr_buf_printf(b, ",\"state\":\"%s\"", state);
    if (strcmp(state, "refused") == 0) {
        fr_buf_text(b, ",\"why\":{\"code\":");
        fr_buf_json(b, fr_cstr(why->code));
        fr_buf_text(b, ",\"text\":");
        fr_buf_json(b, fr_cstr(why->text));
        fr_buf_text(b, ",\"hint\":");
        fr_buf_json(b, fr_cstr(why->hint));
        fr_buf_text(b, "}");
    }
    fr_buf_text(b, "}\n");
}

void fr_http_route_snapshot(const fr_http_actions *actions, fr_http_snapshot *q, fr_answer *out)
{
    const char *state;
    fr_err err, why;
    q->where = q->where == NULL ? "" : q->where;
    out->status = q->verb == FR_SNAPSHOT_LOOK ? 200 : 202;
    out->type = "application/json";
    if (q->table == NULL || q->table[0] == '\0') {
        fr_http_error(out, 400, "http.no_table", "which table?",
                      "/v1/snapshots?table=source/space.table");
    } else if (q->where[0] != '\0' && q->verb != FR_SNAPSHOT_START) {
        fr_http_error(out, 400, "http.where", "only a start takes where=", "leave it out");
    } else if (strlen(q->table) > TABLE_MAX || !fr_utf8_valid(fr_cstr(q->table))) {
        fr_http_error(out, 400, "http.bad_table",
                      "this can be no table's name: too long, or no UTF-8",
                      "/v1/snapshots?table=source/space.table, percent-encoded UTF-8");
    } else if (strlen(q->where) > FR_WHERE_MAX || !fr_utf8_valid(fr_cstr(q->where))) {
        char hint[120];
        snprintf(hint, sizeof(hint),
                 "a condition as it stands after WHERE, of at most %d bytes of UTF-8, "
                 "percent-encoded",
                 FR_WHERE_MAX);
        fr_http_error(out, 400, "http.bad_where", "where= is too long, or no UTF-8", hint);
    } else if (actions == NULL || actions->snapshot == NULL) {
        fr_http_error(out, 503, "http.no_sources", "nothing runs here", "");
    } else if (actions->snapshot(actions->context, q, &state, &why, &err) == FR_FAIL) {
        fr_http_error(out, err.kind == FR_ERR_CONFIG ? 404 : 503, err.code, err.text, err.hint);
    } else {
        put_request(&out->body, q->table, state, &why);
    }
}

/* ---- what the operator wants ---- */

static bool read_verb(const char *verb, bool table, fr_will *out)
{
    static const struct {
        const char *name;
        fr_will_state state;
        bool restart, of_tables;
    } verbs[] = {{"pause", FR_WILL_PAUSED, false, true},
                 {"resume", FR_WILL_RUNNING, false, true},
                 {"restart", FR_WILL_RUNNING, true, true},
                 {"stop", FR_WILL_STOPPED, false, false}};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verb, verbs[i].name) == 0 && (!table || verbs[i].of_tables)) {
            *out = (fr_will){.state = verbs[i].state, .restart = verbs[i].restart};
            return true;
        }
    return false;
}

bool fr_http_read_will(const char *path, fr_arena *a, fr_http_will *out, fr_will *will)
{
    static const struct {
        const char *prefix;
        fr_target_of of;
    } groups[] = {{"/v1/tables/", FR_OF_TABLES},
                  {"/v1/sources/", FR_OF_SOURCES},
                  {"/v1/sinks/", FR_OF_SINKS}};
    const char *colon = strrchr(path, ':');
    for (size_t i = 0; colon != NULL && i < sizeof(groups) / sizeof(groups[0]); i++) {
        size_t len = strlen(groups[i].prefix);
        if (strncmp(path, groups[i].prefix, len) != 0 || colon <= path + len)
            continue;
        fr_str name = {path + len, (size_t)(colon - path) - len};
        out->of = groups[i].of;
        out->name = fr_arena_cstr(a, name);
        return read_verb(colon + 1, out->of == FR_OF_TABLES, will);
    }
    return false;
}

static void put_will(fr_buf *b, const fr_will *w)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf_text(b, "{\"target\":");
    fr_buf_json(b, fr_will_key(a, &w->target));
    fr_buf_printf(b, ",\"state\":\"%s\",\"at_us\":%" PRId64 "}\n", fr_will_state_name(w->state),
                  w->at_us);
    fr_arena_free(a);
}

static void no_will(fr_answer *out, const fr_err *err)
{
    bool unknown = strncmp(err->code, "cli.no_", 7) == 0;
    int status = err->kind != FR_ERR_CONFIG ? 503 : unknown ? 404 : 400;
    fr_http_error(out, status, err->code, err->text, fr_err_hint(err));
}

void fr_http_route_will(const fr_http_actions *actions, const char *path, const fr_http_said *said,
                        fr_answer *out)
{
    fr_arena *a = fr_arena_new(0);
    fr_http_will q = {.name = ""};
    fr_will w = {.state = FR_WILL_RUNNING};
    fr_err err;
    out->status = 202;
    out->type = "application/json";
    fr_http_read_will(path, a, &q, &w);
    w.by = fr_cstr(said->by == NULL || said->by[0] == '\0' ? "http" : said->by);
    w.why = fr_cstr(said->why == NULL ? "" : said->why);
    w.anew = said->anew != NULL && strcmp(said->anew, "true") == 0;
    if (strlen(q.name) > TABLE_MAX || !fr_utf8_valid(fr_cstr(q.name)))
        fr_http_error(out, 400, "http.bad_table",
                      "this can be no target's name: too long, or no UTF-8",
                      "/v1/tables/source/space.table:pause, percent-encoded UTF-8");
    else if (w.anew && w.state != FR_WILL_RUNNING)
        fr_http_error(out, 400, "control.verb", "anew= goes with :resume", "leave it out");
    else if (actions == NULL || actions->will == NULL)
        fr_http_error(out, 503, "http.no_sources", "nothing runs here", "");
    else if (actions->will(actions->context, &q, &w, &err) == FR_FAIL)
        no_will(out, &err);
    else
        put_will(&out->body, &w);
    fr_arena_free(a);
}

void fr_http_route(const fr_http_settings *settings, fr_board *board, const char *path,
                   fr_answer *out)
{
    static const char one_table[] = "/v1/tables/";
    out->status = 200;
    out->type = "application/json";
    if (strcmp(path, "/healthz") == 0)
        healthz(board, out);
    else if (strcmp(path, "/readyz") == 0)
        readyz(board, out);
    else if (strcmp(path, "/version") == 0)
        fr_buf_text(&out->body, "{\"name\":\"freshet\",\"version\":\"" FR_VERSION "\"}\n");
    else if (strcmp(path, "/metrics") == 0)
        metrics(settings, board, out);
    else if (strcmp(path, "/v1/status") == 0)
        status(board, out);
    else if (strcmp(path, "/v1/sources") == 0)
        parts(board, "source", "sources", out);
    else if (strcmp(path, "/v1/sinks") == 0)
        parts(board, "sink", "sinks", out);
    else if (strcmp(path, "/v1/tables") == 0)
        tables(board, NULL, out);
    else if (strncmp(path, one_table, sizeof(one_table) - 1) == 0)
        tables(board, path + sizeof(one_table) - 1, out);
    else
        fr_http_error(out, 404, "http.no_such_path", "there is nothing here",
                      "paths: /healthz /readyz /version /metrics /v1/status /v1/sources /v1/sinks "
                      "/v1/tables /v1/snapshots /v1/snapshots:cancel, and POST to "
                      "/v1/tables/NAME:pause and its like");
}
