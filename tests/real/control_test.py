#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""pause, resume, stop, restart (decision 25): the operator's will is a record in Kafka that survives whatever ends; what
waits is not lost and does not come twice."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PG_SOURCE, Pipeline, case, connect, eventually, finish, metric, metrics, read_topics, together  # noqa: E402

from confluent_kafka import Producer  # noqa: E402

CONFIG = PG_SOURCE.replace("    tables:", "    log: {{slot: {slot}, publication: p{id}}}\n    tables:") + """
      public.t: {{}}
      public.u: {{}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: run
    write: {{every: 50ms}}
"""


def pipeline(config=CONFIG):
    p = Pipeline(config)
    p.sql(f"create publication p{p.id} for all tables; create table t (id int primary key, v text); create table u (id int primary key, v text);"
          "insert into t select n, 'x' from generate_series(1, 20) n")
    return p


def ok(p, *words):
    code, out, err = p.verb(*words)
    assert code == 0, f"{words}: {code}: {out}{err}"
    return out


def status(p):
    code, out, err = p.verb("status", "--json")
    assert code in (0, 4), out + err
    return json.loads(out)["result"]["status"]


def part(p, kind):
    return [s for s in status(p)["parts"] if s["kind"] == kind][0]


def records(p):
    return [(m.key().decode(), m.value() and json.loads(m.value())) for m in read_topics(p.bootstrap, [f"freshet.{p.id}.control"])]


def produce(p, key, value):
    producer = Producer({"bootstrap.servers": p.bootstrap})
    producer.produce(f"freshet.{p.id}.control", key=key, value=value)
    assert producer.flush(20) == 0


def target(p):
    c = connect(p.target)
    try:
        q = c.cursor()
        q.execute("select to_regclass('t')")
        if q.fetchone()[0] is None:
            return []
        q.execute("select id from t order by 1")
        return [r[0] for r in q.fetchall()]
    finally:
        c.close()


def ids(p):
    return [e["after"]["id"] for e in p.events("t")]


def held(p, table="public.t"):
    return [t for t in part(p, "source")["tables"] if t["name"] == table][0]


def exact(p, upto):
    """Every row once, in Kafka; and once the sink follows, there."""
    want = list(range(1, upto + 1))
    eventually(f"{upto} rows in Kafka", lambda: sorted(ids(p)) == want)
    return want


