#!/usr/bin/env python3
"""mysql-sink: rows in, in order, in every mode."""
import random
import sys

from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- the way through ----

@test
def create_upsert_delete_offsets(c):
    started(c, [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2)])
    ok(c.apply([["TABLE", "t"], ["c", "t", {"id": 1, "v": "a", "n": "1.50"}],
                ["c", "t", {"id": 2, "v": "b", "n": "-0.05"}], ["BEGIN"],
                ["u", "t", {"id": 1, "v": "z", "n": "2.00"}],
                ["r", "t", {"id": 3, "v": None, "n": None}], ["d", "t", {"id": 2}], ["COMMIT"]]))
    same(c.q("SELECT count(*) FROM t"), [(0,)])
    ok(c.commit(6))
    same(c.q("SELECT id, v, CAST(n AS CHAR) FROM t ORDER BY id"), [(1, "z", "2.00"), (3, None, None)])
    same(c.q("SELECT next_offset, epoch FROM _freshet_offsets"), [(6, 1)])
    same(c.claim(), [6])
    same(c.claim(parts=(("topic", 0), ("topic", 7), ("other", 0))), [6, -1, -1])
    same(c.q("SELECT epoch FROM _freshet_offsets WHERE topic = 'topic' AND `partition` = 0"), [(3,)])


@test
def many_partitions_in_one_commit(c):
    c.open()
    c.table([ID, col("v")])
    parts = [("topic", i) for i in range(500)] + [("o'ther \"x\" \\", i) for i in range(500)]
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
    mark = "_freshet_deleted" if soft else "0"
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
    random_run(c, False, ["CREATE UNIQUE INDEX a ON t (a)"], 4)


@test
def random_events_in_order_soft(c):
    random_run(c, True, ["CREATE UNIQUE INDEX a ON t (a)"], 5)


@test
def random_events_partitioned_target(c):
    c.q("CREATE TABLE t (k int, s varchar(20) COLLATE utf8mb4_bin, a bigint, b text, PRIMARY KEY (k, s)) "
        "PARTITION BY HASH (k) PARTITIONS 2")
    random_run(c, False, [], 6)


@test
def random_events_that_case_ignores(c):
    """The target finds keys equal that are not: rows keep their order."""
    c.q("CREATE TABLE t (k int, s varchar(20) COLLATE utf8mb4_general_ci, a bigint, b text, PRIMARY KEY (k, s))")
    c.open()
    c.claim()
    c.table([col("k", "INT32", 1), col("s", "TEXT", 2), col("a", "INT64"), col("b")])
    found = ok(c.probe("prepare", sink="a", table="t", create=False))["findings"]
    same([(SEVERITY[f["severity"]], f["code"]) for f in found], [("warning", "sink.collation")])
    rng = random.Random(9)
    rows = {}
    for n in range(20):
        events = []
        for _ in range(50):
            k, s, a = rng.randrange(3), rng.choice(["x", "X", "x "]), rng.randrange(1000)
            if rng.random() < 0.3 and (k, "x") in rows:
                events.append(["d", "t", {"k": k, "s": s}])
                del rows[k, "x"]
            else:
                events.append(["c", "t", {"k": k, "s": s, "a": a, "b": None}])
                rows[k, "x"] = a
        ok(c.apply(events))
    ok(c.commit(1))
    same({(k, s.strip().lower()): a for k, s, a in c.q("SELECT k, s, a FROM t")}, rows)


@test
def unique_values_change_hands(c):
    """I03: the last states alone would be refused, or only their order works."""
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(50) UNIQUE)")
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
    c.q("CREATE TABLE child (id int PRIMARY KEY, p int NOT NULL, FOREIGN KEY (p) REFERENCES parent (id))")
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
def an_upsert_never_meets_another_row(c):
    """I04, R32: ON DUPLICATE KEY and REPLACE would change or remove row 1."""
    for i, ddl in enumerate(["id int PRIMARY KEY, email varchar(50) UNIQUE, v varchar(20)",
                             "n int PRIMARY KEY AUTO_INCREMENT, id int NOT NULL UNIQUE, email varchar(50) UNIQUE, v text",
                             "id int PRIMARY KEY AUTO_INCREMENT, email varchar(50) UNIQUE, v timestamp NULL",
                             "id int PRIMARY KEY, email varchar(50) UNIQUE, v text, _freshet_position varbinary(16)",
                             "id int, email varchar(50), PRIMARY KEY (id), UNIQUE (email)"]):
        name, sink = "t%d" % i, "s%d" % i
        c.q("CREATE TABLE %s (%s)" % (name, ddl))
        c.open(sink, name=sink)
        c.claim(sink)
        columns = [ID, col("email")] + ([col("v", "TIMESTAMP" if "timestamp" in ddl else "TEXT")] if "v " in ddl else [])
        c.table(columns, name)
        more = {} if "v " not in ddl else {"v": 1000000 if "timestamp" in ddl else "x"}
        ok(c.apply([["c", name, dict(id=1, email="one@x", **more)], ["c", name, dict(id=2, email="two@x", **more)]], sink,
                   position=[1, 1]))
        ok(c.commit(1, sink))
        before = c.q("SELECT * FROM %s ORDER BY id" % name)
        for n in (1, 40):
            events = [["c", name, dict(id=100 + k, email="%d@x" % k, **more)] for k in range(n)]
            events += [["c", name, dict(id=3, email="one@x", **more)]]
            r = fails(c.apply(events, sink, position=[1, 2]), "DATA", "sink.unique")
            same((name, r["applied"]), (name, n))
            assert "one@x" not in str(r), r
            same(c.q("SELECT * FROM %s ORDER BY id" % name), before)
            r = fails(c.apply([["u", name, dict(id=2, email="one@x", **more)]], sink, position=[1, 2]), "DATA", "sink.unique")
            same(c.q("SELECT * FROM %s ORDER BY id" % name), before)
        ok(c.apply([["u", name, dict(id=1, email="free@x", **more)], ["u", name, dict(id=2, email="one@x", **more)],
                    ["c", name, dict(id=3, email="two@x", **more)]], sink, position=[1, 3]))
        ok(c.commit(2, sink))
        same(c.q("SELECT id, email FROM %s ORDER BY id" % name), [(1, "free@x"), (2, "one@x"), (3, "two@x")])


