/* freshet test: given a row, are the events those that are expected? */
#include "cli/cli.h"
#include "cli/trial.h"
#include <stdio.h>
#include <string.h>

typedef struct report {
    fr_cli *cli;
    json_t *tests; /* of result */
    fr_buf junit;  /* the cases */
    const char *file;
    size_t passed, failed, bad;
    int64_t took_us;
} report;

/* ---- text ---------------------------------------------------------------------------------- */

static void put_cells(fr_buf *b, const char *label, const fr_trial_cells *cells)
{
    if (cells->count == 0)
        return;
    fr_buf_printf(b, " %s {", label);
    for (size_t i = 0; i < cells->count; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        fr_buf_shown(b, cells->items[i].name);
        fr_buf_text(b, ": ");
        fr_buf_shown(b, cells->items[i].null ? FR_STR("null") : cells->items[i].text);
    }
    fr_buf_text(b, "}");
}

static void put_events(fr_buf *b, const fr_trial *t)
{
    if (t->event_count == 0 && !t->failed)
        fr_buf_text(b, "      came: nothing\n");
    for (size_t i = 0; i < t->event_count; i++) {
        const fr_trial_event *e = &t->events[i];
        fr_buf_printf(b, "      came: %s ", e->op);
        fr_buf_shown(b, e->topic);
        put_cells(b, "key", &e->key);
        put_cells(b, "before", &e->before);
        put_cells(b, "after", &e->after);
        fr_buf_text(b, "\n");
    }
}

static void put_differences(fr_buf *b, const fr_trial *t)
{
    for (size_t i = 0; i < t->difference_count; i++) {
        const fr_trial_difference *d = &t->differences[i];
        fr_buf_text(b, "      ");
        fr_buf_shown(b, fr_cstr(d->what));
        fr_buf_text(b, "\n        expected  ");
        fr_buf_shown(b, d->expected);
        fr_buf_text(b, "\n        got       ");
        fr_buf_shown(b, d->got);
        fr_buf_text(b, "\n");
    }
}

static void put_error(fr_buf *b, const fr_trial *t)
{
    fr_buf_text(b, "      ");
    fr_buf_shown(b, fr_cstr(t->err.text));
    fr_buf_text(b, "\n      → ");
    fr_buf_shown(b, fr_cstr(fr_err_hint(&t->err)));
    fr_buf_text(b, "\n");
}

static void put_trial(report *r, const fr_trial *t)
{
    fr_buf *b = &r->cli->out;
    bool good = t->verdict == FR_TRIAL_PASSED;
    fr_buf_text(b, fr_cli_glyph(r->cli, good ? FR_GLYPH_FINE : FR_GLYPH_FAIL));
    fr_buf_shown(b, fr_cstr(t->test->name));
    if (!good)
        fr_buf_printf(b, "   %s", t->test->place);
    fr_buf_text(b, "\n");
    if (good && !r->cli->verbose)
        return;
    if (t->verdict == FR_TRIAL_BAD)
        put_error(b, t);
    else
        put_differences(b, t);
    put_events(b, t);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *cells_json(const fr_trial_cells *cells)
{
    json_t *j = json_object();
    for (size_t i = 0; i < cells->count; i++)
        json_object_setn_new(j, cells->items[i].name.ptr, cells->items[i].name.len,
                             cells->items[i].null ? json_null()
                                                  : fr_cli_json_text(cells->items[i].text));
    return j;
}

static json_t *trial_json(const report *r, const fr_trial *t)
{
    static const char *const verdicts[] = {"passed", "failed", "bad"};
    json_t *events = json_array(), *differences = json_array();
    for (size_t i = 0; i < t->event_count; i++) {
        const fr_trial_event *e = &t->events[i];
        json_array_append_new(
            events, json_pack("{s:s,s:o,s:o,s:o,s:o}", "op", e->op, "topic",
                              fr_cli_json_text(e->topic), "key", cells_json(&e->key), "before",
                              cells_json(&e->before), "after", cells_json(&e->after)));
    }
    for (size_t i = 0; i < t->difference_count; i++)
        json_array_append_new(differences,
                              json_pack("{s:s,s:o,s:o}", "what", t->differences[i].what, "expected",
                                        fr_cli_json_text(t->differences[i].expected), "got",
                                        fr_cli_json_text(t->differences[i].got)));
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "file", r->file, "name", t->test->name,
                          "table", t->test->table, "place", t->test->place, "verdict",
                          verdicts[t->verdict], "differences", differences, "events", events);
    if (t->failed)
        json_object_set_new(j, "error",
                            json_pack("{s:s,s:s,s:s}", "code", t->err.code, "message", t->err.text,
                                      "fix", fr_err_hint(&t->err)));
    return j;
}

/* ---- JUnit --------------------------------------------------------------------------------- */

