/* A row of an outbox -> the message that its writer meant: key, payload and headers are the bytes
 * of its columns. */
#include "base/log.h"
#include "codec/encode_plan.h"

fr_str fr_outbox_id(fr_arena *a, fr_str id)
{
    enum { MOST = 64 };
    size_t len = id.len < MOST ? id.len : MOST;
    char *out = fr_arena_cstr(a, (fr_str){id.ptr, len});
    for (size_t i = 0; i < len; i++)
        out[i] = out[i] >= ' ' && out[i] <= '~' ? out[i] : '?';
    return (fr_str){out, len};
}

static fr_str id_text(fr_arena *a, const fr_plan *p, const fr_event *event)
{
    uint16_t column = p->route->outbox->id;
    if (event->after.count != p->table->column_count)
        return FR_STR("unknown");
    const fr_value *v = &event->after.values[column];
    if (v->kind <= FR_NULL)
        return FR_STR("NULL");
    return fr_outbox_id(a, fr_value_text(a, &p->table->columns[column], v));
}

static fr_rc fail_row(fr_arena *a, const fr_plan *p, const fr_event *event, const char *code,
                      const char *what, fr_err *err)
{
    fr_str id = id_text(a, p, event);
    fr_str text = fr_arena_printf(a, "outbox row %.*s: %s", FR_ARG(id), what);
    fr_event_fail(p, event, fr_arena_cstr(a, text), err);
    return fr_fail_code(err, code);
}

/* The bytes of a column; ptr NULL: NULL. Never NULL for an empty text. */
static fr_rc bytes_of(fr_arena *a, const fr_plan *p, const fr_event *event, uint16_t column,
                      fr_str *out, fr_err *err)
{
    const fr_column *c = &p->table->columns[column];
    const fr_value *v = &event->after.values[column];
    *out = (fr_str){NULL, 0};
    if (v->kind == FR_NULL)
        return FR_OK;
    if (v->kind == FR_ABSENT) {
        fr_str what = fr_arena_printf(a, "the source did not log its column %.*s", FR_ARG(c->name));
        fail_row(a, p, event, "outbox.absent", fr_arena_cstr(a, what), err);
        return fr_fail_hint(err, "let the source log whole rows (binlog_row_image=FULL)");
    }
    *out = fr_value_text(a, c, v);
    if (out->ptr == NULL)
        *out = FR_STR("");
    return FR_OK;
}

/* What outbox.route makes of the row, in the arena. */
static fr_rc expand(fr_arena *a, const fr_plan *p, const fr_event *event, fr_str *out, fr_err *err)
{
    const fr_outbox_route *o = p->route->outbox;
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < o->part_count; i++) {
        fr_str text = o->parts[i].text;
        int column = o->parts[i].column;
        if (column >= 0)
            FR_TRY(bytes_of(a, p, event, (uint16_t)column, &text, err));
        if (column >= 0 && text.len == 0) {
            fr_str what = fr_arena_printf(a, "its column %.*s, which names the topic, is %s",
                                          FR_ARG(p->table->columns[column].name),
                                          text.ptr == NULL ? "NULL" : "empty");
            fail_row(a, p, event, "outbox.topic", fr_arena_cstr(a, what), err);
            return fr_fail_hint(err, "make the column NOT NULL and never empty");
        }
        fr_buf_str(&b, text);
    }
    *out = fr_buf_view(&b);
    return FR_OK;
}

static fr_rc topic_of(fr_encoder *e, fr_plan *p, fr_arena *a, const fr_event *event, fr_str *out,
                      fr_err *err)
{
    if (p->route->outbox->part_count == 0) {
        *out = p->route->topic;
        return FR_OK;
    }
    fr_str topic;
    FR_TRY(expand(a, p, event, &topic, err));
    const fr_str *known = fr_map_get(p->topics, topic);
    if (known != NULL) {
        *out = *known;
        return FR_OK;
    }
    const char *why = fr_topic_refused(topic);
    if (why != NULL) {
        fr_str what = fr_arena_printf(a, "what outbox.route makes of it is no topic: %s", why);
        fail_row(a, p, event, "outbox.topic", fr_arena_cstr(a, what), err);
        return fr_fail_hint(err, "correct what writes the row, or outbox.route");
    }
    fr_err refused;
    if (e->settings.claim != NULL &&
        e->settings.claim(e->settings.context, p->route, topic, &refused) == FR_FAIL) {
        fail_row(a, p, event, "outbox.topic", refused.text, err);
        return fr_fail_hint(err, "%s", fr_err_hint(&refused));
    }
    fr_str *kept = fr_arena_alloc(p->arena, sizeof *kept);
    *kept = fr_arena_str(p->arena, topic);
    fr_map_set(p->topics, *kept, kept);
    *out = *kept;
    return FR_OK;
}

static fr_rc set_headers(fr_arena *a, const fr_plan *p, const fr_event *event, fr_message *m,
                         size_t *bytes, fr_err *err)
{
    const fr_outbox_route *o = p->route->outbox;
    fr_header *h = fr_arena_alloc(a, (o->header_count + 2) * sizeof *h);
    size_t n = 0;
    h[n] = (fr_header){.name = "id"};
    FR_TRY(bytes_of(a, p, event, o->id, &h[n++].value, err));
    if (o->type >= 0) {
        h[n] = (fr_header){.name = "type"};
        FR_TRY(bytes_of(a, p, event, (uint16_t)o->type, &h[n++].value, err));
    }
    for (size_t i = 0; i < o->header_count; i++) {
        h[n] = (fr_header){.name = o->header_names[i]};
        FR_TRY(bytes_of(a, p, event, o->headers[i], &h[n++].value, err));
    }
    for (size_t i = 0; i < n; i++)
        *bytes += h[i].value.len;
    m->headers = h;
    m->header_count = n;
    return FR_OK;
}

