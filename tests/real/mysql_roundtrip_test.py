#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""From PostgreSQL to MariaDB and MySQL, and from them to PostgreSQL, each way through Kafka: columns of all common
types with hostile values, by snapshot and by log; updates, deletes, changed keys, a column that is added; and a
workload while source and sink are killed in turn. Both ends are read with drivers of other people, and what is
compared is each row, each value, and the number of events.

$FRESHET_TEST_MYSQL: which servers (default "mariadb mysql"); arguments choose directions (to_mariadb, from_mysql...)."""
import contextlib
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.request

import fastavro
import psycopg2
import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
import mysql  # noqa: E402
from harness import FRESHET, Pipeline, case, finish, together  # noqa: E402
from mysql import MyPipeline, add_server  # noqa: E402

LATER = 1000  # rows that come by the log have this much more in their id
PLACES = [("sink", "sink_after_rows"), ("source", "kafka_before_commit"), ("sink", "sink_after_commit"),
          ("source", "kafka_after_commit"), ("sink", None), ("source", None)]  # None: from outside, whenever it is
CONFIG = """
sources:
  src:
    type: {source_type}
    dsn: {source}
    {source_more}
    prefix: {id}
    tables:
      {space}.t: {{snapshot: {{chunk: 9}}, columns: {{types: {{as_text: string}}}}}}
      {space}.work: {{}}
sinks:
  dst:
    type: {target_type}
    dsn: {target}
    {target_more}
    from: ["{id}.{space}.t", "{id}.{space}.work"]
    create: run
    on_change: {{add_column: evolve}}
    write: {{every: 50ms}}
