#include "progress/letters.h"
#include "base/json.h"
#include "base/map.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct fr_letters {
    fr_arena *arena;
    bool (*keep)(void *context, const fr_letter *l);
    void *context;
    fr_letter **all;
    size_t count, cap, strange;
    fr_map *settled; /* "partition@offset topic" -> a state, which is not OPEN */
};

static const fr_letter_state done = FR_LETTER_DONE, dropped = FR_LETTER_DROPPED;

fr_letters *fr_letters_new(bool (*keep)(void *context, const fr_letter *l), void *context)
{
    fr_letters *l = fr_malloc(sizeof(*l));
    l->arena = fr_arena_new(0);
    l->keep = keep;
    l->context = context;
    l->settled = fr_map_new();
    return l;
}

void fr_letters_free(fr_letters *l)
{
    if (l == NULL)
        return;
    fr_map_free(l->settled, NULL);
    free(l->all);
    fr_arena_free(l->arena);
    free(l);
}

/* The last one counts: a letter's own headers come first, and ours behind them. */
static const fr_header *find(const fr_message *m, const char *name)
{
    for (size_t i = m->header_count; i-- > 0;)
        if (strcmp(m->headers[i].name, name) == 0)
            return &m->headers[i];
    return NULL;
}

static fr_str text_of(const fr_message *m, const char *name)
{
    const fr_header *h = find(m, name);
    return h == NULL || h->value.ptr == NULL ? (fr_str){"", 0} : h->value;
}

/* All of it is digits. */
static bool number(fr_str s, int64_t most, int64_t *out)
{
    char text[24], *end;
    if (s.len == 0 || s.len >= sizeof(text) || s.ptr[0] < '0' || s.ptr[0] > '9')
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end == text + s.len && *out <= most;
}

static fr_str place_name(fr_arena *a, int64_t partition, int64_t offset, fr_str topic)
{
    return fr_arena_printf(a, "%" PRId64 "@%" PRId64 " %.*s", partition, offset, FR_ARG(topic));
}

/* ---- marks ---- */

static bool fold_letters(fr_letters *l, fr_str topic, const json_t *list, bool drop)
{
    size_t i;
    const json_t *pair;
    fr_arena *a = fr_arena_new(0);
    bool good = json_is_array(list);
    json_array_foreach(list, i, pair)
    {
        const json_t *p = json_array_get(pair, 0), *o = json_array_get(pair, 1);
        good = good && json_is_integer(p) && json_is_integer(o);
        if (!good)
            break;
        fr_map_set(l->settled, place_name(a, json_integer_value(p), json_integer_value(o), topic),
                   (void *)(uintptr_t)(drop ? &dropped : &done));
        fr_arena_reset(a);
    }
    fr_arena_free(a);
    return good;
}

static bool fold_mark(fr_letters *l, const fr_message *m, fr_str mark)
{
    bool drop = fr_str_is(mark, "dropped");
    json_t *j = NULL;
    fr_err ignored;
    if ((!drop && !fr_str_is(mark, "done")) || fr_json_parse(m->payload, &j, &ignored) == FR_FAIL)
        return false;
    bool good = fr_json_int(j, "v", 0) == 1 &&
                fold_letters(l, m->topic, json_object_get(j, "letters"), drop);
    json_decref(j);
    return good;
}

fr_rc fr_letters_passed(fr_err *err)
{
    fr_fail(err, FR_ERR_DATA,
            "earlier ones of its key are dead letters, and errors.mode is no longer dlq: it would "
            "pass them");
    fr_fail_code(err, "dlq.parked");
    return fr_fail_hint(err, "set errors.mode: dlq again; then freshet dlq retry, or freshet dlq "
                             "drop, before it is changed");
}

fr_str fr_letters_mark(fr_arena *a, fr_letter *const *letters, size_t count, fr_str by,
                       int64_t at_us)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"v\":1,\"letters\":[");
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(&b, "%s[%d,%" PRId64 "]", i == 0 ? "" : ",", (int)letters[i]->partition,
                      letters[i]->offset);
    fr_buf_text(&b, "],\"by\":");
    fr_buf_json(&b, by);
    fr_buf_printf(&b, ",\"at\":%" PRId64 "}", at_us);
    return fr_buf_view(&b);
}

