#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""A SQLite file as a source: what is promised in docs/sources/sqlite.md. No server is needed for it; the writers
are threads and processes of this test."""
import contextlib
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FRESHET, case, eventually, finish, together  # noqa: E402
from poll_case import AtOnce  # noqa: E402
from sqlite import SQ_SOURCE, SqlitePipeline, connect  # noqa: E402

ROWS = int(os.environ.get("FRESHET_TEST_POLL_ROWS", "400"))
# By time the order of equal times is that of k, which has nothing to do with that of the commits.
TABLE = ("create table t(id integer primary key autoincrement, at timestamp not null default current_timestamp, v text,"
         " k text not null default (hex(randomblob(8))));"
         "create index t_at on t(at, id);"
         "create table r(id integer primary key, v text);")
BY_TIME = "      main.t: {{method: query, key: [k], poll: {{column: at, every: 100ms}}}}\n"
BY_NUMBER = "      main.t: {{method: query, poll: {{column: id, every: 100ms}}}}\n"


@contextlib.contextmanager
def pipeline(name, tables, sql=TABLE, mode="wal"):
    p = SqlitePipeline(tables, sql, mode)
    with case(f"sqlite_{name}", p):
        yield p
    p.close()


class Writers(AtOnce):
    """20 at once, of which SQLite lets one write: some stamp a time and commit late, three of ten roll back. Naive
    pollers look on: above the highest time, since the last look, and above the highest number where it is given anew."""

    def __init__(self, p):
        self.p, self.anew = p, set()  # what was written to r
        self.naive = {"above the highest time": set(), "since the last look": set(), "a number that comes again": set()}
        super().__init__(ROWS, 20, [None])

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


def killed_by_time():
    late("killed_by_time", BY_TIME, True)


def killed_by_number():
    late("killed_by_number", BY_NUMBER, True)


def rollback_mode():
    late("rollback_mode", BY_TIME, False, "delete")


# A row, and one of the same second that sorts before it, whose transaction stays open.
WRITER = """
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
while True:
    time.sleep(1.05 - time.time() % 1)
    c.execute("delete from t where v = 'first'")
    c.execute("insert into t(v, k) values ('first', 'm')")
    c.execute("begin immediate")
    c.execute("insert into t(v, k) values ('late', 'a')")
    if c.execute("select count(distinct at) from t where v in ('first', 'late')").fetchone() == (1,):
        break
    c.execute("rollback")
