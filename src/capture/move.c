/* Tables that go on in another topic (schema.on_change: new_topic, decision 38). The row that the
 * topic's schema does not allow is the first of the next one. A marker closes the old topic; it, a
 * notice, the checkpoint's record of the new generation and the end of what is known of the table's
 * snapshot are one Kafka transaction. The log's rows go to the new topic from there on; a new
 * snapshot, which the next run begins with, brings the others. docs/adr/0052-new-topic.md */
#include "capture/held.h"
#include "codec/change.h"
#include <stdlib.h>
#include <string.h>

typedef struct move {
    struct move *next;
    fr_str space, name;
    fr_record generation, snapshot; /* key empty: no snapshot is to be taken */
    bool waits;                     /* for a commit */
} move;

struct moves {
    fr_capture *c;
    fr_arena *arena;
    move *first, **last; /* of this run, in their order */
};

static bool names_move(const fr_capture *c)
{
    return c->s.registry->subject == FR_SUBJECT_BY_RECORD;
}

/* A record stays where the table's topic is set to another one: it is of no topic then that the
 * table goes to. */
static void tell(fr_capture *c, const fr_generation_fact *g)
{
    const fr_table_settings *s = fr_source_match(c->s.source, g->space, g->name);
    fr_arena *a = fr_arena_new(512);
    fr_str topic;
    fr_err ignored;
    if (s != NULL &&
        fr_route_topic(a, c->s.source, s, g->space, g->name, &topic, &ignored) == FR_OK &&
        fr_str_eq(topic, g->topic))
        FR_TELL(&c->s.observer, moved, g->space, g->name,
                fr_topic_generation(a, g->topic, g->generation),
                fr_topic_generation(a, g->topic, g->generation - 1), g->generation);
    fr_arena_free(a);
}

moves *moves_new(fr_capture *c)
{
    moves *m = fr_malloc(sizeof(*m));
    m->c = c;
    m->arena = fr_arena_new(0);
    m->last = &m->first;
    size_t i = 0;
    void *value;
    while (fr_map_next(c->checkpoint->generations, &i, NULL, &value)) {
        const fr_generation_fact *g = value;
        fr_router_move(c->router, g->topic, g->generation, names_move(c));
        tell(c, g);
    }
    return m;
}

void moves_free(moves *m)
{
    if (m == NULL)
        return;
    while (m->first != NULL) {
        move *one = m->first;
        m->first = one->next;
        free(one);
    }
    fr_arena_free(m->arena);
    free(m);
}

void moves_skip(const moves *m)
{
    const fr_checkpoint *k = m->c->checkpoint;
    size_t i = 0;
    void *value;
    while (fr_map_next(k->generations, &i, NULL, &value)) {
        const fr_generation_fact *g = value;
        if (g->txn.len > 0 && fr_str_eq(g->txn, k->split.id) &&
            m->c->source->ops->compare(m->c->source, g->from, k->resume) == 0)
            fr_encoder_skip(m->c->encoder, g->space, g->name, g->txn, g->seen);
    }
}

bool moves_known(const moves *m, fr_str space, fr_str name)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(m->c->checkpoint->generations, &i, NULL, &value)) {
        const fr_generation_fact *g = value;
        if (fr_str_eq(g->name, name) && fr_str_eq(g->space, space))
            return true;
    }
    return false;
}

/* ---- the next topic ---- */

typedef struct step { /* from one topic to the next */
    fr_encoder *encoder;
    const fr_table *table;
    const fr_table_settings *settings;
    fr_str first, from, to, key;
    uint32_t generation;
} step;

/* A broker or registry that does not answer is nothing of the table's; what else stands in the way
 * holds it, and says so under one code. */
static fr_rc in_the_way(const step *s, const fr_err *why, fr_err *err)
{
    fr_err cause = *err;
    bool passes = cause.kind == FR_ERR_CONNECT || cause.kind == FR_ERR_BUSY ||
                  cause.kind == FR_ERR_FENCED || cause.kind == FR_ERR_CANCELLED ||
                  cause.kind == FR_ERR_BUG;
    if (passes)
        return FR_FAIL;
    fr_fail(err, FR_ERR_SCHEMA, "%s, but it cannot go on in topic %.*s: %s", why->text,
            FR_ARG(s->to), cause.text);
    fr_fail_code(err, FR_NEW_TOPIC);
    if (strcmp(cause.code, "kafka.topic.missing") == 0)
        return fr_fail_hint(err,
                            "make topic %.*s (freshet apply does, where kafka.topics.create "
                            "is apply)",
                            FR_ARG(s->to));
    return fr_fail_hint(err, "%s", fr_err_hint(&cause));
}

/* Compacted topics take nothing without key: theirs is a text that no row's key is. */
static fr_rc key_of(moves *m, step *s, fr_err *err)
{
    bool compacted = false;
    s->key = (fr_str){NULL, 0};
    FR_TRY(fr_publisher_compacted(m->c->publisher, s->from, &compacted, err));
    return compacted ? fr_encoder_marker(s->encoder, m->arena, s->from, &s->key, err) : FR_OK;
}

