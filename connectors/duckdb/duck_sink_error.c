/* What DuckDB's errors are to us. Their texts are DuckDB's; of an error at opening they are all
 * there is. */
#include "duckdb/duck_sink.h"
#include <stdio.h>
#include <string.h>

typedef struct meaning {
    const char *word; /* in the text; NULL: any */
    int type;         /* 0: any */
    fr_err_kind kind;
    const char *code, *hint;
} meaning;

static const meaning meanings[] = {
    {NULL, FR_DUCK_E_INTERRUPT, FR_ERR_CANCELLED, "", ""},
    {"lock on file", 0, FR_ERR_BUSY, "sink.busy",
     "one process may hold a DuckDB file: end that one, or let it let go of the file (hold: "
     "writing "
     "in a freshet); it passes by itself then"},
    {"No space left on device", 0, FR_ERR_BUSY, "sink.full",
     "make room on the file system (df); it goes on by itself then, and nothing is lost"},
    {"File too large", 0, FR_ERR_BUSY, "sink.full",
     "raise the limit of a file's size (ulimit -f); it goes on by itself then, and nothing is "
     "lost"},
    {"Disk quota exceeded", 0, FR_ERR_BUSY, "sink.full",
     "make room within the quota; it goes on by itself then, and nothing is lost"},
    {"not a valid DuckDB database file", 0, FR_ERR_CONFIG, "sink.corrupt",
     "give the path of a DuckDB file, or of one that is not there yet"},
    {"Loading external extensions is disabled", 0, FR_ERR_CONFIG, "sink.corrupt",
     "the file is of another kind of database: give the path of a DuckDB file, or of one that is "
     "not "
     "there yet"},
    {"with version number", 0, FR_ERR_CONFIG, "sink.storage",
     "the file was written by another DuckDB: set library to one that reads it, or write the file "
     "anew with a storage version that this one has (ATTACH ... (STORAGE_VERSION 'v1.2.0'), COPY "
     "FROM DATABASE)"},
    {"Corrupt", 0, FR_ERR_CONFIG, "sink.corrupt",
     "restore the file from a backup, or move it away and take a new snapshot"},
    {"checksum", 0, FR_ERR_CONFIG, "sink.corrupt",
     "restore the file from a backup, or move it away and take a new snapshot"},
    {"different configuration", 0, FR_ERR_CONFIG, "sink.config",
     "sinks of one daemon that write one file need the same memory and threads"},
    {"Permission denied", 0, FR_ERR_AUTH, "sink.readonly",
     "let the user that freshet runs as read and write the file and its folder"},
    {"Read-only file system", 0, FR_ERR_AUTH, "sink.readonly",
     "give a path on a file system that can be written"},
    {"NOT NULL constraint", FR_DUCK_E_CONSTRAINT, FR_ERR_DATA, "sink.not_null",
     "let the target's column be NULL: ALTER TABLE .. ALTER COLUMN .. DROP NOT NULL"},
    {"CHECK constraint", FR_DUCK_E_CONSTRAINT, FR_ERR_DATA, "sink.check",
     "make the target's table without this CHECK, or correct the row"},
    {"foreign key", FR_DUCK_E_CONSTRAINT, FR_ERR_DATA, "sink.foreign_key",
     "a row that it refers to is not there (yet), or others refer to it; DuckDB also refuses what "
     "would be well at the end of the transaction: make the target's table without foreign keys"},
    {NULL, FR_DUCK_E_CONSTRAINT, FR_ERR_DATA, "sink.unique",
     "another row of the target has this value; DuckDB also refuses what would be well at the end "
     "of the transaction: make the target's table without this unique index"},
    {NULL, FR_DUCK_E_CONVERSION, FR_ERR_DATA, "sink.value",
     "give the target's column another type"},
    {NULL, FR_DUCK_E_OUT_OF_RANGE, FR_ERR_DATA, "sink.value",
     "give the target's column another type"},
    {NULL, FR_DUCK_E_TRANSACTION, FR_ERR_BUSY, "sink.busy",
     "another sink of this process wrote the same rows; it passes by itself"},
    {NULL, FR_DUCK_E_OUT_OF_MEMORY, FR_ERR_BUSY, "sink.memory",
     "raise memory of this sink, or lower write.batch: the batch is tried again"},
    {NULL, FR_DUCK_E_SERIALIZATION, FR_ERR_CONFIG, "sink.corrupt",
     "restore the file from a backup, or move it away and take a new snapshot; or set library to a "
     "newer DuckDB"},
    {NULL, FR_DUCK_E_CATALOG, FR_ERR_CONFIG, "sink.table",
     "the target was changed: freshet plan says what it lacks"},
    {NULL, FR_DUCK_E_BINDER, FR_ERR_CONFIG, "sink.table",
     "the target was changed: freshet plan says what it lacks"},
    {NULL, FR_DUCK_E_DEPENDENCY, FR_ERR_CONFIG, "sink.table",
     "DuckDB does not alter a table that indexes depend on: drop them (DROP INDEX), or make the "
     "table anew"},
    {NULL, FR_DUCK_E_NOT_IMPLEMENTED, FR_ERR_CONFIG, "sink.table",
     "this DuckDB cannot do that: make the target's table anew, or set library to a newer one"},
    {NULL, FR_DUCK_E_PERMISSION, FR_ERR_CONFIG, "sink.table", "see DuckDB's text"},
    {NULL, FR_DUCK_E_IO, FR_ERR_CONNECT, "sink.file",
     "see the system's log: is the disk or mount well? The file is opened anew"},
    {NULL, FR_DUCK_E_FATAL, FR_ERR_CONNECT, "sink.file",
     "DuckDB gave the file up; it is opened anew, and goes on where its own offsets say"},
    {NULL, FR_DUCK_E_INTERNAL, FR_ERR_CONNECT, "sink.internal",
     "DuckDB met a mistake of its own; the file is opened anew: try a newer library"},
    {"IO Error", 0, FR_ERR_CONNECT, "sink.file",
     "is the disk or mount well, and may the user that freshet runs as write there?"},
};

