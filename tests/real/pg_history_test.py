#!/usr/bin/env python3
"""postgres-sink with write.mode history: each state of a key is a row, and its rows never overlap."""
import random
import sys

from pg_sink_case import *  # noqa: F401,F403: the vocabulary of these tests

HISTORY = 2
US = 1_700_000_000_000_000


def history(c, columns=None, **settings):
    settings.setdefault("create", RUN)
    return started(c, columns, write_mode=HISTORY, **settings)


def states(c, what="id, v", table="t"):
    """Of each row: its values, from and until when (microseconds after US), and whether it is so now."""
    micros = "(extract(epoch from %s) * 1000000)::bigint - %d"
    return c.q("SELECT %s, %s, %s, _freshet_current FROM %s ORDER BY id, _freshet_valid_from" % (
        what, micros % ("_freshet_valid_from", US), micros % ("_freshet_valid_to", US), table))


def at(us, lsn, ordinal=0, **row):
    return {"$us": US + us, "$at": [1, lsn, ordinal], **row}


def sound(c, table="t", key="id"):
    """What holds of every history, whatever came: intervals that are not empty and do not overlap, one current row."""
    bad = c.q("SELECT %s, _freshet_valid_from FROM (SELECT *, lead(_freshet_valid_from) OVER (PARTITION BY %s ORDER BY "
              "_freshet_valid_from) AS next FROM %s) x WHERE _freshet_valid_to <= _freshet_valid_from OR "
              "_freshet_valid_to > next OR (_freshet_valid_to IS NULL) <> _freshet_current OR "
              "(next IS NOT NULL AND _freshet_current)" % (key, key, table))
    assert not bad, bad


@test
def states_ends_and_new_beginnings(c):
    history(c)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["u", "t", at(10, 2, id=1, v="b")], ["c", "t", at(20, 3, id=2, v="x")],
                ["d", "t", at(30, 4, id=1)], ["c", "t", at(50, 5, id=1, v="c")],
                ["u", "t", at(60, 6, id=5, v="x"), {"id": 2, "v": "x"}]]))
    ok(c.commit(6))
    want = [(1, "a", 0, 10, False), (1, "b", 10, 30, False), (1, "c", 50, None, True), (2, "x", 20, 60, False),
            (5, "x", 60, None, True)]
    same(states(c), want)
    sound(c)
    # all of it again, as after a position that was set back
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["u", "t", at(10, 2, id=1, v="b")], ["c", "t", at(20, 3, id=2, v="x")],
                ["d", "t", at(30, 4, id=1)]]))
    ok(c.apply([["c", "t", at(50, 5, id=1, v="c")], ["u", "t", at(60, 6, id=5, v="x"), {"id": 2, "v": "x"}]]))
    ok(c.commit(6))
    same(states(c), want)


@test
def every_state_of_a_batch(c):
    history(c)
    ok(c.apply([["u" if i else "c", "t", at(i * 10, i + 1, id=1, v="v%d" % i)] for i in range(50)] +
               [["c", "t", at(600, 60, i, id=i, v="x")] for i in range(2, 30)]))
    ok(c.commit(1))
    got = states(c)
    same(len(got), 50 + 28)
    same(got[:3], [(1, "v0", 0, 10, False), (1, "v1", 10, 20, False), (1, "v2", 20, 30, False)])
    sound(c)


@test
def equal_times_and_a_clock_that_goes_back(c):
    """Positions order; a state never begins before the one that it follows."""
    history(c)
    ok(c.apply([["c", "t", at(0, 1, 0, id=1, v="a")], ["u", "t", at(0, 1, 1, id=1, v="b")], ["u", "t", at(0, 2, 0, id=1, v="c")],
                ["u", "t", at(-500, 3, 0, id=1, v="d")], ["d", "t", at(-500, 4, 0, id=1)], ["c", "t", at(-500, 4, 1, id=1, v="e")],
                ["u", "t", at(100, 5, 0, id=1, v="f")]]))
    ok(c.commit(1))
    same(states(c), [(1, "a", 0, 1, False), (1, "b", 1, 2, False), (1, "c", 2, 3, False), (1, "d", 3, 4, False),
                     (1, "e", 4, 100, False), (1, "f", 100, None, True)])
    sound(c)


@test
def snapshot_rows_repeat_what_is_known(c):
    history(c)
    ok(c.apply([["r", "t", at(0, 5, id=1, v="a")], ["r", "t", at(0, 5, id=2, v="b")]]))
    ok(c.apply([["r", "t", at(100, 9, id=1, v="a")], ["r", "t", at(100, 9, id=2, v="z")], ["r", "t", at(100, 9, id=3, v=None)]]))
    ok(c.apply([["r", "t", at(200, 12, id=3, v=None)]]))
    ok(c.commit(1))
    same(states(c), [(1, "a", 0, None, True), (2, "b", 0, 100, False), (2, "z", 100, None, True), (3, None, 100, None, True)])
    # an update that changes nothing is no state either
    ok(c.apply([["u", "t", at(300, 13, id=1, v="a")], ["u", "t", at(310, 14, id=3, v=None)]]))
    ok(c.commit(2))
    same(len(states(c)), 4)


