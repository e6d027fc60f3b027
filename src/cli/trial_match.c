/* What came against what is expected. Fields that are not named are not looked at. */
#include "cli/trial.h"
#include <stdio.h>
#include <string.h>

static void differ(fr_trial *t, const char *what, fr_str expected, fr_str got)
{
    if (t->difference_count == t->difference_cap) {
        t->difference_cap = t->difference_cap == 0 ? 8 : t->difference_cap * 2;
        fr_trial_difference *more = fr_arena_alloc(t->arena, t->difference_cap * sizeof(*more));
        if (t->difference_count > 0)
            memcpy(more, t->differences, t->difference_count * sizeof(*more));
        t->differences = more;
    }
    t->differences[t->difference_count++] = (fr_trial_difference){what, expected, got};
}

/* "~regex". FR_END: it does not match; CONFIG: no regex. */
static fr_rc match_regex(fr_trial *t, const char *regex, fr_str text)
{
    void *compiled = NULL;
    fr_str slashed = fr_arena_printf(t->arena, "/%s/", regex);
    FR_TRY(fr_pattern_compile(fr_arena_cstr(t->arena, slashed), &compiled, &t->err));
    bool match = fr_pattern_match(compiled, text);
    fr_pattern_free(compiled);
    return match ? FR_OK : FR_END;
}

/* FR_END: another text. */
static fr_rc match_text(fr_trial *t, const char *want, fr_str got)
{
    if (want[0] == '~')
        return match_regex(t, want + 1, got);
    return fr_str_is(got, want) ? FR_OK : FR_END;
}

/* Also 12.5 for 12.50, and a time in another spelling. */
static bool same_value(fr_arena *a, const fr_column *c, const char *want, fr_str got)
{
    fr_value x, y;
    fr_err ignored;
    return c != NULL && fr_trial_value(a, c, fr_cstr(want), &x, &ignored) == FR_OK &&
           fr_trial_value(a, c, got, &y, &ignored) == FR_OK && fr_value_same(&x, &y);
}

static const fr_trial_cell *find(const fr_trial_cells *cells, const char *name)
{
    for (size_t i = 0; i < cells->count; i++)
        if (fr_str_is(cells->items[i].name, name))
            return &cells->items[i];
    return NULL;
}

static fr_str shown(const fr_trial_cell *got)
{
    if (got == NULL)
        return FR_STR("no such field");
    return got->null ? FR_STR("null") : got->text;
}

static fr_rc match_cells(fr_trial *t, const char *part, const fr_cells *want,
                         const fr_trial_cells *got)
{
    for (size_t i = 0; i < want->count; i++) {
        const fr_cell *w = &want->items[i];
        const fr_trial_cell *g = find(got, w->name);
        fr_rc rc = FR_END;
        if (g != NULL && g->null)
            rc = w->text == NULL ? FR_OK : FR_END;
        else if (g != NULL && w->text != NULL)
            rc = match_text(t, w->text, g->text);
        FR_TRY(rc);
        if (rc == FR_OK || (g != NULL && !g->null && w->text != NULL && w->text[0] != '~' &&
                            same_value(t->arena, g->column, w->text, g->text)))
            continue;
        fr_str what = fr_arena_printf(t->arena, "%s.%s", part, w->name);
        differ(t, fr_arena_cstr(t->arena, what),
               w->text == NULL ? FR_STR("null") : fr_cstr(w->text), shown(g));
    }
    return FR_OK;
}

/* Appends what is different. */
static fr_rc match_event(fr_trial *t, const fr_trial_event *e)
{
    const fr_test *w = t->test;
    if (w->want_op != NULL && strcmp(w->want_op, e->op) != 0)
        differ(t, "op", fr_cstr(w->want_op), fr_cstr(e->op));
    if (w->topic != NULL) {
        fr_rc rc = match_text(t, w->topic, e->topic);
        FR_TRY(rc);
        if (rc == FR_END)
            differ(t, "topic", fr_cstr(w->topic), e->topic);
    }
    FR_TRY(match_cells(t, "key", &w->want_key, &e->key));
    FR_TRY(match_cells(t, "before", &w->want_before, &e->before));
    return match_cells(t, "after", &w->want_after, &e->after);
}

