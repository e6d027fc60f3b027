"""Random Avro schemas, changed at random, and random values of them: what tests/real/compat_test.py
compares the compatibility engine with. All from one seed. Nothing here comes from the program or from
an Avro library: the encoder and the rules of resolution are written down once more, on purpose."""
import copy
import json
import random
import struct

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
LOGICAL = {"int": ["date", "time-millis"],
           "long": ["timestamp-micros", "timestamp-millis", "time-micros", "local-timestamp-micros"],
           "string": ["uuid"], "bytes": ["decimal"], "fixed": ["decimal"]}
PROMOTES = {"int": ("long", "float", "double"), "long": ("float", "double"), "float": ("double",),
            "string": ("bytes",), "bytes": ("string",)}
NAMED = ("record", "enum", "fixed")
SYMBOLS = ["RED", "GREEN", "BLUE", "TEAL", "PINK"]


class Type:
    def __init__(self, kind, **more):
        self.kind = kind
        self.logical = self.precision = self.scale = None
        self.name = self.space = self.doc = self.default = None
        self.aliases, self.symbols, self.fields, self.inner = [], [], [], []
        self.size = 0
        self.__dict__.update(more)

    @property
    def full(self):
        return "%s.%s" % (self.space, self.name)


class Field:
    def __init__(self, name, type):
        self.name, self.type = name, type
        self.has_default, self.default, self.aliases, self.doc = False, None, [], None


# ---- schemas -----------------------------------------------------------------------------------------

class Maker:
    def __init__(self, rng):
        self.rng, self.count = rng, 0

    def schema(self):
        self.count = 0
        if self.rng.random() < 0.08:
            return self.type(0, [])
        return self.record(0, [])

    def type(self, depth, around):
        r = self.rng.random()
        if depth >= 3 or r < 0.45:
            return self.primitive()
        if r < 0.55:
            return self.named(depth, around)
        if r < 0.65:
            return Type("array", inner=[self.type(depth + 1, around)])
        if r < 0.73:
            return Type("map", inner=[self.type(depth + 1, around)])
        return self.union(depth, around)

    def primitive(self):
        t = Type(self.rng.choice(PRIMITIVES[1:]))
        if t.kind in LOGICAL and self.rng.random() < 0.3:
            self.give_meaning(t)
        return t

    def give_meaning(self, t):
        t.logical = self.rng.choice(LOGICAL[t.kind])
        t.precision = t.scale = None
        if t.logical == "decimal":
            t.precision = self.rng.randint(4, 9)
            t.scale = self.rng.randint(0, 4)
            t.size = max(t.size, 4)

    def name(self, t, letter):
        self.count += 1
        t.name = "%s%d" % (letter, self.count)
        t.space = self.rng.choice(["n", "n", "n", "m", "n.k"])
        return t

    def named(self, depth, around):
        r = self.rng.random()
        if r < 0.35:
            return self.record(depth + 1, around)
        if r < 0.7:
            t = self.name(Type("enum"), "E")
            t.symbols = self.rng.sample(SYMBOLS, self.rng.randint(1, 4))
            t.default = self.rng.choice([None, t.symbols[0]])
            return t
        t = self.name(Type("fixed", size=self.rng.randint(1, 8)), "F")
        if self.rng.random() < 0.2:
            self.give_meaning(t)
        return t

    def record(self, depth, around):
        t = self.name(Type("record"), "R")
        around = around + [t]
        for name in self.rng.sample("abcdefgh", self.rng.randint(1, 4)):
            t.fields.append(self.field(name, depth, around))
        return t

    def field(self, name, depth, around):
        f = Field(name, self.type(depth + 1, around))
        if around and self.rng.random() < 0.06:
            f.type = Type("union", inner=[Type("null"), self.rng.choice(around)])
        elif self.rng.random() < 0.05:
            f.type = Type("array", inner=[around[-1]])
        self.new_default(f, 0.4)
        return f

    def union(self, depth, around):
        u = Type("union")
        if self.rng.random() < 0.7:
            u.inner.append(Type("null"))
        for _ in range(self.rng.randint(1, 3)):
            add_branch(u, self.named(depth, around) if self.rng.random() < 0.3 else
                       self.type(depth + 1, around))
        if not u.inner:
            u.inner.append(self.primitive())
        return u

    def new_default(self, f, chance):
        f.has_default = self.rng.random() < chance
        f.default = None
        if f.has_default:
            try:
                f.default = self.default(f.type, 0)
            except RecursionError:
                f.has_default = False

    def default(self, t, depth):
        if depth > 4:
            raise RecursionError
        r = self.rng
        return {"null": lambda: None, "boolean": lambda: r.random() < 0.5,
                "int": lambda: r.randint(-9, 9), "long": lambda: r.randint(-9, 9),
                "float": lambda: r.randint(-4, 4) / 2, "double": lambda: r.randint(-4, 4) / 2,
                "bytes": lambda: r.choice(["", "ab", "\u00ff"]), "string": lambda: r.choice(["", "x"]),
                "fixed": lambda: "a" * t.size, "enum": lambda: t.symbols[0], "array": lambda: [],
                "map": lambda: {}, "union": lambda: self.default(t.inner[0], depth + 1),
                "record": lambda: {f.name: self.default(f.type, depth + 1) for f in t.fields},
                }[t.kind]()


