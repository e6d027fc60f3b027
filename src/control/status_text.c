/* The document as a person reads it: what is wrong first, the source's disk next, then a line
 * for each table. The document may come from the network, so nothing in it is trusted: any
 * member may be missing or of another type, and control characters never reach a terminal. */
#include "control/status_text.h"
#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAME_WIDTH = 28, STATE_WIDTH = 18, TEXT_MAX = 400 };

typedef struct writer {
    fr_buf *b;
    bool color;
} writer;

typedef enum { GOOD, WARN, BAD } mark;

static void put_mark(writer *w, mark m)
{
    static const char *const plain[] = {"[OK]", "[WARN]", "[FAIL]"};
    static const char *const glyphs[] = {"\033[32m✓\033[0m", "\033[33m⚠\033[0m",
                                         "\033[31m✗\033[0m"};
    fr_buf_text(w->b, w->color ? glyphs[m] : plain[m]);
}

/* Columns that a text takes, without counting what follows in a character. Wide characters
 * count as one: a crooked line is all that comes of it. */
static size_t width_of(const fr_buf *b, size_t from)
{
    size_t n = 0;
    for (size_t i = from; i < b->len; i++)
        n += (b->ptr[i] & 0xC0) != 0x80;
    return n;
}

static void put_clean(fr_buf *b, const char *s)
{
    fr_buf_shown(b, (fr_str){s, strnlen(s, TEXT_MAX)});
}

static void pad_to(fr_buf *b, size_t from, size_t width)
{
    for (size_t n = width_of(b, from); n < width; n++)
        fr_buf_u8(b, ' ');
}

/* Right-aligned, with a space in front. */
static void put_right(fr_buf *b, const char *text, size_t width)
{
    size_t len = strlen(text);
    fr_buf_printf(b, " %*s%s", (int)(len < width ? width - len : 0), "", text);
}

/* --- numbers ---------------------------------------------------------------------------- */

/* NaN: missing, null or not a number. */
static double number(const json_t *obj, const char *key)
{
    const json_t *j = json_object_get(obj, key);
    double v = json_is_number(j) ? json_number_value(j) : (double)NAN;
    return isfinite(v) && fabs(v) < 1e18 ? v : (double)NAN;
}

static void duration_text(char *out, size_t size, double s)
{
    if (isnan(s) || s < 0)
        snprintf(out, size, "-");
    else if (s < 60)
        snprintf(out, size, "%.1fs", s);
    else if (s < 3600)
        snprintf(out, size, "%.0fm%02.0fs", floor(s / 60), floor(fmod(s, 60)));
    else if (s < 86400)
        snprintf(out, size, "%.0fh%02.0fm", floor(s / 3600), floor(fmod(s, 3600) / 60));
    else
        snprintf(out, size, "%.0fd%02.0fh", floor(s / 86400), floor(fmod(s, 86400) / 3600));
}

static void count_text(char *out, size_t size, double n)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    size_t u = 0;
    while (n >= 1000 && u + 1 < sizeof(units) / sizeof(units[0])) {
        n /= 1000;
        u++;
    }
    if (isnan(n))
        snprintf(out, size, "-");
    else
        snprintf(out, size, u == 0 ? "%.0f%s" : "%.1f%s", n, units[u]);
}

static void bytes_text(char *out, size_t size, double n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t u = 0;
    while (fabs(n) >= 1000 && u + 1 < sizeof(units) / sizeof(units[0])) {
        n /= 1000;
        u++;
    }
    snprintf(out, size, u == 0 ? "%.0f %s" : "%.1f %s", n, units[u]);
}

