#include "cli/yaml_text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

typedef struct writer {
    yaml_emitter_t emitter;
    bool bad;
} writer;

static int keep(void *buffer, unsigned char *bytes, size_t len)
{
    fr_buf_put(buffer, bytes, len);
    return 1;
}

static void emit(writer *w, yaml_event_t *event, int made)
{
    w->bad = w->bad || !made || !yaml_emitter_emit(&w->emitter, event);
}

/* Plain only where no reader takes it for anything but this text. */
static bool is_word(const char *text)
{
    static const char *const others[] = {"true", "false", "null", "yes", "no", "on",
                                         "off",  "y",     "n",    "nan", "inf"};
    size_t len = strlen(text);
    if (len == 0 || len > 60 || strspn(text, "0123456789+-.@,") > 0)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(text, others[i]) == 0)
            return false;
    return strspn(text,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.$@/(),") == len;
}

static void put_scalar(writer *w, const char *text, size_t len, yaml_scalar_style_t style)
{
    yaml_event_t e;
    bool plain = style == YAML_PLAIN_SCALAR_STYLE;
    emit(w, &e,
         yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)text, (int)len, plain,
                                      !plain, style));
}

static void put_text(writer *w, const char *text, size_t len)
{
    bool plain = strlen(text) == len && is_word(text);
    put_scalar(w, text, len, plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static void put(writer *w, const json_t *j);

static void put_object(writer *w, const json_t *j)
{
    yaml_event_t e;
    const char *name;
    json_t *value;
    emit(w, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    json_object_foreach((json_t *)(uintptr_t)j, name, value)
    {
        put_text(w, name, strlen(name));
        put(w, value);
    }
    emit(w, &e, yaml_mapping_end_event_initialize(&e));
}

static void put_array(writer *w, const json_t *j)
{
    yaml_event_t e;
    emit(w, &e, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
    for (size_t i = 0; i < json_array_size(j); i++)
        put(w, json_array_get(j, i));
    emit(w, &e, yaml_sequence_end_event_initialize(&e));
}

static void put(writer *w, const json_t *j)
{
    char *text;
    if (json_is_object(j)) {
        put_object(w, j);
    } else if (json_is_array(j)) {
        put_array(w, j);
    } else if (json_is_string(j)) {
        put_text(w, json_string_value(j), json_string_length(j));
    } else {
        text = json_dumps(j, JSON_ENCODE_ANY);
        put_scalar(w, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
        free(text);
    }
}

fr_rc fr_yaml_text(fr_buf *b, const json_t *j, fr_err *err)
{
    writer w = {.bad = false};
    yaml_event_t e;
    if (!yaml_emitter_initialize(&w.emitter))
        return fr_fail(err, FR_ERR_BUG, "libyaml has no emitter");
    yaml_emitter_set_output(&w.emitter, keep, b);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_width(&w.emitter, -1);
    emit(&w, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING));
    emit(&w, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1));
    put(&w, j);
    emit(&w, &e, yaml_document_end_event_initialize(&e, 1));
    emit(&w, &e, yaml_stream_end_event_initialize(&e));
    if (w.bad)
        fr_fail(err, FR_ERR_BUG, "libyaml: %s", w.emitter.problem);
    yaml_emitter_delete(&w.emitter);
    return w.bad ? FR_FAIL : FR_OK;
}
