#!/usr/bin/python3
"""Capture what pgoutput sends for a scenario, from a real PostgreSQL.

    PG_DSN=... tests/wire/capture_pgoutput.py NAME

writes tests/wire/pgoutput/NAME.text.hex and, from PostgreSQL 14 on, NAME.binary.hex with the
same messages in binary, and NAME.other.hex with types that are read as text only. The tool
pgoutput_events then makes NAME.events and NAME.other.events, which a human reviews.
"""
import os
import sys
import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
SETTINGS = {
    "client_encoding": "UTF8", "datestyle": "ISO", "intervalstyle": "iso_8601",
    "timezone": "UTC", "extra_float_digits": "3", "bytea_output": "hex", "lc_monetary": "C",
    "search_path": "pg_catalog",
}

# (least version, SQL); each in a transaction of its own.
SCENARIO = [
    (0, """create type shop.mood as enum ('sad', 'ok'); create domain shop.price as numeric(8,2);
        create table shop.customer (id int primary key, name text not null, mood shop.mood, price shop.price,
          born date, seen timestamptz, tags text[], doc jsonb, balance numeric(12,3), active bool, raw bytea,
          code uuid, ratio float8, small float4, at time, ts timestamp, big int8, any_number numeric,
          span interval, host inet, flags varbit(8), moods shop.mood[])"""),
    (0, """insert into shop.customer values (1, 'Ada', 'ok', 12.50, '1815-12-10', '2024-03-31 01:30:00+02',
          '{a,"b,c",NULL}', '{"b": 1, "a": [true]}', -1234.567, true, '\\x00ff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
          0.1, 1.5, '12:34:56.789', '1999-12-31 23:59:59.999999', 9007199254740993, 1.230, '1 day 02:00', '::1/64',
          '1011', '{sad,NULL}');
        insert into shop.customer (id, name) values (2, ''), (3, 'naïve·表')"""),
    (0, "update shop.customer set name = 'Ada L.' where id = 1"),
    (0, "update shop.customer set id = 20 where id = 2; delete from shop.customer where id = 20"),
    (0, """savepoint a; insert into shop.customer (id, name) values (90, 'undone'); rollback to a;
        insert into shop.customer (id, name) values (4, 'kept')"""),
    (0, "update shop.customer set born = 'infinity', balance = 'NaN' where id = 3"),
    # Unchanged TOAST, under DEFAULT and under FULL.
    (0, "create table shop.page (id int primary key, n int, body text); alter table shop.page alter body set storage external"),
    (0, "insert into shop.page values (1, 1, repeat('x', 2100))"),
    (0, "update shop.page set n = 2"),
    (0, "alter table shop.page replica identity full"),
    (0, "update shop.page set n = 3"),
    (0, "update shop.page set body = 'short'; delete from shop.page"),
    # DDL in the middle.
    (0, "alter table shop.customer add column note varchar(10) default 'none', drop column doc, drop column moods"),
    (0, "insert into shop.customer (id, name) values (5, 'after')"),
    (0, "alter table shop.customer alter column small type float8; update shop.customer set small = 0.1 where id = 5"),
    # Keys: an index as identity, several columns, none.
    (0, """create table shop.line (id int primary key, doc int not null, pos int not null, t text);
        create unique index line_identity on shop.line (doc, pos); alter table shop.line replica identity using index line_identity"""),
    (0, "insert into shop.line values (1, 7, 1, 'a'); update shop.line set pos = 2; delete from shop.line"),
    (0, "create table shop.pair (b int, a int, v text, primary key (a, b))"),
    (0, "insert into shop.pair values (1, 2, 'x'); update shop.pair set b = 3; delete from shop.pair"),
    (0, "create table shop.log (v text); alter table shop.log replica identity nothing"),
    (0, "insert into shop.log values ('only inserts')"),
    (0, "create table shop.\"Odd name·\" (\"a.b\" int primary key)"),
    (0, "insert into shop.\"Odd name·\" values (1)"),
    (110000, "insert into shop.page values (1, 1, 'a'); truncate shop.page, shop.pair restart identity"),
    (140000, "select pg_logical_emit_message(true, 'app', 'inside'); insert into shop.log values ('between'); "
             "select pg_logical_emit_message(true, 'app', '')"),
    (140000, "select pg_logical_emit_message(false, 'app', 'outside')"),
    (0, "insert into shop.log values ('the last')"),  # flushes the message before it
]
OTHER = [
    (0, """create type shop.spot as (x int, t text); create type shop.span as range (subtype = float8);
        create table shop.other (id int primary key, p point, r int4range, s shop.span, c shop.spot, cs shop.spot[],
          x xml, v tsvector, l pg_lsn, b box[], q "char", reg regclass, tr tstzrange, path path, ov oidvector)"""),
    (0, """insert into shop.other values (1, '(1.5,-2)', '[1,5)', '[0.5,1]', row(1, 'a "b"'), array[row(1, 'x')::shop.spot],
          '<?xml version="1.0" encoding="UTF-8"?><a/>', 'b:2 a:1', '16/B374D848', '{(1,1),(0,0);(2,2),(0,0)}', 'q',
          'shop.other', '["2024-01-01 00:00+02",)', '[(0,0),(1,1)]', '1 2')"""),
    (140000, "create type shop.later as enum ('now'); alter table shop.other add column later shop.later;"
             "insert into shop.other (id, later) values (2, 'now')"),
]