/* Seconds since then, by our clock, negative before; NaN when it is no time of ours. */
static double signed_age_of(const char *stamp)
{
    struct tm tm = {0};
    if (stamp == NULL || strptime(stamp, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return (double)NAN;
    time_t then = timegm(&tm);
    return (double)fr_wall_us() / 1e6 - (double)then;
}

static double age_of(const char *stamp)
{
    double age = signed_age_of(stamp);
    return age < 0 ? 0 : age;
}

/* --- states ----------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static mark mark_of(const char *state)
{
    static const char *const bad[] = {"failed", "blocked", NULL};
    static const char *const warn[] = {"throttled", "paused",  "retrying",
                                       "stopped",   "pending", NULL};
    return is_one_of(state, bad) ? BAD : is_one_of(state, warn) ? WARN : GOOD;
}

static void put_separator(writer *w, bool *first)
{
    fr_buf_text(w->b, *first ? "" : w->color ? " · " : ", ");
    *first = false;
}

/* "1 blocked · 1 throttled · 126 ok" */
static void put_counts(writer *w, const json_t *doc)
{
    const char *state;
    json_t *n;
    long long good = 0;
    bool first = true;
    for (mark m = BAD; m > GOOD; m--) {
        json_object_foreach(json_object_get(doc, "states"), state, n)
        {
            if (mark_of(state) != m || !json_is_integer(n))
                continue;
            put_separator(w, &first);
            put_mark(w, m);
            fr_buf_printf(w->b, " %lld ", (long long)json_integer_value(n));
            put_clean(w->b, state);
        }
    }
    json_object_foreach(json_object_get(doc, "states"), state, n)
    {
        long long v = mark_of(state) == GOOD && json_is_integer(n) ? json_integer_value(n) : 0;
        if (__builtin_add_overflow(good, v, &good))
            good = INT64_MAX;
    }
    put_separator(w, &first);
    fr_buf_printf(w->b, "%lld ok\n", good);
}

static void put_head(writer *w, const json_t *doc)
{
    char up[32];
    duration_text(up, sizeof(up), age_of(fr_json_str(doc, "up_since", NULL)));
    put_clean(w->b, fr_json_str(doc, "pipeline", "?"));
    fr_buf_printf(w->b, "  up %s  (worker ", up);
    put_clean(w->b, fr_json_str(doc, "worker", "?"));
    fr_buf_text(w->b, ")     ");
    put_counts(w, doc);
}

/* --- parts ------------------------------------------------------------------------------ */

static void put_part_name(writer *w, const json_t *part)
{
    size_t from = w->b->len;
    put_clean(w->b, fr_json_str(part, "name", "?"));
    fr_buf_text(w->b, " (");
    put_clean(w->b, fr_json_str(part, "type", "?"));
    fr_buf_text(w->b, " ");
    put_clean(w->b, fr_json_str(part, "kind", "?"));
    fr_buf_text(w->b, ")");
    pad_to(w->b, from, NAME_WIDTH);
}

/* "WAL kept 31.0 GB of 50.0 GB, +2.1 GB/h: limit in 9h00m" */
static void put_retained(writer *w, const json_t *part)
{
    const json_t *c = json_object_get(part, "connector");
    double kept = number(c, "retained_bytes"), limit = number(c, "retained_limit");
    double growth = number(c, "retained_growth"), left = number(c, "limit_in_seconds");
    char text[48];
    if (isnan(kept))
        return;
    bytes_text(text, sizeof(text), kept);
    fr_buf_printf(w->b, ", log kept %s", text);
    if (!isnan(limit)) {
        bytes_text(text, sizeof(text), limit);
        fr_buf_printf(w->b, " of %s", text);
    } else {
        fr_buf_text(w->b, " (no limit is set)");
    }
    if (!isnan(growth) && growth > 0) {
        bytes_text(text, sizeof(text), growth * 3600);
        fr_buf_printf(w->b, ", +%s/h", text);
    }
    if (!isnan(left)) {
        duration_text(text, sizeof(text), left);
        fr_buf_printf(w->b, ": limit in %s", text);
    }
}

bool fr_status_retained(const json_t *part, fr_buf *out)
{
    writer w = {out, false};
    fr_buf b = {0};
    w.b = &b;
    put_retained(&w, part);
    bool known = b.len > 2;
    if (known)
        fr_buf_put(out, b.ptr + 2, b.len - 2);
    fr_buf_free(&b);
    return known;
}

static mark part_mark(const json_t *part)
{
    const json_t *c = json_object_get(part, "connector");
    double kept = number(c, "retained_bytes"), limit = number(c, "retained_limit");
    double left = number(c, "limit_in_seconds");
    mark m = mark_of(fr_json_str(part, "state", ""));
    if (m == GOOD &&
        (fr_json_str(part, "stalled", NULL) != NULL || kept > 0.5 * limit || left < 86400))
        m = WARN;
    return m;
}

static void put_note(writer *w, const char *label, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fr_buf_text(w->b, label);
    put_clean(w->b, text);
    fr_buf_text(w->b, "\n");
}

static void put_next(writer *w, const char *text)
{
    put_note(w, w->color ? "    → " : "    -> ", text);
}

/* A part that rests because somebody wants it: how it goes on. */
static void put_resume(writer *w, const json_t *part)
{
    const char *wanted = fr_json_str(json_object_get(part, "will"), "state", "running");
    char text[200];
    snprintf(text, sizeof(text), "freshet resume %s", fr_json_str(part, "name", "?"));
    if (strcmp(wanted, "running") != 0 && mark_of(fr_json_str(part, "state", "")) != GOOD)
        put_next(w, text);
}

/* "held back by public.employee and 2 more": why a source's log is kept. */
static void put_held_back(writer *w, const json_t *part)
{
    size_t i, n = 0;
    const json_t *table;
    char text[300] = "";
    json_array_foreach(json_object_get(part, "tables"), i, table)
    {
        if (!json_is_object(json_object_get(table, "held")))
            continue;
        if (n++ == 0)
            snprintf(text, sizeof(text), "%s", fr_json_str(table, "name", "?"));
    }
    if (n == 0 || isnan(number(json_object_get(part, "connector"), "retained_bytes")))
        return;
    fr_buf_text(w->b, "    log held back by ");
    put_clean(w->b, text);
    if (n > 1)
        fr_buf_printf(w->b, " and %zu more", n - 1);
    fr_buf_text(w->b, "\n");
}

static void put_part(writer *w, const json_t *part)
{
    char text[48];
    const json_t *error = json_object_get(part, "error");
    size_t from;
    put_mark(w, part_mark(part));
    fr_buf_text(w->b, " ");
    put_part_name(w, part);
    fr_buf_text(w->b, " ");
    from = w->b->len;
    put_clean(w->b, fr_json_str(part, "state", "?"));
    pad_to(w->b, from, 12);
    duration_text(text, sizeof(text), number(part, "lag_seconds"));
    fr_buf_printf(w->b, " lag %s", text);
    put_retained(w, part);
    double dead = number(part, "dead_letters");
    if (dead > 0)
        fr_buf_printf(w->b, ", %.0f dead letters", dead);
    fr_buf_text(w->b, "\n");
    const char *next = fr_json_str(part, "next_try", NULL);
    put_note(w, "    why: ", fr_json_str(part, "reason", NULL));
    put_note(w, "    stalled: ", fr_json_str(part, "stalled", NULL));
    put_note(w, "    error: ", fr_json_str(error, "text", NULL));
    put_next(w, fr_json_str(error, "hint", NULL));
    put_note(w, "    next try: ", next);
    put_held_back(w, part);
    put_resume(w, part);
}

/* --- held ------------------------------------------------------------------------------- */

static mark held_mark(const json_t *table)
{
    return mark_of(fr_json_str(table, "state", ""));
}

/* "1.2k events wait, log kept 31.0 GB of 50.0 GB, +2.1 GB/h: limit in 9h00m" */
static void put_piled_up(writer *w, const json_t *part, const json_t *held)
{
    char text[48];
    bool sink = strcmp(fr_json_str(part, "kind", ""), "sink") == 0;
    bool catches_up = json_is_true(json_object_get(held, "catching_up"));
    count_text(text, sizeof(text), number(held, "waiting"));
    fr_buf_printf(w->b, "    %s events %s", text, catches_up ? "to catch up" : "wait");
    fr_buf_text(w->b, sink ? " in Kafka, as long as the topic keeps them" : "");
    put_retained(w, part);
    fr_buf_text(w->b, "\n");
}

static void put_from(writer *w, const json_t *held)
{
    const json_t *from = json_object_get(held, "from");
    fr_arena *a = fr_arena_new(0);
    const char *text = json_is_string(from)   ? json_string_value(from)
                       : json_is_object(from) ? fr_arena_cstr(a, fr_json_text(a, from))
                                              : NULL;
    put_note(w, "    from ", text);
    fr_arena_free(a);
}

/* Since when, why, what piles up meanwhile, and what to type next. */
static void put_held(writer *w, const json_t *part, const json_t *table)
{
    char text[48];
    const json_t *held = json_object_get(table, "held");
    size_t from;
    put_mark(w, held_mark(table));
    fr_buf_text(w->b, " ");
    from = w->b->len;
    put_clean(w->b, fr_json_str(part, "name", "?"));
    fr_buf_text(w->b, "/");
    put_clean(w->b, fr_json_str(table, "name", "?"));
    pad_to(w->b, from, NAME_WIDTH);
    fr_buf_text(w->b, " ");
    put_clean(w->b, fr_json_str(table, "state", "?"));
    duration_text(text, sizeof(text), age_of(fr_json_str(held, "since", NULL)));
    fr_buf_printf(w->b, " %s  ", text);
    put_clean(w->b, fr_json_str(held, "code", "?"));
    fr_buf_text(w->b, "  ");
    put_clean(w->b, fr_json_str(held, "why", ""));
    fr_buf_text(w->b, "\n");
    put_piled_up(w, part, held);
    put_from(w, held);
    put_next(w, fr_json_str(held, "next", NULL));
}

static void put_held_of(writer *w, const json_t *part, mark m)
{
    size_t i;
    const json_t *table;
    json_array_foreach(json_object_get(part, "tables"), i, table)
    {
        if (json_is_object(json_object_get(table, "held")) && held_mark(table) == m)
            put_held(w, part, table);
    }
}

static void put_all_held(writer *w, const json_t *doc, mark m)
{
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(doc, "parts"), i, part)
    {
        put_held_of(w, part, m);
    }
}

/* What is wanted cannot be read at the moment. */
static void put_control(writer *w, const json_t *doc)
{
    const json_t *error = json_object_get(doc, "control_error");
    if (!json_is_object(error))
        return;
    put_mark(w, WARN);
    fr_buf_text(w->b, " what the operator wants is not followed: ");
    put_clean(w->b, fr_json_str(error, "text", "?"));
    fr_buf_text(w->b, "\n");
    put_next(w, fr_json_str(error, "hint", NULL));
}

/* --- tables ----------------------------------------------------------------------------- */

static double sum_events(const json_t *table)
{
    const char *op;
    json_t *n;
    double sum = 0;
    json_object_foreach(json_object_get(table, "events"), op, n) sum +=
        json_is_integer(n) ? (double)json_integer_value(n) : 0;
    return sum;
}

static void put_table_state(writer *w, const json_t *table)
{
    size_t from = w->b->len;
    const char *state = fr_json_str(table, "state", "?");
    double percent = number(json_object_get(table, "snapshot"), "percent");
    put_clean(w->b, state);
    if (strcmp(state, "snapshotting") == 0 && !isnan(percent))
        fr_buf_printf(w->b, " %.0f%%", percent);
    pad_to(w->b, from, STATE_WIDTH);
}

/* Rows that are never read, and a bound that stands for so long, are somebody's to mend. */
static mark table_mark(const json_t *table)
{
    const json_t *poll = json_object_get(table, "poll");
    mark m = mark_of(fr_json_str(table, "state", ""));
    bool trouble = number(poll, "nulls") > 0 ||
                   (fr_json_str(poll, "waits_for", NULL) != NULL &&
                    age_of(fr_json_str(poll, "waits_since", NULL)) >= (double)FR_WAITS_TOO_LONG_S);
    return m == GOOD && trouble ? WARN : m;
}

/* "  next poll 2.0s", and below the line what holds it up and what it never reads. */
static void put_poll(writer *w, const json_t *table)
{
    char text[48];
    const json_t *poll = json_object_get(table, "poll");
    const char *who = fr_json_str(poll, "waits_for", NULL);
    const char *next = fr_json_str(poll, "next", NULL);
    double age = age_of(fr_json_str(poll, "waits_since", NULL));
    double nulls = number(poll, "nulls"), gaps = number(poll, "gaps");
    if (next != NULL && signed_age_of(next) < -1) {
        duration_text(text, sizeof(text), -signed_age_of(next));
        fr_buf_printf(w->b, "  next poll %s", text);
    }
    if (who != NULL && age >= (double)FR_WAITS_LONG_S) {
        fr_buf_text(w->b, "\n      rows wait for ");
        put_clean(w->b, who);
        duration_text(text, sizeof(text), age);
        fr_buf_printf(w->b, ", open for %s", text);
    }
    if (gaps > 0)
        fr_buf_printf(w->b, "\n      %.0f numbers may still come", gaps);
    if (nulls > 0)
        fr_buf_printf(w->b, "\n      %s%.0f rows are never read: their poll.column is NULL",
                      nulls >= 1000 ? "at least " : "", nulls);
}

static void put_table(writer *w, const json_t *part, const json_t *table)
{
    char text[48];
    size_t from = w->b->len + 2;
    bool sink = strcmp(fr_json_str(part, "kind", ""), "sink") == 0;
    fr_buf_text(w->b, "  ");
    fr_buf_text(w->b, !sink ? "" : w->color ? "→ " : "> ");
    put_clean(w->b, fr_json_str(part, "name", "?"));
    fr_buf_text(w->b, "/");
    put_clean(w->b, fr_json_str(table, "name", "?"));
    pad_to(w->b, from, NAME_WIDTH);
    fr_buf_text(w->b, " ");
    put_table_state(w, table);
    duration_text(text, sizeof(text), number(table, "lag_seconds"));
    put_right(w->b, text, 8);
    count_text(text, sizeof(text), number(table, "rate"));
    put_right(w->b, text, 8);
    count_text(text, sizeof(text), sum_events(table));
    put_right(w->b, text, 8);
    double age = age_of(fr_json_str(table, "last_event", NULL));
    duration_text(text, sizeof(text), age);
    fr_buf_printf(w->b, "  %s%s", text, isnan(age) ? "" : " ago");
    double eta = number(json_object_get(table, "snapshot"), "eta_seconds");
    if (!isnan(eta) && strcmp(fr_json_str(table, "state", ""), "snapshotting") == 0) {
        duration_text(text, sizeof(text), eta);
        fr_buf_printf(w->b, "  ETA %s", text);
    }
    put_poll(w, table);
    const char *kept = fr_json_str(table, "kept", NULL);
    fr_buf_text(w->b, kept == NULL ? "" : "\n      published in its former shape: ");
    put_clean(w->b, kept == NULL ? "" : kept);
    const char *topic = fr_json_str(table, "topic", NULL);
    if (topic != NULL) {
        fr_buf_text(w->b, "\n      goes on in topic ");
        put_clean(w->b, topic);
        fr_buf_text(w->b, "; closed: ");
        put_clean(w->b, fr_json_str(table, "former_topic", ""));
    }
    fr_buf_text(w->b, "\n");
}

static void put_part_tables(writer *w, const json_t *part, mark m)
{
    size_t i;
    const json_t *table;
    json_array_foreach(json_object_get(part, "tables"), i, table)
    {
        if (table_mark(table) == m)
            put_table(w, part, table);
    }
}

/* The tables with this mark, so that trouble stands first. */
static void put_tables(writer *w, const json_t *doc, mark m)
{
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(doc, "parts"), i, part)
    {
        put_part_tables(w, part, m);
    }
}

