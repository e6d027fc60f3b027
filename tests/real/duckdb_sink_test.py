#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""duckdb-sink: rows in, in order, in every mode; values; targets that are there."""
import datetime
import decimal
import random
import uuid

from duckdb_sink_case import *  # noqa: F401,F403: the vocabulary of these tests

import mysql_sink_rows_test as rows
import mysql_sink_faults_test as faults

# What every sink does alike is tested alike: those of the cases for MySQL whose SQL DuckDB reads, too.
ALIKE = [rows.commit_without_rows, rows.rollback_and_several_applies, rows.from_the_middle_of_a_batch,
         rows.random_events_collapsed, rows.random_events_soft, rows.key_changed_in_an_update, rows.absent_values_stay,
         rows.absent_values_of_a_row_that_is_not_there, rows.append_mode, rows.append_mode_has_no_hard_deletes,
         rows.deletes_soft_and_back, rows.no_longer_soft, rows.deletes_ignored, rows.truncates, rows.a_truncate_leaves_what_came_after,
         rows.a_truncate_without_positions, rows.a_row_that_was_not_decoded,
         rows.keys_that_are_none, rows.zero_and_minus_zero_are_one_key, rows.keys_of_tables_that_we_make_are_exact,
         rows.older_positions_do_nothing, rows.a_tombstone_alone_is_newer_than_its_row,
         rows.a_tombstone_alone_marks_its_row, rows.offsets_of_foreign_topics_are_not_compared, rows.no_guard_without_the_column, faults.kills_leave_rows_and_offsets_as_one, faults.ids_of_topics_are_kept]
TESTS[:] = ALIKE


# ---- the way through ----

@test
def create_upsert_delete_offsets(c):
    started(c, [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2)])
    ok(c.apply([["TABLE", "t"], ["c", "t", {"id": 1, "v": "a", "n": "1.50"}],
                ["c", "t", {"id": 2, "v": "b", "n": "-0.05"}], ["BEGIN"],
                ["u", "t", {"id": 1, "v": "z", "n": "2.00"}],
                ["r", "t", {"id": 3, "v": None, "n": None}], ["d", "t", {"id": 2}], ["COMMIT"]]))
    ok(c.commit(6))
    same(c.q("SELECT id, v, CAST(n AS VARCHAR) FROM t ORDER BY id"), [(1, "z", "2.00"), (3, None, None)])
    same(c.q("SELECT next_offset, epoch FROM _freshet_offsets"), [(6, 1)])
    same(c.claim(), [6])
    same(c.claim(parts=(("topic", 0), ("topic", 7), ("other", 0))), [6, -1, -1])
    same(c.q("SELECT epoch FROM _freshet_offsets WHERE topic = 'topic' AND partition = 0"), [(3,)])
    parts = [("topic", i) for i in range(60)] + [("o'ther \"x\" \\", i) for i in range(60)]
    same(c.claim(parts=parts)[1:], [-1] * 119)
    ok(c.probe("commit", sink="a", offsets=[[t, i, i * 3] for t, i in parts]))
    same(c.claim(parts=parts), [i * 3 for t, i in parts])
    ok(c.apply([["c", "t", {"id": 9, "v": "rolled back"}]]))
    ok(c.probe("rollback", sink="a"))
    same(c.q("SELECT count(*) FROM t WHERE id = 9"), [(0,)])


@test
def random_events_into_a_table_with_a_primary_key(c):
    """What DuckDB checks too eagerly (a key that goes and comes in one transaction) does not stop us."""
    c.q("CREATE TABLE t (k int, s varchar, a bigint, b text, PRIMARY KEY (k, s))")
    rows.random_run(c, False, [], 2)


@test
def random_events_beside_columns_of_others(c):
    """Rows are not made anew where they have more than we know of."""
    c.q("CREATE TABLE t (k int NOT NULL, s varchar NOT NULL, a bigint, b text, theirs text DEFAULT 'kept', twice bigint AS (a * 2), _freshet_position BLOB)")
    rows.random_run(c, False, [], 7)
    same(c.q("SELECT count(*) FROM t WHERE theirs IS DISTINCT FROM 'kept' OR twice IS DISTINCT FROM a * 2"), [(0,)])
    assert c.q("SELECT count(*) FROM t")[0][0] > 10
    n = c.q("UPDATE t SET theirs = 'mine' WHERE k = 1 RETURNING 1")
    assert n
    ok(c.apply([["u", "t", {"k": 1, "s": s, "a": 5, "b": "x"}] for s in ("x", "y", "é")], position=[9, 9]))
    ok(c.commit(2000))
    same(c.q("SELECT count(*) FROM t WHERE k = 1 AND theirs = 'mine' AND a = 5"), [(len(n),)])


@test
def one_key_in_many_batches_of_one_transaction(c):
    started(c)
    for n in range(30):
        ok(c.apply([["d" if n % 3 == 2 else "u", "t", {"id": i} if n % 3 == 2 else {"id": i, "v": "%d" % n}] for i in range(5)], position=[1, n + 1]))
    ok(c.commit(1))
    same(c.q("SELECT count(*) FROM t"), [(0,)])
    ok(c.apply([["c", "t", {"id": 1, "v": "last"}]], position=[2, 1]))
    ok(c.commit(2))
    same(c.q("SELECT id, v FROM t"), [(1, "last")])


