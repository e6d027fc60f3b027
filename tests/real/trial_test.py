#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet test: rows in, events out, no server. Each group of tests of a configuration has those that must pass
and, as the control, the same ones with another expectation, which must fail."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FRESHET, case, finish  # noqa: E402

DIR = tempfile.mkdtemp(prefix="freshet-trial-")
HEAD = """
version: 1
name: shop
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: ["http://127.0.0.1:1"]}
daemon: {mask_key: "${cred:nowhere}"}
"""
ERP = """
sources:
  erp:
    type: postgres
    dsn: postgresql://127.0.0.1:1/erp
    tables:
      public.orders:
        filter: "status <> 'draft'"
        pii: [email]
        columns: {exclude: [note], rename: {total: amount}, mask: {email: hash},
                  derive: {is_big: "total > 100", ratio: "total / qty"}, types: {ratio: double}}
      public.state: {envelope: state, key: [id]}
      public.log: {append_only: true}
      public.typed: {key: [id], columns: {derive: {n: v}, types: {n: int}}}
      public.outbox: {outbox: {id: id, payload: payload, key: aggregateid, route: "events.${aggregatetype}"}}
"""
TYPES = ("{id: bigint primary key, status: text not null, total: 'numeric(10,2)', qty: int, email: text, "
         "note: text, at: timestamptz, data: bytea}")


def write(name, *parts):
    path = os.path.join(DIR, name)
    with open(path, "w") as f:
        f.write("".join(parts))
    return path


