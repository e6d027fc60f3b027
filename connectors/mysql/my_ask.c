/* Statements and their answers, which are bounded. */
#include "connectors/mysql/my_conn.h"
#include <errno.h>
#include <ma_pvio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A catalog of a million columns has its place here. What is larger is no answer of a server that
 * means well, and would fill our memory. */
#define ANSWER_MAX ((size_t)512 << 20)

/* Of what columns a result has: there can be 4096. */
#define COLUMNS_MAX ((size_t)16 << 20)

/* The library reads what columns a result has until all have come, which a server need never say.
 * So its reads are counted while it does; not those of TLS, where a server is known. */
struct fr_my_limit {
    PVIO_METHODS methods; /* the library's, but for read; first: found by its address */
    PVIO_METHODS *theirs;
    size_t left;
};

static ssize_t limited_read(MARIADB_PVIO *pvio, uchar *buffer, size_t length)
{
    struct fr_my_limit *l = (struct fr_my_limit *)pvio->methods;
    if (l->left == 0) {
        errno = EMSGSIZE;
        return -1;
    }
    ssize_t n = l->theirs->read(pvio, buffer, length);
    if (l->left != SIZE_MAX && n > 0)
        l->left -= (size_t)n < l->left ? (size_t)n : l->left;
    return n;
}

void fr_my_limit_answers(fr_my *my)
{
    MARIADB_PVIO *pvio = my->mysql->net.pvio;
    if (pvio == NULL)
        return;
    my->limit = fr_malloc(sizeof(*my->limit));
    my->limit->theirs = pvio->methods;
    my->limit->methods = *pvio->methods;
    my->limit->methods.read = limited_read;
    my->limit->left = SIZE_MAX;
    pvio->methods = &my->limit->methods;
}

/* Cells grow on the heap: how many rows come is not known. */
typedef struct answer {
    fr_str *cells;
    size_t count, cap, bytes;
} answer;

static void take_row(answer *w, fr_arena *a, MYSQL_RES *res, MYSQL_ROW row, size_t columns)
{
    const unsigned long *lengths = mysql_fetch_lengths(res);
    if (w->count + columns > w->cap) {
        w->cap = w->cap * 2 + columns;
        w->cells = fr_realloc(w->cells, w->cap * sizeof(*w->cells));
    }
    for (size_t i = 0; i < columns; i++) {
        bool null = row[i] == NULL;
        w->cells[w->count++] = null ? (fr_str){0} : fr_arena_copy(a, row[i], lengths[i]);
    }
}

/* Also what is not wanted has to be read before the next statement. */
static size_t bytes_of(MYSQL_RES *res, size_t columns)
{
    const unsigned long *lengths = mysql_fetch_lengths(res);
    size_t bytes = 64 + columns * sizeof(fr_str);
    for (size_t i = 0; lengths != NULL && i < columns; i++)
        bytes += lengths[i];
    return bytes;
}

static fr_rc too_much(fr_my *my, const char *doing, const char *what, fr_err *err)
{
    /* Else freeing the result reads the rest, which may have no end. */
    shutdown((int)mysql_get_socket(my->mysql), SHUT_RDWR);
    fr_fail(err, FR_ERR_CONFIG, "%s: %s", doing, what);
    fr_fail_code(err, "my.answer_large");
    return fr_fail_hint(err, "is it really a MySQL or MariaDB that the dsn names? Or are there "
                             "too many tables and columns for one source: select fewer");
}

