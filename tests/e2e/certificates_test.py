#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Certificates that are replaced while the daemon runs: authority, server and client all at once, for Kafka and
for PostgreSQL. What is on disk when a connection is made anew is what counts. On servers of its own, since they
are restarted."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import psycopg2
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import STACK, Pipeline, case, eventually, finish  # noqa: E402

BASE = """
version: 1
name: {id}
kafka:
  brokers: ["%s"]
  topics: {{create: run, partitions: 1}}
  properties:
    transaction.timeout.ms: 10000
    security.protocol: ssl
    ssl.ca.location: {dir}/tls/ca.pem
    ssl.certificate.location: {dir}/tls/client.pem
    ssl.key.location: {dir}/tls/client.key
registry: {{url: ["{registry}"], register: run}}
http: {{listen: none, socket: {dir}/freshet.sock}}
daemon: {{cache_dir: {dir}/cache}}
"""
SOURCE = """
sources:
  src:
    type: postgres
    dsn: "{source}?sslmode=verify-full&sslrootcert={dir}/tls/ca.pem"
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{}}}}
"""
# A new authority, what it signs for 127.0.0.1, and a client of that name.
MAKE = """
cd "$1"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1.key"; }
signed() {
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    printf '%s\\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem"
}
key ca; openssl req -x509 -new -key ca.key -days 30 -subj "/CN=next" -out ca.pem
signed server localhost 'subjectAltName=DNS:localhost,IP:127.0.0.1'
signed client freshet 'extendedKeyUsage=clientAuth'
cat server.key server.pem >server-keystore.pem
"""


class Own:
    """Servers that only this test uses; E: where they are."""

    def __init__(self):
        self.parent = tempfile.mkdtemp(prefix="freshet-tls-")
        os.chmod(self.parent, 0o755)  # the servers are not root
        self.dir = os.path.join(self.parent, "stack")
        said = self("up", "--owner", str(os.getpid()), "pg-tls", "kafka-secure")
        self.env = {k: v.strip("'") for k, v in re.findall(r"^export (\w+)=(.*)$", said, re.M)}
        self.certs = os.path.dirname(self.env["TLS_CA"])
        self.old = os.path.join(self.parent, "old")
        shutil.copytree(self.certs, self.old)

    def __call__(self, verb, *args):
        return subprocess.run([STACK, verb, "--dir", self.dir, *args], check=True, capture_output=True, text=True).stdout

    def make(self):
        """New files; nobody has them yet."""
        new = tempfile.mkdtemp(prefix="new-", dir=self.parent)
        subprocess.run(["sh", "-euc", MAKE, "sh", new], check=True, capture_output=True)
        return new

    def give_kafka(self, files):
        for name in ("ca.pem", "server-keystore.pem"):
            shutil.copyfile(os.path.join(files, name), os.path.join(self.certs, name))
        self("stop", "kafka-secure")
        self("start", "kafka-secure")

    def give_postgres(self, files):
        """As certbot would: the files are replaced, the server reads them again."""
        for name in ("ca.pem", "server.pem", "server.key"):
            with open(os.path.join(files, name)) as f, open(os.path.join(self.env["PG_TLS_DATA"], name), "w") as out:
                out.write(f.read())
        self.admin("select pg_reload_conf()")

        def answers():
            try:
                self.login(files)
                return True
            except psycopg2.OperationalError:
                return False
        eventually("the server has its new certificate", answers)

    def admin(self, text):
        c = psycopg2.connect(plain(self.env))
        c.autocommit = True
        c.cursor().execute(text)
        c.close()

    def login(self, files):
        psycopg2.connect(plain(self.env) + f"?sslmode=verify-full&sslrootcert={files}/ca.pem").close()

    def close(self):
        self("down")
        shutil.rmtree(self.parent, ignore_errors=True)


def plain(env):
    return f"postgresql://postgres@127.0.0.1:{env['PG_TLS_PORT']}/postgres"


def give_client(p, files, *trusted):
    """The client's files, and further authorities to trust."""
    os.makedirs(os.path.join(p.dir, "tls"), exist_ok=True)
    for name in ("ca.pem", "client.pem", "client.key"):
        at = os.path.join(p.dir, "tls", name)
        with open(at + ".new", "w") as out:
            for folder in (files, *(trusted if name == "ca.pem" else ())):
                with open(os.path.join(folder, name)) as f:
                    out.write(f.read())
        os.rename(at + ".new", at)


def cut_from_postgres(p):
    """The connections are made anew, as after any fault of the network."""
    p.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s", p.slot)


def kafka_strangers(own, files):
    """With these files nobody gets in."""
    client = AdminClient({"bootstrap.servers": own.env["KAFKA_MTLS_BOOTSTRAP"], "security.protocol": "ssl",
                          "ssl.ca.location": files + "/ca.pem", "ssl.certificate.location": files + "/client.pem",
                          "ssl.key.location": files + "/client.key", "log_level": 0, "error_cb": lambda e: None})
    try:
        client.list_topics(timeout=5)
    except KafkaException:
        return
    raise AssertionError("the old files still work: nothing was replaced")


own = Own()
os.environ.update(PG_DSN=plain(own.env), KAFKA_BOOTSTRAP=own.env["KAFKA_SECURE_BOOTSTRAP"])
p = Pipeline("", target=False)
try:
    p.write(SOURCE, BASE % own.env["KAFKA_MTLS_BOOTSTRAP"])
    p.sql("create table t (id int primary key); create publication pub for table t; insert into t values (1)")
    give_client(p, own.old)
    p.start()
    with case("certificates.before", p):
        p.wait_events("t", 1, seconds=120)
    with case("certificates.kafka", p):
        new = own.make()
        give_client(p, new, own.old)  # PostgreSQL's authority is still the old one
        own.give_kafka(new)
        kafka_strangers(own, own.old)
        p.sql("insert into t values (2)")
        p.wait_events("t", 2, seconds=180)
    with case("certificates.postgres", p):
        own.give_postgres(new)
        try:
            own.login(own.old)
            raise AssertionError("the old authority still works: nothing was replaced")
        except psycopg2.OperationalError:
            pass
        give_client(p, new)
        cut_from_postgres(p)
        p.sql("insert into t values (3)")
        got = p.wait_events("t", 3, seconds=120)
        assert [e["after"]["id"] for e in got] == [1, 2, 3], got
        assert p.log().count("instance ") == 1, "it was started again"
    with case("certificates.kafka_unknown_authority", p):
        newer = own.make()
        own.give_kafka(newer)  # nobody told us
        p.sql("insert into t values (4)")
        p.refused(2, "kafka.tls", "(CONFIG)", "certificate verify failed", "ssl.ca.location", seconds=120)
        give_client(p, newer, new)
        p.start()
        got = p.wait_events("t", 4, seconds=120)
        assert [e["after"]["id"] for e in got] == [1, 2, 3, 4], got
    with case("certificates.unknown_authority", p):
        own.give_postgres(own.make())
        cut_from_postgres(p)
        p.refused(2, "pg.tls", "certificate verify failed", "->", seconds=90)
finally:
    p.close()
    own.close()
finish()
