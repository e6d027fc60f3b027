#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""From PostgreSQL through Kafka into ClickHouse: columns of many types, snapshot and log, under load while the daemon
and the server are killed, into a table of current rows and into one of all states; dead letters; topics that wait; plan
and apply. Read by another client."""
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clickhouse  # noqa: E402
from harness import CONFIG as BASE, Pipeline, case, eventually, finish, read_topics, together  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{}}, public.u: {{}}}}
sinks:
  now:
    type: clickhouse
    dsn: {clickhouse}
    from: ["{id}.public.t", "{id}.public.u"]
    create: CREATE
    on_change: {{add_column: evolve, change_type: evolve}}
    errors: {{mode: ERRORS}}
    write: {{every: 50ms}}
  all:
    type: clickhouse
    dsn: {clickhouse}
    from: ["{id}.public.t"]
    into: "${{table}}_all"
    create: CREATE
    write: {{mode: append, deletes: soft, every: 50ms}}
"""
TABLES = """
create table t (id int primary key, v text, n numeric(20,4), f float8, b bytea, j jsonb, ok bool, u uuid, d date,
    at timestamptz, at_local timestamp, big bigint, tags int[]);
alter table t alter b set storage external;
create table u (id text primary key, amount int);
create publication pub for table t, u
"""
# The same text of every value, in both.
SOURCE = """select id, v, trim_scale(n)::text, f, upper(encode(b, 'hex')), j::text, ok::int, u::text, d::text,
    to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), to_char(at_local, 'YYYY-MM-DD HH24:MI:SS.US'), big from t order by id"""
TARGET = """select id, v, toString(n), f, hex(b), j, toInt8(ok), toString(u), toString(d), toString(at), toString(at_local), big
    from t_current order by id"""
cases = []
BASE_WITH_KEY = BASE.replace("cache_dir: {dir}/cache", 'cache_dir: {dir}/cache, mask_key: "${{env:MASK_KEY}}"')


class ClickHousePipeline(Pipeline):
    def values(self):
        return dict(super().values(), clickhouse=os.environ["CLICKHOUSE_DSN"].rsplit("/", 1)[0] + "/" + self.id)

    def ch(self, sql):
        """None while there is no such table or column yet."""
        try:
            return clickhouse.rows(os.environ["CLICKHOUSE_URL"], sql, database=self.id)
        except clickhouse.Error as e:
            if "UNKNOWN_" not in str(e) and "refused" not in str(e):
                raise
            return None


def scenario(create="run", errors="stop"):
    def wrap(f):
        def run():
            p = ClickHousePipeline(CONFIG.replace("CREATE", create).replace("ERRORS", errors), target=False)
            clickhouse.ask(os.environ["CLICKHOUSE_URL"], "CREATE DATABASE " + p.id)
            with case("clickhouse_sink_flow." + f.__name__, p):
                p.sql(TABLES)
                p.sql("insert into t (id) values (1)")  # a topic comes with its first row
                f(p)
            p.close()
            clickhouse.ask(os.environ["CLICKHOUSE_URL"], "DROP DATABASE " + p.id)
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def holds(p, sql, want, seconds=60):
    def probe():
        assert p.daemon.poll() is None, p.daemon.returncode
        return p.ch(sql) == want
    eventually(f"{str(want)[:300]} of {sql}", probe, seconds)


def change(p, rng, n):
    """One statement of a writer; keys come and go, some values are hostile, and b is often left as it is: TOASTed."""
    key, text = rng.randrange(60), rng.choice(["", "'", "\u00e9\U0001f600", "x" * 3000, "007", "line\nline\\", "\\N"])
    what = rng.random()
    if what < 0.2:
        p.sql("delete from t where id = %s", key)
    elif what < 0.3:
        p.sql("update t set id = id + 1000 where id = %s and not exists (select 1 from t x where x.id = %s + 1000)", key, key)
    elif what < 0.5:
        p.sql("update t set v = %s, big = %s where id = %s", text, n, key)
    else:
        p.sql("""insert into t values (%s, %s, %s, %s, %s, '{"a": [1, 2.50, null]}', %s, gen_random_uuid(), '2026-02-28',
              '2026-11-26 08:26:11.402+02', '1969-12-31 23:59:59.999999', %s, '{1,2,null}')
              on conflict (id) do update set v = excluded.v, n = excluded.n, big = excluded.big""",
              key, text, f"{n}.{n % 9999:04d}", n / 7, os.urandom(4000) if n % 2 else bytes([0, n % 256]), n % 2 == 0, n * (1 << 40))


