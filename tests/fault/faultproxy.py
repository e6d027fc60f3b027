"""A TCP proxy that does to a connection what networks do: cut, reset, stall, lose a reply.

    with Proxy(listen_port, ("127.0.0.1", port)) as p: ...

Proxy passes bytes and knows no protocol; `cut_after` and `lose_after` choose where a connection ends.
KafkaProxy knows Kafka's frames (https://kafka.apache.org/protocol: INT32 length, then in a request
INT16 api key, INT16 version, INT32 correlation id, in a reply INT32 correlation id) and can lose or
delay the reply to, or hold back, the n-th request of an API. It rewrites nothing.

A connection has two threads, one a direction. Whoever decides that it ends resets both sides (RST), as
a machine that went away would; an orderly end of one side is passed on as such."""
import select
import socket
import struct
import threading
import time

PRODUCE, ADD_PARTITIONS, INIT_PRODUCER_ID, END_TXN = 0, 24, 22, 26
UP, DOWN = "up", "down"  # client to server, server to client
CHUNK = 65536


class Cut(Exception):
    """The connection ends here."""


def receive(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def reset(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    except OSError:
        pass


class Connection:
    def __init__(self, proxy, client, number):
        self.proxy, self.client, self.number = proxy, client, number
        self.server = None
        self.bytes = {UP: 0, DOWN: 0}
        self.tail = {UP: b"", DOWN: b""}
        self.limit = None  # of bytes from the server
        self.ended = threading.Event()
        self.lock = threading.Lock()

    def start(self):
        threading.Thread(target=self.connect, daemon=True).start()

    def connect(self):
        try:
            self.server = socket.create_connection(self.proxy.target, 10)
            self.server.settimeout(None)
        except OSError:
            self.cut()
            return
        for s in (self.client, self.server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.pump, args=(UP, self.client, self.server), daemon=True).start()
        self.pump(DOWN, self.server, self.client)

    def read(self, sock):
        """Some bytes, or b"" at their end. Sleeps in select, so that a cut is noticed soon."""
        while not self.ended.is_set():
            if select.select([sock], [], [], 0.1)[0]:
                return sock.recv(CHUNK)
        raise Cut

    def pump(self, way, source, sink):
        try:
            for data in self.proxy.pieces(self, way, source):
                self.proxy.wait_released(self)
                sink.sendall(data)
                self.bytes[way] += len(data)
            sink.shutdown(socket.SHUT_WR)
            if way == DOWN:
                self.cut()
        except (OSError, ValueError, Cut):
            self.cut()

    def cut(self):
        """Resets both sides; any thread may call it."""
        with self.lock:
            if self.ended.is_set():
                return
            self.ended.set()
        for s in (self.client, self.server):
            if s is not None:
                reset(s)
        self.proxy.forget(self)


class Proxy:
    def __init__(self, port, target):
        self.target = target
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.connections, self.accepted, self.lost = set(), 0, 0
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.released.set()
        self.closed = False
        self.limit = None      # () -> bytes after which the next connection is cut, or None
        self.matches = []      # [direction, bytes, how many more times]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                c = Connection(self, client, self.accepted)
                c.limit = self.limit and self.limit()
                self.connections.add(c)
            c.start()

    def close(self):
        self.closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.released.set()
        self.cut()

    def forget(self, connection):
        with self.lock:
            self.connections.discard(connection)

    # --- faults ---

    def cut(self):
        """Resets every connection now; answers how many."""
        with self.lock:
            now = list(self.connections)
        for c in now:
            c.cut()
        return len(now)

    def hold(self):
        """No byte passes any more, nobody is told: a network that swallows packets."""
        self.released.clear()

    def release(self):
        self.released.set()

    def wait_released(self, connection):
        while not self.released.wait(0.1):
            if connection.ended.is_set():
                raise Cut

    def cut_after(self, choose):
        """Each new connection is reset after choose() bytes from the server (None: never)."""
        self.limit = choose

    def lose_after(self, way, data, times, after=0.0):
        """The next `times` occurrences of these bytes, and what follows, are lost with the connection, which
        ends `after` so many seconds: time for the other side to end what it is doing."""
        with self.lock:
            self.matches.append([way, data, times, after])

    # --- what passes ---

    def pieces(self, c, way, source):
        while True:
            data = c.read(source)
            if not data:
                return
            at, after = self.match(c, way, data)
            time.sleep(after)
            if way == DOWN and c.limit is not None:
                left = c.limit - c.bytes[way]
                at = min(len(data) if at is None else at, left) if left < len(data) else at
            if at is None:
                yield data
                continue
            if at > 0:
                yield data[:at]
            raise Cut

    def match(self, c, way, data):
        """Where in data the connection has to be cut, or None; and how long after."""
        with self.lock:
            for m in self.matches:
                if m[0] != way or m[2] <= 0:
                    continue
                joined = c.tail[way] + data
                at = joined.find(m[1])
                c.tail[way] = joined[-(len(m[1]) - 1):]
                if at >= 0:
                    m[2] -= 1
                    self.lost += 1
                    return max(0, at - len(joined) + len(data)), m[3]
        return None, 0


class Rule:
    """What happens to requests of an API: every `each`-th, at most `times` times.

    lose: the broker acts, its reply never comes, the connection is reset (seconds > 0: the reply is
    swallowed and the reset comes so much later); delay: the reply comes `seconds` later; late: the
    client's connection is reset, and the request reaches the broker `seconds` after the requests
    that `after` lists have passed, in that order; the broker's replies to such are kept in `answers`."""

    def __init__(self, api, action, each=1, times=1, seconds=0.0, first=1, after=()):
        self.api, self.action, self.each, self.times, self.seconds = api, action, each, times, seconds
        self.seen, self.first, self.done = 0, first, 0
        self.after, self.answers = after, []

    def hits(self, api):
        if api != self.api or self.done >= self.times:
            return False
        self.seen += 1
        if self.seen < self.first or (self.seen - self.first) % self.each:
            return False
        self.done += 1
        return True


class KafkaProxy(Proxy):
    def __init__(self, port, target):
        super().__init__(port, target)
        self.rules = []
        self.requests = {}  # api key -> how many passed
        self.asked = {}     # (connection, correlation id) -> rule

    def rule(self, *args, **more):
        r = Rule(*args, **more)
        with self.lock:
            self.rules.append(r)
        return r

    def frames(self, c, source):
        data = b""
        while True:
            while len(data) >= 4:
                size = struct.unpack_from(">i", data)[0]
                if size < 4 or size > 1 << 30:
                    raise ValueError(f"a frame of {size} bytes: not Kafka")
                if len(data) < 4 + size:
                    break
                yield data[:4 + size]
                data = data[4 + size:]
            more = c.read(source)
            if not more:
                return
            data += more

    def pieces(self, c, way, source):
        for frame in self.frames(c, source):
            act = self.request if way == UP else self.reply
            if act(c, frame):
                yield frame

    def request(self, c, frame):
        api, _, correlation = struct.unpack_from(">hhi", frame, 4)
        with self.lock:
            self.requests[api] = self.requests.get(api, 0) + 1
            rule = next((r for r in self.rules if r.hits(api)), None)
            if rule is not None:
                self.asked[(c.number, correlation)] = rule
        if rule is not None and rule.action == "late":
            self.send_late(c, frame, rule)
            raise Cut
        return True

    def send_late(self, c, frame, rule):
        """The broker's side of the connection lives on without its client."""
        kept = c.server.dup()  # the thread that reads the replies closes its own

        def later():
            for api in rule.after:
                before = self.requests.get(api, 0)
                while not self.closed and self.requests.get(api, 0) == before:
                    time.sleep(0.0005)
            time.sleep(rule.seconds)
            try:
                kept.settimeout(10)
                kept.sendall(frame)
                size, = struct.unpack(">i", receive(kept, 4))
                rule.answers.append(receive(kept, size))
            except OSError as e:
                rule.answers.append(e)
            kept.close()
        threading.Thread(target=later, daemon=True).start()

    def reply(self, c, frame):
        correlation = struct.unpack_from(">i", frame, 4)[0]
        with self.lock:
            rule = self.asked.pop((c.number, correlation), None)
        if rule is None:
            return True
        if rule.action == "delay":
            time.sleep(rule.seconds)
            return True
        self.lost += 1
        if rule.seconds > 0:
            c.ended.wait(rule.seconds)
        raise Cut
