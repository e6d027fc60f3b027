#!/usr/bin/env python3
"""postgres-sink with write.mode history: the cases of every sink, and those of PostgreSQL."""
import sys

import history_case
import pg_sink_case
from history_case import HISTORY, US, at
from pg_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


def history(c, columns=None, **settings):
    settings.setdefault("create", RUN)
    return started(c, columns, write_mode=HISTORY, **settings)


def states(c, what="id, v", table="t"):
    micros = "(extract(epoch from %s) * 1000000)::bigint - %d"
    return c.q("SELECT %s, %s, %s, _freshet_current FROM %s ORDER BY id, _freshet_valid_from" % (
        what, micros % ("_freshet_valid_from", US), micros % ("_freshet_valid_to", US), table))


history_case.add(pg_sink_case, states)


@test
def settings_that_make_no_sense(c):
    r = c.probe("open", **{"as": "x"}, dsn=c.dsn(), write_mode=HISTORY, deletes=1)
    fails(r, "CONFIG", "sink.config")
    assert r["error"]["text"].startswith("write.deletes: "), r
    for kind, more in (("clickhouse", {"dsn": "http://127.0.0.1:1/x"}), ("file", {"path": "/nonexistent", "format": "parquet"})):
        r = c.probe("open", **{"as": "y"}, type=kind, write_mode=HISTORY, **more)
        fails(r, "CONFIG", "sink.config")
        assert r["error"]["text"].startswith("write.mode: ") and "append" in r["error"]["hint"], r


@test
def values_that_only_look_the_same(c):
    """Case that a column ignores, blanks, NULL and nothing; and those that are the same in another spelling."""
    c.open(write_mode=HISTORY, create=RUN)
    c.claim()
    columns = [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2), col("j", "JSON"), col("d", "DATETIME"),
               col("w", "DECIMAL", precision=8, scale=1)]
    c.table(columns)
    c.q("CREATE TABLE t (id int NOT NULL, v text, n numeric(10,2), j json, d timestamp(3), w numeric(12,4), "
        "_freshet_position bytea, _freshet_valid_from timestamptz NOT NULL, _freshet_valid_to timestamptz, "
        "_freshet_current boolean NOT NULL, UNIQUE (id, _freshet_valid_from))")
    row = {"id": 1, "v": "a", "n": "1.50", "j": "{\"a\": 1}", "d": 1234, "w": "2.5"}
    steps = [row, row, dict(row, v="A"), dict(row, v="A "), dict(row, v=""), dict(row, v=None), dict(row, v=None),
             dict(row, v=None, j="{\"a\":1}"), dict(row, v=None, j="{\"a\":1}", n="1.51")]
    ok(c.apply([["r", "t", at(i * 10, i + 1, **r)] for i, r in enumerate(steps)]))
    ok(c.commit(1))
    same([r[0] for r in states(c, "v || '|' || n || '|' || j")], ["a|1.50|{\"a\": 1}", "A|1.50|{\"a\": 1}",
                                                                    "A |1.50|{\"a\": 1}", "|1.50|{\"a\": 1}", None, None, None])


@test
def what_is_made_and_planned(c):
    c.open(write_mode=HISTORY, create=RUN)
    c.claim()
    c.table([ID, col("v")])
    r = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))
    sql = [f["sql"] for f in r["findings"] if "CREATE TABLE" in f.get("sql", "") and "valid_from" in f["sql"]]
    assert len(sql) == 1 and 'PRIMARY KEY ("id", "_freshet_valid_from")' in sql[0], r
    c.q(sql[0])
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
    ok(c.commit(1))
    same(states(c), [(1, "a", 0, None, True)])


