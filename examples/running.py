"""What the demos share: one configuration of freshet, its verbs and its daemon. Not a demo itself."""
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import psycopg2

FRESHET, DIR = os.environ["FRESHET"], os.environ["DEMO_DIR"]
began = time.time()


def say(text):
    print(f"[{time.time() - began:5.1f} s] {text}", flush=True)


def connect(dsn, autocommit=True):
    """PostgreSQL."""
    c = psycopg2.connect(dsn)
    c.autocommit = autocommit
    return c


def database(dsn, name):
    """A new one on that server; its DSN."""
    c = connect(dsn)
    c.cursor().execute(f"create database {name}")
    c.close()
    return dsn.rsplit("/", 1)[0] + "/" + name


class Writers:
    """So many at once, each with a connection of its own, until the transactions are used up. one(q, rnd, number) makes
    a transaction, which is committed late or, three times in ten, rolled back."""

    def __init__(self, dsn, writers, transactions, one, patience):
        self.dsn, self.left, self.one, self.patience = dsn, transactions, one, patience
        self.lock, self.errors, self.committed = threading.Lock(), [], 0
        self.threads = [threading.Thread(target=self.kept, args=(i,)) for i in range(writers)]
        for t in self.threads:
            t.start()

    def kept(self, number):
        try:
            self.write(number)
        except psycopg2.Error as e:
            self.errors.append(e)

    def write(self, number):
        rnd, c = random.Random(number), connect(self.dsn, autocommit=False)
        q = c.cursor()
        while True:
            with self.lock:
                self.left -= 1
                if self.left < 0:
                    break
            self.one(q, rnd, number)
            time.sleep(rnd.random() * (self.patience if rnd.random() < 0.02 else 0.1))
            if rnd.random() < 0.3:
                c.rollback()
                continue
            c.commit()
            with self.lock:
                self.committed += 1
        c.close()

    def busy(self):
        return any(t.is_alive() for t in self.threads)


class Freshet:
    """One configuration: its verbs, and its daemon."""

    def __init__(self, config):
        self.config, self.daemon, self.peak = config, None, 0

    def verb(self, *words, may=(0,)):
        print(f"$ freshet {' '.join(words)}", flush=True)
        p = subprocess.run([FRESHET, "--config", self.config, *words], stdout=subprocess.PIPE, text=True)
        print(p.stdout, end="", flush=True)
        if p.returncode not in may:
            sys.exit(f"freshet {words[0]} ended with exit code {p.returncode}")

    def start(self):
        self.log = open(os.path.join(DIR, "freshet.log"), "ab")
        self.daemon = subprocess.Popen([FRESHET, "--config", self.config, "run"], stdout=self.log, stderr=self.log)

    def kill(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()

    def stop(self):
        self.daemon.terminate()
        code = self.daemon.wait(20)
        if code != 0:
            sys.exit(f"demo: the daemon ended with exit code {code} after SIGTERM")

    def fail(self, why):
        if self.daemon.poll() is None:
            self.daemon.terminate()
        print("".join(self.errors() or self.lines()[-20:]))
        sys.exit(f"demo: {why}")

    def lines(self):
        with open(os.path.join(DIR, "freshet.log"), errors="replace") as f:
            return f.readlines()

    def errors(self):
        return [line for line in self.lines() if " level=error " in line]

    def look(self):
        """How much memory it has had at once (peak, KiB)."""
        with open(f"/proc/{self.daemon.pid}/status") as f:
            self.peak = max(self.peak, int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]))

    def wait(self, what, differs, seconds=180):
        """Until differs() answers nothing."""
        deadline = time.time() + seconds
        while why := differs():
            self.look()
            if self.daemon.poll() is not None:
                self.fail(f"the daemon ended with exit code {self.daemon.returncode}")
            if self.errors():
                self.fail(f"{what}: a part failed")
            if time.time() > deadline:
                self.fail(f"{what}: not within {seconds} s: {why}")
            time.sleep(0.3)

    def work_through(self, writers, kills):
        """Killed so often while they write; until they are done."""
        for _ in range(kills):
            time.sleep(2)
            self.kill()
            say("killed")
            self.start()
        while writers.busy():
            time.sleep(0.1)
        if writers.errors:
            self.fail(f"a writer failed: {writers.errors[0]}")

    def keep_running(self, names, hints):
        """KEEP=1: says which variables (names) the configuration needs and what to try, until Ctrl-C."""
        values = " \\\n         ".join(f"{n}={os.environ[n]}" for n in names)
        print(f"""
Everything goes on running. What to type next (in another terminal):
  export {values}
  {FRESHET} -c {self.config} status""")
        print("\n".join("  " + h for h in hints) + "\nCtrl-C here ends it all.", flush=True)
        try:
            self.daemon.wait()
        except KeyboardInterrupt:
            self.stop()
