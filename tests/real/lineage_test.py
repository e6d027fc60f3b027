#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet lineage: what it says of a configuration, of a catalog, and whether that is what a pipeline
then publishes and applies. Forms for other programs are read by rules of their own. With FRESHET_REGEN_GOLDEN
tests/golden/lineage is written instead of compared."""
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FRESHET, ROOT, PG_SOURCE, Pipeline, case, eventually, finish  # noqa: E402

GOLDEN = os.path.join(ROOT, "tests", "golden", "lineage")


def lineage(*words, config=os.path.join(GOLDEN, "freshet.yaml"), code=0):
    p = subprocess.run([FRESHET, "lineage", "--config", config, *words], capture_output=True, text=True,
                       timeout=60, stdin=subprocess.DEVNULL)
    assert p.returncode == code, (words, p.returncode, p.stdout[-500:], p.stderr[-500:])
    return p.stdout if code == 0 else p.stdout + p.stderr


def document(*words, **more):
    return json.loads(lineage(*words, "--json", **more))["result"]


with case("lineage.as_before"):
    for form in ("text", "dot", "mermaid", "dbt-sources"):
        text = lineage("--offline", *([] if form == "text" else ["--" + form]))
        path = os.path.join(GOLDEN, form + ".txt")
        if os.environ.get("FRESHET_REGEN_GOLDEN"):
            with open(path, "w") as f:
                f.write(text)
        with open(path) as f:
            assert f.read() == text, f"{path} is another"

with case("lineage.rules_of_sinks"):
    rules = os.path.join(GOLDEN, "rules.yaml")
    for form in ("text", "mermaid", "dbt-sources"):
        text = lineage("--offline", *([] if form == "text" else ["--" + form]), config=rules)
        path = os.path.join(GOLDEN, f"rules-{form}.txt")
        if os.environ.get("FRESHET_REGEN_GOLDEN"):
            with open(path, "w") as f:
                f.write(text)
        with open(path) as f:
            assert f.read() == text, f"{path} is another"
    events = [json.loads(line) for line in lineage("--offline", "--openlineage", config=rules).splitlines()]
    by = {e["job"]["name"]: e["outputs"][0]["facets"]["columnLineage"] for e in events if "columnLineage" in e["outputs"][0]["facets"]}
    ruled = by["ruled.erp.public.orders"]
    assert set(ruled["fields"]) == {"order_id", "total", "email", "net", "who", "trace"}, ruled
    mail = ruled["fields"]["email"]["inputFields"][0]
    assert mail["field"] == "email" and mail["transformations"][0]["masking"] and mail["name"] == "erp.public.orders", mail
    assert ruled["dataset"][0]["field"] == "total" and ruled["dataset"][0]["transformations"][0]["description"] == "total > 10"
    assert set(by["plain.erp.public.orders"]["fields"]) == {"id", "total", "email", "note"}


with case("lineage.of_the_configuration"):
    d = document("--offline")
    assert [(s["source"], s["answered"]) for s in d["sources"]] == [("erp", False), ("sales", False)]
    orders = next(s for s in d["streams"] if s.get("topic") == "erp.orders")
    fields = {f["field"]: f for f in orders["fields"]}
    assert fields["amount"]["from"] == ["total"] and fields["contact"]["from"] == ["email", "phone"]
    assert fields["email"]["mask"] == "hash" and fields["phone"]["mask"] == "keep_last"
    assert [n for n, f in fields.items() if f["pii"]] == ["email", "contact"] and "note" not in fields
    assert orders["filter_reads"] == ["status", "Region"], orders["filter_reads"]
    assert orders["sinks"] == [{"sink": "warehouse", "table": "raw.orders"}, {"sink": "copy", "table": "orders"}]
    assert not orders["whole"] and next(s for s in d["streams"] if s.get("table") == "erp/public.rates")["whole"]

with case("lineage.of_one_table"):
    assert len(document("--offline", "erp/public.*")["streams"]) == 2
    assert "cli.no_table" in lineage("--offline", "erp/public.nothing", code=2)
    assert "cli.usage" in lineage("--offline", "--dot", "--mermaid", code=2)

# What a reader of the language would take for the end of a text must be within one.
DOT = [r"digraph lineage \{", r"  rankdir=LR;", r"  node \[shape=box\];", r"  subgraph cluster_\d+ \{",
       r'    label="(?:[^"\\]|\\["\\])*";', r'    n\d+ \[label="(?:[^"\\]|\\["\\])*"\];',
       r'  n\d+ -> n\d+(?: \[label="(?:[^"\\]|\\["\\])*"\])?;', r"  \}", r"\}"]
SAFE = r'(?:[\w .,/\-]|#\d+;|\(PII\))*'
MERMAID = [r"flowchart LR", rf'  subgraph g\d+\["{SAFE}"\]', rf'    n\d+\["{SAFE}"\]', r"  end",
           rf'  n\d+ -->(?:\|"{SAFE}"\|)? n\d+']


def well_formed(text, rules, node):
    seen = set()
    for line in text.splitlines():
        assert any(re.fullmatch(r, line) for r in rules), line
        seen |= set(re.findall(node, line))
    return seen


with case("lineage.hostile_names_stay_names"):
    dot, mermaid = lineage("--offline", "--dot"), lineage("--offline", "--mermaid")
    assert well_formed(dot, DOT, r"^    (n\d+) ") == set(re.findall(r"^    (n\d+) ", dot, re.M))
    assert well_formed(mermaid, MERMAID, r"^    (n\d+)\[") >= set(re.findall(r"(n\d+)$", mermaid, re.M))
    assert 'shop.odd \\"name\\"]--><b>{|}\\\\ #;`&' in dot
    # The control: the same rules see what is not escaped.
    for bad in (dot.replace('\\"', '"'), mermaid.replace("#34;", '"')):
        try:
            well_formed(bad, DOT if bad.startswith("di") else MERMAID, "x")
        except AssertionError:
            continue
        raise AssertionError("an unescaped name was not seen")

with case("lineage.dbt_reads_its_sources"):
    # Debian's python3 has a YAML reader; the tests' own may not.
    d = json.loads(subprocess.run(["/usr/bin/python3", "-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"],
                                  input=lineage("--offline", "--dbt-sources"), capture_output=True, text=True, check=True).stdout)
    assert d["version"] == 2 and [(s["name"], s.get("schema")) for s in d["sources"]] == \
        [("warehouse_raw", "raw"), ("copy", None)]
    tables = {t["name"]: t for t in d["sources"][0]["tables"]}
    assert tables["orders"]["tags"] == ["finance", "core"] and tables["orders"]["meta"]["owner"]
    odd = next(t for n, t in tables.items() if n.startswith("odd"))
    assert [c["name"] for c in odd["columns"]] == ['i"d', "c\\d", "[z]", 'q"']
    assert odd["columns"][1]["meta"]["from"] == ["a\nb"]


def check_openlineage(e):
    """OpenLineage 2-0-2: JobEvent, and the facets that it may have."""
    assert set(e) == {"eventTime", "producer", "schemaURL", "job", "inputs", "outputs"}, set(e)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", e["eventTime"]) and ":" in e["producer"]
    assert e["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
    assert e["job"]["namespace"] == "shop" and e["job"]["name"]
    for holder in [e["job"], *e["inputs"], *e["outputs"]]:
        assert holder["namespace"] and holder["name"]
        for name, facet in holder["facets"].items():
            want = {"schema": "SchemaDatasetFacet", "tags": "TagsDatasetFacet", "jobType": "JobTypeJobFacet",
                    "ownership": "OwnershipDatasetFacet", "documentation": "DocumentationDatasetFacet",
                    "columnLineage": "ColumnLineageDatasetFacet"}[name]
            assert facet["_producer"] and re.fullmatch(
                rf"https://openlineage\.io/spec/facets/\d-\d-\d/{want}\.json#/\$defs/{want}", facet["_schemaURL"]), facet
    for d in e["inputs"] + e["outputs"]:
        f = d["facets"]
        assert all(set(t) <= {"key", "value", "source", "field"} and isinstance(t["value"], str)
                   for t in f["tags"]["tags"])
        assert all(c["name"] for c in f.get("schema", {"fields": []})["fields"])
        for o in f.get("ownership", {"owners": []})["owners"]:
            assert set(o) == {"name", "type"}
    columns = [x for o in e["outputs"] for x in [o["facets"].get("columnLineage")] if x]
    names = {(i["namespace"], i["name"]) for i in e["inputs"]}
    for c in columns:
        every = [i for f in c["fields"].values() for i in f["inputFields"]] + c.get("dataset", [])
        for i in every:
            assert (i["namespace"], i["name"]) in names and isinstance(i["field"], str), i
            for t in i["transformations"]:
                assert t["type"] in ("DIRECT", "INDIRECT") and isinstance(t["masking"], bool)
                assert t["subtype"] in ("IDENTITY", "TRANSFORMATION", "FILTER") and isinstance(t["description"], str)


with case("lineage.openlineage"):
    events = [json.loads(line) for line in lineage("--offline", "--openlineage").splitlines()]
    for e in events:
        check_openlineage(e)
    by = {e["job"]["name"]: e for e in events}
    assert len(by) == len(events) == 8, sorted(by)
    e = by["erp.public.orders"]
    assert (e["inputs"][0]["namespace"], e["inputs"][0]["name"]) == ("postgres://erp-db:5433", "erp.public.orders")
    assert (e["outputs"][0]["namespace"], e["outputs"][0]["name"]) == ("kafka://kafka-1:9093", "erp.orders")
    cl = e["outputs"][0]["facets"]["columnLineage"]
    masked = {n: [t["masking"] for i in f["inputFields"] for t in i["transformations"]] for n, f in cl["fields"].items()}
    assert masked["email"] == [True] and masked["amount"] == [False] and masked["one"] == []
    assert {i["field"] for i in cl["dataset"]} == {"status", "Region"}
    sink = by["warehouse.erp.orders"]["outputs"][0]
    assert (sink["namespace"], sink["name"]) == ("postgres://wh:5440", "dw.raw.orders")
    till = by['sales.shop.odd "name"]--><b>{|}\\\n#;`&']["inputs"][0]
    assert (till["namespace"], till["name"].split(".")[0]) == ("mysql://till-db:3306", "shop")
    assert by["copy.erp.orders"]["outputs"][0]["namespace"] == "file:/var/lib/copy.db"

with case("lineage.topics_of_a_pattern"):
    # Tables that only a pattern takes are known by the topics that sinks name, where the source is not asked.
    with tempfile.TemporaryDirectory() as tmp:
        box = os.path.join(tmp, "freshet.yaml")
        with open(box, "w") as g:
            g.write(r"""
