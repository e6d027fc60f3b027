#include "connectors/postgres/wal_position.h"
#include "base/bytes.h"
#include "base/json.h"
#include "connectors/postgres/pg_conn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fr_rc unreadable(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_POSITION, "the stored position is not one of a PostgreSQL source: %s",
            what);
    fr_fail_code(err, "pg.position");
    return fr_fail_hint(err, "freshet position show; position set moves it, a new snapshot "
                             "starts over");
}

static bool text_member(const json_t *obj, const char *key, char *out, size_t size)
{
    const char *text = fr_json_str(obj, key, NULL);
    if (text == NULL || text[0] == '\0' || strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool number_member(const json_t *obj, const char *key, uint32_t *out)
{
    long long v = fr_json_int(obj, key, -1);
    if (v < 0 || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

/* NULL: all is there; else the member that is not. */
static const char *read_members(const json_t *obj, fr_wal_position *p)
{
    char lsn[24];
    if (!json_is_object(obj))
        return "no JSON object";
    if (!text_member(obj, "system_identifier", p->system_identifier, sizeof(p->system_identifier)))
        return "system_identifier";
    if (!text_member(obj, "db", p->db, sizeof(p->db)))
        return "db";
    if (!text_member(obj, "slot", p->slot, sizeof(p->slot)))
        return "slot";
    if (!number_member(obj, "timeline", &p->timeline))
        return "timeline";
    if (!number_member(obj, "epoch", &p->epoch))
        return "epoch";
    if (!text_member(obj, "end_lsn", lsn, sizeof(lsn)) ||
        !fr_pg_lsn_parse(fr_cstr(lsn), &p->end_lsn) || p->end_lsn == 0)
        return "end_lsn";
    return NULL;
}

fr_rc fr_wal_position_parse(fr_str text, fr_wal_position *out, fr_err *err)
{
    json_t *obj = NULL;
    if (fr_json_parse(text, &obj, err) == FR_FAIL)
        return unreadable(err, "no JSON");
    fr_wal_position p = {.epoch = 0};
    const char *wrong = read_members(obj, &p);
    json_decref(obj);
    if (wrong != NULL)
        return unreadable(err, wrong);
    *out = p;
    return FR_OK;
}

static void put_head(fr_buf *b, const fr_wal_position *p)
{
    fr_buf_text(b, "{\"system_identifier\":");
    fr_buf_json(b, fr_cstr(p->system_identifier));
    fr_buf_printf(b, ",\"timeline\":%u,\"db\":", p->timeline);
    fr_buf_json(b, fr_cstr(p->db));
    fr_buf_text(b, ",\"slot\":");
    fr_buf_json(b, fr_cstr(p->slot));
    fr_buf_printf(b, ",\"epoch\":%u,\"end_lsn\":\"", p->epoch);
}

fr_str fr_wal_position_text(fr_arena *a, const fr_wal_position *p)
{
    char lsn[24];
    fr_pg_lsn_text(lsn, p->end_lsn);
    fr_buf b = {.arena = a};
    put_head(&b, p);
    fr_buf_text(&b, lsn);
    fr_buf_text(&b, FR_WAL_POSITION_END);
    return fr_buf_view(&b);
}

char *fr_wal_position_head(const fr_wal_position *p)
{
    fr_buf b = {.arena = NULL};
    put_head(&b, p);
    fr_buf_u8(&b, '\0');
    return (char *)b.ptr;
}

uint64_t fr_wal_position_lsn(fr_str text, uint32_t *epoch_out)
{
    fr_err ignored;
    fr_wal_position p = {.epoch = 0};
    if (fr_wal_position_parse(text, &p, &ignored) == FR_FAIL)
        return 0;
    if (epoch_out != NULL)
        *epoch_out = p.epoch;
    return p.end_lsn;
}
