"""The recorded set of tests/data/debezium: its schemas, messages and statements."""
import contextlib
import io
import json
import os
import urllib.error
import urllib.parse
import urllib.request

import fastavro
from confluent_kafka.admin import AdminClient

from harness import ROOT, eventually

FOLDER = os.path.join(ROOT, "tests", "data", "debezium")
TABLES = ["types_num", "types_str", "types_time", "odd-name_t", "no_pk", "toasted"]


def subjects():
    """Subject -> its versions, as registered."""
    with open(os.path.join(FOLDER, "schemas.json")) as f:
        return json.load(f)


def messages(topic):
    """(key, value, headers) of each record, bytes or None."""
    out = []
    with open(os.path.join(FOLDER, topic + ".jsonl")) as f:
        for line in f:
            r = json.loads(line)
            key, value = (r[k] and bytes.fromhex(r[k]) for k in ("key_hex", "value_hex"))
            out.append((key, value, [tuple(h) for h in r["headers"]]))
    return out


def register(registry, subject, schema):
    """As the Confluent converter does; answers the id."""
    body = json.dumps({"schema": json.dumps(schema)}).encode()
    request = urllib.request.Request(f"{registry}/subjects/{subject}/versions", body,
                                     {"Content-Type": "application/vnd.schemaregistry.v1+json"})
    with urllib.request.urlopen(request, timeout=20) as r:
        return json.load(r)["id"]


def forget(bootstrap, registry):
    """The set's topics and subjects have names of their own: what an earlier test left of them goes."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [t for t in admin.list_topics(timeout=20).topics if t.startswith("pg.")]
    for f in (admin.delete_topics(names) if names else {}).values():
        f.result()
    eventually("topics that are gone", lambda: not [t for t in admin.list_topics(timeout=20).topics if t.startswith("pg.")])
    with urllib.request.urlopen(f"{registry}/subjects", timeout=20) as r:
        left = {s for s in json.load(r) if s.startswith("pg.")}
    left.update(subjects())  # a list of a registry's subjects may end after a thousand
    for s in left:
        for more in ("", "?permanent=true"):
            request = urllib.request.Request(f"{registry}/subjects/{urllib.parse.quote(s)}{more}", method="DELETE")
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(request, timeout=20).close()


def statements():
    """Those before the connector started, and those of the stream: each commits by itself."""
    with open(os.path.join(FOLDER, "ddl-dml.sql"), encoding="utf-8") as f:
        before, stream = f.read().split("-- STREAM", 1)
    return [[s.strip() for s in part.split(";\n") if s.strip()] for part in (before, stream[stream.index("\n"):])]


def execute(connection, part):
    """Runs them in a space of their own, golden."""
    q = connection.cursor()
    q.execute("create schema if not exists golden; set search_path = golden")
    for s in part:
        q.execute(s)


def encoded(schema, value):
    b = io.BytesIO()
    fastavro.schemaless_writer(b, schema, value)
    return b.getvalue()


def decoded(schema, data):
    return fastavro.schemaless_reader(io.BytesIO(data), schema, None)
