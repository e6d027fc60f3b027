#!/usr/bin/env python3
"""The demo of contracts: a DBA changes tables while applications write to them. What breaks no consumer flows through, what
breaks one does what the table's policy says, and a contract keeps its shape. At the end each event is compared with what was
written. Called by `make demo DEMO=contracts` in the environment of the test stack."""
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

import psycopg2
from confluent_kafka import Consumer, TopicPartition

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "lib")]
from harness import Registry  # noqa: E402
from running import DIR, FRESHET, Freshet, connect, database, say  # noqa: E402

WRITERS, SEEDS, AT_A_TIME = 4, 300, 200  # so many rows before; so many events of a table between two steps
TOPIC, LETTERS = "shop.public.", "freshet.contracts.dlq"
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
                time.sleep(self.rnd.random() * 0.05)
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


class Topics(threading.Thread):
    """Reads along, from the beginning, only what was committed; what it read is in self.messages, by table."""

    def __init__(self):
        super().__init__(daemon=True)
        self.registry, self.messages, self.error = Registry(os.environ["REGISTRY_URL"]), collections.defaultdict(list), None
        self.consumer = Consumer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"], "group.id": "demo", "enable.auto.commit": False,
                                  "isolation.level": "read_committed"})
        known = self.consumer.list_topics(timeout=20).topics
        self.consumer.assign([TopicPartition(t, p, 0) for t in [LETTERS, *(TOPIC + table for table in SHAPES)] for p in known[t].partitions])
        self.start()

    def run(self):
        while not self.error:
            for m in self.consumer.consume(1000, 0.1):
                if m.error() and not m.error().retriable():
                    self.error = m.error()
                elif m.value() is not None and not m.error():  # no tombstone
                    self.messages[m.topic().removeprefix(TOPIC)].append(m)

    def count(self, table):
        return len(self.messages[table])

    def total(self):
        return sum(self.count(table) for table in SHAPES)

    def version(self, m):
        return int.from_bytes(m.value()[1:5], "big")

    def event(self, table, m):
        """Decoded with the schema that the message names; nothing else is known of it."""
        e = self.registry.decode(m.value())
        return identity(table, e["op"], next(iter(self.registry.decode(m.key()).values())), e["after"])

    def events(self):
        return [self.event(table, m) for table in SHAPES for m in self.messages[table]]

    def letters(self):
        """What became a dead letter, and how many only for the sake of an earlier one of their key."""
        out, parked = [], 0
        for m in self.messages[LETTERS]:
            d = json.loads(m.value())
            parked += dict(m.headers())["freshet.parked"] == b"true"
            row = d["before"] if d["op"] == "d" else d["after"]
            out.append(("orders", d["op"], int(row["id"]), None if d["op"] == "d" else int(row["rev"])))
        return out, parked

    def versions(self, table):
        with urllib.request.urlopen(f"{self.registry.url}/subjects/{TOPIC}{table}-value/versions", timeout=20) as r:
            return len(json.load(r))


def short(i):
    """Which event of which row, whatever it says."""
    return i[:3] + (dict(i[3])["rev"] if i[3] else None,)


def compare(want, got):
    """How many events are lost, there more than once, and not as they were written."""
    w, g = collections.Counter(map(short, want)), collections.Counter(map(short, got))
    wrong = {short(i) for i in set(got) - set(want)}
    return sum((w - g).values()), sum((g - w).values()), len(wrong)


