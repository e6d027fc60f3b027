#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""A sink whose topics are written by another file's source: plan and apply know them from Kafka and the registry,
show and make their tables, and say which are not there yet."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import Pipeline, case, eventually, finish  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{}}
      public.wide: {{}}
"""
SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: [FROM]
    create: apply
    on_change: {{add_column: evolve}}
    write: {{every: 50ms}}
"""


def sink(*names):
    return SINK.replace("FROM", ", ".join(f'"{n}"' for n in names))


def plan(code, severity=None, which=None):
    """Findings of `plan` as (code, message), of one severity."""
    got, out, err = p.verb("plan", "--json")
    assert got == code, (got, out[-1500:], err)
    found = [f for s in json.loads(out)["result"]["sections"] for f in s["findings"] if s["title"].startswith("SINK")]
    return [(f["code"], f["message"]) for f in found if severity in (None, f["severity"]) and which in (None, f["code"])]


def changes():
    code, out, err = p.verb("plan", "--json")
    assert code == 0, (code, out, err)
    return [(c["kind"], c["name"]) for c in json.loads(out)["result"]["plan"]["changes"]]


def columns(table):
    return dict(p.sql("select column_name, data_type from information_schema.columns where table_name = %s", table, on=p.target))


p = Pipeline(SOURCE)
p.sql("create table t (id int primary key, v text); create table wide (a int, b text, c numeric(10, 2), primary key (b, a))")
p.sql("insert into t values (1, 'x'); insert into wide values (1, 'k', 2.5); create publication pub for table t, wide")
literal, pattern = "{id}.public.t", "/^{id}[.]public[.]wide$/"

with case("foreign_topics.not_there_yet"):
    p.write(sink(literal, pattern))
    said = plan(0, "warning", "sink.topic.missing")
    assert len(said) == 2 and f"topic {p.id}.public.t does not exist yet" in said[0][1], said
    assert "no topic matches /^" in said[1][1], said
    assert [c for c in changes() if c[1] != f"freshet.{p.id}.control"] == [], "something would be made of nothing"
with case("foreign_topics.of_this_file_are_not_missing", p):
    p.write(SOURCE + sink(literal, pattern))
    assert plan(0, "warning", "sink.topic.missing") == []
    assert ("sink.topics", "2 topics of this file, 0 of others") in plan(0, "fine")
    p.write(SOURCE)
    p.start()
    p.wait_events("t", 1)
    p.wait_events("wide", 1)
    assert p.stop() == 0
with case("foreign_topics.shown_and_made", p):
    p.write(sink(literal, pattern))
    assert ("sink.topics", "0 topics of this file, 2 of others") in plan(0, "fine")
    assert sorted(changes()) == [("table", "dst t"), ("table", "dst wide")], changes()
    assert columns("t") == {}, "plan made a table"
    code, out, err = p.verb("apply", "-y")
    assert code == 0 and "2 created" in out + err, (code, out, err)
    assert columns("t") == {"id": "integer", "v": "text", "_freshet_position": "bytea"}, columns("t")
    assert columns("wide")["c"] == "numeric" and columns("wide")["a"] == "integer", columns("wide")
    key = p.sql("select a.attname from pg_index i, pg_attribute a where i.indrelid = 'wide'::regclass and i.indisprimary "
                "and a.attrelid = i.indrelid and a.attnum = any(i.indkey) order by 1", on=p.target)
    assert key == [("a",), ("b",)], key
    assert changes() == [], "apply left something"
with case("foreign_topics.run_fills_them", p):
    p.start()
    for table in ("t", "wide"):
        eventually(f"the row of {table}", lambda t=table: p.sql(f"select count(*) from {t}", on=p.target) == [(1,)])
    assert p.stop() == 0
with case("foreign_topics.newest_schema", p):
    p.write(SOURCE)
    p.sql("alter table t add more int; insert into t values (2, 'y', 3)")
    p.start()
    p.wait_events("t", 2)
    assert p.stop() == 0
    p.write(sink(literal, pattern))
    assert changes() == [("table", "dst t")], changes()
    assert p.verb("apply", "-y")[0] == 0
    assert columns("t")["more"] == "integer" and changes() == []
with case("foreign_topics.table_that_does_not_fit"):
    p.sql("drop table wide; create table wide (a int, b text, c date, primary key (b, a))", on=p.target)
    found = plan(4, "blocker")
    assert len(found) == 1 and "wide" in found[0][1], found
    assert p.verb("apply", "-y")[0] == 4
    p.sql("drop table wide", on=p.target)
with case("foreign_topics.no_schema"):
    admin = AdminClient({"bootstrap.servers": p.bootstrap})
    admin.create_topics([NewTopic(f"{p.id}.public.u", 1, 1)])[f"{p.id}.public.u"].result()
    p.write(sink(literal, "/^{id}[.]public[.]/"))
    said = eventually("the new topic", lambda: plan(0, "warning", "sink.topic.schema"))
    assert len(said) == 1 and f"topic {p.id}.public.u: the registry has no subject {p.id}.public.u-value" in said[0][1], said
    assert changes() == [("table", "dst wide")], changes()
with case("foreign_topics.other_subjects"):
    with open(p.config) as f:
        text = f.read()
    with open(p.config, "w") as f:
        f.write(text.replace("register: run}", "register: run, subject: record}"))
    said = plan(0, "warning", "sink.topic.schema")
    assert len(said) == 1 and "3 topics of other files: registry.subject is not topic" in said[0][1], said
with case("foreign_topics.registry_unreachable"):
    with open(p.config, "w") as f:
        f.write(text.replace(os.environ["REGISTRY_URL"], "http://127.0.0.1:1"))
    code, out, _ = p.verb("plan")
    assert code == 3 and "Not everything could be looked at" in out, (code, out)
    assert p.verb("apply", "-y")[0] == 3 and columns("wide") == {}
p.close()
finish()
