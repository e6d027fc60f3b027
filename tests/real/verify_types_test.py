#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet verify, type by type: every kind of value from every kind of source into every kind of sink is equal, without
a difference where there is none, and one value that is another one is found in each column."""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mysql  # noqa: E402
from harness import Pipeline, case, create_database, drop_database, eventually, finish  # noqa: E402
from sqlite import SQ_SOURCE, SqlitePipeline  # noqa: E402

SINKS = """
sinks:
  pg: {{type: postgres, dsn: '{pgsink}', from: ['{id}.{space}.t'], create: run, write: {{every: 50ms}}}}
  maria: {{type: mariadb, dsn: '{maria}', from: ['{id}.{space}.t'], create: run, write: {{every: 50ms}}}}
  lite: {{type: sqlite, path: '{dir}/out.db', from: ['{id}.{space}.t'], create: run, write: {{every: 50ms}}}}
"""
PG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}, heartbeat: 500ms}}
    tables: {{public.t: {{}}}}
"""
MY = """
sources:
  src:
    type: {type}
    dsn: {source}
    password: {password}
    prefix: {id}
    log: {{heartbeat: 500ms}}
    tables: {{{id}.t: {{}}}}
"""
# column: type, two values that differ as little as can be
PG_COLUMNS = dict(
    ok=("bool", "true", "false"), i2=("smallint", "-32768", "-32767"), i4=("int", "2147483647", "2147483646"),
    i8=("bigint", "9223372036854775807", "9223372036854775806"), nu=("numeric(20,4)", "'-1234567890.1230'", "'-1234567890.1231'"),
    n0=("numeric(30)", "'100000000000000000000000000000'", "'0'"), nx=("numeric", "'1.50'", "'1.5'"), mo=("money", "'12.34'", "'12.35'"),
    f4=("real", "0.1", "0.10000001"), f8=("float8", "0.1", "0.10000000000000002"), fl=("float8", "1e300", "-1e-300"),
    tx=("text", "E'\u00e9\U0001f600 |~\\n'", "E'e\u0301\U0001f600 |~\\n'"), vc=("varchar(20)", "'a'", "'a '"), ch=("char(5)", "'ab'", "'Ab'"),
    bs=("bytea", "'\\x00ff7c'", "'\\x00ff7d'"), bi=("bit(5)", "B'10101'", "B'10100'"), js=("json", "'{\"b\": 1, \"a\": [1.5, null]}'", "'{\"b\": 1, \"a\": [1.5, 0]}'"),
    jb=("jsonb", "'{\"x\": \"\u00e9\"}'", "'{\"x\": \"e\"}'"), uu=("uuid", "'0123abcd-0000-0000-0000-00000000ffff'", "'0123abcd-0000-0000-0000-00000000fffe'"),
    da=("date", "'1000-01-01'", "'9999-12-31'"), ti=("time", "'23:59:59.999999'", "'23:59:59.999998'"), tz=("timetz", "'10:00:00+01'", "'10:00:00+02'"),
    dt=("timestamp", "'1969-12-31 23:59:59.999999'", "'1970-01-01 00:00:00'"), ts=("timestamptz", "'2026-03-29 01:30:00.000001+00'", "'2026-03-29 01:30:00+00'"),
    iv=("interval", "'1 year 2 months 3 days 04:05:06.78'", "'1 year 2 months 4 days 04:05:06.78'"), ip=("inet", "'10.0.0.1'", "'10.0.0.1/8'"),
    ar=("int[]", "'{1,NULL,3}'", "'{1,NULL,4}'"), ta=("text[]", "'{a,\"b c\"}'", "'{a,\"b  c\"}'"), en=("mood", "'sad'", "'glad'"), ra=("int4range", "'[1,5)'", "'[1,6)'"))
