/* What a nightly job leaves for Prometheus: a file for the textfile collector of node_exporter. */
#include "base/clock.h"
#include "cli/verify.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_label(fr_buf *b, const char *lead, const char *name, const char *value)
{
    fr_buf_printf(b, "%s%s=\"", lead, name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\n')
            fr_buf_text(b, "\\n");
        else if (*p == '\\' || *p == '"')
            fr_buf_printf(b, "\\%c", *p);
        else
            fr_buf_u8(b, (uint8_t)*p);
    }
    fr_buf_u8(b, '"');
}

static void put_head(const fr_verify_run *v, fr_buf *b, const char *name, const char *help)
{
    const char *slash = strchr(v->cli->args[0], '/');
    fr_buf_printf(b, "# HELP %s %s\n# TYPE %s gauge\n%s", name, help, name, name);
    put_label(b, "{", "pipeline", v->config->name);
    put_label(b, ",", "source", v->sides[FR_SOURCE_SIDE].name);
    put_label(b, ",", "table", slash == NULL ? "" : slash + 1);
    put_label(b, ",", "sink", v->sink->name);
    fr_buf_text(b, "} ");
}

static fr_rc unwritable(const char *name, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: %s", name, strerror(errno));
    fr_fail_code(err, "cli.unwritable");
    return fr_fail_hint(err, "choose a file that can be written");
}

fr_rc fr_verify_metrics(fr_verify_run *v, fr_err *err)
{
    fr_buf b = {.arena = v->cli->arena};
    uint64_t differences = v->mode == FR_VERIFY_FAST ? v->chunks_differ - v->chunks_moving : 0;
    for (int i = 0; i < FR_DIFFERENCES; i++)
        differences += v->counts[i];
    put_head(v, &b, "freshet_verify_differences", "rows (--fast: chunks) that differ");
    fr_buf_printf(&b, "%" PRIu64 "\n", differences);
    put_head(v, &b, "freshet_verify_unsettled", "rows or chunks that could not be judged");
    fr_buf_printf(&b, "%" PRIu64 "\n", v->moving + v->chunks_moving);
    put_head(v, &b, "freshet_verify_last_success_timestamp_seconds", "when it last came to an end");
    fr_buf_printf(&b, "%" PRId64 "\n", fr_wall_us() / 1000000);
    /* The collector must not see half of it. */
    fr_str part = fr_arena_printf(v->cli->arena, "%s.part%c", v->metrics_file, 0);
    FR_TRY(fr_cli_write_file(part.ptr, fr_buf_view(&b), err));
    return rename(part.ptr, v->metrics_file) == 0 ? FR_OK : unwritable(v->metrics_file, err);
}
