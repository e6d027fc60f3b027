#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""method outbox: the rows of a table are published and then deleted; each once, in order, whatever is killed when."""
import contextlib
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PG_SOURCE, Pipeline, case, connect, eventually, finish, read_topics, together  # noqa: E402
from mysql import MY_SOURCE, MyPipeline, add_server  # noqa: E402
from mysql import connect as my_connect  # noqa: E402
from outbox_case import AGGREGATES, Writers, control, events, faults, ledger  # noqa: E402

KEYS = ("id: id, key: aggregateid, type: type, payload: payload, route: \"{id}.event.${{aggregatetype}}\"")
PG_TABLE = """
create table outbox(id bigserial primary key, aggregatetype text, aggregateid text, type text, payload text);
create table aggregate(id int primary key, n int not null);
"""
MY_TABLE = """
create table outbox(id serial primary key, aggregatetype varchar(255), aggregateid varchar(255), type varchar(255), payload text);
create table aggregate(id int primary key, n int not null);
"""
INSERT = "insert into outbox(aggregatetype, aggregateid, type, payload) values (%s, %s, %s, %s)"


def make(server, poll="every: 50ms", keys="", sql=None, more=""):
    """A pipeline whose one table is an outbox that is polled."""
    fill = "".join(f"insert into aggregate values ({i}, 0);\n" for i in range(AGGREGATES))
    table = "%s.outbox: {{method: outbox, outbox: {{" + KEYS + keys + "}}, poll: {{" + poll + "}}" + more + "}}\n"
    if server == "postgres":
        p = Pipeline(PG_SOURCE + "      " + table % "public", target=False)
        p.sql((sql or PG_TABLE) + fill)
        return p
    p = MyPipeline(MY_SOURCE + "      " + table % "{id}", server)
    p.sql((sql or MY_TABLE) + fill)
    p.grant(f"delete on `{p.id}`.*")
    return p


@contextlib.contextmanager
def pipeline(name, server, **more):
    p = make(server, **more)
    with case(f"outbox_poll_{server}_{name}", p):
        yield p
    p.close()


def got(p, topic="event.order"):
    return [(m.key(), m.value(), dict(m.headers())) for m in read_topics(p.bootstrap, [f"{p.id}.{topic}"])]


def wait(p, count, topic="event.order"):
    def probe():
        if p.daemon.poll() is not None:
            raise AssertionError(f"the daemon ended with exit code {p.daemon.returncode}")
        out = got(p, topic)
        return out if len(out) >= count else None
    return eventually(f"{count} messages on {topic}", probe, 60, 0.2)


def is_empty(p):
    eventually("the table is empty", lambda: int(p.sql("select count(*) from outbox")[0][0]) == 0, 40)


def is_cleared(p):
    """Nothing is on record as published and perhaps not deleted."""
    is_empty(p)
    eventually("nothing is pending on record", lambda: '"pending":[]' in p.verb("position", "show", "src", "--json")[1].replace(": ", ":"), 40)


def writer(p, server):
    if server == "postgres":
        c = connect(p.source)
        c.autocommit = False
        return c
    return my_connect(p.root, database=p.id, autocommit=False)


class Naive:
    """What everybody writes first: what is above the highest id seen."""

    def __init__(self, open_one):
        self.open_one, self.seen, self.over = open_one, set(), threading.Event()
        self.thread = threading.Thread(target=self.poll)

    def poll(self):
        c = self.open_one()
        q = c.cursor()
        last = 0
        while not self.over.is_set():
            q.execute("select id from shadow where id > %s order by id", (last,))
            for (number,) in q.fetchall():
                self.seen.add(number)
                last = max(last, number)
            c.rollback()
            time.sleep(0.02)
        c.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


SHADOW = {
    "postgres": "create table shadow(id bigint); create function note() returns trigger language plpgsql as $$ begin"
                " insert into shadow values (new.id); return new; end $$;"
                " create trigger note after insert on outbox for each row execute function note();",
    "mysql": "create table shadow(id bigint);\ncreate trigger note after insert on outbox for each row insert into shadow values (new.id);\n",
}
POINTS = ("drain_before_delete:kill:2", "drain_in_delete:kill:3", None, "capture_after_commit:kill:4", "drain_after_delete:kill:2")


