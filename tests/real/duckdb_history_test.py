#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""duckdb-sink with write.mode history: the cases of every sink, and those of this one."""
import sys

import history_case
import duckdb_sink_case
from history_case import HISTORY, US, at
from duckdb_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


def states(c, what="id, v", table="t"):
    micros = "epoch_us(%s) - %d"
    return c.q("SELECT %s, %s, %s, _freshet_current FROM %s ORDER BY id, _freshet_valid_from" % (
        what, micros % ("_freshet_valid_from", US), micros % ("_freshet_valid_to", US), table))


history_case.add(duckdb_sink_case, states, most=60, seeds=3)
OURS = ("_freshet_position BLOB, _freshet_valid_from TIMESTAMPTZ NOT NULL, "
        "_freshet_valid_to TIMESTAMPTZ, _freshet_current BOOLEAN NOT NULL")


@test
def values_that_only_look_the_same(c):
    """Case that a column ignores, blanks, NULL and nothing; and those that are the same in another spelling."""
    c.q("CREATE TABLE t (id INTEGER NOT NULL, v VARCHAR COLLATE NOCASE, n DECIMAL(12,4), j VARCHAR, %s)" % OURS)
    c.open(write_mode=HISTORY, create=RUN)
    c.claim()
    c.table([ID, col("v"), col("n", "DECIMAL", precision=10, scale=2), col("j", "JSON")])
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
    c.q("CREATE TABLE t (id INTEGER NOT NULL, v VARCHAR CHECK (length(v) < 4), %s)" % OURS)
    started(c, write_mode=HISTORY, create=RUN)
    events = [["c", "t", at(0, 1, i, id=i, v="a")] for i in range(5)] + [["u", "t", at(10, 2, id=3, v="long")],
                                                                          ["u", "t", at(10, 3, id=4, v="b")]]
    r = fails(c.apply(events), "DATA", "sink.check")
    same(r["applied"], 5)
    ok(c.apply(events[:5]))
    ok(c.apply(events[6:]))
    ok(c.commit(1))
    same(len(states(c)), 6)


@test
def a_table_with_a_primary_key(c):
    """Rows go one by one there: DuckDB looks at such an index at each row."""
    c.q("CREATE TABLE t (id INTEGER NOT NULL, v VARCHAR, %s, PRIMARY KEY (id, _freshet_valid_from))" % OURS)
    started(c, write_mode=HISTORY, create=RUN)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")], ["u", "t", at(0, 2, id=1, v="b")], ["d", "t", at(5, 3, id=1)], ["c", "t", at(5, 4, id=1, v="c")],
                ["c", "t", at(5, 5, id=2, v="c")]]))
    ok(c.commit(1))
    ok(c.apply([["u", "t", at(9, 6, id=1, v="d")], ["u", "t", at(9, 7, id=1, v="e")]]))
    ok(c.commit(2))
    same(states(c), [(1, "a", 0, 1, False), (1, "b", 1, 5, False), (1, "c", 5, 9, False), (1, "d", 9, 10, False), (1, "e", 10, None, True),
                     (2, "c", 5, None, True)])


@test
def other_modes_write_into_no_history(c):
    started(c, write_mode=HISTORY, create=RUN)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
    ok(c.commit(1))
    ok(c.probe("close", sink="a"))
    for mode in (0, 1):
        c.open(sink="c", write_mode=mode)
        c.claim(sink="c")
        fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]], sink="c"), "CONFIG", "sink.table")
        ok(c.probe("close", sink="c"))


if __name__ == "__main__":
    sys.exit(main("duckdb_history"))
