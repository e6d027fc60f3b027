/* Replies of a schema registry, in every reading: byte 0 the reading, bytes 1 and 2 the status,
 * the rest the body. */
#include "codec/compat.h"
#include "codec/registry_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_one(int reading, const fr_reply *r, fr_arena *a)
{
    fr_err err;
    fr_str text;
    int number;
    int32_t id;
    switch (reading % 8) {
    case 0:
        fr_reply_id(r, &id, &err);
        break;
    case 1:
        fr_reply_version(r, a, &number, &id, &text, &err);
        break;
    case 2:
        fr_reply_schema(r, a, &text, &err);
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