MY_COLUMNS = dict(
    ok=("bit(1)", "b'1'", "b'0'"), t1=("tinyint(1)", "2", "1"), i2=("smallint unsigned", "65535", "65534"), i4=("int unsigned", "4294967295", "4294967294"),
    i8=("bigint", "-9223372036854775808", "-9223372036854775807"), u8=("bigint unsigned", "18446744073709551615", "18446744073709551614"),
    nu=("decimal(20,4)", "-1234567890.1230", "-1234567890.1231"), n0=("decimal(30,0)", "100000000000000000000000000000", "0"),
    f4=("float", "0.1", "0.10000001"), f8=("double", "0.1", "0.10000000000000002"), fl=("double", "1e300", "-1e-300"),
    tx=("text", "'\u00e9\U0001f600 |~\\n'", "'e\U0001f600 |~\\n'"), vc=("varchar(20) character set latin1", "'\u00e9'", "'\u00e8'"), ch=("char(5)", "'ab'", "'Ab'"),
    bs=("varbinary(10)", "x'00ff7c'", "x'00ff7d'"), bn=("binary(3)", "x'0100'", "x'0101'"), b9=("bit(9)", "b'100000001'", "b'100000000'"),
    bl=("longblob", "x''", "x'00'"), da=("date", "'1000-01-01'", "'9999-12-31'"), dz=("date", "'0000-00-00'", "'2000-01-01'"), ti=("time(6)", "'-00:00:00.500000'", "'838:59:59'"),
    dt=("datetime(6)", "'1969-12-31 23:59:59.999999'", "'1970-01-01 00:00:00'"), ts=("timestamp(6) null", "'2026-03-29 01:30:00.000001'", "'2026-03-29 01:30:00'"),
    yr=("year", "2024", "1901"), y0=("year", "0", "2000"), zi=("int(6) unsigned zerofill", "42", "43"), zb=("bigint(20) unsigned zerofill", "18446744073709551615", "7"),
    zd=("decimal(8,2) unsigned zerofill", "4.50", "4.51"), zn=("decimal(8,0) unsigned zerofill", "45", "46"), nn=("decimal(65,30)", "-%s.%s" % ("9" * 35, "9" * 30), "-%s.%s8" % ("9" * 35, "9" * 29)), en=("enum('a','b')", "'a'", "'b'"), se=("set('x','y')", "'x,y'", "'y'"))
LITE_COLUMNS = dict(
    ok=("BOOLEAN", "1", "0"), i8=("BIGINT", "9223372036854775807", "9223372036854775806"), nu=("DECIMAL(10,2)", "'12.30'", "'12.31'"),
    f8=("REAL", "0.1", "0.10000000000000002"), tx=("TEXT", "'\u00e9 |~'", "'e |~'"), bs=("BLOB", "x'00ff7c'", "x'00ff7d'"),
    js=("JSON", "'{\"b\":1,\"a\":2}'", "'{\"b\":1,\"a\":3}'"), uu=("UUID", "'0123abcd-0000-0000-0000-00000000ffff'", "'0123abcd-0000-0000-0000-00000000fffe'"),
    da=("DATE", "'1000-01-01'", "'9999-12-31'"), ti=("TIME", "'23:59:59.999999'", "'23:59'"), dt=("DATETIME", "'1969-12-31T23:59:59.999999'", "'1970-01-01 00:00'"),
    ts=("TIMESTAMP", "'2026-03-29 01:30:00.000001Z'", "'2026-03-29 03:30+02:00'"), us=("seen", "1700000000", "1700000001"), um=("seenms", "1700000000123", "1700000000124"))
SINK_SERVER = "MARIADB_DSN"  # of the sink `maria`


class Sinks:
    """What the three pipelines below have in common: three sinks, and SQL at each."""

    def values(self):
        c = mysql.connect(os.environ[SINK_SERVER])
        mysql.run(c, f"create database if not exists `{self.id}_s` character set utf8mb4")
        c.close()
        self.pgsink = getattr(self, "pgsink", None) or create_database(os.environ["PG2_DSN"], self.id + "_s")
        return dict(super().values(), pgsink=self.pgsink, space=self.space(), maria=os.environ[SINK_SERVER].rsplit("/", 1)[0] + f"/{self.id}_s")

    def at(self, sink, text, *values):
        if sink == "pg":
            return Pipeline.sql(self, text, *values, on=self.pgsink)
        if sink == "maria":
            c = mysql.connect(os.environ[SINK_SERVER], database=self.id + "_s")
            try:
                return mysql.run(c, text, values or None)
            finally:
                c.close()
        c = sqlite3.connect(os.path.join(self.dir, "out.db"), timeout=30)
        with c:
            got = c.execute(text.replace("%s", "?"), values).fetchall()
        c.close()
        return got

    def close(self):
        c = mysql.connect(os.environ[SINK_SERVER])
        mysql.run(c, f"drop database if exists `{self.id}_s`")
        c.close()
        drop_database(os.environ["PG2_DSN"], self.id + "_s")
        super().close()


class FromPg(Sinks, Pipeline):
    def space(self):
        return "public"


class FromMy(Sinks, mysql.MyPipeline):
    def space(self):
        return self.id


class FromLite(Sinks, SqlitePipeline):
    def space(self):
        return "main"


def read_for(sink, column):
    if sink == "maria" and column == "f4":  # it prints six digits of a float
        return column + " + 0e0"
    return f"{column}::text" if sink == "pg" else column


