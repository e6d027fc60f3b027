"""What the Kafka tests share: the probe (tests/tools/kafka_probe.c) as an object, independent readers
(confluent_kafka), and cases that print ok and not ok. Not a test itself."""
import os
import subprocess
import sys
import time

if os.environ.get("FRESHET_PYTHON") and os.path.realpath(sys.executable) != os.path.realpath(
        os.environ["FRESHET_PYTHON"]) and "FRESHET_PROBE_EXEC" not in os.environ:
    os.environ["FRESHET_PROBE_EXEC"] = "1"
    os.execv(os.environ["FRESHET_PYTHON"], [os.environ["FRESHET_PYTHON"]] + sys.argv)

from confluent_kafka import Consumer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
STACK = os.path.join(HERE, "..", "stack", "stack")
FRESHET = os.environ.get("FRESHET", os.path.join(HERE, "..", "..", "build", "dev", "freshet"))
PROBE = os.path.join(os.path.dirname(FRESHET), "kafka_probe")
RUN = "kt%d" % os.getpid()
failures = 0


class Wrong(Exception):
    pass


def expect(condition, *what):
    if not condition:
        raise Wrong(" ".join(str(w) for w in what))


class Probe:
    def __init__(self, brokers, pipeline=RUN, failpoint=None, **options):
        args = [PROBE, "--pipeline", pipeline]
        options["brokers"] = brokers
        for name, value in options.items():
            for v in value if isinstance(value, list) else [value]:
                args += ["--" + name.replace("_", "-"), str(v)]
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env=dict(os.environ, ASAN_OPTIONS="detect_leaks=1",
                                           FRESHET_FAILPOINT=failpoint or ""))

    def __call__(self, *words):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.p.stdin.flush()
        reply = self.p.stdout.readline().rstrip("\n")
        expect(reply, "the probe died at:", *words)
        return reply

    def ok(self, *words):
        reply = self(*words)
        expect(reply.startswith("ok"), *words, "->", reply)
        return reply[3:]

    def fails(self, kind, code, *words):
        reply = self(*words)
        expect("fail %s %s " % (kind, code) in reply, "expected", kind, code, "from", *words, "->", reply)
        return reply

    def end(self):
        """The probe must end well: the sanitizers speak through its exit code."""
        self.p.stdin.close()
        expect(self.p.wait(60) == 0, "the probe ended with", self.p.returncode)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.end()
        elif self.p.poll() is None:
            self.p.kill()
            self.p.wait()


class Cluster:
    """Kafka as somebody else's client sees it."""

    def __init__(self, brokers):
        self.brokers = brokers
        self.admin = AdminClient({"bootstrap.servers": brokers})

    def create(self, topic, partitions=1, **config):
        config = {k.replace("_", "."): v for k, v in config.items()}
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result()
        self.until(lambda: topic in self.admin.list_topics(timeout=10).topics, "topic " + topic)

    def delete(self, topic):
        self.admin.delete_topics([topic])[topic].result()
        self.until(lambda: topic not in self.admin.list_topics(timeout=10).topics, "no topic " + topic)

    def add_partitions(self, topic, count):
        self.admin.create_partitions([NewPartitions(topic, count)])[topic].result()
        self.until(lambda: len(self.admin.list_topics(topic, timeout=10).topics[topic].partitions) == count,
                   "partitions")

    @staticmethod
    def until(condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            expect(time.monotonic() < end, "never happened:", what)
            time.sleep(0.05)

    def consumer(self, isolation):
        return Consumer({"bootstrap.servers": self.brokers, "group.id": RUN + "-reader",
                         "isolation.level": isolation, "enable.auto.commit": False,
                         "enable.partition.eof": True, "auto.offset.reset": "earliest"})

    def read(self, topic, isolation="read_committed"):
        """Everything that is there now: [(partition, offset, key, value, headers)]."""
        partitions = sorted(self.admin.list_topics(topic, timeout=10).topics[topic].partitions)
        c = self.consumer(isolation)
        c.assign([TopicPartition(topic, p, 0) for p in partitions])
        out, ended, end = [], set(), time.monotonic() + 30
        while len(ended) < len(partitions):
            expect(time.monotonic() < end, "reading", topic, "never ends")
            m = c.poll(1)
            if m is None:
                continue
            if m.error():
                expect(m.error().code() == -191, m.error())
                ended.add(m.partition())
                continue
            out.append((m.partition(), m.offset(), m.key(), m.value(), m.headers()))
        c.close()
        return out

    def values(self, topic, isolation="read_committed"):
        return [m[3].decode() if m[3] is not None else None for m in self.read(topic, isolation)]

    def stable(self, topic):
        """The last stable offset of partition 0: up to where committed readers may read."""
        c = self.consumer("read_committed")
        low, high = c.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        c.close()
        return high


def case(name, function, *args):
    global failures
    start = time.monotonic()
    try:
        function(*args)
        print("ok kafka.%s" % name, flush=True)
        if os.environ.get("KAFKA_TEST_TIMES"):
            print("# %.1f s" % (time.monotonic() - start), flush=True)
    except Exception as e:  # noqa: BLE001: whatever it is, it is this case's failure
        failures += 1
        text = " ".join(("%s: %s" % (type(e).__name__, e)).split())
        print("not ok kafka.%s: %s" % (name, text), flush=True)


def finish():
    sys.exit(1 if failures else 0)
