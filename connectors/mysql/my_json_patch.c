/* The differences of PARTIAL_UPDATE_ROWS, applied: each is an operation (0 replace, 1 insert, 2
 * remove), a path ("$.a[3]") and, but for remove, a binary value (json_diff.cc of the server). */
#include "connectors/mysql/my_json.h"
#include "connectors/mysql/my_json_parts.h"
#include "connectors/mysql/my_value_parts.h"

enum { DEPTH_MAX = 100 };
enum { REPLACE = 0, INSERT = 1, REMOVE = 2 };

typedef struct node { /* a container taken apart, or a leaf as it is */
    fr_my_json leaf;
    bool container, object;
    size_t count, cap;
    fr_str *keys;
    struct node **values;
} node;

static fr_rc broken(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "partial update of JSON: %s", what);
    return fr_fail_code(err, "my.value.json");
}

/* A document at work: no more nodes than it has bytes (they could overlap). */
typedef struct work {
    fr_arena *arena;
    size_t nodes, limit;
} work;

static fr_rc take_apart(const fr_my_json *j, work *w, unsigned depth, node **out, fr_err *err)
{
    fr_arena *a = w->arena;
    node *n = fr_arena_alloc(a, sizeof(*n));
    if (++w->nodes > w->limit)
        return broken(err, "containers overlap");
    *out = n;
    n->leaf = *j;
    n->container = fr_my_json_container(j);
    if (!n->container)
        return FR_OK;
    if (depth == DEPTH_MAX)
        return broken(err, "nested too deeply");
    n->object = fr_my_json_is_object(j);
    FR_TRY(fr_my_json_count(j, &n->count, err));
    n->cap = n->count;
    n->keys = n->object ? fr_arena_alloc(a, (n->count + 1) * sizeof(fr_str)) : NULL;
    n->values = fr_arena_alloc(a, (n->count + 1) * sizeof(node *));
    for (size_t i = 0; i < n->count; i++) {
        fr_my_json child;
        if (n->object)
            FR_TRY(fr_my_json_key(j, i, &n->keys[i], err));
        FR_TRY(fr_my_json_at(j, n->count, i, &child, err));
        FR_TRY(take_apart(&child, w, depth + 1, &n->values[i], err));
    }
    return FR_OK;
}

static void put_in(node *n, fr_arena *a, size_t at, fr_str key, node *value)
{
    if (n->count == n->cap) {
        n->cap = n->cap * 2 + 4;
        node **values = fr_arena_alloc(a, n->cap * sizeof(node *));
        memcpy(values, n->values, n->count * sizeof(node *));
        n->values = values;
        if (n->object) {
            fr_str *keys = fr_arena_alloc(a, n->cap * sizeof(fr_str));
            memcpy(keys, n->keys, n->count * sizeof(fr_str));
            n->keys = keys;
        }
    }
    memmove(n->values + at + 1, n->values + at, (n->count - at) * sizeof(node *));
    n->values[at] = value;
    if (n->object) {
        memmove(n->keys + at + 1, n->keys + at, (n->count - at) * sizeof(fr_str));
        n->keys[at] = key;
    }
    n->count++;
}

static void take_out(node *n, size_t at)
{
    n->count--;
    memmove(n->values + at, n->values + at + 1, (n->count - at) * sizeof(node *));
    if (n->object)
        memmove(n->keys + at, n->keys + at + 1, (n->count - at) * sizeof(fr_str));
}

/* Keys are kept by length, then by bytes. */
static int key_order(fr_str a, fr_str b)
{
    return a.len != b.len ? (a.len < b.len ? -1 : 1) : fr_str_cmp(a, b);
}

/* Where the key is, or belongs. */
static size_t key_place(const node *n, fr_str key, bool *found)
{
    size_t i = 0;
    while (i < n->count && key_order(n->keys[i], key) < 0)
        i++;
    *found = i < n->count && key_order(n->keys[i], key) == 0;
    return i;
}

/* --- paths --- */

typedef struct leg {
    bool member;
    fr_str key;
    uint64_t index;
} leg;

static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
}

/* \uXXXX: the server writes control characters so; others it leaves as they are. */
static bool unicode_escape(fr_in *in, fr_buf *b)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned d = hex_digit((char)fr_in_u8(in));
        if (in->bad || d > 15)
            return false;
        v = v << 4 | d;
    }
    if (v >= 0x80)
        return false;
    fr_buf_u8(b, (uint8_t)v);
    return true;
}

static bool quoted_key(fr_in *in, fr_arena *a, fr_str *out)
{
    static const char named[] = "b\bt\tn\nf\fr\r\"\"\\\\//";
    fr_buf b = {.arena = a};
    fr_buf_room(&b, 1);
    for (;;) {
        uint8_t c = fr_in_u8(in);
        if (in->bad)
            return false;
        if (c == '"')
            break;
        if (c != '\\') {
            fr_buf_u8(&b, c);
            continue;
        }
        c = fr_in_u8(in);
        if (c == 'u' && unicode_escape(in, &b))
            continue;
        size_t k = 0;
        while (k + 1 < sizeof(named) && named[k] != (char)c)
            k += 2;
        if (in->bad || k + 1 >= sizeof(named))
            return false;
        fr_buf_u8(&b, (uint8_t)named[k + 1]);
    }
    *out = fr_buf_view(&b);
    return true;
}

