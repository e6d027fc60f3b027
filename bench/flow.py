"""What the figures of all sources have in common: a daemon that catches up, one that takes a snapshot, what they are
compared with, and where the CPU time goes."""
import contextlib
import os
import re
import statistics
import subprocess
import time

from lib import BUILD, N, TICKS, bare, create_topic, say  # first: it says where harness is
from confluent_kafka import Consumer, TopicPartition  # noqa: E402
from harness import STACK  # noqa: E402

def tree_cpu(pid):
    """CPU seconds of a process, of its children, and of those that it has outlived."""
    total, children = 0.0, []
    with open(f"/proc/{pid}/stat") as f:
        total = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:15])) / TICKS
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            children = f.read().split()
    for child in children:
        with contextlib.suppress(OSError):  # it may have ended
            total += tree_cpu(child)
    return total


TITLES = {"pg": "PostgreSQL", "mariadb": "MariaDB", "mysql": "MySQL", "kafka": "Kafka"}


def pid_of(server):
    return int(subprocess.run([STACK, "pid", server], capture_output=True, text=True, check=True).stdout)


def server_cpu(database="pg"):
    """CPU seconds so far of the source's server and of Kafka."""
    return {name: tree_cpu(pid_of(name)) for name in (database, "kafka")}


def messages_of(topic):
    """How many messages a read_committed consumer gets, and how many of them are not tombstones."""
    c = Consumer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"], "group.id": "bench", "enable.auto.commit": False,
                  "isolation.level": "read_committed", "enable.partition.eof": True})
    left = {p for p in c.list_topics(topic, timeout=20).topics[topic].partitions}
    c.assign([TopicPartition(topic, p, 0) for p in left])
    total = events = 0
    deadline = time.time() + 60
    while left and time.time() < deadline:
        for m in c.consume(10000, 0.5):  # it waits for as many, or so long
            deadline = time.time() + 60
            if m.error():
                left.discard(m.partition())
            else:
                total += 1
                events += m.value() is not None
    c.close()
    if left:
        raise RuntimeError(f"{topic}: no end of partitions {sorted(left)}, and nothing more for a minute")
    return total, events


def check_topic(topic, rows):
    """As many events as changes were made; how many messages they are."""
    total, events = messages_of(topic)
    if events != rows:
        raise RuntimeError(f"{events} events are in {topic}, {rows} changes were made")
    return total


def stopped(daemons):
    """They have their position and wait, all at one place of the log."""
    for d in daemons:
        d.apply()
        d.start()
        d.logged("stream from")
        time.sleep(0.3)
        d.stop()
    return daemons


def spent(before, after):
    return {k: v - before.get(k, 0) for k, v in after.items()}


class Meter:
    """What a daemon and the servers spend from now on."""

    def __init__(self, d):
        self.d, self.cpu, self.threads, self.servers = d, d.cpu(), d.threads(), server_cpu(d.server)

    def read(self, seconds):
        """Of a run that took so long."""
        return {"seconds": seconds, "cpu_seconds": self.d.cpu() - self.cpu,
                "threads": spent(self.threads, self.d.threads()),
                "servers": spent(self.servers, server_cpu(self.d.server)), "memory": self.d.memory("VmHWM")}


def catch_up(d, rows, follows="stream from"):
    """Seconds and CPU from when it follows the log, or begins to poll (as its log says), to the last commit."""
    d.start()
    began = d.logged(follows)
    d.profile("catchup")
    meter = Meter(d)
    out = meter.read(d.wait_committed(rows) - began)
    d.stop()
    return out


