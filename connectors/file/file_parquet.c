/* The stage and the files: rows go into tables of a DuckDB in memory, in vectors of up to 2,048,
 * and by COPY from there into Parquet. Nothing of a value is part of a statement's text (S01), and
 * every name is quoted (S02). */
#include "base/bytes.h"
#include "duckdb/duck_sink.h"
#include "file/file_sink.h"
#include "sql/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rows of a row group, at most: a reader passes over those whose statistics say that they have
 * nothing for it. A multiple of DuckDB's vectors. And at most so much of `memory`, because the
 * writer has one of them in memory, and its pages twice. */
enum { GROUP_ROWS = 61440, GROUP_PART = 16 };

/* Columns of our own, after the message's, and what they are staged as. */
enum { OP, POSITION, AT, TOPIC, PARTITION, OFFSET, ABSENT, DAY, OWN };
static const struct {
    const char *name, *type;
    duckdb_type logical;
} own[OWN] = {{"_freshet_op", "VARCHAR", FR_DUCK_VARCHAR},
              {FR_TARGET_POSITION, "BLOB", FR_DUCK_BLOB},
              {"_freshet_at", "TIMESTAMP WITH TIME ZONE", FR_DUCK_TIMESTAMPTZ},
              {"_freshet_topic", "VARCHAR", FR_DUCK_VARCHAR},
              {"_freshet_partition", "INTEGER", FR_DUCK_INTEGER},
              {"_freshet_offset", "BIGINT", FR_DUCK_BIGINT},
              {"_freshet_absent", "VARCHAR", FR_DUCK_VARCHAR},
              {"", "INTEGER", FR_DUCK_INTEGER}};

static fr_str parquet_type(fr_arena *a, const fr_column *c)
{
    fr_column staged = fr_file_staged(c);
    return fr_duck_sink_type(a, &staged);
}

static fr_str parquet_both(fr_arena *a, const fr_column *staged, fr_str type, fr_str held)
{
    const fr_duck_target_column to = {.type = held};
    (void)type;
    switch (fr_duck_sink_fit(staged, &to)) {
    case FR_DUCK_FIT_FINE:
        return held;
    case FR_DUCK_FIT_NARROW:
        return fr_duck_sink_wider(a, staged, held);
    default:
        return FR_STR("");
    }
}

/* ---- DuckDB ---- */

static fr_rc failed(duckdb_error_type type, const char *text, const char *doing, fr_err *err)
{
    fr_duck_sink_error(type, text, doing, err);
    if (err->kind == FR_ERR_CONFIG && strcmp(err->code, "sink.table") == 0)
        err->kind = FR_ERR_BUG; /* our own tables and files, and nobody else's */
    return FR_FAIL;
}

static fr_rc run(fr_file_sink *s, const char *doing, fr_str sql, int64_t *rows_out, fr_err *err)
{
    duckdb_result r;
    fr_rc rc = FR_OK;
    if (s->api->query(s->con, sql.ptr, &r) != 0)
        rc = failed(s->api->result_error_type(&r), s->api->result_error(&r), doing, err);
    else if (rows_out != NULL)
        *rows_out = (int64_t)s->api->rows_changed(&r);
    s->api->destroy_result(&r);
    return rc;
}

static fr_str ended(fr_buf *b)
{
    fr_buf_u8(b, '\0');
    return (fr_str){(const char *)b->ptr, b->len - 1};
}

static fr_rc configure(fr_file_sink *s, duckdb_config config, fr_err *err)
{
    char memory[32], spill_name[64], spill[PATH_MAX + 80];
    snprintf(memory, sizeof(memory), "%lldB", (long long)s->config->memory);
    fr_file_folder_spill(&s->folder, spill_name, sizeof(spill_name));
    snprintf(spill, sizeof(spill), "%s/_freshet/%s", s->folder.path, spill_name);
    const struct {
        const char *name, *value;
    } wanted[] = {
        {"memory_limit", memory},
        {"threads", "1"},
        {"temp_directory", spill},
        {"preserve_insertion_order", "false"}, /* or groups cannot be cut by their bytes;
                                                  one thread keeps the order all the same */
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
        {"allow_community_extensions", "false"}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (s->api->set_config(config, wanted[i].name, wanted[i].value) == 0)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "DuckDB %s does not take %s = %s", s->api->library_version(),
                wanted[i].name, wanted[i].value);
        fr_fail_code(err, "sink.library");
        return fr_fail_hint(err, "set library to another DuckDB (1.5 or later)");
    }
    return FR_OK;
}

