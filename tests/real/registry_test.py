#!/usr/bin/env python3
"""The registry client against a real registry (REGISTRY_URL) and against its twin in a directory:
the same questions, the same answers. Needs registry_probe (BUILD, default build/dev)."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROBE = os.path.join(os.environ.get("BUILD", os.path.join(ROOT, "build", "dev")), "registry_probe")
BACKWARD, FORWARD, FULL = 0, 2, 4
RUN = "t%d_%d" % (os.getpid(), int(time.time()))
failed = 0


def row(*fields):
    return json.dumps({"type": "record", "name": "Row", "namespace": "shop." + RUN,
                       "fields": list(fields)})


ID = {"name": "id", "type": "long"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}
REQ = {"name": "req", "type": "string"}
V1, V2, BAD = row(ID), row(ID, NOTE), row({"name": "id", "type": "string"}, REQ)


def probe(url, *args):
    env = dict(os.environ, REGISTRY_URL=url)
    p = subprocess.run([PROBE, *map(str, args)], env=env, capture_output=True, text=True, timeout=90)
    return p.returncode, p.stdout.strip(), p.stderr.strip()


def check(name, good, why=""):
    global failed
    print("ok %s" % name if good else "not ok %s: %s" % (name, str(why).replace("\n", " ")[:900]))
    failed += not good


def same_answers(kind, url):
    s = "%s/%s a-value" % (RUN, kind)  # a slash and a space: names are escaped
    code, out, err = probe(url, "register", s, V1, FULL, "exists")
    check(kind + ".first_needs_leave", code == 6 and "registry.subject_missing" in err, err)
    check(kind + ".unknown_is_compatible", probe(url, "compatible", s, V1)[1] == "yes")
    check(kind + ".unknown_has_no_latest", probe(url, "latest", s)[1] == "none")
    code, one, err = probe(url, "register", s, V1, BACKWARD, "create")
    check(kind + ".register", code == 0 and int(one) >= 0, err)
    owned = dict(json.loads(row(ID, dict(NOTE, **{"freshet.pii": True}))), doc="Rows",
                 **{"freshet.owner": "team", "freshet.tags": ["a", "b"], "freshet.deprecated": "v2"})
    told = json.dumps(owned)
    code, meta, err = probe(url, "register", s + "-owned", told, BACKWARD, "create")
    check(kind + ".metadata_does_not_matter", code == 0 and int(meta) >= 0, err)
    check(kind + ".metadata_same_id", probe(url, "register", s + "-owned", told, BACKWARD, "create")[1] == meta
          == probe(url, "lookup", s + "-owned", told)[1])
    spaced = json.dumps(json.loads(V1), indent=1)
    check(kind + ".spacing_is_nothing", probe(url, "register", s, spaced, BACKWARD, "create")[1] == one)
    check(kind + ".same_schema_same_id",
          probe(url, "register", s + "2", V1, BACKWARD, "create")[1] == one)
    check(kind + ".lookup", probe(url, "lookup", s, V1)[1] == one)
    check(kind + ".lookup_of_another", probe(url, "lookup", s, V2)[1] == "none")
    code, two, err = probe(url, "register", s, V2, -1, "exists")
    check(kind + ".second_version", code == 0 and two != one, (two, err))
    version, ident, text = probe(url, "latest", s)[1].split(" ", 2)
    check(kind + ".latest", (version, ident) == ("2", two) and json.loads(text) == json.loads(V2), text)
    check(kind + ".schema_by_id", json.loads(probe(url, "schema", two)[1]) == json.loads(V2))
    code, out, err = probe(url, "schema", 2147480000)
    check(kind + ".unknown_id", code == 7 and "registry.unknown_id" in err, err)
    code, out, err = probe(url, "compatible", s, BAD)
    check(kind + ".incompatible_says_why", code == 0 and out.startswith("no: ") and "req" in out, out)
    code, out, err = probe(url, "register", s, BAD, -1, "create")
    check(kind + ".refusal", code == 6 and "registry.incompatible" in err, err)
    check(kind + ".refusal_names_the_fields",
          "~ id long -> string" in err and "+ req string (no default)" in err and "- note" in err, err)
    code, out, err = probe(url, "register", s, '{"type":"record","name":"X"}', -1, "create")
    check(kind + ".no_schema", code in (6, 7), err)
    ahead = "%s-ahead" % s
    probe(url, "register", ahead, row(ID, NOTE), FORWARD, "create")
    code, out, err = probe(url, "register", ahead, row(ID, NOTE, REQ), -1, "exists")
    check(kind + ".own_level_lets_through", code == 0, err)
    code, out, err = probe(url, "register", ahead, row(NOTE, REQ), -1, "exists")
    check(kind + ".own_level_refuses", code == 6, err)
    code, out, err = probe(url, "check")
    check(kind + ".check", code == 0 and "fine registry.connect" in out and "blocker" not in out, out)


def with_a_real_registry(url):
    with urllib.request.urlopen(url + "/config") as r:
        level = json.load(r)
    check("registry.global_level_untouched", level.get("compatibilityLevel") == "BACKWARD", level)
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))  # bound, not listening: refused
    down = "http://127.0.0.1:%d" % dead.getsockname()[1]
    code, out, err = probe(down + " " + url, "register", RUN + "-over", V1, -1, "create")
    check("registry.fail_over", code == 0, err)
    code, out, err = probe(down, "lookup", RUN, V1)
    check("registry.down", code == 3 and "registry.connect" in err, err)
    code, out, err = probe(url.rsplit("/apis", 1)[0] + "/nowhere", "lookup", RUN, V1)
    check("registry.wrong_path", code == 3 and "registry.reply" in err, err)
    known_ids_outlive_the_registry(url)
    a_schema_that_refers_to_others(url)
    a_deleted_version_is_still_read(url)
    who_registers(url)
    it_is_down_while_a_table_changes(url)


def call(method, url, body=None):
    r = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None,
                               {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(r, timeout=60) as answer:
        return json.loads(answer.read())


def subject_url(url, subject, rest=""):
    return "%s/subjects/%s%s" % (url, urllib.parse.quote(subject, safe=""), rest)


def a_schema_that_refers_to_others(url):
    """Foreign: two subjects below one, two ways to the same type."""
    space = "ref." + RUN
    code = {"type": "enum", "name": "Code", "namespace": space, "symbols": ["EUR", "USD"]}
    money = {"type": "record", "name": "Money", "namespace": space,
             "fields": [{"name": "code", "type": "Code"}, {"name": "units", "type": "long"}]}
    top = {"type": "record", "name": "Bill", "namespace": space,
           "fields": [{"name": "total", "type": ["null", "Money"]}, {"name": "in", "type": "Code"}]}

    def add(subject, schema, *references):
        return call("POST", subject_url(url, subject, "/versions"), {
            "schema": json.dumps(schema), "references": [
                {"name": "%s.%s" % (space, name), "subject": where, "version": 1} for name, where in references]})["id"]

    below, money_at, top_at = RUN + "/code", RUN + "-money", RUN + "-bill-value"
    add(below, code)
    add(money_at, money, ("Code", below))
    ident = add(top_at, top, ("Money", money_at), ("Code", below))
    status, text, err = probe(url, "schema", ident)
    check("registry.references_are_written_in", status == 0, err)
    whole = json.loads(text)
    inside = whole["fields"][0]["type"][1]
    check("registry.references_once", inside["name"] == "Money" and
          inside["fields"][0]["type"]["symbols"] == ["EUR", "USD"] and whole["fields"][1]["type"] == "Code", text)
    status, text, err = probe(url, "latest", top_at)
    check("registry.references_of_the_newest", status == 0 and json.loads(text.split(" ", 2)[2]) == whole, (text, err))


def a_deleted_version_is_still_read(url):
    """H06: what messages carry the id of stays readable, and can be registered again."""
    s = RUN + "-deleted-value"
    one = probe(url, "register", s, V1, BACKWARD, "create")[1]
    two = probe(url, "register", s, V2, -1, "exists")[1]
    call("DELETE", subject_url(url, s, "/versions/2"))
    check("registry.a_deleted_version_is_not_the_newest", probe(url, "latest", s)[1].startswith("1 "))
    status, text, err = probe(url, "schema", two)
    check("registry.a_deleted_version_is_still_read", status == 0 and json.loads(text) == json.loads(V2), err)
    status, again, err = probe(url, "register", s, V2, -1, "exists")
    check("registry.a_deleted_version_comes_back", status == 0, err)
    status, text, err = probe(url, "schema", again)
    check("registry.and_its_id_leads_to_it", status == 0 and json.loads(text) == json.loads(V2), err)
    call("DELETE", subject_url(url, s))
    status, out, err = probe(url, "register", s, V1, -1, "exists")
    check("registry.a_deleted_subject_needs_leave", status == 6 and "registry.subject_missing" in err, err)
    status, out, err = probe(url, "register", s, V1, BACKWARD, "create")
    check("registry.a_deleted_subject_comes_back", status == 0, err)
    check("registry.ids_are_found_again", probe(url, "lookup", s, V1)[1] == out != "none", (out, one))


def who_registers(url):
    """registry.register with the daemon: never and apply let it make no first version; later ones it makes."""
    if "KAFKA_BOOTSTRAP" not in os.environ:
        print("(without Kafka: not asked who registers)")
        return
    sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
    from harness import CONFIG, PG_SOURCE, Pipeline, case

    def subjects(p):
        try:
            return call("GET", subject_url(url, p.id + ".public.t-value", "/versions"))
        except urllib.error.HTTPError as e:
            return [] if e.code == 404 else e.code

    def write(p, when):
        log = "    log: {{publication: pub, slot: {slot}}}\n"
        p.write(PG_SOURCE.replace("    tables:", log + "    tables:") + "      public.t: {{}}\n", CONFIG.replace("register: run", "register: " + when))

    global failed
    p = Pipeline("", target=False)
    seen = []
    with case("registry.who_registers", p):
        p.sql("create table t (id int primary key); create publication pub for table t; insert into t values (1)")
        for when, hint in (("never", "by other means"), ("apply", "freshet apply")):
            write(p, when)
            p.start()
            p.refused(6, "registry.subject_missing", hint)
            assert subjects(p) == [] and p.messages("t") == [], when
        write(p, "never")
        code, out, err = p.verb("apply", "--yes")
        assert code == 4 and subjects(p) == [], (code, out, err)
        write(p, "apply")
        code, out, err = p.verb("apply", "--yes")
        assert code == 0 and subjects(p) == [1], (code, out, err)
        write(p, "never")
        p.start()
        p.wait_events("t", 1)
        p.sql("alter table t add note text; insert into t values (2, 'x')")
        got = {e["after"]["id"]: e["after"] for e in p.wait_events("t", 2)}
        assert got[2]["note"] == "x" and "note" not in got[1] and subjects(p) == [1, 2], got
        assert p.stop() == 0
        seen.append(True)
    p.close()
    failed += not seen


def it_is_down_while_a_table_changes(url):
    """H01 with the daemon: what is known goes on; what is new waits, over a restart too, and nothing is lost."""
    if "KAFKA_BOOTSTRAP" not in os.environ:
        print("(without Kafka: not asked what goes on without a registry)")
        return
    sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
    from harness import CONFIG, PG_SOURCE, Pipeline, case
    global failed
    host, port = url.split("/")[2].split(":")
    relay = Relay(host, int(port))
    through = url.replace("%s:%s" % (host, port), "127.0.0.1:%d" % relay.port)
    p = Pipeline("", target=False)
    done = []
    with case("registry.down_while_a_table_changes", p):
        p.sql("create table t (id int primary key); create table u (id int primary key); create publication pub for all tables;"
              "insert into t values (1); insert into u values (1)")
        log = "    log: {{publication: pub, slot: {slot}}}\n"
        p.write(PG_SOURCE.replace("    tables:", log + "    tables:") + "      public.t: {{}}\n      public.u: {{}}\n",
                CONFIG.replace("{registry}", through))
        p.start()
        p.wait_events("t", 1)
        p.wait_events("u", 1)
        relay.down()
        p.sql("insert into t values (2)")
        p.wait_events("t", 2)  # known: no registry is needed
        p.sql("alter table t add more int; insert into t values (3, 33)")
        p.says("registry.connect")
        p.sql("insert into u values (2)")
        p.kill()
        p.start()
        p.says("registry.connect")
        assert p.daemon.poll() is None and len(p.messages("t")) == 2, p.events("t")
        relay.up()
        got = {e["after"]["id"]: e["after"].get("more") for e in p.wait_events("t", 3)}
        assert got == {1: None, 2: None, 3: 33}, got
        p.wait_events("u", 2)
        assert p.stop() == 0
        ids = [[e["after"]["id"] for e in p.events(name)] for name in ("t", "u")]
        assert sorted(ids[0]) == [1, 2, 3] and sorted(ids[1]) == [1, 2], ids
        done.append(True)
    p.close()
    failed += not done


def known_ids_outlive_the_registry(url):
    """H01, through a relay that can be cut."""
    host, port = url.split("/")[2].split(":")
    relay = Relay(host, int(port))
    with tempfile.TemporaryDirectory() as d:
        flag = os.path.join(d, "cut")
        threading.Thread(target=relay.cut_when, args=(flag,), daemon=True).start()
        through = url.replace("%s:%s" % (host, port), "127.0.0.1:%d" % relay.port)
        wait = "touch %s; while [ ! -e %s.done ]; do sleep 0.05; done" % (flag, flag)
        code, out, err = probe(through, "cached", RUN + "-cached", V1, wait)
        ids = out.split()
        check("registry.known_ids_outlive_it", code == 0 and len(ids) == 2 and ids[0] == ids[1],
              (out, err))
        code, out, err = probe(through, "lookup", RUN + "-cached", V1)
        check("registry.the_cut_was_real", code == 3, (out, err))


class Relay:
    def __init__(self, host, port):
        self.target, self.cut = (host, port), False
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                a, _ = self.server.accept()
            except OSError:
                return
            b = socket.create_connection(self.target)
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.pump, args=(x, y), daemon=True).start()

    def pump(self, x, y):
        try:
            while (data := x.recv(65536)) and not self.cut:
                y.sendall(data)
        except OSError:
            pass
        for s in (x, y):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def down(self):
        self.cut = True
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()

    def up(self):
        self.cut = False
        self.server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.run, daemon=True).start()

    def cut_when(self, flag):
        while not os.path.exists(flag):
            time.sleep(0.02)
        self.down()
        open(flag + ".done", "w").close()


def main():
    if not os.path.exists(PROBE):
        print("skip registry: no %s" % PROBE)
        return 0
    directory = tempfile.mkdtemp()
    try:
        same_answers("file", "file:" + os.path.join(directory, "schemas"))
    finally:
        shutil.rmtree(directory)
    url = os.environ.get("REGISTRY_URL")
    if not url:
        print("skip registry.real: REGISTRY_URL is not set")
    else:
        same_answers("registry", url)
        with_a_real_registry(url)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
