/* Fingerprints against published vectors: Apache Avro's share/test/data/schema-tests.txt gives the
 * canonical forms and the 64-bit fingerprints as decimal numbers; SHA-256 as sha256sum says of the
 * form. */
#include "codec/fingerprint.h"
#include "tests/unit/test.h"

#include <inttypes.h>

static fr_err err;
static fr_arena *a;

static const struct {
    const char *schema, *form;
    int64_t crc64; /* as Java's parsingFingerprint64 */
} vectors[] = {
    {"\"null\"", "\"null\"", 7195948357588979594},
    {"{\"type\":\"null\"}", "\"null\"", 7195948357588979594},
    {"\"boolean\"", "\"boolean\"", -6970731678124411036},
    {"\"int\"", "\"int\"", 8247732601305521295},
    {"\"long\"", "\"long\"", -3434872931120570953},
    {"\"float\"", "\"float\"", 5583340709985441680},
    {"\"double\"", "\"double\"", -8181574048448539266},
    {"\"bytes\"", "\"bytes\"", 5746618253357095269},
    {"\"string\"", "\"string\"", -8142146995180207161},
    {"[\"int\"  ]", "[\"int\"]", -5232228896498058493},
    {"[\"int\" , {\"type\":\"boolean\"} ]", "[\"int\",\"boolean\"]", 5392556393470105090},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\"}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", -4824392279771201922},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"namespace\":\"x.y\"}",
     "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}", 5916914534497305771},
    {"{\"type\":\"enum\", \"name\":\"foo\", \"symbols\":[\"A1\"]}",
     "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}", -6342190197741309591},
    {"{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}",
     "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}", 1756455273707447556},
    {"{\"type\":\"map\", \"values\":\"string\"}", "{\"type\":\"map\",\"values\":\"string\"}", -1},
};

static void published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        fr_fingerprint f;
        fr_str form;
        char want[17];
        uint64_t n = (uint64_t)vectors[i].crc64;
        assert_ok(fr_parsing_form(a, fr_cstr(vectors[i].schema), &form, &err));
        assert_str(form, vectors[i].form);
        assert_ok(fr_fingerprint_of(a, fr_cstr(vectors[i].schema), &f, &err));
        if (vectors[i].crc64 == -1)
            continue;
        for (unsigned k = 0; k < 8; k++)
            snprintf(want + 2 * k, 3, "%02x", (unsigned)(n >> 8 * k & 0xFF));
        assert_string_equal(f.crc64, want);
    }
}

static void sha256_is_of_the_form(void **state)
{
    (void)state;
    fr_fingerprint f;
    assert_ok(fr_fingerprint_of(a, FR_STR("{\"type\":\"null\"}"), &f, &err));
    assert_string_equal(f.sha256,
                        "f072cbec3bf8841871d4284230c5e983dc211a56837aed862487148f947d1a1f");
    assert_string_equal(f.crc64, "8a8f25cce724dd63");
}

#define ROW(more)                                                                                  \
    "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"s\",\"fields\":[{\"name\":\"a\","         \
    "\"type\":"                                                                                    \
    "\"int\"" more "}]}"

static void what_readers_do_not_need_does_not_count(void **state)
{
    (void)state;
    fr_fingerprint f, g;
    assert_ok(fr_fingerprint_of(a, FR_STR(ROW("")), &f, &err));
    assert_ok(fr_fingerprint_of(a, FR_STR(ROW(",\"doc\":\"x\",\"default\":1,\"p\":{}")), &g, &err));
    assert_string_equal(f.sha256, g.sha256);
    assert_fails(fr_fingerprint_of(a, FR_STR("{\"type\":\"record\"}"), &f, &err), FR_ERR_DATA);
}

static void used_twice_is_defined_once(void **state)
{
    (void)state;
    fr_str form;
    assert_ok(fr_parsing_form(
        a,
        FR_STR("{\"type\":\"record\",\"name\":\"N\",\"namespace\":\"x\",\"fields\":[{\"name\":"
               "\"next\",\"type\":[\"null\",\"N\"]},{\"name\":\"e\",\"type\":{\"type\":\"enum\","
               "\"name\":\"E\",\"symbols\":[\"A\"]}},{\"name\":\"f\",\"type\":\"E\"}]}"),
        &form, &err));
    assert_str(form, "{\"name\":\"x.N\",\"type\":\"record\",\"fields\":[{\"name\":\"next\","
                     "\"type\":[\"null\",\"x.N\"]},{\"name\":\"e\",\"type\":{\"name\":\"x.E\","
                     "\"type\":\"enum\",\"symbols\":[\"A\"]}},{\"name\":\"f\",\"type\":\"x.E\"}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(sha256_is_of_the_form),
        cmocka_unit_test(what_readers_do_not_need_does_not_count),
        cmocka_unit_test(used_twice_is_defined_once),
    };
    a = fr_arena_new(0);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    fr_arena_free(a);
    return rc;
}
