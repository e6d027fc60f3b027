/* The file: opened, made, let go of, gone, replaced. DuckDB locks a file for its process while it
 * is open there; nothing of ours opens it beside, for closing it would drop that lock. */
#include "base/cancel.h"
#include "base/clock.h"
#include "duckdb/duck_sink.h"
#include "sql/file.h"
#include "sql/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    return FR_OK;
}

static fr_rc read_catalog(fr_duck_sink *s, fr_err *err)
{
    fr_duck_rows r;
    fr_arena *a = fr_arena_new(256);
    fr_rc rc =
        fr_duck_sink_ask(s, "read the file", "SELECT current_database()", NULL, 0, a, &r, err);
    if (rc == FR_OK)
        s->catalog = fr_sql_ident(s->home, fr_duck_cell(&r, 0, 0));
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
        fr_duck_sink_shut(s);
    return rc;
}

void fr_duck_sink_shut(fr_duck_sink *s)
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

/* Where the file is let go of between transactions, others look into it, shortly as a rule: they
 * are waited for, or a reader that comes again and again would never let us in. */
static fr_rc open_patiently(fr_duck_sink *s, const char *path, fr_err *err)
{
    int64_t until = fr_now_us() + (s->config->hold == FR_DUCK_HOLD_WRITING ? WAIT_US : 0);
    atomic_store(&s->interrupted, false);
    for (;;) {
        if (open_at(s, path, err) == FR_OK)
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

/* In full: "md:x" or "s3://x" would be something else to DuckDB. */
static fr_rc open_file(fr_duck_sink *s, fr_err *err)
{
    char full[PATH_MAX];
    const char *path = fr_target_full_path(s->config->path, full);
    struct stat st;
    s->stand_in = false;
    if (access(path, F_OK) == 0 && access(path, R_OK | W_OK) != 0) {
        fr_fail(err, FR_ERR_AUTH, "%s: %s", path, strerror(errno));
        fr_fail_code(err, "sink.readonly");
        return fr_fail_hint(err, "let the user that freshet runs as read and write it");
    }
    if (open_patiently(s, path, err) == FR_FAIL)
        return strstr(err->text, path) == NULL ? fr_fail_in(err, "%s", path) : FR_FAIL;
    if (stat(path, &st) != 0) {
        fr_duck_sink_shut(s);
        return fr_target_no_file(err, FR_ERR_CONNECT, path, "went away while it was opened");
    }
    s->device = st.st_dev;
    s->inode = st.st_ino;
    return FR_OK;
}

fr_rc fr_duck_sink_open(fr_duck_sink *s, fr_err *err)
{
    bool there;
    FR_TRY(fr_target_check_path(s->config->path, &there, err));
    if (there)
        return open_file(s, err);
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
    if (stat(path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
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
