"""The servers of the test stack: how each is prepared, started, asked and stopped. Used by supervisor.py."""
import base64
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("FRESHET_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "freshet")
LOOPBACK = "127.0.0.1"
TICK = 0.01
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"

# Users of the secure Kafka. alice, bob: may do all; carol: nothing until a test gives her an ACL.
# All log in by SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN; "freshet" is the client certificate's name.
KAFKA_USERS = {"alice": "alice-secret", "bob": "bob-secret", "carol": "carol-secret"}
KAFKA_SUPER_USERS = ("ANONYMOUS", "alice", "bob", "freshet")
PG_PASSWORD_USER, PG_PASSWORD = "scram", "scram-secret"


PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None)


def prctl(option, value):
    LIBC.prctl(option, ctypes.c_ulong(int(value)), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


class Failed(Exception):
    """Something that the user must be told in one message."""


class PortTaken(Exception):
    """A stranger took the port between our choice and the server's start."""


def versions():
    out = {}
    with open(os.path.join(HERE, "versions")) as f:
        for line in f:
            key, sep, value = line.strip().partition("=")
            if sep and not key.startswith("#"):
                out[key] = value.strip('"')
    return out


VERSION = versions()


def cached(name, what, remedy):
    path = os.path.join(CACHE, name)
    if not os.path.isdir(path):
        raise Failed("%s is not in %s\nremedy: %s" % (what, CACHE, remedy))
    return path


def tail(path, lines=40):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return ""


def java_home():
    for base in ("/usr/lib/jvm",):
        names = sorted(os.listdir(base)) if os.path.isdir(base) else []
        for name in names:
            if name.startswith("java-17-openjdk-") and os.access(
                    os.path.join(base, name, "bin/java"), os.X_OK):
                return os.path.join(base, name)
    java = shutil.which("java")
    if not java:
        raise Failed("no Java\nremedy: scripts/deps.sh test")
    return os.path.dirname(os.path.dirname(os.path.realpath(java)))


def archive(name):
    """The file of loaded classes for this JVM and these jars; None when there is none."""
    try:
        with open(os.path.join(java_home(), "release")) as f:
            release = dict(re.findall(r'^(\w+)="(.*)"$', f.read(), re.M))
    except OSError:
        return None
    jvm = release.get("JAVA_RUNTIME_VERSION") or release.get("JAVA_VERSION")
    path = os.path.join(CACHE, "archives-%s-%s-%s" % (jvm, VERSION["KAFKA"], VERSION["APICURIO"]),
                        name + ".jsa")
    return path if os.path.exists(path) else None


# --- ports -----------------------------------------------------------------------------------------

class Port:
    """A free loopback port, ours among all stacks of the machine for as long as the object lives:
    an abstract socket of that name is the lock, which no crash can leave behind."""

    def __init__(self):
        try:
            with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
                low = int(f.read().split()[0])
        except OSError:
            low = 32768
        bottom, top = (10000, low - 1) if low > 12000 else (20000, 60000)
        for _ in range(1000):
            number = random.SystemRandom().randint(bottom, top)
            lock = socket.socket(socket.AF_UNIX)
            try:
                lock.bind("\0freshet-test-port-%d" % number)
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((LOOPBACK, number))
            except OSError:
                lock.close()
                continue
            self.lock, self.number = lock, number
            return
        raise Failed("no free loopback port found")

    def close(self):
        self.lock.close()


# --- small clients, for readiness ------------------------------------------------------------------

def receive(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def postgres(port, *statements):
    """Logs in as postgres and runs statements; OSError while the server is not ready."""
    def message():
        kind, size = struct.unpack(">cI", receive(sock, 5))
        body = receive(sock, size - 4)
        if kind == b"E":
            fields = dict((f[:1], f[1:].decode()) for f in body.split(b"\0") if f)
            error = Failed if statements and ready else OSError
            raise error("PostgreSQL: " + fields.get(b"M", "?"))
        return kind

    ready = False
    with socket.create_connection((LOOPBACK, port), 2) as sock:
        sock.settimeout(30 if statements else 1)   # asked whether it is ready, it must not stop the others
        body = struct.pack(">I", 196608) + b"user\0postgres\0database\0postgres\0\0"
        sock.sendall(struct.pack(">I", len(body) + 4) + body)
        while message() != b"Z":
            pass
        ready = True
        for statement in statements:
            sql = statement.encode() + b"\0"
            sock.sendall(b"Q" + struct.pack(">I", len(sql) + 4) + sql)
            while message() != b"Z":
                pass
        sock.sendall(b"X\0\0\0\4")


def kafka_brokers(port):
    """How many brokers the one at port knows (a Metadata request, version 4, for no topic)."""
    with socket.create_connection((LOOPBACK, port), 1) as sock:
        body = struct.pack(">hhih5siB", 3, 4, 1, 5, b"stack", 0, 0)
        sock.sendall(struct.pack(">i", len(body)) + body)
        size, = struct.unpack(">i", receive(sock, 4))
        return struct.unpack(">iii", receive(sock, size)[:12])[2]


def http(method, url, body=None, seconds=30):
    import urllib.request   # here, since it would double the time that a verb takes

    request = urllib.request.Request(url, body and json.dumps(body).encode(), method=method,
                                     headers={"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as reply:
        return reply.read()


# --- processes -------------------------------------------------------------------------------------

def process_table():
    """pid -> (parent, state), from /proc."""
    out = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as f:
                    rest = f.read().rpartition(")")[2].split()
                out[int(name)] = (int(rest[1]), rest[0])
            except OSError:
                pass
    return out


def descendants(root):
    table, out = process_table(), []
    wave = [root]
    while wave:
        wave = [pid for pid, (parent, _) in table.items() if parent in wave]
        out += wave
    return out


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def gather(*generators):
    """Runs generators side by side; the first error ends it."""
    live = list(generators)
    while live:
        for g in list(live):
            try:
                next(g)
            except StopIteration:
                live.remove(g)
        yield


class Server:
    """One process: how it is prepared, started, asked whether it answers, and stopped."""
    stop_signal = signal.SIGTERM     # orderly
    end_signal = signal.SIGKILL      # when its data is going to be removed anyway
    port_names = ("PORT",)
    start_seconds = 180   # takes 2; a busy machine is slow

    def __init__(self, stack, name):
        self.stack, self.name = stack, name
        self.dir = os.path.join(stack.dir, name)
        self.log = os.path.join(stack.dir, "log", name + ".log")
        self.ports, self.process, self.state, self.busy = {}, None, "new", False

    def port(self, name="PORT"):
        return self.ports[name].number

    def prepare(self):
        """Once, before the first start."""
        yield

    def first(self):
        """Once, after the first start."""
        yield

    def spawn(self, argv, own_user=True, **more):
        # The kernel ends the server when the supervisor dies, even by SIGKILL.
        wrap = ["setpriv", "--pdeathsig", signal.Signals(self.end_signal).name[3:]]
        user = self.as_user() if own_user else []
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "KAFKA", "JAVA_TOOL"))}
        with open(self.log, "ab") as log:
            return self.stack.popen(wrap + user + ["--"] + argv, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, env=env, **more)

    def as_user(self):
        return []

    def command(self, argv, seconds=60, own_user=True):
        """Runs a helper program to its end."""
        p = self.spawn(argv, own_user, cwd=self.dir)
        deadline = time.monotonic() + seconds
        while p.poll() is None:
            if time.monotonic() > deadline:
                p.kill()
                raise Failed("%s: %s did not end in %d s" % (self.name, argv[0], seconds))
            yield
        if p.returncode:
            raise Failed("%s: %s failed (%d)\n%s" % (self.name, argv[0], p.returncode,
                                                     tail(self.log)))

    def start(self):
        """Spawns the process and waits until it answers."""
        offset = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.state = "starting"
        self.process = self.launch()
        deadline = time.monotonic() + self.start_seconds
        while True:
            if self.process.poll() is not None:
                self.state = "dead"
                with open(self.log, errors="replace") as f:
                    f.seek(offset)
                    if re.search(r"address already in use|port \d+ seems to be in use", f.read(), re.I):
                        raise PortTaken(self.name)
                raise Failed("%s ended while it started (%d)\n%s" % (
                    self.name, self.process.returncode, tail(self.log)))
            try:
                if self.answers() and self.process.poll() is None:
                    break
            except (OSError, struct.error):
                pass
            if time.monotonic() > deadline:
                raise Failed("%s did not answer within %d s\n%s" % (
                    self.name, self.start_seconds, tail(self.log)))
            yield
        self.state = "up"

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def end(self, number, seconds=30):
        """Sends a signal that ends the process; waits; insists after the deadline."""
        if not self.alive():
            self.state = "stopped"
            return
        pid = self.process.pid
        children = descendants(pid)
        self.state = "stopping"
        signal_all([pid], number)
        if number == signal.SIGKILL:
            signal_all(children, number)
        else:
            signal_all([pid] + children, signal.SIGCONT)
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                signal_all([pid] + descendants(pid), signal.SIGKILL)
                deadline += 3600
            yield
        while number == signal.SIGKILL and any(c in process_table() for c in children):
            yield  # they are reaped by the supervisor, who inherits them
        self.state = "stopped"


class Postgres(Server):
    stop_signal = signal.SIGINT
    end_signal = signal.SIGQUIT
    tls = False

    def __init__(self, stack, name):
        super().__init__(stack, name)
        self.data = os.path.join(self.dir, "data")
        number = re.fullmatch(r"pg(\d\d)", name)
        self.version = number.group(1) if number else None

    def as_user(self):
        if os.getuid() != 0:
            return []
        return ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]

    def programs(self):
        """The folder of initdb and postgres."""
        if self.version in (None, VERSION["POSTGRES"]):
            home = "/usr/lib/postgresql/%s" % VERSION["POSTGRES"]
            if not os.access(home + "/bin/postgres", os.X_OK):
                raise Failed("no PostgreSQL %s\nremedy: scripts/deps.sh test" % VERSION["POSTGRES"])
            return home + "/bin"
        key = "POSTGRES_" + self.version
        if key not in VERSION:
            raise Failed("no PostgreSQL %s in tests/stack/versions" % self.version)
        home = cached("postgres-" + VERSION[key], "PostgreSQL " + self.version,
                      "scripts/deps.sh postgres-" + self.version)
        if os.getuid() != 0:
            return home + "/bin"
        # The cache may lie where user nobody cannot look.
        own = os.path.join(self.dir, "home")
        if not os.path.isdir(own):
            shutil.copytree(home, own, symlinks=True)
        return own + "/bin"

    def prepare(self):
        os.makedirs(self.dir, exist_ok=True)
        self.bin = self.programs()
        if os.getuid() == 0:
            shutil.chown(self.dir, "nobody", "nogroup")
        yield from self.command([self.bin + "/initdb", "-D", self.data, "-U", "postgres", "-A",
                                 "trust", "-E", "UTF8", "--no-locale", "-N"])
        with open(os.path.join(HERE, "postgresql.conf")) as f:
            settings = f.read()
        files = {"postgresql.conf": None, "pg_hba.conf": (
            "# The user with a password, for tests of logging in; all others are trusted.\n"
            "host all,replication {0} 127.0.0.1/32 scram-sha-256\n"
            "host replication {0} 127.0.0.1/32 scram-sha-256\n"
            "host all all 127.0.0.1/32 trust\n"
            "host replication all 127.0.0.1/32 trust\n").format(PG_PASSWORD_USER)}
        if self.tls:
            yield from self.stack.certificates(self)
            settings += "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n"
            settings += "ssl_ca_file = 'ca.pem'\n"
            for name in ("server.pem", "server.key", "ca.pem"):
                with open(os.path.join(self.stack.certs, name)) as f:
                    files[name] = f.read()
        for name, text in files.items():
            path = os.path.join(self.data, name)
            with open(path, "a" if text is None else "w") as f:
                f.write("\n" + settings if text is None else text)
            os.chmod(path, 0o600)
            if os.getuid() == 0:
                shutil.chown(path, "nobody", "nogroup")

    def launch(self):
        try:
            # Its process is gone (we waited for it), so a number in this file is a stranger's.
            os.unlink(os.path.join(self.data, "postmaster.pid"))
        except FileNotFoundError:
            pass
        # Locales of its own, for tests that make some (localedef) beside its data.
        return self.spawn(["env", "LOCPATH=" + os.path.join(self.dir, "locales"),
                           self.bin + "/postgres", "-D", self.data, "-c",
                           "listen_addresses=" + LOOPBACK, "-p", str(self.port())], cwd=self.dir)

    def answers(self):
        postgres(self.port())
        return True

    def first(self):
        postgres(self.port(), "create role %s login replication superuser password '%s'" %
                 (PG_PASSWORD_USER, PG_PASSWORD))
        yield

    def env(self):
        p = self.name.upper().replace("-", "_")
        at = "%s:%d/postgres" % (LOOPBACK, self.port())
        out = {p + "_DSN": "postgresql://postgres@" + at,
               p + "_SCRAM_DSN": "postgresql://%s:%s@%s" % (PG_PASSWORD_USER, PG_PASSWORD, at),
               p + "_HOST": LOOPBACK, p + "_PORT": self.port(), p + "_USER": "postgres",
               p + "_DATABASE": "postgres", p + "_SCRAM_USER": PG_PASSWORD_USER,
               p + "_SCRAM_PASSWORD": PG_PASSWORD, p + "_DATA": self.data}
        if self.tls:
            out[p + "_DSN"] += "?sslmode=verify-full&sslrootcert=" + self.stack.certs + "/ca.pem"
            out.update(self.stack.tls_env())
        return out


