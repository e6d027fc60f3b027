#!/usr/bin/env python3
"""A server that lies: what a real one said is recorded, and played back with damage at its offsets, with wrong lengths,
missing ends, requests for files and for passwords in clear, packets without an end. Whatever it says, the source ends
with an error in time; it never crashes, and never makes rows of damaged events.

$HOSTILE_CASES: how many damaged sessions for each kind of server (default 600; 0: all of them).
$FRESHET_TEST_MYSQL: which kinds of servers are recorded (default "mariadb mysql")."""
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time

import mysql_source_case as case
from mysql_source_case import Db, Servers, expect

import fakemysql
import mysql
from fakemysql import LONGEST, Player, column, end, fine, framed, pour
from harness import together

PASSWORD = "freshet-secret"
PATIENCE = 60  # for what takes milliseconds
ENOUGH = 0.15  # of silence after a lie: whatever the client still waits for does not come


class Died(AssertionError):
    pass


class Client:
    """A probe that reads the session again and again."""

    def __init__(self, d, port, seconds=8, **more):
        options = dict(dsn=f"mysql://freshet@127.0.0.1:{port}/", again=True, commits=3, seconds=seconds)
        options.update(more)
        env = dict(os.environ, ASAN_OPTIONS="allocator_may_return_null=1:" + os.environ.get("ASAN_OPTIONS", ""))
        self.err = open(os.path.join(case.tempfile.mkdtemp(), "err"), "w+")
        self.p = subprocess.Popen(d.command("stream", **options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=self.err, text=True, errors="replace", env=env)
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.p.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def once(self, patience=PATIENCE):
        """(exit code, lines) of one session."""
        self.p.stdin.write("\n")
        self.p.stdin.flush()
        lines, deadline = [], time.time() + patience
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.time()))
            except queue.Empty:
                raise Died(f"still not ended after {patience} s") from None
            if line is None:
                self.p.wait()
                self.err.seek(0)
                raise Died(f"the client died with {self.p.returncode}: {self.err.read()[-3000:]}")
            line = json.loads(line)
            if "ended" in line:
                return line["ended"], lines
            lines.append(line)

    def close(self):
        self.p.kill()
        self.p.wait()
        self.err.close()


def rows(lines):
    return [x for x in lines if x.get("op")]