def add_branch(u, t):
    if t.kind != "union" and not any(b.kind == t.kind and (t.kind not in NAMED or b.full == t.full)
                                     for b in u.inner):
        u.inner.append(t)


def text(t, **leave_out):
    return json.dumps(render(t, {}, leave_out), separators=(",", ":"))


def render(t, seen, without):
    if t.kind == "union":
        return [render(b, seen, without) for b in t.inner]
    if t.kind in NAMED and t.full in seen:
        return t.full
    j = {"type": t.kind}
    if t.kind in NAMED:
        seen[t.full] = t
        j.update(name=t.name, namespace=t.space)
        if t.aliases and not without.get("aliases"):
            j["aliases"] = t.aliases
        if t.doc:
            j["doc"] = t.doc
    if t.kind == "record":
        j["fields"] = [render_field(f, seen, without) for f in t.fields]
    if t.kind == "enum":
        j["symbols"] = t.symbols
        if t.default:
            j["default"] = t.default
    if t.kind == "fixed":
        j["size"] = t.size
    if t.kind in ("array", "map"):
        j["items" if t.kind == "array" else "values"] = render(t.inner[0], seen, without)
    if t.logical and not without.get("logical"):
        j["logicalType"] = t.logical
        if t.logical == "decimal":
            j.update(precision=t.precision, scale=t.scale)
    return t.kind if len(j) == 1 else j


def render_field(f, seen, without):
    j = {"name": f.name, "type": render(f.type, seen, without)}
    if f.has_default:
        j["default"] = f.default
    if f.aliases and not without.get("aliases"):
        j["aliases"] = f.aliases
    if f.doc:
        j["doc"] = f.doc
    return j


def types_in(t):
    found, todo = [], [t]
    while todo:
        t = todo.pop()
        if any(t is f for f in found):
            continue
        found.append(t)
        todo += t.inner + [f.type for f in t.fields]
    return found


def in_a_map_of_its_own(t):
    """Does a map lead back to itself?"""
    return any(m.kind == "map" and any(x is m for x in types_in(m.inner[0])) for m in types_in(t))


# ---- changes -----------------------------------------------------------------------------------------

