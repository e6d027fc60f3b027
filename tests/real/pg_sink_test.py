#!/usr/bin/env python3
"""postgres-sink against a real server (PG2_DSN), driven through pg_sink_probe.

Each test has a schema of its own in a database of this run. FRESHET_BUILD names the build
folder (default build/dev); arguments choose tests by name."""
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build", "dev"))
BASE_DSN = os.environ.get("PG2_DSN")
PROBE = os.path.join(BUILD, "pg_sink_probe")
BACKWARD, EVOLVE, BLOCK, STOP, IGNORE = None, 0, 1, 2, 3
APPLY, RUN, NEVER = 0, 1, 2
SEVERITY = ["fine", "warning", "blocker", "change"]
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class Skip(Exception):
    pass


class Probe:
    def __init__(self, failpoint=None):
        env = dict(os.environ)
        env.pop("FRESHET_FAILPOINT", None)
        if failpoint:
            env["FRESHET_FAILPOINT"] = failpoint
        self.p = subprocess.Popen([PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env=env)
        self.dead = False

    def send(self, do, **k):
        k["do"] = do
        self.p.stdin.write(json.dumps(k) + "\n")
        self.p.stdin.flush()

    def answer(self):
        line = self.p.stdout.readline()
        if not line:
            self.dead = True
            raise EOFError("probe ended with %s" % self.p.wait())
        return json.loads(line)

    def __call__(self, do, **k):
        self.send(do, **k)
        return self.answer()

    def close(self):
        try:
            self.p.stdin.close()
        except BrokenPipeError:
            pass
        rc = self.p.wait(timeout=60)
        self.p.stdout.close()
        return rc


class Case:
    """A schema, a connection of the test's own, and one probe."""

    def __init__(self, name, failpoint=None):
        self.name = name
        self.conn = psycopg2.connect(DSN)
        self.conn.autocommit = True
        self.q("CREATE SCHEMA %s" % name)
        self.q("SET search_path = %s" % name)
        self.q("SET TimeZone = 'UTC'")
        self.probes = []
        self.probe = self.new_probe(failpoint)
        self.table_id = 0

    def new_probe(self, failpoint=None):
        p = Probe(failpoint)
        self.probes.append(p)
        return p

    def dsn(self, base=None):
        base = base or DSN
        return base + ("&" if "?" in base else "?") + "options=" + urllib.parse.quote(
            "-c search_path=%s" % self.name)

    def q(self, sql, args=None):
        with self.conn.cursor() as c:
            c.execute(sql, args)
            return c.fetchall() if c.description else None

    def open(self, sink="a", probe=None, dsn=None, **settings):
        settings.setdefault("pipeline", self.name)
        return ok((probe or self.probe)("open", **{"as": sink}, dsn=dsn or self.dsn(), **settings))

    def table(self, columns, name="t", as_=None, probe=None, space=""):
        as_ = as_ or name
        r = (probe or self.probe)("table", **{"as": as_}, name=name, space=space, columns=columns)
        ok(r)
        return as_

    def claim(self, sink="a", parts=((("topic"), 0),), probe=None):
        return ok((probe or self.probe)("claim", sink=sink, offsets=[list(p) for p in parts]))["next"]

    def apply(self, events, sink="a", probe=None, **k):
        return (probe or self.probe)("apply", sink=sink, events=events, **k)

    def commit(self, offset, sink="a", probe=None, topic="topic"):
        return (probe or self.probe)("commit", sink=sink, offsets=[[topic, 0, offset]])

    def end(self):
        codes = [p.close() for p in self.probes]
        bad = [c for p, c in zip(self.probes, codes) if c != 0 and not p.dead]
        self.q("DROP SCHEMA %s CASCADE" % self.name)
        self.conn.close()
        assert not bad, "probe ended with %s" % bad


def ok(r):
    assert r["ok"], r
    return r


def fails(r, kind, code=None):
    assert not r["ok"], "expected %s: %s" % (kind, r)
    assert r["error"]["kind"] == kind, r
    if code:
        assert r["error"]["code"] == code, r
    return r


def same(got, want):
    assert got == want, "got %r\nwant %r" % (got, want)


def col(name, kind="TEXT", key=0, **k):
    return dict(name=name, kind=kind, key=key, **k)


ID = col("id", "INT32", 1)


def started(c, columns=None, **settings):
    c.open(**settings)
    c.claim()
    return c.table(columns or [ID, col("v")])


# ---- the way through ----

@test
def create_upsert_delete_offsets(c):
    started(c, [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2)])
    ok(c.apply([["TABLE", "t"], ["c", "t", {"id": 1, "v": "a", "n": "1.50"}],
                ["c", "t", {"id": 2, "v": "b", "n": "-0.05"}], ["BEGIN"],
                ["u", "t", {"id": 1, "v": "z", "n": "2.00"}],
                ["r", "t", {"id": 3, "v": None, "n": None}], ["d", "t", {"id": 2}], ["COMMIT"]]))
    same(c.q("SELECT count(*) FROM t") if c.q("SELECT to_regclass('t')")[0][0] else [(0,)], [(0,)])
    ok(c.commit(6))
    same(c.q("SELECT id, v, n::text FROM t ORDER BY id"), [(1, "z", "2.00"), (3, None, None)])
    same(c.q("SELECT next_offset, epoch FROM _freshet_offsets"), [(6, 1)])
    same(c.claim(), [6])
    same(c.claim(parts=(("topic", 0), ("topic", 7), ("other", 0))), [6, -1, -1])
    same(c.q("SELECT epoch FROM _freshet_offsets WHERE topic = 'topic' AND partition = 0"), [(3,)])


