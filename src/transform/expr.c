#include "transform/expr.h"
#include "base/bytes.h"
#include "transform/dec_cmp.h"
#include "transform/expr_text.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_TEXT = 8192,      /* of an expression */
    MOST_NAMES = 500,      /* that may be columns, within one */
    MOST_VALUE = 64 << 20, /* of a text or blob within it */
    TICK = 1000,           /* SQLite's instructions between two looks at the clock of work */
    MOST_TICKS = 2000,     /* of one run */
    EXACT_DIGITS = 15,     /* a double holds so many digits of a decimal */
    EXACT_INTEGER = 18     /* and 64 bits so many without fraction */
};

struct fr_sandbox {
    sqlite3 *db;
    sqlite3_vfs vfs; /* of its own: it has no files and does not know the time */
    char vfs_name[40];
    fr_arena *scratch; /* spellings of one run */
    unsigned ticks;
    bool asked_time;
    /* While one is compiled: */
    fr_expr *compiling;
    bool checking; /* the text as it was written, and not our own around it */
    int selects;
    const char *denied_what;
    char denied[64];
    fr_expr *running;
};

struct fr_expr {
    fr_sandbox *sandbox;
    const fr_table *table;
    sqlite3_stmt *stmt;
    uint16_t *columns; /* bound ones first, then those of dec_cmp */
    size_t bound, count;
    const fr_value *values; /* while it runs; NULL: of compile, a row of NULLs */
    fr_kind kind;
};

#define ROW "freshet row" /* the table: no expression can name it by chance */

/* ---- what may be called ---- */

static bool is_listed(const char *name, const char *const *list)
{
    for (; *list != NULL; list++)
        if (sqlite3_stricmp(name, *list) == 0)
            return true;
    return false;
}

/* The result depends on the arguments alone. */
static const char *const functions[] = {
    "abs",          "ceil",        "ceiling",    "char",      "coalesce",   "date",
    "datetime",     "dec_cmp",     "floor",      "format",    "glob",       "hex",
    "ifnull",       "iif",         "instr",      "json",      "json_array", "json_array_length",
    "json_extract", "json_object", "json_quote", "json_type", "json_valid", "julianday",
    "length",       "like",        "lower",      "ltrim",     "max",        "min",
    "mod",          "nullif",      "printf",     "quote",     "replace",    "round",
    "rtrim",        "sign",        "strftime",   "substr",    "substring",  "time",
    "trim",         "trunc",       "typeof",     "unicode",   "unixepoch",  "upper",
    "->",           "->>",         NULL};

static int deny(fr_sandbox *s, const char *what, const char *name)
{
    if (s->denied_what == NULL) {
        s->denied_what = what;
        sqlite3_snprintf(sizeof s->denied, s->denied, "%s", name == NULL ? "" : name);
    }
    return SQLITE_DENY;
}

static void note_column(fr_expr *e, const char *name)
{
    int column = e->table == NULL ? -1 : fr_table_find(e->table, fr_cstr(name));
    for (size_t i = 0; i < e->count; i++)
        if (e->columns[i] == column)
            return;
    if (column >= 0)
        e->columns[e->count++] = (uint16_t)column;
}

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
    fr_sandbox *s = context;
    (void)database, (void)trigger;
    if (s->compiling == NULL)
        return SQLITE_OK; /* our own statements */
    switch (action) {
    case SQLITE_SELECT:
        return !s->checking || s->selects++ == 0 ? SQLITE_OK : deny(s, "a sub-select", NULL);
    case SQLITE_READ:
        if (s->checking && sqlite3_stricmp(second, "rowid") == 0 &&
            (s->compiling->table == NULL ||
             fr_table_find(s->compiling->table, fr_cstr(second)) < 0))
            return deny(s, "the row's number", second);
        if (s->checking)
            note_column(s->compiling, second);
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return is_listed(second, functions) ? SQLITE_OK : deny(s, "function", second);
    default:
        return deny(s, "a statement", first);
    }
}

/* ---- the sandbox ---- */

