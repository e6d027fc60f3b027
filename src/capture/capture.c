#include "capture/capture.h"
#include "base/json.h"
#include "capture/internal.h"
#include "transform/derive.h"
#include <stdlib.h>
#include <string.h>

enum { SLICE_US = 30000000, SHORT_SLICE_US = 1 }; /* short: one piece for each reader */

/* Which tables a plan is asked for. */
typedef struct wanted {
    fr_capture *c;
    bool first;      /* every table of snapshot.mode initial */
    size_t outboxes; /* collect: so many of them are outboxes */
} wanted;

static fr_str table_key(fr_arena *a, fr_str space, fr_str name)
{
    return fr_arena_printf(a, "%.*s.%.*s", FR_ARG(space), FR_ARG(name));
}

const fr_snapshot_progress *capture_progress(const fr_capture *c, fr_str space, fr_str name)
{
    fr_arena *a = fr_arena_new(256);
    const fr_snapshot_progress *p = fr_map_get(c->checkpoint->snapshots, table_key(a, space, name));
    fr_arena_free(a);
    return p;
}

static bool wants(void *context, fr_str space, fr_str name)
{
    wanted *w = context;
    const fr_table_settings *t = fr_source_match(w->c->s.source, space, name);
    if (t == NULL || t->snapshot_mode != 0 || held_is(w->c->held_tables, space, name))
        return false;
    if (w->first)
        return true;
    const fr_snapshot_progress *p = capture_progress(w->c, space, name);
    return p == NULL || p->left_count > 0;
}

static bool is_outbox(const fr_capture *c, fr_str space, fr_str name)
{
    const fr_table_settings *t = fr_source_match(c->s.source, space, name);
    return t != NULL && t->outbox.on;
}

static fr_rc route(void *context, const fr_table *table, const fr_route **out, fr_err *err)
{
    fr_capture *c = context;
    return fr_router_route(c->router, table, out, err);
}

static fr_rc claim(void *context, const fr_route *by, fr_str topic, fr_err *err)
{
    fr_capture *c = context;
    return fr_router_claim(c->router, by, topic, err);
}

/* While a split transaction is read again its first rows are older than what was published. */
static int32_t published(void *context, fr_str topic)
{
    const fr_capture *c = context;
    const fr_topic_fact *t = fr_map_get(c->checkpoint->topics, topic);
    return t == NULL || c->checkpoint->split.id.len > 0 ? 0 : t->schema;
}

static void kept(void *context, const fr_table *t, fr_str said)
{
    fr_capture *c = context;
    if (said.len > 0)
        fr_log(FR_LOG_INFO, c->who,
               "%.*s.%.*s goes on in its former shape, as schema.on_change says ignore: %.*s",
               FR_ARG(t->space), FR_ARG(t->name), FR_ARG(said));
    FR_TELL(&c->s.observer, kept, t->space, t->name, said);
}

fr_rc fr_capture_origin(const fr_source_settings *settings, fr_str resume, fr_arena *a,
                        fr_origin *out, fr_err *err)
{
    json_t *j = NULL;
    FR_TRY(fr_json_parse(resume, &j, err));
    bool postgres = strcmp(settings->type, "postgres") == 0;
    *out = (fr_origin){.version = FR_STR(FR_VERSION),
                       .type = fr_cstr(settings->type),
                       .connector = postgres ? FR_STR("postgresql") : fr_cstr(settings->type),
                       .prefix = fr_cstr(settings->prefix),
                       .debezium = fr_source_debezium(settings),
                       .db = fr_arena_str(a, fr_cstr(fr_json_str(j, "db", "")))};
    json_decref(j);
    return FR_OK;
}

/* The encoder says in each event which database it came from: the resume text knows. */
fr_rc capture_encoder(fr_capture *c, fr_str resume, fr_arena *a, fr_err *err)
{
    fr_encoder_settings s = {.source = c->s.source,
                             .registry_settings = c->s.registry,
                             .kafka = c->s.kafka,
                             .notices = fr_notices_topic(a, c->s.kafka),
                             .route = route,
                             .published = published,
                             .claim = claim,
                             .kept = kept,
                             .context = c};
    FR_TRY(fr_capture_origin(c->s.source, resume, a, &s.origin, err));
    c->encoding = s;
    c->encoder = fr_encoder_new(&s, c->registry);
    held_begin(c->held_tables);
    return FR_OK;
}

