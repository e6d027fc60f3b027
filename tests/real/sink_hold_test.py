#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""A topic that waits while its sink goes on (errors.mode and on_change: block): a row that the target refuses, a column
that it lacks. The other topic's rows come, of the one that waits not one too many; over a SIGKILL and over a second
worker; and all of it once the target was mended. Controls: with errors.mode stop nothing goes on, and the comparison
sees one row."""
import os
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
import mysql  # noqa: E402
from harness import FRESHET, Pipeline, case, eventually, finish, together  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.a: {{}}, public.b: {{}}}}
"""
SINK = """
sinks:
  dst:
    type: TYPE
    WHERE
    from: ["{id}.public.a", "{id}.public.b"]
    create: run
    MODE
    write: {{every: 50ms}}
"""
WHERE = {"postgres": "dsn: {target}", "sqlite": "path: {dir}/target.db", "mariadb": 'dsn: "{my}"'}
MARIADB, WHY = mysql.add_server("mariadb")
cases = []


class Target(Pipeline):
    """A pipeline from PostgreSQL into a database of some kind, where `b` takes amounts below 100 only."""

    def __init__(self, kind, mode=""):
        self.kind, self.my, self.second = kind, None, None
        self.sink = SINK.replace("TYPE", kind).replace("WHERE", WHERE[kind]).replace("MODE", mode)
        super().__init__(SOURCE + self.sink, target=kind == "postgres")
        self.sql("create table a (id int primary key, amount int); create table b (id int primary key, amount int);"
                 "create publication pub for table a, b")
        self.run("create table b (id integer primary key, amount integer)")
        self.run({"postgres": "alter table b add constraint small check (amount < 100)",
                  "mariadb": "alter table b add constraint small check (amount < 100)",
                  "sqlite": "create trigger small before insert on b when new.amount >= 100 begin select raise(abort, 'too big'); end"}[kind])

    def values(self):
        if self.kind == "mariadb" and self.my is None:
            root = os.environ["MARIADB_DSN"]
            c = mysql.connect(root)
            mysql.run(c, f"create database `{self.id}`")
            c.close()
            self.my = root.rsplit("/", 1)[0] + "/" + self.id
        return dict(super().values(), my=self.my)

    def run(self, text):
        """At the target; None while there is no such table."""
        if self.kind == "postgres":
            return self.sql(text, on=self.target)
        if self.kind == "sqlite":
            c = sqlite3.connect(os.path.join(self.dir, "target.db"), timeout=30, isolation_level=None)
            try:
                return c.execute(text).fetchall()
            finally:
                c.close()
        c = mysql.connect(self.my)
        try:
            return [tuple(r) for r in mysql.run(c, text) or []]
        finally:
            c.close()

    def mend(self):
        self.run("drop trigger small" if self.kind == "sqlite" else "alter table b drop constraint small")

    def rows(self, table, columns="id, amount"):
        try:
            return self.run(f"select {columns} from {table} order by id")
        except Exception as e:  # not there yet
            assert any(t in str(e) for t in ("does not exist", "no such table", "doesn't exist")), e
            return None

    def holds(self, table, want, seconds=60):
        eventually(f"{want} in {table}", lambda: self.rows(table) == want, seconds)

    def equal(self, table, columns="id, amount", seconds=60):
        want = self.sql(f"select {columns} from {table} order by id")
        eventually(f"the {len(want)} rows of {table}", lambda: self.rows(table, columns) == want, seconds)

    def more(self, table, ids):
        for i in ids:
            self.sql(f"insert into {table} values (%s, %s)", i, i)

    def join(self):
        """A second worker, with the sink only."""
        name = os.path.join(self.dir, "second.yaml")
        base = harness.CONFIG.replace("freshet.sock", "second.sock").replace("/cache", "/cache2")
        with open(name, "w") as f:
            f.write((base + self.sink).format(**self.values()))
        self.second = subprocess.Popen([FRESHET, "run", "--config", name], stdout=self.logfile, stderr=self.logfile)

    def close(self):
        if self.second is not None:
            self.second.kill()
            self.second.wait()
        super().close()
        if self.my is not None:
            c = mysql.connect(os.environ["MARIADB_DSN"])
            mysql.run(c, f"drop database `{self.id}`")
            c.close()


