/* ClickHouse by its HTTP interface (https://clickhouse.com/docs/interfaces/http): one statement a
 * request, over a connection that is kept. A reply is believed only when it is whole, its status is
 * 200, it says that it is ClickHouse's, and neither its header nor its end holds an exception. One
 * thread at a time, but for fr_ch_interrupt. */
#ifndef FR_CLICKHOUSE_CH_HTTP_H
#define FR_CLICKHOUSE_CH_HTTP_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct fr_ch fr_ch;

typedef struct fr_ch_server { /* borrowed by fr_ch_open only */
    const char *dsn, *password;
    bool insecure;
} fr_ch_server;

/* Checks the settings; no server is asked yet. CONFIG (ch.dsn, ch.dsn_password, ch.tls). */
fr_rc fr_ch_open(const fr_ch_server *server, fr_ch **out, fr_err *err);
void fr_ch_close(fr_ch *ch);                 /* NULL is fine */
const char *fr_ch_database(const fr_ch *ch); /* where names without a space are */

enum { FR_CH_PARAMS = 5 };
/* Bytes that a statement is about, as its only parameters: FR_CH_BYTES stands for them in it. In
 * hex and in pieces: the server takes no field of a URL above 128 KiB (http_max_field_value_size),
 * and no URL above 1 MiB. */
#define FR_CH_BYTES "unhex(concat({d0:String}, {d1:String}, {d2:String}, {d3:String}, {d4:String}))"
enum { FR_CH_HEX_PIECE = 120 << 10, FR_CH_HEX_MOST = FR_CH_PARAMS * FR_CH_HEX_PIECE };

/* A part of a reply; FR_FAIL ends the request. */
typedef fr_rc fr_ch_part(void *context, fr_str bytes, fr_err *err);

typedef struct fr_ch_call {
    const char *doing; /* for errors: "read the target" */
    fr_str sql;
    struct {
        const char *name; /* "p": {p:String} in the statement */
        fr_str value;
    } params[FR_CH_PARAMS]; /* until the first whose name is NULL */
    fr_str body;            /* rows after INSERT ... FORMAT RowBinary; ptr NULL: none */
    fr_str token;           /* insert_deduplication_token; empty: none */
    size_t most;            /* bytes of the reply; 0: 64 MiB */
    const char *settings;   /* more of them, "&name=value"; NULL: none */
    fr_ch_part *part;       /* gets the answer as it comes, of any length, and reply nothing; it
                               counts once the call is FR_OK. NULL: reply gets all of it */
    void *context;          /* of part */
} fr_ch_call;

/* Runs one statement. reply (may be NULL): the answer's bytes are appended. A body is sent as it
 * is, in one block, waited for (no async_insert) and deduplicated by its token. Errors: AUTH
 * (ch.auth, sink.grants), CONFIG (ch.database, ch.statement, ch.tls), BUSY (ch.busy, sink.altered),
 * CONNECT (ch.connect, ch.reply), DATA (sink.check), CANCELLED. The server's words are shown where
 * no rows were sent; else they may hold values (S08), and only its number and name are. */
fr_rc fr_ch_ask(fr_ch *ch, const fr_ch_call *call, fr_buf *reply, fr_err *err);
/* Its parameters: these bytes, of which the hex is given; at most FR_CH_HEX_MOST, borrowed. */
void fr_ch_set_bytes(fr_ch_call *call, fr_str hex);
/* The last statement failed because its reply has more bytes than call->most. */
bool fr_ch_too_large(const fr_ch *ch);
/* The last statement may have been sent twice: libcurl does that where a connection that was kept
 * dies before it answers. */
bool fr_ch_resent(const fr_ch *ch);
/* How long a request may take from now on, in milliseconds. */
void fr_ch_patience(fr_ch *ch, int64_t ms);
/* What ClickHouse's error numbers are to us; *code: ours. */
fr_err_kind fr_ch_error_kind(int number, bool rows, const char **code);
/* From any thread: what runs ends soon, with CANCELLED, and so does all that follows. */
void fr_ch_interrupt(fr_ch *ch);
/* More settings of inserts with a token, as "&name=value"; the text is copied. */
void fr_ch_also(fr_ch *ch, const char *settings);

/* Spelling (S02): always quoted, `a\`b`; for a name that fr_target_check_name lets pass. */
fr_str fr_ch_ident(fr_arena *a, fr_str name);
/* A literal, '...'. */
fr_str fr_ch_literal(fr_arena *a, fr_str text);
/* What a backslash and this letter stand for, in names, literals and TabSeparated. */
char fr_ch_escaped(char c);
/* The number of LEB128 that RowBinary puts in front of strings and arrays. */
void fr_ch_put_length(fr_buf *out, uint64_t n);
void fr_ch_put_string(fr_buf *out, fr_str s);

#endif
