#include "file/file_manifest.h"
#include "base/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {"claim", "commit", "compact", "fold"};

void *fr_file_grow(fr_arena *a, const void *items, size_t count, size_t size, size_t *cap)
{
    *cap = *cap == 0 ? 4 : 2 * *cap;
    void *bigger = fr_arena_alloc(a, *cap * size);
    if (count > 0)
        memcpy(bigger, items, count * size);
    return bigger;
}

/* ---- names ---- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '%' || c == '~';
}

bool fr_file_path_valid(fr_str path)
{
    size_t from = 0;
    if (path.len == 0 || path.len > 1024)
        return false;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/') {
            if (!is_plain(path.ptr[i]))
                return false;
            continue;
        }
        if (i == from || path.ptr[from] == '.' || i - from > 255)
            return false;
        from = i + 1;
    }
    return true;
}

int64_t fr_file_name_seq(fr_str name)
{
    enum { SEQ = 12, WRITER = 16 };
    int64_t seq = 0;
    size_t at = 0;
    if (name.len < SEQ + 1 + WRITER + 2 || name.ptr[SEQ] != '-' ||
        name.ptr[SEQ + 1 + WRITER] != '-')
        return -1;
    for (; at < SEQ; at++) {
        if (name.ptr[at] < '0' || name.ptr[at] > '9')
            return -1;
        seq = seq * 10 + (name.ptr[at] - '0');
    }
    for (at++; at < SEQ + 1 + WRITER; at++)
        if (fr_hex_digit(name.ptr[at]) < 0)
            return -1;
    for (at++; at < name.len && name.ptr[at] >= '0' && name.ptr[at] <= '9'; at++)
        continue;
    fr_str rest = {name.ptr + at, name.len - at};
    static const char *const ends[] = {".parquet", ".parquet.tmp", ".avro", ".avro.tmp"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (fr_str_is(rest, ends[i]))
            return seq;
    return -1;
}

/* ---- writing ---- */

static void put_text(fr_buf *b, const char *name, fr_str text)
{
    fr_buf_printf(b, ",\"%s\":", name);
    fr_buf_json(b, text);
}

static void put_int(fr_buf *b, const char *name, int64_t n)
{
    fr_buf_printf(b, ",\"%s\":%" PRId64, name, n);
}

/* The comma between two items of a list. */
static void put_next(fr_buf *b, size_t i)
{
    if (i > 0)
        fr_buf_u8(b, ',');
}

static void put_entry(fr_buf *b, const fr_file_entry *e)
{
    fr_buf_text(b, "{\"path\":");
    fr_buf_json(b, e->path);
    put_text(b, "space", e->space);
    put_text(b, "table", e->name);
    put_text(b, "day", e->day);
    put_int(b, "schema", e->shape);
    put_int(b, "rows", e->rows);
    put_int(b, "bytes", e->bytes);
    fr_buf_text(b, ",\"offsets\":[");
    for (size_t i = 0; i < e->range_count; i++) {
        const fr_file_range *r = &e->ranges[i];
        put_next(b, i);
        fr_buf_u8(b, '[');
        fr_buf_json(b, r->topic);
        fr_buf_printf(b, ",%d,%" PRId64 ",%" PRId64 "]", r->partition, r->first, r->last);
    }
    fr_buf_text(b, "]}");
}

static void put_shape(fr_buf *b, const fr_file_shape *s)
{
    fr_buf_text(b, "{\"space\":");
    fr_buf_json(b, s->space);
    put_text(b, "table", s->name);
    put_int(b, "schema", s->number);
    fr_buf_text(b, ",\"columns\":[");
    for (size_t i = 0; i < s->column_count; i++) {
        put_next(b, i);
        fr_buf_u8(b, '[');
        fr_buf_json(b, s->columns[i].name);
        fr_buf_u8(b, ',');
        fr_buf_json(b, s->columns[i].type);
        fr_buf_printf(b, ",%" PRId64 "]", s->columns[i].key);
    }
    fr_buf_text(b, "]}");
}

static void put_hex(fr_buf *b, fr_str bytes)
{
    fr_buf_u8(b, '"');
    for (size_t i = 0; i < bytes.len; i++)
        fr_buf_printf(b, "%02x", (uint8_t)bytes.ptr[i]);
    fr_buf_u8(b, '"');
}

