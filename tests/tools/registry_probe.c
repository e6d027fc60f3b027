/* Drives the registry client from a script. REGISTRY_URL: one or more, separated by spaces.
 *     registry_probe register SUBJECT SCHEMA COMPAT create|exists   -> id
 *     registry_probe lookup SUBJECT SCHEMA                          -> id | none
 *     registry_probe compatible SUBJECT SCHEMA                      -> yes | no: why
 *     registry_probe latest SUBJECT                                 -> version id text | none
 *     registry_probe schema ID                                      -> text
 *     registry_probe check                                          -> a line a finding
 *     registry_probe cached SUBJECT SCHEMA COMMAND   register, run the command (stop the
 *                                                    server), register again   -> id id
 * An error is `KIND code text` on stderr and the exit code of its kind. */
#include "codec/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct probe {
    fr_registry *r;
    fr_arena *a;
    fr_err err;
    char **args;
    int count;
} probe;

static fr_rc do_register(probe *p)
{
    int32_t id;
    FR_TRY(fr_registry_register(p->r, p->args[0], fr_cstr(p->args[1]), atoi(p->args[2]),
                                strcmp(p->args[3], "create") == 0, &id, &p->err));
    printf("%d\n", id);
    return FR_OK;
}

static fr_rc do_lookup(probe *p)
{
    int32_t id;
    fr_rc rc = fr_registry_lookup(p->r, p->args[0], fr_cstr(p->args[1]), &id, &p->err);
    if (rc == FR_END)
        puts("none");
    else if (rc == FR_OK)
        printf("%d\n", id);
    return rc;
}

static fr_rc do_compatible(probe *p)
{
    fr_str why;
    fr_rc rc = fr_registry_compatible(p->r, p->a, p->args[0], fr_cstr(p->args[1]), &why, &p->err);
    if (rc != FR_FAIL)
        printf("%s%.*s\n", rc == FR_OK ? "yes" : "no: ", FR_ARG(why));
    return rc;
}

static fr_rc do_latest(probe *p)
{
    int version;
    int32_t id;
    fr_str text;
    fr_rc rc = fr_registry_latest(p->r, p->a, p->args[0], &version, &id, &text, &p->err);
    if (rc == FR_END)
        puts("none");
    else if (rc == FR_OK)
        printf("%d %d %.*s\n", version, id, FR_ARG(text));
    return rc;
}

static fr_rc do_schema(probe *p)
{
    fr_str text;
    FR_TRY(fr_registry_schema(p->r, atoi(p->args[0]), &text, &p->err));
    printf("%.*s\n", FR_ARG(text));
    return FR_OK;
}

static fr_rc do_check(probe *p)
{
    static const char *const severities[] = {"fine", "warning", "blocker", "change"};
    fr_findings found = {.arena = p->a};
    FR_TRY(fr_registry_check(p->r, &found, &p->err));
    for (size_t i = 0; i < found.count; i++)
        printf("%s %s %.*s\n", severities[found.items[i].severity], found.items[i].code,
               FR_ARG(found.items[i].text));
    return FR_OK;
}

static fr_rc do_cached(probe *p)
{
    int32_t first, second;
    fr_str schema = fr_cstr(p->args[1]);
    FR_TRY(fr_registry_register(p->r, p->args[0], schema, -1, true, &first, &p->err));
    if (system(p->args[2]) != 0)
        return fr_fail(&p->err, FR_ERR_BUG, "%s failed", p->args[2]);
    FR_TRY(fr_registry_register(p->r, p->args[0], schema, -1, true, &second, &p->err));
    printf("%d %d\n", first, second);
    return FR_OK;
}

static const struct {
    const char *name;
    int args;
    fr_rc (*run)(probe *p);
} verbs[] = {{"register", 4, do_register},     {"lookup", 2, do_lookup},
             {"compatible", 2, do_compatible}, {"latest", 1, do_latest},
             {"schema", 1, do_schema},         {"check", 0, do_check},
             {"cached", 3, do_cached}};

static fr_rc run(probe *p, const char *verb)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, verb) == 0 && verbs[i].args == p->count)
            return verbs[i].run(p);
    return fr_fail(&p->err, FR_ERR_CONFIG, "usage: see the head of registry_probe.c");
}

int main(int argc, char **argv)
{
    const char *urls[8];
    char *list = fr_strdup(getenv("REGISTRY_URL") != NULL ? getenv("REGISTRY_URL") : "");
    fr_registry_settings s = {.url = {urls, 0},
                              .username = getenv("REGISTRY_USER"),
                              .password = getenv("REGISTRY_PASSWORD"),
                              .ca = getenv("REGISTRY_CA")};
    for (char *u = strtok(list, " "); u != NULL && s.url.count < 8; u = strtok(NULL, " "))
        urls[s.url.count++] = u;
    probe p = {.a = fr_arena_new(0), .args = argv + 2, .count = argc - 2};
    fr_rc rc = fr_registry_open(&s, &p.r, &p.err);
    if (rc != FR_FAIL)
        rc = run(&p, argc > 1 ? argv[1] : "");
    if (rc == FR_FAIL)
        fprintf(stderr, "%s %s %s\n", fr_err_kind_name(p.err.kind), p.err.code, p.err.text);
    fr_registry_close(p.r);
    fr_arena_free(p.a);
    free(list);
    return rc == FR_FAIL ? fr_err_exit(p.err.kind) : 0;
}
