/* Lineage for other programs: OpenLineage 2-0-2 (JobEvent, which tells of a job and of no run of
 * it) and dbt's sources.yml. Source: openlineage.io/spec,
 * docs.getdbt.com/reference/source-properties. */
#include "base/clock.h"
#include "cli/lineage.h"
#include <stdlib.h>
#include <string.h>

#define PRODUCER "urn:freshet:" FR_VERSION
#define SPEC "https://openlineage.io/spec/"

/* An empty facet; file: of its schema, "1-2-0/ColumnLineageDatasetFacet". */
static json_t *facet(const char *version, const char *name)
{
    char url[160];
    snprintf(url, sizeof(url), SPEC "facets/%s/%s.json#/$defs/%s", version, name, name);
    return json_pack("{s:s,s:s}", "_producer", PRODUCER, "_schemaURL", url);
}

typedef struct dataset {
    fr_str namespace, name;
} dataset;

static dataset dataset_of(const fr_lineage *l, const char *type, const char *part,
                          const fr_option *options, const void *settings, fr_str space,
                          fr_str table)
{
    fr_str database;
    dataset d;
    d.namespace = fr_lineage_server(l->arena, type, part, options, settings, &database);
    d.name =
        fr_arena_printf(l->arena, "%.*s%s%.*s%s%.*s", FR_ARG(database), database.len > 0 ? "." : "",
                        FR_ARG(space), space.len > 0 ? "." : "", FR_ARG(table));
    return d;
}

static dataset table_of(const fr_lineage *l, const fr_lineage_stream *s)
{
    const fr_source_settings *set = &l->config->sources[s->source];
    return dataset_of(l, set->type, set->name, l->config->source_ops[s->source]->options,
                      set->connector, s->space, s->name);
}

static dataset target_of(const fr_lineage *l, const fr_lineage_target *t)
{
    const fr_sink_settings *set = &l->config->sinks[t->sink];
    return dataset_of(l, set->type, set->name, l->config->sink_ops[t->sink]->options,
                      set->connector, t->space, t->table);
}

static dataset topic_of(const fr_lineage *l, const fr_lineage_stream *s)
{
    const fr_texts *brokers = &l->config->kafka.brokers;
    const char *first = brokers->count > 0 ? brokers->items[0] : "kafka:9092";
    return (dataset){fr_arena_printf(l->arena, "kafka://%s", first), s->topic};
}

/* ---- facets -------------------------------------------------------------------------------- */

static json_t *schema_facet(const fr_lineage_stream *s, bool of_table)
{
    json_t *f = facet("1-2-0", "SchemaDatasetFacet"), *fields = json_array();
    for (size_t i = 0; i < s->field_count; i++) {
        const fr_lineage_field *field = &s->fields[i];
        if (of_table && field->expression != NULL)
            continue;
        json_t *j =
            json_pack("{s:o}", "name", fr_cli_json_text(of_table ? field->from[0] : field->name));
        if (of_table && field->type.len > 0)
            json_object_set_new(j, "type", fr_cli_json_text(field->type));
        if (field->doc.len > 0)
            json_object_set_new(j, "description", fr_cli_json_text(field->doc));
        json_array_append_new(fields, j);
    }
    json_object_set_new(f, "fields", fields);
    return f;
}

/* How an input field becomes an output field. masking: what is published hides the value. */
static json_t *transformation(const fr_lineage_field *f)
{
    const char *subtype = f->expression != NULL || f->mask != NULL ? "TRANSFORMATION" : "IDENTITY";
    fr_str how = f->expression != NULL ? fr_cstr(f->expression) : fr_lineage_mask(f);
    return json_pack("{s:s,s:s,s:o,s:b}", "type", "DIRECT", "subtype", subtype, "description",
                     fr_cli_json_text(how), "masking", f->mask != NULL);
}

static json_t *input_field(const dataset *from, fr_str field, json_t *how)
{
    return json_pack("{s:o,s:o,s:o,s:[o]}", "namespace", fr_cli_json_text(from->namespace), "name",
                     fr_cli_json_text(from->name), "field", fr_cli_json_text(field),
                     "transformations", how);
}

