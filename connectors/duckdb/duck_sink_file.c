/* The file: opened, made, let go of, gone, replaced. DuckDB locks a file for its process while it
 * is open there; nothing of ours opens it beside, for closing it would drop that lock. */
#include "base/cancel.h"
#include "base/clock.h"
#include "duckdb/duck_sink.h"
#include "sql/file.h"
#include "sql/text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that sinks of this process have open, by one DuckDB: whoever opens its path while others
 * still have it gets that DuckDB, and so the file that it has, whatever is at the path by then. */
struct fr_duck_instance {
    char path[PATH_MAX]; /* without links: DuckDB tells files apart by their paths */
    dev_t device;
    ino_t inode;
    int users;
    fr_duck_instance *next;
};
static pthread_mutex_t instances_lock = PTHREAD_MUTEX_INITIALIZER;
static fr_duck_instance *instances;

enum { WAIT_US = 5000000, LOOK_US = 3000 };

static fr_rc set(const fr_duck_api *d, duckdb_config config, const char *name, const char *value,
                 fr_err *err)
{
    if (d->set_config(config, name, value) == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "DuckDB %s does not take %s = %s", d->library_version(), name,
            value);
    fr_fail_code(err, "sink.library");
    return fr_fail_hint(err, "set library to another DuckDB (1.5 or later)");
}

/* Nothing is fetched from anywhere, and what a file's views or defaults name is not read. */
static fr_rc configure(const fr_duck_sink *s, duckdb_config config, fr_err *err)
{
    char memory[32], threads[32];
    snprintf(memory, sizeof(memory), "%lldB", (long long)s->config->memory);
    snprintf(threads, sizeof(threads), "%lld", (long long)s->config->threads);
    const struct {
        const char *name, *value;
    } wanted[] = {{"memory_limit", memory},
                  {"threads", threads},
                  {"autoinstall_known_extensions", "false"},
                  {"autoload_known_extensions", "false"},
                  {"allow_community_extensions", "false"},
                  {"enable_external_access", "false"}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        FR_TRY(set(s->api, config, wanted[i].name, wanted[i].value, err));
    return s->reader ? set(s->api, config, "access_mode", "READ_ONLY", err) : FR_OK;
}

static fr_rc read_catalog(fr_duck_sink *s, fr_err *err)
{
    fr_duck_rows r;
    fr_arena *a = fr_arena_new(256);
    fr_rc rc =
        fr_duck_sink_ask(s, "read the file", "SELECT current_database()", NULL, 0, a, &r, err);
    fr_str catalog = rc == FR_OK ? fr_sql_ident(a, fr_duck_cell(&r, 0, 0)) : s->catalog;
    if (!fr_str_eq(catalog, s->catalog)) /* it is read again and again */
        s->catalog = fr_arena_str(s->home, catalog);
    fr_arena_free(a);
    fr_err ignored; /* where DuckDB has no time zones (without its ICU), texts are in UTC anyway */
    if (rc == FR_OK)
        fr_duck_sink_exec(s, "set up the session", "SET TimeZone = 'UTC'", &ignored);
    return rc;
}

static fr_rc connect_to(fr_duck_sink *s, fr_err *err)
{
    duckdb_connection con = NULL;
    if (s->api->connect(s->db, &con) != 0)
        return fr_duck_sink_error(FR_DUCK_E_IO, "no connection", "open the file", err);
    pthread_mutex_lock(&s->lock);
    s->con = con;
    pthread_mutex_unlock(&s->lock);
    s->broken = false;
    return read_catalog(s, err);
}

/* The connection, and our share in its DuckDB. */
static void let_go(fr_duck_sink *s)
{
    duckdb_connection con = s->con;
    fr_duck_sink_forget(s);
    pthread_mutex_lock(&s->lock);
    s->con = NULL;
    pthread_mutex_unlock(&s->lock);
    if (con != NULL)
        s->api->disconnect(&con);
    if (s->db != NULL)
        s->api->close(&s->db);
    s->db = NULL;
    s->in_txn = s->has_rows = s->changed_ddl = s->has_own_tables = s->broken = false;
}

/* path NULL: in memory. Those of this process that open one file share one DuckDB. */
static fr_rc open_at(fr_duck_sink *s, const char *path, fr_err *err)
{
    const fr_duck_api *d = s->api;
    duckdb_config config = NULL;
    char *text = NULL;
    if (d->create_config(&config) != 0)
        return fr_fail(err, FR_ERR_BUG, "DuckDB gives no configuration");
    fr_rc rc = configure(s, config, err);
    if (rc == FR_OK) {
        duckdb_state state =
            path == NULL ? d->open_ext(NULL, &s->db, config, &text)
                         : d->get_or_create_from_cache(d->cache, path, &s->db, config, &text);
        if (state != 0) {
            rc = fr_duck_sink_error(0, text, "open the file", err);
            s->db = NULL;
            d->free(text);
        }
    }
    d->destroy_config(&config);
    if (rc == FR_OK)
        rc = connect_to(s, err);
    if (rc == FR_FAIL)
        let_go(s);
    return rc;
}

/* ---- instances; under their lock ---- */

static fr_duck_instance *instance_at(const char *path)
{
    fr_duck_instance *i = instances;
    while (i != NULL && strcmp(i->path, path) != 0)
        i = i->next;
    return i;
}

/* POSIX locks are the process's, so that two DuckDBs of one process would not see each other's. */
static fr_rc check_other_names(const char *path, fr_err *err)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    for (const fr_duck_instance *i = instances; i != NULL && there; i = i->next) {
        if (i->device != st.st_dev || i->inode != st.st_ino || strcmp(i->path, path) == 0)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "%s is the file %s, which another sink has open", path,
                i->path);
        fr_fail_code(err, "sink.file");
        return fr_fail_hint(err, "give both sinks the same path");
    }
    return FR_OK;
}

