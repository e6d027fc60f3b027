#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet schema against a real PostgreSQL, registry and broker, and against other people's readers: fastavro
decodes what is sampled, JSON Schema and YAML readers read what is exported, databases run the SQL."""
import io
import json
import math
import os
import sqlite3
import subprocess
import sys

import fastavro
import jsonschema
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mysql  # noqa: E402
from harness import FRESHET, Pipeline, case, finish, read_topics  # noqa: E402

CONFIG = """
version: 1
name: {id}
kafka: {{brokers: ["{bootstrap}"], topics: {{partitions: 3}}}}
registry: {{url: "{registry}"}}
http: {{listen: none, socket: {dir}/freshet.sock}}
daemon: {{cache_dir: {dir}}}
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.orders: {{owner: team@x, tags: [gold], pii: [email]}}
      public.state: {{envelope: state, append_only: true}}
"""

COLUMNS = """id bigint primary key, total numeric(10,2) not null, small int not null, real4 real, real8 double precision,
 flag boolean, note text, email text, raw bytea, doc jsonb, u uuid, d date, t time, ts timestamp, tz timestamptz"""

p = Pipeline("")
p.write(CONFIG, "")
p.sql(f"create table orders ({COLUMNS})")
p.sql("comment on column orders.email is 'Where we write to'")
p.sql("create table state (a int not null, b text)")
p.sql("create publication pub for table orders, state")
T = "src/public.orders"


def verb(*words, code=0, at=None):
    """The result of --json."""
    run = subprocess.run([FRESHET, "schema", *words, "--json", "--config", p.config], capture_output=True, text=True,
                         timeout=60, stdin=subprocess.DEVNULL, cwd=at or p.dir)
    assert run.returncode == code, (words, run.returncode, run.stdout[-900:], run.stderr[-900:])
    return json.loads(run.stdout)


def text(*words, code=0):
    rc, out, err = p.verb("schema", *words)
    assert rc == code, (words, rc, out[-900:], err[-900:])
    return out


def write(name, content):
    path = os.path.join(p.dir, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(content if isinstance(content, str) else json.dumps(content))
    return path


with case("schema.show_and_register", p):
    assert verb("show", T, "--at", "registry", code=6)["error"]["code"] == "registry.subject_missing"
    shown = verb("show", T)["result"]
    assert "version" not in shown["value"] and shown["key"]["subject"] == f"{p.id}.public.orders-key", shown
    dry = verb("register", T, "--dry-run")
    assert "would be" in dry["summary"], dry
    assert verb("register", T, code=2)["error"]["code"] == "cli.no_input"
    done = verb("register", T, "-y")["result"]["registered"]
    assert [d["subject"][-5:] for d in done] == ["s-key", "value"], done
    assert "nothing to register" in verb("register", T, "-y")["summary"]
    shown = verb("show", T)["result"]["value"]
    assert shown["version"] == 1 and shown["id"] == done[1]["id"], shown
    at = verb("show", T, "--at", "registry")["result"]["value"]
    assert at == shown, (at, shown)
    form = fastavro.schema.to_parsing_canonical_form(shown["schema"])
    assert shown["crc64"] == fastavro.schema.fingerprint(form, "CRC-64-AVRO")
    assert shown["sha256"] == fastavro.schema.fingerprint(form, "SHA-256")
    shown = text("show", T)
    assert "crc64" in shown and "version 1, id" in shown, shown[:300]

with case("schema.diff_and_history", p):
    assert verb("diff", T)["result"]["verdict"] == "same"
    p.sql("alter table orders add cost_centre text")
    d = verb("diff", T)["result"]
    assert d["verdict"] == "compatible" and [x["path"] for x in d["differences"]] == ["cost_centre"], d
    verb("register", T, "-y")
    p.sql("alter table orders alter small type text")
    d = verb("diff", T, code=4)["result"]
    assert d["verdict"] == "registry" and d["differences"][0]["kind"] == "TYPE_MISMATCH", d
    assert d["differences"][0]["path"] == "small" and d["ways"], d
    shown = text("diff", T, code=4)
    assert "int" in shown and "→" in shown and "Verdict: the registry would refuse version 3" in shown, shown
    assert verb("register", T, "-y", code=4)["error"]["code"] == "registry.incompatible"
    h = verb("history", T)["result"]["versions"]
    assert [v["version"] for v in h] == [2, 1] and h[0]["changes"][0]["kind"] == "field.added", h
    assert "+ after.cost_centre" in text("history", T) or "cost_centre" in text("history", T)

with case("schema.force_and_put_back", p):
    subject = f"{p.id}.public.orders-value"
    level = subprocess.run(["curl", "-s", os.environ["REGISTRY_URL"] + f"/config/{subject}"], capture_output=True).stdout
    # This registry takes NONE as the level of all others, and refuses: loudly, and nothing stays behind.
    forced = verb("register", T, "-y", "--compatibility", "NONE", code=4)
    assert forced["error"]["code"] == "registry.incompatible", forced
    again = subprocess.run(["curl", "-s", os.environ["REGISTRY_URL"] + f"/config/{subject}"], capture_output=True).stdout
    assert again == level, (level, again)
    p.sql("alter table orders drop small")
    p.sql("alter table orders add needed int not null")
    p.sql("alter table orders alter needed drop default")
    mine = CONFIG.replace('"{registry}"', '"file:{dir}/registry"')
    p.write(mine, "")
    verb("register", T, "-y")
    p.sql("alter table orders drop total")
    p.sql("alter table orders add total text not null")
    verb("diff", T, code=4)
    verb("register", T, "-y", code=4)
    d = verb("register", T, "-y", "--compatibility", "NONE")
    assert len(d["result"]["registered"]) == 1 and d["result"]["breaks"], d
    configs = [f for _, _, files in os.walk(os.path.join(p.dir, "registry", "subjects")) for f in files]
    assert "config.json" not in configs, configs  # it had none of its own, and has none again
    p.sql("alter table orders drop total")
    p.sql("alter table orders add total numeric(10,2) not null, add small int not null")
    verb("register", T, "-y", code=4)  # and so it is refused again
    p.write(CONFIG, "")


def decode(schema, line):
    return fastavro.schemaless_reader(io.BytesIO(line), fastavro.parse_schema(schema), None)


def same(a, b):
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


with case("schema.sample", p):
    topic = "sample" + p.id
    for bad in (f"{p.id}.public.orders", f"{p.id}.message", "freshet.x", "__x"):
        assert verb("sample", T, "--to", bad, "-y", code=2)["error"]["code"] == "sample.topic", bad
    lines = text("sample", T, "-n", "300", "--seed", "7")
    assert lines == text("sample", T, "-n", "300", "--seed", "7") != text("sample", T, "-n", "300", "--seed", "8")
    events = [json.loads(line) for line in lines.splitlines()]
    assert len(events) == 300 and {e["value"]["op"] for e in events} == set("cudr"), len(events)
    for e in events:
        v = e["value"]
        row = v["after"] or v["before"]
        assert (v["after"] is None) == (v["op"] == "d") and row["id"] == e["key"]["id"], e
    verb("sample", T, "-n", "500", "--edge", "--to", topic, "--dry-run")
    assert verb("sample", T, "-n", "500", "--edge", "--to", topic, "-y")["result"]["written"] == 500
    got = [(p.registry.decode(m.key()), p.registry.decode(m.value())) for m in read_topics(p.bootstrap, [topic])]
    assert len(got) == 500
    rows = [v["after"] or v["before"] for _, v in got]
    assert all(k["id"] == r["id"] for (k, _), r in zip(got, rows))
    ids = {r["id"] for r in rows}
    assert {-2**63, 2**63 - 1, 0} <= ids, "no edge values"
    assert any(r["note"] == "" for r in rows) and any(r["d"] and r["d"].year == 1 for r in rows)
    assert any(r["real8"] is not None and math.isnan(r["real8"]) for r in rows)
    # Our own decoder: what tap shows of the topic.
    rc, out, err = p.verb("tap", topic, "--from", "beginning", "--json")
    assert rc == 0 and len(json.loads(out)["result"]["events"]) == 500, (rc, err[-500:])

with case("schema.export", p):
    schema = json.loads(verb("export", T, "--as", "jsonschema")["result"]["text"])
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    avsc = write("value.avsc", text("export", T, "--as", "avro"))
    for edge in ([], ["--edge"]):
        for line in text("sample", avsc, "-n", "200", *edge).splitlines():
            validator.validate(json.loads(line))
    broken = json.loads(text("sample", avsc, "-n", "1"))
    broken["op"] = 7
    assert list(validator.iter_errors(broken)), "the JSON Schema lets anything pass"  # the control
    contract = yaml.safe_load(text("export", T, "--as", "odcs"))
    fields = {f["name"]: f for f in contract["schema"][0]["properties"]}
    assert contract["apiVersion"] == "v3.1.0" and contract["kind"] == "DataContract" and contract["tags"] == ["gold"]
    assert contract["team"]["name"] == "team@x" and fields["id"]["primaryKey"] and fields["id"]["required"]
    assert fields["email"]["classification"] == "pii" and fields["email"]["description"] == "Where we write to"
    assert fields["total"]["physicalType"] == "decimal(10,2)" and not fields["note"]["required"], fields
    p.sql(text("export", T, "--as", "sql:postgres"), on=p.target)
    columns = p.sql("select column_name from information_schema.columns where table_name = 'orders'", on=p.target)
    assert ("cost_centre",) in columns and ("_freshet_position",) in columns, columns
    c = sqlite3.connect(":memory:")
    c.executescript(text("export", T, "--as", "sql:sqlite"))
    assert c.execute("select count(*) from orders").fetchone() == (0,)
    house = text("export", T, "--as", "sql:clickhouse")
    assert "ReplacingMergeTree(`_freshet_position`, `_freshet_deleted`)" in house and "VIEW `orders_current`" in house, house
    duck = text("export", T, "--as", "sql:duckdb")
    assert 'CREATE TABLE "main"."orders" (' in duck and '"total" DECIMAL(10,2)' in duck, duck
    out = os.path.join(p.dir, "out.yaml")
    verb("export", T, "--as", "odcs", "-o", out)
    assert yaml.safe_load(open(out))["id"] == contract["id"]
    assert verb("export", T, "--as", "sql:nothing", code=2)["error"]["code"] == "cli.bad_value"

if os.environ.get("MYSQL_DSN"):
    with case("schema.export_mysql", p):
        q = mysql.connect(os.environ["MYSQL_DSN"]).cursor()
        q.execute(f"create database {p.id}")
        q.execute(f"use {p.id}")
        q.execute(text("export", T, "--as", "sql:mysql").rstrip(";\n"))
        q.execute(f"drop database {p.id}")

CONTRACT = {"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"}, {"name": "total", "type": "int"},
    {"name": "note", "type": ["null", "string"], "default": None, "doc": "old"}]}


def changed(**fields):
    new = json.loads(json.dumps(CONTRACT))
    for f in new["fields"]:
        f.update(fields.get(f["name"], {}))
    return new


with case("schema.check", p):
    path = write(f"schemas/{p.id}.public.orders.avsc", CONTRACT)
    gone = write("schemas/gone.avsc", changed() | {"name": "Gone"})
    assert "git" in verb("check", code=2)["error"]["message"]
    for words in (["init", "-q"], ["add", "schemas"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=p.dir, check=True)
    assert verb("check")["result"]["counts"]["unchanged"] == 2
    write(f"schemas/{p.id}.public.orders.avsc", changed(note={"doc": "new"}))
    assert verb("check")["result"]["counts"]["noted"] == 1
    write(f"schemas/{p.id}.public.orders.avsc", changed(total={"type": "long"}))
    assert verb("check")["result"]["counts"]["changed"] == 1
    os.remove(gone)
    write(f"schemas/{p.id}.public.orders.avsc", changed(total={"type": "string"}))
    write("schemas/fresh.avsc", changed() | {"name": "Fresh"})
    d = verb("check", code=4)["result"]
    assert (d["counts"]["breaks"], d["counts"]["new"], d["counts"]["removed"]) == (1, 1, 1), d["counts"]
    broken = next(c for c in d["contracts"] if c["state"] == "breaks")
    assert broken["differences"][0]["kind"] == "TYPE_MISMATCH" and broken["table"] == T, broken
    assert verb("check", "--level", "NONE")["result"]["counts"]["breaks"] == 0
    assert verb("check", "--against", "git:nope", code=2)["error"]["code"] == "git.ref"
    assert verb("check", "--against", "git:--help", code=2)["error"]["code"] == "git.ref"
    old = os.path.join(p.dir, "old")
    write("old/schemas/" + os.path.basename(path), CONTRACT)
    assert verb("check", "--against", old, code=4)["result"]["counts"]["breaks"] == 1
    verb("check", T, "--against", "registry", code=4)
    elsewhere = verb("check", code=4, at="/")["result"]["counts"]
    assert elsewhere["breaks"] == 1 and elsewhere["removed"] == 1, elsewhere
    write("schemas/fresh.avsc", "{}")
    verb("check", code=2)
    os.remove(os.path.join(p.dir, "schemas/fresh.avsc"))
    assert verb("diff", T, "--offline", code=4)["result"]["verdict"] == "registry"
    one = write("one.avsc", CONTRACT)
    assert verb("diff", one, path, code=4)["result"]["verdict"] == "registry"
    assert verb("diff", one, one)["result"]["verdict"] == "same"
    assert verb("show", T, "--at", "contract")["result"]["row"]["schema"]["name"] == "Order"

with case("schema.flags_of_files", p):
    for words, flag in (("diff", one, path, "--offline"), "--offline"), (("sample", one, "--at", "source"), "--at"):
        e = verb(*words, code=2)["error"]
        assert e["code"] == "cli.unknown_flag" and flag in e["message"], e

SHARED = """
version: 1
name: {id}
kafka: {{brokers: ["127.0.0.1:1"]}}
registry: {{url: "file:{dir}/nothing", compatibility: BACKWARD}}
daemon: {{cache_dir: {dir}}}
sources:
  src:
    type: postgres
    dsn: postgresql://nobody@127.0.0.1:1/x
    insecure: true
    tables:
      a.lax: {{schema: {{contract: c/shared.avsc, compatibility: BACKWARD}}}}
      a.strict: {{schema: {{contract: c/shared.avsc, compatibility: FULL}}}}
      "/^b\\\\./": {{schema: {{contract: c/pattern.avsc, compatibility: FULL}}}}
      "/^c\\\\./": {{schema: {{compatibility: NONE}}}}
