#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""sqlite-sink: rows in, in order, in every mode; values; targets that are there; other owners, locks, kills."""
import random
import resource
import signal
import threading

from sqlite_sink_case import *  # noqa: F401,F403: the vocabulary of these tests

import mysql_sink_rows_test as rows
import mysql_sink_faults_test as faults

# What every sink does alike is tested alike: those of the cases for MySQL whose SQL SQLite reads, too.
ALIKE = [rows.commit_without_rows, rows.rollback_and_several_applies, rows.from_the_middle_of_a_batch,
         rows.random_events_collapsed, rows.random_events_soft, rows.random_events_in_order_soft, rows.unique_values_change_hands,
         rows.foreign_keys_keep_the_order_of_tables, rows.key_changed_in_an_update, rows.absent_values_stay,
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
    same(c.there("t"), False)  # CREATE TABLE is part of the transaction, too
    ok(c.commit(6))
    same(c.q("SELECT id, v, n FROM t ORDER BY id"), [(1, "z", "2.00"), (3, None, None)])
    same(c.q("SELECT next_offset, epoch FROM _freshet_offsets"), [(6, 1)])
    same(c.claim(), [6])
    same(c.claim(parts=(("topic", 0), ("topic", 7), ("other", 0))), [6, -1, -1])
    same(c.q("SELECT epoch FROM _freshet_offsets WHERE topic = 'topic' AND partition = 0"), [(3,)])
    same(c.q("PRAGMA journal_mode"), [("wal",)])
    parts = [("topic", i) for i in range(300)] + [("o'ther \"x\" \\", i) for i in range(300)]
    same(c.claim(parts=parts)[1:], [-1] * 599)
    ok(c.probe("commit", sink="a", offsets=[[t, i, i * 3] for t, i in parts]))
    same(c.claim(parts=parts), [i * 3 for t, i in parts])


@test
def an_upsert_never_meets_another_row(c):
    """I04: OR REPLACE would remove row 1."""
    c.q("CREATE TABLE t (id integer PRIMARY KEY, v varchar(50) UNIQUE)")
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "c"}]]))
    ok(c.commit(1))
    for n in (1, 40):
        r = fails(c.apply([["c", "t", {"id": 100 + k, "v": "free %d" % k}] for k in range(n)] + [["c", "t", {"id": 5, "v": "c"}]]),
                  "DATA", "sink.unique")
        same(r["applied"], n)
        assert '"t"' in r["error"]["text"], r
        same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "c")])


@test
def what_constraints_do_at_a_conflict(c):
    """ON CONFLICT REPLACE would remove another row, IGNORE drop this one, both without a word."""
    c.q("CREATE TABLE t (id integer PRIMARY KEY, v text UNIQUE on\nconflict REPLACE, n text NOT NULL ON CONFLICT IGNORE, _freshet_deleted int NOT NULL ON CONFLICT IGNORE DEFAULT 0)")
    c.open()
    c.open("soft", deletes=1, name="soft")
    c.claim()
    c.table([ID, col("v"), col("n")])
    rows = [["c", "t", {"id": 1, "v": "a", "n": "x"}], ["c", "t", {"id": 2, "v": "b", "n": "x"}]]
    ok(c.apply(rows))
    ok(c.commit(1))
    for bad, code in ((["c", "t", {"id": 3, "v": "a", "n": "x"}], "sink.unique"), (["c", "t", {"id": 3, "v": "c", "n": None}], "sink.not_null"),
                      (["u", "t", {"id": 2, "v": "a"}], "sink.unique"), (["u", "t", {"id": 2, "v": "a", "n": "y"}], "sink.unique")):
        r = fails(c.apply([["c", "t", {"id": 9, "v": "z", "n": "x"}], bad]), "DATA", code)
        same((bad, r["applied"]), (bad, 1))
        same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "a"), (2, "b")])
    c.claim("soft")
    ok(c.apply([["d", "t", {"id": 2}]], "soft"))
    ok(c.commit(2, "soft"))
    same(c.q("SELECT id, _freshet_deleted FROM t ORDER BY id"), [(1, 0), (2, 1)])


@test
def triggers_keep_their_own_clauses(c):
    """OR ABORT of ours would override OR REPLACE of theirs."""
    c.q("CREATE TABLE t (id integer PRIMARY KEY, v text)")
    c.q("CREATE TABLE newest (what text PRIMARY KEY, id int)")
    c.q("CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT OR REPLACE INTO newest VALUES ('t', new.id); END")
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": 2, "v": "a"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id FROM newest"), [(2,)])