"""
TEXTS = ["", "'", "''", "\"", "\\", "\\'", "'; DROP TABLE t; --", "`", "%s%n", "$1", "{}", "NULL", "null", "\\N", "\\.", "\n", "\r\n",
         "\t", "\x01", "\x1b[31m", "\x7f", "\u0080", "\u200b", "\u202e", "\ufeff", "\uffff", "\U0001f600", "\U0010ffff", "e\u0301",
         "\u0130", "\u00df", " ", "  x  ", "a,b", "<script>", "0", "-0", "x" * 9000, "'" * 999, "\\" * 999]
SHORT = [t for t in TEXTS if len(t) <= 20]
LATIN = [t for t in SHORT if all(ord(c) < 128 for c in t)] + ["\u00e9\u00df"]

# How a kind of value is read: in PostgreSQL, in MySQL. What comes of both must be the same.
MICROS = "HH24:MI:SS.US"
READ = {
    "int": ("{c}::int8::text", "cast({c} + 0 as char)"),
    "bool": ("{c}::int::text", "cast({c} + 0 as char)"),
    "decimal": ("{c}::numeric::text", "cast({c} as char)"),
    "real": ("{c}::float8", "{c} * 1e0"),
    "text": ("case when {c} is not null then format('%s', {c}) end", "{c}"),
    "printed": ("{c}", "cast({c} as char)"),
    "array": ("array_to_json({c})::text", "{c}"),
    "bytes": ("{c}", "{c}"),
    "point": ("{c}", "st_aswkb({c})"),
    "date": ("to_char({c}, 'YYYY-MM-DD')", "date_format({c}, '%Y-%m-%d')"),
    "time": (f"to_char({{c}}, '{MICROS}')", "time_format({c}, '%H:%i:%s.%f')"),
    "span": ("(extract(epoch from {c}) * 1000000)::bigint::text",
             "cast(timestampdiff(microsecond, timestamp'2000-01-01 00:00:00', addtime(timestamp'2000-01-01 00:00:00', {c})) as char)"),
    "local": (f"to_char({{c}}, 'YYYY-MM-DD {MICROS}')", "date_format({c}, '%Y-%m-%d %H:%i:%s.%f')"),
    "utc": (f"to_char({{c}} at time zone 'UTC', 'YYYY-MM-DD {MICROS}')", "date_format({c}, '%Y-%m-%d %H:%i:%s.%f')"),
}
INT64 = [0, 1, -(1 << 63), (1 << 63) - 1]
FLOATS = ["0", "-0", "1.5", "3.4028234663852886e38", "-1.1754943508222875e-38", "0.1"]
DOUBLES = ["0", "-0", "0.1", "1.7976931348623157e308", "-2.2250738585072014e-308", "123456789.123456789"]
DAYS = ["1970-01-01", "0001-01-01", "9999-12-31", "2024-02-29"]
MOMENTS = ["1970-01-01 00:00:00", "1000-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999", "2024-02-29 12:34:56.7", "1969-12-31 23:59:59.999999"]
JSONS = ['{"b": 1,  "a": [1, 2], "b": 2}', "null", '"\\u00fc\\n"', "1.50", "[]", '{"": ""}']

# name, type, kind, values. The type of the first ones is the key's.
POSTGRES = [
    ("b", "boolean", "bool", [True, False]), ("i2", "smallint", "int", [0, -32768, 32767]), ("i4", "integer", "int", [0, -(1 << 31), (1 << 31) - 1]),
    ("i8", "bigint", "int", INT64), ("oid_", "oid", "int", [0, 4294967295]),
    ("n10_2", "numeric(10,2)", "decimal", ["0", "-0.01", "99999999.99", "1.50"]),
    ("n38_10", "numeric(38,10)", "decimal", ["0", "9999999999999999999999999999.9999999999", "-0.0000000001"]),
    ("n65_30", "numeric(65,30)", "decimal", ["9" * 35 + "." + "9" * 30, "-0." + "0" * 29 + "1"]),
    ("n70", "numeric(70,0)", "decimal", ["9" * 70, "-1"]), ("n", "numeric", "text", ["0.00", "NaN", "Infinity", "1e-30", "1" + "0" * 200]),
    ("cash", "money", "decimal", ["0", "-0.01", "92233720368547758.07"]),
    ("f4", "real", "real", FLOATS), ("f8", "double precision", "real", DOUBLES),
    ("txt", "text", "text", TEXTS), ("vc", "varchar(20)", "text", SHORT), ("bp", "char(8)", "text", ["", "ab", "\u8868  x"]),
    ("big", "text", "text", ["y" * 20000, "z" * 3000]),  # out of line: an update that leaves it alone does not have it
    ("bin", "bytea", "bytes", [b"", b"\0\xff\0", b"'\\" + bytes(range(256)) * 20]), ("uid", "uuid", "text", ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "0" * 32]),
    ("d", "date", "date", DAYS), ("t", "time", "time", ["00:00:00", "23:59:59.999999", "24:00:00", "12:00:00.5"]),
    ("ttz", "timetz", "text", ["00:00:00+00", "23:59:59.999999-15:59"]), ("ts", "timestamp", "local", MOMENTS),
    ("tstz", "timestamptz", "utc", [m + "+00" for m in MOMENTS]), ("iv", "interval", "text", ["0", "1 year 2 mons 3 days 04:05:06.789", "-3 days"]),
    ("js", "json", "text", JSONS), ("jb", "jsonb", "text", JSONS), ("bits", "bit(5)", "text", ["00000", "10101"]), ("vbits", "varbit", "text", ["", "1" * 70]),
    ("ip", "inet", "text", ["127.0.0.1", "10.1.2.3/8", "2001:db8::ff/64"]), ("net", "cidr", "text", ["10.0.0.0/8"]), ("mac", "macaddr", "text", ["08:00:2b:01:02:03"]),
    ("md", "mood", "text", ["sad", "it's \u8868"]), ("ai", "integer[]", "array", ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}"]),
    ("at", "text[]", "array", ['{"",a,"NULL",NULL,"q\\"\\\\ ,{}","\u8868"}']), ("rng", "int4range", "text", ["empty", "[1,5)", "(,)"]),
    ("as_text", "timestamp", "text", ["infinity", "-infinity", "2024-02-29 12:00:00"]),
]
MYSQL = [
    ("i1", "tinyint", "int", [0, -128, 127]), ("u1", "tinyint unsigned", "int", [0, 255]), ("b", "tinyint(1)", "int", [0, 1, -1]),
    ("i2", "smallint", "int", [-32768, 32767]), ("u2", "smallint unsigned", "int", [0, 65535]), ("i3", "mediumint", "int", [-8388608, 8388607]),
    ("u3", "mediumint unsigned", "int", [0, 16777215]), ("i4", "int", "int", [-(1 << 31), (1 << 31) - 1]), ("u4", "int unsigned", "int", [0, 4294967295]),
    ("i8", "bigint", "int", INT64), ("u8", "bigint unsigned", "decimal", [0, (1 << 64) - 1]),
    ("n10_2", "decimal(10,2)", "decimal", ["0", "-0.01", "99999999.99", "1.50"]), ("n65_30", "decimal(65,30)", "decimal", ["9" * 35 + "." + "9" * 30, "-0." + "0" * 29 + "1"]),
    ("f4", "float", "real", FLOATS), ("f8", "double", "real", DOUBLES), ("b1", "bit(1)", "bool", [0, 1]), ("b10", "bit(10)", "bytes", [0, 1023, 513]),
    ("c", "char(8)", "text", ["", "ab", "\u8868 x"]), ("vc", "varchar(20)", "text", SHORT), ("l1", "varchar(20) character set latin1", "text", LATIN),
    ("u16", "varchar(20) character set utf16", "text", SHORT), ("tt", "tinytext", "text", SHORT), ("txt", "text", "text", TEXTS), ("lt", "longtext", "text", ["y" * 20000]),
    ("fix", "binary(6)", "bytes", [b"", b"\0\xff'\\ \n"]), ("vb", "varbinary(300)", "bytes", [b"", bytes(range(256))]), ("bl", "blob", "bytes", [b"", b"\0", bytes(range(256)) * 20]),
    ("en", "enum('','a','it''s','\u8868','\U0001f600','a,b','\"')", "text", ["", "a", "it's", "\u8868", "\U0001f600", "a,b", "\""]), ("st", "set('a','b','\u8868')", "text", ["", "a,\u8868"]),
    ("d", "date", "date", ["1000-01-01", "9999-12-31", "2024-02-29"]), ("t", "time(6)", "span", ["00:00:00", "23:59:59.999999", "12:00:00.5", "24:00:00", "-00:00:00.000001", "-838:59:59", "838:59:59"]),
    ("as_text", "time(3)", "printed", ["-838:59:59", "838:59:59", "-00:00:00.001"]), ("dt", "datetime(6)", "local", [m for m in MOMENTS if m > "1000"]),
    ("dt0", "datetime", "local", ["2024-02-29 12:34:56"]), ("ts", "timestamp(6) null", "utc", ["1970-01-01 00:00:01", "2038-01-19 03:14:07.999999", "2024-03-31 02:30:00.000001"]),
    ("y", "year", "int", [0, 1901, 2155]), ("g", "point", "point", ["point(1 -2.5)", "point(0 0)"]),
]
EXTRA = {"mariadb": [("uid", "uuid", "text", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]), ("ip", "inet6", "text", ["::1", "2001:db8::ff"]), ("js", "json", "text", JSONS)],
         "mysql": [("js", "json", "text", JSONS)]}
BOTH = [("id", "bigint", "int", None), ("code", "varchar(20)", "text", None)]  # the key
SESSION = "set client_encoding = UTF8; set datestyle = ISO; set intervalstyle = iso_8601; set timezone = UTC; set search_path = public"


class Bare(harness.Registry):
    """Numbers as they are on the wire: fastavro has no time of 24:00:00."""

    def schema(self, number):
        if number not in self.schemas:
            with urllib.request.urlopen(f"{self.url}/schemas/ids/{number}", timeout=20) as r:
                text = json.load(r)["schema"]
            self.schemas[number] = fastavro.parse_schema(json.loads(text, object_hook=lambda o: {k: v for k, v in o.items() if k != "logicalType"}))
        return self.schemas[number]


class Halves:
    """Source and sink as two processes, so that either can be killed."""

    def write(self, config, base=harness.CONFIG):
        super().write(config, base)
        self.registry = Bare(self.registry.url)
        self.parts, self.halves = {}, {}
        with open(self.config) as f:
            head, rest = f.read().split("\nsources:\n")
        source, sink = rest.split("\nsinks:\n")
        for part, text in (("source", "\nsources:\n" + source), ("sink", "\nsinks:\n" + sink)):
            self.halves[part] = os.path.join(self.dir, part + ".yaml")
            with open(self.halves[part], "w") as f:
                f.write(head.replace("freshet.sock", part + ".sock") + text)

    def begin(self, part, failpoint=None):
        env = dict(os.environ, **({"FRESHET_FAILPOINT": failpoint} if failpoint else {}))
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.parts[part] = self.daemon = subprocess.Popen([FRESHET, "run", "--config", self.halves[part]], env=env, stdout=log, stderr=log)
        return self.daemon

    def alive(self):
        for part, process in self.parts.items():
            assert process.poll() is None, f"the {part} ended with exit code {process.returncode}"

    def close(self):
        for process in self.parts.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        super().close()


class FromMy(Halves, MyPipeline):
    """MySQL to PostgreSQL."""

    def __init__(self, config, server):
        super().__init__(config, server, target=True)

    def values(self):
        v = super().values()
        return dict(v, space=self.id, source_type=v["type"], source_more="password: " + v["password"], target_type="postgres", target_more="")

    def create(self, name):
        self.sql(create(columns_of(self), name) if name == "t" else WORK)

    def at_source(self):
        return my(self)

    def at_target(self):
        return postgres(self.target)


class ToMy(Halves, Pipeline):
    """PostgreSQL to MySQL, as a user with the rights of docs/sinks/mysql.md."""

    def __init__(self, config, server):
        self.server, self.root = server, os.environ[server.upper() + "_DSN"]
        super().__init__(config, target=False)

    def make_source(self, options):
        with contextlib.closing(mysql.connect(self.root)) as c:
            mysql.run(c, f"create database {self.id} character set utf8mb4")
            mysql.run(c, f"create user {self.id}@'%' identified by 'it''s'")
            mysql.run(c, f"grant select, insert, update, delete, create, alter on {self.id}.* to {self.id}@'%'")
        return super().make_source(options)

    def drop_source(self):
        super().drop_source()
        with contextlib.closing(mysql.connect(self.root)) as c:
            mysql.run(c, f"drop database if exists {self.id}")
            mysql.run(c, f"drop user {self.id}@'%'")

    def values(self):
        place = self.root.split("@")[1].split("/")[0]
        return dict(super().values(), space="public", source_type="postgres", source_more=f"log: {{publication: pub, slot: {self.slot}}}",
                    target=f"mysql://{self.id}@{place}/{self.id}", target_type="mariadb" if self.server.startswith("mariadb") else "mysql",
                    target_more="password: \"it's\"")

    def create(self, name):
        if name == "t":
            self.sql("create type mood as enum ('sad', 'it''s \u8868'); create publication pub for all tables; " + create(POSTGRES, name))
        else:
            self.sql(WORK)

    def at_source(self):
        return postgres(self.source)

    def at_target(self):
        return my(self)


WORK = "create table work (id bigint primary key, v int not null, note text)"


def postgres(dsn):
    c = harness.connect(dsn)
    c.cursor().execute(SESSION)
    return contextlib.closing(c)


def my(p):
    return contextlib.closing(mysql.connect(p.root, database=p.id, init_command="set time_zone = '+00:00'"))


def columns_of(p):
    return POSTGRES if isinstance(p, ToMy) else MYSQL + EXTRA[p.server.rstrip("0123456789")]


def create(columns, name):
    return f"create table {name} (" + ", ".join(f"{n} {t}" for n, t, _, _ in [(n, t + " not null", k, v) for n, t, k, v in BOTH] + columns) + ", primary key (id, code))"


def ask(c, text, values=None):
    with c.cursor() as q:
        q.execute(text, values)
        return q.fetchall() if q.description else None


def plain(v):
    if isinstance(v, float):
        return struct.pack("<d", v)  # -0.0 is not 0.0
    return bytes(v) if isinstance(v, (memoryview, bytearray)) else v


def rows(c, table, columns):
    """(id, code) -> the other columns, in a form that is the same on both sides."""
    is_mysql = isinstance(c, pymysql.connections.Connection)
    sql = ", ".join(READ[kind][is_mysql].format(c=name) for name, _, kind, _ in columns)
    got = ask(c, f"select {sql} from {table}")
    keys = 2 if table == "t" else 1
    out = {tuple(r[:keys]): tuple(plain(v) for v in r[keys:]) for r in got}
    assert len(out) == len(got), f"{table}: {len(got)} rows, {len(out)} keys"
    return out


def differences(p, table, columns):
    try:
        with p.at_source() as a:
            want = rows(a, table, columns)
        with p.at_target() as b:
            got = rows(b, table, columns)
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn, pymysql.err.ProgrammingError, pymysql.err.OperationalError) as e:
        return [str(e)]
    bad = [f"{len(want)} rows, {len(got)} in the target"] if len(want) != len(got) else []
    names = [c[0] for c in columns][len(next(iter(want))):]
    for key in want.keys() & got.keys():
        bad += [f"{key} {n}: {w!r:.80}, in the target {g!r:.80}" for n, w, g in zip(names, want[key], got[key]) if w != g]
    return bad + [f"{key}: {'missing' if key in want else 'extra'}" for key in want.keys() ^ got.keys()]


def same(p, table, columns, seconds=120):
    deadline = time.time() + seconds
    while True:
        bad = differences(p, table, columns)
        if not bad:
            return
        p.alive()
        assert time.time() < deadline, f"{len(bad)} differences: " + "; ".join(bad[:8])
        time.sleep(0.1)


# ---- one table with everything ----

def value(p, column, i):
    """A row's value: the text of an expression, and its parameters. The last row has none."""
    _, type_, kind, values = column
    if i >= len(TEXTS):
        return "null", []
    v = values[i % len(values)]
    if kind == "real" and v == "-0" and p.server.startswith("mariadb"):
        v = "0"  # this server has no other zero
    if kind == "point":
        return f"st_geomfromtext('{v}')", []
    return (f"%s::{type_}" if isinstance(p, ToMy) else "%s"), [v if isinstance(p, FromMy) or isinstance(v, bytes) else str(v)]


