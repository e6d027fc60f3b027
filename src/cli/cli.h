/* The command line: what was typed, and what a verb may do with it. Data goes to stdout,
 * progress and logs to stderr; under --json the only output is one document
 * {"command","ok","summary","result","error"}. */
#ifndef FR_CLI_CLI_H
#define FR_CLI_CLI_H

#include "base/json.h"
#include "connect/finding.h"
#include "control/config.h"

/* Besides the exit codes of base/error.h: checked, and the answer is no. */
enum { FR_EXIT_NO = 4 };
enum { FR_MOST_ARGS = 256, FR_MOST_FLAGS = 16 };

typedef struct fr_flag {
    const char *name;           /* "config" */
    char letter;                /* 'c'; 0: none */
    const char *value;          /* "FILE"; NULL: a switch */
    const char *const *choices; /* of the value; NULL: any */
    const char *help;
} fr_flag;

typedef struct fr_cli fr_cli;
typedef struct fr_verb {
    const char *name;
    const char *args;           /* "SOURCE": for usage; "" none */
    const char *help;           /* one line */
    const char *more;           /* a few lines for help VERB and the man page; may be NULL */
    const fr_flag *flags;       /* ends with an entry whose name is NULL; may be NULL */
    const char *const *actions; /* first argument's choices ("show", "set"); may be NULL */
    size_t min_args, max_args;
    bool hidden;
    int (*run)(fr_cli *cli); /* the exit code */
} fr_verb;
extern const fr_verb fr_verbs[]; /* ends with an entry whose name is NULL */
extern const fr_flag fr_global_flags[];
const fr_verb *fr_verb_find(const char *name);

struct fr_cli {
    const fr_verb *verb;
    const char *config, *url; /* NULL: not given */
    bool json, quiet, verbose, no_input, yes, strict, help, version;
    bool tty, color;                   /* of stdout; color already heeds NO_COLOR and TERM=dumb */
    const char *values[FR_MOST_FLAGS]; /* of the verb's flags; NULL: not given */
    const char *args[FR_MOST_ARGS];
    size_t arg_count;
    fr_arena *arena; /* until the program ends */
    fr_buf out;      /* what a person reads; flushed after the verb, or by fr_cli_flush */
    json_t *result;  /* what --json shows; made by fr_cli_result */
    const char *summary;
    fr_err err;
    bool failed; /* err is filled in */
};

/* Reads argv; FR_FAIL with a CONFIG error (did you mean). */
fr_rc fr_cli_parse(fr_cli *cli, int argc, const char *const *argv, fr_err *err);
int fr_cli_main(int argc, const char *const *argv);

/* The value of a flag of this verb, "" for a switch that was given, else NULL. */
const char *fr_cli_flag(const fr_cli *cli, const char *name);
/* A flag with a number, as an option of type INT or TIME of offset 0; not given: the fallback, or
 * (NULL) *out stays. CONFIG (cli.bad_value) naming it. */
fr_rc fr_cli_number(fr_cli *cli, const fr_option *o, int64_t *out, fr_err *err);
json_t *fr_cli_result(fr_cli *cli); /* the result object, borrowed */
/* Keeps the error for the end, and returns its exit code. */
int fr_cli_fail(fr_cli *cli, const fr_err *err);
/* One sentence, for a person (a last line) and for "summary". */
void fr_cli_summary(fr_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Writes `out` to stdout now (not under --json), for verbs that go on for long. */
void fr_cli_flush(fr_cli *cli);
/* Progress, on stderr; nothing under --json or -q. */
void fr_cli_note(const fr_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The configuration, found and loaded; problems are shown (warnings on stderr). */
fr_rc fr_cli_config(fr_cli *cli, const fr_config_flags *flags, fr_config **out, fr_err *err);
extern const fr_connectors fr_cli_connectors;
void fr_cli_problem(const fr_cli *cli, fr_buf *b, const fr_problem *p);
json_t *fr_cli_problem_json(const fr_problem *p);

json_t *fr_cli_json_text(fr_str s); /* fr_buf_shown's for --json; it need not be UTF-8 */
/* A file that is there, and no folder or pipe. */
bool fr_cli_is_file(const char *name);
/* The whole of a file, which nobody sees half written: a file of that name is replaced at the end.
 * CONFIG (cli.unwritable) naming it. */
fr_rc fr_cli_write_file(const char *name, fr_str text, fr_err *err);

/* A finding as one line of `plan` and `doctor`; its hint below. */
void fr_cli_finding(fr_cli *cli, const fr_finding *f);
json_t *fr_cli_finding_json(const fr_finding *f);
typedef struct fr_tally {
    size_t fine, warnings, blockers, changes;
} fr_tally;
void fr_cli_tally(fr_tally *t, const fr_findings *f);

typedef enum { FR_GLYPH_FINE, FR_GLYPH_WARN, FR_GLYPH_FAIL, FR_GLYPH_CHANGE } fr_glyph;
/* "✓ " or "[OK]   ", coloured where that is wanted. */
const char *fr_cli_glyph(const fr_cli *cli, fr_glyph g);
/* An error as three lines: code and text, then what to do. */
void fr_cli_error(const fr_cli *cli, fr_buf *b, const fr_err *err);
/* Yes or no from the terminal, once; true at once with -y. CONFIG error without a terminal
 * or with --no-input. */
fr_rc fr_cli_ask(fr_cli *cli, const char *question, bool *yes_out, fr_err *err);

/* Generated from the tables above. */
void fr_cli_help(fr_buf *b, const fr_verb *verb); /* NULL: the program's */
void fr_cli_docs(fr_buf *b);                      /* docs/cli.md */
void fr_cli_man(fr_buf *b, const fr_verb *verb);  /* scdoc; NULL: freshet(1) */
void fr_cli_completion(fr_buf *b, const char *shell);

/* The verbs. */
int fr_cmd_run(fr_cli *cli);
int fr_cmd_validate(fr_cli *cli);
int fr_cmd_plan(fr_cli *cli);
int fr_cmd_apply(fr_cli *cli);
int fr_cmd_status(fr_cli *cli);
int fr_cmd_tap(fr_cli *cli);
int fr_cmd_demo(fr_cli *cli);
int fr_cmd_position(fr_cli *cli);
int fr_cmd_dlq(fr_cli *cli);
int fr_cmd_snapshot(fr_cli *cli);
int fr_cmd_will(fr_cli *cli); /* pause, resume, stop, restart */
int fr_cmd_ddl(fr_cli *cli);
int fr_cmd_lineage(fr_cli *cli);
int fr_cmd_verify(fr_cli *cli);
int fr_cmd_test(fr_cli *cli);
int fr_cmd_schema(fr_cli *cli);
int fr_cmd_config(fr_cli *cli);
int fr_cmd_doctor(fr_cli *cli);
int fr_cmd_connectors(fr_cli *cli);
int fr_cmd_version(fr_cli *cli);
int fr_cmd_completion(fr_cli *cli);
int fr_cmd_help(fr_cli *cli);
int fr_cmd_docs(fr_cli *cli);

#endif
