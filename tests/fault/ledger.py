"""The workload and the checker of all fault tests.

gen: W writers over four tables. Each transaction touches 1 to 20 rows (insert, update, delete,
key change; some are rolled back, some use savepoints, a few are large) and inserts one row
into `ledger` in the same transaction, so that an unknown outcome is settled by the database
itself. Every row carries (writer, seq, ver); keys belong to one writer, ver only grows.

chk: reads every topic from the beginning with somebody else's client and Avro reader, and
counts what is lost, doubled, torn, out of order, and what differs between the fold of the
events, the source and the target.
"""
import json
import os
import random
import sys
import threading
import time

import psycopg2
import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clickhouse  # noqa: E402
import harness  # noqa: E402
import mysql  # noqa: E402
from harness import Registry, read_topics  # noqa: E402

TABLES = ["t1", "t2", "t3", "t4"]
COLUMNS = ("id", "writer", "seq", "ver", "payload", "big")  # tests may add others
DatabaseError = (psycopg2.Error, pymysql.Error, clickhouse.Error)
ConnectionLost = (psycopg2.OperationalError, psycopg2.InterfaceError, pymysql.OperationalError,
                  pymysql.InterfaceError)


def is_mysql(dsn):
    return dsn.startswith("mysql://")


def connect(dsn, autocommit=True, **more):
    """Source and target may be of either family; the target a ClickHouse, too."""
    if is_mysql(dsn):
        return mysql.connect(dsn, autocommit=autocommit, **more)
    if clickhouse.is_clickhouse(dsn):
        return clickhouse.Connection(dsn)
    c = harness.connect(dsn, **more)
    c.autocommit = autocommit
    return c


def create_mysql(dsn, rows):
    c = connect(dsn)
    q = c.cursor()
    for t in TABLES:
        q.execute(
            f"create table {t} (id bigint primary key, writer int not null, seq bigint not null,"
            " ver bigint not null, payload text, big text)"
        )
        q.executemany(f"insert into {t} values (%s, 0, 0, 0, %s, %s)",
                      [(-g, f"before {g}", str(g) * 30) for g in range(1, rows + 1)])
    q.execute(
        "create table ledger (writer int, seq bigint, txid bigint not null, nrows int not null,"
        " primary key (writer, seq))"
    )
    c.close()


def create(dsn, rows=200):
    """Tables, publication, and rows for the snapshot to find."""
    if is_mysql(dsn):
        create_mysql(dsn, rows)
        return
    c = connect(dsn)
    q = c.cursor()
    for t in TABLES:
        q.execute(
            f"create table {t} (id bigint primary key, writer int not null, seq bigint not null,"
            " ver bigint not null, payload text, big text)"
        )
        q.execute(
            f"insert into {t} select -g, 0, 0, 0, 'before ' || g, repeat(md5(g::text), 3)"
            f" from generate_series(1, {rows}) g"
        )
    q.execute(
        "create table ledger (writer int, seq bigint, txid bigint not null, nrows int not null,"
        " primary key (writer, seq))"
    )
    q.execute("create publication ledger_pub for table t1, t2, t3, t4, ledger")
    c.close()


