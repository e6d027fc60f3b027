#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Topics that a real Debezium wrote (tests/data/debezium), loaded as they are: byte by byte, but for the ids of
their schemas. Each sink reads them; in the end its tables hold what the source's hold, which is asked of a real PostgreSQL
that did the same statements. What a target cannot hold is a dead letter, by name."""
# alone: the topics and subjects of the set have their own names, whoever uses them
import decimal
import json
import os
import re
import sqlite3
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
import clickhouse  # noqa: E402
import debezium as golden  # noqa: E402
import mysql  # noqa: E402
from harness import CONFIG as BASE  # noqa: E402
from harness import Pipeline, case, connect, eventually, finish  # noqa: E402

from duckdb_sink_case import LIBRARY, duckdb  # noqa: E402

TABLES = ["types_num", "types_str", "types_time", "odd-name_t", "toasted"]
SINK = """
  {name}:
    {where}
    from: [TOPICS]
    create: run
    on_change: {{{{add_column: evolve}}}}
    errors: {{{{mode: dlq}}}}
    write: {{{{every: 50ms, truncate: ignore}}}}
  {name}-all:
    {where}
    from: ["pg.golden.no_pk"]
    create: run
    on_change: {{{{add_column: evolve}}}}
    errors: {{{{mode: dlq}}}}
    write: {{{{every: 50ms, mode: append, deletes: ignore, truncate: ignore}}}}
""".replace("TOPICS", ", ".join(f'"pg.golden.{t}"' for t in TABLES))

# Kinds of columns: what is the same, however a database shows it.
COLUMNS = {
    "types_num": dict(id="int", c_small="int", c_int="int", c_big="int", c_real="real", c_double="double", c_num="number", c_num0="number",
                      c_numbig="number", c_numfree="number", c_money="number", c_bool="bool", c_bit1="bool", c_bit12="bytes",
                      c_varbit="bytes", c_oid="int"),
    "types_str": dict(id="int", part="text", c_char="text", c_varchar="text", c_text="text", c_bytea="bytes", c_json="json",
                      c_jsonb="json", c_xml="text", c_uuid="text", c_inet="text", c_cidr="text", c_macaddr="text", c_enum="text",
                      c_point="text", c_tsv="text", c_i4r="text", c_tsr="text", c_arr_i="json", c_arr_t="json", c_arr_n="numbers",
                      c_arr_ts="times", c_name="text"),
    "types_time": dict(id="int", c_date="text", c_time="clock", c_time3="clock", c_time6="clock", c_timetz="text", c_ts="time",
                       c_ts3="time", c_ts6="time", c_tstz="time", c_tstz3="time", c_intv="text", c_ts_dflt="time",
                       c_date_dflt="text"),
    "odd-name_t": dict(the_key="int", _1st_col="text", c_dash="int", _n_="text"),
    "toasted": dict(id="int", n="int", big="text"),
    "no_pk": dict(a="int", b="text", c="number"),
}
# What the source's columns are, where Debezium writes something else that says the same.
BITS = ("(select string_agg(set_byte('\\x00'::bytea, 0, lpad(substr(lpad(x, 24, '0'), 25 - 8 * i, 8), 8, '0')::bit(8)::int), ''::bytea order by i)"
        " from (select ltrim({c}::text, '0') as x) y, generate_series(1, (length(x) + 7) / 8) i)")
SOURCE = {
    "c_bit1": "({c} = B'1')",
    "c_bit12": "case when {c} is not null then coalesce(" + BITS + ", '') end",
    "c_varbit": "case when {c} is not null then coalesce(" + BITS + ", '') end",
    "c_money": "{c}::numeric",
    "c_i4r": "{c}::text",
    "c_tsr": "{c}::text",
    "c_json": "{c}::text",
    "c_jsonb": "{c}::text",
    "c_arr_i": "array_to_json({c})::text",
    "c_arr_t": "array_to_json({c})::text",
    "c_arr_n": "array_to_json({c})::text",
    "c_arr_ts": "array_to_json({c})::text",
    "c_real": "{c}::text",
    "c_double": "{c}::text",
    # The instant's time of day in UTC; how long it is, with months of 30.4375 days.
    "c_timetz": "rtrim(rtrim(to_char('2000-01-01'::date + ({c} at time zone 'UTC')::time, 'HH24:MI:SS.US'), '0'), '.') || 'Z'",
    "c_intv": "(extract(year from {c}) * 12 + extract(month from {c})) * 30.4375 * 86400 + extract(day from {c}) * 86400"
              " + extract(hour from {c}) * 3600 + extract(minute from {c}) * 60 + extract(second from {c})",
    "c_tstz": "to_char({c} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "c_tstz3": "to_char({c} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "c_ts": "to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US')",
    "c_ts3": "to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US')",
    "c_ts6": "to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US')",
    "c_ts_dflt": "to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US')",
}
ODD = {"the_key": '"the key"', "_1st_col": '"1st col"', "c_dash": '"c-dash"', "_n_": '"ünï"'}


def digits(v):
    return decimal.Decimal(v).normalize() if v is not None else None


def seconds(v):
    """A clock's time, as a number."""
    if hasattr(v, "total_seconds"):
        return v.total_seconds()
    h, m, s = re.match(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", str(v)).groups()
    return round(int(h) * 3600 + int(m) * 60 + float(s), 6)


def stamp(v):
    """As text to the microsecond, without a zone: all of them are UTC."""
    text = str(v).replace("T", " ").removesuffix("+00:00").removesuffix("+00").removesuffix("Z")
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest:0<6}"


