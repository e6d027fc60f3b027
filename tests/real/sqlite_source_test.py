#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""A SQLite file as a source: what is promised in docs/sources/sqlite.md. No server is needed for it; the writers
are threads and processes of this test."""
import contextlib
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import case, eventually, finish, together  # noqa: E402
from sqlite import SQ_SOURCE, SqlitePipeline, connect  # noqa: E402

ROWS = int(os.environ.get("FRESHET_TEST_POLL_ROWS", "600"))
TABLE = ("create table t(id integer primary key autoincrement, at timestamp not null default current_timestamp, v text);"
         "create index t_at on t(at, id);"
         "create table r(id integer primary key, v text);")
BY_TIME = "      main.t: {{method: query, poll: {{column: at, every: 100ms}}}}\n"
BY_NUMBER = "      main.t: {{method: query, poll: {{column: id, every: 100ms}}}}\n"


@contextlib.contextmanager
def pipeline(name, tables, sql=TABLE, mode="wal"):
    p = SqlitePipeline(tables, sql, mode)
    with case(f"sqlite_{name}", p):
        yield p
    p.close()


class Writers:
    """20 at once, of which SQLite lets one write: some stamp a time and commit late, three of ten roll back. Naive
    pollers look on: above the highest time, since the last look, and above the highest number where it is given anew."""

    def __init__(self, p):
        self.p, self.left, self.lock, self.errors = p, ROWS, threading.Lock(), []
        self.over = threading.Event()
        self.naive = {"above the highest time": set(), "since the last look": set(), "a number that comes again": set()}
        self.threads = [threading.Thread(target=self.kept, args=(self.write, i)) for i in range(20)]
        self.pollers = [threading.Thread(target=self.kept, args=(self.poll, None))]
        self.anew = set()  # what was written to r

    def kept(self, what, of):
        try:
            what(of)
        except Exception as e:  # noqa: BLE001 the case fails by it, when all have ended
            self.errors.append(e)

    def write(self, seed):
        rnd = random.Random(seed)
        c = connect(self.p.source)
        while True:
            with self.lock:
                self.left -= 1
                number = self.left
            if number < 0:
                break
            c.execute("begin immediate")
            c.execute("insert into t(v) values (?)", (str(seed),))
            c.execute("delete from r where id = (select max(id) from r)")
            c.execute("insert into r(v) values (?)", (str(number),))
            time.sleep(rnd.random() * (1 if rnd.random() < 0.005 else 0.01))
            back = rnd.random() < 0.3
            c.execute("rollback" if back else "commit")
            if not back:
                self.anew.add(str(number))
        c.close()

    def poll(self, _):
        c = connect(self.p.source)
        last = since = ""
        number = 0
        while not self.over.is_set():
            now = c.execute("select current_timestamp").fetchone()[0]
            for i, at in c.execute("select id, at from t where at > ?", (last,)).fetchall():
                self.naive["above the highest time"].add(i)
                last = max(at, last)
            for (i,) in c.execute("select id from t where at > ? and at <= ?", (since, now)).fetchall():
                self.naive["since the last look"].add(i)
            since = now
            for i, v in c.execute("select id, v from r where id > ?", (number,)).fetchall():
                self.naive["a number that comes again"].add(v)
                number = max(i, number)
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
        assert not self.errors, f"{len(self.errors)} writers or pollers failed, as with {self.errors[0]!r}"


def late(name, tables, kills, mode="wal"):
    with pipeline(name, tables, mode=mode) as p:
        p.start()
        with Writers(p) as w:
            while kills and any(t.is_alive() for t in w.threads):
                time.sleep(0.5)
                p.kill()
                p.start()
        want = {r[0] for r in p.sql("select id from t")}
        got = []

        def all_there():
            got[:] = [e["after"]["id"] for e in p.events("t", "main")]
            return want <= set(got)
        eventually(f"all of {len(want)} rows", all_there, 60, 0.3)
        assert set(got) == want, f"{len(set(got) - want)} rows that were never committed"
        assert len(got) == len(want), f"{len(got) - len(want)} rows came twice"
        assert p.stop() == 0
        missed = {k: len((w.anew if "number" in k else want) - seen) for k, seen in w.naive.items()}
        print(f"   {name}: {len(want)} rows, missed 0; the naive ones missed {missed}")
        assert all(missed.values()), f"the naive pollers missed nothing: {missed}, so this run proves nothing"


def late_by_time():
    late("late_by_time", BY_TIME, False)


def killed_by_time():
    late("killed_by_time", BY_TIME, True)


def killed_by_number():
    late("killed_by_number", BY_NUMBER, True)


def rollback_mode():
    late("rollback_mode", BY_TIME, False, "delete")


WRITER = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
c.execute("begin immediate")
c.execute("insert into t(v) values ('late')")
print("stamped", flush=True)
sys.stdin.readline()
c.execute("commit")
"""


def open_transaction(mode):
    """A second process stamps a time and waits: nothing that is later is final before it ends, and it is named."""
    sql = TABLE + "create table u(id text primary key, at text not null default (strftime('%Y-%m-%d %H:%M:%f', 'now')));"
    with pipeline(f"open_transaction_{mode}", BY_TIME, sql, mode) as p:
        p.sql("insert into t(v) values ('first')")
        p.start()
        p.wait_events("t", 1, "main")
        w = subprocess.Popen([sys.executable, "-c", WRITER, p.source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert w.stdout.readline() == "stamped\n"
        c = connect(p.source)
        naive = {r[0] for r in c.execute("select v from t where at <= current_timestamp")}
        c.close()

        def waits():
            poll = p.answer("status")["sources"][0]["tables"][0].get("poll") or {}
            return f"pid {w.pid}" in str(poll)
        p.answer = lambda *words: __import__("json").loads(p.verb(*words, "--json")[1])
        eventually("who holds the bound is named", lambda: f"pid {w.pid}" in p.verb("status", "--json")[1], 40, 0.3)
        assert [e["after"]["v"] for e in p.events("t", "main")] == ["first"]
        w.stdin.write("\n")
        w.stdin.close()
        assert w.wait(60) == 0
        assert [e["after"]["v"] for e in p.wait_events("t", 2, "main")] == ["first", "late"]
        assert "late" not in naive, "a poller that looks once per time would have seen it: this proves nothing"
        assert p.stop() == 0


def open_in_wal():
    open_transaction("wal")


def open_in_rollback_mode():
    open_transaction("delete")


TESTS = [late_by_time, killed_by_time, killed_by_number, rollback_mode, open_in_wal, open_in_rollback_mode]

if __name__ == "__main__":
    together([t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]], 3)
    finish()