/* Some event must look as expected; of none, the one that comes nearest is shown. */
static fr_rc match_events(fr_trial *t)
{
    size_t begin = t->difference_count, nearest = SIZE_MAX, which = 0;
    for (size_t i = 0; i < t->event_count; i++) {
        t->difference_count = begin;
        FR_TRY(match_event(t, &t->events[i]));
        size_t wrong = t->difference_count - begin;
        if (wrong == 0)
            return FR_OK;
        if (wrong < nearest) {
            nearest = wrong;
            which = i;
        }
    }
    t->difference_count = begin;
    return t->event_count == 0 ? FR_OK : match_event(t, &t->events[which]);
}

static bool has_field(const fr_trial_event *e, const char *name)
{
    return find(&e->key, name) != NULL || find(&e->before, name) != NULL ||
           find(&e->after, name) != NULL;
}

/* Also a field that is null is one. */
static bool has_column(const fr_trial *t, const char *name)
{
    for (size_t i = 0; i < t->table_count; i++)
        if (fr_table_find(t->tables[i], fr_cstr(name)) >= 0)
            return true;
    for (size_t i = 0; i < t->event_count; i++)
        if (has_field(&t->events[i], name))
            return true;
    return false;
}

static fr_rc match_error(fr_trial *t)
{
    const char *want = t->test->error;
    if (!t->failed) {
        differ(t, "error", fr_cstr(want),
               fr_arena_printf(t->arena, "none, but %zu event%s", t->event_count,
                               t->event_count == 1 ? "" : "s"));
        return FR_OK;
    }
    fr_err had = t->err;
    fr_rc rc = match_text(t, want, fr_cstr(had.code));
    if (rc == FR_END)
        rc = match_text(t, want, fr_cstr(had.text));
    if (rc == FR_END)
        differ(t, "error", fr_cstr(want), fr_arena_printf(t->arena, "%s: %s", had.code, had.text));
    return rc;
}

static fr_rc match_all(fr_trial *t)
{
    const fr_test *w = t->test;
    if (w->error != NULL)
        return match_error(t);
    int64_t count = w->events >= 0 ? w->events : 1;
    if (t->failed) {
        differ(t, "error", FR_STR("none"),
               fr_arena_printf(t->arena, "%s: %s", t->err.code, t->err.text));
        return FR_OK;
    }
    if ((int64_t)t->event_count != count)
        differ(t, "events", fr_arena_printf(t->arena, "%lld", (long long)count),
               fr_arena_printf(t->arena, "%zu", t->event_count));
    for (size_t i = 0; i < w->absent.count; i++)
        if (has_column(t, w->absent.items[i]))
            differ(t, "absent", fr_arena_printf(t->arena, "no field %s", w->absent.items[i]),
                   FR_STR("it is there"));
    return match_events(t);
}

void fr_trial_judge(fr_trial *t)
{
    fr_err had = t->err;
    if (match_all(t) == FR_FAIL) { /* a regex that is none */
        fr_fail_in(&t->err, "%s: %s.expect", t->test->place, t->test->path);
        t->verdict = FR_TRIAL_BAD;
        t->failed = true;
        return;
    }
    t->err = had;
    t->verdict = t->difference_count == 0 ? FR_TRIAL_PASSED : FR_TRIAL_FAILED;
    /* What cannot be published at all is wrong in the configuration, and no row's fault. */
    if (t->verdict == FR_TRIAL_FAILED && t->failed && had.kind == FR_ERR_CONFIG)
        t->verdict = FR_TRIAL_BAD;
}
