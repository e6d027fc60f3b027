#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
# alone: a reader of another script that begins while it has an XA transaction prepared would not know whose that is
"""mysql-binlog and mariadb-binlog: snapshots, and the log behind them."""
import json
import random
import re
import subprocess
import sys
import threading
import time

import pymysql

from mysql_source_case import *  # noqa: F401,F403: the vocabulary of these tests

LOCK_WAIT_TIMEOUT = 1205


@db_test
def snapshot_and_stream_meet(d):
    """Writers run through all of it: each row is seen exactly once, and changes apply cleanly."""
    d.sql("CREATE TABLE acc(id bigint PRIMARY KEY, v int NOT NULL)")
    for i in range(0, 3000, 500):
        d.sql("INSERT INTO acc VALUES " + ",".join("(%d,0)" % n for n in range(i + 1, i + 501)))
    d.sql("CREATE TABLE done(id int PRIMARY KEY)")
    stop = threading.Event()

    def writer(n):
        c, rnd, new = d.connect(), random.Random(n), 10000 * (n + 1)
        while not stop.is_set():
            kind, at = rnd.randrange(4), rnd.randrange(3000) + 1
            if kind == 0:
                new += 1
                d.sql("INSERT INTO acc VALUES (%s, 1)", new, on=c)
            elif kind == 1:
                d.sql("DELETE FROM acc WHERE id=%s", at, on=c)
            else:
                d.sql("UPDATE acc SET v=v+1 WHERE id BETWEEN %s AND %s", at, at + 3, on=c)
        c.close()

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        r = d.start("chunks", chunk=300)
        time.sleep(0.5)
    finally:
        stop.set()
        for t in threads:
            t.join()
    d.sql("INSERT INTO done VALUES (1)")
    want = dict(d.sql("SELECT id, v FROM acc"))
    rows = r.rows("acc")
    snapshot = len(rows)
    p = subprocess.Popen(d.command("stream", seconds=60), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in p.stdout:
        lines.append(json.loads(line))
        if lines[-1].get("op") == "COMMIT" and any(x.get("table", "").endswith(".done") for x in lines[-4:]):
            break
    p.kill()
    p.wait()
    got = fold(rows + Result(0, lines, "").rows("acc"))
    expect({k: v["v"] for k, v in got.items()}, want, "the table")
    assert snapshot > 2000 and len(lines) > 50, (snapshot, len(lines))


@db_test
def positions(d):
    """Rows of a group share its lsn and are counted; each commit is a place to go on at."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.start()
    d.sql("INSERT INTO t VALUES (1,1),(2,2)")
    d.conn.begin()
    d.sql("UPDATE t SET v=9 WHERE id=1")
    d.sql("DELETE FROM t WHERE id=2")
    d.conn.commit()
    r = d.stream(commits=2)
    expect([x["op"] for x in r.ops("BEGIN", "c", "u", "d", "COMMIT")],
           ["BEGIN", "c", "c", "COMMIT", "BEGIN", "u", "d", "COMMIT"])
    rows = r.rows("t")
    expect([x["ordinal"] for x in rows], [0, 1, 0, 1])
    expect(rows[0]["lsn"], rows[1]["lsn"])
    assert rows[2]["lsn"] > rows[1]["lsn"], rows
    assert rows[0]["txn"] != rows[2]["txn"] and rows[2]["txn"] == rows[3]["txn"]
    expect(rows[2]["before"], {"id": 1, "v": 1})
    # From the first commit on, only the second transaction comes.
    first = r.ops("COMMIT")[0]["resume"]
    again = d.probe("stream", commits=1, resume=first).fine()
    expect([(x["op"], x["lsn"], x["ordinal"], x["txn"]) for x in again.rows()],
           [(x["op"], x["lsn"], x["ordinal"], x["txn"]) for x in rows[2:]])
    # And with file and position instead of GTIDs the same.
    again = d.probe("stream", commits=1, resume=first, set="log.gtid=false").fine()
    expect([x["op"] for x in again.rows()], ["u", "d"])


@db_test
def chunks_of_keys(d):
    """Tables cut by keys of several types, read again from the middle of each chunk: no row twice, none
    left out."""
    d.sql("CREATE TABLE a(x int, y varchar(20) CHARACTER SET latin1, v int, PRIMARY KEY(y, x))")
    d.sql("CREATE TABLE b(id varbinary(16) PRIMARY KEY)")
    d.sql("CREATE TABLE c(id decimal(20,4) PRIMARY KEY)")
    fractions = d.release >= (5, 6)
    d.sql("CREATE TABLE d(at datetime%s PRIMARY KEY)" % ("(3)" if fractions else ""))
    d.sql("CREATE TABLE e(u varchar(10) CHARACTER SET utf8mb4 NOT NULL UNIQUE)")
    d.sql("CREATE TABLE f(id bigint unsigned PRIMARY KEY)")
    for i in range(60):
        d.sql("INSERT INTO a VALUES (%s, %s, %s)", i % 7, "äöü'\\"[i % 5] + str(i), i)
        d.sql("INSERT INTO b VALUES (%s)", bytes([i * 37 % 256, i * 91 % 256, 0, 255, i]))
        d.sql("INSERT INTO c VALUES (%s)", "%d.%04d" % (i * 37 - 900, i))
        d.sql("INSERT INTO d VALUES (%s)", "2020-01-%02d 00:00:%02d" % (i % 28 + 1, i % 60) + ".%03d" % i * fractions)
        d.sql("INSERT INTO e VALUES (%s)", "日本%d\U0001F600" % i)
        d.sql("INSERT INTO f VALUES (%s)", 2**64 - 1 - i * 3)
    for verb, chunk in (("chunks", 13), ("cut-chunks", 13), ("chunks", 1000)):
        r = d.start(verb, chunk=chunk)
        for table in "abcdef":
            rows = [json.dumps(x["after"], sort_keys=True) for x in r.rows(table)]
            expect(len(set(rows)), len(rows), table + " twice")
            expect(len(rows), d.one("SELECT count(*) FROM " + table), table)
            whole = [c["whole"] for c in r.first("plan")["plan"] if c["name"] == table]
            expect(any(whole), False, table + " whole")


@db_test
def tables_without_key(d):
    d.sql("CREATE TABLE t(a int, b varchar(5))")
    d.sql("CREATE TABLE en(e enum('x','y') PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1,'x'),(1,'x'),(NULL,NULL)")
    d.sql("INSERT INTO en VALUES ('y'),('x')")
    r = d.start("chunks", append_only=True)
    expect(len(r.rows("t")), 3)
    expect(len(r.rows("en")), 2)
    expect([c["whole"] for c in r.first("plan")["plan"]], [True, True])


@db_test
def where_of_a_snapshot(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1),(2),(3),(4)")
    r = d.start("cut-chunks", where="id % 2 = 0 -- even", chunk=1)
    expect([x["after"]["id"] for x in r.rows()], [2, 4])


@db_test
def second_view(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1)")
    d.start()
    d.sql("INSERT INTO t VALUES (2)")
    r = d.probe("plan-view", "chunks").fine()
    expect(len(r.rows()), 2)
    assert r.first("view_lsn")["view_lsn"] > json.loads(d.resume)["pos"]


@own_test()
def table_changed_under_a_snapshot(d, servers):
    """The ALTER has not to wait (MariaDB: with one more right), and what is left is read at a new view."""
    if d.mariadb:
        d.sql("GRANT BINLOG ADMIN ON *.* TO freshet@'%'")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(100))")
    d.sql("INSERT INTO t VALUES (1,'a'),(2,'b')")
    p = subprocess.Popen(d.command("plan", "pause:4000", "chunks"), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    d.sql("SET SESSION lock_wait_timeout=2")
    waited = False
    try:
        d.sql("ALTER TABLE t MODIFY v varchar(10) CHARACTER SET latin1")
    except pymysql.OperationalError as e:
        waited = e.args[0] == LOCK_WAIT_TIMEOUT
    r = Result(0, [json.loads(x) for x in p.stdout], "")
    r.code = p.wait()
    if d.release < (5, 6):      # which keeps the table's lock past the savepoint
        expect((waited, len(r.fine().rows("t"))), (True, 2))
        return
    expect(waited, False)
    r.fails("CONNECT", "my.table_changed")


# ---- the log ----


@db_test
def rotation(d):
    """D09, D12: files change amid it all."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    for i in range(5):
        d.sql("INSERT INTO t VALUES (%s)", i)
        d.sql("FLUSH LOGS")
    r = d.stream(commits=5)
    expect([x["after"]["id"] for x in r.rows()], [0, 1, 2, 3, 4])
    lsn = [x["lsn"] for x in r.rows()]
    expect(sorted(lsn), lsn, "order")
    d.sql("INSERT INTO t VALUES (5)")
    expect([x["after"]["id"] for x in d.stream().rows()], [5])


@db_test
def ddl_in_the_stream(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.start()
    f = d.follower()
    d.sql("INSERT INTO t VALUES (1,1)")
    f.read()
    d.sql("ALTER TABLE t ADD COLUMN w varchar(5) DEFAULT 'x', DROP COLUMN v")
    d.sql("INSERT INTO t VALUES (2,'y')")
    f.read()
    r = f.result(commits=2)
    expect([[c["name"] for c in x["columns"]] for x in r.ops("TABLE")], [["id", "v"], ["id", "w"]])
    expect(r.rows()[1]["after"], {"id": 2, "w": "y"})


@db_test
def online_schema_change(d):
    """D20: the shadow table is not captured; after the swap it is the table."""
    d.tables = "%s.t" % d.name
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.sql("INSERT INTO t VALUES (1,1)")
    d.start()
    f = d.follower()
    d.sql("CREATE TABLE _t_gho LIKE t")
    d.sql("ALTER TABLE _t_gho ADD COLUMN w int")
    d.sql("INSERT INTO _t_gho SELECT id, v, NULL FROM t")
    d.sql("INSERT INTO t VALUES (2,2)")
    d.sql("INSERT INTO _t_gho VALUES (2,2,NULL)")
    f.read()
    d.sql("RENAME TABLE t TO _t_del, _t_gho TO t")
    d.sql("INSERT INTO t VALUES (3,3,3)")
    d.sql("UPDATE _t_del SET v=0")
    f.read()
    d.sql("DELETE FROM t WHERE id=1")
    f.read()
    r = f.result(commits=3)
    expect([(x["op"], x.get("after", x.get("before"))["id"]) for x in r.rows()], [("c", 2), ("c", 3), ("d", 1)])
    expect(r.rows()[1]["after"], {"id": 3, "v": 3, "w": 3})


@db_test
def create_select_and_truncate(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    f = d.follower()
    d.sql("INSERT INTO t VALUES (1)")
    f.read()
    d.sql("TRUNCATE TABLE t")
    f.read()
    d.sql("CREATE TABLE u(PRIMARY KEY(id)) SELECT 7 AS id")
    f.read()
    r = f.result(commits=3)
    expect([(x["op"], x["table"].split(".")[1]) for x in r.rows()], [("c", "t"), ("t", "t"), ("c", "u")])


@db_test
def non_transactional(d):
    """D13: what MyISAM wrote survives a ROLLBACK, and is in the log."""
    d.sql("CREATE TABLE m(id int PRIMARY KEY) ENGINE=MyISAM")
    d.sql("CREATE TABLE i(id int PRIMARY KEY)")
    d.start()
    d.sql("SET SESSION binlog_direct_non_transactional_updates=0")
    if not d.mariadb:
        d.sql("INSERT INTO m VALUES (1)")   # with enforced GTIDs the engines cannot be mixed
    else:
        d.conn.begin()
        d.sql("INSERT INTO i VALUES (1)")
        d.sql("INSERT INTO m VALUES (1)")
        d.conn.rollback()
    r = d.stream(commits=1)
    expect(d.sql("SELECT id FROM m"), ((1,),))
    assert {"id": 1} in [x["after"] for x in r.rows("m")], r.lines
    d.finding("my.engine", "warning")


@db_test
def xa_is_refused(d):
    """D14. The oldest servers log XA transactions when they are committed, as others."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    c = d.connect()
    for s in ("XA START 'x%s'" % RUN, "INSERT INTO t VALUES (1)", "XA END 'x%s'" % RUN, "XA PREPARE 'x%s'" % RUN,
              "XA COMMIT 'x%s'" % RUN):
        d.sql(s, on=c)
    c.close()
    if d.release < (5, 6):
        expect([x["after"]["id"] for x in d.stream().rows()], [1])
        return
    d.refused("POSITION", "my.xa_refused")


LABELS = ["", "a,b", "\U0001f600", "it's", "back\\slash", 'q"', "\u8868\U00020000x", "`", "%s", "line\n"]
MEMBERS = ["x", "\U0001f600", "it's", "back\\slash", 'q"']     # a comma is refused by the servers


def quoted(texts):
    return ",".join("'" + x.replace("\\", "\\\\").replace("'", "''").replace("%", "%%") + "'" for x in texts)


@own_test()
def hostile_labels(d, servers):
    """Beyond the BMP information_schema shows ?: a label is told by the log, or not told at all."""
    if not d.names:
        raise Skip
    d.sql("SET GLOBAL binlog_row_metadata='FULL'")
    w = d.connect()
    d.sql("CREATE TABLE t(id int PRIMARY KEY, e enum(%s) CHARACTER SET utf8mb4, s set(%s) CHARACTER SET utf8mb4,"
          " w enum(%s) CHARACTER SET utf32)" % tuple(quoted(x).replace("%%", "%") for x in (LABELS, MEMBERS, LABELS[:7])))

    def fill(first):
        for i, label in enumerate(LABELS):
            d.sql("INSERT INTO t VALUES (%s, %s, %s, %s)", first + i, label, ",".join(MEMBERS[:i % 6]), LABELS[i % 7], on=w)

    def told(rows, first):
        expect([(x["after"]["e"], x["after"]["s"], x["after"]["w"]) for x in rows],
               [(label, ",".join(MEMBERS[:i % 6]), LABELS[i % 7]) for i, label in enumerate(LABELS)], "from %d" % first)
    fill(0)
    told(d.start("chunks").rows(), 0)
    fill(100)
    told(d.stream(commits=len(LABELS)).rows(), 100)
    # Without names: those that are not in doubt, and an error for those that are.
    d.sql("SET GLOBAL binlog_row_metadata='%s'" % ("NO_LOG" if d.mariadb else "MINIMAL"))
    w.close()
    w = d.connect()
    told(d.start("chunks").rows()[:len(LABELS)], 0)
    fill(200)
    rows = d.stream(commits=len(LABELS)).rows()
    for i, x in enumerate(rows):
        doubt = any(ord(c) > 0xffff for c in LABELS[i] + ",".join(MEMBERS[:i % 6]) + LABELS[i % 7])
        expect("bad" in x, doubt, "row %d in doubt" % i)
        if doubt:
            assert "label" in x["bad"] and "binlog_row_metadata" in x["bad"], x
        else:
            expect((x["after"]["e"], x["after"]["w"]), (LABELS[i], LABELS[i % 7]))


HOLD = {"set": "log.xa=hold"}


def logs_prepares(d):
    """Older servers log an XA transaction when it is committed, as any other."""
    return d.release >= ((10, 5) if d.mariadb else (5, 7))


class Xa:
    """One XA transaction on a connection of its own, prepared."""

    def __init__(self, d, name, *statements):
        self.d, self.id, self.c = d, f"'{name}{RUN}','b',7", d.connect()
        for s in (f"XA START {self.id}", *statements, f"XA END {self.id}", f"XA PREPARE {self.id}"):
            d.sql(s, on=self.c)

    def end(self, how):
        self.d.sql(f"XA {how} {self.id}", on=self.c)
        self.c.close()


def ids(result):
    return [x["after"]["id"] for x in result.rows()]


@own_test()
def xa_is_held(d, servers):
    """D14. Published when it is committed, once, whatever was read before; dropped when it is rolled back."""
    if not logs_prepares(d):
        raise Skip
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(20))")
    d.start(**HOLD)
    kept = Xa(d, "a", "INSERT INTO t VALUES (1,'one'),(2,'two')", "UPDATE t SET v='both' WHERE id=1",
              "UPDATE t SET v='both' WHERE id=2", "DELETE FROM t WHERE id=2")
    d.sql("INSERT INTO t VALUES (3,'')")
    begun = json.loads(d.resume)
    r = d.stream(commits=1, **HOLD)
    expect(ids(r), [3])
    held = json.loads(d.resume)["xa"]
    assert (held["file"], held["pos"]) >= (begun["file"], begun["pos"]), (held, begun)
    dropped = Xa(d, "b", "INSERT INTO t VALUES (4,'')")
    d.sql("INSERT INTO t VALUES (5,'')")
    expect(ids(d.stream(commits=1, **HOLD)), [5])     # read again from before both: 3 does not come twice
    dropped.end("ROLLBACK")
    d.sql("FLUSH LOGS")
    kept.end("COMMIT")
    d.sql("INSERT INTO t VALUES (6,'')")
    before = d.resume
    p = json.loads(before)     # the control: without what the position says of it nobody could know
    del p["xa"]
    d.refused("POSITION", "my.xa_unknown", resume=json.dumps(p), **HOLD)
    for batch in (4096, 2, 1):
        d.resume = before
        r = d.stream(commits=2, batch=batch, **HOLD)
        expect([(x["op"], (x.get("after") or x["before"])["id"]) for x in r.rows()],
               [("c", 1), ("c", 2), ("u", 1), ("u", 2), ("d", 2), ("c", 6)], "in batches of %d" % batch)
        expect(r.rows()[2]["after"]["v"], "both")
    assert "xa" not in json.loads(d.resume), d.resume
    d.sql("INSERT INTO t VALUES (7,'')")
    expect(ids(d.stream(commits=1, **HOLD)), [7])


@own_test()
def xa_by_file_and_position(d, servers):
    if not logs_prepares(d):
        raise Skip
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start(**HOLD)
    d.resume = json.dumps(dict(json.loads(d.resume), gtid=""))
    kept = Xa(d, "a", "INSERT INTO t VALUES (1)")
    d.sql("INSERT INTO t VALUES (2)")
    expect(ids(d.stream(commits=1, **HOLD)), [2])
    p = json.loads(d.resume)
    p["gtid"] = p["xa"]["gtid"] = ""
    d.resume = json.dumps(p)
    d.sql("INSERT INTO t VALUES (3)")
    kept.end("COMMIT")
    expect(ids(d.stream(commits=2, **HOLD)), [3, 1])


@own_test()
def xa_around_the_first_view(d, servers):
    """What is prepared when a snapshot begins is neither in it nor behind it."""
    if not logs_prepares(d):
        raise Skip
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("CREATE TABLE other(id int PRIMARY KEY)")
    only_t = {"tables": "%s.t" % d.name}
    old = Xa(d, "a", "INSERT INTO t VALUES (1)")
    looks = {} if d.mariadb else {"dsn": d.root.rsplit("/", 1)[0] + "/", "password": ""}
    d.finding("my.xa", "warning")
    d.finding("my.xa", "fine", **HOLD)
    if not d.mariadb:
        d.finding("my.xa_recover", "warning")
    e = d.probe("plan", **HOLD, **looks).fails("BUSY", "my.xa_prepared")
    assert "XA RECOVER" in e["hint"], e
    if not d.mariadb:     # without the right to look it begins, and stops at the outcome
        d.start(**HOLD)
        old.end("COMMIT")
        d.refused("POSITION", "my.xa_unknown", **HOLD)
    else:
        old.end("COMMIT")
    d.start(**HOLD, **only_t)
    # Of other tables: passed by, over a start again, and refused by nobody.
    for how, more in (("COMMIT", HOLD), ("ROLLBACK", {}), ("COMMIT", {})):
        x = Xa(d, "o" + how[:1] + str(len(more)), "INSERT INTO other VALUES (%d)" % (len(how) + 10 * len(more)))
        d.sql("INSERT INTO t VALUES (%d)" % (10 * len(how) + len(more)))
        expect(len(d.stream(commits=1, **more, **only_t).rows()), 1)
        assert "xa_open" in json.loads(d.resume) and "xa" not in json.loads(d.resume), d.resume
        x.end(how)
        d.sql("DELETE FROM t WHERE id >= 10")
        expect([x["op"] for x in d.stream(commits=1, **more, **only_t).rows()], ["d"])
        assert "xa_open" not in json.loads(d.resume), d.resume


@own_test()
def xa_limit(d, servers):
    if not logs_prepares(d):
        raise Skip
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(5000))")
    d.start(**HOLD)
    one = d.connect()
    for s in ("XA START 'one'", "INSERT INTO t VALUES (0,'')", "XA END 'one'", "XA COMMIT 'one' ONE PHASE"):
        d.sql(s, on=one)
    one.close()
    expect(ids(d.stream(commits=1, **HOLD)), [0])
    x = Xa(d, "a", "INSERT INTO t VALUES (1, repeat('x', 5000))", "INSERT INTO t VALUES (2, repeat('y', 5000))")
    e = d.refused("POSITION", "my.xa_limit", set=["log.xa=hold", "log.xa_limit=8KiB"])
    assert "xxx" not in e["text"] and "log.xa_limit" in e["hint"], e
    x.end("COMMIT")
    expect(ids(d.stream(commits=1, **HOLD)), [1, 2])


@db_test
def statement_format_is_fatal(d):
    """D15"""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    d.sql("SET SESSION binlog_format='STATEMENT'")
    d.sql("INSERT INTO t VALUES (1)")
    e = d.refused("POSITION", "my.statement_format")
    assert "INSERT" not in e["text"], e


@db_test
def row_image_of_a_session(d):
    """D16: absent is not null."""
    if not d.has("binlog_row_image"):
        raise Skip("whole rows only")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int, b text)")
    d.sql("INSERT INTO t VALUES (1, 1, 'long')")
    d.start()
    d.sql("SET SESSION binlog_row_image='MINIMAL'")
    d.sql("UPDATE t SET v=2 WHERE id=1")
    d.sql("DELETE FROM t WHERE id=1")
    r = d.stream(commits=2)
    u, gone = r.rows()
    expect(u["before"], {"id": 1})
    expect(u["after"], {"id": 1, "v": 2})
    expect(u["absent_after"], ["b"])
    expect(gone["before"], {"id": 1})


@db_test
def flush_tables(d):
    """D21: table ids are given anew."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("CREATE TABLE u(id int PRIMARY KEY, v varchar(3))")
    d.start()
    for i in range(3):
        d.sql("INSERT INTO t VALUES (%s)", i)
        d.sql("INSERT INTO u VALUES (%s, 'a')", i)
        d.sql("FLUSH TABLES")
    r = d.stream(commits=6)
    expect([x["after"] for x in r.rows("u")], [{"id": i, "v": "a"} for i in range(3)])


@db_test
def idle_tables(d):
    """D30: other tables' changes move the position."""
    d.tables = "%s.mine" % d.name
    d.sql("CREATE TABLE mine(id int PRIMARY KEY)")
    d.sql("CREATE TABLE other(id int PRIMARY KEY)")
    d.start()
    before = json.loads(d.resume)
    for i in range(20):
        d.sql("INSERT INTO other VALUES (%s)", i)
    r = d.probe("stream", heartbeats=1, heartbeat_ms=200).fine()
    after = json.loads(r.ops("HEARTBEAT")[-1]["resume"])
    assert (after["file"], after["pos"]) > (before["file"], before["pos"]), (before, after)
    expect(r.rows(), [])


@db_test
def large_rows(d):
    """D33: packets above 16 MiB, and rows above the limit."""
    big = d.one("SELECT @@global.max_allowed_packet")
    if big < 50 << 20:
        d.sql("SET GLOBAL max_allowed_packet=67108864")
        d.conn = d.connect()
    d.sql("CREATE TABLE t(id int PRIMARY KEY, b longblob)")
    d.start()
    d.sql("INSERT INTO t SELECT 1, REPEAT('x', 20000000)")
    r = d.probe("stream", commits=1, max_row=1 << 26, quiet=True).fine()
    expect(r.first("streamed")["streamed"], 1)
    d.start()
    d.sql("INSERT INTO t SELECT 2, REPEAT('x', 70000)")
    r = d.stream(commits=1, max_row=65536)
    assert "max_row_bytes" in r.rows()[0]["bad"], r.rows()[0]["bad"]


@db_test
def compressed(d):
    """D23: payloads and compressed rows, from one moment to the next."""
    if not d.mariadb and not d.has("binlog_transaction_compression"):
        raise Skip("its log is not compressed")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(2000))")
    d.start()
    if not d.mariadb:
        d.sql("SET SESSION binlog_transaction_compression=ON")
        d.sql("INSERT INTO t VALUES (1, REPEAT('y', 2000)), (2, REPEAT('z', 2000))")
        d.sql("SET SESSION binlog_transaction_compression=OFF")
        d.sql("UPDATE t SET v='q' WHERE id=1")
    else:
        d.sql("SET GLOBAL log_bin_compress=ON")
        try:
            c = d.connect()
            d.sql("INSERT INTO t VALUES (1, REPEAT('y', 2000)), (2, REPEAT('z', 2000))", on=c)
            d.sql("SET GLOBAL log_bin_compress=OFF", on=c)
        finally:
            d.sql("SET GLOBAL log_bin_compress=OFF")
        d.sql("UPDATE t SET v='q' WHERE id=1")
    r = d.stream(commits=2)
    expect([(x["op"], x["after"]["id"], len(x["after"]["v"])) for x in r.rows()],
           [("c", 1, 2000), ("c", 2, 2000), ("u", 1, 1)])


@db_test
def interrupt(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    ms = d.probe("interrupt").fine().first("interrupted_ms")["interrupted_ms"]
    assert 400 <= ms < 2000, ms


@db_test
def transports(d):
    """TLS, compression, both, and a Unix socket."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v longtext)")
    d.start()
    d.sql("INSERT INTO t SELECT 1, REPEAT('x', 3000000)")
    ca, tls = d.env["TLS_CA"], d.release >= (5, 6)
    socket = d.env[d.server.upper() + "_SOCKET"]
    for dsn in [d.dsn + "?compress=true", "mysql://freshet@/%s?socket=%s" % (d.name, socket)] + tls * [
            d.dsn + "?ca=" + ca, d.dsn + "?compress=true&ca=" + ca]:
        r = d.probe("stream", commits=1, dsn=dsn).fine()
        expect(len(r.rows()[0]["after"]["v"]), 3000000, dsn)
    d.probe("tables", dsn=d.dsn + "?ca=" + d.env["TLS_WRONG_CA"]).fails("CONFIG", "my.certificate" if tls else "my.tls")
    d.probe("tables", password="wrong").fails("AUTH", "")


@db_test
def logins(d):
    """caching_sha2_password in full and from the server's cache, and accounts that want a certificate of ours."""
    if d.release < (5, 6):
        raise Skip("it has no TLS here")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    who, options = d.user("sure")
    if not d.mariadb:
        d.sql("ALTER USER %s IDENTIFIED WITH caching_sha2_password BY '%s'" % (who, options["password"]))
    d.sql("GRANT SELECT ON `%s`.* TO %s" % (d.name, who))
    tls = dict(options, dsn=options["dsn"] + "?ca=" + d.env["TLS_CA"])
    for _ in range(2):
        d.probe("tables", **tls).fine()
        d.probe("tables", **dict(tls, password="wrong")).fails("AUTH", "")
    d.sql("ALTER USER %s REQUIRE X509" % who)
    d.probe("tables", **options).fails("AUTH", "")
    d.probe("tables", **tls).fails("AUTH", "")
    d.probe("tables", **dict(tls, dsn=tls["dsn"] + "&cert=%s&key=%s" % (d.env["TLS_CERT"], d.env["TLS_KEY"]))).fine()


@db_test
def zero_dates(d):
    d.sql("SET SESSION sql_mode=''")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, a date NOT NULL, b datetime, c timestamp NULL)")
    d.sql("INSERT INTO t VALUES (1, '0000-00-00', '2020-00-01 00:00:00', '0000-00-00 00:00:00')")
    r = d.start("chunks")
    d.sql("INSERT INTO t VALUES (2, '0000-00-00', '2020-00-01 00:00:00', '0000-00-00 00:00:00')")
    rows = r.rows() + d.stream().rows()
    for x in rows:
        expect([x["after"][c] for c in "abc"], [None, None, None])
        expect(sorted(x["zero"].split(",")), ["a", "b", "c"])


@db_test
def zero_dates_are_errors(d):
    """columns.zero_dates: error makes such rows bad, by snapshot and by log, and leaves NOT NULL as it is."""
    d.sql("SET SESSION sql_mode=''")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, a date NOT NULL)")
    rows = "INSERT INTO t VALUES (%d, '0000-00-00'), (%d, '2020-00-01'), (%d, '2020-01-01')"
    d.sql(rows % (1, 2, 3))
    r = d.start("chunks", zero_dates_error=True)
    d.sql(rows % (4, 5, 6))
    s = d.stream(zero_dates_error=True)
    for x in (r, s):
        expect([[c["nullable"] for c in t["columns"]] for t in x.ops("TABLE")], [[False, False]])
        got = x.rows()
        expect([("a zero date" in (row.get("bad") or ""), row.get("zero")) for row in got],
               [(True, None), (True, None), (False, None)], repr(got))
        expect(got[2]["after"]["a"], "2020-01-01")


INTEGERS = [("tinyint", -128, 127), ("smallint", -32768, 32767), ("mediumint", -8388608, 8388607),
            ("int", -2147483648, 2147483647), ("bigint", -2**63, 2**63 - 1)]


def typed_columns(d):
    """Column definitions with values as SQL, for every type this kind of server has."""
    out = []
    for name, low, high in INTEGERS:
        out.append((name, [str(low), "0", str(high)]))
        out.append((name + " unsigned", ["0", str(2 * high + 1)]))
        out.append((name + "(5) zerofill", ["7"]))
    out += [
        ("tinyint(1)", ["0", "1", "-7"]), ("decimal(65,30)", ["-" + "9" * 35 + "." + "8" * 30, "0.1"]),
        ("decimal(5,0)", ["-99999", "0"]), ("decimal(10,2) unsigned", ["12345678.91"]),
        ("float", ["1.1", "-3.4e38", "1.4e-45", "0"]), ("double", ["1.1", "-1.7976931348623157e308", "5e-324"]),
        ("float(7,3)", ["1234.567"]), ("double(10,4)", ["-1.2345", "-0e0"]),
        ("bit(1)", ["b'0'", "b'1'"]), ("bit(64)", ["b'1" + "0" * 62 + "1'"]), ("bit(13)", ["b'1010101010101'"]),
        ("date", ["'1000-01-01'", "'9999-12-31'", "'2024-02-29'"]),
        ("time", ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"]),
        ("time(6)", ["'-12:34:56.000001'", "'23:59:59.999999'", "'-00:00:00.5'"]), ("time(3)", ["'-1:02:03.004'"]),
        ("datetime", ["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"]),
        ("datetime(6)", ["'2024-02-29 12:34:56.789012'"]), ("datetime(1)", ["'1969-12-31 23:59:59.9'"]),
        ("timestamp null", ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"]),
        ("timestamp(6) null", ["'2001-09-09 01:46:40.000001'"]), ("year", ["1901", "2155", "0"]),
        ("char(10)", ["'a'", "''", "'x  '"]), ("varchar(20)", ["'trailing  '", "''", "'\u00e9\u65e5\U0001F600'"]),
        ("binary(4)", ["X'00FF'", "X'20202020'", "X'AABBCC00'"]), ("varbinary(300)", ["X''", "X'00FF0A'"]),
        ("tinytext", ["'tiny'"]), ("text", ["REPEAT('t', 70000 % 65535)"]), ("mediumtext", ["'m'"]),
        ("longtext", ["REPEAT('l', 100000)"]), ("tinyblob", ["X'00'"]), ("blob", ["X'FF'"]), ("longblob", ["X''"]),
        ("enum('a','b,c','it''s','')", ["'a'", "'b,c'", "'it''s'"]), ("set('x','y','z z')", ["''", "'x,z z'", "'y'"]),
        ("geometry", ["ST_GeomFromText('POINT(1 -2.5)')", "ST_GeomFromText('LINESTRING(0 0,1 1)', 4326)"]),
        ("polygon", ["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')"]),
        ("json", ["'{\"b\": [1, -2.5, \"x\", null, true], \"a\": {\"c\": \"\u00e9\"}}'", "'[]'", "'1e10'"]),
    ]
    for charset, text in (("latin1", "\u00e9\u20ac"), ("cp1251", "\u0416"), ("sjis", "\u65e5"), ("gbk", "\u65e5"),
                          ("utf8mb3" if not d.mariadb else "utf8", "\u65e5"), ("ucs2", "\u65e5x"), ("utf16", "\U0001F600"),
                          ("utf32", "\U0001F600"), ("koi8r", "\u0416"), ("euckr", "\ud55c"), ("big5", "\u65e5"), ("ascii", "a")):
        out.append(("varchar(10) character set " + charset, ["'%s'" % text]))
        out.append(("char(4) character set " + charset, ["'%s'" % text[0]]))
        if ord(text[0]) < 0x10000:      # information_schema shows labels in utf8mb3
            out.append(("enum('%s','q') character set %s" % (text[0], charset), ["'%s'" % text[0]]))
    if d.mariadb:
        out += [("inet6", ["'::1'", "'2001:db8::ff'"]),
                ("varchar(2000) compressed", ["REPEAT('c', 1500)", "'short'"]), ("blob compressed", ["REPEAT('d', 900)"])]
        if d.release >= (10, 7):
            out.append(("uuid", ["'123e4567-e89b-12d3-a456-426655440000'"]))
        if d.release >= (10, 10):
            out.append(("inet4", ["'192.0.2.1'"]))
    else:
        out.append(("vector(3)", ["STRING_TO_VECTOR('[1,-2.5,3]')"]))
    if d.release < (5, 6):
        later = re.compile(r"(time|datetime|timestamp)\(|json|vector")
        out = [(kind.replace("utf8mb3", "utf8"), [v.replace("ST_Geom", "Geom") for v in values])
               for kind, values in out if not later.match(kind)]
    return out


@db_test
def values_are_the_same(d):
    """R27: a value read by the snapshot and the same value out of the log are one and the same, and so is
    their table; for every type, character set, and NULL."""
    columns = typed_columns(d)
    tables = []
    for n, (kind, values) in enumerate(columns):
        d.sql("CREATE TABLE t%d(id int PRIMARY KEY, v %s)" % (n, kind))
        d.sql("CREATE TABLE s%d LIKE t%d" % (n, n))
        for i, v in enumerate(values + ["NULL"]):
            d.sql("INSERT INTO t%d VALUES (%d, %s)" % (n, i, v))
        tables.append(n)
    r = d.start("chunks")
    for n in tables:
        d.sql("INSERT INTO s%d SELECT * FROM t%d" % (n, n))
    s = d.stream(commits=len(tables), max_row=1 << 24)
    wrong = []
    for n, (kind, values) in enumerate(columns):
        a, b = r.rows("t%d" % n), s.rows("s%d" % n)
        expect(len(a), len(values) + 1, kind)
        ta = next(x["columns"] for x in r.ops("TABLE") if x["table"].endswith(".t%d" % n))
        tb = next(x["columns"] for x in s.ops("TABLE") if x["table"].endswith(".s%d" % n))
        if ta != tb:
            wrong.append("%s: columns %r and %r" % (kind, ta[1], tb[1]))
        for x, y in zip(a, b):
            if x["after"] != y["after"] or x.get("bad") or y.get("bad"):
                wrong.append("%s: %r %s and %r %s" % (kind, x["after"].get("v"), x.get("bad", ""), y["after"].get("v"),
                                                      y.get("bad", "")))
    expect(wrong, [])


if __name__ == "__main__":
    sys.exit(main())