static fr_rc parquet_open(fr_file_sink *s, fr_err *err)
{
    duckdb_config config = NULL;
    duckdb_connection con = NULL;
    char *text = NULL;
    if (fr_duck_load(s->config->library, &s->api, err) == FR_FAIL)
        return fr_fail_in(err, "format parquet");
    if (s->api->create_config(&config) != 0)
        return fr_fail(err, FR_ERR_BUG, "DuckDB gives no configuration");
    fr_rc rc = configure(s, config, err);
    if (rc == FR_OK && s->api->open_ext(NULL, &s->db, config, &text) != 0) {
        rc = failed((duckdb_error_type)0, text, "open DuckDB", err);
        s->db = NULL;
        s->api->free(text);
    }
    s->api->destroy_config(&config);
    if (rc == FR_OK && s->api->connect(s->db, &con) != 0)
        rc = failed((duckdb_error_type)FR_DUCK_E_IO, "no connection", "open DuckDB", err);
    pthread_mutex_lock(&s->lock);
    s->con = con;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static void parquet_close(fr_file_sink *s)
{
    pthread_mutex_lock(&s->lock);
    duckdb_connection con = s->con;
    s->con = NULL;
    pthread_mutex_unlock(&s->lock);
    if (con != NULL)
        s->api->disconnect(&con);
    if (s->db != NULL)
        s->api->close(&s->db);
    s->db = NULL;
}

/* ---- rows into the stage ---- */

static fr_str stage_name(fr_arena *a, const fr_file_version *v)
{
    return fr_arena_printf(a, "s%" PRIu64, v->table->serial);
}

static fr_rc make_table(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    fr_buf b = {.arena = s->arena};
    fr_str name = stage_name(s->arena, v);
    fr_buf_printf(&b, "CREATE OR REPLACE TABLE %.*s (", FR_ARG(name));
    for (size_t i = 0; i < v->shape.column_count; i++)
        fr_buf_printf(&b, "c%zu %.*s, ", i, FR_ARG(fr_duck_sink_staged(s->arena, &v->staged[i])));
    for (size_t i = 0; i < OWN; i++)
        fr_buf_printf(&b, "%so%zu %s", i > 0 ? ", " : "", i, own[i].type);
    fr_buf_text(&b, ")");
    FR_TRY(run(s, "stage rows", ended(&b), NULL, err));
    v->made = true;
    return FR_OK;
}

static fr_rc append_failed(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    duckdb_error_data data = s->api->appender_error_data(v->appender);
    failed(s->api->error_data_error_type(data), s->api->error_data_message(data), "stage rows",
           err);
    s->api->destroy_error_data(&data);
    return FR_FAIL;
}

static fr_rc begin(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    const fr_duck_api *d = s->api;
    size_t n = v->shape.column_count;
    duckdb_logical_type *types = fr_arena_alloc(s->arena, (n + OWN) * sizeof(*types));
    if (!v->made)
        FR_TRY(make_table(s, v, err));
    const char *name = fr_arena_cstr(s->arena, stage_name(s->arena, v));
    if (d->appender_create_ext(s->con, NULL, NULL, name, &v->appender) != 0)
        return append_failed(s, v, err);
    for (size_t i = 0; i < n; i++)
        types[i] = fr_duck_sink_logical(d, &v->staged[i]);
    for (size_t i = 0; i < OWN; i++)
        types[n + i] = d->create_logical_type(own[i].logical);
    v->chunk = d->create_data_chunk(types, n + OWN);
    v->chunk_rows = 0;
    for (size_t i = 0; i < n + OWN; i++)
        d->destroy_logical_type(&types[i]);
    return FR_OK;
}

static fr_rc flush_chunk(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    if (v->chunk_rows == 0)
        return FR_OK;
    s->api->data_chunk_set_size(v->chunk, v->chunk_rows);
    if (s->api->append_data_chunk(v->appender, v->chunk) != 0)
        return append_failed(s, v, err);
    s->api->data_chunk_reset(v->chunk);
    v->chunk_rows = 0;
    return FR_OK;
}

static void end(fr_file_sink *s, fr_file_version *v)
{
    if (v->chunk != NULL)
        s->api->destroy_data_chunk(&v->chunk);
    if (v->appender != NULL)
        s->api->appender_destroy(&v->appender);
    v->chunk = NULL;
    v->appender = NULL;
    v->chunk_rows = 0;
}

static fr_rc parquet_flush(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    if (v->chunk == NULL)
        return FR_OK;
    fr_rc rc = flush_chunk(s, v, err);
    if (rc == FR_OK && s->api->appender_close(v->appender) != 0)
        rc = append_failed(s, v, err);
    end(s, v);
    return rc;
}

static void parquet_drop(fr_file_sink *s, fr_file_version *v)
{
    fr_err ignored;
    end(s, v);
    fr_str sql =
        fr_arena_printf(s->arena, "DROP TABLE IF EXISTS s%" PRIu64 "%c", v->table->serial, '\0');
    v->stage_rows = 0;
    v->since_cut = 0;
    v->cut_count = 0;
    if (v->made && s->con != NULL) /* where that fails, the next row replaces it */
        run(s, "empty the stage", sql, NULL, &ignored);
    v->made = false;
}

static void put_null(const fr_duck_api *d, duckdb_vector vector, size_t row)
{
    d->vector_ensure_validity_writable(vector);
    d->vector_get_validity(vector)[row / 64] &= ~(UINT64_C(1) << row % 64);
}

static void put_own(fr_file_sink *s, fr_file_version *v, const fr_event *e, const fr_row *row,
                    int32_t day, char op)
{
    const fr_duck_api *d = s->api;
    duckdb_vector at[OWN];
    uint8_t position[FR_TARGET_POSITION_SIZE];
    fr_str absent = fr_file_absent(s, v, row);
    int64_t us = fr_file_time(e);
    size_t n = v->chunk_rows;
    for (size_t i = 0; i < OWN; i++)
        at[i] = d->data_chunk_get_vector(v->chunk, v->shape.column_count + i);
    fr_target_position(position, e);
    d->vector_assign_string_element_len(at[OP], n, &op, 1);
    d->vector_assign_string_element_len(at[POSITION], n, (const char *)position, sizeof(position));
    d->vector_assign_string_element_len(at[TOPIC], n, e->topic.len > 0 ? e->topic.ptr : "",
                                        e->topic.len);
    ((int32_t *)d->vector_get_data(at[PARTITION]))[n] = e->partition;
    ((int64_t *)d->vector_get_data(at[OFFSET]))[n] = e->offset;
    ((int32_t *)d->vector_get_data(at[DAY]))[n] = day;
    if (us > 0)
        ((int64_t *)d->vector_get_data(at[AT]))[n] = us;
    else
        put_null(d, at[AT], n);
    if (absent.len > 0)
        d->vector_assign_string_element_len(at[ABSENT], n, absent.ptr, absent.len);
    else
        put_null(d, at[ABSENT], n);
}

static fr_rc put_value(fr_file_sink *s, fr_file_version *v, size_t i, const fr_row *row,
                       fr_err *err)
{
    duckdb_vector vector = s->api->data_chunk_get_vector(v->chunk, i);
    const fr_value *value = row->count > 0 ? &row->values[v->columns[i]] : NULL;
    if (value == NULL || value->kind == FR_NULL || value->kind == FR_ABSENT) {
        put_null(s->api, vector, v->chunk_rows);
        return FR_OK;
    }
    const fr_column *c = &v->table->columns[v->columns[i]];
    fr_value staged = *value;
    if (value->kind == c->kind)
        staged.kind = v->staged[i].kind; /* else it is a mistake, and is told */
    if (fr_file_check(c, value, err) == FR_FAIL ||
        fr_duck_sink_put(s->api, vector, v->chunk_rows, &v->staged[i], &staged, err) == FR_FAIL)
        return fr_fail_in(err, "%.*s", FR_ARG(v->shown));
    return FR_OK;
}

static int64_t group_bytes(const fr_file_sink *s)
{
    return s->config->memory / GROUP_PART;
}

/* DuckDB handles 2,048 rows at once, whatever their size: where they are large it is given fewer.
 * True: cut here. */
static bool count_bytes(const fr_file_sink *s, fr_file_version *v, const fr_row *row)
{
    v->stage_rows++;
    for (size_t i = 0; i < v->shape.column_count && row->count > 0; i++) {
        const fr_value *value = &row->values[v->columns[i]];
        bool long_one = value->kind == FR_TEXT || value->kind == FR_BYTES || value->kind == FR_JSON;
        v->since_cut += long_one ? (int64_t)value->bytes.len : 8;
    }
    if (v->since_cut < group_bytes(s))
        return false;
    if (v->cut_count == v->cut_cap) {
        v->cut_cap = v->cut_cap == 0 ? 16 : 2 * v->cut_cap;
        v->cuts = fr_realloc(v->cuts, v->cut_cap * sizeof(*v->cuts));
    }
    v->cuts[v->cut_count++] = v->stage_rows;
    v->since_cut = 0;
    return true;
}

static fr_rc parquet_row(fr_file_sink *s, fr_file_version *v, fr_file_day *day, const fr_event *e,
                         const fr_row *row, char op, fr_err *err)
{
    if (v->chunk == NULL)
        FR_TRY(begin(s, v, err));
    for (size_t i = 0; i < v->shape.column_count; i++)
        FR_TRY(put_value(s, v, i, row, err));
    put_own(s, v, e, row, day->day, op);
    bool full = ++v->chunk_rows == s->api->vector_size();
    return count_bytes(s, v, row) || full ? flush_chunk(s, v, err) : FR_OK;
}

/* ---- into files ---- */

static void put_text(fr_buf *b, const char *text)
{
    fr_buf_u8(b, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fr_buf_u8(b, '\'');
        fr_buf_u8(b, (uint8_t)*text);
    }
    fr_buf_u8(b, '\'');
}

static void put_path(fr_buf *b, const fr_file_sink *s, fr_str below, const char *more)
{
    fr_str path =
        fr_arena_printf(b->arena, "%s/%.*s%s%c", s->folder.path, FR_ARG(below), more, '\0');
    put_text(b, path.ptr);
}

/* What a failed attempt wrote takes room, perhaps the last there is. */
static fr_rc copy(fr_file_sink *s, const char *doing, fr_buf *b, fr_str below, int64_t *rows_out,
                  fr_err *err)
{
    fr_str path = fr_arena_printf(b->arena, "%s/%.*s.tmp%c", s->folder.path, FR_ARG(below), '\0');
    fr_rc rc = run(s, doing, ended(b), rows_out, err);
    if (rc == FR_FAIL)
        unlink(path.ptr);
    return rc;
}

static void put_column(fr_buf *b, const fr_file_version *v, size_t i)
{
    fr_str staged = fr_duck_sink_staged(b->arena, &v->staged[i]);
    if (fr_str_eq(staged, v->shape.columns[i].type))
        fr_buf_printf(b, "c%zu", i);
    else
        fr_buf_printf(b, "CAST(c%zu AS %.*s)", i, FR_ARG(v->shape.columns[i].type));
    fr_buf_printf(b, " AS %.*s, ", FR_ARG(fr_sql_ident(b->arena, v->shape.columns[i].name)));
}

/* A dictionary of DuckDB's takes 0 and -0 for one value. */
static bool has_floats(const fr_file_shape *shape)
{
    for (size_t i = 0; i < shape->column_count; i++)
        if (fr_str_is(shape->columns[i].type, "FLOAT") ||
            fr_str_is(shape->columns[i].type, "DOUBLE"))
            return true;
    return false;
}

static void put_options(fr_buf *b, const fr_file_sink *s, const fr_file_shape *shape)
{
    fr_buf_printf(b,
                  " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, ROW_GROUP_SIZE %d, "
                  "ROW_GROUP_SIZE_BYTES %" PRId64 "%s)",
                  GROUP_ROWS, group_bytes(s), has_floats(shape) ? ", DICTIONARY_SIZE_LIMIT 0" : "");
}

/* The day's rows among those from `first` on, up to `last` (-1: all). */
static void put_select(fr_buf *b, const fr_file_version *v, int32_t day, int64_t first,
                       int64_t last)
{
    fr_buf_text(b, "SELECT ");
    for (size_t i = 0; i < v->shape.column_count; i++)
        put_column(b, v, i);
    for (size_t i = 0; i < DAY; i++)
        fr_buf_printf(b, "%so%zu AS \"%s\"", i > 0 ? ", " : "", i, own[i].name);
    fr_buf_printf(b, " FROM %.*s WHERE o%d = %d", FR_ARG(stage_name(b->arena, v)), DAY, day);
    if (first > 0)
        fr_buf_printf(b, " AND rowid >= %" PRId64, first);
    if (last >= 0)
        fr_buf_printf(b, " AND rowid < %" PRId64, last);
}

static fr_rc parquet_write(fr_file_sink *s, const fr_file_version *v, const fr_file_day *day,
                           fr_str below, fr_err *err)
{
    fr_buf b = {.arena = s->arena};
    int64_t rows = 0;
    fr_buf_text(&b, "COPY (");
    for (size_t i = 0; i <= v->cut_count; i++) {
        fr_buf_text(&b, i > 0 ? " UNION ALL " : "");
        put_select(&b, v, day->day, i > 0 ? v->cuts[i - 1] : 0, i < v->cut_count ? v->cuts[i] : -1);
    }
    fr_buf_text(&b, ") TO ");
    put_path(&b, s, below, ".tmp");
    put_options(&b, s, &v->shape);
    FR_TRY(copy(s, "write a file", &b, below, &rows, err));
    if (rows == day->rows)
        return FR_OK;
    return fr_fail(err, FR_ERR_BUG, "%.*s: %" PRId64 " rows were staged, and %" PRId64 " written",
                   FR_ARG(v->shown), day->rows, rows);
}

static fr_rc parquet_join(fr_file_sink *s, fr_file_entry *const *files, size_t count, fr_str below,
                          int64_t *rows_out, fr_err *err)
{
    fr_buf b = {.arena = s->arena};
    const fr_file_table *t = fr_map_get(
        s->folder.state->tables, fr_file_table_key(s->arena, files[0]->space, files[0]->name));
    fr_buf_text(&b, "COPY (SELECT * FROM read_parquet([");
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(&b, i > 0 ? ", " : "");
        put_path(&b, s, files[i]->path, "");
    }
    fr_buf_text(&b, "], hive_partitioning = false)) TO ");
    put_path(&b, s, below, ".tmp");
    put_options(&b, s, &t->shapes.items[files[0]->shape - 1]);
    return copy(s, "join files", &b, below, rows_out, err);
}

static fr_rc parquet_lay(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    (void)s, (void)v, (void)err;
    return FR_OK;
}

const fr_file_format fr_file_parquet = {.end = ".parquet",
                                        .open = parquet_open,
                                        .close = parquet_close,
                                        .lay = parquet_lay,
                                        .row = parquet_row,
                                        .flush = parquet_flush,
                                        .drop = parquet_drop,
                                        .write = parquet_write,
                                        .join = parquet_join,
                                        .type = parquet_type,
                                        .both = parquet_both};