def insert(p, c, columns, first):
    for i in range(len(TEXTS) + 1):
        parts = [value(p, column, i) for column in columns]
        ask(c, "insert into t values (%s, %s, " + ", ".join(e for e, _ in parts) + ")",
            [first + i, SHORT[i % len(SHORT)]] + [v for _, values in parts for v in values])


def update(p, c, columns, row, i, code=None):
    """All columns of a row to the values of another one."""
    parts = [value(p, column, i) for column in columns]
    ask(c, "update t set " + ", ".join(f"{column[0]} = {e}" for column, (e, _) in zip(columns, parts)) + " where id = %s",
        [v for _, values in parts for v in values] + [row])


def change(p, c, columns):
    """Answers how many events that must be."""
    n = len(TEXTS) + 1
    insert(p, c, columns, LATER)
    for i in range(n):
        update(p, c, columns, LATER + i, (i + 1) % n)
    for row in range(0, 8):  # one column: others may not be in the log
        ask(c, f"update t set {columns[1][0]} = %s where id = %s", [7, row])
    ask(c, "delete from t where id in (8, 9, %s)", [LATER])
    for row in range(10, 18):  # a changed key is a delete and an insert
        ask(c, "update t set id = id + 5000, code = %s where id = %s", [SHORT[-row], row])
    return n + n + 8 + 3 + 2 * 8