@test
def triggers_see_every_row(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
    c.q("CREATE TABLE seen (n int AUTO_INCREMENT PRIMARY KEY, id int, v varchar(20))")
    c.q("CREATE TRIGGER i AFTER INSERT ON t FOR EACH ROW INSERT INTO seen (id, v) VALUES (NEW.id, NEW.v)")
    c.q("CREATE TRIGGER u AFTER UPDATE ON t FOR EACH ROW INSERT INTO seen (id, v) VALUES (NEW.id, NEW.v)")
    started(c)
    ok(c.apply([["c", "t", {"id": 2, "v": "a"}], ["c", "t", {"id": 1, "v": "b"}],
                ["u", "t", {"id": 2, "v": "c"}]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM seen ORDER BY n"), [(2, "a"), (1, "b"), (2, "c")])


@test
def two_versions_in_one_batch(c):
    """An ALTER ends a transaction here: what was written before it is asked for again, once."""
    started(c)
    c.table([ID, col("v"), col("w")], as_="t2")
    events = [["TABLE", "t"], ["c", "t", {"id": 1, "v": "a"}], ["c", "t", {"id": 2, "v": "b"}],
              ["TABLE", "t2"], ["u", "t2", {"id": 1, "v": "c", "w": "new"}],
              ["d", "t", {"id": 2}], ["c", "t2", {"id": 3, "v": "d", "w": "x"}]]
    same(fails(c.apply(events), "BUSY", "sink.altered")["applied"], 3)
    same(c.q("SELECT count(*) FROM t"), [(0,)])
    same(c.claim(), [-1])
    ok(c.apply(events))
    ok(c.commit(1))
    same(c.q("SELECT id, v, w FROM t ORDER BY id"), [(1, "c", "new"), (3, "d", "x")])


@test
def a_table_made_amid_a_transaction(c):
    """A CREATE would commit the rows that are there: it goes another way."""
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    c.table([ID, col("v")], "t2")
    ok(c.apply([["c", "t2", {"id": 1, "v": "a"}]]))
    same(c.q("SELECT count(*) FROM t"), [(0,)])
    ok(c.probe("rollback", sink="a"))
    same(c.q("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM t2)"), [(0, 0)])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["c", "t2", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    same(c.q("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM t2)"), [(1, 1)])


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
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(20), big varchar(20) NOT NULL)")
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
         [(1, "a", 0), (1, "b", 0), (1, None, 1)])


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
    c.q("CREATE TABLE t (id int PRIMARY KEY, v varchar(50) UNIQUE)")
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
    c.q("CREATE TABLE t (id char(4) PRIMARY KEY, v varchar(20))")
    started(c, [col("id", "TEXT", 1), col("v")])
    ok(c.apply([["c", "t", {"id": "ab ", "v": "1"}], ["c", "t", {"id": "ab", "v": "2"}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM t"), [("2",)])


@test
def zero_and_minus_zero_are_one_key(c):
    """To every server, and to the source that sent them. No position helps in this table."""
    c.q("CREATE TABLE t (id double PRIMARY KEY, v varchar(20))")
    started(c, [col("id", "FLOAT64", 1), col("v")])
    ok(c.apply([["c", "t", {"id": 0.0, "v": "1"}]]))
    ok(c.commit(1))
    ok(c.apply([["d", "t", {"id": 0.0}], ["c", "t", {"id": -0.0, "v": "2"}]]))
    ok(c.commit(2))
    same(c.q("SELECT v FROM t"), [("2",)])
    ok(c.apply([["c", "t", {"id": 0.0, "v": "3"}], ["d", "t", {"id": -0.0}], ["c", "t", {"id": 0.0, "v": "4"}],
                ["d", "t", {"id": -0.0}]]))
    ok(c.commit(3))
    same(c.q("SELECT v FROM t"), [])


@test
def keys_of_tables_that_we_make_are_exact(c):
    pads = not c.mariadb and c.version < (8, 0, 17)
    keys = ["a", "A", "\u00e4", "a\u0308", "ae", "\U0001f600"] + ([] if pads else ["a ", "a  ", "A "])
    started(c, [col("id", "TEXT", 1), col("v")])
    ok(c.apply([["c", "t", {"id": k, "v": k}] for k in keys]))
    ok(c.commit(1))
    same(sorted(c.q("SELECT id, v FROM t")), sorted((k, k) for k in keys))
    ok(c.apply([["d", "t", {"id": k}] for k in keys if k != "A"]))
    ok(c.commit(2))
    same(c.q("SELECT id FROM t"), [("A",)])


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
    sys.exit(main("mysql_sink_rows"))
