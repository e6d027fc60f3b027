#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""The way through: a row from table to topic to table, by snapshot and by log, over a stop, a
SIGKILL and a changed table."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish  # noqa: E402

p = Pipeline("""
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.orders: {{}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.orders"]
    create: run
    on_change: {{add_column: evolve}}
    write: {{every: 50ms}}
""")


def target(columns="id, status, total, note"):
    try:
        return p.sql(f"select {columns} from orders order by id", on=p.target)
    except Exception:
        return None


def same(columns="id, status, total, note"):
    want = p.sql(f"select {columns} from orders order by id")
    eventually("target equals source", lambda: target(columns) == want)


p.sql("create table orders (id int primary key, status text not null, total numeric(10,2), note text)")
p.sql("insert into orders values (1, 'open', 12.30, null), (2, 'paid', -0.05, 'na\u00efve \u8868 \U0001f30a')")
p.sql("create publication pub for table orders")
with case("flow.snapshot", p):
    p.start()
    got = {e["after"]["id"]: e for e in p.wait_events("orders", 2)}
    assert [got[i]["op"] for i in (1, 2)] == ["r", "r"], got
    assert str(got[1]["after"]["total"]) == "12.30" and got[2]["after"]["note"] == "na\u00efve \u8868 \U0001f30a", got
    same()
with case("flow.insert_update_delete", p):
    p.sql("insert into orders values (3, 'new', 1, ''); update orders set status = 'paid' where id = 1; delete from orders where id = 2")
    events = p.wait_events("orders", 5)
    assert sorted(e["op"] for e in events) == ["c", "d", "r", "r", "u"], events
    same()
    tombstones = [m for m in p.messages("orders") if m.value() is None]
    assert len(tombstones) == 1, tombstones
with case("flow.key_change", p):
    p.sql("update orders set id = 30 where id = 3")
    p.wait_events("orders", 7)
    same()
with case("flow.stop_and_go_on", p):
    assert p.stop() == 0
    p.sql("insert into orders select g, 's' || g, g, null from generate_series(100, 199) g")
    p.start()
    same()
    ids = [e["after"]["id"] for e in p.events("orders") if e and e["op"] == "c"]
    assert len(ids) == len(set(ids)), "an insert was published twice"
with case("flow.sigkill", p):
    p.kill()
    p.sql("update orders set total = total + 1")
    p.start()
    same()
with case("flow.added_column", p):
    p.sql("alter table orders add column extra bigint; update orders set extra = id * 1000000000::bigint where id < 110")
    same("id, status, total, note, extra")
with case("flow.sigterm_ends_in_time", p):
    assert p.stop(12) == 0
p.close()
finish()
