/* The sockets that librdkafka uses. Internal to src/kafka. */
#ifndef FR_KAFKA_SOCKET_H
#define FR_KAFKA_SOCKET_H

/* socket_cb: close-on-exec, and a peer that vanished is noticed within half a minute
 * instead of two hours. */
int fr_kafka_socket(int domain, int type, int protocol, void *opaque);

#endif
