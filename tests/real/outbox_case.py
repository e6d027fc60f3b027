"""What the tests of outboxes share: 50 writers, whose aggregates count their events, and the check of what came of
them. Not a test itself."""
import os
import random
import threading
import time

import psycopg2
import pymysql
from harness import case, eventually, read_topics, topics_of

# Transactions per run.
TRANSACTIONS = int(os.environ.get("FRESHET_TEST_OUTBOX_TRANSACTIONS", "1500"))
KINDS = ("order", "invoice")
AGGREGATES = 12
LOCKED = (psycopg2.errors.LockNotAvailable, pymysql.err.OperationalError)


def is_locked(e):
    """Somebody else has that row (MySQL, MariaDB)."""
    return isinstance(e, psycopg2.Error) or e.args[0] in (3572, 1205)


class Writers:
    """50 at once. Each transaction locks an aggregate, inserts its next events, and three of ten roll back: so the
    events of an aggregate that count are those with 1, 2, 3 ..., committed in that order. Nobody waits for a lock: on
    MySQL a statement that does keeps the snapshots of other tests from beginning (FLUSH TABLES WITH READ LOCK). delete:
    some of them go again in the same transaction, which is no matter to a log."""

    def __init__(self, connect, transactions=TRANSACTIONS, delete=True):
        self.connect, self.left, self.delete, self.lock = connect, transactions, delete, threading.Lock()
        self.errors, self.threads = [], [threading.Thread(target=self.kept, args=(i,)) for i in range(50)]

    def kept(self, seed):
        try:
            self.write(seed)
        except Exception as e:  # noqa: BLE001 the case fails by it, when all have ended
            self.errors.append(e)

    def write(self, seed):
        rnd = random.Random(seed)
        c = self.connect()
        q = c.cursor()
        returning = " returning id" if type(c).__module__.startswith("psycopg2") else ""
        while self.left > 0:
            aggregate = rnd.randrange(AGGREGATES)
            try:
                q.execute("select n from aggregate where id = %s for update nowait", (aggregate,))
            except LOCKED as e:
                c.rollback()
                if not is_locked(e):
                    raise
                time.sleep(rnd.random() * 0.01)
                continue
            n = q.fetchone()[0]
            with self.lock:
                self.left -= 1
            events = rnd.randint(1, 3)
            for i in range(n + 1, n + events + 1):
                q.execute("insert into outbox(aggregatetype, aggregateid, type, payload) values (%s, %s, %s, %s)"
                          + returning, (KINDS[aggregate % 2], f"a{aggregate}", "counted", str(i)))
                if self.delete and rnd.random() < 0.5:
                    number = q.fetchone()[0] if returning else q.lastrowid
                    q.execute("delete from outbox where id = %s", (number,))
            q.execute("update aggregate set n = n + %s where id = %s", (events, aggregate))
            time.sleep(rnd.random() * 0.01)
            (c.rollback if rnd.random() < 0.3 else c.commit)()
        c.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        for t in self.threads:
            t.join()
        assert not self.errors, f"{len(self.errors)} writers failed, as with {self.errors[0]!r}"


def ledger(p):
    """How many events each aggregate has, as its database counts them."""
    return {f"a{i}": (KINDS[i % 2], int(n)) for i, n in p.sql("select id, n from aggregate")}


def events(p):
    """(key, kind, number, id) in the order of each partition."""
    topics = [t for t in topics_of(p.bootstrap, p.id) if t.startswith(p.id + ".event.")]
    return [(m.key().decode(), m.topic().rsplit(".", 1)[1], int(m.value()), dict(m.headers())["id"])
            for m in read_topics(p.bootstrap, topics)]


def faults(want, got):
    """What is wrong with these events: missed, repeated, out of order; nothing is good."""
    out, by_key = [], {}
    for key, kind, n, number in got:
        by_key.setdefault((key, kind), []).append(n)
    ids = [e[3] for e in got]
    if len(set(ids)) != len(ids):
        out.append(f"{len(ids) - len(set(ids))} ids came twice")
    for key, (kind, count) in want.items():
        ns = by_key.pop((key, kind), [])
        if len(set(ns)) < count:
            out.append(f"{key}: {count - len(set(ns))} of {count} missed")
        if len(ns) > len(set(ns)):
            out.append(f"{key}: {len(ns) - len(set(ns))} repeated")
        if ns != sorted(ns):
            out.append(f"{key}: out of order")
        if set(ns) - set(range(1, count + 1)):
            out.append(f"{key}: some were never committed")
    return out + [f"{key} is in topic {kind}" for key, kind in by_key]


def control(want, got):
    """The check must see each kind of fault: else it proves nothing."""
    one = next(i for i in range(len(got)) if got[i][2] == 1)
    later = next(i for i in range(one + 1, len(got)) if got[i][0] == got[one][0])
    swapped = list(got)
    swapped[one], swapped[later] = got[later], got[one]
    for name, broken in (("missed", got[:one] + got[one + 1:]), ("repeated", got + [got[one]]), ("order", swapped),
                         ("never", got + [(got[one][0], got[one][1], 10**6, b"x")])):
        seen = faults(want, broken)
        assert any(name in f for f in seen), f"the check does not see {name}: {seen}"


def written(name, p, connect, kills, follows, delete=True):
    """p has the tables aggregate(id, n) and outbox; connect gives a connection without autocommit.
    follows: what it says once it has begun."""
    with case(name, p):
        p.start()
        p.says(follows)
        killed = 0
        with Writers(connect, delete=delete) as w:
            while kills and any(t.is_alive() for t in w.threads):
                time.sleep(0.7)
                p.kill()
                p.start()
                killed += 1
        want = ledger(p)
        total = sum(n for _, n in want.values())
        got = []

        def all_there():
            got[:] = events(p)
            return len(got) >= total
        eventually(f"all of {total} events", all_there, 90, 0.5)
        assert not faults(want, got), faults(want, got)
        control(want, got)
        assert p.stop() == 0
        print(f"   {name}: {total} events of {len(want)} aggregates, {killed} kills: 0 missed, 0 repeated, 0 out of order")