version: 1
name: box
kafka: {brokers: ['127.0.0.1:1']}
registry: {url: 'file:/nowhere'}
http: {listen: none, socket: %s/freshet.sock}
sources:
  erp:
    type: postgres
    dsn: postgresql://nobody@127.0.0.1:1/x
    insecure: true
    tables:
      "/^audit\\./": {owner: audit, deprecated: use the log, pii: [who]}
      "/^other\\./": {topic: "elsewhere.${table}"}
      audit.skipped: {method: skip}
sinks:
  copy:
    type: sqlite
    path: %s/copy.db
    from: [erp.audit.logins, erp.audit.skipped, erp.other.x, erp.nobody.x, erp.audit]
""" % (tmp, tmp))
        d = document("--offline", config=box)["streams"]
        assert [s.get("table") for s in d[:2]] == ["erp//^audit\\./", "erp//^other\\./"], d
        found = {s["topic"]: s for s in d[2:]}
        assert {t: s.get("table") for t, s in found.items()} == {
            "erp.audit.logins": "erp/audit.logins", "erp.audit.skipped": None, "erp.other.x": None,
            "erp.nobody.x": None, "erp.audit": None}, found
        s = found["erp.audit.logins"]
        assert s["owner"] == "audit" and s["columns"] == "configuration" and s["deprecated"] == "use the log", s
        assert [(f["field"], f["pii"]) for f in s["fields"]] == [("who", True)] and len(s["sinks"]) == 1, s
        q = subprocess.run([FRESHET, "status", "--config", box], capture_output=True, text=True, timeout=60)
        assert q.returncode != 0 and "sink copy reads erp.audit.logins, which is deprecated: use the log" in q.stdout, q
        with open(box) as g:  # the control: nothing is deprecated
            text = g.read().replace("deprecated: use the log, ", "")
        with open(box, "w") as g:
            g.write(text)
        q = subprocess.run([FRESHET, "status", "--config", box], capture_output=True, text=True, timeout=60)
        assert q.returncode != 0 and "deprecated" not in q.stdout, q

with case("lineage.of_a_polled_source"):
    with tempfile.TemporaryDirectory() as tmp:
        with contextlib.closing(sqlite3.connect(os.path.join(tmp, "x.db"))) as c:
            c.execute("create table t (id integer primary key, at timestamp, v text)")
        box = os.path.join(tmp, "freshet.yaml")
        with open(box, "w") as g:
            g.write("version: 1\nname: box\nkafka: {brokers: ['127.0.0.1:1']}\nregistry: {url: 'file:/nowhere'}\nsources: {box: "
                    "{type: sqlite, path: %s/x.db, tables: {main.t: {method: query, poll: {column: at}, pii: [v]}}}}\n" % tmp)
        (s,) = document(config=box)["streams"]
        assert s["columns"] == "catalog" and [(f["field"], f["key"], f["pii"]) for f in s["fields"]] == \
            [("id", True, False), ("at", False, False), ("v", False, True)], s

p = Pipeline(PG_SOURCE + """
      public.orders:
        pii: [email]
        owner: team
        tags: [core]
        deprecated: use {id}.orders.v2
        filter: "status <> 'draft'"
        columns: {{exclude: [note], rename: {{total: amount}}, mask: {{email: {{keep_last: 4}}}},
                   derive: {{is_big: "total > 100"}}}}