class Writer(threading.Thread):
    """One writer with its own keys. Survives every kind of lost connection."""

    def __init__(self, dsn, number, seed, stop, pace=0.002, large=0.01):
        super().__init__(daemon=True)
        self.dsn, self.number, self.stopping = dsn, number, stop
        self.random = random.Random(f"{seed}/{number}")
        self.pace, self.large = pace, large
        self.live = {t: {} for t in TABLES}  # id -> True
        self.next_id = number * 10_000_000 + 1
        self.seq, self.ver = 0, 0
        self.committed = self.rolled_back = self.unknown = 0
        self.connection = None
        self.error = None

    def reconnect(self):
        while not self.stopping.is_set():
            try:
                self.connection = connect(self.dsn, autocommit=False, connect_timeout=3)
                return True
            except DatabaseError:
                time.sleep(0.05)
        return False

    def version(self):
        self.ver += 1
        return self.ver

    def insert(self, q, t, live):
        i, self.next_id = self.next_id, self.next_id + 1
        q.execute(
            f"insert into {t} ({', '.join(COLUMNS)}) values (%s, %s, %s, %s, %s, %s)",
            (i, self.number, self.seq, self.version(), f"row {i} \u2713", "x" * self.random.randint(0, 200)),
        )
        live[t][i] = True
        return 1

    def pick(self, t, live):
        keys = live[t]
        if not keys:
            return None
        return self.random.choice(list(keys)) if len(keys) < 50 else next(iter(keys))

    def one(self, q, live):
        t = self.random.choice(TABLES)
        what = self.random.random()
        i = self.pick(t, live)
        if i is None or what < 0.45:
            return self.insert(q, t, live)
        if what < 0.75:
            q.execute(
                f"update {t} set seq = %s, ver = %s, payload = %s where id = %s",
                (self.seq, self.version(), f"updated by {self.seq}", i),
            )
        elif what < 0.9:
            q.execute(f"delete from {t} where id = %s", (i,))
            del live[t][i]
        else:
            new, self.next_id = self.next_id, self.next_id + 1
            q.execute(
                f"update {t} set id = %s, seq = %s, ver = %s where id = %s",
                (new, self.seq, self.version(), i),
            )
            del live[t][i]
            live[t][new] = True
        return 1

    def many(self, q, t, live, count):
        first, self.next_id = self.next_id, self.next_id + count
        base = self.ver
        self.ver += count
        if is_mysql(self.dsn):
            q.executemany(f"insert into {t} ({', '.join(COLUMNS)}) values (%s, %s, %s, %s, 'one of many', null)",
                          [(first + g, self.number, self.seq, base + g + 1) for g in range(count)])
        else:
            q.execute(
                f"insert into {t} select %s + g, %s, %s, %s + g + 1, 'one of many', null"
                " from generate_series(0, %s - 1) g",
                (first, self.number, self.seq, base, count),
            )
        for i in range(first, first + count):
            live[t][i] = True
        return count

    def transaction(self):
        live = {t: dict(k) for t, k in self.live.items()}
        self.seq += 1
        q = self.connection.cursor()
        rows = 0
        if self.random.random() < self.large:
            rows += self.many(q, self.random.choice(TABLES), live, 2000)
        for _ in range(self.random.randint(1, 20)):
            rows += self.one(q, live)
        if self.random.random() < 0.02:
            q.execute("savepoint s")
            self.many(q, "t1", {t: {} for t in TABLES}, 5)
            q.execute("rollback to savepoint s")
        if self.random.random() < 0.1:
            self.connection.rollback()
            self.rolled_back += 1
            return
        txid = "0" if is_mysql(self.dsn) else "txid_current()"
        q.execute(f"insert into ledger values (%s, %s, {txid}, %s)", (self.number, self.seq, rows))
        try:
            self.connection.commit()
        except DatabaseError:
            self.settle(live)
            return
        self.live = live
        self.committed += 1

    def settle(self, live):
        """The connection died in COMMIT: the ledger says what became of it."""
        self.unknown += 1
        if not self.reconnect():
            return
        q = self.connection.cursor()
        q.execute("select 1 from ledger where writer = %s and seq = %s", (self.number, self.seq))
        if q.fetchone():
            self.live = live
            self.committed += 1
        self.connection.rollback()

    def run(self):
        try:
            self.loop()
        except Exception as e:  # shown by whoever joins us
            self.error = e

    def loop(self):
        if not self.reconnect():
            return
        while not self.stopping.is_set():
            try:
                self.transaction()
            except ConnectionLost:
                if not self.reconnect():
                    return
            if self.pace:
                time.sleep(self.random.random() * 2 * self.pace)
        try:
            self.connection.close()
        except DatabaseError:
            pass