@test
def foreign_keys_checks_and_triggers(c):
    """I06: they are the target's, and hold."""
    c.q("CREATE TABLE parent (id integer PRIMARY KEY, v text)")
    c.q("CREATE TABLE child (id integer PRIMARY KEY, p int NOT NULL REFERENCES parent (id), n int CHECK (n < 10))")
    c.q("CREATE TABLE late (id integer PRIMARY KEY, p int REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
    c.q("CREATE TABLE seen (id int, v text)")
    c.q("CREATE TRIGGER i AFTER INSERT ON parent BEGIN INSERT INTO seen VALUES (new.id, new.v); END")
    c.q("CREATE TRIGGER u AFTER UPDATE ON parent BEGIN INSERT INTO seen VALUES (new.id, new.v); END")
    c.q("CREATE TRIGGER r BEFORE INSERT ON parent WHEN new.v = 'no' BEGIN SELECT RAISE(ABORT, 'not this one'); END")
    c.open()
    c.claim()
    c.table([ID, col("v")], "parent")
    c.table([ID, col("p", "INT32"), col("n", "INT32")], "child")
    c.table([ID, col("p", "INT32")], "late")
    ok(c.apply([["c", "late", {"id": 1, "p": 2}], ["c", "parent", {"id": 2, "v": "a"}], ["c", "parent", {"id": 1, "v": "b"}],
                ["u", "parent", {"id": 2, "v": "c"}], ["c", "child", {"id": 1, "p": 1, "n": 1}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM seen ORDER BY rowid"), [(2, "a"), (1, "b"), (2, "c")])
    for bad, code in ((["c", "child", {"id": 2, "p": 77, "n": 1}], "sink.foreign_key"), (["d", "parent", {"id": 1}], "sink.foreign_key"),
                      (["c", "child", {"id": 2, "p": 1, "n": 11}], "sink.check"), (["c", "child", {"id": 2, "p": None, "n": 1}], "sink.not_null"),
                      (["c", "parent", {"id": 5, "v": "no"}], "sink.trigger")):
        r = fails(c.apply([["c", "parent", {"id": 9, "v": "x"}], bad]), "DATA", code)
        same((bad, r["applied"]), (bad, 1))
        same(c.q("SELECT count(*) FROM parent"), [(2,)])
    ok(c.apply([["c", "late", {"id": 2, "p": 99}]]))
    fails(c.commit(2), "DATA", "sink.foreign_key")
    same(c.q("SELECT count(*) FROM late"), [(1,)])


@test
def absent_is_no_default(c):
    c.q("CREATE TABLE t (id integer PRIMARY KEY, v text DEFAULT 'a default', big text NOT NULL)")
    started(c, [ID, col("v"), col("big")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a", "big": "b"}], ["u", "t", {"id": 1}], ["c", "t", {"id": 9, "big": "N"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, big FROM t ORDER BY id"), [(1, "a", "b"), (9, None, "N")])


# ---- values ----

DAY = 86400000000
KINDS = [
    ("BOOL", True, 1), ("BOOL", False, 0), ("INT32", -2147483648, -2147483648), ("INT64", 9223372036854775807, 9223372036854775807),
    ("INT64", -9223372036854775808, -9223372036854775808), ("FLOAT32", 0.10000000149011612, 0.10000000149011612),
    ("FLOAT64", 0.1, 0.1), ("FLOAT64", 5e-324, 5e-324), ("FLOAT64", "inf", float("inf")), ("FLOAT64", "-inf", float("-inf")),
    ("FLOAT64", 3.0, 3.0), ("DECIMAL", "12.30", "12.30"), ("DECIMAL", "-0.01", "-0.01"), ("DECIMAL", "9" * 60 + ".99", "9" * 60 + ".99"),
    ("TEXT", "", ""), ("TEXT", "a\u0000b\u0000", "a\u0000b\u0000"), ("TEXT", "\u00e9\U0001f600 '\"\\ ", "\u00e9\U0001f600 '\"\\ "), ("TEXT", "007", "007"),
    ("TEXT", "1e3", "1e3"), ("BYTES", "00ff27", b"\x00\xff\x27"), ("BYTES", "", b""), ("JSON", '{"b": 1, "a":[1, 2.50]}', '{"b": 1, "a":[1, 2.50]}'),
    ("JSON", "1.0", "1.0"), ("UUID", "0123abcd-0000-0000-0000-00000000ffff", "0123abcd-0000-0000-0000-00000000ffff"),
    ("DATE", 0, "1970-01-01"), ("DATE", -719528, "0000-01-01"), ("DATE", 2932896, "9999-12-31"), ("TIME", DAY - 1, "23:59:59.999999"),
    ("TIME", 0, "00:00:00"), ("TIME", -1800000000, "-00:30:00"), ("TIME", 3020399000000, "838:59:59"), ("DATETIME", -1, "1969-12-31 23:59:59.999999"),
    ("DATETIME", 0, "1970-01-01 00:00:00"), ("TIMESTAMP", 1234567890123456, "2009-02-13 23:31:30.123456"), ("TIMESTAMP", 253402300799000000, "9999-12-31 23:59:59")]
TYPES = dict(BOOL="INTEGER", INT32="INTEGER", INT64="INTEGER", FLOAT32="REAL", FLOAT64="REAL", BYTES="BLOB")


@test
def every_kind(c):
    """Read back by another program; also as a key; NULL is NULL."""
    started(c, [ID])
    for i, (kind, value, want) in enumerate(KINDS):
        name = "k%d" % i
        c.table([ID, col("v", kind, scale=2, precision=62)], name)
        ok(c.apply([["c", name, {"id": 1, "v": value}], ["c", name, {"id": 2, "v": None}], ["u", name, {"id": 3, "v": value}]]))
        key = "key%d" % i
        c.table([col("k", kind, 1, scale=2, precision=62), col("v", "INT32")], key)
        ok(c.apply([["c", key, {"k": value, "v": 1}], ["u", key, {"k": value, "v": 2}]]))
    ok(c.commit(1))
    for i, (kind, value, want) in enumerate(KINDS):
        got = [r[0] for r in c.q("SELECT v FROM k%d ORDER BY id" % i)]
        same((kind, value, got, [type(g) for g in got]), (kind, value, [want, None, want], [type(want), type(None), type(want)]))
        same((kind, c.q("SELECT type FROM pragma_table_info('k%d') WHERE name = 'v'" % i)), (kind, [(TYPES.get(kind, "TEXT"),)]))
        same((kind, value, c.q("SELECT k, v FROM key%d" % i)), (kind, value, [(want, 2)]))
    ok(c.apply([["d", "key%d" % i, {"k": value}] for i, (kind, value, want) in enumerate(KINDS)]))
    ok(c.commit(2))
    same([c.q("SELECT count(*) FROM key%d" % i)[0][0] for i in range(len(KINDS))], [0] * len(KINDS))
    same(c.q("SELECT datetime(v) FROM k33 WHERE id = 1"), [("2009-02-13 23:31:30",)])  # SQLite reads it


@test
def values_that_are_refused(c):
    """Never NULL, rounded or another class in silence; the column is named, and no value is in the text."""
    cases = [("", "FLOAT64", "nan"), ("", "FLOAT32", "nan"), ("", "DATE", 2932897), ("", "DATE", -719529), ("", "DATETIME", 1 << 61),
             ("INTEGER", "DECIMAL0", "9223372036854775808"), ("STRING", "TEXT", "4711"), ("STRING", "TEXT", " -4.711e3 "), ("JSON", "JSON", "4711"),
             ("text NOT NULL", "TEXT", None), ("TEXT", "FLOAT64", "nan"), ("text CHECK (v <> 'secret')", "TEXT", "secret"), ("INTEGER PRIMARY KEY", "INT32", None)]
    c.open(write_mode=1)
    c.claim()
    for i, (type_, kind, value) in enumerate(cases):
        name = "r%d" % i
        if type_:
            c.q("CREATE TABLE %s (id int, v %s)" % (name, type_))
        extra = dict(precision=19, scale=0) if kind == "DECIMAL0" else {}
        c.table([col("id", "INT32"), col("v", kind.rstrip("0") if kind.startswith("DEC") else kind, **extra)], name)
        fine = None if value is None else 1
        r = fails(c.apply([["c", name, {"id": fine, "v": "1" if extra else {"TEXT": "x", "JSON": "[]"}.get(kind, 1)}], ["c", name, {"id": 2, "v": value}]]), "DATA")
        same((type_, kind, value, r["applied"]), (type_, kind, value, 1))
        assert "v" in r["error"]["text"] and "4711" not in r["error"]["text"] and "secret'" not in r["error"]["text"].replace("<> 'secret'", ""), r


@test
def into_given_types(c):
    cases = [
        ("varchar(5)", "TEXT", "longer than five", "longer than five"), ("BIGINT", "INT64", 1 << 62, 1 << 62), ("tinyint", "INT32", 70000, 70000),
        ("bigint", "DECIMAL0", "-9223372036854775808", -(1 << 63)), ("numeric", "DECIMAL0", "5", 5), ("decimal(10,2)", "DECIMAL2", "-12.30", -12.3),
        ("boolean", "BOOL", True, 1), ("text", "BOOL", True, "true"), ("text", "INT64", -7, "-7"), ("text", "FLOAT32", 0.1, "0.1"), ("double", "INT32", 5, 5.0),
        ("datetime", "DATETIME", 0, "1970-01-01 00:00:00"), ("date", "DATE", 1, "1970-01-02"), ("timestamp", "TIMESTAMP", 0, "1970-01-01 00:00:00"),
        ("uuid", "UUID", "12345678-0000-0000-0000-00000000ffff", "12345678-0000-0000-0000-00000000ffff"), ("json", "JSON", "[1]", "[1]"), ("string", "TEXT", "4711a", "4711a"),
        ("", "INT32", 5, 5), ("", "BYTES", "61", b"a"), ("blob", "TEXT", "5", "5"), ("text", "DECIMAL2", "1.00", "1.00"), ("numeric", "FLOAT64", 0.5, 0.5)]
    for i, (type_, kind, value, want) in enumerate(cases):
        c.q("CREATE TABLE g%d (ID integer PRIMARY KEY, V %s)" % (i, type_))
    c.open()
    c.claim()
    for i, (type_, kind, value, want) in enumerate(cases):
        name = "g%d" % i
        extra = dict(precision=10, scale=2) if kind == "DECIMAL2" else dict(precision=19, scale=0) if kind == "DECIMAL0" else {}
        c.table([ID, col("v", kind.rstrip("02") if kind.startswith("DEC") else kind, **extra)], name)
        ok(c.apply([["c", name, {"id": 1, "v": value}], ["c", name, {"id": 2, "v": None}], ["u", name, {"id": 2, "v": value}]]))
    ok(c.commit(1))
    for i, (type_, kind, value, want) in enumerate(cases):
        same((type_, kind, c.q("SELECT v FROM g%d" % i)), (type_, kind, [(want,), (want,)]))


@test
def hostile_corpus(c):
    """S01, S02, I16: values are values and names are names; canaries stay as they are."""
    c.q("CREATE TABLE canary (id integer PRIMARY KEY, v text)")
    c.q("INSERT INTO canary VALUES (1, 'alive')")
    values = ["'", "''", '"', "`", "]", "\\", "'; DROP TABLE canary; --", '"; DROP TABLE canary; --', "%s%n%d", "?1", ":v", "@v", "$v", "\n\r\t", "\u0000",
              "NULL", "x'00'", "\uff02", "\U0001f4a9", "a" * 100000, "{{}}", "${v}", "--", "/*", "\u202e", "\ufeff"]
    names = ['"', "`", "]", "[", "\\", "a\nb", "\uff02", "x" * 300, "select", "excluded", "rowid", "A b", "'; DROP TABLE canary; --", "\u00e9", "t.t", "%s", "?1", "main", "-"]
    started(c)
    ok(c.apply([["c", "t", {"id": i, "v": v}] for i, v in enumerate(values)]))
    for i, name in enumerate(names):
        c.table([col(name, "TEXT", 1), col("v"), col(name + "2")], "table " + name, as_="n%d" % i)
        c.table([col("k", "INT32", 1), col(name)], name, as_="m%d" % i)
        ok(c.apply([["c", "n%d" % i, {name: "key", "v": "a", name + "2": name}], ["u", "n%d" % i, {name: "key", "v": "b"}],
                    ["c", "m%d" % i, {"k": 1, name: "old"}], ["u", "m%d" % i, {"k": 1, name: name}]]))
    ok(c.commit(1))
    same([r[0] for r in c.q("SELECT v FROM t ORDER BY id")], values)
    there = {r[0] for r in c.q("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for name in names:
        quoted = '"%s"' % name.replace('"', '""')
        assert "table " + name in there and name in there, name
        same([r for r in c.q("SELECT * FROM %s" % quoted)][0][:2], (1, name))
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
    c.table([ID, col("v")], "\u00c9")
    c.table([ID, col("v")], "\u00e9")
    ok(c.apply([["c", "Tab", {"id": 1, "v": "upper"}], ["c", "\u00c9", {"id": 1, "v": "a"}], ["c", "\u00e9", {"id": 1, "v": "b"}]]))
    ok(c.commit(1))
    fails(c.apply([["c", "tab", {"id": 1, "v": "lower"}]]), "CONFIG", "sink.name")
    same(c.q("SELECT v FROM Tab UNION ALL SELECT v FROM \u00c9 UNION ALL SELECT v FROM \u00e9"), [("upper",), ("a",), ("b",)])
    for name, space in (("sqlite_x", ""), ("SQLITE_Y", ""), ("_Freshet_offsets", ""), ("t", "shop")):
        c.table([ID, col("v")], name, as_="bad", space=space)
        fails(c.probe("prepare", sink="a", table="bad", create=True), "CONFIG", "sink.name")
    c.table([ID, col("_freshet_position")], "own")
    fails(c.probe("prepare", sink="a", table="own", create=True), "CONFIG", "sink.name")
    c.table([ID, col("v")], "inmain", space="main")
    ok(c.probe("prepare", sink="a", table="inmain", create=True))


@test
def what_a_given_table_lacks(c):
    c.open(deletes=1, name="soft")
    c.open("hard", name="hard")
    c.open("block", drop_column=STOP, add_column=STOP, change_type=STOP, name="block")
    c.claim("hard")
    for ddl, sink, code, remedy in [
            ("TABLE t (id int, v text)", "hard", "sink.key", "CREATE UNIQUE INDEX"), ("TABLE t (id int, v text, UNIQUE (id, v))", "hard", "sink.key", "CREATE UNIQUE INDEX"),
            ("TABLE t (id int PRIMARY KEY, v text, must int NOT NULL)", "hard", "sink.table", "cannot change a column"),
            ("TABLE t (id int PRIMARY KEY, v text)", "a", "sink.table", "_freshet_deleted"), ("TABLE t (id int PRIMARY KEY, v text, _freshet_position text)", "hard", "sink.table", "freshet's own"),
            ("VIEW t AS SELECT 1 AS id, 'x' AS v", "hard", "sink.key", ""), ("VIRTUAL TABLE t USING fts4(id, v)", "hard", "sink.key", ""),
            ("TABLE t (id int PRIMARY KEY)", "block", "sink.add_column", "ADD COLUMN"), ("TABLE t (id int PRIMARY KEY, v blob) STRICT", "hard", "sink.types", "TEXT"),
            ("TABLE t (id int PRIMARY KEY, v int)", "hard", "sink.types", "TEXT"), ("TABLE t (id real PRIMARY KEY, v int)", "hard", "sink.types", "TEXT")]:
        c.q("CREATE " + ddl)
        c.table([ID, col("v")])
        r = fails(c.probe("prepare", sink=sink, table="t", create=False), "CONFIG", code)
        assert remedy in r["error"]["hint"], (ddl, r)
        same(("blocker", code) in severities(c.plan(sink=sink)), True)
        c.q("DROP %s t" % ("VIEW" if ddl.startswith("VIEW") else "TABLE"))
    c.q("CREATE TABLE t (id int, v text)")
    c.q("CREATE UNIQUE INDEX part ON t (id) WHERE v IS NOT NULL")
    r = fails(c.probe("prepare", sink="hard", table="t", create=False), "CONFIG", "sink.key")
    c.q(r["error"]["hint"].split(": ", 1)[1])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["u", "t", {"id": 1, "v": "b"}]], "hard"))
    ok(c.commit(1, "hard"))
    same(c.q("SELECT * FROM t"), [(1, "b")])


@test
def keys_of_all_shapes(c):
    """WITHOUT ROWID, descending, in another order, NOCASE (with a warning), a generated column beside."""
    ddls = ["a int, b text, v text, PRIMARY KEY (b, a)) WITHOUT ROWID", "a int, b text, v text, UNIQUE (a DESC, b))",
                             "n integer PRIMARY KEY, a int NOT NULL, b text COLLATE NOCASE, v text, up text AS (upper(v)) STORED, UNIQUE (a, b))"]
    for i, ddl in enumerate(ddls):
        c.q("CREATE TABLE k%d (%s" % (i, ddl))
    started(c, [ID])
    for i, ddl in enumerate(ddls):
        name = "k%d" % i
        c.table([col("a", "INT32", 1), col("b", "TEXT", 2), col("v"), col("up")] if "up" in ddl else [col("a", "INT32", 1), col("b", "TEXT", 2), col("v")], name)
        same(severities(c.plan(name)), [("warning", "sink.collation")] if "NOCASE" in ddl else [])
        more = {"up": "ignored"} if "up" in ddl else {}
        ok(c.apply([["c", name, dict(a=1, b="x", v="1", **more)], ["u", name, dict(a=1, b="x", v="2", **more)], ["c", name, dict(a=1, b="X", v="3", **more)], ["d", name, {"a": 9, "b": "x"}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM k0 ORDER BY b"), [("3",), ("2",)])
    same(c.q("SELECT v FROM k1 ORDER BY b"), [("3",), ("2",)])
    same(c.q("SELECT v, up, b FROM k2"), [("3", "3", "x")])


@test
def columns_by_policy(c):
    """I05"""
    started(c, [ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    c.table([ID, col("v"), col("Ärger", "DECIMAL", precision=5, scale=1)], as_="t2")
    ok(c.apply([["TABLE", "t2"], ["c", "t2", {"id": 2, "v": "b", "Ärger": "1.5"}], ["u", "t", {"id": 1, "v": "c"}]]))
    ok(c.commit(1))
    same(c.q('SELECT id, v, "Ärger" FROM t ORDER BY id'), [(1, "c", None), (2, "b", "1.5")])
    c.open("ignore", add_column=IGNORE, name="ignore")
    c.claim("ignore")
    c.table([ID, col("v"), col("w")], as_="t3")
    same(severities(c.plan("t3", "ignore")), [("warning", "sink.table")])
    ok(c.apply([["u", "t3", {"id": 1, "v": "d", "w": "left out"}]], "ignore"))
    ok(c.commit(1, "ignore"))
    same(c.q("SELECT v FROM t WHERE id = 1"), [("d",)])
    c.open("stop", drop_column=STOP, name="stop")
    c.claim("stop")
    ok(c.apply([["u", "t2", {"id": 1, "v": "e", "Ärger": None}]], "stop"))
    ok(c.apply([["u", "t", {"id": 1, "v": "f"}]], "stop"))  # an older version after a newer one lost nothing
    c.table([ID, col("v")], as_="less")
    fails(c.apply([["u", "less", {"id": 1, "v": "f"}]], "stop"), "CONFIG", "sink.drop_column")
    c.table([ID, col("v", "INT64")], as_="t4")
    ok(c.apply([["u", "t4", {"id": 1, "v": 5}]]))  # TEXT holds it
    ok(c.commit(2))
    c.table([ID, col("v", "BYTES")], as_="t5")
    fails(c.apply([["u", "t5", {"id": 1, "v": "00"}]]), "CONFIG", "sink.types")
    same(c.q("SELECT v FROM t WHERE id = 1"), [("5",)])


@test
def altered_under_way(c):
    """The file's schema version tells; whoever changes it does so between two transactions."""
    started(c, [ID, col("v"), col("n", "INT32")])
    ok(c.apply([["c", "t", {"id": 1, "v": "1", "n": 1}]]))
    ok(c.commit(1))
    c.q("ALTER TABLE t RENAME COLUMN n TO m")
    ok(c.apply([["c", "t", {"id": 2, "v": "2", "n": 9}]]))
    ok(c.commit(2))  # on_change.add_column: evolve gives it back
    same(c.q("SELECT id, v, m, n FROM t ORDER BY id"), [(1, "1", 1, None), (2, "2", None, 9)])
    ok(c.apply([["c", "t", {"id": 3, "v": "3", "n": 1}]]))
    other = sqlite3.connect(c.path, isolation_level=None, timeout=0)
    try:
        other.execute("DROP TABLE t")
        raise AssertionError("somebody changes tables in our transaction")
    except sqlite3.OperationalError as e:
        assert "locked" in str(e), e
    other.close()
    ok(c.commit(3))
    c.q("DROP TABLE t")
    r = fails(c.apply([["c", "t", {"id": 7, "v": "7", "n": 1}]]), "CONFIG", "sink.table")
    assert "is gone" in r["error"]["text"], r
    c.table([ID], "rolled")
    ok(c.apply([["c", "rolled", {"id": 1}]]))
    ok(c.probe("rollback", sink="a"))  # and its CREATE TABLE with it
    ok(c.apply([["c", "rolled", {"id": 2}]]))
    ok(c.commit(4))
    same(c.q("SELECT id FROM rolled"), [(2,)])


@test
def create_never_apply_and_plan(c):
    c.open("never", create=NEVER)
    r = fails(c.probe("claim", sink="never", offsets=[["topic", 0]]), "CONFIG", "sink.file")
    assert c.path in r["error"]["text"], r
    c.open("plan", create=APPLY)
    c.table([ID, col("v")])
    same(severities(c.plan(sink="plan")), [("change", "sink.table"), ("change", "sink.table")])
    same(severities(ok(c.probe("check", type="sqlite", path=c.path))["findings"]), [("change", "sink.table"), ("fine", "sink.version")])
    same(severities(ok(c.probe("check", type="sqlite", path=c.path, create=NEVER))["findings"]), [("blocker", "sink.file")])
    same(os.listdir(c.dir), [])  # plan makes nothing
    ddl = "; ".join(f["sql"] for f in c.plan(sink="plan"))
    c.claim("plan")
    fails(c.apply([["c", "t", {"id": 1, "v": "a"}]], "plan"), "CONFIG", "sink.table")
    ok(c.probe("prepare", sink="plan", table="t", create=True))
    same(c.plan(sink="plan"), [])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]], "plan"))
    ok(c.commit(1, "plan"))
    fails(c.probe("open", **{"as": "h"}, type="sqlite", path=c.path, write_mode=2, deletes=1), "CONFIG", "sink.config")
    second = os.path.join(c.dir, "second.db")
    other = c.other(second)
    other.executescript(ddl)  # it is what somebody may run
    other.close()
    c.open("ddl", create=NEVER, path=second)
    c.claim("ddl")
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]], "ddl"))
    ok(c.commit(1, "ddl"))
    same(c.q("SELECT name, sql FROM sqlite_schema ORDER BY name", path=second), c.q("SELECT name, sql FROM sqlite_schema ORDER BY name"))
    same(c.q("PRAGMA journal_mode", path=second), [("delete",)])  # it is theirs


# ---- the file ----

@test
def files_that_cannot_be_used(c):
    with open(c.path, "wb") as f:
        f.write(b"this is no database, whatever its name says\n" * 100)
    e = c.refused("CONFIG", "sink.corrupt")
    assert c.path in e["text"], e
    e = c.refused("CONFIG", "sink.file", path=c.dir + "/no/such/folder/x.db")
    assert "mkdir -p" in e["hint"], e
    c.refused("CONFIG", "sink.file", path=c.dir)
    c.refused("CONFIG", "sink.file", path=c.path + "/x.db")
    c.refused("CONFIG", "sink.config", path=":memory:")
    c.refused("CONFIG", "sink.config", path="")
    same(severities(ok(c.probe("check", type="sqlite", path=c.path))["findings"]), [("blocker", "sink.file")])
    good = os.path.join(c.dir, "good.db")
    c.open(path=good)
    c.claim()
    c.table([ID, col("v")])
    ok(c.apply([["c", "t", {"id": i, "v": "x" * 500}] for i in range(400)]))
    ok(c.commit(1))
    ok(c.probe("close", sink="a"))
    with open(good, "r+b") as f:  # pages in the middle
        f.seek(4096 * 4)
        f.write(b"\xff" * 4096 * 20)
    c.open(path=good)
    r = c.probe("claim", sink="a", offsets=[["topic", 0]])
    if r["ok"]:
        r = c.apply([["c", "t", {"id": i, "v": "y"}] for i in range(400)])
    fails(r, "CONFIG", "sink.corrupt")


@test
def a_file_that_may_not_be_written(c):
    c.open()
    c.claim()
    ok(c.probe("close", sink="a"))
    c.q("PRAGMA journal_mode = DELETE")
    os.chmod(c.path, 0o444)
    if os.geteuid() != 0:
        e = c.refused("AUTH", "sink.readonly")
    else:  # nobody is refused what root is not
        os.chmod(c.dir, 0o755)
        code = os.spawnlp(os.P_WAIT, "setpriv", "setpriv", "--reuid=65534", "--clear-groups", "test", "-x", PROBE)
        if code != 0:
            return
        p = c.probe_by("setpriv", "--reuid=65534", "--clear-groups")
        e = fails(p("open", **{"as": "a"}, type="sqlite", path=c.path), "AUTH", "sink.readonly")["error"]
        r = fails(p("open", **{"as": "a"}, type="sqlite", path=c.dir + "/new.db"), "AUTH", "sink.readonly")
        assert c.dir in r["error"]["text"], r
    assert c.path in e["text"], e


@test
def gone_or_replaced(c):
    """I14: another file goes on where its own offsets say; none at all is an error, and not an empty one."""
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    copy = os.path.join(c.dir, "backup.db")
    c.q("VACUUM INTO '%s'" % copy)
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}]]))
    ok(c.commit(2))
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}]]))
    aside = c.path + ".aside"
    os.rename(c.path, aside)
    r = fails(c.commit(3), "CONFIG", "sink.file")
    assert "is gone" in r["error"]["text"], r
    fails(c.apply([["c", "t", {"id": 3, "v": "c"}]]), "CONFIG", "sink.file")
    same(os.path.exists(c.path), False)
    os.rename(aside, c.path)
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}]]))
    ok(c.commit(3))
    for end in ("-wal", "-shm"):
        os.unlink(c.path + end)
    os.rename(copy, c.path)
    fails(c.apply([["c", "t", {"id": 4, "v": "d"}]]), "CONNECT", "sink.file")
    same(c.probe("status", sink="a")["connected"], False)
    ok(c.probe("close", sink="a"))
    c.open()
    same(c.claim(), [1])
    ok(c.apply([["c", "t", {"id": i, "v": "again"}] for i in (2, 3, 4)]))
    ok(c.commit(4))
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "a"), (2, "again"), (3, "again"), (4, "again")])


