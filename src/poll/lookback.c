#include "poll/lookback.h"
#include "poll/compare.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { SECOND_US = 1000000, FOUR = 4, THREE = 3 };
enum { UNMET, MET, FINAL }; /* of a known one */

void fr_lookback_free(fr_lookback *l)
{
    for (size_t i = 0; i < FR_POLL_ORDER_MAX; i++)
        fr_buf_free(&l->at[i]);
    free(l->known);
    free(l->state);
    free(l->fresh);
    *l = (fr_lookback){0};
}

void fr_lookback_state(fr_sql_state *s, int64_t lookback_us)
{
    s->oldest_us = s->now_us - lookback_us;
    s->prepared_us = INT64_MAX;
}

/* ---- where a round begins ---- */

static void set_at(fr_lookback *l, size_t i, fr_str text)
{
    l->at[i].len = 0;
    fr_buf_str(&l->at[i], text);
}

void fr_lookback_keep(fr_lookback *l, const fr_poll_record *r)
{
    for (size_t i = 0; i < r->at_count; i++)
        set_at(l, i, r->at[i]);
    l->at_count = r->at_count;
    l->cursor = r->cursor;
}

void fr_lookback_keep_time(fr_lookback *l, fr_str text, int64_t us)
{
    set_at(l, 0, text);
    l->at_count = 1;
    l->cursor = us;
}

void fr_lookback_place(const fr_lookback *l, fr_poll_record *r)
{
    for (size_t i = 0; i < l->at_count; i++)
        r->at[i] = fr_buf_view(&l->at[i]);
    r->at_count = l->at_count;
    r->cursor = l->cursor;
}

/* What is stamped after the clock was set back lies at most so far below what it showed before. As
 * long as that is not below the place, it is read in any case. */
bool fr_lookback_set_back(const fr_lookback *l, int64_t server_us, int64_t passed_us,
                          int64_t now_us, int64_t *low_us)
{
    int64_t back = server_us == 0 ? 0 : server_us + passed_us - now_us;
    if (back <= SECOND_US || l->at_count == 0)
        return false;
    *low_us = server_us - back - SECOND_US;
    return *low_us < l->cursor;
}

/* ---- what is known ---- */

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, FR_LOOKBACK_PRINT);
}

static void make_room(fr_print **list, size_t count, size_t *cap)
{
    if (count <= *cap)
        return;
    *cap = count + count / 2 + 64;
    *list = fr_realloc(*list, *cap * sizeof(**list));
}

/* The fresh ones are known from now on, too. */
static void take_fresh(fr_lookback *l)
{
    make_room(&l->known, l->known_count + l->fresh_count + 1, &l->known_cap);
    if (l->fresh_count > 0)
        memcpy(l->known + l->known_count, l->fresh, l->fresh_count * sizeof(*l->fresh));
    l->known_count += l->fresh_count;
    l->fresh_count = l->met = 0;
    l->unmet = l->known_count;
    qsort(l->known, l->known_count, sizeof(*l->known), by_bytes);
    l->state = fr_realloc(l->state, l->known_count + 1);
    memset(l->state, UNMET, l->known_count + 1);
}

void fr_lookback_begin(fr_lookback *l, int64_t final_us)
{
    take_fresh(l);
    l->final_us = final_us;
    l->full = false;
}

fr_lookback_row fr_lookback_take(fr_lookback *l, int64_t at_us, const fr_print *print)
{
    bool final = at_us <= l->final_us;
    const fr_print *found =
        l->known_count == 0 ? NULL
                            : bsearch(print, l->known, l->known_count, sizeof(*l->known), by_bytes);
    if (found != NULL) {
        uint8_t *state = &l->state[found - l->known];
        if (*state == UNMET) {
            l->unmet--;
            l->met += !final;
            *state = final ? FINAL : MET;
        }
        return FR_LOOKBACK_REPEAT;
    }
    if (final)
        return FR_LOOKBACK_NEW; /* it is not read again */
    if (l->fresh_count + l->met + l->unmet >= FR_LOOKBACK_MAX) {
        l->full = true;
        return FR_LOOKBACK_LEFT;
    }
    make_room(&l->fresh, l->fresh_count + 1, &l->fresh_cap);
    l->fresh[l->fresh_count++] = *print;
    return FR_LOOKBACK_NEW;
}

void fr_lookback_end(fr_lookback *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->known_count; i++)
        if (l->state[i] == MET)
            l->known[kept++] = l->known[i];
    l->known_count = kept;
    take_fresh(l);
}

void fr_lookback_forget(fr_lookback *l)
{
    l->known_count = l->fresh_count = l->unmet = l->met = 0;
}

void fr_lookback_print(const fr_event *e, fr_print *out)
{
    fr_buf b = {0};
    unsigned char digest[EVP_MAX_MD_SIZE];
    fr_row_pack(&b, e);
    fr_buf_str(&b, e->bad);
    if (EVP_Digest(b.ptr, b.len, digest, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* without memory only */
    memcpy(out->bytes, digest, sizeof(out->bytes));
    fr_buf_free(&b);
}

/* ---- the record ---- */

static void put_prints(fr_buf *b, const fr_print *prints, size_t count)
{
    size_t bytes = count * sizeof(*prints);
    if (bytes > 0)
        b->len += (size_t)EVP_EncodeBlock(fr_buf_room(b, bytes / THREE * FOUR + 1), prints->bytes,
                                          (int)bytes);
}

/* A print is three bytes four times, so that nothing is filled up. */
fr_str fr_lookback_text(fr_arena *a, const fr_lookback *l)
{
    fr_buf b = {.arena = a};
    put_prints(&b, l->known, l->known_count);
    put_prints(&b, l->fresh, l->fresh_count);
    return fr_buf_view(&b);
}

bool fr_lookback_parse(fr_str text, fr_lookback *l)
{
    enum { CHARS = FR_LOOKBACK_PRINT / THREE * FOUR };
    size_t count = text.len / CHARS;
    if (text.len % CHARS != 0 || count > (size_t)2 * FR_LOOKBACK_MAX ||
        memchr(text.ptr == NULL ? "" : text.ptr, '=', text.len) != NULL)
        return false;
    make_room(&l->fresh, count + 1, &l->fresh_cap);
    if (count > 0 && EVP_DecodeBlock(l->fresh->bytes, (const unsigned char *)text.ptr,
                                     (int)text.len) != (int)(count * sizeof(fr_print)))
        return false;
    l->known_count = 0;
    l->fresh_count = count;
    take_fresh(l);
    return true;
}
