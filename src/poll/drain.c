#include "poll/drain.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/map.h"
#include "poll/load.h"
#include "poll/order.h"
#include "poll/pending.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CHUNK: rows of one statement that deletes. TRIES: to delete rows that do not go. */
enum { CHUNK = 1000, TRIES = 3 };
/* How often triggers are looked at, between these two: ten times poll.every. */
enum { LOOK_LEAST_US = 1000000, LOOK_MOST_US = 30000000 };

/* REMOVE: what is pending is committed, and is to be deleted before anything is read. */
typedef enum { STEP_REMOVE, STEP_READ } drain_step;

struct fr_drain {
    const fr_source_settings *source;
    const fr_table_settings *settings;
    fr_arena *arena; /* as long as the drain */
    fr_str space, name, recorded;
    char who[200];
    uint32_t version, epoch;

    const fr_sql_ops *ops;
    fr_sql_relation *relation; /* what is emptied */
    fr_changes *changes; /* method trigger: what its rows are, and whose relation is; else NULL */
    fr_load load;        /* of their table */
    int64_t looked_us;   /* monotonic: at the triggers */
    fr_sql *view;        /* a view is open there; else NULL */
    fr_drain_order order;
    size_t *summed; /* the places of pending.columns in the relation, in names' memory */
    size_t summed_count;
    fr_arena *places;

    drain_step step;
    fr_pending pending;
    bool started;   /* recorded was taken in */
    bool inherited; /* what is pending is of before: perhaps we have deleted it already */
    bool uncleared; /* the newest record has rows pending */
    bool more;      /* the last page was full: read on after deleting */
    bool waits, over;
    bool said_others;      /* that somebody else deletes as well */
    bool recorded_columns; /* those that are summed are of rows that were published before */
    bool unloaded;         /* the load is further than the newest record says */
    bool loading;          /* the table's rows are being read, and not its changes */
    int64_t selected_us, whole_us; /* wall: the newest view; one of which all was read */

    /* The page that is being read. */
    fr_reader *reader;
    size_t page_rows;
    fr_batch *taken; /* what is read to be deleted */
};

fr_drain *fr_drain_new(const fr_source_settings *source, const fr_table_settings *settings,
                       fr_str space, fr_str name, fr_str progress, uint32_t epoch)
{
    fr_drain *d = fr_malloc(sizeof(*d));
    d->source = source;
    d->settings = settings;
    d->arena = fr_arena_new(0);
    d->space = fr_arena_str(d->arena, space);
    d->name = fr_arena_str(d->arena, name);
    d->recorded = fr_arena_str(d->arena, progress);
    d->epoch = epoch;
    d->more = true;
    d->taken = fr_batch_new(1024, 1 << 20);
    snprintf(d->who, sizeof(d->who), "source %s: %.*s.%.*s", source->name, FR_ARG(space),
             FR_ARG(name));
    return d;
}

static void end_view(fr_drain *d)
{
    if (d->view != NULL)
        d->view->ops->end_view(d->view);
    d->view = NULL;
    d->loading = false;
}

void fr_drain_leave(fr_drain *d)
{
    if (d->reader == NULL)
        return;
    d->reader->ops->close(d->reader);
    d->reader = NULL;
    end_view(d);
    d->waits = d->page_rows > 0;
    d->step = d->waits ? STEP_REMOVE : STEP_READ;
    d->more = true;
}

static void forget(fr_drain *d)
{
    if (d->changes == NULL && d->relation != NULL)
        d->ops->forget(d->relation);
    fr_changes_free(d->changes);
    d->relation = NULL;
    d->changes = NULL;
}

void fr_drain_free(fr_drain *d)
{
    if (d == NULL)
        return;
    fr_drain_leave(d);
    forget(d);
    fr_load_free(&d->load);
    fr_pending_free(&d->pending);
    fr_batch_free(d->taken);
    fr_arena_free(d->places);
    fr_arena_free(d->arena);
    free(d);
}

bool fr_drain_waits(const fr_drain *d)
{
    return d->waits;
}

bool fr_drain_reading(const fr_drain *d)
{
    return d->reader != NULL;
}

