"""What the tests of polling share: 50 writers that commit late, and pollers that miss their rows. Not a test
itself."""
import os
import random
import threading
import time

from harness import case, eventually

# Rows per run.
ROWS = int(os.environ.get("FRESHET_TEST_POLL_ROWS", "3000"))


class AtOnce:
    """Writers, each in its thread, and pollers that look on until the writers have ended. A subclass says what they do."""

    def __init__(self, rows, writers, pollers):
        """pollers: what each is given."""
        self.left, self.lock, self.errors = rows, threading.Lock(), []
        self.threads = [threading.Thread(target=self.kept, args=(self.write, i)) for i in range(writers)]
        self.pollers = [threading.Thread(target=self.kept, args=(self.poll, of)) for of in pollers]
        self.over = threading.Event()

    def kept(self, what, of):
        try:
            what(of)
        except Exception as e:  # noqa: BLE001 the case fails by it, when all have ended
            self.errors.append(e)

    def __enter__(self):
        for t in self.threads + self.pollers:
            t.start()
        return self

    def __exit__(self, *_):
        for t in self.threads:
            t.join()
        time.sleep(0.2)
        self.over.set()
        for t in self.pollers:
            t.join()
        assert not self.errors, f"{len(self.errors)} writers or pollers failed, as with {self.errors[0]!r}"


class Writers(AtOnce):
    """50 at once: a row each, committed late, in any order; three of ten roll back. Naive pollers look on."""

    def __init__(self, connect, rows):
        self.connect = connect
        self.naive = {c: set() for c in ("id", "at")}
        super().__init__(rows, 50, self.naive)

    def write(self, seed):
        rnd = random.Random(seed)
        c = self.connect()
        q = c.cursor()
        q.execute("select 1")
        c.rollback()
        while True:
            with self.lock:
                self.left -= 1
                if self.left < 0:
                    break
            q.execute("insert into t(v) values (%s)", (str(seed),))
            time.sleep(rnd.random() * (2 if rnd.random() < 0.02 else 0.05))
            (c.rollback if rnd.random() < 0.3 else c.commit)()
        c.close()

    def poll(self, column):
        """What everybody writes first: what is above the highest one seen."""
        c = self.connect()
        q = c.cursor()
        last = None
        while not self.over.is_set():
            q.execute(f"select id, {column} from t where %s is null or {column} > %s", (last, last))
            for number, value in q.fetchall():
                self.naive[column].add(int(number))
                last = value if last is None or value > last else last
            c.rollback()
            time.sleep(0.05)
        c.close()


def ids(p, space):
    return [int(e["after"]["id"]) for e in p.events("t", space) if e and e["after"]]


def late(name, p, connect, space, kills):
    """p has a table t(id serial, at, v) that is polled; connect gives a connection without autocommit."""
    with case(name, p):
        p.start()
        with Writers(connect, ROWS) as w:
            while kills and any(t.is_alive() for t in w.threads):
                time.sleep(0.5)
                p.kill()
                p.start()
        want = {int(r[0]) for r in p.sql("select id from t")}
        got = []

        def all_there():
            got[:] = ids(p, space)
            return want <= set(got)
        eventually(f"all of {len(want)} rows", all_there, 60, 0.5)
        assert set(got) == want, f"{len(set(got) - want)} rows that were never committed"
        assert len(got) == len(want), f"{len(got) - len(want)} rows came twice"
        assert p.stop() == 0
        missed = {c: len(want - seen) for c, seen in w.naive.items()}
        print(f"   {name}: {len(want)} rows, missed 0; the naive ones missed {missed}")
        assert all(missed.values()), f"the naive pollers missed nothing: {missed}, so this run proves nothing"
