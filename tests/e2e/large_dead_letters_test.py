#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""A sink's dead letters above what their topic takes: cut down to where the message is, said in a header; those that fit
are whole, also when they came in a batch with one that does not."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # noqa: E402
from harness import Pipeline, case, eventually, finish, read_topics  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.u: {{}}}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.u"]
    create: run
    errors: {{mode: dlq}}
    write: {{every: 50ms}}
"""
SMALL, LARGE, LIMIT = 2000, 300_000, 20_000
p = Pipeline(CONFIG)
DLQ = f"freshet.{p.id}.dlq"
admin = AdminClient({"bootstrap.servers": p.bootstrap})
admin.create_topics([NewTopic(DLQ, 1, 1, config={"max.message.bytes": str(LIMIT)})])[DLQ].result()


def text(size):
    """Random, so that no compression makes it fit."""
    return f"(select string_agg(md5(random()::text), '') from generate_series(1, {size // 32}))"


def letters():
    return read_topics(p.bootstrap, [DLQ])


def headers(m):
    return {k: (v or b"").decode() for k, v in m.headers() or []}


def target():
    return [i for i, in p.sql("select id from u order by id", on=p.target)]


p.sql("create table u (id text primary key, amount int, note text); create publication pub for table u")
p.sql("create table u (id text primary key, amount int check (amount < 100), note text)", on=p.target)
with case("large_dead_letters.cut", p):
    rows = "; ".join(f"insert into u values ('small{i}', 500, {text(SMALL)})" for i in range(40))  # four batches' worth
    p.sql(f"insert into u values ('a', 1, null), ('large1', 500, {text(LARGE)}); {rows};"
          f"insert into u values ('large2', 500, {text(LARGE)}), ('z', 1, {text(LARGE)})")
    p.start()
    eventually("the good rows", lambda: target() == ["a", "z"], 90)
    got = letters()
    assert len(got) == 42, len(got)
    cut = [m for m in got if "freshet.cut" in headers(m)]
    assert len(cut) == 2, [headers(m) for m in cut]
    messages = {(m.partition(), m.offset()): m for m in p.messages("u")}
    for m in cut:
        h, place = headers(m), json.loads(m.value())
        whole = messages[place["partition"], place["offset"]]
        assert place == {"topic": f"{p.id}.public.u", "partition": whole.partition(), "offset": whole.offset(),
                         "bytes": len(whole.value())}, place
        assert m.key() == whole.key() and h["freshet.cut"] == str(len(whole.value())), h
        assert "check" in h["freshet.reason"].lower() and h["freshet.sink"] == "dst" and h["freshet.parked"] == "false", h
        assert (h["freshet.topic"], h["freshet.offset"]) == (place["topic"], str(place["offset"])), h
    for m in got:
        h = headers(m)
        if "freshet.cut" not in h:
            assert m.value() == messages[int(h["freshet.partition"]), int(h["freshet.offset"])].value(), "not whole"
    assert "kafka.dlq.cut" in p.log() and p.log().count("kafka.dlq.cut") == 2, p.log()[-900:]
with case("large_dead_letters.later_rows_of_the_key_follow", p):
    p.sql(f"update u set amount = 5, note = {text(LARGE)} where id = 'large1'; insert into u values ('b', 2, null)")
    eventually("the next good row", lambda: target() == ["a", "b", "z"])
    last = [m for m in letters() if headers(m)["freshet.parked"] == "true"]
    assert len(last) == 1 and headers(last[0])["freshet.cut"], [headers(m) for m in last]
    assert p.stop() == 0
with case("large_dead_letters.key_too_large", p):
    count = len(letters())
    p.sql("insert into u select string_agg(md5(random()::text), ''), 500 from generate_series(1, 60)")  # 1920 bytes: a key that fits
    p.start()
    eventually("its letter", lambda: len(letters()) == count + 1)
    assert p.stop() == 0
    admin.delete_topics([DLQ])[DLQ].result()

    def made():
        try:
            admin.create_topics([NewTopic(DLQ, 1, 1, config={"max.message.bytes": "1000"})])[DLQ].result()
            return True
        except Exception:  # the old one is not gone yet
            return False
    eventually("a topic for short letters only", made)
    p.sql("insert into u select string_agg(md5(random()::text), ''), 500 from generate_series(1, 60)")
    p.start()
    p.says("(CONFIG) -> A dead letter's key and headers alone are too large: raise max.message.bytes of " + DLQ)
    assert p.stop() == 2
    resource = ConfigResource(ConfigResource.Type.TOPIC, DLQ, set_config={"max.message.bytes": str(LIMIT)})
    admin.alter_configs([resource])[resource].result()
    p.start()
    eventually("the letter, after what was said was done", lambda: len(letters()) == 1)
    assert "freshet.cut" not in headers(letters()[0])
    assert p.stop() == 0
p.close()
finish()