print("stamped", flush=True)
sys.stdin.readline()
c.execute("commit")
"""


def open_transaction(mode):
    """A second process stamps a time and waits: nothing of its second is final before it ends, and it is named."""
    with pipeline(f"open_transaction_{mode}", BY_TIME, mode=mode) as p:
        p.start()
        p.says("polls 1 table")
        w = subprocess.Popen([sys.executable, "-c", WRITER, p.source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert w.stdout.readline() == "stamped\n"
        eventually("who holds the bound is named", lambda: f"pid {w.pid}" in p.verb("status", "--json")[1], 40, 0.3)
        c = connect(p.source)
        naive = "select at, k, v from t where (at, k) > (?, ?) and at < datetime('now', '-2 seconds') order by at, k"
        seen = eventually("a poller that keeps away two seconds", lambda: c.execute(naive, ("", "")).fetchall(), 40, 0.1)
        assert [r[2] for r in seen] == ["first"], seen
        assert p.events("t", "main") == [], "published what another row of the same second can still come before"
        w.stdin.write("\n")
        w.stdin.close()
        assert w.wait(60) == 0
        assert sorted(e["after"]["v"] for e in p.wait_events("t", 2, "main")) == ["first", "late"]
        assert c.execute(naive, seen[-1][:2]).fetchall() == [], "the naive poller sees it: this proves nothing"
        c.close()
        assert p.stop() == 0


def open_in_wal():
    open_transaction("wal")


def open_in_rollback_mode():
    open_transaction("delete")



def compared():
    """Deletes by comparison, and a table that is read whole; only what changed comes again."""
    compacted = "kafka:\n  brokers: [{bootstrap}]\n  topics: {{create: run, partitions: 3, config: {{cleanup.policy: compact}}}}\n"
    from harness import CONFIG
    base = CONFIG.replace("kafka:\n  brokers: [{bootstrap}]\n  topics: {{create: run, partitions: 3}}\n", compacted)
    assert base != CONFIG
    sql = ("create table f(id integer primary key autoincrement, at timestamp default current_timestamp, v text, must int not null default 7);"
           "create table s(k text, n int not null, d decimal(8,2), primary key (k, n)) without rowid;")
    tables = ("      main.f: {{method: query, poll: {{column: id, every: 200ms, deletes: full-compare, compare_every: 2s}}}}\n"
              "      main.s: {{method: snapshot, poll: {{every: 1s}}}}\n")
    with pipeline("compared", "", sql) as p:
        p.write(SQ_SOURCE + tables, base)
        p.sql("insert into f(v) values ('a'), ('b'), ('c')")
        p.sql("insert into s values ('x', 1, 12.5), ('x''\u00e9\"', 2, '3.10'), ('', 3, 100)")
        p.start()
        p.wait_events("f", 3, "main")
        assert sorted(str(e["after"]["d"]) for e in p.wait_events("s", 3, "main")) == ["100.00", "12.50", "3.10"]
        p.sql("delete from f where v = 'b'")
        p.sql("delete from s where n = 3; update s set d = 7 where n = 1;")
        gone = [e for e in p.wait_events("f", 4, "main") if e["op"] == "d"]
        assert [e["before"]["id"] for e in gone] == [2], gone
        got = [(e["op"], (e["after"] or e["before"])["n"]) for e in p.wait_events("s", 5, "main")]
        assert sorted(got) == [("d", 3), ("r", 1), ("r", 1), ("r", 2), ("r", 3)], got
        assert p.stop() == 0


def outbox():
    """Emptied while writers go on and freshet is killed: each event once, in order per key, and the table is empty."""
    tables = ("      main.outbox: {{method: outbox, outbox: {{id: id, payload: payload, key: aggregate}}, poll: {{every: 50ms, batch: 40}}}}\n")
    sql = "create table outbox(id integer primary key, aggregate text not null, payload blob);"
    with pipeline("outbox", tables, sql) as p:
        code, out, err = p.verb("plan")
        assert code == 0, out + err
        p.start()
        rnd, c = random.Random(1), connect(p.source)
        for n in range(400):
            c.execute("begin immediate")
            c.execute("insert into outbox(aggregate, payload) values (?, ?)", (f"a{n % 3}", b"%d" % n))
            c.execute("commit" if rnd.random() < 0.8 else "rollback")
            if n % 130 == 100:
                p.kill()
                p.start()
        eventually("it is empty", lambda: c.execute("select count(*) from outbox").fetchone()[0] == 0, 60, 0.2)
        c.close()
        assert p.stop() == 0
        got = [(m.key(), int(m.value())) for m in p.messages("outbox", "main")]
        rnd = random.Random(1)
        want = [n for n in range(400) if rnd.random() < 0.8]
        assert sorted(n for _, n in got) == want, f"{len(got)} events of {len(want)}"
        for key in (b"a0", b"a1", b"a2"):
            mine = [n for k, n in got if k == key]
            assert mine == sorted(mine), f"{key}: out of order"


def values():
    """Names and values that hurt; a bad row is named, and set aside where that is asked for."""
    name = "o'r\"d;er--s"
    sql = ('create table "o\'r""d;er--s"(id integer primary key autoincrement, i bigint, b boolean, f double, d numeric(20,4),'
           ' n numeric, t varchar(9), x blob, j json, u uuid, day date, clock time, dt datetime, ts timestamp,'
           ' ms integer, jd real, any_ , skipped money, g int generated always as (id + 1) virtual);'
           'create view v as select id, id * 2 as twice, t from "o\'r""d;er--s";'
           'create table bad(id integer primary key autoincrement, i int, b bool, f real, d decimal(4,1), t text, x blob, ts timestamp);')
    types = "ms: unix-millis, jd: julian-day, any_: string"
    tables = ("      'main." + name.replace("'", "''") + "': {{method: query, topic: '{id}.main.named', schema: {{name: named}}, columns: {{types: {{" + types + "}}, exclude: [skipped]}}, poll: {{column: id, every: 100ms}}}}\n"
              "      main.v: {{method: query, key: [id], columns: {{types: {{twice: long}}}}, poll: {{column: id, every: 100ms}}}}\n"
              "      main.bad: {{method: query, errors: {{mode: dlq}}, poll: {{column: id, every: 100ms}}}}\n")
    row = (9223372036854775807, 1, 0.1, 12.5, 1234567.25, "a\0\u00e9", b"\0\xff", '{"a": 1}', "7b0c5a1e-2f7d-4c55-9d3e-0a9f5d6c1b22",
           "2026-02-28", "23:59:59.5", "2026-11-27 06:50:10", "2026-11-27T06:50:10.25+02:00", 1795762210123, 2461371.5, 5, 7)
    with pipeline("values", tables, sql) as p:
        c = connect(p.source)
        columns = "i, b, f, d, n, t, x, j, u, day, clock, dt, ts, ms, jd, any_, skipped"
        quoted = '"o\'r""d;er--s"'
        c.execute(f"insert into {quoted}({columns}) values ({', '.join('?' * len(row))})", row)
        c.execute(f"insert into {quoted}(i) values (1)")
        p.start()
        one, two = [e["after"] for e in sorted(p.wait_events("named", 2, "main"), key=lambda e: e["after"]["id"])]
        assert (one["i"], one["b"], one["f"], str(one["d"]), one["n"]) == (row[0], True, 0.1, "12.5000", "1234567.25"), one
        assert (one["t"], one["x"], one["j"], str(one["u"]), str(one["day"])) == (row[5], row[6], row[7], row[8], row[9]), one
        assert str(one["clock"]).startswith("23:59:59.5") and str(one["dt"]).startswith("2026-11-27 06:50:10"), one
        assert one["ts"].isoformat() == "2026-11-27T04:50:10.250000+00:00", one["ts"]
        assert int(one["ms"].timestamp() * 1000) == row[13] and one["jd"].isoformat() == "2026-11-27T00:00:00+00:00", one
        assert one["any_"] == "5" and "skipped" not in one and (one["g"], two["g"]) == (2, 3), (one, two)
        assert sorted(e["after"]["twice"] for e in p.wait_events("v", 2, "main") if e["after"]["id"] == 2) == [4]
        wrong = [("i", "'abc'"), ("i", "1.5"), ("b", "2"), ("f", "'x'"), ("d", "1.25"), ("d", "12345"), ("t", "cast(x'ff' as text)"),
                 ("x", "'text'"), ("ts", "'2026-02-30 00:00:00'"), ("ts", "5"), ("ts", "'2026-11-27'")]
        for column, value in wrong:
            c.execute(f"insert into bad({column}) values ({value})")
        c.execute("insert into bad(i, b, f, d, t, x, ts) values (1, 0, 2, 0.1, '', x'', '2026-11-27 06:50')")
        c.close()
        good = p.wait_events("bad", 1, "main")
        assert [e["after"]["id"] for e in good] == [len(wrong) + 1], good
        from harness import read_topics
        dead = eventually("the bad rows", lambda: [m for m in read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])] or None)
        dead = eventually("all bad rows", lambda: (lambda d: d if len(d) >= len(wrong) else None)(read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])))
        said = " ".join(str(m.headers()) for m in dead)
        for text in ("main.bad column i", "storage class TEXT", "storage class REAL", "neither 0 nor 1", "no UTF-8", "no time"):
            assert text in said, f"{text}: {said}"
        assert p.stop() == 0


def forms_of_time():
    """Python's times leave out a fraction of zero; a column that is empty at first; times as numbers; an odd one."""
    sql = ("create table p(id text primary key, at datetime not null); create index p_at on p(at);"
           "create table e(id text primary key, at timestamp not null);"
           "create table m(id text primary key, at integer not null);"
           "create table j(id text primary key, at real not null default (julianday('now')));")
    tables = "".join("      main.%s: {{method: query, %spoll: {{column: at, every: 50ms, batch: 3%s}}}}\n" % x for x in (
        ("p", "", ", timezone: UTC"), ("e", "", ""), ("m", "columns: {{types: {{at: unix-millis}}}}, ", ""),
        ("j", "columns: {{types: {{at: julian-day}}}}, ", "")))
    with pipeline("forms_of_time", tables, sql) as p:
        c = connect(p.source)
        for i in range(40):  # ties of whole seconds among others
            c.execute("insert into p values (?, ?)", (f"p{i}", f"2026-11-2{i % 3} 06:50:10" + (".5" * (i % 2 == 0) and ".500000")))
            c.execute("insert into m values (?, ?)", (f"m{i}", 1795762210000 + i // 5))
            c.execute("insert into j(id) values (?)", (f"j{i}",))
        p.start()
        for table in "pmj":
            got = [e["after"]["id"] for e in p.wait_events(table, 40, "main")]
            assert len(got) == len(set(got)) == 40, f"{table}: {len(got)} events of {len(set(got))} rows"
        for i in range(10):
            c.execute("insert into e values (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", (f"e{i}",))
        got = [e["after"]["id"] for e in p.wait_events("e", 10, "main")]
        assert len(got) == len(set(got)) == 10
        c.execute("alter table e add column more int")
        c.execute("insert into e values ('new', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 7)")
        assert [e["after"]["more"] for e in p.wait_events("e", 11, "main") if e["after"]["id"] == "new"] == [7]
        c.execute("insert into e values ('odd', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 7)")
        p.says("main.e is held, the others go on", "a time in another form than")
        c.execute("insert into p values ('late', '2026-11-23 06:50:10')")
        p.wait_events("p", 41, "main")
        assert p.stop() == 0
        p.start()
        p.says("main.e is held, the others go on", "a time in another form than", "main.e column at: 20")
        c.execute("delete from e where id = 'odd'")
        assert p.stop() == 0
        c.execute("insert into e values ('then', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 7)")
        p.start()
        p.wait_events("e", 12, "main")
        c.close()


def refused():
    sql = (TABLE + "create table n(id integer primary key, v text); create table x(id integer primary key autoincrement, what);"
           "create virtual table ft using fts5(v);")
    with pipeline("refused", BY_TIME, sql) as p:
        def says(code, tables, *texts, source=SQ_SOURCE):
            p.write(source + tables)
            p.start()
            p.ends_or_holds(code, *texts)
        said = "      main.%s: {{method: query, poll: {{column: %s}}}}\n"
        says(2, said % ("n", "id"), "may be given to the next one", "AUTOINCREMENT", "append_only")
        says(2, said % ("nope", "id"), "there is no table or view main.nope")
        says(2, said % ("T", "id"), "write it as the schema does, main.t")
        says(2, "      public.t: {{method: query, poll: {{column: id}}}}\n", "tables of a SQLite file are main.NAME")
        says(2, said % ("x", "id"), "column what has no declared type", "columns.types: {{what: string}}".replace("{{", "{").replace("}}", "}"))
        says(2, said % ("ft", "v"), "is a virtual table")
        says(2, "      main.t: {{}}\n", "a source of type sqlite has no log")
        says(2, "      main.t: {{method: query, snapshot: {{where: nope = 1}}, poll: {{column: id}}}}\n", "no such column: nope", "correct snapshot.where")
        broken = os.path.join(p.folder, "broken.db")
        with open(broken, "wb") as f:
            f.write(b"no database at all, but long enough to look like one" * 100)
        other = SQ_SOURCE.replace("{source}", broken)
        says(2, said % ("t", "id"), "file is not a database", "encrypted", source=other)
        code, out, err = p.verb("plan")
        assert code != 0 and "file is not a database" in out + err, out + err
        missing = SQ_SOURCE.replace("{source}", broken + "x")
        p.write(missing + said % ("t", "id"))
        code, out, err = p.verb("plan")
        assert code != 0 and "No such file" in out + err and "never made" in out + err and not os.path.exists(broken + "x"), out + err
        p.write(SQ_SOURCE + BY_NUMBER)
        p.sql("insert into t(v) values ('a')")
        p.start()
        p.wait_events("t", 1, "main")
        # Another file in its place: what was read says nothing of it.
        c = connect(p.source + ".new")
        c.executescript("pragma journal_mode = delete;" + TABLE + "insert into t(v) values ('b');")
        c.close()
        os.rename(p.source + ".new", p.source)
        for more in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(p.source + more)
        p.refused(5, "another file has taken its place", "this is not the database that was polled")


def pages_of_many_batches():
    """Rollback journal, pages of several batches, and an application that commits meanwhile."""
    tables = "      main.big: {{method: query, poll: {{column: id, every: 100ms, batch: 12000}}}}\n"
    sql = "create table big(id integer primary key autoincrement, v text);"
    with pipeline("pages_of_many_batches", tables, sql, "delete") as p:
        c = connect(p.source)
        c.execute("with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)"
                  " insert into big(v) select printf('%0300d', i) from n")
        p.start()
        p.says("polls 1 table")
        for _ in range(200):
            c.execute("insert into big(v) values ('x')")
        c.close()
        got = [e["after"] for e in p.wait_events("big", 30200, "main")]
        assert sorted(r["id"] for r in got) == list(range(1, 30201))
        assert all(r["v"] == "%0300d" % r["id"] for r in got if r["id"] <= 30000)
        assert p.stop() == 0


def statement():
    """A table without a key, by its rowid; and a user who may not write the folder of a database in WAL mode."""
    sql = "create table log(what text, at timestamp not null default current_timestamp); insert into log(what) values ('a'), ('b');"
    tables = ("      main.lines:\n        method: query\n        key: [id]\n"
              "        poll: {{column: at, every: 100ms, query: 'SELECT rowid AS id, what, at FROM log'}}\n")
    with pipeline("statement", tables, sql) as p:
        p.start()
        assert sorted(e["after"]["id"] for e in p.wait_events("lines", 2, "main")) == [1, 2]
        p.sql("insert into log(what) values ('c')")
        assert sorted(e["after"]["id"] for e in p.wait_events("lines", 3, "main")) == [1, 2, 3]
        assert p.stop() == 0
        if os.geteuid() != 0:
            return
        last = connect(p.source)  # who closes it last takes -wal and -shm away
        last.execute("select * from log").fetchall()
        last.close()
        os.chmod(p.folder, 0o755)
        os.chmod(p.dir, 0o777)
        os.chmod(p.config, 0o644)

        def as_nobody(*words):
            return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", *words],
                                  capture_output=True, text=True, cwd="/", env=dict(os.environ, HOME="/nonexistent"))
        if as_nobody(FRESHET, "version").returncode != 0:  # a build in a folder that others may not enter
            return
        got = as_nobody(FRESHET, "plan", "--config", p.config)
        assert got.returncode != 0 and "sqlite.wal" in got.stdout and "right to write the folder" in got.stdout, got.stdout + got.stderr
        keeper = connect(p.source)  # the application: its -shm is there, and can be read
        keeper.execute("select * from log").fetchall()
        for more in ("-wal", "-shm"):
            os.chmod(p.source + more, 0o644)
        got = as_nobody(FRESHET, "plan", "--config", p.config)
        assert got.returncode == 0 and "belongs to another user" in got.stdout, got.stdout + got.stderr
        keeper.close()


TESTS = [killed_by_time, killed_by_number, rollback_mode, open_in_wal, open_in_rollback_mode, compared, outbox,
         values, forms_of_time, refused, statement, pages_of_many_batches]

if __name__ == "__main__":
    together([t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]], 6)
    finish()
