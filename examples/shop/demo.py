#!/usr/bin/env python3
"""The demo of MySQL and MariaDB: an old MariaDB shop into PostgreSQL; then the same topics, and a MySQL 5.5,
into a MySQL of today. Called by `make demo DEMO=mysql` in the environment of the test stack."""
import os
import sys
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "lib")]
import shop  # noqa: E402
from mysql import add_server, connect, run  # noqa: E402
from running import DIR, FRESHET, Freshet, say  # noqa: E402
from tables import TABLES, Source, compare, counts_differ, database, differ, old_connection, old_shop, schema  # noqa: E402

# ---- the two parts --------------------------------------------------------------------------------

class Shop:
    def __init__(self):
        root = os.environ["MARIADB_DSN"]
        c = psycopg2.connect(os.environ["PG2_DSN"])
        c.autocommit = True
        c.cursor().execute("create database warehouse")
        target = os.environ["PG2_DSN"].rsplit("/", 1)[0] + "/warehouse"
        os.environ.update(SOURCE_DSN=os.environ["MARIADB_USER_DSN"].rsplit("/", 1)[0] + "/store",
                          SOURCE_PASSWORD=os.environ["MARIADB_PASSWORD"], TARGET_DSN=target,
                          DEMO_SOCKET=os.path.join(DIR, "freshet.sock"), DEMO_CACHE=os.path.join(DIR, "cache"))
        self.old, self.total = old_shop(root)
        self.source = Source(root, "store")
        c = psycopg2.connect(target)
        c.autocommit = True
        self.target = c.cursor()

    def snapshot(self, f):
        f.start()
        t = time.time()
        f.wait("snapshot in PostgreSQL", lambda: counts_differ(self.source, TABLES, self.target))
        took = time.time() - t
        say(f"snapshot is in PostgreSQL: {self.total} rows in {took:.1f} s, {self.total / took:,.0f} rows/s from table to Kafka to table")

    def work(self, f):
        say("a day's work: inserts, updates, deletes, changed keys, a new column, an online schema change; SIGKILL in the middle")
        for s in ("update products set price = price * 1.1, flags = concat(flags, ',sale') where price < 100",
                  "update customers set balance = balance - 1, born = '0000-00-00' where id % 9 = 0",
                  "delete from order_items where line = 4",
                  "insert into orders select id + 100000, customer_id, now(), null, 'open', '00:00:01', total, 'wieder bestellt'"
                  " from orders where id < 2000"):
            run(self.old, s)
        f.kill()
        say("killed")
        for s in ("flush logs",
                  "update orders set id = id + 500000 where id between 3000 and 3100",
                  "alter table customers add column points int unsigned null",
                  "update customers set points = id * 3 where id % 4 = 0",
                  "create table _orders_new like orders",
                  "alter table _orders_new modify note varchar(500) character set utf8mb4",
                  "insert into _orders_new select * from orders",
                  "rename table orders to _orders_old, _orders_new to orders",
                  "update orders set note = '完了 \u2713' where id % 100 = 7",
                  "insert into clicks values ('2026-11-01 00:00:00.000001', 'apt', b'101', 'freshet')",
                  "drop table _orders_old"):
            run(self.old, s)
        f.start()
        f.wait("equality", lambda: differ(self.source, TABLES, self.target))

    def finish(self, f):
        what, rows = compare(self.source, TABLES, self.target)
        if what:
            f.fail(f"MariaDB and PostgreSQL differ: {what}")
        say(f"MariaDB and PostgreSQL are equal: {len(TABLES)} tables, {rows} rows; peak memory {f.peak / 1024:.0f} MiB")


LEGACY = ("customers", "orders", "order_items")


def modern(s):
    """MariaDB and MySQL 5.5 into MySQL 9."""
    for name in ("mysql", "mysql55"):
        there, why = add_server(name)
        if not there:
            say(f"no second part: {name} cannot be had on this machine: {why}")
            return
    old_root, new_root = os.environ["MYSQL55_DSN"], os.environ["MYSQL_DSN"]
    database(old_root, "legacy", "character set latin1")
    old = old_connection(old_root, "legacy")
    for text in schema(LEGACY):
        run(old, text.replace("utf8mb4", "utf8"))
    with s.source.connection.cursor() as q, old.cursor() as w:
        rows = []
        for t, columns in (("customers", shop.CUSTOMER), ("orders", shop.ORDER), ("order_items", shop.ITEM)):
            q.execute(f"select {', '.join(columns)} from {t} {'where note is null' if t == 'orders' else ''} limit 15000")
            rows.append(q.fetchall())
        w.execute("begin")
        counts = shop.fill_legacy(w, rows)
        w.execute("commit")
    say("MySQL 5.5 has " + ", ".join(f"{n} {t}" for t, n in counts.items()))
    os.environ.update(LEGACY_DSN=os.environ["MYSQL55_USER_DSN"].rsplit("/", 1)[0] + "/legacy",
                      LEGACY_PASSWORD=os.environ["MYSQL55_PASSWORD"],
                      MODERN_SHOP_DSN=database(new_root, "store", "character set utf8mb4"),
                      MODERN_LEGACY_DSN=database(new_root, "legacy", "character set utf8mb4"),
                      DEMO_SOCKET=os.path.join(DIR, "modern.sock"))
    source = Source(old_root, "legacy")
    into_shop, into_legacy = (connect(os.environ[n]).cursor() for n in ("MODERN_SHOP_DSN", "MODERN_LEGACY_DSN"))
    keyed = [t for t in TABLES if t != "clicks"]
    f = Freshet(os.path.join(HERE, "freshet-mysql.yaml"))
    f.verb("plan", may=(0, 4))
    f.verb("apply", "--yes")
    f.start()
    f.wait("snapshot in MySQL", lambda: counts_differ(source, LEGACY, into_legacy) or counts_differ(s.source, keyed, into_shop))
    run(old, "update customers set balance = balance + 0.01 where id % 3 = 0")
    run(old, "delete from order_items where line = 2")
    f.wait("equality", lambda: differ(source, LEGACY, into_legacy) or differ(s.source, keyed, into_shop))
    first, second = compare(s.source, keyed, into_shop), compare(source, LEGACY, into_legacy)
    if first[0] or second[0]:
        f.fail(f"the sources and MySQL differ: {first[0] or second[0]}")
    say(f"MariaDB and MySQL 9 are equal: {len(keyed)} tables, {first[1]} rows; MySQL 5.5 and MySQL 9: {len(LEGACY)} tables, {second[1]} rows")
    f.stop()


def main():
    s = Shop()
    f = Freshet(os.path.join(HERE, "freshet.yaml"))
    f.verb("plan", may=(0, 4))
    f.verb("apply", "--yes")
    s.snapshot(f)
    s.work(f)
    s.finish(f)
    if os.environ.get("KEEP") != "1":
        f.stop()
        modern(s)
        say("done")
        return
    f.keep_running(("KAFKA_BOOTSTRAP", "REGISTRY_URL", "SOURCE_DSN", "SOURCE_PASSWORD", "TARGET_DSN", "DEMO_SOCKET", "DEMO_CACHE"),
                   [f"{FRESHET} -c {f.config} tap shop/store.orders"])


main()
