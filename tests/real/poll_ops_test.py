#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""method query, as an operator sees it: what status and metrics say, and what holds polls. In each pipeline a second source
without throttle, or a table without the trouble, is the control."""
import json
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
import mysql  # noqa: E402
from harness import Pipeline, case, connect, eventually, finish, metric, metrics, together  # noqa: E402
from mysql import MyPipeline, add_server, run  # noqa: E402

HEAD = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    %s
    tables:
"""
FREE = """
  free:
    type: postgres
    dsn: {source}
    prefix: {id}.free
    tables:
      public.t: {{method: query, poll: {{column: at, every: 100ms}}}}
"""
MY_HEAD = HEAD.replace("type: postgres", "type: {type}\n    password: {password}\n    insecure: true")
MY_FREE = (FREE.replace("type: postgres", "type: {type}\n    password: {password}\n    insecure: true")
           .replace("public.t", "{id}.t"))
ROWS = 400
TABLE = ("create table busy(n int); create table t(id int primary key, at timestamptz default now()); create index on t(at, id);"
         f"insert into t select i, now() - interval '1 h' from generate_series(1, {ROWS}) i;")
MY_TABLE = ("create table t(id int primary key, at timestamp(6) null, key (at, id));\n"
            f"insert into t select seq, now() - interval 1 hour from seq_1_to_{ROWS};\n")


def tables(p):
    code, out, err = p.verb("status", "--json")
    assert code == 0, out + err
    parts = json.loads(out)["result"]["status"]["parts"]
    return {t["name"]: dict(t, part=part) for part in parts if part["name"] == "src" for t in part["tables"]}


def polled(p, table="public.t"):
    """What status says of the table's polls, {} before it does."""
    return tables(p).get(table, {}).get("poll") or {}


def throttled(p, reason):
    return metric(p, "source_throttled", f'reason="{reason}"') == 1


def told(name, p, space, hold, pattern, nulls, extra):
    """A04, A07: a transaction that is left open is named in status and metrics with the lag that it makes, rows without
    a time are counted; both pass."""
    with case(name, p):
        table = f"{space}.t"
        p.start()
        p.wait_events("t", ROWS, space)
        eventually("the bound follows", lambda: (tables(p)[table]["lag_seconds"] or 99) < 30)
        assert metric(p, "poll_waits_seconds") is None
        who = hold()
        eventually("who holds it, in status", lambda: re.search(pattern % who, polled(p, table).get("waits_for") or ""))
        eventually("and in metrics", lambda: (metric(p, "poll_waits_seconds", f'table="{table}"', str(who)) or 0) >= 5)
        assert metric(p, "table_lag_seconds", f'table="{table}"') >= 5
        assert metric(p, "source_lag_seconds") >= 5
        poll = polled(p, table)
        assert poll["behind_seconds"] >= 4 and poll["rows"] == ROWS and poll["pages"] > 0 and poll["waits_since"], poll
        assert poll["last"] and poll["last_rows"] == 0 and poll["paused"] is None, poll
        code, text, err = p.verb("status")
        assert re.search("rows wait for " + pattern % who + ".*open for", text), text
        assert metric(p, "poll_null_rows", f'table="{table}"') == nulls == poll["nulls"], poll
        assert f"{nulls} rows are never read" in text and f"{nulls} rows have no at" in p.log(), text
        extra(poll)
        hold(False)
        eventually("nobody holds it", lambda: polled(p, table)["waits_for"] is None)
        assert metric(p, "poll_waits_seconds", str(who)) is None
        assert p.stop() == 0
    p.close()


def held_bound():
    p = Pipeline(HEAD % "" + "      public.t: {{method: query, poll: {{column: at, every: 100ms}}}}\n"
                 "      public.n: {{method: query, poll: {{column: id, every: 60s}}}}\n", target=False)
    p.sql(TABLE + "insert into t values (-1, null), (-2, null), (-3, null); create table n(id int primary key);"
          "insert into n values (1), (2), (7)")
    c = connect(p.source)
    c.autocommit = False

    def hold(begin=True):
        c.cursor().execute("select 1") if begin else c.rollback()
        return c.get_backend_pid()

    def numbers(_):
        n = polled(p, "public.n")
        assert n["gaps"] == 4 and n["nulls"] == 0 and n["next"] and n["last_rows"] == 3, n
        assert metric(p, "poll_gaps", 'table="public.n"') == 4
        assert metric(p, "poll_rows", 'table="public.n"') == 3
        assert "next poll " in p.verb("status")[1] and "4 numbers may still come" in p.verb("status")[1]
        assert metric(p, "poll_seconds_count") > 1
    told("poll_ops_held_bound", p, "public", hold, r"pid %d \(", 3, numbers)
    c.close()


def my_held_bound():
    p = my_pipeline("", "every: 100ms")
    p.sql("insert into t values (-1, null), (-2, null)")
    c = mysql.connect(p.root, database=p.id, autocommit=False)

    def hold(begin=True):
        run(c, "insert into t values (-9, null)") if begin else c.rollback()
        return c.thread_id()
    told("poll_ops_mariadb_held_bound", p, p.id, hold, r"thread %d\b", 2, lambda poll: None)
    c.close()


