#include "base/log.h"
#include "connectors/postgres/wal_slot.h"
#include "connectors/postgres/wal_source.h"
#include "connectors/postgres/wal_split.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE(base) ((fr_wal_source *)(base))

/* ---- views ---- */

static void view_free(fr_wal_view *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; v->layouts != NULL && i < v->catalog.count; i++)
        fr_pg_layout_free(v->layouts[i]);
    free(v->layouts);
    fr_pg_catalog_free(v->types);
    fr_arena_free(v->arena);
    free(v->name);
    free(v);
}

void fr_wal_views_free(fr_wal_source *s)
{
    while (s->views != NULL) {
        fr_wal_view *v = s->views;
        s->views = v->older;
        view_free(v);
    }
}

void fr_wal_end_view(fr_source *base)
{
    fr_wal_source *s = SOURCE(base);
    pthread_mutex_lock(&s->lock);
    PGconn *conn = s->view_conn;
    s->view_conn = NULL;
    pthread_mutex_unlock(&s->lock);
    fr_pg_close(conn);
}

/* The catalog as the view sees it, so that a table's shape fits its rows. */
static fr_rc view_read(fr_wal_source *s, PGconn *sql, fr_wal_view *v, fr_err *err)
{
    char text[300];
    snprintf(text, sizeof(text),
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'",
             v->name);
    FR_TRY(fr_pg_exec(sql, "go to the snapshot", text, err));
    FR_TRY(fr_wal_catalog_read(sql, s->version, s->settings, s->publication, v->arena, &v->catalog,
                               err));
    FR_TRY(fr_wal_types_of(sql, v->catalog.tables, v->catalog.count, v->types, err));
    FR_TRY(fr_pg_exec(sql, "leave the snapshot", "COMMIT", err));
    v->layouts = fr_malloc((v->catalog.count + 1) * sizeof(fr_pg_layout *));
    for (size_t i = 0; i < v->catalog.count; i++)
        FR_TRY(fr_pg_layout_new(v->types, &v->catalog.tables[i].relation, 1, &v->layouts[i], err));
    return FR_OK;
}

static fr_rc view_new(fr_wal_source *s, PGconn *sql, const char *name, fr_wal_view **out,
                      fr_err *err)
{
    fr_wal_view *v = fr_malloc(sizeof(*v));
    v->arena = fr_arena_new(0);
    v->types = fr_wal_types_new(s);
    v->name = fr_strdup(name);
    if (view_read(s, sql, v, err) == FR_FAIL) {
        view_free(v);
        return FR_FAIL;
    }
    pthread_mutex_lock(&s->lock);
    v->older = s->views;
    s->views = v;
    pthread_mutex_unlock(&s->lock);
    *out = v;
    return FR_OK;
}

/* ---- the plan ---- */

static bool wanted(const fr_wal_table *t, const fr_plan_request *request)
{
    if (request->want != NULL)
        return request->want(request->context, t->relation.space, t->relation.name);
    return t->settings->snapshot_mode == 0;
}

static fr_rc may_read(const fr_wal_table *t, fr_err *err)
{
    fr_str space = t->relation.space, name = t->relation.name;
    if (!t->may_select) {
        fr_fail(err, FR_ERR_AUTH, "no right to read %.*s.%.*s", FR_ARG(space), FR_ARG(name));
        fr_fail_code(err, "pg.table.select");
        return fr_fail_hint(err,
                            "GRANT USAGE ON SCHEMA \"%.*s\" TO ...; GRANT SELECT ON %.*s "
                            "TO ...;",
                            FR_ARG(space), FR_ARG(t->qualified));
    }
    if (t->row_security) {
        fr_fail(err, FR_ERR_AUTH, "row security would hide rows of %.*s.%.*s from the snapshot",
                FR_ARG(space), FR_ARG(name));
        fr_fail_code(err, "pg.row_security");
        return fr_fail_hint(err, "ALTER ROLE ... BYPASSRLS; (the log is not subject to policies, "
                                 "the snapshot must not be either)");
    }
    return FR_OK;
}

