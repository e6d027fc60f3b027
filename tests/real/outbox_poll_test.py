#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""method outbox: the rows of a table are published and then deleted; each once, in order, whatever is killed when."""
import contextlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, connect, eventually, finish, read_topics, together  # noqa: E402
from mysql import MyPipeline, add_server  # noqa: E402
from mysql import connect as my_connect  # noqa: E402
from outbox_case import AGGREGATES, Writers, control, events, faults, ledger  # noqa: E402

PG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
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
        p = Pipeline(PG + "      " + table % "public", target=False)
        p.sql((sql or PG_TABLE) + fill)
        return p
    p = MyPipeline(MY + "      " + table % "{id}", server)
    p.sql((sql or MY_TABLE) + fill)
    c = my_connect(p.root)
    with c.cursor() as q:
        q.execute(f"grant delete on `{p.id}`.* to '%s'@'%%'" % os.environ[server.upper() + "_USER"])
    c.close()
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


def way_through(server):
    with pipeline("way_through", server) as p:
        p.sql(INSERT, "order", "a", "made", "there before")
        p.start()
        assert wait(p, 1) == [(b"a", b"there before", {"id": b"1", "type": b"made"})]
        is_empty(p)
        p.sql(INSERT, "order", "b", None, None)
        assert wait(p, 2)[-1] is not None
        is_empty(p)
        eventually("nothing is pending on record", lambda: '"pending": []' in p.verb("position", "show", "src", "--json")[1]
                   or '"pending":[]' in p.verb("position", "show", "src", "--json")[1])
        assert p.stop() == 0


TESTS = [way_through]
SERVERS = os.environ.get("FRESHET_TEST_OUTBOX", "postgres mariadb mysql").split()

if __name__ == "__main__":
    for s in list(SERVERS):
        there, why = (True, "") if s == "postgres" else add_server(s)
        if not there:
            print(f"skip outbox_poll.{s}: {why}", flush=True)
            SERVERS.remove(s)
    wanted = [t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    together([lambda t=t, s=s: t(s) for t in wanted for s in SERVERS], 3)
    finish()