def real(v, single):
    v = float(v)
    return "nan" if v != v else struct.unpack("f", struct.pack("f", v))[0] if single else v


def listed(v, f):
    return [x if x is None else f(x) for x in (json.loads(v) if isinstance(v, str) else v)]


def same(kind, v):
    """One spelling of a value, whichever database it is from."""
    if v is None:
        return None
    if kind == "int":
        return int(v)
    if kind == "bool":
        return v in (True, 1, "1", "true", "t")
    if kind == "number":
        return digits(str(v))
    if kind in ("real", "double"):
        return real(v, kind == "real")
    if kind == "bytes":
        return v if isinstance(v, str) else bytes(v).hex()
    if kind == "json":
        return json.loads(v) if isinstance(v, str) else v
    if kind == "numbers":
        return listed(v, lambda x: digits(str(x)))
    if kind == "times":
        return listed(v, lambda x: stamp(x))
    if kind == "clock":
        return seconds(v)
    if kind == "time":
        return stamp(v)
    return str(v)


def duration(text):
    """Seconds of PT10303H5M6.789S."""
    h, m, s = re.fullmatch(r"PT(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?[\d.]+)S)?", text).groups()
    return digits(str(decimal.Decimal(h or 0) * 3600 + decimal.Decimal(m or 0) * 60 + decimal.Decimal(s or 0)))


def rows(table, select):
    """{key: [value, ...]} of what select(column expressions) answers."""
    columns = COLUMNS[table]
    out = {}
    for row in select(list(columns)):
        got = [same(k, v) for k, v in zip(columns.values(), row)]
        if "c_intv" in columns:
            i = list(columns).index("c_intv")
            if got[i] is not None:
                got[i] = duration(got[i]) if got[i].startswith("PT") else digits(got[i])
        out[tuple(got[:2]) if table == "types_str" else got[0]] = got
    return out


def source_rows(table, on=None):
    """Of the source, or of a table that was made as the source's."""
    def select(columns):
        name = '"odd-name t"' if table == "odd-name_t" else table
        asked = ", ".join(SOURCE.get(c, "{c}").format(c=ODD.get(c, c)) for c in columns)
        return p.sql(f"select {asked} from golden.{name}", on=on)
    return rows(table, select)


# ---- targets ----


class Postgres:
    name, where = "pg", "type: postgres\n    dsn: {target}"
    dead = {"types_time": {2}}

    def select(self, table):
        return lambda columns: p.sql(f"select {', '.join(columns)} from \"{table}\"", on=p.target)


class MariaDb:
    name, where = "mariadb", "type: mariadb\n    dsn: {mariadb}"
    dead = {"types_time": {2}, "types_num": {2}}  # NaN

    def select(self, table):
        def ask(columns):
            c = mysql.connect(os.environ["MARIADB_DSN"], database=p.id)
            try:
                return mysql.run(c, f"select {', '.join(columns)} from `{table}`")
            finally:
                c.close()
        return ask


