#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Tables and transactions out of the ordinary: what reaches the topic is what was committed, once and in order."""
import io
import os
import signal
import sys

from psycopg2 import errors

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
from harness import Pipeline, case, eventually, finish, together  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
"""
ONE = SOURCE + "      public.t: {{}}\n"
SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["/{id}[.].*/"]
    create: run
    on_change: {{add_column: evolve, drop_column: ignore}}
    write: {{every: 50ms}}
"""
cases = []


def scenario(config, ddl, target=False, publication="create publication pub for all tables", options=""):
    """A case: a function of a pipeline whose tables and publication are there; it starts the daemon."""
    def wrap(f):
        def run():
            p = Pipeline(config, target=target, options=options)
            with case("tables." + f.__name__, p):
                p.sql(ddl)
                p.sql(publication)
                f(p)
                assert p.stop() == 0 and "Sanitizer" not in p.log()
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def holds(p, sql, want):
    """Until the target answers so."""
    def probe():
        failed = [line for line in p.log(True).splitlines() if "level=error" in line]
        assert p.daemon.poll() is None and not failed, failed or p.daemon.returncode
        try:
            return p.sql(sql, on=p.target) == want
        except (errors.UndefinedTable, errors.UndefinedColumn):
            return False
    eventually(sql + " in the target", probe)


def same(p, table, columns="id, v", key="id"):
    """The target has what the source has."""
    sql = f"select {columns} from {table} order by {key}"
    holds(p, sql, p.sql(sql))


def by_key(p, table, key="id", space="public"):
    """key -> [(op, before, after)] in the topic's order."""
    out = {}
    for e in p.events(table, space):
        if e:
            out.setdefault((e["after"] or e["before"])[key], []).append((e["op"], e["before"], e["after"]))
    return out


@scenario(SOURCE + "      public.m: {{}}\n" + SINK, """
    create table m (id int, day date, v text, primary key (id, day)) partition by range (day);
    create table m_1 partition of m for values from ('2024-01-01') to ('2024-07-01');
    create table m_2 partition of m for values from ('2024-07-01') to ('2025-01-01');
    insert into m values (1, '2024-02-01', 'a'), (2, '2024-08-01', 'b')""", True,
          "create publication pub for table m with (publish_via_partition_root = true)")
def partitioned(p):
    p.start()
    same(p, "m", "id, day, v")
    p.sql("update m set day = '2024-09-01' where id = 1; insert into m values (3, '2024-03-03', 'c'); delete from m where id = 2")
    same(p, "m", "id, day, v")
    p.sql("create table m_3 partition of m for values from ('2025-01-01') to ('2026-01-01'); insert into m values (4, '2025-05-05', 'd')")
    same(p, "m", "id, day, v")
    assert harness.topics_of(p.bootstrap, p.id) == [f"{p.id}.public.m"]


BIG = "(select string_agg(md5(i::text), '') from generate_series(1, 400) i)"


def toast(p, identity):
    p.sql(f"alter table t replica identity {identity}; insert into t values (1, 'old', {BIG})")
    big = p.sql("select big from t")[0][0]
    p.start()
    p.wait_events("t", 1)
    p.sql("update t set v = 'new' where id = 1")
    event = p.wait_events("t", 2)[1]
    if identity == "full":
        assert event["before"]["v"] == "old" and event["before"]["big"] == big, event["before"]["v"]
        assert event["after"]["big"] == big and not event.get("unavailable"), event.get("unavailable")
    else:
        assert event["after"]["big"] is None and event["unavailable"] == ["big"], event.get("unavailable")
        p.sql("update t set big = null where id = 1")
        event = p.wait_events("t", 3)[2]
        assert event["after"]["big"] is None and not event["unavailable"], event["unavailable"]
        p.sql(f"update t set big = {BIG} where id = 1")
        p.wait_events("t", 4)
        p.sql("update t set v = 'newer' where id = 1")
    same(p, "t", "id, v, big")
    p.sql("update t set id = 2, v = 'moved' where id = 1")
    same(p, "t", "id, v, big")
    keys = by_key(p, "t")
    assert keys[2][-1][0] == "c" and keys[2][-1][2]["big"] == big and keys[1][-1][0] == "d", keys[2]
    moved = [m for m in p.messages("t") if m.value() and p.registry.decode(m.value())["op"] == "c"][-1]
    assert (moved.headers() or []) == ([] if identity == "full" else [("freshet.reread", b"big")]), moved.headers()


TOASTED = "create table t (id int primary key, v text, big text); alter table t alter big set storage external"