@test
def rows_that_change_often_do_not_make_the_file_grow(c):
    """Rows made anew leave holes, which DuckDB fills again only in tables without an index."""
    c.q("CREATE TABLE given (id int PRIMARY KEY, v varchar, _freshet_position blob)")
    sizes = {}
    for name in ("made", "given"):
        c.open(name, name=name)
        c.claim(name)
        c.table([ID, col("v")], name)
        for n in range(40):
            ok(c.apply([["u", name, {"id": i, "v": "%x" % random.Random(n * 1000 + i).getrandbits(800)}] for i in range(1000)], name, position=[1, n + 1]))
            ok(c.commit(n, name))
            sizes[name, n] = os.path.getsize(c.path)
        same(c.q("SELECT count(*), count(DISTINCT id) FROM %s" % name), [(1000, 1000)])
        assert sizes[name, 39] < sizes[name, 5] + 2000000, sizes
    hand = c.dir + "/hand.db"  # the control: what is not done
    h = c.other(hand)
    h.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar)")
    for n in range(40):
        h.execute("BEGIN")
        h.execute("DELETE FROM t")
        h.execute("INSERT INTO t SELECT i, repeat(md5(CAST(i * %d AS varchar)), 6) FROM range(1000) r(i)" % (n + 7))
        h.execute("COMMIT")
        h.execute("CHECKPOINT")
        sizes["hand", n] = os.path.getsize(hand)
    h.close()
    assert sizes["hand", 39] > sizes["hand", 5] + 2000000, sizes


@test
def given_constraints_hold(c):
    """I04, I06: never another row; the row that DuckDB refuses is named, and its value is not."""
    c.q("CREATE TABLE t (id integer PRIMARY KEY, v varchar UNIQUE, n int CHECK (n < 10), must int NOT NULL, e ENUM ('a', 'b'))")
    started(c, [ID, col("v"), col("n", "INT32"), col("must", "INT32"), col("e")])
    same(severities(c.plan()), [("warning", "sink.types")])
    good = dict(n=1, must=1, e="a")
    ok(c.apply([["c", "t", dict(good, id=1, v="taken")]]))
    ok(c.commit(1))
    for bad, code in ((dict(good, id=5, v="taken"), "sink.unique"), (dict(good, id=6, v="x", n=4711), "sink.check"),
                      (dict(good, id=6, v="x", must=None), "sink.not_null"), (dict(good, id=6, v="x", e="secret"), "sink.value")):
        for n in (1, 20):
            r = fails(c.apply([["c", "t", dict(good, id=100 + k, v="free %d" % k)] for k in range(n)] + [["c", "t", bad]]), "DATA", code)
            same((code, r["applied"]), (code, n))
            assert '"t"' in r["error"]["text"] and "secret" not in r["error"]["text"] and "4711" not in r["error"]["text"] and "taken" not in r["error"]["text"], r
        same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "taken")])
    ok(c.apply([["c", "t", dict(good, id=2, v="d")]]))  # and with what this transaction had before
    r = fails(c.apply([["c", "t", dict(good, id=3, v="e")], ["c", "t", dict(good, id=4, v="f", n=99)]]), "DATA", "sink.check")
    same(r["applied"], 1)
    same(c.q("SELECT id FROM t"), [(1,)])


@test
def foreign_keys_keep_the_order_of_tables(c):
    c.q("CREATE TABLE parent (id int PRIMARY KEY, v text)")
    c.q("CREATE TABLE child (id int PRIMARY KEY, p int NOT NULL REFERENCES parent (id))")
    c.open()
    c.claim()
    c.table([ID, col("v")], "parent")
    c.table([ID, col("p", "INT32")], "child")
    ok(c.apply([e for i in range(20) for e in (["c", "parent", {"id": i, "v": "x"}], ["c", "child", {"id": i, "p": i}])]))
    ok(c.commit(1))
    ok(c.apply([["u", "parent", {"id": 3, "v": "changed"}]]))
    ok(c.commit(2))
    same(c.q("SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)"), [(20, 20)])
    same(fails(c.apply([["c", "child", {"id": 50, "p": 1}], ["c", "child", {"id": 51, "p": 7777}]]), "DATA", "sink.foreign_key")["applied"], 1)


# ---- values ----

