/* freshet dlq: which letters the words mean, and which are read whole. */
#include "cli/dlq.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Which letters fr_dlq_read keeps whole. */
bool fr_dlq_wanted(void *context, const fr_letter *l)
{
    const fr_dlq_ask *ask = context;
    if (ask->wanted == NULL)
        return ask->by_id && l->partition == ask->id_partition && l->offset == ask->id_offset;
    if (ask->whole_of == NULL || l->source != ask->whole_source ||
        !fr_str_is(l->part, ask->whole_of))
        return false;
    if (ask->untold)
        return l->version < 2;
    fr_arena *a = fr_arena_new(512);
    bool wanted = fr_map_get(ask->wanted, fr_letter_group(a, l)) != NULL;
    fr_arena_free(a);
    return wanted;
}

fr_str fr_dlq_id(const fr_dlq_ask *ask, fr_arena *a, const fr_letter *l)
{
    return ask->place_count > 1 ? fr_arena_printf(a, "%.*s/%d@%" PRId64, FR_ARG(l->place),
                                                  (int)l->partition, l->offset)
                                : fr_arena_printf(a, "%d@%" PRId64, (int)l->partition, l->offset);
}

fr_rc fr_dlq_read_id(fr_dlq_ask *ask, const char *id, fr_err *err)
{
    const char *slash = strrchr(id, '/'), *number = slash == NULL ? id : slash + 1;
    char *end = NULL;
    ask->id_place = (fr_str){id, slash == NULL ? 0 : (size_t)(slash - id)};
    errno = 0;
    ask->id_partition = strtoll(number, &end, 10);
    bool good = end != number && *end == '@' && end[1] >= '0' && end[1] <= '9';
    if (good)
        ask->id_offset = strtoll(end + 1, &end, 10);
    ask->by_id = good && *end == '\0' && errno == 0;
    if (ask->by_id && (slash != NULL || ask->place_count <= 1))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            ask->by_id ? "there are several topics of dead letters: which one is `%s` of?"
                       : "`%s` is no letter",
            id);
    fr_fail_code(err, "dlq.id");
    return fr_fail_hint(err, "write %sPARTITION@OFFSET, as freshet dlq list shows it",
                        ask->place_count > 1 ? "TOPIC/" : "");
}

static bool of_topics(const fr_dlq_ask *ask, const fr_letter *l)
{
    bool any = ask->topics == NULL;
    for (size_t i = 0; i < ask->topic_count && !any; i++)
        any = fr_str_is(l->topic, ask->topics[i]);
    return any;
}

bool fr_dlq_matches(const fr_dlq_ask *ask, const fr_letter *l)
{
    if (ask->by_id && (l->partition != ask->id_partition || l->offset != ask->id_offset ||
                       (ask->id_place.len > 0 && !fr_str_eq(l->place, ask->id_place))))
        return false;
    bool part = (ask->source == NULL && ask->sink == NULL) ||
                (l->source ? ask->source != NULL && fr_str_is(l->part, ask->source)
                           : ask->sink != NULL && fr_str_is(l->part, ask->sink));
    return part && of_topics(ask, l);
}