def tables(p, name):
    """The cases of the table t."""
    columns = columns_of(p)
    everything = BOTH + columns
    n = len(TEXTS) + 1
    with case(name + ".snapshot", p):
        with p.at_source() as c:
            insert(p, c, columns, 0)
            ask(c, "insert into work values (0, 0, 'before')")
        p.begin("source")
        p.begin("sink")
        same(p, "t", everything)
    with case(name + ".log", p), p.at_source() as c:
        count = change(p, c, columns)
        same(p, "t", everything)
        got = ops(p, "t")
        assert (got["r"], len(got["cud"])) == (n, count), (got["r"], len(got["cud"]), count)
    with case(name + ".added_column", p), p.at_source() as c:
        ask(c, "alter table t add column extra varchar(20)")
        ask(c, "update t set extra = %s where id < 8", ["it's \u8868"])
        update(p, c, columns, LATER + 1, 5)
        same(p, "t", everything + [("extra", "varchar(20)", "text", None)])


def ops(p, table):
    events = [e for e in p.events(table, p.id if isinstance(p, FromMy) else "public") if e is not None]
    assert len({(e["source"]["sequence"], e["source"]["ordinal"], e["op"]) for e in events if e["op"] != "r"}) == sum(e["op"] != "r" for e in events)
    return {"r": sum(e["op"] == "r" for e in events), "cud": [e["op"] for e in events if e["op"] != "r"]}


