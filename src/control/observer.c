#include "control/observer.h"

/* The drivers know an observer, the board knows parts: one adapter for each function. */
static void on_state(void *p, fr_state s, const char *reason)
{
    fr_part_state(p, s, reason);
}
static void on_error(void *p, fr_state s, const fr_err *err, int64_t next_try_wall_us)
{
    fr_part_error(p, s, err, next_try_wall_us);
}
static void on_count(void *p, fr_str space, fr_str table, const uint64_t by_op[5], uint64_t bytes,
                     int64_t commit_us)
{
    fr_part_count(p, space, table, by_op, bytes, commit_us);
}
static void on_table(void *p, fr_str space, fr_str table, fr_state s)
{
    fr_part_table(p, space, table, s);
}
static void on_snapshot(void *p, fr_str space, fr_str table, uint32_t done, uint32_t chunks,
                        uint64_t rows, uint64_t expected)
{
    fr_part_snapshot(p, space, table, done, chunks, rows, expected);
}
static void on_connector(void *p, const fr_status *s)
{
    fr_part_connector(p, s);
}
static void on_position(void *p, fr_str resume)
{
    fr_part_position(p, resume);
}
static void on_progress(void *p)
{
    fr_part_progress(p);
}
static void on_dead_letters(void *p, uint64_t n)
{
    fr_part_dead_letters(p, n);
}
static void on_filtered(void *p, uint64_t n)
{
    fr_part_filtered(p, n);
}
static void on_broken(void *p, fr_str space, fr_str table, fr_str rule, uint64_t n)
{
    fr_part_broken(p, space, table, rule, n);
}
static void on_stage(void *p, int which, double seconds)
{
    fr_part_stage(p, which, seconds);
}
static void on_kafka(void *p, uint64_t inflight, uint64_t transactions)
{
    fr_part_kafka(p, inflight, transactions);
}

static void on_polled(void *p, fr_str space, fr_str table, const fr_polled_status *s)
{
    fr_part_polled(p, space, table, s);
}
static void on_poll(void *p, double seconds)
{
    fr_part_stage(p, FR_STAGE_POLL, seconds);
}

static void on_held(void *p, fr_str space, fr_str table, const fr_held_status *h)
{
    fr_part_held(p, space, table, h);
}

static void on_kept(void *p, fr_str space, fr_str table, fr_str said)
{
    fr_part_kept(p, space, table, said);
}

static void on_moved(void *p, fr_str space, fr_str table, fr_str topic, fr_str former,
                     uint32_t generation)
{
    fr_part_moved(p, space, table, topic, former, generation);
}

fr_observer fr_board_observer(fr_part *p)
{
    return (fr_observer){.part = p,
                         .state = on_state,
                         .error = on_error,
                         .count = on_count,
                         .table = on_table,
                         .snapshot = on_snapshot,
                         .connector = on_connector,
                         .position = on_position,
                         .progress = on_progress,
                         .dead_letters = on_dead_letters,
                         .filtered = on_filtered,
                         .broken = on_broken,
                         .stage = on_stage,
                         .kafka = on_kafka,
                         .polled = on_polled,
                         .poll = on_poll,
                         .held = on_held,
                         .kept = on_kept,
                         .moved = on_moved};
}
