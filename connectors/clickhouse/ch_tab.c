#include "clickhouse/ch_tab.h"
#include "clickhouse/ch_http.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20 }; /* of a row */

static fr_rc bad_reply(const char *why, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT, "the reply is not what was asked for: %s", why);
    return fr_fail_code(err, "ch.reply");
}

/* In place: what is meant is never longer than how it is written. */
static fr_str meant(char *text, size_t len)
{
    size_t n = 0;
    if (len == 2 && memcmp(text, "\\N", 2) == 0)
        return (fr_str){NULL, 0};
    for (size_t i = 0; i < len; i++) {
        bool escape = text[i] == '\\' && i + 1 < len;
        i += escape ? 1 : 0;
        text[n++] = escape ? fr_ch_escaped(text[i]) : text[i];
    }
    return (fr_str){text, n};
}

static void count_columns(fr_ch_tab *t, const char *line, size_t len)
{
    t->columns = 1;
    for (size_t i = 0; i < len; i++)
        t->columns += line[i] == '\t' ? 1 : 0;
    t->cells = fr_malloc(t->columns * sizeof(*t->cells));
}

static fr_rc give_row(fr_ch_tab *t, char *line, size_t len, fr_err *err)
{
    size_t count = 0;
    bool more = true;
    char *at = line, *end = line + len;
    if (t->columns == 0)
        count_columns(t, line, len);
    while (more && count < t->columns) {
        char *tab = memchr(at, '\t', (size_t)(end - at));
        more = tab != NULL;
        t->cells[count++] = meant(at, (size_t)((more ? tab : end) - at));
        at = more ? tab + 1 : end;
    }
    if (more || count < t->columns)
        return bad_reply("a row has not as many values as the first", err);
    return t->each(t->context, t->cells, count, err);
}

fr_rc fr_ch_tab_feed(fr_ch_tab *t, fr_str bytes, fr_err *err)
{
    size_t from = t->rest.len, begin = 0;
    fr_buf_put(&t->rest, bytes.ptr, bytes.len);
    char *all = (char *)t->rest.ptr, *end;
    while (from < t->rest.len && (end = memchr(all + from, '\n', t->rest.len - from)) != NULL) {
        FR_TRY(give_row(t, all + begin, (size_t)(end - all) - begin, err));
        begin = from = (size_t)(end - all) + 1;
    }
    t->rest.len -= begin;
    if (begin > 0 && t->rest.len > 0)
        memmove(all, all + begin, t->rest.len);
    return t->rest.len > MOST_BYTES ? bad_reply("a row is too long", err) : FR_OK;
}

fr_rc fr_ch_tab_end(const fr_ch_tab *t, fr_err *err)
{
    return t->rest.len == 0 ? FR_OK : bad_reply("it ends within a row", err);
}

void fr_ch_tab_free(fr_ch_tab *t)
{
    fr_buf_free(&t->rest);
    free(t->cells);
    t->cells = NULL;
}
