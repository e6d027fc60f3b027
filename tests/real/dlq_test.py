#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet dlq list, show, retry, drop: letters of a source that are encoded again once the contract fits, and of sinks
that are applied again once the table does. Each key as a whole and in order, once, also where the verb or the daemon is
killed in between; and letters of a version that wrote no number into them."""
import collections
import json
import os
import random
import sqlite3
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fastavro  # noqa: E402
from confluent_kafka import Producer  # noqa: E402
from confluent_kafka import TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType  # noqa: E402
import mysql  # noqa: E402
from harness import CONFIG, Pipeline, Registry, case, eventually, finish, read_topics  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{errors: {{mode: dlq}}RULES}}
      public.u: {{}}
      public.v: {{}}
"""
STRICT = ", schema: {{rules: [{{field: amount, range: [0, 99]}}]}}"
SINKS = """
sinks:
  dst: {{type: postgres, dsn: {target}, from: ["{id}.public.u"], create: run, errors: {{mode: dlq}}, write: {{every: 50ms}}}}
  lite:
    type: sqlite
    path: {dir}/target.db
    from: ["{id}.public.v"]
    create: run
    errors: {{mode: dlq}}
    write: {{every: 50ms}}
"""
TABLES = """create table t (id int primary key, amount int, d numeric(10,3), note text, b bytea, at timestamptz, j jsonb);
create table u (id int primary key, amount int, note text); create table v (id int primary key, amount int);
create publication pub for table t, u, v"""
cases = []


def scenario(rules=True, sinks=True):
    def wrap(f):
        def run():
            p = Pipeline(config(rules, sinks))
            with case("dlq." + f.__name__, p):
                p.sql(TABLES)
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def config(rules, sinks=True):
    return SOURCE.replace("RULES", STRICT if rules else "") + (SINKS if sinks else "")


def letters(p):
    """Without the marks."""
    return [m for m in read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"]) if "freshet.mark" not in dict(m.headers() or [])]


def dlq(p, *words, code=0, env=None):
    rc, out, err = p.verb("dlq", *words, "--json", timeout=120, env=env)
    assert rc == code, (words, rc, out[-1500:], err[-1500:])
    return json.loads(out)


def waiting(p, *words):
    """[(kind, behind)] of the open ones."""
    return [(x["kind"], x["behind"]) for x in dlq(p, "list", *words)["result"]["letters"]]


def parked(p):
    return p.sql("select count(*) from _freshet_parked", on=p.target)[0][0]


def rows(p, table="u"):
    return p.sql(f"select id, amount, note from {table} order by id", on=p.target)


def same(p):
    return lambda: p.sql("select id, amount, note from u order by id") == rows(p)


def last(p, table="t"):
    """The newest event of each key, and how many there were."""
    state, count = {}, collections.Counter()
    for m in p.messages(table):
        key = p.registry.decode(m.key())["id"]
        if m.value() is not None:
            e = p.registry.decode(m.value())
            state[key] = e["after"]
            count[key] += 1
    return state, count


@scenario(sinks=False)
def source(p):
    p.sql("insert into t (id, amount) values (1, 1)")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t values (2, 500, 12.345, 'ü ''x''', '\\x00ff', '2026-02-03 04:05:06.789+00', '{\"a\": [1, 2.50]}');"
          "update t set note = 'second' where id = 2; insert into t (id, amount) values (3, 3);"
          "update t set amount = 7 where id = 2; insert into t (id, amount) values (4, 400)")
    eventually("four letters", lambda: len(letters(p)) == 4)
    assert sorted(waiting(p)) == [("source", 0), ("source", 2)], waiting(p)
    both = dlq(p, "list", "--table", "src/public.t")["result"]
    assert both["count"] == 2 and both["behind"] == 2 and sum(r["count"] for r in both["reasons"]) == 2, both
    assert waiting(p, "--sink", "dst") == [] and waiting(p, "--table", f"{p.id}.public.u") == []
    head = next(x for x in both["letters"] if x["behind"] == 2)
    assert head["table"] == "src/public.t" and head["topic"] == f"{p.id}.public.t", head
    out = p.verb("dlq", "list")[1]
    assert f"{head['id']} " in out and "src/public.t" in out and "+2 behind" in out and "2 dead letters, 2 parked" in out, out
    out = p.verb("dlq", "show", head["id"])[1]
    assert "reason    table public.t: rule amount.range" in out and "position  epoch 0 lsn 0/" in out, out
    shown = dlq(p, "show", head["id"])["result"]
    assert shown["value"]["after"]["note"] == "ü 'x'" and "amount" in shown["reason"] and shown["position"]["lsn"] > 0, shown
    dlq(p, "show", "0@999999", code=2)
    dlq(p, "show", "x", code=2)
    dlq(p, "retry", "--yes", code=2)  # which?
    assert "dlq.running" in json.dumps(dlq(p, "retry", "--all", "--yes", code=2))
    assert p.stop() == 0
    # The contract is as it was: all stay, nothing is published, in particular not the two rows that would fit.
    got = dlq(p, "retry", "--all", "--yes", code=7)
    assert got["result"]["refused"] == 2 and got["result"]["keys"] == 0, got
    assert [w["code"] for w in got["result"]["waiting"]] == ["rule.broken"] * 2, got
    assert len(waiting(p)) == 2 and sorted(last(p)[0]) == [1, 3]
    p.write(config(False, False))
    assert "Dry run" in dlq(p, "retry", "--all", "--dry-run")["summary"] and len(waiting(p)) == 2
    # Killed before the commit: nothing of it is there.
    rc, _, _ = p.verb("dlq", "retry", head["id"], "--yes", env={"FRESHET_FAILPOINT": "dlq_before_commit:kill"})
    assert rc == -9 and len(waiting(p)) == 2 and sorted(last(p)[0]) == [1, 3]
    got = dlq(p, "retry", head["id"], "--yes")["result"]
    assert (got["keys"], got["letters"]) == (1, 3), got
    state, count = last(p)
    assert count[2] == 3 and state[2]["amount"] == 7 and state[2]["note"] == "second", (state, count)
    events = [p.registry.decode(m.value()) for m in p.messages("t") if m.value() and p.registry.decode(m.key())["id"] == 2]
    assert [e["op"] for e in events] == ["c", "u", "u"] and events[0]["after"]["b"] == b"\x00\xff", events
    assert str(events[0]["after"]["d"]) == "12.345" and json.loads(events[0]["after"]["j"]) == {"a": [1, 2.5]}, events[0]
    at = [e["source"]["lsn"] for e in events]
    assert at == sorted(at) and all(e["source"]["ts_ms"] > 1700000000000 for e in events), events
    assert waiting(p) == [("source", 0)]
    done = dlq(p, "list", "--settled")["result"]["letters"]
    assert sorted(x["state"] for x in done) == ["done", "open"], done
    dlq(p, "retry", head["id"], "--yes", code=2)  # it waits no longer
    # The next rows of the key are published, and those of the other still wait.
    p.start()
    p.sql("update t set note = 'third' where id = 2; update t set note = 'parked' where id = 4")
    eventually("the next row", lambda: last(p)[0][2]["note"] == "third")
    eventually("a letter behind the other", lambda: waiting(p) == [("source", 1)])
    assert p.stop() == 0
    got = dlq(p, "drop", "--table", "src/public.t", "--yes")["result"]
    assert got["letters"] == 2 and waiting(p) == [] and 4 not in last(p)[0], got
    p.start()
    p.sql("update t set note = 'goes on' where id = 4")
    eventually("the dropped key goes on", lambda: last(p)[0].get(4, {}).get("note") == "goes on")
    assert p.stop() == 0
    assert last(p)[1][4] == 1


