"""What the tests of second readers share: the probe's verb beside, and what its two readers said."""
import json
import subprocess
import threading
import time


class Both:
    """The probe's two readers, and what they have said so far."""

    def __init__(self, d, commits, **options):
        self.process = subprocess.Popen(d.command("beside", commits=commits, seconds=60, **options),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.err, self.code = [], "", None
        self.readers = [threading.Thread(target=f) for f in (self.read, self.read_err)]
        for r in self.readers:
            r.start()

    def read(self):
        for line in self.process.stdout:
            if line.endswith("\n"):  # one that is killed may be in the middle of its last line
                self.lines.append(json.loads(line))

    def read_err(self):
        self.err = self.process.stderr.read()

    def running(self):
        return self.process.poll() is None

    def until(self, **members):
        """Until one of them said a line with these members."""
        at, deadline = 0, time.time() + 60
        while time.time() < deadline:
            alive, lines = self.running(), self.lines[at:]
            if any(all(x.get(k) == v for k, v in members.items()) for x in lines):
                return
            at += len(lines)
            if not alive and not lines:
                break
            time.sleep(0.02)
        raise AssertionError("never said: %r, but %r %s" % (members, self.lines[-2:], self.err[-1000:]))

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        """Waits until it has ended."""
        for r in self.readers:
            r.join()
        self.code = self.process.wait()
        return self

    def first(self, key):
        return next(x for x in self.lines if key in x)

    def error(self):
        return next((x for x in self.lines if "error" in x), None)

    def fine(self):
        self.end()
        if self.code != 0 or "Sanitizer" in self.err:
            raise AssertionError("exit %d: %r %s" % (self.code, self.error(), self.err[-2000:]))
        return self


def said(lines, reader, since=None):
    """What a reader said of the log after the place; each row with its table's columns as they were then."""
    out, columns, on = [], {}, since is None
    for x in lines:
        if x.get("reader") != reader or "op" not in x:
            continue
        if x["op"] == "TABLE":
            columns[x["table"]] = [(c["name"], c["kind"], c["nullable"]) for c in x["columns"]]
        elif on and x["op"] != "HEARTBEAT":
            out.append(dict({k: v for k, v in x.items() if k != "reader"}, columns=columns.get(x.get("table"))))
        on = on or x.get("resume") == since
    return out


def same_as_first(r, table, rows, times, shapes=None):
    """The second reader, opened so many times, said what the first did after the place where it began: events,
    values, positions, ordinals, shapes of the tables. Answers the status that was then."""
    held = r.first("held")["held"]
    text = next(x["resume"] for x in r.lines if x.get("resume") and json.loads(x["resume"]) == held)
    want, got = said(r.lines, "first", text), said(r.lines, "beside")
    if sum(x["op"] in "cud" for x in want) < rows:
        raise AssertionError("only %d events to compare" % len(want))
    for i in range(times):
        part = got[i * len(want):(i + 1) * len(want)]
        for a, b in zip(want, part):
            if a != b:
                raise AssertionError("reader %d: %r is not %r" % (i, b, a))
    if len(got) != times * len(want):
        raise AssertionError("%d events, not %d times %d" % (len(got), times, len(want)))
    if want[1:] == got[:len(want) - 1]:
        raise AssertionError("the comparison cannot fail")
    seen = {json.dumps(x["columns"]) for x in want if x.get("table") == table}
    if shapes and len(seen) != shapes:
        raise AssertionError("%d shapes of %s" % (len(seen), table))
    return next(x for x in r.lines if "confirmed_lsn" in x)