@test
def a_snapshot_and_the_log_share_a_position(c):
    history(c)
    first = [["r", "t", at(0, 5, id=1, v="a")], ["u", "t", at(10, 5, id=1, v="b")],
             ["r", "t", at(0, 5, id=2, v="a")], ["d", "t", at(10, 5, id=2)]]
    want = [(1, "a", 0, 10, False), (1, "b", 10, None, True), (2, "a", 0, 10, False)]
    for _ in range(2):
        ok(c.apply(first))
        ok(c.commit(1))
        same(states(c), want)
    for e in first:
        ok(c.apply([e]))
    ok(c.commit(1))
    same(states(c), want)


@test
def absent_values_are_those_of_the_current_row(c):
    history(c, [ID, col("v"), col("big")])
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a", big="B" * 5000)], ["u", "t", at(10, 2, id=1, v="b")],
                ["u", "t", at(20, 3, id=1, v="b")], ["u", "t", at(30, 4, id=1, v="c", big="C")],
                ["u", "t", at(40, 5, id=7, v="alone")], ["d", "t", at(50, 6, id=1)], ["u", "t", at(60, 7, id=1, v="new")]]))
    ok(c.commit(1))
    same(states(c, "id, v, left(big, 1)"), [
        (1, "a", "B", 0, 10, False), (1, "b", "B", 10, 30, False), (1, "c", "C", 30, 50, False),
        (1, "new", None, 60, None, True), (7, "alone", None, 40, None, True)])


@test
def truncate_ends_all_current_rows(c):
    history(c, truncate=1)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["c", "t", at(0, 1, 1, id=2, v="b")], ["d", "t", at(5, 2, id=2)],
                ["t", "t", at(10, 3)], ["c", "t", at(20, 4, id=1, v="a")]]))
    ok(c.commit(1))
    want = [(1, "a", 0, 10, False), (1, "a", 20, None, True), (2, "b", 0, 5, False)]
    same(states(c), want)
    ok(c.apply([["t", "t", at(10, 3)]]))  # again, as from the topic's other partitions
    ok(c.commit(2))
    same(states(c), want)
    c.open(sink="b", write_mode=HISTORY)
    c.claim(sink="b")
    fails(c.apply([["t", "t", at(40, 8)]], sink="b"), "DATA", "sink.truncate")


@test
def deletes_ignored(c):
    history(c, deletes=2)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["d", "t", at(5, 2, id=1)], ["c", "t", at(9, 3, id=1, v="b")]]))
    ok(c.commit(1))
    same(states(c), [(1, "a", 0, 9, False), (1, "b", 9, None, True)])


@test
def settings_that_make_no_sense(c):
    r = c.probe("open", **{"as": "x"}, dsn=c.dsn(), write_mode=HISTORY, deletes=1)
    fails(r, "CONFIG", "sink.config")
    assert r["error"]["text"].startswith("write.deletes: "), r
    for kind, more in (("clickhouse", {"dsn": "http://127.0.0.1:1/x"}), ("file", {"path": "/nonexistent", "format": "parquet"})):
        r = c.probe("open", **{"as": "y"}, type=kind, write_mode=HISTORY, **more)
        fails(r, "CONFIG", "sink.config")
        assert r["error"]["text"].startswith("write.mode: ") and "append" in r["error"]["hint"], r


@test
def a_message_without_a_time(c):
    history(c)
    fails(c.apply([["c", "t", {"id": 1, "v": "a"}]]), "DATA", "sink.time")


# ---- against a model ----

class Model:
    """The history that the events make, one after the other."""

    def __init__(self):
        self.keys = {}

    def put(self, key, us, values, read):
        rows = self.keys.setdefault(key, [])
        now = rows[-1] if rows and rows[-1][2] is None else None
        full = {n: values[n] if n in values else (now[0][n] if now else None) for n in ("a", "b")}
        if now and now[0] == full:
            return
        begin = us
        if rows:
            begin = max(us, rows[-1][1] + 1, rows[-1][2] or 0)
        if now:
            now[2] = begin
        rows.append([full, begin, None])

    def delete(self, key, us):
        rows = self.keys.get(key, [])
        if rows and rows[-1][2] is None:
            rows[-1][2] = max(us, rows[-1][1] + 1)

    def all(self):
        return sorted((k, r[0]["a"], r[0]["b"] or "", r[1] - US, r[2] and r[2] - US) for k, rows in self.keys.items()
                      for r in rows)


