"""What a sink of any type does with the ids of topics, through its probe."""


def kept(c):
    """The id of a topic is kept beside its offset, and stays where none is told; a place may be moved back."""
    def do(what, offsets):
        r = c.probe(what, sink="a", offsets=offsets)
        assert r["ok"], r
        return list(zip(r["next"], r["ids"]))

    def claimed():
        return do("claim", [["ids", 0], ["ids", 1]])

    steps = [(None, [(-1, ""), (-1, "")]),
             ([["ids", 0, 5, "bhDTgHR4TWyFtQvqJv0pXw"], ["ids", 1, 7]], [(5, "bhDTgHR4TWyFtQvqJv0pXw"), (7, "")]),
             ([["ids", 0, 6]], [(6, "bhDTgHR4TWyFtQvqJv0pXw"), (7, "")]),
             ([["ids", 0, 0, "second"], ["ids", 1, 8, "second"]], [(0, "second"), (8, "second")])]
    for offsets, want in steps:
        if offsets:
            do("commit", offsets)
        got = claimed()
        assert got == want, (got, want)