DAY = 86400000000
D = decimal.Decimal
UTC = datetime.timezone.utc
KINDS = [
    ("BOOL", True, True), ("BOOL", False, False), ("INT32", -2147483648, -2147483648), ("INT64", 9223372036854775807, 9223372036854775807),
    ("INT64", -9223372036854775808, -9223372036854775808), ("FLOAT32", 0.10000000149011612, 0.10000000149011612),
    ("FLOAT64", 0.1, 0.1), ("FLOAT64", 5e-324, 5e-324), ("FLOAT64", "inf", float("inf")), ("FLOAT64", "-inf", float("-inf")), ("FLOAT64", 3.0, 3.0),
    ("DECIMAL 4 2", "12.30", D("12.30")), ("DECIMAL 4 2", "-99.99", D("-99.99")), ("DECIMAL 9 0", "-999999999", D("-999999999")), ("DECIMAL 18 4", "99999999999999.9999", D("99999999999999.9999")),
    ("DECIMAL 20 0", "18446744073709551615", D("18446744073709551615")), ("DECIMAL 38 38", "0." + "9" * 38, D("0." + "9" * 38)), ("DECIMAL 38 0", "-" + "9" * 38, D("-" + "9" * 38)),
    ("DECIMAL 62 2", "9" * 60 + ".99", "9" * 60 + ".99"), ("DECIMAL 0 3", "-0.500", "-0.500"),
    ("TEXT", "", ""), ("TEXT", "a\u0000b\u0000", "a\u0000b\u0000"), ("TEXT", "\u00e9\U0001f600 '\"\\ ", "\u00e9\U0001f600 '\"\\ "), ("TEXT", "x" * 13, "x" * 13), ("TEXT", "exactly 12 b", "exactly 12 b"),
    ("BYTES", "00ff27", b"\x00\xff\x27"), ("BYTES", "", b""), ("JSON", '{"b": 1, "a":[1, 2.50]}', '{"b": 1, "a":[1, 2.50]}'), ("JSON", "1.0", "1.0"),
    ("UUID", "0123abcd-0000-0000-0000-00000000ffff", uuid.UUID("0123abcd-0000-0000-0000-00000000ffff")), ("UUID", "ffffffff-ffff-ffff-ffff-ffffffffffff", uuid.UUID("f" * 32)),
    ("UUID", "00000000-0000-0000-0000-000000000000", uuid.UUID("0" * 32)), ("DATE", 0, datetime.date(1970, 1, 1)), ("DATE", 2932896, datetime.date(9999, 12, 31)), ("DATE", -719162, datetime.date(1, 1, 1)),
    ("TIME", DAY - 1, datetime.time(23, 59, 59, 999999)), ("TIME", 0, datetime.time(0)), ("DATETIME", -1, datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)),
    ("DATETIME", 0, datetime.datetime(1970, 1, 1)), ("TIMESTAMP", 1234567890123456, "2009-02-13 23:31:30.123456+00"), ("TIMESTAMP", 253402300799000000, "9999-12-31 23:59:59+00")]
TYPES = dict(BOOL="BOOLEAN", INT32="INTEGER", INT64="BIGINT", FLOAT32="FLOAT", FLOAT64="DOUBLE", TEXT="VARCHAR", BYTES="BLOB", TIMESTAMP="TIMESTAMP WITH TIME ZONE", DATETIME="TIMESTAMP")


def of_kind(name, kind, key=0):
    word, *digits = kind.split()
    return col(name, word, key, **dict(zip(("precision", "scale"), map(int, digits))))


def type_of(kind):
    word, *digits = kind.split()
    if word != "DECIMAL":
        return TYPES.get(word, word)
    return "DECIMAL(%s,%s)" % tuple(digits) if 0 < int(digits[0]) <= 38 else "VARCHAR"


@test
def every_kind(c):
    """Read back by another program; also as a key; NULL is NULL."""
    started(c, [ID])
    for i, (kind, value, want) in enumerate(KINDS):
        name, key = "k%d" % i, "key%d" % i
        c.table([ID, of_kind("v", kind)], name)
        ok(c.apply([["c", name, {"id": 1, "v": value}], ["c", name, {"id": 2, "v": None}], ["u", name, {"id": 3, "v": value}]]))
        c.table([of_kind("k", kind, 1), col("v", "INT32")], key)
        ok(c.apply([["c", key, {"k": value, "v": 1}]]))
        ok(c.apply([["u", key, {"k": value, "v": 2}]]))
    ok(c.commit(1))
    with_zone = "CAST(%s AS VARCHAR)"
    reader = c.other(read_only=True)
    reader.execute("SET TimeZone = 'UTC'")
    for i, (kind, value, want) in enumerate(KINDS):
        v, k = (with_zone % "v", with_zone % "k") if kind == "TIMESTAMP" else ("v", "k")
        got = [r[0] for r in reader.execute("SELECT %s FROM k%d ORDER BY id" % (v, i)).fetchall()]
        same((kind, value, got, [type(g) for g in got]), (kind, value, [want, None, want], [type(want), type(None), type(want)]))
        same((kind, reader.execute("SELECT data_type FROM duckdb_columns() WHERE table_name = 'k%d' AND column_name = 'v'" % i).fetchall()), (kind, [(type_of(kind),)]))
        same((kind, value, reader.execute("SELECT %s, v FROM key%d" % (k, i)).fetchall()), (kind, value, [(want, 2)]))
    reader.close()
    ok(c.apply([["d", "key%d" % i, {"k": value}] for i, (kind, value, want) in enumerate(KINDS)]))
    ok(c.commit(2))
    reader = c.other(read_only=True)
    same([reader.execute("SELECT count(*) FROM key%d" % i).fetchall()[0][0] for i in range(len(KINDS))], [0] * len(KINDS))
    reader.close()
    c.table([ID, col("v", "FLOAT64")], "nan")
    ok(c.apply([["c", "nan", {"id": 1, "v": "nan"}], ["c", "nan", {"id": 2, "v": -0.0}]]))
    ok(c.commit(3))
    same(c.q("SELECT isnan(v), CAST(v AS VARCHAR) FROM nan ORDER BY id"), [(True, "nan"), (False, "-0.0")])


