/* ${env:X}, ${env:X:-default}, ${file:}, ${cred:}, ${exec:} inside one scalar. What comes
 * out is never parsed again. */
#include "control/config_load.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { longest_value = 64 * 1024 };

/* Secrets read from the environment are taken out of it (S06), but a reload reads the same
 * file again. The list lives as long as the process; only the main thread loads. */
static fr_pairs taken;

static const char *read_env(fr_loader *l, fr_str name, bool secret)
{
    char *key = fr_arena_cstr(l->a, name);
    const char *value = getenv(key);
    for (size_t i = 0; value == NULL && i < taken.count; i++)
        if (strcmp(taken.items[i].name, key) == 0)
            value = taken.items[i].value;
    if (value == NULL || !secret || getenv(key) == NULL)
        return value;
    taken.items = fr_realloc(taken.items, (taken.count + 1) * sizeof(fr_pair));
    fr_pair *kept = &taken.items[taken.count++];
    *kept = (fr_pair){fr_strdup(key), fr_strdup(value)};
    unsetenv(key);
    return kept->value;
}

typedef struct asked { /* one reference, and where it stands */
    fr_loader *l;
    const fr_node *node;
    const char *path;
    fr_str name;
    bool secret;
} asked;

static fr_problem *missing(const asked *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static fr_problem *missing(const asked *q, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fr_str text = fr_arena_vprintf(q->l->a, fmt, ap);
    va_end(ap);
    return fr_problem_add(q->l, false, "config.missing_value", q->node->place, q->path, "%.*s",
                          FR_ARG(text));
}

static fr_rc take_stream(const asked *q, FILE *in, fr_str *out)
{
    char *buffer = fr_arena_alloc(q->l->a, longest_value + 1);
    size_t len = fread(buffer, 1, longest_value + 1, in);
    if (len > longest_value) {
        missing(q, "the value is longer than 64 KiB");
        return FR_FAIL;
    }
    if (len > 0 && buffer[len - 1] == '\n')
        len--;
    if (len > 0 && buffer[len - 1] == '\r')
        len--;
    if (memchr(buffer, 0, len) != NULL) {
        missing(q, "the value holds a NUL");
        return FR_FAIL;
    }
    *out = (fr_str){buffer, len};
    return FR_OK;
}

static fr_rc take_file(const asked *q, const char *name, bool check_mode, fr_str *out)
{
    FILE *in = fopen(name, "re");
    if (in == NULL) {
        if (q->l->flags->offline)
            return FR_IDLE;
        fr_problem *p = missing(q, "%s: %s", name, strerror(errno));
        fr_problem_hint(q->l, p, "make the file, readable by the user that runs freshet");
        return FR_FAIL;
    }
    struct stat st;
    fr_rc rc = FR_OK;
    if (check_mode && fstat(fileno(in), &st) == 0 && (st.st_mode & 077) != 0) {
        fr_problem *p = fr_problem_add(q->l, false, "config.secret_mode", q->node->place, q->path,
                                       "%s: mode %03o lets others read a secret", name,
                                       (unsigned)st.st_mode & 0777U);
        fr_problem_hint(q->l, p, "chmod 600 %s", name);
        rc = FR_FAIL;
    }
    rc = rc == FR_OK ? take_stream(q, in, out) : rc;
    fclose(in);
    return rc;
}

static fr_rc resolve_env(const asked *q, fr_str *out)
{
    const char *mark = NULL;
    for (size_t i = 0; i + 1 < q->name.len && mark == NULL; i++)
        if (q->name.ptr[i] == ':' && q->name.ptr[i + 1] == '-')
            mark = q->name.ptr + i;
    fr_str name = q->name;
    if (mark != NULL)
        name.len = (size_t)(mark - name.ptr);
    const char *value = read_env(q->l, name, q->secret);
    if (value != NULL && (*value != 0 || mark == NULL)) {
        *out = fr_cstr(value);
        return FR_OK;
    }
    if (mark != NULL) {
        *out = (fr_str){mark + 2, (size_t)(q->name.ptr + q->name.len - mark - 2)};
        return FR_OK;
    }
    if (q->l->flags->offline)
        return FR_IDLE;
    fr_problem *p = missing(q, "the environment has no %.*s", FR_ARG(name));
    fr_problem_hint(q->l, p, "export %.*s=..., or write ${env:%.*s:-default}", FR_ARG(name),
                    FR_ARG(name));
    return FR_FAIL;
}

static fr_rc resolve_file(const asked *q, fr_str *out)
{
    if (q->l->no_files)
        return FR_IDLE;
    const char *name = fr_arena_cstr(q->l->a, q->name);
    const char *config = q->node->place.file->name, *slash = strrchr(config, '/');
    if (*name != '/' && slash != NULL) {
        fr_str joined = fr_arena_printf(q->l->a, "%.*s/%s", (int)(slash - config), config, name);
        name = fr_arena_cstr(q->l->a, joined);
    }
    return take_file(q, name, q->secret, out);
}

static fr_rc resolve_cred(const asked *q, fr_str *out)
{
    if (q->l->no_files)
        return FR_IDLE;
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (q->name.len == 0 || memchr(q->name.ptr, '/', q->name.len) != NULL) {
        missing(q, "`%.*s` is no name of a credential", FR_ARG(q->name));
        return FR_FAIL;
    }
    if (dir == NULL && q->l->flags->offline)
        return FR_IDLE;
    if (dir == NULL) {
        fr_problem *p = missing(q,
                                "$CREDENTIALS_DIRECTORY is not set, so there is no credential "
                                "%.*s",
                                FR_ARG(q->name));
        fr_problem_hint(q->l, p, "start by systemd with LoadCredential=%.*s:/path, or set it",
                        FR_ARG(q->name));
        return FR_FAIL;
    }
    fr_str name = fr_arena_printf(q->l->a, "%s/%.*s", dir, FR_ARG(q->name));
    /* systemd guards the folder; its files are 0400 or, with ACLs, look like 0440. */
    return take_file(q, fr_arena_cstr(q->l->a, name), false, out);
}

static fr_rc resolve_exec(const asked *q, fr_str *out)
{
    if (!q->l->flags->allow_exec) {
        if (q->l->flags->offline)
            return FR_IDLE;
        fr_problem *p = fr_problem_add(q->l, false, "config.exec_not_allowed", q->node->place,
                                       q->path, "${exec:} runs a command, which was not allowed");
        fr_problem_hint(q->l, p, "start with --allow-exec, or use ${file:} or ${cred:}");
        return FR_FAIL;
    }
    FILE *in = popen(fr_arena_cstr(q->l->a, q->name), "re");
    if (in == NULL) {
        missing(q, "${exec:} cannot start: %s", strerror(errno));
        return FR_FAIL;
    }
    fr_rc rc = take_stream(q, in, out);
    int status = pclose(in);
    if (rc == FR_OK && status != 0) {
        missing(q, "the command of ${exec:} failed (status %d)", status);
        return FR_FAIL;
    }
    return rc;
}

typedef struct provider {
    const char *name;
    fr_rc (*resolve)(const asked *q, fr_str *out);
} provider;
static const provider providers[] = {{"env:", resolve_env},
                                     {"file:", resolve_file},
                                     {"cred:", resolve_cred},
                                     {"exec:", resolve_exec}};

static const provider *find_provider(fr_str body)
{
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        size_t len = strlen(providers[i].name);
        if (body.len >= len && memcmp(body.ptr, providers[i].name, len) == 0)
            return &providers[i];
    }
    return NULL;
}