# ---- killed under load ----

class Work(threading.Thread):
    """Transactions on the table work, and how many events they must be."""

    def __init__(self, p):
        super().__init__(daemon=True)
        self.p, self.ended, self.error = p, threading.Event(), None
        self.random, self.live, self.last, self.events = random.Random(7), [0], 0, 0

    def run(self):
        try:
            with self.p.at_source() as c:
                while not self.ended.is_set():
                    ask(c, "begin")
                    for _ in range(self.random.randint(1, 8)):
                        self.one(c)
                    ask(c, "commit")
                    self.ended.wait(0.005)
        except Exception as e:
            self.error = e

    def one(self, c):
        what, at = self.random.random(), self.random.randrange(len(self.live))
        row = self.live[at]
        if what < 0.4 or len(self.live) < 3:
            self.last += 1
            self.live.append(self.last)
            ask(c, "insert into work values (%s, 0, %s)", [self.last, self.random.choice(TEXTS)])
        elif what < 0.7:
            ask(c, "update work set v = v + 1, note = %s where id = %s", [self.random.choice(TEXTS), row])
        elif what < 0.85:
            ask(c, "delete from work where id = %s", [row])
            del self.live[at]
        else:
            self.last += 1
            ask(c, "update work set id = %s, v = v + 1 where id = %s", [self.last, row])
            self.live[at] = self.last
            self.events += 1
        self.events += 1

    def stop(self):
        self.ended.set()
        self.join(60)
        if self.error:
            raise self.error
        assert not self.is_alive()


