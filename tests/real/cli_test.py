#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""The verbs against real servers: plan finds what is missing and changes nothing, apply makes exactly
that, status, tap and position tell the truth with and without a daemon."""
import json
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FRESHET, Pipeline, case, eventually, finish, topics_of  # noqa: E402

BASE = """
version: 1
name: {id}
kafka: {{brokers: ["{bootstrap}"], topics: {{partitions: 2}}}}
registry: {{url: "{registry}"}}
http: {{listen: none, socket: {dir}/freshet.sock}}
daemon: {{cache_dir: {dir}}}
"""
SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.orders: {{}}
sinks:
  dst: {{type: postgres, dsn: "{target}", from: ["{id}.public.orders"]}}
"""

p = Pipeline("")
p.write(SOURCE, BASE)
p.sql("create table orders (id int primary key, total numeric(10,2), note text)")
p.sql("insert into orders select g, g, 'row' from generate_series(1, 3) g")


def answer(*words, code=None):
    """The document of --json."""
    rc, out, err = p.verb(*words, "--json")
    assert code is None or rc == code, (words, rc, out[-600:], err[-600:])
    return json.loads(out)


def findings(document, severity):
    return [f["code"] for s in document["result"]["sections"] for f in s["findings"] if f["severity"] == severity]


with case("cli.plan_blocks_and_changes_nothing"):
    before = topics_of(p.bootstrap, p.id)
    d = answer("plan", code=4)
    assert "pg.publication" in findings(d, "blocker"), d
    kinds = [(c["kind"], c["name"]) for c in d["result"]["plan"]["changes"]]
    assert kinds == [
        ("topic", f"freshet.{p.id}.control"), ("topic", f"freshet.{p.id}.checkpoint.src"),
        ("topic", f"{p.id}.message"), ("topic", f"freshet.{p.id}.notices"),
        ("topic", f"{p.id}.public.orders"),
        ("subject", f"{p.id}.public.orders-key"), ("subject", f"{p.id}.public.orders-value"),
        ("subject", f"{p.id}.message-key"), ("subject", f"{p.id}.message-value"),
        ("table", "dst orders")], kinds
    assert topics_of(p.bootstrap, p.id) == before == []
    assert p.sql("select count(*) from pg_publication") == [(0,)]
    assert p.sql("select to_regclass('orders')", on=p.target) == [(None,)]

with case("cli.sql_for_the_dba"):
    sql, saved = os.path.join(p.dir, "dba.sql"), os.path.join(p.dir, "plan.json")
    rc, text, err = p.verb("plan", "--sql", sql, "--out", saved)
    assert rc == 4, (rc, text, err)
    with open(sql) as f:
        script = f.read()
    at = [script.find(w) for w in ("NEEDS A LOCK", "No lock, no restart")]
    assert 0 < at[0] < at[1] and 'CREATE PUBLICATION "pub"' in script, script
    assert "-- " in script and "Undo:" in script and "Why:" in script, script

with case("cli.apply_refuses_blockers"):
    d = answer("apply", "-y", code=4)
    assert "blocker" in d["summary"], d
    assert topics_of(p.bootstrap, p.id) == []

p.sql("create publication pub for table orders")
with case("cli.apply_asks"):
    rc, out, err = p.verb("apply")
    assert rc == 2 and "cli.no_input" in err, (rc, err)
    d = answer("apply", "--dry-run", code=0)
    assert "would be created" in d["summary"], d
    assert topics_of(p.bootstrap, p.id) == []

with case("cli.apply_refuses_a_stale_plan"):
    d = answer("apply", "-y", "--plan-hash", "0123456789abcdef", code=4)
    assert d["error"]["code"] == "plan.stale", d

with case("cli.apply_makes_what_plan_showed"):
    d = answer("plan", "--out", saved, code=0)
    d = answer("apply", saved, "-y", code=0)
    assert [x["kind"] for x in d["result"]["done"]] == ["topic"] * 5 + ["subject"] * 4 + ["table"], d
    assert topics_of(p.bootstrap, p.id) == [f"{p.id}.message", f"{p.id}.public.orders"]
    assert p.sql("select count(*) from orders", on=p.target) == [(0,)]
    d = answer("plan", code=0)
    assert d["result"]["plan"]["changes"] == [], d
    d = answer("apply", "-y", code=0)
    assert "nothing to create" in d["summary"], d

with case("cli.status_without_a_daemon"):
    rc, text, err = p.verb("status")
    assert rc == 3 and "http.no_daemon" in err and "never run" in text, (rc, text, err)
    rc, text, err = p.verb("position", "show", "src")
    assert rc == 0 and "never run" in text, (rc, text, err)

with case("cli.status_with_a_daemon", p):
    p.start()
    p.wait_events("orders", 3)
    d = eventually("the sink has three rows", lambda: p.sql("select count(*) from orders", on=p.target) == [(3,)] and answer("status"))
    assert d["ok"] and d["result"]["status"]["pipeline"] == p.id, d
    rc, text, err = p.verb("status", "src/public.*")
    assert rc == 0 and "src/public.orders" in text, (rc, text, err)
    rc, text, err = p.verb("status", "public.orders")
    assert rc == 0 and "public.orders" in text, (rc, text, err)
    rc, text, err = p.verb("status", "src/public.nothing")
    assert rc == 2 and "cli.no_table" in err, (rc, err)