void fr_drain_status_of(const fr_drain *d, fr_poller_status *out)
{
    *out = (fr_poller_status){.page = d->pending.page,
                              .rows = d->pending.read,
                              .behind_us = -1,
                              .whole_us = d->whole_us,
                              .nulls = -1};
}

/* ---- what it is ---- */

static bool uses(const fr_drain *d, const fr_drain_order *o, size_t column)
{
    const fr_table_settings *t = d->settings;
    fr_str name = d->relation->table->columns[column].name;
    if (d->changes != NULL)
        return fr_changes_tells(d->changes, column);
    if (t->envelope != FR_ENVELOPE_RAW || column == o->id || column == o->columns[0])
        return true;
    const char *named[] = {t->outbox.payload, t->outbox.key, t->outbox.type};
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        if (named[i] != NULL && fr_str_is(name, named[i]))
            return true;
    for (size_t i = 0; i < t->outbox.headers.count; i++)
        if (fr_str_is(name, t->outbox.headers.items[i]))
            return true;
    fr_str variable = fr_arena_printf(d->places, "${%.*s}", FR_ARG(name));
    return t->outbox.route != NULL &&
           strstr(t->outbox.route, fr_arena_cstr(d->places, variable)) != NULL;
}

/* From now on sums are over what is published, so that other columns may come and go. */
static void choose_columns(fr_drain *d)
{
    const fr_table *t = d->relation->table;
    fr_str *names = fr_arena_alloc(d->places, (t->column_count + 1) * sizeof(*names));
    d->summed = fr_arena_alloc(d->places, (t->column_count + 1) * sizeof(size_t));
    d->summed_count = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        if (!uses(d, &d->order, i))
            continue;
        names[d->summed_count] = t->columns[i].name;
        d->summed[d->summed_count++] = i;
    }
    fr_pending_columns(&d->pending, t->columns[d->order.id].name, names, d->summed_count);
    d->recorded_columns = false;
}

static fr_rc lost_column(fr_str name, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "rows that were published are not deleted yet, and cannot be recognised: column %.*s "
            "is gone, or not outbox.id any more",
            FR_ARG(name));
    fr_fail_code(err, "outbox.pending");
    return fr_fail_hint(err, "put it back until they are deleted; freshet position show SOURCE "
                             "--json names them (pending)");
}

/* Where the columns are that the sums of the pending rows are of. */
static fr_rc find_columns(fr_drain *d, fr_err *err)
{
    const fr_table *t = d->relation->table;
    if (!fr_str_eq(d->pending.id, t->columns[d->order.id].name))
        return lost_column(d->pending.id, err);
    d->summed = fr_arena_alloc(d->places, (d->pending.column_count + 1) * sizeof(size_t));
    d->summed_count = d->pending.column_count;
    for (size_t i = 0; i < d->summed_count; i++) {
        int at = fr_table_find(t, d->pending.columns[i]);
        if (at < 0)
            return lost_column(d->pending.columns[i], err);
        d->summed[i] = (size_t)at;
    }
    d->recorded_columns = true;
    return FR_OK;
}

/* The relation is the drain's from now on, and so are the changes that it is of. */
static fr_rc take_relation(fr_drain *d, fr_sql_relation *r, fr_changes *ch, fr_err *err)
{
    fr_drain_order order;
    const fr_table_settings *t = ch != NULL ? &ch->log_settings : d->settings;
    if (fr_drain_order_of(r, t, &order, err) == FR_FAIL) {
        if (ch == NULL)
            d->ops->forget(r);
        fr_changes_free(ch);
        return FR_FAIL;
    }
    forget(d);
    fr_arena_free(d->places);
    d->places = fr_arena_new(0);
    d->relation = r;
    d->changes = ch;
    d->order = order;
    if (d->pending.count > 0)
        return find_columns(d, err);
    choose_columns(d);
    return FR_OK;
}

static fr_rc begin_load(fr_drain *d, fr_err *err)
{
    bool anew = false, done = d->load.known && d->load.done;
    FR_TRY(fr_load_begin(&d->load, d->changes, d->settings, &anew, err));
    d->unloaded = d->unloaded || anew || done != d->load.done;
    if (anew)
        fr_log(FR_LOG_WARN, d->who,
               d->load.done ? "its triggers were renewed: what was changed before that may lack "
                              "values of new columns (snapshot.mode: never)"
                            : "its triggers were renewed: all rows are read once more");
    return FR_OK;
}