def offsets(p):
    got = p.ch("select sum(next_offset) from _freshet_offsets final where what = 'state'")
    return got[0][0] or 0 if got else 0


@scenario()
def killed_under_load(p):
    """I01: kills while it writes; in the end the view is the source's table, and the other table has each event once."""
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
        for _ in range(8):
            before = offsets(p)
            eventually("progress", lambda: offsets(p) > before, 60)
            time.sleep(rng.uniform(0, 0.3))
            p.kill()
            p.start()
    finally:
        stop.set()
        writer.join()
    want = p.sql(SOURCE)
    holds(p, TARGET, want, 90)
    events = sum(m.value() is not None for m in read_topics(p.bootstrap, [f"{p.id}.public.t"]))
    holds(p, "select count(), uniqExact(_freshet_position, id) from t_all", [(events, events)])
    assert len(want) > 30 and written[0] > 50 and events > 100, (len(want), written, events)
    assert p.stop() == 0
    p.sql("update t set n = n + 0.0001 where id = (select min(id) from t)")
    assert p.ch(TARGET) != p.sql(SOURCE), "the check sees nothing"


@scenario(errors="block")
def altered_and_held(p):
    """Columns come, types widen, and what does not fit holds its topic only, until it is mended."""
    p.sql("insert into u values ('a', 1)")
    p.start()
    holds(p, "select id, amount from u_current", [("a", 1)])
    p.sql("alter table u add column note text; insert into u values ('b', 2, 'new')")
    holds(p, "select id, amount, note from u_current order by id", [("a", 1, None), ("b", 2, "new")])
    p.ch("alter table u drop column note")
    p.sql("insert into u values ('c', 3, 'again')")
    holds(p, "select id, amount, note from u_current order by id", [("a", 1, None), ("b", 2, None), ("c", 3, "again")])
    p.sql("insert into t (id, d) values (7, '1066-10-14')")  # no Date32
    eventually("the topic waits", lambda: "Date32" in p.log(), 60)
    p.sql("insert into u values ('d', 4, 'goes on')")
    holds(p, "select count() from u_current", [(4,)])
    same = p.ch("select count() from t_current where id = 7")
    assert same == [(0,)], same
    assert p.stop() == 0


@scenario(errors="dlq")
def dead_letters(p):
    p.sql("insert into u values ('a', 1)")
    p.start()
    p.says("stream from")  # else the snapshot finds row 7 as it is in the end
    p.sql("insert into t (id, d) values (7, '1066-10-14'); update t set d = '2026-01-01' where id = 7; insert into t (id) values (8)")
    holds(p, "select id from t_current order by id", [(1,), (8,)])
    holds(p, "select count(), any(topic) from _freshet_parked", [(1, f"{p.id}.public.t")])
    eventually("both are dead letters", lambda: len(read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])) == 2, 30)
    assert p.stop() == 0


@scenario(errors="dlq")
def released_by_hand(p):
    """No transactions: dlq retry and drop refuse a parked key, until it is released as docs/sinks/clickhouse.md says."""
    def dlq(*words, code=0):
        rc, out, err = p.verb("dlq", *words, "--json", timeout=120)
        assert rc == code, (words, rc, out[-1500:], err[-1500:])
        return json.loads(out)

    def waiting():
        return [(x["part"], x["behind"]) for x in dlq("list")["result"]["letters"]]
    p.sql("insert into u values ('a', 1)")
    p.start()
    p.says("stream from")
    p.sql("insert into t (id, d) values (7, '1066-10-14')")
    holds(p, "select count(), any(topic) from _freshet_parked", [(1, f"{p.id}.public.t")])
    p.sql("update t set d = '2026-01-01' where id = 7")
    eventually("both are dead letters", lambda: len(read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])) == 2, 30)
    for verb in "retry", "drop":
        got = dlq(verb, "--all", "--yes", code=2)
        assert got["error"]["code"] == "dlq.sink" and "docs/sinks/clickhouse.md" in json.dumps(got), got
        assert (got["result"]["keys"], got["result"]["refused"]) == (0, 1), got
    assert waiting() == [("now", 1)] and p.ch("select count() from _freshet_parked") == [(1,)]
    assert p.verb("stop", "now", "--yes")[0] == 0
    one = dlq("list")["result"]["letters"][0]["id"]
    key = dlq("show", one)["result"]["key_hex"]
    assert f"key, hex  {key}\n" in p.verb("dlq", "show", one)[1]
    where = f"pipeline = '{p.id}' AND sink = 'now' AND topic = '{p.id}.public.t'"
    p.ch(f"ALTER TABLE _freshet_parked DELETE WHERE {where} AND key = unhex('00') SETTINGS mutations_sync = 1")
    assert p.ch("select count() from _freshet_parked") == [(1,)], "another key"
    p.ch(f"ALTER TABLE _freshet_parked DELETE WHERE {where} AND key = unhex('{key}') SETTINGS mutations_sync = 1")
    assert p.ch("select count() from _freshet_parked") == [(0,)]
    assert p.verb("resume", "now", "--yes")[0] == 0
    assert p.verb("snapshot", "start", "src/public.t", "--yes")[0] == 0
    holds(p, "select id, d from t_current where id = 7", [(7, "2026-01-01")])
    assert dlq("drop", one, "--yes")["result"]["letters"] == 2
    assert waiting() == [] and [x["state"] for x in dlq("list", "--settled")["result"]["letters"]] == ["dropped"]
    p.sql("update t set v = 'goes on' where id = 7")
    holds(p, "select id, v from t_current where id = 7", [(7, "goes on")])
    assert p.stop() == 0