/* ---- what the log has brought ---- */

enum { MOST_IDS = 1000000 };

static void memory_free(void *ids)
{
    fr_map_free(ids, NULL);
}

void fr_encoder_remember(fr_encoder *e, fr_str space, fr_str name)
{
    if (e->memories == NULL)
        e->memories = fr_map_new();
    fr_str table = fr_arena_printf(e->arena, "%.*s.%.*s", FR_ARG(space), FR_ARG(name));
    memory_free(fr_map_set(e->memories, table, fr_map_new()));
}

void fr_encoder_forget(fr_encoder *e)
{
    fr_map_free(e->memories, memory_free);
    e->memories = NULL;
}

static fr_map *memory_of(const fr_encoder *e, const fr_plan *p)
{
    return e->memories == NULL ? NULL : fr_map_get(e->memories, p->collection);
}

/* FR_END: the row was read, and the log has brought it already. */
static fr_rc recall(fr_encoder *e, const fr_plan *p, fr_arena *a, const fr_event *event,
                    fr_err *err)
{
    fr_map *ids = memory_of(e, p);
    fr_str id;
    if (ids == NULL)
        return FR_OK;
    FR_TRY(bytes_of(a, p, event, p->route->outbox->id, &id, err));
    if (event->op == FR_OP_READ)
        return fr_map_get(ids, id) != NULL ? FR_END : FR_OK;
    fr_map_set(ids, id, e);
    if (fr_map_count(ids) <= MOST_IDS)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "outbox %.*s: the log brought more than %d rows before those that were there could be "
            "read",
            FR_ARG(p->collection), MOST_IDS);
    fr_fail_code(err, "outbox.snapshot");
    return fr_fail_hint(err, "set snapshot.mode: never for it, and send rows again that were there "
                             "before and did not arrive");
}

static void drop_deleted(const fr_encoder *e, const fr_plan *p, fr_arena *a, const fr_event *event)
{
    fr_map *ids = memory_of(e, p);
    uint16_t column = p->route->outbox->id;
    if (ids == NULL || event->before.count != p->table->column_count ||
        event->before.values[column].kind <= FR_NULL)
        return;
    fr_map_remove(ids, fr_value_text(a, &p->table->columns[column], &event->before.values[column]));
}

/* ---- events ---- */

static fr_rc encode_row(fr_encoder *e, fr_plan *p, fr_batch *b, size_t index, fr_err *err)
{
    const fr_event *event = &b->events[index];
    const fr_outbox_route *o = p->route->outbox;
    fr_message m = {.partition = -1, .event = index};
    size_t bytes = 0;
    if (event->after.count != p->table->column_count)
        return fr_fail(err, FR_ERR_BUG, "a row that has not one value for each column");
    if (event->after.values[o->id].kind == FR_NULL) {
        fail_row(b->arena, p, event, "outbox.no_id", "its id is NULL", err);
        return fr_fail_hint(err, "make column outbox.id NOT NULL");
    }
    fr_rc known = recall(e, p, b->arena, event, err);
    if (known != FR_OK)
        return known == FR_FAIL ? FR_FAIL : FR_OK;
    FR_TRY(topic_of(e, p, b->arena, event, &m.topic, err));
    FR_TRY(bytes_of(b->arena, p, event, o->payload, &m.payload, err));
    if (o->key >= 0)
        FR_TRY(bytes_of(b->arena, p, event, (uint16_t)o->key, &m.key, err));
    FR_TRY(set_headers(b->arena, p, event, &m, &bytes, err));
    FR_TRY(fr_plan_check_size(e, p, event, bytes + m.key.len + m.payload.len, err));
    if (m.key.ptr != NULL)
        m.partition_hash = fr_murmur2(m.key.ptr, m.key.len);
    fr_plan_count(e, p, event);
    *fr_batch_message(b) = m;
    return FR_OK;
}

static void note_truncate(const fr_encoder *e, const fr_plan *p, fr_arena *a)
{
    fr_str who = fr_arena_printf(a, "source %s", e->settings.source->name);
    fr_log(FR_LOG_INFO, fr_arena_cstr(a, who), "TRUNCATE of outbox %.*s: it is ignored",
           FR_ARG(p->collection));
}

fr_rc fr_outbox_encode(fr_encoder *e, fr_plan *p, fr_batch *b, size_t index, fr_err *err)
{
    const fr_event *event = &b->events[index];
    switch (event->op) {
    case FR_OP_UPDATE:
        fail_row(b->arena, p, event, "outbox.changed",
                 "an update, but what a row of an outbox says may have been published", err);
        return fr_fail_hint(err, "insert a new row instead; a column that marks rows as sent is "
                                 "not needed: delete them");
    case FR_OP_TRUNCATE:
        note_truncate(e, p, b->arena);
        return FR_OK;
    case FR_OP_DELETE:
        drop_deleted(e, p, b->arena, event);
        return FR_OK;
    default:
        return encode_row(e, p, b, index, err);
    }
}
