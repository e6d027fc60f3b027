/* What the codec's tests share: a registry in a directory, settings with their defaults,
 * tables, an encoder and a decoder that speak to one another. */
#ifndef FR_TEST_CODEC_FIXTURE_H
#define FR_TEST_CODEC_FIXTURE_H

#include "codec/decode.h"
#include "codec/encode.h"
#include "tests/unit/test.h"

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct fixture {
    char dir[64], url[96];
    const char *urls[1];
    fr_registry_settings registry_settings;
    fr_source_settings source;
    fr_kafka_settings kafka;
    fr_table_settings ts;
    fr_route route;
    uint16_t fields[256], key[16], partition_by[16];
    fr_registry *registry;
    fr_encoder *encoder;
    fr_decoder *decoder;
    fr_arena *a;
    fr_batch *b, *back;
    int32_t published; /* what the encoder hears of every topic */
} fixture;

static fr_err err;

static inline fr_origin origin(void)
{
    return (fr_origin){FR_STR("0.1.0"), FR_STR("postgres"), FR_STR("postgresql"),
                       FR_STR("erp"),   FR_STR("shop"),     false};
}

/* Every column published, the key that of the table; topic and names as by default. */
static inline fr_rc route_of(void *context, const fr_table *t, const fr_route **out, fr_err *e)
{
    fixture *f = context;
    (void)e;
    fr_route *r = fr_arena_alloc(f->a, sizeof *r);
    r->table = t;
    r->settings = &f->ts;
    r->envelope = (fr_envelope)f->ts.envelope;
    r->topic = fr_arena_printf(f->a, "erp.%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    r->schema_name = fr_arena_printf(f->a, "erp.%.*s.%.*s", FR_ARG(fr_avro_name(f->a, t->space)),
                                     FR_ARG(fr_avro_name(f->a, t->name)));
    r->fields = fr_arena_alloc(f->a, (t->column_count + 1) * sizeof(uint16_t));
    r->key = fr_arena_alloc(f->a, (t->column_count + 1) * sizeof(uint16_t));
    for (size_t i = 0; i < t->column_count; i++)
        r->fields[r->field_count++] = (uint16_t)i;
    for (size_t k = 1; k <= fr_table_key_count(t); k++) {
        for (size_t i = 0; i < t->column_count; i++) {
            if (t->columns[i].key_ordinal == k)
                r->key[r->key_count++] = (uint16_t)i;
        }
    }
    r->partition_by = f->partition_by;
    for (size_t i = 0; i < f->ts.partition_by.count; i++)
        f->partition_by[r->partition_count++] =
            (uint16_t)fr_table_find(t, fr_cstr(f->ts.partition_by.items[i]));
    *out = r;
    return FR_OK;
}

static inline fr_rc target_name(void *context, fr_arena *a, fr_str topic, fr_str *space,
                                fr_str *name, fr_err *e)
{
    (void)context, (void)e;
    size_t dot = topic.len;
    while (dot > 0 && topic.ptr[dot - 1] != '.')
        dot--;
    *space = FR_STR("");
    *name = fr_arena_copy(a, topic.ptr + dot, topic.len - dot);
    return FR_OK;
}

static inline int32_t published(void *context, fr_str topic)
{
    (void)topic;
    return ((const fixture *)context)->published;
}

static inline void open_encoder(fixture *f)
{
    fr_encoder_settings s = {.source = &f->source,
                             .registry_settings = &f->registry_settings,
                             .kafka = &f->kafka,
                             .origin = origin(),
                             .route = route_of,
                             .published = published,
                             .context = f};
    fr_encoder_free(f->encoder);
    f->encoder = fr_encoder_new(&s, f->registry);
}

