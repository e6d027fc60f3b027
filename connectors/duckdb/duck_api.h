/* DuckDB's C API (https://duckdb.org/docs/stable/clients/c/api), as far as we call it: declared
 * here and looked up in libduckdb.so at run time, so that nothing needs DuckDB to be built or
 * installed (docs/adr/0045-duckdb.md). tests/unit/duckdb compares these declarations with DuckDB's
 * own header where scripts/deps.sh has put it. The library is loaded once and stays loaded; from
 * any thread. */
#ifndef FR_DUCKDB_DUCK_API_H
#define FR_DUCKDB_DUCK_API_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

#ifndef FR_DUCK_HEADER /* else duckdb.h was included */
typedef uint64_t idx_t;
typedef int duckdb_state; /* 0: success */
typedef int duckdb_type;
typedef int duckdb_error_type;
typedef struct fr_duck_database *duckdb_database;
typedef struct fr_duck_connection *duckdb_connection;
typedef struct fr_duck_config *duckdb_config;
typedef struct fr_duck_cache *duckdb_instance_cache;
typedef struct fr_duck_prepared *duckdb_prepared_statement;
typedef struct fr_duck_pending *duckdb_pending_result;
typedef int duckdb_pending_state;
typedef struct fr_duck_appender *duckdb_appender;
typedef struct fr_duck_chunk *duckdb_data_chunk;
typedef struct fr_duck_vector *duckdb_vector;
typedef struct fr_duck_type *duckdb_logical_type;
typedef struct fr_duck_error_data *duckdb_error_data;
typedef struct duckdb_result {
    idx_t unused[3];
    void *pointers[3];
} duckdb_result;
typedef struct duckdb_string_t { /* up to 12 bytes: in place */
    uint32_t length;
    char start[4];
    char *ptr;
} duckdb_string_t;
#endif
enum { FR_DUCK_RESULT_SIZE = 48, FR_DUCK_STRING_SIZE = 16, FR_DUCK_IN_PLACE = 12 };

/* duckdb_pending_state */
enum {
    FR_DUCK_P_READY = 0,
    FR_DUCK_P_NOT_READY = 1,
    FR_DUCK_P_ERROR = 2,
    FR_DUCK_P_NO_TASKS = 3 /* threads of DuckDB's have them */
};
/* duckdb_type */
enum {
    FR_DUCK_BOOLEAN = 1,
    FR_DUCK_INTEGER = 4,
    FR_DUCK_BIGINT = 5,
    FR_DUCK_FLOAT = 10,
    FR_DUCK_DOUBLE = 11,
    FR_DUCK_TIMESTAMP = 12,
    FR_DUCK_DATE = 13,
    FR_DUCK_TIME = 14,
    FR_DUCK_INTERVAL = 15,
    FR_DUCK_VARCHAR = 17,
    FR_DUCK_BLOB = 18,
    FR_DUCK_UUID = 27,
    FR_DUCK_TIMESTAMPTZ = 31
};
/* duckdb_error_type */
enum {
    FR_DUCK_E_OUT_OF_RANGE = 1,
    FR_DUCK_E_CONVERSION = 2,
    FR_DUCK_E_SERIALIZATION = 9,
    FR_DUCK_E_TRANSACTION = 10,
    FR_DUCK_E_NOT_IMPLEMENTED = 11,
    FR_DUCK_E_CATALOG = 13,
    FR_DUCK_E_CONSTRAINT = 18,
    FR_DUCK_E_BINDER = 24,
    FR_DUCK_E_IO = 28,
    FR_DUCK_E_INTERRUPT = 29,
    FR_DUCK_E_FATAL = 30,
    FR_DUCK_E_INTERNAL = 31,
    FR_DUCK_E_INVALID_INPUT = 32,
    FR_DUCK_E_OUT_OF_MEMORY = 33,
    FR_DUCK_E_PERMISSION = 34,
    FR_DUCK_E_DEPENDENCY = 37
};

