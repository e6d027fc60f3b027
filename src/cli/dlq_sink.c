/* freshet dlq retry|drop of a sink's letters. The partition is claimed first (R30), so that a sink
 * that runs loses its open transaction and asks anew which keys are parked: nothing of the key can
 * overtake. Its messages, what releases the key and the proof that the claim still holds are one
 * transaction of the target; the marks follow it, and say nothing that the target does not know. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "cli/dlq.h"
#include "codec/decode.h"
#include "kafka/dlq.h"
#include "transform/shape.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROUNDS = 20, FIRST_WAIT_US = 100000, MOST_WAIT_US = 3000000, AT_ONCE = 256 };
enum { BATCH_BYTES = 4 << 20 };

typedef struct claim_round { /* one claim of all, and what was done under it */
    fr_dlq_ask *ask;
    const fr_sink_settings *settings;
    const fr_sink_ops *ops;
    fr_arena *a;
    fr_sink *sink;
    fr_registry *registry;
    fr_decoder *decoder;
    fr_shaper *shaper;
    fr_dlq *dlq;
    fr_batch *b;
    fr_offsets claims;
    fr_map *parked; /* topic NUL key -> the round */
    fr_letters *letters;
    fr_dlq_group *groups;
    size_t group_count;
} claim_round;

static fr_rc target_name(void *context, fr_arena *a, fr_str topic, fr_str *space_out,
                         fr_str *name_out, fr_err *err)
{
    return fr_sink_target(((claim_round *)context)->settings, a, topic, space_out, name_out, err);
}

static fr_str parked_name(fr_arena *a, fr_str topic, fr_str key)
{
    fr_buf b = {.arena = a};
    fr_buf_str(&b, topic);
    fr_buf_u8(&b, 0);
    fr_buf_str(&b, key);
    return fr_buf_view(&b);
}

/* ---- a round ---- */

static void end_round(claim_round *r)
{
    fr_dlq_close(r->dlq);
    fr_batch_free(r->b);
    fr_decoder_free(r->decoder);
    fr_shaper_free(r->shaper);
    if (r->sink != NULL)
        r->ops->close(r->sink);
    fr_registry_close(r->registry);
    fr_map_free(r->parked, NULL);
    fr_dlq_groups_free(r->groups, r->group_count);
    fr_letters_free(r->letters);
    fr_arena_free(r->a);
}

static fr_offset *claimed(const claim_round *r, fr_str topic, int32_t partition)
{
    for (size_t i = 0; i < r->claims.count; i++)
        if (r->claims.items[i].partition == partition && fr_str_eq(r->claims.items[i].topic, topic))
            return &r->claims.items[i];
    return NULL;
}

/* Every partition that the wanted letters came from, and the keys that are parked of their
 * topics. */
static fr_rc claim_all(claim_round *r, fr_err *err)
{
    size_t most = 0;
    for (size_t g = 0; g < r->group_count; g++)
        most += r->groups[g].wanted ? r->groups[g].count : 0;
    r->claims.items = fr_arena_alloc(r->a, (most + 1) * sizeof(fr_offset));
    for (size_t g = 0; g < r->group_count; g++)
        for (size_t i = 0; r->groups[g].wanted && i < r->groups[g].count; i++) {
            const fr_letter *l = r->groups[g].letters[i];
            if (l->key.ptr != NULL && claimed(r, l->topic, l->from) == NULL)
                r->claims.items[r->claims.count++] =
                    (fr_offset){fr_arena_str(r->a, l->topic), l->from, -1, ""};
        }
    FR_TRY(r->ops->claim(r->sink, &r->claims, err));
    for (size_t i = 0; i < r->claims.count; i++) {
        fr_str topic = r->claims.items[i].topic, *keys;
        size_t count;
        FR_TRY(r->ops->parked(r->sink, r->a, topic, &keys, &count, err));
        for (size_t k = 0; k < count; k++)
            fr_map_set(r->parked, parked_name(r->a, topic, keys[k]), r);
    }
    return FR_OK;
}

static fr_rc read_letters(claim_round *r, fr_err *err)
{
    fr_letter **list;
    size_t count;
    fr_dlq_groups_free(r->groups, r->group_count);
    r->group_count = 0;
    r->groups = NULL;
    fr_letters_free(r->letters);
    r->letters = NULL;
    FR_TRY(fr_dlq_read(r->ask, true, &r->letters, &list, &count, err));
    r->group_count = fr_dlq_groups(r->ask, r->a, list, count, &r->groups);
    for (size_t g = 0; g < r->group_count; g++)
        r->groups[g].wanted = r->groups[g].wanted && !r->groups[g].letters[0]->source &&
                              fr_str_is(r->groups[g].letters[0]->part, r->settings->name);
    return FR_OK;
}