@test
def values_that_are_refused(c):
    """Never NULL, rounded or cut in silence; the column is named, and no value is in the text."""
    cases = [("", "DATE", 2147483647), ("", "DATE", -2147483647), ("", "DATETIME", (1 << 63) - 1), ("", "DATETIME", -(1 << 63)), ("", "TIME", -1), ("", "TIME", DAY + 1), ("", "JSON", "{4711"),
             ("UBIGINT", "INT64", -4711), ("UINTEGER", "INT32", -4711), ("UBIGINT", "DECIMAL 20 0", "99999999999999999999"), ("ENUM ('1', 'x')", "TEXT", "4711"),
             ("", "DECIMAL 4 2", "1234.00"), ("varchar NOT NULL", "TEXT", None), ("varchar CHECK (v <> 'secret')", "TEXT", "secret")]
    c.open(write_mode=1)
    c.claim()
    for i, (type_, kind, value) in enumerate(cases):
        name = "r%d" % i
        if type_:
            c.q("CREATE TABLE %s (id int, v %s)" % (name, type_))
        c.table([col("id", "INT32"), of_kind("v", kind)], name)
        good = {"TEXT": "x", "JSON": "[]"}.get(kind, "1" if kind.startswith("DEC") else 1)
        r = fails(c.apply([["c", name, {"id": 1, "v": good}], ["c", name, {"id": 2, "v": value}]]), "DATA")
        same((type_, kind, value, r["applied"]), (type_, kind, value, 1))
        text = r["error"]["text"].replace("<> 'secret'", "").replace("!= 'secret'", "")
        assert "v" in text and "4711" not in text and "secret" not in text, r


@test
def a_bad_value_is_named_beside_rows_of_earlier_batches(c):
    """Which are gone by then: the event is known from where its value was looked at, and not looked for."""
    c.open()
    c.claim()
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar NOT NULL, d date)")
    c.table([ID, col("v"), col("d", "DATE")])
    ok(c.apply([["c", "t", {"id": i, "v": "a", "d": 1}] for i in range(10)]))
    r = fails(c.apply([["u", "t", {"id": i, "d": 2}] for i in range(9)] + [["c", "t", {"id": 11, "v": "b", "d": 2147483647}], ["c", "t", {"id": 12, "v": "b", "d": 1}]]),
              "DATA", "sink.value")
    same(r["applied"], 9)
    ok(c.probe("rollback", sink="a"))
    ok(c.apply([["c", "t", {"id": 1, "v": "a", "d": 1}]]))
    r = fails(c.apply([["u", "t", {"id": 1, "d": 2}], ["c", "t", {"id": 2, "v": "b", "d": 1}], ["c", "t", {"id": None, "v": "b", "d": 1}]]), "DATA", "sink.row")
    same(r["applied"], 2)


@test
def a_bad_row_among_many(c):
    """It is looked for by halves: row by row would take hundreds of statements, and the failpoint ends the probe then."""
    n = 600  # row by row, the failpoint would end it
    for kind, ddl, bad, code in (("TEXT", "v varchar CHECK (v <> 'no')", "no", "sink.check"), ("JSON", "v json", "{4711", "sink.value"), ("DATE", "v date", 2147483647, "sink.value")):
        good = {"TEXT": "yes", "JSON": "{}", "DATE": 1}[kind]
        for mode in (0, 1):
            name = "%s_%d" % (kind.lower(), mode)
            p = c.new_probe("duck_stage:kill:150")
            c.open(name, probe=p, name=name, write_mode=mode)
            c.claim(name, probe=p)
            c.q("CREATE TABLE %s (id int%s, %s)" % (name, "" if mode else " PRIMARY KEY", ddl))
            c.table([ID, col("v", kind)], name, probe=p)
            for at in (0, 1, n // 3, n - 1):
                r = fails(c.apply([["c", name, {"id": i, "v": bad if i == at else good}] for i in range(n)], name, p), "DATA", code)
                same((name, at, r["applied"]), (name, at, at))
                p.close()
                p = c.new_probe("duck_stage:kill:150")
                c.open(name, probe=p, name=name, write_mode=mode)
                c.table([ID, col("v", kind)], name, probe=p)
                c.claim(name, probe=p)
            two = [["c", name, {"id": i, "v": bad if i in (100, 200) else good}] for i in range(n)]
            same(fails(c.apply(two, name, p), "DATA", code)["applied"], 100)
            ok(p("rollback", sink=name))
            del two[100]
            same(fails(c.apply(two, name, p), "DATA", code)["applied"], 199)
            ok(p("rollback", sink=name))
            ok(c.apply(two[:199] + two[200:], name, p))
            ok(c.commit(n, name, p))
            ok(p("close", sink=name))
            same((name, c.q("SELECT count(*), count(DISTINCT id) FROM " + name)), (name, [(n - 2, n - 2)]))


@test
def two_bad_rows_of_two_kinds(c):
    """The one that is found is named, whatever the first statement failed over; one of many states of a key is its own."""
    c.open()
    c.claim()
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar CHECK (v <> 'no'), d date, w varchar NOT NULL)")
    c.table([ID, col("v"), col("d", "DATE"), col("w")])
    row = lambda i, **k: ["c", "t", dict({"id": i, "v": "a", "d": 1, "w": "b"}, **k)]  # noqa: E731
    both = [row(i) for i in range(40)] + [["u", "t", {"id": 999, "v": "c"}]] + [row(i) for i in range(50, 90)] + [row(90, v="no")] + [row(i) for i in range(91, 99)]
    seen = set()
    for events in (both, both[::-1]):
        r = fails(c.apply(events), "DATA")
        bad = {events.index(both[40]): "sink.not_null", events.index(both[81]): "sink.check"}
        same(bad.get(r["applied"]), r["error"]["code"])
        ok(c.probe("rollback", sink="a"))
        seen.add(r["error"]["code"])
    same(seen, {"sink.not_null", "sink.check"})
    merged = [row(1, d=2147483647), row(2), ["u", "t", {"id": 1, "w": "new"}], row(3)]
    same(fails(c.apply(merged), "DATA", "sink.value")["applied"], 0)  # the third has its date, and not the blame
    ok(c.probe("rollback", sink="a"))
    ok(c.apply(merged[1:2] + merged[3:]))
    ok(c.commit(1))
    same(c.q("SELECT id FROM t ORDER BY id"), [(2,), (3,)])


