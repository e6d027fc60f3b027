#!/usr/bin/env python3
"""mysql-sink: the target's shape, grants, checks."""
import os
import sys

from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- the target's shape ----

def columns_of(c, table="t"):
    return [r[0] for r in c.q("SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND "
                              "TABLE_NAME = %s ORDER BY ORDINAL_POSITION", (c.name, table))]


@test
def evolve_columns(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    c.table([ID, col("v"), col("w", "TIMESTAMP")], as_="t2")
    plan = ok(c.probe("prepare", sink="a", table="t2", create=False, plan_only=True))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in plan], [("change", "sink.table")])
    assert "w" not in columns_of(c)
    ok(c.apply([["c", "t", {"id": 2, "v": "not committed"}]]))
    fails(c.apply([["TABLE", "t2"], ["u", "t2", {"id": 1, "v": "a", "w": 1000000}]]), "BUSY", "sink.altered")
    assert "w" in columns_of(c)
    same(c.q("SELECT id FROM t"), [(1,)])
    ok(c.apply([["TABLE", "t2"], ["u", "t2", {"id": 1, "v": "a", "w": 1000000}]]))
    ok(c.commit(2))
    same(c.q("SELECT UNIX_TIMESTAMP(w), v FROM t"), [(1, "a")])
    c.table([ID, col("w", "TIMESTAMP")], as_="t3")
    ok(c.apply([["TABLE", "t3"], ["u", "t3", {"id": 1, "w": 2000000}], ["c", "t3", {"id": 5, "w": None}]]))
    ok(c.commit(3))
    same(c.q("SELECT id, UNIX_TIMESTAMP(w), v FROM t ORDER BY id"), [(1, 2, "a"), (5, None, None)])


@test
def a_dropped_column_that_must_have_a_value(c):
    """on_change.drop_column evolve lets it be NULL, and keeps what MODIFY would forget."""
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(20) CHARACTER SET latin1 NOT NULL COMMENT 'it''s v', "
        "w int NOT NULL DEFAULT 7)")
    c.q("INSERT INTO t VALUES (1, 'old', 1)")
    started(c, [ID], drop_column=EVOLVE)
    ok(c.probe("prepare", sink="a", table="t", create=False))
    ok(c.apply([["c", "t", {"id": 2}]]))
    ok(c.commit(1))
    same(c.q("SELECT * FROM t ORDER BY id"), [(1, "old", 1), (2, None, 7)])
    same(c.q("SELECT CHARACTER_SET_NAME, COLUMN_COMMENT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND "
             "COLUMN_NAME = 'v'", (c.name,)), [("latin1", "it's v")])