static int no_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs, (void)name, (void)flags, (void)out;
    file->pMethods = NULL;
    return SQLITE_CANTOPEN;
}

/* SQLite then gives NULL for 'now', wherever that text came from. */
static int no_time(sqlite3_vfs *vfs, double *out)
{
    (void)out;
    ((fr_sandbox *)vfs->pAppData)->asked_time = true;
    return SQLITE_ERROR;
}

static int tick(void *context)
{
    fr_sandbox *s = context;
    return ++s->ticks > MOST_TICKS;
}

static void set_limits(sqlite3 *db)
{
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, MOST_VALUE},       {SQLITE_LIMIT_SQL_LENGTH, 256 << 10},
        {SQLITE_LIMIT_COLUMN, MOST_NAMES + 10},  {SQLITE_LIMIT_EXPR_DEPTH, 100},
        {SQLITE_LIMIT_COMPOUND_SELECT, 1},       {SQLITE_LIMIT_VDBE_OP, 25000},
        {SQLITE_LIMIT_FUNCTION_ARG, 32},         {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200}, {SQLITE_LIMIT_VARIABLE_NUMBER, MOST_NAMES + 10},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 0},         {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(db, limits[i][0], limits[i][1]);
}

static void dec_cmp(sqlite3_context *context, int count, sqlite3_value **arguments);

static bool set_up(fr_sandbox *s)
{
    static const int switches[][2] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
    };
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (sqlite3_db_config(s->db, switches[i][0], switches[i][1], NULL) != SQLITE_OK)
            return false;
    set_limits(s->db);
    sqlite3_progress_handler(s->db, TICK, tick, s);
    return sqlite3_set_authorizer(s->db, authorize, s) == SQLITE_OK &&
           sqlite3_create_function_v2(s->db, "dec_cmp", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, s,
                                      dec_cmp, NULL, NULL, NULL) == SQLITE_OK;
}

fr_rc fr_sandbox_open(fr_sandbox **out, fr_err *err)
{
    fr_sandbox *s = fr_malloc(sizeof *s);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY |
                SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    s->scratch = fr_arena_new(512);
    const sqlite3_vfs *usual = sqlite3_initialize() == SQLITE_OK ? sqlite3_vfs_find(NULL) : NULL;
    bool good = usual != NULL;
    if (good) {
        s->vfs = *usual;
        s->vfs.iVersion = 1; /* beyond it are more clocks */
        s->vfs.pNext = NULL;
        sqlite3_snprintf(sizeof s->vfs_name, s->vfs_name, "freshet-%p", (void *)s);
        s->vfs.zName = s->vfs_name;
        s->vfs.pAppData = s;
        s->vfs.xOpen = no_file;
        s->vfs.xCurrentTime = no_time;
        good = sqlite3_vfs_register(&s->vfs, 0) == SQLITE_OK &&
               sqlite3_open_v2(":memory:", &s->db, flags, s->vfs_name) == SQLITE_OK && set_up(s);
    }
    if (good) {
        *out = s;
        return FR_OK;
    }
    fr_fail(err, FR_ERR_BUG, "SQLite, which evaluates expressions, does not start");
    fr_sandbox_close(s);
    return FR_FAIL;
}

void fr_sandbox_close(fr_sandbox *s)
{
    if (s == NULL)
        return;
    for (sqlite3_stmt *stmt; s->db != NULL && (stmt = sqlite3_next_stmt(s->db, NULL)) != NULL;)
        sqlite3_finalize(stmt);
    sqlite3_close(s->db);
    if (s->vfs.zName != NULL)
        sqlite3_vfs_unregister(&s->vfs);
    fr_arena_free(s->scratch);
    free(s);
}

/* ---- compiling ---- */

typedef struct compiler {
    fr_sandbox *s;
    fr_arena *a;
    const fr_table *table;
    const char *text;
    fr_tokens tokens;
    fr_expr *e;
    size_t *at;
    fr_err *err;
} compiler;

static fr_rc refuse(compiler *c, const char *code, size_t at, const char *what)
{
    *c->at = at <= strlen(c->text) ? at : 0;
    fr_fail(c->err, FR_ERR_CONFIG, "%s", what);
    return fr_fail_code(c->err, code);
}

