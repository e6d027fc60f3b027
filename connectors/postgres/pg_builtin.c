#include "connectors/postgres/pg_builtin.h"
#include <stdlib.h>

#define S(literal) {literal, sizeof(literal) - 1}
#define T(oid, name, typtype, category, delimiter, length, storage, wire, kind, sql)               \
    {{oid, S("pg_catalog"), S(name), typtype, category, delimiter, length, 0, 0, -1, storage},     \
     FR_PG_WIRE_##wire,                                                                            \
     FR_##kind,                                                                                    \
     sql}
#define A(oid, name, element, delimiter)                                                           \
    {{oid, S("pg_catalog"), S(name), 'b', 'A', delimiter, -1, element, 0, -1, 'x'},                \
     FR_PG_WIRE_ARRAY,                                                                             \
     FR_JSON,                                                                                      \
     NULL}

/* clang-format off */
static const fr_pg_builtin types[] = {
    /* oid, typname, typtype, typcategory, typdelim, typlen, typstorage, wire form, kind,
     * format_type where it is not the typname */
    T(16, "bool", 'b', 'B', ',', 1, 'p', BOOL, BOOL, "boolean"),
    T(17, "bytea", 'b', 'U', ',', -1, 'x', BYTEA, BYTES, NULL),
    T(18, "char", 'b', 'Z', ',', 1, 'p', SERVER_TEXT, TEXT, "\"char\""),
    T(19, "name", 'b', 'S', ',', 64, 'p', TEXT, TEXT, NULL),
    T(20, "int8", 'b', 'N', ',', 8, 'p', INT8, INT64, "bigint"),
    T(21, "int2", 'b', 'N', ',', 2, 'p', INT2, INT32, "smallint"),
    T(22, "int2vector", 'b', 'A', ',', -1, 'p', SERVER_TEXT, TEXT, NULL),
    T(23, "int4", 'b', 'N', ',', 4, 'p', INT4, INT32, "integer"),
    T(24, "regproc", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(25, "text", 'b', 'S', ',', -1, 'x', TEXT, TEXT, NULL),
    T(26, "oid", 'b', 'N', ',', 4, 'p', UINT4, INT64, NULL),
    T(27, "tid", 'b', 'U', ',', 6, 'p', SERVER_TEXT, TEXT, NULL),
    T(28, "xid", 'b', 'U', ',', 4, 'p', UINT4, INT64, NULL),
    T(29, "cid", 'b', 'U', ',', 4, 'p', UINT4, INT64, NULL),
    T(30, "oidvector", 'b', 'A', ',', -1, 'p', SERVER_TEXT, TEXT, NULL),
    T(114, "json", 'b', 'U', ',', -1, 'x', TEXT, JSON, NULL),
    T(142, "xml", 'b', 'U', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(600, "point", 'b', 'G', ',', 16, 'p', SERVER_TEXT, TEXT, NULL),
    T(601, "lseg", 'b', 'G', ',', 32, 'p', SERVER_TEXT, TEXT, NULL),
    T(602, "path", 'b', 'G', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(603, "box", 'b', 'G', ';', 32, 'p', SERVER_TEXT, TEXT, NULL),
    T(604, "polygon", 'b', 'G', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(628, "line", 'b', 'G', ',', 24, 'p', SERVER_TEXT, TEXT, NULL),
    T(650, "cidr", 'b', 'I', ',', -1, 'm', INET, TEXT, NULL),
    T(700, "float4", 'b', 'N', ',', 4, 'p', FLOAT4, FLOAT32, "real"),
    T(701, "float8", 'b', 'N', ',', 8, 'p', FLOAT8, FLOAT64, "double precision"),
    T(718, "circle", 'b', 'G', ',', 24, 'p', SERVER_TEXT, TEXT, NULL),
    T(774, "macaddr8", 'b', 'U', ',', 8, 'p', MACADDR, TEXT, NULL),
    T(790, "money", 'b', 'N', ',', 8, 'p', MONEY, DECIMAL, NULL),
    T(829, "macaddr", 'b', 'U', ',', 6, 'p', MACADDR, TEXT, NULL),
    T(869, "inet", 'b', 'I', ',', -1, 'm', INET, TEXT, NULL),
    T(1033, "aclitem", 'b', 'U', ',', 12, 'p', SERVER_TEXT, TEXT, NULL),
    T(1042, "bpchar", 'b', 'S', ',', -1, 'x', TEXT, TEXT, "character"),
    T(1043, "varchar", 'b', 'S', ',', -1, 'x', TEXT, TEXT, "character varying"),
    T(1082, "date", 'b', 'D', ',', 4, 'p', DATE, DATE, NULL),
    T(1083, "time", 'b', 'D', ',', 8, 'p', TIME, TIME, "time without time zone"),
    T(1114, "timestamp", 'b', 'D', ',', 8, 'p', TIMESTAMP, DATETIME, "timestamp without time zone"),
    T(1184, "timestamptz", 'b', 'D', ',', 8, 'p', TIMESTAMPTZ, TIMESTAMP, "timestamp with time zone"),
    T(1186, "interval", 'b', 'T', ',', 16, 'p', INTERVAL, TEXT, NULL),
    T(1266, "timetz", 'b', 'D', ',', 12, 'p', TIMETZ, TEXT, "time with time zone"),
    T(1560, "bit", 'b', 'V', ',', -1, 'x', BIT, TEXT, NULL),
    T(1562, "varbit", 'b', 'V', ',', -1, 'x', BIT, TEXT, "bit varying"),
    T(1700, "numeric", 'b', 'N', ',', -1, 'm', NUMERIC, DECIMAL, NULL),
    T(1790, "refcursor", 'b', 'U', ',', -1, 'x', TEXT, TEXT, NULL),
    T(2202, "regprocedure", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(2203, "regoper", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(2204, "regoperator", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(2205, "regclass", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(2206, "regtype", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(2950, "uuid", 'b', 'U', ',', 16, 'p', UUID, UUID, NULL),
    T(2970, "txid_snapshot", 'b', 'U', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(3220, "pg_lsn", 'b', 'U', ',', 8, 'p', SERVER_TEXT, TEXT, NULL),
    T(3614, "tsvector", 'b', 'U', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(3615, "tsquery", 'b', 'U', ',', -1, 'p', SERVER_TEXT, TEXT, NULL),
    T(3734, "regconfig", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(3769, "regdictionary", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(3802, "jsonb", 'b', 'U', ',', -1, 'x', JSONB, JSON, NULL),
    T(3904, "int4range", 'r', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(3906, "numrange", 'r', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(3908, "tsrange", 'r', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(3910, "tstzrange", 'r', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(3912, "daterange", 'r', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(3926, "int8range", 'r', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(4072, "jsonpath", 'b', 'U', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(4089, "regnamespace", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(4096, "regrole", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(4191, "regcollation", 'b', 'N', ',', 4, 'p', SERVER_TEXT, TEXT, NULL),
    T(4451, "int4multirange", 'm', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(4532, "nummultirange", 'm', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(4533, "tsmultirange", 'm', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(4534, "tstzmultirange", 'm', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(4535, "datemultirange", 'm', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(4536, "int8multirange", 'm', 'R', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(5038, "pg_snapshot", 'b', 'U', ',', -1, 'x', SERVER_TEXT, TEXT, NULL),
    T(5069, "xid8", 'b', 'U', ',', 8, 'p', UINT8, DECIMAL, NULL),
};
static const fr_pg_builtin arrays[] = {
    /* oid, typname, typelem, typdelim */
    A(143, "_xml", 142, ','),
    A(199, "_json", 114, ','),
    A(271, "_xid8", 5069, ','),
    A(629, "_line", 628, ','),
    A(651, "_cidr", 650, ','),
    A(719, "_circle", 718, ','),
    A(775, "_macaddr8", 774, ','),
    A(791, "_money", 790, ','),
    A(1000, "_bool", 16, ','),
    A(1001, "_bytea", 17, ','),
    A(1002, "_char", 18, ','),
    A(1003, "_name", 19, ','),
    A(1005, "_int2", 21, ','),
    A(1006, "_int2vector", 22, ','),
    A(1007, "_int4", 23, ','),
    A(1008, "_regproc", 24, ','),
    A(1009, "_text", 25, ','),
    A(1010, "_tid", 27, ','),
    A(1011, "_xid", 28, ','),
    A(1012, "_cid", 29, ','),
    A(1013, "_oidvector", 30, ','),
    A(1014, "_bpchar", 1042, ','),
    A(1015, "_varchar", 1043, ','),
    A(1016, "_int8", 20, ','),
    A(1017, "_point", 600, ','),
    A(1018, "_lseg", 601, ','),
    A(1019, "_path", 602, ','),
    A(1020, "_box", 603, ';'),
    A(1021, "_float4", 700, ','),
    A(1022, "_float8", 701, ','),
    A(1027, "_polygon", 604, ','),
    A(1028, "_oid", 26, ','),
    A(1034, "_aclitem", 1033, ','),
    A(1040, "_macaddr", 829, ','),
    A(1041, "_inet", 869, ','),
    A(1115, "_timestamp", 1114, ','),
    A(1182, "_date", 1082, ','),
    A(1183, "_time", 1083, ','),
    A(1185, "_timestamptz", 1184, ','),
    A(1187, "_interval", 1186, ','),
    A(1231, "_numeric", 1700, ','),
    A(1270, "_timetz", 1266, ','),
    A(1561, "_bit", 1560, ','),
    A(1563, "_varbit", 1562, ','),
    A(2201, "_refcursor", 1790, ','),
    A(2207, "_regprocedure", 2202, ','),
    A(2208, "_regoper", 2203, ','),
    A(2209, "_regoperator", 2204, ','),
    A(2210, "_regclass", 2205, ','),
    A(2211, "_regtype", 2206, ','),
    A(2949, "_txid_snapshot", 2970, ','),
    A(2951, "_uuid", 2950, ','),
    A(3221, "_pg_lsn", 3220, ','),
    A(3643, "_tsvector", 3614, ','),
    A(3645, "_tsquery", 3615, ','),
    A(3735, "_regconfig", 3734, ','),
    A(3770, "_regdictionary", 3769, ','),
    A(3807, "_jsonb", 3802, ','),
    A(3905, "_int4range", 3904, ','),
    A(3907, "_numrange", 3906, ','),
    A(3909, "_tsrange", 3908, ','),
    A(3911, "_tstzrange", 3910, ','),
    A(3913, "_daterange", 3912, ','),
    A(3927, "_int8range", 3926, ','),
    A(4073, "_jsonpath", 4072, ','),
    A(4090, "_regnamespace", 4089, ','),
    A(4097, "_regrole", 4096, ','),
    A(4192, "_regcollation", 4191, ','),
    A(5039, "_pg_snapshot", 5038, ','),
    A(6150, "_int4multirange", 4451, ','),
    A(6151, "_nummultirange", 4532, ','),
    A(6152, "_tsmultirange", 4533, ','),
    A(6153, "_tstzmultirange", 4534, ','),
    A(6155, "_datemultirange", 4535, ','),
    A(6157, "_int8multirange", 4536, ','),
};
/* clang-format on */
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static int by_oid(const void *key, const void *entry)
{
    uint32_t oid = *(const uint32_t *)key;
    uint32_t there = ((const fr_pg_builtin *)entry)->type.oid;
    return oid < there ? -1 : oid > there;
}

const fr_pg_builtin *fr_pg_builtin_find(uint32_t oid)
{
    const fr_pg_builtin *b = bsearch(&oid, types, COUNT(types), sizeof(types[0]), by_oid);
    if (b == NULL)
        b = bsearch(&oid, arrays, COUNT(arrays), sizeof(arrays[0]), by_oid);
    return b;
}

const fr_pg_builtin *fr_pg_builtin_at(size_t index)
{
    if (index < COUNT(types))
        return &types[index];
    index -= COUNT(types);
    return index < COUNT(arrays) ? &arrays[index] : NULL;
}