static fr_rc look(moves *m, step *s, fr_err *err)
{
    fr_capture *c = m->c;
    const fr_route *route = NULL;
    int32_t partitions;
    FR_TRY(fr_router_route(c->router, s->table, &route, err));
    s->settings = route->settings;
    s->first = fr_arena_str(m->arena, route->first);
    s->from = fr_arena_str(m->arena, route->topic);
    s->generation = route->generation < 2 ? 2 : route->generation + 1;
    s->to = fr_topic_generation(m->arena, s->first, s->generation);
    if (s->generation > FR_GENERATIONS) {
        fr_fail(err, FR_ERR_CONFIG, "it has had %d topics", FR_GENERATIONS);
        return fr_fail_hint(err, "set topic for this table, where it begins anew");
    }
    bool fresh;
    FR_TRY(fr_publisher_topic(c->publisher, s->to, &partitions, err));
    FR_TRY(fr_publisher_fresh(c->publisher, s->to, &fresh, err));
    if (!fresh) {
        fr_fail(err, FR_ERR_CONFIG, "somebody else's messages are in it");
        return fr_fail_hint(err, "empty it, or set topic for this table, where it begins anew");
    }
    return key_of(m, s, err);
}

static fr_rc turn(moves *m, const step *s, fr_err *err)
{
    fr_capture *c = m->c;
    const fr_route *route = NULL;
    fr_router_move(c->router, s->first, s->generation, names_move(c));
    if (fr_router_route(c->router, s->table, &route, err) == FR_FAIL) {
        fr_router_move(c->router, s->first, s->generation - 1, names_move(c));
        return FR_FAIL;
    }
    fr_encoder_moved(c->encoder, s->first);
    if (c->held_tables->encoder != NULL)
        fr_encoder_moved(c->held_tables->encoder, s->first);
    return FR_OK;
}

/* Into our own checkpoint at once, and into Kafka's with the next commit. */
static fr_rc note(moves *m, const step *s, const held_place *at, const fr_err *why, fr_err *err)
{
    fr_checkpoint *k = m->c->checkpoint;
    fr_generation_fact g = {.topic = s->first,
                            .space = s->table->space,
                            .name = s->table->name,
                            .generation = s->generation,
                            .kind = fr_change_kind(why),
                            .from = at->from,
                            .txn = at->seen > 0 ? at->txn : (fr_str){"", 0},
                            .seen = at->seen,
                            .since_us = fr_wall_us()};
    move *one = fr_malloc(sizeof(*one));
    *m->last = one;
    m->last = &one->next;
    one->space = fr_arena_str(m->arena, s->table->space);
    one->name = fr_arena_str(m->arena, s->table->name);
    one->waits = true;
    one->generation = fr_checkpoint_generation(m->arena, &g);
    FR_TRY(fr_checkpoint_fold(k, one->generation.key, one->generation.value, err));
    if (s->settings->snapshot_mode != 0)
        return FR_OK;
    FR_TRY(fr_checkpoint_ask(m->arena, k, one->space, one->name, (fr_str){"", 0}, &one->snapshot,
                             err));
    return fr_checkpoint_fold(k, one->snapshot.key, one->snapshot.value, err);
}

fr_rc moves_put(moves *m, fr_encoder *e, snapshot *snap, fr_batch *b, size_t index,
                const held_place *at, fr_err *err)
{
    fr_capture *c = m->c;
    fr_err why = *err;
    step s = {.encoder = e, .table = b->events[index].table};
    if (look(m, &s, err) == FR_FAIL || turn(m, &s, err) == FR_FAIL)
        return in_the_way(&s, &why, err);
    FR_TRY(note(m, &s, at, &why, err));
    if (b->chunk != 0) { /* all of it is read again */
        b->message_count = 0;
        snapshot_leave(snap, s.table->space, s.table->name);
        fr_encoder_pass(e, s.table->space, s.table->name, UINT64_MAX);
    }
    /* A marker of this very row may be there: the next topic did not take it either. */
    fr_encoder_close(e, b, index, s.from, s.to, s.key, &why);
    fr_log(FR_LOG_WARN, c->who, "%.*s.%.*s goes on in topic %.*s, and %.*s is closed: %s",
           FR_ARG(s.table->space), FR_ARG(s.table->name), FR_ARG(s.to), FR_ARG(s.from), why.text);
    if (FR_FAILPOINT("capture_move"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_move");
    return FR_OK;
}

/* ---- with a commit ---- */

size_t moves_records(const moves *m, fr_arena *a, fr_record **out)
{
    size_t n = 0, count = 0;
    for (const move *one = m->first; one != NULL; one = one->next)
        n += one->waits ? 2 : 0;
    *out = n == 0 ? NULL : fr_arena_alloc(a, n * sizeof(**out));
    for (const move *one = m->first; one != NULL; one = one->next) {
        if (one->waits)
            (*out)[count++] = one->generation;
        if (one->waits && one->snapshot.key.len > 0)
            (*out)[count++] = one->snapshot;
    }
    return count;
}

/* A table that is caught up gets its snapshot once it is. */
void moves_committed(moves *m)
{
    fr_capture *c = m->c;
    bool any = false;
    for (move *one = m->first; one != NULL; one = one->next) {
        if (one->waits && one->snapshot.key.len > 0 &&
            !held_is(c->held_tables, one->space, one->name))
            requests_reopen(c->requests);
        any = any || one->waits;
        one->waits = false;
    }
    if (any && FR_FAILPOINT("capture_move_committed"))
        requests_reopen(c->requests);
    size_t i = 0;
    void *value;
    while (any && fr_map_next(c->checkpoint->generations, &i, NULL, &value))
        tell(c, value);
}

void moves_leave(const moves *m, snapshot *s)
{
    for (const move *one = m->first; one != NULL; one = one->next)
        snapshot_leave(s, one->space, one->name);
}
