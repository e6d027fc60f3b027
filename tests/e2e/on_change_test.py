#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""schema.on_change judges a table by what was published last to its topic, and not by what the registry happens to
know: over restarts, for changes made while freshet is down, and for a table that becomes again what it was."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, finish, together  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{schema: {{compatibility: NONE, on_change: {{ON_CHANGE}}}}}}
"""
ADD = "alter table t add b int default 7; "
DROP = "alter table t drop b; "
cases = []


def policy(text):
    return SOURCE.replace("ON_CHANGE", text)


def scenario(on_change):
    def wrap(f):
        def run():
            p = Pipeline(policy(on_change), target=False)
            p.sql("create table t (id int primary key, a int); create publication pub for table t")
            p.sql("insert into t values (1, 1)")
            with case(f"on_change.{f.__name__}", p):
                p.start()
                p.wait_events("t", 1)
                f(p)
            p.close()
        cases.append(run)
        return f
    return wrap


def down(p):
    assert p.stop() == 0, p.log(True)[-800:]


def row(p, n, columns="id, a"):
    return f"insert into t ({columns}) values ({n}{', 1' * columns.count(',')}); "


def shapes(p):
    """The columns of each row, in order of id."""
    return ["".join(sorted(e["after"])) for e in sorted(p.events("t"), key=lambda e: e["after"]["id"])]


def stops(p, key, columns):
    p.refused(6, f"table public.t: {columns}: schema.on_change.{key} says stop")


def plan_says(p, key, columns):
    code, out, err = p.verb("plan", "--json")
    found = [f["message"] for s in json.loads(out)["result"]["sections"] for f in s["findings"] if f["severity"] == "blocker"]
    assert code == 4 and len(found) == 1 and f"{columns}: schema.on_change.{key} says stop" in found[0], (code, found, err)


def plan_is_fine(p):
    code, out, err = p.verb("plan")
    assert code == 0, (out, err)


@scenario("add_column: evolve, drop_column: stop")
def changed_back(p):
    """The registry knows the old shape: the column is gone all the same."""
    p.sql(ADD + row(p, 2, "id, a, b"))
    p.wait_events("t", 2)
    p.sql(DROP + row(p, 3))
    stops(p, "drop_column", "-b")
    plan_says(p, "drop_column", "-b")
    p.start()  # it is no other after a restart
    stops(p, "drop_column", "-b")
    p.write(policy("add_column: evolve, drop_column: evolve"))
    plan_is_fine(p)
    p.start()
    p.wait_events("t", 3)
    assert shapes(p) == ["aid", "abid", "aid"], shapes(p)
    down(p)
    p.write(policy("add_column: stop, drop_column: stop"))
    p.start()  # nothing has changed since
    p.sql(row(p, 4))
    p.wait_events("t", 4)
    down(p)


@scenario("add_column: evolve, drop_column: stop")
def changed_back_while_down(p):
    p.sql(ADD + row(p, 2, "id, a, b"))
    p.wait_events("t", 2)
    down(p)
    p.sql(DROP + row(p, 3))
    plan_says(p, "drop_column", "-b")
    p.start()
    stops(p, "drop_column", "-b")


@scenario("add_column: stop, drop_column: evolve")
def came_back(p):
    """A column that was dropped and added again is a column that was added."""
    down(p)
    p.write(policy("add_column: evolve, drop_column: evolve"))
    p.sql(ADD + row(p, 2, "id, a, b") + DROP + row(p, 3))
    p.start()
    p.wait_events("t", 3)
    down(p)
    p.write(policy("add_column: stop, drop_column: evolve"))
    p.sql(ADD + row(p, 4, "id, a, b"))
    plan_says(p, "add_column", "+b")
    p.start()
    stops(p, "add_column", "+b")


@scenario("add_column: evolve, drop_column: evolve")
def judged_by_the_last_and_not_by_the_newest(p):
    """The registry's newest version has b, what was published last has not: c is all that is new."""
    p.sql(ADD + row(p, 2, "id, a, b") + DROP + row(p, 3))
    p.wait_events("t", 3)
    down(p)
    p.write(policy("add_column: evolve, drop_column: stop"))
    p.sql("alter table t add c int; " + row(p, 4, "id, a, c"))
    plan_is_fine(p)
    p.start()
    p.wait_events("t", 4)
    assert shapes(p) == ["aid", "abid", "aid", "acid"], shapes(p)
    down(p)


@scenario("add_column: evolve, drop_column: stop")
def twice_while_down(p):
    """There and back with a row in between: that row has the column, so its end is a change too."""
    down(p)
    p.sql(ADD + row(p, 2, "id, a, b"))
    p.sql(DROP + row(p, 3))
    plan_is_fine(p)  # the table is what it was: plan sees no further than that
    p.start()
    stops(p, "drop_column", "-b")
    assert shapes(p)[0] == "aid" and len(shapes(p)) in (1, 2), shapes(p)


@scenario("add_column: stop, drop_column: stop")
def unseen_between(p):
    """There and back with no row in between: nobody has seen it."""
    down(p)
    p.sql(ADD + DROP + row(p, 2))
    p.start()
    p.wait_events("t", 2)
    assert shapes(p) == ["aid", "aid"], shapes(p)
    down(p)


@scenario("add_column: evolve, drop_column: stop, change_type: stop")
def killed(p):
    """What was not committed was not published: read again, it is judged again, and passes."""
    p.kill()
    p.sql(ADD + row(p, 2, "id, a, b"))
    p.start(failpoint="capture_after_produce:kill")
    p.wait_exit()
    p.start()
    p.wait_events("t", 2)
    p.kill()
    p.sql("alter table t alter a type bigint; " + row(p, 3, "id, a, b"))
    p.start()
    stops(p, "change_type", "~a")


together(cases)
finish()
