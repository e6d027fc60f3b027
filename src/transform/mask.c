#include "transform/mask.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH = 32, KEEP_MOST = 64 };
#define STARS "***"

bool fr_mask_parse(const char *text, fr_mask *out)
{
    static const char *const words[] = {
        [FR_MASK_HASH] = "hash", [FR_MASK_REDACT] = "redact", [FR_MASK_NULL] = "null"};
    int end = 0;
    for (fr_mask_kind k = FR_MASK_HASH; k <= FR_MASK_NULL; k++) {
        if (strcmp(text, words[k]) == 0) {
            *out = (fr_mask){k, 0};
            return true;
        }
    }
    *out = (fr_mask){FR_MASK_KEEP, 0};
    return sscanf(text, "keep_last: %4u%n", &out->keep, &end) == 1 && text[end] == '\0' &&
           out->keep > 0 && out->keep <= KEEP_MOST;
}

const char *fr_mask_refused(const fr_mask *m, fr_kind kind)
{
    if (kind == FR_TEXT || m->kind == FR_MASK_HASH || m->kind == FR_MASK_NULL)
        return NULL;
    return "only texts can be shown in part: use hash or null";
}

void fr_mask_column(const fr_mask *m, fr_column *c)
{
    c->fallback = FR_STR("");
    if (m->kind == FR_MASK_NULL) {
        c->nullable = true;
        c->may_be_absent = false;
        return;
    }
    c->kind = FR_TEXT;
    c->span = false;
    c->precision = c->scale = 0;
}

/* ---- hashes ---- */

struct fr_hasher {
    EVP_MAC *mac;
    EVP_MAC_CTX *context; /* keyed */
};

fr_rc fr_hasher_open(const char *key, fr_hasher **out, fr_err *err)
{
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    fr_hasher *h = fr_malloc(sizeof *h);
    h->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    h->context = h->mac == NULL ? NULL : EVP_MAC_CTX_new(h->mac);
    if (h->context != NULL &&
        EVP_MAC_init(h->context, (const unsigned char *)key, strlen(key), parameters) == 1) {
        *out = h;
        return FR_OK;
    }
    fr_hasher_close(h);
    return fr_fail(err, FR_ERR_BUG, "OpenSSL has no HMAC-SHA256");
}

void fr_hasher_close(fr_hasher *h)
{
    if (h == NULL)
        return;
    EVP_MAC_CTX_free(h->context);
    EVP_MAC_free(h->mac);
    free(h);
}

static fr_rc hash(fr_hasher *h, fr_arena *a, fr_str text, fr_str *out, fr_err *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[HASH];
    size_t len = 0;
    /* Without a key: the one it has, from its beginning. */
    if (EVP_MAC_init(h->context, NULL, 0, NULL) != 1 ||
        EVP_MAC_update(h->context, (const unsigned char *)text.ptr, text.len) != 1 ||
        EVP_MAC_final(h->context, sum, &len, sizeof sum) != 1 || len != HASH)
        return fr_fail(err, FR_ERR_BUG, "a value cannot be hashed");
    char *hex = fr_arena_raw(a, (size_t)2 * HASH);
    for (size_t i = 0; i < HASH; i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    *out = (fr_str){hex, (size_t)2 * HASH};
    return FR_OK;
}

/* A text that is not longer than what would be kept shows nothing. */
static fr_str last_of(fr_arena *a, fr_str text, unsigned keep)
{
    size_t at = text.len;
    for (unsigned n = 0; n < keep && at > 0; n++)
        do
            at--;
        while (at > 0 && ((unsigned char)text.ptr[at] & 0xC0) == 0x80);
    if (at == 0)
        return FR_STR(STARS);
    return fr_arena_printf(a, STARS "%.*s", (int)(text.len - at), text.ptr + at);
}

fr_rc fr_mask_value(const fr_mask *m, fr_hasher *h, fr_arena *a, const fr_column *c, fr_value *v,
                    fr_err *err)
{
    fr_str masked = FR_STR(STARS);
    if (m->kind == FR_MASK_NULL)
        *v = (fr_value){.kind = FR_NULL};
    if (m->kind == FR_MASK_NONE || v->kind <= FR_NULL)
        return FR_OK;
    if (m->kind == FR_MASK_HASH)
        FR_TRY(hash(h, a, fr_value_text(a, c, v), &masked, err));
    if (m->kind == FR_MASK_KEEP)
        masked = last_of(a, v->bytes, m->keep);
    *v = (fr_value){.kind = FR_TEXT, .bytes = masked};
    return FR_OK;
}
