#!/usr/bin/env python3
"""postgres-sink: rows in, in order, in every mode."""
import sys

from pg_sink_case import *  # noqa: F401,F403: the vocabulary of these tests

import mysql_sink_rows_test as rows

# What holds of every sink that is a database with transactions.
TESTS += [rows.commit_without_rows, rows.rollback_and_several_applies, rows.from_the_middle_of_a_batch,
          rows.random_events_collapsed, rows.random_events_collapsed_without_guard, rows.random_events_soft,
          rows.key_changed_in_an_update, rows.absent_values_of_a_row_that_is_not_there,
          rows.append_mode_has_no_hard_deletes, rows.deletes_soft_and_back, rows.no_longer_soft,
          rows.deletes_ignored, rows.truncates, rows.a_truncate_leaves_what_came_after,
          rows.a_truncate_without_positions, rows.a_row_that_was_not_decoded, rows.keys_that_are_none,
          rows.older_positions_do_nothing, rows.a_tombstone_alone_is_newer_than_its_row,
          rows.a_tombstone_alone_marks_its_row, rows.offsets_of_foreign_topics_are_not_compared,
          rows.no_guard_without_the_column]


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


# ---- order ----

@test
def random_events_in_order(c):
    rows.random_run(c, False, ["CREATE UNIQUE INDEX ON t (a)"], 4)


@test
def random_events_in_order_soft(c):
    rows.random_run(c, True, ["CREATE UNIQUE INDEX ON t (a)"], 5)


@test
def random_events_partitioned_target(c):
    if c.conn.server_version < 110000:
        raise Skip("keys of partitioned tables need PostgreSQL 11")
    c.q("CREATE TABLE t (k int, s text, a bigint, b text, PRIMARY KEY (k, s)) PARTITION BY HASH (k)")
    c.q("CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
    c.q("CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)")
    rows.random_run(c, False, [], 6)


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


# ---- modes ----

@test
def append_mode(c):
    started(c, write_mode=1, deletes=1)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["u", "t", {"id": 1, "v": "b"}],
                ["d", "t", {"id": 1}]], position=[1, 5]))
    ok(c.commit(1))
    same(c.q("SELECT id, v, _freshet_deleted FROM t ORDER BY _freshet_position"),
         [(1, "a", False), (1, "b", False), (1, None, True)])


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


if __name__ == "__main__":
    sys.exit(main("pg_sink_rows"))