class PostgresTls(Postgres):
    tls = True


class MySql(Server):
    """MariaDB and MySQL of several versions. DIR/my.cnf may be changed by a test between stop and start."""
    port_names = ("PORT",)
    user, password, database = "freshet", "freshet-secret", "shop"
    # name: (in the cache or None, TLS with our certificates, settings)
    kinds = {
        "mariadb": (None, True, ["binlog_row_image=FULL", "binlog_row_metadata=FULL", "gtid_strict_mode=ON",
                                 "innodb_log_file_size=8M"]),
        "mariadb105": ("mariadb-" + VERSION["MARIADB_105"], True, [
            "binlog_row_image=FULL", "binlog_row_metadata=FULL", "gtid_strict_mode=ON", "innodb_log_file_size=8M"]),
        "mariadb118": ("mariadb-" + VERSION["MARIADB_118"], True, [
            "binlog_row_image=FULL", "binlog_row_metadata=FULL", "gtid_strict_mode=ON", "innodb_log_file_size=8M"]),
        "mysql": ("mysql-" + VERSION["MYSQL"], True, [
            "binlog_row_image=FULL", "binlog_row_metadata=FULL", "gtid_mode=ON", "enforce_gtid_consistency=ON",
            "mysqlx=OFF", "secure_file_priv=", "innodb_redo_log_capacity=8M", "innodb_doublewrite=OFF"]),
        "mysql55": ("mysql-" + VERSION["MYSQL_55"], False, ["innodb_file_per_table=ON"]),
    }

    def __init__(self, stack, name):
        super().__init__(stack, name)
        self.kind = re.sub(r"(?<=[a-z])2$|_2$", "", name)
        self.data, self.socket = os.path.join(self.dir, "data"), os.path.join(self.dir, "s")
        self.conf, self.init = os.path.join(self.dir, "my.cnf"), os.path.join(self.dir, "init.sql")
        self.fresh = True

    def program(self):
        """The command's start and the settings that say where its own files are."""
        folder, _, _ = self.kinds[self.kind]
        if folder is None:
            program = shutil.which("mariadbd", path="/usr/sbin:" + os.environ.get("PATH", ""))
            if not program:
                raise Failed("no MariaDB %s\nremedy: scripts/deps.sh test" % VERSION["MARIADB"])
            return program, []
        home = cached(folder, self.kind, "scripts/deps.sh " + self.kind)
        if self.kind == "mysql55":
            share = home + "/share"
            return home + "/mysqld", ["basedir=" + home, "lc_messages_dir=" + share,
                                      "character_sets_dir=" + share + "/charsets"]
        share = home + ("/share" if self.kind.startswith("mariadb") else "/root/usr/share/mysql")
        return home + ("/mariadbd" if self.kind.startswith("mariadb") else "/mysqld"), [
            "basedir=" + home + "/root/usr", "plugin_dir=" + home + "/root/usr/lib/mysql/plugin",
            "lc_messages_dir=" + share, "character_sets_dir=" + share + "/charsets"]

    def prepare(self):
        os.makedirs(self.dir, exist_ok=True)
        folder, tls, own = self.kinds[self.kind]
        _, places = self.program()
        if folder is None:
            yield from self.command(
                # A server that starts removes temporary tables, those of others in its tmpdir too.
                ["mariadb-install-db", "--no-defaults", "--tmpdir=" + self.dir, "--datadir=" + self.data,
                 "--skip-test-db",
                 "--auth-root-authentication-method=normal"] + (["--user=root"] if os.getuid() == 0 else []))
        else:
            shutil.copytree(os.path.join(CACHE, folder, "template"), self.data)
        number = 1 + sum(self.name.encode()) + (1000 if self.name.endswith("2") else 0)
        lines = places + own + [
            "datadir=" + self.data, "tmpdir=" + self.dir, "socket=" + self.socket, "bind_address=" + LOOPBACK,
            "pid_file=" + os.path.join(self.dir, "pid"), "server_id=%d" % number, "log_bin=mysql-bin",
            "binlog_format=ROW", "max_connections=400", "log_slave_updates=ON", "skip_name_resolve=ON", "sync_binlog=0",
            "innodb_flush_log_at_trx_commit=2", "innodb_buffer_pool_size=32M", "relay_log=relay"]
        if os.getuid() == 0:
            lines.append("user=root")
        if tls:
            yield from self.stack.certificates(self)
            lines += ["ssl_ca=%s/ca.pem" % self.stack.certs, "ssl_cert=%s/server.pem" % self.stack.certs,
                      "ssl_key=%s/server.key" % self.stack.certs]
        with open(self.conf, "w") as f:
            f.write("[mysqld]\n" + "".join(line + "\n" for line in lines))
        with open(self.init, "w") as f:
            f.write("\n".join(self.first_sql()) + "\n")

    def first_sql(self):
        """A line is a statement. The user has what the documentation says a source needs, and no more."""
        rights = "REPLICATION SLAVE, REPLICATION CLIENT, SELECT"
        who = "'%s'@'%%'" % self.user
        lines = ["SET SESSION sql_log_bin=0;", "CREATE DATABASE IF NOT EXISTS %s;" % self.database]
        if self.kind == "mysql55":
            lines += ["GRANT ALL ON *.* TO 'root'@'%%' WITH GRANT OPTION;" % (),
                      "DELETE FROM mysql.user WHERE user='';",
                      "GRANT %s ON *.* TO %s IDENTIFIED BY '%s';" % (rights, who, self.password)]
        else:
            lines += ["CREATE USER IF NOT EXISTS 'root'@'%';", "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;",
                      "CREATE USER %s IDENTIFIED BY '%s';" % (who, self.password),
                      "GRANT %s ON *.* TO %s;" % (rights, who)]
        if self.kind.startswith("mysql"):
            lines.append("GRANT RELOAD ON *.* TO %s;" % who)
        return lines + ["FLUSH PRIVILEGES;"]

    def launch(self):
        program, _ = self.program()
        argv = [program, "--defaults-file=" + self.conf, "--port=%d" % self.port()]
        if self.fresh:
            argv.append("--init-file=" + self.init)
        return self.spawn(argv, cwd=self.dir)

    def answers(self):
        with socket.create_connection((LOOPBACK, self.port()), 1) as s:
            s.settimeout(1)
            return receive(s, 5)[4] == 10     # the protocol's version in the greeting; 255 is an error

    def first(self):
        self.fresh = False
        yield

    def env(self):
        p = self.name.upper()
        at = "%s:%d/%s" % (LOOPBACK, self.port(), self.database)
        out = {p + "_DSN": "mysql://root@" + at, p + "_USER_DSN": "mysql://%s@%s" % (self.user, at),
               p + "_HOST": LOOPBACK, p + "_PORT": self.port(), p + "_USER": self.user,
               p + "_PASSWORD": self.password, p + "_DATABASE": self.database, p + "_SOCKET": self.socket,
               p + "_DATA": self.data, p + "_CONF": self.conf}
        if self.kinds[self.kind][1]:
            out.update(self.stack.tls_env())
        if self.kind == "mysql":
            out["MYSQLBINLOG"] = os.path.join(os.path.dirname(self.program()[0]), "mysqlbinlog")
        return out


