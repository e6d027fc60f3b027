#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""The registry behind TLS: an authority of one's own, a client certificate, and every certificate that must not be
accepted. Each refusal names the key and the remedy; where it happens, what is corrected goes on without a loss."""
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from urllib.parse import urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish  # noqa: E402

BASE = """
version: 1
name: {id}
kafka:
  brokers: [{bootstrap}]
  topics: {{create: run, partitions: 1}}
registry: {{url: ["https://HOST:PORTPATH"], register: run, KEYS}}
http: {{listen: none, socket: {dir}/freshet.sock}}
daemon: {{cache_dir: {dir}/cache}}
"""
SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables: {{public.t: {{}}}}
"""
# Two authorities that do not know one another; what the first signs is for localhost, unless its name says otherwise.
MAKE = """
cd "$1"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1.key"; }
authority() { key "$1"; openssl req -x509 -new -key "$1.key" -days 30 -subj "/CN=$1" -out "$1.pem"; }
signed() { # NAME AUTHORITY EXTENSIONS [FROM UNTIL]
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    mkdir "$1.ca"; : >"$1.ca/index"; echo 01 >"$1.ca/serial"
    printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=%s/index\\nserial=%s/serial\\nnew_certs_dir=%s\\ndefault_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n[e]\\n%s\\n' \
        "$1.ca" "$1.ca" "$1.ca" "$3" >"$1.cnf"
    openssl ca -batch -notext -config "$1.cnf" -extensions e -cert "$2.pem" -keyfile "$2.key" -in "$1.csr" -out "$1.pem" \
        -startdate "${4:-20200101000000Z}" -enddate "${5:-20491231235959Z}"
}
authority ours; authority strange
signed server ours 'subjectAltName=DNS:localhost'
signed elsewhere ours 'subjectAltName=DNS:registry.example'
signed expired ours 'subjectAltName=DNS:localhost' 20200101000000Z 20210101000000Z
signed foreign strange 'subjectAltName=DNS:localhost'
signed client ours 'extendedKeyUsage=clientAuth'
signed stranger strange 'extendedKeyUsage=clientAuth'
printf 'no certificate\\n' >broken.pem
"""


class Tls:
    """Ends TLS in front of the registry; what it shows can be changed, which ends its connections."""

    def __init__(self, folder, shows, version=None, asks=False):
        self.folder, self.version = folder, version
        behind = urlsplit(os.environ["REGISTRY_URL"])
        self.behind, self.path = (behind.hostname, behind.port), behind.path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open, self.lock = set(), threading.Lock()
        self.show(shows, asks)
        threading.Thread(target=self.accept, daemon=True).start()

    def show(self, name, asks=False):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(f"{self.folder}/{name}.pem", f"{self.folder}/{name}.key")
        if self.version:
            c.maximum_version = self.version
        if asks:
            c.verify_mode = ssl.CERT_REQUIRED
            c.load_verify_locations(f"{self.folder}/ours.pem")
        with self.lock:
            self.context = c
            for s in self.open:
                shut(s)

    def accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        """Sockets are closed here only, when nobody uses them any more: a number of one is somebody else's soon after."""
        with self.lock:
            context = self.context
        try:
            raw.settimeout(60)
            with context.wrap_socket(raw, server_side=True) as front, socket.create_connection(self.behind) as back:
                with self.lock:
                    self.open.add(front)
                other = threading.Thread(target=copy, args=(back, front), daemon=True)
                other.start()
                copy(front, back)
                other.join()
                with self.lock:
                    self.open.remove(front)
        except OSError:  # the client did not like us, or we did not like it
            raw.close()

    def close(self):
        self.listener.close()
        with self.lock:
            for s in self.open:
                shut(s)


def shut(s):
    """Whoever reads from it or writes to it learns that it is over."""
    try:
        socket.socket.shutdown(s, socket.SHUT_RDWR)
    except OSError:
        pass


def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    shut(a)
    shut(b)


def configure(p, tls, host="localhost", **keys):
    """Also says what those keys are, as YAML."""
    text = ", ".join(f"{k}: {v}" for k, v in keys.items())
    base = BASE.replace("HOST", host).replace("PORT", str(tls.port)).replace("PATH", tls.path)
    p.write(SOURCE, base.replace(", KEYS", ", " + text if text else ""))


def refused(p, *texts):
    """By plan, and by run: the part ends, since trying again would not help."""
    def plan():  # a machine that is busy with other things may not get through a handshake in time
        code, out, err = p.verb("plan")
        return "timeout" not in out and (code, out, err)
    code, out, err = eventually("plan to get through", plan)
    assert code == 4 and "registry.tls" in out, (code, [x for x in out.splitlines() if "FAIL" in x], err)
    for text in texts:
        assert text in out, (text, [x for x in out.splitlines() if "FAIL" in x or "→" in x])
    p.start()
    p.refused(2, "registry.tls", *texts, seconds=60)