@scenario(sinks=False)
def source_changed_keys(p):
    """A row that changes its key ties both: what came before is not sent without it, and not after it."""
    p.sql("insert into t (id, amount) values (9, 9)")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t (id, amount) values (1, 500); update t set id = 2 where id = 1; insert into t (id, amount) values (1, 1)")
    eventually("three letters", lambda: len(letters(p)) == 3)
    assert p.stop() == 0
    p.write(config(False, False))
    first = next(x["id"] for x in dlq(p, "list")["result"]["letters"])
    got = dlq(p, "retry", first, "--yes")["result"]
    assert got["letters"] == 3 and waiting(p) == [], got
    state, _ = last(p)
    assert state[1]["amount"] == 1 and state[2]["amount"] == 500, state


@scenario(sinks=False)
def source_refused(p):
    """What cannot be published as it would have been is refused by name, and stays."""
    p.sql("alter table t add column w numeric(6,2)")
    p.sql("insert into t (id, amount) values (9, 9)")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t (id, amount, w) values (1, 1, 'NaN'); insert into t (id, amount) values (2, 500)")
    eventually("two letters", lambda: len(letters(p)) == 2)
    assert p.stop() == 0
    p.write(config(False, False).replace("public.t: {{", "public.t: {{columns: {{mask: {{note: redact}}}}, "))
    got = dlq(p, "retry", "--all", "--yes", code=7)
    assert got["error"]["code"] == "dlq.masked" and got["result"]["refused"] == 2, got
    p.write(config(False, False))
    got = dlq(p, "retry", "--all", "--yes", code=7)
    assert got["error"]["code"] == "dlq.row" and (got["result"]["refused"], got["result"]["keys"]) == (1, 1), got
    assert len(waiting(p)) == 1 and sorted(last(p)[0]) == [2, 9]
    p.write(config(False, False).replace("errors: {{mode: dlq}}", "errors: {{mode: stop}}"))
    assert dlq(p, "retry", "--all", "--yes", code=7)["error"]["code"] == "dlq.mode"


