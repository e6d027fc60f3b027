#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""mysql-sink with write.mode history: the cases of every sink, and those of MySQL and MariaDB."""
import sys

import history_case
import mysql_sink_case
from history_case import HISTORY, US, at
from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


def ready(c):
    if not c.fractions():
        raise Skip("no fractions of seconds")


def started(c, columns=None, **settings):
    ready(c)
    return mysql_sink_case.started(c, columns, **settings)


def states(c, what="id, v", table="t"):
    micros = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', %s) - %d"
    rows = c.q("SELECT %s, %s, %s, _freshet_current FROM %s ORDER BY id, _freshet_valid_from" % (
        what, micros % ("_freshet_valid_from", US), micros % ("_freshet_valid_to", US), table))
    return [(*r[:-1], bool(r[-1])) for r in rows]


class Words:
    """mysql_sink_case, whose servers without fractions keep no history."""

    def __getattr__(self, name):
        return dict(started=started, ready=ready).get(name) or getattr(mysql_sink_case, name)


history_case.add(Words(), states)
OURS = ("_freshet_position varbinary(16), _freshet_valid_from datetime(6) NOT NULL, "
        "_freshet_valid_to datetime(6), _freshet_current tinyint NOT NULL, PRIMARY KEY (id, _freshet_valid_from)")


@test
def values_that_only_look_the_same(c):
    """Case that a column ignores, blanks, NULL and nothing, the sixteenth digit; and those that are the same in
    another spelling."""
    columns = [ID, col("v"), col("n", "DECIMAL", precision=30, scale=10), col("d", "DATETIME"), col("f", "FLOAT64"), col("b", "BYTES")]
    started(c, columns, write_mode=HISTORY, create=RUN)
    c.q("CREATE TABLE t (id int NOT NULL, v varchar(20) CHARACTER SET utf8mb4, n decimal(30,10), d datetime(6), f double, b longblob, %s)" % OURS)
    row = {"id": 1, "v": "a", "n": "1234567890123456.5000000000", "d": 1234, "f": 0.1, "b": "00ff"}
    steps = [row, row, dict(row, v="A"), dict(row, v="A "), dict(row, v="é"), dict(row, v=""), dict(row, v=None), dict(row, v=None)]
    row = dict(row, v=None)
    steps += [dict(row, n="1234567890123456.5000000001"), dict(row, n="1234567890123456.5000000001"), dict(row, n="1234567890123456.5000000002"),
              row, dict(row, d=1235), dict(row, d=1235), dict(row, f=0.30000000000000004), dict(row, f=0.3), dict(row, b="00fe"),
              dict(row, b=None), dict(row, b="")]
    ok(c.apply([["r", "t", at(i * 10, i + 1, **r)] for i, r in enumerate(steps)]))
    ok(c.commit(1))
    same([r[0] for r in states(c, "v")][:6], ["a", "A", "A ", "é", "", None])
    same([str(r[0])[16:] for r in states(c, "n")][5:8], [".5000000000", ".5000000001", ".5000000002"])
    same(len(states(c)), 15)


@test
def types_that_are_compared_once_they_are_stored(c):
    """What the server makes of a parameter is not known before: a label, blanks of char, another character set, JSON."""
    columns = [ID, col("e"), col("ch"), col("l"), col("j", "JSON"), col("bi", "BYTES")]
    started(c, columns, write_mode=HISTORY, create=RUN)
    c.q("CREATE TABLE t (id int NOT NULL, e enum('a','b'), ch char(5), l varchar(9) CHARACTER SET latin1, j %s, bi binary(4), %s)" % (
        "longtext" if c.mariadb else "json", OURS))
    row = {"id": 1, "e": "a", "ch": "x", "l": "é", "j": "{\"a\": 1}", "bi": "01000000"}
    steps = [row, row, dict(row, e="b"), dict(row, e="b"), dict(row, e="b", ch="x  "), dict(row, e="b", ch="X"), dict(row, e="b", ch="X", l="e"),
             dict(row, e="b", ch="X", l="e", j="{\"a\": 1}"), dict(row, e="b", ch="X", l="e", j="{\"a\": 2}"),
             dict(row, e="b", ch="X", l="e", j="{\"a\": 2}", bi="02000000")]
    ok(c.apply([["r", "t", at(i * 10, i + 1, **r)] for i, r in enumerate(steps)]))
    ok(c.commit(1))
    got = states(c, "e, ch, l, bi")
    same([r[:4] for r in got], [("a", "x", "é", b"\x01\0\0\0"), ("b", "x", "é", b"\x01\0\0\0"), ("b", "X", "é", b"\x01\0\0\0"),
                                ("b", "X", "e", b"\x01\0\0\0"), ("b", "X", "e", b"\x01\0\0\0"), ("b", "X", "e", b"\x02\0\0\0")])
    history_case.sound([(1, *r[4:]) for r in got])
    same(c.q("SELECT count(*) FROM t WHERE _freshet_current"), [(1,)])
    fails(c.apply([["u", "t", at(900, 90, **dict(row, l="\u0416"))]]), "DATA", "sink.value")


@test
def keys_of_many_digits(c):
    """The seventeenth digit of a decimal tells two rows apart, and a number of 64 bits without sign."""
    columns = [col("id", "DECIMAL", 1, precision=30, scale=0), col("v")]
    started(c, columns, write_mode=HISTORY, create=RUN)
    a, b = "123456789012345678901234567890", "123456789012345678901234567891"
    ok(c.apply([["c", "t", at(0, 1, id=a, v="a")], ["c", "t", at(0, 2, id=b, v="b")], ["d", "t", at(5, 3, id=a)],
                ["u", "t", at(6, 4, id=b, v="c")]]))
    ok(c.commit(1))
    same([(str(r[0]), *r[1:]) for r in states(c)], [(a, "a", 0, 5, False), (b, "b", 0, 6, False), (b, "c", 6, None, True)])


