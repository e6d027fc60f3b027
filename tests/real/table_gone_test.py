#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Tables of a log that are dropped or renamed, and publications that forget a table (schema.on_change.drop_table): the others go
on, what the log still has of such a table is published, and once it is there again all of it is read."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import case, eventually, finish, together  # noqa: E402
from mysql import add_server  # noqa: E402
from schema_changes_test import held, ids, pair  # noqa: E402

OFTEN = "capture_look_often:off:*"  # else a minute lies between two looks
MAKE = "create table {} (id int primary key, v int not null)"


def policy(how):
    return "schema: {{on_change: {{drop_table: %s}}}}" % how


def started(server, method=""):
    p = pair(server, method)
    if server == "postgres":
        p.sql("create publication pub for all tables")
    p.start()
    p.says("stream from")
    for t in "tu":
        p.wait_events(t, 1, p.space)
    return p


def code_of(p, table):
    """Why status says that it is held; None: it is not."""
    parts = json.loads(p.verb("status", "--json")[1])["result"]["status"]["parts"]
    found = [t["held"] for part in parts for t in part.get("tables", []) if t["name"] == f"{p.space}.{table}"]
    return found[0]["code"] if found and found[0] else None


def while_away(server):
    """Dropped behind rows that nobody has read: they come, the others go on, over SIGKILLs too; a new one is read whole."""
    p = started(server)
    with case(f"table_gone.while_away_{server}", p):
        assert p.stop() == 0
        for sql in ("insert into t values (2, 2)", "update t set v = 3 where id = 1", "delete from t where id = 1", "drop table t", "insert into u values (2, 2)"):
            p.sql(sql)
        p.start(failpoint="capture_after_produce:kill")
        p.wait_exit()
        p.start()
        p.wait_events("u", 2, p.space)
        eventually("the rows from before the DROP", lambda: ids(p, "t") == [1, 1, 2], 60, 0.3)
        assert [e["op"] for e in p.events("t", p.space) if e and e["before"] and not e["after"]] == ["d"]
        p.says(f"{p.space}.t is held, the others go on: table {p.space}.t is gone")
        eventually("it is held", lambda: held(p) == {"t"} and code_of(p, "t") == "schema.table_gone")
        p.kill()
        p.sql("insert into u values (3, 3)")
        p.start()
        p.wait_events("u", 3, p.space)
        assert held(p) == {"t"} and ids(p, "t") == [1, 1, 2] and code_of(p, "t") == "schema.table_gone"
        p.sql(MAKE.format("t"))
        p.sql("insert into t values (5, 5)")
        code, _, err = p.verb("resume", f"src/{p.space}.t", "-y")
        assert code == 0, err
        eventually("a new snapshot", lambda: any(e and e["op"] == "r" and e["after"]["id"] == 5 for e in p.events("t", p.space)), 60, 0.3)
        eventually("held no longer", lambda: not held(p) and code_of(p, "t") is None)
        assert p.stop() == 0
    p.close()


def while_read(server):
    """Dropped, and renamed, under our eyes."""
    p = started(server)
    with case(f"table_gone.while_read_{server}", p):
        if server == "postgres":
            p.kill()
            p.start(failpoint=OFTEN)
        p.says("stream from")
        p.sql("insert into t values (2, 2)")
        p.sql("alter table t rename to t_was")
        eventually("it is held", lambda: held(p) == {"t"}, 60, 0.3)
        p.sql("insert into t_was values (3, 3)")
        p.sql("insert into u values (2, 2)")
        p.wait_events("u", 2, p.space)
        p.wait_events("t", 2, p.space)
        p.sql("alter table t_was rename to t")
        eventually("what was written under another name", lambda: 3 in ids(p, "t"), 60, 0.3)
        eventually("held no longer", lambda: not held(p))
        p.sql("drop table t")
        eventually("it is held", lambda: held(p) == {"t"}, 60, 0.3)
        assert p.stop() == 0
        p.write(p.text.replace(next(line for line in p.text.splitlines(True) if ".t: " in line), ""))
        p.sql("insert into u values (3, 3)")
        p.start()
        p.wait_events("u", 3, p.space)
        assert not held(p) and p.stop() == 0
    p.close()


