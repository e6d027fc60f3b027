#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""The binlog decoder against the servers themselves, over random rows of all types.

For each server: what the log says is what a query says in text form (R27: same table, same bytes),
what the server's own program prints of the log (-vv), and the same with batches of one event.
$FRESHET_TEST_MYSQL: which servers (default: all kinds); $BUILD_DIR: where the programs are (default build/dev).
SEED repeats a run, of each server by itself.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import pymysql  # noqa: E402

from mysql import add_server  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILD = os.environ.get("BUILD_DIR", os.path.join(ROOT, "build", "dev"))
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1, 1 << 30)
ROWS = int(os.environ.get("ROWS", "300"))
rng = random.Random(SEED)
failed = False

SINGLE = ["latin1", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866",
          "koi8r", "koi8u", "greek", "hebrew", "tis620", "macroman", "macce", "keybcs2", "armscii8", "dec8", "hp8",
          "swe7", "ascii", "geostd8"]
MULTI = ["utf8mb4", "utf8mb3", "ucs2", "utf16", "utf16le", "utf32", "big5", "gbk", "gb2312", "sjis", "ujis", "cp932",
         "eucjpms", "euckr"]


def report(name, why=None):
    global failed
    failed = failed or why is not None
    print(f"ok mysql_differential.{name}" if why is None
          else f"not ok mysql_differential.{name}: {why} (SEED={SEED})".replace("\n", " "), flush=True)


class Server:
    def __init__(self, name):
        dsn = urllib.parse.urlparse(os.environ[f"{name.upper()}_DSN"])
        self.name, self.data = name, os.environ[f"{name.upper()}_DATA"]
        self.where = dict(host=dsn.hostname, port=dsn.port, user=urllib.parse.unquote(dsn.username or "root"),
                          password=urllib.parse.unquote(dsn.password or ""))
        if dsn.query.startswith("socket="):
            self.where["unix_socket"] = urllib.parse.unquote(dsn.query[7:])
        self.c = pymysql.connect(charset="utf8mb4" if "55" not in name else "utf8", conv={}, use_unicode=False,
                                 autocommit=True, **self.where)
        self.version = self.rows("select version()")[0][0].decode()
        self.mariadb = "MariaDB" in self.version

    def run(self, sql, *values):
        with self.c.cursor() as k:
            k.execute(sql, values or None)

    def rows(self, sql):
        with self.c.cursor() as k:
            k.execute(sql)
            return k.fetchall()


def quoted(b):
    return "X'" + b.hex() + "'" if b else "''"


def text(charset):
    """A literal of valid text in a character set: what the server takes from Unicode, or drops."""
    letters = "".join(chr(rng.choice([rng.randrange(0x20, 0x7f), rng.randrange(0xa0, 0x180), rng.randrange(0x390, 0x460),
                                      rng.randrange(0x5d0, 0x5eb), rng.randrange(0xe01, 0xe3b), rng.randrange(0x3041, 0x30ff),
                                      rng.randrange(0x4e00, 0x9fa0), rng.randrange(0xac00, 0xd7a3), 0x20, 0x22, 0x27,
                                      0x5c, 0x1f600 if charset in ("utf8mb4", "utf16", "utf16le", "utf32") else 0x41]))
                      for _ in range(rng.randrange(0, 12)))
    return f"convert({quoted(letters.encode())} using utf8mb4)"


