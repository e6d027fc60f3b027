/* Held tables: what of them an encoder passes over (decision 24). Few tables are held, and not for
 * long, so that a list will do. */
#include "codec/encode_plan.h"
#include <stdlib.h>

static fr_passing *find(const fr_encoder *e, fr_str space, fr_str name)
{
    for (size_t i = 0; i < e->passing_count; i++)
        if (fr_str_eq(e->passing[i].name, name) && fr_str_eq(e->passing[i].space, space))
            return &e->passing[i];
    return NULL;
}

static fr_passing *add(fr_encoder *e, fr_str space, fr_str name)
{
    fr_passing *p = find(e, space, name);
    if (p != NULL)
        return p;
    e->passing = fr_realloc(e->passing, (e->passing_count + 1) * sizeof(*e->passing));
    p = &e->passing[e->passing_count++];
    *p = (fr_passing){.space = fr_arena_str(e->arena, space),
                      .name = fr_arena_str(e->arena, name),
                      .collection =
                          fr_arena_printf(e->arena, "%.*s.%.*s", FR_ARG(space), FR_ARG(name))};
    return p;
}

void fr_encoder_pass(fr_encoder *e, fr_str space, fr_str name, uint64_t below)
{
    fr_passing *p = add(e, space, name);
    p->from = 0;
    p->below = below;
}

void fr_encoder_take(fr_encoder *e, fr_str space, fr_str name)
{
    fr_passing *p = find(e, space, name);
    if (p != NULL)
        *p = e->passing[--e->passing_count];
}

bool fr_encoder_passed(const fr_encoder *e, fr_str space, fr_str name, uint64_t *last_lsn,
                       uint64_t *count)
{
    const fr_passing *p = find(e, space, name);
    if (p == NULL)
        return false;
    *last_lsn = p->last_lsn;
    *count = p->count;
    return true;
}

void fr_encoder_beside(fr_encoder *e)
{
    e->beside = true;
}

void fr_encoder_only(fr_encoder *e, fr_str space, fr_str name, uint64_t from, fr_str txn,
                     uint64_t seen)
{
    fr_passing *p = add(e, space, name);
    p->from = from;
    p->below = UINT64_MAX;
    p->txn = fr_arena_str(e->arena, txn);
    p->seen = seen;
}

void fr_encoder_skip(fr_encoder *e, fr_str space, fr_str name, fr_str txn, uint64_t seen)
{
    fr_passing *p = add(e, space, name);
    p->txn = fr_arena_str(e->arena, txn);
    p->seen = seen;
}

/* What is published of a transaction that was left in its middle. */
static fr_rc pass_seen(fr_passing *p, const fr_event *event, fr_err *err)
{
    if (event->txn == NULL || !fr_str_eq(event->txn->id, p->txn)) {
        fr_fail(err, FR_ERR_POSITION,
                "table %.*s.%.*s was left within transaction %.*s, but the log goes on with "
                "transaction %.*s",
                FR_ARG(p->space), FR_ARG(p->name), FR_ARG(p->txn),
                event->txn == NULL ? 0 : (int)event->txn->id.len,
                event->txn == NULL ? "" : event->txn->id.ptr);
        fr_fail_code(err, "held.txn");
        return fr_fail_hint(err, "freshet resume TABLE --anew takes a new snapshot of it");
    }
    p->seen--;
    return FR_END;
}

/* Their shape may be one that the table has left for good: nothing is made of it either. */
static fr_rc leave_seen(fr_passing *p, const fr_event *event, fr_err *err)
{
    if (fr_op_is_change(event->op))
        return pass_seen(p, event, err);
    return event->op == FR_OP_TABLE ? FR_END : FR_OK;
}

bool fr_encoder_leaves(const fr_encoder *e, const fr_event *event, bool *later)
{
    *later = false;
    if (event->table == NULL || (e->passing_count == 0 && !e->beside))
        return false;
    const fr_passing *p = find(e, event->table->space, event->table->name);
    uint64_t lsn = event->position.lsn;
    if (!e->beside) {
        *later = p != NULL && p->seen > 0;
        return p != NULL && (lsn < p->below || (*later && fr_op_is_change(event->op)));
    }
    if (p == NULL || lsn < p->from || lsn >= p->below)
        return true;
    *later = p->seen > 0; /* the next of them may be one that is not */
    return *later && fr_op_is_change(event->op);
}

fr_rc fr_encoder_passes(fr_encoder *e, const fr_event *event, fr_err *err)
{
    fr_passing *p = find(e, event->table->space, event->table->name);
    uint64_t lsn = event->position.lsn;
    bool change = fr_op_is_change(event->op);
    fr_rc rc = FR_OK;
    if (e->beside) {
        if (p == NULL || lsn < p->from || lsn >= p->below)
            rc = FR_END;
        else if (p->seen > 0)
            rc = leave_seen(p, event, err);
    } else if (p != NULL && lsn < p->below) {
        rc = FR_END;
        p->count += change || event->op == FR_OP_READ;
        if (change && lsn > p->last_lsn)
            p->last_lsn = lsn;
    } else if (p != NULL && p->seen > 0) {
        rc = leave_seen(p, event, err);
    }
    if (rc == FR_END && change)
        fr_encoder_count(e, p == NULL ? (fr_str){"", 0} : p->collection, event);
    return rc;
}