static fr_rc split_wanted(PGconn *sql, const fr_wal_view *v, const fr_plan_request *request,
                          const bool *small, fr_plan *out, fr_err *err)
{
    fr_wal_chunks chunks = {.arena = out->arena};
    for (size_t i = 0; i < v->catalog.count; i++) {
        const fr_wal_table *t = &v->catalog.tables[i];
        if (!wanted(t, request))
            continue;
        FR_TRY(may_read(t, err));
        FR_TRY(fr_wal_split(sql, t, v->layouts[i], small[i], &chunks, err));
        out->rows_expected += t->rows > 0 ? (uint64_t)t->rows : 0;
    }
    out->chunks = chunks.items;
    out->chunk_count = chunks.count;
    return FR_OK;
}

static fr_rc fill_plan(PGconn *sql, const fr_wal_view *v, const fr_plan_request *request,
                       fr_plan *out, fr_err *err)
{
    bool *small = fr_malloc((v->catalog.count + 1) * sizeof(*small));
    fr_rc rc = fr_wal_small(sql, v->catalog.tables, v->catalog.count, small, err);
    if (rc != FR_FAIL)
        rc = split_wanted(sql, v, request, small, out, err);
    free(small);
    return rc;
}

static fr_str stream_from(const fr_wal_source *s, fr_arena *a, uint64_t lsn, uint32_t epoch)
{
    fr_wal_position p = {.timeline = s->timeline, .epoch = epoch, .end_lsn = lsn};
    snprintf(p.system_identifier, sizeof(p.system_identifier), "%s", s->system_identifier);
    snprintf(p.db, sizeof(p.db), "%s", s->db);
    snprintf(p.slot, sizeof(p.slot), "%s", s->slot);
    return fr_wal_position_text(a, &p);
}

static fr_rc verify_catalog(fr_wal_source *s, PGconn *sql, bool first, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_wal_catalog c;
    fr_rc rc = fr_wal_catalog_read(sql, s->version, s->settings, s->publication, a, &c, err);
    if (rc != FR_FAIL)
        rc = fr_wal_catalog_verify(s, &c, first, err);
    fr_arena_free(a);
    return rc;
}

/* With the slot made: what fails from here on leaves the slot, and the checkpoint's state
 * `creating` says that it is ours. */
static fr_rc plan_at(fr_wal_source *s, PGconn *sql, const fr_wal_slot_made *made,
                     const fr_plan_request *request, fr_plan *out, fr_err *err)
{
    fr_wal_view *v = NULL;
    FR_TRY(view_new(s, sql, made->snapshot, &v, err));
    pthread_mutex_lock(&s->lock);
    if (request->create)
        s->epoch = request->epoch;
    uint32_t epoch = s->epoch;
    pthread_mutex_unlock(&s->lock);
    fr_plan plan = {.view = fr_arena_str(out->arena, fr_cstr(v->name)),
                    .view_lsn = made->lsn,
                    .epoch = epoch,
                    .stream_from = stream_from(s, out->arena, made->lsn, epoch),
                    .arena = out->arena};
    FR_TRY(fill_plan(sql, v, request, &plan, err));
    *out = plan;
    return FR_OK;
}

static fr_rc make_view(fr_wal_source *s, PGconn *sql, PGconn *repl, const fr_plan_request *request,
                       fr_plan *out, fr_err *err)
{
    fr_wal_slot_made made;
    FR_TRY(verify_catalog(s, sql, request->create,
                          err)); /* R7: the publication comes before the slot */
    if (request->create)
        FR_TRY(fr_wal_slot_clear(s, sql, request->replace || s->slot_is_ours, err));
    FR_TRY(fr_wal_slot_create(s, repl, sql, !request->create, &made, err));
    s->slot_is_ours = s->slot_is_ours || request->create;
    return plan_at(s, sql, &made, request, out, err);
}

fr_rc fr_wal_plan(fr_source *base, const fr_plan_request *request, fr_plan *out, fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    PGconn *sql = NULL, *repl = NULL;
    fr_wal_end_view(base);
    FR_TRY(fr_wal_take(s, &sql, err));
    fr_rc rc = fr_wal_replication(s, &repl, err);
    if (rc != FR_FAIL)
        rc = make_view(s, sql, repl, request, out, err);
    fr_wal_give(s, sql);
    if (rc == FR_FAIL) {
        fr_pg_close(repl);
        return fr_fail_in(err, "plan the snapshot");
    }
    pthread_mutex_lock(&s->lock);
    s->view_conn = repl;
    pthread_mutex_unlock(&s->lock);
    return FR_OK;
}