/* What was set aside before the claim is read after it: then nothing is missing. */
static fr_rc begin_round(claim_round *r, fr_err *err)
{
    r->a = fr_arena_new(0);
    r->parked = fr_map_new();
    r->b = fr_batch_new(AT_ONCE, BATCH_BYTES);
    FR_TRY(fr_registry_open(&r->ask->config->registry, &r->registry, err));
    r->decoder = fr_decoder_new(r->registry, r->settings->max_row_bytes, target_name, r);
    r->shaper = fr_shaper_new(r->settings);
    FR_TRY(fr_dlq_open(&r->ask->config->kafka, r->settings->errors_topic, &r->dlq, err));
    FR_TRY(read_letters(r, err));
    FR_TRY(r->ops->open(r->settings, &r->sink, err));
    FR_TRY(claim_all(r, err));
    return read_letters(r, err);
}

/* ---- one key ---- */

/* The letters of the key as it is parked now: [*from, *to) of the group. Those before are of a time
 * when it was parked before, or of a transaction of the target that was lost and read again; those
 * behind of one that is lost now, for we have claimed the partition. */
static void current(const claim_round *r, fr_dlq_group *g, size_t *from, size_t *to)
{
    size_t n = 0;
    for (size_t i = 0; i < g->count; i++) { /* of a repeat the newest counts */
        const fr_letter *l = g->letters[i];
        bool same = n > 0 && g->letters[n - 1]->from == l->from &&
                    g->letters[n - 1]->from_offset == l->from_offset;
        g->letters[same ? n - 1 : n++] = g->letters[i];
    }
    *from = *to = 0;
    for (size_t i = 0; i < n; i++) {
        const fr_letter *l = g->letters[i];
        const fr_offset *o = claimed(r, l->topic, l->from);
        if (o != NULL && l->from_offset < o->next)
            *to = i + 1;
    }
    for (size_t i = 0; i < *to; i++)
        if (!g->letters[i]->parked && g->letters[i]->version >= 2)
            *from = i;
}

static fr_rc gone(fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "the first letters of its key are gone by the topic's retention");
    fr_fail_code(err, "dlq.gone");
    return fr_fail_hint(err, "drop what is left of the key, and bring the row by a new snapshot");
}

static fr_rc sendable(const fr_dlq_group *g, size_t from, size_t to, fr_err *err)
{
    if (g->letters[from]->parked)
        return gone(err);
    for (size_t i = from; i < to; i++) {
        if (!g->letters[i]->kept) /* it would look like a delete */
            return fr_fail(err, FR_ERR_BUG, "a letter was read without its message");
        if (!g->letters[i]->cut)
            continue;
        fr_fail(err, FR_ERR_DATA,
                "a letter was cut, because it was too large: %.*s[%d] offset %" PRId64,
                FR_ARG(g->letters[i]->topic), (int)g->letters[i]->from, g->letters[i]->from_offset);
        fr_fail_code(err, "dlq.cut");
        return fr_fail_hint(err, "raise max.message.bytes of the topic of dead letters for the "
                                 "next ones; drop these, and bring the row by a new snapshot");
    }
    return FR_OK;
}

