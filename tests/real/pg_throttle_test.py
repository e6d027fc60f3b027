#!/usr/bin/env python3
"""throttle.*: a snapshot waits for a busy server, says why, and goes on by itself; every row is there once. And what
plan says of a checkpoint whose slot is not fit to go on with."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
from harness import Pipeline, case, connect, eventually, finish, together  # noqa: E402

ROWS = 3000
SOURCE = """
sources:
  {id}:
    type: postgres
    dsn: {source}
    log: {{slot: {slot}, publication: p}}
    throttle: {{max_connections: 4, %s}}
    tables:
      public.t: {{snapshot: {{chunk: 500}}}}
"""
TABLES = f"""
create table busy(n int);
create table t(id int primary key, v text);
insert into t select i, 'row ' || i from generate_series(1, {ROWS}) i;
create publication p for table t;
"""


def made(throttle):
    p = Pipeline(SOURCE % throttle, target=False)
    p.sql(TABLES)
    return p


def state(p):
    code, out, err = p.verb("status", "--json")
    return out if code == 0 else ""


def all_there(p, more=()):
    events = p.wait_events("t", ROWS + len(more))
    ids = sorted(e["after"]["id"] for e in events)
    assert ids == sorted(list(range(1, ROWS + 1)) + list(more)), f"{len(ids)} rows"


def asked_by_a_query():
    p = made('query: "select count(*) from public.busy"')
    with case("throttle_query", p):
        p.sql("insert into busy values (1)")
        p.start()
        p.says("snapshot waits: throttle.query: 1 is above 0")
        eventually("the cause in status", lambda: "throttle.query: 1 is above 0" in state(p))
        assert '"throttled"' in state(p)
        assert not p.messages("t"), "rows were read"
        p.sql("delete from busy")
        p.says("snapshot goes on", "snapshot: done")
        all_there(p)
        assert p.log().count("snapshot waits") == 1, "one line a pause"
        assert p.stop() == 0
    p.close()


def a_query_that_is_wrong():
    p = made('query: "select \'seven\'"')
    with case("throttle_query_is_no_number", p):
        code, out, err = p.verb("plan")
        assert "pg.throttle" in out and "no number" in out and "seven" not in out, out + err
        p.start()
        p.refused(2, "throttle.query answers with something that is no number")
        p.write(SOURCE % 'query: "select pg_sleep(60)"')
        p.start()
        p.says("snapshot waits: throttle.query: no answer within 2 s")
        assert p.stop() == 0
        p.write(SOURCE % 'query: "insert into public.busy values (1) returning n"')
        p.start()
        p.refused(2, "read-only")
    p.close()


def many_statements():
    p = made('max_load: "active=1"')
    with case("throttle_max_load", p):
        # The server is shared: two of ours are above the limit whatever the others do.
        ends = [connect(p.source) for _ in range(2)]
        work = [threading.Thread(target=lambda c=c: quiet(c, "select pg_sleep(600)")) for c in ends]
        for w in work:
            w.start()
        p.start()
        p.says("snapshot waits: throttle.max_load: ", "statements run, more than 1")
        for c in ends:
            c.cancel()
        for w in work:
            w.join()
        p.write(SOURCE % 'max_load: "active=500"')
        p.stop()
        p.start()
        p.says("snapshot: done")
        all_there(p)
        assert p.stop() == 0
    p.close()


def quiet(c, sql):
    try:
        c.cursor().execute(sql)
    except harness.psycopg2.Error:
        pass


def without_the_right():
    p = made('max_load: "active=1"')
    role = "r" + p.id
    p.sql(f"create role {role} login replication; grant select on t to {role}")
    with case("throttle_needs_the_right", p):
        p.source = p.source.replace("postgres@", role + "@")
        p.write(SOURCE % 'max_load: "active=1"')
        code, out, err = p.verb("plan")
        assert "pg.throttle" in out and f"GRANT pg_read_all_stats TO {role}" in out, out + err
        p.source = p.source.replace(role + "@", "postgres@")
        p.write(SOURCE % 'max_load: "Threads_running=25"')
        code, out, err = p.verb("plan")
        assert "pg.throttle" in out and "active=25" in out, out + err
    p.close()
    connect(os.environ["PG_DSN"]).cursor().execute(f"drop role {role}")


def clock(hour, minute, second):
    """TZ in which it is that time of day now."""
    now = int(time.time()) % 86400
    west = (now - (hour * 3600 + minute * 60 + second)) % 86400
    return "TST%d:%02d:%02d" % (west // 3600, west // 60 % 60, west % 60)


def outside_the_window():
    """The stream is followed while the snapshot waits for its hour; nothing holds xmin meanwhile. The hour has to
    come by itself, and on a busy machine it may come before we have looked: then once more, with more time."""
    pipelines = []
    with case("throttle_window", pipelines):
        assert any(before_the_hour(minutes, pipelines) for minutes in (1, 2, 4, 8)), "never looked in time"


def before_the_hour(minutes, pipelines):
    p = made('window: "20:00-06:00"')
    pipelines.append(p)
    p.env["TZ"] = clock(19, 60 - minutes, 0)
    p.start()
    p.says("snapshot waits: throttle.window: outside 20:00-06:00", "stream from", seconds=60 * minutes)
    p.sql("insert into t values (10000, 'new')")
    ids = [e["after"]["id"] for e in p.wait_events("t", 1)]
    told = state(p)
    held = p.sql("select count(*) from pg_stat_activity where backend_xmin is not null and"
                 " application_name = %s and state <> 'active'", f"freshet {p.id}")
    in_time = "snapshot goes on" not in p.log(True)
    if in_time:
        assert ids == [10000], f"a change is published meanwhile: {ids}"
        assert "throttle.window" in told
        assert held[0][0] == 0, "a view is held open"
        p.says("snapshot goes on", "snapshot: done", seconds=60 * minutes + 60)
        all_there(p, [10000, 10000])  # as a change, and as a row of the second view
        assert p.stop() == 0
    p.close()
    return in_time


def the_window_closes():
    p = made('window: "20:00-06:00", rows_per_second: 60')
    with case("throttle_window_closes", p):
        p.env["TZ"] = clock(5, 59, 35)
        p.start()
        p.says("snapshot waits: throttle.window", seconds=60)
        first = p.wait_events("t", 1)
        assert 0 < len(first) < ROWS, f"{len(first)} rows in the window"
        p.sql("insert into t values (10000, 'new')")
        eventually("the change", lambda: [e for e in p.events("t") if e["after"]["id"] == 10000])
        assert p.stop() == 0
        p.write(SOURCE % 'window: "20:00-06:00"')
        p.env["TZ"] = clock(20, 0, 1)
        p.start()
        p.says("snapshot: done")
        ids = [e["after"]["id"] for e in p.wait_events("t", ROWS + 1)]
        assert set(ids) == set(range(1, ROWS + 1)) | {10000}, "all rows"
        assert len(ids) <= ROWS + 2, f"{len(ids)} events: rows were read twice"
        assert p.stop() == 0
    p.close()


def plan_and_the_position():
    p = made("rows_per_second: 100000")

    def plan(*texts):
        code, out, err = p.verb("plan")
        for text in texts:
            assert text in out, f"{text!r} is missing: {out[-3000:]} {err}"
        return code

    with case("plan_looks_at_the_position", p):
        p.start()
        all_there(p)
        p.says("snapshot: done")
        assert plan("run goes on from its checkpoint") != 4, "while it runs, its own slot is no blocker"
        assert p.stop() == 0
        assert plan("run goes on from its checkpoint") != 4
        p.sql("select pg_drop_replication_slot(%s)", p.slot)
        assert plan("pg.slot_missing", "position reset") == 4
        p.sql("select pg_create_logical_replication_slot(%s, 'test_decoding')", p.slot)
        assert plan("pg.slot_foreign", "choose another log.slot") == 4
        p.sql("select pg_drop_replication_slot(%s)", p.slot)
        p.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", p.slot)
        assert plan("pg.slot_ahead", "position reset") == 4
        p.sql("select pg_drop_replication_slot(%s)", p.slot)
        p.sql("select pg_create_physical_replication_slot(%s)", p.slot)
        assert plan("pg.slot_foreign", "a physical slot") == 4
        p.sql("select pg_drop_replication_slot(%s)", p.slot)
        p.start()
        p.refused(5, "does not exist: changes since our position are gone")
    p.close()


def stop_while_it_plans():
    """Reading the catalog waits for a lock that somebody holds: SIGTERM ends it all the same."""
    p = made("rows_per_second: 100000")
    with case("stop_ends_what_waits_for_the_server", p):
        c = connect(p.source)
        c.autocommit = False
        c.cursor().execute("lock table pg_catalog.pg_publication in access exclusive mode")
        p.start()
        eventually("it waits", lambda: p.sql(
            "select 1 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'", f"freshet {p.id}",
            on=os.environ["PG_DSN"]))
        began = time.time()
        assert p.stop(30) == 0
        assert time.time() - began < 5, f"{time.time() - began:.1f} s"
        # The server notices when it has an answer to send, at the latest after our lock_timeout.
        eventually("nothing waits for us", lambda: not p.sql(
            "select 1 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'",
            f"freshet {p.id}", on=os.environ["PG_DSN"]), 60)
        c.rollback()
        c.close()
        c = connect(p.source)  # a transaction with an xid: the slot has to wait for it
        c.autocommit = False
        c.cursor().execute("insert into busy values (2)")
        p.start()
        eventually("the slot waits", lambda: p.sql(
            "select 1 from pg_stat_activity where query like 'CREATE_REPLICATION_SLOT %%' and state = 'active'"
            " and application_name = %s", f"freshet {p.id}", on=os.environ["PG_DSN"]))
        began = time.time()
        assert p.stop(30) == 0
        assert time.time() - began < 5, f"{time.time() - began:.1f} s"
        c.rollback()
        c.close()
        p.start()
        all_there(p)
        assert p.stop() == 0
    p.close()


if __name__ == "__main__":
    tests = [asked_by_a_query, a_query_that_is_wrong, many_statements, without_the_right, outside_the_window,
             the_window_closes, plan_and_the_position]
    alone = [stop_while_it_plans]  # its open transactions would hold up the others' slots
    for some in (tests, alone):
        together([t for t in some if not sys.argv[1:] or t.__name__ in sys.argv[1:]])
    finish()
