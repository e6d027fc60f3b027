#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""errors.mode dlq, on both sides: a row that cannot be handled goes to the dead letters with its
reason, later ones of its key follow it, all others go on."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
from harness import Pipeline, case, eventually, finish, read_topics  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{errors: {{mode: dlq}}}}
      public.u: {{}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.u"]
    create: run
    errors: {{mode: dlq}}
    write: {{every: 50ms}}
"""
SMALL = harness.CONFIG.replace("partitions: 3", "partitions: 3, config: {{max.message.bytes: \"60000\"}}")
p = Pipeline(CONFIG)
p.write(CONFIG, SMALL)
DLQ = f"freshet.{p.id}.dlq"


def letters():
    return read_topics(p.bootstrap, [DLQ])


def headers(m):
    return {k: (v or b"").decode() for k, v in m.headers() or []}


p.sql("create table t (id int primary key, amount numeric(10,2), note text);"
      "create table u (id int primary key, amount int);"
      "create publication pub for table t, u")
p.sql("create table u (id int primary key, amount int check (amount < 100))", on=p.target)
with case("dead_letters.good_rows_flow", p):
    p.sql("insert into t values (1, 1.5, 'fine'); insert into u values (1, 1)")
    p.start()
    p.wait_events("t", 1)
    eventually("first row in the target", lambda: p.sql("select id from u", on=p.target) == [(1,)])
with case("dead_letters.source", p):
    p.sql("insert into t values (2, 'NaN', 'canary-row-value'); update t set amount = 5 where id = 2;"
          "insert into t values (3, 3, null); delete from t where id = 2; insert into t values (2, 7, 'again')")
    events = [e for e in p.wait_events("t", 2) if e]
    eventually("four dead letters", lambda: len(letters()) == 4)
    assert sorted(e["after"]["id"] for e in events) == [1, 3], events
    got = [(headers(m), json.loads(m.value())) for m in sorted(letters(), key=lambda m: m.offset())]
    assert [g[1]["op"] for g in got] == ["c", "u", "d", "c"], got
    assert "amount" in got[0][0]["freshet.reason"] and got[0][0]["freshet.parked"] == "false", got[0]
    assert all(g[0]["freshet.parked"] == "true" for g in got[1:]), got
    assert len({m.key() for m in letters()}) == 1, "one key, one dead-letter key"
with case("dead_letters.source_parks_over_a_restart", p):
    assert p.stop() == 0
    p.sql("update t set amount = 8 where id = 2; insert into t values (4, 4, null)")
    p.start()
    p.wait_events("t", 3)
    eventually("a fifth dead letter", lambda: len(letters()) == 5)
with case("dead_letters.sink", p):
    def mine():
        return [m for m in letters() if headers(m).get("freshet.topic") == f"{p.id}.public.u"]

    p.sql("insert into u values (2, 500); insert into u values (3, 3)")
    eventually("the good row in the target", lambda: p.sql("select id from u order by id", on=p.target) == [(1,), (3,)])
    eventually("its dead letter", lambda: len(mine()) == 1)
    assert "check" in headers(mine()[0])["freshet.reason"].lower(), headers(mine()[0])
    p.sql("update u set amount = 5 where id = 2; insert into u values (4, 4)")
    eventually("a parked key's next row beside it", lambda: len(mine()) == 2)
    eventually("the others go on", lambda: p.sql("select id from u order by id", on=p.target) == [(1,), (3,), (4,)])
with case("dead_letters.too_large_for_kafka", p):
    before = len(letters())
    # random, so that no compression makes it fit
    huge = "(select string_agg(md5(random()::text), '') from generate_series(1, 4000))"
    p.sql(f"insert into t values (10, 1, 'fine'); insert into t values (11, 1, {huge});"
          f"insert into t values (12, 1, 'fine'); update t set note = {huge} where id = 10;"
          "insert into t values (13, 1, 'fine')")
    p.sql("insert into t select i, 1, md5(random()::text) from generate_series(100, 2100) i")  # batches fit as well
    eventually("two dead letters more", lambda: len(letters()) == before + 2, 90)
    got = {e["after"]["id"] for e in p.wait_events("t", 2007) if e and e["after"]}
    assert got == {1, 3, 4, 10, 12, 13} | set(range(100, 2101)), got
    for m in sorted(letters(), key=lambda m: m.timestamp()[1])[-2:]:
        why, row = headers(m)["freshet.reason"], json.loads(m.value())
        assert "public.t" in why and "max.message.bytes" in why and headers(m)["freshet.parked"] == "false", why
        assert row["only_key"] is True and list(row["after"]) == ["id"] and row["after"]["id"] in (10, 11), str(row)[:300]
with case("dead_letters.too_large_without_dlq", p):
    p.sql(f"insert into u values (20, 1); alter table u add column note text; insert into u values (21, 1, {huge})")
    p.says("kafka.message.too_large: table public.u", "max.message.bytes: 60000", "kafka-configs.sh", "errors.mode",
           seconds=60)
with case("dead_letters.no_row_values_in_the_log", p):
    assert "canary-row-value" not in p.log()
p.close()
finish()
