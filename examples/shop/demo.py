#!/usr/bin/env python3
"""The demo of MySQL and MariaDB: an old MariaDB shop into PostgreSQL; then the same topics, and a MySQL 5.5,
into a MySQL of today. Called by `make demo DEMO=mysql` in the environment of the test stack."""
import datetime
import decimal
import json
import os
import re
import sys
import time

import psycopg2
import pymysql

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "lib")]
import shop  # noqa: E402
from mysql import add_server, connect, run  # noqa: E402
from running import DIR, FRESHET, Freshet, say  # noqa: E402

TABLES = ("customers", "products", "descriptions", "orders", "order_items", "countries", "clicks")


# ---- comparing ------------------------------------------------------------------------------------

def plain(value, kind):
    """A value of either side in one form: what it means, not how a driver shows it."""
    if value is None or (kind in ("date", "datetime", "timestamp") and str(value).startswith("0000-")):
        return None
    if kind in ("date", "datetime", "timestamp"):
        return str(value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value).ljust(19)[:26].rstrip("0. :") or value
    if kind == "time":
        if isinstance(value, datetime.timedelta):
            return value.total_seconds()
        m = re.match(r"(-?)(\d+):(\d+):(\d+)", str(value))
        return (-1 if m[1] else 1) * (int(m[2]) * 3600 + int(m[3]) * 60 + int(m[4]))
    if kind == "json" and value is not None:
        return json.dumps(json.loads(value) if isinstance(value, (str, bytes)) else value, sort_keys=True)
    if kind == "bit":
        return int.from_bytes(value, "big") if isinstance(value, (bytes, memoryview)) else int(str(value), 2)
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, (bool, int, decimal.Decimal)):
        return decimal.Decimal(int(value) if isinstance(value, bool) else value)
    if isinstance(value, float):
        return float(f"{value:.5g}")  # MySQL shows six digits of a FLOAT
    if isinstance(value, (set, frozenset)):
        return ",".join(sorted(value))
    return value


def rows_of(cursor, table, columns, kinds):
    cursor.execute(f"select {', '.join(columns)} from {table}")
    return sorted((tuple(map(plain, row, kinds)) for row in cursor.fetchall()), key=repr)


class Source:
    def __init__(self, dsn, database):
        self.connection, self.database = connect(dsn, database=database), database

    def columns(self, table):
        got = run(self.connection, "select column_name, data_type, column_type from information_schema.columns"
                  " where table_schema = %s and table_name = %s order by ordinal_position", (self.database, table))
        # MariaDB's JSON is text with a check
        return [c[0] for c in got], ["json" if c[0] == "attributes" else c[1] for c in got]

    def count(self, table):
        return run(self.connection, f"select count(*) from {table}")[0][0]


def compare(source, tables, cursor):
    """None, or what differs; and how many rows were compared."""
    total = 0
    for t in tables:
        columns, kinds = source.columns(t)
        try:
            there = rows_of(cursor, t, columns, kinds)
        except (psycopg2.Error, pymysql.Error) as e:
            return f"{t}: {e}", 0
        with source.connection.cursor() as q:
            here = rows_of(q, t, columns, kinds)
        if here != there:
            odd = [(a, b) for a, b in zip(here, there) if a != b][:1]
            return f"{t}: {len(here)} rows here, {len(there)} there; {odd}", 0
        total += len(here)
    return None, total


def counts_differ(source, tables, cursor):
    for t in tables:
        try:
            cursor.execute(f"select count(*) from {t}")
            there = cursor.fetchone()[0]
        except (psycopg2.Error, pymysql.Error) as e:
            return f"{t}: {e}"
        here = source.count(t)
        if here != there:
            return f"{t}: {here} rows here, {there} there"
    return None


def differ(source, tables, cursor):
    return counts_differ(source, tables, cursor) or compare(source, tables, cursor)[0]


# ---- the two parts --------------------------------------------------------------------------------

def database(dsn, name, options=""):
    c = connect(dsn)
    run(c, f"create database {name} {options}")
    c.close()
    return dsn.rsplit("/", 1)[0] + "/" + name


def schema(tables=None):
    with open(os.path.join(HERE, "schema.sql")) as f:
        text = re.sub(r"^--.*\n", "", f.read(), flags=re.M)
    return [s for s in text.split(";\n") if s.strip() and (tables is None or re.search(r"create table (\w+)", s)[1] in tables)]


def old_connection(dsn, name):
    """As the shop's programs have always connected: no strict mode."""
    return connect(dsn, database=name, init_command="set sql_mode='NO_ENGINE_SUBSTITUTION'")


class Shop:
    def __init__(self):
        root = os.environ["MARIADB_DSN"]
        database(root, "store", "character set utf8mb4")
        c = psycopg2.connect(os.environ["PG2_DSN"])
        c.autocommit = True
        c.cursor().execute("create database warehouse")
        target = os.environ["PG2_DSN"].rsplit("/", 1)[0] + "/warehouse"
        os.environ.update(SOURCE_DSN=os.environ["MARIADB_USER_DSN"].rsplit("/", 1)[0] + "/store",
                          SOURCE_PASSWORD=os.environ["MARIADB_PASSWORD"], TARGET_DSN=target,
                          DEMO_SOCKET=os.path.join(DIR, "freshet.sock"), DEMO_CACHE=os.path.join(DIR, "cache"))
        self.old = old_connection(root, "store")
        for s in schema():
            run(self.old, s)
        with self.old.cursor() as q:
            q.execute("begin")
            counts = shop.fill(q, os.environ["DEMO_INDEX"])
            q.execute("commit")
        self.total = sum(counts.values())
        say("MariaDB has " + ", ".join(f"{n} {t}" for t, n in counts.items()) + f": {self.total} rows")
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