@scenario(sinks=False)
def source_says_what_is_committed(p):
    """Nothing is called done, nor counted, before its transaction is committed."""
    p.sql("insert into t (id, amount) values (9, 9)")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t (id, amount) values (1, 500); insert into t (id, amount) values (2, 500)")
    eventually("two letters", lambda: len(letters(p)) == 2)
    assert p.stop() == 0
    p.write(config(False, False))
    failing = {"FRESHET_FAILPOINT": "dlq_before_commit:err"}
    rc, out, err = p.verb("dlq", "retry", "--all", "--yes", env=failing)
    assert rc != 0 and "failpoint" in err and "letters, done" not in out, (rc, out, err)
    rc, out, err = p.verb("dlq", "retry", "--all", "--yes", "--json", env=failing)
    got = json.loads(out)["result"]
    assert (got["keys"], got["letters"]) == (0, 0), got
    assert len(waiting(p)) == 2 and sorted(last(p)[0]) == [9]
    rc, out, err = p.verb("dlq", "retry", "--all", "--yes")
    assert rc == 0 and out.count("1 letters, done") == 2 and "2 letters of 2 keys done" in out, (rc, out, err)


def limit_messages(p, topic, most):
    r = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[ConfigEntry("max.message.bytes", str(most), incremental_operation=AlterConfigOpType.SET)])
    admin = AdminClient({"bootstrap.servers": p.bootstrap})
    admin.incremental_alter_configs([r])[r].result(30)


@scenario(sinks=False)
def source_that_kafka_refuses(p):
    """A key whose topic is missing, or whose row is too large for it, waits; the others go."""
    strict = config(True, False).replace("public.u: {{}}", "public.u: {{errors: {{mode: dlq}}RULES}}").replace("RULES", STRICT)
    p.write(strict)
    p.sql("insert into u values (9, 9, 'fine')")
    p.start()
    p.wait_events("u", 1)
    p.sql("insert into u values (1, 500, 'a')")
    p.sql("insert into t (id, amount) values (1, 500)")  # its topic is not made yet
    p.sql("insert into u values (2, 500, %s), (3, 500, 'c')", random.randbytes(100000).hex())
    eventually("four letters", lambda: len(letters(p)) == 4)
    assert p.stop() == 0 and last(p) == ({}, {})
    limit_messages(p, f"{p.id}.public.u", 50000)
    p.write(strict.replace(STRICT, ""), CONFIG.replace("create: run", "create: never"))
    rc, out, err = p.verb("dlq", "retry", "--all", "--yes", "--json", timeout=120)
    got = json.loads(out)["result"]
    assert rc in (2, 7), (rc, err)  # of the first one
    assert sorted(w["code"] for w in got["waiting"]) == ["kafka.message.too_large", "kafka.topic.missing"], got
    assert (got["keys"], got["letters"], got["refused"]) == (2, 2, 2), got
    assert sorted(last(p, "u")[0]) == [1, 3, 9] and max(last(p, "u")[1].values()) == 1 and len(waiting(p)) == 2
    limit_messages(p, f"{p.id}.public.u", 1000000)
    p.write(strict.replace(STRICT, ""))
    assert dlq(p, "retry", "--all", "--yes")["result"]["refused"] == 0
    assert sorted(last(p, "u")[0]) == [1, 2, 3, 9] and sorted(last(p)[0]) == [1] and waiting(p) == []


def old_letters(p, found):
    """The same letters as a version wrote them that had no number in them; made in a topic of their own."""
    admin = AdminClient({"bootstrap.servers": p.bootstrap})
    made = admin.create_topics([NewTopic(f"freshet.{p.id}.old", 3, 1)])
    [f.result(30) for f in made.values()]
    failed = []
    out = Producer({"bootstrap.servers": p.bootstrap, "partitioner": "murmur2_random"})
    for m in found:
        value = m.value()
        if dict(m.headers()).get("freshet.source"):
            value = json.loads(value)
            for new in ("v", "row_lsn", "row", "time_us", "txn"):
                value.pop(new, None)
            value = json.dumps(value)
        out.produce(f"freshet.{p.id}.old", key=m.key(), value=value,
                    headers=[h for h in m.headers() if h[0] not in ("freshet.v", "freshet.key_before")],
                    on_delivery=lambda e, _: failed.append(e) if e else None)
    assert out.flush(30) == 0 and not failed, failed


@scenario()
def letters_of_an_older_version(p):
    p.sql("create table u (id int primary key, amount int check (amount < 100), note text)", on=p.target)
    p.sql("insert into t (id, amount) values (9, 9)")
    p.start()
    p.wait_events("t", 1)
    p.sql("insert into t values (1, 500, 1.5, 'x', null, now(), '{}'); update t set amount = 5 where id = 1")
    p.sql("insert into u values (1, 500, 'a')")
    eventually("three letters", lambda: len(letters(p)) == 3)
    p.sql("update u set amount = 1, note = 'b' where id = 1")
    eventually("four letters", lambda: len(letters(p)) == 4)
    assert p.stop() == 0
    old_letters(p, letters(p))
    topic = ", topic: freshet.{id}.old}}"
    p.write(config(False).replace("errors: {{mode: dlq}}", "errors: {{mode: dlq" + topic))
    assert len(waiting(p)) == 4, waiting(p)  # in both topics
    p.sql("alter table u drop constraint u_amount_check", on=p.target)
    for x in dlq(p, "list")["result"]["letters"]:
        if x["place"] == f"freshet.{p.id}.old" and x["kind"] == "sink":
            assert dlq(p, "show", x["id"])["result"]["state"] == "open"
    # Their twins are of the same key: all are settled, and none is published or applied twice.
    assert dlq(p, "retry", "--all", "--yes")["result"]["refused"] == 0
    assert waiting(p) == [] and parked(p) == 0
    assert rows(p) == [(1, 1, "b")], rows(p)
    p.start()
    p.sql("update u set note = 'c' where id = 1")
    eventually("it goes on", same(p))


