#include "connectors/postgres/wal_shapes.h"
#include <stdlib.h>
#include <string.h>

static void shape_free(void *value)
{
    fr_wal_shape *shape = value;
    if (shape == NULL)
        return;
    fr_arena *a = shape->arena;
    fr_arena_free(a); /* the shape is in it */
}

void fr_wal_shapes_open(fr_wal_shapes *h, fr_wal_source *s)
{
    *h = (fr_wal_shapes){.s = s, .types = fr_wal_types_new(s), .by_oid = fr_map_new()};
}

void fr_wal_shapes_close(fr_wal_shapes *h)
{
    fr_pg_catalog_free(h->types);
    fr_map_free(h->by_oid, shape_free);
    *h = (fr_wal_shapes){.s = NULL};
}

const fr_wal_shape *fr_wal_shapes_find(const fr_wal_shapes *h, uint32_t oid)
{
    return fr_map_get_u64(h->by_oid, oid);
}

static void remember(fr_wal_shapes *h, const fr_pg_relation *r)
{
    if (!r->captured) {
        shape_free(fr_map_remove_u64(h->by_oid, r->oid));
        return;
    }
    fr_arena *a = fr_arena_new(0);
    fr_wal_shape *shape = fr_arena_alloc(a, sizeof(*shape));
    shape->arena = a;
    shape->relation = *r;
    shape->relation.space = fr_arena_str(a, r->space);
    shape->relation.name = fr_arena_str(a, r->name);
    shape->relation.columns = fr_arena_alloc(a, (r->column_count + 1) * sizeof(fr_pg_attr));
    for (size_t i = 0; i < r->column_count; i++) {
        shape->relation.columns[i] = r->columns[i];
        shape->relation.columns[i].name = fr_arena_str(a, r->columns[i].name);
        shape->relation.columns[i].doc = (fr_str){"", 0};
        shape->relation.columns[i].fallback = (fr_str){"", 0};
    }
    shape_free(fr_map_set_u64(h->by_oid, r->oid, shape));
}

/* Resolves a column's type, looking it up at the server once when it is not known. */
static fr_rc resolve(fr_wal_shapes *h, PGconn *conn, const fr_pg_attr *attr, fr_arena *a,
                     fr_pg_codec *out, fr_err *err)
{
    if (fr_pg_resolve(h->types, attr->type, attr->typmod, attr->as_text, a, out, NULL, err) ==
        FR_OK)
        return FR_OK;
    if (strcmp(err->code, "pg.type_unknown") != 0)
        return FR_FAIL;
    uint32_t oid = (uint32_t)err->native;
    FR_TRY(fr_wal_types_lookup(conn, &oid, 1, h->types, err));
    return fr_pg_resolve(h->types, attr->type, attr->typmod, attr->as_text, a, out, NULL, err);
}

/* pgoutput's binary option is for the whole stream: a new column whose binary form does not
 * decode to the same bytes as its text ends it. The next stream is text. */
static fr_rc still_binary(fr_wal_shapes *h, PGconn *conn, const fr_pg_relation *r, fr_arena *a,
                          fr_err *err)
{
    for (size_t i = 0; h->binary && r->captured && i < r->column_count; i++) {
        fr_pg_codec codec;
        fr_err why;
        if (resolve(h, conn, &r->columns[i], a, &codec, &why) == FR_FAIL)
            return FR_OK; /* the decoder will say so, with table and column */
        if (fr_pg_codec_binary_safe(&codec))
            continue;
        atomic_store(&h->s->text_only, true);
        fr_fail(err, FR_ERR_BUSY,
                "%.*s.%.*s has got a column that is read as text: the stream "
                "starts again in text form",
                FR_ARG(r->space), FR_ARG(r->name));
        return fr_fail_code(err, "pg.text_only");
    }
    return FR_OK;
}

static fr_rc describe(void *context, fr_pg_relation *r, fr_arena *a, fr_err *err)
{
    fr_wal_shapes *h = context;
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(h->s, &conn, err));
    fr_rc rc =
        fr_wal_catalog_describe(conn, h->s->version, h->s->settings, h->s->publication, r, a, err);
    if (rc != FR_FAIL)
        rc = still_binary(h, conn, r, a, err);
    fr_wal_give(h->s, conn);
    if (rc != FR_FAIL)
        remember(h, r);
    return rc;
}

static fr_rc lookup(void *context, uint32_t oid, fr_pg_catalog *types, fr_err *err)
{
    fr_wal_shapes *h = context;
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(h->s, &conn, err));
    fr_rc rc = fr_wal_types_lookup(conn, &oid, 1, types, err);
    fr_wal_give(h->s, conn);
    return rc;
}

fr_pgoutput_calls fr_wal_shapes_calls(fr_wal_shapes *h)
{
    return (fr_pgoutput_calls){.context = h, .describe = describe, .lookup = lookup};
}

bool fr_wal_shapes_binary_safe(fr_wal_shapes *h, const fr_wal_catalog *c)
{
    fr_arena *a = fr_arena_new(0);
    bool safe = true;
    for (size_t i = 0; safe && i < c->count; i++) {
        const fr_pg_relation *r = &c->tables[i].relation;
        for (size_t k = 0; safe && k < r->column_count; k++) {
            fr_pg_codec codec;
            fr_err ignored;
            safe = fr_pg_resolve(h->types, r->columns[k].type, r->columns[k].typmod,
                                 r->columns[k].as_text, a, &codec, NULL, &ignored) == FR_OK &&
                   fr_pg_codec_binary_safe(&codec);
        }
    }
    fr_arena_free(a);
    return safe;
}
