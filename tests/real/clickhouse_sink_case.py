"""What the tests of clickhouse-sink share: a real server (CLICKHOUSE_DSN), driven through sink_probe and read back
by HTTP (FORMAT JSONCompactEachRow) by Python alone. The vocabulary is that of mysql_sink_case.

Every test has a database of its own. Offsets are those of the events: c.apply counts on, c.commit() commits all
that was applied."""
import os
import socket
import subprocess  # noqa: F401: the tests'
import sys
import threading
import urllib.parse

import mysql_sink_case as base
from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests
from clickhouse import STACK, Error, add_server, ask, rows  # noqa: F401: of tests/lib

class Case(base.Case):
    def __init__(self, name, failpoint=None):
        self.name, self.url = name + "_%d" % os.getpid(), os.environ["CLICKHOUSE_URL"]
        u = urllib.parse.urlsplit(self.url)
        self.host, self.port = u.hostname, u.port
        ask(self.url, "CREATE DATABASE `%s`" % self.name)
        self.probes, self.next = [], {}
        self.probe = self.new_probe(failpoint)

    def q(self, sql, **settings):
        """Rows of a SELECT; None of others."""
        return rows(self.url, sql, database=self.name, **settings)

    def there(self, table):
        return bool(self.q("SELECT 1 FROM system.tables WHERE database = '%s' AND name = '%s'" % (self.name, table)))

    def dsn(self, port=None, user="default", scheme="clickhouse", more=""):
        return "%s://%s@%s:%d/%s%s" % (scheme, user, self.host, port or self.port, self.name, more)

    def open(self, sink="a", probe=None, dsn=None, **settings):
        settings.setdefault("pipeline", self.name)
        return ok((probe or self.probe)("open", **{"as": sink}, type="clickhouse", dsn=dsn or self.dsn(), **settings))

    def refused(self, kind, code, **settings):
        settings.setdefault("dsn", self.dsn())
        return fails(self.probe("open", **{"as": "refused"}, type="clickhouse", **settings), kind, code)["error"]

    def apply(self, events, sink="a", probe=None, partition=0, offset=None, **k):
        """offset None: behind the last; of each probe's own."""
        p = probe or self.probe
        key = (p, sink, partition)
        r = p("apply", sink=sink, events=events, offset=self.next.get(key, 0) if offset is None else offset,
              partition=partition, **k)
        if r["ok"]:
            self.next[key] = r["next"]
        return r

    def commit(self, sink="a", probe=None, to=None):
        """All that was applied, or partition 0 up to an offset."""
        p = probe or self.probe
        offsets = [["topic", k[2], n] for k, n in self.next.items() if k[:2] == (p, sink)]
        return p("commit", sink=sink, offsets=[["topic", 0, to]] if to is not None else offsets)

    def claim(self, sink="a", parts=(("topic", 0),), probe=None):
        p = probe or self.probe
        got = base.Case.claim(self, sink, parts, p)
        for (topic, partition), n in zip(parts, got):
            if topic == "topic":
                self.next[(p, sink, partition)] = max(n, 0)
        return got

    def plan(self, table="t", sink="a", **k):
        return ok(self.probe("prepare", sink=sink, table=table, create=True, plan_only=True, **k))["findings"]

    def state(self, partition=0, what="state"):
        rows = self.q("SELECT next_offset, pending FROM _freshet_offsets FINAL WHERE partition = %d AND what = '%s'"
                      % (partition, what))
        return rows[0] if rows else None

    def drop(self):
        ask(self.url, "DROP DATABASE IF EXISTS `%s`" % self.name)

    def end(self):
        codes = [p.close() for p in self.probes]
        bad = [c for p, c in zip(self.probes, codes) if c != 0 and not p.dead]
        self.drop()
        assert not bad, "probe ended with %s" % bad


def severities(found):
    return [(SEVERITY[f["severity"]], f["code"]) for f in found]


class Proxy:
    """Between the sink and the server, a request at a time: handle(request's bytes) says what becomes of it. None:
    it goes through; "cut before": it does not arrive; "cut after": it arrives and its reply is lost; bytes: this is
    the reply, and the server is not asked."""

    def __init__(self, port, handle=lambda request: None, tls=None):
        self.target, self.handle, self.tls = port, handle, tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    @staticmethod
    def message(s):
        """A whole request or reply, with its body; empty: the other side is gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = s.recv(65536)
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(l.lower().split(b": ", 1) for l in head.split(b"\r\n")[1:] if b": " in l)
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            while not body.endswith(b"0\r\n\r\n"):
                body += s.recv(65536)
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += s.recv(1 << 20)
        return head + b"\r\n\r\n" + body

    def serve(self, s):
        try:
            with self.tls.wrap_socket(s, server_side=True) if self.tls else s as s:
                while True:
                    request = self.message(s)
                    if not request:
                        return
                    what = self.handle(request)
                    if what == "cut before":
                        return
                    if isinstance(what, bytes):
                        s.sendall(what)
                        return
                    with socket.create_connection(("127.0.0.1", self.target)) as t:
                        t.sendall(request)
                        reply = self.message(t)
                    if what == "cut after":
                        return
                    s.sendall(reply)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def main(suite):
    if not os.access(PROBE, os.X_OK):
        print("not ok %s: %s is not built" % (suite, PROBE))
        return 1
    there, why = add_server()
    if not there:
        print("skip %s: %s" % (suite, why))
        return 0
    chosen = [f for f in TESTS if not sys.argv[1:] or f.__name__ in sys.argv[1:]]
    jobs = [lambda f=f: line_of("%s.%s" % (suite, f.__name__), f, Case(f.__name__)) for f in chosen]
    return 0 if side_by_side(jobs, 1) else 1