@test
def keys_that_the_server_takes_for_one(c):
    """A key that changes to another that is the same there ends a state and begins none: such tables are refused."""
    started(c, [col("id", "TEXT", 1), col("v")], write_mode=HISTORY, create=RUN)
    c.q("CREATE TABLE t (id varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL, v text, %s)" % OURS)
    r = fails(c.apply([["c", "t", at(0, 1, id="a", v="1")]]), "CONFIG", "sink.collation")
    assert "COLLATE" in r["error"]["hint"], r
    same(states(c), [])


@test
def what_is_made_and_planned(c):
    started(c, write_mode=HISTORY, create=RUN)
    r = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))
    sql = [f["sql"] for f in r["findings"] if "CREATE TABLE" in f.get("sql", "") and "valid_from" in f["sql"]]
    assert len(sql) == 1 and "PRIMARY KEY (`id`, `_freshet_valid_from`)" in sql[0], r
    c.q(sql[0])
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
    ok(c.commit(1))
    same(states(c), [(1, "a", 0, None, True)])
    r = c.probe("open", **{"as": "x"}, type="mysql", dsn=c.dsn(), write_mode=HISTORY, deletes=1)
    fails(r, "CONFIG", "sink.config")
    assert r["error"]["text"].startswith("write.deletes: "), r


@test
def tables_of_another_shape(c):
    started(c, write_mode=HISTORY, create=RUN)
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text, _freshet_position varbinary(16))")
    r = fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.table")
    assert "CREATE TABLE" in r["error"]["hint"] and "rename" in r["error"]["hint"], r
    same(c.q("SELECT count(*) FROM t"), [(0,)])
    c.q("DROP TABLE t")
    create = r["error"]["hint"][r["error"]["hint"].index("CREATE TABLE"):]
    c.q(create)
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
    ok(c.commit(1))
    for alter in ("DROP PRIMARY KEY", "DROP PRIMARY KEY, ADD PRIMARY KEY (_freshet_valid_from, id)", "MODIFY _freshet_valid_to datetime(3)",
                  "DROP _freshet_current", "DROP _freshet_position"):
        c.q("ALTER TABLE t %s" % alter)
        c.open(sink="b", write_mode=HISTORY)
        c.claim(sink="b")
        fails(c.apply([["u", "t", at(5, 2, id=1, v="b")]], sink="b"), "CONFIG", "sink.table")
        ok(c.probe("close", sink="b"))
        c.q("DROP TABLE t")
        c.q(create)
    for mode in (0, 1):  # nor does another mode write into a history
        c.open(sink="c", write_mode=mode)
        c.claim(sink="c")
        fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]], sink="c"), "CONFIG", "sink.table")
        ok(c.probe("close", sink="c"))
    c.table([col("id", "INT32"), col("v")], name="keyless")
    fails(c.apply([["c", "keyless", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.key")


@test
def a_row_that_fails_is_known(c):
    started(c, write_mode=HISTORY, create=RUN)
    c.q("CREATE TABLE t (id int NOT NULL, v varchar(3), %s)" % OURS)
    history_case.fails_in_the_middle(mysql_sink_case, states, c, "sink.value")


@test
def rights_that_a_history_needs(c):
    """SELECT, INSERT, UPDATE; no DELETE."""
    ready(c)
    user = "h%d" % (abs(hash(c.name)) % 10**9)
    c.q("CREATE TABLE t (id int NOT NULL, v text, j varchar(9) CHARACTER SET latin1, %s)" % OURS)
    c.open(sink="maker")
    c.claim(sink="maker")
    ok(c.probe("close", sink="maker"))
    c.q("CREATE USER %s@'%%'" % user)
    try:
        c.q("GRANT SELECT, INSERT, UPDATE ON %s.t TO %s@'%%'" % (c.name, user))
        for own in ("_freshet_offsets", "_freshet_parked"):
            c.q("GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%s TO %s@'%%'" % (c.name, own, user))
        c.open(dsn=c.dsn(user=user), write_mode=HISTORY, truncate=1)
        c.claim()
        c.table([ID, col("v"), col("j")])
        ok(c.apply([["c", "t", at(0, 1, id=1, v="a", j="x")], ["u", "t", at(5, 2, id=1, v="a", j="x")], ["u", "t", at(6, 3, id=1, v="b", j="x")],
                    ["d", "t", at(7, 4, id=1)], ["t", "t", at(8, 5)]]))
        ok(c.commit(1))
        same(states(c), [(1, "a", 0, 6, False), (1, "b", 6, 7, False)])
        c.q("REVOKE UPDATE ON %s.t FROM %s@'%%'" % (c.name, user))
        c.open(sink="b", dsn=c.dsn(user=user), write_mode=HISTORY)
        c.claim(sink="b")
        r = fails(c.apply([["c", "t", at(9, 9, id=2, v="a", j="x")]], sink="b"), "CONFIG", "sink.grants")
        assert "GRANT SELECT, INSERT, UPDATE ON" in r["error"]["hint"], r
    finally:
        c.q("DROP USER %s@'%%'" % user)


@test
def servers_without_fractions_refuse(c):
    if c.fractions():
        raise Skip("")
    c.open(write_mode=HISTORY, create=RUN)
    c.claim()
    c.table([ID, col("v")])
    r = fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.version")
    assert "5.6.4" in r["error"]["hint"], r


if __name__ == "__main__":
    sys.exit(main("mysql_history"))
