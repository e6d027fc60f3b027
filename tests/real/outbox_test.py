#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Outboxes read from the log: each row that was committed is one message of the topic it names, once and in order."""
import contextlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

from harness import CONFIG, PG_SOURCE, Pipeline, case, connect, eventually, finish, read_topics, together, topics_of  # noqa: E402
from mysql import MY_SOURCE, MyPipeline, add_server  # noqa: E402
from mysql import connect as my_connect  # noqa: E402
from outbox_case import AGGREGATES, written  # noqa: E402

PG = PG_SOURCE.replace("    tables:", "    log: {{publication: pub, slot: {slot}}}\n    tables:")
KEYS = ("id: id, key: aggregateid, type: type, payload: payload, headers: [tracingspancontext], "
        "route: \"{id}.event.${{aggregatetype}}\"")
PG_TABLE = """
create table outbox(id bigserial primary key, aggregatetype text, aggregateid text, type text, payload {payload},
                    tracingspancontext text);
create table aggregate(id int primary key, n int not null);
"""
MY_TABLE = """
create table outbox(id serial primary key, aggregatetype varchar(255), aggregateid varchar(255), type varchar(255),
                    payload {payload}, tracingspancontext text);
create table aggregate(id int primary key, n int not null);
"""


def make(server, payload="text", keys=KEYS, more="", base=CONFIG, mode=""):
    """A pipeline whose one table is an outbox. keys: of outbox; mode: other keys of the table."""
    fill = "".join(f"insert into aggregate values ({i}, 0);\n" for i in range(AGGREGATES))
    postgres = server == "postgres"
    table = f"      {'public' if postgres else '{id}'}.outbox: {{{{outbox: {{{{{keys}}}}}{mode}}}}}\n"
    p = Pipeline(PG + table, target=False) if postgres else MyPipeline(MY_SOURCE + table, server)
    p.write((PG if postgres else MY_SOURCE) + table + more, base)
    p.table = "public.outbox" if postgres else f"{p.id}.outbox"
    p.sql((PG_TABLE if postgres else MY_TABLE).format(payload=payload) + fill
          + ("create publication pub for table outbox" if postgres else ""))
    return p


@contextlib.contextmanager
def pipeline(name, server, **more):
    p = make(server, **more)
    with case(f"outbox_{server}_{name}", p):
        yield p
    p.close()


def got(p, topic):
    return [(m.key(), m.value(), m.headers()) for m in read_topics(p.bootstrap, [f"{p.id}.{topic}"])]


def wait(p, topic, count):
    def probe():
        if p.daemon.poll() is not None:
            raise AssertionError(f"the daemon ended with exit code {p.daemon.returncode}")
        out = got(p, topic)
        return out if len(out) >= count else None
    return eventually(f"{count} messages on {topic}", probe, 60, 0.2)


def under_load(server):
    p = make(server)

    def open_one():
        if server == "postgres":
            c = connect(p.source)
            c.autocommit = False
            return c
        return my_connect(p.root, database=p.id, autocommit=False)
    written(f"outbox_{server}_under_load_and_killed", p, open_one, True, "stream from")
    p.close()


def bytes_are_as_they_are(server):
    binary = "bytea" if server == "postgres" else "longblob"
    every = bytes(range(256))
    with pipeline("bytes", server, payload=binary) as p:
        insert = "insert into outbox(aggregatetype, aggregateid, type, payload, tracingspancontext) values (%s, %s, %s, %s, %s)"
        p.sql(insert, "raw", "first", "kept", b"there before", None)
        p.start()
        first = wait(p, "event.raw", 1)
        assert first == [(b"first", b"there before", [("id", b"1"), ("type", b"kept"), ("tracingspancontext", None)])], first
        p.sql(insert, "raw", "k", "t", every * 40, "00-ab-cd-01")
        p.sql(insert, "raw", None, None, b"", "")
        p.sql(insert, "raw", "", "t", None, "x")
        p.sql("delete from outbox")
        p.sql("truncate table outbox")
        p.sql(insert, "other", "kéy", "ü", b"\x00\x00\x00\x00\x01", None)
        last = wait(p, "event.other", 1)
        assert [(k, v) for k, v, _ in last] == [("kéy".encode(), b"\x00\x00\x00\x00\x01")], last
        rest = {v: (k, dict(h)) for k, v, h in wait(p, "event.raw", 4)}
        assert rest[every * 40] == (b"k", {"id": b"2", "type": b"t", "tracingspancontext": b"00-ab-cd-01"}), rest
        assert rest[b""] == (None, {"id": b"3", "type": None, "tracingspancontext": b""}), rest
        assert rest[None] == (b"", {"id": b"4", "type": b"t", "tracingspancontext": b"x"}), rest
        assert len(rest) == 4
        code, out, err = p.verb("tap", f"{p.id}.event.raw", "--from", "beginning", "--json")
        assert code == 0, (out, err)
        shown = json.loads(out)["events"] if "events" in json.loads(out) else json.loads(out)["result"]["events"]
        assert {e["value"] if not isinstance(e["value"], dict) else e["value"]["$bytes"] for e in shown} == {
            "there before", (every * 40).hex(), "", None}, shown
        assert p.stop() == 0


