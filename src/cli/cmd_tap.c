/* freshet tap: what is on a topic, decoded. Without a consumer group, so nobody's offsets
 * move; read_committed, so what is shown is what consumers see. */
#include "base/clock.h"
#include "cli/ask.h"
#include "cli/tap.h"
#include "codec/decode.h"
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE_US = 200000, BATCH_EVENTS = 256, BATCH_BYTES = 4 << 20 };

static volatile sig_atomic_t stopped;
static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* One side of a message: id and JSON; text empty: NULL. FR_END: not in the wire format. */
static fr_rc decode(fr_tap *t, fr_str data, int32_t *id, fr_str *schema, fr_str *text, fr_err *err)
{
    if (!fr_wire_id(data, id))
        return FR_END;
    FR_TRY(fr_registry_schema(t->registry, *id, schema, err));
    return fr_avro_to_json(t->a, *schema, fr_wire_body(data), text, err);
}

/* The full name of the record a schema describes. */
static fr_str schema_name(fr_tap *t, fr_str schema)
{
    json_t *j = json_loadb(schema.ptr, schema.len, 0, NULL);
    const char *space = fr_json_str(j, "namespace", ""), *name = fr_json_str(j, "name", "?");
    fr_str full = fr_arena_printf(t->a, "%s%s%s", space, *space == 0 ? "" : ".", name);
    json_decref(j);
    return full;
}

static void put_source(fr_tap *t, const json_t *payload)
{
    const json_t *source = json_object_get(payload, "source");
    const json_t *lsn = json_object_get(source, "lsn");
    if (json_is_integer(lsn)) {
        uint64_t v = (uint64_t)json_integer_value(lsn);
        fr_buf_printf(&t->cli->out, "  lsn %" PRIX32 "/%" PRIX32, (uint32_t)(v >> 32), (uint32_t)v);
    }
    const json_t *tx = json_object_get(source, "txId");
    if (json_is_integer(tx))
        fr_buf_printf(&t->cli->out, "  tx %" JSON_INTEGER_FORMAT, json_integer_value(tx));
    const json_t *ts = json_object_get(source, "ts_ms");
    long long commit = json_is_integer(ts) ? json_integer_value(ts) : 0;
    if (commit > 0)
        fr_buf_printf(&t->cli->out, "  age %.2fs", (double)(fr_wall_us() - commit * 1000) / 1e6);
}

/* Bytes that are no Avro, as JSON: the text that they are, or {"$bytes":"00ff"}. */
static json_t *raw_json(fr_arena *a, fr_str data)
{
    if (data.ptr == NULL)
        return json_null();
    json_t *text = json_stringn(data.ptr, data.len); /* NULL: it is not UTF-8 */
    if (text != NULL)
        return text;
    fr_buf hex = {.arena = a};
    fr_buf_hex(&hex, data);
    return json_pack("{s:s%}", "$bytes", hex.ptr, hex.len);
}

fr_str fr_tap_raw(fr_arena *a, fr_str data)
{
    json_t *j = raw_json(a, data);
    char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);
    fr_str out = fr_arena_str(a, fr_cstr(text));
    free(text);
    json_decref(j);
    return out;
}

static json_t *headers_json(fr_arena *a, const fr_message *m)
{
    json_t *all = json_array();
    for (size_t i = 0; i < m->header_count; i++) {
        json_t *h = json_object();
        json_object_set_new(h, "name", raw_json(a, fr_cstr(m->headers[i].name)));
        json_object_set_new(h, "value", raw_json(a, m->headers[i].value));
        json_array_append_new(all, h);
    }
    return all;
}

static void put_headers(fr_tap *t, const fr_message *m)
{
    for (size_t i = 0; i < m->header_count; i++)
        fr_buf_printf(&t->cli->out, "%s%s %.*s", i == 0 ? "  headers " : ", ", m->headers[i].name,
                      FR_ARG(fr_tap_raw(t->a, m->headers[i].value)));
}

