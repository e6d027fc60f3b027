#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""method query: a table is asked what is new, and no row that was ever committed is missed."""
import contextlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PG_SOURCE, Pipeline, case, checkpoint, connect, eventually, finish, together  # noqa: E402
from poll_case import late  # noqa: E402

SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: run
    write: {{every: 50ms}}
"""
BY_TIME = "      public.t: {{method: query, poll: {{column: at, every: 100ms}}}}\n"
BY_NUMBER = "      public.t: {{method: query, poll: {{column: id, every: 100ms}}}}\n"
TABLE = ("create table t(id int primary key, at timestamptz not null default now(), v text, gone bool not null default false);"
         "create index on t(at, id);")


@contextlib.contextmanager
def pipeline(name, tables, sql=TABLE, sink=""):
    p = Pipeline(PG_SOURCE + tables + sink, target=bool(sink))
    with case(name, p):
        p.sql(sql)
        yield p
    p.close()


def ids(p):
    return [e["after"]["id"] for e in p.events("t") if e and e["after"]]


def way_through():
    with pipeline("poll_way_through", BY_TIME.replace("100ms", "100ms, deletes: soft-column, delete_column: gone"), sink=SINK) as p:
        p.sql("insert into t select i, now() - interval '1 hour', 'r' || i from generate_series(1, 12000) i")
        p.start()
        p.wait_events("t", 12000)

        def same():
            try:
                got = p.sql("select id, v from t order by id", on=p.target)
            except Exception:
                return False
            return got == p.sql("select id, v from t where not gone order by id")
        eventually("the target has the rows", same)
        p.sql("update t set v = 'new', at = now() where id = 7; insert into t values (20000, now(), 'x');"
              "update t set gone = true, at = now() where id = 8")
        eventually("the target has the changes", same)
        events = p.wait_events("t", 12003)
        deletes = [e["before"]["id"] for e in events if e["op"] == "d"]
        assert deletes == [8] and {e["op"] for e in events} == {"r", "d"}, deletes
        stamp = p.sql("select (extract(epoch from at) * 1000000)::bigint from t where id = 7")[0][0]
        new = [e for e in events if e["after"] and e["after"]["v"] == "new"]
        assert [e["source"]["ts_us"] for e in new] == [stamp], new
        assert p.stop() == 0
        p.sql("update t set v = 'later', at = now() where id = 9")
        p.start()
        eventually("the target has what came while nothing ran", same)
        assert p.stop() == 0
        count = len([e for e in p.events("t") if e])
        assert count == 12004, f"{count} events, 12004 changes: something was sent again"


def late_on(name, tables, kills):
    p = Pipeline(PG_SOURCE + tables, target=False)
    p.sql("create table t(id serial primary key, at timestamptz not null default now(), v text); create index on t(at, id)")

    def writer():
        c = connect(p.source)
        c.autocommit = False
        return c
    late(name, p, writer, "public", kills)
    p.close()


def late_by_time():
    late_on("poll_late_commits_by_time", BY_TIME, False)


def late_by_number():
    late_on("poll_late_commits_by_number", BY_NUMBER, False)


def killed_by_time():
    late_on("poll_killed_by_time", BY_TIME, True)


def killed_by_number():
    late_on("poll_killed_by_number", BY_NUMBER, True)


def ties_and_precision():
    """A05, A11: many rows of one time, and rows a microsecond apart, in pages of one and of a few, with kills."""
    tables = ("      public.t: {{method: query, poll: {{column: at, every: 50ms, batch: 7}}}}\n"
              "      public.u: {{method: query, poll: {{column: at, every: 50ms, batch: 1}}}}\n")
    sql = TABLE + "create table u(id int primary key, at timestamptz not null); create index on u(at, id);"
    with pipeline("poll_ties_and_precision", tables, sql) as p:
        p.sql("insert into t select i, '2020-01-01', 'x' from generate_series(1, 2000) i")
        p.sql("insert into u select i, timestamptz '2020-01-01' + i * interval '1 microsecond' from generate_series(1, 300) i")
        p.start("capture_before_commit:kill:5")
        p.wait_exit()
        p.start()
        p.wait_events("t", 2000)
        p.wait_events("u", 300)
        assert p.stop() == 0
        assert sorted(ids(p)) == list(range(1, 2001))
        us = [(e["after"]["id"], e["after"]["at"]) for e in p.events("u")]
        assert len(us) == 300 and len(set(us)) == 300, len(us)


def open_transactions():
    """A04, and the rules R19 and R20 one by one: open, prepared, rolled back."""
    sql = TABLE + "create table n(id serial primary key, v text);"
    with pipeline("poll_open_transactions", BY_TIME + "      public.n: {{method: query, poll: {{column: id, every: 100ms}}}}\n", sql) as p:
        late = connect(p.source)
        late.autocommit = False
        q = late.cursor()
        q.execute("insert into t(id) values (1); insert into n(v) values ('late')")
        p.start()
        p.says("polls 2 tables")
        p.sql("insert into t(id) values (2); insert into n(v) values ('early')")
        p.wait_events("n", 1)
        # The number is there, the one below it may still come; by time nothing may pass.
        assert [e["after"]["v"] for e in p.events("n")] == ["early"]
        eventually("the gap is on record", lambda: "gaps" in json.dumps(checkpoint(p)))
        assert p.events("t") == [] and "streaming" not in p.log(), p.events("t")
        late.commit()
        assert sorted(e["after"]["id"] for e in p.wait_events("t", 2)) == [1, 2]
        p.wait_events("n", 2)
        q.execute("insert into n(v) values ('gone')")
        p.sql("insert into n(v) values ('four')")
        p.wait_events("n", 3)
        late.rollback()
        eventually("the gap is closed", lambda: "gaps" not in json.dumps(checkpoint(p)), 40)
        late.close()
        assert p.stop() == 0


def who_does_not_say():
    """A session whose track_activities is off: its transaction may be as old as the session."""
    with pipeline("poll_who_does_not_say", BY_TIME + "      public.n: {{method: query, poll: {{column: id, every: 100ms}}}}\n",
                  TABLE + "create table n(id serial primary key, v text);") as p:
        late = connect(p.source)
        late.autocommit = True
        q = late.cursor()
        q.execute("set track_activities = off")
        late.autocommit = False
        q.execute("insert into t(id) values (1); insert into n(v) values ('late')")
        p.start()
        p.says("polls 2 tables")
        p.sql("insert into t(id) values (2); insert into n(v) values ('early')")
        p.wait_events("n", 1)
        eventually("the gap is on record", lambda: "gaps" in json.dumps(checkpoint(p)))
        time.sleep(12)  # longer than a gap may stay if nobody is left who could fill it
        assert p.events("t") == [], p.events("t")
        late.commit()
        late.close()
        assert sorted(e["after"]["id"] for e in p.wait_events("t", 2)) == [1, 2]
        p.wait_events("n", 2)
        assert p.stop() == 0


def verbs():
    """What the verbs say of a source that is polled."""
    with pipeline("poll_verbs", BY_TIME, TABLE) as p:
        p.sql("insert into t(id) values (1)")
        p.start()
        p.wait_events("t", 1)
        for running in (True, False):
            code, out, err = p.verb("snapshot", "start", "src/public.t", "--yes")
            assert code == 2 and "source src is polled: its tables have no snapshots" in err and "freshet position reset src" in err, (code, out, err)
            if running:
                code, out, err = p.verb("status")
                assert code == 0 and "src" in out, (code, out, err)
                assert p.stop() == 0
        code, out, err = p.verb("position", "show", "src", "--json")
        assert code == 0 and '"cursor"' in out, (code, out, err)
        code, out, err = p.verb("position", "set", "src", "--from-slot", "--yes")
        assert code == 2 and "has no slot to adopt: it is polled" in err, (code, out, err)
        code, out, err = p.verb("position", "reset", "src", "--dry-run")
        assert code == 0 and "every row of src would be read again" in out + err, (code, out, err)
        p.sql("create publication freshet_src for table t with (publish_via_partition_root = true)")
        p.write(PG_SOURCE + "      public.t: {{}}\n")
        p.start()
        p.refused(5)
        p.write(PG_SOURCE + BY_TIME)
        p.start()
        p.says("polls 1 table")
        assert p.stop() == 0


def nulls_zones_views():
    """A07, A10 and what may be polled: a view, a statement; the session's zone does not matter."""
    tables = ("      public.t: {{method: query, poll: {{column: at, every: 100ms, timezone: UTC}}}}\n"
              "      public.w: {{method: query, key: [id], poll: {{column: at, every: 100ms, timezone: UTC}}}}\n"
              "      app.orders: {{method: query, key: [id], poll: {{column: changed, every: 100ms, timezone: UTC,"
              " query: \"select t.id, greatest(t.at, c.at) as changed, c.name from public.t join public.c on c.id = t.c\"}}}}\n")
    sql = ("create table t(id int primary key, at timestamp, c int); create table c(id int primary key, at timestamp not null, name text);"
           "create view w as select id, at from t;"
           "insert into c values (1, '2021-01-01', 'one'), (2, '2021-01-01', 'two');"
           "insert into t values (1, '2021-10-31 02:30', 1), (2, '2021-10-31 02:30:00.5', 2), (3, null, 1)")
    with pipeline("poll_nulls_zones_views", tables, sql) as p:
        p.sql(f"alter database {p.id} set timezone = 'Europe/Berlin'")
        p.start()
        assert sorted(e["after"]["id"] for e in p.wait_events("t", 2)) == [1, 2]
        p.wait_events("w", 2)
        p.says("1 rows have no at and are never read")
        got = p.wait_events("orders", 3, "app")
        assert sorted((e["after"]["id"], e["after"]["name"]) for e in got) == [(1, "one"), (2, "two"), (3, "one")], got
        p.sql("update c set name = 'zwei', at = now() at time zone 'utc' where id = 2")
        got = p.wait_events("orders", 4, "app")
        assert [e["after"]["name"] for e in got if e["after"]["id"] == 2] == ["two", "zwei"], got
        p.sql("update t set at = now() at time zone 'utc' where id = 3")
        assert [e["after"]["id"] for e in p.wait_events("t", 3)].count(3) == 1
        assert p.stop() == 0


