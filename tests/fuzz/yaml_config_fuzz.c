/* Any bytes as a configuration: problems or a configuration, never a crash, never a file. */
#include "control/config_load.h"
#include "tests/unit/connectors.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_config_flags flags = {.offline = true};
    fr_arena *a = fr_arena_new(0);
    fr_problem *problems = NULL;
    size_t count = 0;
    fr_config *config = NULL;
    fr_err err;
    fr_rc rc =
        fr_config_load_text((fr_str){(const char *)data, size}, "fuzz.yaml", true,
                            &scripted_connectors, &flags, a, &problems, &count, &config, &err);
    fr_buf text = {0};
    size_t errors = 0;
    for (size_t i = 0; i < count; i++) {
        fr_problem_text(&text, &problems[i]);
        errors += problems[i].warning ? 0 : 1;
    }
    /* A configuration without errors, or errors without a configuration. */
    if ((rc == FR_OK) != (errors == 0))
        abort();
    if (rc == FR_OK) {
        fr_config_show(&text, config, false);
        fr_config_show(&text, config, true);
        fr_config_free(config);
    }
    fr_buf_free(&text);
    fr_arena_free(a);
    return 0;
}
