#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet verify with ClickHouse and DuckDB as sinks: all types equal, and one value that is another one found in each
column; hundreds of planted differences, and none where there is none; deleted rows; keys of many types; the repair SQL
repairs. (Under writers: verify_stores_live_test.py.)"""
import json
import math
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clickhouse  # noqa: E402
import mysql  # noqa: E402
from harness import Pipeline, case, eventually, finish  # noqa: E402

from duckdb_sink_case import LIBRARY, duckdb  # noqa: E402
import verify_test as base  # noqa: E402
import verify_types_test as kinds  # noqa: E402

SINKS = dict(
    ch="  ch: {{type: clickhouse, dsn: '{clickhouse}', from: ['{id}.{space}.t'], create: run, write: {{every: 50ms}}}}\n",
    duck="  duck: {{type: duckdb, path: '{dir}/out.db', library: '" + LIBRARY + "', hold: writing, from: ['{id}.{space}.t'], create: run, write: {{every: 200ms}}}}\n")
MODES = base.MODES
found = base.found
SELF = {"ch": "t FINAL", "duck": "t"}
cases = []


class Stores:
    """What the pipelines below have in common: a database of ClickHouse, a file of DuckDB's, and SQL at each."""

    def values(self):
        if "CLICKHOUSE_URL" in os.environ:
            clickhouse.ask(os.environ["CLICKHOUSE_URL"], "CREATE DATABASE IF NOT EXISTS " + self.id)
        self.file = os.path.join(self.dir, "out.db")
        at = os.environ.get("CLICKHOUSE_DSN", "clickhouse://127.0.0.1:1/x").rsplit("/", 1)[0] + "/" + self.id
        return dict(super().values(), clickhouse=at, space=self.space())

    def at(self, sink, sql):
        """SQL at a sink, or None: there is no such table yet."""
        if sink == "ch":
            try:
                return clickhouse.rows(os.environ["CLICKHOUSE_URL"], sql, database=self.id, insert_deduplicate=0)
            except clickhouse.Error as e:
                assert "UNKNOWN_TABLE" in str(e) or "UNKNOWN_IDENTIFIER" in str(e), e
                return None
        c = eventually("the file", self.opened, 60, 0.01)
        try:
            c.execute("SET TimeZone = 'UTC'")
            return c.execute(sql).fetchall()
        except duckdb.CatalogException as e:
            assert "does not exist" in str(e), e
            return None
        finally:
            c.close()

    def opened(self):
        """None while the sink has it."""
        if not os.path.exists(self.file):
            return None
        try:
            return duckdb.connect(self.file, config={"autoload_known_extensions": "false"})
        except duckdb.IOException as e:
            assert "lock on file" in str(e), e
            return None

    def put(self, sink, i, column, expression):
        """At the sink the column of the row is that."""
        if sink == "duck":
            self.at(sink, f"UPDATE t SET \"{column}\" = {expression} WHERE id = {i}")
        else:
            self.at(sink, f"INSERT INTO t SELECT * REPLACE ({expression} AS {column}, _freshet_position + 1 AS _freshet_position) FROM t FINAL WHERE id = {i}")

    def drop(self, sink, i):
        if sink == "duck":
            self.at(sink, f"DELETE FROM t WHERE id = {i}")
        else:
            self.at(sink, f"INSERT INTO t SELECT * REPLACE (1 AS _freshet_deleted, _freshet_position + 1 AS _freshet_position) FROM t FINAL WHERE id = {i}")

    def there(self, rows):
        for sink in self.sinks:
            def probe():
                assert self.daemon.poll() is None, self.daemon.returncode
                got = self.at(sink, f"SELECT count(*) FROM {SELF[sink]}")
                return got and got[0][0] == rows
            eventually(f"{rows} rows at {sink}", probe, 90, 0.3)

    def verify(self, *words, sink=None, code=None):
        got, out, err = self.verb("verify", f"src/{self.space()}.t", "--json", "--load", "100", *(["--sink", sink] if sink else []), *words, timeout=300)
        answer = json.loads(out)
        for canary in ("Sanitizer", "runtime error"):
            assert canary not in err, err[-3000:]
        assert code is None or got == code, (got, answer["error"] or [(r["key"], r["what"], r["columns"]) for r in answer["result"]["rows"]][:12], err[-600:])
        return answer["error"] or answer["result"]

    def close(self):
        super().close()
        if "ch" in self.sinks:
            clickhouse.ask(os.environ["CLICKHOUSE_URL"], "DROP DATABASE IF EXISTS " + self.id)


