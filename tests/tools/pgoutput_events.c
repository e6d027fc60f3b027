/* pgoutput_events FILE.hex: the events of captured messages, as tests/wire/pgoutput has them
 * in NAME.events. */
#include "tools/pgoutput_file.h"

int main(int argc, char **argv)
{
    fr_capture c;
    fr_err err;
    fr_buf out = {0};
    if (argc != 2 || !fr_capture_read(&c, argv[1])) {
        fprintf(stderr, "usage: pgoutput_events FILE.hex\n");
        return 2;
    }
    fr_rc rc = fr_capture_events(&c, 1000, &out, &err);
    fwrite(out.ptr, 1, out.len, stdout);
    if (rc == FR_FAIL)
        fprintf(stderr, "%s\n", err.text);
    fr_buf_free(&out);
    fr_capture_free(&c);
    return rc == FR_FAIL ? 1 : 0;
}
