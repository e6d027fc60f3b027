#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""What a sink reads changes between two runs of it: every partition has a reader soon after. A member of
a group that comes back under its old name within the session's time gets its old partitions from the
broker, and no more."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from confluent_kafka import Consumer, Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, NewPartitions  # noqa: E402
from harness import Pipeline, case, eventually, finish  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.a: {{}}
      public.b: {{}}
"""
SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: [TOPICS]
    create: run
    write: {{every: 50ms}}
"""


def sink(*topics):
    return SINK.replace("TOPICS", ", ".join(f'"{{id}}.public.{t}"' for t in topics))


def rows(table):
    try:
        return p.sql(f"select count(*) from {table}", on=p.target)[0][0]
    except Exception:  # not there yet
        return 0


def read_partitions(topic):
    return p.sql("select count(*) from _freshet_offsets where topic = %s and partition >= 3 and next_offset > 0",
                 topic, on=p.target)[0][0]


p = Pipeline(SOURCE)
p.sql("create table a (id int primary key); create table b (id int primary key)")
p.sql("insert into a values (1); insert into b values (1); create publication pub for table a, b")
p.start()
p.wait_events("a", 1)
p.wait_events("b", 1)
with case("sink_topics.first", p):
    assert p.stop() == 0
    p.write(sink("a"))
    p.start()
    eventually("the row of a", lambda: rows("a") == 1)
with case("sink_topics.one_more_after_a_restart", p):
    assert p.stop() == 0
    p.write(sink("a", "b"))
    p.start()
    eventually("the row of b", lambda: rows("b") == 1, 40)
with case("sink_topics.more_partitions_after_a_kill", p):
    p.kill()
    topic = f"{p.id}.public.b"
    admin = AdminClient({"bootstrap.servers": p.bootstrap})
    admin.create_partitions([NewPartitions(topic, 12)])[topic].result()
    c = Producer({"bootstrap.servers": p.bootstrap})
    first = next(m for m in p.messages("b") if m.value() is not None)
    for n in range(3, 12):  # the same row again: what counts is that it is read
        c.produce(topic, first.value(), first.key(), partition=n)
    c.flush()
    p.start()
    eventually("all partitions of b to be read", lambda: read_partitions(topic) == 9, 40)


def member_name():
    """The name our member goes by, once it is in its group."""
    found = admin.describe_consumer_groups([group])[group].result()
    names = [m.group_instance_id for m in found.members if m.group_instance_id]
    return names[0] if names else None


def join_as(name):
    """Another process of this name, as long as it takes to be let in."""
    other = Consumer({"bootstrap.servers": p.bootstrap, "group.id": group, "group.instance.id": name,
                      "partition.assignment.strategy": "cooperative-sticky", "enable.auto.commit": False})
    other.subscribe([topic])
    eventually("the other to be let in", lambda: other.poll(0.2) or other.assignment(), 60)
    other.close()


def fenced(times):
    return p.log(True).count("kafka.member_fenced") >= times


group = f"freshet.{p.id}.dst"
with case("sink_topics.fenced_once_it_joins_again", p):
    name = eventually("our member", member_name, 40)
    join_as(name)
    eventually("that we were replaced, by its right name", lambda: fenced(1), 40)
    assert "same http.listen" in p.log(True)
    eventually("our member again", lambda: member_name() == name and "partitions assigned" in
               p.log(True)[p.log(True).index("kafka.member_fenced"):], 60)
with case("sink_topics.fenced_again_it_goes", p):
    join_as(name)
    assert p.wait_exit(60) == 8, p.log(True)[-600:]
p.close()
finish()