static void keep_json(fr_tap *t, const fr_message *m, fr_str key, fr_str payload, int32_t id)
{
    json_t *j = json_pack("{s:i,s:I,s:I,s:i}", "partition", (int)m->partition, "offset",
                          (json_int_t)m->offset, "timestamp_ms", (json_int_t)m->timestamp_ms,
                          "schema_id", (int)id);
    json_t *k = key.len == 0 ? NULL : json_loadb(key.ptr, key.len, JSON_DECODE_ANY, NULL);
    json_t *v =
        payload.len == 0 ? NULL : json_loadb(payload.ptr, payload.len, JSON_DECODE_ANY, NULL);
    json_object_set_new(j, "key", k == NULL ? json_null() : k);
    json_object_set_new(j, "value", v == NULL ? json_null() : v);
    if (m->header_count > 0)
        json_object_set_new(j, "headers", headers_json(t->a, m));
    json_array_append_new(t->events, j);
}

/* What an outbox published is whatever bytes its writer chose, also such as look like Avro. */
static fr_rc decode_side(fr_tap *t, const fr_message *m, fr_str data, int32_t *id, fr_str *schema,
                         fr_str *text, fr_err *err)
{
    fr_rc rc = data.ptr == NULL ? FR_OK : decode(t, data, id, schema, text, err);
    bool raw = m->header_count > 0 && strcmp(m->headers[0].name, "id") == 0;
    if (rc == FR_END || (rc == FR_FAIL && raw && err->kind != FR_ERR_CONNECT)) {
        *id = 0;
        *text = fr_tap_raw(t->a, data);
        return FR_OK;
    }
    return rc;
}

static fr_rc show(fr_tap *t, const fr_message *m, fr_err *err)
{
    fr_str key = {"", 0}, payload = {"", 0}, schema = {"", 0}, ignored = {"", 0};
    int32_t id = 0, key_id = 0;
    FR_TRY(decode_side(t, m, m->key, &key_id, &ignored, &key, err));
    FR_TRY(decode_side(t, m, m->payload, &id, &schema, &payload, err));
    t->shown++;
    if (t->cli->json) {
        keep_json(t, m, key, payload, id);
        return FR_OK;
    }
    fr_buf *b = &t->cli->out;
    bool table = strchr(t->word, '/') != NULL;
    fr_buf_printf(b, "# %s%stopic %s[%d]@%" PRId64, table ? t->word : "", table ? " → " : "",
                  t->topic, (int)m->partition, m->offset);
    if (key.len > 0)
        fr_buf_printf(b, "  key %.*s", FR_ARG(key));
    if (id > 0)
        fr_buf_printf(b, "  %.*s id %d", FR_ARG(schema_name(t, schema)), (int)id);
    json_t *j = payload.len == 0 ? NULL : json_loadb(payload.ptr, payload.len, 0, NULL);
    put_source(t, j);
    json_decref(j);
    put_headers(t, m);
    fr_buf_text(b, "\n");
    fr_buf_str(b, m->payload.ptr == NULL ? FR_STR("null") : payload);
    fr_buf_text(b, "\n");
    fr_cli_flush(t->cli);
    return FR_OK;
}

static fr_rc show_batch(fr_tap *t, const fr_batch *b, fr_err *err)
{
    for (size_t i = 0; i < b->message_count && (t->limit == 0 || t->shown < t->limit); i++) {
        fr_arena_reset(t->a);
        if (show(t, &b->messages[i], err) == FR_FAIL)
            return fr_fail_in(err, "topic %s[%d] offset %" PRId64, t->topic,
                              (int)b->messages[i].partition, b->messages[i].offset);
    }
    return FR_OK;
}

fr_rc fr_tap_read(fr_tap *t, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    fr_batch_reset(b);
    fr_rc rc = fr_consume(t->consumer, b, deadline_us, err);
    return rc == FR_OK ? show_batch(t, b, err) : rc;
}