static bool has_tables(const json_t *doc)
{
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(doc, "parts"), i,
                       part) if (json_array_size(json_object_get(part, "tables")) > 0) return true;
    return false;
}

static void put_parts(writer *w, const json_t *doc, mark m)
{
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(doc, "parts"), i, part)
    {
        if (part_mark(part) == m)
            put_part(w, part);
    }
}

static void put_document(writer *w, const json_t *doc)
{
    static const mark order[] = {BAD, WARN, GOOD};
    put_head(w, doc);
    put_control(w, doc);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        put_all_held(w, doc, order[i]);
        put_parts(w, doc, order[i]);
    }
    if (!has_tables(doc))
        return;
    fr_buf_printf(w->b, "\n  %-*s %-*s %8s %8s %8s  %s\n", NAME_WIDTH, "TABLE", STATE_WIDTH,
                  "STATE", "LAG", "EV/s", "TOTAL", "LAST EVENT");
    put_tables(w, doc, BAD);
    put_tables(w, doc, WARN);
    put_tables(w, doc, GOOD);
}

fr_rc fr_status_text(fr_str document, bool color, fr_buf *out, fr_err *err)
{
    json_t *doc;
    if (fr_json_parse(document, &doc, err) == FR_FAIL) {
        fr_fail_in(err, "status document");
        return fr_fail_code(err, "status.document");
    }
    writer w = {out, color};
    fr_rc rc = FR_OK;
    if (json_is_array(json_object_get(doc, "parts"))) {
        put_document(&w, doc);
    } else {
        fr_fail(err, FR_ERR_DATA, "status document: no `parts`: this is not freshet's");
        rc = fr_fail_code(err, "status.document");
    }
    json_decref(doc);
    return rc;
}