size_t fr_letters_mark_headers(fr_arena *a, const fr_letter *l, bool drop, const fr_header **out)
{
    fr_header *h = fr_arena_alloc(a, 3 * sizeof(*h));
    h[0] = (fr_header){"freshet.mark", drop ? FR_STR("dropped") : FR_STR("done")};
    h[1] = (fr_header){l->source ? "freshet.source" : "freshet.sink", l->part};
    h[2] = (fr_header){"freshet.topic", l->topic};
    *out = h;
    return 3;
}

/* ---- letters ---- */

/* "epoch/lsn/ordinal" */
static bool read_position(fr_str s, fr_letter *l)
{
    char text[64];
    int end = 0;
    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return sscanf(text, "%" SCNu32 "/%" SCNu64 "/%" SCNu32 "%n", &l->epoch, &l->lsn, &l->ordinal,
                  &end) == 3 &&
           end == (int)s.len;
}

static bool read_source(const fr_message *m, fr_letter *l)
{
    l->source = true;
    l->part = text_of(m, "freshet.source");
    l->key_before = text_of(m, "freshet.key_before");
    const char *slash = m->key.len == 0 ? NULL : memrchr(m->key.ptr, '/', m->key.len);
    if (slash == NULL || slash == m->key.ptr || !read_position(text_of(m, "freshet.position"), l))
        return false;
    l->topic = (fr_str){m->key.ptr, (size_t)(slash - m->key.ptr)};
    return true;
}

static bool read_sink(const fr_message *m, fr_letter *l)
{
    int64_t partition;
    l->part = text_of(m, "freshet.sink");
    l->topic = text_of(m, "freshet.topic");
    l->cut = find(m, "freshet.cut") != NULL;
    if (!number(text_of(m, "freshet.partition"), INT32_MAX, &partition) ||
        !number(text_of(m, "freshet.offset"), INT64_MAX, &l->from_offset))
        return false;
    l->from = (int32_t)partition;
    return l->topic.len > 0;
}

static bool read_letter(const fr_message *m, fr_letter *l)
{
    fr_str parked = text_of(m, "freshet.parked"), version = text_of(m, "freshet.v");
    int64_t number_of = 1;
    const fr_header *sink = find(m, "freshet.sink"), *source = find(m, "freshet.source");
    *l = (fr_letter){.place = m->topic,
                     .partition = m->partition,
                     .offset = m->offset,
                     .timestamp_ms = m->timestamp_ms,
                     .key = m->key,
                     .key_before = {"", 0},
                     .reason = text_of(m, "freshet.reason"),
                     .parked = fr_str_is(parked, "true")};
    if ((version.len > 0 && !number(version, 1000, &number_of)) ||
        (!l->parked && !fr_str_is(parked, "false")))
        return false;
    l->version = (int)number_of;
    /* What a sink set aside may be a letter itself, of a source: ours are the last ones. */
    bool of_sink = sink != NULL && (source == NULL || sink > source);
    return (of_sink ? read_sink(m, l) : source != NULL && read_source(m, l)) && l->part.len > 0;
}

static size_t own_headers(const fr_message *m)
{
    size_t n = m->header_count;
    while (n > 0 && strncmp(m->headers[n - 1].name, "freshet.", 8) == 0 &&
           strcmp(m->headers[n - 1].name, "freshet.sink") != 0)
        n--;
    return n > 0 ? n - 1 : 0;
}

static void copy_all(fr_letters *all, fr_letter *l, const fr_message *m)
{
    fr_arena *a = all->arena;
    l->place = fr_arena_str(a, l->place);
    l->part = fr_arena_str(a, l->part);
    if (l->key.ptr != NULL)
        l->key = fr_arena_str(a, l->key);
    l->key_before = fr_arena_str(a, l->key_before);
    l->topic = fr_arena_str(a, l->topic);
    l->reason = fr_arena_str(a, l->reason);
    if (!l->kept)
        return;
    l->payload = m->payload.ptr == NULL ? m->payload : fr_arena_str(a, m->payload);
    l->header_count = l->source || l->cut ? 0 : own_headers(m);
    fr_header *h = fr_arena_alloc(a, (l->header_count + 1) * sizeof(*h));
    for (size_t i = 0; i < l->header_count; i++) {
        fr_str v = m->headers[i].value;
        h[i].name = fr_arena_cstr(a, fr_cstr(m->headers[i].name));
        h[i].value = v.ptr == NULL ? v : fr_arena_str(a, v);
    }
    l->headers = h;
}

