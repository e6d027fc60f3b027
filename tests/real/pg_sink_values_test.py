#!/usr/bin/env python3
"""postgres-sink: values and names of every kind, hostile ones too."""
import json
import random
import sys

from pg_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- values ----

KINDS = [
    # kind, value, type of a column that we create, text read back
    ("BOOL", True, "boolean", "true"), ("INT32", -2147483648, "integer", "-2147483648"),
    ("INT64", 9223372036854775807, "bigint", "9223372036854775807"),
    ("FLOAT32", 0.1, "real", "0.1"), ("FLOAT64", 0.1, "double precision", "0.1"),
    ("FLOAT64", "NaN", "double precision", "NaN"), ("FLOAT64", "-inf", "double precision", "-Infinity"),
    ("FLOAT64", 1e300, "double precision", "1e+300"),
    ("TEXT", "a'b\"c\\", "text", "a'b\"c\\"), ("TEXT", "", "text", ""),
    ("BYTES", "00ff27", "bytea", "\\x00ff27"), ("BYTES", "", "bytea", "\\x"),
    ("JSON", '{"b": 1, "a":[1, 2.50]}', "json", '{"b": 1, "a":[1, 2.50]}'),
    ("UUID", "0123abcd-0000-0000-0000-00000000ffff", "uuid", "0123abcd-0000-0000-0000-00000000ffff"),
    ("DATE", 0, "date", "1970-01-01"), ("DATE", -719529, "date", "0002-12-31 BC"),
    ("DATE", 2932897, "date", "10000-01-01"),
    ("TIME", 86399999999, "time without time zone", "23:59:59.999999"),
    ("TIME", 86400000000, "time without time zone", "24:00:00"),
    ("DATETIME", -1, "timestamp without time zone", "1969-12-31 23:59:59.999999"),
    ("TIMESTAMP", 1234567890123456, "timestamp with time zone", "2009-02-13 23:31:30.123456+00"),
]


@test
def every_kind(c):
    c.open()
    c.claim()
    for i, (kind, value, type_, text) in enumerate(KINDS):
        name = "k%d" % i
        c.table([ID, col("v", kind)], name)
        ok(c.apply([["c", name, {"id": 1, "v": value}]]))
        ok(c.apply([["c", name, {"id": 2, "v": value}], ["c", name, {"id": 3, "v": None}],
                    ["c", name, {"id": 4, "v": value}]]))
        ok(c.commit(1))
        same(c.q("SELECT v::text, format_type(atttypid, atttypmod) FROM %s, pg_attribute "
                 "WHERE attrelid = '%s'::regclass AND attname = 'v' ORDER BY id" % (name, name)),
             [(text, type_), (text, type_), (None, type_), (text, type_)])


@test
def every_kind_as_a_key(c):
    c.open()
    c.claim()
    for i, (kind, value, type_, text) in enumerate(KINDS):
        name = "k%d" % i
        c.table([col("k", kind, 1), col("v", "INT32")], name)
        ok(c.apply([["c", name, {"k": value, "v": 1}]]))
        ok(c.apply([["u", name, {"k": value, "v": 2}]]))
        ok(c.commit(1))
        same(c.q("SELECT v FROM %s" % name), [(2,)])
        ok(c.apply([["d", name, {"k": value}]]))
        ok(c.commit(2))
        same(c.q("SELECT v FROM %s" % name), [])


@test
def decimals(c):
    started(c, [ID, col("a", "DECIMAL", precision=38, scale=10), col("b", "DECIMAL", precision=5, scale=0),
                col("d", "DECIMAL", precision=18, scale=18)])
    rows = [("0.0000000000", "0", "0." + "0" * 18), ("-0.0000000001", "-99999", "-0." + "9" * 18),
            ("1234567890123456789012345678.9012345678", "42", "0.000000000000000001"),
            ("-922337203.6854775808", "-1", "0.5" + "0" * 17), ("922337203.6854775807", "7", "0.1" + "0" * 17)]
    ok(c.apply([["c", "t", dict(id=i, a=a, b=b, d=d)] for i, (a, b, d) in enumerate(rows)]))
    ok(c.commit(1))
    same(c.q("SELECT a::text, b::text, d::text FROM t ORDER BY id"), rows)


