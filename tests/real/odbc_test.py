#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Databases asked through ODBC, with three drivers: PostgreSQL's, MariaDB's, SQLite's. Values are those of the native
sources; what is committed within poll.lookback comes once, also over kills; what comes later is missed, and plan says
so. Arguments choose cases."""
import contextlib
import json
import os
import sys
import threading
import urllib.request

import fastavro

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import CONFIG, Registry, case, connect, eventually, finish, read_topics, together  # noqa: E402
import mysql  # noqa: E402
from odbc import SOURCE, Lite, Maria, Pg  # noqa: E402
import poll_case  # noqa: E402

poll_case.ROWS = min(poll_case.ROWS, 1000)
COMPACT = CONFIG.replace("partitions: 3", "partitions: 3, config: {{cleanup.policy: compact}}")
BY_TIME = "      {space}.t: {{method: query, poll: {{column: at, every: 100ms, lookback: LOOKBACK TIMEZONE}}}}\n"
BY_NUMBER = "      {space}.t: {{method: query, poll: {{column: id, every: 100ms, lookback: LOOKBACK}}}}\n"


def by_time(lookback, zone=""):
    return BY_TIME.replace("LOOKBACK", lookback).replace(" TIMEZONE", zone)


def by_number(lookback):
    return BY_NUMBER.replace("LOOKBACK", lookback)


@contextlib.contextmanager
def pipeline(name, kind, tables, sql, base=CONFIG, more=""):
    p = kind(SOURCE + tables + more, target=False)
    p.write(SOURCE + tables + more, base)
    with case(f"odbc_{name}", p):
        if sql:
            p.sql(sql)
        yield p
    p.close()


def ids(p, table="t", space=None):
    return [int(e["after"]["id"]) for e in p.events(table, space or p.space) if e and e["after"]]


# ---- values ----

NATIVE = """  native:
    type: {native}
    dsn: {source}
    prefix: {id}n
    tables:
      {space}.t: {{method: query, poll: {{column: id, every: 100ms}}}}
"""

PG_TYPES = """create table t(id int primary key, small smallint, big bigint, n numeric(12,4), f4 real, f8 double precision,
  bo boolean, tx text, vc varchar(20), ch char(5), by bytea, da date, ti time, ts timestamp, tz timestamptz, uu uuid,
  js json, jb jsonb, oi oid, iv interval, nn int not null default 7, free numeric, arr int[]);
insert into t values
 (1, -32768, 9223372036854775807, 12345678.1234, 0.1, 0.1, true, E'gr\\u00fc\\u00df \\U0001F600 ''"\\\\', 'v', 'c', '\\x0001ff00',
  '2026-02-28', '23:59:59.999999', '2026-02-28 01:02:03.000001', '2026-02-28 01:02:03.5+02',
  'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{"a": 1}', '{"b": [1, 2]}', 4294967295, '1 day', 1, 1.5, '{1,2}'),
 (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, 2, null, null),
 (3, 32767, -9223372036854775808, -0.0001, -3.4028235e38, 1.7976931348623157e308, false, '', '', '', '', '0001-01-01', '00:00:00',
  '1969-12-31 23:59:59.999999', '1900-01-01 00:00:00+00', '00000000-0000-0000-0000-000000000000', 'null', '"x"', 0, '-2 hours', 3, 0, '{}')"""
# Columns that are not the same, and why.
PG_OTHER = {
    "free": "the driver gives numbers without declared digits 28 of them, 6 behind the point; there is TEXT natively",
    "iv": "the driver writes intervals as the server does; natively as ISO 8601",
    "arr": "the driver writes arrays as text; there is JSON natively",
}

MY_TYPES = """create table t(id int primary key, ty tinyint, ti1 tinyint(1), small smallint, med mediumint, iu int unsigned, big bigint,
  bu bigint unsigned, n decimal(12,4), f4 float, f8 double, tx text, vc varchar(20), ch char(5), by1 blob, vb varbinary(9),
  bi binary(4), b1 bit(1), da date, tm time(6), dt datetime(6), ts timestamp(6) null, ye year, en enum('a','b'), se set('x','y'),
  nn int not null default 7) character set utf8mb4;
