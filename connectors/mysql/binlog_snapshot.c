#include "connectors/mysql/binlog_split.h"
#include <stdlib.h>
#include <string.h>

#define SOURCE(base) ((fr_binlog_source *)(base))

/* ---- views ---- */

static void slot_free(fr_binlog_view *v, fr_binlog_slot *slot)
{
    fr_my_close(slot->my);
    for (size_t i = 0; slot->layouts != NULL && i < v->catalog.count; i++)
        fr_my_layout_free(slot->layouts[i]);
    free(slot->layouts);
}

static void view_free(fr_binlog_view *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < v->slot_count; i++)
        slot_free(v, &v->slots[i]);
    fr_arena_free(v->arena);
    free(v);
}

void fr_binlog_views_free(fr_binlog_source *s)
{
    while (s->views != NULL) {
        fr_binlog_view *v = s->views;
        s->views = v->older;
        view_free(v);
    }
}

/* Connections that a reader has are closed when it gives them back. */
void fr_binlog_end_view(fr_source *base)
{
    fr_binlog_source *s = SOURCE(base);
    fr_my *gone[FR_BINLOG_READERS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&s->lock);
    fr_binlog_view *v = s->views;
    for (size_t i = 0; v != NULL && i < v->slot_count; i++) {
        if (v->slots[i].busy || v->slots[i].my == NULL)
            continue;
        gone[count++] = v->slots[i].my;
        v->slots[i].my = NULL;
    }
    if (v != NULL)
        v->ended = true;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < count; i++)
        fr_my_close(gone[i]);
}

fr_binlog_slot *fr_binlog_slot_take(fr_binlog_source *s, fr_binlog_view *v, bool *lost)
{
    fr_binlog_slot *found = NULL;
    *lost = true;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < v->slot_count && found == NULL && !v->ended; i++) {
        fr_binlog_slot *slot = &v->slots[i];
        *lost = *lost && slot->my == NULL;
        if (slot->my != NULL && !slot->busy)
            found = slot;
    }
    if (found != NULL)
        found->busy = true;
    pthread_mutex_unlock(&s->lock);
    return found;
}

