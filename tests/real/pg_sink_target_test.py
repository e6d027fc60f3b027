#!/usr/bin/env python3
"""postgres-sink: the target's shape, grants, checks."""
import os
import sys
import urllib.parse

from pg_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- the target's shape ----

@test
def evolve_columns(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    c.table([ID, col("v"), col("w", "TIMESTAMP")], as_="t2")
    plan = ok(c.probe("prepare", sink="a", table="t2", create=False, plan_only=True))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in plan], [("change", "sink.table")])
    same(c.q("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'w'"), [(0,)])
    ok(c.apply([["TABLE", "t2"], ["u", "t2", {"id": 1, "v": "a", "w": 1000000}]]))
    ok(c.probe("rollback", sink="a"))
    same(c.q("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'w'"), [(0,)])
    ok(c.apply([["u", "t2", {"id": 1, "v": "a", "w": 1000000}]]))
    ok(c.commit(2))
    same(c.q("SELECT extract(epoch FROM w)::int, v FROM t"), [(1, "a")])
    c.table([ID, col("w", "TIMESTAMP")], as_="t3")
    ok(c.apply([["TABLE", "t3"], ["u", "t3", {"id": 1, "w": 2000000}], ["c", "t3", {"id": 5, "w": None}]]))
    ok(c.commit(3))
    same(c.q("SELECT id, extract(epoch FROM w)::int, v FROM t ORDER BY id"), [(1, 2, "a"), (5, None, None)])