class Sqlite:
    name, where = "lite", "type: sqlite\n    path: {dir}/target.db"
    dead = {"types_time": {2}, "types_num": {2}}  # NaN

    def select(self, table):
        def ask(columns):
            c = sqlite3.connect(os.path.join(p.dir, "target.db"))
            try:
                return c.execute(f"select {', '.join(columns)} from \"{table}\"").fetchall()
            finally:
                c.close()
        return ask


class DuckDb:
    name, where = "duck", f"type: duckdb\n    path: {{dir}}/target.duckdb\n    library: {LIBRARY}\n    hold: writing"
    dead = {"types_time": {2}}

    def select(self, table):
        def ask(columns):
            c = duckdb.connect(os.path.join(p.dir, "target.duckdb"), read_only=True)
            try:
                c.execute("set TimeZone = 'UTC'")
                cast = [f"cast({c} as varchar)" if COLUMNS[table][c] in ("time", "clock", "real", "double") else c for c in columns]
                return c.execute(f"select {', '.join(cast)} from \"{table}\"").fetchall()
            finally:
                c.close()
        return ask


class ClickHouse:
    name, where = "click", "type: clickhouse\n    dsn: {clickhouse}"
    dead = {"types_time": {2}}

    def select(self, table):
        def ask(columns):
            shown = [f"lower(hex({c}))" if COLUMNS[table][c] == "bytes" else f"toString({c})" for c in columns]
            view = table if table == "no_pk" else table + "_current"
            return clickhouse.rows(os.environ["CLICKHOUSE_URL"], f"select {', '.join(shown)} from `{view}`", database=p.id)
        return ask


class Targets(Pipeline):
    def values(self):
        return dict(super().values(), mariadb=os.environ.get("MARIADB_DSN", "").rsplit("/", 1)[0] + "/" + self.id,
                    clickhouse=os.environ.get("CLICKHOUSE_DSN", "").rsplit("/", 1)[0] + "/" + self.id)


# ---- what is loaded ----


def mapped(data, ids):
    return data and data[:1] + ids[int.from_bytes(data[1:5], "big")].to_bytes(4, "big") + data[5:]


def load(table, messages):
    c = Producer({"bootstrap.servers": p.bootstrap})
    for key, value, headers in messages:
        c.produce(f"pg.golden.{table}", mapped(value, ids), mapped(key, ids), partition=0, headers=headers)
    assert c.flush(60) == 0


def there(target, table):
    """Its rows; None while the table is not there yet, or the file is held."""
    try:
        return rows(table, target.select(table))
    except Exception as e:
        if type(e).__name__ in ("AssertionError", "ValueError", "TypeError", "AttributeError", "JSONDecodeError"):
            raise
        return None


def dead_letters():
    code, out, err = p.verb("dlq", "list", "--json")
    assert code in (0, 2), out + err
    return out


targets = [Postgres(), Sqlite()]
for name, sink, (up, why) in (("mariadb", MariaDb, mysql.add_server("mariadb")), ("click", ClickHouse, clickhouse.add_server())):
    if up:
        targets.append(sink())
    else:
        print(f"skip debezium_sinks.{name}: {why}", flush=True)
if duckdb is not None and os.path.exists(LIBRARY):
    targets.append(DuckDb())
else:
    print("skip debezium_sinks.duck: no DuckDB in the cache (scripts/deps.sh duckdb)")
