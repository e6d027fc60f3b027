#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""What is found by comparing a table with its topic: deletes (poll.deletes full-compare), and all changes (method
snapshot), on PostgreSQL, MariaDB and MySQL. No delete that was none, whatever is written meanwhile."""
import collections
import contextlib
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import CONFIG, PG_SOURCE, Pipeline, case, connect, eventually, finish, together  # noqa: E402
import mysql  # noqa: E402

KEYS = int(os.environ.get("FRESHET_TEST_COMPARE_KEYS", "0"))
COMPACT = CONFIG.replace("partitions: 3", "partitions: 3, config: {{cleanup.policy: compact}}")
SERVERS = ["postgres"] + os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split()


class Server:
    """A pipeline with what differs between the servers."""

    def __init__(self, server, tables, sql, base=COMPACT):
        self.pg = server == "postgres"
        self.p = Pipeline(PG_SOURCE, target=False) if self.pg else mysql.MyPipeline(mysql.MY_SOURCE, server)
        self.space = "public" if self.pg else self.p.id
        self.tables = tables.replace("SPACE", "public" if self.pg else "{id}")
        self.p.write((PG_SOURCE if self.pg else mysql.MY_SOURCE) + self.tables, base)
        if not self.pg:
            self.p.grant("process on *.*")
        self.p.sql(self.spell(sql))

    def spell(self, sql):
        if self.pg:
            return sql.replace("STAMP", "timestamptz").replace("NOW", "now()").replace("TEXT", "text").replace("BIN", 'collate "C"')
        return (sql.replace("STAMP", "timestamp(6)").replace("NOW", "current_timestamp(6)").replace("TEXT", "varchar(40)")
                .replace("BIN", "character set utf8mb4 collate utf8mb4_bin"))

    def connect(self):
        if not self.pg:
            return mysql.connect(self.p.root, database=self.p.id, autocommit=False)
        c = connect(self.p.source)
        c.autocommit = False
        return c

    def rows(self, sql):
        return [tuple(r) for r in self.p.sql(sql)]

    def history(self, table="t"):
        """Of each key, what happened to it: `+` a row, `-` its delete and tombstone."""
        keys = collections.defaultdict(str)
        was = {}
        for m in self.p.messages(table, self.space):
            key = m.key()
            if m.value() is None:
                assert was.get(key) == "d", f"{key}: a tombstone, and no delete before it"
                was[key] = None
                continue
            # before: null or not, the first byte behind the schema's id
            was[key] = "d" if m.value()[5] != 0 else "r"
            keys[key] += "-" if was[key] == "d" else "+"
        decoded = {}
        for k, v in keys.items():
            decoded[tuple(self.p.registry.decode(k).values())] = v
        return decoded


@contextlib.contextmanager
def running(name, server, tables, sql, **more):
    s = Server(server, tables, sql, **more)
    with case(f"compare_{server}_{name}", s.p):
        yield s, s.p
    s.p.close()


def check(history, deleted, present, again=()):
    """again: keys that were deleted and came again, when nobody can say who looked between."""
    false = [k for k, h in history.items() if "-" in h and k not in deleted and k not in again]
    assert not false, f"{len(false)} deletes of rows that were never deleted: {false[:5]}"
    lost = [k for k in deleted if k not in again and history.get(k, "")[-1:] == "+"]
    assert not lost, f"{len(lost)} deletes were not found: {lost[:5]}"
    twice = [k for k, h in history.items() if k not in again and (h.count("-") > 1 or h.count("+") > 1)]
    assert not twice, f"{len(twice)} keys came twice: {[(k, history[k]) for k in twice[:5]]}"
    there = {k for k, h in history.items() if h[-1] == "+"}
    assert there == present, f"{len(there - present)} too many, {len(present - there)} missing: {list(there ^ present)[:5]}"


def wait(s, deleted, present, again=(), seconds=90):
    def probe():
        try:
            check(s.history(), deleted, present(), again)
        except AssertionError as e:
            probe.why = e
            return False
        return True
    probe.why = None
    try:
        eventually("all is found", probe, seconds, 0.5)
    except AssertionError:
        raise probe.why


def exact(server):
    """The issue's proof: 1 % are deleted and 1 % inserted meanwhile, while it is killed."""
    tables = "      SPACE.t: {{method: query, poll: {{column: id, every: 200ms, deletes: full-compare, compare_every: 1s}}}}\n"
    sql = "create table t(id bigint primary key, v TEXT, at STAMP not null default NOW)"
    count = KEYS or (100000 if server == "postgres" else 20000)
    patience = 120 + count / 2000
    with running("exact", server, tables, sql) as (s, p):
        fill(s, count)
        p.start()
        p.says("compared", seconds=patience)
        deleted, moved = set(), set()
        rnd = random.Random(7)
        victims = rnd.sample(range(1, count + 1), count // 50)
        errors = []

        def write(mine):
            try:
                c = s.connect()
                q = c.cursor()
                number = count + 1 + mine * count
                for k in victims[mine::4]:
                    if k % 2:
                        q.execute("delete from t where id = %s", (k,))
                        if k % 10 == 1:  # deleted and there again: nobody ever sees it missing
                            q.execute("insert into t(id, v) values (%s, 'again')", (k,))
                            moved.add((k,))
                        else:
                            deleted.add((k,))
                    q.execute("insert into t(id, v) values (%s, 'new')", (number,))
                    number += 1
                    (c.rollback if k % 14 == 0 and k % 2 == 0 else c.commit)()
                    time.sleep(rnd.random() * 0.01)
                c.close()
            except Exception as e:
                errors.append(e)

        threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        p.says("compared")
        p.kill()
        # With what it has found at hand; and when some of it is committed.
        for where in ("compare_found:kill", "capture_after_commit:kill:2"):
            p.start(where)
            p.wait_exit(patience)
        p.start()
        for t in threads:
            t.join()
        assert not errors, errors
        present = {(int(k),) for k, in s.rows("select id from t")}
        before = p.log(True).count("compared")  # the next but one begins after all of that
        eventually("two more comparisons", lambda: p.log(True).count("compared") > before + 1, patience)
        wait(s, deleted, lambda: present, seconds=patience)
        compared = [line for line in p.log().splitlines() if "compared" in line]
        history = s.history()
        assert not any("-" in history[k] for k in moved), "a row that never was missing was deleted"
        assert p.stop() == 0
        print(f"   {server}: {count} keys, {len(deleted)} deleted, {len(present) - count + len(deleted)} inserted, "
              f"{len(compared)} comparisons: {compared[-1].split(':', 3)[-1][:200]}")
        # The control: the checker sees one delete that was none, and one that is not there.
        for wrong in (deleted - {next(iter(deleted))}, deleted | {next(iter(present))}):
            try:
                check(history, wrong, present)
            except AssertionError:
                continue
            raise AssertionError("the checker does not see a wrong delete")


SHAPES = ("create table c(a TEXT BIN not null, b int not null, at STAMP not null default NOW, v TEXT, primary key (a, b));\n"
          "create table w(k TEXT not null primary key, at STAMP not null default NOW, hidden bool not null default false);\n"
          "create view seen as select k, at, hidden from w where not hidden;")


def shapes(server):
    """Composite keys, texts that a collation takes for equal or sorts in its own way, a view, snapshot.where, rows that no
    poll can see, rows without a time."""
    poll = "poll: {{column: at, every: 100ms, timezone: UTC, deletes: full-compare, compare_every: 1s}}"
    tables = (f"      SPACE.c: {{{{method: query, {poll}, snapshot: {{{{where: \"b < 100\"}}}}}}}}\n"
              f"      SPACE.seen: {{{{method: query, key: [k], {poll}}}}}\n")
    with running("shapes", server, tables, SHAPES) as (s, p):
        keys = ["", "a", "A", "aa", "a b", "B", "b", "\u00e4", "z", "Z1", "\U0001f30a", "-", "_", "'; drop table c; --", "\\", "NULL"]
        c = s.connect()
        q = c.cursor()
        for k in keys:
            for b in (-1, 0, 7):
                q.execute("insert into c(a, b, v) values (%s, %s, 'x')", (k, b))
        words = ["Ada", "b", "\u00c4rger", "ccc", "\u0434\u0430", "'x'"]
        for w in words:
            q.execute("insert into w(k) values (%s)", (w,))
        c.commit()
        p.start()
        present_c = {(k, b) for k in keys for b in (-1, 0, 7)}
        present_w = {(w,) for w in words}
        eventually("all is there", lambda: set(s.history("c")) == present_c and set(s.history("seen")) == present_w, 60)
        gone = {(k, 0) for k in keys} | {("a", 7)}
        for a, b in gone:
            q.execute("delete from c where a = %s and b = %s", (a, b))
        q.execute("update c set b = 100 where a = 'B' and b = 7")  # left snapshot.where, and its key
        q.execute("update w set hidden = true where k = 'ccc'")
        q.execute("delete from w where k = %s", (words[2],))
        # Below the cursor: no poll will ever see it. Text with a quote, and what would match 'a' in another collation.
        q.execute("insert into c(a, b, at) values ('old''s', 1, '2001-01-01 00:00:00'), ('a ', 2, '2001-01-01 00:00:00')")
        c.commit()
        gone.add(("B", 7))
        want = (present_c - gone) | {("old's", 1), ("a ", 2)}

        def found():
            h = s.history("c")
            check(h, gone, want)
            check(s.history("seen"), {("ccc",), (words[2],)}, present_w - {("ccc",), (words[2],)})
            return True

        def quiet():
            try:
                return found()
            except AssertionError as e:
                quiet.why = e
                return False
        try:
            eventually("all is found", quiet, 60, 0.5)
        except AssertionError:
            raise quiet.why
        old = [e for e in p.events("c", s.space) if e and e["after"] and e["after"]["a"] == "old's"]
        assert len(old) == 1 and old[0]["source"]["ts_us"] == 978307200000000, old
        dead = [e for e in p.events("c", s.space) if e and e["op"] == "d"]
        assert all(e["before"]["a"] is not None and e["before"]["v"] is None and e["after"] is None for e in dead), dead[:1]
        # Rows come and go with nobody running; what was published before is not sent again.
        assert p.stop() == 0
        q.execute("delete from c where a = 'z'")
        c.commit()
        p.start()
        gone |= {("z", -1), ("z", 7)}
        want -= gone
        eventually("all is found", quiet, 60, 0.5)
        assert p.stop() == 0
        c.close()


WHOLE = ("create table t(id int primary key, v TEXT, n int not null default 0);\n"
         "create view two as select id, n from t where id <= 2;")


def whole(server):
    """method snapshot: all of a table or view again and again; only what differs is sent."""
    tables = ("      SPACE.t: {{method: snapshot, poll: {{every: 300ms}}}}\n"
              "      SPACE.two: {{method: snapshot, key: [id], envelope: state, poll: {{every: 300ms}}}}\n")
    if server == "postgres":
        tables += ("      app.sums: {{method: snapshot, key: [odd], poll: {{every: 300ms, "
                   "query: \"SELECT id % 2 AS odd, sum(n)::bigint AS n FROM public.t GROUP BY 1\"}}}}\n")
    with running("whole", server, tables, WHOLE) as (s, p):
        fill(s, 3000)
        p.start("capture_before_commit:kill:3")
        p.wait_exit()
        p.start()
        p.wait_events("t", 3000, s.space)
        p.wait_events("two", 2, s.space)
        if s.pg:
            p.wait_events("sums", 2, "app")
        p.sql("update t set v = 'new', n = 5 where id in (2, 700);\ndelete from t where id = 1;\ndelete from t where id = 3000;\n"
              "insert into t(id, v) values (5000, 'x')")
        got = p.wait_events("t", 3005, s.space)
        eventually("the view's row is deleted", lambda: [m for m in p.messages("two", s.space) if m.value() is None], 40)
        eventually("the view's row is changed", lambda: {(e["id"], e["n"]) for e in p.events("two", s.space) if e} >= {(2, 5)}, 40)
        if s.pg:
            eventually("the statement's row", lambda: [e for e in p.events("sums", "app") if e["after"]["n"] == 10], 40)
        assert p.stop() == 0
        p.start()
        p.sql("update t set v = 'newer' where id = 9")
        got = p.wait_events("t", 3006, s.space)
        ops = collections.Counter(e["op"] for e in got)
        assert len(got) == 3006 and ops == {"r": 3004, "d": 2}, f"{len(got)}, {ops}: something was sent again"
        assert {e["before"]["id"] for e in got if e["op"] == "d"} == {1, 3000}
        new = [e["after"]["v"] for e in got if e["op"] == "r" and e["after"]["id"] in (2, 700, 9)]
        assert sorted(v for v in new if "new" in v) == ["new", "new", "newer"], new
        order = collections.defaultdict(list)
        for e in got:
            order[(e["after"] or e["before"])["id"]].append((e["source"]["epoch"], e["source"]["lsn"], e["source"]["ordinal"]))
        assert all(v == sorted(set(v)) for v in order.values()), "positions do not rise"
        # Another schema: all rows are sent again, once.
        p.sql("alter table t add column more int")
        p.wait_events("t", 3006 + 2999, s.space)
        p.sql("update t set more = 1 where id = 9")
        got = p.wait_events("t", 3006 + 3000, s.space)
        assert len(got) == 6006 and got[-1]["after"] is not None
        assert p.stop() == 0


SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t", "{id}.public.two"]
    create: run
    write: {{every: 50ms}}
"""


def into_a_sink():
    """Deletes that know the key alone, and rows that differ, in a database behind it."""
    tables = ("      public.t: {{method: query, poll: {{column: id, every: 100ms, deletes: full-compare, compare_every: 1s}}}}\n"
              "      public.two: {{method: snapshot, key: [id], envelope: state, poll: {{every: 300ms}}}}\n")
    p = Pipeline(PG_SOURCE + tables + SINK)
    with case("compare_into_a_sink", p):
        p.write(PG_SOURCE + tables + SINK, COMPACT)
        p.sql("create table t(id bigint primary key, v text not null, n int not null default 0);"
              "create view two as select id, n from t where id < 5; insert into t(id, v) select i, 'x' from generate_series(1, 50) i")
        p.start()

        def same():
            try:
                return all(p.sql(q + " order by 1") == p.sql(q + " order by 1", on=p.target) for q in ("select id, v from t", "select id, n from two"))
            except Exception:
                return False
        eventually("the target has the rows", same)
        p.sql("delete from t where id in (2, 7); update t set n = 9 where id = 3; insert into t(id, v) values (51, 'y')")
        eventually("the target has what was found", same)
        assert p.sql("select n from two where id = 3", on=p.target) == [(9,)]
        assert p.stop() == 0
    p.close()


def refused(server):
    """A topic that loses its keys, files that cannot be written: said, and the polls go on."""
    tables = ("      SPACE.t: {{method: query, poll: {{column: id, every: 100ms, deletes: full-compare, compare_every: 1s}}}}\n")
    sql = "create table t(id bigint primary key, v TEXT)"
    with running("refused", server, tables, sql, base=CONFIG) as (s, p):
        fill(s, 10)
        p.start()
        p.says("is not only compacted", "cleanup.policy=compact")
        p.sql("delete from t where id = 3;\ninsert into t values (11, 'x')")
        p.wait_events("t", 11, s.space)
        assert p.daemon.poll() is None and not any("-" in h for h in s.history().values())
        assert p.stop() == 0
        code, out, err = p.verb("plan")
        assert code == 4 and "compare.topic" in out and "query.compare" in out, f"{code}: {out} {err}"
    with running("no_files", server, tables, sql) as (s, p):
        with open(os.path.join(p.dir, "cache"), "w") as f:
            f.write("no directory")
        fill(s, 10)
        p.start()
        p.says("write a sorted file in", "[compare.disk]", "set daemon.cache_dir")
        p.sql("delete from t where id = 3;\ninsert into t values (11, 'x')")
        p.wait_events("t", 11, s.space)
        assert p.stop() == 0
        os.remove(os.path.join(p.dir, "cache"))
        p.start()
        p.says("1 deletes")
        assert s.history()[(3,)] == "+-"
        assert p.stop() == 0 and os.listdir(os.path.join(p.dir, "cache")) == []


def fill(s, count, table="t"):
    if s.pg:
        s.p.sql(f"insert into {table}(id, v) select i, 'r' || i from generate_series(1, {count}) i")
        return
    c = s.connect()
    q = c.cursor()
    for first in range(1, count + 1, 10000):
        q.execute(f"insert into {table}(id, v) values " + ",".join(f"({i}, 'r{i}')" for i in range(first, min(first + 10000, count + 1))))
        c.commit()
    c.close()


if __name__ == "__main__":
    for name in SERVERS[1:]:
        there, why = mysql.add_server(name)
        if not there:
            print(f"skip compare.{name}: {why}", flush=True)
            SERVERS.remove(name)
    TESTS = [exact, shapes, whole]
    wanted = [t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    todo = [lambda t=t, n=n: t(n) for n in SERVERS for t in wanted]
    if not sys.argv[1:] or "refused" in sys.argv[1:]:
        todo.append(lambda: refused("postgres"))
    if not sys.argv[1:] or "into_a_sink" in sys.argv[1:]:
        todo.append(into_a_sink)
    together(todo, 3)
    finish()