class Java(Server):
    heap = "256m"

    def java(self, what, properties, argv):
        options = ["-Xms32m", "-Xmx" + self.heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                   "-XX:-UsePerfData", "-XX:ErrorFile=" + os.path.join(self.dir, "crash.log"),
                   "-Djava.io.tmpdir=" + self.dir]
        make, have = os.environ.get("FRESHET_ARCHIVES_MAKE"), archive(what)
        if make:
            options += ["-XX:ArchiveClassesAtExit=" + os.path.join(make, what + ".jsa"),
                        "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
            self.end_signal = self.stop_signal
        elif have:
            options.append("-XX:SharedArchiveFile=" + have)
        return ([java_home() + "/bin/java"] + options + ["-D%s=%s" % p for p in properties] + argv)


class Kafka(Java):
    heap = "512m"                      # the tests' one has some 3,000 partitions in the end
    port_names = ("PORT", "CPORT", "BEHIND", "PROXY")
    kind = "plain"
    brothers = ()                      # all brokers of the cluster, this one too
    node = 1
    new = True

    def prepare(self):
        self.home = cached("kafka-" + VERSION["KAFKA"], "Kafka", "scripts/deps.sh test")
        data = os.path.join(self.dir, "data")
        os.makedirs(self.dir, exist_ok=True)
        shutil.copytree(os.path.join(self.home, "formatted-" + self.kind), data)
        with open(os.path.join(data, "meta.properties"), "w") as f:
            identity = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "A")
            f.write("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n" % (
                CLUSTER_ID, self.node, identity))
        yield

    def settings(self):
        return ["broker.properties"]

    def values(self):
        brokers = self.brothers or (self.name,)
        nodes = [self.stack.servers[n] for n in brokers]
        return {"NODE": self.node, "DATA": os.path.join(self.dir, "data"), "SESSION": 60000 if self.new else 1000,
                "VOTERS": ",".join("%d@%s:%d" % (s.node, LOOPBACK, s.port("CPORT")) for s in nodes),
                **{n: self.port(n) for n in self.ports}}

    def launch(self):
        lines = {}
        for name in self.settings():      # a later file wins
            with open(os.path.join(HERE, "kafka", name)) as f:
                for line in f:
                    key, sep, value = line.rstrip("\n").partition("=")
                    if sep and not line.startswith("#"):
                        lines[key] = value
        text = "".join("%s=%s\n" % pair for pair in lines.items())
        for key, value in self.values().items():
            text = text.replace("@%s@" % key, str(value))
        path = os.path.join(self.dir, "broker.properties")
        with open(path, "w") as f:
            f.write(text)
        # Relative and sorted: the archive of classes holds for one class path, wherever the cache is.
        libs = os.path.join(self.home, "libs")
        jars = ":".join(sorted(n for n in os.listdir(libs) if n.endswith(".jar")))
        return self.spawn(self.java("kafka", [("org.slf4j.simpleLogger.defaultLogLevel", "warn"),
                                              ("org.slf4j.simpleLogger.showDateTime", "true")],
                                    ["-cp", jars, "kafka.Kafka", path]), cwd=libs)

    def answers(self):
        # Before a restarted cluster has all brokers again, those that are up must not wait for it.
        return kafka_brokers(self.port()) >= (max(1, len(self.brothers)) if self.new else 1)

    def first(self):
        self.new = False
        yield

    def bootstrap(self, port="PORT"):
        return ",".join("%s:%d" % (LOOPBACK, self.stack.servers[n].port(port))
                        for n in self.brothers or (self.name,))

    def env(self):
        # Nobody listens at KAFKA_PROXY_BOOTSTRAP until a test starts a proxy there, to KAFKA_BEHIND_PROXY.
        return {"KAFKA_BOOTSTRAP": self.bootstrap(), "KAFKA_PROXY_BOOTSTRAP": self.bootstrap("PROXY"),
                "KAFKA_BEHIND_PROXY": self.bootstrap("BEHIND")}


