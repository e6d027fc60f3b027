"""How long a stream stands still at an ALTER that it may follow, while the table is written to."""
import os
import statistics
import threading
import time

from confluent_kafka import Consumer
from lib import N, Daemon, connect, create_topic, database, say, sql

RATE, ROWS_AT_ONCE = 5000, 50  # rows a second; of a transaction
BEFORE, AFTER = 3.0, 2.0       # seconds that are looked at


class Arrivals(threading.Thread):
    """When the messages of a topic come, as a read_committed consumer has them."""

    def __init__(self, topic):
        super().__init__(daemon=True)
        self.over, self.times, self.count, self.ids = False, [], 0, set()
        self.consumer = Consumer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"], "group.id": topic, "auto.offset.reset": "earliest",
                                  "isolation.level": "read_committed", "fetch.wait.max.ms": 10})
        self.consumer.subscribe([topic])

    def run(self):
        while not self.over:
            got = [m for m in self.consumer.consume(1000, 0.02) if m.error() is None and m.value() is not None]
            if got:
                self.times.append(time.monotonic())
                self.count += len(got)
                self.ids.update(m.value()[1:5] for m in got)
        self.consumer.close()

    def longest(self, start, end):
        """The longest time without a message between two moments, in milliseconds."""
        times = [start] + [t for t in list(self.times) if start < t < end] + [end]
        return 1000 * max(b - a for a, b in zip(times, times[1:]))


class Writer(threading.Thread):
    """Inserts at a steady pace, until it is told to end; late turns are made up for."""

    def __init__(self, dsn):
        super().__init__(daemon=True)
        self.connection, self.over, self.rows, self.began, self.error = connect(dsn), False, 0, 0, None

    def run(self):
        q = self.connection.cursor()
        began = self.began = time.monotonic()
        try:
            while not self.over:
                q.execute("insert into orders (id, note) select i, 'order number ' || i from generate_series(%s, %s) i",
                          (self.rows + 1, self.rows + ROWS_AT_ONCE))
                self.rows += ROWS_AT_ONCE
                time.sleep(max(0, began + self.rows / RATE - time.monotonic()))
        except Exception as e:  # it is told by whoever waits
            self.error = e
        self.connection.close()


def alter_pause(r):
    """ALTER TABLE ADD COLUMN under 5,000 rows a second: the longest silence of the stream around it."""
    around, beside = [], []
    with database() as dsn:
        sql(dsn, "create table orders (id bigint primary key, note text)", "create publication pub for table orders")
        d = Daemon(dsn, '"public.orders": {snapshot: {mode: never}}')
        topic = d.id + ".public.orders"
        create_topic(topic)
        d.start()
        d.logged("stream from")
        seen, writer = Arrivals(topic), Writer(dsn)
        try:
            seen.start()
            writer.start()
            time.sleep(5)
            for i in range(N):
                time.sleep(BEFORE)
                at = time.monotonic()
                sql(dsn, f"alter table orders add column c{i} int default {i}")
                time.sleep(AFTER)
                beside.append(seen.longest(at - BEFORE, at))
                around.append(seen.longest(at - 0.1, at + AFTER))
                say(f"alter: silent for {around[-1]:.0f} ms, before it {beside[-1]:.0f} ms")
            writer.over = True
            writer.join()
            pace = writer.rows / (time.monotonic() - writer.began)
            if writer.error:
                raise writer.error
            deadline = time.monotonic() + 60
            while seen.count < writer.rows and time.monotonic() < deadline:
                time.sleep(0.05)
            if seen.count != writer.rows or len(seen.ids) != N + 1:
                raise RuntimeError(f"alter: {writer.rows} rows, {seen.count} messages of {len(seen.ids)} schemas for {N} ALTERs")
        finally:
            writer.over = seen.over = True
            d.close()
    r.add("alter_pause", "longest silence of a stream around ALTER TABLE ADD COLUMN, at 5,000 rows/s", "ms", around, 250,
          at_least=False, digits=0)
    r.add("alter_beside", "the same in the seconds before each ALTER", "ms", beside, digits=0)
    r.note("alter", f"{pace:,.0f} rows/s were written, {ROWS_AT_ONCE} a transaction; the new version is registered before its first row. "
           f"Median of the silences beside: {statistics.median(beside):.0f} ms.")


FIGURES = [alter_pause]
