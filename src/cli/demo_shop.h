/* The application of `freshet demo`: a small shop in a SQLite file, and what it does all day. */
#ifndef FR_CLI_DEMO_SHOP_H
#define FR_CLI_DEMO_SHOP_H

#include "base/error.h"
#include <stdbool.h>

typedef struct fr_demo_shop fr_demo_shop;

/* Makes the database, which must not be there, with a few orders in it. */
fr_rc fr_demo_shop_open(const char *path, fr_demo_shop **out, fr_err *err);
void fr_demo_shop_close(fr_demo_shop *s); /* NULL is fine */
/* The next thing it does, in a transaction of its own. *sql_out: what that was. */
fr_rc fr_demo_shop_change(fr_demo_shop *s, const char **sql_out, fr_err *err);
/* How many orders there are, and how many of them stand in the copy (a database with the same
 * table) as they are here; false: it cannot be read. */
bool fr_demo_shop_compare(fr_demo_shop *s, const char *copy, long long *orders, long long *same);

#endif