"""


def states(*words, code=0):
    found = verb("check", *words, code=code)["result"]["contracts"]
    return {(os.path.basename(c["file"]), c.get("table"), c["level"], c["state"]) for c in found if "level" in c}


with case("schema.check_by_level_and_table", p):
    mine, p.dir = p.dir, os.path.join(p.dir, "shared")
    os.mkdir(p.dir)
    shared, p.config = SHARED.format(id=p.id, dir=p.dir), os.path.join(p.dir, "freshet.yaml")
    write("freshet.yaml", shared)
    for name in ("c/shared", "c/pattern", "schemas/src.c.taken", "schemas/gone"):
        write(name + ".avsc", CONTRACT)
        write("old/" + name + ".avsc", CONTRACT)
    # A field without a default is gone: who has the old schema cannot read it.
    less = changed()
    less["fields"] = [f for f in less["fields"] if f["name"] != "total"]
    for name in ("c/shared", "c/pattern", "schemas/src.c.taken"):
        write(name + ".avsc", less)
    os.remove(os.path.join(p.dir, "schemas/gone.avsc"))
    old = os.path.join(p.dir, "old")
    assert states("--against", old, code=4) == {
        ("shared.avsc", "src/a.lax", "BACKWARD", "changed"), ("shared.avsc", "src/a.strict", "FULL", "breaks"),
        ("pattern.avsc", None, "FULL", "breaks"), ("src.c.taken.avsc", "src/c.taken", "NONE", "changed")}
    d = verb("check", "--against", old, code=4)["result"]
    assert d["counts"]["removed"] == 1 and len(d["contracts"]) == 5, d
    # One level for all: the two tables are still two, for a registry has two subjects.
    assert {x[2:] for x in states("--against", old, "--level", "BACKWARD")} == {("BACKWARD", "changed")}
    write("freshet.yaml", shared.replace("/nothing", "/registry"))
    for table, schema in (("a.lax", less), ("a.strict", CONTRACT)):
        folder = f"registry/subjects/src.{table}-value/versions"
        write(f"{folder}/1.json", {"id": 1 if table == "a.lax" else 2, "schema": json.dumps(schema)})
    got = states("--against", "registry", code=4)
    assert ("shared.avsc", "src/a.lax", "BACKWARD", "unchanged") in got, got
    assert ("shared.avsc", "src/a.strict", "FULL", "breaks") in got, got
    # Docs, properties and aliases are wording.
    write("c/shared.avsc", changed(total={"aliases": ["sum"]}))
    assert {x[3] for x in states("--against", old, code=4) if x[0] == "shared.avsc"} == {"noted"}

    # A git that dies is an error that says so, and never a signal.
    git = write("bin/git", """#!/bin/sh
