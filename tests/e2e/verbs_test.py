#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""What is typed and what is asked: the verbs with their exit codes, HTTP, signals, and that neither secrets nor
rows come out anywhere."""
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

from psycopg2 import errors

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness  # noqa: E402
from harness import FRESHET, Pipeline, case, eventually, finish  # noqa: E402

CANARY, SECRET = "canary-of-a-row", "canary-of-a-secret"
BASE = harness.CONFIG.replace("create: run", "create: apply").replace("register: run", "register: apply, username: u, password: '${{env:E2E_SECRET}}'")
CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    password: "${{env:E2E_SECRET}}"
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{snapshot: {{chunk: 500}}}}
      public.u: {{}}
sinks:
  dst:
    type: postgres
    dsn: {target}
    password: "${{env:E2E_SECRET}}"
    from: ["{id}.public.t"]
    write: {{every: 50ms}}
"""
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    PORT = s.getsockname()[1]
BASE = BASE.replace("listen: none", f"listen: 127.0.0.1:{PORT}, token: '${{{{env:E2E_SECRET}}}}'")
BASE = BASE.replace("{dir}/cache", "{dir}/cache, mask_key: '${{file:{dir}/mask}}'")


def put_mask(text):
    with open(os.path.join(p.dir, "mask"), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write(text)


p = Pipeline(CONFIG)
p.env["E2E_SECRET"] = SECRET
put_mask(SECRET + "-one")
p.write(CONFIG, BASE)
seen = []  # all that the program ever said


def verb(code, *words, config=True, **more):
    got, out, err = p.verb(*words, **more) if config else plain(*words)
    seen.append(out + err)
    assert got == code, f"freshet {' '.join(words)}: exit code {got}, not {code}: {out[-700:]} {err[-700:]}"
    assert "Sanitizer" not in err, err
    return out


def plain(*words):
    r = subprocess.run([FRESHET, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd="/", env=dict(os.environ, XDG_CONFIG_HOME="/nowhere"))
    return r.returncode, r.stdout, r.stderr


def document(code, *words):
    d = json.loads(verb(code, *words, "--json"))
    assert d["command"] == words[0] and d["ok"] == (code == 0), d
    return d


def get(path, token=SECRET, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", headers={"Authorization": f"Bearer {token}"} if token else {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as r:
            code, body = r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        code, body = e.code, e.read().decode()
    seen.append(body)
    return code, body


def target(sql):
    try:
        return p.sql(sql, on=p.target)
    except errors.UndefinedTable:
        return None


p.sql("create table t (id int primary key, v text); create table u (id int primary key, v text)")
p.sql(f"insert into t select g, '{CANARY}' || g from generate_series(1, 5000) g; insert into u values (1, '{CANARY}')")

with case("verbs.without_configuration"):
    assert "freshet" in verb(0, "version", config=False) and "postgres" in verb(0, "version", config=False)
    assert "usage: freshet VERB" in verb(0, "help", config=False) and "usage: freshet plan" in verb(0, "help", "plan", config=False)
    for shell in ("bash", "zsh", "fish"):
        text = verb(0, "completion", shell, config=False)
        assert "freshet" in text and "position" in text
    assert "config.unreadable" in json.dumps(json.loads(plain("validate", "/nowhere.yaml", "--json")[1]))
    verb(2, "validate", "/nowhere.yaml", config=False)
    verb(2, "no-such-verb", config=False)
    verb(2, "plan", "--no-such-flag", config=False)
    verb(2, "completion", "no-such-shell", config=False)
    script = verb(0, "completion", "bash", config=False)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
with case("verbs.validate_and_config"):
    verb(0, "validate")
    assert document(0, "validate")["ok"]
    shown = verb(0, "config", "show")
    assert "***" in shown and p.id in shown and "freshet.yaml:" in shown
    schema = json.loads(verb(0, "config", "schema"))
    assert schema["properties"]["kafka"] and schema["properties"]["version"]
    assert "max_row_bytes" in verb(0, "config", "explain", "daemon.max_row_bytes")
    verb(2, "config", "explain", "no.such.key")
with case("verbs.doctor"):
    verb(0, "doctor")
    assert document(0, "doctor")["result"]
with case("verbs.plan_and_apply"):
    before = verb(4, "plan")
    assert "pg.publication" in before and "CREATE PUBLICATION" not in p.sql("select coalesce(string_agg(pubname, ''), '') from pg_publication")[0][0]
    d = document(4, "plan")
    assert d["result"], d
    sql = os.path.join(p.dir, "dba.sql")
    verb(4, "plan", "--sql", sql)
    statements = open(sql).read()
    assert statements.count("CREATE PUBLICATION") == 1, statements
    p.sql(next(line for line in statements.splitlines() if line.startswith("CREATE PUBLICATION")))
    plan = os.path.join(p.dir, "plan.json")
    verb(0, "plan", "--out", plan)
    assert not harness.topics_of(p.bootstrap, p.id), "plan made topics"
    verb(0, "apply", "--dry-run")
    assert not harness.topics_of(p.bootstrap, p.id), "a dry run made topics"
    code, out, err = p.verb("apply", "--no-input")
    seen.append(out + err)
    assert code != 0 and not harness.topics_of(p.bootstrap, p.id), (code, out, err)
    verb(0, "apply", plan, "--yes")
    made = harness.topics_of(p.bootstrap, p.id)
    assert {f"{p.id}.public.t", f"{p.id}.public.u"} <= set(made), made
    after = verb(0, "plan")
    assert "0 to create" in after, after[-300:]
    code, out, err = p.verb("apply", plan, "--yes")
    assert code != 0 and "plan" in out + err, "a plan that is no longer true was applied"
with case("verbs.before_the_first_run"):
    assert "no checkpoint" in verb(0, "position", "show", "src")
    assert "it has never run" in verb(3, "status")
    assert document(3, "status")["error"]["code"] == "http.no_daemon"

with case("verbs.sigterm_in_a_snapshot", p):
    p.start(failpoint="capture_mid_chunk:sleep=500:*")
    eventually("some of the snapshot", lambda: len(p.messages("t")) >= 500)
    assert p.stop(15) == 0
    some = len(p.messages("t"))
    assert 500 <= some < 5000, f"{some}: not in the middle"
    assert "snapshots" in verb(0, "position", "show", "src")
    document(0, "position", "show", "src")
    assert "last checkpoint" in verb(3, "status")
    verb(0, "tap", "src/public.t", "--from", "beginning", "--limit", "3", "--json")
    seen.pop()  # tap shows rows: that is what it is for
    p.start()
    got = [e["after"]["id"] for e in p.wait_events("t", 5000)]
    assert len(got) == len(set(got)) == 5000, (len(got), len(set(got)))
with case("verbs.http", p):
    eventually("ready", lambda: get("/readyz", None)[0] == 200)
    assert get("/healthz", None)[0] == 200
    assert get("/v1/status", None)[0] == 401 and get("/metrics", "wrong")[0] == 401
    assert json.loads(get("/version", None)[1])["name"] == "freshet"
    p.sql(f"insert into t values (5001, '{CANARY}'); update u set v = '{CANARY}2'; delete from t where id = 1")
    eventually("the target", lambda: target("select count(*), max(id) from t") == [(5000, 5001)])
    metrics = get("/metrics")[1]
    for name in ("freshet_events_total", "freshet_source_connected", "freshet_kafka_transactions_total", "freshet_sink_rows_total", "freshet_stage_seconds_bucket"):
        assert "\n" + name + "{" in metrics, name
    line = [m for m in metrics.splitlines() if m.startswith("freshet_events_total{") and 'op="r"' in m and "public.t" in m and 'source="src"' in m]
    assert len(line) == 1 and 0 < int(float(line[0].split()[-1])) <= 5000, line
    status = json.loads(get("/v1/status")[1])
    assert status["ready"] and not status["stalled"] and [(x["kind"], x["state"]) for x in status["parts"]] == [("source", "streaming"), ("sink", "streaming")], status
    assert get("/v1/tables/src/public.t")[0] == 200 and get("/v1/tables/none")[0] == 404 and get("/none")[0] == 404 and get("/v1/status", method="POST")[0] == 405
with case("verbs.of_a_running_daemon", p):
    text = verb(0, "status")
    assert "public.t" in text and "streaming" in text, text
    result = document(0, "status")["result"]
    assert "streaming" in json.dumps(result) and "public.t" in json.dumps(result), result
    assert "public.t" in verb(0, "status", "src/public.t")
    verb(0, "position", "show", "src")
    verb(2, "position", "show", "no-such-source")
    verb(2, "position", "set", "src", "--from-slot", "--yes")
    verb(2, "position", "reset", "src", "--yes")
    r = verb(0, "tap", "src/public.u", "--from", "beginning", "--limit", "1")
    seen.pop()
    assert CANARY in r
with case("verbs.sighup", p):
    p.write(CONFIG.replace("sources:", "sourcess:"), BASE)
    p.daemon.send_signal(signal.SIGHUP)
    p.says("reload refused: the old configuration stays", "did you mean `sources`?")
    p.write(CONFIG.replace("chunk: 500", "chunk: 501"), BASE)
    p.daemon.send_signal(signal.SIGHUP)
    p.says("this change needs a restart: ", ".chunk")
    p.write(CONFIG, BASE)
    put_mask(SECRET + "-two")
    p.daemon.send_signal(signal.SIGHUP)
    p.says("this change needs a restart: daemon.mask_key")
    put_mask(SECRET + "-one")
    assert "configuration reloaded" not in p.log(True)
    p.write(CONFIG, "# a line more\n" + BASE.replace("mask_key:", "log: {{level: error}}, mask_key:"))
    os.unlink(os.path.join(p.dir, "mask"))
    os.mkfifo(os.path.join(p.dir, "mask"), 0o600)
    p.daemon.send_signal(signal.SIGHUP)
    put_mask(SECRET + "-one")  # returns once the file was read
    os.unlink(os.path.join(p.dir, "mask"))
    put_mask(SECRET + "-one")
    p.write(CONFIG.replace("chunk: 500", "chunk: 501"), BASE)  # refused, and said so at error
    told = p.log(True).count("this change needs a restart")
    p.daemon.send_signal(signal.SIGHUP)
    eventually("the third refusal", lambda: p.log(True).count("this change needs a restart") > told)
    assert "configuration reloaded" not in p.log(True)  # INFO was not said any more
    p.write(CONFIG, BASE)
    p.daemon.send_signal(signal.SIGHUP)
    p.says("configuration reloaded")
    p.sql(f"insert into t values (5002, '{CANARY}')")
    eventually("it goes on", lambda: target("select max(id) from t") == [(5002,)])
    p.daemon.send_signal(signal.SIGUSR1)
    p.says("status {")
with case("verbs.nothing_leaks", p):
    with open(f"/proc/{p.daemon.pid}/cmdline") as f:
        seen.append(f.read())
    assert p.stop() == 0
    seen.append(p.log())
    for text in seen:
        for canary in (CANARY, SECRET):
            at = text.find(canary)
            assert at < 0, f"{canary}: ...{text[max(0, at - 200):at + 100]}"
    assert "Sanitizer" not in p.log() and "runtime error" not in p.log()
with case("verbs.of_a_stopped_daemon", p):
    assert "last checkpoint" in verb(3, "status")
p.close()
finish()
