#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet snapshot start: a table is read again while its changes are streamed, in order with them. The same
cases on PostgreSQL, MariaDB and MySQL.

$FRESHET_TEST_SNAPSHOT: which servers (default "postgres mariadb mysql"); arguments choose cases by name."""
import contextlib
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mysql  # noqa: E402
from harness import Pipeline, case, connect, eventually, finish, together  # noqa: E402

ROWS = 10000
TABLES = """
create table t(id int primary key, v int not null);
create table quiet(id int primary key);
"""
CAPTURED = """
    tables:
      "/^{space}\\\\./": {{snapshot: {{chunk: 500, parallel: 2}}}}
      {space}.quiet: {{snapshot: {{mode: never}}}}
"""


class OfPostgres(Pipeline):
    """A pipeline whose tables are in self.space."""
    SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{slot: {slot}, publication: p}}""" + CAPTURED
    FILL = f"insert into t select i, 0 from generate_series(1, {ROWS}) i"
    FAILS_AT_A_ROW = "1 / (id - 5000) < 2"
    space = "public"

    def __init__(self):
        super().__init__(self.SOURCE, target=False)
        self.sql(TABLES + "create publication p for table t, quiet")
        self.sql(self.FILL)

    def values(self):
        return dict(super().values(), space=self.space)

    def connect(self):
        return connect(self.source)


class OfMysql(mysql.MyPipeline):
    SOURCE = """
sources:
  src:
    type: {type}
    dsn: {source}
    password: {password}
    prefix: {id}""" + CAPTURED
    FAILS_AT_A_ROW = "exp(id) > 0"

    def __init__(self, server):
        super().__init__(self.SOURCE, server)
        self.sql(TABLES)
        self.sql("insert into t values " + ", ".join(f"({i}, 0)" for i in range(1, ROWS + 1)))

    @property
    def space(self):
        return self.id

    def values(self):
        return dict(super().values(), space=self.space)

    def connect(self):
        return mysql.connect(self.root, database=self.id)


def table(p, name="t"):
    """What a command calls it."""
    return f"src/{p.space}.{name}"


@contextlib.contextmanager
def streaming(server, name, failpoint=None):
    """A case with a daemon that has taken its snapshot and follows the log."""
    p = OfPostgres() if server == "postgres" else OfMysql(server)
    with case(f"{name}.{server}", p):
        p.start(failpoint)
        p.says("snapshot: done")
        p.wait_events("t", ROWS, space=p.space)
        yield p
    p.close()


def snapshot(p, *words):
    return p.verb("snapshot", *words, "--yes")


def fold(p):
    """What a reader of the topic ends up with, and how often each row was read by a snapshot."""
    rows, reads = {}, {}
    for e in p.events("t", p.space):
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
    """Updates, deletes and inserts, until told to stop. The last chunk has no end: were rows added for ever, slices
    of one piece would never be through with it."""
    MOST_INSERTS = 300

    def __init__(self, p):
        super().__init__()
        self.p, self.over, self.turns = p, threading.Event(), 0

    def run(self):
        c = self.p.connect()
        q = c.cursor()
        while not self.over.is_set():
            n = self.turns
            q.execute("update t set v = v + 1 where id = %s", (n % ROWS + 1,))
            q.execute("delete from t where id = %s", (ROWS - n % 50,))
            if n < self.MOST_INSERTS:
                q.execute("insert into t values (%s, %s)", (ROWS + 1 + n, n))
            self.turns += 1
        c.close()


def some_chunks(p):
    said = p.verb("snapshot", "status")[1]
    return "running" in said and "chunk 0/" not in said


def again(server, name, failpoint=None, kill=False):
    with streaming(server, name, failpoint) as p:
        w = Writer(p)
        w.start()
        try:
            eventually("some writes", lambda: w.turns > 50)
            code, out, err = snapshot(p, "start", table(p))
            assert code == 0 and "a new snapshot begins" in out, out + err
            if kill:
                eventually("some chunks", lambda: some_chunks(p), 30, 0.01)
                p.kill()
                p.start(failpoint)
            eventually("the end of the second snapshot", lambda: p.log(True).count("snapshot: done") > (not kill), 60)
        finally:
            w.over.set()
            w.join()
        if failpoint:
            views = p.log().count("snapshot: 1 tables") - 1  # the first snapshot has one, before the stream
            assert views > 2, f"{views} views: the slices were not used"
            said = [line[line.index("msg="):] for line in p.log(True).splitlines() if "(kafka.topic." in line]
            assert said and len(said) == len(set(said)), f"said again in each slice: {said}"
        want = dict(p.sql("select id, v from t"))
        eventually("the topic says what the table says", lambda: fold(p)[0] == want, 60, 0.5)
        rows, reads = fold(p)
        twice = [i for i in range(1, ROWS - 49) if reads.get(i) != 2]
        assert not twice, f"{len(twice)} rows were not read once more, as {twice[:5]}"
        assert p.stop() == 0
        code, out, err = p.verb("snapshot", "status", table(p))
        assert code == 0 and "done" in out, out + err


