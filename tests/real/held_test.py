#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Held tables (decisions 24, 42): one table waits, the source goes on; released, it is caught up beside the others and
rejoins without a gap, an overlap or a repeated row."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import CONFIG, Pipeline, case, checkpoint, connect, eventually, finish, read_topics, together  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
"""
HELD = SOURCE + """
      public.a: {{schema: {{compatibility: NONE, on_change: {{change_type: POLICY}}}}}}
      public.b: {{}}
"""


def config(policy):
    return HELD.replace("POLICY", policy)


def pipeline(text):
    p = Pipeline(text, target=False)
    p.sql("create table a (id int primary key, v int not null); create table b (id int primary key, v int not null)")
    p.sql("create publication pub for table a, b")
    p.sql("insert into a select n, 0 from generate_series(1, 50) n; insert into b select n, 0 from generate_series(1, 50) n")
    return p


def prepared(p, after="evolve"):
    p.start()
    p.wait_events("a", 50)
    p.wait_events("b", 50)


class Writers:
    """Each adds rows to both tables, in one transaction, and counts what it committed."""

    def __init__(self, p, count=3):
        self.p, self.stop, self.rows = p, False, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(count)]
        for t in self.threads:
            t.start()

    def run(self, n):
        c = connect(self.p.source)
        q = c.cursor()
        at = 1000 + n * 1000000
        while not self.stop:
            at += 1
            q.execute("begin; insert into a values (%s, %s); insert into b values (%s, %s); update a set v = v + 1 where id = %s; commit",
                      (at, at, at, at, at))
            with self.lock:
                self.rows.append(at)
            time.sleep(0.002)
        c.close()

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join()
        return sorted(self.rows)


def ids(p, table, op):
    return [e["after"]["id"] for e in p.events(table) if e is not None and e["op"] == op]


def exact(p, rows):
    """Every row once: its insert, then its update, in the order of the log."""
    for table in "ab":
        got = sorted(i for i in ids(p, table, "c") if i > 1000)
        assert got == rows, f"{table}: {len(got)} of {len(rows)}, {len(set(got))} distinct, missing {sorted(set(rows) - set(got))[:5]}"
    updates = sorted(i for i in ids(p, "a", "u") if i > 1000)
    assert updates == rows, f"{len(updates)} updates of {len(rows)}"
    per = {}
    for m in p.messages("a"):
        e = m.value() and p.registry.decode(m.value())
        if e is not None and e["after"]["id"] > 1000:
            per.setdefault(e["after"]["id"], []).append((e["op"], (e["source"]["epoch"], e["source"]["lsn"])))
    for i, seen in per.items():
        assert [s[0] for s in seen] == ["c", "u"] and seen[0][1] < seen[1][1], (i, seen)


def held(p):
    return p.says("public.a is held, the others go on")


def ddl_under_load():
    p = pipeline(config("block"))
    with case("held.ddl_under_load", p):
        prepared(p)
        w = Writers(p)
        time.sleep(0.3)
        p.sql("alter table a alter column v type bigint")
        held(p)
        before = len(p.events("b"))
        eventually("b goes on", lambda: len(p.events("b")) > before + 50)
        assert p.daemon.poll() is None
        p.kill()  # while it is held
        p.start()
        held(p)  # nothing has changed: held again, at the same row
        assert p.stop() == 0
        p.write(config("evolve"))
        p.start()
        p.says("public.a is caught up from", "public.a goes on: caught up")
        time.sleep(0.2)
        rows = w.end()
        p.wait_events("a", 50 + 2 * len(rows))
        p.wait_events("b", 50 + len(rows))
        exact(p, rows)
    p.close()


ROWS = SOURCE + """
      public.a: {{columns: {{types: {{v: 'decimal(10,0)'}}}}, MORE}}
      public.b: {{}}