static fr_rc apply_batch(claim_round *r, fr_err *err)
{
    size_t applied = 0;
    fr_rc rc =
        r->b->count == 0 ? FR_OK : r->ops->apply(r->sink, r->b, 0, r->b->count, &applied, err);
    fr_batch_reset(r->b);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc decode_one(claim_round *r, const fr_letter *l, fr_err *err)
{
    fr_message *m = fr_batch_message(r->b);
    m->topic = l->topic;
    m->key = l->key;
    m->payload = l->payload;
    m->partition = l->from;
    m->offset = l->from_offset;
    m->timestamp_ms = l->timestamp_ms;
    m->headers = l->headers;
    m->header_count = l->header_count;
    size_t from = r->b->count;
    fr_rc rc = fr_decode(r->decoder, r->b, r->b->message_count - 1, err);
    if (rc == FR_FAIL)
        return fr_fail_in(err, "%.*s[%d] offset %" PRId64, FR_ARG(l->topic), (int)l->from,
                          l->from_offset);
    if (rc == FR_IDLE)
        r->b->message_count--;
    else
        FR_TRY(
            fr_shaper_apply(r->shaper, r->b, from, &r->b->messages[r->b->message_count - 1], err));
    return rc;
}

static fr_rc apply_letters(claim_round *r, const fr_dlq_group *g, size_t from, size_t to,
                           fr_err *err)
{
    fr_batch_reset(r->b);
    fr_decoder_rewind(r->decoder, g->letters[from]->topic);
    for (size_t i = from; i < to; i++) {
        fr_rc rc = decode_one(r, g->letters[i], err);
        if (rc == FR_IDLE) {
            FR_TRY(apply_batch(r, err));
            i--;
        }
        FR_TRY(rc);
    }
    return apply_batch(r, err);
}

/* The claim is proved for each partition that a letter came from. */
static fr_rc commit(claim_round *r, const fr_dlq_group *g, fr_err *err)
{
    fr_offset *items = fr_arena_alloc(r->a, g->count * sizeof(*items));
    fr_offsets o = {.items = items};
    for (size_t i = 0; i < r->claims.count; i++) {
        bool ours = false;
        for (size_t k = 0; k < g->count && !ours; k++)
            ours = g->letters[k]->from == r->claims.items[i].partition &&
                   fr_str_eq(g->letters[k]->topic, r->claims.items[i].topic);
        if (ours)
            items[o.count++] = r->claims.items[i];
    }
    return r->ops->commit(r->sink, &o, err);
}

static fr_rc put_mark(void *context, const fr_letter *first, fr_str value, const fr_header *headers,
                      size_t count, fr_err *err)
{
    claim_round *r = context;
    if (!fr_str_is(first->place, r->settings->errors_topic)) /* it had another one then */
        return fr_dlq_put_mark(r->ask, first, value, headers, count, err);
    return fr_dlq_mark(r->dlq, first->partition, first->key, value, headers, count, err);
}

static fr_rc mark(claim_round *r, fr_letter **letters, size_t count, fr_err *err)
{
    fr_rc rc = FR_FAILPOINT("dlq_before_mark")
                   ? fr_fail(err, FR_ERR_CONNECT, "failpoint dlq_before_mark")
                   : fr_dlq_marks(r->ask, r->a, letters, count, put_mark, r, err);
    if (rc == FR_OK)
        rc = fr_dlq_flush(r->dlq, err);
    if (rc == FR_FAIL)
        fr_fail_in(err, "the target has it, but the mark could not be written; try again, nothing "
                        "is applied twice");
    return rc;
}

/* A key by itself is at fault, and not the target or the way to it. */
static bool of_the_key(const fr_err *err)
{
    return err->kind == FR_ERR_DATA || err->kind == FR_ERR_CONFIG || err->kind == FR_ERR_SCHEMA ||
           err->kind == FR_ERR_POSITION;
}

static fr_rc refuse(claim_round *r, fr_dlq_group *g, fr_err *err)
{
    fr_err why = *err;
    if (!of_the_key(err))
        return FR_FAIL;
    FR_TRY(r->ops->rollback(r->sink, err));
    fr_map_remove(r->ask->wanted, g->name);
    return fr_dlq_refused(r->ask, g, &why);
}

static fr_rc release(claim_round *r, fr_dlq_group *g, size_t from, size_t to, fr_err *err)
{
    const fr_letter *l = g->letters[from];
    if (!r->ask->drop) {
        if (sendable(g, from, to, err) == FR_FAIL || apply_letters(r, g, from, to, err) == FR_FAIL)
            return FR_FAIL;
        if (FR_FAILPOINT("dlq_applied"))
            return fr_fail(err, FR_ERR_CONNECT, "failpoint dlq_applied");
    }
    FR_TRY(r->ops->unpark(r->sink, l->topic, l->key, err));
    return commit(r, g, err);
}

static fr_rc keyless(fr_err *err)
{
    fr_fail(err, FR_ERR_DATA,
            "a message without a key is not parked, and so nothing in the target "
            "would say that it was applied");
    fr_fail_code(err, "dlq.no_key");
    return fr_fail_hint(err, "bring it into the target by hand or publish it again, then: freshet "
                             "dlq drop ID");
}

static fr_rc not_kept(const claim_round *r, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "errors.mode of sink %s is not dlq any more", r->settings->name);
    fr_fail_code(err, "dlq.mode");
    return fr_fail_hint(err, "set it to dlq again, retry, and change it then");
}