void fr_binlog_slot_give(fr_binlog_source *s, fr_binlog_view *v, fr_binlog_slot *slot, bool broken)
{
    fr_my *gone = NULL;
    if (slot == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    slot->busy = false;
    if (broken || v->ended) {
        gone = slot->my;
        slot->my = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    fr_my_close(gone);
}

size_t fr_binlog_view_table(const fr_binlog_view *v, fr_str space, fr_str name)
{
    size_t i = 0;
    while (i < v->catalog.count && !(fr_str_eq(v->catalog.tables[i].relation.space, space) &&
                                     fr_str_eq(v->catalog.tables[i].relation.name, name)))
        i++;
    return i;
}

/* ---- the plan ---- */

/* Where a view is, and what was prepared before it. */
typedef struct place {
    fr_binlog_here view;
    fr_binlog_prepares
        prepares; /* of the first view; used: false for others, which join a stream */
} place;

static bool wanted(const fr_binlog_table *t, const fr_plan_request *request)
{
    if (request->want != NULL)
        return request->want(request->context, t->relation.space, t->relation.name);
    return t->settings->snapshot_mode == 0;
}

static fr_rc fill_plan(const fr_binlog_view *v, const fr_plan_request *request, fr_plan *out,
                       fr_err *err)
{
    fr_binlog_chunks chunks = {.arena = out->arena};
    for (size_t i = 0; i < v->catalog.count; i++) {
        const fr_binlog_table *t = &v->catalog.tables[i];
        if (!wanted(t, request))
            continue;
        FR_TRY(fr_binlog_split(v->slots[0].my, t, &chunks, err));
        FR_TRY(fr_binlog_view_let_go(v->slots[0].my, err));
        out->rows_expected += t->rows;
    }
    out->chunks = chunks.items;
    out->chunk_count = chunks.count;
    return FR_OK;
}

static fr_str stream_from(const fr_binlog_source *s, const fr_binlog_view *v, const place *at,
                          uint32_t epoch, fr_arena *a)
{
    fr_binlog_position p = {
        .mariadb = s->server.mariadb, .epoch = epoch, .pos = at->view.pos, .gtid = at->view.gtid};
    memcpy(p.server, s->server.name, sizeof(p.server));
    memcpy(p.file, at->view.file, sizeof(p.file));
    const fr_binlog_here *before = &at->prepares.place;
    if (at->prepares.used &&
        fr_binlog_lsn(before->file, before->pos) < fr_binlog_lsn(at->view.file, at->view.pos)) {
        memcpy(p.held_file, before->file, sizeof(p.held_file));
        p.held_pos = before->pos;
        p.held_gtid = before->gtid;
    }
    if (!s->server.full_metadata)
        fr_binlog_catalog_shapes(&v->catalog, p.shapes);
    return fr_binlog_position_text(a, &p);
}

static size_t readers_of(const fr_binlog_source *s)
{
    int64_t most = 1;
    for (size_t i = 0; i < s->settings->table_count; i++)
        if (s->settings->tables[i].snapshot_parallel > most)
            most = s->settings->tables[i].snapshot_parallel;
    /* One of the connections that we may have is the log's, one asks about tables. */
    if (s->settings->throttle_connections > 2 && most > s->settings->throttle_connections - 2)
        most = s->settings->throttle_connections - 2;
    return most > FR_BINLOG_READERS_MAX ? FR_BINLOG_READERS_MAX : (size_t)most;
}

/* Tables are read before the view, to know what to lock, and again in it: a table that was
 * changed in between would not fit its rows. */
static fr_rc view_new(fr_binlog_source *s, fr_binlog_view *v, bool first, place *at, fr_err *err)
{
    fr_binlog_catalog before;
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(s, &my, err));
    fr_binlog_server server;
    fr_rc rc = fr_binlog_server_read(my, &server, err);
    if (rc == FR_OK) {
        fr_binlog_server_now(s, &server);
        rc = fr_binlog_catalog_read(my, s->settings, server.full_image, v->arena, &before, err);
    }
    if (rc == FR_OK && first)
        rc = fr_binlog_catalog_verify(s->settings, &before, err);
    if (rc == FR_OK && first)
        rc = fr_binlog_prepared_look(s, my, v->arena, &at->prepares, err);
    if (rc == FR_OK)
        rc = fr_binlog_view_open(s, &before, readers_of(s), v, &at->view, err);
    if (rc == FR_OK)
        rc = fr_binlog_prepared_settle(my, v->arena, &at->prepares, err);
    if (rc == FR_OK)
        rc = fr_binlog_catalog_read(my, s->settings, s->server.full_image, v->arena, &v->catalog,
                                    err);
    char old[20], new[20];
    if (rc == FR_OK) {
        fr_binlog_catalog_shapes(&before, old);
        fr_binlog_catalog_shapes(&v->catalog, new);
        if (strcmp(old, new) != 0)
            rc = fr_fail(err, FR_ERR_BUSY, "a table was changed while the view began");
    }
    if (rc != FR_OK) {
        fr_my_close(my);
        return FR_FAIL;
    }
    fr_binlog_give(s, my);
    return FR_OK;
}

static fr_rc plan_at(fr_binlog_source *s, fr_binlog_view *v, const place *at,
                     const fr_plan_request *request, fr_plan *out, fr_err *err)
{
    pthread_mutex_lock(&s->lock);
    if (request->create)
        s->epoch = request->epoch;
    uint32_t epoch = s->epoch;
    v->older = s->views;
    s->views = v;
    v->name = fr_arena_printf(v->arena, "view-%llu", (unsigned long long)++s->view_count);
    pthread_mutex_unlock(&s->lock);
    fr_plan plan = {.view = fr_arena_str(out->arena, v->name),
                    .view_lsn = fr_binlog_lsn(at->view.file, at->view.pos),
                    .epoch = epoch,
                    .stream_from = stream_from(s, v, at, epoch, out->arena),
                    .arena = out->arena};
    FR_TRY(fill_plan(v, request, &plan, err));
    *out = plan;
    return FR_OK;
}

fr_rc fr_binlog_plan(fr_source *base, const fr_plan_request *request, fr_plan *out, fr_err *err)
{
    fr_binlog_source *s = SOURCE(base);
    place at = {.prepares.used = false};
    fr_binlog_end_view(base);
    fr_binlog_view *v = fr_malloc(sizeof(*v));
    v->arena = fr_arena_new(0);
    if (view_new(s, v, request->create, &at, err) == FR_FAIL) {
        view_free(v);
        return fr_fail_in(err, "plan the snapshot");
    }
    if (plan_at(s, v, &at, request, out, err) == FR_FAIL)
        return fr_fail_in(err, "plan the snapshot");
    return FR_OK;
}
