#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""clickhouse-sink: values, types, names, targets that are there, changes of tables."""
from clickhouse_sink_case import *  # noqa: F401,F403: the vocabulary of these tests

DAY = 86400000000


def us(text):
    """Microseconds of a time in UTC."""
    import datetime
    t = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
    return (t - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


# kind, value, what the server shows of it as text, column
KINDS = [
    ("BOOL", True, "true"), ("BOOL", False, "false"), ("INT32", -2147483648, "-2147483648"), ("INT32", 2147483647, "2147483647"),
    ("INT64", 9223372036854775807, "9223372036854775807"), ("INT64", -9223372036854775808, "-9223372036854775808"),
    ("FLOAT32", 0.10000000149011612, "0.1"), ("FLOAT64", 0.1, "0.1"), ("FLOAT64", 5e-324, "5e-324"), ("FLOAT64", "inf", "inf"),
    ("FLOAT64", "-inf", "-inf"), ("FLOAT64", "nan", "nan"), ("FLOAT64", -0.0, "-0"), ("DECIMAL", "12.30", "12.3"), ("DECIMAL", "-0.01", "-0.01"), ("DECIMAL", "0.00", "0"),
    ("DECIMAL", "-" + "9" * 60 + ".99", "-" + "9" * 60 + ".99"), ("TEXT", "", ""), ("TEXT", "a\u0000b\u0000", "a\u0000b\u0000"),
    ("TEXT", "\u00e9\U0001f600 '\"\\ \t\n", "\u00e9\U0001f600 '\"\\ \t\n"), ("TEXT", "x" * 70000, "x" * 70000), ("BYTES", "00ff27", "\x00\udcff'"),
    ("BYTES", "", ""), ("JSON", '{"b": 1, "a":[1, 2.50]}', '{"b": 1, "a":[1, 2.50]}'), ("UUID", "0123abcd-0000-4000-8000-00000000ffff", "0123abcd-0000-4000-8000-00000000ffff"),
    ("DATE", 0, "1970-01-01"), ("DATE", -25567, "1900-01-01"), ("DATE", 120529, "2299-12-31"), ("TIME", DAY - 1, "23:59:59.999999"), ("TIME", 0, "00:00:00"),
    ("TIME", -1800000000, "-00:30:00"), ("TIME", 3020399000000, "838:59:59"), ("DATETIME", -1, "1969-12-31 23:59:59.999999"), ("DATETIME", 0, "1970-01-01 00:00:00.000000"),
    ("TIMESTAMP", 1234567890123456, "2009-02-13 23:31:30.123456"), ("TIMESTAMP", us("1900-01-01T00:00:00"), "1900-01-01 00:00:00.000000"),
    ("TIMESTAMP", us("2299-12-31T23:59:59.999999"), "2299-12-31 23:59:59.999999")]
TYPES = dict(BOOL="Bool", INT32="Int32", INT64="Int64", FLOAT32="Float32", FLOAT64="Float64", DECIMAL="Decimal(62, 2)", UUID="UUID", DATE="Date32",
             DATETIME="DateTime64(6, 'UTC')", TIMESTAMP="DateTime64(6, 'UTC')")


@test
def every_kind(c):
    """Read back by another client; also as a key; NULL is NULL; only what may be NULL is Nullable."""
    started(c, [ID])
    for i, (kind, value, want) in enumerate(KINDS):
        name = "k%d" % i
        c.table([ID, col("v", kind, scale=2, precision=62)], name)
        ok(c.apply([["c", name, {"id": 1, "v": value}], ["c", name, {"id": 2, "v": None}], ["u", name, {"id": 3, "v": value}]]))
        if value != "nan":
            key = "key%d" % i
            c.table([col("k", kind, 1, scale=2, precision=62), col("v", "INT32")], key)
            ok(c.apply([["c", key, {"k": value, "v": 1}], ["u", key, {"k": value, "v": 2}]]))
    ok(c.commit())
    for i, (kind, value, want) in enumerate(KINDS):
        got = c.q("SELECT v IS NULL, ifNull(toString(v), '') FROM k%d FINAL ORDER BY id" % i)
        same((kind, value, got), (kind, value, [(0, want), (1, ""), (0, want)]))
        types = dict(c.q("SELECT name, type FROM system.columns WHERE database = '%s' AND table = 'k%d'" % (c.name, i)))
        same((types["id"], types["v"]), ("Int32", "Nullable(%s)" % TYPES.get(kind, "String")))
        if value != "nan":
            same((kind, value, c.q("SELECT toString(k), v FROM key%d FINAL" % i)), (kind, value, [(want, 2)]))
    same(c.q("SELECT toUnixTimestamp64Micro(v) FROM k34 WHERE id = 1"), [(1234567890123456,)])
    same(c.q("SELECT hex(v) FROM k21 WHERE id = 1"), [("00FF27",)])
    ok(c.apply([["d", "key%d" % i, {"k": value}] for i, (kind, value, want) in enumerate(KINDS) if value != "nan"]))
    ok(c.commit())
    same([c.q("SELECT count() FROM key%d FINAL" % i)[0][0] for i in range(len(KINDS)) if KINDS[i][1] != "nan"], [0] * (len(KINDS) - 1))


@test
def only_what_may_be_null(c):
    c.open()
    c.claim()
    ok(c.probe("table", **{"as": "t"}, name="t", columns=[ID, col("a"), dict(col("b"), nullable=False)]))
    ok(c.apply([["c", "t", {"id": 1, "a": None, "b": "x"}]]))
    ok(c.commit())
    same(c.q("SELECT name, type FROM system.columns WHERE database = '%s' AND table = 't' ORDER BY position" % c.name)[1:3],
         [("a", "Nullable(String)"), ("b", "String")])
    e = fails(c.apply([["c", "t", {"id": 1, "a": None, "b": None}]]), "DATA", "sink.not_null")["error"]
    assert "b" in e["text"], e
    c.table([ID, col("a"), col("b")], as_="t2")  # the messages may have NULL there now
    ok(c.apply([["c", "t2", {"id": 2, "a": None, "b": None}]]))
    ok(c.commit())
    same(c.q("SELECT id, b FROM t FINAL ORDER BY id"), [(1, "x"), (2, None)])


INTO = [
    ("Int8", "INT32", -128, "-128"), ("UInt8", "BOOL", True, "1"), ("UInt16", "INT32", 65535, "65535"), ("Int64", "INT32", -5, "-5"), ("Int256", "INT64", -(1 << 63), str(-(1 << 63))),
    ("UInt256", "DECIMAL0", str((1 << 200)), str(1 << 200)), ("Int128", "DECIMAL0", str(-(1 << 127)), str(-(1 << 127))), ("UInt64", "DECIMAL0", str((1 << 64) - 1), str((1 << 64) - 1)),
    ("Float64", "INT32", 7, "7"), ("Float64", "FLOAT32", 0.5, "0.5"), ("Decimal(38, 10)", "DECIMAL2", "-12.30", "-12.3"), ("Decimal(9, 2)", "DECIMAL2", "1234567.89", "1234567.89"),
    ("Decimal(20, 3)", "INT64", -17, "-17"), ("Decimal(76, 30)", "DECIMAL2", "-1.05", "-1.05"), ("String", "BOOL", True, "true"), ("String", "INT64", -7, "-7"), ("String", "DECIMAL2", "-0.50", "-0.50"),
    ("String", "TIMESTAMP", 0, "1970-01-01 00:00:00"), ("String", "UUID", "0123abcd-0000-4000-8000-00000000ffff", "0123abcd-0000-4000-8000-00000000ffff"), ("String", "FLOAT64", 0.1, "0.1"),
    ("LowCardinality(String)", "TEXT", "abc", "abc"), ("LowCardinality(Nullable(String))", "TEXT", "abc", "abc"), ("FixedString(3)", "TEXT", "abc", "abc"), ("FixedString(2)", "BYTES", "6162", "ab"),
    ("Date", "DATE", 20000, "2024-10-04"), ("DateTime('UTC')", "TIMESTAMP", 1000000, "1970-01-01 00:00:01"), ("DateTime64(3, 'Asia/Tokyo')", "TIMESTAMP", 1000, "1970-01-01 09:00:00.001"),
    ("DateTime64(9, 'UTC')", "DATETIME", 1, "1970-01-01 00:00:00.000001000"), ("DateTime64(0, 'UTC')", "DATETIME", 5000000, "1970-01-01 00:00:05")]
REFUSED = [
    ("Int8", "INT32", 128), ("Int8", "INT32", -129), ("UInt32", "INT32", -1), ("UInt64", "DECIMAL0", str(1 << 64)), ("Int128", "DECIMAL0", str(1 << 127)), ("Int64", "DECIMAL0", str(1 << 70)),
    ("Decimal(9, 2)", "DECIMAL2", "12345678.90"), ("Decimal(4, 3)", "INT64", 10), ("FixedString(3)", "TEXT", "ab"), ("FixedString(3)", "TEXT", "abcd"), ("Date", "DATE", -1), ("Date", "DATE", 65536),
    ("Date32", "DATE", 120530), ("Date32", "DATE", -25568), ("DateTime('UTC')", "TIMESTAMP", 1), ("DateTime('UTC')", "TIMESTAMP", -1000000), ("DateTime('UTC')", "TIMESTAMP", 1 << 53),
    ("DateTime64(3, 'UTC')", "TIMESTAMP", 1), ("DateTime64(6, 'UTC')", "TIMESTAMP", 1 << 61), ("DateTime64(9, 'UTC')", "TIMESTAMP", 10000000000000000), ("String", "TEXT", None), ("UUID", "UUID", "no")]
NOT_INTO = [("Int32", "TEXT"), ("Int64", "DECIMAL2"), ("Float32", "FLOAT64"), ("Float64", "INT64"), ("Float64", "DECIMAL2"), ("Decimal(20, 1)", "DECIMAL2"), ("Bool", "INT32"), ("UUID", "TEXT"),
         ("Date32", "TIMESTAMP"), ("DateTime64(6)", "DATE"), ("Array(String)", "JSON"), ("Enum8('a' = 1)", "TEXT"), ("IPv4", "TEXT"), ("Map(String, String)", "JSON"), ("Date", "TEXT")]


def column(kind, name="v"):
    extra = dict(precision=10, scale=2) if kind == "DECIMAL2" else dict(precision=76, scale=0) if kind == "DECIMAL0" else {}
    return dict(col(name, kind.rstrip("02") if kind.startswith("DEC") else kind, **extra), nullable=False)


@test
def into_given_types(c):
    c.open(write_mode=1, change_type=BLOCK)
    c.claim()
    for i, (type_, kind, value, want) in enumerate(INTO):
        c.q("CREATE TABLE g%d (id Int32, v %s, _freshet_position UInt128) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 1000" % (i, type_))
        ok(c.probe("table", **{"as": "g%d" % i}, name="g%d" % i, columns=[col("id", "INT32"), column(kind)]))
        ok(c.apply([["c", "g%d" % i, {"id": 1, "v": value}]]))
    ok(c.commit())
    for i, (type_, kind, value, want) in enumerate(INTO):
        same((type_, kind, c.q("SELECT toString(v) FROM g%d" % i)), (type_, kind, [(want,)]))


@test
def values_that_are_refused(c):
    """Never cut, rounded or wrapped; the column is named, and no value is in the text."""
    c.open(write_mode=1, change_type=BLOCK)
    c.claim()
    for i, (type_, kind, value) in enumerate(REFUSED):
        c.q("CREATE TABLE r%d (id Int32, v %s, _freshet_position UInt128) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 1000" % (i, type_))
        ok(c.probe("table", **{"as": "r"}, name="r%d" % i, columns=[col("id", "INT32"), column(kind)]))
        r = fails(c.apply([["TABLE", "r"], ["c", "r", {"id": 4711, "v": value}]]), "DATA")
        same((type_, kind, r["applied"]), (type_, kind, 1))
        assert "column v" in r["error"]["text"] and "4711" not in r["error"]["text"], r


@test
def types_that_do_not_fit(c):
    c.open(write_mode=1, change_type=BLOCK)
    c.claim()
    for i, (type_, kind) in enumerate(NOT_INTO):
        c.q("CREATE TABLE n%d (id Int32, v %s, _freshet_position UInt128) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 1000" % (i, type_))
        ok(c.probe("table", **{"as": "n"}, name="n%d" % i, columns=[col("id", "INT32"), column(kind)]))
        r = fails(c.probe("prepare", sink="a", table="n", create=False), "CONFIG", "sink.types")
        assert type_.split("(")[0] in r["error"]["text"], r


@test
def hostile_corpus(c):
    """S01, S02, I16: values are values and names are names; canaries stay as they are."""
    c.q("CREATE TABLE canary (id Int32, v String) ENGINE = MergeTree ORDER BY id")
    c.q("INSERT INTO canary VALUES (1, 'alive')")
    values = ["'", "''", '"', "`", "]", "\\", "\\'", "'; DROP TABLE canary; --", '"; DROP TABLE canary; --', "%s%n%d", "{v:String}", ":v", "@v", "$v", "\n\r\t", "\u0000",
              "NULL", "\\N", "x'00'", "\uff02", "\U0001f4a9", "a" * 100000, "{{}}", "${v}", "--", "/*", "\u202e", "\ufeff", "__exception__"]
    names = ['"', "`", "]", "[", "\\", "\\`", "a\nb", "\uff02", "x" * 60, "select", "final", "a.b", "A b", "'; DROP TABLE canary; --", "\u00e9", "t.t", "%s", "%41", "{n:String}", "-", "\t", "c)"]
    started(c)
    ok(c.apply([["c", "t", {"id": i, "v": v}] for i, v in enumerate(values)]))
    for i, name in enumerate(names):
        c.table([col(name, "TEXT", 1), col("v"), col(name + "2")], "table " + name, as_="n%d" % i)
        c.table([col("k", "INT32", 1), col(name)], name, as_="m%d" % i)
        ok(c.apply([["c", "n%d" % i, {name: "key", "v": "a", name + "2": name}], ["u", "n%d" % i, {name: "key", "v": "b", name + "2": name}],
                    ["c", "m%d" % i, {"k": 1, name: "old"}], ["u", "m%d" % i, {"k": 1, name: name}]]))
    ok(c.commit())
    same([r[0] for r in c.q("SELECT v FROM t FINAL ORDER BY id")], values)
    there = {r[0] for r in c.q("SELECT name FROM system.tables WHERE database = '%s'" % c.name)}
    for name in names:
        quoted = "`%s`" % name.replace("\\", "\\\\").replace("`", "\\`")
        assert "table " + name in there and name in there and name + "_current" in there, name
        same(c.q("SELECT * FROM %s FINAL" % quoted)[0][:2], (1, name))
        same(c.q("SELECT * FROM `table %s FINAL" % quoted[1:])[0][:3], ("key", "b", name))
    same(c.q("SELECT * FROM canary"), [(1, "alive")])
    c.open("\u00e9' \t", pipeline="p'\\`\n\"", name="s'\t\\")
    same(c.claim("\u00e9' \t", parts=(("to'\\pic", 0),)), [-1])
    ok(c.probe("commit", sink="\u00e9' \t", offsets=[["to'\\pic", 0, 5]]))
    same(c.claim("\u00e9' \t", parts=(("to'\\pic", 0),)), [5])


@test
def names_that_are_refused(c):
    """S03: names that differ by case are two; what cannot be a name is refused."""
    started(c, [ID, col("Foo"), col("foo")])
    ok(c.apply([["c", "t", {"id": 1, "Foo": "upper", "foo": "lower"}]]))
    c.table([ID, col("v")], "T")
    ok(c.apply([["c", "T", {"id": 1, "v": "another"}]]))
    ok(c.commit())
    same((c.q("SELECT Foo, foo FROM t FINAL"), c.q("SELECT v FROM T FINAL")), ([("upper", "lower")], [("another",)]))
    for name in ("_freshet_offsets", "_freshet_parked", "a\u0000b", ""):
        c.table([ID, col("v")], name, as_="bad")
        fails(c.probe("prepare", sink="a", table="bad", create=True), "CONFIG", "sink.name")
    for name in ("_freshet_position", "_freshet_deleted", "a\u0000b", ""):
        c.table([ID, col(name)], "own", as_="bad")
        fails(c.probe("prepare", sink="a", table="bad", create=True), "CONFIG", "sink.name")
    c.table([ID, col("v")], "y" * 300, as_="long")
    fails(c.apply([["c", "long", {"id": 1, "v": "x"}]]), "CONFIG", "sink.table")


# ---- targets ----

WINDOW = " SETTINGS non_replicated_deduplication_window = 1000"
OWN = "_freshet_position UInt128, _freshet_deleted UInt8"
RMT = " ENGINE = ReplacingMergeTree(_freshet_position, _freshet_deleted) ORDER BY id"


@test
def what_a_given_table_lacks(c):
    c.open()
    c.open("app", write_mode=1, deletes=2, name="app")
    c.open("soft", deletes=1, name="soft")
    c.open("block", add_column=BLOCK, drop_column=STOP, change_type=STOP, name="block")
    for ddl, sink, code, remedy in [
            ("(id Int32, v Nullable(String), " + OWN + ")" + RMT, "a", "sink.table", "MODIFY SETTING non_replicated_deduplication_window = 10000"),
            ("(id Int32, v Nullable(String), " + OWN + ")" + RMT + WINDOW.replace("1000", "10"), "a", "sink.table", "MODIFY SETTING"),
            ("(id Int32, v Nullable(String), " + OWN + ") ENGINE = ReplacingMergeTree(_freshet_position) ORDER BY id" + WINDOW, "a", "sink.table", "_freshet_deleted"),
            ("(id Int32, v Nullable(String), " + OWN + ") ENGINE = ReplacingMergeTree ORDER BY id" + WINDOW, "a", "sink.table", "ReplacingMergeTree("),
            ("(id Int32, v Nullable(String), " + OWN + ") ENGINE = MergeTree ORDER BY id" + WINDOW, "a", "sink.table", "ReplacingMergeTree("),
            ("(id Int32, v Nullable(String), " + OWN + ")" + RMT + WINDOW, "soft", "sink.table", "soft needs"),
            ("(id Int32, v Nullable(String), " + OWN + ")" + RMT + WINDOW, "app", "sink.table", "needs MergeTree"),
            ("(id Int32, v Nullable(String)) ENGINE = Null", "app", "sink.table", "needs MergeTree"),
            ("(id Int32, v Nullable(String), " + OWN + ")" + RMT.replace("BY id", "BY (id, v)") + WINDOW + ", allow_nullable_key = 1", "a", "sink.key", "anew"),
            ("(id Int32, v Nullable(String), " + OWN + ")" + RMT.replace("BY id", "BY intHash32(id)") + WINDOW, "a", "sink.key", "anew"),
            ("(id Int32, v Nullable(String), _freshet_position UInt64, _freshet_deleted UInt8)" + RMT + WINDOW, "a", "sink.table", "own"),
            ("(id Int32, v Nullable(Int32), " + OWN + ")" + RMT + WINDOW, "block", "sink.types", "String"),
            ("(id Int32, " + OWN + ")" + RMT + WINDOW, "block", "sink.add_column", "ADD COLUMN"),
            ("(id Int32, v Nullable(String), must Int32, " + OWN + ")" + RMT + WINDOW, "block", "sink.types", "Nullable")]:
        c.q("CREATE TABLE t " + ddl)
        c.table([ID, col("v")])
        r = fails(c.probe("prepare", sink=sink, table="t", create=False), "CONFIG", code)
        assert remedy in r["error"]["hint"], (ddl, r["error"])
        same(("blocker", code) in severities(c.plan(sink=sink)), True)
        c.q("DROP TABLE t SYNC")
    c.q("CREATE TABLE t (id Int32, v Nullable(String), " + OWN + ")" + RMT)
    r = fails(c.probe("prepare", sink="a", table="t", create=False), "CONFIG", "sink.table")
    c.q(r["error"]["hint"].split(": ", 1)[1])  # the remedy is SQL that mends it
    c.claim()
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["u", "t", {"id": 1, "v": "b"}]]))
    ok(c.commit())
    same(c.q("SELECT id, v FROM t FINAL"), [(1, "b")])
    c.q("CREATE VIEW w AS SELECT 1 AS id, 'x' AS v")
    c.table([ID, col("v")], "w")
    fails(c.probe("prepare", sink="a", table="w", create=False), "CONFIG")


