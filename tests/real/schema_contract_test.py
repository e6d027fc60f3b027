#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Contracts and rules: rows that break them are in no topic, each is in the dead letters with its rule, and all others are
published in the contract's very record. A table with the same rows and no contract is the control: there they are published."""
import collections
import datetime
import decimal
import json
import os
import re
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PG_SOURCE, Pipeline, case, eventually, finish, metrics, read_topics, together  # noqa: E402
from mysql import MY_SOURCE, MyPipeline, add_server  # noqa: E402

DATE = {"type": "int", "logicalType": "date"}
CONTRACT = {
    "type": "record", "name": "Order", "namespace": "com.acme", "doc": "An order", "fields": [
        {"name": "order_id", "type": "long", "aliases": ["id"]},
        {"name": "email", "type": "string", "doc": "Where bills go", "freshet.rules": [{"matches": "^[^@ ]+@[^@ ]+$"}]},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["new", "paid", "sent"]}},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "qty", "type": "int"},
        {"name": "country", "type": "string"},
        {"name": "name", "type": "string"},
        {"name": "ordered", "type": DATE},
        {"name": "shipped", "type": ["null", DATE], "default": None},
        {"name": "currency", "type": "string", "default": "EUR"}],
    "freshet.rules": [{"sql": "shipped is null or shipped >= ordered", "name": "delivered"}]}
RULES = "[{{field: total, range: [0, 100000]}}, {{field: country, in: [DE, FR]}}, {{field: name, not_empty: true}}]"
TABLE = """(id int primary key, email varchar(80), state varchar(20), total numeric(14,4), qty bigint, country varchar(5),
            name varchar(40), ordered date, shipped date, secret varchar(40))"""
PG_LOG = PG_SOURCE.replace("    tables:", "    log: {{slot: {slot}}}\n    tables:")
# What is wrong with row i, and the rule that says so; the last two of twelve are good.
BAD = [("email", "no-at", "email.matches"), ("email", None, "field email"), ("state", "lost", "field state"),
       ("total", "-0.01", "total.range"), ("total", "100000.01", "total.range"), ("total", "1.005", "field total"),
       ("qty", 3000000000, "field qty"), ("country", "XX", "country.in"), ("name", "", "name.not_empty"),
       ("shipped", "2026-01-01", "delivered")]
NAMES = ["id", "email", "state", "total", "qty", "country", "name", "ordered", "shipped", "secret"]


def tables(space):
    return f"""      {space}.t: {{{{schema: {{{{contract: schemas/order.avsc, rules: {RULES}}}}}, errors: {{{{mode: dlq}}}}}}}}
      {space}.c: {{{{}}}}
"""


def row(i):
    r = dict(id=i, email=f"a{i}@b.example", state=("new", "paid", "sent")[i % 3], total=f"{i % 1000}.25", qty=i, country=("DE", "FR")[i % 2],
             name=f"n{i}", ordered="2026-02-01", shipped=("2026-02-01", None)[i % 2], secret=f"hidden-{i}")
    if i % 12 < len(BAD):
        r[BAD[i % 12][0]] = BAD[i % 12][1]
    return [r[n] for n in NAMES]


def insert(p, table, numbers):
    one = "(" + ", ".join(["%s"] * len(NAMES)) + ")"
    for part in [numbers[i:i + 2000] for i in range(0, len(numbers), 2000)]:
        p.sql(f"insert into {table} values " + ", ".join([one] * len(part)), *[v for i in part for v in row(i)])


def violations(e):
    """What a published row has that it may not: said again, by other means."""
    return [what for what, bad in (
        ("email", e["email"] is None or not re.match(r"^[^@ ]+@[^@ ]+$", e["email"])), ("state", e["state"] not in ("new", "paid", "sent")),
        ("total", not 0 <= e["total"] <= 100000 or e["total"] != e["total"].quantize(decimal.Decimal("0.01"))),
        ("qty", abs(e["qty"]) >= 2 ** 31), ("country", e["country"] not in ("DE", "FR")), ("name", not e["name"]),
        ("shipped", e["shipped"] is not None and e["shipped"] < e["ordered"])) if bad]


def put_contract(p, contract, name="order"):
    os.makedirs(os.path.join(p.dir, "schemas"), exist_ok=True)
    with open(os.path.join(p.dir, "schemas", name + ".avsc"), "w") as f:
        json.dump(contract, f, indent=2)


def letters(p):
    """Of each row in the dead letters: why."""
    out = collections.defaultdict(list)
    for m in read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"]):
        body = json.loads(m.value())
        out[(body["after"] or body["before"])["id"]].append(dict(m.headers())["freshet.reason"].decode())
        assert b"hidden" not in m.value(), m.value()
    return out


