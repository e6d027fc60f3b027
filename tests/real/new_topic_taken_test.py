#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""schema.on_change: new_topic, where the next topic's subjects are there from another life of the table: its first row is not taken there
either. The topic that was left is closed all the same, once, with its notice, whatever becomes of the row. A next topic that has somebody else's
messages holds the table. And what verbs say of the topics that a table has left, or would have."""
import json
import os
import sys
import urllib.request

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import case, eventually, finish, metrics, together  # noqa: E402
from new_topic_test import check_closed, config, control_closed, equal_at_last, last_rows, messages, notices, pipeline, topic  # noqa: E402
from schema_changes_test import TABLE, held  # noqa: E402

OTHER_KEY = json.dumps({"type": "record", "name": "other", "fields": [{"name": "x", "type": "string"}]})


def ask(path, document=None):
    body = document and json.dumps(document).encode()
    r = urllib.request.Request(os.environ["REGISTRY_URL"] + path, data=body, headers={"Content-Type": "application/vnd.schemaregistry.v1+json"})
    with urllib.request.urlopen(r, timeout=20) as answer:
        return json.load(answer)


def text(more, sinks=""):
    return config("postgres", ["retype", "plain"]).replace("public.retype: {{owner", f"public.retype: {{{{{more}owner") + sinks


def begin(more="", sinks=""):
    p = pipeline("postgres", ["retype", "plain"], target=bool(sinks))
    p.write(text(more, sinks))
    for t in ("retype", "plain"):
        p.sql(TABLE.format(t=t, c="int"))
        p.sql(f"alter table {t} add n numeric(4,2)" if sinks else "select 1")
        p.sql(f"insert into {t} (id, v, c) values (1, 1, 1), (2, 2, 2), (3, 3, 3)")
    p.start()
    p.says("stream from")
    p.wait_events("retype", 3)
    return p


def alter(p):
    p.sql("alter table retype alter c type text")
    p.sql("insert into retype (id, v, c) values (4, 4, 'x')")


def check(p, generation):
    by = check_closed(p, "retype", generation)
    assert len([n for n in notices(p) if n["topic"] == topic(p, "retype", generation)]) == 1, notices(p)
    return by


def another_value():
    """The next subject has a shape from which this is such a change, too: that topic is closed as well, and the table goes on behind it."""
    p = begin()
    with case("new_topic.taken_value", p):
        old = ask(f"/subjects/{topic(p, 'retype')}-value/versions/latest")["schema"]
        ask(f"/subjects/{topic(p, 'retype', 2)}-value/versions", {"schema": old})
        alter(p)
        equal_at_last(p, "retype", topic(p, "retype", 3))
        control_closed(check(p, 1), topic(p, "retype", 2))
        check(p, 2)
        assert p.stop() == 0
    p.close()


def another_key(mode):
    """The next subject has another key: the table is held behind the closed topic, and goes on once that is mended."""
    p = begin(mode)
    with case(f"new_topic.taken_key{mode and '_dlq'}", p):
        subject = f"{topic(p, 'retype', 2)}-key"
        ask(f"/subjects/{subject}/versions", {"schema": OTHER_KEY})
        alter(p)
        eventually("it is held", lambda: held(p) == {"retype"}, 60, 0.3)
        p.sql("insert into plain (id, v, c) values (4, 4, 4)")
        p.wait_events("plain", 4)
        control_closed(check(p, 1), topic(p, "retype", 2))
        assert not messages(p, topic(p, "retype", 2))
        for more in ("", "?permanent=true"):
            urllib.request.urlopen(urllib.request.Request(f"{os.environ['REGISTRY_URL']}/subjects/{subject}{more}", method="DELETE"), timeout=20).close()
        p.kill()
        p.start()
        code, out, err = p.verb("resume", f"src/{p.space}.retype", "-y")
        assert code == 0, (code, out + err)
        equal_at_last(p, "retype", topic(p, "retype", 2))
        check(p, 1)
        eventually("nothing is held", lambda: not held(p), 60, 0.3)
        assert p.stop() == 0
    p.close()


def another_content(aborted):
    """The next topic has messages. Somebody else's hold the table, and nothing is closed, until the topic is empty; aborted ones, as we leave them
    where we were killed, are nobody's."""
    p = begin()
    with case(f"new_topic.taken_content{aborted and '_aborted'}", p):
        name, admin = topic(p, "retype", 2), AdminClient({"bootstrap.servers": p.bootstrap})

        def make():
            eventually("the topic is made", lambda: admin.create_topics([NewTopic(name, 3, 1)])[name].exception() is None, 60, 0.5)
        make()
        producer = Producer({"bootstrap.servers": p.bootstrap, "transactional.id": f"{p.id}-other"})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(name, b"foreign", b"foreign", partition=1)
        producer.flush(30)
        (producer.abort_transaction if aborted else producer.commit_transaction)(30)
        alter(p)
        if not aborted:
            eventually("it is held", lambda: held(p) == {"retype"}, 60, 0.3)
            assert "somebody else's messages are in it" in p.verb("status", "-v")[1], p.verb("status", "-v")[1][-1500:]
            assert [m.value() for m in messages(p, name)] == [b"foreign"] and not notices(p)
            admin.delete_topics([name])[name].result()
            make()
            code, out, err = p.verb("resume", f"src/{p.space}.retype", "-y")
            assert code == 0, (code, out + err)
        equal_at_last(p, "retype", name)
        check(p, 1)
        p.kill()
        p.start()
        p.sql("insert into retype (id, v, c) values (5, 5, 'y')")
        equal_at_last(p, "retype", name)
        assert p.stop() == 0
    p.close()