@scenario(sinks=False)
def changed_keys_of_an_older_version(p):
    """Their letters do not say which key an update took: it is in the row, and both keys go, by the ID of one."""
    p.sql("insert into t (id, amount) values (9, 9)")
    p.start()
    p.wait_events("t", 1)
    p.sql("alter table t replica identity full")
    p.sql("insert into t (id, amount) values (1, 500); update t set id = 2 where id = 1; update t set id = 3 where id = 2; insert into t (id, amount) values (5, 500)")
    eventually("four letters", lambda: len(letters(p)) == 4)
    assert p.stop() == 0
    old_letters(p, letters(p))
    p.write(config(False, False).replace("errors: {{mode: dlq}}", "errors: {{mode: dlq, topic: freshet.{id}.old}}"))
    place = f"freshet.{p.id}.old"
    first = min((x["position"]["lsn"], x["position"]["ordinal"], x["id"]) for x in dlq(p, "list")["result"]["letters"] if x["place"] == place)
    got = dlq(p, "retry", first[2], "--yes")["result"]
    assert got["keys"] == 1 and got["letters"] == 6, got  # each is there twice
    state, count = last(p)
    assert sorted(state) == [1, 2, 3, 9] and len(waiting(p)) == 2, (state, waiting(p))  # 5 waits in both topics


@scenario()
def sink_whose_letters_are_gone(p):
    """Retention has taken the letter that parked the key: what is left of it is not all, and nothing is called done."""
    p.sql("create table u (id int primary key, amount int check (amount < 100), note text)", on=p.target)
    p.start()
    p.sql("insert into u values (1, 1, 'fine'), (2, 500, 'a')")
    eventually("a letter", lambda: len(letters(p)) == 1)
    eventually("the good one", lambda: [r[0] for r in rows(p)] == [1] and parked(p) == 1)
    p.kill()
    p.start(failpoint="sink_before_commit:kill")
    p.sql("update u set amount = 5, note = 'b' where id = 2")  # its letter is of a transaction that is lost
    p.wait_exit()
    first, second = sorted(letters(p), key=lambda m: m.offset())
    assert first.partition() == second.partition() and dict(second.headers())["freshet.parked"] == b"true"
    gone = TopicPartition(first.topic(), first.partition(), second.offset())
    admin = AdminClient({"bootstrap.servers": p.bootstrap})
    admin.delete_records([gone])[gone].result(30)
    assert waiting(p) == [("sink", 0)] and parked(p) == 1
    got = dlq(p, "retry", "--all", "--yes", code=7)
    assert got["error"]["code"] == "dlq.gone" and (got["result"]["keys"], got["result"]["refused"]) == (0, 1), got
    assert waiting(p) == [("sink", 0)] and parked(p) == 1
    assert dlq(p, "drop", "--all", "--yes")["result"]["keys"] == 1
    assert waiting(p) == [] and parked(p) == 0
    p.start()
    eventually("the key goes on", same(p))


@scenario()
def sink(p):
    p.sql("create table u (id int primary key, amount int check (amount < 100), note text)", on=p.target)
    p.start()
    p.sql("insert into u values (1, 1, 'fine'); insert into u values (2, 500, 'a'); insert into u values (3, 3, 'fine')")
    eventually("the good ones", lambda: [r[0] for r in rows(p)] == [1, 3])
    p.sql("update u set amount = 300, note = 'b' where id = 2; insert into u values (4, 400, 'x')")
    eventually("three letters", lambda: len(letters(p)) == 3)
    eventually("parked", lambda: parked(p) == 2)
    assert sorted(waiting(p)) == [("sink", 0), ("sink", 1)]
    head = next(x for x in dlq(p, "list", "--sink", "dst")["result"]["letters"] if x["behind"] == 1)
    shown = dlq(p, "show", head["id"])["result"]
    assert shown["value"]["after"] == {"id": 2, "amount": 500, "note": "a"} and shown["value_schema"] > 0, shown
    assert head["key"] == '{"id":2}' and waiting(p, "--table", "src/public.u") == waiting(p), head
    # The table still refuses them.
    got = dlq(p, "retry", "--all", "--yes", code=7)
    assert got["result"]["refused"] == 2 and parked(p) == 2, got
    p.sql("alter table u drop constraint u_amount_check", on=p.target)
    # Killed inside of the target's transaction: as before. Killed behind it: applied, and never again.
    rc, _, _ = p.verb("dlq", "retry", head["id"], "--yes", env={"FRESHET_FAILPOINT": "dlq_applied:kill"})
    assert rc == -9 and parked(p) == 2 and len(waiting(p)) == 2
    rc, _, _ = p.verb("dlq", "retry", head["id"], "--yes", env={"FRESHET_FAILPOINT": "dlq_before_mark:kill"})
    assert rc == -9 and parked(p) == 1 and len(waiting(p)) == 2 and (2, 300, "b") in rows(p)
    p.sql("update u set amount = 6, note = 'c' where id = 2")
    eventually("newer than the letters", lambda: (2, 6, "c") in rows(p))
    got = dlq(p, "retry", head["id"], "--yes")["result"]
    assert (got["before"], got["keys"]) == (1, 1) and (2, 6, "c") in rows(p), (got, rows(p))
    assert waiting(p) == [("sink", 0)]
    # A drop gives up what was set aside, and the key goes on.
    got = dlq(p, "drop", "--sink", "dst", "--yes")["result"]
    assert got["letters"] == 1 and waiting(p) == [] and parked(p) == 0
    assert 4 not in [r[0] for r in rows(p)]
    p.sql("update u set amount = 1 where id = 4")
    eventually("the dropped key goes on", same(p))
    # Parked anew: only what is of this time is sent.
    p.sql("alter table u add constraint late check (amount < 1000)", on=p.target)
    p.sql("update u set amount = 2000 where id = 2; update u set amount = 3000 where id = 2")
    eventually("parked anew", lambda: waiting(p) == [("sink", 1)])
    p.sql("alter table u drop constraint late", on=p.target)
    assert dlq(p, "retry", "--all", "--yes")["result"]["letters"] == 2
    eventually("the same", same(p))
    assert p.daemon.poll() is None