@test
def given_types(c):
    """A target made with the source's own DDL."""
    c.q("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    c.q("CREATE DOMAIN short AS varchar(3)")
    c.q("CREATE DOMAIN shorter AS short CHECK (value <> 'bad')")
    c.q("CREATE TYPE pair AS (a int, b text)")
    cases = [
        ("varchar(5)", "TEXT", "abcde", "abcde"), ("char(5)", "TEXT", "ab", "ab"),
        ("mood", "TEXT", "ok", "ok"), ("shorter", "TEXT", "abc", "abc"), ("jsonb", "JSON", '{"a":1}', '{"a": 1}'),
        ("inet", "TEXT", "10.0.0.1/8", "10.0.0.1/8"), ("interval", "TEXT", "1 mon 02:00:00", "1 mon 02:00:00"),
        ("smallint", "INT32", -5, "-5"), ("oid", "INT64", 4000000000, "4000000000"),
        ("numeric", "TEXT", "1.10", "1.10"), ("money", "DECIMAL2", "12.34", "$12.34"),
        ("bit(3)", "TEXT", "101", "101"), ("bit varying(5)", "TEXT", "1", "1"),
        ("int4range", "TEXT", "[1,5)", "[1,5)"), ("pair", "TEXT", "(1,x)", "(1,x)"),
        ("xml", "TEXT", "<a/>", "<a/>"), ("tsvector", "TEXT", "'a' 'b'", "'a' 'b'"),
        ("timestamp(0)", "DATETIME", 1000000, "1970-01-01 00:00:01"), ("point", "TEXT", "(1,2)", "(1,2)"),
        ("int[]", "JSON", "[1,null,-3]", "{1,NULL,-3}"), ("text[]", "JSON", '["a\\"b","","null",null,"é\\u00e9\\ud83d\\ude00,{}"]', None),
        ("int[]", "JSON", "[[1,2],[3,4]]", "{{1,2},{3,4}}"), ("int[]", "JSON", "[]", "{}"),
        ("numeric[]", "JSON", "[1.100000000000000000000000001]", "{1.100000000000000000000000001}"),
        ("jsonb[]", "JSON", json.dumps([{"a": [1, "}\\\""]}, None, '"x"', "null", '{"b":"\\n"}']), None), ("boolean[]", "JSON", "[true,false]", "{t,f}"),
        ("numeric(12,3)", "DECIMAL2", "-1.25", "-1.250"), ("text", "DECIMAL2", "-1.25", "-1.25"),
        ("text", "TIMESTAMP", 0, "1970-01-01 00:00:00+00"), ("interval", "TIME", -3020399000000, "-838:59:59"),
        ("text", "FLOAT32", 0.1, "0.1"), ("bigint", "INT32", 5, "5"), ("numeric", "INT64", 5, "5"),
        ("double precision", "FLOAT32", 0.5, "0.5"), ("timestamptz", "TIMESTAMP", 0, "1970-01-01 00:00:00+00"),
        ("text", "DATETIME", -62198755200000000, "0002-01-01 00:00:00 BC"), ("boolean", "INT32", 1, "true"),
        ("date", "DATE", 1, "1970-01-02"), ("text", "BOOL", False, "false"),
    ]
    c.open()
    c.claim()
    for i, (type_, kind, value, text) in enumerate(cases):
        name = "g%d" % i
        c.q("CREATE TABLE %s (id int PRIMARY KEY, v %s)" % (name, type_))
        extra = dict(precision=10, scale=2) if kind == "DECIMAL2" else {}
        c.table([ID, col("v", kind.rstrip("2") if kind == "DECIMAL2" else kind, **extra)], name)
        try:
            ok(c.apply([["c", name, {"id": 1, "v": value}], ["c", name, {"id": 2, "v": None}]]))
            ok(c.apply([["u", name, {"id": 2, "v": value}]]))
            ok(c.commit(1))
        except AssertionError as e:
            raise AssertionError("%s into %s: %s" % (kind, type_, e))
        if text is not None:
            got = c.q("SELECT v::text FROM %s ORDER BY id" % name)
            same((type_, kind, got), (type_, kind, [(text,), (text,)]))
    same(c.q("SELECT v FROM g20 WHERE id = 1"), [(['a"b', "", "null", None, "éé😀,{}"],)])
    same(c.q("SELECT array_to_json(v)::text FROM g24 WHERE id = 1"), [('[{"a": [1, "}\\\\\\""]},null,"x",null,{"b": "\\n"}]',)])


@test
def values_that_do_not_fit(c):
    """DATA, exact, never cut or rounded in silence, and no value in the text."""
    c.q("CREATE DOMAIN short AS varchar(3)")
    cases = [("varchar(5)", "TEXT", "toolong-secret"), ("char(2)", "TEXT", "toolong-secret"),
             ("short", "TEXT", "toolong-secret"), ("smallint", "INT32", 70000), ("text", "TEXT", "a\0b"),
             ("json", "JSON", "{secret"), ("inet", "TEXT", "secret"), ("int", "TEXT", "secret"),
             ("date", "DATE", 2147483647), ("timestamp", "DATETIME", 9223372036854775807),
             ("time", "TIME", -1), ("int[]", "JSON", '{"secret":1}'), ("int[]", "JSON", "[1,"),
             ("int[]", "JSON", '["secret"]'), ("uuid", "UUID", "secret"), ("bit(3)", "TEXT", "10"),
             ("text[]", "JSON", '["\\u0000"]'), ("jsonb", "JSON", '"\\u0000"'),
             ("text CHECK (v <> 'secret')", "TEXT", "secret"), ("text NOT NULL", "TEXT", None)]
    c.open()
    c.claim()
    for i, (type_, kind, value) in enumerate(cases):
        name = "n%d" % i
        c.q("CREATE TABLE %s (id int PRIMARY KEY, v %s)" % (name, type_))
        c.table([ID, col("v", kind), col("w")], name)
        c.q("ALTER TABLE %s ADD w text" % name)
        good = {"v": None}
        if "NOT NULL" in type_:
            good = {"v": "x"}
        events = [["c", name, dict(id=n, w="ok", **good)] for n in range(10)]
        events[6][2]["v"] = value
        r = fails(c.apply(events), "DATA")
        same((type_, r["applied"]), (type_, 6))
        assert "secret" not in json.dumps(r), r
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
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text, w varchar, a text[], j jsonb, b bytea, k text UNIQUE)")
    started(c, [ID, col("v"), col("w"), col("a", "JSON"), col("j", "JSON"), col("b", "BYTES"), col("k")])
    c.table([col("s", "TEXT", 1), col("n", "INT32")], "keys")
    rows = [dict(id=i, v=v, w=v, a=json.dumps([v, v]), j=json.dumps({"x": v}), b=v.encode("utf-8").hex(),
                 k="%d %s" % (i, v[:500])) for i, v in enumerate(values)]
    ok(c.apply([["c", "t", r] for r in rows] + [["c", "keys", {"s": v[:500], "n": i}] for i, v in enumerate(values)]))
    ok(c.commit(1))
    for r in rows[:80]:
        ok(c.apply([["u", "t", r]]))
    ok(c.commit(2))
    got = c.q("SELECT v, w, a, j->>'x', convert_from(b, 'UTF8'), k FROM t ORDER BY id")
    same(got, [(r["v"], r["v"], [r["v"], r["v"]], r["v"], r["v"], r["k"]) for r in rows])
    last = {}
    for i, v in enumerate(values):
        last[v[:500]] = i
    same(dict(c.q("SELECT s, n FROM keys")), last)
    ok(c.apply([["d", "keys", {"s": v}] for v in last if v != "'"]))
    ok(c.commit(3))
    same(c.q("SELECT s FROM keys"), [("'",)])
    same(c.q("SELECT x FROM canary"), [(1,)])