/* From a table into a stream. */
static json_t *column_facet(const fr_lineage_stream *s, const dataset *from, const char *filter)
{
    json_t *f = facet("1-2-0", "ColumnLineageDatasetFacet"), *fields = json_object();
    for (size_t i = 0; i < s->field_count; i++) {
        const fr_lineage_field *field = &s->fields[i];
        json_t *inputs = json_array();
        for (size_t k = 0; k < field->from_count; k++)
            json_array_append_new(inputs, input_field(from, field->from[k], transformation(field)));
        json_object_setn_new(fields, field->name.ptr, field->name.len,
                             json_pack("{s:o}", "inputFields", inputs));
    }
    json_object_set_new(f, "fields", fields);
    if (s->filter_count == 0)
        return f;
    json_t *all = json_array();
    for (size_t i = 0; i < s->filter_count; i++)
        json_array_append_new(
            all, input_field(from, s->filter[i],
                             json_pack("{s:s,s:s,s:s,s:b}", "type", "INDIRECT", "subtype", "FILTER",
                                       "description", filter, "masking", 0)));
    json_object_set_new(f, "dataset", all);
    return f;
}

/* From a stream into a sink's table: each field as it is. */
static json_t *copy_facet(const fr_lineage_stream *s, const dataset *from)
{
    json_t *f = facet("1-2-0", "ColumnLineageDatasetFacet"), *fields = json_object();
    for (size_t i = 0; i < s->field_count; i++) {
        json_t *how = json_pack("{s:s,s:s,s:s,s:b}", "type", "DIRECT", "subtype", "IDENTITY",
                                "description", "", "masking", 0);
        json_t *in = json_pack("{s:[o]}", "inputFields", input_field(from, s->fields[i].name, how));
        json_object_setn_new(fields, s->fields[i].name.ptr, s->fields[i].name.len, in);
    }
    json_object_set_new(f, "fields", fields);
    return f;
}

static void add_tag(json_t *tags, fr_str key, fr_str value, fr_str field)
{
    json_t *j = json_pack("{s:o,s:o,s:s}", "key", fr_cli_json_text(key), "value",
                          fr_cli_json_text(value), "source", "FRESHET");
    if (field.len > 0)
        json_object_set_new(j, "field", fr_cli_json_text(field));
    json_array_append_new(tags, j);
}

/* of_table: fields are called as its columns are. */
static json_t *tags_facet(const fr_lineage_stream *s, bool of_table)
{
    json_t *f = facet("1-0-0", "TagsDatasetFacet"), *tags = json_array();
    for (size_t i = 0; s->settings != NULL && i < s->settings->tags.count; i++)
        add_tag(tags, fr_cstr(s->settings->tags.items[i]), FR_STR("true"), FR_STR(""));
    if (s->deprecated != NULL && !of_table)
        add_tag(tags, FR_STR("deprecated"), fr_cstr(s->deprecated), FR_STR(""));
    for (size_t i = 0; i < s->field_count; i++)
        if (s->fields[i].pii && (!of_table || s->fields[i].expression == NULL))
            add_tag(tags, FR_STR("pii"), FR_STR("true"),
                    of_table ? s->fields[i].from[0] : s->fields[i].name);
    json_object_set_new(f, "tags", tags);
    return f;
}

static json_t *dataset_json(const fr_lineage_stream *s, const dataset *d, bool of_table)
{
    json_t *facets = json_object();
    if (s->field_count > 0)
        json_object_set_new(facets, "schema", schema_facet(s, of_table));
    json_object_set_new(facets, "tags", tags_facet(s, of_table));
    if (s->settings != NULL && s->settings->owner != NULL) {
        json_t *f = facet("1-0-1", "OwnershipDatasetFacet");
        json_object_set_new(f, "owners",
                            json_pack("[{s:o,s:s}]", "name",
                                      fr_cli_json_text(fr_cstr(s->settings->owner)), "type",
                                      "OWNER"));
        json_object_set_new(facets, "ownership", f);
    }
    if (s->doc.len > 0) {
        json_t *f = facet("1-1-0", "DocumentationDatasetFacet");
        json_object_set_new(f, "description", fr_cli_json_text(s->doc));
        json_object_set_new(facets, "documentation", f);
    }
    return json_pack("{s:o,s:o,s:o}", "namespace", fr_cli_json_text(d->namespace), "name",
                     fr_cli_json_text(d->name), "facets", facets);
}