def out_of_order(events):
    """Rows whose events are not in the order in which they were written: each counts its revisions."""
    last, bad = {}, set()
    for i in events:
        at = 1 << 30 if i[1] == "d" else int(short(i)[3])
        if at < last.get((i[0], i[2]), 0):
            bad.add((i[0], i[2]))
        last[i[0], i[2]] = at
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

    def status(self):
        """The tables of the source by name, and how many rows broke each rule."""
        p = subprocess.run([FRESHET, "--config", self.config, "status", "--json"], stdout=subprocess.PIPE, text=True)
        source = next(s for s in json.loads(p.stdout)["result"]["status"]["parts"] if s["kind"] == "source")
        return {t["name"]: t for t in source["tables"]}, {v["rule"]: v["count"] for v in source["violations"]}

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
        self.q, self.t = connect(self.source).cursor(), connect(self.target).cursor()
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
        self.f.wait("both rules to be broken", lambda: {"email.matches", "total.range"} - set(self.f.status()[1]))
        broken = self.f.status()[1]
        say("orders that break a rule are dead letters. Status: " + ", ".join(f"{n} of {rule}" for rule, n in sorted(broken.items())))

    def held(self, table, key, what, statement):
        self.ddl(statement, table)
        self.f.hear(f"{table} to be held", f"public.{table} is held", what)
        self.go_on("visits", "orders", "stock")  # what was under way is there now
        stands = self.topics.count(table)
        self.go_on("visits", "orders", "stock")
        if self.topics.count(table) != stands:
            self.f.fail(f"{table} is held, and has more events than before")
        held = self.f.status()[0][f"public.{table}"]["held"]
        say(f"{table}, {key}: block: held after {stands} events, the others go on; {held['waiting']} wait. Status: {held['why']} [{held['code']}]")

    def widened(self):
        self.held("payments", "change_type", "~amount", "alter table payments alter column amount type bigint")
        self.f.edit(("{change_type: block}} # the default", "{change_type: evolve}}"))
        self.f.stop()
        self.f.start()
        self.f.hear("payments to be caught up", "public.payments goes on: caught up")
        self.go_on("payments")
        self.f.wait("the type in the sink", lambda: None if self.sink_has("payments", "amount") == "bigint" else "not bigint")
        say(f"payments: evolve, and a restart: caught up. The registry has {self.topics.versions('payments')} versions, the sink's amount is bigint")

    def renamed(self):
        self.held("customers", "rename_column", "fname->full_name", "alter table customers rename column fname to full_name")

    def dropped(self):
        self.ddl("alter table stock drop column shelf", "stock")
        line = self.f.hear("the source to stop", "schema.on_change.drop_column says stop")
        say(f"stock, drop_column: stop: the whole source waits. The log: {line.split(' msg=')[-1].strip()}")
        self.f.kill()  # the sinks run on; or it has ended by itself
        self.f.edit(("{compatibility: BACKWARD, on_change: {rename_column: block}} # the default",
                     "{compatibility: NONE, on_change: {rename_column: evolve}}"),
                    ("{drop_column: stop}", "{drop_column: evolve}"))
        self.f.start()
        self.f.hear("customers to be caught up", "public.customers is caught up from")
        self.f.kill()
        done = self.f.said("public.customers goes on: caught up")
        say("killed after customers was caught up" if done else "killed while customers is caught up")
        self.f.start()
        if not done:
            self.f.hear("customers to be caught up", "public.customers goes on: caught up")
        self.go_on("customers", "stock")
        say(f"customers and stock: evolve: caught up. "
            f"The registry has {self.topics.versions('customers')} and {self.topics.versions('stock')} versions")

    def work(self):
        self.topics = Topics()
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

    def judge(self):
        """What has to be published, and what must not be: rows that break a rule, and what comes of their key later."""
        bad, good = set(), []
        for table, op, key, row in self.written:
            if table == "orders" and (key in bad or not fits(row)):
                bad.add(key)
            else:
                good.append(identity(table, op, key, published_as(table, row)))
        letters = [(t, op, key, None if op == "d" else row["rev"]) for t, op, key, row in self.written if t == "orders" and key in bad]
        return good, letters

    def targets_differ(self):
        """The sink holds what the source does, but for orders that break a rule. A rename sends no rows again, so the names of
        customers from before stand in the column that they were sent in."""
        for table in SHAPES:
            names = [n for n in self.columns(self.q, table) if (table, n) not in (("orders", "margin"),)]
            where = " where email not like '%% %%' and total <= 100000" if table == "orders" else ""
            instead = {("orders", "id"): "order_id", ("customers", "full_name"): "coalesce(full_name, fname)"}
            theirs = [instead.get((table, n), n) for n in names]
            self.q.execute(f"select {', '.join(names)} from {table}{where} order by id")
            self.t.execute(f"select {', '.join(theirs)} from {table} order by 1")
            if self.q.fetchall() != self.t.fetchall():
                return table
        return None

    @staticmethod
    def columns(q, table):
        q.execute("select column_name from information_schema.columns where table_schema = 'public' and table_name = %s"
                  " order by ordinal_position", (table,))
        return [r[0] for r in q.fetchall()]

    def finish(self):
        good, letters = self.judge()
        for what, have, want in (("events", self.topics.total, len(good)), ("dead letters", lambda: self.topics.count(LETTERS), len(letters))):
            self.f.wait(f"all {what}", lambda: None if have() >= want else f"{have()} of {want}", 60)
        self.f.wait("the sink to be equal", self.targets_differ, 60)
        time.sleep(1)  # what is there twice may come late
        got, (dead, parked) = self.topics.events(), self.topics.letters()
        lost, twice, wrong = compare(good, got)
        faults = lost, twice, wrong + self.too_wide(), out_of_order(got)
        want, have = collections.Counter(letters), collections.Counter(dead)
        of_dead = sum((want - have).values()), sum((have - want).values())
        print(f"\n{'':<44}{'events':>8}{'lost':>8}{'twice':>8}{'wrong':>8}{'out of order':>14}")
        print(f"{'freshet: each by the schema it names':<44}{len(got):>8}" + "{:>8}{:>8}{:>8}{:>14}".format(*faults))
        print(f"{'freshet: dead letters of orders':<44}{len(dead):>8}{of_dead[0]:>8}{of_dead[1]:>8}")
        caught = self.controls(good, got)
        ids = {t: len({self.topics.version(m) for m in self.topics.messages[t]}) for t in SHAPES}
        print("schemas in use: " + ", ".join(f"{t} {n}" for t, n in ids.items()), flush=True)
        if any(faults) or any(of_dead) or not caught or ids != {t: 1 if t == "orders" else 2 for t in SHAPES} or not parked:
            self.f.fail("that is not how it should be")
        self.f.look()
        print(f"each event once, in order, by the schema that its row had; the sink is equal; peak memory {self.f.peak / 1024:.0f} MiB", flush=True)

    def newer(self, table):
        """The schema that the table began with, and the messages that do not name it."""
        old = self.topics.version(self.topics.messages[table][0])
        return old, [m for m in self.topics.messages[table] if self.topics.version(m) != old]

    def too_wide(self):
        """Payments of the schema that says int, which are none; a reader in Python would not mind."""
        old, _ = self.newer("payments")
        rows = [self.topics.registry.decode(m.value())["after"] for m in self.topics.messages["payments"] if self.topics.version(m) == old]
        return sum(row is not None and row["amount"] >= 1 << 31 for row in rows)

    def controls(self, good, got):
        """The comparison must see what is wrong, or it shows nothing: one event taken away, one put in twice, one changed; and
        the customers, read by the schema of before."""
        at = next(n for n, i in enumerate(got) if n > 5 and i[3])
        changed = got[at][:3] + (tuple((n, v if n == "rev" else "x") for n, v in got[at][3]),)
        spoiled = got[1:at] + [changed, got[5]] + got[at + 1:]
        seen = compare(good, spoiled)
        print(f"{'control: one lost, one twice, one changed':<44}{len(spoiled):>8}" + "{:>8}{:>8}{:>8}".format(*seen))
        (old, newer), wrong = self.newer("customers"), 0
        for m in newer:
            e = self.topics.registry.decode(m.value()[:1] + old.to_bytes(4, "big") + m.value()[5:])
            wrong += e["op"] != "d" and "full_name" not in e["after"]
        print(f"{'control: customers by the schema of before':<44}{len(newer):>8}{'':>16}{wrong:>8}")
        return seen == (1, 1, 1) and wrong > 0


def main():
    d = Demo()
    d.f.verb("apply", "--yes", "--source-objects")
    d.work()
    d.finish()
    if os.environ.get("KEEP") == "1":
        d.f.keep_running(("KAFKA_BOOTSTRAP", "REGISTRY_URL", "SOURCE_DSN", "TARGET_DSN", "DEMO_SOCKET", "DEMO_CACHE", "DEMO_LISTEN"),
                         [f"{FRESHET} -c {d.f.config} tap shop/public.orders",
                          f"psql {d.source} -c \"alter table visits drop column page\" -c \"insert into visits values (999001, 0)\""])
    else:
        d.f.stop()


main()