def pipeline(throttle, poll="every: 100ms"):
    p = Pipeline(HEAD % f"throttle: {{{{{throttle}}}}}" + "      public.t: {{method: query, poll: {{column: at, %s}}}}\n" % poll + FREE,
                 target=False)
    p.sql(TABLE)
    return p


def my_pipeline(throttle, poll):
    line = f"throttle: {{{{{throttle}}}}}" if throttle else ""
    p = MyPipeline(MY_HEAD % line + "      {id}.t: {{method: query, poll: {{column: at, %s}}}}\n" % poll + (MY_FREE if throttle else ""))
    p.grant("process on *.*")
    p.sql(MY_TABLE)
    return p


def waits_and_goes_on(p, reason, cause, release, space="public"):
    """Nothing is read while it waits, the source beside it reads; then all is read, once."""
    p.says("polling waits: throttle." + reason)
    p.wait_events("t", ROWS, f"free.{space}")
    assert not p.messages("t", space), "rows were read"
    eventually("the cause in status", lambda: cause in (polled(p, f"{space}.t").get("paused") or ""))
    table = tables(p)[f"{space}.t"]
    assert table["state"] == "throttled" and cause in table["part"]["reason"], table
    assert throttled(p, reason) and 'source="free"' in metrics(p)
    assert metric(p, "table_state", f'table="{space}.t"', 'state="throttled"') == 1
    assert "why: " + cause in p.verb("status")[1]
    release()
    p.says("polling goes on", seconds=90)
    ids = sorted(e["after"]["id"] for e in p.wait_events("t", ROWS, space))
    assert ids == list(range(1, ROWS + 1)), f"{len(ids)} rows"
    eventually("it is said no longer", lambda: not throttled(p, reason) and tables(p)[f"{space}.t"]["state"] == "streaming")
    assert p.log().count("polling waits") == 1, "one line a pause"
    assert p.stop() == 0


def by_query():
    p = pipeline('query: "select count(*) from public.busy"')
    with case("poll_ops_throttle_query", p):
        p.sql("insert into busy values (1)")
        code, out, err = p.verb("plan")
        assert "polls would wait now: throttle.query: 1 is above 0" in out, out + err
        p.start()
        waits_and_goes_on(p, "query", "throttle.query: 1 is above 0", lambda: p.sql("delete from busy"))
        p.write(HEAD % 'throttle: {{query: "select \'seven\'"}}' + "      public.t: {{method: query, poll: {{column: at}}}}\n")
        p.start()
        p.refused(2, "throttle.query answers with something that is no number")
    p.close()


def by_load():
    p = pipeline('max_load: "active=1"')
    with case("poll_ops_throttle_max_load", p):
        # The server is shared: two of ours are above the limit whatever the others do.
        ends = [connect(p.source) for _ in range(2)]

        def work(c):
            try:
                c.cursor().execute("select pg_sleep(600)")
            except harness.psycopg2.Error:
                pass
        threads = [threading.Thread(target=work, args=(c,)) for c in ends]
        for t in threads:
            t.start()
        # autocommit, but a statement is a transaction as well, and holds the bound: rows of an hour ago are below it
        p.start()
        p.says("polling waits: throttle.max_load: ", "statements run, more than 1")
        p.wait_events("t", ROWS, "free.public")
        assert not p.messages("t") and throttled(p, "max_load")
        assert "throttle.max_load: " in polled(p)["paused"], polled(p)
        for c in ends:
            c.cancel()
        for t in threads:
            t.join()
        assert p.stop() == 0
        p.write(HEAD % 'throttle: {{max_load: "active=500"}}' + "      public.t: {{method: query, poll: {{column: at, every: 100ms}}}}\n")
        p.start()
        p.wait_events("t", ROWS)
        assert not throttled(p, "max_load") and p.stop() == 0
    p.close()