/* ---- events -------------------------------------------------------------------------------- */

static void put_event(fr_buf *b, const fr_lineage *l, int64_t now_us, fr_str job, json_t *input,
                      json_t *output)
{
    char when[32];
    fr_time_text(when, now_us);
    json_t *type = facet("2-0-4", "JobTypeJobFacet");
    json_object_set_new(type, "processingType", json_string("STREAMING"));
    json_object_set_new(type, "integration", json_string("FRESHET"));
    json_t *j =
        json_pack("{s:s,s:s,s:s,s:{s:s,s:o,s:{s:o}},s:[o],s:[o]}", "eventTime", when, "producer",
                  PRODUCER, "schemaURL", SPEC "2-0-2/OpenLineage.json#/$defs/JobEvent", "job",
                  "namespace", l->config->name, "name", fr_cli_json_text(job), "facets", "jobType",
                  type, "inputs", input, "outputs", output);
    char *dump = json_dumps(j, JSON_COMPACT);
    fr_buf_printf(b, "%s\n", dump);
    free(dump);
    json_decref(j);
}

static void put_source_event(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s,
                             int64_t now_us)
{
    dataset from = table_of(l, s), to = topic_of(l, s);
    json_t *output = dataset_json(s, &to, false);
    if (s->field_count > 0)
        json_object_set_new(json_object_get(output, "facets"), "columnLineage",
                            column_facet(s, &from, s->settings->filter));
    fr_str job = fr_arena_printf(l->arena, "%s.%.*s.%.*s", l->config->sources[s->source].name,
                                 FR_ARG(s->space), FR_ARG(s->name));
    put_event(b, l, now_us, job, dataset_json(s, &from, true), output);
}

/* The stream as this target has it: a closed topic's, of whose fields nothing is said, what the
 * sink's rules make of it, or s. */
static fr_lineage_stream read_by(const fr_lineage_stream *s, const fr_lineage_target *t)
{
    fr_lineage_stream of = *s;
    if (t->former.len > 0) {
        of.topic = t->former;
        of.field_count = 0;
    } else if (t->rules != NULL) {
        of.fields = t->fields;
        of.field_count = t->field_count;
        of.filter = t->filter;
        of.filter_count = t->filter_count;
    }
    return of;
}

static void put_sink_event(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *whole,
                           const fr_lineage_target *t, int64_t now_us)
{
    fr_lineage_stream of = read_by(whole, t), in = of;
    bool ruled = t->rules != NULL && t->former.len == 0;
    if (ruled)
        in = *whole;
    dataset from = topic_of(l, &of), to = target_of(l, t);
    json_t *output = dataset_json(&of, &to, false);
    if (of.field_count > 0)
        json_object_set_new(json_object_get(output, "facets"), "columnLineage",
                            ruled ? column_facet(&of, &from, t->rules->shape.filter)
                                  : copy_facet(&of, &from));
    fr_str job =
        fr_arena_printf(l->arena, "%s.%.*s", l->config->sinks[t->sink].name, FR_ARG(of.topic));
    put_event(b, l, now_us, job, dataset_json(&in, &from, false), output);
}

/* Patterns, and outboxes whose rows name the topic, have no dataset of their own. */
void fr_lineage_openlineage(fr_buf *b, const fr_lineage *l, int64_t now_us)
{
    for (size_t i = 0; i < l->count; i++) {
        const fr_lineage_stream *s = &l->streams[i];
        if (s->topic.len == 0)
            continue;
        if (s->source != FR_LINEAGE_FOREIGN)
            put_source_event(b, l, s, now_us);
        for (size_t k = 0; k < s->target_count; k++)
            put_sink_event(b, l, s, &s->targets[k], now_us);
    }
}

/* ---- dbt ----------------------------------------------------------------------------------- */

