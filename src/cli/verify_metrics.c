/* What a nightly job leaves for Prometheus: a file for the textfile collector of node_exporter. */
#include "base/clock.h"
#include "cli/verify.h"
#include "control/status.h"
#include <inttypes.h>
#include <string.h>

static void put_head(const fr_verify_run *v, fr_buf *b, const char *name, const char *help)
{
    const char *slash = strchr(v->cli->args[0], '/');
    const char *labels[][2] = {{"pipeline", v->config->name},
                               {"source", v->sides[FR_SOURCE_SIDE].name},
                               {"table", slash == NULL ? "" : slash + 1},
                               {"sink", v->sink->name}};
    fr_buf_printf(b, "# HELP %s %s\n# TYPE %s gauge\n%s", name, help, name, name);
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        fr_buf_text(b, i == 0 ? "{" : ",");
        fr_metrics_label(b, labels[i][0], labels[i][1]);
    }
    fr_buf_text(b, "} ");
}

fr_rc fr_verify_metrics(fr_verify_run *v, fr_err *err)
{
    fr_buf b = {.arena = v->cli->arena};
    put_head(v, &b, "freshet_verify_differences", "rows (--fast: chunks) that differ");
    fr_buf_printf(&b, "%" PRIu64 "\n", fr_verify_differences(v));
    put_head(v, &b, "freshet_verify_unsettled", "rows or chunks that could not be judged");
    fr_buf_printf(&b, "%" PRIu64 "\n", v->moving + v->chunks_moving);
    put_head(v, &b, "freshet_verify_last_success_timestamp_seconds", "when it last came to an end");
    fr_buf_printf(&b, "%" PRId64 "\n", fr_wall_us() / 1000000);
    return fr_cli_write_file(v->metrics_file, fr_buf_view(&b), err);
}
