#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Bad input: each gets an error that names the place and the remedy, the exit code of its kind, and
loses nothing. Those that pass by themselves are waited for."""
import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psycopg2
import psycopg2.extras
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
from harness import Pipeline, case, eventually, finish, together  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
"""
ONE = SOURCE + "      public.t: {{}}\n" + harness.STOP
CLOSED = "127.0.0.1:1"
cases = []


def scenario(config=ONE, table="create table t (id int primary key, v text)", rows=3, start=True, options="", publish="pub"):
    """A case: a function of a pipeline, whose table is made and, with start, whose rows are published."""
    def wrap(f):
        def run():
            p = Pipeline(config, target=False, options=options)
            with case("refusals." + f.__name__, p):
                p.sql(table)
                if publish:
                    p.sql(f"create publication {publish} for all tables")
                if start:
                    p.sql(f"insert into t select g, 'v' || g from generate_series(1, {rows}) g")
                    p.start()
                    p.wait_events("t", rows)
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def admin(p):
    return AdminClient({"bootstrap.servers": p.bootstrap})


def administer(p, verb, *arguments):
    client = admin(p)
    for f in getattr(client, verb)(*arguments).values():
        f.result(20)


def remake(p, topic, partitions):
    """Deletes a topic and makes it again, as somebody else might."""
    administer(p, "delete_topics", [topic])

    def make():
        try:
            administer(p, "create_topics", [NewTopic(topic, partitions, 1)])
            return True
        except Exception:
            return False
    eventually(f"{topic} is made again", make, 30, 0.2)


def rows(p):
    return sorted(e["after"]["id"] for e in p.events("t") if e and e["after"])


# ---- the file ------------------------------------------------------------------------------------

def invalid(name, config, *texts, base=harness.CONFIG):
    p = Pipeline(ONE, target=False)
    with case("refusals." + name, p):
        p.write(config, base)
        code, out, err = p.verb("validate")
        assert code == 2, (code, out, err)
        for text in texts:
            assert text in out, f"{text!r} not in {out}"
        p.start()
        p.refused(2, *texts[:1])
    p.close()


def files():
    invalid("unknown_key", ONE.replace("log:", "logg:"), "there is no key `logg` here", "did you mean `log`?", "sources.src.logg", "logg: {publication")
    invalid("wrong_type", ONE.replace("public.t: {{}}", "public.t: {{snapshot: {{chunk: many}}}}"), "`many` is not", "snapshot.chunk")
    invalid("no_such_choice", ONE.replace("public.t: {{}}", "public.t: {{truncate: maybe}}"), "`maybe` is none of its choices", "choices: block, publish, ignore")
    invalid("two_tables_one_topic", SOURCE + "      public.t: {{topic: x.y}}\n      public.u: {{topic: x.y}}\n", "topic x.y is also that of src/public.t", "give one of them a topic of its own")
    invalid("password_in_dsn", ONE.replace("{source}", "postgresql://u:secretword@127.0.0.1/db"), "config.dsn_password")


files.name = "files"
cases.append(files)


@scenario(SOURCE + '      "/^public[.][tu]$/": {{topic: {id}.both}}\n' + harness.STOP, start=False)
def two_tables_of_a_pattern_one_topic(p):
    p.sql("create table u (id int primary key)")
    p.sql("insert into t values (1, 'x'); insert into u values (1)")
    code, out, _ = p.verb("plan")
    assert code in (2, 4) and f"{p.id}.both" in out, (code, out)
    p.start()
    p.refused(2, f"{p.id}.both", "public.t", "public.u")


# ---- servers that do not answer ------------------------------------------------------------------

@scenario(start=False)
def unreachable(p):
    p.sql("insert into t values (1, 'x')")
    for code_word, config, base in (
        ("pg.connect", ONE.replace("{source}", f"postgresql://u@{CLOSED}/db"), harness.CONFIG),
        ("kafka.connect", ONE, harness.CONFIG.replace("{bootstrap}", CLOSED)),
        ("registry.connect", ONE, harness.CONFIG.replace('"{registry}"', f'"http://{CLOSED}"')),
    ):
        p.write(config, base)
        code, out, err = p.verb("validate")
        assert code == 0, (code, out, err)
        code, out, _ = p.verb("plan")
        assert code == 3 and "[FAIL] " + code_word in out and "→" in out, (code, out)
        p.start()
        p.says(code_word, "trying again in")
        assert p.daemon.poll() is None
        assert p.stop() == 0


