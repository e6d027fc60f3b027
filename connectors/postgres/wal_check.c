#include "connectors/postgres/wal_source.h"
fr_rc fr_wal_check(const fr_source_settings *settings, fr_findings *out, fr_err *err)
{
    (void)settings;
    (void)out;
    return fr_fail(err, FR_ERR_BUG, "check");
}