def hostile_names():
    names = ["\"", "'", "`", "]", "\\", "a\nb", "\uff02", "Foo", "foo", "\"foo\"", "select", "a b", " x ", "a.b", "$1", "%s",
             "ctidx", "é", "\U0001f600", "x" * 63, "y" * 64, "é" * 31 + "x", "é" * 32, "z" * 200, "\"; DROP TABLE canary; --",
             "u", "t", "x", "c0", "excluded", "p", "m", "d", "w", "\x01", "--", "/*", "a" * 62 + "\"", "$$", "a;b", "\t"]
    return names


@test
def hostile_names_corpus(c):
    """S02, S03"""
    c.q("CREATE TABLE canary (x int)")
    c.q("INSERT INTO canary VALUES (1)")
    c.open(deletes=1)
    c.claim()
    names = [n for n in hostile_names()]
    columns = [col("key '\"", "INT32", 1)] + [col(n) for n in names]
    for i, name in enumerate(names):
        c.table(columns, name, as_="h%d" % i)
        row = {"key '\"": 1}
        row.update({n: "v%d" % k for k, n in enumerate(names)})
        ok(c.apply([["c", "h%d" % i, row], ["c", "h%d" % i, dict(row, **{"key '\"": 2})]]))
        patch = dict(row)
        del patch["foo"]
        ok(c.apply([["u", "h%d" % i, patch]]))
        ok(c.apply([["d", "h%d" % i, {"key '\"": 2}]]))
        ok(c.commit(1))
    tables = {r[0] for r in c.q("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                                "current_schema()::regnamespace")}
    for n in names:
        if len(n.encode()) <= 63:
            assert n in tables, "table %r is missing" % n
    same(len(tables), len(names) + 3)  # canary, offsets, parked
    same(c.q("SELECT x FROM canary"), [(1,)])
    q = '"%s"' % names[0].replace('"', '""')
    got = [r[0] for r in c.q("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
                             "ORDER BY attnum", (q,))]
    for n in names:
        if len(n.encode()) <= 63:
            assert n in got, "column %r is missing" % n
    same(len(got), len(set(got)))
    c.table(columns, "bad\0name", as_="nul")
    fails(c.probe("prepare", sink="a", table="nul", create=True), "CONFIG", "sink.name")
    c.table([ID, col("bad\0")], "nulcolumn")
    fails(c.probe("prepare", sink="a", table="nulcolumn", create=True), "CONFIG", "sink.name")
    c.table([ID, col("_freshet_position")], "ours")
    fails(c.probe("prepare", sink="a", table="ours", create=True), "CONFIG", "sink.name")
    c.table([ID, col("v")], "_freshet_offsets")
    fails(c.probe("prepare", sink="a", table="_freshet_offsets", create=True), "CONFIG", "sink.name")


if __name__ == "__main__":
    sys.exit(main("pg_sink_values"))