def held(p):
    parts = json.loads(p.verb("status", "--json")[1])["result"]["status"]["parts"]
    return sorted(t["held"]["code"] + " " + part["name"] for part in parts for t in part.get("tables", []) if t.get("held"))


@scenario()
def mode_is_changed_too_early(p):
    """errors.mode is block while keys are parked: what is newer of them waits, and passes nothing; others go on."""
    p.sql("create table u (id int primary key, amount int check (amount < 100), note text)", on=p.target)
    p.start()
    p.sql("insert into t (id, amount) values (1, 1), (2, 500)")
    p.sql("insert into u values (1, 1, 'fine'), (2, 500, 'a')")
    eventually("two letters", lambda: len(letters(p)) == 2 and parked(p) == 1)
    assert p.stop() == 0
    blocks = lambda rules: config(rules).replace("mode: dlq", "mode: block")  # noqa: E731
    p.sql("alter table u drop constraint u_amount_check", on=p.target)
    p.write(blocks(False))
    p.start()
    p.sql("insert into u values (3, 3, 'c'); insert into t (id, amount) values (3, 3)")
    eventually("others go on", lambda: 3 in [r[0] for r in rows(p)] and 3 in last(p)[0])
    p.sql("update u set amount = 5 where id = 2; update t set amount = 7 where id = 2")
    p.sql("insert into v values (1, 1)")
    eventually("both are held", lambda: held(p) == ["dlq.parked dst", "dlq.parked src"], 60, 0.2)
    eventually("the third goes on", lambda: 1 in last(p, "v")[0])
    assert 2 not in [r[0] for r in rows(p)] and 2 not in last(p)[0], (rows(p), last(p))
    assert "freshet dlq retry" in p.verb("status")[1]
    assert p.stop() == 0
    p.write(config(False))
    assert dlq(p, "retry", "--all", "--yes")["result"]["refused"] == 0
    p.start()
    eventually("newest in the target", same(p))
    eventually("and in the topic", lambda: last(p)[0].get(2, {}).get("amount") == 7)
    assert waiting(p) == [] and last(p)[1][2] == 2, last(p)
    assert p.stop() == 0
    p.write(blocks(False))
    p.start()
    p.sql("update u set amount = 6 where id = 2; update t set amount = 8 where id = 2")
    eventually("nothing is parked: it goes on", lambda: same(p)() and last(p)[0][2]["amount"] == 8)
    assert held(p) == []


def append():
    return (config(False).replace("create: run, errors", "create: run, write: {{mode: append, every: 50ms}}, errors", 1)
            .replace(", write: {{every: 50ms}}}}\n  lite", "}}\n  lite"))


@scenario()
def append_only_counts(p):
    """An append table shows each message once: kills and repeats would be seen."""
    p.write(append())
    p.start()
    p.sql("insert into u values (0, 0, 'first')")
    eventually("its table", lambda: p.sql("select to_regclass('u')", on=p.target)[0][0] and len(rows(p)) == 1)
    p.sql("alter table u add constraint small check (amount < 100)", on=p.target)
    for i in range(1, 21):
        p.sql("insert into u values (%s, 500, 'head')", i)
    eventually("twenty parked", lambda: parked(p) == 20)
    for i in range(1, 21):
        p.sql("update u set amount = %s, note = 'behind' where id = %s", i, i)
    eventually("forty letters", lambda: len(letters(p)) == 40)
    p.sql("alter table u drop constraint small", on=p.target)
    for point in ("dlq_applied:kill:3", "dlq_before_mark:kill:4", "sink_before_commit:kill:2", "sink_after_commit:kill:5",
                  "dlq_applied:kill:1"):
        rc, out, err = p.verb("dlq", "retry", "--all", "--yes", timeout=120, env={"FRESHET_FAILPOINT": point})
        assert rc == -9, (point, rc, out[-800:], err[-800:])
    dlq(p, "retry", "--all", "--yes")
    got = p.sql("select id, note, count(*) from u where id > 0 group by 1, 2 order by 1, 2", on=p.target)
    assert got == [(i, note, 1) for i in range(1, 21) for note in ("behind", "head")], got
    assert waiting(p) == [] and parked(p) == 0
    # The count can see a repeat.
    p.sql("insert into u select * from u where id = 7", on=p.target)
    assert p.sql("select count(*) from u where id = 7", on=p.target) == [(4,)]