def random_events(rng, model, count, keys, clock):
    events = []
    for _ in range(count):
        clock[0] += 1
        clock[1] += rng.choice([0, 0, 1, 3, 1000, -50])
        key, us = rng.randrange(keys), US + clock[1]
        place = {"$us": us, "$at": [1, clock[0] // 3, clock[0] % 3], "id": key}
        rows = model.keys.get(key)
        there = bool(rows) and rows[-1][2] is None
        what = rng.random()
        if what < 0.2:
            model.delete(key, us)
            events.append(["d", "t", place])
            continue
        values = {"a": rng.randrange(4), "b": rng.choice([None, "é", "x" * 20])}
        if there and what < 0.5:
            values.pop(rng.choice(["a", "b"]))
        op = "u" if there else rng.choice(["c", "r"])
        model.put(key, us, values, op == "r")
        events.append([op, "t", dict(place, **values)])
    return events


@test
def random_histories(c):
    """Whatever the batches, and although the past comes again and again."""
    for seed in range(6):
        rng = random.Random(seed)
        c.probe("rollback", sink="a") if seed else None
        c.q("DROP TABLE IF EXISTS t%d" % seed)
        c.open(sink="s%d" % seed, write_mode=HISTORY, create=RUN)
        c.claim(sink="s%d" % seed)
        c.table([ID, col("a", "INT64"), col("b")], name="t%d" % seed, as_="t")
        model, clock, past = Model(), [0, 0], []
        for _ in range(40):
            events = random_events(rng, model, rng.choice([1, 2, 7, 50, 300]), rng.choice([1, 3, 40]), clock)
            again = past[rng.randrange(len(past)):] if past and rng.random() < 0.3 else []
            past = (past + events)[-400:]
            ok(c.apply(again + events, sink="s%d" % seed))
            if rng.random() < 0.7:
                ok(c.commit(1, sink="s%d" % seed))
        ok(c.commit(2, sink="s%d" % seed))
        micros = "((extract(epoch from %s) * 1000000)::bigint - " + str(US) + ")"
        got = sorted(c.q("SELECT id, a, coalesce(b, ''), %s, %s FROM t%d" % (
            micros % "_freshet_valid_from", micros % "_freshet_valid_to", seed)), key=lambda r: (r[0], r[3]))
        want = sorted(model.all(), key=lambda r: (r[0], r[3]))
        diff = [(g, w) for g, w in zip(got, want) if g != w][:3]
        assert got == want, (seed, len(got), len(want), diff)
        sound(c, "t%d" % seed)
        assert len(got) > 300, len(got)
    c.q("UPDATE t0 SET _freshet_valid_to = _freshet_valid_to + interval '1 microsecond' WHERE _freshet_valid_to = "
        "(SELECT _freshet_valid_from FROM t0 x WHERE x.id = t0.id AND x._freshet_valid_from = t0._freshet_valid_to)")
    try:
        sound(c, "t0")
    except AssertionError:
        return
    raise AssertionError("the check sees no overlap")


@test
def values_that_only_look_the_same(c):
    """Case that a column ignores, blanks, NULL and nothing; and those that are the same in another spelling."""
    c.open(write_mode=HISTORY, create=RUN)
    c.claim()
    columns = [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2), col("j", "JSON"), col("d", "DATETIME"),
               col("w", "DECIMAL", precision=8, scale=1)]
    c.table(columns)
    c.q("CREATE TABLE t (id int NOT NULL, v text, n numeric(10,2), j json, d timestamp(3), w numeric(12,4), "
        "_freshet_position bytea, _freshet_valid_from timestamptz NOT NULL, _freshet_valid_to timestamptz, "
        "_freshet_current boolean NOT NULL, UNIQUE (id, _freshet_valid_from))")
    row = {"id": 1, "v": "a", "n": "1.50", "j": "{\"a\": 1}", "d": 1234, "w": "2.5"}
    steps = [row, row, dict(row, v="A"), dict(row, v="A "), dict(row, v=""), dict(row, v=None), dict(row, v=None),
             dict(row, v=None, j="{\"a\":1}"), dict(row, v=None, j="{\"a\":1}", n="1.51")]
    ok(c.apply([["r", "t", at(i * 10, i + 1, **r)] for i, r in enumerate(steps)]))
    ok(c.commit(1))
    same([r[0] for r in states(c, "v || '|' || n || '|' || j")], ["a|1.50|{\"a\": 1}", "A|1.50|{\"a\": 1}",
                                                                    "A |1.50|{\"a\": 1}", "|1.50|{\"a\": 1}", None, None, None])


# ---- the table ----

@test
def what_is_made_and_planned(c):
    c.open(write_mode=HISTORY, create=RUN)
    c.claim()
    c.table([ID, col("v")])
    r = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))
    sql = [f["sql"] for f in r["findings"] if "CREATE TABLE" in f.get("sql", "") and "valid_from" in f["sql"]]
    assert len(sql) == 1 and 'PRIMARY KEY ("id", "_freshet_valid_from")' in sql[0], r
    c.q(sql[0])
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
    ok(c.commit(1))
    same(states(c), [(1, "a", 0, None, True)])


