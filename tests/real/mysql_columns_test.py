#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Columns that are not like others, on MySQL and MariaDB: generated, invisible, made by the server. What a snapshot
reads and what the log says must have the same columns, keys and values, with and without names in the log."""
import sys

from mysql_source_case import *  # noqa: F401,F403: the vocabulary of these tests

END = "2038-01-19T03:14:07.999999Z"     # of a version that is the newest
VERSIONED = "WITH SYSTEM VERSIONING"


def tables(d):
    """(name, columns, what stands behind them, an INSERT's columns and values, the key)"""
    out = [("gen", "id int PRIMARY KEY, a int, v int AS (a+1) VIRTUAL, s int AS (a*2) STORED, i int AS (a+3) VIRTUAL INVISIBLE",
            "", ("id, a", "1, 5"), ["id"]),
           ("inv", "b varchar(9) INVISIBLE DEFAULT 'x', id int PRIMARY KEY, a int", "", ("id, a", "1, 5"), ["id"])]
    if d.mariadb:
        out += [("ver", "id int PRIMARY KEY, a int", VERSIONED, ("id, a", "1, 5"), ["id", "row_end"]),
                ("uni", "a int, id int NOT NULL UNIQUE", VERSIONED, ("id, a", "1, 5"), ["id", "row_end"]),
                ("said", "id int PRIMARY KEY, a int, rs timestamp(6) GENERATED ALWAYS AS ROW START, re timestamp(6)"
                 " GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME(rs, re)", VERSIONED, ("id, a", "1, 5"), ["id", "re"]),
                ("unseen", "re timestamp(6) GENERATED ALWAYS AS ROW END INVISIBLE, id int PRIMARY KEY, a int, rs timestamp(6)"
                 " GENERATED ALWAYS AS ROW START INVISIBLE, PERIOD FOR SYSTEM_TIME(rs, re)", VERSIONED,
                 ("id, a", "1, 5"), ["id", "re"])]
    else:
        d.sql("SET SESSION sql_generate_invisible_primary_key=ON")
        out.append(("gipk", "a int", "", ("a", "5"), ["my_row_id"]))
    return out


def shape(r, table):
    columns = next(x["columns"] for x in r.ops("TABLE") if x["table"].endswith("." + table))
    return columns, [c["name"] for c in sorted(columns, key=lambda c: c["key"]) if c["key"]]


def read_and_changed(d):
    for name, columns, behind, _, _ in tables(d):
        d.sql("CREATE TABLE %s(%s) %s" % (name, columns, behind))
    made = tables(d)
    for name, _, _, (columns, values), _ in made:
        d.sql("INSERT INTO %s(%s) VALUES (%s)" % (name, columns, values))
    r = d.start("cut-chunks", chunk=1)
    for name, *_ in made:
        d.sql("UPDATE %s SET a=7" % name)
    s = d.stream(commits=len(made))
    for name, _, behind, _, key in made:
        expect(len(r.rows(name)), 1, name)
        expect(shape(r, name)[1], key, name + ": the snapshot's key")
        expect(shape(s, name), shape(r, name), name + ": the log's columns and key")
        was, change = r.rows(name)[0]["after"], s.rows(name)[0]
        expect((change["op"], change["before"], change["after"]["a"]), ("u", was, 7), name)
        expect(list(change["before"]), list(was), name)
        old = s.rows(name)[1:]
        expect(len(old), 1 if behind else 0, name + ": versions that ended")
        for x in old:
            expect((x["op"], x["after"]["a"], was[key[1]]), ("c", 5, END), name)
            assert x["after"][key[1]] < END, x


@db_test
def columns_of_snapshot_and_log(d):
    """R27, E20: the same bytes from both, where the log has names."""
    read_and_changed(d)


@own_test()
def columns_without_names(d, servers):
    """The same where columns are found by their places."""
    d.sql("SET GLOBAL binlog_row_metadata=%s" % ("'NO_LOG'" if d.mariadb else "'MINIMAL'"))
    d.conn.close()
    d.conn = d.connect()
    read_and_changed(d)


@db_test
def history_of_a_row(d):
    """A consumer by key has what the server has: the newest version of each row, and all that ended."""
    if not d.mariadb:
        raise Skip
    d.sql("CREATE TABLE t(id int PRIMARY KEY, a int, b int WITHOUT SYSTEM VERSIONING) " + VERSIONED)
    d.sql("INSERT INTO t VALUES (1, 1, 1), (2, 1, 1), (3, 1, 1)")
    r = d.start("chunks")
    d.sql("UPDATE t SET a=2 WHERE id=1")
    d.sql("UPDATE t SET b=2 WHERE id=2")
    d.sql("DELETE FROM t WHERE id=3")
    d.sql("INSERT INTO t VALUES (3, 9, 9)")
    rows = r.rows() + d.stream(commits=4).rows()
    got = {}
    for x in rows:
        if x["op"] in ("u", "d"):
            del got[x["before"]["id"], x["before"]["row_end"]]
        if x["op"] != "d":
            k = x["after"]["id"], x["after"]["row_end"]
            assert k not in got, (k, "comes twice")
            got[k] = x["after"]["a"], x["after"]["b"]
    want = d.sql("SELECT id, a, b, row_end > '2038-01-01' FROM t FOR SYSTEM_TIME ALL")
    expect(sorted((k[0], *v, int(k[1] == END)) for k, v in got.items()), sorted(want))
    expect(len(want), 5)


@db_test
def history_needs_its_key(d):
    """With key: [id] a version that ended, which is logged after the one that followed, would replace it."""
    if not d.mariadb:
        raise Skip
    d.sql("CREATE TABLE t(id int PRIMARY KEY, a int) " + VERSIONED)
    d.start()
    e = d.probe("plan", key="id").fails("CONFIG", "my.history_key")
    assert "row_end" in e["text"] and "row_end" in e["hint"], e
    d.finding("my.history_key", "blocker", key="id")
    d.sql("INSERT INTO t VALUES (1, 1)")
    d.refused("CONFIG", "my.history_key", key="id")
    d.start("chunks", key="row_end")    # the control: what is asked for is that this column is named


if __name__ == "__main__":
    sys.exit(main())
