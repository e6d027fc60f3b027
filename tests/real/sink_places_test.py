#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Where a sink goes on at its next start: behind what retention took of a topic that it had read to its end, at
the end where `start: latest` began, and at a tombstone whose delete is gone."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: E402
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
      public.a: {{}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.a"]
    create: run
    write: {{every: 50ms}}
"""
LATE = """
  late:
    type: postgres
    dsn: {target}
    from: ["{id}.public.a"]
    into: "late_${{table}}"
    start: latest
    create: run
    write: {{every: 50ms}}
"""


def rows(table):
    try:
        return [r[0] for r in p.sql(f"select id from {table} order by id", on=p.target)]
    except Exception:  # not there yet
        return []


def places(sink):
    return dict(p.sql("select partition, next_offset from _freshet_offsets where sink = %s", sink, on=p.target))


def marks():
    """Of each partition, what Kafka begins and ends with."""
    c = Consumer({"bootstrap.servers": p.bootstrap, "group.id": "unused"})
    count = len(c.list_topics(topic).topics[topic].partitions)
    got = {n: c.get_watermark_offsets(TopicPartition(topic, n)) for n in range(count)}
    c.close()
    return got


def ends():
    return {n: high for n, (low, high) in marks().items()}


def put(key, value, partition):
    c = Producer({"bootstrap.servers": p.bootstrap})
    c.produce(topic, value, key, partition=partition)
    assert c.flush(20) == 0


p = Pipeline(SOURCE)
topic = f"{p.id}.public.a"
admin = AdminClient({"bootstrap.servers": p.bootstrap})
p.sql("create table a (id int primary key); insert into a values (1), (2); create publication pub for table a")
p.start()
eventually("the rows", lambda: rows("a") == [1, 2])
with case("sink_places.what_retention_took_was_read", p):
    eventually("the ends to be known in the target", lambda: places("dst") == ends(), 20)
    assert p.stop() == 0
    last = ends()
    for f in admin.delete_records([TopicPartition(topic, n, high) for n, high in last.items()]).values():
        f.result(20)
    assert all(low == high for low, high in marks().values()), marks()
    p.start()
    p.sql("insert into a values (3)")
    eventually("the row behind it", lambda: rows("a") == [1, 2, 3], 40)
with case("sink_places.a_tombstone_is_the_first_message", p):
    known = {m.key() for m in p.messages("a")}
    p.sql("insert into a values (4)")
    eventually("the row", lambda: 4 in rows("a"), 40)
    four = next(m for m in p.messages("a") if m.key() not in known)
    assert p.stop() == 0
    put(four.key(), None, four.partition())
    p.start()
    eventually("the row to be gone, and no other", lambda: 4 not in rows("a") and rows("a")[:2] == [1, 2], 40)
with case("sink_places.latest_is_once", p):
    assert p.stop() == 0
    p.write(SOURCE + LATE)
    p.start()
    eventually("its places", lambda: len(places("late")) == len(ends()), 40)
    eventually("its sink", lambda: "sink late" in p.log(True) and "partitions assigned" in p.log(True).split("sink late")[-1], 40)
    assert p.stop() == 0
    assert rows("late_a") == []
    put(four.key(), four.value(), four.partition())
    p.start()
    eventually("the row that came meanwhile", lambda: rows("late_a") == [4], 40)

SINK = """
sinks:
  again:
    type: postgres
    dsn: {target}
    from: ["{id}.public.a"]
    into: "again_${{table}}"
    create: run
    write: {{every: 50ms}}
"""


def made_anew(messages, copies):
    """The topic under its name, with these messages some times over: none of the old places is out of range."""
    admin.delete_topics([topic])[topic].result(30)

    def made():  # the broker takes a while to let go of the name
        try:
            admin.create_topics([NewTopic(topic, len(last), 1)])[topic].result(30)
            return True
        except Exception:
            return False
    eventually("the topic under its old name", made, 60, 0.5)
    c = Producer({"bootstrap.servers": p.bootstrap})
    for m in messages * copies:
        for n in last:
            c.produce(topic, m.value(), m.key(), partition=n)
    assert c.flush(20) == 0


with case("sink_places.a_topic_made_anew_while_it_was_down", p):
    assert p.stop() == 0
    p.write(SINK)
    p.start()
    eventually("all of it", lambda: places("again") == ends(), 40)
    assert rows("again_a"), "nothing came"
    assert p.stop() == 0
    before = [m for m in p.messages("a") if m.value()]
    want = sorted({p.registry.decode(m.value())["after"]["id"] for m in before})
    made_anew(before, 50)
    p.sql("delete from again_a", on=p.target)
    assert all(high >= places("again")[n] for n, high in ends().items()), "out of range all the same"
    p.start()
    p.says("kafka.topic.recreated", topic, "(POSITION)", f"freshet position reset again/{topic}")
    assert p.stop() == 5
    assert rows("again_a") == [], "it went on in a topic that it does not know"
    code, out, err = p.verb("position", "reset", f"again/{topic}", "--dry-run")
    assert code == 0 and "Dry run" in out and f"{len(last)} partitions" in out, (code, out, err)
    code, out, err = p.verb("position", "reset", f"again/{topic}", "--yes")
    assert code == 0 and "goes on at 0" in out, (code, out, err)
    p.start()
    eventually("its places", lambda: places("again") == ends(), 40)
    assert rows("again_a") == want, rows("again_a")
with case("sink_places.a_topic_made_anew_while_it_runs", p):
    made_anew(before, 150)
    p.says("kafka.topic.recreated", topic, "(POSITION)", f"freshet position reset again/{topic}")
    assert p.stop() == 5
with case("sink_places.the_same_topic_elsewhere", p):
    was = places("again")
    code, out, err = p.verb("position", "set", "again", "--to", "here", "--yes")
    assert code == 0 and places("again") == was, (code, out, err, was)
    p.sql("delete from again_a", on=p.target)
    p.start()
    for m in before:
        put(m.key(), m.value(), m.partition())
    eventually("the rest of it", lambda: places("again") == ends() and rows("again_a") == want, 40)
with case("sink_places.set_while_it_runs", p):
    p.sql("delete from again_a", on=p.target)
    code, out, err = p.verb("position", "set", "again", "--to", "1970-01-01T00:00:00Z", "--yes")
    assert code == 0 and "freshet restart again" in out, (code, out, err)
    code, out, err = p.verb("restart", "again", "-y")
    assert code == 0, (code, out, err)
    eventually("all rows once more", lambda: places("again") == ends() and rows("again_a") == want, 60)
    code, out, err = p.verb("position", "set", "again", "--to", "yesterday", "--yes")
    assert code == 2 and "cli.bad_value" in err, (code, out, err)
    code, out, err = p.verb("position", "set", "again")
    assert code == 2 and "--to beginning|end|here|TIME" in err, (code, out, err)
    code, out, err = p.verb("position", "show", "again")
    assert code == 2 and "_freshet_offsets" in err, (code, out, err)
    code, out, err = p.verb("position", "reset", "again/nosuch", "--yes")
    assert code == 2 and "cli.no_table" in err, (code, out, err)
    assert p.stop() == 0
p.close()
finish()