void fr_letters_fold(fr_letters *l, const fr_message *m)
{
    fr_letter read;
    const fr_header *mark = find(m, "freshet.mark");
    if (mark != NULL) {
        l->strange += fold_mark(l, m, mark->value) ? 0 : 1;
        return;
    }
    if (!read_letter(m, &read)) {
        l->strange++;
        return;
    }
    read.kept = l->keep != NULL && l->keep(l->context, &read);
    copy_all(l, &read, m);
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 64 : 2 * l->cap;
        l->all = fr_realloc(l->all, l->cap * sizeof(*l->all));
    }
    l->all[l->count] = fr_arena_alloc(l->arena, sizeof(read));
    *l->all[l->count++] = read;
}

static int by_place(const void *one, const void *two)
{
    const fr_letter *a = *(fr_letter *const *)one, *b = *(fr_letter *const *)two;
    int by_topic = fr_str_cmp(a->place, b->place);
    if (by_topic != 0)
        return by_topic;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int by_key(const void *one, const void *two)
{
    const fr_letter *a = *(fr_letter *const *)one, *b = *(fr_letter *const *)two;
    int c = fr_str_cmp(a->part, b->part);
    c = c != 0 ? c : fr_str_cmp(a->topic, b->topic);
    c = c != 0 ? c : fr_str_cmp(a->key, b->key);
    return c != 0 ? c : fr_letter_older(one, two);
}

static bool of_one_key(const fr_letter *a, const fr_letter *b)
{
    return fr_str_eq(a->part, b->part) && fr_str_eq(a->topic, b->topic) &&
           fr_str_eq(a->key, b->key);
}

/* A sink that runs may have put a message behind a letter that was settled meanwhile. It lost its
 * transaction for that, and has read the message again: the letter says nothing. */
static void settle_behind(fr_letters *l)
{
    fr_letter **sinks = fr_malloc((l->count + 1) * sizeof(*sinks));
    const fr_letter *head = NULL;
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++)
        if (!l->all[i]->source && l->all[i]->key.ptr != NULL)
            sinks[n++] = l->all[i];
    if (n > 0)
        qsort(sinks, n, sizeof(*sinks), by_key);
    for (size_t i = 0; i < n; i++) {
        fr_letter *x = sinks[i];
        if (!x->parked)
            head = x;
        else if (head != NULL && of_one_key(head, x) && x->state == FR_LETTER_OPEN)
            x->state = head->state;
    }
    free(sinks);
}

fr_letter **fr_letters_settle(fr_letters *l, size_t *count_out)
{
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < l->count; i++) {
        fr_letter *x = l->all[i];
        const fr_letter_state *s =
            fr_map_get(l->settled, place_name(a, x->partition, x->offset, x->place));
        x->state = s == NULL ? FR_LETTER_OPEN : *s;
        fr_arena_reset(a);
    }
    fr_arena_free(a);
    settle_behind(l);
    if (l->count > 0)
        qsort(l->all, l->count, sizeof(*l->all), by_place);
    *count_out = l->count;
    return l->all;
}

size_t fr_letters_strange(const fr_letters *l)
{
    return l->strange;
}

/* A letter without key stands alone. */
fr_str fr_letter_group(fr_arena *a, const fr_letter *l)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "%s %.*s %.*s", l->source ? "source" : "sink", FR_ARG(l->part),
                  FR_ARG(l->topic));
    if (l->key.ptr == NULL)
        fr_buf_printf(&b, " %d@%" PRId64 " %.*s", (int)l->partition, l->offset, FR_ARG(l->place));
    fr_buf_u8(&b, l->key.ptr == NULL ? 0 : 1);
    fr_buf_str(&b, l->key.ptr == NULL ? FR_STR("") : l->key);
    return fr_buf_view(&b);
}

#define COMPARE(x, y)                                                                              \
    if ((x) != (y))                                                                                \
    return (x) < (y) ? -1 : 1

int fr_letter_older(const void *one, const void *two)
{
    const fr_letter *a = *(fr_letter *const *)one, *b = *(fr_letter *const *)two;
    if (a->source) {
        COMPARE(a->epoch, b->epoch);
        COMPARE(a->lsn, b->lsn);
        COMPARE(a->ordinal, b->ordinal);
    } else {
        COMPARE(a->from, b->from);
        COMPARE(a->from_offset, b->from_offset);
    }
    return by_place(one, two);
}
