/* freshet dlq retry|drop of a source's letters. The source is stopped, and taken over for as long
 * as this lasts. What is published of a key, the mark that says so and the record that releases it
 * are one Kafka transaction; the source then goes on with the key's next row. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "capture/capture.h"
#include "cli/dlq.h"
#include "codec/encode.h"
#include "transform/derive.h"
#include "transform/route.h"
#include <stdlib.h>
#include <string.h>

typedef struct sent { /* in the open transaction */
    fr_batch *b;      /* its messages point into it */
    const fr_dlq_group *g;
} sent;

enum { COMMIT_AFTER = 2000, BATCH_BYTES = 64 << 20, MOST_LETTERS = 200000 };

typedef struct work {
    fr_dlq_ask *ask;
    size_t source;
    const fr_source_settings *settings;
    fr_arena *a;
    fr_publisher *publisher;
    const fr_checkpoint *checkpoint;
    fr_registry *registry;
    fr_router *router;
    fr_encoder *encoder;
    const fr_table **tables;
    size_t table_count;
    fr_letters *letters;
    fr_dlq_group *groups;
    size_t group_count;
    sent *pending;
    size_t pending_count, pending_letters;
    bool alone; /* each key has a transaction of its own: one that fails is to blame */
    bool again; /* the transaction is lost, and those that it is not the fault of go once more */
} work;

/* ---- what it takes ---- */

static fr_rc route_of(void *context, const fr_table *table, const fr_route **out, fr_err *err)
{
    return fr_router_route(((work *)context)->router, table, out, err);
}

static int32_t published(void *context, fr_str topic)
{
    const fr_topic_fact *t = fr_map_get(((work *)context)->checkpoint->topics, topic);
    const fr_checkpoint *c = ((work *)context)->checkpoint;
    return t == NULL || c->split.id.len > 0 ? 0 : t->schema;
}

static fr_rc set_up(work *w, fr_err *err)
{
    fr_encoder_settings s = {.source = w->settings,
                             .registry_settings = &w->ask->config->registry,
                             .kafka = &w->ask->config->kafka,
                             .route = route_of,
                             .published = published,
                             .context = w};
    w->router = fr_router_new(w->settings);
    FR_TRY(fr_ask_tables(w->ask->config, w->source, w->a, &w->tables, &w->table_count, err));
    FR_TRY(fr_registry_open(&w->ask->config->registry, &w->registry, err));
    FR_TRY(fr_capture_origin(w->settings, w->checkpoint->resume, w->a, &s.origin, err));
    w->encoder = fr_encoder_new(&s, w->registry);
    return FR_OK;
}

static void give_pending(work *w)
{
    for (size_t i = 0; i < w->pending_count; i++)
        fr_batch_free(w->pending[i].b);
    w->pending_count = w->pending_letters = 0;
}

static void give_letters(work *w)
{
    fr_dlq_groups_free(w->groups, w->group_count);
    fr_letters_free(w->letters);
    w->groups = NULL;
    w->group_count = 0;
    w->letters = NULL;
}

static void tear_down(work *w)
{
    free(w->pending);
    fr_encoder_free(w->encoder);
    fr_router_free(w->router);
    fr_registry_close(w->registry);
    for (size_t i = 0; i < w->table_count; i++)
        fr_table_unref(w->tables[i]);
    give_letters(w);
    fr_arena_free(w->a);
}

/* Nothing comes behind a topic's marker. */
static fr_rc refuse_closed(const fr_table *t, const fr_route *r, fr_str topic, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "topic %.*s is closed: table %.*s.%.*s has gone on in %.*s",
            FR_ARG(topic), FR_ARG(t->space), FR_ARG(t->name), FR_ARG(r->topic));
    fr_fail_code(err, "dlq.closed");
    return fr_fail_hint(err, "drop them: freshet dlq drop ID; the row's state is in %.*s",
                        FR_ARG(r->topic));
}

static bool has_left(work *w, const fr_route *r, fr_str topic)
{
    for (uint32_t i = 1; i < r->generation; i++)
        if (fr_str_eq(fr_topic_generation(w->a, r->first, i), topic))
            return true;
    return false;
}

