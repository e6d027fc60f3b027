#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""What a sink rests on: where it goes on when Kafka has forgotten its group or lost messages, deletes without
tombstones, tombstones without deletes, NULL beside a default; and the slot, which waits for the snapshot."""
import os
import sys
import time

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from psycopg2 import errors

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish, together  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{TABLE}}}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: run
    write: {{every: 50ms, mode: MODE}}
"""
cases = []


def scenario(table="", mode="upsert", ddl="create table t (id int primary key, v text)"):
    def wrap(f):
        def run():
            p = Pipeline(CONFIG.replace("TABLE", table).replace("MODE", mode))
            with case("sinks." + f.__name__, p):
                p.sql(ddl + "; create publication pub for table t")
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def target(p, sql):
    try:
        return p.sql(sql, on=p.target)
    except errors.UndefinedTable:
        return None


def holds(p, rows, columns="id, v"):
    def probe():
        assert p.daemon.poll() is None, p.daemon.returncode
        return target(p, f"select {columns} from t order by id") == rows
    eventually(f"{rows} in the target", probe)


@scenario(table="tombstones: false")
def delete_without_tombstone(p):
    """I12: the delete event does it."""
    p.sql("insert into t values (1, 'a'), (2, 'b')")
    p.start()
    holds(p, [(1, "a"), (2, "b")])
    p.sql("delete from t where id = 1; update t set id = 3 where id = 2")
    holds(p, [(3, "b")])
    assert all(m.value() is not None for m in p.messages("t")), "there is a tombstone"
    assert p.stop() == 0


@scenario()
def tombstone_without_delete(p):
    """I12: compaction may leave nothing else of a delete."""
    p.sql("insert into t values (1, 'a'), (2, 'b')")
    p.start()
    holds(p, [(1, "a"), (2, "b")])
    m = next(m for m in p.messages("t") if p.registry.decode(m.value())["after"]["id"] == 1)
    producer = Producer({"bootstrap.servers": p.bootstrap})
    producer.produce(m.topic(), partition=m.partition(), key=m.key(), value=None)
    assert producer.flush(20) == 0
    holds(p, [(2, "b")])
    assert p.stop() == 0


@scenario(mode="append")
def group_forgotten(p):
    """I13: the offsets are the target's. Each row is there once, since append would show it twice."""
    p.sql("insert into t select g, 'x' from generate_series(1, 50) g")
    p.start()
    eventually("50 rows", lambda: target(p, "select count(*) from t") == [(50,)])
    assert p.stop() == 0
    p.sql("insert into t select g, 'x' from generate_series(51, 60) g")
    admin = AdminClient({"bootstrap.servers": p.bootstrap})

    def deleted():  # a static member is only gone once its session has ended
        try:
            admin.delete_consumer_groups([f"freshet.{p.id}.dst"])[f"freshet.{p.id}.dst"].result(20)
            return True
        except Exception:
            return False
    eventually("the group is deleted", deleted, 60, 0.5)
    p.start()
    eventually("all rows", lambda: target(p, "select count(distinct id) from t") == [(60,)])
    assert target(p, "select count(*) from t") == [(60,)]
    assert p.stop() == 0


@scenario()
def messages_lost_before_they_were_read(p):
    """I13: what the sink has not read yet is deleted from the topic: it stops and names the place."""
    p.sql("insert into t select g, 'x' from generate_series(1, 50) g")
    p.start()
    eventually("50 rows", lambda: target(p, "select count(*) from t") == [(50,)])
    assert p.stop() == 0
    without = CONFIG.replace("TABLE", "").replace("MODE", "upsert").split("sinks:")[0]
    p.write(without)
    p.sql("insert into t select g, 'x' from generate_series(51, 100) g")
    p.start()
    p.wait_events("t", 100)
    assert p.stop() == 0
    admin = AdminClient({"bootstrap.servers": p.bootstrap})
    last = {}
    for m in p.messages("t"):
        last[m.partition()] = m.offset()
    for f in admin.delete_records([TopicPartition(f"{p.id}.public.t", n, at) for n, at in last.items()]).values():
        f.result(20)
    p.write(CONFIG.replace("TABLE", "").replace("MODE", "upsert"))
    p.start()
    p.says("kafka.offset_out_of_range", f"{p.id}.public.t", "(POSITION)", "->")
    assert target(p, "select count(*) from t") == [(50,)], "it went on behind a hole"
    assert p.stop() == 5


@scenario(ddl="create table t (id int primary key, v text default 'from the source', n int default 7)")
def null_beside_a_default(p):
    """E18: also where the target has a default of its own."""
    p.sql("create table t (id int primary key, v text default 'from the target', n int default 8)", on=p.target)
    p.sql("insert into t values (1, null, null)")
    p.start()
    holds(p, [(1, None, None)], "id, v, n")
    p.sql("insert into t values (2, null, null), (3, 'x', 1); insert into t (id) values (4); update t set v = null, n = null where id = 3")
    holds(p, [(1, None, None), (2, None, None), (3, None, None), (4, "from the source", 7)], "id, v, n")
    got = {e["after"]["id"]: e["after"] for e in p.events("t") if e["after"]}
    assert got[2] == {"id": 2, "v": None, "n": None} and got[4]["v"] == "from the source", got
    assert p.stop() == 0


@scenario(table="snapshot: {{chunk: 100, parallel: 1}}")
def slot_waits_for_the_snapshot(p):
    """F05: while rows of the snapshot are not committed the slot stays, over a kill too; no change is lost."""
    p.sql("insert into t select g, 'before' from generate_series(1, 2000) g")
    slow = "capture_mid_chunk:sleep=200:*"

    def confirmed():
        rows = p.sql("select confirmed_flush_lsn from pg_replication_slots where slot_name = %s", p.slot)
        return rows and rows[0][0]
    p.start(failpoint=slow)
    first = eventually("a slot", confirmed)
    p.wait_events("t", 200)
    p.sql("update t set v = 'while it was read' where id % 100 = 0; insert into t values (5000, 'new'); delete from t where id = 1999")
    seen = 0
    while seen < 1000:
        assert confirmed() == first, f"the slot went from {first} to {confirmed()} after {seen} rows of the snapshot"
        seen = len(p.events("t"))
        time.sleep(0.2)
    p.kill()
    assert confirmed() == first
    p.start()
    want = p.sql("select id, v from t order by id")
    holds(p, want)
    eventually("then it moves", lambda: confirmed() != first)
    assert p.stop() == 0


if __name__ == "__main__":
    together([c for c in cases if len(sys.argv) < 2 or c.name in sys.argv[1:]])
    finish()