def statement_changes_its_type():
    """A statement's column is of another type from one page to the next: no value is read as what it is not."""
    tables = ("      app.v: {{method: query, key: [id], poll: {{column: id, every: 100ms, batch: 1, query: \"select id, n from public.v\"}}}}\n"
              "    throttle: {{rows_per_second: 100}}\n")
    sql = ("create table base(id int primary key, n bigint not null); insert into base select i, i from generate_series(1, 5000) i;"
           "create view v as select id, n from base")
    with pipeline("poll_statement_changes_its_type", tables, sql) as p:
        p.start()
        p.wait_events("v", 50, "app")
        assert len(p.events("v", "app")) < 4500, "it was too fast to be tested"
        p.sql("begin; drop view v; create view v as select id, n::float8 as n from base; commit")
        p.says("app.v is held", "schema.blocked")
        wrong = [e["after"] for e in p.events("v", "app") if e["after"]["n"] != e["after"]["id"]]
        assert wrong == [], wrong[:3]
        p.stop()


def columns_change():
    """A column more, while rows come: each row has the columns that it was read with, none is missed."""
    with pipeline("poll_columns_change", BY_NUMBER) as p:
        p.sql("insert into t(id) select generate_series(1, 100)")
        p.start()
        p.wait_events("t", 100)
        p.sql("alter table t add column more int; insert into t(id, more) select i, i from generate_series(101, 200) i")
        events = p.wait_events("t", 200)
        assert [e["after"]["more"] for e in events if e["after"]["id"] > 100 and e["after"].get("more") != e["after"]["id"]] == []
        p.says("its columns have changed")
        p.sql("drop table t; create table t(id int primary key, at timestamptz not null default now(), v text,"
              " gone bool not null default false, more int); insert into t(id) values (300)")
        p.wait_events("t", 201)
        assert p.stop() == 0