# Into tables as the source has them, with its types.
ALIKE = ["types_str", "types_time", "toasted"]
CONFIG = """sinks:
  alike:
    type: postgres
    dsn: {target}
    from: [TOPICS]
    into: "golden.${{table}}"
    create: run
    errors: {{mode: dlq}}
    write: {{every: 50ms, truncate: ignore}}
""".replace("TOPICS", ", ".join(f'"pg.golden.{t}"' for t in ALIKE)) + "".join(SINK.format(name=t.name, where=t.where) for t in targets)
p = Targets(CONFIG)
try:
    if os.environ.get("MARIADB_DSN"):
        c = mysql.connect(os.environ["MARIADB_DSN"])
        mysql.run(c, f"create database `{p.id}` character set utf8mb4")
        c.close()
    if os.environ.get("CLICKHOUSE_DSN"):
        clickhouse.ask(os.environ["CLICKHOUSE_URL"], "CREATE DATABASE " + p.id)
    golden.forget(p.bootstrap, p.registry.url)
    c = connect(p.source)
    for part in golden.statements():
        golden.execute(c, part)
    want = {t: source_rows(t) for t in TABLES}
    # The sink does not write texts into a column of type name, which cuts them at 63 bytes.
    golden.execute(connect(p.target), [s.replace("c_name NAME", "c_name TEXT") for s in golden.statements()[0] if s.lstrip().startswith(("CREATE", "--"))])
    ids = {v["id"]: golden.register(p.registry.url, s, v["schema"]) for s, vs in golden.subjects().items() if s.startswith("pg.golden") for v in vs}
    admin = AdminClient({"bootstrap.servers": p.bootstrap})
    for f in admin.create_topics([NewTopic("pg.golden." + t, 1, 1) for t in golden.TABLES]).values():
        f.result()
    recorded = {t: golden.messages("pg.golden." + t) for t in golden.TABLES}
    whole = p.sql("select string_agg(md5(i::text), '') from generate_series(1, 100) i")[0][0]
    load("toasted", recorded["toasted"][:2])
    for t in golden.TABLES:
        if t != "toasted":
            load(t, recorded[t])
    p.start()
    for target in targets:
        with case(f"debezium_sinks.{target.name}.a_value_that_is_not_there_leaves_the_targets", p):
            eventually("the row whose large value did not change", lambda: (there(target, "toasted") or {}).get(1) == [1, 2, whole])
    load("toasted", recorded["toasted"][2:])
    for target in targets:
        for t in TABLES:
            with case(f"debezium_sinks.{target.name}.{t}", p):
                left = {k: v for k, v in want[t].items() if k not in target.dead.get(t, set())}
                try:
                    eventually("the source's rows", lambda: there(target, t) == left, 60)
                except AssertionError:
                    got = there(target, t) or {}
                    bad = [(k, c, a, b) for k in left for c, a, b in zip(COLUMNS[t], left[k], got.get(k, [None] * 99)) if a != b]
                    raise AssertionError(f"(key, column, source, target): {bad[:12]}, keys {sorted(got)}") from None
        with case(f"debezium_sinks.{target.name}.rows_without_a_key", p):
            states = [(1, "one", None), (2, "two", None), (2, "TWO", None), (3, "three", digits("9.9"))]

            def all_of_them():
                got = [tuple(same(k, v) for k, v in zip(("int", "text", "number"), r)) for r in target.select("no_pk")(["a", "b", "c"])]
                return sorted(got, key=str) == sorted(states, key=str)
            eventually("every state", lambda: there(target, "no_pk") is not None and all_of_them())
    for t in ALIKE:
        with case(f"debezium_sinks.alike.{t}", p):
            left = {k: v for k, v in want[t].items() if k not in Postgres.dead.get(t, set())}
            try:
                eventually("the source's rows", lambda: source_rows(t, p.target) == left, 60)
            except AssertionError:
                raise AssertionError(f"{source_rows(t, p.target)} {left}") from None
    with case("debezium_sinks.what_has_no_place_is_a_dead_letter_by_name", p):
        text = eventually("the letters", lambda: dead_letters())
        for target in targets:
            assert re.search(rf'"{target.name}".*?field c_ts6: infinity is no point in time', text, re.S), text[:3000]
            assert "types_num" not in target.dead or re.search(rf'"{target.name}".*?types_num[^}}]*c_real', text, re.S), text[:3000]
        assert p.daemon.poll() is None
    with case("debezium_sinks.a_changed_value_is_seen", p):
        p.sql("update types_num set c_money = c_money + 0.01 where id = 1", on=p.target)
        assert there(targets[0], "types_num") != want["types_num"]
finally:
    if os.environ.get("MARIADB_DSN"):
        c = mysql.connect(os.environ["MARIADB_DSN"])
        mysql.run(c, f"drop database if exists `{p.id}`")
        c.close()
    p.close()
    if os.environ.get("CLICKHOUSE_DSN"):
        clickhouse.ask(os.environ["CLICKHOUSE_URL"], "DROP DATABASE IF EXISTS " + p.id)
finish()