@test
def a_disk_that_does_not_take_it(c):
    """What cannot be written is an error that passes; rows and offset stay one."""
    p = c.probe = c.probe_by("sh", "-c", "trap '' XFSZ; exec \"$0\"")
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    resource.prlimit(p.p.pid, resource.RLIMIT_FSIZE, (200000, resource.RLIM_INFINITY))
    r = c.apply([["c", "t", {"id": i, "v": "x" * 1000}] for i in range(20000)])
    if r["ok"]:
        r = c.commit(2)
    fails(r, r["error"]["kind"] if r["error"]["kind"] in ("BUSY", "CONNECT") else "BUSY or CONNECT")
    resource.prlimit(p.p.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ok(c.probe("close", sink="a"))
    c.open()
    same(c.claim(), [1])
    same(c.q("SELECT count(*) FROM t"), [(1,)])
    ok(c.apply([["c", "t", {"id": i, "v": "x" * 1000}] for i in range(500)]))
    ok(c.commit(2))
    same(c.q("SELECT count(*) FROM t"), [(500,)])


# ---- others ----

@test
def a_zombie_is_fenced(c):
    """I08"""
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "old owner"}]]))
    ok(c.commit(10))
    other = c.new_probe()
    c.open("b", probe=other)
    c.table([ID, col("v")], probe=other)
    same(c.claim("b", probe=other), [10])
    ok(c.apply([["c", "t", {"id": 1, "v": "zombie"}], ["c", "t", {"id": 2, "v": "zombie"}]]))
    fails(c.commit(11), "FENCED", "sink.fenced")
    same(c.q("SELECT id, v FROM t"), [(1, "old owner")])
    ok(c.apply([["c", "t", {"id": 2, "v": "new owner"}]], "b", probe=other))
    ok(c.commit(12, "b", probe=other))
    fails(c.commit(13), "FENCED")
    c.q("DELETE FROM _freshet_offsets")
    ok(c.apply([["c", "t", {"id": 3, "v": "x"}]], "b", probe=other))
    fails(c.commit(14, "b", probe=other), "FENCED")
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "old owner"), (2, "new owner")])


