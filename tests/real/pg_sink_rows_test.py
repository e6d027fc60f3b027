#!/usr/bin/env python3
"""postgres-sink: rows in, in order, in every mode."""
import random
import sys

from pg_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


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
def no_longer_soft(c):
    """Rows that were marked and come back are marked no more, whatever the setting is now."""
    started(c, deletes=1)
    ok(c.apply([["c", "t", {"id": i, "v": "a"}] for i in range(4)] + [["d", "t", {"id": i}] for i in range(4)]))
    ok(c.commit(1))
    c.open("hard")
    c.claim("hard")
    ok(c.apply([["c", "t", {"id": 0, "v": "b"}], ["c", "t", {"id": 1, "v": "b"}]], "hard"))
    ok(c.apply([["u", "t", {"id": 2}], ["d", "t", {"id": 3}]], "hard"))
    ok(c.commit(2, "hard"))
    same(c.q("SELECT id, v, _freshet_deleted FROM t ORDER BY id"),
         [(0, "b", False), (1, "b", False), (2, "a", False)])


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


@test
def a_truncate_leaves_what_came_after(c):
    """It comes by each partition, and what another one brought may be newer."""
    def row(i, *at):
        return ["c", "t", {"id": i, "v": "a", "$at": [1, *at]}]
    gone = ["t", "t", {"$at": [1, 10, 2]}]
    for sink, more in (("a", {}), ("soft", {"deletes": 1, "name": "soft"}), ("append", {"write_mode": 1, "deletes": 2, "name": "append"})):
        c.q("DROP TABLE IF EXISTS t")
        c.open(sink, truncate=1, **more)
        c.claim(sink, parts=(("topic", 0), ("topic", 1)))
        c.table([ID, col("v")])
        ok(c.apply([row(9, 9, 0), row(7, 10, 2), gone, row(1, 10, 3), row(3, 11, 0)], sink))
        ok(c.commit(1, sink))
        ok(c.apply([row(8, 10, 1), gone, row(2, 10, 4), row(4, 11, 1)], sink, partition=1))
        ok(c.commit(2, sink))
        same(c.q("SELECT id FROM t ORDER BY id"), [(1,), (2,), (3,), (4,)])
        ok(c.apply([["t", "t", {"$at": [0, 5, 0], "$foreign": True}], row(5, 12, 0)], sink))  # no order: all goes
        ok(c.commit(3, sink))
        same(c.q("SELECT id FROM t ORDER BY id"), [(5,)])
        c.probe("close", sink=sink)