def under_load(server, kills):
    """B01, B05: 50 writers; SIGKILL, and at the places where it hurts."""
    table = PG_TABLE if server == "postgres" else MY_TABLE
    p = make(server, "every: 50ms, batch: 40", sql=table + SHADOW["postgres" if server == "postgres" else "mysql"])
    name = f"outbox_poll_{server}_" + ("killed" if kills else "under_load")
    with case(name, p):
        p.start()
        p.says("polls 1 table")
        starts = 0
        with Naive(lambda: writer(p, server)) as naive:
            with Writers(lambda: writer(p, server), 2500 if kills else 800, delete=False) as w:
                while kills and any(t.is_alive() for t in w.threads):
                    with contextlib.suppress(Exception):
                        p.daemon.wait(0.5)
                    p.kill()
                    p.start(POINTS[starts % len(POINTS)])
                    p.says("polls 1 table")
                    starts += 1
            time.sleep(0.2)
        if kills:
            p.kill()
            p.start()
        want = ledger(p)
        total = sum(n for _, n in want.values())
        eventually("all of it", lambda: len(events(p)) >= total, 60, 0.3)
        is_empty(p)
        assert p.stop() == 0
        got = events(p)
        assert len(got) == total and not faults(want, got), (len(got), total, faults(want, got))
        control(want, got)
        missed = {int(r[0]) for r in p.sql("select id from shadow")} - naive.seen
        print(f"   {name}: {total} events, {starts} kills: 0 missed, 0 repeated, 0 out of order; the naive one missed {len(missed)}")
        assert missed, "the naive poller missed nothing, so this run proves nothing"
    p.close()


def loaded(server):
    under_load(server, False)


def killed(server):
    under_load(server, True)


def crashes(server):
    """B05, one by one; and ids that are used again while rows with the same ids are on record as published."""
    with pipeline("crashes", server) as p:
        count = 0
        for point in ("capture_before_commit", "capture_after_commit", "drain_before_delete", "drain_in_delete", "drain_after_delete"):
            for i in range(3):
                p.sql(INSERT, "order", point, "t", f"{point} {i}")
            count += 3
            p.start(point + ":kill")
            assert p.wait_exit(40) == -9, point
            there = int(p.sql("select count(*) from outbox")[0][0])
            assert there == (0 if point in ("drain_in_delete", "drain_after_delete") else 3), (point, there)
            p.start()
            wait(p, count)
            is_cleared(p)
            p.kill()
            assert len(got(p)) == count, point
        values = sorted(v for _, v, _ in got(p))
        assert len(set(values)) == count, values
        for point in ("drain_before_delete", "drain_after_delete"):
            p.sql(INSERT, "order", "k", "t", f"old {point}")
            p.start(point + ":kill")
            assert p.wait_exit(40) == -9
            number = max(int(h["id"]) for _, v, h in got(p) if v == f"old {point}".encode())
            p.sql("truncate table outbox")
            p.sql("insert into outbox(id, aggregatetype, aggregateid, type, payload) values (%s, 'order', 'k', 't', %s)", number, f"new {point}")
            count += 2
            p.start()
            wait(p, count)
            is_cleared(p)
            if point == "drain_before_delete":
                p.says("are others: they are published as new ones")
            p.kill()
            assert sorted(v for _, v, h in got(p) if int(h["id"]) == number) == sorted(
                [f"new {point}".encode(), f"old {point}".encode()])
        assert len(got(p)) == count


def late(server):
    """A row whose transaction is open holds nothing up, in neither direction; a page is in order."""
    with pipeline("late", server) as p:
        c = writer(p, server)
        q = c.cursor()
        q.execute(INSERT, ("order", "late", "t", "late"))
        p.sql(INSERT, "order", "early", "t", "early")
        p.start()
        assert [v for _, v, _ in wait(p, 1)] == [b"early"]
        eventually("what is published is deleted", lambda: int(p.sql("select count(*) from outbox")[0][0]) == 0)
        q.execute(INSERT, ("order", "late", "t", "more"))
        c.commit()
        assert [v for _, v, _ in wait(p, 3) if v != b"early"] == [b"late", b"more"]
        is_empty(p)
        p.stop()
        for i in range(500):
            p.sql(INSERT, "invoice", "one", "t", str(i))
        p.sql("delete from outbox where payload = '17'")
        p.start("drain_before_delete:stop")
        eventually("it waits between publishing and deleting", p.stopped)
        assert len(got(p, "event.invoice")) == 499
        p.sql("delete from outbox where payload in ('1', '2')")
        p.daemon.send_signal(signal.SIGCONT)
        is_empty(p)
        p.says("2 rows that were published were gone before they were deleted: does somebody else delete them, too?")
        assert [int(v) for _, v, _ in got(p, "event.invoice")] == [i for i in range(500) if i != 17]
        assert p.stop() == 0
        c.close()