def refused():
    """Bad input: named with its place and remedy, before anything is read."""
    sql = TABLE + ("create table z(id int primary key, at timestamp, d date, f float8); create table k(at timestamptz);"
                   "create view w as select * from t; create table rev(id int primary key, rev int not null, flag char(1), at timestamptz not null);"
                   "create sequence ahead cache 20; create table s(id bigint primary key default nextval('ahead'));"
                   "create table i(id bigint generated always as identity (cache 20) primary key);")
    p = Pipeline(PG_SOURCE + BY_TIME, target=False)
    p.sql(sql)

    def one(name, tables, code, *texts):
        with case("poll_refused_" + name, p):
            p.write(PG_SOURCE + tables)
            p.start()
            p.ends_or_holds(code, *texts)

    def query(table, poll, more=""):
        return "      %s: {{method: query, %spoll: {{%s}}}}\n" % (table, more, poll)
    one("shared_numbers", query("public.rev", "column: rev"), 2, "poll.column rev is a number that rows may share", "CREATE UNIQUE INDEX", "key: [rev]")
    one("numbers_ahead", query("public.s", "column: id"), 2, "come from sequence public.ahead", "ALTER SEQUENCE public.ahead CACHE 1")
    one("numbers_ahead_identity", query("public.i", "column: id"), 2, "come from sequence public.i_id_seq")
    one("text_as_delete", query("public.rev", "column: at, deletes: soft-column, delete_column: flag"), 2, "poll.delete_column is neither a flag")
    one("no_column", query("public.t", "column: att"), 2, "there is no column att", "its columns: id, at, v, gone")
    one("zone", query("public.z", "column: at"), 2, "a time without a zone", "poll.timezone: UTC")
    one("date", query("public.z", "column: d"), 2, "neither a time with a time of day nor a number")
    one("float", query("public.z", "column: f"), 2, "neither a time with a time of day nor a number")
    one("where", query("public.t", "column: at", "snapshot: {{where: nope = 1}}, "), 2, 'column \\"nope\\" does not exist', "correct snapshot.where")
    one("where_no_table", query("public.t", "column: id", 'snapshot: {{where: "id in (select 1 from public.nope)"}}, '), 2,
        'relation \\"public.nope\\" does not exist', "correct snapshot.where")
    one("where_null", query("public.z", "column: at, timezone: UTC", "snapshot: {{where: nope = 1}}, "), 2, 'column \\"nope\\" does not exist', "correct snapshot.where")
    one("no_key", query("public.k", "column: at"), 2, "nothing tells rows of the same time apart", "poll.tiebreak")
    one("view_without_key", query("public.w", "column: at"), 2, "nothing tells rows of the same time apart")
    one("no_table", query("public.nope", "column: at"), 2, "there is no table or view public.nope")
    one("bad_statement", query("public.q", 'column: a, query: "select 1 as a from nope"', "key: [a], "), 2, 'relation \\"nope\\" does not exist', "with their schema")
    one("not_unique", query("public.q", 'column: a, query: "select now() - interval \'1 h\' as a, 1 as b union all select now() - interval \'1 h\', 1"', "key: [b], "),
        7, "two rows have the same place in the order")
    p.write(PG_SOURCE + query("public.t", "column: at"))
    with case("poll_refused_rights", p):
        role = "r" + p.id
        p.sql(f"create role {role} login; grant select on t to {role}; create table hidden(id int primary key, at timestamptz)")
        own = p.source.replace("postgres@", role + "@")
        p.source, kept = own, p.source
        p.write(PG_SOURCE + query("public.t", "column: at"))
        p.source = kept
        p.start()
        p.refused(9, "does not see which transactions are open", f"GRANT pg_read_all_stats TO {role};")
        p.sql(f"create table whole(id int primary key); grant select on whole to {role}")
        p.source = own
        p.write(PG_SOURCE + "      public.whole: {{method: snapshot, poll: {{every: 1h}}}}\n")  # no cursor: nobody need be seen
        p.source = kept
        p.start()
        p.says("polls 1 table")
        assert p.stop() == 0
        p.source = own
        p.write(PG_SOURCE + query("public.t", "column: at"))
        p.source = kept
        p.sql(f"grant pg_read_all_stats to {role}")
        p.start()
        p.says("polls 1 table")
        assert p.stop() == 0
        p.source = own
        p.write(PG_SOURCE + query("public.hidden", "column: at"))
        p.source = kept
        p.start()
        p.refused(9, "no right to read public.hidden", "GRANT SELECT ON")
        p.sql(f"drop owned by {role}; drop role {role}")
    with case("poll_refused_another_database", p):
        p.write(PG_SOURCE + BY_TIME)
        p.start()
        p.says("polls 1 table")
        assert p.stop() == 0
        other = p.source.rsplit("/", 1)[0] + "/postgres"
        p.source, kept = other, p.source
        p.write(PG_SOURCE + BY_TIME)
        p.source = kept
        p.start()
        p.refused(5, "this is not the database that was polled", "position reset")
    with case("poll_refused_another_order", p):
        p.sql("insert into t(id) values (1)")
        p.write(PG_SOURCE + BY_TIME)
        p.start()
        p.wait_events("t", 1)
        assert p.stop() == 0
        p.write(PG_SOURCE + BY_NUMBER)
        p.start()
        p.refused(5, "it was read in the order of (at, id) so far, and now (id) is set")
        code, out, err = p.verb("position", "reset", "src", "--yes")
        assert code == 0, out + err
        p.start()
        p.wait_events("t", 2)
        assert p.stop() == 0
    p.close()


