#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""From PostgreSQL through Kafka into a folder of Parquet files: snapshot and log, under load while the daemon is
killed, and a reader that goes by the manifest; every event is compared with what Kafka has. Verbs; a second daemon."""
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish, read_topics, together  # noqa: E402

from file_sink_case import LIBRARY, MISSING, manifest, read_rows  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{}}, public.u: {{}}}}
sinks:
  lake:
    type: file
    path: {dir}/lake
    library: LIBRARY
    from: ["{id}.public.t", "{id}.public.u"]
    create: CREATE
    compact: {{files: 4}}
    on_change: {{add_column: evolve}}
    errors: {{mode: stop}}
    write: {{mode: MODE, every: 50ms}}
"""
TABLES = """
create table t (id int primary key, v text, n numeric(20,4), b bytea, at timestamptz);
create table u (id text primary key, amount int);
create publication pub for table t, u
"""
cases = []


def scenario(create="run", mode="append"):
    def wrap(f):
        def run():
            config = CONFIG
            for word, value in dict(CREATE=create, MODE=mode, LIBRARY=LIBRARY).items():
                config = config.replace(word, value)
            p = Pipeline(config, target=False)
            p.lake = os.path.join(p.dir, "lake")
            with case("file_sink_flow." + f.__name__, p):
                p.sql(TABLES)
                p.sql("insert into t (id) values (1)")  # a topic comes with its first row
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def rows(p, table):
    if not os.path.isdir(os.path.join(p.lake, "_freshet")):
        return []
    files = [e for e in manifest.state(p.lake, check=True)["files"].values() if e["table"] == table]
    return read_rows(p.lake, sorted(files, key=lambda e: os.path.basename(e["path"])))


def same_as_kafka(p, table):
    """Each message of the topic that is an event is one row, and no other row is there. Tombstones are none."""
    messages = read_topics(p.bootstrap, [f"{p.id}.public.{table}"])
    want = sorted((m.partition(), m.offset()) for m in messages if m.value() is not None)
    got = sorted((r["_freshet_partition"], r["_freshet_offset"]) for r in rows(p, table))
    return want == got and len(want)


def last_states(p):
    """As the query of docs/sinks/file.md has it."""
    last = {}
    for r in rows(p, "t"):
        if r["id"] not in last or r["_freshet_position"] >= last[r["id"]]["_freshet_position"]:
            last[r["id"]] = r
    return sorted((r["id"], r["v"], str(r["n"]) if r["n"] is not None else None, r["b"]) for r in last.values() if r["_freshet_op"] != "d")


def source_rows(p):
    return [(i, v, n, bytes(b) if b is not None else None) for i, v, n, b in p.sql("select id, v, n::text, b from t order by id")]


@scenario()
def killed_under_load(p):
    """I01: six kills while it writes; every event of Kafka is there once, and the last states are those of the source."""
    p.sql("insert into t select i, 'row ' || i, i / 3.0, decode('00ff', 'hex'), now() from generate_series(2, 50) i; insert into u values ('a', 1)")
    rng, stop, over, looks, broken = random.Random(5), threading.Event(), threading.Event(), [0], []

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            key, text = rng.randrange(60), rng.choice(["", "'", "\u00e9\U0001f600", "x" * 3000, "007", "line\nline"])
            if rng.random() < 0.25:
                p.sql("delete from t where id = %s", key)
            else:
                p.sql("""insert into t values (%s, %s, %s, %s, now()) on conflict (id) do update set v = excluded.v, n = excluded.n, b = null""",
                      key, text, f"{n}.{n % 9999:04d}", bytes([0, n % 256]))

    def read():
        while not over.is_set():
            try:
                for table in ("t", "u"):
                    seen = [(r["_freshet_partition"], r["_freshet_offset"]) for r in rows(p, table)]
                    assert len(seen) == len(set(seen)), "a row twice"
                looks[0] += 1
            except Exception as e:
                broken.append(repr(e))
                return
    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    p.start()
    for t in threads:
        t.start()
    try:
        for _ in range(6):
            before = len(rows(p, "t"))
            eventually("progress", lambda: time.sleep(0.2) or len(rows(p, "t")) > before, 240)
            time.sleep(rng.uniform(0, 0.3))
            p.kill()
            p.start()
    finally:
        stop.set()
        threads[0].join()
    try:
        eventually("all that Kafka has", lambda: same_as_kafka(p, "t") and same_as_kafka(p, "u") and last_states(p) == source_rows(p), 300)
    finally:
        over.set()
        threads[1].join()
    assert not broken and looks[0] > 3, (broken, looks)
    assert p.stop() == 0
    assert same_as_kafka(p, "t") > 50
    state = manifest.state(p.lake)
    assert any(m for m in state["files"]), state
    lost = sorted(state["files"])[0]
    os.rename(os.path.join(p.lake, lost), os.path.join(p.lake, lost + ".hidden"))
    try:
        rows(p, "t"), rows(p, "u")
    except FileNotFoundError:
        return
    raise AssertionError("the check sees nothing")


@scenario()
def an_altered_table_and_a_second_daemon(p):
    p.sql("insert into u values ('a', 1)")
    p.start()
    eventually("the first row", lambda: same_as_kafka(p, "u") == 1, 240)
    p.sql("alter table u add column note text; insert into u values ('b', 2, 'new'); delete from u where id = 'a'")
    eventually("four rows", lambda: [(r["_freshet_op"], r["id"], r.get("note")) for r in rows(p, "u")] ==
               [("r", "a", None), ("c", "b", "new"), ("d", "a", None)], 240)
    assert all(r["_freshet_at"] for r in rows(p, "u"))
    code, out, err = p.verb("plan", "--json")
    assert "sink.busy" in out and "PID" in out, (code, out, err)
    code, out, _ = p.verb("status", "--json")
    assert code == 0 and "lake" in out, out
    assert p.stop() == 0


@scenario(create="apply")
def plan_and_apply(p):
    assert p.verb("validate")[0] == 0
    code, out, err = p.verb("plan", "--json")
    assert "make the folder" in json.dumps(json.loads(out)), (code, out, err)
    assert not os.path.exists(p.lake), "plan makes nothing"
    code, out, err = p.verb("apply", "--yes", "--source-objects")
    assert code == 0, out + err
    assert os.listdir(p.lake) == ["_freshet"], out
    p.sql("insert into u values ('a', 1)")
    p.start()
    eventually("a row", lambda: same_as_kafka(p, "u") == 1, 240)
    assert p.stop() == 0


@scenario(mode="upsert")
def upsert_is_refused_offline(p):
    code, out, err = p.verb("validate")
    assert code == 2 and "write.mode" in out + err and "append" in out + err, (code, out, err)


if MISSING:
    print("skip file_sink_flow: no DuckDB or no pyarrow in the cache (scripts/deps.sh duckdb, scripts/deps.sh pyarrow)")
    sys.exit(0)
names = sys.argv[1:]
together([c for c in cases if not names or c.name in names], 2)
finish()
