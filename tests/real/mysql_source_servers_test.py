#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""mysql-binlog and mariadb-binlog: servers that lose, change or replace their log, and what plan says of them."""
import json
import sys
import time

import pymysql

from mysql_source_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- continuity ----


@own_test()
def purged(d, servers):
    """D04: refused, with both positions; by GTID and by file."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1)")
    d.start()
    for i in range(3):
        d.sql("INSERT INTO t VALUES (%s)", i + 10)
        d.sql("FLUSH LOGS")
    logs = d.sql("SHOW BINARY LOGS")
    def purge():    # not while the engine may still need a file to recover
        d.sql("PURGE BINARY LOGS TO '%s'" % logs[-1][0])
        return len(d.sql("SHOW BINARY LOGS")) == 1
    until("purged", purge)
    e = d.refused("POSITION", "my.purged", set="log.gtid=false")
    # (Before 5.5.25 only those with SUPER may ask which files there are.)
    assert json.loads(d.resume)["file"] in e["text"] and (logs[-1][0] in e["text"] or d.release < (5, 6)), e
    if not d.gtids:
        return
    e = d.refused("POSITION", "my.purged")
    assert json.loads(d.resume)["gtid"][:10] in e["text"], e


@own_test()
def log_begun_anew(d, servers):
    """D05: RESET MASTER makes the same file names again, with other contents."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    for i in range(5):
        d.sql("INSERT INTO t VALUES (%s)", i)
    d.stream(commits=5)
    known = d.resume
    time.sleep(1.1)     # a file's age is known by the second
    d.sql("RESET BINARY LOGS AND GTIDS" if not d.mariadb and d.release >= (8, 4) else "RESET MASTER")
    d.refused("POSITION", "my.server_behind")
    d.refused("POSITION", "my.server_behind", set="log.gtid=false")
    for i in range(30):     # the same ids and the same offsets exist again
        d.sql("INSERT INTO t VALUES (%s)", i + 100)
    d.resume = known
    d.refused("POSITION", "my.log_reset", set="log.gtid=false")
    d.refused("POSITION", "my.log_reset")