static fr_rc table_of(work *w, fr_str topic, const fr_table **table, const fr_route **route,
                      fr_err *err)
{
    for (size_t i = 0; i < w->table_count; i++) {
        const fr_table *t = w->tables[i];
        if (fr_source_match(w->settings, t->space, t->name) == NULL)
            continue;
        fr_rc rc = fr_router_route(w->router, t, route, err);
        FR_TRY(rc);
        *table = t;
        if (rc == FR_OK && fr_str_eq((*route)->topic, topic))
            return FR_OK;
        if (rc == FR_OK && has_left(w, *route, topic))
            return refuse_closed(t, *route, topic, err);
    }
    fr_fail(err, FR_ERR_DATA, "no table of source %s goes to topic %.*s now", w->settings->name,
            FR_ARG(topic));
    fr_fail_code(err, "dlq.row");
    return fr_fail_hint(err, "capture it again as it was, or drop the letters");
}

/* ---- keys that updates tie together ---- */

static bool is_masked(const fr_route *r)
{
    for (size_t i = 0; i < r->source->column_count; i++)
        if (fr_derive_mask_of(r, i) != NULL)
            return true;
    return false;
}

/* Older letters do not say which key an update took from its row. */
static void tell_key_before(work *w, fr_letter *l)
{
    const fr_table *table = NULL;
    const fr_route *route = NULL;
    fr_str name = {"", 0};
    fr_err ignored;
    if (l->version >= 2 || l->key_before.len > 0 ||
        table_of(w, l->topic, &table, &route, &ignored) != FR_OK || route == NULL ||
        is_masked(route))
        return;
    fr_batch *b = fr_batch_new(4, BATCH_BYTES);
    if (fr_dlq_row(b, table, l, &ignored) == FR_OK && b->events[0].op == FR_OP_UPDATE &&
        fr_dead_key(w->router, w->a, table, &b->events[0].before, &name, &ignored) == FR_OK &&
        !fr_str_eq(name, l->key))
        l->key_before = name;
    fr_batch_free(b);
}

static size_t root(size_t *parent, size_t i)
{
    while (parent[i] != i)
        i = parent[i];
    return i;
}

static void take_letters(fr_dlq_group *to, fr_dlq_group *from)
{
    to->letters = fr_realloc(to->letters, (to->count + from->count) * sizeof(*to->letters));
    memcpy(to->letters + to->count, from->letters, from->count * sizeof(*to->letters));
    to->count += from->count;
    to->wanted = to->wanted || from->wanted;
    from->count = 0;
    from->wanted = false;
}

/* A row that changed its key goes with what is set aside of both. */
static void tie(work *w)
{
    size_t *parent = fr_arena_alloc(w->a, (w->group_count + 1) * sizeof(*parent));
    fr_map *by_key = fr_map_new();
    for (size_t g = 0; g < w->group_count; g++) {
        parent[g] = g;
        fr_map_set(by_key, w->groups[g].letters[0]->key, &parent[g]);
    }
    for (size_t g = 0; g < w->group_count; g++)
        for (size_t i = 0; i < w->groups[g].count; i++) {
            fr_letter *l = w->groups[g].letters[i];
            tell_key_before(w, l);
            const size_t *other = l->key_before.len == 0 ? NULL : fr_map_get(by_key, l->key_before);
            if (other != NULL)
                parent[root(parent, (size_t)(other - parent))] = root(parent, g);
        }
    fr_map_free(by_key, NULL);
    for (size_t g = 0; g < w->group_count; g++)
        if (root(parent, g) != g)
            take_letters(&w->groups[root(parent, g)], &w->groups[g]);
    for (size_t g = 0; g < w->group_count; g++)
        if (w->groups[root(parent, g)].wanted)
            fr_map_set(w->ask->wanted, w->groups[g].name, w->ask);
    for (size_t g = 0; g < w->group_count; g++)
        if (w->groups[g].count > 0)
            qsort(w->groups[g].letters, w->groups[g].count, sizeof(fr_letter *), fr_letter_older);
}