@test
def two_sinks_of_one_file(c):
    """Each waits for the other's transaction; neither starves."""
    probes = [c.probe, c.new_probe()]
    for i, p in enumerate(probes):
        c.open("s", probe=p, name="s%d" % i)
        c.table([ID, col("v")], "t%d" % i, probe=p)
        p.send("claim", sink="s", offsets=[["topic", 0]])
    for p in probes:
        ok(p.answer())

    def feed(i):
        for n in range(40):
            ok(c.apply([["c", "t%d" % i, {"id": n, "v": "x"}]], "s", probes[i]))
            ok(c.commit(n + 1, "s", probes[i]))
    threads = [threading.Thread(target=feed, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same(c.q("SELECT (SELECT count(*) FROM t0), (SELECT count(*) FROM t1)"), [(40, 40)])
    same(c.q("SELECT sink, next_offset FROM _freshet_offsets ORDER BY sink"), [("s0", 40), ("s1", 40)])


@test
def a_lock_of_another(c):
    """I07, I09: it is waited for, and a wait can be ended."""
    started(c)
    mine = c.other()
    mine.execute("BEGIN IMMEDIATE")
    c.probe.send("apply", sink="a", events=[["c", "t", {"id": 1, "v": "a"}]])
    released = threading.Timer(0.3, lambda: None)
    released.start()
    released.join()
    mine.execute("ROLLBACK")
    ok(c.probe.answer())
    ok(c.commit(1))
    mine.execute("BEGIN IMMEDIATE")
    c.probe("interrupt_in", sink="a", ms=300)
    fails(c.apply([["c", "t", {"id": 2, "v": "a"}]]), "CANCELLED")
    mine.execute("ROLLBACK")
    mine.close()
    ok(c.apply([["c", "t", {"id": 2, "v": "a"}]]))
    ok(c.commit(2))
    same(c.q("SELECT id FROM t"), [(1,), (2,)])
    reader = c.other()
    reader.execute("BEGIN")
    same(reader.execute("SELECT count(*) FROM t").fetchall(), [(2,)])
    ok(c.apply([["c", "t", {"id": 3, "v": "a"}]]))  # readers are no obstacle
    ok(c.commit(3))
    same(reader.execute("SELECT count(*) FROM t").fetchall(), [(2,)])
    reader.close()


@test
def parked_keys(c):
    """R36: part of the transaction, beside the offsets."""
    started(c)
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], [])
    ok(c.probe("park", sink="a", topic="topic", key="k1"))
    ok(c.probe("rollback", sink="a"))
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], [])
    for key in ("k1", "k2", "k1", "", "x" * 5000):
        ok(c.probe("park", sink="a", topic="topic", key=key))
    ok(c.commit(3))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), sorted(["", "k1", "k2", "x" * 5000]))
    same(ok(c.probe("parked", sink="a", topic="other"))["keys"], [])
    ok(c.probe("unpark", sink="a", topic="topic", key="k2"))
    ok(c.probe("rollback", sink="a"))
    same(len(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), 4)
    ok(c.probe("unpark", sink="a", topic="topic", key="k2"))
    ok(c.probe("unpark", sink="a", topic="topic", key="nobody"))
    ok(c.probe("unpark", sink="a", topic="other", key="k1"))
    ok(c.commit(4))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), sorted(k for k in ("k1", "k2", "", "x" * 5000) if k != "k2"))