/* The rows of the result at hand; a NULL: they are only counted. */
static fr_rc take_rows(fr_my *my, fr_arena *a, const char *doing, MYSQL_RES *res, fr_my_rows *out,
                       fr_err *err)
{
    answer w = {.count = 0};
    size_t columns = mysql_num_fields(res);
    fr_rc rc = FR_OK;
    MYSQL_ROW row;
    while (rc == FR_OK && (row = mysql_fetch_row(res)) != NULL) {
        w.bytes += bytes_of(res, columns);
        if (w.bytes > ANSWER_MAX)
            rc = too_much(my, doing, "the server's answer is larger than 512 MiB", err);
        else if (a != NULL)
            take_row(&w, a, res, row, columns);
    }
    if (rc == FR_OK && mysql_errno(my->mysql) != 0)
        rc = fr_my_fail(my, doing, err);
    if (rc == FR_OK && a != NULL) {
        fr_str *cells = fr_arena_alloc(a, w.count * sizeof(*cells) + 1);
        if (w.count > 0)
            memcpy(cells, w.cells, w.count * sizeof(*cells));
        *out = (fr_my_rows){columns > 0 ? w.count / columns : 0, columns, cells};
    }
    free(w.cells);
    return rc;
}

static fr_rc take_result(fr_my *my, fr_arena *a, const char *doing, fr_my_rows *out, fr_err *err)
{
    MYSQL_RES *res = mysql_use_result(my->mysql);
    if (res == NULL)
        return mysql_errno(my->mysql) != 0 ? fr_my_fail(my, doing, err) : FR_OK;
    fr_rc rc = take_rows(my, a, doing, res, out, err);
    mysql_free_result(res);
    return rc;
}

/* Asks, and reads which columns the first answer has. */
static fr_rc ask(fr_my *my, const char *doing, fr_str sql, fr_err *err)
{
    if (my->limit != NULL)
        my->limit->left = COLUMNS_MAX;
    int failed = mysql_real_query(my->mysql, sql.ptr, sql.len);
    bool spent = my->limit != NULL && my->limit->left == 0;
    if (my->limit != NULL)
        my->limit->left = SIZE_MAX;
    if (spent)
        return too_much(my, doing, "the server's answer has no end of columns", err);
    return failed != 0 ? fr_my_fail(my, doing, err) : FR_OK;
}

fr_rc fr_my_query(fr_my *my, fr_arena *a, const char *doing, const char *sql, fr_my_rows *out,
                  fr_err *err)
{
    fr_my_rows rows = {0};
    FR_TRY(ask(my, doing, fr_cstr(sql), err));
    FR_TRY(take_result(my, a, doing, &rows, err));
    *out = rows;
    return FR_OK;
}

fr_rc fr_my_exec(fr_my *my, const char *doing, fr_str sql, fr_err *err)
{
    FR_TRY(ask(my, doing, sql, err));
    int more = 0;
    for (size_t results = 0; more == 0; results++) {
        if (results > sql.len)
            return too_much(my, doing, "more answers than there can be statements", err);
        FR_TRY(take_result(my, NULL, doing, NULL, err));
        more = mysql_next_result(my->mysql);
    }
    return more > 0 ? fr_my_fail(my, doing, err) : FR_OK;
}

fr_str fr_my_text(const fr_my_rows *rows, size_t row, size_t column)
{
    if (row >= rows->count || column >= rows->columns)
        return FR_STR("");
    fr_str s = rows->cells[row * rows->columns + column];
    return s.ptr != NULL ? s : FR_STR("");
}

bool fr_my_null(const fr_my_rows *rows, size_t row, size_t column)
{
    return row >= rows->count || column >= rows->columns ||
           rows->cells[row * rows->columns + column].ptr == NULL;
}

uint64_t fr_my_uint(const fr_my_rows *rows, size_t row, size_t column, uint64_t fallback)
{
    fr_str s = fr_my_text(rows, row, column);
    char text[32], *end = NULL;
    if (s.len == 0 || s.len >= sizeof(text) || s.ptr[0] < '0' || s.ptr[0] > '9')
        return fallback;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    unsigned long long n = strtoull(text, &end, 10);
    return *end == '\0' ? n : fallback;
}

fr_rc fr_my_variable(fr_my *my, fr_arena *a, const char *name, fr_str *out, fr_err *err)
{
    char sql[160];
    snprintf(sql, sizeof(sql), "SHOW GLOBAL VARIABLES LIKE '%s'", name);
    fr_my_rows rows = {0};
    FR_TRY(fr_my_query(my, a, "read the server's settings", sql, &rows, err));
    *out = fr_my_text(&rows, 0, 1);
    return FR_OK;
}