/* Bound as a number it would be another one. */
static bool is_wide(const fr_column *c)
{
    int most = c->scale == 0 ? EXACT_INTEGER : EXACT_DIGITS;
    return c->kind == FR_DECIMAL &&
           (c->precision <= 0 || c->precision > most || c->scale < 0 || c->scale > EXACT_DIGITS);
}

static bool is_name(const fr_tokens *t, size_t i)
{
    return t->items[i].kind == FR_TOKEN_QUOTED ||
           (t->items[i].kind == FR_TOKEN_NAME && !fr_tokens_call(t, i));
}

static bool same_name(fr_str a, fr_str b)
{
    return a.len == b.len && sqlite3_strnicmp(a.ptr, b.ptr, (int)a.len) == 0;
}

static void put_identifier(fr_buf *b, fr_str name)
{
    fr_buf_u8(b, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            fr_buf_u8(b, '"');
        fr_buf_u8(b, (uint8_t)name.ptr[i]);
    }
    fr_buf_u8(b, '"');
}

static bool met_before(const fr_tokens *t, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (is_name(t, k) && same_name(t->items[k].text, t->items[i].text))
            return true;
    return false;
}

/* The column that a name means; NULL: none that it can read. SQLite does not tell cases apart. */
static const fr_column *column_of(const compiler *c, fr_str name, size_t *count)
{
    const fr_column *found = NULL;
    *count = 0;
    for (size_t i = 0; i < c->table->column_count; i++) {
        if (!same_name(c->table->columns[i].name, name))
            continue;
        found = &c->table->columns[i];
        ++*count;
    }
    return *count == 1 && !is_wide(found) ? found : NULL;
}

static bool run_sql(fr_sandbox *s, fr_str sql)
{
    return sqlite3_exec(s->db, sql.ptr, NULL, NULL, NULL) == SQLITE_OK;
}

/* A table with the columns that the text may mean. */
static fr_rc make_row(compiler *c)
{
    fr_buf b = {.arena = c->a};
    size_t count = 0;
    fr_buf_text(&b, "CREATE TABLE \"" ROW "\"(");
    for (size_t i = 0; i < c->tokens.count; i++) {
        fr_str name = c->tokens.items[i].text;
        size_t same;
        if (!is_name(&c->tokens, i) || name.len == 0 || met_before(&c->tokens, i))
            continue;
        const fr_column *column = c->table == NULL ? NULL : column_of(c, name, &same);
        if (c->table != NULL && column == NULL)
            continue;
        if (count == MOST_NAMES)
            return refuse(c, "syntax", c->tokens.items[i].at, "more than 500 names");
        fr_buf_text(&b, count++ > 0 ? "," : "");
        put_identifier(&b, column == NULL ? name : column->name);
    }
    fr_buf_text(&b, count == 0 ? "\"\")" : ")");
    fr_buf_u8(&b, 0);
    if (run_sql(c->s, fr_buf_view(&b)))
        return FR_OK;
    return refuse(c, "syntax", 0, "it holds a name that no column can have");
}

/* Where a name stands, or 0. */
static size_t place_of(const compiler *c, fr_str name, bool call)
{
    for (size_t i = 0; i < c->tokens.count; i++)
        if (same_name(c->tokens.items[i].text, name) &&
            (!call || fr_tokens_call(&c->tokens, i) || c->tokens.items[i].kind == FR_TOKEN_NAME))
            return c->tokens.items[i].at;
    return 0;
}

