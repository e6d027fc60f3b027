/* What the files of config*.c share. */
#ifndef FR_CONTROL_CONFIG_LOAD_H
#define FR_CONTROL_CONFIG_LOAD_H

#include "base/map.h"
#include "control/config.h"
#include "control/config_fields.h"
#include "control/config_tree.h"
#include "transform/expr.h"

/* The options of one struct, its target, and which node set each option. */
typedef struct fr_fields {
    const fr_option *options;
    void *target;
    const fr_node **set_by; /* one per option; NULL: the built-in default */
    const char **layer;     /* one per option: "defaults", "/regex/" or NULL: the place says */
} fr_fields;

/* One place of the configuration that options describe: "kafka", "sources.erp". */
typedef struct fr_scope {
    const char *kind;   /* as in fr_unbuilt_choices: "kafka", "source", "table", "sink" */
    const char *path;   /* "" at the top */
    fr_fields parts[3]; /* the first that knows a key wins */
    size_t part_count;
    const char *const *elsewhere; /* keys that somebody else reads; ends with NULL, may be NULL */
    const fr_node *node;
} fr_scope;

/* What fr_config.tree points to. */
typedef struct fr_config_tree {
    fr_scope **scopes;
    size_t count, cap;
    void **regexes; /* to free */
    size_t regex_count, regex_cap;
} fr_config_tree;

typedef struct fr_loader {
    fr_arena *a; /* the configuration's own */
    fr_arena *problems_arena;
    fr_problem *problems;
    size_t problem_count, problem_cap, error_count;
    const fr_connectors *connectors;
    const fr_config_flags *flags;
    fr_config *config;
    fr_config_tree *tree;
    const char **files; /* in the order they were read */
    size_t file_count, file_cap;
    bool no_files;       /* fuzzing: no include, no ${file:} */
    fr_sandbox *sandbox; /* of expressions; NULL: there was none yet */
} fr_loader;

/* The configuration from memory; `no_files` keeps it there. fr_config_load is this after
 * reading the file. */
fr_rc fr_config_load_text(fr_str text, const char *name, bool no_files,
                          const fr_connectors *connectors, const fr_config_flags *flags,
                          fr_arena *problems_arena, fr_problem **problems_out,
                          size_t *problem_count, fr_config **out, fr_err *err);

/* Reports a problem. path may be NULL; place.file NULL: the whole configuration. The one
 * returned may be changed until the next call (hint, excerpt). */
fr_problem *fr_problem_add(fr_loader *l, bool warning, const char *code, fr_place place,
                           const char *path, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
void fr_problem_hint(fr_loader *l, fr_problem *p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The place of an error value: text, hint and code are err's. */
fr_problem *fr_problem_of(fr_loader *l, fr_place place, const char *path, const fr_err *err);
void fr_problems_sort(fr_loader *l);

/* path + "." + key, quoted where it holds other characters than a-z 0-9 _ -. */
const char *fr_path_join(fr_arena *a, const char *path, fr_str key);

/* ${...} of one scalar. FR_OK, FR_IDLE (offline and not there: leave the default), FR_FAIL
 * after the problem was reported. vars: row variables stay as they are. */
fr_rc fr_value_resolve(fr_loader *l, const fr_node *n, const char *path, const fr_option *o,
                       fr_str *out);
/* Names of kafka.properties and the like that hold secrets. */
bool fr_secret_name(const char *name);
/* The same of an entry of a map; a column may be called as it likes. */
bool fr_secret_pair(const fr_option *o, const char *name);

/* Fill in a scope from its node; unknown keys, bad values, refused ones are reported. */
void fr_scope_read(fr_loader *l, fr_scope *s, const fr_node *n, const char *layer);
fr_scope *fr_scope_new(fr_loader *l, const char *kind, const char *path);
void fr_scope_part(fr_loader *l, fr_scope *s, const fr_option *options, void *target);
void fr_scope_required(fr_loader *l, const fr_scope *s);
/* Where the option was set; place.file NULL: nowhere. */
fr_place fr_scope_place(const fr_scope *s, const char *name);
/* What set an option; NULL: nothing did, it is as built in. */
const fr_node *fr_scope_set_by(const fr_scope *s, const char *name);
/* An error of this option, at its place, and what to do. */
void fr_scope_refuse(fr_loader *l, const fr_scope *s, const char *code, const char *name,
                     const char *what, const char *hint);
/* A file whole; NULL after the problem was reported, at place or, if there is none, of the file. */
const fr_text_file *fr_file_read(fr_loader *l, const char *name, fr_place place);
const char *fr_place_text(fr_arena *a, fr_place place); /* "freshet.yaml:12" */

/* For `config show`. */
void fr_scope_keep(fr_loader *l, fr_scope *s);
/* To be freed with the configuration; NULL: nothing. */
void fr_regex_keep(fr_loader *l, void *regex);
/* A sink's rules for topics, once its `from` is known (config_topics.c). */
void fr_topics_read(fr_loader *l, fr_sink_settings *s, const fr_node *map, const char *path);

/* A table's scope was read: is it an outbox, what follows from that where keys are not set, and
 * which keys do not go with it (config_outbox.c). */
void fr_outbox_read(fr_loader *l, fr_scope *s, fr_table_fields *fields);
/* The same: what does not go with envelope debezium (config_debezium.c). */
void fr_debezium_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t);
/* A table of the source with that envelope; NULL: none has it. */
const fr_table_settings *fr_debezium_table(const fr_source_settings *s);
/* The same: does it go together with being compared (config_compare.c)? */
void fr_compare_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t);
/* The same: filter, columns.derive, .mask and poll.delete_when, as far as a file can be wrong about
 * them (config_derive.c). */
void fr_derive_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t);
/* The same: the contract's file, if it names one (config_contract.c). */
void fr_contract_load(fr_loader *l, const fr_scope *s, fr_table_settings *t);
/* An item of schema.rules, which may be a map: as one text, JSON. */
const fr_node *fr_rule_node(fr_loader *l, const fr_option *o, const fr_node *n, const char *path);
/* A table's schema.rules, as far as they alone can be wrong. */
void fr_rules_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t);
/* What is wrong with a table's contract and with rules for its fields. topic: of its events. */
void fr_contract_check(fr_loader *l, const fr_scope *s, const fr_source_settings *source,
                       const fr_table_settings *t, const char *topic);
/* Does this entry of the sink's `from` take any of these topics, or one that their tables may go on
 * in (schema.on_change: new_topic)? */
bool fr_sink_takes(fr_arena *a, const fr_sink_settings *s, size_t from, const fr_map *topics);
/* Files in schemas/ that are no topic's: topics are the keys. */
void fr_contracts_unused(fr_loader *l, const fr_map *topics);
/* The files that are contracts by their name: those of all sources. */
void fr_contracts_find(fr_loader *l);
/* Said of this very table or pattern, and not of all of them. */
bool fr_scope_said_here(const fr_scope *s, const char *name);
/* Of a scope that others inherit: an `outbox:` there is theirs. */
void fr_outbox_note(const fr_scope *s, fr_table_fields *fields);

/* tests: of the whole file, once sources are known (config_tests.c). */
void fr_tests_read(fr_loader *l, const fr_node *root);

void fr_config_check(fr_loader *l); /* what needs more than one key */

#endif