class Capture:
    def __init__(self, name, dsn, folder):
        self.name = name
        self.folder = folder
        self.db = psycopg2.connect(dsn)
        self.version = self.db.server_version
        self.slot = f"capture_pgoutput_{os.getpid()}"
        with self.db.cursor() as cur:
            cur.execute("drop schema if exists shop cascade; create schema shop")
            cur.execute("drop publication if exists capture_pgoutput")
            cur.execute("create publication capture_pgoutput for all tables")
        self.db.commit()
        with self.db.cursor() as cur:
            cur.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (self.slot,))
        self.db.commit()

    def run(self, scenario):
        for least, sql in scenario:
            if self.version >= least:
                with self.db.cursor() as cur:
                    cur.execute(sql)
                self.db.commit()

    def types(self, cur):
        cur.execute("""select t.oid, n.nspname, typname, typtype, typcategory, typdelim, typlen, typelem, typbasetype,
            typtypmod, typstorage from pg_type t join pg_namespace n on n.oid = typnamespace
            where nspname = 'shop' and (typtype <> 'c' or typname = 'spot')
              and typname not in ('_customer', '_page', '_line', '_pair', '_log', '_other', '_Odd name·')
            order by t.oid""")
        return ["\t".join(["type", *map(str, row)]) for row in cur.fetchall()]

    def write(self, form, options):
        with self.db.cursor() as cur:
            for setting, value in SETTINGS.items():
                cur.execute(f"set local {setting} = %s", (value,))
            lines = [f"# pgoutput of PostgreSQL {self.version // 10000}, {form}: types, then LSN and message"]
            lines += self.types(cur)
            cur.execute("select lsn::text, encode(data, 'hex') from pg_logical_slot_peek_binary_changes(%s, null, null, "
                        "'proto_version', '1', 'publication_names', 'capture_pgoutput'" + options + ")", (self.slot,))
            lines += [f"{lsn} {data}" for lsn, data in cur.fetchall()]
        self.db.commit()
        with open(os.path.join(self.folder, f"{self.name}.{form}.hex"), "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")

    def close(self):
        with self.db.cursor() as cur:
            cur.execute("select pg_drop_replication_slot(%s)", (self.slot,))
            cur.execute("drop publication capture_pgoutput; drop schema shop cascade")
        self.db.commit()
        self.db.close()


def capture_all(name, dsn, folder):
    capture = Capture(name, dsn, folder)
    try:
        capture.run(SCENARIO)
        messages = ", 'messages', 'true'" if capture.version >= 140000 else ""
        capture.write("text", messages)
        if capture.version >= 140000:
            capture.write("binary", messages + ", 'binary', 'true'")
    finally:
        capture.close()
    capture = Capture(name, dsn, folder)
    try:
        capture.run(OTHER)
        capture.write("other", "")
    finally:
        capture.close()
    return capture.version


if __name__ == "__main__":
    capture_all(sys.argv[1], os.environ["PG_DSN"], os.path.join(HERE, "pgoutput"))