def make_replica(d, servers, second):
    """second follows d's server from its beginning; answers a connection to it."""
    p = second.upper()
    c = mysql.connect(servers.env[p + "_DSN"], database=None)
    port = servers.env[d.server.upper() + "_PORT"]
    d.sql("CREATE USER repl@'%' IDENTIFIED BY 'repl-secret'")
    d.sql("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
    if d.mariadb:
        d.sql("SET GLOBAL gtid_slave_pos=''", on=c)
        d.sql("CHANGE MASTER TO master_host='127.0.0.1', master_port=%s, master_user='repl',"
              " master_password='repl-secret', master_use_gtid=slave_pos" % port, on=c)
        d.sql("START SLAVE", on=c)
    else:
        d.sql("CHANGE REPLICATION SOURCE TO source_host='127.0.0.1', source_port=%s, source_user='repl',"
              " source_password='repl-secret', source_auto_position=1, get_source_public_key=1" % port, on=c)
        d.sql("START REPLICA", on=c)
    return c


def caught_up(d, c, count):
    def probe():
        try:
            return mysql.run(c, "SELECT count(*) FROM `%s`.t" % d.name)[0][0] == count
        except pymysql.Error:
            return False
    until("the replica has %d rows" % count, probe)


@own_test(second=True)
def lag_of_a_replica(d, servers):
    """throttle.max_lag where the source is a replica: that it follows, that it is late, that it does not follow."""
    if not d.gtids or d.release < (5, 6):
        raise Skip("replicas cannot be late on purpose")
    word = "SLAVE" if d.mariadb else "REPLICA"
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    c = make_replica(d, servers, d.second)
    d.sql("INSERT INTO t VALUES (1)")
    caught_up(d, c, 1)
    second = servers.env[d.second.upper() + "_USER_DSN"]
    mysql.run(mysql.connect(servers.env[d.second.upper() + "_DSN"], database=None), "GRANT %s ON *.* TO '%s'@'%%'" % (
        "REPLICA MONITOR" if d.mariadb and d.release >= (10, 5, 9) else "REPLICATION CLIENT", servers.env[d.second.upper() + "_USER"]))
    d.finding("my.throttle", "fine", dsn=second, max_lag=60)
    d.sql("STOP %s" % word, on=c)
    f = d.finding("my.throttle", "warning", dsn=second, max_lag=60)
    assert "replication does not run" in f["text"], f
    d.sql("CHANGE MASTER TO master_delay=3600" if d.mariadb else "CHANGE REPLICATION SOURCE TO source_delay=3600", on=c)
    d.sql("START %s" % word, on=c)
    d.sql("INSERT INTO t VALUES (2)")
    until("the replica is late", lambda: any("lags" in x["text"] and "more than 1 s" in x["text"] for x in
                                             d.probe("check", dsn=second, max_lag=1).fine().lines if x.get("finding") == "my.throttle"))


@own_test(second=True)
def fail_over(d, servers):
    """D06: to a replica with the same GTIDs, without a new snapshot; an errant transaction is refused."""
    if not d.gtids:
        raise Skip("a place is a file of one server")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    c = make_replica(d, servers, d.second)
    d.start()
    for i in range(3):
        d.sql("INSERT INTO t VALUES (%s)", i)
    r = d.stream(commits=3)
    d.sql("INSERT INTO t VALUES (3)")
    caught_up(d, c, 4)
    servers.stack("kill", d.server, "-9")
    mysql.run(c, "STOP SLAVE" if d.mariadb else "STOP REPLICA")
    mysql.run(c, "INSERT INTO `%s`.t VALUES (4)" % d.name)
    second = servers.env[d.second.upper() + "_USER_DSN"]
    r2 = d.probe("stream", commits=2, dsn=second).fine()
    expect([x["after"]["id"] for x in r.rows() + r2.rows()], [0, 1, 2, 3, 4])
    assert (r2.rows()[0]["epoch"], r2.rows()[0]["lsn"]) > (r.rows()[-1]["epoch"], r.rows()[-1]["lsn"])
    expect(r2.rows()[0]["epoch"], r.rows()[0]["epoch"] + 1)
    e = d.refused("POSITION", "my.other_server", dsn=second, set="log.gtid=false")
    # The old one comes back with a transaction that the new one never had.
    resume = [x["resume"] for x in r2.lines if "resume" in x][-1]
    servers.stack("start", d.server)
    d.conn = d.connect()
    d.sql("INSERT INTO t VALUES (99)")
    e = d.probe("stream", commits=1, resume=resume).fails("POSITION", "my.diverged")
    assert json.loads(resume)["gtid"].split(",")[0][:8] in e["text"], e


@own_test()
def killed_server(d, servers):
    """The server dies and comes back: reading on at the last commit, everything once (D09)."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    a = d.stream()
    d.sql("INSERT INTO t VALUES (2)")
    servers.stack("kill", d.server, "-9")
    e = d.probe("stream", commits=1, seconds=5).error()
    expect(e["error"], "CONNECT")
    servers.stack("start", d.server)
    d.conn = d.connect()
    d.sql("INSERT INTO t VALUES (3)")
    b = d.stream(commits=2)
    expect([x["after"]["id"] for x in a.rows() + b.rows()], [1, 2, 3])


@own_test()
def frozen_server(d, servers):
    """D28: no heartbeat for too long is a lost connection, and nothing else waits for ever."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    p = d.reader(seconds=60)
    lines = lines_until(p, "COMMIT")
    servers.stack("freeze", d.server)
    try:
        asks = d.probe("refresh").error()   # its login is not answered, what status shows neither
        lines += [json.loads(x) for x in p.stdout]
    finally:
        servers.stack("cont", d.server)
    p.wait()
    expect(Result(p.returncode, lines, "").error()["code"], "my.silent")
    expect(asks["error"], "CONNECT")


@db_test
def same_server_id(d):
    """D26: two readers with one id; the one that was first is told why. MySQL compares uuids instead, and ours
    is made of server_id and the source's name: there only two of one name are in each other's way. (Before 5.6
    it compares ids, and only hangs up.)"""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    options = dict(set="log.server_id=4711")
    p = d.reader(seconds=40, **options)
    d.sql("INSERT INTO t VALUES (1)")
    lines_until(p, "COMMIT")
    d.probe("stream", commits=1, **dict(options, name=d.source + "x")).fine()
    if not d.mariadb and d.release >= (5, 6):
        d.sql("INSERT INTO t VALUES (2)")
        lines_until(p, "COMMIT")
        d.probe("stream", commits=1, **options).fine()
    lines = [json.loads(x) for x in p.stdout]
    p.wait()
    e = Result(p.returncode, lines, "").error()
    expect((e["error"], e["code"]), ("CONFIG", "my.server_id_clash") if d.release >= (5, 6) else ("CONNECT", ""))
    assert "log.server_id" in e["hint"] and "4711" in e["hint"], e


def without_metadata(d):
    if d.names:
        d.sql("SET GLOBAL binlog_row_metadata='MINIMAL'")


@own_test()
def without_names(d, servers):
    """D17: binlog_row_metadata=MINIMAL. Tables are taken from information_schema; what cannot be placed
    stops the source."""
    without_metadata(d)
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(10))")
    d.sql("INSERT INTO t VALUES (1,'a')")
    d.start("chunks")
    assert json.loads(d.resume)["shapes"], d.resume
    d.sql("INSERT INTO t VALUES (2,'b')")
    expect(d.stream().rows()[0]["after"], {"id": 2, "v": "b"})
    # An ALTER while we read is followed.
    p = d.reader(commits=2, seconds=30)
    d.sql("INSERT INTO t VALUES (3,'c')")
    lines = lines_until(p, "COMMIT")
    d.sql("ALTER TABLE t ADD COLUMN w int")
    d.sql("INSERT INTO t VALUES (4,'d',4)")
    lines += [json.loads(x) for x in p.stdout]
    p.wait()
    r = Result(p.returncode, lines, "").fine()
    expect([x["after"] for x in r.rows()], [{"id": 3, "v": "c"}, {"id": 4, "v": "d", "w": 4}])
    d.resume = [x["resume"] for x in lines if "resume" in x][-1]
    # One while we are away is not.
    d.sql("ALTER TABLE t CHANGE v vv varchar(10), CHANGE w ww int")
    d.refused("POSITION", "my.shape_unknown")


