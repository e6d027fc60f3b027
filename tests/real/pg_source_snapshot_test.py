#!/usr/bin/env python3
"""postgres-wal: snapshots, in chunks, at a view, and how the stream goes on from there."""
import json
import random
import subprocess
import sys
import threading

from pg_source_case import *  # noqa: F401,F403: the vocabulary of these tests


@db_test
def snapshot_and_stream_meet(d):
    """Writers run through all of it: each row is seen exactly once, and changes apply cleanly."""
    d.sql("CREATE TABLE acc(id bigint PRIMARY KEY, v int NOT NULL)")
    d.sql("INSERT INTO acc SELECT i, 0 FROM generate_series(1, 3000) i")
    d.sql("CREATE TABLE done(id int PRIMARY KEY)")
    d.publish()
    stop = threading.Event()

    def writer(n):
        c, rnd = d.connect(d.dsn), random.Random(n)
        cur, k = c.cursor(), 0
        while not stop.is_set():
            k += 1
            act = rnd.randrange(4)
            if act == 0:
                cur.execute("INSERT INTO acc VALUES (%s, %s)", (10000 + k * 10 + n, k))
            elif act == 1:
                cur.execute("DELETE FROM acc WHERE id = (SELECT min(id) FROM acc WHERE id %% 4 = %s)", (n,))
            else:
                cur.execute("BEGIN; UPDATE acc SET v = v + 1 WHERE id %% 97 = %s; COMMIT",
                            (rnd.randrange(97),))
        c.close()
    threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    try:
        p = subprocess.Popen(d.command("plan", "chunks", "pause:500", "stream", chunk=500, seconds=60),
                             stdout=subprocess.PIPE, text=True)
        state, view, streamed = {}, None, 0
        for line in p.stdout:
            e = json.loads(line)
            if "view_lsn" in e:
                view = e["view_lsn"]
            elif e.get("streaming"):
                stop.set()
                for t in threads:
                    t.join()
                d.sql("INSERT INTO done VALUES (1)")
            elif e.get("error"):
                raise AssertionError(e)
            elif e.get("op") == "r":
                expect(e["lsn"] < view, True, "a snapshot row is below the view")
                expect(e["after"]["id"] in state, False, "row twice in the snapshot")
                state[e["after"]["id"]] = e["after"]["v"]
            elif e.get("op") in ("c", "u", "d"):
                if e["table"] == "public.done":
                    break
                streamed += 1
                expect(e["lsn"] >= view, True, "stream before the view")
                key = (e.get("before") or e["after"])["id"] if e["op"] == "d" else e["after"]["id"]
                expect(key in state, e["op"] != "c", "%s of %s" % (e["op"], key))
                if e["op"] == "d":
                    del state[key]
                else:
                    state[key] = e["after"]["v"]
        p.terminate()
        p.wait()
    finally:
        stop.set()
        for t in threads:
            t.join()
    expect(state, dict(d.sql("SELECT id, v FROM acc")), "final state")
    expect(streamed > 100, True, "writers were seen in the stream (%d)" % streamed)