/* kept: what was known stays, if nothing differs: whoever encodes remembers each table that there
 * was. */
static fr_rc describe_changes(fr_drain *d, fr_sql *c, bool kept, fr_err *err)
{
    fr_changes *ch = NULL;
    FR_TRY(fr_changes_open(c, d->source, d->settings, d->space, d->name, d->version + 1, &ch, err));
    d->looked_us = fr_now_us();
    if (kept && fr_changes_same(d->changes, ch)) {
        fr_changes_free(ch);
        return FR_OK;
    }
    d->ops = c->ops;
    FR_TRY(take_relation(d, ch->log, ch, err));
    d->version++;
    return begin_load(d, err);
}

static fr_rc describe(fr_drain *d, fr_sql *c, fr_err *err)
{
    fr_sql_relation *r = NULL;
    if (d->settings->method == FR_METHOD_TRIGGER)
        return describe_changes(d, c, false, err);
    FR_TRY(c->ops->describe(c, d->settings, d->space, d->name, d->version + 1, &r, err));
    d->ops = c->ops;
    FR_TRY(take_relation(d, r, NULL, err));
    d->version++;
    return FR_OK;
}

/* Triggers may be dropped, and columns added, and nothing tells us. */
static fr_rc look(fr_drain *d, fr_sql *c, fr_err *err)
{
    int64_t every = 10 * d->settings->poll_every_us;
    every = every < LOOK_LEAST_US ? LOOK_LEAST_US : every > LOOK_MOST_US ? LOOK_MOST_US : every;
    if (d->changes == NULL || fr_now_us() - d->looked_us < every)
        return FR_OK;
    return describe_changes(d, c, true, err);
}

/* A record of an outbox says nothing of a table's load, and the other way round. */
static fr_rc other_kind(const fr_drain *d, fr_err *err)
{
    bool triggers = d->settings->method == FR_METHOD_TRIGGER;
    if (d->recorded.len == 0 || triggers == d->load.known)
        return FR_OK;
    fr_fail(err, FR_ERR_POSITION,
            triggers ? "it was an outbox so far, and is captured by triggers now: what was "
                       "published of it is on record in another way"
                     : "it was captured by triggers so far, and is an outbox now: what was "
                       "published of it is on record in another way");
    fr_fail_code(err, "poll.other_method");
    return fr_fail_hint(err, "set the method as it was; or begin anew: freshet position reset "
                             "SOURCE (stopped)");
}

static fr_rc begin(fr_drain *d, fr_sql *c, fr_err *err)
{
    if (d->started)
        return FR_OK;
    if (d->recorded.len > 0)
        FR_TRY(fr_pending_parse(d->recorded, &d->pending, err));
    d->uncleared = d->inherited = d->pending.count > 0;
    if (d->pending.load.len > 0)
        FR_TRY(fr_load_read(d->pending.load, &d->load, err));
    FR_TRY(other_kind(d, err));
    FR_TRY(describe(d, c, err));
    if (d->order.doubt != NULL)
        fr_log(FR_LOG_WARN, d->who, "its order is in doubt: %.*s %s", FR_ARG(d->order.doubt_of),
               d->order.doubt);
    d->started = true;
    return FR_OK;
}

/* ---- deleting ---- */

/* Some of the pending rows, and what became of them. */
typedef struct chunk {
    fr_pending_row *rows;
    size_t count;
    enum { ASKED, SEEN, GONE, OTHER } * state; /* OTHER: not the row that was published */
    fr_map *by_id;                             /* id -> &rows[i] */
    fr_arena *arena;
} chunk;