static fr_rc no_column(compiler *c, fr_str name, size_t at)
{
    size_t count = 0;
    const fr_column *wide = NULL;
    for (size_t i = 0; c->table != NULL && i < c->table->column_count; i++)
        if (same_name(c->table->columns[i].name, name)) {
            wide = &c->table->columns[i];
            count++;
        }
    fr_str what = fr_arena_printf(c->a, "there is no column %.*s", FR_ARG(name));
    if (count > 1)
        what = fr_arena_printf(c->a, "%zu columns are called %.*s in one case or another", count,
                               FR_ARG(name));
    else if (count == 1)
        what = fr_arena_printf(c->a,
                               "column %.*s is a decimal of more digits than a number of an "
                               "expression keeps",
                               FR_ARG(name));
    refuse(c, count > 0 ? "column" : "no_such_column", at, fr_arena_cstr(c->a, what));
    if (count > 1)
        return fr_fail_hint(c->err, "rename one of them in the database, or leave it out");
    if (count == 1)
        return fr_fail_hint(c->err, "compare it with dec_cmp('%.*s', '12.5') > 0",
                            FR_ARG(wide->name));
    if (memchr(name.ptr, '.', name.len) != NULL)
        return fr_fail_hint(c->err, "write the column's name alone");
    const fr_column *near = c->table == NULL ? NULL : fr_table_nearest(c->table, name);
    if (near != NULL)
        return fr_fail_hint(c->err, "did you mean %.*s?", FR_ARG(near->name));
    return fr_fail_hint(c->err, "name a column of the table; a text is written '%.*s'",
                        FR_ARG(name));
}

static fr_rc denied(compiler *c)
{
    bool function = strcmp(c->s->denied_what, "function") == 0;
    fr_str name = fr_cstr(c->s->denied);
    fr_str what = fr_arena_printf(c->a, "%s%s%.*s is not for expressions", c->s->denied_what,
                                  name.len > 0 ? " " : "", FR_ARG(name));
    size_t at = name.len > 0 ? place_of(c, name, true) : place_of(c, FR_STR("select"), false);
    refuse(c, "function", at, fr_arena_cstr(c->a, what));
    if (function)
        return fr_fail_hint(c->err, "the result must depend on the row alone; docs/expressions.md "
                                    "lists what may be called");
    return fr_fail_hint(c->err, "use the row's columns, constants, operators and functions");
}

/* SQLite did not take the text. prefix: bytes in front of it. */
static fr_rc not_taken(compiler *c, size_t prefix)
{
    static const char no_such[] = "no such column: ", unknown[] = "no such function: ";
    const char *what = sqlite3_errmsg(c->s->db);
    int offset = sqlite3_error_offset(c->s->db);
    size_t at = offset >= (int)prefix ? (size_t)offset - prefix : 0;
    if (c->s->denied_what != NULL)
        return denied(c);
    if (strncmp(what, no_such, sizeof no_such - 1) == 0)
        return no_column(c, fr_arena_str(c->a, fr_cstr(what + sizeof no_such - 1)), at);
    bool function = strncmp(what, unknown, sizeof unknown - 1) == 0;
    refuse(c, function ? "function" : "syntax", at, what);
    return fr_fail_hint(c->err, function ? "docs/expressions.md lists what may be called"
                                         : "expressions are SQL as SQLite has it: total > 100 AND "
                                           "status <> 'draft'");
}