/* One list for the first snapshot, one for what is left or new: every captured table gets a
 * record, empty ones as well, so that the next start knows them. */
static fr_rc collect(fr_capture *c, outlet *o, snapshot *s, const fr_plan *plan, wanted *w,
                     fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const fr_table **tables;
    size_t count = 0;
    fr_rc rc = c->source->ops->list_tables(c->source, a, &tables, &count, err);
    /* Outboxes first: they cannot wait for the others (check_outbox). */
    for (size_t i = 0; rc == FR_OK && i < 2 * count; i++) {
        const fr_table *t = tables[i % count];
        bool outbox = is_outbox(c, t->space, t->name);
        if (outbox != (i < count) || !wants(w, t->space, t->name))
            continue;
        snapshot_add(s, plan, t->space, t->name,
                     w->first ? NULL : capture_progress(c, t->space, t->name));
        outlet_known(o, t->space, t->name);
        w->outboxes += outbox;
        if (outbox && !w->first)
            fr_encoder_remember(c->encoder, t->space, t->name);
    }
    for (size_t i = 0; rc == FR_OK && i < count; i++)
        fr_table_unref(tables[i]);
    fr_arena_free(a);
    return rc;
}

/* Some of its rows were published, and nobody knows which: it has no key to go on from. */
static bool lost_its_place(const fr_snapshot_progress *p)
{
    bool whole = false;
    for (size_t i = 0; i < p->left_count; i++)
        whole = whole || p->left[i].whole;
    return whole && p->rows > 0;
}

/* Another view of an outbox shows rows that the log brings too. Which those are is known as long as
 * the log is read from where the first view was taken: nobody remembers more. */
static fr_rc check_outbox(fr_capture *c, fr_str space, fr_str name, fr_err *err)
{
    const fr_snapshot_progress *p = capture_progress(c, space, name);
    if (p == NULL)
        return FR_OK;
    bool lost = lost_its_place(p);
    if (!lost && c->source->ops->compare(c->source, p->view_resume, c->checkpoint->resume) == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_POSITION, "the first reading of outbox %.*s.%.*s was interrupted, and %s",
            FR_ARG(space), FR_ARG(name),
            lost ? "without a key nobody knows at which of its rows"
                 : "the log went on: rows that are left cannot be told from those that it brought");
    fr_fail_code(err, "outbox.snapshot");
    return fr_fail_hint(err,
                        "set snapshot.mode: never for it, and send rows again that were there at "
                        "the first start and did not arrive; or begin anew, where all of them "
                        "come again: freshet position reset %s",
                        c->s.source->name);
}

static fr_rc anything_wanted(fr_capture *c, bool *out, fr_err *err)
{
    wanted w = {.c = c};
    fr_arena *a = fr_arena_new(0);
    const fr_table **tables;
    size_t count = 0;
    *out = false;
    fr_rc listed = c->source->ops->list_tables(c->source, a, &tables, &count, err), rc = listed;
    for (size_t i = 0; listed == FR_OK && i < count; i++) {
        fr_str space = tables[i]->space, name = tables[i]->name;
        bool some = wants(&w, space, name);
        if (rc == FR_OK && some && is_outbox(c, space, name))
            rc = check_outbox(c, space, name, err);
        *out = *out || some;
        fr_table_unref(tables[i]);
    }
    fr_arena_free(a);
    return rc;
}

static fr_rc write_start(outlet *o, snapshot *s, const fr_plan *plan, fr_arena *a, fr_err *err)
{
    fr_record *snapshots;
    size_t n = snapshot_records(s, a, true, &snapshots);
    fr_record *all = fr_arena_alloc(a, (n + 1) * sizeof(fr_record));
    memcpy(all, snapshots, n * sizeof(fr_record));
    all[n] = fr_checkpoint_stream(a, false, plan->stream_from, NULL, NULL, 0, fr_wall_us());
    return outlet_records(o, all, n + 1, err);
}

/* From where on the log brings an outbox's rows is on record before any of them is published. */
static fr_rc write_begun(outlet *o, snapshot *s, fr_arena *a, fr_err *err)
{
    fr_record *records;
    size_t n = snapshot_records(s, a, true, &records);
    return outlet_records(o, records, n, err);
}

