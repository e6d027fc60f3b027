/* What a contract and three value rules cost: time of encoding one row without them, with the
 * contract, and with both, in turns, one core.
 *     contract_cost [ROUNDS]
 * Prints nanoseconds a row, and both costs in per cent of the plain encoding. */
#include "bench/codec_rows.h"
#include "transform/route.h"

/* Two columns are widened, one becomes an enum, one is called otherwise, one is left out, and one
 * field has no column. */
static const char contract_text[] =
    "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"com.acme\",\"fields\":["
    "{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"customer\",\"type\":[\"null\",\"string\"]},"
    "{\"name\":\"remark\",\"type\":[\"null\",\"string\"],\"aliases\":[\"note\"]},"
    "{\"name\":\"amount\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":14,\"scale\":2}]},{\"name\":\"lines\",\"type\":[\"null\",\"long\"]},"
    "{\"name\":\"paid\",\"type\":[\"null\",\"boolean\"]},"
    "{\"name\":\"placed\",\"type\":[\"null\",{\"type\":\"long\",\"logicalType\":"
    "\"timestamp-micros\"}]},"
    "{\"name\":\"due\",\"type\":[\"null\",{\"type\":\"int\",\"logicalType\":\"date\"}]},"
    "{\"name\":\"weight\",\"type\":[\"null\",\"double\"]},{\"name\":\"country\",\"type\":{"
    "\"type\":\"enum\",\"name\":\"Country\",\"symbols\":[\"DE\",\"FR\",\"IT\",\"NL\"]}},"
    "{\"name\":\"token\",\"type\":[\"null\",{\"type\":\"string\",\"logicalType\":\"uuid\"}]},"
    "{\"name\":\"currency\",\"type\":\"string\",\"default\":\"EUR\"}]}";
static const fr_contract contract = {.path = "schemas/order.avsc",
                                     .text = {contract_text, sizeof contract_text - 1}};
static const char *rules[] = {"{\"field\":\"customer\",\"not_empty\":true}",
                              "{\"field\":\"amount\",\"range\":[0,100000]}",
                              "{\"field\":\"country\",\"in\":[\"FR\",\"DE\"]}",
                              "{\"field\":\"customer\",\"matches\":\"^[A-Z][a-z]+ \"}"};

typedef struct way { /* of encoding */
    fr_table_settings table;
    fr_source_settings source;
    fr_router *router;
    fr_encoder *e;
    int64_t best;
} way;

static fr_rc route(void *context, const fr_table *t, const fr_route **out, fr_err *err)
{
    return fr_router_route(((way *)context)->router, t, out, err);
}

static void open_way(way *w, const scratch *place, const char *topic)
{
    static fr_kafka_settings kafka;
    w->table.pattern = "public.orders";
    w->table.topic = topic;
    w->table.schema_name = topic;
    w->table.tombstones = true;
    w->table.schema_compat = -1;
    w->source = (fr_source_settings){.name = "erp",
                                     .prefix = "erp",
                                     .type = "postgres",
                                     .max_row_bytes = 16 << 20,
                                     .tables = &w->table,
                                     .table_count = 1};
    w->router = fr_router_new(&w->source);
    fr_encoder_settings s = {.source = &w->source,
                             .registry_settings = &place->settings,
                             .kafka = &kafka,
                             .route = route,
                             .context = w,
                             .origin = bench_origin};
    w->e = fr_encoder_new(&s, place->registry);
    w->best = INT64_MAX;
}

static void pin(way *w, bool judge)
{
    w->table.schema_contract = contract.path;
    w->table.contract = &contract;
    w->table.schema_name = NULL;
    w->table.schema_rules = (fr_texts){rules, judge ? 3 : 0};
}

int main(int argc, char **argv)
{
    scratch place;
    fr_txn txn = {.id = FR_STR("99182"), .commit_us = 1785578400123456};
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 300;
    if (rounds < 1)
        return 1;
    open_scratch(&place);
    make_table();
    static const char *const topics[] = {"erp.plain", "erp.pinned", "erp.judged"};
    way *ways = calloc(3, sizeof *ways);
    for (size_t k = 0; k < 3; k++) {
        open_way(&ways[k], &place, topics[k]);
        if (k > 0)
            pin(&ways[k], k == 2);
    }
    fr_batch *b = fr_batch_new(ROWS, SIZE_MAX);
    for (long i = 0; i < rounds; i++) {
        for (size_t k = 0; k < 3; k++) {
            int64_t us = run_encode(ways[k].e, b, &txn);
            ways[k].best = us < ways[k].best ? us : ways[k].best;
        }
    }
    double ns[3];
    for (size_t k = 0; k < 3; k++)
        ns[k] = (double)ways[k].best * 1000 / (int)ROWS;
    printf("plain %.0f ns/row, contract %.0f, contract and rules %.0f; contract %.1f %%, both %.1f "
           "%%\n",
           ns[0], ns[1], ns[2], 100 * (ns[1] / ns[0] - 1), 100 * (ns[2] / ns[0] - 1));
    for (size_t k = 0; k < 3; k++) {
        fr_encoder_free(ways[k].e);
        fr_router_free(ways[k].router);
    }
    free(ways);
    fr_batch_free(b);
    fr_table_unref(table);
    close_scratch(&place);
    return 0;
}
