#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""PostGIS: geometry and geography are EWKB in Kafka, the same bytes from snapshot and log, in binary and as text, and go into a
target's geometry, geography or bytea again."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{columns: {{types: {{told: string}}}}}}
"""
SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: CREATE
    write: {{every: 50ms}}
"""
SHAPES = ["SRID=4326;POINT(13.4 52.5)", "POINT(1 2)", "SRID=3857;POINT ZM (1 2 3 4)", "POINT EMPTY",
          "SRID=4326;POLYGON((0 0, 0 9, 9 9, 0 0), (1 2, 1 3, 2 3, 1 2))", "MULTIPOINT M (1 2 3, 4 5 6)",
          "SRID=4326;GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1e300 -1e-300))", "CIRCULARSTRING(0 0, 1 1, 2 0)",
          "POINT(nan -0)"]
COLUMNS = "id int primary key, g gis.geometry, p gis.geometry(Point, 4326), d place, y gis.geography, a gis.geometry[], told gis.geometry"
EWKB = "select id, gis.ST_AsEWKB(g), gis.ST_AsEWKB(p), gis.ST_AsEWKB(d), gis.ST_AsEWKB(y::gis.geometry){} from t"


def prepare(dsn, extra=""):
    p.sql("create schema gis; create extension postgis schema gis; create domain place as gis.geometry; "
          f"create table t ({COLUMNS}{extra})", on=dsn)


def rows(first):
    for i, shape in enumerate(SHAPES):
        p.sql("insert into t (id, g, d, told, a) values (%s, %s, %s, %s, array[%s::gis.geometry, null])", first + i, *[shape] * 4)
    p.sql("insert into t (id, p, y) values (%s, 'SRID=4326;POINT(1 2)', 'SRID=4326;POINT(-180 90)'), (%s, null, null)",
          first + 90, first + 91)


def plain(row):
    return tuple(None if v is None else bytes(v) if isinstance(v, memoryview) else v for v in row)


def ewkb(dsn):
    return {r[0]: plain(r[1:]) for r in p.sql(EWKB.format(""), on=dsn)}


def in_target():
    try:
        return ewkb(p.target)
    except Exception:  # not there yet
        return None


def made():
    try:
        return {i: None if g is None else bytes(g) for i, g in p.sql("select id, g from t", on=p.target)}
    except Exception:  # not there yet
        return None


# One column without a binary form, and all is text.
for source, sink, bytea, extra in (("source_binary", "sink_binary", "bytea_binary", ""), ("source_text", "sink_text", "bytea_text", ", r int4range")):
    p = Pipeline(CONFIG)
    with case("pg_postgis." + source, p):
        prepare(p.source, extra)
        p.sql("create publication pub for table t")
        rows(0)
        p.start()
        p.wait_events("t", len(SHAPES) + 2)
        rows(100)
        p.wait_events("t", 2 * len(SHAPES) + 4)
        got = {e["after"]["id"]: e["after"] for e in p.events("t")}
        want = ewkb(p.source)
        assert {i: (e["g"], e["p"], e["d"], e["y"]) for i, e in got.items()} == want, (got, want)
        assert want[0][0] != want[1][0] and want[0][0][:9].hex() == "0101000020e6100000", want[0]  # with its SRID
        for i, e in got.items():
            hexes = None if e["told"] is None else e["told"]
            assert hexes == (None if e["g"] is None else e["g"].hex().upper()), e
            assert e["a"] is None or json.loads(e["a"]) == [hexes, None], e
        assert p.stop() == 0
    with case("pg_postgis." + sink, p):
        prepare(p.target, extra)
        p.sql("alter table t alter a type jsonb using null, alter told type text", on=p.target)
        p.write(CONFIG + SINK.replace("CREATE", "run"))
        code, out, err = p.verb("plan")
        assert code == 0, [x for x in out.splitlines() if "FAIL" in x]
        p.start()
        eventually("all in the target", lambda: in_target() == want)
        p.sql("update t set g = 'SRID=4326;POINT(7 8)' where id = 1; delete from t where id = 2")
        eventually("the change in the target", lambda: in_target() == ewkb(p.source))
        assert p.stop() == 0
    with case("pg_postgis." + bytea, p):
        p.sql("drop table t; drop table _freshet_offsets; drop table _freshet_parked", on=p.target)
        p.write(CONFIG + SINK.replace("CREATE", "run"))
        p.start()
        want = {i: v[0] for i, v in ewkb(p.source).items()}
        eventually("all in a table that we made", lambda: made() == want)
    p.close()
finish()
