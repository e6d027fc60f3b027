#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
# alone: it kills servers of the shared stack, and wants one that nobody writes to
"""The way through from MariaDB and MySQL: a row from table to topic to a table in PostgreSQL, by snapshot and
by log, over a stop, a SIGKILL, a changed table, rotation and a new server start."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish, stack, together  # noqa: E402
from mysql import MyPipeline, add_server, connect, run  # noqa: E402

CONFIG = """
sources:
  src:
    type: {type}
    dsn: {source}
    password: {password}
    prefix: {id}
    tables:
      {id}.orders: {{snapshot: {{chunk: 20}}}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.{id}.orders"]
    create: run
    on_change: {{add_column: evolve}}
    write: {{every: 50ms}}
"""


def flow(server):
    p = MyPipeline(CONFIG, server, target=True)
    try:
        cases(p, "mysql_flow." + server)
    finally:
        p.close()


def where_it_was_logged(p):
    """What an event's source says of the log is what the server says of it (SHOW BINLOG EVENTS)."""
    events = [e for e in p.events("orders", space=p.id) if e is not None]
    logged = [e["source"] for e in events if e["op"] != "r"]
    assert len(logged) == 3 and all(e["source"]["file"] is e["source"]["gtid"] is None for e in events if e["op"] == "r")
    own = str(p.sql("select @@server_id")[0][0])
    c = connect(p.root, use_unicode=False)     # what is shown of other events may be any bytes

    def shown(text):
        return [[x.decode("latin-1") if isinstance(x, bytes) else x for x in r] for r in run(c, text)]

    for s in logged:
        rows = shown(f"show binlog events in '{s['file']}' from {s['pos']} limit 1")[0]
        assert rows[1] == s["pos"] and "_rows" in rows[2].lower() and str(rows[3]) == own == str(s["server_id"]), (s, rows)
        assert s["row"] == 0, s
        gtids = [r for r in shown(f"show binlog events in '{s['file']}'") if r[1] < s["pos"] and "gtid" in r[2].lower() and "prev" not in r[2].lower()
                 and "list" not in r[2].lower()]
        assert s["gtid"] and s["gtid"] in gtids[-1][5], (s, gtids[-1])
        # MariaDB sends no BEGIN, which would have the connection's number.
        assert s["thread"] is None if p.server == "mariadb" else s["thread"] > 0, s
    c.close()


def cases(p, name):
    def both(columns="id, status, total, note"):
        source = [tuple(r) for r in p.sql(f"select {columns} from orders order by id")]
        try:
            return source, Pipeline.sql(p, f"select {columns} from orders order by id", on=p.target)
        except Exception:
            return source, None

    def same(columns="id, status, total, note"):
        eventually("target equals source", lambda: (lambda a, b: a == b)(*both(columns)), 150)

    def events(count):
        return p.wait_events("orders", count, space=p.id, seconds=150)

    p.sql("create table orders (id int unsigned primary key, status varchar(10) not null, total decimal(10,2), note text)")
    p.sql("insert into orders values (1, 'open', 12.30, null), (2, 'paid', -0.05, 'na\u00efve \u8868 \U0001f30a')")
    for i in range(100, 200):
        p.sql("insert into orders values (%s, 'bulk', %s, 'x')", i, i)
    with case(name + ".plan", p):
        code, out, err = p.verb("plan")
        assert code == 0, (code, out, err)
        assert "my.log_bin" in out and "my.snapshot_lock" in out, out
    with case(name + ".snapshot", p):
        p.start()
        got = {e["after"]["id"]: e for e in events(102)}
        assert {e["op"] for e in got.values()} == {"r"} and len(got) == 102, len(got)
        assert str(got[1]["after"]["total"]) == "12.30" and got[2]["after"]["note"] == "na\u00efve \u8868 \U0001f30a"
        same()
    with case(name + ".insert_update_delete", p):
        p.sql("insert into orders values (3, 'new', 1, '')")
        p.sql("update orders set status = 'paid' where id = 1")
        p.sql("delete from orders where id = 2")
        got = events(105)
        assert sorted(e["op"] for e in got if e["op"] != "r") == ["c", "d", "u"], got[-3:]
        same()
        assert len([m for m in p.messages("orders", space=p.id) if m.value() is None]) == 1
    with case(name + ".source_record", p):
        where_it_was_logged(p)
    with case(name + ".key_change", p):
        p.sql("update orders set id = 30 where id = 3")
        events(107)
        same()
    with case(name + ".stop_and_start", p):
        assert p.stop() == 0
        p.sql("insert into orders values (4, 'away', 4, 'while it was down')")
        p.start()
        events(108)
        same()
    with case(name + ".sigkill", p):
        p.kill()
        p.sql("flush logs")
        p.sql("update orders set total = total + 1 where id = 4")
        p.start()
        events(109)
        same()
    with case(name + ".add_column", p):
        p.sql("alter table orders add column extra int")
        p.sql("insert into orders values (5, 'wide', 5, 'w', 55)")
        events(110)
        same("id, status, total, note, extra")
    with case(name + ".server_restart", p):
        stack("kill", p.server, "-9")
        stack("start", p.server)
        p.sql("insert into orders values (6, 'back', 6, 'b', 6)")
        events(111)
        same("id, status, total, note, extra")
    with case(name + ".nothing_twice", p):
        got = [e for e in p.events("orders", space=p.id) if e is not None]
        places = [(e["source"]["epoch"], e["source"]["sequence"], e["source"]["ordinal"], e["op"])
                  for e in got if e["op"] != "r"]
        assert len(got) == 111 and len(set(places)) == len(places), (len(got), places)
        code, out, err = p.verb("status")
        assert code == 0 and "streaming" in out, (code, out, err)
        assert p.stop() == 0
        assert "Sanitizer" not in p.log(), p.log()[-3000:]
    with case(name + ".position_reset", p):
        code, out, err = p.verb("position", "show", "src")
        assert code == 0 and "mysql-bin." in out + err, (code, out, err)
        code, out, err = p.verb("position", "reset", "src", "--yes")
        assert code == 0, (code, out, err)
        p.start()
        got = events(111 + len(p.sql("select id from orders")))
        assert {e["source"]["epoch"] for e in got} == {0, 1}
        same("id, status, total, note, extra")
    with case(name + ".snapshot_again", p):     # nobody writes: no event says where the log ends
        rows = len(p.sql("select id from orders"))
        code, out, err = p.verb("snapshot", "start", f"src/{p.id}.orders", "--yes")
        assert code == 0, out + err
        events(111 + 2 * rows)
        same("id, status, total, note, extra")


flows = []
for wanted in os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split():
    there, why = add_server(wanted)
    if there:
        flows.append(lambda server=wanted: flow(server))
    else:
        print(f"skip mysql_flow.{wanted}: {why}", flush=True)
together(flows)
finish()
