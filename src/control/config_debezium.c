/* T.envelope: debezium, and what does not go with it. */
#include "control/config_load.h"
#include <string.h>

static bool ignores(const fr_table_settings *t)
{
    return t->add_column == FR_CHANGE_IGNORE || t->drop_column == FR_CHANGE_IGNORE ||
           t->rename_column == FR_CHANGE_IGNORE || t->change_type == FR_CHANGE_IGNORE;
}

/* A field of columns.derive has no other type. */
static bool types_a_column(const fr_table_settings *t)
{
    for (size_t i = 0; i < t->column_types.count; i++)
        if (fr_pairs_get(&t->column_derive, fr_cstr(t->column_types.items[i].name)) == NULL)
            return true;
    return false;
}

void fr_debezium_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t)
{
    static const struct {
        const char *key, *instead;
    } keys[] = {
        {"columns.defaults", "remove it: the defaults are the table's own"},
        {"schema.name",
         "remove it: the records are called as Debezium calls them, after the topic"},
        {"schema.contract", "remove it, or use envelope: standard or state"},
    };
    if (t->envelope != FR_ENVELOPE_DEBEZIUM || t->method == FR_METHOD_SKIP)
        return;
    if (t->method != FR_METHOD_LOG)
        fr_scope_refuse(l, s, "config.conflict", "method",
                        "envelope debezium is of changes that come from the log",
                        "set method: log, or use envelope: standard or state");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (fr_scope_set_by(s, keys[i].key) != NULL)
            fr_scope_refuse(l, s, "config.conflict", keys[i].key,
                            "this table is published in envelope debezium", keys[i].instead);
    }
    if (types_a_column(t))
        fr_scope_refuse(l, s, "config.conflict", "columns.types",
                        "this table is published in envelope debezium",
                        "remove it: the types are Debezium's (fields of columns.derive may have "
                        "theirs here)");
    if (ignores(t))
        fr_scope_refuse(l, s, "config.conflict", "schema.on_change",
                        "envelope debezium has the table's own shape: no former one is kept",
                        "use evolve, block or stop, or envelope: standard");
}

const fr_table_settings *fr_debezium_table(const fr_source_settings *s)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (s->tables[i].envelope == FR_ENVELOPE_DEBEZIUM && s->tables[i].method != FR_METHOD_SKIP)
            return &s->tables[i];
    return NULL;
}
