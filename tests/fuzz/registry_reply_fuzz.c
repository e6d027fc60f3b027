/* Replies of a schema registry, in every reading: byte 0 the reading, bytes 1 and 2 the status,
 * the rest the body. */
#include "codec/registry_refs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is referred to is the same reply again. */
static fr_rc same(void *context, fr_arena *a, const char *subject, int version, fr_schema_text *out,
                  fr_err *err)
{
    (void)subject;
    return version == 7 ? FR_END : fr_reply_schema(context, a, out, err);
}

static void read_one(int reading, const fr_reply *r, fr_arena *a)
{
    fr_err err;
    fr_str text;
    fr_schema_text schema = {0};
    int number;
    int32_t id;
    switch (reading % 8) {
    case 0:
        fr_reply_id(r, &id, &err);
        break;
    case 1:
        fr_reply_version(r, a, &number, &id, &schema, &err);
        break;
    case 2:
        if (fr_reply_schema(r, a, &schema, &err) == FR_OK)
            fr_registry_whole(a, &schema, same, (void *)(uintptr_t)r, &text, &err);
        break;
    case 3:
        fr_reply_compatible(r, a, &text, &err);
        break;
    case 4:
        fr_reply_level(r, &number, &err);
        break;
    case 5:
        fr_reply_mode(r, a, &text, &err);
        break;
    case 6:
        fr_reply_versions(r, &err);
        break;
    default:
        if (!fr_reply_absent(r))
            fr_reply_fail(r, "fuzz", &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    fr_reply r = {.status = 100 + (data[1] << 8 | data[2]) % 500,
                  .body = {(const char *)data + 3, size - 3},
                  .url = "http://registry",
                  .path = "/subjects"};
    fr_arena *a = fr_arena_new(0);
    read_one(data[0], &r, a);
    fr_arena_free(a);
    return 0;
}
