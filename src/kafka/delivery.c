#include "kafka/delivery.h"

rd_kafka_resp_err_t fr_delivery_result(const rd_kafka_message_t *m)
{
    return m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset < 0 ? FR_UNPROVED : m->err;
}

fr_rc fr_delivery_unproved(const char *topic, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT,
            "kafka: topic %s: messages were acknowledged without an offset and may not be there; "
            "they are sent again by a new producer",
            topic);
    fr_fail_code(err, "kafka.unproved");
    return fr_fail_hint(err, "Nothing to do. If it repeats, look at the brokers: do partitions "
                             "change their leader all the time?");
}
