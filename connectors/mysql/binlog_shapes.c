#include "connectors/mysql/binlog_shapes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    fr_arena *arena;
    fr_binlog_table *table; /* NULL: it does not exist any more */
} entry;

static void entry_free(void *value)
{
    entry *e = value;
    fr_arena_free(e->arena);
    free(e);
}

/* ---- the log has names ---- */

static fr_rc look_up(fr_binlog_shapes *h, fr_str space, fr_str name, entry *e, fr_err *err)
{
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(h->s, &my, err));
    if (fr_binlog_catalog_table(my, h->s->settings, h->server->full_image, space, name, e->arena,
                                &e->table, err) == FR_FAIL) {
        fr_my_close(my);
        return FR_FAIL;
    }
    fr_binlog_give(h->s, my);
    return FR_OK;
}

static fr_rc known_table(fr_binlog_shapes *h, const fr_my_relation *r, fr_arena *a,
                         const fr_binlog_table **out, fr_err *err)
{
    fr_buf key = {.arena = a};
    fr_buf_str(&key, r->space);
    fr_buf_u8(&key, 0);
    fr_buf_str(&key, r->name);
    entry *e = fr_map_get(h->tables, fr_buf_view(&key));
    if (e == NULL) {
        e = fr_malloc(sizeof(*e));
        e->arena = fr_arena_new(0);
        if (look_up(h, r->space, r->name, e, err) == FR_FAIL) {
            entry_free(e);
            return FR_FAIL;
        }
        fr_map_set(h->tables, fr_buf_view(&key), e);
    }
    *out = e->table;
    return FR_OK;
}

/* ---- it has none ---- */

static fr_rc read_all(fr_binlog_shapes *h, fr_my *my, fr_err *err)
{
    fr_arena_free(h->arena);
    h->arena = fr_arena_new(0);
    fr_binlog_here here;
    FR_TRY(fr_binlog_catalog_read(my, h->s->settings, h->server->full_image, h->arena, &h->catalog,
                                  err));
    FR_TRY(fr_binlog_here_read(my, h->server, h->arena, &here, err));
    h->read_at = fr_binlog_lsn(here.file, here.pos);
    fr_binlog_catalog_shapes(&h->catalog, h->print);
    return FR_OK;
}

static fr_rc read_catalog(fr_binlog_shapes *h, fr_err *err)
{
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(h->s, &my, err));
    if (read_all(h, my, err) == FR_FAIL) {
        fr_my_close(my);
        return FR_FAIL;
    }
    fr_binlog_give(h->s, my);
    return FR_OK;
}

static fr_rc unknown(const fr_binlog_shapes *h, fr_err *err, const char *why)
{
    fr_fail(err, FR_ERR_POSITION,
            "the log of this server does not name its columns, and %s: what they were there cannot "
            "be known",
            why);
    fr_fail_code(err, "my.shape_unknown");
    return fr_fail_hint(
        err,
        "freshet position reset %s starts over with a new snapshot; to never meet "
        "this again: SET GLOBAL binlog_row_metadata = 'FULL'; (MySQL 8.0.1, MariaDB "
        "10.5 and later)",
        h->s->settings->name);
}

static const fr_binlog_table *listed(const fr_binlog_shapes *h, const fr_my_relation *r)
{
    for (size_t i = 0; i < h->catalog.count; i++)
        if (fr_str_eq(h->catalog.tables[i].relation.space, r->space) &&
            fr_str_eq(h->catalog.tables[i].relation.name, r->name))
            return &h->catalog.tables[i];
    return NULL;
}

/* ---- both ---- */

fr_rc fr_binlog_shapes_open(fr_binlog_shapes *h, fr_binlog_source *s,
                            const fr_binlog_server *server, const char *stored, fr_err *err)
{
    *h = (fr_binlog_shapes){.s = s, .server = server, .tables = fr_map_new()};
    if (server->full_metadata && stored[0] == '\0')
        return FR_OK;
    FR_TRY(read_catalog(h, err));
    if (stored[0] != '\0' && strcmp(stored, h->print) != 0)
        return unknown(h, err, "its tables were changed since the stored position");
    return FR_OK;
}

void fr_binlog_shapes_close(fr_binlog_shapes *h)
{
    if (h->tables != NULL)
        fr_map_free(h->tables, entry_free);
    fr_arena_free(h->arena);
    *h = (fr_binlog_shapes){.s = NULL};
}

fr_rc fr_binlog_shapes_describe(fr_binlog_shapes *h, fr_my_relation *r, fr_arena *a, fr_err *err)
{
    const fr_table_settings *settings = fr_source_match(h->s->settings, r->space, r->name);
    const fr_binlog_table *known = NULL;
    r->captured = settings != NULL;
    r->full_image = h->server->full_image;
    if (settings == NULL)
        return FR_OK;
    if (r->named && h->arena == NULL) {
        FR_TRY(known_table(h, r, a, &known, err));
    } else {
        if (h->arena == NULL)
            FR_TRY(read_catalog(h, err));
        known = listed(h, r);
    }
    if (known != NULL)
        return fr_my_relation_fill(r, &known->relation, a, err);
    if (r->named || r->columns == NULL)
        return FR_OK; /* dropped since; the log says what matters */
    char why[400];
    snprintf(why, sizeof(why), "table %.*s.%.*s does not exist any more", FR_ARG(r->space),
             FR_ARG(r->name));
    return unknown(h, err, why);
}

fr_rc fr_binlog_shapes_ddl(fr_binlog_shapes *h, uint64_t lsn, fr_err *err)
{
    fr_map_free(h->tables, entry_free);
    h->tables = fr_map_new();
    if (h->arena == NULL)
        return FR_OK;
    if (lsn < h->read_at)
        return h->changed ? unknown(h, err, "two changes of tables follow each other in it")
                          : FR_OK;
    char before[20];
    memcpy(before, h->print, sizeof(before));
    FR_TRY(read_catalog(h, err));
    h->changed = strcmp(before, h->print) != 0;
    return FR_OK;
}