@scenario(create="apply")
def plan_and_apply(p):
    assert p.verb("validate")[0] == 0
    code, out, err = p.verb("plan", "--json")
    text = json.dumps(json.loads(out))
    assert "create _freshet_offsets" in text and "non_replicated_deduplication_window" in text, (code, out, err)
    assert p.ch("select count() from system.tables where database = '%s'" % p.id) == [(0,)], "plan makes nothing"
    code, out, err = p.verb("apply", "--yes", "--source-objects")
    assert code == 0, out + err
    assert p.ch("select count() from t_current") == [(0,)], out
    p.sql("insert into u values ('a', 1)")
    p.start()
    holds(p, "select id, amount from u_current", [("a", 1)])
    assert p.stop() == 0


RULES = """
    topics: {{"{id}.public.t": {{filter: "v <> 'x'", columns: {{exclude: [b, tags], rename: {{id: key}}, mask: {{big: hash}},
      derive: {{half: "id / 2.0"}}, types: {{half: double}}}}}}}}
"""


@scenario()
def rules_of_the_sink(p):
    """A filter, columns that are left out, renamed, computed and masked: the current rows, while the daemon is killed."""
    config = CONFIG.replace("CREATE", "run").replace("ERRORS", "stop").replace("    into: \"${{table}}_all\"", RULES + "    into: \"${{table}}_all\"")
    config = config.replace("    errors: {{mode: stop}}\n", "    errors: {{mode: stop}}" + RULES.rstrip() + "\n", 1)
    p.write(config, BASE_WITH_KEY)
    p.env["MASK_KEY"] = "correct horse battery staple"
    p.sql("insert into u values (%s, 1)", "a")
    rng = random.Random(5)
    p.start()
    for turn in range(3):
        for n in range(40):
            key = rng.randrange(30)
            if rng.random() < 0.2:
                p.sql("delete from t where id = %s", key)
            else:
                p.sql("insert into t (id, v, big) values (%s, %s, %s) on conflict (id) do update set v = excluded.v, big = excluded.big",
                      key, rng.choice(["x", "y", "z", None]), key * 7)
        eventually("rows of this start", lambda: p.ch("select count() from t_current where key >= 0"))
        if turn < 2:
            p.kill()
            p.start()
    want = [tuple(r) for r in p.sql("select id, v, (id / 2.0)::float8 from t where v is distinct from 'x' order by id")]
    assert 5 < len(want) < p.sql("select count(*) from t")[0][0], want
    holds(p, "select key, v, half from t_current order by key", want)
    assert p.ch("select count() from t_current where match(big, '^[0-9a-f]{64}$')") == \
        p.sql("select count(*) from t where v is distinct from 'x' and big is not null")
    columns = {r[0] for r in p.ch("select name from system.columns where database = currentDatabase() and table = 't'")}
    assert "b" not in columns and "tags" not in columns and "id" not in columns and {"key", "half"} <= columns, columns
    assert p.ch("select count() from t_all where _freshet_deleted = 1 and v = 'x'") == [(0,)]
    assert p.stop() == 0


def main():
    there, why = clickhouse.add_server()
    if not there:
        print("skip clickhouse_sink_flow: %s" % why)
        return
    together([c for c in cases if not sys.argv[1:] or c.name in sys.argv[1:]], 2)
    finish()


if __name__ == "__main__":
    main()