class FromPg(Stores, Pipeline):
    def __init__(self, sinks):
        self.sinks = sinks
        super().__init__(base.CONFIG.replace("TABLE", "") + "".join(SINKS[s] for s in sinks), target=False)

    def space(self):
        return "public"


class FromMaria(Stores, mysql.MyPipeline):
    def __init__(self, sinks):
        self.sinks = sinks
        super().__init__(kinds.MY + "sinks:\n" + "".join(SINKS[s] for s in sinks), "mariadb")

    def space(self):
        return self.id


def scenario(sql=base.TABLE, sinks=("ch", "duck")):
    def wrap(f):
        def run():
            here = [s for s in sinks if s != "ch" or "CLICKHOUSE_URL" in os.environ]
            if not here:
                print(f"skip verify_stores.{f.__name__}: no ClickHouse in the stack")
                return
            p = FromPg(here)
            with case("verify_stores." + f.__name__, p):
                p.sql(sql)
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


# ---- types ----

def matrix(p, columns, name):
    """Rows 1, 3, 5, ... hold the first values, 2, 4, ... the second ones, the last one NULL: equal; then in each column
    one first value becomes a second one."""
    n = 2 * len(columns) + 2
    p.start()
    with case(f"verify_stores.types_of_{name}_flow", p):
        p.there(n)
    for sink in p.sinks:
        with case(f"verify_stores.types_of_{name}_to_{sink}", p):
            for mode in ([], ["--full"]):
                r = p.verify(*mode, sink=sink, code=0)
                assert (r["rows_source"], r["rows_sink"]) == (n, n), r
                assert all(c["compared"] for c in r["columns"]), [c for c in r["columns"] if not c["compared"]]
            for k, c in enumerate(columns):
                p.put(sink, 2 * k + 1, c, f"(SELECT {c} FROM {SELF[sink]} WHERE id = 2)")
            r = p.verify(sink=sink, code=4)
            got, want = sorted((x["key"]["id"], *x["columns"]) for x in r["rows"]), sorted((str(2 * k + 1), c) for k, c in enumerate(columns))
            assert got == want, sorted(set(got) ^ set(want))


def here():
    return tuple(s for s in ("ch", "duck") if s == "duck" or "CLICKHOUSE_URL" in os.environ)


def types_of_postgres():
    columns = dict(kinds.PG_COLUMNS, da=("date", "'1900-01-01'", "'2299-12-31'"), fr=("numeric(4,4)", "'-0.0500'", "'0.0500'"), fz=("numeric(4,4)", "'0.0000'", "'0.1000'"),
                   ts2=("timestamptz", "'1900-01-01 00:00:00+00'", "'2299-12-31 23:59:59.999999+00'"), em=("text", "''", "' '"),
                   na=("float8", "'nan'", "'-infinity'"), nul=("bytea", "'\\x00'", "''"))
    p = FromPg(here())
    p.sql("create type mood as enum ('sad', 'glad'); create table t (id int primary key, " + ", ".join(f"{c} {v[0]}" for c, v in columns.items())
          + "); create publication pub for table t")
    p.sql(kinds.fill(columns).replace("%", "%%"))
    p.sql("insert into t (id) values (1000)")
    matrix(p, columns, "postgres")
    p.close()


def types_of_mariadb():
    if not mysql.add_server("mariadb")[0]:
        print("skip verify_stores.types_of_mariadb: no MariaDB in the stack")
        return
    columns = dict(kinds.MY_COLUMNS, da=("date", "'1900-01-01'", "'2299-12-31'"))
    p = FromMaria(here())
    p.sql("create table t (id int primary key, " + ", ".join(f"{c} {v[0]}" for c, v in columns.items()) + ") character set utf8mb4")
    c = mysql.connect(p.root, database=p.id)
    for sql in ("set sql_mode = ''", "set time_zone = '+00:00'", kinds.fill(columns).replace("%", "%%"), "insert into t (id) values (1000)"):
        mysql.run(c, sql)
    c.close()
    matrix(p, columns, "mariadb")
    p.close()