def kinds(p, columns, name, skip):
    """Rows 1, 3, 5, ... hold the first values, 2, 4, ... the second ones, the last one NULL."""
    n = 2 * len(columns) + 2
    p.start()
    with case(f"verify_types.{name}_flows", p):
        for sink in ("pg", "maria", "lite"):
            eventually(f"{n} rows at {sink}", lambda s=sink: has(p, s, n), 60, 0.2)
    for sink in ("pg", "maria", "lite"):
        with case(f"verify_types.{name}_to_{sink}", p):
            one(p, sink, list(columns), skip.get(sink, set()), n)


def has(p, sink, n):
    assert p.daemon.poll() is None, p.daemon.returncode
    try:
        return p.at(sink, "select count(*) from t")[0][0] == n
    except Exception as e:  # no table yet
        assert "t" in str(e)
        return False


def verify(p, sink, code, *words):
    got, out, err = p.verb("verify", f"src/{p.space()}.t", "--json", "--sink", sink, "--load", "100", *words, timeout=200)
    answer = json.loads(out)
    assert got == code, (got, answer["error"] or [(r["key"], r["what"], r["columns"]) for r in answer["result"]["rows"]][:12], err[-300:])
    return answer["result"]


def one(p, sink, columns, skip, n):
    for mode in ([], ["--full"]):
        r = verify(p, sink, 0, *mode)
        assert (r["rows_source"], r["rows_sink"]) == (n, n)
        left = {c["name"] for c in r["columns"] if not c["compared"]}
        assert left == skip, (left, [c for c in r["columns"] if not c["compared"]])
    want = []
    for k, c in enumerate(columns):
        if c in skip:
            continue
        value = p.at(sink, f"select {read_for(sink, c)} from t where id = 2")[0][0]
        p.at(sink, f"update t set {c} = %s where id = %s", value, 2 * k + 1)
        want.append((str(2 * k + 1), c))
    r = verify(p, sink, 4)
    got = sorted((x["key"]["id"], *x["columns"]) for x in r["rows"])
    assert got == sorted(want), (sorted(set(got) ^ set(want)))


def fill(columns, quote='"'):
    names = ", ".join(columns)
    rows = []
    for i in range(1, 2 * len(columns) + 2):
        rows.append(f"({i}, " + ", ".join(v[1 + (i + 1) % 2] for v in columns.values()) + ")")
    return f"insert into t (id, {names}) values " + ", ".join(rows)


def from_postgres(name="postgres"):
    p = FromPg(PG + SINKS)
    p.sql("create type mood as enum ('sad', 'glad'); create table t (id int primary key, " + ", ".join(f"{c} {v[0]}" for c, v in PG_COLUMNS.items())
          + "); create publication pub for table t")
    p.sql(fill(PG_COLUMNS).replace("%", "%%"))
    p.sql("insert into t (id) values (1000)")
    kinds(p, PG_COLUMNS, name, {})
    p.close()


def from_mariadb(server):
    p = FromMy(MY + SINKS, server)
    p.sql("create table t (id int primary key, " + ", ".join(f"{c} {v[0]}" for c, v in MY_COLUMNS.items()) + ") character set utf8mb4")
    c = mysql.connect(p.root, database=p.id)
    mysql.run(c, "set sql_mode = ''")
    mysql.run(c, "set time_zone = '+00:00'")
    mysql.run(c, fill(MY_COLUMNS).replace("%", "%%"))
    mysql.run(c, "insert into t (id) values (1000)")
    c.close()
    kinds(p, MY_COLUMNS, server, {})
    p.close()


def into_mysql():
    """The sink `maria` is in a MySQL server."""
    global SINK_SERVER
    SINK_SERVER = "MYSQL_DSN"
    from_postgres("into_mysql")
    SINK_SERVER = "MARIADB_DSN"


def from_sqlite():
    sql = "create table t (id INTEGER PRIMARY KEY AUTOINCREMENT, " + ", ".join(f"{c} {v[0]}" for c, v in LITE_COLUMNS.items()) + ");" + fill(LITE_COLUMNS) \
        + "; insert into t (id) values (1000);"
    p = FromLite("      main.t: {{method: query, poll: {{column: id, every: 200ms}}, columns: {{types: {{us: unix-seconds, um: unix-millis}}}}}}\n" + SINKS, sql)
    kinds(p, LITE_COLUMNS, "sqlite", {})
    p.close()


def main():
    if not mysql.add_server("mariadb")[0]:
        print("skip verify_types: no MariaDB in the stack")
        return
    for name, f in (("postgres", from_postgres), ("mariadb", lambda: from_mariadb("mariadb")), ("mysql", lambda: from_mariadb("mysql")), ("into_mysql", into_mysql), ("sqlite", from_sqlite)):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        if "mysql" in name and not mysql.add_server("mysql")[0]:
            print(f"skip verify_types.{name}: no MySQL in the stack")
            continue
        with case("verify_types." + name):
            f()


if __name__ == "__main__":  # verify_stores_test takes some of it
    main()
    finish()