@test
def kills_at_any_moment(c):
    """I01: as many rows as the offset says, after each of 8 lives."""
    rng = random.Random(8)
    for life in range(8):
        p = c.new_probe()
        c.open(probe=p)
        c.table([ID, col("v")], probe=p)
        at = max(c.claim(probe=p)[0], 0)
        p.dead = True
        killer = threading.Timer(rng.uniform(0.01, 0.3), p.p.send_signal, (signal.SIGKILL,))
        killer.start()
        try:
            while True:
                n = rng.choice([1, 3, 40])
                ok(c.apply([["c", "t", {"id": at + i, "v": "life %d" % life}] for i in range(n)], probe=p))
                ok(c.commit(at + n, probe=p))
                at += n
        except (EOFError, BrokenPipeError):
            pass
        killer.join()
        now = c.q("SELECT next_offset FROM _freshet_offsets")[0][0]
        if c.there("t"):
            same(c.q("SELECT count(*), max(id) + 1 FROM t"), [(now, now if now > 0 else None)] if now > 0 else [(0, None)])
    assert now > 0
    same(c.q("PRAGMA integrity_check"), [("ok",)])
    c.q("DELETE FROM t WHERE id = 0")  # the control
    assert c.q("SELECT count(*) FROM t") != [(now,)]