class Changer(Maker):
    """Changes a copy. What it makes is always a schema that parses, but for defaults now and then."""

    def changed(self, t, times):
        t = copy.deepcopy(t)
        self.count = 50
        for _ in range(times):
            self.change(t)
        self.mend(t)
        return t

    def pick(self, t, *kinds):
        fits = [x for x in types_in(t) if x.kind in kinds]
        return self.rng.choice(fits) if fits else None

    def change(self, root):
        ways = [self.add_field, self.add_field, self.drop_field, self.rename_field, self.other_type,
                self.promote, self.promote, self.nullable, self.branches, self.symbols, self.symbols, self.size, self.size, self.promote,
                self.rename, self.meaning, self.meaning, self.words, self.reorder, self.enum_default,
                self.double_alias, self.refill]
        self.rng.choice(ways)(root)

    def add_field(self, root):
        r = self.pick(root, "record")
        free = [n for n in "abcdefghij" if r and all(n != f.name for f in r.fields)]
        if free:
            f = self.field(self.rng.choice(free), 2, [r])
            self.new_default(f, 0.7)
            r.fields.insert(self.rng.randint(0, len(r.fields)), f)

    def drop_field(self, root):
        r = self.pick(root, "record")
        if r and len(r.fields) > 1:
            r.fields.remove(self.rng.choice(r.fields))

    def rename_field(self, root):
        r = self.pick(root, "record")
        if r and r.fields:
            f = self.rng.choice(r.fields)
            if self.rng.random() < 0.7:
                f.aliases = f.aliases + [f.name]
            f.name += "x"

    def double_alias(self, root):
        r = self.pick(root, "record")
        if r and len(r.fields) > 1 and self.rng.random() < 0.3:
            one, two = self.rng.sample(r.fields, 2)
            one.aliases = one.aliases + [two.name]

    def other_type(self, root):
        r = self.pick(root, "record")
        if r and r.fields:
            self.rng.choice(r.fields).type = self.type(2, [r])

    def promote(self, root):
        t = self.pick(root, *PROMOTES)
        if t:
            t.kind = self.rng.choice(PROMOTES[t.kind] if self.rng.random() < 0.8 else PRIMITIVES[1:])
            t.logical = None if self.rng.random() < 0.8 else t.logical
            if t.logical not in LOGICAL.get(t.kind, []):
                t.logical = None

    def nullable(self, root):
        r = self.pick(root, "record")
        if not r or not r.fields:
            return
        f = self.rng.choice(r.fields)
        if f.type.kind == "union":
            some = [b for b in f.type.inner if b.kind != "null"]
            f.type = some[0] if len(some) == 1 else f.type
        elif f.type.kind != "null":
            f.type = Type("union", inner=[Type("null"), f.type])
            if self.rng.random() < 0.3:
                f.type.inner.reverse()

    def branches(self, root):
        u = self.pick(root, "union")
        if not u:
            return
        if self.rng.random() < 0.5:
            add_branch(u, self.type(2, []))
        elif len(u.inner) > 1:
            u.inner.remove(self.rng.choice(u.inner))
        if self.rng.random() < 0.4:
            self.rng.shuffle(u.inner)

    def symbols(self, root):
        e = self.pick(root, "enum")
        if not e:
            return
        free = [s for s in SYMBOLS if s not in e.symbols]
        if self.rng.random() < 0.25:
            self.rng.shuffle(e.symbols)
        elif free and self.rng.random() < 0.5:
            e.symbols = e.symbols + [self.rng.choice(free)]
        elif len(e.symbols) > 1:
            e.symbols = self.rng.sample(e.symbols, len(e.symbols) - 1)
        if e.default not in e.symbols:
            e.default = None

    def enum_default(self, root):
        e = self.pick(root, "enum")
        if e:
            e.default = self.rng.choice([None, self.rng.choice(e.symbols)])

    def size(self, root):
        f = self.pick(root, "fixed")
        if f:
            f.size += 1

    def rename(self, root):
        t = self.pick(root, *NAMED)
        if not t:
            return
        if self.rng.random() < 0.6:
            t.aliases = t.aliases + [t.full]
        if self.rng.random() < 0.5:
            t.space = self.rng.choice(["n", "m", "n.k"])
        else:
            t.name += "x"
        clash = [x for x in types_in(root) if x.kind in NAMED and x is not t and x.full == t.full]
        t.name += "y" if clash else ""

    def meaning(self, root):
        t = self.pick(root, *LOGICAL)
        if not t:
            return
        if t.logical == "decimal" and self.rng.random() < 0.6:
            if self.rng.random() < 0.5:
                t.precision += self.rng.choice([-1, 1, 2])
                t.precision = max(t.precision, t.scale, 1)
            else:
                t.scale = self.rng.randint(0, min(4, t.precision))
        elif t.logical and self.rng.random() < 0.3:
            t.logical = None
        elif t.kind != "fixed" or t.size >= 4:
            self.give_meaning(t)

    def words(self, root):
        t = self.pick(root, *NAMED)
        if t:
            t.doc = self.rng.choice(["one", "another", None])
            for f in t.fields:
                f.doc = self.rng.choice([None, "a field"])

    def reorder(self, root):
        r = self.pick(root, "record")
        if r:
            self.rng.shuffle(r.fields)

    def refill(self, root):
        r = self.pick(root, "record")
        if r and r.fields:
            self.new_default(self.rng.choice(r.fields), 0.6)

    def mend(self, root):
        """Defaults that no longer fit, and unions that got two branches of a kind."""
        for t in types_in(root):
            if t.kind == "union":
                inner, t.inner = t.inner, []
                for b in inner:
                    add_branch(t, b)
            t.aliases = list(dict.fromkeys(a for a in t.aliases if t.kind in NAMED and a != t.full))
            for f in t.fields:
                f.aliases = list(dict.fromkeys(a for a in f.aliases if a != f.name))
        for t in types_in(root):
            for f in t.fields:
                if f.has_default and not fits(f.default, f.type, 0) and self.rng.random() < 0.97:
                    self.new_default(f, 0.5)


