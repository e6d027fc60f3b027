#!/usr/bin/env python3
"""The demo of contracts: a DBA changes tables while applications write to them. What breaks no consumer flows through, what
breaks one does what the table's policy says, and a contract keeps its shape. At the end each event is compared with what was
written. Called by `make demo DEMO=contracts` in the environment of the test stack."""
import collections
import json
import os
import random
import shutil
import sys
import threading
import time
import urllib.request

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "lib")]
from harness import Registry, read_topics  # noqa: E402
from running import DIR, FRESHET, Freshet, connect, database, say  # noqa: E402

WRITERS, SEEDS, AT_A_TIME = 6, 300, 300  # so many rows before; so many events of a table between two steps
LETTERS = "freshet.contracts.dlq"
CURRENCY = "EUR"  # the contract's default

# What an application adds to each table, newest shape last: it goes on to the next one when the server does not know
# a column any more, or the DBA said that there is another one.
SHAPES = {
    "visits": [("page",), ("page", "campaign")],
    "payments": [("amount",), ("amount",)],
    "customers": [("fname", "city"), ("full_name", "city")],
    "stock": [("shelf", "quantity"), ("quantity",)],
    "orders": [("email", "total", "state"), ("email", "total", "state", "margin")],
}
NEWEST = {table: 0 for table in SHAPES}  # the shape in use
INCREASED = {"visits": "page = page || '!'", "payments": "amount = amount + 1", "customers": "city = null",
             "stock": "quantity = quantity - 1", "orders": "state = 'paid'"}


def value(column, table, number, rnd):
    if column == "amount":
        return rnd.randrange(1 << 40) + (1 << 32) if NEWEST[table] else rnd.randrange(1 << 30)
    if column == "email":
        return f"writer{number}@example.com" if rnd.random() > 0.05 else f"writer {number} at example.com"
    if column == "total":
        return rnd.randrange(10 ** 7) / 100 if rnd.random() > 0.02 else 10 ** 6
    return {"page": "/start", "campaign": "autumn", "fname": "Ada", "full_name": "Ada Lovelace", "city": "London", "shelf": "B7",
            "quantity": rnd.randrange(1000), "state": "new", "margin": rnd.randrange(100)}[column]


# ---- who writes -----------------------------------------------------------------------------------

class Application(threading.Thread):
    """Adds a row to each table, then changes the ones before, and now and then deletes them; what was committed is in
    self.written, as (table, op, id, row as the server says it is)."""

    def __init__(self, dsn, number):
        super().__init__(daemon=True)
        self.dsn, self.number, self.rnd, self.written, self.error = dsn, number, random.Random(number), [], None
        self.over = threading.Event()
        self.start()

    def run(self):
        c = connect(self.dsn, autocommit=False)
        at = self.number * 10 ** 9
        try:
            while not self.over.is_set():
                at += 1
                while not self.transaction(c, at):
                    c.rollback()
                    time.sleep(0.005)
                time.sleep(self.rnd.random() * 0.03)
        except psycopg2.Error as e:
            self.error = e
        c.close()

    def transaction(self, c, at):
        """No: a table is not what this application knew; it tries again, knowing more."""
        done, q = [], c.cursor()
        for table, shapes in SHAPES.items():
            columns = shapes[NEWEST[table]]
            try:
                self.keep(q, done, table, "c", f"insert into {table} (id, rev, {', '.join(columns)}) values (%s, 0{', %s' * len(columns)})",
                          at, *(value(column, table, self.number, self.rnd) for column in columns))
                if at % 3 == 0:
                    self.keep(q, done, table, "u", f"update {table} set rev = rev + 1, {INCREASED[table]} where id = %s", at - 1)
                if at % 9 == 0:
                    self.keep(q, done, table, "d", f"delete from {table} where id = %s", at - 2)
            except (psycopg2.errors.UndefinedColumn, psycopg2.errors.NotNullViolation, psycopg2.errors.NumericValueOutOfRange):
                return False
        c.commit()
        self.written += done
        return True

    @staticmethod
    def keep(q, done, table, op, statement, *values):
        q.execute(statement + " returning *", values)
        names = [d[0] for d in q.description]
        done += [(table, op, row[0], dict(zip(names, row))) for row in q.fetchall()]


# ---- what was published ---------------------------------------------------------------------------

def published_as(table, row):
    """What the event must hold: the row, or what its contract makes of it."""
    if table != "orders":
        return row
    return {"order_id": row["id"], **{n: row[n] for n in ("rev", "email", "total", "state")}, "currency": CURRENCY}


def fits(row):
    return " " not in row["email"] and 0 <= row["total"] <= 100000


def identity(table, op, key, row):
    """Two events are the same when they say the same of the same row."""
    return table, op, key, None if op == "d" else tuple(sorted((n, str(v)) for n, v in row.items()))


