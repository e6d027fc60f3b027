/* Rows to parameters to statements. MariaDB takes an array of any length for each parameter
 * and runs the statement for one row after the other; MySQL has no such thing, so that there
 * a text has the parameters of many rows (the sizes are a choice, not measured yet). */
#include "mysql/my_sink.h"
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that one statement should have, and parameters that it may have. */
enum { STATEMENT_BYTES = 4 * 1024 * 1024, MOST_PARAMETERS = 65535, MOST_OPEN = 400 };
static const size_t sizes[] = {512, 64, 8, 1};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), DELETE_SIZE = 64, LAST_SIZE = 64 };

/* ---- parameters ---- */

typedef struct parameter {
    enum { FIELD, POSITION, MARK, TIME, FORMER } what;
    const fr_my_field *field;
} parameter;

typedef struct parameters {
    parameter *items;
    size_t count;
    const fr_str (*times)[2]; /* history: of TIME and FORMER, of each row */
} parameters;

static void add_parameter(parameters *p, int what, const fr_my_field *field)
{
    p->items[p->count].what = what;
    p->items[p->count++].field = field;
}

static void add_keys(parameters *p, const fr_my_sink_table *t)
{
    for (size_t i = 0; i < t->key_count; i++)
        add_parameter(p, FIELD, &t->fields[t->keys[i]]);
    if (t->shape.guarded)
        add_parameter(p, POSITION, NULL);
}

static void add_state_key(parameters *p, const fr_my_sink_table *t, int when)
{
    for (size_t i = 0; i < t->key_count; i++)
        add_parameter(p, FIELD, &t->fields[t->keys[i]]);
    if (when != FIELD)
        add_parameter(p, when, NULL);
}

/* In the order of fr_my_history_sql. */
static parameters state_parameters(fr_arena *a, const fr_my_sink_table *t, fr_my_verb verb,
                                   fr_str mask)
{
    parameters p = {fr_arena_alloc(a, (2 * t->shape.count + 4) * sizeof(parameter)), 0, NULL};
    bool ends = verb == FR_MY_VERB_END || verb == FR_MY_VERB_GONE;
    bool begins = verb == FR_MY_VERB_BEGIN || verb == FR_MY_VERB_FOLLOW;
    if (ends)
        add_parameter(&p, TIME, NULL);
    for (size_t i = 0; i < t->shape.count && (begins || verb == FR_MY_VERB_LAST); i++)
        if (fr_target_in_mask(mask, i) && (begins || fr_my_history_compares(a, t, &t->fields[i])))
            add_parameter(&p, FIELD, &t->fields[i]);
    if (begins || verb == FR_MY_VERB_GONE)
        add_parameter(&p, POSITION, NULL);
    if (begins)
        add_parameter(&p, TIME, NULL);
    if (verb == FR_MY_VERB_STORED)
        add_state_key(&p, t, TIME);
    if (verb != FR_MY_VERB_BEGIN)
        add_state_key(&p, t, verb == FR_MY_VERB_LAST ? FIELD : FORMER);
    return p;
}

/* In the order of fr_my_sink_sql. */
static parameters parameters_of(fr_arena *a, const fr_my_sink_table *t, fr_my_verb verb,
                                fr_str mask)
{
    if (verb >= FR_MY_VERB_LAST)
        return state_parameters(a, t, verb, mask);
    parameters p = {fr_arena_alloc(a, (2 * t->shape.count + 4) * sizeof(parameter)), 0, NULL};
    if (verb == FR_MY_VERB_DELETE && t->shape.marked && t->shape.guarded)
        add_parameter(&p, POSITION, NULL);
    if (verb == FR_MY_VERB_WRITE || verb == FR_MY_VERB_UPDATE) {
        for (size_t i = 0; i < t->shape.count; i++) {
            bool here = verb == FR_MY_VERB_WRITE || !t->fields[i].key;
            if (here && fr_target_in_mask(mask, i))
                add_parameter(&p, FIELD, &t->fields[i]);
        }
        if (t->positioned)
            add_parameter(&p, POSITION, NULL);
        if (t->shape.marked)
            add_parameter(&p, MARK, NULL);
    }
    if (verb != FR_MY_VERB_WRITE)
        add_keys(&p, t);
    if (verb == FR_MY_VERB_FIND && t->shape.guarded)
        p.count--; /* a row is there or not, whatever its position */
    return p;
}

