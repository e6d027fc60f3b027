#include "duckdb/duck_api.h"
#include "base/arena.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(duckdb_result) == FR_DUCK_RESULT_SIZE, "passed by value");
_Static_assert(sizeof(duckdb_string_t) == FR_DUCK_STRING_SIZE, "read in vectors");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fr_duck_api loaded;
static char *loaded_path; /* NULL: not yet */

static fr_rc no_library(fr_err *err)
{
    fr_fail_code(err, "sink.library");
    return fr_fail_hint(err, "get libduckdb (1.5 or later) from https://duckdb.org/install and set "
                             "library: /path/to/libduckdb.so");
}

static fr_rc look_up(void *handle, const char *library, fr_duck_api *api, fr_err *err)
{
    void *at;
#define X(ret, name, args)                                                                         \
    if ((at = dlsym(handle, "duckdb_" #name)) == NULL) {                                           \
        fr_fail(err, FR_ERR_CONFIG, "%s has no duckdb_%s: it is too old, or no DuckDB", library,   \
                #name);                                                                            \
        return no_library(err);                                                                    \
    }                                                                                              \
    memcpy(&api->name, &at, sizeof(at));
    FR_DUCK_CALLS(X)
#undef X
    return FR_OK;
}

/* It is never closed: it has threads and thread-local data of its own. */
static fr_rc load(const char *library, fr_err *err)
{
    fr_duck_api api = {.cache = NULL};
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "DuckDB's library cannot be loaded: %s", dlerror());
        return no_library(err);
    }
    if (look_up(handle, library, &api, err) == FR_FAIL) {
        dlclose(handle);
        return FR_FAIL;
    }
    api.cache = api.create_instance_cache();
    loaded = api;
    loaded_path = fr_strdup(library);
    return FR_OK;
}

fr_rc fr_duck_load(const char *library, const fr_duck_api **out, fr_err *err)
{
    fr_rc rc = FR_OK;
    pthread_mutex_lock(&lock);
    if (loaded_path == NULL)
        rc = load(library, err);
    else if (strcmp(loaded_path, library) != 0) {
        fr_fail(err, FR_ERR_CONFIG, "library %s: this process uses %s already", library,
                loaded_path);
        fr_fail_code(err, "sink.library");
        rc = fr_fail_hint(err, "give all duckdb sinks of a daemon the same library");
    }
    pthread_mutex_unlock(&lock);
    *out = &loaded;
    return rc;
}