@test
def into_given_types(c):
    cases = [
        ("varchar(5)", "TEXT", "longer than five", "longer than five"), ("BIGINT", "INT32", 5, 5), ("HUGEINT", "INT64", 1 << 62, 1 << 62), ("UBIGINT", "INT64", 7, 7),
        ("UBIGINT", "DECIMAL 20 0", "18446744073709551615", (1 << 64) - 1), ("hugeint", "DECIMAL 38 0", "-" + "9" * 38, -int("9" * 38)), ("decimal(20,4)", "DECIMAL 10 2", "-12.30", D("-12.3000")),
        ("varchar", "DECIMAL 10 2", "1.00", "1.00"), ("varchar", "BOOL", True, "true"), ("varchar", "INT64", -7, "-7"), ("varchar", "FLOAT32", 0.1, "0.1"), ("double", "INT32", 5, 5.0), ("double", "FLOAT32", 0.5, 0.5),
        ("varchar", "DATE", 1, "1970-01-02"), ("varchar", "TIMESTAMP", 0, "1970-01-01 00:00:00+00"), ("varchar", "UUID", "12345678-0000-0000-0000-00000000ffff", "12345678-0000-0000-0000-00000000ffff"),
        ("varchar", "JSON", "[1]", "[1]"), ("time", "TIME", 1500000, datetime.time(0, 0, 1, 500000)), ("ENUM ('a', 'b')", "TEXT", "b", "b"), ("decimal(19,0)", "INT64", -(1 << 63), D(-(1 << 63)))]
    for i, (type_, kind, value, want) in enumerate(cases):
        c.q("CREATE TABLE g%d (ID integer PRIMARY KEY, V %s)" % (i, type_))
    c.open()
    c.claim()
    for i, (type_, kind, value, want) in enumerate(cases):
        name = "g%d" % i
        c.table([ID, of_kind("v", kind)], name)
        ok(c.apply([["c", name, {"id": 1, "v": value}], ["c", name, {"id": 2, "v": None}], ["u", name, {"id": 2, "v": value}]]))
    ok(c.commit(1))
    for i, (type_, kind, value, want) in enumerate(cases):
        same((type_, kind, c.q("SELECT v FROM g%d" % i)), (type_, kind, [(want,), (want,)]))


@test
def hostile_corpus(c):
    """S01, S02, I16: values are values and names are names; canaries stay as they are."""
    c.q("CREATE TABLE canary (id integer PRIMARY KEY, v text)")
    c.q("INSERT INTO canary VALUES (1, 'alive')")
    values = ["'", "''", '"', "`", "]", "\\", "'; DROP TABLE canary; --", '"; DROP TABLE canary; --', "%s%n%d", "?1", ":v", "@v", "$1", "\n\r\t", "\u0000",
              "NULL", "x'00'", "\uff02", "\U0001f4a9", "a" * 100000, "{{}}", "${v}", "--", "/*", "\u202e", "\ufeff"]
    names = ['"', "`", "]", "[", "\\", "a\nb", "\uff02", "x" * 300, "select", "excluded", "rowid", "A b", "'; DROP TABLE canary; --", "\u00e9", "t.t", "%s", "$1", "main", "temp", "target", "s", "-", "c0", "m", "p"]
    started(c)
    ok(c.apply([["c", "t", {"id": i, "v": v}] for i, v in enumerate(values)]))
    for i, name in enumerate(names):
        c.table([col(name, "TEXT", 1), col("vv"), col(name + "2")], "table " + name, as_="n%d" % i)
        c.table([col("kk", "INT32", 1), col(name)], name, as_="m%d" % i)
        ok(c.apply([["c", "n%d" % i, {name: "key", "vv": "a", name + "2": name}], ["c", "m%d" % i, {"kk": 1, name: "old"}]]))
        ok(c.apply([["u", "n%d" % i, {name: "key", "vv": "b"}], ["u", "m%d" % i, {"kk": 1, name: name}]]))
    c.table([ID, col("v")], 'ta"b', space='sp"ace', as_="spaced")
    c.table([ID, col("v")], "t", space="temp", as_="temp")
    c.table([ID, col("v")], "t", space="target", as_="target")
    for i in range(2):
        ok(c.apply([["u", n, {"id": 1, "v": "%s %d" % (n, i)}] for n in ("spaced", "temp", "target")]))
    ok(c.commit(1))
    same([r[0] for r in c.q("SELECT v FROM t ORDER BY id")], values)
    same(c.q('SELECT v FROM target."sp""ace"."ta""b" UNION ALL SELECT v FROM target.temp.t UNION ALL SELECT v FROM target.target.t'), [("spaced 1",), ("temp 1",), ("target 1",)])
    there = {r[0] for r in c.q("SELECT table_name FROM duckdb_tables()")}
    for name in names:
        quoted = '"%s"' % name.replace('"', '""')
        assert "table " + name in there and name in there, name
        same([r for r in c.q("SELECT * FROM target.main.%s" % quoted)][0][:2], (1, name))
        same(c.q('SELECT * FROM "table %s' % quoted[1:])[0][:3], ("key", "b", name))
    same(c.q("SELECT * FROM canary"), [(1, "alive")])