@scenario(ONE + SINK, TOASTED, True)
def toast_unchanged_and_key_change(p):
    toast(p, "default")


@scenario(ONE + SINK, TOASTED, True)
def toast_unchanged_and_key_change_full(p):
    toast(p, "full")


@scenario(ONE, TOASTED)
def key_change_of_a_row_that_is_gone(p):
    """The value is in no log and no table any more: it is named as unavailable, and the row's later end follows."""
    p.sql(f"insert into t values (1, 'old', {BIG})")
    p.start()
    p.wait_events("t", 1)
    p.sql("begin; update t set id = 2, v = 'moved' where id = 1; delete from t where id = 2; commit")
    p.sql("insert into t values (3, 'after', null)")
    p.wait_events("t", 5)
    moved = [e for e in p.events("t") if e and e["op"] == "c" and e["after"]["id"] == 2]
    assert len(moved) == 1 and moved[0]["after"]["v"] == "moved", moved
    assert moved[0]["after"]["big"] is None and moved[0]["unavailable"] == ["big"], moved[0]
    keys = by_key(p, "t")
    assert [keys[k][-1][0] for k in (1, 2, 3)] == ["d", "d", "c"], keys


@scenario(ONE, "create table t (id int primary key, v text)")
def rows_larger_than_a_batch(p):
    """In the snapshot and in the log: rows of 3 MiB, where a batch has 1."""
    p.sql("insert into t select i, repeat('x', 3 << 20) from generate_series(1, 3) i")
    p.start()
    p.wait_events("t", 3)
    p.sql("insert into t select i, repeat('y', 3 << 20) from generate_series(4, 6) i")
    p.wait_events("t", 6)
    assert [len(e["after"]["v"]) for e in p.events("t")] == [3 << 20] * 6


@scenario(ONE + SINK, "create table t (id int primary key, a int, twice int generated always as (a * 2) stored)", True)
def generated_column(p):
    p.sql("insert into t (id, a) values (1, 10)")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t (id, a) values (2, 20); update t set a = 11 where id = 1")
    same(p, "t", "id, a")
    shapes = {tuple(sorted(e["after"])) for e in p.events("t") if e and e["after"]}
    assert len(shapes) == 1, f"the log and the snapshot have different columns: {shapes}"


@scenario(ONE + SINK, "create table t (id int primary key, region text, v text)", True,
          "create publication pub for table t where (region = 'eu')")
def row_filter(p):
    p.sql("alter table t replica identity full")
    p.sql("insert into t values (1, 'eu', 'a'), (2, 'us', 'b')")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t values (3, 'eu', 'c'), (4, 'us', 'd'); update t set region = 'us' where id = 1; update t set region = 'eu' where id = 2")
    holds(p, "select id from t order by id", [(2,), (3,)])
    assert 4 not in by_key(p, "t")


@scenario(ONE, "create table t (id int primary key, v text, secret text)", False, "create publication pub for table t (id, v)")
def column_list(p):
    p.sql("insert into t values (1, 'a', 'canary')")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t values (2, 'b', 'canary')")
    got = p.wait_events("t", 2)
    assert all(sorted(e["after"]) == ["id", "v"] for e in got), got
    assert not [m for m in p.messages("t") if b"canary" in (m.value() or b"")]


@scenario(ONE, "create table t (id int primary key, v text)")
def logical_messages(p):
    p.start()
    p.sql("insert into t values (1, 'x')")
    p.wait_events("t", 1)
    p.sql("select pg_logical_emit_message(false, 'p1', 'at once')")
    p.sql("begin; select pg_logical_emit_message(true, 'p2', 'rolled back'); rollback")
    p.sql("begin; insert into t values (2, 'y'); select pg_logical_emit_message(true, 'p3', 'with its transaction'); commit")
    p.wait_events("t", 2)
    assert p.stop() == 0
    p.start()
    p.sql("insert into t values (3, 'z')")
    p.wait_events("t", 3)
    topics = [t for t in harness.topics_of(p.bootstrap, p.id) if "message" in t]
    if topics:
        text = b" ".join(m.value() for m in harness.read_topics(p.bootstrap, topics))
        assert text.count(b"at once") == 1 and text.count(b"with its transaction") == 1 and b"rolled back" not in text, text


