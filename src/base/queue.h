/* A bounded, blocking queue of pointers between threads. All functions: from any thread. */
#ifndef FR_BASE_QUEUE_H
#define FR_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fr_queue fr_queue;

fr_queue *fr_queue_new(size_t capacity);
void fr_queue_free(fr_queue *q); /* must be empty or its items owned elsewhere */
/* Waits for room until deadline_us (fr_now_us; INT64_MAX: for ever). false: no room in
 * time, or closed; the item is then still the caller's. */
bool fr_queue_put(fr_queue *q, void *item, int64_t deadline_us);
/* NULL: nothing in time, or closed and empty. */
void *fr_queue_take(fr_queue *q, int64_t deadline_us);
size_t fr_queue_count(fr_queue *q);
/* No more puts; takers get what is left, then NULL at once. */
void fr_queue_close(fr_queue *q);
bool fr_queue_closed(fr_queue *q);

#endif