def budget(r, about, runs, rows):
    """Where the CPU goes, and what it allows."""
    def per_row(get):
        return statistics.median(get(m) for m in runs) * 1e6 / rows
    total = per_row(lambda m: m["cpu_seconds"])
    names = sorted({n for m in runs for n in m["threads"]} - {"freshet"})
    parts = {n: per_row(lambda m: m["threads"].get(n, 0)) for n in names}
    parts["other threads"] = total - sum(parts.values())
    servers = {n: per_row(lambda m, n=n: m["servers"][n]) for n in runs[0]["servers"]}
    most = os.cpu_count() * 1e6 / (total + sum(servers.values()))
    rate = rows / statistics.median(m["seconds"] for m in runs)
    r.note(about, f"CPU per row: freshet {total:.2f} us ("
           + ", ".join(f"{n} {v:.2f}" for n, v in sorted(parts.items(), key=lambda x: -x[1]) if v >= 0.05)
           + "), " + ", ".join(f"{TITLES[n]} {v:.2f} us" for n, v in servers.items())
           + f". The {os.cpu_count()} cores can do {most:,.0f} rows/s of that; {rate:,.0f} were done.")


def snapshot_once(d, _):
    """Seconds and CPU of a snapshot of the one table, to its last commit."""
    d.apply()
    d.start()
    began = d.logged("snapshot: 1 tables")
    d.profile("snapshot")
    meter = Meter(d)
    out = meter.read(d.logged("snapshot: done") - began)
    d.logged("stream from")
    out["memory"] = d.memory("VmHWM")
    d.stop()
    return out


def first_poll(d, rows):
    """The same where the one table is polled."""
    d.apply()
    return catch_up(d, rows, "polls 1 table")


def count_messages(topic, rows):
    """Each row is one message."""
    if (got := messages_of(topic)[0]) != rows:
        raise RuntimeError(f"{got} messages are in {topic}, {rows} rows were read")


def with_server(server, name, f):
    """What a bare program did, and the CPU time that this server spent on it."""
    before = server_cpu(server)[name]
    out = f()
    out["server"] = server_cpu(server)[name] - before
    return out


def snapshots(make, read, topic_of, rows, done_with=lambda d: None, once=snapshot_once):
    """Ours, the bare reader and the bare producer of the same messages, N times in turns, and once before that to
    warm the servers up. once: what ours does."""
    out = []
    for i in range(N + 1):
        d = make()
        topic, other = topic_of(d), d.id + ".bare"
        mine = once(d, rows)
        if i == 0:
            count_messages(topic, rows)
        done_with(d)
        reader = with_server(d.server, d.server, read)
        create_topic(other)
        words = (os.environ["KAFKA_BOOTSTRAP"], topic, other, rows, 20000)
        producer = with_server(d.server, "kafka", lambda w=words: bare("bare_producer", *w))
        d.close()
        say(f"read {reader['seconds']:.2f} s, produce {producer['seconds']:.2f} s, freshet {mine['seconds']:.2f} s")
        if i > 0:
            out.append((mine, reader, producer))
    return out


def snapshot_figures(r, name, reader, runs, rows, of="", title="snapshot", goal=0.80):
    """name: what the figures' names begin with; reader: (name, words) of the bare one; goal: of the ratio."""
    def per_row(get):
        return [get(*run) * 1e6 / rows for run in runs]
    what, words = reader
    r.add(f"{name}_ratio", f"{of}{title} of {rows:,} rows against the slower of {words} and bare producer", "ratio",
          [max(c["seconds"], p["seconds"]) / m["seconds"] for m, c, p in runs], goal)
    r.add(f"{name}_rate", f"{of}{title} into Kafka, exactly once", "rows/s", [rows / m["seconds"] for m, _, _ in runs],
          digits=0)
    r.add(f"{what}_rate", f"{of}{words}", "rows/s", [rows / c["seconds"] for _, c, _ in runs], digits=0)
    r.add(f"{name}_producer_rate", f"{of}bare producer of the same messages, transactions of 20,000", "rows/s",
          [rows / p["seconds"] for _, _, p in runs], digits=0)
    r.add(f"{name}_cpu", f"{of}CPU per row of a {title}", "us", per_row(lambda m, c, p: m["cpu_seconds"]))
    r.add(f"{what}_cpu", f"{of}CPU per row of the {words}", "us", per_row(lambda m, c, p: c["cpu_seconds"]))
    r.add(f"{name}_producer_cpu", f"{of}CPU per message of the bare producer", "us",
          per_row(lambda m, c, p: p["cpu_seconds"]))
    r.add(f"{name}_memory", f"{of}most resident memory during a {title}", "MB", [m["memory"] for m, _, _ in runs],
          digits=1)
    budget(r, name, [m for m, _, _ in runs], rows)
    both = statistics.median(c["cpu_seconds"] + c["server"] + p["cpu_seconds"] + p["server"] for _, c, p in runs)
    slower = statistics.median(max(c["seconds"], p["seconds"]) for _, c, p in runs)
    ceiling = slower / (both / os.cpu_count())
    if ceiling < 1:  # else something else bound them: other programs on the machine, say
        r.note(name, f"The bare programs and their servers need {both * 1e6 / rows:.2f} us of CPU per row "
               f"together, of which {os.cpu_count()} cores do {os.cpu_count() * rows / both:,.0f} rows/s: reading and "
               f"publishing at once, with nothing in between, would reach {ceiling:.2f} of the slower one here.")