def ignored(server):
    """Said once, and never held; a table of its name is read from its beginning."""
    p = started(server, policy("ignore"))
    with case(f"table_gone.ignored_{server}", p):
        p.kill()
        p.sql("insert into t values (2, 2)")
        p.sql("drop table t")
        p.start()
        p.says(f"table {p.space}.t is gone", "its topic stays as it is")
        p.wait_events("t", 2, p.space)
        p.sql("insert into u values (2, 2)")
        p.wait_events("u", 2, p.space)
        assert code_of(p, "t") is None
        assert p.stop() == 0
        p.sql("insert into u values (3, 3)")
        p.start()
        p.wait_events("u", 3, p.space)
        assert "is gone" not in p.log(this_start=True) and code_of(p, "t") is None
        assert p.stop() == 0
        p.sql(MAKE.format("t"))
        p.sql("insert into t values (9, 9)")
        p.start()
        eventually("the new one", lambda: 9 in ids(p, "t"), 60, 0.3)
        assert p.stop() == 0
    p.close()


def stops(server):
    p = started(server, policy("stop"))
    with case(f"table_gone.stops_{server}", p):
        p.kill()
        p.sql("drop table t")
        p.start()
        p.refused(6, "schema.on_change.drop_table says stop")
        p.write(p.text.replace("stop", "block"))
        p.sql("insert into u values (2, 2)")
        p.start()
        p.wait_events("u", 2, p.space)
        assert held(p) == {"t"} and p.stop() == 0
    p.close()


def never_there(server):
    """A name that never was a table's is a slip, and not one that is gone."""
    p = started(server)
    with case(f"table_gone.never_there_{server}", p):
        assert p.stop() == 0
        p.write(p.text + f"      {p.space}.nowhere: {{{{}}}}\n")
        p.start()
        p.refused(2, f"there is no table {p.space}.nowhere")
    p.close()


def in_a_condition(server):
    """What snapshot.where names and is not there is a slip in the configuration: the captured table is not gone."""
    p = pair(server, "snapshot: {{where: id IN (SELECT id FROM keeep)}}")
    with case(f"table_gone.in_a_condition_{server}", p):
        if server == "postgres":
            p.sql("create publication pub for all tables")
        p.start()
        p.ends_or_holds(2, "keeep", "correct snapshot.where")
        assert "is gone" not in p.log() and "table was dropped" not in p.log()
    p.close()


def in_a_snapshot(server):
    """Dropped while its first rows are read: what was read of it is published, the others are read and followed. (MySQL and MariaDB
    let the DROP wait for a view that has begun to read the table.)"""
    p = pair(server, "snapshot: {{chunk: 50}}")
    with case(f"table_gone.in_a_snapshot_{server}", p):
        if server == "postgres":
            p.sql("create publication pub for all tables")
        for k in range(20):
            p.sql("insert into t values " + ", ".join(f"({2 + 100 * k + i}, 1)" for i in range(100)))
        p.start(failpoint="capture_mid_chunk:sleep=100:*")
        p.wait_events("t", 50, p.space)
        p.sql("drop table t")
        p.sql("insert into u values (2, 2)")
        p.wait_events("u", 2, p.space)
        eventually("it is held", lambda: held(p) == {"t"} and code_of(p, "t") == "schema.table_gone", 90, 0.3)
        assert len(ids(p, "t")) < 2001 or server != "postgres", "all was read before the DROP: the test shows nothing"
        p.sql("insert into u values (3, 3)")
        p.wait_events("u", 3, p.space)
        assert p.stop() == 0
    p.close()


