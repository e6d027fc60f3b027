#!/usr/bin/env python3
"""The demo of outboxes: 50 writers, whose orders count their events, freshet that is killed meanwhile, and a poller that
everybody writes first. Called by `make demo DEMO=outbox` in the environment of the test stack."""
import json
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "lib")]
from harness import read_topics, topics_of  # noqa: E402
from running import DIR, FRESHET, Freshet, Writers, connect, database, say  # noqa: E402

WRITERS, TRANSACTIONS, ORDERS, KILLS = 50, 5000, 500, 3
TABLES = {"tailed": "outbox.event", "polled": "event"}  # and what their topics begin with
KINDS = ("order", "invoice")


def happen(q, rnd, _):
    """Locks an order, and adds its next event to both outboxes: so the events of an order that count are those with
    1, 2, 3 ..., committed in that order."""
    order = rnd.randrange(ORDERS)
    q.execute("update orders set events = events + 1 where order_id = %s returning events", (order,))
    n = q.fetchone()[0]
    for table in TABLES:
        q.execute(f"insert into outbox_{table} (aggregatetype, aggregateid, type, payload) values (%s, %s, 'changed', %s)",
                  (KINDS[order % 2], str(order), json.dumps({"order": order, "n": n})))


class Naive(threading.Thread):
    """What is above the highest id that was seen: the control. If it missed nothing, nothing was shown."""

    def __init__(self, dsn):
        super().__init__()
        self.q, self.over, self.seen = connect(dsn).cursor(), threading.Event(), set()
        self.start()

    def run(self):
        last = 0
        while not self.over.is_set():
            self.q.execute("select id, aggregateid, (payload->>'n')::int from outbox_tailed where id > %s", (last,))
            for number, order, n in self.q.fetchall():
                self.seen.add((order, n))
                last = max(last, number)
            time.sleep(0.1)

    def end(self):
        time.sleep(0.3)
        self.over.set()
        self.join()


def messages(prefix):
    """(order, number of its event, id of the row) in the order of each partition, and how many came under a wrong key or topic."""
    bootstrap, out, wrong = os.environ["KAFKA_BOOTSTRAP"], [], 0
    for m in read_topics(bootstrap, topics_of(bootstrap, prefix)):
        value = json.loads(m.value())
        key = m.key().decode()
        wrong += key != str(value["order"]) or m.topic() != f"{prefix}.{KINDS[value['order'] % 2]}"
        out.append((key, value["n"], dict(m.headers())["id"]))
    return out, wrong


def count(want, got):
    """Missed, repeated, out of order."""
    numbers = {}
    for order, n, _ in got:
        numbers.setdefault(order, []).append(n)
    missed = sum(events - len(set(numbers.get(order, []))) for order, events in want.items())
    repeated = sum(len(ns) - len(set(ns)) for ns in numbers.values())
    return missed, repeated, sum(1 for ns in numbers.values() if ns != sorted(ns))


class Demo:
    def __init__(self):
        self.dsn = database(os.environ["PG_DSN"], "shop")
        os.environ.update(SOURCE_DSN=self.dsn, DEMO_SOCKET=os.path.join(DIR, "freshet.sock"), DEMO_CACHE=os.path.join(DIR, "cache"))
        self.q = connect(self.dsn).cursor()
        with open(os.path.join(HERE, "schema.sql")) as f:
            self.q.execute(f.read())
        self.q.execute("insert into orders select i from generate_series(0, %s) i", (ORDERS - 1,))

    def work(self, f):
        say(f"{WRITERS} writers, {TRANSACTIONS} transactions that are committed late, 30 % rolled back; SIGKILL {KILLS} times meanwhile")
        naive, writers = Naive(self.dsn), Writers(self.dsn, WRITERS, TRANSACTIONS, happen, 1)
        f.work_through(writers, KILLS)
        naive.end()
        self.q.execute("select order_id::text, events from orders where events > 0")
        self.want = dict(self.q.fetchall())
        self.total = sum(self.want.values())
        say(f"the writers are done: {self.total} events of {len(self.want)} orders were committed")
        f.wait("all events in Kafka, one outbox empty", self.differs)
        return naive

    def differs(self):
        self.got = {table: messages(prefix) for table, prefix in TABLES.items()}
        for table, (got, _) in self.got.items():
            if len(got) < self.total:
                return f"{len(got)} of {self.total} events of outbox_{table} are there"
        self.q.execute("select count(*) from outbox_polled")
        left = self.q.fetchone()[0]
        return f"{left} rows of outbox_polled are not deleted" if left else None

    def show(self, naive):
        """What came, by reading all of it: 0 where all is well; whether all is."""
        missed = self.total - len(naive.seen)
        print(f"\n{'':<28}{'events':>8}{'missed':>8}{'repeated':>10}{'out of order':>14}{'misplaced':>11}")
        print(f"{'naive: id > last':<28}{len(naive.seen):>8}{missed:>8}")
        good = missed > 0
        for table, (got, wrong) in self.got.items():
            faults = count(self.want, got) + (wrong,)
            good = good and not any(faults) and len(got) == self.total
            print(f"{'freshet: ' + table:<28}{len(got):>8}{faults[0]:>8}{faults[1]:>10}{faults[2]:>14}{faults[3]:>11}")
        return good


def main():
    d = Demo()
    f = Freshet(os.path.join(HERE, "freshet.yaml"))
    f.verb("plan", may=(0, 4))
    f.verb("apply", "--yes", "--source-objects")
    f.start()
    f.wait("both sources to begin", lambda: "not yet" * (not all(any(t in line for line in f.lines()) for t in ("stream from", "polls 1 table"))))
    good = d.show(d.work(f))
    f.look()
    if not good:
        f.fail("that is not how it should be")
    print(f"each event once, in the order of its order; outbox_polled is empty; peak memory {f.peak / 1024:.0f} MiB", flush=True)
    if os.environ.get("KEEP") == "1":
        f.keep_running(("KAFKA_BOOTSTRAP", "REGISTRY_URL", "SOURCE_DSN", "DEMO_SOCKET", "DEMO_CACHE", "DEMO_LISTEN"),
                       [f"{FRESHET} -c {f.config} tap event.order",
                        f"psql {d.dsn} -c \"insert into outbox_polled (aggregatetype, aggregateid, type, payload) values ('order', '1', 'said', '{{}}')\""])
    else:
        f.stop()


main()
