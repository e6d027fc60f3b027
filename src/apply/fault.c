#include "apply/fault.h"
#include <string.h>

/* The policy that an error of this code is under; -1: none of on_change. */
static int policy_of(const fr_sink_settings *s, const char *code)
{
    if (strcmp(code, "sink.add_column") == 0)
        return s->add_column;
    if (strcmp(code, "sink.drop_column") == 0)
        return s->drop_column;
    return strcmp(code, "sink.types") == 0 ? s->change_type : -1;
}

fr_fault fr_fault_of(const fr_sink_settings *s, const fr_err *err)
{
    int policy = policy_of(s, err->code);
    if (err->kind == FR_ERR_DATA && s->errors_mode == FR_ERRORS_DLQ)
        return FR_FAULT_SETS_ASIDE;
    if (err->kind != FR_ERR_DATA && err->kind != FR_ERR_CONFIG && err->kind != FR_ERR_AUTH &&
        err->kind != FR_ERR_SCHEMA)
        return FR_FAULT_STOPS;
    if (policy == FR_CHANGE_BLOCK)
        return FR_FAULT_HOLDS;
    if (policy == FR_CHANGE_STOP)
        return FR_FAULT_STOPS;
    return s->errors_mode == FR_ERRORS_BLOCK ? FR_FAULT_HOLDS : FR_FAULT_STOPS;
}