def bad_rows(server):
    """A row that is no message: the source stops and names it, and nothing of it is deleted; or it is a dead letter."""
    with pipeline("bad_rows", server, more=", errors: {{mode: dlq}}") as p:
        p.sql(INSERT, "order", "k", None, None)
        p.sql(INSERT, "no/topic", "bad", "t", "two")
        p.sql(INSERT, "order", "k", "t", "three")
        text = open(p.config).read()
        with open(p.config, "w") as f:
            f.write(text.replace(", errors: {mode: dlq}", ""))
        p.start()
        p.says("outbox is held, the others go on")
        assert p.stop() == 0
        assert int(p.sql("select count(*) from outbox")[0][0]) == 3 and got(p) == []
        with open(p.config, "w") as f:
            f.write(text)
        p.start()
        assert [(v, h["type"]) for _, v, h in wait(p, 2)] == [(None, None), (b"three", b"t")]
        is_empty(p)
        dead = eventually("the dead letter", lambda: read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"]))
        assert len(dead) == 1, dead
        assert p.stop() == 0


def columns_change(server):
    """A column more while rows are published and not deleted yet: they are the same rows."""
    with pipeline("columns_change", server) as p:
        p.sql(INSERT, "order", "k", "t", "one")
        p.start("drain_before_delete:kill")
        assert p.wait_exit(40) == -9
        p.sql("alter table outbox add column more int")
        p.start()
        is_empty(p)
        p.sql("alter table outbox add column again int")
        p.sql(INSERT, "order", "k", "t", "two")
        assert [v for _, v, _ in wait(p, 2)] == [b"one", b"two"]
        is_empty(p)
        assert p.stop() == 0
        p.sql(INSERT, "order", "k", "t", "three")
        p.start("drain_before_delete:kill")
        assert p.wait_exit(40) == -9
        p.sql("alter table outbox drop column payload")
        p.sql("alter table outbox add column body text")
        with open(p.config) as f:
            text = f.read()
        with open(p.config, "w") as f:
            f.write(text.replace("payload: payload", "payload: body"))
        p.start()
        p.refused(5, "column payload is gone", "put it back")


def uuids(server):
    """Ids that are no numbers: something else orders them."""
    kind = "uuid" if server == "postgres" else "char(36)"
    number = "bigserial" if server == "postgres" else "bigint auto_increment"
    sql = (f"create table outbox(id {kind} primary key, aggregatetype varchar(255), aggregateid varchar(255), type varchar(255), payload text,"
           f" n {number} not null{'' if server == 'postgres' else ', key (n)'});\ncreate table aggregate(id int primary key, n int not null);\n")
    with pipeline("uuids", server, poll="every: 50ms, batch: 7, column: n", sql=sql) as p:
        for i in range(60):
            p.sql("insert into outbox(id, aggregatetype, aggregateid, payload) values (%s, 'order', 'k', %s)",
                  f"{(i * 7919) % 100000:08d}-0000-4000-8000-000000000000", str(i))
        p.start()
        assert [int(v) for _, v, _ in wait(p, 60)] == list(range(60))
        is_empty(p)
        assert p.stop() == 0


def kept(server):
    """outbox.delete: false: the rows stay, and are read by increasing id."""
    with pipeline("kept", server, keys=", delete: false") as p:
        if server != "postgres":
            p.grant("process on *.*")
        for i in range(30):
            p.sql(INSERT, "order", "k", "t", str(i))
        p.start()
        wait(p, 30)
        p.kill()
        p.sql(INSERT, "order", "k", "t", "30")
        p.start()
        assert [int(v) for _, v, _ in wait(p, 31)] == list(range(31))
        assert p.stop() == 0
        assert int(p.sql("select count(*) from outbox")[0][0]) == 31
        with open(p.config) as f:
            text = f.read()
        with open(p.config, "w") as f:
            f.write(text.replace(", delete: false", ""))
        p.start()
        p.refused(5, "it was read by a cursor so far")


def order_of_transactions(server):
    """Why rows come by id, and not by transaction id: a transaction may have its id long before its turn."""
    sql = PG_TABLE + "alter table outbox add column tx xid8 not null default pg_current_xact_id(); create table other(i int);"
    if connect(os.environ["PG_DSN"]).server_version < 130000:
        return  # no xid8
    with pipeline("order_of_transactions", server, sql=sql) as p:
        waits, first = writer(p, server), writer(p, server)
        w, f = waits.cursor(), first.cursor()
        w.execute("insert into other values (1)")  # has its transaction id now
        f.execute("select n from aggregate where id = 1 for update")
        f.execute(INSERT, ("order", "a1", "t", "first"))
        late_one = threading.Thread(target=lambda: w.execute("select n from aggregate where id = 1 for update"))
        late_one.start()
        eventually("it waits", lambda: p.sql("select 1 from pg_locks where not granted"))
        first.commit()
        late_one.join()
        w.execute(INSERT, ("order", "a1", "t", "second"))
        waits.commit()
        by = {o: [r[0] for r in p.sql(f"select payload from outbox order by {o}")] for o in ("id", "tx, id")}
        assert by == {"id": ["first", "second"], "tx, id": ["second", "first"]}, by
        p.start()
        assert [v for _, v, _ in wait(p, 2)] == [b"first", b"second"]
        is_empty(p)
        assert p.stop() == 0
        waits.close()
        first.close()


def refused(server):
    """What cannot be an outbox, and rights that are missing: named with the remedy, before anything is read."""
    sql = PG_TABLE + ("create table u(id uuid primary key, payload text, at timestamptz not null default now());"
                      "create view v as select * from outbox; create sequence ahead cache 20; create table c(id bigint primary key default nextval('ahead'), payload text);")
    p = make("postgres", sql=sql)
    base = PG_SOURCE + "      %s: {{method: outbox, outbox: {{id: %s, payload: payload%s}}%s}}\n"

    def one(name, table, code, *texts):
        with case("outbox_poll_refused_" + name, p):
            p.write(base % (table, "id", "", ""))
            p.start()
            p.ends_or_holds(code, *texts)
    one("no_order", "public.u", 2, "outbox.id is no number", "poll.column")
    one("view", "public.v", 2, "an outbox whose rows are deleted is a table")
    with case("outbox_poll_plan", p):
        p.write(base % ("public.c", "id", "", ""))
        code, out, err = p.verb("plan", timeout=120)
        assert "outbox.order" in out and "hands out numbers ahead" in out, out + err
        p.write(base % ("public.u", "id", "", ", poll: {{column: at}}"))
        code, out, err = p.verb("plan", timeout=120)
        assert "outbox.order" in out and "is a time" in out and "query.index" in out, out + err
    with case("outbox_poll_rights", p):
        role = "r" + p.id
        p.sql(f"create role {role} login; grant select on all tables in schema public to {role}")
        own, kept_dsn = p.source.replace("postgres@", role + "@"), p.source
        p.source = own
        p.write(base % ("public.outbox", "id", "", ", topic: \"{id}.x\""))
        p.source = kept_dsn
        p.start()
        p.refused(9, "no right to delete the rows that are published", f'GRANT DELETE ON \\"public\\".\\"outbox\\" TO {role};')
        code, out, err = p.verb("plan", timeout=120)
        assert f'GRANT DELETE ON "public"."outbox" TO {role};' in out and "outbox.delete_grant" in out, out + err
        p.sql(f"grant delete on outbox to {role}")
        p.sql(INSERT, "order", "k", "t", "one")
        p.start()
        wait(p, 1, "x")
        is_empty(p)
        assert p.stop() == 0
    with case("outbox_poll_not_deleted", p):
        p.sql("create function no() returns trigger language plpgsql as $$ begin return null; end $$;"
              "create trigger no before delete on outbox for each row execute function no()")
        p.sql(INSERT, "order", "k", "t", "two")
        p.start()
        p.holds("1 rows are published and do not go when they are deleted", "BEFORE DELETE")
        assert len(got(p, "x")) == 2
        p.sql("drop trigger no on outbox")
        p.start()
        is_empty(p)
        assert p.stop() == 0 and len(got(p, "x")) == 2
    with case("outbox_poll_row_is_not_there", p):
        p.sql(f"drop owned by {role}; drop role {role}")
    p.close()


# Not each on each server: what differs is how rows are taken and deleted.
TESTS = {
    "postgres": [crashes, late, refused, columns_change, kept, order_of_transactions, bad_rows, uuids],
    "mariadb": [crashes, late, uuids],
    "mysql": [late, columns_change],
}
SERVERS = os.environ.get("FRESHET_TEST_OUTBOX", "postgres mariadb mysql").split()

if __name__ == "__main__":
    for s in list(SERVERS):
        there, why = (True, "") if s == "postgres" else add_server(s)
        if not there:
            print(f"skip outbox_poll.{s}: {why}", flush=True)
            SERVERS.remove(s)
    wanted = sys.argv[1:]
    chosen = [(t, s) for s in SERVERS for t in TESTS[s] if not wanted or t.__name__ in wanted]
    # A server takes fifty writers at once, and not more.
    together([lambda s=s: killed(s) for s in SERVERS if not wanted or "killed" in wanted], 3)
    if "postgres" in SERVERS and (not wanted or "loaded" in wanted):
        chosen.insert(0, (loaded, "postgres"))
    together([lambda t=t, s=s: t(s) for t, s in chosen], 4)
    finish()
