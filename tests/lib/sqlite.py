"""A pipeline whose source is a SQLite file. Python's own module is the application that writes to it."""
import os
import shutil
import sqlite3
import tempfile

from harness import Pipeline

SQ_SOURCE = """
sources:
  src:
    type: sqlite
    path: {source}
    prefix: {id}
    tables:
"""


def connect(path, **more):
    """In autocommit; waits for others' locks."""
    return sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False, **more)


class SqlitePipeline(Pipeline):
    """Like Pipeline; self.source is the file. mode: its journal mode."""

    def __init__(self, config, sql="", mode="wal", target=False):
        self.mode, self.made = mode, sql
        super().__init__(SQ_SOURCE + config, target=target)

    def make_source(self, options):
        self.folder = tempfile.mkdtemp(prefix="freshet-sqlite-")
        path = os.path.join(self.folder, "app.db")
        c = connect(path)
        c.execute(f"pragma journal_mode = {self.mode}")
        c.executescript(self.made)
        c.close()
        return path

    def drop_source(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, text, *values, on=None):
        c = connect(on or self.source)
        try:
            if values:
                return c.execute(text, values).fetchall()
            if ";" in text:
                return c.executescript(text)
            return c.execute(text).fetchall()
        finally:
            c.close()