def latency_once(d, follows, program, server, table, topic, seconds, turn):
    """Percentiles from COMMIT to a consumer, of a daemon that is started for it (follows: what it says then) and
    stopped; its memory before, and how long its Kafka transactions took (ack: seconds, how many)."""
    d.start()
    d.logged(follows)
    time.sleep(4)
    idle, before = d.memory("VmRSS"), d.stage("ack")
    out = bare(program, server, table, os.environ["KAFKA_BOOTSTRAP"], topic, 200, seconds, 1000 + turn * 1000000)
    out["idle"], out["ack"] = idle, [b - a for a, b in zip(before, d.stage("ack"))]
    d.stop()
    return out


def bare_latency(d, turn, seconds):
    """What as many messages take without a database."""
    topic = f"{d.id}.bare{turn}"
    create_topic(topic, 4)
    return bare("bare_transactions", os.environ["KAFKA_BOOTSTRAP"], topic, 3, 200, seconds)


def said_of_commits(times):
    """The first sentence of a note on latency."""
    return ("A Kafka transaction took "
            f"{1e3 * statistics.median(t['ack'][0] / t['ack'][1] for t in times):.1f} ms on average from the end of its "
            "events to the broker's answer")


def sink_figures(r, name, rounds, program, *words, of=""):
    """One of the comparisons of sinks: its lines are sizes, rates (with CPU after a slash), and ours over the best."""
    p = subprocess.run([os.path.join(BUILD, program), *map(str, words)], capture_output=True, text=True, timeout=900)
    if p.returncode != 0:
        raise RuntimeError(f"{program}: {p.stderr.strip()}")
    lines = p.stdout.splitlines()
    titles = re.split(r" {2,}", lines[1].strip().removeprefix("batch").strip())
    titles = [t for t in titles if not t.startswith("freshet")] + ["freshet", "freshet guarded"]
    for line in lines[2:]:
        say(line)
        size, rest = line.split(None, 1)
        found = re.search(r"(\S+) \[(\S+)-(\S+)\] of ([^,]+)", rest)
        ratio, low, high = (float(found.group(i)) for i in (1, 2, 3))
        rates = [v.split("/") for v in re.findall(r"\d+(?:/ *[\d.]+)?", rest[:found.start()])]
        if len(rates) != len(titles):
            raise RuntimeError(f"{program}: {len(titles)} methods, but: {line}")
        r.add(f"{name}_ratio_{size}", f"{of}sink, {size} rows a transaction, against {found.group(4).strip()}", "ratio",
              [low, ratio, high], 0.85 if size == "4096" else None)
        r.figures[-1]["n"] = rounds
        r.note("sinkrates", f"{of}{int(size):,} rows a transaction: "
               + ", ".join(f"{n} {int(v[0]):,}" for n, v in zip(titles, rates) if int(v[0]) > 0) + " rows/s")