@test
def columns_by_policy(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
    c.open("block", add_column=BLOCK, drop_column=BLOCK, change_type=BLOCK)
    c.open("ignore", add_column=IGNORE, drop_column=IGNORE)
    c.claim("block")
    c.table([ID, col("v")], as_="t1")
    c.table([ID, col("v"), col("w", "INT64")], as_="t2")
    c.table([ID], as_="t3")
    ok(c.apply([["c", "t1", {"id": 1, "v": "a"}]], "block"))
    ok(c.commit(1, "block"))
    r = fails(c.apply([["c", "t1", {"id": 2, "v": "a"}], ["TABLE", "t2"]], "block"), "CONFIG", "sink.add_column")
    assert "ADD COLUMN `w` bigint" in r["error"]["hint"], r
    same(r["applied"], 1)
    fails(c.apply([["TABLE", "t3"]], "block"), "CONFIG", "sink.drop_column")
    c.claim("ignore")
    ok(c.apply([["c", "t2", {"id": 5, "v": "x", "w": 7}], ["c", "t3", {"id": 6}]], "ignore"))
    ok(c.commit(2, "ignore"))
    same(c.q("SELECT * FROM t ORDER BY id"), [(1, "a"), (5, "x"), (6, None)])


@test
def widen_types(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 5 COMMENT 'n', d decimal(6,4), f float, big bigint, "
        "s varchar(5) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT 'x''y', k tinyint unsigned)")
    c.q("INSERT INTO t VALUES (1, 1, 12.3456, 0.5, 1, 'abc', 255)")
    columns = [ID, col("n", "INT64"), col("d", "DECIMAL", precision=10, scale=2),
               col("f", "FLOAT64"), col("big", "INT32"), col("s", native="varchar(20)"), col("k", "INT32")]
    c.open("block", change_type=BLOCK)
    c.open("evolve", change_type=EVOLVE)
    c.claim("block")
    c.table(columns)
    r = fails(c.probe("prepare", sink="block", table="t", create=False), "CONFIG", "sink.types")
    assert "`n` bigint NOT NULL DEFAULT" in r["error"]["hint"], r
    c.claim("evolve")
    ok(c.probe("prepare", sink="evolve", table="t", create=False))
    ok(c.apply([["c", "t", {"id": 2, "n": 1 << 40, "d": "12345678.90", "f": 0.1, "big": 5, "s": "x" * 20, "k": 1}]], "evolve"))
    ok(c.commit(1, "evolve"))
    same(c.q("SELECT n, CAST(d AS CHAR), f, big, s FROM t ORDER BY id"),
         [(1, "12.3456", 0.5, 1, "abc"), (1 << 40, "12345678.9000", 0.1, 5, "x" * 20)])
    same(c.q("SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND "
             "COLUMN_NAME = 's'", (c.name,)), [("latin1", "latin1_bin")])
    c.q("INSERT INTO t (id) VALUES (3)")
    same(c.q("SELECT n, s FROM t WHERE id = 3"), [(5, "x'y")])


@test
def types_that_mean_something_else(c):
    c.open()
    c.claim()
    for i, (kind, target, fine) in enumerate([
            ("TEXT", "blob", False), ("BYTES", "text", False), ("DATETIME", "timestamp NULL", False),
            ("INT32", "date", False), ("TEXT", "int", False), ("FLOAT64", "int", False), ("TEXT", "decimal(10,2)", False),
            ("TIMESTAMP", "datetime", True), ("DATE", "datetime", True), ("BOOL", "int", True), ("TEXT", "datetime", False),
            ("JSON", "int", False), ("INT32", "bit(1)", True), ("UUID", "varchar(36)", True), ("TIMESTAMP", "timestamp NULL", True),
            ("TEXT", "float", False), ("TIME", "time", True), ("INT64", "double", False), ("INT32", "float", False),
            ("INT32", "double", True), ("INT64", "bigint unsigned", True), ("TEXT", "enum('a','b')", True),
            ("TEXT", "set('a','b')", True), ("BYTES", "bit(8)", False), ("BYTES", "geometry", False), ("INT32", "year", True),
            ("DATE", "date", True), ("DATETIME", "date", False), ("TIMESTAMP", "date", False)]):
        c.q("CREATE TABLE x%d (id int PRIMARY KEY, v %s)" % (i, target))
        c.table([ID, col("v", kind)], "x%d" % i)
        r = c.probe("prepare", sink="a", table="x%d" % i, create=False)
        assert r["ok"] == fine, (kind, target, r)
        if not fine:
            fails(r, "CONFIG", "sink.types")


@test
def fractions_in_a_key(c):
    if not c.fractions():
        raise Skip("no fractions on this server")
    c.q("CREATE TABLE t (id datetime(3) PRIMARY KEY, v int)")
    started(c, [col("id", "DATETIME", 1), col("v", "INT32")])
    r = fails(c.probe("prepare", sink="a", table="t", create=False), "CONFIG", "sink.types")
    assert "two keys would become one" in r["error"]["hint"], r


@test
def an_engine_that_cannot_roll_back(c):
    started(c)
    for engine in ["MyISAM", "MEMORY"] + (["Aria"] if c.mariadb else []):
        c.q("DROP TABLE IF EXISTS t")
        c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(20)) ENGINE=%s" % engine)
        r = fails(c.apply([["c", "t", {"id": 1, "v": "a"}]]), "CONFIG", "sink.engine")
        assert "ENGINE=InnoDB" in r["error"]["hint"], r
        plan = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))["findings"]
        same([(SEVERITY[f["severity"]], f["code"]) for f in plan], [("blocker", "sink.engine")])
        c.q(plan[0]["sql"])
        ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
        ok(c.probe("rollback", sink="a"))
        same(c.q("SELECT count(*) FROM t"), [(0,)])
        c.open("fresh" + engine)  # a target that was there and is dropped is not known to this one
        c.probe("close", sink="a")
        c.open()
        c.claim()
    c.q("DROP TABLE _freshet_offsets")
    c.q("CREATE TABLE _freshet_offsets (x int) ENGINE=MyISAM")
    c.open("late")
    fails(c.probe("claim", sink="late", offsets=[["topic", 0]]), "CONFIG", "sink.engine")