def fits(v, t, depth):
    if depth > 20:
        return False
    if t.kind == "union":
        return fits(v, t.inner[0], depth + 1)
    if t.kind == "record":
        return isinstance(v, dict) and all(
            fits(v[f.name], f.type, depth + 1) if f.name in v else f.has_default for f in t.fields)
    if t.kind in ("array", "map"):
        want = list if t.kind == "array" else dict
        return isinstance(v, want) and all(fits(i, t.inner[0], depth + 1)
                                           for i in (v if t.kind == "array" else v.values()))
    number = isinstance(v, (int, float)) and not isinstance(v, bool)
    whole = isinstance(v, int) and not isinstance(v, bool)
    word = isinstance(v, str)
    return {"null": v is None, "boolean": isinstance(v, bool), "int": whole, "long": whole,
            "float": number, "double": number, "bytes": word and all(ord(c) < 256 for c in v or ""),
            "string": word, "enum": word and v in t.symbols,
            "fixed": word and len(v or "") == t.size}[t.kind]


# ---- values ------------------------------------------------------------------------------------------

class Branch:
    """A value of a union: which branch, and what."""

    def __init__(self, index, value):
        self.index, self.value = index, value


def value(rng, t, depth=0):
    k = t.kind
    if k == "null":
        return None
    if k == "boolean":
        return rng.random() < 0.5
    if k == "int":
        return rng.choice([0, 1, -1, 2**31 - 1, -2**31, 16777217, rng.randint(-2**31, 2**31 - 1)])
    if k == "long":
        return rng.choice([0, -1, 2**63 - 1, -2**63, 2**53 + 1, rng.randint(-2**63, 2**63 - 1)])
    if k in ("float", "double"):
        return struct.unpack("<f", struct.pack("<f", rng.uniform(-1e6, 1e6)))[0] if k == "float" else \
            rng.choice([0.0, -1.5, rng.uniform(-1e9, 1e9)])
    if k == "bytes":
        return rng.choice([b"", b"\xff\xfe\x80", b"text", bytes(rng.randrange(1, 256) for _ in range(9))])
    if k == "string":
        return rng.choice(["", "text", "\u20ac \u00e9", "\U0001f30a", "a\nb\"\\"])
    if k == "fixed":
        return bytes(rng.randrange(1, 256) for _ in range(t.size))  # avro-c's JSON ends at a NUL
    if k == "enum":
        return rng.choice(t.symbols)
    if k == "union":
        i = rng.randrange(len(t.inner)) if depth < 6 else 0
        return Branch(i, value(rng, t.inner[i], depth + 1))
    if k == "array":
        return [value(rng, t.inner[0], depth + 1) for _ in range(rng.randint(0, 2) if depth < 6 else 0)]
    if k == "map":
        return {"k%d" % i: value(rng, t.inner[0], depth + 1)
                for i in range(rng.randint(0, 2) if depth < 6 else 0)}
    if depth > 12:
        raise RecursionError
    return {f.name: value(rng, f.type, depth + 1) for f in t.fields}


