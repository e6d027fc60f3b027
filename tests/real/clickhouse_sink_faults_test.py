#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
# alone: it kills and freezes ClickHouse, which other scripts use
"""clickhouse-sink: who logs in, what servers and proxies answer, overload, dead letters, much at once."""
import resource
import shutil
import signal
import ssl

from clickhouse_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


def reply(status, body=b"", *headers):
    lines = ["HTTP/1.1 %s" % status, "Content-Length: %d" % len(body)] + list(headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


NAME = "X-ClickHouse-Server-Display-Name: it"


# ---- who logs in ----

@test
def passwords(c):
    user, password = os.environ["CLICKHOUSE_USER"], os.environ["CLICKHOUSE_PASSWORD"]
    c.open(dsn=c.dsn(user=user), password=password)
    c.claim()
    for given in ("wrong", None):
        e = c.refused("AUTH", "ch.auth", dsn=c.dsn(user=user), password=given)
        assert "wrong" not in e["text"].replace("wrong password", ""), e
    c.refused("AUTH", "ch.auth", dsn=c.dsn(user="nobody"), password=password)
    e = c.refused("CONFIG", "ch.database", dsn=c.dsn().replace(c.name, "no_such_database"))
    assert "no_such_database" in e["text"], e
    found = ok(c.probe("check", type="clickhouse", dsn=c.dsn(user=user), password="wrong"))["findings"]
    same(severities(found), [("blocker", "sink.connect")])
    c.refused("CONFIG", "ch.dsn", dsn=c.dsn(user=user), password="a\r\nX-ClickHouse-User: default")


@test
def a_user_who_may_not_write(c):
    c.open()
    c.claim()
    c.table([ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit())
    c.open("reader", dsn=c.dsn(user="reader"), password=os.environ["CLICKHOUSE_PASSWORD"])
    e = fails(c.probe("claim", sink="reader", offsets=[["topic", 0]]), "AUTH", "sink.grants")["error"]
    assert "INSERT" in e["text"] and "_freshet_offsets" in e["text"], e


@test
def dsns(c):
    for bad in ("", "http://host/db", "clickhouse://", "clickhouse://h:99999/d", "clickhouse://h/d?x=1", "clickhouse://h/d?tls=maybe", "clickhouse://h/a/b",
                "clickhouses://h/d?tls=off", "clickhouse://h/d?cert=x", "clickhouse://h/d?tls", "clickhouse://h/d?connect_timeout=0"):
        e = c.refused("CONFIG", "ch.dsn", dsn=bad)
        assert "clickhouse://user@host" in e["hint"], e
    for bad in ("clickhouse://u:secret@h/d", "clickhouse://u@h/d?password=secret"):
        e = c.refused("CONFIG", "ch.dsn_password", dsn=bad)
        assert "secret" not in e["text"] + e["hint"], e
    e = c.refused("CONFIG", "ch.tls", dsn="clickhouse://example.invalid/d?tls=off")
    assert "plain text" in e["text"], e
    c.refused("CONFIG", "ch.tls", dsn="clickhouse://127.0.0.1.example.invalid/d?tls=require")
    c.refused("CONFIG", "sink.config", dsn=c.dsn(), write_mode=2)


@test
def tls(c):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certs = os.path.dirname(os.environ["TLS_CA"])
    context.load_cert_chain(certs + "/server.pem", certs + "/server.key")
    proxy = Proxy(c.port, tls=context)
    ca = "?ca=" + os.environ["TLS_CA"]
    c.table([ID, col("v")])
    for scheme, more in (("clickhouses", ca), ("clickhouse", ca), ("clickhouse", "?tls=require"), ("clickhouse", "?tls=verify&ca=" + os.environ["TLS_CA"])):
        c.open(scheme + more, dsn=c.dsn(proxy.port, scheme=scheme, more=more))
        c.claim(scheme + more)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]], scheme + more))
    ok(c.commit(scheme + more))
    same(c.q("SELECT id, v FROM t FINAL"), [(1, "a")])
    for more in ("", "?ca=" + os.environ["TLS_WRONG_CA"], "?ca=/no/such/file"):
        e = c.refused("CONFIG", "ch.tls", dsn=c.dsn(proxy.port, scheme="clickhouses", more=more))
        assert "certificate" in e["hint"], e
    wrong = c.dsn(proxy.port, scheme="clickhouses", more=ca).replace("127.0.0.1", "127.0.0.2")
    c.refused("CONNECT", "ch.connect", dsn=wrong)  # nobody is there
    c.refused("CONNECT", "ch.connect", dsn=c.dsn(proxy.port))  # plain text where TLS is spoken
    c.refused("CONNECT", "ch.connect", dsn=c.dsn(scheme="clickhouses", more=ca))  # and the other way round
    proxy.close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs + "/server.pem", certs + "/server.key")
    context.load_verify_locations(os.environ["TLS_CA"])
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2
    proxy = Proxy(c.port, tls=context)
    c.open("mutual", dsn=c.dsn(proxy.port, scheme="clickhouses", more=ca + "&cert=%s&key=%s" % (os.environ["TLS_CERT"], os.environ["TLS_KEY"])))
    r = c.probe("open", **{"as": "refused"}, type="clickhouse", dsn=c.dsn(proxy.port, scheme="clickhouses", more=ca))
    same(r["ok"], False)
    proxy.close()


