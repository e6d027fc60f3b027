#!/usr/bin/env python3
"""The demo of analytics: an old MariaDB shop into ClickHouse and a DuckDB file at once, a question to each, and the
comparison of every row. Called by `make demo DEMO=analytics` in the environment of the test stack."""
import decimal
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "..", "shop"), os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "lib")]
import clickhouse  # noqa: E402
from mysql import run  # noqa: E402
from running import DIR, FRESHET, Freshet, say  # noqa: E402
from tables import TABLES, Source, old_shop, plain  # noqa: E402

DUCKDB = os.environ["DUCKDB_HOME"]
sys.path.insert(0, os.environ["DUCKDB_PYTHON"])
import duckdb  # noqa: E402

NUMBERS = ("int", "bigint", "smallint", "mediumint", "tinyint", "year", "decimal")
QUESTION = """select c.status, count(*) as orders, sum(o.total) as turnover from {orders} o join {customers} c on c.id = o.customer_id
 group by c.status order by turnover desc limit 3"""


class ClickHouse:
    """Tables with a key are read by the view that shows what is current."""

    def __init__(self, database):
        self.url, self.database = os.environ["CLICKHOUSE_URL"], database

    def name(self, table):
        return table if table == "clicks" else table + "_current"

    def ask(self, sql):
        return clickhouse.rows(self.url, sql, database=self.database)

    def column(self, name, kind):
        return f'hex("{name}")' if kind in ("bit", "varbinary") else f'toString("{name}")' if kind == "decimal" else f'"{name}"'

    def value(self, value, kind):
        return bytes.fromhex(value) if value is not None and kind in ("bit", "varbinary") else value


class DuckDB:
    """freshet lets go of the file at each commit; whoever comes in between waits a moment."""

    def __init__(self, path):
        self.path = path

    def name(self, table):
        return table

    def ask(self, sql, seconds=30):
        deadline = time.time() + seconds
        while True:
            try:
                with duckdb.connect(self.path, read_only=True) as c:
                    return c.execute(sql).fetchall()
            except duckdb.IOException:
                if time.time() > deadline:
                    raise
                time.sleep(0.02)

    def column(self, name, kind):
        return f"(\"{name}\" at time zone 'UTC')" if kind == "timestamp" else f'"{name}"'

    def value(self, value, kind):
        return value


def as_it_means(value, kind):
    if value is not None and kind in NUMBERS:
        return decimal.Decimal(str(value) if not isinstance(value, bool) else int(value)).normalize()
    value = plain(value, kind)
    return value.normalize() if isinstance(value, decimal.Decimal) else value


def differs(source, store):
    """None and how many rows were compared, or what differs."""
    total = 0
    for t in TABLES:
        columns, kinds = source.columns(t)
        with source.connection.cursor() as q:
            q.execute(f"select {', '.join(columns)} from {t}")
            here = sorted((tuple(map(as_it_means, row, kinds)) for row in q.fetchall()), key=repr)
        try:
            got = store.ask(f"select {', '.join(map(store.column, columns, kinds))} from {store.name(t)}")
        except (clickhouse.Error, duckdb.Error, OSError) as e:
            return f"{t}: {str(e)[:200]}", 0
        there = sorted((tuple(as_it_means(store.value(v, k), k) for v, k in zip(row, kinds)) for row in got), key=repr)
        if here != there:
            odd = [(a, b) for a, b in zip(here, there) if a != b][:1]
            return f"{t}: {len(here)} rows in MariaDB, {len(there)} there; {odd}", 0
        total += len(here)
    return None, total


def counts_differ(source, store):
    for t in TABLES:
        try:
            there = store.ask(f"select count(*) from {store.name(t)}")[0][0]
        except (clickhouse.Error, duckdb.Error, OSError) as e:
            return f"{t}: {str(e)[:200]}"
        here = source.count(t)
        if here != there:
            return f"{t}: {here} rows in MariaDB, {there} there"
    return None


def show(name, store):
    began = time.time()
    got = store.ask(QUESTION.format(orders=store.name("orders"), customers=store.name("customers")))
    took = time.time() - began
    say(f"{name}, turnover by status of the customer ({took * 1000:.0f} ms):")
    for status, orders, turnover in got:
        print(f"           {status or '(none)':10} {orders:>7} orders {float(turnover):>16,.2f}")


def work(old):
    say("a day's work: inserts, updates, deletes, changed keys, a new column")
    for s in ("update products set price = price * 1.1, flags = concat(flags, ',sale') where price < 100",
              "update customers set balance = balance - 1, born = '0000-00-00' where id % 9 = 0",
              "delete from order_items where line = 4",
              "insert into orders select id + 100000, customer_id, now(), null, 'open', '00:00:01', total, 'wieder bestellt'"
              " from orders where id < 2000",
              "update orders set id = id + 500000 where id between 3000 and 3100"):
        run(old, s)


def main():
    root = os.environ["MARIADB_DSN"]
    old, total = old_shop(root)
    clickhouse.ask(os.environ["CLICKHOUSE_URL"], "CREATE DATABASE store")
    os.environ.update(SOURCE_DSN=os.environ["MARIADB_USER_DSN"].rsplit("/", 1)[0] + "/store",
                      SOURCE_PASSWORD=os.environ["MARIADB_PASSWORD"],
                      CLICKHOUSE_DSN=os.environ["CLICKHOUSE_DSN"].rsplit("/", 1)[0] + "/store",
                      DUCKDB_FILE=os.path.join(DIR, "store.db"), DUCKDB_LIBRARY=os.path.join(DUCKDB, "libduckdb.so"),
                      DEMO_SOCKET=os.path.join(DIR, "freshet.sock"), DEMO_CACHE=os.path.join(DIR, "cache"))
    source = Source(root, "store")
    stores = {"ClickHouse": ClickHouse("store"), "DuckDB": DuckDB(os.environ["DUCKDB_FILE"])}
    f = Freshet(os.path.join(HERE, "freshet.yaml"))
    f.verb("plan", may=(0, 4))
    f.verb("apply", "--yes")
    f.start()
    began = time.time()
    for name, store in stores.items():
        f.wait(f"snapshot in {name}", lambda store=store: counts_differ(source, store))
    took = time.time() - began
    say(f"snapshot is in both: {total} rows in {took:.1f} s, {total / took:,.0f} rows/s from table to Kafka to two stores")
    for name, store in stores.items():
        show(name, store)
    work(old)
    f.kill()
    say("killed")
    for s in ("alter table customers add column points int unsigned null", "update customers set points = id * 3 where id % 4 = 0",
              "insert into clicks values ('2026-11-01 00:00:00.000001', 'apt', b'101', 'freshet')"):
        run(old, s)
    f.start()
    for name, store in stores.items():
        f.wait(f"equality with {name}", lambda store=store: counts_differ(source, store) or differs(source, store)[0])
        what, rows = differs(source, store)
        if what:
            f.fail(f"MariaDB and {name} differ: {what}")
        say(f"MariaDB and {name} are equal: {len(TABLES)} tables, {rows} rows")
        show(name, store)
    say(f"peak memory {f.peak / 1024:.0f} MiB")
    if os.environ.get("KEEP") == "1":
        f.keep_running(("KAFKA_BOOTSTRAP", "REGISTRY_URL", "SOURCE_DSN", "SOURCE_PASSWORD", "CLICKHOUSE_DSN", "DUCKDB_FILE", "DUCKDB_LIBRARY",
                        "DEMO_SOCKET", "DEMO_CACHE"), [f"{FRESHET} -c {f.config} tap shop/store.orders"])
        return
    f.stop()
    say("done")


main()
