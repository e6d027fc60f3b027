/* What `plan` finds and `apply` does: one look at every server, in the order of the
 * configuration. Nothing is changed here. */
#ifndef FR_CLI_PLAN_H
#define FR_CLI_PLAN_H

#include "base/map.h"
#include "cli/cli.h"
#include "codec/avro_schema.h"
#include "codec/registry.h"
#include "kafka/admin.h"
#include "transform/route.h"

typedef struct fr_plan_section { /* "SOURCE erp": what was found there */
    const char *title;
    fr_findings findings;
} fr_plan_section;

typedef enum { FR_TODO_TOPIC, FR_TODO_SUBJECT, FR_TODO_TABLE } fr_todo_kind;
typedef struct fr_todo { /* one thing that apply would make */
    fr_todo_kind kind;
    const char *name; /* topic, subject, or "sink space.table" */
    bool ours;        /* TOPIC */
    fr_str schema;    /* SUBJECT */
    int compat;
    size_t sink;           /* TABLE: index into the configuration's sinks */
    const fr_table *table; /* the plan's reference */
} fr_todo;

typedef struct fr_planned { /* a captured table and what it becomes on Kafka */
    size_t source;
    const fr_route *route;
    fr_str key, value; /* schemas; key empty: none */
    const char *key_subject, *value_subject;
    bool good; /* route and schemas could be made */
} fr_planned;

typedef struct fr_look {
    fr_cli *cli;
    const fr_config *config;
    fr_arena *arena;
    fr_source **sources;   /* open ones; NULL: could not be opened */
    fr_router **routers;   /* one per source */
    fr_registry *registry; /* NULL: does not answer */
    fr_admin *admin;       /* NULL: as above */
    fr_plan_section *sections;
    size_t section_count;
    fr_map *published; /* topic -> int32_t *: id of the schema that its source used last */
    fr_planned *tables;
    size_t table_count, table_cap;
    fr_todo *todos;
    size_t todo_count, todo_cap;
    bool unreachable; /* some server did not answer */
    bool partial;     /* so that not all could be looked at */
    char hash[17];    /* of the todos */
    fr_tally tally;
} fr_look;

/* Looks at everything; what fails is a finding. */
void fr_look_open(fr_cli *cli, const fr_config *config, fr_look *l);
void fr_look_close(fr_look *l);
void fr_look_print(fr_look *l); /* the sections, into cli->out and cli->result */
/* The hand-over to a DBA: restart, lock, harmless; each with why, cost and undo. */
void fr_look_sql(fr_buf *b, const fr_look *l);
json_t *fr_look_json(const fr_look *l); /* hash and changes, as plan --out writes them */

/* Steps of fr_look_open. */
void fr_look_sources(fr_look *l);
void fr_look_kafka(fr_look *l);
void fr_look_registry(fr_look *l);
void fr_look_sinks(fr_look *l);
/* Derived events of a table; masks of patterns, once all tables of a source are known
 * (plan_derive.c). */
void fr_look_derived(fr_findings *f, const fr_route *r);
void fr_look_masks(const fr_look *l, size_t source, fr_findings *f);
fr_findings *fr_look_section(fr_look *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* An error as a finding; CONNECT and BUSY mark the server as unreachable. */
void fr_look_error(fr_look *l, fr_findings *f, const char *code, const fr_err *err);
size_t fr_look_blockers(const fr_findings *f);
bool fr_look_no_answer(const fr_findings *f); /* a blocker says that its server does not answer */
fr_origin fr_look_origin(const fr_source_settings *s);
/* <prefix>.message, <prefix>.transaction */
fr_str fr_look_side_topic(fr_arena *a, const fr_source_settings *s, const char *name);
fr_todo *fr_look_todo(fr_look *l, fr_todo_kind kind, fr_str name);

#endif