def a_source():
    """A paused source reads nothing, over a restart too, and its slot keeps the rows; stop leaves the server alone."""
    p = pipeline()
    with case("control.source", p):
        p.start()
        want = exact(p, 20)
        eventually("the sink follows", lambda: target(p) == want)
        eventually("what is kept is known", lambda: (part(p, "source")["connector"] or {}).get("retained_bytes") is not None)
        code, out, err = p.verb("pause", "src")
        assert code == 2 and "nobody can be asked" in err and "log kept" in out, (code, out, err)
        assert "Dry run" in ok(p, "pause", "src", "--dry-run")
        assert records(p) == [], "nothing was asked for"
        out = ok(p, "pause", "src", "--why", "night shift", "-y")
        assert "src is paused." in out and "max_slot_wal_keep_size" in out, out
        (key, value), = records(p)
        assert key == "source/src" and value["state"] == "paused" and value["why"] == "night shift" and "@" in value["by"], value
        p.sql("insert into t select n, 'y' from generate_series(21, 40) n")
        s = part(p, "source")
        assert s["state"] == "paused" and "night shift" in s["reason"] and s["will"]["state"] == "paused", s
        assert not s["connector"]["connected"] and metric(p, "source_connected") == 0
        assert status(p)["stalled"] is False
        eventually("what is kept is watched", lambda: part(p, "source")["connector"]["retained_bytes"] > 0)
        kept = part(p, "source")["connector"]["retained_bytes"]
        p.sql("insert into u select n, repeat('z', 900) from generate_series(1, 2000) n")
        eventually("and grows", lambda: part(p, "source")["connector"]["retained_bytes"] > kept + 1000000)
        text = ok(p, "status")
        assert "freshet resume src" in text and "why: by" in text, text
        p.kill()
        p.start()
        p.says("source src is paused by")
        assert p.sql("select active from pg_replication_slots where database = current_database()")[0][0] is False
        assert sorted(ids(p)) == want, "it read although it is paused"
        assert p.verb("position", "reset", "src", "--dry-run")[0] == 2, "a paused source is the daemon's"
        assert "is stopped" in ok(p, "stop", "src", "-y")
        assert "would start over" in ok(p, "position", "reset", "src", "--dry-run")
        eventually("no connection is left", lambda: p.sql(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")[0][0] == 0)
        assert "src goes on." in ok(p, "resume", "src", "-y")
        want = exact(p, 40)
        eventually("the sink follows", lambda: target(p) == want)
        before = p.log(True).count("source src is to be running")
        ok(p, "restart", "src", "-y")
        assert p.log(True).count("source src is to be running, from the beginning") == 1, before
        assert "restarting" not in part(p, "source")["will"], "it had not happened yet"
        p.sql("insert into t select n, 'z' from generate_series(41, 60) n")
        exact(p, 60)
        assert p.stop() == 0
        p.start()  # what is over leaves no trace
        p.sql("insert into t values (61, 'w')")
        exact(p, 61)
        assert p.stop() == 0
    p.close()


def a_sink():
    """The rows of a paused sink wait in Kafka, over a kill, and come; without a daemon the record is written all the same."""
    p = pipeline()
    with case("control.sink", p):
        p.start()
        want = exact(p, 20)
        eventually("the sink follows", lambda: target(p) == want)
        assert "is paused" in ok(p, "pause", "dst", "-y")
        p.sql("insert into t select n, 'y' from generate_series(21, 40) n")
        exact(p, 40)  # the control: the source goes on, so the rows are there to be missed
        assert target(p) == want and part(p, "sink")["state"] == "paused" and status(p)["stalled"] is False
        p.kill()
        assert "freshet.sink" not in p.verb("status")[1]
        code, out, _ = p.verb("status")
        assert "sink/dst is paused since" in out, out
        p.start()
        p.says("sink dst is paused by")
        assert target(p) == want
        p.kill()
        assert "written down" in ok(p, "resume", "dst", "-y")
        p.start()
        want = list(range(1, 41))
        eventually("they come", lambda: target(p) == want)
        assert p.stop() == 0
        ok(p, "stop", "d*", "src", "-y", "--why", "a glob")
        assert [(k, v["state"]) for k, v in records(p)[-2:]] == [("sink/dst", "stopped"), ("source/src", "stopped")], records(p)
        p.start()
        p.says("sink dst is stopped by")
        code, out, err = p.verb("pause", "dts", "-y")
        assert code == 2 and "did you mean `dst`" in err, err
        code, out, err = p.verb("pause", "src/public.tt", "-y")
        assert code == 2 and "did you mean `src/public.t`" in err, err
        code, out, err = p.verb("stop", "src/public.t", "-y")
        assert code == 2 and "freshet pause src/public.t" in err, err
        ok(p, "resume", "dst", "src", "-y")
        p.sql("insert into t values (41, 'z')")
        eventually("it follows again", lambda: target(p) == want + [41])
        assert p.stop() == 0
    p.close()


def a_table():
    """A paused table waits while the other goes on, over a kill; then its rows come once, in order. What was said while
    nothing ran is obeyed."""
    p = pipeline()
    with case("control.table", p):
        p.start()
        exact(p, 20)
        out = ok(p, "pause", "src/public.t", "--why", "night shift", "-y")
        assert "src/public.t is paused." in out and "the other tables go on" in out, out
        p.sql("insert into t select n, 'y' from generate_series(21, 40) n; insert into u select n, 'y' from generate_series(1, 30) n")
        p.wait_events("u", 30)  # the control: what came after is there
        assert len(ids(p)) == 20, "a paused table was published"
        t = held(p)
        assert t["state"] == "paused" and t["held"]["code"] == "operator" and "night shift" in t["held"]["why"], t
        assert t["held"]["next"] == "freshet resume src/public.t" and t["will"]["state"] == "paused", t
        eventually("what waits is counted", lambda: held(p)["held"]["waiting"] >= 20)
        assert metric(p, "table_held", 'table="public.t"', 'code="operator"') == 1
        assert metric(p, "table_held", 'table="public.u"', 'code=""') == 0
        assert metric(p, "table_schema_blocked", 'table="public.t"') == 0
        text = ok(p, "status")
        assert "freshet resume src/public.t" in text and "events wait, log kept" in text, text
        p.kill()
        p.start()
        p.sql("insert into u values (31, 'z')")
        p.wait_events("u", 31)
        assert len(ids(p)) == 20 and held(p)["state"] == "paused"
        assert "goes on" in ok(p, "resume", "src/public.*", "-y")
        exact(p, 40)
        eventually("it is as the others", lambda: held(p)["held"] is None and held(p)["state"] == "streaming")
        p.sql("update t set v = 'new' where id = 1")
        p.wait_events("t", 41)
        ok(p, "pause", "src/public.t", "-y")
        p.sql("insert into t select n, 'y' from generate_series(41, 50) n")
        eventually("they wait", lambda: held(p)["held"]["waiting"] >= 10)
        assert p.stop() == 0
        assert "written down" in ok(p, "resume", "src/public.t", "-y")
        p.start()
        p.wait_events("t", 51)
        assert sorted(e["after"]["id"] for e in p.events("t") if e["op"] != "u") == list(range(1, 51))
        assert p.stop() == 0
        ok(p, "pause", "src/public.t", "-y")
        p.start()
        p.sql("insert into t values (51, 'y'); insert into u values (32, 'z')")
        p.wait_events("u", 32)
        assert len(p.events("t")) == 51
        assert "goes on" in ok(p, "resume", "src/public.t", "--anew", "-y")
        got = p.wait_events("t", 51 + 51)
        assert sorted(e["after"]["id"] for e in got if e["op"] == "r").count(51) == 1, "a new snapshot has it"
        assert p.stop() == 0
    p.close()


def a_topic():
    """A paused topic of a sink waits in Kafka while another goes on, over a kill; then its rows come."""
    p = pipeline(CONFIG.replace('"{id}.public.t"', '"{id}.public.t", "{id}.public.u"'))

    def others():
        return [r[0] for r in p.sql("select id from u order by 1", on=p.target)] if p.sql("select to_regclass('u')", on=p.target)[0][0] else []

    def topic():
        return ([t for t in part(p, "sink")["tables"] if t["held"]] or [None])[0]
    with case("control.topic", p):
        p.sql("insert into u values (1, 'x')")
        p.start()
        want = exact(p, 20)
        eventually("the sink follows", lambda: target(p) == want and others() == [1])
        assert "is paused" in ok(p, "pause", f"dst/{p.id}.public.t", "-y")
        p.sql("insert into t select n, 'y' from generate_series(21, 40) n; insert into u values (2, 'y')")
        eventually("the other goes on", lambda: others() == [1, 2])
        assert target(p) == want and topic()["state"] == "paused" and topic()["held"]["code"] == "operator", topic()
        p.kill()
        p.start()
        p.sql("insert into u values (3, 'y')")
        eventually("the other goes on", lambda: others() == [1, 2, 3])
        assert target(p) == want
        ok(p, "resume", f"dst/{p.id}.public.*", "-y")
        eventually("they come", lambda: target(p) == list(range(1, 41)))
        eventually("it is as the other", lambda: topic() is None)
        assert p.stop() == 0
    p.close()


def hostile():
    """A record that nobody understands: refused at a start, said while running, and mended by a newer one."""
    p = pipeline()
    with case("control.hostile", p):
        p.start()
        exact(p, 20)
        produce(p, b"source/src", b'{"v": 2, "state": "paused"}')
        eventually("it is said", lambda: status(p)["control_error"])
        error = status(p)["control_error"]
        assert error["code"] == "control.record" and "newer freshet (version 2" in error["text"], error
        assert "is not followed" in ok(p, "status")
        p.sql("insert into t values (21, 'y')")
        exact(p, 21)  # it stops nothing
        assert p.stop() == 0
        p.start()
        p.refused(2, "control.record", f"freshet.{p.id}.control", "source/src", "freshet pause")
        out = p.verb("status")[1]
        assert "control.record" in out and "`source/src`" in out, out
        ok(p, "resume", "src", "-y")
        for key, value in ((b"surprise", b'{"v":1}'), (b"table/src/nodot", b'{"v":1,"state":"paused","at":1}'), (b"sink/dst", b"\xff\x00"),
                           (b"\xff\x1b[31m", b"[]")):
            produce(p, key, value)
            p.start()
            p.refused(2, "control.record")
            assert "\x1b[31m" not in p.log(True)
            produce(p, key, None)
        produce(p, b"source/gone", b'{"v":1,"state":"paused","by":"x","at":1,"why":""}')
        p.start()
        p.says("the configuration has no source gone")
        p.sql("insert into t values (22, 'y')")
        exact(p, 22)
        assert "freshet_table_held" in metrics(p)
        assert p.stop() == 0
    p.close()


if __name__ == "__main__":
    chosen = [f for f in (a_source, a_sink, a_table, a_topic, hostile) if len(sys.argv) < 2 or f.__name__ in sys.argv[1:]]
    began = time.time()
    together(chosen, workers=5)
    if len(sys.argv) > 1:
        print(f"{time.time() - began:.1f} s")
    finish()