def held_before(server):
    """A table that is held at a row, and dropped then: once it is released its rows are published, and it is held as gone."""
    p = started(server)
    with case(f"table_gone.held_before_{server}", p):
        p.sql("alter table t drop column v")
        p.sql("insert into t values (2)")
        eventually("it is held", lambda: code_of(p, "t") == "schema.blocked", 60, 0.3)
        p.sql("insert into t values (3)")
        p.sql("drop table t")
        p.sql("insert into u values (2, 2)")
        p.wait_events("u", 2, p.space)
        assert ids(p, "t") == [1] and code_of(p, "t") == "schema.blocked"
        assert p.stop() == 0
        p.write(p.text.replace(".t: {{", ".t: {{schema: {{on_change: {{drop_column: evolve}}}}"))
        p.start(failpoint=OFTEN)
        eventually("its rows", lambda: ids(p, "t") == [1, 2, 3], 60, 0.3)
        eventually("it is gone", lambda: code_of(p, "t") == "schema.table_gone", 60, 0.3)
        p.sql("insert into u values (3, 3)")
        p.wait_events("u", 3, p.space)
        assert p.stop() == 0
    p.close()


def publication_forgets():
    """A publication FOR TABLE does not have the table that is made under the name of a dropped one: it is held, and read anew once
    it is published."""
    p = pair("postgres")
    with case("table_gone.publication_forgets", p):
        p.sql("create publication pub for table t, u")
        p.start(failpoint=OFTEN)
        p.says("stream from")
        p.wait_events("t", 1)
        again = "begin; drop table t; create table t (id int primary key, v int not null); {} insert into t values ({}, 1); commit; insert into u values ({}, 1)"
        p.sql(again.format("alter publication pub add table t;", 2, 2))
        p.wait_events("t", 2)
        p.says("public.t was dropped and made again, and publication pub has it")
        p.sql(again.format("", 3, 3))
        p.wait_events("u", 3)
        eventually("it is held", lambda: held(p) == {"t"}, 60, 0.3)
        assert code_of(p, "t") == "pg.publication" and 'ALTER PUBLICATION "pub" ADD TABLE ONLY "public"."t"' in p.log().replace("\\", "")
        assert ids(p, "t") == [1, 2], "the trap is none: correct docs/schema-changes.md"
        p.kill()
        p.sql("insert into u values (4, 4)")
        p.start(failpoint=OFTEN)
        p.wait_events("u", 4)
        assert held(p) == {"t"}
        p.sql("insert into t values (4, 1)")
        p.sql("alter publication pub add table t")
        p.sql("insert into t values (5, 1)")
        eventually("all of it", lambda: set(ids(p, "t")) == {1, 2, 3, 4, 5}, 60, 0.3)
        eventually("held no longer", lambda: not held(p))
        p.sql("alter publication pub drop table u")
        eventually("u is held", lambda: held(p) == {"u"}, 60, 0.3)
        p.sql("insert into t values (6, 1)")
        eventually("t goes on", lambda: 6 in ids(p, "t"), 60, 0.3)
        p.sql("drop table t")
        eventually("t is gone", lambda: code_of(p, "t") == "schema.table_gone", 60, 0.3)
        mark = len(p.log())
        p.sql("create table t (id int primary key, v int not null); insert into t values (7, 1)")
        eventually("another reason", lambda: code_of(p, "t") == "pg.publication", 60, 0.3)
        p.sql("drop publication pub")
        p.sql("insert into u values (5, 5)")
        p.refused(2, "pg.slot_after_publication")
        assert "public.t goes on" not in p.log()[mark:], "a table that the log lacks is not back"
    p.close()


if __name__ == "__main__":
    SERVERS = sys.argv[1:] or ["postgres", "mariadb"]  # mysql: as mariadb
    for s in [s for s in SERVERS if s != "postgres"]:
        there, why = add_server(s)
        if not there:
            print(f"skip table_gone.{s}: {why}", flush=True)
            SERVERS.remove(s)
    together([lambda s=s, f=f: f(s) for s in SERVERS for f in (while_away, while_read, ignored, stops, never_there, in_a_condition, in_a_snapshot, held_before)] + [publication_forgets] * ("postgres" in SERVERS), 4)
    finish()