case "$*" in *cat-file*) read -r name; exec 0<&-; echo "$name missing"; exit 0 ;; esac
PATH=${PATH#*:} exec git "$@"
""")
    os.chmod(git, 0o755)
    for words in (["init", "-q"], ["add", "c"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=p.dir, check=True)
    states()  # the control: the true one
    run = subprocess.run([FRESHET, "schema", "check", "--json", "--config", p.config], capture_output=True, text=True,
                         timeout=60, env=dict(os.environ, PATH=os.path.dirname(git) + ":" + os.environ["PATH"]))
    assert run.returncode == 2 and json.loads(run.stdout)["error"]["code"] == "git.answer", run
    p.dir, p.config = mine, os.path.join(mine, os.path.basename(p.config))

with case("schema.controls_stay_off_the_terminal", p):
    odd = changed()
    odd["fields"].append({"name": "odd", "type": "string", "default": "a\u009b2J\u007fb"})
    out = text("diff", one, write("odd.avsc", odd))
    assert "odd" in out and "a?2J?b" in out and "\u009b" not in out and "\u007f" not in out, out
    write(f"schemas/{p.id}.public.orders.avsc", odd)
    out = text("show", T, "--at", "contract")
    assert "a?2J?b" in out and "\u009b" not in out and "\u007f" not in out, out

p.close()
finish()