static bool next_leg(fr_in *in, fr_arena *a, leg *out)
{
    uint8_t c = fr_in_u8(in);
    out->member = c == '.';
    if (c == '.' && fr_in_left(in) > 0 && *in->at == '"') {
        fr_in_u8(in);
        return quoted_key(in, a, &out->key);
    }
    if (c == '.') {
        const uint8_t *start = in->at;
        while (fr_in_left(in) > 0 && *in->at != '.' && *in->at != '[')
            in->at++;
        out->key = (fr_str){(const char *)start, (size_t)(in->at - start)};
        return out->key.len > 0;
    }
    if (c != '[' || fr_in_left(in) == 0)
        return false;
    out->index = 0;
    for (c = fr_in_u8(in); c >= '0' && c <= '9' && out->index < UINT32_MAX; c = fr_in_u8(in))
        out->index = out->index * 10 + (c - '0');
    return !in->bad && c == ']';
}

/* --- applying --- */

static fr_rc change(node *parent, fr_arena *a, const leg *l, uint8_t op, node *value, fr_err *err)
{
    bool found;
    size_t at;
    if (!parent->container || parent->object != l->member)
        return broken(err, "a path does not fit the document");
    if (l->member) {
        at = key_place(parent, l->key, &found);
    } else {
        found = l->index < parent->count;
        at = found ? (size_t)l->index : parent->count;
    }
    if (op == INSERT && (!found || !l->member)) {
        put_in(parent, a, at, l->key, value);
        return FR_OK;
    }
    if (op == INSERT || !found)
        return broken(err, "the document is not the one that was changed");
    if (op == REMOVE)
        take_out(parent, at);
    else
        parent->values[at] = value;
    return FR_OK;
}

/* Walk down to the last leg. */
static fr_rc apply(node **root, fr_arena *a, fr_str path, uint8_t op, node *value, fr_err *err)
{
    fr_in in = fr_in_of(path);
    node *n = *root;
    leg l = {.index = 0};
    if (fr_in_u8(&in) != '$')
        return broken(err, "a path does not start at the root");
    if (fr_in_left(&in) == 0) {
        if (op != REPLACE)
            return broken(err, "the root is inserted or removed");
        *root = value;
        return FR_OK;
    }
    for (;;) {
        bool found;
        if (!next_leg(&in, a, &l))
            return broken(err, "a path that we cannot read");
        if (fr_in_left(&in) == 0)
            return change(n, a, &l, op, value, err);
        if (!n->container || n->object != l.member)
            return broken(err, "a path does not fit the document");
        size_t at = l.member ? key_place(n, l.key, &found) : (size_t)l.index;
        if (at >= n->count || (l.member && !found))
            return broken(err, "the document is not the one that was changed");
        n = n->values[at];
    }
}

static fr_rc print(const node *n, fr_buf *b, size_t limit, unsigned depth, fr_err *err)
{
    if (!n->container)
        return fr_my_json_print(&n->leaf, b, limit, depth, err);
    if (depth == DEPTH_MAX)
        return broken(err, "nested too deeply");
    fr_buf_u8(b, n->object ? '{' : '[');
    for (size_t i = 0; i < n->count; i++) {
        if (i > 0)
            fr_buf_text(b, ", ");
        if (n->object) {
            if (!fr_utf8_valid(n->keys[i]))
                return broken(err, "a key is not UTF-8");
            fr_my_json_quote(b, n->keys[i]);
            fr_buf_text(b, ": ");
        }
        FR_TRY(print(n->values[i], b, limit, depth + 1, err));
        if (b->len > limit)
            return broken(err, "containers overlap");
    }
    fr_buf_u8(b, n->object ? '}' : ']');
    return FR_OK;
}

static fr_rc next_diff(fr_in *in, work *w, node **root, fr_err *err)
{
    uint8_t op = fr_in_u8(in);
    fr_str path = fr_in_take(in, (size_t)fr_my_take_packed(in)), bytes = {NULL, 0};
    node *value = NULL;
    if (op != REMOVE)
        bytes = fr_in_take(in, (size_t)fr_my_take_packed(in));
    if (in->bad || op > REMOVE || (op != REMOVE && bytes.len == 0))
        return broken(err, "malformed");
    if (op != REMOVE) {
        fr_my_json j;
        FR_TRY(fr_my_json_open(bytes, &j, err));
        FR_TRY(take_apart(&j, w, 0, &value, err));
    }
    return apply(root, w->arena, path, op, value, err);
}

fr_rc fr_my_json_patch(fr_arena *a, fr_str before, fr_str diffs, fr_str *out, fr_err *err)
{
    fr_my_json j;
    node *root;
    fr_buf b = {.arena = a};
    fr_in in = fr_in_of(diffs);
    FR_TRY(fr_my_json_open(before, &j, err));
    work w = {a, 0, before.len + diffs.len + 1};
    FR_TRY(take_apart(&j, &w, 0, &root, err));
    while (fr_in_left(&in) > 0)
        FR_TRY(next_diff(&in, &w, &root, err));
    FR_TRY(print(root, &b, fr_my_json_limit(before.len + diffs.len), 0, err));
    *out = fr_buf_view(&b);
    return FR_OK;
}