# ---- user and rights -----------------------------------------------------------------------------

@scenario(start=False)
def wrong_password(p):
    dsn = os.environ["PG_SCRAM_DSN"]
    user, host = dsn.split("//")[1].split(":")[0], dsn.split("@")[1].rsplit("/", 1)[0]
    p.write(ONE.replace("{source}", f"postgresql://{user}@{host}/{p.id}\n    password: ${{{{env:E2E_PASSWORD}}}}"))
    p.env["E2E_PASSWORD"] = "not-the-password"
    code, out, _ = p.verb("plan")
    assert code in (3, 4) and "password authentication failed" in out, (code, out)
    p.start()
    p.refused(9, "password authentication failed", "(AUTH)", "->")
    assert "not-the-password" not in p.log() + out


def as_role(p, role_options, grants):
    """The configuration with a user of its own; answers its name."""
    role = "r" + p.id
    p.sql(f"create role {role} login {role_options}")
    for g in grants:
        p.sql(g.format(role=role))
    p.write(ONE.replace("{source}", p.source.replace("postgres@", role + "@")))
    return role


@scenario(start=False)
def no_replication_right(p):
    role = as_role(p, "", ["grant select on t to {role}"])
    code, out, _ = p.verb("plan")
    assert code == 4 and "pg.role.replication" in out and "REPLICATION" in out, (code, out)
    p.start()
    p.refused(9, "REPLICATION")
    p.sql(f"drop owned by {role}; drop role {role}")


@scenario(start=False)
def no_select_right(p):
    role = as_role(p, "replication", [])
    p.sql("insert into t values (1, 'x')")
    code, out, _ = p.verb("plan")
    assert code == 4 and "pg.table.select" in out and "public.t" in out, (code, out)
    p.start()
    p.refused(9, "no right to read public.t", "GRANT SELECT")
    p.sql(f"grant select on t to {role}")
    p.start()
    p.wait_events("t", 1)
    assert p.stop() == 0
    p.sql(f"select pg_drop_replication_slot('{p.slot}'); drop owned by {role}; drop role {role}")


# ---- the slot and the publication ----------------------------------------------------------------

@scenario()
def slot_in_use(p):
    assert p.stop() == 0
    other = psycopg2.connect(p.source, connection_factory=psycopg2.extras.LogicalReplicationConnection)
    q = other.cursor()
    q.start_replication(slot_name=p.slot, decode=False, options={"proto_version": "1", "publication_names": "pub"})
    p.sql("insert into t values (4, 'later')")
    p.start()
    p.says("pg.slot_active", "trying again in")
    q.close()
    other.close()
    p.wait_events("t", 4)
    assert rows(p) == [1, 2, 3, 4]


@scenario()
def slot_dropped(p):
    assert p.stop() == 0
    p.sql(f"select pg_drop_replication_slot('{p.slot}')")
    p.start()
    p.refused(5, "pg.slot_missing", "does not exist", "position reset src")


@scenario()
def slot_made_again(p):
    assert p.stop() == 0
    p.sql(f"select pg_drop_replication_slot('{p.slot}')")
    p.sql("insert into t values (4, 'lost')")
    p.sql(f"select pg_create_logical_replication_slot('{p.slot}', 'pgoutput')")
    p.start()
    p.refused(5, "pg.slot_ahead", "re-created", "position reset src")


@scenario()
def slot_advanced(p):
    assert p.stop() == 0
    p.sql("insert into t values (4, 'lost')")
    p.sql(f"select pg_replication_slot_advance('{p.slot}', pg_current_wal_lsn())")
    p.start()
    p.refused(5, "pg.slot_ahead", "position reset src")
    code, out, _ = p.verb("position", "set", "src", "--from-slot", "--yes")
    assert code == 0 and "continues at the slot's position" in out, (code, out)
    p.sql("insert into t values (5, 'after')")
    p.start()
    p.wait_events("t", 4)
    assert rows(p) == [1, 2, 3, 5]