static void put_pair(fr_buf *b, int indent, const char *key, fr_str value)
{
    fr_buf_printf(b, "%*s%s: ", indent, "", key);
    fr_buf_json(b, value); /* JSON's strings are YAML's */
    fr_buf_text(b, "\n");
}

static void put_column(fr_buf *b, const fr_lineage_field *f)
{
    put_pair(b, 10, "- name", f->name);
    if (f->doc.len > 0)
        put_pair(b, 12, "description", f->doc);
    fr_buf_text(b, "            meta:\n              from: [");
    for (size_t i = 0; i < f->from_count; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        fr_buf_json(b, f->from[i]);
    }
    fr_buf_text(b, "]\n");
    if (f->expression != NULL)
        put_pair(b, 14, "expression", fr_cstr(f->expression));
    if (f->mask != NULL)
        put_pair(b, 14, "mask", fr_lineage_mask(f));
    if (f->pii)
        fr_buf_text(b, "              pii: true\n");
}

static void put_meta(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s)
{
    if (s->doc.len > 0)
        put_pair(b, 8, "description", s->doc);
    for (size_t i = 0; s->settings != NULL && i < s->settings->tags.count; i++) {
        fr_buf_text(b, i == 0 ? "        tags: [" : ", ");
        fr_buf_json(b, fr_cstr(s->settings->tags.items[i]));
        if (i + 1 == s->settings->tags.count)
            fr_buf_text(b, "]\n");
    }
    fr_buf_text(b, "        meta:\n");
    put_pair(b, 10, "topic", s->topic);
    if (s->source != FR_LINEAGE_FOREIGN)
        put_pair(b, 10, "source", fr_lineage_table(l, s));
    if (s->settings != NULL && s->settings->owner != NULL)
        put_pair(b, 10, "owner", fr_cstr(s->settings->owner));
    if (s->deprecated != NULL)
        put_pair(b, 10, "deprecated", fr_cstr(s->deprecated));
}

static void put_table(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s,
                      const fr_lineage_target *t)
{
    put_pair(b, 6, "- name", t->table);
    put_meta(b, l, s);
    if (s->field_count == 0)
        return;
    fr_buf_text(b, "        columns:\n");
    for (size_t i = 0; i < s->field_count; i++)
        put_column(b, &s->fields[i]);
}

/* A source of dbt is one schema of one database: a sink and a space. */
static bool put_source(fr_buf *b, const fr_lineage *l, size_t sink, fr_str space, bool begun)
{
    const char *name = l->config->sinks[sink].name;
    fr_str full =
        space.len == 0 ? fr_cstr(name) : fr_arena_printf(l->arena, "%s_%.*s", name, FR_ARG(space));
    if (!begun)
        fr_buf_text(b, "version: 2\nsources:\n");
    put_pair(b, 2, "- name", full);
    if (space.len > 0)
        put_pair(b, 4, "schema", space);
    fr_buf_text(b, "    tables:\n");
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < l->streams[i].target_count; k++) {
            const fr_lineage_target *t = &l->streams[i].targets[k];
            fr_lineage_stream of = read_by(&l->streams[i], t);
            if (t->sink == sink && fr_str_eq(t->space, space))
                put_table(b, l, &of, t);
        }
    return true;
}

void fr_lineage_dbt(fr_buf *b, const fr_lineage *l)
{
    fr_str *spaces = fr_arena_alloc(l->arena, (l->count + 1) * sizeof(*spaces));
    bool begun = false;
    for (size_t sink = 0; sink < l->config->sink_count; sink++) {
        size_t count = 0;
        for (size_t i = 0; i < l->count; i++)
            for (size_t k = 0; k < l->streams[i].target_count; k++) {
                const fr_lineage_target *t = &l->streams[i].targets[k];
                bool known = t->sink != sink;
                for (size_t j = 0; j < count; j++)
                    known = known || fr_str_eq(spaces[j], t->space);
                if (known)
                    continue;
                spaces[count++] = t->space;
                begun = put_source(b, l, sink, t->space, begun);
            }
    }
    if (!begun)
        fr_buf_text(b, "version: 2\nsources: []\n");
}