/* The number above all that this source published under before; 0 at its very first start. */
fr_rc capture_next_epoch(fr_str resume, uint32_t *out, fr_err *err)
{
    json_t *j = NULL;
    *out = 0;
    if (resume.len == 0)
        return FR_OK;
    FR_TRY(fr_json_parse(resume, &j, err));
    *out = (uint32_t)fr_json_int(j, "epoch", 0) + 1;
    json_decref(j);
    return FR_OK;
}

/* A slot of our name that we did not make is somebody else's: never dropped, never adopted
 * unasked (R6). */
static fr_rc refuse_foreign_slot(const fr_source_settings *settings, fr_source *source,
                                 const fr_checkpoint *checkpoint, fr_err *err)
{
    fr_str position;
    fr_err none;
    if (checkpoint->creating || source->ops->position_now == NULL)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = source->ops->position_now(source, a, &position, &none);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        return FR_OK;
    fr_fail(err, FR_ERR_POSITION,
            "there is no checkpoint of source %s, but its replication slot exists", settings->name);
    fr_fail_code(err, "pg.slot_exists");
    return fr_fail_hint(err,
                        "if the slot is ours and the checkpoint was lost: freshet position set %s "
                        "--from-slot; if it is a leftover: drop it; if it is another pipeline's: "
                        "set sources.%s.log.slot",
                        settings->name, settings->name);
}

fr_rc fr_capture_verify(const fr_source_settings *settings, fr_source *source,
                        const fr_checkpoint *checkpoint, fr_err *err)
{
    if (!checkpoint->has_stream || checkpoint->creating)
        return refuse_foreign_slot(settings, source, checkpoint, err);
    if (source->ops->verify == NULL)
        return FR_OK;
    return source->ops->verify(source, checkpoint->resume, err);
}

/* `creating` is written before the slot is made, so that a crash in between is recognised; a
 * slot that turned out to be another's takes it back. */