static void begin_cells(fr_my_sink *s, const parameters *p)
{
    if (p->count > s->cell_cap) {
        s->cells = fr_realloc(s->cells, p->count * sizeof(fr_my_cells));
        for (; s->cell_cap < p->count; s->cell_cap++)
            s->cells[s->cell_cap] = (fr_my_cells){.cap = 0};
    }
    for (size_t i = 0; i < p->count; i++) {
        const parameter *q = &p->items[i];
        fr_my_cells_begin(&s->cells[i], q->what == FIELD      ? q->field->send
                                        : q->what == POSITION ? FR_MY_SEND_BLOB
                                        : q->what == MARK     ? FR_MY_SEND_INT
                                                              : FR_MY_SEND_TEXT);
    }
}

static void put_text(fr_my_cells *cells, fr_str text)
{
    fr_my_cells_bytes(cells, text.ptr, text.len);
}

static fr_rc put_row(fr_my_sink *s, const fr_my_sink_table *t, const parameters *p,
                     const fr_target_change *c, size_t row, fr_err *err)
{
    for (size_t i = 0; i < p->count; i++) {
        const fr_my_field *f = p->items[i].field;
        fr_my_cells *cells = &s->cells[i];
        if (p->items[i].what == POSITION)
            fr_my_cells_bytes(cells, fr_target_compared(c), FR_TARGET_POSITION_SIZE);
        else if (p->items[i].what == MARK)
            fr_my_cells_int(cells, c->deleted);
        else if (p->items[i].what != FIELD)
            put_text(cells, p->times[row][p->items[i].what == FORMER]);
        else if (fr_my_sink_put(cells, &t->shape.table->columns[f->column], &f->to,
                                &c->values[f->column], err) == FR_FAIL)
            return fr_fail_in(err, "%.*s", FR_ARG(t->qualified));
    }
    return FR_OK;
}

static size_t bytes_of(const fr_my_sink *s, const parameters *p)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->count; i++)
        bytes += fr_my_cells_size(&s->cells[i]);
    return bytes;
}

static fr_rc too_large(const fr_my_sink *s, const fr_my_sink_table *t, size_t bytes, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "%.*s: the row has %zu bytes, the server takes %zu",
            FR_ARG(t->qualified), bytes, s->can.packet);
    fr_fail_code(err, "sink.packet");
    return fr_fail_hint(err,
                        "SET GLOBAL max_allowed_packet = %zu (at most 1 GiB), and in the "
                        "server's configuration",
                        bytes * 2);
}

/* As many of the rows as one statement should have. */
static fr_rc fill(fr_my_sink *s, const fr_my_sink_table *t, const parameters *p,
                  const fr_target_change *items, size_t count, size_t *taken, fr_err *err)
{
    size_t limit = s->can.packet / 2 < STATEMENT_BYTES ? s->can.packet / 2 : STATEMENT_BYTES;
    size_t n = 0, bytes = 0, last = 0;
    begin_cells(s, p);
    while (n < count && bytes < limit) {
        FR_TRY(put_row(s, t, p, &items[n], n, err));
        n++;
        last = bytes;
        bytes = bytes_of(s, p);
    }
    if (bytes + 4096 > s->can.packet && n > 1) { /* the last one is large: by itself */
        n--;
        bytes = last;
    }
    if (bytes + 4096 > s->can.packet)
        return too_large(s, t, bytes, err);
    *taken = n;
    return FR_OK;
}

/* ---- statements ---- */

