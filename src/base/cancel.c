#include "base/cancel.h"
#include <stddef.h>

static _Thread_local const atomic_bool *cancel_flag;

void fr_cancel_by(const atomic_bool *flag)
{
    cancel_flag = flag;
}

bool fr_cancelled(void)
{
    return cancel_flag != NULL && atomic_load_explicit(cancel_flag, memory_order_relaxed);
}

fr_rc fr_cancel_check(fr_err *err)
{
    if (!fr_cancelled())
        return FR_OK;
    return fr_fail(err, FR_ERR_CANCELLED, "interrupted");
}