static void put_lists(fr_buf *b, const fr_file_record *r)
{
    fr_buf_text(b, ",\"schemas\":[");
    for (size_t i = 0; i < r->shapes.count; i++) {
        put_next(b, i);
        put_shape(b, &r->shapes.items[i]);
    }
    fr_buf_text(b, "],\"add\":[");
    for (size_t i = 0; i < r->add.count; i++) {
        put_next(b, i);
        put_entry(b, &r->add.items[i]);
    }
    fr_buf_text(b, "],\"remove\":[");
    for (size_t i = 0; i < r->remove.count; i++) {
        put_next(b, i);
        fr_buf_json(b, r->remove.items[i]);
    }
    fr_buf_text(b, "],\"offsets\":[");
    for (size_t i = 0; i < r->offsets.count; i++) {
        put_next(b, i);
        fr_buf_u8(b, '[');
        fr_buf_json(b, r->offsets.items[i].topic);
        fr_buf_printf(b, ",%d,%" PRId64, r->offsets.items[i].partition, r->offsets.items[i].next);
        if (r->offsets.items[i].topic_id.len > 0) {
            fr_buf_u8(b, ',');
            fr_buf_json(b, r->offsets.items[i].topic_id);
        }
        fr_buf_u8(b, ']');
    }
    fr_buf_text(b, "],\"gone\":[");
    for (size_t i = 0; i < r->gone.count; i++) {
        put_next(b, i);
        fr_buf_u8(b, '[');
        fr_buf_json(b, r->gone.items[i].path);
        fr_buf_printf(b, ",%" PRId64 "]", r->gone.items[i].at_ms);
    }
    fr_buf_text(b, "],\"keys\":[");
    for (size_t i = 0; i < r->keys.count; i++) {
        put_next(b, i);
        fr_buf_u8(b, '[');
        fr_buf_json(b, r->keys.items[i].topic);
        fr_buf_u8(b, ',');
        put_hex(b, r->keys.items[i].key);
        fr_buf_text(b, r->keys.items[i].parked ? ",true]" : ",false]");
    }
    fr_buf_u8(b, ']');
}

void fr_file_record_write(fr_buf *b, const fr_file_record *r)
{
    size_t from = b->len;
    fr_buf_printf(b, "{\"v\":%d,\"kind\":\"%s\"", FR_FILE_FORMAT, kinds[r->kind]);
    put_int(b, "seq", r->seq);
    put_int(b, "epoch", r->epoch);
    put_int(b, "at_ms", r->at_ms);
    put_text(b, "writer", r->writer);
    put_text(b, "owner", r->owner);
    put_lists(b, r);
    fr_buf_printf(b, ",\"crc\":\"%08x\"}\n", fr_crc32c(0, b->ptr + from, b->len - from));
}

/* ---- reading ---- */

typedef struct reading {
    fr_arena *a;
    fr_file_record *r;
    const char *why; /* NULL: all is well so far */
} reading;

static bool bad(reading *g, const char *why)
{
    if (g->why == NULL)
        g->why = why;
    return false;
}

static fr_str text_of(reading *g, const json_t *j, const char *why)
{
    if (!json_is_string(j)) {
        bad(g, why);
        return FR_STR("");
    }
    return fr_arena_copy(g->a, json_string_value(j), json_string_length(j));
}

static int64_t int_of(reading *g, const json_t *j, int64_t least, int64_t most, const char *why)
{
    int64_t n = json_is_integer(j) ? json_integer_value(j) : least - 1;
    if (!json_is_integer(j) || n < least || n > most) {
        bad(g, why);
        return 0;
    }
    return n;
}

static fr_str path_of(reading *g, const json_t *j)
{
    fr_str path = text_of(g, j, "a path that is no text");
    if (g->why == NULL && !fr_file_path_valid(path))
        bad(g, "a path that leads out of the folder, or is none of freshet's");
    return path;
}

static const json_t *list_of(reading *g, const json_t *j, const char *name)
{
    const json_t *list = json_object_get(j, name);
    if (!json_is_array(list))
        bad(g, "a list is not there");
    return list;
}

static void read_range(reading *g, const json_t *j, fr_file_range *out)
{
    out->topic = text_of(g, json_array_get(j, 0), "offsets without a topic");
    out->partition =
        (int32_t)int_of(g, json_array_get(j, 1), 0, INT32_MAX, "offsets without a partition");
    out->first = int_of(g, json_array_get(j, 2), 0, INT64_MAX, "a first offset that is none");
    out->last =
        int_of(g, json_array_get(j, 3), out->first, INT64_MAX, "a last offset before the first");
}