insert into t values
 (1, -128, -1, -32768, -8388608, 4294967295, 9223372036854775807, 18446744073709551615, 12345678.1234, 0.1, 0.1,
  concat('gr', 0xC3BC, ' ', 0xF09F9880, '''"', char(92)), 'v', 'c', x'0001ff00', x'00ff', x'01020304', 1, '2026-02-28',
  '-838:59:58.999999', '2026-02-28 01:02:03.000001', '2026-02-28 01:02:03.5', 2026, 'b', 'x,y', 1);
insert into t values (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
  null, null, null, null, null, null, 2);
insert into t values
 (3, 127, 1, 32767, 8388607, 0, -9223372036854775808, 0, -0.0001, -3.4e38, 1.7e308, '', '', '', '', '', x'00000000', 0,
  '1000-01-01', '838:59:58', '1969-12-31 23:59:59.999999', '1970-01-02 00:00:01', 1901, 'a', '', 3)"""
MY_OTHER = {}


class Plain(Registry):
    """Lengths of time as numbers: what is beyond a day is no time to the reader."""

    def schema(self, number):
        if number not in self.schemas:
            with urllib.request.urlopen(f"{self.url}/schemas/ids/{number}", timeout=20) as r:
                text = json.load(r)["schema"].replace('"logicalType":"time-micros"', '"plain":"time"')
            self.schemas[number] = fastavro.parse_schema(json.loads(text))
        return self.schemas[number]


def rows(p, prefix):
    """Of the table t, by id, once all three are there."""
    def probe():
        got = [p.registry.decode(m.value())["after"] for m in read_topics(p.bootstrap, [f"{prefix}.{p.space}.t"])]
        return len(got) >= 3 and {r["id"]: r for r in got}
    return eventually("three rows", probe, 60, 0.2)


def compare(p, other):
    p.registry = Plain(p.registry.url)
    p.start()
    got, want = rows(p, p.id), rows(p, p.id + "n")
    wrong = [f"{i}.{c}: {got[i][c]!r}, natively {want[i][c]!r}" for i in want for c in want[i]
             if c not in other and repr(got[i][c]) != repr(want[i][c])]
    assert not wrong, "; ".join(wrong)
    alike = [c for c in other if all(repr(got[i][c]) == repr(want[i][c]) for i in want)]
    assert not alike, f"listed as other, and the same: {alike}"
    assert p.stop() == 0


def values_postgres():
    with pipeline("values_postgres", Pg, by_number("3s"), PG_TYPES,
                  more=NATIVE.replace("{native}", "postgres")) as p:
        compare(p, PG_OTHER)


def values_mariadb():
    native = NATIVE.replace("{native}", "mariadb").replace("    prefix", "    password: {password}\n    insecure: true\n    prefix")
    with pipeline("values_mariadb", Maria, by_number("3s"), MY_TYPES, more=native) as p:
        p.grant("process on *.*")
        compare(p, MY_OTHER)


def values_sqlite():
    sql = ("create table t(id integer primary key, big bigint, r double, s varchar(50), tx text, b blob, at timestamp, dt date, bo boolean);"
           "insert into t values (1, 9007199254740993, 0.1, 'gr\u00fc\u00df \U0001f600 ''\"\\', '', x'0001ff00', '2026-02-28 01:02:03.456', '2026-02-28', 1);"
           "insert into t values (2, null, null, null, null, null, null, null, null);"
           "insert into t values (5000000000, -9223372036854775808, 1.5e300, 'x', 'y', x'', '1969-12-31 23:59:59', '0001-01-01', 0);"
           "create table bad(id integer primary key, d date not null); insert into bad values (1, 'soon')")
    bad = "      main.bad: {{method: query, poll: {{column: id, every: 100ms, lookback: 3s}}, errors: {{mode: dlq}}}}\n"
    with pipeline("values_sqlite", Lite, by_number("3s") + bad, sql) as p:
        p.start()
        p.says("main.bad column d (date): it cannot be read as DATE")  # and not NULL, as the driver has it
        got = {e["after"]["id"]: e["after"] for e in p.wait_events("t", 3, "main")}
        one, last = got[1], got[5000000000]
        assert one["big"] == 9007199254740993 and last["big"] == -9223372036854775808, got
        assert one["s"] == "gr\u00fc\u00df \U0001f600 '\"\\" and one["tx"] == "" and one["b"] == b"\0\1\xff\0" and last["b"] == b"", got
        assert one["r"] == 0.1 and last["r"] == 1.5e300 and one["bo"] is True and last["bo"] is False, got
        assert str(one["at"]) == "2026-02-28 01:02:03.456000" and str(one["dt"]) == "2026-02-28", got
        assert all(v is None for k, v in got[2].items() if k != "id"), got
        assert p.stop() == 0


# ---- late commits ----

PG_TABLE = "create table t(id serial primary key, at timestamptz not null default now(), v text); create index on t(at, id)"
MY_TABLE = "create table t(id serial primary key, at timestamp(6) not null default current_timestamp(6), v text, key (at, id))"


def late(name, kind, tables, sql, writer, kills=True):
    p = kind(SOURCE + tables, target=False)
    p.sql(sql)
    poll_case.late(f"odbc_{name}", p, lambda: writer(p), p.space, kills)
    p.close()


def pg_writer(p):
    c = connect(p.source)
    c.autocommit = False
    return c


def my_writer(p):
    return mysql.connect(p.root, database=p.id, autocommit=False)


def late_by_time_postgres():
    late("late_by_time_postgres", Pg, by_time("10s"), PG_TABLE, pg_writer)


def late_by_number_mariadb():
    late("late_by_number_mariadb", Maria, by_number("10s"), MY_TABLE, my_writer)


def late_by_time_mariadb():
    late("late_by_time_mariadb", Maria, by_time("10s"), MY_TABLE, my_writer, kills=False)


def later_than_that():
    """The control, and what is promised of it: plan says that it is missed, and it is."""
    with pipeline("later_than_that", Pg, by_time("1s"), PG_TABLE) as p:
        code, out, err = p.verb("plan")
        assert "query.bound" in out and "poll.lookback 1s decides, later commits are missed" in out, (code, out, err)
        assert "odbc.driver" in out and "PostgreSQL" in out and "odbc.types" in out, out
        c = pg_writer(p)
        q = c.cursor()
        q.execute("insert into t(v) values ('late') returning (extract(epoch from at) * 1000000)::bigint")
        stamp = q.fetchone()[0]
        p.sql("insert into t(v) values ('early')")
        p.start()

        def passed():
            p.sql("insert into t(v) values ('next')")  # a record is written with rows only
            code, out, err = p.verb("position", "show", "src", "--json")
            return code == 0 and any(r.get("cursor", 0) > stamp for r in records(json.loads(out)))
        eventually("lookback has passed", passed, 40, 0.5)
        c.commit()
        c.close()
        last = p.sql("insert into t(v) values ('last') returning id")[0][0]
        eventually("the last row", lambda: last in ids(p))
        want = {int(r[0]) for r in p.sql("select id from t")}
        missed = want - set(ids(p))
        assert missed == {1}, missed
        assert p.stop() == 0


def records(found):
    """Every object in what position show says."""
    if isinstance(found, dict):
        yield found
        for v in found.values():
            yield from records(v)
    elif isinstance(found, list):
        for v in found:
            yield from records(v)


def more_than_are_remembered():
    """12,000 rows of one moment: 2,000 of them wait until they are final; a kill in the meantime, and nothing twice."""
    with pipeline("more_than_are_remembered", Pg, by_time("4s"), PG_TABLE) as p:
        p.start()
        p.says("polls 1 table")
        p.sql("insert into t(v) select repeat('x', 500) from generate_series(1, 12000)")
        p.says("more than 10000 rows within poll.lookback")
        p.kill()
        p.start()
        eventually("all rows", lambda: len(set(ids(p))) == 12000, 60, 0.5)
        assert len(ids(p)) == 12000, len(ids(p))
        assert p.stop() == 0


def cut(name, kind, table, connections, kill):
    """What the drivers say then is a reason to connect anew, and none to end."""
    with pipeline(f"connections_are_cut_{name}", kind, by_time("5s"), table) as p:
        p.start()
        for n in (1, 2):
            p.sql("insert into t(v) values ('x')")
            p.wait_events("t", n, p.space)
            for (number,) in p.sql(connections):
                with contextlib.suppress(mysql.pymysql.MySQLError):  # it has ended by itself
                    p.sql(kill.replace("ID", str(number)))
            eventually("it connects anew", lambda n=n: p.log(True).count("trying again") >= n)
        assert p.stop() == 0
        assert sorted(ids(p)) == [1, 2], ids(p)


def cut_postgres():
    cut("postgres", Pg, PG_TABLE, "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        "select pg_terminate_backend(ID)")


def cut_mariadb():
    cut("mariadb", Maria, MY_TABLE, "select id from information_schema.processlist where db = database() and id <> connection_id()", "kill ID")


# ---- whole tables, names, statements ----

def whole_tables():
    tables = ("      main.c: {{method: snapshot, poll: {{every: 300ms}}}}\n"
              "      main.t: {{method: query, poll: {{column: id, every: 100ms, lookback: 2s, deletes: full-compare, compare_every: 1s}}}}\n")
    sql = ("create table c(code text primary key not null, name text); insert into c values ('a', 'A'), ('b', 'B'), ('c', 'C');"
           "create table t(id integer primary key not null, v text not null); insert into t values (1, 'x'), (2, 'y'), (3, 'z')")
    with pipeline("whole_tables", Lite, tables, sql, COMPACT) as p:
        p.start()
        p.wait_events("c", 3, "main")
        p.wait_events("t", 3, "main")
        p.sql("update c set name = 'BB' where code = 'b'; delete from c where code = 'c'; delete from t where id = 2")
        got = p.wait_events("c", 5, "main")
        assert [e["before"]["code"] for e in got if e["op"] == "d"] == ["c"], got
        assert [e["after"]["name"] for e in got if e["after"] and e["after"]["code"] == "b"] == ["B", "BB"], got
        got = p.wait_events("t", 4, "main")
        assert [e["before"]["id"] for e in got if e["op"] == "d"] == [2], got
        assert p.stop() == 0
        assert len([e for e in p.events("c", "main") if e]) == 5 and len([e for e in p.events("t", "main") if e]) == 4


def statements_and_names():
    """A statement; names with quotes, blanks, % and _; keys of text that are compared by value; a column more."""
    tables = ("      'sp\"a ce.we\"ird %_ tab''le; --': {{method: query, topic: '{id}.weird', poll: {{column: 'i d', every: 100ms, lookback: 2s}}}}\n"
              "      app.joined: {{method: query, key: [name], poll: {{column: changed, tiebreak: name, every: 100ms, lookback: 5s, batch: 2,"
              " query: \"select t.name, t.changed, c.note from public.t join public.c on c.id = t.c\"}}}}\n")
    sql = ("create schema \"sp\"\"a ce\"; create table \"sp\"\"a ce\".\"we\"\"ird %_ tab'le; --\"(\"i d\" int primary key, \"v\"\"al; ue\" text);"
           "create table \"sp\"\"a ce\".\"we\"\"ird %x tab'le; --\"(other int);"
           "insert into \"sp\"\"a ce\".\"we\"\"ird %_ tab'le; --\" values (1, 'one');"
           "create table c(id int primary key, note text); insert into c values (1, '?');"
           "create table t(name text primary key, changed timestamptz not null, c int);"
           "insert into t select 'na''me ? ' || i, '2020-01-01', 1 from generate_series(1, 7) i")
    with pipeline("statements_and_names", Pg, tables, sql) as p:
        p.start()
        got = p.wait_events("joined", 7, "app")
        assert sorted(e["after"]["name"] for e in got) == [f"na'me ? {i}" for i in range(1, 8)], got

        def weird():
            out = []
            for m in read_topics(p.bootstrap, [f"{p.id}.weird"]):
                out.append(p.registry.decode(m.value()))
            return out
        eventually("the weird table", lambda: len(weird()) == 1)
        p.sql("alter table \"sp\"\"a ce\".\"we\"\"ird %_ tab'le; --\" add more text default 'm';"
              "insert into \"sp\"\"a ce\".\"we\"\"ird %_ tab'le; --\" values (2, 'two', 'new');"
              "update t set changed = now(), c = 1 where name like '%3'")
        eventually("the new column", lambda: len(weird()) == 2 and "new" in weird()[1]["after"].values())
        got = p.wait_events("joined", 8, "app")
        assert got[-1]["after"]["name"] == "na'me ? 3", got[-1]
        assert p.stop() == 0


def altered_between():
    """A column more between what the driver prepares and what it executes: the server refuses that plan, and it is asked again."""
    tables = "      public.t: {{method: query, poll: {{column: id, every: 100ms, lookback: 2s}}}}\n"
    with pipeline("altered_between", Pg, tables, "create table t(id int primary key, v text); insert into t values (1, 'x')") as p:
        p.start()
        p.wait_events("t", 1)

        def waiting(count):
            return p.sql("select count(*) from pg_locks where not granted and relation = 't'::regclass")[0][0] == count
        holder, alterer = connect(p.source), connect(p.source)
        holder.autocommit = False
        holder.cursor().execute("lock table t in access exclusive mode")
        eventually("it waits to prepare", lambda: waiting(1))
        # Before what it executes next in the queue for the table.
        t = threading.Thread(target=lambda: alterer.cursor().execute("alter table t add more text default 'm'; insert into t values (2, 'y', 'new')"))
        t.start()
        eventually("the ALTER waits behind it", lambda: waiting(2))
        holder.rollback()
        t.join()
        got = p.wait_events("t", 2)
        assert got[1]["after"]["more"] == "new", got
        assert "is held" not in p.log() and "its columns have changed" in p.log(), p.log()
        assert p.stop() == 0
        holder.close()
        alterer.close()


# ---- bad input ----

def bad_inputs():
    one = "      main.t: {{method: query, poll: {{column: id, lookback: 2s}}}}\n"
    sql = ("create table t(id integer primary key not null, v text, at timestamp); insert into t values (1, 'x', null);"
           "create view w as select id, at from t")
    with pipeline("bad_inputs", Lite, one, sql) as p:
        def refuses(config, *texts, verb="plan"):
            p.write(config)
            code, out, err = p.verb(verb)
            both = " ".join((out + err).split())
            assert code != 0 and all(t in both for t in texts), (code, texts, both)
        refuses(SOURCE.replace("{odbc}", "Driver=Nope;Database=x;") + one, "odbc.driver", "odbcinst -q -d")
        refuses(SOURCE.replace("{odbc}", "nonsense") + one, "odbc.dsn", "KEYWORD=value")
        refuses(SOURCE.replace("{odbc}", "Driver=SQLite3;PWD=secret;") + one, "config.dsn_password", verb="validate")
        refuses(SOURCE + one.replace("main.t", "main.nope"), "odbc.table", "main.nope")
        refuses(SOURCE + one.replace("main.t", "public.t"), "odbc.table", "main, a dot and the name")
        refuses(SOURCE + one.replace("column: id", "column: v"), "poll.column")
        refuses(SOURCE + one.replace("column: id", "column: at, timezone: UTC"), "compares times as text")
        refuses(SOURCE + one.replace(", lookback: 2s", ""), "config.missing", "poll.lookback", verb="validate")
        refuses(SOURCE + "      main.t: {{}}\n", "has no log", verb="validate")
        refuses(SOURCE + one.replace("method: query", "method: outbox").replace("poll:", "outbox: {{id: id, payload: v}}, poll:"),
                "cannot be taken as an outbox", verb="validate")
        p.write(SOURCE + one)
        p.sql("insert into t values (9223372036854775807, 'last', null)")
        p.start()
        p.wait_events("t", 2, "main")
        assert p.stop() == 0


def bad_logins_and_rows():
    tables = "      {space}.t: {{method: query, poll: {{column: at, every: 100ms, lookback: 2s}}}}\n"
    with pipeline("bad_logins_and_rows", Maria, tables, "create table t(id int primary key, at timestamp(6) null, g point)") as p:
        code, out, err = p.verb("plan")
        both = " ".join((out + err).split())
        p.write((SOURCE + tables).replace("{password}", "wrong"))
        code, out, err = p.verb("plan")
        both = " ".join((out + err).split())
        assert code != 0 and "wrong" not in both and "1045" in both, (code, both)
        p.start()
        p.refused(9, "1045")
        p.write(SOURCE + tables.replace("lookback", "tiebreak: id, lookback"))
        p.sql("insert into t values (1, current_timestamp(6), null);\ninsert into t values (2, null, null)")
        p.start()
        p.wait_events("t", 1, p.space)
        p.says("1 rows have no at and are never read")
        assert p.stop() == 0


CASES = [values_postgres, values_sqlite, late_by_time_postgres, later_than_that, more_than_are_remembered, cut_postgres,
         whole_tables, statements_and_names, altered_between, bad_inputs]
MARIADB = [values_mariadb, late_by_number_mariadb, late_by_time_mariadb, cut_mariadb, bad_logins_and_rows]

if __name__ == "__main__":
    there, why = mysql.add_server("mariadb")
    if not there:
        print(f"skip odbc.mariadb: {why}", flush=True)
        MARIADB.clear()
    together([c for c in CASES + MARIADB if not sys.argv[1:] or c.__name__ in sys.argv[1:]], 5)
    finish()