class KafkaOfThree(Kafka):
    brothers = ("kafka3-1", "kafka3-2", "kafka3-3")

    def __init__(self, stack, name):
        super().__init__(stack, name)
        self.node = int(name[-1])

    def settings(self):
        return ["broker.properties", "three.properties"]

    def env(self):
        return {"KAFKA3_BOOTSTRAP": self.bootstrap()}


class KafkaSecure(Kafka):
    kind = "secure"
    port_names = ("PORT", "CPORT", "TLS", "MTLS", "SASLTLS", "SASL")

    def prepare(self):
        yield from super().prepare()
        yield from self.stack.certificates(self)

    def settings(self):
        return ["broker.properties", "secure.properties"]

    def values(self):
        return {**super().values(), "CERTS": self.stack.certs,
                "PLAIN_USERS": " ".join('user_%s="%s"' % u for u in KAFKA_USERS.items()),
                "SUPER_USERS": ";".join("User:" + u for u in KAFKA_SUPER_USERS)}

    def env(self):
        out = {"KAFKA_SECURE_BOOTSTRAP": self.bootstrap(),
               "KAFKA_TLS_BOOTSTRAP": self.bootstrap("TLS"),
               "KAFKA_MTLS_BOOTSTRAP": self.bootstrap("MTLS"),
               "KAFKA_SASL_TLS_BOOTSTRAP": self.bootstrap("SASLTLS"),
               "KAFKA_SASL_BOOTSTRAP": self.bootstrap("SASL"),
               "KAFKA_SASL_USER": "alice", "KAFKA_SASL_PASSWORD": KAFKA_USERS["alice"],
               "KAFKA_DENIED_USER": "carol", "KAFKA_DENIED_PASSWORD": KAFKA_USERS["carol"]}
        return {**out, **self.stack.tls_env()}