/* FOLDER/DAY/NAME: what it is joined into comes beside it. */
static bool in_its_day(fr_str path, fr_str day)
{
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '/')
        at--;
    return day.len > 0 && at > day.len + 2 && path.ptr[at - day.len - 2] == '/' &&
           memcmp(path.ptr + at - day.len - 1, day.ptr, day.len) == 0;
}

static void read_entry(reading *g, const json_t *j, fr_file_entry *out)
{
    out->path = path_of(g, json_object_get(j, "path"));
    out->space = text_of(g, json_object_get(j, "space"), "a file without a space");
    out->name = text_of(g, json_object_get(j, "table"), "a file without a table");
    out->day = text_of(g, json_object_get(j, "day"), "a file without a day");
    if (!in_its_day(out->path, out->day))
        bad(g, "a file that is not in the folder of its day");
    out->shape =
        int_of(g, json_object_get(j, "schema"), 1, INT32_MAX, "a file without a schema's number");
    out->rows = int_of(g, json_object_get(j, "rows"), 1, INT64_MAX, "a file without rows");
    out->bytes = int_of(g, json_object_get(j, "bytes"), 1, INT64_MAX, "a file without bytes");
    const json_t *list = list_of(g, j, "offsets");
    out->range_count = json_array_size(list);
    out->ranges = fr_arena_alloc(g->a, (out->range_count + 1) * sizeof(*out->ranges));
    for (size_t i = 0; i < out->range_count && g->why == NULL; i++)
        read_range(g, json_array_get(list, i), &out->ranges[i]);
}

static void read_shape(reading *g, const json_t *j, fr_file_shape *out)
{
    out->space = text_of(g, json_object_get(j, "space"), "a schema without a space");
    out->name = text_of(g, json_object_get(j, "table"), "a schema without a table");
    out->number =
        int_of(g, json_object_get(j, "schema"), 1, INT32_MAX, "a schema without a number");
    const json_t *list = list_of(g, j, "columns");
    out->column_count = json_array_size(list);
    out->columns = fr_arena_alloc(g->a, (out->column_count + 1) * sizeof(*out->columns));
    for (size_t i = 0; i < out->column_count && g->why == NULL; i++) {
        const json_t *c = json_array_get(list, i);
        out->columns[i].name = text_of(g, json_array_get(c, 0), "a column without a name");
        out->columns[i].type = text_of(g, json_array_get(c, 1), "a column without a type");
        out->columns[i].key = int_of(g, json_array_get(c, 2), 0, UINT16_MAX, "a key that is none");
    }
}

static void read_key(reading *g, const json_t *j, fr_file_key *out)
{
    out->topic = text_of(g, json_array_get(j, 0), "a parked key without a topic");
    fr_str hex = text_of(g, json_array_get(j, 1), "a parked key that is none");
    char *bytes = fr_arena_raw(g->a, hex.len / 2 + 1);
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        int high = fr_hex_digit(hex.ptr[i]), low = fr_hex_digit(hex.ptr[i + 1]);
        if (high < 0 || low < 0)
            bad(g, "a parked key that is none");
        bytes[i / 2] = (char)((unsigned)(high < 0 ? 0 : high) << 4 | (unsigned)(low < 0 ? 0 : low));
    }
    out->key = (fr_str){bytes, hex.len / 2};
    out->parked = json_is_true(json_array_get(j, 2));
    if (hex.len % 2 != 0 || !json_is_boolean(json_array_get(j, 2)))
        bad(g, "a parked key that is none");
}

static void read_small_lists(reading *g, const json_t *j)
{
    fr_file_record *r = g->r;
    const json_t *list = list_of(g, j, "offsets"), *item;
    for (size_t i = 0; i < json_array_size(list) && g->why == NULL; i++) {
        fr_file_next *o = FR_FILE_ADD(g->a, &r->offsets);
        item = json_array_get(list, i);
        o->topic = text_of(g, json_array_get(item, 0), "an offset without a topic");
        o->partition =
            (int32_t)int_of(g, json_array_get(item, 1), 0, INT32_MAX, "an offset of no partition");
        o->next = int_of(g, json_array_get(item, 2), -1, INT64_MAX, "an offset that is none");
        if (json_array_size(item) > 3)
            o->topic_id = text_of(g, json_array_get(item, 3), "an offset of a topic without an id");
    }
    list = list_of(g, j, "gone");
    for (size_t i = 0; i < json_array_size(list) && g->why == NULL; i++) {
        fr_file_gone *gone = FR_FILE_ADD(g->a, &r->gone);
        item = json_array_get(list, i);
        gone->path = path_of(g, json_array_get(item, 0));
        gone->at_ms = int_of(g, json_array_get(item, 1), 0, INT64_MAX, "a time that is none");
    }
    list = list_of(g, j, "keys");
    for (size_t i = 0; i < json_array_size(list) && g->why == NULL; i++)
        read_key(g, json_array_get(list, i), FR_FILE_ADD(g->a, &r->keys));
}

