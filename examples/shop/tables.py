"""The old shop's tables: made, filled, and compared with a target's. Not a demo itself."""
import datetime
import decimal
import json
import os
import re
import sys

import psycopg2
import pymysql

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "lib")]
import shop  # noqa: E402
from mysql import connect, run  # noqa: E402
from running import say  # noqa: E402

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


# ---- making --------------------------------------------------------------------------------------

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


def old_shop(root):
    """In a MariaDB, as database store: a connection as the shop's programs have it, and how many rows."""
    database(root, "store", "character set utf8mb4")
    old = old_connection(root, "store")
    for s in schema():
        run(old, s)
    with old.cursor() as q:
        q.execute("begin")
        counts = shop.fill(q, os.environ["DEMO_INDEX"])
        q.execute("commit")
    say("MariaDB has " + ", ".join(f"{n} {t}" for t, n in counts.items()) + f": {sum(counts.values())} rows")
    return old, sum(counts.values())