def run(config, *words):
    p = subprocess.run([FRESHET, "test", "--config", config, *words], capture_output=True, text=True, timeout=120,
                       stdin=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"})
    return p.returncode, p.stdout, p.stderr


def tests(*list_):
    """(name, table, given, expect) as YAML, which JSON is; {types} in given stands for TYPES."""
    lines = ["tests:\n"]
    for name, table, given, expect in list_:
        lines.append(f"  - {{name: {json.dumps(name)}, table: {json.dumps(table)}, given: {given}, expect: {expect}}}\n")
    return "".join(lines).replace("TYPES", TYPES)


def judged(head, list_, wrong):
    """Every test of the list passes, and fails with the wrong expectation of the same name."""
    code, out, err = run(write("good.yaml", HEAD, head, tests(*list_)), "--json")
    d = json.loads(out)
    bad = [(t["name"], t["differences"], t["events"], t.get("error")) for t in d["result"]["tests"] if t["verdict"] != "passed"]
    assert code == 0 and not bad and len(d["result"]["tests"]) == len(list_), (code, bad, d["summary"])
    control = [(n, t, g, wrong[n]) for n, t, g, _ in list_]
    code, out, err = run(write("control.yaml", HEAD, head, tests(*control)), "--json")
    d = json.loads(out)
    passed = [t["name"] for t in d["result"]["tests"] if t["verdict"] != "failed" or not t["differences"]]
    assert code == 4 and not passed, (code, passed, out[-800:])
    return d


PAID = "{types: TYPES, after: {id: 1, status: paid, total: 120.5, qty: 2, email: Ann@x, note: secret, at: '2026-11-26 08:26:11+02', data: '\\x0aff'}}"

with case("trial.filters_masks_expressions"):
    judged(ERP, [
        ("a draft stays", "erp/public.orders", "{types: TYPES, after: {id: 1, status: draft}}", "{events: 0}"),
        ("an order", "erp/public.orders", PAID,
         "{op: insert, topic: erp.public.orders, key: {id: 1}, absent: [note, total], after: {amount: 120.50, "
         "email: '~^[0-9a-f]{64}$', is_big: true, ratio: 60.25, at: '2026-11-26T06:26:11Z', data: '\\x0AFF', qty: '~^2$'}}"),
        ("nulls", "erp/public.orders", "{types: TYPES, after: {id: 1, status: 'null', total: null}}",
         "{after: {status: 'null', amount: null, is_big: null}}"),
        ("it leaves", "erp/public.orders",
         "{op: update, types: TYPES, before: {id: 1, status: paid}, after: {id: 1, status: draft}}",
         "{op: delete, before: {id: 1, status: paid}}"),
        ("it enters", "erp/public.orders",
         "{op: update, types: TYPES, before: {id: 1, status: draft}, after: {id: 1, status: paid}}", "{op: insert}"),
        ("a key moves", "erp/public.orders",
         "{op: update, types: TYPES, before: {id: 1, status: paid}, after: {id: 2, status: paid}}",
         "{events: 2, op: insert, key: {id: 2}}"),
        ("a delete of which only the key is logged", "erp/public.orders",
         "{op: delete, types: TYPES, before: {id: 1}}", "{op: delete, key: {id: 1}, before: {id: 1}}"),
        ("a text that is no number", "erp/public.typed", "{types: {id: int, v: text}, after: {id: 1, v: x}}",
         "{error: derive.type_error}"),
    ], {"a draft stays": "{events: 1}", "an order": "{after: {email: Ann@x}}", "nulls": "{after: {status: null}}",
        "it leaves": "{op: update}", "it enters": "{op: update}", "a key moves": "{events: 1}",
        "a delete of which only the key is logged": "{key: {id: 2}}", "a text that is no number": "{error: '~no such thing'}"})

with case("trial.other_shapes"):
    judged(ERP, [
        ("state", "erp/public.state", "{types: {id: int, v: text}, after: {id: 7, v: x}}", "{key: {id: 7}, after: {v: x}}"),
        ("append only", "erp/public.log", "{op: delete, types: {id: int}, before: {id: 7}}", "{error: '~append_only'}"),
        ("an outbox", "erp/public.outbox",
         "{types: {id: int, payload: jsonb, aggregateid: text, aggregatetype: text}, "
         "after: {id: 1, payload: '{\"total\": 5, \"who\": \"ann\"}', aggregateid: o-1, aggregatetype: order}}",
         "{topic: events.order, key: {aggregateid: o-1}, after: {total: 5, who: ann}}"),
    ], {"state": "{after: {v: y}}", "append only": "{events: 0}", "an outbox": "{topic: events.other}"})

OTHERS = """
sources:
  till: {type: mariadb, dsn: "mysql://u@127.0.0.1:1/x", tables: {shop.t: {}}}
  box: {type: sqlite, path: /nowhere.db, tables: {main.t: {method: query, poll: {column: at}, key: [id]}}}
  mes: {type: odbc, dsn: "DSN=mes", tables: {dbo.t: {method: query, poll: {column: at, lookback: 1m}, key: [id],
        columns: {types: {price: "decimal(10,2)"}}}}}
"""
with case("trial.types_of_other_databases"):
    judged(OTHERS, [
        ("mariadb", "till/shop.t", "{types: {id: 'int unsigned not null primary key', p: 'decimal(6,2)', t: time, b: tinyint(1)}, "
         "after: {id: 4294967295, p: 1.5, t: '-26:00:00', b: 1}}", "{after: {id: 4294967295, p: 1.50, t: '-26:00:00'}}"),
        ("sqlite", "box/main.t", "{op: read, types: {id: INTEGER, at: TIMESTAMP, v: 'VARCHAR(10)'}, "
         "after: {id: 1, at: '2026-11-26 08:26:11', v: x}}", "{op: read, after: {at: '2026-11-26T08:26:11Z'}}"),
        ("odbc, in words of Avro", "mes/dbo.t", "{op: read, types: {id: long, at: timestamp}, "
         "after: {id: 1, at: '2026-11-26T08:26:11Z', price: 2.5}}", "{after: {price: 2.50}}"),
    ], {"mariadb": "{after: {p: 1.51}}", "sqlite": "{after: {v: y}}", "odbc, in words of Avro": "{after: {price: 2.51}}"})

PINNED = """
sources:
  erp:
    type: postgres
    dsn: postgresql://127.0.0.1:1/erp
    tables:
      public.orders:
        key: [id]
        topic: erp.orders
        columns: {rename: {sum: total}}
        schema: {contract: order.avsc, rules: [{field: total, range: [0, 1000]}]}
"""
CONTRACT = {"type": "record", "name": "Order", "namespace": "com.acme", "fields": [
    {"name": "order_id", "type": "long", "aliases": ["id"]},
    {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["new", "paid"]}},
    {"name": "currency", "type": "string", "default": "EUR"},
    {"name": "note", "type": ["null", "string"], "default": None}]}

with case("trial.types_from_a_contract"):
    write("order.avsc", json.dumps(CONTRACT))
    judged(PINNED, [
        ("it fits", "erp/public.orders", "{after: {id: 1, sum: 12.5, state: paid}}",
         "{topic: erp.orders, key: {order_id: 1}, after: {order_id: 1, total: 12.50, state: paid, currency: EUR, note: null}}"),
        ("no symbol", "erp/public.orders", "{after: {id: 1, sum: 12.5, state: lost, currency: CHF}}", "{error: '~state'}"),
        ("a rule", "erp/public.orders", "{after: {id: 1, sum: 1200, state: new, currency: CHF}}", "{error: rule.broken}"),
        ("an own type", "erp/public.orders", "{types: {state: text, id: bigint, sum: 'numeric(10,2)', currency: text}, "
         "after: {id: 1, sum: 5, state: new, currency: EUR}}", "{after: {total: 5.00}}"),
    ], {"it fits": "{after: {currency: CHF}}", "no symbol": "{events: 1}", "a rule": "{events: 1}", "an own type": "{after: {total: 5.01}}"})
    p = subprocess.run([FRESHET, "lineage", "--offline", "--json", "--config", write("good.yaml", HEAD, PINNED)],
                       capture_output=True, text=True)
    (s,) = json.loads(p.stdout)["result"]["streams"]
    assert s["whole"] and [(f["field"], f["from"], f["key"]) for f in s["fields"]] == [
        ("order_id", ["id"], True), ("total", ["sum"], False), ("state", ["state"], False),
        ("currency", ["currency"], False), ("note", ["note"], False)], s["fields"]