class Workload:
    def __init__(self, dsn, writers=4, seed=1, pace=0.004, large=0.01):
        self.stop_event = threading.Event()
        self.writers = [
            Writer(dsn, n + 1, seed, self.stop_event, pace, large) for n in range(writers)
        ]

    def start(self):
        for w in self.writers:
            w.start()
        return self

    def stop(self):
        self.stop_event.set()
        for w in self.writers:
            w.join(60)
            if w.error is not None:
                raise w.error
            if w.is_alive():
                raise RuntimeError(f"writer {w.number} does not end")

    def committed(self):
        return sum(w.committed for w in self.writers)


class Verdict:
    def __init__(self):
        self.lost = self.doubled = self.torn = self.disorder = self.unknown = 0
        self.torn_groups = set()
        self.fold_differs = self.target_differs = 0
        self.transactions = self.events = self.uncommitted_extra = 0
        self.notes = []

    def zero(self):
        return not (
            self.lost or self.doubled or self.torn or self.disorder or self.unknown
            or self.fold_differs or self.target_differs
        )

    def note(self, text, first=False):
        if first:
            self.notes.insert(0, text)
        elif len(self.notes) < 20:
            self.notes.append(text)

    def __str__(self):
        return (
            f"{self.transactions} transactions, {self.events} events: {self.lost} lost,"
            f" {self.doubled} doubled, {self.torn} torn, {self.disorder} out of order,"
            f" {self.unknown} unknown, fold differs {self.fold_differs}, target differs"
            f" {self.target_differs}"
        )


def rows_of(dsn, table):
    c = connect(dsn)
    q = c.cursor()
    q.execute(f"select {', '.join(COLUMNS)} from {table}")
    rows = {r[0]: r[1:] for r in q.fetchall()}
    c.close()
    return rows


def ledger_of(dsn):
    c = connect(dsn)
    q = c.cursor()
    q.execute("select writer, seq, nrows from ledger")
    rows = {(writer, seq): nrows for writer, seq, nrows in q.fetchall()}
    c.close()
    return rows