/* Their texts name values, which could look like anything. */
static bool names_values(duckdb_error_type type)
{
    return (int)type == FR_DUCK_E_CONSTRAINT || (int)type == FR_DUCK_E_CONVERSION ||
           (int)type == FR_DUCK_E_OUT_OF_RANGE;
}

static bool means(const meaning *m, duckdb_error_type type, const char *text)
{
    if (m->type == 0 && names_values(type))
        return false;
    return (m->word == NULL || strstr(text, m->word) != NULL) &&
           (m->type == 0 || m->type == (int)type);
}

/* What may be said of a text: its first line, and no value (S14). */
static void put_shown(char *out, size_t size, duckdb_error_type type, const char *text)
{
    const char *end = strchr(text, '\n'), *key = strstr(text, "key \"");
    size_t n = end != NULL ? (size_t)(end - text) : strlen(text);
    const char *colon = key != NULL ? strchr(key, ':') : NULL;
    if ((int)type == FR_DUCK_E_CONVERSION || (int)type == FR_DUCK_E_OUT_OF_RANGE)
        snprintf(out, size, "the target's column does not take the value");
    else if ((int)type == FR_DUCK_E_CONSTRAINT && colon != NULL)
        snprintf(out, size, "%.*s ...\"", (int)(colon + 1 - text), text);
    else
        snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), text);
}

fr_rc fr_duck_sink_error(duckdb_error_type type, const char *text, const char *doing, fr_err *err)
{
    char said[700];
    if (text == NULL)
        text = "no text";
    put_shown(said, sizeof(said), type, text);
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        const meaning *m = &meanings[i];
        if (!means(m, type, text))
            continue;
        fr_fail(err, m->kind, "%s: %s", doing, said);
        err->native = (int)type;
        fr_fail_code(err, m->code);
        return fr_fail_hint(err, "%s", m->hint);
    }
    fr_fail(err, FR_ERR_BUG, "%s: %s", doing, said);
    err->native = (int)type;
    return FR_FAIL;
}