static fr_rc unknown_reference(fr_loader *l, const fr_node *n, const char *path,
                               const char *const *vars, fr_str body)
{
    size_t count = 0;
    fr_str list = {"", 0};
    for (; vars != NULL && vars[count] != NULL; count++)
        list =
            fr_arena_printf(l->a, "%.*s%s${%s}", FR_ARG(list), count > 0 ? ", " : "", vars[count]);
    fr_problem *p = fr_problem_add(l, false, "config.unknown_variable", n->place, path,
                                   "nothing is called ${%.*s} here", FR_ARG(body));
    const char *near = vars == NULL ? NULL : fr_nearest(body, vars, count);
    if (near != NULL)
        fr_problem_hint(l, p, "did you mean ${%s}?", near);
    else if (vars != NULL)
        fr_problem_hint(l, p, "use %.*s, or ${env:X}, ${file:PATH}, ${cred:NAME}", FR_ARG(list));
    else
        fr_problem_hint(l, p,
                        "use ${env:X}, ${file:PATH} or ${cred:NAME}; a literal ${ is "
                        "written $${");
    return FR_FAIL;
}

/* One ${body}. FR_END: a row variable, to be left alone. */
static fr_rc resolve_one(fr_loader *l, const fr_node *n, const char *path, const fr_option *o,
                         bool secret, fr_str body, fr_str *out)
{
    const provider *found = find_provider(body);
    if (found != NULL) {
        size_t skip = strlen(found->name);
        asked q = {l, n, path, {body.ptr + skip, body.len - skip}, secret};
        return found->resolve(&q, out);
    }
    const char *const *vars = fr_row_variables(o->name);
    for (size_t i = 0; vars != NULL && vars[i] != NULL; i++)
        if (fr_str_is(body, vars[i]))
            return FR_END;
    if (fr_row_columns(o->name) && body.len > 0 && memchr(body.ptr, ':', body.len) == NULL)
        return FR_END; /* only the server knows the columns */
    return unknown_reference(l, n, path, vars, body);
}