def clock(hour, minute, second):
    """TZ in which it is that time of day now."""
    now = int(time.time()) % 86400
    west = (now - (hour * 3600 + minute * 60 + second)) % 86400
    return "TST%d:%02d:%02d" % (west // 3600, west // 60 % 60, west % 60)


def by_window(name, make, space):
    """Outside the window for hours; then started anew within it."""
    p = make('window: "20:00-06:00"', "every: 100ms")
    space = space or p.id
    with case(name, p):
        def release():
            assert p.stop() == 0
            p.env["TZ"] = clock(21, 0, 0)
            p.start()
        p.env["TZ"] = clock(12, 0, 0)
        p.start()
        p.says("polling waits: throttle.window: outside 20:00-06:00")
        p.wait_events("t", ROWS, f"free.{space}")
        assert not p.messages("t", space), "rows were read"
        eventually("the cause in status", lambda: polled(p, f"{space}.t").get("paused") == "throttle.window: outside 20:00-06:00")
        assert throttled(p, "window")
        release()
        p.wait_events("t", ROWS, space)
        eventually("it is said no longer", lambda: not throttled(p, "window") and polled(p, f"{space}.t").get("paused") is None)
        assert p.stop() == 0
    p.close()


def by_rows(name, make, space):
    """A pause after each page, as long as its rows cost; what comes is all there."""
    p = make("rows_per_second: 50", "every: 100ms, batch: 100")
    space = space or p.id
    with case(name, p):
        begun = time.time()
        p.start()
        p.wait_events("t", ROWS, f"free.{space}")
        eventually("the cause in status", lambda: polled(p, f"{space}.t").get("paused") == "throttle.rows_per_second: no more than 50")
        eventually("and in metrics", lambda: throttled(p, "rows_per_second"))
        state = tables(p)[f"{space}.t"]["state"]
        assert state != "throttled", state
        events = p.wait_events("t", ROWS, space)
        assert time.time() - begun >= 5, f"{ROWS} rows in {time.time() - begun:.1f} s"
        assert len({e["after"]["id"] for e in events}) == len(events) == ROWS, f"{len(events)} events"
        eventually("it is said no longer", lambda: not throttled(p, "rows_per_second"))
        assert p.stop() == 0
    p.close()


def skew():
    """A09: applications whose clocks are wrong. max_skew waits for them; without it their rows are missed, and plan says so."""
    own = "create table %s(id int primary key, at timestamptz not null); create index on %s(at, id);"
    p = Pipeline(HEAD % "" + "      public.t: {{method: query, poll: {{column: at, every: 100ms, max_skew: 8s}}}}\n"
                 "      public.u: {{method: query, poll: {{column: at, every: 100ms}}}}\n"
                 "      public.d: {{method: query, poll: {{column: at, every: 100ms}}}}\n", target=False)
    with case("poll_ops_skew", p):
        p.sql(own % ("t", "t") + own % ("u", "u") + "create table d(id int primary key, at timestamptz not null default now())")
        code, out, err = p.verb("plan")
        assert code == 0 and "public.u: at has no default and no trigger" in out and "poll.max_skew" in out, out + err
        assert "public.t: at has no default" not in out and "public.d: at has no default" not in out, out
        p.start()
        for attempt in range(3):
            right, wrong = 2 * attempt + 1, 2 * attempt + 2
            both = "insert into t values (%s, {0}); insert into u values (%s, {0})"
            p.sql(both.format("clock_timestamp()"), right, right)
            p.wait_events("u", attempt + 1)
            # By a clock that is wrong by less than max_skew: before the other's row, which was read.
            near, stamp = p.sql("select clock_timestamp() - at < interval '6 s', at - interval '1 s' from u where id = %s", right)[0]
            if near:
                p.sql(both.format("%s"), wrong, stamp, wrong, stamp)
                break
        assert near, "this machine was too busy three times"
        got = [e["after"]["id"] for e in p.wait_events("t", attempt + 2)]
        assert sorted(got) == [r[0] for r in p.sql("select id from t order by id")], got
        assert wrong not in [e["after"]["id"] for e in p.events("u")], "nothing was missed without max_skew: this run proves nothing"
        assert p.stop() == 0
    p.close()


def my_replica():
    """A13: what is open on the primary is not seen on a replica, which is refused; where it is none, not. (PostgreSQL:
    pg_failover_test.py.)"""
    p = my_pipeline("rows_per_second: 100000", "every: 100ms")
    with case("poll_ops_mariadb_replica", p):
        c = mysql.connect(p.root)
        run(c, "change master 'f' to master_host = '127.0.0.1', master_port = 1, master_user = 'nobody'")
        try:
            run(c, "start slave 'f' sql_thread")
            p.start()
            p.refused(2, "the server is a replica: transactions that are open on the primary are not seen here", "give the primary's address in dsn")
        finally:
            run(c, "stop slave 'f'")
            run(c, "reset slave 'f' all")
            c.close()
        p.start()
        p.wait_events("t", ROWS, p.id)
        assert p.stop() == 0
        p.write(MY_HEAD % "" + "      {id}.t: {{method: query, poll: {{column: at, allow_replica: true}}}}\n")
        code, out, err = p.verb("validate")
        assert code == 2 and "a replica does not say when transactions began" in out + err, out + err
    p.close()


if __name__ == "__main__":
    tests = [held_bound, by_query, by_load, skew,
             lambda: by_window("poll_ops_throttle_window", pipeline, "public"),
             lambda: by_rows("poll_ops_throttle_rows", pipeline, "public")]
    there, why = add_server("mariadb")
    if there:
        tests += [my_held_bound,
                  lambda: by_window("poll_ops_mariadb_throttle_window", my_pipeline, None),
                  lambda: by_rows("poll_ops_mariadb_throttle_rows", my_pipeline, None)]
    else:
        print(f"skip poll_ops.mariadb: {why}", flush=True)
    wanted = sys.argv[1:]
    together([t for t in tests if not wanted or t.__name__ in wanted], 4)
    if there and (not wanted or "my_replica" in wanted):  # for a moment the server is none that can be polled
        my_replica()
    finish()