@scenario(SOURCE + "      public.t: {{append_only: true}}\n" + SINK.replace("write: {{", "write: {{mode: append, "), "create table t (id int, v text)", True)
def keyless_append_only(p):
    p.sql("insert into t select g % 10, 'same' from generate_series(1, 100) g")
    p.start()
    p.wait_events("t", 100)
    p.sql("insert into t select g % 10, 'same' from generate_series(1, 100) g")
    got = p.wait_events("t", 200)
    assert len(got) == 200 and all(m.key() is None for m in p.messages("t"))
    holds(p, "select count(*), count(distinct id) from t", [(200, 10)])


@scenario(ONE + SINK, "create table t (id int primary key, v text)", True)
def transactions(p):
    """COPY, savepoints that were rolled back, prepared transactions, and one that was rolled back."""
    p.start()
    p.sql("insert into t values (1, 'x')")
    p.wait_events("t", 1)
    c = harness.connect(p.source)
    q = c.cursor()
    q.copy_expert("copy t from stdin", io.StringIO("".join(f"{i}\tc{i}\\\\\n" for i in range(100, 300))))
    q.execute("begin; insert into t values (2, 'keep'); savepoint a; insert into t values (3, 'no'); savepoint b; update t set v = 'no' where id = 1; rollback to a; insert into t values (4, 'keep'); commit")
    q.execute("begin; insert into t values (5, 'no'); rollback")
    q.execute("begin; update t set id = id + 1000 where id between 100 and 299; delete from t where id = 1150; commit")
    if int(p.sql("show max_prepared_transactions")[0][0]) > 0:
        q.execute(f"begin; insert into t values (6, 'prepared'); prepare transaction '{p.id}'")
        q.execute("insert into t values (7, 'between')")
        q.execute(f"commit prepared '{p.id}'")
    c.close()
    same(p, "t")
    keys = by_key(p, "t")
    assert not {3, 5} & set(keys) and keys[1] == [keys[1][0]] and [o[0] for o in keys[1150]] == ["c", "d"], keys.get(1150)


@scenario(SOURCE + "      public.t: {{schema: {{compatibility: NONE, on_change: {{drop_column: evolve, rename_column: evolve}}}}}}\n" + SINK,
          "create table t (id int primary key, a text, b text default 'd')", True)
def ddl_inside_a_transaction(p):
    p.sql("insert into t values (1, 'a1', 'b1')")
    p.start()
    p.wait_events("t", 1)
    p.sql("""begin; insert into t values (2, 'a2', 'b2'); alter table t add c int; insert into t values (3, 'a3', 'b3', 3);
             alter table t drop column b; insert into t values (4, 'a4', 4); alter table t rename column c to d; insert into t values (5, 'a5', 5); commit""")
    got = {e["after"]["id"]: e["after"] for e in p.wait_events("t", 5)}
    assert got[2] == {"id": 2, "a": "a2", "b": "b2"} and got[3] == {"id": 3, "a": "a3", "b": "b3", "c": 3}, got
    assert got[4] == {"id": 4, "a": "a4", "c": 4} and got[5] == {"id": 5, "a": "a5", "d": 5}, got
    same(p, "t", "id, a")


@scenario(ONE + SINK, "create table t (id int primary key, v text)", True)
def split_transaction_killed_in_the_middle(p):
    p.write(ONE + SINK, harness.CONFIG.replace("kafka:\n", "kafka:\n  transaction: {{max_events: 5000}}\n"))
    p.sql("insert into t values (0, 'first')")
    p.start()
    p.wait_events("t", 1)
    assert p.stop() == 0
    p.sql("insert into t select g, 'v' || g from generate_series(1, 30000) g; delete from t where id % 1000 = 0")
    p.sql("insert into t values (50000, 'after')")
    p.start(failpoint="capture_after_commit:kill:3")
    assert p.wait_exit() == -signal.SIGKILL
    seen = len([m for m in p.messages("t") if m.value()])
    assert 1 < seen < 30031, f"{seen} messages after the kill: not in the middle"
    p.start()
    got = p.wait_events("t", 1 + 30000 + 31 + 1)
    created = [e["after"]["id"] for e in got if e["op"] == "c"]
    assert len(created) == len(set(created)) == 30001 and len(got) == 30033, (len(created), len(set(created)), len(got))
    ordinals = {}
    for m in p.messages("t"):
        if m.value():
            e = p.registry.decode(m.value())
            at = (e["source"]["lsn"], e["source"]["ordinal"])
            assert ordinals.get(m.partition(), (0, 0)) <= at, "out of order"
            ordinals[m.partition()] = at
    same(p, "t")


