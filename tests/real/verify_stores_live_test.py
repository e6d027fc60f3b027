#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet verify with ClickHouse and DuckDB as sinks, while both sides run: under writers; a range that is under way; a
file that others hold; a table that is no longer what it was. (Types and differences: verify_stores_test.py.)"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import eventually, finish  # noqa: E402

import verify_stores_test as stores  # noqa: E402
from verify_stores_test import MODES, SINKS, base, fixed, found, scenario  # noqa: E402

stores.cases.clear()  # those of its own


@scenario()
def under_writers(p):
    p.sql(base.FILL, 3000)
    p.start()
    p.there(3000)
    with base.writers(p, 0.05):  # no faster than sinks on a busy machine follow
        for sink in p.sinks:
            for mode in MODES:
                r = p.verify("--settle", "10s", *mode, sink=sink)
                assert r["differences"] == 0, (sink, mode, r["rows"][:3])
            p.put(sink, 2900, "big", "1")
            p.drop(sink, 2901)
            fixed(p, sink, missing=1, changed=1)
    for sink in p.sinks:
        r = p.verify(sink=sink, code=0)
        assert (r["unsettled"], r["differences"]) == (0, 0), r
    p.put(p.sinks[0], 2902, "big", "1")  # the control
    p.verify(sink=p.sinks[0], code=4)


@scenario(sinks=("ch",))
def a_range_under_way(p):
    """Offsets say what is under way before its rows are there: they are no differences."""
    p.sql(base.FILL, 300)
    p.start()
    p.there(300)
    p.at("ch", "ALTER TABLE t ADD CONSTRAINT c CHECK v != 'later'")  # ends the sink between offsets and rows; the source goes on
    p.sql("update t set v = 'later' where id <= 100; delete from t where id > 290")
    state = "SELECT sum(length(pending)) FROM _freshet_offsets FINAL WHERE what = 'state'"
    eventually("ranges under way", lambda: p.at("ch", state)[0][0] > 0, 60, 0.2)
    p.put("ch", 150, "big", "1")
    for mode in MODES:
        r = p.verify("--settle", "3s", *mode, code=4)
        assert (r["differences"], r["unsettled"]) == (0, 111) and "the sink has not applied what Kafka has" in r["why"], (r["differences"], r["unsettled"], r["why"])
    p.at("ch", "ALTER TABLE t DROP CONSTRAINT c")
    p.kill()
    p.start()
    r = p.verify(code=4)
    assert found(r) == [("150", "changed", ("big",))], r["rows"]
    fixed(p, "ch", changed=1)
    p.verify("--full", code=0)


# ---- files that are held, tables that cannot be ----

def free(p):
    c = p.opened()
    if c:
        c.close()
    return c is not None


@scenario(sinks=("duck",))
def a_file_that_is_held(p):
    p.sql(base.FILL, 50)
    e = p.verify(code=2)
    assert e["code"] == "sink.file" and "is not there" in e["message"], e
    p.start()
    p.there(50)
    assert p.stop() == 0
    p.write(base.CONFIG.replace("TABLE", "") + SINKS["duck"].replace("hold: writing", "hold: always"))
    p.start()
    eventually("a file that is held", lambda: not free(p), 60, 0.3)
    begun = time.monotonic()
    e = p.verify("--settle", "50s", code=3)
    assert e["code"] == "sink.busy" and "hold: writing" in e["fix"] and "freshet stop duck" in e["fix"], e
    assert time.monotonic() - begun < 40  # not waited for: it never lets go
    code, out, err = p.verb("stop", "duck", "-y")
    assert code == 0, (out, err)
    eventually("a file that was let go of", lambda: free(p), 60, 0.3)
    r = p.verify(code=0)
    assert (r["rows_source"], r["rows_sink"]) == (50, 50), r
    p.drop("duck", 7)  # the control
    assert found(p.verify(code=4)) == [("7", "missing", ())]
    p.write(base.CONFIG.replace("TABLE", "") + SINKS["duck"])
    c = p.opened()
    begun = time.monotonic()
    e = p.verify("--settle", "2s", code=3)
    assert e["code"] == "sink.busy" and "--settle" in e["fix"] and time.monotonic() - begun >= 2, e
    c.close()
    assert found(p.verify(code=4)) == [("7", "missing", ())]
    fixed(p, "duck", missing=1)
    p.verify("--full", code=0)


@scenario(sinks=("ch",))
def a_table_without_current_rows(p):
    p.sql(base.FILL, 5)
    p.start()
    p.there(5)
    assert p.stop() == 0
    p.verify(code=0)
    p.at("ch", "CREATE TABLE u ENGINE = MergeTree ORDER BY id AS SELECT * FROM t")
    p.at("ch", "EXCHANGE TABLES t AND u")
    e = p.verify(code=2)
    assert e["code"] == "verify.table" and "MergeTree" in e["message"], e
    p.at("ch", "DROP TABLE t")
    assert p.verify(code=2)["code"] == "verify.no_table"


if __name__ == "__main__":
    stores.main("verify_stores_live")
    finish()