@test
def thousands_of_rows(c):
    started(c, [ID, col("v"), col("w", "INT64")])
    n = 20000
    ok(c.apply([["c", "t", {"id": i, "v": "row %d" % i, "w": i}] for i in range(n)]))
    ok(c.commit(1))
    ok(c.apply([["u", "t", {"id": i, "v": "new %d" % i, "w": -i}] for i in range(0, n, 2)] + [["d", "t", {"id": i}] for i in range(1, n, 4)]))
    ok(c.commit(2))
    same(c.q("SELECT count(*), sum(w), sum(v LIKE 'new%') FROM t"), [(15000, sum(-i for i in range(0, n, 2)) + sum(range(3, n, 4)), 10000)])
    big = "x" * 3000000
    ok(c.apply([["u", "t", {"id": i, "v": big, "w": 0}] for i in range(0, 6, 2)]))
    ok(c.commit(3))
    same(c.q("SELECT count(*) FROM t WHERE length(v) = 3000000"), [(3,)])
    masks = [["u", "t", dict([("id", i % 7), ("v", "m")] if i % 3 else [("id", i % 7), ("w", i)])] for i in range(300)]
    ok(c.apply(masks))
    ok(c.commit(4))


if __name__ == "__main__":
    sys.exit(main("sqlite_sink"))