static void read_lists(reading *g, const json_t *j)
{
    fr_file_record *r = g->r;
    const json_t *list = list_of(g, j, "schemas");
    for (size_t i = 0; i < json_array_size(list) && g->why == NULL; i++)
        read_shape(g, json_array_get(list, i), FR_FILE_ADD(g->a, &r->shapes));
    list = list_of(g, j, "add");
    for (size_t i = 0; i < json_array_size(list) && g->why == NULL; i++)
        read_entry(g, json_array_get(list, i), FR_FILE_ADD(g->a, &r->add));
    list = list_of(g, j, "remove");
    for (size_t i = 0; i < json_array_size(list) && g->why == NULL; i++)
        *FR_FILE_ADD(g->a, &r->remove) = path_of(g, json_array_get(list, i));
    read_small_lists(g, j);
}

static void read_head(reading *g, const json_t *j)
{
    fr_file_record *r = g->r;
    const char *kind = fr_json_str(j, "kind", "");
    size_t k = 0;
    while (k <= FR_FILE_FOLD && strcmp(kind, kinds[k]) != 0)
        k++;
    if (k > FR_FILE_FOLD)
        bad(g, "a kind that is none");
    r->kind = (fr_file_kind)k;
    r->seq = int_of(g, json_object_get(j, "seq"), 1, INT64_MAX, "no number");
    r->epoch = int_of(g, json_object_get(j, "epoch"), 1, INT64_MAX, "no epoch");
    r->at_ms = int_of(g, json_object_get(j, "at_ms"), 0, INT64_MAX, "no time");
    r->writer = text_of(g, json_object_get(j, "writer"), "no writer");
    r->owner = text_of(g, json_object_get(j, "owner"), "no owner");
}

static fr_rc corrupt(fr_err *err, const char *why)
{
    fr_fail(err, FR_ERR_CONFIG, "the manifest is damaged: %s", why);
    fr_fail_code(err, "sink.corrupt");
    return fr_fail_hint(err, "restore the folder _freshet together with the files from one backup, "
                             "or give the sink an empty folder and take a new snapshot");
}

static const char tail_start[] = ",\"crc\":\"";
enum { TAIL = sizeof(tail_start) - 1 + 8 + 3 }; /* 8 digits, quote, brace, end of line */

static bool sum_fits(fr_str text)
{
    char want[TAIL + 1];
    if (text.len <= TAIL)
        return false;
    size_t n = text.len - TAIL;
    snprintf(want, sizeof(want), "%s%08x\"}\n", tail_start, fr_crc32c(0, text.ptr, n));
    return memcmp(text.ptr + n, want, TAIL) == 0;
}

fr_rc fr_file_record_read(fr_arena *a, fr_str text, fr_file_record *out, fr_err *err)
{
    json_t *j = NULL;
    reading g = {.a = a, .r = out};
    *out = (fr_file_record){.seq = 0};
    if (!sum_fits(text))
        return corrupt(err, "its bytes are not those that were written");
    if (fr_json_parse(text, &j, err) == FR_FAIL)
        return corrupt(err, "it is no JSON");
    if (fr_json_int(j, "v", 0) > FR_FILE_FORMAT) {
        json_decref(j);
        fr_fail(err, FR_ERR_CONFIG, "the manifest was written by a newer freshet");
        fr_fail_code(err, "sink.manifest");
        return fr_fail_hint(err, "use that freshet, or give the sink a folder of its own");
    }
    if (fr_json_int(j, "v", 0) < 1)
        bad(&g, "no version");
    if (g.why == NULL)
        read_head(&g, j);
    if (g.why == NULL)
        read_lists(&g, j);
    json_decref(j);
    return g.why == NULL ? FR_OK : corrupt(err, g.why);
}