@test
def partitions_of_the_target(c):
    """A row whose partition changes has versions in two; FINAL shows the newest; tokens hold in each."""
    started(c)
    c.q("CREATE TABLE p (id Int32, v Nullable(String), d Nullable(Int32), " + OWN + ") ENGINE = ReplacingMergeTree(_freshet_position, _freshet_deleted) "
        "PARTITION BY ifNull(d, 0) % 4 ORDER BY id" + WINDOW)
    c.table([ID, col("v"), col("d", "INT32")], "p")
    same(severities(c.plan("p")), [("warning", "sink.table"), ("change", "sink.table")])
    ok(c.apply([["c", "p", {"id": i, "v": "a", "d": i}] for i in range(20)]))
    ok(c.commit())
    ok(c.apply([["u", "p", {"id": i, "v": "b", "d": i + 1}] for i in range(10)] + [["d", "p", {"id": 15}], ["d", "p", {"id": 16, "v": "a", "d": 16}]]))
    ok(c.commit())
    same(c.q("SELECT id, v FROM p FINAL ORDER BY id"), [(i, "b" if i < 10 else "a") for i in range(20) if i not in (15, 16)])


@test
def many_partitions_of_the_target(c):
    """A block goes into as many as its rows say; the server's usual 100 are for people's mistakes."""
    for mode, engine in ((1, "MergeTree"), (0, "ReplacingMergeTree(_freshet_position, _freshet_deleted)")):
        name = "p%d" % mode
        c.open(name, name=name, write_mode=mode)
        c.q("CREATE TABLE " + name + " (id Int32, v Nullable(String), " + OWN + ") ENGINE = " + engine + " PARTITION BY id ORDER BY id" + WINDOW)
        c.table([ID, col("v")], name)
        c.claim(name)
        ok(c.apply([["c", name, {"id": i, "v": "a"}] for i in range(150)], name))
        ok(c.commit(name))
        same((mode, c.q("SELECT count(), uniqExact(_partition_id) FROM %s" % name)), (mode, [(150, 150)]))


