"""Cases of write.mode history that hold for every sink that keeps one: each state of a key is a row, and its rows
never overlap. add() makes them of a suite's vocabulary (pg_sink_case, sqlite_sink_case, duckdb_sink_case)."""
import random

HISTORY = 2
US = 1_700_000_000_000_000


def at(us, lsn, ordinal=0, **row):
    return {"$us": US + us, "$at": [1, lsn, ordinal], **row}


def sound(rows):
    """What holds of every history, whatever came. Rows: key, ..., from, until, current, in order."""
    for a, b in zip(rows, rows[1:] + [None]):
        begin, end, now = a[-3:]
        assert (end is None) == bool(now) and (end is None or end > begin), a
        if b is not None and b[0] == a[0]:
            assert end is not None and end <= b[-3], (a, b)


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
        return [(k, r[0]["a"], r[0]["b"], r[1] - US, r[2] and r[2] - US, r[2] is None)
                for k, rows in sorted(self.keys.items()) for r in rows]


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


def add(words, states, most=300, seeds=6):
    """states(c, what="id, v", table="t"): rows in the order of id and from: what, from, until (microseconds after US),
    whether it is so now. most: events of a batch, in random_histories."""
    test, ok, fails, same, col, started = words.test, words.ok, words.fails, words.same, words.col, words.started
    ID, RUN, EVOLVE = words.ID, words.RUN, words.EVOLVE

    ready = getattr(words, "ready", lambda c: None)  # raises Skip where a server keeps no history

    def history(c, columns=None, **settings):
        settings.setdefault("create", RUN)
        return started(c, columns, write_mode=HISTORY, **settings)

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
        sound(states(c))
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
        sound(states(c))

    @test
    def many_keys_of_a_batch(c):
        """More than one statement takes, of all forms."""
        history(c, [ID, col("v"), col("w")])
        ok(c.apply([["r", "t", at(0, 1, i, id=i, v="a", w="x")] for i in range(1300)]))
        ok(c.commit(1))
        ok(c.apply([["r", "t", at(5, 2, i, id=i, v="a" if i % 3 else "b", w="x")] for i in range(1310)] +
                   [["d", "t", at(7, 3, i, id=i)] for i in range(0, 1300, 2)] +
                   [["u", "t", at(9, 4, i, id=i, v="c")] for i in range(0, 1300, 5)]))
        ok(c.commit(2))

        def want(i):
            rows = [["a" if i < 1300 or i % 3 else "b", "x", 0 if i < 1300 else 5]]
            if i < 1300 and i % 3 == 0:
                rows.append(["b", "x", 5])
            ends = [r[2] for r in rows[1:]] + [7 if i < 1300 and i % 2 == 0 else None]
            if i < 1300 and i % 5 == 0:
                rows.append(["c", None if i % 2 == 0 else "x", 9])
                ends = ends[:-1] + [ends[-1] or 9, None]
            return [(i, v, w, begin, end, end is None) for (v, w, begin), end in zip(rows, ends)]
        same([r for r in states(c, "id, v, w")], [r for i in range(1310) for r in want(i)])

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
        sound(states(c))

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
        same(states(c, "id, v, substr(big, 1, 1)"), [
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
    def a_truncate_leaves_what_other_partitions_brought_after_it(c):
        history(c, truncate=1)
        ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["c", "t", at(20, 4, id=2, v="after")], ["t", "t", at(10, 3)]]))
        ok(c.commit(1))
        want = [(1, "a", 0, 10, False), (2, "after", 20, None, True)]
        same(states(c), want)
        ok(c.apply([["c", "t", at(5, 2, id=3, v="late")], ["t", "t", at(10, 3)]]))  # a partition that lags
        ok(c.commit(2))
        same(states(c), want + [(3, "late", 5, 10, False)])

    @test
    def a_tombstone_alone_ends_its_row(c):
        """Its position is borrowed: it is newer than whatever there is, and the row keeps its own."""
        history(c)
        ok(c.apply([["c", "t", at(0, 9, id=1, v="a")], ["c", "t", at(0, 9, 1, id=2, v="b")]]))
        lone = {"$us": US + 50, "$at": [0, 7, 0], "$unplaced": True}
        ok(c.apply([["d", "t", dict(lone, id=1)], ["d", "t", dict(lone, id=3)]]))
        ok(c.commit(1))
        want = [(1, "a", 0, 50, False), (2, "b", 0, None, True)]
        same(states(c), want)
        ok(c.apply([["c", "t", at(0, 9, id=1, v="a")], ["d", "t", dict(lone, id=1)]]))  # again
        ok(c.commit(2))
        same(states(c), want)
        ok(c.apply([["c", "t", at(70, 10, id=1, v="c")]]))
        ok(c.commit(3))
        same(states(c), [want[0], (1, "c", 70, None, True), want[1]])

    @test
    def offsets_of_foreign_topics_are_kept_and_not_compared(c):
        """A key that moves to a partition with lower offsets goes on; of our own messages that is the past."""
        ready(c)
        c.open(write_mode=HISTORY, create=RUN)
        c.claim()
        for name, foreign in (("ours", False), ("theirs", True)):
            ok(c.probe("table", **{"as": name}, name=name, space="", columns=[ID, col("v")], foreign=foreign))
            ok(c.apply([["c", name, at(0, 9, id=1, v="a")], ["c", name, at(0, 9, id=2, v="x")]]))
            ok(c.apply([["u", name, at(10, 3, id=1, v="b")], ["d", name, at(10, 4, id=2)], ["c", name, at(20, 5, id=2, v="y")]]))
        ok(c.commit(1))
        same(states(c, table="ours"), [(1, "a", 0, None, True), (2, "x", 0, None, True)])
        same(states(c, table="theirs"), [(1, "a", 0, 10, False), (1, "b", 10, None, True), (2, "x", 0, 10, False),
                                         (2, "y", 20, None, True)])

    @test
    def truncated_by_a_clock_that_is_behind(c):
        """A row that began later ends a microsecond after it did, also where that is the next second."""
        history(c, truncate=1)
        ok(c.apply([["c", "t", at(999_999, 1, id=1, v="a")], ["c", "t", at(8, 2, id=2, v="b")], ["t", "t", at(7, 3)],
                    ["c", "t", at(3, 4, id=2, v="c")]]))
        ok(c.commit(1))
        same(states(c), [(1, "a", 999_999, 1_000_000, False), (2, "b", 8, 9, False), (2, "c", 9, None, True)])

    @test
    def deletes_ignored(c):
        history(c, deletes=2)
        ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["d", "t", at(5, 2, id=1)], ["c", "t", at(9, 3, id=1, v="b")]]))
        ok(c.commit(1))
        same(states(c), [(1, "a", 0, 9, False), (1, "b", 9, None, True)])

    @test
    def a_message_without_a_time(c):
        history(c)
        fails(c.apply([["c", "t", {"id": 1, "v": "a"}]]), "DATA", "sink.time")

    @test
    def random_histories(c):
        """Whatever the batches, and although the past comes again and again."""
        ready(c)
        for seed in range(seeds):
            rng, sink, table = random.Random(seed), "s%d" % seed, "t%d" % seed
            c.open(sink=sink, write_mode=HISTORY, create=RUN)
            c.claim(sink=sink)
            c.table([ID, col("a", "INT64"), col("b")], name=table, as_="t")
            model, clock, past = Model(), [0, 0], []
            for _ in range(40):
                events = random_events(rng, model, rng.choice([1, 2, 7, 50, most]), rng.choice([1, 3, 40]), clock)
                again = past[rng.randrange(len(past)):] if past and rng.random() < 0.3 else []
                past = (past + events)[-most:]
                ok(c.apply(again + events, sink=sink))
                if rng.random() < 0.7:
                    ok(c.commit(1, sink=sink))
            ok(c.commit(2, sink=sink))
            got, want = [(*r[:5], bool(r[5])) for r in states(c, "id, a, b", table)], model.all()
            diff = [(g, w) for g, w in zip(got, want) if g != w][:3]
            assert got == want, (seed, len(got), len(want), diff)
            sound(got)
            assert len(got) > 200, len(got)
            ok(c.probe("close", sink=sink))
        # A history that overlaps is seen.
        i = next(i for i in range(len(got) - 1) if got[i][0] == got[i + 1][0] and got[i][4] == got[i + 1][3])
        got[i] = (*got[i][:4], got[i][4] + 1, False)
        try:
            sound(got)
        except AssertionError:
            return
        raise AssertionError("the check sees no overlap")

    def applied(c, events):
        """An ALTER ends a transaction in MySQL, and asks for all of it again."""
        r = c.apply(events)
        while not r["ok"] and r["error"]["code"] == "sink.altered":
            r = c.apply(events)
        ok(r)

    @test
    def an_added_column_is_null_before(c):
        history(c, add_column=EVOLVE, drop_column=EVOLVE)
        ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["c", "t", at(0, 2, id=2, v="b")]]))
        ok(c.commit(1))
        c.table([ID, col("v"), col("n", "INT32")], as_="t2")
        applied(c, [["u", "t2", at(10, 3, id=1, v="a", n=7)], ["u", "t2", at(20, 4, id=2, v="b", n=None)]])
        ok(c.commit(1))
        same(states(c, "id, v, n"), [(1, "a", None, 0, 10, False), (1, "a", 7, 10, None, True), (2, "b", None, 0, None, True)])
        c.table([ID, col("n", "INT32")], as_="t3")
        applied(c, [["u", "t3", at(30, 5, id=1, n=9)]])
        ok(c.commit(2))
        same(states(c, "id, v, n")[1:3], [(1, "a", 7, 10, 30, False), (1, None, 9, 30, None, True)])