folder = tempfile.mkdtemp(prefix="freshet-registry-tls-")
subprocess.run(["sh", "-euc", MAKE, "sh", folder], check=True, capture_output=True)
ca, cert, key = f"{folder}/ours.pem", f"{folder}/client.pem", f"{folder}/client.key"
servers = []


def concatenate(path, *names):
    with open(path, "w") as out:
        for name in names:
            with open(f"{folder}/{name}.pem") as f:
                out.write(f.read())


def tls(*args, **more):
    servers.append(Tls(folder, *args, **more))
    return servers[-1]


p = Pipeline("", target=False)
try:
    p.sql("create table t (id int primary key); create publication pub for table t; insert into t values (1)")
    front = tls("server")
    with case("registry_tls.authority_not_named", p):
        configure(p, front)
        refused(p, f"https://localhost:{front.port}", "set registry.ca to its PEM file")
    with case("registry_tls.another_authority", p):
        configure(p, front, ca=f"{folder}/strange.pem")
        refused(p, "set registry.ca to its PEM file")
    with case("registry_tls.authority_unreadable", p):
        configure(p, front, ca=f"{folder}/broken.pem")
        refused(p, "registry.ca must be a PEM file with certificates")
    with case("registry_tls.another_name", p):
        configure(p, tls("elsewhere"), ca=ca)
        refused(p, "localhost", "for the host name of registry.url")
    with case("registry_tls.expired", p):
        configure(p, tls("expired"), ca=ca)
        refused(p, "expired", "valid today")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with case(f"registry_tls.client_{version.name}", p):
            asking = tls("server", version=version, asks=True)
            configure(p, asking, ca=ca)
            refused(p, "it may ask for a client certificate: set registry.cert and registry.key")
            configure(p, asking, ca=ca, cert=f"{folder}/stranger.pem", key=f"{folder}/stranger.key")
            refused(p, "does not accept our certificate", "registry.cert")
            configure(p, asking, ca=ca, cert=cert, key=f"{folder}/server.key")
            refused(p, "registry.key the private key that belongs to it")
            configure(p, asking, ca=ca, cert=cert, key=key)
            code, out, err = p.verb("plan")
            assert code == 0, (out, err)
    with case("registry_tls.half_of_a_client"):
        configure(p, front, ca=ca, cert=cert)
        code, out, err = p.verb("plan")
        assert code == 4 and "registry.cert is given without the other" in out, (code, out, err)
    with case("registry_tls.works", p):
        asking = tls("server", asks=True)
        configure(p, asking, ca=ca, cert=cert, key=key)
        p.start()
        p.wait_events("t", 1)
    with case("registry_tls.changed_while_running", p):
        asking.show("foreign")
        p.sql("alter table t add a int; insert into t values (2, 2)")  # a new schema: the registry is asked
        p.refused(2, "registry.tls", "set registry.ca to its PEM file", seconds=60)
        assert len(p.events("t")) == 1
        concatenate(f"{folder}/both.pem", "ours", "strange")
        configure(p, asking, ca=f"{folder}/both.pem")
        p.start()
        got = p.wait_events("t", 2)
        assert [e["after"]["id"] for e in got] == [1, 2] and got[1]["after"]["a"] == 2, got
        assert p.stop() == 0
    with case("registry_tls.one_of_two_is_enough", p):
        p.sql("alter table t add b int; insert into t values (3, 3, 3)")
        configure(p, front, ca=ca)
        with open(p.config) as f:
            text = f.read()
        with open(p.config, "w") as f:
            f.write(text.replace('url: ["', f'url: ["https://localhost:{servers[1].port}{front.path}", "'))
        p.start()
        p.wait_events("t", 3)
        assert p.stop() == 0
    with case("registry_tls.rotated_while_running", p):
        trusted, moving = f"{folder}/trusted.pem", tls("server")
        shutil.copyfile(ca, trusted)
        configure(p, moving, ca=trusted)
        p.sql("alter table t add c int; insert into t values (4, 4, 4, 4)")
        p.start()
        p.wait_events("t", 4)
        concatenate(trusted, "ours", "strange")  # first whom to trust, then the server
        moving.show("foreign")
        p.sql("alter table t add d int; insert into t values (5, 5, 5, 5, 5)")
        p.wait_events("t", 5)
        assert p.stop() == 0
finally:
    for s in servers:
        s.close()
    p.close()
    shutil.rmtree(folder, ignore_errors=True)
finish()