@scenario()
def order_under_load(p):
    """While the sink runs, is killed, and keys are parked and released, the newest row of each key wins."""
    p.sql("create table u (id int primary key, amount int, note text)", on=p.target)
    p.start()
    p.sql("insert into u select i, 0, 'start' from generate_series(1, 30) i")
    eventually("all", same(p))
    p.sql("alter table u add constraint even check (amount % 50 <> 7)", on=p.target)
    stop, rng = threading.Event(), random.Random(11)

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            p.sql("update u set amount = %s, note = 'n' || %s where id = %s", n, n, rng.randrange(1, 31))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually("keys are parked", lambda: parked(p) >= 3, 90)
        p.sql("alter table u drop constraint even", on=p.target)
        for i in range(3):
            rc, _, err = p.verb("dlq", "retry", "--sink", "dst", "--yes", timeout=120)
            assert rc in (0, 7), err  # 7: a key breaks the constraint again
            if i == 1:
                p.kill()
                p.start()
            p.sql("alter table u add constraint even check (amount % 50 <> 7)", on=p.target) if i == 0 and not bad(p) else None
    finally:
        stop.set()
        writer.join()
    p.sql("alter table u drop constraint if exists even", on=p.target)

    def settled():
        dlq(p, "retry", "--sink", "dst", "--yes")
        return parked(p) == 0 and same(p)()
    eventually("the same in the end", settled, 90, 0.5)
    # The check can fail: a row of an earlier time is seen.
    p.sql("update u set note = 'n1' where id = 1", on=p.target)
    assert not same(p)()


@scenario()
def each_once_and_in_order_under_load(p):
    """The same into an append table that numbers its rows: of each key all that was written, once, in its order, while
    the daemon and the retry are killed in turn."""
    p.write(append())
    p.start()
    p.sql("insert into u select i, 0, 'n0' from generate_series(1, 8) i")
    eventually("its table", lambda: p.sql("select to_regclass('u')", on=p.target)[0][0] and len(rows(p)) == 8)
    p.sql("alter table u add column seq bigserial", on=p.target)
    stop, rng, ledger = threading.Event(), random.Random(3), collections.defaultdict(lambda: [0])

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            key = rng.randrange(1, 9)
            p.sql("update u set amount = %s, note = 'n' || %s where id = %s", n, n, key)
            ledger[key].append(n)
    writer = threading.Thread(target=write)
    writer.start()
    once = 0
    try:
        for point in ("dlq_applied:kill:2", "dlq_before_mark:kill:1", "sink_after_commit:kill:1", None, "sink_before_commit:kill:1", None):
            p.sql("alter table u add constraint odd check (amount % 40 <> 13) not valid", on=p.target)
            eventually("keys are parked", lambda: parked(p) >= 2, 90)
            p.sql("alter table u drop constraint odd", on=p.target)
            rc, out, err = p.verb("dlq", "retry", "--sink", "dst", "--yes", timeout=120, env={"FRESHET_FAILPOINT": point or ""})
            assert rc in (0, -9), (point, rc, out[-800:], err[-800:])
            once += rc == -9
            if point is None:
                p.kill()
                p.start()
    finally:
        stop.set()
        writer.join()
    assert once >= 3, once

    def settled():
        dlq(p, "retry", "--sink", "dst", "--yes")
        return parked(p) == 0 and p.sql("select count(*) from u", on=p.target)[0][0] >= sum(len(v) for v in ledger.values())
    eventually("all of it", settled, 90, 0.5)
    got = collections.defaultdict(list)
    for key, amount in p.sql("select id, amount from u order by seq", on=p.target):
        got[key].append(amount)
    assert got == ledger, {k: (got[k], ledger[k]) for k in ledger if got[k] != ledger[k]}
    assert any(13 in (a % 40 for a in v) for v in ledger.values()), "none was ever set aside"
    assert waiting(p) == []


def bad(p):
    return p.sql("select count(*) from u where amount % 50 = 7", on=p.target)[0][0]


@scenario()
def sqlite_sink(p):
    file = os.path.join(p.dir, "target.db")

    def lite(sql):
        c = sqlite3.connect(file, timeout=30)
        try:
            got = c.execute(sql).fetchall()
            c.commit()
            return got
        except sqlite3.OperationalError as e:
            assert "no such table" in str(e), e
        finally:
            c.close()
    p.start()
    p.sql("insert into v values (1, 1)")
    eventually("its table", lambda: os.path.exists(file) and lite("select id from v") == [(1,)])
    lite("create trigger small before insert on v when new.amount > 99 begin select raise(abort, 'too much'); end")
    p.sql("insert into v values (2, 500); update v set amount = 2 where id = 2")
    eventually("two letters", lambda: waiting(p, "--sink", "lite") == [("sink", 1)])
    assert lite("select count(*) from _freshet_parked") == [(1,)]
    lite("drop trigger small")
    assert dlq(p, "retry", "--sink", "lite", "--yes")["result"]["letters"] == 2
    p.sql("update v set amount = 3 where id = 2")
    eventually("it goes on", lambda: lite("select id, amount from v order by id") == [(1, 1), (2, 3)])
    assert lite("select count(*) from _freshet_parked") == [(0,)] and waiting(p) == []


