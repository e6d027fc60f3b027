/* In which order the rows of an outbox leave it, and whether they can be deleted. */
#include "poll/drain.h"
#include "poll/order.h"

static bool whole_number(const fr_column *c)
{
    return c->kind == FR_INT32 || c->kind == FR_INT64 || (c->kind == FR_DECIMAL && c->scale == 0);
}

static bool is_time(const fr_column *c)
{
    return c->kind == FR_TIMESTAMP || c->kind == FR_DATETIME;
}

static fr_rc has_table(const fr_sql_relation *r, const fr_table_settings *t, fr_err *err)
{
    if (!r->plain_table)
        return fr_poll_refuse(t, "outbox.table",
                              "an outbox whose rows are deleted is a table, and no view or "
                              "statement",
                              "name the table; or outbox.delete: false", err);
    if (r->no_delete.len == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_AUTH, "no right to delete the rows that are published (%s)",
            t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, "outbox.delete_grant");
    return fr_fail_hint(err, "%.*s or, to keep the rows: outbox.delete: false",
                        FR_ARG(r->no_delete));
}

static fr_rc id_of(const fr_sql_relation *r, const fr_table_settings *t, size_t *out, fr_err *err)
{
    if (t->outbox.id == NULL)
        return fr_poll_refuse(t, "outbox.id", "outbox.id is not set",
                              "name the column that tells its rows apart", err);
    FR_TRY(fr_poll_column(t, r, "outbox.id", t->outbox.id, out, err));
    const fr_column *c = &r->table->columns[*out];
    if (!whole_number(c) && c->kind != FR_UUID && c->kind != FR_TEXT && c->kind != FR_BYTES)
        return fr_poll_refuse(t, "outbox.id",
                              "outbox.id is neither a number, nor a UUID, a text or bytes",
                              "name a column of such a type", err);
    if (c->nullable)
        return fr_poll_refuse(t, "outbox.id", "outbox.id may be NULL",
                              "make it the primary key, or NOT NULL and unique", err);
    /* Tables in partitions have no more than it in their key. Rows that share one are noticed. */
    if (!r->unique[*out] && c->key_ordinal == 0)
        return fr_poll_refuse(
            t, "outbox.id", "rows may share their outbox.id",
            "make it unique, by an index of its own or as part of the primary key", err);
    return FR_OK;
}

/* Numbers of a sequence rise with time, unless sessions take some ahead. A time that the database
 * sets is the beginning of the transaction, and that says nothing of who waited for whom. */
static void doubt(const fr_sql_relation *r, size_t column, fr_drain_order *o)
{
    fr_str ahead = r->ahead == NULL ? (fr_str){NULL, 0} : r->ahead[column];
    const fr_column *c = &r->table->columns[column];
    o->doubt = NULL;
    o->doubt_of = (fr_str){"", 0};
    if (ahead.len > 0) {
        o->doubt_of = ahead;
        o->doubt = "hands out numbers ahead to each session (CACHE): a later row may have a lower "
                   "one";
        o->remedy = "ALTER SEQUENCE ... CACHE 1; and connect anew whoever writes";
    } else if (is_time(c)) {
        o->doubt_of = c->name;
        o->doubt = "is a time: one that the database sets is when the transaction began, not when "
                   "it had its turn";
        o->remedy = "order by a number that a sequence gives when the row is inserted: poll.column";
    }
}

fr_rc fr_drain_order_of(const fr_sql_relation *r, const fr_table_settings *t, fr_drain_order *out,
                        fr_err *err)
{
    fr_drain_order o = {0};
    size_t at = 0;
    FR_TRY(has_table(r, t, err));
    FR_TRY(id_of(r, t, &o.id, err));
    if (t->poll_column != NULL) {
        FR_TRY(fr_poll_column(t, r, "poll.column", t->poll_column, &at, err));
        const fr_column *c = &r->table->columns[at];
        if (!whole_number(c) && !is_time(c))
            return fr_poll_refuse(t, "poll.column",
                                  "poll.column orders the outbox, and is neither a number nor a "
                                  "time",
                                  "name a number that grows with each row", err);
        if (c->nullable)
            return fr_poll_refuse(t, "poll.column",
                                  "poll.column orders the outbox, and may be NULL",
                                  "make it NOT NULL", err);
        o.columns[o.count++] = at;
    } else if (!whole_number(&r->table->columns[o.id])) {
        return fr_poll_refuse(t, "outbox.order",
                              "outbox.id is no number, so that nothing says in which order its "
                              "rows were made",
                              "name the column that does, best a number: poll.column", err);
    }
    if (o.count == 0 || at != o.id)
        o.columns[o.count++] = o.id;
    doubt(r, o.columns[0], &o);
    *out = o;
    return FR_OK;
}