@test
def a_view_beside_columns_that_it_cannot_show(c):
    """MATERIALIZED, ALIAS and EPHEMERAL are not in SELECT *: the view has all that there is."""
    started(c)
    c.q("CREATE TABLE m (id Int32, v Nullable(String), m1 Int32 MATERIALIZED id + 1, m2 Int32 MATERIALIZED id + 2, al String ALIAS concat('x', ifNull(v, '')), "
        "e Int32 EPHEMERAL 1, e2 Int32 EPHEMERAL 1, " + OWN + ")" + RMT + WINDOW)
    c.table([ID, col("v")], "m")
    same(severities(c.plan("m")), [("change", "sink.table")])  # it is not there yet
    ok(c.probe("prepare", sink="a", table="m", create=True))
    same(severities(c.plan("m")), [])
    c.q("ALTER TABLE m ADD COLUMN w Nullable(Int32)")
    same(severities(c.plan("m")), [("change", "sink.table")])
    ok(c.probe("prepare", sink="a", table="m", create=True))
    same(severities(c.plan("m")), [])
    same(c.q("SELECT name FROM system.columns WHERE database = '%s' AND table = 'm_current' ORDER BY position" % c.name), [("id",), ("v",), ("w",)])


@test
def columns_by_policy(c):
    """I05"""
    started(c, [ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    c.table([ID, col("v"), col("\u00c4rger", "DECIMAL", precision=5, scale=1)], as_="t2")
    ok(c.apply([["TABLE", "t2"], ["c", "t2", {"id": 2, "v": "b", "\u00c4rger": "1.5"}], ["u", "t", {"id": 1, "v": "c"}]]))
    ok(c.commit())
    same(c.q("SELECT id, v, `\u00c4rger` FROM t_current ORDER BY id"), [(1, "c", None), (2, "b", 1.5)])  # the view was renewed
    c.open("ignore", add_column=IGNORE, name="ignore")
    c.claim("ignore")
    c.table([ID, col("v"), col("w")], as_="t3")
    assert ("warning", "sink.table") in severities(c.plan("t3", "ignore"))
    ok(c.apply([["u", "t3", {"id": 1, "v": "d", "w": "left out"}]], "ignore", offset=100))
    ok(c.commit("ignore"))
    same(c.q("SELECT v FROM t FINAL WHERE id = 1"), [("d",)])
    ok(c.probe("table", **{"as": "d1"}, name="d", columns=[ID, dict(col("v"), nullable=False), col("w")]))
    c.table([ID, col("w")], "d", as_="d2")
    ok(c.apply([["c", "d1", {"id": 1, "v": "a", "w": "b"}], ["c", "d1", {"id": 2, "v": "a", "w": "b"}], ["u", "d2", {"id": 1, "w": "c"}]]))
    ok(c.commit())  # the column that is lost stays, and may be NULL from now on
    same(c.q("SELECT id, v, w FROM d FINAL ORDER BY id"), [(1, None, "c"), (2, "a", "b")])
    c.open("stop", drop_column=STOP, name="stop")
    c.claim("stop")
    ok(c.apply([["u", "t2", {"id": 1, "v": "e", "\u00c4rger": None}]], "stop", offset=200))
    ok(c.apply([["u", "t", {"id": 1, "v": "f"}]], "stop"))  # an older version after a newer one lost nothing
    c.table([ID, col("v")], as_="less")
    fails(c.apply([["u", "less", {"id": 1, "v": "f"}]], "stop"), "CONFIG", "sink.drop_column")


@test
def types_widen(c):
    """What ClickHouse can do without loss, and nothing else."""
    c.open()
    c.claim()
    cases = [("INT32", {}, "INT64", {}, 5, 1 << 40, "Int64"), ("FLOAT32", {}, "FLOAT64", {}, 0.5, 0.1, "Float64"), ("INT32", {}, "TEXT", {}, 7, "x", "String"),
             ("INT32", {}, "DECIMAL", dict(precision=12, scale=2), 7, "1234567890.12", "Decimal(12, 2)"),
             ("DECIMAL", dict(precision=10, scale=2), "DECIMAL", dict(precision=20, scale=4), "1.25", "12345678901234.5678", "Decimal(20, 4)")]
    for i, (old, o, new, n, first, second, want) in enumerate(cases):
        c.table([ID, col("v", old, **o)], "w%d" % i, as_="old%d" % i)
        c.table([ID, col("v", new, **n)], "w%d" % i, as_="new%d" % i)
        ok(c.apply([["c", "old%d" % i, {"id": 1, "v": first}], ["c", "old%d" % i, {"id": 3, "v": first}]]))
        ok(c.commit())
        ok(c.apply([["c", "new%d" % i, {"id": 2, "v": second}]]))
        ok(c.commit())
        same(c.q("SELECT type FROM system.columns WHERE database = '%s' AND table = 'w%d' AND name = 'v'" % (c.name, i)), [("Nullable(%s)" % want,)])
        same(c.q("SELECT toFloat64OrNull(toString(v)) FROM w%d FINAL WHERE id = 1" % i), [(float(first),)])
        c.table([ID, col("v", "DATE")], "w%d" % i, as_="late")
        if want != "String":  # which holds all
            fails(c.probe("prepare", sink="a", table="late", create=False), "CONFIG", "sink.types")
    c.table([col("k", "INT32", 1), col("v")], "key", as_="k32")
    c.table([col("k", "INT64", 1), col("v")], "key", as_="k64")
    ok(c.apply([["c", "k32", {"k": 1, "v": "a"}]]))
    ok(c.commit())
    same(severities(c.plan("k64")), [("warning", "sink.types")])  # a key's type stays
    ok(c.apply([["u", "k64", {"k": 1, "v": "b"}]]))
    fails(c.apply([["u", "k64", {"k": 1 << 40, "v": "b"}]]), "DATA", "sink.value")
    c.open("block", change_type=BLOCK, name="block")
    c.claim("block")
    c.table([ID, col("v", "INT32")], "b", as_="b1")
    c.table([ID, col("v", "TEXT")], "b", as_="b2")
    ok(c.apply([["c", "b1", {"id": 1, "v": 1}]], "block", offset=100))
    fails(c.apply([["c", "b2", {"id": 1, "v": "x"}]], "block"), "CONFIG", "sink.types")


@test
def types_widen_while_rows_wait(c):
    """Rows of the old type are inserted first, and stay under way: each once, whatever happens before the commit."""
    for n, (mode, place) in enumerate([(0, None), (1, None), (1, "ch_after_rows:kill"), (1, "ch_before_rows:kill"), (1, "sink_before_commit:kill")]):
        p = c.new_probe(place)
        p.dead = place is not None
        k = dict(write_mode=mode, name="s%d" % n)
        sink, table = "sink %d" % n, "t%d" % n
        events = [["c", "old", {"id": i, "v": i}] for i in range(20)] + [["c", "new", {"id": 20 + i, "v": 1 << 40}] for i in range(20)]

        def begin(p):
            c.open(sink, probe=p, **k)
            c.table([ID, col("v", "INT32")], table, as_="old", probe=p)
            c.table([ID, col("v", "INT64")], table, as_="new", probe=p)
            return max(c.claim(sink, probe=p)[0], 0)
        begin(p)
        try:
            ok(c.apply(events[:30], sink, p))
            same(c.q("SELECT count() FROM %s" % table), [(20,)])
            ok(p("rollback", sink=sink))
            ok(c.apply(events[:10], sink, p, offset=0))
            ok(c.apply(events[10:], sink, p))
            ok(c.commit(sink, p))
        except EOFError:
            p = c.new_probe()
            at = begin(p)
            ok(c.apply(events[at:at + 15], sink, p))
            ok(c.apply(events[at + 15:], sink, p))
            ok(c.commit(sink, p))
        same((n, c.q("SELECT count(), uniqExact(id), sum(v) FROM %s%s" % (table, "" if mode else " FINAL"))), (n, [(40, 40, sum(range(20)) + 20 * (1 << 40))]))


@test
def altered_under_way(c):
    """What changes beside us is looked at again, never guessed."""
    started(c, [ID, col("v"), col("n", "INT32")])
    ok(c.apply([["c", "t", {"id": 1, "v": "1", "n": 1}]]))
    ok(c.commit())
    c.q("ALTER TABLE t DROP COLUMN n")
    ok(c.apply([["c", "t", {"id": 2, "v": "2", "n": 9}]]))
    fails(c.commit(), "BUSY", "sink.altered")
    fails(c.apply([["c", "t", {"id": 2, "v": "2", "n": 9}]]), "CONNECT")
    ok(c.probe("close", sink="a"))
    c.open()
    same(c.claim(), [1])
    ok(c.apply([["c", "t", {"id": 2, "v": "2", "n": 9}]]))
    ok(c.commit())  # on_change.add_column: evolve gives it back
    same(c.q("SELECT id, v, n FROM t FINAL ORDER BY id"), [(1, "1", None), (2, "2", 9)])
    c.q("DROP TABLE t SYNC")
    ok(c.apply([["c", "t", {"id": 3, "v": "3", "n": 9}]]))
    fails(c.commit(), "BUSY", "sink.altered")
    c.q("CREATE TABLE chk (id Int32, v Nullable(String), CONSTRAINT secret CHECK v <> 'canary', " + OWN + ")" + RMT + WINDOW)
    ok(c.probe("close", sink="a"))
    c.open(name="other")
    c.claim()
    c.table([ID, col("v")], "chk")
    ok(c.apply([["c", "chk", {"id": 1, "v": "canary"}]]))
    e = fails(c.commit(), "DATA", "sink.check")["error"]
    assert "canary" not in e["text"] + e["hint"] and "chk" in e["text"], e


@test
def create_never_apply_and_plan(c):
    c.open("never", create=NEVER)
    r = fails(c.probe("claim", sink="never", offsets=[["topic", 0]]), "CONFIG", "sink.table")
    assert "CREATE TABLE" in r["error"]["hint"], r
    c.open("plan", create=APPLY)
    c.table([ID, col("v")])
    found = c.plan(sink="plan")
    same(severities(found), [("change", "sink.table")] * 4)
    same(severities(ok(c.probe("check", type="clickhouse", dsn=c.dsn()))["findings"]), [("change", "sink.table")] * 2 + [("fine", "sink.version")])
    same(severities(ok(c.probe("check", type="clickhouse", dsn=c.dsn(), create=NEVER))["findings"]), [("blocker", "sink.table")] * 2 + [("fine", "sink.version")])
    same(c.q("SELECT count() FROM system.tables WHERE database = '%s'" % c.name), [(0,)])  # plan makes nothing
    c.claim("plan")
    fails(c.apply([["c", "t", {"id": 1, "v": "a"}]], "plan"), "CONFIG", "sink.table")
    ok(c.probe("prepare", sink="plan", table="t", create=True))
    same(c.plan(sink="plan"), [])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]], "plan"))
    ok(c.commit("plan"))
    made = c.q("SELECT name, replaceAll(create_table_query, '%s', 'db') FROM system.tables WHERE database = '%s' ORDER BY name" % (c.name, c.name))
    ask(c.url, "DROP DATABASE `%s` SYNC" % c.name)
    ask(c.url, "CREATE DATABASE `%s`" % c.name)
    for f in found:
        c.q(f["sql"])  # it is what somebody may run
    same(c.q("SELECT name, replaceAll(create_table_query, '%s', 'db') FROM system.tables WHERE database = '%s' ORDER BY name" % (c.name, c.name)), made)
    c.table([ID, col("v")], "x", space="no_such_database", as_="far")
    r = fails(c.probe("prepare", sink="plan", table="far", create=True), "CONFIG", "sink.table")
    assert "CREATE DATABASE" in r["error"]["hint"], r
    fails(c.probe("open", **{"as": "h"}, type="clickhouse", dsn=c.dsn(), write_mode=2), "CONFIG", "sink.config")


if __name__ == "__main__":
    sys.exit(main("clickhouse_sink_values"))