class Topics:
    """What is in Kafka, decoded with the schema that each message names; nothing else is known of it."""

    def __init__(self):
        self.registry, self.bootstrap = Registry(os.environ["REGISTRY_URL"]), os.environ["KAFKA_BOOTSTRAP"]

    def events(self, tables=SHAPES):
        """(identity, number of the schema, message), in the order of each partition."""
        out = []
        for m in read_topics(self.bootstrap, [f"shop.public.{t}" for t in tables]):
            if m.value() is None:
                continue
            table, event = m.topic().split(".")[2], self.registry.decode(m.value())
            key = next(iter(self.registry.decode(m.key()).values()))
            out.append((identity(table, event["op"], key, event["after"]), int.from_bytes(m.value()[1:5], "big"), m))
        return out

    def count(self, table):
        return sum(m.value() is not None for m in read_topics(self.bootstrap, [f"shop.public.{table}"]))

    def letters(self):
        """Identities of the dead letters, and how many came for the sake of an earlier one of their key."""
        out, parked = [], 0
        for m in read_topics(self.bootstrap, [LETTERS]):
            d, headers = json.loads(m.value()), dict(m.headers())
            row = d["after"] or d["before"]
            parked += headers["freshet.parked"] == b"true"
            out.append(("orders", d["op"], int(row["id"]), None if d["op"] == "d" else int(row["rev"])))
        return out, parked

    def versions(self, table):
        url = f"{self.registry.url}/subjects/shop.public.{table}-value/versions"
        with urllib.request.urlopen(url, timeout=20) as r:
            return len(json.load(r))


def compare(want, got):
    """Lost, twice or more, and not as it was written."""
    w, g = collections.Counter(want), collections.Counter(got)
    rows = {i[:3] + (dict(i[3]).get("rev") if i[3] else None,) for i in g}
    wrong = [i for i in w if i not in g and i[:3] + (dict(i[3]).get("rev") if i[3] else None,) in rows]
    return sum((w - g).values()) - len(wrong), sum(n - 1 for n in g.values() if n > 1), len(wrong) + sum(i not in w for i in g) - len(wrong)


def out_of_order(events):
    """Rows whose events are not: added, changed, deleted."""
    rank, seen, bad = "rcud", {}, set()
    for i, _, _ in events:
        if rank.index(i[1]) < seen.get(i[::2][:1] + (i[2],), 0):
            bad.add(i[:3])
        seen[i[::2][:1] + (i[2],)] = rank.index(i[1])
    return len(bad)


# ---- the demo -------------------------------------------------------------------------------------

class Contracts(Freshet):
    """Errors are part of this demo: it says itself which ones it waits for."""

    def __init__(self):
        shutil.copytree(HERE, os.path.join(DIR, "contracts"))
        super().__init__(os.path.join(DIR, "contracts", "freshet.yaml"))
        self.mark = 0

    def start(self):
        self.mark = len(self.lines()) if self.daemon else 0
        super().start()

    def errors(self):
        return []

    def said(self, *words):
        """The line of the log that has all of them, said since the last start."""
        return next((line for line in self.lines()[self.mark:] if all(w in line for w in words)), None)

    def hear(self, what, *words):
        self.wait(what, lambda: None if self.said(*words) else f"not said: {words}", 60)
        return self.said(*words)

    def edit(self, *changes):
        """The configuration, as the one who answers for it would."""
        with open(self.config) as f:
            text = f.read()
        for old, new in changes:
            if text.count(old) != 1:
                self.fail(f"freshet.yaml does not have {old!r} once")
            text = text.replace(old, new)
            print(f"freshet.yaml: - {old}\nfreshet.yaml: + {new}", flush=True)
        with open(self.config, "w") as f:
            f.write(text)


