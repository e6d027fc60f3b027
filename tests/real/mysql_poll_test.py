#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
# alone: it kills servers, and what it prepares would hold up the snapshots of others
"""method query on MariaDB and MySQL: as poll_test.py, whose rules these are, with InnoDB's transactions."""
import contextlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import case, eventually, finish, stack, together  # noqa: E402
from mysql import MY_SOURCE, MyPipeline, add_server, connect, run  # noqa: E402
from poll_case import ids, late  # noqa: E402

BY_TIME = "      {id}.t: {{method: query, poll: {{column: at, every: 100ms}}}}\n"
BY_NUMBER = "      {id}.t: {{method: query, poll: {{column: id, every: 100ms}}}}\n"
TABLE = "create table t(id serial primary key, at timestamp(6) not null default current_timestamp(6), v text, key (at, id));\n"
FORGETS = ("mysql55",)  # AUTO_INCREMENT over a restart: polled by number only where rows are never deleted
SERVERS = os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split()


def make(server, tables, sql=TABLE, more=""):
    if server in FORGETS:
        tables = tables.replace("poll: {{column: id", "append_only: true, poll: {{column: id")
    p = MyPipeline(MY_SOURCE + tables + more, server)
    p.grant("process on *.*")
    p.sql(sql)
    return p


@contextlib.contextmanager
def pipeline(name, server, tables, sql=TABLE):
    p = make(server, tables, sql)
    with case(f"poll_{server}_{name}", p):
        yield p
    p.close()


def late_on(name, server, tables, kills):
    p = make(server, tables)
    late(f"poll_{server}_{name}", p, lambda: connect(p.root, database=p.id, autocommit=False), p.id, kills)
    p.close()


def late_by_time(server):
    late_on("late_commits_by_time", server, BY_TIME, False)


def late_by_number(server):
    late_on("late_commits_by_number", server, BY_NUMBER, False)


def killed_by_time(server):
    late_on("killed_by_time", server, BY_TIME, True)


def killed_by_number(server):
    late_on("killed_by_number", server, BY_NUMBER, True)


def open_transactions(server):
    """Open and prepared ones; whole seconds; a server that is not in UTC."""
    sql = TABLE + ("create table n(id int auto_increment primary key, v text);\n"
                   "create table s(id int primary key, at timestamp not null default current_timestamp);\n")
    tables = BY_TIME + "".join("      {id}.%s: {{method: query, poll: {{column: %s, every: 100ms}}}}\n" % x for x in (("n", "id"), ("s", "at")))
    with pipeline("open_transactions", server, tables, sql) as p:
        c = connect(p.root, database=p.id, autocommit=False)
        run(c, "insert into t values (1, default, null)")
        run(c, "insert into n(v) values ('late')")
        run(c, "insert into s(id) values (1)")
        p.start()
        p.says("polls 3 tables")
        p.sql("insert into t values (2, default, null);\ninsert into n(v) values ('early');\ninsert into s(id) values (2)")
        p.wait_events("n", 1, p.id)
        assert [e["after"]["v"] for e in p.events("n", p.id)] == ["early"]
        time.sleep(3)  # nothing may come, however long it takes: what is open is three seconds old
        assert p.events("t", p.id) == [] and p.events("s", p.id) == []
        c.commit()
        assert sorted(int(e["after"]["id"]) for e in p.wait_events("t", 2, p.id)) == [1, 2]
        assert sorted(int(e["after"]["id"]) for e in p.wait_events("s", 2, p.id)) == [1, 2]
        p.wait_events("n", 2, p.id)
        c.autocommit(True)
        run(c, "xa start 'x'")
        run(c, "insert into t values (3, default, null)")
        run(c, "xa end 'x'")
        run(c, "xa prepare 'x'")
        p.sql("insert into t values (4, default, null)")
        time.sleep(2)
        early = [(int(e["after"]["id"]), e["source"]["lsn"], e["source"]["ordinal"], str(e["after"]["at"])) for e in p.events("t", p.id)]
        assert len(early) == 2, early
        run(c, "xa commit 'x'")
        assert sorted(int(e["after"]["id"]) for e in p.wait_events("t", 4, p.id)) == [1, 2, 3, 4]
        c.close()
        assert p.stop() == 0