static fr_rc follow(fr_tap *t, bool to_end, fr_err *err)
{
    fr_batch *b = fr_batch_new(BATCH_EVENTS, BATCH_BYTES);
    fr_rc rc = FR_OK;
    while (rc != FR_FAIL && !stopped && (t->limit == 0 || t->shown < t->limit)) {
        rc = fr_tap_read(t, b, fr_now_us() + SLICE_US, err);
        if (rc == FR_IDLE && to_end && fr_consumer_at_end(t->consumer))
            break;
    }
    fr_batch_free(b);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc read_flags(fr_cli *cli, fr_tap *t, bool *beginning, fr_err *err)
{
    static const fr_option option = {.name = "limit", .type = FR_OPT_INT, .min = 1};
    const char *from = fr_cli_flag(cli, "from");
    const char *refused = fr_cli_flag(cli, "where") != NULL ? "where"
                          : fr_cli_flag(cli, "at") != NULL  ? "at"
                                                            : NULL;
    if (refused != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "this version does not do tap --%s", refused);
        fr_fail_code(err, "cli.not_built");
        return fr_fail_hint(err, "leave it out; --json and jq can choose among events");
    }
    *beginning = from != NULL && strcmp(from, "beginning") == 0;
    t->limit = 0;
    FR_TRY(fr_cli_number(cli, &option, &t->limit, err));
    if (!cli->json || t->limit > 0 || *beginning)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "tap --json must end");
    fr_fail_code(err, "cli.bad_value");
    return fr_fail_hint(err, "add --limit 10, or --from beginning");
}

static fr_rc check_topic(const fr_config *config, const char *topic, fr_err *err)
{
    fr_admin *admin;
    int32_t partitions = 0;
    FR_TRY(fr_admin_open(&config->kafka, &admin, err));
    fr_rc rc = fr_admin_partitions(admin, topic, &partitions, err);
    fr_admin_close(admin);
    if (rc != FR_END)
        return rc;
    fr_fail(err, FR_ERR_CONFIG, "there is no topic %s", topic);
    fr_fail_code(err, "kafka.topic.missing");
    return fr_fail_hint(err, "freshet apply creates the topics of the configuration");
}

fr_rc fr_tap_open(fr_tap *t, const fr_config *config, bool beginning, fr_err *err)
{
    t->a = fr_arena_new(0);
    t->events = json_array();
    json_object_set_new(fr_cli_result(t->cli), "events", t->events);
    FR_TRY(fr_registry_open(&config->registry, &t->registry, err));
    fr_consumer_settings settings = {
        .kafka = &config->kafka, .topics = &t->topic, .topic_count = 1, .start = beginning ? 0 : 1};
    return fr_consumer_open(&settings, &t->consumer, err);
}

void fr_tap_close(fr_tap *t)
{
    fr_consumer_close(t->consumer);
    fr_registry_close(t->registry);
    fr_arena_free(t->a);
}

static fr_rc run_tap(fr_tap *t, const fr_config *config, bool beginning, fr_err *err)
{
    FR_TRY(fr_ask_topic(config, t->cli->arena, t->word, &t->topic, err));
    FR_TRY(check_topic(config, t->topic, err));
    FR_TRY(fr_tap_open(t, config, beginning, err));
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return follow(t, beginning, err);
}

int fr_cmd_tap(fr_cli *cli)
{
    fr_tap t = {.cli = cli, .word = cli->args[0]};
    bool beginning = false;
    fr_config *config;
    fr_err err;
    if (read_flags(cli, &t, &beginning, &err) == FR_FAIL ||
        fr_cli_config(cli, &(fr_config_flags){0}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    int code = run_tap(&t, config, beginning, &err) == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    fr_cli_summary(cli, "# %" PRId64 " shown", t.shown);
    fr_tap_close(&t);
    fr_config_free(config);
    return code;
}
