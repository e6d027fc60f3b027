#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
# alone: what it prepares would hold up the snapshots of others on the same server
"""log.xa: hold, through Kafka: XA transactions that overlap each other and plain ones, committed or rolled back, while the
daemon is killed. What is in the topic is what is in the table, once each, and in the order of the commits."""
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import case, eventually, finish, together  # noqa: E402
from mysql import MyPipeline, add_server, connect  # noqa: E402

CONFIG = """
sources:
  src:
    type: {type}
    dsn: {source}
    password: {password}
    prefix: {id}
    log: {{xa: hold}}
    tables:
      {id}.t: {{}}
"""
KILLS, OPEN, ROWS = 6, 4, 3


class Writer(threading.Thread):
    """Rows of three a transaction; `order`: the numbers of what was committed, as it was."""

    def __init__(self, p):
        super().__init__()
        self.p, self.over, self.order, self.dropped = p, threading.Event(), [], 0
        self.random = random.Random(p.id)

    def xa(self, n):
        c = connect(self.p.root, database=self.p.id)
        q, xid = c.cursor(), f"'{self.p.id}','{n}'"
        q.execute(f"xa start {xid}")
        self.rows(q, n)
        q.execute(f"xa end {xid}")
        q.execute(f"xa prepare {xid}")
        return n, c, q, xid

    def rows(self, q, n):
        q.execute("insert into t values " + ", ".join(f"({n * ROWS + i}, {n})" for i in range(ROWS)))

    def end(self, one, how=None):
        n, c, q, xid = one
        how = how or self.random.choice(["commit", "commit", "rollback"])
        q.execute(f"xa {how} {xid}")
        c.close()
        if how == "commit":
            self.order.append(n)
        else:
            self.dropped += 1

    def run(self):
        plain, opened, n = connect(self.p.root, database=self.p.id), [], 0
        while not self.over.is_set():
            n += 1
            if n % 3 == 0:
                self.rows(plain.cursor(), n)
                self.order.append(n)
            else:
                opened.append(self.xa(n))
            if len(opened) > OPEN:
                self.end(opened.pop(self.random.randrange(len(opened))))
            if n % 50 == 0:
                plain.cursor().execute("flush logs")
        for one in opened:
            self.end(one, "commit")
        plain.close()


def published(p):
    """The transactions in the order of their places, and how many rows of each."""
    events = sorted((e for e in p.events("t", p.id) if e is not None),
                    key=lambda e: (e["source"]["epoch"], e["source"]["lsn"], e["source"]["ordinal"]))
    order = []
    assert all(e["source"]["row"] == e["after"]["id"] % ROWS for e in events), "not the row's number in its statement"
    for e in events:
        if not order or order[-1] != e["after"]["v"]:
            order.append(e["after"]["v"])
    return order, len(events)


def kills(server):
    p = MyPipeline(CONFIG, server)
    with case("mysql_xa." + server, p):
        p.sql("create table t (id int primary key, v int not null)")
        p.start()
        p.says("stream from")
        w = Writer(p)
        w.start()
        try:
            for _ in range(KILLS):
                done = len(w.order)
                eventually("more transactions", lambda: len(w.order) > done + 15)
                p.kill()
                p.start()
                p.says("stream from")
        finally:
            w.over.set()
            w.join()
        assert w.dropped > 5, "nothing was rolled back"
        eventually("all of them", lambda: published(p)[1] >= ROWS * len(w.order), 60, 0.5)
        order, rows = published(p)
        assert rows == ROWS * len(w.order), f"{rows} rows, {ROWS * len(w.order)} were committed"
        assert order == w.order, "not in the order of the commits"
        assert len(p.sql("select id from t")) == rows
        assert p.stop() == 0
    p.close()


tests = []
for wanted in os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split():
    there, why = add_server(wanted)
    if there:
        tests.append(lambda server=wanted: kills(server))
    else:
        print(f"skip mysql_xa.{wanted}: {why}", flush=True)
together(tests)
finish()