def recorded(d):
    """A session with three transactions; and what is true of it."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, name varchar(40), body longtext, at datetime, d decimal(20,4), e enum('a','b'))")
    d.start()
    d.sql("INSERT INTO t VALUES (1, 'one', REPEAT('x', 300), '2026-01-02 03:04:05', 12.5, 'a'), (2, 'two', NULL, NULL, -3, 'b')")
    d.sql("UPDATE t SET name = 'changed' WHERE id = 1")
    d.sql("DELETE FROM t WHERE id = 2")
    got = []

    def run(port):
        got.extend(d.probe("stream", commits=3, dsn=f"mysql://freshet@127.0.0.1:{port}/").fine().lines)
    host, port = d.env[d.server.upper() + "_HOST"], int(d.env[d.server.upper() + "_PORT"])
    return fakemysql.record((host, port), run), rows(got)


# --- damage ---------------------------------------------------------------------------------------

def flipped(offset, mask):
    def damage(packet):
        return packet[:offset] + bytes([packet[offset] ^ mask]) + packet[offset + 1:]
    return damage


def resized(change):
    """Another length, and all the same bytes."""
    return lambda packet: (change(len(packet) - 4) & LONGEST).to_bytes(3, "little") + packet[3:]


def cut_off(offset):
    return lambda packet: packet[:offset]


def instead(payload):
    """Another packet, well framed."""
    return lambda packet: framed(payload, packet[3])


WHOLE = [("empty", instead(b"")), ("one zero", instead(b"\0")), ("an end", instead(b"\xfe\0\0\2\0")),
         ("an error", instead(b"\xff\x28\x04#HY000no")), ("an error without a text", instead(b"\xff")),
         ("a file is asked for", instead(b"\xfb/etc/passwd")), ("many columns", instead(b"\xfe" + b"\xff" * 8)),
         ("text of 2^64 bytes", instead(b"\xfe" + b"\xff" * 7 + b"\x7f" + b"x")),
         ("longer by one", resized(lambda n: n + 1)), ("shorter by one", resized(lambda n: n - 1)),
         ("length 0", resized(lambda n: 0)), ("the longest", resized(lambda n: LONGEST)),
         ("twice", lambda packet: packet + packet), ("missing", lambda packet: b"")]


def begins_group(packet):
    """A server may leave out whole transactions, and what says that one begins: nothing tells."""
    return len(packet) > 9 and packet[4] == 0 and packet[9] in (33, 42)


def all_damages(session, seed):
    """(connection, turn, index, what, damage) for every packet, at every offset."""
    r = random.Random(seed)
    for c, turns in enumerate(session):
        for t, packets in enumerate(turns):
            for i, packet in enumerate(packets):
                for what, damage in WHOLE:
                    if what != "missing" or not begins_group(packet):
                        yield c, t, i, what, damage
                for offset in range(len(packet)):
                    mask = r.choice([0xff, 0x01, 0x80, r.randrange(1, 256)])
                    yield c, t, i, f"byte {offset} xor {mask:#x}", flipped(offset, mask)
                    if offset > 0:  # that is "missing"
                        yield c, t, i, f"cut off at {offset}", cut_off(offset)


def liar(c, t, i, damage):
    """Damages that packet; hangs up when the client does not know what to do with it either."""
    def lie(connection, turn, packets, s):
        if connection != c or turn < t:
            return packets
        s.settimeout(ENOUGH)
        if turn == t:
            return packets[:i] + [damage(packets[i])] + packets[i + 1:]
        return packets
    return lie


def check(code, lines, truth, of_events):
    """An error says what; of events that were damaged nothing was made."""
    told = [x for x in lines if "error" in x]
    if code != 0:
        assert told and told[-1]["text"], f"exit code {code} without a word: {lines[-2:]}"
    if of_events:
        got = rows(lines)
        assert got == truth[:len(got)], f"rows that are not true: {got[-1]}"
        assert code != 0 or got == truth, f"exit code 0 after {len(got)} of {len(truth)} lines"
    return code != 0


def damaged_sessions(d, session, truth):
    every = list(all_damages(session, 1))
    limit = int(os.environ.get("HOSTILE_CASES", "600")) or len(every)
    chosen = sorted(random.Random(2).sample(range(len(every)), min(limit, len(every))))
    failed, noticed, begun = [], 0, time.time()
    with Player(session) as server:
        client = Client(d, server.port)
        code, lines = client.once()
        expect((code, rows(lines)), (0, truth), "the session, played back as it was")
        for n in chosen:
            c, t, i, what, damage = every[n]
            of_events = c == len(session) - 1 and t == len(session[c]) - 1
            server.start(liar(c, t, i, damage))
            try:
                noticed += check(*client.once(), truth, of_events)
            except AssertionError as e:
                failed.append(f"connection {c}, turn {t}, packet {i}, {what}: {e}")
                if isinstance(e, Died):
                    client.close()
                    client = Client(d, server.port)
                if len(failed) > 20:
                    break
        client.close()
    print(f"  {d.server}: {len(chosen)} of {len(every)} damaged sessions, {noticed} noticed, {time.time() - begun:.0f} s")
    assert not failed, "\n".join([f"{len(failed)} of {len(chosen)}:"] + failed[:10])
    assert noticed > len(chosen) // 2, f"only {noticed} of {len(chosen)} were noticed"


# --- lies ------------------------------------------------------------------------------------------

SQL, LOG = 0, -1  # connections of a session: what is asked first, the log
TEXT = b"x" * (1 << 20)


def at(session, connection, turn, say):
    """say(packets, socket) at that turn; then the line is hung up."""
    connection %= len(session)
    turn %= len(session[connection])

    def lie(c, t, packets, s):
        if (c, t) != (connection, turn):
            return packets
        pour(s, say(packets, s))
        return None
    return lie


def first_query(session):
    """The first answer after the login: a greeting, the login's own turns, and then what is asked."""
    turns = session[SQL]
    login = next(t for t, packets in enumerate(turns) if t > 0 and packets and packets[-1][4] == 0)
    return login + 1


def endless_rows(packets, s):
    yield framed(b"\x01", 1) + column(2) + end(3)
    row = b"\xfd" + len(TEXT).to_bytes(3, "little") + TEXT
    number = 4
    while True:
        yield framed(row, number)
        number += 1


def endless_columns(packets, s):
    yield framed(b"\xfe" + b"\xff" * 8, 1)
    number = 2
    while True:
        yield b"".join(column(number + i) for i in range(4096))
        number += 4096


def endless_results(packets, s):
    while True:
        yield b"".join(fine(1, more=True) for _ in range(64))


def endless_packet(packets, s):
    number = packets[0][3] if packets else 1
    whole = b"\0" * LONGEST
    while True:
        yield framed(whole, number)
        number += 1


def greeting_that_asks(plugin):
    """The greeting names the way to log in last, with a NUL."""
    def say(packets, s):
        body = packets[0][4:]
        old = body.rstrip(b"\0").rsplit(b"\0", 1)[-1]
        yield framed(body[:len(body.rstrip(b"\0")) - len(old)] + plugin + b"\0", 0)
        time.sleep(1)  # whatever the client says to it is heard by nobody but the test
        s.settimeout(5)
        say.heard = s.recv(65536)
        yield framed(b"\xfe" + plugin + b"\0", say.heard[3] + 1 if say.heard else 2)
        say.heard += s.recv(65536)
    say.heard = b""
    return say