INSERT = "insert into outbox(aggregatetype, aggregateid, type, payload) values (%s, %s, %s, %s)"


def bad_rows(server):
    """B06: what cannot be published is set aside, and what comes later of its aggregate; others go on."""
    with pipeline("bad_rows", server, mode=", errors: {{mode: dlq, topic: '{id}.dead'}}") as p:
        p.start()
        p.says("stream from")
        p.sql(INSERT, "good", "a", "t", "1")
        p.sql(INSERT, "no/topic", "b", "t", "2")
        p.sql(INSERT, "good", "b", "t", "3")
        p.sql(INSERT, None, "c", "t", "4")
        p.sql(INSERT, "good", "d", "t", "5")
        p.sql("update outbox set payload = 'other' where id = 5")
        p.sql("delete from outbox")
        p.sql(INSERT, "good", None, "t", "6")
        p.sql(INSERT, "", None, "t", "7")
        p.sql(INSERT, "good", None, "t", "8")
        out = wait(p, "event.good", 4)
        assert sorted(v for _, v, _ in out) == [b"1", b"5", b"6", b"8"], out
        dead = [json.loads(v) for _, v, _ in wait(p, "dead", 5)]
        by_id = {int(d["after"]["id"]): d["reason"] for d in dead}
        assert len(dead) == 5 and set(by_id) == {2, 3, 4, 5, 7}, by_id
        assert "outbox row 2: what outbox.route makes of it is no topic" in by_id[2], by_id
        assert "set aside" in by_id[3] and "is NULL" in by_id[4] and "an update" in by_id[5], by_id
        assert "row 7: its column aggregatetype, which names the topic, is empty" in by_id[7], by_id
        assert p.stop() == 0
        # They are not sent again, but given up, and then the aggregate goes on.
        code, out, err = p.verb("dlq", "retry", "--all", "--yes")
        assert code == 7 and "dlq.outbox" in err and "another id" in err, (code, out, err)
        code, out, err = p.verb("dlq", "drop", "--all", "--yes")
        assert code == 0 and "5 letters of 4 keys dropped" in out, (code, out, err)
        p.start()
        p.sql(INSERT, "good", "b", "t", "9")
        assert sorted(v for _, v, _ in wait(p, "event.good", 5)) == [b"1", b"5", b"6", b"8", b"9"]
        assert p.stop() == 0


def a_row_that_changes(server):
    with pipeline("a_row_that_changes", server) as p:
        p.start()
        p.sql(INSERT, "good", "a", "t", "1")
        wait(p, "event.good", 1)
        p.sql("update outbox set payload = 'other'")
        p.says("outbox.changed")
        p.says("is held, the others go on", f"table {p.table}: outbox row 1: an update", "insert a new row instead")
        assert p.stop() == 0


