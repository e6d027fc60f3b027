#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""sqlite-sink with write.mode history: the cases of every sink, and those of this one."""
import sys
from datetime import datetime, timedelta, timezone

import history_case
import sqlite_sink_case
from history_case import HISTORY, US, at
from sqlite_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


def micros(text):
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) - US


def states(c, what="id, v", table="t"):
    rows = c.q("SELECT %s, _freshet_valid_from, _freshet_valid_to, _freshet_current FROM %s "
               "ORDER BY id, _freshet_valid_from" % (what, table))
    return [(*r[:-3], micros(r[-3]), r[-2] and micros(r[-2]), bool(r[-1])) for r in rows]


history_case.add(sqlite_sink_case, states)
OURS = ("_freshet_position BLOB, _freshet_valid_from TEXT NOT NULL, "
        "_freshet_valid_to TEXT, _freshet_current INTEGER NOT NULL, UNIQUE (id, _freshet_valid_from)")
history_case.add_files(sqlite_sink_case, states, OURS, "v TEXT COLLATE NOCASE, n NUMERIC, j TEXT")


@test
def what_constraints_do_at_a_conflict(c):
    """ON CONFLICT REPLACE would remove another key's state, IGNORE drop this one, both without a word."""
    c.q("CREATE TABLE t (id INTEGER NOT NULL, v TEXT UNIQUE ON CONFLICT REPLACE, n TEXT NOT NULL ON CONFLICT IGNORE, %s)" % OURS)
    started(c, [ID, col("v"), col("n")], write_mode=HISTORY, create=RUN)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a", n="x")], ["c", "t", at(0, 2, id=2, v="b", n="x")]]))
    ok(c.commit(1))
    for bad, code in ((at(5, 3, id=3, v="a", n="x"), "sink.unique"), (at(5, 3, id=2, v="c", n=None), "sink.not_null")):
        fails(c.apply([["u", "t", bad]]), "DATA", code)
        same(states(c), [(1, "a", 0, None, True), (2, "b", 0, None, True)])


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
    sys.exit(main("sqlite_history"))