def plan():
    """What plan says before anything is read: rights, indexes, what is lost."""
    sql = "create table t(id int primary key, at timestamptz); create table u(id int primary key, at timestamptz not null); create index on u(at)"
    tables = BY_TIME + BY_TIME.replace("public.t", "public.u")
    with pipeline("poll_plan", tables, sql) as p:
        code, out, err = p.verb("plan")
        assert code == 0, out + err
        for text in ("postgres-query", "public.t: no index begins with at", "public.t: at may be NULL",
                     "public.u: method query never sees deletes", "2 tables captured"):
            assert text in out, f"{text!r} is not in {out}"
        assert "public.u: no index" not in out and "public.u: at may be NULL" not in out, out
        dba = os.path.join(p.dir, "dba.sql")
        p.verb("plan", "--sql", dba)
        with open(dba) as f:
            p.sql(f.read())
        out = p.verb("plan")[1]
        assert "no index begins with" not in out, out


def cut_in_the_middle():
    """A06: the server goes away in the middle of a page; the cursor is the committed one."""
    with pipeline("poll_cut_in_the_middle", BY_TIME, TABLE) as p:
        def insert(first):
            p.sql("insert into t select i, now() - interval '1 h', repeat('x', 2000) from generate_series(%s, %s) i", first, first + 19999)

        def cut():
            """One that is done with its page when it is ended cuts nothing: until it is said."""
            p.sql("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'freshet poll src'"
                  " and query like '%COPY%' and state = 'active'", on=os.environ["PG_DSN"])
            return "trying again" in p.log()
        insert(1)
        p.start()
        rows = 20000
        deadline = time.time() + 60
        while not cut():
            assert time.time() < deadline, "nothing was cut"
            if rows < 100000 and p.sql("select 1 from pg_stat_activity where application_name = 'freshet poll src' and state = 'active'", on=os.environ["PG_DSN"]) == []:
                insert(rows + 1)  # all is read: something new to cut
                rows += 20000
        p.wait_events("t", rows)
        assert p.stop() == 0
        got = ids(p)
        assert len(got) == rows and len(set(got)) == rows, f"{len(got)} events of {len(set(got))} rows"


if __name__ == "__main__":
    tests = [way_through, late_by_time, late_by_number, killed_by_time, killed_by_number, ties_and_precision, open_transactions, who_does_not_say, verbs,
             nulls_zones_views, statement_changes_its_type, columns_change, refused, plan, cut_in_the_middle]
    together([t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]], 1 if sys.argv[1:] else 2)
    finish()
