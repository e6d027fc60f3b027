#!/usr/bin/env python3
"""mysql-sink: values and names of every kind, hostile ones too."""
import json
import random
import re
import sys

from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- values ----

POINT = "010100000000000000000000400000000000000840"  # POINT(2 3) as WKB
POINT_4326 = "0101000020e610000000000000000000400000000000000840"


def kinds(c):
    """kind, native type, value, type of a column that we create, text read back"""
    wide = not c.mariadb and c.version >= (8, 0, 19)  # no display widths
    f = c.fractions()
    digits = "(6)" if f else ""
    uuid = c.mariadb and c.version >= (10, 7)
    return [
        ("BOOL", "", True, "tinyint(1)", "1"), ("BOOL", "", False, "tinyint(1)", "0"),
        ("INT32", "", -2147483648, "int" if wide else "int(11)", "-2147483648"),
        ("INT32", "smallint unsigned", 65535, "smallint unsigned" if wide else "smallint(5) unsigned", "65535"),
        ("INT32", "year", 2155, "year" if wide else "year(4)", "2155"),
        ("INT64", "", -9223372036854775808, "bigint" if wide else "bigint(20)", "-9223372036854775808"),
        ("INT64", "int unsigned", 4294967295, "int unsigned" if wide else "int(10) unsigned", "4294967295"),
        ("FLOAT32", "", 0.1, "float", "0.1"), ("FLOAT64", "", 0.1, "double", "0.1"), ("FLOAT64", "", 1e300, "double", "1e300"),
        ("TEXT", "", "a'b\"c\\", "longtext", "a'b\"c\\"), ("TEXT", "text", "", "longtext", ""),
        ("TEXT", "character varying(20)", "\u00e9\U0001f600  ", "varchar(20)", "\u00e9\U0001f600  "),
        ("TEXT", "enum('a','b')", "a", "varchar(255)", "a"),
        ("BYTES", "", "00ff27", "longblob", "00FF27"), ("BYTES", "", "", "longblob", ""),
        ("BYTES", "point", POINT, "point", "0000000001" + "0100000000000000000000400000000000000840".upper()),
        ("BYTES", "geometry", POINT_4326, "geometry", "E61000000101000000" + "00000000000000400000000000000840"),
        ("JSON", "", '{"b": 1, "a":[1, 2.50]}', "longtext", '{"b": 1, "a":[1, 2.50]}'),
        ("UUID", "", "0123abcd-0000-0000-0000-00000000ffff", "uuid" if uuid else "char(36)", "0123abcd-0000-0000-0000-00000000ffff"),
        ("DATE", "", 0, "date", "1970-01-01"), ("DATE", "", -719162, "date", "0001-01-01"), ("DATE", "", 2932896, "date", "9999-12-31"),
        ("TIME", "", 86399999999 if f else 86399000000, "time" + digits, "23:59:59.999999" if f else "23:59:59"),
        ("TIME", "", -3020399000000, "time" + digits, "-838:59:59.000000" if f else "-838:59:59"),
        ("DATETIME", "", -1 if f else -1000000, "datetime" + digits, "1969-12-31 23:59:59.999999" if f else "1969-12-31 23:59:59"),
        ("TIMESTAMP", "", 1234567890123456 if f else 1234567890000000, "datetime" + digits,
         "2009-02-13 23:31:30.123456" if f else "2009-02-13 23:31:30"),
        ("TIMESTAMP", "timestamp(3)", 1234567890123000 if f else 1234567890000000, "timestamp" + digits,
         "2009-02-13 23:31:30.123000" if f else "2009-02-13 23:31:30"),
        ("TIMESTAMP", "timestamp with time zone", 253402300799000000, "datetime" + digits,
         "9999-12-31 23:59:59.000000" if f else "9999-12-31 23:59:59"),
    ]


def as_text(kind):
    return "HEX(v)" if kind == "BYTES" else "CAST(v AS CHAR)"