static fr_rc put_in(fr_drain *d, const chunk *k, fr_str *out, size_t *count_out, fr_err *err)
{
    fr_buf b = {.arena = k->arena};
    size_t n = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (k->state[i] != ASKED)
            continue;
        fr_buf_text(&b, n++ == 0 ? "(" : ", ");
        if (!d->ops->put_value(&b, d->relation, d->order.id, k->rows[i].id)) {
            fr_fail(err, FR_ERR_POSITION, "the id of a pending row cannot be written as SQL");
            return fr_fail_code(err, "checkpoint.record");
        }
    }
    fr_buf_u8(&b, ')');
    *out = fr_buf_view(&b);
    *count_out = n;
    return FR_OK;
}

static fr_rc bad_id(const fr_drain *d, const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "outbox.id %.*s: %s",
            FR_ARG(d->relation->table->columns[d->order.id].name), what);
    return fr_fail_code(err, "outbox.id");
}

/* It was asked for by the id of another one: none can be deleted without the other. */
static fr_rc another_id(const fr_drain *d, fr_str id, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA,
            "outbox.id %.*s: a row has the id %.*s, which differs from that of a published row "
            "only by what the column's collation ignores",
            FR_ARG(d->relation->table->columns[d->order.id].name), FR_ARG(id));
    fr_fail_code(err, "outbox.id");
    return fr_fail_hint(err, "give the column a collation that tells them apart (MySQL, MariaDB: "
                             "utf8mb4_bin, or ascii_bin; PostgreSQL: a deterministic one, and not "
                             "citext)");
}

/* A row that take has given. FR_END: it is not one that was published, or not any more. */
static fr_rc look_at(fr_drain *d, chunk *k, const fr_event *e, fr_err *err)
{
    fr_str id =
        d->ops->text(d->taken->arena, d->relation, d->order.id, &e->after.values[d->order.id]);
    const fr_pending_row *row = fr_map_get(k->by_id, id);
    if (row == NULL)
        return another_id(d, id, err);
    if (k->state[row - k->rows] != ASKED)
        return bad_id(d, "two rows share one", err);
    bool same = fr_pending_same(&e->after, d->summed, d->summed_count, row->sum);
    k->state[row - k->rows] = same ? SEEN : OTHER;
    return same ? FR_OK : FR_END;
}

/* Rows of a batch. *others: some are not what was published. */
static fr_rc look_at_all(fr_drain *d, chunk *k, bool *others, fr_err *err)
{
    for (size_t i = 0; i < d->taken->count; i++) {
        if (d->taken->events[i].op != FR_OP_READ)
            continue;
        fr_rc rc = look_at(d, k, &d->taken->events[i], err);
        FR_TRY(rc);
        *others = *others || rc == FR_END;
    }
    return FR_OK;
}

static fr_rc read_taken(fr_drain *d, chunk *k, fr_reader *r, bool *others, fr_err *err)
{
    for (;;) {
        fr_batch_reset(d->taken);
        fr_rc rc = r->ops->fill(r, d->taken, fr_now_us() + 1000000, err);
        FR_TRY(rc);
        FR_TRY(look_at_all(d, k, others, err));
        if (rc == FR_END)
            return FR_OK;
    }
}

static fr_rc take(fr_drain *d, fr_sql *c, fr_str in, fr_reader **out, fr_err *err)
{
    for (int tries = 0;; tries++) {
        fr_rc rc = c->ops->take(c, d->relation, d->order.id, in, out, err);
        if (rc == FR_OK || strcmp(err->code, "sql.changed") != 0 || tries > 0)
            return rc;
        fr_log(FR_LOG_INFO, d->who, "its columns have changed");
        FR_TRY(describe(d, c, err));
    }
}

/* Takes those that are asked. *others: some row was not the one that was published, so that none
 * was deleted; else those that were seen are gone. */
static fr_rc take_once(fr_drain *d, fr_sql *c, chunk *k, fr_str in, bool *others, fr_err *err)
{
    fr_reader *r = NULL;
    fr_err ignored;
    *others = false;
    FR_TRY(take(d, c, in, &r, err));
    fr_rc rc = read_taken(d, k, r, others, err);
    r->ops->close(r);
    if (rc == FR_FAIL) {
        (void)c->ops->settle(c, false, &ignored);
        return FR_FAIL;
    }
    FR_TRY(c->ops->settle(c, !*others, err));
    for (size_t i = 0; i < k->count; i++) {
        if (k->state[i] != SEEN)
            continue;
        k->state[i] = *others ? ASKED : GONE;
    }
    return FR_OK;
}

