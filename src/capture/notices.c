/* Notices of schema changes (codec/notice.c) go with the rows that they are about; rows do not wait
 * for a topic that only people read. */
#include "capture/internal.h"

bool notices_is(const fr_capture *c, const fr_batch *b, const fr_message *m)
{
    return b->notices > 0 && fr_str_eq(m->topic, c->encoding.notices);
}

static fr_rc look(fr_capture *c, notices_state *state, fr_err *err)
{
    int32_t partitions;
    if (fr_publisher_topic(c->publisher, c->encoding.notices, &partitions, err) == FR_OK) {
        *state = NOTICES_GO;
        return FR_OK;
    }
    if (err->kind != FR_ERR_CONFIG && err->kind != FR_ERR_AUTH && err->kind != FR_ERR_POSITION)
        return FR_FAIL;
    *state = NOTICES_CANNOT;
    fr_log(FR_LOG_WARN, c->who, "no notices are published: %s -> %s", err->text, err->hint);
    return FR_OK;
}

static fr_rc produce(fr_capture *c, fr_batch *b, size_t first, size_t last, size_t *failed,
                     fr_err *err)
{
    return first == last ? FR_OK : fr_publisher_produce(c->publisher, b, first, last, failed, err);
}

fr_rc notices_produce(fr_capture *c, notices_state *state, fr_batch *b, size_t first, size_t last,
                      size_t *failed, fr_err *err)
{
    if (b->notices > 0 && *state == NOTICES_UNKNOWN)
        FR_TRY(look(c, state, err));
    for (size_t i = first; b->notices > 0 && *state == NOTICES_CANNOT && i < last; i++) {
        if (!notices_is(c, b, &b->messages[i]))
            continue;
        FR_TRY(produce(c, b, first, i, failed, err));
        first = i + 1;
    }
    return produce(c, b, first, last, failed, err);
}