@test
def tables_of_another_shape(c):
    history(c)
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text, _freshet_position bytea)")
    r = fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.table")
    assert "CREATE TABLE" in r["error"]["hint"] and "rename" in r["error"]["hint"], r
    same(c.q("SELECT count(*) FROM t"), [(0,)])
    c.q("DROP TABLE t")
    c.q(r["error"]["hint"][r["error"]["hint"].index("CREATE TABLE"):])
    ok(c.apply([["c", "t", at(0, 1, id=1, v="a")]]))
    ok(c.commit(1))
    for alter in ("DROP CONSTRAINT t_pkey", "ALTER _freshet_valid_from TYPE timestamptz(0)", "DROP _freshet_current",
                  "ALTER _freshet_valid_to TYPE timestamp", "DROP _freshet_position"):
        c.q("BEGIN; ALTER TABLE t %s; COMMIT" % alter)
        c.open(sink="b", write_mode=HISTORY)
        c.claim(sink="b")
        fails(c.apply([["u", "t", at(5, 2, id=1, v="b")]], sink="b"), "CONFIG", "sink.table")
        ok(c.probe("close", sink="b"))
        c.q("DROP TABLE t")
        c.q(r["error"]["hint"][r["error"]["hint"].index("CREATE TABLE"):])
    # nor does another mode write into a history
    for mode in (0, 1):
        c.open(sink="c", write_mode=mode)
        c.claim(sink="c")
        fails(c.apply([["c", "t", at(0, 1, id=1, v="a")]], sink="c"), "CONFIG", "sink.table")
        ok(c.probe("close", sink="c"))
    c.table([ID, col("v"), col("_freshet_current", "BOOL")], as_="own")
    fails(c.apply([["c", "own", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.name")
    c.table([col("id", "INT32"), col("v")], name="keyless")
    fails(c.apply([["c", "keyless", at(0, 1, id=1, v="a")]]), "CONFIG", "sink.key")


@test
def a_row_that_fails_is_known(c):
    history(c)
    c.q("CREATE TABLE t (id int, v varchar(3), _freshet_position bytea, _freshet_valid_from timestamptz, "
        "_freshet_valid_to timestamptz, _freshet_current boolean, PRIMARY KEY (id, _freshet_valid_from))")
    history_case.fails_in_the_middle(pg_sink_case, states, c, "sink.value")


@test
def keys_that_the_server_takes_for_one(c):
    """A key that changes to another that is the same there ends a state and begins none: such tables are refused."""
    c.table([col("id", "TEXT", 1), col("v")], name="padded", as_="padded")
    history(c)
    c.q("CREATE TABLE padded (id char(9), v text, _freshet_position bytea, _freshet_valid_from timestamptz, "
        "_freshet_valid_to timestamptz, _freshet_current boolean, PRIMARY KEY (id, _freshet_valid_from))")
    fails(c.apply([["c", "padded", at(0, 1, id="a", v="1")]]), "CONFIG", "sink.collation")


@test
def one_current_row_by_constraint(c):
    """What people add to such a table: the old state must have ended when the new one begins."""
    history(c)
    c.q("CREATE TABLE t (id int, v text, _freshet_position bytea, _freshet_valid_from timestamptz, _freshet_valid_to "
        "timestamptz, _freshet_current boolean, PRIMARY KEY (id, _freshet_valid_from)); "
        "CREATE UNIQUE INDEX ON t (id) WHERE _freshet_current")
    ok(c.apply([["c", "t", at(0, i, id=i, v="a")] for i in range(3)]))
    ok(c.commit(1))
    ok(c.apply([["u", "t", at(5, 10 + i, id=i, v="b")] for i in range(3)] + [["u", "t", at(9, 20, id=1, v="c")]]))
    ok(c.commit(2))
    same(states(c), [(0, "a", 0, 5, False), (0, "b", 5, None, True), (1, "a", 0, 5, False), (1, "b", 5, 9, False),
                     (1, "c", 9, None, True), (2, "a", 0, 5, False), (2, "b", 5, None, True)])


@test
def triggers_see_rows_in_order(c):
    history(c)
    c.q("CREATE TABLE t (id int, v text, _freshet_position bytea, _freshet_valid_from timestamptz, _freshet_valid_to "
        "timestamptz, _freshet_current boolean, PRIMARY KEY (id, _freshet_valid_from)); CREATE TABLE seen (n serial, id int, v text);"
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO %s.seen (id, v) VALUES (NEW.id, NEW.v); "
        "RETURN NEW; END $$; CREATE TRIGGER see AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION see()" % c.name)
    ok(c.apply([["c", "t", at(0, 1, id=2, v="a")], ["c", "t", at(0, 2, id=1, v="b")], ["u", "t", at(0, 3, id=2, v="c")],
                ["c", "t", at(0, 4, id=0, v="d")]]))
    ok(c.commit(1))
    same(c.q("SELECT id, v FROM seen ORDER BY n"), [(2, "a"), (1, "b"), (2, "c"), (0, "d")])


if __name__ == "__main__":
    sys.exit(main("pg_history"))