def newest(p):
    with p.at_target() as c:
        return ask(c, "select coalesce(max(id), 0) from work")[0][0]


def kills(p, name):
    columns = [("id", "bigint", "int", None), ("v", "int", "int", None), ("note", "text", "text", None)]
    work = Work(p)
    with case(name + ".killed_under_load", p):
        work.start()
        try:
            for part, place in PLACES:
                harness.eventually("rows arrive", lambda at=newest(p): p.alive() or newest(p) > at, 120)
                if place:
                    p.parts[part].kill()
                    p.parts[part].wait()
                    code = p.begin(part, place + ":kill:2").wait(120)
                    assert code == -signal.SIGKILL, (place, code)
                else:
                    p.parts[part].kill()
                    p.parts[part].wait()
                p.begin(part)
        finally:
            work.stop()
        same(p, "work", columns, 180)
        got = ops(p, "work")
        assert (got["r"], len(got["cud"])) == (1, work.events), (got["r"], len(got["cud"]), work.events)
    with case(name + ".ends_in_order", p):
        for part, process in p.parts.items():
            process.terminate()
            assert process.wait(40) == 0, part
        assert "Sanitizer" not in p.log() and "runtime error" not in p.log(), p.log()[-3000:]


def direction(kind, server):
    def run():
        p = kind(CONFIG, server=server)
        name = f"mysql_roundtrip.{'to' if kind is ToMy else 'from'}_{server}"
        try:
            for table in ("t", "work"):
                p.create(table)
            tables(p, name)
            kills(p, name)
        finally:
            p.close()
    return run


def main():
    todo = []
    for server in os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split():
        chosen = [k for k, n in ((ToMy, "to_"), (FromMy, "from_")) if not sys.argv[1:] or n + server in sys.argv[1:]]
        there, why = add_server(server) if chosen else (True, "")
        if not there:
            print(f"skip mysql_roundtrip.{server}: {why}", flush=True)
            continue
        todo += [direction(kind, server) for kind in chosen]
    together(todo, 2)
    finish()


main()