def topics_that_are_not_there(server):
    """Nothing makes them unasked; nothing is lost, also of the first reading."""
    base = CONFIG.replace("create: run", "create: apply")
    with pipeline("topics_that_are_not_there", server, base=base) as p:
        p.sql(INSERT, "late", "a", "t", "0")
        code, out, err = p.verb("plan")
        assert f"outbox {p.table}: each row names its topic" in out and "kafka.topics.create: run" in out, (out, err)
        p.start()
        p.refused(p.wait_exit(40), f"topic {p.id}.event.late does not exist", f"outbox {p.table}, row 1", "kafka-topics.sh")
        p.sql(INSERT, "late", "a", "t", "1")
        p.sql(INSERT, "late", "a", "t", "2")
        p.sql("delete from outbox where id = 3")
        admin = AdminClient({"bootstrap.servers": p.bootstrap})
        for made in admin.create_topics([NewTopic(f"{p.id}.event.late", 1, 1)]).values():
            made.result(30)
        p.start()
        out = wait(p, "event.late", 3)
        assert sorted(v for _, v, _ in out) == [b"0", b"1", b"2"], out
        assert p.stop() == 0
        assert len(got(p, "event.late")) == 3


def who_comes_later(server):
    """An outbox that is added to a log that is being read: what was there before, and what the log brings, once each."""
    other = "      {id}.aggregate: {{}}\n" if server != "postgres" else "      public.aggregate: {{}}\n"
    head = MY_SOURCE if server != "postgres" else PG
    with pipeline("who_comes_later", server, more=other) as p:
        with open(p.config) as f:
            whole = f.read()
        p.write(head + other)
        if server == "postgres":
            p.sql("alter publication pub add table aggregate")
        p.sql(INSERT, "good", "a", "t", "1")
        p.start()
        p.says("stream from")
        assert p.stop() == 0
        p.sql(INSERT, "good", "a", "t", "2")
        p.sql(INSERT, "good", "a", "t", "3")
        p.sql("delete from outbox where id = 3")
        with open(p.config, "w") as f:
            f.write(whole)
        p.start()
        p.says("stream from", "snapshot: done")
        p.sql(INSERT, "good", "a", "t", "4")
        out = wait(p, "event.good", 4)
        assert [v for _, v, _ in out] == [b"2", b"3", b"1", b"4"], out  # the log first: docs/sources/outbox.md
        code, _, err = p.verb("snapshot", "start", f"src/{p.table}")
        assert code != 0 and "is an outbox: its events would come again" in err, err
        code, _, err = p.verb("tap", f"src/{p.table}")
        assert code != 0 and "name their topics" in err, err
        assert p.stop() == 0


def made_later(server):
    """An outbox that is made while its log is read: what the log brought is not read again after a restart."""
    other = "      {id}.aggregate: {{}}\n" if server != "postgres" else "      public.aggregate: {{}}\n"
    with pipeline("made_later", server, more=other) as p:
        p.sql("drop table outbox")
        with open(p.config) as f:
            text = f.read()
        with open(p.config, "w") as f:
            f.write(text.replace(f"      {p.table}: {{", '      "/[.]outbox$/": {'))
        if server == "postgres":
            p.sql("drop publication pub; create publication pub for all tables")
        p.start()
        p.says("stream from")
        p.sql((PG_TABLE if server == "postgres" else MY_TABLE).format(payload="text").split(";\n")[0])
        p.sql(INSERT, "good", "a", "t", "1")
        wait(p, "event.good", 1)
        assert p.stop() == 0
        p.start()
        p.says("stream from")
        p.sql(INSERT, "good", "a", "t", "2")
        assert [v for _, v, _ in wait(p, "event.good", 2)] == [b"1", b"2"]
        assert p.stop() == 0


def interrupted(server):
    """The first reading ends in the middle, and begins again: each event once. Once the log went on nothing is guessed."""
    with pipeline("interrupted", server, mode=", snapshot: {{chunk: 100}}") as p:
        p.sql("insert into outbox(aggregatetype, aggregateid, type, payload) select 'good', 'a', 't', i::text "
              "from generate_series(1, 20000) i")
        p.start(failpoint="capture_mid_chunk:kill:3")
        eventually("killed", lambda: p.daemon.poll() is not None, 40)
        for i in range(20001, 20011):
            p.sql(INSERT, "good", "a", "t", str(i))
        p.sql("delete from outbox where id > 20005")
        p.start()
        p.says("snapshot: done", "outbox.order")
        p.sql(INSERT, "good", "a", "t", "20011")
        wait(p, "event.good", 20011)
        assert p.stop() == 0
        values = [int(v) for _, v, _ in got(p, "event.good")]
        assert sorted(values) == list(range(1, 20012)), f"{len(values)} of 20011, {len(set(values))} different"
        assert [v for v in values if v <= 20000] == list(range(1, 20001)), "those that were there: in the order of their key"


