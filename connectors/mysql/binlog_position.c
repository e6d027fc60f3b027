#include "connectors/mysql/binlog_position.h"
#include "base/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OFFSET_BITS = 40 };

static fr_rc unreadable(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_POSITION, "the stored position cannot be read: %s", what);
    fr_fail_code(err, "my.position");
    return fr_fail_hint(err, "freshet position reset SOURCE starts over with a new snapshot");
}

static bool text_member(const json_t *obj, const char *name, char *out, size_t size)
{
    const json_t *v = json_object_get(obj, name);
    size_t len = json_string_length(v);
    if (!json_is_string(v) || len >= size)
        return false;
    memcpy(out, json_string_value(v), len + 1);
    return true;
}

static bool number_member(const json_t *obj, const char *name, uint64_t max, uint64_t *out)
{
    const json_t *v = json_object_get(obj, name);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static const char *read_xa(fr_arena *a, const json_t *obj, fr_binlog_position *p)
{
    const json_t *xa = json_object_get(obj, "xa"), *open = json_object_get(obj, "xa_open");
    const json_t *gtid = json_object_get(xa, "gtid");
    if (open != NULL && !json_is_string(open))
        return "xa_open";
    p->xa_open = fr_arena_copy(a, json_string_value(open), json_string_length(open));
    if (xa == NULL)
        return NULL;
    if (!text_member(xa, "file", p->held_file, sizeof(p->held_file)) || p->held_file[0] == '\0' ||
        !number_member(xa, "pos", (UINT64_C(1) << OFFSET_BITS) - 1, &p->held_pos) ||
        p->held_pos < 4 || !json_is_string(gtid))
        return "xa";
    p->held_gtid = fr_arena_copy(a, json_string_value(gtid), json_string_length(gtid));
    return NULL;
}

static const char *read_members(fr_arena *a, const json_t *obj, fr_binlog_position *p)
{
    char flavour[16];
    uint64_t epoch = 0;
    if (!json_is_object(obj))
        return "no JSON object";
    if (!text_member(obj, "server", p->server, sizeof(p->server)))
        return "server";
    if (!text_member(obj, "flavour", flavour, sizeof(flavour)) ||
        (strcmp(flavour, "mariadb") != 0 && strcmp(flavour, "mysql") != 0))
        return "flavour";
    p->mariadb = strcmp(flavour, "mariadb") == 0;
    if (!number_member(obj, "epoch", UINT32_MAX, &epoch))
        return "epoch";
    p->epoch = (uint32_t)epoch;
    if (!text_member(obj, "file", p->file, sizeof(p->file)) || p->file[0] == '\0')
        return "file";
    if (!number_member(obj, "pos", (UINT64_C(1) << OFFSET_BITS) - 1, &p->pos) || p->pos < 4)
        return "pos";
    if (!number_member(obj, "file_time", UINT32_MAX, &p->file_time))
        return "file_time";
    const json_t *gtid = json_object_get(obj, "gtid");
    if (!json_is_string(gtid))
        return "gtid";
    p->gtid = fr_arena_copy(a, json_string_value(gtid), json_string_length(gtid));
    if (!text_member(obj, "shapes", p->shapes, sizeof(p->shapes)))
        return "shapes";
    return read_xa(a, obj, p);
}

fr_rc fr_binlog_position_parse(fr_arena *a, fr_str text, fr_binlog_position *out, fr_err *err)
{
    json_t *obj = NULL;
    if (fr_json_parse(text, &obj, err) == FR_FAIL)
        return unreadable(err, "no JSON");
    fr_binlog_position p = {.epoch = 0};
    const char *wrong = read_members(a, obj, &p);
    json_decref(obj);
    if (wrong != NULL)
        return unreadable(err, wrong);
    *out = p;
    return FR_OK;
}

fr_str fr_binlog_position_text(fr_arena *a, const fr_binlog_position *p)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"server\":");
    fr_buf_json(&b, fr_cstr(p->server));
    fr_buf_printf(&b, ",\"flavour\":\"%s\",\"db\":\"\",\"epoch\":%" PRIu32 ",\"file\":",
                  p->mariadb ? "mariadb" : "mysql", p->epoch);
    fr_buf_json(&b, fr_cstr(p->file));
    fr_buf_printf(&b, ",\"pos\":%" PRIu64 ",\"file_time\":%" PRIu64 ",\"gtid\":", p->pos,
                  p->file_time);
    fr_buf_json(&b, p->gtid);
    if (p->held_file[0] != '\0') {
        fr_buf_text(&b, ",\"xa\":{\"file\":");
        fr_buf_json(&b, fr_cstr(p->held_file));
        fr_buf_printf(&b, ",\"pos\":%" PRIu64 ",\"gtid\":", p->held_pos);
        fr_buf_json(&b, p->held_gtid);
        fr_buf_text(&b, "}");
    }
    if (p->xa_open.len > 0) {
        fr_buf_text(&b, ",\"xa_open\":");
        fr_buf_json(&b, p->xa_open);
    }
    fr_buf_printf(&b, ",\"shapes\":\"%s\"}", p->shapes);
    return fr_buf_view(&b);
}

uint64_t fr_binlog_number_of_file(const char *file)
{
    const char *dot = strrchr(file, '.');
    if (dot == NULL || dot[1] < '0' || dot[1] > '9')
        return 0;
    char *end = NULL;
    unsigned long long n = strtoull(dot + 1, &end, 10);
    return *end == '\0' ? n : 0;
}

uint64_t fr_binlog_lsn(const char *file, uint64_t pos)
{
    return fr_binlog_number_of_file(file) << OFFSET_BITS | pos;
}