/* Of those that did not come, how many are still there? */
static fr_rc count_left(fr_drain *d, fr_sql *c, const chunk *k, int64_t *out, fr_err *err)
{
    fr_str in, text;
    size_t n = 0;
    fr_buf b = {.arena = k->arena};
    FR_TRY(put_in(d, k, &in, &n, err));
    *out = 0;
    if (n == 0)
        return FR_OK;
    fr_buf_text(&b, "SELECT count(*) FROM ");
    d->ops->put_from(&b, d->relation);
    fr_buf_text(&b, " WHERE ");
    d->ops->put_ident(&b, d->pending.id);
    fr_buf_printf(&b, " IN %.*s", FR_ARG(in));
    FR_TRY(c->ops->scalar(c, fr_buf_view(&b), k->arena, &text, err));
    *out = strtoll(fr_arena_cstr(k->arena, text), NULL, 10);
    return FR_OK;
}

static fr_rc not_deleted(int64_t left, const chunk *k, fr_err *err)
{
    fr_str one = FR_STR("");
    for (size_t i = 0; i < k->count && one.len == 0; i++)
        if (k->state[i] == ASKED)
            one = k->rows[i].id;
    fr_fail(err, FR_ERR_CONFIG,
            "%" PRId64 " rows are published and do not go when they are deleted (one of them has "
            "the id %.*s)",
            left, FR_ARG(one));
    fr_fail_code(err, "outbox.not_deleted");
    return fr_fail_hint(err, "look for a trigger BEFORE DELETE, a rule, or row security for "
                             "DELETE; they are on record, and not published again");
}

static void say(fr_drain *d, const chunk *k)
{
    size_t others = 0, gone = 0;
    for (size_t i = 0; i < k->count; i++) {
        others += k->state[i] == OTHER;
        gone += k->state[i] == ASKED;
    }
    if (others > 0)
        fr_log(FR_LOG_WARN, d->who,
               "%zu rows have the ids of rows that were published, and are others: they are "
               "published as new ones",
               others);
    if (gone > 0 && !d->inherited && !d->said_others) {
        d->said_others = true;
        fr_log(FR_LOG_WARN, d->who,
               "%zu rows that were published were gone before they were deleted: does somebody "
               "else delete them, too?",
               gone);
    }
}

/* ASKED are those that were not there. */
static fr_rc remove_chunk(fr_drain *d, fr_sql *c, chunk *k, fr_err *err)
{
    bool others = true;
    int64_t left = 1;
    for (int tries = 0; left > 0 && tries < TRIES; tries++) {
        for (others = true; others;) {
            fr_str in;
            size_t n = 0;
            FR_TRY(fr_cancel_check(err));
            FR_TRY(put_in(d, k, &in, &n, err));
            if (n == 0)
                break;
            FR_TRY(take_once(d, c, k, in, &others, err));
        }
        FR_TRY(count_left(d, c, k, &left, err));
    }
    if (left > 0)
        return not_deleted(left, k, err);
    say(d, k);
    return FR_OK;
}

static fr_rc remove_some(fr_drain *d, fr_sql *c, size_t from, size_t count, fr_err *err)
{
    chunk k = {.rows = d->pending.rows + from, .count = count, .arena = fr_arena_new(0)};
    k.state = fr_arena_alloc(k.arena, count * sizeof(*k.state));
    k.by_id = fr_map_new();
    for (size_t i = 0; i < count; i++)
        fr_map_set(k.by_id, k.rows[i].id, &k.rows[i]);
    fr_rc rc = remove_chunk(d, c, &k, err);
    fr_map_free(k.by_id, NULL);
    fr_arena_free(k.arena);
    return rc;
}