static fr_rc statement_failed(fr_my_sink *s, MYSQL_STMT *stmt, fr_err *err)
{
    bool raised = mysql_stmt_errno(stmt) == FR_MY_RAISED &&
                  strstr(mysql_stmt_error(stmt), FR_MY_RAISE) != NULL;
    fr_my_stmt_fail(s->my, stmt, "write rows", err);
    if (raised && err->kind == FR_ERR_DATA) {
        fr_fail(err, FR_ERR_DATA,
                "write rows: a unique index of the target has these values "
                "already, in a row with another key");
        fr_fail_code(err, "sink.unique");
        memcpy(err->sqlstate, "23000", 6);
        err->native = ER_DUP_ENTRY;
    }
    return FR_FAIL;
}

static void close_all(fr_my_sink *s)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(s->tables, &i, &key, &value))
        fr_my_sink_close_statements(s, value);
}

static fr_rc prepare(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask, size_t rows,
                     MYSQL_STMT **out, fr_err *err)
{
    fr_str sql = fr_my_sink_sql(s->arena, t, &s->can, verb, mask, rows);
    MYSQL_STMT *stmt = mysql_stmt_init(s->my->mysql);
    if (stmt == NULL)
        abort();
    if (mysql_stmt_prepare(stmt, sql.ptr, sql.len) != 0) {
        fr_my_stmt_fail(s->my, stmt, "write rows", err);
        mysql_stmt_close(stmt);
        return FR_FAIL;
    }
    *out = stmt;
    return FR_OK;
}

static fr_rc statement_of(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                          size_t rows, MYSQL_STMT **out, fr_err *err)
{
    for (size_t i = 0; i < t->statement_count; i++) {
        const fr_my_statement *st = &t->statements[i];
        if (st->verb == verb && st->rows == rows && fr_str_eq(st->mask, mask)) {
            *out = st->stmt;
            return FR_OK;
        }
    }
    if (s->open_statements >= MOST_OPEN)
        close_all(s);
    FR_TRY(prepare(s, t, verb, mask, rows, out, err));
    if (t->statement_count == t->statement_cap) {
        t->statement_cap = t->statement_cap == 0 ? 8 : 2 * t->statement_cap;
        t->statements = fr_realloc(t->statements, t->statement_cap * sizeof(*t->statements));
    }
    t->statements[t->statement_count++] =
        (fr_my_statement){verb, fr_arena_str(t->arena, mask), rows, *out};
    s->open_statements++;
    return FR_OK;
}

static MYSQL_BIND *binds_for(fr_my_sink *s, size_t count)
{
    if (count > s->bind_cap) {
        s->binds = fr_realloc(s->binds, count * sizeof(MYSQL_BIND));
        s->bind_cap = count;
    }
    return s->binds;
}

static fr_rc execute(fr_my_sink *s, MYSQL_STMT *stmt, unsigned array, MYSQL_BIND *binds,
                     fr_err *err)
{
    if (s->can.bulk)
        mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &array);
    if (mysql_stmt_bind_param(stmt, binds) != 0 || mysql_stmt_execute(stmt) != 0)
        return statement_failed(s, stmt, err);
    return FR_OK;
}

/* Rows [from, from + rows) of the cells as one statement of that many. */
static fr_rc run_rows(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                      const parameters *p, size_t from, size_t rows, MYSQL_STMT **out, fr_err *err)
{
    FR_TRY(statement_of(s, t, verb, mask, rows, out, err));
    MYSQL_BIND *binds = binds_for(s, rows * p->count);
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < p->count; i++)
            fr_my_cells_bind_row(&s->cells[i], from + row, &binds[row * p->count + i]);
    return execute(s, *out, 0, binds, err);
}

static fr_rc run_array(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                       const parameters *p, size_t rows, MYSQL_STMT **out, fr_err *err)
{
    FR_TRY(statement_of(s, t, verb, mask, 0, out, err));
    MYSQL_BIND *binds = binds_for(s, p->count);
    for (size_t i = 0; i < p->count; i++)
        fr_my_cells_bind_array(&s->cells[i], &binds[i]);
    return execute(s, *out, (unsigned)rows, binds, err);
}