@test
def names_that_differ_by_case_only(c):
    """S03: columns are one to MySQL; tables are not, on this system."""
    started(c, [ID, col("Foo"), col("foo")])
    fails(c.probe("prepare", sink="a", table="t", create=True), "CONFIG", "sink.name")
    c.table([ID, col("v")], "Tab")
    c.table([ID, col("v")], "tab")
    ok(c.apply([["c", "Tab", {"id": 1, "v": "upper"}], ["c", "tab", {"id": 1, "v": "lower"}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM Tab UNION ALL SELECT v FROM tab"), [("upper",), ("lower",)])
    c.q("CREATE TABLE mixed (ID int PRIMARY KEY, V varchar(20))")
    c.table([ID, col("v")], "mixed")
    ok(c.apply([["c", "mixed", {"id": 1, "v": "x"}]]))
    ok(c.commit(2))
    same(c.q("SELECT * FROM mixed"), [(1, "x")])


@test
def long_keys(c):
    """What an index takes decides how long texts in a key may be; a longer one is an error of its row."""
    started(c, [col("id", "TEXT", 1), col("b", "BYTES", 2), col("v")])
    ok(c.apply([["c", "t", {"id": "x" * 150, "b": "ab" * 300, "v": "a"}]]))
    ok(c.commit(1))
    r = fails(c.apply([["c", "t", {"id": "y", "b": "", "v": "a"}], ["c", "t", {"id": "x" * 5000, "b": "", "v": "a"}]]),
              "DATA", "sink.value")
    same(r["applied"], 1)
    assert "index" in r["error"]["hint"], r
    same(c.q("SELECT length(id), length(b) FROM t"), [(150, 300)])
    many = [col("k%d" % i, native="varchar(10)", key=i + 1) for i in range(16)]
    c.table(many + [col("w%d" % i, native="varchar(255)") for i in range(150)], "wide")
    ok(c.apply([["c", "wide", dict({"k%d" % i: "x" * 10 for i in range(16)}, **{"w%d" % i: "y" * 40 for i in range(150)})]]))
    ok(c.commit(2))


@test
def create_never_and_apply(c):
    c.open("never", create=NEVER)
    r = fails(c.probe("claim", sink="never", offsets=[["topic", 0]]), "CONFIG", "sink.table")
    for sql in r["error"]["hint"].split(": ", 1)[1].split("; "):
        c.q(sql)
    c.claim("never")
    c.table([ID, col("v")])
    r = fails(c.apply([["c", "t", {"id": 1, "v": "a"}]], "never"), "CONFIG", "sink.table")
    c.open("apply", create=APPLY)
    c.claim("apply")
    fails(c.apply([["c", "t", {"id": 1, "v": "a"}]], "apply"), "CONFIG", "sink.table")
    ok(c.probe("prepare", sink="apply", table="t", create=True))
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]], "apply"))
    ok(c.commit(1, "apply"))
    same(c.q("SELECT id FROM t"), [(1,)])


