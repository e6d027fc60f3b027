#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""`freshet ddl outbox`: the SQL runs as it is, plan is content then, an INSERT becomes an event, and --drop leaves
nothing. With names that are no words."""
import json
import os
import subprocess
import sys
from urllib.parse import quote, urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PG_SOURCE, Pipeline, case, connect, eventually, finish, read_topics, together  # noqa: E402
from mysql import MY_SOURCE, MyPipeline, add_server, parts  # noqa: E402
from mysql import connect as my_connect  # noqa: E402

TABLE = "out\"bo`x'; drop table other; -- é\n\\q\nselect 1"
KEY, KIND, BODY, HEADER = "ke\"y`'", "ki nd;--", "bo\ndy", "tra'ce`\""
LOG = "    log: {{publication: {publication}, slot: {slot}}}\n"
WAYS = (False, True)  # read from the log, polled


def quoted(mark, *names):
    return ".".join(mark + n.replace(mark, mark * 2) + mark for n in names)


def uncomment(sql, first, last):
    """The statement behind "-- " that begins and ends so."""
    out = []
    for line in sql[sql.index("-- " + first):].split("\n"):
        out.append(line.removeprefix("-- "))
        if line.endswith(last):
            return "\n".join(out)
    raise AssertionError(f"no end of {first}: {sql}")


def of_table(p):
    """What plan finds wrong with the table, or its publication."""
    code, out, err = p.verb("plan", "--json")
    found = [f for s in json.loads(out)["result"]["sections"] for f in s["findings"]]
    assert any(f["code"] == "outbox.topics" for f in found) or code == 4, (code, out, err)
    return [f for f in found if f["severity"] == "blocker" or f["severity"] == "warning" and p.table in f["message"]]


class Postgres(Pipeline):
    space = 'sp"a\'ce'

    def __init__(self, polled=False):
        super().__init__("", target=False)
        self.reader, self.writer = f"re\"ad'{self.id}", f"wr\"it'{self.id}"
        self.admin = self.source
        self.publication = f'pu"b\'{self.id}'
        mark = self.quotes = '"'
        self.sql(f"create schema {quoted(mark, self.space)}; create publication {quoted(mark, self.publication)};"
                 f"create role {quoted(mark, self.reader)} login {'' if polled else 'replication'}; create role {quoted(mark, self.writer)} login;"
                 f"grant create on database {self.id} to {quoted(mark, self.reader)}", on=self.admin)
        self.source = self.as_user(self.reader)
        configure(self, PG_SOURCE if polled else PG_SOURCE.replace("    tables:", LOG + "    tables:"), polled)

    def as_user(self, user):
        u = urlsplit(self.admin)
        return f"postgresql://{quote(user, safe='')}@{u.hostname}:{u.port}/{self.id}"

    def values(self):
        return dict(super().values(), publication=json.dumps(getattr(self, "publication", "")))

    def client(self, sql):
        return subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.admin], input=sql, text=True, capture_output=True)

    def as_writer(self, statement):
        self.sql(statement, on=self.as_user(self.writer))

    def count(self):
        return self.sql(f"select count(*) from {quoted(self.quotes, self.space, TABLE)}", on=self.admin)[0][0]

    def left(self):
        return [n for q in ("select relname from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = %s",
                            "select tablename from pg_publication_tables where pubname = %s")
                for n in self.sql(q, self.space if "nspname" in q else self.publication, on=self.admin)]

    def close(self):
        super().close()
        c = connect(os.environ["PG_DSN"])
        for role in (self.reader, self.writer):
            c.cursor().execute("drop role " + quoted('"', role))
        c.close()


class MySql(MyPipeline):
    def __init__(self, server, polled=False):
        super().__init__("", server)
        self.quotes = "`"
        self.space = self.id
        self.reader, self.writer = f"re`a'{self.id}", f"wr`i'{self.id}"
        secret = self.values()["password"]
        c = my_connect(self.root)
        with c.cursor() as q:
            for user in (self.reader, self.writer):
                q.execute(f"create user {quoted('`', user)}@'%' identified by '{secret}'")
            if not polled:
                q.execute(f"grant replication slave, replication client, reload on *.* to {quoted('`', self.reader)}@'%'")
        c.close()
        at = urlsplit(self.root)
        self.source = f"mysql://{quote(self.reader, safe='')}@{at.hostname}:{at.port}/"
        configure(self, MY_SOURCE, polled)

    def client(self, sql):
        d = parts(self.root)
        return subprocess.run(["mariadb", "--no-defaults", "-h", d["host"], "-P", str(d["port"]), "-u", d["user"], "--skip-ssl"],
                              input=sql, text=True, capture_output=True)

    def as_writer(self, statement):
        c = my_connect(self.root, user=self.writer, password=self.values()["password"], database=None)
        with c.cursor() as q:
            q.execute(statement)
        c.close()

    def count(self):
        return self.sql(f"select count(*) from {quoted(self.quotes, self.space, TABLE)}")[0][0]

    def left(self):
        return list(self.sql("select table_name from information_schema.tables where table_schema = %s", self.space) or ()) + \
            list(self.sql("select * from mysql.tables_priv where db = %s and user = %s", self.space, self.reader) or ())

    def close(self):
        c = my_connect(self.root)
        with c.cursor() as q:
            for user in (self.reader, self.writer):
                q.execute(f"drop user {quoted('`', user)}@'%'")
        c.close()
        super().close()


def configure(p, text, polled):
    p.table = f"{p.space}.{TABLE}"
    o = dict(id="id", key=KEY, type="type", payload=BODY, headers=[HEADER], route=p.id + ".event.${" + KIND + "}")
    line = "      " + json.dumps(p.table) + ": " + json.dumps(dict({"method": "outbox"} if polled else {}, outbox=o)) + "\n"
    p.write(text + line.replace("{", "{{").replace("}", "}}"))


def from_nothing_to_nothing(server, polled):
    p = Postgres(polled) if server == "postgres" else MySql(server, polled)
    with case(f"ddl_{server}{'_polled' if polled else ''}", p):
        word = f"src/{p.table}"
        code, make, err = p.verb("ddl", "outbox", "--table", word)
        assert code == 0 and "[FAIL]" not in err, err
        assert json.loads(p.verb("ddl", "outbox", "--table", word, "--json")[1])["result"]["sql"] == make
        assert of_table(p), "the control: plan does not miss the table"
        before = p.left()
        done = p.client(make)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert p.left(), "the control: nothing was seen to be made"
        wrong = of_table(p)
        assert not wrong, wrong

        again = p.client(make)
        assert again.returncode != 0 and "already exists" in again.stderr, again.stderr
        p.start()
        if not polled:
            p.says("stream from")
        who, account = "application", quoted(p.quotes, p.writer)
        if server != "postgres":
            who, account = "'application'@'%'", account + "@'%'"
        for right in ["GRANT USAGE"] * (server == "postgres") + ["GRANT INSERT"]:
            grant = uncomment(make, right, f" TO {who};").removesuffix(who + ";") + account + ";"
            done = p.client(grant)
            assert done.returncode == 0, (grant, done.stderr)
        p.as_writer(uncomment(make, "INSERT", ");"))
        got = eventually("the event", lambda: read_topics(p.bootstrap, [p.id + ".event.order"]), 60, 0.2)
        assert [(m.key(), m.value(), m.headers()) for m in got] == [
            (b"42", b'{"id": 42}', [("id", b"1"), ("type", b"created"), (HEADER, None)])], [
                (m.key(), m.value(), m.headers()) for m in got]
        if polled:
            eventually("its deletion", lambda: p.count() == 0)
        assert p.count() == (0 if polled else 1), p.count()
        assert p.stop() == 0
        code, drop, err = p.verb("ddl", "outbox", "--table", word, "--drop")
        done = p.client(drop)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert p.left() == before == [], (before, p.left())
    p.close()


def refused():
    """Exit code 2, with what to do."""
    p = Postgres()
    with case("ddl_refused", p):
        for table, text in ((f"{p.space}.other", "does not capture"), ("a.b", '"a.b": {outbox: {id: id, key: aggregateid,')):
            code, out, err = p.verb("ddl", "outbox", "--table", f"src/{table}")
            assert code == 2 and not out and text in err and "add under sources:" in err, (code, out, err)
        for words, text in ((("outbox",), "--table SOURCE"), (("triggers",), "ddl triggers --table SOURCE"), (("grants",), "plan --sql"),
                            (("signal", "--table", "src/a.b"), "not in this version"), (("outbox", "--table", "x"), "source/space.table")):
            code, out, err = p.verb("ddl", *words)
            assert code == 2 and not out and text in err, (code, out, err)
    p.close()


if __name__ == "__main__":
    SERVERS = ["postgres", "mariadb", "mysql"]
    for s in SERVERS[1:]:
        there, why = add_server(s)
        if not there:
            print(f"skip ddl.{s}: {why}", flush=True)
            SERVERS.remove(s)
    together([refused] + [lambda s=s, w=w: from_nothing_to_nothing(s, w) for s in SERVERS for w in WAYS], 4)
    finish()