static size_t size_for(size_t left, size_t most)
{
    for (size_t i = 0; i < SIZES; i++)
        if (sizes[i] <= left && sizes[i] <= most)
            return sizes[i];
    return 1;
}

/* ---- changes of one verb and mask ---- */

/* MySQL looks at parameters before it knows for which column they are, and does not name it:
 * a text that has no form in a character set, and one that is not JSON. */
enum { NO_CONVERSION = 3988, NO_JSON = 3140 };

static bool is_ascii(fr_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x80)
            return false;
    return true;
}

static bool may_be_it(const fr_my_field *f, const fr_value *v, int native)
{
    if (v->kind != FR_TEXT && v->kind != FR_JSON)
        return false;
    if (native == NO_JSON)
        return fr_str_is(f->to.type, "json");
    return f->to.charset.len > 0 && !fr_str_is(f->to.charset, "utf8mb4") && !is_ascii(v->bytes);
}

static fr_rc name_column(const fr_my_sink_table *t, const fr_target_change *c, fr_err *err)
{
    int native = err->native;
    if (native != NO_CONVERSION && native != NO_JSON)
        return FR_FAIL;
    fr_str names = FR_STR("");
    fr_arena *a = fr_arena_new(256);
    for (size_t i = 0; i < t->shape.count; i++)
        if (may_be_it(&t->fields[i], &c->values[t->fields[i].column], native))
            names = fr_arena_printf(a, "%.*s%s%.*s", FR_ARG(names), names.len > 0 ? " or " : "",
                                    FR_ARG(t->fields[i].ident));
    fr_fail(err, FR_ERR_DATA, "%.*s: column %.*s: %s", FR_ARG(t->qualified), FR_ARG(names),
            native == NO_JSON ? "the text is not JSON"
                              : "its character set does not have all of the characters");
    fr_arena_free(a);
    return fr_fail_code(err, "sink.value");
}

static fr_rc write_run(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                       const fr_target_change *items, size_t count, fr_err *err)
{
    parameters p = parameters_of(s->arena, t, verb, mask);
    size_t most = MOST_PARAMETERS / (p.count > 0 ? p.count : 1);
    if (verb == FR_MY_VERB_DELETE)
        most = t->shape.marked ? 1 : DELETE_SIZE;
    for (size_t at = 0, taken = 0; at < count; at += taken) {
        MYSQL_STMT *ignored;
        FR_TRY(fill(s, t, &p, items + at, count - at, &taken, err));
        if (s->can.bulk && taken > 1) {
            FR_TRY(run_array(s, t, verb, mask, &p, taken, &ignored, err));
            continue;
        }
        for (size_t row = 0, n = 0; row < taken; row += n) {
            n = size_for(taken - row, most);
            if (run_rows(s, t, verb, mask, &p, row, n, &ignored, err) == FR_OK)
                continue;
            return name_column(t, items + at + row, err);
        }
    }
    return FR_OK;
}

fr_rc fr_my_sink_run_some(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                          const fr_target_change *items, size_t *count, const fr_str (*times)[2],
                          MYSQL_STMT **out, fr_err *err)
{
    bool array = verb != FR_MY_VERB_LAST && s->can.bulk && *count > 1;
    parameters p = parameters_of(s->arena, t, verb, mask);
    size_t taken = verb == FR_MY_VERB_LAST ? LAST_SIZE : sizes[0];
    size_t most = MOST_PARAMETERS / (p.count > 0 ? p.count : 1);
    p.times = times;
    FR_TRY(fill(s, t, &p, items, array || *count < taken ? *count : taken, &taken, err));
    array = array && taken > 1;
    *count = array ? taken : size_for(taken, most);
    fr_rc rc = array ? run_array(s, t, verb, mask, &p, taken, out, err)
                     : run_rows(s, t, verb, mask, &p, 0, *count, out, err);
    return rc == FR_FAIL && *count == 1 ? name_column(t, items, err) : rc;
}

