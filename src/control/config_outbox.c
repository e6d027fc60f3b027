/* T.outbox: which tables are outboxes, what holds where nothing is said, what contradicts it. */
#include "control/config_load.h"
#include <string.h>

void fr_outbox_note(const fr_scope *s, fr_table_fields *fields)
{
    const fr_member *m = s->node == NULL || s->node->kind != FR_NODE_MAP
                             ? NULL
                             : fr_node_find(s->node, FR_STR("outbox"));
    if (m != NULL && m->value->kind == FR_NODE_MAP)
        fields->s.outbox.on = true;
}

/* The columns that other tools' outbox routers expect, and the topics they write to: where none of
 * them is named. */
static void set_usual(const fr_scope *s, fr_outbox_settings *o)
{
    static const char *const keys[] = {"outbox.id", "outbox.key", "outbox.type", "outbox.payload",
                                       "outbox.route"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (fr_scope_set_by(s, keys[i]) != NULL)
            return;
    }
    o->id = "id";
    o->key = "aggregateid";
    o->type = "type";
    o->payload = "payload";
    o->route = "outbox.event.${aggregatetype}";
}

/* A pattern's built-in columns are not said of a table that names its own. */
static void forget_usual(const fr_scope *s, fr_outbox_settings *o)
{
    o->id = fr_scope_set_by(s, "outbox.id") != NULL ? o->id : NULL;
    o->key = fr_scope_set_by(s, "outbox.key") != NULL ? o->key : NULL;
    o->type = fr_scope_set_by(s, "outbox.type") != NULL ? o->type : NULL;
    o->payload = fr_scope_set_by(s, "outbox.payload") != NULL ? o->payload : NULL;
    o->route = fr_scope_set_by(s, "outbox.route") != NULL ? o->route : NULL;
}

static void check_columns(fr_loader *l, const fr_scope *s, const fr_outbox_settings *o)
{
    const char *missing = o->id == NULL ? "outbox.id" : "outbox.payload";
    if (o->id != NULL && o->payload != NULL)
        return;
    fr_scope_refuse(l, s, "config.missing", missing,
                    "an outbox whose columns are named needs outbox.id and outbox.payload",
                    "name both; outbox: {} stands for {id: id, key: aggregateid, type: type, "
                    "payload: payload, route: \"outbox.event.${aggregatetype}\"}");
}

/* A row of an outbox is a message as it is: nothing of it is left for these to decide. */
static void check_no_part(fr_loader *l, const fr_scope *s)
{
    static const struct {
        const char *key, *instead;
    } keys[] = {
        {"key", "use outbox.key"},
        {"append_only", "remove it: rows of an outbox never change, and deletes are ignored"},
        {"columns.include", "remove it: outbox.payload and outbox.headers say what is published"},
        {"columns.exclude", "remove it: outbox.payload and outbox.headers say what is published"},
        {"columns.types", "remove it: the payload's bytes are published as they are"},
        {"columns.defaults", "remove it: the payload's bytes are published as they are"},
        {"columns.zero_dates", "remove it: the payload's bytes are published as they are"},
        {"columns.rename", "remove it: the payload's bytes are published as they are"},
        {"columns.derive", "remove it: the payload's bytes are published as they are"},
        {"columns.mask", "remove it: the payload's bytes are published as they are"},
        {"filter", "remove it: each row of an outbox is an event; the application chooses them"},
        {"poll.delete_when", "remove it: rows of an outbox are events, and never deletes"},
        {"partition_by", "remove it: outbox.key chooses the partition"},
        {"tombstones", "remove it: deletes are ignored, and a NULL payload is a tombstone"},
        {"truncate", "remove it: TRUNCATE of an outbox is its clean-up, and is ignored"},
        {"schema.name", "remove it: no schema is made of an outbox"},
        {"schema.doc", "remove it: no schema is made of an outbox"},
        {"schema.contract", "remove it: no schema is made of an outbox"},
        {"schema.extra", "remove it: no schema is made of an outbox"},
        {"schema.rules", "remove it: the payload's bytes are published as they are"},
        {"schema.compatibility", "remove it: no schema is made of an outbox"},
        {"schema.on_change.add_column", "remove it: no schema is made of an outbox"},
        {"schema.on_change.drop_column", "remove it: no schema is made of an outbox"},
        {"schema.on_change.rename_column", "remove it: no schema is made of an outbox"},
        {"schema.on_change.change_type", "remove it: no schema is made of an outbox"},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (!fr_scope_said_here(s, keys[i].key))
            continue;
        fr_scope_refuse(l, s, "config.conflict", keys[i].key, "this table is an outbox",
                        keys[i].instead);
    }
}

/* What only the polled outbox has. */
static void check_logged(fr_loader *l, const fr_scope *s)
{
    if (fr_scope_set_by(s, "outbox.delete") == NULL)
        return;
    fr_scope_refuse(l, s, "config.conflict", "outbox.delete",
                    "this outbox is not polled, but read from the log",
                    "remove it; with method: log the application deletes its rows");
}

static void check_outbox(fr_loader *l, const fr_scope *s, const fr_table_settings *t)
{
    if (t->method != FR_METHOD_LOG && t->method != FR_METHOD_OUTBOX) {
        fr_scope_refuse(l, s, "config.conflict", "method",
                        "an outbox is read by method log or outbox",
                        "set method: log or outbox, or remove outbox");
    }
    if (t->envelope != FR_ENVELOPE_RAW) {
        fr_scope_refuse(l, s, "config.not_built", "envelope",
                        "an outbox's payload is published as it is (raw); Avro is not made "
                        "of it yet",
                        "set envelope: raw for this table, or leave it out");
    }
    check_columns(l, s, &t->outbox);
    check_no_part(l, s);
    if (t->method == FR_METHOD_LOG)
        check_logged(l, s);
}

void fr_outbox_read(fr_loader *l, fr_scope *s, fr_table_fields *fields)
{
    fr_table_settings *t = &fields->s;
    fr_outbox_settings *o = &t->outbox;
    forget_usual(s, o);
    fr_outbox_note(s, fields);
    o->on = o->on || t->method == FR_METHOD_OUTBOX;
    if (t->method == FR_METHOD_SKIP)
        return;
    if (o->on)
        set_usual(s, o);
    if (o->on && fr_scope_set_by(s, "outbox.delete") == NULL)
        o->clean_up = true;
    if ((t->method == FR_METHOD_OUTBOX || t->method == FR_METHOD_TRIGGER) &&
        fr_scope_set_by(s, "poll.every") == NULL)
        t->poll_every_us = 1000000;
    if (o->on && fr_scope_set_by(s, "envelope") == NULL)
        t->envelope = FR_ENVELOPE_RAW;
    fr_str prefix;
    if (o->on && fr_table_messages(t, &prefix)) { /* the log alone has them */
        if (fr_scope_said_here(s, "snapshot.mode") && t->snapshot_mode == 0)
            fr_scope_refuse(l, s, "config.conflict", "snapshot.mode",
                            "logical messages are in no table that could be read", "remove it");
        t->snapshot_mode = 1;
    }
    if (o->on) {
        check_outbox(l, s, t);
    } else if (t->envelope == FR_ENVELOPE_RAW) {
        fr_scope_refuse(l, s, "config.conflict", "envelope", "raw is the envelope of outbox tables",
                        "use standard or state, or say which columns: outbox: {...}");
    }
}
