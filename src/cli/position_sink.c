/* freshet position set|reset SINK[/TOPIC]: where a sink goes on is kept in its target, beside the
 * rows. The partitions are claimed (R30), so that a sink that runs loses its next commit, claims
 * them back and reads from the new places. */
#include "base/clock.h"
#include "cli/position.h"
#include <inttypes.h>
#include <string.h>

typedef struct move {
    fr_cli *cli;
    const fr_config *config;
    const fr_sink_settings *settings;
    const fr_sink_ops *ops;
    fr_str topic;      /* empty: all that it reads */
    const char *where; /* beginning, end, here, or a time */
    bool timed;        /* a time: */
    int64_t time_ms;
    fr_offsets to; /* next -1: stays */
    size_t topics;
} move;

static bool is(const move *m, const char *where)
{
    return strcmp(m->where, where) == 0;
}

static fr_rc read_where(move *m, fr_err *err)
{
    if (is(m, "beginning") || is(m, "end") || is(m, "here"))
        return FR_OK;
    m->timed = fr_instant_parse(m->where, &m->time_ms);
    if (m->timed)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "--to %s is no place", m->where);
    fr_fail_code(err, "cli.bad_value");
    return fr_fail_hint(err, "beginning, end, here, or a time in UTC: 2026-01-31T23:59:00Z");
}

static fr_rc add_topic(move *m, fr_admin *admin, const char *topic, fr_err *err)
{
    fr_offsets o;
    fr_rc rc = is(m, "beginning") ? fr_admin_begins(admin, m->cli->arena, topic, &o, err)
               : m->timed         ? fr_admin_at(admin, m->cli->arena, topic, m->time_ms, &o, err)
                                  : fr_admin_ends(admin, m->cli->arena, topic, &o, err);
    if (rc != FR_OK)
        return rc;
    fr_offset *items = fr_arena_alloc(m->cli->arena, (m->to.count + o.count) * sizeof(*items));
    if (m->to.count > 0)
        memcpy(items, m->to.items, m->to.count * sizeof(*items));
    memcpy(items + m->to.count, o.items, o.count * sizeof(*items));
    m->to = (fr_offsets){items, m->to.count + o.count};
    m->topics++;
    return FR_OK;
}

static fr_rc no_topic(const move *m, fr_err *err)
{
    if (m->topic.len > 0)
        fr_fail(err, FR_ERR_CONFIG, "topic %.*s does not exist", FR_ARG(m->topic));
    else
        fr_fail(err, FR_ERR_CONFIG, "sink %s: none of its topics exists", m->settings->name);
    fr_fail_code(err, "kafka.topic.missing");
    return fr_fail_hint(err, "its topics are those of sinks.%s.from", m->settings->name);
}

static fr_rc find_places(move *m, fr_admin *admin, fr_err *err)
{
    const char **topics;
    size_t count;
    FR_TRY(fr_admin_topics(admin, m->cli->arena, &topics, &count, err));
    for (size_t i = 0; i < count; i++) {
        fr_str topic = fr_cstr(topics[i]);
        bool wanted =
            m->topic.len > 0 ? fr_str_eq(topic, m->topic) : fr_sink_match(m->settings, topic) >= 0;
        if (wanted && add_topic(m, admin, topics[i], err) == FR_FAIL)
            return FR_FAIL;
    }
    return m->to.count == 0 ? no_topic(m, err) : FR_OK;
}

static void show(const move *m, const fr_offsets *from)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->to.count; i++) {
        const fr_offset *f = &from->items[i], *t = &m->to.items[i];
        fr_buf_printf(&m->cli->out, "  %.*s[%d]", FR_ARG(t->topic), (int)t->partition);
        if (f->next < 0)
            fr_buf_text(&m->cli->out, "   has no place");
        else
            fr_buf_printf(&m->cli->out, "   was at %" PRId64, f->next);
        if (t->next < 0)
            fr_buf_text(&m->cli->out, "   stays so\n");
        else
            fr_buf_printf(&m->cli->out, "   goes on at %" PRId64 "\n", t->next);
        json_array_append_new(list, json_pack("{s:s%,s:i,s:I,s:I}", "topic", t->topic.ptr,
                                              t->topic.len, "partition", (int)t->partition, "from",
                                              (json_int_t)f->next, "to", (json_int_t)t->next));
    }
    json_object_set_new(fr_cli_result(m->cli), "partitions", list);
}

