/* Bytes from a topic, for the decoder and for a comparison with the topic: byte 0 chooses what the
 * key is, byte 1 its length, the rest is the payload. The registry (a directory) holds one schema
 * of each shape that the decoder knows, with ids from 1 on. */
#include "base/clock.h"
#include "codec/avro_schema.h"
#include "codec/content.h"
#include "codec/decode.h"
#include "poll/compare.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_registry *registry;
static fr_decoder *decoder;
static fr_batch *batch;
static fr_contents *contents;
static fr_route route;

static const char *const plain[] = {
    "{\"type\":\"record\",\"name\":\"K\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"}]}",
    "{\"type\":\"record\",\"name\":\"V\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},"
    "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":[\"null\",\"V\"]}},"
    "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"double\"}},"
    "{\"name\":\"d\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":8,"
    "\"scale\":2}},{\"name\":\"u\",\"type\":{\"type\":\"string\",\"logicalType\":\"uuid\"}},"
    "{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}]}",
};

static fr_rc target_name(void *context, fr_arena *a, fr_str topic, fr_str *space, fr_str *name,
                         fr_err *err)
{
    (void)context, (void)a, (void)topic, (void)err;
    *space = FR_STR("");
    *name = FR_STR("t");
    return FR_OK;
}

static void add_schema(const char *subject, fr_str text, fr_arena *a)
{
    fr_err err;
    fr_str canonical;
    int32_t id;
    if (fr_avro_canonical(a, text, &canonical, &err) != FR_OK ||
        fr_registry_register(registry, subject, canonical, FR_COMPAT_NONE, true, &id, &err) !=
            FR_OK)
        abort();
}

static void set_up(void)
{
    static char dir[64] = "/tmp/fr_fuzz_XXXXXX", url[80];
    static const char *urls[1] = {url};
    static fr_registry_settings settings;
    static fr_table_settings ts;
    fr_column columns[] = {
        {.name = FR_STR("id"), .kind = FR_INT32, .key_ordinal = 1},
        {.name = FR_STR("name"), .kind = FR_TEXT, .nullable = true, .may_be_absent = true},
        {.name = FR_STR("at"), .kind = FR_TIMESTAMP, .nullable = true}};
    fr_table table = {.space = FR_STR("public"), .name = FR_STR("t"), .column_count = 3};
    static uint16_t fields[] = {0, 1, 2}, key[] = {0};
    table.columns = columns;
    route = (fr_route){.table = fr_table_new(&table),
                       .settings = &ts,
                       .topic = FR_STR("t"),
                       .schema_name = FR_STR("erp.public.t"),
                       .fields = fields,
                       .field_count = 3,
                       .key = key,
                       .key_count = 1};
    fr_origin origin = {.version = FR_STR("1"),
                        .type = FR_STR("postgres"),
                        .connector = FR_STR("postgresql"),
                        .prefix = FR_STR("erp"),
                        .db = FR_STR("shop")};
    fr_err err;
    fr_str one, two;
    fr_arena *a = fr_arena_new(0);
    if (mkdtemp(dir) == NULL)
        abort();
    strcat(strcpy(url, "file:"), dir);
    settings.url = (fr_texts){urls, 1};
    if (fr_registry_open(&settings, &registry, &err) != FR_OK)
        abort();
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        add_schema(i == 0 ? "k" : "v", fr_cstr(plain[i]), a);
    fr_schema_key(a, &route, &one, &err);
    fr_schema_value(a, &route, &origin, &two, &err);
    add_schema("t-key", one, a);
    add_schema("t-value", two, a);
    fr_schema_message(a, &origin, &one, &two, &err);
    add_schema("m-value", two, a);
    fr_arena_free(a);
    decoder = fr_decoder_new(registry, 1 << 20, target_name, NULL);
    batch = fr_batch_new(64, 1 << 24);
    contents = fr_contents_new(registry);
}

/* A batch whose rows can be summed holds nothing that was not read. */
static void touch(const fr_batch *b)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < b->count; i++) {
        crc = fr_row_crc(crc, &b->events[i].before);
        crc = fr_row_crc(crc, &b->events[i].after);
    }
    if (crc == 1)
        fr_sleep_us(0);
}

/* What a comparison makes of the same bytes; and of a row that it has put aside in a file. */
static void compare(const fr_message *m)
{
    fr_err err;
    bool gone, again;
    uint8_t print[FR_CONTENT_PRINT], second[FR_CONTENT_PRINT];
    fr_value values[3];
    if (fr_content_of(contents, m->payload, &gone, print, &err) == FR_OK &&
        (fr_content_of(contents, m->payload, &again, second, &err) != FR_OK || gone != again ||
         (!gone && memcmp(print, second, sizeof(print)) != 0)))
        abort();
    if (fr_key_values(&route, m->key, values, &err) == FR_FAIL && err.kind != FR_ERR_DATA)
        abort();
    fr_batch_reset(batch);
    fr_event *e = fr_batch_add(batch, FR_OP_READ, route.table);
    if (fr_row_unpack(m->payload, route.table, batch, e)) {
        fr_buf packed = {0};
        fr_row_pack(&packed, e);
        if (packed.len != m->payload.len)
            abort();
        fr_buf_free(&packed);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_err err;
    if (decoder == NULL)
        set_up();
    if (size < 2)
        return 0;
    fr_batch_reset(batch);
    fr_message *m = fr_batch_message(batch);
    size_t key = data[1] < size - 2 ? data[1] : size - 2;
    m->topic = data[0] & 4 ? FR_STR("t") : FR_STR("v");
    m->partition = data[0] >> 4 & 1;
    m->offset = 7;
    if ((data[0] & 1) != 0)
        m->key = (fr_str){(const char *)data + 2, key};
    if ((data[0] & 2) != 0)
        m->payload = (fr_str){(const char *)data + 2 + key, size - 2 - key};
    fr_rc rc = fr_decode(decoder, batch, 0, &err);
    if (rc == FR_FAIL && (batch->count != 0 || err.kind != FR_ERR_DATA))
        abort();
    touch(batch);
    fr_message bytes = *m;
    compare(&bytes);
    return 0;
}
