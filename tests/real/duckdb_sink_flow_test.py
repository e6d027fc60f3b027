#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""From PostgreSQL through Kafka into a DuckDB file: columns of many types, snapshot and log, under load while the
daemon is killed; a reader in the way; dead letters; plan and apply. The file is read by
DuckDB's Python package."""
import json
import os
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish, metrics, read_topics, together  # noqa: E402

from duckdb_sink_case import LIBRARY, duckdb  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{}}, public.u: {{}}}}
sinks:
  duck:
    type: duckdb
    path: {dir}/target.db
    library: LIBRARY
    hold: HOLD
    from: ["{id}.public.t", "{id}.public.u"]
    create: CREATE
    on_change: {{add_column: evolve}}
    errors: {{mode: ERRORS}}
    write: {{every: 50ms}}
"""
TABLES = """
create table t (id int primary key, v text, n numeric(20,4), f float8, b bytea, j jsonb, ok bool, u uuid, d date,
    at timestamptz, at_local timestamp, big bigint);
create table u (id text primary key, amount int);
create publication pub for table t, u
"""
# The same text of every value, in both.
SOURCE = """select id, v, n::text, f, b, j::text, ok, u::text, d::text, (extract(epoch from at) * 1000000)::bigint,
    (extract(epoch from at_local) * 1000000)::bigint, big from t order by id"""
TARGET = """select id, v, cast(n as varchar), f, b, cast(j as varchar), ok, cast(u as varchar), cast(d as varchar), epoch_us("at"),
    epoch_us(at_local), big from t order by id"""
cases = []


def scenario(create="run", errors="stop", hold="writing"):
    def wrap(f):
        def run():
            words = dict(CREATE=create, ERRORS=errors, HOLD=hold, LIBRARY=LIBRARY)
            config = CONFIG
            for word, value in words.items():
                config = config.replace(word, value)
            p = Pipeline(config, target=False)
            p.file = os.path.join(p.dir, "target.db")
            with case("duckdb_sink_flow." + f.__name__, p):
                p.sql(TABLES)
                p.sql("insert into t (id) values (1)")  # a topic comes with its first row
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def duck(p, sql):
    """None while there is no such table or column yet, or the file is held."""
    if not os.path.exists(p.file):
        return None
    try:
        c = duckdb.connect(p.file, read_only=True)
    except duckdb.IOException as e:
        assert "lock on file" in str(e) or "read-only" in str(e), e
        time.sleep(0.05)
        return None
    try:
        return c.execute(sql).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as e:
        assert "does not exist" in str(e) or "not found" in str(e), e
        return None
    finally:
        c.close()


def read(p, sql):
    return eventually("a look into the file: " + sql, lambda: duck(p, sql), 60)


def rows(p):
    return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in r) for r in p.sql(SOURCE)]


def holds(p, sql, want, seconds=90):
    def probe():  # not too often: the file is the sink's
        time.sleep(0.2)
        assert p.daemon.poll() is None, p.daemon.returncode
        return duck(p, sql) == want
    eventually(f"{want} of {sql}", probe, seconds)


def change(p, rng, n):
    """One statement of a writer; keys come and go, and some values are hostile."""
    key, text = rng.randrange(60), rng.choice(["", "'", "\u00e9\U0001f600", "x" * 3000, "007", "line\nline", "NULL"])
    what = rng.random()
    if what < 0.25:
        p.sql("delete from t where id = %s", key)
    elif what < 0.35:
        p.sql("update t set id = id + 1000 where id = %s and not exists (select 1 from t x where x.id = %s + 1000)", key, key)
    else:
        p.sql("""insert into t values (%s, %s, %s, %s, %s, '{"a": [1, 2.50, null]}', %s, gen_random_uuid(), '2026-02-28',
              '2026-11-26 08:26:11.402+02', '1969-12-31 23:59:59.999999', %s)
              on conflict (id) do update set v = excluded.v, n = excluded.n, big = excluded.big, b = null""",
              key, text, f"{n}.{n % 9999:04d}", n / 7, bytes([0, n % 256]), n % 2 == 0, n * (1 << 40))


def committed(p):
    """Events of t that the sink of the running daemon has committed."""
    try:
        said = metrics(p)
    except OSError:  # it is not up yet
        return 0
    return sum(float(line.rsplit(" ", 1)[1]) for line in said.splitlines()
               if line.startswith("freshet_sink_rows_total{") and re.search(r'table="[^"]*\bt"', line))


def kills(p):
    """I01: six kills while it writes; in the end both are the same, and a difference would be seen."""
    p.sql("""insert into t select i, 'row ' || i, i / 3.0, i, decode('00ff', 'hex'), '[]', null, null, null, now(), now(), -i
          from generate_series(2, 50) i; insert into u values ('a', 1)""")
    rng, stop, written = random.Random(5), threading.Event(), [0]

    def write():
        while not stop.is_set():
            written[0] += 1
            change(p, rng, written[0])
    writer = threading.Thread(target=write)
    p.start()
    writer.start()
    try:
        for _ in range(6):
            eventually("progress", lambda: committed(p) > 0, 60)
            time.sleep(rng.uniform(0, 0.2))
            p.kill()
            [(count, ids)] = read(p, "select count(*), count(distinct id) from t")
            assert count == ids and count > 0, (count, ids)
            p.start()
    finally:
        stop.set()
        writer.join()
    assert written[0] > 50, written


def check(p):
    want = rows(p)
    assert len(want) > 30, len(want)
    assert read(p, TARGET) == want
    p.sql("update t set n = n + 0.0001 where id = (select min(id) from t where n is not null)")
    assert read(p, TARGET) != rows(p), "the check sees nothing"


@scenario()
def killed_under_load(p):
    kills(p)
    holds(p, TARGET, rows(p))
    assert p.stop() == 0
    check(p)


@scenario(hold="always")
def killed_under_load_holding_the_file(p):
    def changes():
        return [(os.stat(f).st_size, os.stat(f).st_mtime_ns) for f in (p.file, p.file + ".wal") if os.path.exists(f)]
    kills(p)

    def same():  # nobody can look while it runs
        eventually("the sink's commit", lambda: changes() != before, 60)
        assert p.stop() == 0
        return duck(p, TARGET) == rows(p)
    for n in range(20):
        before = changes()
        p.sql("insert into u values (%s, 1)", "round %d" % n)
        if same():
            break
        p.start()
    check(p)


@scenario()
def a_reader_and_an_altered_table(p):
    p.sql("insert into u values ('a', 1)")
    p.start()
    holds(p, "select id, amount from u", [("a", 1)])
    reader = eventually("the file", lambda: opened(p), 60)
    p.sql("insert into u values ('b', 2); alter table u add column note text; insert into u values ('c', 3, 'new')")
    p.wait_events("u", 3)
    p.says("lock on file", "hold: writing")
    assert reader.execute("select count(*) from u").fetchall() == [(1,)]
    reader.close()
    holds(p, "select id, amount, note from u order by id", [("a", 1, None), ("b", 2, None), ("c", 3, "new")])
    p.sql("delete from u where id = 'a'")
    holds(p, "select id from u order by id", [("b",), ("c",)])
    code, out, _ = p.verb("status", "--json")
    assert code == 0 and "duck" in out, out
    assert p.stop() == 0


def opened(p):
    try:
        return duckdb.connect(p.file, read_only=True)
    except duckdb.IOException:
        return None


@scenario(errors="dlq")
def dead_letters(p):
    """I06, R36"""
    c = duckdb.connect(p.file)
    c.execute("create table u (id text primary key, amount int check (amount < 100))")
    c.close()
    p.sql("insert into u values ('good', 1)")
    p.start()
    holds(p, "select id, amount from u", [("good", 1)])
    p.sql("insert into u values ('bad', 500); insert into u values ('other', 3)")
    holds(p, "select id, amount from u order by id", [("good", 1), ("other", 3)])
    p.sql("update u set amount = 5 where id = 'bad'")  # not before: only the last state of a batch is written
    holds(p, "select id, amount from u order by id", [("good", 1), ("other", 3)])
    letters = eventually("two dead letters", lambda: len(got := read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])) == 2 and got)
    reasons = [dict(m.headers())["freshet.reason"].decode() for m in letters]
    assert any("CHECK constraint failed" in r for r in reasons), reasons
    assert any("an earlier message of this key" in r for r in reasons), reasons
    holds(p, "select count(*) from _freshet_parked", [(1,)])
    p.kill()
    p.start()
    p.sql("update u set amount = 6 where id = 'bad'; update u set amount = 2 where id = 'good'")
    holds(p, "select id, amount from u order by id", [("good", 2), ("other", 3)])
    assert len(read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])) == 3


@scenario(create="apply")
def plan_and_apply(p):
    assert p.verb("validate")[0] == 0
    code, out, err = p.verb("plan", "--json")
    text = json.dumps(json.loads(out))
    assert "create the file, with _freshet_offsets" in text and "DECIMAL(20,4)" in text, (code, out, err)
    assert not os.path.exists(p.file), "plan makes nothing"
    code, out, err = p.verb("apply", "--yes", "--source-objects")
    assert code == 0, out + err
    assert duck(p, "select count(*) from t") == [(0,)], out
    p.sql("insert into u values ('a', 1)")
    p.start()
    holds(p, "select id, amount from u", [("a", 1)])
    assert p.stop() == 0


if duckdb is None or not os.path.exists(LIBRARY):
    print("skip duckdb_sink_flow: no DuckDB in the cache (scripts/deps.sh duckdb)")
    sys.exit(0)
names = sys.argv[1:]
together([c for c in cases if not names or c.name in names], 3)
finish()