def interrupted_and_gone_on(server):
    with pipeline("interrupted_and_gone_on", server) as p:
        p.sql(INSERT, "good", "a", "t", "1")
        p.start(failpoint="capture_mid_chunk:kill")
        eventually("killed", lambda: p.daemon.poll() is not None, 40)
        p.sql(INSERT, "good", "a", "t", "2")
        p.start(failpoint="capture_mid_chunk:kill")  # the log is followed, and then what is left is read
        eventually("killed", lambda: p.daemon.poll() is not None, 40)
        assert [v for _, v, _ in got(p, "event.good")] == [b"2"]
        p.start()
        p.refused(p.wait_exit(40), f"the first reading of outbox {p.table} was interrupted, and the log went on",
                  "snapshot.mode: never", "position reset src")
        with open(p.config) as f:
            text = f.read()
        with open(p.config, "w") as f:
            f.write(text.replace("      public.outbox: {", "      public.outbox: {snapshot: {mode: never}, "))
        p.start()
        p.sql(INSERT, "good", "a", "t", "3")
        assert [v for _, v, _ in wait(p, "event.good", 2)] == [b"2", b"3"]
        assert p.stop() == 0


def usual_columns(server):
    """outbox: {}: a table made for other tools' outbox routers; what it lacks is named."""
    with pipeline("usual_columns", server, keys="", payload="json") as p:
        p.sql(INSERT, "customer-" + p.id, "7", "created", '{"a": [1, 2]}')
        code, out, err = p.verb("plan")
        assert f"outbox {p.table}: each row names its topic (outbox.event.${{aggregatetype}}), which run makes" in out, (out, err)
        p.start()
        topic = f"outbox.event.customer-{p.id}"
        out = eventually("the event", lambda: [(m.key(), json.loads(m.value()), m.headers()) for m in read_topics(p.bootstrap, [topic])])
        assert out == [(b"7", {"a": [1, 2]}, [("id", b"1"), ("type", b"created")])], out
        assert p.stop() == 0
        p.sql("alter table outbox rename column payload to body" if server == "postgres"
              else "alter table outbox change payload body json")
        code, out, err = p.verb("plan")
        assert code != 0 and "outbox.payload names column payload, which it does not have" in out, (out, err)
        assert "its columns are id, aggregatetype, aggregateid, type, body, tracingspancontext" in out, out


SINK = """
sinks:
  dst:
    type: postgres
    dsn: {source}
    from: ["{id}.fixed"]
    create: run
"""


def sinks(server):
    """An outbox's messages are no rows: said before, and when one comes."""
    with pipeline("sinks", server, keys="id: id, payload: payload, route: '{id}.fixed'", more=SINK) as p:
        code, out, _ = p.verb("plan")
        assert code != 0 and f"topic {p.id}.fixed is that of outbox {p.table}: its messages are no rows" in out, out
        p.sql(INSERT, "x", "a", "t", "text")
        p.start()
        p.says("message.wire_format")
        assert [(k, v) for k, v, _ in wait(p, "fixed", 1)] == [(None, b"text")]
        p.stop()


MESSAGES = """
create sequence ids;
create table aggregate(id int primary key, n int not null);
create view outbox as select 0::bigint as id, ''::text as aggregatetype, ''::text as aggregateid, ''::text as type, ''::text as payload where false;
create function emit() returns trigger language plpgsql as $$ begin
  new.id := nextval('ids');
  perform pg_logical_emit_message(true, 'box', json_build_object('id', new.id, 'aggregatetype', new.aggregatetype,
    'aggregateid', new.aggregateid, 'type', new.type, 'payload', new.payload, 'more', null)::text);
  return new; end $$;
create trigger emit instead of insert on outbox for each row execute function emit();
"""
MESSAGE_TABLE = "      pg_logical_emit_message.box: {{outbox: {{id: id, key: aggregateid, type: type, payload: payload, route: \"{id}.event.${{aggregatetype}}\"}}%s}}\n"