# ---- targets ----

@test
def names_that_are_refused(c):
    """S03"""
    started(c, [ID, col("Foo"), col("foo")])
    fails(c.probe("prepare", sink="a", table="t", create=True), "CONFIG", "sink.name")
    c.table([ID, col("v")], "Tab")
    c.table([ID, col("v")], "tab")
    ok(c.apply([["c", "Tab", {"id": 1, "v": "upper"}]]))
    ok(c.commit(1))
    fails(c.apply([["c", "tab", {"id": 1, "v": "lower"}]]), "CONFIG", "sink.name")
    same(c.q("SELECT v FROM Tab"), [("upper",)])
    for name, space in (("_Freshet_offsets", ""), ("_freshet_parked", "main"), ("t", "information_schema")):
        c.table([ID, col("v")], name, as_="bad", space=space)
        fails(c.probe("prepare", sink="a", table="bad", create=True), "CONFIG", "sink.name")
    c.table([ID, col("_freshet_position")], "own")
    fails(c.probe("prepare", sink="a", table="own", create=True), "CONFIG", "sink.name")


@test
def what_a_given_table_lacks(c):
    c.open(deletes=1, name="soft")
    c.open("hard", name="hard")
    c.open("block", drop_column=STOP, add_column=STOP, change_type=STOP, name="block")
    c.claim("hard")
    for ddl, sink, code, remedy in [
            ("TABLE t (id int, v text)", "hard", "sink.key", "PRIMARY KEY"), ("TABLE t (id int, v text, UNIQUE (id, v))", "hard", "sink.key", "PRIMARY KEY"),
            ("TABLE t (id int PRIMARY KEY, v text, must int NOT NULL)", "hard", "sink.table", "DROP NOT NULL"),
            ("TABLE t (id int PRIMARY KEY, v text)", "a", "sink.table", "_freshet_deleted"), ("TABLE t (id int PRIMARY KEY, v text, _freshet_position text)", "hard", "sink.table", "freshet's own"),
            ("VIEW t AS SELECT 1 AS id, 'x' AS v", "hard", "sink.table", "ordinary table"),
            ("TABLE t (id int PRIMARY KEY)", "block", "sink.add_column", "ADD COLUMN"), ("TABLE t (id int PRIMARY KEY, v blob)", "hard", "sink.types", "VARCHAR"),
            ("TABLE t (id int PRIMARY KEY, v int)", "hard", "sink.types", "VARCHAR"), ("TABLE t (id smallint PRIMARY KEY, v text)", "block", "sink.types", "TYPE INTEGER"),
            ("TABLE t (id text COLLATE nocase PRIMARY KEY, v text)", "hard", "sink.key", "COLLATE"), ("TABLE t (n int PRIMARY KEY, id int GENERATED ALWAYS AS (n + 1), v text)", "hard", "sink.key", "can be written")]:
        c.q("CREATE " + ddl)
        c.table([ID, col("v")])
        r = fails(c.probe("prepare", sink=sink, table="t", create=False), "CONFIG", code)
        assert remedy in r["error"]["hint"], (ddl, r)
        same(("blocker", code) in severities(c.plan(sink=sink)), True)
        c.q("DROP %s t" % ("VIEW" if ddl.startswith("VIEW") else "TABLE"))
    c.q("CREATE TABLE t (id int, v text)")
    r = fails(c.probe("prepare", sink="hard", table="t", create=False), "CONFIG", "sink.key")
    c.q(r["error"]["hint"].split(": ", 1)[1])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["u", "t", {"id": 1, "v": "b"}]], "hard"))
    ok(c.commit(1, "hard"))
    same(c.q("SELECT id, v FROM t"), [(1, "b")])


