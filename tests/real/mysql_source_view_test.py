#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""mysql-binlog and mariadb-binlog: views, and what stands in their way. On MariaDB a view may begin while the server
rotates its log: the place that it says then is the beginning of the new file, and what ended the old one may not be
visible yet (ADR 18). A semi-synchronous replica that does not answer keeps it so for as long as the test likes."""
import contextlib
import json
import subprocess
import sys
import threading
import time

from mysql_source_case import *  # noqa: F401,F403: the vocabulary of these tests


def waits_for_replica(d):
    return int(dict(d.sql("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_wait_sessions'"))["Rpl_semi_sync_master_wait_sessions"])


@contextlib.contextmanager
def commit_under_way(d, text, timeout_ms=600000):
    """What is in the log, at the end of its file, and in no table yet, until `release` is called."""
    for setting in ("max_binlog_size=4096", "rpl_semi_sync_master_wait_point=AFTER_SYNC",
                    "rpl_semi_sync_master_timeout=%d" % timeout_ms, "rpl_semi_sync_master_enabled=1"):
        d.sql("SET GLOBAL " + setting)
    writer = threading.Thread(target=lambda: d.sql(text, on=d.connect()))
    writer.start()

    def release():
        d.sql("SET GLOBAL rpl_semi_sync_master_enabled=0")
        writer.join(DEADLINE)
        assert not writer.is_alive()
    try:
        until("the commit waits", lambda: waits_for_replica(d) == 1)
        yield release
    finally:
        release()


def views_begun(d):
    """Nobody else is on this server; each begins with a ROLLBACK."""
    c = d.connect()
    try:
        return int(dict(d.sql("SHOW GLOBAL STATUS LIKE 'Com_rollback'", on=c))["Com_rollback"])
    finally:
        c.close()


def table(d):
    if not d.mariadb:
        raise Skip
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v longtext)")
    d.sql("INSERT INTO t VALUES (1, 'before')")


INSERT = "INSERT INTO t VALUES (2, REPEAT('x', 5000))"      # more than a file may have: the log is rotated by it


@own_test()
def what_rotates_the_log_is_not_lost(d, servers):
    table(d)
    with commit_under_way(d, INSERT) as release:
        expect(d.sql("SELECT id FROM t"), ((1,),), "what can be seen")
        begun, given_up = views_begun(d), []

        def once_views_are_given_up():
            """Two readers begin a view each: the third and fourth are another try."""
            given_up.append(until("a view is begun again", lambda: views_begun(d) >= begun + 4))
            release()
        later = threading.Thread(target=once_views_are_given_up)
        later.start()
        r = d.start("chunks")
        later.join()
        assert given_up, "the commit was let go before a view had been given up"
    d.sql("INSERT INTO t VALUES (3, 'after')")
    rows = r.rows() + d.stream(commits=1).rows()
    expect(sorted(fold(rows)), [1, 2, 3])


@own_test()
def one_that_hangs_is_said(d, servers):
    table(d)
    with commit_under_way(d, INSERT):
        e = d.probe("plan", "chunks").fails("BUSY", "my.snapshot_unsettled")
        assert "semi" in e["hint"], e


@own_test()
def an_idle_server_begins_too(d, servers):
    table(d)
    d.sql("FLUSH LOGS")
    r = d.start("chunks")
    expect(len(r.rows()), 1)
    d.sql("INSERT INTO t VALUES (2, 'after')")
    expect([x["after"]["id"] for x in d.stream().rows()], [2])


@own_test()
def a_locked_table_is_given_up_soon(d, servers):
    """Without end it would wait for whoever waits for the view's other reader: neither would go on."""
    if d.release < (5, 6):      # where the view keeps the table's lock by itself
        raise Skip
    if d.mariadb:
        d.sql("GRANT BINLOG ADMIN ON *.* TO freshet@'%'")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1)")
    p = subprocess.Popen(d.command("plan", "pause:6000", "chunks"), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    began = time.time()
    d.sql("LOCK TABLES t WRITE")
    assert time.time() - began < 5, "the table was locked too late: its chunk may have been read"
    r = Result(p.wait(DEADLINE), [json.loads(x) for x in p.stdout], "")
    waited = time.time() - began
    d.sql("UNLOCK TABLES")
    r.fails("BUSY", "my.table_locked")
    assert waited < 25, waited      # the pause, and three seconds


if __name__ == "__main__":
    sys.exit(main())
