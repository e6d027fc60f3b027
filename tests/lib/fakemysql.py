"""A MySQL or MariaDB server that is none: it plays back what a real one said, and lies where it is told to.

    session = record(("127.0.0.1", port), run)   # run(port): a client that goes through that port
    with Player(session) as p:
        p.lie = lie                              # lie(connection, packet number, packet) -> what to send

Protocol: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html. A connection is a list of
turns: what the server says at once, then what it says to each packet of the client. Plain lines only."""
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault"))
from faultproxy import DOWN, Proxy  # noqa: E402

LONGEST = 0xffffff
LOST = 2  # seconds without a word: after a lie the client may wait for us as we do for it


def framed(payload, number):
    return len(payload).to_bytes(3, "little") + bytes([number & 0xff]) + payload


def split(data):
    """Whole packets, and what is left."""
    packets = []
    while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:3], "little"):
        size = 4 + int.from_bytes(data[:3], "little")
        packets.append(data[:size])
        data = data[size:]
    return packets, data


class Recorder(Proxy):
    """turns[connection]: lists of the server's packets, one for what it said before the client's n-th packet."""

    def __init__(self, target):
        super().__init__(0, target)
        self.turns = {}

    def pieces(self, c, way, source):
        data = b""
        turns = self.turns.setdefault(c.number, [[]])
        while True:
            more = c.read(source)
            if not more:
                return
            packets, data = split(data + more)
            for packet in packets:
                if way == DOWN:
                    turns[-1].append(packet)
                else:
                    turns.append([])
                yield packet


def record(target, run):
    with Recorder(target) as r:
        run(r.port)
        return [turns for _, turns in sorted(r.turns.items()) if turns != [[]]]


class Player:
    """Serves any number of clients, one after another: start(lie) begins the session anew. What clients send
    is kept in `heard`."""

    def __init__(self, session):
        self.session, self.lie = session, None
        self.next, self.heard, self.open = 0, b"", set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.start(None)

    def start(self, lie):
        """lie(connection, turn, packets of the turn, socket) -> packets or None, which hangs up."""
        with self.lock:
            self.next, self.lie, self.heard = 0, lie, b""
            old, self.open = self.open, set()
        for s in old:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                number, self.next = self.next, self.next + 1
                lie = self.lie
                self.open.add(s)
            threading.Thread(target=self.serve, args=(s, number, lie), daemon=True).start()

    def serve(self, s, number, lie):
        try:
            if number < len(self.session):
                self.play(s, number, lie)
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(s)
            s.close()

    def play(self, s, number, lie):
        data = b""
        if lie is not None:
            s.settimeout(LOST)
        for turn, packets in enumerate(self.session[number]):
            if turn > 0:
                said, data = self.hear(s, data)
                if said is None:
                    return
            if lie is not None:
                packets = lie(number, turn, packets, s)
                if packets is None:
                    return
            if packets:
                s.sendall(b"".join(packets))
        while self.hear(s, b"")[0] is not None:  # until the client goes
            pass

    def hear(self, s, data):
        """One packet of the client, None at its end."""
        while True:
            packets, _ = split(data)
            if packets:
                return packets[0], data[len(packets[0]):]
            more = s.recv(65536)
            if not more:
                return None, b""
            self.heard += more
            data += more


def error(number, code, text):
    return framed(b"\xff" + struct.pack("<H", code) + b"#HY000" + text.encode(), number)


def end(number, more=False):
    """EOF packet: no warnings, status autocommit, and that more results come."""
    return framed(struct.pack("<BHH", 0xfe, 0, 2 | (8 if more else 0)), number)


def column(number, name=b"x"):
    """A definition of a text column."""
    texts = [b"def", b"", b"", b"", name, name]
    fixed = struct.pack("<BHIBHBH", 12, 45, 1 << 24, 253, 0, 0, 0)
    return framed(b"".join(bytes([len(t)]) + t for t in texts) + fixed, number)


def fine(number, more=False):
    """OK packet."""
    return framed(struct.pack("<BBBHH", 0, 0, 0, 2 | (8 if more else 0), 0), number)


def pour(s, packets):
    """Sends until the client has enough, or there are no more."""
    try:
        for packet in packets:
            s.sendall(packet)
    except OSError:
        pass
