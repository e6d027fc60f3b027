#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""From PostgreSQL through Kafka into an SQLite file: columns of many types, snapshot and log, under load while the
daemon is killed; a lock of another process; a file that is taken away; dead letters; plan and apply. The file is
read by Python's sqlite3."""
import json
import os
import random
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish, read_topics, together  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{}}, public.u: {{}}}}
sinks:
  lite:
    type: sqlite
    path: {dir}/target.db
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
SOURCE = """select id, v, n::text, f, b, j::text, ok::int, u::text, d::text,
    to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), to_char(at_local, 'YYYY-MM-DD HH24:MI:SS.US'), big from t order by id"""
TARGET = """select id, v, n, f, b, j, ok, u, d, at || iif(length(at) = 19, '.000000', ''),
    at_local || iif(length(at_local) = 19, '.000000', ''), big from t order by id"""
cases = []


def scenario(create="run", errors="stop"):
    def wrap(f):
        def run():
            p = Pipeline(CONFIG.replace("CREATE", create).replace("ERRORS", errors), target=False)
            p.file = os.path.join(p.dir, "target.db")
            with case("sqlite_sink_flow." + f.__name__, p):
                p.sql(TABLES)
                p.sql("insert into t (id) values (1)")  # a topic comes with its first row
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def lite(p, sql):
    """None while there is no such table or column yet."""
    c = sqlite3.connect(p.file, timeout=30)
    try:
        return c.execute(sql).fetchall()
    except sqlite3.OperationalError as e:
        assert "no such " in str(e), e
        return None
    finally:
        c.close()


def rows(p):
    return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in r) for r in p.sql(SOURCE)]


def holds(p, sql, want, seconds=60):
    def probe():
        assert p.daemon.poll() is None, p.daemon.returncode
        return os.path.exists(p.file) and lite(p, sql) == want
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


@scenario()
def killed_under_load(p):
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
            before = offsets(p)
            eventually("progress", lambda: offsets(p) > before, 60)
            time.sleep(rng.uniform(0, 0.2))
            p.kill()
            p.start()
    finally:
        stop.set()
        writer.join()
    want = rows(p)
    holds(p, TARGET, want, 90)
    assert len(want) > 30 and written[0] > 50, (len(want), written)
    assert p.stop() == 0
    assert lite(p, "pragma integrity_check") == [("ok",)]
    p.sql("update t set n = n + 0.0001 where id = (select min(id) from t)")
    assert lite(p, TARGET) != rows(p), "the check sees nothing"


def offsets(p):
    got = lite(p, "select sum(next_offset) from _freshet_offsets") if os.path.exists(p.file) else None
    return got[0][0] or 0 if got else 0


@scenario()
def locked_altered_taken_away(p):
    p.sql("insert into u values ('a', 1)")
    p.start()
    holds(p, "select id, amount from u", [("a", 1)])
    other = sqlite3.connect(p.file, isolation_level=None, timeout=30)
    other.execute("begin immediate")
    p.sql("insert into u values ('b', 2); alter table u add column note text; insert into u values ('c', 3, 'new')")
    p.wait_events("u", 3)
    assert other.execute("select count(*) from u").fetchall() == [(1,)]
    other.execute("rollback")
    holds(p, "select id, amount, note from u order by id", [("a", 1, None), ("b", 2, None), ("c", 3, "new")])
    other.execute("create table mine (x)")  # a table of somebody else: what is known is read again
    p.sql("delete from u where id = 'a'")
    holds(p, "select id from u order by id", [("b",), ("c",)])
    other.close()
    code, out, _ = p.verb("status", "--json")
    assert code == 0 and "lite" in out, out
    for name in os.listdir(p.dir):
        if name.startswith("target.db"):
            os.unlink(os.path.join(p.dir, name))
    p.sql("insert into u values ('d', 4)")
    p.says("target.db was there and is gone", "put it back")
    assert not os.path.exists(p.file), "an empty one in its place"


@scenario(errors="dlq")
def dead_letters(p):
    """I06, R36"""
    c = sqlite3.connect(p.file, isolation_level=None)
    c.execute("create table u (id text primary key, amount int check (amount < 100))")
    c.close()
    p.sql("insert into u values ('good', 1)")
    p.start()
    holds(p, "select id, amount from u", [("good", 1)])
    p.sql("insert into u values ('bad', 500); insert into u values ('other', 3); update u set amount = 5 where id = 'bad'")
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
    assert "create the file, with _freshet_offsets" in text and "STRICT" in text, (code, out, err)
    assert not os.path.exists(p.file), "plan makes nothing"
    code, out, err = p.verb("apply", "--yes", "--source-objects")
    assert code == 0, out + err
    assert lite(p, "select count(*) from t") == [(0,)], out
    code, out, err = p.verb("plan")
    assert "create" not in out or "sinks" not in out.split("create")[0][-200:], out
    p.sql("insert into u values ('a', 1)")
    p.start()
    holds(p, "select id, amount from u", [("a", 1)])
    assert p.stop() == 0


names = sys.argv[1:]
together([c for c in cases if not names or c.name in names], 4)
finish()