static fr_rc make_plan(fr_capture *c, outlet *o, fr_arena *a, const fr_plan_request *request,
                       fr_plan *plan, fr_err *err)
{
    fr_record creating =
        fr_checkpoint_stream(a, true, c->checkpoint->resume, NULL, NULL, 0, fr_wall_us());
    FR_TRY(outlet_records(o, &creating, 1, err));
    if (FR_FAILPOINT("capture_before_slot"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_before_slot");
    if (c->source->ops->plan(c->source, request, plan, err) == FR_FAIL) {
        fr_record undo = {FR_STR("stream"), {NULL, 0}};
        fr_err second;
        if (!request->replace && strcmp(err->code, "pg.slot_exists") == 0)
            (void)outlet_records(o, &undo, 1, &second);
        return FR_FAIL;
    }
    if (FR_FAILPOINT("capture_after_slot"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_after_slot");
    return FR_OK;
}

/* Nothing is known of this source: make its slot, read everything, then follow. */
static fr_rc first_start(fr_capture *c, outlet *o, fr_arena *a, fr_str *resume, fr_err *err)
{
    wanted w = {.c = c, .first = true};
    fr_plan_request request = {
        .create = true, .replace = c->checkpoint->creating, .want = wants, .context = &w};
    fr_plan plan = {.arena = a};
    FR_TRY(capture_next_epoch(c->checkpoint->resume, &request.epoch, err));
    FR_TRY(refuse_foreign_slot(c->s.source, c->source, c->checkpoint, err));
    FR_TRY(make_plan(c, o, a, &request, &plan, err));
    fr_record *gone; /* of a time that nothing is known of any more */
    size_t gone_count = held_forget(c->held_tables, a, &gone);
    if (gone_count > 0)
        FR_TRY(outlet_records(o, gone, gone_count, err));
    snapshot *s = snapshot_new(c);
    fr_rc rc = collect(c, o, s, &plan, &w, err);
    if (rc == FR_OK)
        rc = capture_encoder(c, plan.stream_from, a, err);
    if (rc == FR_OK)
        rc = write_start(o, s, &plan, a, err);
    if (rc == FR_OK) {
        outlet_resume(o, plan.stream_from);
        fr_cancel_by(&c->runner.abandoned);
        rc = snapshot_run(s, o, &plan, err);
    }
    c->source->ops->end_view(c->source);
    snapshot_free(s);
    *resume = plan.stream_from;
    return rc;
}

static fr_str safe_resume(fr_capture *c, fr_arena *a, fr_str otherwise)
{
    pthread_mutex_lock(&c->lock);
    fr_str s = c->safe.len > 0 ? fr_arena_str(a, fr_buf_view(&c->safe)) : otherwise;
    pthread_mutex_unlock(&c->lock);
    return s;
}

static uint32_t epoch_of(fr_str resume, uint32_t otherwise)
{
    json_t *j = NULL;
    fr_err ignored;
    if (fr_json_parse(resume, &j, &ignored) == FR_FAIL)
        return otherwise;
    uint32_t epoch = (uint32_t)fr_json_int(j, "epoch", otherwise);
    json_decref(j);
    return epoch;
}

/* How long the log may wait for rows of a view: not so short that most of the time goes into
 * opening views. What came meanwhile is read on the way to the next one. */
static int64_t slice_us(const fr_capture *c)
{
    int64_t opening = fr_now_us() - c->run_began_us;
    if (FR_FAILPOINT("capture_short_slices"))
        return SHORT_SLICE_US;
    return 10 * opening > SLICE_US ? 10 * opening : SLICE_US;
}

/* Tables are left from an interrupted snapshot, or new: a second view beside the slot. The
 * stream is followed up to that view first, so that a row read in it never comes before an
 * older change (docs/adr/0002). */
static fr_rc finish_snapshot(fr_capture *c, outlet *o, fr_arena *a, fr_str *resume, fr_err *err)
{
    wanted w = {.c = c};
    fr_plan_request request = {.want = wants, .context = &w};
    fr_plan plan = {.arena = a};
    FR_TRY(c->source->ops->plan(c->source, &request, &plan, err));
    snapshot *s = snapshot_new(c);
    snapshot_since(s, *resume);
    fr_rc rc = collect(c, o, s, &plan, &w, err);
    if (rc == FR_OK && w.outboxes > 0) {
        fr_log(
            FR_LOG_WARN, c->who,
            "%zu outboxes may have rows from before that were not read: they come now, after what "
            "the log has brought meanwhile, and so not in the order of their keys "
            "[outbox.order]",
            w.outboxes);
        rc = write_begun(o, s, a, err);
    }
    if (rc == FR_OK)
        rc = stream_run(c, o, *resume, plan.view_lsn, err);
    *resume = safe_resume(c, a, *resume);
    /* Rows of the view are as new as the stream they join, and are ordered with it. */
    plan.epoch = epoch_of(*resume, plan.epoch);
    moves_leave(c->moves, s);
    fr_cancel_by(&c->runner.abandoned);
    snapshot_slice(s, slice_us(c));
    if (rc == FR_OK && !stopping(c))
        rc = snapshot_run(s, o, &plan, err);
    fr_encoder_forget(c->encoder);
    c->source->ops->end_view(c->source);
    snapshot_free(s);
    return rc;
}

/* A table that is captured no longer: its changes pass by from now on, so that a snapshot taken
 * before says nothing any more. When it comes back it needs a new one. */
static fr_rc forget_removed(fr_capture *c, outlet *o, fr_arena *a, fr_err *err)
{
    const fr_map *snapshots = c->checkpoint->snapshots;
    fr_record *gone = fr_arena_alloc(a, (fr_map_count(snapshots) + 1) * sizeof(*gone));
    size_t i = 0, count = 0;
    void *value;
    while (fr_map_next(snapshots, &i, NULL, &value)) {
        const fr_snapshot_progress *p = value;
        if (fr_source_match(c->s.source, p->space, p->name) != NULL)
            continue;
        fr_log(FR_LOG_INFO, c->who,
               "%.*s.%.*s is captured no longer: should it come back, a new snapshot is taken",
               FR_ARG(p->space), FR_ARG(p->name));
        gone[count++].key =
            fr_arena_printf(a, "snapshot/%.*s.%.*s", FR_ARG(p->space), FR_ARG(p->name));
    }
    FR_TRY(count == 0 ? FR_OK : outlet_records(o, gone, count, err));
    count = held_removed(c->held_tables, a, &gone);
    return count == 0 ? FR_OK : outlet_records(o, gone, count, err);
}

/* Nothing is planned for a server that asks us to wait: no view, no slot beside ours. */
static fr_rc finish_when_it_may(fr_capture *c, outlet *o, fr_arena *a, fr_str *resume, fr_err *err)
{
    bool waits, leave;
    FR_TRY(throttle_look(c->throttle, false, &waits, &leave, err));
    return waits ? FR_IDLE : finish_snapshot(c, o, a, resume, err);
}

/* The log, until a stop; or, while a snapshot is not through, until that may go on. One that only
 * gave way goes on at once: on the way to its next view the log is followed anyway. */
static fr_rc follow(fr_capture *c, outlet *o, fr_str resume, bool unfinished, fr_err *err)
{
    bool waits = false, leave;
    if (unfinished)
        FR_TRY(throttle_look(c->throttle, false, &waits, &leave, err));
    c->snapshot_waits = waits;
    if ((unfinished && !waits) || requests_waiting(c->requests))
        return FR_IDLE;
    FR_TRY(held_before(c->held_tables, o, err));
    if (stopping(c))
        return FR_OK;
    FR_TRY(stream_run(c, o, resume, 0, err));
    if (stopping(c))
        return FR_OK;
    return c->snapshot_waits || requests_waiting(c->requests) ? FR_IDLE : FR_OK;
}

/* A slip in an expression is said at the start, and not with the first row that needs it. */
static fr_rc check_derived(fr_capture *c, fr_arena *a, fr_err *err)
{
    const fr_source_settings *source = c->s.source;
    const fr_table **tables = NULL;
    const fr_route *ignored;
    size_t count = 0;
    bool some = false;
    for (size_t i = 0; i < source->table_count; i++)
        some = some || fr_derive_wanted(&source->tables[i]);
    if (!some)
        return FR_OK;
    fr_rc rc = c->source->ops->list_tables(c->source, a, &tables, &count, err);
    for (size_t i = 0; i < count; i++) {
        const fr_table_settings *s = fr_source_match(source, tables[i]->space, tables[i]->name);
        if (rc != FR_FAIL && s != NULL && fr_derive_wanted(s))
            rc = fr_router_route(c->router, tables[i], &ignored, err);
        fr_table_unref(tables[i]);
    }
    return rc;
}

/* FR_OK: stopped; FR_IDLE: a snapshot that was asked for or held back may begin or go on: open
 * all of it again, as after a restart. */
static fr_rc run_source(fr_capture *c, outlet *o, fr_arena *a, fr_err *err)
{
    fr_checkpoint *k = c->checkpoint;
    fr_str resume = k->resume;
    fr_rc rc = FR_OK;
    c->snapshot_waits = false;
    FR_TRY(check_derived(c, a, err));
    if (!k->has_stream || k->creating) {
        rc = first_start(c, o, a, &resume, err);
    } else {
        bool some;
        FR_TRY(capture_encoder(c, resume, a, err));
        outlet_resume(o, resume);
        if (k->split.id.len > 0) {
            outlet_skip(o, &k->split);
            moves_skip(c->moves);
        }
        FR_TELL(&c->s.observer, position, resume);
        FR_TRY(forget_removed(c, o, a, err));
        if (requests_waiting(c->requests))
            FR_TRY(requests_take(c, o, err));
        FR_TRY(absent_at_start(c, o, err));
        if (requests_waiting(c->requests))
            return FR_IDLE;
        FR_TRY(anything_wanted(c, &some, err));
        if (some)
            rc = finish_when_it_may(c, o, a, &resume, err);
    }
    if (rc == FR_FAIL || stopping(c))
        return rc == FR_FAIL ? rc : FR_OK;
    return follow(c, o, resume, rc == FR_IDLE, err);
}

static size_t pool_batches(const fr_capture *c)
{
    /* A full batch is 1 MiB of rows, its events' own structs, and about as much again once it
     * is encoded. */
    int64_t n = c->s.memory / (5 << 19);
    return n < 4 ? 4 : (size_t)n;
}

static void close_all(fr_capture *c)
{
    fr_publisher_close(c->publisher); /* before the batches: it may still point into them */
    c->publisher = NULL;
    pthread_mutex_lock(&c->lock);
    fr_registry *registry = c->registry;
    c->registry = NULL;
    pthread_mutex_unlock(&c->lock);
    fr_encoder_free(c->encoder);
    c->encoder = NULL;
    fr_router_free(c->router);
    c->router = NULL;
    if (c->source != NULL)
        c->source->ops->close(c->source);
    c->source = NULL;
    moves_free(c->moves);
    c->moves = NULL;
    held_free(c->held_tables);
    c->held_tables = NULL;
    fr_checkpoint_free(c->checkpoint);
    c->checkpoint = NULL;
    fr_registry_close(registry);
}

/* R9: the producer first (it fences and resolves its predecessor), then the checkpoint, and
 * only then the source. */
static fr_rc open_all(fr_capture *c, fr_err *err)
{
    fr_registry *registry;
    FR_TRY(fr_registry_open(c->s.registry, &registry, err));
    pthread_mutex_lock(&c->lock);
    c->registry = registry;
    pthread_mutex_unlock(&c->lock);
    FR_TRY(fr_publisher_open(c->s.kafka, c->s.source->name, c->s.instance, c->said, &c->publisher,
                             &c->checkpoint, err));
    if (!fr_source_polled(c->s.source))
        FR_TRY(c->s.ops->open(c->s.source, &c->source, err));
    c->held_tables = held_new(c);
    c->router = fr_router_new(c->s.source);
    c->moves = moves_new(c);
    return FR_OK;
}

static fr_rc run_once(void *context, fr_err *err)
{
    fr_capture *c = context;
    fr_arena *a = fr_arena_new(0);
    outlet *o = NULL;
    c->run_began_us = fr_now_us();
    c->safe.len = c->confirmable.len = 0;
    c->pool = fr_pool_new(pool_batches(c), 4096, 1 << 20);
    fr_rc rc = open_all(c, err);
    if (rc == FR_OK && !stopping(c)) {
        o = outlet_new(c);
        rc = fr_source_polled(c->s.source) ? poll_run(c, o, a, err) : run_source(c, o, a, err);
    }
    close_all(c);
    outlet_free(o);
    fr_pool_free(c->pool);
    c->pool = NULL;
    fr_arena_free(a);
    return rc;
}

/* A row goes to the dead letters at the next try: nothing is overloaded. */
static bool set_aside(const fr_err *err)
{
    return err->kind == FR_ERR_BUSY && strcmp(err->code, "kafka.message.too_large") == 0;
}

fr_capture *fr_capture_start(const fr_capture_settings *settings)
{
    fr_capture *c = fr_malloc(sizeof(*c));
    c->s = *settings;
    c->throttle = throttle_new(c);
    c->requests = requests_new();
    c->holds = holds_new();
    c->absences = absences_new();
    c->said = fr_said_new();
    snprintf(c->who, sizeof(c->who), "source %s", settings->source->name);
    pthread_mutex_init(&c->lock, NULL);
    c->runner = (fr_runner){.thread_name = "publisher",
                            .who = c->who,
                            .observer = &c->s.observer,
                            .run = run_once,
                            .awaited = set_aside,
                            .context = c};
    fr_runner_start(&c->runner);
    return c;
}

void fr_capture_stop(fr_capture *c)
{
    fr_runner_stop(&c->runner);
    pthread_mutex_lock(&c->lock);
    if (c->reader != NULL)
        c->reader->ops->interrupt(c->reader);
    if (c->polls != NULL)
        polls_wake(c->polls);
    pthread_mutex_unlock(&c->lock);
}

void fr_capture_abandon(fr_capture *c)
{
    fr_runner_abandon(&c->runner);
    fr_capture_stop(c);
    pthread_mutex_lock(&c->lock);
    if (c->registry != NULL)
        fr_registry_interrupt(c->registry);
    pthread_mutex_unlock(&c->lock);
}

bool fr_capture_done(fr_capture *c, bool *failed_out, fr_err *err_out)
{
    return fr_runner_done(&c->runner, failed_out, err_out);
}

void fr_capture_free(fr_capture *c)
{
    if (c == NULL)
        return;
    fr_capture_stop(c);
    fr_runner_end(&c->runner);
    pthread_mutex_destroy(&c->lock);
    throttle_free(c->throttle);
    requests_free(c->requests);
    holds_free(c->holds);
    absences_free(c->absences);
    fr_said_free(c->said);
    fr_buf_free(&c->safe);
    fr_buf_free(&c->confirmable);
    fr_map_free(c->refused, NULL);
    fr_arena_free(c->refused_arena);
    free(c);
}