def row_record(p, message):
    """The record of rows in the value's schema, as the registry has it."""
    with urllib.request.urlopen(f"{p.registry.url}/schemas/ids/{int.from_bytes(message.value()[1:5], 'big')}", timeout=20) as r:
        schema = json.loads(json.load(r)["schema"])
    record = next(f for f in schema["fields"] if f["name"] == "before")["type"][1]
    next(f for f in record["fields"] if f["name"] == "state")["type"].pop("namespace")  # said again where it is defined
    return record


def hostile(name, make, source, space, count):
    """Ten of twelve rows break something, each in its own way."""
    p = make(source + tables(space or "{id}"))
    put_contract(p, CONTRACT)
    with case(f"schema_contract_{name}", p):
        space = space or p.id
        good = [i for i in range(count) if i % 12 >= len(BAD)]
        for t in "tc":
            p.sql(f"create table {t}{TABLE}")
        if space == "public":
            p.sql("alter table t replica identity full; alter table c replica identity full;"
                  "create publication freshet_src for all tables with (publish_via_partition_root = true)")
        insert(p, "t", list(range(count // 2)))
        insert(p, "c", list(range(count // 2)))
        p.start()
        p.wait_events("t", len(good) // 2, space)
        insert(p, "t", list(range(count // 2, count)))
        insert(p, "c", list(range(count // 2, count)))
        p.sql("update t set state = 'lost' where id = 10")
        p.sql("update t set name = 'later' where id = 11")
        p.sql("delete from t where id = 23")
        p.sql("insert into t values (" + ", ".join(["%s"] * len(NAMES)) + ")", *[count + 11] + row(count * 12 + 11)[1:])
        events = p.wait_events("t", len(good) + 3, space, 90)
        control = p.wait_events("c", count, space, 90)
        why = eventually("the dead letters", lambda: (lambda d: d if len(d) == count - len(good) + 1 else None)(letters(p)), 90, 0.3)
        # The promise, and what shows that the check can fail.
        published = [e for e in events if e["after"] is not None]
        assert [violations(e["after"]) for e in published if violations(e["after"])] == []
        assert sum(1 for e in control if violations(e["after"])) == count - len(good)
        assert collections.Counter(e["op"] for e in events if e["op"] in "ud") == {"u": 1, "d": 1}, "an update and a delete"
        assert sorted({e["after"]["order_id"] for e in published}) == good + [count + 11]
        assert all(e["after"]["currency"] == "EUR" and "secret" not in e["after"] for e in published)
        by_id = {e["after"]["order_id"]: e["after"] for e in published}
        for i in (good[0], good[1], good[-1]):
            want = dict(zip(NAMES, row(i)))
            got = by_id[i]
            assert got["total"] == decimal.Decimal(want["total"]) and got["qty"] == i and got["state"] == want["state"], got
            assert got["shipped"] == (want["shipped"] and datetime.date.fromisoformat(want["shipped"])), got
        counts = collections.Counter()
        for i in range(count):
            if i % 12 < len(BAD):
                rule = BAD[i % 12][2]
                assert len(why[i]) == 1 and f"{rule}:" in why[i][0], (i, why[i])
                assert not any(v in why[i][0] for v in ("no-at", "lost", "XX", "3000000000")), why[i]
                counts["contract" if "field " in rule else rule] += 1
        assert "field state" in why[10][0], why[10]
        counts["contract"] += 1
        assert row_record(p, p.messages("t", space)[0]) == CONTRACT
        key = p.registry.decode(p.messages("t", space)[0].key())
        assert list(key) == ["order_id"], key
        said = metrics(p)
        for rule, n in counts.items():
            assert re.search(rf'^freshet_rule_violations_total{{.*table="{space}.t",rule="{rule}"}} {n}$', said, re.M), (rule, n, said)
        document = json.loads(p.verb("status", "--json")[1])
        told = next(x for x in document.get("result", document)["status"]["parts"] if x["kind"] == "source")["violations"]
        assert {v["rule"]: v["count"] for v in told} == dict(counts), told
        assert p.stop() == 0
    p.close()





SMALL = {"type": "record", "name": "Row", "namespace": "com.acme", "fields": [
    {"name": "id", "type": "int"}, {"name": "amount", "type": ["null", "long"]}]}


def small(p, **more):
    return dict(SMALL, fields=SMALL["fields"] + [more] if more else SMALL["fields"])


def ends(p, *texts):
    p.start()
    p.holds(*texts)


def changes():
    """What a contract says to changes of its table, and what is refused before anything is read."""
    config = PG_LOG + "      public.t: {{REST}}\n"
    p = Pipeline(config.replace("REST", ""), target=False)
    name = f"{p.id}.public.t"
    with case("schema_contract_refusals", p):
        p.sql("create table t (id int primary key, amount int, note text);"
              "create publication freshet_src for all tables with (publish_via_partition_root = true); insert into t values (1, 1, 'a')")
        put_contract(p, dict(CONTRACT, fields=[{"name": n, "type": "string"} for n in ("before", "after", "op")]), name)
        code, out, err = p.verb("validate")
        assert code == 2 and "contract.envelope" in out + err, out + err
        put_contract(p, small(p, name="amout_net", type="string"), name)
        assert p.verb("validate")[0] == 0, "which columns there are only the server knows"
        code, out, _ = p.verb("plan")
        assert code == 4 and "contract.column" in out and "amout_net" in out, out
        ends(p, "field amout_net: no published column has its name or alias")
        put_contract(p, small(p, name="nots", type="string"), name)
        ends(p, "did you mean column note?")
        put_contract(p, small(p), name)
        for rest, code_, text in (
                ("schema: {{rules: [{{field: amount, rang: [0, 1]}}]}}", "rule.syntax", "did you mean `range`?"),
                ("schema: {{rules: [{{field: amout, not_empty: true}}]}}", "rule.field", "did you mean amount?"),
                ("schema: {{rules: [{{field: amount, matches: x}}]}}", "rule.type", "matches does not go with amount"),
                ("schema: {{rules: [{{sql: \"amount >\"}}]}}", "rule.syntax", ""),
                ("schema: {{rules: [{{field: amount, range: [a, 1]}}]}}", "rule.operand", "`a` is no value"),
                ("schema: {{name: com.acme.Other}}", "contract.name", "com.acme.Row"),
                ("schema: {{contract: schemas/none.avsc}}", "config.unreadable", "none.avsc"),
                ("topic: other", "contract.unused", "no table has topic")):
            p.write(config.replace("REST", rest))
            got = p.verb("validate")
            assert code_ in got[1] + got[2] and text in got[1] + got[2], (rest, got)
            assert got[0] == (0 if code_ == "contract.unused" else 2), (rest, got)
        p.write(config.replace("REST", "schema: {{extra: refuse}}"))
        ends(p, "it has no field for note, and schema.extra says refuse")
        p.write(config.replace("REST", ""))
    with case("schema_contract_changes", p):
        p.start()
        p.wait_events("t", 1)
        p.sql("alter table t add column extra text; insert into t values (2, 2, 'b', 'x')")
        p.sql("alter table t alter column amount type bigint; insert into t values (3, 3, 'c', 'y')")
        p.wait_events("t", 3)
        ids = {m.value()[1:5] for m in p.messages("t")}
        assert len(ids) == 1, "one schema, whatever the table does"
        p.sql("alter table t rename column amount to amount_net; insert into t values (4, 4, 'd', 'z')")
        p.wait_events("t", 4)  # nullable: its default is written
        p.sql("alter table t alter column id type bigint; insert into t values (5000000000, 5, 'e', 'z'), (6, 6, 'f', 'z')")
        p.holds("contract ", "field id: INT64 that 32 bits do not hold")
        assert [e["after"]["id"] for e in sorted(p.events("t"), key=lambda e: e["after"]["id"])] == [1, 2, 3, 4]
        put_contract(p, dict(SMALL, fields=[dict(SMALL["fields"][0], type="long"), SMALL["fields"][1]]), name)
        ends(p, "the key is another one")  # a key never changes under a topic
        p.write(config.replace("REST", "topic: {id}.second"))
        os.rename(os.path.join(p.dir, "schemas", name + ".avsc"), os.path.join(p.dir, "schemas", p.id + ".second.avsc"))
        put_contract(p, dict(SMALL, fields=[dict(SMALL["fields"][0], type="long"), dict(SMALL["fields"][1], aliases=["amount_net"]),
                                            {"name": "note", "type": ["null", "string"]}]), p.id + ".second")
        p.start()
        rows = eventually("all of it in the new topic", lambda: (lambda d: d if 6 in d else None)(
            {e["after"]["id"]: e["after"] for e in (p.registry.decode(m.value()) for m in read_topics(p.bootstrap, [p.id + ".second"]))}))
        assert rows[5000000000] == {"id": 5000000000, "amount": 5, "note": "e"}, rows
        assert p.stop() == 0
    p.close()


def pg_log():
    hostile("pg_log", lambda c: Pipeline(c, target=False), PG_LOG, "public", 12000)


def mariadb_log():
    there, why = add_server("mariadb")
    if not there:
        print(f"skip schema_contract_mariadb_log: {why}", flush=True)
        return
    hostile("mariadb_log", lambda c: MyPipeline(c, "mariadb"), MY_SOURCE, "", 600)


if __name__ == "__main__":
    together([globals()[n] for n in sys.argv[1:] or ["pg_log", "mariadb_log", "changes"]], 3)
    finish()