bool fr_secret_name(const char *name)
{
    static const char *const ends[] = {
        "password", "secret", "token", ".pem", "key.password", "jaas.config", "secret.access.key"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t end = strlen(ends[i]);
        if (len >= end && strcasecmp(name + len - end, ends[i]) == 0)
            return true;
    }
    return false;
}

bool fr_secret_pair(const fr_option *o, const char *name)
{
    bool columns = strncmp(o->name, "columns.", 8) == 0 || strncmp(o->name, "given.", 6) == 0 ||
                   strncmp(o->name, "expect.", 7) == 0;
    return !columns && fr_secret_name(name);
}

static void guard_secret(fr_loader *l, const fr_node *n, const char *path, bool referred,
                         fr_str value)
{
    if (value.len > 0)
        fr_log_secret(fr_arena_cstr(l->a, value));
    if (referred || value.len == 0)
        return;
    fr_problem *p = fr_problem_add(l, true, "config.secret_literal", n->place, path,
                                   "a secret stands in the file");
    p->excerpt = NULL;
    fr_problem_hint(l, p, "write ${cred:NAME}, ${file:PATH} or ${env:NAME}");
}

fr_rc fr_value_resolve(fr_loader *l, const fr_node *n, const char *path, const fr_option *o,
                       fr_str *out)
{
    bool secret = (o->flags & FR_SECRET) != 0, referred = false;
    fr_str rest = n->text, made = {"", 0};
    fr_rc worst = FR_OK;
    while (rest.len > 0) {
        const char *open = memmem(rest.ptr, rest.len, "${", 2);
        size_t plain = open == NULL ? rest.len : (size_t)(open - rest.ptr);
        bool escaped = open != NULL && plain > 0 && open[-1] == '$';
        fr_str before = {rest.ptr, plain};
        const char *close = open == NULL ? NULL : memchr(open, '}', rest.len - plain);
        if (open == NULL || escaped) {
            made = fr_arena_printf(l->a, "%.*s%.*s", FR_ARG(made), FR_ARG(before));
            made.len -= escaped ? 1 : 0;
            made = escaped ? fr_arena_printf(l->a, "%.*s${", FR_ARG(made)) : made;
            size_t used = plain + (escaped ? 2 : 0);
            rest = (fr_str){rest.ptr + used, rest.len - used};
            continue;
        }
        if (close == NULL) {
            fr_problem *p =
                fr_problem_add(l, false, "config.unknown_variable", n->place, path, "${ without }");
            fr_problem_hint(l, p, "close it; a literal ${ is written $${");
            return FR_FAIL;
        }
        fr_str body = {open + 2, (size_t)(close - open - 2)}, value = {"", 0};
        fr_rc rc = resolve_one(l, n, path, o, secret, body, &value);
        if (rc == FR_FAIL)
            return FR_FAIL;
        referred = referred || rc != FR_END;
        worst = rc == FR_IDLE ? FR_IDLE : worst;
        value = rc == FR_END || rc == FR_IDLE ? (fr_str){open, (size_t)(close - open + 1)} : value;
        made = fr_arena_printf(l->a, "%.*s%.*s%.*s", FR_ARG(made), FR_ARG(before), FR_ARG(value));
        size_t used = (size_t)(close + 1 - rest.ptr);
        rest = (fr_str){rest.ptr + used, rest.len - used};
    }
    if (secret && worst == FR_OK)
        guard_secret(l, n, path, referred, made);
    *out = made;
    return worst;
}