with case("cli.tap", p):
    d = answer("tap", "src/public.orders", "--from", "beginning", code=0)
    events = d["result"]["events"]
    assert sorted(e["key"]["id"] for e in events) == [1, 2, 3], d
    assert {e["value"]["after"]["total"] for e in events} == {"1.00", "2.00", "3.00"}, d
    rc, text, err = p.verb("tap", f"{p.id}.public.orders", "--from", "beginning", "--limit", "1")
    lines = text.splitlines()
    assert rc == 0 and lines[0].startswith("# topic ") and json.loads(lines[1])["op"] == "r" and lines[2] == "# 1 shown", text
    rc, text, err = p.verb("tap", "src/public.order", "--limit", "1")
    assert rc == 2 and "did you mean `src/public.orders`?" in err, (rc, err)
    rc, text, err = p.verb("tap", "src/public.orders", "--where", "id = 1")
    assert rc == 2 and "cli.not_built" in err, (rc, err)

with case("cli.position_show", p):
    d = answer("position", "show", "src", code=0)
    stream = d["result"]["checkpoint"]["stream"]
    assert p.slot in json.dumps(stream) and d["result"]["server"]["lsn"] > 0, d
    rc, text, err = p.verb("position", "show", "scr")
    assert rc == 2 and "did you mean `src`?" in err, (rc, err)

with case("cli.position_set_refuses_a_running_source", p):
    rc, text, err = p.verb("position", "set", "src", "--from-slot", "-y")
    assert rc == 2 and "position.running" in err, (rc, text, err)

with case("cli.position_set_tells_what_is_wrong", p):
    # Something answers, but refuses: nobody may say that it is freshet, nor that it is not.
    other = os.path.join(p.dir, "other.yaml")
    with open(p.config) as f, open(other, "w") as g:
        g.write(f.read().replace("freshet.sock", "other.sock"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(p.dir, "other.sock"))
        listener.listen(4)

        def refuse():
            with listener.accept()[0] as c:
                c.recv(65536)
                c.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        answering = threading.Thread(target=refuse)
        answering.start()
        q = subprocess.run([FRESHET, "position", "set", "src", "--from-slot", "-y", "--config", other],
                           capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        answering.join()
    assert q.returncode != 0 and "answered 401" in q.stderr and "position.running" not in q.stderr, q

with case("cli.doctor", p):
    d = answer("doctor")
    codes = {f["code"]: f["severity"] for f in d["result"]["findings"]}
    assert codes["config.validate"] == "fine" and codes["cache.dir"] == "fine", d

with case("cli.position_set_from_slot", p):
    assert p.stop() == 0
    p.sql("insert into orders values (4, 4, 'skipped')")
    p.sql(f"select pg_replication_slot_advance('{p.slot}', pg_current_wal_lsn())")
    p.start()  # the slot is past our position: this must stop, not go on
    eventually("the source stops", lambda: "pg.slot_ahead" in p.log())
    assert p.stop() == 5, p.log()
    rc, text, err = p.verb("position", "set", "src", "--from-slot", "--dry-run")
    assert rc == 0 and "Dry run" in text, (rc, text, err)
    rc, text, err = p.verb("position", "set", "src", "--from-slot", "-y")
    assert rc == 0 and "continues at the slot's position" in text, (rc, text, err)
    p.start()
    p.sql("insert into orders values (5, 5, 'after')")
    events = p.wait_events("orders", 4)
    assert sorted(e["after"]["id"] for e in events) == [1, 2, 3, 5], events
    assert p.stop() == 0

with case("cli.on_change_stop", p):
    p.sql("alter table orders drop column note; insert into orders values (6, 6)")
    p.write(SOURCE.replace("public.orders: {{}}", "public.orders: {{schema: {{on_change: {{drop_column: stop}}}}}}"), BASE)
    d = answer("plan", code=4)
    assert "schema.on_change" in findings(d, "blocker"), d
    p.start()
    eventually("the source stops", lambda: "schema.on_change.drop_column says stop" in p.log())
    assert p.stop() == 6, p.log()
    p.write(SOURCE.replace("public.orders: {{}}", "public.orders: {{schema: {{on_change: {{drop_column: evolve}}}}}}"), BASE)
    p.start()
    events = p.wait_events("orders", 5)
    assert "note" not in [e for e in events if e["after"]["id"] == 6][0]["after"], events
    assert p.stop() == 0

with case("cli.unreachable"):
    p.write(SOURCE.replace("{source}", "postgresql://postgres@127.0.0.1:1/x"), BASE.replace("{bootstrap}", "127.0.0.1:1"))
    d = answer("plan", code=3)
    assert not d["ok"], d
p.close()
finish()
