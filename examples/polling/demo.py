#!/usr/bin/env python3
"""The demo of polling: 50 writers that commit late and roll back, freshet that is killed meanwhile, and beside it the
two pollers that everybody writes first. Called by `make demo DEMO=query` in the environment of the test stack."""
import os
import sys
import threading
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "debian")]
import load  # noqa: E402
from running import DIR, FRESHET, Freshet, Writers, connect, database, say  # noqa: E402

WRITERS, TRANSACTIONS, KILLS = 50, 5000, 3


def change(packages):
    """A download and a changed or retired package in each transaction; each writer has packages of its own."""
    def one(q, rnd, number):
        package = rnd.randrange(packages // WRITERS) * WRITERS + number + 1
        q.execute("update packages set version = version || '+', retired = %s where package_id = %s", (rnd.random() < 0.1, package))
        q.execute("insert into downloads (package_id, client) values (%s, %s)", (package, f"192.0.2.{number}"))
    return one


class Naive(threading.Thread):
    """What is above the highest value that was seen: the control. If it missed nothing, nothing was shown."""

    def __init__(self, dsn, table, key, column, value):
        super().__init__()
        self.q, self.over, self.seen = connect(dsn).cursor(), threading.Event(), {}
        self.q.execute(f"select max({column}) from {table}")
        self.last = self.q.fetchone()[0]
        self.sql = f"select {key}, {value}, {column} from {table} where %s is null or {column} > %s"
        self.table, self.key, self.value, self.since = table, key, value, self.last
        self.column = column
        self.start()

    def run(self):
        while not self.over.is_set():
            self.q.execute(self.sql, (self.last, self.last))
            for key, value, at in self.q.fetchall():
                self.seen[key] = value
                self.last = at if self.last is None or at > self.last else self.last
            time.sleep(0.1)

    def missed(self):
        """How many rows are new or changed since the start, and how many of them it has not seen as they are."""
        time.sleep(0.3)
        self.over.set()
        self.join()
        self.q.execute(self.sql, (self.since, self.since))
        now = {key: value for key, value, _ in self.q.fetchall()}
        return len(now), sum(1 for key, value in now.items() if self.seen.get(key) != value)


# What is in the source and what is in the target must be the same text; sums are over all rows and columns.
SUM = "select count(*), coalesce(sum(('x' || substr(md5(to_jsonb(t)::text), 1, 15))::bit(60)::bigint::numeric), 0) from ({rows}) t"
PACKAGE = "package_id, name, version, size_bytes, mib, essential, sha256, indexed_at, changed_at"
LISTING = "package_id, name, version, section, maintainer, email, changed_at"
ROWS = {
    "downloads": ("select download_id, package_id, host(client) as client, at from downloads",
                  "select download_id, package_id, split_part(client::text, '/', 1) as client, at from public.downloads"),
    "packages": ("select {packages} from packages where not retired", "select {packages} from public.packages"),
    "listing": ("select {listing} from catalog.listing", "select {listing} from public.listing"),
}


class Demo:
    def __init__(self):
        self.source_dsn = database(os.environ["PG_DSN"], "erp")
        target_dsn = database(os.environ["PG2_DSN"], "warehouse")
        os.environ.update(SOURCE_DSN=self.source_dsn, TARGET_DSN=target_dsn,
                          DEMO_SOCKET=os.path.join(DIR, "freshet.sock"), DEMO_CACHE=os.path.join(DIR, "cache"))
        c = connect(self.source_dsn, autocommit=False)
        for schema in (os.path.join(HERE, "..", "debian", "schema.sql"), os.path.join(HERE, "schema.sql")):
            with open(schema) as f:
                c.cursor().execute(f.read())
        self.packages = load.load(c, os.environ["DEMO_INDEX"])["packages"]
        c.close()
        self.source, self.target = connect(self.source_dsn).cursor(), connect(target_dsn).cursor()
        say(f"PostgreSQL has {self.packages} packages; who may read its log is not asked")

    def ask(self, select, table):
        """The same question about a table of both sides."""
        answers = []
        for side, cursor in enumerate((self.source, self.target)):
            cursor.execute(select.format(rows=ROWS[table][side].format(packages=PACKAGE, listing=LISTING)))
            answers.append(cursor.fetchall())
        return answers

    def differs(self):
        """None: all tables are equal; else what is not. Counting is cheap, so that comes first."""
        self.rows = {}
        for select in ("select count(*) from ({rows}) t", SUM):
            for table in ROWS:
                try:
                    here, there = (answer[0] for answer in self.ask(select, table))
                except psycopg2.Error as e:
                    return f"{table}: {e}"
                if here != there:
                    return f"{table}: {here[0]} rows in the source, {there[0]} in the target, or other values"
                self.rows[table] = here[0]
        return None

    def missed(self, table):
        """Rows that the target does not hold as they are in the source, or that the source does not have."""
        here, there = (set(answer) for answer in self.ask("select to_jsonb(t)::text from ({rows}) t", table))
        return len(here ^ there)

    def work(self, f):
        naive = {"downloads, id > last": Naive(self.source_dsn, "downloads", "download_id", "download_id", "package_id"),
                 "packages, changed_at > last": Naive(self.source_dsn, "packages", "package_id", "changed_at", "version")}
        say(f"{WRITERS} writers, {TRANSACTIONS} transactions that are committed up to 2 s late, 30 % rolled back; SIGKILL {KILLS} times meanwhile")
        writers = Writers(self.source_dsn, WRITERS, TRANSACTIONS, change(self.packages), 2)
        f.work_through(writers, KILLS)
        say(f"the writers are done: {writers.committed} transactions were committed")
        missed = {name: n.missed() for name, n in naive.items()}
        f.wait("equality", self.differs)
        say("source and target are equal")
        return missed


def main():
    d = Demo()
    f = Freshet(os.path.join(HERE, "freshet.yaml"))
    f.verb("plan", may=(0, 4))
    f.verb("apply", "--yes")
    f.start()
    began = time.time()
    f.wait("all rows in the target", d.differs)
    say(f"first poll: {sum(d.rows.values())} rows from table to Kafka to table in {time.time() - began:.1f} s")
    missed = d.work(f)
    print(f"\n{'poller':<40}{'new or changed rows':>20}{'missed':>10}")
    for name, (rows, n) in missed.items():
        print(f"{'naive: ' + name:<40}{rows:>20}{n:>10}")
    for table in d.rows:
        print(f"{'freshet: ' + table:<40}{'':>20}{d.missed(table):>10}")
    if not all(n for _, n in missed.values()):
        f.fail("the naive pollers missed nothing: this run shows nothing")
    print(f"source and target are equal: {len(d.rows)} tables, {sum(d.rows.values())} rows; peak memory {f.peak / 1024:.0f} MiB", flush=True)
    if os.environ.get("KEEP") == "1":
        f.keep_running(("KAFKA_BOOTSTRAP", "REGISTRY_URL", "SOURCE_DSN", "TARGET_DSN", "DEMO_SOCKET", "DEMO_CACHE", "DEMO_LISTEN"),
                       [f"{FRESHET} -c {f.config} tap erp/catalog.listing",
                        f"psql {d.source_dsn} -c \"update packages set homepage = 'https://example.org' where package_id = 1\""])
    else:
        f.stop()


main()
