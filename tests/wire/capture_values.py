#!/usr/bin/python3
"""Capture values of every type in both wire forms from a real PostgreSQL.

    PG_DSN=... tests/wire/capture_values.py > tests/wire/pgvalues/pg15.tsv

One line a value, tab-separated: oid, typmod, native type, kind, text, binary as hex,
expected. The server itself works out what is expected (arithmetic in SQL, not our code):
microseconds since 1970, days, unscaled integers, cents, hex of bytes, JSON of arrays.
Backslash, tab and newline are escaped as in COPY.
"""
import io
import os
import sys
import psycopg2

SETTINGS = {
    "client_encoding": "UTF8", "datestyle": "ISO", "intervalstyle": "iso_8601",
    "timezone": "UTC", "extra_float_digits": "3", "bytea_output": "hex", "lc_monetary": "C",
}
TEXT = "x::text"
# Before PostgreSQL 14 extract gives a double, which the epoch in microseconds does not fit.
CLOCK = "extract(hour from x)::numeric * 3600000000 + extract(minute from x)::numeric * 60000000" \
        " + extract(microseconds from x)::numeric"
CLOCK_US = f"({CLOCK})::numeric(40,0)::text"
US = f"((x::date - '1970-01-01'::date)::numeric * 86400000000 + {CLOCK})::numeric(40,0)::text"
VALUES = [  # type, kind, SQL for what is expected, literals
    ("boolean", "BOOL", TEXT, ["t", "f"]),
    ("smallint", "INT32", TEXT, ["0", "-32768", "32767"]),
    ("integer", "INT32", TEXT, ["0", "1", "-1", "-2147483648", "2147483647"]),
    ("bigint", "INT64", TEXT, ["0", "-9223372036854775808", "9223372036854775807"]),
    ("oid", "INT64", TEXT, ["0", "4294967295"]),
    ("xid8", "DECIMAL", TEXT, ["0", "127", "128", "9223372036854775808", "18446744073709551615"]),
    ("real", "FLOAT32", TEXT, ["0", "-0", "1.5", "0.1", "3.4028235e38", "1e-45", "1.17549435e-38", "NaN",
                               "Infinity", "-Infinity", "16777216", "1234567", "0.3333333"]),
    ("double precision", "FLOAT64", TEXT, ["0", "-0", "1.5", "0.1", "1.7976931348623157e308", "5e-324",
                                           "2.2250738585072014e-308", "NaN", "Infinity", "-Infinity",
                                           "9007199254740993", "123456789012345", "0.30000000000000004",
                                           "1e22", "-123.456"]),
    ("numeric(10,2)", "DECIMAL", "(x * 100)::numeric(20,0)::text",
     ["0", "0.01", "-0.01", "12.30", "-12.30", "99999999.99", "-99999999.99", "100", "10000", "1.28", "-1.28",
      "1.27", "-1.29", "327.68"]),
    ("numeric(18,0)", "DECIMAL", TEXT, ["0", "999999999999999999", "-999999999999999999", "10000", "20000000"]),
    ("numeric(38,10)", "DECIMAL", "(x * 10000000000)::numeric(50,0)::text",
     ["0", "1", "-1", "9999999999999999999999999999.9999999999", "-0.0000000001", "0.0001", "123456789.5"]),
    ("numeric(18,18)", "DECIMAL", "(x * 1000000000000000000)::numeric(50,0)::text",
     ["0", "0.000000000000000001", "0.999999999999999999", "-0.5", "0.00005"]),
    ("numeric(5,-2)", "DECIMAL", "x::numeric(20,0)::text", ["0", "100", "-9999900", "12345"]),
    ("numeric(3,5)", "DECIMAL", "(x * 100000)::numeric(20,0)::text", ["0", "0.00123", "-0.00999"]),
    ("numeric", "TEXT", TEXT, ["0", "0.00", "-0.5", "123", "1e20", "1e-20", "12345.678900", "NaN", "Infinity",
                               "-Infinity", "1e4000", "0.0000000012", "10000", "99990000", "1.0001"]),
    ("money", "DECIMAL", "(x::numeric * 100)::numeric(30,0)::text",
     ["0", "0.01", "-0.01", "12.34", "1234567.89", "-1234567.89", "92233720368547758.07", "-92233720368547758.08"]),
    ("text", "TEXT", TEXT, ["", "a", "it's", "NULL", "tab\there", "line\nbreak", "back\\slash", "naïve·表", "😀", " "]),
    ("character varying(5)", "TEXT", TEXT, ["", "abc", "äöüßé"]),
    ("character(5)", "TEXT", TEXT, ["", "ab", "abcde"]),
    ("name", "TEXT", TEXT, ["", "pg_class"]),
    ("json", "JSON", TEXT, ['{"b": 1,  "a": 2}', "1.0", "null", '"\\u00e4"']),
    ("jsonb", "JSON", TEXT, ['{"b": 1,  "a": 2}', "1.0", "null", "12345678901234567890.10", "[]"]),
    ("bytea", "BYTES", "encode(x, 'hex')", ["\\x", "\\x00", "\\x00ff10", "\\xdeadbeef"]),
    ("bit(3)", "TEXT", TEXT, ["101", "000"]),
    ("bit varying(64)", "TEXT", TEXT, ["", "1", "11111111", "000000001", "1" * 64]),
    ("uuid", "UUID", TEXT, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000",
                            "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    ("date", "DATE", "(x - '1970-01-01'::date)::text",
     ["1970-01-01", "2000-01-01", "1969-12-31", "2024-02-29", "0001-01-01", "0001-12-31 BC", "4714-11-24 BC",
      "9999-12-31", "10000-01-01", "5874897-12-31", "1900-02-28", "infinity", "-infinity"]),
    ("time without time zone", "TIME", CLOCK_US, ["00:00:00", "23:59:59.999999", "24:00:00", "12:34:56.5", "01:02:03.000001"]),
    ("time(0) without time zone", "TIME", CLOCK_US, ["12:34:56"]),
    ("time with time zone", "TEXT", TEXT, ["00:00:00+00", "23:59:59.999999-15:59:59", "12:00:00+05:30", "24:00:00-07"]),
    ("timestamp without time zone", "DATETIME", US,
     ["1970-01-01 00:00:00", "2000-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2024-02-29 12:34:56.789",
      "0001-01-01 00:00:00 BC", "4714-11-24 00:00:00 BC", "9999-12-31 23:59:59.999999", "10000-01-01 00:00:00",
      "294246-12-31 23:59:59", "294276-12-31 23:59:59.999999", "infinity", "-infinity", "1582-10-10 01:00:00"]),
    ("timestamp with time zone", "TIMESTAMP", US,
     ["1970-01-01 00:00:00+00", "2024-03-31 01:30:00+02", "2024-11-03 01:30:00-04", "2024-11-03 01:30:00-05",
      "0044-03-15 12:00:00+00 BC", "294276-12-31 00:00:00+00", "infinity", "-infinity", "1883-11-18 12:03:57+00"]),
    ("interval", "TEXT", TEXT,
     ["0", "1 year 2 mons 3 days 04:05:06.78", "-1 year -2 mons +3 days -04:05:06.78", "1 mon -1 day",
      "-00:00:00.000001", "10000 days", "178000000 years", "04:00:00", "00:01:00", "-00:30:00", "1 day",
      "2562047788:00:54.775807", "14 mons"]),
    ("inet", "TEXT", TEXT,
     ["192.168.1.5", "192.168.1.5/24", "0.0.0.0/0", "::1", "::", "2001:db8::1", "2001:db8:0:0:1:0:0:1",
      "::ffff:1.2.3.4", "::1.2.3.4", "1:0:2:3:4:5:6:7", "fe80::1/64", "1::", "0:0:0:0:0:0:1:0", "::2",
      "1:2:3:4:5:6:7:8", "1:0:0:2:0:0:0:3/128", "::ffff:0:1"]),
    ("cidr", "TEXT", TEXT, ["10.0.0.0/8", "192.168.1.5/32", "2001:db8::/32", "::/0", "0.0.0.0/0"]),
    ("macaddr", "TEXT", TEXT, ["08:00:2b:01:02:03"]),
    ("macaddr8", "TEXT", TEXT, ["08:00:2b:01:02:03:04:ff"]),
    ("refcursor", "TEXT", TEXT, ["c1"]),
    ("integer[]", "JSON", "array_to_json(x)::text",
     ["{}", "{1,2,3}", "{NULL,-1}", "{{1,2},{3,NULL}}", "[0:2]={7,8,9}", "[2:3][-1:0]={{1,2},{3,4}}",
      "{{{{{{1}}}}}}"]),
    ("smallint[]", "JSON", "array_to_json(x)::text", ["{-32768,32767}"]),
    ("bigint[]", "JSON", "array_to_json(x)::text", ["{-9223372036854775808,9223372036854775807}"]),
    ("boolean[]", "JSON", "array_to_json(x)::text", ["{t,f,NULL}"]),
    ("text[]", "JSON", "array_to_json(x)::text",
     ["{}", "{a,b}", '{"",NULL,"NULL","null"}', '{"a,b","{x}","q\\"q","b\\\\b"," lead"}', '{"tab\there","line\nbreak"}',
      "{naïve·表,😀}", '{{a,b},{c,NULL}}']),
    ("character varying(3)[]", "JSON", "array_to_json(x)::text", ["{abc,de}"]),
    ("numeric[]", "JSON", "array_to_json(x::text[])::text", ["{1.50,-0.001,NaN,NULL,1e30}"]),
    ("double precision[]", "JSON", "array_to_json(x)::text", ["{1.5,0.1,-0,1e300}", "{NaN,Infinity,-Infinity,NULL}"]),
    ("real[]", "JSON", "array_to_json(x)::text", ["{1.5,0.1,1e10}", "{NaN}"]),
    ("uuid[]", "JSON", "array_to_json(x::text[])::text", ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"]),
    ("date[]", "JSON", "array_to_json(x::text[])::text", ["{2024-02-29,infinity,0001-01-01 BC,NULL}"]),
    ("timestamp without time zone[]", "JSON", "array_to_json(x::text[])::text",
     ['{"2024-02-29 12:34:56.5",infinity,"0044-03-15 00:00:00 BC"}']),
    ("timestamp with time zone[]", "JSON", "array_to_json(x::text[])::text", ['{"2024-02-29 12:34:56.5+02",-infinity}']),
    ("time without time zone[]", "JSON", "array_to_json(x::text[])::text", ["{12:00:00,23:59:59.9}"]),
    ("interval[]", "JSON", "array_to_json(x::text[])::text", ['{"1 day 02:00:00","-1 mons"}']),
    ("bytea[]", "JSON", "array_to_json(x::text[])::text", ['{"\\\\x00ff",NULL,"\\\\x"}']),
    ("jsonb[]", "JSON", "array_to_json(x::text[])::text", ['{"{\\"a\\": 1}","null",NULL}']),
    ("inet[]", "JSON", "array_to_json(x)::text", ["{10.0.0.1,::1/64}"]),
    ("bit varying[]", "JSON", "array_to_json(x::text[])::text", ["{101,NULL}"]),
    ("money[]", "JSON", "array_to_json(x::numeric[]::text[])::text", ["{1.50,-1234.56,NULL}"]),
    ("mood", "TEXT", TEXT, ["sad", "it's, ok"]),
    ("mood[]", "JSON", "array_to_json(x::text[])::text", ['{sad,"it\'s, ok",NULL}']),
    ("price", "DECIMAL", "(x * 100)::numeric(20,0)::text", ["1.50", "-3.25"]),
    ("price[]", "JSON", "array_to_json(x::text[])::text", ["{1.50,NULL}"]),
    ("citext", "TEXT", TEXT, ["", "MiXed"]),
    # What is read as text only: the binary form is not tried.
    ("\"char\"", "TEXT", TEXT, ["a", ""]),
    ("point", "TEXT", TEXT, ["(1.5,-2)"]),
    ("box[]", "JSON", "('[\"' || array_to_string(x, '\",\"') || '\"]')", ["{(2,2),(1,1);(4,4),(3,3)}"]),
    ("int4range", "TEXT", TEXT, ["[1,5)", "empty", "(,)"]),
    ("tstzrange", "TEXT", TEXT, ['["2024-01-01 00:00:00+02","2024-01-02 00:00:00+00")']),
    ("pair", "TEXT", TEXT, ['(1,"a b")', "(,)"]),
    ("pair[]", "JSON", "array_to_json(x::text[])::text", ['{"(1,\\"a b\\")"}']),
    ("xml", "TEXT", TEXT, ["<a>1</a>"]),
    ("tsvector", "TEXT", TEXT, ["'a':1 'b':2"]),
    ("pg_lsn", "TEXT", TEXT, ["16/B374D848"]),
    ("hstore", "TEXT", TEXT, ["a=>1, b=>NULL"]),
    ("ltree", "TEXT", TEXT, ["top.science"]),
]


def escape(text):
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def capture(cur, type_name, kind, expected, literal, user):
    cur.execute(f"create temporary table v (x {type_name}) on commit drop")
    cur.execute("insert into v values (%s)", (literal,))
    cur.execute("""select atttypid, atttypmod, format_type(atttypid, atttypmod)
        from pg_attribute where attrelid = 'pg_temp.v'::regclass and attname = 'x'""")
    oid, typmod, native = cur.fetchone()
    user.add(oid)
    infinite = literal in ("infinity", "-infinity") and kind in ("DATE", "DATETIME", "TIMESTAMP")
    cur.execute(f"select {'NULL' if infinite else expected} from v")
    want = cur.fetchone()[0]
    copied = io.BytesIO()  # head (19 bytes), column count, length; end mark (2 bytes)
    cur.copy_expert("copy v to stdout (format binary)", copied)
    binary = copied.getvalue()[25:-2].hex()
    copied = io.StringIO()  # escaped as our file is
    cur.copy_expert("copy v to stdout", copied)
    text = copied.getvalue()[:-1]
    want = "-" if infinite else text if expected == TEXT else escape(want)
    return oid, typmod, native, kind, text, binary, want


def main():
    db = psycopg2.connect(os.environ["PG_DSN"])
    cur = db.cursor()
    for name, value in SETTINGS.items():
        cur.execute(f"set {name} = %s", (value,))
    cur.execute("""
        create schema capture_values; set search_path = capture_values, public;
        create extension if not exists citext; create extension if not exists hstore;
        create extension if not exists ltree;
        create type mood as enum ('sad', 'it''s, ok'); create domain price as numeric(8,2);
        create type pair as (a int, b text)""")
    cur.execute("show server_version")
    print(f"# PostgreSQL {cur.fetchone()[0]}: oid, typmod, type, kind, text, binary, expected")
    user = set()
    for type_name, kind, expected, literals in VALUES:
        for literal in literals:
            cur.execute("savepoint one")
            try:
                print(*capture(cur, type_name, kind, expected, literal, user), sep="\t")
            except psycopg2.Error as error: # an older server has fewer types and values
                print(f"skipped {type_name} {literal}: {error}".split("\n")[0], file=sys.stderr)
            cur.execute("rollback to one")
    cur.execute("""
        with recursive w(oid) as (select unnest(%s::bigint[])::oid union
          select x.oid from w join pg_type t on t.oid = w.oid cross join lateral (values (t.typelem), (t.typbasetype)) x(oid)
          where x.oid <> 0)
        select t.oid, n.nspname, typname, typtype, typcategory, typdelim, typlen, typelem, typbasetype, typtypmod, typstorage
        from w join pg_type t on t.oid = w.oid join pg_namespace n on n.oid = typnamespace where t.oid >= 16384
        order by t.oid""", (list(user),))
    for row in cur.fetchall():
        print("type", *row, sep="\t")
    db.rollback()


main()