@test
def columns_by_policy(c):
    """I05: add, widen, no longer NOT NULL; nothing is dropped."""
    started(c, [ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    wide = c.table([ID, col("v"), of_kind("Ärger", "DECIMAL 5 1"), col("n", "INT32")], as_="t2")
    ok(c.apply([["TABLE", wide], ["c", wide, {"id": 2, "v": "b", "Ärger": "1.5", "n": 5}], ["u", "t", {"id": 1, "v": "c"}]]))
    ok(c.commit(2))
    same(c.q('SELECT id, v, CAST("Ärger" AS VARCHAR), n FROM t ORDER BY id'), [(1, "c", None, None), (2, "b", "1.5", 5)])
    wider = c.table([ID, col("v"), of_kind("Ärger", "DECIMAL 12 4"), col("n", "INT64")], as_="t3")
    r = c.apply([["u", wide, {"id": 2, "v": "b", "Ärger": "2.5", "n": 6}], ["c", wider, {"id": 3, "v": "b", "Ärger": "12345678.1234", "n": 1 << 40}]])
    fails(r, "BUSY", "sink.altered")  # rows waited: they come again
    ok(c.apply([["u", wide, {"id": 2, "v": "b", "Ärger": "2.5", "n": 6}], ["c", wider, {"id": 3, "v": "b", "Ärger": "12345678.1234", "n": 1 << 40}]]))
    ok(c.commit(3))
    same(c.q('SELECT id, CAST("Ärger" AS VARCHAR), n FROM t ORDER BY id'), [(1, None, None), (2, "2.5000", 6), (3, "12345678.1234", 1 << 40)])
    same(c.q("SELECT data_type FROM duckdb_columns() WHERE table_name = 't' AND column_name = 'n'"), [("BIGINT",)])
    c.open("ignore", add_column=IGNORE, name="ignore")
    c.claim("ignore")
    c.table([ID, col("v"), col("w")], as_="t4")
    same(severities(c.plan("t4", "ignore")), [("warning", "sink.table")])
    ok(c.apply([["u", "t4", {"id": 1, "v": "d", "w": "left out"}]], "ignore"))
    ok(c.commit(1, "ignore"))
    same(c.q("SELECT v FROM t WHERE id = 1"), [("d",)])
    c.open("stop", drop_column=STOP, name="stop")
    c.claim("stop")
    c.table([ID, col("v"), col("n", "INT64")], as_="t5")
    c.table([ID, col("n", "INT64")], as_="t6")
    ok(c.apply([["u", "t5", {"id": 1, "v": "e", "n": 1}]], "stop"))
    ok(c.commit(2, "stop"))
    fails(c.apply([["u", "t6", {"id": 1, "n": 2}]], "stop"), "CONFIG", "sink.drop_column")
    c.table([ID, col("v", "BYTES")], as_="t7")
    fails(c.apply([["u", "t7", {"id": 1, "v": "00"}]]), "CONFIG", "sink.types")
    same(c.q("SELECT v FROM t WHERE id = 1"), [("e",)])


@test
def numbers_are_widened(c):
    """Each holds what was there and what comes; where no type does, it is refused."""
    cases = [("SMALLINT", "INT32", "INTEGER"), ("INTEGER", "INT64", "BIGINT"), ("BIGINT", "DECIMAL 10 2", "DECIMAL(21,2)"), ("FLOAT", "FLOAT64", "DOUBLE"),
             ("DECIMAL(10,2)", "DECIMAL 12 4", "DECIMAL(12,4)"), ("DECIMAL(10,4)", "DECIMAL 10 2", "DECIMAL(12,4)"), ("DECIMAL(10,2)", "INT64", "DECIMAL(21,2)"),
             ("HUGEINT", "DECIMAL 10 2", None), ("DECIMAL(38,0)", "DECIMAL 38 2", None)]
    for i, (old, kind, new) in enumerate(cases):
        c.q("CREATE TABLE w%d (id int NOT NULL, v %s, _freshet_position blob); INSERT INTO w%d VALUES (1, 5, NULL)" % (i, old, i))
    c.open()
    c.claim()
    for i, (old, kind, new) in enumerate(cases):
        name = c.table([ID, of_kind("v", kind)], "w%d" % i)
        r = c.apply([["c", name, {"id": 2, "v": "1" if kind.startswith("DEC") else 1}]])
        if new is None:
            fails(r, "CONFIG", "sink.types")
            continue
        ok(r)
        ok(c.commit(i))
        same((old, kind, c.q("SELECT data_type FROM duckdb_columns() WHERE table_name = '%s' AND column_name = 'v'" % name)), (old, kind, [(new,)]))
        same((old, kind, c.q("SELECT CAST(v AS int) FROM %s ORDER BY id" % name)), (old, kind, [(5,), (1,)]))


@test
def a_column_that_the_messages_lost(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, w text)")
    started(c, [ID, col("v"), col("w")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a", "w": "b"}]]))
    ok(c.commit(1))
    c.table([ID, col("w")], as_="t2")
    r = c.apply([["c", "t2", {"id": 2, "w": "c"}]])
    if r["ok"]:
        ok(c.commit(2))
        same(c.q("SELECT id, v, w FROM t ORDER BY id"), [(1, "a", "b"), (2, None, "c")])
    else:  # DuckDB does not alter a table with an index
        fails(r, "CONFIG", "sink.table")
    c.q("CREATE TABLE u (id int NOT NULL, v text NOT NULL, w text, _freshet_position BLOB)")
    c.table([ID, col("v"), col("w")], "u", as_="u")
    c.table([ID, col("w")], "u", as_="u2")
    ok(c.apply([["c", "u", {"id": 1, "v": "a", "w": "b"}]]))
    ok(c.commit(3))
    ok(c.apply([["c", "u2", {"id": 2, "w": "c"}]]))
    ok(c.commit(4))
    same(c.q("SELECT id, v, w FROM u ORDER BY id"), [(1, "a", "b"), (2, None, "c")])


@test
def made_and_altered_in_one_transaction(c):
    """The rows come again, and the second time nothing is in the way."""
    started(c)
    c.table([ID, col("v"), col("w")], as_="t2")
    events = [["c", "t", {"id": 1, "v": "a"}], ["c", "t2", {"id": 2, "v": "b", "w": "c"}], ["d", "t", {"id": 1}]]
    fails(c.apply(events), "BUSY", "sink.altered")
    ok(c.apply(events))
    ok(c.commit(3))
    same(c.q("SELECT id, v, w FROM t"), [(2, "b", "c")])
    c.q("DROP TABLE t")
    r = fails(c.apply([["c", "t", {"id": 7, "v": "7"}]]), "CONFIG", "sink.table")
    assert "is gone" in r["error"]["text"], r


@test
def tables_that_come_in_turn_do_not_part_a_batch(c):
    """Rows wait while another table is looked at for the first time: of a key that changes, only the last state is
    written, which the sequence counts."""
    c.open()
    c.claim()
    c.q("CREATE SEQUENCE written; CREATE TABLE t (id int PRIMARY KEY, v varchar, n bigint DEFAULT nextval('written'))")
    names = ["t"] + ["o%d" % i for i in range(10)]
    for name in names:
        c.table([ID, col("v")], name)
    events = []
    for i in range(5):
        events += [["c", "t", {"id": 1, "v": "v%d" % i}], ["c", "o%d" % (2 * i), {"id": 1, "v": "x"}], ["d", "t", {"id": 1}], ["c", "o%d" % (2 * i + 1), {"id": 1, "v": "x"}]]
    ok(c.apply(events + [["c", "t", {"id": 1, "v": "last"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, n FROM t"), [(1, "last", 1)])
    c.table([ID, col("v"), col("w")], "t", as_="t2")  # the table is altered alone: what waits is not lost
    events = [["c", "t", {"id": 2, "v": "a"}], ["c", "t2", {"id": 3, "v": "b", "w": "c"}]]
    fails(c.apply(events), "BUSY", "sink.altered")
    ok(c.apply(events))
    ok(c.commit(2))
    same(c.q("SELECT id, v, w FROM t ORDER BY id"), [(1, "last", None), (2, "a", None), (3, "b", "c")])


@test
def create_never_apply_and_plan(c):
    c.open("never", create=NEVER)
    r = fails(c.probe("claim", sink="never", offsets=[["topic", 0]]), "CONFIG", "sink.file")
    assert c.path in r["error"]["text"], r
    c.open("plan", create=APPLY)
    c.table([ID, col("v")])
    same(severities(c.plan(sink="plan")), [("change", "sink.table"), ("change", "sink.table")])
    same(severities(c.check()), [("change", "sink.table"), ("fine", "sink.version")])
    same(severities(c.check(create=NEVER)), [("blocker", "sink.file")])
    same(os.listdir(c.dir), [])  # plan makes nothing
    c.claim("plan")
    fails(c.apply([["c", "t", {"id": 1, "v": "a"}]], "plan"), "CONFIG", "sink.table")
    ddl = "; ".join(f["sql"] for f in c.plan(sink="plan"))
    ok(c.probe("prepare", sink="plan", table="t", create=True))
    same(c.plan(sink="plan"), [])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]], "plan"))
    ok(c.commit(1, "plan"))
    fails(c.probe("open", **{"as": "h"}, type="duckdb", path=c.path, library=LIBRARY, write_mode=2, deletes=1), "CONFIG", "sink.config")
    os.mkdir(c.dir + "/2")
    second = os.path.join(c.dir, "2", "target.db")
    c.open("stand-in", create=APPLY, path=second, name="plan")
    own = [f["sql"] for f in c.plan(sink="stand-in")][0]
    c.q(own + "; " + ddl, path=second)  # it is what somebody may run
    c.open("ddl", create=NEVER, path=second)
    c.claim("ddl")
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]], "ddl"))
    ok(c.commit(1, "ddl"))
    same(c.q("SELECT table_name, sql FROM duckdb_tables() ORDER BY 1", path=second), c.q("SELECT table_name, sql FROM duckdb_tables() ORDER BY 1"))


@test
def thousands_of_rows(c):
    started(c, [ID, col("v"), col("w", "INT64")])
    n = 20000
    ok(c.apply([["c", "t", {"id": i, "v": "row %d" % i, "w": i}] for i in range(n)]))
    ok(c.commit(1))
    ok(c.apply([["u", "t", {"id": i, "v": "new %d" % i, "w": -i}] for i in range(0, n, 2)] + [["d", "t", {"id": i}] for i in range(1, n, 4)]))
    ok(c.commit(2))
    same(c.q("SELECT count(*), sum(w), sum(CAST(v LIKE 'new%' AS int)) FROM t"), [(15000, sum(-i for i in range(0, n, 2)) + sum(range(3, n, 4)), 10000)])
    big = "x" * 3000000
    ok(c.apply([["u", "t", {"id": i, "v": big, "w": 0}] for i in range(0, 6, 2)]))
    ok(c.commit(3))
    same(c.q("SELECT count(*) FROM t WHERE length(v) = 3000000"), [(3,)])
    masks = [["u", "t", dict([("id", i % 7), ("v", "m")] if i % 3 else [("id", i % 7), ("w", i)])] for i in range(300)]
    ok(c.apply(masks))
    ok(c.commit(4))


if __name__ == "__main__":
    sys.exit(main("duckdb_sink"))
