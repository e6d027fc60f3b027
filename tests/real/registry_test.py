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

    def cut_when(self, flag):
        while not os.path.exists(flag):
            time.sleep(0.02)
        self.cut = True
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
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