@test
def what_a_given_table_lacks(c):
    c.open(deletes=1, name="soft")
    c.open("hard")
    c.open("block", drop_column=BLOCK)
    c.claim("hard")
    for ddl, sink, code, remedy in [
            ("id int, v text", "hard", "sink.key", "ADD UNIQUE KEY"),
            ("id int, v varchar(20), UNIQUE (id, v)", "hard", "sink.key", "ADD UNIQUE KEY"),
            ("id int PRIMARY KEY, v text, must int NOT NULL", "block", "sink.table", "int(11) NULL" if c.mariadb or c.version < (8, 0) else "int NULL"),
            ("id int PRIMARY KEY, v text", "a", "sink.table", "_freshet_deleted"),
            ("id int PRIMARY KEY, v text, _freshet_position int", "hard", "sink.table", "freshet's own")]:
        c.q("DROP TABLE IF EXISTS t")
        c.q("CREATE TABLE t (%s)" % ddl)
        c.table([ID, col("v")])
        r = fails(c.probe("prepare", sink=sink, table="t", create=False), "CONFIG", code)
        assert remedy in r["error"]["hint"], r
    c.q("DROP TABLE t")
    c.q("CREATE VIEW t AS SELECT 1 AS id, 'x' AS v")
    c.table([ID, col("v")])
    fails(c.probe("prepare", sink="hard", table="t", create=False), "CONFIG")
    c.q("DROP VIEW t")
    c.table([col("id", "INT32"), col("v")])
    fails(c.probe("prepare", sink="hard", table="t", create=True), "CONFIG", "sink.key")


