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
history_case.add_files(duckdb_sink_case, states, OURS, "v VARCHAR COLLATE NOCASE, n DECIMAL(12,4), j VARCHAR")


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
