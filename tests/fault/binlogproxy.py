"""A proxy that knows the protocol of MySQL and MariaDB well enough to cut a connection at a chosen event of a
binlog: packets (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html: 3 bytes
length, 1 byte number), and after a request for the log the header of the event in each (1 byte 0, 4 bytes time,
1 byte type). Lines without TLS and without compression only.

    with BinlogProxy(("127.0.0.1", port)) as p: p.cut_at(lambda index, kind: kind == XID)"""
import random

from faultproxy import UP, Cut, Proxy

DUMP, DUMP_GTID = 0x12, 0x1e
QUERY, XID, TABLE_MAP, GTID, ANONYMOUS, TAGGED_GTID, MARIADB_GTID = 2, 16, 19, 33, 34, 42, 162
ROWS = {23: "WRITE", 24: "UPDATE", 25: "DELETE", 30: "WRITE", 31: "UPDATE", 32: "DELETE"}
STARTS = (GTID, ANONYMOUS, TAGGED_GTID, MARIADB_GTID)
NAMES = {QUERY: "QUERY", XID: "XID", TABLE_MAP: "TABLE_MAP", 160: "ANNOTATE", 29: "ROWS_QUERY",
         **dict.fromkeys(STARTS, "GTID"), **ROWS}
LONGEST = 0xffffff  # a packet this long goes on in the next one


class BinlogProxy(Proxy):
    def __init__(self, target, seed=1):
        super().__init__(0, target)
        self.random = random.Random(seed)
        self.wanted = None   # (index in the group, event type) -> cut here?
        self.cuts = []       # (index, name of the event's type, bytes of its packet that passed, its bytes)

    def cut_at(self, wanted):
        """The next event of a group for which wanted(index, type) holds is cut, at any of its bytes."""
        with self.lock:
            self.wanted = wanted

    def packets(self, c, source):
        data = b""
        while True:
            while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:3], "little"):
                size = 4 + int.from_bytes(data[:3], "little")
                yield data[:size]
                data = data[size:]
            more = c.read(source)
            if not more:
                return
            data += more

    def pieces(self, c, way, source):
        c.dumps = getattr(c, "dumps", False)
        if way == UP:
            for packet in self.packets(c, source):
                c.dumps = c.dumps or (packet[3] == 0 and len(packet) > 4 and packet[4] in (DUMP, DUMP_GTID))
                yield packet
            return
        index, whole = None, True
        for packet in self.packets(c, source):
            if c.dumps and whole and len(packet) > 9 and packet[4] == 0:
                kind = packet[9]
                index = 0 if kind in STARTS else None if index is None else index + 1
                if index is not None and self.hits(index, kind):
                    yield from self.part(index, kind, packet)
                    raise Cut
                index = None if kind == XID else index
            whole = len(packet) - 4 < LONGEST
            yield packet

    def hits(self, index, kind):
        with self.lock:
            if self.wanted is None or not self.wanted(index, kind):
                return False
            self.wanted = None
            return True

    def part(self, index, kind, packet):
        passed = self.random.randrange(len(packet) + 1)
        if passed > 0:
            yield packet[:passed]
        self.cuts.append((index, NAMES.get(kind, str(kind)), passed, len(packet)))