@test
def counting_and_generated_columns(c):
    generated = "GENERATED ALWAYS AS (upper(v)) STORED" if c.version >= (5, 7) else "" if not c.mariadb else "AS (upper(v)) PERSISTENT"
    c.q("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, v varchar(20), up varchar(20) %s)" % generated)
    started(c, [ID, col("v"), col("up")])
    ok(c.apply([["c", "t", {"id": 0, "v": "a", "up": "A"}], ["c", "t", {"id": 8, "v": "b", "up": "B"}]]))
    ok(c.apply([["u", "t", {"id": 0, "v": "c", "up": "C"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, up FROM t ORDER BY id"), [(0, "c", "C"), (8, "b", "B")])


@test
def a_generated_key_is_refused(c):
    """Rows would be found by the rest of the key, and keys[0] was another column."""
    if not c.mariadb and c.version < (5, 7):
        raise Skip("generated columns need MySQL 5.7")
    c.q("CREATE TABLE t (tenant int, id int, day int AS (tenant * 10) %s, UNIQUE KEY (day, id))" % ("PERSISTENT" if c.mariadb else "STORED"))
    started(c, [col("tenant", "INT32"), col("id", "INT32", 2), col("day", "INT32", 1)])
    r = fails(c.apply([["c", "t", {"tenant": 1, "id": 1, "day": 10}], ["c", "t", {"tenant": 1, "id": 2, "day": 10}]]), "CONFIG", "sink.key")
    assert "key column `day` is generated" in r["error"]["text"], r
    same(c.q("SELECT count(*) FROM t"), [(0,)])


@test
def a_space_of_its_own(c):
    c.open()
    c.claim()
    space = c.name[:40] + ' `new` "x"'
    c.table([ID, col("v")], space=space)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    quoted = "`%s`" % space.replace("`", "``")
    same(c.q("SELECT v FROM %s.t" % quoted), [("a",)])
    c.q("DROP DATABASE %s" % quoted)


@test
def altered_under_way(c):
    started(c, [ID, col("v"), col("n", "INT32")])
    ok(c.apply([["c", "t", {"id": 1, "v": "1", "n": 1}], ["c", "t", {"id": 2, "v": "2", "n": 1}]]))
    ok(c.commit(1))
    c.q("ALTER TABLE t MODIFY v varchar(10), MODIFY n bigint")
    ok(c.apply([["c", "t", {"id": 3, "v": "3", "n": 1}], ["c", "t", {"id": 4, "v": "4", "n": 1}]]))
    ok(c.commit(2))
    c.q("ALTER TABLE t CHANGE n m bigint")
    fails(c.apply([["c", "t", {"id": 5, "v": "5", "n": 9}]]), "BUSY", "sink.altered")
    ok(c.apply([["c", "t", {"id": 5, "v": "5", "n": 9}], ["c", "t", {"id": 6, "v": "6", "n": 9}]]))
    ok(c.commit(3))  # on_change.add_column: evolve gives it back
    same(c.q("SELECT id, v, m, n FROM t ORDER BY id"),
         [(1, "1", 1, None), (2, "2", 1, None), (3, "3", 1, None), (4, "4", 1, None), (5, "5", None, 9), (6, "6", None, 9)])
    c.q("DROP TABLE t")
    r = fails(c.apply([["c", "t", {"id": 7, "v": "7", "n": 1}]]), "CONFIG", "sink.table")
    assert "is gone" in r["error"]["text"], r
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(5), n int)")
    c.open("never", create=NEVER)
    c.claim("never")
    ok(c.apply([["c", "t", {"id": 8, "v": "8", "n": 1}]], "never"))
    ok(c.commit(5, "never"))
    c.q("ALTER TABLE t DROP COLUMN v")
    fails(c.apply([["c", "t", {"id": 9, "v": "9", "n": 1}]], "never"), "BUSY", "sink.altered")
    ok(c.apply([["c", "t", {"id": 9, "v": "9", "n": 1}]], "never"))
    c.open("never2", create=NEVER, add_column=BLOCK)
    c.claim("never2")
    ok(c.probe("rollback", sink="never"))
    c.q("ALTER TABLE t DROP COLUMN v")
    r = fails(c.apply([["c", "t", {"id": 9, "v": "9", "n": 1}]], "never2"), "CONFIG", "sink.add_column")
    assert "ADD COLUMN" in r["error"]["hint"], r


# ---- grants and checks ----

@test
def missing_grants(c):
    role = "fr_%d" % os.getpid()
    c.q("CREATE USER %s@'%%'" % role)
    try:
        c.q("GRANT SELECT ON %s.* TO %s@'%%'" % (c.name, role))
        as_role = c.dsn(user=role)
        c.open(dsn=as_role)
        r = fails(c.probe("claim", sink="a", offsets=[["topic", 0]]), "AUTH")
        assert "CREATE TABLE" in r["error"]["hint"], r
        c.q("GRANT CREATE, INSERT, UPDATE ON %s.* TO %s@'%%'" % (c.name, role))
        ok(c.probe("close", sink="a"))
        c.open(dsn=as_role)
        c.claim()
        c.q("REVOKE INSERT, UPDATE ON %s.* FROM %s@'%%'" % (c.name, role))
        for own in ("_freshet_offsets", "_freshet_parked"):
            c.q("GRANT INSERT, UPDATE ON %s.%s TO %s@'%%'" % (c.name, own, role))
        c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
        c.table([ID, col("v")])
        ok(c.probe("close", sink="a"))
        c.open(dsn=as_role)
        c.claim()
        r = fails(c.apply([["c", "t", {"id": 1, "v": "a"}]]), "CONFIG", "sink.grants")
        sql = r["error"]["hint"].split(": ", 1)[1]
        assert sql.startswith("GRANT SELECT, INSERT, UPDATE, DELETE ON"), sql
        plan = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))["findings"]
        same([(SEVERITY[f["severity"]], f["code"]) for f in plan], [("blocker", "sink.grants")])
        c.q(sql)
        ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
        ok(c.commit(1))
        c.q("REVOKE INSERT ON t FROM %s@'%%'" % role)
        r = c.apply([["c", "t", {"id": 2, "v": "a"}]])
        assert not r["ok"] and r["error"]["code"] == "sink.grants", r
    finally:
        for p in c.probes:
            if not p.dead:
                p("close", sink="a")
        c.q("DROP USER %s@'%%'" % role)


@test
def check_findings(c):
    weak = [] if c.fractions() else [("warning", "sink.version")]
    found = ok(c.probe("check", type="mysql", dsn=c.dsn()))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("change", "sink.table"), ("fine", "sink.version")] + weak)
    found = ok(c.probe("check", type="mariadb", dsn="mysql://root@127.0.0.1:1/x"))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("blocker", "sink.connect")])
    found = ok(c.probe("check", type="mysql", dsn=c.dsn().rsplit("/", 1)[0]))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("blocker", "sink.config")])
    c.open()
    c.claim()
    found = ok(c.probe("check", type="mysql", dsn=c.dsn()))["findings"]
    same([f["code"] for f in found], ["sink.version"] + [w[1] for w in weak])
    fails(c.probe("open", **{"as": "h"}, type="mysql", dsn=c.dsn(), write_mode=2, deletes=1), "CONFIG", "sink.config")


