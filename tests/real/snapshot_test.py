#!/usr/bin/env python3
"""freshet snapshot start: a table is read again while its changes are streamed, in order with them."""
import contextlib
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, connect, eventually, finish, together  # noqa: E402

ROWS = 10000
SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{slot: {slot}, publication: p}}
    tables:
      "/^public\\\\./": {{snapshot: {{chunk: 500, parallel: 2}}}}
      public.quiet: {{snapshot: {{mode: never}}}}
"""
TABLES = f"""
create table t(id int primary key, v int not null);
create table quiet(id int primary key);
insert into t select i, 0 from generate_series(1, {ROWS}) i;
create publication p for table t, quiet;
"""


@contextlib.contextmanager
def streaming(name, failpoint=None):
    """A case with a daemon that has taken its snapshot and follows the log."""
    p = Pipeline(SOURCE, target=False)
    with case(name, p):
        p.sql(TABLES)
        p.start(failpoint)
        p.says("snapshot: done")
        p.wait_events("t", ROWS)
        yield p
    p.close()


def snapshot(p, *words):
    return p.verb("snapshot", *words, "--yes")


def fold(p):
    """What a reader of the topic ends up with, and how often each row was read by a snapshot."""
    rows, reads = {}, {}
    for e in p.events("t"):
        if e is None:
            continue
        if e["op"] == "d":
            rows.pop(e["before"]["id"], None)
            continue
        rows[e["after"]["id"]] = e["after"]["v"]
        if e["op"] == "r":
            reads[e["after"]["id"]] = reads.get(e["after"]["id"], 0) + 1
    return rows, reads


class Writer(threading.Thread):
    """Updates, deletes and inserts, until told to stop."""

    def __init__(self, dsn):
        super().__init__()
        self.dsn, self.over, self.turns = dsn, threading.Event(), 0

    def run(self):
        c = connect(self.dsn)
        q = c.cursor()
        while not self.over.is_set():
            n = self.turns
            q.execute("update t set v = v + 1 where id = %s", (n % ROWS + 1,))
            q.execute("delete from t where id = %s", (ROWS - n % 50,))
            q.execute("insert into t values (%s, %s)", (ROWS + 1 + n, n))
            self.turns += 1
        c.close()


def again(name, failpoint=None, kill=False):
    with streaming(name, failpoint) as p:
        w = Writer(p.source)
        w.start()
        try:
            eventually("some writes", lambda: w.turns > 50)
            code, out, err = snapshot(p, "start", "src/public.t")
            assert code == 0 and "a new snapshot begins" in out, out + err
            if kill:
                eventually("some chunks", lambda: "chunk 0/" not in p.verb("snapshot", "status")[1]
                           and "running" in p.verb("snapshot", "status")[1], 30, 0.01)
                p.kill()
                p.start(failpoint)
            eventually("the end of the second snapshot", lambda: p.log(True).count("snapshot: done") > (not kill), 60)
        finally:
            w.over.set()
            w.join()
        if failpoint:
            views = p.log(True).count("snapshot: 1 tables")
            assert views > 2, f"{views} views: the slices were not used"
            said = [line[line.index("msg="):] for line in p.log(True).splitlines() if "(kafka.topic." in line]
            assert said and len(said) == len(set(said)), f"said again in each slice: {said}"
        want = dict(p.sql("select id, v from t"))
        eventually("the topic says what the table says", lambda: fold(p)[0] == want, 60, 0.5)
        rows, reads = fold(p)
        twice = [i for i in range(1, ROWS - 49) if reads.get(i) != 2]
        assert not twice, f"{len(twice)} rows were not read once more, as {twice[:5]}"
        assert p.stop() == 0
        code, out, err = p.verb("snapshot", "status", "src/public.t")
        assert code == 0 and "done" in out, out + err


def beside_the_stream():
    again("snapshot_again")


def in_slices():
    again("snapshot_again_in_slices", "capture_short_slices:off:*")


def killed_in_between():
    again("snapshot_again_killed", "capture_short_slices:off:*", kill=True)


def asked_while_nothing_runs():
    with streaming("snapshot_again_later") as p:
        assert p.stop() == 0
        code, out, err = snapshot(p, "start", "src/public.t")
        assert code == 0 and "the next run" in out, out + err
        code, out, err = p.verb("snapshot", "status", "src/public.t")
        assert "has not begun" in out, out + err
        p.start()
        p.wait_events("t", 2 * ROWS)
        p.says("snapshot: done")
        assert p.stop() == 0
        assert set(fold(p)[1].values()) == {2}


def refused():
    with streaming("snapshot_again_refused") as p:
        for words, text in ((["start", "src/public.nope"], "no such table"), (["start", "src/other.t"], "does not capture"),
                            (["start", "src/public.quiet"], "never takes snapshots"), (["start", "sr/public.t"], "did you mean `src`"),
                            (["start", "t"], "names no table"), (["start"], "names no table")):
            code, out, err = snapshot(p, *words)
            assert code == 2 and text in out + err, f"{words}: {code} {out} {err}"
        code, out, err = p.verb("snapshot", "start", "src/public.t", "--dry-run")
        assert code == 0 and "Dry run" in out, out + err
        code, out, err = p.verb("snapshot", "start", "src/public.t", "--no-input")
        assert code != 0, "nobody said yes"
        code, out, err = p.verb("snapshot", "status")
        assert code == 0 and "No snapshot is under way" in out, out + err
        assert len(p.events("t")) == ROWS
        assert p.stop() == 0


if __name__ == "__main__":
    tests = [beside_the_stream, in_slices, killed_in_between, asked_while_nothing_runs, refused]
    together([t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]])
    finish()