def keys_and_views(server):
    """Tie-breaks of every kind of key, in pages of three; a view; columns that change."""
    sql = ("create table b(k varbinary(16) primary key, at datetime(3) not null, key (at));\n"
           "create table c(k varchar(20) collate utf8mb4_general_ci, n int, at datetime(3) not null, primary key (k, n));\n"
           "create table d(k decimal(20,4) primary key, at datetime(3) not null);\n"
           "create view v as select k, at from d;\n")
    tables = "".join("      {id}.%s: {{method: query, %spoll: {{column: at, every: 50ms, batch: 3, timezone: UTC}}}}\n" % x
                     for x in (("b", ""), ("c", ""), ("d", ""), ("v", "key: [k], ")))
    with pipeline("keys_and_views", server, tables, sql) as p:
        c = connect(p.root, database=p.id)
        for i in range(40):
            run(c, "insert into b values (unhex(left(sha2(%s, 256), 32)), '2021-03-28 02:30:00')", (i,))
            run(c, "insert into c values (%s, %s, '2021-03-28 02:30:00.5')", ("x\u00e9'\\" + str(i // 2), i % 2))
            run(c, "insert into d values (%s, '2021-03-28 02:30:00')", (i - 20.25,))
        p.start()
        for table in "bcdv":
            got = [str(e["after"]["k"]) + str(e["after"].get("n")) for e in p.wait_events(table, 40, p.id)]
            assert len(got) == len(set(got)) == 40, f"{table}: {len(got)} events of {len(set(got))} rows"
        run(c, "alter table d add column more int")
        run(c, "insert into d values (100, utc_timestamp(3), 7)")
        got = [e["after"] for e in p.wait_events("d", 41, p.id)]
        assert [r["more"] for r in got if r["k"] == 100] == [7], got
        c.close()
        assert p.stop() == 0


def bytes_in_statements(server):
    """A statement of somebody's that is no text, while who is open is listed."""
    with pipeline("bytes_in_statements", server, BY_TIME) as p:
        p.start()
        p.says("polls 1 table")
        c = connect(p.root, database=p.id)

        def slow():
            with c.cursor() as q:
                q.execute(b"select concat(_binary'\xbb\x80\x81', sleep(4))")
        t = threading.Thread(target=slow)
        t.start()
        eventually("it runs", lambda: p.sql("select count(*) from information_schema.innodb_trx") is not None)
        p.sql("insert into t values (1, default, null)")
        t.join()
        p.wait_events("t", 1, p.id)
        c.close()
        assert "trying again" not in p.log(), "it was in the way"
        assert p.stop() == 0


# Every type that both servers have, and values at their edges.
WIDE = ("create table wide(id bigint unsigned primary key, at timestamp(6) not null default current_timestamp(6), ti tinyint, tu tinyint unsigned, b1 boolean,"
        " si smallint, mi mediumint unsigned, i int, bi bigint, d decimal(65,30), du decimal(10,2) unsigned, d0 decimal(9,0), f float, db double, bt bit(13), bt1 bit(1),"
        " c char(5) character set latin1, v varchar(20), vu varchar(9) character set utf16, tx text character set koi8r, lt longtext, bn binary(4), vb varbinary(9),"
        " bl mediumblob, e enum('a','b''c'), s set('x','y'), dt date, tm time(3), dtm datetime(2), dt0 datetime, y year, g point);\n"
        "insert into wide values (18446744073709551615, '2020-01-02 03:04:05.678901', -128, 255, true, -32768, 16777215, -2147483648, -9223372036854775808,"
        " -12345678901234567890123456789012345.123456789012345678901234567890, 99999999.99, -999999999, 1.5e-3, 1e300, b'1010101010101', b'1', '\u00e9', '\u20ac\U0001f600',"
        " '\u20ac', '\u0436', repeat('x', 70000), 'ab', x'00ff', x'0001', 'b''c', 'x,y', '1000-01-01', '12:34:56.789', '2020-02-29 23:59:59.99',"
        " '9999-12-31 23:59:59', 2155, point(1, 2));\n"
        "insert into wide(id) values (1)")


def statements(server):
    """poll.query: a column of a statement is what the same column of the table is; a join; expressions."""
    tables = ("      {id}.wide: {{method: query, poll: {{column: at, every: 100ms}}}}\n"
              "      app.wide: {{method: query, key: [id], poll: {{column: at, every: 100ms, query: 'select * from `{id}`.wide'}}}}\n"
              "      app.mixed: {{method: query, key: [id], poll: {{column: id, every: 100ms, query: \"select t.id, concat(t.v, '-', w.e) as both_,"
              " w.bi + 1 as more, now(3) as n, t.id > 1 as big, cast(null as char(3)) as none, if(t.id = 1, w.du, 0) as du from `{id}`.t join `{id}`.wide w on w.id > t.id\"}}}}\n")
    with pipeline("statements", server, tables, TABLE + WIDE) as p:
        p.sql("insert into t values (1, default, 'one')")
        p.start()
        p.says("polls 3 tables")
        table = {e["after"]["id"]: e["after"] for e in p.wait_events("wide", 2, p.id)}
        own = {e["after"]["id"]: e["after"] for e in p.wait_events("wide", 2, "app")}
        assert table == own and len(own) == 2 and None not in table[max(table)].values(), (table, own)
        p.sql("insert into t values (2, default, 'two')")
        got = sorted((e["after"] for e in p.wait_events("mixed", 2, "app")), key=lambda x: x["id"])
        assert [(int(x["id"]), x["both_"], int(x["more"]), int(x["big"]), x["none"], str(x["du"])) for x in got] == [
            (1, "one-b'c", -2 ** 63 + 1, 0, None, "99999999.99"), (2, "two-b'c", -2 ** 63 + 1, 1, None, "0.00")], got
        assert p.stop() == 0


def plan(server):
    """The index that plan prints can be made, and is enough."""
    sql = "create table t(id int primary key, `at``x` timestamp(6) not null);\n"
    with pipeline("plan", server, "      {id}.t: {{method: query, poll: {{column: 'at`x'}}}}\n", sql) as p:
        dba = os.path.join(p.dir, "dba.sql")
        code, out, err = p.verb("plan", "--sql", dba)
        assert code == 0 and "t: no index begins with at`x" in out, out + err
        with open(dba) as f:
            p.sql("\n".join(line for line in f if not line.startswith("--")))
        code, out, err = p.verb("plan")
        assert code == 0 and "no index begins with" not in out, out + err
        # MySQL cannot list a transaction whose statement has a character of four bytes: that is no lack of rights.
        p.sql("insert into t values (1, now(6))")
        other, root = connect(p.root), connect(p.root)
        text = f"select sleep(600), '\U0001f600' from `{p.id}`.t for update"

        def asleep():
            with contextlib.suppress(Exception):  # it is killed below
                run(other, text)
        threading.Thread(target=asleep, daemon=True).start()

        def sleeps():
            return [r[0] for r in run(root, "show processlist") if r[0] == other.thread_id() and "sleep" in str(r[7])]
        eventually("the statement", sleeps)
        code, out, err = p.verb("plan")
        assert sleeps() and code == 0, out + err
        run(root, f"kill {other.thread_id()}")


def refused(server):
    with pipeline("refused", server, BY_TIME) as p:
        c = connect(p.root)
        user = os.environ[server.upper() + "_USER"]
        p.write(MY_SOURCE + "      {id}.nope: {{method: query, poll: {{column: at}}}}\n")
        p.start()
        p.holds("there is no table or view", "GRANT SELECT ON")
        p.write(MY_SOURCE + "      {id}.q: {{method: query, key: [at], poll: {{column: at, query: 'select n as at from `{id}`.nope'}}}}\n")
        p.start()
        p.holds("nope' doesn't exist", "correct poll.query")
        p.sql("create table r(id int primary key, rev int, flag char(1), at timestamp(6) not null)")
        p.write(MY_SOURCE + "      {id}.r: {{method: query, poll: {{column: rev}}}}\n")
        p.start()
        p.holds("poll.column rev is a number that rows may share", "CREATE UNIQUE INDEX")
        p.write(MY_SOURCE + "      {id}.r: {{method: query, poll: {{column: at, deletes: soft-column, delete_column: flag}}}}\n")
        p.start()
        p.holds("poll.delete_column is neither a flag", "make a view")
        p.write(MY_SOURCE + "      {id}.t: {{method: query, snapshot: {{where: nope = 1}}, poll: {{column: at}}}}\n")
        p.start()
        p.holds("Unknown column 'nope'", "correct snapshot.where")
        if server in FORGETS:
            p.sql("create table n(id int auto_increment primary key)")
            p.write(MY_SOURCE + "      {id}.n: {{method: query, poll: {{column: id}}}}\n")
            p.start()
            p.holds("the number of a last row that was deleted may be given to the next one", "upgrade; or, if rows are never deleted")
        p.write(MY_SOURCE + BY_TIME)
        run(c, f"revoke process on *.* from '{user}'@'%'")
        p.start()
        p.refused(9, "does not see which transactions are open", "GRANT PROCESS ON *.* TO")
        run(c, f"grant process on *.* to '{user}'@'%'")
        c.close()


def prepared_over_a_restart(server):
    """After its server was killed a prepared transaction seems to have begun when the server was started."""
    tables = BY_TIME + "      {id}.n: {{method: query, poll: {{column: id, every: 100ms}}}}\n"
    with pipeline("prepared_over_a_restart", server, tables, TABLE + "create table n(id int auto_increment primary key, v text)") as p:
        p.sql("insert into t values (1, default, null);\ninsert into n values (1, 'a')")
        p.start()
        p.wait_events("t", 1, p.id)
        p.wait_events("n", 1, p.id)
        c = connect(p.root, database=p.id, autocommit=True)
        run(c, "xa start %s", (p.id,))
        run(c, "insert into t values (2, default, null)")
        run(c, "insert into n values (2, 'prepared')")
        run(c, "xa end %s", (p.id,))
        run(c, "xa prepare %s", (p.id,))
        p.sql("insert into n values (3, 'b');\ninsert into t values (3, default, null)")
        p.wait_events("n", 2, p.id)
        time.sleep(8)  # row and gap are older than the new server by more than a gap may stay
        stack("kill", server, "-9")
        stack("start", server)
        p.sql("insert into t values (4, default, null);\ninsert into n values (4, 'c')")
        p.wait_events("n", 3, p.id)
        time.sleep(15)  # longer than a gap may stay if nobody is left who could fill it
        assert [int(e["after"]["id"]) for e in p.events("t", p.id)] == [1]
        c = connect(p.root, database=p.id, autocommit=True)
        run(c, "xa commit %s", (p.id,))
        c.close()
        assert sorted(int(e["after"]["id"]) for e in p.wait_events("t", 4, p.id)) == [1, 2, 3, 4]
        assert sorted(int(e["after"]["id"]) for e in p.wait_events("n", 4, p.id)) == [1, 2, 3, 4]
        assert p.stop() == 0


TESTS = [late_by_time, late_by_number, killed_by_time, killed_by_number, open_transactions, keys_and_views, statements, plan, bytes_in_statements]

if __name__ == "__main__":
    for s in list(SERVERS):
        there, why = add_server(s)
        if not there:
            print(f"skip mysql_poll.{s}: {why}", flush=True)
            SERVERS.remove(s)
    wanted = [t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    together([lambda t=t, s=s: t(s) for s in SERVERS for t in wanted], 2)
    for s in SERVERS:  # takes a right away that the others need
        if not sys.argv[1:] or "refused" in sys.argv[1:]:
            refused(s)
        if not sys.argv[1:] or "prepared_over_a_restart" in sys.argv[1:]:
            prepared_over_a_restart(s)
    finish()