@scenario(SOURCE + "      public.t: {{envelope: state}}\n" + SINK, "create table t (id int primary key, v int)", True)
def state_envelope(p):
    p.sql("insert into t values (1, 10), (2, 20)")
    p.start()
    eventually("two", lambda: len(p.messages("t")) == 2)
    p.sql("update t set v = 11 where id = 1; delete from t where id = 2; insert into t values (3, 30)")
    eventually("five", lambda: len(p.messages("t")) == 5)
    state = {}
    for m in p.messages("t"):
        state[p.registry.decode(m.key())["id"]] = m.value() and p.registry.decode(m.value())
    assert state == {1: {"id": 1, "v": 11}, 2: None, 3: {"id": 3, "v": 30}}, state
    same(p, "t", "id, v")


@scenario(SOURCE.replace("prefix: {id}", "prefix: {id}\n    transaction_metadata: true") + "      public.t: {{}}\n      public.u: {{}}\n",
          "create table t (id int primary key); create table u (id int primary key)")
def transaction_metadata(p):
    p.start()
    p.sql("insert into t values (0)")
    p.wait_events("t", 1)
    p.sql("begin; insert into t values (1), (2); insert into u values (1); commit")
    blocks = [e["transaction"] for e in p.wait_events("t", 3)[-2:] + p.wait_events("u", 1)]
    assert sorted(b["total_order"] for b in blocks) == [1, 2, 3] and len({b["id"] for b in blocks}) == 1, blocks
    mine = blocks[0]["id"]
    topic = f"{p.id}.transaction"
    got = [p.registry.decode(m.value()) for m in harness.read_topics(p.bootstrap, [topic]) if m.value()]
    got = [g for g in got if g["id"] == mine]
    assert [g["status"] for g in got] == ["BEGIN", "END"] and got[1]["event_count"] == 3, got


@scenario(SOURCE + '      "public.B\u00fccher \u8868": {{topic: {id}.public.books, schema: {{name: {id}.Books}}}}\n' + SINK.replace("    create: run", "    into: books\n    create: run"),
          'create table "B\u00fccher \u8868" (id int primary key, "St\u00fcck ""zahl""" int, "\u5024" text, "1st" int, "a-b" int, a_b int)', True)
def names_of_many_bytes(p):
    p.sql('insert into "B\u00fccher \u8868" values (1, 2, \'drei\', 4, 5, 6)')
    code, out, _ = p.verb("plan")
    p.start()
    if code == 0:
        got = p.wait_events("books", 1)[0]["after"]
        assert sorted(map(str, got.values())) == ["1", "2", "4", "5", "6", "drei"] and len(got) == 6, got
        p.sql('insert into "B\u00fccher \u8868" values (2, 2, \'drei\', 4, 5, 6)')
        holds(p, "select count(*) from books", [(2,)])
    else:  # no Avro name can be made of it, and it says so before anything starts
        raise AssertionError(out[-600:])


SEVERAL = """
sources:
  one:
    type: postgres
    dsn: {source}
    prefix: {id}one
    log: {{publication: pub, slot: {slot}_1}}
    tables: {{public.t: {{}}}}
  two:
    type: postgres
    dsn: {source}
    prefix: {id}two
    log: {{publication: pub, slot: {slot}_2}}
    tables: {{"/^public[.][uv]$/": {{}}}}
sinks:
  a:
    type: postgres
    dsn: {target}
    from: ["{id}one.public.t"]
    create: run
    write: {{every: 50ms}}
  b:
    type: postgres
    dsn: {target}
    from: ["/{id}two[.].*/"]
    into: copy_of_${{table}}
    create: run
    write: {{every: 50ms}}
"""


@scenario(SEVERAL, "create table t (id int primary key, v text); create table u (id int primary key, v text); create table v (id int primary key, v text)", True)
def several_sources_and_sinks(p):
    p.sql("insert into t values (1, 't'); insert into u values (1, 'u'); insert into v values (1, 'v')")
    p.start()

    def rows():
        try:
            return [p.sql(f"select id, v from {t} order by 1", on=p.target) for t in ("t", "copy_of_u", "copy_of_v")]
        except errors.UndefinedTable:
            return None
    eventually("by snapshot", lambda: rows() == [[(1, "t")], [(1, "u")], [(1, "v")]])
    p.sql("insert into t values (2, 't'); insert into u values (2, 'u'); delete from v")
    eventually("by log", lambda: rows() == [[(1, "t"), (2, "t")], [(1, "u"), (2, "u")], []])
    assert p.sql("select to_regclass('u')", on=p.target) == [(None,)]


if __name__ == "__main__":
    together([c for c in cases if len(sys.argv) < 2 or c.name in sys.argv[1:]])
    finish()
