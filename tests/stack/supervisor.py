"""The supervisor of a test stack: the process that owns the servers, takes requests and leaves nothing
behind. Started and asked by ./stack."""
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time

from servers import (
    CACHE, Failed, PR_SET_CHILD_SUBREAPER, Port, PortTaken, TICK, VERSION, descendants,
    gather, kind_of, prctl, signal_all)


class Job:
    """A request that takes its time, and the client who waits for it."""

    def __init__(self, generator, client):
        self.generator, self.client = generator, client


class Supervisor:
    def __init__(self, folder, made, hold, owner, ttl):
        self.dir, self.made, self.hold = folder, made, hold
        self.certs = os.path.join(folder, "certs")
        self.certs_state = None
        self.servers, self.groups, self.children = {}, [], {}
        self.coming = set()          # groups that are being made and started
        self.jobs, self.ending = [], False
        self.owner = os.pidfd_open(owner) if owner else None
        self.until = time.monotonic() + ttl if ttl else None
        os.makedirs(os.path.join(folder, "log"), exist_ok=True)
        # Orphans of our servers become our children, so that none can get away.
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def popen(self, argv, **more):
        p = subprocess.Popen(argv, start_new_session=True, **more)
        self.children[p.pid] = p
        return p

    def reap(self):
        """Collects what ended; a Popen collects its own, so that its exit code is not lost."""
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            p = self.children.pop(info.si_pid, None)
            if p is None or p.poll() is None:
                os.waitpid(info.si_pid, os.WNOHANG)

    # -- what clients ask for: generators whose result is the reply

    def up(self, names):
        """Starts servers side by side; those that are there already stay as they are, and for those that
        somebody else is starting we wait."""
        while any(name in self.coming for name in names):
            yield
        groups = []
        for name in names:
            cls, processes = kind_of(name)
            if name not in self.groups and name not in groups:
                groups.append(name)
                for p in processes:
                    self.servers[p] = cls(self, p)
        self.coming.update(groups)
        try:
            yield from gather(*[self.up_group(kind_of(name)[1]) for name in groups])
        except Exception:        # not GeneratorExit: then down() ends them
            for name in groups:
                for p in kind_of(name)[1]:
                    server = self.servers.pop(p, None)
                    if server:
                        yield from server.end(signal.SIGKILL)
                        shutil.rmtree(server.dir, ignore_errors=True)
            raise
        finally:
            self.coming.difference_update(groups)
        self.groups += groups
        return {"env": self.env()}

    def up_group(self, names):
        servers = [self.servers[n] for n in names]
        yield from gather(*[s.prepare() for s in servers])
        for attempt in range(5):
            for s in servers:
                s.ports = {n: Port() for n in s.port_names}
            try:
                yield from gather(*[s.start() for s in servers])
                break
            except PortTaken:
                yield from gather(*[s.end(signal.SIGKILL) for s in servers])
                for s in servers:
                    for p in s.ports.values():
                        p.close()
        else:
            raise Failed("%s: five ports in a row were taken" % names[0])
        yield from gather(*[s.first() for s in servers])

    def env(self):
        out = {"FRESHET_STACK": self.dir}
        python = os.path.join(CACHE, "python-" + hashlib.sha256(
            VERSION["PYTHON_PACKAGES"].encode()).hexdigest()[:12], "bin/python")
        if os.path.exists(python):
            out["FRESHET_PYTHON"] = python      # has confluent_kafka, fastavro, psycopg2
        for server in self.servers.values():
            if server.ports:
                out.update(server.env())
        return out

    def tls_env(self):
        c = self.certs
        return {"TLS_CA": c + "/ca.pem", "TLS_CERT": c + "/client.pem", "TLS_KEY": c + "/client.key",
                "TLS_WRONG_CA": c + "/wrong-ca.pem"}

    def certificates(self, server):
        """A CA, a server's certificate for localhost and 127.0.0.1, a client's, and a stranger's CA."""
        while self.certs_state == "making":
            yield
        if self.certs_state == "made":
            return
        self.certs_state = "making"
        os.makedirs(self.certs, exist_ok=True)
        yield from server.command(["sh", "-euc", r"""
            cd "$1"
            key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1.key"; }
            ca() { key "$1"; openssl req -x509 -new -key "$1.key" -days 3650 -subj "/CN=$1" -out "$1.pem"; }
            signed() {
                key "$1"
                openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
                printf '%s\n' "$3" >"$1.ext"
                openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
                    -extfile "$1.ext" -out "$1.pem"
            }
            ca ca; ca wrong-ca
            signed server localhost 'subjectAltName=DNS:localhost,IP:127.0.0.1'
            signed client freshet 'extendedKeyUsage=clientAuth'
            cat server.key server.pem >server-keystore.pem
            chmod 644 *.pem; rm -f *.csr *.ext""", "sh", self.certs], own_user=False)
        self.certs_state = "made"

    def named(self, name):
        if name not in self.servers:
            raise Failed("no '%s' in this stack; there are: %s" % (
                name, " ".join(self.servers) or "none"))
        return self.servers[name]

    def start(self, name):
        server = self.named(name)
        if server.alive():
            raise Failed("%s runs already (%d)" % (name, server.process.pid))
        yield from server.start()
        return {"text": str(server.process.pid)}

    def stop(self, name):
        server = self.named(name)
        yield from server.end(server.stop_signal)
        return {}

    def kill(self, name, number):
        server = self.named(name)
        if not server.alive():
            raise Failed("%s does not run" % name)
        if number is None:
            number = server.stop_signal
        if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT):
            yield from server.end(number)
        elif number == signal.SIGSTOP:
            yield from self.freeze(name)
        elif number == signal.SIGCONT:
            yield from self.cont(name)
        else:
            signal_all([server.process.pid], number)
        return {}

    def freeze(self, name):
        server = self.named(name)
        if not server.alive():
            raise Failed("%s does not run" % name)
        pid = server.process.pid
        signal_all([pid], signal.SIGSTOP)       # first, so that it makes no more children
        signal_all(descendants(pid), signal.SIGSTOP)
        server.state = "frozen"
        return {}
        yield

    def cont(self, name):
        server = self.named(name)
        if not server.alive():
            raise Failed("%s does not run" % name)
        signal_all(descendants(server.process.pid) + [server.process.pid], signal.SIGCONT)
        server.state = "up"
        return {}
        yield

    def pid(self, name):
        server = self.named(name)
        if not server.alive():
            raise Failed("%s does not run" % name)
        return {"text": str(server.process.pid)}
        yield

    def status(self):
        lines = []
        coming = {p for group in self.coming for p in kind_of(group)[1]}
        for s in self.servers.values():
            if s.state in ("up", "frozen") and not s.alive():
                s.state = "dead"
            lines.append("%-13s %-9s %8s  %s" % (
                s.name, "coming" if s.name in coming else s.state, s.process.pid if s.alive() else "-",
                " ".join("%s=%d" % (n.lower(), p.number) for n, p in s.ports.items())))
        return {"text": "\n".join(lines)}
        yield

    def log(self, name):
        return {"text": self.named(name).log}
        yield

    def down(self):
        for job in self.jobs:
            if job.generator.gi_code is not Supervisor.down.__code__:
                job.generator.close()
        yield from gather(*[s.end(s.end_signal) for s in self.servers.values()])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            rest = descendants(os.getpid())
            if not rest:
                break
            signal_all(rest, signal.SIGCONT)
            signal_all(rest, signal.SIGKILL)
            yield
        self.remove()
        self.ending = True
        return {}

    def keep_logs(self, folder):
        """A test's own stack has the same folder: a server's second log there is NAME.2.log."""
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(os.path.join(self.dir, "log")):
            base, end = os.path.splitext(name)
            to, n = name, 2
            while os.path.exists(os.path.join(folder, to)):
                to, n = "%s.%d%s" % (base, n, end), n + 1
            shutil.copy(os.path.join(self.dir, "log", name), os.path.join(folder, to))

    def remove(self):
        logs = os.environ.get("FRESHET_STACK_LOGS")
        if logs:
            self.keep_logs(logs)
        os.chdir("/")
        if self.made:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            for name in list(self.servers) + ["log", "certs"]:
                shutil.rmtree(os.path.join(self.dir, name), ignore_errors=True)
            for name in ("ctl", "supervisor.log"):
                try:
                    os.unlink(os.path.join(self.dir, name))
                except FileNotFoundError:
                    pass

    # -- the loop: requests, signals, the owner's end, and a tick while something is under way

    def request(self, client):
        client.setblocking(True)
        client.settimeout(5)
        try:
            data = client.makefile("rb").readline()
            verb, *arguments = json.loads(data)
            if verb not in ("up", "down", "start", "stop", "kill", "freeze", "cont", "pid",
                            "status", "log", "env"):
                raise Failed("unknown request '%s'" % verb)
            if verb == "env":
                self.reply(client, {"env": self.env()})
            else:
                self.jobs.append(Job(getattr(self, verb)(*arguments), client))
        except (Failed, ValueError, TypeError, OSError) as e:
            self.reply(client, {"error": str(e)})

    @staticmethod
    def reply(client, message):
        if client is None:
            return
        try:
            client.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass
        client.close()

    def step(self):
        for job in list(self.jobs):
            try:
                next(job.generator)
                continue
            except StopIteration as e:
                result = e.value if e.value is not None else {"error": "the stack went down"}
            except (Failed, OSError) as e:
                result = {"error": str(e)}
            except Exception as e:      # a mistake of ours must not leave the client waiting
                result = {"error": "%s: %s" % (type(e).__name__, e)}
            self.jobs.remove(job)
            self.reply(job.client, result)

    def go_down(self):
        if not self.ending and not any(j.client is None for j in self.jobs):
            self.jobs.append(Job(self.down(), None))

    def serve(self):
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        door = socket.socket(socket.AF_UNIX)
        here = os.open(self.dir, os.O_RDONLY | os.O_DIRECTORY)
        old = os.umask(0o077)
        door.bind("/proc/self/fd/%d/ctl" % here)    # whose name may be longer than a socket's may
        os.umask(old)
        door.listen(16)
        while not self.ending:
            fds = [door.fileno(), wake_read] + [f for f in (self.hold, self.owner) if f is not None]
            wait = TICK if self.jobs else 60
            if self.until:
                wait = min(wait, max(0, self.until - time.monotonic()))
            for fd in select.select(fds, [], [], wait)[0]:
                if fd == door.fileno():
                    self.request(door.accept()[0])
                elif fd == wake_read:
                    if set(os.read(wake_read, 4096)) - {int(signal.SIGCHLD)}:
                        self.go_down()
                elif fd == self.owner:
                    os.close(self.owner)
                    self.owner = None
                    self.go_down()
                elif fd == self.hold:
                    if os.read(self.hold, 1) != b"k":
                        self.go_down()
                    os.close(self.hold)
                    self.hold = None
            if self.until and time.monotonic() >= self.until:
                self.until = None
                self.go_down()
            self.reap()
            self.step()
            self.reap()


def serve(argv):
    folder, made, hold, owner, ttl = argv
    supervisor = Supervisor(folder, made == "1", int(hold), int(owner), float(ttl))
    try:
        supervisor.serve()
    except BaseException:       # a mistake of ours must not leave anything behind either
        signal_all(descendants(os.getpid()), signal.SIGKILL)
        supervisor.remove()
        raise