static fr_rc open_instance(fr_duck_sink *s, const char *path, fr_err *err)
{
    struct stat st;
    fr_duck_instance *i = instance_at(path);
    FR_TRY(check_other_names(path, err));
    FR_TRY(open_at(s, path, err));
    if (i == NULL && stat(path, &st) != 0) {
        let_go(s);
        return fr_target_no_file(err, FR_ERR_CONNECT, path, "went away while it was opened");
    }
    if (i == NULL) {
        i = fr_malloc(sizeof(*i));
        snprintf(i->path, sizeof(i->path), "%s", path);
        i->device = st.st_dev;
        i->inode = st.st_ino;
        i->next = instances;
        instances = i;
    }
    i->users++;
    s->instance = i;
    return FR_OK;
}

static void leave_instance(fr_duck_instance *i)
{
    if (i == NULL || --i->users > 0)
        return;
    fr_duck_instance **at = &instances;
    while (*at != i)
        at = &(*at)->next;
    *at = i->next;
    free(i);
}

void fr_duck_sink_shut(fr_duck_sink *s)
{
    pthread_mutex_lock(&instances_lock);
    let_go(s);
    leave_instance(s->instance);
    s->instance = NULL;
    pthread_mutex_unlock(&instances_lock);
}

/* ---- the file ---- */

/* Where the file is let go of between transactions, others look into it, shortly as a rule: they
 * are waited for, or a reader that comes again and again would never let us in. */
static fr_rc open_patiently(fr_duck_sink *s, const char *path, fr_err *err)
{
    int64_t wait = s->reader ? s->patience_us : WAIT_US;
    int64_t until = fr_now_us() + (s->config->hold == FR_DUCK_HOLD_WRITING ? wait : 0);
    atomic_store(&s->interrupted, false);
    for (;;) {
        pthread_mutex_lock(&instances_lock);
        fr_rc rc = open_instance(s, path, err);
        pthread_mutex_unlock(&instances_lock);
        if (rc == FR_OK)
            return FR_OK;
        if (strcmp(err->code, "sink.busy") != 0 || fr_now_us() >= until)
            return FR_FAIL;
        if (fr_cancelled() || atomic_exchange(&s->interrupted, false)) {
            err->kind = FR_ERR_CANCELLED;
            return FR_FAIL;
        }
        fr_sleep_us(LOOK_US);
    }
}