def beside_the_stream(server):
    again(server, "snapshot_again")


def in_slices(server):
    again(server, "snapshot_again_in_slices", "capture_short_slices:off:*")


def killed_in_between(server):
    again(server, "snapshot_again_killed", "capture_short_slices:off:*", kill=True)


def asked_while_nothing_runs(server):
    with streaming(server, "snapshot_again_later") as p:
        assert p.stop() == 0
        code, out, err = snapshot(p, "start", table(p))
        assert code == 0 and "the next run" in out, out + err
        code, out, err = p.verb("snapshot", "status", table(p))
        assert "has not begun" in out, out + err
        p.start()
        p.wait_events("t", 2 * ROWS, space=p.space)
        p.says("snapshot: done")
        assert p.stop() == 0
        assert set(fold(p)[1].values()) == {2}


def refused(server):
    with streaming(server, "snapshot_again_refused") as p:
        for words, text in ((["start", table(p, "nope")], "no such table"), (["start", "src/other.t"], "does not capture"),
                            (["start", table(p, "quiet")], "never takes snapshots"), (["start", table(p)[:2] + table(p)[3:]], "did you mean `src`"),
                            (["start", "t"], "names no table"), (["start"], "names no table")):
            code, out, err = snapshot(p, *words)
            assert code == 2 and text in out + err, f"{words}: {code} {out} {err}"
        code, out, err = p.verb("snapshot", "start", table(p), "--dry-run")
        assert code == 0 and "Dry run" in out, out + err
        code, out, err = p.verb("snapshot", "start", table(p), "--no-input")
        assert code != 0, "nobody said yes"
        code, out, err = p.verb("snapshot", "status")
        assert code == 0 and "No snapshot is under way" in out, out + err
        # One that hangs runs: it is not taken for none, which would take its source away.
        p.daemon.send_signal(signal.SIGSTOP)
        code, out, err = snapshot(p, "start", table(p))
        p.daemon.send_signal(signal.SIGCONT)
        assert code == 3 and "http.no_answer" in err, f"{code}: {out} {err}"
        assert len(p.events("t", p.space)) == ROWS
        assert p.stop() == 0


def read_again(p, ids, turns=1):
    """Exactly these rows were read `turns` times more than once."""
    reads = fold(p)[1]
    more = {i for i, n in reads.items() if n == 1 + turns}
    wrong = [i for i, n in reads.items() if n not in (1, 1 + turns)]
    assert not wrong, f"rows were read {[reads[i] for i in wrong[:5]]} times"
    assert more == ids, f"{len(more - ids)} rows too many were read, {len(ids - more)} not"


BOTH_ENDS = {i for i in range(1, ROWS + 1) if i <= 700 or i > ROWS - 700}
CONDITION = f"id <= 700 or id > {ROWS - 700} -- both ends"     # as if nothing stood around it


def with_condition(server):
    with streaming(server, "snapshot_where") as p:
        code, out, err = snapshot(p, "start", table(p), "--where", CONDITION)
        assert code == 0 and "a new snapshot begins" in out, out + err
        eventually("the end of the second snapshot", lambda: p.log(True).count("snapshot: done") > 1, 60)
        code, out, err = p.verb("snapshot", "status", table(p))
        assert "done" in out and "id <= 700" in out, out + err
        read_again(p, BOTH_ENDS)
        assert p.stop() == 0
        # Without a daemon: looked at, kept, and taken by the next run.
        code, out, err = snapshot(p, "start", table(p), "--where", "nope > 1")
        assert code == 2 and "nope" in out + err, f"{code}: {out} {err}"
        code, out, err = snapshot(p, "start", table(p), "--where", CONDITION)
        assert code == 0 and "the next run" in out, out + err
        code, out, err = snapshot(p, "start", table(p), "--where", "id = 1")
        assert code == 3 and "not through" in out + err, f"{code}: {out} {err}"
        p.start()
        p.says("snapshot: done")
        read_again(p, BOTH_ENDS, 2)
        assert p.stop() == 0
        assert "id <= 700" not in p.log(), "a condition may hold values of rows"