def scenario(*kinds, mode=""):
    def wrap(f):
        for kind in kinds:
            if kind == "mariadb" and not MARIADB:
                print(f"skip sink_hold.{f.__name__}.{kind}: no MariaDB: {WHY}")
                continue

            def run(kind=kind):
                with case(f"sink_hold.{f.__name__}.{kind}"):
                    p = Target(kind, mode)
                    try:
                        f(p)
                    except Exception:
                        print(p.log()[-3000:])
                        raise
                    finally:
                        p.close()
            run.name = f"{f.__name__}.{kind}"
            cases.append(run)
        return f
    return wrap


GOOD = [(1, 1), (2, 2)]


def start_and_block(p):
    """I06: b waits from its row 3 on, a goes on."""
    p.more("a", [1])
    p.more("b", [1, 2])
    p.start()
    p.holds("a", [(1, 1)])
    p.holds("b", GOOD)
    p.sql("insert into b values (3, 500); insert into b values (4, 4); update b set amount = 7 where id = 1; delete from b where id = 2")
    p.more("a", [2, 3])
    p.equal("a")
    p.says(f"topic {p.id}.public.b is blocked since", "offset")


@scenario("postgres", "mariadb", "sqlite")
def a_row_that_does_not_fit(p):
    start_and_block(p)
    where = [r for r in p.rows("b") if r[0] >= 3]
    p.kill()
    p.more("a", [4])
    p.start()
    p.equal("a")
    p.says(f"topic {p.id}.public.b is blocked since")
    assert all(r[0] != 3 for r in p.rows("b")), (where, p.rows("b"))
    p.more("b", range(10, 40))
    p.more("a", range(10, 40))
    p.equal("a")
    assert p.rows("b") != p.sql("select id, amount from b order by id"), "the comparison sees nothing"
    p.mend()
    p.says(f"topic {p.id}.public.b goes on")
    p.equal("b")
    p.more("b", [50])
    p.equal("b")
    assert p.stop() == 0


@scenario("postgres", "mariadb")
def a_column_that_the_target_lacks(p):
    """I05: on_change.add_column block."""
    p.more("b", [1])
    p.more("a", [1])
    p.start()
    p.holds("b", [(1, 1)])
    p.sql("alter table b add column note text; insert into b values (2, 2, 'new'); insert into b values (3, 3, null)")
    p.more("a", range(2, 9))
    p.equal("a")
    p.says("sink.add_column", "there is no column")
    p.holds("b", [(1, 1)])
    p.run("alter table b add column note text")
    p.equal("b", "id, amount, note")


@scenario("postgres")
def a_second_worker_joins_while_it_waits(p):
    """I08"""
    start_and_block(p)
    p.join()
    eventually("the second worker's partitions", lambda: p.log().count("partitions revoked") >= 1, 60)
    p.more("a", range(100, 130))
    p.more("b", range(100, 130))
    p.equal("a")
    assert (3, 500) not in p.rows("b")
    p.mend()
    p.equal("b")
    p.second.terminate()
    assert p.second.wait(30) == 0
    p.second = None
    p.more("b", range(200, 230))
    p.more("a", range(200, 230))
    p.equal("b")
    p.equal("a")
    assert p.stop() == 0


@scenario("postgres", mode="errors: {{mode: stop}}")
def control_with_stop_nothing_goes_on(p):
    p.more("a", [1])
    p.more("b", [1])
    p.start()
    p.holds("a", [(1, 1)])
    p.holds("b", [(1, 1)])
    p.sql("insert into b values (3, 500)")
    p.says("level=error", "violates check constraint")
    p.more("a", range(2, 9))
    p.wait_events("a", 8)
    assert p.rows("a") == [(1, 1)], p.rows("a")


names = sys.argv[1:]
together([c for c in cases if not names or c.name in names], 4)
finish()