static inline int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/fr_codec_XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->url, sizeof f->url, "file:%s/reg", f->dir);
    f->urls[0] = f->url;
    f->registry_settings.url = (fr_texts){f->urls, 1};
    f->registry_settings.register_when = FR_WHEN_RUN;
    f->source.prefix = f->source.name = "erp";
    f->source.pipeline = "shop";
    f->source.type = "postgres";
    f->source.max_row_bytes = 16 << 20;
    f->ts.tombstones = true;
    f->ts.schema_compat = -1;
    f->a = fr_arena_new(0);
    f->b = fr_batch_new(4096, 64 << 20);
    f->back = fr_batch_new(8192, 64 << 20);
    assert_ok(fr_registry_open(&f->registry_settings, &f->registry, &err));
    open_encoder(f);
    f->decoder = fr_decoder_new(f->registry, 16 << 20, target_name, NULL);
    *state = f;
    return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int tear_down(void **state)
{
    fixture *f = *state;
    fr_encoder_free(f->encoder);
    fr_decoder_free(f->decoder);
    fr_batch_free(f->b);
    fr_batch_free(f->back);
    fr_registry_close(f->registry);
    fr_arena_free(f->a);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* ---- tables and values ---- */

static inline fr_column column(const char *name, fr_kind kind, bool nullable, unsigned ordinal)
{
    return (fr_column){.name = fr_cstr(name),
                       .kind = kind,
                       .nullable = nullable,
                       .key_ordinal = (uint16_t)ordinal,
                       .precision = kind == FR_DECIMAL ? 10 : 0,
                       .scale = kind == FR_DECIMAL ? 2 : 0,
                       .native_type = FR_STR("native"),
                       .doc = FR_STR(""),
                       .fallback = FR_STR("")};
}

static inline const fr_table *table_of(const char *name, const fr_column *columns, size_t count,
                                       bool full_before)
{
    fr_table like = {.space = FR_STR("public"),
                     .name = fr_cstr(name),
                     .version = 1,
                     .full_before = full_before,
                     .doc = FR_STR(""),
                     .column_count = count,
                     .columns = columns};
    return fr_table_new(&like);
}

static inline fr_value whole(fr_kind kind, int64_t v)
{
    return (fr_value){.kind = kind, .integer = v};
}

static inline fr_value textual(fr_kind kind, const char *v)
{
    return (fr_value){.kind = kind, .bytes = fr_cstr(v)};
}

#define NONE ((fr_value){.kind = FR_NULL})
#define MISSING ((fr_value){.kind = FR_ABSENT})

/* A row in the batch, from an array of values. */
static inline fr_row row_of(fr_batch *b, const fr_table *t, const fr_value *values)
{
    fr_row row;
    fr_value *to = fr_batch_row(b, t, &row);
    memcpy(to, values, t->column_count * sizeof *values);
    return row;
}

static inline fr_event *add_event(fr_batch *b, fr_op op, const fr_table *t, uint64_t lsn)
{
    fr_event *event = fr_batch_add(b, op, t);
    assert_non_null(event);
    event->position.lsn = lsn;
    event->position.row_lsn = lsn > 0 ? lsn - 1 : 0;
    return event;
}

static inline void encode_all(fixture *f)
{
    size_t done = 0;
    assert_ok(fr_encode(f->encoder, f->b, 0, f->b->count, &done, &err));
    assert_int_equal(done, f->b->count);
}

/* Give the messages to the other side, as if consumed. */
static inline void hand_over(fixture *f)
{
    for (size_t i = 0; i < f->b->message_count; i++) {
        const fr_message *from = &f->b->messages[i];
        fr_message *to = fr_batch_message(f->back);
        *to = *from;
        to->partition = 0;
        to->offset = (int64_t)f->back->message_count + 100;
    }
}

static inline void decode_all(fixture *f)
{
    hand_over(f);
    for (size_t i = 0; i < f->back->message_count; i++)
        assert_ok(fr_decode(f->decoder, f->back, i, &err));
}

/* The payload's or key's JSON, by the schema that the registry has for its id. */
static inline fr_str json_of(fixture *f, fr_str bytes)
{
    fr_str schema, text;
    assert_true(bytes.len >= 5 && bytes.ptr[0] == 0);
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    int32_t id =
        (int32_t)((uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4]);
    assert_ok(fr_registry_schema(f->registry, id, &schema, &err));
    assert_ok(fr_avro_to_json(f->a, schema, (fr_str){bytes.ptr + 5, bytes.len - 5}, &text, &err));
    return text;
}

static inline bool contains(fr_str text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        fr_str got_ = (text);                                                                      \
        if (!contains(got_, (part))) {                                                             \
            print_error("\"%s\" is not in:\n%.*s\n", (part), FR_ARG(got_));                        \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

#endif