class Registry(Java):
    """Apicurio, which speaks the API of Confluent's registry; its data outlives a restart."""

    def prepare(self):
        self.home = cached("apicurio-" + VERSION["APICURIO"], "Apicurio", "scripts/deps.sh test")
        os.makedirs(self.dir, exist_ok=True)
        yield

    def launch(self):
        url = "jdbc:h2:file:%s/data;WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE" % self.dir
        jar = "apicurio-registry-app-%s-runner.jar" % VERSION["APICURIO"]
        return self.spawn(self.java("registry", [
            ("quarkus.http.host", LOOPBACK), ("quarkus.http.port", self.port()),
            ("quarkus.log.level", "WARN"), ("quarkus.datasource.jdbc.url", url)], ["-jar", jar]),
            cwd=self.home)

    def url(self):
        return "http://%s:%d/apis/ccompat/v7" % (LOOPBACK, self.port())

    def answers(self):
        with socket.create_connection((LOOPBACK, self.port()), 1):
            pass
        http("GET", self.url() + "/subjects", seconds=2)
        return True

    def first(self):
        # Its own default is NONE; Confluent's, which users know, is BACKWARD.
        http("PUT", self.url() + "/config", {"compatibility": "BACKWARD"})
        yield

    def env(self):
        return {"REGISTRY_URL": self.url()}