@test
def many_partitions_in_one_commit(c):
    c.open()
    c.table([ID, col("v")])
    parts = [("topic", i) for i in range(500)] + [("o'ther \"x\"", i) for i in range(500)]
    same(c.claim(parts=parts), [-1] * 1000)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.probe("commit", sink="a", offsets=[[t, i, i * 3] for t, i in parts]))
    same(c.claim(parts=parts), [i * 3 for t, i in parts])


@test
def commit_without_rows(c):
    started(c)
    ok(c.commit(17))
    same(c.claim(), [17])


@test
def rollback_and_several_applies(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}]]))
    ok(c.probe("rollback", sink="a"))
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}]]))
    ok(c.apply([["u", "t", {"id": 3, "v": "d"}]]))
    ok(c.apply([["d", "t", {"id": 3}], ["c", "t", {"id": 4, "v": "e"}]]))
    ok(c.commit(5))
    same(c.q("SELECT id, v FROM t"), [(4, "e")])


@test
def from_the_middle_of_a_batch(c):
    started(c)
    ok(c.apply([["c", "t", {"id": i, "v": "a"}] for i in range(5)], **{"from": 3}))
    ok(c.commit(5))
    same(c.q("SELECT id FROM t ORDER BY id"), [(3,), (4,)])


# ---- order ----

class Model:
    """What the table must hold: the events one after the other."""

    def __init__(self, soft):
        self.rows, self.soft = {}, soft

    def put(self, key, values):
        old = self.rows.get(key, {})
        row = {n: values[n] if n in values else old.get(n) for n in ("a", "b")}
        row["deleted"] = False
        self.rows[key] = row

    def delete(self, key):
        if self.soft and key in self.rows:
            self.rows[key]["deleted"] = True
        elif not self.soft:
            self.rows.pop(key, None)


def random_events(rng, model, count, keys, next_value):
    events = []
    for _ in range(count):
        key = (rng.randrange(keys), rng.choice(["x", "y", "é"]))
        row = {"k": key[0], "s": key[1]}
        there = key in model.rows and not model.rows[key]["deleted"]
        what = rng.random()
        if there and what < 0.3:
            model.delete(key)
            events.append(["d", "t", row])
            continue
        values = {"a": next_value(), "b": rng.choice([None, "text %d" % rng.randrange(100)])}
        if there and what < 0.6:
            values.pop(rng.choice(["a", "b"]))
        model.put(key, values)
        events.append(["u" if there else rng.choice(["c", "r"]), "t", dict(row, **values)])
    return events