class Demo:
    def __init__(self):
        self.source, self.target = database(os.environ["PG_DSN"], "shop"), database(os.environ["PG2_DSN"], "warehouse")
        os.environ.update(SOURCE_DSN=self.source, TARGET_DSN=self.target, DEMO_SOCKET=os.path.join(DIR, "freshet.sock"),
                          DEMO_CACHE=os.path.join(DIR, "cache"))
        self.q, self.t, self.topics = connect(self.source).cursor(), connect(self.target).cursor(), Topics()
        with open(os.path.join(HERE, "schema.sql")) as f:
            self.q.execute(f.read())
        self.seeds, rnd = [], random.Random(0)
        for table, shapes in SHAPES.items():
            for i in range(1, SEEDS + 1):
                row = [value(c, table, 0, rnd) if c not in ("email", "total") else {"email": "a@example.com", "total": i}[c] for c in shapes[0]]
                Application.keep(self.q, self.seeds, table, "r", f"insert into {table} values (%s, 0{', %s' * len(row)})", i, *row)
        self.f = Contracts()

    def ddl(self, statement, table=None):
        """Under load; then the applications are told of it."""
        say(f"DBA: {statement}")
        self.q.execute("set lock_timeout = '20s'; " + statement)
        if table:
            NEWEST[table] = 1

    def go_on(self, *tables):
        """Until so many more events of these are there."""
        want = {t: self.topics.count(t) + AT_A_TIME for t in tables}
        self.f.wait("events of " + ", ".join(tables), lambda: [t for t in tables if self.topics.count(t) < want[t]])

    def sink_has(self, table, column):
        self.t.execute("select data_type from information_schema.columns where table_name = %s and column_name = %s", (table, column))
        return (self.t.fetchone() or [None])[0]

    def flows_through(self):
        self.ddl("alter table visits add column campaign text", "visits")
        self.f.wait("the column in the sink", lambda: None if self.sink_has("visits", "campaign") else "no column campaign")
        self.go_on("visits")
        say(f"visits, add_column: evolve: flows through. The registry has {self.topics.versions('visits')} versions, "
            f"the sink's column campaign is {self.sink_has('visits', 'campaign')}")

    def keeps_its_contract(self):
        self.ddl("alter table orders add column margin int", "orders")
        self.go_on("orders")
        say(f"orders, a contract: margin is left out. The registry has {self.topics.versions('orders')} version, "
            f"the sink {'has' if self.sink_has('orders', 'margin') else 'has no'} column margin")

    def held(self, table, statement, *words):
        self.ddl(statement, table)
        line = self.f.hear(f"{table} to be held", f"public.{table} is held", *words)
        stands = self.topics.count(table)
        self.go_on(*(t for t in ("visits", "orders", "stock")))
        if self.topics.count(table) != stands:
            self.f.fail(f"{table} is held, and has more events than before")
        say(f"{table}: held after {stands} events, the others go on. The log: {line.split(' is held, the others go on: ')[1].split('; then:')[0].strip()}")

    def widened(self):
        self.held("payments", "alter table payments alter column amount type bigint", "~amount")
        self.f.edit(("{change_type: block}} # the default", "{change_type: evolve}}"))
        self.f.stop()
        self.f.start()
        self.f.hear("payments to be caught up", "public.payments goes on: caught up")
        self.go_on("payments")
        self.f.wait("the type in the sink", lambda: None if self.sink_has("payments", "amount") == "bigint" else "not bigint")
        say(f"payments: evolve, and a restart: caught up. The registry has {self.topics.versions('payments')} versions, the sink's amount is bigint")

    def renamed(self):
        self.held("customers", "alter table customers rename column fname to full_name", "fname->full_name")

    def dropped(self):
        self.ddl("alter table stock drop column shelf", "stock")
        line = self.f.hear("the source to stop", "schema.on_change.drop_column says stop")
        say(f"stock, drop_column: stop: the whole source waits. The log: {line.split(' msg=')[-1].strip()}")
        time.sleep(1)
        if self.f.daemon.poll() is None:
            self.f.kill()
        self.f.edit(("{compatibility: BACKWARD, on_change: {rename_column: block}} # the default",
                     "{compatibility: NONE, on_change: {rename_column: evolve}}"),
                    ("{drop_column: stop}", "{drop_column: evolve}"))
        self.f.start()
        self.f.hear("customers to be caught up", "public.customers is caught up from")
        self.f.kill()
        say("killed while customers is caught up")
        self.f.start()
        self.f.hear("customers to be caught up", "public.customers goes on: caught up")
        self.go_on("customers", "stock")
        say(f"customers and stock: evolve: caught up. The registry has {self.topics.versions('customers')} and {self.topics.versions('stock')} versions")

    def work(self):
        self.f.start()
        self.f.wait("snapshot", lambda: [t for t in SHAPES if self.topics.count(t) < SEEDS])
        writers = [Application(self.source, n) for n in range(1, WRITERS + 1)]
        say(f"{WRITERS} applications write to all {len(SHAPES)} tables from here on; one order in 15 breaks a rule")
        self.go_on(*SHAPES)
        for step in (self.flows_through, self.keeps_its_contract, self.widened, self.renamed, self.dropped):
            step()
            for w in writers:
                if w.error:
                    self.f.fail(f"an application failed: {w.error}")
        for w in writers:
            w.over.set()
        for w in writers:
            w.join()
        self.written = self.seeds + [x for w in writers for x in w.written]
        say(f"the applications are done: {len(self.written)} changes were committed")


def main():
    d = Demo()
    d.f.verb("plan", may=(0, 4))
    d.f.verb("apply", "--yes", "--source-objects")
    d.work()


main()