static sqlite3_stmt *prepare(fr_sandbox *s, fr_str sql)
{
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    s->denied_what = NULL;
    s->selects = 0;
    int rc =
        sqlite3_prepare_v3(s->db, sql.ptr, (int)sql.len, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
    if (rc == SQLITE_OK && sqlite3_column_count(stmt) == 1 && tail == sql.ptr + sql.len)
        return stmt;
    sqlite3_finalize(stmt);
    return NULL;
}

/* As it was written, over a table: which columns are there, and what may be called. */
static fr_rc check(compiler *c)
{
    static const char before[] = "SELECT (", after[] = "\n) FROM \"" ROW "\"";
    fr_str sql = fr_arena_printf(c->a, "%s%s%s", before, c->text, after);
    c->s->compiling = c->e;
    c->s->checking = true;
    sqlite3_stmt *stmt = prepare(c->s, sql);
    c->s->checking = false;
    fr_rc rc = FR_OK;
    if (stmt == NULL)
        rc = not_taken(c, sizeof before - 1);
    sqlite3_finalize(stmt);
    c->s->compiling = NULL;
    return rc;
}

/* dec_cmp('column', ...): which column is known by its text alone. */
static fr_rc note_decimals(compiler *c)
{
    for (size_t i = 0; i < c->tokens.count; i++) {
        const fr_token *t = &c->tokens.items[i];
        if (!fr_tokens_call(&c->tokens, i) || !fr_token_is(t, "dec_cmp"))
            continue;
        const fr_token *name = i + 2 < c->tokens.count ? t + 2 : t;
        if (name->kind != FR_TOKEN_TEXT || i + 3 >= c->tokens.count || !fr_token_is(t + 3, ",")) {
            refuse(c, "syntax", t->at, "dec_cmp needs the column's name as a text");
            return fr_fail_hint(c->err, "write dec_cmp('total', '12.5') > 0");
        }
        if (c->table == NULL)
            continue;
        int column = fr_table_find(c->table, name->text);
        if (column < 0)
            return no_column(c, name->text, name->at);
        fr_kind kind = c->table->columns[column].kind;
        if (kind != FR_DECIMAL && kind != FR_INT32 && kind != FR_INT64) {
            refuse(c, "column", name->at, "dec_cmp compares decimals and integers");
            return fr_fail_hint(c->err, "compare this column by itself");
        }
        note_column(c->e, c->table->columns[column].name.ptr == NULL
                              ? ""
                              : fr_arena_cstr(c->a, c->table->columns[column].name));
    }
    return FR_OK;
}

/* Times that are not the row's. */
static fr_rc check_literals(compiler *c)
{
    static const char *const words[] = {"now", "localtime", "utc", "subsec", NULL};
    for (size_t i = 0; i < c->tokens.count; i++) {
        const fr_token *t = &c->tokens.items[i];
        bool argument = t->kind == FR_TOKEN_TEXT && t->depth > 0 && t->text.len < 16;
        if (!argument || !is_listed(fr_arena_cstr(c->a, t->text), words))
            continue;
        size_t open = i; /* of the call it is an argument of */
        while (open > 0 && !(c->tokens.items[open].kind == FR_TOKEN_OPEN &&
                             c->tokens.items[open].depth == t->depth - 1))
            open--;
        static const char *const times[] = {"date",     "time",      "datetime", "julianday",
                                            "strftime", "unixepoch", NULL};
        const fr_token *f = open > 0 ? &c->tokens.items[open - 1] : t;
        if (f->kind != FR_TOKEN_NAME || !is_listed(fr_arena_cstr(c->a, f->text), times))
            continue;
        refuse(c, "function", t->at,
               "the time of the evaluation, or a time zone of this machine, is not the row's");
        return fr_fail_hint(c->err, "an event would be another one when it is read again: use the "
                                    "row's own columns");
    }
    return FR_OK;
}

/* Over values, and these alone: a sub-query that SQLite melts into the statement. */
static fr_rc make_statement(compiler *c)
{
    fr_expr *e = c->e;
    fr_buf b = {.arena = c->a};
    fr_buf_printf(&b, "SELECT (%s\n)", c->text);
    for (size_t i = 0; i < e->bound; i++) {
        fr_buf_printf(&b, "%s?%zu AS ", i == 0 ? " FROM (SELECT " : ", ", i + 1);
        put_identifier(&b, e->table->columns[e->columns[i]].name);
    }
    fr_buf_text(&b, e->bound > 0 ? ")" : "");
    fr_buf_u8(&b, 0);
    c->s->compiling = e;
    e->stmt = prepare(c->s, (fr_str){(const char *)b.ptr, b.len - 1});
    c->s->compiling = NULL;
    return e->stmt == NULL ? not_taken(c, 8) : FR_OK;
}

/* What fails without any value fails for each row. */
static fr_rc try_it(compiler *c)
{
    fr_result ignored;
    fr_err why;
    if (fr_expr_run(c->e, NULL, &ignored, &why) != FR_FAIL)
        return FR_OK;
    sqlite3_finalize(c->e->stmt);
    refuse(c, "syntax", 0, why.text);
    return fr_fail_hint(c->err, "%s", why.hint);
}

static fr_rc compile(compiler *c)
{
    FR_TRY(fr_tokens_read(c->a, c->text, &c->tokens, c->at, c->err));
    FR_TRY(check_literals(c));
    FR_TRY(make_row(c));
    fr_rc rc = check(c);
    if (!run_sql(c->s, FR_STR("DROP TABLE \"" ROW "\"")) && rc == FR_OK)
        rc = fr_fail(c->err, FR_ERR_BUG, "SQLite does not forget a table");
    FR_TRY(rc);
    c->e->bound = c->e->count;
    FR_TRY(note_decimals(c));
    c->e->kind = fr_tokens_kind(&c->tokens);
    if (c->table == NULL)
        return FR_OK;
    FR_TRY(make_statement(c));
    return try_it(c);
}

fr_rc fr_expr_compile(fr_sandbox *s, fr_arena *a, const fr_table *table, const char *text,
                      fr_expr **out, size_t *at_out, fr_err *err)
{
    fr_expr *e = fr_arena_alloc(a, sizeof *e);
    compiler c = {.s = s, .a = a, .table = table, .text = text, .e = e, .at = at_out, .err = err};
    *at_out = 0;
    e->sandbox = s;
    e->table = table;
    e->columns =
        fr_arena_alloc(a, ((table == NULL ? 0 : table->column_count) + 1) * sizeof(uint16_t));
    if (strlen(text) > MOST_TEXT)
        return refuse(&c, "syntax", 0, "an expression of more than 8192 bytes");
    if (!fr_utf8_valid(fr_cstr(text)))
        return refuse(&c, "syntax", 0, "an expression that is not UTF-8");
    FR_TRY(compile(&c));
    *out = e;
    return FR_OK;
}

const uint16_t *fr_expr_columns(const fr_expr *e, size_t *count)
{
    *count = e->count;
    return e->columns;
}

fr_kind fr_expr_kind(const fr_expr *e)
{
    return e->kind;
}

/* ---- running ---- */

static const double tens[EXACT_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static int bind_decimal(sqlite3_stmt *stmt, int at, const fr_column *c, const fr_value *v)
{
    if (v->bytes.len > sizeof(int64_t))
        return SQLITE_TOOBIG; /* more than its column says */
    int64_t n = fr_decimal_number(v->bytes);
    if (c->scale == 0)
        return sqlite3_bind_int64(stmt, at, n);
    return sqlite3_bind_double(stmt, at, (double)n / tens[c->scale]); /* both exact */
}

static int bind_text(sqlite3_stmt *stmt, int at, fr_str text)
{
    const char *ptr = text.ptr == NULL ? "" : text.ptr;
    return sqlite3_bind_text64(stmt, at, ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

/* As SQLite's own functions write it: "2026-11-26 08:26:11.402". */
static fr_str moment(fr_arena *a, int64_t us)
{
    fr_str text = fr_datetime_text(a, us);
    char *t = memchr(text.ptr, 'T', text.len);
    if (t != NULL)
        *t = ' ';
    return text;
}

static int bind(fr_expr *e, int at, uint16_t column, const fr_value *v)
{
    sqlite3_stmt *stmt = e->stmt;
    fr_arena *a = e->sandbox->scratch;
    switch (v->kind) {
    case FR_BOOL:
        return sqlite3_bind_int(stmt, at, v->boolean);
    case FR_INT32:
    case FR_INT64:
        return sqlite3_bind_int64(stmt, at, v->integer);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return sqlite3_bind_double(stmt, at, v->real);
    case FR_DECIMAL:
        return bind_decimal(stmt, at, &e->table->columns[column], v);
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        return bind_text(stmt, at, v->bytes);
    case FR_BYTES:
        if (v->bytes.len == 0)
            return sqlite3_bind_zeroblob(stmt, at, 0);
        return sqlite3_bind_blob64(stmt, at, v->bytes.ptr, v->bytes.len, SQLITE_STATIC);
    case FR_DATE:
        return bind_text(stmt, at, fr_date_text(a, v->integer));
    case FR_TIME:
        return bind_text(stmt, at, fr_time_of_day_text(a, v->integer));
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return bind_text(stmt, at, moment(a, v->integer));
    default:
        return sqlite3_bind_null(stmt, at);
    }
}

/* dec_cmp('column', '12.5'): -1, 0, 1, or NULL. */
static void dec_cmp(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    fr_sandbox *s = sqlite3_user_data(context);
    const fr_expr *e = s->running;
    (void)count;
    const char *name = (const char *)sqlite3_value_text(arguments[0]);
    fr_str other = {(const char *)sqlite3_value_text(arguments[1]), 0};
    other.len = (size_t)sqlite3_value_bytes(arguments[1]);
    if (e == NULL || e->values == NULL || name == NULL || other.ptr == NULL)
        return; /* NULL */
    int column = fr_table_find(e->table, fr_cstr(name));
    const fr_value *v = column < 0 ? NULL : &e->values[column];
    int result;
    if (v == NULL || v->kind <= FR_NULL)
        return;
    if (fr_dec_cmp(s->scratch, &e->table->columns[column], v, other, &result))
        sqlite3_result_int(context, result);
    else
        sqlite3_result_error(context, "not a decimal", -1);
}

static fr_rc no_result(const fr_sandbox *s, int rc, fr_err *err)
{
    if (s->asked_time) {
        fr_fail(err, FR_ERR_DATA, "it asks for the time of the evaluation");
        fr_fail_code(err, "function");
        return fr_fail_hint(err, "use the row's own columns");
    }
    const char *why = rc == SQLITE_TOOBIG ? "a text in it becomes too long"
                      : rc == SQLITE_INTERRUPT
                          ? "it takes too much work"
                          : "it has no result: malformed JSON, an integer "
                            "beyond 64 bits, or an argument of dec_cmp that is "
                            "no decimal";
    fr_fail(err, FR_ERR_DATA, "%s", why);
    fr_fail_code(err, "failed");
    return fr_fail_hint(err, "write it so that such rows have a result: CASE WHEN json_valid(x) "
                             "THEN ... END");
}

static void take_result(sqlite3_stmt *stmt, fr_result *out)
{
    switch (sqlite3_column_type(stmt, 0)) {
    case SQLITE_INTEGER:
        *out = (fr_result){.kind = FR_RESULT_INTEGER, .integer = sqlite3_column_int64(stmt, 0)};
        return;
    case SQLITE_FLOAT:
        *out = (fr_result){.kind = FR_RESULT_REAL, .real = sqlite3_column_double(stmt, 0)};
        return;
    case SQLITE_TEXT:
        out->kind = FR_RESULT_TEXT;
        out->bytes.ptr = (const char *)sqlite3_column_text(stmt, 0);
        break;
    case SQLITE_BLOB:
        out->kind = FR_RESULT_BLOB;
        out->bytes.ptr = sqlite3_column_blob(stmt, 0);
        break;
    default:
        out->kind = FR_RESULT_NULL;
        return;
    }
    out->bytes.len = (size_t)sqlite3_column_bytes(stmt, 0);
}

fr_rc fr_expr_run(fr_expr *e, const fr_value *values, fr_result *out, fr_err *err)
{
    static const fr_value null = {.kind = FR_NULL};
    fr_sandbox *s = e->sandbox;
    sqlite3_reset(e->stmt);
    if (fr_arena_used(s->scratch) > 0)
        fr_arena_reset(s->scratch);
    s->ticks = 0;
    s->asked_time = false;
    for (size_t i = 0; i < e->bound; i++) {
        const fr_value *v = values == NULL ? &null : &values[e->columns[i]];
        int rc = bind(e, (int)i + 1, e->columns[i], v);
        if (rc != SQLITE_OK)
            return no_result(s, rc, err);
    }
    e->values = values;
    s->running = e;
    int rc = sqlite3_step(e->stmt);
    s->running = NULL;
    if (rc != SQLITE_ROW || s->asked_time)
        return no_result(s, sqlite3_errcode(s->db), err);
    take_result(e->stmt, out);
    return FR_OK;
}
