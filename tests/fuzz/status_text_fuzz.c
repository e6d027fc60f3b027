/* The status document as it may come from the network. No control character may pass. */
#include "control/status.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_buf out = {0};
    fr_err err;
    fr_status_text((fr_str){(const char *)data, size}, false, &out, &err);
    for (size_t i = 0; i < out.len; i++)
        if ((out.ptr[i] < 0x20 && out.ptr[i] != '\n') || out.ptr[i] == 0x7F)
            abort();
    out.len = 0;
    fr_status_text((fr_str){(const char *)data, size}, true, &out, &err);
    fr_buf_free(&out);
    return 0;
}