static fr_rc read_tied(work *w, fr_err *err)
{
    fr_letter **list;
    size_t count, mine = 0;
    FR_TRY(fr_dlq_read(w->ask, !w->ask->drop, &w->letters, &list, &count, err));
    for (size_t i = 0; i < count; i++)
        if (list[i]->source && fr_str_is(list[i]->part, w->settings->name))
            list[mine++] = list[i];
    w->group_count = fr_dlq_groups(w->ask, w->a, list, mine, &w->groups);
    tie(w);
    return FR_OK;
}

/* First which keys are tied to those that are wanted, then the letters of these as a whole: those
 * of all others need not be kept. */
static fr_rc read_letters(work *w, fr_err *err)
{
    if (!w->ask->drop) {
        w->ask->untold = true;
        FR_TRY(read_tied(w, err));
        give_letters(w);
    }
    w->ask->untold = false;
    return read_tied(w, err);
}

/* ---- one group ---- */

static bool is_parked(const work *w, fr_str key)
{
    return fr_map_get(w->checkpoint->parked, key) != NULL;
}

static bool any_parked(const work *w, const fr_dlq_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (is_parked(w, g->letters[i]->key))
            return true;
    return false;
}

static fr_rc fail(fr_err *err, const char *code, const char *text, const char *hint)
{
    fr_fail(err, FR_ERR_DATA, "%s", text);
    fr_fail_code(err, code);
    return fr_fail_hint(err, "%s", hint);
}

#define AFRESH                                                                                     \
    "drop the letters, then read the row again: freshet dlq drop ID, freshet snapshot start "      \
    "TABLE "                                                                                       \
    "--where CONDITION"

/* What stands in the way of publishing these rows exactly as they would have been. */
static fr_rc sendable(work *w, const fr_dlq_group *g, const fr_table *table, const fr_route *r,
                      fr_err *err)
{
    const fr_table_settings *t = fr_source_match(w->settings, table->space, table->name);
    if (!any_parked(w, g))
        return fail(err, "dlq.not_parked",
                    "the key is not parked: later rows of it were published, and an older one may "
                    "not follow them",
                    AFRESH);
    if (t->errors_mode != FR_ERRORS_DLQ)
        return fail(err, "dlq.mode", "errors.mode of the table is not dlq any more",
                    "set it to dlq again, retry, and change it then");
    if (r->outbox != NULL)
        return fail(err, "dlq.outbox", "rows of an outbox are not sent again",
                    "insert the row again with another id, in front of what follows of its key; "
                    "then drop the letters: freshet dlq drop ID");
    if (is_masked(r))
        return fail(err, "dlq.masked",
                    "the letter has masked values, and no others: encoding would mask them twice",
                    AFRESH);
    if (g->letters[0]->parked)
        return fail(err, "dlq.gone",
                    "the first letters of its key are gone by the topic's retention", AFRESH);
    if (g->count > MOST_LETTERS)
        return fail(err, "dlq.many", "more letters than one transaction should hold", AFRESH);
    return FR_OK;
}

/* Filters and expressions need what columns.exclude left out of the letter. */
static fr_rc whole_for_derive(const work *w, const fr_batch *b, const fr_table *table, fr_err *err)
{
    if (!fr_derive_wanted(fr_source_match(w->settings, table->space, table->name)))
        return FR_OK;
    for (size_t i = 0; i < b->count; i++)
        for (size_t c = 0; c < b->events[i].after.count; c++)
            if (b->events[i].after.values[c].kind == FR_ABSENT)
                return fail(err, "dlq.row",
                            "the letter lacks a column, and the table has expressions or a filter",
                            AFRESH);
    return FR_OK;
}

/* Where delivery is at-least-once, a row may have been set aside twice. */
static bool is_repeat(const fr_dlq_group *g, size_t i)
{
    const fr_letter *l = g->letters[i], *before = i == 0 ? l : g->letters[i - 1];
    return i > 0 && before->epoch == l->epoch && before->lsn == l->lsn &&
           before->ordinal == l->ordinal && fr_str_eq(before->key, l->key);
}