def with_condition_killed(server):
    with streaming(server, "snapshot_where_killed", "capture_short_slices:off:*") as p:
        code, out, err = snapshot(p, "start", table(p), "--where", f"id > {ROWS // 2}")
        assert code == 0, out + err
        eventually("some chunks", lambda: some_chunks(p), 30, 0.01)
        p.kill()
        p.start("capture_short_slices:off:*")
        p.says("stream from")
        eventually("the end of the second snapshot", lambda: "done" in p.verb("snapshot", "status", table(p))[1], 60)
        assert p.stop() == 0
        reads = fold(p)[1]
        wanted = [i for i in range(ROWS // 2 + 1, ROWS + 1) if reads[i] < 2]
        others = [i for i in range(1, ROWS // 2 + 1) if reads[i] != 1]
        assert not wanted and not others, f"{len(wanted)} rows were not read, {len(others)} that do not fit were"


def wrong_conditions(server):
    with streaming(server, "snapshot_where_refused") as p:
        for where, text in (("nope > 1", "nope"), ("id = 1) or (id = 2", "yntax"), ("true; drop table quiet", ""),
                            ("id = 1 THEN 1 END FROM t --", ""), ("id =", "yntax"), ("count(*) > 1", ""), ("", "empty"),
                            ("id = 1 /* open", ""), ("'" + 5000 * "x" + "' = 'y'", "4096")):
            code, out, err = snapshot(p, "start", table(p), "--where", where)
            assert code == 2 and text in out + err, f"{where[:40]}: {code} {out} {err}"
            assert "hint" in err or "WHERE" in err or "leave it out" in err, f"{where[:40]}: no remedy: {err}"
        p.sql("insert into t values (0, 0)")
        p.wait_events("t", ROWS + 1, space=p.space)
        assert len(p.sql("select * from quiet")) == 0
        assert len(p.events("t", p.space)) == ROWS + 1, "something was read"
        assert p.stop() == 0


def condition_that_fails_later(server):
    """Only the rows can show it: the source stops, says how to go on, and its position stays."""
    with streaming(server, "snapshot_where_fails") as p:
        code, out, err = snapshot(p, "start", table(p), "--where", p.FAILS_AT_A_ROW)
        assert code == 0, out + err
        p.refused(7, f"freshet snapshot cancel {table(p)}")
        p.sql("insert into t values (0, 5)")
        code, out, err = snapshot(p, "cancel", table(p))
        assert code == 0, out + err
        p.start()
        eventually("the change", lambda: fold(p)[0].get(0) == 5)
        assert p.stop() == 0


@contextlib.contextmanager
def slow(server, name, before):
    """A daemon in the middle of a snapshot that takes 20 s; before: the first one was taken before."""
    p = OfPostgres() if server == "postgres" else OfMysql(server)
    with case(f"{name}.{server}", p):
        if before:
            p.start()
            p.says("snapshot: done")
            assert p.stop() == 0
        p.write(p.SOURCE + f"    throttle: {{{{rows_per_second: {ROWS // 20}}}}}\n")
        p.start()
        if before:
            p.says("stream from")
            code, out, err = snapshot(p, "start", table(p))
            assert code == 0, out + err
        eventually("some chunks", lambda: "running" in p.verb("snapshot", "status")[1], 30, 0.2)
        yield p
    p.close()


def is_over(p, before):
    """Its changes go on, and nothing more is read: neither now nor after a start without the throttle."""
    def at_rest():
        p.sql("insert into t values (%s, 0)" % at_rest.key)
        eventually("the change", lambda: at_rest.key in fold(p)[0])
        at_rest.key += 1
        return sum(fold(p)[1].values())
    at_rest.key = 2 * ROWS
    reads = at_rest()
    most = ROWS * (1 + before)
    assert reads < most, f"all {most} rows were read"
    code, out, err = p.verb("snapshot", "status", table(p))
    assert "cancelled" in out, out + err
    code, out, err = snapshot(p, "cancel", table(p))
    assert code == 2 and "no snapshot of it is under way" in out + err, out + err
    p.kill()
    p.write(p.SOURCE)
    p.start()
    assert at_rest() == reads, "it went on"
    code, out, err = snapshot(p, "start", table(p))
    assert code == 0, out + err
    eventually("the whole table", lambda: sum(fold(p)[1].values()) == reads + ROWS + 2, 60)
    assert p.stop() == 0


def cancelled(server):
    with slow(server, "snapshot_cancelled", True) as p:
        code, out, err = snapshot(p, "cancel", table(p))
        assert code == 0 and "dropped" in out, out + err
        is_over(p, True)


def first_one_cancelled(server):
    with slow(server, "snapshot_cancelled_first", False) as p:
        code, out, err = snapshot(p, "cancel", table(p))
        assert code == 0 and "dropped" in out, out + err
        is_over(p, False)


def cancelled_while_nothing_runs(server):
    with slow(server, "snapshot_cancelled_later", True) as p:
        p.kill()
        code, out, err = snapshot(p, "cancel", table(p))
        assert code == 0 and "No freshet runs" in out, out + err
        p.start()
        p.says("stream from")
        is_over(p, True)


def servers():
    for server in os.environ.get("FRESHET_TEST_SNAPSHOT", "postgres mariadb mysql").split():
        there, why = (True, "") if server == "postgres" else mysql.add_server(server)
        if there:
            yield server
        else:
            print(f"skip snapshot.{server}: {why}", flush=True)


if __name__ == "__main__":
    tests = [beside_the_stream, in_slices, killed_in_between, asked_while_nothing_runs, refused, with_condition,
             with_condition_killed, wrong_conditions, condition_that_fails_later, cancelled, first_one_cancelled, cancelled_while_nothing_runs]
    tests = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    together([lambda t=t, s=s: t(s) for s in servers() for t in tests])
    finish()