@test
def tables_of_another_shape(c):
    history(c)
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text, _freshet_position bytea)")
    r = fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.table")
    assert "CREATE TABLE" in r["error"]["hint"] and "rename" in r["error"]["hint"], r
    same(c.q("SELECT count(*) FROM t"), [(0,)])
    c.q("DROP TABLE t")
    c.q(r["error"]["hint"][r["error"]["hint"].index("CREATE TABLE"):])
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
    ok(c.commit(1))
    for alter in ("DROP CONSTRAINT t_pkey", "ALTER _freshet_valid_from TYPE timestamptz(0)", "DROP _freshet_current",
                  "ALTER _freshet_valid_to TYPE timestamp", "DROP _freshet_position"):
        c.q("BEGIN; ALTER TABLE t %s; COMMIT" % alter)
        c.open(sink="b", write_mode=HISTORY)
        c.claim(sink="b")
        fails(c.apply([["u", "t", at(5, 2, id=1, v="b")]], sink="b"), "CONFIG", "sink.table")
        ok(c.probe("close", sink="b"))
        c.q("DROP TABLE t")
        c.q(r["error"]["hint"][r["error"]["hint"].index("CREATE TABLE"):])
    # nor does another mode write into a history
    for mode in (0, 1):
        c.open(sink="c", write_mode=mode)
        c.claim(sink="c")
        fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]], sink="c"), "CONFIG")
        ok(c.probe("close", sink="c"))
    c.table([ID, col("v"), col("_freshet_current", "BOOL")], as_="own")
    fails(c.apply([["c", "own", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.name")
    c.table([col("id", "INT32"), col("v")], name="keyless")
    fails(c.apply([["c", "keyless", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.key")


@test
def an_added_column_is_null_before(c):
    history(c, add_column=EVOLVE, change_type=EVOLVE, drop_column=EVOLVE)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["c", "t", at(0, 2, id=2, v="b")]]))
    c.table([ID, col("v"), col("n", "INT32")], as_="t2")
    ok(c.apply([["u", "t2", at(10, 3, id=1, v="a", n=7)], ["u", "t2", at(20, 4, id=2, v="b", n=None)]]))
    ok(c.commit(1))
    same(states(c, "id, v, n"), [(1, "a", None, 0, 10, False), (1, "a", 7, 10, None, True), (2, "b", None, 0, None, True)])
    c.table([ID, col("n", "INT64")], as_="t3")
    ok(c.apply([["u", "t3", at(30, 5, id=1, n=1 << 40)]]))
    ok(c.commit(2))
    same(states(c, "id, v, n")[1:3], [(1, "a", 7, 10, 30, False), (1, None, 1 << 40, 30, None, True)])


@test
def a_row_that_fails_is_known(c):
    history(c)
    c.q("CREATE TABLE t (id int, v varchar(3), _freshet_position bytea, _freshet_valid_from timestamptz, "
        "_freshet_valid_to timestamptz, _freshet_current boolean, PRIMARY KEY (id, _freshet_valid_from))")
    events = [["c", "t", at(0, 1, i, id=i, v="a")] for i in range(5)] + [["u", "t", at(10, 2, id=3, v="long")],
                                                                          ["u", "t", at(10, 3, id=4, v="b")]]
    r = fails(c.apply(events), "DATA", "sink.value")
    same(r["applied"], 5)
    ok(c.apply(events[:5]))
    ok(c.apply(events[6:]))
    ok(c.commit(1))
    same(len(states(c)), 6)


@test
def triggers_see_rows_in_order(c):
    history(c)
    c.q("CREATE TABLE t (id int, v text, _freshet_position bytea, _freshet_valid_from timestamptz, _freshet_valid_to "
        "timestamptz, _freshet_current boolean, PRIMARY KEY (id, _freshet_valid_from)); CREATE TABLE seen (n serial, id int, v text);"
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO %s.seen (id, v) VALUES (NEW.id, NEW.v); "
        "RETURN NEW; END $$; CREATE TRIGGER see AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION see()" % c.name)
    ok(c.apply([["c", "t", at(0, 1, id=2, v="a")], ["c", "t", at(0, 2, id=1, v="b")], ["u", "t", at(0, 3, id=2, v="c")],
                ["c", "t", at(0, 4, id=0, v="d")]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM seen ORDER BY n"), [(2, "a"), (1, "b"), (2, "c"), (0, "d")])


if __name__ == "__main__":
    sys.exit(main("pg_history"))