static fr_rc encode(work *w, const fr_dlq_group *g, fr_batch *b, fr_err *err)
{
    const fr_table *table = NULL;
    const fr_route *route = NULL;
    size_t done;
    FR_TRY(table_of(w, g->letters[0]->topic, &table, &route, err));
    FR_TRY(sendable(w, g, table, route, err));
    fr_batch_add(b, FR_OP_TABLE, table);
    for (size_t i = 0; i < g->count; i++)
        if (!is_repeat(g, i) && fr_dlq_row(b, table, g->letters[i], err) == FR_FAIL)
            return fr_fail_in(err, "%.*s", FR_ARG(fr_dlq_id(w->ask, w->a, g->letters[i])));
    FR_TRY(whole_for_derive(w, b, table, err));
    if (fr_encode(w->encoder, b, 0, b->count, &done, err) == FR_OK)
        return FR_OK;
    return FR_FAIL;
}

static fr_rc put_mark(void *context, const fr_letter *first, fr_str value, const fr_header *headers,
                      size_t count, fr_err *err)
{
    fr_batch *b = context;
    (void)err;
    fr_message *m = fr_batch_message(b);
    m->event = b->count > 0 ? b->count - 1 : 0;
    m->topic = first->place;
    m->key = first->key;
    m->partition = first->partition;
    m->payload = value;
    m->headers = headers;
    m->header_count = count;
    return FR_OK;
}

static fr_rc release(work *w, fr_str key, fr_err *err)
{
    const char *slash = key.len == 0 ? NULL : memrchr(key.ptr, '/', key.len);
    if (slash == NULL || !is_parked(w, key))
        return FR_OK;
    fr_str topic = {key.ptr, (size_t)(slash - key.ptr)}, hash = {slash + 1, 0};
    hash.len = key.len - topic.len - 1;
    fr_record r = fr_checkpoint_parked(w->a, topic, hash, true);
    return fr_publisher_record(w->publisher, &r, err);
}

static fr_rc send(work *w, const fr_dlq_group *g, fr_batch *b, fr_err *err)
{
    size_t failed = 0;
    FR_TRY(fr_publisher_begin(w->publisher, err));
    FR_TRY(fr_dlq_marks(w->ask, b->arena, g->letters, g->count, put_mark, b, err));
    FR_TRY(fr_publisher_produce(w->publisher, b, 0, b->message_count, &failed, err));
    for (size_t i = 0; i < g->count; i++) {
        FR_TRY(release(w, g->letters[i]->key, err));
        FR_TRY(release(w, g->letters[i]->key_before, err));
    }
    return FR_OK;
}

static void keep_pending(work *w, fr_batch *b, const fr_dlq_group *g)
{
    w->pending = fr_realloc(w->pending, (w->pending_count + 1) * sizeof(*w->pending));
    w->pending[w->pending_count++] = (sent){b, g};
    w->pending_letters += g->count;
}

static bool of_the_key(const fr_err *err)
{
    return err->kind == FR_ERR_DATA || err->kind == FR_ERR_CONFIG || err->kind == FR_ERR_SCHEMA;
}

static bool of_the_topic(const fr_err *err)
{
    return of_the_key(err) || err->kind == FR_ERR_AUTH || err->kind == FR_ERR_POSITION;
}

/* Nothing more is to be done about it. */
static void finished(work *w, const fr_dlq_group *g)
{
    fr_arena *a = fr_arena_new(512);
    for (size_t i = 0; i < g->count; i++)
        fr_map_remove(w->ask->wanted, fr_letter_group(a, g->letters[i]));
    fr_arena_free(a);
}

static fr_rc refuse(work *w, const fr_dlq_group *g, const fr_err *why)
{
    finished(w, g);
    return fr_dlq_refused(w->ask, g, why);
}

/* The open transaction failed, and nothing of it is there. Where that is a key's fault it is known
 * which one's only if there was no other. */
static fr_rc lost(work *w, const fr_err *err)
{
    if (!of_the_key(err))
        return FR_FAIL;
    if (w->pending_count == 1)
        (void)refuse(w, w->pending[0].g, err);
    w->alone = w->alone || w->pending_count > 1;
    w->again = true;
    return FR_FAIL;
}