def no_table(name, mode=""):
    p = Pipeline(PG + MESSAGE_TABLE % mode, target=False)
    p.sql(MESSAGES + "".join(f"insert into aggregate values ({i}, 0);\n" for i in range(AGGREGATES)) + "create publication pub")
    return p


def messages_under_load(server):
    """Logical messages as an outbox: a view whose rows go nowhere but into the log."""
    p = no_table("under_load")

    def open_one():
        c = connect(p.source)
        c.autocommit = False
        return c
    written("outbox_messages_under_load_and_killed", p, open_one, True, "stream from", delete=False)
    p.close()


def messages(server):
    emit = "select pg_logical_emit_message(%s, %s, %s)"
    p = no_table("plain", ", errors: {{mode: dlq, topic: '{id}.dead'}}")
    with case("outbox_messages", p):
        p.sql("drop publication pub")
        code, out, err = p.verb("plan")
        assert code == 4 and "publication pub does not exist" in out, (out, err)
        code, out, err = p.verb("apply", "--source-objects", "--yes")
        assert code == 0, (out, err)
        code, out, err = p.verb("plan")
        assert code == 0 and "outbox pg_logical_emit_message.box: each row names its topic" in out, (out, err)
        p.start()
        p.says("stream from")
        p.sql(emit, True, "box", '{"id": 1, "aggregatetype": "a", "aggregateid": "k", "payload": {"x":  [1.10, null]}}')
        p.sql(emit, True, "box", "no JSON")
        p.sql(emit, True, "box", '{"aggregatetype": "a", "aggregateid": "without an id", "payload": "2"}')
        p.sql(emit, False, "box", '{"id": 3, "aggregatetype": "a", "aggregateid": "alone", "payload": "3"}')
        p.sql(emit, True, "other", "as ever")
        p.sql(emit, True, "box", '{"id": 4, "aggregatetype": "a", "aggregateid": "k", "type": "t", "payload": "last"}')
        out = wait(p, "event.a", 2)
        assert out == [(b"k", b'{"x":  [1.10, null]}', [("id", b"1"), ("type", None)]), (b"k", b"last", [("id", b"4"), ("type", b"t")])], out
        dead = eventually("dead letters", lambda: (lambda d: d if len(d) >= 3 else None)(got(p, "dead")))
        why = b" ".join(v for _, _, h in dead for k, v in h if v)
        assert len(dead) == 3 and b"no JSON object" in why and b"its id is NULL" in why and b"outside of the transaction" in why, dead
        assert len(got(p, "message")) == 1
        code, out, err = p.verb("ddl", "outbox", "--table", "src/pg_logical_emit_message.box")
        assert code == 2 and "an outbox without a table" in out + err, (out, err)
        assert p.stop() == 0
    for tables, text in (("      pg_logical_emit_message.box: {{}}\n", "logical messages are an outbox"),
                         (MESSAGE_TABLE % ", snapshot: {{mode: initial}}", "in no table that could be read")):
        with case("outbox_messages_refused", p):
            p.write(PG + tables)
            code, out, err = p.verb("validate")
            assert code == 2 and text in out + err, (out, err)
    p.close()


TESTS = [under_load, bytes_are_as_they_are, bad_rows, who_comes_later]
ONCE = [messages_under_load, messages, usual_columns, a_row_that_changes, topics_that_are_not_there, made_later, interrupted, interrupted_and_gone_on, sinks]
SERVERS = os.environ.get("FRESHET_TEST_OUTBOX", "postgres mariadb mysql").split()

if __name__ == "__main__":
    for s in list(SERVERS):
        there, why = (True, "") if s == "postgres" else add_server(s)
        if not there:
            print(f"skip outbox.{s}: {why}", flush=True)
            SERVERS.remove(s)
    wanted = [(t, s) for t in TESTS for s in SERVERS] + [(t, s) for t in ONCE for s in SERVERS[:1]]
    together([lambda t=t, s=s: t(s) for t, s in wanted if not sys.argv[1:] or t.__name__ in sys.argv[1:]], 4)
    finish()
