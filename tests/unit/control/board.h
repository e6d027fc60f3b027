/* A board with a source of which the test moves the clocks. */
#ifndef FR_TESTS_CONTROL_BOARD_H
#define FR_TESTS_CONTROL_BOARD_H

#include "base/json.h"
#include "control/status_internal.h"
#include "tests/unit/test.h"

static fr_err err;
static int64_t now = 1000000000, wall = 1700000000000000;
static fr_board *b;
static fr_part *erp;

static int64_t test_now(void)
{
    return now;
}
static int64_t test_wall(void)
{
    return wall;
}
static void pass(int64_t s)
{
    now += s * 1000000;
    wall += s * 1000000;
}

static int set_up(void **state)
{
    (void)state;
    b = fr_board_new("legacy-erp", "worker-a");
    b->now_us = test_now;
    b->wall_us = test_wall;
    erp = fr_board_part(b, false, "erp", "postgres");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fr_board_free(b);
    return 0;
}

static json_t *document(void)
{
    fr_buf out = {0};
    json_t *j = NULL;
    fr_board_json(b, &out);
    assert_ok(fr_json_parse(fr_buf_view(&out), &j, &err));
    fr_buf_free(&out);
    return j;
}

static char *text_of(fr_buf *b_)
{
    fr_buf_u8(b_, 0);
    return (char *)b_->ptr;
}

#endif
