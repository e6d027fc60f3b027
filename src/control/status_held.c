/* Tables that wait while the others go on, and what the operator wants: as the board keeps them. */
#include "control/status_internal.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- held ---- */

void fr_board_forget_held(fr_board_table *t)
{
    free((char *)t->held.code);
    free((char *)t->held.why);
    free((char *)t->held.from);
    t->held = (fr_held_status){0};
    t->is_held = false;
}

fr_state fr_held_state(const fr_board_table *t)
{
    if (t->held.catching_up)
        return FR_STATE_CATCHING_UP;
    return strcmp(t->held.code, FR_HELD_OPERATOR) == 0 ? FR_STATE_PAUSED : FR_STATE_BLOCKED;
}

bool fr_held_by_schema(const fr_board_table *t)
{
    return t->is_held && !t->held.catching_up && strncmp(t->held.code, "schema.", 7) == 0 &&
           strcmp(t->held.code, FR_HELD_GONE) != 0;
}

static char *clean(const char *text)
{
    char *copy = fr_strdup(text == NULL ? "" : text);
    fr_redact(copy);
    return copy;
}

static void keep(fr_board_table *t, const fr_held_status *h)
{
    fr_board_forget_held(t);
    t->is_held = true;
    t->held = *h;
    t->held.code = clean(h->code);
    t->held.why = clean(h->why);
    t->held.from = clean(h->from);
}

static char *copy_of(fr_str s)
{
    char *copy = s.len == 0 ? NULL : fr_malloc(s.len + 1);
    if (copy != NULL)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

static fr_board_table *find(const fr_part *p, fr_str space, fr_str table)
{
    fr_buf name = {0};
    fr_buf_str(&name, space);
    fr_buf_text(&name, space.len > 0 ? "." : "");
    fr_buf_str(&name, table);
    fr_board_table *t = fr_map_get(p->tables, fr_buf_view(&name));
    fr_buf_free(&name);
    return t;
}

void fr_part_held(fr_part *p, fr_str space, fr_str table, const fr_held_status *h)
{
    pthread_mutex_lock(&p->lock);
    fr_board_table *t = h == NULL ? find(p, space, table) : fr_board_table_of(p, space, table);
    bool was = t != NULL && t->is_held;
    if (h != NULL) {
        p->held_count += !was;
        keep(t, h);
    } else if (was) {
        p->held_count--;
        fr_board_forget_held(t);
    }
    pthread_mutex_unlock(&p->lock);
}

void fr_part_kept(fr_part *p, fr_str space, fr_str table, fr_str said)
{
    pthread_mutex_lock(&p->lock);
    fr_board_table *t = said.len == 0 ? find(p, space, table) : fr_board_table_of(p, space, table);
    if (t != NULL) {
        free(t->kept);
        t->kept = copy_of(said);
    }
    pthread_mutex_unlock(&p->lock);
}

void fr_part_moved(fr_part *p, fr_str space, fr_str table, fr_str topic, fr_str former,
                   uint32_t generation)
{
    pthread_mutex_lock(&p->lock);
    fr_board_table *t = fr_board_table_of(p, space, table);
    free(t->topic);
    free(t->former);
    t->topic = copy_of(topic);
    t->former = copy_of(former);
    t->generation = generation;
    pthread_mutex_unlock(&p->lock);
}

bool fr_part_is_held(fr_part *p, fr_str table, bool *by_operator, int64_t *since_us)
{
    pthread_mutex_lock(&p->lock);
    const fr_board_table *t = fr_map_get(p->tables, table);
    bool held = t != NULL && t->is_held && !t->held.catching_up;
    if (held) {
        *by_operator = fr_held_state(t) == FR_STATE_PAUSED;
        *since_us = t->held.since_us;
    }
    pthread_mutex_unlock(&p->lock);
    return held;
}

/* ---- the operator's will ---- */

void fr_board_forget_will(fr_board_will *w)
{
    free(w->by);
    free(w->why);
    *w = (fr_board_will){0};
}

void fr_part_will(fr_part *p, fr_str table, const fr_will *w, bool restarting)
{
    pthread_mutex_lock(&p->lock);
    fr_board_will *mine =
        table.len == 0 ? &p->will : &fr_board_table_of(p, FR_STR(""), table)->will;
    fr_board_forget_will(mine);
    *mine = (fr_board_will){.said = true,
                            .state = w->state,
                            .restarting = restarting,
                            .by = copy_of(w->by),
                            .why = copy_of(w->why),
                            .at_us = w->at_us};
    pthread_mutex_unlock(&p->lock);
}

void fr_part_restarted(fr_part *p)
{
    pthread_mutex_lock(&p->lock);
    p->will.restarting = false;
    pthread_mutex_unlock(&p->lock);
}

void fr_board_control(fr_board *b, const fr_err *err)
{
    pthread_mutex_lock(&b->lock);
    b->has_control_error = err != NULL;
    if (err != NULL) {
        b->control_error = *err;
        fr_redact(b->control_error.text);
        fr_redact(b->control_error.hint);
    }
    pthread_mutex_unlock(&b->lock);
}