@db_test
def chunks_of_every_key_type(d):
    """Cut in the middle of each chunk and resumed: every row exactly once."""
    keys = {
        "k_int": ("int", "i - 20"),
        "k_text": ("text", r"chr(33 + i) || E'\\''\"' || repeat('x', i %% 3) || chr(8364 + i)"),
        "k_bpchar": ("char(5)", "'b' || i"),
        "k_uuid": ("uuid", "md5(i::text)::uuid"),
        "k_num": ("numeric(12,3)", "(i - 30) * 1.125"),
        "k_bignum": ("numeric", "(i - 30) * 100000000000000000000.000000000001"),
        "k_date": ("date", "date '0002-03-01 BC' + i * 30"),
        "k_ts": ("timestamp", "timestamp '1969-12-31 23:59:59.5' + i * interval '0.1 s'"),
        "k_tstz": ("timestamptz", "timestamptz '0001-06-01 12:00+00 BC' + i * interval '30 days 1 us'"),
        "k_time": ("time", "time '00:00' + i * interval '1 min 1 us'"),
        "k_bytea": ("bytea", "decode(lpad(to_hex(i), 2, '0') || '00ff', 'hex')"),
        "k_float": ("float8", "(i - 30) / 7.0"),
        "k_real": ("real", "(i - 30) / 7.0"),
        "k_enum": ("mood", "(enum_range(NULL::mood))[i]"),
        "k_domain": ("tag", "'t' || i"),
        "k_interval": ("interval", "i * interval '1 mon -1 day'"),
        "k_inet": ("inet", "inet '10.0.0.0' + i"),
        "k_bool": ("bool", "i %% 2 = 0"),
    }
    d.sql("CREATE TYPE mood AS ENUM (%s)" % ",".join("'%c%d'" % (122 - i % 26, i) for i in range(60)))
    d.sql("CREATE DOMAIN tag AS varchar(9)")
    for t, (typ, expr) in keys.items():
        n = 2 if typ == "bool" else 60
        d.sql("CREATE TABLE %s(k %s PRIMARY KEY, n int)" % (t, typ))
        d.sql("INSERT INTO %s SELECT %s, i FROM generate_series(1, %d) i" % (t, expr.replace("%%", "%"), n))
    d.sql('CREATE TABLE "Odd ""na.me"("K 1" int, "k""2" text, x text, n int, PRIMARY KEY ("k""2", "K 1"))')
    d.sql("""INSERT INTO "Odd ""na.me" SELECT i % 7, 'g' || i / 7, NULL, i FROM generate_series(1, 60) i""")
    d.sql("CREATE TABLE k_none(n int)")
    d.sql("INSERT INTO k_none SELECT i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_array(k int[] PRIMARY KEY, n int)")
    d.sql("INSERT INTO k_array SELECT ARRAY[i], i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_uniq(a int NOT NULL UNIQUE, b int UNIQUE, n int)")
    d.sql("INSERT INTO k_uniq SELECT i, i, i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_nulls(a int UNIQUE, n int)")
    d.sql("INSERT INTO k_nulls SELECT nullif(i, 3), i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_empty(k int PRIMARY KEY, n int)")
    d.publish()
    r = d.probe("plan", "cut-chunks", chunk=17).fine()
    plan = r.first("plan")["plan"]
    whole = {c["name"] for c in plan if c["whole"]}
    expect(whole, {"k_none", "k_array", "k_nulls"}, "tables without a key for ranges")
    expect(len([c for c in plan if c["name"] == "k_text"]), 4, "chunks of k_text")
    expect(len([c for c in plan if c["name"] == "k_empty"]), 1, "chunks of an empty table")
    for t in list(keys) + ['Odd "na.me', "k_none", "k_array", "k_uniq", "k_nulls"]:
        n = 2 if t == "k_bool" else 60
        got = sorted(x["after"]["n"] for x in r.rows("public." + t))
        expect(got, list(range(1, n + 1)), t)
    expect([x for x in r.lines if "bad" in x], [], "bad rows")


@db_test
def chunks_from_a_sample(d):
    """Where the catalog says that a table is large, cuts come from a sample: still every row once."""
    d.sql("CREATE TABLE big(a int, b text, PRIMARY KEY (a, b))")
    d.sql("INSERT INTO big SELECT i / 3, 'b' || i FROM generate_series(1, 30000) i")
    d.sql("ANALYZE big")
    d.sql("UPDATE pg_class SET reltuples = 30000000, relpages = 200000 WHERE relname = 'big'")
    d.publish()
    r = d.probe("plan", "chunks", chunk=1000).fine()
    plan = r.first("plan")["plan"]
    expect(5 < len(plan) < 120, True, "about 30 chunks (%d)" % len(plan))
    got = [x["after"]["b"] for x in r.rows()]
    expect(len(got), 30000, "rows")
    expect(len(set(got)), 30000, "different rows")


