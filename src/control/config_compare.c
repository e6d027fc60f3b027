/* Tables that are compared with what was published of them (method snapshot, poll.deletes
 * full-compare): what they need, and what does not go with it. */
#include "control/config_load.h"

/* A table that is read whole has no cursor. */
static void check_whole(fr_loader *l, const fr_scope *s)
{
    static const char *const keys[] = {"poll.column",        "poll.tiebreak",     "poll.batch",
                                       "poll.max_skew",      "poll.timezone",     "poll.deletes",
                                       "poll.delete_column", "poll.compare_every"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (fr_scope_set_by(s, keys[i]) != NULL)
            fr_scope_refuse(l, s, "config.conflict", keys[i],
                            "method snapshot reads all of the table, and finds deletes by itself",
                            "remove it, or set method: query");
    if (fr_scope_set_by(s, "poll.every") == NULL)
        fr_scope_refuse(l, s, "config.missing", "poll.every", "method snapshot needs poll.every",
                        "say how often all of the table may be read: poll: {every: 1h}");
}

void fr_compare_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t)
{
    if (t->method == FR_METHOD_SNAPSHOT)
        check_whole(l, s);
    else if ((t->method == FR_METHOD_QUERY || t->method == FR_METHOD_TRIGGER) &&
             t->poll_deletes != 2 && fr_scope_set_by(s, "poll.compare_every") != NULL)
        fr_scope_refuse(l, s, "config.conflict", "poll.compare_every",
                        "nothing is compared while poll.deletes is not full-compare",
                        "set poll.deletes: full-compare, or remove it");
    if (!fr_table_compared(t))
        return;
    if (t->append_only)
        fr_scope_refuse(l, s, "config.conflict", "append_only",
                        "rows without a key cannot be compared with what was published of them",
                        "remove it, and name the key");
    if (t->errors_mode == FR_ERRORS_DLQ)
        fr_scope_refuse(
            l, s, "config.not_built", "errors.mode",
            "a row that was set aside is not in its topic, and would be found missing there "
            "with each comparison",
            "use block or stop");
}
