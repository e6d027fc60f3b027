/* What format_type() prints, for any type and typmod we know. */
#include "connectors/postgres/pg_builtin.h"

enum {
    BPCHAR = 1042,
    VARCHAR = 1043,
    TIME = 1083,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    INTERVAL = 1186,
    TIMETZ = 1266,
    BIT = 1560,
    VARBIT = 1562,
    NUMERIC = 1700,
};

static void put_identifier(fr_buf *out, fr_str name)
{
    bool plain = name.len > 0 && !(name.ptr[0] >= '0' && name.ptr[0] <= '9');
    for (size_t i = 0; i < name.len; i++) {
        char ch = name.ptr[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_'))
            plain = false;
    }
    if (plain) {
        fr_buf_str(out, name);
        return;
    }
    fr_buf_u8(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            fr_buf_u8(out, '"');
        fr_buf_u8(out, (uint8_t)name.ptr[i]);
    }
    fr_buf_u8(out, '"');
}

static void put_interval(fr_buf *out, int32_t typmod)
{
    static const struct {
        int bits;
        const char *text;
    } fields[] = {
        {1 << 2, " year"},
        {1 << 1, " month"},
        {1 << 3, " day"},
        {1 << 10, " hour"},
        {1 << 11, " minute"},
        {1 << 12, " second"},
        {1 << 2 | 1 << 1, " year to month"},
        {1 << 3 | 1 << 10, " day to hour"},
        {1 << 3 | 1 << 10 | 1 << 11, " day to minute"},
        {1 << 3 | 1 << 10 | 1 << 11 | 1 << 12, " day to second"},
        {1 << 10 | 1 << 11, " hour to minute"},
        {1 << 10 | 1 << 11 | 1 << 12, " hour to second"},
        {1 << 11 | 1 << 12, " minute to second"},
    };
    fr_buf_text(out, "interval");
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].bits == ((typmod >> 16) & 0x7fff))
            fr_buf_text(out, fields[i].text);
    if ((typmod & 0xffff) != 0xffff)
        fr_buf_printf(out, "(%d)", typmod & 0xffff);
}

/* Types whose spelling has the typmod in it. */
static bool put_with_typmod(fr_buf *out, uint32_t oid, int32_t typmod)
{
    switch (oid) {
    case BPCHAR:
        fr_buf_printf(out, "character(%d)", typmod - 4);
        return true;
    case VARCHAR:
        fr_buf_printf(out, "character varying(%d)", typmod - 4);
        return true;
    case NUMERIC:
        fr_buf_printf(out, "numeric(%d,%d)", ((typmod - 4) >> 16) & 0xffff,
                      (((typmod - 4) & 0x7ff) ^ 1024) - 1024);
        return true;
    case BIT:
        fr_buf_printf(out, "bit(%d)", typmod);
        return true;
    case VARBIT:
        fr_buf_printf(out, "bit varying(%d)", typmod);
        return true;
    case TIME:
    case TIMESTAMP:
        fr_buf_printf(out, "%s(%d) without time zone", oid == TIME ? "time" : "timestamp", typmod);
        return true;
    case TIMETZ:
    case TIMESTAMPTZ:
        fr_buf_printf(out, "%s(%d) with time zone", oid == TIMETZ ? "time" : "timestamp", typmod);
        return true;
    case INTERVAL:
        put_interval(out, typmod);
        return true;
    default:
        return false;
    }
}

static void put_plain(fr_buf *out, const fr_pg_type *t)
{
    const fr_pg_builtin *b = fr_pg_builtin_find(t->oid);
    if (t->oid == BPCHAR) { /* without a length it is not character, which is character(1) */
        fr_buf_text(out, "bpchar");
    } else if (t->oid == BIT) {
        fr_buf_text(out, "\"bit\"");
    } else if (b != NULL) {
        fr_buf_text(out, b->sql != NULL ? b->sql : b->type.name.ptr);
    } else {
        if (!fr_str_is(t->space, "pg_catalog") && !fr_str_is(t->space, "public")) {
            put_identifier(out, t->space);
            fr_buf_u8(out, '.');
        }
        put_identifier(out, t->name);
    }
}

void fr_pg_type_name(const fr_pg_catalog *c, const fr_pg_type *t, int32_t typmod, fr_buf *out)
{
    const fr_pg_type *element = NULL;
    if (t->category == 'A' && t->typtype == 'b' && t->element != 0 && t->length == -1)
        element = fr_pg_catalog_find(c, t->element);
    const fr_pg_type *named = element != NULL ? element : t;
    if (typmod < 0 || !put_with_typmod(out, named->oid, typmod))
        put_plain(out, named);
    if (element != NULL)
        fr_buf_text(out, "[]");
}