@scenario()
def position_reset(p):
    """What the refusals above tell to type does what they say."""
    assert p.stop() == 0
    p.sql("insert into t values (4, 'while it was gone')")
    p.sql(f"select pg_drop_replication_slot('{p.slot}')")
    p.start()
    p.refused(5, "pg.slot_missing")
    code, out, err = p.verb("position", "reset", "src", "--yes")
    assert code == 0, (code, out, err)
    p.start()
    p.wait_events("t", 7)
    assert rows(p) == [1, 1, 2, 2, 3, 3, 4]


@scenario(start=False, publish=None)
def no_publication(p):
    code, out, _ = p.verb("plan")
    assert code == 4 and "pg.publication" in out and "freshet apply --source-objects" in out, (code, out)
    p.start()
    p.refused(2, "publication", "CREATE PUBLICATION")
    code, out, err = p.verb("apply", "--source-objects", "--yes")
    assert code == 0, (code, out, err)
    p.sql("insert into t values (1, 'x')")
    p.start()
    p.wait_events("t", 1)


@scenario()
def publication_dropped(p):
    assert p.stop() == 0
    p.sql("insert into t values (4, 'x'); drop publication pub")
    p.start()
    p.refused(2, "publication", "CREATE PUBLICATION")
    p.sql("create publication pub for all tables")
    p.start()
    p.wait_events("t", 4)


# ---- topics --------------------------------------------------------------------------------------

@scenario()
def topic_deleted_under_load(p):
    stop = threading.Event()

    def load():
        i = 100
        while not stop.is_set():
            i += 1
            p.sql("insert into t values (%s, 'x')", i)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        remake(p, f"{p.id}.public.t", 3)
        # Whether a message met the gap is a matter of luck; else the next start tells.
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.refused(5, f"{p.id}.public.t", seconds=5)
    finally:
        stop.set()
        thread.join()
    if p.daemon.poll() is None:
        assert p.stop() == 0
    p.start()
    p.refused(5, f"{p.id}.public.t", "->")


@scenario()
def topic_made_again(p):
    assert p.stop() == 0
    remake(p, f"{p.id}.public.t", 3)
    p.sql("insert into t values (4, 'x')")
    p.start()
    p.refused(5, f"{p.id}.public.t", "->")


@scenario()
def partitions_raised(p):
    assert p.stop() == 0
    administer(p, "create_partitions", [NewPartitions(f"{p.id}.public.t", 5)])
    p.sql("insert into t values (4, 'x')")
    p.start()
    p.refused(5, f"{p.id}.public.t", "kafka.topic.partitions", "3", "5")


@scenario()
def checkpoint_topic_deleted(p):
    assert p.stop() == 0
    topic = f"freshet.{p.id}.checkpoint.src"
    administer(p, "delete_topics", [topic])
    eventually("it is gone", lambda: topic not in admin(p).list_topics(timeout=10).topics)
    p.sql("insert into t values (4, 'x')")
    p.start()
    p.refused(5, "pg.slot_exists", "there is no checkpoint of source src", "position set src --from-slot")


def checkpoint_record(name, key, value, *texts):
    def check(p):
        assert p.stop() == 0
        producer = Producer({"bootstrap.servers": p.bootstrap})
        producer.produce(f"freshet.{p.id}.checkpoint.src", key=key, value=value)
        assert producer.flush(20) == 0
        p.start()
        p.refused(5, "checkpoint.record", f"freshet.{p.id}.checkpoint.src", *texts)
    check.__name__ = "checkpoint_record_" + name
    scenario()(check)


checkpoint_record("newer", b"stream", b'{"v": 2, "resume": {}}', "stream")
checkpoint_record("broken", b"stream", b'{"v": 1, "resume"', "stream")
checkpoint_record("unknown_key", b"surprise", b'{"v": 1}', "surprise")


# ---- the registry --------------------------------------------------------------------------------