def random_run(c, soft, ddl, seed):
    rng = random.Random(seed)
    c.open(deletes=1 if soft else 0)
    c.claim()
    c.table([col("k", "INT32", 1), col("s", "TEXT", 2), col("a", "INT64"), col("b")])
    ok(c.probe("prepare", sink="a", table="t", create=True))
    for sql in ddl:
        c.q(sql)
    counter = iter(range(1, 1 << 30))
    model = Model(soft)
    for n in range(60):
        events = random_events(rng, model, rng.choice([1, 2, 7, 50, 300]), rng.choice([2, 5, 40]),
                               lambda: next(counter))
        ok(c.apply(events, position=[1, n + 1]))
        if rng.random() < 0.7:
            ok(c.commit(n))
    ok(c.commit(1000))
    mark = "_freshet_deleted" if soft else "false"
    got = {(k, s): {"a": a, "b": b, "deleted": d}
           for k, s, a, b, d in c.q("SELECT k, s, a, b, %s FROM t" % mark)}
    same(got, model.rows)


@test
def random_events_collapsed(c):
    random_run(c, False, [], 1)


@test
def random_events_collapsed_without_guard(c):
    random_run(c, False, [], 2)
    c.q("DROP TABLE t")


@test
def random_events_soft(c):
    random_run(c, True, [], 3)


@test
def random_events_in_order(c):
    random_run(c, False, ["CREATE UNIQUE INDEX ON t (a)"], 4)


@test
def random_events_in_order_soft(c):
    random_run(c, True, ["CREATE UNIQUE INDEX ON t (a)"], 5)