/* What a target holds is known by claiming: a sink that runs loses what it has open, and goes on.
 */
static fr_rc put(move *m, fr_sink *sink, fr_err *err)
{
    fr_offsets from = {fr_arena_alloc(m->cli->arena, m->to.count * sizeof(fr_offset)), m->to.count};
    memcpy(from.items, m->to.items, m->to.count * sizeof(fr_offset));
    FR_TRY(m->ops->claim(sink, &from, err));
    fr_offsets o = {fr_arena_alloc(m->cli->arena, m->to.count * sizeof(fr_offset)), 0};
    for (size_t i = 0; i < m->to.count; i++) {
        fr_offset *t = &m->to.items[i];
        if (is(m, "here"))
            t->next = from.items[i].next;
        if (t->next >= 0)
            o.items[o.count++] = *t;
    }
    FR_TRY(m->ops->commit(sink, &o, err));
    show(m, &from);
    return FR_OK;
}

static fr_rc open_and_put(move *m, fr_err *err)
{
    fr_sink *sink = NULL;
    fr_rc rc = m->ops->open(m->settings, &sink, err);
    rc = rc == FR_OK ? put(m, sink, err) : rc;
    if (sink != NULL)
        m->ops->close(sink);
    return rc == FR_FAIL ? fr_fail_in(err, "sink %s", m->settings->name) : FR_OK;
}

/* What comes again, or never comes. */
static const char *warning(const move *m)
{
    bool appends =
        strcmp(m->settings->type, "file") == 0 || m->settings->write_mode == FR_WRITE_APPEND;
    if (is(m, "here"))
        return "The offsets stay, and count in the topic as it is now. Is it the same one, with "
               "the "
               "same messages (moved, restored)?";
    if (is(m, "end"))
        return "What is in the topic now, and was not read, never comes. Go on at its end?";
    return appends
               ? "Messages that were read before come again, and each is a row again: empty the "
                 "target first, or have them twice. Go on there?"
               : "Messages that were read before come again; what was not read and is before "
                 "that place never comes. Go on there?";
}

static fr_rc set(move *m, fr_err *err)
{
    fr_admin *admin;
    bool yes = false;
    FR_TRY(read_where(m, err));
    FR_TRY(fr_admin_open(&m->config->kafka, &admin, err));
    fr_rc rc = find_places(m, admin, err);
    fr_admin_close(admin);
    FR_TRY(rc);
    fr_buf_printf(&m->cli->out, "sink %s   %zu topic%s, %zu partition%s\n", m->settings->name,
                  m->topics, m->topics == 1 ? "" : "s", m->to.count, m->to.count == 1 ? "" : "s");
    if (fr_cli_flag(m->cli, "dry-run") != NULL) {
        fr_cli_summary(m->cli, "Dry run: %s would go on at: %s.", m->settings->name, m->where);
        return FR_OK;
    }
    FR_TRY(fr_cli_ask(m->cli, warning(m), &yes, err));
    if (yes)
        FR_TRY(open_and_put(m, err));
    if (!yes)
        fr_cli_summary(m->cli, "%s: nothing was changed.", m->settings->name);
    else
        fr_cli_summary(m->cli,
                       "%s goes on there: at its next start, or with its next commit. If it "
                       "runs, now: freshet restart %s",
                       m->settings->name, m->settings->name);
    return FR_OK;
}

fr_rc fr_position_set_sink(fr_cli *cli, const fr_config *config, const fr_will_target *t,
                           const char *where, fr_err *err)
{
    for (size_t i = 0; i < config->sink_count; i++) {
        move m = {.cli = cli,
                  .config = config,
                  .settings = &config->sinks[i],
                  .ops = config->sink_ops[i],
                  .topic = t->name,
                  .where = where};
        if (fr_str_is(t->part, m.settings->name))
            return set(&m, err);
    }
    return fr_fail(err, FR_ERR_BUG, "a sink that was found is not there");
}
