#!/usr/bin/env python3
# alone: a reader of another script that begins while it has an XA transaction prepared would not know whose that is
"""mysql-binlog and mariadb-binlog: a second reader of the log beside the stream's (decision 42)."""
import json
import sys
import threading

from pymysql import OperationalError

from mysql_source_case import *  # noqa: F401,F403: the vocabulary of these tests
from source_beside import Both, said, same_as_first


def tables(d):
    d.sql("CREATE TABLE a(id int PRIMARY KEY, v text)")
    d.sql("CREATE TABLE b(id int PRIMARY KEY, n decimal(10,2))")
    d.start()


def dumps(d):
    """Connections that are replicas."""
    return {x[0] for x in d.sql("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%%'")}


def load(d, writer, rounds):
    """Small transactions in several tables, a large one and a change of a table half-way."""
    c = d.connect(autocommit=False)
    for i in range(rounds):
        at = writer * 1000000 + i * 10
        d.sql("INSERT INTO a(id, v) VALUES (%s, 'v'), (%s, repeat('x', 200))", at, at + 1, on=c)
        d.sql("INSERT INTO b VALUES (%s, 1.5)", at, on=c)
        d.sql("UPDATE a SET v = 'w' WHERE id = %s", at, on=c)
        c.commit()
        if i == rounds // 2 and writer == 1:
            d.sql("ALTER TABLE a ADD w int DEFAULT 7", on=c)
            values = ",".join("(%d, 'big', %d)" % (-i, i) for i in range(1, 3001))
            d.sql("INSERT INTO a(id, v, w) VALUES " + values, on=c)
            d.sql("DELETE FROM b WHERE id < 1000100", on=c)
            c.commit()
    c.close()


@db_test
def says_the_same(d):
    """Under load, with an ALTER in between, opened three times: events, values, positions, shapes."""
    if not d.names:
        raise Skip("a log without names is refused behind an ALTER")
    tables(d)
    before = dumps(d)
    rounds, after = 30, 15  # before the ALTER, however far ahead its writer is
    p = Both(d, 2 * rounds + 1, beside_after=after, times=3)
    writers = [threading.Thread(target=load, args=(d, w, rounds)) for w in (1, 2)]
    for w in writers:
        w.start()
    ours = until("two replicas", lambda: not p.running() or (lambda x: x if len(x) > 1 else None)(dumps(d) - before))
    for w in writers:
        w.join()
    r = p.fine()
    status = same_as_first(r, d.name + ".a", 3000, 3, shapes=2)
    expect(status["connected"], True, "status is the stream's")
    until("no replica of ours is left", lambda: not dumps(d) & ours)


@db_test
def idle(d):
    """A log in which nothing of ours comes says how far it is."""
    tables(d)
    d.sql("INSERT INTO a VALUES (1, 'v')")
    p = Both(d, 2, heartbeat_ms=3600000)
    p.until(reader="beside", op="COMMIT")
    d.sql("CREATE DATABASE `%s_n`" % d.name)
    d.sql("DROP DATABASE `%s_n`" % d.name)
    p.until(reader="beside", op="HEARTBEAT")
    d.sql("INSERT INTO a VALUES (2, 'v')")
    r = p.fine()
    for reader in ("first", "beside"):
        expect([x["after"]["id"] for x in said(r.lines, reader) if x["op"] == "c"], [1, 2], reader)


@db_test
def killed_in_the_middle(d):
    tables(d)
    before = dumps(d)
    d.sql("INSERT INTO a VALUES " + ",".join("(%d, repeat('x', 100))" % i for i in range(5000)))
    p = Both(d, 1000)
    p.until(reader="beside", op="c")
    ours = dumps(d) - before
    expect(len(ours) > 1, True, "two replicas")
    p.kill()
    until("no replica of ours is left", lambda: not dumps(d) & ours)


@db_test
def held_xa(d):
    """What was prepared before the place comes with its outcome behind it."""
    if d.release < ((10, 5) if d.mariadb else (5, 7)):
        raise Skip("XA transactions are not in the log before their commit")
    tables(d)
    d.sql("INSERT INTO a VALUES (1, 'v')")
    c = d.connect()
    x = "'%s'" % d.source
    for text in ("XA START " + x, "INSERT INTO a VALUES (2, 'x'), (3, 'x')", "XA END " + x, "XA PREPARE " + x):
        d.sql(text, on=c)
    d.sql("INSERT INTO a VALUES (4, 'v')")
    p = Both(d, 4, beside_after=2, set="log.xa=hold")
    p.until(beside=0)
    owner = c.thread_id()
    c.close()
    # Committed by another connection while its own one ends MariaDB has kept it, prepared, for all others to wait for.
    until("its connection is gone", lambda: not d.sql("SELECT 1 FROM information_schema.processlist WHERE id = %s", owner))
    d.sql("INSERT INTO a VALUES (5, 'v')")

    def committed():
        try:
            d.sql("XA COMMIT " + x)
        except OperationalError as e:
            if e.args[0] != 1397:  # it belongs to the connection that ends, still
                raise
            return False
        return True
    until("the XA transaction can be committed", committed)
    r = p.fine()
    same_as_first(r, d.name + ".a", 3, 1)
    expect([x["after"]["id"] for x in said(r.lines, "beside") if x["op"] == "c"], [5, 2, 3], "in the order of commits")


def without_names(d):
    """A log that does not name its columns: from before an ALTER it cannot be read any more; from behind it, it can."""
    if d.names:
        d.sql("SET GLOBAL binlog_row_metadata = %s", "NO_LOG" if d.mariadb else "MINIMAL")
    d.sql("CREATE TABLE c(id int PRIMARY KEY, v text)")
    d.start()
    d.sql("INSERT INTO c VALUES (1, 'v')")
    p = Both(d, 3, beside_after=1)
    p.until(beside=0)
    d.sql("INSERT INTO c VALUES (2, 'v')")
    old = d.resume
    d.sql("INSERT INTO c VALUES (3, 'v')")
    same_as_first(p.fine(), d.name + ".c", 2, 1)
    d.stream(3)
    p = Both(d, 1)
    p.until(beside=0)
    d.sql("ALTER TABLE c ADD w int DEFAULT 7")
    d.sql("INSERT INTO c VALUES (4, 'v', 8)")
    p.fine()
    e = d.probe("beside-only", resume=old).fails("POSITION", "my.shape_unknown")
    expect("freshet resume TABLE --anew" in e["hint"], True, e)


@own_test()
def what_cannot_be_read(d, servers):
    """The log does not go back so far: a new snapshot of the table is the way on, and the stream goes on."""
    tables(d)
    d.sql("INSERT INTO a VALUES (1, 'v')")
    old = d.resume
    d.stream(1)
    for _ in range(3):
        d.sql("FLUSH LOGS")
    d.sql("INSERT INTO a VALUES (2, 'v')")
    d.stream(1)
    file = json.loads(d.resume)["file"]
    until("purged", lambda: d.sql("PURGE BINARY LOGS TO %s", file) or
          d.sql("SHOW BINARY LOGS")[0][0] == file)
    d.sql("INSERT INTO a VALUES (3, 'v')")
    r = d.probe("beside", commits=1, beside_resume=old, seconds=20)
    e = r.fails("POSITION", "my.purged")
    expect(("freshet resume TABLE --anew" in e["hint"], e["reader"]), (True, "beside"), e)
    expect([x["after"]["id"] for x in said(r.lines, "first") if x["op"] == "c"], [3], "the stream")
    without_names(d)


if __name__ == "__main__":
    sys.exit(main())