@test
def a_truncate_without_positions(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
    started(c, truncate=1)
    ok(c.apply([["c", "t", {"id": 1, "v": "a", "$at": [1, 50, 0]}], ["t", "t", {"$at": [1, 40, 0]}]]))
    ok(c.commit(1))
    same(c.q("SELECT id FROM t"), [])


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
        assert r["error"]["text"].startswith("t: "), r
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


@test
def keys_that_are_equal_keep_their_order(c):
    """k = 'ab' becomes 'ab ' to us and stays what it is to the server: a delete and a create, in this order.
    No position helps in these tables."""
    keys = [("char(4)", "TEXT", "ab", "ab "), ("float8", "FLOAT64", 0.0, -0.0)]
    try:
        c.q("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        keys.append(("text COLLATE loose", "TEXT", "A", "a"))
    except psycopg2.Error:
        pass  # before 12, or built without ICU
    for i, (ddl, kind, old, new) in enumerate(keys):
        t = "t%d" % i
        c.q("CREATE TABLE %s (id %s PRIMARY KEY, v text NOT NULL, w text NOT NULL)" % (t, ddl))
        if i == 0:
            c.open()
            c.claim()
        c.table([col("id", kind, 1), col("v"), col("w")], t)
        ok(c.apply([["c", t, {"id": old, "v": "1", "w": "1"}]]))
        ok(c.apply([["d", t, {"id": old}], ["c", t, {"id": new, "v": "2", "w": "1"}]]))
        ok(c.commit(1))
        same((t, c.q("SELECT v, w FROM %s" % t)), (t, [("2", "1")]))
        ok(c.apply([["u", t, {"id": new, "v": "3"}], ["u", t, {"id": old, "w": "4"}]]))
        ok(c.commit(2))
        same((t, c.q("SELECT v, w FROM %s" % t)), (t, [("3", "4")]))


@test
def keys_that_would_be_rounded(c):
    """timestamp(0) makes two keys one, and what is rounded is not found again."""
    c.q("CREATE TABLE t (id timestamp(0) PRIMARY KEY, v text)")
    started(c, [col("id", "DATETIME", 1), col("v")])
    second = 1000000
    r = fails(c.apply([["c", "t", {"id": 7 * second, "v": "a"}], ["c", "t", {"id": 8 * second + 300000, "v": "b"}]]), "DATA", "sink.value")
    same(r["applied"], 1)
    assert 'key column "id" rounds' in r["error"]["text"], r
    ok(c.apply([["c", "t", {"id": 7 * second, "v": "a"}], ["c", "t", {"id": 8 * second, "v": "b"}]]))
    ok(c.apply([["d", "t", {"id": 7 * second}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM t"), [("b",)])
    fails(c.apply([["d", "t", {"id": 7 * second + 700000}]]), "DATA", "sink.value")


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


def tombstones_alone(c, soft):
    """What compaction left of a delete says no position of its own."""
    def alone(i):
        return ["d", "t", {"id": i, "$at": [0, 7, 0], "$unplaced": True}]
    started(c, deletes=int(soft))
    gone = " WHERE _freshet_deleted" if soft else " WHERE id < 0"
    here = " WHERE NOT _freshet_deleted" if soft else ""
    ok(c.apply([["c", "t", {"id": i, "v": "new", "$at": [1, 100, i]}] for i in range(4)]))
    ok(c.commit(1))
    ok(c.apply([["d", "t", {"id": 3, "$at": [0, 7, 0]}], alone(0), alone(1), alone(9),
                ["c", "t", {"id": 1, "v": "again", "$at": [1, 101, 0]}],
                ["u", "t", {"id": 2, "v": "newer", "$at": [1, 102, 0]}], alone(2)]))
    ok(c.commit(2))
    same(c.q("SELECT id, v FROM t%s ORDER BY id" % here), [(1, "again"), (3, "new")])
    same([r[0] for r in c.q("SELECT id FROM t%s ORDER BY id" % gone)], [0, 2] if soft else [])
    ok(c.apply([["c", "t", {"id": 0, "v": "back", "$at": [1, 103, 0]}],
                ["c", "t", {"id": 2, "v": "back", "$at": [1, 103, 1]}]]))
    ok(c.commit(3))
    same(c.q("SELECT id, v FROM t%s ORDER BY id" % here), [(0, "back"), (1, "again"), (2, "back"), (3, "new")])


@test
def a_tombstone_alone_is_newer_than_its_row(c):
    tombstones_alone(c, False)


@test
def a_tombstone_alone_marks_its_row(c):
    tombstones_alone(c, True)


@test
def offsets_of_foreign_topics_are_not_compared(c):
    """Those of two partitions say nothing of each other."""
    started(c)
    for name, foreign in (("ours", False), ("theirs", True)):
        ok(c.probe("table", **{"as": name}, name=name, space="", columns=[ID, col("v")], foreign=foreign))
        ok(c.apply([["c", name, {"id": i, "v": "old", "$at": [0, 1000, 0]}] for i in range(3)]))
        ok(c.commit(1))
        ok(c.apply([["u", name, {"id": 0, "v": "moved", "$at": [0, 5, 0]}], ["d", name, {"id": 1, "$at": [0, 6, 0]}],
                    ["u", name, {"id": 2, "v": "b", "$at": [0, 8, 0]}], ["u", name, {"id": 2, "v": "a", "$at": [0, 7, 0]}]]))
        ok(c.commit(2))
    same(c.q("SELECT id, v FROM ours ORDER BY id"), [(i, "old") for i in range(3)])
    same(c.q("SELECT id, v FROM theirs ORDER BY id"), [(0, "moved"), (2, "a")])
    same(len(c.q("SELECT id FROM theirs WHERE _freshet_position IS NOT NULL")), 2)


@test
def no_guard_without_the_column(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "new", "$at": [1, 100, 0]}], ["u", "t", {"id": 1, "v": "last", "$at": [1, 9, 0]}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM t"), [("last",)])


if __name__ == "__main__":
    sys.exit(main("pg_sink_rows"))