def asks_for(plugin, more=b""):
    """Another way to log in is asked for, after the client's own."""
    def say(packets, s):
        yield framed(b"\xfe" + plugin + b"\0" + more, 2)
        s.settimeout(5)
        say.heard = s.recv(65536)
    say.heard = b""
    return say


def lied(d, session, connection, turn, say, patience=PATIENCE, **options):
    """What a client says to that lie: (exit code, lines)."""
    with Player(session) as server:
        client = Client(d, server.port, **options)
        try:
            server.start(at(session, connection, turn, say))
            return client.once(patience), server
        finally:
            client.close()


def refused(d, session, connection, turn, say, *texts, **options):
    (code, lines), server = lied(d, session, connection, turn, say, **options)
    told = [x for x in lines if "error" in x]
    assert code != 0 and told and told[-1]["text"], f"exit code {code}: {lines[-1:]}"
    assert not rows(lines), rows(lines)[-1:]
    for text in texts:
        assert text in told[-1]["text"], f"{text!r} is not in {told[-1]}"
    return told[-1], server


def asks_for_files(d, session, truth):
    """LOCAL INFILE, in answer to whatever is asked."""
    for turn in range(first_query(session), len(session[SQL]) - 1):
        file = lambda packets, s: [framed(b"\xfb/etc/passwd", 1)]
        e, server = refused(d, session, SQL, turn, file)
        assert b"root:" not in server.heard, "a file of ours was sent"


def asks_for_passwords(d, session, truth):
    """In clear, on a line without TLS: by the greeting, and after it."""
    for plugin in (b"mysql_clear_password", b"dialog"):
        for say, turn in ((greeting_that_asks(plugin), 0), (asks_for(plugin, b"\x04Password: "), 1)):
            e, server = refused(d, session, SQL, turn, say)
            assert PASSWORD.encode() not in say.heard + server.heard, f"{plugin}: the password was sent in clear"
            expect(e["code"], "my.auth_plugin", plugin)


def endless(d, session, truth):
    """Rows, columns, results, a packet without an end."""
    query = first_query(session)
    refused(d, session, SQL, query + 2, endless_rows)
    refused(d, session, SQL, query + 2, endless_columns)
    refused(d, session, SQL, query, endless_results)
    refused(d, session, LOG, -1, endless_packet)
    refused(d, session, SQL, 0, endless_packet)


def hangs(d, session, truth):
    """Says nothing more, and hangs up never: before the login, in it, in the middle of an event."""

    def nothing(packets, s):
        s.settimeout(PATIENCE)
        s.recv(1)
        return iter(())

    def half(packets, s):
        yield packets[0][:len(packets[0]) // 2]
        s.recv(1)
    jobs = []
    for connection, turn, say, most in ((SQL, 0, nothing, 20), (SQL, 1, nothing, 20), (LOG, 0, nothing, 20), (LOG, -1, half, 45)):
        def job(connection=connection, turn=turn, say=say, most=most):
            begun = time.time()
            refused(d, session, connection, turn, say)
            jobs_took.append((time.time() - begun, most))
        jobs.append(job)
    jobs_took = []
    together(jobs, 4)
    for took, most in jobs_took:
        assert took < most, f"ended after {took:.0f} s, not within {most} s"


TESTS = [damaged_sessions, asks_for_files, asks_for_passwords]
ONCE = [endless, hangs]  # the same for both kinds: with the last one


def run_one(server, test, session):
    name = "mysql_hostile.%s.%s" % (server, test.__name__)
    try:
        test(*session)
        print("ok " + name, flush=True)
        return True
    except Exception as e:
        print("not ok %s: %s" % (name, str(e)[:3000] or type(e).__name__), flush=True)
        if not isinstance(e, AssertionError):
            case.traceback.print_exc(file=sys.stdout)
        return False


def run_all(server, tests, fine):
    """A server of our own: nobody else writes into the log that is recorded."""
    servers = Servers(server)
    try:
        d = Db("hostile", server, servers.env)
        session = (d, *recorded(d))
    finally:
        servers.close()
    for test in tests:
        if not sys.argv[1:] or test.__name__ in sys.argv[1:]:
            fine.append(run_one(server, test, session))


def main():
    wanted, fine = [], []
    for server in os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split():
        there, why = mysql.add_server(server)
        if there:
            wanted.append(server)
        else:
            print("skip mysql_hostile.%s: %s" % (server, why), flush=True)
    jobs = [lambda s=s: run_all(s, TESTS + ONCE if s == wanted[-1] else TESTS, fine) for s in wanted]
    together(jobs, 2)
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
