#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""file-sink: every kind and its limits, from the event to pyarrow, through the file of the commit and through the
one that small files are joined into."""
import datetime
import decimal
import math
import random
import struct
import uuid

from file_sink_case import *  # noqa: F401,F403: the vocabulary of these tests
from duckdb_sink_case import duckdb  # noqa: E402

TESTS[:] = []
D = decimal.Decimal
decimal.getcontext().prec = 2000


def arrow(c, column, table="t"):
    """The column's arrow type, and its values as integers where Python's own types end at the year 9999."""
    out, types = [], set()
    for e in c.entries(table):
        chunk = pq.read_table(os.path.join(c.path, e["path"]), partitioning=None, arrow_extensions_enabled=False).column(column)
        types.add(str(chunk.type))
        if pyarrow.types.is_timestamp(chunk.type) or pyarrow.types.is_time64(chunk.type):
            chunk = chunk.cast(pyarrow.int64())
        elif pyarrow.types.is_date(chunk.type):
            chunk = chunk.cast(pyarrow.int32())
        out += chunk.to_pylist()
    assert len(types) == 1, types
    return types.pop(), out


def bits(value, kind):
    value = float(value)
    return "nan" if math.isnan(value) else struct.pack(">f" if kind == "FLOAT32" else ">d", value)


# kind, what the column says, the type that pyarrow sees, (value sent, value read) pairs
MATRIX = [
    ("BOOL", {}, "bool", [(True, True), (False, False)]),
    ("INT32", {}, "int32", [(v, v) for v in (0, -1, 2**31 - 1, -2**31)]),
    ("INT64", {}, "int64", [(v, v) for v in (0, -1, 2**63 - 1, -2**63)]),
    ("FLOAT32", {}, "float", [(v, v) for v in (0.0, "-0.0", 1.5, "inf", "-inf", "nan", 3.4028234663852886e38, 1.401298464324817e-45)]),
    ("FLOAT64", {}, "double", [(v, v) for v in (0.0, "-0.0", 0.1, "inf", "-inf", "nan", 1.7976931348623157e308, 5e-324)]),
    ("DECIMAL", dict(precision=4, scale=2), "decimal128(4, 2)", [(v, D(v)) for v in ("0.00", "-0.01", "99.99", "-99.99")]),
    ("DECIMAL", dict(precision=9, scale=0), "decimal128(9, 0)", [(v, D(v)) for v in ("0", "999999999", "-999999999")]),
    ("DECIMAL", dict(precision=18, scale=18), "decimal128(18, 18)", [(v, D(v)) for v in ("0.000000000000000001", "-0.999999999999999999")]),
    ("DECIMAL", dict(precision=38, scale=10), "decimal128(38, 10)", [(v, D(v)) for v in ("9" * 28 + "." + "9" * 10, "-" + "9" * 28 + "." + "9" * 10)]),
    ("DECIMAL", dict(precision=65, scale=30), "string", [(v, v) for v in ("9" * 35 + "." + "9" * 30, "-0." + "0" * 29 + "1")]),
    ("DECIMAL", dict(precision=0, scale=5), "string", [(v, v) for v in ("1" * 200 + ".00001", "-3.14159")]),
    ("TEXT", {}, "string", [(v, v) for v in ("", "a", "\u00e9\U0001f600", "x\u0000y", "007", "NULL", "'", "x" * 70000)]),
    ("BYTES", {}, "binary", [(v, bytes.fromhex(v)) for v in ("", "00", "ff00fe", "61" * 70000)]),
    ("JSON", {}, "string", [(v, v) for v in ('{"a": [1, 2.50, null]}', "[]", '"\\u0000"', '{"a":1,"a":2}', '"\\ud800"', "no JSON")]),
    ("UUID", {}, "fixed_size_binary[16]", [(str(u), u.bytes) for u in (uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"))]),
    ("DATE", {}, "date32[day]", [(v, v) for v in (0, -1, -719162, 2932896, 2147483646, -2147483646)]),
    ("TIME", {}, "time64[us]", [(v, v) for v in (0, 1, DAY - 1)]),
    ("TIME", dict(span=True), "int64", [(v, v) for v in (0, -1, -838 * 3600 * 1000000, 838 * 3600 * 1000000 + 999999)]),
    ("DATETIME", {}, "timestamp[us]", [(v, v) for v in (0, -1, 253402300799999999, 9223372036854775806 // 1000, -62135596800000000)]),
    ("TIMESTAMP", {}, "timestamp[us, tz=UTC]", [(v, v) for v in (0, -1, 1795680371402001, 253402300799999999, -62135596800000000)]),
]


def columns_of_matrix():
    return [ID] + [col("c%d" % i, kind, **more) for i, (kind, more, _, _) in enumerate(MATRIX)]


def all_is_there(c, rows):
    order = arrow(c, "id")[1]
    same(sorted(order), list(range(rows)))
    for i, (kind, more, want_type, pairs) in enumerate(MATRIX):
        got_type, got = arrow(c, "c%d" % i)
        same((kind, more, got_type), (kind, more, want_type))
        for n, value in zip(order, got):
            want = None if n % 9 == 8 else pairs[n % len(pairs)][1]
            if kind.startswith("FLOAT") and want is not None:
                value, want = bits(value, kind), bits(want, kind)
            same((kind, more, n, value), (kind, more, n, want))


@test
def every_kind(c):
    started(c, columns_of_matrix(), compact__files="4")
    rows = 72
    for n in range(rows):
        row = {"c%d" % i: pairs[n % len(pairs)][0] if n % 9 != 8 else None for i, (_, _, _, pairs) in enumerate(MATRIX)}
        ok(c.apply([["c", "t", dict(id=n, **row)]]))
        if n == 17:
            ok(c.commit(n + 1))
            same(len(c.entries()), 1)
            all_is_there(c, 18)
        elif n > 17 and n % 6 == 5:
            ok(c.commit(n + 1))
    assert len(c.entries()) < 6, len(c.entries())  # some were joined
    all_is_there(c, rows)
    try:
        MATRIX[1][3][0] = (0, 1)
        all_is_there(c, rows)
    except AssertionError:
        return
    finally:
        MATRIX[1][3][0] = (0, 0)
    raise AssertionError("another value is not seen")


AVRO_WANT = {
    "DATE": lambda v: datetime.date(1970, 1, 1) + datetime.timedelta(v), "TIME": lambda v: (datetime.datetime.min + datetime.timedelta(microseconds=v)).time(),
    "UUID": lambda v: uuid.UUID(bytes=v), "DATETIME": lambda v: datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=v),
    "TIMESTAMP": lambda v: datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=v)}
FAR = 719162  # days that Python has before 1970; fastavro gives its objects


@test
def every_kind_as_avro(c):
    """Logical types stand in the file, and fastavro makes of them what they say; joined files are alike."""
    c.format = "avro"
    columns = columns_of_matrix()
    started(c, columns, compact__files="4")
    rows = 40
    sent = {}
    for n in range(rows):
        row = {"c%d" % i: pairs[n % len(pairs)][0] if n % 9 != 8 else None for i, (_, _, _, pairs) in enumerate(MATRIX)}
        for i, (kind, _, _, pairs) in enumerate(MATRIX):
            if kind == "DATE" and row["c%d" % i] is not None and abs(row["c%d" % i]) > 3000000:
                row["c%d" % i] = -FAR
        sent[n] = row
        ok(c.apply([["c", "t", dict(id=n, **row)]]))
        if n % 3 == 2:
            ok(c.commit(n + 1))
    ok(c.commit(rows))
    assert 1 < len(c.entries()) < 8, len(c.entries())
    got = {r["id"]: r for r in c.rows()}
    same(sorted(got), list(range(rows)))
    for i, (kind, more, _, pairs) in enumerate(MATRIX):
        for n in range(rows):
            value, want = got[n]["c%d" % i], None
            if n % 9 != 8:
                by_sent = {str(a): b for a, b in pairs}
                want = by_sent.get(str(sent[n]["c%d" % i]), sent[n]["c%d" % i])
                if kind == "DECIMAL":
                    want = D(want) if more["precision"] else want
                elif kind in AVRO_WANT and not more.get("span"):
                    want = AVRO_WANT[kind](want)
                elif kind.startswith("FLOAT"):
                    value, want = bits(value, kind), bits(want, kind)
            same((kind, more, n, value), (kind, more, n, want))


@both
def what_does_not_fit_is_refused(c):
    """Never another value: an error of its row, which names the column and not the value."""
    bad = [("DATE", {}, 2**31 + 5), ("TIME", {}, -1), ("TIME", {}, DAY), ("DECIMAL", dict(precision=4, scale=2), "100.00")]
    if c.format == "parquet":
        bad += [("DATETIME", {}, 2**63 - 1), ("UUID", {}, "no uuid")]
    c.open()
    c.claim()
    for i, (kind, more, value) in enumerate(bad):
        c.table([ID, col("the column", kind, **more)], "t%d" % i)
        r = fails(c.apply([["c", "t%d" % i, {"id": 1, "the column": None}], ["c", "t%d" % i, {"id": 2, "the column": value}]]), "DATA", "sink.value")
        same((kind, r["applied"]), (kind, 1))
        assert "the column" in r["error"]["text"] and str(value) not in r["error"]["text"], r


@test
def pandas_like_rows_of_all_versions(c):
    """union_by_name of DuckDB's and a unified schema of pyarrow's read old and new files as one table."""
    started(c, [ID, col("n", "INT32"), col("f", "FLOAT32"), col("d", "DECIMAL", precision=6, scale=2)])
    ok(c.apply([["c", "t", {"id": 1, "n": 2**31 - 1, "f": 1.5, "d": "1234.56"}]]))
    ok(c.commit(1))
    c.table([ID, col("n", "INT64"), col("f", "FLOAT64"), col("d", "DECIMAL", precision=12, scale=4), col("w")], as_="t2")
    ok(c.apply([["c", "t2", {"id": 2, "n": 2**40, "f": 0.1, "d": "12345678.1234", "w": "new"}]]))
    ok(c.commit(2))
    paths = manifest.files(c.path, "t")
    schema = pyarrow.unify_schemas([pq.read_schema(p) for p in paths], promote_options="permissive")
    import pyarrow.dataset as ds
    got = ds.dataset(paths, schema=schema).to_table().to_pylist()
    same([(r["id"], r["n"], r["f"], r["d"], r["w"]) for r in got], [(1, 2**31 - 1, 1.5, D("1234.56"), None), (2, 2**40, 0.1, D("12345678.1234"), "new")])


AVRO_NAMES = {"INTEGER": "int", "BIGINT": "long", "FLOAT": "float", "DOUBLE": "double", "VARCHAR": "string"}


def avro_schema(c, entry):
    with open(os.path.join(c.path, entry["path"]), "rb") as f:
        return fastavro.reader(f).writer_schema


@test
def avro_files_have_the_types_of_their_schema(c):
    """What the manifest says of a file is what stands in it, joined or not, and readers of the newest read all."""
    c.format = "avro"
    columns = {"id": ID, "n": col("n", "INT32"), "m": col("m", "INT32"), "f": col("f", "FLOAT32"), "d": col("d", "DECIMAL", precision=10, scale=4),
               "v": col("v"), "g": col("g", "INT64")}
    started(c, list(columns.values()), compact__files="3")
    row = {"n": 2**31 - 1, "m": -2**31, "f": 1.5, "d": "1.2345", "v": "a", "g": 2**63 - 1}
    ok(c.apply([["c", "t", dict(id=0, **row)]]))
    ok(c.commit(1))
    for name, kind, more in (("d", "DECIMAL", dict(precision=12, scale=2)), ("d", "DECIMAL", dict(precision=14, scale=4)), ("v", "INT32", {}), ("v", "BYTES", {}),
                             ("n", "TEXT", {}), ("g", "FLOAT64", {}), ("f", "INT32", {}), ("n", "DECIMAL", dict(precision=12, scale=0)), ("n", "FLOAT32", {})):
        c.table(list(dict(columns, **{name: col(name, kind, **more)}).values()), as_="other")
        fails(c.apply([["c", "other", {"id": 1}]]), "CONFIG", "sink.types")
    wide = dict(columns, n=col("n", "INT64"), m=col("m", "FLOAT64"), f=col("f", "FLOAT64"))
    ok(c.probe("close", sink="a"))
    started(c, list(wide.values()), change_type=BLOCK)
    fails(c.apply([["c", "t", {"id": 1}]]), "CONFIG", "sink.types")
    ok(c.probe("close", sink="a"))
    started(c, list(wide.values()), compact__files="3")
    wide_row = dict(row, n=2**40, m=0.1, f=1e300)
    ok(c.apply([["c", "t", dict(id=1, **wide_row)]]))
    ok(c.commit(2))
    ok(c.probe("close", sink="a"))
    started(c, list(columns.values()), compact__files="3", change_type=BLOCK)
    for n in (2, 3):
        ok(c.apply([["c", "t", dict(id=n, **row)]]))
        ok(c.commit(n + 1))
    same(sorted((e["schema"], e["rows"]) for e in c.entries()), [(1, 1), (2, 3)])
    newest = avro_schema(c, max(c.entries(), key=lambda e: e["schema"]))
    got = []
    for e in c.entries():
        fields = {f["name"]: f["type"][1] for f in avro_schema(c, e)["fields"] if not f["name"].startswith("_freshet")}
        for name, kind, _ in c.state()["schemas"]["", "t", e["schema"]]:
            if name != "d":
                same((e["schema"], name, fields[name]), (e["schema"], name, AVRO_NAMES[kind]))
        with open(os.path.join(c.path, e["path"]), "rb") as f:
            got += list(fastavro.reader(f, reader_schema=newest))
    got = sorted(tuple(r[k] for k in ("id", "n", "m", "f", "d", "v", "g")) for r in got)
    same(got, [(i, *dict(r, d=D(r["d"])).values()) for i, r in enumerate((row, wide_row, row, row))])


@test
def wide_tables_as_avro(c):
    """avro-c has 64 KiB for a schema."""
    c.format = "avro"
    names = ["column_%04d_%s" % (i, "x" * 80) for i in range(1000)]
    started(c, [ID] + [col(n) for n in names], compact__files="2")
    for n in range(2):
        ok(c.apply([["c", "t", dict({name: "%d" % n for name in names}, id=n)]]))
        ok(c.commit(n + 1))
    same([e["rows"] for e in c.entries()], [2])
    same(sorted((r["id"], {r[name] for name in names}) for r in c.rows()), [(0, {"0"}), (1, {"1"})])


@test
def the_last_state_by_a_query(c):
    """The view of docs/sinks/file.md, by DuckDB's own Python package."""
    started(c, [ID, col("v")], compact__files="3")
    want, rng = {}, random.Random(3)
    for n in range(30):
        events = []
        for _ in range(20):
            key = rng.randrange(40)
            if key in want and rng.random() < 0.4:
                del want[key]
                events.append(["d", "t", {"id": key}])
            else:
                events.append(["u" if key in want else "c", "t", {"id": key, "v": "%d" % n}])
                want[key] = "%d" % n
        ok(c.apply(events, position=[1, n + 1]))
        ok(c.commit(n + 1))
    db = duckdb.connect()
    got = db.read_parquet(manifest.files(c.path, "t"), union_by_name=True).query(
        "t", "SELECT id, v FROM t QUALIFY row_number() OVER (PARTITION BY id ORDER BY _freshet_position DESC) = 1 AND _freshet_op <> 'd'").fetchall()
    same(sorted(got), sorted(want.items()))


if __name__ == "__main__":
    sys.exit(main("file_sink_values"))