"""


def rows_config(more="errors: {{mode: block}}"):
    return ROWS.replace("MORE", more)


def texts(p):
    """v of a is a text that has to be a number."""
    p.sql("create table a (id int primary key, v text not null); create table b (id int primary key, v int not null);"
          "create publication pub for table a, b")


def values(p, table="a", op="c"):
    return sorted((e["after"]["id"], int(e["after"]["v"])) for e in p.events(table) if e is not None and e["op"] == op)


def killed_while_catching_up():
    p = pipeline(config("block"))
    with case("held.killed_while_catching_up", p):
        prepared(p)
        w = Writers(p)
        p.sql("alter table a alter column v type bigint")
        held(p)
        before = len(p.events("b"))
        eventually("b goes on", lambda: len(p.events("b")) > before + 300)
        assert p.stop() == 0
        p.write(config("evolve"))
        for _ in range(6):  # it may be through before the last of them
            p.start()
            eventually("it is caught up, or was", lambda: "public.a is caught up from" in p.log(True) or "goes on: caught up" in p.log())
            time.sleep(0.15)
            p.kill()
        p.start()
        eventually("it was caught up", lambda: "goes on: caught up" in p.log())
        rows = w.end()
        p.wait_events("a", 50 + 2 * len(rows))
        p.wait_events("b", 50 + len(rows))
        exact(p, rows)
        assert p.stop() == 0
        assert checkpoint(p)["held"] == {}, checkpoint(p)["held"]
    p.close()


def within_a_transaction():
    """The row that cannot be published is one of 30,000 of a transaction, of which parts are published already."""
    p = Pipeline(rows_config(), target=False)
    texts(p)
    with case("held.within_a_transaction", p):
        p.start()
        p.says("stream from")
        p.sql("begin; insert into b select n, n from generate_series(1, 15000) n;"
              "insert into a select n, case when n = 22222 then 'x' else n::text end from generate_series(1, 30000) n;"
              "insert into b select n, n from generate_series(15001, 20000) n; commit")
        p.says("public.a is held, the others go on")
        p.wait_events("b", 20000)
        got = values(p)
        assert got == [(n, n) for n in range(1, 22222)], (len(got), got[-1:])
        p.sql("insert into a values (40000, '7')")
        p.kill()
        # The row is as it was in the log: freshet is told to set it aside.
        p.write(rows_config("errors: {{mode: dlq}}"))
        p.start()
        p.says("public.a goes on: caught up")
        p.wait_events("a", 30000)
        assert values(p) == [(n, n) for n in range(1, 30001) if n != 22222] + [(40000, 7)]
    p.close()


def in_a_snapshot():
    p = Pipeline(rows_config(), target=False)
    texts(p)
    p.sql("insert into a select n, case when n = 777 then 'x' else n::text end from generate_series(1, 1000) n;"
          "insert into b select n, n from generate_series(1, 1000) n")
    with case("held.in_a_snapshot", p):
        p.start()
        p.says("public.a is held, the others go on", "snapshot: done")
        p.sql("insert into a values (2000, '1'); insert into b values (2000, 1); delete from a where id = 5")
        p.wait_events("b", 1001)
        p.sql("update a set v = '777' where id = 777")
        assert p.stop() == 0
        p.start()
        p.says("public.a goes on: caught up", "snapshot: done")
        p.wait_events("a", 999 + 3)
        reads = values(p, op="r")
        assert [r[0] for r in reads] == [n for n in range(1, 1001) if n != 5] + [2000], (len(reads), reads[-2:])
        assert values(p) == [(2000, 1)] and values(p, op="u") == [(777, 777)]
    p.close()


def truncated():
    p = pipeline(config("evolve"))
    with case("held.truncated", p):
        prepared(p)
        w = Writers(p)
        time.sleep(0.2)
        p.sql("truncate a")
        p.says("public.a is held", "[table.truncated]")
        p.sql("alter table a add c int")
        assert p.stop() == 0
        p.write(config("evolve").replace("public.a: {{", "public.a: {{truncate: ignore, "))
        p.start()
        p.says("public.a goes on: caught up")
        rows = w.end()
        p.wait_events("a", 50 + len(rows))
        p.wait_events("b", 50 + len(rows))
        got = sorted(i for i in ids(p, "a", "c") if i > 1000)
        assert got == rows, (len(got), len(rows))
    p.close()


def not_overtaken():
    """A Kafka transaction ends in the batch of the row that holds a table: what stands behind that row is not encoded before it."""
    base = CONFIG.replace("kafka:\n", "kafka:\n  transaction: {{max_events: 100}}\n")
    p = pipeline(config("evolve"))
    p.write(config("evolve"), base)
    with case("held.not_overtaken", p):
        prepared(p)
        assert p.stop() == 0
        p.sql("insert into b select n, n from generate_series(1001, 5000) n")
        p.sql("truncate a")
        p.sql("insert into b select n, n from generate_series(5001, 5500) n")
        p.sql("insert into a select n, n from generate_series(1001, 1300) n")
        p.start(failpoint="capture_before_commit:sleep=300:*")
        p.says("public.a is held", "[table.truncated]")
        p.wait_events("b", 50 + 4500)
        assert p.stop() == 0
        assert ids(p, "a", "c") == [], "rows from behind the TRUNCATE"
        p.write(config("evolve").replace("public.a: {{", "public.a: {{truncate: ignore, "), base)
        p.start()
        p.says("public.a goes on: caught up")
        assert p.stop() == 0
        got = sorted(ids(p, "a", "c"))
        assert got == list(range(1001, 1301)), (len(got), len(set(got)), got[:3])
    p.close()


def polled():
    """A row that cannot be published, and then one that is there twice: nothing of the table is passed over."""
    p = Pipeline(rows_config().replace("log: {{publication: pub, slot: {slot}}}", "heartbeat: 0s").replace("heartbeat: 0s", "throttle: {{max_connections: 2}}")
                 .replace("public.a: {{", "public.a: {{method: query, poll: {{column: id, every: 100ms}}, ")
                 .replace("public.b: {{", "public.b: {{method: query, poll: {{column: id, every: 100ms}}"), target=False)
    texts(p)
    with case("held.polled", p):
        p.sql("insert into a select n, n::text from generate_series(1, 2000) n; insert into b select n, n from generate_series(1, 10) n")
        p.start()
        p.wait_events("a", 2000)
        p.sql("insert into a select n, case when n = 2500 then 'x' else n::text end from generate_series(2001, 3000) n; insert into b values (11, 11)")
        p.says("public.a is held, the others go on")
        p.sql("insert into b values (12, 12)")
        p.wait_events("b", 12)
        assert p.daemon.poll() is None
        p.kill()
        p.sql("update a set v = '2500' where id = 2500")
        p.start()
        p.wait_events("a", 3000)
        got = sorted(e["after"]["id"] for e in p.events("a"))
        assert got == list(range(1, 3001)), len(got)
        assert p.stop() == 0
        assert checkpoint(p)["held"] == {}
    p.close()


def cut_while_catching_up():
    """Its connections end while the table is caught up: it is released still, and nothing comes twice."""
    p = pipeline(config("block"))
    with case("held.cut_while_catching_up", p):
        prepared(p)
        w = Writers(p)
        p.sql("alter table a alter column v type bigint")
        held(p)
        before = len(p.events("b"))
        eventually("b goes on", lambda: len(p.events("b")) > before + 300)
        assert p.stop() == 0
        p.write(config("evolve"))
        p.start()
        p.says("public.a is caught up from")

        def cut():
            return len(p.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where database = %s and active", p.id))
        for _ in range(4):
            eventually("connections of ours", cut, pause=0.02)
        p.says("trying again")
        p.says("public.a goes on: caught up")
        rows = w.end()
        p.wait_events("a", 50 + 2 * len(rows))
        p.wait_events("b", 50 + len(rows))
        exact(p, rows)
    p.close()


def read_once():
    """A server that cannot be read twice (PostgreSQL before 12): the stream stands still while the table is caught up."""
    p = pipeline(config("block"))
    with case("held.read_once", p):
        prepared(p)
        w = Writers(p)
        p.sql("alter table a alter column v type bigint")
        held(p)
        before = len(p.events("b"))
        eventually("b goes on", lambda: len(p.events("b")) > before + 100)
        assert p.stop() == 0
        p.write(config("evolve"))
        p.start(failpoint="capture_no_beside:off:*")
        p.says("public.a goes on: caught up")
        rows = w.end()
        p.wait_events("a", 50 + 2 * len(rows))
        p.wait_events("b", 50 + len(rows))
        exact(p, rows)
    p.close()


def dead_letters():
    """A key was parked before its table was held, and has more rows meanwhile: each is one dead letter."""
    p = Pipeline(rows_config("errors: {{mode: dlq}}"), target=False)
    texts(p)
    with case("held.dead_letters", p):
        def letters():
            return [json.loads(m.value()) for m in read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])]
        p.start()
        p.says("stream from")
        p.sql("insert into a values (1, 'x'); insert into a values (2, '2'); insert into b values (1, 1)")
        p.wait_events("a", 1)
        eventually("a dead letter", lambda: len(letters()) == 1)
        p.sql("begin; update a set v = '3' where id = 1; insert into a values (5, '5'); truncate a; insert into a values (1, '4'), (3, '3'); insert into b values (2, 2); commit")
        p.says("public.a is held, the others go on", "[table.truncated]")
        p.sql("insert into a values (4, '4'); update a set v = '5' where id = 1; insert into b values (3, 3)")
        p.wait_events("b", 3)
        assert len(letters()) == 2, letters()  # that of the update before TRUNCATE is the second
        assert p.stop() == 0
        p.write(rows_config("truncate: ignore, errors: {{mode: dlq}}"))
        p.start()
        p.says("public.a goes on: caught up")
        p.wait_events("a", 4)
        eventually("all dead letters", lambda: len(letters()) >= 4)
        got = [(d["op"], int(d["after"]["id"]), d["after"]["v"]) for d in letters()]
        assert got == [("c", 1, "x"), ("u", 1, "3"), ("c", 1, "4"), ("u", 1, "5")], got
        assert values(p) == [(2, 2), (3, 3), (4, 4), (5, 5)], values(p)
        assert p.stop() == 0
    p.close()


CASES = [cut_while_catching_up, dead_letters, polled, read_once, ddl_under_load, killed_while_catching_up, within_a_transaction, in_a_snapshot, truncated, not_overtaken]

if __name__ == "__main__":
    together([globals()[n] for n in sys.argv[1:]] or CASES)
    finish()