def fails_in_the_middle(words, states, c, code):
    """A table t is there whose v takes three characters: the row that it refuses is known, and its key's history goes on."""
    ok, same = words.ok, words.same
    events = [["c", "t", at(0, 1, i, id=i, v="a")] for i in range(5)] + [["u", "t", at(10, 2, id=3, v="long")],
                                                                          ["u", "t", at(10, 3, id=4, v="b")]]
    same(words.fails(c.apply(events), "DATA", code)["applied"], 5)
    ok(c.apply(events[:5]))
    ok(c.apply(events[6:]))
    ok(c.commit(1))
    same(len(states(c)), 6)


def add_files(words, states, ours, looks):
    """Of stores that are files. ours: the columns of a history; looks: v, n and j, of which v ignores case."""
    test, ok, fails, same, col, started = words.test, words.ok, words.fails, words.same, words.col, words.started
    ID, RUN = words.ID, words.RUN

    @test
    def values_that_only_look_the_same(c):
        """Case that a column ignores, blanks, NULL and nothing; and those that are the same in another spelling."""
        c.q("CREATE TABLE t (id INTEGER NOT NULL, %s, %s)" % (looks, ours))
        started(c, [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2), col("j", "JSON")], write_mode=HISTORY, create=RUN)
        row = {"id": 1, "v": "a", "n": "1.50", "j": "{\"a\": 1}"}
        steps = [row, row, dict(row, v="A"), dict(row, v="A "), dict(row, v=""), dict(row, v=None), dict(row, v=None),
                 dict(row, v=None, j="{\"a\":1}"), dict(row, v=None, j="{\"a\":1}", n="1.51")]
        ok(c.apply([["r", "t", at(i * 10, i + 1, **r)] for i, r in enumerate(steps)]))
        ok(c.commit(1))
        same([r[0] for r in states(c, "v")], ["a", "A", "A ", "", None, None, None])
        same([float(r[0]) for r in states(c, "n")], [1.5] * 6 + [1.51])

    @test
    def what_is_made_and_what_is_refused(c):
        c.open(write_mode=HISTORY, create=RUN)
        c.claim()
        c.table([ID, col("v")])
        made = [f["sql"] for f in c.plan() if "_freshet_valid_to" in f.get("sql", "")]
        assert len(made) == 1 and "CREATE TABLE" in made[0], made
        ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
        ok(c.commit(1))
        same(states(c), [(1, "a", 0, None, True)])
        ok(c.probe("close", sink="a"))
        c.q("DROP TABLE t")
        c.q("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, _freshet_position BLOB)")
        c.open(sink="b", write_mode=HISTORY, create=RUN)
        c.claim(sink="b")
        r = fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]], sink="b"), "CONFIG", "sink.table")
        assert "CREATE TABLE" in r["error"]["hint"] and "rename" in r["error"]["hint"], r
        ok(c.probe("close", sink="b"))
        same(c.q("SELECT count(*) FROM t"), [(0,)])
        c.refused("CONFIG", "sink.config", write_mode=HISTORY, deletes=1)
        c.open(sink="d", write_mode=HISTORY, create=RUN)
        c.claim(sink="d")
        c.table([col("id", "INT32"), col("v")], name="keyless")
        fails(c.apply([["c", "keyless", at(0, 1, id=1, v="a")]], sink="d"), "CONFIG", "sink.key")

    @test
    def a_row_that_fails_is_known(c):
        c.q("CREATE TABLE t (id INTEGER NOT NULL, v VARCHAR CHECK (length(v) < 4), %s)" % ours)
        started(c, write_mode=HISTORY, create=RUN)
        fails_in_the_middle(words, states, c, "sink.check")