def of_status(p):
    """(topic, former topic) of the table, and how many lines of metrics say such a thing."""
    document = json.loads(p.verb("status", "--json")[1])["result"]["status"]
    found = [t for part in document["parts"] if part["name"] == "src" for t in part["tables"] if t["name"].endswith(".retype")]
    return found and ((found[0]["topic"], found[0]["former_topic"]), metrics(p).count("freshet_table_generation{"))


def topic_is_set():
    """The table's topic is set to another one: status and metrics say nothing of those that it went to before, until it is set back."""
    p = begin()
    with case("new_topic.topic_is_set", p):
        alter(p)
        equal_at_last(p, "retype", topic(p, "retype", 2))
        moved = ((topic(p, "retype", 2), topic(p, "retype")), 1)
        eventually("status", lambda: of_status(p) == moved, 30, 0.3)
        for i, more, name, want in ((5, "topic: '{id}.public.other', ", f"{p.id}.public.other", ((None, None), 0)), (6, "", topic(p, "retype", 2), moved)):
            assert p.stop() == 0
            p.write(text(more))
            p.start()
            p.sql(f"insert into retype (id, v, c) values ({i}, {i}, 'x')")
            eventually(f"row {i} in {name}", lambda: i in last_rows(p, name), 120, 0.5)
            assert of_status(p) == want, of_status(p)
        assert p.stop() == 0
    p.close()


def verbs():
    """Dead letters of all the table's topics are found by its name; those of a closed one are not sent again. lineage knows whose topic it is that a
    sink still reads."""
    p = begin("errors: {{mode: dlq}}, ", """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ['{id}.public.retype', '{id}.public.plain']
    create: run
""")
    with case("new_topic.verbs", p):
        def letters(*words):
            found = json.loads(p.verb("dlq", "list", *words, "--json")[1])["result"]["letters"]
            return sorted((x["topic"], x.get("table")) for x in found)
        old, new, table = topic(p, "retype"), topic(p, "retype", 2), f"src/{p.space}.retype"
        p.sql("update retype set n = 'NaN' where id = 2")
        p.sql("update plain set n = 1 where id = 2")
        eventually("a letter", lambda: letters() == [(old, table)], 60, 0.5)
        p.sql("update retype set n = null where id = 2")
        alter(p)
        p.sql("insert into retype (id, v, c, n) values (5, 5, 'x', 'NaN')")
        p.sql("insert into retype (id, v, c) values (6, 6, 'x')")
        eventually("a row of the new topic", lambda: 6 in last_rows(p, new), 60, 0.5)
        assert letters("--table", table) == [(old, table), (new, table)], letters()
        assert letters("--table", old) == [(old, table)] and letters("--table", f"src/{p.space}.plain") == []
        out = p.verb("lineage")[1]
        assert f"{old} (closed) ─→ dst " in out and "no source of this file" not in out, out[-2500:]
        assert p.stop() == 0
        code, out, err = p.verb("dlq", "retry", "--source", "src", "-y", "--json")
        waiting = {w["code"]: w for w in json.loads(out)["result"]["waiting"]}
        assert code != 0 and new in waiting["dlq.closed"]["fix"] and old in waiting["dlq.closed"]["message"], (code, out, err)
        check(p, 1)
        assert p.verb("dlq", "drop", "--table", table, "-y")[0] == 0 and not letters("--table", table)
    p.close()


if __name__ == "__main__":
    every = {"value": another_value, "key": lambda: another_key(""), "key_dlq": lambda: another_key("errors: {{mode: dlq}}, "),
             "content": lambda: another_content(""), "aborted": lambda: another_content("aborted"), "topic": topic_is_set, "verbs": verbs}
    together([every[name] for name in sys.argv[1:] or every], 2)
    finish()
