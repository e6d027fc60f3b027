#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Every built-in type of PostgreSQL with its edges, and some of contrib: the row that a snapshot reads is the
row that the log brings; both are what docs/types.md says, by the server's own words; and the target has the
same, in a table that the sink made and in one with the source's own types."""
import copy
import io
import json
import os
import struct
import sys
import urllib.request
from decimal import Decimal, getcontext

import fastavro

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
from harness import Pipeline, case, eventually, finish  # noqa: E402

getcontext().prec = 200
B, W = True, False  # the server sends it in binary, or makes the whole stream text

# Column, type, how it is published, values as the server reads them, binary?
# An array is followed by the JSON text of each value.
TABLE = [
    ("bool", "boolean", "bool", ["true", "false"], B),
    ("int2", "smallint", "int", ["0", "-32768", "32767"], B),
    ("int4", "integer", "int", ["0", "-2147483648", "2147483647"], B),
    ("int8", "bigint", "int", ["0", "-9223372036854775808", "9223372036854775807"], B),
    ("oid", "oid", "int", ["0", "4294967295"], B),
    ("xid", "xid", "int", ["3", "4294967295"], B),
    ("cid", "cid", "int", ["0", "4294967295"], B),
    ("xid8", "xid8", "decimal", ["0", "18446744073709551615"], B),
    ("float4", "real", "float4", ["0", "-0", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "0.1"], B),
    ("float8", "double precision", "float8", ["0", "-0", "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324", "0.1"], B),
    ("num10_2", "numeric(10,2)", "decimal", ["0", "-0.01", "99999999.99", "-99999999.99", "1.50"], B),
    ("num38_10", "numeric(38,10)", "decimal", ["0", "9999999999999999999999999999.9999999999", "-0.0000000001"], B),
    ("num5_0", "numeric(5)", "decimal", ["0", "-99999", "99999"], B),
    ("num5_m2", "numeric(5,-2)", "decimal", ["0", "1200", "-9999900"], B),
    ("num3_5", "numeric(3,5)", "decimal", ["0", "0.00999", "-0.00001"], B),
    ("num", "numeric", "text", ["0", "0.00", "-1.5e10", "NaN", "Infinity", "-Infinity", "1e-30", "1" + "0" * 200], B),
    ("money", "money", "decimal", ["0", "-0.01", "92233720368547758.07", "-92233720368547758.08"], B),
    ("text", "text", "text", ["", " a ", "na\u00efve \u8868 \U0001f30a", "a\\\"b\n\t\u0001", "x" * 9000, "null", "NULL"], B),
    ("varchar", "varchar(10)", "text", ["", "abc  ", "\u00fc" * 10], B),
    ("bpchar", "char(5)", "text", ["", "ab", "\u8868"], B),
    ("char1", '"char"', "text", ["a", "", "\\377"], W),
    ("name", "name", "text", ["", "n" * 63], B),
    ("bytea", "bytea", "bytes", ["\\x", "\\x00ff00", "\\x5c27" + "ab" * 3000], B),
    ("date", "date", "date", ["1970-01-01", "0001-01-01 BC", "4713-01-01 BC", "5874897-12-31", "2024-02-29"], B),
    ("time", "time", "time", ["00:00:00", "23:59:59.999999", "24:00:00"], B),
    ("time0", "time(0)", "time", ["12:34:56.7"], B),
    ("timetz", "timetz", "text", ["00:00:00+00", "23:59:59.999999-15:59", "12:00:00.5+05:30", "24:00:00+01"], B),
    ("ts", "timestamp", "micros", ["1970-01-01 00:00:00", "4713-01-01 00:00:00 BC", "0001-12-31 23:59:59.999999 BC", "9999-12-31 23:59:59.999999", "294246-12-31 23:59:59.999999", "2024-02-29 12:00:00.000001"], B),
    ("ts3", "timestamp(3)", "micros", ["2024-02-29 12:00:00.0006"], B),
    ("tstz", "timestamptz", "micros", ["1970-01-01 00:00:00+00", "4713-01-01 00:00:00+00 BC", "2024-03-31 02:30:00+01", "294246-12-31 23:59:59.999999+00"], B),
    ("ts_text", "timestamp", "text", ["infinity", "-infinity", "2024-02-29 12:00:00", "4713-01-01 00:00:00 BC"], B),
    ("date_text", "date", "text", ["infinity", "-infinity", "2024-02-29"], B),
    ("interval", "interval", "text", ["0", "1 year 2 mons 3 days 04:05:06.789", "-1 mon +1 day -00:00:00.000001", "178000000 years", "-3 days"], B),
    ("uuid", "uuid", "text", ["00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], B),
    ("json", "json", "text", ['{"b": 1,  "a": [1, 2], "b": 2}', "null", '"x"', "1.50"], B),
    ("jsonb", "jsonb", "text", ['{"b": 1,  "a": [1, 2], "b": 2}', "null", '"\\u00fc"', "1.50", "{}"], B),
    ("xml", "xml", "text", ["<a>\u00fc</a>", ""], W),
    ("bit", "bit(5)", "text", ["00000", "10101"], B),
    ("varbit", "bit varying", "text", ["", "1", "0" * 70], B),
    ("inet", "inet", "text", ["127.0.0.1", "10.1.2.3/8", "::1", "2001:db8::ff/64"], B),
    ("cidr", "cidr", "text", ["10.0.0.0/8", "2001:db8::/32", "1.2.3.4/32"], B),
    ("macaddr", "macaddr", "text", ["08:00:2b:01:02:03"], B),
    ("macaddr8", "macaddr8", "text", ["08:00:2b:01:02:03:04:05"], B),
    ("point", "point", "text", ["(0,0)", "(-1.5,1e300)", "(NaN,Infinity)"], W),
    ("line", "line", "text", ["{1,-1,0}"], W),
    ("lseg", "lseg", "text", ["[(0,0),(1,1.5)]"], W),
    ("box", "box", "text", ["(1,1),(0,0)"], W),
    ("path", "path", "text", ["[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"], W),
    ("polygon", "polygon", "text", ["((0,0),(1,1),(2,0))"], W),
    ("circle", "circle", "text", ["<(1,2),3>"], W),
    ("int4range", "int4range", "text", ["empty", "[1,5]", "(,)", "[3,)"], W),
    ("numrange", "numrange", "text", ["[1.50,2)"], W),
    ("tsrange", "tsrange", "text", ["[2024-01-01 00:00,2024-02-01 00:00)"], W),
    ("tstzrange", "tstzrange", "text", ["[2024-01-01 00:00+02,infinity)"], W),
    ("daterange", "daterange", "text", ["[2024-01-01,2024-01-31]"], W),
    ("multirange", "int4multirange", "text", ["{}", "{[1,3),[5,9)}"], W),
    ("tsvector", "tsvector", "text", ["'a':1 'fat':2,4A", ""], W),
    ("tsquery", "tsquery", "text", ["'fat' & ('rat' | !'cat':*)"], W),
    ("pg_lsn", "pg_lsn", "text", ["0/0", "FFFFFFFF/FFFFFFFF"], W),
    ("tid", "tid", "text", ["(0,0)", "(4294967295,65535)"], W),
    ("snapshot", "pg_snapshot", "text", ["10:20:10,14"], W),
    ("jsonpath", "jsonpath", "text", ["$.a[*]"], W),
    ("regtype", "regtype", "text", ["integer"], W),
    ("regclass", "regclass", "text", ["pg_class"], W),
    ("mood", "mood", "text", ["sad", "very happy \u8868"], B),
    ("positive", "positive", "int", ["1", "2147483647"], B),
    ("cents", "cents", "decimal", ["0", "-12.50"], B),
    ("pair", "pair", "text", ['(1,"a b")', "(,)", '(2,"q""\\\\")'], W),
    ("citext", "citext", "text", ["", "MiXed \u00dc"], B),
    ("hstore", "hstore", "text", ["", '"a"=>"1", "b"=>NULL'], W),
    ("ltree", "ltree", "text", ["", "Top.Science.Astronomy"], W),
    ("a_int", "integer[]", "array", ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:1]={7,8}"], B, ["[]", "[1,null,-3]", "[[1,2],[3,4]]", "[7,8]"]),
    ("a_bool", "boolean[]", "array", ["{t,f,NULL}"], B, ["[true,false,null]"]),
    ("a_float", "double precision[]", "array", ["{0.1,NaN,-Infinity,-0}"], B, ['[0.1,"NaN","-Infinity",-0]']),
    ("a_num", "numeric(6,2)[]", "array", ["{1.5,NULL}"], B, ['["1.50",null]']),
    ("a_text", "text[]", "array", ['{"",a,"NULL",NULL,"q\\"\\\\ ,{}","\u8868"}'], B, ['["","a","NULL",null,"q\\"\\\\ ,{}","\u8868"]']),
    ("a_ts", "timestamp[]", "array", ["{2024-02-29 12:34:56.5,infinity}"], B, ['["2024-02-29 12:34:56.5","infinity"]']),
    ("a_bytea", "bytea[]", "array", ['{"\\\\x00ff"}'], B, ['["\\\\x00ff"]']),
    ("a_uuid", "uuid[]", "array", ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"], B, ['["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]']),
    ("a_jsonb", "jsonb[]", "array", ['{"{\\"a\\": 1}"}'], B, ['["{\\"a\\": 1}"]']),
    ("a_mood", "mood[]", "array", ["{sad}"], B, ['["sad"]']),
    ("a_range", "int4range[]", "array", ['{"[1,5)",empty}'], W, ['["[1,5)","empty"]']),
]

TYPES = """
create extension citext schema pg_catalog;
create extension hstore schema pg_catalog;
create extension ltree schema pg_catalog;
create type mood as enum ('sad', 'very happy \u8868');
create domain positive as integer check (value > 0);
create domain cents as numeric(8,2);
create type pair as (a int, b text);
"""
# docs/types.md: these columns of the source cannot be the target's type (docs/sinks/postgres.md).
INSTEAD = {"char1": "text", "name": "text", "xid": "bigint", "cid": "bigint", "xid8": "numeric(20)", "num5_m2": "numeric(7,0)", "num3_5": "numeric(5,5)"}
SESSION = "; ".join(f"set {s}" for s in (
    "client_encoding = UTF8", "datestyle = ISO", "intervalstyle = iso_8601", "timezone = UTC", "extra_float_digits = 3",
    "bytea_output = hex", "lc_monetary = 'C'", "search_path = pg_catalog"))
READ = {  # what the server says of a value; of arrays the table above says it
    "bool": "{c}", "int": "{c}::text::bigint", "decimal": "{c}::text::numeric", "float4": "{c}::text", "float8": "{c}::text",
    "text": "case when not {c} is distinct from null then null else format('%%s', {c}) end", "bytes": "{c}",
    "date": "case when isfinite({c}) then {c} - date '1970-01-01' end", "time": "(extract(epoch from {c}) * 1000000)::bigint",
    "micros": "(extract(epoch from {c}) * 1000000)::bigint", "array": "null",
}
READ["money"] = "{c}::numeric"
CONFIG = """
sources:
  bin:
    type: postgres
    dsn: {source}
    prefix: {id}b
    log: {{publication: pub, slot: b{slot}}}
    tables:
      public.binary_types: {{columns: {{types: {{ts_text: string, date_text: string}}}}}}
  all:
    type: postgres
    dsn: {source}
    prefix: {id}a
    log: {{publication: pub, slot: a{slot}}}
    tables:
      public.all_types: {{columns: {{types: {{ts_text: string, date_text: string}}}}}}
sinks:
  made:
    type: postgres
    dsn: {target}
    from: ["{id}b.public.binary_types", "{id}a.public.all_types"]
    into: made_${{table}}
    create: run
    write: {{every: 50ms}}
  own:
    type: postgres
    dsn: {target}
    from: ["{id}b.public.binary_types", "{id}a.public.all_types"]
    into: own_${{table}}
    create: run
    write: {{every: 50ms}}
"""
ROWS = max(len(t[3]) for t in TABLE) + 1  # the last one: all NULL
LATER = 1000
TABLES = {"binary_types": [t for t in TABLE if t[4]], "all_types": TABLE}


def create(columns, name, instead=None):
    return f"create table {name} (id int primary key, " + ", ".join(f'"{t[0]}" {(instead or {}).get(t[0], t[1])}' for t in columns) + ")"


def fill(p, name, columns):
    for i in range(ROWS):
        values = [t[3][i] if i < len(t[3]) else None for t in columns]
        p.sql(f"insert into {name} values ({i}, " + ", ".join(f"%s::text::{t[1]}" for t in columns) + ")", *values)


def read_sql(t):
    return READ["money" if t[0] == "money" else t[2]].format(c=f'"{t[0]}"')


def plain(t, value, i):
    """What an Avro reader must find, without logical types, of the i-th value."""
    kind = t[2]
    if i >= len(t[3]):
        return None
    if kind == "array":
        return t[5][i]
    if kind in ("float4", "float8"):
        return struct.pack("<f" if kind == "float4" else "<d", float(value))
    if kind == "decimal":
        scale = SCALES[t[0]]
        n = int(Decimal(value).scaleb(scale))
        return n, Decimal(value)
    return bytes(value) if kind == "bytes" else value


SCALES = {"num10_2": 2, "num38_10": 10, "num5_0": 0, "num5_m2": 0, "num3_5": 5, "money": 2, "xid8": 0, "cents": 2}


def session_sql(dsn, text):
    c = harness.connect(dsn)
    q = c.cursor()
    q.execute(SESSION)
    q.execute(text)
    got = q.fetchall()
    c.close()
    return got


def expected(p, name, columns):
    """id -> column -> value, by the source's own words."""
    got = session_sql(p.source, "select id, " + ", ".join(read_sql(t).replace("%%", "%") for t in columns) + f" from public.{name} where id < {LATER} order by id")
    return {r[0]: {t[0]: plain(t, v, r[0]) for t, v in zip(columns, r[1:])} for r in got}


def bare(schema):
    if isinstance(schema, list):
        return [bare(s) for s in schema]
    if isinstance(schema, dict):
        return {k: bare(v) if k in ("type", "fields", "items", "values") else v for k, v in schema.items() if k != "logicalType"}
    return schema


schemas = {}


def decode(data):
    """fastavro, without logical types: ints, bytes and text as they are on the wire."""
    number = struct.unpack(">bI", data[:5])[1]
    if number not in schemas:
        with urllib.request.urlopen(f"{os.environ['REGISTRY_URL']}/schemas/ids/{number}", timeout=20) as r:
            raw = json.loads(json.load(r)["schema"])
        schemas[number] = fastavro.parse_schema(bare(copy.deepcopy(raw))), raw
    return fastavro.schemaless_reader(io.BytesIO(data[5:]), schemas[number][0], None), schemas[number][1]


def wire(t, value):
    """A decoded value in the form that `plain` answers."""
    if value is None:
        return None
    if t[2] in ("float4", "float8"):
        return struct.pack("<f" if t[2] == "float4" else "<d", value)
    if t[2] == "decimal":
        n = int.from_bytes(value, "big", signed=True)
        return n, Decimal(n).scaleb(-SCALES[t[0]])
    return value


def differences(columns, want, got):
    bad = []
    for i in want:
        for t in columns:
            a, b = want[i][t[0]], got[i][t[0]]
            if a != b or type(a) is not type(b):
                bad.append(f"{t[0]}[{i}] {t[3][i] if i < len(t[3]) else None!r:.60}: {b!r:.80}, not {a!r:.80}")
    return bad


p = Pipeline(CONFIG)
p.sql(TYPES)
p.sql(TYPES, on=p.target)
for name, columns in TABLES.items():
    p.sql(create(columns, name))
    p.sql(create(columns, "own_" + name, INSTEAD), on=p.target)
    fill(p, name, columns)
p.sql("create publication pub for table binary_types, all_types")
p.start()
topics = {"binary_types": p.id + "b.public.binary_types", "all_types": p.id + "a.public.all_types"}


def wait(name, count):
    def probe():
        assert p.daemon.poll() is None, f"exit code {p.daemon.returncode}"
        got = [m for m in harness.read_topics(p.bootstrap, [topics[name]]) if m.value()]
        return got if len(got) >= count else None
    return eventually(f"{count} events of {name}", probe, 60, 0.3)


def arrived(table):
    def probe():
        refused = [line for line in p.log().splitlines() if "level=error" in line]
        assert not refused, refused[-1]
        return p.sql(f"select count(*) from {table}", on=p.target) == [(2 * ROWS,)]
    eventually("the rows are there", probe)


for name, columns in TABLES.items():
    want, raw = {}, {}
    with case(f"types.{name}.snapshot", p):
        want = expected(p, name, columns)
        for m in wait(name, ROWS):
            value, schema = decode(m.value())
            raw[value["after"]["id"]] = value["after"]
            assert value["op"] == "r"
        got = {i: {t[0]: wire(t, raw[i][t[0]]) for t in columns} for i in want}
        bad = differences(columns, want, got)
        assert not bad, "; ".join(bad)
    with case(f"types.{name}.log_is_the_snapshot", p):
        names = ", ".join(f'"{t[0]}"' for t in columns)
        p.sql(f"insert into {name} select id + {LATER}, {names} from {name}")
        by_log = {}
        for m in wait(name, 2 * ROWS):
            value, schema = decode(m.value())
            if value["op"] == "c":
                by_log[value["after"]["id"]] = value["after"]
        bad = [f"{t[0]}[{i}]: {raw[i][t[0]]!r:.80} by snapshot, {by_log[i + LATER][t[0]]!r:.80} by log" for i in raw for t in columns
               if repr(raw[i][t[0]]) != repr(by_log[i + LATER][t[0]])]
        assert len(by_log) == ROWS and not bad, "; ".join(bad)
    with case(f"types.{name}.target_made_by_us", p):
        arrived("made_" + name)
        sql = [f'"{t[0]}"::text' if t[2] == "array" else read_sql(t).replace("%%", "%") for t in columns]
        rows = session_sql(p.target, "select id, " + ", ".join(sql) + f" from public.made_{name}")
        got = {r[0]: {t[0]: v if t[2] == "array" else plain(t, v, r[0] % LATER) for t, v in zip(columns, r[1:])} for r in rows}
        bad = differences(columns, want, {i: got[i] for i in want}) + differences(columns, want, {i: got[i + LATER] for i in want})
        assert not bad, "; ".join(bad)
    with case(f"types.{name}.target_with_the_source_types", p):
        arrived("own_" + name)
        sql = ", ".join(f"format('%s', \"{t[0]}\"), \"{t[0]}\" is distinct from null" for t in columns)
        a = session_sql(p.source, f"select id, {sql} from public.{name} order by id")
        b = session_sql(p.target, f"select id, {sql} from public.own_{name} order by id")
        bad = [f"{columns[k // 2][0]}: {x[1 + k]!r:.80}, target {y[1 + k]!r:.80}" for x, y in zip(a, b) for k in range(len(x) - 1) if x[1 + k] != y[1 + k]]
        # array bounds other than 1 are dropped (docs/types.md)
        bad = [b for b in bad if not b.startswith("a_int: '[0:1]={7,8}'")]
        assert len(a) == len(b) == 2 * ROWS and not bad, "; ".join(bad)
with case("types.infinity_is_an_error", p):
    p.sql("insert into binary_types (id, ts) values (9999, 'infinity')")
    p.says("public.binary_types is held, the others go on", "column ts", "columns.types")
    assert p.stop() == 0, p.daemon.returncode
p.close()
finish()