@scenario(sinks=False)
def source_stopped_by_word(p):
    """The daemon runs, and has stopped the source; rows that come meanwhile follow in order."""
    p.sql("insert into t (id, amount) values (99, 9)")
    p.start()
    p.wait_events("t", 1)
    for i in range(1, 41):
        if i < 10:
            p.sql("insert into t (id, amount) values (%s, %s)", i, 1000 + i)
        else:
            p.sql("update t set amount = %s where id = %s", i, i % 9 + 1)
    eventually("letters", lambda: len(letters(p)) == 40)
    assert "dlq.running" in json.dumps(dlq(p, "retry", "--source", "src", "--yes", code=2))
    assert p.verb("stop", "src", "--yes", timeout=60)[0] == 0
    p.sql("update t set note = 'meanwhile'")
    p.write(config(False, False))
    got = dlq(p, "retry", "--source", "src", "--yes")["result"]
    assert got["letters"] == 40 and got["refused"] == 0, got
    assert p.stop() == 0
    p.start()
    assert p.verb("resume", "src", "--yes", timeout=60)[0] == 0
    eventually("all of it", lambda: all(v["note"] == "meanwhile" for v in last(p)[0].values()))
    state, count = last(p)
    want = {r[0]: r[1] for r in p.sql("select id, amount from t")}
    assert {k: v["amount"] for k, v in state.items()} == want, (state, want)
    assert sum(count.values()) == 1 + 40 + 10, count
    for key in range(1, 10):  # each key in its order
        events = [p.registry.decode(m.value()) for m in p.messages("t") if m.value() and p.registry.decode(m.key())["id"] == key]
        at = [(e["source"]["lsn"], e["source"]["ordinal"]) for e in events]
        assert at == sorted(at), (key, at)


PG_TYPES = """id int primary key, amount int, a bigint, b numeric(12,4), c float8, d float4, e text, f bytea, g jsonb, h uuid,
    i date, j time(6), k timestamp, l timestamptz, m boolean, n int[], o interval"""
PG_ROWS = [(1, 500, -9007199254740993, "-12345678.9012", 0.1, "1e-7", "tab\t\"q\" \\ ü\U0001f600\n", b"\x00\xff'", '{"a": [1, 2.50, null]}',
            "123e4567-e89b-12d3-a456-426614174000", "0044-03-15 BC", "23:59:59.999999", "1969-12-31 23:59:59.999999",
            "2026-02-28 04:05:06.789+02", True, [1, None], "1 day 02:03:04"),
           (2, 500, 2 ** 63 - 1, "0", float("-inf"), "NaN", "", b"", "null", None, "9999-12-31", "00:00", "2026-01-01", "1900-01-01 00:00+00",
            False, [], "-1 mon"), (3, 500) + (None,) * 15]
MY_TYPES = """id int primary key, amount int, a bigint unsigned, b decimal(12,4), c double, d float, e text, f varbinary(40), g json,
    i date, j time(6), k datetime(6), l timestamp(6) null, m boolean, n enum('x','y'), o year"""
MY_ROWS = [(1, 500, 2 ** 64 - 1, "-12345678.9012", 0.1, "1e-7", "tab\t\"q\" \\ ü\U0001f600\n", b"\x00\xff'", '{"a": [1, 2.50, null]}',
            "1000-01-01", "-838:59:59.000001", "1000-01-01 00:00:00.000001", "2026-02-28 04:05:06.789", True, "y", 2026),
           (2, 500, 0, "0", -1.5e300, "-3", "", b"", "[]", "9999-12-31", "00:00:00", "9999-12-31 23:59:59", "1971-01-01 00:00:01", False,
            "x", 1901), (3, 500) + (None,) * 14]


def comparable(e):
    """All but what differs between two tables of one transaction."""
    e = json.loads(json.dumps(e, default=repr))
    for side in ("before", "after"):
        (e[side] or {}).pop("id", None)
    source = e.pop("source")
    for own in ("table", "ordinal", "lsn", "sequence", "pos", "row"):
        source.pop(own, None)
    return {k: v for k, v in e.items() if not k.startswith("ts_")}, source


def bare(schema):
    """Without logical types: Python has no dates before the year 1, and no times beyond a day."""
    if isinstance(schema, list):
        return [bare(s) for s in schema]
    return {k: bare(v) for k, v in schema.items() if k != "logicalType"} if isinstance(schema, dict) else schema


class BareRegistry(Registry):
    def schema(self, number):
        if number not in self.schemas:
            with urllib.request.urlopen(f"{self.url}/schemas/ids/{number}", timeout=20) as r:
                self.schemas[number] = fastavro.parse_schema(bare(json.loads(json.load(r)["schema"])))
        return self.schemas[number]