cases += [types_of_postgres, types_of_mariadb]


# ---- planted differences ----

def real(sink, value):
    return f"CAST('{value!r}' AS DOUBLE)" if sink == "duck" else "reinterpretAsFloat64(reverse(unhex('%s')))" % struct.pack(">d", value).hex()


def plant(p, sink, what, i, other):
    """One difference at the sink; what verify must say of it."""
    read = lambda column: p.at(sink, f"SELECT {column} FROM {SELF[sink]} WHERE id = {i}")[0][0]
    changed = lambda column, expression: p.put(sink, i, column, expression) or [(i, "changed", (column,))]
    if what == "missing":
        p.drop(sink, i)
        return [(i, "missing", ())]
    if what == "extra":
        p.at(sink, f"INSERT INTO t (id, v) VALUES ({-i}, 'x')")
        return [(-i, "extra", ())]
    if what == "doubled":  # where there is one row a key, the row of another key
        if sink == "ch":
            return changed("v", "'of another'")
        p.at(sink, f"INSERT INTO t SELECT * FROM t WHERE id = {i}")
        return [(i, "doubled", ())]
    if what == "swapped":
        mine, theirs = (p.at(sink, f"SELECT CAST(n AS VARCHAR) FROM {SELF[sink]} WHERE id = {k}")[0][0] for k in (i, other))
        p.put(sink, i, "n", f"CAST('{theirs}' AS DECIMAL(20,4))")
        p.put(sink, other, "n", f"CAST('{mine}' AS DECIMAL(20,4))")
        return [(i, "changed", ("n",)), (other, "changed", ("n",))]
    if what == "null_for_empty":
        return changed("v", "CASE WHEN v IS NULL THEN '' WHEN v = '' THEN NULL ELSE v || ' ' END")
    if what == "bit_of_bytes":
        b = bytearray.fromhex(read("hex(b)"))
        b[i % 16] ^= 1 << i % 8
        return changed("b", f"unhex('{b.hex()}')")
    if what == "bit_of_float":
        return changed("f", real(sink, math.nextafter(read("f"), math.inf)))
    if what == "bit_of_number":
        return changed("big", "bitXor(big, 1)" if sink == "ch" else "xor(big, 1)")
    if what == "microsecond":
        column = ("at", "al")[i % 2]
        return changed(column, f"{column} + toIntervalMicrosecond(1)" if sink == "ch" else
                       f"CAST(make_timestamp(epoch_us(\"{column}\") + 1) AS {('TIMESTAMPTZ', 'TIMESTAMP')[i % 2]})")
    if what == "not":
        return changed("ok", "NOT ok")
    if what == "last_digit":
        return changed("n", "n + CAST('0.0001' AS DECIMAL(20,4))")
    if what == "time":
        return changed("tod", "'23:00:00'" if sink == "ch" else "TIME '23:00:00'")
    return changed("d", "d + 1")


WHATS = ["missing", "extra", "doubled", "swapped", "null_for_empty", "bit_of_bytes", "bit_of_float", "bit_of_number", "microsecond", "not",
         "last_digit", "time", "day"]