# ---- what is answered ----

@test
def replies_that_are_not_believed(c):
    """A status of 200 is not enough, and no row is stored on a stranger's word."""
    started(c)
    ok(c.apply([["c", "t", {"id": 0, "v": "a"}]]))
    ok(c.commit())
    answers = {
        "welcome page": (reply("200 OK", b"<html>welcome"), "CONNECT", "ch.reply"),
        "gateway": (reply("502 Bad Gateway", b"x", NAME), "CONNECT", "ch.reply"),
        "elsewhere": (reply("302 Found", b"", "Location: http://127.0.0.1:1/", NAME), "CONNECT", "ch.reply"),
        "forbidden": (reply("403 Forbidden", b"no"), "AUTH", "ch.reply"),
        "exception in a good header": (reply("200 OK", b"Code: 241. DB::Exception: m (MEMORY_LIMIT_EXCEEDED)", "X-ClickHouse-Exception-Code: 241"), "BUSY", "ch.busy"),
        "exception at the end": (reply("200 OK", b"{}\r\n__exception__\r\nabcdefgh\r\nCode: 1", NAME, "X-ClickHouse-Exception-Tag: abcdefgh"), "CONNECT", "ch.reply"),
        "cut body": (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n" + NAME.encode() + b"\r\nConnection: close\r\n\r\n{", "CONNECT", "ch.connect"),
        "no http": (b"\x15\x03\x01\x00\x02\x02\x28", "CONNECT", "ch.connect"),
        "not what was asked": (reply("200 OK", b'{"data":[[1]]}', NAME), "CONNECT", ""),
        "no json": (reply("200 OK", b'{"data":', NAME), "CONNECT", ""),
    }
    for n, (what, (bytes_, kind, code)) in enumerate(answers.items()):
        lie = [False]
        proxy = Proxy(c.port, lambda request: bytes_ if lie[0] else None)
        sink = "s%d" % n
        c.open(sink, dsn=c.dsn(proxy.port))
        same(c.claim(sink), [n + 1])
        ok(c.apply([["c", "t", {"id": n + 1, "v": "x"}]], sink))
        lie[0] = True
        r = fails(c.commit(sink), kind)
        same((what, r["error"]["code"]), (what, code))
        lie[0] = False
        again = sink + " again"
        c.open(again, dsn=c.dsn(proxy.port))
        same(c.claim(again), [n + 1])
        ok(c.apply([["c", "t", {"id": n + 1, "v": "x"}]], again))
        ok(c.commit(again))
        proxy.close()
    same(c.q("SELECT count(), uniqExact(id) FROM t FINAL"), [(len(answers) + 1,) * 2])


@test
def too_many_parts(c):
    """Code 252 is overload, which passes: what was under way is inserted then."""
    started(c, write_mode=1)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit())
    c.q("SYSTEM STOP MERGES t")
    c.q("ALTER TABLE t MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 0, max_avg_part_size_for_too_many_parts = 0")
    at, r = 1, None
    for _ in range(10):
        ok(c.apply([["c", "t", {"id": at + 1, "v": "a"}]]))
        r = c.commit()
        if not r["ok"]:
            break
        at += 1
    e = fails(r, "BUSY", "ch.parts")["error"]
    assert "write.every" in e["hint"] and "TOO_MANY_PARTS" in e["text"], e
    c.q("ALTER TABLE t MODIFY SETTING parts_to_throw_insert = 3000")
    c.q("SYSTEM START MERGES t")
    ok(c.probe("close", sink="a"))
    c.open(write_mode=1)
    same(c.claim(), [at])
    ok(c.apply([["c", "t", {"id": at + 1, "v": "a"}]]))
    ok(c.commit())
    same(c.q("SELECT count(), uniqExact(id) FROM t"), [(at + 1, at + 1)])


@test
def a_server_that_dies_and_one_that_hangs(c):
    def stack(*words):
        subprocess.run([STACK, *words], check=True, stdout=subprocess.DEVNULL)
    started(c, write_mode=1)
    rows = [["c", "t", {"id": i, "v": "x"}] for i in range(60)]
    at = 0
    for round in range(3):
        ok(c.apply(rows[at:at + 20], offset=at))
        if round == 0:
            stack("kill", "clickhouse", "-9")
            fails(c.commit(), "CONNECT", "ch.connect")
            same(c.probe("status", sink="a")["connected"], False)
            stack("start", "clickhouse")
        elif round == 1:
            stack("freeze", "clickhouse")
            c.probe("interrupt_in", sink="a", ms=300)
            fails(c.commit(), "CANCELLED")
            stack("cont", "clickhouse")
        else:
            ok(c.commit())
        ok(c.probe("close", sink="a"))
        c.open(write_mode=1)
        n = max(c.claim()[0], 0)
        if n < at + 20:
            ok(c.apply(rows[n:at + 20], offset=n))
            ok(c.commit())
        at += 20
    same(c.q("SELECT count(), uniqExact(id) FROM t"), [(60, 60)])


def killed_between_token_and_rows(c, table, failpoint=None, **settings):
    """The server writes a block's token, then its rows: it is killed in between, and the range is replayed. What is
    there then."""
    pid = int(subprocess.run([STACK, "pid", "clickhouse"], check=True, stdout=subprocess.PIPE, text=True).stdout)
    sink = "sink of " + table
    p = c.new_probe("ch_before_rows:stop:2")
    c.open(sink, probe=p, name=sink, **settings)
    c.table([ID, col("v"), col("f", "FLOAT64")], table, as_="t", probe=p)
    c.claim(sink, probe=p)
    ok(c.apply([["c", "t", {"id": 0, "v": "first", "f": 1}]], sink, p))
    ok(c.commit(sink, p))
    c.q("SYSTEM STOP MERGES")
    rows_ = [["c", "t", {"id": i, "v": None if i % 3 else "x'\\\t", "f": "nan" if i % 2 else 0.1}] for i in range(1, 30)]
    ok(c.apply(rows_, sink, p))
    p.send("commit", sink=sink, offsets=[["topic", 0, 30]])
    wait_for(lambda: open("/proc/%d/stat" % p.p.pid).read().rpartition(")")[2].split()[0] == "T")
    # The next part that is renamed to its final name is that of the rows.
    tracer = subprocess.Popen(["strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e", "trace=rename", "-e",
                               "inject=rename:error=EIO:signal=KILL:when=1"], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in tracer.stderr.readline()
        p.p.send_signal(signal.SIGCONT)
        fails(p.answer(), "CONNECT")
    finally:
        tracer.kill()  # it may wait for the one that it killed
        tracer.wait(60)
    subprocess.run([STACK, "kill", "clickhouse", "-9"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([STACK, "start", "clickhouse"], check=True, stdout=subprocess.DEVNULL)
    same(c.q("SELECT count() FROM %s" % table), [(1,)])
    q = c.new_probe(failpoint)
    c.open(sink, probe=q, name=sink, **settings)
    c.table([ID, col("v"), col("f", "FLOAT64")], table, as_="t", probe=q)
    same(c.claim(sink, probe=q), [1])
    ok(c.apply(rows_, sink, q))
    ok(c.commit(sink, q))
    return c.q("SELECT count(), uniqExact(id), countIf(isNaN(f)), countIf(v IS NULL) FROM %s FINAL" % table)[0] if not settings.get(
        "write_mode") else c.q("SELECT count(), uniqExact(id), countIf(isNaN(f)), countIf(v IS NULL) FROM %s" % table)[0]


@test
def a_token_whose_rows_are_lost(c):
    """Success is no proof where the server may have been killed between a token and its rows."""
    if not shutil.which("strace"):
        raise Skip("no strace")
    same(killed_between_token_and_rows(c, "now"), (30, 30, 15, 20))
    same(killed_between_token_and_rows(c, "every", write_mode=1), (30, 30, 15, 20))
    same(killed_between_token_and_rows(c, "control", "ch_no_proof:off:*", write_mode=1)[0], 1)  # what it would be without


def replayed(c, name, columns, rows_):
    """The rows are inserted, the commit ends there, and they come again."""
    p = c.new_probe("ch_after_rows:kill:1")
    p.dead = True
    c.open(name, probe=p, write_mode=1, name=name)
    c.table(columns, name, as_="t", probe=p)
    c.claim(name, probe=p)
    ok(c.apply(rows_, name, p))
    try:
        c.commit(name, p)
    except EOFError:
        pass
    same(c.q("SELECT count() FROM " + name), [(len(rows_),)])
    again = name + " again"
    c.open(again, write_mode=1, name=name)
    c.table(columns, name, as_="t")
    same(c.claim(again), [0])
    ok(c.apply(rows_, again))
    ok(c.commit(again))
    same(c.q("SELECT count(), uniqExact(id) FROM " + name), [(len(rows_), len(rows_))])


@test
def a_block_that_is_there_is_not_inserted_again(c):
    """Rows of every kind of value are found: NULL, NaN, hostile texts, large ones; few and many."""
    c.open(write_mode=1)
    c.claim()
    columns = [ID, col("v"), col("f", "FLOAT64"), col("d", "DECIMAL", precision=40, scale=3), col("at", "TIMESTAMP"), col("b", "BYTES"), col("u", "UUID")]
    replayed(c, "kinds", columns, [
        ["c", "t", {"id": i, "v": [None, "a'\\\"\n\t", "x" * 400000][i % 3], "f": ["nan", "inf", -0.0][i % 3], "d": "-1.500", "at": i,
                    "b": "00ff", "u": "0123abcd-0000-4000-8000-00000000ffff"}] for i in range(12)])
    replayed(c, "many", [ID, col("v")], [["c", "t", {"id": i, "v": "%d" % (i % 10) * 200}] for i in range(1000)])
    replayed(c, "sizes", [ID, col("v")], [["c", "t", {"id": i, "v": "x" * n}] for i, n in enumerate(
        [59000, 1, 61000, 65000, 66000, 130000, 10, 290000, 299990, 306000, 310000, 20, 45000, 45000, 45000])])


# ---- dead letters, and much at once ----

@test
def parked_keys(c):
    """R36: stored with the commit, beside the offsets."""
    started(c)
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], [])
    ok(c.probe("park", sink="a", topic="topic", key="k1"))
    ok(c.probe("rollback", sink="a"))
    for key in ("k2", "k1'\\\t\n", "k2", "", "x" * 5000):
        ok(c.probe("park", sink="a", topic="topic", key=key))
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], [])
    ok(c.probe("commit", sink="a", offsets=[["topic", 0, 3]]))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), sorted(["", "k1'\\\t\n", "k2", "x" * 5000]))
    same(ok(c.probe("parked", sink="a", topic="other"))["keys"], [])