/* What XML 1.0 does not allow is left out. */
static void put_xml(fr_buf *b, fr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '<')
            fr_buf_text(b, "&lt;");
        else if (c == '>')
            fr_buf_text(b, "&gt;");
        else if (c == '&')
            fr_buf_text(b, "&amp;");
        else if (c == '"')
            fr_buf_text(b, "&quot;");
        else if (c == '\n')
            fr_buf_text(b, "&#10;");
        else if (c >= 0x20 || c == '\t')
            fr_buf_u8(b, c);
    }
}

static void put_case(report *r, const fr_trial *t)
{
    fr_buf *b = &r->junit;
    fr_buf_text(b, "  <testcase name=\"");
    put_xml(b, fr_cstr(t->test->name));
    fr_buf_text(b, "\" classname=\"");
    put_xml(b, fr_cstr(t->test->table));
    fr_buf_text(b, "\" file=\"");
    put_xml(b, fr_cstr(t->test->place));
    fr_buf_printf(b, "\" time=\"%.3f\"", (double)t->took_us / 1e6);
    if (t->verdict == FR_TRIAL_PASSED) {
        fr_buf_text(b, "/>\n");
        return;
    }
    const char *word = t->verdict == FR_TRIAL_BAD ? "error" : "failure";
    fr_buf said = {0};
    if (t->verdict == FR_TRIAL_BAD)
        put_error(&said, t);
    put_differences(&said, t);
    put_events(&said, t);
    fr_buf_printf(b, ">\n    <%s message=\"", word);
    put_xml(b, t->verdict == FR_TRIAL_BAD ? fr_cstr(t->err.text) : fr_cstr(t->differences[0].what));
    fr_buf_text(b, "\">");
    put_xml(b, fr_buf_view(&said));
    fr_buf_printf(b, "</%s>\n  </testcase>\n", word);
    fr_buf_free(&said);
}

static fr_rc write_junit(const report *r, const char *name, fr_err *err)
{
    fr_buf b = {0};
    fr_buf_printf(&b,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"freshet\" "
                  "tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" time=\"%.3f\">\n",
                  r->passed + r->failed + r->bad, r->failed, r->bad, (double)r->took_us / 1e6);
    fr_buf_str(&b, fr_buf_view(&r->junit));
    fr_buf_text(&b, "</testsuite>\n");
    fr_rc rc = fr_cli_write_file(name, fr_buf_view(&b), err);
    fr_buf_free(&b);
    return rc;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void run_one(report *r, const fr_config *config, const fr_test *test)
{
    fr_arena *a = fr_arena_new(0);
    fr_trial t;
    fr_trial_run(config, test, a, &t);
    size_t *counts[] = {&r->passed, &r->failed, &r->bad};
    ++*counts[t.verdict];
    r->took_us += t.took_us;
    put_trial(r, &t);
    put_case(r, &t);
    json_array_append_new(r->tests, trial_json(r, &t));
    fr_trial_close(&t);
    fr_arena_free(a);
}

static fr_rc run_file(report *r, const char *file, fr_err *err)
{
    fr_config *config;
    const char *given = r->cli->config;
    r->cli->config = file;
    fr_rc rc = fr_cli_config(r->cli, &(fr_config_flags){.offline = true}, &config, err);
    r->cli->config = given;
    FR_TRY(rc);
    r->file = fr_arena_cstr(r->cli->arena, fr_cstr(config->file));
    for (size_t i = 0; i < config->test_count; i++)
        run_one(r, config, &config->tests[i]);
    fr_config_free(config);
    return FR_OK;
}

static int finish(report *r)
{
    fr_err err;
    const char *junit = fr_cli_flag(r->cli, "junit");
    size_t all = r->passed + r->failed + r->bad;
    if (junit != NULL && write_junit(r, junit, &err) == FR_FAIL)
        return fr_cli_fail(r->cli, &err);
    if (all == 0)
        fr_cli_summary(r->cli, "no tests: the configuration has none under tests:");
    else if (r->bad > 0)
        fr_cli_summary(r->cli, "%zu passed, %zu failed, %zu that cannot be run", r->passed,
                       r->failed, r->bad);
    else
        fr_cli_summary(r->cli, "%zu passed, %zu failed", r->passed, r->failed);
    return r->bad > 0 ? fr_err_exit(FR_ERR_CONFIG) : r->failed > 0 ? FR_EXIT_NO : 0;
}

int fr_cmd_test(fr_cli *cli)
{
    report r = {.cli = cli, .tests = json_array()};
    fr_err err;
    fr_rc rc = FR_OK;
    json_object_set_new(fr_cli_result(cli), "tests", r.tests);
    if (cli->arg_count == 0)
        rc = run_file(&r, cli->config, &err);
    for (size_t i = 0; i < cli->arg_count && rc == FR_OK; i++)
        rc = run_file(&r, cli->args[i], &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : finish(&r);
    fr_buf_free(&r.junit);
    return code;
}