def type_of(c, table, column="v"):
    return c.q("SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND "
               "COLUMN_NAME = %s", (c.name, table, column))[0][0]


@test
def nothing_before_a_uuid(c):
    """An empty text, in each place beside a UUID, in statements of one row and of many."""
    if not (c.mariadb and c.version >= (10, 7)):
        raise Skip
    c.open()
    c.claim()
    a, b = "0123abcd-0000-0000-0000-00000000ffff", "fedcba98-7654-3210-0000-000000000001"
    c.table([ID, col("v"), col("u", "UUID"), col("w"), col("x", "UUID"), col("n", "BYTES")], "mixed")
    rows = [(1, "", a, "", b, ""), (2, "t", b, "", a, "00"), (3, "", a, "t", None, ""), (4, None, None, "", b, None), (5, "", b, None, a, "")]
    names = ("id", "v", "u", "w", "x", "n")
    ok(c.apply([["c", "mixed", dict(zip(names, rows[0]))]]))
    ok(c.apply([["c", "mixed", dict(zip(names, r))] for r in rows[1:]]))
    ok(c.apply([["u", "mixed", dict(zip(names, r))] for r in rows]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, u, w, x, HEX(n) FROM mixed ORDER BY id"), rows)
    c.table([col("k", key=1), col("u", "UUID", 2), col("v")], "keys")
    ok(c.apply([["c", "keys", {"k": "", "u": a, "v": ""}], ["c", "keys", {"k": "k", "u": b, "v": "t"}]]))
    ok(c.apply([["d", "keys", {"k": "", "u": a}]]))
    ok(c.commit(2))
    same(c.q("SELECT k, CAST(u AS CHAR), v FROM keys_".replace("keys_", "`keys`")), [("k", b, "t")])


@test
def uuids_that_mariadb_refuses(c):
    """From 10.11 on it takes no version of 8 and above beside a variant below 8; a text column does."""
    if not (c.mariadb and c.version >= (10, 11)):
        raise Skip
    made_up = "7989e9d0-83a4-e629-3080-3889fa619774"
    c.open()
    c.claim()
    c.table([ID, col("u", "UUID")])
    ok(c.apply([["c", "t", {"id": 1, "u": "7989e9d0-83a4-4629-a080-3889fa619774"}]]))
    ok(c.commit(1))
    r = fails(c.apply([["c", "t", {"id": 2, "u": made_up}]]), "DATA", "sink.value")
    assert "MODIFY ... char(36)" in r["error"]["hint"], r
    c.q("ALTER TABLE t MODIFY u char(36)")
    c.probe = c.new_probe()
    c.open()
    same(c.claim(), [1])
    c.table([ID, col("u", "UUID")])
    ok(c.apply([["c", "t", {"id": 2, "u": made_up}]]))
    ok(c.commit(2))
    same(c.q("SELECT u FROM t WHERE id = 2"), [(made_up,)])


@test
def every_kind(c):
    c.open()
    c.claim()
    for i, (kind, native, value, type_, text) in enumerate(kinds(c)):
        name = "k%d" % i
        c.table([ID, col("v", kind, native=native)], name)
        try:
            ok(c.apply([["c", name, {"id": 1, "v": value}]]))
            ok(c.apply([["c", name, {"id": 2, "v": value}], ["c", name, {"id": 3, "v": None}],
                        ["c", name, {"id": 4, "v": value}]]))
            ok(c.commit(1))
        except AssertionError as e:
            raise AssertionError("%s %s: %s" % (kind, native, e))
        same((kind, native, [r[0] for r in c.q("SELECT %s FROM %s ORDER BY id" % (as_text(kind), name))], type_of(c, name)),
             (kind, native, [text, text, None, text], type_))


@test
def every_kind_as_a_key(c):
    c.open()
    c.claim()
    for i, (kind, native, value, _, text) in enumerate(kinds(c)):
        if native in ("point", "geometry") or kind in ("TIME", "DATETIME", "TIMESTAMP") and not c.fractions():
            continue
        name = "k%d" % i
        c.table([col("k", kind, 1, native=native), col("v", "INT32")], name)
        ok(c.apply([["c", name, {"k": value, "v": 1}]]))
        ok(c.apply([["u", name, {"k": value, "v": 2}]]))
        ok(c.commit(1))
        same((kind, c.q("SELECT v FROM %s" % name)), (kind, [(2,)]))
        ok(c.apply([["d", name, {"k": value}]]))
        ok(c.commit(2))
        same((kind, c.q("SELECT v FROM %s" % name)), (kind, []))


@test
def decimals(c):
    started(c, [ID, col("a", "DECIMAL", precision=38, scale=10), col("b", "DECIMAL", precision=5, scale=0),
                col("d", "DECIMAL", precision=18, scale=18), col("u", "DECIMAL", precision=20, scale=0, native="bigint unsigned"),
                col("w", "DECIMAL", precision=100, scale=2)])
    rows = [("0.0000000000", "0", "0." + "0" * 18, "0", "1.00"), ("-0.0000000001", "-99999", "-0." + "9" * 18, "18446744073709551615", "-0.01"),
            ("1234567890123456789012345678.9012345678", "42", "0.000000000000000001", "9223372036854775808", "9" * 90 + ".99"),
            ("-922337203.6854775808", "-1", "0.5" + "0" * 17, "1", "0.00"), ("922337203.6854775807", "7", "0.1" + "0" * 17, "2", "5.50")]
    names = "abduw"
    ok(c.apply([["c", "t", dict(zip(names, r), id=i)] for i, r in enumerate(rows)]))
    ok(c.commit(1))
    same(c.q("SELECT CAST(a AS CHAR), CAST(b AS CHAR), CAST(d AS CHAR), CAST(u AS CHAR), w FROM t ORDER BY id"), rows)
    assert type_of(c, "t", "u").endswith("unsigned") and type_of(c, "t", "w") == "longtext"


@test
def into_given_types(c):
    cases = [
        ("varchar(5)", "TEXT", "abcde", "abcde"), ("varchar(5)", "TEXT", "\u00e9\u00e9\u00e9\u00e9\u00e9", "\u00e9\u00e9\u00e9\u00e9\u00e9"),
        ("varchar(5) CHARACTER SET latin1", "TEXT", "\u00e9", "\u00e9"), ("char(5)", "TEXT", "ab", "ab"),
        ("enum('ok','1','a,b','it''s')", "TEXT", "1", "1"), ("enum('ok','1','a,b','it''s')", "TEXT", "it's", "it's"),
        ("set('a','b','c')", "TEXT", "a,c", "a,c"), ("set('a','b','c')", "TEXT", "", ""),
        ("smallint", "INT32", -5, "-5"), ("int unsigned", "INT64", 4000000000, "4000000000"), ("bit(8)", "INT32", 65, "65"),
        ("bit(1)", "BOOL", True, "1"), ("decimal(12,3)", "DECIMAL2", "-1.25", "-1.250"), ("varchar(10)", "DECIMAL2", "-1.25", "-1.25"),
        ("tinytext", "INT64", -7, "-7"), ("text", "TIMESTAMP", 0, "1970-01-01 00:00:00"), ("varchar(20)", "FLOAT32", 0.1, "0.1"),
        ("bigint", "INT32", 5, "5"), ("decimal(20,0)", "INT64", 5, "5"), ("double", "FLOAT32", 0.5, "0.5"), ("double", "INT32", 5, "5"),
        ("datetime", "DATE", 1, "1970-01-02 00:00:00"), ("text", "BOOL", False, "false"), ("year", "INT32", 1999, "1999"), ("year", "INT32", 0, "0000"),
        ("bigint unsigned", "DECIMAL0", "18446744073709551615", "18446744073709551615"),
        ("binary(3)", "BYTES", "610062", "610062"), ("varbinary(3)", "BYTES", "61", "61"), ("tinyblob", "BYTES", "00", "00"),
        ("text", "UUID", "0123abcd-0000-0000-0000-00000000ffff", "0123abcd-0000-0000-0000-00000000ffff"), ("text", "JSON", "[1]", "[1]"),
    ]
    if c.fractions():
        cases += [("datetime(3)", "DATETIME", 1500000, "1970-01-01 00:00:01.500"), ("text", "TIME", -1, "-00:00:00.000001")]
    if not c.mariadb and c.version >= (5, 7, 8):
        cases += [("json", "JSON", '{"a":1}', '{"a": 1}'), ("json", "TEXT", '[1]', '[1]')]
    if c.mariadb and c.version >= (10, 5):
        cases += [("inet6", "TEXT", "::1", "::1")]
    c.open()
    c.claim()
    for i, (type_, kind, value, text) in enumerate(cases):
        name = "g%d" % i
        c.q("CREATE TABLE %s (id int PRIMARY KEY, v %s)" % (name, type_))
        extra = dict(precision=10, scale=2) if kind == "DECIMAL2" else dict(precision=20, scale=0) if kind == "DECIMAL0" else {}
        c.table([ID, col("v", kind.rstrip("02") if kind.startswith("DEC") else kind, **extra)], name)
        try:
            ok(c.apply([["c", name, {"id": 1, "v": value}], ["c", name, {"id": 2, "v": None}]]))
            ok(c.apply([["u", name, {"id": 2, "v": value}]]))
            ok(c.commit(1))
        except AssertionError as e:
            raise AssertionError("%s into %s: %s" % (kind, type_, e))
        read = "v + 0" if type_.startswith("bit") else as_text(kind)
        got = [str(r[0]) for r in c.q("SELECT %s FROM %s ORDER BY id" % (read, name))]
        same((type_, kind, got), (type_, kind, [text, text]))


@test
def values_that_do_not_fit(c):
    """DATA, exact, never cut or rounded in silence, the column named, and no value in the text."""
    cases = [("varchar(5)", "TEXT", "toolong-secret"), ("char(2)", "TEXT", "toolong-secret"), ("varchar(5)", "TEXT", "abcde   "),
             ("varchar(9) CHARACTER SET latin1", "TEXT", "secret\u4e2d"), ("smallint", "INT32", 70000), ("tinyint unsigned", "INT32", -1),
             ("bigint unsigned", "INT64", -1), ("enum('a')", "TEXT", "secret"), ("enum('secret','b')", "TEXT", "2"),
             ("set('a','b')", "TEXT", "a,secret"), ("set('a','b')", "TEXT", "3"), ("year", "INT32", 70), ("year", "INT32", 2156),
             ("date", "DATE", 2147483647), ("date", "DATE", -719529), ("datetime", "DATETIME", 9223372036854775807),
             ("time", "TIME", 3020400000000), ("timestamp NULL", "TIMESTAMP", 1 << 60), ("binary(4)", "BYTES", "61"), ("binary(4)", "BYTES", "6162636465"),
             ("varbinary(2)", "BYTES", "616263"), ("tinyblob", "BYTES", "61" * 256), ("tinytext", "TEXT", "s" * 256),
             ("decimal(10,2)", "INT64", 1 << 62), ("varchar(20) NOT NULL", "TEXT", None), ("double", "FLOAT64", "NaN"), ("double", "FLOAT64", "inf"),
             ("text", "FLOAT64", "-inf"), ("bit(3)", "INT32", 8), ("int NOT NULL", "INT32", None), ("timestamp NOT NULL", "TIMESTAMP", None),
             ("geometry", "GEOMETRY", "0101"), ("geometry", "GEOMETRY", "00")]
    if not c.mariadb and c.version >= (5, 7, 8):
        cases += [("json", "JSON", "{secret")]
    if c.mariadb and c.version >= (10, 4) or not c.mariadb and c.version >= (8, 0, 16):
        cases += [("varchar(20) CHECK (v <> 'secret')", "TEXT", "secret")]
    if c.mariadb and c.version >= (10, 7):
        cases += [("uuid", "TEXT", "secret")]
    if not c.fractions():
        cases = [x for x in cases if x[1:] != ("FLOAT64", "NaN")]
    c.open()
    c.claim()
    for i, (type_, kind, value) in enumerate(cases):
        name = "n%d" % i
        c.q("CREATE TABLE %s (id int PRIMARY KEY, v %s, w varchar(9))" % (name, type_))
        native = "geometry" if kind == "GEOMETRY" else ""
        c.table([ID, col("v", "BYTES" if native else kind, native=native), col("w")], name)
        good = {"v": None}
        if "NOT NULL" in type_:
            good = {"v": "x"} if kind == "TEXT" else {"v": 1000000}
        events = [["c", name, dict(id=n, w="ok", **good)] for n in range(10)]
        events[6][2]["v"] = value
        r = fails(c.apply(events), "DATA")
        same((type_, kind, value, r["applied"]), (type_, kind, value, 6))
        assert "secret" not in json.dumps(r), r
        assert re.search(r"\bv\b|_chk_", r["error"]["text"]), r
        same(c.q("SELECT count(*) FROM %s" % name), [(0,)])
        ok(c.probe("rollback", sink="a"))
        events[6] = ["HB"]
        ok(c.apply(events))
        ok(c.commit(1))
        same(c.q("SELECT count(*) FROM %s" % name), [(9,)])


def hostile_values():
    base = ["'", "''", "\"", "\\", "\\'", "\\\\'", "'; DROP TABLE canary; --", "'); DELETE FROM canary; --",
            "$$; DROP TABLE canary; $$", "$1", "$2", "%s", "%n%n", "{}", "{\"}", "NULL", "null", "\\N", "\\.", "DEFAULT",
            "now()", "/*", "*/", "--", ";", "\n", "\r\n", "\t", "\x01", "\x1b[31m", "\x7f", "\u0080", "\u00a0",
            "\u200b", "\u202e", "\ufeff", "\uff07", "\u2018", "\u02bc", "\ud7ff", "\ue000", "\ufffd", "\uffff",
            "\U0001f600", "\U0010ffff", "é", "e\u0301", "İ", "ß", "ﬃ", " ", "  x  ", "\\x00", "\\u0000", "E'\\''",
            "U&'\\0027'", "1; SELECT pg_sleep(10)", "' OR '1'='1", "' UNION SELECT 1 --", "{1,2}", "(1,2)", "[1,2]",
            "\"a\",\"b\"", "a,b", "<script>", "&amp;", "../../etc/passwd", "a" * 10000, "'" * 1000, "\\" * 1001, "\"" * 777,
            "x" * 200000]
    rng = random.Random(11)
    pieces = ["'", "\"", "\\", ";", "--", "$", "{", "}", ",", "\n", "é", "\U0001f600", "%", "a", " ", "(", ")", "NULL"]
    while len(base) < 260:
        base.append("".join(rng.choice(pieces) for _ in range(rng.randrange(1, 20))))
    return base


@test
def hostile_value_corpus(c):
    """S01"""
    values = hostile_values()
    c.q("CREATE TABLE canary (x int)")
    c.q("INSERT INTO canary VALUES (1)")
    c.q("CREATE TABLE t (id int PRIMARY KEY, v longtext, w mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, j longtext, "
        "b longblob, k varbinary(700), UNIQUE (k))")
    started(c, [ID, col("v"), col("w"), col("j", "JSON"), col("b", "BYTES"), col("k", "BYTES")])
    c.table([col("s", "TEXT", 1), col("n", "INT32")], "other")
    rows = [dict(id=i, v=v, w=v, j=json.dumps({"x": v}), b=v.encode("utf-8").hex(), k=("%d %s" % (i, v[:150])).encode("utf-8").hex())
            for i, v in enumerate(values)]
    short = [v[:150] for v in values]
    if not c.mariadb and c.version < (8, 0, 17):
        short = [v.rstrip(" ") for v in short]  # this server's indexes do not see spaces at the end
    ok(c.apply([["c", "t", r] for r in rows] + [["c", "other", {"s": v, "n": i}] for i, v in enumerate(short)]))
    ok(c.commit(1))
    for r in rows[:40]:
        ok(c.apply([["u", "t", r]]))
    ok(c.commit(2))
    got = c.q("SELECT v, w, j, b, k FROM t ORDER BY id")
    same(got, [(r["v"], r["v"], r["j"], bytes.fromhex(r["b"]), bytes.fromhex(r["k"])) for r in rows])
    last = {}
    for i, v in enumerate(short):
        last[v] = i
    same(dict(c.q("SELECT s, n FROM other")), last)
    ok(c.apply([["d", "other", {"s": v}] for v in last if v != "'"]))
    ok(c.commit(3))
    same(c.q("SELECT s FROM other"), [("'",)])
    same(c.q("SELECT x FROM canary"), [(1,)])


def hostile_names():
    return ["\"", "'", "`", "``", "]", "\\", "a\nb", "\uff02", "Foo", "\"foo\"", "select", "a b", " x", "x ", "a.b", "?", "%s", "$1",
            "\u00e9", "\U0001f600", "x" * 64, "y" * 65, "\u00e9" * 64, "\u00e9" * 65, "z" * 200, "`; DROP TABLE canary; --",
            "_freshet_row", "_freshet_new", "VALUES", "\x01", "--", "/*", "#", "a" * 63 + "`", "a;b", "\t", "0", "1e5", "_utf8mb4", "@x", ":y"]


@test
def hostile_names_corpus(c):
    """S02, S03"""
    c.q("CREATE TABLE canary (x int)")
    c.q("INSERT INTO canary VALUES (1)")
    c.open(deletes=1)
    c.claim()
    names = hostile_names()
    if not c.fractions():
        names = [n for n in names if len(n) < 64 or n.isascii()]  # names of files get too long
    columns = [col("key '\"`", "INT32", 1)] + [col(n) for n in names]
    for i, name in enumerate(names):
        c.table(columns, name, as_="h%d" % i)
        row = {"key '\"`": 1}
        row.update({n: "v%d" % k for k, n in enumerate(names)})
        ok(c.apply([["c", "h%d" % i, row], ["c", "h%d" % i, dict(row, **{"key '\"`": 2})]]))
        patch = dict(row)
        del patch["Foo"]
        ok(c.apply([["u", "h%d" % i, patch]]))
        ok(c.apply([["d", "h%d" % i, {"key '\"`": 2}]]))
        ok(c.commit(1))
    plain = [n for n in names if len(n) <= 64 and n[-1] not in " \t\n" and max(n) < "\U00010000"]
    tables = {r[0] for r in c.q("SHOW TABLES")}
    for n in plain:
        assert n in tables, "table %r is missing" % n
    same(len(tables), len(names) + 3)  # canary, offsets, parked
    same(c.q("SELECT x FROM canary"), [(1,)])
    got = [r[0] for r in c.q("SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND "
                             "TABLE_NAME = %s", (c.name, names[0]))]
    for n in plain:
        assert n in got, "column %r is missing" % n
    same(len(got), len(names) + 3)
    c.table(columns, "bad\0name", as_="nul")
    fails(c.probe("prepare", sink="a", table="nul", create=True), "CONFIG", "sink.name")
    c.table([ID, col("bad\0")], "nulcolumn")
    fails(c.probe("prepare", sink="a", table="nulcolumn", create=True), "CONFIG", "sink.name")
    c.table([ID, col("_FRESHET_position")], "ours")
    fails(c.probe("prepare", sink="a", table="ours", create=True), "CONFIG", "sink.name")
    c.table([ID, col("v")], "_freshet_offsets")
    fails(c.probe("prepare", sink="a", table="_freshet_offsets", create=True), "CONFIG", "sink.name")


if __name__ == "__main__":
    sys.exit(main("mysql_sink_values"))