@test
def columns_by_policy(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    c.open("block", add_column=BLOCK, drop_column=BLOCK, change_type=BLOCK)
    c.open("ignore", add_column=IGNORE, drop_column=IGNORE)
    c.claim("block")
    c.table([ID, col("v")], as_="t1")
    c.table([ID, col("v"), col("w", "INT64")], as_="t2")
    c.table([ID], as_="t3")
    ok(c.apply([["c", "t1", {"id": 1, "v": "a"}]], "block"))
    ok(c.commit(1, "block"))
    r = fails(c.apply([["c", "t1", {"id": 2, "v": "a"}], ["TABLE", "t2"]], "block"), "CONFIG", "sink.add_column")
    assert 'ADD COLUMN IF NOT EXISTS "w" bigint' in r["error"]["hint"], r
    same(r["applied"], 1)
    fails(c.apply([["TABLE", "t3"]], "block"), "CONFIG", "sink.drop_column")
    c.claim("ignore")
    ok(c.apply([["c", "t2", {"id": 5, "v": "x", "w": 7}], ["c", "t3", {"id": 6}]], "ignore"))
    ok(c.commit(2, "ignore"))
    same(c.q("SELECT * FROM t ORDER BY id"), [(1, "a"), (5, "x"), (6, None)])


@test
def an_older_version_after_a_newer_one(c):
    """Partitions are read at their own pace: it lost nothing, and its topic is not held."""
    c.open(drop_column=BLOCK)
    c.claim(parts=(("topic", 0), ("topic", 1)))
    c.table([ID, col("v"), col("n", "INT32")], "t", "two", version=8)
    c.table([ID, col("v")], "t", "one", version=7)
    ok(c.apply([["c", "two", {"id": 1, "v": "a", "n": 1}]]))
    ok(c.apply([["c", "one", {"id": 2, "v": "b"}]], partition=1))
    ok(c.commit(1))
    same(c.q("SELECT id, v, n FROM t ORDER BY id"), [(1, "a", 1), (2, "b", None)])
    c.table([ID, col("v")], "t", "three", version=9)
    r = fails(c.apply([["c", "three", {"id": 3, "v": "c"}]]), "CONFIG", "sink.drop_column")
    assert "lost the column" in r["error"]["text"], r


@test
def widen_types(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, n int, d numeric(6,4), f real, big bigint)")
    c.q("INSERT INTO t VALUES (1, 1, 12.3456, 0.5, 1)")
    columns = [ID, col("n", "INT64"), col("d", "DECIMAL", precision=10, scale=2),
               col("f", "FLOAT64"), col("big", "INT32")]
    c.open("block", change_type=BLOCK)
    c.open("evolve", change_type=EVOLVE)
    c.claim("block")
    c.table(columns)
    r = fails(c.probe("prepare", sink="block", table="t", create=False), "CONFIG", "sink.types")
    assert "TYPE bigint" in r["error"]["hint"], r
    c.claim("evolve")
    ok(c.apply([["c", "t", {"id": 2, "n": 1 << 40, "d": "12345678.90", "f": 0.1, "big": 5}]], "evolve"))
    ok(c.commit(1, "evolve"))
    same(c.q("SELECT n, d::text, f, big FROM t ORDER BY id"),
         [(1, "12.3456", 0.5, 1), (1 << 40, "12345678.9000", 0.1, 5)])


@test
def types_that_mean_something_else(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v int)")
    c.open()
    c.claim()
    for i, (kind, target, fine) in enumerate([
            ("TEXT", "bytea", False), ("BYTES", "text", False), ("DATETIME", "timestamptz", False),
            ("INT32", "date", False), ("TEXT", "int", True), ("FLOAT64", "int", False),
            ("TIMESTAMP", "timestamp", True), ("DATE", "timestamp", True), ("BOOL", "int", False),
            ("JSON", "int", False), ("INT32", "boolean", True), ("UUID", "text", True),
            ("TEXT", "real", False), ("TIME", "interval", True), ("INT64", "double precision", False)]):
        c.q("CREATE TABLE x%d (id int PRIMARY KEY, v %s)" % (i, target))
        c.table([ID, col("v", kind)], "x%d" % i)
        r = c.probe("prepare", sink="a", table="x%d" % i, create=False)
        if fine:
            ok(r)
        else:
            fails(r, "CONFIG", "sink.types")


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
    c.claim("hard")
    for ddl, sink, code, remedy in [
            ("id int, v text", "hard", "sink.key", "CREATE UNIQUE INDEX"),
            ("id int PRIMARY KEY DEFERRABLE, v text", "hard", "sink.key", "CREATE UNIQUE INDEX"),
            ("id int PRIMARY KEY, v text, must int NOT NULL", "hard", "sink.table", "DROP NOT NULL"),
            ("id int PRIMARY KEY, v text", "a", "sink.table", "_freshet_deleted"),
            ("id int PRIMARY KEY, v text GENERATED BY DEFAULT", None, None, None)]:
        if sink is None:
            continue
        c.q("DROP TABLE IF EXISTS t")
        c.q("CREATE TABLE t (%s)" % ddl)
        c.table([ID, col("v")])
        r = fails(c.probe("prepare", sink=sink, table="t", create=False), "CONFIG", code)
        assert remedy in r["error"]["hint"], r
    c.q("DROP TABLE t")
    c.q("CREATE VIEW t AS SELECT 1 AS id, ''::text AS v")
    c.table([ID, col("v")])
    fails(c.probe("prepare", sink="hard", table="t", create=False), "CONFIG")
    c.q("DROP VIEW t")
    c.table([col("id", "INT32"), col("v")])
    fails(c.probe("prepare", sink="hard", table="t", create=True), "CONFIG", "sink.key")


@test
def identity_and_generated_columns(c):
    if c.conn.server_version < 120000:
        raise Skip("generated columns need PostgreSQL 12")
    c.q("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, "
        "up text GENERATED ALWAYS AS (upper(v)) STORED)")
    started(c, [ID, col("v"), col("up")])
    ok(c.apply([["c", "t", {"id": 7, "v": "a", "up": "ignored"}], ["c", "t", {"id": 8, "v": "b", "up": ""}]]))
    ok(c.apply([["u", "t", {"id": 7, "v": "c", "up": ""}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, up FROM t ORDER BY id"), [(7, "c", "C"), (8, "b", "B")])


@test
def a_generated_key_is_refused(c):
    """Rows would be found by the rest of the key."""
    if c.conn.server_version < 120000:
        raise Skip("generated columns need PostgreSQL 12")
    c.q("CREATE TABLE t (tenant int, id int, day int GENERATED ALWAYS AS (tenant * 10) STORED, PRIMARY KEY (day, id))")
    started(c, [col("tenant", "INT32"), col("id", "INT32", 2), col("day", "INT32", 1)])
    r = fails(c.apply([["c", "t", {"tenant": 1, "id": 1, "day": 10}], ["c", "t", {"tenant": 1, "id": 2, "day": 10}]]), "CONFIG", "sink.key")
    assert 'key column "day" is generated' in r["error"]["text"], r
    same(c.q("SELECT count(*) FROM t"), [(0,)])


@test
def a_space_of_its_own(c):
    c.open()
    c.claim()
    space = c.name + ' "new"'
    c.table([ID, col("v")], space=space)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    quoted = '"%s"' % space.replace('"', '""')
    same(c.q("SELECT v FROM %s.t" % quoted), [("a",)])
    c.q("DROP SCHEMA %s CASCADE" % quoted)


@test
def altered_under_way(c):
    started(c, [ID, col("v"), col("n", "INT32")])
    ok(c.apply([["c", "t", {"id": 1, "v": "1", "n": 1}], ["c", "t", {"id": 2, "v": "2", "n": 1}]]))
    ok(c.commit(1))
    c.q("ALTER TABLE t ALTER COLUMN v TYPE int USING v::int, ALTER n TYPE bigint")
    ok(c.apply([["c", "t", {"id": 3, "v": "3", "n": 1}], ["c", "t", {"id": 4, "v": "4", "n": 1}]]))
    ok(c.commit(2))
    c.q("ALTER TABLE t RENAME n TO m")
    ok(c.apply([["c", "t", {"id": 5, "v": "5", "n": 9}], ["c", "t", {"id": 6, "v": "6", "n": 9}]]))
    ok(c.commit(3))  # on_change.add_column: evolve gives it back
    same(c.q("SELECT id, v, m, n FROM t ORDER BY id"),
         [(1, 1, 1, None), (2, 2, 1, None), (3, 3, 1, None), (4, 4, 1, None), (5, 5, None, 9), (6, 6, None, 9)])
    c.q("DROP TABLE t")
    r = fails(c.apply([["c", "t", {"id": 7, "v": "7", "n": 1}]]), "CONFIG", "sink.table")
    assert "is gone" in r["error"]["text"], r
    c.q("CREATE TABLE t (id int PRIMARY KEY, v int, n int)")
    c.open("never", create=NEVER)
    c.claim("never")
    ok(c.apply([["c", "t", {"id": 8, "v": "8", "n": 1}]], "never"))
    ok(c.commit(5, "never"))
    c.q("ALTER TABLE t DROP COLUMN v")
    ok(c.apply([["c", "t", {"id": 9, "v": "9", "n": 1}]], "never"))
    c.open("never2", create=NEVER, add_column=BLOCK)
    c.claim("never2")
    ok(c.probe("rollback", sink="never"))
    r = fails(c.apply([["c", "t", {"id": 9, "v": "9", "n": 1}]], "never2"), "CONFIG", "sink.add_column")
    assert "ADD COLUMN" in r["error"]["hint"], r


# ---- grants and checks ----

@test
def missing_grants(c):
    role = "fr_sink_%d" % os.getpid()
    c.q("CREATE ROLE %s LOGIN" % role)
    try:
        c.q("GRANT USAGE ON SCHEMA %s TO %s" % (c.name, role))
        u = urllib.parse.urlsplit(c.dsn())
        as_role = c.dsn().replace("//%s@" % u.netloc.split("@")[0], "//%s@" % role)
        found = c.probe("check", dsn=as_role)["findings"]
        assert any(f["code"] == "sink.grants" and "GRANT CREATE" in f["sql"] for f in found), found
        c.open(dsn=as_role)
        r = fails(c.probe("claim", sink="a", offsets=[["topic", 0]]), "AUTH")
        assert "CREATE TABLE" in r["error"]["hint"], r
        c.q("GRANT CREATE ON SCHEMA %s TO %s" % (c.name, role))
        c.claim()
        c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
        c.table([ID, col("v")])
        r = fails(c.apply([["c", "t", {"id": 1, "v": "a"}]]), "CONFIG", "sink.grants")
        sql = r["error"]["hint"].split(": ", 1)[1]
        assert sql.startswith("GRANT INSERT, UPDATE, SELECT, DELETE"), sql
        c.q(sql)
        ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
        ok(c.commit(1))
        c.q("REVOKE INSERT ON t FROM %s" % role)
        r = fails(c.apply([["c", "t", {"id": 2, "v": "a"}]]), "AUTH", "sink.grants")
    finally:
        for p in c.probes:
            if not p.dead:
                p("close", sink="a")
        c.q("DROP OWNED BY %s CASCADE" % role)
        c.q("DROP ROLE %s" % role)


@test
def check_findings(c):
    found = ok(c.probe("check", dsn=c.dsn()))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("change", "sink.table"), ("fine", "sink.version")])
    found = ok(c.probe("check", dsn="postgresql://postgres@127.0.0.1:1/x"))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("blocker", "sink.connect")])
    c.open()
    c.claim()
    found = ok(c.probe("check", dsn=c.dsn()))["findings"]
    same([f["code"] for f in found], ["sink.version"])
    fails(c.probe("open", **{"as": "h"}, dsn=c.dsn(), write_mode=2, deletes=1), "CONFIG", "sink.config")


@test
def plan_changes_nothing(c):
    c.open()
    c.table([ID, col("v")])
    found = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("change", "sink.table"), ("change", "sink.table")])
    same(c.q("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"), [(0,)])
    for f in found:
        c.q(f["sql"])  # it is what a DBA may run
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
    same(c.q("SELECT count(*), sum(w), count(*) FILTER (WHERE v LIKE 'new%') FROM t"),
         [(15000, sum(-i for i in range(0, n, 2)) + sum(range(3, n, 4)), 10000)])
    big = "x" * 3000000
    ok(c.apply([["u", "t", {"id": i, "v": big, "w": 0}] for i in range(0, 10, 2)]))
    ok(c.commit(3))
    same(c.q("SELECT count(*) FROM t WHERE length(v) = 3000000"), [(5,)])


if __name__ == "__main__":
    sys.exit(main("pg_sink_target"))