def as_if_published(name, p, types, rows_, table):
    """Rows of a second table, which no rule holds up, are the control: each value, operation, time and transaction."""
    with case(f"dlq.as_if_published_{name}", p):
        p.registry = BareRegistry(p.registry.url)
        p.sql(f"create table t ({types})")
        p.sql(f"create table c ({types})")
        if name == "postgres":
            p.sql("create publication pub for table t, c")
        one = ", ".join(["%s"] * len(rows_[0]))
        for at in "tc":
            p.sql(f"insert into {at} (id, amount) values (9, 9)")
        p.start()
        space = "public" if name == "postgres" else p.id
        p.wait_events("c", 1, space)
        p.wait_events("t", 1, space)
        for r in rows_:
            p.sql(f"begin;\ninsert into t values ({one});\ninsert into c values ({one});\nupdate t set amount = 600 where id = {r[0]};\n"
                  f"update c set amount = 600 where id = {r[0]};\ncommit;", *(r + r)) if name == "postgres" else both(p, one, r)
        p.sql("begin;\nupdate t set id = 30 where id = 3;\nupdate c set id = 30 where id = 3;\ndelete from t where id = 2;\n"
              "delete from c where id = 2;\ncommit")
        p.wait_events("c", 10, space)
        eventually("eight letters", lambda: len(letters(p)) == 8)
        assert p.stop() == 0
        p.write(table.replace("RULES", ""))
        got = dlq(p, "retry", "--all", "--yes")["result"]
        assert (got["letters"], got["refused"]) == (8, 0), got
        by = {}
        for at in "tc":
            by[at] = collections.defaultdict(list)
            for m in p.messages(at, space):
                key = p.registry.decode(m.key())["id"]
                by[at][key].append(None if m.value() is None else comparable(p.registry.decode(m.value())))
        by["t"].pop(9), by["c"].pop(9)
        assert by["t"] == by["c"] and len(by["c"]) == 4, [(k, a, b) for k in by["c"] for a, b in zip(by["t"][k], by["c"][k]) if a != b][:2]
        assert waiting(p) == []
    p.close()


def both(p, one, r):
    c = mysql.connect(p.root, database=p.id)
    try:
        c.autocommit(False)
        q = c.cursor()
        for at in "tc":
            q.execute(f"insert into {at} values ({one})", r)
        for at in "tc":
            q.execute(f"update {at} set amount = 600 where id = {r[0]}")
        c.commit()
    finally:
        c.close()


def as_if_published_postgres():
    table = SOURCE.replace("public.u", "public.c").replace("      public.v: {{}}\n", "")
    as_if_published("postgres", Pipeline(table.replace("RULES", STRICT), target=False), PG_TYPES, PG_ROWS, table)


def as_if_published_mariadb():
    have, why = mysql.add_server("mariadb")
    if not have:
        print("skip dlq.as_if_published_mariadb: " + why)
        return
    table = mysql.MY_SOURCE + "      \"{id}.t\": {{errors: {{mode: dlq}}RULES}}\n      \"{id}.c\": {{}}\n"
    as_if_published("mariadb", mysql.MyPipeline(table.replace("RULES", STRICT)), MY_TYPES, MY_ROWS, table)


as_if_published_postgres.name, as_if_published_mariadb.name = "as_if_published_postgres", "as_if_published_mariadb"
cases += [as_if_published_postgres, as_if_published_mariadb]


@scenario()
def without_key_and_without_sink(p):
    """Of a message without key nothing says that it was applied; and letters of nobody can be dropped."""
    topic = f"{p.id}.public.u"
    p.sql("insert into u values (1, 1, 'fine')")
    p.start()
    eventually("the good one", lambda: p.sql("select to_regclass('u')", on=p.target)[0][0] and len(rows(p)) == 1)
    failed, out = [], Producer({"bootstrap.servers": p.bootstrap})
    out.produce(topic, value=b"no Avro", on_delivery=lambda e, _: failed.append(e) if e else None)
    assert out.flush(30) == 0 and not failed, failed
    eventually("its letter", lambda: waiting(p) == [("sink", 0)])
    one = dlq(p, "list")["result"]["letters"][0]
    assert dlq(p, "show", one["id"])["result"]["value"] == "no Avro" and one["key"] == "null", one
    assert dlq(p, "retry", one["id"], "--yes", code=7)["error"]["code"] == "dlq.no_key"
    assert p.stop() == 0
    p.write(config(False, False))
    assert dlq(p, "retry", one["id"], "--yes", code=2)["error"]["code"] == "cli.no_sink"
    dlq(p, "drop", one["id"], "--yes")
    assert waiting(p) == [] and dlq(p, "list", "--settled")["result"]["letters"][0]["state"] == "dropped"


@scenario()
def nothing_there(p):
    assert dlq(p, "list")["result"]["count"] == 0
    assert dlq(p, "retry", "--all", "--yes")["summary"] == "No letter waits."
    out = p.verb("dlq", "list")[1]
    assert "0 dead letters" in out, out


for c in cases:
    if len(sys.argv) < 2 or c.name in sys.argv[1:]:
        c()
finish()