@test
def whatever_the_server_thinks_is_strict(c):
    """The session is strict though the server is not: a zero, a cut text or a NULL are never put in silence."""
    before = c.q("SELECT @@GLOBAL.sql_mode")[0][0]
    c.q("SET GLOBAL sql_mode = ''")
    try:
        c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(3), n tinyint, s timestamp NOT NULL)")
        started(c, [ID, col("v"), col("n", "INT32"), col("s", "TIMESTAMP")])
        good = {"v": "abc", "n": 1, "s": 1000000}
        for bad in ({"v": "abcd"}, {"v": "abc  "}, {"n": 1000}, {"n": -129}, {"s": None}, {"s": 1 << 60}, {"s": -1}):
            events = [["c", "t", dict(good, id=i)] for i in range(5)]
            events[3][2].update(bad)
            same((bad, fails(c.apply(events), "DATA")["applied"]), (bad, 3))
        same(c.q("SELECT count(*) FROM t"), [(0,)])
    finally:
        c.q("SET GLOBAL sql_mode = %s", (before,))


@test
def plan_changes_nothing(c):
    c.open()
    c.table([ID, col("v")])
    found = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("change", "sink.table"), ("change", "sink.table")])
    same(c.q("SHOW TABLES"), [])
    for f in found:
        for sql in f["sql"].split("; "):
            c.q(sql)  # it is what a DBA may run
    found = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))["findings"]
    same(found, [])


@test
def two_workers_create_at_once(c):
    probes = [c.new_probe() for _ in range(4)]
    for i, p in enumerate(probes):
        c.open(probe=p)
        c.table([ID, col("v")], probe=p)
    for i, p in enumerate(probes):
        p.send("claim", sink="a", offsets=[["topic", i]])
    for p in probes:
        ok(p.answer())
    for i, p in enumerate(probes):
        p.send("prepare", sink="a", table="t", create=True)
    for p in probes:
        ok(p.answer())


@test
def thousands_of_rows(c):
    started(c, [ID, col("v"), col("w", "INT64")])
    n = 20000
    ok(c.apply([["c", "t", {"id": i, "v": "row %d" % i, "w": i}] for i in range(n)]))
    ok(c.commit(1))
    ok(c.apply([["u", "t", {"id": i, "v": "new %d" % i, "w": -i}] for i in range(0, n, 2)]
               + [["d", "t", {"id": i}] for i in range(1, n, 4)]))
    ok(c.commit(2))
    same(c.q("SELECT count(*), sum(w), sum(v LIKE 'new%') FROM t"),
         [(15000, sum(-i for i in range(0, n, 2)) + sum(range(3, n, 4)), 10000)])
    same(c.q("SELECT count(*) FROM t WHERE id % 2 = 0 AND v <> concat('new ', id)"), [(0,)])
    big = "x" * 3000000
    if c.q("SELECT @@GLOBAL.max_allowed_packet")[0][0] < 8000000:
        r = fails(c.apply([["u", "t", {"id": 0, "v": "ok", "w": 0}], ["u", "t", {"id": 2, "v": big, "w": 0}]]), "DATA", "sink.packet")
        same(r["applied"], 1)
        assert "max_allowed_packet" in r["error"]["hint"], r
        big = "x" * 600000
    ok(c.apply([["u", "t", {"id": i, "v": big, "w": 0}] for i in range(0, 10, 2)]))
    ok(c.commit(3))
    same(c.q("SELECT count(*) FROM t WHERE length(v) = %d" % len(big)), [(5,)])


if __name__ == "__main__":
    sys.exit(main("mysql_sink_target"))
