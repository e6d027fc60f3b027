#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet demo: nothing installed, no network; events of inserts, updates and deletes, and nothing left behind."""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FRESHET, case, eventually, finish, together  # noqa: E402


def alone(command):
    """In a network of its own that has nothing but the loopback device, where that can be had."""
    quoted = "ip link set lo up && exec " + " ".join(command)
    for how in (["unshare", "-n"], ["unshare", "-rn"]):
        if subprocess.run([*how, "sh", "-c", "ip link set lo up"], capture_output=True).returncode == 0:
            return [*how, "sh", "-c", quoted]
    return command


def run(dir, *words):
    return subprocess.run(alone([FRESHET, "demo", *words]), env=dict(os.environ, TMPDIR=dir), capture_output=True, text=True, timeout=120)


def text():
    with case("demo_text"):
        dir = tempfile.mkdtemp(prefix="fd-", dir="/tmp")
        p = run(dir, "--keep")
        assert p.returncode == 0, p.stdout + p.stderr
        out = p.stdout
        for said in ("at least once", "shop> INSERT INTO orders", "shop> UPDATE orders", "topic shop.main.orders[0]@0", '"customer":"edsger"',
                     '"status":"paid"', '"total":"7.25"', '"op":"d"', "freshet plan", "# Kept: "):
            assert said in out, f"{said!r} was not shown: {out[-1500:]}"
        kept = glob.glob(dir + "/freshet-demo-*")
        assert len(kept) == 1, kept
        with open(kept[0] + "/freshet.log") as f:
            log = f.read()
        assert "polls 1 table" in log and "level=error" not in log and "Sanitizer" not in log, log[-2000:]
        check = subprocess.run([FRESHET, "validate", kept[0] + "/freshet.yaml"], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout + check.stderr
        shutil.rmtree(dir)


def document():
    with case("demo_json"):
        dir = tempfile.mkdtemp(prefix="fd-", dir="/tmp")
        p = run(dir, "--json")
        assert p.returncode == 0, p.stdout + p.stderr
        d = json.loads(p.stdout)
        assert d["ok"] and d["result"]["folder"] is None and d["result"]["changes"] >= 5, d
        events = [e["value"] for e in d["result"]["events"]]
        rows = [(v["op"], (v["after"] or v["before"])["id"]) for v in events if v]
        assert ("d", 3) in rows and None in events, rows  # and its tombstone
        assert [r for r in rows if r == ("r", 2)] != [("r", 2)], f"no update of 2 in {rows}"
        assert d["result"].get("copied") == d["result"].get("orders"), d["result"]  # where there is a sink
        assert os.listdir(dir) == [], os.listdir(dir)
        os.rmdir(dir)


def interrupted():
    with case("demo_interrupted"):
        dir = tempfile.mkdtemp(prefix="fd-", dir="/tmp")
        out = open(dir + ".out", "w+")
        p = subprocess.Popen([FRESHET, "demo", "--seconds", "600"], env=dict(os.environ, TMPDIR=dir), stdout=out, stderr=out, start_new_session=True)
        eventually("the first event", lambda: "@0" in open(dir + ".out").read(), 40)
        os.killpg(p.pid, signal.SIGINT)  # as Ctrl-C does, to all of them
        assert p.wait(40) == 0, open(dir + ".out").read()
        assert os.listdir(dir) == [], os.listdir(dir)
        q = subprocess.Popen([FRESHET, "demo", "--seconds", "600"], env=dict(os.environ, TMPDIR=dir), stdout=out, stderr=out)
        eventually("its folder", lambda: glob.glob(dir + "/*/freshet.log"), 40)
        children = open(f"/proc/{q.pid}/task/{q.pid}/children").read().split()
        q.kill()
        q.wait()
        eventually("the daemon ends with it", lambda: not any(os.path.exists(f"/proc/{c}") for c in children), 40)
        assert children, "there was no daemon: this proves nothing"
        bad = subprocess.run([FRESHET, "demo", "--seconds", "1"], capture_output=True, text=True)
        assert bad.returncode == 2 and "--seconds" in bad.stderr, bad.stderr
        shutil.rmtree(dir)
        os.remove(dir + ".out")


if __name__ == "__main__":
    together([text, document, interrupted])
    finish()
