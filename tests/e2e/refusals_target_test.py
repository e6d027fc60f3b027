#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""What a sink's target, the registry and the broker may refuse: it is said with place and remedy, the source
goes on where it can, and nothing is lost once it is put right."""
import http.server
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
from harness import STACK, Pipeline, case, eventually, finish, together  # noqa: E402

SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{}}}}
"""
SINK = """
sinks:
  dst:
    type: postgres
    dsn: TARGET
    from: ["{id}.public.t"]
    create: run
    write: {{every: 50ms}}
"""
cases = []


def scenario(f):
    def run():
        p = Pipeline(SOURCE + SINK.replace("TARGET", "{target}"))
        with case("refusals." + f.__name__, p):
            p.sql("create table t (id int primary key, v text); create publication pub for table t; insert into t values (1, 'x')")
            f(p)
        p.close()
    run.name = f.__name__
    cases.append(run)
    return f


def arrives(p, count):
    def probe():
        try:
            return p.sql("select count(*) from t", on=p.target) == [(count,)]
        except harness.psycopg2.errors.UndefinedTable:
            return False
    eventually(f"{count} rows in the target", probe)


def put_right(p):
    p.write(SOURCE + SINK.replace("TARGET", "{target}"))
    p.sql("insert into t values (2, 'y')")
    p.stop()  # with the exit code of the part that had failed
    p.start()
    arrives(p, 2)
    assert {e["after"]["id"] for e in p.events("t")} == {1, 2}


@scenario
def target_unreachable(p):
    p.write(SOURCE + SINK.replace("TARGET", "postgresql://u@127.0.0.1:1/db"))
    code, out, _ = p.verb("plan")
    assert code == 3 and "[FAIL] sink.connect" in out and "Connection refused" in out and "→" in out, (code, out[-700:])
    p.start()
    p.says("who=\"sink dst\" msg=\"pg.connect: connect: connection to server at", "trying again in")
    p.wait_events("t", 1)
    put_right(p)


@scenario
def target_wrong_password(p):
    user = os.environ["PG2_SCRAM_USER"]
    p.env["E2E_PASSWORD"] = "not-the-password"
    p.write(SOURCE + SINK.replace("TARGET", p.target.replace("postgres@", user + "@") + "\n    password: ${{env:E2E_PASSWORD}}"))
    code, out, _ = p.verb("plan")
    assert code in (3, 4) and "password authentication failed" in out and "→" in out, (code, out)
    p.start()
    p.says("password authentication failed", "(AUTH)", "->")
    p.wait_events("t", 1)
    assert "not-the-password" not in p.log() + out
    put_right(p)


@scenario
def target_missing_rights(p):
    role = "r" + p.id
    p.sql(f"create role {role} login; revoke create on schema public from public", on=p.target)
    p.write(SOURCE + SINK.replace("TARGET", p.target.replace("postgres@", role + "@")))
    code, out, _ = p.verb("plan")
    assert code == 4 and "sink." in out and "GRANT" in out, (code, out[-700:])
    p.start()
    p.says("permission denied", "(AUTH)", "let the owner of the database run: CREATE TABLE")
    p.wait_events("t", 1)
    put_right(p)
    p.sql(f"drop owned by {role}; drop role {role}", on=p.target)


class Closed:
    """A registry that lets nobody in."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def go(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = go

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@scenario
def registry_wrong_password(p):
    closed = Closed()
    p.env["E2E_PASSWORD"] = "not-the-password"
    p.write(SOURCE, harness.CONFIG.replace('url: ["{registry}"]', 'url: ["%s"], username: u, password: "${{env:E2E_PASSWORD}}"' % closed.url))
    code, out, _ = p.verb("plan")
    assert code in (3, 4) and "registry.auth" in out and "→" in out, (code, out)
    p.start()
    p.refused(9, "registry.auth", "HTTP 401", "->")
    assert "not-the-password" not in p.log() + out and p.messages("t") == []
    closed.close()
    put_right(p)


def kafka(p, brokers, *properties):
    lines = "".join("\n    %s: %s" % pair for pair in properties)
    p.write(SOURCE, harness.CONFIG.replace("[{bootstrap}]", f'["{brokers}"]').replace(
        "topics: {{create", "properties:" + lines + "\n  topics: {{create"))


@scenario
def kafka_wrong_password(p):
    e = secure()
    p.env["E2E_PASSWORD"] = "not-the-password"
    kafka(p, e["KAFKA_SASL_BOOTSTRAP"], ("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN"),
          ("sasl.username", e["KAFKA_SASL_USER"]), ("sasl.password", '"${{env:E2E_PASSWORD}}"'))
    code, out, _ = p.verb("plan")
    assert code in (3, 4) and "kafka.sasl" in out and "→" in out, (code, out)
    p.start()
    p.refused(9, "kafka.sasl", "Check sasl.mechanism, sasl.username and sasl.password")
    assert "not-the-password" not in p.log() + out
    put_right(p)


@scenario
def kafka_missing_rights(p):
    e = secure()
    kafka(p, e["KAFKA_SASL_BOOTSTRAP"], ("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN"),
          ("sasl.username", e["KAFKA_DENIED_USER"]), ("sasl.password", e["KAFKA_DENIED_PASSWORD"]))
    code, out, _ = p.verb("plan")
    assert code in (3, 4) and "kafka.acl." in out and "Grant" in out, (code, out)
    p.start()
    p.refused(9, "kafka.acl.", "Grant")
    put_right(p)


added = {}
adding = threading.Lock()


def secure():
    """A broker with logins and ACLs, once."""
    with adding:
        if not added:
            said = subprocess.run([STACK, "up", "kafka-secure"], check=True, capture_output=True, text=True).stdout
            added.update(line[7:].replace("'", "").split("=", 1) for line in said.splitlines() if line.startswith("export "))
    return added


if __name__ == "__main__":
    together([c for c in cases if len(sys.argv) < 2 or c.name in sys.argv[1:]])
    finish()