class Check:
    """A transaction is what shares epoch and commit position; its ledger row says which one it is."""

    def __init__(self, bootstrap, registry_url, prefix, dsn, target_dsn=None, others=False):
        """others: transactions have rows of other tables too (triggers made them), which ordinals count."""
        self.others = others
        self.bootstrap, self.registry = bootstrap, Registry(registry_url)
        self.prefix, self.dsn, self.target_dsn = prefix, dsn, target_dsn
        self.space = mysql.parts(dsn)["database"] if is_mysql(dsn) else "public"
        self.v = Verdict()
        self.seen = {}  # (epoch, position) -> {(ordinal, topic, key, op)}
        self.names = {}  # (epoch, position) -> (writer, seq)
        self.snapshot_ledger = set()
        self.fold = {t: {} for t in TABLES}
        self.last = {}  # (table, id) -> ver

    def event(self, m):
        table = m.topic().rsplit(".", 1)[1]
        if m.value() is None:
            return
        e = self.registry.decode(m.value())
        self.v.events += 1
        source, op, after = e["source"], e["op"], e["after"]
        if op != "r":
            group = (source["epoch"], json.loads(source["sequence"])[0])
            place = (source["ordinal"], table, m.key(), op)
            places = self.seen.setdefault(group, set())
            if place in places:
                self.v.doubled += 1
                self.v.note(f"doubled: transaction {group} {place} at {m.partition()}@{m.offset()}")
            places.add(place)
        if table == "ledger":
            name = (after["writer"], after["seq"])
            if op == "r":
                self.v.doubled += name in self.snapshot_ledger
                self.snapshot_ledger.add(name)
            else:
                self.names[group] = name
            return
        if op == "d":
            self.fold[table].pop(e["before"]["id"], None)
            return
        key = (table, after["id"])
        if op == "r" and after["id"] in self.fold[table] and self.last.get(key) == after["ver"]:
            return  # read again at a later view, with the same content
        if after["ver"] < self.last.get(key, -1) or (op != "r" and after["ver"] == self.last.get(key)):
            self.v.disorder += 1
            self.v.note(f"out of order: {table} {after['id']} ver {after['ver']} after {self.last[key]}")
        self.last[key] = after["ver"]
        if "big" in e["unavailable"]:
            old = self.fold[table].get(after["id"])
            after = dict(after, big=old[-1] if old else None)
        self.fold[table][after["id"]] = tuple(after[c] for c in COLUMNS[1:])

    def whole(self):
        """Each transaction of the ledger, complete, and nothing beside them."""
        ledger = ledger_of(self.dsn)
        self.v.transactions = len(ledger)
        groups = {}
        for group, places in self.seen.items():
            name = self.names.get(group)
            if name not in ledger:
                self.v.unknown += 1
                self.v.note(f"no ledger row for transaction {group} of {len(places)} rows")
            elif name in groups:
                self.v.doubled += 1
                self.v.note(f"doubled: {name} is both {groups[name]} and {group}")
            groups[name] = group
        for (writer, seq), nrows in ledger.items():
            group = groups.get((writer, seq))
            if group is None and (writer, seq) in self.snapshot_ledger:
                continue
            ordinals = {place[0] for place in self.seen.get(group, ())}
            if not ordinals:
                self.v.lost += 1
                self.v.note(f"lost: the transaction of writer {writer} seq {seq}")
            elif len(ordinals) != nrows + 1 or not self.others and ordinals != set(range(nrows + 1)):
                self.v.torn += 1
                self.v.torn_groups.add(group)
                self.v.note(f"torn: transaction {group} has {len(ordinals)} of {nrows + 1} rows")

    def compare(self, what, left, right):
        wrong = 0
        for k in left.keys() | right.keys():
            if left.get(k) != right.get(k):
                wrong += 1
                self.v.note(f"{what}: id {k}: {'missing' if k not in left else 'differs or extra'}")
        return wrong

    def run(self):
        topics = [f"{self.prefix}.{self.space}.{t}" for t in TABLES + ["ledger"]]
        messages = read_topics(self.bootstrap, topics)
        for m in messages:
            self.event(m)
        self.whole()
        for t in TABLES:
            source = rows_of(self.dsn, t)
            self.v.fold_differs += self.compare(f"fold of {t}", self.fold[t], source)
            if self.target_dsn:
                self.v.target_differs += self.compare(f"target {t}", rows_of(self.target_dsn, t), source)
        everything = read_topics(self.bootstrap, topics, committed=False)
        self.v.uncommitted_extra = len(everything) - len(messages)
        if self.v.torn_groups:
            self.explain(everything)
        return self.v

    def explain(self, everything):
        """Are the rows that torn transactions lack in Kafka, in transactions that were not committed? Where?"""
        there = {}
        for m in everything:
            e = self.registry.decode(m.value()) if m.value() is not None else None
            if e is None or e["op"] == "r":
                continue
            group, table = (e["source"]["epoch"], json.loads(e["source"]["sequence"])[0]), m.topic().rsplit(".", 1)[1]
            if group in self.v.torn_groups and (e["source"]["ordinal"], table, m.key(), e["op"]) not in self.seen[group]:
                there.setdefault((table, m.partition()), []).append(m.offset())
        for (table, partition), offsets in sorted(there.items()):
            self.v.note(f"not committed: {table}[{partition}] offsets {offsets[0]} to {offsets[-1]}: {len(offsets)} rows of torn transactions", True)
        if not there:
            self.v.note("what torn transactions lack is not in Kafka at all", True)
        have = {}
        for group in self.v.torn_groups:
            for place in self.seen[group]:
                have[place[1]] = have.get(place[1], 0) + 1
        self.v.note(f"rows that torn transactions have: {have}", True)