@db_test
def where_filter_and_columns(d):
    """snapshot.where, and the publication's row filter and column list, hold for both paths."""
    d.since(150000, "row filters")
    d.sql("CREATE TABLE f(id int PRIMARY KEY, a int, b text, c text)")
    d.sql("INSERT INTO f SELECT i, i % 10, 'b', 'c' FROM generate_series(1, 100) i")
    d.sql("CREATE PUBLICATION %s FOR TABLE f (id, a, c) WHERE (id <= 50)" % d.slot)
    r = d.start("chunks", chunk=10, where="a < 5 -- half")
    rows = r.rows()
    expect(len(rows), 25, "rows")
    expect(sorted(rows[0]["after"]), ["a", "c", "id"], "columns")
    d.sql("INSERT INTO f VALUES (-1, 9, 'b', 'c'), (101, 1, 'b', 'c')")
    s = d.stream()
    expect([x["after"] for x in s.rows()], [{"id": -1, "a": 9, "c": "c"}], "streamed")
    a, b = r.ops("TABLE")[0], s.ops("TABLE")[0]
    expect(a["columns"], b["columns"], "the same table on both paths")


@db_test
def second_view(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t SELECT generate_series(1, 10)")
    r = d.probe("plan-view", "chunks", "end-view").fine()
    expect(len(r.rows()), 10, "rows at the second view")
    view = r.first("view_lsn")["view_lsn"]
    s = d.stream()
    expect(s.rows()[0]["lsn"] < view, True, "the insert is before the second view")
    expect(d.one("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"), 1,
           "temporary slot is gone")


@db_test
def rewritten_under_the_snapshot(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.sql("INSERT INTO t SELECT i, i FROM generate_series(1, 10) i")
    d.publish()
    p = subprocess.Popen(d.command("plan", "pause:1500", "chunks"), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    d.sql("ALTER TABLE t ALTER v TYPE bigint")
    lines = [json.loads(x) for x in p.stdout.read().splitlines()]
    expect(p.wait(), 5, "exit code")
    expect(lines[-1]["code"], "pg.table_rewritten", "code")


@db_test
def partitions_by_root(d):
    d.since(130000, "publish_via_partition_root")
    d.sql("CREATE TABLE m(id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)")
    for y in (2024, 2025):
        d.sql("CREATE TABLE m_%d PARTITION OF m FOR VALUES FROM ('%d-01-01') TO ('%d-01-01')" % (y, y, y + 1))
    d.sql("INSERT INTO m SELECT i, date '2024-06-01' + i * 10, 'v' FROM generate_series(1, 50) i")
    d.probe("apply").fine()
    r = d.start("cut-chunks", chunk=9)
    expect(len(r.rows("public.m")), 50, "rows under the root's name")
    expect({x["table"] for x in r.ops("TABLE")}, {"public.m"}, "tables")
    d.sql("INSERT INTO m VALUES (99, '2025-02-02', 'new')")
    d.sql("UPDATE m SET day = '2024-02-02' WHERE id = 99")
    s = d.stream(2)
    expect({x["table"] for x in s.rows()}, {"public.m"}, "streamed under the root's name")
    d.probe("plan-replace", tables="public.m_2024").fails("CONFIG", "pg.unlogged")


@db_test
def partitions_by_leaf(d):
    d.since(130000, "publish_via_partition_root")
    d.sql("CREATE TABLE m(id int PRIMARY KEY) PARTITION BY RANGE (id)")
    d.sql("CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM (0) TO (100)")
    d.sql("CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM (100) TO (200)")
    d.sql("INSERT INTO m SELECT i FROM generate_series(1, 150) i")
    d.publish("WITH (publish_via_partition_root = false)")
    r = d.start("chunks")
    expect((len(r.rows("public.m_1")), len(r.rows("public.m_2"))), (99, 51), "rows under leaf names")
    d.sql("INSERT INTO m VALUES (151)")
    expect(d.stream().rows()[0]["table"], "public.m_2", "streamed under the leaf's name")
    d.probe("plan-replace", tables="public.m").fails("CONFIG", "pg.unlogged")


if __name__ == "__main__":
    sys.exit(main())