@own_test()
def unlogged_ddl(d, servers):
    """D18: a DDL that is not in the log; with names in it the log itself says so, without it is fatal."""
    without_metadata(d)
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.start()
    p = d.reader(seconds=30)
    d.sql("INSERT INTO t VALUES (0,0)")
    lines_until(p, "COMMIT")
    c = d.connect()
    d.sql("SET SESSION sql_log_bin=0", on=c)
    d.sql("ALTER TABLE t ADD COLUMN w int", on=c)
    c.close()
    d.sql("INSERT INTO t VALUES (1,1,1)")
    lines = [json.loads(x) for x in p.stdout]
    p.wait()
    Result(p.returncode, lines, "").fails("SCHEMA", "my.shape_mismatch")


@own_test()
def domains(d, servers):
    """D31: MariaDB's domains are each a row of their own."""
    if not d.mariadb:
        raise Skip("domains are MariaDB's")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    a, b = d.connect(), d.connect()
    d.sql("SET SESSION gtid_domain_id=1", on=a)
    d.sql("SET SESSION gtid_domain_id=2", on=b)
    for i in range(4):
        d.sql("INSERT INTO t VALUES (%s)", i, on=(a, b)[i % 2])
    r = d.stream(commits=2)
    r2 = d.stream(commits=2)
    expect([x["after"]["id"] for x in r.rows() + r2.rows()], [0, 1, 2, 3])
    expect(len(json.loads(d.resume)["gtid"].split(",")), 3)


# ---- pre-flight ----


