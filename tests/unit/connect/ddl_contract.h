/* A contract with each kind of value, for the dialects' tests. */
#ifndef FR_TEST_DDL_CONTRACT_H
#define FR_TEST_DDL_CONTRACT_H

#include "connect/ddl_contract.h"
#include "tests/unit/connect/golden.h"

static const fr_contract_node whole_node = {
    .kind = FR_CONTRACT_WHOLE, .must = FR_STR("be a whole number"), .least = "-5", .most = "5"};
static const fr_contract_node real_node = {
    .kind = FR_CONTRACT_REAL, .must = FR_STR("be a number"), .most = "1e9"};
static const fr_contract_node text_node = {.kind = FR_CONTRACT_TEXT,
                                           .nullable = true,
                                           .must = FR_STR("be a or b"),
                                           .pattern = FR_STR("a|b")};
static const fr_contract_node truth_node = {.kind = FR_CONTRACT_BOOLEAN,
                                            .must = FR_STR("be true or false")};
static const fr_contract_member of_whole = {.node = &whole_node}, of_real = {.node = &real_node};
static const fr_contract_node array_node = {
    .kind = FR_CONTRACT_ARRAY, .must = FR_STR("be an array"), .count = 1, .members = &of_whole};
static const fr_contract_node map_node = {
    .kind = FR_CONTRACT_MAP, .must = FR_STR("be an object"), .count = 1, .members = &of_real};
static const fr_contract_member branches[] = {{.node = &truth_node}, {.node = &array_node}};
static const fr_contract_node any_node = {.kind = FR_CONTRACT_ANY,
                                          .must = FR_STR("be of one of the types of its union"),
                                          .count = 2,
                                          .members = branches};
static const fr_contract_member fields[] = {{FR_STR("t"), false, &text_node},
                                            {FR_STR("m"), true, &map_node},
                                            {FR_STR("u"), true, &any_node}};
static const fr_contract_node record_node = {
    .kind = FR_CONTRACT_RECORD, .must = FR_STR("be an object"), .count = 3, .members = fields};

#endif