/* A store without transactions: messages and the release of their key cannot be one act. */
static fr_rc not_one_act(const claim_round *r, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "sink %s: a sink of type %s cannot send messages again and release their key in one "
            "transaction",
            r->settings->name, r->ops->type);
    fr_fail_code(err, "dlq.sink");
    return fr_fail_hint(err, "release the key by hand, as docs/sinks/%s.md says, and ask again",
                        r->ops->type);
}

/* May this key's letters be released? */
static fr_rc may_release(const claim_round *r, fr_err *err)
{
    if (r->ops->unpark == NULL)
        return not_one_act(r, err);
    return r->ask->drop || r->settings->errors_mode == FR_ERRORS_DLQ ? FR_OK : not_kept(r, err);
}

/* Those that were committed in the target when we claimed it: of others it knows nothing. */
static size_t stored(const claim_round *r, const fr_dlq_group *g, fr_letter **out)
{
    size_t n = 0;
    for (size_t i = 0; i < g->count; i++) {
        const fr_offset *o = claimed(r, g->letters[i]->topic, g->letters[i]->from);
        if (o != NULL && g->letters[i]->from_offset < o->next)
            out[n++] = g->letters[i];
    }
    return n;
}

static fr_rc do_keyless(claim_round *r, fr_dlq_group *g, fr_err *err)
{
    if (!r->ask->drop) {
        (void)keyless(err);
        return refuse(r, g, err);
    }
    FR_TRY(mark(r, g->letters, g->count, err));
    fr_map_remove(r->ask->wanted, g->name);
    fr_dlq_settled(r->ask, g, g->count, false);
    return FR_OK;
}

/* Its key is parked, but not by these: they are of transactions of the target that were lost, and
 * what parked it is gone. A drop releases it; whatever comes of these messages is read again. */
static fr_rc do_lost(claim_round *r, fr_dlq_group *g, fr_err *err)
{
    const fr_letter *l = g->letters[0];
    if (may_release(r, err) == FR_FAIL || (!r->ask->drop && gone(err) == FR_FAIL) ||
        r->ops->unpark(r->sink, l->topic, l->key, err) == FR_FAIL || commit(r, g, err) == FR_FAIL)
        return refuse(r, g, err);
    fr_map_remove(r->ask->wanted, g->name);
    fr_dlq_settled(r->ask, g, g->count, false);
    return mark(r, g->letters, g->count, err);
}

static fr_rc do_group(claim_round *r, fr_dlq_group *g, fr_err *err)
{
    const fr_letter *first = g->letters[0];
    if (first->key.ptr == NULL)
        return do_keyless(r, g, err);
    fr_letter **marked = fr_arena_alloc(r->a, (g->count + 1) * sizeof(*marked));
    size_t count = stored(r, g, marked), from, to;
    bool parked = fr_map_get(r->parked, parked_name(r->a, first->topic, first->key)) != NULL;
    if (parked && count == 0)
        return do_lost(r, g, err);
    current(r, g, &from, &to);
    if (parked && (may_release(r, err) == FR_FAIL || release(r, g, from, to, err) == FR_FAIL))
        return refuse(r, g, err);
    fr_map_remove(r->ask->wanted, g->name);
    fr_dlq_settled(r->ask, g, parked ? to - from : count, !parked);
    return count == 0 ? FR_OK : mark(r, marked, count, err);
}

/* ---- all ---- */

static fr_rc do_round(claim_round *r, fr_err *err)
{
    FR_TRY(begin_round(r, err));
    for (size_t g = 0; g < r->group_count; g++)
        if (r->groups[g].wanted)
            FR_TRY(do_group(r, &r->groups[g], err));
    return FR_OK;
}

/* A running sink claims its partitions back: then what is left is claimed once more. */
fr_rc fr_dlq_do_sink(fr_dlq_ask *ask, size_t sink, fr_err *err)
{
    fr_backoff backoff = {.first_us = FIRST_WAIT_US, .max_us = MOST_WAIT_US};
    ask->whole_of = ask->drop ? NULL : ask->config->sinks[sink].name;
    ask->whole_source = ask->untold = false;
    for (size_t i = 1, before = 0;; i++) {
        claim_round r = {
            .ask = ask, .settings = &ask->config->sinks[sink], .ops = ask->config->sink_ops[sink]};
        fr_rc rc = do_round(&r, err);
        end_round(&r);
        bool again = rc == FR_FAIL && (err->kind == FR_ERR_FENCED || err->kind == FR_ERR_BUSY);
        if (!again || i == MOST_ROUNDS)
            return rc;
        if (ask->keys + ask->refused > before)
            i = 0;
        before = ask->keys + ask->refused;
        fr_sleep_us(fr_backoff_next(&backoff));
    }
}