def integer(bits, unsigned):
    low, high = (0, 2 ** bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return lambda: str(rng.choice([low, high, 0, 1, rng.randint(low, high)]))


def decimal(p, s):
    def value():
        digits = rng.choice(["0", "9" * p, str(rng.randrange(10 ** rng.randrange(1, p + 1)))])
        number = digits[:p].rjust(s + 1, "0")
        return rng.choice(["", "-"]) + (number[:-s] + "." + number[-s:] if s else number)
    return value


def blob(most):
    return lambda: quoted(bytes(rng.randrange(256) for _ in range(rng.randrange(most + 1))))


def fraction(digits):
    return "." + "".join(rng.choice("0123456789") for _ in range(digits)) if digits else ""


def date():
    return rng.choice(["0000-00-00", "2020-00-00", "2021-02-00", "1000-01-01", "9999-12-31",
                       f"{rng.randrange(1, 10000):04}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"])


def clock():
    return f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"


def datetime(digits):
    return lambda: "'" + rng.choice(["0000-00-00 00:00:00", date() + " " + clock()]) + fraction(digits) + "'"


def timestamp(digits):
    return lambda: "'" + rng.choice(["0000-00-00 00:00:00", "1970-01-01 00:00:01", "2038-01-19 03:14:07",
                                     f"{rng.randrange(1971, 2038)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02} "
                                     f"{clock()}{fraction(digits)}"]) + "'"


def time(digits):
    return lambda: "'" + rng.choice(["-838:59:59", "838:59:59", "00:00:00", "-00:00:00" + fraction(digits),
                                     f"{rng.choice(['', '-'])}{rng.randrange(838):02}:{rng.randrange(60):02}:"
                                     f"{rng.randrange(60):02}{fraction(digits)}"]) + "'"


def floating(single):
    def value():
        v = rng.choice([0.0, 1.0, -1.5, 0.1, 3.4e38 if single else 1.7976931348623157e308, 1e-38, 16777217.0,
                        rng.uniform(-1e6, 1e6), rng.uniform(-1, 1) * 10.0 ** rng.randrange(-30, 30)])
        return repr(v)
    return value


def document(depth=0):
    kind = rng.randrange(9 if depth < 3 else 7)
    if kind == 0:
        return rng.choice(["null", "true", "false"])
    if kind == 1:
        return str(rng.choice([0, -1, 32767, -32768, 32768, 65535, 65536, 2 ** 31, -2 ** 31 - 1, 2 ** 63, 2 ** 64 - 1, -2 ** 63]))
    if kind == 2:
        return repr(rng.choice([0.5, 1.0, 1e15, 1e14, 1e-7, 1.5e-300, rng.uniform(-1e9, 1e9), rng.uniform(-1, 1) * 10.0 ** rng.randrange(-20, 20)]))
    if kind < 7:
        return json.dumps("".join(chr(rng.choice([9, 10, 34, 92, 47, 1, 0x7f, rng.randrange(32, 127), 0xe9, 0x20ac, 0x1f600]))
                                  for _ in range(rng.choice([0, 3, 12, 150]))), ensure_ascii=False)
    if kind == 7:
        return "[" + ",".join(document(depth + 1) for _ in range(rng.choice([0, 1, 3, 40]))) + "]"
    return "{" + ",".join(json.dumps(k) + ":" + document(depth + 1) for k in {f"k{rng.randrange(99)}" for _ in range(rng.choice([0, 1, 4, 30]))}) + "}"


def literal(s):
    return f"convert({quoted(s.encode())} using utf8mb4)"


def shape(srid):
    def value():
        x, y = rng.uniform(-80, 80), rng.uniform(-80, 80)
        wkt = rng.choice([f"POINT({x} {y})", f"LINESTRING(0 0,{x} {y})", "POLYGON((0 0,1 0,1 1,0 0))",
                          f"GEOMETRYCOLLECTION(POINT({x} {y}))"])
        return f"ST_GeomFromText('{wkt}',{srid})"
    return value


def columns(server):
    new = "5.5" not in server.version.split("-")[0][:3]
    out = []
    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        out += [(name, integer(bits, False)), (f"{name} unsigned", integer(bits, True))]
    out += [(f"decimal({p},{s})", decimal(p, s)) for p, s in ((1, 0), (9, 0), (10, 9), (18, 4), (19, 2), (20, 20), (38, 7), (65, 30), (65, 0))]
    out += [("float", floating(True)), ("double", floating(False)), ("tinyint(1)", integer(8, False)), ("int(5) zerofill", integer(32, True)),
            ("year", lambda: rng.choice(["0", "1901", "2155", "2024"]))]
    out += [(f"bit({n})", lambda n=n: f"{rng.choice([0, 2 ** n - 1, rng.randrange(2 ** n)])}") for n in (1, 7, 8, 33, 64)]
    out += [("date", lambda: f"'{date()}'")]
    for digits in (0, 1, 2, 3, 4, 5, 6) if new else (0,):
        suffix = f"({digits})" if digits else ""
        out += [("time" + suffix, time(digits)), ("datetime" + suffix, datetime(digits)), ("timestamp" + suffix + " null", timestamp(digits))]
    out += [("binary(6)", blob(6)), ("varbinary(300)", blob(300)), ("tinyblob", blob(20)), ("blob", blob(400)), ("mediumblob", blob(20)),
            ("longblob", blob(20)), ("binary(255)", blob(255))]
    labels = ["", "a,b" if 0 else "x", "it's", "b\\s", 'q"', "é", "ß)", "(", " c"]
    listed = ",".join("'" + x.replace("\\", "\\\\").replace("'", "''") + "'" for x in labels)
    out += [(f"enum({listed})", lambda: str(rng.randrange(0, len(labels) + 1))),
            (f"enum({listed}) character set latin1", lambda: str(rng.randrange(1, len(labels) + 1))),
            (f"set({listed.replace(chr(39) * 2 + ',', '', 1)})", lambda: str(rng.randrange(2 ** (len(labels) - 1)))),
            ("set(" + ",".join(f"'l{i}'" for i in range(64)) + ")", lambda: str(rng.randrange(2 ** 64)))]
    for charset in SINGLE + MULTI + ([] if server.mariadb or not new else ["gb18030"]):
        if not new and charset in ("utf8mb3", "utf16le"):
            continue
        out += [(f"varchar(20) character set {charset}", lambda c=charset: text(c)), (f"char(20) character set {charset}", lambda c=charset: text(c))]
    out += [(f"{t} character set utf8mb4", lambda: text("utf8mb4")) for t in ("tinytext", "text", "mediumtext", "longtext", "char(255)", "varchar(255)")]
    if new:
        out += [("geometry", shape(0)), ("point", lambda: f"ST_GeomFromText('POINT({rng.uniform(-9, 9)} 2)')"),
                ("geometry", shape(0 if server.mariadb else 4326))]
    if server.mariadb and new:
        out += [("inet6", lambda: rng.choice(["'::'", "'fe80::1'", "'::ffff:1.2.3.4'", f"'2001:db8::{rng.randrange(9999)}'"])),
                ("varchar(300) compressed", lambda: "repeat('ab'," + str(rng.randrange(150)) + ")"), ("text compressed", lambda: "repeat('xyz',500)")]
        if (tuple(int(x) for x in server.version.split("-")[0].split(".")[:2])) >= (10, 10):
            out += [("uuid", lambda: "uuid()"), ("inet4", lambda: rng.choice(["'0.0.0.0'", "'255.1.2.3'"]))]
        if (tuple(int(x) for x in server.version.split("-")[0].split(".")[:2])) >= (11, 7):
            out += [("vector(3) not null", lambda: "vec_fromtext('[1,-2.5,0.1]')")]
    elif new:
        out += [("json", lambda: f"cast({literal(document())} as json)"), ("vector(3)", lambda: f"string_to_vector('[{rng.uniform(-9, 9)},0,1e-7]')")]
    return out


def split_tables(all_columns, most=40):
    return [all_columns[i:i + most] for i in range(0, len(all_columns), most)]


def fill(server):
    """Tables with random rows; returns the binlog file that has them."""
    server.run("drop database if exists fr_differential")
    server.run("create database fr_differential character set utf8")
    server.run("use fr_differential")
    server.run("set sql_mode='', time_zone='+00:00'")
    if not server.mariadb and "5.5" not in server.version:
        server.run("set sql_mode='ALLOW_INVALID_DATES'")
    server.run("flush logs")
    tables = split_tables(columns(server))
    for t, cs in enumerate(tables):
        declared = ",".join(f"`c{i}` {c}" for i, (c, _) in enumerate(cs))
        server.run(f"create table t{t}(id int not null primary key, {declared}) engine=innodb row_format=dynamic default charset=utf8"
                   if "5.5" not in server.version else
                   f"create table t{t}(id int not null primary key, {declared}) engine=myisam default charset=utf8")
        for first in range(0, ROWS, 50):
            values = []
            for i in range(first, min(first + 50, ROWS)):
                cells = [make() if rng.random() > 0.1 or "not null" in c else "null" for c, make in cs]
                values.append(f"({i},{','.join(cells)})")
            server.run(f"insert ignore into t{t} values " + ",".join(values))
        server.run(f"update t{t} set id = id + 100000 where id % 7 = 0")
        server.run(f"delete from t{t} where id % 11 = 0")
    name = server.rows("show binary log status" if server.version.startswith("9") else "show master status")[0][0].decode()
    server.run("flush logs")
    return os.path.join(server.data, name), len(tables)


def from_log(path, schema, *options):
    done = subprocess.run([os.path.join(BUILD, "binlog_events"), "-c", schema, *options, path], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def replay(lines):
    """Tables by name: their columns, and the rows that are left."""
    shapes, rows = {}, {}
    for line in lines.splitlines():
        e = json.loads(line)
        if e.get("bad"):
            raise RuntimeError(e["bad"])
        if e["op"] == "table":
            shapes[e["table"]] = e["columns"]
        if e["op"] in ("update", "delete"):
            gone = rows[e["table"]].pop(e["before"]["id"])
            if gone[0] != e["before"]:
                raise RuntimeError(f"before of {e['table']} is not what was inserted")
        if e["op"] in ("insert", "update"):
            rows.setdefault(e["table"], {})[e["after"]["id"]] = (e["after"], e.get("zero", ""))
    return shapes, rows


def described(server, table):
    more = "SRS_ID" if not server.mariadb and "5.5" not in server.version else "NULL"
    schema = server.rows(f"select COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, CHARACTER_SET_NAME, EXTRA, COLUMN_COMMENT, {more}, NULL,"
                         f" COLUMN_KEY from information_schema.COLUMNS where TABLE_SCHEMA='fr_differential' and TABLE_NAME='{table}' order by ORDINAL_POSITION")
    return [[None if v is None else v.decode() for v in row[:9]] + [1 if row[9] == b"PRI" else 0] for row in schema]


def from_query(server, table):
    """The same by information_schema and text."""
    server.run("set character_set_results=NULL, sql_mode='', time_zone='+00:00'")
    columns_there = described(server, table)
    picked = ",".join(f"(`{c[0]}`+0e0)" if c[1].startswith("float") else f"`{c[0]}`" for c in columns_there)
    lines = [json.dumps({"mariadb": server.mariadb, "columns": columns_there})]
    for row in server.rows(f"select {picked} from {table}"):
        lines.append(json.dumps([None if v is None else v.hex() for v in row]))
    done = subprocess.run([os.path.join(BUILD, "my_text_rows")], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    out = done.stdout.splitlines()
    rows = {}
    for line in out[1:]:
        body, _, zero = line.partition("} zero ")
        row = json.loads(body + "}" if zero else body)
        rows[row["id"]] = (row, zero)
    return json.loads(out[0]), rows


def compare(server, table, shapes, rows, takes_shape):
    columns_there, there = from_query(server, table)
    here = rows.get(table, {})
    if takes_shape and columns_there != shapes[table]:
        return f"{table}: the table differs: " + str([(a, b) for a, b in zip(columns_there, shapes[table]) if a != b][:3])
    if set(here) != set(there):
        return f"{table}: other rows: {sorted(set(here) ^ set(there))[:5]}"
    for key in here:
        if here[key] != there[key]:
            what = [(c[0], c[2], here[key][0][c[0]], there[key][0][c[0]]) for c in columns_there if here[key][0][c[0]] != there[key][0][c[0]]]
            if os.environ.get("DUMP"):
                open(os.environ["DUMP"], "w").write(json.dumps(what))
            return f"{table} id {key}: {what[:2] or (here[key][1], there[key][1])}"
    return None


# --- what the server's own program prints ---

def printed(path, server):
    program = shutil.which("mariadb-binlog") if server.mariadb or "5.5" in server.version else os.environ.get("MYSQLBINLOG") or shutil.which("mysqlbinlog")
    if program is None:
        return None
    out = subprocess.run([program, "--no-defaults", "-vv", "--base64-output=DECODE-ROWS", path], capture_output=True).stdout
    return out.decode("utf-8", "replace").splitlines()


def printed_rows(lines):
    """(table, operation, [values]) of each row, values as printed; only of plain types."""
    row, out, part = None, [], None
    for line in lines:
        m = re.match(r"### (INSERT INTO|UPDATE|DELETE FROM) `fr_differential`\.`(t\d+)`", line)
        if m:
            row = (m[2], m[1].split()[0].lower(), {"WHERE": {}, "SET": {}})
            out.append(row)
        elif line in ("### WHERE", "### SET"):
            part = line[4:]
        elif row and line.startswith("###   @"):
            m = re.match(r"###   @(\d+)=(.*?)(?: /\* (\w+).*\*/)?$", line)
            if m:
                row[2][part][int(m[1]) - 1] = (m[2], m[3] or "")
    return out


def plain(value, kind):
    """What -vv prints of a number or a time, as we print it; None: not compared."""
    if value == "NULL":
        return "null"
    if kind in ("TINYINT", "SHORTINT", "MEDIUMINT", "INT", "LONGINT"):
        m = re.match(r"-?\d+(?: \((\d+)\))?$", value)
        return (int(value.split(" ")[0]), int(m[1]) if m and m[1] else None) if m else None
    if kind.startswith("DECIMAL"):
        return value
    if kind in ("DATE", "DATETIME", "TIME"):
        return value.strip("'").replace(":", "-")
    return None


def differs(ours, value, kind):
    theirs = plain(value, kind)
    if theirs is None:
        return False
    if theirs == "null":
        return ours is not None
    if ours is None: # a zero date
        return "-00" not in theirs
    if isinstance(theirs, tuple):
        return int(ours) not in theirs
    if kind.startswith("DECIMAL"):
        return float(ours) != float(theirs) or (ours.strip("-0.") and ours.lstrip("-").lstrip("0") != theirs.lstrip("-").lstrip("0"))
    return False


def compare_printed(server, path, lines):
    text_lines = printed(path, server)
    if text_lines is None:
        return "skipped"
    theirs, ours = printed_rows(text_lines), [json.loads(x) for x in lines.splitlines()]
    # mysqlbinlog does not know VECTOR: it stops at the first in each event.
    beyond = {e["table"] for e in ours if e["op"] == "table" and any("vector" in c[2] for c in e["columns"])}
    ours = [e for e in ours if e["op"] in ("insert", "update", "delete") and e["table"] not in beyond]
    theirs = [r for r in theirs if r[0] not in beyond]
    if [(t, o) for t, o, _ in theirs] != [(e["table"], e["op"]) for e in ours]:
        return f"other rows: {len(theirs)} and {len(ours)}"
    compared = 0
    for (table, _, parts), e in zip(theirs, ours):
        for part, side in (("WHERE", "before"), ("SET", "after")):
            values = list(e.get(side, {}).values())
            for i, (value, kind) in parts[part].items():
                compared += plain(value, kind) is not None
                if differs(values[i], value, kind):
                    return f"{table} column {i} {kind}: {values[i]!r}, printed {value!r}"
    return None if compared > 100 else f"only {compared} values compared"


def one_server(name):
    rng.seed(SEED)
    server = Server(name)
    path, count = fill(server)
    with tempfile.NamedTemporaryFile("w", suffix=".schema") as schema:
        for t in range(count):
            schema.write(json.dumps({"table": f"t{t}", "mariadb": server.mariadb, "columns": described(server, f"t{t}")}) + "\n")
        schema.flush()
        lines, ones = from_log(path, schema.name), from_log(path, schema.name, "-b", "1")
    shapes, rows = replay(lines)
    for t in range(count):
        report(f"{server.name}.t{t}", compare(server, f"t{t}", shapes, rows, True))
    report(f"{server.name}.batches_of_one",
           None if ones == lines else "other events when each batch holds one")
    why = compare_printed(server, path, lines)
    if why == "skipped":
        print(f"skip mysql_differential.{server.name}.printed: no program that prints its log", flush=True)
    else:
        report(f"{server.name}.printed", why)
    server.run("drop database fr_differential")


for wanted in os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql mariadb118 mariadb105 mysql55").split():
    there, why = add_server(wanted)
    if not there:
        print(f"skip mysql_differential.{wanted}: {why}", flush=True)
        continue
    try:
        one_server(wanted)
    except Exception as e: # a server that fails must not hide the next
        report(wanted, f"{type(e).__name__}: {e}")
sys.exit(failed)
