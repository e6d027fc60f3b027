/* Rules: conditions on the values of a row, beside its contract (docs/contracts.md). Those of
 * schema.rules and of "freshet.rules" in the contract, compiled once per table version. They judge
 * the new row of an event as it is published, after columns.derive and columns.mask; deletes are
 * not judged. One thread, the router's. */
#ifndef FR_TRANSFORM_RULES_H
#define FR_TRANSFORM_RULES_H

#include "model/route.h"
#include "transform/derive.h"
#include "transform/rule_text.h"

typedef struct fr_rules fr_rules;

/* Sets route->rules and ->judge where there are any. After the route's contract. CONFIG (rule.*)
 * that names the place, the rule and its field: no such field, an operand that its values cannot be
 * compared with, what an expression or a pattern has wrong. */
fr_rc fr_rules_compile(fr_arena *a, fr_derive_tools *tools, fr_route *route, fr_err *err);
/* What is wrong with a rule for values of such a column: CONFIG (rule.type, rule.operand). */
fr_rc fr_rule_check(fr_arena *a, const fr_rule_text *t, const fr_column *c, fr_err *err);
/* An operand of a rule as a value of such a column; false: it is none. */
bool fr_rule_operand(fr_arena *a, const fr_column *c, fr_str text, fr_value *out);
/* Rule number i, and how many rows it has kept back since this was asked last; false: there is no
 * such rule. */
bool fr_rules_broken(fr_rules *r, size_t i, fr_str *name, uint64_t *count);

#endif