def zigzag(n):
    n = (n << 1) ^ (n >> 63)
    n &= 2**64 - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def encode(v, t):
    k = t.kind
    if k == "null":
        return b""
    if k == "boolean":
        return bytes([v])
    if k in ("int", "long"):
        return zigzag(v)
    if k in ("float", "double"):
        return struct.pack("<f" if k == "float" else "<d", v)
    if k in ("bytes", "string"):
        raw = v if k == "bytes" else v.encode()
        return zigzag(len(raw)) + raw
    if k == "fixed":
        return v
    if k == "enum":
        return zigzag(t.symbols.index(v))
    if k == "union":
        return zigzag(v.index) + encode(v.value, t.inner[v.index])
    if k == "record":
        return b"".join(encode(v[f.name], f.type) for f in t.fields)
    items = [encode(i, t.inner[0]) for i in v] if k == "array" else \
        [encode(n, Type("string")) + encode(i, t.inner[0]) for n, i in v.items()]
    return (zigzag(len(items)) + b"".join(items) if items else b"") + zigzag(0)


# ---- what a reader must get --------------------------------------------------------------------------

def same_type(r, w):
    return r.kind == w.kind and (w.kind not in NAMED or r.full == w.full or w.full in r.aliases)


def resolved(v, w, r, fill):
    """The value as the reader's schema has it, for pairs that nothing is lost between. fill(JSON, type):
    a default as a value."""
    if w.kind == "union":
        return resolved(v.value, w.inner[v.index], r, fill)
    if r.kind == "union":
        for b in r.inner:
            if same_type(b, w):
                return resolved(v, w, b, fill)
        for b in r.inner:
            if b.kind in PROMOTES.get(w.kind, ()):
                return resolved(v, w, b, fill)
        raise ValueError("no branch of the reader for %s" % w.kind)
    if w.kind == "record":
        return {f.name: of_field(v, w, f, fill) for f in r.fields}
    if w.kind == "array":
        return [resolved(i, w.inner[0], r.inner[0], fill) for i in v]
    if w.kind == "map":
        return {n: resolved(i, w.inner[0], r.inner[0], fill) for n, i in v.items()}
    if w.kind == "string" and r.kind == "bytes":
        return v.encode()
    if w.kind == "bytes" and r.kind == "string":
        return v.decode()
    return v  # a number is equal to what it was, whatever its type


def of_field(v, w, f, fill):
    for name in [f.name] + f.aliases:
        for old in w.fields:
            if old.name == name:
                return resolved(v[name], old.type, f.type, fill)
    return fill(f.default, f.type)


def filled(j, t):
    """A default as a value."""
    if t.kind == "union":
        return filled(j, t.inner[0])
    if t.kind in ("bytes", "fixed"):
        return j.encode("latin-1")
    if t.kind in ("float", "double"):
        return float(j)
    if t.kind == "record":
        return {f.name: filled(j[f.name] if f.name in j else f.default, f.type) for f in t.fields}
    if t.kind == "array":
        return [filled(i, t.inner[0]) for i in j]
    if t.kind == "map":
        return {n: filled(i, t.inner[0]) for n, i in j.items()}
    return j