static fr_rc found(fr_my_sink *s, fr_my_sink_table *t, const fr_target_change *c, bool *there,
                   fr_err *err)
{
    MYSQL_STMT *stmt;
    parameters p = parameters_of(s->arena, t, FR_MY_VERB_FIND, FR_STR(""));
    begin_cells(s, &p);
    FR_TRY(put_row(s, t, &p, c, 0, err));
    FR_TRY(run_rows(s, t, FR_MY_VERB_FIND, FR_STR(""), &p, 0, 1, &stmt, err));
    if (mysql_stmt_store_result(stmt) != 0)
        return statement_failed(s, stmt, err);
    *there = mysql_stmt_num_rows(stmt) > 0;
    mysql_stmt_free_result(stmt);
    return FR_OK;
}

/* Its row cannot be inserted: a value is absent that must be there. */
static fr_rc not_there(const fr_my_sink_table *t, const fr_target_change *c, fr_err *err)
{
    for (size_t i = 0; i < t->shape.count; i++) {
        const fr_my_field *f = &t->fields[i];
        if (f->to.not_null && c->values[f->column].kind == FR_ABSENT)
            return fr_target_no_row(err, t->qualified, f->ident);
    }
    return fr_target_no_row(err, t->qualified, FR_STR(""));
}

static fr_rc patch(fr_my_sink *s, fr_my_sink_table *t, fr_str mask, const fr_target_change *c,
                   fr_err *err)
{
    MYSQL_STMT *stmt;
    bool there = false;
    size_t taken;
    parameters p = parameters_of(s->arena, t, FR_MY_VERB_UPDATE, mask);
    FR_TRY(fill(s, t, &p, c, 1, &taken, err));
    FR_TRY(run_rows(s, t, FR_MY_VERB_UPDATE, mask, &p, 0, 1, &stmt, err));
    if (mysql_stmt_affected_rows(stmt) > 0) /* found, with FR_MY_FOUND_ROWS */
        return FR_OK;
    if (t->shape.guarded)
        FR_TRY(found(s, t, c, &there, err));
    return there ? FR_OK : not_there(t, c, err);
}

/* ---- changes in their order ---- */

fr_rc fr_my_sink_write(fr_my_sink *s, fr_my_sink_table *t, const fr_target_change *items,
                       size_t count, fr_err *err)
{
    if (t->history)
        return fr_my_history_write(s, t, items, count, err);
    for (size_t at = 0, n = 0; at < count; at += n) {
        const fr_target_change *first = &items[at];
        fr_str mask = fr_target_mask(s->arena, &t->shape, first);
        n = 1;
        if (first->form == FR_TARGET_PATCH) {
            FR_TRY(patch(s, t, mask, first, err));
            continue;
        }
        while (at + n < count && items[at + n].form == first->form &&
               fr_target_has_mask(&t->shape, &items[at + n], mask))
            n++;
        fr_my_verb verb = first->form == FR_TARGET_DELETE ? FR_MY_VERB_DELETE : FR_MY_VERB_WRITE;
        FR_TRY(write_run(s, t, verb, mask, first, n, err));
    }
    return FR_OK;
}

fr_rc fr_my_sink_try(fr_my_sink *s, fr_my_sink_table *t, fr_err *err)
{
    const fr_my_verb rows[] = {FR_MY_VERB_WRITE, FR_MY_VERB_DELETE};
    const fr_my_verb states[] = {FR_MY_VERB_LAST, FR_MY_VERB_BEGIN, FR_MY_VERB_END};
    size_t count = t->append || s->settings->deletes == FR_DELETES_IGNORE ? 1 : 2;
    for (size_t i = 0; i < (t->history ? 3 : count); i++) {
        MYSQL_STMT *stmt;
        FR_TRY(prepare(s, t, t->history ? states[i] : rows[i], FR_STR(""), 1, &stmt, err));
        mysql_stmt_close(stmt);
    }
    return FR_OK;
}