/* In full: "md:x" or "s3://x" would be something else to DuckDB; and without links. Of a file that
 * is not there yet, that of its folder. */
static const char *real_path(const char *path, char out[PATH_MAX])
{
    char full[PATH_MAX], folder[PATH_MAX];
    if (realpath(path, out) != NULL)
        return out;
    const char *plain = fr_target_full_path(path, full), *name = strrchr(plain, '/');
    char parent[PATH_MAX];
    snprintf(parent, sizeof(parent), "%.*s/", (int)(name - plain), plain);
    if (realpath(parent, folder) == NULL)
        folder[0] = '\0';
    int n = snprintf(out, PATH_MAX, "%s%s", strcmp(folder, "/") == 0 ? "" : folder, name);
    return n > 0 && n < PATH_MAX ? out : path;
}

static fr_rc open_file(fr_duck_sink *s, fr_err *err)
{
    char real[PATH_MAX];
    const char *path = real_path(s->config->path, real);
    s->stand_in = false;
    if (access(path, F_OK) == 0 && access(path, s->reader ? R_OK : R_OK | W_OK) != 0) {
        fr_fail(err, FR_ERR_AUTH, "%s: %s", path, strerror(errno));
        fr_fail_code(err, "sink.readonly");
        return fr_fail_hint(err, "let the user that freshet runs as read and write it");
    }
    if (open_patiently(s, path, err) == FR_FAIL)
        return strstr(err->text, path) == NULL ? fr_fail_in(err, "%s", path) : FR_FAIL;
    return FR_OK;
}

fr_rc fr_duck_sink_open(fr_duck_sink *s, fr_err *err)
{
    bool there;
    FR_TRY(fr_target_check_path(s->config->path, &there, err));
    if (there)
        return open_file(s, err);
    if (s->reader) {
        fr_target_no_file(err, FR_ERR_CONFIG, s->config->path, "is not there");
        return fr_fail_hint(err, "freshet apply makes it, or run: freshet status says what the "
                                 "sink does");
    }
    s->stand_in = true;
    return open_at(s, NULL, err);
}

/* Somebody may have made it meanwhile. */
static fr_rc look_again(fr_duck_sink *s, fr_err *err)
{
    bool there = false;
    if (s->con == NULL)
        return fr_duck_sink_open(s, err);
    if (s->stand_in)
        FR_TRY(fr_target_check_path(s->config->path, &there, err));
    if (!there)
        return FR_OK;
    fr_duck_sink_shut(s);
    return open_file(s, err);
}

fr_rc fr_duck_sink_need_file(fr_duck_sink *s, bool create, fr_err *err)
{
    FR_TRY(look_again(s, err));
    if (!s->stand_in)
        return FR_OK;
    if (fr_map_count(s->known) > 0) {
        fr_target_no_file(err, FR_ERR_CONFIG, s->config->path, "was there and is gone");
        return fr_fail_hint(err, "put it back, or take a new snapshot into a new one");
    }
    if (!create) {
        fr_target_no_file(err, FR_ERR_CONFIG, s->config->path, "is not there");
        return fr_fail_hint(err,
                            "correct the path, or set create to apply or run: it is made then");
    }
    fr_duck_sink_shut(s);
    return open_file(s, err);
}

fr_rc fr_duck_sink_same_file(fr_duck_sink *s, fr_err *err)
{
    struct stat st;
    const char *path = s->config->path;
    FR_TRY(look_again(s, err));
    if (s->stand_in)
        return FR_OK;
    if (stat(path, &st) == 0 && st.st_dev == s->instance->device && st.st_ino == s->instance->inode)
        return FR_OK;
    atomic_store(&s->connected, false);
    s->broken = true;
    if (access(path, F_OK) == 0) {
        fr_target_no_file(err, FR_ERR_CONNECT, path, "was replaced by another while it was open");
        return fr_fail_hint(err, "it is opened anew, and goes on where its own offsets say");
    }
    fr_target_no_file(err, FR_ERR_CONFIG, path, "was there and is gone");
    return fr_fail_hint(err, "put it back, or take a new snapshot into a new one");
}