class ClickHouse(Server):
    """A server of one process. Users: default without a password, from this machine; and CLICKHOUSE_USER."""
    port_names = ("PORT", "TCP")
    user, password, database = "freshet", "freshet-secret", "shop"
    config = """<clickhouse>
  <user_directories><users_xml><path>%(dir)s/users.xml</path></users_xml></user_directories>
</clickhouse>
"""
    users = """<clickhouse>
  <profiles><default/></profiles><quotas><default/></quotas>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
      <quota>default</quota><access_management>1</access_management></default>
    <%(user)s><password>%(password)s</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
      <quota>default</quota></%(user)s>
    <reader><password>%(password)s</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
      <quota>default</quota><grants><query>GRANT SELECT ON *.*</query></grants></reader>
  </users>
</clickhouse>
"""
    # The last statement never ends, and so keeps the process alive.
    serve = ("SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT sleepEachRow(3) FROM system.numbers SETTINGS "
             "max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null")

    def prepare(self):
        self.home = cached("clickhouse-" + VERSION["CLICKHOUSE"], "ClickHouse", "scripts/deps.sh clickhouse")
        os.makedirs(os.path.join(self.dir, "data"), exist_ok=True)
        values = {"dir": self.dir, "user": self.user, "password": self.password}
        for name, text in (("config.xml", self.config), ("users.xml", self.users)):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text % values)
        yield from self.stack.certificates(self)    # of proxies: the server itself has no TLS here

    def launch(self):
        return self.spawn([os.path.join(self.home, "chserve"), "--config-file=" + os.path.join(self.dir, "config.xml"),
                           "--path=" + os.path.join(self.dir, "data"), "--listen_host=" + LOOPBACK,
                           "--http_port=%d" % self.port(), "--tcp_port=%d" % self.port("TCP"),
                           "--query=" + self.serve], cwd=self.dir)

    def url(self):
        return "http://%s:%d/" % (LOOPBACK, self.port())

    def answers(self):
        return http("GET", self.url() + "ping", seconds=2) == b"Ok.\n"

    def first(self):
        http("POST", self.url() + "?query=CREATE%20DATABASE%20" + self.database)
        yield

    def env(self):
        return {"CLICKHOUSE_DSN": "clickhouse://%s:%d/%s" % (LOOPBACK, self.port(), self.database),
                "CLICKHOUSE_URL": self.url(), "CLICKHOUSE_USER": self.user, "CLICKHOUSE_PASSWORD": self.password,
                **self.stack.tls_env()}


def kind_of(name):
    """The class and the processes of a server that was asked for."""
    if re.fullmatch(r"pg|pg2|pg1[0-8]", name):
        return Postgres, [name]
    if re.fullmatch(r"(mariadb|mysql)2?|(mariadb105|mariadb118|mysql55)(_2)?", name):
        return MySql, [name]
    known = {"pg-tls": PostgresTls, "kafka": Kafka, "kafka3": KafkaOfThree,
             "kafka-secure": KafkaSecure, "registry": Registry,
             "clickhouse": ClickHouse}
    if name not in known:
        raise Failed("unknown server '%s': one of pg pg2 pg10 ... pg18 mariadb mariadb2 mariadb105 mariadb118 mysql "
                     "mysql2 mysql55 %s" % (name, " ".join(known)))
    return known[name], list(getattr(known[name], "brothers", None) or [name])