sinks:
  dst: {{type: postgres, dsn: "{target}", from: ["{id}.public.orders"], into: "raw_${{table}}", create: run}}
tests:
  - name: as the pipeline
    table: src/public.orders
    given:
      types: {{id: bigint primary key, status: text not null, total: "numeric(10,2)", email: text, note: text}}
      after: {{id: 1, status: paid, total: 120.5, email: ann@example.org, note: x}}
    expect: {{op: read, topic: "{id}.public.orders", key: {{id: 1}}, absent: [note], after: {{id: 1}}}}
""")
p.sql("create table orders (id bigint primary key, status text not null, total numeric(10,2), email text, note text)")
p.sql("create publication freshet_src for table orders")
p.sql("comment on column orders.total is 'What it costs'")
p.sql("insert into orders values (1, 'paid', 120.5, 'ann@example.org', 'x'), (2, 'draft', 1, 'b@x', null)")

with case("lineage.unreachable_source"):
    other = os.path.join(p.dir, "other.yaml")
    with open(p.config) as f, open(other, "w") as g:
        g.write(re.sub(r"dsn: postgresql://\S+", "dsn: postgresql://nobody@127.0.0.1:1/x", f.read(), count=1))
    d = document(config=other)
    assert not d["sources"][0]["answered"] and d["sources"][0]["why"] and d["streams"][0]["columns"] == "configuration"
    q = subprocess.run([FRESHET, "lineage", "--dot", "--config", other], capture_output=True, text=True)
    assert q.returncode == 0 and "could not be read" in q.stderr and q.stdout.startswith("digraph"), q

p.start()
with case("lineage.is_what_is_published_and_applied"):
    row = p.wait_events("orders", 1)[0]["after"]
    d = document(config=p.config)
    assert d["sources"] == [{"source": "src", "answered": True}], d["sources"]
    (s,) = d["streams"]
    assert s["columns"] == "catalog" and s["whole"] and s["owner"] == "team", s
    fields = [f["field"] for f in s["fields"]]
    assert fields == list(row), (fields, row)
    assert next(f for f in s["fields"] if f["field"] == "amount")["description"] == "What it costs"
    assert s["sinks"] == [{"sink": "dst", "table": "raw_orders"}], s["sinks"]

    def columns():
        return [c for (c,) in p.sql("select column_name from information_schema.columns where table_name = 'raw_orders'"
                                    " order by ordinal_position", on=p.target) if not c.startswith("_freshet")]
    eventually("the sink's table", lambda: columns() == fields)
    # The control: the configuration alone does not know them all.
    assert [f["field"] for f in document("--offline", config=p.config)["streams"][0]["fields"]] != fields

with case("lineage.tests_say_what_the_pipeline_does"):
    text = open(p.config).read()
    want = "after: " + json.dumps({k: "null" if v is None else str(v) if k != "is_big" else v for k, v in row.items()})
    with open(p.config, "w") as f:
        f.write(text.replace("after: {id: 1}}", want + "}").replace("op: read", "op: insert"))
    rc, out, err = p.verb("test")
    assert rc == 0 and "1 passed, 0 failed" in out, (rc, out, err)
    with open(p.config, "w") as f:
        f.write(text)

with case("lineage.deprecated_streams_are_warned_of"):
    rc, out, err = p.verb("plan", "--json")
    found = [f for s in json.loads(out)["result"]["sections"] for f in s["findings"] if f["code"] == "sink.deprecated"]
    assert len(found) == 1 and found[0]["fix"] == f"use {p.id}.orders.v2", found
    rc, out, err = p.verb("status")
    assert f"sink dst reads {p.id}.public.orders, which is deprecated: use {p.id}.orders.v2" in out, out

p.stop()
p.close()
finish()