class Proxy:
    """In front of the registry; mode: pass, down, or lie (another schema for every id)."""

    def __init__(self):
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def go(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.mode == "down":
                    self.close_connection = True
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() in ("content-type", "accept")}
                url = os.environ["REGISTRY_URL"] + self.path
                try:
                    with urllib.request.urlopen(urllib.request.Request(url, body or None, headers, method=self.command), timeout=20) as r:
                        status, kind, data = r.status, r.headers.get("Content-Type"), r.read()
                except urllib.error.HTTPError as e:
                    status, kind, data = e.code, e.headers.get("Content-Type"), e.read()
                if proxy.mode == "lie" and "/schemas/ids/" in self.path:
                    data = json.dumps({"schema": '"string"'}).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind or "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = go

            def log_message(self, *_):
                pass

        self.mode = "pass"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def use(self, p):
        p.write(ONE, harness.CONFIG.replace('"{registry}"', f'"{self.url}"'))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@scenario(start=False)
def registry_down_while_a_table_changes(p):
    proxy = Proxy()
    proxy.use(p)
    p.sql("insert into t values (1, 'x')")
    p.start()
    p.wait_events("t", 1)
    proxy.mode = "down"
    p.sql("insert into t values (2, 'known schema'); alter table t add more int; insert into t values (3, 'x', 3)")
    p.says("registry.connect", "trying again in")
    assert p.daemon.poll() is None
    proxy.mode = "pass"
    got = {e["after"]["id"]: e["after"] for e in p.wait_events("t", 3)}
    assert got[3]["more"] == 3 and "more" not in got[1], got
    assert p.stop() == 0
    proxy.close()


@scenario(start=False)
def registry_lies(p):
    proxy = Proxy()
    proxy.use(p)
    proxy.mode = "lie"
    p.sql("insert into t values (1, 'x')")
    p.start()
    p.refused(6, "registry.wrong_id", "for that id it returns", "->")
    assert p.messages("t") == []
    proxy.mode = "pass"
    p.start()
    p.wait_events("t", 1)
    assert p.stop() == 0
    proxy.close()


@scenario(config=ONE.replace("public.t: {{}}", "public.t: {{schema: {{on_change: {{change_type: evolve}}}}}}"), table="create table t (id int primary key, v int)", start=False)
def incompatible_schema(p):
    p.sql("insert into t values (1, 10)")
    p.start()
    p.wait_events("t", 1)
    p.sql("alter table t alter column v type text; insert into t values (2, 'zwei')")
    p.refused(6, "registry.incompatible", "registered v1", "ours:", "->")
    assert rows(p) == [1]
    p.start()
    p.refused(6, "registry.incompatible")  # the log says so at that place, whatever happens since
    elsewhere = "schema: {{name: {id}.public.t2, on_change: {{change_type: evolve}}}}, topic: {id}.public.t2"
    p.write(ONE.replace("public.t: {{}}", "public.t: {{" + elsewhere + "}}"))
    p.sql("insert into t values (3, 'drei')")
    p.start()
    got = {e["after"]["id"]: e["after"]["v"] for e in p.wait_events("t2", 2)}
    assert got == {2: "zwei", 3: "drei"} and rows(p) == [1], got


@scenario(config=ONE.replace("public.t: {{}}", "public.t: {{schema: {{on_change: {{change_type: stop}}}}}}"),
          table="create table t (id int primary key, v int)", start=False)
def changed_type_stops(p):
    p.sql("insert into t values (1, 10)")
    p.start()
    p.wait_events("t", 1)
    p.sql("alter table t alter column v type bigint; insert into t values (2, 20)")
    p.refused(6, "public.t", "change_type", "->")
    p.write(ONE.replace("public.t: {{}}", "public.t: {{schema: {{on_change: {{change_type: evolve}}}}}}"))
    p.start()
    p.wait_events("t", 2)
    assert rows(p) == [1, 2]


# ---- rows ----------------------------------------------------------------------------------------

@scenario()
def row_too_large(p):
    assert p.stop() == 0
    p.write(ONE, harness.CONFIG.replace("daemon: {{", "daemon: {{max_row_bytes: 100KiB, "))
    p.start()
    p.sql("insert into t values (4, 'x')")
    p.wait_events("t", 4)
    p.sql("insert into t values (5, repeat('canary', 20000))")
    p.refused(7, "public.t", "max_row_bytes", "->")
    assert "canarycanary" not in p.log() and rows(p) == [1, 2, 3, 4]
    p.write(ONE)
    p.start()
    p.wait_events("t", 5)
    assert rows(p) == [1, 2, 3, 4, 5]