@test
def thousands_of_rows(c):
    started(c, [ID, col("v"), col("w", "INT64")])
    n = 60000
    ok(c.apply([["c", "t", {"id": i, "v": "row %d" % i, "w": i}] for i in range(n)]))
    ok(c.commit())
    same(c.q("SELECT count() FROM system.parts WHERE database = '%s' AND table = 't'" % c.name), [(1,)])  # one block
    ok(c.apply([["u", "t", {"id": i, "v": "new %d" % i, "w": -i}] for i in range(0, n, 2)] + [["d", "t", {"id": i}] for i in range(1, n, 4)]))
    ok(c.commit())
    same(c.q("SELECT count(), sum(w), sum(v LIKE 'new%') FROM t FINAL"), [(n * 3 // 4, sum(-i for i in range(0, n, 2)) + sum(range(3, n, 4)), n // 2)])
    ok(c.apply([["u", "t", {"id": i, "v": "x" * 3000000, "w": 0}] for i in range(0, 6, 2)]))
    ok(c.commit())
    same(c.q("SELECT count() FROM t FINAL WHERE length(v) = 3000000"), [(3,)])


@test
def memory_is_given_back(c):
    """What a commit took is free once it is done."""
    def kept():
        with open("/proc/%d/statm" % c.probe.p.pid) as f:
            return int(f.read().split()[1]) * resource.getpagesize()
    started(c, write_mode=1)
    sizes = []
    for _ in range(14):
        ok(c.apply([["c", "t", {"id": i, "v": "x" * 2000}] for i in range(5000)]))
        ok(c.commit())
        sizes.append(kept())
    assert sizes[-1] < sizes[6] * 1.2, sizes


if __name__ == "__main__":
    sys.exit(main("clickhouse_sink_faults"))