static fr_rc remove_all(fr_drain *d, fr_sql *c, fr_err *err)
{
    size_t at = 0;
    if (d->pending.count > 0 && FR_FAILPOINT("drain_before_delete"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint drain_before_delete");
    for (; at < d->pending.count; at += CHUNK) {
        size_t left = d->pending.count - at;
        FR_TRY(remove_some(d, c, at, left < CHUNK ? left : CHUNK, err));
        if (FR_FAILPOINT("drain_in_delete"))
            return fr_fail(err, FR_ERR_CONNECT, "failpoint drain_in_delete");
    }
    if (at > 0 && FR_FAILPOINT("drain_after_delete"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint drain_after_delete");
    fr_pending_clear(&d->pending);
    if (d->recorded_columns)
        choose_columns(d);
    d->inherited = false;
    d->step = STEP_READ;
    return FR_OK;
}

/* ---- reading ---- */

static fr_str page_sql(fr_drain *d, fr_arena *a)
{
    fr_buf b = {.arena = a};
    fr_poll_put_select(&b, d->ops, d->relation, NULL);
    if (d->changes != NULL)
        fr_buf_text(&b, " WHERE "); /* snapshot.where is of the table */
    else
        fr_poll_put_where(&b, d->settings);
    fr_buf_text(&b, "1 = 1 ORDER BY ");
    for (size_t i = 0; i < d->order.count; i++) {
        fr_buf_text(&b, i > 0 ? ", " : "");
        d->ops->put_ident(&b, d->relation->table->columns[d->order.columns[i]].name);
    }
    fr_buf_printf(&b, " LIMIT %" PRId64, d->settings->poll_batch);
    return fr_buf_view(&b);
}

/* What is read in one view: changes, and, as long as it is loaded, then rows of the table. */
static fr_rc open_view(fr_drain *d, fr_sql *c, fr_err *err)
{
    if (d->changes == NULL || d->load.done)
        return FR_OK;
    fr_sql_relation *both[] = {d->changes->table, d->changes->log};
    FR_TRY(c->ops->begin_view(c, both, 2, err));
    d->view = c;
    return FR_OK;
}

static fr_rc start(fr_drain *d, fr_sql *c, fr_err *err)
{
    fr_rc rc = FR_FAIL;
    FR_TRY(look(d, c, err));
    d->selected_us = fr_wall_us();
    for (int tries = 0; rc == FR_FAIL; tries++) {
        fr_arena *a = fr_arena_new(0);
        rc = open_view(d, c, err);
        if (rc == FR_OK)
            rc = c->ops->select(c, d->relation, page_sql(d, a), &d->reader, err);
        fr_arena_free(a);
        if (rc == FR_OK)
            break;
        end_view(d);
        if (strcmp(err->code, "sql.changed") != 0 || tries > 0)
            return FR_FAIL;
        fr_log(FR_LOG_INFO, d->who, "its columns have changed");
        FR_TRY(describe(d, c, err));
    }
    d->page_rows = 0;
    d->more = false;
    return FR_OK;
}

/* All changes of the view were read: rows of the table follow in the same view. */
static fr_rc start_loading(fr_drain *d, fr_sql *c, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str sql;
    d->reader->ops->close(d->reader);
    d->reader = NULL;
    d->loading = true;
    fr_rc rc = fr_load_sql(&d->load, a, d->changes, d->settings, &sql, err);
    if (rc == FR_OK)
        rc = c->ops->select(c, d->changes->table, sql, &d->reader, err);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        end_view(d);
    return rc;
}

static void place(fr_drain *d, fr_event *e)
{
    if (d->page_rows == 0)
        d->pending.page++;
    e->position = (fr_position){
        .lsn = d->pending.page, .ordinal = (uint32_t)d->page_rows++, .epoch = d->epoch};
    d->pending.read++;
}

static fr_rc take_row(fr_drain *d, fr_batch *b, fr_event *e, fr_err *err)
{
    const fr_value *v = &e->after.values[d->order.id];
    const fr_value *at = &e->after.values[d->order.columns[0]];
    if (v->kind <= FR_NULL)
        return bad_id(d, "a row has none, or one that cannot be read", err);
    fr_str id = d->ops->text(b->arena, d->relation, d->order.id, v);
    if (id.len > FR_PENDING_ID_MAX)
        return bad_id(d, "a row has one of more than 255 bytes", err);
    place(d, e);
    e->time_us = at->kind == FR_TIMESTAMP ? at->integer : 0;
    fr_pending_add(&d->pending, id, fr_pending_sum(&e->after, d->summed, d->summed_count));
    return d->changes == NULL ? FR_OK : fr_changes_event(d->changes, b, e, err);
}

/* A change table is nobody's; and what its rows say may be of an older version of their table than
 * the one that is there. */
static void drop_tables(fr_batch *b, size_t from)
{
    size_t n = from;
    for (size_t i = from; i < b->count; i++)
        if (b->events[i].op != FR_OP_TABLE)
            b->events[n++] = b->events[i];
    b->count = n;
}

static void take_loaded(fr_drain *d, fr_batch *b, size_t from, bool *rows)
{
    const fr_event *last = NULL;
    for (size_t i = from; i < b->count; i++) {
        if (b->events[i].op != FR_OP_READ)
            continue;
        place(d, &b->events[i]);
        d->load.rows++;
        last = &b->events[i];
    }
    if (last == NULL)
        return;
    fr_load_row(&d->load, d->changes, last);
    *rows = true;
}

/* *rows: there were some. The page ends early where the record would become too long. */
static fr_rc take_rows(fr_drain *d, fr_batch *b, size_t from, bool *rows, fr_err *err)
{
    for (size_t i = from; i < b->count; i++) {
        if (b->events[i].op != FR_OP_READ)
            continue;
        if (d->pending.bytes > FR_PENDING_BYTES_MAX) {
            b->count = i;
            d->more = true;
            break;
        }
        FR_TRY(take_row(d, b, &b->events[i], err));
        *rows = true;
    }
    if (d->page_rows >= (size_t)d->settings->poll_batch)
        d->more = true;
    return FR_OK;
}

static void put_record(fr_drain *d, fr_batch *b)
{
    b->polled = fr_arena_printf(b->arena, "%.*s.%.*s", FR_ARG(d->space), FR_ARG(d->name));
    fr_buf more = {.arena = b->arena};
    fr_load_put(&more, &d->load);
    b->progress = fr_pending_record(b->arena, &d->pending, fr_buf_view(&more));
    d->uncleared = d->pending.count > 0;
    d->unloaded = false;
}

static fr_rc end_page(fr_drain *d, fr_batch *b)
{
    bool more = d->more, loaded = d->loading;
    if (loaded)
        fr_load_page_over(&d->load, d->settings);
    fr_drain_leave(d);
    d->more = more || (d->changes != NULL && !d->load.done);
    d->whole_us = d->more ? d->whole_us : d->selected_us;
    if (d->waits && !loaded)
        return FR_END;
    if (!d->uncleared && !d->unloaded && !loaded)
        return FR_END;
    put_record(d, b); /* nothing is pending any more, or it is loaded */
    d->over = !d->waits;
    return FR_OK;
}

static fr_rc read_on(fr_drain *d, fr_sql *c, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    size_t from = b->count;
    bool rows = false;
    if (d->reader == NULL)
        FR_TRY(start(d, c, err));
    fr_rc rc = d->reader->ops->fill(d->reader, b, deadline_us, err);
    FR_TRY(rc);
    if (d->changes != NULL)
        drop_tables(b, from);
    if (d->loading)
        take_loaded(d, b, from, &rows);
    else
        FR_TRY(take_rows(d, b, from, &rows, err));
    if (rows)
        put_record(d, b);
    bool early = rc != FR_END && !d->loading && d->pending.bytes > FR_PENDING_BYTES_MAX;
    if (rc == FR_END && d->view != NULL && !d->loading && !d->more && !rows) {
        FR_TRY(start_loading(d, c, err));
        return read_on(d, c, b, deadline_us, err);
    }
    if (rc == FR_END || early) {
        fr_rc ended = end_page(d, b);
        return rows ? FR_OK : ended;
    }
    return rc;
}

fr_rc fr_drain_fill(fr_drain *d, fr_sql *c, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    if (d->over) {
        d->over = false;
        return FR_END;
    }
    d->waits = false;
    FR_TRY(begin(d, c, err));
    if (d->step == STEP_REMOVE) {
        FR_TRY(remove_all(d, c, err));
        if (!d->more)
            return FR_END; /* of a page that had room: the round is over */
    }
    return read_on(d, c, b, deadline_us, err);
}