@test
def random_events_partitioned_target(c):
    if c.conn.server_version < 110000:
        raise Skip("keys of partitioned tables need PostgreSQL 11")
    c.q("CREATE TABLE t (k int, s text, a bigint, b text, PRIMARY KEY (k, s)) PARTITION BY HASH (k)")
    c.q("CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
    c.q("CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)")
    random_run(c, False, [], 6)


@test
def unique_values_change_hands(c):
    """I03: the last states alone would be refused, or only their order works."""
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE)")
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": 2, "v": "b"}]]))
    ok(c.apply([["u", "t", {"id": 1, "v": "tmp"}], ["u", "t", {"id": 2, "v": "a"}],
                ["u", "t", {"id": 1, "v": "b"}]]))
    ok(c.apply([["d", "t", {"id": 2}], ["c", "t", {"id": 9, "v": "a"}],
                ["u", "t", {"id": 1, "v": "c"}], ["c", "t", {"id": 3, "v": "b"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "c"), (3, "b"), (9, "a")])


@test
def foreign_keys_keep_the_order_of_tables(c):
    """I06"""
    c.q("CREATE TABLE parent (id int PRIMARY KEY, v text)")
    c.q("CREATE TABLE child (id int PRIMARY KEY, p int NOT NULL REFERENCES parent)")
    c.q("CREATE TABLE alone (id int PRIMARY KEY, v text)")
    c.open()
    c.claim()
    c.table([ID, col("v")], "parent")
    c.table([ID, col("p", "INT32")], "child")
    c.table([ID, col("v")], "alone")
    events = []
    for i in range(200):
        events += [["c", "parent", {"id": i, "v": "x"}], ["c", "alone", {"id": i, "v": "y"}],
                   ["c", "child", {"id": i, "p": i}]]
        if i % 3 == 0:
            events += [["d", "child", {"id": i}], ["d", "parent", {"id": i}]]
    ok(c.apply(events))
    ok(c.commit(1))
    same(c.q("SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child), "
             "(SELECT count(*) FROM alone)"), [(133, 133, 200)])
    r = fails(c.apply([["c", "alone", {"id": 900, "v": "y"}], ["c", "child", {"id": 500, "p": 1}],
                       ["c", "child", {"id": 501, "p": 7777}],
                       ["c", "parent", {"id": 7777, "v": "late"}]]), "DATA", "sink.foreign_key")
    same(r["applied"], 2)
    same(c.q("SELECT count(*) FROM alone"), [(200,)])


@test
def deferrable_constraints_wait_for_commit(c):
    c.q("CREATE TABLE parent (id int PRIMARY KEY, v text)")
    c.q("CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent DEFERRABLE)")
    c.open()
    c.claim()
    c.table([ID, col("v")], "parent")
    c.table([ID, col("p", "INT32")], "child")
    ok(c.apply([["c", "child", {"id": 1, "p": 1}]]))
    ok(c.apply([["c", "parent", {"id": 1, "v": "x"}]]))
    ok(c.commit(1))
    ok(c.apply([["c", "child", {"id": 2, "p": 2}]]))
    fails(c.commit(2), "DATA", "sink.foreign_key")
    same(c.claim(), [1])


@test
def triggers_see_every_row(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    c.q("CREATE TABLE seen (n serial, id int, v text)")
    c.q("CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO seen (id, v) VALUES (NEW.id, NEW.v); RETURN NEW; END$$")
    c.q("CREATE TRIGGER see AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE PROCEDURE see()")
    started(c)
    ok(c.apply([["c", "t", {"id": 2, "v": "a"}], ["c", "t", {"id": 1, "v": "b"}],
                ["u", "t", {"id": 2, "v": "c"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM seen ORDER BY n"), [(2, "a"), (1, "b"), (2, "c")])


@test
def two_versions_in_one_batch(c):
    started(c)
    c.table([ID, col("v"), col("w")], as_="t2")
    ok(c.apply([["TABLE", "t"], ["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": 2, "v": "b"}],
                ["TABLE", "t2"], ["u", "t2", {"id": 1, "v": "c", "w": "new"}],
                ["d", "t", {"id": 2}], ["c", "t2", {"id": 3, "v": "d", "w": "x"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, w FROM t ORDER BY id"), [(1, "c", "new"), (3, "d", "x")])


@test
def key_changed_in_an_update(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.apply([["u", "t", {"id": 2, "v": "b"}, {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM t"), [(2, "b")])


# ---- absent values ----

@test
def absent_values_stay(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text, big text NOT NULL)")
    started(c, [ID, col("v"), col("big")])
    ok(c.apply([["c", "t", {"id": i, "v": "a", "big": "B%d" % i}] for i in range(5)]))
    ok(c.commit(1))
    ok(c.apply([["u", "t", {"id": 0, "v": "x"}], ["u", "t", {"id": 1, "v": "x"}],
                ["u", "t", {"id": 1, "big": "C"}], ["u", "t", {"id": 2}],
                ["u", "t", {"id": 3, "v": None}]]))
    ok(c.commit(2))
    same(c.q("SELECT v, big FROM t ORDER BY id"),
         [("x", "B0"), ("x", "C"), ("a", "B2"), (None, "B3"), ("a", "B4")])
    r = fails(c.apply([["u", "t", {"id": 1, "v": "ok"}], ["u", "t", {"id": 77, "v": "x"}]]), "DATA",
              "sink.not_null")
    same(r["applied"], 1)


@test
def absent_values_of_a_row_that_is_not_there(c):
    started(c, [ID, col("v"), col("big")])
    ok(c.apply([["u", "t", {"id": 1, "v": "a"}]]))
    ok(c.apply([["u", "t", {"id": 2, "v": "a"}], ["u", "t", {"id": 3, "v": "b"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, big FROM t ORDER BY id"), [(1, "a", None), (2, "a", None), (3, "b", None)])


# ---- modes ----

@test
def append_mode(c):
    started(c, write_mode=1, deletes=1)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["u", "t", {"id": 1, "v": "b"}],
                ["d", "t", {"id": 1}]], position=[1, 5]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, _freshet_deleted FROM t ORDER BY _freshet_position"),
         [(1, "a", False), (1, "b", False), (1, None, True)])


@test
def append_mode_has_no_hard_deletes(c):
    started(c, [col("id", "INT32"), col("v")], write_mode=1)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    r = fails(c.apply([["c", "t", {"id": 1, "v": "a"}], ["d", "t", {"id": 1}]]), "CONFIG", "sink.delete")
    same(r["applied"], 1)
    same(c.q("SELECT count(*) FROM t"), [(2,)])


@test
def deletes_soft_and_back(c):
    started(c, deletes=1)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": 2, "v": "b"}],
                ["d", "t", {"id": 2}], ["d", "t", {"id": 9}]]))
    ok(c.apply([["d", "t", {"id": 1}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, _freshet_deleted FROM t ORDER BY id"), [(1, "a", True), (2, "b", True)])
    ok(c.apply([["c", "t", {"id": 1, "v": "again"}]]))
    ok(c.commit(2))
    same(c.q("SELECT id, v, _freshet_deleted FROM t ORDER BY id"), [(1, "again", False), (2, "b", True)])


@test
def deletes_ignored(c):
    started(c, deletes=2)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["d", "t", {"id": 1}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM t"), [(1, "a")])


@test
def truncates(c):
    for i, mode in enumerate(("block", "apply", "ignore")):
        c.open(mode, truncate=i)
        c.claim(mode)
    c.table([ID, col("v")])
    events = [["c", "t", {"id": 1, "v": "a"}], ["t", "t"], ["c", "t", {"id": 2, "v": "b"}]]
    same(fails(c.apply(events, "block"), "DATA", "sink.truncate")["applied"], 1)
    c.claim("ignore")
    ok(c.apply(events, "ignore"))
    ok(c.commit(1, "ignore"))
    same(c.q("SELECT id FROM t ORDER BY id"), [(1,), (2,)])
    c.claim("apply")
    ok(c.apply(events, "apply"))
    ok(c.commit(1, "apply"))
    same(c.q("SELECT id FROM t ORDER BY id"), [(2,)])


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
    r = fails(c.apply([["c", "t1", {"id": 2, "v": "a"}], ["TABLE", "t2"]], "block"), "CONFIG", "sink.table")
    assert 'ADD COLUMN IF NOT EXISTS "w" bigint' in r["error"]["hint"], r
    same(r["applied"], 1)
    fails(c.apply([["TABLE", "t3"]], "block"), "CONFIG", "sink.drop_column")
    c.claim("ignore")
    ok(c.apply([["c", "t2", {"id": 5, "v": "x", "w": 7}], ["c", "t3", {"id": 6}]], "ignore"))
    ok(c.commit(2, "ignore"))
    same(c.q("SELECT * FROM t ORDER BY id"), [(1, "a"), (5, "x"), (6, None)])


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
    r = fails(c.apply([["c", "t", {"id": 9, "v": "9", "n": 1}]], "never2"), "CONFIG", "sink.table")
    assert "ADD COLUMN" in r["error"]["hint"], r


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


# ---- which one failed ----

@test
def the_culprit_is_known(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE)")
    started(c)
    ok(c.apply([["c", "t", {"id": 1000, "v": "taken"}]]))
    ok(c.commit(1))
    for n, bad in [(1000, 0), (1000, 999), (1000, 500), (1, 0), (700, 300)]:
        events = [["c", "t", {"id": i, "v": "v%d" % i}] for i in range(n)]
        events[bad][2]["v"] = "taken"
        r = fails(c.apply(events), "DATA", "sink.unique")
        same(r["applied"], bad)
        same(c.q("SELECT count(*) FROM t"), [(1,)])
    ok(c.apply([["c", "t", {"id": 2000, "v": "first batch"}]]))
    r = fails(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": 2, "v": "taken"}]]), "DATA", "sink.unique")
    same(r["applied"], 1)
    same(c.q("SELECT count(*) FROM t"), [(1,)])
    ok(c.apply([["c", "t", {"id": 3, "v": "still works"}]]))
    ok(c.commit(2))
    same(c.q("SELECT id FROM t ORDER BY id"), [(3,), (1000,)])


@test
def a_row_that_was_not_decoded(c):
    started(c)
    r = fails(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"$bad": "column v: nonsense"}]]), "DATA")
    same(r["applied"], 1)
    assert "column v: nonsense" in r["error"]["text"], r


@test
def keys_that_are_none(c):
    started(c)
    same(fails(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": None, "v": "a"}]]), "DATA", "sink.row")["applied"], 1)
    same(fails(c.apply([["c", "t", {"id": 1, "v": "a"}], ["d", "t", {}]]), "DATA", "sink.row")["applied"], 1)
    same(fails(c.apply([["d", "t"]]), "DATA", "sink.row")["applied"], 0)


@test
def keys_that_only_the_target_finds_equal(c):
    """'ab' and 'ab ' are two keys to us and one to char(4)."""
    c.q("CREATE TABLE t (id char(4) PRIMARY KEY, v text)")
    started(c, [col("id", "TEXT", 1), col("v")])
    ok(c.apply([["c", "t", {"id": "ab", "v": "1"}], ["c", "t", {"id": "ab ", "v": "2"}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM t"), [("2",)])


# ---- positions ----

@test
def older_positions_do_nothing(c):
    """R31"""
    started(c)
    ok(c.apply([["c", "t", {"id": i, "v": "new", "$at": [1, 100, i]}] for i in range(5)]))
    ok(c.apply([["c", "t", {"id": 2, "v": "old", "$at": [1, 99, 0]}], ["d", "t", {"id": 3, "$at": [1, 99, 1]}],
                ["u", "t", {"id": 4, "$at": [1, 50, 0]}]]))
    ok(c.apply([["c", "t", {"id": 1, "v": "old", "$at": [0, 1000, 0]}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(i, "new") for i in range(5)])
    ok(c.apply([["u", "t", {"id": 1, "v": "same place", "$at": [1, 100, 1]}],
                ["u", "t", {"id": 2, "v": "later", "$at": [1, 100, 7]}], ["d", "t", {"id": 3, "$at": [2, 1, 0]}]]))
    ok(c.commit(2))
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(0, "new"), (1, "same place"), (2, "later"), (4, "new")])
    ok(c.apply([["u", "t", {"id": 0, "v": "b", "$at": [3, 5, 0]}], ["u", "t", {"id": 0, "v": "a", "$at": [3, 4, 0]}]]))
    ok(c.commit(3))
    same(c.q("SELECT v FROM t WHERE id = 0"), [("b",)])


@test
def no_guard_without_the_column(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "new", "$at": [1, 100, 0]}], ["u", "t", {"id": 1, "v": "last", "$at": [1, 9, 0]}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM t"), [("last",)])


# ---- who owns it, and what a crash leaves ----

@test
def a_zombie_is_fenced(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "old owner"}]]))
    ok(c.commit(10))
    ok(c.apply([["c", "t", {"id": 1, "v": "zombie"}], ["c", "t", {"id": 2, "v": "zombie"}]]))
    other = c.new_probe()
    c.open("b", probe=other)
    c.table([ID, col("v")], probe=other)
    same(c.claim("b", probe=other), [10])
    fails(c.commit(11), "FENCED", "sink.fenced")
    same(c.q("SELECT id, v FROM t"), [(1, "old owner")])
    ok(c.apply([["c", "t", {"id": 2, "v": "new owner"}]], "b", probe=other))
    ok(c.commit(12, "b", probe=other))
    fails(c.commit(13), "FENCED")
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "old owner"), (2, "new owner")])
    same(c.claim("b", probe=other), [12])


@test
def a_commit_that_waits_for_a_claim_loses(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    ok(c.apply([["c", "t", {"id": 2, "v": "a"}]]))
    mine = psycopg2.connect(c.dsn())
    cur = mine.cursor()
    cur.execute("UPDATE _freshet_offsets SET epoch = epoch + 1")
    c.probe.send("commit", sink="a", offsets=[["topic", 0, 2]])
    wait_for(lambda: c.q("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                         "current_database() AND application_name LIKE 'freshet%%'")[0][0] == 1)
    mine.commit()
    mine.close()
    fails(c.probe.answer(), "FENCED")
    same(c.q("SELECT id FROM t"), [(1,)])


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited %d s" % seconds
        time.sleep(0.02)


class Proxy:
    """Passes bytes through; drops what the server says once `drop` is seen from the client."""

    def __init__(self, host, port):
        self.target, self.cut_at = (host, port), None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.serve, daemon=True)]
        self.threads[0].start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            state = {"cut": False}
            for a, b, up in ((client, server, True), (server, client, False)):
                t = threading.Thread(target=self.pump, args=(a, b, up, state), daemon=True)
                t.start()

    def pump(self, a, b, up, state):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if up and self.cut_at is not None and self.cut_at in data:
                    state["cut"] = True
                    self.cut_at = None
                if not up and state["cut"]:
                    break  # the server has answered; the client never hears it
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


@test
def a_lost_answer_to_commit(c):
    """R34, I18: the commit happened, and only the target knows."""
    u = urllib.parse.urlsplit(c.dsn())
    proxy = Proxy(u.hostname, u.port)
    via = c.dsn().replace("%s:%d" % (u.hostname, u.port), "127.0.0.1:%d" % proxy.port)
    c.open(dsn=via)
    c.claim()
    c.table([ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}]]))
    proxy.cut_at = b"COMMIT"
    fails(c.commit(2), "CONNECT")
    fails(c.apply([["c", "t", {"id": 3, "v": "c"}]]), "CONNECT")
    same(c.probe("status", sink="a")["connected"], False)
    ok(c.probe("close", sink="a"))
    c.open(dsn=via)
    same(c.claim(), [2])
    same(c.q("SELECT id FROM t ORDER BY id"), [(1,), (2,)])
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}]]))
    ok(c.commit(3))
    proxy.close()


@test
def a_connection_that_ends(c):
    started(c)
    for when in ("before rows", "after rows"):
        ok(c.apply([["c", "t", {"id": 1, "v": when}]]))
        c.q("SELECT pg_terminate_backend(%d)" % c.probe("status", sink="a")["backend"])
        if when == "before rows":
            fails(c.apply([["c", "t", {"id": 2, "v": "a"}]]), "CONNECT")
        else:
            fails(c.commit(5), "CONNECT")
        ok(c.probe("rollback", sink="a"))
        ok(c.probe("close", sink="a"))
        c.open()
        same(c.claim(), [-1])
        same(c.q("SELECT count(*) FROM pg_tables WHERE tablename = 't' AND schemaname = current_schema()"), [(0,)])


@test
def kills_leave_rows_and_offsets_as_one(c):
    if not ok_failpoints(c):
        raise Skip("built without FR_FAILPOINTS")
    base = c.probe
    for point, survives in [("sink_before_begin", False), ("sink_after_rows", False),
                            ("sink_before_commit", False), ("sink_after_commit", True)]:
        p = c.new_probe("%s:kill" % point)
        c.open(probe=p)
        c.table([ID, col("v")], probe=p)
        at = c.claim(probe=p)[0]
        at = max(at, 0)
        try:
            ok(c.apply([["c", "t", {"id": at, "v": point}]], probe=p))
            ok(c.commit(at + 1, probe=p))
            raise AssertionError("%s did not kill" % point)
        except EOFError:
            pass
        c.open("x" + point, probe=base)
        now = max(c.claim("x" + point, probe=base)[0], 0)
        same((point, now), (point, at + (1 if survives else 0)))
        there = c.q("SELECT to_regclass('t') IS NOT NULL")[0][0]
        rows = c.q("SELECT count(*) FROM t")[0][0] if there else 0
        same((point, rows), (point, now))


def ok_failpoints(c):
    p = c.new_probe("sink_before_begin:err")
    c.open(probe=p)
    c.table([ID, col("v")], probe=p)
    r = c.apply([["HB"]], probe=p)
    return not r["ok"]


@test
def deadlocks_pass(c):
    """R33, I07: another session holds 1 and wants 2; we hold 2 and want 1."""
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    c.q("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    started(c)
    mine = psycopg2.connect(c.dsn() + urllib.parse.quote(" -c deadlock_timeout=1h"))
    cur = mine.cursor()
    cur.execute("UPDATE t SET v = 'mine' WHERE id = 1")
    ok(c.apply([["u", "t", {"id": 2, "v": "x"}]]))
    c.probe.send("apply", sink="a", events=[["u", "t", {"id": 1, "v": "x"}], ["u", "t", {"id": 2, "v": "y"}]])
    wait_for(lambda: locks_waiting(c) == 1)
    t = threading.Thread(target=lambda: cur.execute("UPDATE t SET v = 'mine' WHERE id = 2"))
    t.start()
    r = fails(c.probe.answer(), "BUSY")
    same(r["error"]["sqlstate"], "40P01")
    t.join(30)
    mine.commit()
    mine.close()
    ok(c.apply([["u", "t", {"id": 2, "v": "x"}], ["u", "t", {"id": 1, "v": "x"}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM t"), [("x",), ("x",)])


def locks_waiting(c):
    return c.q("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted "
               "AND a.application_name LIKE 'freshet%%' AND a.datname = current_database()")[0][0]


@test
def interrupts(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    started(c)
    mine = psycopg2.connect(c.dsn())
    mine.cursor().execute("LOCK TABLE t")
    ok(c.probe("interrupt_in", sink="a", ms=300))
    fails(c.apply([["c", "t", {"id": 1, "v": "a"}]]), "CANCELLED")
    mine.rollback()
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    mine.close()


@test
def parked_keys(c):
    started(c)
    keys = ["k1", "a'; --", "\"", "é"]
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    for k in keys + ["k1"]:
        ok(c.probe("park", sink="a", topic="topic", key=k))
    same(c.q("SELECT count(*) FROM _freshet_parked"), [(0,)])
    ok(c.commit(1))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), sorted(keys))
    same(ok(c.probe("parked", sink="a", topic="other"))["keys"], [])
    ok(c.probe("park", sink="a", topic="topic", key="lost"))
    ok(c.probe("rollback", sink="a"))
    same(len(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), 4)


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
    fails(c.probe("open", **{"as": "h"}, dsn=c.dsn(), write_mode=2), "CONFIG", "sink.config")


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


def main():
    global psycopg2, DSN
    if not BASE_DSN:
        print("skip pg_sink: PG2_DSN is not set")
        return 0
    if not os.access(PROBE, os.X_OK):
        print("not ok pg_sink: %s is not built" % PROBE)
        return 1
    import psycopg2
    database = "fr_sink_test_%d" % os.getpid()
    admin = psycopg2.connect(BASE_DSN)
    admin.autocommit = True
    admin.cursor().execute("CREATE DATABASE %s" % database)
    DSN = urllib.parse.urlunsplit(urllib.parse.urlsplit(BASE_DSN)._replace(path="/" + database))
    bad = 0
    try:
        for f in TESTS:
            if sys.argv[1:] and f.__name__ not in sys.argv[1:]:
                continue
            bad += not one(f)
    finally:
        admin.cursor().execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                               (database,))
        admin.cursor().execute("DROP DATABASE %s" % database)
        admin.close()
    return 1 if bad else 0


def one(f):
    name = f.__name__
    c = Case(name)
    try:
        f(c)
        c.end()
        print("ok pg_sink.%s" % name, flush=True)
        return True
    except Skip as e:
        print("skip pg_sink.%s: %s" % (name, e), flush=True)
        c.end()
        return True
    except Exception as e:
        text = " ".join(str(e).split())[:1500]
        where = traceback.extract_tb(e.__traceback__)
        line = [t.lineno for t in where if t.name == name]
        print("not ok pg_sink.%s: line %s: %s: %s" % (name, line, type(e).__name__, text), flush=True)
        for p in c.probes:
            p.p.kill()
        c.conn.close()
        return False


if __name__ == "__main__":
    sys.exit(main())