@scenario()
def planted(p):
    """A swapped pair is two rows: 13 kinds of difference on 260 keys are 280."""
    rng = random.Random(7)
    p.sql(base.FILL, 4000)
    p.start()
    p.there(4000)
    if "ch" in p.sinks:
        p.at("ch", f"SYSTEM STOP MERGES {p.id}.t")
    p.sql("update t set v = v || '!' where id % 7 = 0")
    p.sql("delete from t where id > 3900")
    p.there(3900)
    if "ch" in p.sinks:  # what is there are versions, and rows that say that a key is gone
        assert p.at("ch", "SELECT count() FROM t")[0][0] > 4000
    for sink in p.sinks:  # the control: nothing is planted yet
        for mode in MODES + (["--fast"],):
            r = p.verify(*mode, sink=sink, code=0)
            assert (r["rows_source"], r["rows_sink"], r["differences"], r["unsettled"]) == (3900, 3900, 0, 0), r
            assert r["inside"]["sink"] == (mode != ["--full"]), r["inside"]
    for sink in p.sinks:
        ids, want = rng.sample(range(1, 3901), 280), []
        for k in range(260):
            want += plant(p, sink, WHATS[k % 13], ids[k], ids[260 + k // 13])
        assert len(want) == 280
        want = sorted((str(i), what, columns) for i, what, columns in want)
        for mode in MODES:
            r = p.verify(*mode, sink=sink, code=4)
            assert found(r) == want, (sink, mode, sorted(set(want) ^ set(found(r)))[:6], len(found(r)))
            assert (r["unsettled"], r["differences"]) == (0, 280), r["differences"]
        assert p.verify("--fast", sink=sink, code=4)["differences"] >= 1


@scenario(sql=base.KEYED)
def keys_that_are_texts(p):
    words = ["", "a", "A", "\u00e4", "a ", "b'c", 'd"e', "f\\g", "%s", "|", "~", "1:x|~", "\U0001f600", "x" * 150, "line\nline\t\\N", "NULL", "\\N"]
    for n, w in enumerate(words * 8):
        p.sql("insert into t values (%s, %s, %s)", w, n, f"v{n}")
    p.start()
    p.there(len(words) * 8)
    for sink in p.sinks:
        r = p.verify(sink=sink, code=0)
        assert (r["by"], r["rows_source"]) == (None, len(words) * 8), r
        quoted = ["'" + w.replace("\\", "\\\\" if sink == "ch" else "\\").replace("'", "''") + "'" for w in words]
        for q in quoted[5:]:
            if sink == "ch":
                p.at(sink, f"INSERT INTO t SELECT * REPLACE ('changed' AS v, _freshet_position + 1 AS _freshet_position) FROM t FINAL WHERE a = {q}")
            else:
                p.at(sink, f"UPDATE t SET v = 'changed' WHERE a = {q}")
        r = p.verify(sink=sink, code=4)
        assert sorted({x["key"]["a"] for x in r["rows"]}) == sorted(words[5:]), (sink, {x["key"]["a"] for x in r["rows"]} ^ set(words[5:]))
        assert r["differences"] == 8 * len(words[5:]) and all(x["columns"] == ["v"] for x in r["rows"]), r["differences"]


KEYS = """
create table t (n numeric(20,4), d date, at timestamptz, tod time, u uuid, b bytea, ok bool, v text, primary key (n, d, at, tod, u, b, ok));
create publication pub for table t
"""


@scenario(sql=KEYS)
def keys_of_many_types(p):
    p.sql("""insert into t select i / 8.0, date '2000-01-01' + i, '2026-11-26 08:26:11.402111+02'::timestamptz + i * interval '1 us',
        time '00:00:00.5' + i * interval '1 us', md5(i::text)::uuid, decode(md5(i::text), 'hex'), i % 2 = 0, 'v' || i from generate_series(1, 60) i""")
    p.start()
    p.there(60)
    for sink in p.sinks:
        assert p.verify(sink=sink, code=0)["rows_sink"] == 60
        if sink == "ch":
            p.at(sink, "INSERT INTO t SELECT * REPLACE ('changed' AS v, _freshet_position + 1 AS _freshet_position) FROM t FINAL WHERE ok")
        else:
            p.at(sink, "UPDATE t SET v = 'changed' WHERE ok")
        r = p.verify(sink=sink, code=4)
        assert r["counts"] == dict(missing=0, extra=0, changed=30, doubled=0), r["counts"]
        fixed(p, sink, changed=30)


# ---- repairs ----

def fixed(p, sink, **counts):
    """What --fix-sql writes, run, makes the sink equal; the file's text."""
    file = os.path.join(p.dir, sink + ".sql")
    r = p.verify("--fix-sql", file, "--settle", "90s", sink=sink, code=4)
    assert r["counts"] == dict(dict(missing=0, extra=0, changed=0, doubled=0), **counts), (sink, r["counts"], r["unsettled"], r["why"])
    with open(file, encoding="utf-8") as f:
        text = f.read()
    if sink == "ch":
        for line in text.splitlines():  # a statement a line, whatever is in it
            if not line.startswith("--"):
                clickhouse.ask(os.environ["CLICKHOUSE_URL"], line.removesuffix(";"), database=p.id)
    else:
        c = eventually("the file", p.opened, 60, 0.01)
        c.execute("SET TimeZone = 'Asia/Tokyo'")
        c.execute(text)
        c.close()
    return text


HOSTILE = ["'); drop table t; --", "a\\b'c\"d;\n-- x\n", "line\nline\t\\N", "\u00e9\U0001f600", ""]


def wreck(p, sink):
    for i in (3, 501, 502):
        p.drop(sink, i)
    p.at(sink, "INSERT INTO t (id, v) VALUES (-1, 'x')")
    for column in ("v", "n", "f", "b", "ok", "d", "at", "al", "tod", "big"):
        p.put(sink, 9, column, "NULL")
        p.put(sink, 503, column, "NULL")


@scenario()
def repair(p):
    p.sql(base.FILL, 500)
    for n, v in enumerate(HOSTILE):
        p.sql("insert into t (id, v, f, at, big) values (%s, %s, '-infinity', '1999-01-01 00:00:00.000001+00', -9223372036854775808)", 501 + n, v)
    p.start()
    p.there(505)
    for sink in p.sinks:
        wreck(p, sink)
        fixed(p, sink, missing=3, extra=1, changed=2)
        for mode in MODES:
            p.verify(*mode, sink=sink, code=0)
    p.sql("update t set v = 'after' where id in (3, 9); delete from t where id = 501; insert into t (id, v) values (-1, 'new')")
    for sink in p.sinks:  # what comes after a repair is newer than it
        eventually("the next events", lambda s=sink: p.at(s, f"SELECT v FROM {SELF[s]} WHERE id IN (3, 9, -1, 501) ORDER BY id") == [("new",), ("after",), ("after",)], 60, 0.3)
        p.verify(sink=sink, code=0)


@scenario()
def repair_of_marked_rows(p):
    """Soft deletes: a row that is marked and should not be, one that should be, one that is not there at all."""
    p.write(base.CONFIG.replace("TABLE", "") + "".join(SINKS[s].replace("write: {{every", "write: {{deletes: soft, every") for s in p.sinks))
    p.sql(base.FILL, 22)
    p.start()
    p.there(22)
    p.sql("delete from t where id > 20")
    marked = {"ch": "_freshet_deleted = 1", "duck": "_freshet_deleted"}
    for sink in p.sinks:
        eventually("two marks", lambda s=sink: p.at(s, f"SELECT count(*) FROM {SELF[s]} WHERE {marked[s]}") == [(2,)], 60, 0.3)
        assert p.verify(sink=sink, code=0)["rows_sink"] == 20
        p.put(sink, 3, "_freshet_deleted", "1" if sink == "ch" else "true")
        p.put(sink, 5, "v", "'wrong'")
        p.at(sink, "INSERT INTO t (id, v) VALUES (-1, 'x')")
        fixed(p, sink, missing=1, extra=1, changed=1)
        p.verify("--full", sink=sink, code=0)
        got = p.at(sink, f"SELECT id FROM {SELF[sink]} WHERE {marked[sink]} ORDER BY id")
        assert got == [(-1,), (21,), (22,)], (sink, got)


@scenario(sinks=("ch",))
def repair_of_what_does_not_fit(p):
    """A value that the column does not have: there is no statement, but why."""
    p.write(base.CONFIG.replace("TABLE", "") + SINKS["ch"].replace("write:", "errors: {{mode: dlq}}, write:"))
    p.sql(base.FILL, 5)
    p.start()
    p.there(5)
    p.sql("insert into t (id, d) values (6, '1000-01-01'); insert into t (id, v) values (7, 'x')")
    p.there(6)
    text = fixed(p, "ch", missing=1)
    assert "-- id 6: column d: a Date32 is of the years 1900 to 2299" in text and "INSERT" not in text, text


def main(name="verify_stores"):
    if duckdb is None:
        print(f"skip {name}: no DuckDB here (scripts/deps.sh duckdb)")
        return
    there, why = clickhouse.add_server()
    if not there:
        print(f"skip {name}: no ClickHouse: {why}")
    for c in cases:
        if len(sys.argv) < 2 or getattr(c, "name", c.__name__) in sys.argv[1:]:
            c()


if __name__ == "__main__":
    main()
    finish()
