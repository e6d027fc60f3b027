#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""method query: a table is asked what is new, and no row that was ever committed is missed."""
import contextlib
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, connect, eventually, finish, together  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    tables:
"""
SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: run
    write: {{every: 50ms}}
"""
BY_TIME = "      public.t: {{method: query, poll: {{column: at, every: 100ms}}}}\n"
BY_NUMBER = "      public.t: {{method: query, poll: {{column: id, every: 100ms}}}}\n"
TABLE = ("create table t(id int primary key, at timestamptz not null default now(), v text, gone bool not null default false);"
         "create index on t(at, id);")
# Rows per run; 50 writers.
ROWS = int(os.environ.get("FRESHET_TEST_POLL_ROWS", "3000"))


@contextlib.contextmanager
def pipeline(name, tables, sql=TABLE, sink=""):
    p = Pipeline(SOURCE + tables + sink, target=bool(sink))
    with case(name, p):
        p.sql(sql)
        yield p
    p.close()


def after(e):
    return e["after"]


def ids(p):
    return [e["after"]["id"] for e in p.events("t") if e and e["after"]]


def way_through():
    with pipeline("poll_way_through", BY_TIME.replace("100ms", "100ms, deletes: soft-column, delete_column: gone"), sink=SINK) as p:
        p.sql("insert into t select i, now() - interval '1 hour', 'r' || i from generate_series(1, 12000) i")
        p.start()
        p.wait_events("t", 12000)

        def same():
            try:
                got = p.sql("select id, v from t order by id", on=p.target)
            except Exception:
                return False
            return got == p.sql("select id, v from t where not gone order by id")
        eventually("the target has the rows", same)
        p.sql("update t set v = 'new', at = now() where id = 7; insert into t values (20000, now(), 'x');"
              "update t set gone = true, at = now() where id = 8")
        eventually("the target has the changes", same)
        events = p.wait_events("t", 12003)
        deletes = [e["before"]["id"] for e in events if e["op"] == "d"]
        assert deletes == [8] and {e["op"] for e in events} == {"r", "d"}, deletes
        stamp = p.sql("select (extract(epoch from at) * 1000000)::bigint from t where id = 7")[0][0]
        new = [e for e in events if e["after"] and e["after"]["v"] == "new"]
        assert [e["source"]["ts_us"] for e in new] == [stamp], new
        assert p.stop() == 0
        p.sql("update t set v = 'later', at = now() where id = 9")
        p.start()
        eventually("the target has what came while nothing ran", same)
        assert p.stop() == 0
        count = len([e for e in p.events("t") if e])
        assert count == 12004, f"{count} events, 12004 changes: something was sent again"


class Writers:
    """50 at once: a row each, committed late, in any order; three of ten roll back. Naive pollers look on."""

    def __init__(self, dsn, rows):
        self.dsn, self.left, self.lock = dsn, rows, threading.Lock()
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(50)]
        self.naive = {c: set() for c in ("id", "at")}
        self.over = threading.Event()
        self.pollers = [threading.Thread(target=self.poll, args=(c,)) for c in self.naive]

    def write(self, seed):
        rnd = random.Random(seed)
        c = connect(self.dsn)
        c.autocommit = False
        q = c.cursor()
        while True:
            with self.lock:
                self.left -= 1
                if self.left < 0:
                    break
            q.execute("insert into t(id, v) values (nextval('s'), %s)", (str(seed),))
            time.sleep(rnd.random() * (2 if rnd.random() < 0.02 else 0.05))
            (c.rollback if rnd.random() < 0.3 else c.commit)()
        c.close()

    def poll(self, column):
        """What everybody writes first: what is above the highest one seen."""
        c = connect(self.dsn)
        q = c.cursor()
        last = None
        while not self.over.is_set():
            q.execute(f"select id, {column} from t where %s is null or {column} > %s", (last, last))
            for number, value in q.fetchall():
                self.naive[column].add(number)
                last = value if last is None or value > last else last
            time.sleep(0.05)
        c.close()

    def __enter__(self):
        for t in self.threads + self.pollers:
            t.start()
        return self

    def __exit__(self, *_):
        for t in self.threads:
            t.join()
        time.sleep(0.2)
        self.over.set()
        for t in self.pollers:
            t.join()


def late(name, tables, kills):
    sql = TABLE + "create sequence s;"
    with pipeline(name, tables, sql) as p:
        p.start()
        with Writers(p.source, ROWS) as w:
            while kills and any(t.is_alive() for t in w.threads):
                time.sleep(0.5)
                p.kill()
                p.start()
        want = {r[0] for r in p.sql("select id from t")}
        got = []
        def all_there():
            got[:] = ids(p)
            return want <= set(got)
        eventually(f"all of {len(want)} rows", all_there, 60, 0.5)
        assert set(got) == want, f"{len(set(got) - want)} rows that were never committed"
        assert len(got) == len(want), f"{len(got) - len(want)} rows came twice"
        assert p.stop() == 0
        missed = {c: len(want - seen) for c, seen in w.naive.items()}
        print(f"   {name}: {len(want)} rows, missed 0; the naive ones missed {missed}")
        assert all(missed.values()), f"the naive pollers missed nothing: {missed}, so this run proves nothing"


def late_by_time():
    late("poll_late_commits_by_time", BY_TIME, False)


def late_by_number():
    late("poll_late_commits_by_number", BY_NUMBER, False)


def killed_by_time():
    late("poll_killed_by_time", BY_TIME, True)


def killed_by_number():
    late("poll_killed_by_number", BY_NUMBER, True)


if __name__ == "__main__":
    tests = [way_through, late_by_time, late_by_number, killed_by_time, killed_by_number]
    together([t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]], 1 if sys.argv[1:] else 2)
    finish()