with case("trial.bad_tests"):
    for what, table, given, expect, code in [
        ("no type", "erp/public.orders", "{types: {id: bigint primary key}, after: {id: 1, status: x}}", "{events: 1}", "test.type"),
        ("no such type", "erp/public.state", "{types: {id: int, v: mood}, after: {id: 1}}", "{events: 1}", "pg.type_unknown"),
        ("no key", "erp/public.orders", "{types: {id: bigint, status: text}, after: {id: 1}}", "{events: 1}", "test.key"),
        ("no value", "erp/public.state", "{types: {id: int, v: date}, after: {id: 1, v: soon}}", "{events: 1}", "test.value"),
        ("not null", "erp/public.state", "{types: {id: int, v: text not null}, after: {id: 1}}", "{events: 1}", "test.value"),
        ("no regex", "erp/public.state", "{types: {id: int, v: text}, after: {id: 1, v: x}}", "{after: {v: '~('}}", "config.bad_pattern"),
        ("no such column", "erp/public.orders", "{types: {id: bigint primary key}, after: {id: 1}}", "{events: 1}", "derive.no_such_column"),
    ]:
        rc, out, err = run(write("bad.yaml", HEAD, ERP, tests((what, table, given, expect))), "--json")
        (t,) = json.loads(out)["result"]["tests"]
        assert rc == 2 and t["verdict"] == "bad" and t["error"]["code"] == code and t["error"]["fix"], (what, rc, t)
    rc, out, err = run(write("bad.yaml", HEAD, ERP, "tests: [{name: x}]\n"))
    assert rc == 2 and "config.missing_key" in err, (rc, out, err)

with case("trial.reports"):
    mixed = write("mixed.yaml", HEAD, ERP, tests(
        ("good & <well>", "erp/public.state", "{types: {id: int}, after: {id: 1}}", "{events: 1}"),
        ("not so\u0007", "erp/public.state", "{types: {id: int}, after: {id: 1}}", "{events: 3, key: {id: 2}}"),
        ("wrong", "erp/public.state", "{types: {id: int}, after: {id: x}}", "{events: 1}")))
    other = write("other.yaml", HEAD, ERP, tests(("alone", "erp/public.log", "{types: {id: int}, after: {id: 1}}", "{events: 1}")))
    junit = os.path.join(DIR, "junit.xml")
    rc, out, err = run("/nowhere.yaml", mixed, other, "--junit", junit)
    assert rc == 2 and "2 passed, 1 failed, 1 that cannot be run" in out, (rc, out, err)
    assert "mixed.yaml:" in out and "expected  3" in out and "got       1" in out and "\u0007" not in out, out
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1"), suite.attrib
    cases = {c.get("name"): [x.tag for x in c] for c in suite}
    assert cases == {"good & <well>": [], "not so": ["failure"], "wrong": ["error"], "alone": []}, cases
    assert "expected  3" in suite[1][0].text
    rc, out, err = run(other, "--junit", "/nowhere/x.xml")
    assert rc == 2 and "cli.unwritable" in err, (rc, err)
    assert run(write("none.yaml", HEAD, ERP))[0] == 0

with case("trial.tests_in_included_files"):
    os.makedirs(os.path.join(DIR, "team"), exist_ok=True)
    write("team/one.yaml", tests(("one", "erp/public.log", "{types: {id: int}, after: {id: 1}}", "{events: 1}")))
    write("team/two.yaml", tests(("two", "erp/public.log", "{types: {id: int}, after: {id: 1}}", "{events: 1}")))
    both = write("both.yaml", HEAD, "include: [team/*.yaml]\n", ERP,
                 tests(("own", "erp/public.log", "{types: {id: int}, after: {id: 1}}", "{events: 1}")))
    rc, out, err = run(both, "--json")
    assert rc == 0 and [t["name"] for t in json.loads(out)["result"]["tests"]] == ["own", "one", "two"], out

with case("trial.leaves_nothing_behind"):
    tmp = os.path.join(DIR, "tmp")
    os.mkdir(tmp)
    env = dict(os.environ, TMPDIR=tmp)
    p = subprocess.run([FRESHET, "test", "--config", mixed], env=env, capture_output=True)
    assert p.returncode == 2 and os.listdir(tmp) == [], os.listdir(tmp)
    p = subprocess.run([FRESHET, "test", "--config", mixed], env=dict(env, TMPDIR="/nowhere"), capture_output=True, text=True)
    assert p.returncode == 2 and "set TMPDIR" in p.stdout, p.stdout

shutil.rmtree(DIR, ignore_errors=True)
finish()