@db_test
def plan_is_fine(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    r = d.probe("check").fine()
    expect([x for x in r.lines if x["severity"] == "blocker"], [])


@db_test
def plan_finds_tables(d):
    d.sql("CREATE TABLE k(a int)")
    d.sql("CREATE TABLE p(id int PRIMARY KEY)")
    d.sql("CREATE TABLE c(id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p(id) ON DELETE CASCADE)")
    d.finding("my.primary_key", "blocker")
    d.finding("my.primary_key", "warning", append_only=True)
    if d.mariadb or d.release < (9, 6):
        d.finding("my.fk_cascade", "warning")
    d.finding("my.table", "blocker", tables="%s.nothere" % d.name)
    d.probe("plan", tables="%s.nothere" % d.name).fails("CONFIG", "my.table")


@own_test()
def plan_finds_settings(d, servers):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    for variable, value, code, severity in (
            ("binlog_format", "STATEMENT", "my.binlog_format", "blocker"),
            ("binlog_row_image", "MINIMAL", "my.binlog_row_image", "warning"),
            ("binlog_row_metadata", "MINIMAL", "my.binlog_row_metadata", "warning"),
            ("sync_binlog", "0", "my.sync_binlog", "warning")):
        if not d.has(variable):
            continue
        before = d.one("SELECT @@global.%s" % variable)
        d.sql("SET GLOBAL %s=%s" % (variable, value))
        f = d.finding(code, severity)
        # What it says to type helps.
        for statement in f["sql"].split(";"):
            if statement.strip():
                d.sql(statement)
        assert not [x for x in d.probe("check").lines if x.get("finding") == code and x["severity"] == severity], code
        d.sql("SET GLOBAL %s=%s" % (variable, before))
    seconds = d.has("binlog_expire_logs_seconds")
    d.sql("SET GLOBAL " + ("binlog_expire_logs_seconds=3600" if seconds else "expire_logs_days=1"))
    d.finding("my.expire", "warning")
    d.finding("my.gtid", "warning", set="log.gtid=false")


@own_test()
def plan_finds_no_log(d, servers):
    servers.configure(d.server, "skip_log_bin")
    d.conn = d.connect()
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.finding("my.log_bin", "blocker")
    d.probe("plan").fails("CONFIG", "my.log_bin")


@db_test
def plan_finds_rights(d):
    """Each missing right is named, with the statement that gives it, which helps."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    poor, options = d.user("poor")
    d.sql("GRANT SELECT ON `%s`.* TO %s" % (d.name, poor))
    f = d.finding("my.connect", "blocker", **dict(options, dsn=options["dsn"] + "mysql"))
    assert "'mysql'" in f["text"] and "database" in f["hint"], f
    r = d.probe("check", **options).fine()
    missing = [x for x in r.lines if x["finding"] == "my.grants" and x["severity"] == "blocker"]
    expect(len(missing), 2, "missing rights %r" % missing)
    for x in missing + [x for x in r.lines if x["finding"] == "my.snapshot_lock" and x["severity"] == "warning"]:
        d.sql(x["sql"].rstrip(";"))
    r = d.probe("check", **options).fine()
    expect([x for x in r.lines if x["severity"] == "blocker" or x["finding"] == "my.snapshot_lock" and
            x["severity"] != "fine"], [])
    d.sql("INSERT INTO t VALUES (1)")
    d.start("chunks", **options)
    d.sql("INSERT INTO t VALUES (2)")
    expect(len(d.stream(**options).rows()), 1)
    _, options = d.user("blind")
    d.finding("my.table", "blocker", tables="%s.t" % d.name, **options)


@db_test
def busy_as_the_server_says(d):
    """throttle.*: what plan says of each, and of those that cannot be asked here."""
    d.sql("CREATE TABLE busy(n int)")
    query = "SELECT COUNT(*) FROM %s.busy" % d.name
    d.finding("my.throttle", "fine", throttle_query=query, max_load="Threads_running=5000")
    d.sql("INSERT INTO busy VALUES (1)")
    f = d.finding("my.throttle", "warning", throttle_query=query)
    assert "throttle.query: 1 is above 0" in f["text"], f
    f = d.finding("my.throttle", "warning", max_load="Uptime=0")
    assert "Uptime is " in f["text"] and "more than 0" in f["text"], f
    if d.mariadb and d.release >= (10, 5, 9):
        f = d.finding("my.throttle", "blocker", max_lag=5)
        assert "GRANT REPLICA MONITOR ON *.* TO" in f["hint"], f
        d.sql("GRANT REPLICA MONITOR ON *.* TO '%s'@'%%'" % d.env[d.server.upper() + "_USER"])
    for options, text, hint in (
            (dict(max_load="active=25"), "measures no `active`", "Threads_running=25"),
            (dict(max_lag=5), "is no replica", "throttle.query"),
            (dict(throttle_query="SELECT 'seven'"), "no number", "one number"),
            (dict(throttle_query="SELECT n FROM no_such.table"), "no_such", "throttle.query")):
        f = d.finding("my.throttle", "blocker", **options)
        assert text in f["text"] and hint in f["hint"] and "seven" not in f["text"], f
    if d.release >= (5, 7):
        f = d.finding("my.throttle", "warning", throttle_query="SELECT SLEEP(20) + (SELECT COUNT(*) FROM %s.busy)" % d.name if d.mariadb else
                      "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b, information_schema.COLUMNS c")
        assert "no answer within 2 s" in f["text"], f
        f = d.finding("my.throttle", "blocker", throttle_query="INSERT INTO %s.busy VALUES (2)" % d.name)
        assert d.one("SELECT COUNT(*) FROM busy") == 1, "it was written"


@db_test
def without_lock_rights(d):
    """MySQL needs one of two rights to begin a snapshot; LOCK TABLES will do."""
    if d.mariadb:
        raise Skip("MariaDB locks nothing")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1)")
    poor, options = d.user("poor")
    d.sql("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO " + poor)
    d.finding("my.snapshot_lock", "warning", **options)
    d.probe("plan", **options).fails("AUTH", "my.snapshot_lock")
    d.sql("GRANT LOCK TABLES ON `%s`.* TO %s" % (d.name, poor))
    expect(len(d.start("chunks", **options).rows()), 1)


if __name__ == "__main__":
    sys.exit(main())