def reads_text_as_bytes(w, r, seen=None):
    """Is there a place where it must?"""
    seen = {} if seen is None else seen
    if (id(w), id(r)) in seen:
        return False
    seen[id(w), id(r)] = w, r
    if w.kind == "union":
        return any(reads_text_as_bytes(b, r, seen) for b in w.inner)
    if r.kind == "union":
        meant = next((b for b in r.inner if same_type(b, w)), None)
        return any(reads_text_as_bytes(w, b, seen) for b in ([meant] if meant else r.inner))
    if w.kind == "record" and r.kind == "record":
        return any(reads_text_as_bytes(o.type, f.type, seen) for f in r.fields for o in w.fields
                   if o.name in [f.name] + f.aliases)
    if w.kind in ("array", "map") and r.kind == w.kind:
        return reads_text_as_bytes(w.inner[0], r.inner[0], seen)
    return (w.kind, r.kind) == ("string", "bytes")


# ---- a reader without what only defaults fill --------------------------------------------------------

def without_defaults(w, r):
    """The reader's schema without the fields that the writer lacks: for readers that know no defaults.
    None: it would need two records of one name."""
    made = project(w, r, {})
    names = {}
    for t in types_in(made):
        if t.kind in NAMED and names.setdefault(t.full, t) is not t:
            return None
    return made


def project(w, r, made):
    if w.kind == "union" and r.kind != "union":
        return project(next((b for b in w.inner if same_type(r, b)), r), r, made)
    if r.kind == "union":
        theirs = w.inner if w.kind == "union" else [w]
        inner = [project(next((b for b in theirs if same_type(mine, b)), mine), mine, made)
                 for mine in r.inner]
        return Type("union", inner=inner)
    if r.kind in ("array", "map") and w.kind == r.kind:
        return Type(r.kind, inner=[project(w.inner[0], r.inner[0], made)])
    if r.kind != "record" or w.kind != "record":
        return r
    if (id(w), id(r)) not in made:
        made[id(w), id(r)] = t = copy.copy(r)
        t.fields = []
        for f in r.fields:
            old = next((o for n in [f.name] + f.aliases for o in w.fields if o.name == n), None)
            if old is not None:
                t.fields.append(copy.copy(f))
                t.fields[-1].type = project(old.type, f.type, made)
    return made[id(w), id(r)]


# ---- pairs -------------------------------------------------------------------------------------------

LEVELS = ["BACKWARD"] * 5 + ["FORWARD"] * 2 + ["FULL"] + ["BACKWARD_TRANSITIVE", "FORWARD_TRANSITIVE",
                                                          "FULL_TRANSITIVE"]


class Pair:
    """versions: types, oldest first; next; level."""

    def __init__(self, seed, number):
        self.rng = random.Random("%s/%s" % (seed, number))
        self.number = number
        maker, changer = Maker(self.rng), Changer(self.rng)
        self.level = self.rng.choice(LEVELS)
        first = maker.schema()
        self.versions = [first]
        if self.level.endswith("TRANSITIVE"):
            self.versions += [changer.changed(first, 1)]
        last = self.versions[-1]
        self.next = maker.schema() if self.rng.random() < 0.03 else \
            changer.changed(last, self.rng.choice([1, 1, 1, 2, 3]))
        self.new_text = text(self.next)

    @property
    def old_texts(self):
        return [text(t) for t in self.versions]

    def ways(self):
        """(writer, reader) of all that the level promises."""
        asked = self.versions if self.level.endswith("TRANSITIVE") else self.versions[-1:]
        if not self.level.startswith("FORWARD"):
            yield from ((old, self.next) for old in asked)
        if not self.level.startswith("BACKWARD"):
            yield from ((self.next, old) for old in asked)