/* X(what it returns, its name without duckdb_, what it takes) */
#define FR_DUCK_CALLS(X)                                                                           \
    X(const char *, library_version, (void))                                                       \
    X(void, free, (void *))                                                                        \
    X(duckdb_state, create_config, (duckdb_config *))                                              \
    X(duckdb_state, set_config, (duckdb_config, const char *, const char *))                       \
    X(void, destroy_config, (duckdb_config *))                                                     \
    X(duckdb_instance_cache, create_instance_cache, (void))                                        \
    X(duckdb_state, get_or_create_from_cache,                                                      \
      (duckdb_instance_cache, const char *, duckdb_database *, duckdb_config, char **))            \
    X(duckdb_state, open_ext, (const char *, duckdb_database *, duckdb_config, char **))           \
    X(void, close, (duckdb_database *))                                                            \
    X(duckdb_state, connect, (duckdb_database, duckdb_connection *))                               \
    X(void, disconnect, (duckdb_connection *))                                                     \
    X(void, interrupt, (duckdb_connection))                                                        \
    X(duckdb_state, query, (duckdb_connection, const char *, duckdb_result *))                     \
    X(void, destroy_result, (duckdb_result *))                                                     \
    X(const char *, result_error, (duckdb_result *))                                               \
    X(duckdb_error_type, result_error_type, (duckdb_result *))                                     \
    X(idx_t, rows_changed, (duckdb_result *))                                                      \
    X(idx_t, column_count, (duckdb_result *))                                                      \
    X(duckdb_data_chunk, fetch_chunk, (duckdb_result))                                             \
    X(duckdb_state, prepare, (duckdb_connection, const char *, duckdb_prepared_statement *))       \
    X(const char *, prepare_error, (duckdb_prepared_statement))                                    \
    X(void, destroy_prepare, (duckdb_prepared_statement *))                                        \
    X(duckdb_state, bind_int64, (duckdb_prepared_statement, idx_t, int64_t))                       \
    X(duckdb_state, bind_varchar_length, (duckdb_prepared_statement, idx_t, const char *, idx_t))  \
    X(duckdb_state, bind_blob, (duckdb_prepared_statement, idx_t, const void *, idx_t))            \
    X(duckdb_state, execute_prepared, (duckdb_prepared_statement, duckdb_result *))                \
    X(duckdb_state, pending_prepared_streaming,                                                    \
      (duckdb_prepared_statement, duckdb_pending_result *))                                        \
    X(duckdb_pending_state, pending_execute_task, (duckdb_pending_result))                         \
    X(const char *, pending_error, (duckdb_pending_result))                                        \
    X(duckdb_state, execute_pending, (duckdb_pending_result, duckdb_result *))                     \
    X(void, destroy_pending, (duckdb_pending_result *))                                            \
    X(duckdb_logical_type, create_logical_type, (duckdb_type))                                     \
    X(duckdb_logical_type, create_decimal_type, (uint8_t, uint8_t))                                \
    X(void, destroy_logical_type, (duckdb_logical_type *))                                         \
    X(idx_t, vector_size, (void))                                                                  \
    X(duckdb_data_chunk, create_data_chunk, (duckdb_logical_type *, idx_t))                        \
    X(void, data_chunk_reset, (duckdb_data_chunk))                                                 \
    X(void, data_chunk_set_size, (duckdb_data_chunk, idx_t))                                       \
    X(idx_t, data_chunk_get_size, (duckdb_data_chunk))                                             \
    X(duckdb_vector, data_chunk_get_vector, (duckdb_data_chunk, idx_t))                            \
    X(void, destroy_data_chunk, (duckdb_data_chunk *))                                             \
    X(void *, vector_get_data, (duckdb_vector))                                                    \
    X(uint64_t *, vector_get_validity, (duckdb_vector))                                            \
    X(void, vector_ensure_validity_writable, (duckdb_vector))                                      \
    X(void, vector_assign_string_element_len, (duckdb_vector, idx_t, const char *, idx_t))         \
    X(duckdb_state, appender_create_ext,                                                           \
      (duckdb_connection, const char *, const char *, const char *, duckdb_appender *))            \
    X(duckdb_state, append_data_chunk, (duckdb_appender, duckdb_data_chunk))                       \
    X(duckdb_state, appender_close, (duckdb_appender))                                             \
    X(duckdb_state, appender_destroy, (duckdb_appender *))                                         \
    X(duckdb_error_data, appender_error_data, (duckdb_appender))                                   \
    X(duckdb_error_type, error_data_error_type, (duckdb_error_data))                               \
    X(const char *, error_data_message, (duckdb_error_data))                                       \
    X(void, destroy_error_data, (duckdb_error_data *))

typedef struct fr_duck_api {
#define X(ret, name, args) ret(*name) args;
    FR_DUCK_CALLS(X)
#undef X
    duckdb_instance_cache cache; /* all of this process that open one file share one instance */
} fr_duck_api;

/* The library at this path, or under this name where the loader looks for libraries. CONFIG
 * (sink.library) where there is none, where it lacks a call, or where another one is loaded
 * already: two copies of DuckDB would not see each other's locks on a file. */
fr_rc fr_duck_load(const char *library, const fr_duck_api **out, fr_err *err);

#endif
