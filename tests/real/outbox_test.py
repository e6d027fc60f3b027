#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Outboxes read from the log: each row that was committed is one message of the topic it names, once and in order."""
import contextlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, connect, eventually, finish, read_topics, together, topics_of  # noqa: E402
from mysql import MyPipeline, add_server  # noqa: E402
from mysql import connect as my_connect  # noqa: E402
from outbox_case import AGGREGATES, written  # noqa: E402

PG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
"""
MY = """
sources:
  src:
    type: {type}
    dsn: {source}
    password: {password}
    prefix: {id}
    insecure: true
    tables:
"""
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


def make(server, payload="text", more="", keys=KEYS, where=""):
    """A pipeline whose one table is an outbox; its space."""
    fill = "".join(f"insert into aggregate values ({i}, 0);\n" for i in range(AGGREGATES))
    if server == "postgres":
        p = Pipeline(PG + "      public.outbox: {{outbox: {{" + keys + "}}" + where + "}}\n" + more, target=False)
        p.sql(PG_TABLE.format(payload=payload) + fill + "create publication pub for table outbox")
        return p
    p = MyPipeline(MY + "      {id}.outbox: {{outbox: {{" + keys + "}}" + where + "}}\n" + more, server)
    p.sql(MY_TABLE.format(payload=payload) + fill)
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


TESTS = [under_load, bytes_are_as_they_are]
SERVERS = os.environ.get("FRESHET_TEST_OUTBOX", "postgres mariadb mysql").split()

if __name__ == "__main__":
    for s in list(SERVERS):
        there, why = (True, "") if s == "postgres" else add_server(s)
        if not there:
            print(f"skip outbox.{s}: {why}", flush=True)
            SERVERS.remove(s)
    wanted = [t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    together([lambda t=t, s=s: t(s) for t in wanted for s in SERVERS], 3)
    finish()