@scenario()
def truncate_block(p):
    p.sql("truncate t; insert into t values (9, 'x')")
    p.refused(7, "public.t", "TRUNCATE", "truncate")
    assert rows(p) == [1, 2, 3]
    p.write(ONE.replace("public.t: {{}}", "public.t: {{truncate: ignore}}"))
    p.start()
    p.wait_events("t", 4)
    assert rows(p) == [1, 2, 3, 9] and "t" not in [e["op"] for e in p.events("t") if e]


@scenario(config=ONE.replace("public.t: {{}}", "public.t: {{truncate: publish}}"))
def truncate_publish(p):
    p.sql("truncate t; insert into t values (9, 'x')")
    p.wait_events("t", 7)
    ops = {}
    for m in p.messages("t"):
        if m.value():
            ops.setdefault(m.partition(), []).append(p.registry.decode(m.value())["op"])
    assert sum(o.count("t") for o in ops.values()) == 3 and all(o.count("t") == 1 for o in ops.values()), ops


@scenario(options="template template0 encoding 'SQL_ASCII' locale 'C'", start=False)
def invalid_utf8(p):
    c = harness.connect(p.source)
    c.set_client_encoding("SQL_ASCII")
    c.cursor().execute(rb"insert into t values (1, E'fine'), (2, E'canary\xff')")
    p.start()
    p.refused(7, "public.t", "UTF-8", "->")
    assert "canary" not in p.log()
    c.cursor().execute(b"update t set v = 'put right' where id = 2")
    p.start()
    p.wait_events("t", 2)
    c.cursor().execute(rb"insert into t values (3, E'canary\xc3')")
    p.refused(7, "public.t", "UTF-8", "->")
    assert "canary" not in p.log()
    c.close()


@scenario(config=ONE.replace("public.t: {{}}", "public.t: {{append_only: true}}"))
def append_only_updated(p):
    p.sql("update t set v = 'changed' where id = 1")
    p.refused(7, "public.t", "append_only", "->")


@scenario(table="create table t (id int, v text)", start=False)
def no_key(p):
    p.sql("insert into t values (1, 'x')")
    code, out, _ = p.verb("plan")
    assert code == 4 and "public.t" in out and "key" in out, (code, out)
    p.start()
    p.refused(2, "public.t", "key", "append_only")


@scenario(table="create table t (id int primary key, v text); alter table t replica identity nothing", start=False)
def replica_identity_nothing(p):
    p.sql("insert into t values (1, 'x')")
    code, out, _ = p.verb("plan")
    assert code == 4 and "public.t" in out and "REPLICA IDENTITY" in out, (code, out)
    p.start()
    p.wait_events("t", 1)  # nothing is lost: the server refuses what would not be in its log
    for change in ("update t set v = 'y'", "delete from t"):
        try:
            p.sql(change)
            raise AssertionError("the server took it: " + change)
        except psycopg2.errors.ObjectNotInPrerequisiteState:
            pass


@scenario(start=False, publish=None)
def publication_of_inserts_only(p):
    p.sql("create publication pub for table t with (publish = 'insert')")
    p.sql("insert into t values (1, 'x')")
    code, out, _ = p.verb("plan")
    assert code == 4 and "pg.publication" in out and "pub leaves out operations" in out, (code, out[-300:])
    p.start()
    p.refused(2, "pub", "publish =")


@scenario()
def second_instance(p):
    first = p.daemon
    p.write(ONE, harness.CONFIG.replace("/freshet.sock", "/second.sock"))
    p.start()
    try:
        p.sql("insert into t values (4, 'x')")
        assert first.wait(40) == 8, first.returncode
        p.says("another instance")
        p.wait_events("t", 4)
        assert rows(p) == [1, 2, 3, 4]
    finally:
        if first.poll() is None:
            first.kill()
            first.wait()


if __name__ == "__main__":
    together([c for c in cases if len(sys.argv) < 2 or c.name in sys.argv[1:]])
    finish()