/* Nothing is said to be done before this. */
static fr_rc commit(work *w, fr_err *err)
{
    const fr_end *ends;
    size_t count;
    if (w->pending_count == 0)
        return FR_OK;
    if (FR_FAILPOINT("dlq_before_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint dlq_before_commit");
    if (fr_publisher_commit(w->publisher, &ends, &count, err) == FR_FAIL)
        return lost(w, err);
    for (size_t i = 0; i < w->pending_count; i++) {
        const fr_dlq_group *g = w->pending[i].g;
        fr_dlq_settled(w->ask, g, g->count, false);
        finished(w, g);
    }
    give_pending(w);
    return FR_OK;
}

/* A topic that is not there, or not ours, is found before anything goes into the transaction. */
static fr_rc look_at_topics(work *w, const fr_batch *b, fr_err *err)
{
    fr_str seen = {NULL, 0};
    int32_t partitions;
    for (size_t i = 0; i < b->message_count; i++) {
        if (fr_str_eq(b->messages[i].topic, seen))
            continue;
        seen = b->messages[i].topic;
        FR_TRY(fr_publisher_topic(w->publisher, seen, &partitions, err));
    }
    return FR_OK;
}

static fr_rc do_group(work *w, const fr_dlq_group *g, fr_err *err)
{
    fr_batch *b = fr_batch_new(g->count + 8, BATCH_BYTES * 16ULL);
    bool encoded = w->ask->drop || encode(w, g, b, err) == FR_OK;
    if (!encoded || look_at_topics(w, b, err) == FR_FAIL) {
        fr_batch_free(b);
        return (encoded ? of_the_topic(err) : of_the_key(err)) ? refuse(w, g, err) : FR_FAIL;
    }
    keep_pending(w, b, g);
    if (send(w, g, b, err) == FR_FAIL)
        return lost(w, err);
    return w->alone || w->pending_letters >= COMMIT_AFTER ? commit(w, err) : FR_OK;
}

/* ---- all ---- */

static fr_rc do_all(fr_cli *cli, fr_publisher *p, const fr_checkpoint *old, void *context,
                    fr_err *err)
{
    work *w = context;
    (void)cli;
    w->publisher = p;
    w->checkpoint = old;
    if (!w->ask->drop) {
        FR_TRY(set_up(w, err));
    } else {
        w->router = fr_router_new(w->settings);
    }
    fr_ask_generations(w->ask->config, old, w->router);
    FR_TRY(read_letters(w, err));
    for (size_t g = 0; g < w->group_count; g++)
        if (w->groups[g].wanted)
            FR_TRY(do_group(w, &w->groups[g], err));
    return commit(w, err);
}

/* After a failure a publisher can only be closed: what is left goes with a new one. Each round that
 * is lost has refused a key, or finds out which. */
static fr_rc do_rounds(fr_dlq_ask *ask, size_t source, fr_err *err)
{
    const fr_source_settings *s = &ask->config->sources[source];
    const char *verb = ask->drop ? "dlq-drop" : "dlq-retry";
    bool again = true, alone = false;
    fr_rc rc = FR_OK;
    ask->whole_of = ask->drop ? NULL : s->name;
    ask->whole_source = true;
    while (again) {
        work w = {
            .ask = ask, .source = source, .settings = s, .a = fr_arena_new(0), .alone = alone};
        rc = fr_ask_write(ask->cli, ask->config, source, verb, do_all, &w, err);
        again = rc == FR_FAIL && w.again;
        alone = w.alone;
        give_pending(&w);
        tear_down(&w);
    }
    return rc;
}

fr_rc fr_dlq_do_source(fr_dlq_ask *ask, size_t source, fr_err *err)
{
    const fr_source_settings *s = &ask->config->sources[source];
    FR_TRY(fr_ask_stopped(ask->cli, ask->config, s->name, "dlq.running", err));
    if (!ask->drop && fr_source_polled(s)) {
        fr_fail(err, FR_ERR_CONFIG, "source %s is polled: its letters are not sent again", s->name);
        fr_fail_code(err, "dlq.polled");
        return fr_fail_hint(err,
                            "drop them, and change the rows at the source, so that the next "
                            "round reads them: freshet dlq drop --source %s",
                            s->name);
    }
    return do_rounds(ask, source, err);
}
